-- Nothing of a command lives on: not after its end, not after the end of the runner, whatever it does to stay.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local serial = 0

-- A number of seconds to sleep for that nobody else sleeps for: it marks our processes.
local function new_mark()
    serial = serial + 1
    local stat <close> = assert(io.open("/proc/self/stat"))
    return ("300.%s%04d"):format(stat:read("n"), serial)
end

-- Pids of processes on this host that sleep for `mark`.
local function alive(mark)
    local pids = {}
    for pid in lfs.dir("/proc") do
        if pid:find("^%d+$") then
            local words = sandbox.read("/proc/" .. pid .. "/cmdline") or ""
            if words:find("sleep\0" .. mark .. "\0", 1, true) == 1 then
                pids[#pids + 1] = pid
            end
        end
    end
    return pids
end

local function becomes(wanted, mark)
    for _ = 1, 200 do
        if (#alive(mark) > 0) == wanted then
            return true
        end
        os.execute("sleep 0.05")
    end
    return false
end

local function there(mark)
    return becomes(true, mark)
end

local function gone(mark)
    return becomes(false, mark)
end

local ways = {
    ["in the background"] = "sleep MARK &",
    ["in a session of its own"] = "setsid sleep MARK &",
    ["forked twice"] = "( (sleep MARK &) & )",
    ["ignoring every signal"] = "trap '' HUP INT QUIT TERM PIPE USR1 USR2 TSTP; setsid sleep MARK &",
    ["stopped"] = "sleep MARK & sleep 0.1; kill -STOP $!",
    ["many of them"] = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do setsid sleep MARK & done",
    ["without standard descriptors"] = "setsid sleep MARK <&- >&- 2>&- &",
}

describe("what a command leaves running", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("P6: by hand lives on when bwrap is not told otherwise", function()
        local mark = new_mark()
        assert(os.execute("bwrap --ro-bind / / --dev /dev sh -c 'setsid sleep " .. mark ..
            " >/dev/null 2>&1 &'"))
        local pids = {}
        for _ = 1, 100 do
            pids = #pids == 0 and alive(mark) or pids
            if #pids == 0 then
                os.execute("sleep 0.05")
            end
        end
        assert.equal(1, #pids)
        assert(os.execute("kill -KILL " .. table.concat(pids, " ")))
        assert.is_true(gone(mark))
    end)

    for name, script in pairs(ways) do
        it(("P6: is gone when the run returns: %s"):format(name), function()
            local mark = new_mark()
            local result = assert(demilune.policy {}:run({ "sh", "-c", script:gsub("MARK", mark) ..
                "\nsleep 0.05; exit 3" },
                { stdin = "null", capture = true }))
            assert.equal(3, result.exit_code, result.stderr)
            assert.same({}, alive(mark))
        end)

        it(("P4: is gone after a deadline: %s"):format(name), function()
            local mark = new_mark()
            local result = assert(demilune.policy {}:run({ "sh", "-c", script:gsub("MARK", mark) ..
                "\nsleep 60" },
                { stdin = "null", capture = true, timeout = 0.6 }))
            assert.equal("timeout", result.kind)
            assert.is_true(gone(mark))
        end)
    end

    for name, script in pairs(ways) do
        it(("P6: is gone when a spawned process has ended, and when it is closed: %s"):format(name), function()
            local mark = new_mark()
            local function spawn(rest)
                return assert(demilune.policy {}:spawn({ "sh", "-c", script:gsub("MARK", mark) .. "\n" .. rest },
                    { stdin = "null", stdout = "pipe", stderr = "null" }))
            end
            local process <close> = spawn("sleep 0.05; exit 3")
            local result
            repeat
                assert.same({ process:pollfd() }, core.wait_readable({ process:pollfd() }, 30))
                result = process:poll()
            until result
            assert.same({}, alive(mark))
            assert.same({ 3, true }, { result.exit_code, result.survivors })

            local closed <close> = spawn("sleep 60")
            assert.is_true(there(mark))
            closed:close()
            assert.is_true(gone(mark))
        end)
    end

    -- Also a host that is not told of processes that lose their parent: in a container it may be the first of all.
    it("C3: no zombie is left to a host that is the first process of a container, whatever the end", function()
        local code = [[
            local lfs = require "lfs"
            local demilune = require "demilune"
            local policy = demilune.policy {}
            local function zombies()
                local count = 0
                for pid in lfs.dir("/proc") do
                    local file = pid:find("^%d+$") and io.open("/proc/" .. pid .. "/stat")
                    if file then
                        count = count + (file:read("a"):find(") Z ", 1, true) and 1 or 0)
                        file:close()
                    end
                end
                return count
            end
            local function run(name, command, options)
                options = options or {}
                options.stdin, options.stdout, options.stderr = "null", "null", "null"
                local result = policy:run(command, options)
                print(name, result and result.kind or "refused", zombies())
            end
            for i = 1, 5 do
                run("good", { "true" })
            end
            run("bad", { "false" })
            run("left", { "sh", "-c", "setsid sleep 9 & exit 0" })
            run("missing", { "no-such-command" })
            run("late", { "sleep", "9" }, { timeout = 0.3 })
            local process = policy:spawn({ "sleep", "9" }, { stdin = "null" })
            process:kill()
            print("killed", process:wait().kind, zombies())
            process = policy:spawn({ "sleep", "9" }, { stdin = "null" })
            process = nil
            collectgarbage()
            collectgarbage()
            for i = 1, 50 do -- each is an occasion to see that it has ended
                policy:run({ "true" }, { stdin = "null" })
                if zombies() == 0 then
                    break
                end
            end
            print("dropped", "", zombies())]]
        local own = sandbox.is_root and "" or "--user --map-root-user"
        local prefix = ("unshare %s --mount --pid --fork --mount-proc"):format(own)
        local result = probe.lua(scratch("host.lua"), code, { prefix = prefix })
        assert.equal(("good\texit\t0\n"):rep(5) .. "bad\texit\t0\nleft\texit\t0\nmissing\trefused\t0\n" ..
            "late\ttimeout\t0\nkilled\tcancelled\t0\ndropped\t\t0\n", result.out, result.err)
    end)

    -- Of ours, with init as their parent: it takes its time on some machines.
    local function left_to_init()
        local count = 0
        for pid in lfs.dir("/proc") do
            local file = pid:find("^%d+$") and io.open("/proc/" .. pid .. "/stat")
            local text = file and file:read("a") or ""
            local ours = lfs.attributes("/proc/" .. pid, "uid") == core.facts().uid
            count = count + (ours and text:find("%(demilune%) Z 1 ") and 1 or 0)
            if file then
                file:close()
            end
        end
        return count
    end

    it("C3: where others run, an end leaves init no zombie", function()
        local policy = demilune.policy {}
        for _ = 1, 300 do -- of those before
            if left_to_init() == 0 then
                break
            end
            os.execute("sleep 0.02")
        end
        assert.equal(0, left_to_init())
        local quiet = { stdin = "null", stdout = "null", stderr = "null" }
        local other, running = policy:spawn({ "sleep", "60" }, quiet), {}
        for i = 1, 6 do
            running[i] = policy:spawn({ "true" }, quiet)
        end
        for i = 1, 6 do
            assert.equal("exit", running[i]:wait(30).kind)
            running[i]:close()
        end
        assert.equal(0, left_to_init())
        other:close()
    end)

    it("does not hold up the collector, though it hangs: a later launch ends it", function()
        local result = probe.lua(scratch("host.lua"), [[
            local policy = require("demilune").policy {}
            local function state(pid)
                local file = io.open("/proc/" .. pid .. "/stat")
                local text = file and file:read("a") or ") gone "
                if file then
                    file:close()
                end
                return text:match("%) (%a+) ")
            end
            local process = policy:spawn({ "sleep", "9" }, { stdin = "null", stdout = "null" })
            local pid = process:pid()
            process:wait(0.2)
            os.execute("kill -STOP " .. pid)
            while state(pid) ~= "T" do
            end
            process = nil
            collectgarbage()
            collectgarbage()
            print(state(pid) == "T" and "left alone" or "killed")
            os.execute("sleep 1.2")
            policy:run({ "true" }, { stdin = "null" })
            print(state(pid))]])
        local first = sandbox.backend == "bwrap" and "left alone" or "killed" -- that takes no waiting
        assert.equal(first .. "\ngone\n", result.out, result.err)
    end)

    it("P2: is gone after a host was killed that had spawned many", function()
        local mark = new_mark()
        local code = [[
            local policy, processes = require "demilune".policy {}, {}
            for i = 1, 10 do
                processes[i] = policy:spawn({ "sh", "-c", "trap '' HUP TERM; setsid sleep MARK & setsid sleep MARK & echo; sleep MARK" },
                    { stdin = "null", stdout = "pipe" })
            end
            for i = 1, 10 do
                processes[i].stdout:read()
            end
            print "all are there"
            io.stdout:flush()
            os.execute("kill -KILL $PPID")]]
        local result = probe.lua(scratch("host.lua"), (code:gsub("MARK", mark)))
        assert.same({ "all are there\n", 128 + 9 }, { result.out, result.code }, result.err)
        assert.is_true(gone(mark))
    end)

    it("P6: is gone when the command was killed", function()
        local mark = new_mark()
        assert(demilune.policy {}:run({ "sh", "-c", "setsid sleep " .. mark .. " & kill -KILL $$" },
            { capture = true }))
        assert.same({}, alive(mark))
    end)

    it("writes nothing more once the run has returned", function()
        assert(lfs.mkdir(scratch("w")))
        for _ = 1, 5 do
            assert(demilune.policy { rw_binds = { { scratch("w"), "/w" } } }:run({ "sh", "-c",
                "for i in 1 2 3 4; do setsid sh -c 'while :; do echo x >>/w/f; done' & done; sleep 0.05" },
                { stdin = "null", capture = true }))
            local size = lfs.attributes(scratch("w/f"), "size")
            os.execute("sleep 0.02")
            assert.equal(size, lfs.attributes(scratch("w/f"), "size"))
            assert.is_true(size > 0)
        end
    end)

    it("P2: is gone after the runner was killed, at whatever moment", function()
        local code = [[
import signal, subprocess, sys, time
for delay in range(16):
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay * 0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
time.sleep(0.2)
process = subprocess.Popen(sys.argv[1:])
time.sleep(0.5)
process.send_signal(signal.SIGKILL)
process.wait()
]]
        local mark = new_mark()
        probe.host(code, { sandbox.command, "run", "--", "sh", "-c",
            ("setsid sleep %s & trap '' HUP TERM; sleep %s"):format(mark, mark) })
        assert.is_true(gone(mark))
    end)

    it("is gone after bwrap was killed, and that is no success", function()
        local mark = new_mark()
        local policy = assert(demilune.policy { launched = function(process)
            os.execute("sleep 0.1; kill -KILL " .. process:pid())
        end })
        local result = assert(policy:run({ "sh", "-c", ("setsid sleep %s & sleep %s"):format(mark, mark) },
            { capture = true, stdin = "null" }))
        assert.same({ "signal", 9, false }, { result.kind, result.signal, result.ok })
        assert.is_true(gone(mark))
    end)

    it("is gone after the command hid its start from the runner, which can still be interrupted", function()
        local mark = new_mark()
        local code = [[
import signal, subprocess, sys, time
process = subprocess.Popen(sys.argv[1:])
time.sleep(0.5)
for _ in range(2):
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
try:
    print(process.wait(30))
finally:
    process.kill()
]]
        local result = probe.host(code, { sandbox.command, "run", "--", "sh", "-c", "kill -STOP 2; sleep " ..
            mark })
        assert.equal("137\n", result.out, result.err)
        assert.is_true(gone(mark))
    end)

    it("a storm of forks ends with the command", function()
        local mark = new_mark()
        local result = assert(demilune.policy {}:run({ "/usr/bin/python3", "-c", ([[
import os, time
for i in range(60):
    if os.fork() == 0:
        os.setsid()
        for j in range(3):
            os.fork()
        os.execvp("sleep", ["sleep", %q])
time.sleep(0.1)
]]):format(mark) }, { capture = true, stdin = "null" }))
        assert.equal(0, result.exit_code, result.stderr)
        assert.same({}, alive(mark))
    end)

    -- bwrap, killed between its clone and the first instruction of its child, leaves the child waiting for ever.
    local CUT_OFF = [[
import os, random, signal, subprocess, sys, time
command, where = sys.argv[1], sys.argv[2]
def left():
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += os.readlink("/proc/%s/cwd" % pid) == where and int(pid) != os.getpid()
        except OSError:
            pass
    return found
os.chdir(where)
for i in range(int(sys.argv[3])):
    if sys.argv[4] == "kill":
        process = subprocess.Popen([command, "run", "--", "sleep", "0.01"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.0005, 0.006))
        process.kill()
        process.wait()
    else:
        subprocess.run([command, "run", "--timeout", "%.4f" % random.uniform(0.001, 0.006), "--", "sleep", "0.05"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
deadline = time.time() + 5
while left() and time.time() < deadline:
    time.sleep(0.05)
print(left())
]]
    for _, how in ipairs { "kill", "timeout" } do
        it("nothing is left of launches that were cut off early: " .. how, function()
            local result = sandbox.sh(("/usr/bin/python3 -c %s %s %s 150 %s"):format(sandbox.quote(CUT_OFF),
                sandbox.command, scratch(), how))
            assert.equal("0\n", result.out, result.err)
        end)
    end
end)
