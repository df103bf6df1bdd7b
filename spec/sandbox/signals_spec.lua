-- Signals to the runner reach the command, and the terminal stays where it belongs.
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Starts argv[2:], waits for its first line, sends the signals of argv[1] with a pause between, prints what it says and
-- its exit code.
local SENDER = [[
import signal, subprocess, sys, time
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, text=True)
process.stdout.readline()
for name in sys.argv[1].split(","):
    process.send_signal(getattr(signal, "SIG" + name))
    time.sleep(0.3)
try:
    print(process.communicate(timeout=60)[0] + str(process.wait()))
finally:
    process.kill()
]]

-- The same on a terminal of its own, whose master side we are. argv[1] is what is typed.
local TERMINAL = [[
import os, pty, select, sys, time
pid, master = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
text, typed, end = b"", False, time.time() + 60
while time.time() < end:
    if select.select([master], [], [], 1)[0]:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        text += data
    if b"ready" in text and not typed:
        typed = True
        time.sleep(0.2)
        for key in sys.argv[1].split("|"):
            os.write(master, key.encode())
            time.sleep(0.3)
else:
    os.kill(pid, 9)
print(text.decode().replace("\r", ""), end="")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
]]

local WAIT = "echo ready; while :; do sleep 0.05; done"

describe("signals:", function()
    leaks.watch(before_each, after_each)
    local scratch = sandbox.scratch(before_each, after_each)

    local function send(signals, script, options)
        local words = { signals, sandbox.command, "run", "-q" }
        table.move(options or {}, 1, #(options or {}), #words + 1, words)
        return probe.host(SENDER, table.move({ "--", "sh", "-c", script }, 1, 4, #words + 1, words))
    end

    for _, name in ipairs { "TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "CONT" } do
        it(("P3: %s reaches the command's trap, and its exit code is kept"):format(name), function()
            local result = send(name, ("trap 'echo got %s; exit 7' %s; %s"):format(name, name, WAIT))
            assert.equal("got " .. name .. "\n7\n", result.out, result.err)
        end)
    end

    it("P3: a command without a trap ends by the signal", function()
        assert.equal("143\n", send("TERM", WAIT).out)
        assert.equal("130\n", send("INT", WAIT).out)
        assert.equal("129\n", send("HUP", WAIT).out)
    end)

    it("P3: a set-up that takes long ends by TERM, and nothing runs #once", function()
        local many = sandbox.write(scratch "many.lua", [[local binds = {}
for i = 1, 1500 do
    binds[i] = { "/usr/share", "/many/" .. i }
end
return { ro_binds = binds }]])
        local result = probe.host([[
import signal, subprocess, sys, time
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
time.sleep(0.5)
process.send_signal(signal.SIGTERM)
print(process.communicate(timeout=60)[0] + str(process.wait()))
]], { sandbox.command, "run", "--backend", "bwrap", "-p", many, "--", "echo", "ran" })
        assert.same({ "125\n", "demilune: cancelled before the command ran\n" }, { result.out, result.err })
    end)

    it("the status has the signal that ended it", function()
        send("TERM", WAIT, { "--status", scratch("status") })
        assert.matches('"kind":"signal".*"signal":15,"signal_name":"TERM"', sandbox.read(scratch("status")))
    end)

    it("one INT is the command's to ignore, a second one kills the tree", function()
        assert.equal("137\n", send("INT,INT", "trap '' INT; " .. WAIT).out)
        assert.equal("still here\n3\n", send("INT",
            "trap '' INT; echo ready; sleep 1; echo still here; exit 3").out)
    end)

    it("what the caller ignores (nohup, jobs in the background of a script) is not handed on", function()
        local script = "trap 'echo told; exit 5' USR1; trap 'echo hung up; exit 6' HUP; " .. WAIT
        local result = probe.host(SENDER, { "HUP,INT,USR1", "sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh",
            sandbox.command, "run", "-q", "--", "sh", "-c", script })
        assert.equal("told\n5\n", result.out, result.err)
    end)

    it("the whole process group hears it", function()
        local script = "trap 'wait; exit 4' TERM; sh -c 'trap \"echo child; exit\" TERM; " .. WAIT ..
            "' & wait"
        assert.equal("child\n4\n", send("TERM", script).out)
    end)

    it("a signal that comes before the command is ready is not lost", function()
        local code = [[
import signal, subprocess, sys, time
codes = set()
for delay in range(12):
    process = subprocess.Popen(sys.argv[1:])
    time.sleep(delay * 0.003)
    process.send_signal(signal.SIGTERM)
    try:
        codes.add(process.wait(30))
    except subprocess.TimeoutExpired:
        process.kill()
        codes.add("lost after %d ms" % (delay * 3))
print(sorted(codes - {-15, 143}, key=str))
]]
        assert.equal("[]\n", probe.host(code, { sandbox.command, "run", "--", "sleep", "300" }).out)
    end)

    it("TSTP stops the command and the runner, CONT resumes both", function()
        local code = "import subprocess, sys\nmarker = sys.argv[1]\nprocess = subprocess.Popen(sys.argv[2:])\n"
            .. probe.stop_and_continue .. "print(process.wait())"
        local marker = probe.marker()
        local result = probe.host(code, { marker, sandbox.command, "run", "--", "sleep", marker })
        assert.equal("runs True\nstops True\nresumes True\n143\n", result.out, result.err)
    end)

    describe("a terminal:", function()
        local function terminal(typed, options, script)
            local words = { typed, sandbox.command, "run", "-q" }
            table.move(options, 1, #options, #words + 1, words)
            return probe.host(TERMINAL, table.move({ "--", "sh", "-c", script }, 1, 4, #words + 1, words))
        end

        it("P7: is no controlling terminal without --tty, and one with it", function()
            local script = "if sh -c ': </dev/tty' 2>/dev/null; then echo controls; else echo none; fi"
            assert.matches("^none\n", terminal("", {}, script).out)
            assert.matches("^controls\n", terminal("", { "--tty" }, script).out)
        end)

        for _, options in ipairs { {}, { "--tty" } } do
            it("Ctrl-C has the trap run " .. (options[1] or "in a new session"), function()
                local result = terminal("\3", options, "trap 'echo polite; exit 9' INT; " .. WAIT)
                assert.matches("polite\n9\n$", result.out)
                assert.is_nil(result.out:find("polite.*polite"), "the command heard it twice")
            end)
        end

        it("Ctrl-C twice ends what ignores it", function()
            assert.matches("137\n$", terminal("\3|\3", {}, "trap '' INT; " .. WAIT).out)
        end)

        it("can be read from and written to", function()
            local result = terminal("typed\n", { "--tty" },
                "stty -echo; echo ready; read line; echo \"got $line\"; exit 6")
            assert.matches("got typed\n6\n$", result.out)
        end)

        it("cannot be typed into (TIOCSTI, TIOCLINUX), not with their high bits set either", function()
            local script = [[
import ctypes, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)
for request in (0x5412, 0x5412 | 1 << 32, 0x541c, 0x541c | 1 << 32):
    byte = ctypes.create_string_buffer(b"x")
    result = libc.syscall(16, 0, ctypes.c_ulong(request), byte)
    print(result, os.strerror(ctypes.get_errno()))
]]
            local words = { "", sandbox.command, "run", "-q", "--tty", "--", "/usr/bin/python3", "-c",
                script }
            if io.popen("uname -m"):read() == "x86_64" then
                assert.equal(("-1 Operation not permitted\n"):rep(4) .. "0\n", probe.host(TERMINAL,
                    words).out)
            end
        end)
    end)
end)
