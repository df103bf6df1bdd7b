--- demilune explain: what the sandbox will be.
local common = require "demilune.cli.common"
local core = require "demilune.core"
local explain = require "demilune.explain"
local options = require "demilune.cli.options"

local function has_colour()
    return core.is_terminal(1) and (os.getenv("NO_COLOR") or "") == "" and os.getenv("TERM") ~= "dumb"
end

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
        plan, text = policy:plan(#state.command > 0 and state.command or nil, { trace = true })
    end
    if not plan then
        common.complain(text)
        return common.EXIT_REFUSED
    end
    common.warn(plan.warnings, state.quiet)
    local shown = {
        show_values = state.show_values, all = state.verbose, colour = has_colour(),
        backend = require("demilune.explain.backend").of(plan, state.backend or os.getenv("DEMILUNE_BACKEND")),
    }
    if state.json then
        io.stdout:write(require("demilune.json").encode(explain.data(plan, shown)), "\n")
    else
        io.stdout:write(explain.text(plan, shown))
    end
    if #state.command == 0 and #policy.hooks.prepare > 0 and not state.quiet then
        common.complain("no command was given, so the prepare hooks did not run")
    end
    return 0
end
