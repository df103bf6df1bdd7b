--- Runs the jobs of a batch, some at a time: one loop over its input, its output, signals and what runs.
local core = require "demilune.core"
local job_of = require "demilune.batch.job"
local json = require "demilune.json"
local lines = require "demilune.batch.lines"
local message = require "demilune.message"
local output = require "demilune.batch.output"

local INPUT, OUTPUT = 0, 1
local MOST_LINE = 1024 * 1024
local STALE = 1 -- seconds for which what is known of the host may be used again
local TICK = 0.5 -- seconds between two looks at the clock for who watches

local EXIT_FAILED, EXIT_REFUSED = 1, 125
local ending = { [1] = "HUP", [2] = "INT", [3] = "QUIT", [15] = "TERM" }
local CONT, TSTP = 18, 20

---@class demilune.BatchSetup
---@field policy demilune.Policy
---@field has_hooks boolean
---@field backend? string
---@field jobs integer how many at a time
---@field keep_going boolean
---@field journal? demilune.Journal
---@field replay boolean the results that it has are printed, too
---@field journal_risk? fun(plan: demilune.Plan): string|nil what is wrong with where the journal lies
---@field progress? demilune.Progress
---@field signals integer the descriptor of core.forward_signals
---@field complain fun(text: string)
---@field launching function as common.backend_teller makes it
---@field report_skipped fun(skipped: string[])

---@class demilune.Runner: demilune.BatchSetup what is handed around here
---@field running table<integer, { job: demilune.Job, process: demilune.Process }> by the descriptor to wait for
---@field busy integer how many run
---@field ended table[] records of this round
---@field stopped string|nil why no more jobs are started: "failed", "journal", "output" or "signal"
local runner = {}

local function each_running(self, method, ...)
    for _, slot in pairs(self.running) do
        slot.process[method](slot.process, ...)
    end
end

local function name_of(record)
    if record.id == nil then
        return ("the job of line %d"):format(record.line)
    end
    return "job " .. (type(record.id) == "string" and core.quote(record.id) or record.id)
end

-- --- records ---------------------------------------------------------------------------------------------------------

