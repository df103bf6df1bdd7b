--- demilune check: validate policies; print problems; run nothing.
local common = require "demilune.cli.common"
local demilune = require "demilune"
local message = require "demilune.message"

local function help()
    io.stdout:write([[
usage: demilune check [--json] POLICY... [-- COMMAND...]

Validates each policy and prints every problem. With a command its prepare hooks run too. --json prints a list of
objects with policy, ok, problems and warnings.

exit codes: 0 every policy is fine, 125 some are not
]])
    return 0
end

-- Loads and plans one policy: nothing, or what is wrong as text and as problems; and the warnings.
local function examine(name, command)
    local policy, text, _, problems = demilune.load(name)
    local plan
    if policy then
        plan, text, _, problems = policy:plan(command)
    end
    if not plan then
        return text, problems or {}, {}
    end
    return nil, {}, plan.warnings, #policy.hooks.prepare > 0
end

local function check(name, command)
    local text, _, warnings, hooked = examine(name, command)
    if text then
        common.complain(text)
        return false
    end
    common.warn(warnings)
    local untried = hooked and not command
    io.stdout:write(message.plain(name), ": fine", untried and " (hooks were not run: no command)" or "", "\n")
    return true
end

local function check_as_data(names, command)
    local list, fine = {}, true
    for i, name in ipairs(names) do
        local text, problems, warnings = examine(name, command)
        list[i] = { policy = name, ok = not text, problems = problems, warnings = warnings }
        fine = fine and not text
    end
    io.stdout:write(require("demilune.json").encode(list), "\n")
    return fine
end

---@param words string[]
---@return integer exit code
return function(words)
    if words[1] == "--help" or words[1] == "-h" then
        return help()
    end
    local as_data = words[1] == "--json"
    if as_data then
        table.remove(words, 1)
    end
    if words[1] and words[1]:find("^%-.") and words[1] ~= "--" then
        return common.usage("check", "unknown option " .. require("demilune.core").quote(words[1]))
    end
    local names, command = common.names_and_command(words)
    if #names == 0 or command and #command == 0 then
        return common.usage("check", #names == 0 and "no policy was given" or "no command was given after --")
    end
    local fine = true
    if as_data then
        fine = check_as_data(names, command)
    else
        for _, name in ipairs(names) do
            fine = check(name, command) and fine
        end
    end
    return fine and 0 or common.EXIT_REFUSED
end
