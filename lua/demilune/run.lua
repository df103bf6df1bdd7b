--- Launching a plan: what goes in and out, and the result.
local core = require "demilune.core"

local run = {}

local standard = { stdin = 0, stdout = 1, stderr = 2 }
local modes = { stdin = "r", stdout = "w", stderr = "w" }

-- The descriptor for one of the standard three. `files` keeps what was opened here until the launch is over; `open`
-- tells which of them the host had open before, for a file opened here may take the number of one that it had not.
local function descriptor(options, name, files, open)
    local wanted = options[name]
    if wanted == nil or wanted == "inherit" then
        return open[name] and standard[name] or -1
    elseif wanted == "null" then
        return -1
    elseif type(wanted) == "table" and math.type(wanted.fd) == "integer" then
        return wanted.fd
    elseif type(wanted) == "table" and type(wanted.path) == "string" then
        local file, problem = io.open(wanted.path, modes[name])
        if not file then
            return nil, ("%s: %s"):format(name, problem)
        end
        files[#files + 1] = file
        return core.fileno(file)
    end
    error(("bad option %s: \"inherit\", \"null\", { path = } or { fd = } expected"):format(name), 0)
end

local function close_all(files)
    for _, file in ipairs(files) do
        file:close()
    end
end

local function start_options(options, backend, files)
    local input, open = options.stdin, {}
    if input == "pipe" then
        error("bad option stdin: \"pipe\" is for spawn", 0)
    end
    for name, fd in pairs(standard) do
        open[name] = core.is_open(fd)
    end
    local start = {
        bwrap = backend.bwrap_path,
        capture_stdout = options.capture == true or options.stdout == "capture",
        capture_stderr = options.capture == true or options.stderr == "capture",
    }
    if type(input) == "string" and input ~= "null" and input ~= "inherit" then
        start.input = input
    end
    for name in pairs(standard) do
        local captured = start["capture_" .. name] or (name == "stdin" and start.input)
        if not captured then
            local fd, problem = descriptor(options, name, files, open)
            if not fd then
                return nil, problem
            end
            start[name] = fd
        end
    end
    return start
end

--- Runs a plan on a backend. `notify` tells the policy's hooks.
---@param plan demilune.Plan
---@param backend { kind: string, bwrap_path: string? }
---@param options demilune.RunOptions
---@param notify function
function run.run(plan, backend, options, notify)
    if backend.kind == "none" then
        return nil, "the backend none is for the command; a program has os.execute for it", "backend_unavailable"
    end
    local files, failures = {}, {}
    local ok, start, problem = pcall(start_options, options, backend, files)
    if not ok or not start then
        close_all(files)
        if not ok then
            error(start, 0)
        end
        return nil, problem, "setup.failed", { { field = "", code = "setup.failed", message = problem } }
    end
    start.signals = options.signals
    local process, text, code = core.start(plan.core, start)
    close_all(files)
    if not process then
        return nil, text, code, { { field = "", code = code, message = text } }
    end
    if core.is_running(process) then
        notify(plan, "launched", "process", { id = core.pid(process) }, failures)
    end
    local digest = plan:digest() -- while the command runs
    local result = core.wait(process, start)
    result.backend = backend.effective
    result.digest = digest
    if result.code then
        result.ok = false
        local problems = { { field = "", code = result.code, message = result.message } }
        return nil, result.message, result.code, problems, result
    end
    notify(plan, "finished", "result", result, failures)
    if #failures > 0 then
        result.hook_errors = failures
    end
    return result
end

return run
