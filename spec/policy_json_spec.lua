-- Policies as JSON: demilune's own fields beside the ancestor's, unknown ones, what is written, and where a problem is.
local demilune = require "demilune"
local leaks = require "support.leaks"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

-- A policy's text with these fields beside a minimal rest.
local function with(text)
    return '{"ro_binds":[],"network":false,"env_allowlist":[]' .. text .. "}"
end

-- The problem that decoding a text gives, the first of them.
local function problem_of(text, options)
    local policy, _, code, problems = demilune.decode(text, options)
    assert.is_nil(policy, text)
    assert.equal(code, problems[1].code)
    return problems[1], problems
end

describe("a policy in JSON", function()
    leaks.watch(before_each, after_each)

    it("has every field of demilune that is data", function()
        local decoded = assert(demilune.decode [[{
            "name": "n", "description": "d", "base": "host", "ro_binds": [{"host":"/opt","sandbox":"/a"},["/opt","/b"],
                {"host":"/nonexistent","sandbox":"/c","optional":true}], "rw_binds": [{"host":"/usr/share","sandbox":"/r"}],
            "network": true, "env_allowlist": ["LANG","TERM"], "project": {"path":"/usr/include","write":false},
            "effects": ["Pure",{"effect":"FsRead","path":"/usr/lib"}],
            "env": {"A":"1","B":true,"C":false}, "tmpfs": ["/t1",{"sandbox":"/t2","size":"64M","mode":"0700"},
                {"sandbox":"/t3","size":8192}], "symlinks": [{"target":"x","sandbox":"/l"}], "masks": ["/m"], "chdir": "/t1",
            "user": "caller", "hostname": "h", "tty": false, "nested": true, "seccomp": "off",
            "limits": {"timeout":1.5,"memory":"1G","open_files":64}, "acknowledge": ["path_rw"]
        }]])
        local written = assert(demilune.policy {
            name = "n", description = "d", base = "host", ro_binds = { { "/opt", "/a" }, { "/opt", "/b" },
                { host = "/nonexistent", sandbox = "/c", optional = true } }, rw_binds = { { "/usr/share", "/r" } },
            network = true, env_allowlist = { "LANG", "TERM" }, project = { "/usr/include", write = false },
            effects = { "Pure", { effect = "FsRead", path = "/usr/lib" } },
            env = { A = "1", B = true, C = false }, tmpfs = { "/t1", { sandbox = "/t2", size = "64M", mode = "0700" },
                { sandbox = "/t3", size = 8192 } }, symlinks = { { target = "x", sandbox = "/l" } }, masks = { "/m" },
            chdir = "/t1", user = "caller", hostname = "h", tty = false, nested = true, seccomp = "off",
            limits = { timeout = 1.5, memory = "1G", open_files = 64 }, acknowledge = { "path_rw" },
        })
        local digest = assert(written:plan { "x" }):digest()
        assert.equal(digest, assert(decoded:plan { "x" }):digest())
        local text = assert(decoded:encode())
        assert.equal(text, written:encode())
        assert.equal(digest, assert(assert(demilune.decode(text)):plan { "x" }):digest())
    end)

    it("starts from nothing, and passes what it lists and no more", function()
        local plan = assert(assert(demilune.decode(with "")):plan())
        local core = require "demilune.core"
        assert.same({ HOME = "/work", USER = "nobody" }, policies.environment(core.describe(plan.core)))
        assert.same({}, policies.mounts(core.describe(plan.core)))
        plan = assert(assert(demilune.decode(with ',"env":{"PATH":"/x"}')):plan())
        assert.equal("/x", policies.environment(core.describe(plan.core)).PATH)
    end)

    it("says what is wrong with a value, and coerces nothing", function()
        for text, case in pairs {
            ['"base":1'] = { "type", "base" }, ['"base":"debian"'] = { "base.unknown", "base" }, ['"base":null'] = { "type", "base" },
            ['"env":[]'] = { "type", "env" }, ['"env":{"A":1}'] = { "type", "env.A" }, ['"env":{"A":null}'] = { "type", "env.A" },
            ['"env":{"A":"1","\\u0041":"2"}'] = { "field.duplicate", "env.A" }, ['"masks":{}'] = { "type", "masks" },
            ['"masks":["/a"],"masks":[]'] = { "field.duplicate", "masks" }, ['"masks":[[]]'] = { "type", "masks[1]" },
            ['"tty":0'] = { "type", "tty" }, ['"tmpfs":[{"sandbox":"/t","siez":1}]'] = { "field.unknown", "tmpfs[1].siez" },
            ['"limits":{"memory":"1X"}'] = { "size.invalid", "limits.memory" }, ['"limits":{"pids":1.5}'] = { "type", "limits.pids" },
            ['"limits":{"memory":1e999}'] = { "json.syntax", "limits.memory" }, ['"seccomp":{"allow":{}}'] = { "type", "seccomp.allow" },
            ['"seccomp":{"allow":["x"]}'] = { "seccomp.option", "seccomp.allow[1]" },
            ['"project":["/usr"]'] = { "type", "project" }, ['"chdir":"a\\u0000b"'] = { "string.nul", "chdir" },
            ['"hostname":"\\ud800"'] = { "json.syntax", "hostname" }, ['"effects":["Net"]'] = { "effect.unknown", "effects[1]" },
        } do
            local problem = problem_of(with("," .. text))
            assert.same(case, { problem.code, problem.field }, text)
        end
        local problem = problem_of '{"ro_binds":[{"host":"/a","sandbox":"/a","optional":1}],"network":false,"env_allowlist":[]}'
        assert.same({ "type", "ro_binds[1].optional" }, { problem.code, problem.field })
        assert.equal("type", problem_of('{"ro_binds":["/a"],"network":false,"env_allowlist":[]}').code)
    end)

    it("of the ancestor's fields alone may have unknown ones, which are said to be ignored", function()
        local policy, warnings = demilune.decode(with ',\n"Network":true,"x":{"y":1},\n"Network":1,"":2,"secrets":{}')
        local expected = {
            { field = "Network", line = 2, message = 'unknown field, ignored; did you mean "network"?' },
            { field = "x", line = 2, message = "unknown field, ignored" },
            { field = "Network", line = 3, message = 'unknown field, ignored; did you mean "network"?' },
            { field = '""', line = 3, message = "unknown field, ignored" },
            { field = "secrets", line = 3, message = "unknown field, ignored; JSON cannot have it, write the policy in Lua" },
        }
        for _, warning in ipairs(expected) do
            warning.code = "field.unknown"
        end
        assert.same(expected, warnings)
        local problems, planned = policy:problems()
        assert.same({ {}, expected }, { problems, planned })
        local _, layered = policy:with({ chdir = "/tmp" }):problems()
        assert.same(expected, layered)
        assert.equal(with "", policy:encode())
        assert.same({}, select(2, demilune.decode(with "")))
    end)

    it("with a field of demilune's own may not, unless that is asked for", function()
        for _, text in ipairs { ',"tty":false,"x":1', ',"x":1,"base":"none"', ',"x":1,"rw_binds":[{"host":"/usr","sandbox":"/u",'
            .. '"optional":false}]' } do
            local problem, problems = problem_of(with(text))
            assert.same({ "field.unknown", "x", "unknown field", 1 }, { problem.code, problem.field, problem.message, #problems })
            assert.truthy(demilune.decode(with(text), { unknown = "ignore" }))
        end
        local _, problems = problem_of(with ',"tmpfs":[],"mask":[],"rw_binds":[{"host":"/a","sandbox":"/a","optoinal":true}]')
        assert.same({ 'unknown field; did you mean "masks"?', "rw_binds[1].optoinal", 'unknown field; did you mean "optional"?' },
            { problems[1].message, problems[2].field, problems[2].message })
        assert.equal("x", problem_of(with ',"x":1', { unknown = "refuse" }).field)
        assert.truthy(demilune.decode(with "", { unknown = "refuse" }))
        _, problems = problem_of(with((',"x":1'):rep(1000)), { unknown = "refuse" })
        assert.same({ 101, "900 more unknown fields" }, { #problems, problems[101].message })
    end)

    it("is text, with the options that there are", function()
        assert.error_matches(function() demilune.decode({}) end, "bad argument #1 to 'decode' %(string expected, got table%)")
        assert.error_matches(function() demilune.decode("", { unknown = true }) end, "bad option unknown")
        assert.error_matches(function() demilune.decode("", { unkown = "refuse" }) end, "bad option unkown")
    end)
end)

describe("a policy that is encoded", function()
    leaks.watch(before_each, after_each)

    -- The plan of a policy is that of what it is written as.
    local function same_plan(fields)
        local policy = assert(demilune.policy(fields))
        local text = assert(policy:encode())
        local again = assert(demilune.decode(text))
        assert.equal(assert(policy:plan { "x" }):digest(), assert(again:plan { "x" }):digest(), text)
        assert.equal(text, again:encode())
        return text
    end

    it("means the same, whatever it starts from and does not say", function()
        local lists = [["LANG","LANGUAGE","LC_ALL","LC_ADDRESS","LC_COLLATE","LC_CTYPE","LC_IDENTIFICATION",]]
            .. [["LC_MEASUREMENT","LC_MESSAGES","LC_MONETARY","LC_NAME","LC_NUMERIC","LC_PAPER","LC_TELEPHONE","LC_TIME",]]
            .. [["TERM","COLORTERM","NO_COLOR","TZ"]]
        assert.equal(('{"ro_binds":[],"network":false,"env_allowlist":[%s],"base":"host"}'):format(lists), same_plan {})
        assert.equal(('{"ro_binds":[],"network":false,"env_allowlist":[%s],"env":{"PATH":"/usr/local/sbin:/usr/local/bin:'
            .. '/usr/sbin:/usr/bin:/sbin:/bin"}}'):format(lists), same_plan { base = "none" })
        assert.matches('"env":{"PATH":"/x"}}', same_plan { base = "none", env = { PATH = "/x" } }, 1, true)
        assert.matches('"env":{"PATH":false}}', same_plan { base = "none", env = { PATH = false } }, 1, true)
        assert.equal(with "", same_plan { base = "none", env_allowlist = {} })
        assert.equal(with ',"base":"host"', same_plan { env_allowlist = {} })
        assert.equal(with '', same_plan { base = "none", env_allowlist = {}, masks = {}, env = {}, tty = false, limits = {} })
        local policy = assert(demilune.policy { base = "nix" })
        assert.equal(policy:encode(), (assert(demilune.from_effects {}):encode()
            :gsub('"ro_binds":.-%]', '"ro_binds":[]'):gsub("}$", ',"base":"nix"}')))
    end)

    it("has every form of a field in one", function()
        assert.equal('{"ro_binds":[{"host":"/usr","sandbox":"/usr"},{"host":"/usr","sandbox":"/b"},{"host":"/opt","sandbox":"/opt"},'
            .. '{"host":"/none","sandbox":"/none","optional":true}],"network":true,"env_allowlist":[],"project":"/usr/include",'
            .. '"limits":{"timeout":0.1}}', same_plan {
            base = "none", env_allowlist = {}, network = true, ro_binds = { "/usr", { "/usr", "/b" }, { host = "/opt" },
                { host = "/none", optional = true } }, project = "/usr/include", limits = { timeout = 0.1 },
        })
        assert.matches('"project":{"path":"/usr/include","write":false}',
            same_plan { project = { "/usr/include", write = false } }, 1, true)
    end)

    it("is refused where it would lose its hooks or secrets, unless that is wanted", function()
        local policy = assert(demilune.policy {
            base = "none", env_allowlist = {}, secrets = { ["/s"] = "x" }, prepare = function() end,
            launched = function() end, finished = function() end,
        })
        local text, given, code, problems = policy:encode()
        assert.same({ nil, "encode.lossy", 4 }, { text, code, #problems })
        for i, field in ipairs { "prepare", "launched", "finished", "secrets" } do
            assert.same({ "encode.lossy", field }, { problems[i].code, problems[i].field })
        end
        assert.matches("^prepare: cannot be written as JSON; encode { lossy = true } leaves it out %[encode.lossy%]\n", given)
        assert.equal(with "", policy:encode { lossy = true })
        assert.is_nil((policy:encode { lossy = false }))
        assert.equal(with "", assert(demilune.policy { base = "none", env_allowlist = {}, secrets = {} }):encode())
        assert.error_matches(function() policy:encode { losy = true } end, "bad option losy")
        assert.error_matches(function() policy:encode(true) end, "bad argument #1 to 'encode'")
    end)

    it("is refused where it is not UTF-8", function()
        local policy = assert(demilune.policy {
            ro_binds = { { "/a\xff", "/b" } }, env = { A = "\x80", ["\xc3"] = "x" }, masks = { "/\u{e9}" }, chdir = "/\xed\xa0\x80",
        })
        for _, options in ipairs { {}, { lossy = true } } do
            local text, given, code, problems = policy:encode(options)
            assert.same({ nil, "encode.utf8", 4 }, { text, code, #problems })
            assert.matches([[ro_binds[1].host: "/a\xff" is not UTF-8]], given, 1, true)
            policies.find(problems, "encode.utf8", "env.A")
            policies.find(problems, "encode.utf8", "env.\xc3")
            policies.find(problems, "encode.utf8", "chdir")
        end
    end)
end)

describe("a JSON policy file", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- Every problem of the text in a file as "field:line".
    local function lines(text)
        local policy, _, _, problems = demilune.load(sandbox.write(scratch "p.json", text))
        if policy then
            problems = policy:problems()
        end
        local list = {}
        for i, problem in ipairs(problems) do
            assert.equal(scratch "p.json", problem.file)
            list[i] = ("%s:%s"):format(problem.field, problem.line or "-")
        end
        table.sort(list)
        return list
    end

    it("has the line of each problem", function()
        assert.same({ "network:2" }, lines '{"ro_binds":[],\n"network":1}')
        assert.same({ "env_allowlist:3" }, lines '{"ro_binds":[],\n"network":true\n}')
        assert.same({ "Network:2", "x:4" }, lines '{\n"Network":1,"ro_binds":[],\n\n"x":1,"network":true,"env_allowlist":[]}')
        assert.same({ "env_allowlist[2]:6", "limits.memory:8", "ro_binds[2].host:4", "ro_binds[3].sandbox:5" }, lines [=[
{"ro_binds":[
{"host":"/usr", "sandbox":"/u"},
{"sandbox":"/v",
"host":"relative"}, ["/usr",
"x"]], "network":false, "env_allowlist":["A",
"\u0000"],
"tmpfs":[],
"limits":{"memory":"1X"}}]=])
        assert.same({ "ro_binds[1].host:3", "work_host:4" }, lines '[\n[\n["relative","/x"]],\n[], "a", true, []]')
        assert.same({ ":3" }, lines '{"ro_binds":[\n],\n')
    end)

    it("has lines beside another layer", function()
        local outer = assert(demilune.load(sandbox.write(scratch "a.lua", 'return {\n masks = { "/fine", "a" } }')))
        local inner = assert(demilune.load(sandbox.write(scratch "b.json", with ',\n\n"masks":["/fine2",\n"b"]')))
        local found = {}
        for i, problem in ipairs(assert(outer:with(inner)):problems()) do
            found[i] = ("%s %s:%d"):format(problem.field, problem.file:match "[^/]*$", problem.line)
        end
        assert.same({ "masks[2] a.lua:2", "masks[4] b.json:4" }, found)
    end)

    it("takes no unknown field, and has 1 MiB at most", function()
        assert.same({ "x:1" }, lines(with ',"x":1'))
        local space = (" "):rep(1024 * 1024 - #with "")
        assert.same({}, lines(with "" .. space))
        local policy, text, code = demilune.load(sandbox.write(scratch "p.json", with "" .. space .. " "))
        assert.same({ nil, "policy.unreadable" }, { policy, code })
        assert.matches("is too large; a policy has at most 1048576 bytes", text, 1, true)
    end)

    it("is never writable inside", function()
        local path = sandbox.write(scratch "p.json",
            ('{"ro_binds":[],"rw_binds":[["%s","/x"]],"network":false,"env_allowlist":[]}'):format(scratch()))
        policies.find(assert(demilune.load(path)):problems(), "bind.never", "rw_binds[1]")
    end)
end)
