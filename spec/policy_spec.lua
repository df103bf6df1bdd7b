-- The shape of a policy: what each field takes, and what a policy that is wrong is told.
local demilune = require "demilune"
local message = require "demilune.message"
local policies = require "support.policies"

local accepted, refused = policies.accepted, policies.refused

-- Fields that each stand alone: { what they show, fields }.
local fine = {
    { "an empty policy", {} },
    { "name and description", { name = "build", description = "" } },
    { "each base", { base = "host" }, { base = "none" } },
    { "a bind as a path", { ro_binds = { "/etc/hostname" } } },
    { "a bind as a pair", { ro_binds = { { "/etc/hostname", "/name" } } } },
    { "a bind with names", { ro_binds = { { host = "/etc/hostname", sandbox = "/name", optional = false } } } },
    { "a bind with a host path alone", { ro_binds = { { host = "/etc/hostname" } } } },
    { "an optional bind that is not there", { rw_binds = { { host = "/nonexistent/x", optional = true } } } },
    { "the same for rw_binds", { rw_binds = { "/opt", { "/opt", "/a" }, { host = "/opt", sandbox = "/b" } } } },
    { "work_host", { work_host = "/opt" } },
    { "network", { network = true }, { network = false } },
    { "env_allowlist", { env_allowlist = {} }, { env_allowlist = { "LANG", "_x9" } } },
    { "env with every kind of value", { env = { A = "x", B = "", LANG = true, TERM = false } } },
    { "effects", { effects = { "Pure", "Fallible", "NonDeterministic", "Process", "Unknown", { effect = "Pure" },
        { effect = "Llm", model = "m" }, { effect = "Cost", cents = 0 }, { effect = "Cost", cents = 3.0 },
        { effect = "FsRead", path = "/etc/hostname" }, { effect = "FsWrite", path = "/opt" } } } },
    { "project", { project = "/opt" }, { project = { "/opt" } }, { project = { "/opt", write = false } },
        { project = { path = "/opt", write = true } } },
    { "tmpfs", { tmpfs = { "/a", { sandbox = "/b" }, { sandbox = "/c", size = 4096, mode = "1777" },
        { sandbox = "/d", size = "64M", mode = "0000" }, { sandbox = "/e", size = 512 * 1024.0 } } } },
    { "symlinks", { symlinks = { { target = "usr/bin", sandbox = "/x" }, { target = "..", sandbox = "/y" } } } },
    { "masks", { masks = { "/a", "/usr/share" } } },
    { "secrets", { secrets = { ["/run/a"] = "\0\255", ["/run/b"] = "" } } },
    { "chdir", { chdir = "/tmp" } },
    { "user", { user = "nobody" }, { user = "caller" } },
    { "hostname", { hostname = "a" } },
    { "tty", { tty = true }, { tty = false } },
    { "nested", { nested = true } },
    { "seccomp", { seccomp = "default" }, { seccomp = "off" }, { seccomp = { allow = {} } },
        { seccomp = { allow = { "debug", "nested", "perf", "io_uring", "keyring", "netlink", "set_id" } } } },
    { "limits as numbers", { limits = { timeout = 1.5, cpu_time = 2, memory = 512 * 1024.0 ^ 2, file_size = 0,
        open_files = 64, output = 0, tmp = 4096 } } },
    { "limits as text", { limits = { timeout = "1.5m", cpu_time = "200ms", memory = "1G", file_size = "10K",
        output = "2M", tmp = "25%" } } },
    { "acknowledge", { acknowledge = { "home", "root_rw", "no_seccomp", "device" } } },
    { "hooks", { prepare = function() end, launched = function() end, finished = function() end } },
}

