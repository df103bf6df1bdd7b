-- The native backend beside bwrap, in interleaved runs: from the module and from the command, against the command line of
-- the ancestor by hand, which is 1; how it grows with the binds, how many launches a second, what an idle sandbox costs.
-- Run it with `make bench BENCH=native`, as root and as an ordinary user.
local core = require "demilune.core"
local demilune = require "demilune"
local measure = require "bench.measure"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 60
local byhand = measure.byhand
local backends = { "native", "bwrap" }

local function quiet(backend)
    return { stdin = "null", stdout = "null", stderr = "null", backend = backend }
end

-- A policy with `count` more binds, and the file that says the same.
local function with_binds(count)
    local policy, lines = measure.policy(), {}
    for i = 1, count do
        local path = ("%s/d%d"):format(measure.scratch, i)
        os.execute("mkdir -p " .. path)
        lines[i] = ("{ %q, %q },"):format(path, "/data/d" .. i)
    end
    local words = {}
    for _, bind in ipairs(policy.fields.ro_binds) do
        words[#words + 1] = type(bind) == "string" and ("%q,"):format(bind) or ("{ %q, %q },"):format(bind[1], bind[2])
    end
    local file = measure.write("policy" .. count .. ".lua", ("return { base = 'none', ro_binds = { %s %s } }")
        :format(table.concat(words, " "), table.concat(lines, " ")))
    return assert(demilune.load(file)), file
end

local function by_hand(policy, payload)
    local argv = assert(demilune.build_bwrap_command(policy, payload))
    return function()
        local pid, fd = byhand.start(argv)
        assert(byhand.reap(pid, fd) == 0)
    end
end

local function from_module(policy, payload, backend)
    return function() assert(policy:run(payload, quiet(backend))) end
end

local function from_command(file, payload, backend)
    local argv = { measure.command, "run", "--backend", backend, "-p", file, "--", table.unpack(payload) }
    return function()
        local pid, fd = byhand.start(argv)
        assert(byhand.reap(pid, fd) == 0)
    end
end

local function started(program)
    return function() assert(core.run_bare(program)) end
end

local function shares(times, reference)
    local parts = {}
    for i, list in ipairs(times) do
        local _, ratio = measure.compare(list, reference)
        parts[i] = ("%8.0f (%.3f)"):format(measure.median(list) * 1e6, ratio)
    end
    return table.concat(parts, "  ")
end

-- What is run, and where it lies outside.
local payloads = {
    { "static ", measure.payload, { measure.bench .. "/payload" } },
    { "dynamic", { "/usr/bin/true" }, { "/usr/bin/true" } },
}

local function bench_binds(count)
    local policy, file = with_binds(count)
    for _, row in ipairs(payloads) do
        local name, payload, outside = table.unpack(row)
        local times = measure.rounds(ROUNDS, {
            from_module(policy, payload, "native"), from_module(policy, payload, "bwrap"),
            from_command(file, payload, "native"), from_command(file, payload, "bwrap"),
            started(outside), by_hand(policy, payload),
        })
        local hand = times[6]
        local function part(from, to)
            return shares(table.move(times, from, to, 1, {}), hand)
        end
        print(("%5d  %s  module   %s  %s  %8.0f"):format(count, name, part(1, 2), part(5, 5), measure.median(hand) * 1e6))
        print(("%5d  %s  command  %s"):format(count, name, part(3, 4)))
    end
end

local function bench_throughput(width)
    local policy, total = measure.policy(), 4 * width + 24
    local argv = assert(demilune.build_bwrap_command(policy, measure.payload))
    local works = {}
    for i, backend in ipairs(backends) do
        works[i] = function()
            measure.at_a_time(function()
                return measure.spawned(assert(policy:spawn(measure.payload, quiet(backend))))
            end, total, width)
        end
    end
    works[3] = function()
        measure.at_a_time(function()
            local pid, fd = byhand.start(argv)
            return fd, function() return byhand.reap(pid, fd) == 0 end
        end, total, width)
    end
    local times = measure.rounds(math.max(5, ROUNDS // 5), works)
    local rates = {}
    for i, list in ipairs(times) do
        rates[i] = total / measure.median(list)
    end
    print(("%d at a time: native %.0f a second, bwrap %.0f, by hand %.0f; native %.2f times by hand"):format(width, rates[1],
        rates[2], rates[3], rates[1] / rates[3]))
end

print(([[medians of %d interleaved runs, us, and in brackets what share of it is of the same by hand: the ancestor's command line
of bwrap. What is run is a static program that ends at once, or /usr/bin/true, from the module by policy:run or by the
command; start: the same program without a sandbox. binds: read-only ones besides those of the programs.]]):format(ROUNDS))
print("binds  payload  from       native            bwrap              start              by hand")
for _, count in ipairs { 0, 4, 20, 100, 300 } do
    bench_binds(count)
end
for _, width in ipairs { 1, 2, 4, 8 } do
    bench_throughput(width)
end
for _, backend in ipairs(backends) do
    print(backend .. ", " .. measure.idle(measure.policy(), backend))
end
measure.over()
