--- How functions refuse: nil, a message with all problems, the first one's code, and the problems.
local message = require "demilune.message"

local refusal = {}

--- Problems as a failure.
---@param problems demilune.Problem[]
---@return nil, string message, string code, demilune.Problem[] problems
function refusal.of(problems)
    return nil, message.problems(problems), problems[1].code, problems
end

--- One problem of nothing in particular as a failure.
---@param text string
---@param code string
---@return nil, string message, string code, demilune.Problem[] problems
function refusal.plain(text, code)
    return nil, text, code, { { field = "", code = code, message = text } }
end

--- Raises when an argument has another type: that is misuse.
---@param value any
---@param expected string
---@param position integer
---@param name string of the function
function refusal.check_argument(value, expected, position, name)
    if type(value) ~= expected then
        error(("bad argument #%d to '%s' (%s expected, got %s)"):format(position, name, expected, type(value)), 3)
    end
end

--- Raises when a method was called for something else: with a dot, mostly.
---@param self any
---@param class table with a __name
---@param name string of the method
function refusal.check_self(self, class, name)
    if getmetatable(self) ~= class then
        local kind = class.__name:match("[^.]+$")
        error(("calling '%s' on bad self (%s expected, got %s): write %s:%s(...), with a colon"):format(name, kind,
            type(self), kind, name), 3)
    end
end

--- The problem of a text that may begin with its place, as those of Lua do: "file.lua:3: what is wrong".
---@param field string
---@param code string
---@param text string
---@param file? string where it is when it does not say
---@return demilune.Problem
function refusal.placed(field, code, text, file)
    local at, line, what = text:match('^([^\n:"]+):(%d+): (.*)$')
    return {
        field = field, code = code, message = message.plain(what or text), file = at or file,
        line = math.tointeger(line),
    }
end

--- The problem of a copy that failed, whose text begins with a field: "rw_binds[2].host: a cycle".
---@param text string
---@return demilune.Problem
function refusal.of_copy(text)
    local at = 1
    repeat
        local start = at
        at = text:match("^%.?[%a_][%w_]*()", at) or text:match("^%[[%w.%-]+]()", at)
            or text:match('^%[".-"]()', at) or at
    until at == start
    local field, what = "", text
    if at > 1 and text:sub(at, at + 1) == ": " then
        field, what = text:sub(1, at - 1), text:sub(at + 2)
    end
    return { field = field, code = "policy.copy", message = what }
end

return refusal
