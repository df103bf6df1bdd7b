-- The inner stage tells the runner what became of the command: a hostile command must not be able to speak for it, and
-- a bwrap that does not isolate must not get past it.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- What one process may do to another of the same uid. argv[1] is a pid, or "child" for one that must work.
local REACH = [[
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
child = subprocess.Popen(["sleep", "60"]) if sys.argv[1] == "child" else None
pid = child.pid if child else int(sys.argv[1])
if child:
    while open("/proc/%d/comm" % pid).read() != "sleep\n":
        pass
def syscall(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def vm_write():
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    start = int(open("/proc/%d/maps" % pid).readline().split("-")[0], 16)
    local = Vector(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    syscall(310, pid, ctypes.byref(local), 1, ctypes.byref(Vector(start, 8)), 1, 0)
tries = {
    "memory": lambda: open("/proc/%d/mem" % pid, "r+b").close(),
    "descriptors": lambda: os.readlink("/proc/%d/fd/%s" % (pid, os.listdir("/proc/%d/fd" % pid)[0])),
    "steal": lambda: syscall(438, syscall(434, pid, 0), 0, 0),
    "environ": lambda: open("/proc/%d/environ" % pid).read(),
    "vm": vm_write,
    "ptrace": lambda: syscall(101, 16, pid, 0, 0),
}
for name, attempt in tries.items():
    try:
        attempt()
        print(name, "works")
    except OSError as error:
        print(name, "refused" if error.errno in (1, 13) else error)
if child:
    child.kill()
]]

describe("the inner stage:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- Without the filter, which would refuse half of it whoever the target is.
    local function reach(target)
        return sandbox.demilune({ "run", "-q", "--seccomp=off", "--", "/usr/bin/python3", "-c", REACH, target })
    end

    it("cannot be written to, read, robbed or traced", function()
        local inside = reach("1")
        assert.equal("memory refused\ndescriptors refused\nsteal refused\nenviron refused\nvm refused\nptrace refused\n",
            inside.out, inside.err)
    end)

    it("which the same command can do to its own children", function()
        local inside = reach("child")
        assert.matches("^memory works\ndescriptors works\nsteal works\nenviron works\n", inside.out,
            inside.err)
        assert.matches("ptrace works\n$", inside.out)
    end)

    it("waits without using the processor", function()
        local result = sandbox.script({}, "sleep 1; cut -d' ' -f14,15 /proc/1/stat")
        local user, system = result.out:match("^(%d+) (%d+)\n$")
        assert.is_true(user + system < 10, result.out) -- hundredths of a second
    end)

    it("has limits that the command cannot change, which without the filter it can", function()
        local code = [[
import ctypes, struct
none = ctypes.create_string_buffer(struct.pack("QQ", 0, 0))
print(ctypes.CDLL(None).prlimit(1, 7, none, None))]]
        for option, answer in pairs { default = "-1\n", off = "0\n" } do
            local result = probe.python({ "--seccomp", option }, code)
            assert.equal(answer, result.out)
            assert.equal(0, result.code) -- what was executed is never said not to have been
        end
    end)

    it("a report cannot be forged through any descriptor that can be opened", function()
        local forge = [[
import os, struct
reports = [struct.pack("=IIqQQQ", kind, 0, 0, 0, 0, 0) for kind in (4, 5)]
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        names = os.listdir("/proc/%s/fd" % pid)
    except OSError:
        continue
    for name in names:
        if int(pid) == os.getpid() and int(name) < 3:
            continue
        try:
            fd = os.open("/proc/%s/fd/%s" % (pid, name), os.O_WRONLY | os.O_NONBLOCK)
            for report in reports:
                os.write(fd, report)
        except OSError:
            pass
os._exit(7)
]]
        local record, result = probe.status(scratch("status"), { "--", "/usr/bin/python3", "-c", forge })
        assert.equal(7, result.code, result.err)
        assert.same({ "exit", 7 }, { record.kind, record.exit_code })
    end)

    for _, signal in ipairs { "KILL", "STOP", "TERM", "SEGV" } do
        it("is pid 1, and nothing inside can end or stop it: " .. signal, function()
            local record = probe.status(scratch("status"), { "--timeout", "20s", "--", "sh", "-c",
                "kill -" .. signal .. " 1; sleep 0.1; exit 5" })
            assert.same({ "exit", 5 }, { record.kind, record.exit_code })
        end)
    end

    it("lives on when a command kills all that it can, itself not", function()
        local record = probe.status(scratch("status"), { "--", "sh", "-c", "kill -9 -1; sleep 0.1; exit 5" })
        assert.same({ "exit", 5 }, { record.kind, record.exit_code })
    end)

    it("P1: reaps a thousand orphans", function()
        local inside = probe.python({}, [[
import os, time
for _ in range(1000):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
time.sleep(0.3)
print(len([p for p in os.listdir("/proc") if p.isdigit()]))
]])
        assert.equal("2\n", inside.out, inside.err)
    end)

    -- bwrap's pid 1 hands the exit code out through an eventfd that a command can take.
    local FORGE_EXIT = [[
import ctypes, os, struct, time
libc = ctypes.CDLL(None)
pidfd = libc.syscall(434, 1, 0)
for name in os.listdir("/proc/1/fd"):
    if "eventfd" in os.readlink("/proc/1/fd/" + name):
        fd = libc.syscall(438, pidfd, int(name), 0)
        os.write(fd, struct.pack("=Q", 1))
time.sleep(0.5)
os._exit(7)
]]

    it("bwrap's own exit code can be forged from inside", function()
        local line = probe.reference({}, { "/usr/bin/python3", "-c", FORGE_EXIT })
        assert.equal(0, sandbox.sh(line).code)
    end)

    it("which makes no success of it here", function()
        local record, result = probe.status(scratch("status"), { "--", "/usr/bin/python3", "-c", FORGE_EXIT })
        assert.not_equal(0, result.code)
        assert.is_false(record.ok)
    end)

    describe("a bwrap that does not isolate", function()
        local function start(text, user)
            local fake = sandbox.write(scratch("bwrap"), text, "755")
            -- the filter would keep namespaces from being made, whatever this bwrap does
            local policy = assert(demilune.policy { rw_binds = { scratch() }, user = user,
                seccomp = { allow = { "nested" } } })
            local plan = assert(policy:plan { "touch", scratch("ran") })
            local process = assert(core.start(plan.core, { bwrap = fake }))
            local result = sandbox.finish(process, {})
            assert.is_false(sandbox.exists(scratch("ran")))
            assert.equal("setup_failed", result.kind)
            assert.is_false(result.ok)
            return result
        end

        -- A bwrap that drops options. They come through a descriptor, so it rewrites what is in it.
        local function without(dropped, user)
            local options = {}
            for i, option in ipairs(dropped) do
                options[i] = ("%q"):format(option)
            end
            return start(([[#!/usr/bin/python3 -I
import os, sys
words = os.read(3, 1 << 20).split(b"\0")[:-1]
dropped = [%s]
kept, skip = [], False
for word in words:
    if skip:
        skip = False
    elif word.decode("latin1") in dropped:
        skip = word in (b"--cap-drop", b"--add-seccomp-fd", b"--uid", b"--gid")
    else:
        kept.append(word)
fd = os.memfd_create("arguments")
os.write(fd, b"".join(word + b"\0" for word in kept))
os.lseek(fd, 0, 0)
os.dup2(fd, 3)
os.execv("%s", ["bwrap"] + sys.argv[1:])
]]):format(table.concat(options, ","), core.find_bwrap()), user)
        end

        it("at all is found out, and nothing has run", function()
            local result = start("#!/bin/sh\nexec \"$4\"\n")
            assert.equal("setup.unsafe", result.code)
            assert.equal("bwrap did not isolate what it was told to: the command would share the host's mount namespace; " ..
                "is it the real bwrap?", result.message)
        end)

        it("but says that all is well is no success", function()
            assert.equal("setup.failed", start("#!/bin/sh\nexit 0\n").code)
            assert.equal("setup.failed", start("#!/bin/sh\necho fine >&2; exit 0\n").code)
        end)

        it("but runs the command itself would still be told from a sandbox", function()
            local result = start("#!/bin/sh\n: <&6; printf nonsense >&6\nexit 0\n")
            assert.equal("setup_failed", result.kind)
        end)

        it("is the real one when it drops nothing", function()
            local fake = sandbox.write(scratch("bwrap"),
                ("#!/bin/sh\nexec %s \"$@\"\n"):format(core.find_bwrap()), "755")
            local plan = assert(demilune.policy {}:plan { "true" })
            assert.is_true(sandbox.finish(core.start(plan.core, { bwrap = fake }), {}).ok)
        end)

        for option, name in pairs { ["--unshare-ipc"] = "ipc", ["--unshare-uts"] = "uts",
            ["--unshare-net"] = "network" } do
            it("the " .. name .. " is found out", function()
                local result = without { option }
                assert.equal("setup.unsafe", result.code, result.message)
                assert.matches("would share the host's " .. name .. " namespace", result.message, 1, true)
            end)
        end

        it("the processes is found out or fails", function()
            assert.matches("^setup%.", without({ "--unshare-pid" }).code)
        end)

        it("the users is found out or fails", function()
            assert.matches("^setup%.", without({ "--unshare-user", "--disable-userns" }).code)
        end)

        it("user namespaces from within is found out", function()
            local result = without { "--disable-userns" }
            assert.equal("setup.unsafe", result.code, result.message)
            assert.matches("could make user namespaces", result.message, 1, true)
        end)

        it("the user is found out", function()
            local result = without { "--uid", "--gid" }
            assert.equal("setup.unsafe", result.code, result.message)
            assert.matches("would not have the ids that it should", result.message, 1, true)
        end)

        it("the init's place is found out", function()
            local result = without { "--as-pid-1" }
            assert.equal("setup.unsafe", result.code, result.message)
            assert.matches("would not be alone in its pid namespace", result.message, 1, true)
        end)

        it("privileges that can be gained is found out", function()
            local result = start([[#!/bin/sh
exec unshare --user --map-user=65534 --map-group=65534 --mount --pid --fork --ipc --uts --net "$4"
]])
            assert.equal("setup.unsafe", result.code, result.message)
            assert.matches("could gain privileges", result.message, 1, true)
        end)

        it("system calls is found out", function()
            local result = without { "--add-seccomp-fd" }
            assert.equal("setup.unsafe", result.code, result.message)
            assert.matches("no system call filter would hold", result.message, 1, true)
        end)

        it("system calls is found out under a filter of somebody else too", function()
            -- one that lets everything through, as a container's might
            local fake = sandbox.write(scratch("bwrap"), ([[#!/usr/bin/python3 -I
import os, sys
words = os.read(3, 1 << 20).split(b"\0")[:-1]
at = words.index(b"--add-seccomp-fd")
fd = os.memfd_create("arguments")
os.write(fd, b"".join(word + b"\0" for word in words[:at] + words[at + 2:]))
os.lseek(fd, 0, 0)
os.dup2(fd, 3)
os.execv("%s", ["bwrap"] + sys.argv[1:])
]]):format(core.find_bwrap()), "755")
            local host = sandbox.write(scratch("host.lua"), ([[
package.path, package.cpath = %q, %q
local core, demilune = require "demilune.core", require "demilune"
local plan = demilune.policy {}:plan { "true" }
local process = core.start(plan.core, { bwrap = %q })
core.advance(process, "ended")
io.write(core.result(process, {}).code or "ran")]]):format(package.path, package.cpath, fake))
            local under = [=[
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
buffer = ctypes.create_string_buffer(struct.pack("<HBBI", 6, 0, 0, 0x7fff0000))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, struct.pack("HxxxxxxP", 1, ctypes.addressof(buffer))) == 0
os.execvp("lua5.4", ["lua5.4", sys.argv[1]])]=]
            assert.equal("setup.unsafe", probe.host(under, { host }).out)
        end)

        it("the capabilities of root is found out", function()
            if sandbox.is_root then
                local result = without({ "--cap-drop" }, "caller")
                assert.equal("setup.unsafe", result.code, result.message)
                assert.matches("would have capabilities", result.message, 1, true)
            end
        end)
    end)
end)
