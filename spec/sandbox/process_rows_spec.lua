-- The P, E and C rows of spec/README.md that have no place elsewhere: processes and how they end, what a command starts
-- with, many runs at once, and what is left on the host.
local cjson = require("cjson").new()
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Python: waits until `what()` gives something true, for at most 10 seconds if not told otherwise.
local UNTIL = [[
import time
def until(what, times=200):
    for _ in range(times):
        if what():
            return True
        time.sleep(0.05)
    return False
]]

describe("processes:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("P1: processes of the host can be neither seen nor signalled", function()
        local code = [[
import subprocess, sys
child = subprocess.Popen(["sleep", "60"])
probe = "import os\ntry:\n os.kill(%d, 0); print('reached', os.path.exists('/proc/%d'))\nexcept ProcessLookupError: print('none')"
print(subprocess.run(sys.argv[1:] + ["--", "/usr/bin/python3", "-c", probe % (child.pid, child.pid)],
    capture_output=True, text=True).stdout, end="")
child.kill()
child.wait()
]]
        assert.equal("none\n", probe.host(code, { sandbox.command, "run", "-q" }).out)
        assert.equal("reached True\n", probe.host(code, { sandbox.command, "run", "-q", "--backend", "none" }).out)
    end)

    it("P1: by hand, a command that is pid 1 itself keeps its thousand zombies", function()
        local code = [[
import os, time
for _ in range(1000):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.waitpid(-1, 0)
time.sleep(0.3)
print(len([p for p in os.listdir("/proc") if p.isdigit()]) > 500)
]]
        local by_hand = sandbox.sh(probe.reference({ "--as-pid-1" }, { "/usr/bin/python3", "-c", code }))
        assert.equal("True\n", by_hand.out, by_hand.err)
        assert.equal("False\n", probe.python({}, code).out)
    end)

    -- What becomes of a sleep inside when the process that was started, argv[2:], gets SIGKILL. argv[1] marks the sleep.
    local KILLED = UNTIL .. [[
import os, subprocess, sys
def found():
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open("/proc/%s/cmdline" % pid, "rb").read() == b"sleep\0%s\0" % os.fsencode(sys.argv[1]):
                pids.append(int(pid))
        except OSError:
            pass
    return pids
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
assert until(found)
process.kill()
process.wait()
print("gone" if until(lambda: not found(), 200 if "run" in sys.argv else 20) else "lives on")
for pid in found():
    os.kill(pid, 9)
until(lambda: not found())
]]

    it("P2: what runs inside dies with the runner, also when that is killed; by hand it lives on", function()
        local mark = ("300.%d"):format(tonumber(leaks.run_name:match("%d+")))
        local runner = { mark, sandbox.command, "run", "--", "sleep", mark }
        assert.equal("gone\n", probe.host(KILLED, runner).out)
        local by_hand = probe.reference({}, { "sleep", mark }):gsub("%-%-die%-with%-parent ", "")
        local result = probe.host(KILLED, { mark, "sh", "-c", "exec " .. by_hand })
        assert.equal("lives on\n", result.out, result.err)
    end)

    it("P3: by hand, bwrap keeps a signal to itself and kills the command", function()
        local code = [[
import signal, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
process.stdout.readline()
process.send_signal(signal.SIGTERM)
print(process.communicate()[0], end="")
]]
        local trap = { "sh", "-c", "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done" }
        assert.equal("", probe.host(code, { "sh", "-c", "exec " .. probe.reference({}, trap) }).out)
        assert.equal("got it\n", probe.host(code, { sandbox.command, "run", "--", table.unpack(trap) }).out)
    end)

    it("P5: each exit code from 0 to 255 is the command's own", function()
        local policy = assert(demilune.policy {})
        for code = 0, 255 do
            local result = assert(policy:run({ "sh", "-c", "exit " .. code }, { stdin = "null" }))
            assert.same({ "exit", code, code == 0 }, { result.kind, result.exit_code, result.ok })
            assert.is_nil(result.signal)
        end
    end)

    it("P5: each signal that ends a process is told by its number, and leaves no core dump", function()
        local harmless = { [17] = true, [18] = true, [19] = true, [20] = true, [21] = true, [22] = true, [23] = true, [28] = true }
        local policy = assert(demilune.policy {})
        for signal = 1, 64 do
            if not harmless[signal] then
                local result = assert(policy:run({ "sh", "-c", ("ulimit -c unlimited; kill -%d $$"):format(signal) },
                    { stdin = "null", stderr = "null" }))
                assert.same({ "signal", signal, false, false }, { result.kind, result.signal, result.core, result.ok })
                assert.is_nil(result.exit_code)
            end
        end
    end)

    it("P5: ends that have one exit code are told apart in the status", function()
        sandbox.write(scratch("text"), "true\n", "755")
        sandbox.write(scratch("plain"), "true\n", "644")
        sandbox.write(scratch("interpreter"), "#!/no/such/interpreter\n", "755")
        assert(os.execute("ln -s /nowhere " .. scratch("link")))
        local at = { "--ro", scratch() .. ":/s" }
        local ends = {
            [124] = { { "sh", "-c", "exit 124" }, { "--timeout", "50ms", "--", "sleep", "9" } },
            [125] = { { "sh", "-c", "exit 125" }, { "-C", "/nowhere", "true" }, { "--rw", "/no/such", "true" },
                { "-C", "/s/link", "true" } },
            [126] = { { "sh", "-c", "exit 126" }, { "/s/text" }, { "/s/plain" }, { "/s/interpreter" } },
            [127] = { { "sh", "-c", "exit 127" }, { "/s/none" } },
            [137] = { { "sh", "-c", "exit 137" }, { "sh", "-c", "kill -9 $$" } },
            [139] = { { "sh", "-c", "exit 139" }, { "sh", "-c", "kill -SEGV $$" } },
            [152] = { { "sh", "-c", "exit 152" }, { "sh", "-c", "kill -XCPU $$" } },
        }
        local seen = {}
        for code, cases in pairs(ends) do
            for _, words in ipairs(cases) do
                local record, result = probe.status(scratch("status"), table.move(words, 1, #words, 3, { table.unpack(at) }))
                assert.equal(code, result.code, result.err)
                local key = {}
                for _, name in ipairs { "kind", "code", "exit_code", "signal", "signal_name", "message" } do
                    key[#key + 1] = tostring(record[name])
                end
                key = table.concat(key, " ")
                assert.is_nil(seen[key], key)
                seen[key] = true
            end
        end
    end)

    it("P7: with a terminal there is job control: a job is stopped, listed, continued and interrupted", function()
        local code = [[
import os, pty, select, sys, time
pid, master = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
text = b""
def wait_for(mark):
    global text
    end = time.time() + 20
    while mark not in text and time.time() < end:
        if select.select([master], [], [], 0.1)[0]:
            text += os.read(master, 4096)
    found, text = mark in text, text.partition(mark)[2]
    return found
def wait_for_job():
    end = time.time() + 20
    while os.tcgetpgrp(master) == shell and time.time() < end:
        time.sleep(0.02)
shell = None
for typed, answer in (b"", b"$ "), (b"sleep 300\n", b"300\r\n"), (b"\x1a", b"Stopped"), (b"jobs\n", b"Stopped"), \
        (b"fg\n", b"sleep 300\r\n"), (b"\x03", b"$ "), (b"echo $((6*7))\n", b"42\r\n"), (b"exit 5\n", b"exit"):
    if typed in (b"\x1a", b"\x03"):
        wait_for_job()
    os.write(master, typed)
    if not wait_for(answer):
        print("no", answer, "after", typed)
    shell = shell or os.tcgetpgrp(master)
    time.sleep(0.1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
]]
        local result = probe.host(code, { sandbox.command, "run", "-q", "--tty", "--env", "PS1=$ ", "--", "/bin/bash", "--norc",
            "-i" })
        assert.equal("5\n", result.out, result.err)
    end)
end)

describe("what a command starts with:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("E4: the directory that it is told, wherever that lies", function()
        assert(os.execute("mkdir -p " .. scratch("a/b")))
        for _, case in ipairs {
            { "/work" }, { "/work", "--work", scratch("a") }, { scratch("a"), "--project", scratch("a") },
            { "/usr/bin", "-C", "/usr/bin" }, { "/at/b", "--ro", scratch("a") .. ":/at", "-C", "/at/b" },
            { scratch("a/b"), "--project", scratch("a"), "-C", scratch("a/b") }, { "/t", "--tmpfs", "/t", "-C", "/t" },
            { "/x", "--tmpfs", "/x/y", "-C", "/x" }, { "/", "-C", "/" },
        } do
            local result = sandbox.script(table.move(case, 2, #case, 1, {}), "pwd -P; echo $PWD")
            assert.equal(case[1] .. "\n" .. case[1] .. "\n", result.out, result.err)
        end
    end)

    it("E4: a directory that is not there, hidden or no directory is 125, and nothing runs", function()
        assert(os.execute(("mkdir -p %s && touch %s"):format(scratch("a/b"), scratch("a/f"))))
        for _, case in ipairs {
            { "chdir.missing", "/none" }, { "chdir.missing", "/at/none" }, { "chdir.missing", "/at/f" },
            { "chdir.missing", "/etc/passwd" }, { "chdir.masked", "/at/b" }, { "path.relative", "at" },
            { "path.dotdot", "/at/../etc" },
        } do
            local record, result = probe.status(scratch("status"), { "--rw", scratch("a") .. ":/at", "--mask", "/at/b", "-C",
                case[2], "touch", "/at/ran" })
            assert.same({ 125, case[1] }, { result.code, record.code })
            assert.is_false(sandbox.exists(scratch("a/ran")))
        end
    end)

    it("E4: a directory that goes away before the launch is a failure, and nothing runs", function()
        assert(os.execute("mkdir -p " .. scratch("a/b")))
        local policy = assert(demilune.policy { rw_binds = { { scratch("a"), "/at" } }, chdir = "/at/b" })
        local plan = assert(policy:plan { "touch", "/at/ran" })
        assert(lfs.rmdir(scratch("a/b")))
        local result, message, code = plan:run {}
        assert.same({ nil, "chdir.missing" }, { result, code })
        assert.matches('cannot start in "/at/b": No such file', message)
        assert.is_false(sandbox.exists(scratch("a/ran")))
    end)

    it("E5: the privileges of its status, signals, session and host name", function()
        local code = [[
import ctypes, os, socket
lines = dict(line.rstrip().split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line.rstrip())
for name in ("Umask", "TracerPid", "NoNewPrivs", "Seccomp", "SigQ", "ShdPnd", "SigPnd", "SigBlk", "NSpid"):
    print(name, lines.get(name, "").split("/")[0] if name != "SigQ" else "")
print("CapEff", lines["CapEff"], "CapBnd", lines["CapBnd"])
print("session", os.getsid(0) == os.getpgid(0) == 1, "securebits", ctypes.CDLL(None).prctl(27, 0, 0, 0, 0))
print("maps", *open("/proc/self/uid_map").read().split()[::2], open("/proc/self/setgroups").read().strip())
print(socket.gethostname())
]]
        local zeros = ("0"):rep(16)
        local golden = ("Umask 0022\nTracerPid 0\nNoNewPrivs 1\nSeccomp 2\nSigQ \nShdPnd %s\nSigPnd %s\nSigBlk %s\nNSpid 2\n" ..
            "CapEff %s CapBnd %s\nsession SESSION securebits 0\nmaps UID 1 deny\nbox\n"):format(zeros, zeros, zeros, zeros, zeros)
        for _, user in ipairs { "nobody", "caller" } do
            local inside = probe.python({ "--user", user, "--hostname", "box" }, code, { prefix = "umask 0;" })
            local uid = user == "nobody" and "65534" or sandbox.sh("id -u").out:gsub("\n", "")
            assert.equal((golden:gsub("SESSION", "False"):gsub("UID", uid)), inside.out, inside.err)
        end
        local bare = probe.bare(code, { prefix = "umask 0;" })
        assert.matches("NoNewPrivs 0", bare.out, bare.err)
        assert.is_nil(bare.out:find("CapBnd " .. zeros, 1, true))
    end)
end)

describe("many runs:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("C2: fifty at once of one policy each do their own work, and leave nothing behind", function()
        assert(lfs.mkdir(scratch("out")))
        sandbox.write(scratch("policy.lua"), ([[return {
            rw_binds = { { "%s", "/out" } }, masks = { "/etc/ld.so.conf.d" }, secrets = { ["/run/secret"] = "shared" },
            tmpfs = { "/t" }, env = { NUMBER = true },
            prepare = function(policy, context) policy:set_env("HOOKED", context.env.NUMBER) end,
        }]]):format(scratch("out")))
        local result = sandbox.sh(([[
for i in $(seq 1 50); do
    NUMBER=$i %s run -p %s --status %s.$i -- sh -c 'ls -A /work /t | grep -v : ; echo $HOOKED >/work/own; sleep 0.1
        text=$(cat /work/own /run/secret); set -- /proc/[0-9]*; echo "$NUMBER $text $#" >/out/$NUMBER; exit $NUMBER' \
        </dev/null >%s.$i 2>&1 &
done
wait]]):format(sandbox.command, scratch("policy.lua"), scratch("status"), scratch("said")))
        assert.equal(0, result.code)
        for i = 1, 50 do
            assert.equal("", (sandbox.read(scratch("said." .. i)):gsub("\n", "")))
            assert.equal(("%d %d\nshared 2\n"):format(i, i), sandbox.read(scratch("out/" .. i)))
            assert.equal(i, cjson.decode(sandbox.read(scratch("status." .. i))).exit_code)
        end
    end)

    it("C3: the check for leaks finds a descriptor, a child and a file", function()
        local before = leaks.snapshot()
        local file = assert(io.open("/etc/passwd"))
        assert.has_error(function() leaks.compare(before) end)
        file:close()
        local child = assert(io.popen("sleep 0.2"))
        assert.has_error(function() leaks.compare(before) end)
        child:close()
        local made = sandbox.write("/tmp/demilune-" .. leaks.run_name, "")
        assert.has_error(function() leaks.compare(before) end)
        os.remove(made)
        leaks.compare(before)
    end)

    -- Runs each line of argv[2:] with sh as the reaper of whatever is orphaned, and prints what is there that was not
    -- before: processes, mounts, cgroups, files of temporary places, and what of zombies came to us.
    local HOST = UNTIL .. [[
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) # PR_SET_CHILD_SUBREAPER
def children():
    return [pid for task in os.listdir("/proc/self/task") for pid in open("/proc/self/task/%s/children" % task).read().split()]
def is_ours(place, name):
    return place == sys.argv[1] or "demilune" in name or "bwrap" in name
def made_by_us(path): # the specs of another user run beside these, and have cgroups
    try:
        return os.stat(path).st_uid == os.getuid()
    except FileNotFoundError:
        return False
def state():
    found = set(open("/proc/self/mountinfo")) | set(open("/proc/1/mounts"))
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/user/%d" % os.getuid(), os.path.expanduser("~"), sys.argv[1]):
        if os.path.isdir(place):
            found |= {os.path.join(place, name) for name in os.listdir(place) if is_ours(place, name)}
    for directory, names, _ in os.walk("/sys/fs/cgroup"):
        paths = {os.path.join(directory, name) for name in names if is_ours(directory, name)}
        found |= set(filter(made_by_us, paths))
    return found
before = state()
for line in sys.argv[2:]:
    subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def reaped():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return False
    except ChildProcessError:
        return True
print("no process" if until(reaped) else "left: " + " ".join(children()))
print(sorted(state() - before), sorted(before - state()))
]]

    it("C3: the host is as it was: after good ends, refusals, failures and kills", function()
        for _, name in ipairs { "w", "r" } do
            assert(lfs.mkdir(scratch(name)))
        end
        sandbox.write(scratch("bwrap"), "#!/bin/sh\nexit 1\n", "755")
        local run = ("%s run --rw %s:/w --ro %s:/w/none --mask /etc/hosts --tmpfs /t"):format(sandbox.command, scratch("w"),
            scratch("r")):gsub("/w/none", "/r")
        local ends = {
            "-- true", "-- false", "-- sh -c 'kill -9 $$'", "-- no-such-command", "-C /none -- true", "--ro /no/such -- true",
            "--timeout 50ms -- sleep 9", "--timeout 1ms -- sleep 9", "-- sh -c 'setsid sleep 300 & exit 3'",
            "--limit open_files=2000000000 -- true", "-p /no/such.lua -- true", "--dry-run -- true",
            "-- sh -c 'touch /t/x /tmp/x /work/x /dev/shm/x'", "-- sh -c 'kill -9 -1'",
        }
        local lines = {}
        for i, words in ipairs(ends) do
            lines[i] = run .. " " .. words
        end
        for _, seconds in ipairs { 0.001, 0.003, 0.006, 0.02, 0.3 } do
            for _, signal in ipairs { "KILL", "TERM", "HUP" } do
                lines[#lines + 1] = ("%s -- sleep 300 & sleep %g; kill -%s $!; wait"):format(run, seconds, signal)
            end
        end
        local result = probe.host(HOST, { scratch(), table.unpack(lines) })
        assert.equal("no process\n[] []\n", result.out, result.err)
        assert.equal("", sandbox.sh(("ls -A %s %s | grep -v :"):format(scratch("w"), scratch("r"))).out:gsub("\n", ""))
    end)

    it("C3: which would show what a run leaves behind", function()
        local left = probe.host(HOST, { scratch(), "touch " .. scratch("made") })
        assert.equal(("no process\n['%s'] []\n"):format(scratch("made")), left.out, left.err)
        left = probe.host((HOST:gsub("times=200", "times=4")), { scratch(), "setsid sleep 3 & :" })
        assert.matches("^left: %d+\n", left.out, left.err)
    end)
end)
