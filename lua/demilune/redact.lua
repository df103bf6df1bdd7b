--- Texts that hooks and policy files wrote, or Lua about them, without the values that nobody should see. Where a value
--- has a field or a variable of its own, the engine knows and never shows it; a text can only be searched.
local core = require "demilune.core"
local message = require "demilune.message"

local redact = {}

local SHORTEST = 4 -- bytes: what is shorter keeps no secret, and stands everywhere
-- How much of a value gives it away: a message may have cut the rest. Variables that are only passed through often have
-- ordinary values, such as paths.
local SECRET, PASSED = 8, 64

-- Lua's own messages quote the source, where a value may stand.
local literals = {
    { " near '[\"'].*", " near a string" },
    { " near '%[[%[=].*", " near a string" },
    { " near '%.?%d.*", " near a number" },
    { " %(constant '.*", " (a constant)" },
}

-- Adds how `value` begins, as it is and as a message shows it.
local function add(starts, value, length)
    if type(value) == "string" and #value >= SHORTEST then
        starts[#starts + 1] = value:sub(1, length)
        starts[#starts + 1] = message.plain(value:sub(1, PASSED)):sub(1, length)
    end
end

local function entries(value)
    return next, type(value) == "table" and value or {}
end

-- How each value begins that a hook can have seen: secrets, what the policy passes through, and variables of the policy
-- and of the caller whose names say that they hold a secret.
local function known_starts(fields)
    local starts, environ = {}, core.environ()
    for _, content in entries(fields.secrets) do
        add(starts, content, SECRET)
    end
    for _, name in entries(fields.env_allowlist) do
        add(starts, environ[name], PASSED)
    end
    for name, value in entries(fields.env) do
        local secret = type(name) == "string" and core.is_secret_name(name)
        add(starts, secret and value or value == true and environ[name], secret and SECRET or PASSED)
    end
    for name, value in next, environ do
        add(starts, core.is_secret_name(name) and value, SECRET)
    end
    return starts
end

--- Whether a value of the policy has in it that of a variable of the caller whose name says that it holds a secret.
---@param value string
---@return boolean
function redact.holds_secret(value)
    for _, start in ipairs(known_starts {}) do
        if value:find(start, 1, true) then
            return true
        end
    end
    return false
end

--- The text without literals of the source, and only up to the first value that must not be shown.
---@param text string
---@param fields? table of the policy that it is about
---@return string
function redact.text(text, fields)
    for _, literal in ipairs(literals) do
        text = text:gsub(literal[1], literal[2])
    end
    local first
    for _, start in ipairs(known_starts(fields or {})) do
        local at = text:find(start, 1, true)
        first = at and math.min(at, first or at) or first
    end
    return first and text:sub(1, first - 1) .. "<hidden>" or text
end

return redact
