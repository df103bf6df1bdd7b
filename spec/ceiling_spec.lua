-- The operator's ceiling: what exceeds it is refused, and nothing else.
local core = require "demilune.core"
local demilune = require "demilune"
local lacking = require "support.lacking"
local lfs = require "lfs"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

describe("a ceiling", function()
    local scratch = sandbox.scratch(before_each, after_each)

    before_each(function()
        for _, name in ipairs { "open", "open/sub", "shown", "other", "open/secret", "open/secret/deep" } do
            assert(lfs.mkdir(scratch(name)))
        end
    end)

    local function problems(bound, fields, options)
        options = options or {}
        options.ceiling = assert(demilune.ceiling(bound))
        return (assert(demilune.policy(fields)):problems({ "true" }, options))
    end

    local function allows(bound, fields, options)
        assert.same({}, sandbox.codes(problems(bound, fields, options)))
    end

    local function refuses(bound, fields, code, field, options)
        local found = problems(bound, fields, options)
        local problem = policies.find(found, code, field)
        assert.equal(1, #found)
        return problem.message
    end

    it("that says nothing bounds nothing but the backend", function()
        allows({}, { network = true, rw_binds = { scratch "open" }, limits = { memory = "1T" }, nested = true })
    end)

    it("bounds what can be written, and by that what can be read, by trees", function()
        local bound = { write = { scratch "open" } }
        allows(bound, { rw_binds = { scratch "open" } })
        allows(bound, { rw_binds = { { scratch "open/sub", "/x" } }, ro_binds = { scratch "open" } })
        allows(bound, { work_host = scratch "open" })
        local text = refuses(bound, { rw_binds = { scratch "other" } }, "ceiling.write", "rw_binds[1]")
        assert.truthy(text:find("writing in " .. core.quote(scratch "open"), 1, true))
        refuses(bound, { work_host = scratch "other" }, "ceiling.write", "work_host")
        refuses(bound, { project = scratch "other" }, "ceiling.write", "project")
        refuses(bound, { ro_binds = { scratch "other" } }, "ceiling.read", "ro_binds[1]")
        refuses(bound, { effects = { { effect = "FsWrite", path = scratch "other" } } }, "ceiling.write",
            "effects[1].path")
        refuses(bound, { rw_binds = { scratch() } }, "ceiling.write", "rw_binds[1]")
    end)

    it("bounds what can be read; nothing is writable where nothing is said of that", function()
        local bound = { read = { scratch "open" } }
        allows(bound, { ro_binds = { scratch "open/sub" } })
        refuses(bound, { rw_binds = { scratch "open/sub" } }, "ceiling.write", "rw_binds[1]")
        refuses(bound, { ro_binds = { scratch "shown" } }, "ceiling.read", "ro_binds[1]")
        assert.truthy(refuses({ read = {} }, { ro_binds = { scratch "shown" } }, "ceiling.read")
            :find("reading in nothing", 1, true))
    end)

    it("takes a name for the tree of exactly that name", function()
        assert(lfs.mkdir(scratch "opened"))
        refuses({ read = { scratch "open" } }, { ro_binds = { scratch "opened" } }, "ceiling.read")
        allows({ read = { "/" } }, { ro_binds = { scratch "opened" } })
        allows({ read = { scratch "open" .. "//" } }, { ro_binds = { scratch "open" } })
    end)

    it("looks at where links lead, of what is bound and of what is denied", function()
        assert(lfs.link(scratch "other", scratch "open/link", true))
        refuses({ read = { scratch "open" } }, { ro_binds = { scratch "open/link" } }, "ceiling.read")
        assert(lfs.link(scratch "open", scratch "alias", true))
        -- a link that somebody may turn widens nothing: what it is called is not what it leads to
        refuses({ read = { scratch "alias" } }, { ro_binds = { scratch "open" } }, "ceiling.read")
        refuses({ deny = { scratch "alias" } }, { ro_binds = { scratch "open/sub" } }, "ceiling.deny")
    end)

    it("denies a tree, from above and from inside, unless something else stands there", function()
        local bound = { deny = { scratch "open/secret" } }
        refuses(bound, { ro_binds = { scratch "open" } }, "ceiling.deny", "ro_binds[1]")
        refuses(bound, { ro_binds = { scratch "open/secret" } }, "ceiling.deny", "ro_binds[1]")
        refuses(bound, { ro_binds = { scratch "open/secret/deep" } }, "ceiling.deny", "ro_binds[1]")
        allows(bound, { ro_binds = { scratch "open/sub" } })
        allows(bound, { ro_binds = { scratch "open" }, masks = { scratch "open/secret" } })
        allows(bound, { rw_binds = { scratch "open" }, masks = { scratch "open/secret" } })
        allows(bound, { ro_binds = { scratch "open" }, tmpfs = { scratch "open/secret" } })
        refuses(bound, { ro_binds = { scratch "open" }, masks = { scratch "open/secret/deep" } }, "ceiling.deny")
        refuses(bound, { ro_binds = { scratch "open", { scratch "open", "/again" } },
            masks = { scratch "open/secret" } }, "ceiling.deny", "ro_binds[2]")
        refuses(bound, { ro_binds = { scratch "open", { scratch "open/secret", "/again" } },
            masks = { scratch "open/secret" } }, "ceiling.deny", "ro_binds[2]")
    end)

    it("denies the same under another name", function()
        sandbox.write(scratch "open/file", "secret")
        assert(lfs.link(scratch "open/file", scratch "other/name"))
        refuses({ deny = { scratch "open/file" } }, { ro_binds = { scratch "other/name" } }, "ceiling.deny", "ro_binds[1]")
        -- its other names can be anywhere in the file system: none, or a tree that has them
        assert.truthy(refuses({ deny = { scratch "open/file" } }, { ro_binds = { scratch "other" } }, "ceiling.deny",
            "ro_binds[1]"):find("another hard link", 1, true))
        refuses({ deny = { scratch "open/file" } }, { ro_binds = { scratch "open" }, masks = { scratch "open/file" } },
            "ceiling.deny")
        allows({ deny = { scratch "open/file" } }, {}) -- what a base shows nobody puts a link into
        os.remove(scratch "other/name")
        allows({ deny = { scratch "open/file" } }, { ro_binds = { scratch "other" } })
    end)

    it("denies what is not there yet where a link on its way leads", function()
        assert(lfs.mkdir(scratch "pub"))
        assert(lfs.link(scratch "pub", scratch "open/link", true))
        assert(lfs.link("gone", scratch "open/loose", true)) -- and gone itself may be made
        assert(lfs.link("loop", scratch "open/loop", true))
        local bound = { deny = { scratch "open/link/secret" } }
        local fields = { rw_binds = { { scratch "pub", "/p" } } }
        assert(assert(demilune.policy(fields)):run({ "touch", "/p/secret" }))
        assert.truthy(sandbox.exists(scratch "open/link/secret")) -- without a ceiling it is made
        os.remove(scratch "pub/secret")
        assert.truthy(refuses(bound, fields, "ceiling.deny", "rw_binds[1]"):find("could be made there", 1, true))
        local result, _, code = assert(demilune.policy(fields)):run({ "touch", "/p/secret" },
            { ceiling = assert(demilune.ceiling(bound)) })
        assert.same({ nil, "ceiling.deny" }, { result, code })
        allows(bound, { ro_binds = { scratch "pub" } })
        allows(bound, { rw_binds = { scratch "other" } })
        refuses({ deny = { scratch "open/loose/x" } }, { rw_binds = { scratch "open" } }, "ceiling.deny", "rw_binds[1]")
        allows({ deny = { scratch "open/loose/x" } }, { rw_binds = { scratch "pub" } })
        assert(lfs.mkdir(scratch "open/gone"))
        refuses({ deny = { scratch "open/loose/x" } }, { rw_binds = { scratch "open/gone" } }, "ceiling.deny", "rw_binds[1]")
        refuses({ deny = { scratch "open/loop/x" } }, {}, "ceiling.deny", "")
    end)

    it("denies the same under another mount", function()
        os.execute(("mkdir -p %s %s %s"):format(scratch "srv/secret/deep", scratch "srv/alias", scratch "srv/new"))
        sandbox.write(scratch "srv/secret/deep/key", "the key")
        sandbox.write(scratch "ceiling.lua", ("return { deny = { %q, %q } }"):format(scratch "srv/secret", scratch "open/absent"))
        local function run(mount, words, ceiling)
            local all = { "run", "-q" }
            table.move(ceiling and { "--ceiling", scratch "ceiling.lua" } or {}, 1, 2, 3, all)
            table.move(words, 1, #words, #all + 1, all)
            return sandbox.demilune(all, { prefix = lacking.mounts_alone(mount) })
        end
        local function bind(from, to)
            return ("mount --bind %s %s"):format(scratch(from), scratch(to))
        end
        local tree = { "--ro", scratch "srv" .. ":/s", "--mask", "/s/secret", "--" }
        for _, case in ipairs {
            { bind("srv/secret", "srv/alias"), tree, "/s/alias/deep/key" },
            { bind("srv/secret/deep", "srv/alias"), tree, "/s/alias/key" },
            { bind("srv", "other"), { "--ro", scratch "other" .. ":/s", "--" }, "/s/secret/deep/key" },
            { bind("srv", "other"), { "--ro", scratch "other/secret/deep" .. ":/s", "--" }, "/s/key" },
        } do
            local words = table.move(case[2], 1, #case[2], 1, {})
            table.move({ "cat", case[3] }, 1, 2, #words + 1, words)
            assert.equal("the key", run(case[1], words).out)
            local result = run(case[1], words, true)
            assert.same({ 125, "" }, { result.code, result.out })
            assert.truthy(result.err:find("under another mount", 1, true) and result.err:find("[ceiling.deny]", 1, true),
                result.err)
        end
        table.move({ "true" }, 1, 1, #tree + 1, tree)
        assert.equal(0, run("true", tree, true).code)
        assert.equal(0, run(bind("shown", "srv/alias"), tree, true).code)
        table.move({ "--mask", "/s/alias", "--", "true" }, 1, 4, #tree - 1, tree)
        assert.equal(0, run(bind("srv/secret", "srv/alias"), tree, true).code)
        local made = { "--rw", scratch "srv" .. ":/s", "--mask", "/s/secret", "--", "true" } -- open/absent, by srv/new
        assert.truthy(run(bind("open", "srv/new"), made, true).err:find("could be made there under another mount", 1, true))
    end)

    it("takes a device for something to be written to", function()
        local fields = { devices = { { "/dev/zero", "/dev/spare" } }, acknowledge = { "device" } }
        allows({ write = { "/dev/zero" } }, fields)
        refuses({ read = { "/dev" } }, fields, "ceiling.write", "devices[1]")
        refuses({ deny = { "/dev/zero" } }, fields, "ceiling.deny", "devices[1]")
        refuses({ acknowledge = {} }, fields, "ceiling.acknowledge")
    end)

    it("denies what is not there where it could be made", function()
        local bound = { deny = { scratch "open/new" } }
        allows(bound, { ro_binds = { scratch "open" } })
        assert.truthy(refuses(bound, { rw_binds = { scratch "open" } }, "ceiling.deny", "rw_binds[1]")
            :find("could be made there; create it, or bind less", 1, true))
    end)

    it("lets a base show what it shows, but for what is denied, and names the bases", function()
        allows({ read = {}, bases = { "host" } }, {})
        refuses({ bases = {} }, {}, "ceiling.base", "base")
        refuses({ bases = { "nix" } }, { base = "host" }, "ceiling.base", "base")
        allows({ bases = {} }, { base = "none" })
        refuses({ deny = { "/usr/share" } }, {}, "ceiling.deny", "base")
        allows({ deny = { "/usr/share" } }, { masks = { "/usr/share" } })
    end)

    it("bounds network, terminal and nesting", function()
        for _, name in ipairs { "network", "tty", "nested" } do
            refuses({ [name] = false }, { [name] = true }, "ceiling." .. name, name)
            allows({ [name] = false }, { [name] = false })
            allows({ [name] = true }, { [name] = true })
            allows({}, { [name] = true })
        end
        refuses({ network = false }, { effects = { "Network" } }, "ceiling.network", "network")
    end)

    it("bounds what is passed through, by names and patterns; values of the policy's own pass", function()
        local bound = { env = { "CI", "DEMILUNE_SPEC_*" } }
        allows(bound, { env = { CI = true, DEMILUNE_SPEC_X = true, OTHER = "value" } })
        allows(bound, { env = { PATH = false }, env_allowlist = { "PATH", "CI" } })
        allows(bound, { env = { PATH = "value" }, env_allowlist = { "PATH" } })
        refuses(bound, { env = { PATH = true } }, "ceiling.env", "env.PATH")
        refuses(bound, { env_allowlist = { "CI", "PATH" } }, "ceiling.env", "env_allowlist[2]")
        refuses(bound, { user = "caller" }, "ceiling.env", "user")
        allows(bound, { user = "caller", env = { USER = "me" } })
        refuses({ env = {} }, { env = { PATH = true } }, "ceiling.env")
        allows({ env = { "*" } }, { env = { PATH = true }, user = "caller" })
    end)

    it("lets be what a policy would pass through and the caller has not", function()
        local path = sandbox.write(scratch "ceiling.lua", 'return { env = { "LANG", "LC_*" } }')
        local function explain(...)
            return sandbox.demilune({ "explain", "--ceiling", path, "-p", "build" }, { env = { ... }, prefix =
                ("cd %s && unset CC CXX CFLAGS CXXFLAGS LDFLAGS; "):format(scratch "open") })
        end
        local fine = explain()
        assert.equal(0, fine.code, fine.err)
        assert.equal(0, explain("LANG=C", "OTHER=x").code)
        for _, value in ipairs { "-O2", "" } do
            local result = explain("CFLAGS=" .. value)
            assert.equal(125, result.code, result.out)
            assert(result.err:find("env.CFLAGS: ", 1, true) and result.err:find("[ceiling.env]", 1, true), result.err)
            assert.is_nil(result.err:find("CXX", 1, true))
        end
    end)

    it("is the most of each limit, and what a policy has that does not say", function()
        local most = { timeout = "1m", cpu_time = 10, memory = "1G", file_size = "1M", open_files = 64, output = 1024,
            tmp = "1M", pids = not sandbox.is_root and 10 or nil }
        for name, value in pairs(most) do
            local more = { pids = 11, timeout = 61, cpu_time = "11s", memory = "2G", file_size = "2M", open_files = 65,
                output = 1025, tmp = "10%" }
            local bound = { limits = { [name] = value } }
            refuses(bound, { limits = { [name] = more[name] } }, "ceiling.limit", "limits." .. name)
            allows(bound, { limits = { [name] = value } })
        end
        for said, given in pairs { ["2G is more than the 1G that it allows"] = { "memory", "1G", "2G" },
            ["1.5M is more than the 1M that it allows"] = { "output", "1M", "1536K" },
            ["3600 s is more than the 90.5 s that it allows"] = { "timeout", 90.5, "1h" } } do
            assert(refuses({ limits = { [given[1]] = given[2] } }, { limits = { [given[1]] = given[3] } },
                "ceiling.limit", "limits." .. given[1]):find(said, 1, true), said)
        end
        local plan = assert(assert(demilune.policy {}):plan({ "true" }, { ceiling = demilune.ceiling { limits = most } }))
        assert.same({ pids = most.pids, timeout = 60.0, cpu_time = 10.0, memory = 1 << 30, file_size = 1 << 20, open_files = 64,
            output = 1024, tmp = 1 << 20 }, core.describe(plan.core).limits)
    end)

    it("keeps a lower limit, and gives the least of several where there is none", function()
        local one, two = demilune.ceiling { limits = { timeout = 10 } }, demilune.ceiling { limits = { timeout = 5 } }
        local function timeout(fields, ceilings, options)
            options = options or {}
            options.ceiling = ceilings
            return core.describe(assert(assert(demilune.policy(fields)):plan({ "true" }, options)).core).limits.timeout
        end
        assert.equal(3.0, timeout({ limits = { timeout = 3 } }, one))
        assert.equal(5.0, timeout({}, { one, two }))
        assert.equal(5.0, timeout({}, { two, one }))
        assert.equal(4.0, timeout({}, { two, one }, { timeout = 4 }))
        policies.find((assert(demilune.policy {}):problems({ "true" }, { ceiling = one, timeout = 11 })), "ceiling.limit")
    end)

    it("bounds every private file system by `tmp`", function()
        local bound = { limits = { tmp = "1M" } }
        allows(bound, { tmpfs = { { sandbox = "/a", size = "1M" } } })
        refuses(bound, { tmpfs = { { sandbox = "/a", size = "2M" } } }, "ceiling.limit", "tmpfs[1]")
        local plan = assert(assert(demilune.policy {}):plan(nil, { ceiling = demilune.ceiling { limits = { tmp = "100%" } } }))
        local half = assert(assert(demilune.policy {}):plan())
        assert.equal(core.describe(half.core).limits.tmp, core.describe(plan.core).limits.tmp)
    end)

    it("bounds the filter; without a word of it, it can be switched off on purpose alone", function()
        refuses({}, { seccomp = "off" }, "ceiling.seccomp", "seccomp")
        allows({}, { seccomp = "off", acknowledge = { "no_seccomp" } })
        allows({ seccomp = "off" }, { seccomp = "off", acknowledge = { "no_seccomp" } })
        refuses({ seccomp = "default" }, { seccomp = "off", acknowledge = { "no_seccomp" } }, "ceiling.seccomp")
        refuses({ seccomp = "default" }, { seccomp = { allow = { "debug" } } }, "ceiling.seccomp")
        allows({ seccomp = { allow = { "debug", "perf" } } }, { seccomp = { allow = { "perf" } } })
        refuses({ seccomp = { allow = { "debug" } } }, { seccomp = { allow = { "debug", "perf" } } }, "ceiling.seccomp")
        allows({ seccomp = { allow = {} } }, { seccomp = "default" })
    end)

    it("bounds the dangers that may be accepted", function()
        refuses({ acknowledge = {} }, { acknowledge = { "home" } }, "ceiling.acknowledge", "acknowledge")
        refuses({ acknowledge = { "home" } }, { acknowledge = { "home", "x11" } }, "ceiling.acknowledge")
        allows({ acknowledge = { "home" } }, { acknowledge = { "home" } })
        allows({}, { acknowledge = { "home" } })
    end)

    it("bounds what the options of a launch add, and what hooks leave", function()
        local function grow(policy)
            policy:rw_bind(scratch "other")
        end
        refuses({ write = { scratch "open" } }, { prepare = grow }, "ceiling.write", "rw_binds[1]")
        refuses({ env = {} }, {}, "ceiling.env", "env.PATH", { env = { PATH = true } })
    end)

    it("is told with its problems, and the others of the policy, all at once", function()
        local found = problems({ read = {}, network = false, limits = { timeout = 1 } },
            { ro_binds = { scratch "open" }, network = true, limits = { timeout = 2 } })
        assert.same({ "ceiling.read", "ceiling.network", "ceiling.limit" }, sandbox.codes(found))
    end)

    it("allows the backends that it names; by default those that isolate", function()
        local policy = assert(demilune.policy {})
        local only_native = demilune.ceiling { backends = { "native" } }
        local result, text, code = policy:run({ "true" }, { backend = "bwrap", ceiling = only_native })
        assert.is_nil(result)
        assert.equal("ceiling.backend", code)
        assert.truthy(text:find('"bwrap"', 1, true) and text:find('"native"', 1, true))
        assert.equal("native", assert(policy:run({ "true" }, { backend = "auto", ceiling = only_native })).backend)
        code = select(3, policy:run({ "true" }, { backend = "none", ceiling = demilune.ceiling {} }))
        assert.equal("ceiling.backend", code)
    end)

    it("is copied, and a plan that was made under it stays under it", function()
        local fields = { network = false }
        local bound = assert(demilune.ceiling(fields))
        fields.network = true
        policies.find((assert(demilune.policy { network = true }):problems(nil, { ceiling = bound })), "ceiling.network")
        local plan = assert(assert(demilune.policy {}):plan({ "true" }, { ceiling = demilune.ceiling { backends = {} } }))
        assert.equal("ceiling.backend", select(3, plan:run()))
        assert.equal("ceiling.backend", select(3, assert(plan:with_command { "false" }):run()))
    end)

    describe("with something wrong in it is refused:", function()
        for name, case in pairs {
            ["an unknown field"] = { { reed = {} }, "field.unknown", "reed", 'did you mean "read"' },
            ["a relative path"] = { { read = { "srv" } }, "path.relative", "read[1]" },
            ["a path with .."] = { { deny = { "/srv/.." } }, "path.dotdot", "deny[1]" },
            ["a path that is none"] = { { write = { 1 } }, "type", "write[1]" },
            ["a list that is none"] = { { read = "/srv" }, "type", "read" },
            ["a pattern in the middle"] = { { env = { "A*B" } }, "env.name", "env[1]" },
            ["an empty name"] = { { env = { "" } }, "env.name", "env[1]" },
            ["a base that is none"] = { { bases = { "hosts" } }, "base.unknown", "bases[1]" },
            ["a backend that is none"] = { { backends = { "auto" } }, "backend.unknown", "backends[1]" },
            ["a limit that is none"] = { { limits = { mem = 1 } }, "field.unknown", "limits.mem" },
            ["a network that is neither"] = { { network = 0 }, "type", "network" },
            ["a NUL"] = { { read = { "/a\0b" } }, "string.nul", "read[1]" },
            ["a hook"] = { { prepare = function() end }, "field.unknown", "prepare" },
        } do
            it(name, function()
                local ceiling, _, _, found = demilune.ceiling(case[1])
                assert.is_nil(ceiling)
                local problem = policies.find(found, case[2], case[3])
                assert.truthy(not case[4] or problem.message:find(case[4], 1, true))
            end)
        end

        it("anything but a ceiling as the option", function()
            local policy = assert(demilune.policy {})
            for _, wrong in ipairs { true, 1, "/etc/ceiling.lua", { read = {} }, { {} } } do
                assert.has_error(function() policy:plan(nil, { ceiling = wrong }) end)
            end
            assert.has_error(function() demilune.ceiling() end)
            assert.has_error(function() demilune.ceiling "file" end)
        end)
    end)
end)
