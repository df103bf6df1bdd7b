--- The data of noether-isolation 0.8.2, as its clients write and read it: a policy's five fields, and sets of effects.
--- Texts are accepted and refused as serde_json does it there, and policies are written byte for byte.
local effects = require "demilune.effects"
local json = require "demilune.json"
local json_type = require "demilune.json_type"
local message = require "demilune.message"

local wire = {}

local text, boolean, list, optional = json_type.string, json_type.boolean, json_type.list, json_type.optional
local path = { expected = "path string", string = text.string }

-- --- the policy ------------------------------------------------------------------------------------------------------

--- The type of the policy, which may have `more` fields, and its binds `more_of_bind`.
---@param more? demilune.JsonField[]
---@param more_of_bind? demilune.JsonField[]
---@return demilune.JsonType
function wire.policy_type(more, more_of_bind)
    local bind = json_type.struct("RoBind", {
        { name = "host", type = path, required = true },
        { name = "sandbox", type = path, required = true },
    }, more_of_bind)
    return json_type.struct("IsolationPolicy", {
        { name = "ro_binds", type = list(bind), required = true },
        { name = "rw_binds", type = list(bind) },
        { name = "work_host", type = optional(path) },
        { name = "network", type = boolean, required = true },
        { name = "env_allowlist", type = list(text), required = true },
    }, more)
end

-- White_Space of Unicode.
local spaces = {}
for _, range in ipairs {
    { 0x09, 0x0d }, { 0x20, 0x20 }, { 0x85, 0x85 }, { 0xa0, 0xa0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200a },
    { 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 },
} do
    for code = range[1], range[2] do
        spaces[utf8.char(code)] = true
    end
end

--- Whether there is nothing but white space in a text, which stands for the default policy.
---@param given string
---@return boolean
function wire.is_blank(given)
    local at = 1
    while at <= #given do
        local character, after = given:match("^([\0-\x7f\xc2-\xf4][\x80-\xbf]*)()", at)
        if not spaces[character] then
            return false
        end
        at = after
    end
    return true
end

--- The default policy: that of the effect Pure.
---@return demilune.Fields
function wire.default()
    return effects.fields { "Pure" }
end

local policy_type = wire.policy_type()

--- Reads a policy. Keys that the ancestor does not know are passed over, as it does.
---@param given string
---@return demilune.Fields|nil fields ro_binds, rw_binds, work_host, network, env_allowlist
---@return string[]|string unknown those keys, in the order of the text: "Network", "ro_binds[1].readonly"; or what is
--- wrong: "missing field `network` at line 1 column 15"
---@return integer|nil line on which that is
function wire.policy(given)
    if wire.is_blank(given) then
        return wire.default(), {}
    end
    local read, failure = json.decode(given, policy_type)
    if not read then
        return nil, failure.message, failure.line
    end
    local unknown = {}
    for i, note in ipairs(read.unknown) do
        unknown[i] = note.field
    end
    read.value.rw_binds = read.value.rw_binds or {}
    return read.value, unknown
end

local function encode_binds(binds)
    local parts = {}
    for i, bind in ipairs(binds) do
        parts[i] = ('{"host":%s,"sandbox":%s%s}'):format(json.encode(bind.host), json.encode(bind.sandbox),
            bind.optional and ',"optional":true' or "")
    end
    return "[" .. table.concat(parts, ",") .. "]"
end

