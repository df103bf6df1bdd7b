-- What the private state of a policy file costs: made, with a policy of ten lines loaded, copied out, and closed; and
-- where the time goes. Run it with `make bench BENCH=private`.
local core = require "demilune.core"

local ROUNDS = 10 * (tonumber(os.getenv("ROUNDS")) or 100)

local POLICY = [[
local cache = home .. "/.cache"
return {
    name = "build",
    project = cwd,
    ro_binds = { { cache, "/cache", optional = true } },
    env = { CC = "gcc", LANG = true },
    limits = { timeout = "10m", memory = "2G" },
    masks = { "/usr/games" },
    prepare = function(policy) policy:set_env("A", "b") end,
}
]]

local options = {
    globals = { cwd = "/srv/project", home = "/home/user", policy_dir = "/srv", host = core.facts() },
    include = function() return nil, "none" end, print = function() end, host_lookup = function() end,
}

local function median(values)
    table.sort(values)
    return values[(#values + 1) // 2]
end

local names = { "make", "load and copy", "close", "together" }
local times = { {}, {}, {}, {} }
for i = 1, ROUNDS do
    local clocks = { core.clock() }
    local private = assert(core.private(options))
    clocks[2] = core.clock()
    assert(private:load(POLICY, "policy.lua"))
    clocks[3] = core.clock()
    private:close()
    clocks[4] = core.clock()
    for part = 1, 3 do
        times[part][i] = clocks[part + 1] - clocks[part]
    end
    times[4][i] = clocks[4] - clocks[1]
end
for part, name in ipairs(names) do
    print(("private state, %-13s %6.1f us"):format(name .. ":", median(times[part]) * 1e6))
end
