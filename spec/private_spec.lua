-- The private Lua state: what a policy can reach, what its limits are, and how values cross.
local core = require "demilune.core"

-- Runs a policy in a state of its own; returns the copy of its table, or nil and the message.
local function load(source, options)
    local private, message = core.private(options or {})
    if not private then return nil, message end
    if options and options.prelude then
        local ready
        ready, message = private:prelude(table.unpack(options.prelude))
        if not ready then return nil, message end
    end
    local policy, problem = private:load(source, "policy.lua")
    return policy, problem, private
end

-- The value of an expression in a policy, which has to be one that can be copied.
local function value(expression, options)
    local policy, message = load("return { value = " .. expression .. " }", options)
    assert.is_nil(message)
    return policy.value
end

-- What a policy says when it goes wrong.
local function problem(source, options)
    local policy, message = load(source, options)
    assert.is_nil(policy)
    assert.is_string(message)
    return message
end

local function has(text, part)
    assert(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

local function seconds(run)
    local start = os.time()
    local processor = os.clock()
    run()
    return math.max(os.clock() - processor, os.time() - start - 1)
end

describe("the names of a policy", function()
    it("has the functions of the base library that only compute", function()
        assert.same({ true, 3, "table", true, 2, "b", 12, "1.5" }, value [[{ rawequal(print, print), rawlen { 1, 2, 3 },
            type {}, (pcall(type, 1)), select("#", 1, 2), select(2, "a", "b"), tonumber("12"), tostring(1.5) }]])
        local policy = assert(load [[
            local t = {}
            for i, v in ipairs { "a", "b" } do t[i] = v .. i end
            for k, v in pairs { x = 1 } do t[k] = v end
            t.next = next { only = 1 }
            t.caught = select(2, pcall(error, "no", 0))
            t.assert = select("#", assert(1, 2, 3))
            return t]])
        assert.same({ "a1", "b2", x = 1, next = "only", caught = "no", assert = 3 }, policy)
    end)

    it("has the string functions without patterns", function()
        assert.same({ 97, "ab", 3, "abc", "cba", "bc", "ABC", "1/x" }, value [[{
            ("a"):byte(), string.char(97, 98), ("abc"):len(), ("ABC"):lower(), ("abc"):reverse(), ("abc"):sub(2),
            ("abc"):upper(), ("%d/%s"):format(1, "x") }]])
        assert.same({ "a-a-a", "", "", "x" },
            value [[{ ("a"):rep(3, "-"), ("a"):rep(-1), (""):rep(1 << 60), ("x"):rep(1) }]])
        assert.same({ true, false, true, false, true, false }, value [[{ ("/home/x"):starts_with("/home"),
            ("/ho"):starts_with("/home"), ("a.lua"):ends_with(".lua"), ("a.lua"):ends_with("b.lua"),
            ("x"):ends_with(""), ("x"):ends_with("xx") }]])
        assert.same({ { "a", "", "b" }, { "" }, { "ab" }, { "", "" } },
            value [[{ ("a::b"):split(":"), (""):split(","), ("ab"):split("abc"), ("::"):split("::") }]])
        has(problem [[return ("a"):split("")]], "the separator is empty")
    end)

    it("finds plain text alone, and refuses what would be a pattern", function()
        for _, case in ipairs {
            { "abcabc", "b" }, { "abcabc", "b", 3 }, { "abcabc", "b", -2 }, { "abc", "x" }, { "abc", "", 4 },
            { "abc", "", 5 }, { "abc", "c", -99 }, { "abc", "b", 0 }, { "a\0b", "\0b" },
        } do
            local text, needle, start = case[1], case[2], case[3]
            local here = table.pack(text:find(needle, start or 1, true))
            local there = value(("{ string.find(%q, %q, %d, true) }"):format(text, needle, start or 1))
            assert.same({ here[1], here[2] }, there)
        end
        assert.equal(2, value [[(("ab"):find("b"))]])
        assert.equal(2, value [[(("a.b"):find(".", 1, true))]])
        has(problem [[return string.find("a.b", ".")]], "policy.lua:1: bad argument #2 to 'find' (patterns")
        has(problem [[return ("a.b"):find("b\0%a")]], "patterns")
    end)

    it("has table, math and utf8", function()
        local policy = assert(load [[
            local t = { 3, 1, 2 }
            table.sort(t)
            table.insert(t, 9)
            table.insert(t, 1, 0)
            local last = table.remove(t)
            local down = { 1, 3, 2 }
            table.sort(down, function(a, b) return a > b end)
            return { t = t, last = last, down = down, joined = table.concat(t, ","), n = table.pack(1, nil).n,
                second = select(2, table.unpack(t)) }]])
        assert.same({ t = { 0, 1, 2, 3 }, last = 9, down = { 3, 2, 1 }, joined = "0,1,2,3", n = 2, second = 1 }, policy)
        for _, name in ipairs {
            "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max",
            "maxinteger", "min", "mininteger", "modf", "pi", "rad", "sin", "sqrt", "tan", "tointeger", "type",
            "ult",
        } do
            assert.equal(type(math[name]), value("type(math." .. name .. ")"))
        end
        assert.same({ "é", 233, 2, 3 },
            value [[{ utf8.char(233), utf8.codepoint("é"), utf8.len("éa"), utf8.offset("éa", 2) }]])
        assert.equal(2, #assert(load [[local t = {} for _, c in utf8.codes("éa") do t[#t + 1] = c end return t]]))
    end)

    it("has nothing else", function()
        for _, name in ipairs {
            "os", "io", "load", "loadstring", "loadfile", "require", "package", "debug", "coroutine", "setmetatable",
            "getmetatable", "rawset", "rawget", "dofile", "collectgarbage", "xpcall", "warn", "_G", "_VERSION",
        } do
            has(problem("return { " .. name .. " }"), "policy.lua:1: `" .. name .. "` is not defined")
        end
        for _, name in ipairs {
            "string.dump", "string.gsub", "string.gmatch", "string.match", "string.pack", "string.unpack",
            "string.packsize", "table.move", "math.random", "math.randomseed",
        } do
            has(problem("return { " .. name .. " }"), "policy.lua:1: `" .. name .. "` is not defined")
        end
        for _, name in ipairs { "dump", "gsub", "gmatch", "match", "pack" } do
            has(problem("return ('x'):" .. name .. "('x')"), "attempt to call a nil value (method '" .. name .. "')")
        end
    end)

    it("lets a field of a string be nil, as anywhere in Lua", function()
        assert.equal("/a", value [[("/a").host or "/a"]])
    end)

    it("names the nearest name for one that is not defined", function()
        local options = { globals = { home = "/home/x" } }
        has(problem("\nreturn hoem", options), "policy.lua:2: `hoem` is not defined; did you mean `home`?")
        has(problem "return string.uper", "`string.uper` is not defined; did you mean `string.upper`?")
        has(problem "return zzzzzzz", "`zzzzzzz` is not defined")
        assert.is_nil(problem("return zzzzzzz"):find("did you mean", 1, true))
        has(problem "return _ENV['\27[31m']", [[`\x1b[31m` is not defined]])
        has(problem "return _ENV[('x'):rep(60000)]", "is not defined")
    end)

    it("refuses assignment to a global, known or not", function()
        has(problem "\n\nx = 1", "policy.lua:3: assignment to global `x`; use `local x`")
        has(problem "print = 1", "assignment to global `print`; use `local print`")
        has(problem "function f() end", "assignment to global `f`")
        has(problem "table.insert(_ENV, 1)", "assignment to a global")
        has(problem "_ENV[1] = 1", "assignment to a global")
    end)

    it("keeps library tables and facts read-only, and readable with pairs", function()
        has(problem "string.x = 1", "policy.lua:1: `string` is read-only")
        has(problem "math.pi = 3", "`math` is read-only")
        local options = { globals = { host = { kernel = "6.1", list = { 1, { 2 } } }, home = "/h" } }
        has(problem("host.kernel = 1", options), "`host` is read-only")
        has(problem("host.list[1] = 1", options), "`list` is read-only")
        has(problem("host.list[2][1] = 1", options), "is read-only")
        has(problem("table.insert(host.list, 1)", options), "is read-only")
        has(problem("table.remove(string)", options), "is read-only")
        has(problem("local _, t = pairs(host) t.x = 1", options), "attempt to index a nil value")
        assert.same({ 2, 1, "6.1", "/h" }, value("{ #host.list, host.list[1], host.kernel, home }", options))
        assert.same({ kernel = "string", list = "table" },
            assert(load("local t = {} for k, v in pairs(host) do t[k] = type(v) end return t", options)))
        assert.equal("1,2", value("table.concat({ host.list[1], host.list[2][1] }, ',')", options))
        assert.is_true(value [[(function() for k in pairs(string) do if k == "upper" then return true end end end)()]])
    end)

    it("keeps what one file does from the next in the same state", function()
        local private = assert(core.private {})
        assert(private:load("return { pcall(function() string.upper = nil end) }", "one.lua"))
        assert.same({ "A" }, private:load("return { ('a'):upper() }", "two.lua"))
    end)
end)

describe("facts about the host", function()
    it("asks for a fact once", function()
        local asked = {}
        local options = {
            globals = { host = { kernel = "6.1" } },
            host_lookup = function(name)
                asked[#asked + 1] = name
                return ({ number = 7, text = "t\0t", flag = false })[name]
            end,
        }
        assert.same({ "6.1", 7, 7, "t\0t", false, false, true, true }, value([[{ host.kernel, host.number, host.number,
            host.text, host.flag, host.flag, host.none == nil, host.none == nil }]], options))
        assert.same({ "number", "text", "flag", "none" }, asked)
        assert.is_true(value("host[1] == nil and host[true] == nil", options))
        assert.equal(4, #asked)
    end)

    it("has no facts without a function that knows them", function()
        assert.equal("nil", value "type(host.kernel)")
    end)

    it("reports a function of the host that goes wrong", function()
        has(problem("return { host.x }", { host_lookup = function() error("broken", 0) end }), "policy.lua:1: broken")
        has(problem("return { host.x }", { host_lookup = function() error {} end }), "the host program raised an error")
        has(problem("return { host.x }", { host_lookup = function() return {} end }), "no plain value")
        has(problem("return { host.x }", { host_lookup = function() return print end }), "no plain value")
    end)

    it("does not charge the policy for the time of the host, nor let it ask for ever", function()
        local function slow()
            local stop = os.clock() + 0.03
            while os.clock() < stop do end
            return 1
        end
        assert.equal(3, value("host.a + host.b + host.c", { time_ms = 20, host_lookup = slow }))
        has(problem("for i = 1, 1e6 do local _ = host['x' .. i] end", { host_lookup = function() end }),
            "more than 256 questions")
    end)
end)

describe("print", function()
    it("gives one line of text that cannot drive a terminal to the host, and no address", function()
        local lines = {}
        local options = { print = function(text) lines[#lines + 1] = text end }
        assert(load([[
            print("a", 1, nil, true, {}, print)
            print()
            print("\27[31m\n\0é\xff\xc2\x9b\u{202e}")
            return {}]], options))
        assert.same({ "a 1 nil true table function", "", [[\x1b[31m\n\x00é\xff\xc2\x9b\xe2\x80\xae]] }, lines)
    end)

    it("says nothing without a function", function()
        assert.same({}, (load "print('x') return {}"))
    end)

    it("cannot be turned on the policy state that calls it", function()
        local private, messages
        messages = {}
        private = assert(core.private { print = function()
            messages[1] = select(2, private:close())
            messages[2] = select(2, private:load("return {}", "x.lua"))
        end })
        assert.same({ 1 }, private:load("print() return { 1 }", "policy.lua"))
        assert.same({ "the policy state is running", "the policy state is running" }, messages)
    end)
end)

describe("addresses", function()
    it("are not shown", function()
        assert.same({ "table", "function", "a table b", "function" },
            value [[{ tostring {}, tostring(print), ("a %s b"):format {}, ("%-3s"):format(print) }]])
        has(problem [[return ("%p"):format {}]], "`%p` is not to be had here")
        has(problem [[return ("%d%-20p"):format(1, "x")]], "`%p` is not to be had here")
        assert.equal("%p 1", value [[("%%p %d"):format(1)]])
        has(problem [[return {} .. ""]], "attempt to concatenate a table value")
        has(problem [[error {}]], "policy.lua: the policy raised a table value")
        has(problem [[error(print)]], "policy.lua: the policy raised a function value")
        assert.is_nil(problem [[error({}, 0)]]:find("0x", 1, true))
    end)
end)

describe("include", function()
    local files = {
        common = "return { shared = { home } }",
        wrong = "local x =\n\n= 1",
        raises = "\nerror('inner')",
        itself = "return include 'itself'",
        binary = string.dump(function() end),
    }
    local options = {
        globals = { home = "/h" },
        include = function(name)
            if not files[name] then return nil, "no such file" end
            return files[name], name .. ".lua"
        end,
    }

    it("runs another file in the same environment", function()
        assert.same({ shared = { "/h" } }, value("include 'common'", options))
    end)

    it("tells which file is wrong, and where", function()
        has(problem("\nreturn include 'missing'", options), 'policy.lua:2: include "missing": no such file')
        has(problem("return { include 'wrong' }", options), "wrong.lua:3: unexpected symbol")
        has(problem("return { include 'raises' }", options), "raises.lua:2: inner")
        has(problem("return { include 'binary' }", options), "attempt to load a binary chunk")
        has(problem("return { include 'a\\0b' }", options), "not a name")
        has(problem("return { include 'itself' }", options), "more than 16 deep")
        has(problem "return { include 'common' }", "nothing can be included here")
        assert.equal(20, value([[(function()
            local n = 0
            for _ = 1, 20 do if not pcall(include, "raises") then n = n + 1 end end
            return n
        end)()]], options))
    end)

    it("takes an answer of the wrong type for none", function()
        has(problem("return { include 'x' }", { include = function() return {} end }), 'include "x": not found')
        has(problem("return { include 'x' }", { include = function() error "broken" end }), "broken")
    end)
end)

describe("errors of a policy", function()
    it("have the file and the line", function()
        has(problem "\nerror('wrong')", "policy.lua:2: wrong")
        has(problem "\n\nlocal x = nil + 1", "policy.lua:3: attempt to perform arithmetic on a nil value")
        has(problem "return {\n  a = 1\n  b = 2 }", "policy.lua:3: '}' expected")
        has(problem "\nassert(false, 'must be')", "policy.lua:2: must be")
        has(problem "\nassert(nil)", "policy.lua:2: assertion failed!")
        has(problem "\nassert(false, {})", "policy.lua: the policy raised a table value")
        has(problem "\nlocal x = ('x'):rep({})", "policy.lua:2: bad argument #1 to 'rep'")
        has(problem "\nlocal x = table.insert(1, 2)", "policy.lua:2: bad argument #1 to 'insert'")
        assert.equal("policy.lua: plain", problem "error('plain', 0)")
        assert.is_nil(problem("error('x')"):find("traceback", 1, true))
    end)

    it("are one line, printable and short", function()
        assert.equal([[policy.lua:1: a\nb\x1b]], problem [[error("a\nb\27")]])
        assert.is_true(#problem [[error(("x"):rep(60000))]] < 1100)
    end)

    it("say what a policy file returns", function()
        assert.equal("policy.lua: a policy file returns a table, this one returns a number", problem "return 1")
        assert.equal("policy.lua: a policy file returns a table, this one returns nothing", problem "local x = 1")
        assert.equal("policy.lua: a policy file returns one table, this one returns more", problem "return {}, 1")
    end)

    it("leave the state usable", function()
        local private = assert(core.private {})
        for _ = 1, 3 do
            assert.is_nil((private:load("error('x')", "policy.lua")))
            assert.is_nil((private:load("while true do end", "policy.lua")))
            assert.is_nil((private:load("local s = 'x' while true do s = s .. s end", "policy.lua")))
            assert.same({ 1 }, (private:load("return { 1 }", "policy.lua")))
        end
    end)
end)

describe("the limits", function()
    it("in a hook is stopped as well, each call with a time of its own", function()
        local policy = assert(load [[return { prepare = function(p) while p.loop do end return true end }]])
        for _ = 1, 2 do
            local done, message = policy.prepare:call({}, { loop = true })
            assert.is_nil(done)
            assert.equal("policy.lua:1: the policy runs longer than 200 ms", message)
            assert.is_true(policy.prepare:call({}, { loop = false }))
        end
    end)

    it("takes no text of more than 256 KiB", function()
        has(problem("return {} --" .. ("x"):rep(256 * 1024)), "larger than 256 KiB")
    end)

    it("uses the limits that the host gives", function()
        local took = seconds(function()
            has(problem("while true do end", { time_ms = 20 }), "longer than 20 ms")
        end)
        assert.is_true(took < 0.15)
        has(problem("local t = {} for i = 1, 1e9 do t[i] = {} end", { memory = 300 * 1024 }), "more than 300 KiB")
        has(problem("return {}", { memory = 1024 }), "more than 1 KiB")
    end)

    it("leaves hook and memory of the host alone", function()
        local events = 0
        local function count() events = events + 1 end
        debug.sethook(count, "", 1000000)
        assert(load [[return { f = 1 }]])
        local hook, mask, step = debug.gethook()
        debug.sethook()
        assert.same({ count, "", 1000000 }, { hook, mask, step })
    end)

    it("survives any amount of memory", function()
        local loaded = 0
        for memory_limit = 1024, 80 * 1024, 251 do
            local policy, message, private = load([[
                local t = {}
                for i = 1, 20 do t[i] = { i } end
                return { t = t, f = function(p) p.x = 1 end }]], {
                memory = memory_limit,
                globals = { host = { a = 1 } },
                prelude = { "return { policy = {} }", "prelude.lua" },
            })
            if policy then
                loaded = loaded + 1
                local done, problem_of_call = policy.f:call({ "policy" }, { y = 2 })
                assert.is_true(done == true or type(problem_of_call) == "string")
            else
                assert.is_string(message)
            end
            if private then private:close() end
        end
        assert.is_true(loaded > 10)
    end)
end)

describe("copies", function()
    it("keep integers, floats, booleans and strings with NUL", function()
        local policy = assert(load [[return {
            1, 1.0, -0.0, math.mininteger, 1 / 0, "a\0b", true, false, [2.5] = "f", [true] = "t", [-1] = 0 }]])
        for i, expected in ipairs { "integer", "float", "float", "integer", "float" } do
            assert.equal(expected, math.type(policy[i]))
        end
        assert.equal("-0.0", tostring(policy[3]))
        assert.equal("a\0b", policy[6])
        assert.same({ true, false, "f", "t", 0 }, { policy[7], policy[8], policy[2.5], policy[true], policy[-1] })
    end)

    it("are made of a shared table twice", function()
        local policy = assert(load "local s = { 1 } return { a = s, b = s }")
        assert.same({ 1 }, policy.a)
        assert.same({ 1 }, policy.b)
        assert.are_not.equal(policy.a, policy.b)
    end)

    local refused = {
        { "local t = { a = {} } t.a.b = t return t", "policy.lua: a.b: a cycle" },
        { "local t = {} t[1] = t return t", "policy.lua: [1]: a cycle" },
        { "return { masks = { 1, string } }",
            "policy.lua: masks[2]: a table with a metatable cannot stand in a policy" },
        { "return { a = { host } }", "policy.lua: a[1]: a table with a metatable" },
        { "return host", "policy.lua: a table with a metatable" },
        { "return { a = { [{}] = 1 } }", "policy.lua: a[table]: a table cannot be a key" },
        { "return { [print] = 1 }", "policy.lua: [function]: a function cannot be a key" },
        { "return { ['a b\\n'] = { [1.5] = string } }", [=[policy.lua: ["a b\x0a"][1.5]: a table with]=] },
        { "local t = {} for i = 1, 20001 do t[i] = 1 end return { t = t }", "more than 20000 entries" },
        { "local t = {} for i = 1, 15 do t = { t, t } end return t", "more than 20000 entries" },
        { "local t = {} for i = 1, 16 do t = { t } end return t", "tables nest deeper than 16 levels" },
        { "local s = ('x'):rep(65536) local t = {} for i = 1, 200 do t[i] = s end return t",
            "more than 8 MiB of strings" },
    }
    for _, case in ipairs(refused) do
        it("are refused: " .. case[2], function()
            has(problem(case[1]), case[2])
        end)
    end

    it("are made of what is just within the limits", function()
        assert.is_table(load "local t = {} for i = 1, 15 do t = { t } end return t")
        assert.is_table(load "local t = {} for i = 1, 20000 do t[i] = 1 end return t")
    end)

    it("of tables whose length lies are true all the same", function()
        local policy = assert(load "local t = {} for i = 0, 61 do t[1 << i] = true end t[5] = true return t")
        assert.is_true(policy[1 << 61])
    end)

    describe("within the host", function()
        it("are deep and raw", function()
            local original = { a = { 1, 2.0, "x\0" }, [3] = true }
            local copy = assert(core.copy(original))
            assert.same(original, copy)
            assert.are_not.equal(original.a, copy.a)
            assert.equal("float", math.type(copy.a[2]))
            assert.equal(5, core.copy(5))
        end)

        it("keep functions and hooks when told to, and refuse them otherwise", function()
            local hook = assert(load "return { f = function() end }").f
            local policy = { prepare = print, list = { hook } }
            local copy = assert(core.copy(policy, true))
            assert.equal(print, copy.prepare)
            assert.equal(hook, copy.list[1])
            assert.same({ nil, "prepare: a function cannot stand in a policy" }, { core.copy { prepare = print } })
            assert.same({ nil, "list[1]: a userdata cannot stand in a policy" }, { core.copy { list = { hook } } })
            assert.same({ nil, "f: a userdata cannot stand in a policy" }, { core.copy({ f = io.stdout }, true) })
        end)

        it("refuse threads, metatables and cycles", function()
            assert.same({ nil, "masks[2]: a thread cannot stand in a policy" },
                { core.copy({ masks = { 1, coroutine.create(print) } }, true) })
            assert.same({ nil, "a: a table with a metatable cannot stand in a policy" },
                { core.copy({ a = setmetatable({}, { __index = error, __pairs = error, __len = error }) }, true) })
            local cycle = { b = {} }
            cycle.b.a = cycle
            has(select(2, core.copy(cycle)), "b.a: a cycle")
            local deep = {}
            for _ = 1, 40 do deep = { deep } end
            has(select(2, core.copy(deep)), "deeper than 16 levels")
        end)

        it("cut the path to what is wrong when it is long", function()
            local deep, name = print, ("n"):rep(38)
            for _ = 1, 12 do deep = { [name] = deep } end
            assert.equal((name .. "."):rep(6):sub(1, 191) .. ": a function cannot stand in a policy",
                (select(2, core.copy(deep))))
        end)
    end)
end)

describe("a hook", function()
    local prelude = { [[
        local policy = {}
        policy.__index = policy
        function policy:ro_bind(path)
            self.ro_binds = self.ro_binds or {}
            table.insert(self.ro_binds, (string.gsub(path, "^~", "/home/x")))
        end
        local context = {}
        function context:hello() return "hello " .. self.name end
        return { policy = policy, context = { __index = context } }]],
        "prelude.lua" }

    it("gives back what it made of its first argument, and two results", function()
        local policy = assert(load [[return { prepare = function(policy, context)
            policy.env.A = context.cwd
            policy.list[#policy.list + 1] = 2.0
            context.cwd = "changed"
            return { 1, "x\0" }, "why", "more"
        end }]])
        local argument, context = { env = {}, list = { 1 } }, { cwd = "/" }
        local done, changed, first, second, third = policy.prepare:call({}, argument, context)
        assert.is_true(done)
        assert.same({ env = { A = "/" }, list = { 1, 2.0 } }, changed)
        assert.equal("float", math.type(changed.list[2]))
        assert.same({ 1, "x\0" }, first)
        assert.equal("why", second)
        assert.is_nil(third)
        assert.same({ { env = {}, list = { 1 } }, { cwd = "/" } }, { argument, context })
    end)

    it("may do without arguments and results", function()
        local policy = assert(load [[return { f = function(...) return select("#", ...) end, g = function() end }]])
        assert.same({ true, nil, 0 }, { policy.f:call {} })
        assert.same({ true, nil, nil }, { policy.g:call {} })
        assert.same({ true, 5, 1 }, { policy.f:call({}, 5) })
    end)

    it("has the methods of the prelude", function()
        local policy = assert(load([[return { prepare = function(policy, context)
            policy:ro_bind("~/a")
            return policy, context:hello()
        end }]], { prelude = prelude }))
        local done, changed, first, second = policy.prepare:call({ "policy", "context" }, {}, { name = "you" })
        assert.is_true(done)
        assert.same({ ro_binds = { "/home/x/a" } }, changed)
        assert.equal(changed, first)
        assert.equal("hello you", second)
        assert.is_nil(getmetatable(changed))
        done = policy.prepare:call({}, {}, { name = "you" })
        assert.is_nil(done)
    end)

    it("cannot hang the prelude with a list whose length lies", function()
        local policy = assert(load([[return { prepare = function(policy)
            policy.list = {}
            for i = 0, 61 do policy.list[1 << i] = true end
            policy.list[5] = true
            policy:first(1)
        end }]], { prelude = { [[
            local policy = {}
            policy.__index = policy
            function policy:first(value) table.insert(self.list, 1, value) end
            return { policy = policy }]], "prelude.lua" } }))
        has(select(2, policy.prepare:call({ "policy" }, {})), "the list is too long")
    end)

    it("cannot carry the methods or the library out", function()
        local policy = assert(load([[return {
            leak = function(policy, context) policy.x = context return true end,
            other = function(_, context) return context end,
        }]], { prelude = prelude }))
        has(select(2, policy.leak:call({ "policy", "context" }, {}, {})), "policy.lua:2: x: a table with a metatable")
        has(select(2, policy.other:call({ "policy", "context" }, {}, {})), "policy.lua:3: a table with a metatable")
    end)

    it("keeps its upvalues from call to call", function()
        local policy = assert(load "local n = 0 return { f = function() n = n + 1 return n end }")
        policy.f:call {}
        assert.equal(2, select(3, policy.f:call {}))
    end)

    it("says where it stands", function()
        assert.equal("hook policy.lua:2", tostring(assert(load "return {\n f = function() end }").f))
    end)

    it("reports errors with file and line", function()
        local policy = assert(load "return {\n f = function(p)\n return p.a.b end,\n g = function() error {} end }")
        assert.same({ nil, "policy.lua:3: attempt to index a nil value (field 'a')" }, { policy.f:call({}, {}) })
        assert.same({ nil, "policy.lua:4: the policy raised a table value" }, { policy.g:call {} })
    end)

    it("takes and gives functions of its own state, and no others", function()
        local policy, _, private = load [[return {
            make = function(p) p.inner = function(q) q.n = q.n + 1 end return p.inner end,
            use = function(p) p.f(p) return p.f end,
        }]]
        local _, changed, first = policy.make:call({}, {})
        local inner = changed.inner
        assert.equal("hook policy.lua:2", tostring(inner))
        assert.equal("hook policy.lua:2", tostring(first))
        assert.same({ n = 2 }, (select(2, inner:call({}, { n = 1 }))))
        local _, used = policy.use:call({}, { n = 1, f = inner })
        assert.equal(2, used.n)
        local stranger = assert(load "return { f = function() end }").f
        assert.same({ nil, "policy.lua:3: argument 1: f: a userdata cannot stand in a policy" },
            { policy.use:call({}, { f = stranger }) })
        assert.same({ nil, "policy.lua:3: argument 2: a[1]: a function cannot stand in a policy" },
            { policy.use:call({}, {}, { a = { print } }) })
        assert.same({ nil, "policy.lua:3: argument 1: a table with a metatable cannot stand in a policy" },
            { policy.use:call({}, setmetatable({}, {})) })
        private:close()
    end)

    it("cannot be called in a wrong way", function()
        local f = assert(load "return { f = function() end }").f
        assert.has_error(function() f:call() end)
        assert.has_error(function() f.call(io.stdout, {}) end)
        assert.has_error(function() f:call({}, 1, 2, 3, 4, 5, 6, 7, 8, 9) end)
        has(select(2, f:call({ "nothing" }, {})), "the prelude has no kind `nothing`")
        local with = assert(load("return { f = function() end }", { prelude = prelude })).f
        has(select(2, with:call({ "policy" }, 5)), "table expected, got number")
    end)

    it("keeps its state alive, until it is closed", function()
        local policy = assert(load "return { f = function(p) p.x = 1 end }")
        collectgarbage()
        collectgarbage()
        assert.same({ true, { x = 1 } }, { policy.f:call({}, {}) })
        local again, _, private = load "return { f = function() end }"
        assert.is_true(private:close())
        assert.is_true(private:close())
        assert.same({ nil, "the policy state is closed" }, { again.f:call {} })
        assert.same({ nil, "the policy state is closed" }, { private:load("return {}", "x.lua") })
        assert.equal("hook policy.lua:1", tostring(again.f))
    end)

    it("is given up when the host has no more use for it", function()
        local private = assert(core.private { memory = 400 * 1024 })
        for _ = 1, 300 do
            assert(private:load("local big = ('x'):rep(20000) return { f = function() return big end }", "policy.lua"))
            collectgarbage()
        end
    end)

    it("lets no finaliser of the host close the state while it copies", function()
        local private
        local answers, calling = {}, true
        local function litter()
            setmetatable({}, { __gc = function()
                if not calling then return end
                answers[select(2, private:close()) or "closed"] = true
                litter()
            end })
        end
        private = assert(core.private { print = litter })
        local policy = assert(private:load([[return { f = function()
            print "the copy of the results comes next"
            local t = {}
            for i = 1, 500 do t[i] = { i } end
            return t
        end }]], "policy.lua"))
        collectgarbage("incremental", 1, 1000)
        collectgarbage() -- from here on one cycle follows the other
        local done, _, list = policy.f:call {}
        calling = false
        collectgarbage("incremental", 200, 100)
        assert.is_true(done)
        assert.equal(500, #list)
        assert.same({ ["the policy state is running"] = true }, answers)
    end)
end)

describe("core.private", function()
    it("checks its options", function()
        for _, options in ipairs {
            { time_ms = 0 }, { time_ms = "x" }, { memory = -1 }, { memory = 1.5 }, { include = 1 }, { print = {} },
            { host_lookup = "x" }, { globals = 1 },
        } do
            assert.has_error(function() core.private(options) end)
        end
        assert.has_error(function() core.private() end)
    end)

    it("refuses globals that are no plain data, and preludes that are wrong", function()
        assert.same({ nil, "private: globals: a.f: a function cannot stand in a policy" },
            { core.private { globals = { a = { f = print } } } })
        assert.same({ nil, "private: globals: a: not enough memory" },
            { core.private { globals = { a = ("x"):rep(2 << 20) }, memory = 1 << 20 } })
        has(select(2, core.private({}):prelude("\nx x", "prelude.lua")), "prelude.lua:2:")
        has(select(2, core.private({}):prelude("return 1", "prelude.lua")), "a prelude returns a table")
        has(select(2, core.private({}):prelude("while true do end", "prelude.lua")),
            "prelude.lua:1: the policy runs longer")
    end)

    it("has memory that runs out at any place, in words", function()
        local seen = {}
        for memory = 20000, 60000, 16 do
            local private, text = core.private { memory = memory }
            local policy, message
            if private then
                policy, message = private:load("return { " .. ("function() end, "):rep(40) .. "}", "policy.lua")
            end
            seen[(policy and "fine" or message or text):gsub("%d+", "N")] = true
        end
        assert.same({
            ["fine"] = true,
            ["the policy needs more than N KiB, or more than N MiB in one piece"] = true,
            ["private: globals: not enough memory"] = true,
            ["policy.lua: the policy needs more than N KiB, or more than N MiB in one piece"] = true,
            ["policy.lua: [N]: the policy has no memory left for its hooks"] = true,
        }, seen)
    end)

    it("gives several states that know nothing of each other", function()
        local one, two = assert(core.private { globals = { home = 1 } }), assert(core.private {})
        assert.same({ 1 }, one:load("return { home }", "one.lua"))
        has(select(2, two:load("return { home }", "two.lua")), "two.lua:1: `home` is not defined")
    end)

    it("closes with its variable", function()
        local f
        do
            local private <close> = assert(core.private {})
            f = assert(private:load("return { f = function() end }", "policy.lua")).f
        end
        assert.same({ nil, "the policy state is closed" }, { f:call {} })
    end)
end)
