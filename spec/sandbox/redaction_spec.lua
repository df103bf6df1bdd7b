-- Secrets, values of variables that are named like one, and values that are passed through: they reach the command and
-- nothing else. Recognisable values are planted in every place, every way out is taken, and all of it is searched.
local demilune = require "demilune"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Every value has this word in it more than once, so that no part of one goes unnoticed.
local WORD = "c4nary"
local values = {
    short = "c4nary-c4nary",
    quoted = "c4nary'\"\\`$(id)\n\tc4nary",
    bytes = "c4nary\xff\xfe\27[2J\r\u{e9}c4nary",
    long = ("c4nary-"):rep(3000),
}
local NUMBER = 4207024070420 -- a value that is no string

-- The word as it is, in base64 at each alignment, and the number.
local marks = { WORD, "YzRuYXJ5", "bmFye", "NG5hcn", tostring(NUMBER) }

local function planted(text)
    for _, mark in ipairs(marks) do
        if text:find(mark, 1, true) then
            return mark
        end
    end
    return nil
end

local function clean(text)
    local mark = planted(text)
    if mark then
        local at = text:find(mark, 1, true)
        error(("%s is shown: ...%s..."):format(mark, text:sub(math.max(1, at - 100), at + 100)), 2)
    end
end

-- Everything that a refusal says.
local function said(message, code, problems)
    local parts = { tostring(message), tostring(code) }
    for _, problem in ipairs(problems or {}) do
        for _, part in pairs(problem) do
            parts[#parts + 1] = tostring(part)
        end
    end
    return table.concat(parts, "\n")
end

-- What a policy table, run with options, is refused with; it must be, and nothing runs.
local function refusal(fields, options)
    local policy, message, code, problems = demilune.policy(fields)
    local result
    if policy then
        result, message, code, problems = policy:run({ "true" }, options or {})
    end
    assert.is_nil(result)
    return said(message, code, problems), code
end

-- Starts argv[2:], waits for its first line, and reads every file of /proc of it and its descendants. argv[1] is "owner",
-- or "others": root then becomes another user, and an ordinary user, who cannot, reads what everybody may. Prints what
-- has the word in it.
local SCAN = [[
import os, signal, stat, subprocess, sys
word = b"c4n" b"ary"
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE)
process.stdout.readline()
def tree(pid):
    pids = [pid]
    for task in os.listdir("/proc/%d/task" % pid):
        for child in open("/proc/%d/task/%s/children" % (pid, task)).read().split():
            pids += tree(int(child))
    return pids
pids = tree(process.pid)
names = {pid: open("/proc/%d/comm" % pid).read().strip() for pid in pids}
reader = os.fork()
if reader:
    os.waitpid(reader, 0)
    process.kill()
    sys.exit()
if sys.argv[1] == "others" and os.getuid() == 0:
    os.setgroups([])
    os.setresgid(65533, 65533, 65533)
    os.setresuid(65533, 65533, 65533)
def content(path):
    text = os.fsencode(os.readlink(path)) if os.path.islink(path) else b""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode) or sys.argv[1] == "others" and not mode & 0o004:
        return text
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        return text + os.read(fd, 1 << 20)
    finally:
        os.close(fd)
found, count = set(), 0
for pid in pids:
    for place in ("/proc/%d" % pid, "/proc/%d/root/run" % pid):
        for directory, directories, files in os.walk(place):
            for name in directories + files:
                try:
                    text = content(os.path.join(directory, name))
                except OSError:
                    continue
                count += 1
                if word in text:
                    found.add(names[pid] + " " + ("fd" if name.isdigit() else name))
print(*sorted(found), "%d processes," % len(pids), "many files" if count > 100 else "%d files" % count, sep="\n")
]]

