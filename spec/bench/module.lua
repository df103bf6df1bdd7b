-- Launches from the module against the same hardened bwrap by hand, from the same program; and what an idle sandbox
-- costs in memory. Run it with `make bench`.
local measure = require "bench.measure"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 100
local byhand = measure.byhand
local policy = measure.policy()
local argv, filter = measure.by_hand(policy, measure.payload)
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

local function bench_latency()
    local times = measure.rounds(3 * ROUNDS, {
        function() assert(policy:run(measure.payload, quiet)) end,
        function()
            local pid, fd = byhand.start(argv, filter)
            assert(byhand.reap(pid, fd) == 0)
        end,
    })
    local difference, ratio = measure.compare(times[1], times[2])
    print(("one launch: module %.0f us, by hand %.0f us; median of the ratios %.3f, of the differences %.0f us"):format(
        measure.median(times[1]) * 1e6, measure.median(times[2]) * 1e6, ratio, difference * 1e6))
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

-- KiB: the proportional share of a process.
local function pss(pid)
    for line in io.lines("/proc/" .. pid .. "/smaps_rollup") do
        local size = line:match("^Pss:%s+(%d+)")
        if size then
            return tonumber(size)
        end
    end
end

local function children(pid)
    local file <close> = assert(io.open(("/proc/%d/task/%d/children"):format(pid, pid)))
    return file:read("a"):gmatch("%d+")
end

local function tree(pid)
    local sum, count = pss(pid) or 0, 1
    for child in children(pid) do
        local more, number = tree(child)
        sum, count = sum + more, count + number
    end
    return sum, count
end

local function bench_memory()
    local idle, sleeping = {}, { "/usr/bin/sleep", "100" }
    collectgarbage()
    local before = pss("self")
    for i = 1, 50 do
        idle[i] = assert(policy:spawn(sleeping, quiet))
    end
    local sum, count = 0, 0
    byhand.settle(0.5)
    for i = 1, 50 do
        idle[i]:poll()
    end
    collectgarbage()
    local after = pss("self")
    for i = 1, 50 do
        local more, number = tree(idle[i]:pid())
        sum, count = sum + more, count + number
        idle[i]:close()
    end
    print(("an idle sandbox (of 50, with sleep in it): %d processes, %.0f KiB together (PSS); the host grows by %.1f KiB each")
        :format(count // 50, sum / 50, (after - before) / 50))
end

bench_latency()
for _, width in ipairs { 1, 2, 4, 8 } do
    bench_throughput(width)
end
bench_memory()
measure.over()
