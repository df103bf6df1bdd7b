--- demilune run: run a command in a sandbox.
local common = require "demilune.cli.common"
local core = require "demilune.core"
local guard = require "demilune.guard"
local host = require "demilune.host"
local options = require "demilune.cli.options"

local function help()
    return "usage: demilune run [options] [--] COMMAND [ARG...]\n" .. options.help("run") .. [[

exit codes:
  0-255     the command's own
  124       a limit of ours ended it (timeout, processor time, memory)
  125       usage or policy problem, or no sandbox: nothing was run
  126, 127  the command could not be executed, was not found
  128+n     a signal ended it
A command may return these numbers too; --status tells them apart.
]]
end

--- Opens the place for the result before anything runs. Returns a function that writes to it, and its descriptor.
local function open_status(place)
    if not place then
        return function() end
    end
    local file, problem
    if place == "-" then
        return nil, "--status -: write a file, or the number of a descriptor: 1 is standard output"
    elseif place:find("^%d+$") then
        file, problem = core.output(math.tointeger(tonumber(place)) or -1)
    else
        file, problem = io.open(place, "w")
    end
    if not file then
        local why = problem:match("^.*:(.*)$") or problem
        return nil, ("--status %s: %s"):format(core.quote(place), (why:gsub("^ ", "")))
    end
    return function(result)
        local json = require "demilune.json"
        local written, reason = file:write(json.shown(result), "\n")
        local closed, why = file:close()
        if not written or not closed then
            common.complain(("warning: --status %s: %s"):format(core.quote(place), reason or why))
        end
    end, core.fileno(file)
end

--- Says how we end when, from now on, policy code hangs in whatever it may be: the exit code, what became of the
--- command, and the status.
local function expect_hang(status, code, outcome, result)
    if not status then
        return guard.last_words(code, outcome)
    end
    guard.last_words(code, outcome, status, require("demilune.json").shown(result) .. "\n")
end

--- Before hooks are called. What ended keeps its result; what goes on cannot go on without us.
local function before_hooks(status)
    return function(name, subject)
        if name == "finished" then
            expect_hang(status, common.exit_code(subject), "the command had ended, its result stands", subject)
        else
            expect_hang(status, common.EXIT_LIMIT, "the command is ended",
                { kind = "cancelled", ok = false, code = "policy.hung", problems = {} })
        end
    end
end

local function unexecuted_code(code)
    return code == "command.missing" and common.EXIT_NOT_FOUND
        or code == "limit.timeout" and common.EXIT_LIMIT
        or code == "command.not_executable" and common.EXIT_NOT_EXECUTABLE or common.EXIT_REFUSED
end

local function refuse(write_status, text, code, problems, result)
    common.complain(text)
    result = result or { kind = "refused", ok = false }
    result.code = code
    result.message = result.message or text
    result.problems = problems or {}
    write_status(result)
    return unexecuted_code(code)
end

-- "run build -- make": a policy is named by -p.
local function hint_at_policy(command)
    if command[2] == "--" and require("demilune.load").is_name(command[1]) then
        common.complain(("%s is the name of a policy; did you mean demilune run -p %s -- ...?"):format(
            core.quote(command[1]), command[1]))
    end
end

