--- Policies as JSON: the ancestor's five fields as it has them, and demilune's own beside them.
local core = require "demilune.core"
local json = require "demilune.json"
local json_type = require "demilune.json_type"
local wire = require "demilune.wire"

local policy_json = {}

local text, boolean, number = json_type.string, json_type.boolean, json_type.number
local list, map, either = json_type.list, json_type.map, json_type.either
local amount = either("a number or a string", number, text)
local text_or_boolean = either("a string or a boolean", text, boolean)
local place = either("a string or a map", text, map(text_or_boolean))
local case_map = map(either("a string, a boolean or a sequence", text_or_boolean, list(text)))
local case = either("a string, a sequence or a map", either("a string or a map", text, case_map), list(text))

-- The fields beside the five, in the order in which they are written. What is in them the engine looks at.
local own_fields = {
    { name = "name", type = text },
    { name = "description", type = text },
    { name = "base", type = text },
    { name = "extends", type = either("a string or a sequence", text, list(text)) },
    { name = "project", type = place },
    { name = "effects", type = list(either("a string or a map", text, map(amount))) },
    { name = "env", type = map(text_or_boolean) },
    { name = "tmpfs", type = list(either("a string or a map", text, map(amount))) },
    { name = "symlinks", type = list(map(text)) },
    { name = "masks", type = list(place) },
    { name = "devices", type = list(place) },
    { name = "chdir", type = text },
    { name = "user", type = text },
    { name = "hostname", type = text },
    { name = "tty", type = boolean },
    { name = "nested", type = boolean },
    { name = "seccomp", type = either("a string or a map", text, map(list(text))) },
    { name = "limits", type = map(amount) },
    { name = "acknowledge", type = list(text) },
    { name = "requires", type = list(text) },
    { name = "expect", type = map(map(list(case))) },
}
local policy_type = wire.policy_type(own_fields, { { name = "optional", type = boolean } })

local never = { secrets = true, prepare = true, launched = true, finished = true }
local hook_names = { "prepare", "launched", "finished" }

