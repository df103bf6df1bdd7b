--- Limits, settings, what is off, and the dangers that were acknowledged, each with who said so.
local message = require "demilune.message"
local words = require "demilune.explain.words"

local settings = {}

local limit_order = { "timeout", "cpu_time", "memory", "pids", "file_size", "open_files", "output", "tmp" }

--- The names of all limits, in the order in which they are shown.
settings.limits = limit_order

--- The rows of the limits.
---@param account table
---@param names demilune.Words
---@return demilune.Row[]
function settings.limit_rows(account, names)
    local rows = {}
    for _, name in ipairs(limit_order) do
        local value = account.limits[name]
        if value then
            local said = account.limits_said[name]
            rows[#rows + 1] = { depth = 1, name = name, words.limit(name, value), names:who(said) }
            for _, older in ipairs(said.over or {}) do
                rows[#rows + 1] = {
                    depth = 2, name = "(was)", older.value and words.written(older.value) or "", names:who(older),
                    faint = true,
                }
            end
        end
    end
    return rows
end

local NOBODY = 65534

local function filter_text(account)
    local allowed = table.concat(account.seccomp_allow, " ")
    return not account.seccomp and "off" or
        "the default filter" .. (allowed ~= "" and ", which lets through: " .. allowed or "")
end

--- The settings in the order in which they are shown: their names in a policy, what people call them, and what they
--- are.
---@param account table
---@return { [1]: string, [2]: string, [3]: string }[]
function settings.list(account)
    return {
        { "base", "base", account.base },
        { "user", "user", ("%s%d:%d"):format(account.uid == NOBODY and "nobody, " or "", account.uid, account.gid) },
        { "chdir", "starts in", message.plain(account.chdir) },
        { "network", "network", account.network and "the host's, with its abstract sockets" or "off" },
        { "hostname", "hostname", account.hostname and message.plain(account.hostname) or "the host's" },
        { "tty", "terminal", account.tty and "kept" or "off (new session)" },
        { "nested", "nested", account.nested and "user namespaces can be made" or "off" },
        { "seccomp", "seccomp", filter_text(account) },
    }
end

--- The rows of the settings.
---@param account table
---@param names demilune.Words
---@return demilune.Row[]
function settings.rows(account, names)
    local rows = {}
    for i, setting in ipairs(settings.list(account)) do
        local said = account.settings_said[setting[1]]
        rows[i] = { depth = 1, name = setting[2], setting[3], names:who(said) }
    end
    for _, name in ipairs(account.requires) do
        rows[#rows + 1] = { depth = 1, name = "requires", name, names:who(account.requires_said[name]) }
    end
    rows[#rows + 1] = {
        depth = 1, name = "off", "capabilities, new privileges, core dumps, writing to / and /proc/sys", "always",
    }
    return rows
end

--- The rows of the dangers that were acknowledged.
---@param account table
---@param names demilune.Words
---@return demilune.Row[]
function settings.danger_rows(account, names)
    local rows = {}
    for i, danger in ipairs(account.acknowledged) do
        rows[i] = { depth = 1, name = danger.name, names:who(danger.said) }
    end
    table.sort(rows, function(a, b)
        return a.name < b.name
    end)
    return rows
end

return settings
