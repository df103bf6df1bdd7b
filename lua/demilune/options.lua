--- The options of run and spawn: a misspelt one would silently mean nothing.
local core = require "demilune.core"

local options = {}

local types = {
    stdin = true, stdout = true, stderr = true, capture = "boolean", timeout = true, env = "table", chdir = "string",
    narrow = "table", backend = "string", signals = "number", before_hooks = "function", ceiling = true,
    trace = "boolean",
}

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
        local wanted = types[name]
        if not wanted then
            local names = {}
            for known in pairs(types) do
                names[#names + 1] = known
            end
            table.sort(names)
            local nearest = type(name) == "string" and core.nearest(name, names)
            local hint = nearest and ("; did you mean %s?"):format(nearest) or ""
            error(("unknown option %s%s"):format(tostring(name), hint), level + 1)
        elseif wanted ~= true and type(value) ~= wanted then
            error(("bad option %s (%s expected, got %s)"):format(name, wanted, type(value)), level + 1)
        elseif name == "ceiling" and not is_ceilings(value) then
            error("bad option ceiling (what demilune.ceiling returned, or a list of such, expected)", level + 1)
        end
    end
    return given
end

return options
