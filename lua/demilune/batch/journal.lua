--- The journal of a batch: a line for each job that has its result, on the disk before the result is printed. A batch
--- that was interrupted goes on from it. Its first line says what it is; what a crash left of a last one is taken away.
local core = require "demilune.core"
local lines = require "demilune.batch.lines"

local HEADER = '{"demilune_batch":1}'
local PIECE = 64 * 1024
local MOST_HEAD = 4096 -- bytes of a line that are looked at: the id, the job and how it went stand in front
-- In a JSON string a quote has a backslash in front, so that the first match is the right one.
local HEAD = '^{"id":(.-),"job":"(%x+)","ok":(%l+),"result":{'

---@class demilune.Journal
---@field problem string|nil why nothing is written to it any more
---@field places table<integer, integer>|nil the fingerprint of an id -> where its line begins
---@field recorded table<integer, integer> the fingerprint of an id -> that of its job, whose last bit says how it went
local journal = {}
journal.__index = journal

-- --- reading ---------------------------------------------------------------------------------------------------------

-- The fingerprint of a job with how it went as its last bit.
local function entry(fingerprint, ok)
    return fingerprint & ~1 | (ok and 1 or 0)
end

local function read_line(self, text, number)
    if number == 1 then
        return text == HEADER or nil, "is no journal of demilune batch, and stays as it is"
    end
    local key, fingerprint, ok = text:match(HEAD)
    if not key or #fingerprint ~= 16 then
        return nil, ("line %d is no record of demilune batch; take it out, or begin another journal"):format(number)
    end
    local print = core.fingerprint(key)
    self.recorded[print] = entry(tonumber("0x" .. fingerprint), ok == "true")
    if self.places then
        self.places[print] = self.size
    end
    return true
end

-- A last line without its end: of ours, the crash that left it has nothing to say any more.
local function drop_torn(self, reader, text)
    local ours = reader.number > 1 or HEADER:sub(1, #text) == text
    if not ours then
        return nil, "is no journal of demilune batch, and stays as it is"
    end
    return core.truncate(self.fd, self.size)
end

local function read_all(self)
    local reader = lines.new(self.fd, MOST_HEAD)
    while true do
        local text, _, terminated = reader:take()
        local ok, problem = true, nil
        if text and terminated then
            ok, problem = read_line(self, text, reader.number)
            self.size = reader.consumed
        elseif text then
            ok, problem = drop_torn(self, reader, text)
        elseif reader.ended then
            return not reader.problem, reader.problem
        else
            reader:fill()
        end
        if not ok then
            return nil, problem
        end
    end
end

-- --- writing ---------------------------------------------------------------------------------------------------------

-- Writes a line whole, or takes away what there is of it.
local function append(self, line)
    local at = 1
    while at <= #line do
        local written, problem = core.write(self.fd, line, at)
        if not written then
            if self.regular then
                core.truncate(self.fd, self.size)
            end
            return nil, problem
        end
        at = at + written
    end
    self.size = self.size + #line
    return true
end

--- Opens a journal, makes it where it is not there, and reads what it has.
---@param path string
---@param to_replay? boolean what it has will be asked for
---@return demilune.Journal|nil
---@return string|nil message
function journal.open(path, to_replay)
    local fd, regular = core.open_journal(path)
    if not fd then
        return nil, regular
    end
    local self = setmetatable({ fd = fd, regular = regular, size = 0, recorded = {} }, journal)
    self.places = to_replay and {} or nil
    local ok, problem = true, nil
    if regular then
        ok, problem = read_all(self)
    end
    if ok and self.size == 0 then
        ok, problem = append(self, HEADER .. "\n")
    end
    if not ok then
        core.close_descriptor(fd)
        return nil, problem
    end
    return self
end

--- What became of a job when it was recorded: "ok", "failed", or "other" for another job with that id; nil when it was
--- not.
---@param job demilune.Job
---@return "ok"|"failed"|"other"|nil
function journal:find(job)
    local found = self.recorded[core.fingerprint(job.key)]
    if not found then
        return nil
    elseif found & ~1 ~= job.fingerprint & ~1 then
        return "other"
    end
    return found & 1 == 1 and "ok" or "failed"
end

--- The result of a job that was recorded, as it was printed then; nil when it can no more be read.
---@param job demilune.Job
---@return string|nil text
function journal:result(job)
    local at, pieces = self.places[core.fingerprint(job.key)], {}
    repeat
        local piece = core.read(self.fd, PIECE, at)
        if not piece or piece == "" then
            return nil
        end
        at = at + #piece
        pieces[#pieces + 1] = piece
    until piece:find("\n", 1, true)
    return table.concat(pieces):match('^[^\n]-"result":({[^\n]*})}\n')
end

--- Appends the record of a job; it is on the disk after the next sync. False when it could not be.
---@param job demilune.Job
---@param text string
---@param ok boolean
---@return boolean
function journal:append(job, text, ok)
    if self.problem then
        return false
    end
    local done, problem = append(self, ('{"id":%s,"job":"%016x","ok":%s,"result":%s}\n'):format(job.key,
        job.fingerprint, tostring(ok), text))
    self.problem = problem
    return done == true
end

--- Waits until what was appended is on the disk.
---@return boolean
function journal:sync()
    local done, problem = core.sync(self.fd)
    self.problem = self.problem or problem
    return done == true
end

return journal