-- { fields, code, field, and what its line says }. The value is always named where it can be shown.
local wrong = {
    { { network = 1 }, "type", "network", "1 is a number; true or false is needed" },
    { { network = "true" }, "type", "network", '"true" is a string; true or false is needed' },
    { { tty = 0 }, "type", "tty", "0 is a number; true or false is needed" },
    { { nested = {} }, "type", "nested", "table where true or false is needed" },
    { { name = 5 }, "type", "name", "5 is a number; text is needed" },
    { { description = true }, "type", "description", "true is a boolean; text is needed" },
    { { base = 1 }, "type", "base", '1 is a number; "host", "nix" or "none" is needed' },
    { { base = "Host" }, "base.unknown", "base", '"Host" is no base; write "host", "nix" or "none"' },
    { { work_host = 5 }, "type", "work_host", "5 is a number; a directory of the host is needed" },
    { { chdir = false }, "type", "chdir", "false is a boolean; a path inside is needed" },
    { { hostname = 1.5 }, "type", "hostname", "1.5 is a number; a host name is needed" },
    { { user = 0 }, "type", "user", '0 is a number; "nobody" or "caller" is needed' },
    { { user = "root" }, "user.unknown", "user", '"root" is no user; write "nobody" or "caller"' },

    { { ro_binds = "/etc" }, "type", "ro_binds", '"/etc" is a string; a list of binds is needed' },
    { { rw_binds = true }, "type", "rw_binds", "true is a boolean; a list of binds is needed" },
    { { ro_binds = { 7 } }, "type", "ro_binds[1]", "7 is a number", '{ host = , sandbox = } is needed' },
    { { ro_binds = { { "/opt" } } }, "bind.shape", "ro_binds[1]", 'has 1 parts; write { "/host", "/inside" }' },
    { { ro_binds = { { "/a", "/b", "/c" } } }, "bind.shape", "ro_binds[1]", "has 3 parts" },
    { { ro_binds = { { "/opt", 3 } } }, "type", "ro_binds[1].sandbox", "3 is a number; a path is needed" },
    { { ro_binds = { { sandbox = "/a" } } }, "type", "ro_binds[1].host", "nothing where a path is needed" },
    { { ro_binds = { {} } }, "type", "ro_binds[1].host", "nothing where a path is needed" },
    { { ro_binds = { { host = "/opt", sandbox = false } } }, "type", "ro_binds[1].sandbox", "false is a boolean" },
    { { rw_binds = { "/opt", { host = "/opt", optional = 1 } } }, "type", "rw_binds[2].optional",
        "1 is a number; true or false is needed" },
    { { ro_binds = { { host = "/opt", readonly = true } } }, "field.unknown", "ro_binds[1].readonly" },
    { { ro_binds = { { Host = "/opt" } } }, "field.unknown", "ro_binds[1].Host", 'did you mean "host"?' },
    { { ro_binds = { { "/opt", "/a", optional = true } } }, "list.mixed", "ro_binds[1]", '"optional"' },

    { { env_allowlist = "LANG" }, "type", "env_allowlist", '"LANG" is a string; a list of names is needed' },
    { { env_allowlist = { 1 } }, "type", "env_allowlist[1]", "1 is a number; the name of a variable is needed" },
    { { env = { "A=b" } }, "map.key", "env", "has a key that is a number; keys here are names" },
    { { env = { A = 1 } }, "type", "env.A", "1 is a number; a string, true (pass through) or false (leave out)" },
    { { env = "A=b" }, "type", "env", "a map: name = value is needed" },
    { { effects = "Network" }, "type", "effects", "a list of effects is needed" },
    { { effects = { "network" } }, "effect.unknown", "effects[1]",
        '"network" is no effect; did you mean "Network"?' },
    { { effects = { "FsRead" } }, "effect.parameter", "effects[1]", '{ effect = "FsRead", path = ... }' },
    { { effects = { { effect = "FsRead" } } }, "type", "effects[1].path", "nothing where a path is needed" },
    { { effects = { { effect = "Pure", path = "/x" } } }, "field.unknown", "effects[1].path", "unknown field" },
    { { effects = { {} } }, "type", "effects[1].effect", "nothing where an effect is needed" },
    { { effects = { { effect = "Cost", cents = -1 } } }, "type", "effects[1].cents", "-1",
        "a whole number of cents" },
    { { effects = { { effect = "Cost", cents = 1.5 } } }, "type", "effects[1].cents", "1.5 is a number" },
    { { effects = { { effect = "Llm", model = 4 } } }, "type", "effects[1].model", "4 is a number" },
    { { project = 5 }, "type", "project", '5 is a number; "/path" or { "/path", write = false } is needed' },
    { { project = { "/opt", "ro" } }, "field.unknown", "project", 'has more than { "/path", write = }' },
    { { project = { "/opt", writable = false } }, "field.unknown", "project" },
    { { project = { path = "/opt", Write = false } }, "field.unknown", "project.Write", 'did you mean "write"?' },
    { { project = { "/opt", write = "no" } }, "type", "project.write",
        '"no" is a string; true or false is needed' },
    { { project = {} }, "type", "project.path", "nothing where a path is needed" },

    { { tmpfs = { 5 } }, "type", "tmpfs[1]", "5 is a number" },
    { { tmpfs = { { sandbox = "/a", perms = "0755" } } }, "field.unknown", "tmpfs[1].perms" },
    { { tmpfs = { { size = 4096 } } }, "type", "tmpfs[1].sandbox", "nothing where a path is needed" },
    { { symlinks = { "/a" } }, "type", "symlinks[1]",
        '"/a" is a string; { target = "there", sandbox = "/path" }' },
    { { symlinks = { { sandbox = "/a" } } }, "type", "symlinks[1].target",
        "nothing where what it points to is needed" },
    { { masks = { "/a", 5 } }, "type", "masks[2]", '5 is a number; "/path" or { sandbox = "/path", optional = true }' },
    { { masks = { a = "/a" } }, "list.mixed", "masks", 'has the key "a"; it is a list: { a, b, c }' },
    { { secrets = { "x" } }, "map.key", "secrets", "has a key that is a number" },
    { { secrets = { ["/a"] = 1234 } }, "type", 'secrets["/a"]', "number where a string is needed" },

    { { seccomp = false }, "type", "seccomp", "false is a boolean" },
    { { seccomp = "on" }, "seccomp.unknown", "seccomp", '"on" is no filter; write "default", "off" or { allow = { ... } }' },
    { { seccomp = { allow = { "debgu" } } }, "seccomp.option", "seccomp.allow[1]", 'did you mean "debug"?' },
    { { seccomp = { allow = { "xyzzyx" } } }, "seccomp.option", "seccomp.allow[1]",
        "debug nested perf io_uring keyring" },
    { { seccomp = { deny = {} } }, "field.unknown", "seccomp.deny" },
    { { [("network"):rep(6)] = true }, "field.unknown", ("network"):rep(6), "unknown field [" },
    { { limits = { memory = "1T", tmp = "16777216T" } }, "size.invalid", "limits.tmp", '"16777216T" is no size' },
    { { limits = "30s" }, "type", "limits", '"30s" is a string; a map: timeout = "30s"' },
    { { limits = { memry = 1 } }, "field.unknown", "limits.memry", 'did you mean "memory"?' },
    { { limits = { 30 } }, "map.key", "limits", "keys here are names" },
    { { acknowledge = "home" }, "type", "acknowledge", "a list of dangers is needed" },
    { { acknowledge = { "hom" } }, "acknowledge.unknown", "acknowledge[1]",
        '"hom" is no danger; did you mean "home"?' },
    { { prepare = "return" }, "type", "prepare", '"return" is a string; a function is needed' },
    { { launched = {} }, "type", "launched", "table where a function is needed" },
    { { finished = true }, "type", "finished", "true is a boolean; a function is needed" },

    { { requires = { "zzz" } }, "requires.unknown", "requires[1]", '"zzz" is no control; there are bind_fd disable_userns ' },
    { { limits = { zzz = 1 } }, "field.unknown", "limits.zzz", "unknown field; there are timeout cpu_time memory " },
    { { acknowledge = { "zzz" } }, "acknowledge.unknown", "acknowledge[1]", '"zzz" is no danger; there are engine_socket ' },
    { { requires = { "landlok" } }, "requires.unknown", "requires[1]", 'is no control; did you mean "landlock"?' },
    { { requires = "cgroup" }, "type", "requires", "is a string; a list of controls is needed" },
    { { devices = "/dev/dri" }, "type", "devices", "is a string; a list of devices is needed" },
    { { devices = { 5 } }, "type", "devices[1]", "5 is a number" },
    { { devices = { { "/dev/dri", at = "/dev/x" } } }, "list.mixed", "devices[1]", 'has the key "at"' },
    { { devices = { { hots = "/dev/dri" } } }, "field.unknown", "devices[1].hots", 'did you mean "host"?' },
    { { extends = "nosuch" }, "policy.missing", "extends", "no policy is called" },
    { { extends = 1 }, "type", "extends", "the name of a policy" },
    { { extends = { a = "b" } }, "type", "extends", "the name of a policy" },
}

