-- The JSON reader: its grammar, its types and its limits; and what is written.
local json = require "demilune.json"
local json_type = require "demilune.json_type"

local text, number, boolean = json_type.string, json_type.number, json_type.boolean
local list, map, either = json_type.list, json_type.map, json_type.either

-- Any value, with objects and arrays inside it.
local any = { expected = "anything", string = text.string, number = number.number, boolean = boolean.boolean,
    null = boolean.boolean }
any.array, any.object = list(any).array, map(any).object

-- Any value, passed over as that of an unknown field is.
local passed = {}
for _, kind in ipairs { "string", "number", "boolean", "null", "array", "object" } do
    passed[kind] = function(r)
        r:skip()
        return true
    end
end

local function decode(given, type)
    local read, failure = json.decode(given, type or any)
    if not read then
        return nil, failure
    end
    return read.value
end

local function refused(given, message, type)
    local read, failure = json.decode(given, type or any)
    assert.is_nil(read, ("%q is accepted"):format(given))
    assert.equal(message, failure.message)
    return failure
end

describe("JSON that is read", function()
    it("is what RFC 8259 has, and nothing else", function()
        for given, value in pairs {
            ["true"] = true, ["false"] = false, [" \t\r\n1 \t\r\n"] = 1, ["0"] = 0, ["-1"] = -1, ["1.5"] = 1.5,
            ["1e2"] = 100.0, ["1E+2"] = 100.0, ["15e-1"] = 1.5, ["-0.25"] = -0.25, ['""'] = "", ['"a\127b"'] = "a\127b",
            ['"\u{e9}\u{1f600}"'] = "\u{e9}\u{1f600}", ["[]"] = {}, ["{}"] = {}, ["[ [ ] , { } ]"] = { {}, {} },
            ['{"a":{"b":[1,"x",true]},"c":0}'] = { a = { b = { 1, "x", true } }, c = 0 },
            ['{"":{" ":""}}'] = { [""] = { [" "] = "" } },
        } do
            assert.same(value, decode(given), given)
            assert.is_true(decode(given, passed), given)
        end
        for _, given in ipairs {
            "", " ", "nul", "nulll", "tru", "True", "TRUE", "'a'", "a", "+1", "01", "-01", "00", "1.", ".5", "-", "-.5",
            "1e", "1e+", "1.e1", "0x10", "1_0", "NaN", "Infinity", "-Infinity", "1 2", "[1 2]", "[1,]", "[,1]", "[,]",
            "[", "]", "[1", "[1,", "[1}", "{", "}", "{]", '{"a"}', '{"a":}', '{"a":1', '{"a":1,', '{"a":1,}', "{,}",
            '{"a" 1}', "{a:1}", "{'a':1}", "{1:1}", '{"a":1 "b":2}', '{"a":1;"b":2}', '{"a"=1}', '"', '"a', '"\\', '"\\"',
            '"\\x"', '"\\u"', '"\\u12"', '"\\u12g4"', '"\\U0041"', '"\n"', '"\t"', '"\0"', '"\31"', "[1]x", "{}{}", "1,",
            "// x\n1", "1 // x", "/* x */1", "1/**/", "#\n1", "\u{feff}1", "1\0", "\0001", "\f1", "1\v", "\u{a0}1",
            "[1,\n\n2,]", "undefined", "(1)", "<!-- -->", "[true,fals]", "\"\\'\"", '"\\\n"', '"\\ "', "--1", "1-", "1.5.5",
        } do
            assert.is_nil(decode(given), ("%q is accepted"):format(given))
            assert.is_nil(decode(given, passed), ("%q is passed over"):format(given))
        end
    end)

    it("keeps integers apart from floats, whatever cjson does", function()
        for given, kind in pairs {
            ["0"] = "integer", ["-7"] = "integer", ["9223372036854775807"] = "integer",
            ["-9223372036854775808"] = "integer", ["9223372036854775808"] = "float", ["1.0"] = "float", ["1e1"] = "float",
            ["-0"] = "float",
        } do
            assert.equal(kind, math.type(decode(given)), given)
        end
        assert.equal(-math.huge, 1 / decode "-0")
        assert.equal(0.1, decode "0.1")
        assert.equal(1.7976931348623157e308, decode "1.7976931348623157e308")
        assert.equal(0.0, decode "1e-99999")
        for _, given in ipairs { "1e999", "-1e999", "1e99999999999999999999" } do
            refused(given, ("number out of range at line 1 column %d"):format(#given))
            assert.is_true(decode(given, passed))
        end
    end)

    it("has every escape, and halves of a surrogate pair only together", function()
        assert.equal('"\\/\b\f\n\r\t', decode [["\"\\\/\b\f\n\r\t"]])
        assert.equal("A\u{e9}\u{fffd}\u{20ac}\0b", decode [["\u0041\u00e9\uFFFD\u20aC\u0000b"]])
        assert.equal("\u{1f600}\u{10ffff}\u{10000}", decode [["\ud83d\uDE00\udbff\udfff\uD800\uDC00"]])
        assert.equal("\\u0041", decode [["\\u0041"]])
        assert.equal("a\\\\\"" .. ("x"):rep(70000), decode('"a\\\\\\\\\\"' .. ("x"):rep(70000) .. '"'))
        for _, half in ipairs {
            [["\ud800"]], [["\udc00"]], [["\ud800x"]], [["\ud800\n"]], [["\ud800\ud800"]], [["\ud800\u0041"]],
            [["\udc00\ud800"]], [["a\udfff"]], [["\ud800\\udc00"]], [["\uDBFF"]],
        } do
            assert.is_nil(decode(half), half)
            assert.is_nil(decode("{" .. half .. ":1}"), half)
            assert.is_true(decode(half, passed), half)
            assert.is_true(decode("{" .. half .. ":[" .. half .. "]}", passed), half)
        end
        refused([["\ud8"]], "invalid escape at line 1 column 6")
        assert.is_nil(decode([["\ud8"]], passed))
    end)

    it("is UTF-8", function()
        for _, bytes in ipairs { "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff" } do
            local failure = refused('{"x":\n"' .. bytes .. '"}', "invalid UTF-8 at line 2 column 2")
            assert.equal("json.utf8", failure.code)
            assert.is_nil(decode('"' .. bytes .. '"', passed))
        end
    end)

    it("names each key once, however it is spelt", function()
        local failure = refused([[{"a":{"xy":1,"x\u0079":}}]], "duplicate field `xy` at line 1 column 22")
        refused([[{"a":{"\u001b[2J":1,"\u001b[2J":}}]], [[duplicate field `\x1b[2J` at line 1 column 31]])
        assert.same({ "field.duplicate", "a.xy" }, { failure.code, failure.field })
        assert.is_true(decode([[{"a":1,"a":2,"\u0061":3}]], passed))
    end)

    it("is an error at its first fault, with its line, its column in bytes and its field", function()
        for _, case in ipairs {
            { "", "EOF while parsing a value at line 1 column 0", "" },
            { "[1,\n 2,\n x]", "expected value at line 3 column 2", "[3]" },
            { '{"\u{e9}": x, y}', "expected value at line 1 column 8", "\u{e9}" },
            { '{"a": [1, {"b": "\1"}, x]}', "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 17",
                "a[2].b" },
            { "[1\n]\n\n,", "trailing characters at line 4 column 1", "" },
            { "[01, x]", "invalid number at line 1 column 3", "[1]" },
            { '{"a":1,"b" x', "expected `:` at line 1 column 12", "" },
            { "[1;2]", "expected `,` or `]` at line 1 column 3", "" },
            { '{"a":[]', "EOF while parsing an object at line 1 column 7", "" },
            { "[1,]", "trailing comma at line 1 column 4", "" },
        } do
            assert.equal(case[3], refused(case[1], case[2]).field)
        end
    end)

    it("is never coerced", function()
        local values = { string = '"1"', number = "1", boolean = "true", null = "null", array = "[]", object = "{}" }
        for kind, type in pairs { string = text, number = number, boolean = boolean, array = list(text), object = map(text) } do
            for other, given in pairs(values) do
                assert.equal(other == kind, decode(given, type) ~= nil, kind .. " and " .. given)
            end
        end
        assert.equal("type", refused("1", "invalid type: integer `1`, expected a string at line 1 column 1", text).code)
        refused('"\\u0074\\n"', 'invalid type: string "t\\n", expected a boolean at line 1 column 10', boolean)
        refused("[x", "invalid type: sequence, expected a string or a map at line 1 column 0",
            either("a string or a map", text, map(text)))
    end)

    it("can be a struct: an object of its fields, or an array of exactly their number", function()
        local pair = json_type.struct("Pair", { { name = "a", type = number, required = true },
            { name = "b", type = json_type.optional(number) } }, { { name = "c", type = text } })
        assert.same({ a = 1, b = 2, c = "x" }, decode('{"c":"x","b":2,"a":1}', pair))
        assert.same({ a = 1 }, decode('{"a":1,"b":null}', pair))
        assert.same({ a = 1, b = 2 }, decode("[1,2]", pair))
        assert.same({ a = 1 }, decode("[1,null]", pair))
        assert.same({ a = 1 }, decode("[1]", pair))
        refused("[]", "invalid length 0, expected struct Pair with 2 elements at line 1 column 2", pair)
        refused('[1,2,"x"]', "trailing characters at line 1 column 6", pair)
        refused("[1,2,]", "trailing comma at line 1 column 6", pair)
        refused('{"b":1}', "missing field `a` at line 1 column 7", pair)
        refused('{"b":null,"a":1,"b":', "duplicate field `b` at line 1 column 19", pair)
        refused("5", "invalid type: integer `5`, expected struct Pair at line 1 column 1", pair)
        local read = assert(json.decode('{"x":[{}],\n"a":1,"x":2,\n"":[]}', pair))
        assert.same({ { "x", 1 }, { "x", 2 }, { "", 3 } }, { { read.unknown[1].field, read.unknown[1].line },
            { read.unknown[2].field, read.unknown[2].line }, { read.unknown[3].field, read.unknown[3].line } })
    end)

    it("nests as deep as it likes where it is passed over, in linear time", function()
        local function seconds(levels)
            local given = ("["):rep(levels) .. ("]"):rep(levels)
            local start = os.clock()
            assert.is_true(decode(given, passed))
            return os.clock() - start
        end
        seconds(1000)
        local few, many = seconds(100000), seconds(400000)
        assert(many < 10 * few + 0.05, ("%g s for 100000 levels, %g s for 400000"):format(few, many))
        assert.is_true(decode(('{"a":'):rep(400000) .. "1" .. ("}"):rep(400000), passed))
        assert.is_true(decode(('[{"a":'):rep(200000) .. "1" .. ("}]"):rep(200000), passed))
        refused(("["):rep(400000), "EOF while parsing a list at line 1 column 400000", passed)
        refused(("["):rep(400000) .. ("]"):rep(399999) .. "}", "expected `,` or `]` at line 1 column 800000", passed)
    end)

    it("does not depend on what the host program does to its cjson", function()
        local cjson, names = require "cjson", { "demilune.json", "demilune.json_reader", "demilune.json_type" }
        local real, loaded = cjson.decode, {}
        for _, name in ipairs(names) do
            loaded[name], package.loaded[name] = package.loaded[name], nil
        end
        cjson.decode_max_depth(1)
        cjson.decode_invalid_numbers(true)
        cjson.decode = function() error "the host program's own" end
        local types = require "demilune.json_type"
        local read = { pcall(require("demilune.json").decode, [==[["\u0061\n"]]==], types.list(types.string)) }
        local invalid = require("demilune.json").decode("NaN", types.number)
        cjson.decode = real
        cjson.decode_max_depth(1000)
        cjson.decode_invalid_numbers(false)
        for _, name in ipairs(names) do
            package.loaded[name] = loaded[name]
        end
        assert.is_true(read[1], read[2])
        assert.same({ "a\n" }, read[2].value)
        assert.is_nil(invalid)
    end)

    it("raises what is no fault of the text", function()
        assert.error_matches(function()
            json.decode("1", { number = function() error "mine" end })
        end, "mine")
    end)
end)

describe("JSON that is written", function()
    it("escapes what has to be escaped and nothing else", function()
        local all = {}
        for code = 0, 127 do
            all[#all + 1] = string.char(code)
        end
        local written = json.encode(table.concat(all) .. "\u{e9}\u{2028}\u{1f600}")
        assert.equal([["\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010\u0011\u0012]]
            .. [[\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f !\"#$%&'()*+,-./0123456789]]
            .. [[:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~]]
            .. "\127\u{e9}\u{2028}\u{1f600}\"", written)
        assert.equal([["\\/\\u007f\\\\/"]], json.encode [[\/\u007f\\/]])
    end)

    it("shown to people has no control of C1 or of direction in it, and is read as the same", function()
        local hidden, plain = "", "\u{9f}\u{a0}\u{e9}\u{2029}\u{202f}\u{2065}\u{206a}\u{1f600}"
        for _, range in ipairs { { 0x7f, 0x9f }, { 0x202a, 0x202e }, { 0x2066, 0x2069 } } do
            for code = range[1], range[2] do
                hidden = hidden .. utf8.char(code)
            end
        end
        local shown = json.shown { [hidden] = { hidden, plain } }
        assert.equal(42 * 2 + 1, select(2, shown:gsub("\\u%x%x%x%x", "")))
        assert.equal(plain:sub(3), decode(json.shown { plain:sub(3) })[1])
        assert.truthy(shown:find(plain:sub(3), 1, true)) -- the rest stays as it is
        for _, code in utf8.codes(shown) do
            assert(not (code >= 0x7f and code <= 0x9f or code >= 0x202a and code <= 0x202e or code >= 0x2066 and code <= 0x2069))
        end
        assert.same({ [hidden] = { hidden, plain } }, decode(shown))
        assert.equal('"' .. hidden .. '"', json.encode(hidden)) -- the ancestor's format stays as it is
    end)

    it("is read as what it was", function()
        for _, value in ipairs {
            { a = { 1, 2, { b = "x" } }, [""] = true }, { 0.1, 1 / 3, 1e300, -2.5e-7, 5e-324, 123456789012345 },
            { math.maxinteger, math.mininteger }, "\\u0041\\\\u0041\\/", { { {} } },
        } do
            assert.same(value, decode(json.encode(value)))
        end
        assert.equal('{"a":[],"b":null}', (json.encode({ a = {}, b = 1 }):gsub("1", "null")))
        assert.equal("null", json.encode(nil))
    end)

    local function long_keys(prefix, count, value)
        local object = {}
        for i = 1, count do
            object[prefix .. ("%04d"):format(i) .. ("x"):rep(60)] = value
        end
        return object
    end

    it("is not led astray by what changes a table meanwhile", function()
        local object = long_keys("k", 100, true)
        local expected = json.encode(object)
        local before = debug.getmetatable(true)
        finally(function() debug.setmetatable(true, before) end)
        local other
        debug.setmetatable(true, { __tostring = function()
            for key in next, object do
                object[key] = nil
            end
            collectgarbage()
            other = long_keys("o", 1000, 1)
            return "true"
        end })
        local written = json.encode(object)
        debug.setmetatable(true, before)
        assert.truthy(other)
        assert.equal(expected:gsub(":true", ":null"):gsub("null", "true", 1), written)

        local grown, left = long_keys("k", 500, 1), 3
        local function arm()
            setmetatable({}, { __gc = function()
                for key in next, long_keys("new" .. left, 1000, 1) do
                    grown[key] = 1
                end
                left = left - 1
                return left > 0 and arm()
            end })
        end
        arm()
        for _ = 1, 1000 do
            if left > 0 then
                json.encode { grown, ("b"):rep(10000) }
            end
        end
        assert.equal(0, left)
    end)

    it("has bytes that are no text as base64", function()
        assert.equal('{"a_base64":"/w=="}', json.encode { a = "\xff" })
        assert.equal('[{"base64":"gIE="},"b"]', json.encode { "\x80\x81", "b" })
    end)

    it("reads base64 strictly", function()
        local core = require "demilune.core"
        for length = 0, 20 do
            local bytes = ("\0\xff\x80az"):rep(4):sub(1, length)
            assert.equal(bytes, core.from_base64(core.base64(bytes)))
        end
        assert.equal("Zm9vYmE=", core.base64 "fooba")
        for _, line in ipairs { "a", "ab", "abc", "ab==cdef", "a===", "====", "ab=c", "abc!", "Zm9=", "Zn==", "YQ==\n",
            " YQ==", "YQ=a", "\0\0\0\0" } do
            assert.is_nil(core.from_base64(line), line)
        end
    end)
end)
