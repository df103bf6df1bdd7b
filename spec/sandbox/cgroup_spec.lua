-- Limits on the sandbox as a whole: cgroups, where they can be made, and what takes their place where not.
local cgroups = require "support.cgroups"
local cjson = require("cjson").new()
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Each of four programs takes 40 MiB and keeps them a while.
local FOUR_TIMES_FORTY = [[
import os, time
children = []
for i in range(4):
    pid = os.fork()
    if pid == 0:
        block = bytearray(40 << 20)
        time.sleep(1)
        os._exit(0)
    children.append(pid)
print(sorted(os.waitpid(pid, 0)[1] for pid in children))
]]

local FORKS = [[
import os, time
n = 0
try:
    while n < 60:
        if os.fork() == 0:
            time.sleep(60)
        n += 1
except BlockingIOError:
    pass
print(n)
]]

local FOUR_LOOPS = "for i in 1 2 3 4; do (while :; do :; done) & done; wait"

describe("limits of the whole sandbox:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- Runs demilune, as user `uid`, in a cgroup that is that user's. Returns status and result.
    local function run(uid, words, command, more)
        more = more or {}
        local own = cgroups.new(uid)
        local above = more.limit and more.limit:format(more.most, own:top("pids")) or ""
        local tree, status = scratch("tree"), scratch("status")
        sandbox.sh(("mkdir -p %s/share/lua; cp -r %s/../bin %s; cp -rL %s/../share/lua/5.4 %s/share/lua; chmod -R a+rX %s %s")
            :format(tree, lfs.currentdir() .. "/" .. (os.getenv("BUILD") or "build") .. "/bin", tree,
                lfs.currentdir() .. "/" .. (os.getenv("BUILD") or "build") .. "/bin", tree, tree, scratch()))
        sandbox.write(status, "", "666")
        local arguments = { "--reuid", uid, "--regid", uid, "--clear-groups", tree .. "/bin/demilune", "run", "--status",
            status }
        table.move(words, 1, #words, #arguments + 1, arguments)
        arguments[#arguments + 1] = "--"
        table.move(command, 1, #command, #arguments + 1, arguments)
        local result = sandbox.demilune(arguments, {
            command = "setpriv", prefix = "cd /;" .. own:enter() .. above .. (more.prefix or ""), suffix = more.suffix,
        })
        if more.before_removal then
            more.before_removal(own, result)
        end
        own:remove()
        local text = sandbox.read(status)
        return text ~= "" and cjson.decode(text) or nil, result
    end

    for _, uid in ipairs(sandbox.is_root and { 0, 1000 } or {}) do
        describe(("user %d in a cgroup of its own:"):format(uid), function()
            it("R2: memory counts for all together, and a command that takes too much has its own kind", function()
                local record, result = run(uid, { "--memory", "100M" }, { "/usr/bin/python3", "-c", FOUR_TIMES_FORTY })
                assert.matches("9", result.out) -- at least one was killed, each of them had room enough
                assert.same({ "memory" }, record.limits_hit)
                assert.matches("came to its limit: memory", result.err)
                record, result = run(uid, { "--memory", "64M" },
                    { "/usr/bin/python3", "-c", "x = bytearray(200 << 20); print('got it')" })
                assert.same({ "memory", 9, { "memory" } }, { record.kind, record.signal, record.limits_hit })
                assert.same({ 124, "", "demilune: ended by its limit: memory\n" }, { result.code, result.out, result.err })
            end)

            it("a limit of memory that the sandbox itself does not fit into is an error, and the runner lives", function()
                local options = { "--memory", "1M" }
                for i = 1, 300 do
                    options[#options + 1] = "--ro"
                    options[#options + 1] = ("/usr/share:/data/q%d/a/b/c"):format(i)
                end
                local record, result = run(uid, options, { "true" })
                assert.same({ "limit.memory", 125 }, { record.code, result.code })
                assert.matches("limits.memory is too small to start anything", result.err, 1, true)
            end)

            it("R2: what is in private directories is memory too", function()
                local record = run(uid, { "--memory", "64M" },
                    { "sh", "-c", "head -c 200000000 /dev/zero >/tmp/f; echo done" })
                assert.same({ "memory" }, record.limits_hit)
            end)

            it("R2: without the limit the same programs have their memory", function()
                local record, result = run(uid, {}, { "/usr/bin/python3", "-c", FOUR_TIMES_FORTY })
                assert.same({ "[0, 0, 0, 0]\n", {} }, { result.out, record.limits_hit })
            end)

            it("R3: processes are counted, exactly", function()
                for most, forked in pairs { [1] = "0\n", [7] = "6\n" } do
                    local record, result = run(uid, { "--pids", most }, { "/usr/bin/python3", "-c", FORKS })
                    assert.same({ "exit", forked, { "pids" } }, { record.kind, result.out, record.limits_hit }, result.err)
                end
            end)

            it("R3: a fork bomb comes to its limit, and nothing of it is left", function()
                local record, result = run(uid, { "--pids", "20", "--timeout", "2s" },
                    { "sh", "-c", "(bomb() { bomb | bomb & }; bomb) & exec sleep 60" })
                assert.equal(124, result.code)
                assert.equal("timeout", record.kind)
                assert.same({ "timeout", "pids" }, record.limits_hit)
            end)

            it("R4: processor time counts for all together", function()
                local record, result = run(uid, { "--cpu-time", "1s", "--timeout", "60s" }, { "sh", "-c", FOUR_LOOPS })
                assert.same({ 124, "cpu_time", { "cpu_time" } }, { result.code, record.kind, record.limits_hit })
            end)

            it("R4: a command that kills itself before its time is spent has not spent it", function()
                local record = run(uid, { "--cpu-time", "1s" },
                    { "sh", "-c", "timeout 0.8 sh -c 'while :; do :; done'; kill -9 $$" })
                assert.same({ "signal", {} }, { record.kind, record.limits_hit })
            end)

            it("R3: what a cgroup above has no room for is not our limit", function()
                local record = run(uid, { "--pids", "50" }, { "sh", "-c", "true; /bin/true; exit 0" },
                    { limit = "echo %d >%s/pids.max;", most = 5 })
                assert.same({}, record.limits_hit)
                record = run(uid, { "--pids", "50" }, { "sh", "-c", "true; /bin/true; exit 0" },
                    { limit = "echo %d >%s/pids.max;", most = 3 })
                assert.is_true(record.code == "setup.failed", record.code)
            end)

            it("R4: processor time ends what ignores the first signal", function()
                local record = run(uid, { "--cpu-time", "1s", "--timeout", "60s" },
                    { "sh", "-c", "trap '' XCPU TERM;" .. FOUR_LOOPS })
                assert.same({ "cpu_time", "KILL" }, { record.kind, record.signal_name })
            end)

            it("the limit of memory is no limit of address space", function()
                local _, result = run(uid, { "--memory", "64M" }, { "/usr/bin/python3", "-c",
                    "import mmap; m = mmap.mmap(-1, 1 << 30); m[0] = 1; print('reserved')" })
                assert.equal("reserved\n", result.out, result.err)
            end)

            it("limits that leave no room for a start are a refusal in words", function()
                -- 1 MiB is the least that a policy can say; this machine may start a small program in it
                local record, result = run(uid, { "--memory", "1M" }, { "/usr/bin/python3", "-c", "x = bytearray(8 << 20)" })
                if record.kind == "memory" then
                    assert.equal(124, result.code)
                else
                    assert.same({ "limit.memory", 125 }, { record.code, result.code })
                end
            end)

            it("a cgroup that is required is applied, also without a limit", function()
                local record = run(uid, { "--require", "cgroup" }, { "true" })
                assert.is_true((" " .. table.concat(record.applied, " ") .. " "):find(" cgroup ", 1, true) ~= nil)
            end)

            it("inside it cannot be seen", function()
                local _, result = run(uid, { "--memory", "64M", "--pids", "9" }, { "cat", "/proc/self/cgroup" })
                assert.is_nil(result.out:find("demilune", 1, true))
            end)

            it("what a killed runner leaves goes with the next run, what a living one has stays", function()
                local command = "%s/bin/demilune run --memory 64M --pids 9 -- sleep 300"
                local seen
                run(uid, { "--memory", "64M", "--pids", "9" }, { "true" }, {
                    prefix = ("(setpriv --reuid %d --regid %d --clear-groups " .. command .. ") & living=$!; "):format(uid, uid,
                            scratch("tree")) ..
                        ("(exec setpriv --reuid %d --regid %d --clear-groups " .. command .. ") & killed=$!; "):format(uid, uid,
                            scratch("tree")) ..
                        "sleep 1; kill -9 $killed; wait $killed; sleep 0.5;",
                    suffix = "; echo; find /sys/fs/cgroup -path '*" .. leaks.run_name ..
                        "*' -name 'demilune-[0-9]*' | grep -c . ; pkill -INT -P $living; kill $living; wait",
                    before_removal = function(_, result)
                        seen = result.out
                    end,
                })
                assert.is_true(tonumber(seen:match("%d+")) >= 1 and tonumber(seen:match("%d+")) <= 2, seen)
            end)
        end)
    end

    -- As on a host where nobody shows us a cgroup.
    local function hidden(words)
        return sandbox.demilune(words, { command = "unshare", suffix = "" })
    end

    for _, uid in ipairs(sandbox.is_root and { 0 } or {}) do
        it(("user %d where none can be seen: processes are refused, memory is each process's"):format(uid), function()
            local hide = "mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" \"$@\""
            local result = hidden { "-m", "sh", "-c", hide, sandbox.command, "run", "--pids", "5", "--", "true" }
            assert.equal(125, result.code)
            assert.matches("%-%-pids: .* start as an ordinary user %[limit.unavailable%]", result.err)
            result = hidden { "-m", "sh", "-c", hide, sandbox.command, "run", "--memory", "512M", "--", "/usr/bin/python3",
                "-c", "x = bytearray(600 << 20)" }
            assert.matches("MemoryError", result.err)
            assert.matches("warning: no cgroup can be made here", result.err)
        end)
    end

    for _, uid in ipairs(sandbox.is_root and {} or { 1000 }) do
        it(("user %d where none can be made: limits of each process, and that is said"):format(uid), function()
            local policy = assert(demilune.policy { limits = { memory = "512M" } })
            local result = assert(policy:run({ "/usr/bin/python3", "-c", "x = bytearray(600 << 20)" }, { capture = true }))
            assert.matches("MemoryError", result.stderr)
            assert.same({ "cgroup" }, result.skipped)
            local said = sandbox.script({ "--memory", "512M" }, "sleep 0.5; echo done >&2")
            assert.equal("demilune: warning: no cgroup can be made here: limits of memory, pids and cpu_time hold for each " ..
                "process, not for all together\ndone\n", said.err) -- and before it is over
        end)

        it(("user %d where none can be made: one that is required is a refusal, which explain foretells"):format(uid), function()
            local policy = assert(demilune.policy { requires = { "cgroup" } })
            local result, message, code = policy:run { "true" }
            assert.is_nil(result)
            assert.equal("control.unavailable", code)
            assert.matches('^requires: "cgroup" cannot be had: no cgroup can be made below our own; start as root, '
                .. "or in a delegated one", message)
        end)
    end

    -- A host that watches one descriptor and knows of no clock, in a cgroup of its own.
    local LOOP = [[
local core, demilune = require "demilune.core", require "demilune"
local function loop(command)
    local process = assert(assert(demilune.policy { limits = { cpu_time = 1, memory = "64M" } }):spawn(command,
        { stdin = "null", stdout = "null", stderr = "null" }))
    local result
    repeat
        core.wait_readable({ process:pollfd() })
        result = process:poll()
    until result
    process:close()
    return result.kind
end
local ends = { loop { "sh", "-c", arg[1] }, loop { "python3", "-c", "x = bytearray(100 << 20)" }, loop { "true" } }
do
    local forgotten = assert(demilune.policy { limits = { memory = "64M" } }):spawn({ "sleep", "300" }, { stdin = "null" })
    forgotten = nil
    collectgarbage()
end
print(table.concat(ends, " "))
]]

    for _, uid in ipairs(sandbox.is_root and { 0 } or {}) do
        it(("user %d: a loop with one descriptor sees limits of the whole sandbox too, and a process that is forgotten "
            .. "leaves no cgroup"):format(uid), function()
            local own = cgroups.new(uid)
            local result = probe.lua(scratch("host.lua"), LOOP,
                { prefix = own:enter(), suffix = sandbox.quote(FOUR_LOOPS) })
            own:remove()
            assert.equal("cpu_time memory exit\n", result.out, result.err)
        end)
    end

    it("Landlock that is required is a problem under bwrap", function()
        local policy = assert(demilune.policy { requires = { "landlock" } })
        assert.equal("requires.unavailable", select(3, policy:plan({ "true" }, { backend = "bwrap" })))
        assert.is_truthy(policy:plan({ "true" }, { backend = "native" }))
    end)

    it("what is switched off cannot be required", function()
        for name, fields in pairs { seccomp = { seccomp = "off" }, disable_userns = { nested = true } } do
            fields.requires = { name }
            local policy, _, code = demilune.policy(fields)
            local problems = policy and sandbox.codes(policy:problems { "true" }) or { code }
            assert.same({ "requires.off" }, problems)
        end
    end)
end)
