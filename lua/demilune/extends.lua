--- `extends`: the policies that a policy is built on. They become layers outside of it, each once.
local core = require "demilune.core"

local extends = {}

local DEEPEST = 16

---@class demilune.Origin how reading came to a policy
---@field file? string of the policy, with every link resolved
---@field shown? string the same, as it was named
---@field outer? demilune.Origin the one that extends it
---@field trusted? boolean false: what it extends is not to be trusted either
---@field doubt? string why it is not trusted
---@field project? string that its caller named
---@field seen table<string, boolean> files that are layers already

-- Whether a value is a list of strings, without holes or names.
local function is_list(value)
    local count = 0
    for key, item in next, type(value) == "table" and value or { false } do
        count = count + 1
        if math.type(key) ~= "integer" or type(item) ~= "string" then
            return false
        end
    end
    return count == #value
end

--- Takes `extends`, which is there, out of the fields of a policy.
---@param fields table
---@return string[]|nil names
---@return demilune.Problem[]|nil problems
function extends.take(fields)
    local given = rawget(fields, "extends")
    fields.extends = nil
    local names = type(given) == "string" and { given } or given
    if not is_list(names) then
        local message = "the name of a policy, or a list of names, is needed"
        return nil, { { field = "extends", code = "type", message = message } }
    end
    return names
end

-- "a.lua -> b.lua -> a.lua"
local function chain_of(origin, last)
    local names = { last }
    while origin do
        if origin.shown then
            table.insert(names, 1, core.quote(origin.shown))
        end
        origin = origin.outer
    end
    return table.concat(names, " -> ")
end

local function directory_of(path)
    return path:match("^(.*)/[^/]*$")
end

-- Where a name leads: a file beside the policy, or a name to be looked up; or nil, a message and its code.
local function place_of(name, origin)
    if name:find("^[%w_][%w_%-]*$") then
        return name
    elseif not (name:find("^[%w_][%w_%-%.]*%.lua$") or name:find("^[%w_][%w_%-%.]*%.json$"))
        or name:find("..", 1, true) then
        return nil, "is neither the name of a policy nor, ending in .lua or .json, of a file beside this one",
            "extends.name"
    elseif not origin.file then
        return nil, "names a file beside the policy, which is in no file", "extends.name"
    end
    local directory = directory_of(origin.file)
    local path = directory .. "/" .. name
    local resolved = core.realpath(path)
    if not resolved then
        return nil, ("is not there: %s is needed"):format(core.quote(path)), "policy.missing"
    elseif resolved:sub(1, #directory + 1) ~= directory .. "/" then
        return nil, ("leads out of the policy's directory, to %s"):format(core.quote(resolved)), "extends.outside"
    end
    return path
end

local function depth_of(origin)
    local depth = 0
    while origin do
        depth = depth + (origin.file and 1 or 0)
        origin = origin.outer
    end
    return depth
end

--- The file of a policy, and those of the ones that are built on it: under a bare name none of them is meant by it, but
--- what stands behind it under the same name.
---@param origin demilune.Origin
---@return table<string, boolean>
function extends.files(origin)
    local files, at = {}, origin
    while at do
        files[at.file or ""] = true
        at = at.outer
    end
    return files
end

--- The problem that a file builds on itself, or nil.
---@param resolved string
---@param origin demilune.Origin of the policy that extends it
---@return demilune.Problem|nil
function extends.loop(resolved, origin)
    local at = origin
    while at do
        if at.file == resolved then
            return { field = "", code = "extends.cycle",
                message = "a policy cannot be built on itself: " .. chain_of(origin, core.quote(at.shown)) }
        end
        at = at.outer
    end
    return nil
end

-- What is wrong with one name: what was wrong with the whole of the file that it leads to, or its own problem.
local function at_name(problems, field)
    local first = problems[1]
    if #problems > 1 or first.field ~= "" or first.file then
        return problems
    end
    return { { field = field, code = first.code, message = first.message } } -- which has the name
end

-- The policy of one name; false when it is a layer already; or nil and the problems.
local function load_one(name, field, origin, load)
    local place, message, code = place_of(name, origin)
    if place and depth_of(origin) > DEEPEST then
        place, message, code = nil, ("more than %d policies are built on each other: %s"):format(DEEPEST,
            chain_of(origin, core.quote(name))), "extends.depth"
    end
    if not place then
        return nil, { { field = field, value = core.quote(name), code = code, message = message } }
    end
    local one, _, _, problems = load(place, origin)
    if one == nil then
        return nil, at_name(problems, field)
    end
    return one
end

--- The policies that `names` stand for, as one; nil when all of them are layers already.
---@param names string[]
---@param origin demilune.Origin of the policy that names them
---@param load fun(place: string, origin: demilune.Origin): ... as policy.load; false: it is a layer already
---@return demilune.Policy|nil policy
---@return demilune.Problem[]|nil problems those without a file are of the names
function extends.resolve(names, origin, load)
    local whole
    for i, name in ipairs(names) do
        local one, problems = load_one(name, #names > 1 and ("extends[%d]"):format(i) or "extends", origin, load)
        if one and whole then
            local _
            one, _, _, problems = whole:with(one)
        end
        if problems then
            return nil, problems
        end
        whole = one or whole
    end
    return whole
end

return extends
