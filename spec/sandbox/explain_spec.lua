-- What explain says is what is found inside: a probe tries each path of the tree, and others.
local account = require "demilune.explain.account"
local cjson = require("cjson").new()
local demilune = require "demilune"
local sandbox = require "support.sandbox"
local view = require "demilune.explain.view"

-- Opens each path for reading and for writing; a directory is listed, and a file made in it.
local probe = [[
import json, os, stat, sys
def tries(action):
    try:
        action()
        return True
    except OSError:
        return False
def close(fd):
    os.close(fd)
def make(path):
    name = path.rstrip("/") + "/.probe"
    close(os.open(name, os.O_CREAT | os.O_WRONLY))
    os.unlink(name)
found = {}
for path in json.load(sys.stdin):
    try:
        mode = os.stat(path).st_mode
    except OSError:
        found[path] = [False, False, False]
        continue
    flags = os.O_NONBLOCK | os.O_NOCTTY
    if stat.S_ISDIR(mode):
        read = tries(lambda: (os.listdir(path), os.stat(path + "/.")))
        write = tries(lambda: make(path))
    else:
        read = tries(lambda: close(os.open(path, os.O_RDONLY | flags)))
        write = tries(lambda: close(os.open(path, (os.O_RDWR if stat.S_ISFIFO(mode) else os.O_WRONLY) | flags)))
    found[path] = [True, read, write]
json.dump(found, sys.stdout)
]]

