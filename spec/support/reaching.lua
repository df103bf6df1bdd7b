-- Random policies and ceilings over a small tree of the host, and what they mean: worked out from their fields alone,
-- place by place, without the engine.
local lfs = require "lfs"
local sandbox = require "support.sandbox"

local reaching = {}

local NAMES = { "a", "b", "c" }
local VARIABLES = { "DML_ONE", "DML_TWO", "DML_OTHER", "HOST_ONE", "LANG" }
local PATTERNS = { "DML_*", "DML_ONE", "HOST_*", "LANG", "*" }
local OPTIONS = { "debug", "perf", "keyring" }
local DANGERS = { "home", "no_seccomp" }

--- Those that policies speak of.
reaching.variables = VARIABLES

--- Makes a tree of directories, with a file `f` in each that says where it is, and begins with a seed ($SPEC_SEED).
--- Returns { directories =, files =, seed = }.
function reaching.world(root)
    local directories, files, seed = {}, {}, math.tointeger(tonumber(os.getenv("SPEC_SEED"))) or os.time()
    math.randomseed(seed)
    local function make(path, depth)
        lfs.mkdir(path)
        directories[#directories + 1] = path
        files[#files + 1] = sandbox.write(path .. "/f", path .. "/f\n")
        for _, name in ipairs(depth < 3 and NAMES or {}) do
            make(path .. "/" .. name, depth + 1)
        end
    end
    make(root, 0)
    return { directories = directories, files = files, seed = seed }
end

function reaching.within(path, tree)
    return path == tree or tree == "/" or path:sub(1, #tree + 1) == tree .. "/"
end

-- --- chance ----------------------------------------------------------------------------------------------------------

local function one_of(list)
    return list[math.random(#list)]
end

local function some(list, most)
    local chosen, seen = {}, {}
    for _ = 1, math.random(0, most) do
        local item = one_of(list)
        chosen[#chosen + 1] = not seen[item] and item or nil
        seen[item] = true
    end
    return chosen
end

local function chance(percent)
    return math.random(100) <= percent
end

-- Where a directory or a file of the tree may stand inside.
local function place_for(path, is_file)
    local end_of = is_file and "/f" or ""
    if chance(60) then
        return path
    end
    return one_of { "/x", "/y", "/x/a", "/x/a/b", "/y/c" } .. end_of
end

local function random_bind(world)
    local is_file = chance(15)
    local path = one_of(is_file and world.files or world.directories)
    return { host = path, sandbox = place_for(path, is_file) }
end

local function random_binds(world, most)
    local binds = {}
    for i = 1, math.random(0, most) do
        binds[i] = random_bind(world)
    end
    return binds
end

local function random_inside(world)
    local is_file = chance(15)
    return place_for(one_of(is_file and world.files or world.directories), is_file)
end

local function random_limits()
    local limits = {}
    for name, most in pairs { timeout = 20, open_files = 60, file_size = 9, output = 9 } do
        limits[name] = chance(40) and math.random(10, 10 + most) or nil
    end
    limits.tmp = chance(30) and math.random(1, 9) << 16 or nil
    return limits
end

local function random_env(names)
    local env = {}
    for _, name in ipairs(names) do
        env[name] = ({ true, false, "1", "2" })[math.random(8)]
    end
    return env
end

--- A policy: { directories =, files = } is the world that it may speak of.
function reaching.policy(world, base)
    local fields = {
        base = base, ro_binds = random_binds(world, 3), rw_binds = random_binds(world, 2), masks = {}, tmpfs = {},
        env = random_env(VARIABLES), env_allowlist = chance(50) and some(VARIABLES, 2) or nil,
        network = chance(30), limits = random_limits(),
        acknowledge = { "x11", "dbus", one_of(DANGERS) }, -- sockets may come and go where these specs run
        seccomp = chance(20) and { allow = some(OPTIONS, 2) } or nil,
    }
    for i = 1, math.random(0, 2) do
        fields.masks[i] = random_inside(world)
    end
    if chance(20) then
        fields.tmpfs[1] = { sandbox = one_of(world.directories), size = math.random(1, 9) << 16 }
    end
    if chance(15) then
        fields.work_host = one_of(world.directories)
    end
    if chance(20) then
        fields.project = { one_of(world.directories), write = chance(50) }
    end
    return fields
end

--- A ceiling.
function reaching.ceiling(world)
    local function trees(most)
        return chance(75) and some(world.directories, most) or nil
    end
    local fields = {
        read = trees(3), write = trees(2), deny = chance(40) and some(world.directories, 2) or nil,
        env = chance(40) and some(PATTERNS, 3) or nil, limits = chance(50) and random_limits() or nil,
        acknowledge = chance(30) and { "x11", "dbus", one_of(DANGERS), one_of(DANGERS) } or nil,
        seccomp = chance(30) and { allow = some(OPTIONS, 3) } or nil,
    }
    if chance(30) then
        fields.network = chance(50)
    end
    if chance(40) then -- one that allows most, so that there is something to be found out
        fields.read = { world.directories[1] }
        fields.write = { world.directories[1], chance(50) and "/tmp" or nil }
    end
    return fields
end

--- The variables that policies speak of, as a caller may have them.
function reaching.caller()
    local list = {}
    for i, name in ipairs(VARIABLES) do
        list[i] = name .. "=caller"
    end
    return list
end

--- The same policy with something changed.
function reaching.changed(world, fields, base)
    local copy, other = {}, reaching.policy(world, base)
    for name, value in pairs(fields) do
        copy[name] = value
    end
    for _ = 1, math.random(0, 2) do
        local name = one_of { "ro_binds", "rw_binds", "masks", "tmpfs", "env", "env_allowlist", "network", "limits",
            "seccomp", "acknowledge", "work_host", "project" }
        copy[name] = other[name]
    end
    return copy
end

-- --- what they mean --------------------------------------------------------------------------------------------------

-- What stands inside, the later of two at one place winning (policy.md, "Mount order").
local function entries_of(fields)
    local list, order = {}, 0
    local function add(kind, at, host)
        order = order + 1
        list[at] = { kind = kind, at = at, host = host }
    end
    for _, at in ipairs { "/proc", "/dev", "/dev/shm", "/tmp", "/work" } do
        add("own", at)
    end
    local project = fields.project
    local function project_as(kind)
        if project and (project.write == false) == (kind == "read") then
            add(kind, project[1], project[1])
        end
    end
    for _, bind in ipairs(fields.rw_binds) do
        add("write", bind.sandbox, bind.host)
    end
    project_as "write"
    for _, bind in ipairs(fields.ro_binds) do
        add("read", bind.sandbox, bind.host)
    end
    project_as "read"
    if fields.work_host then
        add("write", "/work", fields.work_host)
    end
    for _, tmpfs in ipairs(fields.tmpfs) do
        add("own", tmpfs.sandbox)
    end
    for _, at in ipairs(fields.masks) do
        add("own", at)
    end
    return list
end

-- The entry whose mount one would be in at a path inside.
local function entry_at(entries, path)
    local at = path
    while at ~= "" do
        if entries[at] then
            return entries[at]
        end
        at = at:match("^(.*)/[^/]*$")
    end
    return entries["/"]
end

local levels = { read = 1, write = 2 }

local known = setmetatable({}, { __mode = "k" }) -- what was worked out already

--- What a policy without a base allows at each of the paths of the world: 0, 1 (read) or 2 (write too).
function reaching.access(world, fields)
    if known[fields] then
        return known[fields]
    end
    local entries, access = entries_of(fields), {}
    known[fields] = access
    for _, list in ipairs { world.directories, world.files } do
        for _, path in ipairs(list) do
            access[path] = 0
            for _, entry in pairs(entries) do
                if entry.host and reaching.within(path, entry.host) then
                    local inside = entry.at .. path:sub(#entry.host + 1)
                    if entry_at(entries, inside) == entry then
                        access[path] = math.max(access[path], levels[entry.kind])
                    end
                end
            end
        end
    end
    return access
end

local function within_any(path, trees)
    for _, tree in ipairs(trees or {}) do
        if reaching.within(path, tree) then
            return true
        end
    end
    return false
end

--- Whether a ceiling lets a path be reached so far.
function reaching.allows(ceiling, path, level)
    if level == 0 then
        return true
    elseif within_any(path, ceiling.deny) then
        return false
    elseif not ceiling.read and not ceiling.write then
        return true
    end
    return within_any(path, ceiling.write) or level == 1 and within_any(path, ceiling.read)
end

-- Of what the base gives when a policy does not list its environment.
local BASE = { LANG = "base", LANGUAGE = "base", PATH = "=" }

--- What becomes of a variable: "pass" or "base", which passes it, "=" and a value, or nil: it is left out.
function reaching.variable(fields, name)
    local said = (fields.env or {})[name]
    if said == true then
        return "pass"
    elseif said ~= nil then
        return said and "=" .. said or nil
    end
    for _, allowed in ipairs(fields.env_allowlist or {}) do
        if allowed == name then
            return "pass"
        end
    end
    return not fields.env_allowlist and BASE[name] or nil
end

--- Whether one of a ceiling's patterns is a variable's name.
function reaching.matches(patterns, name)
    for _, pattern in ipairs(patterns) do
        local start = pattern:match("^(.*)%*$")
        if pattern == name or start and name:sub(1, #start) == start then
            return true
        end
    end
    return false
end

local function has(list, item)
    for _, one in ipairs(list or {}) do
        if one == item then
            return true
        end
    end
    return false
end

local function first_excess(world, fields, ceiling, is_set)
    for path, level in pairs(reaching.access(world, fields)) do
        if not reaching.allows(ceiling, path, level) then
            return path
        end
    end
    for _, name in ipairs(ceiling.env and VARIABLES or {}) do
        if reaching.variable(fields, name) == "pass" and is_set(name) and not reaching.matches(ceiling.env, name) then
            return name
        end
    end
    for name, most in pairs(ceiling.limits or {}) do
        if (fields.limits[name] or 0) > most then
            return name
        end
    end
    local most = ceiling.limits and ceiling.limits.tmp
    for _, tmpfs in ipairs(most and fields.tmpfs or {}) do
        local below_mask = has(fields.masks, tmpfs.sandbox) -- at the same place the mask wins
        if tmpfs.size > most and not below_mask then
            return tmpfs.sandbox
        end
    end
    for _, option in ipairs(ceiling.seccomp and fields.seccomp and fields.seccomp.allow or {}) do
        if not has(ceiling.seccomp.allow, option) then
            return option
        end
    end
    for _, danger in ipairs(ceiling.acknowledge and fields.acknowledge or {}) do
        if not has(ceiling.acknowledge, danger) then
            return danger
        end
    end
    return ceiling.network == false and fields.network and "network" or nil
end

--- A table of a policy or ceiling as the text of a Lua file.
function reaching.source(value)
    if type(value) ~= "table" then
        return ("%q"):format(value)
    end
    local parts = {}
    for key, item in pairs(value) do
        parts[#parts + 1] = ("[%q] = %s"):format(key, reaching.source(item))
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
end

--- In what a policy without a base exceeds a ceiling, or nil; `is_set` says whether the caller has a variable.
reaching.excess = first_excess

local function no_more_files(world, one, other)
    local mine, theirs = reaching.access(world, one), reaching.access(world, other)
    for path, level in pairs(mine) do
        if level > theirs[path] then
            return false
        end
    end
    return true
end

local function no_more_variables(one, other)
    for _, name in ipairs { "LANGUAGE", "PATH", table.unpack(VARIABLES) } do
        local mine, theirs = reaching.variable(one, name), reaching.variable(other, name)
        mine, theirs = mine == "base" and "pass" or mine, theirs == "base" and "pass" or theirs
        if mine and mine ~= theirs then
            return false
        end
    end
    return true
end

local function no_fewer_limits(one, other)
    for _, name in ipairs { "timeout", "open_files", "file_size", "output" } do
        local most = other.limits[name]
        if most and (one.limits[name] or math.huge) > most then
            return false
        end
    end
    return true
end

local function memory_files(fields, default)
    local sizes = { [""] = fields.limits.tmp or default }
    for _, tmpfs in ipairs(fields.tmpfs) do
        sizes[tmpfs.sandbox] = not has(fields.masks, tmpfs.sandbox) and tmpfs.size or nil
    end
    return sizes
end

local function no_larger_memory_files(one, other, default)
    local mine, theirs = memory_files(one, default), memory_files(other, default)
    for at, size in pairs(mine) do
        if size > math.max(theirs[at] or 0, theirs[""]) then
            return false
        end
    end
    return true
end

local function within_list(one, other)
    for _, item in ipairs(one or {}) do
        if not has(other, item) then
            return false
        end
    end
    return true
end

--- A part of a policy: some of its fields.
function reaching.part(fields)
    local part = {}
    for name, value in pairs(fields) do
        part[name] = chance(40) and value or nil
    end
    return part
end

local function appended(first, second)
    return table.move(second, 1, #second, #first + 1, table.move(first, 1, #first, 1, {}))
end

local function merged(first, second)
    local map = {}
    for _, one in ipairs { first, second } do
        for name, value in pairs(one) do
            map[name] = value
        end
    end
    return map
end

--- A policy with another one on top.
function reaching.layered(outer, inner)
    local whole = merged(outer, inner)
    for _, name in ipairs { "ro_binds", "rw_binds", "masks", "tmpfs", "env_allowlist", "acknowledge" } do
        whole[name] = outer[name] and inner[name] and appended(outer[name], inner[name]) or whole[name]
    end
    whole.env, whole.limits = merged(outer.env, inner.env or {}), merged(outer.limits, inner.limits or {})
    return whole
end

--- Whether one policy without a base gives no more than another; `default` is the limit of private file systems.
function reaching.narrower(world, one, other, default)
    return no_more_files(world, one, other) and no_more_variables(one, other) and no_fewer_limits(one, other)
        and no_larger_memory_files(one, other, default) and (other.network or not one.network)
        and within_list(one.acknowledge, other.acknowledge)
        and within_list(one.seccomp and one.seccomp.allow, other.seccomp and other.seccomp.allow)
end

return reaching
