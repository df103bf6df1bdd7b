-- For the benchmarks of the module: what is launched, by the module and by hand, and interleaved rounds of it.
local core = require "demilune.core"
local demilune = require "demilune"

local measure = {}

local build = os.getenv("BUILD") or "build"
local open = assert(package.loadlib(build .. "/bench/byhand.so", "luaopen_byhand"))

--- start, reap, settle, ballast: spec/bench/byhand.c.
measure.byhand = open()

--- What a shell line prints.
function measure.output_of(line)
    local pipe = assert(io.popen(line))
    local text = pipe:read("a")
    assert(pipe:close(), line)
    return (text:gsub("\n$", ""))
end

measure.scratch = measure.output_of("mktemp -d")

--- Where what is launched lies.
measure.bench = measure.output_of("realpath " .. build .. "/bench")

--- The built command.
measure.command = core.realpath(build .. "/bin/demilune")

--- Writes a file into the scratch directory. Returns its path.
function measure.write(name, text)
    local path = measure.scratch .. "/" .. name
    local file = assert(io.open(path, "wb"))
    file:write(text)
    assert(file:close())
    return path
end

--- The static payload, as the sandbox sees it.
measure.payload = { "/bench/payload" }

--- A policy with what programs need, and some more fields.
function measure.policy(fields)
    fields = fields or {}
    fields.base = "none"
    fields.ro_binds = { "/usr", "/bin", "/lib", "/lib64", { measure.bench, "/bench" } }
    return assert(demilune.policy(fields))
end

-- bwrap's command line for a plan of ours, without the inner stage: pid 1 is bwrap's own init. `filter`: the descriptor
-- of the system call filter.
local function command_line(policy, command, filter)
    local argv = { (core.find_bwrap()) }
    for _, word in ipairs(core.arguments(assert(policy:plan(command)).core)) do
        if word ~= "--as-pid-1" then
            argv[#argv + 1] = word:find("^<filter") and filter or word
        end
    end
    for _, word in ipairs { "--clearenv", "--chdir", "/work", "--" } do
        argv[#argv + 1] = word
    end
    return table.move(command, 1, #command, #argv + 1, argv)
end

--- The same sandbox by hand: bwrap's command line, and the file of the system call filter for its descriptor 9.
function measure.by_hand(policy, command)
    local argv = command_line(policy, command, "9")
    table.insert(argv, 2, "--die-with-parent")
    return argv, measure.write("filter", core.seccomp_filter(core.facts().machine, {}))
end

--- The least that bwrap can do: nobody is there to reap, and the command itself is pid 1, which TERM does not end.
function measure.by_hand_without_init(policy, command)
    local argv, file = measure.by_hand(policy, command)
    table.insert(argv, 2, "--as-pid-1")
    return argv, file
end

--- The same sandbox without the filter, which takes a descriptor.
function measure.by_hand_unfiltered(policy, command)
    return command_line(assert(policy:with { seccomp = "off" }), command)
end

function measure.median(values)
    local sorted = table.move(values, 1, #values, 1, {})
    table.sort(sorted)
    return sorted[(#sorted + 1) // 2]
end

--- Seconds that `work` takes.
function measure.time(work)
    local start = core.clock()
    work()
    return core.clock() - start
end

--- Times of each of `works` in interleaved rounds, each first as often as the others: lists of seconds.
function measure.rounds(count, works)
    local times = {}
    for i = 1, #works do
        times[i] = {}
    end
    for round = -4, count do
        for place = 1, #works do
            local i = (place + round) % #works + 1
            measure.byhand.settle(0.005)
            local taken = measure.time(works[i])
            if round > 0 then
                times[i][round] = taken
            end
        end
    end
    return times
end

--- Median of a[i] - b[i], and of a[i] / b[i].
function measure.compare(a, b)
    local differences, ratios = {}, {}
    for i = 1, #a do
        differences[i], ratios[i] = a[i] - b[i], a[i] / b[i]
    end
    return measure.median(differences), measure.median(ratios)
end

--- A spawned process for at_a_time: its descriptor, and what says whether it is over.
function measure.spawned(process)
    return process:pollfd(), function()
        local result, message = process:poll()
        if not result and message == "running" then
            return false
        end
        assert(result and result.ok, message)
        process:close()
        return true
    end
end

--- `total` launches, `width` of them at a time.
function measure.at_a_time(start, total, width)
    local running, started, ended = {}, 0, 0
    while ended < total do
        while started < total and started - ended < width do
            local fd, over = start()
            running[fd] = over
            started = started + 1
        end
        local fds = {}
        for fd in pairs(running) do
            fds[#fds + 1] = fd
        end
        for _, fd in ipairs(core.wait_readable(fds)) do
            if running[fd]() then
                running[fd] = nil
                ended = ended + 1
            end
        end
    end
end

-- KiB: the proportional share of a process; nil where only root may see it, as of one that is not dumpable.
local function pss(pid)
    local file <close> = io.open("/proc/" .. pid .. "/smaps_rollup")
    local text = file and file:read("a")
    return text and tonumber(text:match("\nPss:%s+(%d+)"))
end

local function children(pid)
    local file <close> = assert(io.open(("/proc/%d/task/%d/children"):format(pid, pid)))
    return file:read("a"):gmatch("%d+")
end

-- The share of a process and all below it, nil where one of them cannot be seen, and how many they are.
local function tree(pid)
    local sum, count = pss(pid), 1
    for child in children(pid) do
        local more, number = tree(child)
        sum, count = sum and more and sum + more, count + number
    end
    return sum, count
end

--- What an idle sandbox of a policy costs, as text: processes, their memory, and that of the host.
function measure.idle(policy, backend)
    local COUNT, idle, sum, count = 50, {}, 0, 0
    collectgarbage()
    local before = pss("self")
    for i = 1, COUNT do
        idle[i] = assert(policy:spawn({ "/usr/bin/sleep", "100" },
            { stdin = "null", stdout = "null", stderr = "null", backend = backend }))
    end
    measure.byhand.settle(0.5)
    for i = 1, COUNT do
        idle[i]:poll()
    end
    collectgarbage()
    local after = pss("self")
    for i = 1, COUNT do
        local more, number = tree(idle[i]:pid())
        sum, count = sum and more and sum + more, count + number
    end
    for i = 1, COUNT do
        idle[i]:close()
    end
    return ("an idle sandbox (of %d, with sleep in it): %d processes, %s together (PSS); the host grows by %.1f KiB each")
        :format(COUNT, count // COUNT, sum and ("%.0f KiB"):format(sum / COUNT) or "memory that root alone can see",
            (after - before) / COUNT)
end

function measure.over()
    os.execute("rm -rf " .. measure.scratch)
end

return measure
