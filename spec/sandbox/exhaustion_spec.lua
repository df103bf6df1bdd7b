-- When memory, descriptors or processes run out at any moment of a launch, it fails in words: nothing runs that was not
-- checked to the end, nothing is left behind, and the next launch works.
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Uses up the memory that RLIMIT_AS leaves, in ever smaller blocks, and gives back one after the other: each try to launch
-- comes a little further than the one before. The first are so large that they lie outside of malloc's heap, and make room
-- for a stack again. Prints what came of it.
local MEMORY = [[
local lfs = require "lfs"
local core = require "demilune.core"
local bwrap, marks = core.find_bwrap(), arg[1]
local binds, env = { { marks, "/marks" } }, {}
for i = 1, 40 do
    binds[i + 1] = { "/usr/share", ("/x/%d/%s"):format(i, ("n"):rep(100)) }
    env["NAME" .. i] = ("v"):rep(100)
end
local fields = { ro_binds = { "/usr", "/bin", "/lib", { host = "/lib64", optional = true }, { host = "~/x", optional = true } },
    rw_binds = binds, env = env, env_allowlist = { "HOME" }, network = true, effects = { "Pure" }, masks = { "/m", "/marks/m" },
    symlinks = { { target = "a", sandbox = "/l" } }, secrets = { ["/s"] = ("s"):rep(1000) }, tmpfs = { "/t" }, project = marks,
    limits = { memory = "1G", cpu_time = 100 } }
local start_with = { env_allowlist = { "L*" }, files = { ["/etc/f"] = "f" } }
local command = { "/bin/sh", "-c", "echo >>/marks/ran; head -c 200000 /dev/zero" }
local start = { bwrap = bwrap, stdin = -1, stdout = -1, stderr = -1, capture_stdout = true, input = "x" }
local started = 0

local function launch()
    local base = core.freeze_base(start_with)
    local frozen, problems = core.freeze(fields, { home = marks, files = { "/etc/passwd" } })
    if #problems > 0 then error(problems[1].message, 0) end
    problems = core.validate(frozen, base)
    if #problems > 0 then error(problems[1].message, 0) end
    local plan, _, refused = core.plan(frozen, base, command)
    if not plan then error(refused[1].message, 0) end
    core.describe(plan)
    core.arguments(plan)
    local process, why = core.start(plan, start)
    if not process then error(why, 0) end
    started = started + 1
    core.advance(process, "ended")
    local result = core.result(process, start)
    core.close(process)
    if result.message then error(result.message, 0) end
    return result
end

local function descriptors()
    local count = 0
    for _ in lfs.dir("/proc/self/fd") do count = count + 1 end
    return count
end

lfs.mkdir(marks .. "/m")
assert(launch().kind == "exit") -- everything is loaded now, and the stack has grown
collectgarbage()
local before = descriptors()
local size = tonumber(io.open("/proc/self/statm"):read("a"):match("%d+")) * 4096
assert(os.execute(("prlimit --pid $PPID --as=%d"):format(math.max(size + (1 << 20), 48 << 20))))

local hog, blocks, block, key, seen
local function grow()
    while true do
        hog = { hog, ("x"):rep(block) .. block }
        blocks = blocks + 1
    end
end
local function fill(first)
    block = 1 << 20
    pcall(grow)
    block = first
    repeat pcall(grow) block = block // 2 until block < 8
end
local function note() seen[key] = (seen[key] or 0) + 1 end
local failed, ran = 0, 0

local function sweep(first)
    hog, blocks, seen = {}, 0, {}
    local enough, ok, result = ran + 3
    pcall(fill, first)
    repeat
        for _ = 0, blocks // 250 do hog = hog and hog[1] end
        collectgarbage()
        ok, result = pcall(launch)
        if ok then ran = ran + 1 key = result.kind else failed = failed + 1 key = result end
        pcall(note)
    until not hog or ran == enough
    hog = nil
    collectgarbage()
    for text, count in pairs(seen) do
        if not (text:find("not enough memory") or text:find("Cannot allocate memory") or text == "exit") then
            print(count, text)
        end
    end
end
for _, first in ipairs { 8192, 3000, 1024, 300 } do
    sweep(first)
end
collectgarbage()
print(failed > 100, ran > 2, descriptors() - before, #io.open(marks .. "/ran"):read("a") - started)
]]

-- Opens all descriptors that RLIMIT_NOFILE leaves, and closes one after the other between tries to launch. Prints the
-- reasons in the order in which they appear.
local DESCRIPTORS = [[
local core = require "demilune.core"
local demilune = require "demilune"
local marks, how = arg[1], arg[2]
local dangers = { "x11", "dbus", "engine_socket" } -- whatever of them there is on this host
local ways = {}

function ways.run(plan)
    return plan:run { capture = true, stdin = "x" }
end

function ways.spawn(plan)
    local process, why = plan:spawn { stdin = "pipe", stdout = "pipe", stderr = "null" }
    if not process then return nil, why end
    local result, problem = process:wait()
    process:close()
    return result, problem
end

local function launch()
    local policy, why = demilune.policy { rw_binds = { marks }, secrets = { ["/s"] = "x" }, masks = { marks .. "/m" },
        network = true, acknowledge = dangers, limits = { memory = "1G", cpu_time = 100 } }
    local plan, result
    if policy then plan, why = policy:plan { "sh", "-c", "echo >>" .. marks .. "/ran" } end
    if plan then result, why = ways[how](plan) end
    return result and result.kind or why
end

local function version()
    local text, why = core.bwrap_version(core.find_bwrap())
    return text and "exit" or why
end

local try = how == "version" and version or launch
assert(try() == "exit")
local hog, ran = {}, 1
for file in function() return (io.open("/dev/null")) end do hog[#hog + 1] = file end
local last
while #hog > 0 do
    local outcome = try()
    if outcome == "exit" then ran = ran + 1 end
    for line in (outcome ~= last and outcome or ""):gmatch("[^\n]+") do print(line) end
    last = outcome
    table.remove(hog):close()
end
print(ran > 1, how == "version" or #io.open(marks .. "/ran"):read("a") == ran)
]]

-- Counts the allocations of a program that it is loaded into first, and fails the `n`th of them, or all from there on.
local ALLOCATOR = [[
#include <errno.h>
#include <lua.h>
#include <lauxlib.h>
#include <stddef.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static long left = -1, all;
static int fails(void)
{
    if (left < 0 || left-- > 0) return 0;
    if (all) left = 0;
    errno = ENOMEM;
    return 1;
}
void *malloc(size_t size) { return fails() ? 0 : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails() ? 0 : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return fails() ? 0 : __libc_realloc(old, size); }
void *reallocarray(void *old, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) { errno = ENOMEM; return 0; }
    return realloc(old, total);
}
/* fail(n, all): from now on; fail(0): no more -> whether any did */
static int fail(lua_State *L)
{
    static int begun;
    int reached = begun && (all ? left == 0 : left < 0);
    begun = lua_tointeger(L, 1) > 0;
    left = begun ? (long)lua_tointeger(L, 1) - 1 : -1;
    all = lua_toboolean(L, 2);
    lua_pushboolean(L, reached);
    return 1;
}
int luaopen_allocator(lua_State *L) { lua_pushcfunction(L, fail); return 1; }
]]

local NTH = [[
local fail = package.loadlib(arg[1], "luaopen_allocator")()
local core, demilune, lfs = require "demilune.core", require "demilune", require "lfs"
local policy = demilune.policy { secrets = { ["/s"] = "x" }, env = { A = "b" }, limits = { output = 3000 } }
local function launch()
    local process <close> = assert(policy:spawn({ "sh", "-c", "read -r line; echo $line; head -c 9000 /dev/zero >&2" },
        { stdin = "pipe", stdout = "pipe", stderr = "capture" }))
    process.stdin:write("said\n")
    process.stdin:close()
    local piece = process.stdout:lines()()
    local result, message
    repeat
        core.wait_readable({ process:pollfd() }, 60)
        result, message = process:poll()
    until message ~= "running"
    assert(result, message)
    if result.exit_code == 0 then -- what could not be kept is counted
        assert(#result.stderr + result.stderr_dropped == 9000, result.stderr_dropped)
        assert(piece == "said", piece)
    end
end
local function descriptors()
    local count = 0
    for _ in lfs.dir "/proc/self/fd" do count = count + 1 end
    return count
end
local function children() return io.open("/proc/thread-self/children"):read("a") end
-- A launch reaps what the collector ended.
local function settle()
    for _ = 1, 200 do
        collectgarbage() collectgarbage()
        launch()
        if children() == "" then return end
        os.execute "sleep 0.02"
    end
end
launch() settle()
local before, words, tried, failed = descriptors(), 0, 0, 0
for _, all in ipairs { false, true } do
    local n, step, reached = 1, 1
    repeat
        fail(n, all)
        local ok, text = pcall(launch)
        reached = fail(0)
        tried, failed = tried + 1, failed + (ok and 0 or 1)
        words = words + ((ok or tostring(text):find "not enough memory" or text:find "annot allocate memory") and 0 or 1)
        if not ok and not tostring(text):find "ot .*memory" then io.stderr:write(n, " ", tostring(text), "\n") end
        if tried % 20 == 0 then
            settle()
            if descriptors() ~= before then print("left after allocation", n, all, descriptors() - before) end
        end
        n = n + step
    until not reached
end
settle()
print(tried > 200, failed > 100, words, descriptors() - before, children() == "")
]]

-- Policies that are to be refused, with the n-th allocation failing, for each n: memory that runs out is an error, and
-- never a reason to let them pass. Prints how many were, and how many tries failed otherwise.
local NTH_CEILING = [[
local fail = package.loadlib(arg[1], "luaopen_allocator")()
local demilune = require "demilune"
local tree = arg[2]
local ceiling = assert(demilune.ceiling { read = { tree .. "/a" }, deny = { tree .. "/a/b" }, env = { "CI" },
    limits = { timeout = 5 }, network = false })
local wide = demilune.policy { rw_binds = { tree .. "/a" }, env = { HOSTNAME = true }, masks = { tree .. "/a/b/c" } }
local narrow = demilune.policy { ro_binds = { tree .. "/a" }, masks = { tree .. "/a/b" } }
local doubtful = assert(narrow:with({ rw_binds = { { tree .. "/a/b", "/else" } } }, { trusted = false }))
local ways = {
    function() return wide:plan({ "true" }, { ceiling = ceiling }) end,
    function() return (wide:narrower(narrow)) end,
    function() return doubtful:plan { "true" } end,
    function()
        local made = demilune.ceiling { read = { tree }, deny = { "relative" }, bases = { "none" } }
        return made
    end,
}
local passed, failed, words = 0, 0, 0
for _, way in ipairs(ways) do
    assert(not way())
    for _, all in ipairs { false, true } do
        local n, reached = 1
        repeat
            fail(n, all)
            local ok, result = pcall(way)
            reached = fail(0)
            if ok and result then passed = passed + 1 end
            if not ok then
                failed = failed + 1
                words = words + (tostring(result):find "not enough memory" and 0 or 1)
            end
            n = n + 1
        until not reached
    end
end
print(passed, failed > 100, words)
]]

describe("exhaustion:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("C4: memory that runs out at any moment is an error in words #unsanitized", function()
        local result = probe.lua(scratch("host.lua"), MEMORY, { suffix = scratch(), prefix = "MALLOC_MMAP_THRESHOLD_=131072" })
        assert.equal("true\ttrue\t0\t0\n", result.out, result.err)
    end)

    -- Runs a program with an allocator that fails when it is told to.
    local function with_allocator(program, suffix)
        sandbox.write(scratch("allocator.c"), ALLOCATOR)
        local built = sandbox.sh(("gcc -O1 -shared -fPIC -I/usr/include/lua5.4 -o %s %s"):format(scratch("allocator.so"),
            scratch("allocator.c")))
        assert.equal(0, built.code, built.err)
        return probe.lua(scratch("host.lua"), program, { suffix = scratch("allocator.so") .. " " .. (suffix or ""),
            prefix = "LD_PRELOAD=" .. scratch("allocator.so") })
    end

    it("C4: of a process the n-th allocation fails, for each n, and leaves nothing behind #unsanitized", function()
        local result = with_allocator(NTH)
        assert.equal("true\ttrue\t0\t0\ttrue\n", result.out, result.err)
    end)

    it("memory that runs out lets nothing pass a ceiling or a comparison #unsanitized", function()
        sandbox.sh("mkdir -p " .. scratch("a/b/c"))
        local result = with_allocator(NTH_CEILING, scratch())
        assert.equal("0\ttrue\t0\n", result.out, result.err)
    end)

    local native = sandbox.backend == "native"
    local START = native and "no new namespaces" or "no process can be started"
    local LAUNCH = { '"/usr" cannot be looked up', '"/proc/net/unix" cannot be looked up', "no socket", "no pidfd",
        "no memory file", START, "descriptors cannot be handed over" }
    if not native then
        table.insert(LAUNCH, 6, "/proc/thread-self/ns cannot be read")
    end
    local WITH_PIPES = table.move(LAUNCH, 3, #LAUNCH, 4, { LAUNCH[1], LAUNCH[2], "no pipe" })
    for name, case in pairs {
        ["of a run"] = { "run", LAUNCH },
        ["of a run with standard input closed"] = { "run <&-", LAUNCH },
        ["of a process with pipes"] = { "spawn", WITH_PIPES },
        ["of asking bwrap"] = { "version", { "no pipe", "no process can be started", "descriptors cannot be handed over" } },
    } do
        it(("C4: descriptors that run out at any moment %s are an error in words"):format(name), function()
            os.execute("mkdir " .. sandbox.quote(scratch("m")))
            local result = probe.lua(scratch("host.lua"), DESCRIPTORS, { suffix = scratch() .. " " .. case[1],
                prefix = "ulimit -n 60;" })
            local place = 1
            for _, reason in ipairs(case[2]) do
                place = select(2, result.out:find(reason, place, true))
                assert.is_number(place, reason .. " is not in its place:\n" .. result.out .. result.err)
            end
            for line in result.out:gmatch("[^\n]+") do
                assert.is_truthy(line:find("Too many open files", 1, true) or line == "exit" or line == "true\ttrue", line)
            end
            assert.matches("\nexit\ntrue\ttrue\n$", result.out)
        end)
    end

    it("C4: a process that no descriptor is left for cannot be polled, and ends all the same", function()
        local result = probe.lua(scratch("host.lua"), [[
            local process = assert(require "demilune".policy {}:spawn({ "sleep", "0.2" }, { stdin = "null" }))
            local hog = {}
            for file in function() return (io.open("/dev/null")) end do hog[#hog + 1] = file end
            print(pcall(process.pollfd, process))
            for _, file in ipairs(hog) do file:close() end
            print(process:wait().kind, pcall(process.pollfd, process))]], { prefix = "ulimit -n 60;" })
        assert.matches("^false\t.*no descriptor to poll: Too many open files\nexit\ttrue\t%d+\n$", result.out, result.err)
    end)

    if not sandbox.is_root then -- whose processes the kernel does not count
        it("processes that may not be started are an error in words #unsanitized", function()
            local result = probe.lua(scratch("host.lua"), [[
                local policy = require "demilune".policy {}
                print((select(2, policy:run { "true" })))]], { prefix = "prlimit --nproc=0 --" })
            assert.equal((native and "native backend: " or "") .. START .. ": Resource temporarily unavailable\n", result.out, result.err)
        end)
    end
end)
