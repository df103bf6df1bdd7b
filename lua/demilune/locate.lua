--- Finds the line of a policy file on which a field was written, where the file returns a plain table. A small reader
--- of Lua's tokens: it follows `return {`, keys and braces, and gives up on what is computed.
local locate = {}

-- Where the long bracket ends that begins at `at`, or nil when there is none.
local function long_end(source, at)
    local level = source:match("^%[(=*)%[", at)
    if level then
        local _, stop = source:find("]" .. level .. "]", at, true)
        return stop or #source
    end
end

local function quoted_end(source, at, quote)
    local stop = at + 1
    while stop <= #source and source:sub(stop, stop) ~= quote do
        stop = source:find('["\'\\]', stop) or #source + 1
        if source:sub(stop, stop) == "\\" then
            stop = stop + 2
        elseif source:sub(stop, stop) ~= quote then
            stop = stop + 1
        end
    end
    return stop
end

-- For the first character of a token: a function of the source and the place, which gives its kind, its end and its
-- text. Other characters are symbols.
local readers = {}

local function add_reader(class, read)
    for code = 0, 127 do
        local character = string.char(code)
        if character:find(class) then
            readers[character] = read
        end
    end
end

add_reader("[%a_]", function(source, at)
    local _, stop = source:find("^[%w_]+", at)
    return "name", stop, source:sub(at, stop)
end)

add_reader("%s", function(source, at)
    return "space", select(2, source:find("^%s+", at))
end)

add_reader("[%d.]", function(source, at)
    local _, stop = source:find("^%.?%d[%w%.]*", at)
    return stop and "number" or "symbol", stop or at, not stop and "." or nil
end)

add_reader("[\"']", function(source, at)
    local stop = quoted_end(source, at, source:sub(at, at))
    return "string", stop, source:sub(at + 1, stop - 1)
end)

add_reader("%[", function(source, at)
    local stop = long_end(source, at)
    return stop and "string" or "symbol", stop or at, not stop and "[" or nil
end)

add_reader("%-", function(source, at)
    if source:sub(at + 1, at + 1) ~= "-" then
        return "symbol", at, "-"
    end
    return "space", long_end(source, at + 2) or (source:find("\n", at, true) or #source + 1) - 1
end)

local function next_token(source, at)
    local first = source:sub(at, at)
    local read = readers[first]
    if read then
        return read(source, at)
    end
    return "symbol", at, first
end

local function tokens_of(source)
    local tokens, at, line = {}, 1, 1
    while at <= #source do
        local kind, last, text = next_token(source, at)
        if kind ~= "space" then
            tokens[#tokens + 1] = { kind = kind, text = text, line = line }
        end
        if kind == "space" or kind == "string" then -- no other token goes over lines
            local between = source:sub(at, last)
            line = line + (between == " " and 0 or select(2, between:gsub("\n", "")))
        end
        at = last + 1
    end
    return tokens
end

-- What each token does to the depth of nesting. `then` opens a block, which `elseif` closes before the next `then`.
local depths = {
    symbol = { ["{"] = 1, ["("] = 1, ["["] = 1, ["}"] = -1, [")"] = -1, ["]"] = -1 },
    name = {
        ["function"] = 1, ["do"] = 1, ["then"] = 1, ["repeat"] = 1, ["end"] = -1, ["until"] = -1, ["elseif"] = -1,
    },
}

local function change_of_depth(token)
    local changes = depths[token.kind]
    return changes and changes[token.text] or 0
end

-- Index of the first token after the value that starts at `at`.
local function skip_value(tokens, at)
    local depth = 0
    while tokens[at] do
        local token = tokens[at]
        local last = token.kind == "symbol" and (token.text == "," or token.text == ";" or token.text == "}")
        if depth == 0 and last then
            return at
        end
        depth = depth + change_of_depth(token)
        at = at + 1
    end
    return at
end

local function is_symbol(token, text)
    return token and token.kind == "symbol" and token.text == text
end

-- The key of the item that starts at `at`, and where its value starts; nil for an item without a key.
local function item_key(tokens, at)
    local token, following = tokens[at], tokens[at + 1]
    if token.kind == "name" and is_symbol(following, "=") and not is_symbol(tokens[at + 2], "=") then
        return token.text, at + 2
    elseif is_symbol(token, "[") and following and following.kind == "string" and is_symbol(tokens[at + 2], "]") then
        return following.text, at + 4
    end
    return nil, at
end

-- The table constructor whose brace is at `at`: its items by key, each with its line and its own items.
local function read_items(tokens, at, depth)
    local items, position = {}, 0
    at = at + 1
    while tokens[at] and not is_symbol(tokens[at], "}") do
        local name, value = item_key(tokens, at)
        if not name then
            position = position + 1
            name = position
        end
        local item = { line = tokens[at].line }
        local after = skip_value(tokens, value)
        if depth > 0 and is_symbol(tokens[value], "{") then
            item.items = read_items(tokens, value, depth - 1)
        end
        items[name] = items[name] or item
        at = after
        if is_symbol(tokens[at], ",") or is_symbol(tokens[at], ";") then
            at = at + 1
        end
    end
    return items
end

--- The keys that a field is made of: rw_binds[2].host -> { "rw_binds", 2, "host" }, secrets["/a.b"] -> { "secrets",
--- "/a.b" }.
---@param field string
---@return (string|integer)[]
function locate.keys(field)
    local keys, at = {}, 1
    while at <= #field do
        local name, after = field:match("^%.?([^%.%[]+)()", at)
        if not name then
            name, after = field:match("^%[(%d+)%]()", at)
            name = math.tointeger(name)
        end
        if not name then
            name, after = field:match('^%["(.-)"%]()', at)
        end
        if not name then
            break
        end
        keys[#keys + 1], at = name, after
    end
    return keys
end

local aliases = { host = 1, sandbox = 2, path = 1 }

-- Index of the brace of the table that the file returns: of the last `return {` outside of all functions and blocks,
-- else of the last one.
local function policy_brace(tokens)
    local depth, outer, last = 0, nil, nil
    for i, token in ipairs(tokens) do
        if token.kind == "name" and token.text == "return" and is_symbol(tokens[i + 1], "{") then
            last = i + 1
            outer = depth == 0 and last or outer
        else
            depth = depth + change_of_depth(token)
        end
    end
    return outer or last
end

local DEPTH = 6 -- more than the fields nest
local last = {} -- what was read of the last source: questions about one file come together

local function items_once(source)
    if last.source ~= source then
        local tokens = tokens_of(source)
        local brace = policy_brace(tokens)
        last = { source = source, items = brace and read_items(tokens, brace, DEPTH) or {} }
    end
    return last.items
end

--- The line on which `field` stands in `source`, or that of the nearest thing around it.
---@param source string
---@param field string
---@return integer|nil
function locate.line(source, field)
    local items, line = items_once(source), nil
    for _, key in ipairs(locate.keys(field)) do
        local item = items and (items[key] or items[aliases[key]])
        if not item then
            break
        end
        line, items = item.line, item.items
    end
    return line
end

return locate
