-- Real event loops of other people: each runs 200 sandboxes at once and sees each of them end exactly once, with the
-- deadlines of some among them. Prosody's own C modules leave memory to the end of the process, which sanitizers report.
local cgroups = require "support.cgroups"
local leaks = require "support.leaks"
local lfs = require "lfs"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Starts 200, of which every tenth has a deadline that ends it; each loop calls `ended(i, result)`.
local PROLOGUE = [[
local demilune = require "demilune"
local policy = assert(demilune.policy { base = "none", ro_binds = { "/usr", "/bin", "/lib", "/lib64" },
    limits = { tmp = "1M" } })
local processes, seen, deadlines = {}, {}, 0
local function start(i)
    local late = i % 10 == 0
    processes[i] = assert(policy:spawn({ "/bin/sh", "-c", late and "exec sleep 60" or "exit " .. i % 100 },
        { stdin = "null", stdout = "null", timeout = late and 1.5 or 120 }))
    return processes[i]
end
local function ended(i, result, message)
    assert(result, message)
    seen[i] = (seen[i] or 0) + 1
    if i % 10 == 0 then
        assert(result.kind == "timeout", result.kind)
        deadlines = deadlines + 1
    else
        assert(result.exit_code == i % 100, result.exit_code)
    end
    processes[i]:close()
end
local function report()
    local once = 0
    for i = 1, 200 do
        once = once + (seen[i] == 1 and 1 or 0)
    end
    print(once, deadlines)
end
]]

