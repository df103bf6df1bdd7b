--- Layers that are not trusted: they may only narrow what stands outside of them.
local merge = require "demilune.merge"

local trust = {}

local ADVICE = "a layer may only narrow when it is said not to be trusted, or others can have written its file"

--- How an excess of one layer is told.
---@param excess demilune.Problem what demilune.core.narrower found
---@param without string what it was compared with
---@return demilune.Problem
function trust.problem(excess, without)
    return {
        field = excess.field, value = excess.value, code = "layer.wider",
        message = ("%s (%s); %s"):format(excess.message, without, ADVICE),
    }
end

-- The problem of one layer, placed in its file.
local function placed(layers, index, excess)
    local problem = trust.problem(excess, "the other: the policy without this layer")
    local layer, upto = layers[index], table.move(layers, 1, index, 1, {})
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
