--- The ancestor's from_effects: a policy for a set of effects (noether-isolation 0.8.2).
local effects = {}

local ranks = {}
for rank, name in ipairs {
    "Cost", "Fallible", "FsRead", "FsWrite", "Llm", "Network", "NonDeterministic", "Process", "Pure", "Unknown",
} do
    ranks[name] = rank
end

-- Paths compare by component, as Rust's Path does: the root, then ".", "..", then names bytewise; a prefix first.
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
        if a[i] ~= b[i] then
            return a[i] < b[i] and -1 or 1
        end
    end
    return #a - #b
end

local function name_of(effect)
    return type(effect) == "table" and effect.effect or effect
end

local function compare(a, b)
    local rank = (ranks[name_of(a)] or 0) - (ranks[name_of(b)] or 0)
    if rank ~= 0 or type(a) ~= "table" or type(b) ~= "table" then
        return rank
    end
    if type(a.path) == "string" and type(b.path) == "string" then
        return compare_lists(components(a.path), components(b.path))
    end
    return 0
end

--- Effects in the ancestor's order; of equal ones the last spelling stays.
---@param list (string|demilune.Effect)[]
---@return (string|demilune.Effect)[]
local function sorted(list)
    local result = {}
    for _, effect in ipairs(list) do
        local at = 1
        while result[at] and compare(result[at], effect) < 0 do
            at = at + 1
        end
        local name = name_of(effect)
        if result[at] and compare(result[at], effect) == 0 and (name == "FsRead" or name == "FsWrite") then
            result[at] = effect
        else
            table.insert(result, at, effect)
        end
    end
    return result
end

--- Builds the policy with `new`, which is demilune.policy.
---@param list (string|demilune.Effect)[]
---@param new fun(fields: table): any
function effects.policy(list, new)
    local checked, problem, code, problems = new { base = "none", effects = list }
    if not checked then
        return nil, problem, code, problems
    end
    local fields = {
        base = "none",
        ro_binds = { "/nix/store" },
        rw_binds = {},
        network = false,
        env_allowlist = require("demilune.base.nix")().env_allowlist,
    }
    for _, effect in ipairs(sorted(list)) do
        local name = name_of(effect)
        if name == "FsRead" then
            table.insert(fields.ro_binds, effect.path)
        elseif name == "FsWrite" then
            table.insert(fields.rw_binds, effect.path)
        elseif name == "Network" then
            fields.network = true
        end
    end
    return new(fields)
end

return effects
