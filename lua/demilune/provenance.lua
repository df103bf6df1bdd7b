--- Who said what of a plan: the layer, the hook or the option of the run that put a field there, and what it replaced.
--- Found out when somebody asks: a plan only remembers what its hooks were given and what they left.
local locate = require "demilune.locate"
local merge = require "demilune.merge"
local places = require "demilune.places"

---@class demilune.Speaker who said a field
---@field kind "file"|"json"|"table"|"flags"|"effects"|"hook"|"options" kinds of layers, and two more
---@field layer? demilune.Layer
---@field file? string of a hook
---@field line? integer where the hook begins

---@class demilune.Link one who said a field, and whom that replaced
---@field origin demilune.Speaker
---@field field string the field as it is called in the layer
---@field value any
---@field over? demilune.Link

---@class demilune.Provenance
---@field package links table<string, any> by field: a link, or for lists and maps a table of links
---@field removed demilune.Link[] entries that a hook took out; `origin` is the hook, `over` whose they were
local provenance = {}
provenance.__index = provenance

local function is_table(value)
    return type(value) == "table"
end

-- Whether the links of a field stand in a table.
local function has_parts(name, value)
    return is_table(value) and (merge.is_list(name) or merge.is_map(name))
end

local function part_field(name, key)
    if math.type(key) == "integer" then
        return ("%s[%d]"):format(name, key)
    end
    return (name == "secrets" and '%s["%s"]' or "%s.%s"):format(name, tostring(key))
end

-- Adds what a layer says, as merge.layers does.
local function add_layer(links, layer)
    local origin = { kind = layer.kind, layer = layer }
    for name, value in next, layer.fields do
        if has_parts(name, value) then
            local parts = is_table(links[name]) and not links[name].origin and links[name] or {}
            local count = merge.is_list(name) and #parts or 0
            for key, item in next, value do
                local at = merge.is_list(name) and math.type(key) == "integer" and count + key or key
                parts[at] = { origin = origin, field = part_field(name, key), value = item, over = parts[at] }
            end
            links[name] = parts
        else
            local before = links[name]
            links[name] = {
                origin = origin, field = name, value = value, over = before and before.origin and before or nil,
            }
        end
    end
end

local DEPTH = 4 -- more than entries of lists nest

