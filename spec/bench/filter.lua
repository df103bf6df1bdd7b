-- What the system call filter adds to a launch: launches with and without it, interleaved, and the differences of each
-- pair; with a payload that makes hardly any call, and with one that makes a few thousand. Run it with `make bench`.
local core = require "demilune.core"
local measure = require "bench.measure"

local ROUNDS = 4 * (tonumber(os.getenv("ROUNDS")) or 100)
local quiet = { stdin = "null", stdout = "null", stderr = "null" }

local function launcher(fields, command)
    local plan = assert(measure.policy(fields):plan(command))
    return function() assert(plan:run(quiet)) end
end

local function quartile(values, part)
    local sorted = table.move(values, 1, #values, 1, {})
    table.sort(sorted)
    return sorted[math.max(1, #sorted * part // 4)]
end

-- Median of the differences of pairs, and difference of the lower quartiles, in us: the second is less disturbed by
-- what else the machine does.
local function difference(a, b)
    local median = measure.compare(a, b)
    return ("%.0f, %.0f"):format(median * 1e6, (quartile(a, 1) - quartile(b, 1)) * 1e6)
end

local function bench(name, command)
    local times = measure.rounds(ROUNDS, {
        launcher({ seccomp = "off" }, command),
        launcher({}, command),
        launcher({ seccomp = "off" }, command), -- what a difference is worth: the same twice
    })
    print(("%s: %.0f us without the filter, which adds (median of pairs, of quartiles) %s us; the same without it again: %s us")
        :format(name, measure.median(times[1]) * 1e6, difference(times[2], times[1]), difference(times[3], times[1])))
end

-- What the kernel takes to load it, and one of a single instruction, below which none can be: most of what it adds.
local function bench_load()
    local filters = { core.seccomp_filter(core.facts().machine, {}), string.pack("<I2I1I1I4", 0x06, 0, 0, 0x7fff0000) }
    local times = { {}, {} }
    for round = 1, ROUNDS do
        for i, filter in ipairs(filters) do
            times[i][round] = measure.byhand.filter(filter)
        end
    end
    local texts = {}
    for i, list in ipairs(times) do
        texts[i] = ("%.0f us (lower quartile %.0f)"):format(measure.median(list) * 1e6, quartile(list, 1) * 1e6)
    end
    print(("loading the filter, %d instructions: %s; a filter of one instruction: %s"):format(#filters[1] // 8, texts[1],
        texts[2]))
end

bench_load()
bench("a static program", measure.payload)
bench("/usr/bin/true", { "/usr/bin/true" })
measure.over()
