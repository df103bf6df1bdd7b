-- Layers: what a policy extends, and what is not trusted.
local core = require "demilune.core"
local demilune = require "demilune"
local lfs = require "lfs"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

describe("extends:", function()
    local scratch = sandbox.scratch(before_each, after_each)

    local function write(name, text)
        return sandbox.write(scratch(name), text)
    end

    local function plan_of(policy, command)
        return core.describe(assert(policy:plan(command)).core)
    end

    -- Raises unless the file is refused with this code at this place.
    local function refused(path, code, ...)
        local policy, text, got, problems = demilune.load(path)
        assert.is_nil(policy)
        assert.equal(code, got, text)
        for _, part in ipairs { ... } do
            assert(text:find(part, 1, true), ("%s is not in: %s"):format(part, text))
        end
        return problems[1]
    end

    it("lists append, maps merge, scalars replace, the outermost first", function()
        write("outer.lua", [[return { masks = { "/a" }, env = { A = "1", B = "1" }, chdir = "/tmp",
            limits = { timeout = 5, open_files = 20 } }]])
        write("middle.lua", [[return { extends = "outer.lua", masks = { "/b" }, env = { B = "2" } }]])
        local policy = assert(demilune.load(write("inner.lua",
            [[return { extends = { "middle.lua" }, masks = { "/c" }, limits = { timeout = 3 }, chdir = "/" }]])))
        local plan = plan_of(policy)
        assert.same({ "mask /a", "mask /b", "mask /c" }, policies.mounts({ mounts = (function()
            local masks = {}
            for _, mount in ipairs(plan.mounts) do
                masks[#masks + 1] = mount.kind == "mask" and mount or nil
            end
            return masks
        end)() }))
        local environment = policies.environment(plan)
        assert.equal("1", environment.A)
        assert.equal("2", environment.B)
        assert.equal("/", plan.chdir)
        assert.equal(3.0, plan.limits.timeout)
        assert.equal(20, plan.limits.open_files)
    end)

    it("several, in their order; one that comes twice is a layer once", function()
        write("common.lua", [[return { env_allowlist = { "CI" }, env = { WHO = "common" } }]])
        write("one.lua", [[return { extends = "common.lua", env = { WHO = "one" } }]])
        write("two.lua", [[return { extends = "common.lua", env = { WHO = "two" } }]])
        local policy = assert(demilune.load(write("all.lua", [[return { extends = { "one.lua", "two.lua" } }]])))
        assert.equal("two", policies.environment(plan_of(policy)).WHO)
        assert.same({ "CI" }, policy.fields.env_allowlist)
        local files = {}
        for i, layer in ipairs(policy.layers) do
            files[i] = layer.file:match("[^/]*$")
        end
        assert.same({ "common.lua", "one.lua", "two.lua", "all.lua" }, files)
    end)

    it("runs hooks from the outermost inward, each on what the one before left", function()
        write("outer.lua", [[return { prepare = function(policy) policy:set_env("SEEN", "outer") end }]])
        local policy = assert(demilune.load(write("inner.lua", [[return { extends = "outer.lua",
            prepare = function(policy) policy:set_env("SEEN", policy.env.SEEN .. " inner") end }]])))
        assert.equal("outer inner", policies.environment(plan_of(policy, { "true" })).SEEN)
    end)

    it("from JSON and of JSON; a JSON policy that extends has the base of what it extends", function()
        write("host.lua", [[return { env = { FROM = "lua" } }]])
        local policy = assert(demilune.load(write("policy.json",
            '{"ro_binds":[],"network":false,"env_allowlist":[],"extends":["host.lua"]}')))
        local plan = plan_of(policy)
        assert.equal("lua", policies.environment(plan).FROM)
        assert.truthy(policies.mount_at(plan, "/usr"))
        write("plain.json", '{"ro_binds":[],"network":false,"env_allowlist":[],"env":{"FROM":"json"}}')
        plan = plan_of(assert(demilune.load(write("lua.lua", [[return { extends = "plain.json" }]]))))
        assert.equal("json", policies.environment(plan).FROM)
        assert.is_nil(policies.mount_at(plan, "/usr"))
    end)

    it("by a bare name, looked up as policies are, in files, JSON text and tables", function()
        local base = scratch "base"
        assert(lfs.mkdir(base) and lfs.mkdir(base .. "/demilune"))
        sandbox.write(base .. "/demilune/named.lua", [[return { env = { FROM = "name" } }]])
        local code = [[local demilune = require "demilune"
            local text = '{"ro_binds":[],"network":false,"env_allowlist":[],"extends":"named"}'
            for _, policy in ipairs { assert(demilune.policy { extends = "named" }), assert(demilune.decode(text)),
                    assert(demilune.load(arg[1])) } do
                local plan = assert(policy:plan())
                print(plan:explain():match("FROM%s*=?%s*(%w+)"))
            end]]
        local result = sandbox.demilune({ "script", write("program.lua", code),
            write("file.lua", [[return { extends = { "named" } }]]) }, { env = { "XDG_CONFIG_HOME=" .. base } })
        assert.equal("name\nname\nname\n", result.out, result.err)
    end)

    it("by the name of the file itself, which means what stands behind it, in the end a preset", function()
        local base = scratch "base"
        assert(lfs.mkdir(base) and lfs.mkdir(base .. "/demilune"))
        local mine = sandbox.write(base .. "/demilune/build.lua", "return { extends = 'build', env = { MINE = '1' } }")
        local function run(name)
            return sandbox.demilune({ "explain", "-p", name }, { env = { "XDG_CONFIG_HOME=" .. base },
                prefix = ("mkdir -p %s && cd %s && "):format(scratch "project", scratch "project") })
        end
        for _, name in ipairs { "build", mine } do
            local result = run(name)
            assert.equal(0, result.code, result.err)
            for _, part in ipairs { "preset project", "preset build", mine, "MINE=1" } do
                assert(result.out:find(part, 1, true), result.out)
            end
        end
        -- also where a link leads to it, and through another that is built on the name
        assert(os.rename(mine, scratch "elsewhere.lua") and lfs.link(scratch "elsewhere.lua", mine, true))
        assert.equal(0, run("build").code)
        sandbox.write(base .. "/demilune/more.lua", "return { extends = 'build' }")
        assert.equal(0, run("more").code)
        -- with nothing behind it, it is built on itself
        sandbox.write(base .. "/demilune/alone.lua", "return { extends = 'alone' }")
        local result = run("alone")
        assert.equal(125, result.code)
        assert(result.err:find("extends.cycle", 1, true), result.err)
        sandbox.write(base .. "/demilune/one.lua", "return { extends = 'two' }")
        sandbox.write(base .. "/demilune/two.lua", "return { extends = 'one' }")
        result = run("one")
        assert(result.err:find("extends.cycle", 1, true), result.err)
    end)

    it("a problem is told with the file and line of the layer that has it", function()
        write("outer.lua", "return {\n  masks = { '/a' },\n  ro_binds = {\n    '/nothing/here',\n  },\n}")
        local policy = assert(demilune.load(write("inner.lua",
            "return {\n  extends = 'outer.lua',\n  ro_binds = { '/usr/share', 'relative' },\n}")))
        local problems = policy:problems()
        local missing = policies.find(problems, "bind.missing")
        assert.equal(scratch "outer.lua", missing.file)
        assert.equal(4, missing.line)
        local relative = policies.find(problems, "path.relative")
        assert.equal(scratch "inner.lua", relative.file)
        assert.equal(3, relative.line)
        write("broken.lua", "return {\n  ro_bind = {} }")
        local problem = refused(write("on_broken.lua", "return { extends = 'broken.lua' }"), "field.unknown")
        assert.equal(scratch "broken.lua", problem.file)
        assert.equal(2, problem.line)
    end)

    it("what is not there is told where it was asked for", function()
        local problem = refused(write("a.lua", "return {\n  extends = {\n    'nosuch',\n  },\n}"), "policy.missing",
            "extends", "no policy is called")
        assert.equal(scratch "a.lua", problem.file)
        assert.equal(2, problem.line)
        refused(write("b.lua", "return { extends = 'nosuch.lua' }"), "policy.missing", core.quote(scratch "nosuch.lua"))
    end)

    it("never leaves the policy's directory", function()
        assert(lfs.mkdir(scratch "sub"))
        write("secret.lua", "return { env = { STOLEN = '1' } }")
        for _, name in ipairs { "../secret.lua", "./x.lua", "sub/../secret.lua", "/etc/passwd.lua", "a/b", "..lua",
                scratch "secret.lua", "", "a b", "x.txt", "x.lua\n", ".lua" } do
            refused(write("sub/x.lua", ("return { extends = %q }"):format(name)), "extends.name")
        end
        assert(lfs.link(scratch "secret.lua", scratch "sub/link.lua", true))
        refused(write("sub/x.lua", "return { extends = 'link.lua' }"), "extends.outside", core.quote(scratch "secret.lua"))
        assert(lfs.link("beside.lua", scratch "sub/near.lua", true))
        write("sub/beside.lua", "return {}")
        assert(demilune.load(write("sub/x.lua", "return { extends = 'near.lua' }")))
        -- the directory is that of the file itself, not of a link to it
        assert(lfs.link(scratch "sub/x.lua", scratch "entry.lua", true))
        assert(demilune.load(scratch "entry.lua"))
        assert.equal("extends.name", select(3, demilune.policy { extends = "x.lua" }))
        assert.equal("extends.name", select(3, demilune.decode(
            '{"ro_binds":[],"network":false,"env_allowlist":[],"extends":"x.json"}')))
    end)

    it("cycles are refused with the way round, and so is a chain of more than 16", function()
        write("a.lua", "return { extends = 'b.lua' }")
        write("b.lua", "return { extends = 'c.lua' }")
        write("c.lua", "return { extends = 'a.lua' }")
        refused(scratch "a.lua", "extends.cycle", ("%s -> %s -> %s -> %s"):format(core.quote(scratch "a.lua"),
            core.quote(scratch "b.lua"), core.quote(scratch "c.lua"), core.quote(scratch "a.lua")))
        refused(write("self.lua", "return { extends = 'self.lua' }"), "extends.cycle")
        write("n0.lua", "return {}")
        for i = 1, 17 do
            write(("n%d.lua"):format(i), ("return { extends = 'n%d.lua' }"):format(i - 1))
        end
        assert(demilune.load(scratch "n16.lua"))
        refused(scratch "n17.lua", "extends.depth", "n17.lua", '"n0.lua"')
    end)

    it("is not for hooks, which run on what was extended", function()
        local policy = assert(demilune.policy { prepare = function(fields) fields.extends = "other" end })
        policies.find((policy:problems { "true" }), "extends.late", "extends")
    end)

    it("is gone from what a policy is written as", function()
        write("outer.lua", "return { masks = { '/a' } }")
        local policy = assert(demilune.load(write("inner.lua", "return { extends = 'outer.lua' }")))
        local text = assert(policy:encode())
        assert.is_nil(text:find("extends", 1, true))
        assert.truthy(text:find('"masks":["/a"]', 1, true))
    end)
end)

describe("a layer that is not trusted", function()
    local scratch = sandbox.scratch(before_each, after_each)
    local outer

    before_each(function()
        assert(lfs.mkdir(scratch "tree"))
        assert(lfs.mkdir(scratch "tree/sub"))
        assert(lfs.mkdir(scratch "home"))
        outer = assert(demilune.policy { rw_binds = { scratch "tree" }, network = true, limits = { timeout = 9 } })
    end)

    local function with(fields)
        return assert(outer:with(fields, { trusted = false }))
    end

    local function refused(policy, field, ...)
        local problem = policies.find((policy:problems { "true" }), "layer.wider", field)
        for _, part in ipairs { "may only narrow", ... } do
            assert(problem.message:find(part, 1, true), ("%s is not in: %s"):format(part, problem.message))
        end
        return problem
    end

    it("can narrow", function()
        local plan = assert(with { masks = { scratch "tree/sub" }, network = false, limits = { timeout = 3 },
            env = { LANG = false }, chdir = "/tmp", rw_binds = { { scratch "tree", "/again" } } }:plan { "true" })
        assert.is_false(core.describe(plan.core).network)
    end)

    it("can give nothing, in any field", function()
        refused(with { ro_binds = { scratch "home" } }, "ro_binds[1]", "can be read")
        refused(with { rw_binds = { scratch "home" } }, "rw_binds[2]", "can be written")
        refused(with { env = { HOSTNAME = true } }, "env.HOSTNAME")
        refused(with { env = { PATH = scratch "tree" } }, "env.PATH")
        refused(with { limits = { timeout = 10 } }, "limits.timeout")
        refused(with { nested = true }, "nested")
        refused(with { seccomp = { allow = { "debug" } } }, "seccomp")
        refused(with { acknowledge = { "home" } }, "acknowledge")
        refused(with { user = "caller" }, "user")
        refused(with { base = "nix" }, nil)
    end)

    it("is compared with what stands outside of it, not with what comes after", function()
        assert(assert(with {}:with { ro_binds = { scratch "home" } }):plan { "true" })
        local late = assert(assert(demilune.policy {}):with({ rw_binds = { scratch "tree" } }, { trusted = false }))
        refused(assert(late:with { rw_binds = { scratch "tree/sub" } }), "rw_binds[1]")
        -- on its own it narrows the policy that says nothing
        refused(assert(demilune.load(sandbox.write(scratch "p.lua", "return { network = true }"), { trusted = false })))
        assert(assert(demilune.load(sandbox.write(scratch "p.lua", "return { masks = { '/x' } }"), { trusted = false }))
            :plan { "true" })
    end)

    it("marks a copy: the same policy elsewhere is what it was", function()
        local one = assert(demilune.policy { ro_binds = { scratch "home" }, prepare = function() end })
        refused(assert(outer:with(one, { trusted = false })))
        assert(assert(outer:with(one)):plan { "true" })
        assert(one:plan { "true" })
    end)

    it("is told with file and line", function()
        local path = sandbox.write(scratch "p.lua", "return {\n  masks = { '/x' },\n  limits = {\n    timeout = 20,\n  },\n}")
        local problem = refused(assert(outer:with(assert(demilune.load(path, { trusted = false })))), "limits.timeout")
        assert.equal(path, problem.file)
        assert.equal(4, problem.line)
        sandbox.write(path, "return { base = 'nix' }")
        problem = refused(assert(outer:with(assert(demilune.load(path, { trusted = false })))))
        assert.equal(path, problem.file)
    end)

    it("has hooks that can narrow, and give nothing", function()
        local function hooked(body)
            local path = sandbox.write(scratch "p.lua", "return {\n  prepare = function(policy)\n" .. body .. "\nend }")
            return assert(outer:with(assert(demilune.load(path, { trusted = false }))))
        end
        assert(hooked(("policy:mask(%q)"):format(scratch "tree/sub")):plan { "true" })
        local problem = refused(hooked(("policy:ro_bind(%q)"):format(scratch "home")), "ro_binds[1]", "before this hook")
        assert.equal(scratch "p.lua", problem.file)
        assert.equal(2, problem.line)
        refused(hooked "policy.limits = nil", "limits.timeout")
        refused(hooked "policy:limit('timeout', 30)", "limits.timeout")
        policies.find((hooked "policy.ro_binds = 1":problems { "true" }), "type", "ro_binds")
    end)

    it("has hooks that do not see the caller's variables, which they could put into the name of a mask", function()
        local seen
        local hook = { prepare = function(policy, context)
            seen = context.env.PATH
            policy:mask("/" .. (seen and #seen or "nothing"))
        end }
        assert(assert(outer:with(hook)):plan { "true" })
        assert.truthy(seen)
        assert(assert(outer:with(hook, { trusted = false })):plan { "true" })
        assert.is_nil(seen)
    end)

    it("cannot keep open by another name what later layers, options or hooks close", function()
        local sub = scratch "tree/sub"
        local alias = with { rw_binds = { { scratch "tree", "/again" } } }
        assert(alias:plan { "true" })
        refused(assert(alias:with { masks = { sub } }))
        refused(assert(alias:with { ro_binds = { sub } }))
        refused(assert(alias:with { prepare = function(policy) policy:mask(sub) end }))
        refused(assert(assert(outer:with { prepare = function(policy) policy:mask(sub) end }):with(
            { rw_binds = { { scratch "tree", "/again" } } }, { trusted = false })))
        local hook = { prepare = function(policy) policy:rw_bind(scratch "tree", "/again") end }
        refused(assert(assert(outer:with(hook, { trusted = false })):with { prepare = function(policy)
            policy:mask(sub)
        end }))
        local wide = { tmpfs = { { sandbox = "/big", size = "1G" } } }
        assert(assert(assert(demilune.policy {}):with(wide, { trusted = false })):plan { "true" })
        refused(assert(assert(assert(demilune.policy {}):with(wide, { trusted = false })):with { limits = { tmp = "1M" } }))
        -- what it closes itself stays closed, and may be
        assert(assert(with { masks = { sub } }:with { ro_binds = { scratch "home" } }):plan { "true" })
    end)

    it("has a hook that is compared with what the hooks before it left", function()
        local hook = { prepare = function(policy) policy:ro_bind(scratch "home") end }
        assert(assert(assert(outer:with(hook)):with(hook, { trusted = false })):plan { "true" })
        refused(assert(assert(outer:with(hook, { trusted = false })):with(hook)), "ro_binds[1]")
    end)

    it("extends what is not trusted either", function()
        sandbox.write(scratch "wide.lua", ("return { ro_binds = { %q } }"):format(scratch "home"))
        local path = sandbox.write(scratch "p.lua", "return { extends = 'wide.lua' }")
        assert(assert(outer:with(assert(demilune.load(path)))):plan { "true" })
        local problem = refused(assert(outer:with(assert(demilune.load(path, { trusted = false })))), nil,
            '; the policy without it gives no access to it; this layer may only narrow: ',
            ('%q, which extends it, is not trusted: --untrusted, or trusted = false, says so; say it in'):format(path))
        assert.equal(scratch "wide.lua", problem.file)
    end)

    it("is refused together with what stands outside when that has problems of its own", function()
        local broken = assert(demilune.policy { ro_binds = { scratch "nothing" } })
        assert.same({ "bind.missing" }, sandbox.codes((assert(broken:with({}, { trusted = false })):problems())))
    end)

    describe("by its file:", function()
        local function trusts(path)
            for _, layer in ipairs(assert(demilune.load(path)).layers) do
                if not layer.trusted then
                    return false
                end
            end
            return true
        end

        it("that others may write to", function()
            local path = sandbox.write(scratch "p.lua", "return { network = true }", "644")
            assert.is_true(trusts(path))
            for _, case in ipairs { { "600", true }, { "664", true }, { "646", false }, { "666", false } } do
                sandbox.sh(("chmod %s %s"):format(case[1], path))
                assert.equal(case[2], trusts(path), case[1])
            end
            local problem = policies.find((assert(demilune.load(path)):problems()), "layer.wider", "network")
            assert.equal(("the host's network is shared; the policy without it gives none; this layer may only narrow: " ..
                "others can write to %q; chmod go-w it, or say it in a policy of your own"):format(path), problem.message)
            assert.has_error(function() demilune.load(path, { trust = false }) end)
            assert.has_error(function() demilune.load(path, { trusted = "no" }) end)
        end)

        it("that an access list lets somebody else write to", function()
            local path = sandbox.write(scratch "p.lua", "return { network = true }", "600")
            local function list(named, mask) -- the entries of user, a named user, group, mask, others
                local made = sandbox.sh(("python3 -c 'import os, struct; os.setxattr(%q, \"system.posix_acl_access\", " ..
                    "struct.pack(\"<I\" + 5 * \"HHI\", 2, 1, 6, 2**32-1, 2, %d, 12345, 4, 0, 2**32-1, 16, %d, 2**32-1, " ..
                    "32, 0, 2**32-1))'"):format(path, named, mask))
                assert.equal(0, made.code, made.err)
            end
            assert.is_true(trusts(path))
            list(6, 6)
            assert.is_false(trusts(path))
            policies.find((assert(demilune.load(path)):problems()), "layer.wider", "network")
            list(4, 4) -- who may only read says nothing
            assert.is_true(trusts(path))
            sandbox.sh("chmod g-w " .. path) -- the mask
            assert.is_true(trusts(path))
            if sandbox.is_root then -- what the list says is so: the other user can write
                list(6, 6)
                assert.equal(0, sandbox.sh(("chmod 755 %s; setpriv --reuid 12345 --regid 12345 --clear-groups sh -c 'echo >>%s'")
                    :format(scratch(), path)).code)
            end
        end)

        it("which saying so does not make trusted", function()
            local path = sandbox.write(scratch "p.lua", "return { network = true }", "666")
            policies.find((assert(demilune.load(path, { trusted = true })):problems()), "layer.wider", "network")
        end)

        it("that extends what others may write to, and one in JSON", function()
            sandbox.write(scratch "open.lua", "return { network = true }", "666")
            local path = sandbox.write(scratch "p.lua", "return { extends = 'open.lua' }")
            assert.is_false(trusts(path))
            local problem = policies.find((assert(demilune.load(path)):problems()), "layer.wider", "network")
            assert.equal(scratch "open.lua", problem.file)
            assert(problem.message:find(("others can write to %q; chmod"):format(scratch "open.lua"), 1, true))
            assert.is_false(trusts(sandbox.write(scratch "p.json",
                '{"ro_binds":[],"network":true,"env_allowlist":[]}', "666")))
        end)

        it("of another user, and of a group that is not our own", function()
            if not sandbox.is_root then -- whose files these are only root can say
                assert.is_true(trusts(sandbox.write(scratch "p.lua", "return {}")))
                return
            end
            local path = sandbox.write(scratch "p.lua", "return { network = true }")
            for owner, trusted in pairs { ["0:0"] = true, ["1000:0"] = false, ["0:1000"] = true } do
                sandbox.sh(("chown %s %s"):format(owner, path))
                assert.equal(trusted, trusts(path), owner)
                local problem = assert(demilune.load(path)):problems()[1]
                assert(trusted or problem.message:find(("%q belongs to user 1000, and we are 0; chown it, or say it in"):format(
                    path), 1, true), problem and problem.message)
            end
            sandbox.sh(("chown 0:1000 %s; chmod 664 %s"):format(path, path))
            assert.is_false(trusts(path))
            assert.is_false(trusts(sandbox.write(scratch "q.lua", "return include 'p'")))
        end)
    end)
end)
