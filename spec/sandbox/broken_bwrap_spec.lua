-- A bwrap that is broken, hangs, or hands nonsense on: each ends in words and in time, and nothing is left of it.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

describe("a broken bwrap #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function plan_for(fields)
        return assert(assert(demilune.policy(fields)):plan { "true" }).core
    end

    -- With the bwrap that is there, or one that is written first: it is another binary then.
    local function start(text, fields)
        if text then
            sandbox.write(scratch("bwrap"), text, "755")
        end
        return core.start(plan_for(fields or {}), { bwrap = scratch("bwrap"), stdin = -1, stdout = -1, stderr = -1 })
    end

    local function python(code)
        return "#!/usr/bin/python3 -I\nimport os, struct, sys\n" .. code
    end

    it("that is not there, or no program, is no bwrap", function()
        local process, reason, code = core.start(plan_for {}, { bwrap = "/nonexistent/bwrap" })
        assert.is_nil(process)
        assert.same({ '"/nonexistent/bwrap" cannot be executed: No such file or directory', "setup.failed" }, { reason, code })
        reason = select(2, start("no program"))
        assert.matches("cannot be executed: Exec format error", reason, 1, true)
    end)

    for what, change in pairs { ["cut short"] = "text[:-1]", ["too short for a header"] = "text[:40]",
        ["with another magic"] = "b'x' + text[1:]", ["with arguments without end"] = "text[:8] + b'\\xff' * 4 + text[12:]" } do
        it("that hands on a message " .. what .. " is told so by the stage", function()
            local process = assert(start(python(([[
text = os.read(5, 1 << 20)
text = %s
fd = os.memfd_create("message")
os.write(fd, text[:4] + struct.pack("=I", len(text)) + text[8:])
os.dup2(fd, 5)
os.execv(sys.argv[4], sys.argv[4:])
]]):format(change))))
            local result = sandbox.finish(process)
            assert.same({ "setup_failed", "inner stage: its message cannot be read: it makes no sense" },
                { result.kind, result.message })
        end)
    end

    for what, case in pairs {
        ["of an unknown kind"] = { 99, 0, 0, "bwrap could not set the sandbox up: it ended without a word" },
        ["of an unknown step"] = { 2, 99, 5, "inner stage: a step failed: Input/output error" },
        ["of an unknown check"] = { 1, 0, 99, "bwrap did not isolate what it was told to: it is not what it should be; " ..
            "is it the real bwrap?" },
    } do
        it("that forges a report " .. what .. " is no success", function()
            local process = assert(start(python(("os.write(6, struct.pack('=IIqQQQQ', %d, %d, %d, 0, 0, 0, 0))")
                :format(case[1], case[2], case[3]))))
            local result = sandbox.finish(process)
            assert.same({ "setup_failed", case[4] }, { result.kind, result.message })
        end)
    end

    -- Its own pid and that of its child, which it writes into a file, and whether they are gone.
    local HANGS = "#!/bin/sh\nsleep 300 & echo $$ $! >%s\nwhile :; do wait; done\n"

    local function is_alive(pid)
        local status = sandbox.read("/proc/" .. pid .. "/stat")
        return status and not status:find("%) [ZX] ") -- whoever adopted it may not have reaped it yet
    end

    local function are_gone()
        local text = sandbox.read(scratch("pids")) or ""
        local first, second = text:match("^(%d+) (%d+)\n$")
        assert(first, "it has started, and has a child: " .. text)
        local deadline = core.clock() + 2
        while (is_alive(first) or is_alive(second)) and core.clock() < deadline do
            os.execute("sleep 0.02") -- a signal takes its time
        end
        return not is_alive(first) and not is_alive(second)
    end

    it("that hangs is killed with its child when the time is over", function()
        local before = core.clock()
        local result = sandbox.finish(assert(start(HANGS:format(scratch("pids")), { limits = { timeout = "300ms" } })))
        assert.same({ "timeout", "limit.timeout", "the timeout ended it before the command ran" },
            { result.kind, result.code, result.message })
        assert.is_true(core.clock() - before < 10)
        assert.is_true(are_gone())
    end)

    it("that hangs is killed with its child when nobody wants it any more", function()
        local text = ("#!/bin/sh\n[ -e %s ] || exec %s \"$@\"\n"):format(scratch("hang"), core.find_bwrap())
        text = text .. HANGS:format(scratch("pids"))
        assert.equal("exit", sandbox.finish(assert(start(text))).kind) -- it has shown what it can
        sandbox.write(scratch("hang"), "")
        local process = assert(start())
        core.advance(process, "running", 0.3)
        core.close(process)
        assert.is_true(are_gone())
    end)

    it("that says good-bye and stays is killed with its child", function()
        local text = HANGS:gsub("\n", "\nexec 6>&-\n", 1):format(scratch("pids"))
        local before = core.clock()
        assert.equal("bwrap could not set the sandbox up: it ended without a word", sandbox.finish(assert(start(text))).message)
        assert.is_true(core.clock() - before < 10)
        assert.is_true(are_gone())
    end)

    it("that is gone once it has been asked is no bwrap", function()
        local result = sandbox.finish(assert(start(([[#!/bin/sh
[ "$1" != --help ] || { rm "$0"; %s --help | grep -v -e --size; exit; }
echo 'bwrap: Unknown option --size' >&2
exit 1
]]):format(core.find_bwrap()))))
        assert.same({ "setup_failed", ('"%s" cannot be executed: No such file or directory'):format(scratch("bwrap")) },
            { result.kind, result.message })
    end)

    it("that knows no option at all is asked what it knows, and given up", function()
        local text = ("#!/bin/sh\necho \"$1\" >>%s\necho 'bwrap: Unknown option' >&2\nexit 1\n"):format(scratch("asked"))
        for _, written in ipairs { text, false } do
            local result = sandbox.finish(assert(start(written)))
            assert.same({ "setup_failed", "bwrap could not set the sandbox up: Unknown option" }, { result.kind, result.message })
        end
        assert.equal("--args\n--help\n--args\n--help\n", sandbox.read(scratch("asked")))
    end)

    it("that claims more than it does is believed once", function()
        local text = ("#!/bin/sh\necho \"$1\" >>%s\n[ \"$1\" != --help ] || { %s --help; exit; }\n" ..
            "echo 'bwrap: Unknown option' >&2\nexit 1\n"):format(scratch("asked"), core.find_bwrap())
        for _, written in ipairs { text, false } do
            assert.equal("setup_failed", sandbox.finish(assert(start(written))).kind)
        end
        assert.equal("--args\n--help\n--args\n", sandbox.read(scratch("asked")))
    end)

    describe("asked for its version", function()
        local function version(text)
            return core.bwrap_version(sandbox.write(scratch("bwrap"), text, "755"))
        end

        it("says it", function()
            assert.equal("0.9.9", version("#!/bin/sh\necho bubblewrap 0.9.9\n"))
        end)

        it("and failing has none", function()
            local text, reason = version("#!/bin/sh\nexit 3\n")
            assert.is_nil(text)
            assert.equal(('"%s" --version failed'):format(scratch("bwrap")), reason)
            assert.matches("cannot be executed", select(2, core.bwrap_version("/nonexistent")), 1, true)
        end)

        it("and silent has none, in time", function()
            local before = core.clock()
            assert.is_nil(version("#!/bin/sh\nexec >/dev/null 2>&1 sleep 300\n"))
            assert.is_true(core.clock() - before < 20)
        end)
    end)
end)
