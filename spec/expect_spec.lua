-- The field `expect`: its shape, what it does not change, how layers and JSON have it, and what a plan says of a path.
local cases = require "demilune.cases"
local core = require "demilune.core"
local demilune = require "demilune"
local inside = require "demilune.inside"
local leaks = require "support.leaks"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

local full = {
    denied = {
        read = { "/etc/shadow", "~/.ssh", ".", "./x", { path = "./.env", optional = true } }, write = { "/etc/" },
        run = { { "sudo", "true" } }, env = { "TOKEN" },
        connect = { "192.0.2.1:80", "[::1]:1", "/run/docker.sock", "@abstract" },
    },
    allowed = { read = { "/usr" }, write = {}, run = { { "gcc", "--version" },
        { command = { "cc", "-v" }, optional = true } }, env = { "PATH" } },
}

-- "verdict verb subject" of each case.
local function texts(list)
    for i, case in ipairs(list) do
        local subject = type(case.subject) == "table" and table.concat(case.subject, " ") or case.subject
        list[i] = ("%s %s %s%s"):format(case.verdict, case.verb, subject, case.optional and "?" or "")
    end
    return list
end

describe("expect", function()
    leaks.watch(before_each, after_each)

    it("takes each verb in each verdict, and every form of what it is about", function()
        policies.accepted { expect = full }
        policies.accepted { expect = {} }
        policies.accepted { expect = { denied = {} } }
    end)

    it("names what it does not know, with the nearest name", function()
        policies.refused({ expect = { denid = {} } }, "field.unknown", "expect.denid", 'did you mean "denied"')
        policies.refused({ expect = { denied = { reed = {} } } }, "field.unknown", "expect.denied.reed",
            'did you mean "read"')
        policies.refused({ expect = { denied = { read = { { pth = "/x" } } } } }, "field.unknown",
            "expect.denied.read[1].pth", 'did you mean "path"')
        policies.refused({ expects = {} }, "field.unknown", "expects", 'did you mean "expect"')
    end)

    it("says what is wrong with a value, and where", function()
        local function refused(where, value, code, field, ...)
            local verdict, verb = where:match("^(%l+)%.(%l+)$")
            policies.refused({ expect = { [verdict] = { [verb] = value } } }, code, field, ...)
        end
        policies.refused({ expect = "x" }, "type", "expect", "denied = { ... }")
        policies.refused({ expect = { denied = 1 } }, "type", "expect.denied", "read = { ... }")
        refused("denied.read", "/etc", "type", "expect.denied.read", "a list of paths inside")
        refused("denied.read", { 1 }, "type", "expect.denied.read[1]", "{ path = , optional = true }")
        refused("denied.read", { "etc" }, "path.relative", "expect.denied.read[1]", '"etc"', "starts with /")
        refused("denied.read", { ".ssh" }, "path.relative", "expect.denied.read[1]", '".ssh"')
        refused("denied.write", { "/a/../b" }, "path.dotdot", "expect.denied.write[1]", '"/a/../b"')
        refused("denied.write", { "./../b" }, "path.dotdot", "expect.denied.write[1]")
        refused("denied.write", { "" }, "path.empty", "expect.denied.write[1]")
        refused("allowed.write", { { path = "x", optional = true } }, "path.relative", "expect.allowed.write[1].path")
        refused("allowed.write", { { optional = true } }, "type", "expect.allowed.write[1].path")
        refused("allowed.write", { { path = "/x", optional = 1 } }, "type", "expect.allowed.write[1].optional")
        refused("allowed.run", { "gcc --version" }, "type", "expect.allowed.run[1]", '{ "program", "argument" }')
        refused("allowed.run", { {} }, "command.empty", "expect.allowed.run[1]")
        refused("allowed.run", { { command = {} } }, "command.empty", "expect.allowed.run[1].command")
        refused("denied.run", { { command = "gcc" } }, "type", "expect.denied.run[1].command")
        refused("denied.run", { { command = { "a" }, optional = 1 } }, "type", "expect.denied.run[1].optional")
        refused("denied.run", { { optional = true } }, "type", "expect.denied.run[1].command")
        refused("denied.run", { { comand = { "a" } } }, "field.unknown", "expect.denied.run[1].comand")
        refused("denied.run", { { "a", optional = true } }, "list.mixed", "expect.denied.run[1]")
        refused("allowed.run", { { "a", 1 } }, "type", "expect.allowed.run[1][2]", "a word of a command")
        refused("denied.env", { "A=1" }, "env.name", "expect.denied.env[1]", '"A=1"')
        refused("denied.env", { "" }, "env.name", "expect.denied.env[1]")
        for _, text in ipairs { "", "example.org:80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:8x",
            "1.2.3.4: 8", ":80", "[::1]", "[1.2.3.4]:80", "::1:80", "/", "@", "/" .. ("x"):rep(108) } do
            refused("denied.connect", { text }, "expect.address", "expect.denied.connect[1]", "ADDRESS:PORT")
        end
    end)

    it("changes neither plan nor digest, nor what a hook may see changed", function()
        local plain, tested = policies.plan({}, { "true" }), policies.plan({ expect = full }, { "true" })
        assert.equal(plain:digest(), tested:digest())
        local a, b = core.describe(plain.core), core.describe(tested.core)
        assert.same(a, b)
    end)

    it("lists what it says in a fixed order, with the caller's home in it", function()
        assert.same({
            "denied read /etc/shadow", "denied read /home/me/.ssh", "denied read .", "denied read ./x", "denied read ./.env?",
            "denied write /etc", "denied run sudo true", "denied connect 192.0.2.1:80", "denied connect [::1]:1",
            "denied connect /run/docker.sock", "denied connect @abstract", "denied env TOKEN", "allowed read /usr",
            "allowed run gcc --version", "allowed run cc -v?", "allowed env PATH",
        }, texts(cases.of({ { kind = "table", fields = { expect = full } } }, "/home/me")))
    end)

    it("of several layers is all of it, outermost first", function()
        local outer = assert(demilune.policy { expect = { denied = { read = { "/a" }, env = { "A" } } } })
        local both = assert(outer:with { expect = { denied = { read = { "/b" } }, allowed = { env = { "B" } } } })
        assert.same({ "denied read /a", "denied env A", "denied read /b", "allowed env B" }, texts(both:cases()))
        assert.same({ "denied read /a", "denied env A" }, texts(outer:cases()))
        local text = assert(both:encode())
        assert.same({ "denied read /a", "denied read /b", "denied env A", "allowed env B" },
            texts(assert(demilune.decode(text)):cases()))
    end)

    it("goes through JSON and back", function()
        local policy = assert(demilune.policy { expect = full })
        local decoded = assert(demilune.decode(assert(policy:encode())))
        assert.same(texts(policy:cases()), texts(decoded:cases()))
        local refused, _, code, problems = demilune.decode(
            '{"ro_binds":[],"network":false,"env_allowlist":[],"expect":{"denied":{"reed":["/x"]}}}')
        assert.is_nil(refused)
        assert.same({ "field.unknown", "expect.denied.reed" }, { code, problems[1].field })
    end)
end)

