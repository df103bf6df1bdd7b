--- The sandbox's files as the command will see them: walks to a path inside over mounts and links, and says whether it
--- is there and what the permissions let the command do.
local core = require "demilune.core"

---@class demilune.View
---@field package mounts table<string, table> by path inside
---@field package on_the_way table<string, boolean> directories that are made for what lies below them
local view = {}
view.__index = view

---@class demilune.Sight what is at a path inside
---@field path string as it was asked for
---@field at string where its links lead to
---@field there boolean|nil nil: that depends on what runs inside
---@field kind? string "file", "directory", "socket", ...
---@field read boolean
---@field write boolean
---@field reason? string why not, where the entry does not say it already
---@field mount? table the entry that it comes from; nil: directories that are made for what lies below
---@field host? string its path on the host
---@field links { from: string, to: string, said: demilune.Said? }[]

local MOST_LINKS = 40 -- as the kernel has it
local devices = {
    null = true, zero = true, full = true, random = true, urandom = true, tty = true, ptmx = true, console = true,
}
local links_in_dev = {
    stdin = "/proc/self/fd/0", stdout = "/proc/self/fd/1", stderr = "/proc/self/fd/2", fd = "/proc/self/fd",
    core = "/proc/kcore",
}

--- The view of an account.
---@param account table
---@return demilune.View
function view.of(account)
    local self = setmetatable({ mounts = {}, on_the_way = { ["/"] = true } }, view)
    for _, mount in ipairs(account.mounts) do
        if mount.kind ~= "seal" then
            self.mounts[mount.at] = mount
            local path = mount.at:match("^(.+)/[^/]*$")
            while path do
                self.on_the_way[path] = true
                path = path:match("^(.+)/[^/]*$")
            end
        end
    end
    return self
end

local function join(directory, name)
    return directory == "/" and "/" .. name or directory .. "/" .. name
end

--- The deepest entry at or above a path.
---@param path string
---@param strictly? boolean above it
---@return table|nil
function view:entry(path, strictly)
    local at = strictly and path ~= "/" and (path:match("^(.+)/[^/]*$") or "/") or not strictly and path or nil
    while at do
        if self.mounts[at] then
            return self.mounts[at]
        end
        at = at ~= "/" and (at:match("^(.+)/[^/]*$") or "/") or nil
    end
end

local binds = { ro_bind = true, rw_bind = true, pin = true, device = true }

