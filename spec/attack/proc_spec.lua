-- Files of /proc that would change the host: real root's "nobody" owns them.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Opens every file of /proc that belongs to no process for writing, without writing.
local WALK = [[
import os
opened, tried = [], 0
for directory, names, files in os.walk("/proc"):
    if directory == "/proc":
        names[:] = [name for name in names if not name.isdigit() and name not in ("self", "thread-self")]
    for name in files:
        path = os.path.join(directory, name)
        if os.path.islink(path):
            continue
        tried += 1
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))
            opened.append(path)
        except OSError:
            pass
print(len(opened), "/proc/sys/kernel/core_pattern" in opened, tried > 100)
print(*opened[:20], sep="\n")
]]

local CORE_PATTERN = [[
import os
try:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    print("open for writing")
except OSError as error:
    print(error.strerror)
]]

describe("/proc:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    for _, options in ipairs { {}, { "--user", "caller" }, { "--net" }, { "--nested" } } do
        it("nothing of the host can be opened for writing " .. table.concat(options, " "), function()
            local inside = probe.python(table.move({ "-q" }, 1, 1, #options + 1, { table.unpack(options) }),
                WALK)
            assert.equal("0 False True\n\n", inside.out, inside.err)
        end)
    end

    it("core_pattern by name, and what else would give the host away", function()
        local reason = sandbox.is_root and "Read-only file system\n" or "Permission denied\n"
        assert.equal(reason, probe.python({}, CORE_PATTERN).out)
    end)

    it("by hand, with the ancestor's command line, root's sandbox can open core_pattern for writing",
        function()
        local inside = sandbox.sh(probe.reference({}, { "/usr/bin/python3", "-c", CORE_PATTERN }))
        assert.equal(sandbox.is_root and "open for writing\n" or "Permission denied\n", inside.out,
            inside.err)
    end)

    -- What would be launched, and where /proc has entries that `make` makes, as a driver would.
    local function shown(make)
        return sandbox.demilune({ "run", "-n", "--backend", "bwrap", "true" }, {
            prefix = "unshare --user --map-root-user --mount sh -c " .. sandbox.quote([[
mkdir -p $0/real $0/own && mount --rbind /proc $0/real && mount -t tmpfs none $0/own && cd $0/own || exit 99
for entry in $0/real/*; do ln -s $entry; done
]] .. make .. [[; mount --rbind . /proc && cd / && exec "$@"]]) .. " " .. scratch "proc" })
    end

    it("what a driver makes writable is covered, whatever its name", function()
        local result = shown "touch below && mkdir 3com && touch 3com/below" -- the last is listed first
        assert.matches("--ro-bind-try /proc/below /proc/below", result.out, 1, true)
        assert.matches("--ro-bind-try /proc/3com /proc/3com", result.out, 1, true)
    end)

    it("what another mount hides of the host's is covered: it does not inside", function()
        assert.not_matches("/proc/hidden", shown("mkdir hidden").out, 1, true)
        local result = shown "mkdir hidden && mount -t tmpfs none hidden"
        assert.matches("--ro-bind-try /proc/hidden /proc/hidden", result.out, 1, true)
    end)

    it("a host's that shows nothing but processes does not let root's be made, which shows more", function()
        local function run(options)
            return sandbox.demilune({ "run", "-q", "--", "echo", "ran" }, {
                prefix = "unshare --user --map-root-user --mount --pid --fork sh -c " .. sandbox.quote(
                    "mount -t proc -o " .. options .. [[ proc /proc && exec "$0" "$@"]]) })
        end
        assert.equal("ran\n", run("hidepid=off").out)
        local result = run "subset=pid"
        assert.same({ 125, "" }, { result.code, result.out })
        assert.matches('"/proc" cannot be looked up: it shows nothing but processes', result.err, 1, true)
    end)

    it("what bwrap covers of root's by itself is looked at: by one that does not nothing is executed #once", function()
        sandbox.write(scratch "hide.c", "#include <errno.h>\n" ..
            "int access(const char *path, int mode) { errno = EACCES; return -1; }\n") -- so that it sees no need to
        assert.equal(0, sandbox.sh(("gcc -shared -fPIC -o %s %s"):format(scratch "hide.so", scratch "hide.c")).code)
        local careless = sandbox.write(scratch "bwrap", ("#!/bin/sh\nexec env LD_PRELOAD=%s %s \"$@\"\n"):format(
            scratch "hide.so", core.find_bwrap()), "755")
        local plan = assert(assert(demilune.policy {}):plan { "/bin/echo", "ran" }).core
        local function run(bwrap)
            local process = assert(core.start(plan, { bwrap = bwrap, stdin = -1, capture_stdout = true }))
            local result = sandbox.finish(process, { capture_stdout = true })
            return { result.kind, result.code, result.message, result.stdout }
        end
        assert.same({ "exit", nil, nil, "ran\n" }, run(core.find_bwrap()))
        assert.same(sandbox.is_root and { "setup_failed", "setup.unsafe", "bwrap did not isolate what it was told to: "
            .. "the command could write to parts of the machine's /proc; is it the real bwrap?", "" }
            or { "exit", nil, nil, "ran\n" }, run(careless))
    end)

    if sandbox.is_root then
        it("root of another group, for whom bwrap covers less by itself, has the same covers", function()
            local inside = probe.python({ "-q" }, WALK, { prefix = "setpriv --regid 1000 --clear-groups" })
            assert.equal("0 False True\n\n", inside.out, inside.err)
        end)
    end

    it("more to cover than there is room for is refused", function()
        assert.equal(0, shown("for i in $(seq 30); do touch w$i; done").code)
        local result = shown "for i in $(seq 33); do touch w$i; done"
        assert.equal(125, result.code)
        assert.matches('"/proc" cannot be looked up: ', result.err, 1, true)
    end)

    it("the covers cannot be taken away or made writable", function()
        local inside = probe.python({}, [[
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
MS_REMOUNT, MS_BIND, MNT_DETACH = 32, 4096, 2
calls = {
    "remount": lambda: libc.mount(b"none", b"/proc/sys", None, MS_REMOUNT | MS_BIND, None),
    "umount": lambda: libc.umount2(b"/proc/sys", MNT_DETACH),
    "umount /proc": lambda: libc.umount2(b"/proc", MNT_DETACH),
    "mount": lambda: libc.mount(b"proc", b"/tmp", b"proc", 0, None),
    "bind": lambda: libc.mount(b"/proc", b"/tmp", None, MS_BIND, None),
    "chroot": lambda: libc.chroot(b"/tmp"),
    "pivot_root": lambda: libc.syscall(155, b"/tmp", b"/tmp"),
}
for name, call in calls.items():
    if call() == 0 or ctypes.get_errno() not in (1, 38):
        print(name, os.strerror(ctypes.get_errno()))
print("done")
]])
        assert.equal("done\n", inside.out, inside.err)
    end)

    it("no process of the host is to be seen, nor what others have open", function()
        local inside = probe.python({}, [[
import os
print(sorted(int(p) for p in os.listdir("/proc") if p.isdigit()))
for path in ("/proc/1/root", "/proc/1/cwd", "/proc/1/fd/6", "/proc/1/mem", "/proc/kcore", "/dev/mem"):
    try:
        open(path, "rb").close() if not os.path.isdir(path) else print(path, os.listdir(path) == os.listdir("/"))
        print(path, "open") if not os.path.isdir(path) else None
    except OSError:
        pass
]])
        local lines = { "[1, 2]" }
        for line in inside.out:gmatch("[^\n]+") do
            assert.is_nil(line:find("False") or line:find("/proc/1") or line:find("kcore") or
                line:find("/dev/mem"), line)
            lines[#lines + 1] = line
        end
        assert.equal("[1, 2]", lines[2], inside.err)
    end)
end)
