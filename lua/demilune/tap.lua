--- Cases and what became of them in the Test Anything Protocol, version 13, which every reader of it knows.
local core = require "demilune.core"
local message = require "demilune.message"
local shell_word = require("demilune.explain").shell_word

local tap = {}

-- A subject in one line, in which nothing is a directive.
local function subject_text(case)
    local text = case.subject
    if type(text) == "table" then
        local words = {}
        for i, word in ipairs(text) do
            words[i] = shell_word(word)
        end
        text = table.concat(words, " ")
    end
    return (message.plain(text):gsub("#", "\\#"))
end

tap.VERSION = "TAP version 13\n"

--- The lines before the first case.
---@param count integer of cases
---@return string
function tap.head(count)
    return ("%s1..%d\n"):format(tap.VERSION, count)
end

--- A line for people.
---@param text string
---@return string
function tap.comment(text)
    return "# " .. message.plain(text) .. "\n"
end

-- What a reader needs to mend it, as YAML.
local function diagnostics(case, outcome)
    local lines = { "  ---" }
    local function add(name, text)
        lines[#lines + 1] = ("  %s: %s"):format(name, core.quote(text))
    end
    if case.file then
        add("at", case.line and ("%s:%d"):format(case.file, case.line) or case.file)
    end
    add("field", case.field)
    add("plan", outcome.plan)
    add("seen", outcome.seen)
    if outcome.fault then
        add("fault", "the sandbox allows what its plan does not: please report this as a fault of demilune")
    end
    if outcome.output and outcome.output ~= "" then
        add("output", outcome.output)
    end
    lines[#lines + 1] = "  ..."
    return table.concat(lines, "\n") .. "\n"
end

--- The lines of a case.
---@param number integer
---@param case demilune.Case
---@param outcome demilune.Outcome
---@return string
function tap.line(number, case, outcome)
    local line = ("%s %d - %s: %s %s%s\n"):format(outcome.ok and "ok" or "not ok", number, case.verdict, case.verb,
        subject_text(case), outcome.skipped and " # SKIP " .. outcome.skipped or "")
    return outcome.ok and line or line .. diagnostics(case, outcome)
end

--- The line that says that no more follows.
---@param why string
---@return string
function tap.bail_out(why)
    return "Bail out! " .. core.escape((why:gsub("\n", "; "))) .. "\n"
end

return tap
