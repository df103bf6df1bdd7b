--- One thing of a plan and the reason for it: a path inside, a variable, a limit or a setting.
local core = require "demilune.core"
local environment = require "demilune.explain.environment"
local message = require "demilune.message"
local settings = require "demilune.explain.settings"
local view = require "demilune.explain.view"
local words = require "demilune.explain.words"

local why = {}

---@class demilune.Answer
---@field about string what was asked for
---@field yes boolean whether it can be read, or is set
---@field verdict string
---@field sight? demilune.Sight
---@field host_places? { at: string, mount: table }[] where a host path is seen instead
---@field host_exists? boolean
---@field optional? table[] entries at it or above it that are optional, and not there

-- --- paths -----------------------------------------------------------------------------------------------------------

local function verdict_of(sight)
    if sight.there == nil then
        return "depends on the processes inside"
    elseif not sight.there then
        return "is not there"
    elseif sight.mount and sight.mount.kind == "mask" then
        return "is masked: cannot be read or written"
    elseif sight.read then
        return sight.write and "can be read and written" or "can be read, not written"
    end
    return sight.write and "can be written, not read" or "is there, and cannot be read or written"
end

-- Entries below a path that say something else.
local function entries_below(account, path)
    local list, prefix = {}, path == "/" and "/" or path .. "/"
    for _, mount in ipairs(account.mounts) do
        if mount.kind ~= "seal" and mount.kind ~= "pin" and mount.at ~= path and mount.at:sub(1, #prefix) == prefix then
            list[#list + 1] = mount
        end
    end
    return list
end

-- What would stand at a path or above it, were it there.
local function optional_above(account, path)
    local list = {}
    for _, entry in ipairs(account.absent) do
        local prefix = entry.at == "/" and "/" or entry.at .. "/"
        list[#list + 1] = (path .. "/"):sub(1, #prefix) == prefix and entry or nil
    end
    return list
end

local function about_path(account, path)
    local seen = view.of(account)
    local sight = seen:look(path)
    local answer = { about = path, yes = sight.read, verdict = verdict_of(sight), sight = sight }
    sight.within = sight.mount and seen:entry(sight.mount.at, true)
    sight.below = entries_below(account, sight.at)
    answer.optional = optional_above(account, sight.at)
    local host = sight.there == false and core.realpath(path)
    answer.host_exists = host and true or nil
    answer.host_places = host and seen:places_of(host) or nil
    return answer
end

-- --- names -----------------------------------------------------------------------------------------------------------

local function about_variable(account, name, show_values)
    for _, variable in ipairs(account.env) do
        if variable.name == name then
            return { about = "env." .. name, yes = true, verdict = "is " .. environment.value(variable, show_values),
                said = variable.said, shadows = variable.shadows }
        end
    end
    for _, variable in ipairs(account.env_absent) do
        if variable.name == name then
            return { about = "env." .. name, yes = false, said = variable.said, shadows = variable.shadows,
                verdict = variable.action == "omit" and "is left out" or "is passed through, and is not set outside" }
        end
    end
    for _, removed in ipairs(account.removed) do
        if removed.field == "env." .. name then
            return { about = removed.field, yes = false, verdict = "was taken out", said = removed.said,
                shadows = { { said = removed.over } } }
        end
    end
    return { about = "env." .. name, yes = false, verdict = "is not set: nothing passes it through" }
end

local function about_limit(account, name)
    local value = account.limits[name]
    return {
        about = "limits." .. name, yes = value ~= nil, said = value and account.limits_said[name],
        verdict = value and "is " .. words.limit(name, value) or "has no limit",
    }
end

local function known_limit(name)
    for _, known in ipairs(settings.limits) do
        if known == name then
            return true
        end
    end
end

local function about_setting(account, name)
    for _, setting in ipairs(settings.list(account)) do
        if setting[1] == name then
            return { about = name, yes = true, verdict = "is " .. setting[3], said = account.settings_said[name] }
        end
    end
end

local function names_of_settings(account)
    local names = {}
    for i, setting in ipairs(settings.list(account)) do
        names[i] = setting[1]
    end
    return names
end

--- The answer about a path inside, "env.NAME", "limits.NAME" or a setting; or nil and what is wrong with the question.
---@param account table
---@param subject string
---@param show_values? boolean
---@return demilune.Answer|nil
---@return string|nil message
function why.about(account, subject, show_values)
    if subject:sub(1, 1) == "/" then
        return about_path(account, subject)
    end
    local variable, limit = subject:match("^env%.(.+)$"), subject:match("^limits%.(.+)$")
    if variable then
        return about_variable(account, variable, show_values)
    elseif limit and known_limit(limit) then
        return about_limit(account, limit)
    end
    local answer = about_setting(account, subject)
    if answer then
        return answer
    end
    return nil, ("%s is none of a path inside (with a / in front), env.NAME, limits.%s, %s"):format(
        core.quote(subject), table.concat(settings.limits, "|"), table.concat(names_of_settings(account), ", "))
end

-- --- as text ---------------------------------------------------------------------------------------------------------

local function said_text(names, said)
    return names:who(said) .. (said.field and " (" .. message.plain(said.field) .. ")" or "")
end

local function entry_row(name, mount, names)
    return {
        depth = 1, name = name, message.plain(mount.at), words.access(mount), words.source(mount),
        said_text(names, mount.said), paint = words.access(mount),
    }
end

local FEW = 10 -- entries below a path that are listed

local function path_rows(answer, names)
    local rows, sight = {}, answer.sight
    local function add(name, text)
        rows[#rows + 1] = { depth = 1, name = name, message.plain(text) }
    end
    for _, link in ipairs(sight.links) do
        local who = link.said and ", " .. said_text(names, link.said) or ""
        add("link", link.from .. " leads to " .. link.to .. who)
    end
    if #sight.links > 0 then
        add("so it is", sight.at)
    end
    if sight.mount and (sight.there ~= false or sight.mount.at ~= "/") then
        rows[#rows + 1] = entry_row(sight.there == false and "lies in" or "entry", sight.mount, names)
        for _, older in ipairs(sight.mount.said.over or {}) do
            rows[#rows + 1] = { depth = 1, name = "changed", "was said by " .. said_text(names, older) }
        end
        for _, entry in ipairs(sight.mount.shadows or {}) do
            rows[#rows + 1] = entry_row("hides", entry, names)
        end
        if sight.within and sight.within.at ~= "/" then
            rows[#rows + 1] = entry_row("within", sight.within, names)
        end
        if sight.mount.kind == "pin" then
            add("pinned", "the directory cannot be renamed or removed, so that what it protects stays in place")
        end
    elseif sight.there then
        add("entry", "a directory that is made for what lies below it")
    else
        add("entry", "none: nothing is put at it or above it")
    end
    if sight.host and sight.mount and sight.mount.source then
        add("on the host", sight.host .. " (" .. sight.kind .. ")")
    elseif sight.kind and not (sight.mount and sight.mount.at == sight.at) then
        add("kind", sight.kind)
    end
    if sight.reason then
        add("because", sight.reason)
    end
    for i, mount in ipairs(sight.there and sight.below or {}) do
        if i > FEW then
            add("below it", ("and %d more"):format(#sight.below - FEW))
            break
        end
        rows[#rows + 1] = entry_row("below it", mount, names)
    end
    for _, entry in ipairs(answer.optional) do
        rows[#rows + 1] = {
            depth = 1, name = "optional", message.plain(entry.at), words.access(entry), words.awaited(entry),
            said_text(names, entry.said),
        }
    end
    for _, place in ipairs(answer.host_places or {}) do
        rows[#rows + 1] = {
            depth = 1, name = "the host's is", "at " .. message.plain(place.at), words.access(place.mount), "",
            said_text(names, place.mount.said),
        }
    end
    if answer.host_places and #answer.host_places == 0 then
        add("the host's", "is not visible inside under any name")
    end
    return rows
end

local function said_rows(answer, names)
    local rows = {}
    if answer.said then
        rows[1] = { depth = 1, name = "said by", said_text(names, answer.said) }
        for _, older in ipairs(answer.said.over or {}) do
            local value = older.value and words.written(older.value) .. ", " or ""
            rows[#rows + 1] = { depth = 1, name = "replaces", value .. said_text(names, older) }
        end
    end
    for _, shadow in ipairs(answer.shadows or {}) do
        rows[#rows + 1] = { depth = 1, name = "replaces", said_text(names, shadow.said) }
    end
    return rows
end

--- The answer on a page.
---@param drawing table
---@param answer demilune.Answer
---@param names demilune.Words
function why.draw(drawing, answer, names)
    drawing:heading(message.plain(answer.about) .. " " .. answer.verdict)
    drawing:rows(answer.sight and path_rows(answer, names) or said_rows(answer, names))
end

return why
