--- demilune sandbox: the protocol of noether-sandbox 0.8.2, for its clients.
local arguments = require "demilune.cli.sandbox.arguments"
local common = require "demilune.cli.common"
local core = require "demilune.core"
local fields_of = require "demilune.cli.sandbox.fields"
local host = require "demilune.host"
local message = require "demilune.message"
local source = require "demilune.cli.sandbox.source"

local EXIT_SETUP_FAILED, EXIT_REFUSED, EXIT_INTERRUPTED = 1, 2, 130
local MOST_KEYS = 20 -- unknown keys that are named

local function help()
    io.stdout:write("usage: demilune sandbox ", arguments.usage, "\n", [[

Runs a command under a policy of noether-isolation: JSON with ro_binds, rw_binds, work_host, network and
env_allowlist, on standard input, or in a file, which leaves standard input to the command. Blank text is the default
policy: /nix/store read-only and no network. Called as noether-sandbox, demilune does the same.

options:
  --isolate auto|bwrap|native|none
                        auto (the default) takes bwrap or the native backend; where there is no bwrap and native does
                        not work it warns and runs the command bare (NOETHER_ISOLATION)
  --policy-file PATH    read the policy there; at most 1 MiB is read from standard input
  --require-isolation   refuse to run a command bare (NOETHER_REQUIRE_ISOLATION, unless it is empty or 0)

exit codes:
  0-255     the command's own
  1         the backend could not set the sandbox up
  2         usage, policy or backend problem: nothing was launched
  126, 127  the command could not be executed, was not found; 127 also when nothing at all could be started, and
            for both with --isolate none
  128+n     a signal ended it
]])
    return 0
end

local function refuse(text)
    common.complain(text)
    return EXIT_REFUSED
end