-- Unknown names, and what they are taken for.
local misspelt = {
    robinds = "ro_binds", ro_bind = "ro_binds", ["ro-binds"] = "ro_binds", RO_BINDS = "ro_binds",
    ["Rw-Binds"] = "rw_binds", Network = "network", netwrok = "network", net_work = "network",
    workhost = "work_host", ["work-host"] = "work_host",
    environment = false, envallowlist = "env_allowlist", ["env-allowlist"] = "env_allowlist", ENV = "env",
    hostnme = "hostname", HOSTNAME = "hostname", effect = "effects", mask = "masks", secret = "secrets",
    symlink = "symlinks", TMPFS = "tmpfs", limit = "limits", aknowledge = "acknowledge", chidr = "chdir",
    prepared = "prepare", xyzzy = false, require = "requires", extend = "extends", device = "devices",
        ["pre pare"] = "prepare",
}

-- Every place of a string; the function puts a string there.
local strings = {
    { "name", function(s) return { name = s } end },
    { "description", function(s) return { description = s } end },
    { "base", function(s) return { base = s } end },
    { "work_host", function(s) return { work_host = s } end },
    { "ro_binds[1]", function(s) return { ro_binds = { s } } end },
    { "ro_binds[1].host", function(s) return { ro_binds = { { s, "/a" } } } end },
    { "ro_binds[1].sandbox", function(s) return { ro_binds = { { "/opt", s } } } end },
    { "devices[1]", function(s) return { devices = { s } } end },
    { "devices[1].sandbox", function(s) return { devices = { { "/dev/full", s } } } end },
    { "rw_binds[1].host", function(s) return { rw_binds = { { host = s } } } end },
    { "rw_binds[1].sandbox", function(s) return { rw_binds = { { host = "/opt", sandbox = s } } } end },
    { "env_allowlist[1]", function(s) return { env_allowlist = { s } } end },
    { "env.A", function(s) return { env = { A = s } } end },
    { "env", function(s) return { env = { [s] = "x" } } end },
    { "effects[1]", function(s) return { effects = { s } } end },
    { "effects[1].effect", function(s) return { effects = { { effect = s } } } end },
    { "effects[1].path", function(s) return { effects = { { effect = "FsRead", path = s } } } end },
    { "effects[1].model", function(s) return { effects = { { effect = "Llm", model = s } } } end },
    { "project", function(s) return { project = s } end },
    { "project[1]", function(s) return { project = { s } } end },
    { "project.path", function(s) return { project = { path = s } } end },
    { "tmpfs[1]", function(s) return { tmpfs = { s } } end },
    { "tmpfs[1].sandbox", function(s) return { tmpfs = { { sandbox = s } } } end },
    { "tmpfs[1].mode", function(s) return { tmpfs = { { sandbox = "/a", mode = s } } } end },
    { "symlinks[1].target", function(s) return { symlinks = { { target = s, sandbox = "/a" } } } end },
    { "symlinks[1].sandbox", function(s) return { symlinks = { { target = "a", sandbox = s } } } end },
    { "masks[1]", function(s) return { masks = { s } } end },
    { "secrets", function(s) return { secrets = { [s] = "x" } } end },
    { "chdir", function(s) return { chdir = s } end },
    { "user", function(s) return { user = s } end },
    { "hostname", function(s) return { hostname = s } end },
    { "seccomp", function(s) return { seccomp = s } end },
    { "seccomp.allow[1]", function(s) return { seccomp = { allow = { s } } } end },
    { "acknowledge[1]", function(s) return { acknowledge = { s } } end },
}

