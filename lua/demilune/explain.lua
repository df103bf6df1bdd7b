--- A plan for people: mounts in order with source and access, environment, limits, what is off.
local message = require "demilune.message"
local redact = require "demilune.redact"

local explain = {}

local access = {
    ro_bind = "read-only", rw_bind = "read-write", tmpfs = "private, empty", symlink = "link", file = "read-only",
    mask = "masked", proc = "fresh", dev = "fresh", cover = "read-only", pin = "pinned",
    device = "device",
}

local function size_text(bytes)
    for _, unit in ipairs { { 30, "G" }, { 20, "M" }, { 10, "K" } } do
        if bytes >= 1 << unit[1] then
            return ("%.4g%s"):format(bytes / (1 << unit[1]), unit[2])
        end
    end
    return ("%d"):format(bytes)
end

local function source_text(mount)
    if mount.kind == "ro_bind" or mount.kind == "rw_bind" or mount.kind == "pin" or mount.kind == "device" then
        return mount.source == mount.at and "" or "from " .. message.plain(mount.source)
    elseif mount.kind == "symlink" then
        return "to " .. message.plain(mount.source)
    elseif mount.kind == "tmpfs" then
        return "at most " .. size_text(mount.size)
    elseif mount.kind == "file" then
        return mount.secret and "a secret" or ("%d bytes from memory"):format(mount.length)
    end
    return ""
end

local function add_mounts(lines, mounts)
    lines[#lines + 1] = "mounts, in order:"
    for _, mount in ipairs(mounts) do
        if mount.kind ~= "seal" then
            local line = ("  %-32s %-14s %-28s (%s)"):format(message.plain(mount.at), access[mount.kind],
                source_text(mount), (mount.kind == "pin" and "for " or "") .. message.plain(mount.field))
            lines[#lines + 1] = line
        end
    end
end

--- The environment as { name, value } pairs; what was passed through, has the name of a secret or holds
--- such a value of the caller is hidden.
local function shown_env(description, show_values)
    local list = {}
    for i, text in ipairs(description.env) do
        local name, value = text:match("^([^=]*)=(.*)$")
        local hidden = not show_values
            and (description.env_passed[i] or description.env_secret[i] or redact.holds_secret(value))
        list[i] = { name = name, value = not hidden and value or nil, passed = description.env_passed[i] }
    end
    return list
end

local function add_env(lines, description, show_values)
    lines[#lines + 1] = "environment:"
    for _, variable in ipairs(shown_env(description, show_values)) do
        local value = variable.value and message.plain(variable.value) or variable.passed and "<passed through>"
            or "<hidden>"
        lines[#lines + 1] = ("  %s=%s"):format(message.plain(variable.name), value)
    end
end

local limit_order = { "timeout", "cpu_time", "memory", "pids", "file_size", "open_files", "output", "tmp" }
local limit_text = { timeout = "%g s", cpu_time = "%g s" }
local in_bytes = { memory = true, file_size = true, output = true, tmp = true }

local function add_limits(lines, limits)
    lines[#lines + 1] = "limits:"
    for _, name in ipairs(limit_order) do
        local value = limits[name]
        if value then
            local text = in_bytes[name] and size_text(value) or (limit_text[name] or "%d"):format(value)
            lines[#lines + 1] = ("  %-10s %s"):format(name, text)
        end
    end
end

local function add_settings(lines, description)
    local function add(name, text)
        lines[#lines + 1] = ("  %-10s %s"):format(name, text)
    end
    lines[#lines + 1] = "settings:"
    add("user", ("%d:%d"):format(description.uid, description.gid))
    add("starts in", message.plain(description.chdir))
    add("network", description.network and "the host's, with its abstract sockets" or "off")
    add("hostname", description.hostname and message.plain(description.hostname) or "the host's")
    add("terminal", description.tty and "kept" or "off (new session)")
    add("nested", description.nested and "user namespaces can be made" or "off")
    local allowed = table.concat(description.seccomp_allow, " ")
    add("seccomp", not description.seccomp and "off"
        or "the default filter" .. (allowed ~= "" and ", which lets through: " .. allowed or ""))
    add("requires", #description.requires > 0 and table.concat(description.requires, " ") or "nothing")
    add("off", "capabilities, new privileges, core dumps, writing to / and /proc/sys")
end

--- The plan as text.
---@param description table what core.describe gives
---@param options { show_values?: boolean }
---@return string
function explain.text(description, options)
    local lines = {}
    if description.name then
        lines[#lines + 1] = "policy: " .. message.plain(description.name)
    end
    if #description.argv > 0 then
        local words = {}
        for i, word in ipairs(description.argv) do
            words[i] = explain.shell_word(word)
        end
        lines[#lines + 1] = "command: " .. table.concat(words, " ")
    end
    add_mounts(lines, description.mounts)
    add_env(lines, description, options.show_values)
    add_limits(lines, description.limits)
    add_settings(lines, description)
    lines[#lines + 1] = "digest: " .. description.digest
    return table.concat(lines, "\n") .. "\n"
end

--- The plan as data for JSON, with the same values hidden.
---@param description table
---@param options { show_values?: boolean }
---@return table
function explain.data(description, options)
    local data = {}
    for key, value in pairs(description) do
        data[key] = value
    end
    data.env = shown_env(description, options.show_values)
    data.env_passed, data.env_secret = nil, nil
    return data
end

--- A word as a shell would need it; control characters as $'...'.
---@param word string
---@return string
function explain.shell_word(word)
    if word:find("^[%w%._/%-+=:@%%,]+$") then
        return word
    elseif word:find("[%c\128-\255]") then
        return "$'" .. word:gsub("[%c\128-\255'\\]", function(byte)
            return ("\\x%02x"):format(byte:byte())
        end) .. "'"
    end
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

return explain
