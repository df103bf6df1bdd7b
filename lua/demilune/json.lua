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

--- Encodes nil, booleans, numbers, strings, lists and objects, the keys of which are strings. An empty table is a list.
---@param value any
---@return string
function json.encode(value)
    return core.encode_json(value, false)
end

--- The same for where people may look at it: no character drives a terminal, or shows other text than there is.
---@param value any
---@return string
function json.shown(value)
    return core.encode_json(value, true)
end

return json