local function long_list(count)
    local list = {}
    for i = 1, count do
        list[i] = "N" .. i
    end
    return list
end

describe("a policy takes", function()
    for _, case in ipairs(fine) do
        it(case[1], function()
            for i = 2, #case do
                accepted(case[i])
            end
        end)
    end

    it("a base nix, whose store has to be there", function()
        local policy = assert(demilune.policy { base = "nix" })
        assert.equal("demilune.policy", getmetatable(policy).__name)
    end)

    it("a leading ~/ for the caller's home", function()
        local home = os.getenv("HOME")
        local fields = { ro_binds = { { host = "~/nonexistent-file", sandbox = "/x" } } }
        refused(fields, "bind.missing", "ro_binds[1].host", ('"%s/nonexistent-file"'):format(home))
        refused({ ro_binds = { "~root/x" } }, "path.relative", "ro_binds[1].host", '"~root/x"')
        refused({ masks = { "~/x" } }, "path.relative", "masks[1]", '"~/x"')
    end)
end)

describe("a policy refuses", function()
    for _, case in ipairs(wrong) do
        it(("C1: %s: %s [%s]"):format(case[3], case[4] or "", case[2]), function()
            refused(case[1], case[2], case[3], table.unpack(case, 4))
        end)
    end

    for name, meant in pairs(misspelt) do
        it("the unknown field " .. name, function()
            local problem = refused({ [name] = true }, "field.unknown", name)
            local hint = meant and ('; did you mean "%s"?'):format(meant) or ""
            assert.equal("unknown field" .. hint, problem.message)
        end)
    end

    for _, case in ipairs(strings) do
        it("a NUL byte in " .. case[1], function()
            refused(case[2]("/opt\0/x"), "string.nul", case[1], [["/opt\x00/x"]], "has a NUL byte; take it out")
        end)
    end

    it("text of more than 128 KiB", function()
        refused({ name = ("x"):rep(128 * 1024 + 1) }, "string.long", "name",
            "has 131073 bytes; at most 131072 are allowed")
        accepted { name = ("x"):rep(128 * 1024) }
    end)

    it("keys that are no names", function()
        for _, key in ipairs { 1, 1.5, true } do
            refused({ [key] = "x" }, "map.key", "", "has a key that is a ")
        end
        refused({ ["a\0b"] = 1 }, "string.nul", "", [["a\x00b"]])
    end)

    it("numbers that are none, and those out of reach of an integer", function()
        local not_a_number = 0 / 0
        for _, name in ipairs { "timeout", "cpu_time" } do
            refused({ limits = { [name] = not_a_number } }, "limit.range", "limits." .. name,
                "nan s is out of range")
            refused({ limits = { [name] = math.huge } }, "limit.range", "limits." .. name, "inf s is out of range")
        end
        for _, name in ipairs { "memory", "pids", "file_size", "open_files", "output", "tmp" } do
            for _, value in ipairs { not_a_number, math.huge, -math.huge, 1e300, 0.5 } do
                refused({ limits = { [name] = value } }, "type", "limits." .. name, "is a number; a ")
            end
        end
    end)
end)