-- A job is at its end with this record. It stands in the journal and on standard output after this round.
local function conclude(self, job, record, unrecorded)
    record.id, record.line = job.id, job.line
    self.ended[#self.ended + 1] = { job = job, record = record, unrecorded = unrecorded }
end

local function stop_for_journal(self)
    self.stopped = self.stopped or "journal"
    if not self.told_journal then
        self.told_journal = true
        self.complain(("the journal cannot be written: %s; no more jobs are started, and what ends now runs again"
            .. " when the batch goes on"):format(self.journal.problem))
    end
end

local function count(self, record)
    self.done = self.done + 1
    if record.ok then
        return
    end
    self.failed = self.failed + 1
    if not self.keep_going and not self.stopped then
        self.stopped = "failed"
        self.complain(("%s failed; no more are started (--keep-going goes on)"):format(name_of(record)))
    end
end

-- First the disk, then the reader.
local function settle(self)
    local ended, journal, appended = self.ended, self.journal, false
    for _, one in ipairs(ended) do
        one.text = json.shown(one.record)
        local records = journal and one.job.key and not one.unrecorded and one.record.kind ~= "cancelled"
        appended = records and journal:append(one.job, one.text, one.record.ok) or appended
    end
    if appended then
        journal:sync()
    end
    if journal and journal.problem then
        stop_for_journal(self)
    end
    for _, one in ipairs(ended) do
        count(self, one.record)
        self.output:add(one.text .. "\n")
    end
    self.ended = {}
end

-- --- one job ---------------------------------------------------------------------------------------------------------

local function refuse(self, job, kind, problems, unrecorded)
    conclude(self, job, job_of.refusal(job, kind, problems), unrecorded)
end

-- Prints what the journal has of a job.
local function replay(self, job)
    local text = self.journal:result(job)
    if not text then
        self.complain(("line %d: its result in the journal can no more be read"):format(job.line))
    else
        self.output:add(text .. "\n")
    end
end

-- Whether a job is to be run: no other job had its id, here or in the journal.
local function is_new(self, job)
    local found = self.journal and self.journal:find(job)
    local print = core.fingerprint(job.key)
    if self.seen[print] then
        refuse(self, job, "refused", { { field = "id", code = "job.repeated",
            message = ("the job of line %d has this id"):format(self.seen[print]) } }, true)
        return false
    end
    self.seen[print] = job.line
    if found == "other" then
        refuse(self, job, "refused", { { field = "id", code = "job.changed",
            message = "the journal has the result of another job with this id" } }, true)
    elseif found then
        self.skipped = self.skipped + 1
        self.failed_before = self.failed_before + (found == "failed" and 1 or 0)
        if self.replay then
            replay(self, job)
        end
    end
    return not found
end

-- The plan of a job; or nil and the problems.
local function plan_of(self, job)
    local plan, _, _, problems = self.policy:plan(job.command,
        { env = job.env, narrow = job.narrow, backend = self.backend })
    local risk = plan and self.journal_risk and self.journal_risk(plan)
    if risk then
        return nil, { { field = "", code = "journal.writable", message = risk } }
    end
    return plan, problems
end

-- The plan of a job that says nothing of the policy, which is that of another one but for the command, unless that is
-- old; or nil.
local function shared_plan(self, job)
    local at = core.clock()
    if self.has_hooks or job.env or job.narrow or job.alone then
        return nil
    elseif not self.plan or at - self.planned > STALE then
        self.plan, self.planned = self.policy:plan(job.command, { backend = self.backend }), at
    end
    return self.plan and self.plan:with_command(job.command)
end

local start

-- It may have been the plan, which was older than the job: then the job has one of its own.
local function start_again(self, job)
    if not job.shared then
        return false
    end
    job.shared, job.alone = false, true
    start(self, job)
    return true
end

function start(self, job)
    local plan, problems = shared_plan(self, job), nil
    job.shared = plan ~= nil
    if not plan then
        plan, problems = plan_of(self, job)
    end
    if not plan then
        return refuse(self, job, "refused", problems)
    end
    local process, _
    process, _, _, problems = plan:spawn {
        stdin = job.stdin and { text = job.stdin } or "null", capture = true, backend = self.backend,
        launching = self.launching,
    }
    if not process and start_again(self, job) then
        return nil
    elseif not process then
        return refuse(self, job, "setup_failed", problems)
    end
    local ok, fd = pcall(process.pollfd, process)
    if not ok then -- the descriptors have run out
        process:close()
        return refuse(self, job, "setup_failed", { { field = "", code = "setup.failed", message = fd } })
    end
    self.running[fd] = { job = job, process = process }
    self.busy = self.busy + 1
end

local function take_line(self, text, size)
    if self.input.number == 1 then
        text = text:gsub("^\u{FEFF}", "") -- a byte order mark: RFC 8259 lets it be passed over
    end
    if size > MOST_LINE then
        return refuse(self, { line = self.input.number }, "refused", { { field = "", code = "line.long",
            message = ("the line has %d bytes; at most %d are read"):format(size, MOST_LINE) } })
    elseif not text:find("[^ \t\r]") then
        return nil
    end
    local job, problems = job_of.read(text, self.input.number)
    job.fingerprint = job.key and self.journal and core.fingerprint(text)
    if job.key and not is_new(self, job) then
        return nil
    elseif #problems > 0 then
        return refuse(self, job, "refused", problems)
    end
    start(self, job)
end

-- Looks after one that runs. Its place is free again when it has ended.
local function look_after(self, fd)
    local slot = self.running[fd]
    local result, text, code, problems, unexecuted = slot.process:poll()
    if not result and not code then
        return
    end
    self.running[fd] = nil
    self.busy = self.busy - 1
    slot.process:close()
    if unexecuted and unexecuted.kind == "setup_failed" and not self.stopped and start_again(self, slot.job) then
        return
    elseif not result then
        result = unexecuted or { kind = "setup_failed", ok = false, code = code, message = text }
        result.problems = problems
    elseif not self.told_skipped then
        self.told_skipped = true
        self.report_skipped(result.skipped)
    end
    conclude(self, slot.job, result)
end

-- --- the loop --------------------------------------------------------------------------------------------------------

-- What waits to be printed has its place among those that run, so that a slow reader bounds what is kept.
local function has_room(self)
    return not self.stopped and self.busy + self.output.count + #self.ended < self.jobs
end

-- Starts what was read. True when more of the input is needed.
local function start_jobs(self)
    while has_room(self) do
        local text, size = self.input:take()
        if not text then
            return not self.input.ended
        end
        take_line(self, text, size)
        if #self.ended > 0 and not self.keep_going then
            return false -- what was refused may be the end of it
        end
    end
    return false
end

local function stop(self, reason, signal)
    self.stopped, self.signal = reason, signal
    each_running(self, "kill", "TERM")
end

local function take_signals(self)
    local signal = core.take_signal(self.signals)
    while signal do
        if signal == TSTP then
            each_running(self, "kill", "STOP")
            core.suspend()
        elseif signal == CONT then
            each_running(self, "kill", "CONT")
        elseif ending[signal] and self.signal then
            each_running(self, "kill", "KILL") -- once more: at once, and without a reader
            self.output:drop()
        elseif ending[signal] then
            self.complain(("%s: ending %d that are running"):format(ending[signal], self.busy))
            stop(self, "signal", signal)
        end
        signal = core.take_signal(self.signals)
    end
end

local function stop_for_output(self)
    local problem = self.output.problem
    self.output.add = function() end -- nobody gets what comes now
    if not self.told_output then
        self.told_output = true
        self.complain(("standard output cannot be written: %s; ending %d that are running"):format(problem, self.busy))
        stop(self, "output", self.signal)
    end
end

local function wait(self, wants_input)
    local descriptors = { self.signals, wants_input and INPUT or nil }
    for fd in pairs(self.running) do
        descriptors[#descriptors + 1] = fd
    end
    local writable = self.output.count > 0 and OUTPUT or nil
    for _, fd in ipairs(core.wait_readable(descriptors, self.progress and TICK, writable)) do
        if fd == self.signals then
            take_signals(self)
        elseif fd == INPUT then
            self.input:fill()
        elseif fd == OUTPUT then
            self.output:advance()
        elseif self.running[fd] then
            look_after(self, fd)
        end
    end
end

local function show(self)
    if self.progress then
        self.progress:update { done = self.done, running = self.busy, failed = self.failed,
            consumed = self.input.consumed }
    end
end

local function is_over(self)
    local no_more = self.stopped or self.input.ended and self.input:is_empty()
    return no_more and self.busy == 0 and self.output.count == 0 and #self.ended == 0
end

-- What is said at the end, and the exit code.
local function sum_up(self)
    if self.progress then
        self.progress:clear()
    end
    if self.skipped > 0 then
        self.complain(("%d jobs have their results in the journal and were not run again"):format(self.skipped)
            .. (self.failed_before > 0 and (", %d of them failed"):format(self.failed_before) or ""))
    end
    if self.input.problem then
        self.complain(("standard input cannot be read: %s"):format(message.plain(self.input.problem)))
    end
    if self.signal then
        return 128 + self.signal
    elseif self.stopped == "journal" or self.stopped == "output" or self.input.problem or self.told_journal then
        return EXIT_REFUSED
    end
    return self.failed + self.failed_before > 0 and EXIT_FAILED or 0
end

--- Runs a batch to its end.
---@param setup demilune.BatchSetup
---@return integer exit code
function runner.run(setup)
    local self = { running = {}, busy = 0, ended = {}, seen = {}, done = 0, failed = 0, skipped = 0, failed_before = 0 }
    for name, value in pairs(setup) do
        self[name] = value
    end
    self.input, self.output = lines.new(INPUT, MOST_LINE), output.new()
    while not is_over(self) do
        local wants_input = start_jobs(self)
        if #self.ended == 0 and not is_over(self) then
            wait(self, wants_input)
        end
        settle(self)
        if self.output.problem then
            stop_for_output(self)
        end
        show(self)
    end
    return sum_up(self)
end

return runner
