-- Hostile policy files and hooks against the limits of the private state: each attack in the file and in each of its
-- hooks, and for every name that a policy can say there is one.
local attacks = require "support.attacks"
local core = require "demilune.core"
local demilune = require "demilune"
local hooks = require "demilune.hooks"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

local SECONDS = 5 -- of the processor, for what may take 0.2 of its own, with room for a slow machine and a sanitizer

-- An error of a policy is one line, and so is each problem, that cannot drive a terminal, with no traceback and no address.
local function check_line(text)
    assert.is_nil(text:find("[\0-\31\127]"), text)
    assert.is_nil(text:find("\u{202e}", 1, true) or text:find("\u{9b}", 1, true), text)
    assert.is_nil(text:find("traceback", 1, true) or text:find("[C]", 1, true) or text:find("0x%x%x%x%x"), text)
    assert.is_true(#text < 2000, text)
end

local function check_text(text)
    for line in text:gmatch "[^\n]*" do
        check_line(line)
    end
end

describe("policy code #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- What comes of a file: nothing, or the error.
    local function of_file(text)
        local policy, message = demilune.load(sandbox.write(scratch "policy.lua", text))
        return not policy and message or nil
    end

    local places = {
        ["the file"] = function(code)
            return of_file(("do %s end return {}"):format(code))
        end,
        ["the prepare hook"] = function(code)
            local policy = assert(demilune.load(sandbox.write(scratch "policy.lua",
                ("return { prepare = function(policy, context) do %s end return true end }"):format(code))))
            local plan, message = policy:plan { "true" }
            return not plan and message or nil
        end,
    }
    for name, kind in pairs { launched = "process", finished = "result" } do
        places["the " .. name .. " hook"] = function(code)
            local policy = assert(demilune.load(sandbox.write(scratch "policy.lua",
                ("return { %s = function(%s, context) do %s end end }"):format(name, kind, code))))
            local failures = {}
            hooks.notify(assert(policy:plan { "true" }), name, kind, { id = 1 }, failures)
            return failures[1]
        end
    end

    -- Tries the code in a place and compares what comes of it.
    local function try(place, code, outcome)
        local start = os.clock()
        local message = places[place](code)
        assert.is_true(os.clock() - start < SECONDS, code)
        if message then
            check_text(message)
        end
        if outcome == nil then
            assert(not message, ("%s in %s: %s"):format(code, place, message))
        elseif outcome then
            assert(message and message:find(outcome, 1, true), ("%s in %s: %q is not in %q"):format(code, place, outcome,
                tostring(message)))
            assert(message:find("policy.lua", 1, true), message)
        end
    end

    -- The standard error of this process, where policies print, goes nowhere meanwhile.
    local function quietly(run)
        local stderr = io.stderr
        io.stderr = assert(io.open("/dev/null", "w")) -- luacheck: ignore
        local ok, problem = pcall(run)
        io.stderr:close()
        io.stderr = stderr -- luacheck: ignore
        assert(ok, problem)
    end

    for _, attack in ipairs(attacks.limits) do
        it("cannot get past the limits: " .. attack[1], function()
            quietly(function()
                for place in pairs(places) do
                    try(place, attack[2], attack[3])
                end
            end)
        end)
    end

    for _, attack in ipairs(attacks.texts) do
        it("cannot get past the limits by its text: " .. attack[1], function()
            local start = os.clock()
            local message = of_file(attack[2])
            assert.is_true(os.clock() - start < SECONDS)
            check_line(message)
            assert(message:find(attack[3], 1, true), message)
        end)
    end

    -- Where a name can be tried: what hooks get is not there in the file, and not in every hook.
    local function places_of(name)
        local subject = name:match("^(%l+):")
        if subject == "policy" then
            return { ["the prepare hook"] = true }
        elseif subject == "process" then
            return { ["the launched hook"] = true }
        elseif name:find("^context%.") then
            return { ["the prepare hook"] = true, ["the launched hook"] = true, ["the finished hook"] = true }
        end
        return places
    end

    for name, cases in pairs(attacks.names) do
        it("can do no harm with " .. name, function()
            quietly(function()
                for _, case in ipairs(cases) do
                    for place in pairs(places_of(name)) do
                        try(place, case[1], case[2])
                    end
                end
            end)
        end)
    end

    it("has no names but those", function()
        local path = sandbox.write(scratch "policy.lua", [[
            for name, value in pairs(_ENV) do
                if type(value) ~= "table" then print(name) end
                for field in pairs(type(value) == "table" and value or {}) do print(name .. "." .. field) end
            end
            return {}]])
        local result = sandbox.demilune({ "check", path }, { env = { "HOME=/" } })
        assert.equal(0, result.code)
        local known = {}
        for name in pairs(attacks.names) do
            known[name] = true
        end
        local seen = 0
        for name in result.err:gmatch("demilune: policy: ([^\n]*)") do
            assert(known[name], name .. " has no attack in support/attacks.lua")
            known[name], seen = nil, seen + 1
        end
        assert.is_true(seen > 60)
        for kind, metatable in pairs(require "demilune.hook") do
            for name in pairs(type(metatable.__index) == "table" and metatable.__index or {}) do
                local full = kind .. (kind == "context" and "." or ":") .. name
                assert(known[full], full .. " has no attack in support/attacks.lua")
                known[full] = nil
            end
        end
        assert.same({}, known, "attacks on what is not there")
    end)

    it("has none of what would undo a limit", function()
        for _, name in ipairs(attacks.absent) do
            for place in pairs(places) do
                try(place, ("local _ = %s"):format(name), ("`%s` is not defined"):format(name))
            end
        end
        for place in pairs(places) do
            try(place, "local t = (''):getmetatable()", "attempt to call a nil value (method 'getmetatable')")
            try(place, "local _ = ('').__index.gsub", "attempt to index a nil value")
        end
    end)

    it("that hangs or raises in a hook of a real launch changes nothing of the command", function()
        local path = sandbox.write(scratch "policy.lua", [[
            local function loop() while true do pcall(loop) end end
            return { launched = loop, finished = function() error { __tostring = loop } end }]])
        local result = sandbox.demilune { "run", "-p", path, "--", "sh", "-c", "echo ran; exit 3" }
        assert.same({ 3, "ran\n" }, { result.code, result.out })
        assert.matches("warning: launched: .*policy.lua:1: the policy runs longer than 200 ms", result.err)
        assert.matches("warning: finished: .*policy.lua:2: the policy raised a table value", result.err)
    end)

    it("cannot make the printing of a line cost much, whatever is kept from being shown in it", function()
        local path = sandbox.write(scratch "policy.lua", [[
            local secrets = {}
            for i = 1, 9900 do secrets["/s/" .. i] = "aaaa" .. i end
            return { secrets = secrets, prepare = function()
                local text = ("a"):rep(65536)
                text = text .. text .. text .. text
                print(text)
                print("aaaa9", "end")
            end }]])
        local policy = assert(demilune.load(path))
        local start = os.clock()
        quietly(function()
            policy:plan { "true" }
        end)
        assert.is_true(os.clock() - start < SECONDS)
        assert.is_true(core.clock() > 0)
    end)
end)
