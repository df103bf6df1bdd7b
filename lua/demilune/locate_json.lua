--- Finds the line of a JSON policy on which a field was written.
local json_reader = require "demilune.json_reader"
local locate = require "demilune.locate"

local locate_json = {}

local DEPTH = 6 -- more than the fields nest

-- Where the value that follows stands, with those in it by key.
local function tree_of(r, depth)
    local kind = r:kind()
    local tree, position = { at = r.at, items = {} }, 0
    if depth == 0 or kind ~= "object" and kind ~= "array" then
        r:skip()
        return tree
    end
    r:open()
    if kind == "array" then
        while r:next_item(position == 0) do
            position = position + 1
            tree.items[position] = tree_of(r, depth - 1)
        end
        return tree
    end
    local key = r:next_key(true)
    while key do
        local start = r.at
        r:colon()
        local item = tree_of(r, depth - 1)
        item.at = start
        tree.items[key] = tree.items[key] or item
        key = r:next_key()
    end
    return tree
end

-- A policy and its binds can be arrays.
local positions = { ro_binds = 1, rw_binds = 2, work_host = 3, network = 4, env_allowlist = 5, host = 1, sandbox = 2 }

local last = {} -- the tree of the last source: problems of one file come together

local function tree_once(source)
    if last.source ~= source then
        local is_text, tree = pcall(tree_of, json_reader.new(source), DEPTH)
        last = { source = source, tree = is_text and tree or { at = 1, items = {} } } -- blank is a policy too
    end
    return last.tree
end

--- The line on which `field` stands in `source`, which was read without failure, or that of what is around it.
---@param source string
---@param field string
---@return integer
function locate_json.line(source, field)
    local tree = tree_once(source)
    for _, key in ipairs(locate.keys(field)) do
        local item = tree.items[key] or tree.items[positions[key]]
        if not item then
            break
        end
        tree = item
    end
    local _, breaks = source:sub(1, tree.at - 1):gsub("\n", "")
    return breaks + 1
end

return locate_json
