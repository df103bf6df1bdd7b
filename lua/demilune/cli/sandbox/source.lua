--- Where `demilune sandbox` reads its policy: a file, or standard input up to a limit.
local core = require "demilune.core"

local MOST = 1024 * 1024 -- bytes of standard input
local EBADF = 9 -- Linux, on every architecture

local function from_file(path)
    local file, problem = io.open(path, "rb")
    if not file then
        return nil, problem:sub(#path + 3) -- behind "path: "
    end
    local text
    text, problem = file:read("a")
    file:close()
    return text, problem
end

-- Input that cannot be read from at all, as when it is open for writing only, is none.
local function from_input()
    local text, problem, code = io.stdin:read(MOST + 1)
    if not text and code and code ~= EBADF then
        return nil, problem
    end
    return text or ""
end

local source = {}

--- Reads the policy's text.
---@param path? string standard input without one
---@return string|nil text
---@return string place for messages; or, without a text, what is wrong
function source.read(path)
    local place = path and core.quote(path) or "standard input"
    local text, problem
    if path then
        text, problem = from_file(path)
    else
        text, problem = from_input()
    end
    if not text then
        return nil, ("the policy cannot be read from %s: %s"):format(place, problem)
    end
    local length, at = utf8.len(text)
    if not length then
        return nil, ("%s: byte %d is not UTF-8; a policy is JSON text"):format(place, at)
    elseif not path and #text > MOST then
        return nil, ("%s: more than %d bytes; --policy-file takes a longer policy"):format(place, MOST)
    end
    return text, place
end

local input_names = { ["/dev/stdin"] = true, ["/dev/fd/0"] = true, ["/proc/self/fd/0"] = true }

--- Whether the policy is read from standard input, which is then not the command's.
---@param path? string
---@return boolean
function source.is_input(path)
    return not path or input_names[path] == true
end

return source