--- Writes a policy as the ancestor does. `more` is written behind its fields: `,"chdir":"/"`.
---@param fields demilune.Fields whose binds are { host =, sandbox = }
---@param more? string
---@return string
function wire.encode(fields, more)
    local parts = { '"ro_binds":' .. encode_binds(fields.ro_binds) }
    if #(fields.rw_binds or {}) > 0 then
        parts[#parts + 1] = '"rw_binds":' .. encode_binds(fields.rw_binds)
    end
    if fields.work_host then
        parts[#parts + 1] = '"work_host":' .. json.encode(fields.work_host)
    end
    parts[#parts + 1] = ('"network":%s'):format(fields.network)
    parts[#parts + 1] = '"env_allowlist":' .. json.encode(fields.env_allowlist)
    return "{" .. table.concat(parts, ",") .. (more or "") .. "}"
end

-- --- effects ---------------------------------------------------------------------------------------------------------

-- An unsigned number of 64 bits, as the integer of the same bits.
local cents = {
    expected = "u64",
    number = function(r)
        local _, digits = r:number()
        if digits:sub(1, 1) == "-" and digits:find("^-%d+$") and digits ~= "-0" then
            r:fail("type", ("invalid value: integer `%s`, expected u64"):format(digits))
        elseif not digits:find("^%d+$") or #digits > 20 or #digits == 20 and digits > "18446744073709551615" then
            r:fail("type", ("invalid type: floating point `%s`, expected u64"):format(digits))
        end
        local value = 0
        for digit in digits:gmatch "%d" do
            value = value * 10 + math.tointeger(digit)
        end
        return value
    end,
}

-- The one parameter that some effects have.
local parameters = {
    Cost = { name = "cents", type = cents }, Llm = { name = "model", type = text },
    FsRead = { name = "path", type = path }, FsWrite = { name = "path", type = path },
}

local variant = {
    expected = "variant identifier",
    string = function(r)
        local name = r:string()
        if not effects.is_name(name) then
            r:fail("effect.unknown", ("unknown variant `%s`, expected one of `%s`"):format(message.plain(name),
                table.concat(effects.names, "`, `")))
        end
        return name
    end,
}

-- An entry is read as a whole before its fields are judged: what it does not need has to be right too, and nests no
-- deeper than the 127 levels of the whole text.
local DEPTH = 124

-- Passes over a value and tells where it began.
local function pass(r)
    r:space()
    local start = r.at
    r:skip(DEPTH)
    return start
end

local function missing(r, name)
    r:enter(name)
    r:fail("field.missing", ("missing field `%s`"):format(name))
end

-- The effect, its parameter read again from where it stands. A failure is one of the whole entry.
local function finish(r, name, start)
    local parameter = parameters[name]
    if not parameter then
        return { effect = name }
    end
    local stop = r.at
    r.at = start
    r:enter(parameter.name)
    local value = r:read(parameter.type)
    r:leave()
    r.at = stop
    return { effect = name, [parameter.name] = value }
end

local function effect_object(r)
    local name, starts, twice = nil, {}, {}
    r:open()
    local key = r:next_key(true)
    while key do
        if key == "effect" and name then
            r:fail("field.duplicate", "duplicate field `effect`")
        end
        r:colon()
        if key == "effect" then
            name = r:read(variant)
        else
            local start = pass(r)
            twice[key] = starts[key] ~= nil
            starts[key] = starts[key] or start
        end
        key = r:next_key()
    end
    if not name then
        missing(r, "effect")
    end
    local wanted = parameters[name] and parameters[name].name
    if wanted and twice[wanted] then
        r:fail("field.duplicate", ("duplicate field `%s`"):format(wanted))
    elseif wanted and not starts[wanted] then
        missing(r, wanted)
    end
    return finish(r, name, starts[wanted])
end

local function effect_array(r)
    r:open()
    if not r:next_item(true) then
        missing(r, "effect")
    end
    local name, starts = r:read(variant), {}
    while r:next_item() do
        starts[#starts + 1] = pass(r)
    end
    local wanted = parameters[name] and 1 or 0
    if #starts ~= wanted then
        r:fail("list.length", ("invalid length %d, expected %d element%s in sequence"):format(#starts, wanted,
            wanted == 1 and "" or "s"))
    end
    return finish(r, name, starts[1])
end

local effect = { expected = "internally tagged enum Effect", object = effect_object, array = effect_array }
local effect_set_type = json_type.struct("EffectSet", { { name = "effects", type = list(effect), required = true } })

--- Reads a set of effects: sorted, and of equal ones the first.
---@param given string
---@return demilune.Effect[]|nil effects `cents` is unsigned
---@return demilune.JsonFailure|nil
function wire.read_effects(given)
    local read, failure = json.decode(given, effect_set_type)
    if not read then
        return nil, failure
    end
    return effects.sorted(read.value.effects)
end

--- The same with the reason as text.
---@param given string
---@return demilune.Effect[]|nil effects
---@return string|nil message
function wire.effects(given)
    local set, failure = wire.read_effects(given)
    return set, failure and failure.message
end

return wire
