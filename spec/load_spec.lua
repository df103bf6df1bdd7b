-- Policy files: where they are found, how they are read, and where in them a problem is said to be.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local policies = require "support.policies"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

describe("a policy file", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function write(name, text)
        os.execute("mkdir -p " .. sandbox.quote(scratch(name):match "^(.*)/"))
        return sandbox.write(scratch(name), text)
    end

    local function refused(name, code, ...)
        local policy, text, found, problems = demilune.load(name)
        assert.is_nil(policy)
        assert.same({ code, code, 1 }, { found, problems[1].code, #problems })
        for _, words in ipairs { ... } do
            assert(text:find(words, 1, true), text)
        end
        return problems[1]
    end

    local function env(name)
        return policies.environment(core.describe(assert(assert(demilune.load(name)):plan()).core))
    end

    it("that is missing or cannot be read says why", function()
        os.execute(("cd %s && mkdir d dir.lua && mkfifo fifo.lua && ln -s nowhere dangling.lua"):format(scratch()))
        for name, case in pairs {
            ["none.lua"] = { "policy.missing", "No such file or directory" },
            ["none/x"] = { "policy.missing", "No such file or directory" },
            ["dangling.lua"] = { "policy.unreadable", "No such file or directory" },
            ["d"] = { "policy.unreadable", "is a directory, not a file" },
            ["dir.lua"] = { "policy.unreadable", "is a directory, not a file" },
            ["fifo.lua"] = { "policy.unreadable", "is no regular file" },
        } do
            refused(scratch(name), case[1], core.quote(scratch(name)), case[2])
        end
        refused("/dev/null/x.lua", "policy.missing", "Not a directory")
        refused("/dev/null", "policy.unreadable", "is no regular file")
        -- files that do not say how large they are, or cannot be read where they begin
        refused("/proc/self/mem", "policy.unreadable", "Input/output error")
        refused("/proc/kallsyms", "policy.unreadable", "is too large")
        if not sandbox.is_root then
            write("locked.lua", "return {}")
            os.execute("chmod 0 " .. scratch "locked.lua")
            refused(scratch "locked.lua", "policy.unreadable", "Permission denied")
        end
    end)

    it("may begin with a byte order mark and a line for the shell, as any Lua file", function()
        local mark, line = "\xef\xbb\xbf", "#!/usr/bin/env -S demilune run -p"
        for _, before in ipairs { mark, line .. "\n", mark .. line .. "\n", "#\n" } do
            local lines = select(2, before:gsub("\n", ""))
            write("text.lua", before .. "return {\n env = { A = include 'part' } }")
            write("part.lua", before .. "return 'part'")
            assert.equal("part", env(scratch "text.lua").A)
            write("wrong.lua", before .. "return {\n network = 1 }")
            assert.equal(lines + 2, refused(scratch "wrong.lua", "type").line)
            write("wrong.lua", before .. "return {\n } }")
            refused(scratch "wrong.lua", "policy.script", ("wrong.lua:%d: "):format(lines + 2))
            write("ceiling.lua", before .. "return {\n netwrk = false }")
            local ceiling, _, _, problems = require("demilune.ceiling").load(scratch "ceiling.lua")
            assert.is_nil(ceiling)
            assert.equal(lines + 2, problems[1].line)
            -- each of them once, and nothing else
            for text, where in pairs { [before .. mark .. "return {}"] = lines + 1, [" " .. before .. "return {}"] = 1, [line] = false } do
                write("wrong.lua", text)
                refused(scratch "wrong.lua", "policy.script", where and ("wrong.lua:%d: "):format(where) or "returns nothing")
            end
        end
        write("wrong.lua", mark .. "\27Lua")
        refused(scratch "wrong.lua", "policy.script", "attempt to load a binary chunk")
        write("wrong.lua", line .. "\n\27Lua")
        refused(scratch "wrong.lua", "policy.script", "wrong.lua:2: unexpected symbol")
    end)

    it("that is a table and returns none is told what is missing", function()
        write("wrong.lua", "{ network = true }")
        refused(scratch "wrong.lua", "policy.script", "a policy file returns its table")
        write("wrong.lua", '\n{\n"network": true }')
        refused(scratch "wrong.lua", "policy.script", "JSON is read from a file whose name ends in .json")
    end)

    it("has 256 KiB at most", function()
        local text = "return {} --"
        write("big.lua", text .. ("x"):rep(256 * 1024 - #text + 1))
        refused(scratch "big.lua", "policy.unreadable", "is too large; a policy has at most 262144 bytes")
        write("fits.lua", text .. ("x"):rep(256 * 1024 - #text))
        assert.truthy(demilune.load(scratch "fits.lua"))
    end)

    it("is read in the memory that it needs, also when it does not say its size", function()
        write("small.lua", "return {}")
        collectgarbage()
        collectgarbage("stop")
        local before = collectgarbage("count")
        local text = core.read_file(scratch "small.lua", 256 * 1024)
        local taken = collectgarbage("count") - before
        collectgarbage("restart")
        assert.equal("return {}", text)
        assert.truthy(taken < 8, taken .. " KiB")
        assert.equal("Linux\n", core.read_file("/proc/sys/kernel/ostype", 6))
        assert.same({ nil, "is too large" }, { core.read_file("/proc/sys/kernel/ostype", 5) })
    end)

    it("may take its time on a processor, not the time that it has to wait for one", function()
        write("slow.lua", "print('started') for _ = 1, 5e6 do end return {}")
        local stopped = probe.host([[
import signal, subprocess, sys, time
process = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
process.stderr.readline()
process.send_signal(signal.SIGSTOP)
time.sleep(0.5)
process.send_signal(signal.SIGCONT)
print(process.wait(), process.stderr.read().decode())
]], { sandbox.command, "check", scratch "slow.lua" })
        assert.equal("0 \n", stopped.out, stopped.err)
        write("endless.lua", "while true do end")
        refused(scratch "endless.lua", "policy.script", "runs longer than 200 ms")
    end)

    it("is Lua text that returns a table", function()
        for text, case in pairs {
            [""] = { "a policy file returns a table", nil },
            ["return 5"] = { "a policy file returns a table, this one returns a number", nil },
            ["return nil"] = { "a policy file returns a table", nil },
            ["return print"] = { "a policy file returns a table, this one returns a function", nil },
            [string.dump(function() return {} end)] = { "attempt to load a binary chunk", nil },
            ["\27Lua"] = { "attempt to load a binary chunk", nil },
            ["\0"] = { "unexpected symbol", 1 },
            ["return {}\0"] = { "<eof> expected", 1 },
            ["\xff\xfe\xfd"] = { "unexpected symbol", 1 },
            ["return {\n\n  a = = 1 }"] = { "unexpected symbol near '='", 3 },
            ["return {\n network = ture,\n}"] = { "`ture` is not defined", 2 },
            ["return {\n env = { H = hoem },\n}"] = { "`hoem` is not defined; did you mean `home`?", 2 },
            ["return { string.uper('x') }"] = { "`string.uper` is not defined; did you mean `string.upper`?", 1 },
            ["local p = {}\nlocal q = os.getenv 'X'"] = { "`os` is not defined", 2 },
            ["\nbase = 'none'"] = { "assignment to global `base`; use `local base`", 2 },
            ["return { io }"] = { "`io` is not defined", 1 },
            ["require 'x'"] = { "`require` is not defined", 1 },
            ["\n\nerror 'mine'"] = { "mine", 3 },
            ["while true do end"] = { "the policy runs longer than 200 ms", 1 },
        } do
            local problem = refused(write("p.lua", text), "policy.script", case[1], scratch "p.lua",
                "[policy.script]")
            assert.equal(case[2], problem.line)
        end
    end)

    it("sees where it is, and where the caller is", function()
        local path = write("real/p.lua",
            [[return { env = { P = policy_dir, C = cwd, J = project, H = home or "none", K = host.kernel,
            D = host.distribution, N = tostring(host.nothing) } }]])
        os.execute(("ln -s real %s && ln -s real/p.lua %s"):format(scratch "alias", scratch "q.lua"))
        for _, name in ipairs { path, scratch "alias/p.lua", scratch "q.lua" } do
            local found = env(name)
            assert.same({ scratch "real", core.cwd(), core.cwd(), os.getenv "HOME" or "none" },
                { found.P, found.C, found.J, found.H })
            assert.same({ demilune.host().kernel, demilune.host().distribution, "nil" }, { found.K, found.D,
                found.N })
        end
    end)

    it("sees the project that the caller names", function()
        local path = write("p.lua", "return { env = { J = project, C = cwd } }")
        os.execute("mkdir " .. scratch "project")
        local found = policies.environment(core.describe(assert(assert(demilune.load(path, { project = "/srv" })):plan()).core))
        assert.same({ "/srv", core.cwd() }, { found.J, found.C })
        local result = sandbox.demilune { "run", "-p", path, "-e", "policy:set_env('H', project)", "--project",
            scratch "project", "--", "sh", "-c", "echo $J $H" }
        assert.equal(scratch "project" .. " " .. scratch "project" .. "\n", result.out)
        assert.has_error(function() demilune.load(path, { projct = "/srv" }) end)
        assert.has_error(function() demilune.load(path, { project = 1 }) end)
        assert.has_error(function() demilune.load(path, "/srv") end)
    end)

    it("writes ~/ for the caller's home, and other paths whole", function()
        os.execute("mkdir -p " .. scratch "home/sub")
        write("p.lua", 'return { rw_binds = { { "~/sub", "/x" }, { home .. "/sub", "/y" } } }')
        local result = sandbox.demilune({ "check", scratch "p.lua" }, { env = { "HOME=" .. scratch "home" } })
        assert.same({ 0, "" }, { result.code, result.err })
        write("p.lua", 'return {\n  rw_binds = { "sub" },\n  ro_binds = { "./sub", "../sub" } }')
        result = sandbox.demilune { "check", scratch "p.lua" }
        assert.equal(125, result.code)
        local expected = {}
        for i, case in ipairs { { 3, "ro", 1, "./sub" }, { 3, "ro", 2, "../sub" }, { 2, "rw", 1, "sub" } } do
            expected[i] = ('demilune: %s:%d: %s_binds[%d].host: "%s" is not absolute; write policy_dir .. "/..." or '
                .. 'the whole path [path.relative]\n'):format(scratch "p.lua", table.unpack(case))
        end
        assert.equal(table.concat(expected), result.err)
        write("p.lua", 'return { project = "." }')
        result = sandbox.demilune { "check", scratch "p.lua" }
        assert(result.err:find('project: "." is not absolute; write project, cwd or the whole path [', 1, true), result.err)
    end)

    it("includes files beside it, and no others", function()
        write("d/common.lua", "return { env = { A = policy_dir } }")
        write("d/broken.lua", "return {\n x = }")
        write("d/sub/inner.lua", "return {}")
        write("outside.lua", "return {}")
        os.execute(("cd %s && ln -s ../outside.lua link.lua && ln -s common.lua inside.lua"):format(scratch "d"))
        os.execute(("cd %s && mkfifo fifo.lua && mkdir dir.lua"):format(scratch "d"))
        write("d/p.lua", 'return include "common"')
        assert.equal(scratch "d", env(scratch "d/p.lua").A)
        write("d/p.lua", 'local c = include "common.lua"\nc.env.B = "b"\nreturn c')
        assert.equal("b", env(scratch "d/p.lua").B)
        local only_beside = "include takes the name of a file beside the policy, without a path"
        for name, words in pairs {
            ["../outside"] = only_beside, ["sub/inner"] = only_beside, ["/etc/passwd"] = only_beside,
                [""] = only_beside,
            [".."] = only_beside, [".hidden"] = only_beside, ["common\\0"] = "not a name",
                ["./common"] = only_beside,
            missing = '"missing" is neither beside the policy nor a preset',
                link = "is a symbolic link",
            inside = "is a symbolic link", fifo = "is no regular file", dir = "is a directory",
            p = "includes nest deeper than", broken = "broken.lua:2: unexpected symbol near '}'",
        } do
            write("d/p.lua", ('return include "%s"'):format(name))
            local problem = refused(scratch "d/p.lua", "policy.script")
            assert(problem.message:find(words, 1, true) or name == "broken" or name == "p", problem.message)
            assert.equal(name == "broken" and scratch "d/broken.lua" or scratch "d/p.lua", problem.file)
        end
    end)

    it("of a bare name is looked up in the configuration, never in the current directory", function()
        local text = 'return { env = { FROM = "%s" } }'
        write("config/demilune/mine.lua", text:format "config")
        write("home/.config/demilune/mine.lua", text:format "home")
        write("here/mine.lua", text:format "here")
        write("here/.config/demilune/mine.lua", text:format "relative home")
        write("here/demilune/mine.lua", text:format "relative config")
        local function from(name, ...)
            local result = sandbox.demilune({ "explain", "-p", name }, {
                prefix = "cd " .. scratch "here" .. " &&", env = { "-u", "XDG_CONFIG_HOME", "-u", "HOME", ... },
            })
            return result.out:match "FROM=(.-)  +" or result.err
        end
        assert.equal("config", from("mine", "XDG_CONFIG_HOME=" .. scratch "config", "HOME=" .. scratch "home"))
        assert.equal("home", from("mine", "HOME=" .. scratch "home"))
        assert.equal("home", from("mine", "XDG_CONFIG_HOME=.", "HOME=" .. scratch "home"))
        assert.equal("home", from("mine", "XDG_CONFIG_HOME=", "HOME=" .. scratch "home"))
        assert.equal("here", from("./mine.lua"))
        assert.equal("here", from("mine.lua"))
        for _, home in ipairs { ".", "", scratch "none" } do
            local said = from("mine", "HOME=" .. home)
            assert(said:find('no policy is called "mine"; the presets are agent, build, ', 1, true), said)
            assert(said:find("/etc/demilune/mine.lua, ", 1, true), said)
            assert(said:find("/demilune/presets/mine.lua; for a file write ./mine.lua [policy.missing]", 1, true), said)
        end
        -- every preset is known by its name, and what is nearly one is told
        for file in require("lfs").dir "lua/demilune/presets" do
            local preset = file:match "^(.*)%.lua$"
            local said = preset and sandbox.demilune({ "run", "-p", preset .. "x", "--", "true" }).err
            assert(not preset or said:find(("; did you mean %s? looked for "):format(preset), 1, true), said)
        end
    end)

    it("has a name that is one", function()
        for name, words in pairs {
            [".."] = '".." is neither a file (with a / or ending in .lua or .json) nor a name',
                [""] = '"" is neither a file',
            ["a b"] = '"a b" is neither', ["-x"] = '"-x" is neither', ["a.b"] = '"a.b" is neither',
                ["é"] = "is neither",
            ["/a\0b.lua"] = [["/a\x00b.lua" has a NUL byte; take it out]], ["\27[31m"] = [["\x1b[31m" is neither]],
        } do
            refused(name, "policy.name", words)
        end
        for _, name in ipairs { "x.json", scratch "x.json" } do
            refused(name, "policy.missing", "No such file or directory")
        end
    end)

    it("is protected and found though the program changes its directory", function()
        write("d/p.lua", "return { rw_binds = { policy_dir } }")
        local program = write("script.lua", ([[
            local lfs = require "lfs"
            lfs.chdir(%q)
            local policy = assert(demilune.load "./p.lua")
            lfs.chdir "/"
            local _, _, code = policy:plan()
            print(code)
        ]]):format(scratch "d"))
        local result = sandbox.demilune({ "script", program }, { env = { "LUA_CPATH=" .. package.cpath } })
        assert.same({ "bind.never\n", "" }, { result.out, result.err })
    end)
end)

describe("the line of a problem", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- Every problem of the text as "field:line".
    local function lines(text, ...)
        local policy, _, _, problems = demilune.load(sandbox.write(scratch "p.lua", text))
        if policy then
            problems = policy:problems(...)
        end
        local list = {}
        for i, problem in ipairs(problems) do
            assert.equal(scratch "p.lua", problem.file)
            list[i] = ("%s:%s"):format(problem.field, problem.line or "-")
        end
        return list
    end

    it("is that of the field, however deep it stands", function()
        local found = lines [[
return { -- line 1
    tty = 1,
    masks = {
        4,
    },
    ro_binds = {
        "relative",
        {
            host = "relative",
            sandbox = "/a/../b",
        },
        { "relative", "/c" },
    },
    tmpfs = { { sandbox = "" } },
    env = { A = "1", ["A B"] = "x" },
    secrets = { ["/fine"] = "x",
        ["relative"] = "y" },
    limits = { memory = "1X" },
}
]]
        table.sort(found)
        assert.same({ "env.A B:15", "limits.memory:18", "masks[1]:4", "ro_binds[1].host:7", "ro_binds[2].host:9",
            "ro_binds[2].sandbox:10", "ro_binds[3].host:12", 'secrets["relative"]:17', "tmpfs[1].sandbox:14",
                "tty:2" },
            found)
    end)

    it("is not led astray by comments, strings, long strings and functions", function()
        assert.same({ "tty:16" }, lines [==[
-- return { tty = 1 }
--[[ return {
tty = 1 } ]]
--[=[ ]] tty = 1
]=]
local text = [[
return { tty = 1 }
]]
local other = { tty = 1, f = function() return { tty = 1 } end }
return {
    description = "tty = 1, } \" return { tty = 1",
    name = '\'tty = 1' or text, -- tty = 1
    env = { tty = "x", A = [[
tty = 1, }]] },
    prepare = function(policy) if policy.tty then for _ = 1, 2 do other = nil end end return { tty = other } end,
    tty = 1,
}
]==])
        assert.same({ "tty:3" },
            lines "return {\n prepare = function() repeat local a = { tty = 1 } until a end,\n tty = 1 }")
        assert.same({ "tty:4" }, lines("return {\n chdir = (function() if true then return '/tmp'\n"
            .. "elseif false then end end)(),\ntty = 1 }"))
    end)

    it("is that of what is around it, or none, where the policy is computed", function()
        assert.same({ "masks[2]:3" }, lines 'local list = { "/a", 5 }\nreturn {\n masks = list }')
        assert.same({ "tty:-" }, lines "local policy = { tty = 1 }\nreturn policy")
        assert.same({ "tty:-" }, lines "local policy = {}\npolicy.tty = 1\nreturn policy")
        assert.same({ "tty:2" }, lines "if true then return {\n tty = 1 } end")
        assert.same({ "masks[1]:2" }, lines("return {\n prepare = function(policy) policy:mask('x') end }",
            { "x" }))
    end)

    it("is that of the layer which says it", function()
        sandbox.write(scratch "a.lua", 'return {\n masks = { "/fine",\n  "a" },\n env = { ["A A"] = "x",\n'
            .. ' B = "y" }, hostname = "-" }')
        sandbox.write(scratch "b.lua", 'return { masks = {\n\n"/fine2",\n"/fine3",\n"b" },\n\n'
            .. 'env = { C = "x", ["C C"] = "y" } }')
        local policy = assert(assert(demilune.load(scratch "a.lua")):with(assert(demilune.load(scratch "b.lua"))))
        policy = assert(policy:with { masks = { "c" }, env = { ["D D"] = "x" } })
        local found = {}
        for i, problem in ipairs(policy:problems()) do
            found[i] = ("%s %s:%s"):format(problem.field, (problem.file or "-"):match "[^/]*$",
                problem.line or "-")
        end
        assert.same({ "masks[2] a.lua:3", "masks[5] b.lua:5", "masks[6] -:-", "env.A A a.lua:4", "env.C C b.lua:7",
            "env.D D -:-", "hostname a.lua:5" }, found)
    end)
end)
