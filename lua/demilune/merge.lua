--- Layers: lists append, maps merge, scalars replace.
local merge = {}

local lists = {
    ro_binds = true, rw_binds = true, tmpfs = true, symlinks = true, masks = true, env_allowlist = true,
    effects = true, acknowledge = true, requires = true, devices = true,
}
local maps = { env = true, secrets = true, limits = true }
local groups = { expect = true } -- lists by name, two levels down

--- A new list: the items of one and then of the other.
---@param first table
---@param second table
---@return table
function merge.appended(first, second)
    local result = table.move(first, 1, #first, 1, {})
    return table.move(second, 1, #second, #result + 1, result)
end

local function merged(first, second)
    local result = {}
    for key, value in next, first do
        result[key] = value
    end
    for key, value in next, second do
        result[key] = value
    end
    return result
end

-- Maps merge and lists append, `levels` down.
local function appended_groups(first, second, levels)
    if levels == 0 then
        return merge.appended(first, second)
    end
    local result = merged(first, second)
    for name, value in next, second do
        if type(first[name]) == "table" and type(value) == "table" then
            result[name] = appended_groups(first[name], value, levels - 1)
        end
    end
    return result
end

--- Whether a field of this name is a list, to be appended.
---@param name string
---@return boolean
function merge.is_list(name)
    return lists[name] == true
end

--- Whether a field of this name is a map, to be merged.
---@param name string
---@return boolean
function merge.is_map(name)
    return maps[name] == true
end

--- A new table: `outer` with `inner` on top of it. Neither is changed; a field of the wrong type stays for the
--- validation to refuse.
---@param outer table
---@param inner table
---@return table
function merge.layers(outer, inner)
    local result = merged(outer, inner)
    for name in next, inner do
        local first, second = rawget(outer, name), rawget(inner, name)
        if type(first) == "table" and type(second) == "table" then
            if lists[name] then
                result[name] = merge.appended(first, second)
            elseif maps[name] then
                result[name] = merged(first, second)
            elseif groups[name] then
                result[name] = appended_groups(first, second, 2)
            end
        end
    end
    return result
end

return merge
