-- demilune batch: jobs in, records out, whatever comes between.
local cjson = require("cjson").new()
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local function job(fields)
    return cjson.encode(fields) .. "\n"
end

-- The records of an output, in the order of their lines.
local function records(text)
    local list = {}
    for line in text:gmatch("[^\n]+") do
        list[#list + 1] = cjson.decode(line)
    end
    table.sort(list, function(a, b)
        return a.line < b.line
    end)
    return list
end

local function by_id(text)
    local map = {}
    for _, record in ipairs(records(text)) do
        assert.is_nil(map[record.id], "twice: " .. tostring(record.id))
        map[record.id] = record
    end
    return map
end

local function batch(options, input, more)
    local words = table.move(options, 1, #options, 2, { "batch" })
    more = more or {}
    more.input = input
    return sandbox.demilune(words, more)
end

local function count(map)
    local number = 0
    for _ in pairs(map) do
        number = number + 1
    end
    return number
end

-- Starts argv[3:], writes argv[1] to its input, and, when its output has the lines of argv[2], goes on with the code that
-- stands behind. What is left of it is ended.
local DRIVER = [[
import json, os, signal, subprocess, sys, time
process = subprocess.Popen(sys.argv[3:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
process.stdin.write(sys.argv[1])
process.stdin.flush()
for _ in range(int(sys.argv[2])):
    print(process.stdout.readline(), end="")
try:
%s
    print(process.wait(60), file=sys.stderr)
finally:
    process.kill()
]]

describe("batch:", function()
    leaks.watch(before_each, after_each)
    local scratch = sandbox.scratch(before_each, after_each)

    local function drive(code, options, lines, input)
        local words = { input, tostring(lines), sandbox.command, "batch" }
        return probe.host(DRIVER:format((code:gsub("[^\n]+", "    %0"))), table.move(options, 1, #options, #words + 1,
            words))
    end

    it("runs jobs, and says of each how it ended", function()
        local result = batch({ "-j", "2" }, job { id = "a", command = { "echo", "hello" } } .. "\n  \n"
            .. job { id = 7, command = { "sh", "-c", "cat; echo $X >&2" }, stdin = "null", env = { X = "y" } }
            .. job { command = { "cat" } })
        assert.equal(0, result.code, result.err)
        assert.equal("", result.err)
        local list = records(result.out)
        assert.same({ "a", 7, 5 }, { list[1].id, list[2].id, list[3].id })
        assert.equal("hello\n", list[1].stdout)
        assert.same({ "null", "y\n", 0 }, { list[2].stdout, list[2].stderr, list[2].stdout_dropped })
        assert.same({ "exit", true, 0 }, { list[3].kind, list[3].ok, list[3].exit_code })
        assert.equal(64, #list[3].digest)
    end)

    it("nothing is all well", function()
        assert.same({ code = 0, out = "", err = "" }, batch({}, ""))
        assert.same({ code = 0, out = "", err = "" }, batch({}, "\n\r\n \t\n"))
    end)

    it("passes over a byte order mark at the beginning, and nowhere else", function()
        local mark = "\u{FEFF}"
        local result = batch({ "--keep-going" }, mark .. job { command = { "true" } } .. mark .. job { command = { "true" } })
        local list = records(result.out)
        assert.same({ "exit", "refused" }, { list[1].kind, list[2].kind })
    end)

    it("takes a last line without a newline", function()
        assert.equal("x\n", records(batch({}, '{"command":["echo","x"]}').out)[1].stdout)
    end)

    it("every kind of end has its record, with --keep-going to the last", function()
        local result = batch({ "--keep-going" }, job { id = "code", command = { "sh", "-c", "exit 3" } }
            .. job { id = "signal", command = { "sh", "-c", "kill -9 $$" } }
            .. job { id = "time", command = { "sleep", "60" }, timeout = "100ms" }
            .. job { id = "missing", command = { "/nonexistent" } }
            .. job { id = "fine", command = { "true" } })
        assert.equal(1, result.code)
        local map = by_id(result.out)
        assert.same({ "exit", 3 }, { map.code.kind, map.code.exit_code })
        assert.same({ "signal", "KILL" }, { map.signal.kind, map.signal.signal_name })
        assert.equal("timeout", map.time.kind)
        assert.same({ "not_executed", "command.missing" }, { map.missing.kind, map.missing.code })
        assert.is_true(map.fine.ok)
    end)

    it("what is kept for all jobs is made once, cannot be changed, and is in none of them", function()
        local look = [[
held = "/proc/%d/fd/" % process.pid
links = {fd: os.readlink(held + fd) for fd in os.listdir(held)}
stages = [fd for fd, link in links.items() if "demilune-stage" in link]
print(len(links), len(stages))
try:
    os.write(os.open(held + stages[0], os.O_RDWR), b"x")
except OSError as error: # EPERM; ETXTBSY as long as one runs
    print(error.errno in (1, 26) and "sealed" or error)
process.stdin.close()]]
        local one = job { command = { "/usr/bin/python3", "-c", "import os; print(sorted(os.listdir('/proc/self/fd'))[:-1])" } }
        local first, held = drive(look, { "-j", "1" }, 1, one).out:match("^(%b{})\n(.*)$")
        assert.equal("['0', '1', '2']\n", records(first)[1].stdout)
        assert.matches("^%d+ 1\nsealed\n$", held)
        assert.equal(held, drive(look, { "-j", "1" }, 20, one:rep(20)).out:match("%}\n(%d.*)$"))
    end)

    it("a job finds nothing of what another has done to its standard input", function()
        local one = job { command = { "/usr/bin/python3", "-c", [[
import fcntl, os, signal
print(fcntl.fcntl(0, fcntl.F_GETFL) & os.O_NONBLOCK, fcntl.fcntl(0, fcntl.F_GETSIG), os.readlink("/proc/self/fd/0"))
fcntl.fcntl(0, fcntl.F_SETFL, os.O_NONBLOCK)
fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGUSR1)
print(fcntl.fcntl(0, fcntl.F_GETFL) & os.O_NONBLOCK, fcntl.fcntl(0, fcntl.F_GETSIG))]] } }
        for _, record in ipairs(records(batch({ "-j", "1" }, one:rep(3)).out)) do
            assert.equal("0 0 /dev/null\n2048 10\n", record.stdout, record.stderr)
        end
    end)

    it("the first that fails keeps the rest from being started", function()
        local input = job { id = "bad", command = { "false" } }
        for i = 1, 20 do
            input = input .. job { id = i, command = { "touch", "/out/" .. i } }
        end
        local result = batch({ "-j", "1", "--rw", scratch() .. ":/out" }, input)
        assert.equal(1, result.code)
        assert.equal("bad", records(result.out)[1].id)
        assert.equal(1, #records(result.out))
        assert.matches('job "bad" failed; no more are started', result.err)
        assert.is_false(sandbox.exists(scratch("1")))
    end)

    it("runs so many at once, and no more", function()
        -- Each waits for the other two, so that they must overlap; a fourth would be seen by them.
        local script = "touch /out/$0; n=0; while [ $(ls /out | grep -c '^r') -lt 3 ] && [ $n -lt 600 ]; do"
            .. " sleep 0.05; n=$((n+1)); done; ls /out | grep -c '^r'; sleep 0.3"
        local input = ""
        for i = 1, 3 do
            input = input .. job { id = i, command = { "sh", "-c", script, "r" .. i } }
        end
        input = input .. job { id = 4, command = { "touch", "/out/r4" } }
        local map = by_id(batch({ "-j", "3", "--rw", scratch() .. ":/out" }, input).out)
        for i = 1, 3 do
            assert.equal("3\n", map[i].stdout)
        end
        assert.is_true(map[4].ok)
    end)

    describe("what is no job", function()
        local function only(input)
            local result = batch({ "--keep-going" }, input .. job { id = "next", command = { "true" } })
            local list = records(result.out)
            assert.equal(1, result.code, result.err)
            assert.equal(2, #list)
            assert.is_true(list[2].ok)
            assert.equal("refused", list[1].kind)
            assert.is_false(list[1].ok)
            return list[1]
        end

        for line, code in pairs {
            ["nonsense"] = "json.syntax", ["[1]"] = "type", ["{}"] = "field.missing", ['"x"'] = "type",
            ["{\"command\":[\"x\"]} 1"] = "json.syntax", ["{\"command\":[\"\xff\"]}"] = "json.utf8",
            ["{\"command\":\"true\"}"] = "type", ["{\"command\":[]}"] = "command.empty", ["\0"] = "json.syntax",
            ['{"command":["a\\u0000b"]}'] = "string.nul", ['{"command":["x"],"command":["y"]}'] = "field.duplicate",
            ['{"command":["true"],"env":{"A=B":"x"}}'] = "env.name", ['{"command":["true"],"id":1.5}'] = "job.id",
            ['{"command":["true"],"id":""}'] = "job.id", ['{"command":["true"],"timeout":"soon"}'] = "duration.invalid",
            ['{"command":["true"],"env":{"LANG":true}}'] = "narrow.wider",
            ['{"command":["true"],"stdin":"","stdin_base64":""}'] = "job.stdin",
            ['{"command":["true"],"stdin_base64":"a"}'] = "job.base64",
            ['{"command":["true"],"timeout":1,"policy":{"limits":{"timeout":1}}}'] = "job.timeout",
            ['{"command":["true"],"policy":{"network":true}}'] = "narrow.wider",
            ['{"command":["true"],"policy":{"rw_binds":["/srv"]}}'] = "narrow.unknown",
        } do
            it(("is refused, and the next one runs: %q"):format(line), function()
                assert.equal(code, only(line .. "\n").code)
            end)
        end

        it("has the id where that can be read, and the line's number", function()
            local record = only('{"command":5,"id":"mine"}\n')
            assert.same({ "mine", 1 }, { record.id, record.line })
            assert.matches('command: invalid type', record.message)
            assert.equal("command", record.problems[1].field)
            assert.is_nil(only("nonsense\n").id)
        end)

        it("is a field that is refused, by the name that the job has for it", function()
            assert.matches('^timeout: "5x" is no duration; write seconds, or a number with ms, s, m or h: "30s"',
                only('{"command":["true"],"timeout":"5x"}\n').message)
            assert.equal("timeout", only('{"command":["true"],"timeout":-1}\n').problems[1].field)
            assert.equal("policy.limits.timeout",
                only('{"command":["true"],"policy":{"limits":{"timeout":-1}}}\n').problems[1].field)
        end)

        it("is named apart from what the policy says", function()
            sandbox.write(scratch "policy.lua", "return {\n masks = { '/usr/bin/env' } }")
            local function field(line)
                local problem = records(batch({ "-p", scratch "policy.lua" }, line).out)[1].problems[1]
                assert.is_nil(problem.file)
                return problem.field
            end
            assert.equal("policy.masks[1]", field '{"command":["true"],"policy":{"masks":["rel"]}}')
            assert.equal("policy.network", field '{"command":["true"],"policy":{"network":true}}')
        end)

        it("is a field that is misspelt", function()
            assert.matches('did you mean "command"', only('{"comand":["true"]}\n').message)
        end)

        it("is one whose id was there before", function()
            local result = batch({ "--keep-going", "-j", "1" }, job { id = "a", command = { "echo", "first" } }
                .. job { id = "a", command = { "echo", "second" } } .. job { id = "b", command = { "true" } })
            local list = records(result.out)
            assert.same({ "first\n", "job.repeated", true }, { list[1].stdout, list[2].code, list[3].ok })
            assert.matches("the job of line 1 has this id", list[2].message)
        end)

        it("is a line of 100 MiB, of which little is kept", function()
            local result = sandbox.sh(([[
mkfifo %s && { %s batch --keep-going <%s >%s & } && exec 3>%s
{ printf '{"command":["echo","'; head -c 104857600 /dev/zero | tr '\0' x; echo '"]}'; } >&3
echo '{"id":"next","command":["true"]}' >&3
while [ "$(wc -l <%s)" -lt 2 ]; do sleep 0.1; done
grep VmHWM /proc/$!/status
exec 3>&-
wait $!]]):format(scratch("in"), sandbox.command, scratch("in"), scratch("out"), scratch("in"), scratch("out")))
            local list = records(sandbox.read(scratch("out")))
            assert.same({ "line.long", 1 }, { list[1].code, list[1].line })
            assert.is_true(list[2].ok)
            local peak = tonumber(result.out:match("VmHWM:%s*(%d+) kB"))
            if not os.getenv("ASAN_OPTIONS") then
                assert.is_true(peak < 32 * 1024, result.out)
            end
        end)
    end)

    it("narrows the policy for a job, and for no other", function()
        local result = batch({ "--keep-going", "--limit", "open_files=100" },
            job { id = "less", command = { "sh", "-c", "ulimit -n" }, policy = { limits = { open_files = 50 } } }
            .. job { id = "more", command = { "sh", "-c", "ulimit -n" }, policy = { limits = { open_files = 101 } } }
            .. job { id = "own", command = { "sh", "-c", "ulimit -n; pwd" }, policy = { chdir = "/tmp" } })
        local map = by_id(result.out)
        assert.equal("50\n", map.less.stdout)
        assert.equal("narrow.wider", map.more.code)
        assert.equal("100\n/tmp\n", map.own.stdout)
    end)

    it("input and output may be any bytes", function()
        local result = batch({}, job { command = { "cat" }, stdin_base64 = "AP/+YQ==" }
            .. job { command = { "sh", "-c", "printf 'ok\\377' >&2" } })
        local list = records(result.out)
        assert.equal("AP/+YQ==", list[1].stdout_base64)
        assert.is_nil(list[1].stdout)
        assert.equal("b2v/", list[2].stderr_base64)
    end)

    it("keeps a bounded part of what a job prints, as the policy says, or 1 MiB", function()
        local flood = job { command = { "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x" } }
        local record = records(batch({}, flood).out)[1]
        assert.same({ 1024 * 1024, 3000000 - 1024 * 1024 }, { #record.stdout, record.stdout_dropped })
        record = records(batch({ "--limit", "output=10" }, flood).out)[1]
        assert.same({ "xxxxxxxxxx", 2999990 }, { record.stdout, record.stdout_dropped })
    end)

    it("a slow input keeps nothing from being seen to its end", function()
        local result = drive([[
print(process.stdout.readline(), end="") # while we hold the input open
process.stdin.write('{"id":"b","command":["true"]')
process.stdin.flush()
process.stdin.write('}\n')
process.stdin.close()
print(process.stdout.read(), end="")]], {}, 0, job { id = "a", command = { "true" } })
        assert.equal("0\n", result.err)
        assert.same({ "a", "b" }, { records(result.out)[1].id, records(result.out)[2].id })
    end)

    it("takes no option that makes no sense, nor a command, nor its policy from where the jobs are", function()
        for _, words in ipairs { { "--status", "x" }, { "--tty" }, { "-n" }, { "--json" }, { "-j", "0" }, { "-j", "x" },
            { "-j", "1000000" }, { "true" }, { "-p", "-" }, { "--backend", "none" }, { "--keepgoing" } } do
            local result = batch(words, job { command = { "true" } })
            assert.same({ 125, "" }, { result.code, result.out }, table.concat(words, " "))
            assert.matches("^demilune: batch: .*; see demilune batch %-%-help\n$", result.err)
        end
        for _, words in ipairs { { "run", "-j", "2", "true" }, { "explain", "--keep-going" }, { "run", "--journal", "x" } } do
            assert.matches("is no option of", sandbox.demilune(words).err)
        end
    end)

    it("a policy with a problem runs nothing", function()
        local result = batch({ "--ro", "/nonexistent" }, job { command = { "true" } })
        assert.same({ 125, "" }, { result.code, result.out })
        assert.matches("bind.missing", result.err)
    end)

    it("a hook may refuse one job", function()
        local result = batch({ "--keep-going", "-e", 'if context.command[1] == "false" then return nil, "not this" end' },
            job { id = "a", command = { "false" } } .. job { id = "b", command = { "true" } })
        local map = by_id(result.out)
        assert.same({ "refused", true }, { map.a.kind, map.b.ok })
        assert.matches("not this", map.a.message)
    end)

    it("hooks run once for each job", function()
        local path = sandbox.write(scratch("p.lua"), [[
local count = 0
return { prepare = function(policy)
    count = count + 1
    policy:set_env("COUNT", tostring(count))
end }]])
        local echo = job { command = { "sh", "-c", "echo $COUNT" } }
        local list = records(batch({ "-j", "1", "-p", path }, echo .. echo .. echo).out)
        assert.same({ "1\n", "2\n", "3\n" }, { list[1].stdout, list[2].stdout, list[3].stdout })
    end)

    it("what is bound may be exchanged between two jobs", function()
        sandbox.write(scratch("file"), "old\n")
        local list = records(batch({ "-j", "1", "-q", "--rw", scratch() .. ":/out", "--ro", scratch("file") .. ":/file" },
            job { command = { "cat", "/file" } }
            .. job { command = { "sh", "-c", "echo new >/out/other; mv /out/other /out/file" } }
            .. job { command = { "cat", "/file" } }).out)
        assert.same({ "old\n", "new\n" }, { list[1].stdout, list[3].stdout })
    end)

    describe("standard output", function()
        it("that is closed runs nothing", function()
            local result = batch({ "--rw", scratch() .. ":/out" }, job { command = { "touch", "/out/x" } },
                { suffix = ">&-" })
            assert.equal(125, result.code)
            assert.matches("standard output is closed", result.err)
            assert.is_false(sandbox.exists(scratch("x")))
        end)

        it("and standard input that is closed is no empty batch", function()
            local result = batch({}, nil, { suffix = "<&-" })
            assert.equal(125, result.code)
            assert.equal("demilune: standard input cannot be read: Bad file descriptor\n", result.err)
        end)

        it("that nobody reads any more ends what is running, and says so", function()
            local result = drive([[
process.stdout.close()
process.stdin.write('{"id":"b","command":["true"]}\n{"id":"c","command":["sleep","300"]}\n')
process.stdin.flush()
text = process.stderr.read()
print(text, end="")]], { "-j", "2" }, 1, job { id = "a", command = { "true" } })
            assert.matches("standard output cannot be written: Broken pipe", result.out)
            assert.equal("125\n", result.err)
        end)

        it("that is full", function()
            local result = batch({}, job { command = { "true" } }, { suffix = ">/dev/full" })
            assert.equal(125, result.code)
            assert.matches("standard output cannot be written: No space left", result.err)
        end)

        it("that is read slowly bounds what is kept, and loses nothing", function()
            local input = ""
            for i = 1, 40 do
                input = input .. job { id = i, command = { "sh", "-c", "head -c 50000 /dev/zero | tr '\\0' x" } }
            end
            local result = batch({ "-j", "2" }, input, { suffix = "| { sleep 1; cat; }" })
            assert.equal(40, count(by_id(result.out)))
        end)
    end)

    describe("a signal", function()
        for name, code in pairs { INT = 130, TERM = 143, HUP = 129 } do
            it(name .. " ends the batch with what is running, and tells of each", function()
                local result = drive(([[
process.send_signal(signal.SIG%s)
print(process.stdout.read(), end="")]]):format(name), { "-j", "2" }, 1, job { id = "a", command = { "true" } }
                    .. job { id = "b", command = { "sleep", "300" } })
                local map = by_id(result.out)
                assert.equal("cancelled", map.b.kind)
                assert.is_false(map.b.ok)
                assert.equal(("%d\n"):format(code), result.err)
            end)
        end

        it("has the trap of a job run, and the second one ends it at once", function()
            local script = "trap 'echo polite' INT TERM; echo ready >/out/ready; while :; do sleep 0.05; done"
            local result = drive([[
while not os.path.exists(sys.argv[-1].split(":")[0] + "/ready"):
    time.sleep(0.05)
process.send_signal(signal.SIGINT)
while "ending" not in process.stderr.readline():
    pass
process.send_signal(signal.SIGINT)
process.stdout.read()]], { "-j", "1", "--rw", scratch() .. ":/out" }, 0,
                job { id = "b", command = { "sh", "-c", script } })
            assert.equal("130\n", result.err)
        end)
    end)

    it("TSTP stops the batch and its commands, CONT resumes both", function()
        local code = 'marker = json.loads(sys.argv[1])["command"][1]\n' .. probe.stop_and_continue
            .. "process.stdout.read()"
        local result = drive(code, {}, 0, job { command = { "sleep", probe.marker() } })
        assert.equal("runs True\nstops True\nresumes True\n", result.out)
        assert.equal("143\n", result.err)
    end)

    it("an input that cannot be read is told", function()
        local result = sandbox.sh(sandbox.quote(sandbox.command) .. " batch </")
        assert.same({ 125, "" }, { result.code, result.out })
        assert.equal("demilune: standard input cannot be read: Is a directory\n", result.err)
    end)

    describe("the journal", function()
        local function jobs(first, last)
            local input = ""
            for i = first, last do
                input = input .. job { id = "job " .. i, command = { "sh", "-c", "echo " .. i .. " >>/out/ran" } }
            end
            return input
        end

        local function ran()
            local map = {}
            for number in (sandbox.read(scratch("out/ran")) or ""):gmatch("%d+") do
                map[number] = (map[number] or 0) + 1
            end
            return map
        end

        local function journalled(name)
            local map = {}
            for line in sandbox.read(scratch(name or "journal")):gmatch("\n([^\n]+)") do
                local record = cjson.decode(line)
                assert.is_nil(map[record.id], "twice: " .. record.id)
                map[record.id] = record
            end
            return map
        end

        local options
        before_each(function()
            assert(require("lfs").mkdir(scratch("out")))
            options = { "-j", "3", "--rw", scratch("out") .. ":/out", "--journal", scratch("journal") }
        end)

        it("has each result, for the caller alone, and what is in it is not run again", function()
            local first = batch(options, jobs(1, 4))
            assert.equal(0, first.code, first.err)
            assert.equal(4, count(by_id(first.out)))
            assert.same(by_id(first.out)["job 2"], journalled()["job 2"].result)
            assert.equal("600\n", sandbox.sh("stat -c %a " .. scratch("journal")).out)
            local second = batch(options, jobs(1, 6))
            assert.equal(0, second.code, second.err)
            assert.matches("4 jobs have their results in the journal", second.err)
            assert.equal(2, count(by_id(second.out)))
            assert.same({ ["1"] = 1, ["2"] = 1, ["3"] = 1, ["4"] = 1, ["5"] = 1, ["6"] = 1 }, ran())
            assert.equal(6, count(journalled()))
        end)

        it("that is replayed gives the results that it has, too, as they were", function()
            local large = job { id = "large", command = { "sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x" } }
            local first = by_id(batch(options, jobs(1, 2) .. large).out)
            options[#options + 1] = "--replay"
            local second = batch(options, jobs(1, 2) .. large .. jobs(3, 3))
            assert.equal(0, second.code, second.err)
            local list = by_id(second.out)
            assert.equal(4, count(list))
            for id, record in pairs(first) do
                assert.same(record, list[id])
            end
            assert.equal(200000, #list.large.stdout)
            assert.same({ ["1"] = 1, ["2"] = 1, ["3"] = 1 }, ran())
            assert.equal(4, count(journalled()))
        end)

        it("is what --replay needs", function()
            local result = batch({ "--replay" }, "")
            assert.equal(125, result.code)
            assert.matches("--replay prints what a journal has; give one with --journal", result.err, 1, true)
        end)

        it("a batch that was killed goes on; each job is recorded once", function()
            local input = jobs(1, 60)
            local printed = {}
            for _ = 1, 4 do
                local result = drive([[
process.stdin.close()
process.kill()
print(process.stdout.read(), end="")]], options, 3, input)
                for id in pairs(by_id(result.out:match("^.*}\n") or "")) do
                    assert.is_nil(printed[id])
                    printed[id] = true
                end
            end
            for id in pairs(printed) do
                assert.truthy(journalled()[id], id)
            end
            local before = count(journalled())
            local result = batch(options, input)
            assert.equal(0, result.code, result.err)
            assert.equal(60, count(journalled()))
            assert.equal(60 - before, count(by_id(result.out)))
        end)

        it("what a signal ended is run again", function()
            local input = job { id = "a", command = { "true" } }
                .. job { id = "b", command = { "sh", "-c", "[ -e /out/go ] || sleep 300" } }
            local result = drive([[
process.send_signal(signal.SIGINT)
print(process.stdout.read(), end="")]], options, 1, input)
            assert.equal("cancelled", by_id(result.out).b.kind)
            assert.is_nil(journalled().b)
            sandbox.write(scratch("out/go"), "")
            result = batch(options, input)
            assert.equal(0, result.code, result.err)
            assert.same({ "b" }, { next(by_id(result.out)) and records(result.out)[1].id })
        end)

        it("a last line that a crash tore is taken away", function()
            batch(options, jobs(1, 2))
            local whole = sandbox.read(scratch("journal"))
            sandbox.write(scratch("journal"), whole .. '{"id":"job 3","job":"00')
            local result = batch(options, jobs(1, 3))
            assert.equal(0, result.code, result.err)
            assert.equal(3, count(journalled()))
            sandbox.write(scratch("journal"), whole:sub(1, 5)) -- of the first line, too
            assert.equal(0, batch(options, jobs(1, 1)).code)
            assert.equal(1, count(journalled()))
        end)

        it("failures in it are told by the exit code, and are not run again", function()
            local input = job { id = "a", command = { "false" } } .. job { id = "b", command = { "true" } }
            assert.equal(1, batch(options, input).code)
            local result = batch(options, input)
            assert.equal(1, result.code)
            assert.matches("1 of them failed", result.err)
            assert.equal(2, count(journalled()))
        end)

        it("another job with an id that is in it is refused", function()
            batch(options, job { id = "a", command = { "true" } })
            local result = batch(options, job { id = "a", command = { "echo", "other" } })
            assert.same({ 1, "job.changed" }, { result.code, records(result.out)[1].code })
            assert.equal(1, count(journalled()))
        end)

        it("a line without an id that can be read is told again", function()
            for _ = 1, 2 do
                local result = batch(options, "nonsense\n")
                assert.same({ 1, "json.syntax" }, { result.code, records(result.out)[1].code })
            end
            assert.equal(0, count(journalled()))
        end)

        it("is no file that is standard output too, nor one that has another name", function()
            for _, redirection in ipairs { ">", ">>" } do
                local result = batch(options, jobs(1, 3), { suffix = redirection .. scratch("journal") })
                assert.equal(125, result.code)
                assert.matches("is standard input, output or error too", result.err)
            end
            os.remove(scratch("journal"))
            sandbox.sh(": >" .. scratch("out/name") .. "; ln " .. scratch("out/name") .. " " .. scratch("journal"))
            local result = batch(options, jobs(1, 3))
            assert.same({ 125, "" }, { result.code, result.out })
            assert.matches("has another name too", result.err)
            assert.equal("", sandbox.read(scratch("journal")))
            assert.same({}, ran())
        end)

        it("has a job that is refused, and has no id, by its line", function()
            for _, printed in ipairs { 2, 0 } do
                local result = batch({ "--keep-going", "--journal", scratch("journal") }, '{"command":"x"}\n{}\n')
                assert.equal(printed, #records(result.out), result.out)
            end
        end)

        it("a full disk is told before anything runs", function()
            options[#options] = "/dev/full"
            local result = batch(options, jobs(1, 3))
            assert.same({ 125, "" }, { result.code, result.out })
            assert.matches('%-%-journal "/dev/full": No space left on device', result.err)
            assert.same({}, ran())
        end)

        it("a disk that becomes full keeps more from being started; what ended is printed, and runs again", function()
            local input = ""
            for i = 1, 50 do
                input = input .. job { id = i, command = { "sh", "-c", "head -c 300 /dev/zero | tr '\\0' x" } }
            end
            sandbox.write(scratch("jobs"), input)
            -- A small disk, which is full but for 16 KiB at first.
            local line = ([[
cd %s && mkdir disk && mount -t tmpfs -o size=96k none disk && head -c 80k /dev/zero >disk/filler
%s batch -j 3 --journal disk/journal <jobs 2>said | cat >printed
cp disk/journal kept; rm disk/filler
%s batch -j 3 --journal disk/journal <jobs >/dev/null; echo $?; cp disk/journal all]]):format(scratch(),
                sandbox.quote(sandbox.command), sandbox.quote(sandbox.command))
            local result = sandbox.sh(("unshare %s --mount sh -c %s"):format(
                sandbox.is_root and "" or "--user --map-root-user", sandbox.quote(line)))
            assert.equal("0\n", result.out, result.err)
            assert.matches("the journal cannot be written: No space left on device; no more jobs are started",
                sandbox.read(scratch("said")))
            local printed = by_id(sandbox.read(scratch("printed")))
            local kept, all = journalled("kept"), journalled("all")
            assert.is_true(count(printed) > count(kept) and count(printed) < 50)
            assert.equal("\n", sandbox.read(scratch("kept")):sub(-1))
            assert.equal(50, count(all))
        end)

        it("that is deleted meanwhile keeps more from being started", function()
            local result = drive([[
os.unlink(sys.argv[-1])
process.stdin.write('{"id":"b","command":["true"]}\n{"id":"c","command":["touch","/out/c"]}\n')
process.stdin.close()
print(process.stdout.read(), process.stderr.read(), file=sys.stderr)]], { "-j", "1", "--rw", scratch("out") .. ":/out",
                "--journal", scratch("journal") }, 1, job { id = "a", command = { "true" } })
            assert.matches("journal.* was deleted meanwhile", result.err)
            assert.matches("\n125\n$", result.err)
            assert.is_false(sandbox.exists(scratch("out/c")))
        end)

        it("belongs to one batch at a time", function()
            local result = drive(([[
other = subprocess.run([%q, "batch", "--journal", %q], input="", capture_output=True, text=True)
print(other.returncode, other.stderr, end="")
process.stdin.close()]]):format(sandbox.command, scratch("journal")), options, 1, jobs(1, 1))
            assert.matches("\n125 .*another batch is writing to it", result.out)
            assert.equal("0\n", result.err)
        end)

        it("is refused where the commands can write", function()
            options[#options] = scratch("out/journal")
            local result = batch(options, jobs(1, 1))
            assert.equal(125, result.code)
            assert.matches("%-%-journal .*the command could write there, through \"/out\"", result.err)
            assert(os.execute(("ln -s %s %s"):format(scratch("elsewhere"), scratch("out/link"))))
            options[#options] = scratch("out/link")
            assert.matches("the command could write there", batch(options, jobs(1, 1)).err)
            local hook = ('policy:rw_bind(%q, "/more")'):format(scratch())
            result = batch({ "--journal", scratch("journal"), "-e", hook }, job { command = { "true" } })
            assert.equal("journal.writable", records(result.out)[1].code)
        end)

        it("a file that is none stays as it is", function()
            for _, text in ipairs { "precious\n", "precious", '{"demilune_batch":1}\nprecious\n' } do
                sandbox.write(scratch("journal"), text)
                local result = batch(options, jobs(1, 1))
                assert.same({ 125, "" }, { result.code, result.out })
                assert.matches("demilune batch", result.err)
                assert.equal(text, sandbox.read(scratch("journal")))
            end
            options[#options] = scratch()
            assert.matches("Is a directory", batch(options, "").err)
            assert(os.execute("mkfifo " .. scratch("fifo")))
            options[#options] = scratch("fifo")
            assert.matches("is no regular file", batch(options, "").err)
        end)
    end)

    describe("progress:", function()
        -- Runs argv[2:] with standard error on a terminal and argv[1] as input; prints what the terminal got.
        local TERMINAL = [[
import os, pty, subprocess, sys
master, slave = pty.openpty()
jobs = open(sys.argv[1])
output = slave if "--also-out" in sys.argv else subprocess.DEVNULL
words = [word for word in sys.argv[2:] if word != "--also-out"]
process = subprocess.Popen(words, stdin=jobs, stdout=output, stderr=slave)
os.close(slave)
text = b""
while True:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    text += data
print(process.wait())
print(text.decode(), end="")
]]
        local function terminal(options)
            local input = job { id = "bad", command = { "false" } }
            for i = 1, 3 do
                input = input .. job { id = i, command = { "sleep", "0.7" } }
            end
            local words = { sandbox.write(scratch("jobs"), input), sandbox.command, "batch", "-j", "1", "--keep-going" }
            return probe.host(TERMINAL, table.move(options, 1, #options, #words + 1, words)).out
        end

        it("one line on a terminal that is gone at the end", function()
            local text = terminal {}
            assert.matches("^1\n", text)
            assert.matches("\r%d done, 1 running, 1 failed, %d+%.%d/s, %d:%d%d left", text)
            assert.matches("\r +\r$", text)
            assert.is_nil(text:sub(3):find("\n", 1, true))
        end)

        it("none with -q, nor where there is no terminal, nor where the results go to it", function()
            local text = terminal { "--also-out" }
            assert.matches('^1\n{.*"id":"bad"', text)
            assert.is_nil(text:find("running", 1, true))
            assert.equal("1\n", terminal { "-q" })
            assert.equal("", batch({}, job { command = { "sleep", "0.3" } }).err)
        end)
    end)
end)
