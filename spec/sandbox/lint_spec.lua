-- Lints: each with the surprise that it tells of, in a sandbox, and with a policy that has nothing to tell.
local cjson = require("cjson").new()
local demilune = require "demilune"
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

describe("lints:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function make(script)
        local made = sandbox.sh("cd " .. scratch() .. " && " .. script)
        assert(made.code == 0, made.err)
    end

    -- The lints of a policy: "code field", and the messages by those.
    local function lints(fields)
        local plan = assert(assert(demilune.policy(fields)):plan())
        local found, messages = {}, {}
        for i, lint in ipairs(plan:lint()) do
            found[i] = lint.code .. " " .. lint.field
            messages[found[i]] = (lint.value or "") .. " " .. lint.message
        end
        return found, messages
    end

    local function run(fields, ...)
        local policy = assert(demilune.policy(fields))
        return assert(policy:run({ ... }, { capture = true, stdin = "null" }))
    end

    describe("lint.pinned", function()
        local MOVES = [[
import errno, os, sys
os.chdir(sys.argv[1])
for call, source, target in ((os.rename, "a", "z"), (os.rename, "a/b", "a/z"), (os.link, "a/b/other", "a/linked"),
        (os.rename, "a/b/other", "a/moved"), (os.rename, "top2", "top")):
    try:
        call(source, target)
        print(call.__name__, "done")
        if call is os.rename and source != "top2":
            os.rename(target, source)
    except OSError as error:
        print(call.__name__, errno.errorcode[error.errno])
]]
        local function moves(fields)
            return run(fields, "python3", "-c", MOVES, scratch "w").stdout
        end

        before_each(function()
            make "mkdir -p w/a/b && echo kept >w/a/b/f && : >w/a/b/other && : >w/other && : >w/top && : >w/top2"
        end)

        it("a read-only file in a writable tree: what is above it cannot be moved, nor anything across", function()
            local w = scratch "w"
            local fields = { rw_binds = { w }, ro_binds = { w .. "/a/b/f" } }
            local found, messages = lints(fields)
            assert.same({ "lint.pinned ro_binds[1]" }, found)
            assert.matches(('"%s/a/b/f" is kept in its place in a writable tree: directories above it, 2 from "%s/a" on'):format(w, w),
                messages[found[1]], 1, true)
            assert.equal("rename EBUSY\nrename EBUSY\nlink EXDEV\nrename EXDEV\nrename done\n", moves(fields))
        end)

        it("without it all of that works, and nothing is said", function()
            local fields = { rw_binds = { scratch "w" } }
            assert.same({}, (lints(fields)))
            assert.equal("rename done\nrename done\nlink done\nrename done\nrename done\n", moves(fields))
        end)

        it("right in the tree it cannot be replaced by renaming", function()
            local w = scratch "w"
            local fields = { rw_binds = { w }, ro_binds = { w .. "/top" } }
            local found, messages = lints(fields)
            assert.same({ "lint.pinned ro_binds[1]" }, found)
            assert.matches("it cannot be renamed, removed or replaced by renaming", messages[found[1]], 1, true)
            assert.equal("rename done\nrename done\nlink done\nrename done\nrename EBUSY\n", moves(fields))
        end)

        it("masks, secrets and private directories pin as well, but not right in the tree", function()
            local w = scratch "w"
            for name, deep in pairs { masks = { w .. "/a/b/f" }, secrets = { [w .. "/a/b/f"] = "x" }, tmpfs = { w .. "/a/b" } } do
                local found = lints { rw_binds = { w }, [name] = deep }
                assert(#found == 1 and found[1]:find("^lint.pinned " .. name), table.concat(found, "\n"))
            end
            -- something else that is writable, but not what is there anyway
            local fields = { rw_binds = { w, { scratch "w/top", w .. "/a/b/f" } } }
            assert.same({ "lint.pinned rw_binds[2]" }, (lints(fields)))
            assert.equal("rename EBUSY\nrename EBUSY\nlink EXDEV\nrename EXDEV\nrename done\n", moves(fields))
            fields = { rw_binds = { w, w .. "/a/b/f" } }
            assert.same({}, (lints(fields)))
            assert.same({}, (lints { rw_binds = { w, { scratch "w/top", w .. "/other" } } }))
            assert.same({}, (lints { rw_binds = { w }, masks = { w .. "/top" } }))
            assert.same({}, (lints { ro_binds = { w }, masks = { w .. "/a/b/f" } }))
            assert.same({}, (lints { rw_binds = { w .. "/a/b/f" }, ro_binds = { w } }))
        end)
    end)

    describe("lint.socket", function()
        -- A server on the host, what runs inside, and what arrived.
        local HOST = [[
import os, socket, subprocess, sys
place, command = sys.argv[1], sys.argv[2:]
server = socket.socket(socket.AF_UNIX)
server.bind(place + "/socket")
server.listen()
os.mkfifo(place + "/fifo")
reader = os.open(place + "/fifo", os.O_RDONLY | os.O_NONBLOCK)
code = """
import os, socket
try:
    socket.socket(socket.AF_UNIX).connect("/x/socket")
    os.write(os.open("/x/fifo", os.O_WRONLY | os.O_NONBLOCK), b"written")
    open("/x/new", "w")
except OSError as error:
    print(error.strerror)
"""
print(subprocess.run(command + ["--", "/usr/bin/python3", "-c", code], capture_output=True, text=True).stdout.strip())
server.settimeout(0)
try:
    print("connected", bool(server.accept()))
except BlockingIOError:
    print("nobody")
print(os.read(reader, 100))
]]
        it("a socket and a FIFO in a read-only bind can be written to, and are named", function()
            make "mkdir d"
            local result = probe.host(HOST, { scratch "d", sandbox.command, "run", "--backend=bwrap", "--ro",
                scratch "d" .. ":/x" })
            assert.equal("Read-only file system\nconnected True\nb'written'\n", result.out, result.err)
            local found, messages = lints { ro_binds = { { scratch "d", "/x" } } }
            assert.same({ "lint.socket ro_binds[1]" }, found)
            assert.matches("is read-only, but sockets and FIFOs in it can be written to all the same", messages[found[1]], 1, true)
            assert.matches('"socket"', messages[found[1]], 1, true)
            assert.matches('"fifo"', messages[found[1]], 1, true)
            assert.same({}, (lints { ro_binds = { { scratch "d", "/x" } }, masks = { "/x/socket", "/x/fifo" } }))
        end)

        it("masked they are out of reach, and nothing is said", function()
            make "mkdir -p d/s"
            local words = { scratch "d/s", sandbox.command, "run", "--ro", scratch "d" .. ":/y", "--mask", "/y/s" }
            assert.matches("\nnobody\nb''\n$", probe.host(HOST, words).out)
            assert.same({}, (lints { ro_binds = { { scratch "d", "/y" } }, masks = { "/y/s" } }))
            assert.same({ "lint.socket ro_binds[1]" }, (lints { ro_binds = { { scratch "d", "/y" } } }))
        end)

        it("in /usr/local, too, which no package brings", function()
            local host = lacking.mounts_alone "mount -t tmpfs none /usr/local && mkdir /usr/local/run && mkfifo -m 666 /usr/local/run/f"
            for path, fine in pairs { ["/usr/local"] = false, ["/usr/local/run"] = false, ["/usr"] = false, ["/usr/share"] = true } do
                sandbox.write(scratch "p.lua", ("return { ro_binds = { { %q, '/x' } } }"):format(path))
                local result = sandbox.demilune({ "check", scratch "p.lua" }, { prefix = host })
                assert.equal(fine and "" or "lint.socket", result.err:match("%[(lint.socket)%]\n$") or result.err)
            end
            sandbox.write(scratch "p.lua", "return { ro_binds = { { '/usr', '/x' } }, masks = { '/x/local/run' } }")
            assert.equal("", sandbox.demilune({ "check", scratch "p.lua" }, { prefix = host }).err)
            local wrote = "timeout 5 cat /usr/local/run/f & %s run --backend=bwrap --ro /usr:/x -- sh -c 'echo through >/x/local/run/f'"
            assert.equal("through\n", sandbox.sh(("%s sh -c %s"):format(host, sandbox.quote(wrote:format(sandbox.command) ..
                "; wait"))).out)
        end)

        it("three are named, the others counted; a name cannot drive a terminal", function()
            make "mkdir d && cd d && mkfifo a b c d e \"$(printf '\\033]52;x')\""
            local _, messages = lints { ro_binds = { scratch "d" } }
            assert.matches(", and 3 more", messages["lint.socket ro_binds[1]"], 1, true)
            make "cd d && rm a b c d e"
            sandbox.write(scratch "p.lua", ("return { ro_binds = { %q } }"):format(scratch "d"))
            local result = sandbox.demilune { "check", scratch "p.lua" }
            assert.matches('"\\x1b]52;x"', result.err, 1, true)
            assert.is_nil(result.err:find("\27", 1, true))
        end)

        it("says when not all was looked at: too deep, or too much", function()
            local deep = ("d/"):rep(17)
            make("mkdir -p t/" .. deep .. " && mkfifo t/" .. deep .. "f")
            local found, messages = lints { ro_binds = { scratch "t" } }
            assert.same({ "lint.unseen ro_binds[1]" }, found)
            assert.matches("was not all looked at", messages[found[1]], 1, true)
            make "mkfifo t/f"
            found, messages = lints { ro_binds = { scratch "t" } }
            assert.same({ "lint.socket ro_binds[1]" }, found)
            assert.matches('"f"; it was not all looked at', messages[found[1]], 1, true)
            make "mkdir -p m"
            sandbox.write(scratch "p.lua", ('return { ro_binds = { %q, %q } }'):format(scratch "m/a", scratch "m/b"))
            local fill = ("(mount -t tmpfs none %s && cd %s && mkdir a b && mkfifo b/f && seq %%d | (cd a && xargs touch))"):format(
                scratch "m", scratch "m")
            local much = sandbox.demilune({ "check", scratch "p.lua" }, { prefix = lacking.mounts(fill:format(50001)) })
            assert.matches("ro_binds%[1%].*%[lint.unseen%]\n.*ro_binds%[2%].*%[lint.unseen%]\n$", much.err)
            local less = sandbox.demilune({ "check", scratch "p.lua" }, { prefix = lacking.mounts(fill:format(49999)) })
            assert.matches("^[^\n]*ro_binds%[2%][^\n]*%[lint.socket%]\n$", less.err)
        end)
    end)

    describe("lint.executed", function()
        -- A project with what its owner runs on the host; the command inside changes each of them.
        local function project()
            make [[mkdir -p p/node_modules/.bin p/node_modules/pkg/.git p/src && cd p && git init -q . &&
                git config user.name x && git config user.email x@y && printf '#!/bin/sh\n' >node_modules/.bin/tool &&
                chmod +x node_modules/.bin/tool && : >.envrc]]
            return scratch "p"
        end
        local ATTACK = [[printf '[core]\n\tfsmonitor = "touch %s; false"\n' >>.git/config; mkdir -p .git/hooks
            printf '#!/bin/sh\ntouch %s\n' >.git/hooks/pre-commit && chmod +x .git/hooks/pre-commit
            echo 'touch %s' >>node_modules/.bin/tool; echo 'touch %s' >>.envrc; true]]
        local marks = { "config", "hook", "tool", "envrc" }

        -- What the host executed afterwards, of what the command wrote.
        local function attacked(fields)
            for _, mark in ipairs(marks) do
                os.remove(scratch(mark))
            end
            run(fields, "sh", "-c", ATTACK:format(scratch "config", scratch "hook", scratch "tool", scratch "envrc"))
            sandbox.sh(("cd %s && git status >/dev/null; git commit --allow-empty -qm x; node_modules/.bin/tool; . ./.envrc"):format(
                scratch "p"))
            local executed = {}
            for _, mark in ipairs(marks) do
                executed[#executed + 1] = sandbox.exists(scratch(mark)) and mark or nil
            end
            return executed
        end

        it("what the host executes in a writable project, the command can write", function()
            local path = project()
            local fields = { project = path }
            local found, messages = lints(fields)
            assert.same({ "lint.executed project" }, found)
            assert.matches("is writable with what programs of the host execute in it", messages[found[1]], 1, true)
            for _, name in ipairs { ".git/config", ".envrc", "node_modules/.bin" } do
                local only = {}
                for _, other in ipairs { ".git", ".envrc", "node_modules/.bin" } do
                    only[#only + 1] = name:sub(1, #other) ~= other and path .. "/" .. other or nil
                end
                local _, alone = lints { project = path, ro_binds = only }
                assert.matches(('"%s"'):format(name), alone["lint.executed project"], 1, true)
            end
            assert.same(marks, attacked(fields))
        end)

        it("protected it is not, and nothing is said of it", function()
            local path = project()
            local fields = { project = path, ro_binds = { path .. "/.git", path .. "/.envrc" }, masks = { path .. "/node_modules" } }
            assert.same({}, attacked(fields))
            for _, lint in ipairs((lints(fields))) do
                assert.matches("^lint.pinned", lint)
            end
            assert.same({}, (lints { project = { path, write = false } }))
            make "mkdir plain && : >plain/Makefile"
            assert.same({}, (lints { project = scratch "plain" }))
        end)

        it("a .git that is a file, as of a worktree, is one too", function()
            make "mkdir -p p repo && git init -q repo && echo 'gitdir: ../repo/.git' >p/.git"
            local _, messages = lints { project = scratch "p" }
            assert.matches(': ".git"$', messages["lint.executed project"])
            local attack = ("cp -r /from/.git own && printf '[core]\\n\\tfsmonitor = \"touch %s; false\"\\n' >>own/config && " ..
                "echo gitdir: own >.git"):format(scratch "mark")
            run({ project = scratch "p", ro_binds = { { scratch "repo", "/from" } } }, "sh", "-c", attack)
            sandbox.sh(("cd %s && git status"):format(scratch "p"))
            assert.is_true(sandbox.exists(scratch "mark"))
        end)

        it("is found below a bind that is no project, whose own files are a danger to acknowledge", function()
            make "mkdir -p all/one all/two/.git/objects/.git/hooks && : >all/one/.envrc && : >all/.bashrc"
            local fields = { rw_binds = { { scratch "all", "/w" } }, acknowledge = { "path_rw" } }
            local found, messages = lints(fields)
            assert.same({ "lint.executed rw_binds[1]" }, found)
            assert.matches(': "one/.envrc"$', messages[found[1]])
            fields.acknowledge = nil
            local problems = assert(demilune.policy(fields)):problems()
            assert.same({ "bind.dangerous" }, sandbox.codes(problems))
        end)
    end)

    describe("lint.abstract_socket", function()
        -- In a network of its own, with and without an abstract socket in it.
        local HOST = [[
import socket, subprocess, sys
name, policy, command = "\0spec-agent\033", sys.argv[2], sys.argv[3]
server = socket.socket(socket.AF_UNIX)
if sys.argv[1] == "with":
    server.bind(name)
    server.listen()
print(subprocess.run([command, "check", policy], capture_output=True, text=True).stderr.strip() or "nothing said")
code = "import socket; socket.socket(socket.AF_UNIX).connect(%r); print('connected')" % name
print(subprocess.run([command, "run", "--backend=bwrap", "-p", policy, "--", "/usr/bin/python3", "-c", code], capture_output=True,
    text=True).stdout.strip() or "refused")
]]
        local function try(with, network)
            sandbox.write(scratch "p.lua", ("return { network = %s }"):format(network))
            return probe.host(HOST, { with, scratch "p.lua", sandbox.command }, { prefix = sandbox.own_network }).out
        end

        it("an abstract socket of the host is reached through the shared network, and named", function()
            local out = try("with", "true")
            assert.matches('network: "spec-agent\\x1b" is an abstract socket of the host, which has no file that could be hidden',
                out, 1, true)
            assert.matches("%[lint.abstract_socket%]\nconnected\n$", out)
        end)

        it("not without the network, and where there is none nothing is said", function()
            assert.equal("nothing said\nrefused\n", try("with", "false"))
            assert.equal("nothing said\nrefused\n", try("without", "true"))
        end)
    end)

    describe("lint.mask_nothing", function()
        it("a mask of a host's path hides nothing that stands elsewhere inside", function()
            make "mkdir w && echo TOKEN >w/.env"
            local fields = { rw_binds = { { scratch "w", "/w" } }, masks = { scratch "w/.env" } }
            local found, messages = lints(fields)
            assert.same({ "lint.mask_nothing masks[1]" }, found)
            assert.matches("masks nothing: nothing is there; a mask names a path inside", messages[found[1]], 1, true)
            assert.equal("TOKEN\n", run(fields, "cat", "/w/.env").stdout)
            fields.masks = { "/w/.env" }
            assert.same({}, (lints(fields)))
            assert.equal("", run(fields, "cat", "/w/.env").stdout)
        end)

        it("nor what stands below it on its own", function()
            local found, messages = lints { masks = { "/etc" } }
            assert.same({ "lint.mask_nothing masks[1]" }, found)
            assert.matches("masks nothing: what is there was put there for itself, as \"/etc/", messages[found[1]], 1, true)
            assert.matches("^root:", run({ masks = { "/etc" } }, "cat", "/etc/passwd").stdout)
            assert.same({}, (lints { masks = { "/etc/passwd", "/tmp", "/bin", "/usr/share" } }))
            assert.equal("", run({ masks = { "/etc/passwd" } }, "cat", "/etc/passwd").stdout)
        end)
    end)

    describe("lint.useless", function()
        local function under(bound, fields)
            local options = { ceiling = assert(demilune.ceiling(bound)) }
            local policy = assert(demilune.policy(fields))
            local plan = assert(policy:plan({ "true" }, options))
            local said = {}
            for i, lint in ipairs(plan:lint()) do
                said[i] = lint.code .. " " .. lint.message
            end
            local result, _, code = policy:run({ "true" }, options)
            return table.concat(said, "\n"), result and result.kind or code
        end

        it("a policy that shows no program, as its ceiling wants it", function()
            local said = "lint.useless nothing of the host is shown, so there is no program inside that could be executed"
            assert.same({ said, "command.missing" }, { under({ bases = {}, read = {} }, { base = "none" }) })
            assert.same({ "", "exit" }, { under({ bases = { "host" }, read = {} }, {}) })
            assert.same({ "", "exit" }, { under({ bases = {}, read = { "/usr", "/lib", "/lib64", "/bin" } }, { base = "none",
                ro_binds = { "/usr" }, symlinks = { { target = "usr/lib", sandbox = "/lib" }, { target = "usr/lib64", sandbox = "/lib64" },
                { target = "usr/bin", sandbox = "/bin" } } }) })
        end)

        it("a ceiling under which nothing here may launch", function()
            local said, code = under({ backends = { "none" } }, {})
            assert.matches('^lint.useless nothing can be launched here: the backend "%l+" exceeds the ceiling: it allows "none"', said)
            assert.equal("ceiling.backend", code)
            assert.same({ "", "exit" }, { under({ backends = { "bwrap", "native" } }, {}) })
        end)
    end)

    it("what cannot be looked at for want of descriptors is said, and nothing is raised", function()
        make "mkdir ro rw && mkfifo ro/f && : >rw/.envrc"
        local code = ([[
local demilune = require "demilune"
local plan = assert(assert(demilune.policy { network = true, ro_binds = { %q }, project = %q }):plan())
local files = {}
repeat
    files[#files + 1] = io.open "/dev/null" or false
until not files[#files]
for _, lint in ipairs(plan:lint()) do print(lint.code, lint.field, lint.message) end]]):format(scratch "ro", scratch "rw")
        local result = probe.lua(scratch "host.lua", code, { prefix = "ulimit -n 40;" })
        for _, field in ipairs { "ro_binds[1]", "project", "network" } do
            assert.matches(("lint.unseen\t%s\tcannot be looked at: Too many open files\n"):format(field), result.out, 1, true)
        end
    end)

    describe("check", function()
        before_each(function()
            sandbox.write(scratch "clean.lua", "return {}")
            sandbox.write(scratch "lint.lua", 'return {\n masks = { "/nothing" } }')
            sandbox.write(scratch "bad.lua", 'return { network = 1 }')
        end)

        it("prints lints as warnings, with their places, and takes them", function()
            local result = sandbox.demilune { "check", scratch "lint.lua" }
            assert.same({ 0, scratch "lint.lua" .. ": fine\n" }, { result.code, result.out })
            assert.matches("warning: [^\n]*lint.lua:2: masks%[1%]: \"/nothing\" masks nothing: [^\n]*%[lint.mask_nothing%]\n", result.err)
        end)

        it("--strict takes none: 1, and 125 where something cannot be launched", function()
            for _, case in ipairs { { 0, "clean" }, { 1, "lint" }, { 1, "clean", "lint" }, { 125, "lint", "bad" } } do
                local words = { "check", "--strict" }
                for i = 2, #case do
                    words[#words + 1] = scratch(case[i] .. ".lua")
                end
                local result = sandbox.demilune(words)
                assert.equal(case[1], result.code)
                table.insert(words, 3, "--json")
                local data = sandbox.demilune(words)
                assert.equal(case[1], data.code)
                for i, one in ipairs(cjson.decode(data.out)) do
                    assert.equal(case[i + 1] == "clean", one.ok)
                    assert.equal(case[i + 1] == "lint" and "lint.mask_nothing" or nil, (one.warnings[1] or {}).code)
                end
            end
            assert.matches("lint.lua: has warnings\n", sandbox.demilune({ "check", "--strict", scratch "lint.lua" }).out, 1, true)
            assert.equal(125, sandbox.demilune({ "check", "--strcit", scratch "lint.lua" }).code)
        end)

        it("alone: run and explain say none of them", function()
            for _, word in ipairs { "run", "explain" } do
                local result = sandbox.demilune { word, "-p", scratch "lint.lua", "--", "true" }
                assert.same({ 0, "" }, { result.code, result.err })
            end
        end)
    end)
end)
