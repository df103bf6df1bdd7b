--- The cases of a policy: what its field `expect` says that must and must not be possible inside.
local locate = require "demilune.locate"

local cases = {}

---@class demilune.Case
---@field verdict "denied"|"allowed"
---@field verb "read"|"write"|"run"|"connect"|"env"
---@field subject string|string[] a path, an address, a name; for run a command
---@field optional boolean what is not there is no failure
---@field field string "expect.denied.write[1]"
---@field file? string
---@field line? integer

local verdicts = { "denied", "allowed" }
local verbs = { "read", "write", "run", "connect", "env" }

local function line_of(layer, field)
    local finder = layer.kind == "json" and require "demilune.locate_json" or locate
    return layer.source and finder.line(layer.source, field)
end

-- A path as the sandbox has it; what starts with "." starts where the command does.
local function place(path, home)
    if home and (path == "~" or path:sub(1, 2) == "~/") then
        path = home .. path:sub(2)
    end
    return #path > 1 and path:gsub("/+", "/"):gsub("/$", "") or path
end

local function case_of(verb, item, home)
    local case = { verb = verb, subject = item, optional = false }
    if verb == "read" or verb == "write" then
        local path = type(item) == "table" and item.path or item
        case.subject = place(path, home)
        case.optional = type(item) == "table" and item.optional == true
    elseif verb == "run" then
        case.subject, case.optional = item.command or item, item.optional == true
    end
    return case
end

--- The cases of a policy whose shape was found fine, in the order of its layers, outermost first.
---@param layers demilune.Layer[]
---@param home? string the caller's
---@return demilune.Case[]
function cases.of(layers, home)
    local list = {}
    for _, layer in ipairs(layers) do
        for _, verdict in ipairs(verdicts) do
            local said = (layer.fields.expect or {})[verdict] or {}
            for _, verb in ipairs(verbs) do
                for i, item in ipairs(said[verb] or {}) do
                    local case = case_of(verb, item, home)
                    case.verdict = verdict
                    case.field = ("expect.%s.%s[%d]"):format(verdict, verb, i)
                    case.file, case.line = layer.file, line_of(layer, case.field)
                    list[#list + 1] = case
                end
            end
        end
    end
    return list
end

return cases