describe("what explain says", function()
    local scratch = sandbox.scratch(before_each, after_each)

    before_each(function()
        assert(os.execute(([[cd %s && mkdir -p p/.git/hooks p/src p/closed p/open other other/in
            echo 1 >p/src/a; echo 1 >p/.git/config; echo 1 >p/.env; echo 1 >other/f; echo 1 >p/closed/f
            echo 1 >p/none; echo 1 >p/only-read; echo 1 >p/only-write; ln -s src/a p/link; ln -s /data/f p/away
            ln -s nowhere p/dangling; ln -s loop p/loop; ln -s ../.. p/src/up
            mkdir p/listed p/passed && echo 1 >p/passed/f && chmod 400 p/listed && chmod 100 p/passed && mkfifo p/pipe
            chmod 0 p/none; chmod 400 p/only-read; chmod 200 p/only-write; chmod 600 p/closed/f; chmod 0 p/closed]])
            :format(scratch())))
    end)

    local function policies()
        local project = { host = scratch "p", sandbox = "/p" }
        return {
            ["the default"] = {},
            ["private directories"] = { tmpfs = { "/t", { sandbox = "/t/below" } } },
            ["a project with protections"] = {
                rw_binds = { project }, masks = { "/p/.env", "/p/.git/config", "/data/in", "/nowhere" },
                ro_binds = { { host = scratch "other", sandbox = "/data" } }, acknowledge = { "path_rw" },
                secrets = { ["/run/secret"] = "x" }, symlinks = { { target = "/p/src", sandbox = "/s" } },
            },
            ["a project read-only with a part writable"] = {
                ro_binds = { project, { host = scratch "other", sandbox = "/p/open" } },
                rw_binds = { { host = scratch "p/src", sandbox = "/p/src" } }, work_host = scratch "other",
                acknowledge = { "path_rw" },
            },
            ["a read-only part of what is writable"] = {
                rw_binds = { project }, acknowledge = { "path_rw" },
                ro_binds = { { host = scratch "p/.git", sandbox = "/p/.git" }, { host = scratch "p/src/a", sandbox = "/p/src/a" } },
            },
            ["something else below a mask"] = {
                rw_binds = { project, { host = scratch "other", sandbox = "/p/.git/hooks" } }, masks = { "/p/.git" },
                acknowledge = { "path_rw" },
            },
            ["the whole host"] = { base = "none", ro_binds = { "/" }, masks = { "/etc/passwd" },
                acknowledge = { "root", "home", "sys", "engine_socket", "ssh_agent", "dbus", "user_runtime", "x11" } },
            ["the host's network and the caller's name"] = { network = true, user = "caller" },
        }
    end

    local more = {
        "/", "/etc", "/etc/passwd", "/etc/shadow", "/etc/ssl", "/home", "/root", "/usr/bin/python3", "/bin/sh", "/bin/none",
        "/usr/bin/sh/x", "/dev", "/dev/null", "/dev/zero", "/dev/kmsg", "/dev/sda", "/dev/shm", "/proc", "/proc/meminfo",
        "/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/hostname", "/proc/irq", "/tmp", "/tmp/x", "/work", "/work/f",
        "/sys", "/p", "/p/src", "/p/src/a", "/p/.env", "/p/.git", "/p/.git/config", "/p/.git/hooks", "/p/.git/hooks/f",
        "/p/none", "/p/only-read", "/p/only-write", "/p/link", "/p/away", "/p/dangling", "/p/loop", "/p/closed", "/p/closed/f",
        "/p/listed", "/p/passed", "/p/passed/f", "/p/passed/none", "/p/pipe",
        "/p/src/up/etc/passwd", "/p/src/../src/a", "/p/src/a/", "/data", "/data/f", "/data/in", "/data/in/x", "/s", "/s/a", "/t",
        "/t/below", "/run", "/run/secret", "/nowhere", "/nowhere/else", "/usr/../etc/passwd", "/./usr",
    }

    local function paths_of(told)
        local paths, known = {}, {}
        local function add(path)
            if not known[path] and path:sub(1, 9) ~= "/dev/tty" then
                known[path] = true
                paths[#paths + 1] = path
            end
        end
        for _, mount in ipairs(told.mounts) do
            add(mount.at)
        end
        for _, path in ipairs(more) do
            add(path)
        end
        return paths
    end

    -- What the view says of each path, and what the probe finds there.
    local function compare(fields)
        local policy = assert(demilune.policy(fields))
        local plan = assert(policy:plan { "/usr/bin/python3", "-c", probe })
        local told = account.of(plan)
        local paths, said, seen = paths_of(told), {}, view.of(told)
        for _, path in ipairs(paths) do
            local sight = seen:look(path)
            said[path] = { sight.there, sight.read, sight.write }
        end
        local result = assert(plan:run { stdin = cjson.encode(paths), capture = true })
        assert.equal("", result.stderr)
        return said, cjson.decode(result.stdout), paths
    end

    for _, name in ipairs { "the default", "private directories", "a project with protections",
        "a project read-only with a part writable", "a read-only part of what is writable",
        "something else below a mask", "the whole host", "the host's network and the caller's name" } do
        it("is what a probe finds: " .. name, function()
            local said, found, paths = compare(policies()[name])
            local wrong, counts = {}, { 0, 0, 0 }
            for _, path in ipairs(paths) do
                for i, what in ipairs { "there", "read", "write" } do
                    counts[i] = counts[i] + (found[path][i] and 1 or 0)
                    local kernels = path:find("^/proc/") and said[path][i] -- where the kernel may refuse more than it says
                    -- what is said of a FIFO holds for bwrap
                    kernels = kernels or path:find("/pipe$") and what == "write" and sandbox.backend == "native"
                    if said[path][i] ~= found[path][i] and not kernels then
                        wrong[#wrong + 1] = ("%s: %s is %s, and said to be %s"):format(path, what, found[path][i],
                            said[path][i])
                    end
                end
            end
            assert.equal("", table.concat(wrong, "\n"))
            assert.is_true(counts[1] > 20 and counts[2] > 15 and counts[3] > 3 and counts[1] < #paths, "too little was found")
        end)
    end

    it("of a limit that cannot hold as a whole, is what a result says", function()
        local policy = assert(demilune.policy { limits = { pids = 50 } })
        local plan = assert(policy:plan { "/bin/true" })
        local about = require("demilune.explain.backend").of(plan)
        local result = assert(plan:run())
        table.sort(about.skipped)
        table.sort(result.skipped)
        assert.same(result.skipped, about.skipped)
        assert.equal(result.backend, about.kind)
        assert.equal(result.digest, account.of(plan).digest)
    end)

    it("of a cgroup that is required for itself, is what a launch comes to", function()
        local policy = assert(demilune.policy { requires = { "cgroup" } })
        local plan = assert(policy:plan { "/bin/true" })
        local about = require("demilune.explain.backend").of(plan)
        local result, message = plan:run()
        assert.same(result and {} or { "cgroup" }, about.skipped)
        assert(result or message:find('requires: "cgroup" cannot be had', 1, true), message)
        local rows = require("demilune.explain.backend").rows(about, { "cgroup" })
        local told = {}
        for i, row in ipairs(rows) do
            told[i] = row.name .. " " .. row[1]
        end
        assert.equal(not result, table.concat(told, "\n"):find("cannot cgroup: .*; it is required, so nothing will run") ~= nil)
    end)

    it("of the environment and the settings, is what the command has", function()
        local words = { "--env", "A=1", "--env", "PASSED", "--env", "TERM=x", "--hostname", "there", "--chdir", "/usr" }
        local more_env = { env = { "PASSED=p", "OTHER=o", "LANG=C" } }
        local arguments = table.move(words, 1, #words, 4, { "explain", "--json", "--show-values" })
        local told = cjson.decode(sandbox.demilune(arguments, more_env).out)
        local inside = sandbox.script(words, "env; echo \"at=$(pwd)\"; echo \"host=$(cat /proc/sys/kernel/hostname)\"", more_env).out
        for _, variable in ipairs(told.env) do
            assert(("\n" .. inside):find("\n" .. variable.name .. "=" .. variable.value .. "\n", 1, true), variable.name)
        end
        for _, variable in ipairs(told.env_absent) do
            assert.is_nil(("\n" .. inside):find("\n" .. variable.name .. "=", 1, true), variable.name)
        end
        assert.matches("at=" .. told.chdir .. "\n", inside, 1, true)
        assert.matches("host=" .. told.hostname .. "\n", inside, 1, true)
        assert.is_nil(inside:find("OTHER", 1, true))
    end)
end)
