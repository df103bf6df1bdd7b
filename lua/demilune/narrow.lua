--- What may be said on top of a policy that is not to become wider: each field takes something away, or is refused.
local core = require "demilune.core"
local effects = require "demilune.effects"
local merge = require "demilune.merge"

local narrow = {}

--- The fields that have a narrower direction, in the order in which problems are told.
narrow.names = { "network", "nested", "seccomp", "limits", "masks", "chdir" }

local MEANT_BY_NONE = { tmp = "25%" } -- what the engine takes where a policy has no limit

-- Reads an amount: a number as it is, a text by `parse`.
local function reader(parse)
    return function(value)
        if type(value) == "string" then
            return parse(value)
        end
        return value
    end
end

local duration, size = reader(core.parse_duration), reader(core.parse_size)
local number = reader(function()
    return nil, "type", "is a string; a whole number is needed"
end)

local function share(value)
    local percent = type(value) == "string" and value:match("^(%d+)%%$")
    return percent and core.facts().memory * tonumber(percent) / 100 or size(value)
end

-- How each limit is read; what is not here has no order that we know.
local amounts = {
    timeout = duration, cpu_time = duration, memory = size, file_size = size, output = size, tmp = share,
    pids = number, open_files = number,
}

-- A limit as a number; or nil, code and message where it is none.
local function amount(name, value)
    if type(value) ~= "number" and type(value) ~= "string" then
        return nil, "type", ("is a %s; a number or a string is needed"):format(type(value))
    end
    return amounts[name](value)
end

local function has_network(fields)
    return fields.network == true or type(fields.effects) == "table" and effects.has_network(fields.effects)
end

local function without_network(list)
    local kept = {}
    for _, effect in ipairs(list) do
        kept[#kept + 1] = not effects.is_network(effect) and effect or nil
    end
    return kept
end

local function add(problems, field, code, message, value)
    local scalar = type(value) == "number" or type(value) == "string"
    problems[#problems + 1] = {
        field = field, code = code, message = message, value = scalar and core.quote(tostring(value)) or nil,
    }
end

local WIDER = "narrow.wider"

local check = {}

function check.network(fields, value, problems)
    if value and not has_network(fields) then
        add(problems, "network", WIDER, "the policy gives no network; only false can be said here")
    end
end

function check.nested(fields, value, problems)
    if value and fields.nested ~= true then
        add(problems, "nested", WIDER, "the policy does not allow it; only false can be said here")
    end
end

function check.seccomp(_, value, problems)
    if value ~= "default" then
        add(problems, "seccomp", WIDER, 'only "default" is no wider than what a policy may say')
    end
end

local function check_limit(name, own, value, problems)
    local field = "limits." .. tostring(name)
    if not amounts[name] then
        add(problems, field, "narrow.unknown", "is no limit that can be narrowed")
        return
    end
    local wanted, code, message = amount(name, value)
    local most = amount(name, own)
    if not wanted then
        add(problems, field, code, message, value)
    elseif wanted ~= wanted or most and wanted > most then
        add(problems, field, WIDER, ("is more than the policy has; at most %s"):format(tostring(own or "1")), value)
    end
end

function check.limits(fields, value, problems)
    if type(value) ~= "table" then
        add(problems, "limits", "type", "a map of limits is needed")
        return
    end
    local own, names = type(fields.limits) == "table" and fields.limits or {}, {}
    for name in next, value do
        names[#names + 1] = tostring(name)
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local has = own[name]
        check_limit(name, has == nil and MEANT_BY_NONE[name] or has, value[name], problems)
    end
end

function check.masks(_, value, problems)
    if type(value) ~= "table" then
        add(problems, "masks", "type", "a list of paths is needed")
    end
end

function check.chdir() end -- where it starts grants nothing

local function unknown(overrides, problems)
    local names = {}
    for name in next, overrides do
        names[#names + 1] = not check[name] and tostring(name) or nil
    end
    table.sort(names)
    for _, name in ipairs(names) do
        add(problems, name, "narrow.unknown", narrow.advice(name))
    end
end

--- Why a field cannot be said on top of a policy.
---@param name string
---@return string
function narrow.advice(name)
    local nearest = core.nearest(name, narrow.names)
    return ("is the policy's to say; these can be narrowed: %s%s"):format(table.concat(narrow.names, ", "),
        nearest and ("; did you mean %s?"):format(nearest) or "")
end

--- The fields of a policy with overrides on top that take something away; or nil and a problem for each that does not.
--- What is wrong with a value otherwise the validation says.
---@param fields table not changed
---@param overrides table
---@return table|nil
---@return demilune.Problem[]|nil
function narrow.apply(fields, overrides)
    local problems = {}
    for _, name in ipairs(narrow.names) do
        if overrides[name] ~= nil then
            check[name](fields, overrides[name], problems)
        end
    end
    unknown(overrides, problems)
    if #problems > 0 then
        return nil, problems
    end
    local result = merge.layers(fields, overrides)
    if overrides.network == false and type(result.effects) == "table" then
        result.effects = without_network(result.effects)
    end
    return result
end

return narrow
