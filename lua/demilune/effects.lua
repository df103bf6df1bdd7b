--- The ancestor's effects (noether-isolation 0.8.2): their order, and the policy that a set of them needs.
local order = require "demilune.order"

local effects = {}

--- Every effect there is, in the ancestor's order.
effects.names = {
    "Cost", "Fallible", "FsRead", "FsWrite", "Llm", "Network", "NonDeterministic", "Process", "Pure", "Unknown",
}

local ranks = {}
for rank, name in ipairs(effects.names) do
    ranks[name] = rank
end

--- Whether there is an effect of that name.
---@param name string
---@return boolean
function effects.is_name(name)
    return ranks[name] ~= nil
end

--- Whether an effect, in either of its forms, is the network.
---@param effect string|demilune.Effect
---@return boolean
function effects.is_network(effect)
    return effect == "Network" or type(effect) == "table" and effect.effect == "Network"
end

--- Whether it is among these.
---@param list (string|demilune.Effect)[]
---@return boolean
function effects.has_network(list)
    for _, effect in ipairs(list) do
        if effects.is_network(effect) then
            return true
        end
    end
    return false
end

-- Paths compare by component, as Rust's Path does: the root, then ".", "..", then names; a prefix first.
local function components(path)
    local list = { path:sub(1, 1) == "/" and "0" or nil }
    local first = true
    for name in path:gmatch("[^/]+") do
        if name == "." then
            if first and path:sub(1, 1) ~= "/" then
                list[#list + 1] = "1"
            end
        else
            list[#list + 1] = name == ".." and "2" or "3" .. name
        end
        first = false
    end
    return list
end

local function compare_lists(a, b)
    for i = 1, math.min(#a, #b) do
        local sign = order.compare(a[i], b[i])
        if sign ~= 0 then
            return sign
        end
    end
    return #a - #b
end

local function name_of(effect)
    return type(effect) == "table" and effect.effect or effect
end

-- What an effect is compared by: its rank, then its parameter.
local function key_of(effect, position)
    local name = name_of(effect)
    local key = { effect = effect, position = position, rank = ranks[name] }
    if name == "FsRead" or name == "FsWrite" then
        key.path = components(effect.path)
    elseif name == "Llm" then
        key.model = effect.model
    elseif name == "Cost" then
        key.cents = math.tointeger(effect.cents)
    end
    return key
end

local function compare(a, b)
    if a.rank ~= b.rank then
        return a.rank - b.rank
    elseif a.path then
        return compare_lists(a.path, b.path)
    elseif a.model then
        return order.compare(a.model, b.model)
    elseif a.cents and a.cents ~= b.cents then
        return math.ult(a.cents, b.cents) and -1 or 1
    end
    return 0
end

--- Effects in the ancestor's order, each once: of equal ones the first, or the last where that is wanted.
---@param list (string|demilune.Effect)[]
---@param last? boolean
---@return (string|demilune.Effect)[]
function effects.sorted(list, last)
    local keys = {}
    for i, effect in ipairs(list) do
        keys[i] = key_of(effect, i)
    end
    table.sort(keys, function(a, b)
        local sign = compare(a, b)
        return sign < 0 or sign == 0 and a.position < b.position
    end)
    local result, before = {}, nil
    for _, key in ipairs(keys) do
        if not before or compare(before, key) ~= 0 then
            result[#result + 1] = key.effect
        elseif last then
            result[#result] = key.effect
        end
        before = key
    end
    return result
end

--- The ancestor's from_effects: the fields of the policy for effects in order.
---@param sorted (string|demilune.Effect)[]
---@return demilune.Fields
function effects.fields(sorted)
    local fields = {
        ro_binds = { { host = "/nix/store", sandbox = "/nix/store" } },
        rw_binds = {},
        network = false,
        env_allowlist = require("demilune.base.common").ancestors(),
    }
    for _, effect in ipairs(sorted) do
        local name = name_of(effect)
        if name == "FsRead" then
            table.insert(fields.ro_binds, { host = effect.path, sandbox = effect.path })
        elseif name == "FsWrite" then
            table.insert(fields.rw_binds, { host = effect.path, sandbox = effect.path })
        elseif name == "Network" then
            fields.network = true
        end
    end
    return fields
end

return effects
