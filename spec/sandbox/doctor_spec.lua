-- The doctor: what works here, and for what does not the reason and a remedy. Each reason is made true for it alone.
local cjson = require("cjson").new()
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

describe("demilune doctor #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- What it says of each backend by name, and the whole.
    local function examine(prefix, code, env)
        local result = sandbox.demilune({ "doctor", "--json" }, { prefix = prefix, env = env })
        assert.equal(code, result.code, result.err)
        local report, backends = cjson.decode(result.out), {}
        for _, entry in ipairs(report.backends) do
            backends[entry.name] = entry
        end
        return backends, report
    end

    local function within(line)
        return ("unshare --user --map-root-user --mount --pid --fork sh -c %s sh"):format(
            sandbox.quote(line .. ' && exec "$@"'))
    end

    -- Neither works, each for this reason, with this remedy.
    local function neither(prefix, reason, remedy)
        local backends, report = examine(prefix, 125)
        assert.is_nil(report.auto)
        for _, name in ipairs { "bwrap", "native" } do
            local diagnosis = backends[name].diagnosis
            assert.is_false(backends[name].works)
            assert.is_truthy(diagnosis.reason:find(reason, 1, true), name .. ": " .. diagnosis.reason)
            assert.is_truthy(diagnosis.remedy:find(remedy, 1, true), name .. ": " .. diagnosis.remedy)
            assert.is_true(#diagnosis.message > 10)
        end
    end

    it("says that both work, and that auto is bwrap", function()
        local backends, report = examine(nil, 0)
        assert.same({ true, true, "bwrap" }, { backends.bwrap.works, backends.native.works, report.auto })
        local text = sandbox.demilune { "doctor" }
        assert.equal(0, text.code)
        assert.matches("\nbwrap %(/[^\n]*%): works\nnative: works\nLandlock: ABI %d+\nauto: bwrap\n", text.out)
    end)

    it("user namespaces that are off", function()
        neither(within "echo 0 >/proc/sys/user/max_user_namespaces", "user.max_user_namespaces is 0",
            "sysctl -w user.max_user_namespaces=")
    end)

    it("a kind of namespaces of which none are allowed: it is named", function()
        neither(within "echo 0 >/proc/sys/user/max_net_namespaces", "user.max_net_namespaces is 0",
            "sysctl -w user.max_net_namespaces=")
    end)

    it("a user namespace that does not know us", function()
        neither("unshare --user", "no place for our own user id", "unshare -Ur")
    end)

    it("a limit of namespaces that is used up further out", function()
        neither(within "echo 1 >/proc/sys/user/max_user_namespaces && exec unshare --user --map-root-user \"$@\" #",
            "is used up", "raise user.max_user_namespaces")
    end)

    it("a system call filter that refuses namespaces, as that of a container", function()
        local NEWUSER = 0x10000000
        local without = lacking.call { "clone", errno = 1, argument = 0, bits = NEWUSER }
        neither(without, "a filter of system calls refuses namespaces", "seccomp=unconfined")
    end)

    it("AppArmor, as on Ubuntu: what it shows, and what it refuses #unsanitized", function()
        local shows = within("mount -t tmpfs none /proc/sys/kernel && " ..
            "echo 1 >/proc/sys/kernel/apparmor_restrict_unprivileged_userns && echo 65534 >/proc/sys/kernel/overflowuid && " ..
            "echo 65534 >/proc/sys/kernel/overflowgid")
        local backends = examine(shows .. " " .. lacking.call { "clone", errno = 1, argument = 0, bits = 0x10000000 }, 125)
        assert.matches("^AppArmor keeps user namespaces from programs without a profile", backends.native.diagnosis.reason)
        assert.matches("use bwrap, which has one; or give this program a profile", backends.native.diagnosis.remedy)
    end)

    it("a /proc that is covered in part, as in a container", function()
        local backends = examine(within("mount -t proc proc /proc && mount -t tmpfs none /proc/scsi 2>/dev/null; " ..
            "mount --bind /dev/null /proc/timer_list && exec unshare --user --map-root-user --mount \"$@\" #"), 125)
        for _, name in ipairs { "bwrap", "native" } do
            assert.matches("a part of /proc is covered here.*/proc/timer_list", backends[name].diagnosis.reason)
            assert.matches("container", backends[name].diagnosis.remedy)
        end
    end)

    it("a /proc that is read-only", function()
        neither(within "mount -t proc -o ro proc /proc", "/proc is mounted read-only", "container")
    end)

    it("a chroot", function()
        assert(os.execute(("mkdir -p %s"):format(scratch("root"))))
        local inside = ("for d in usr bin lib lib64 proc dev etc tmp; do mkdir -p %s/$d; mount --rbind /$d %s/$d 2>/dev/null; done; " ..
            "mkdir -p %s%s; mount --rbind %s %s%s; exec chroot %s \"$@\" #")
        local root, build = scratch("root"), sandbox.command:match("^(.*)/bin/[^/]*$")
        neither(within(inside:format(root, root, root, build, build, root, build, root)), "we are in a chroot", "pivot_root")
    end)

    it("a kernel without the calls: an old one, or a filter that hides them", function()
        local backends, report = examine(lacking.call { "mount_setattr", errno = 38 }, 0)
        assert.same({ true, false, "bwrap" }, { backends.bwrap.works, backends.native.works, report.auto })
        assert.matches("a system call is missing that Linux has since 5.13, .* a filter hides it", backends.native.diagnosis.reason)
        assert.matches("^use bwrap", backends.native.diagnosis.remedy)
    end)

    it("no bwrap: auto is native, and launches", function()
        local without, env = within("mount --bind /dev/null /usr/bin/bwrap"), { "PATH=" .. scratch() }
        local backends, report = examine(without, 0, env)
        assert.same({ false, true, "native" }, { backends.bwrap.works, backends.native.works, report.auto })
        assert.matches("not installed", backends.bwrap.diagnosis.reason)
        assert.matches("apt%-get install bubblewrap", backends.bwrap.diagnosis.remedy)
        local result = sandbox.demilune({ "run", "--backend", "auto", "-v", "--", "/bin/echo", "launched" },
            { prefix = without, env = env })
        assert.same({ 0, "launched\n" }, { result.code, result.out }, result.err)
        assert.matches("by the native backend, system calls of our own.*natively: bwrap is not installed", result.err)
    end)

    it("a program that is not dumpable: where ids have to be mapped as an ordinary user, and in the launch #unsanitized", function()
        sandbox.write(scratch "undumpable.c", "#include <sys/prctl.h>\n#include <stdlib.h>\n" ..
            "__attribute__((constructor)) static void hide(void) { prctl(PR_SET_DUMPABLE, 0); unsetenv(\"LD_PRELOAD\"); }\n")
        assert.equal(0, sandbox.sh(("gcc -shared -fPIC -o %s %s && chmod 755 %s"):format(scratch "undumpable.so",
            scratch "undumpable.c", scratch())).code)
        local user = sandbox.is_root and "setpriv --reuid 1000 --regid 1000 --clear-groups" or ""
        local env = { "LD_PRELOAD=" .. scratch "undumpable.so" }
        local reason = "this program is not dumpable"
        local backends, report = examine(user, 0, env)
        assert.same({ true, false, "bwrap" }, { backends.bwrap.works, backends.native.works, report.auto })
        assert.matches("^" .. reason .. ".*prctl%(PR_SET_DUMPABLE, 0%)$", backends.native.diagnosis.reason)
        assert.matches("prctl%(PR_SET_DUMPABLE, 1%)", backends.native.diagnosis.remedy)
        assert.equal("native backend: ids cannot be mapped: Permission denied", backends.native.diagnosis.message)
        assert.is_true(examine(user, 0).native.works)

        local program = sandbox.write(scratch "program.lua", [[
local policy = assert(require("demilune").policy {})
print(select(2, policy:run({ "/bin/true" }, { backend = "native" })))
print(policy:run({ "/bin/true" }, { backend = "bwrap" }).ok)]])
        local build = sandbox.command:match("^(.*)/bin/[^/]*$")
        table.move({ ("LUA_PATH=%s/share/lua/5.4/?.lua"):format(build), ("LUA_CPATH=%s/lib/lua/5.4/?.so"):format(build) }, 1, 2,
            2, env)
        local result = sandbox.demilune({ program }, { command = "lua5.4", prefix = user, env = env })
        assert.matches("^the native backend does not work here: " .. reason .. ".*%(native backend: ids cannot be mapped: "
            .. "Permission denied%); use bwrap, [^\n]*prctl%(PR_SET_DUMPABLE, 1%)[^\n]*\ntrue\n$", result.out .. result.err)
    end)

    it("a bwrap in PATH that cannot be executed, unless one that can stands behind it", function()
        sandbox.sh(("mkdir %s %s && cp /usr/bin/bwrap %s && cp /usr/bin/bwrap %s && chmod 644 %s"):format(scratch "a",
            scratch "b", scratch "a/bwrap", scratch "b/bwrap", scratch "a/bwrap"))
        local without = within("mount --bind /dev/null /usr/bin/bwrap && cd " .. scratch "a")
        local function found(path)
            local entry = examine(without, 0, { "PATH=" .. path }).bwrap
            return { entry.path, entry.works }
        end
        assert.same({ scratch "b/bwrap", true }, found(scratch "a" .. ":" .. scratch "b"))
        assert.same({ scratch "a/bwrap", false }, found("/nowhere:" .. scratch "a"))
        assert.same({ "bwrap", false }, found "/nowhere:") -- an empty word is the current directory
        assert.same({ nil, false }, found "/nowhere")
    end)

    it("neither: auto is an error that has both reasons", function()
        local result = sandbox.demilune({ "run", "--backend", "auto", "--", "true" }, { env = { "PATH=" .. scratch() },
            prefix = within "mount --bind /dev/null /usr/bin/bwrap && echo 0 >/proc/sys/user/max_user_namespaces" })
        assert.equal(125, result.code)
        assert.matches("bwrap is not installed here.*and the native backend does not work here: .*namespaces", result.err)
    end)

    it("refuses arguments that it does not know, and says how it is used", function()
        assert.equal(125, sandbox.demilune({ "doctor", "--jsno" }).code)
        assert.matches("^usage: demilune doctor", sandbox.demilune({ "doctor", "--help" }).out)
    end)
end)