describe("lists and maps", function()
    it("have no holes", function()
        local expected = "has a hole: nothing at [2] but something at [3]; a nil in a list ends it early"
        for _, name in ipairs { "ro_binds", "rw_binds", "masks", "env_allowlist", "acknowledge", "tmpfs",
            "effects" } do
            refused({ [name] = { "/a", nil, "/c" } }, "list.hole", name, expected)
        end
        refused({ masks = { [2] = "/a" } }, "list.hole", "masks", "nothing at [1] but something at [2]")
    end)

    it("are no mixtures", function()
        refused({ masks = { "/a", x = "/b" } }, "list.mixed", "masks", [[has the key "x"]])
        refused({ masks = { [0] = "/a" } }, "list.mixed", "masks", "has the key of another type")
        refused({ masks = { [1.5] = "/a" } }, "list.mixed", "masks", "has the key of another type")
        refused({ masks = { "/a", [true] = "/b" } }, "list.mixed", "masks", "has the key of another type")
        refused({ env = { A = "x", "y" } }, "map.key", "env")
        assert.equal(0, #policies.problems { masks = { [1.0] = "/a" } })
    end)

    it("have 10000 entries at most", function()
        refused({ env_allowlist = long_list(10001) }, "list.long", "env_allowlist", "has more than 10000 entries")
        accepted { env_allowlist = long_list(10000) }
        local map = {}
        for _, name in ipairs(long_list(10001)) do
            map[name] = "x"
        end
        refused({ env = map }, "list.long", "env", "has more than 10000 entries")
    end)

    it("are no cycles and not deeper than 16", function()
        local fields, deep = { env = {} }, "x"
        fields.env.again = fields
        refused(fields, "policy.copy", "env.again", "a cycle: the table contains itself")
        for _ = 1, 17 do
            deep = { deep }
        end
        refused({ masks = deep }, "policy.copy", "masks" .. ("[1]"):rep(15), "tables nest deeper than 16 levels")
    end)

    it("may be the same table twice", function()
        local shared = { "/opt", "/a" }
        accepted { ro_binds = { shared, shared } }
    end)

    it("have no metatables, whatever these do", function()
        local turn = 0
        local metatables = {
            {},
            { __index = function() turn = turn + 1 return turn % 2 == 0 and "/opt" or "/" end },
            { __len = function() return 5 end },
            { __pairs = function() return next, {} end },
            { __metatable = false },
        }
        for _, metatable in ipairs(metatables) do
            refused(setmetatable({}, metatable), "policy.copy", "",
                "a table with a metatable cannot stand in a policy")
            refused({ ro_binds = setmetatable({}, metatable) }, "policy.copy", "ro_binds", "a metatable")
            refused({ ro_binds = { setmetatable({}, metatable) } }, "policy.copy", "ro_binds[1]", "a metatable")
        end
        assert.equal(0, turn)
    end)

    it("hold no functions, userdata or threads but hooks", function()
        refused({ ro_binds = { print } }, "type", "ro_binds[1]", "function where ")
        refused({ env = { A = io.stdout } }, "policy.copy", "env.A", "a userdata cannot stand in a policy")
        refused({ [io.stdout] = 1 }, "policy.copy", "[userdata]", "a userdata cannot be a key in a policy")
        refused({ masks = coroutine.create(print) }, "policy.copy", "masks", "a thread cannot stand in a policy")
        refused({ prepare = io.stdout }, "policy.copy", "prepare", "a userdata cannot stand in a policy")
        refused({ network = print }, "type", "network", "function where true or false is needed")
    end)
end)

describe("problems", function()
    local function several()
        return {
            zzz = 1, network = "x", masks = { 5 }, rw_binds = { "relative", "/opt/../etc" },
            ro_binds = { "/nonexistent/x" }, env = { ["a b"] = "x", B = 2 }, hostname = "-", limits = { pids = 0.5,
                memory = "1MM" }, aaa = 2,
        }
    end
    local expected = {
        "aaa field.unknown", "zzz field.unknown", "network type", "env.B type", "masks[1] type",
        "limits.memory size.invalid", "limits.pids type", "ro_binds[1].host bind.missing",
            "rw_binds[1].host path.relative",
        "rw_binds[2].host path.dotdot", "env.a b env.name", "hostname hostname.invalid",
    }

    it("are all there at once, in an order that does not change", function()
        for _ = 1, 20 do
            local list = {}
            for i, problem in ipairs(policies.problems(several())) do
                list[i] = problem.field .. " " .. problem.code
            end
            assert.same(expected, list)
        end
    end)

    it("come as a message of a line each, the first code and a list", function()
        local policy, text, code, problems = demilune.policy(several())
        assert.is_nil(policy)
        assert.equal("field.unknown", code)
        assert.equal(#expected, #problems)
        assert.equal(message.problems(problems), text)
        local _, breaks = text:gsub("\n", "")
        assert.equal(#expected - 1, breaks)
        assert.matches("^aaa: unknown field %[field.unknown%]\n", text)
    end)

    it("of a misused function are raised", function()
        assert.error_matches(function() demilune.policy(5) end,
            "bad argument #1 to 'policy' %(table expected, got number%)")
        assert.error_matches(function() demilune.policy "own.lua" end, "got string%); demilune.load reads a file")
        assert.error_matches(function() demilune:policy {} end, "demilune.policy { ... }, with a dot")
        assert.error_matches(function() demilune.load {} end,
            "bad argument #1 to 'load' %(string expected, got table%)")
        assert.error_matches(function() demilune.policy({}):plan("x") end, "bad argument #1 to 'plan'")
        assert.error_matches(function() demilune.policy({}):with(1) end, "bad argument #1 to 'with'")
        assert.error_matches(function() demilune.from_effects(true) end, "bad argument #1 to 'from_effects'")
    end)

    it("of a method that is called with a dot are raised, where it is called", function()
        local policy = demilune.policy {}
        local plan = policy:plan { "true" }
        for _, name in ipairs { "run", "spawn", "plan", "with" } do
            assert.matches("policy_spec.lua:%d+: calling '" .. name .. "' on bad self %(policy expected, got table%): write"
                .. " policy:" .. name .. "%(%.%.%.%), with a colon",
                select(2, pcall(function() policy[name]({ "true" }, {}) end)))
        end
        for _, name in ipairs { "run", "spawn", "explain" } do
            assert.error_matches(function() plan[name]() end, "'" .. name .. "' on bad self %(plan expected, got nil%)")
        end
    end)
end)

describe("with", function()
    it("appends lists, merges maps and replaces scalars", function()
        local outer = assert(demilune.policy {
            ro_binds = { { "/opt", "/a" } }, env = { A = "1", B = "1" }, network = true, chdir = "/tmp",
                hostname = "x",
            limits = { memory = "1G", output = 5 },
        })
        local layered = assert(outer:with {
            ro_binds = { { "/opt", "/b" } }, env = { B = "2", C = "2" }, network = false, limits = { output = 6 },
        })
        local core = require "demilune.core"
        local description = core.describe(assert(layered:plan()).core)
        local env = policies.environment(description)
        assert.same({ "1", "2", "2" }, { env.A, env.B, env.C })
        assert.same({ false, "/tmp", "x", 1 << 30, 6 }, { description.network, description.chdir,
            description.hostname,
            description.limits.memory, description.limits.output })
        assert.truthy(policies.mount_at(description, "/a"))
        assert.truthy(policies.mount_at(description, "/b"))
        assert.is_nil(policies.mount_at(core.describe(assert(outer:plan()).core), "/b"))
    end)

    it("takes a policy too, and tells what is wrong with a table", function()
        local outer = assert(demilune.policy { env = { A = "1" } })
        local layered = assert(outer:with(assert(demilune.policy { env = { B = "2" } })))
        assert.same({}, layered:problems())
        local none, _, code, problems = outer:with { network = 1 }
        assert.is_nil(none)
        assert.equal("type", code)
        assert.equal("network", problems[1].field)
    end)

    it("takes no field afterwards, nor does its plan", function()
        local policy = assert(demilune.policy {})
        local said = { "a policy does not change; policy:with { network = ... } makes another",
            "a plan does not change; say network in the policy" }
        for i, made in ipairs { policy, assert(policy:plan { "true" }) } do
            local ok, why = pcall(function() made.network = true end)
            assert.is_false(ok)
            assert.matches(said[i], why, 1, true)
            assert.is_nil(made.network)
        end
    end)
end)
