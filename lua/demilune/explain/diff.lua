--- What another plan adds, takes away and changes: files, environment, limits and settings, with who said so.
local environment = require "demilune.explain.environment"
local message = require "demilune.message"
local settings = require "demilune.explain.settings"
local words = require "demilune.explain.words"

local diff = {}

---@class demilune.Change
---@field name string
---@field old? table what it was: nil when it was added
---@field new? table what it is: nil when it was removed

-- The changes between two maps, in the order of their names.
local function changes_of(old, new, is_same)
    local names, list = {}, {}
    for name in pairs(old) do
        names[#names + 1] = name
    end
    for name in pairs(new) do
        names[#names + 1] = not old[name] and name or nil
    end
    table.sort(names)
    for _, name in ipairs(names) do
        if not (old[name] and new[name] and is_same(old[name], new[name])) then
            list[#list + 1] = { name = name, old = old[name], new = new[name] }
        end
    end
    return list
end

local function by(list, key)
    local map = {}
    for _, item in ipairs(list) do
        map[item[key]] = item
    end
    return map
end

-- Pins and seals follow from other entries.
local function mounts_by_path(account)
    local map = {}
    for _, mount in ipairs(account.mounts) do
        if mount.kind ~= "seal" and mount.kind ~= "pin" then
            map[mount.at] = mount
        end
    end
    return map
end

local function same_mount(a, b)
    return a.kind == b.kind and a.source == b.source and a.size == b.size and a.length == b.length and
        a.secret == b.secret
end

-- What is optional and not there; of two at one path the last.
local function absent_by_path(account)
    local map = {}
    for _, entry in ipairs(account.absent) do
        map[entry.at] = entry
    end
    return map
end

-- Those that are set, and those that something but the base says something of.
local function variables_of(account)
    local map = by(account.env, "name")
    for _, variable in ipairs(account.env_absent) do
        map[variable.name] = variable.said.by ~= "base" and variable or nil
    end
    return map
end

local function same_variable(a, b)
    return a.value == b.value and a.passed == b.passed and a.action == b.action
end

local function limits_of(account)
    local map = {}
    for name, value in pairs(account.limits) do
        map[name] = { value = value, said = account.limits_said[name] }
    end
    return map
end

local function settings_of(account)
    local map = {}
    for _, setting in ipairs(settings.list(account)) do
        map[setting[2]] = { text = setting[3], said = account.settings_said[setting[1]] }
    end
    return map
end

local function named(list, said)
    local map = {}
    for _, item in ipairs(list) do
        local name = item.name or item
        map[name] = { said = item.said or said[name] }
    end
    return map
end

local function anything()
    return true
end

local function same(key)
    return function(a, b)
        return a[key] == b[key]
    end
end

--- What `new` has otherwise than `old`.
---@param old table an account
---@param new table another
---@return table changes lists by part; `equal` when there are none
function diff.of(old, new)
    local changes = {
        files = changes_of(mounts_by_path(old), mounts_by_path(new), same_mount),
        absent = changes_of(absent_by_path(old), absent_by_path(new), same_mount),
        environment = changes_of(variables_of(old), variables_of(new), same_variable),
        limits = changes_of(limits_of(old), limits_of(new), same "value"),
        settings = changes_of(settings_of(old), settings_of(new), same "text"),
        requires = changes_of(named(old.requires, old.requires_said), named(new.requires, new.requires_said), anything),
        acknowledged = changes_of(named(old.acknowledged), named(new.acknowledged), anything),
    }
    local count = 0
    for _, list in pairs(changes) do
        count = count + #list
    end
    changes.unseen = count == 0 and old.digest ~= new.digest
    changes.equal = count == 0 and not changes.unseen
    return changes
end

-- The columns between the name of a change and who said it.
local cells = {
    files = function(mount)
        return { words.access(mount), words.source(mount) }
    end,
    absent = function(entry)
        return { words.access(entry), words.awaited(entry) }
    end,
    environment = function(variable, _, show_values)
        return { variable.action and environment.absence(variable) or environment.value(variable, show_values) }
    end,
    limits = function(limit, name)
        return { words.limit(name, limit.value) }
    end,
    settings = function(setting)
        return { setting.text }
    end,
}

local function no_cells()
    return {}
end

-- The rows of a change: "-" what it was, "+" what it is.
local function add_rows(rows, change, names, cells_of, show_values)
    for _, side in ipairs { { "-", change.old, "removed" }, { "+", change.new, "added" } } do
        if side[2] then
            local row = { depth = 0, name = side[1] .. " " .. message.plain(change.name), look = side[3] }
            for i, cell in ipairs(cells_of(side[2], change.name, show_values)) do
                row[i] = cell
            end
            row[#row + 1] = names:who(side[2].said)
            rows[#rows + 1] = row
        end
    end
end

local parts = { "files", "absent", "environment", "limits", "settings", "requires", "acknowledged" }
local titles = { absent = "optional, and not there", acknowledged = "dangers acknowledged", requires = "required" }

--- The changes on a page.
---@param drawing table
---@param changes table
---@param names demilune.Words
---@param show_values? boolean
function diff.draw(drawing, changes, names, show_values)
    for _, part in ipairs(parts) do
        local rows = {}
        for _, change in ipairs(changes[part]) do
            add_rows(rows, change, names, cells[part] or no_cells, show_values)
        end
        if #rows > 0 then
            drawing:heading(titles[part] or part)
            drawing:rows(rows)
        end
    end
    if changes.unseen then
        drawing:line("they differ in what is not shown here: contents of generated files, modes, pins")
    end
end

return diff
