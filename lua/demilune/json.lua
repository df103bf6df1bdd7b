--- JSON as demilune writes it: one line, keys in order, bytes that are not UTF-8 under a key that ends in "_base64".
local cjson -- only when a string has to be encoded

local json = {}

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
    local out = {}
    for at = 1, #bytes, 3 do
        local a, b, c = bytes:byte(at, at + 2)
        local group = a << 16 | (b or 0) << 8 | (c or 0)
        for shift = 18, 0, -6 do
            local index = (group >> shift & 63) + 1
            out[#out + 1] = alphabet:sub(index, index)
        end
        if not c then
            out[#out] = "="
            if not b then
                out[#out - 1] = "="
            end
        end
    end
    return table.concat(out)
end

local function encode_string(text)
    cjson = cjson or require("cjson").new()
    -- lua-cjson escapes "/" and DEL, which need it not.
    return (cjson.encode(text):gsub("\\/", "/"):gsub("\\u007f", "\127"))
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
            key, value = key .. "_base64", base64(value)
        end
        parts[#parts + 1] = encode_string(key) .. ":" .. encode(value)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_list(list)
    local parts = {}
    for i, value in ipairs(list) do
        if type(value) == "string" and not utf8.len(value) then
            value = { base64 = base64(value) }
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
        return ("%.6f"):format(value)
    elseif kind == "nil" then
        return "null"
    end
    return tostring(value)
end

json.encode = encode

return json
