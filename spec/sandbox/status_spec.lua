-- What became of a command: exit codes, signals, what could not be executed, and arguments that arrive as they are.
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

describe("exit status:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function status(words, more)
        return probe.status(scratch("status"), words, more)
    end

    local function program(name, text, mode)
        return sandbox.write(scratch(name), text, mode or "755")
    end

    -- The scratch directory at /s, and its file `name` as the command.
    local function run_file(name, ...)
        return status { "--ro", scratch() .. ":/s", "--", "/s/" .. name, ... }
    end

    it("P5: exit codes are the command's own", function()
        for _, code in ipairs { 0, 1, 2, 3, 7, 63, 64, 100, 124, 125, 126, 127, 128, 129, 137, 200, 254,
            255 } do
            local record, result = status { "--", "sh", "-c", "exit " .. code }
            assert.equal(code, result.code)
            assert.equal("", result.err)
            assert.same({ "exit", code, code == 0 }, { record.kind, record.exit_code, record.ok })
            assert.is_nil(record.signal)
        end
    end)

    it("an exit code is taken modulo 256, as everywhere", function()
        assert.equal(1, sandbox.demilune({ "run", "/usr/bin/python3", "-c",
            "import os; os._exit(257)" }).code)
    end)

    it("P5: a signal gives 128 and its number, and its name in the status", function()
        local names = { [1] = "HUP", [2] = "INT", [3] = "QUIT", [4] = "ILL", [6] = "ABRT", [8] = "FPE",
            [9] = "KILL",
            [10] = "USR1", [11] = "SEGV", [13] = "PIPE", [14] = "ALRM", [15] = "TERM", [24] = "XCPU",
                [25] = "XFSZ",
            [31] = "SYS", [34] = "34", [64] = "64" }
        for number, name in pairs(names) do
            local code = ("import os; os.kill(os.getpid(), %d)"):format(number)
            if name == "PIPE" or name == "XFSZ" or name == "INT" then -- python changes these
                code = ("import signal; signal.signal(%d, signal.SIG_DFL); "):format(number) .. code
            end
            local record, result = status { "--", "/usr/bin/python3", "-c", code }
            assert.equal(128 + number, result.code)
            assert.same({ "signal", number, name, false, false },
                { record.kind, record.signal, record.signal_name, record.core, record.ok })
            assert.is_nil(record.exit_code)
        end
    end)

    it("exit 137 and SIGKILL are told apart", function()
        local exit = status { "--", "sh", "-c", "exit 137" }
        local killed = status { "--", "sh", "-c", "kill -KILL $$" }
        assert.same({ "exit", 137 }, { exit.kind, exit.exit_code })
        assert.same({ "signal", 9 }, { killed.kind, killed.signal })
    end)

    it("exit 1 and a sandbox that could not be set up are told apart", function()
        local exit = status { "--", "false" }
        assert.same({ "exit", 1 }, { exit.kind, exit.exit_code })
        local fake = program("bwrap", "#!/bin/sh\necho 'bwrap: it went wrong' >&2\nexit 1\n")
        local refused = probe.lua(scratch("start.lua"), ([[
            local core, demilune = require "demilune.core", require "demilune"
            local plan = demilune.policy {}:plan { "true" }
            local process = core.start(plan.core, { bwrap = %q })
            core.advance(process, "ended")
            local result = core.result(process, {})
            print(result.kind, result.code, result.message)]]):format(fake))
        assert.equal("setup_failed\tsetup.failed\tbwrap could not set the sandbox up: it went wrong\n",
            refused.out,
            refused.err)
    end)

    it("a setup failure is 125, and the command has not run", function()
        local record, result = status { "--rw", scratch(), "-C", "/nowhere", "--", "touch",
            scratch("marker") }
        assert.equal(125, result.code)
        assert.same({ "refused", "chdir.missing" }, { record.kind, record.code })
        assert.equal("demilune: " .. record.message .. "\n", result.err)
        assert.matches('^demilune: %-%-chdir: "/nowhere" .*%[chdir.missing%]\n$', result.err)
        assert.is_false(sandbox.exists(scratch("marker")))
    end)

    it("E4: a directory to start in that cannot be entered is 125 with its name", function()
        assert(os.execute("ln -s /nowhere " .. scratch("link")))
        local record, result = status { "--ro", scratch() .. ":/s", "-C", "/s/link", "--", "true" }
        assert.equal(125, result.code)
        assert.same({ "setup_failed", "chdir.missing" }, { record.kind, record.code })
        assert.equal("demilune: cannot start in \"/s/link\": No such file or directory\n", result.err)
    end)

    it("a command that is not there is 127", function()
        for name, more in pairs { ["no-such-command"] = "", ["/no/such/command"] = "", ["/etc/passwd/x"] = "",
            ["./no-such-command"] = ', from "/work", where it starts',
            ["make test"] = "; it is one word, with a space in it: write its words apart, or sh -c" } do
            local record, result = status { "--", name }
            assert.equal(127, result.code)
            assert.equal(('demilune: "%s": not found in the sandbox%s\n'):format(name, more), result.err)
            assert.same({ "not_executed", "command.missing" }, { record.kind, record.code })
        end
    end)

    it("the host's commands are not there when they are not bound", function()
        local path = program("mine", "#!/bin/sh\n")
        assert.equal(127, sandbox.demilune({ "run", "--", path }).code)
        assert.equal(0, sandbox.demilune({ "run", "--ro", path, "--", path }).code)
    end)

    it("a file that cannot be executed is 126, with the reason", function()
        program("plain", "#!/bin/sh\n", "644")
        program("interpreter", "#!/no/such/interpreter\n")
        program("text", "true\n")
        program("empty", "")
        local expected = { plain = "Permission denied", interpreter = "its interpreter is not there",
            text = "is no program", empty = "is no program" }
        for name, reason in pairs(expected) do
            local record, result = run_file(name)
            assert.equal(126, result.code, name)
            assert.equal(('demilune: "/s/%s": %s'):format(name, reason), result.err:match("^[^;\n]*"))
            assert.same({ "not_executed", "command.not_executable" }, { record.kind, record.code })
        end
        assert.equal(126, sandbox.demilune({ "run", "--", "/usr" }).code)
    end)

    it("a file without its x bit in PATH is skipped for a later one, and 126 when there is none", function()
        assert(os.execute(("mkdir %s %s"):format(scratch("a"), scratch("b"))))
        program("a/tool", "#!/bin/sh\necho a\n", "644")
        local words = { "--ro", scratch() .. ":/s", "--env", "PATH=/s/a:/s/b:/usr/bin:/bin", "--", "tool" }
        assert.equal(126, (select(2, status(words))).code)
        program("b/tool", "#!/bin/sh\necho b\n")
        assert.equal("b\n", (select(2, status(words))).out)
    end)

    it("the command is looked up in the sandbox's PATH, not the caller's", function()
        program("tool", "#!/bin/sh\necho here\n")
        local inside = sandbox.demilune({ "run", "--ro", scratch() .. ":/s", "--env", "PATH=/s", "--",
            "tool" },
            { env = { "PATH=/usr/bin:/bin" } })
        assert.equal("here\n", inside.out, inside.err)
        local outside = sandbox.demilune({ "run", "--ro", scratch(), "--", "tool" },
            { env = { "PATH=" .. scratch() .. ":/usr/bin:/bin" } })
        assert.equal(127, outside.code)
    end)

    it("E3: odd program names are programs", function()
        for _, name in ipairs { "--bind", "-c", "a b", "new\nline", "quo'te\"", "\xff\xfe", "=", "--",
            "*" } do
            program(name, "#!/bin/sh\necho \"ran $#\"\n")
            local _, result = run_file(name, "x")
            assert.equal("ran 1\n", result.out, name)
            local by_path = sandbox.demilune({ "run", "--ro", scratch() .. ":/s", "--env",
                "PATH=/s:/usr/bin:/bin", "--", name, "x" })
            assert.equal("ran 1\n", by_path.out, name)
        end
    end)

    it("E3: argument zero is the name as it was written", function()
        assert.equal("sh\n", sandbox.demilune({ "run", "--", "sh", "-c", "echo $0" }).out)
    end)

    it("E3: arguments arrive byte for byte", function()
        local words = { "", " ", "a\nb", "it's", '"', "\\", "$HOME", "`id`", "--", "--bind", "-",
            "\xff\xfe\x80", "\xc3\xa9",
            "\27[2J", ("x"):rep(100000), "\1\2\3\127" }
        local arguments = { "run", "--", "/usr/bin/python3", "-c",
            "import os, sys; sys.stdout.buffer.write(b'\\0'.join(os.fsencode(a) for a in sys.argv[1:]))" }
        table.move(words, 1, #words, #arguments + 1, arguments)
        local result = sandbox.demilune(arguments)
        assert.is_true(result.out == table.concat(words, "\0"), result.err)
    end)

    it("every byte but NUL arrives in an argument and in a value", function()
        local bytes = {}
        for byte = 1, 255 do
            bytes[byte] = string.char(byte)
        end
        local all = table.concat(bytes)
        local code = "import os, sys; sys.stdout.buffer.write(os.fsencode(sys.argv[1]) + os.environb[b'ALL'])"
        local result = sandbox.demilune { "run", "--env", "ALL=" .. all, "--", "/usr/bin/python3", "-c",
            code, all }
        assert.is_true(result.out == all .. all, result.err)
    end)

    it("standard input, output and error pass through untouched", function()
        local bytes = ("\0\255\r\n"):rep(50000)
        local result = sandbox.sh(sandbox.quote(sandbox.command) .. " run -- sh -c 'cat; echo error >&2'",
            bytes)
        assert.is_true(result.out == bytes)
        assert.equal("error\n", result.err)
    end)

    it("the status says how long it took and what it used", function()
        local record = status { "--", "/usr/bin/python3", "-c",
            "import time; x = bytearray(64 << 20); t = time.process_time()\nwhile time.process_time() - t < 0.2: pass" }
        assert.is_true(record.user + record.system >= 0.19)
        assert.is_true(record.wall >= 0.19 and record.wall < 60)
        assert.is_true(record.max_rss >= 64 << 20 and record.max_rss < 1 << 30)
        assert.equal(sandbox.backend, record.backend)
        assert.matches("^%x+$", record.digest)
        assert.equal(64, #record.digest)
    end)
end)
