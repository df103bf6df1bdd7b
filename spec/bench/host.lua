-- Launches from a host with 1 GiB resident against those from a small one, interleaved: creating a sandbox copies none of
-- it. The large host is this program; the small one a child of it that is told when to launch. Run it with `make bench`.
local core = require "demilune.core"
local measure = require "bench.measure"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 100
local policy = measure.policy()
local plan = assert(policy:plan(measure.payload))
local quiet = { stdin = "null", stdout = "null", stderr = "null" }

local function resident()
    for line in io.lines("/proc/self/status") do
        local size = line:match("^VmRSS:%s+(%d+)")
        if size then
            return tonumber(size) / 1024
        end
    end
end

-- Microseconds of a launch.
local function launch()
    local start = core.clock()
    assert(plan:run(quiet))
    return (core.clock() - start) * 1e6
end

if arg[1] == "small" then
    print(resident())
    io.stdout:flush()
    for _ in io.lines() do
        print(launch())
        io.stdout:flush()
    end
    measure.over()
    os.exit(0, true)
end

-- Both pipes of the small host: a FIFO each.
local orders, answers = measure.scratch .. "/orders", measure.scratch .. "/answers"
assert(os.execute(("mkfifo %s %s"):format(orders, answers)))
assert(os.execute(("lua5.4 spec/bench/host.lua small <%s >%s &"):format(orders, answers)))
local to, from = assert(io.open(orders, "w")), assert(io.open(answers, "r"))
local small_size = from:read("n", "l")

measure.byhand.ballast(1 << 30)

local large, small = {}, {}
local function ask_small()
    to:write("launch\n")
    to:flush()
    return (from:read("n", "l"))
end
for round = -4, ROUNDS do
    for turn = 0, 1 do
        measure.byhand.settle(0.005)
        local ours = (round + turn) % 2 == 0
        local taken = ours and launch() or not ours and ask_small()
        if round > 0 then
            (ours and large or small)[round] = taken
        end
    end
end
to:close()
from:close()
local difference, ratio = measure.compare(large, small)
print(("a host of %.0f MiB: %.0f us a launch; one of %.0f MiB: %.0f us; median of the ratios %.3f, of the differences %.0f us")
    :format(resident(), measure.median(large), small_size, measure.median(small), ratio, difference))
measure.over()
