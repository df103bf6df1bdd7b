--- Finds the line of a policy file on which a field was written, where the file returns a plain table. A small reader
--- of Lua's tokens: it follows `return {`, keys and braces, and gives up on what is computed.
local locate = {}

-- Token patterns, tried in order at each place.
local function next_token(source, at)
    local first, last = source:find("^%s+", at)
    if first then
        return "space", last, source:sub(first, last)
    end
    local level = source:match("^%-%-%[(=*)%[", at)
    if level then
        local _, stop = source:find("]" .. level .. "]", at, true)
        return "space", stop or #source
    end
    first, last = source:find("^%-%-[^\n]*", at)
    if first then
        return "space", last
    end
    level = source:match("^%[(=*)%[", at)
    if level then
        local _, stop = source:find("]" .. level .. "]", at, true)
        return "string", stop or #source, nil
    end
    local quote = source:match("^[\"']", at)
    if quote then
        local stop = at + 1
        while stop <= #source and source:sub(stop, stop) ~= quote do
            stop = stop + (source:sub(stop, stop) == "\\" and 2 or 1)
        end
        return "string", stop, source:sub(at + 1, stop - 1)
    end
    first, last = source:find("^[%a_][%w_]*", at)
    if first then
        return "name", last, source:sub(first, last)
    end
    first, last = source:find("^%.?%d[%w%.]*", at)
    if first then
        return "number", last, source:sub(first, last)
    end
    return "symbol", at, source:sub(at, at)
end

local function tokens_of(source)
    local tokens, at, line = {}, 1, 1
    while at <= #source do
        local kind, last, text = next_token(source, at)
        if kind ~= "space" then
            tokens[#tokens + 1] = { kind = kind, text = text, line = line }
        end
        local _, breaks = source:sub(at, last):gsub("\n", "")
        line = line + breaks
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

-- The item `key` of the table constructor whose brace is at `at`: where its value starts, and its own first token.
local function find_item(tokens, at, key)
    local position = 0
    at = at + 1
    while tokens[at] and not is_symbol(tokens[at], "}") do
        local name, value = item_key(tokens, at)
        if not name then
            position = position + 1
            name = position
        end
        if name == key then
            return value, at
        end
        at = skip_value(tokens, value)
        if is_symbol(tokens[at], ",") or is_symbol(tokens[at], ";") then
            at = at + 1
        end
    end
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

local last = {} -- the tokens of the last source: problems of one file come together

local function tokens_once(source)
    if last.source ~= source then
        last = { source = source, tokens = tokens_of(source) }
    end
    return last.tokens
end

--- The line on which `field` stands in `source`, or that of the nearest thing around it.
---@param source string
---@param field string
---@return integer|nil
function locate.line(source, field)
    local tokens = tokens_once(source)
    local at, line = policy_brace(tokens), nil
    for _, key in ipairs(at and locate.keys(field) or {}) do
        if not is_symbol(tokens[at], "{") then
            break
        end
        local value, item = find_item(tokens, at, key)
        if not value and aliases[key] then
            value, item = find_item(tokens, at, aliases[key])
        end
        if not value then
            break
        end
        line, at = tokens[item].line, value
    end
    return line
end

return locate
