--- What a plan says of a path inside: whether there is something, and what may be done with it. It follows the mounts
--- as the launch makes them, and links, and looks at the host where a mount shows a part of it.
local core = require "demilune.core"

local inside = {}

---@class demilune.Place
---@field path string with every link resolved
---@field exists boolean|nil nil: the plan cannot tell
---@field read boolean|nil whether the mounts let it be read
---@field write boolean|nil whether they let it be written to, or made where it is not there
---@field why string "read-only by ro_binds[1]"

local MOST_LINKS = 40

-- What stands in a fresh /dev: its devices, which everybody may use, and the rest, of which a plan knows nothing more.
local devices = {
    null = "device", zero = "device", full = "device", random = "device", urandom = "device", tty = "device",
    pts = "other", ptmx = "other", console = "other", fd = "other", stdin = "other", stdout = "other", stderr = "other",
    core = "other",
}

local function join(directory, name)
    return (directory == "/" and "" or directory) .. "/" .. name
end

local function by_path(mounts)
    local at = {}
    for _, mount in ipairs(mounts) do
        if mount.kind ~= "seal" then
            at[mount.at] = mount
        end
    end
    return at
end

-- Whether a directory is made on the way to a mount.
local function leads_to_mount(at, path)
    local start = join(path, "")
    for other in next, at do
        if other:sub(1, #start) == start then
            return true
        end
    end
    return false
end

local trees = { ro_bind = "read-only", rw_bind = "read-write", pin = "read-write" }

-- What may be done with what a mount shows.
local all, nothing = { read = true, write = true }, { read = false, write = false }
local reading = { read = true, write = false }
local access = {
    ro_bind = reading, rw_bind = all, pin = all, tmpfs = all, file = reading, device = all, mask = nothing,
    cover = { write = false }, proc = {}, dev = reading,
}

local words = {
    tmpfs = "private", file = "a read-only file from memory", mask = "masked", cover = "covered",
    proc = "the sandbox's own", dev = "the sandbox's own", device = "a device of the host",
}

local function why(mount)
    local what = trees[mount.kind] or words[mount.kind]
    return ("%s%s"):format(what, mount.field == "engine" and "" or " by " .. mount.field)
end

-- One step from a place to the name in it. A place has `path`, `mount` (nil: the root of the sandbox, which is
-- read-only), `host` (in a tree of the host) and `exists`.
local function step(at, from, name)
    local to = { path = join(from.path, name), mount = from.mount, exists = true }
    local mount = at[to.path]
    if mount then
        to.mount, to.host = mount, trees[mount.kind] and mount.source
        to.link = mount.kind == "symlink" and mount.source
    elseif from.host then
        to.host = join(from.host, name)
        local kind, target = core.file_type(to.host)
        to.exists, to.link = kind ~= nil, kind == "link" and target
    elseif from.mount and (from.mount.kind == "proc" or from.mount.kind == "cover") then
        to.exists = nil
    elseif from.path == "/dev" and devices[name] then
        to.device = devices[name]
    else
        to.exists = leads_to_mount(at, to.path)
        to.made = to.exists
    end
    return to
end

-- Whether something could be made in a place.
local function is_directory(place)
    if place.host then
        return core.file_type(place.host) == "directory"
    end
    return not (place.device or place.mount and place.mount.kind == "file")
end

local function names_of(path)
    local names = {}
    for name in path:gmatch("[^/]+") do
        names[#names + 1] = name
    end
    return names
end

-- Walks to a path: the last place, and the directory that it is in, or nil when it cannot be made there either.
local function walk(at, path)
    local root = { path = "/", mount = at["/"], host = at["/"] and at["/"].source, exists = true }
    local here, todo, links, stack = root, names_of(path), 0, {}
    while #todo > 0 do
        local name = table.remove(todo, 1)
        if name == ".." then
            here = table.remove(stack) or root
        elseif name ~= "." then
            local to = step(at, here, name)
            if to.link and links < MOST_LINKS then
                links = links + 1
                local target = names_of(to.link)
                if to.link:sub(1, 1) == "/" then
                    here, stack = root, {}
                end
                todo = table.move(todo, 1, #todo, #target + 1, target)
            elseif to.exists == false then
                return to, #todo == 0 and is_directory(here) and here or nil
            else
                stack[#stack + 1] = here
                here = to
            end
        end
    end
    return here, here
end

-- A socket or FIFO of the host, which can be written to also where it is bound read-only.
local function channel(place)
    local kind = place.host and core.file_type(place.host)
    return (kind == "socket" or kind == "FIFO") and kind or nil
end

local function rights(place)
    local mount = place.mount
    if not mount then
        return reading
    elseif place.device then
        return place.device == "device" and all or {}
    elseif channel(place) then
        return all
    elseif place.made and mount.kind == "tmpfs" then
        return { read = true } -- who made it on the way may keep others from writing
    end
    return access[mount.kind] or {}
end

--- What the plan says of a path. A link, relative or not, is followed.
---@param description table of the plan, from core.describe
---@param path string absolute, inside
---@return demilune.Place
function inside.look(description, path)
    local at = by_path(description.mounts)
    local place, parent = walk(at, path)
    local found = { path = place.path, exists = place.exists }
    if place.exists ~= false then
        local may = rights(place)
        found.read, found.write = may.read, may.write
        local kind = channel(place)
        found.why = place.mount and (kind and "a " .. kind .. ", " or "") .. why(place.mount)
            or "a directory of the sandbox's own, read-only"
        return found
    end
    found.read = false
    found.write = false
    if parent then
        found.write = rights(parent).write
    end
    found.why = "not there" .. (place.mount and (", where it is %s"):format(why(place.mount)) or "")
    return found
end

--- The path of a program that is looked up as the launch does, or nil when there is none.
---@param description table
---@param name string
---@return demilune.Place|nil
function inside.program(description, name)
    if name:find("/", 1, true) then
        return inside.look(description, name:sub(1, 1) == "/" and name or join(description.chdir, name))
    end
    for _, variable in ipairs(description.env) do
        for directory in (variable:match("^PATH=(.*)$") or ""):gmatch("[^:]+") do
            local place = inside.look(description, join(directory, name))
            if place.exists ~= false then
                return place
            end
        end
    end
end

return inside
