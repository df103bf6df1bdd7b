-- Limits: as declared inside, and what happens when one is reached.
local demilune = require "demilune"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

describe("limits:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local SHOW = [[
import resource
for name in ("CPU", "FSIZE", "NOFILE", "AS", "CORE"):
    print(name, *resource.getrlimit(getattr(resource, "RLIMIT_" + name)))
]]

    it("R1: are set as declared, hard too", function()
        local result = probe.python({ "--cpu-time", "5s", "--limit", "file_size=3M", "--limit",
            "open_files=33", "--memory",
            "2G" }, SHOW)
        -- in a cgroup, which root can make, memory is no address space
        local space = sandbox.is_root and "-1 -1" or ("%d %d"):format(2 << 30, 2 << 30)
        assert.equal(("CPU 5 6\nFSIZE %d %d\nNOFILE 33 33\nAS %s\nCORE 0 0\n"):format(3 << 20, 3 << 20, space),
            result.out, result.err)
    end)

    it("without any are the caller's, but for core dumps", function()
        local bare = probe.bare(SHOW)
        assert.equal((bare.out:gsub("CORE [^\n]*", "CORE 0 0")), probe.python({}, SHOW).out)
    end)

    it("cannot be raised inside", function()
        local code = "import resource\ntry:\n resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n print('raised')\n" ..
            "except (ValueError, PermissionError) as error: print('refused')"
        assert.equal("refused\n", probe.python({ "--limit", "open_files=33" }, code).out)
    end)

    it("the soft limit of open files is the caller's again, however many binds there are", function()
        local code = [[
            local demilune, binds = require "demilune", {}
            for i = 1, 300 do
                binds[i] = { "/usr/share", ("/b/%d"):format(i) }
            end
            local result = assert(demilune.policy { ro_binds = binds }:run({ "sh", "-c", "ulimit -Sn; ls /b | wc -l" },
                { capture = true }))
            io.write(result.stdout)]]
        assert.equal("64\n300\n", probe.lua(scratch("host.lua"), code, { prefix = "ulimit -Sn 64;" }).out)
    end)

    it("processor time: 124, and its own kind", function()
        local record, result = probe.status(scratch("status"), { "--cpu-time", "1s", "--", "sh", "-c",
            "while :; do :; done" })
        assert.equal(124, result.code)
        assert.matches("demilune: ended by its limit: cpu_time\n$", result.err)
        assert.same({ "cpu_time", "XCPU" }, { record.kind, record.signal_name })
    end)

    it("processor time ends a command that ignores the first signal", function()
        local record, result = probe.status(scratch("status"), { "--cpu-time", "1s", "--",
            "/usr/bin/python3", "-c",
            "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass" })
        assert.equal(124, result.code)
        assert.same({ "cpu_time", 9 }, { record.kind, record.signal })
    end)

    it("SIGKILL from elsewhere is not taken for spent processor time", function()
        local record = probe.status(scratch("status"), { "--cpu-time", "100s", "--", "sh", "-c",
            "kill -KILL $$" })
        assert.equal("signal", record.kind)
    end)

    it("time: 124, and its own kind", function()
        local record, result = probe.status(scratch("status"), { "--timeout", "1s", "--", "sleep", "300" })
        assert.equal(124, result.code)
        assert.equal("demilune: ended by its limit: timeout\n", result.err)
        assert.same({ "timeout", 15 }, { record.kind, record.signal })
        assert.is_true(record.wall >= 1 and record.wall < 60)
    end)

    it("the size of a file", function()
        local result = sandbox.script({ "--limit", "file_size=100K" },
            "head -c 200000 /dev/zero >/work/f; echo $?; wc -c </work/f")
        assert.equal("153\n102400\n", result.out)
    end)

    it("open files", function()
        local code = "import os\nn = 0\ntry:\n while True: os.dup(0); n += 1\nexcept OSError as e: print(n, e.strerror)"
        assert.equal("17 Too many open files\n", probe.python({ "--limit", "open_files=20" }, code).out)
    end)

    it("memory", function()
        local code = "try:\n x = bytearray(600 << 20); print('got it')\nexcept MemoryError: print('refused')"
        assert.equal(sandbox.is_root and "" or "refused\n", probe.python({ "--memory", "512M" }, code).out)
        assert.equal("got it\n", probe.python({ "--memory", "4G" }, code).out)
    end)

    it("processes", function()
        local code = [[
import os, time
n = 0
try:
    while n < 50:
        if os.fork() == 0:
            time.sleep(60)
        n += 1
except BlockingIOError:
    pass
print("stopped" if n < 20 else "never stopped")
]]
        local result = probe.python({ "--pids", "20" }, code)
        assert.equal("stopped\n", result.out, result.err)
        assert.equal("never stopped\n", probe.python({}, code).out)
    end)

    it("F7: filling a tmpfs stops at its size, each of them", function()
        for _, place in ipairs { "/tmp", "/work", "/dev/shm" } do
            local script = ("head -c 9000000 /dev/zero >%s/f; wc -c <%s/f"):format(place, place)
            local result = sandbox.script({ "--limit", "tmp=2M" }, script)
            assert.equal("2097152\n", result.out)
            assert.matches("No space left on device", result.err)
        end
    end)

    it("F7: a tmpfs of the policy has its own size", function()
        local policy = assert(demilune.policy { tmpfs = { { sandbox = "/scratch", size = "1M",
            mode = "0700" } } })
        local result = assert(policy:run({ "sh", "-c",
            "stat -c %a /scratch; head -c 9000000 /dev/zero >/scratch/f; wc -c </scratch/f" },
            { capture = true, stdin = "null" }))
        assert.equal("700\n1048576\n", result.stdout)
    end)

    it("a crash leaves no core dump", function()
        local record, result = probe.status(scratch("status"), { "--rw", scratch() .. "/d:/d", "-C", "/d",
            "--", "sh", "-c",
            "ulimit -c unlimited; kill -SEGV $$" }, { prefix = "mkdir " .. scratch("d") ..
                "; ulimit -c unlimited;" })
        assert.equal(139, result.code)
        assert.is_false(record.core)
        assert.same("0", sandbox.sh("ls -A " .. scratch("d") .. " | wc -l").out:match("%d+"))
    end)

    it("what the kernel refuses to set is a refusal, not a command without a limit", function()
        local result = sandbox.script({ "--limit", "open_files=2000000000" }, "echo ran")
        assert.equal(125, result.code)
        assert.equal("", result.out)
        assert.matches("%-%-limit open_files", result.err)
    end)
end)
