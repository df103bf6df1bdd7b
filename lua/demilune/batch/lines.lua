--- Lines of a descriptor, read piece by piece: of each at most so many bytes are kept, however long it is.
local core = require "demilune.core"

local PIECE = 64 * 1024

---@class demilune.Lines
---@field number integer of the line that was taken last
---@field consumed integer bytes of the lines that were taken
---@field ended boolean nothing more can be read
---@field problem string|nil why not, when that is not the end
local lines = {}
lines.__index = lines

---@param fd integer
---@param most integer bytes of a line that are kept
---@return demilune.Lines
function lines.new(fd, most)
    return setmetatable({
        fd = fd, most = most, number = 0, consumed = 0, ended = false,
        piece = "", at = 1, -- what was read, and how far it was taken
        parts = {}, kept = 0, size = 0, -- of the line that is not whole yet
    }, lines)
end

local function add(self, from, to)
    local room = math.min(to - from + 1, self.most - self.kept)
    if room > 0 then
        self.parts[#self.parts + 1] = self.piece:sub(from, from + room - 1)
        self.kept = self.kept + room
    end
    self.size = self.size + to - from + 1
end

local function finish(self, terminated)
    local text, size = table.concat(self.parts), self.size
    self.parts, self.kept, self.size = {}, 0, 0
    self.number = self.number + 1
    self.consumed = self.consumed + size + (terminated and 1 or 0)
    return text, size, terminated
end

--- The next line of what was read, without its newline; nil when there is no whole one. The last line needs none.
---@return string|nil text as much of it as is kept
---@return integer|nil size of the whole line
---@return boolean|nil terminated whether a newline followed
function lines:take()
    local stop = self.piece:find("\n", self.at, true)
    if stop then
        add(self, self.at, stop - 1)
        self.at = stop + 1
        return finish(self, true)
    end
    add(self, self.at, #self.piece)
    self.piece, self.at = "", 1
    if self.ended and self.size > 0 then
        return finish(self, false)
    end
    return nil
end

--- Whether there is nothing left of what was read.
---@return boolean
function lines:is_empty()
    return self.at > #self.piece and self.size == 0
end

--- Reads a piece, once `take` has nothing more. Waits where the descriptor is not readable.
function lines:fill()
    local piece, problem = core.read(self.fd, PIECE)
    if piece then
        self.piece, self.at = piece, 1
    end
    if piece == "" or piece == nil then
        self.ended, self.problem = true, problem
    end
end

return lines
