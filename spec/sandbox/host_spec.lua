-- Hosts that lack something: an older kernel, a filter around us, no /proc, no /dev. What cannot be had is named, and nothing
-- runs; what there is a way around works.
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local EIO, EAGAIN, EINVAL, ENOSYS = 5, 11, 22, 38
local NOT_THERE = "Function not implemented"

describe("a host", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- Launches with the module; `fields` is the policy as Lua text.
    local function launch(prefix, fields)
        local result = probe.lua(scratch("host.lua"), ([[
            local policy, why = require "demilune".policy %s
            local result
            if policy then result, why = policy:run({ "touch", "%s" }, { capture = true }) end
            print(result and result.kind or why)]]):format(fields or ("{ rw_binds = { %q } }"):format(scratch()),
            scratch("ran")), { prefix = prefix })
        return result.out .. result.err
    end

    local function refuses(prefix, reason, fields)
        assert.equal(reason .. "\n", launch(prefix, fields))
        assert.is_false(sandbox.exists(scratch("ran")))
    end

    it("with nothing missing launches, behind an idle filter and in mounts of its own", function()
        assert.equal("exit\n", launch(lacking.call { "acct", errno = ENOSYS }))
        assert.is_true(sandbox.exists(scratch("ran")))
        assert.equal("exit\n", launch(lacking.mounts "true"))
    end)

    it("whose memory files know no executable flag launches", function()
        assert.equal("exit\n", launch(lacking.call { "memfd_create", errno = EINVAL, argument = 1, bits = 0x10 }))
        assert.is_true(sandbox.exists(scratch("ran")))
    end)

    local native = sandbox.backend == "native"
    for _, case in ipairs {
        { "memory files", { "memfd_create", errno = ENOSYS }, "no memory file: " .. NOT_THERE },
        { "pidfds", { "pidfd_open", errno = ENOSYS }, "no pidfd: " .. NOT_THERE },
        { "processes", { "clone", errno = EAGAIN, argument = 0, bits = 0x1000 },
            (native and "native backend: no new namespaces" or "no process can be started") ..
            ": Resource temporarily unavailable" },
        { "limits inside #unsanitized", { "prlimit64", errno = EAGAIN, argument = 2, bits = 0xffffffff },
            "inner stage: a resource limit cannot be set: Resource temporarily unavailable" },
        { "descriptors inside", { "dup3", errno = EINVAL, argument = 0, value = 7 }, -- where the stage takes its input from
            "inner stage: descriptors cannot be taken over: Invalid argument" },
        { "processes inside", { "clone", errno = EAGAIN, argument = 0, value = 0x4111 },
            "inner stage: the command's process cannot be made: Resource temporarily unavailable" },
    } do
        it(("C4: without %s says so, and nothing runs"):format(case[1]), function()
            refuses(lacking.call(case[2]), case[3])
        end)
    end

    it("C4: without openat2 takes what stands alone by its path, and refuses the rest", function()
        local without = lacking.call { "openat2", errno = ENOSYS }
        if native then
            refuses(without, 'native backend: base: "/usr": cannot be opened: ' .. NOT_THERE)
        else
            assert.equal("exit\n", launch(without))
            assert.is_true(os.remove(scratch("ran")))
        end
        sandbox.sh("mkdir " .. scratch "inner")
        refuses(without, ('ro_binds[1]: "%s" cannot be looked up below %s: %s [entry.unreadable]'):format(
            scratch "inner", scratch(), NOT_THERE), ("{ rw_binds = { %q }, ro_binds = { %q } }"):format(scratch(), scratch "inner"))
    end)

    it("that may write no large files is told so, and lives", function()
        assert.equal("no memory file: File too large\n", launch("ulimit -f 1;", "{}"))
    end)

    if sandbox.is_root then
        it("with groups of its own has nobody left to reap of launches that fail", function()
            local result = probe.lua(scratch("host.lua"), [[
                local policy = assert(require "demilune".policy { hostname = "other" })
                local works, reasons = assert(require "demilune".policy {}):run { "true" }, {}
                for i = 1, 5 do reasons[select(2, policy:run { "true" })] = true end
                for i = 1, 5 do assert(policy:spawn({ "true" }, { stdin = "null" })):close() end
                print(works.kind, #io.open("/proc/thread-self/children"):read("a"))]],
                { prefix = "setpriv --groups 0,4 " .. lacking.call { "sethostname", errno = 1 } })
            assert.equal("exit\t0\n", result.out, result.err)
        end)
    end

    it("without signal descriptors says so", function()
        local without = lacking.call { "signalfd4", errno = ENOSYS }
        local result = sandbox.demilune({ "run", "--", "touch", scratch("ran") }, { prefix = without })
        assert.equal(125, result.code)
        assert.matches("no signal descriptor: " .. NOT_THERE, result.err, 1, true)
        local inside = lacking.call { "signalfd4", errno = ENOSYS, argument = 3, value = 0x800 } -- the stage's flags
        assert.equal("inner stage: the command cannot be waited for: " .. NOT_THERE .. "\n", launch(inside, "{}"))
    end)

    if sandbox.is_root then -- for whom /proc is looked through
        it("whose /proc cannot be listed says so", function()
            refuses(lacking.call { "getdents64", errno = EIO },
                '"/proc" cannot be looked up: Input/output error [host.unknown]', "{}")
        end)
    end

    it("without /proc says so #unsanitized", function()
        local without = lacking.mounts "mount -t tmpfs none /proc"
        refuses(without, '"/proc/self/mountinfo" cannot be looked up: No such file or directory; ' ..
            "so it is not known what the policy shows [host.unknown]")
        refuses(without, (native and "native backend: ids cannot be mapped" or "/proc/thread-self/ns cannot be read") ..
            ": No such file or directory", "{}")
        local result = sandbox.demilune({ "run", "true" }, { prefix = without })
        assert.equal(125, result.code)
        assert.matches("/proc/self/exe cannot be read; is /proc mounted?", result.err, 1, true)
    end)

    it("without /dev/null says so", function()
        local without = lacking.mounts "mount -t tmpfs none /dev"
        refuses(without, "/dev/null: No such file or directory")
        local result = sandbox.sh(("exec %s %s run true <&-"):format(without, sandbox.quote(sandbox.command)))
        assert.equal(125, result.code)
        assert.equal("demilune: not enough memory, or no /dev/null\n", result.err)
    end)

    it("with a second /proc at an odd place does not show it", function()
        os.execute("mkdir " .. sandbox.quote(scratch("a b\\c")))
        local with = lacking.mounts("mount -t proc none " .. sandbox.quote(scratch("a b\\c")))
        local said = launch(with)
        assert.matches("shows a mount of proc, at " .. scratch("a b\\c"), said, 1, true)
        assert.matches("[bind.never]", said, 1, true)
        assert.is_false(sandbox.exists(scratch("ran")))
    end)

    -- Where nothing is writable, the kernel's mounts alone are asked for.
    local LISTMOUNT, STATMOUNT, EPERM = 458, 457, 1 -- the same on all machines
    for name, filter in pairs {
        ["by number"] = "", ["in the table, where it has no numbers"] = lacking.call { LISTMOUNT, errno = ENOSYS },
    } do
        it("finds a second /proc among many mounts, " .. name, function()
            local with = lacking.mounts(([[
for i in $(seq 150); do mkdir "$0/$i" && mount -t tmpfs none "$0/$i"; done
mkdir "$0/late" && mount -t proc none "$0/late"]]):gsub("%$0", scratch()))
            local said = launch(with .. " " .. filter, ("{ ro_binds = { %q } }"):format(scratch()))
            assert.matches("shows a mount of proc, at " .. scratch("late"), said, 1, true)
        end)

        it("sees what is mounted between two launches, " .. name, function()
            local result = probe.lua(scratch("host.lua"), ([[
                local policy = assert(require "demilune".policy { ro_binds = { %q } })
                local function works() return policy:plan { "true" } and "yes" or "no" end
                print(works(), works())
                os.execute "mkdir %s/it && mount -t tmpfs none %s/it && mkdir %s/it/proc && mount -t proc none %s/it/proc"
                print(works(), works())
                os.execute "umount %s/it/proc"
                print(works(), works())]]):gsub("%%s", scratch()):format(scratch()),
                { prefix = lacking.mounts "true" .. " " .. filter })
            assert.equal("yes\tyes\nno\tno\nyes\tyes\n", result.out, result.err)
        end)
    end

    it("with a mount deeper than a path can be plans all the same", function()
        local deep = ([[
mkdir "$0" && mount -t tmpfs none "$0" && name=$(printf %%0250d 1) && at=$0/p/q/r
for i in $(seq 15); do at=$at/$name; done
mkdir -p "$at" && mount -t tmpfs none "$at" &&
mv "$0/p/q/r" "$0/p/q/$name" && mv "$0/p/q" "$0/p/$name" && mv "$0/p" "$0/$name" &&
grep -Eq '[0-9/]{4200}' /proc/self/mountinfo]])
            :gsub("%%%%", "%%"):gsub("%$0", scratch "deep")
        assert.equal("exit\n", launch(lacking.mounts(deep), "{ ro_binds = { '/srv' } }"))
    end)

    -- A thread of the host may be in mounts of its own, which are not those of its first thread.
    local THREAD = [[
import ctypes, sys, threading
libc, lua = ctypes.CDLL(None), ctypes.CDLL("liblua5.4.so.0", ctypes.RTLD_GLOBAL)
lua.luaL_newstate.restype = ctypes.c_void_p
def launch():
    FS, NEWNS, PRIVATE = 0x200, 0x20000, 0x44000
    assert libc.unshare(FS | NEWNS) == 0 and libc.mount(b"none", b"/", None, PRIVATE, None) == 0
    assert libc.mount(b"none", sys.argv[2].encode(), b"proc", 0, None) == 0
    state = ctypes.c_void_p(lua.luaL_newstate())
    lua.luaL_openlibs(state)
    for load in lua.luaL_loadstring, lua.luaL_loadfilex: # as in: lua5.4 -e TEXT FILE
        word = sys.argv[-2 if load == lua.luaL_loadstring else -1].encode()
        assert load(state, word, None) == 0 and lua.lua_pcallk(state, 0, 0, 0, ctypes.c_ssize_t(0), None) == 0
thread = threading.Thread(target=launch)
thread.start()
thread.join()]]
    for name, filter in pairs {
        ["by number"] = "", ["in the table"] = lacking.call { LISTMOUNT, errno = ENOSYS },
    } do
        for _, field in ipairs { "ro_binds", "rw_binds" } do
            it(("knows what a thread alone has mounted, %s, under %s #unsanitized"):format(name, field), function()
                local shown = scratch "shown"
                assert(os.execute("mkdir " .. shown))
                local prefix = ("%s %s /usr/bin/python3 -c %s -- %s"):format(lacking.mounts "true", filter,
                    sandbox.quote(THREAD), shown)
                local said = launch(prefix, ("{ %s = { %q } }"):format(field, shown))
                assert.equal(("%s[1]: %q shows a mount of proc, at %s [bind.never]\n"):format(field, shown, shown), said)
            end)
        end
    end

    it("that lists its mounts and says nothing of them shows none", function()
        refuses(lacking.call { STATMOUNT, errno = EPERM }, '"/proc/self/mountinfo" cannot be looked up: ' ..
            "Operation not permitted; so it is not known what the policy shows [host.unknown]",
            ("{ ro_binds = { %q } }"):format(scratch()))
    end)
end)
