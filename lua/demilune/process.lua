--- A launched plan: what goes in and out, how it ends, and one descriptor for whoever waits for it.
local core = require "demilune.core"
local host = require "demilune.host"
local loop = require "demilune.loop"
local refusal = require "demilune.refusal"
local stream = require "demilune.stream"

---@class demilune.Process
---@field stdin? demilune.Stream with stdin = "pipe"
---@field stdout? demilune.Stream with stdout = "pipe"
---@field stderr? demilune.Stream with stderr = "pipe"
---@field package core userdata|nil until it is closed
---@field package plan demilune.Plan
---@field package start table what core.start was given
---@field package before_hooks? fun(name: string, subject: table) for the command, which a hook could hang
---@field package digest? string of the plan, once it is looked at
---@field package polled integer|nil the descriptor, once it was asked for
---@field package streams? boolean whether there is one of them
---@field package told? boolean whether the hooks have been told that the command runs
---@field package outcome table|nil what wait() and poll() return from the end on
local process = {}
process.__index = process
process.__name = "demilune.process"

local standard = { "stdin", "stdout", "stderr" } -- each one more than its descriptor
local modes = { stdin = "r", stdout = "w", stderr = "w" }

local signals = {
    HUP = 1, INT = 2, QUIT = 3, KILL = 9, USR1 = 10, USR2 = 12, TERM = 15, CONT = 18, STOP = 19, WINCH = 28,
}

-- What was opened for the command: closed once the launch has its own copy of it, or when there is none.
local function close_all(opened)
    for i = 1, #standard do
        if opened[i] then
            core.close_descriptor(opened[i])
        end
    end
end

-- The descriptor of what is opened for one of the standard three, or was by the host; or nil and what is wrong.
local function descriptor(self, wanted, name, opened, i)
    if wanted == "pipe" then
        local mode = name == "stdin" and "w" or "r"
        local file, mine, theirs = core.pipe(mode)
        if not file then
            return nil, mine
        end
        opened[i] = theirs
        self[name], self.streams = stream.new(file, mine, mode, self), true
        return theirs
    elseif type(wanted) == "table" and math.type(wanted.fd) == "integer" then
        return wanted.fd
    elseif type(wanted) == "table" and type(wanted.path) == "string" then
        local fd, problem = core.open(wanted.path, modes[name])
        opened[i] = fd
        return fd, problem and ("%s: %s"):format(name, problem)
    end
    error(("bad option %s: \"inherit\", \"null\", %s, \"pipe\", { path = } or { fd = } expected"):format(name,
        name == "stdin" and "a text, { text = }" or "\"capture\""), 0)
end

-- What is said of one stream beats what is said of both.
local function captures(options, name)
    return name ~= "stdin" and (options[name] == "capture" or options[name] == nil and options.capture == true)
end

-- A text that is the command's input, or nil.
local function text_of(input)
    if type(input) == "table" and type(input.text) == "string" then
        return input.text -- which may be "null", too
    end
    return type(input) == "string" and input ~= "pipe" and input ~= "null" and input ~= "inherit" and input or nil
end

-- The options as core.start takes them. Nothing is opened before it is known which of the standard three the host has
-- open: what is opened may take the number of one that it has not.
local function prepare(self, backend, options, opened)
    local start = { bwrap = backend.bwrap_path, signals = options.signals }
    local plain = true
    for i = 1, #standard do
        local name = standard[i]
        local wanted = options[name]
        if captures(options, name) then
            start["capture_" .. name] = true
        elseif wanted == nil or wanted == "inherit" then
            start[name] = core.is_open(i - 1) and i - 1 or -1
        elseif wanted == "null" then
            start[name] = -1
        else
            plain = false
        end
    end
    for i = 1, plain and 0 or #standard do
        local name = standard[i]
        local text = name == "stdin" and text_of(options.stdin)
        if text then
            start.input = text
        elseif not (start[name] or start["capture_" .. name]) then
            local fd, problem = descriptor(self, options[name], name, opened, i)
            if not fd then
                return nil, problem
            end
            start[name] = fd
        end
    end
    return start
end

local function close_streams(self)
    for i = 1, self.streams and #standard or 0 do
        if self[standard[i]] then
            self[standard[i]]:close()
        end
    end
end

-- The policy's hooks are told.
local function notify(self, name, kind, subject)
    if #self.plan.policy.hooks[name] > 0 then
        if self.before_hooks then
            self.before_hooks(name, subject)
        end
        require("demilune.hooks").notify(self.plan, name, kind, subject, self.failures)
    end