local function report_unknown(names)
    local known = { "ro_binds", "rw_binds", "work_host", "network", "env_allowlist", "host", "sandbox" }
    for i, name in ipairs(names) do
        if i > MOST_KEYS then
            common.complain(("warning: and %d more keys are ignored"):format(#names - MOST_KEYS))
            break
        end
        local nearest = core.nearest(name:match("^.*%.(.*)$") or name, known)
        common.complain(("warning: the key %s is ignored%s"):format(core.quote(core.shown_name(name)),
            nearest and ("; did you mean %s?"):format(nearest) or ""))
    end
end

-- The policy of a command line; or nil and what is wrong with it.
local function read_policy(settings, environment)
    local text, place = source.read(settings.policy_file)
    if not text then
        return nil, place
    end
    local wire, unknown = require("demilune.wire").policy(text)
    if not wire then
        return nil, ("%s: %s"):format(place, message.plain(unknown))
    end
    report_unknown(unknown)
    local path = settings.policy_file and core.realpath(settings.policy_file)
    return require("demilune.source").of_wire(fields_of(wire, environment), path)
end

-- The backend and a warning; or nil and why there is none. `untried`: native is taken to work.
local function choose_backend(settings, untried)
    local backend, text = host.backend(settings.isolation, untried)
    -- A bwrap that is there and does not work is a mistake to be mended, and none that may cost the isolation.
    local falls_back = not backend and settings.isolation == "auto" and not core.find_bwrap()
    if not backend and not falls_back then
        return nil, text
    elseif backend and backend.kind ~= "none" then
        return backend, text
    elseif settings.require_isolation then
        return nil, "isolation is required: " .. (falls_back and text or "the backend none gives none")
    end
    return { kind = "none" }, falls_back and text
        .. "; without it the command can do whatever you can do (--require-isolation refuses that)" or nil
end

-- Bare, nothing is bound, so that a source that is not there is no matter; and a command that cannot be executed is
-- told by the kernel.
local function matters_bare(problem)
    return problem.code ~= "bind.missing" and not problem.code:find("^command%.")
end

local function run_bare(policy, command)
    local ceiling = require "demilune.ceiling"
    local ceilings, why = ceiling.all()
    local refused = not ceilings and why or ceiling.refuses(ceilings, "none")
    if refused then
        return refuse(refused)
    end
    local problems = {}
    for _, problem in ipairs((policy:problems(command))) do
        problems[#problems + 1] = matters_bare(problem) and problem or nil
    end
    if #problems > 0 then
        return refuse(message.problems(problems))
    end
    local result, text = core.run_bare(command)
    if not result then
        common.complain(("%s %s"):format(core.quote(command[1]), text))
        return common.EXIT_NOT_FOUND
    end
    return common.exit_code(result)
end

local codes = {
    ["command.missing"] = common.EXIT_NOT_FOUND,
    ["command.not_executable"] = common.EXIT_NOT_EXECUTABLE,
    ["cancelled"] = EXIT_INTERRUPTED,
    ["source.changed"] = EXIT_SETUP_FAILED,
}

-- `begun`: the launch got as far as bwrap, or there was none that could be missing.
local function unexecuted_code(code, begun)
    return codes[code] or begun and EXIT_SETUP_FAILED or common.EXIT_NOT_FOUND
end

local function is_of_command(problems)
    for _, problem in ipairs(problems) do
        if not problem.code:find("^command%.") or problem.code == "command.empty" then
            return false
        end
    end
    return true
end

-- Runs a plan and gives the exit code; or nil, the one for what was refused, and why.
local function launch(plan, isolation)
    common.warn(plan.warnings)
    local tell, native = common.backend_teller {}, false
    local function launching(backend, ...)
        native = backend.kind == "native"
        tell(backend, ...)
    end
    local result, text, code, _, unexecuted = plan:run {
        backend = isolation, signals = core.forward_signals(), launching = launching, begun = common.report_skipped,
    }
    if not result then
        return nil, unexecuted_code(code, unexecuted or native), text
    end
    return common.exit_code(result)
end

local function plan_and_launch(policy, command, isolation)
    local plan, text, _, problems = policy:plan(command, { backend = isolation })
    if not plan then
        return nil, is_of_command(problems) and common.EXIT_NOT_FOUND or EXIT_REFUSED, text
    end
    return launch(plan, isolation)
end

local function warn(text)
    if text then
        common.complain("warning: " .. text)
    end
end

-- Where nothing was executed, it may be that there is no backend after all, which was not tried before.
local function run_isolated(policy, settings)
    local ended, refused, text = plan_and_launch(policy, settings.command, settings.isolation)
    if ended then
        return ended
    end
    local backend, why = choose_backend(settings)
    if not backend then
        return refuse(why)
    elseif backend.kind == "none" then
        warn(why)
        return run_bare(policy, settings.command)
    end
    common.complain(text)
    return refused
end

---@param words string[]
---@param program? string the name that we were called by, when that name is not demilune
---@return integer exit code
return function(words, program)
    common.program = program or common.program
    core.ignore_broken_pipes() -- what we cannot say must not keep the command from running
    if not program and (words[1] == "--help" or words[1] == "-h") then
        return help()
    end
    local environment = core.environ()
    local settings, problem = arguments.parse(words, environment)
    if not settings then
        return refuse(("%s\nusage: %s %s"):format(problem, program or "demilune sandbox", arguments.usage))
    end
    local policy, text = read_policy(settings, environment)
    if not policy then
        return refuse(text)
    end
    local backend
    backend, text = choose_backend(settings, true)
    if not backend and settings.isolation == "bwrap" and core.barred_bwrap() then
        common.complain(text)
        return common.EXIT_NOT_FOUND -- as for any program that cannot be started
    elseif not backend then
        return refuse(text)
    end
    if source.is_input(settings.policy_file) then
        core.end_input() -- the command finds its end there; through a file it could rewrite the policy
    end
    if backend.kind == "none" then
        warn(text)
        return run_bare(policy, settings.command)
    end
    return run_isolated(policy, settings)
end
