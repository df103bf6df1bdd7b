-- The ancestor's command line, against recorded cases of noether-isolation 0.8.2. What is compared is what a policy or
-- a set of effects becomes; how their JSON is read is another matter, so the readable copies are taken.
local cjson = require("cjson").new()
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

local file = assert(io.open("spec/fixtures/argv.jsonl"))
local cases, refused = {}, 0
for line in file:lines() do
    local case = cjson.decode(line)
    if case.expected.error then
        refused = refused + 1
    else
        cases[#cases + 1] = case
    end
end
file:close()

-- A value as Lua text.
local function written(value)
    if type(value) ~= "table" then
        return ("%q"):format(value)
    end
    local parts = {}
    for key, item in pairs(value) do
        if math.type(key) == "float" then
            key = math.tointeger(key)
        end
        parts[#parts + 1] = ("[%s] = %s"):format(written(key), written(item))
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
end

local function has_nul(value)
    if type(value) == "string" then
        return value:find("\0", 1, true) ~= nil
    end
    for _, item in pairs(type(value) == "table" and value or {}) do
        if has_nul(item) then
            return true
        end
    end
    return false
end

-- The effects of a case as a list of tables, or nil. Of equal paths the first spelling stays in JSON, the last one in a
-- list of a program, so those from JSON are turned round. Sums beyond an integer do not reach the command line.
local function effects_of(case)
    if case.input.effects_new then
        return case.input.effects_new
    end
    local set = case.expected.effect_set
    if not set then
        return nil
    end
    local from_json = case.input.effects and case.input.effects.effects
    local list = from_json and from_json[1] and from_json[1].effect and from_json or set.effects
    local turned = {}
    for i = #list, 1, -1 do
        if list[i].cents and list[i].cents > math.maxinteger then
            list[i].cents = math.maxinteger
        end
        turned[#turned + 1] = list[i]
    end
    return turned
end

-- The Lua text that makes the policy of a case.
local function policy_text(case)
    local effects = effects_of(case)
    if effects then
        return ("demilune.from_effects(%s)"):format(written(effects))
    end
    local fields = { base = "none" }
    for _, name in ipairs { "ro_binds", "rw_binds", "work_host", "network", "env_allowlist" } do
        fields[name] = case.expected.policy[name]
    end
    return ("demilune.policy(%s)"):format(written(fields))
end

describe("the ancestor's command line", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local ran = 0

    for _, case in ipairs(cases) do
        it(case.id .. ": " .. case.name, function()
            local env = { "-i" }
            for name, value in pairs(case.input.env) do
                env[#env + 1] = name .. "=" .. value
            end
            for name, value in pairs(case.input.env_hex or {}) do
                env[#env + 1] = name .. "=" .. value:gsub("%x%x", function(digits)
                    return string.char(tonumber(digits, 16))
                end)
            end
            local program = ([[
                local policy = assert(%s)
                io.write(table.concat(assert(demilune.build_bwrap_command(policy, %s, %q)), "\0"))
            ]]):format(policy_text(case), written(case.input.cmd), case.input.bwrap)
            local result = sandbox.demilune({ "script", sandbox.write(scratch "p.lua", program) }, { env = env })
            if has_nul(case.expected.policy) then -- refused here: the ancestor fails at the spawn
                assert.matches("%[string%.nul%]", result.err)
            else
                assert.equal("", result.err)
                local words = {}
                for word in (result.out .. "\0"):gmatch "(%Z*)\0" do
                    words[#words + 1] = word
                end
                assert.same(case.expected.argv, words)
            end
            ran = ran + 1
        end)
    end

    it("was compared in every recorded case", function()
        assert.same({ 200, 80, 80 }, { #cases + refused, #cases, ran })
    end)

    it("finds bwrap where no path is given", function()
        local policy = assert(demilune.policy { base = "none" })
        local words = assert(demilune.build_bwrap_command(policy, { "x" }))
        assert.equal((demilune.find_bwrap()) or "bwrap", words[1])
    end)

    it("drops values that are not UTF-8", function()
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

    it("knows the ancestor's fields alone, and asks nothing of the host", function()
        local policy = assert(demilune.policy {
            ro_binds = { { "/nonexistent/a", "/../b" } }, work_host = "", env_allowlist = {}, masks = { "/m" },
            tmpfs = { "/t" }, secrets = { ["/s"] = "x" }, env = { A = "1" }, hostname = "h", user = "caller",
                tty = true,
            limits = { memory = "1G" }, chdir = "/t",
        })
        local text = table.concat(assert(demilune.build_bwrap_command(policy, { "a", "b c" }, "/b")), " ")
        assert.equal("/b --unshare-all --die-with-parent --new-session --uid 65534 --gid 65534 --proc /proc --dev /dev "
            .. "--tmpfs /tmp --clearenv --cap-drop ALL --ro-bind /nonexistent/a /../b --bind  /work --chdir /work "
            .. "--setenv HOME /work --setenv USER nobody -- a b c", text)
    end)

    it("is of a policy and a list of strings", function()
        local policy = assert(demilune.policy {})
        assert.error_matches(function() demilune.build_bwrap_command({}, { "x" }) end,
            "policy expected, got table")
        assert.error_matches(function() demilune.build_bwrap_command(policy, "x") end,
            "table expected, got string")
        local none, text, code = demilune.build_bwrap_command(policy, { "x", "a\0b" }, "bwrap")
        assert.is_nil(none)
        assert.equal("string.nul", code)
        assert.matches('command[2]: "a\\x00b" has a NUL byte', text, 1, true)
    end)
end)

describe("from_effects", function()
    it("refuses what is no effect", function()
        for _, list in ipairs { { "network" }, { 5 }, { { effect = "FsRead" } }, { x = "Pure" },
            { { "Pure" } } } do
            local policy, text, _, problems = demilune.from_effects(list)
            assert.is_nil(policy)
            assert.matches("^effects", problems[1].field)
            assert.is_string(text)
        end
    end)

    it("keeps the last spelling of a path that is given twice, in the order of components", function()
        local policy = assert(demilune.from_effects {
            { effect = "FsWrite", path = "/z" }, { effect = "FsRead", path = "/a-b" }, { effect = "FsRead",
                path = "/a b" },
            "Pure", { effect = "FsRead", path = "/a//b/" }, { effect = "FsRead", path = "/a/b/." }, "Network",
                "Network",
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
