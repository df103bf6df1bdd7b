-- What each step of a native launch takes, and what of it is left when the network is the host's: the cost of a
-- network namespace is the largest there is. Run it with `make bench BENCH=steps`.
local core = require "demilune.core"
local measure = require "bench.measure"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 100

-- What is measured, by name: lists of seconds; and the names, in the order of the launch.
local function new_account()
    local account = { order = {}, seconds = {} }
    function account.add(name, seconds)
        if not account.seconds[name] then
            account.seconds[name] = {}
            table.insert(account.order, name)
        end
        table.insert(account.seconds[name], seconds)
    end
    return account
end

-- One launch, up to the end of its process.
local function launch(policy, account)
    local start = core.clock()
    local last = start
    local function step(name, over)
        account.add(name, over - last)
        last = over
    end
    local plan = assert(policy:plan(measure.payload))
    step("planning", core.clock())
    local process = assert(core.start(plan.core, { stdin = -1, stdout = -1, stderr = -1 }))
    local begun = core.clock()
    core.advance(process, "running")
    local executed = core.clock()
    for _, time in ipairs(core.times(process)) do
        step(time[1], time[2])
    end
    step("stage, command executed", executed)
    account.add("  (the caller goes on after)", begun - start)
    core.advance(process, "ended")
    step("command and sandbox gone", core.clock())
    assert(core.result(process, {}).kind == "exit")
    core.close(process)
    step("result", core.clock())
    account.add("together", last - start)
end

local function microseconds(account, name)
    local list = account.seconds[name]
    return list and ("%8.0f"):format(measure.median(list) * 1e6) or (" "):rep(7) .. "-"
end

local own, shared = new_account(), new_account()
local work = {
    function() launch(measure.policy(), own) end,
    function() launch(measure.policy { network = true }, shared) end,
    function() assert(core.run_bare { measure.bench .. "/payload" }) end,
}
local times = measure.rounds(ROUNDS, work)
print(([[medians of %d interleaved native launches, us, by the step that took them: with a network namespace, which has to be
made, and with the network of the host.]]):format(ROUNDS))
print(("%-26s %8s %8s"):format("", "own", "shared"))
for _, name in ipairs(own.order) do
    print(("%-26s %s %s"):format(name, microseconds(own, name), microseconds(shared, name)))
end
print(("a program start alone: %.0f"):format(measure.median(times[3]) * 1e6))
measure.over()
