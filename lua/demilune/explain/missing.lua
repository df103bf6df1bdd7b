--- What is not in the tree of files, and why. Entries of one directory, one kind and one origin share their lines.
local message = require "demilune.message"
local words = require "demilune.explain.words"

local missing = {}

local OPTIONAL, PLACELESS = "optional; not there", "no place for it there"
local INDENT, WIDTH = 2, 76 -- of the names of a group, which nothing stands beside

-- Entries as groups, in the order of the first of each.
local function groups_of(list, reason)
    local groups, by_key = {}, {}
    for _, entry in ipairs(list) do
        local said, directory, name = entry.said, entry.at:match("^(.*/)([^/]+)$")
        local key = table.concat({ directory or entry.at, words.access(entry), said.by, said.file or "" }, "\0")
        local group = by_key[key]
        if not group then
            group = {
                reason = reason, access = words.access(entry), directory = directory, at = entry.at,
                names = {}, said = {},
            }
            groups[#groups + 1], by_key[key] = group, group
        end
        table.insert(group.names, message.plain(name or entry.at))
        table.insert(group.said, said)
    end
    return groups
end

local function add_group(rows, group, names, columns)
    local alone = #group.names == 1
    rows[#rows + 1] = {
        depth = 0, name = message.plain(alone and group.at or group.directory), group.access, group.reason,
        names:who_of_all(group.said),
    }
    for _, line in ipairs(alone and {} or words.wrapped(group.names, math.min(columns or WIDTH, WIDTH) - INDENT)) do
        rows[#rows + 1] = { depth = 1, name = line }
    end
end

--- The rows of what is not in the tree, and why.
---@param account table
---@param names demilune.Words
---@param columns? integer that there are
---@return demilune.Row[]
function missing.rows(account, names, columns)
    local rows = {}
    for _, group in ipairs(groups_of(account.absent, OPTIONAL)) do
        add_group(rows, group, names, columns)
    end
    for _, group in ipairs(groups_of(account.placeless, PLACELESS)) do
        add_group(rows, group, names, columns)
    end
    for _, entry in ipairs(account.removed) do
        local whose = entry.over and "from " .. names:who(entry.over) or ""
        rows[#rows + 1] = { depth = 0, name = message.plain(entry.field), "taken out", whose, names:who(entry.said) }
    end
    return rows
end

return missing
