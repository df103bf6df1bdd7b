-- A source that is not what was checked any more when it is bound.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local sandbox = require "support.sandbox"

describe("a source that is swapped", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local changes = {
        ["by another directory"] = "mv src old; mkdir src; echo evil >src/f",
        ["by a link"] = "mv src old; ln -s evil src",
        ["by a link to itself"] = "mv src old; ln -s old src",
        ["by a file"] = "mv src old; echo evil >src",
        ["by nothing"] = "mv src old",
        ["with a parent that became a link"] = "mv up up.old; ln -s up.evil up",
    }

    for name, change in pairs(changes) do
        for _, field in ipairs { "ro_binds", "rw_binds", "work_host", "project" } do
            it(("after the plan was made, %s: %s"):format(name, field), function()
                assert(os.execute(("cd %s && mkdir -p src evil out up/src up.evil/src && echo good | tee src/f >up/src/f && " ..
                    "echo evil | tee evil/f >up.evil/src/f"):format(scratch())))
                local source = name:find("parent") and scratch("up/src") or scratch("src")
                local policy = assert(demilune.policy {
                    rw_binds = { { scratch("out"), "/out" } },
                    work_host = field == "work_host" and source or nil,
                    project = field == "project" and source or nil,
                }:with(field:find("binds") and { [field] = { { source, "/src" } } } or {}))
                local plan = assert(policy:plan { "sh", "-c", ": >/out/ran" })
                assert(os.execute("cd " .. scratch() .. "; " .. change))
                local result, message, code, problems = plan:run {}
                assert.same({ nil, "source.changed" }, { result, code })
                assert.matches("^[%l_]+%[?%d*%]?: \"[^\"]+\" changed between check and launch", message)
                assert.equal("source.changed", problems[1].code)
                assert.is_false(sandbox.exists(scratch("out/ran")))
            end)
        end
    end

    -- A bwrap that is as slow as an attacker could wish: what happens to the sources happens before it looks at them.
    local function slow_bwrap(change)
        return sandbox.write(scratch "bwrap", ("#!/bin/sh\n(cd %s && %s) || exit 99\nexec %s \"$@\"\n"):format(
            sandbox.quote(scratch()), change, core.find_bwrap()), "755")
    end

    for name, change in pairs(changes) do
        for _, nested in ipairs { false, true } do
            it(("while bwrap starts, %s%s"):format(name, nested and ", with something in it" or ""), function()
                sandbox.sh(("cd %s && mkdir -p src/in evil/in out up/src/in up.evil/src/in other && " ..
                    "echo good | tee src/f >up/src/f && echo evil | tee evil/f >up.evil/src/f"):format(scratch()))
                local source = name:find("parent") and scratch("up/src") or scratch("src")
                local plan = assert(assert(demilune.policy {
                    rw_binds = { { scratch("out"), "/out" } },
                    ro_binds = { { source, "/src" }, nested and { scratch("other"), "/src/in" } or nil },
                }):plan { "sh", "-c", "echo ran >/out/ran; cat /src/f >/out/seen" }).core
                local process = assert(core.start(plan, { bwrap = slow_bwrap(change), stdin = -1 }))
                local result = sandbox.finish(process, {})
                if nested or name == "by a link to itself" then -- what was checked, whatever its name is now
                    assert.equal("exit", result.kind, result.message)
                    assert.equal("good\n", sandbox.read(scratch "out/seen"))
                else
                    assert.same({ "setup_failed", "source.changed" }, { result.kind, result.code }, result.message)
                    assert.matches(name == "by nothing" and "^bwrap could not set the sandbox up: Can't find source path" or
                        "^ro_binds%[[12]%]: \"[^\"]+\" changed between check and launch", result.message)
                    assert.is_false(sandbox.exists(scratch "out/ran"))
                end
            end)
        end
    end

    if sandbox.is_root then -- which it is in its user namespace for its own files alone
        it("is not what only another user may look up", function()
            sandbox.sh(("mkdir -p %s/up/src && chmod 700 %s/up && chown 1000 %s/up"):format(scratch(), scratch(), scratch()))
            local plan = assert(demilune.policy { ro_binds = { { scratch "up/src", "/src" } } }):plan { "true" }
            local result, message, code = plan:run { backend = sandbox.backend }
            assert.same({ nil, "setup.failed" }, { result, code }, message)
            assert.matches("Permission denied", message, 1, true)
        end)
    end

    it("would be seen by a command that bwrap starts by itself", function()
        sandbox.sh(("cd %s && mkdir src evil && echo evil >evil/f"):format(scratch()))
        assert.equal("evil\n", sandbox.sh(("%s --ro-bind / / --ro-bind %s /mnt cat /mnt/f"):format(
            slow_bwrap(changes["by a link"]), scratch "src")).out)
    end)

    it("in a loop is what was planned, or a clear error", function()
        assert(lfs.mkdir(scratch("good")))
        assert(lfs.mkdir(scratch("evil")))
        sandbox.write(scratch("good/f"), scratch("good"))
        sandbox.write(scratch("evil/f"), scratch("evil"))
        assert(lfs.link(scratch("evil"), scratch("link"), true)) -- leads nowhere once bwrap is below its own root
        -- good is a directory and a link to evil in turn, as fast as it goes
        local swapper <close> = assert(io.popen(("exec /usr/bin/python3 -c %s"):format(sandbox.quote(([[
import ctypes, sys, time
libc = ctypes.CDLL(None)
print("ready", flush=True)
end = time.time() + 120
while time.time() < end and not __import__("os").path.exists(%q):
    for _ in range(1000):
        libc.renameat2(-100, %q.encode(), -100, %q.encode(), 2)
]]):format(scratch("stop"), scratch("good"), scratch("link"))))))
        assert.equal("ready", swapper:read())
        local policy = assert(demilune.policy { ro_binds = { { scratch("good"), "/src" } } })
        local seen, errors, wrong = 0, 0, {}
        for _ = 1, 200 do
            local plan, _, code = policy:plan { "cat", "/src/f" }
            local result, planned
            if plan then
                for _, mount in ipairs(core.describe(plan.core).mounts) do
                    planned = mount.at == "/src" and mount.source or planned
                end
                result, _, code = plan:run { capture = true, stdin = "null" }
            end
            if not result then
                errors = errors + 1
                if code ~= "source.changed" and code ~= "bind.missing" and code ~= "bind.unreadable" then
                    wrong[#wrong + 1] = code
                end
            elseif result.ok then
                seen = seen + 1
                -- what was resolved as the link is evil; as the directory, whatever its name is now, it is good
                local expected = planned == scratch("evil") and scratch("evil") or scratch("good")
                if result.stdout ~= expected then
                    wrong[#wrong + 1] = result.stdout .. " for " .. planned
                end
            else
                wrong[#wrong + 1] = result.stderr
            end
        end
        sandbox.write(scratch("stop"), "")
        swapper:read("a")
        assert.same({}, wrong)
        assert.equal(200, seen + errors)
    end)
end)
