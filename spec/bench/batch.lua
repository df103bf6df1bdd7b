-- What many jobs cost: the rate of `demilune batch` against loops of the same hardening by hand, in turns on one machine,
-- and how much memory a long batch takes. Run it with `make bench`.
local demilune = require "demilune"
local measure = require "bench.measure"

local JOBS = tonumber(os.getenv("JOBS")) or 2000
local LONG = tonumber(os.getenv("LONG")) or 100000 -- jobs of the long batch
local AT_ONCE, TURNS = 8, 4
local PAUSE = 1.5 -- seconds, after which init has reaped what one way left: nothing of it weighs on the next
local payload = { "/usr/bin/true" }
local binds = { "/usr", "/bin", "/lib", "/lib64" }
local run, write, scratch = measure.output_of, measure.write, measure.scratch

local policy = assert(demilune.policy { base = "none", ro_binds = binds })

local function seconds(line)
    measure.byhand.settle(PAUSE)
    return measure.time(function() run(line) end)
end

-- `count` jobs by hand, in as many loops as run at once.
local function loops(name, count, words, filter)
    for i, word in ipairs(words) do
        words[i] = "'" .. word:gsub("'", "'\\''") .. "'"
    end
    return "sh " .. write(name, ([[
for loop in $(seq %d); do
    ( i=0; while [ $i -lt %d ]; do %s 9<%s >/dev/null 2>&1 || exit 1; i=$((i+1)); done ) &
done
wait]]):format(AT_ONCE, count // AT_ONCE, table.concat(words, " "), filter))
end

local policy_path = write("policy.lua", ('return { base = "none", ro_binds = { "%s" } }\n'):format(
    table.concat(binds, '", "')))

local batch = ("%s batch -q --keep-going -j %d -p %s"):format(measure.command, AT_ONCE, policy_path)

local function batch_line(jobs, more)
    return ("%s %s <%s >/dev/null"):format(batch, more or "", jobs)
end

local function bench_rate()
    local each = JOBS // TURNS // AT_ONCE * AT_ONCE
    local lines = {}
    for i = 1, each do
        lines[i] = ('{"id":"job %d","command":["%s"]}\n'):format(i, payload[1])
    end
    local jobs = write("jobs", table.concat(lines))
    local ways = {
        loops("loops.sh", each, measure.by_hand(policy, payload)),
        loops("least.sh", each, measure.by_hand_without_init(policy, payload)),
        batch_line(jobs), batch_line(jobs, ("--journal %s/journal"):format(scratch)),
    }
    local taken = { 0, 0, 0, 0 }
    for turn = 1, TURNS do
        for place = 1, #ways do
            local i = (place + turn) % #ways + 1
            taken[i] = taken[i] + seconds(ways[i])
        end
        os.remove(scratch .. "/journal")
    end
    local count, hand, least = each * TURNS, taken[1], taken[2]
    print(("%d jobs, %d at once, in %d turns: by hand %.0f/s, without an init %.0f/s"):format(count, AT_ONCE, TURNS,
        count / hand, count / least))
    for i, title in pairs { [3] = "batch", [4] = "with a journal" } do
        print(("  %s %.0f/s, %.2f of by hand, %.2f of it without an init"):format(title, count / taken[i],
            hand / taken[i], least / taken[i]))
    end
end

local function peak(status)
    return status:match("VmHWM:%s*(%d+) kB") / 1024
end

-- The most memory that a batch had when its last result was there.
local function bench_memory(title, line_of, count)
    local jobs = scratch .. "/long"
    local file = assert(io.open(jobs, "wb"))
    for i = 1, count do
        file:write(line_of(i), "\n")
    end
    assert(file:close())
    -- Its input ends when its peak has been read: a shell holds the other end of the FIFO.
    local text = run(([[
cd %s && mkfifo input && { %s <input >results & } && exec 3>input && cat long >&3
while [ "$(wc -l <results)" -lt %d ]; do sleep 0.2; done
cat /proc/$!/status
exec 3>&-
wait
rm -f input]]):format(scratch, batch, count))
    print(("%d jobs, %s: %.1f MiB resident at most"):format(count, title, peak(text)))
end

bench_rate()
bench_memory("all run", function(i)
    return ('{"id":"job %d","command":["%s"]}'):format(i, payload[1])
end, JOBS)
bench_memory("refused for what they ask of the policy, so that it ends today", function(i)
    return ('{"id":"job %d","command":["%s"],"policy":{"network":true}}'):format(i, payload[1])
end, LONG)
measure.over()
