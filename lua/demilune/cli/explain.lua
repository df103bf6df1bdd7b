--- demilune explain: what the sandbox will be.
local common = require "demilune.cli.common"
local core = require "demilune.core"
local options = require "demilune.cli.options"

---@param words string[]
---@return integer exit code
return function(words)
    local state, problem = options.parse(words, "explain")
    if not state then
        return common.usage("explain", problem)
    elseif state.help then
        io.stdout:write("usage: demilune explain [options] [--] [COMMAND...]\n", options.help("explain"))
        return 0
    end
    local policy, text = common.policy(state)
    local plan
    if policy then
        plan, text = policy:plan(#state.command > 0 and state.command or nil, { backend = state.backend })
    end
    if not plan then
        common.complain(text)
        return common.EXIT_REFUSED
    end
    common.warn(plan.warnings, state.quiet)
    if state.json then
        local explain = require "demilune.explain"
        local data = explain.data(core.describe(plan.core), { show_values = state.show_values })
        io.stdout:write(require("demilune.json").encode(data), "\n")
    else
        io.stdout:write(plan:explain { show_values = state.show_values })
    end
    if #state.command == 0 and #policy.hooks.prepare > 0 and not state.quiet then
        common.complain("no command was given, so the prepare hooks did not run")
    end
    return 0
end
