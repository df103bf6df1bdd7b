-- Dangers: each is refused until it is acknowledged by name,
-- and what only looks like one is not. The command runs in
-- an environment of the case's own, for home, PATH and the sockets of a session are found through it.
local demilune = require "demilune"
local leaks = require "support.leaks"
local policies = require "support.policies"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- $S in the texts below is the scratch directory of the case. `make`: shell lines that prepare it; `env`: the
-- environment; `danger`: the fields that are refused; `near`: fields that need no acknowledging.
local cases = {
    { "engine_socket", "docker's socket, by its name", make = "bind_socket docker.sock; mkdir d; : >d/docker.sock",
        danger = { 'ro_binds = { "$S/docker.sock" }', 'rw_binds = { "$S/docker.sock" }' },
        near = { 'ro_binds = { "$S/d/docker.sock" }', 'ro_binds = { "$S/d" }' } },
    { "engine_socket", "other engines",
        make = "for n in podman containerd crio buildkitd; do bind_socket $n.sock; done; bind_socket libvirt-sock-ro;"
            .. "bind_socket virtqemud-sock; bind_socket podman.socket",
        danger = { 'ro_binds = { "$S/podman.sock" }', 'ro_binds = { "$S/containerd.sock" }',
            'ro_binds = { "$S/crio.sock" }',
            'ro_binds = { "$S/buildkitd.sock" }', 'ro_binds = { "$S/libvirt-sock-ro" }',
            'ro_binds = { "$S/virtqemud-sock" }' },
        near = { 'ro_binds = { "$S/podman.socket" }' } },
    { "engine_socket", "a link to a socket",
        make = "mkdir d; bind_socket d/docker.sock; ln -s d/docker.sock harmless",
        danger = { 'ro_binds = { { "$S/harmless", "/x" } }' } },
    { "ssh_agent", "SSH_AUTH_SOCK", make = "mkdir d e; bind_socket d/agent; : >d/other",
        env = { "SSH_AUTH_SOCK=$S/d/agent" },
        danger = { 'ro_binds = { "$S/d/agent" }', 'ro_binds = { "$S/d" }', 'project = "$S/d"',
            'work_host = "$S/d"',
            'effects = { { effect = "FsRead", path = "$S/d" } }', 'rw_binds = { { "$S/d", "/x" } }' },
        near = { 'ro_binds = { "$S/e" }', 'ro_binds = { "$S/d/other" }',
            'ro_binds = { "$S/d" }, masks = { "$S/d/agent" }',
            'ro_binds = { { "$S/d", "/x" } }, masks = { "/x/agent" }', 'ro_binds = { "$S" }, tmpfs = { "$S/d" }',
            'ro_binds = { "$S" }, masks = { "$S/d" }' } },
    { "ssh_agent", "agents by their names",
        make = "mkdir ssh-x3; bind_socket ssh-x3/agent.12; bind_socket S.gpg-agent.ssh",
        danger = { 'ro_binds = { "$S/ssh-x3/agent.12" }', 'ro_binds = { "$S/S.gpg-agent.ssh" }' } },
    { "gpg_agent", "the agent in the home",
        make = "mkdir -p home/.gnupg; bind_socket home/.gnupg/S.gpg-agent; : >home/.gnupg/x",
        env = { "HOME=$S/home" },
        danger = { 'ro_binds = { "$S/home/.gnupg" }', 'ro_binds = { "$S/home/.gnupg/S.gpg-agent" }' },
        near = { 'ro_binds = { "$S/home/.gnupg/x" }' } },
    { "gpg_agent", "by its name", make = "bind_socket S.gpg-agent.extra",
        danger = { 'ro_binds = { "$S/S.gpg-agent.extra" }' } },
    { "x11", "a display", make = "mkdir .X11-unix; bind_socket .X11-unix/X7; : >.X11-unix/X8",
        danger = { 'ro_binds = { "$S/.X11-unix/X7" }' },
        near = { 'ro_binds = { "$S/.X11-unix/X8" }' } },
    { "wayland", "a display", make = "bind_socket wayland-0; bind_socket wayland-x; mkdir d; : >d/wayland-0",
        danger = { 'ro_binds = { { "$S/wayland-0", "/x" } }' },
        near = { 'ro_binds = { "$S/wayland-x" }', 'ro_binds = { "$S/d/wayland-0" }' } },
    { "dbus", "the session's bus", make = "mkdir d e; bind_socket d/bus",
        env = { "DBUS_SESSION_BUS_ADDRESS=unix:path=$S/d/bus,guid=1;unix:path=/x" },
        danger = { 'ro_binds = { "$S/d/bus" }', 'ro_binds = { "$S/d" }' },
        near = { 'ro_binds = { "$S/e" }', 'ro_binds = { "$S/d" }, masks = { "$S/d/bus" }' } },
    { "user_runtime", "XDG_RUNTIME_DIR", make = "mkdir -p run/x y; : >run/x/f; ln -s run link",
        env = { "XDG_RUNTIME_DIR=$S/link" },
        danger = { 'ro_binds = { "$S/run" }', 'ro_binds = { "$S/run/x" }', 'ro_binds = { "$S/run/x/f" }' },
        near = { 'ro_binds = { "$S/y" }', 'ro_binds = { "$S" }, masks = { "$S/run" }' } },
    { "home_rw", "a home, writable", make = "mkdir -p all/home/project; ln -s all/home link",
        env = { "HOME=$S/link" },
        danger = { 'rw_binds = { "$S/all/home" }', 'rw_binds = { "$S/all" }', 'work_host = "$S/all/home"',
            'project = "$S/link"' },
        near = { 'rw_binds = { "$S/all/home/project" }', 'project = "$S/all/home/project"' } },
    { "home", "a home, read-only", make = "mkdir -p home/project", env = { "HOME=$S/home" },
        danger = { 'ro_binds = { "$S/home" }', 'ro_binds = { "$S" }', 'project = { "$S/home", write = false }' },
        near = { 'ro_binds = { "$S/home/project" }' } },
    { "home", "anybody's home", danger = { 'ro_binds = { "/root" }', 'ro_binds = { "/home" }' } },
    { "root", "the host, read-only", danger = { 'base = "none", ro_binds = { "/" }' },
        near = { 'base = "none", ro_binds = { { "/usr", "/" } }' } },
    { "root_rw", "the host, writable",
        danger = { 'base = "none", rw_binds = { "/" }, ro_binds = { policy_dir }' } },
    { "sys", "parts of /sys", make = "mkdir sys",
        danger = { 'ro_binds = { "/sys/class" }', 'ro_binds = { "/sys" }' },
        near = { 'ro_binds = { "$S/sys" }', 'ro_binds = { { "$S/sys", "/sysroot" } }' } },
    { "path_rw", "a directory of PATH", make = "mkdir -p bin/x tools/bin other; : >bin/tool",
        env = { "PATH=$S//bin/:relative:$S/tools/bin:/usr/bin:/bin" },
        danger = { 'rw_binds = { "$S/bin" }', 'rw_binds = { "$S/bin/tool" }', 'rw_binds = { "$S/bin/x" }',
            'rw_binds = { "$S/tools" }',
            'work_host = "$S/tools/bin"', 'project = "$S/tools"' },
        near = { 'ro_binds = { "$S/bin" }', 'rw_binds = { "$S/other" }',
            'rw_binds = { "$S/tools" }, ro_binds = { "$S/tools/bin" }',
                'rw_binds = { "$S/tools" }, masks = { "$S/tools/bin" }' } },
    { "path_rw", "hooks of git",
        make = "mkdir -p repo/.git/hooks repo/src plain; : >repo/.git/config; : >repo/.git/hooks/pre-commit",
        danger = { 'rw_binds = { "$S/repo" }', 'rw_binds = { "$S/repo/.git" }',
            'rw_binds = { "$S/repo/.git/hooks" }',
            'rw_binds = { "$S/repo/.git/hooks/pre-commit" }', 'rw_binds = { "$S/repo/.git/config" }',
                'work_host = "$S/repo"',
            'rw_binds = { "$S/repo" }, ro_binds = { "$S/repo/.git/hooks" }' },
        near = { 'project = "$S/repo"', 'ro_binds = { "$S/repo" }', 'rw_binds = { "$S/repo/src", "$S/plain" }',
            'rw_binds = { "$S/repo" }, ro_binds = { "$S/repo/.git" }',
                'rw_binds = { "$S/repo" }, masks = { "$S/repo/.git" }',
            'rw_binds = { "$S/repo" }, ro_binds = { "$S/repo/.git/hooks", "$S/repo/.git/config" }' } },
    { "path_rw", "what shells and direnv execute",
        make = "mkdir a b; : >a/.bashrc; : >b/.envrc; : >b/bashrc; mkdir c; : >c/bashrc",
        danger = { 'rw_binds = { "$S/a" }', 'rw_binds = { "$S/a/.bashrc" }', 'rw_binds = { { "$S/b", "/x" } }' },
        near = { 'rw_binds = { "$S/c" }', 'ro_binds = { "$S/a" }', 'project = "$S/b"',
            'rw_binds = { { "$S/b", "/x" } }, ro_binds = { { "$S/b/.envrc", "/x/.envrc" } }' } },
    { "path_rw", "what the system starts from", make = "mkdir lib",
        danger = { 'rw_binds = { { "/usr/lib", "/x" } }', 'rw_binds = { { "/usr/lib/os-release", "/x" } }',
            'rw_binds = { { "/var/lib", "/x" } }' },
        near = { 'ro_binds = { { "/usr/lib", "/x" } }', 'rw_binds = { { "$S/lib", "/x" } }',
            'rw_binds = { { "/var/lib", "/x" } }, ro_binds = { { "/var/lib/dpkg", "/x/dpkg" } }' } },
    { "path_rw", "what another entry puts in the place of", make = "mkdir a; : >a/.bashrc; : >harmless",
        danger = { 'rw_binds = { "$S/a", { "$S/a/.bashrc", "/x" } }' },
        near = { 'rw_binds = { "$S/a", { "$S/harmless", "$S/a/.bashrc" } }' } },
    { "device", "a device of the host",
        danger = { 'devices = { { "/dev/zero", "/dev/x" } }' },
        near = { 'devices = { { host = "/dev/none", optional = true } }' } },
    { "loader_env", "variables that change what is loaded",
        danger = { 'env = { LD_PRELOAD = "/x.so" }', 'env = { LD_LIBRARY_PATH = true }',
            'env_allowlist = { "LD_AUDIT" }',
            'env = { GCONV_PATH = "/x" }', 'env = { GLIBC_TUNABLES = "x" }', 'env = { BASH_ENV = "/x" }' },
        near = { 'env = { LD_PRELOAD = false }',
            'env = { LDFLAGS = "x", LD = "gold", BASH = "x", ENV_LD_X = "y" }' } },
    { "tty_unfiltered", "a terminal without a filter", danger = { 'tty = true, seccomp = "off"' },
        near = { "tty = true", 'seccomp = "off"', 'tty = true, seccomp = "default"' } },
}

