-- The F rows of spec/README.md: what a command finds of the host's files, and what it can do to them.
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Every call that changes a directory or a file in it, in the directory `at`. Prints the outcome of each.
local CHANGE = [[
import errno, os
def open_for(flags):
    os.close(os.open(at + "/file", flags))
def reopen():
    fd = os.open(at + "/file", os.O_RDONLY)
    os.close(os.open("/proc/self/fd/%d" % fd, os.O_WRONLY))
changes = {
    "write": lambda: open_for(os.O_WRONLY), "both": lambda: open_for(os.O_RDWR), "truncate": lambda: os.truncate(at + "/file", 0),
    "append": lambda: open_for(os.O_WRONLY | os.O_APPEND), "reopen": reopen, "create": lambda: open(at + "/new", "x").close(),
    "temporary": lambda: os.close(os.open(at, os.O_TMPFILE | os.O_WRONLY)), "mkdir": lambda: os.mkdir(at + "/d"),
    "fifo": lambda: os.mkfifo(at + "/fifo"), "symlink": lambda: os.symlink("x", at + "/symlink"),
    "link": lambda: os.link(at + "/file", at + "/link"), "rename": lambda: os.rename(at + "/link", at + "/renamed"),
    "chmod": lambda: os.chmod(at + "/file", 0o600), "chown": lambda: os.chown(at + "/file", os.getuid(), os.getgid()),
    "utime": lambda: os.utime(at + "/file"), "unlink": lambda: os.unlink(at + "/file"), "rmdir": lambda: os.rmdir(at + "/empty"),
}
for name, change in changes.items():
    try:
        change()
        print(name, "done")
    except OSError as error:
        print(name, errno.errorcode[error.errno])
]]

