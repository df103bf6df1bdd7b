-- The ancestor's data (noether-isolation 0.8.2): its recorded cases, and what they do not show; and policies as JSON.
local cjson = require("cjson").new()
local demilune = require "demilune"
local leaks = require "support.leaks"
local policies = require "support.policies"
local sandbox = require "support.sandbox"
local wire = require "demilune.wire"

local file = assert(io.open("spec/fixtures/argv.jsonl"))
local cases = {}
for line in file:lines() do
    cases[#cases + 1] = cjson.decode(line)
end
file:close()

-- A value as Lua text.
local function written(value)
    if type(value) ~= "table" then
        return math.type(value) == "float" and ("%d"):format(value) or ("%q"):format(value)
    end
    local parts = {}
    for key, item in pairs(value) do
        parts[#parts + 1] = ("[%s] = %s"):format(written(key), written(item))
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
end

-- The caller's environment of a case, for env(1).
local function environment(case)
    local words = { "-i" }
    for name, value in pairs(case.input.env) do
        words[#words + 1] = name .. "=" .. value
    end
    for name, value in pairs(case.input.env_hex or {}) do
        words[#words + 1] = name .. "=" .. value:gsub("%x%x", function(digits)
            return string.char(tonumber(digits, 16))
        end)
    end
    return words
end

local function split(text)
    local words = {}
    for word in (text .. "\0"):gmatch "(%Z*)\0" do
        words[#words + 1] = word
    end
    return words
end

-- A policy's text with these fields beside a minimal rest.
local function with(text)
    return '{"ro_binds":[],"network":false,"env_allowlist":[]' .. text .. "}"
end

local function refused(given, message)
    local policy, text, code, problems = demilune.decode(given)
    assert.is_nil(policy, given)
    assert(text:find(message, 1, true), text)
    assert.same({ code, 1 }, { problems[1].code, #problems })
    return problems[1]
end

describe("the ancestor's data:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local accepted, rejected = 0, 0

    for _, case in ipairs(cases) do
        it(case.id .. ": " .. case.name, function()
            local input, expected = case.input, case.expected
            local made = input.policy_text and ("demilune.decode(%q)"):format(input.policy_text)
                or ("demilune.from_effects(%s)"):format(written(input.effect_set_text or input.effects_new))
            local program = ([[
                local policy, text = %s
                if not policy then return io.write("refused\0", text) end
                local words = assert(demilune.build_bwrap_command(policy, %s, %q))
                io.write("accepted\0", assert(policy:encode()), "\0", table.concat(words, "\0"))
            ]]):format(made, written(input.cmd), input.bwrap)
            local result = sandbox.demilune({ "script", sandbox.write(scratch "p.lua", program) },
                { env = environment(case) })
            assert.equal("", result.err)
            local words = split(result.out)
            if expected.error then
                assert.equal("refused", words[1])
                rejected = rejected + 1
            else
                assert.same({ "accepted", expected.policy_json }, { words[1], words[2] })
                assert.same(expected.argv, table.move(words, 3, #words, 1, {}))
                accepted = accepted + 1
            end
        end)
    end

    it("every recorded case was compared", function()
        assert.same({ 200, 80, 120 }, { #cases, accepted, rejected })
    end)

    it("values that are not UTF-8 are dropped", function()
        local program = sandbox.write(scratch "p.lua", [[
            local names = {}
            for i = 1, 14 do names[i] = "V" .. i end
            local policy = assert(demilune.policy { base = "none", env_allowlist = names })
            local words = assert(demilune.build_bwrap_command(policy, { "x" }, "bwrap"))
            for i, word in ipairs(words) do
                if word == "--setenv" then io.write(words[i + 1], " ") end
            end
        ]])
        local values = {
            "plain", "\u{e9}", "\u{20ac}", "\u{10ffff}", "\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
            "\xf4\x90\x80\x80", "\xc3", "a\xe2\x82", "\xf8\x88\x80\x80\x80", "\u{7f}", "\u{fffe}",
        }
        local env = { "-i" }
        for i, value in ipairs(values) do
            env[#env + 1] = "V" .. i .. "=" .. value
        end
        assert.equal("HOME USER V1 V2 V3 V4 V13 V14 ", sandbox.demilune({ "script", program }, { env = env }).out)
    end)
end)

describe("a policy in the ancestor's format", function()
    it("is the default policy where there is only white space, of every kind", function()
        local default = assert(demilune.from_effects { "Pure" }):encode()
        local codes = { 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000 }
        for code = 0x2000, 0x200a do
            codes[#codes + 1] = code
        end
        for _, code in ipairs(codes) do
            local text = utf8.char(code)
            assert.equal(default, assert(demilune.decode(text)):encode())
            assert.equal(default, assert(demilune.decode(" " .. text .. "\n")):encode())
            local around = with "" .. text
            assert.equal(text:find "^[ \n\t\r]$" ~= nil, demilune.decode(around) ~= nil)
        end
        for _, code in ipairs { 0x00, 0x08, 0x0e, 0x1c, 0x1f, 0x7f, 0x180e, 0x200b, 0x200d, 0x2060, 0xfeff } do
            refused(utf8.char(code), "expected value at line 1 column 1")
            refused(" " .. utf8.char(code), "expected value at line 1 column 2")
        end
        refused("\xa0", "invalid UTF-8 at line 1 column 1")
    end)

    it("has ro_binds, network and env_allowlist, and says in that order which is missing", function()
        refused("{}", "ro_binds: missing field `ro_binds` at line 1 column 2 [field.missing]")
        refused('{"env_allowlist":[],"ro_binds":[]}', "missing field `network`")
        refused('{"network":true,"ro_binds":[]}', "missing field `env_allowlist`")
        local problem = refused('{"ro_binds":[{"host":"/a","sandbox":"/b"},\n{"sandbox":"/x"}],"network":1}',
            "ro_binds[2].host: missing field `host` at line 2 column 16 [field.missing]")
        assert.same({ "ro_binds[2].host", 2 }, { problem.field, problem.line })
        local fields = assert(wire.policy(with ""))
        assert.same({ ro_binds = {}, rw_binds = {}, network = false, env_allowlist = {} }, fields)
    end)

    it("has null for a work_host that is not there, and for nothing else", function()
        assert.is_nil(assert(wire.policy(with ',"work_host":null')).work_host)
        assert.equal("", assert(wire.policy(with ',"work_host":""')).work_host)
        refused(with ',"rw_binds":null', "rw_binds: invalid type: null, expected a sequence at line 1 column 65 [type]")
        refused(with ',"work_host":null,"work_host":null', "duplicate field `work_host`")
        refused(with [[,"work_host":"/a","work\u005fhost":]], "duplicate field `work_host`")
    end)

    it("can be an array, and its binds can", function()
        local fields = { ro_binds = { { host = "/h", sandbox = "/s" } }, rw_binds = {}, network = true, env_allowlist = { "A" } }
        assert.same(fields, wire.policy '[[["/h","/s"]],[],null,true,["A"]]')
        refused("[[]]", "invalid length 3, expected struct IsolationPolicy with 5 elements")
        refused("[[],[],null]", "invalid length 3, expected struct IsolationPolicy with 5 elements")
        refused("[[],[],null,true]", "invalid length 4, expected struct IsolationPolicy with 5 elements")
        refused("[]", "invalid length 0, expected struct IsolationPolicy with 5 elements")
        refused("[[],[],null,true,[],null]", "trailing characters")
        refused('[[["/h"]],[],null,true,[]]', "ro_binds[1]: invalid length 1, expected struct RoBind with 2 elements")
        refused('[[["/h","/s",true]],[],null,true,[]]', "ro_binds[1]: trailing characters")
    end)

    it("keeps unknown keys for whoever asks", function()
        local _, unknown = wire.policy([[{"Network":true,"ro_binds":[{"host":"/a","readonly":{"deep":[1]},"sandbox":"/b"}],
            "":0,"network":false,"x":"\ud800","x":01.5]] .. "]}")
        assert.equal("invalid number at line 2 column 52", unknown)
        _, unknown = wire.policy([[{"Network":true,"ro_binds":[{"host":"/a","readonly":{"\ud800":["\udc00",1e999]},
            "sandbox":"/b"}], "":0,"network":false,"x":"\ud800","x":[],"env_allowlist":[],"rw_binds":[
            ["/a","/b"],{"host":"","sandbox":"","y":1}]}]])
        assert.same({ "Network", "ro_binds[1].readonly", "", "x", "x", "rw_binds[2].y" }, unknown)
        refused(with [[,"\ud800":1]], "unexpected end of hex escape")
        refused(with [[,"x":{"y":"\ud8zz"}]], "invalid escape")
        refused([[{"ro_binds":[{"\udc00":1,"host":"/a","sandbox":"/b"}],"network":false,"env_allowlist":[]}]],
            "lone leading surrogate in hex escape")
    end)

    it("keeps every string until it is planned", function()
        local text = [[{"ro_binds":[{"host":"a\u0000b","sandbox":""}],"rw_binds":[{"host":"..","sandbox":"--x"}],]]
            .. [["work_host":"\u0000","network":false,"env_allowlist":["","A=B","X\u0000"]}]]
        local policy = assert(demilune.decode(text))
        assert.equal(text, policy:encode())
        local words, warning = demilune.build_bwrap_command(policy, { "x", "a\0b" }, "bwrap")
        local line = table.concat(words, " ")
        for _, part in ipairs {
            "--bind .. --x --ro-bind <string-with-nul>  --bind <string-with-nul> /work --chdir", "-- x <string-with-nul>",
        } do
            assert(line:find(part, 1, true), line)
        end
        assert.equal("a word has a NUL byte and shows as <string-with-nul>; it cannot be executed", warning)
        local problems = policy:problems { "true" }
        for _, place in ipairs {
            { "string.nul", "ro_binds[1].host" }, { "path.relative", "rw_binds[1].host" },
            { "path.relative", "rw_binds[1].sandbox" }, { "string.nul", "work_host" }, { "env.name", "env_allowlist[1]" },
            { "env.name", "env_allowlist[2]" }, { "string.nul", "env_allowlist[3]" },
        } do
            policies.find(problems, place[1], place[2])
        end
        local result, _, code = policy:run { "true" }
        assert.same({ nil, "string.nul" }, { result, code })
        local layered
        layered, _, code = policy:with { network = true }
        assert.same({ nil, "string.nul" }, { layered, code })
    end)

    it("is written in the ancestor's order and spelling", function()
        assert.equal([[{"ro_binds":[{"host":"/\u0001\u001f\b\f\n\r\t\"\\/]] .. "\127\u{e9}\u{1f600}\u{2028}"
            .. [[","sandbox":""}],"network":true,"env_allowlist":["A"]}]], wire.encode {
            ro_binds = { { host = "/\1\31\b\f\n\r\t\"\\/\127\u{e9}\u{1f600}\u{2028}", sandbox = "" } }, rw_binds = {},
            network = true, env_allowlist = { "A" },
        })
        assert.equal([[{"ro_binds":[],"rw_binds":[{"host":"/a","sandbox":"/b"}],"work_host":"","network":false,]]
            .. [["env_allowlist":[]}]], wire.encode {
            ro_binds = {}, rw_binds = { { host = "/a", sandbox = "/b" } }, work_host = "", network = false, env_allowlist = {},
        })
    end)

    it("takes any length: 400000 levels, 20000 binds", function()
        local deep = with(',"x":' .. ('[{"a":'):rep(200000) .. "0" .. ("}]"):rep(200000))
        assert.equal(with "", assert(demilune.decode(deep)):encode())
        local binds = {}
        for i = 1, 20000 do
            binds[i] = ('{"host":"/%d","sandbox":"/%d"}'):format(i, i)
        end
        local text = ('{"ro_binds":[%s],"network":false,"env_allowlist":[]}'):format(table.concat(binds, ","))
        local policy = assert(demilune.decode(text))
        assert.equal(text, policy:encode())
        assert.equal(3 * 20000 + 29, #demilune.build_bwrap_command(policy, { "x" }, "bwrap"))
        policies.find(policy:problems(), "list.long", "ro_binds")
        local _, _, code = policy:with {}
        assert.equal("policy.copy", code)
    end)
end)

describe("effects", function()
    local function set(text)
        return wire.effects('{"effects":[' .. text .. "]}")
    end

    local function read(paths)
        local entries = {}
        for i, path in ipairs(paths) do
            entries[i] = ('{"effect":"FsRead","path":%s}'):format(require("demilune.json").encode(path))
        end
        local found = {}
        for i, effect in ipairs(assert(set(table.concat(entries, ",")))) do
            found[i] = effect.path
        end
        return found
    end

    local function refused_set(text, message)
        local policy, given, code, problems = demilune.from_effects(text)
        assert.is_nil(policy, text)
        assert(given:find(message, 1, true), given)
        assert.same({ code, 1 }, { problems[1].code, #problems })
    end

    it("sort by kind, then numbers, names and paths", function()
        local found = {}
        for i, effect in ipairs(assert(set [=[
            {"effect":"Unknown"},{"effect":"Pure"},{"effect":"Process"},{"effect":"NonDeterministic"},{"effect":"Network"},
            {"model":"b","effect":"Llm"},["Llm","B"],{"effect":"Llm","model":"a"},{"effect":"Llm","model":""},
            {"effect":"FsWrite","path":"/a"},["FsRead","/b"],["Fallible"],{"effect":"Cost","cents":10},["Cost",9],
            {"effect":"Cost","cents":18446744073709551615},["Cost",9223372036854775808],["Cost",0],["Cost",9],["Pure"]]=])) do
            found[i] = effect.effect .. (effect.cents or effect.model or effect.path or "")
        end
        assert.same({ "Cost0", "Cost9", "Cost10", "Cost" .. math.mininteger, "Cost-1", "Fallible", "FsRead/b", "FsWrite/a", "Llm",
            "LlmB", "Llma", "Llmb", "Network", "NonDeterministic", "Process", "Pure", "Unknown" }, found)
    end)

    it("sort paths by component, and keep the first spelling of equal ones", function()
        assert.same({ "", "/", "/..", "/a", "/a/..", "/a/b", "/a b", "/a-b", "/aa", "/\u{e9}", "./a", "../a", "a" },
            read { "/\u{e9}", "/aa", "/a-b", "/a b", "/a/b", "/a/..", "/a", "/..", "/", "a", "../a", "./a", "" })
        assert.same({ "//a//b/", "/a/b c" }, read { "//a//b/", "/a/b", "/a/./b", "/a/b/.", "/a/b c", "/./a/b", "/a//b/./" })
        assert.same({ "./a", "../a", "a/b" }, read { "a/b", "a/./b", "a/b/", "./a", ".//./a/", "../a" })
        assert.same({ "/a\0", "/a\0b", "/ab" }, read { "/ab", "/a\0b", "/a\0" })
        local list = assert(demilune.from_effects { { effect = "FsRead", path = "/a" }, { effect = "FsRead", path = "//a/." } })
        assert.matches('"host":"//a/."', list:encode(), 1, true)
    end)

    it("sort fast", function()
        local entries = {}
        for i = 1, 25000 do
            entries[i] = ('["FsRead","/%d/x"]'):format(25001 - i)
        end
        local start = os.clock()
        assert.equal(25000, #set(table.concat(entries, ",")))
        assert(os.clock() - start < 5)
    end)

    it("are an object or an array of exactly their fields", function()
        assert.same({ { effect = "Pure" } }, wire.effects '[[{"effect":"Pure"}]]')
        assert.same({}, wire.effects '{"effects":[]}')
        assert.same({ { effect = "FsRead", path = "/a" } }, set [[{"x":{"path":1},"p\u0061th":"/a","eff\u0065ct":"FsRead","x":2}]])
        for text, message in pairs {
            [""] = "EOF while parsing a value", ["{}"] = "missing field `effects`", ["[]"] = "invalid length 0",
            ['[{"effect":"Pure"}]'] = "invalid type: map, expected a sequence", ["[[],[]]"] = "trailing characters",
            ['{"effects":[],"effects":[]}'] = "duplicate field `effects`",
        } do
            refused_set(text, message)
        end
        for text, message in pairs {
            ['"Network"'] = 'effects[1]: invalid type: string "Network", expected internally tagged enum Effect',
            ["null"] = "invalid type: null", ["1"] = "invalid type: integer `1`", ["{}"] = "missing field `effect`",
            ["[]"] = "missing field `effect`", ['{"effect":"pure"}'] = "unknown variant `pure`, expected one of `Cost`, `Fallible`,",
            [ [[{"effect":"\u001b[2J\u007f\u202e"}]] ] = [[unknown variant `\x1b[2J\x7f\xe2\x80\xae`, expected one of]],
            ['{"effect":0}'] = "expected variant identifier", ["[0]"] = "expected variant identifier",
            ['{"effect":null}'] = "expected variant identifier", ['{"effect":["Pure"]}'] = "expected variant identifier",
            ['{"FsRead":{"path":"/a"}}'] = "missing field `effect`", ['{"kind":"Pure"}'] = "missing field `effect`",
            ['{"effect":"Pure","effect":"Pure"}'] = "duplicate field `effect`", ['["Pure","x"]'] = "invalid length 1, expected 0 elements",
            ['["FsRead"]'] = "invalid length 0, expected 1 element in", ['["FsRead","/a","/b"]'] = "invalid length 2",
            ['{"effect":"FsRead"}'] = "missing field `path`", ['{"effect":"FsRead","path":null}'] = "null, expected path string",
            ['{"path":"/a","effect":"FsRead","path":"/b"}'] = "duplicate field `path`",
            ['{"effect":"Llm","model":5}'] = "expected a string", ['["Llm",{}]'] = "invalid type: map",
            ['{"effect":"Cost","cents":-1}'] = "invalid value: integer `-1`, expected u64", ['["Cost",1.0]'] = "floating point `1.0`",
            ['["Cost",-0]'] = "expected u64", ['["Cost",1e0]'] = "expected u64", ['["Cost","5"]'] = 'string "5", expected u64',
            ['["Cost",true]'] = "boolean `true`", ['["Cost",18446744073709551616]'] = "expected u64",
            ['["Cost",100000000000000000000]'] = "expected u64",
            [ [[{"effect":"Pure","x":"\ud800"}]] ] = "unexpected end of hex escape",
            [ [[{"effect":"Pure","x":{"\ud800":1}}]] ] = "unexpected end of hex escape",
            ['{"effect":"Pure","x":[1e999]}'] = "number out of range", ['["Pure",1e999]'] = "number out of range",
        } do
            refused_set('{"effects":[' .. text .. "]}", message)
        end
    end)

    it("nest 127 levels and no more, but where they are passed over", function()
        local function nested(levels)
            return '{"effect":"Pure","x":' .. ("["):rep(levels) .. ("]"):rep(levels) .. "}"
        end
        assert.same({ { effect = "Pure" } }, set(nested(124)))
        refused_set('{"effects":[' .. nested(125) .. "]}", "recursion limit exceeded")
        assert.same({ { effect = "Pure" } }, wire.effects('{"x":' .. ("["):rep(400000) .. ("]"):rep(400000)
            .. ',"effects":[["Pure"]]}'))
    end)

    it("in a list are what a policy takes as effects", function()
        for _, list in ipairs { { "network" }, { 5 }, { { effect = "FsRead" } }, { x = "Pure" }, { { "Pure" } } } do
            local policy, text, _, problems = demilune.from_effects(list)
            assert.is_nil(policy)
            assert.matches("^effects", problems[1].field)
            assert.is_string(text)
        end
        assert.error_matches(function() demilune.from_effects(5) end, "bad argument #1 to 'from_effects'")
    end)

    it("in a list keep the last spelling of a path, in the order of components", function()
        local policy = assert(demilune.from_effects {
            { effect = "FsWrite", path = "/z" }, { effect = "FsRead", path = "/a-b" }, { effect = "FsRead", path = "/a b" },
            "Pure", { effect = "FsRead", path = "/a//b/" }, { effect = "FsRead", path = "/a/b/." }, "Network", "Network",
            { effect = "FsRead", path = "/a" }, { effect = "Cost", cents = 5 }, { effect = "Llm", model = "m" },
        })
        local words = assert(demilune.build_bwrap_command(policy, { "x" }, "bwrap"))
        local binds = {}
        for i, word in ipairs(words) do
            if word == "--ro-bind" or word == "--bind" then
                binds[#binds + 1] = words[i + 1]
            end
        end
        assert.same({ "/z", "/nix/store", "/a", "/a/b/.", "/a b", "/a-b" }, binds)
        assert.truthy(table.concat(words, " "):find("--share-net", 1, true))
    end)
end)

describe("the ancestor's command line", function()
    it("finds bwrap where no path is given", function()
        local policy = assert(demilune.policy { base = "none" })
        local words = assert(demilune.build_bwrap_command(policy, { "x" }))
        assert.equal((demilune.find_bwrap()) or "bwrap", words[1])
    end)

    it("knows the ancestor's fields alone, and asks nothing of the host", function()
        local policy = assert(demilune.policy {
            ro_binds = { { "/nonexistent/a", "/../b" } }, work_host = "", env_allowlist = {}, masks = { "/m" },
            tmpfs = { "/t" }, secrets = { ["/s"] = "x" }, env = { A = "1" }, hostname = "h", user = "caller", tty = true,
            limits = { memory = "1G" }, chdir = "/t",
        })
        local words, warning = demilune.build_bwrap_command(policy, { "a", "b c" }, "/b")
        local text = table.concat(words, " ")
        assert.matches("left out: chdir, env, hostname, limits, masks, secrets, tmpfs, tty, user", warning)
        assert.equal("/b --unshare-all --die-with-parent --new-session --uid 65534 --gid 65534 --proc /proc --dev /dev "
            .. "--tmpfs /tmp --clearenv --cap-drop ALL --ro-bind /nonexistent/a /../b --bind  /work --chdir /work "
            .. "--setenv HOME /work --setenv USER nobody -- a b c", text)
    end)

    it("is of a policy and a list of strings", function()
        local policy = assert(demilune.policy {})
        assert.error_matches(function() demilune.build_bwrap_command({}, { "x" }) end, "policy expected, got table")
        assert.error_matches(function() demilune.build_bwrap_command(policy, "x") end, "table expected, got string")
        assert.error_matches(function() demilune.build_bwrap_command(policy, { "x" }, {}) end, "string expected, got table")
        for code, command in pairs { type = { "x", 5 }, ["command.shape"] = { "x", nil, "y" } } do
            local none, _, found = demilune.build_bwrap_command(policy, command, "bwrap")
            assert.same({ nil, code }, { none, found })
        end
    end)
end)
