-- Launches from the module against the same hardened bwrap by hand, from the same program; and what an idle sandbox
-- costs in memory. Run it with `make bench`.
local measure = require "bench.measure"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 100
local byhand = measure.byhand
local policy = measure.policy()
local argv, filter = measure.by_hand(policy, measure.payload)
local least = measure.by_hand_without_init(policy, measure.payload)
local quiet = { stdin = "null", stdout = "null", stderr = "null" }

local ways = {
    module = function()
        return measure.spawned(assert(policy:spawn(measure.payload, quiet)))
    end,
    hand = function()
        local pid, fd = byhand.start(argv, filter)
        return fd, function()
            assert(byhand.reap(pid, fd) == 0)
            return true
        end
    end,
}

local function launched(line)
    return function()
        local pid, fd = byhand.start(line, filter)
        assert(byhand.reap(pid, fd) == 0)
    end
end

local function bench_latency()
    local times = measure.rounds(3 * ROUNDS, {
        function() assert(policy:run(measure.payload, quiet)) end, launched(argv), launched(least),
    })
    print(("one launch: module %.0f us"):format(measure.median(times[1]) * 1e6))
    for i, title in pairs { [2] = "by hand", [3] = "by hand without an init" } do
        local difference, ratio = measure.compare(times[1], times[i])
        print(("  %s %.0f us; median of the ratios %.3f, of the differences %.0f us"):format(title,
            measure.median(times[i]) * 1e6, ratio, difference * 1e6))
    end
end

local function bench_throughput(width)
    local total = 4 * width + 24
    local times = measure.rounds(ROUNDS // 5, {
        function() measure.at_a_time(ways.module, total, width) end,
        function() measure.at_a_time(ways.hand, total, width) end,
    })
    local _, ratio = measure.compare(times[1], times[2])
    print(("%d at a time: module %.0f launches a second, by hand %.0f; time to time %.3f"):format(width,
        total / measure.median(times[1]), total / measure.median(times[2]), ratio))
end

bench_latency()
for _, width in ipairs { 1, 2, 4, 8 } do
    bench_throughput(width)
end
print(measure.idle(policy))
measure.over()
