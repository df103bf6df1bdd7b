-- What many jobs cost: the rate of `demilune batch` against loops of the same hardening by hand, in turns on one machine,
-- and how much memory a long batch takes. Run it with `make bench`.
local demilune = require "demilune"
local measure = require "bench.measure"

local JOBS = tonumber(os.getenv("JOBS")) or 2000
local LONG = tonumber(os.getenv("LONG")) or 100000 -- jobs of the long batch
local AT_ONCE, ROUNDS = 8, 10
local payload = { "/usr/bin/true" }
local binds = { "/usr", "/bin", "/lib", "/lib64" }
local run, write, scratch = measure.output_of, measure.write, measure.scratch

local function by_hand()
    local policy = assert(demilune.policy { base = "none", ro_binds = binds })
    local words, filter = measure.by_hand(policy, payload)
    for i, word in ipairs(words) do
        words[i] = "'" .. word:gsub("'", "'\\''") .. "'"
    end
    return table.concat(words, " ") .. " 9<" .. filter
end

local function seconds(line)
    return measure.time(function() run(line) end)
end

-- `count` jobs, in as many loops as run at once.
local function loops(count)
    return ([[
for loop in $(seq %d); do
    ( i=0; while [ $i -lt %d ]; do %s >/dev/null 2>&1 || exit 1; i=$((i+1)); done ) &
done
wait]]):format(AT_ONCE, count // AT_ONCE, by_hand())
end

local policy_path = write("policy.lua", ('return { base = "none", ro_binds = { "%s" } }\n'):format(
    table.concat(binds, '", "')))

local batch = ("%s batch -q --keep-going -j %d -p %s"):format(measure.command, AT_ONCE, policy_path)

local function batch_line(jobs, more)
    return ("%s %s <%s >/dev/null"):format(batch, more or "", jobs)
end

local function bench_rate()
    local each = JOBS // ROUNDS // AT_ONCE * AT_ONCE
    local lines = {}
    for i = 1, each do
        lines[i] = ('{"id":"job %d","command":["%s"]}\n'):format(i, payload[1])
    end
    local jobs = write("jobs", table.concat(lines))
    local hand_line = write("loops.sh", loops(each))
    local hand, plain, journalled = 0, 0, 0
    for round = 1, ROUNDS do
        hand = hand + seconds("sh " .. hand_line)
        plain = plain + seconds(batch_line(jobs))
        journalled = journalled + seconds(batch_line(jobs, ("--journal %s/journal%d"):format(scratch, round)))
    end
    local count = each * ROUNDS
    print(("%d jobs, %d at once, in %d turns: by hand %.0f/s; batch %.0f/s (%.2f); with a journal %.0f/s (%.2f)"):format(
        count, AT_ONCE, ROUNDS, count / hand, count / plain, hand / plain, count / journalled, hand / journalled))
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
