-- Whether one policy gives no more than another, field by field, and what is said when it does.
local demilune = require "demilune"
local lfs = require "lfs"
local sandbox = require "support.sandbox"

describe("policy:narrower", function()
    local scratch = sandbox.scratch(before_each, after_each)

    before_each(function()
        for _, name in ipairs { "a", "a/b", "a/b/c", "d" } do
            assert(lfs.mkdir(scratch(name)))
        end
    end)

    local function compare(one, other)
        return assert(demilune.policy(one)):narrower(assert(demilune.policy(other)))
    end

    -- One gives no more than the other, which gives more than one.
    local function less(one, other, ...)
        assert.is_true(compare(one, other))
        assert.is_true(compare(one, one))
        local narrower, example = compare(other, one)
        assert.is_false(narrower)
        for _, part in ipairs { ... } do
            assert(example:find(part, 1, true), ("%s is not in: %s"):format(part, example))
        end
    end

    it("compares what can be read and written, wherever it stands inside", function()
        less({}, { ro_binds = { scratch "a" } }, "ro_binds[1]: ", scratch "a", "can be read", "gives no access")
        less({ ro_binds = { scratch "a" } }, { rw_binds = { scratch "a" } }, "rw_binds[1]: ", "can be written",
            "lets it be read alone")
        less({ ro_binds = { scratch "a/b" } }, { ro_binds = { scratch "a" } }, scratch "a")
        less({ ro_binds = { { scratch "a/b", "/x" } } }, { ro_binds = { { scratch "a", "/y" } } })
        less({ work_host = scratch "a" }, { rw_binds = { { scratch(), "/all" } } }, "rw_binds[1]")
        less({ project = { scratch "a", write = false } }, { project = scratch "a" }, "project: ")
        less({ effects = { { effect = "FsRead", path = scratch "a" } } }, { rw_binds = { scratch "a" } })
        less({ base = "none", env_allowlist = {} }, {}, "base: ", "/usr")
    end)

    it("sees what stands below: a mask, a private tree, another bind", function()
        local whole = { rw_binds = { scratch "a" } }
        less({ rw_binds = { scratch "a" }, masks = { scratch "a/b" } }, whole, scratch "a/b", "can be written",
            "gives no access")
        less({ rw_binds = { scratch "a" }, tmpfs = { { sandbox = scratch "a/b", size = "4K" } } }, whole, scratch "a/b")
        less({ rw_binds = { scratch "a" }, ro_binds = { scratch "a/b" } }, whole, "lets it be read alone")
        less({ rw_binds = { scratch "a" }, masks = { scratch "a/b" } },
            { rw_binds = { scratch "a" }, masks = { scratch "a/b/c" } }, scratch "a/b")
        less({ rw_binds = { scratch "a" }, masks = { scratch "a/b" } },
            { rw_binds = { scratch "a" }, ro_binds = { { scratch "a/b", "/else" } }, masks = { scratch "a/b" } },
            "/else" and "can be read")
        -- what is hidden here and shown there is shown
        assert.is_true(compare({ rw_binds = { scratch "a" } },
            { rw_binds = { scratch "a", { scratch "a/b", "/else" } }, masks = { scratch "a/b" } }))
        -- a bind in the place of another takes the other away
        less({ ro_binds = { scratch "a", { scratch "d", scratch "a/b" } } }, { ro_binds = { scratch "a", scratch "d" } },
            scratch "a/b")
    end)

    it("compares devices", function()
        less({ acknowledge = { "device" } },
            { devices = { { "/dev/zero", "/dev/spare" } }, acknowledge = { "device" } }, "devices[1]", "/dev/zero")
        -- a node can be opened as a device, and not in a tree, however writable
        local root = { { "/", "/host" } }
        less({ rw_binds = root, acknowledge = { "device", "root_rw" } }, { rw_binds = root,
            devices = { { "/dev/zero", "/dev/spare" } }, acknowledge = { "device", "root_rw" } }, "devices[1]",
            "does not let it be used as a device")
        local function opened(path)
            return assert(assert(demilune.policy { rw_binds = root, devices = { { "/dev/zero", "/dev/spare" } },
                acknowledge = { "device", "root_rw" } }):run({ "head", "-c1", path }, { capture = true })).exit_code
        end
        assert.same({ 1, 0 }, { opened "/host/dev/zero", opened "/dev/spare" })
    end)

    it("compares by where links lead", function()
        assert(lfs.link(scratch "a", scratch "link", true))
        assert.is_true(compare({ ro_binds = { scratch "link" } }, { ro_binds = { scratch "a" } }))
        assert.is_true(compare({ ro_binds = { scratch "a" } }, { ro_binds = { scratch "link" } }))
    end)

    it("compares network, terminal, nesting and user", function()
        less({}, { network = true }, "network")
        less({ base = "none" }, { base = "none", effects = { "Network" } }, "network")
        less({}, { tty = true }, "tty")
        less({}, { nested = true }, "nested")
        less({ env = { USER = false } }, { user = "caller", env = { USER = false } }, "user")
        less({}, { user = "caller" }, "user")
    end)

    it("compares what is passed through and what is set, by name, whatever the caller has", function()
        less({}, { env = { DEMILUNE_NOT_THERE = true } }, "env.DEMILUNE_NOT_THERE", "passed through")
        less({ env = { LANG = false } }, {}, "LANG", "passed through")
        less({ env = { LC_TIME = false } }, {}, "LC_")
        less({ env_allowlist = {} }, {}, "LANG")
        less({}, { env = { A = "1" } }, "env.A", "is set")
        assert.is_true(compare({ env = { A = "1", B = "2" } }, { env = { B = "2", A = "1" } }))
        assert.is_false(compare({ env = { A = "1" } }, { env = { A = "2" } }))
        assert.is_false(compare({ env = { A = "1" } }, { env = { A = true } }))
        assert.is_false(compare({ env = { A = true } }, { env = { A = "1" } }))
        local _, example = compare({ env = { A_TOKEN = "hidden" } }, {})
        assert.is_nil(example:find("hidden", 1, true))
    end)

    it("compares the filter", function()
        less({}, { seccomp = { allow = { "debug" } } }, '"debug" is let through')
        less({ seccomp = { allow = { "debug" } } }, { seccomp = { allow = { "debug", "perf" } } }, '"perf"')
        less({ seccomp = { allow = { "debug" } } }, { seccomp = "off" }, "no system call is filtered")
    end)

    it("compares limits: none is more than any", function()
        for name, values in pairs {
            timeout = { "1s", "2s" }, cpu_time = { 1, 1.5 }, memory = { "1G", "2G" }, file_size = { 0, 1 },
            open_files = { 10, 11 }, output = { 0, 10 }, pids = not sandbox.is_root and { 10, 11 } or nil,
        } do
            less({ limits = { [name] = values[1] } }, { limits = { [name] = values[2] } }, "limits." .. name, "more than")
            less({ limits = { [name] = values[2] } }, {}, "limits." .. name, "no such limit")
        end
        less({ limits = { tmp = "1%" } }, {}, "limits.tmp")
        -- as a person writes them, and to the byte where that would look the same
        for name, said in pairs {
            memory = { "1G", "2560M", "2.5G is more than the 1G of the other" }, timeout = { "1m", "1h",
                "3600 s is more than the 60 s of the other" }, open_files = { 10, 20, "20 is more than the 10 of the other" },
            output = { 1 << 30, (1 << 30) + 1, "1073741825 bytes is more than the 1073741824 bytes of the other" },
        } do
            less({ limits = { [name] = said[1] } }, { limits = { [name] = said[2] } }, said[3])
            local most = said[1] == 1 << 30 and "1G" or said[3]:match("the (.-) of the other$")
            less({ limits = { [name] = said[1] } }, {}, "the other has one of " .. most)
        end
        less({ limits = { tmp = "1M" }, tmpfs = { { sandbox = "/x", size = "1M" } } },
            { limits = { tmp = "1M" }, tmpfs = { { sandbox = "/x", size = "2M" } } }, "tmpfs[1]", "/x", "can hold 2M; the other allows 1M")
        assert.is_true(compare({ tmpfs = { "/x" } }, {}))
    end)

    it("compares dangers accepted and controls required", function()
        less({}, { acknowledge = { "home" } }, '"home" is accepted')
        less({ requires = { "bind_fd", "seccomp" } }, { requires = { "seccomp" } }, '"bind_fd"', "requires it")
    end)

    it("does not care for names, places to start, links, secrets", function()
        assert.is_true(compare({ name = "a", chdir = "/tmp", symlinks = { { target = "/x", sandbox = "/y" } },
            secrets = { ["/s"] = "x" }, hostname = "there", masks = { "/nothing" } }, {}))
    end)

    it("cannot say so of a policy that could not be launched", function()
        local bad, good = demilune.policy { ro_binds = { scratch "nothing" } }, demilune.policy {}
        for _, pair in ipairs { { bad, good }, { good, bad } } do
            local narrower, text, code, problems = pair[1]:narrower(pair[2])
            assert.is_nil(narrower)
            assert.equal("bind.missing", code)
            assert.truthy(text:find("ro_binds[1]", 1, true))
            assert.equal(1, #problems)
        end
        assert.has_error(function() good:narrower {} end)
    end)
end)
