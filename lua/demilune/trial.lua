--- Tries the cases of a policy: what its plan says, and what really happens inside. Paths, addresses and variables are
--- tried in one sandbox, by a program of ours (src/trial.c), each command in one of its own.
local core = require "demilune.core"
local inside = require "demilune.inside"

local trial = {
    patience = 60, -- seconds that the command of a case has where its policy has no time limit
}

--- What became of a case.
---@class demilune.Outcome
---@field ok boolean
---@field skipped? string why it was not tried
---@field plan string what the plan says
---@field seen string what was seen
---@field fault? boolean the sandbox allows what the plan does not: no policy can do that, only an error of ours
---@field output? string what a command that should have succeeded wrote

local SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
local letters = { read = "r", write = "w", connect = "c", env = "e" }

-- --- what the plan says: true, false or nil (it cannot tell), and in words -------------------------------------------

-- Where a case's path leads: "." is where the command starts.
local function absolute(description, path)
    if path:sub(1, 1) ~= "." then
        return path
    end
    return path == "." and description.chdir or (description.chdir == "/" and "" or description.chdir) .. path:sub(2)
end

local expected = {}

function expected.read(case, description)
    local place = inside.look(description, absolute(description, case.subject))
    return place.read, place.why
end

function expected.write(case, description)
    local place = inside.look(description, absolute(description, case.subject))
    return place.write, place.why
end

function expected.connect(case, description)
    local _, kind = core.socket_address(case.subject)
    if kind == "path" then
        local place = inside.look(description, case.subject)
        return place.read, place.why
    elseif kind == "abstract" and description.network then
        return nil, "the host's network; some backends keep its abstract sockets out of reach"
    end
    return description.network, description.network and "the host's network" or "no network"
end

function expected.env(case, description)
    for _, variable in ipairs(description.env) do
        if variable:match("^[^=]*") == case.subject then
            return true, "set"
        end
    end
    return false, "not set"
end

function expected.run(case, description)
    local place = inside.program(description, case.subject[1])
    if not place or place.exists == false then
        return false, "no such program"
    end
    return nil, ("%s is there"):format(place.path)
end

-- Whether the host has the program of a command: a misspelt name is there neither here nor inside.
local function is_on_host(name, description)
    if name:find("/", 1, true) then
        return core.file_type(name:sub(1, 1) == "/" and name or description.chdir .. "/" .. name) ~= nil
    end
    for directory in ((os.getenv("PATH") or "") .. ":" .. SYSTEM_PATH):gmatch("[^:]+") do
        if core.file_type(directory .. "/" .. name) then
            return true
        end
    end
    return false
end

-- What becomes of a command whose program is nowhere: nothing keeps it from being run but that, or nil when it is.
local function nowhere(case, description)
    local place = inside.program(description, case.subject[1])
    if place and place.exists ~= false or is_on_host(case.subject[1], description) then
        return nil
    elseif case.optional then
        return { ok = true, skipped = "it is not there" }
    end
    return { ok = false, plan = "no such program", seen = "not tried: the host has no such program either; " ..
        "is it misspelt? { command = { ... }, optional = true } passes over what is not there" }
end

-- --- what a verdict makes of both ------------------------------------------------------------------------------------

local function judge(case, may, did, outcome)
    outcome.fault = may == false and did or nil
    if case.verdict == "allowed" then
        outcome.ok = may ~= false and did
    else
        outcome.ok = not may and not did -- what fails for another reason than the policy is not denied by it
    end
    return outcome
end

-- --- in the sandbox --------------------------------------------------------------------------------------------------

local function hexadecimal(bytes)
    return (bytes:gsub(".", function(byte)
        return ("%02x"):format(byte:byte())
    end))
end

local function record(case, description)
    local letter, text = letters[case.verb], case.subject
    if case.verb == "connect" then
        text = hexadecimal((core.socket_address(text)))
    elseif case.verb ~= "env" then
        text = absolute(description, text)
    end
    return (case.optional and letter:upper() or letter) .. text .. "\0"
