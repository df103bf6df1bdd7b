--- demilune explain: what the sandbox will be, and why.
local account = require "demilune.explain.account"
local common = require "demilune.cli.common"
local core = require "demilune.core"
local explain = require "demilune.explain"
local options = require "demilune.cli.options"

local EXIT_NO = 1 -- it cannot be read, it is not set; the policies differ

local function has_colour()
    return core.is_terminal(1) and (os.getenv("NO_COLOR") or "") == "" and os.getenv("TERM") ~= "dumb"
end

-- How wide the terminal is; nil where there is none, or it does not say.
local function columns()
    local said = math.tointeger(tonumber(os.getenv("COLUMNS")))
    return core.is_terminal(1) and (said and said > 0 and said or core.terminal_columns(1)) or nil
end

local function help()
    return "usage: demilune explain [options] [--] [COMMAND...]\n" .. options.help("explain") .. [[

exit codes:
  0    fine; with --why it can be read, or is set; with --diff nothing differs
  1    with --why it cannot be read, or is not set; with --diff something differs
  125  usage or policy problem
]]
end

-- The plan of a policy under the options, or nil after a complaint. `other` is a name in place of those that they give.
local function plan_of(state, other)
    local named = other and { policies = { other }, untrusted = {} } or {}
    local policy, text = common.policy(setmetatable(named, { __index = state }))
    local plan
    if policy then
        plan, text = policy:plan(#state.command > 0 and state.command or nil, { trace = true })
    end
    if not plan then
        return common.complain(text)
    end
    common.warn(plan.warnings, state.quiet)
    if #state.command == 0 and #policy.hooks.prepare > 0 and not state.quiet then
        common.complain("no command was given, so the prepare hooks did not run")
    end
    return plan
end

local function shown_options(state)
    return { show_values = state.show_values, all = state.verbose, colour = has_colour(), columns = columns() }
end

local function print_data(data)
    io.stdout:write(require("demilune.json").shown(data), "\n")
end

local function tell_all(state)
    local plan = plan_of(state)
    if not plan then
        return common.EXIT_REFUSED
    end
    local shown = shown_options(state)
    local about, text = require("demilune.explain.backend").of(plan, common.asked_backend(state))
    if not about then
        common.complain(text)
        return common.EXIT_REFUSED
    end
    shown.backend = about
    if state.json then
        print_data(explain.data(plan, shown))
    else
        io.stdout:write(explain.text(plan, shown))
    end
    return 0
end

local function tell_why(state)
    local plan = plan_of(state)
    local answer, text
    if plan then
        answer, text = require("demilune.explain.why").about(account.of(plan), state.why, state.show_values)
    end
    if not answer then
        return text and common.usage("explain", "--why " .. text) or common.EXIT_REFUSED
    elseif state.json then
        print_data(answer)
    else
        io.stdout:write(explain.answer(answer, shown_options(state)))
    end
    return answer.yes and 0 or EXIT_NO
end

local function tell_difference(state)
    local plan = plan_of(state)
    local other = plan and plan_of(state, state.diff)
    if not other then
        return common.EXIT_REFUSED
    end
    local shown = shown_options(state)
    local changes = require("demilune.explain.diff").of(account.of(plan), account.of(other))
    if state.json then
        print_data(explain.shown_changes(changes, shown))
    else
        io.stdout:write(explain.changes(changes, shown))
    end
    return changes.equal and 0 or EXIT_NO
end

---@param words string[]
---@return integer exit code
return function(words)
    local state, problem = options.parse(words, "explain")
    if not state then
        return common.usage("explain", problem)
    elseif state.help then
        io.stdout:write(help())
        return 0
    elseif state.why and state.diff then
        return common.usage("explain", "--why and --diff are two questions; ask one")
    elseif state.why then
        return tell_why(state)
    end
    return state.diff and tell_difference(state) or tell_all(state)
end