local function put_command(words, plan)
    local explain = require "demilune.explain"
    for _, word in ipairs(core.describe(plan.core).argv) do
        words[#words + 1] = explain.shell_word(word)
    end
    return table.concat(words, " ") .. "\n"
end

local function command_line_of_bwrap(plan, path, show_values)
    local explain = require "demilune.explain"
    local words = { explain.shell_word(path) }
    for _, word in ipairs(core.arguments(plan.core)) do
        words[#words + 1] = explain.shell_word(word)
    end
    words[#words + 1] = "--"
    words[#words + 1] = "env -i"
    for _, variable in ipairs(explain.variables(plan, show_values)) do
        words[#words + 1] = explain.shell_word(variable.name .. "=" .. (variable.value or "<hidden>"))
    end
    return put_command(words, plan)
end

-- What would be launched, as text. The native backend has no command line: what it makes is what explain tells.
local function dry_run(plan, backend, state)
    if backend.kind == "bwrap" then
        return command_line_of_bwrap(plan, backend.bwrap_path, state.show_values)
    elseif backend.kind == "none" then
        return put_command({}, plan)
    end
    local about = require("demilune.explain.backend").of(plan, state.backend)
    local text = require("demilune.explain").text(plan, { show_values = state.show_values, backend = about })
    return ("native backend, plan digest %s\n\n%s"):format(plan:digest(), text)
end

--- Without isolation: the command takes our place.
local function run_bare(state, warning)
    if not state.unsafe and not state.quiet then
        common.complain("warning: " .. warning)
    end
    local reason, missing = core.execute(state.command)
    common.complain(("%s: %s"):format(core.quote(state.command[1]), reason))
    return missing and common.EXIT_NOT_FOUND or common.EXIT_NOT_EXECUTABLE
end

-- Without a launch: what there is to say of the backend, and the bare command.
local function without_launch(state, plan, write_status)
    local backend, text, code, problems = plan:backend(state.backend)
    if not backend then
        return refuse(write_status, text, code, problems)
    elseif state.dry_run then
        io.stdout:write(dry_run(plan, backend, state))
        return 0
    end
    return run_bare(state, text)
end

local function launch(state, policy, write_status, status)
    local plan, text, code, problems = policy:plan(state.command, { backend = state.backend })
    if not plan then
        return refuse(write_status, text, code, problems)
    end
    local to_file = state.status and not state.status:find("^%d+$")
    local risk = to_file and common.at_risk("--status", state.status, plan)
    if risk then
        return refuse(write_status, risk, "status.writable")
    end
    common.warn(plan.warnings, state.quiet)
    if (policy.fields.limits or {}).output and not state.quiet then
        common.complain("warning: limits.output holds for output that the module captures; here it passes through")
    end
    if state.dry_run or state.backend == "none" then
        return without_launch(state, plan, write_status)
    end
    local _ <close> = common.settle(plan)
    local result
    result, text, code, problems, state.unexecuted = plan:run {
        backend = state.backend, signals = core.forward_signals(), before_hooks = before_hooks(status),
        launching = common.backend_teller(state, state.verbose and plan:digest()),
        begun = not state.quiet and common.report_skipped or nil,
    }
    if not result then
        local exit_code = refuse(write_status, text, code, problems, state.unexecuted)
        if code == "command.missing" then
            hint_at_policy(state.command)
        end
        return exit_code
    end
    for _, failure in ipairs(result.hook_errors or {}) do
        common.complain("warning: " .. failure)
    end
    common.report_limits(result)
    write_status(result)
    return common.exit_code(result)
end

---@param words string[]
---@return integer exit code
return function(words)
    local state, problem = options.parse(words, "run")
    if not state then
        return common.usage("run", problem)
    elseif state.help then
        io.stdout:write(help())
        return 0
    elseif #state.command == 0 then
        return common.usage("run", "no command was given")
    end
    local write_status, status = open_status(not state.dry_run and state.status)
    if not write_status then
        return common.usage("run", status)
    end
    expect_hang(status, common.EXIT_REFUSED, "nothing was run",
        { kind = "refused", ok = false, code = "policy.hung", problems = {} })
    state.backend = common.asked_backend(state)
    local backend, text, code = host.backend(state.backend, true)
    if not backend then
        return refuse(write_status, text, code)
    elseif backend.kind == "none" and state.status then
        return common.usage("run", "--status tells nothing with --backend none, which the command replaces")
    end
    local policy, problems
    policy, text, code, problems = common.policy(state)
    if not policy then
        return refuse(write_status, text, code, problems)
    end
    return launch(state, policy, write_status, status)
end
