-- Thousands of random policies, ceilings and pairs of policies: what the engine says of them is what their fields mean.
local core = require "demilune.core"
local demilune = require "demilune"
local reaching = require "support.reaching"
local sandbox = require "support.sandbox"

local ROUNDS = 2000

describe("of random policies", function()
    local scratch = sandbox.scratch(before_each, after_each)
    local world

    before_each(function()
        world = reaching.world(scratch "tree")
    end)

    local function shown(value)
        return require("demilune.json").encode(value)
    end

    local function fail(what, ...)
        local parts = { ("%s (SPEC_SEED=%d)"):format(what, world.seed) }
        for _, value in ipairs { ... } do
            parts[#parts + 1] = shown(value)
        end
        error(table.concat(parts, "\n"), 2)
    end

    local function only_ceiling(problems)
        for _, problem in ipairs(problems) do
            if not problem.code:find("^ceiling%.") then
                return false
            end
        end
        return true
    end

    -- A random policy that could be launched.
    local function random_policy()
        while true do
            local fields = reaching.policy(world, "none")
            local policy = demilune.policy(fields)
            local plan = policy and policy:plan()
            if plan then
                return fields, policy, plan
            end
        end
    end

    it("each is refused that exceeds its ceiling, and no other", function()
        local counts = { passed = 0, refused = 0 }
        for _ = 1, ROUNDS do
            local fields, policy = random_policy()
            local bound = reaching.ceiling(world)
            local plan, text, _, problems = policy:plan(nil, { ceiling = assert(demilune.ceiling(bound)) })
            local excess = reaching.excess(world, fields, bound, os.getenv)
            if plan and excess then
                fail(excess .. " exceeds the ceiling, and was let through", fields, bound)
            elseif not plan and (not excess or not only_ceiling(problems)) then
                fail("refused without a reason: " .. text, fields, bound)
            end
            counts[plan and "passed" or "refused"] = counts[plan and "passed" or "refused"] + 1
            local limits = plan and core.describe(plan.core).limits or {}
            for name, most in pairs(plan and bound.limits or {}) do
                assert(limits[name] and limits[name] <= most, name)
            end
        end
        assert(counts.passed > ROUNDS / 20 and counts.refused > ROUNDS / 20, shown(counts))
    end)

    it("one is narrower than another where it gives no more, and only there", function()
        local counts = { [true] = 0, [false] = 0 }
        local default
        for _ = 1, ROUNDS / 2 do
            local fields, policy, plan = random_policy()
            default = default or core.describe(assert(demilune.policy {}:plan()).core).limits.tmp
            local other = reaching.changed(world, fields, "none")
            local second = demilune.policy(other)
            local planned = second and second:plan()
            for _, pair in ipairs(planned and { { fields, policy, other, second }, { other, second, fields, policy } } or {}) do
                local narrower, example = pair[2]:narrower(pair[4])
                if narrower ~= reaching.narrower(world, pair[1], pair[3], default) then
                    fail(("narrower: %s, %s"):format(narrower, example), pair[1], pair[3])
                end
                counts[narrower] = counts[narrower] + 1
            end
            assert(plan)
        end
        assert(counts[true] > ROUNDS / 20 and counts[false] > ROUNDS / 20)
    end)

    it("a layer that is not trusted is refused where it gives more, and only there", function()
        local counts = { [true] = 0, [false] = 0 }
        local default = core.describe(assert(demilune.policy {}:plan()).core).limits.tmp
        while counts[true] + counts[false] < ROUNDS / 4 do
            local fields, policy = random_policy()
            local inner = reaching.part(reaching.policy(world, "none"))
            local doubtful = policy:with(inner, { trusted = false })
            if doubtful and assert(policy:with(inner)):plan() then
                local plan, _, code = doubtful:plan()
                local narrower = reaching.narrower(world, reaching.layered(fields, inner), fields, default)
                if (plan ~= nil) ~= narrower or not plan and code ~= "layer.wider" then
                    fail(("with an untrusted layer: %s, %s"):format(plan, code), fields, inner)
                end
                counts[narrower] = counts[narrower] + 1
            end
        end
        assert(counts[true] > 20 and counts[false] > 20)
    end)

    it("narrower is an order: what is narrower than the narrower one is narrower than the wider", function()
        local chains = 0
        for _ = 1, ROUNDS / 3 do
            local fields, first = random_policy()
            local second = demilune.policy(reaching.changed(world, fields, "none"))
            local third = demilune.policy(reaching.changed(world, fields, "none"))
            assert.is_true(first:narrower(first))
            if second and third and first:narrower(second) and second:narrower(third) then
                chains = chains + 1
                assert.is_true(first:narrower(third))
            end
        end
        assert(chains > 10)
    end)

    it("what passes a ceiling passes it, narrowed, too", function()
        local compared = 0
        for _ = 1, ROUNDS / 3 do
            local fields, policy = random_policy()
            local bound = reaching.ceiling(world)
            bound.limits = nil -- a limit that is said may be more than one that is given
            bound = assert(demilune.ceiling(bound))
            local other = demilune.policy(reaching.changed(world, fields, "none"))
            if other and policy:plan(nil, { ceiling = bound }) and other:narrower(policy) then
                compared = compared + 1
                local codes = sandbox.codes((other:problems(nil, { ceiling = bound })))
                -- What a base passes through is allowed with the base, and counts where a policy names it itself.
                assert.same({}, not fields.env_allowlist and codes[1] == "ceiling.env" and not codes[2] and {} or codes)
            end
        end
        assert(compared > 10)
    end)
end)
