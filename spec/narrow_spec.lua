-- What may be said on top of a policy that is not to become wider.
local demilune = require "demilune"
local narrow = require "demilune.narrow"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

local function plan(fields, overrides)
    return assert(demilune.policy(fields)):plan({ "true" }, { narrow = overrides })
end

local function refused(fields, overrides, code, field)
    local built, _, _, problems = plan(fields, overrides)
    assert.is_nil(built)
    return policies.find(problems, code, field)
end

local function describe_plan(fields, overrides)
    return require("demilune.core").describe(assert(plan(fields, overrides)).core)
end

describe("narrowing:", function()
    it("takes the network away, whatever gave it", function()
        assert.is_true(describe_plan({ network = true }, {}).network)
        assert.is_false(describe_plan({ network = true }, { network = false }).network)
        assert.is_false(describe_plan({ effects = { "Network", "Pure" } }, { network = false }).network)
        assert.is_false(describe_plan({ network = true, effects = { { effect = "Network" } } }, { network = false })
            .network)
    end)

    it("gives no network, nesting or filter that the policy does not", function()
        refused({}, { network = true }, "narrow.wider", "network")
        refused({}, { nested = true }, "narrow.wider", "nested")
        refused({}, { seccomp = "off" }, "narrow.wider", "seccomp")
        refused({}, { seccomp = { allow = { "debug" } } }, "narrow.wider", "seccomp")
        assert.is_true(describe_plan({ network = true }, { network = true }).network)
    end)

    it("takes nesting and what the filter lets through away", function()
        assert.is_false(describe_plan({ nested = true }, { nested = false }).nested)
        assert.same({}, describe_plan({ seccomp = { allow = { "debug" } } }, { seccomp = "default" }).seccomp_allow)
        assert.is_true(describe_plan({ seccomp = "off", acknowledge = { "no_seccomp" } }, { seccomp = "default" })
            .seccomp)
    end)

    it("lowers each limit, however it is written, and sets one that was not there", function()
        local own = { timeout = "1m", cpu_time = 10, memory = "1G", pids = 10, file_size = "1M", open_files = 64,
            output = 1024 * 1024, tmp = "10%" }
        local fewer = { timeout = 59, cpu_time = "9s", memory = "512M", pids = 9, file_size = 1024, open_files = 63,
            output = "1K", tmp = "9%" }
        local more = { timeout = "2m", cpu_time = "11s", memory = "2G", pids = 11, file_size = "2M", open_files = 65,
            output = "2M", tmp = "11%" }
        if sandbox.is_root then
            own.pids, fewer.pids = nil, nil -- the kernel does not count root's processes
        end
        for name, value in pairs(fewer) do
            local limits = describe_plan({ limits = { [name] = own[name] } }, { limits = { [name] = value } }).limits
            assert.same(describe_plan({ limits = { [name] = value } }, {}).limits[name], limits[name])
            assert.truthy(describe_plan({}, { limits = { [name] = value } }).limits[name])
            describe_plan({ limits = { [name] = own[name] } }, { limits = { [name] = own[name] } })
            refused({ limits = { [name] = own[name] } }, { limits = { [name] = more[name] } }, "narrow.wider",
                "limits." .. name)
        end
    end)

    it("knows the limits that hold without being said", function()
        refused({}, { limits = { tmp = "26%" } }, "narrow.wider", "limits.tmp")
        refused({ limits = { tmp = "1%" } }, { limits = { tmp = "999G" } }, "narrow.wider", "limits.tmp")
        refused({ limits = { output = 5 } }, { limits = { output = 6 } }, "narrow.wider", "limits.output")
        refused({ limits = { timeout = 5 } }, { limits = { timeout = 0 / 0 } }, "narrow.wider", "limits.timeout")
    end)

    it("leaves to the validation what is wrong otherwise", function()
        refused({}, { limits = { timeout = 0 } }, "limit.range", "limits.timeout")
        refused({}, { limits = { memory = "lots" } }, "size.invalid", "limits.memory")
        refused({}, { limits = { timeout = "5x" } }, "duration.invalid", "limits.timeout")
        refused({ limits = { pids = 5 } }, { limits = { pids = "4" } }, "type", "limits.pids")
        refused({}, { limits = { memory = true } }, "type", "limits.memory")
        refused({}, { masks = { "relative" } }, "path.relative")
        refused({}, { masks = "x" }, "type", "masks")
        refused({}, { limits = "x" }, "type", "limits")
        refused({}, { chdir = "relative" }, "path.relative", "chdir")
    end)

    it("adds masks, and sets where the command starts", function()
        local description = describe_plan({ masks = { "/usr/share" } }, { masks = { "/usr/local" }, chdir = "/tmp" })
        assert.equal("mask", policies.mount_at(description, "/usr/share").kind)
        assert.equal("mask", policies.mount_at(description, "/usr/local").kind)
        assert.equal("/tmp", description.chdir)
    end)

    it("refuses every other field, each by name", function()
        local problem = refused({}, { rw_binds = { "/srv" } }, "narrow.unknown", "rw_binds")
        assert.matches("is the policy's to say", problem.message)
        refused({}, { netwrk = false }, "narrow.unknown", "netwrk")
        refused({}, { limits = { nonsense = 1 } }, "narrow.unknown", "limits.nonsense")
        assert.matches("did you mean network", narrow.advice("netwrk"))
    end)

    it("comes after the hooks", function()
        local wide = { prepare = function(policy)
            policy.network = true
            policy.limits = { timeout = 5 }
        end }
        assert.is_false(describe_plan(wide, { network = false }).network)
        refused(wide, { limits = { timeout = 6 } }, "narrow.wider", "limits.timeout")
    end)
end)