end

local function outcome_of(case, description, answer)
    if answer == "-" then
        return { ok = true, skipped = "it is not there" }
    end
    local may, why = expected[case.verb](case, description)
    local reason = math.tointeger(tonumber(answer))
    local seen = reason == 0 and "it can be done" or core.error_text(reason)
    return judge(case, may, reason == 0, { plan = why, seen = seen })
end

-- How a sandbox ended that should have answered, in words.
local function ended(result)
    return result.kind == "exit" and ("exit code %d"):format(result.exit_code)
        or result.kind == "signal" and ("signal %s"):format(result.signal_name or result.signal) or result.kind
end

--- Tries all cases but commands in one sandbox. Outcomes by case; or nil and why the sandbox could not be.
---@param plan demilune.Plan for a command that the hooks were asked about
---@param list demilune.Case[]
---@param backend? string
---@return table<demilune.Case, demilune.Outcome>|nil
---@return string|nil message
function trial.places(plan, list, backend)
    local image, records, tried = core.trial_image(), {}, {}
    local description = core.describe(plan.core)
    for _, case in ipairs(list) do
        if case.verb ~= "run" then
            tried[#tried + 1] = case
            records[#tried] = record(case, description)
        end
    end
    if #tried == 0 then
        return {}
    end
    -- Its own program as input, which it can be executed from: nothing of the sandbox is needed.
    local program = assert(plan:instead { "/proc/self/fd/0", tostring(#image) })
    local process <close>, message = program:spawn {
        stdin = { text = image .. table.concat(records) }, stdout = "pipe", stderr = "null", backend = backend,
    }
    if not process then
        return nil, message
    end
    local outcomes, count = {}, 0
    for answer in process.stdout:lines() do
        count = count + 1
        outcomes[tried[count]] = outcome_of(tried[count], description, answer)
    end
    local result
    result, message = process:wait()
    if not result then
        return nil, message
    end
    if count ~= #tried then
        return nil, ("the sandbox ended before all was tried: %s"):format(ended(result))
    end
    return outcomes
end

-- The end of what a command wrote, at most so many lines.
local function tail(text, most)
    local lines = {}
    for line in text:gmatch("[^\n]+") do
        lines[#lines + 1] = line
    end
    return table.concat(lines, "\n", math.max(1, #lines - most + 1))
end

-- Runs a command. Its result; or nil, why there is none, and whether it is that it went on for too long.
local function run(plan, patience, backend)
    local process <close>, message = plan:spawn { stdin = "null", capture = true, backend = backend }
    if not process then
        return nil, message
    end
    local result
    result, message = process:wait(patience)
    if result or message ~= "timeout" then
        return result, message
    end
    return nil, ("it had not ended after %g s; limits = { timeout = ... } says when it has to"):format(patience), true
end

--- Runs the command of a case in a sandbox of its own, as its policy has it for that command.
---@param policy demilune.Policy
---@param case demilune.Case
---@param backend? string
---@return demilune.Outcome
function trial.command(policy, case, backend)
    local plan, refused, code = policy:plan(case.subject)
    if not plan then -- a hook that failed denies nothing that it was to deny
        return { ok = case.verdict == "denied" and code == "hook.refused", plan = "refused: " .. refused,
            seen = "not tried" }
    end
    local description = core.describe(plan.core)
    local missing = nowhere(case, description)
    if missing then
        return missing
    end
    local may, why = expected.run(case, description)
    local result, message, endless = run(plan, not description.limits.timeout and trial.patience or nil, backend)
    if endless then -- nobody can say whether it was denied
        return { ok = false, plan = why, seen = message }
    end
    local did = result ~= nil and result.ok
    local outcome = judge(case, may, did, { plan = why, seen = result and ended(result) or message })
    if not outcome.ok and result then
        outcome.output = tail(result.stdout .. result.stderr, 5)
    end
    return outcome
end

return trial
