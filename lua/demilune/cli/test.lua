--- demilune test: try the cases that policies have in `expect`, against their plans and inside their sandboxes.
local common = require "demilune.cli.common"
local core = require "demilune.core"
local demilune = require "demilune"
local message = require "demilune.message"
local options = require "demilune.cli.options"
local tap = require "demilune.tap"
local trial = require "demilune.trial"

local NOTHING_RUN = "demilune-test" -- the command that hooks are asked about, where none is given

local function help()
    return "usage: demilune test [options] POLICY... [-- COMMAND...]\n" .. options.help("test") .. [[

Tries each case of the field `expect` of each policy, with the options on top: first against the plan, then in the
sandbox. Nothing is changed by that, but by the commands of `run`, each of which has 60 s unless there is a timeout.
Prints TAP. Hooks are asked about COMMAND, and for `run` about the case's command.

A policy that cannot be used stops it: "Bail out!" says why.

exit codes: 0 all is as expected, 1 something is not, 125 a policy cannot be used or has no cases
]]
end

local function no_cases(name)
    return message.plain(name) .. ': has nothing to test; give it cases: expect = { denied = { write = { "/etc" } } }'
end

-- One of the policies, with what is needed to try it; or nil and what is wrong.
local function prepare(state, name, command)
    local names = table.move(state.policies, 1, #state.policies, 1, {})
    names[#names + 1] = name
    local policy, text = common.policy {
        policies = names, untrusted = state.untrusted, ceilings = state.ceilings, fields = state.fields,
        hooks = state.hooks,
    }
    if not policy then
        return nil, text
    end
    local list = policy:cases()
    if #list == 0 then
        return nil, no_cases(name)
    end
    local plan
    plan, text = policy:plan(command)
    if not plan then
        return nil, text
    end
    return { name = name, policy = policy, cases = list, plan = plan }
end

-- All of them and how many cases they have; or nil and what is wrong with those that cannot be used.
local function prepare_all(state, names, command)
    local suites, count, wrong = {}, 0, {}
    for i, name in ipairs(names) do
        local suite, text = prepare(state, name, command)
        suites[i] = suite
        count = count + (suite and #suite.cases or 0)
        wrong[#wrong + 1] = not suite and text or nil
    end
    if #wrong > 0 then
        return nil, table.concat(wrong, "\n")
    end
    return suites, count
end

-- Says that nothing can be tried, to people and, after the head, to what reads TAP. Gives the exit code.
local function bail_out(head, text)
    io.stdout:write(head, tap.bail_out(text))
    common.complain(text)
    return common.EXIT_REFUSED
end

-- Tries one policy's cases, numbered from `number` on. How many failed, or nil and why the sandbox could not be.
local function try(suite, number, backend)
    local outcomes, text = trial.places(suite.plan, suite.cases, backend)
    if not outcomes then
        return nil, text
    end
    local failed = 0
    for i, case in ipairs(suite.cases) do
        local outcome = outcomes[case] or trial.command(suite.policy, case, backend)
        io.stdout:write(tap.line(number + i, case, outcome))
        failed = failed + (outcome.ok and 0 or 1)
    end
    return failed
end

local function try_all(suites, count, state)
    local number, failed = 0, 0
    io.stdout:write(tap.head(count))
    for _, suite in ipairs(suites) do
        common.warn(suite.plan.warnings, state.quiet)
        io.stdout:write(tap.comment(suite.name))
        local of_suite, text = try(suite, number, state.backend)
        if not of_suite then
            return bail_out("", text)
        end
        number, failed = number + #suite.cases, failed + of_suite
    end
    return failed == 0 and 0 or 1
end

---@param words string[]
---@return integer exit code
return function(words)
    local state, problem = options.parse(words, "test")
    if not state then
        return common.usage("test", problem)
    elseif state.help then
        io.stdout:write(help())
        return 0
    end
    local names, command = common.names_and_command(state.command)
    if #names == 0 or command and #command == 0 then
        return common.usage("test", #names == 0 and "no policy was given" or "no command was given after --")
    end
    state.backend = common.asked_backend(state)
    local backend, text = demilune.backend(state.backend)
    if not backend or backend.kind == "none" then
        return bail_out(tap.VERSION, backend and "test: the backend none keeps nothing from anything" or text)
    end
    local suites, count = prepare_all(state, names, command or { NOTHING_RUN })
    if not suites then
        return bail_out(tap.VERSION, count)
    end
    local _ <close> = core.settle_cgroup() -- any of them may have limits
    return try_all(suites, count, state)
end
