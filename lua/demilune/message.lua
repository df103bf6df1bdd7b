--- Messages: one line each, names from outside quoted and escaped.
local core = require "demilune.core"

local message = {}

local LONGEST_FIELD = 256 -- bytes: of a longer one, which a policy can make up, the beginning is shown

-- A path in front of a message is shown as it is when it is plain, and quoted otherwise.
local function shown_file(file)
    return file:find("[^%w%._/%-+@]") and core.quote(file) or file
end

--- `file:line: field: "value" what is wrong [code]`; of what an option says, `--option: "value" what is wrong [code]`.
---@param problem demilune.Problem
---@return string
function message.problem(problem)
    local parts = {}
    if problem.file then
        parts[#parts + 1] = shown_file(problem.file) .. (problem.line and ":" .. problem.line or "") .. ":"
    end
    if problem.option then
        parts[#parts + 1] = problem.option .. ":"
    elseif problem.field ~= "" then
        local field = problem.field
        local plain = #field <= LONGEST_FIELD and not field:find("[^%w%._%[%]\"/%-]")
        parts[#parts + 1] = (plain and field or core.quote(field)) .. ":"
    end
    parts[#parts + 1] = problem.value
    parts[#parts + 1] = core.escape(problem.message)
    return ("%s [%s]"):format(table.concat(parts, " "), problem.code)
end

--- All problems, a line each.
---@param problems demilune.Problem[]
---@return string
function message.problems(problems)
    local lines = {}
    for i, problem in ipairs(problems) do
        lines[i] = message.problem(problem)
    end
    return table.concat(lines, "\n")
end

local SHORT = 256 -- bytes: what core.quote does not cut

--- Text from a policy or a command in one line that cannot drive a terminal, without quotes.
---@param text string
---@return string
function message.plain(text)
    if #text < SHORT and not text:find("[^\32-\126]") then
        return text -- nothing in it to escape
    end
    local quoted = core.quote(text)
    return (quoted:sub(2, -2):gsub('\\(["\\])', "%1"))
end

return message