local loops = {
    luv = [[
local uv = require "luv"
for i = 1, 200 do
    local process = start(i)
    local poll = uv.new_poll(process:getfd())
    poll:start("r", function()
        local result, message = process:poll()
        if message ~= "running" then
            poll:stop()
            poll:close()
            ended(i, result, message)
        end
    end)
end
uv.run()
]],
    cqueues = [[
local cqueues = require "cqueues"
local queue = cqueues.new()
for i = 1, 200 do
    queue:wrap(function()
        local process = start(i)
        local result, message
        repeat
            cqueues.poll(process)
            result, message = process:poll()
        until message ~= "running"
        cqueues.cancel(process:pollfd())
        ended(i, result, message)
    end)
end
assert(queue:loop())
]],
    ["cqueues, by its timeout alone"] = [[
local cqueues = require "cqueues"
local queue = cqueues.new()
for i = 1, 200 do
    queue:wrap(function()
        local process = start(i)
        local result, message
        repeat
            cqueues.poll({ pollfd = process:pollfd(), events = "r" }, process:timeout())
            result, message = process:poll()
        until message ~= "running"
        cqueues.cancel(process:pollfd())
        ended(i, result, message)
    end)
end
assert(queue:loop())
]],
    luasocket = [[
local socket = require "socket"
local waiting, numbers = {}, {}
for i = 1, 200 do
    local process = start(i)
    waiting[i], numbers[process] = process, i
end
while #waiting > 0 do
    local ready = socket.select(waiting, nil, 60)
    local over = {}
    for _, process in ipairs(ready) do
        local result, message = process:poll()
        if message ~= "running" then
            over[process] = true
            ended(numbers[process], result, message)
        end
    end
    local rest = {}
    for _, process in ipairs(waiting) do
        rest[#rest + 1] = not over[process] and process or nil
    end
    waiting = rest
end
]],
    ["prosody #unsanitized"] = [[
package.path, package.cpath = package.path .. ";/usr/lib/prosody/?.lua", package.cpath .. ";/usr/lib/prosody/?.so"
local server = require "net.server_epoll"
local left = 200
for i = 1, 200 do
    local process = start(i)
    server.watchfd(process, function(watch)
        local result, message = process:poll()
        if message ~= "running" then
            watch:close()
            ended(i, result, message)
            left = left - 1
            server.setquitting(left == 0)
        end
    end)
end
server.loop()
]],
}

-- What a command says, as each loop hears it: a piece of it each time that its pipe is readable, and then its end.
local HEARD = [[
local demilune = require "demilune"
local policy = assert(demilune.policy {})
local process = assert(policy:spawn({ "/bin/sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.05; done; head -c 300000 /dev/zero" },
    { stdin = "null", stdout = "pipe" }))
local heard = {}
-- Takes what is there; true at the end.
local function hear()
    local piece, problem = process.stdout:read_some()
    assert(not problem, problem)
    heard[#heard + 1] = piece
    return not piece
end
]]
local HEARD_REPORT = [[
local text = table.concat(heard)
print(#text, text:sub(1, 6):gsub("\n", " "), #heard >= 3, process:wait().exit_code)
process:close()
]]

local streams = {
    luv = [[
local uv = require "luv"
local poll = uv.new_poll(process.stdout:getfd())
poll:start("r", function()
    if hear() then
        poll:stop()
        poll:close()
    end
end)
uv.run()
]],
    ["luv, which takes the descriptor over"] = [[
local uv = require "luv"
local pipe = uv.new_pipe()
assert(pipe:open(process.stdout:release()))
pipe:read_start(function(problem, piece)
    assert(not problem, problem)
    heard[#heard + 1] = piece
    if not piece then
        pipe:close()
    end
end)
uv.run()
assert(process.stdout:getfd() == nil)
]],
    cqueues = [[
local cqueues = require "cqueues"
local queue = cqueues.new()
queue:wrap(function()
    repeat
        cqueues.poll(process.stdout)
    until hear()
    cqueues.cancel(process.stdout:pollfd())
end)
assert(queue:loop())
]],
    luasocket = [[
local socket = require "socket"
repeat
    assert(socket.select({ process.stdout }, nil, 60)[1] == process.stdout)
until hear()
]],
    ["prosody #unsanitized"] = [[
package.path, package.cpath = package.path .. ";/usr/lib/prosody/?.lua", package.cpath .. ";/usr/lib/prosody/?.so"
local server = require "net.server_epoll"
server.watchfd(process.stdout, function(watch)
    if hear() then
        watch:close()
        server.setquitting(true)
    end
end)
server.loop()
]],
}

describe("a host's loop:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    for name, code in pairs(loops) do
        it(name .. " sees each of 200 end once", function()
            local result = probe.lua(scratch("loop.lua"), PROLOGUE .. code .. "report()\n",
                { prefix = "ulimit -n 4096;" })
            assert.equal("200\t20\n", result.out, result.err)
        end)
    end

    for name, code in pairs(streams) do
        it(name .. " hears what a command says while it runs", function()
            local result = probe.lua(scratch("loop.lua"), HEARD .. code .. HEARD_REPORT)
            assert.equal("300006\t1 2 3 \ttrue\t0\n", result.out, result.err)
        end)
    end

    it("cqueues goes on when a process and its streams were closed, and their numbers are others' again", function()
        local result = probe.lua(scratch("loop.lua"), [[
            local cqueues = require "cqueues"
            local policy = require "demilune".policy {}
            local queue, ended = cqueues.new(), 0
            for _ = 1, 5 do
                queue:wrap(function()
                    for _ = 1, 4 do
                        local process <close> = assert(policy:spawn({ "echo", "hi" }, { stdin = "pipe", stdout = "pipe" }))
                        cqueues.poll(process.stdin)
                        process.stdin:close()
                        cqueues.poll(process.stdout)
                        assert(process.stdout:read("l") == "hi")
                        repeat
                            cqueues.poll(process)
                        until process:poll()
                        ended = ended + 1
                    end
                end)
            end
            assert(queue:loop())
            print(ended)]])
        assert.equal("20\n", result.out, result.err)
    end)

    it("luasocket is told of what was read ahead", function()
        local result = probe.lua(scratch("loop.lua"), [[
            local socket = require "socket"
            local process = require "demilune".policy {}:spawn({ "printf", "1\\n2\\n" }, { stdin = "null", stdout = "pipe" })
            process:wait()
            print(process.stdout:dirty(), process.stdout:read("l"), process.stdout:dirty(),
                #socket.select({ process.stdout }, nil, 60), process.stdout:read_some(1), process.stdout:read_some(),
                process.stdout:read_some(), process.stdout:dirty())
            process:close()
            print(process.stdout:getfd(), process.stdout:read_some())]])
        assert.equal("false\t1\ttrue\t1\t2\t\n\tnil\tfalse\nnil\tnil\tclosed\n", result.out, result.err)
    end)
end)

describe("a host", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- A host in C with a SIGCHLD handler that reaps whatever there is, and children of its own, running a Lua program.
    local REAPER = [[
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int own;
static pid_t mine;
static void reap(int signal)
{
    pid_t pid;
    (void)signal;
    while ((pid = waitpid(-1, 0, WNOHANG)) > 0)
        own += pid == mine;
}
int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = reap, .sa_flags = SA_RESTART};
    sigaction(SIGCHLD, &action, 0);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if ((mine = fork()) == 0) { usleep(300000); _exit(0); }
    if (luaL_dofile(L, argv[argc - 1])) { puts(lua_tostring(L, -1)); return 1; }
    for (int i = 0; i < 100 && !own; i++)
        usleep(20000);
    printf("own child seen %d time\n", own);
    return 0;
}
]]
    -- One with threads that allocate all the time.
    local THREADS = [[
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static volatile int over;
static void *busy(void *unused)
{
    unsigned size = 1;
    while (!over) { free(malloc(size = size * 31 % 100000 + 1)); }
    return unused;
}
int main(int argc, char **argv)
{
    pthread_t threads[8];
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], 0, busy, 0);
    if (luaL_dofile(L, argv[argc - 1])) { puts(lua_tostring(L, -1)); return 1; }
    over = 1;
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    return 0;
}
]]

    -- One with a thread that forks children, which execute nothing and hold what is open for a while.
    local SLEEPERS = [[
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int over;
static int begun;
static void *fork_all(void *unused)
{
    for (; !over; begun++) {
        if (fork() == 0) { sleep(2); _exit(0); }
        usleep(500);
    }
    return unused;
}
int main(int argc, char **argv)
{
    pthread_t thread;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    pthread_create(&thread, 0, fork_all, 0);
    if (luaL_dofile(L, argv[argc - 1])) { puts(lua_tostring(L, -1)); return 1; }
    over = 1;
    pthread_join(thread, 0);
    while (begun > 0 && wait(0) > 0) begun--;
    return 0;
}
]]

    -- One that runs each function of a Lua program in a thread of its own, one after the other, which ends with it; the
    -- last when the thread that began it all is gone.
    local SHORT_LIVED = [[
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static lua_State *L;
static pthread_t first;
static void *call(void *name)
{
    lua_getglobal(L, name);
    if (lua_pcall(L, 0, 0, 0)) puts(lua_tostring(L, -1));
    return 0;
}
static void *last(void *unused)
{
    pthread_join(first, 0);
    usleep(200000);
    call("last");
    lua_close(L);
    fflush(stdout);
    exit(0);
    return unused;
}
int main(int argc, char **argv)
{
    pthread_t thread;
    L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dofile(L, argv[argc - 1])) { puts(lua_tostring(L, -1)); return 1; }
    for (const char *const *name = (const char *[]){"spawn", "look", "wait", "again", 0}; *name; name++) {
        pthread_create(&thread, 0, call, (void *)*name);
        pthread_join(thread, 0);
        usleep(200000);
    }
    first = pthread_self();
    pthread_create(&thread, 0, last, 0);
    pthread_exit(0);
}
]]

    -- One that forks: `copied(f)` runs a function in a copy of it, and waits for its end.
    local FORKING = [[
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static int copied(lua_State *L)
{
    pid_t pid = fork();
    if (pid == 0) { lua_call(L, 0, 0); lua_close(L); fflush(stdout); _exit(0); }
    waitpid(pid, 0, 0);
    return 0;
}
int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_register(L, "copied", copied);
    if (luaL_dofile(L, argv[argc - 1])) { puts(lua_tostring(L, -1)); return 1; }
    lua_close(L);
    return 0;
}
]]

    local function run_in(host, body, before)
        sandbox.write(scratch("host.c"), host)
        local built = sandbox.sh(("gcc -O1 -pthread -Wl,-E -I/usr/include/lua5.4 -o %s %s -llua5.4 -lm -ldl"):format(
            scratch("host"), scratch("host.c")))
        assert.equal(0, built.code, built.err)
        sandbox.write(scratch("host.lua"), ("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath)
            .. body)
        return sandbox.sh(("%s %s %s"):format(before or "", scratch("host"), scratch("host.lua")))
    end

    local FIFTY = [[
local policy = require("demilune").policy { base = "none", ro_binds = { "/usr", "/bin", "/lib", "/lib64" } }
local right = 0
for _ = 1, 5 do
    local processes = {}
    for i = 1, 10 do
        processes[i] = assert(policy:spawn({ "/bin/sh", "-c", "exit " .. i }, { stdin = "null" }))
    end
    for i = 1, 10 do
        local result, message = processes[i]:wait()
        assert(result, message)
        right = right + (result.exit_code == i and 1 or 0)
        processes[i]:close()
    end
end
print(right)
]]

    it("that reaps everything still has every result, and its own children #unsanitized", function()
        local result = run_in(REAPER, FIFTY)
        assert.equal("50\nown child seen 1 time\n", result.out, result.err)
    end)

    it("that forks keeps its sandboxes: to the copy they are somebody else's #unsanitized", function()
        local result = run_in(FORKING, [[
io.stdout:setvbuf("no")
local process = assert(require("demilune").policy({}):spawn({ "sh", "-c", "echo ready; read -r _ <&0; exit 5" },
    { stdin = "pipe", stdout = "pipe" }))
process:pollfd()
assert(process.stdout:read() == "ready")
copied(function() -- its state is closed at its end, too
    print(process:wait())
    print(process:poll())
    print(process:kill(), process:kill("KILL"))
end)
copied(function() process:close() end)
print(process:poll())
process.stdin:write("go\n")
process.stdin:flush()
print(process:wait().exit_code)
process:close()
]])
        assert.equal("nil\ttimeout\nnil\trunning\nfalse\tfalse\nnil\trunning\n5\n", result.out, result.err)
    end)

    if sandbox.is_root then -- others may have no cgroups
        it("whose copies are killed is rid of their cgroups with the launch of another #unsanitized", function()
            local own = cgroups.new(0)
            local result = run_in(FORKING, [[
local policy = require("demilune").policy { limits = { pids = 9 } }
assert(policy:run { "true" })
for _ = 1, 3 do
    copied(function()
        policy:spawn({ "sleep", "60" }, { stdin = "null" }):wait(0.1)
        os.execute("kill -9 $PPID")
    end)
end
os.execute("sleep 0.5; find /sys/fs/cgroup -path '*]] .. leaks.run_name .. [[*' -name 'demilune-[0-9]*' | grep -c .")
copied(function() assert(policy:run { "true" }) end)
]], own:enter())
            local left = own:made()
            for _, directory in ipairs(left) do
                lfs.rmdir(directory)
            end
            own:remove()
            assert.is_true(tonumber(result.out) >= 1, result.err)
            assert.same({}, left)
        end)
    end

    it("with eight threads busy in malloc has every result #unsanitized", function()
        local result = run_in(THREADS, FIFTY)
        assert.equal("50\n", result.out, result.err)
    end)

    it("that forks in another thread is held up by none of its children #unsanitized", function()
        local result = run_in(SLEEPERS, [[
local policy = require("demilune").policy { base = "none", ro_binds = { "/usr", "/bin", "/lib", "/lib64" } }
local right, late = 0, 0
for i = 1, 40 do
    local result = assert(policy:run({ "/bin/sh", "-c", "echo " .. i }, { stdin = "null", capture = true }))
    right = right + (result.stdout == i .. "\n" and 1 or 0)
    late = late + (result.wall > 1.5 and 1 or 0)
end
print(right, late)
]])
        assert.equal("40\t0\n", result.out, result.err)
    end)

    -- The stack of a thread, and with it what is the thread's own, is gone as soon as that has begun a launch; and a
    -- pipe that the host closes then has nobody else who holds it.
    local GONE = [[
#define _GNU_SOURCE
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
static lua_State *L;
static void *call(void *name)
{
    lua_getglobal(L, name);
    if (lua_pcall(L, 0, 0, 0)) puts(lua_tostring(L, -1));
    return 0;
}
int main(int argc, char **argv)
{
    L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dofile(L, argv[argc - 1])) { puts(lua_tostring(L, -1)); return 1; }
    int held = 0;
    for (int i = 0; i < 40; i++) {
        size_t size = 1 << 20;
        int ends[2];
        pthread_t thread;
        pthread_attr_t own;
        void *stack = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        pipe2(ends, O_CLOEXEC);
        pthread_attr_init(&own);
        pthread_attr_setstack(&own, stack, size);
        pthread_create(&thread, &own, call, "begin");
        pthread_join(thread, 0);
        munmap(stack, size);
        close(ends[1]);
        held += poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, 0) != 1;
        close(ends[0]);
        call("finish");
    }
    printf("%d held\n", held);
    call("over");
    return 0;
}
]]

    it("whose thread is gone, with its stack, once it has begun a launch #unsanitized", function()
        local result = run_in(GONE, [[
local policy = require("demilune").policy { base = "none", ro_binds = { "/usr", "/bin", "/lib", "/lib64" } }
local process, right, wrong = nil, 0, {}
function begin() process = assert(policy:spawn({ "/bin/sh", "-c", "exit 7" }, { stdin = "null" })) end
function finish()
    local result, why = process:wait()
    right = right + (result and result.exit_code == 7 and 1 or 0)
    wrong[#wrong + 1] = why
    process:close()
end
function over() print(right, wrong[1]) end
]])
        assert.equal("0 held\n40\tnil\n", result.out, result.err)
    end)

    -- What a sandbox is bound to is the process, not a thread of it.
    it("whose threads come and go keeps its sandboxes; any of them waits for any #unsanitized", function()
        local mark = ("60.%s"):format(scratch():match("%d+_%d+$"):gsub("_", ""))
        local result = run_in(SHORT_LIVED, (([[
local policy = require("demilune").policy {}
local process
local function start(code)
    process = assert(policy:spawn({ "/bin/sh", "-c", code }, { stdin = "null", stdout = "pipe", timeout = 60 }))
end
function spawn() start("echo ready; read -r _ <&0; sleep 0.7; exit 7") assert(process.stdout:read() == "ready") end
function look() print(process:poll()) end
function wait() print(process:wait().exit_code, process.stdout:read("a")) process:close() end
function again() start("trap 'exit 8' TERM; setsid sleep MARK & sleep MARK & echo ready; wait") assert(process.stdout:read() == "ready") end
function last()
    print(process:poll())
    process:kill()
    local result = process:wait()
    print(result.exit_code or ("%s %s after %.3f s"):format(result.kind, result.signal_name, result.wall))
    process:close()
    print(policy:run({ "/bin/sh", "-c", "exit 9" }, { stdin = "null" }).exit_code)
end
]]):gsub("MARK", mark)))
        assert.equal("nil\trunning\n7\t\nnil\trunning\n8\n9\n", result.out, result.err)
        assert.equal("", sandbox.sh(("pgrep -f 'sleep [6]%s'"):format(mark:sub(2))).out)
    end)

    it("that ignores SIGCHLD can ask bwrap what it is", function()
        local ignoring = "import signal, os, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
        local result = probe.lua(scratch("version.lua"), [[
            local core = require "demilune.core"
            print(core.bwrap_version(core.find_bwrap()))]], { prefix = "/usr/bin/python3 -c " .. sandbox.quote(ignoring) })
        assert.matches("^%d+%.%d+%.%d+\n$", result.out, result.err)
    end)
end)