describe("files:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function make(line)
        assert(os.execute("cd " .. scratch() .. " && " .. line))
    end

    local function run(fields, script, options)
        local policy, problem = demilune.policy(fields)
        local result, text = assert(policy, problem):run({ "sh", "-c", script }, options or { capture = true, stdin = "null" })
        return assert(result, text)
    end

    it("F1: a write to a read-only bind fails with EROFS, by whatever call", function()
        local function outcomes(result)
            local seen = {}
            for outcome in result.out:gmatch(" (%w+)\n") do
                seen[outcome] = (seen[outcome] or 0) + 1
            end
            return seen
        end
        for _, at in ipairs { scratch("ro"), scratch("rw"), scratch("bare") } do
            assert(os.execute(("mkdir -p %s/empty && echo content >%s/file && touch %s/link"):format(at, at, at)))
        end
        assert(os.remove(scratch("rw/link")))
        assert(os.remove(scratch("bare/link")))
        local inside_code = "at = '/at'\n" .. CHANGE
        assert.same({ done = 17 }, outcomes(probe.bare(("at = %q\n"):format(scratch("bare")) .. CHANGE)))
        assert.same({ done = 17 }, outcomes(probe.python({ "--rw", scratch("rw") .. ":/at" }, inside_code)))
        local before = sandbox.sh("ls -lAR --time-style=full-iso " .. scratch("ro")).out
        local inside = probe.python({ "--ro", scratch("ro") .. ":/at" }, inside_code)
        assert.same({ EROFS = 16, EEXIST = 1 }, outcomes(inside), inside.out .. inside.err) -- the link is there already
        assert.equal(before, sandbox.sh("ls -lAR --time-style=full-iso " .. scratch("ro")).out)
    end)

    it("F1: a single file that is bound read-only cannot be written to either", function()
        sandbox.write(scratch("file"), "content\n")
        local code = "import errno\ntry:\n open('/at/file', 'r+')\nexcept OSError as error: print(errno.errorcode[error.errno])"
        assert.equal("EROFS\n", probe.python({ "--ro", scratch("file") .. ":/at/file" }, code).out)
        assert.equal("", probe.python({ "--rw", scratch("file") .. ":/at/file" }, code).out)
    end)

    it("F2: what is written through a writable bind is on the host, and belongs to the caller", function()
        local id = sandbox.sh("echo $(id -u):$(id -g)").out
        for _, user in ipairs { "nobody", "caller" } do
            local result = sandbox.script({ "--rw", scratch() .. ":/at", "--user", user },
                ("echo content >/at/%s; mkdir -m 750 /at/%s.d; stat -c %%u:%%g /at/%s"):format(user, user, user))
            assert.equal(user == "nobody" and "65534:65534\n" or id, result.out, result.err)
            assert.equal("content\n", sandbox.read(scratch(user)))
            assert.equal("644 " .. id .. "750 " .. id,
                sandbox.sh(("stat -c '%%a %%u:%%g' %s %s.d"):format(scratch(user), scratch(user))).out)
        end
    end)

    describe("a source", function()
        -- Runs `true` with an optional and with a required bind; gives the codes of the refusals.
        local function refusals(source, prefix)
            local codes = {}
            for _, optional in ipairs { "true", "false" } do
                sandbox.write(scratch("policy.lua"), ("return { ro_binds = { { host = %q, sandbox = '/m', optional = %s } } }")
                    :format(source, optional))
                local result = sandbox.demilune({ "run", "-p", scratch("policy.lua"), "true" }, { prefix = prefix })
                codes[#codes + 1] = result.code == 0 and "runs" or result.err:match("%[([%w.]+)%]\n$") or result.err
            end
            return codes
        end

        it("F3: that is missing is a problem, unless it is optional", function()
            assert(lfs.link("nowhere", scratch("dangling"), true))
            assert.same({ "runs", "bind.missing" }, refusals(scratch("missing")))
            assert.same({ "runs", "bind.missing" }, refusals(scratch("missing/deeper")))
            assert.same({ "runs", "bind.missing" }, refusals(scratch("dangling")))
        end)

        it("F3: that cannot be looked at is a problem, also when it is optional", function()
            make("mkdir -p closed/x && ln -s loop loop && touch file")
            -- root looks everywhere, unless it is root without these two capabilities
            local prefix = sandbox.is_root and "setpriv --bounding-set=-dac_override,-dac_read_search" or ""
            assert.same({ "runs", "runs" }, refusals(scratch("closed/x"), prefix))
            make("chmod 0 closed")
            assert.same({ "bind.unreadable", "bind.unreadable" }, refusals(scratch("closed/x"), prefix))
            assert.same({ "bind.unreadable", "bind.unreadable" }, refusals(scratch("file/x")))
            assert.same({ "bind.unreadable", "bind.unreadable" }, refusals(scratch("loop")))
        end)
    end)

    it("F4: a file cannot stand on a directory of a bound tree, nor a directory on a file", function()
        make("mkdir -p tree/dir dir && touch tree/file file")
        local function refusal(source, at)
            local policy = assert(demilune.policy { rw_binds = { { scratch("tree"), "/t" } },
                ro_binds = { { scratch(source), at } } })
            return sandbox.codes((policy:problems { "true" }))
        end
        assert.same({ "entry.kind" }, refusal("file", "/t/dir"))
        assert.same({ "entry.kind" }, refusal("dir", "/t/file"))
        assert.same({}, refusal("file", "/t/file"))
        assert.same({}, refusal("dir", "/t/dir"))
        local inside = run({ ro_binds = { { scratch("file"), "/etc/passwd" }, { scratch("dir"), "/etc/hosts" } } },
            "stat -c '%F' /etc/passwd /etc/hosts")
        assert.equal("regular empty file\ndirectory\n", inside.stdout) -- in a fresh root the place is made to fit
    end)

    it("F4: a file of the host is not made a directory by hand either, but a missing place is made there", function()
        make("mkdir -p tree/dir && touch tree/file")
        local function by_hand(source, at)
            local words = { "--bind", scratch("tree"), "/t", "--ro-bind", scratch(source), "/t/" .. at }
            return sandbox.sh(probe.reference(words, { "true" })).code
        end
        assert.equal(1, by_hand("tree/file", "dir"))
        assert.equal(1, by_hand("tree/dir", "file"))
        assert.equal(0, by_hand("tree/file", "made"))
        assert.is_true(sandbox.exists(scratch("tree/made")))
        os.remove(scratch("tree/made"))
        local result, _, code = assert(demilune.policy { rw_binds = { { scratch("tree"), "/t" } },
            ro_binds = { { scratch("tree/file"), "/t/made" } } }):run({ "true" }, {})
        assert.same({ nil, "entry.missing" }, { result, code })
        assert.is_false(sandbox.exists(scratch("tree/made")))
    end)

    it("F5: places for mounts are made in the fresh root, with these permissions, whatever the caller's umask", function()
        make("mkdir -m 750 dir && touch file && chmod 640 file")
        sandbox.write(scratch("policy.lua"), ([[return {
            ro_binds = { { "%s", "/a/dir" }, { "%s", "/b/c/file" } }, rw_binds = { { "%s", "/run/d/e/file" } },
            tmpfs = { { sandbox = "/f/t", mode = "0700" }, { sandbox = "/f/t/g/u", mode = "1777" } },
            secrets = { ["/h/secret"] = "x" }, symlinks = { { target = "x", sandbox = "/i/j/link" } },
            masks = { "/k/l/mask" },
        }]]):format(scratch("dir"), scratch("file"), scratch("file")))
        local golden = [[
/ 755 d
/a 755 d
/a/dir 750 d
/b 755 d
/b/c 755 d
/b/c/file 640 f
/dev 755 d
/dev/pts 755 d
/dev/shm 1777 d
/etc 755 d
/etc/group 444 f
/etc/hosts 444 f
/etc/nsswitch.conf 444 f
/etc/passwd 444 f
/f 755 d
/f/t 700 d
/f/t/g 755 d
/f/t/g/u 1777 d
/h 755 d
/h/secret 400 f
/i 755 d
/i/j 755 d
/i/j/link 777 l
/k 755 d
/k/l 755 d
/k/l/mask 0 d
/proc 555 d
/run 755 d
/run/d 755 d
/run/d/e 755 d
/run/d/e/file 640 f
/tmp 1777 d
/work 755 d
]]
        local find = "LC_ALL=C; export LC_ALL; find / \\( -path /usr -o -path '/proc/*' -o -path '/dev/*' -o -path '/nix' " ..
            "-o -path '/etc/ld*' -o -path /etc/alternatives -o -path /etc/localtime -o -path '/*bin' -o -path '/lib*' \\) -prune " ..
            "-o -printf '%p %m %y %u %g\\n' 2>/dev/null | sort >/work/list; stat -c '%n %a d %U %G' /dev/pts /dev/shm >>/work/list; " ..
            "sed -n 's/ nobody nogroup$//p' /work/list | grep -v /work/list | sort"
        for _, umask in ipairs { "000", "022", "077" } do
            local inside = sandbox.script({ "-p", scratch("policy.lua") }, find, { prefix = "umask " .. umask .. ";" })
            assert.equal(golden, inside.out, inside.err)
        end
    end)

    it("F6: a read-only and a writable bind below a mask, each as it says; the rest of the mask stays hidden", function()
        make("mkdir -p tree/hidden/ro tree/hidden/rw && echo content | tee tree/hidden/key tree/hidden/ro/f >tree/hidden/rw/f")
        local tree = scratch("tree")
        local script = ("cd %s/hidden; cat ro/f rw/f key; for f in ro/f rw/f key new; do (echo new >$f) 2>/dev/null && echo $f; done")
            :format(tree)
        for _, outer in ipairs { "ro_binds", "rw_binds" } do
            local fields = { masks = { tree .. "/hidden" }, ro_binds = { tree .. "/hidden/ro" },
                rw_binds = { tree .. "/hidden/rw" } }
            table.insert(fields[outer], tree)
            assert.equal("content\ncontent\nrw/f\n", run(fields, script).stdout)
            assert.equal("new\n", sandbox.read(tree .. "/hidden/rw/f"))
            sandbox.write(tree .. "/hidden/rw/f", "content\n")
            assert.equal("content\n", sandbox.read(tree .. "/hidden/key"))
            assert.is_false(sandbox.exists(tree .. "/hidden/new"))
        end
        -- without the mask all of it is there
        assert.matches("content\ncontent\ncontent\nro/f\nrw/f\nkey\nnew\n", run({ rw_binds = { tree } }, script).stdout)
    end)

    it("F7: a tmpfs has the permissions and the size that are asked for; by hand it has neither bound", function()
        for _, mode in ipairs { "0700", "1777", "0555", "000", "750" } do
            local inside = run({ tmpfs = { { sandbox = "/t", size = "64K", mode = mode } } },
                "stat -c %a /t; df -k --output=size /t | tail -n 1")
            assert.equal((mode:gsub("^0+(.)", "%1")) .. "\n64\n", (inside.stdout:gsub(" ", "")), inside.stderr)
        end
        local script = "head -c 1000000 /dev/zero >/t/f 2>/dev/null; wc -c </t/f"
        assert.equal("65536\n", run({ tmpfs = { { sandbox = "/t", size = "64K" } } }, script).stdout)
        assert.equal("1000000\n", sandbox.sh(probe.reference({ "--tmpfs", "/t" }, { "sh", "-c", script })).out)
    end)

    it("what stands in a tmpfs that nobody may enter is there once its owner may", function()
        sandbox.write(scratch "f", "content")
        local result = run({ tmpfs = { { sandbox = "/t", mode = "0600" } }, ro_binds = { { scratch "f", "/t/f" } } },
            "cat /t/f 2>/dev/null || echo closed; chmod 700 /t; cat /t/f")
        assert.equal("closed\ncontent", result.stdout, result.message)
    end)

    it("F8: a tree that is read-only is read-only in what is mounted below it, too", function()
        make("mkdir -p tree/below plain")
        -- An ordinary user mounts in namespaces of its own, where the runner then runs.
        local namespace = sandbox.is_root and "unshare --mount" or "unshare --user --map-root-user --mount"
        local try = "(: >%s/below/f) 2>/dev/null && echo wrote || echo kept"
        local result = sandbox.sh(([[%s sh -c '
mount -t tmpfs below %s/tree/below || exit 9
mount --rbind %s/tree %s/plain && mount -o remount,bind,ro %s/plain
(: >%s/plain/f) 2>/dev/null && echo wrote || echo kept
%s
%s run --ro %s/tree -- sh -c "%s"']]):format(namespace, scratch(), scratch(), scratch(), scratch(), scratch(),
            try:format(scratch("plain")), sandbox.command, scratch(), try:format(scratch("tree"))))
        assert.equal("kept\nwrote\nkept\n", result.out, result.err) -- the first two: only the outermost mount is
    end)

    it("F9: no way leads from the sandbox's tree to the host's", function()
        local marker = scratch("marker")
        sandbox.write(marker, "host\n")
        local code = ([[
import os
marker = %q
roots = ["", "/proc/self/root", "/proc/self/cwd/../..", "/..", "/oldroot", "/newroot", "/proc/2/root", "/proc/1/root", "/proc/1/cwd"]
print([root for root in roots if os.path.exists(root + marker)])
up = os.open("/", os.O_PATH)
for _ in range(20):
    up = os.open("..", os.O_PATH, dir_fd=up)
print(os.path.samestat(os.fstat(up), os.stat("/")))
places = [line.split()[4] for line in open("/proc/self/mountinfo")]
print([place for place in places if "oldroot" in place or "newroot" in place])
print([name for _, _, names in os.walk("/") for name in names if name == os.path.basename(marker)])
]]):format(marker)
        local inside = probe.python({}, code)
        assert.equal("[]\nTrue\n[]\n[]\n", inside.out, inside.err)
        assert.matches("^%['', '/proc/self/root',", probe.bare((code:gsub('os.walk%("/"%)', "[]"))).out)
    end)

    it("F10: device nodes cannot be made, nor used where they are bound", function()
        local code = [[
import errno, os, stat
for path in ("/at/new", "/tmp/new", "/work/new", "/dev/new", "/dev/shm/new"):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        print(path)
    except OSError as error:
        print(errno.errorcode[error.errno])
devices = ["/dev/" + name for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "console")]
for line in open("/proc/self/mountinfo"):
    _, _, _, _, place, options = line.split()[:6]
    if place not in devices and not ("nodev" in options and "nosuid" in options):
        print(place, options)
]]
        make("mkdir at")
        local inside = probe.python({ "--rw", scratch("at") .. ":/at" }, code)
        assert.equal(("EPERM\n"):rep(5), (inside.out:gsub("EROFS", "EPERM")), inside.err)
        if sandbox.is_root then -- who alone can make a device for the host
            make("mknod -m 666 at/null c 1 3")
            assert.equal(0, sandbox.sh(("echo x >%s"):format(scratch("at/null"))).code)
            assert.matches("Permission denied", sandbox.script({ "--rw", scratch("at") .. ":/at" }, "echo x >/at/null").err)
        end
        for _, option in ipairs { "--ro", "--rw" } do
            assert.matches("%[bind.never%]", sandbox.demilune({ "run", option, "/dev/null:/n", "true" }).err)
        end
    end)

    it("F10: /dev/shm and /dev/pts are the sandbox's own", function()
        local name = leaks.run_name .. "shm"
        sandbox.write("/dev/shm/" .. name, "host\n")
        local code = ([[
import os, pty
print(os.path.exists("/dev/shm/%s"))
open("/dev/shm/%s-inside", "w").close()
master, slave = pty.openpty()
print(os.ttyname(slave), sorted(os.listdir("/dev/pts")))
]]):format(name, name)
        local bare, inside = probe.bare(code), probe.python({}, code)
        local leaked = os.remove("/dev/shm/" .. name .. "-inside")
        os.remove("/dev/shm/" .. name)
        assert.matches("^True\n", bare.out)
        assert.is_true(leaked) -- by the bare process alone
        assert.equal("False\n/dev/pts/0 ['0', 'ptmx']\n", inside.out, inside.err)
        assert.is_false(sandbox.exists("/dev/shm/" .. name .. "-inside"))
    end)

    it("F13: a data file comes from memory: on the host nothing has its content, inside it cannot be changed", function()
        local code = [[
import errno, os
at = "/h/secret"
print(oct(os.stat(at).st_mode & 0o7777), os.stat(at).st_uid, open(at).read())
for change in (lambda: os.chmod(at, 0o600), lambda: os.unlink(at), lambda: open(at, "w"), lambda: os.rename(at, at + "x")):
    try:
        change()
        print("done")
    except OSError as error:
        print(errno.errorcode[error.errno])
try:
    os.truncate(at, 0)
    print("done")
except OSError as error: # kernels differ in what they look at first, the mount or the permissions
    print("truncated by nobody", error.errno in (errno.EROFS, errno.EACCES))
]]
        local policy = assert(demilune.policy { secrets = { ["/h/secret"] = "in memory" } })
        local result = assert(policy:run({ "/usr/bin/python3", "-c", code }, { capture = true, stdin = "null" }))
        assert.equal("0o400 65534 in memory\nEROFS\nEROFS\nEROFS\nEROFS\ntruncated by nobody True\n", result.stdout, result.stderr)
    end)

    it("F14: paths as long as bwrap can take, and a problem of the plan beyond", function()
        -- A directory whose path has `length` bytes, made step by step, as no call takes more than one component of it.
        local MAKE = [[
import os, sys
path, length = sys.argv[1], int(sys.argv[2])
os.chdir(path)
while len(path) < length:
    name = "n" * (200 if length - len(path) > 401 else length - len(path) - 1 if length - len(path) < 250 else 100)
    os.makedirs(name, exist_ok=True)
    os.chdir(name)
    path += "/" + name
open("f", "w").write("content\n")
print(path, end="")
]]
        for _, length in ipairs { 4087, 4088, 4095 } do
            local path = probe.host(MAKE, { scratch(), length }).out
            assert.equal(length, #path)
            for _, words in ipairs { { "--ro", path .. ":/at", "--", "cat", "/at/f" }, { "--project", path, "--", "cat", "f" },
                { "--ro", scratch("f") .. ":" .. path .. "/f", "--", "cat", "/at/f" }, { "--tmpfs", path, "-C", path, "--",
                "sh", "-c", "echo content" } } do
                sandbox.write(scratch("f"), "content\n")
                if words[2]:sub(-2) == "/f" then
                    words = { "--ro", scratch("f") .. ":" .. path, "--", "cat", path }
                end
                local result = sandbox.demilune { "run", table.unpack(words) }
                if length == 4087 or sandbox.backend == "native" then
                    assert.equal("content\n", result.out, result.err)
                else
                    assert.equal(125, result.code)
                    assert.matches(("has %d bytes; bwrap takes at most 4087 [path.long]"):format(length), result.err, 1, true)
                end
            end
        end
    end)
end)
