--- The words and variables of `demilune sandbox`, as noether-sandbox 0.8.2 takes them.
local core = require "demilune.core"

local arguments = {}

arguments.usage = "[--isolate auto|bwrap|native|none] [--policy-file PATH] [--require-isolation] -- COMMAND [ARG...]"

-- What takes a value, as the next word or after "=", and where the value goes.
local valued = { ["--isolate"] = "isolation", ["--policy-file"] = "policy_file" }
local names = { "--isolate", "--policy-file", "--require-isolation" }

-- A variable that is not UTF-8 counts as not set; an empty one is set.
local function variable(environment, name)
    local value = environment[name]
    return value and utf8.len(value) and value or nil
end

local function from_environment(environment)
    local required = variable(environment, "NOETHER_REQUIRE_ISOLATION") or ""
    return {
        isolation = variable(environment, "NOETHER_ISOLATION") or "auto",
        require_isolation = required ~= "" and required ~= "0",
    }
end

local function unknown(word)
    local nearest = word:find("^%-") and core.nearest(word, names)
    return ("%s is no option%s; -- comes before the command"):format(core.quote(word),
        nearest and (", did you mean %s?"):format(nearest) or "")
end

--- Reads a command line. Of an option that is given twice the last one counts; an option beats its variable.
---@param words string[]
---@param environment table<string, string> the caller's
---@return { isolation: string, policy_file: string?, require_isolation: boolean, command: string[] }|nil
---@return string|nil message what is wrong with the usage
function arguments.parse(words, environment)
    local settings = from_environment(environment)
    local at = 1
    while words[at] ~= "--" do
        local word = words[at]
        if word == nil then
            return nil, "no command was given; it stands after --"
        end
        local name, value = word:match("^(%-%-[^=]+)=(.*)$")
        local field = valued[name or word]
        if word == "--require-isolation" then
            settings.require_isolation = true
        elseif not field then
            return nil, unknown(word)
        else
            if not name then
                at = at + 1
                value = words[at]
            end
            if value == nil then
                return nil, word .. " needs a value"
            end
            settings[field] = value
        end
        at = at + 1
    end
    settings.command = table.move(words, at + 1, #words, 1, {})
    if #settings.command == 0 then
        return nil, "no command was given after --"
    end
    return settings
end

return arguments
