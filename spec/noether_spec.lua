-- The parts of demilune sandbox that launch nothing: its words and variables, and what it launches.
local arguments = require "demilune.cli.sandbox.arguments"
local core = require "demilune.core"
local demilune = require "demilune"
local fields_of = require "demilune.cli.sandbox.fields"
local of_wire = require("demilune.source").of_wire
local policies = require "support.policies"
local wire = require "demilune.wire"

describe("the words of demilune sandbox", function()
    local function parsed(words, environment)
        local settings, problem = arguments.parse(words, environment or {})
        return settings or problem
    end

    it("become settings", function()
        assert.same({ isolation = "auto", require_isolation = false, command = { "x" } }, parsed { "--", "x" })
        assert.same({ isolation = "none", require_isolation = true, policy_file = "a=b", command = { "x", "--", "-y" } },
            parsed { "--isolate=none", "--require-isolation", "--policy-file=a=b", "--", "x", "--", "-y" })
        assert.same({ isolation = "--", require_isolation = false, policy_file = "--isolate=x", command = { "--" } },
            parsed { "--isolate", "--", "--policy-file", "--isolate=x", "--", "--" })
        assert.equal("a\n=b", parsed({ "--isolate=a\n=b", "--", "x" }).isolation)
    end)

    it("beat variables, of which an empty one is a value and one that is not UTF-8 is none", function()
        local function isolation(value, ...)
            return parsed({ ... }, { NOETHER_ISOLATION = value }).isolation
        end
        assert.equal("none", isolation("none", "--", "x"))
        assert.equal("", isolation("", "--", "x"))
        assert.equal("bwrap", isolation("none", "--isolate=bwrap", "--", "x"))
        for _, value in ipairs { "\xff", "none\xc3", "\xed\xa0\x80" } do
            assert.equal("auto", isolation(value, "--", "x"))
        end
        for value, expected in pairs { ["1"] = true, ["false"] = true, ["00"] = true, [" "] = true, ["0"] = false,
            [""] = false, ["1\xff"] = false } do
            assert.equal(expected, parsed({ "--", "x" }, { NOETHER_REQUIRE_ISOLATION = value }).require_isolation)
            assert.is_true(parsed({ "--require-isolation", "--", "x" },
                { NOETHER_REQUIRE_ISOLATION = value }).require_isolation)
        end
    end)

    it("are told when they are wrong", function()
        for _, words in ipairs { {}, { "--" }, { "x" }, { "--isolate" }, { "--isolate", "none" }, { "--policy-file" },
            { "--require-isolation=1", "--", "x" }, { "--isolated=none", "--", "x" }, { "-", "--", "x" },
            { "", "--", "x" }, { "--isolate=none", "x", "--", "y" } } do
            assert.is_string(parsed(words), table.concat(words, " "))
        end
        assert.equal('"--isolat=none" is no option, did you mean --isolate?; -- comes before the command',
            parsed { "--isolat=none", "--", "x" })
    end)
end)

describe("what demilune sandbox launches", function()
    local function fields(text, environment)
        return fields_of(assert(wire.policy(text)), environment or {})
    end

    it("has nothing but the five fields, and what was always there", function()
        assert.same({
            base = "none", ro_binds = { { host = "/a", sandbox = "/b" } }, rw_binds = {}, work_host = "/w", network = false,
            env_allowlist = { "PATH", "A" }, env = { PWD = "/work" }, chdir = "/work",
        }, fields '[[["/a","/b"]],[],"/w",false,["PATH","A","","PATH","A"]]')
    end)

    it("passes no value on that is not UTF-8, and no PATH that was not asked for", function()
        local launched = fields('[[],[],null,false,["A","B","PATH"]]', { A = "\xff", B = "\u{e9}", PATH = "\xff" })
        assert.same({ "B" }, launched.env_allowlist)
        local plan = assert(assert(demilune.policy(fields '[[],[],null,false,[]]')):plan())
        assert.same({ HOME = "/work", USER = "nobody", PWD = "/work" }, policies.environment(core.describe(plan.core)))
    end)

    it("has places of the network, but where the policy puts something of its own", function()
        local all = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl/certs" }
        local function places(at)
            local list = {}
            for _, bind in ipairs(fields(('[[["/a","%s"]],[],null,true,[]]'):format(at)).ro_binds) do
                assert.is_true(bind.optional or bind.host == "/a")
                list[#list + 1] = bind.optional and bind.sandbox or nil
            end
            return list
        end
        for _, at in ipairs { "/x", "/etc/ssl/certs/mine.pem", "/etc/hosts.d", "/et" } do
            assert.same(all, places(at))
        end
        for _, at in ipairs { "/", "//", "/etc", "/etc/", "//etc//" } do
            assert.same({}, places(at))
        end
        assert.same({ all[1], all[3], all[4] }, places "/etc/hosts")
        assert.same({ all[1], all[2], all[3] }, places "/etc//ssl/")
        assert.equal(1, #fields('[[],[["/a","/etc/ssl"]],null,true,[]]').rw_binds)
        assert.equal(3, #fields('[[],[["/a","/etc/ssl"]],null,true,[]]').ro_binds)
    end)

    local function plan(given)
        local policy = assert(of_wire(given))
        local built, _, _, problems = policy:plan { "true" }
        return built and built.warnings, problems
    end

    it("has dangers as warnings, and as problems for everybody else", function()
        local given = { base = "none", rw_binds = { { host = "/", sandbox = "/host" } }, env_allowlist = { "LD_PRELOAD" } }
        local warnings = plan(given)
        assert.matches("%(root_rw%)$", policies.find(warnings, "bind.dangerous", "rw_binds[1]").message)
        assert.matches("%(loader_env%)$", policies.find(warnings, "env.dangerous", "env_allowlist[1]").message)
        policies.refused(given, "bind.dangerous", "rw_binds[1]", 'acknowledge = { "root_rw" }')
        policies.refused(given, "env.dangerous", "env_allowlist[1]")
    end)

    it("is refused for what is never allowed", function()
        local _, problems = plan { base = "none", ro_binds = { { host = "/proc", sandbox = "/p" } } }
        assert.equal("bind.never", problems[1].code)
        _, problems = plan { base = "none", ro_binds = { { host = "/usr", sandbox = "/dev/usr" } } }
        assert.equal("path.reserved", problems[1].code)
    end)

    it("takes every name of a variable but one with a =, which is not a pattern either", function()
        local given = { base = "none", env_allowlist = { "A-B", "1", "*", "\u{e9}" } }
        assert.same({}, (plan(given)))
        policies.refused(given, "env.name", "env_allowlist[1]")
        local _, problems = plan { base = "none", env_allowlist = { "A=B" } }
        assert.equal("env.name", problems[1].code)
    end)

    it("does not follow from a policy's table: that is for the command alone", function()
        assert.is_nil(demilune.of_wire)
        policies.refused({ wire = true }, "field.unknown", "wire")
    end)
end)
