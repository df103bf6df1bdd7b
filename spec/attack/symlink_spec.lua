-- Links planted in a writable tree, with mount points below them: bwrap before 0.12 follows them out to the host
-- (CVE-2026-87766). Each attack is also made on bwrap by hand, to see that it would work.
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local flawed = sandbox.sh("bwrap --version").out == "bubblewrap 0.8.0\n"

describe("a planted link:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- The tree, the target outside, and the ways to spell a link to it.
    local function plant()
        assert(lfs.mkdir(scratch("w")))
        assert(lfs.mkdir(scratch("target")))
        local target = scratch("target")
        return {
            absolute = "/oldroot" .. target,
            relative = "../../../../../../../.." .. "/oldroot" .. target,
            magic = "/proc/self/root" .. target,
            plain = target,
            climbing = "../target",
        }
    end

    local function refused(fields, code)
        fields.rw_binds = { { scratch("w"), "/w" } }
        local policy = assert(demilune.policy(fields))
        local result, _, given, problems = policy:run({ "touch", "/w/ran" }, {})
        assert.same({ nil, code }, { result, given })
        assert.equal(code, problems[1].code)
        assert.is_false(sandbox.exists(scratch("w/ran")))
        assert.equal("", sandbox.sh("ls -A " .. scratch("target")).out)
    end

    it("by hand, bwrap 0.8.0 follows it and changes the host", function()
        local links = plant()
        for _, name in ipairs { "absolute", "relative" } do
            assert(lfs.link(links[name], scratch("w/l"), true))
            local words = { "--bind", scratch("w"), "/w", "--dir", "/w/l/" .. name }
            sandbox.sh(probe.reference(words, { "true" }))
            if flawed then
                assert.is_true(sandbox.exists(scratch("target/" .. name)))
            end
            os.remove(scratch("w/l"))
        end
    end)

    it("by hand, masking a dangling .env makes a file on the host", function()
        plant()
        assert(lfs.link("/oldroot" .. scratch("target/made"), scratch("w/.env"), true))
        sandbox.sh(probe.reference({ "--bind", scratch("w"), "/w", "--ro-bind", "/dev/null", "/w/.env" },
            { "true" }))
        if flawed then
            assert.is_true(sandbox.exists(scratch("target/made")))
        end
    end)

    for _, name in ipairs { "absolute", "relative", "magic", "plain", "climbing" } do
        it("on the way to a mount point is a problem of the policy: " .. name, function()
            assert(lfs.link(plant()[name], scratch("w/l"), true))
            sandbox.write(scratch("file"), "x")
            refused({ tmpfs = { { sandbox = "/w/l/x" } } }, "entry.symlink")
            refused({ ro_binds = { { scratch("file"), "/w/l/x" } } }, "entry.symlink")
            refused({ ro_binds = { { "/usr", "/w/l/x/deeper" } } }, "entry.symlink")
            refused({ secrets = { ["/w/l/x"] = "secret" } }, "entry.symlink")
            refused({ masks = { "/w/l/x" } }, "entry.symlink")
            refused({ symlinks = { { target = "/usr", sandbox = "/w/l/x" } } }, "entry.symlink")
        end)

        it("as the mount point itself is a problem of the policy: " .. name, function()
            assert(lfs.link(plant()[name], scratch("w/l"), true))
            sandbox.write(scratch("file"), "x")
            refused({ tmpfs = { { sandbox = "/w/l" } } }, "entry.symlink")
            refused({ ro_binds = { { scratch("file"), "/w/l" } } }, "entry.symlink")
            refused({ secrets = { ["/w/l"] = "secret" } }, "entry.symlink")
            refused({ masks = { "/w/l" } }, "entry.symlink")
        end)
    end

    it("that dangles, masked, is a problem of the policy", function()
        plant()
        assert(lfs.link("/oldroot" .. scratch("target/made"), scratch("w/.env"), true))
        refused({ masks = { "/w/.env" } }, "entry.symlink")
    end)

    it("is harmless to look at: what it leads to is the sandbox's", function()
        plant()
        assert(lfs.link("/etc/shadow", scratch("w/shadow"), true))
        assert(lfs.link("/oldroot/etc/shadow", scratch("w/old"), true))
        local policy = assert(demilune.policy { rw_binds = { { scratch("w"), "/w" } } })
        local result = assert(policy:run({ "sh", "-c", "cat /w/shadow /w/old; (: >/w/old); echo done" },
            { capture = true, stdin = "null" }))
        assert.equal("done\n", result.stdout)
    end)

    it("as the directory to start in leads nowhere outside", function()
        plant()
        assert(lfs.link(scratch("target"), scratch("w/l"), true))
        local result, message, code = assert(demilune.policy { rw_binds = { { scratch("w"), "/w" } },
            chdir = "/w/l" }):run(
            { "touch", "made" }, {})
        assert.same({ nil, "chdir.missing" }, { result, code }, message)
        assert.equal("", sandbox.sh("ls -A " .. scratch("target")).out)
    end)

    describe("literal ..:", function()
        it("by hand, bwrap 0.8.0 climbs out", function()
            plant()
            sandbox.sh(probe.reference({ "--dir", "/../oldroot" .. scratch("target/made") }, { "true" }))
            if flawed then
                assert.is_true(sandbox.exists(scratch("target/made")))
            end
        end)

        it("is a problem of the policy in every field", function()
            plant()
            local out = "/../oldroot" .. scratch("target/made")
            for _, path in ipairs { out, "/w/../.." .. out, "/w/..", "/tmp/../../x" } do
                refused({ tmpfs = { { sandbox = path } } }, "path.dotdot")
                refused({ ro_binds = { { "/usr", path } } }, "path.dotdot")
                refused({ secrets = { [path] = "x" } }, "path.dotdot")
                refused({ masks = { path } }, "path.dotdot")
                refused({ symlinks = { { target = "x", sandbox = path } } }, "path.dotdot")
                refused({ chdir = path }, "path.dotdot")
            end
        end)
    end)
end)
