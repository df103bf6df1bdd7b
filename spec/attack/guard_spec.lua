-- The hard bound of the command: policy code that hangs where no limit of the private state looks, in one call of a C
-- function. The hole is real: a C library, preloaded, one of whose functions does not come back. In the module, which
-- has no such bound, the same policies hang.
local core = require "demilune.core"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

local WORDS = "the policy did not come back within 2 s, and cannot be stopped; "

local function has(text, part)
    assert(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

describe("a policy that hangs in a hole of the limits #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    before_each(function()
        assert.equal(0, sandbox.sh(("gcc -O1 -shared -fPIC -o %s spec/support/hang.c"):format(scratch "hang.so")).code)
    end)

    -- The command with the hole; it is killed (137) when it hangs for good.
    local function with_hole(arguments, options)
        options = options or {}
        options.prefix = "timeout -s KILL 20 " .. (options.prefix or "")
        options.env = { "LD_PRELOAD=" .. scratch "hang.so" }
        return sandbox.demilune(arguments, options)
    end

    local function policy(text)
        return sandbox.write(scratch "policy.lua", text)
    end

    local function run(text, options)
        return with_hole({ "run", "--status", scratch "status", "-p", policy(text), "--", "sh", "-c",
            "echo ran; exit 7" }, options)
    end

    local function status()
        return (sandbox.read(scratch "status"):gsub("\n$", ""))
    end

    for _, way in ipairs { "spin", "sleep" } do
        it("in its file, by " .. way .. ", is ended: 125, and nothing has run #unsanitized", function()
            local result = run(('return { network = "%s" < "x" }'):format(way))
            assert.same({ 125, "" }, { result.code, result.out })
            assert.equal(("demilune: %s: %snothing was run [policy.hung]\n"):format(scratch "policy.lua", WORDS), result.err)
            assert.equal('{"code":"policy.hung","kind":"refused","ok":false,"problems":[]}', status())
        end)

        it("in its prepare hook, by " .. way .. ", is ended: 125, and nothing has run #unsanitized", function()
            local result = run(('return {\n prepare = function() return "%s" < "x" end }'):format(way))
            assert.same({ 125, "" }, { result.code, result.out })
            assert.equal(("demilune: %s:2: %snothing was run [policy.hung]\n"):format(scratch "policy.lua", WORDS),
                result.err)
            assert.equal('{"code":"policy.hung","kind":"refused","ok":false,"problems":[]}', status())
        end)
    end

    it("in its launched hook is ended with the command: 124 #unsanitized", function()
        policy 'return { launched = function() return "spin" < "x" end }'
        -- What still lived inside would keep cat from its end.
        local result = sandbox.sh(("{ LD_PRELOAD=%s timeout -s KILL 20 %s run --status %s -p %s -- sleep 1000; echo code $? >&2;"
            .. " } | timeout -s KILL 30 cat"):format(scratch "hang.so", sandbox.command, scratch "status", scratch "policy.lua"))
        assert.equal(0, result.code)
        has(result.err, "policy.lua:1: " .. WORDS .. "the command is ended [policy.hung]\n")
        has(result.err, "code 124\n")
        assert.equal('{"code":"policy.hung","kind":"cancelled","ok":false,"problems":[]}', status())
    end)

    it("in its finished hook is ended, and the command's result stands #unsanitized", function()
        local result = run 'return { finished = function() return "spin" < "x" end }'
        assert.same({ 7, "ran\n" }, { result.code, result.out })
        has(result.err, "policy.lua:1: " .. WORDS .. "the command had ended, its result stands [policy.hung]\n")
        has(status(), '"exit_code":7,"kind":"exit"')
    end)

    it("is ended by every subcommand that reads one #unsanitized", function()
        policy 'return { network = "spin" < "x" }'
        sandbox.write(scratch "program.lua", ("assert(demilune.load %q)"):format(scratch "policy.lua"))
        for _, case in ipairs {
            { "check", scratch "policy.lua" }, { "explain", "-p", scratch "policy.lua" },
            { "batch", "-p", scratch "policy.lua" }, { "script", scratch "program.lua" },
        } do
            local result = with_hole(case)
            assert.same({ 125, "" }, { result.code, result.out }, case[1])
            has(result.err, scratch "policy.lua" .. ": " .. WORDS)
        end
        local result = with_hole { "run", "--ceiling", sandbox.write(scratch "ceiling.lua",
            'return { network = "spin" < "x" }'), "true" }
        assert.equal(125, result.code)
        has(result.err, scratch "ceiling.lua" .. ": " .. WORDS)
        result = with_hole { "run", "-e", "return 'spin' < 'x'", "true" }
        assert.equal(125, result.code)
        has(result.err, "demilune: -e:1: " .. WORDS .. "nothing was run [policy.hung]\n")
    end)

    it("in a hook ends a batch, which a journal lets go on #unsanitized", function()
        policy 'return { prepare = function(_, context) return context.command[2] < "x" end }'
        local jobs = '{"id":"a","command":["echo","one"]}\n{"id":"b","command":["echo","spin"]}\n'
        local arguments = { "batch", "--jobs", "1", "--journal", scratch "journal", "-p", scratch "policy.lua" }
        local result = with_hole(arguments, { input = jobs })
        assert.equal(125, result.code)
        has(result.out, '"stdout":"one\\n"')
        has(result.err, "policy.lua:1: " .. WORDS .. "the batch ends")
        local again = sandbox.demilune(arguments, { input = jobs })
        assert.equal(0, again.code)
        has(again.out, '"stdout":"spin\\n"')
        assert.is_nil(again.out:find('"stdout":"one', 1, true))
    end)

    it("is ended by a caller's leave or without it: what that signal was stays so for the command #unsanitized", function()
        for _, option in ipairs { "--block-signal=RTMIN", "--ignore-signal=RTMIN" } do
            local hung = run('return { network = "sleep" < "x" }', { prefix = "env " .. option })
            assert.equal(125, hung.code)
            local shown = sandbox.demilune({ "run", "--backend", "none", "--unsafe-no-isolation", "-e", "return true", "--",
                "grep", "^Sig[BI]", "/proc/self/status" }, { prefix = "env " .. option })
            local bare = sandbox.sh("env " .. option .. " grep '^Sig[BI]' /proc/self/status")
            assert.equal(bare.out, shown.out)
        end
    end)

    it("by printing where nobody reads is ended, though nobody reads that either", function()
        local path = policy "while true do print(('x'):rep(1000)) end"
        local result = sandbox.sh(("mkfifo %s; exec 8<>%s; timeout -s KILL 20 %s run -p %s -- true 2>&8"):format(
            scratch "fifo", scratch "fifo", sandbox.command, path))
        assert.equal(125, result.code)
    end)

    it("hangs in the module, which is a guest and ends nobody's process #unsanitized", function()
        sandbox.write(scratch "program.lua", ('require "demilune".load %q'):format(
            policy 'return { network = "spin" < "x" }'))
        local result = sandbox.sh(("LD_PRELOAD=%s LUA_PATH=%q LUA_CPATH=%q timeout -s KILL 5 lua5.4 %s"):format(
            scratch "hang.so", package.path, package.cpath, scratch "program.lua"))
        assert.equal(137, result.code)
    end)
end)

