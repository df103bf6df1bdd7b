-- What it costs to explain a policy file of three hundred binds: the account of the plan, and the page. Run it with
-- `make bench BENCH=explain`.
local core = require "demilune.core"
local demilune = require "demilune"
local explain = require "demilune.explain"
local measure = require "bench.measure"

local BINDS, ROUNDS = 300, tonumber(os.getenv("ROUNDS")) or 100

local lines = { "return {", "    ro_binds = {" }
for i = 1, BINDS do
    lines[#lines + 1] = ('        { host = "/usr/share", sandbox = "/data/%d" },'):format(i)
end
lines[#lines + 1] = "    },\n}\n"

local path = measure.write("binds.lua", table.concat(lines, "\n"))
local plan = assert(assert(demilune.load(path)):plan { "true" })

for _, name in ipairs { "as a tree", "a line for each" } do
    local times = {}
    for i = 1, ROUNDS do
        local start = core.clock()
        explain.text(plan, { all = name == "a line for each" })
        times[i] = core.clock() - start
    end
    print(("explain of %d binds, %-16s %6.2f ms"):format(BINDS, name .. ":", measure.median(times) * 1e3))
end
measure.over()
