--- The sandbox's files as a tree: what is where inside, what the command can do there, what it is and who said so.
--- Neighbours of the same kind share a line.
local message = require "demilune.message"
local order = require "demilune.order"
local words = require "demilune.explain.words"

local tree = {}

---@class demilune.Node
---@field name string what follows its parent's path
---@field mount? table
---@field children table<string, demilune.Node>

local function new_node(name)
    return { name = name, children = {} }
end

local function find(root, path)
    local node = root
    for name in path:gmatch("[^/]+") do
        node.children[name] = node.children[name] or new_node(name)
        node = node.children[name]
    end
    return node
end

local function children_of(node)
    local names, list = {}, {}
    for name in pairs(node.children) do
        names[#names + 1] = name
    end
    table.sort(names, order.before)
    for i, name in ipairs(names) do
        list[i] = node.children[name]
    end
    return list
end

-- A directory that only leads on to one other has its line with it.
local function joined(node)
    while not node.mount do
        local name, child = next(node.children)
        if not name or next(node.children, name) then
            break
        end
        node = { name = node.name .. "/" .. name, mount = child.mount, children = child.children }
    end
    return node
end

local function build(mounts)
    local root = new_node "/"
    local sealed
    for _, mount in ipairs(mounts) do
        if mount.kind ~= "seal" then
            find(root, mount.at).mount = mount
        elseif mount.at == "/" then
            sealed = mount
        end
    end
    root.mount = root.mount or sealed
    return root
end

-- What a mount is, for a line with others: a bind of a directory's entries under their own names is of "DIRECTORY/*".
local function shared_source(node, mount)
    local source = mount.source and mount.kind ~= "cover" and mount.kind ~= "mask" and mount.source
    if not source then
        return mount.kind == "file" and not mount.secret and "generated" or words.source(mount)
    end
    local directory, name = source:match("^(.-)([^/]+)$")
    local last = node.name:match("[^/]+$")
    local shown = name == last and message.plain(directory .. "*") or message.plain(source)
    return mount.kind == "symlink" and "to " .. shown or shown
end

-- What two neighbours have in common when they can share a line; nil for one that has a line of its own.
local function common_key(node, names)
    local mount = node.mount
    if not mount or next(node.children) or mount.shadows or mount.kind == "pin" or mount.said.over then
        return nil
    end
    local said = mount.said
    return table.concat({ mount.kind, shared_source(node, mount), said.by == "base" and names:who(said) or
        said.file or said.by, said.by }, "\0")
end

local FEW, SHOWN = 4, 3 -- so many entries of a policy share a line; names at each end where there are too many
local MANY = 12
local WIDTH = 34 -- of names before they go on in the next line

-- Nodes as groups that share a line each, in order.
local function groups_of(nodes, names)
    local groups, by_key = {}, {}
    for _, node in ipairs(nodes) do
        local key = common_key(node, names)
        local group = key and by_key[key]
        if group then
            group[#group + 1] = node
        else
            group = { node }
            groups[#groups + 1] = group
            if key then
                by_key[key] = group
            end
        end
    end
    local result = {}
    for _, group in ipairs(groups) do
        local by = group[1].mount and group[1].mount.said.by
        local fold = #group >= ((by == "base" or by == "engine") and 2 or FEW)
        for _, node in ipairs(fold and { group } or group) do
            result[#result + 1] = fold and node or { node }
        end
    end
    table.sort(result, function(a, b)
        return order.before(a[1].name, b[1].name)
    end)
    return result
end

local function alone(nodes)
    local groups = {}
    for i, node in ipairs(nodes) do
        groups[i] = { node }
    end
    return groups
end

local made_directories = { tmpfs = true, proc = true, dev = true }

-- The name of a node, with a slash behind that of a directory.
local function shown_name(node)
    local mount = node.mount
    local directory = not mount or mount.directory or made_directories[mount.kind] or next(node.children)
    return message.plain(node.name) .. (directory and node.name ~= "/" and "/" or "")
end

local function names_of(group, depth)
    local list, many = {}, #group > MANY
    for i, node in ipairs(group) do
        if not many or i <= SHOWN then
            list[#list + 1] = shown_name(node)
        elseif i == #group then
            list[#list + 1] = ("... %s (%d in all)"):format(shown_name(node), #group)
        end
    end
    return words.wrapped(list, WIDTH - depth * 2)
end

local function add_group(rows, group, depth, names)
    local mount = group[1].mount
    local lines, said = names_of(group, depth), {}
    for i, node in ipairs(group) do
        said[i] = node.mount.said
    end
    rows[#rows + 1] = {
        depth = depth, name = lines[1], words.access(mount), shared_source(group[1], mount), names:who_of_all(said),
        paint = words.access(mount),
    }
    for i = 2, #lines do
        rows[#rows + 1] = { depth = depth + 1, name = lines[i] }
    end
end

local function remark(depth, name, access, source, who)
    return { depth = depth, name = name, access, source, who, faint = true }
end

local function add_mount(rows, node, depth, names)
    local mount = node.mount
    local source = mount.kind == "seal" and "empty but for this" or words.source(mount)
    local why = mount.kind == "pin" and "stays where it is" or source
    rows[#rows + 1] = {
        depth = depth, name = shown_name(node),
        mount.kind == "seal" and "read-only" or words.access(mount), why,
        (mount.kind == "pin" and "for " or "") .. (mount.kind == "seal" and "demilune" or names:who(mount.said)),
        paint = words.access(mount),
    }
    for _, said in ipairs(mount.said.over or {}) do
        rows[#rows + 1] = remark(depth + 1, "(changed, was said by)", "", "", names:who(said))
    end
    for _, entry in ipairs(mount.shadows or {}) do
        rows[#rows + 1] = remark(depth + 1, "(hides)", words.access(entry), words.source(entry), names:who(entry.said))
    end
end

local function add_node(rows, node, depth, names, all)
    if node.mount then
        add_mount(rows, node, depth, names)
    else
        rows[#rows + 1] = { depth = depth, name = shown_name(node) }
    end
    local children = {}
    for i, child in ipairs(children_of(node)) do
        children[i] = joined(child)
    end
    for _, group in ipairs(all and alone(children) or groups_of(children, names)) do
        if #group > 1 then
            add_group(rows, group, depth + 1, names)
        else
            add_node(rows, group[1], depth + 1, names, all)
        end
    end
end

--- The rows of the tree.
---@param account table
---@param names demilune.Words
---@param all? boolean each entry in a line of its own
---@return demilune.Row[]
function tree.rows(account, names, all)
    local rows = {}
    add_node(rows, build(account.mounts), 0, names, all)
    return rows
end

return tree
