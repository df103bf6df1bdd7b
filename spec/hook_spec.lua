-- The prepare hook, before anything is launched: what it can change, how it refuses, and what it cannot get at.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

local function plan_of(fields, command)
    return policies.plan(fields, command or { "x" })
end

local function env_of(plan)
    return policies.environment(core.describe(plan.core))
end

local function with_hook(hook, more)
    local fields = { prepare = hook }
    for name, value in pairs(more or {}) do
        fields[name] = value
    end
    return fields
end

-- The only problem of a policy for a command.
local function refusal(policy, command)
    local plan, text, code, problems = policy:plan(command or { "x" })
    assert(not plan, "not refused")
    assert.equal(1, #problems)
    assert.equal(code, problems[1].code)
    return problems[1], text
end

describe("a prepare hook of a program", function()
    it("changes binds, environment and limits through its methods, which can be chained", function()
        local plan = plan_of(with_hook(function(policy)
            policy:ro_bind("/usr/share"):ro_bind("/opt", "/a"):rw_bind("/opt", "/b"):mask("/m")
            policy:set_env("A", "1"):pass_env("HOME_OF_NOBODY"):limit("memory", "1G"):limit("output", 5)
        end))
        local description = core.describe(plan.core)
        for path, kind in pairs { ["/a"] = "ro_bind", ["/b"] = "rw_bind", ["/m"] = "mask",
            ["/usr/share"] = "ro_bind" } do
            assert.equal(kind, policies.mount_at(description, path).kind)
        end
        assert.equal("1", env_of(plan).A)
        assert.same({ 1 << 30, 5 }, { description.limits.memory, description.limits.output })
    end)

    it("refuses when what it masks, binds, sets or limits turns out to be nil, wherever it runs", function()
        local scratch = os.tmpname()
        for call, message in pairs {
            ["mask(context.env.NOT_THERE)"] = "masks: a path is needed, not nil",
            ["ro_bind()"] = "ro_binds: a path is needed, not nil",
            ["rw_bind()"] = "rw_binds: a path is needed, not nil",
            ["limit('memory', context.env.NOT_THERE)"] =
                "limits.memory: a value is needed, not nil; to take it away: policy.limits.memory = nil",
            ["set_env('A')"] = "env.A: a value is needed, not nil; to take it away: policy.env.A = nil",
            ["pass_env(nil)"] = "a name is needed, not nil",
        } do
            local text = ("return { limits = { memory = '1G' }, env = { A = '1' },\nprepare = function(policy, context)\n"
                .. "policy:%s\nend }"):format(call)
            sandbox.write(scratch, text)
            for _, policy in ipairs { demilune.policy(assert(load(text, "@" .. scratch))()), assert(demilune.load(scratch)) } do
                local problem = refusal(policy)
                assert.same({ "hook.failed", 3, message }, { problem.code, problem.line, problem.message })
            end
        end
        os.remove(scratch)
    end)

    it("changes any field as a table", function()
        local description = core.describe(plan_of(with_hook(function(policy)
            policy.hostname, policy.chdir, policy.tmpfs = "other", "/t", { "/t" }
            policy.env.A = nil
            policy.masks[#policy.masks + 1] = "/m2"
        end, { hostname = "one", env = { A = "1", B = "2" }, masks = { "/m1" } })).core)
        assert.same({ "other", "/t" }, { description.hostname, description.chdir })
        assert.truthy(policies.mount_at(description, "/m1") and policies.mount_at(description, "/m2"))
        assert.is_nil(policies.environment(description).A)
        assert.equal("2", policies.environment(description).B)
    end)

    it("goes on with nothing, true, the policy, or another policy table", function()
        for _, answer in ipairs {
            function(policy) policy.hostname = "h" end,
            function(policy) policy.hostname = "h" return end,
            function(policy) policy.hostname = "h" return true end,
            function(policy) policy.hostname = "h" return policy end,
            function() return { hostname = "h" } end,
        } do
            assert.equal("h", core.describe(plan_of(with_hook(answer)).core).hostname)
        end
    end)

    it("refuses with nil or false and a reason", function()
        for _, answer in ipairs { function() return nil, "not today" end, function() return false,
            "not today" end } do
            local problem, text = refusal(demilune.policy(with_hook(answer)))
            assert.same({ "hook.refused", "prepare", "not today" }, { problem.code, problem.field,
                problem.message })
            assert.matches("hook_spec.lua:%d+: prepare: not today %[hook%.refused%]$", text)
        end
        local problem = refusal(demilune.policy(with_hook(function() return nil, "a.lua:7: \27[31m\nno" end)))
        assert.equal([[a.lua:7: \x1b[31m\nno]], problem.message)
        assert.matches("hook_spec%.lua$", problem.file)
    end)

    it("that raises or returns something else refuses, with file and line", function()
        for message, hook in pairs {
            ["no good"] = function() error("no good") end,
            ["the hook raised a table"] = function() error {} end,
            ["the hook raised a nil"] = function() error() end,
            ["attempt to index a nil value (field 'nothing')"] = function(policy) return policy.nothing.more end,
            ["returned a number; return nothing, true, the policy, or nil and a reason"] = function() return 5 end,
            ["returned a string; return nothing, true, the policy, or nil and a reason"] = function() return "x" end,
            ["returned false without a reason; to go on return nothing, true or the policy"] = function() return false end,
            ["returned nil without a reason; to go on return nothing, true or the policy"] = function() return nil end,
            ["returned false and a number; a reason is text"] = function() return false, 1 end,
            ["returned nil and a number; a reason is text"] = function() return nil, 42 end,
            ["returned nil and a table; a reason is text"] = function() return nil, {} end,
        } do
            local problem, text = refusal(demilune.policy(with_hook(hook)))
            assert.same({ "hook.failed", "prepare", message }, { problem.code, problem.field, problem.message })
            assert.matches("hook_spec%.lua$", problem.file)
            local line = debug.getinfo(hook, "S").linedefined
            assert.equal(line, problem.line)
            assert.matches(("hook_spec%%.lua:%d: prepare: "):format(line), text)
        end
    end)

    it("that refuses and has lost its reason refuses still, wherever it runs", function()
        local scratch = os.tmpname()
        for answer, message in pairs {
            ["nil, nil"] = "returned nil without a reason", ["nil, policy.nothing"] = "returned nil without a reason",
            ["nil"] = "returned nil without a reason", ["false"] = "returned false without a reason",
            ["false, nil"] = "returned false without a reason", ["nil, nil, 'why'"] = "returned nil without a reason",
            ["nil, 42"] = "returned nil and a number", ["nil, 'why', 5"] = "why", ["(function() end)()"] = false,
            [""] = false, ["true, nil"] = false, ["policy, nil, 3"] = false,
        } do
            local text = ("return { prepare = function(policy) policy.hostname = 'h' return %s end }"):format(answer)
            sandbox.write(scratch, text)
            for _, policy in ipairs { demilune.policy(assert(load(text))()), assert(demilune.load(scratch)) } do
                local plan, told = policy:plan { "x" }
                if message then
                    assert.is_nil(plan, answer)
                    assert(told:find("prepare: " .. message, 1, true), told)
                else
                    assert.equal("h", core.describe(assert(plan, told).core).hostname)
                end
            end
        end
        os.remove(scratch)
    end)

    it("is followed by the validation of what it left", function()
        for code, hook in pairs {
            ["path.relative"] = function(policy) policy:ro_bind("relative") end,
            ["field.unknown"] = function(policy) policy.networks = true end,
            ["type"] = function(policy) policy.network = "yes" end,
            ["bind.never"] = function(policy) policy:ro_bind("/proc/self", "/x") end,
            ["table.metatable"] = function(policy) policy.env = setmetatable({}, {}) end,
            ["list.mixed"] = function(policy) policy.masks = { x = "/a" } end,
            ["chdir.missing"] = function(policy) policy.chdir = "/nowhere" end,
            ["env.dangerous"] = function(policy) policy:set_env("LD_PRELOAD", "/x") end,
        } do
            assert.equal(code, refusal(demilune.policy(with_hook(hook))).code)
        end
        local problem = refusal(demilune.policy(with_hook(function() return setmetatable({},
            { __index = {} }) end)))
        assert.equal("table.metatable", problem.code)
    end)

    it("is named, with file and line, by the problem of what it left, and by no other", function()
        local function grow(policy) policy:ro_bind("relative") end
        local problem, text = refusal(demilune.policy(with_hook(grow, { ro_binds = { "/usr/share" } })))
        assert.same({ "path.relative", "ro_binds[2].host" }, { problem.code, problem.field })
        assert.equal("is not absolute; write the whole path; a prepare hook left it so", problem.message)
        assert.matches("hook_spec%.lua$", problem.file)
        assert.equal(debug.getinfo(grow, "S").linedefined, problem.line)
        assert.matches("hook_spec%.lua:%d+: ro_binds%[2%]%.host: ", text)
        local _, said = assert(demilune.policy(with_hook(function(policy) policy.hostname = "h" end))):plan({ "x" },
            { chdir = "/nowhere" })
        assert.matches("^chdir: ", said)
        assert.is_nil(said:find("hook", 1, true))
        local path = sandbox.write(os.tmpname(), "return {\n  ro_binds = { '/nothing/here' },\n  prepare = function(policy)\n" ..
            "    policy:rw_bind('/nothing/there')\n  end,\n}")
        local problems = assert(demilune.load(path)):problems { "x" }
        os.remove(path)
        assert.equal(2, #problems)
        local own = policies.find(problems, "bind.missing", "ro_binds[1].host")
        local left = policies.find(problems, "bind.missing", "rw_binds[1].host")
        assert.same({ path, 2, path, 3 }, { own.file, own.line, left.file, left.line })
        assert.is_nil(own.message:find("hook", 1, true))
        assert.matches("; a prepare hook left it so$", left.message)
    end)

    it("gets a copy: what it does stays in its launch", function()
        local count = 0
        local policy = assert(demilune.policy(with_hook(function(copy)
            count = count + 1
            assert(copy.env.N == nil and #copy.masks == 1, "what an earlier call did is still there")
            copy.env.N = tostring(count)
            copy:mask("/m" .. count)
        end, { env = { A = "1" }, masks = { "/m" } })))
        for i = 1, 3 do
            assert.equal(tostring(i), env_of(assert(policy:plan { "x" })).N)
        end
        assert.is_nil(env_of(assert(policy:plan())).N)
    end)

    it("cannot change a plan after the freeze", function()
        local kept
        local plan = plan_of(with_hook(function(policy)
            kept = policy
            policy.env = { A = "1" }
        end))
        local digest, text = plan:digest(), plan:explain()
        kept.env.A, kept.network, kept.masks = "2", true, { "/x" }
        assert.is_nil(getmetatable(kept))
        assert.same({ digest, text }, { plan:digest(), plan:explain() })
    end)

    it("does not see what the program does to its table later, and neither does the policy", function()
        local fields = { env = { A = "1" }, masks = { "/m" } }
        local policy = assert(demilune.policy(fields))
        local digest = assert(policy:plan()):digest()
        fields.env.A, fields.masks[2], fields.network = "2", "/n", true
        fields.prepare = function() error("late") end
        assert.equal(digest, assert(policy:plan()):digest())
        assert.truthy(policy:plan { "x" })
    end)

    it("gets a context of its own", function()
        local seen
        local command = { "prog", "arg" }
        local policy = assert(demilune.policy(with_hook(function(_, context)
            seen = context
            context.command[1] = "changed"
            context.env.PATH = "changed"
        end)))
        local plan = assert(policy:plan(command))
        assert.same({ "prog", "arg" }, core.describe(plan.core).argv)
        assert.same({ "prog", "arg" }, command)
        assert.same({ core.cwd(), os.getenv("HOME"), os.getenv("USER") }, { seen.cwd, seen.home, seen.user })
        assert.equal(os.getenv("LANG"), seen.env.LANG)
        assert.is_nil(seen.policy_file)
        for _, name in ipairs { "kernel", "machine", "landlock", "memory", "uid", "gid", "distribution" } do
            assert.equal(demilune.host()[name], seen.host[name])
        end
        assert.equal(demilune.host().bwrap_version, seen.host.bwrap_version)
    end)

    it("does not run without a command, nor for problems alone", function()
        local policy = assert(demilune.policy(with_hook(function() error("ran") end)))
        assert.truthy(policy:plan())
        assert.same({}, policy:problems())
        assert.equal("hook.failed", policy:problems({ "x" })[1].code)
    end)

    it("in several layers runs from the outermost inward, each on what the one before left", function()
        local order = {}
        local function layer(name, more)
            return with_hook(function(policy)
                order[#order + 1] = name .. (policy.hostname or "-")
                policy.hostname = (policy.hostname or "") .. name
            end, more)
        end
        local policy = assert(demilune.policy(layer("a")))
        policy = assert(assert(policy:with(layer("b",
            { env = { B = "1" } }))):with(assert(demilune.policy(layer "c"))))
        local plan = assert(policy:plan { "x" })
        assert.same({ "a-", "ba", "cab" }, order)
        assert.equal("abc", core.describe(plan.core).hostname)
        assert.equal("1", env_of(plan).B)
    end)

    it("that refuses keeps those behind it from running", function()
        local ran = false
        local outer = assert(demilune.policy(with_hook(function() return nil, "no" end)))
        local policy = assert(outer:with { prepare = function() ran = true end })
        assert.equal("hook.refused", refusal(policy).code)
        assert.is_false(ran)
    end)
end)

describe("a prepare hook of a policy file", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function load(body, before)
        local path = sandbox.write(scratch "policy.lua", ("%sreturn {\n    env = { A = \"1\" },\n"
            .. "    prepare = function(policy, context)\n        %s\n    end,\n}\n"):format(before or "", body))
        return assert(demilune.load(path)), path
    end

    it("has the same methods and the same answers", function()
        local policy = load [[policy:ro_bind("/opt", "/a"):rw_bind("/opt", "/b"):mask("/m"):set_env("B", "2")
            policy:pass_env("PATH"):limit("memory", "1G") if context.command[2] then return policy end]]
        for _, command in ipairs { { "x" }, { "x", "y" } } do
            local plan = assert(policy:plan(command))
            local description, env = core.describe(plan.core), env_of(plan)
            assert.same({ "1", "2", os.getenv("PATH") }, { env.A, env.B, env.PATH })
            assert.equal(1 << 30, description.limits.memory)
            assert.same({ "ro_bind", "rw_bind", "mask" }, { policies.mount_at(description, "/a").kind,
                policies.mount_at(description, "/b").kind, policies.mount_at(description, "/m").kind })
        end
        assert.equal("9", env_of(assert(load([[return { env = { A = "9" } }]]):plan { "x" })).A)
    end)

    for body, expected in pairs {
        ['error("no good")'] = { "hook.failed", 4, "no good" },
        ['error {}'] = { "hook.failed", 3, "the policy raised a table value" },
        ["local x = policy.nothing.more"] = { "hook.failed", 4, "attempt to index a nil value (field 'nothing')" },
        ["while true do end"] = { "hook.failed", 4, "the policy runs longer than 200 ms" },
        ["return 5"] = { "hook.failed", 3,
            "returned a number; return nothing, true, the policy, or nil and a reason" },
        ["return false"] = { "hook.failed", 3,
            "returned false without a reason; to go on return nothing, true or the policy" },
        ['return nil, "not on " .. context.command[1]'] = { "hook.refused", 3, "not on x" },
        ["return nil, 5"] = { "hook.failed", 3, "returned nil and a number; a reason is text" },
        ["netwrok = true"] = { "hook.failed", 4, "assignment to global `netwrok`; use `local netwrok`" },
        ["return hoem"] = { "hook.failed", 4, "`hoem` is not defined; did you mean `home`?" },
    } do
        it("refuses with file and line: " .. body, function()
            local policy, path = load(body)
            local problem, text = refusal(policy)
            assert.same({ expected[1], "prepare", path, expected[2], expected[3] },
                { problem.code, problem.field, problem.file, problem.line, problem.message })
            assert.equal(("%s:%d: prepare: %s [%s]"):format(path, expected[2], expected[3], expected[1]), text)
        end)
    end

    it("gets the context, the path of its file and the facts of the host", function()
        local policy, path = load [[
            local host = context.host
            policy.env = { R = table.concat({ context.command[1], context.cwd, context.home or "",
                context.policy_file,
                host.kernel, host.distribution, host.bwrap_version or "none", context.env.PATH }, "|") }
            context.env.PATH, context.command[1] = "x", "x"]]
        local facts = demilune.host()
        for _ = 1, 2 do
            local expected = { "prog", core.cwd(), os.getenv("HOME") or "", path, facts.kernel, facts.distribution,
                facts.bwrap_version or "none", os.getenv("PATH") }
            assert.equal(table.concat(expected, "|"), env_of(assert(policy:plan { "prog" })).R)
        end
    end)

    it("gets a copy for each launch, though its locals stay", function()
        local policy = load([[count = count + 1 policy.env.N = tostring(count) .. #(policy.masks or {})
            policy:mask("/m")]], "local count = 0\n")
        for i = 1, 3 do
            assert.equal(i .. "0", env_of(assert(policy:plan { "x" })).N)
        end
    end)

    it("that keeps the policy cannot change what was frozen", function()
        local policy = load([[if kept then kept.env.A = "changed" end kept = policy]], "local kept\n")
        local first = assert(policy:plan { "x" })
        local second = assert(policy:plan { "x" })
        assert.same({ "1", "1" }, { env_of(first).A, env_of(second).A })
        assert.equal(first:digest(), second:digest())
    end)

    it("runs in the order of the layers, with files, options and -e", function()
        sandbox.write(scratch "a.lua", [[return { prepare = function(policy) policy:set_env("ORDER", "a") end }]])
        sandbox.write(scratch "b.lua", [[return { env = { B = "1" }, prepare = function(policy)
            policy:set_env("ORDER", policy.env.ORDER .. "b" .. policy.env.C) end }]])
        local result = sandbox.demilune({ "explain", "-p", scratch "a.lua", "-p", scratch "b.lua", "--env", "C=c",
            "-e", 'policy:set_env("ORDER", policy.env.ORDER .. "e" .. context.command[1])', "-e",
            'policy.env.ORDER = policy.env.ORDER .. 2 return policy', "--", "cmd" })
        assert.equal("", result.err)
        assert.matches("\n  ORDER=abcecmd2 +hook %-e\n", result.out)
    end)

    it("given with -e that is wrong says where", function()
        for body, words in pairs {
            ["return nil, 'no'"] = "-e:1: prepare: no [hook.refused]",
            ["error('bad')"] = "-e:1: prepare: bad [hook.failed]",
            ["x = 1"] = "assignment to global `x`",
            ["policy:mask(5)"] = 'masks[1]: 5 is a number; "/path" or { sandbox = "/path", optional = true } is needed; ' ..
                "a prepare hook left it so [type]",
            ["local = 1"] = "-e:1: <name> expected near '='",
        } do
            local result = sandbox.demilune { "explain", "-e", body, "--", "cmd" }
            assert.equal(125, result.code)
            assert(result.err:find(words, 1, true), result.err)
        end
    end)

    it("is mentioned by check when it did not run", function()
        local _, path = load "error('ran')"
        local result = sandbox.demilune { "check", path }
        assert.same({ 0, path .. ": fine (hooks were not run: no command)\n" }, { result.code, result.out })
        result = sandbox.demilune { "check", path, "--", "x" }
        assert.same({ 125, ("demilune: %s:4: prepare: ran [hook.failed]\n"):format(path) }, { result.code,
            result.err })
    end)
end)
