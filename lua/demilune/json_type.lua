--- What JSON values should be. A type says for each kind of value how it is read; another kind is an error, for nothing
--- is coerced. `null` is taken only where a type says so, and means that there is nothing.
local core = require "demilune.core"
local message = require "demilune.message"
local reader = require "demilune.json_reader"

---@class demilune.JsonType
---@field expected string for messages: "a string"
---@field string? fun(r: demilune.JsonReader): any
---@field number? fun(r: demilune.JsonReader): any
---@field boolean? fun(r: demilune.JsonReader): any
---@field null? fun(r: demilune.JsonReader): any
---@field array? fun(r: demilune.JsonReader): any
---@field object? fun(r: demilune.JsonReader): any
local json_type = {}

json_type.string = { expected = "a string", string = reader.string }
json_type.boolean = { expected = "a boolean", boolean = reader.word }
json_type.number = {
    expected = "a number",
    number = function(r)
        return (r:number()) -- without its digits
    end,
}

--- Either of two types whose kinds differ.
---@param expected string
---@param a demilune.JsonType
---@param b demilune.JsonType
---@return demilune.JsonType
function json_type.either(expected, a, b)
    local both = {}
    for _, one in ipairs { a, b } do
        for kind, read in next, one do
            both[kind] = read
        end
    end
    both.expected = expected
    return both
end

--- A type, or null for nothing.
---@param type demilune.JsonType
---@return demilune.JsonType
function json_type.optional(type)
    return json_type.either(type.expected, type, { null = reader.word })
end

--- An array of any length.
---@param item demilune.JsonType
---@return demilune.JsonType
function json_type.list(item)
    return {
        expected = "a sequence",
        array = function(r)
            local list, count, first = {}, 0, true
            r:open()
            while r:next_item(first) do
                count, first = count + 1, false
                r:enter(count)
                list[count] = r:read(item)
                r:leave()
            end
            return list
        end,
    }
end

local function refuse_duplicate(r, key)
    r:enter(key)
    r:fail("field.duplicate", ("duplicate field `%s`"):format(message.plain(core.shown_name(key))))
end

--- An object with any keys, each once.
---@param item demilune.JsonType
---@return demilune.JsonType
function json_type.map(item)
    return {
        expected = "a map",
        object = function(r)
            local map, seen = {}, {}
            r:open()
            local key = r:next_key(true)
            while key do
                if seen[key] then
                    refuse_duplicate(r, key)
                end
                seen[key] = true
                r:colon()
                r:enter(key)
                map[key] = r:read(item)
                r:leave()
                key = r:next_key()
            end
            return map
        end,
    }
end

---@class demilune.JsonField
---@field name string
---@field type demilune.JsonType
---@field required? boolean

--- An object of named fields, or an array of exactly their values in order. Other keys are noted and passed over.
--- `more` are fields that an object can have and an array cannot.
---@param name string for messages
---@param fields demilune.JsonField[]
---@param more? demilune.JsonField[]
---@return demilune.JsonType
function json_type.struct(name, fields, more)
    local by_name = {}
    for _, list in ipairs { fields, more or {} } do
        for _, field in ipairs(list) do
            by_name[field.name] = field
        end
    end

    local function read_field(r, field)
        r:enter(field.name)
        local value = r:read(field.type)
        r:leave()
        return value
    end

    local function read_object(r)
        local struct, seen = {}, {}
        r:open()
        local key = r:next_key(true)
        while key do
            local field = by_name[key]
            if field and seen[field] then
                refuse_duplicate(r, key)
            elseif field then
                seen[field] = true
                r:colon()
                struct[key] = read_field(r, field)
            else
                r:note_unknown(key)
                r:colon()
                r:skip()
            end
            key = r:next_key()
        end
        for _, field in ipairs(fields) do
            if field.required and not seen[field] then
                r:enter(field.name)
                r:fail("field.missing", ("missing field `%s`"):format(field.name))
            end
        end
        return struct
    end

    -- An array that ends before the field of index `at`: fine where the rest can be left out.
    local function check_length(r, at)
        for i = at, #fields do
            if fields[i].required then
                r:fail("list.length", ("invalid length %d, expected struct %s with %d elements"):format(i - 1, name,
                    #fields))
            end
        end
    end

    local function read_array(r)
        local struct = {}
        r:open()
        for i, field in ipairs(fields) do
            if not r:next_item(i == 1) then
                check_length(r, i)
                return struct
            end
            struct[field.name] = read_field(r, field)
        end
        if r:next_item(#fields == 0) then
            r:fail("list.length", "trailing characters", r.at)
        end
        return struct
    end

    return { expected = "struct " .. name, object = read_object, array = read_array }
end

return json_type