-- Where on the host a path below an entry lies.
local function host_path(mount, path)
    local source = mount.kind == "proc" and "/proc" or mount.kind == "cover" and mount.at or mount.source
    local rest = path:sub(#mount.at + (mount.at == "/" and 1 or 2))
    return rest == "" and source or join(source, rest)
end

-- What is at one path, none of whose parents is a link: its kind, the target of a link, its path on the host.
function view:object(path)
    local mount = self:entry(path)
    local exact = mount and mount.at == path
    if mount and binds[mount.kind] then
        local host = host_path(mount, path)
        local kind, target = core.file_type(host)
        return kind, kind == "link" and target or nil, host
    elseif mount and (mount.kind == "proc" or mount.kind == "cover") and not exact then
        local process = path:match("^/proc/([^/]+)")
        if process:find("^%d+$") or process == "self" or process == "thread-self" then
            return "unknown"
        end
        local host = host_path(mount, path)
        return core.file_type(host), nil, host
    elseif exact and mount.kind == "symlink" then
        return "link", mount.source
    elseif exact then
        return (mount.kind == "file" or mount.kind == "mask" and not mount.directory) and "file" or "directory"
    elseif mount and mount.kind == "dev" then
        local is_directory, name = path == "/dev/pts" or self.on_the_way[path], path:match("^/dev/([^/]+)$")
        if links_in_dev[name] then
            return "link", links_in_dev[name]
        end
        return devices[name] and "device" or is_directory and "directory" or nil
    end
    return self.on_the_way[path] and "directory" or nil
end

local function parts_of(path)
    local parts = {}
    for name in path:gmatch("[^/]+") do
        parts[#parts + 1] = name
    end
    return parts
end

-- Whether the command can go through a directory.
function view:is_passable(path, host)
    local mount = self:entry(path)
    return not host or mount and mount.kind == "proc" or (core.permits(host) or ""):find("x", 1, true) ~= nil
end

-- Walks to a path: its last object, or why there is none.
function view:walk(sight, path)
    local parts, at, i = parts_of(path), "/", 1
    local kind, _, host = self:object("/")
    while i <= #parts do
        if parts[i] == ".." then
            at = at:match("^(.+)/[^/]*$") or "/"
        elseif parts[i] ~= "." then
            if not self:is_passable(at, host) then
                return nil, at, nil, "the permissions of " .. host .. " keep the command out"
            end
            local target
            kind, target, host = self:object(join(at, parts[i]))
            if not kind or kind == "unknown" then
                return kind, join(at, table.concat(parts, "/", i))
            elseif target then
                local from = join(at, parts[i])
                local said = self.mounts[from] and self.mounts[from].said -- else it lies in what is bound
                table.insert(sight.links, { from = from, to = target, said = said })
                if #sight.links > MOST_LINKS then
                    return nil, at, nil, "too many links"
                end
                parts = table.move(parts, i + 1, #parts, #parts_of(target) + 1, parts_of(target))
                at, i = target:sub(1, 1) == "/" and "/" or at, 0
            else
                at = join(at, parts[i])
            end
        end
        i = i + 1
        if i <= #parts and kind ~= "directory" and kind ~= "link" then
            return nil, join(at, table.concat(parts, "/", i)), nil, at .. " is a " .. kind
        end
    end
    kind, _, host = self:object(at)
    if kind and kind ~= "directory" and path:find("/%.?$") then
        return nil, at, nil, at .. " is a " .. kind
    end
    return kind, at, host
end

-- What is writable whatever the bind says.
local through = { socket = true, FIFO = true }

--- Whether something is the node of a device in a bind, which the kernel does not open.
---@param sight demilune.Sight
---@return boolean
function view.is_dead_node(sight)
    local kind = sight.mount and sight.mount.kind
    return sight.kind == "device" and (kind == "ro_bind" or kind == "rw_bind" or kind == "pin")
end

-- What the permissions and the kind of the entry let the command do.
local function judge(sight)
    local mount = sight.mount
    local permits = sight.host and core.permits(sight.host) or "rwx"
    local directory = sight.kind == "directory"
    local readable = permits:find("r", 1, true) and (not directory or permits:find("x", 1, true))
    local writable = permits:find("w", 1, true) and (not directory or permits:find("x", 1, true))
    local kind = mount and mount.kind
    if kind == "mask" or view.is_dead_node(sight) then
        return false, false
    elseif kind == "rw_bind" or kind == "pin" or kind == "device" then
        return readable, writable
    elseif kind == "tmpfs" then
        return true, mount.at == sight.at
    elseif kind == "dev" then
        return true, sight.kind == "device"
    elseif kind == "ro_bind" then
        return readable, through[sight.kind] and writable
    elseif kind == "proc" then
        return readable, writable and not directory
    end
    return readable, false
end

--- What is at a path inside.
---@param path string absolute
---@return demilune.Sight
function view:look(path)
    local sight = { path = path, links = {}, read = false, write = false }
    local kind, at, host, reason = self:walk(sight, path)
    sight.at, sight.reason = at, reason
    sight.mount = self:entry(at)
    if kind == "unknown" then
        return sight
    end
    sight.there = kind ~= nil
    if kind then
        sight.kind, sight.host = kind, host
        local read, write = judge(sight)
        sight.read, sight.write = read and true or false, write and true or false
        if view.is_dead_node(sight) then
            sight.reason = "device nodes cannot be opened in a bind (nodev); name it under devices"
        elseif host and binds[sight.mount.kind] and not sight.read then
            sight.reason = "the permissions of " .. host
        elseif host and not binds[sight.mount.kind] and kind ~= "directory" then
            sight.reason = "its permissions; the kernel may refuse more"
        end
    end
    return sight
end

--- Where inside a host path can be seen: paths inside, with the entry that shows it.
---@param host string with its links resolved
---@return { at: string, mount: table }[]
function view:places_of(host)
    local list = {}
    for at, mount in pairs(self.mounts) do
        local source = binds[mount.kind] and mount.kind ~= "pin" and mount.source
        local inside = source and (host == source and at
            or source == "/" and join(at, host:sub(2))
            or host:sub(1, #source + 1) == source .. "/" and join(at, host:sub(#source + 2)))
        local sight = inside and self:look(inside)
        if sight and sight.there and sight.host == host then
            list[#list + 1] = { at = inside, mount = sight.mount }
        end
    end
    table.sort(list, function(a, b)
        return a.at < b.at
    end)
    return list
end

return view
