--- The environment: each variable with its value, where that may be shown, and who said so.
local message = require "demilune.message"

local environment = {}

--- What may be shown of a value.
---@param variable table
---@param show_values? boolean
---@return string
function environment.value(variable, show_values)
    if show_values or not variable.hidden then
        return message.plain(variable.value)
    end
    return variable.passed and "<passed through>" or "<hidden>"
end

--- Why a variable is not set that something is said of.
---@param variable table
---@return string
function environment.absence(variable)
    return variable.action == "omit" and "left out" or "not set outside"
end

local actions = { set = "set by", pass = "passed through by", omit = "left out by" }

local function add_shadows(rows, list, names)
    for _, shadow in ipairs(list or {}) do
        local by = shadow.said.by
        if by ~= "engine" and by ~= "base" then
            rows[#rows + 1] = { depth = 2, name = "(was " .. actions[shadow.action] .. ")", "", names:who(shadow.said),
                faint = true }
        end
    end
end

local function add_links(rows, said, names)
    for _, older in ipairs(said.over or {}) do
        rows[#rows + 1] = { depth = 2, name = "(was said by)", "", names:who(older), faint = true }
    end
end

--- The rows of the environment. Variables of the base that the caller has not are no news.
---@param account table
---@param names demilune.Words
---@param show_values? boolean
---@return demilune.Row[]
function environment.rows(account, names, show_values)
    local rows = {}
    for _, variable in ipairs(account.env) do
        rows[#rows + 1] = {
            depth = 1, name = message.plain(variable.name) .. "=" .. environment.value(variable, show_values), "",
            names:who(variable.said),
        }
        add_links(rows, variable.said, names)
        add_shadows(rows, variable.shadows, names)
    end
    for _, variable in ipairs(account.env_absent) do
        if variable.said.by ~= "base" then
            rows[#rows + 1] = {
                depth = 1, name = message.plain(variable.name),
                environment.absence(variable), names:who(variable.said),
            }
            add_links(rows, variable.said, names)
        end
    end
    return rows
end

return environment
