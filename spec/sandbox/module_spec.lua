-- The module as a guest in somebody's process: what policy:run takes, what it gives, and that it leaves its host alone.
local demilune = require "demilune"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local function sh(script, options, fields)
    local policy = assert(demilune.policy(fields or {}))
    return policy:run({ "sh", "-c", script }, options)
end

describe("policy:run", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    describe("input and output:", function()
        it("a string is the input", function()
            for _, text in ipairs { "", "a", "line\n", ("x"):rep(300000), "\0\255\0" } do
                assert.is_true(assert(sh("cat", { stdin = text, capture = true })).stdout == text)
            end
        end)

        it("null is an empty input", function()
            assert.equal("0\n", assert(sh("wc -c", { stdin = "null", capture = true })).stdout)
        end)

        it("a path and a descriptor are inputs", function()
            sandbox.write(scratch("input"), "from a file\n")
            assert.equal("from a file\n", assert(sh("cat", { stdin = { path = scratch("input") },
                capture = true })).stdout)
            local file <close> = assert(io.open(scratch("input")))
            local fd = require("demilune.core").fileno(file)
            assert.equal("from a file\n", assert(sh("cat", { stdin = { fd = fd }, capture = true })).stdout)
        end)

        it("a path is an output, and null is none", function()
            local result = assert(sh("echo out; echo err >&2", { stdin = "null",
                stdout = { path = scratch("out") },
                stderr = "null" }))
            assert.equal("out\n", sandbox.read(scratch("out")))
            assert.is_nil(result.stdout)
            assert.is_nil(result.stderr)
        end)

        it("one stream can be captured alone", function()
            local result = assert(sh("echo out; echo err >&2", { stdin = "null", stdout = "capture",
                stderr = "null" }))
            assert.equal("out\n", result.stdout)
            assert.is_nil(result.stderr)
            result = assert(sh("echo out; echo err >&2", { stdin = "null", stdout = "null",
                stderr = "capture" }))
            assert.equal("err\n", result.stderr)
        end)

        it("a file that cannot be opened is told before anything runs", function()
            local result, message, code, problems = sh("touch " .. scratch("marker"),
                { stdin = { path = scratch("missing") }, capture = true }, { rw_binds = { scratch() } })
            assert.is_nil(result)
            assert.matches("^stdin: .*missing: No such file or directory$", message)
            assert.equal("setup.failed", code)
            assert.equal(message, problems[1].message)
            assert.is_false(sandbox.exists(scratch("marker")))
        end)

        it("a descriptor that is not open is told before anything runs", function()
            local result, _, code = sh("touch " .. scratch("marker"), { stdin = { fd = 999 },
                capture = true },
                { rw_binds = { scratch() } })
            assert.is_nil(result)
            assert.equal("setup.failed", code)
            assert.is_false(sandbox.exists(scratch("marker")))
        end)

        it("misuse raises", function()
            for _, options in ipairs { { stdin = 5 }, { stdin = {} }, { stdout = "file" }, { stderr = true },
                { stdin = "pipe" }, { stdin = { path = 1 } } } do
                assert.has_error(function() sh("true", options) end)
            end
            assert.has_error(function() demilune.policy({}):run("true") end)
            assert.has_error(function() demilune.policy(5) end)
        end)
    end)

    describe("capture:", function()
        local function captured(bytes, limit)
            local script = ("head -c %d /dev/zero | tr '\\0' a; printf END"):format(bytes - 3)
            return assert(sh(script, { stdin = "null", capture = true }, { limits = { output = limit } }))
        end

        it("O1: drops nothing up to the limit, and counts exactly above it", function()
            for _, case in ipairs { { 9999, 0 }, { 10000, 0 }, { 10001, 1 }, { 10005, 5 }, { 70000,
                60000 } } do
                local result = captured(case[1], 10000)
                assert.equal(case[2], result.stdout_dropped)
                assert.equal(math.min(case[1], 10000), #result.stdout)
                assert.equal("aEND", result.stdout:sub(-4))
                assert.equal(0, result.stderr_dropped)
            end
        end)

        it("O1: keeps nothing where nothing is to be kept, and counts all", function()
            local result = captured(10000, 0)
            assert.same({ "", 10000 }, { result.stdout, result.stdout_dropped })
        end)

        it("O1: keeps the head and the tail", function()
            local result = assert(sh("seq 1 100000", { stdin = "null", capture = true },
                { limits = { output = 1000 } }))
            assert.equal("1\n2\n3\n", result.stdout:sub(1, 6))
            assert.equal("\n99999\n100000\n", result.stdout:sub(-14))
            assert.equal(588895 - 1000, result.stdout_dropped)
        end)

        it("drains 10 MB past the limit", function()
            local result = captured(10000000, 4096)
            assert.equal(10000000 - 4096, result.stdout_dropped)
            assert.equal("exit", result.kind)
        end)

        it("without a limit keeps everything", function()
            local result = assert(sh("seq 1 300000", { stdin = "null", capture = true }))
            assert.equal(1988895, #result.stdout)
            assert.equal(0, result.stdout_dropped)
        end)

        it("an odd limit and a limit of one byte work", function()
            assert.equal("ab", assert(sh("printf abcdef", { capture = true, stdin = "null" },
                { limits = { output = 3 } })).stdout:gsub("f$", ""):sub(1, 1) .. "b")
            local result = assert(sh("printf abc", { capture = true, stdin = "null" },
                { limits = { output = 1 } }))
            assert.equal("c", result.stdout)
            assert.equal(2, result.stdout_dropped)
        end)

        it("both streams at once do not wait for each other", function()
            local result = assert(sh([[head -c 1000000 /dev/zero >&2 & head -c 1000000 /dev/zero; wait]],
                { stdin = "null", capture = true }))
            assert.equal(1000000, #result.stdout)
            assert.equal(1000000, #result.stderr)
        end)

        it("a large input and a large output do not wait for each other", function()
            local text = ("0123456789"):rep(500000)
            assert.is_true(assert(sh("cat", { stdin = text, capture = true })).stdout == text)
        end)

        it("an orphan that holds the pipe does not delay the result", function()
            local result = assert(sh("setsid sleep 300 & echo done", { stdin = "null", capture = true }))
            assert.equal("done\n", result.stdout)
            assert.is_true(result.wall < 60)
        end)
    end)

    describe("options:", function()
        it("env and chdir", function()
            local result = assert(sh("echo $NAME; pwd", { env = { NAME = "value" }, chdir = "/usr",
                capture = true }))
            assert.equal("value\n/usr\n", result.stdout)
        end)

        it("a timeout ends politely when the command lets it", function()
            local result = assert(sh("trap 'echo polite; exit 3' TERM; sleep 300 & wait", { timeout = 1,
                capture = true }))
            assert.same({ "timeout", false, 3 }, { result.kind, result.ok, result.exit_code })
            assert.equal("polite\n", result.stdout)
        end)

        it("a timeout kills what ignores TERM, after a grace", function()
            local result = assert(sh("trap '' TERM; while :; do sleep 1; done", { timeout = 0.6,
                capture = true }))
            assert.same({ "timeout", 9 }, { result.kind, result.signal })
            assert.is_true(result.wall > 1.5 and result.wall < 60)
        end)

        it("a timeout reaches a command that is stopped", function()
            local result = assert(sh("kill -STOP $$", { timeout = 0.6, capture = true }))
            assert.same({ "timeout", 15 }, { result.kind, result.signal })
        end)

        it("the backend none is no backend for a program", function()
            local result, _, code = sh("true", { backend = "none" })
            assert.same({ nil, "backend_unavailable" }, { result, code })
            local problems
            result, _, code, problems = sh("true", { backend = "bwarp" })
            assert.same({ nil, "unknown_backend", "unknown_backend" }, { result, code, problems[1].code })
        end)
    end)

    it("a plan that is made takes no option that makes one", function()
        local plan = assert(demilune.policy({}):plan({ "sleep", "0.1" }, { timeout = 60 }))
        for _, options in ipairs { { timeout = 1 }, { env = {} }, { chdir = "/tmp" }, { narrow = {} },
            { ceiling = {} }, { trace = true } } do
            for _, method in ipairs { "run", "spawn" } do
                local ok, message = pcall(plan[method], plan, options)
                assert.is_false(ok)
                assert.matches("bad option " .. next(options), message)
            end
        end
        assert.is_true(assert(plan:run { stdin = "null" }).ok)
        local timed = { stdin = "null", timeout = 0.2 } -- for a policy, which makes one
        local result, _, code = demilune.policy({}):run({ "sleep", "60" }, timed)
        assert.equal("timeout", result and result.kind or code:match("^limit%.(.*)"))
        local process <close> = assert(demilune.policy({}):spawn({ "sleep", "60" }, timed))
        result, _, code = process:wait()
        assert.equal("timeout", result and result.kind or code:match("^limit%.(.*)"))
    end)

    it("the result has the fields that are promised", function()
        local result = assert(sh("exit 3", { capture = true }))
        assert.same({ "exit", false, 3, "", "", 0, 0, sandbox.backend }, { result.kind, result.ok, result.exit_code,
            result.stdout,
            result.stderr, result.stdout_dropped, result.stderr_dropped, result.backend })
        for _, name in ipairs { "wall", "user", "system" } do
            assert.equal("float", math.type(result[name]), name)
        end
        assert.equal("integer", math.type(result.max_rss))
        assert.equal("table", type(result.skipped))
        assert.matches("^%x+$", result.digest)
    end)

    it("what was not executed is nil, a message, a code and problems", function()
        local result, message, code, problems = assert(demilune.policy {}):run({ "no-such-command" },
            { capture = true })
        assert.is_nil(result)
        assert.equal('"no-such-command": not found in the sandbox', message)
        assert.equal("command.missing", code)
        assert.same({ { field = "", code = code, message = message } }, problems)
        result, message, code, problems = assert(demilune.policy {}):run({}, {})
        assert.is_nil(result)
        assert.equal("command.empty", code)
        assert.equal(1, #problems)
        assert.matches("%[command.empty%]", message)
    end)

    describe("hooks:", function()
        local function recording(log)
            return assert(demilune.policy {
                prepare = function(policy, context)
                    log[#log + 1] = "prepare " .. context.command[1]
                    policy:set_env("FROM_HOOK", "yes")
                end,
                launched = function(process, context)
                    log[#log + 1] = "launched " .. context.command[1]
                    log.pid = process:pid()
                    log.alive = io.open(("/proc/%d/comm"):format(process:pid())):read()
                end,
                finished = function(result, context)
                    log[#log + 1] = "finished " .. context.command[1] .. " " .. result.kind
                end,
            })
        end

        it("are each called once, with the right things", function()
            local log = {}
            local result = assert(recording(log):run({ "sh", "-c", "echo $FROM_HOOK; sleep 0.2" },
                { capture = true }))
            assert.equal("yes\n", result.stdout)
            assert.same({ "prepare sh", "launched sh", "finished sh exit" }, { log[1], log[2], log[3],
                log[4] })
            assert.equal(sandbox.backend == "native" and "demilune" or "bwrap", log.alive)
        end)

        it("of a policy file are called too, with the process, the result and the context", function()
            sandbox.write(scratch("hooks.lua"), [[
local seen = {}
return {
    launched = function(process, context)
        seen[1] = math.type(process:pid()) .. " " .. context.command[1] .. " " .. type(context.host.kernel)
    end,
    finished = function(result, context)
        error(seen[1] .. ", " .. result.kind .. " " .. result.exit_code .. " " .. context.command[3], 0)
    end,
}]])
            local policy = assert(demilune.load(scratch("hooks.lua")))
            local result = assert(policy:run { "sh", "-c", "exit 4" })
            assert.equal(4, result.exit_code)
            assert.equal(1, #result.hook_errors)
            assert.matches("finished: .*integer sh string, exit 4 exit 4$", result.hook_errors[1])
        end)

        it("misspelt options and options of the wrong type raise", function()
            local policy = assert(demilune.policy {})
            for options, message in pairs {
                [{ captur = true }] = "unknown option captur; did you mean capture%?",
                [{ capture = 1 }] = "bad option capture %(boolean expected, got number%)",
                [{ [1] = "x" }] = "unknown option 1",
                [{ memory = "1G" }] = "unknown option memory; there are backend, capture, ceiling, chdir, env, narrow, stderr",
            } do
                assert.has_error(function() policy:run({ "true" }, options) end)
                local _, problem = pcall(policy.run, policy, { "true" }, options)
                assert.matches(message, problem)
            end
        end)

        it("what is wrong with options and command is blamed on no policy file, and what the file says still is", function()
            sandbox.write(scratch "own.lua", 'return {\n limits = { timeout = 5 },\n masks = { "/usr/bin/env" } }')
            sandbox.write(scratch "bad.lua", 'return {\n ro_binds = { "/no/such" } }')
            local own, bad = assert(demilune.load(scratch "own.lua")), assert(demilune.load(scratch "bad.lua"))
            local function said(policy, command, options)
                local _, text, _, problems = policy:plan(command, options)
                assert.equal(text:find(scratch(), 1, true) ~= nil, problems[1].file ~= nil)
                return text
            end
            for start, options in pairs {
                ['limits.timeout: "5min" is no duration'] = { timeout = "5min" },
                ['chdir: "rel" is not absolute'] = { chdir = "rel" },
                ["env.A: 1 is a number"] = { env = { A = 1 } },
                ['masks[1]: "rel" is not absolute'] = { narrow = { masks = { "rel" } } },
                ["limits.pids: 0 is too small"] = { narrow = { limits = { pids = 0 } } },
            } do
                assert.equal(start, said(own, { "true" }, options):sub(1, #start))
            end
            assert.matches("^command%[2%]: number where a string is needed", said(own, { "true", 5 }))
            for _, options in ipairs { {}, { timeout = 1 }, { narrow = { limits = { timeout = 1 } } } } do
                assert.matches("/bad.lua:2: ro_binds%[1%].host: \"/no/such\"", said(bad, { "true" }, options))
            end
        end)

        it("launched and finished are not called for what was not executed", function()
            local log = {}
            assert.is_nil(recording(log):run({ "no-such-command" }, { capture = true }))
            assert.same({ "prepare no-such-command" }, log)
        end)

        it("one that raises after the launch is reported with the result", function()
            local policy = assert(demilune.policy { finished = function() error("oh no") end })
            local result = assert(policy:run({ "true" }, {}))
            assert.is_true(result.ok)
            assert.matches("^finished: .*oh no", result.hook_errors[1])
        end)
    end)

    it("50 runs leave nothing behind", function()
        local policy = assert(demilune.policy { rw_binds = { scratch() }, secrets = { ["/tmp/s"] = "x" } })
        local before = leaks.snapshot()
        for i = 1, 50 do
            assert.equal(i, assert(policy:run({ "sh", "-c", "exit " .. i }, { capture = true,
                stdin = "text" })).exit_code)
        end
        leaks.compare(before)
    end)

    it("a file of its own host runs it too", function()
        local result = probe.lua(scratch("host.lua"), [[
            local demilune = require "demilune"
            local result = assert(demilune.policy {}:run({ "echo", "hello" }, { capture = true }))
            io.write(result.stdout)]])
        assert.equal("hello\n", result.out, result.err)
    end)
end)
