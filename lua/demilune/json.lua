--- JSON: read strictly, and written in one line with its keys in order. Bytes that are not UTF-8 are written as base64
--- under a key that ends in "_base64".
local core = require "demilune.core"

local json = {}

-- --- reading ---------------------------------------------------------------------------------------------------------

---@class demilune.JsonFailure
---@field code string stable: "json.syntax", "json.utf8", "json.depth", "field.duplicate", "field.missing", ...
---@field message string "trailing comma at line 3 column 14"
---@field line integer
---@field column integer in bytes
---@field field string "ro_binds[1].host"; "" for the whole

-- The line and the column of a place that so many bytes of the text lead up to.
local function place(text, offset)
    local line, start = 1, 0
    for at in text:gmatch("()\n") do
        if at > offset then
            break
        end
        line, start = line + 1, at
    end
    return line, offset - start
end

-- Adds to each note, which are in the order of the text, the line on which it stands.
local function add_lines(text, notes)
    local line, at = 1, 1
    for _, note in ipairs(notes) do
        local _, breaks = text:sub(at, note.at - 1):gsub("\n", "")
        line, at = line + breaks, note.at
        note.line = line
    end
    return notes
end

local function read(text, type)
    local reader = require("demilune.json_reader").new(text)
    local _, invalid = utf8.len(text)
    if invalid then
        reader:fail("json.utf8", "invalid UTF-8", invalid)
    end
    local value = reader:read(type)
    reader:finish()
    return { value = value, unknown = add_lines(text, reader.unknown) }
end

--- Reads a text that is one value of a type.
---@param text string
---@param type demilune.JsonType
---@return { value: any, unknown: { field: string, line: integer }[] }|nil
---@return demilune.JsonFailure|nil
function json.decode(text, type)
    local ok, result = pcall(read, text, type)
    if ok then
        return result
    elseif _G.type(result) ~= "table" then
        error(result, 0) -- no failure of the text, but of ours
    end
    local line, column = place(text, result.offset)
    return nil, {
        code = result.code, field = result.field, line = line, column = column,
        message = ("%s at line %d column %d"):format(result.message, line, column),
    }
end

-- --- writing ---------------------------------------------------------------------------------------------------------

local escapes = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}
for code = 0, 31 do
    local character = string.char(code)
    escapes[character] = escapes[character] or ("\\u%04x"):format(code)
end

local function encode_string(text)
    return '"' .. text:gsub('["\\\0-\31]', escapes) .. '"'
end

-- The shortest of two forms that is the same number again, with a point whatever the locale has.
local function encode_float(value)
    local text = ("%.14g"):format(value)
    if tonumber(text) ~= value then
        text = ("%.17g"):format(value)
    end
    return (text:gsub(",", "."))
end

local encode

local function encode_object(object)
    local keys, parts = {}, {}
    for key in next, object do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    for _, key in ipairs(keys) do
        local value = object[key]
        if type(value) == "string" and not utf8.len(value) then
            key, value = key .. "_base64", core.base64(value)
        end
        parts[#parts + 1] = encode_string(key) .. ":" .. encode(value)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_list(list)
    local parts = {}
    for i, value in ipairs(list) do
        if type(value) == "string" and not utf8.len(value) then
            value = { base64 = core.base64(value) }
        end
        parts[i] = encode(value)
    end
    return "[" .. table.concat(parts, ",") .. "]"
end

--- Encodes nil, booleans, numbers, strings, lists and objects. An empty table is a list.
---@param value any
---@return string
function encode(value)
    local kind = type(value)
    if kind == "table" then
        return (#value > 0 or next(value) == nil) and encode_list(value) or encode_object(value)
    elseif kind == "string" then
        return encode_string(value)
    elseif math.type(value) == "float" then
        return encode_float(value)
    elseif kind == "nil" then
        return "null"
    end
    return tostring(value)
end

json.encode = encode

-- UTF-8 of what drives a terminal or turns the order of what is read: DEL, C1 controls, bidirectional controls.
local hidden = { "\127", "\xc2[\x80-\x9f]", "\xe2\x80[\xaa-\xae]", "\xe2\x81[\xa6-\xa9]" }

local function escape_character(character)
    return ("\\u%04x"):format(utf8.codepoint(character))
end

--- The same for where people may look at it: no character drives a terminal, or shows other text than there is.
---@param value any
---@return string
function json.shown(value)
    local text = encode(value) -- outside of strings it has none of these
    for _, pattern in ipairs(hidden) do
        text = text:gsub(pattern, escape_character)
    end
    return text
end

return json
