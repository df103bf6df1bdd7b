-- policy:spawn: processes that go on by themselves while their host does something else.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

describe("a process", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function spawn(script, options, fields)
        return assert(assert(demilune.policy(fields or {})):spawn({ "sh", "-c", script }, options or { stdin = "null" }))
    end

    -- Whether a descriptor becomes readable within a second, and at once.
    local function readable(fd, seconds)
        return core.wait_readable({ fd }, seconds)[1] == fd
    end

    -- What the collector left is reaped when the next is started.
    local function until_reaped()
        for _ = 1, 50 do
            local next_one <close> = spawn("true")
            assert.equal("exit", next_one:wait().kind)
            next_one:close()
            if sandbox.read("/proc/thread-self/children") == "" then
                break
            end
            os.execute("sleep 0.05")
        end
    end

    it("is there at once, and tells when it has ended", function()
        local before = core.clock()
        local process <close> = spawn("exec sleep 2")
        assert.same({ n = 2, nil, "running" }, table.pack(process:poll()))
        assert.is_true(core.clock() - before < 1.5)
        local result, message = process:wait(0.05)
        assert.same({ nil, "timeout" }, { result, message })
        assert.equal("number", type(process:pid()))
        result = assert(process:wait())
        assert.same({ "exit", 0, true }, { result.kind, result.exit_code, result.ok })
        assert.equal(result, process:wait())
        assert.equal(result, process:poll())
        assert.equal(result, process:wait(0))
    end)

    it("can be waited for by its descriptor alone, which stays readable from the end on", function()
        local process <close> = spawn("exec sleep 0.1")
        local fd, turns = process:pollfd(), 0
        assert.equal(fd, process:getfd())
        local result, message
        repeat
            assert.is_true(readable(fd, 5))
            result, message = process:poll()
            turns = turns + 1
        until result or message ~= "running"
        assert.equal("exit", result.kind)
        assert.is_true(turns < 10)
        assert.is_true(readable(fd, 0))
    end)

    it("tells of its deadline by its descriptor", function()
        local without <close> = spawn("sleep 60", { stdin = "null" })
        assert.is_nil(without:timeout())
        local process <close> = spawn("trap '' TERM; sleep 60 & wait; wait", { stdin = "null", timeout = 0.6 })
        local fd = process:pollfd()
        local result
        assert.is_true(process:timeout() <= 0.65)
        repeat
            assert.is_true(readable(fd, 5))
            result = process:poll()
        until result
        assert.equal("timeout", result.kind)
    end)

    -- What the host does meanwhile: nothing of ours gets a turn.
    local meanwhile = {
        ["reads its output"] = function(process) process.stdout:read("a") end,
        ["does something else"] = function() os.execute("sleep 3.5") end,
    }
    for name, busy in pairs(meanwhile) do
        it("is held to its time also while the host " .. name, function()
            local said = scratch("said")
            assert(lfs.mkdir(said))
            local process <close> = spawn(("trap 'echo asked >>%s/x' TERM; while :; do sleep 0.1; done"):format(said),
                { stdin = "null", stdout = "pipe", stderr = "null", timeout = 0.5 }, { rw_binds = { said } })
            local before = core.clock()
            busy(process)
            local result = assert(process:wait(5))
            assert.is_true(core.clock() - before < 10)
            assert.same({ "timeout", 9 }, { result.kind, result.signal })
            assert.equal("asked\n", sandbox.read(said .. "/x")) -- once
        end)
    end

    it("that was asked to end has ended when its grace time is over, whatever the host does", function()
        local process <close> = spawn("trap '' TERM; echo ready; while :; do sleep 0.1; done",
            { stdin = "null", stdout = "pipe", stderr = "null" })
        assert.equal("ready", process.stdout:read("l"))
        process:kill()
        local before = core.clock()
        process.stdout:read("a") -- to the end of all that could write there
        assert.is_true(core.clock() - before < 10)
        local result = assert(process:wait(5))
        assert.same({ "cancelled", 9 }, { result.kind, result.signal })
    end)

    it("that ended by itself is not said to have been ended, however late one looks", function()
        local process <close> = spawn("exit 3", { stdin = "null", timeout = 0.7 }, { limits = { cpu_time = 0.2 } })
        os.execute("sleep 1.5")
        local result = process:wait()
        assert.same({ "exit", 3 }, { result.kind, result.exit_code })
        assert.same({}, result.limits_hit)
    end)

    -- Pid 1 of the sandbox of a process that runs.
    local function init_of(process)
        local pid = process:pid()
        return sandbox.backend == "native" and pid
            or sandbox.read(("/proc/%d/task/%d/children"):format(pid, pid)):match("%d+")
    end

    it("that ended in time is not said to have been late when its init comes to it late", function()
        for script, kind in pairs { ["read -r _; exit 6"] = "exit", ["read -r _; sleep 60"] = "timeout" } do
            local process <close> = spawn("echo ready; " .. script, { stdin = "pipe", stdout = "pipe", timeout = 2 })
            assert.equal("ready", process.stdout:read())
            local init = init_of(process)
            assert(os.execute("kill -STOP " .. init))
            process.stdin:write("\n")
            process.stdin:close()
            os.execute(("sleep 2.2; kill -CONT %s"):format(init))
            local result = process:wait()
            assert.same({ kind, kind == "exit" and 6 or nil }, { result.kind, result.exit_code })
        end
    end)

    it("whose init has signals left to read has told its end all the same", function()
        local process <close> = spawn("echo ready; read -r _; exit 7", { stdin = "pipe", stdout = "pipe" })
        assert.equal("ready", process.stdout:read())
        local init = init_of(process)
        assert(os.execute("kill -STOP " .. init))
        for _ = 1, 20 do
            process:kill("CONT")
        end
        process.stdin:write("\n")
        process.stdin:close()
        os.execute(("sleep 0.2; kill -CONT %s; sleep 0.2"):format(init)) -- the command has ended, then its init
        local result = process:wait()
        assert.same({ "exit", 7 }, { result.kind, result.exit_code })
    end)

    it("gives what is said of one stream before what is said of both", function()
        local process <close> = spawn("echo out; echo err >&2", { stdin = "null", stdout = "pipe", capture = true })
        assert.equal("out\n", process.stdout:read("a"))
        local result = process:wait()
        assert.same({ nil, "err\n" }, { result.stdout, result.stderr })
    end)

    it("tells of captured output by its descriptor, however much it is", function()
        local process <close> = spawn("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2", { capture = true })
        local fd = process:pollfd()
        local result
        repeat
            assert.is_true(readable(fd, 5))
            result = process:poll()
        until result
        assert.same({ 3000000, 3000000, 0 }, { #result.stdout, #result.stderr, result.stdout_dropped })
    end)

    it("that was not executed says why, when it is asked", function()
        local process <close> = assert(demilune.policy {}):spawn({ "no-such-program" }, { stdin = "null" })
        local result, message, code, problems = process:wait()
        assert.is_nil(result)
        assert.matches("not found in the sandbox", message)
        assert.equal("command.missing", code)
        assert.equal(message, problems[1].message)
        assert.same({ message, code }, { (select(2, process:poll())), (select(3, process:poll())) })
    end)

    it("of a policy with problems is not started", function()
        local process, message, code = assert(demilune.policy { ro_binds = { "/no/such" } }):spawn { "true" }
        assert.is_nil(process)
        assert.equal("bind.missing", code)
        assert.matches("no/such", message)
    end)

    describe("ends", function()
        it("politely: its trap runs", function()
            local process <close> = spawn("trap 'echo polite; exit 3' TERM; echo ready; sleep 60 & wait",
                { stdin = "null", stdout = "pipe" })
            assert.equal("ready", process.stdout:read("l"))
            assert.is_true(process:kill())
            local result = process:wait()
            assert.same({ "cancelled", 3 }, { result.kind, result.exit_code })
            assert.equal("polite\n", process.stdout:read("a"))
            assert.is_false(process:kill())
        end)

        it("what has ended already no more: it ended by itself", function()
            for _, signal in ipairs { "TERM", "KILL", "USR1" } do
                local process <close> = spawn("exit 7")
                os.execute("sleep 0.3")
                assert.is_false(process:kill(signal))
                local result = process:wait()
                assert.same({ "exit", 7 }, { result.kind, result.exit_code })
                assert.is_true(result.wall < 0.3, result.wall) -- however late it was looked at
            end
            local process <close> = assert(demilune.policy {}:spawn({ "missing" }, { stdin = "null" }))
            os.execute("sleep 0.3")
            assert.is_false(process:kill())
            assert.equal("command.missing", (select(3, process:wait())))
        end)

        it("in the end: what ignores the request is killed two seconds later", function()
            local process <close> = spawn("trap '' TERM; echo ready; while :; do sleep 1; done",
                { stdin = "null", stdout = "pipe" })
            assert.equal("ready", process.stdout:read("l"))
            local before = core.clock()
            process:kill("TERM")
            local result = process:wait()
            local took = core.clock() - before
            assert.same({ "cancelled", "KILL" }, { result.kind, result.signal_name })
            assert.is_true(took > 1.5 and took < 5, took)
        end)

        it("at once", function()
            local process <close> = spawn("setsid sleep 60 & trap '' TERM; exec sleep 60")
            process:wait(0.2)
            local before = core.clock()
            process:kill("KILL")
            assert.equal("cancelled", process:wait().kind)
            assert.is_true(core.clock() - before < 1)
        end)

        for _, name in ipairs { "HUP", "INT", "QUIT", "USR1", "USR2", "CONT", "WINCH" } do
            it("never for a signal that it handles: " .. name, function()
                local process <close> = spawn(("trap 'echo %s' %s; echo ready; sleep 0.4 & wait; wait; exit 7"):format(name,
                    name), { stdin = "null", stdout = "pipe" })
                assert.equal("ready", process.stdout:read("l"))
                assert.is_true(process:kill(name))
                assert.equal(name, process.stdout:read("l"))
                assert.same({ "exit", 7 }, { process:wait().kind, process:wait().exit_code })
            end)
        end

        it("with the collector, many at once", function()
            collectgarbage("stop")
            for _ = 1, 70 do -- more than it leaves to be reaped later
                spawn("exec sleep 300")
            end
            collectgarbage("restart")
            collectgarbage()
            collectgarbage()
            until_reaped()
        end)

        it("with close, <close>, and the collector", function()
            local mark = scratch():match("%d+_%d+$"):gsub("_", "") -- no other run at the same time has it
            local function alive()
                return sandbox.sh("pgrep -f 'sleep [6]" .. mark .. "'").out ~= ""
            end
            local function until_gone()
                for _ = 1, 100 do
                    if not alive() then
                        return true
                    end
                    os.execute("sleep 0.02")
                end
            end
            local function start()
                local process = spawn("setsid sleep 6" .. mark .. " & exec sleep 6" .. mark)
                process:wait(0.2)
                assert.is_true(alive())
                return process
            end
            start():close()
            assert.is_false(alive())
            do
                local _ <close> = start()
            end
            assert.is_false(alive())
            start()
            collectgarbage()
            collectgarbage()
            assert.is_true(until_gone())
            until_reaped()
        end)
    end)

    it("closed before its end cannot be asked, closed twice is fine", function()
        local process = spawn("exec sleep 60")
        process:close()
        process:close()
        assert.has_error(function() process:wait() end)
        assert.has_error(function() process:pollfd() end)
        assert.is_nil(process:pid())
        local seen = spawn("exit 4")
        local result = seen:wait()
        seen:close()
        assert.equal(result, seen:wait())
    end)

    it("raises for what is no signal and no option", function()
        local process <close> = spawn("true")
        for _, signal in ipairs { "TREM", "9", 0, 65, 1.5, {} } do
            assert.has_error(function() process:kill(signal) end)
        end
        local last = ', "pipe", { path = } or { fd = } expected'
        assert.same({ false, 'bad option stdout: "inherit", "null", "capture"' .. last },
            { pcall(spawn, "true", { stdout = "pip" }) })
        assert.same({ false, 'bad option stdin: "inherit", "null", a text, { text = }' .. last },
            { pcall(spawn, "true", { stdin = {} }) })
        assert.matches("process_spec.*bad argument #1 to 'wait' %(number expected, got string%)",
            select(2, pcall(function() process:wait("5") end)))
        for _, name in ipairs { "wait", "poll", "kill", "close", "pollfd" } do
            assert.matches("'" .. name .. "' on bad self %(process expected, got number%)",
                select(2, pcall(process[name], 5)))
        end
        process:wait()
    end)

    describe("has pipes:", function()
        it("all three at once, closed one by one", function()
            local process <close> = spawn("while read -r line; do echo \"<$line>\"; echo e >&2; done; echo over",
                { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
            for i = 1, 3 do
                process.stdin:write(i, "\n")
                process.stdin:flush()
                assert.equal(("<%d>"):format(i), process.stdout:read("l"))
            end
            process.stdin:close()
            process.stdin:close()
            assert.equal("over\n", process.stdout:read("a"))
            assert.equal("e\ne\ne\n", process.stderr:read("a"))
            assert.equal(0, process:wait().exit_code)
            assert.same({ nil, "closed" }, { process.stdin:write("x") })
        end)

        it("read line by line", function()
            local process <close> = spawn("seq 3", { stdin = "null", stdout = "pipe" })
            local seen = {}
            for line in process.stdout:lines() do
                seen[#seen + 1] = line
            end
            assert.same({ "1", "2", "3" }, seen)
        end)

        it("with what Lua's files have", function()
            local process <close> = spawn("seq 5; echo tail", { stdin = "null", stdout = "pipe" })
            local out = process.stdout
            assert.equal("file", io.type(out.file))
            assert.same({ n = 1, 1 }, table.pack(out:read("n")))
            assert.equal("\n", out:read(1))
            assert.same({ nil, "Illegal seek" }, { out:seek("set", 0) and nil, (select(2, out:seek("set", 0))) })
            assert.is_true(out:setvbuf("full"))
            local lines = {}
            for line in out:lines("L") do
                lines[#lines + 1] = line
            end
            assert.same({ "2\n", "3\n", "4\n", "5\n", "tail\n" }, lines)
            assert.equal("", out:read("a"))
            assert.is_nil(out:read("l"))
            assert.is_true(out:close())
            assert.is_true(out:close())
            assert.is_nil(out.file)
            assert.same({ nil, "closed" }, { out:read("a") })
            assert.has_error(function() out:lines() end)
            assert.same({ nil, "closed" }, { out:read_some() })
        end)

        it("of a process that nobody else holds any more", function()
            local seen = 0
            for line in spawn("seq 2000; sleep 0.05; seq 2001 4000", { stdin = "null", stdout = "pipe" }).stdout:lines() do
                seen = seen + (tonumber(line) == seen + 1 and 1 or 0)
                if seen % 500 == 0 then
                    collectgarbage()
                end
            end
            assert.equal(4000, seen)
            collectgarbage()
            collectgarbage()
            until_reaped()
        end)

        it("whose other end is gone: an error, and no signal for the host", function()
            local result = probe.lua(scratch("host.lua"), [[
                local process = require "demilune".policy {}:spawn({ "sh", "-c", "exec <&-; exit 3" }, { stdin = "pipe" })
                print(process:wait().exit_code)
                print(process.stdin:write(("x"):rep(100000)))
                print(process.stdin:read_some())
                local other = require "demilune".policy {}:spawn({ "true" }, { stdin = "pipe" })
                other:wait()
                other.stdin:write("left in the buffer")
                other:close()
                os.execute("kill -PIPE $PPID")
                print("not reached")]])
            assert.equal("3\nnil\tBroken pipe\t32\nnil\tBad file descriptor\t9\n", result.out, result.err)
            assert.equal(128 + 13, result.code)
        end)

        it("read piece by piece, without waiting", function()
            local process <close> = spawn("echo one; read -r _; printf two", { stdin = "pipe", stdout = "pipe" })
            local out, piece = process.stdout
            assert.is_true(readable(out:getfd(), 10))
            assert.equal("on", out:read_some(2))
            assert.equal("e\n", out:read_some())
            assert.equal("", out:read_some())
            process.stdin:write("go\n")
            process.stdin:flush()
            assert.is_true(readable(out:getfd(), 10))
            assert.equal("two", out:read_some())
            repeat
                assert.is_true(readable(out:getfd(), 10))
                piece = out:read_some()
            until piece ~= ""
            assert.is_nil(piece)
            assert.has_error(function() out:read_some(0) end)
            assert.same({ "r", "w" }, { out:events(), process.stdin:events() })
            assert.is_nil(out:timeout())
        end)

        it("given away: the loop that takes the descriptor closes it", function()
            local process <close> = spawn("echo given", { stdin = "null", stdout = "pipe" })
            local fd = process.stdout:release()
            assert.is_nil(process.stdout:getfd())
            assert.is_nil(process.stdout:release())
            local file <close> = assert(io.open("/proc/self/fd/" .. fd))
            core.close_descriptor(fd)
            assert.equal("given\n", file:read("a"))
        end)

        it("that nobody reads do not keep it from ending", function()
            local process = spawn("yes", { stdin = "null", stdout = "pipe" })
            process:wait(0.1)
            process:close()
        end)

        it("over when the command is, though an orphan holds them", function()
            local before = core.clock()
            local process <close> = spawn("sleep 60 & echo done", { stdin = "null", stdout = "pipe" })
            assert.equal("done\n", process.stdout:read("a"))
            assert.is_true(core.clock() - before < 5)
            assert.is_true(process:wait().survivors)
        end)
    end)

    -- A descriptor of its output gets out through a socket, to somebody who keeps it and writes to it without end.
    describe("whose output got out", function()
        local KEEPER = [[
import array, os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(1)
os.chmod(sys.argv[1], 0o777)
if os.fork():
    os._exit(0)
connection, _ = listener.accept()
_, descriptors, _, _ = socket.recv_fds(connection, 1, 2)
while True:
    os.write(descriptors[0], b"." * 4096) # until nobody can read it any more
]]
        local LEAK = [[
import os, socket
os.write(1, b"before\n")
connection = socket.socket(socket.AF_UNIX)
connection.connect("/out/socket")
socket.send_fds(connection, [b"x"], [1])
os.read(0, 1)
os._exit(4)
]]
        local function leak(options)
            local keeper = probe.host(KEEPER, { scratch("socket") }, { prefix = "exec >/dev/null 2>&1;" })
            assert.equal(0, keeper.code)
            return assert(demilune.policy { rw_binds = { { scratch(), "/out" } } }):spawn({ "/usr/bin/python3", "-c", LEAK },
                options)
        end

        it("ends when the command does, with what it said", function()
            local process <close> = leak { stdin = "pipe", capture = true }
            assert.is_nil(process:wait(0.7))
            process.stdin:close()
            local result = assert(process:wait(30))
            assert.equal(4, result.exit_code, result.stderr)
            assert.equal("before\n....", result.stdout:sub(1, 11))
            assert.is_nil(result.stdout:find("[^.]", 8))
        end)

        it("ends at its deadline", function()
            local process <close> = leak { stdin = "pipe", capture = true, timeout = 1 }
            local result = assert(process:wait(30))
            assert.equal("timeout", result.kind)
        end)

        it("ends though nobody reads its pipe", function()
            local process <close> = leak { stdin = "pipe", stdout = "pipe", stderr = "null" }
            assert.equal("before", process.stdout:read())
            process.stdin:close()
            assert.equal(4, assert(process:wait(30)).exit_code)
        end)
    end)

    it("is one of many: fifty at once, each seen to end once", function()
        local running, seen = {}, {}
        for i = 1, 50 do
            running[i] = spawn(("sleep 0.%d; exit %d"):format(i % 10, i))
        end
        while next(running) do
            local fds, by_fd = {}, {}
            for i, process in pairs(running) do
                fds[#fds + 1] = process:pollfd()
                by_fd[process:pollfd()] = i
            end
            for _, fd in ipairs(core.wait_readable(fds, 10)) do
                local i = by_fd[fd]
                local result = running[i]:poll()
                if result then
                    seen[#seen + 1] = result.exit_code
                    running[i]:close()
                    running[i] = nil
                end
            end
        end
        table.sort(seen)
        local expected = {}
        for i = 1, 50 do
            expected[i] = i
        end
        assert.same(expected, seen)
    end)

    it("tells its hooks once each, at their time", function()
        local told = {}
        local policy = assert(demilune.policy {
            launched = function(process) told[#told + 1] = "launched " .. type(process:pid()) end,
            finished = function(result) told[#told + 1] = "finished " .. result.exit_code end,
        })
        local process <close> = assert(policy:spawn({ "sh", "-c", "sleep 0.1; exit 5" }, { stdin = "null" }))
        assert.same({}, told)
        process:wait()
        process:wait()
        process:poll()
        assert.same({ "launched number", "finished 5" }, told)
    end)

    describe("in a host", function()
        local function host(prologue, body)
            return probe.lua(scratch("host.lua"), ([[
local core, demilune = require "demilune.core", require "demilune"
local policy = demilune.policy {}
%s]]):format(body), { prefix = prologue })
        end

        it("that ignores SIGCHLD, or reaps everything, has its result", function()
            for _, steps in ipairs { "signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "pass" } do
                local code = ("import signal, os, sys; %s; os.execvp(sys.argv[1], sys.argv[1:])"):format(steps)
                local result = host("/usr/bin/python3 -c " .. sandbox.quote(code), [[
local process = policy:spawn({ "sh", "-c", "exit 7" }, { stdin = "null" })
local result = process:wait()
process:close()
print(result.kind, result.exit_code)]])
                assert.equal("exit\t7\n", result.out, result.err)
            end
        end)

        if sandbox.is_root then -- who can say which number comes next
            it("that ignores SIGCHLD kills nobody who has got the number of one that is gone", function()
                local result = probe.lua(scratch("numbers.lua"), [[
                    local process = assert(require "demilune".policy {}:spawn({ "sleep", "0.1" }, { stdin = "null" }))
                    local pid = process:pid()
                    os.execute("sleep 0.5") -- it has ended, and nobody has looked
                    local taking = [=[n=PID; i=0
                        while [ $i -lt 200 ]; do
                            echo $((n - 1)) >/proc/sys/kernel/ns_last_pid
                            sh -c 'sleep 30 & wait' >/dev/null 2>&1 &
                            [ $! = $n ] && break; kill $!; i=$((i + 1))
                        done
                        sleep 0.2; cat /proc/$n/task/$n/children]=]
                    local pipe = io.popen((taking:gsub("PID", tostring(pid))))
                    local child = pipe:read("n")
                    pipe:close()
                    process = nil
                    collectgarbage()
                    collectgarbage()
                    os.execute("sleep 0.2")
                    print(math.type(child), io.open("/proc/" .. child .. "/stat") and "alive" or "killed")
                    os.execute("kill " .. child .. " " .. pid)]], { prefix = "/usr/bin/python3 -c " .. sandbox.quote(
                        "import signal, os, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])") })
                assert.equal("integer\talive\n", result.out, result.err)
            end)
        end

        it("that was forked leaves the sandbox to the one that started it", function()
            sandbox.write(scratch("fork.c"), [[
#include <lua.h>
#include <unistd.h>
int luaopen_fork(lua_State *L);
int luaopen_fork(lua_State *L) { lua_pushinteger(L, fork()); return 1; }]])
            local built = sandbox.sh(("gcc -shared -fPIC -I/usr/include/lua5.4 -o %s %s"):format(scratch("fork.so"),
                scratch("fork.c")))
            assert.equal(0, built.code, built.err)
            local result = host("", ([[
local process = policy:spawn({ "sh", "-c", "sleep 0.4; exit 6" }, { stdin = "null" })
if package.loadlib(%q, "luaopen_fork")() == 0 then
    io.stdout:write(tostring(process:kill("KILL")), " ", tostring(select(2, process:poll())), "\n")
    process:close()
    os.exit(0, true)
end
local result = process:wait()
process:close()
io.stdout:write(result.kind, " ", result.exit_code, "\n")]]):format(scratch("fork.so")))
            assert.equal("false running\nexit 6\n", result.out, result.err)
        end)
    end)
end)