-- Never, whatever is acknowledged: fields, the code and the words.
local everything = {}
for _, name in ipairs {
    "engine_socket", "ssh_agent", "gpg_agent", "x11", "wayland", "dbus", "user_runtime", "home_rw", "home",
        "root_rw",
    "root", "sys", "device", "path_rw", "loader_env", "tty_unfiltered", "no_seccomp",
} do
    everything[#everything + 1] = name
end

local never = {
    { { ro_binds = { { "/proc", "/x" } } }, "bind.never", "ro_binds[1]",
        '"/proc" is the host\'s /proc; inside there is always' },
    { { ro_binds = { { "/proc/sys", "/x" } } }, "bind.never", "ro_binds[1]", '"/proc/sys" is the host\'s /proc' },
    { { rw_binds = { { "/dev", "/x" } } }, "bind.never", "rw_binds[1]", '"/dev" is a device or the host\'s /dev' },
    { { ro_binds = { { "/dev/null", "/x" } } }, "bind.never", "ro_binds[1]", '"/dev/null" is a device' },
    { { rw_binds = { "/sys/class" } }, "bind.never", "rw_binds[1]",
        "is never writable inside; put it under ro_binds" },
    { { rw_binds = { { "/sys", "/x" } } }, "bind.never", "rw_binds[1]", "is never writable inside" },
    { { ro_binds = { "/proc" } }, "path.reserved", "ro_binds[1].sandbox", "the sandbox's own" },
    { { ro_binds = { { "/opt", "/proc/x" } } }, "path.reserved", "ro_binds[1].sandbox", "the sandbox's own" },
    { { ro_binds = { { "/opt", "/dev/x" } } }, "path.reserved", "ro_binds[1].sandbox", "the sandbox's own" },
    { { ro_binds = { { "/opt", "/sys/x" } } }, "path.reserved", "ro_binds[1].sandbox", "the sandbox's own" },
}

describe("danger:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function placed(text)
        return (text:gsub("%$S", scratch()))
    end

    local function make(lines)
        local bind_socket = "bind_socket() { /usr/bin/python3 -c "
            .. sandbox.quote "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])" .. ' "$1"; }; '
        local made = sandbox.sh("cd " .. scratch() .. " && " .. bind_socket .. (lines or ":"))
        assert(made.code == 0, made.err)
        os.execute("mkdir -p " .. scratch "policy")
    end

    -- What `demilune check` says to fields in an environment that has nothing of a session but `env`.
    local function check(fields, env, more)
        sandbox.write(scratch "policy/p.lua", placed(("return { %s%s }\n"):format(fields, more or "")))
        local words = { "-i", "HOME=/nonexistent", "PATH=/usr/bin:/bin" }
        for _, assignment in ipairs(env or {}) do
            words[#words + 1] = placed(assignment)
        end
        return sandbox.demilune({ "check", scratch "policy/p.lua" }, { env = words })
    end

    local function expect_danger(danger, fields, env)
        local result = check(fields, env)
        assert(result.code == 125, fields .. " was accepted")
        local hint = ('acknowledge = { "%s" }'):format(danger)
        assert(result.err:find(hint, 1, true), ("%s: no %s in %s"):format(fields, hint, result.err))
        assert(result.err:find("p.lua:1:", 1, true), result.err)
        result = check(fields, env, (', acknowledge = { "%s" }'):format(danger))
        assert(result.code == 0, result.err)
    end

    for _, case in ipairs(cases) do
        it(case[1] .. ": " .. case[2], function()
            make(case.make)
            for _, fields in ipairs(case.danger) do
                expect_danger(case[1], fields, case.env)
            end
            for _, fields in ipairs(case.near or {}) do
                local result = check(fields, case.env)
                assert(result.code == 0, fields .. ": " .. result.err)
            end
        end)
    end

    it("one acknowledged is not another", function()
        make "mkdir home"
        local result = check('rw_binds = { "$S/home" }', { "HOME=$S/home" },
            ', acknowledge = { "home", "root_rw" }')
        assert.equal(125, result.code)
        assert.matches('acknowledge = { "home_rw" }', result.err, 1, true)
    end)

    it("a home is where its link leads now, also for a program that has looked a moment ago", function()
        sandbox.sh(("mkdir %s %s; ln -s x %s"):format(scratch("x"), scratch("y"), scratch("home")))
        local result = probe.lua(scratch("host.lua"), ([[
            local demilune = require "demilune"
            local function code(bind)
                local plan, _, code = demilune.policy { ro_binds = { bind } }:plan { "true" }
                return plan and "fine" or code
            end
            local x, y, home = %q, %q, %q
            io.write(code "/usr/share", " ", code(x), " ", code(y), "\n")
            os.execute("ln -sfn y " .. home)
            io.write(code(x), " ", code(y), "\n")]]):format(scratch("x"), scratch("y"), scratch("home")),
            { prefix = "HOME=" .. scratch("home") })
        assert.equal("fine bind.dangerous fine\nfine bind.dangerous\n", result.out, result.err)
    end)

    it("several are reported at once", function()
        make "bind_socket docker.sock; mkdir home"
        local result = check('ro_binds = { "$S/docker.sock", "$S/home" }, env = { LD_PRELOAD = "x" }',
            { "HOME=$S/home" })
        local found = {}
        for name in result.err:gmatch 'acknowledge = { "([%w_]+)" }' do
            found[#found + 1] = name
        end
        assert.same({ "engine_socket", "home", "loader_env" }, found)
    end)

    for _, case in ipairs {
        { "x11", "/tmp/.X11-unix/X99test" }, { "dbus", "/tmp/dbus-specTest" }, { "engine_socket",
            "/containerd-shim/spec.sock" },
    } do
        it("an abstract socket with the network shared: " .. case[1], function()
            make()
            local program = [[
import socket, subprocess, sys
if sys.argv[1]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + sys.argv[1])
sys.exit(subprocess.run(sys.argv[2:]).returncode)
]]
            local function try(name, fields)
                sandbox.write(scratch "policy/p.lua", ("return { %s }\n"):format(fields))
                return sandbox.sh(("%s /usr/bin/python3 -c %s %s %s check %s"):format(sandbox.own_network,
                    sandbox.quote(program), sandbox.quote(name),
                    sandbox.quote(sandbox.command), scratch "policy/p.lua"))
            end
            local accept = ('acknowledge = { "%s" }'):format(case[1])
            local result = try(case[2], "network = true")
            assert.equal(125, result.code)
            assert(result.err:find(accept, 1, true) and result.err:find("network.dangerous", 1, true), result.err)
            assert.equal(0, try(case[2], "network = true, " .. accept).code)
            assert.equal(0, try(case[2], "network = false").code)
            local others = try("/spec/.X11-unix/dbus-", "network = true").err
            assert.equal(try("", "network = true").err, others)
        end)
    end

    it("a socket that cannot be reached by a path needs no acknowledging", function()
        policies.accepted { ro_binds = { { "/usr/share", "/x" } } }
    end)
end)

describe("never:", function()
    for _, case in ipairs(never) do
        it(case[2] .. " " .. case[4], function()
            local fields = { acknowledge = everything }
            for name, value in pairs(case[1]) do
                fields[name] = value
            end
            policies.refused(fields, case[2], case[3], case[4])
        end)
    end

    it("nested with a protection in a writable tree, which a namespace inside would undo", function()
        local lfs = require "lfs"
        local tree = lfs.currentdir() .. "/spec"
        for name, fields in pairs {
            masks = { rw_binds = { { tree, "/w" } }, masks = { "/w/support" } },
            ["ro_binds[1]"] = { rw_binds = { { tree, "/w" } }, ro_binds = { { tree .. "/support", "/w/support" } } },
        } do
            policies.accepted(fields)
            fields.nested = true
            policies.refused(fields, "nested.protection", name == "masks" and "masks[1]" or name, "not safe with nested")
        end
        policies.accepted { nested = true, rw_binds = { { tree, "/w" } }, masks = { "/usr/share" } }
    end)

    describe("the policy's own file", function()
        local scratch = sandbox.scratch(before_each, after_each)
        leaks.watch(before_each, after_each)

        local function check(fields)
            os.execute(("mkdir -p %s && ln -sfn d %s"):format(scratch "d", scratch "l"))
            sandbox.write(scratch "d/p.lua", ("return { %s, acknowledge = { %q, %q } }"):format(fields, "root_rw",
                "path_rw"))
            return sandbox.demilune({ "check", scratch "l/p.lua" }, { env = { "HOME=/nonexistent" } })
        end

        it("is not writable", function()
            for _, fields in ipairs {
                "rw_binds = { policy_dir }", 'rw_binds = { policy_dir .. "/p.lua" }', 'project = policy_dir',
                "work_host = policy_dir", 'rw_binds = { { policy_dir, "/x" } }',
                    'base = "none", rw_binds = { "/" }',
                ('rw_binds = { %q }'):format(scratch()), 'effects = { { effect = "FsWrite", path = policy_dir } }',
                'rw_binds = { policy_dir }, ro_binds = { { policy_dir, "/copy" } }',
            } do
                local result = check(fields)
                assert(result.code == 125, fields)
                local words = ('would let the command rewrite its own policy; protect it: ro_binds = { { "%s", '):format(
                    scratch "d/p.lua")
                assert(result.err:find(words, 1, true), result.err)
            end
        end)

        it("that is gone since it was read is no matter", function()
            os.execute("mkdir " .. scratch "w")
            sandbox.write(scratch "p.lua", ("return { rw_binds = { %q } }"):format(scratch "w"))
            local policy = assert(demilune.load(scratch "p.lua"))
            os.remove(scratch "p.lua")
            assert(policy:plan { "true" })
        end)

        it("is not writable either when it is one of several, or included", function()
            os.execute(("mkdir -p %s %s"):format(scratch "one", scratch "two"))
            local writable = ("return { rw_binds = { %q } }\n"):format(scratch "one")
            sandbox.write(scratch "one/p.lua", "return {}\n")
            sandbox.write(scratch "two/q.lua", writable)
            for _, order in ipairs { { "one/p.lua", "two/q.lua" }, { "two/q.lua", "one/p.lua" } } do
                local result = sandbox.demilune({ "explain", "-p", scratch(order[1]), "-p", scratch(order[2]) },
                    { env = { "HOME=/nonexistent" } })
                assert.equal(125, result.code)
                local words = ('protect it: ro_binds = { { "%s", '):format(scratch "one/p.lua")
                assert(result.err:find(words, 1, true), result.err)
            end
            local alone = sandbox.demilune({ "check", scratch "two/q.lua" }, { env = { "HOME=/nonexistent" } })
            assert.same({ 0, "" }, { alone.code, alone.err })
            sandbox.write(scratch "two/common.lua", "return { env = { A = policy_dir } }\n")
            sandbox.write(scratch "two/q.lua",
                'local p = include "common"\np.rw_binds = { policy_dir .. "/common.lua" }\nreturn p\n')
            alone = sandbox.demilune({ "check", scratch "two/q.lua" }, { env = { "HOME=/nonexistent" } })
            assert.equal(125, alone.code)
            assert(alone.err:find("would let the command rewrite its own policy", 1, true), alone.err)
        end)

        it("is not writable through another mount or a hard link of it", function()
            local lua = 'return { rw_binds = { %q } }'
            local function attempt(writable, before)
                os.execute(("mkdir -p %s %s %s"):format(scratch "d", scratch "alias", scratch "tree/below"))
                sandbox.write(scratch "d/p.lua", lua:format(writable))
                return sandbox.sh(("unshare -Urm sh -c %s"):format(sandbox.quote(("%s; exec env HOME=/nonexistent %s check %s")
                    :format(before, sandbox.command, scratch "d/p.lua"))))
            end
            local bound = ("mount --bind %s %s"):format(scratch "d", scratch "alias")
            local below = ("mount --bind %s %s"):format(scratch "d", scratch "tree/below")
            for _, case in ipairs {
                { scratch "alias", bound, "alias" }, { scratch "tree", below, "tree/below" },
                { scratch "alias/p.lua", bound, "alias" },
            } do
                assert.equal(0, attempt(case[1]:gsub("/p.lua", ""), "true").code)
                local result = attempt(case[1], case[2])
                assert.equal(125, result.code)
                local words = ('rewrite its own policy; protect it: ro_binds = { { "%s", "%s/p.lua" } }'):format(
                    scratch "d/p.lua", scratch(case[3]))
                assert(result.err:find(words, 1, true), result.err)
            end
            os.execute(("ln %s %s"):format(scratch "d/p.lua", scratch "tree/link"))
            local linked = attempt(scratch "tree", "true")
            assert.equal(125, linked.code)
            assert.matches("may hold another hard link", linked.err)
            os.remove(scratch "tree/link")
            assert.equal(0, attempt(scratch "tree", "true").code)
        end)

        it("is not reached through a link that is writable", function()
            os.execute(("mkdir -p %s %s; ln -sfn ../d/p.lua %s; ln -sfn ../d %s"):format(scratch "d", scratch "w",
                scratch "w/p.lua", scratch "w/conf"))
            sandbox.write(scratch "d/p.lua", ("return { rw_binds = { %q } }"):format(scratch "w"))
            local function check_file(path)
                return sandbox.demilune({ "check", path }, { env = { "HOME=/nonexistent" } })
            end
            for _, path in ipairs { "w/p.lua", "w/conf/p.lua" } do
                local result = check_file(scratch(path))
                assert.equal(125, result.code)
                assert.matches("would let the command replace the link", result.err, 1, true)
            end
            assert.equal(0, check_file(scratch "d/p.lua").code)
        end)

        it("may be seen, and may lie in a writable tree where it is protected", function()
            for _, fields in ipairs {
                "ro_binds = { policy_dir }", 'rw_binds = { policy_dir }, ro_binds = { policy_dir .. "/p.lua" }',
                'rw_binds = { policy_dir }, masks = { policy_dir .. "/p.lua" }',
                'rw_binds = { { policy_dir, "/x" } }, ro_binds = { { policy_dir .. "/p.lua", "/x/p.lua" } }',
            } do
                local result = check(fields)
                assert(result.code == 0, fields .. ": " .. result.err)
            end
        end)
    end)
end)