end

-- The first launch of a program by a backend is waited for: when that was set up, later ones can be, too. What it came
-- to when it was not; else nil.
local function first_failure(self, launched)
    local kind, path = self.backend.kind, self.backend.bwrap_path
    if host.is_proven(kind, path) then
        return nil
    elseif core.advance(launched, "running") == "ended" then
        local result = core.result(launched, {})
        if result.code == "setup.failed" then
            return { text = result.message, step = result.step, errno = result.errno }
        end
    end
    if core.was_executed(launched) then -- any other end shows nothing
        host.prove(kind, path)
    end
    return nil
end

-- Why the backend does not work here, when it is the host that kept this launch from it. A bwrap that was asked for by
-- name speaks for itself, and what it does not say itself is none of its affair.
local function of_host(self, failure, flag)
    local kind = self.backend.kind
    if kind == "bwrap" and (flag and flag ~= "auto" or not failure.text:find("^bwrap "))
        or host.is_shortage(failure.errno) -- asked first: without descriptors no module can be loaded
        or require("demilune.diagnose").may_pass(kind, failure) then
        return nil
    end
    return host.failure(kind, self.backend.bwrap_path)
end

-- Begins the launch by the backend that it has: the engine's process, or nil, message, code and why that backend does
-- not work here, when it is the host that keeps it from it. Nothing was executed then.
local function try(self, flag)
    local launched, text, code, step, errno = core.start(self.plan.core, self.start)
    local failure = launched and first_failure(self, launched)
        or code == "setup.failed" and { text = text, step = step, errno = errno } or nil
    local why = failure and of_host(self, failure, flag)
    if why and launched then
        core.close(launched)
        launched, text, code = nil, failure.text, "setup.failed"
    end
    return launched, text, code, why
end

-- The same, once more by what auto is now that this is known. The engine's process, or nil, message, code and problems.
local function try_each(self, flag, choose)
    local launched, text, code, failure = try(self, flag)
    if not failure then
        return launched, text, code
    elseif flag and flag ~= "auto" then
        return nil, failure:find(text, 1, true) and failure or ("%s; %s"):format(text, failure), code
    end
    local backend, problems
    backend, text, code, problems = choose()
    if not backend then
        return nil, text, code, problems
    end
    self.backend, self.start.bwrap = backend, backend.bwrap_path
    launched, text, code = try(self, flag)
    return launched, text, code
end

--- Begins the launch of a plan.
---@param plan demilune.Plan
---@param backend demilune.Backend
---@param options demilune.RunOptions
---@param choose fun(): demilune.Backend|nil, string|nil, string|nil, demilune.Problem[]|nil as plan:backend
---@return demilune.Process|nil process
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function process.launch(plan, backend, options, choose)
    if backend.kind == "none" then
        return refusal.plain("the backend none is for the command; a program has os.execute for it",
            "backend_unavailable")
    end
    local self = setmetatable({ plan = plan, backend = backend, failures = {}, before_hooks = options.before_hooks },
        process)
    local opened = { false, false, false } -- filling it in takes no memory
    local ok, start, problem = pcall(prepare, self, backend, options, opened)
    local launched, text, code, problems
    if ok and start then
        self.start = start
        ok, launched, text, code, problems = pcall(try_each, self, options.backend, choose)
    else
        launched, text, code = nil, problem, "setup.failed"
    end
    close_all(opened)
    if not launched or not ok then
        close_streams(self)
    end
    if not ok then
        error(start ~= self.start and start or launched, 0)
    elseif problems then
        return nil, text, code, problems
    elseif not launched then
        return refusal.plain(text, code)
    end
    self.core = launched
    if options.begun then
        options.begun(core.skipped(launched))
    end
    return self
end

-- The end, seen for the first time.
local function conclude(self)
    local result = core.result(self.core, self.start)
    result.backend = self.backend.effective
    result.digest = self.digest
    if result.code then
        result.ok = false
        self.outcome = table.pack(refusal.plain(result.message, result.code))
        self.outcome[5], self.outcome.n = result, 5
        return
    end
    notify(self, "finished", "result", result)
    if #self.failures > 0 then
        result.hook_errors = self.failures
    end
    self.outcome = { result, n = 1 }
end

-- Waits until the command is executed, and tells the hooks. Returns the seconds that are left of these.
local function see_launch(self, seconds)
    local before = core.clock()
    if core.advance(self.core, "running", seconds) ~= "starting" then
        self.told = true
        if core.was_executed(self.core) then
            notify(self, "launched", "process", { id = core.pid(self.core) })
        end
    end
    return seconds and math.max(0, seconds - (core.clock() - before))