describe("a case", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("knows its file and line, in Lua and in JSON, in each layer", function()
        sandbox.write(scratch("outer.lua"), "return {\n    expect = {\n        denied = { read = {\n            '/a',\n" ..
            "            '/b',\n        } },\n    },\n}\n")
        sandbox.write(scratch("inner.json"), '{"ro_binds":[],"network":false,"env_allowlist":[],\n"expect":\n' ..
            '{"allowed":{"run":[\n["true"]]}}}')
        local outer = assert(demilune.load(scratch("outer.lua")))
        local list = assert(outer:with(assert(demilune.load(scratch("inner.json"))))):cases()
        local places = {}
        for i, case in ipairs(list) do
            places[i] = ("%s:%d %s"):format(case.file:match("[^/]*$"), case.line, case.field)
        end
        assert.same({ "outer.lua:4 expect.denied.read[1]", "outer.lua:5 expect.denied.read[2]",
            "inner.json:4 expect.allowed.run[1]" }, places)
    end)
end)

describe("what a plan says of a path", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- "exists read write" of paths in a sandbox: y, n, or ? where the plan cannot tell.
    local function said(fields, paths)
        local description, result = policies.describe(fields), {}
        local letters = { [true] = "y", [false] = "n" }
        for _, path in ipairs(paths) do
            local place = inside.look(description, path)
            result[path] = (letters[place.exists] or "?") .. (letters[place.read] or "?") .. (letters[place.write] or "?")
        end
        return result
    end

    it("follows mounts of every kind", function()
        local base = scratch()
        sandbox.sh(("mkdir -p %s/rw/ro %s/rw/masked; touch %s/rw/file %s/rw/ro/file"):format(base, base, base, base))
        local expected = {
            [base .. "/rw"] = "yyy", [base .. "/rw/file"] = "yyy", [base .. "/rw/new"] = "nny", [base .. "/rw/no/new"] = "nny",
            [base .. "/rw/file/new"] = "nnn", [base .. "/rw/ro"] = "yyn", [base .. "/rw/ro/file"] = "yyn",
            [base .. "/rw/ro/new"] = "nnn", [base .. "/rw/masked"] = "ynn", [base .. "/rw/masked/x"] = "nnn",
            ["/usr"] = "yyn", ["/usr/nothing"] = "nnn", ["/nothing"] = "nnn", ["/"] = "yyn", ["/etc"] = "yyn",
            ["/etc/passwd"] = "yyn", ["/etc/shadow"] = "nnn", ["/tmp"] = base:find("^/tmp") and "yyy", ["/work"] = "yyy",
            ["/work/new"] = "nny", ["/dev/null"] = "y??", ["/dev"] = "yyn", ["/dev/sda"] = "nnn", ["/dev/shm"] = "yyy",
            ["/own"] = "yyy", ["/key"] = "yyn", ["/proc/1/environ"] = "???",
        }
        local paths = {}
        for path in pairs(expected) do
            paths[#paths + 1] = path
        end
        assert.same(expected, said({ rw_binds = { base .. "/rw" }, ro_binds = { base .. "/rw/ro" },
            masks = { base .. "/rw/masked" }, tmpfs = { "/own" }, secrets = { ["/key"] = "k" } }, paths))
    end)

    it("follows links, of the sandbox and of the host, as the kernel does", function()
        local base = scratch()
        sandbox.sh(([[mkdir -p %s/a/b; touch %s/a/b/file; cd %s/a && ln -s b/file near; ln -s ../../etc/passwd up
            ln -s /usr/bin far; ln -s loop loop; ln -s gone dangling]]):format(base, base, base))
        local expected = { ["/srv/near"] = "yyy", ["/srv/up"] = "yyn", ["/srv/far/env"] = "yyn", ["/srv/dangling"] = "nny",
            ["/link/near"] = "yyy", ["/bin/sh"] = "yyn" }
        local paths = {}
        for path in pairs(expected) do
            paths[#paths + 1] = path
        end
        assert.same(expected, said({ rw_binds = { { base .. "/a", "/srv" } }, symlinks = { { target = "srv", sandbox = "/link" } } },
            paths))
        assert.is_table(inside.look(policies.describe { rw_binds = { { base .. "/a", "/srv" } } }, "/srv/loop"))
    end)

    it("knows the directories of devices that are added", function()
        assert.same({ ["/dev/dri"] = "yyn", ["/dev/dri/zero"] = "yyy", ["/dev/dri/no"] = "nnn", ["/dev/no"] = "nnn" },
            said({ devices = { { "/dev/zero", "/dev/dri/zero" } }, acknowledge = { "device" } },
                { "/dev/dri", "/dev/dri/zero", "/dev/dri/no", "/dev/no" }))
    end)

    it("finds programs on the sandbox's own PATH", function()
        sandbox.write(scratch("tool"), "#!/bin/sh\n", "755")
        local description = policies.describe { ro_binds = { { scratch("tool"), "/opt/tool" } }, env = { PATH = "/opt:/usr/bin" } }
        assert.equal("/opt/tool", inside.program(description, "tool").path)
        assert.equal("/usr/bin/env", inside.program(description, "/usr/bin/env").path)
        assert.is_nil(inside.program(description, "no-such-program"))
        assert.is_false(inside.program(description, "./tool").exists)
    end)
end)

describe("an optional mask", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("goes where there is nothing to mask, and holds where there is", function()
        sandbox.write(scratch(".env"), "")
        local function masks(optional)
            return { rw_binds = { scratch() }, masks = { { sandbox = scratch(".env"), optional = optional },
                { sandbox = scratch("gone"), optional = optional } } }
        end
        policies.refused(masks(nil), "entry.missing", "masks[2]", "create it first")
        local description = policies.describe(masks(true))
        assert.equal("mask", policies.mount_at(description, scratch(".env")).kind)
        assert.is_nil(policies.mount_at(description, scratch("gone")))
    end)

    it("is as strict as any other", function()
        assert(require("lfs").link("target", scratch("link"), true))
        policies.refused({ rw_binds = { scratch() }, masks = { { sandbox = scratch("link"), optional = true } } }, "entry.symlink",
            "masks[1]")
        policies.refused({ masks = { { sandbox = "x", optional = true } } }, "path.relative", "masks[1]")
        policies.refused({ masks = { { optional = true } } }, "type", "masks[1].sandbox")
        policies.refused({ masks = { { sandbox = "/x", optonal = true } } }, "field.unknown", "masks[1].optonal", "optional")
        policies.refused({ masks = { 1 } }, "type", "masks[1]")
    end)

    it("stands in JSON too", function()
        sandbox.write(scratch(".env"), "")
        local policy = assert(demilune.policy { rw_binds = { scratch() }, masks = { { sandbox = scratch("gone"), optional = true } } })
        local text = assert(policy:encode())
        assert(assert(demilune.decode(text)):plan { "true" })
        assert.equal(text, assert(demilune.decode(text)):encode())
    end)
end)
