--- Ceilings: an operator's bounds, which no policy may exceed. The engine checks them once the last hook has run.
local core = require "demilune.core"
local refusal = require "demilune.refusal"

---@class demilune.Ceiling
---@field package core userdata
---@field package backends table<string, boolean> those that may launch
---@field package file? string
---@field package files string[] every file that it was read from, with every link resolved
local ceiling = {}
ceiling.__index = ceiling
ceiling.__name = "demilune.ceiling"

local function set_of(names)
    local set = {}
    for _, name in ipairs(names) do
        set[name] = true
    end
    return set
end

-- A ceiling of `fields`, a copy of our own. `file`: where it was read from, as { path =, source =, home =, files = }.
local function build(fields, file)
    local built, problems = core.ceiling(fields, file.home, file.path)
    if #problems > 0 then
        if file.path then
            local layer = { kind = "file", file = file.path, source = file.source, fields = fields }
            require("demilune.places").add({ layer }, problems)
        end
        return refusal.of(problems)
    end
    local backends = set_of(fields.backends or { "bwrap", "native" })
    return setmetatable({ core = built, backends = backends, file = file.path, files = file.files or {} }, ceiling)
end

--- A ceiling from a table. The table is copied: changing it later changes nothing.
---@param fields demilune.CeilingFields
---@return demilune.Ceiling|nil ceiling
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function ceiling.new(fields)
    refusal.check_argument(fields, "table", 1, "ceiling")
    local copy, problem = core.copy(fields, true)
    if not copy then
        return refusal.of { refusal.of_copy(problem) }
    end
    return build(copy, { home = os.getenv("HOME") })
end

-- "~" in it is the home of the account, whatever the caller's environment says.
local function load(path, every_file_of_root)
    local home = core.account_home()
    local loaded, problem, code = require("demilune.load").ceiling(path, home)
    if not loaded then
        return refusal.of { refusal.placed("", code, problem) }
    end
    for _, file in ipairs(every_file_of_root and loaded.files or {}) do
        local ok, why = core.operators_file(file)
        if not ok then
            return refusal.plain(("the ceiling %s reads %s: %s"):format(path, core.quote(file), why or "it is gone"),
                "ceiling.untrusted")
        end
    end
    return build(loaded.fields, { path = path, source = loaded.source, home = home, files = loaded.files })
end

--- A ceiling from a file, a Lua policy file in all but its fields.
---@param path string
---@return demilune.Ceiling|nil ceiling
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function ceiling.load(path)
    return load(path, false)
end

-- The ceiling of this machine, false where there is none; or nil and why nothing can be run.
local function system()
    local exists, why = core.operators_file(core.ceiling_path)
    if exists then
        return load(core.ceiling_path, true)
    elseif exists == nil then
        return refusal.plain(("the ceiling %s cannot be relied on: %s; nothing runs until it, and every directory " ..
            "on the way to it, is root's alone to write to"):format(core.ceiling_path, why), "ceiling.untrusted")
    end
    return false
end

--- Every ceiling that holds: that of this machine, and the given ones. Nil and why nothing can be run, when that of
--- this machine cannot be relied on.
---@param ... demilune.Ceiling|demilune.Ceiling[]|nil
---@return demilune.Ceiling[]|nil
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function ceiling.all(...)
    local list = {}
    local found, text, code, problems = system()
    if found == nil then
        return nil, text, code, problems
    end
    list[1] = found or nil
    for i = 1, select("#", ...) do
        local given = select(i, ...)
        for _, one in ipairs(getmetatable(given) == ceiling and { given } or given or {}) do
            list[#list + 1] = one
        end
    end
    return list
end

--- The userdata of a list of ceilings, for the engine.
---@param list demilune.Ceiling[]
---@return userdata[]
function ceiling.cores(list)
    local cores = {}
    for i, one in ipairs(list) do
        cores[i] = one.core
    end
    return cores
end

--- Why a backend may not launch: nil when it may, else a message and its code.
---@param list demilune.Ceiling[]
---@param backend string
---@return string|nil message
---@return string|nil code
function ceiling.refuses(list, backend)
    for _, one in ipairs(list) do
        if not one.backends[backend] then
            local names = {}
            for name in next, one.backends do
                names[#names + 1] = core.quote(name)
            end
            table.sort(names)
            return ("the backend %s exceeds the ceiling%s: it allows %s"):format(core.quote(backend),
                one.file and " " .. core.quote(one.file) or "", #names > 0 and table.concat(names, ", ") or "none"),
                "ceiling.backend"
        end
    end
    return nil
end

--- Whether a value is a ceiling.
---@param value any
---@return boolean
function ceiling.is(value)
    return getmetatable(value) == ceiling
end

return ceiling
