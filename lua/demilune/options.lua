--- The options of run and spawn: a misspelt one would silently mean nothing.
local core = require "demilune.core"
local refusal = require "demilune.refusal"

local options = {}

--- What each has to be; true where it may be several things. The manual has each of them: demilune(3).
options.types = {
    stdin = true, stdout = true, stderr = true, capture = "boolean", timeout = true, env = "table", chdir = "string",
    narrow = "table", backend = "string", ceiling = true, trace = "boolean",
}

-- Of the program, which owns its process alone.
local for_command = { signals = "number", before_hooks = "function", launching = "function", begun = "function" }

-- Those that make a plan. One that is made has what they said, and would pass over another word.
local of_plan = { timeout = true, env = true, chdir = true, narrow = true, ceiling = true, trace = true }

local function known_names()
    local names = {}
    for name in pairs(options.types) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

-- Whether a value is a ceiling or a list of ceilings: anything else would bound nothing.
local function is_ceilings(value)
    local ceiling = require "demilune.ceiling"
    if type(value) ~= "table" or ceiling.is(value) then
        return ceiling.is(value)
    end
    local count = 0
    for _, one in next, value do
        count = count + 1
        if not ceiling.is(one) then
            return false
        end
    end
    return count == #value
end

--- Raises when they are not what they should be, blaming the caller `level` functions up.
---@param given? demilune.RunOptions
---@param level integer
---@return demilune.RunOptions
function options.check(given, level)
    if given == nil then
        return {}
    elseif type(given) ~= "table" then
        error(("bad options (table expected, got %s)"):format(type(given)), level + 1)
    end
    for name, value in next, given do
        local wanted = options.types[name] or for_command[name]
        if not wanted then
            local nearest = type(name) == "string" and core.nearest(name, known_names())
            error(("unknown option %s; %s"):format(tostring(name), nearest and ("did you mean %s?"):format(nearest)
                or "there are " .. table.concat(known_names(), ", ")), level + 1)
        elseif wanted ~= true and type(value) ~= wanted then
            error(("bad option %s (%s expected, got %s)"):format(name, wanted, type(value)), level + 1)
        elseif name == "ceiling" and not is_ceilings(value) then
            error("bad option ceiling (what demilune.ceiling returned, or a list of such, expected)", level + 1)
        end
    end
    return given
end

--- The same for a plan that is there: those that make one are misuse.
---@param given? demilune.RunOptions
---@param level integer
---@return demilune.RunOptions
function options.check_launch(given, level)
    given = options.check(given, level + 1)
    for name in next, given do
        if of_plan[name] then
            error(("bad option %s: it makes the plan; say it there"):format(name), level + 1)
        end
    end
    return given
end

--- The same for what is waited for: nobody could read from a pipe meanwhile.
---@param given demilune.RunOptions
---@param level integer
---@return demilune.RunOptions
function options.check_run(given, level)
    local name = given.stdin == "pipe" and "stdin" or given.stdout == "pipe" and "stdout"
        or given.stderr == "pipe" and "stderr"
    if name then
        error(("bad option %s: \"pipe\" is for spawn"):format(name), level + 1)
    end
    return given
end

--- Of policy:with, and of load.
options.of_layer = { trusted = "boolean" }
options.of_load = { trusted = "boolean", project = "string" }

--- The options of a layer, or an error that blames the caller's caller. `trusted` can only take trust away: what is
--- trusted a file's owner says.
---@param given table|nil
---@param known table<string, string>
---@param position integer
---@param name string of the function
---@return table
function options.check_layer(given, known, position, name)
    if given == nil then
        return {}
    end
    refusal.check_argument(given, "table", position, name)
    for key, value in next, given do
        if type(value) ~= known[key] then
            error(("bad option %s: %s expected"):format(tostring(key),
                known.project and 'trusted = true or false, or project = "/path"' or "trusted = true or false"), 3)
        end
    end
    return given
end

return options
