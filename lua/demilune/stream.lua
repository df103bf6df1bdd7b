--- A pipe to or from a process: a Lua file and, for a loop, its descriptor. It is a type of its own, since Lua's files
--- share one table of methods, and adding to that would change every file of the host.
local core = require "demilune.core"
local loop = require "demilune.loop"
local refusal = require "demilune.refusal"

---@class demilune.Stream
---@field file? file* the pipe as Lua has files, for whoever asks with io.type; nil once it is closed
---@field read fun(self: demilune.Stream, ...): any as of a Lua file; nil, "closed" once it is closed, as the next four
---@field write fun(self: demilune.Stream, ...: string|number): demilune.Stream|nil, string?, integer?
---@field flush fun(self: demilune.Stream): demilune.Stream|nil, string?, integer?
---@field setvbuf fun(self: demilune.Stream, mode: "no"|"full"|"line", size?: integer): boolean|nil, string?
---@field seek fun(self: demilune.Stream, whence?: string, offset?: integer): integer|nil, string?, integer?
---@field package fd integer
---@field package polled integer|nil the descriptor, once it was asked for
---@field package mode "r"|"w"
---@field package owner demilune.Process lives as long as somebody reads what it writes
local stream = {}
stream.__index = stream
stream.__name = "demilune.stream"

--- Takes over the file of a pipe.
---@param file file*
---@param fd integer its descriptor
---@param mode "r"|"w"
---@param owner? demilune.Process
---@return demilune.Stream
function stream.new(file, fd, mode, owner)
    return setmetatable({ file = file, fd = fd, mode = mode, owner = owner }, stream)
end

-- What a method of the file returned, as the stream's.
local function returned(self, first, ...)
    return first == self.file and self or first, ...
end

for _, name in ipairs { "read", "write", "flush", "setvbuf", "seek" } do
    stream[name] = function(self, ...)
        refusal.check_self(self, stream, name)
        local file = self.file
        if not file then
            return nil, "closed"
        end
        return returned(self, file[name](file, ...))
    end
end

--- As of a Lua file: an iterator, which keeps the process.
---@return fun(): string|nil
function stream:lines(...)
    refusal.check_self(self, stream, "lines")
    if not self.file then
        error("the stream is closed", 2)
    end
    local following = self.file:lines(...)
    return function()
        return following(self)
    end
end

--- What is there by now, without waiting for more: after the descriptor was readable at least one byte.
---@param most? integer bytes
---@return string|nil bytes "" when there is nothing yet, nil at the end
---@return string|nil message
function stream:read_some(most)
    refusal.check_self(self, stream, "read_some")
    if not self.file then
        return nil, "closed"
    end
    return core.read_some(self.file, most)
end

--- The descriptor, to wait for: it stays the stream's. Nil once it is closed.
---@return integer|nil
function stream:getfd()
    self.polled = self.file and self.fd
    return self.polled
end

--- What to watch the descriptor for, for cqueues.
---@return "r"|"w"
function stream:events()
    return self.mode
end

--- For cqueues: it has no deadline.
function stream.timeout(_) end

--- Whether something was read ahead, which the descriptor does not show, for LuaSocket.
---@return boolean
function stream:dirty()
    return self.file ~= nil and self.mode == "r" and core.is_dirty(self.file)
end

--- Gives the descriptor away, close-on-exec: the caller closes it. What the stream has read ahead is lost, so do this
--- before reading.
---@return integer|nil descriptor nil once it is closed
function stream:release()
    refusal.check_self(self, stream, "release")
    if not self.file then
        return nil
    end
    local fd = core.duplicate(self.fd)
    self:close()
    return fd
end

local function close(self)
    local file = self.file
    self.file = nil
    if not file then
        return true
    end
    return file:close()
end

--- Closes it; twice is fine.
function stream:close()
    refusal.check_self(self, stream, "close")
    loop.leave(self.polled)
    self.polled = nil
    return close(self)
end

stream.pollfd, stream.fileno = stream.getfd, stream.getfd
stream.__close, stream.__gc = stream.close, close -- the collector runs in forked copies, too: their loop is not theirs

return stream
