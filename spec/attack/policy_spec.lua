-- Hostile policies and hooks: what is checked is what is launched, and nothing hangs.
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

describe("a hostile #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function seen(policy)
        local result, message = policy:run({ "sh", "-c", "echo \"[$MARK]\"; ls /evil 2>/dev/null; exit 0" },
            { capture = true, stdin = "null" })
        return result and result.stdout, message
    end

    describe("table", function()
        it("that answers differently each time is read once, or refused", function()
            local count = 0
            local fields = setmetatable({}, { __index = function(_, key)
                count = count + 1
                return key == "ro_binds" and count > 1 and { { "/etc", "/evil" } } or nil
            end, __pairs = function() return function() end end })
            local policy, _, code = demilune.policy(fields)
            assert.is_true(policy == nil and code ~= nil or seen(policy) == "[]\n")
            policy, _, code = demilune.policy { ro_binds = setmetatable({},
                { __index = function() return "/etc" end,
                __len = function() return 5 end }) }
            assert.is_true(policy == nil and code ~= nil or seen(policy) == "[]\n")
        end)

        it("that is changed after it was given changes nothing", function()
            local fields = { env = { MARK = "good" } }
            local policy = assert(demilune.policy(fields))
            fields.env.MARK = "evil"
            fields.ro_binds = { { "/etc", "/evil" } }
            assert.equal("[good]\n", seen(policy))
        end)

        it("that holds itself, or far too much, is refused", function()
            local loop = {}
            loop.env = loop
            assert.is_nil((demilune.policy(loop)))
            local deep = {}
            for _ = 1, 10000 do
                deep = { env = deep }
            end
            assert.is_nil((demilune.policy(deep)))
            local long = {}
            for i = 1, 20000 do
                long[i] = "/usr"
            end
            assert.is_nil((demilune.policy { ro_binds = long }))
        end)

        it("whose strings are objects is refused", function()
            local name = setmetatable({}, { __tostring = function() return "/usr" end,
                __concat = function() return "/usr" end,
                __eq = function() return true end })
            assert.is_nil((demilune.policy { ro_binds = { name } }))
            assert.is_nil((demilune.policy { hostname = name }))
            assert.is_nil((demilune.policy { chdir = 5 }))
        end)
    end)

    describe("prepare hook", function()
        it("works on a copy: every run starts from the policy as it was", function()
            local policy = assert(demilune.policy { env = { MARK = "good" }, prepare = function(fields)
                fields.env.MARK = fields.env.MARK .. "!"
            end })
            assert.equal("[good!]\n", seen(policy))
            assert.equal("[good!]\n", seen(policy))
        end)

        it("that keeps its argument cannot change what was checked", function()
            local kept
            local policy = assert(demilune.policy { env = { MARK = "good" },
                prepare = function(fields) kept = fields end,
                launched = function(process)
                    kept.env.MARK = "evil"
                    kept.ro_binds = { { "/etc", "/evil" } }
                    rawset(process, "id", 1)
                end,
                finished = function(result)
                    result.exit_code, result.ok, result.kind = 0, true, "exit"
                end })
            assert.equal("[good]\n", seen(policy))
            local result = assert(policy:run({ "sh", "-c", "exit 4" }, { capture = true }))
            assert.same({ 4, false }, { result.exit_code, result.ok })
            local plan = assert(policy:plan { "sh", "-c", "echo $MARK" })
            local digest = plan:digest()
            kept.env.MARK = "evil"
            assert.equal("good\n", assert(plan:run { capture = true }).stdout)
            assert.equal(digest, plan:digest())
        end)

        it("is checked like any policy: what it adds can be refused", function()
            local cases = {
                ["path.dotdot"] = function(fields) fields:ro_bind("/usr", "/../x") end,
                ["bind.never"] = function(fields) fields:rw_bind("/proc", "/p") end,
                ["bind.dangerous"] = function(fields) fields:rw_bind("/", "/host") end,
                ["field.unknown"] = function(fields) fields.nonsense = true end,
                ["string.nul"] = function(fields) fields:set_env("A", "x\0y") end,
            }
            for code, hook in pairs(cases) do
                local result, _, given = assert(demilune.policy { prepare = hook }):run({ "true" }, {})
                assert.same({ nil, code }, { result, given })
            end
        end)

        it("that sets metatables, raises or answers nonsense is refused", function()
            local hooks = {
                function(fields) setmetatable(fields, { __index = function() return "evil" end }) end,
                function(fields) fields.env = setmetatable({}, { __index = { MARK = "evil" } }) end,
                function() error("oh no") end,
                function() error({}) end,
                function() error() end,
                function() return 5 end,
                function() return "yes" end,
                function() return print end,
                function() return nil, "not today" end,
                function() return false, "not today" end,
            }
            for i, hook in ipairs(hooks) do
                local result, message = seen(assert(demilune.policy { prepare = hook }))
                assert.is_true(result == nil and message ~= nil or result == "[]\n", "hook " .. i)
                assert.is_true(i <= 2 or result == nil, "hook " .. i)
            end
        end)

        it("cannot change the command", function()
            local policy = assert(demilune.policy { prepare = function(_, context)
                context.command[1], context.command[3] = "/bin/false", "echo evil"
            end })
            assert.equal("[]\n", seen(policy))
        end)
    end)

    describe("policy file", function()
        local function run(text)
            sandbox.write(scratch("policy.lua"), text)
            local started = os.time()
            local result = sandbox.demilune { "run", "-p", scratch("policy.lua"), "--", "echo", "ran" }
            assert.is_true(os.time() - started < 20)
            return result
        end

        it("that loops in its hook is ended soon, and nothing has run", function()
            for _, body in ipairs { "while true do end", "for i = 1, math.maxinteger do end", "return loop()",
                "pcall(function() while true do end end) while true do end",
                    "('a'):rep(1 << 20):find(('.-'):rep(40) .. 'b')",
                "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]" } do
                local result = run("local function loop() return loop() end return { prepare = function() " .. body .. " end }")
                assert.equal(125, result.code, body)
                assert.equal("", result.out, body)
                assert.matches("policy.lua", result.err)
            end
        end)

        it("that wants all memory in its hook gets none", function()
            for _, body in ipairs { "local s = ('x'):rep(1 << 30)",
                "local t = {} for i = 1, 1e9 do t[i] = {} end",
                "return { name = ('x'):rep(1 << 26) }",
                    "table.concat({}, ('x'):rep(1 << 28), 1, 1 << 20)" } do
                local result = run("return { prepare = function() " .. body .. " end }")
                assert.equal(125, result.code, body)
                assert.equal("", result.out)
            end
        end)

        it("has no way to the host from its hook", function()
            for _, name in ipairs { "os", "io", "require", "debug", "package", "load", "loadstring",
                "dofile", "loadfile",
                "collectgarbage", "coroutine", "setmetatable" } do
                local result = run(("return { prepare = function() local x = %s end }"):format(name))
                if name ~= "setmetatable" and name ~= "coroutine" then
                    assert.equal(125, result.code, name)
                end
            end
            local result = run("return { prepare = function() (''):dump() end }")
            assert.equal(125, result.code)
        end)

        it("may misbehave after the launch without harm", function()
            local result = run("return { launched = function() while true do end end, finished = function() error 'oh' end }")
            assert.equal(0, result.code)
            assert.equal("ran\n", result.out)
            assert.matches("warning: launched: ", result.err)
            assert.matches("warning: finished: ", result.err)
        end)
    end)
end)