describe("a value that nobody should see", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- A policy file with the value in each place, and the caller's variables that go with it. `more` is Lua text.
    local function plant(value, more)
        sandbox.write(scratch("policy.lua"), ([[
return {
    env_allowlist = { "LISTED" },
    env = { PASSED = true, API_TOKEN = %q, db_password = %q, My_Secret_9 = %q, MONKEY = %q, PLAIN = "plain" },
    secrets = { ["/run/secret"] = %q },
    %s
}]]):format(value, value, value, value, value, more or ""))
        return { env = { "PASSED=" .. value, "LISTED=" .. value, "GITHUB_TOKEN=" .. value } }
    end

    -- `demilune COMMAND -p FILE OPTIONS -- sh -c SCRIPT`: what it says and what it writes as its status, in one text.
    local function everything(command, options, script, more)
        local words = { command, "-p", scratch("policy.lua") }
        table.move(options, 1, #options, #words + 1, words)
        table.move({ "--", "/bin/sh", "-c", script or "exit 0" }, 1, 4, #words + 1, words)
        local result = sandbox.demilune(words, more)
        local status = sandbox.read(scratch("status")) or ""
        os.remove(scratch("status"))
        return result.out .. result.err .. status, result
    end

    for name, value in pairs(values) do
        it("reaches the command: " .. name, function()
            local more = plant(value)
            local _, result = everything("run", {}, [[
                for v in "$PASSED" "$LISTED" "$API_TOKEN" "$db_password" "$My_Secret_9" "$MONKEY"; do printf %s "$v"; done
                cat /run/secret]], more)
            assert.is_true(result.out == value:rep(7), result.err)
        end)

        it("is not in explain, nor in a dry run, unless they are told to show it: " .. name, function()
            local more = plant(value)
            for _, words in ipairs { { "explain", "-q" }, { "explain", "--json" }, { "run", "--dry-run" } } do
                local text, result = everything(words[1], { words[2] }, nil, more)
                assert.equal(0, result.code, text)
                clean(text)
                for _, variable in ipairs { "PASSED", "LISTED", "API_TOKEN", "db_password", "My_Secret_9", "MONKEY" } do
                    assert(text:find(variable, 1, true), variable .. " is not in " .. text)
                end
                assert(text:find("plain", 1, true), text)
                assert.is_truthy(planted((everything(words[1], { words[2], "--show-values" }, nil, more))))
            end
            local policy = assert(demilune.policy { env = { API_TOKEN = value }, secrets = { ["/s"] = value } })
            clean(assert(policy:plan { "true" }):explain())
            assert.is_truthy(planted(assert(policy:plan { "true" }):explain { show_values = true }))
        end)

        it("is not in messages and status of a run: " .. name, function()
            local more = plant(value)
            local options = { "-v", "--status", scratch("status") }
            local text, result = everything("run", options, "exit 3", more)
            assert.equal(3, result.code, text)
            assert.matches('"exit_code":3', text)
            clean(text)
            -- a command that is not there, one that is killed, one that runs too long, a directory that is not there
            for _, case in ipairs { { {}, "kill -9 $$" }, { { "--timeout", "50ms" }, "sleep 9" }, { { "-C", "/none" } },
                { { "--env", "PATH=/none" }, "none" }, { { "--ro", "/none/at/all" } } } do
                local words = table.move(case[1], 1, #case[1], #options + 1, { table.unpack(options) })
                text, result = everything("run", words, case[2], more)
                assert.is_true(result.code ~= 0)
                assert.matches('"kind":', text)
                clean(text)
            end
        end)

        it("is not in the status of a policy that is refused, nor in check: " .. name, function()
            local more = plant(value, "hostname = '-', env_allowlist = 5, tmpfs = { { sandbox = '/run/secret' } },")
            local text, result = everything("run", { "--status", scratch("status") }, nil, more)
            assert.equal(125, result.code)
            assert.matches('"kind":"refused"', text)
            clean(text)
            for _, option in ipairs { "--", "--json" } do
                local words = { "check", option, scratch("policy.lua") }
                result = sandbox.demilune(option == "--" and { "check", scratch("policy.lua") } or words, more)
                assert.equal(125, result.code)
                assert.matches("hostname", result.out .. result.err)
                clean(result.out .. result.err)
            end
        end)

        it("is not in what a hook of a file says, however it ends: " .. name, function()
            for _, hook in ipairs {
                "prepare = function(_, context) error(context.env.PASSED) end",
                "prepare = function(_, context) error('no good: ' .. context.env.GITHUB_TOKEN .. ' at all', 0) end",
                "prepare = function(policy) error(policy.env.API_TOKEN) end",
                "prepare = function(policy) error(policy.secrets['/run/secret']) end",
                "prepare = function(_, context) return nil, 'not with ' .. context.env.LISTED end",
                "prepare = function(policy) return false, policy.env.MONKEY end",
                "prepare = function(policy, context) print(policy.env.API_TOKEN, context.env.PASSED) error('after print') end",
                "prepare = function() local _ = 'c4nary' << 1 end",
                "launched = function(_, context) error('launched: ' .. context.env.GITHUB_TOKEN) end",
                "finished = function(_, context) error(context.env.PASSED) end",
            } do
                local text = everything("run", { "--status", scratch("status") }, nil, plant(value, hook))
                assert.matches("prepare: ", (text:gsub("launched: ", "prepare: "):gsub("finished: ", "prepare: ")))
                clean(text)
            end
        end)

        it("is not in what a hook of a program says: " .. name, function()
            local fields = { env = { API_TOKEN = value }, secrets = { ["/s"] = value } }
            fields.prepare = function(policy) error("no good: " .. policy.env.API_TOKEN) end
            local text, code = refusal(fields)
            assert.equal("hook.failed", code)
            assert.matches("no good: <hidden>", text)
            clean(text)
            fields.prepare = function(policy) return nil, policy.secrets["/s"] end
            text, code = refusal(fields)
            assert.equal("hook.refused", code)
            clean(text)
            fields.prepare, fields.finished = nil, function() error(value) end
            local result = assert(assert(demilune.policy(fields)):run({ "true" }, {}))
            assert.equal(1, #result.hook_errors)
            clean(result.hook_errors[1])
        end)
    end

    it("is shown by the same ways when its name says nothing", function() -- so that searching for it means something
        for name, value in pairs(values) do
            sandbox.write(scratch("policy.lua"), ("return { env = { PLAIN = %q } }"):format(value))
            assert.is_truthy(planted((everything("explain", {}))), name)
            assert.is_truthy(planted((everything("explain", { "--json" }))), name)
            assert.is_truthy(planted((everything("run", { "--dry-run" }))), name)
            assert.is_truthy(planted((refusal { env = { PLAIN = value .. "\0" } })), name)
            assert.is_truthy(planted((refusal { prepare = function() error(value) end })), name)
        end
        assert.is_truthy(planted((refusal { env = { PLAIN = NUMBER } })))
    end)

    describe("and is wrong itself", function()
        local value = values.short
        local cases = {
            ["a NUL in a variable"] = { { env = { API_TOKEN = "a" .. value .. "\0" .. value } }, "string.nul" },
            ["a variable far too long"] = { { env = { API_TOKEN = ("c4nary-"):rep(30000) } }, "string.long" },
            ["a variable too long"] = { { env = { API_TOKEN = ("c4nary-"):rep(18724) } }, "env.long" },
            ["a variable that is a number"] = { { env = { api_key = NUMBER } }, "type" },
            ["a variable that is a list"] = { { env = { API_TOKEN = { value } } }, "type" },
            ["text for env"] = { { env = "API_TOKEN=" .. value }, "type" },
            ["a list for env"] = { { env = { "API_TOKEN=" .. value } }, "map.key" },
            ["a value in a name"] = { { env = { ["API_TOKEN=" .. value] = true } }, "env.name" },
            ["a value in a name that loads code"] = { { env = { ["LD_TOKEN=" .. value] = true } }, "env.name" },
            ["text for env_allowlist"] = { { env_allowlist = "API_TOKEN=" .. value }, "type" },
            ["a value in env_allowlist"] = { { env_allowlist = { "API_TOKEN=" .. value } }, "env.name" },
            ["a NUL in env_allowlist"] = { { env_allowlist = { "API_TOKEN=" .. value .. "\0" } }, "string.nul" },
            ["a value in a name that is none of a policy's"] = { { ["API_TOKEN=" .. value] = 1 }, "field.unknown" },
            ["a value in a name among others"] = { { env_allowlist = { "A=1 API_TOKEN =" .. value } }, "env.name" },
            ["a value in env_allowlist, twice"] = { { env_allowlist = { "MY_KEY=" .. value, "MY_KEY=" .. value } },
                "env.name" },
            ["text for secrets"] = { { secrets = value }, "type" },
            ["a list for secrets"] = { { secrets = { value } }, "map.key" },
            ["a secret that is a number"] = { { secrets = { ["/s"] = NUMBER } }, "type" },
            ["a secret that is a list"] = { { secrets = { ["/s"] = { value } } }, "type" },
            ["a secret too long"] = { { secrets = { ["/s"] = ("c4nary-"):rep(2400000) } }, "secret.long" },
            ["a secret nowhere"] = { { secrets = { relative = value } }, "path.relative" },
            ["two secrets at one path"] = { { secrets = { ["/s"] = value, ["/s/"] = value .. value } }, "entry.duplicate" },
        }
        for name, case in pairs(cases) do
            it("is not in the problem: " .. name, function()
                local text, code = refusal(case[1])
                assert.equal(case[2], code, text)
                clean(text)
            end)

            it("is not in the problem when a hook brings it: " .. name, function()
                local text, code = refusal { prepare = function() return case[1] end }
                assert.equal(case[2], code, text)
                clean(text)
            end)
        end

        it("is not in the problem when it comes with the options of a run", function()
            for _, env in ipairs { { API_TOKEN = value .. "\0" }, { API_TOKEN = NUMBER }, { ["API_KEY=" .. value] = true } } do
                clean((refusal({}, { env = env })))
            end
        end)

        it("is not shown under another name that a hook gives it", function()
            for _, words in ipairs { { "explain" }, { "explain", "--json" }, { "run", "-n" } } do
                local all = table.move({ "-e", 'policy:set_env("PLAIN", "x" .. context.env.MY_TOKEN)', "--", "true" }, 1, 4,
                    #words + 1, words)
                local more = { env = { "MY_TOKEN=Zr7secretvalue" } }
                local result = sandbox.demilune(all, more)
                assert.equal(0, result.code, result.err)
                assert.is_nil((result.out .. result.err):find("Zr7secret", 1, true))
                table.insert(all, 2, "--show-values")
                assert.matches("Zr7secret", sandbox.demilune(all, more).out, 1, true)
            end
        end)

        it("is not in the problem when set_env brings it", function()
            clean((refusal { prepare = function(policy) policy:set_env("API_TOKEN", value .. "\0") end }))
            clean((refusal { prepare = function(policy) policy:pass_env("API_TOKEN=" .. value) end }))
        end)

        it("is not in the warning that another entry hides it", function()
            local plan = assert(assert(demilune.policy { secrets = { ["/s"] = value }, masks = { "/s" } }):plan())
            assert.is_true(#plan.warnings > 0)
            clean(said(nil, nil, plan.warnings))
        end)

        it("is not in what demilune sandbox says about its policy", function()
            for _, case in ipairs {
                { '{"ro_binds":[],"network":false,"env_allowlist":"API_TOKEN=%s"}', "expected a sequence" },
                { '{"ro_binds":[],"network":false,"env_allowlist":["API_TOKEN=%s"]}', "env.name" },
                { '{"ro_binds":[],"network":false,"env_allowlist":[],"MY_KEY=%s":1}', "is ignored" },
            } do
                local result = sandbox.demilune({ "sandbox", "--", "true" }, { input = case[1]:format(value) })
                assert.matches(case[2], result.err)
                clean(result.err)
            end
        end)

        it("is not in the problem of a policy in JSON", function()
            for _, env in ipairs { '{"API_TOKEN":4207024070420}', '{"API_TOKEN":4207024070420.5}', '{"API_TOKEN":["%s"]}',
                '{"API_TOKEN":"%s\\u0000"}', '{"API_TOKEN=%s":5}', '{"API_TOKEN=%s":true}', '"API_TOKEN=%s"', '["%s"]',
                '{"API_TOKEN":"%s","API_TOKEN":"%s"}', '{"API_TOKEN=%s":"","API_TOKEN=%s":""}', '{"API_TOKEN":"%s}',
                '{"API_TOKEN":"%s\\x"}', '{"API_TOKEN":%s}', '{},"MY_KEY=%s":1', '{},"secrets":{"/s":"%s"}' } do
                local text = '{"ro_binds":[],"network":false,"env_allowlist":[],"env":' .. env:gsub("%%s", value) .. "}"
                sandbox.write(scratch("policy.json"), text)
                local result = sandbox.demilune { "run", "--status", scratch("status"), "-p", scratch("policy.json"), "true" }
                assert.equal(125, result.code, text)
                assert.matches("policy.json:1: ", result.err)
                clean(result.err .. sandbox.read(scratch("status")))
                local _, message, code, problems = demilune.decode(text)
                clean(said(message, code, problems))
            end
            assert.is_truthy(planted((said(select(2, demilune.decode('{"network":"' .. value .. '"}'))))))
        end)

        -- Lua quotes the source in its own messages.
        for _, text in ipairs {
            'return { env = { API_TOKEN = "c4nary" "c4nary" } }', "return { env = { API_TOKEN = 'c4nary' 'c4nary' } }",
            "return { env = { API_TOKEN = [[c4nary]] [==[c4nary]==] } }", 'return { env = { API_TOKEN = "c4nary\n" } }',
            [[return { env = { API_TOKEN = "c4nary\q" } }]], 'return { env = { API_TOKEN = "c4nary" | 1 } }',
            'return { env = { API_TOKEN = ("c4nary")() } }', "return { env = { PASSWORD = 4207024070420x } }",
            "return { env = { PASSWORD = 1 4207024070420 } }",
        } do
            it("is not in a message about the source: " .. text, function()
                sandbox.write(scratch("policy.lua"), text)
                local out, result = everything("run", { "--status", scratch("status") })
                assert.equal(125, result.code)
                assert.matches("policy.lua:%d", out)
                clean(out)
                local hook = sandbox.demilune { "run", "-e", text:gsub("^return { env = (.*) }$", "policy.env = %1"), "--", "true" }
                assert.equal(125, hook.code)
                clean(hook.err)
            end)
        end

        it("is not in the message about an option that it stands in by mistake", function()
            local result = sandbox.demilune { "run", "--secret", value, "--", "true" }
            assert.equal(125, result.code)
            clean(result.err)
            for _, word in ipairs { "--tokn=" .. value, "--net=" .. value } do
                result = sandbox.demilune { "run", word, "--", "true" }
                assert.equal(125, result.code)
                clean(result.err)
            end
        end)
    end)

    it("does not show in the digest, which covers the names of such variables alone", function()
        local function digest(env)
            return assert(assert(demilune.policy { env = env }):plan { "true" }):digest()
        end
        assert.equal(digest { API_TOKEN = "1" }, digest { API_TOKEN = "2" })
        assert.not_equal(digest { API_TOKEN = "1" }, digest { API_TOKENS = "1" })
        assert.not_equal(digest { API_TOKEN = "1" }, digest {})
        assert.not_equal(digest { PLAIN = "1" }, digest { PLAIN = "2" })
    end)

    describe("while the command runs", function()
        local SLEEP = "echo; exec sleep 300"

        local function scan(who, words, more)
            local env = {}
            for _, assignment in ipairs(more.env) do
                env[#env + 1] = sandbox.quote(assignment)
            end
            return probe.host(SCAN, table.move(words, 1, #words, 2, { who }),
                { prefix = "timeout 60 env " .. table.concat(env, " ") })
        end

        for name, value in pairs(values) do
            it("is in no file of /proc that others can read: " .. name, function()
                local words = { sandbox.command, "run", "-p", scratch("policy.lua"), "--", "/bin/sh", "-c", SLEEP }
                local result = scan("others", words, plant(value))
                local count = sandbox.backend == "native" and "[34]" or "4" -- bwrap; or for a moment the helper of root
                assert.matches("^" .. count .. " processes,\nmany files\n$", result.out, result.err)
                -- who owns the processes finds it in the environment of the command, and of the caller
                result = scan("owner", words, plant(value))
                assert.matches("demilune environ\n", result.out, result.err)
                assert.matches("\ns%a+ environ\n", result.out, result.err)
            end)
        end

        it("is on bwrap's command line by hand, where everybody sees it", function()
            local line = probe.reference({ "--setenv", "API_TOKEN", values.short }, { "/bin/sh", "-c", SLEEP })
            local result = scan("others", { "sh", "-c", "exec " .. line }, { env = {} })
            assert.matches("bwrap cmdline\n", result.out, result.err)
        end)
    end)

    describe("inside", function()
        -- Reads every file of every process but this one; then its own environment, to see that it would be found.
        local LOOK = [[
import os
word = b"c4n" b"ary"
own = str(os.getpid())
for pid in filter(str.isdigit, os.listdir("/proc")):
    for directory, _, files in os.walk("/proc/" + pid):
        for name in files:
            try:
                fd = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
                text = os.read(fd, 1 << 20)
                os.close(fd)
            except OSError:
                continue
            if word in text and (pid != own or "/task/" not in directory):
                print("self" if pid == own else pid, name)
]]

        it("is in the environment of the command, and not in /proc/1", function()
            local more = plant(values.short)
            local result = probe.python({ "-p", scratch("policy.lua") }, LOOK, more)
            assert.equal("self environ\n", result.out, result.err)
        end)

        it("is in /proc/1 by hand", function()
            local result = sandbox.sh(probe.reference({ "--setenv", "API_TOKEN", values.short },
                { "/usr/bin/python3", "-c", LOOK }))
            assert.matches("1 cmdline\n", result.out, result.err)
        end)
    end)
end)
