--- demilune batch: many jobs, some at a time; results as JSON lines.
local common = require "demilune.cli.common"
local core = require "demilune.core"
local demilune = require "demilune"
local guard = require "demilune.guard"
local options = require "demilune.cli.options"

local OUTPUT_KEPT = 1024 * 1024 -- bytes of each stream of a job, when the policy does not say
local EACH, OURS = 8, 64 -- descriptors that a running job takes, and that we do

local function help()
    return "usage: demilune batch [options] < jobs.jsonl > results.jsonl\n" .. options.help("batch") .. [[

A job is a line of JSON: {"id": "a", "command": ["make", "a"], "stdin": "", "env": {"CC": "gcc"}, "timeout": "30s",
"policy": {"network": false, "limits": {"memory": "64M"}}}. Only the command is needed; the id is the number of the line
when there is none. What a job says of the policy may only narrow it. A result is a line, too, as jobs end.

exit codes:
  0         every job ended with 0
  1         some failed, were refused, or could not be executed
  125       usage or policy problem, or no sandbox: nothing was run; or the journal, the jobs or the results could
            no more be written or read
  128+n     a signal ended the batch
]]
end

-- Whether so many can run at once with the descriptors that we may have: what is wrong, or nil.
local function too_many(jobs)
    local limits = core.read_file("/proc/self/limits", 64 * 1024) or ""
    local most = tonumber(limits:match("\nMax open files%s+(%d+)"))
    local fit = most and math.max(0, (most - OURS) // EACH)
    if fit and jobs > fit then
        return ("--jobs %d: %d descriptors are enough for %s at the same time; see ulimit -n"):format(jobs, most,
            fit > 0 and tostring(fit) or "none")
    end
    return nil
end

-- What is wrong with the options before anything is looked at.
local function usage_problem(state)
    if #state.command > 0 then
        return ("%s: the commands are those of the jobs, on standard input"):format(core.quote(state.command[1]))
    elseif not core.is_writable(1) then
        return "standard output is closed or for reading only; the results would be lost"
    end
    if state.replay and not state.journal then
        return "--replay prints what a journal has; give one with --journal"
    end
    for _, name in ipairs(state.policies) do
        if name == "-" then
            return "--policy -: standard input has the jobs"
        end
    end
    state.jobs = state.jobs or core.processors()
    return too_many(state.jobs)
end

-- The policy, which keeps a bounded part of what jobs print.
local function bounded_policy(state)
    local policy, text = common.policy(state)
    if policy and (policy.fields.limits or {}).output == nil then
        policy, text = policy:with { limits = { output = OUTPUT_KEPT } }
    end
    return policy, text
end

-- A plan without a command shows what is wrong with the policy before any job is read.
local function check_plan(state, policy)
    local plan, text = policy:plan(nil, { backend = state.backend })
    if not plan then
        return nil, text
    end
    local risk = state.journal and common.at_risk("--journal", state.journal, plan)
    if risk then
        return nil, risk
    end
    common.warn(plan.warnings, state.quiet)
    return true
end

-- With hooks each job may have binds of its own.
local function journal_risk(state, policy)
    if not state.journal or #policy.hooks.prepare == 0 then
        return nil
    end
    return function(plan)
        return common.at_risk("--journal", state.journal, plan)
    end
end

local function open_journal(state, policy)
    if not state.journal then
        return check_plan(state, policy)
    end
    local journal, problem = require("demilune.batch.journal").open(state.journal, state.replay)
    if not journal then
        return nil, ("--journal %s: %s"):format(core.quote(state.journal), problem)
    end
    local ok, text = check_plan(state, policy)
    return ok, ok and journal or text
end

local function run(state, policy, journal)
    local watched = not state.quiet and core.is_terminal(2) and not core.is_terminal(1)
    local progress = watched and require("demilune.batch.progress").new(core.bytes_left(0)) or nil
    local function complain(text)
        if progress then
            progress:clear()
        end
        common.complain(text)
    end
    core.keep()
    local _ <close> = core.settle_cgroup() -- any job may have limits of its own
    return require("demilune.batch.runner").run {
        policy = policy, has_hooks = policy:has_hooks(), backend = state.backend,
        jobs = state.jobs, keep_going = state.keep_going, replay = state.replay,
        journal = journal, journal_risk = journal_risk(state, policy),
        progress = progress,
        signals = core.forward_signals(),
        complain = complain,
        launching = common.backend_teller(state, nil, complain),
        report_skipped = state.quiet and function() end or common.report_skipped,
    }
end

local function refuse(text)
    common.complain(text)
    return common.EXIT_REFUSED
end

---@param words string[]
---@return integer exit code
return function(words)
    local state, problem = options.parse(words, "batch")
    if state and state.help then
        io.stdout:write(help())
        return 0
    end
    problem = problem or usage_problem(state)
    if problem then
        return common.usage("batch", problem)
    end
    collectgarbage("restart") -- a launch does without it; we go on
    core.ignore_broken_pipes()
    state.backend = common.asked_backend(state)
    local backend, text = demilune.backend(state.backend)
    if not backend then
        return refuse(text)
    elseif backend.kind == "none" then
        return common.usage("batch", "--backend none: a batch runs in sandboxes alone")
    end
    guard.last_words(common.EXIT_REFUSED, "the batch ends, and what it runs; jobs without a result can be run again")
    local policy, journal, ok
    policy, text = bounded_policy(state)
    if not policy then
        return refuse(text)
    end
    ok, journal = open_journal(state, policy)
    if not ok then
        return refuse(journal)
    end
    return run(state, policy, journal)
end
