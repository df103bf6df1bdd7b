--- The grammar of JSON, strictly as RFC 8259 has it, read in one pass: the first error in the order of the text is the
--- one that is reported, in the words of serde_json, which the ancestor used. What a value should be is decided by a
--- type (demilune.json_type); what no type asks for is passed over, without recursion.
local core = require "demilune.core"
local find, match, sub, byte = string.find, string.match, string.sub, string.byte

---@class demilune.JsonReader
---@field text string
---@field at integer the next byte
---@field path (string|integer)[] the keys that lead to the present value
---@field unknown { field: string, at: integer }[] the keys that no type knew
local reader = {}
reader.__index = reader

local QUOTE, COMMA, COLON, BACKSLASH = byte('",:\\', 1, 4)
local OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT = byte("[]{}", 1, 4)

-- What kind of value a byte begins.
local kinds = { [QUOTE] = "string", [OPEN_ARRAY] = "array", [OPEN_OBJECT] = "object", [byte "-"] = "number",
    [byte "t"] = "boolean", [byte "f"] = "boolean", [byte "n"] = "null" }
for digit = byte "0", byte "9" do
    kinds[digit] = "number"
end

--- A reader at the beginning of `text`, which has to be valid UTF-8.
---@param text string
---@return demilune.JsonReader
function reader.new(text)
    return setmetatable({ text = text, at = 1, path = {}, unknown = {} }, reader)
end

-- "ro_binds[1].host"; without what somebody wrote for a value into a key.
local function field_of(path)
    local parts = {}
    for i, key in ipairs(path) do
        parts[i] = math.type(key) and ("[%d]"):format(key) or i > 1 and "." .. key or key
    end
    return core.shown_name(table.concat(parts))
end

--- Raises a failure. `offset` is the number of bytes that its place counts: those read so far, if nothing else is said.
---@param code string
---@param message string
---@param offset? integer
function reader:fail(code, message, offset)
    error({ code = code, message = message, offset = offset or self.at - 1, field = field_of(self.path) }, 0)
end

