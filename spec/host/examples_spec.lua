-- The examples of demilune(3), as they stand there, and what they print.
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local LOADED = { -- what has to be run around an example
    Prosody = {
        before = [[
package.path, package.cpath = package.path .. ";/usr/lib/prosody/?.lua", package.cpath .. ";/usr/lib/prosody/?.so"
package.preload["net.server"] = function() return require "net.server_epoll" end
]],
        after = [[
server.add_task(0.05, function() -- Prosody has a loop of its own; here it ends with the process
    if process:pid() then
        return 0.05
    end
    server.setquitting(true)
end)
server.loop()
]],
    },
}

local PRINTED = {
    ["A policy, a plan, results"] = "fine\tprintenv\n\n"
        .. "exit\t3\toh\n\n"
        .. "signal\tKILL\t\n"
        .. "timeout\tTERM\tnil\n"
        .. "not run\thook.refused\texample.lua:6: prepare: not here [hook.refused]\n"
        .. 'not run\tcommand.missing\t"no-such-program": not found in the sandbox\n'
        .. "fine\tNULL\n"
        .. "fine\tsh\n\n"
        .. "fine\tsh\n\n",
    ["A conversation"] = "one\ntwo\nnil\ttimeout\n\ncancelled\n",
    luv = "from luv\n",
    cqueues = "1 2 3\n",
    LuaSocket = "1\n2\n3\n0\n",
    Prosody = "from prosody\n\n",
}

-- The code of each example by its title, as a reader of the page has it.
local function examples()
    local found, title, inside = {}, nil, false
    for line in assert(sandbox.read("src/demilune.3"):match("\n%.Sh EXAMPLES\n(.-)\n%.Sh ")):gmatch("[^\n]*") do
        title = line:match("^%.Ss (.*)$") or title
        if line:find("^%.[BE]d") then
            inside = line:find("^%.Bd") ~= nil
        elseif inside then
            found[title] = (found[title] or "") .. line:gsub("\\e", "\\") .. "\n"
        end
    end
    return found
end

describe("demilune(3), EXAMPLES:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)
    local found = examples()

    it("each is run here", function()
        local titles, expected = {}, {}
        for title in pairs(found) do
            titles[title] = true
        end
        for title in pairs(PRINTED) do
            expected[title] = true
        end
        assert.same(expected, titles)
    end)

    for title, printed in pairs(PRINTED) do
        it(title .. (title == "Prosody" and " #unsanitized" or ""), function()
            local around = LOADED[title] or { before = "", after = "" }
            local result = probe.lua(scratch("example.lua"), around.before .. found[title] .. around.after)
            assert.equal(printed, (result.out:gsub(scratch() .. "/", "")), result.err)
            assert.equal("", result.err)
        end)
    end
end)
