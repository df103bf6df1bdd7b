--- All that explain tells of a plan, as data: what core.describe gives, and of each part who said it and what it
--- replaced. The pictures are drawn from this.
local core = require "demilune.core"
local provenance = require "demilune.provenance"
local redact = require "demilune.redact"

local account = {}

---@class demilune.Said who put something there
---@field by "engine"|"base"|"default"|"file"|"json"|"table"|"flags"|"effects"|"site"|"hook"|"options"|"ceiling"
---@field field? string the field, as it is called there: "rw_binds[2]"
---@field file? string of a layer or a hook
---@field line? integer
---@field base? string the name of the base
---@field over? demilune.Said[] who had said it before, the last one first

-- Whose old values may be shown: they name amounts.
local function old_value(link)
    return link.field:find("^limits%.") and link.value or nil
end

local function of_link(link)
    local file, line = provenance.place(link)
    return { by = link.origin.kind, field = link.field, file = file, line = line }
end

local function chain_of(link)
    local said, before = of_link(link), link.over
    while before do
        said.over = said.over or {}
        local older = of_link(before)
        older.value = old_value(before)
        table.insert(said.over, older)
        before = before.over
    end
    return said
end

local function said_of(known, field)
    local link = known:link(field)
    return link and chain_of(link) or { by = "default" }
end

-- A function that says who said a part of the plan, of which the engine says where it comes from.
local function teller(known, base)
    return function(field)
        if field == "engine" then
            return { by = "engine" }
        elseif field == "base" then
            return { by = "base", base = base }
        end
        return said_of(known, field)
    end
end

-- Gives each mount who said it and what it shadows; what has no place goes to `placeless`.
local function add_mounts(description, tell)
    local by_path = {}
    for _, mount in ipairs(description.mounts) do
        mount.said = tell(mount.field)
        if mount.kind ~= "seal" then
            by_path[mount.at] = mount
        end
    end
    description.placeless = {}
    for _, entry in ipairs(description.shadowed) do
        local mount = by_path[entry.at]
        entry.said = tell(entry.field)
        if mount then
            mount.shadows = mount.shadows or {}
            table.insert(mount.shadows, entry)
        else
            table.insert(description.placeless, entry)
        end
    end
    description.shadowed = nil
end