-- A failure at the next byte, which is looked at but not read; `at_end` is what is wrong where the text is over.
local function syntax(self, message, at_end)
    local over = self.at > #self.text
    self:fail("json.syntax", over and at_end or message, math.min(self.at, #self.text))
end

--- Goes into the value of a key, and out of it.
function reader:enter(key)
    self.path[#self.path + 1] = key
end

function reader:leave()
    self.path[#self.path] = nil
end

--- Notes that no type knows this key of the present object.
function reader:note_unknown(key)
    self:enter(key)
    self.unknown[#self.unknown + 1] = { field = field_of(self.path), at = self.at }
    self:leave()
end

--- Passes over white space. Returns the byte that follows, nil at the end.
local function space(self)
    local at = match(self.text, "^[ \n\t\r]*()", self.at)
    self.at = at
    return byte(self.text, at)
end
reader.space = space

--- The kind of the value that follows: "string", "number", "boolean", "null", "array" or "object".
function reader:kind()
    local kind = kinds[space(self)]
    if not kind then
        syntax(self, "expected value", "EOF while parsing a value")
    end
    return kind
end

-- --- strings ---------------------------------------------------------------------------------------------------------

local PLAIN = '^"([^"\\\0-\31]*)"()'

-- The code of the four digits at `at`.
local function hex_code(self, at)
    local digits = match(self.text, "^%x%x%x%x", at)
    if not digits then
        self:fail("json.syntax", "invalid escape", math.min(at + 3, #self.text))
    end
    return tonumber(digits, 16)
end

-- Where the escape ends whose backslash is at `at`. Strictly, a surrogate needs its other half.
local function escape_end(self, at, strict)
    local letter = sub(self.text, at + 1, at + 1)
    if letter == "" then
        self:fail("json.syntax", "EOF while parsing a string", #self.text)
    elseif not find(letter, '["\\/bfnrtu]') then
        self:fail("json.syntax", "invalid escape", at + 1)
    elseif letter ~= "u" then
        return at + 2
    end
    local code = hex_code(self, at + 2)
    if not strict or code < 0xd800 or code > 0xdfff then
        return at + 6
    elseif code >= 0xdc00 then
        self:fail("json.syntax", "lone leading surrogate in hex escape", at + 5)
    elseif sub(self.text, at + 6, at + 7) ~= "\\u" then
        self:fail("json.syntax", "unexpected end of hex escape", math.min(at + 6, #self.text))
    end
    code = hex_code(self, at + 8)
    if code < 0xdc00 or code > 0xdfff then
        self:fail("json.syntax", "lone leading surrogate in hex escape", at + 11)
    end
    return at + 12
end

-- Passes over the string that follows.
local function pass_string(self, strict)
    local at = self.at + 1
    while true do
        at = find(self.text, '["\\\0-\31]', at)
        local found = at and byte(self.text, at)
        if found == QUOTE then
            self.at = at + 1
            return
        elseif found == BACKSLASH then
            at = escape_end(self, at, strict)
        elseif found then
            self:fail("json.syntax", "control character (\\u0000-\\u001F) found while parsing a string", at - 1)
        else
            self:fail("json.syntax", "EOF while parsing a string", #self.text)
        end
    end
end

local cjson -- only for a string with escapes

--- Reads the string that follows.
---@return string
function reader:string()
    local value, stop = match(self.text, PLAIN, self.at)
    if not value then
        local start = self.at
        pass_string(self, true)
        stop = self.at
        cjson = cjson or require("cjson").new() -- the default instance belongs to the host program
        value = cjson.decode(sub(self.text, start, stop - 1))
    end
    self.at = stop
    return value
end

-- --- numbers and words -----------------------------------------------------------------------------------------------

local function number_end(self)
    local text = self.text
    local stop = match(text, "^-?[1-9]%d*()", self.at) or match(text, "^-?0()", self.at)
    if not stop then
        self.at = self.at + 1 -- the sign
        syntax(self, "invalid number", "EOF while parsing a value")
    end
    for _, part in ipairs { { "^%.", "^%.%d+()" }, { "^[eE]", "^[eE][+-]?%d+()" } } do
        local after = match(text, part[2], stop)
        if not after and find(text, part[1], stop) then
            self.at = match(text, "^[%.eE][+-]?()", stop)
            syntax(self, "invalid number", "EOF while parsing a value")
        end
        stop = after or stop
    end
    if find(text, "^%d", stop) then -- after a leading zero
        self:fail("json.syntax", "invalid number", stop)
    end
    return stop
end

--- Reads the number that follows: an integer where it is written as one and Lua has it, else a float.
---@return number value
---@return string digits as it is written
function reader:number()
    local start = self.at
    self.at = number_end(self)
    local digits = sub(self.text, start, self.at - 1)
    local value = tonumber(digits)
    if not value or value - value ~= 0 then
        self:fail("json.syntax", "number out of range")
    elseif digits == "-0" then
        value = -0.0
    end
    return value, digits
end

local words = { t = "true", f = "false", n = "null" }

--- Reads the word that follows: true, false, or null as nil.
---@return boolean|nil
function reader:word()
    local word = words[sub(self.text, self.at, self.at)]
    for i = 2, #word do
        local at = self.at + i - 1
        if byte(self.text, at) ~= byte(word, i) then
            local over = at > #self.text
            self:fail("json.syntax", over and "EOF while parsing a value" or "expected ident", math.min(at, #self.text))
        end
    end
    self.at = self.at + #word
    if word == "null" then
        return nil
    end
    return word == "true"
end

-- --- objects and arrays ----------------------------------------------------------------------------------------------

-- Whether an entry follows in the object or array; its end is read. `first` says that none was there before.
local function has_next(self, first, close, wanted, over)
    local following = space(self)
    if following == close then
        self.at = self.at + 1
        return false
    elseif first then
        if not following then
            syntax(self, "", over)
        end
        return true
    elseif following ~= COMMA then
        syntax(self, wanted, over)
    end
    self.at = self.at + 1
    if space(self) == close then
        syntax(self, "trailing comma")
    end
    return true
end

local function has_key(self, first)
    if not has_next(self, first, CLOSE_OBJECT, "expected `,` or `}`", "EOF while parsing an object") then
        return false
    elseif byte(self.text, self.at) ~= QUOTE then
        syntax(self, "key must be a string", "EOF while parsing a value")
    end
    return true
end

--- Goes into the object or array that follows.
function reader:open()
    self.at = self.at + 1
end

--- The next key of an object, or nil after its end. `first`: the object was just opened.
---@param first? boolean
---@return string|nil
function reader:next_key(first)
    return has_key(self, first) and self:string() or nil
end

--- Passes over the colon behind a key.
function reader:colon()
    if space(self) ~= COLON then
        syntax(self, "expected `:`", "EOF while parsing an object")
    end
    self.at = self.at + 1
end

--- Whether another item follows in an array, whose end is read. `first`: the array was just opened.
---@param first? boolean
---@return boolean
function reader:next_item(first)
    return has_next(self, first, CLOSE_ARRAY, "expected `,` or `]`", "EOF while parsing a list")
end

-- --- values ----------------------------------------------------------------------------------------------------------

-- Passes over a value that is neither an object nor an array.
local function skip_scalar(self, kind, strict)
    if kind == "string" then
        pass_string(self, strict)
    elseif kind == "number" and strict then
        self:number()
    elseif kind == "number" then
        self.at = number_end(self)
    else
        self:word()
    end
end

--- Passes over a value. Its syntax has to be right and nothing else: a lone surrogate or a number beyond all bounds is
--- no matter, and neither is depth. With a `depth` it is read as strictly as what is kept, and nests no deeper.
---@param depth? integer
function reader:skip(depth)
    local strict, open, count = depth ~= nil, {}, 0
    repeat
        local kind = self:kind()
        local first = kind == "object" or kind == "array"
        if first then
            count = count + 1
            if strict and count > depth then
                self:fail("json.depth", "recursion limit exceeded", self.at)
            end
            open[count] = kind
            self:open()
        else
            skip_scalar(self, kind, strict)
        end
        local more = false
        while count > 0 and not more do
            if open[count] == "array" then
                more = self:next_item(first)
            elseif has_key(self, first) then
                pass_string(self, strict)
                self:colon()
                more = true
            end
            count = more and count or count - 1
            first = false
        end
    until count == 0
end

-- Reads what follows for the message that it is something else. A value with the name of a secret is not shown.
local function describe(self, kind)
    local hidden = core.is_secret_name(field_of(self.path))
    if kind == "array" then
        return "sequence"
    elseif kind == "object" then
        return "map"
    elseif kind == "string" then
        local text = self:string()
        return hidden and "string" or "string " .. core.quote(core.shown_name(text))
    elseif kind == "number" then
        local value, digits = self:number()
        local name = math.type(value) == "integer" and "integer" or "floating point"
        return hidden and name or ("%s `%s`"):format(name, digits)
    end
    local value = self:word()
    return value == nil and "null" or ("boolean `%s`"):format(value)
end

--- Reads a value of a type.
---@param kind_readers demilune.JsonType
---@return any
function reader:read(kind_readers)
    local kind = self:kind()
    local read = kind_readers[kind]
    if not read then
        self:fail("type", ("invalid type: %s, expected %s"):format(describe(self, kind), kind_readers.expected))
    end
    return read(self)
end

--- Makes sure that nothing but white space follows.
function reader:finish()
    if space(self) then
        syntax(self, "trailing characters")
    end
end

return reader
