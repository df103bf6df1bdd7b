--- What hooks can call on their arguments. This file runs in the program's Lua state and, for policy files, in the
--- private one, which gives it its view of the host's facts: it needs nothing but the facts, string and table.
local host = ...

-- The methods end in append and put, which then stand in their place: level 2 is the hook, which gave what is wrong.
local function check_policy(policy)
    if type(policy) ~= "table" then
        error("methods are called with a colon: policy:ro_bind(path)", 3)
    end
end

-- The table in a field, made where there is none.
local function table_in(policy, field)
    local value = policy[field]
    if type(value) ~= "table" then
        value = {}
        policy[field] = value
    elseif getmetatable(value) ~= nil then
        error(("%s has a metatable"):format(field), 3)
    end
    return value
end

-- What a hook computes may turn out to be nil: nothing bound is a surprise, nothing masked or limited a hole.
local function append(policy, field, entry)
    check_policy(policy)
    if entry == nil then
        error(("%s: a path is needed, not nil"):format(field), 2)
    end
    local list = table_in(policy, field)
    list[#list + 1] = entry
    return policy
end

local function put(policy, field, name, value)
    check_policy(policy)
    if name == nil or name ~= name then
        error(("a name is needed, not %s"):format(tostring(name)), 2)
    elseif value == nil then
        local at = field .. "." .. tostring(name)
        error(("%s: a value is needed, not nil; to take it away: policy.%s = nil"):format(at, at), 2)
    end
    table_in(policy, field)[name] = value
    return policy
end

local function bind(path, at)
    return at and { host = path, sandbox = at } or path
end

---@class demilune.HookPolicy
local methods = {}

--- Shows a host path read-only, at `at` or at its own path.
function methods.ro_bind(policy, path, at)
    return append(policy, "ro_binds", bind(path, at))
end

--- Shows a host path writable.
function methods.rw_bind(policy, path, at)
    return append(policy, "rw_binds", bind(path, at))
end

--- Makes a path inside unreadable and unwritable.
function methods.mask(policy, at)
    return append(policy, "masks", at)
end

--- Sets a variable.
function methods.set_env(policy, name, value)
    return put(policy, "env", name, value)
end

--- Passes a variable of the caller through.
function methods.pass_env(policy, name)
    return put(policy, "env", name, true)
end

--- Sets a limit.
function methods.limit(policy, name, value)
    return put(policy, "limits", name, value)
end

local process = {}

--- Pid of the outermost process on the host.
function process.pid(self)
    if type(self) ~= "table" then
        error("methods are called with a colon: process:pid()", 2)
    end
    return rawget(self, "id")
end

return {
    -- In the private state facts that cost something to find out are found when a policy asks for them.
    context = { __index = { host = host }, __metatable = false },
    policy = { __index = methods, __metatable = false },
    process = { __index = process, __metatable = false },
    result = { __metatable = false },
}