describe("the module #once", function()
    local function signals()
        return sandbox.read("/proc/self/status"):match("SigBlk.*SigCgt:%s*%x+") .. sandbox.read("/proc/self/timers")
    end

    it("has no handler, no mask and no timer of its own while policy code runs", function()
        local before, during = signals(), nil
        local private = assert(core.private { print = function() during = signals() end })
        assert(private:load("print() return {}", "policy.lua"))
        assert.equal(before, during)
    end)
end)

describe("the command #once", function()
    local scratch = sandbox.scratch(before_each, after_each)

    it("has them only then", function()
        sandbox.write(scratch "program.lua", [[
            local function signals()
                local text = ""
                for _, name in ipairs { "status", "timers" } do
                    local file = assert(io.open("/proc/self/" .. name))
                    text = text .. file:read("a"):gsub("^.*SigBlk(.*)Seccomp:.*$", "%1")
                    file:close()
                end
                return text
            end
            local core = require "demilune.core"
            local before, during = signals(), nil
            local private = assert(core.private { print = function() during = signals() end })
            assert(private:load("print() return {}", "policy.lua"))
            print(before ~= during, during:find("SIGEV_SIGNAL", 1, true) or during:find("signal/", 1, true))
            print(before:match("SigCgt:%s*%x+") == signals():match("SigCgt:%s*%x+"))]])
        local result = sandbox.demilune { "script", scratch "program.lua" }
        assert.equal("", result.err)
        assert.matches("^true%s+%d+\ntrue\n$", result.out)
    end)
end)
