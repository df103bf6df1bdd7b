-- What a launch costs, as ratios in one interleaved run: the command against the ancestor's command line by hand, and
-- against the same hardening by hand. Run it with `make bench`.
local demilune = require "demilune"
local measure = require "bench.measure"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 100
local build = os.getenv("BUILD") or "build"
local payload = { "/usr/bin/true" }
local run, write, scratch, command = measure.output_of, measure.write, measure.scratch, measure.command

local function with_binds(count)
    local fields = { base = "none", ro_binds = { "/usr", "/bin", "/lib", "/lib64" } }
    for i = 1, count do
        local path = ("%s/d%d"):format(scratch, i)
        os.execute("mkdir -p " .. path)
        fields.ro_binds[#fields.ro_binds + 1] = { path, "/data/d" .. i }
    end
    return fields
end

local function policy_file(fields)
    local lines = { 'return { base = "none", ro_binds = {' }
    for _, bind in ipairs(fields.ro_binds) do
        lines[#lines + 1] = type(bind) == "string" and ("%q,"):format(bind) or ("{ %q, %q },"):format(bind[1], bind[2])
    end
    lines[#lines + 1] = "} }\n"
    return write(("policy%d.lua"):format(#fields.ro_binds), table.concat(lines, "\n"))
end

local function medians(commands)
    local text, times = "", {}
    for _, words in ipairs(commands) do
        text = text .. table.concat(words, "\0") .. "\0\0"
    end
    local path = write("commands", text)
    for line in run(("%s/bench/driver %d < %s"):format(build, ROUNDS, path)):gmatch("[^\n]+") do
        times[#times + 1] = tonumber(line)
    end
    return times
end

local function bench_launch(binds)
    local fields = with_binds(binds)
    local policy = assert(demilune.policy(fields))
    local times = medians {
        assert(demilune.build_bwrap_command(policy, payload)),
        measure.by_hand_unfiltered(policy, payload),
        { command, "run", "-p", policy_file(fields), "--", table.unpack(payload) },
    }
    print(("%5d  %10.0f  %10.0f (%.2f)  %10.0f (%.2f, %.2f)"):format(binds, times[1], times[2], times[2] / times[1],
        times[3], times[3] / times[1], times[3] / times[2]))
end

-- What `work` takes, in us.
local function cost(work)
    local rounds = 200
    local start = os.clock()
    for _ = 1, rounds do
        work()
    end
    return (os.clock() - start) / rounds * 1e6
end

local function bench_plan(binds)
    local policy = assert(demilune.policy(with_binds(binds)))
    local text = assert(policy:encode())
    print(("freeze, validate and plan %d binds: %.0f us"):format(binds, cost(function()
        assert(policy:plan(payload))
    end)))
    print(("decode, validate and plan %d binds of JSON: %.0f us, of which decoding: %.0f us"):format(binds,
        cost(function()
            assert(assert(demilune.decode(text)):plan(payload))
        end), cost(function()
            assert(demilune.decode(text))
        end)))
    print(("the reference's command line of %d binds: %.0f us"):format(binds, cost(function()
        assert(demilune.build_bwrap_command(policy, payload, "bwrap"))
    end)))
end

local function bench_memory()
    local text = run(([[
%s run -q -- sleep 3 & pid=$!
sleep 0.5
grep VmRSS /proc/$pid/status
kill $pid
wait $pid || true]]):format(command))
    print("the waiting command, resident:" .. text:match("VmRSS:%s*([^\n]*)"):gsub("^", " "))
end

local function bench_steps()
    local times = medians {
        { "/usr/bin/true" },
        { command, "--version" },
        { command, "check", policy_file(with_binds(0)) },
        { command, "run", "--", table.unpack(payload) },
    }
    print(("a program start (true): %.0f us; demilune --version: %.0f; demilune check: %.0f"):format(times[1], times[2],
        times[3]))
    print(("demilune run with the default policy (base host): %.0f us"):format(times[4]))
end

print(("medians of %d interleaved runs of /usr/bin/true, us"):format(ROUNDS))
print("binds   reference    hardened by hand     demilune run (to reference, to hardened)")
for _, binds in ipairs { 0, 20, 100 } do
    bench_launch(binds)
end
bench_steps()
bench_plan(100)
bench_memory()
measure.over()
