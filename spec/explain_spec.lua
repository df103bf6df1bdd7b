-- explain: who said what, the picture of it, why, and what differs.
local account = require "demilune.explain.account"
local cjson = require("cjson").new()
local demilune = require "demilune"
local explain = require "demilune.explain"
local machine = require "support.machine"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

local function has(text, ...)
    for _, line in ipairs { ... } do
        assert(("\n" .. text):find("\n" .. line .. "\n", 1, true), line .. "\nis not in\n" .. text)
    end
end

-- The text with columns apart by two spaces alone, so that a line does not depend on others.
local function squeezed(text)
    return (text:gsub("([^\n ])   +", "%1  "))
end

-- "by file:line" of a said, with what it replaced.
local function who(said)
    local text = said.by .. (said.file and " " .. said.file:match("[^/]+$") or "") .. (said.line and (":%d"):format(said.line) or "")
    for _, older in ipairs(said.over or {}) do
        text = text .. " < " .. who(older)
    end
    return text
end

describe("explain", function()
    local scratch = sandbox.scratch(before_each, after_each)

    local function write(name, text)
        return sandbox.write(scratch(name), text)
    end

    local function run(...)
        return sandbox.demilune(table.move({ ... }, 1, select("#", ...), 2, { "explain" }), { env = { "HOME=/nonexistent" } })
    end

    local function data(...)
        local result = run("--json", ...)
        assert(result.code == 0, result.err)
        return cjson.decode(result.out)
    end

    local function by_name(list, key)
        local map = {}
        for _, item in ipairs(list) do
            map[item[key]] = map[item[key]] or item
        end
        return map
    end

    describe("knows who said", function()
        before_each(function()
            write("a.lua", [[
return {
    ro_binds = {
        "/usr/share",
        { host = "/usr/lib", sandbox = "/l" },
    },
    rw_binds = { { host = policy_dir .. "/d", sandbox = "/both" } },
    env = {
        ONE = "a",
        TWO = "a",
        GONE = "a",
        HOME = "/a",
    },
    env_allowlist = { "LISTED", "TWO" },
    limits = { timeout = "10m",
        memory = "1G" },
    hostname = "a",
    acknowledge = { "home" },
}]])
            write("b.json", [[{"base": "host", "network": true, "env_allowlist": [],
"ro_binds": [["/usr/include", "/both"],
 {"host": "/usr/bin", "sandbox": "/b"}], "env": {"ONE": "b"},
"acknowledge": ["x11"]}]])
            write("c.lua", [[
return {
    prepare = function(policy)
        policy:ro_bind("/usr/sbin", "/c")
        policy.env.TWO = "c"
        policy.env.GONE = nil
        policy:limit("memory", "2G")
        policy.ro_binds[2].sandbox = "/moved"
        table.remove(policy.ro_binds, 1)
    end,
}]])
            assert(os.execute("mkdir " .. scratch "d"))
        end)

        local function layered(...)
            return data("-p", scratch "a.lua", "-p", scratch "b.json", "-p", scratch "c.lua", "--mask", "/b/env", "--timeout", "5",
                "-e", "policy:set_env('FOUR', 'e') policy:mask('/m')", ...)
        end

        it("each mount: layers, options and hooks, and what it shadows", function()
            local told = layered("--", "cmd")
            local mounts, found = by_name(told.mounts, "at"), {}
            for _, path in ipairs { "/both", "/b", "/c", "/moved", "/b/env", "/m", "/usr", "/tmp" } do
                found[path] = who(mounts[path].said)
            end
            assert.same({
                ["/both"] = "json b.json:2", ["/b"] = "json b.json:3", ["/c"] = "hook c.lua:2",
                ["/moved"] = "hook c.lua:2 < file a.lua:4", ["/b/env"] = "flags", ["/m"] = "hook -e:1",
                ["/usr"] = "base", ["/tmp"] = "engine",
            }, found)
            assert.equal("host", mounts["/usr"].said.base)
            local hidden = mounts["/both"].shadows
            assert.same({ 1, "rw_bind", "file a.lua:6", scratch "d" }, { #hidden, hidden[1].kind, who(hidden[1].said),
                hidden[1].source })
            assert.same({ "ro_binds[1]", "hook c.lua:2", "file a.lua:3" }, { told.removed[2].field, who(told.removed[2].said),
                who(told.removed[2].over) })
            local layers = {}
            for i, layer in ipairs(told.layers) do
                layers[i] = layer.kind .. " " .. (layer.file or "")
            end
            assert.same({ "file " .. scratch "a.lua", "json " .. scratch "b.json", "file " .. scratch "c.lua", "flags " }, layers)
        end)

        it("each variable, limit and setting", function()
            local told = layered("--env", "THREE=x", "--", "cmd")
            local env = by_name(told.env, "name")
            assert.same({ "json b.json:3 < file a.lua:8", "hook c.lua:2 < file a.lua:9", "flags", "hook -e:1", "file a.lua:11",
                "base", "engine" }, { who(env.ONE.said), who(env.TWO.said), who(env.THREE.said), who(env.FOUR.said),
                who(env.HOME.said), who(env.PATH.said), who(env.USER.said) })
            assert.same({ "file a.lua:13", "engine" }, { who(env.TWO.shadows[1].said), who(env.HOME.shadows[1].said) })
            local absent = by_name(told.env_absent, "name")
            assert.same({ "pass", "file a.lua:13" }, { absent.LISTED.action, who(absent.LISTED.said) })
            assert.is_nil(env.GONE or absent.GONE)
            assert.same({ "env.GONE", "hook c.lua:2", "file a.lua:10" }, { told.removed[1].field, who(told.removed[1].said),
                who(told.removed[1].over) })
            assert.same({ "flags < file a.lua:14", "hook c.lua:2 < file a.lua:15", "default" }, { who(told.limits_said.timeout),
                who(told.limits_said.memory), who(told.limits_said.tmp) })
            assert.same({ "10m", "1G" }, { told.limits_said.timeout.over[1].value, told.limits_said.memory.over[1].value })
            local settings = told.settings_said
            assert.same({ "json b.json:1", "file a.lua:16", "json b.json:1", "default" }, { who(settings.network),
                who(settings.hostname), who(settings.base), who(settings.user) })
            assert.same({ "home file a.lua:17", "x11 json b.json:4" }, { told.acknowledged[1].name .. " " ..
                who(told.acknowledged[1].said), told.acknowledged[2].name .. " " .. who(told.acknowledged[2].said) })
        end)

        it("nothing of hooks that did not run", function()
            local told = layered()
            local mounts = by_name(told.mounts, "at")
            assert.same({ "file a.lua:4", "file a.lua:3" }, { who(mounts["/l"].said), who(mounts["/usr/share"].said) })
            assert.same({}, told.removed)
        end)

        it("what a policy is built on, and what a ceiling gives", function()
            write("outer.lua", "return {\n masks = { '/o' }, limits = { pids = 9 } }")
            write("inner.lua", "return { extends = 'outer.lua',\n masks = { '/i' } }")
            write("bound.lua", "return { write = {}, limits = { timeout = '9m', pids = 20, memory = '1G' } }")
            write("other.lua", "return { limits = { timeout = '1m', memory = '2G', tmp = '1M' } }")
            local told = data("-p", scratch "inner.lua", "--ceiling", scratch "bound.lua", "--ceiling", scratch "other.lua",
                "--limit", "open_files=9")
            local mounts, limits = by_name(told.mounts, "at"), {}
            for name, said in pairs(told.limits_said) do
                limits[name] = who(said) .. (" %d"):format(told.limits[name])
            end
            assert.same({ "file outer.lua:2", "file inner.lua:2" }, { who(mounts["/o"].said), who(mounts["/i"].said) })
            assert.same({ timeout = "ceiling other.lua 60", memory = "ceiling bound.lua 1073741824", pids = "file outer.lua:2 9",
                open_files = "flags 9", tmp = "ceiling other.lua 1048576" }, limits)
            write("narrow.lua", "return { masks = { '/n' } }")
            local text = squeezed(run("-p", scratch "inner.lua", "--untrusted", scratch "narrow.lua", "--ceiling", scratch "bound.lua").out)
            has(text, "said by  " .. scratch "outer.lua", "   then  " .. scratch "inner.lua",
                "   then  " .. scratch "narrow.lua" .. ", which may only narrow", "  n/  masked  a directory  narrow.lua:1",
                "within  " .. scratch "bound.lua", "  timeout  540 s  bound.lua")
        end)

        it("what the site of a machine and its ceiling say", function()
            local files = {
                ["site.lua"] = "return {\n env = { SITE = 'x', A = 'site' },\n masks = { '/s' } }",
                ["ceiling.lua"] = "return { limits = { open_files = 30 } }",
            }
            local line = sandbox.quote(sandbox.command) .. " explain --env A=1 --mask /m"
            local result = machine.run(scratch, files, line)
            assert.equal("", result.err)
            local text = squeezed(result.out)
            has(text, "said by  /etc/demilune/site.lua", "   then  command line", "within  /etc/demilune/ceiling.lua",
                "  s/  masked  a directory  site.lua:3", "  m/  masked  a directory  command line", "  A=1  command line",
                "    (was said by)  site.lua:2", "  SITE=x  site.lua:2", "  open_files  30  ceiling.lua")
        end)

        it("what an effect and a project bring", function()
            write("p.lua", "return {\n project = policy_dir .. '/d',\n effects = { 'Pure',\n 'Network',\n" ..
                " { effect = 'FsRead', path = '/usr/games' } } }")
            local told = data("-p", scratch "p.lua")
            local mounts = by_name(told.mounts, "at")
            assert.same({ "file p.lua:2", "file p.lua:5", "file p.lua:4", "file p.lua:2" }, { who(mounts[scratch "d"].said),
                who(mounts["/usr/games"].said), who(told.settings_said.network), who(told.settings_said.chdir) })
        end)

        it("what is optional and not there, and what has no place", function()
            write("o.lua", "return {\n ro_binds = { '/usr',\n { host = '/none', sandbox = '/o', optional = true },\n" ..
                " { host = '/', sandbox = '/all' } }, acknowledge = { 'root' } }")
            local told = data("-p", scratch "o.lua", "--base", "none")
            assert.same({ 1, "/o", "/none", "file o.lua:3" }, { #told.absent, told.absent[1].at, told.absent[1].source,
                who(told.absent[1].said) })
            has(squeezed(run("-q", "-p", scratch "o.lua", "--base", "none").out), "/o  read-only  optional; not there  o.lua:3")
        end)

        it("what is optional and not there in few lines: binds, devices and masks in the same words", function()
            assert(os.execute("mkdir " .. scratch "few"))
            write("o.lua", ([[
local D = %q
local function missing(names)
    local list = {}
    for i, name in ipairs(names) do
        list[i] = { host = D .. name, sandbox = D .. name, optional = true }
    end
    return list
end
return {
    rw_binds = { D },
    ro_binds = missing { "/one", "/two", "/three", "/deep/one" },
    devices = { { host = D .. "/null0", sandbox = "/dev/null0", optional = true } },
    masks = { { sandbox = D .. "/m1", optional = true }, { sandbox = D .. "/m2", optional = true } },
    acknowledge = { "path_rw" },
}]]):format(scratch "few"))
            local text = run("-q", "-p", scratch "o.lua").out
            local part = squeezed(text:match("\nnot there\n(.-)\n\n"))
            local expected = ([[
$D/  masked  optional; not there  o.lua:13
  m1, m2
$D/  read-only  optional; not there  o.lua:11
  one, two, three
$D/deep/one  read-only  optional; not there  o.lua:11
/dev/null0  device  optional; not there  o.lua:12]]):gsub("%$D", (scratch "few":gsub("%%", "%%%%")))
            assert.equal(expected, part)
            local absent = by_name(data("-q", "-p", scratch "o.lua").absent, "at")
            assert.same({ "mask", "ro_bind", "device" }, { absent[scratch "few/m1"].kind, absent[scratch "few/two"].kind,
                absent["/dev/null0"].kind })
        end)

        describe("in a terminal", function()
            local long = "/" .. ("x"):rep(150)

            -- What it shows in a terminal of so many columns, by COLUMNS or by the terminal itself.
            local function shown(columns, by)
                local command = ("NO_COLOR=1 %s explain -q --backend native --env 'LONG=%s' --env 'UTF=%s' -- true %s"):format(
                    sandbox.quote(sandbox.command), long, ("é"):rep(150), long)
                local line = by == "COLUMNS" and ("COLUMNS=%d %s"):format(columns, command)
                    or ("unset COLUMNS; stty cols %d; %s"):format(columns, command)
                local result = sandbox.sh("script -qec " .. sandbox.quote(line) .. " /dev/null")
                assert.equal(0, result.code, result.err)
                return (result.out:gsub("\r", ""))
            end

            it("cuts what is wider, but not the digest, and not in a pipe", function()
                for _, by in ipairs { "COLUMNS", "terminal" } do
                    for _, columns in ipairs { 72, 90, 120 } do
                        local text = shown(columns, by)
                        for line in text:gmatch("[^\n]+") do
                            local width = utf8.len(line)
                            assert(width, "a letter is cut in two")
                            assert(width <= columns or line:find("^digest"), line)
                        end
                        assert.matches("\n  LONG=/x+%.%.%. *\n", text)
                        assert.matches("\ncommand  true /x+%.%.%.\n", "\n" .. text)
                        assert.matches("\ndigest  " .. ("%x"):rep(64) .. "\n", text)
                        -- sentences go on in the next line
                        assert.matches("those in read%-only binds cannot be written to %(Landlock%)", (text:gsub("%s+", " ")))
                    end
                end
                local piped = sandbox.sh(("COLUMNS=72 %s explain -q --env LONG=%s -- true"):format(sandbox.quote(sandbox.command), long))
                has(piped.out, "  LONG=" .. long)
            end)

            it("that is wide enough shows the same as a pipe", function()
                local command = "COLUMNS=300 NO_COLOR=1 " .. sandbox.quote(sandbox.command) .. " explain -q --mask /etc/passwd -- true"
                local result = sandbox.sh("script -qec " .. sandbox.quote(command) .. " /dev/null")
                assert.equal(sandbox.sh(command).out, (result.out:gsub("\r", "")))
            end)
        end)

        it("of a program what it can tell", function()
            local function first(policy) policy:mask "/m1" end
            local outer = assert(demilune.policy { masks = { "/m0" }, prepare = first })
            local here = debug.getinfo(first, "S")
            local function masks(policy, options)
                local plan = assert(policy:plan({ "x" }, options))
                local mounts, list = by_name(account.of(plan).mounts, "at"), {}
                for i = 0, 3 do
                    local mount = mounts["/m" .. i]
                    list[#list + 1] = mount and who(mount.said)
                end
                list[#list + 1] = who(account.of(plan).limits_said.timeout or { by = "none" })
                return list
            end
            local place = "hook " .. here.short_src:match "[^/]+$" .. ":" .. here.linedefined
            assert.same({ "table", place, "none" }, masks(outer))
            local both = assert(outer:with { limits = { timeout = 9 }, prepare = function(policy) policy:mask "/m2" end })
            assert.same({ "table", "hook", "hook", "options < table" }, masks(both, { timeout = 5 }))
            local traced = masks(both, { timeout = 5, trace = true })
            assert.same({ "table", place, "options < table" }, { traced[1], traced[2], traced[4] })
            assert.is_true(traced[3] ~= traced[2] and traced[3]:find "^hook .*:%d+$" ~= nil)
            assert.equal(place, who(by_name(account.of(assert(outer:plan { "x" }):instead { "y" }).mounts, "at")["/m1"].said))
            local plan = assert(assert(demilune.policy { masks = { "/m0" } }):plan { "x" })
            assert.equal("table", who(by_name(account.of(assert(plan:with_command { "y" })).mounts, "at")["/m0"].said))
        end)

        it("after the hook has changed the table that it left", function()
            local left
            local policy = assert(demilune.policy { ro_binds = { { "/usr", "/a" } }, prepare = function(copy)
                copy:ro_bind("/usr", "/b")
                left = copy
            end })
            local plan = assert(policy:plan { "x" })
            local before = plan:explain()
            left.ro_binds, left.network, left.acknowledge, left.effects = nil, true, 5, "x"
            assert.equal(before, plan:explain())
            left.ro_binds = left
            assert.equal(before, plan:explain())
        end)
    end)

    describe("draws", function()
        it("what is there as a tree", function()
            assert(os.execute(("cd %s && mkdir -p p/src/deep p/.git d && touch p/.env p/src/a"):format(scratch())))
            write("site.lua", "return {\n limits = { memory = '1G', pids = 100 } }")
            write("p.lua", [[
return {
    base = "none",
    rw_binds = { { host = policy_dir .. "/p", sandbox = "/src" } },
    ro_binds = { { host = policy_dir .. "/d", sandbox = "/srv/data" } },
    masks = {
        "/src/.env",
        "/src/src/a",
    },
    secrets = { ["/run/secret"] = "hidden" },
    symlinks = { { target = "/srv/data", sandbox = "/d" } },
    tmpfs = { { sandbox = "/cache", size = "1M" } },
    env = { A = "1" },
    limits = { memory = "512M", tmp = "64M" },
    acknowledge = { "path_rw" },
}]])
            local text = run("-p", scratch "site.lua", "-p", scratch "p.lua", "--", "make", "a b").out
            local covers = text:match "\n(    [^\n]*, sys [^\n]*)\n" -- which ones there are depends on the kernel
            local expected = ([[
command  make 'a b'
said by  $S/site.lua
   then  $S/p.lua

files
/             read-only   empty but for this             demilune
  cache/      private     memory, at most 1M             p.lua:11
  d           link        to /srv/data                   p.lua:10
  dev/        fresh       null, zero, random, terminals  demilune
    shm/      private     memory, at most 64M            demilune
  proc/       fresh       its own processes              demilune
$C
  run/secret  read-only   a secret                       p.lua:9
  src/        read-write  $S/p        p.lua:3
    .env      masked      a file                         p.lua:6
    src/      pinned      stays where it is              for p.lua:7
      a       masked      a file                         p.lua:7
  srv/data/   read-only   $S/d        p.lua:4
  tmp/, work/ private     memory, at most 64M            demilune

environment
  A=1
]]):gsub("%$S", (scratch():gsub("%%", "%%%%"))):gsub("%$C", covers)
            local function lines(of)
                return squeezed(of):gsub("[^\n]*, sys [^\n]*\n", "")
            end
            local picture = text:match("^(.-\nenvironment\n  A=1)")
            assert.equal(lines(expected):gsub("tmp/, work/ ", "tmp/, work/  "):gsub("\n$", ""), (lines(picture)))
            has(squeezed(text), "  A=1  p.lua:12", "  memory  512M  p.lua:13", "    (was)  1G  site.lua:2", "  pids  100  site.lua:2",
                "  path_rw  p.lua:14", "  base  none  p.lua:2", "  network  off  default")
            assert.matches("\ndigest  %x+\n$", text)
            assert.matches("\nbackend\n  launched by  bwrap /", text, 1, true)
            assert.is_nil(text:find("hidden", 1, true))
        end)

        it("what a backend cannot do, and refuses one that there is not", function()
            has(squeezed(run("--backend", "none").out), "  problem  the command is not isolated: nothing of this holds")
            assert.matches("\n  launched by  bwrap /[^\n]*\n  applies +[^\n]*seccomp", run("--backend", "bwrap").out)
            local result = run("--backend", "bwarp")
            assert.same({ 125, "" }, { result.code, result.out })
            assert.matches("bwarp", result.err)
        end)

        it("files by their last names, by more where two are the same, and presets as such", function()
            assert(os.execute(("mkdir -p %s/one %s/two"):format(scratch(), scratch())))
            write("one/p.lua", "return { masks = { '/m' } }")
            write("two/p.lua", "return { masks = { '/n' } }")
            local text = squeezed(run("-p", scratch "one/p.lua", "-p", scratch "two/p.lua").out)
            has(text, "  m/  masked  a directory  p.lua:1", "  n/  masked  a directory  " .. scratch "two/p.lua" .. ":1")
            assert(os.execute("mkdir -p " .. scratch "demilune/presets"))
            local preset, path = write("demilune/presets/mine.lua", ""), package.path
            package.path = scratch "?.lua" .. ";" .. path
            local words = require("demilune.explain.words").new()
            local found = { words:file(preset), words:file(scratch "x/demilune/presets/other.lua") }
            package.path = path
            assert.same({ "preset mine", "other.lua" }, found)
        end)

        it("what an entry hides", function()
            write("p.lua", "return {\n ro_binds = { { '/usr/lib', '/x' } },\n masks = { '/x' } }")
            has(squeezed(run("-q", "-p", scratch "p.lua").out), "  x/  masked  a directory  p.lua:3",
                "    (hides)  read-only  /usr/lib  p.lua:2")
        end)

        it("columns that stand below each other, within 100 characters", function()
            local text = run("--net", "--ro", "/usr/share:/a/rather/long/path/of/seven/names", "--mask", "/x").out
            local column
            for line in text:match("\nfiles\n(.-)\n\n"):gmatch("[^\n]+") do
                local at = line:find(" base host$") or line:find(" demilune$") or line:find(" command line$")
                column = column or at
                assert(not at or at == column, line)
                assert(#line <= 100, line)
            end
            assert.truthy(column)
        end)

        it("three hundred binds in a few lines, and each of them when it is told to", function()
            local binds = {}
            for i = 1, 300 do
                assert(os.execute(("mkdir -p %s/many/d%d"):format(scratch(), i)))
                binds[i] = ('{ host = policy_dir .. "/many/d%d", sandbox = "/data/%d/d%d" },'):format(i, i % 3, i)
            end
            write("many.lua", "return { ro_binds = {\n" .. table.concat(binds, "\n") .. "\n} }")
            local text, all = run("-p", scratch "many.lua").out, run("-v", "-p", scratch "many.lua").out
            local _, few = text:gsub("\n", "")
            assert.is_true(few < 70, text)
            assert.matches("\n    1/\n      d1/, d10/, d100/, +read%-only +" .. scratch "many" .. "/%* +many.lua:2%-299\n" ..
                " +%.%.%. d97/ %(100 in all%)\n", text)
            for i = 1, 300 do
                assert(squeezed(all):find(("\n      d%d/  read-only  %s/many/d%d  many.lua:%d\n"):format(i, scratch(), i, i + 1), 1, true),
                    all)
            end
            assert.equal(300, #data("-p", scratch "many.lua", "--base", "none").mounts - #data("--base", "none").mounts)
        end)

        it("what the policy calls itself, in one line that drives no terminal", function()
            write("named.lua", [[return { name = "mine", description = "what\nI \27[31m do" }]])
            local result = run("-p", scratch "named.lua", "--", "x")
            assert.matches("^policy +mine\nabout +what\\nI \\x1b%[31m do\ncommand +x\n", result.out)
            assert.equal("what\nI \27[31m do", data("-p", scratch "named.lua").description)
            assert.is_nil(run("--", "x").out:find("\nabout ", 1, true))
        end)

        it("in colour on a terminal alone, and never with NO_COLOR", function()
            local function escapes(env, ...)
                local words = { "import pty, sys; pty.spawn(sys.argv[1:])", sandbox.command, ... }
                for i, word in ipairs(words) do
                    words[i] = sandbox.quote(word)
                end
                local result = sandbox.sh(("env -u NO_COLOR TERM=xterm %s python3 -c %s"):format(env, table.concat(words, " ")))
                return select(2, result.out:gsub("\27%[", ""))
            end
            assert.is_true(escapes("A=1", "explain") > 20)
            assert.is_true(escapes("A=1", "explain", "--why", "/usr") > 2)
            assert.is_true(escapes("NO_COLOR=", "explain") > 20)
            assert.same({ 0, 0, 0 }, { escapes("NO_COLOR=1", "explain"), escapes("TERM=dumb", "explain"),
                escapes("A=1", "explain", "--json") })
            assert.is_nil(run().out:find("\27", 1, true))
        end)
    end)

    it("shows no name from outside as it is, whatever the question", function()
        local evil = "e\27]52;c;Zm9v\7\27[2J\194\155m"
        local directory = scratch(evil)
        assert(os.execute("mkdir " .. sandbox.quote(directory)))
        local file = sandbox.write(directory .. "/" .. evil .. ".lua", ([[return {
            ro_binds = { { host = %q, sandbox = "/%s" }, { host = "/%s", sandbox = "/gone", optional = true } },
            env = { A = %q }, symlinks = { { target = %q, sandbox = "/l/%s" } }, tmpfs = { "/t/%s" }, name = %q,
            secrets = { ["/s/%s"] = "x" }, chdir = "/%s",
            prepare = function(policy) policy:mask("/m/%s") policy.ro_binds[2] = nil policy.symlinks[1] = nil end }]]):format(
            directory, evil, evil, evil, evil, evil, evil, evil, evil, evil, evil))
        local other = write("other.lua", "return {}")
        local count = 0
        for _, words in ipairs { {}, { "-v" }, { "--json" }, { "--why", "/" .. evil }, { "--why", "/x" .. evil },
            { "--why", "/l/" .. evil .. "/x" }, { "--why", "/" }, { "--why", directory }, { "--why", "env.A" },
            { "--why", evil }, { "--why", "env." .. evil }, { "--diff", other }, { "--diff", file, "-q" }, { "--diff", evil },
            { "--json", "--diff", other }, { "--json", "--why", "/" .. evil } } do
            local more = table.move(words, 1, #words, 3, { "-p", file })
            for _, command in ipairs { {}, { "--", evil, evil } } do
                local all = table.move(command, 1, #command, #more + 1, table.move(more, 1, #more, 1, {}))
                local result = run(table.unpack(all))
                local text = result.out .. result.err
                assert(not text:find("[\0-\9\11-\31\127]"), text)
                assert(not text:find("\194\155", 1, true), text)
                assert(result.code == 0 or result.code == 1 or result.err:find("explain: --why", 1, true)
                    or result.err:find("neither a file", 1, true), text)
                count = count + (text:find("52;c;Zm9v", 1, true) and 1 or 0)
            end
        end
        assert.is_true(count > 20, "the names were not shown at all")
    end)

    describe("--why", function()
        local function why(...)
            local result = run("-q", ...)
            return squeezed(result.out), result.code, result.err
        end

        before_each(function()
            assert(os.execute(("cd %s && mkdir -p p/.git && touch p/.git/config p/f && chmod 600 p/f"):format(scratch())))
            write("p.lua", [[
return {
    rw_binds = { { host = policy_dir .. "/p", sandbox = "/src" } },
    masks = { "/src/.git/config" },
    ro_binds = { { host = "/usr/lib", sandbox = "/hidden" } },
    tmpfs = { "/hidden" },
    acknowledge = { "path_rw" },
    env = { A = "1", API_KEY = "k3y", P = true },
    limits = { memory = "1G" },
}]])
        end)

        it("says of a path what can be done with it, by which entry, from where, and who said so", function()
            local text, code = why("-p", scratch "p.lua", "--why", "/src/f")
            has(text, "/src/f can be read and written", "  entry  /src  read-write  " .. scratch "p" .. "  p.lua:2 (rw_binds[1])",
                "  on the host  " .. scratch "p/f" .. " (file)")
            assert.equal(0, code)
            text, code = why("-p", scratch "p.lua", "--why", "/src/.git/config")
            has(text, "/src/.git/config is masked: cannot be read or written",
                "  entry  /src/.git/config  masked  a file  p.lua:3 (masks[1])")
            assert.equal(1, code)
            text, code = why("-p", scratch "p.lua", "--why", "/src/.git")
            has(text, "/src/.git can be read and written", "  within  /src  read-write  " .. scratch "p" .. "  p.lua:2 (rw_binds[1])",
                "  below it  /src/.git/config  masked  a file  p.lua:3 (masks[1])")
            assert.matches("\n  pinned  the directory cannot be renamed or removed", text, 1, true)
            assert.equal(0, code)
            text, code = why("-p", scratch "p.lua", "--why", "/hidden")
            has(text, "  hides  /hidden  read-only  /usr/lib  p.lua:4 (ro_binds[1])")
            assert.equal(0, code)
        end)

        it("follows links inside", function()
            has(why("--why", "/bin/sh"), "  link  /bin leads to usr/bin, base host", "  entry  /usr  read-only  /usr  base host")
        end)

        it("says of a device in a bind that it cannot be opened, and of a link in /dev where it leads", function()
            local given = { "--ro", "/:/h", "--acknowledge", "root" }
            local function open(path)
                return run(given[1], given[2], given[3], given[4], "--why", path)
            end
            local result = open "/h/dev/null"
            has(squeezed(result.out), "/h/dev/null is there, and cannot be read or written",
                "  because  device nodes cannot be opened in a bind (nodev); name it under devices")
            assert.equal(1, result.code)
            assert.equal(0, open("/dev/null").code)
            local words = { "run", given[1], given[2], given[3], given[4], "--", "sh", "-c",
                "cat /h/dev/null || echo refused; cat /dev/null && test -e /dev/fd/0 && readlink /dev/fd" }
            assert.equal("refused\n/proc/self/fd\n", sandbox.demilune(words).out)
            local text = why("--why", "/dev/fd/0")
            has(text, "  link  /dev/fd leads to /proc/self/fd")
            assert.is_nil(text:find("not there", 1, true))
        end)

        it("says that a host path is not there, and where it is if it is elsewhere", function()
            local text, code = why("-p", scratch "p.lua", "--why", scratch "p/f")
            has(text, scratch "p/f" .. " is not there", "  the host's is  at /src/f  read-write  p.lua:2 (rw_binds[1])")
            assert.equal(1, code)
            text, code = why("-p", scratch "p.lua", "--why", scratch "p.lua")
            has(text, scratch "p.lua" .. " is not there", "  the host's  is not visible inside under any name")
            assert.equal(1, code)
            text = why("-p", scratch "p.lua", "--why", scratch "p/.git/config")
            has(text, "  the host's  is not visible inside under any name") -- masked where it would be
            text = why("--why", "/no/where")
            assert.equal("/no/where is not there\n  entry  none: nothing is put at it or above it\n", text)
        end)

        it("says what would be there, were it not optional", function()
            local file = write("o.lua", [[
return {
    ro_binds = { { host = "/none/o", sandbox = "/o", optional = true } },
    rw_binds = { { host = "/none/s", sandbox = "/usr/share", optional = true } },
    masks = { { sandbox = "/usr/none", optional = true } },
}]])
            for _, path in ipairs { "/o", "/o/below" } do
                local text = why("-p", file, "--why", path)
                assert.equal(path .. " is not there\n  entry  none: nothing is put at it or above it\n"
                    .. "  optional  /o  read-only  /none/o, not there  o.lua:2 (ro_binds[1])\n", text)
            end
            has(why("-p", file, "--why", "/usr/none/x"), "/usr/none/x is not there",
                "  optional  /usr/none  masked  nothing there to mask  o.lua:4 (masks[1])")
            has(why("-p", file, "--why", "/usr/share"), "/usr/share can be read, not written",
                "  optional  /usr/share  read-write  /none/s, not there  o.lua:3 (rw_binds[1])")
            assert.is_nil((why("-p", file, "--why", "/other")):find("optional", 1, true))
            local answer = cjson.decode(run("--json", "-p", file, "--why", "/o").out)
            assert.equal("/none/o", answer.optional[1].source)
        end)

        it("says of a file which permissions are in the way", function()
            assert(os.execute("chmod 0 " .. scratch "p/f"))
            local text, code = why("-p", scratch "p.lua", "--why", "/src/f")
            has(text, "/src/f is there, and cannot be read or written", "  because  the permissions of " .. scratch "p/f")
            assert.equal(1, code)
        end)

        it("says it of variables, limits and settings", function()
            local function answer(...)
                local text, code = why("-p", scratch "p.lua", "--env", "A=2", "--memory", "2G", "--why", ...)
                return code .. " " .. text
            end
            assert.equal("0 env.A is 2\n  said by  command line (env.A)\n  replaces  p.lua:7 (env.A)\n", answer "env.A")
            assert.equal("0 env.API_KEY is <hidden>\n  said by  p.lua:7 (env.API_KEY)\n", answer "env.API_KEY")
            assert.equal("0 env.API_KEY is k3y\n  said by  p.lua:7 (env.API_KEY)\n", answer("env.API_KEY", "--show-values"))
            assert.equal("1 env.P is passed through, and is not set outside\n  said by  p.lua:7 (env.P)\n", answer "env.P")
            assert.equal("1 env.NONE is not set: nothing passes it through\n", answer "env.NONE")
            assert.equal("0 limits.memory is 2G\n  said by  command line (limits.memory)\n  replaces  1G, p.lua:8 (limits.memory)\n",
                answer "limits.memory")
            assert.equal("1 limits.pids has no limit\n", answer "limits.pids")
            assert.equal("0 network is off\n  said by  default\n", answer "network")
        end)

        it("refuses a question that it does not know", function()
            for _, word in ipairs { "usr", "limits.none", "env.", "", "./x" } do
                local text, code, err = why("--why", word)
                assert.same({ "", 125 }, { text, code })
                assert.matches("none of a path inside (with a / in front), env.NAME, limits.timeout|", err, 1, true)
            end
            assert.matches("ask one", select(3, why("--why", "/", "--diff", "x.lua")))
        end)

        it("--json has the same", function()
            local answer = data("-p", scratch "p.lua", "--why", "/src/f")
            assert.same({ true, true, true, "/src", "file", scratch "p/f" }, { answer.yes, answer.sight.read, answer.sight.write,
                answer.sight.mount.at, answer.sight.kind, answer.sight.host })
            assert.equal("file p.lua:2", who(answer.sight.mount.said))
        end)
    end)

    describe("--diff", function()
        before_each(function()
            write("a.lua", [[
return {
    ro_binds = { { host = "/usr/lib", sandbox = "/same" }, { host = "/usr/bin", sandbox = "/a" },
        { host = "/usr/share", sandbox = "/x" } },
    env = { SAME = "1", A = "1", X = "1", TOKEN = "one" },
    limits = { memory = "1G", pids = 5 },
    acknowledge = { "home" },
}]])
            write("b.lua", [[
return {
    rw_binds = {},
    ro_binds = { { host = "/usr/lib", sandbox = "/same" }, { host = "/usr/bin", sandbox = "/b" } },
    masks = { "/x" },
    env = { SAME = "1", B = "1", X = "2", TOKEN = "two" },
    limits = { memory = "2G", pids = 5 },
    nested = true,
}]])
        end)

        it("tells what the other adds, takes away and changes, with who said so", function()
            local result = run("-p", scratch "a.lua", "--diff", scratch "b.lua", "--", "x")
            assert.equal(1, result.code)
            assert.equal([[
files
- /a  read-only  /usr/bin  a.lua:2
+ /b  read-only  /usr/bin  b.lua:3
- /x  read-only  /usr/share  a.lua:3
+ /x  masked  a directory  b.lua:4
environment
- A  1  a.lua:4
+ B  1  b.lua:5
- TOKEN  <hidden>  a.lua:4
+ TOKEN  <hidden>  b.lua:5
- X  1  a.lua:4
+ X  2  b.lua:5
limits
- memory  1G  a.lua:5
+ memory  2G  b.lua:6
settings
- nested  off  default
+ nested  user namespaces can be made  b.lua:7
- seccomp  the default filter  default
+ seccomp  the default filter, which lets through: nested  default
dangers acknowledged
- home  a.lua:6
]], (squeezed(result.out):gsub("(\n[+-] seccomp [^\n]*nested)[^\n]*(  default)", "%1%2")))
            assert.matches("TOKEN +one", run("--show-values", "-p", scratch "a.lua", "--diff", scratch "b.lua").out)
        end)

        it("tells of what is only there under a condition, which does not hold", function()
            write("o.lua", [[
return {
    ro_binds = { { host = "/none/a", sandbox = "/a", optional = true }, { host = "/none/c", sandbox = "/c", optional = true } },
    masks = { { sandbox = "/usr/none", optional = true } },
    env = { TOKEN = true, LANG = false, SAME = true },
}]])
            write("n.lua", [[
return {
    rw_binds = { { host = "/none/a", sandbox = "/a", optional = true } },
    ro_binds = { { host = "/none/c", sandbox = "/c", optional = true } },
    env = { TOKEN = false, LANG = false, SAME = true, A = true },
}]])
            local told = [[
optional, and not there
- /a  read-only  /none/a, not there  o.lua:2
+ /a  read-write  /none/a, not there  n.lua:2
- /usr/none  masked  nothing there to mask  o.lua:3
environment
+ A  not set outside  n.lua:4
- TOKEN  not set outside  o.lua:4
+ TOKEN  left out  n.lua:4
]]
            local words = { "-p", scratch "o.lua", "--diff", scratch "n.lua" }
            local result = run(table.unpack(words))
            assert.same({ 1, told }, { result.code, squeezed(result.out) })
            local changes = cjson.decode(run("--json", table.unpack(words)).out)
            assert.same({ false, 2, 2, "/none/a", "omit" }, { changes.equal, #changes.absent, #changes.environment,
                changes.absent[1].new.source, changes.environment[2].new.action })
            words[4] = words[2]
            result = run(table.unpack(words))
            assert.same({ 0, "" }, { result.code, result.out })
        end)

        it("says nothing and exits with 0 where nothing differs, whoever said it", function()
            local result = run("-p", scratch "a.lua", "--diff", scratch "a.lua")
            assert.same({ 0, "", "" }, { result.code, result.out, result.err })
            write("c.lua", "return include 'a'")
            result = run("-p", scratch "a.lua", "--diff", scratch "c.lua")
            assert.same({ 0, "" }, { result.code, result.out })
        end)

        it("puts the options and hooks on top of both", function()
            write("x.lua", "return { masks = { '/m' } }")
            local hook = { "-e", "policy:mask '/m'", "--diff", scratch "x.lua" }
            local result = run("--net", hook[3], hook[4], "--", "x")
            assert.same({ 1, "files\n+ /m  masked  a directory  x.lua:1\n" }, { result.code, squeezed(result.out) })
            result = run("--net", hook[1], hook[2], hook[3], hook[4], "--", "x")
            assert.same({ 0, "" }, { result.code, result.out })
        end)

        it("trusts the other as it does what -p names", function()
            local result = run("--untrusted", scratch "a.lua", "--diff", scratch "b.lua")
            assert.equal(125, result.code) -- it would widen the nothing that stands outside of it
            assert.matches("layer.wider", result.err, 1, true)
            write("narrow.lua", "return { masks = { '/n' } }")
            result = run("--untrusted", scratch "narrow.lua", "--diff", scratch "b.lua")
            assert.equal(1, result.code, result.err)
        end)

        it("refuses what check refuses, of either", function()
            write("bad.lua", "return { hostname = '-' }")
            for _, case in ipairs { { "bad.lua:1: hostname:", "-p", scratch "bad.lua", "--diff", scratch "a.lua" },
                { "bad.lua:1: hostname:", "-p", scratch "a.lua", "--diff", scratch "bad.lua" },
                { 'none.lua": No such file', "--diff", scratch "none.lua" } } do
                local result = run(table.unpack(case, 2))
                assert.same({ 125, "" }, { result.code, result.out })
                assert.matches(case[1], result.err, 1, true)
            end
        end)

        it("takes one policy from standard input, and not both", function()
            local given = '{"base":"host","ro_binds":[],"network":true,"env_allowlist":["LANG"]}'
            local result = sandbox.demilune({ "explain", "-p", "-", "--diff", "-" }, { input = given })
            assert.same({ 125, "" }, { result.code, result.out })
            assert.matches("--diff -: standard input can be read once", result.err, 1, true)
            result = sandbox.demilune({ "check", "-", "-" }, { input = given }) -- the second would be blank, which is a policy too
            assert.same({ 125, "-: fine\n" }, { result.code, result.out })
            assert.matches('"standard input": was read already, and can be read once', result.err, 1, true)
            result = sandbox.demilune({ "explain", "-p", "-", "--diff", scratch "a.lua" }, { input = given })
            assert.matches("\n%- network +the host's.*\n%+ network +off", result.out)
            result = sandbox.demilune({ "explain", "--diff", "-", "-p", scratch "a.lua" }, { input = given })
            assert.matches("\n%- network +off.*\n%+ network +the host's", result.out)
        end)

        it("tells of what has no line that something differs", function()
            write("t.lua", "return { tmpfs = { { sandbox = '/t', mode = '0700' } } }")
            write("u.lua", "return { tmpfs = { { sandbox = '/t', mode = '0755' } } }")
            local result = run("-p", scratch "t.lua", "--diff", scratch "u.lua")
            assert.equal(1, result.code)
            assert.matches("^they differ in what is not shown", result.out)
        end)

        it("--json has the same, without hidden values", function()
            local result = run("--json", "-p", scratch "a.lua", "--diff", scratch "b.lua")
            local changes = cjson.decode(result.out)
            assert.same({ 1, false, 4, 4, 1 }, { result.code, changes.equal, #changes.files + #changes.acknowledged,
                #changes.environment, #changes.limits })
            assert.is_nil(result.out:find '"one"' or result.out:find '"two"')
        end)
    end)

    it("is what README shows of it", function()
        local readme = sandbox.read "README.md"
        local source = assert(readme:match "%-%- ~/policies/build.lua\n(.-\n    }\n)")
        write("build.lua", (source:gsub("\n    ", "\n"):gsub("^    ", "")))
        local picture = assert(readme:match "\n    files\n(.-)\n`explain")
        local answer = assert(readme:match "\n(    /src/.git is masked.-)\n\n")
        local function from_project(...)
            local words = { sandbox.quote(sandbox.command), "explain", "-p", scratch "build.lua", ... }
            local line = ("mkdir -p %s/project/.git && cd %s/project && HOME=/nonexistent %s"):format(scratch(), scratch(),
                table.concat(words, " "))
            return squeezed(sandbox.sh(line).out:gsub(scratch "project", "/home/me/my-project"))
        end
        local text, count = from_project("--", "make", "test"), 0
        for line in picture:gmatch "    ([^\n]*build.lua:%d)\n" do
            has(text, squeezed(line))
            count = count + 1
        end
        assert.equal(3, count)
        assert.equal(squeezed(answer:gsub("\n    ", "\n"):gsub("^    ", "")) .. "\n", from_project("--why", "/src/.git"))
    end)

    it("writes words of a command as a shell reads them", function()
        assert.equal("'a b'", explain.shell_word "a b")
        assert.matches("\ncommand  a 'b c' %$'\\x1b'\n", "\n" .. policies.plan({}, { "a", "b c", "\27" }):explain())
    end)
end)
