-- What a command finds around it: variables, descriptors, ids, privileges; and what others can see of it.
local demilune = require "demilune"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
local CLEAN = "env -i PATH=/usr/bin:/bin HOME=/somewhere "

describe("environment:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("E1: variables are exactly these, without PWD", function()
        local inside = sandbox.demilune({ "run", "env" }, { prefix = CLEAN ..
            "LANG=C.UTF-8 LC_ALL=C TERM=dumb SECRET=x" })
        assert.equal("HOME=/work\nLANG=C.UTF-8\nLC_ALL=C\nPATH=" .. PATH .. "\nTERM=dumb\nUSER=nobody\n",
            inside.out)
    end)

    it("with an empty environment of the caller there is what is set", function()
        assert.equal("HOME=/work\nPATH=" .. PATH .. "\nUSER=nobody\n", sandbox.demilune({ "run", "env" },
            { prefix = CLEAN }).out)
    end)

    it("--env sets, passes through and empties", function()
        local inside = sandbox.demilune({ "run", "--env", "SET=a=b", "--env", "PASSED", "--env", "EMPTY=",
            "--env", "ABSENT",
            "--env", "HOME=/tmp", "env" }, { prefix = CLEAN .. "PASSED=through EMPTY=full" })
        assert.equal("EMPTY=\nHOME=/tmp\nPASSED=through\nPATH=" .. PATH .. "\nSET=a=b\nUSER=nobody\n",
            inside.out, inside.err)
    end)

    it("a list of names replaces the default one, and false leaves out", function()
        local policy = assert(demilune.policy { env_allowlist = {}, env = { USER = false, PATH = false,
            A = "1" } })
        assert.equal("A=1\nHOME=/work\n", assert(policy:run({ "/usr/bin/env" }, { capture = true })).stdout)
    end)

    it("the umask is 022, whatever the caller's", function()
        assert.equal("0022\n644\n", sandbox.script({}, "umask; : >f; stat -c %a f",
            { prefix = "umask 077;" }).out)
        assert.equal("0022\n", sandbox.script({}, "umask", { prefix = "umask 000;" }).out)
    end)

    it("E2: descriptors are 0, 1 and 2, whatever the caller has open", function()
        local open = [[
import os, sys
for number in range(50):
    os.set_inheritable(os.open("/etc/passwd", os.O_RDONLY), True)
os.execv(sys.argv[1], sys.argv[1:])
]]
        local show = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
        local function try(...)
            return probe.host(open, { sandbox.command, "run", "-q", ... }).out
        end
        assert.equal("[0, 1, 2]\n", try("--", "/usr/bin/python3", "-c", show))
        assert.matches("%[0, 1, 2, 3, .* 52", try("--backend", "none", "--", "/usr/bin/python3", "-c", show))
    end)

    it("pid 1 has no environment and no arguments that tell anything", function()
        local inside = sandbox.demilune({ "run", "--env", "VALUE=hidden-value", "--", "sh", "-c",
            "cat /proc/1/environ 2>&1; cat /proc/1/cmdline" })
        local name = sandbox.backend == "native" and "demilune" or "/proc/self/fd/4"
        assert.equal("cat: /proc/1/environ: Permission denied\n" .. name .. "\0", inside.out)
    end)

    it("nobody sees values, secrets or paths in arguments", function()
        local marker = probe.marker() -- others run this case, too
        local value, secret, path = "value-of-env" .. marker, "content-of-secret" .. marker, "spec-path-inside" .. marker
        local watch = ([[
import os, subprocess, sys
marks = [b"%s", b"%s", b"%s"]
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
process.stdout.readline()
own = (os.getpid(), os.getppid())
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    for name in ("cmdline", "environ"):
        try:
            text = open("/proc/%%d/%%s" %% (pid, name), "rb").read()
            comm = open("/proc/%%d/comm" %% pid, errors="replace").read().strip()
        except OSError:
            continue
        for mark in marks:
            if mark in text and pid not in own:
                print(name, comm, mark.decode())
process.terminate()
process.wait()
]]):format(value, secret, path)
        sandbox.write(scratch("p.lua"), ([[return { env = { VALUE = "%s" }, secrets = { ["/tmp/%s"] = "%s" } }]]):format(
            value, path, secret))
        local result = probe.host(watch, { sandbox.command, "run", "-p", scratch("p.lua"), "--",
            "/usr/bin/python3", "-uc", "import time; print(); time.sleep(300)" })
        assert.equal(("environ python3 %s\n"):format(value), result.out, result.err)
        -- the ancestor's way, for comparison
        local shown = probe.host(watch, { "sh", "-c", probe.reference({ "--setenv", "VALUE", value },
            { "sh", "-c", "echo; exec sleep 300" }):gsub("^env", "exec env") })
        assert.is_truthy(shown.out:find("cmdline bwrap " .. value, 1, true), shown.out)
    end)

    it("F13: a secret is a file of mode 0400 with the right bytes, and nowhere else", function()
        local value = "secret \0\255\n" .. ("x"):rep(100000)
        local policy = assert(demilune.policy { secrets = { ["/run/secrets/token"] = value } })
        local result = assert(policy:run({ "sh", "-c", [[
            stat -c '%a %u' /run/secrets/token >&2
            grep -c -- 'secret' /proc/1/environ /proc/1/cmdline /proc/self/environ /proc/mounts >&2
            cat /run/secrets/token; echo x >/run/secrets/token]] }, { capture = true }))
        assert.is_true(result.stdout == value)
        assert.matches("^400 65534\n", result.stderr)
        assert.matches("environ: Permission denied\n/proc/1/cmdline:0\n/proc/self/environ:0\n/proc/mounts:1\n", result.stderr)
        assert.matches("cannot create", result.stderr)
    end)

    it("a secret of the command line is the file's content", function()
        sandbox.write(scratch("key"), "from a file\n", "600")
        assert.equal("from a file\n", sandbox.demilune({ "run", "--secret", scratch("key") .. ":/run/key",
            "cat", "/run/key" }).out)
    end)

    it("the host name is the host's, or the policy's", function()
        local host = sandbox.sh("uname -n").out
        assert.equal(host, sandbox.demilune({ "run", "uname", "-n" }).out)
        assert.equal("box-1.example\n", sandbox.demilune({ "run", "--hostname", "box-1.example", "uname",
            "-n" }).out)
        assert.equal(host, sandbox.sh("uname -n").out)
    end)

    local STATUS = [[
import os
print(os.getresuid(), os.getresgid(), os.getgroups())
lines = dict(line.rstrip().split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line.rstrip())
print(*(lines[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")))
]]
    local NONE = ("0"):rep(16) .. (" " .. ("0"):rep(16)):rep(4) .. " 1\n"

    it("E5: ids, groups and privileges of nobody", function()
        local inside = probe.python({}, STATUS)
        assert.equal("(65534, 65534, 65534) (65534, 65534, 65534) []\n" .. NONE, inside.out, inside.err)
    end)

    it("root's supplementary groups are dropped", function()
        if sandbox.is_root then
            local inside = probe.python({}, STATUS, { prefix = "setpriv --groups 4,20,27" })
            assert.matches("%[%]\n", inside.out)
            assert.matches("%[4, 20, 27%]", probe.bare(STATUS, { prefix = "setpriv --groups 4,20,27" }).out)
        end
    end)

    it("user = caller has the caller's ids and no privileges either", function()
        local id = sandbox.sh("id -u; id -g").out
        local uid, gid = id:match("(%d+)\n(%d+)")
        local inside = probe.python({ "--user", "caller" }, STATUS)
        assert.equal(("(%s, %s, %s) (%s, %s, %s) []\n"):format(uid, uid, uid, gid, gid, gid) .. NONE,
            inside.out, inside.err)
        local name = sandbox.demilune({ "run", "--user", "caller", "id", "-un" },
            { env = { "USER=tester" } }).out
        assert.equal(sandbox.is_root and "root\n" or "tester\n", name)
    end)

    it("user = caller is one user, whose files look owned: ids, names, home and variables agree", function()
        local own = scratch "own"
        assert(os.execute("mkdir " .. own .. " && : >" .. own .. "/f"))
        local script = ([[cd %s && stat -c '%%U:%%G' . f && : >new && chmod 600 f && mv f moved && id -un && id -gn &&
            python3 -c 'import os, pwd; u = pwd.getpwuid(os.getuid()); print(u.pw_name, u.pw_dir, os.environ["HOME"],
                os.environ["USER"], os.path.expanduser("~" + u.pw_name), os.stat(u.pw_dir).st_uid == os.getuid())']]):format(own)
        local names = sandbox.is_root and { "root", "root" } or { "tester", "tester" }
        for user, name in pairs { tester = names[1], root = sandbox.is_root and "root" or "caller",
            ["a:b"] = sandbox.is_root and "root" or "caller" } do
            assert(os.execute("rm -rf " .. own .. "/* && : >" .. own .. "/f"))
            local result = sandbox.script({ "--user", "caller", "--rw", own }, script, { env = { "USER=" .. user } })
            assert.equal(("%s:%s\n%s:%s\n%s\n%s\n%s /work /work %s /work True\n"):format(name, name, name, name, name, name,
                name, name), result.out, result.err)
        end
        -- nobody's files they are without it
        assert.matches("nobody:nogroup\n", sandbox.script({ "--rw", own }, script).out)
    end)

    it("F11: the process tree is the sandbox's own", function()
        local list = "import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))"
        assert.equal("[1, 2]\n", probe.python({}, list).out)
        assert.not_equal("[1, 2]\n", probe.bare(list).out)
    end)

    it("user namespaces cannot be made, but for nested", function()
        assert.equal("refused\n", sandbox.script({},
            "unshare -U true 2>/dev/null && echo made || echo refused").out)
        assert.equal("made\n", sandbox.script({ "--nested" },
            "unshare -U true 2>/dev/null && echo made || echo refused").out)
    end)
end)
