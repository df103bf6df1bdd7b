--- What a policy grants of a path inside: what the mounts of its plan let a command do, whatever the permissions of the
--- files that they show.
local view = require "demilune.explain.view"

local inside = {}

---@class demilune.Grant
---@field path string with every link resolved
---@field exists boolean|nil nil: the plan cannot tell
---@field read boolean|nil nil: the plan cannot tell
---@field write boolean|nil whether it can be written to, or made where it is not there
---@field why string "read-only by ro_binds[1]"

local all, reading = { read = true, write = true }, { read = true, write = false }
local nothing, unknown = { read = false, write = false }, {}

local grants = {
    ro_bind = reading, rw_bind = all, pin = all, device = all, tmpfs = all, file = reading, mask = nothing,
    dev = reading, proc = unknown, cover = { write = false },
}

local words = {
    ro_bind = "read-only", rw_bind = "read-write", pin = "read-write", tmpfs = "private", mask = "masked",
    file = "a read-only file from memory", device = "a device of the host",
}

local function why(mount)
    return (words[mount.kind] or "the sandbox's own") .. (mount.field == "engine" and "" or " by " .. mount.field)
end

-- A socket or FIFO of the host, which can be written to also where it is bound read-only.
local function is_channel(sight)
    return sight.host and (sight.kind == "socket" or sight.kind == "FIFO")
end

local function grant_of(sight)
    local mount = sight.mount
    if not mount then
        return reading -- the root, or on the way to a mount
    elseif view.is_dead_node(sight) then
        return nothing
    elseif is_channel(sight) then
        return all
    elseif sight.kind == "device" and mount.kind == "dev" then
        return unknown
    elseif mount.kind == "tmpfs" and mount.at ~= sight.at then
        return { read = true } -- made on the way to a mount, perhaps for others to write to
    end
    return grants[mount.kind]
end

-- What is granted where nothing is: it can be made, with the directories on the way to it, where the nearest one that
-- is there can be written to.
local function grant_of_nothing(seen, sight)
    local above = sight
    repeat
        above = seen:look(above.at:match("^(.+)/[^/]*$") or "/")
    until above.there ~= false
    if above.there and above.kind == "directory" then
        return { read = false, write = grant_of(above).write }
    end
    return nothing
end

--- What is granted of a path; links are followed.
---@param description table of the plan, from core.describe
---@param path string absolute, inside
---@return demilune.Grant
function inside.look(description, path)
    local seen = view.of(description)
    local sight = seen:look(path)
    local grant = sight.there == false and grant_of_nothing(seen, sight) or grant_of(sight)
    local reason = sight.mount and why(sight.mount) or "a directory of the sandbox's own, read-only"
    if sight.there == false then
        reason = "not there, where it is " .. reason
    elseif view.is_dead_node(sight) then
        reason = "a device node, which no bind lets be opened, " .. reason
    elseif is_channel(sight) then
        reason = ("a %s, %s"):format(sight.kind, reason)
    end
    return { path = sight.at, exists = sight.there, read = grant.read, write = grant.write, why = reason }
end

--- The program that a name stands for, looked up as the launch does, or nil when there is none.
---@param description table
---@param name string
---@return demilune.Grant|nil
function inside.program(description, name)
    if name:find("/", 1, true) then
        return inside.look(description, name:sub(1, 1) == "/" and name or description.chdir .. "/" .. name)
    end
    for _, variable in ipairs(description.env) do
        for directory in (variable:match("^PATH=(.*)$") or ""):gmatch("[^:]+") do
            local found = inside.look(description, directory .. "/" .. name)
            if found.exists ~= false then
                return found
            end
        end
    end
end

return inside
