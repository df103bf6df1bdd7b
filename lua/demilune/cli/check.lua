--- demilune check: validate policies; print problems; run nothing.
local common = require "demilune.cli.common"
local demilune = require "demilune"
local message = require "demilune.message"

local function help()
    io.stdout:write([[
usage: demilune check POLICY... [-- COMMAND...]

Validates each policy and prints every problem. With a command its prepare hooks run too.

exit codes: 0 every policy is fine, 125 some are not
]])
    return 0
end

local function split(words)
    local names, command = {}, nil
    for i, word in ipairs(words) do
        if word == "--" then
            command = table.move(words, i + 1, #words, 1, {})
            break
        end
        names[#names + 1] = word
    end
    return names, command
end

local function check(name, command)
    local policy, text, _, problems = demilune.load(name)
    local plan
    if policy then
        plan, text, _, problems = policy:plan(command)
    end
    if not plan then
        common.complain(text)
        return #(problems or { text })
    end
    common.warn(plan.warnings)
    local untried = not command and #policy.hooks.prepare > 0
    io.stdout:write(message.plain(name), ": fine", untried and " (hooks were not run: no command)" or "", "\n")
    return 0
end

---@param words string[]
---@return integer exit code
return function(words)
    if words[1] == "--help" or words[1] == "-h" then
        return help()
    elseif words[1] and words[1]:find("^%-.") and words[1] ~= "--" then
        return common.usage("check", "unknown option " .. require("demilune.core").quote(words[1]))
    end
    local names, command = split(words)
    if #names == 0 or command and #command == 0 then
        return common.usage("check", #names == 0 and "no policy was given" or "no command was given after --")
    end
    local count = 0
    for _, name in ipairs(names) do
        count = count + check(name, command)
    end
    return count == 0 and 0 or common.EXIT_REFUSED
end