-- The variables as { name, value, hidden, passed, said, shadows }, and those that are left out.
local function add_environment(description, tell)
    local list, by_name, absent = {}, {}, {}
    for i, text in ipairs(description.env) do
        local name, value = text:match("^([^=]*)=(.*)$")
        local passed = description.env_passed[i]
        local hidden = passed or description.env_secret[i] or redact.holds_secret(value)
        list[i] = {
            name = name, value = value, passed = passed, hidden = hidden, said = tell(description.env_field[i]),
        }
        by_name[name] = list[i]
    end
    for i = #description.env_beaten, 1, -1 do -- the last of those that are not there says why
        local rule = description.env_beaten[i]
        local said, winner = tell(rule.field), by_name[rule.name] or absent[rule.name]
        if winner then
            winner.shadows = winner.shadows or {}
            table.insert(winner.shadows, { action = rule.action, said = said })
        else
            absent[rule.name] = { name = rule.name, action = rule.action, said = said }
            table.insert(absent, 1, absent[rule.name])
        end
    end
    description.env, description.env_absent = list, table.move(absent, 1, #absent, 1, {})
    description.env_passed, description.env_secret = nil, nil
    description.env_field, description.env_beaten = nil, nil
end

local single = { "user", "chdir", "hostname", "tty", "nested", "seccomp", "base" }

-- A program's hook can still change the table that it left.
local function list_of(value)
    return type(value) == "table" and value or {}
end

local function said_network(fields, tell)
    if fields.network == true then
        return tell "network"
    end
    for i, effect in ipairs(list_of(fields.effects)) do
        if require("demilune.effects").is_network(effect) then
            return tell(("effects[%d]"):format(i))
        end
    end
    return tell "network"
end

-- Who said the limits and the settings; and what was acknowledged and required, by whom.
local function add_settings(description, fields, known, ceilings)
    local function tell(field)
        return said_of(known, field)
    end
    description.limits_said, description.settings_said = {}, { network = said_network(fields, tell) }
    for name in next, description.limits do
        local given = ceilings[description.limits_ceiling[name]]
        description.limits_said[name] = given and { by = "ceiling", file = given.file } or tell("limits." .. name)
    end
    description.limits_ceiling = nil
    for _, name in ipairs(single) do
        description.settings_said[name] = tell(name)
    end
    if fields.chdir == nil and fields.project ~= nil then
        description.settings_said.chdir = tell "project"
    end
    description.acknowledged, description.requires_said = {}, {}
    for i, name in ipairs(list_of(fields.acknowledge)) do
        description.acknowledged[i] = { name = name, said = tell(("acknowledge[%d]"):format(i)) }
    end
    for i, name in ipairs(list_of(fields.requires)) do
        description.requires_said[name] = tell(("requires[%d]"):format(i))
    end
end

local function home_path(path)
    local home = os.getenv("HOME")
    return type(path) == "string" and home and path:gsub("^~/", (home:gsub("%%", "%%%%")) .. "/") or path
end

local binds = { { "ro_binds", "ro_bind" }, { "rw_binds", "rw_bind" }, { "devices", "device" } }

-- Optional masks that the engine found no place for: there is nothing to mask.
local function take_masks(placeless, fields)
    local absent, others, optional = {}, {}, {}
    for i, mask in ipairs(list_of(fields.masks)) do
        optional[("masks[%d]"):format(i)] = type(mask) == "table" and mask.optional
    end
    for _, entry in ipairs(placeless) do
        table.insert(entry.kind == "mask" and optional[entry.field] and absent or others, entry)
    end
    return absent, others
end

-- What is optional and not there: of binds of the policy no entry of the plan has their field.
local function add_absent(description, fields, tell)
    local seen = {}
    for _, list in ipairs { description.mounts, description.placeless } do
        for _, mount in ipairs(list) do
            seen[mount.field] = true
            for _, entry in ipairs(mount.shadows or {}) do
                seen[entry.field] = true
            end
        end
    end
    description.absent, description.placeless = take_masks(description.placeless, fields)
    for _, kind in ipairs(binds) do
        for i, bind in ipairs(list_of(fields[kind[1]])) do
            local field = ("%s[%d]"):format(kind[1], i)
            if type(bind) == "table" and bind.optional and not seen[field] then
                local source = home_path(bind.host)
                table.insert(description.absent, {
                    at = bind.sandbox or source, source = source, field = field, said = tell(field), kind = kind[2],
                })
            end
        end
    end
end

-- The policy's layers, outermost first, without those that say nothing but hooks.
local function layers_of(policy)
    local list = {}
    for _, layer in ipairs(policy.layers) do
        if layer.file or next(layer.fields) ~= nil or #policy.layers == 1 then
            list[#list + 1] = { kind = layer.kind, file = layer.file, trusted = layer.trusted }
        end
    end
    return list
end

local function files_of(ceilings)
    local list = {}
    for i, ceiling in ipairs(ceilings) do
        list[i] = { file = ceiling.file }
    end
    return list
end

local function removed_by_hooks(known)
    local list = {}
    for i, link in ipairs(known.removed) do
        list[i] = { field = link.over and link.over.field or link.field, said = of_link(link),
            over = link.over and of_link(link.over) or nil }
        list[i].said.field = nil
    end
    return list
end

--- The account of a plan.
---@param plan demilune.Plan
---@return table
function account.of(plan)
    local description = core.describe(plan.core)
    local known = provenance.of(plan)
    local fields, ceilings = plan.fields, plan.ceilings or {}
    description.base = type(fields.base) == "string" and fields.base or "host"
    description.description = type(fields.description) == "string" and fields.description or nil
    local tell = teller(known, description.base)
    description.layers = layers_of(plan.policy)
    description.hooks = #plan.policy.hooks.prepare
    add_mounts(description, tell)
    add_environment(description, tell)
    description.ceilings = files_of(ceilings)
    add_settings(description, fields, known, ceilings)
    add_absent(description, fields, tell)
    description.removed = removed_by_hooks(known)
    return description
end

return account
