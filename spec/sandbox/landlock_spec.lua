-- The second wall of the native backend: what it keeps from the command that mounts do not, and what it leaves alone.
local demilune = require "demilune"
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

describe("Landlock #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function run(backend, options, script, more)
        return sandbox.script(table.move(options, 1, #options, 3, { "--backend", backend }), script, more)
    end

    local function has(list, name)
        for _, one in ipairs(list) do
            if one == name then
                return true
            end
        end
        return false
    end

    it("is applied by native, and bwrap does not claim it", function()
        local policy = assert(demilune.policy {})
        for backend, expected in pairs { native = true, bwrap = false } do
            local result = assert(policy:run({ "true" }, { backend = backend }))
            assert.equal(expected, has(result.applied, "landlock"))
            assert.same({}, result.skipped)
        end
    end)

    it("keeps a FIFO in a read-only bind from being written to, which no mount does", function()
        assert(os.execute("mkdir " .. scratch("ro") .. " && mkfifo -m 666 " .. scratch("ro/pipe")))
        local code = [[/usr/bin/python3 -c '
import os
try:
    fd = os.open("/ro/pipe", os.O_RDWR | os.O_NONBLOCK); os.write(fd, b"x"); print("written")
except OSError as error: print(error.strerror)']]
        assert.equal("written\n", run("bwrap", { "--ro", scratch("ro") .. ":/ro" }, code).out)
        assert.equal("Permission denied\n", run("native", { "--ro", scratch("ro") .. ":/ro" }, code).out)
        assert.equal("written\n", run("native", { "--rw", scratch("ro") .. ":/ro" }, code).out)
    end)

    it("leaves alone what is writable: files, directories, links, renames from one directory into another", function()
        assert(os.execute("mkdir -p " .. scratch("rw/a") .. " " .. scratch("rw/b")))
        local script = [[set -e; for at in /rw /tmp /work /dev/shm; do mkdir -p $at/a $at/b; cd $at
            echo text >a/f; mv a/f b/g; ln b/g a/h; ln -s g b/l; mkfifo a/p; : >a/h; rm -r a b; done; echo fine]]
        local result = run("native", { "--rw", scratch("rw") .. ":/rw" }, script)
        assert.equal("fine\n", result.out, result.err)
    end)

    it("leaves the command its own input and output, by name too, and nothing more of their directory", function()
        sandbox.write(scratch("input"), "from a file\n")
        local result = run("native", {}, "cat /dev/stdin; echo out >>/dev/stdout; echo err >/dev/stderr",
            { suffix = "<" .. scratch("input") .. " >" .. scratch("out") .. " 2>" .. scratch("err") })
        assert.equal(0, result.code)
        assert.equal("from a file\nout\n", sandbox.read(scratch("out")))
        assert.equal("err\n", sandbox.read(scratch("err")))
        local more = "cat /proc/self/fd/0/../input; echo x >/proc/self/fd/0"
        assert.matches("Permission denied", run("native", {}, more, { suffix = "<" .. scratch("input") }).err)
        assert.equal("from a file\n", sandbox.read(scratch("input")))
    end)

    it("is not set with nested, whose mounts it would forbid; asked for both, nothing runs", function()
        local result = assert(assert(demilune.policy { nested = true }):run({ "unshare", "-Urm", "mount", "-t", "tmpfs", "none",
            "/tmp" }, { backend = "native" }))
        assert.same({ 0, false, {} }, { result.exit_code, has(result.applied, "landlock"), result.skipped })
        local policy = assert(demilune.policy { nested = true, requires = { "landlock" } })
        local plan, text, code = policy:plan({ "true" }, { backend = "native" })
        assert.same({ nil, "requires.unavailable" }, { plan, code })
        assert.matches("is not to be had with nested", text)
    end)

    for what, without in pairs {
        ["that has none"] = lacking.call { "landlock_create_ruleset", errno = 38 },
        ["where it is switched off"] = lacking.call { "landlock_create_ruleset", errno = 95 },
        ["whose files can be renamed within a directory alone (ABI 1)"] = lacking.landlock(1),
    } do
        it("of a kernel " .. what .. " is left out with a warning, and refused where it is required", function()
            local result = run("native", { "--status", scratch("status") }, "echo ran", { prefix = without })
            assert.equal("ran\n", result.out)
            assert.matches("warning: Landlock is too old in this kernel, or not there", result.err)
            assert.matches('"skipped":%["landlock"%]', sandbox.read(scratch("status")))
            result = run("native", { "--require", "landlock" }, "echo ran", { prefix = without })
            assert.same({ 125, "" }, { result.code, result.out })
            assert.matches("landlock.*is not to be had with this kernel", result.err)
        end)
    end

    for abi = 2, math.min(5, demilune.host().landlock) do
        it(("of ABI %d is applied to the files"):format(abi), function()
            local older = lacking.landlock(abi)
            assert.matches(("Landlock: ABI %d\n"):format(abi), sandbox.demilune({ "doctor" }, { prefix = older }).out, 1, true)
            assert(os.execute("mkdir " .. scratch("ro") .. " && mkfifo -m 666 " .. scratch("ro/pipe")))
            local result = run("native", { "--ro", scratch("ro") .. ":/ro", "--require", "landlock" },
                "echo ran; : <>/ro/pipe", { prefix = older })
            assert.equal("ran\n", result.out, result.err)
            assert.matches("Permission denied", result.err)
        end)
    end

    it("of a kernel without scopes says so where they matter, and is refused where they are required", function()
        local older = lacking.landlock(5)
        local function skipped(options)
            local result = run("native", table.move({ "--status", scratch("status") }, 1, 2, #options + 1, options), "echo ran",
                { prefix = older })
            return result, sandbox.read(scratch("status")):match('"skipped":(%b[])')
        end
        local result, list = skipped { "--net", "--acknowledge", "x11", "--acknowledge", "dbus", "--acknowledge", "engine_socket" }
        assert.equal('["landlock_scopes"]', list, result.err)
        assert.matches("warning: Landlock of this kernel is older than Linux 6.12", result.err, 1, true)
        result, list = skipped {} -- there are no others in a network of its own
        assert.equal("[]", list, result.err)
        result = run("native", { "--net", "--require", "landlock_scopes" }, "echo ran", { prefix = older })
        assert.same({ 125, "" }, { result.code, result.out })
        assert.matches('"landlock_scopes" is not to be had with this kernel: its Landlock is too old, and that of Linux 6.12',
            result.err, 1, true)
        assert.equal(125, run("bwrap", { "--require", "landlock_scopes" }, "echo ran").code)
        if demilune.host().landlock >= 6 then
            assert.equal("ran\n", run("native", { "--require", "landlock_scopes" }, "echo ran").out)
        end
    end)

    -- What explain says of native, with the network shared.
    local function explained(options, prefix)
        local words = table.move(options, 1, #options, 5, { "explain", "--backend", "native", "--net" })
        return sandbox.demilune(table.move({ "--", "true" }, 1, 2, #words + 1, words), { prefix = prefix }).out
    end

    it("is what explain says it is, for this kernel and this plan", function()
        local landlock = demilune.host().landlock
        local function says(fifos, sockets, out)
            assert.matches(fifos and "cannot be written to (Landlock)" or "can be written to\n", out, 1, true)
            assert.matches(sockets and "out of reach with network" or "within reach\n", out, 1, true)
        end
        says(true, landlock >= 6, explained {})
        local older = explained({}, lacking.landlock(2))
        says(true, false, older)
        assert.matches("landlock_scopes: Landlock of this kernel is older than Linux 6.12", older, 1, true)
        says(false, false, explained({}, lacking.call { "landlock_create_ruleset", errno = 38 }))
        says(false, false, explained { "--nested" })
    end)

    it("of a kernel that refuses the rules is an error", function()
        local result = run("native", {}, "echo ran", { prefix = lacking.call { "landlock_restrict_self", errno = 7 } })
        assert.same({ 125, "" }, { result.code, result.out })
        assert.matches("native backend: Landlock refuses its rules: Argument list too long", result.err)
    end)
end)