end

-- Goes on for `seconds` (nil: to the end). True when it has ended.
local function advance(self, seconds)
    if self.outcome then
        return true
    elseif not core.is_owner(self.core) then
        return false -- a forked copy of the program that started it
    end
    self.digest = self.digest or core.digest(self.plan.core) -- while the backend is busy
    if not self.told and self.plan.policy.hooks.launched[1] then
        seconds = see_launch(self, seconds)
    end
    local ended = core.advance(self.core, "ended", seconds) == "ended"
    if ended then
        conclude(self)
    end
    return ended
end

local function outcome(self, otherwise)
    if not self.outcome then
        return nil, otherwise
    end
    return table.unpack(self.outcome, 1, self.outcome.n)
end

local function check_open(self)
    if not self.core and not self.outcome then
        error("the process was closed before its end", 3)
    end
end

--- Waits for the end.
---@param seconds? number at most; for ever without
---@return demilune.Result|nil result nil when nothing was executed, or it goes on
---@return string|nil message "timeout" when it goes on
---@return string|nil code when nothing was executed
---@return demilune.Problem[]|nil problems
function process:wait(seconds)
    refusal.check_self(self, process, "wait")
    if seconds ~= nil then
        refusal.check_argument(seconds, "number", 1, "wait")
    end
    check_open(self)
    advance(self, seconds)
    return outcome(self, "timeout")
end

--- Does what there is to do without waiting: call it whenever the descriptor is readable.
---@return demilune.Result|nil result
---@return string|nil message "running" while it does
---@return string|nil code when nothing was executed
---@return demilune.Problem[]|nil problems
function process:poll()
    refusal.check_self(self, process, "poll")
    check_open(self)
    advance(self, 0)
    return outcome(self, "running")
end

--- Sends a signal. TERM, the default, also starts the clock: what still lives two seconds later is killed. KILL ends
--- everything inside at once. HUP INT QUIT USR1 USR2 CONT WINCH STOP only reach the command.
---@param signal? string|integer
---@return boolean sent false when it has ended
function process:kill(signal)
    refusal.check_self(self, process, "kill")
    local number = signal == nil and 15 or signals[signal] or math.type(signal) and math.tointeger(signal)
    if not number or number < 1 or number > 64 then
        local plain = type(signal) == "string" and signals[signal:match("^SIG(.*)$")] and signal:sub(4)
        error(("bad argument #1 to 'kill' (no signal: %s%s)"):format(tostring(signal),
            plain and ("; write %s"):format(plain) or ""), 2)
    elseif self.outcome or not self.core or not core.is_owner(self.core) then
        return false
    elseif number == 9 then
        return core.kill(self.core)
    elseif number == 15 then
        return core.stop(self.core)
    end
    return core.signal(self.core, number)
end

--- The outermost process on the host.
---@return integer|nil pid nil once it is closed
function process:pid()
    refusal.check_self(self, process, "pid")
    return self.core and core.pid(self.core)
end

--- Kills what is left, waits for that, and gives everything back, the streams too: read to their end first what is to
--- be read. The result, if it was seen, stays. Stop watching the descriptors first; cqueues is told.
function process:close()
    refusal.check_self(self, process, "close")
    local open = self.core
    self.core = nil
    if open then
        if core.is_owner(open) then -- else the loop is that of another process
            loop.leave(self.polled)
        end
        core.close(open)
        close_streams(self)
    end
end

--- The descriptor for an event loop: readable when poll() has something to do, and from the end on.
---@return integer
function process:pollfd()
    refusal.check_self(self, process, "pollfd")
    if not self.core then
        error("the process is closed", 2)
    end
    self.polled = core.pollfd(self.core)
    return self.polled
end

--- What to watch the descriptor for, for cqueues.
---@return "r"
function process.events(_)
    return "r"
end

--- Seconds after which poll() has something to do all the same, for cqueues. The descriptor knows of it too.
---@return number|nil
function process:timeout()
    refusal.check_self(self, process, "timeout")
    return self.core and not self.outcome and core.time_left(self.core) or nil
end

--- Whether something is there that the descriptor does not show, for LuaSocket: never.
---@return boolean
function process.dirty(_)
    return false
end

process.getfd, process.fileno = process.pollfd, process.pollfd
process.__close = process.close

return process