-- A text that two values share when they are the same.
local function image(value, depth)
    if not is_table(value) then
        return math.type(value) == "float" and ("%a"):format(value) or type(value) .. ":" .. tostring(value)
    end
    local parts = {}
    for key, item in next, depth > 0 and value or {} do
        parts[#parts + 1] = tostring(key) .. "=" .. image(item, depth - 1)
    end
    table.sort(parts)
    return "{" .. table.concat(parts, "\0") .. "}"
end

local function same(a, b)
    return rawequal(a, b) or type(a) == type(b) and image(a, DEPTH) == image(b, DEPTH)
end

-- The places in `before` of what is in both lists, by place in `after`; and which places of `before` are taken.
local function pair_items(before, after)
    local waiting, pairs_of, taken = {}, {}, {}
    for i = #before, 1, -1 do
        local key = image(before[i], DEPTH)
        waiting[key] = waiting[key] or {}
        table.insert(waiting[key], i)
    end
    for i = 1, #after do
        local list = waiting[image(after[i], DEPTH)]
        local at = list and table.remove(list)
        if at then
            pairs_of[i], taken[at] = at, true
        end
    end
    return pairs_of, taken
end

-- The texts in an entry: a path, or the paths of a bind.
local function texts_of(item)
    local list = {}
    for _, value in next, is_table(item) and item or { item } do
        list[#list + 1] = type(value) == "string" and value or nil
    end
    table.sort(list)
    return list
end

-- A function that gives, for what is new in a list, the place in `before` of what it was made from: of an entry that is
-- gone and has a path in common with it.
local function finder_of_changed(before, taken)
    local by_text = {}
    for i = #before, 1, -1 do
        for _, text in ipairs(taken[i] and {} or texts_of(before[i])) do
            by_text[text] = i
        end
    end
    return function(item)
        for _, text in ipairs(texts_of(item)) do
            local at = by_text[text]
            if at and not taken[at] then
                taken[at] = true
                return at
            end
        end
    end
end

function provenance:add_list_step(name, origin, before, after)
    local links = self.links[name]
    local old, new = is_table(links) and not links.origin and links or {}, {}
    before, after = is_table(before) and before or {}, is_table(after) and after or {}
    local paired, taken = pair_items(before, after)
    local find_changed = finder_of_changed(before, taken)
    for i = 1, #after do
        if paired[i] then
            new[i] = old[paired[i]]
        else
            local at = find_changed(after[i])
            new[i] = { origin = origin, field = part_field(name, i), value = after[i], over = at and old[at] or nil }
        end
    end
    for i = 1, #before do
        if not taken[i] then
            table.insert(self.removed, {
                origin = origin, field = part_field(name, i), value = before[i], over = old[i],
            })
        end
    end
    self.links[name] = new
end

function provenance:add_map_step(name, origin, before, after)
    local links = self.links[name]
    links = is_table(links) and not links.origin and links or {}
    before, after = is_table(before) and before or {}, is_table(after) and after or {}
    for key, value in next, after do
        if not same(value, before[key]) then
            links[key] = { origin = origin, field = part_field(name, key), value = value, over = links[key] }
        end
    end
    for key, value in next, before do
        if after[key] == nil then
            table.insert(self.removed, {
                origin = origin, field = part_field(name, key), value = value, over = links[key],
            })
            links[key] = nil
        end
    end
    self.links[name] = links
end

-- Adds what became of `before`: each of its fields that is another in `after` is the origin's.
function provenance:add_step(origin, before, after)
    local names = {}
    for name in next, before do
        names[name] = true
    end
    for name in next, after do
        names[name] = true
    end
    for name in next, names do
        local old, new = rawget(before, name), rawget(after, name)
        if rawequal(old, new) then
            goto continue
        elseif merge.is_list(name) then
            self:add_list_step(name, origin, old, new)
        elseif merge.is_map(name) then
            self:add_map_step(name, origin, old, new)
        elseif not same(old, new) then
            self.links[name] = { origin = origin, field = name, value = new, over = self.links[name] }
        end
        ::continue::
    end
end

--- Who said what of a plan.
---@param plan demilune.Plan
---@return demilune.Provenance
function provenance.of(plan)
    local policy = plan.policy
    local self = setmetatable({ links = {}, removed = {} }, provenance)
    for _, layer in ipairs(policy.layers) do
        add_layer(self.links, layer)
    end
    local last = policy.fields
    for _, step in ipairs(plan.trace or {}) do
        self:add_step(step.origin, step.before, step.after)
        last = plan.hooked
    end
    if not plan.trace and plan.hooked then -- of several hooks it is not known which one
        local hooks = policy.hooks.prepare
        local origin = #hooks == 1 and require("demilune.hooks").origin(hooks[1]) or { kind = "hook" }
        self:add_step(origin, last, plan.hooked)
        last = plan.hooked
    end
    if not rawequal(last, plan.fields) then
        self:add_step({ kind = "options" }, last, plan.fields)
    end
    table.sort(self.removed, function(a, b)
        return a.field < b.field
    end)
    return self
end

-- The name of a field, and the key in it where it is a list or a map.
local function split(field)
    local name, rest = field:match("^([%w_]+)(.*)$")
    if name and merge.is_map(name) then
        return name, rest:match("^%.(.*)$") or rest:match('^%["(.*)"%]$')
    end
    local keys = locate.keys(field)
    return keys[1], keys[2]
end

--- Who said a field ("rw_binds[2]", "env.CC", "network"), or nil.
---@param field string
---@return demilune.Link|nil
function provenance:link(field)
    local name, key = split(field)
    local links = name and self.links[name]
    if not links or links.origin then
        return links or nil
    end
    return key ~= nil and links[key] or nil
end

--- Where that was said: the file and, where it can be found, the line.
---@param link demilune.Link
---@return string|nil file
---@return integer|nil line
function provenance.place(link)
    local origin = link.origin
    if not origin.layer then
        return origin.file, origin.line
    end
    return origin.layer.file, places.line(origin.layer, link.field)
end

return provenance
