--- demilune check: validate policies; print problems; run nothing.
local common = require "demilune.cli.common"
local demilune = require "demilune"
local message = require "demilune.message"

local function help()
    io.stdout:write([[
usage: demilune check [--json] [--strict] [--ceiling FILE] POLICY... [-- COMMAND...]

Validates each policy and prints every problem, and as warnings what is worth a thought (lint.*). With a command its
prepare hooks run too. --strict takes no warning. --ceiling adds a bound to that of this machine. --json prints a list
of objects with policy, ok, problems and warnings.

exit codes: 0 every policy is fine, 1 with --strict: some have warnings, 125 some cannot be launched
]])
    return 0
end

-- Loads and plans one policy: nothing, or what is wrong as text and as problems; and the warnings.
local function examine(name, command, ceilings)
    local policy, text, _, problems = demilune.load(name)
    if policy then
        policy, text, _, problems = common.with_site(policy)
    end
    local plan
    if policy then
        plan, text, _, problems = policy:plan(command, { ceiling = ceilings })
    end
    if not plan then
        return text, problems or {}, {}
    end
    local backend, code
    backend, text, code, problems = plan:backend()
    if not backend and code == "ceiling.backend" then
        return text, problems, {}
    end
    local lints = plan:lint()
    return nil, {}, table.move(plan.warnings, 1, #plan.warnings, #lints + 1, lints), #policy.hooks.prepare > 0
end

local EXIT_WARNED = 1

-- The exit code for one policy.
local function code_of(text, warnings, strict)
    return text and common.EXIT_REFUSED or strict and #warnings > 0 and EXIT_WARNED or 0
end

local function check(name, command, ceilings, strict)
    local text, _, warnings, hooked = examine(name, command, ceilings)
    local code = code_of(text, warnings, strict)
    if text then
        common.complain(text)
        return code
    end
    common.warn(warnings)
    local untried = hooked and not command
    io.stdout:write(message.plain(name), code == 0 and ": fine" or ": has warnings",
        untried and " (hooks were not run: no command)" or "", "\n")
    return code
end

local function check_as_data(names, command, ceilings, strict)
    local list, worst = {}, 0
    for i, name in ipairs(names) do
        local text, problems, warnings = examine(name, command, ceilings)
        local code = code_of(text, warnings, strict)
        list[i] = { policy = name, ok = code == 0, problems = problems, warnings = warnings }
        worst = math.max(worst, code)
    end
    io.stdout:write(require("demilune.json").shown(list), "\n")
    return worst
end

-- Takes the options out of the words.
local function take_options(words)
    local options = { ["--json"] = false, ["--strict"] = false, ceilings = {} }
    while options[words[1]] ~= nil or words[1] == "--ceiling" and words[2] do
        local word = table.remove(words, 1)
        if word == "--ceiling" then
            table.insert(options.ceilings, table.remove(words, 1))
        else
            options[word] = true
        end
    end
    return options
end

---@param words string[]
---@return integer exit code
return function(words)
    if words[1] == "--help" or words[1] == "-h" then
        return help()
    end
    local options = take_options(words)
    if words[1] and words[1]:find("^%-.") and words[1] ~= "--" then
        return common.usage("check", "unknown option " .. require("demilune.core").quote(words[1]))
    end
    local names, command = common.names_and_command(words)
    if #names == 0 or command and #command == 0 then
        return common.usage("check", #names == 0 and "no policy was given" or "no command was given after --")
    end
    local ceilings, text = common.ceilings(options.ceilings)
    if not ceilings then
        common.complain(text)
        return common.EXIT_REFUSED
    end
    if options["--json"] then
        return check_as_data(names, command, ceilings, options["--strict"])
    end
    local worst = 0
    for _, name in ipairs(names) do
        worst = math.max(worst, check(name, command, ceilings, options["--strict"]))
    end
    return worst
end
