--- Jobs: a JSON object in a line each, read strictly.
local core = require "demilune.core"
local json = require "demilune.json"
local json_type = require "demilune.json_type"
local message = require "demilune.message"
local narrow = require "demilune.narrow"

---@class demilune.Job
---@field id string|integer|nil nil when the line has none that could be read
---@field key string|nil the id in JSON, by which ids are compared
---@field line integer
---@field command? string[]
---@field stdin? string
---@field env? table<string, string|boolean>
---@field narrow? table what it takes away from the policy
---@field has_timeout? boolean whether it says its timeout beside `policy`
local job = {}

local MOST_ID = 256 -- bytes
local NO_JOB = 'a job is a JSON object in one line, such as {"command": ["true"]}: '

local text, boolean, number = json_type.string, json_type.boolean, json_type.number
local list, map, either = json_type.list, json_type.map, json_type.either
local amount = either("a number or a string", number, text)

local function object(name, fields)
    local type = json_type.struct(name, fields)
    type.array = nil -- a policy of the ancestor may be one, a job not
    return type
end

local id_field = { name = "id", type = either("a string or a number", text, number) }
local fields = {
    id_field,
    { name = "command", type = list(text) },
    { name = "stdin", type = text },
    { name = "stdin_base64", type = text },
    { name = "env", type = map(either("a string or a boolean", text, boolean)) },
    { name = "timeout", type = amount },
    { name = "policy", type = object("policy", {
        { name = "network", type = boolean },
        { name = "nested", type = boolean },
        { name = "seccomp", type = text },
        { name = "limits", type = map(amount) },
        { name = "masks", type = list(text) },
        { name = "chdir", type = text },
    }) },
}
local job_type, id_type = object("job", fields), object("job", { id_field })

local names = {}
for i, field in ipairs(fields) do
    names[i] = field.name
end

local function problem(field, code, said)
    return { field = field, code = code, message = said }
end

local function unknown_field(note)
    local of_policy = note.field:match("^policy%.(.*)$")
    if of_policy then
        return problem(note.field, "narrow.unknown", narrow.advice(of_policy))
    end
    local nearest = core.nearest(note.field, names)
    return problem(note.field, "field.unknown", "unknown field" .. (nearest and ('; did you mean "%s"?'):format(nearest)
        or ""))
end

local function check_id(id, problems)
    local fits = math.type(id) == "integer" or type(id) == "string" and #id >= 1 and #id <= MOST_ID
    if not fits then
        problems[#problems + 1] = problem("id", "job.id", ("a string of 1 to %d bytes or an integer is needed"):format(
            MOST_ID))
    end
    return fits and id or nil
end

local function take_input(read, problems)
    if read.stdin and read.stdin_base64 then
        problems[#problems + 1] = problem("stdin_base64", "job.stdin", "stdin is there too; one of them is enough")
    elseif read.stdin_base64 then
        local bytes = core.from_base64(read.stdin_base64)
        problems[#problems + 1] = not bytes and problem("stdin_base64", "job.base64", "is no base64") or nil
        return bytes
    end
    return read.stdin
end

-- A value is the job's own affair; what of the caller's environment goes in is not.
local function check_env(env, problems)
    local passed = {}
    for name, value in next, env do
        passed[#passed + 1] = value == true and name or nil
    end
    table.sort(passed)
    for _, name in ipairs(passed) do
        problems[#problems + 1] = problem("env." .. core.shown_name(name), "narrow.wider",
            "what is passed through is the policy's to say; write a value, or false")
    end
end

-- What a job takes away from the policy, or nil; and whether its timeout is a field of its own.
local function take_narrow(read, problems)
    local overrides = read.policy or {}
    if read.timeout and overrides.limits and overrides.limits.timeout then
        problems[#problems + 1] = problem("timeout", "job.timeout", "policy.limits.timeout is there too; one is enough")
    elseif read.timeout then
        overrides.limits = overrides.limits or {}
        overrides.limits.timeout = read.timeout
    end
    return next(overrides) and overrides or nil, read.timeout ~= nil
end

local function fill(self, read, problems)
    if not read.command then
        problems[#problems + 1] = problem("command", "field.missing", "missing field `command`")
    elseif #read.command == 0 then
        problems[#problems + 1] = problem("command", "command.empty", "no command was given")
    end
    self.command, self.env = read.command, read.env
    self.stdin = take_input(read, problems)
    check_env(read.env or {}, problems)
    self.narrow, self.has_timeout = take_narrow(read, problems)
end

-- Of a line with something wrong in it: the id alone, if that can be read.
local function find_id(line_text, line)
    local read = json.decode(line_text, id_type)
    if not read then
        return nil
    elseif read.value.id == nil then
        return line
    end
    return check_id(read.value.id, {})
end

--- The job of a line. It has an id, which is the number of the line when it names none, unless that cannot be read.
---@param line_text string
---@param line integer
---@return demilune.Job
---@return demilune.Problem[] problems with any of them it is no job to run
function job.read(line_text, line)
    local self, problems = { line = line }, {}
    local read, failure = json.decode(line_text, job_type)
    if read then
        self.id = read.value.id == nil and line or check_id(read.value.id, problems)
        for _, note in ipairs(read.unknown) do
            problems[#problems + 1] = unknown_field(note)
        end
        fill(self, read.value, problems)
    else
        -- Each line is a text of its own, so that only the column tells where.
        local reason = failure.message:gsub(" at line 1 column", " at column")
        problems[1] = problem(failure.field, failure.code, (failure.field == "" and NO_JOB or "") .. reason)
        self.id = find_id(line_text, line)
    end
    self.key = self.id and json.encode(self.id)
    return self, problems
end

-- The name of a problem's field in the job, when it is the job that says it.
local function own_name(self, one)
    local said = not one.file and not one.option and self.narrow[one.field:match("^[%w_]*")] ~= nil
    if not said then
        return one.field
    end
    return self.has_timeout and one.field == "limits.timeout" and "timeout" or "policy." .. one.field
end

--- The record of a job that was not run.
---@param self demilune.Job
---@param kind string
---@param problems demilune.Problem[]
---@return table
function job.refusal(self, kind, problems)
    for _, one in ipairs(self.narrow and problems or {}) do
        one.field = own_name(self, one)
    end
    return {
        id = self.id, line = self.line, kind = kind, ok = false, code = problems[1].code, problems = problems,
        message = message.problems(problems),
    }
end

return job
