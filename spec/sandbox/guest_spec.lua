-- A library in somebody's program: the host's signals, descriptors and surroundings, whatever they are.
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Starts Lua with signals ignored and blocked, and descriptors closed, as daemons do: argv[1] is the list of steps.
local WRAPPER = [[
import os, signal, sys
for step in sys.argv[1].split(","):
    if step == "ignore":
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
    elif step == "block":
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.valid_signals()))
    elif step.startswith("close"):
        os.close(int(step[5:]))
    elif step == "open":
        for number in range(50):
            os.set_inheritable(os.open("/etc/passwd", os.O_RDONLY), True)
os.execvp(sys.argv[2], sys.argv[2:])
]]

describe("the host", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function under(steps, code)
        return probe.lua(scratch("host.lua"), code,
            { prefix = ("/usr/bin/python3 -c %s %s"):format(sandbox.quote(WRAPPER),
            sandbox.quote(steps)) })
    end

    -- What a run inside such a host gives: the input, the output, and the masks inside.
    local RUN = [[
        local demilune = require "demilune"
        local result, problem = demilune.policy {}:run({ "sh", "-c",
            "cat; grep -E '^Sig(Blk|Ign)' /proc/self/status; exit 5" }, { stdin = "input\n", capture = true })
        local out = assert(io.open(%q, "w"))
        out:write(result and result.stdout .. result.exit_code or tostring(problem))
        out:close()]]
    local CLEAN = "input\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n5"

    for _, steps in ipairs { "", "ignore", "block", "ignore,block", "open", "close0", "close1", "close2",
        "close0,close1,close2", "ignore,block,open,close0,close1,close2" } do
        it("may come as " .. (steps == "" and "usual" or steps), function()
            under(steps, RUN:format(scratch("out")))
            local out = sandbox.read(scratch("out"))
            assert.equal(CLEAN, out)
        end)
    end

    for _, steps in ipairs { "ignore,block", "close0", "close1", "close2", "close0,close1,close2" } do
        it("may run the command with " .. steps, function()
            local words = { steps, sandbox.command, "run", "--status", scratch("status"), "--rw",
                scratch() .. "/w:/w", "--",
                "sh", "-c", "cat >/w/out; ls -l /proc/self/fd >/w/fds; exit 6" }
            assert(os.execute("mkdir " .. scratch("w")))
            assert.equal(6, probe.host(WRAPPER, words).code)
            assert.equal("", sandbox.read(scratch("w/out")))
            assert.is_nil(sandbox.read(scratch("w/fds")):find("status", 1, true),
                "the status file is open inside")
        end)
    end

    it("needs no more files of the module, once it has it", function()
        local result = under("", [[
            local demilune = require "demilune"
            package.path, package.cpath = "", ""
            local policy = demilune.policy { effects = { "Pure" }, limits = { timeout = 20 }, prepare = function() end,
                launched = function() end }
            local options = { stdin = "null", narrow = { limits = { timeout = 10 } }, ceiling = demilune.ceiling {} }
            print(policy:run({ "true" }, options).kind)
            print((select(3, policy:run({ "missing" }, options))))
            print((select(3, policy:run({ "true" }, { narrow = { network = true } }))))
            print((select(3, demilune.policy { ro_binds = { "/missing" } }:run { "true" })))
            print((select(3, demilune.load "/missing.lua")))]])
        assert.equal("exit\ncommand.missing\nnarrow.wider\nbind.missing\npolicy.missing\n", result.out, result.err)
    end)

    it("keeps its mask, handlers, directory, umask, limits and environment", function()
        local result = under("", [[
            local demilune = require "demilune"
            local function state()
                local lines = {}
                for line in io.lines("/proc/self/status") do
                    if line:find("^Sig[^Q]") or line:find("^Shd") or line:find("^Umask") or line:find("^NoNew")
                        or line:find("^Seccomp") or line:find("^Groups") or line:find("^Threads") then
                        lines[#lines + 1] = line
                    end
                end
                for _, name in ipairs { "limits", "environ", "mountinfo", "cgroup", "oom_score_adj" } do
                    lines[#lines + 1] = io.open("/proc/self/" .. name):read("a")
                end
                local handle = io.popen("readlink /proc/$PPID/cwd /proc/$PPID/root /proc/$PPID/ns/*", "r")
                lines[#lines + 1] = handle:read("a")
                handle:close()
                return table.concat(lines, "\n")
            end
            local before = state()
            for _, command in ipairs { { "true" }, { "no-such-command" }, { "sh", "-c", "kill $$" } } do
                demilune.policy { limits = { open_files = 50 } }:run(command, { capture = true })
            end
            demilune.policy {}:run({ "sleep", "9" }, { timeout = 0.05 })
            print(before == state() and "unchanged" or before .. "\n" .. state())]])
        assert.equal("unchanged\n", result.out, result.err)
    end)

    it("keeps the children that are its own", function()
        local result = probe.host([[
import subprocess, sys
child = subprocess.Popen(["sleep", "0.3"])
print(subprocess.run(sys.argv[1:]).returncode, child.wait())
]], { sandbox.command, "run", "true" })
        assert.equal("0 0\n", result.out, result.err)
    end)

    it("may have a low limit of open files, which the command gets back", function()
        local result = sandbox.script({}, "ulimit -n", { prefix = "ulimit -n 40;" })
        assert.equal("40\n", result.out, result.err)
    end)
end)
