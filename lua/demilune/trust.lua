--- Layers that are not trusted: they may only narrow what stands outside of them.
local core = require "demilune.core"
local merge = require "demilune.merge"

local trust = {}

--- Why a layer is not trusted of which that was said, and what would be right.
trust.SAID = "--untrusted, or trusted = false, says so; say it in a policy that is trusted"

--- The same of a layer that somebody else can have written.
---@param path string a file of it
---@param owner? integer the uid of its owner
---@return string
function trust.of_file(path, owner)
    local own = core.facts().uid
    local name = core.quote(path)
    if not owner then
        return name .. " cannot be looked at"
    elseif owner ~= own and owner ~= 0 then
        return ("%s belongs to user %d, and we are %d; chown it, or say it in a policy of your own"):format(name, owner,
            own)
    end
    return ("others can write to %s; chmod go-w it, or say it in a policy of your own"):format(name)
end

--- The same of a layer that is extended by one that is not trusted.
---@param origin demilune.Origin of that one
---@return string
function trust.inherited(origin)
    if not origin.file then
        return trust.SAID
    end
    return ("%s, which extends it, is not trusted: %s"):format(core.quote(origin.shown), origin.doubt)
end

--- How an excess of one layer or hook is told.
---@param excess demilune.Problem what demilune.core.narrower found
---@param without string what it was compared with
---@param doubt? string why it is not trusted
---@return demilune.Problem
function trust.problem(excess, without, doubt)
    return {
        field = excess.field, value = excess.value, code = "layer.wider",
        message = ("%s; this layer may only narrow: %s"):format((excess.message:gsub("the other", without)),
            doubt or trust.SAID),
    }
end

-- The problem of one layer, placed in its file.
local function placed(layers, index, excess)
    local layer, upto = layers[index], table.move(layers, 1, index, 1, {})
    local problem = trust.problem(excess, "the policy without it", layer.doubt)
    require("demilune.places").add(upto, { problem })
    if problem.file ~= layer.file then -- what it says shows elsewhere: a base replaced, a limit gone
        problem.file, problem.line = layer.file, nil
    end
    return problem
end

--- Looks at each layer that is not trusted: with it the policy must give no more than without it.
---@param layers demilune.Layer[]
---@param compare fun(after: table, before: table): demilune.Problem|nil, demilune.Problem[]|nil what is wider, or why
--- that cannot be said
---@return demilune.Problem[]|nil problems nil when all is well
function trust.check(layers, compare)
    local before = {}
    for i, layer in ipairs(layers) do
        local after = merge.layers(before, layer.fields)
        if layer.trusted == false then
            local excess, problems = compare(after, before)
            if problems then
                return problems
            elseif excess then
                return { placed(layers, i, excess) }
            end
        end
        before = after
    end
    return nil
end

return trust