local names = { "ro_binds", "rw_binds", "work_host", "network", "env_allowlist" }
for _, field in ipairs(own_fields) do
    names[#names + 1] = field.name
end
local bind_names = { "host", "sandbox", "optional" }

-- --- reading ---------------------------------------------------------------------------------------------------------

local MOST_UNKNOWN = 100 -- unknown fields that are named; the rest is counted

local function unknown_field(note, ignored)
    local of_bind = note.field:match "^%l%l_binds%[%d+%]%.(.*)$"
    local key = of_bind or note.field
    local nearest = core.nearest(key, of_bind and bind_names or names)
    local advice = never[key] and "; JSON cannot have it, write the policy in Lua"
        or nearest and ('; did you mean "%s"?'):format(nearest) or ""
    return {
        field = note.field == "" and '""' or note.field, code = "field.unknown", line = note.line,
        message = (ignored and "unknown field, ignored" or "unknown field") .. advice,
    }
end

local function unknown_fields(notes, ignored)
    local problems = {}
    for i = 1, math.min(#notes, MOST_UNKNOWN) do
        problems[i] = unknown_field(notes[i], ignored)
    end
    if #notes > MOST_UNKNOWN then
        problems[#problems + 1] = {
            field = "", code = "field.unknown", line = notes[MOST_UNKNOWN + 1].line,
            message = ("%d more unknown fields"):format(#notes - MOST_UNKNOWN),
        }
    end
    return problems
end

local function has_optional(binds)
    for _, bind in ipairs(binds or {}) do
        if bind.optional ~= nil then
            return true
        end
    end
    return false
end

--- Reads a policy. `unknown` says what becomes of unknown fields: "ignore", "refuse", or nil: ignored, as the ancestor
--- does, unless the text has a field of demilune's own and so was not written for the ancestor.
---@param given string
---@param unknown? "ignore"|"refuse"
---@return { fields: demilune.Fields, own: demilune.Fields, warnings: demilune.Problem[] }|nil read `own`: the fields
--- beside the five, whose values were not looked at yet
---@return demilune.Problem[]|nil problems
function policy_json.decode(given, unknown)
    if wire.is_blank(given) then
        local fields = wire.default()
        fields.base = "none"
        return { fields = fields, own = {}, warnings = {} }
    end
    local read, failure = json.decode(given, policy_type)
    if not read then
        return nil, { { field = failure.field, code = failure.code, message = failure.message, line = failure.line } }
    end
    local fields, own = read.value, {}
    for _, field in ipairs(own_fields) do
        own[field.name] = fields[field.name]
    end
    local extended = next(own) ~= nil or has_optional(fields.ro_binds) or has_optional(fields.rw_binds)
    local refused = unknown == "refuse" or unknown == nil and extended
    local problems = unknown_fields(read.unknown, not refused)
    if refused and #problems > 0 then
        return nil, problems
    end
    fields.rw_binds = fields.rw_binds or {}
    fields.base = fields.base or fields.extends == nil and "none" or nil -- what it extends has a base
    return { fields = fields, own = own, warnings = problems }
end

-- --- writing ---------------------------------------------------------------------------------------------------------

-- A bind in any of its forms.
local function whole_bind(bind)
    if type(bind) == "string" then
        return { host = bind, sandbox = bind }
    end
    local host = bind.host or bind[1]
    return { host = host, sandbox = bind.sandbox or bind[2] or host, optional = bind.optional or nil }
end

local function whole_binds(binds)
    local result = {}
    for i, bind in ipairs(binds or {}) do
        result[i] = whole_bind(bind)
    end
    return result
end

--- The ancestor's five of a policy's fields, binds as { host =, sandbox = }.
---@param fields demilune.Fields
---@return demilune.Fields
function policy_json.five(fields)
    return {
        ro_binds = whole_binds(fields.ro_binds),
        rw_binds = whole_binds(fields.rw_binds),
        work_host = fields.work_host,
        network = fields.network == true,
        env_allowlist = fields.env_allowlist or {},
    }
end

-- What the pattern LC_* of the bases stands for: an allowlist in JSON has names alone.
local locale_names = {
    "LC_ALL", "LC_ADDRESS", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT", "LC_MESSAGES",
    "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
}

-- The environment of a policy that names none of its own: in JSON the list is required, and nothing stands in for it.
local function default_environment(base)
    if base == "nix" then
        return require("demilune.base.common").ancestors()
    end
    local common, allowed = require "demilune.base.common", {}
    for _, name in ipairs(common.passed) do
        local meant = name == "LC_*" and locale_names or { name }
        table.move(meant, 1, #meant, #allowed + 1, allowed)
    end
    return allowed, base == "none" and common.environment() or nil
end

-- The project in any of its forms.
local function whole_project(project)
    if type(project) ~= "table" then
        return project
    end
    return { path = project.path or project[1], write = project.write }
end

-- Every field as it is written.
local function document(fields)
    local result = policy_json.five(fields)
    for _, field in ipairs(own_fields) do
        result[field.name] = fields[field.name]
    end
    result.base = fields.base or "host"
    result.project = whole_project(fields.project)
    result.devices = whole_binds(fields.devices)
    if not fields.env_allowlist then
        local set
        result.env_allowlist, set = default_environment(result.base)
        result.env = require("demilune.merge").layers({ env = set }, { env = fields.env or {} }).env
    end
    if result.base == "none" then
        result.base = nil -- the default in JSON
    end
    return result
end

-- The keys of a table in an order of their own: 1 to n, then names.
local function ordered_keys(value)
    local positions, keys = {}, {}
    for key in next, value do
        local same_kind = math.type(key) and positions or keys
        same_kind[#same_kind + 1] = key
    end
    table.sort(positions)
    table.sort(keys)
    return table.move(keys, 1, #keys, #positions + 1, positions)
end

-- Adds a problem for each string in `value` that is not UTF-8.
local function find_bytes(value, field, problems)
    if type(value) == "string" and not utf8.len(value) then
        problems[#problems + 1] = {
            field = field, value = core.quote(value), code = "encode.utf8",
            message = "is not UTF-8, and JSON is; write the policy in Lua",
        }
    end
    for _, key in ipairs(type(value) == "table" and ordered_keys(value) or {}) do
        local at = math.type(key) and ("%s[%d]"):format(field, key) or field .. "." .. key
        find_bytes(key, at, problems)
        find_bytes(value[key], at, problems)
    end
end

local function losses(fields, hooks)
    local problems = {}
    local function lose(field)
        problems[#problems + 1] = {
            field = field, code = "encode.lossy",
            message = "cannot be written as JSON; encode { lossy = true } leaves it out",
        }
    end
    for _, name in ipairs(hook_names) do
        if #hooks[name] > 0 then
            lose(name)
        end
    end
    if next(fields.secrets or {}) then
        lose "secrets"
    end
    return problems
end

-- Fields that say nothing are left out.
local function says_nothing(value)
    return value == nil or value == false or type(value) == "table" and next(value) == nil
end

--- Writes a policy: the five fields as the ancestor does, then demilune's own.
---@param fields demilune.Fields
---@param hooks table<string, table>
---@param lossy? boolean leave out what JSON cannot have
---@return string|nil
---@return demilune.Problem[]|nil problems
function policy_json.encode(fields, hooks, lossy)
    local written, problems = document(fields), lossy and {} or losses(fields, hooks)
    for _, name in ipairs(names) do
        find_bytes(written[name], name, problems)
    end
    if #problems > 0 then
        return nil, problems
    end
    local more = {}
    for _, field in ipairs(own_fields) do
        local value = written[field.name]
        if not says_nothing(value) then
            more[#more + 1] = (',"%s":%s'):format(field.name, json.encode(value))
        end
    end
    return wire.encode(written, table.concat(more))
end

return policy_json
