--- The words of explain: sizes, kinds of entries, and who said something, short and safe to print.
local core = require "demilune.core"
local message = require "demilune.message"

local words = {}

local access = {
    ro_bind = "read-only", rw_bind = "read-write", tmpfs = "private", symlink = "link", file = "read-only",
    mask = "masked", proc = "fresh", dev = "fresh", cover = "read-only", pin = "pinned", device = "device",
}

--- What the command can do with an entry, in a word.
---@param mount table
---@return string
function words.access(mount)
    return access[mount.kind]
end

--- What stands there.
---@param mount table
---@return string
function words.source(mount)
    if mount.kind == "symlink" then
        return "to " .. message.plain(mount.source)
    elseif mount.source and mount.kind ~= "cover" and mount.kind ~= "mask" then
        return message.plain(mount.source)
    elseif mount.kind == "tmpfs" then
        return "memory, at most " .. core.size(mount.size)
    elseif mount.kind == "file" then
        return mount.secret and "a secret" or ("%d bytes, generated"):format(mount.length)
    elseif mount.kind == "proc" then
        return "its own processes"
    elseif mount.kind == "dev" then
        return "null, zero, random, terminals"
    elseif mount.kind == "mask" then
        return mount.directory and "a directory" or "a file"
    end
    return ""
end

--- What an entry that is optional waits for.
---@param entry table
---@return string
function words.awaited(entry)
    return entry.source and message.plain(entry.source) .. ", not there" or "nothing there to mask"
end

local limit_format = {
    timeout = "%g s", cpu_time = "%g s", memory = "size", file_size = "size", output = "size", tmp = "size",
}

--- The value of a limit.
---@param name string
---@param value number
---@return string
function words.limit(name, value)
    local format = limit_format[name] or "%d"
    return format == "size" and core.size(value) or format:format(value)
end

--- What was written for a limit: a number, or text such as "512M".
---@param value any
---@return string
function words.written(value)
    return type(value) == "string" and message.plain(value) or ("%.14g"):format(value)
end

local speakers = {
    engine = "demilune", default = "default", flags = "command line", options = "this run", table = "the program",
    effects = "effects", ceiling = "a ceiling", json = "JSON", hook = "a prepare hook",
}

-- A preset by its name, any other file by its last name.
local function short_file(path)
    local preset = path:match("/demilune/presets/([%w_%-]+)%.lua$")
    if preset and package.searchpath("demilune.presets." .. preset, package.path) == path then
        return "preset " .. preset
    end
    return path:match("[^/]+$") or path
end

---@class demilune.Words the names of one account, each file called in a way that is no other's
---@field package shown table<string, string>
---@field package owner table<string, string>
local names = {}
names.__index = names

--- Names for files, in the order in which they are met.
---@return demilune.Words
function words.new()
    return setmetatable({ shown = {}, owner = {} }, names)
end

--- A file, in short.
---@param path string
---@return string
function names:file(path)
    if not self.shown[path] then
        local short = short_file(path)
        if self.owner[short] and self.owner[short] ~= path then
            short = path
        end
        self.owner[short] = path
        self.shown[path] = message.plain(short)
    end
    return self.shown[path]
end

--- Who said something.
---@param said demilune.Said
---@return string
function names:who(said)
    if said.by == "base" then
        return "base " .. said.base
    elseif not said.file then
        return speakers[said.by] or said.by
    end
    local place = self:file(said.file) .. (said.line and said.file ~= "-e" and ":" .. said.line or "")
    return said.by == "hook" and "hook " .. place or place
end

--- Who said the parts of a group, all of one file or none: "a.lua:4-9".
---@param group demilune.Said[]
---@return string
function names:who_of_all(group)
    local first, last
    for _, said in ipairs(group) do
        first = said.line and math.min(said.line, first or said.line)
        last = said.line and math.max(said.line, last or said.line)
    end
    if not first or last == first then
        return self:who(group[1])
    end
    return (group[1].by == "hook" and "hook " or "") .. ("%s:%d-%d"):format(self:file(group[1].file), first, last)
end

--- Names in lines of at most so many columns.
---@param list string[]
---@param columns integer
---@return string[]
function words.wrapped(list, columns)
    local parts = {}
    for i, name in ipairs(list) do
        parts[i] = name .. (i < #list and "," or "")
    end
    return require("demilune.explain.page").folded(parts, columns)
end

--- A layer, in full.
---@param layer { kind: string, file: string?, trusted: boolean? }
---@return string
function words.layer(layer)
    local name = layer.file and message.plain(layer.file) or speakers[layer.kind] or layer.kind
    return name .. (layer.trusted == false and ", which may only narrow" or "")
end

return words
