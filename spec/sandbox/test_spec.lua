-- `demilune test`: each kind of case as it should be and as it should not, what it prints, and what it leaves behind.
local core = require "demilune.core"
local demilune = require "demilune"
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

-- Reads TAP: { plan =, [n] = { ok =, text =, skip =, said = { field = } } }.
local function read_tap(text)
    local tap = { plan = math.tointeger(text:match("^TAP version 13\n1%.%.(%d+)\n")) }
    for line in text:gmatch("[^\n]+") do
        local negated, number, about = line:match("^(n?o?t? ?)ok (%d+) %- (.*)$")
        local name, value = line:match('^  (%l+): "(.*)"$')
        if number then
            assert.equal(#tap + 1, math.tointeger(tonumber(number)))
            tap[#tap + 1] = { ok = negated == "", text = about:gsub(" # SKIP.*$", ""), skip = about:match(" # SKIP (.*)$"), said = {} }
        elseif name then
            tap[#tap].said[name] = value
        end
    end
    return tap
end

describe("demilune test", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    before_each(function()
        sandbox.sh(("mkdir -p %s/tree/ro %s/tree/masked; cd %s/tree; echo content >file; echo ro >ro/file; touch masked/file; "
            .. "ln -s /bin/true ../outside"):format(scratch(), scratch(), scratch()))
    end)

    -- Tests a policy of this Lua text. Returns the TAP, the exit code, and what was said.
    local function try(text, words, more)
        sandbox.write(scratch("p.lua"), text)
        local arguments = { "test" }
        for _, word in ipairs(words or { scratch("p.lua") }) do
            arguments[#arguments + 1] = word
        end
        local result = sandbox.demilune(arguments, more)
        return read_tap(result.out), result.code, result.err, result.out
    end

    local function all(tap, ok)
        assert.truthy(tap.plan)
        assert.equal(tap.plan, #tap)
        for _, case in ipairs(tap) do
            assert.equal(ok, case.ok, case.text)
        end
    end

    -- A policy with a case of every kind, all of them right; %s and %s are the names of the verdicts.
    local function every_kind()
        return ([[
            local tree = %q
            return {
                rw_binds = { tree }, ro_binds = { tree .. "/ro" }, masks = { tree .. "/masked" }, chdir = tree,
                env = { SHOWN = "1" },
                expect = {
                    %%s = {
                        read = { "/etc/shadow", "/root", tree .. "/masked", tree .. "/masked/file", "./masked", "/usr/no" },
                        write = { "/", "/usr", "/usr/bin/env", "/new", "./ro", "./ro/file", "./ro/new", "./masked", "/etc/passwd",
                            "/proc/sys/kernel/hostname", "/dev", "./file/new", "./ro/no/new" },
                        run = { { %q }, { "false" }, { "/bin/sh", "-c", "echo x >/usr/x" } },
                        connect = { "192.0.2.1:80", "127.0.0.1:1", "[::1]:1", "[2001:db8::1]:80", "/run/x.socket", "@x" },
                        env = { "HIDDEN" },
                    },
                    %%s = {
                        read = { ".", "./file", "./ro", "./ro/file", "/usr/bin/env", "/etc/passwd", "/dev/null", "/proc/self/stat" },
                        write = { ".", "./file", "./new", "./no/new", "/tmp", "/tmp/new", "/work", "/dev/shm", "/dev/null" },
                        run = { { "true" }, { "/bin/sh", "-c", "test -r file && echo x >/tmp/x" } },
                        env = { "SHOWN", "PATH", "HOME" },
                    },
                },
            }]]):format(scratch("tree"), scratch("outside"))
    end

    local function tree()
        return sandbox.sh(("find %s -printf '%%p %%s %%m %%T@ %%i\\n' | sort; cat %s"):format(scratch("tree"),
            scratch("tree/file"))).out
    end

    it("passes when all is as it is said", function()
        local tap, code, said = try(every_kind():format("denied", "allowed"), nil, { env = { "HIDDEN=1" } })
        all(tap, true)
        assert.same({ 51, 0, "" }, { tap.plan, code, said })
    end)

    it("fails in every case when the opposite is said", function()
        local tap, code = try(every_kind():format("allowed", "denied"))
        all(tap, false)
        assert.same({ 51, 1 }, { tap.plan, code })
        for _, case in ipairs(tap) do
            assert.truthy(case.said.plan and case.said.seen, case.text)
            assert.is_nil(case.said.fault)
            assert.matches("^expect%.%l+%.%l+%[%d+%]$", case.said.field)
            assert.matches(scratch("p.lua:1?%d"):gsub("%-", "%%-"), case.said.at)
        end
    end)

    it("leaves everything as it was, whatever it tries, also what was not to be possible", function()
        for _, verdicts in ipairs { { "denied", "allowed" }, { "allowed", "denied" } } do
            local before = tree()
            local tap = try(every_kind():format(table.unpack(verdicts)))
            assert.equal(51, tap.plan)
            assert.equal(before:gsub(" [%d.]+ (%d+\n)", " %1"), (tree():gsub(" [%d.]+ (%d+\n)", " %1")))
            local time = " (%S+) %d+\n"
            local file = scratch("tree/file"):gsub("%-", "%%-")
            assert.equal(before:match(file .. ".-" .. time), tree():match(file .. ".-" .. time), "nothing was written to the file")
        end
    end)

    it("gives a command without a time limit one, which neither allows nor denies it", function()
        local trial = require "demilune.trial"
        local usual = trial.patience
        assert.equal(60, usual)
        local function outcome(verdict, fields, command)
            fields.expect = { [verdict] = { run = { command } } }
            local policy = assert(demilune.policy(fields))
            return trial.command(policy, policy:cases()[1], sandbox.backend)
        end
        trial.patience = 0.5
        local hang = { "sleep", "30" }
        for _, verdict in ipairs { "allowed", "denied" } do
            local result = outcome(verdict, {}, hang)
            assert.is_false(result.ok)
            assert.matches("it had not ended after 0.5 s", result.seen, 1, true)
        end
        trial.patience = usual
        local own = outcome("denied", { limits = { timeout = "500ms" } }, hang) -- the policy's own is as good as another end
        assert.same({ true, "timeout" }, { own.ok, own.seen })
        trial.patience = 0.5
        own = outcome("allowed", { limits = { timeout = "60s" } }, { "sleep", "1" })
        assert.same({ true, "exit code 0" }, { own.ok, own.seen })
        trial.patience = usual
    end)

    it("leaves what a command writes where its policy lets it", function()
        local policy = "return { rw_binds = { %q }, expect = { allowed = { run = { { 'touch', %q } } } } }"
        local _, code = try(policy:format(scratch "tree", scratch "tree/written"))
        assert.equal(0, code)
        assert.is_true(sandbox.exists(scratch "tree/written"))
    end)

    it("needs nothing that the sandbox lacks", function()
        local policy = [[return { base = "none", expect = {
            denied = { read = { "/usr", "/bin/sh", "/etc" }, write = { "/" }, connect = { "192.0.2.1:1" }, env = { "HIDDEN" } },
            allowed = { read = { "/" }, write = { "/work", "/tmp" }, env = { "HOME" } } } }]]
        local tap, code = try(policy)
        all(tap, true)
        assert.equal(0, code)
        local nothing = { rlimits = [[limits = { open_files = 4, pids = 1, file_size = 0, output = 1, cpu_time = "9s" } }]] }
        for _, more in pairs(nothing) do
            tap, code = try((policy:gsub(" }$", ", " .. more)))
            all(tap, true)
            assert.equal(0, code)
        end
        assert.equal(127, sandbox.demilune({ "run", "--base", "none", "--", "/bin/sh" }).code)
    end)

    it("does not take for denied what fails for another reason than the policy", function()
        local secret = sandbox.write(scratch("tree/secret"), "", "000")
        local tap, code = try(("return { ro_binds = { %q }, expect = { denied = { read = { %q } } } }"):format(secret, secret))
        assert.same({ false, 1 }, { tap[1].ok, code })
        assert.equal("read-only by ro_binds[1]", tap[1].said.plan)
        assert.equal("Permission denied", tap[1].said.seen)
    end)

    it("does not take for denied what is not there and can be made, with all above it", function()
        local policy = ([[return { project = %q, masks = { "/srv" }, expect = { %%s = { write = { "./.git/hooks", "./a/b/c/d",
            "/tmp/x/y" } } } }]]):format(scratch("tree"))
        local before = tree()
        local tap, code = try(policy:format("denied"))
        all(tap, false)
        assert.equal(1, code)
        assert.matches("^not there, where it is read%-write by project", tap[1].said.plan)
        assert.equal("it can be done", tap[1].said.seen)
        all(try(policy:format("allowed")), true)
        assert.equal(before:gsub(" [%d.]+ (%d+\n)", " %1"), (tree():gsub(" [%d.]+ (%d+\n)", " %1")))
        assert.equal(0, sandbox.demilune({ "run", "--project", scratch("tree"), "--", "/bin/mkdir", "-p", ".git/hooks" }).code)
        all(try(([[local tree = %q return { project = tree, ro_binds = { tree .. "/.git" },
            expect = { denied = { write = { "./.git/hooks/x/y", "./.git/new" } } } }]]):format(scratch("tree"))), true)
    end)

    it("does not take for denied a program that is nowhere, nor one whose hook failed", function()
        local tap, code = try([[return { expect = {
            denied = { run = { { "no-such-program" }, { "./no-such", "x" }, { command = { "no-such-program" }, optional = true } } },
            allowed = { run = { { command = { "/no/such" }, optional = true }, { command = { "true" }, optional = true } } } } }]])
        assert.same({ 5, 1 }, { tap.plan, code })
        assert.same({ false, false, true, true, true }, { tap[1].ok, tap[2].ok, tap[3].ok, tap[4].ok, tap[5].ok })
        assert.same({ "it is not there", "it is not there" }, { tap[3].skip, tap[4].skip })
        assert.is_nil(tap[5].skip)
        assert.matches("the host has no such program either; is it misspelt?", tap[1].said.seen, 1, true)
        tap, code = try([[return { prepare = function(policy, context)
                if context.command[1] == "true" then return nil, policy.nothing.more end
                if context.command[1] == "env" then return nil, nil end
                if context.command[1] == "cat" then return nil, "no cats" end
                if context.command[1] == "ls" then policy:ro_bind("relative") end
            end, expect = { denied = { run = { { "true" }, { "env" }, { "cat" }, { "ls" } } } } }]])
        assert.same({ false, false, true, false, 1 }, { tap[1].ok, tap[2].ok, tap[3].ok, tap[4].ok, code })
        assert.matches("attempt to index a nil value", tap[1].said.plan, 1, true)
        assert.matches("without a reason", tap[2].said.plan, 1, true)
    end)

    it("skips what is optional and not there", function()
        local tap, code = try([[return { expect = {
            denied = { read = { { path = "/nothing", optional = true } }, write = { { path = "/tmp/x/y", optional = true } } },
            allowed = { write = { { path = "/work/nothing", optional = true }, { path = "/tmp", optional = true } } } } }]])
        all(tap, true)
        assert.equal(0, code)
        assert.same({ "it is not there", "it is not there", "it is not there" }, { tap[1].skip, tap[2].skip, tap[3].skip })
        assert.is_nil(tap[4].skip)
    end)

    it("tells a socket and a FIFO in a read-only bind from a file", function()
        sandbox.sh(([[cd %s/tree && mkfifo fifo && python3 -c '
import socket
socket.socket(socket.AF_UNIX).bind("socket")']]):format(scratch()))
        local tap = try(([[local tree = %q return { ro_binds = { tree }, expect = { denied = {
            write = { tree .. "/fifo", tree .. "/file" } }, allowed = { read = { tree .. "/fifo" } } } }]]):format(scratch("tree")))
        assert.same({ false, true, true }, { tap[1].ok, tap[2].ok, tap[3].ok })
        assert.equal("a FIFO, read-only by ro_binds[1]", tap[1].said.plan)
        assert.equal("it can be done", tap[1].said.seen)
    end)

    -- With something that listens, by TCP and in the tree, while a policy is tried.
    local function with_listeners(text, backend)
        sandbox.write(scratch("p.lua"), text)
        sandbox.write(scratch("listen.py"), [[
import os, socket, subprocess, sys
tcp, local, abstract = socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
tcp.bind(("127.0.0.1", 0)); local.bind(sys.argv[1] + "/tree/socket"); abstract.bind("\0" + sys.argv[1])
for one in tcp, local, abstract:
    one.listen()
text = open(sys.argv[1] + "/p.lua").read().replace("PORT", str(tcp.getsockname()[1]))
open(sys.argv[1] + "/p.lua", "w").write(text)
sys.exit(subprocess.run([sys.argv[2], "test", "-q", sys.argv[1] + "/p.lua"]).returncode)
]])
        local result = sandbox.sh(("%s /usr/bin/python3 %s %s %s"):format(backend and "DEMILUNE_BACKEND=" .. backend or "",
            scratch("listen.py"), scratch(), sandbox.command))
        os.remove(scratch("tree/socket"))
        return read_tap(result.out), result.code
    end

    it("connects, and is kept from it", function()
        local policy = [[return { %s expect = { %s = { connect = { "127.0.0.1:PORT", %q } } } }]]
        local path = scratch("tree/socket")
        local open = ("network = true, ro_binds = { %q }, "):format(scratch("tree"))
        for _, case in ipairs { { open, "allowed", true }, { open, "denied", false }, { "", "denied", true },
            { "", "allowed", false } } do
            local tap, code = with_listeners(policy:format(case[1], case[2], path))
            all(tap, case[3])
            assert.same({ 2, case[3] and 0 or 1 }, { tap.plan, code })
        end
    end)

    it("leaves it to the backend whether an abstract socket is in reach with the network", function()
        local policy = ("return { %%s expect = { %%s = { connect = { %q } } } }"):format("@" .. scratch())
        for _, case in ipairs { { "network = true,", "allowed", true }, { "network = true,", "denied", false },
            { "", "denied", true }, { "", "allowed", false } } do
            all(with_listeners(policy:format(case[1], case[2]), "bwrap"), case[3])
        end
    end)

    it("says of a host that does not answer what it is", function()
        local tap = try([[return { network = true, expect = { allowed = { connect = { "127.0.0.1:1" } },
            denied = { connect = { "127.0.0.1:1" } } } }]], { "-q", scratch("p.lua") })
        all(tap, false)
        for _, case in ipairs(tap) do
            assert.same({ "the host's network", "Connection refused" }, { case.said.plan, case.said.seen })
        end
    end)

    it("asks hooks about the case's command, and about the one that is given", function()
        local policy = [[return {
            prepare = function(policy, context)
                if context.command[1] == "fetch" then policy:set_env("FETCHES", "1") end
                if context.command[1] == "true" then return nil, "not this one" end
            end,
            expect = { denied = { env = { "FETCHES" }, run = { { "true" } } }, allowed = { run = { { "env" }, { "true" } } } },
        }]]
        local tap = try(policy)
        assert.same({ true, true, true, false }, { tap[2].ok, tap[1].ok, tap[3].ok, tap[4].ok })
        assert.matches("not this one", tap[4].said.plan)
        assert.equal("not tried", tap[4].said.seen)
        tap = try(policy, { scratch("p.lua"), "--", "fetch", "all" })
        assert.same({ true, false }, { tap[1].ok, tap[2].ok })
    end)

    it("takes several policies, layers and options", function()
        sandbox.write(scratch("outer.lua"), "return { env = { OUTER = '1' }, expect = { allowed = { env = { 'OUTER' } } } }")
        sandbox.write(scratch("other.json"), '{"ro_binds":[],"network":false,"env_allowlist":[],"expect":' ..
            ('{"denied":{"read":["%s"]},"allowed":{"env":["OPTION"]}}}'):format(scratch("tree")))
        local tap, code, _, out = try("return { expect = { denied = { read = { '/etc/shadow' } } } }", { "-p", scratch("outer.lua"),
            "--env", "OPTION=1", "--ro", scratch("tree"), scratch("p.lua"), scratch("other.json") })
        assert.same({ 5, 1 }, { tap.plan, code })
        local texts = {}
        for i, case in ipairs(tap) do
            texts[i] = (case.ok and "" or "not ") .. case.text
        end
        assert.same({ "allowed: env OUTER", "denied: read /etc/shadow", "allowed: env OUTER",
            "not denied: read " .. scratch("tree"), "allowed: env OPTION" }, texts)
        assert.matches("\n# " .. scratch("other.json"), out, 1, true)
    end)

    it("finds what its policy's own project is, where the command starts", function()
        local tap, code = try("return { project = project, expect = { allowed = { write = { '.', project } } } }",
            { "--project", scratch("tree"), scratch("p.lua") })
        all(tap, true)
        assert.equal(0, code)
        assert.equal("allowed: write " .. scratch("tree"), tap[2].text)
    end)

    it("tries nothing when a policy cannot be used", function()
        sandbox.write(scratch("fine.lua"), "return { expect = { allowed = { env = { 'PATH' } } } }")
        for text, message in pairs {
            ["return { expect = { denied = { reed = {} } } }"] = 'p.lua:1: expect.denied.reed: unknown field; did you mean "read"?',
            ["return {}"] = "p.lua: has nothing to test; give it cases: expect = { denied",
            ["return { ro_binds = { '/no/such' }, expect = { denied = { read = { '/x' } } } }"] = "does not exist",
            ["return { prepare = function() return nil, 'never' end, expect = { denied = { env = { 'A' } } } }"] = "never",
            ["return {"] = "p.lua:1:",
        } do
            local _, code, said, out = try(text, { scratch("fine.lua"), scratch("p.lua") })
            assert.equal(125, code)
            assert.matches(message, said, 1, true)
            assert.matches("^TAP version 13\nBail out! [^\n]*\n$", out)
            assert.matches(message, out:gsub("\\", ""), 1, true)
        end
        for _, words in ipairs { {}, { "-z", "x" }, { scratch("fine.lua"), "--" },
            { "--status", "x", scratch("fine.lua") } } do
            local result = sandbox.demilune { "test", table.unpack(words) }
            assert.same({ 125, "" }, { result.code, result.out }, table.concat(words, " "))
            assert.matches("^demilune: ", result.err)
        end
        for _, words in ipairs { { "nowhere" }, { "--", "true" }, { "--backend", "none", scratch("fine.lua") },
            { "--backend", "x", "y" } } do
            local result = sandbox.demilune { "test", table.unpack(words) }
            assert.equal(125, result.code, table.concat(words, " "))
            assert.matches("^demilune: ", result.err)
            assert.matches("^TAP version 13\nBail out! ", result.out)
        end
    end)

    it("prints in one line what has no place in one", function()
        local tap, code, _, out = try([[return { expect = {
            denied = { read = { "/a\nok 9 - forged # TODO", "/b # SKIP", "/\27[31m\200" } },
            allowed = { run = { { "sh", "-c", "printf 'a\\n...\\nnot ok 7\\n\\033[31m\\200'; exit 1", "#" } } } } }]])
        assert.same({ 4, 4, 1 }, { tap.plan, #tap, code })
        assert.equal("denied: read /a\\nok 9 - forged \\# TODO", tap[1].text)
        assert.equal("denied: read /b \\# SKIP", tap[2].text)
        assert.is_nil(tap[2].skip)
        assert.equal("a\\n...\\nnot ok 7\\n\\x1b[31m\\x80", tap[4].said.output)
        assert.is_nil(out:find("[\27\128-\255]"))
    end)

    it("is read by prove", function()
        sandbox.write(scratch("good.lua"), every_kind():format("denied", "allowed"))
        sandbox.write(scratch("bad.lua"), "return { expect = { allowed = { env = { 'PATH', 'NOT' } } } }")
        local line = "prove --exec '%s test' %s"
        local good = sandbox.sh(line:format(sandbox.command, scratch("good.lua")))
        assert.equal(0, good.code)
        assert.matches("Tests=51,.*Result: PASS", good.out)
        local bad = sandbox.sh(line:format(sandbox.command, scratch("bad.lua")))
        assert.equal(1, bad.code)
        assert.matches("Failed 1/2 subtests", bad.out .. bad.err, 1, true)
        assert.matches("Failed test:  2", bad.out, 1, true)
    end)

    it("is what README shows of it", function()
        local readme = sandbox.read "README.md"
        local source = assert(readme:match "%-%- ~/policies/mine.lua\n(.-\n    }\n)"):gsub("\n    ", "\n"):gsub("^    ", "")
        local line = assert(readme:match "\n    %$ (cd my%-project && demilune test [^\n]*)\n")
        local shown = assert(readme:match "demilune test ~/policies/mine.lua\n(.-)\n\n")
        local prove = assert(readme:match '`(prove %-%-exec "demilune test" [^`]*)`')
        local function at_home(words)
            return sandbox.sh(("mkdir -p %s/policies %s/my-project/.git && cd %s && HOME=%s PATH=%s:$PATH && export HOME && %s")
                :format(scratch(), scratch(), scratch(), scratch(), sandbox.command:match("^(.*)/"), words))
        end
        at_home("true")
        sandbox.write(scratch("policies/mine.lua"), source)
        local result = at_home(line)
        assert.equal(1, result.code, result.err)
        local said = result.out:gsub(scratch():gsub("%p", "%%%0"), "/home/me")
        for part in shown:gmatch "    ([^\n]+)" do
            assert(("\n" .. said):find("\n" .. part .. "\n", 1, true), part .. " is not in " .. said)
        end
        assert.equal(1, select(2, said:gsub("\nnot ok", "")))
        result = at_home("cd my-project && " .. prove)
        assert.matches("Failed test:  3", result.out, 1, true)
        sandbox.write(scratch("policies/mine.lua"), (source:gsub("project = project,",
            'project = project, ro_binds = { project .. "/.git" },')))
        result = at_home("cd my-project && " .. prove)
        assert.matches("Tests=7,.*Result: PASS", result.out)
        -- where the command could rewrite the policy, it says so
        sandbox.write(scratch("my-project/mine.lua"), source)
        result = at_home("cd my-project && prove --exec 'demilune test' ./mine.lua")
        assert.is_true(result.code ~= 0)
        assert.matches("bind.never", result.out .. result.err, 1, true)
        assert.matches("Further testing stopped", result.out .. result.err, 1, true)
    end)

    -- In a mount namespace in which bwrap is a script, which may change the arguments that it is handed.
    local function with_bwrap(text, policy)
        sandbox.sh(("cp -L %s %s"):format(core.find_bwrap(), scratch("real")))
        sandbox.write(scratch("false"), text, "755")
        return try(policy, { "--backend", "bwrap", scratch("p.lua") }, { prefix = lacking.mounts(
            ("mount --bind %s %s"):format(scratch("false"), core.realpath(core.find_bwrap()))) })
    end

    it("says when the sandbox allows what its plan does not", function()
        local policy = ([[local tree = %q return { ro_binds = { tree }, expect = {
            denied = { write = { tree, tree .. "/file", "/usr" } }, allowed = { read = { tree } } } }]]):format(scratch("tree"))
        local before = tree()
        local tap, code = with_bwrap(([[#!/usr/bin/python3 -I
import os, sys
if "--args" in sys.argv:
    given = os.read(3, 1 << 20)
    words = given.split(b"\0")
    for i, word in enumerate(words):
        if word in (b"--ro-bind", b"--ro-bind-fd") and words[i + 2] == b"%s":
            words[i] = word.replace(b"ro-", b"")
    fd = os.memfd_create("args")
    os.write(fd, b"\0".join(words))
    os.lseek(fd, 0, 0)
    os.dup2(fd, 3)
os.execv("%s", ["bwrap"] + sys.argv[1:])
]]):format(scratch("tree"), scratch("real")), policy)
        assert.same({ 4, 1 }, { tap.plan, code })
        assert.same({ false, false, true, true }, { tap[1].ok, tap[2].ok, tap[3].ok, tap[4].ok })
        for i = 1, 2 do
            assert.matches("report this as a fault of demilune", tap[i].said.fault, 1, true)
            assert.same({ "read-only by ro_binds[1]", "it can be done" }, { tap[i].said.plan, tap[i].said.seen })
        end
        assert.equal(before:gsub(" [%d.]+ (%d+\n)", " %1"), (tree():gsub(" [%d.]+ (%d+\n)", " %1")))
    end)

    it("stops where no sandbox can be had", function()
        local tap, code, said, out = with_bwrap("#!/bin/sh\nexit 1\n", "return { expect = { allowed = { env = { 'PATH' } } } }")
        assert.same({ 1, 0, 125 }, { tap.plan, #tap, code })
        assert.matches("\nBail out! ", out, 1, true)
        assert.matches("^demilune: ", said)
    end)
end)
