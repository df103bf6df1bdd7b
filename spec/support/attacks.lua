-- What hostile policy code tries. A case: code, and what comes of it: text of the error, nil for none, false for either.
local attacks = {}

local time = "the policy runs longer than 200 ms"
local memory = "the policy needs more than 8 MiB"

-- On the limits, each with its name.
attacks.limits = {
    { "while", "while true do end", time },
    { "goto", "::a:: goto a", time },
    { "for", "for i = 1, math.maxinteger do end", time },
    { "pcall of a loop for ever", "while true do pcall(function() while true do end end) end", time },
    { "pcall of a loop, twice", [[
        pcall(pcall, function() while true do end end) while true do end]], time },
    { "pcall that outlives the time", "pcall(function() while true do end end) return {}", time },
    { "recursion of pcall", "local function f() pcall(f) f() end f()", "" },
    { "close of a value", "local x <close> = {} return {}", "non-closable value" },
    { "rep", "return { ('x'):rep(1e9 // 1 | 0) }", "longer than 64 KiB" },
    { "rep of much", "return { ('x'):rep(60000):rep(2) }", "longer than 64 KiB" },
    { "rep with a separator", "return { (''):rep(1 << 40, 'x') }", "longer than 64 KiB" },
    { "rep that overflows", "return { ('xx'):rep(math.maxinteger) }", "longer than 64 KiB" },
    { "doubling a string", "local s = 'x' while true do s = s .. s end", memory },
    { "memory caught by pcall", [[
        while true do pcall(function() local s = 'x' while true do s = s .. s end end) end]], memory },
    { "a growing table", "local t = {} for i = 1, 1e9 do t[i] = { i } end", memory },
    { "many strings", "local t = {} for i = 1, 1e9 do t[#t % 9000 + 1] = { ('x'):rep(60000) } end", "" },
    { "recursion", "local function f() return 1 + f() end f()", memory },
    { "recursion through pcall", "local function f() return pcall(f) end error(select(2, f()))", "" },
    { "find of a long needle", [[
        local s = ('a'):rep(65536) local n = ('a'):rep(30000) .. 'b' while true do s:find(n) end]], time },
    { "find in a longer subject", [[
        local s = ('a'):rep(60000) s = s .. s s:find('b')]], "longer than 64 KiB" },
    { "find with a longer needle", [[
        local s = ('a'):rep(60000) string.find('a', s .. s)]], "longer than 64 KiB" },
    { "split", "local s = (','):rep(65536) while true do s:split(',') end", "" },
    { "split of more", "local s = (','):rep(65536) .. ',' s:split(',')", "longer than 64 KiB" },
    { "table.insert up to 2^61", [[
        local t = {} for i = 0, 61 do t[1 << i] = true end t[5] = true table.insert(t, 1, 5)]],
        "the list is too long" },
    { "table.remove up to 2^61", [[
        local t = {} for i = 0, 61 do t[1 << i] = true end t[5] = true table.remove(t, 1)]],
        "the list is too long" },
    { "table.sort up to 2^61", [[
        local t = {} for i = 0, 61 do t[1 << i] = 1 end t[5] = 1 table.sort(t)]], "the list is too long" },
    { "table.concat up to 2^61", [[
        local t = {} for i = 0, 61 do t[1 << i] = 'x' end t[5] = 'x' table.concat(t)]], "invalid value (nil)" },
    { "table.concat up to 1e15", "table.concat({}, '', 1, 10^15 // 1 | 0)", "invalid value (nil)" },
    { "table.concat of facts", "table.concat(host, '', 1, 10^15 // 1 | 0)", "invalid value (nil)" },
    { "table.unpack up to 2^61", "table.unpack({}, 1, 1 << 61)", "too many results" },
    { "table.unpack of much", "while true do select('#', table.unpack({}, 1, 60000)) end", "" },
    { "table.unpack up to 1e6", "table.unpack({}, 1, 999999)", "" },
    { "table.insert in front", [[
        local t = {} for i = 1, 60000 do t[i] = i end
        while true do table.insert(t, 1, 1) table.remove(t, 1) end]], time },
    { "table.sort again and again", [[
        local t = {} for i = 1, 60000 do t[i] = i * 7919 % 60013 end
        while true do table.sort(t) table.sort(t, function(a, b) return a > b end) end]], time },
    { "table.sort of long strings", [[
        local s = ('\0'):rep(65536) s = s .. s s = s .. s local t = {} for i = 1, 60000 do t[i] = s end
        table.sort(t)]], time },
    { "table.sort with a C function", [[
        local s = ('a'):rep(65536) local t = {} for i = 1, 60000 do t[i] = s end
        while true do pcall(table.sort, t, string.starts_with) end]], time },
    { "comparing long strings", [[
        local s = ('\0'):rep(65536) s = s .. s s = s .. s s = s .. s local a, b = s .. 'a', s .. 'b'
        while true do local x = a < b x = a < b x = a < b x = a < b x = a < b end]], time },
    { "upper of long strings", [[
        local s = ('a'):rep(65536) s = s .. s s = s .. s while true do s:upper():lower():reverse() end]], time },
    { "byte of a long string", "local s = ('a'):rep(65536) while true do s:byte(1, -1) end", "" },
    { "format with many items", [[
        local f = ('%d'):rep(10000) local t = {} for i = 1, 10000 do t[i] = i end while true do
        f:format(table.unpack(t)) end]], time },
    { "format with a width", "return { ('%99999d'):format(1) }", "invalid conversion" },
    { "format of much", [[
        local s = ('x'):rep(65536) local f = ('%s'):rep(20000) local t = {}
        for i = 1, 20000 do t[i] = s end f:format(table.unpack(t))]], memory },
    { "concat of much", [[
        local s = ('x'):rep(65536) local t = {} for i = 1, 60000 do t[i] = s end table.concat(t)]], memory },
    { "next over emptied tables", [[
        local t = {} for i = 1, 60000 do t[i] = i end for i = 1, 60000 do t[i] = nil end
        while true do next(t) end]], time },
    { "keys that collide", "local t = {} for k = 1, 65537 do t[k * 131071] = true end", memory },
    { "keys that collide in the largest table", [[
        local t = {} for k = 1, 16385 do t[k * 32767] = true end]], false },
    { "tonumber of long strings", [[
        local s = ('9'):rep(65536) while true do tonumber(s) tonumber(s, 10) tonumber('0x.' .. s) end]], time },
    { "utf8 of long strings", [[
        local s = ('\x80'):rep(65536)
        while true do utf8.len(s, 1, -1, true) utf8.offset(s, 5, 1 << 15) end]], "" },
    { "utf8.codepoint of much", [[
        local s = ('a'):rep(65536) while true do utf8.codepoint(s, 1, -1) end]], "" },
    { "utf8.char of much", [[
        local t = {} for i = 1, 10000 do t[i] = 65536 end while true do utf8.char(table.unpack(t)) end]], time },
    { "utf8.codes", "local s = ('a'):rep(65536) while true do for _ in utf8.codes(s) do end end", time },
    { "select of much", [[
        local t = {} for i = 1, 10000 do t[i] = i end while true do select(-1, table.unpack(t)) end]], time },
    { "includes for ever", "while true do pcall(include, 'x') end", "" },
    { "print for ever", "while true do print('x') end", time },
    { "errors for ever", "while true do pcall(error, {}) end", time },
    { "host string methods", "return { ('').gsub or 1, rawequal(('').sub, string.sub) }", false },
}

-- By the text of a policy file, before anything of it runs.
attacks.texts = {
    { "bytecode", string.dump(function() end), "attempt to load a binary chunk (mode is 't')" },
    { "nested parentheses", "return " .. ("("):rep(100000), "C stack overflow" },
    { "nested tables in the text", "return " .. ("{"):rep(100000), "C stack overflow" },
    { "labels", "do " .. (function()
        local t = {}
        for i = 1, 13000 do t[i] = "goto a" .. i .. " ::a" .. i .. "::" end
        return table.concat(t, " "):sub(1, 250000)
    end)(), "" },
    { "gotos that wait for one label", ("goto a "):rep(32000) .. "::a::", "" },
    { "source of more than 256 KiB", "return {} --" .. ("x"):rep(256 * 1024), "is too large; a policy has at most" },
}

-- By the name that is tried. Every name that a policy can say has to be here.
attacks.names = {
    -- base
    assert = { { "assert(false, ('\27[2J'):rep(16000))", [[\x1b[2J]] }, { "assert(nil, {})", "raised a table value" },
        { "assert()", "value expected" }, { "assert(false, 'a\0b')", "a" } },
    error = { { "error(('\27]52;c;\7'):rep(8000))", [[\x1b]52;c;\x07]] }, { "error('x', math.maxinteger)", "x" },
        { "error('x', math.mininteger)", "x" }, { "error('a\\nb\u{202e}')", [[a\nb\xe2\x80\xae]] },
        { "error()", "raised a nil value" }, { "error(error)", "raised a function value" },
        { "error { __tostring = function() while true do end end }", "raised a table value" },
        { "error(setmetatable({}, { __tostring = function() while true do end end }))", "`setmetatable` is not defined" } },
    include = { { "include(('x'):rep(65536))", "not a name" }, { "include('../policy')", "without a path" },
        { "include('/etc/passwd')", "without a path" }, { "include('a/b')", "without a path" }, { "include('')", "without a path" },
        { "include('policy\0')", "not a name" }, { "include({})", "string expected" }, { "include('%s%d')", "without a path" },
        { "include('\27[2J')", [[include "\x1b[2J"]] }, { "include('policy')", false },
        { "for i = 1, 300 do pcall(include, 'x' .. i) end include('y')", "more than 256 questions" },
        { "table.sort({ 'a', 'b', 'c' }, include)", "is neither beside the policy nor a preset" } },
    ipairs = { { "local t = {} for i = 0, 61 do t[1 << i] = 1 end local n = 0 for _ in ipairs(t) do n = n + 1 end "
        .. "if n ~= 2 then error(n) end", nil },
        { "ipairs()", "expected" }, { "local t = {} for i, v in ipairs(t) do t[i + 1] = v end t[1] = 1 "
        .. "for i, v in ipairs(t) do t[i + 1] = v end", "" } },
    next = { { "next({}, 'x')", "" }, { "next({}, 0 / 0)", "" }, { "next()", "table expected" }, { "next(host, 'x')", "" },
        { "local t = { 1, 2, 3 } for k in next, t do t[k] = nil end", nil } },
    pairs = { { "pairs()", "expected" }, { "local n = 0 for k in pairs(_ENV) do n = n + 1 end", nil },
        { "for k in pairs(host) do host[k] = nil end", "read-only" },
        { "local f = pairs(host) f({}, {})", "" }, { "local f = pairs(string) f(nil, 'upper') f(nil, 'nothing')", "" } },
    pcall = { { "pcall()", "value expected" }, { "pcall(pcall, pcall, pcall, error)", nil },
        { "local f = pcall for _ = 1, 1000 do local g = f f = function() return pcall(g) end end f(error)", false },
        { "pcall(error, ('x'):rep(65536)) pcall(include, 'x') pcall(print)", nil },
        { "while true do pcall(pcall, pcall, error) end", "longer than" } },
    print = { { "local s = ('\27'):rep(65536) print(s, s, s, s)", nil }, { "print(table.unpack({}, 1, 30000))", nil },
        { "for _ = 1, 1000 do print('\\r\27[2J\u{9b}') end", nil }, { "table.sort({ 1, 2, 3, 4 }, print)", nil },
        { "print(print, {}, host, string)", nil } },
    rawequal = { { "rawequal()", "value expected" }, { "rawequal(host, host)", nil } },
    rawlen = { { "rawlen(5)", "table or string expected" }, { "rawlen(host) rawlen(('x'):rep(65536))", nil } },
    select = { { "select(math.mininteger)", "out of range" }, { "select(math.maxinteger, 1)", nil }, { "select(0)", "out of range" },
        { "select(1.5)", "no integer representation" }, { "select(2, table.unpack({}, 1, 30000))", nil } },
    tonumber = { { "local s = ('9'):rep(65536) s = s .. s .. s .. s tonumber(s) tonumber(s, 36) tonumber('0x' .. s) "
        .. "tonumber(s .. 'e9')", nil }, { "tonumber('1e' .. ('9'):rep(65536)) tonumber('0x1p' .. ('9'):rep(65536))", nil },
        { "tonumber('z', math.maxinteger)", "base out of range" }, { "tonumber((' '):rep(65536) .. '1')", nil }, { "tonumber()", "" },
        { "tonumber('1' .. ('\0'):rep(60000))", nil } },
    tostring = { { "if (tostring {} .. tostring(print) .. tostring(host)):find('0x', 1, true) then error 'an address' end", nil },
        { "tostring()", "value expected" } },
    type = { { "type()", "value expected" }, { "type(host)", nil } },

    -- string
    ["string.byte"] = { { "('x'):rep(65536):byte(1, -1)", "" }, { "string.byte('x', math.mininteger, math.maxinteger)", nil },
        { "local s = ('x'):rep(65536) s = s:rep(1) .. s s:byte(1, 131072)", "" } },
    ["string.char"] = { { "string.char(-1)", "out of range" }, { "string.char(256)", "out of range" },
        { "string.char(table.unpack({}, 1, 6000))", "number expected" } },
    ["string.ends_with"] = { { "('x'):rep(65536):ends_with(('x'):rep(65536))", nil }, { "('x'):ends_with(('x'):rep(65536))", nil },
        { "string.ends_with(nil, 'x')", "string expected" }, { "(''):ends_with({})", "string expected" } },
    ["string.find"] = { { "('a'):rep(3000):find(('.-'):rep(20) .. 'b')", "patterns are not to be had here" },
        { "('a'):rep(65536):find(('a'):rep(32768) .. 'b', 1, true)", nil }, { "('x'):find('x', math.mininteger, true)", nil },
        { "('x'):find('x', math.maxinteger, true)", nil }, { "(''):find('', 2, true)", nil },
        { "('ab'):rep(32768):find(('ab'):rep(16000) .. 'b', 1, true)", nil }, { "('x'):find(utf8.charpattern)", "patterns" } },
    ["string.format"] = { { "('%p'):format({})", "`%p` is not to be had here" }, { "('%99999d'):format(1)", "" },
        { "('%99.99f'):format(1e308)", nil }, { "('%s'):format()", "" }, { "('%'):format()", "" }, { "('%1$s'):format('x')", "" },
        { "('%n'):format(1)", "" }, { "('%ls'):format({})", "" }, { "('%q'):format({})", "no literal form" },
        { "('%q'):format(('\0'):rep(65536)); ('%a'):format(2^1023); ('%c'):format(0)", nil },
        { "local s = ('%-99.99s'):rep(600):format(table.unpack({}, 1, 600))", nil }, { "('%d'):format(0.5)", "" },
        { "if ('%s %s'):format({}, print):find('0x', 1, true) then error 'an address' end", nil } },
    ["string.len"] = { { "string.len()", "string expected" }, { "('x'):rep(65536):len()", nil } },
    ["string.lower"] = { { "local s = ('X'):rep(65536) s = s .. s .. s s:lower()", nil }, { "string.lower({})", "string expected" } },
    ["string.upper"] = { { "local s = ('x'):rep(65536) s = s .. s .. s s:upper()", nil }, { "string.upper({})", "string expected" } },
    ["string.rep"] = { { "(''):rep(math.maxinteger)", nil }, { "(''):rep(1e18 // 1 | 0, '')", nil }, { "('x'):rep(1e9 // 1 | 0)",
        "longer than 64 KiB" }, { "('x'):rep(1, ('y'):rep(65536))", "longer than 64 KiB" }, { "('x'):rep(math.mininteger)", nil },
        { "('x'):rep(1.5)", "no integer representation" }, { "('x'):rep('65536')", nil }, { "('x'):rep(65537)", "longer than 64 KiB" } },
    ["string.reverse"] = { { "local s = ('x'):rep(65536) s = s .. s .. s s:reverse()", nil } },
    ["string.split"] = { { "(','):rep(65536):split(',')", "more than 8 MiB" }, { "('x'):split('')", "the separator is empty" },
        { "('ab'):rep(32768):split(('ab'):rep(16000) .. 'b')", nil }, { "local s = ('x'):rep(65536) s = s .. s s:split('x')",
        "longer than 64 KiB" }, { "('\0\0\0'):split('\0')", nil } },
    ["string.starts_with"] = { { "('x'):rep(65536):starts_with(('x'):rep(65536))", nil }, { "('x'):starts_with()", "string expected" },
        { "('x'):starts_with(('x'):rep(65536))", nil } },
    ["string.sub"] = { { "('x'):rep(65536):sub(math.mininteger, math.maxinteger)", nil }, { "('x'):sub(math.maxinteger, math.mininteger)",
        nil } },

    -- table
    ["table.concat"] = { { "table.concat({}, '', 1, math.maxinteger)", "invalid value (nil)" },
        { "table.concat({}, '', math.mininteger, math.maxinteger)", "invalid value (nil)" },
        { "table.concat({ 'x' }, ('x'):rep(65536), math.maxinteger, math.maxinteger)", "invalid value (nil)" },
        { "local t = {} for i = 1, 60000 do t[i] = '' end table.concat(t, ('x'):rep(65536))", "more than 8 MiB" },
        { "table.concat(host, '', 1, math.maxinteger)", "invalid value (nil)" }, { "table.concat({ {} })", "invalid value (table)" } },
    ["table.insert"] = { { "table.insert({}, math.maxinteger, 1)", "out of bounds" }, { "table.insert({}, math.mininteger, 1)",
        "out of bounds" }, { "table.insert(host, 1)", "" }, { "table.insert(string, 'x', 1)", "" },
        { "local t = {} for i = 0, 61 do t[1 << i] = 1 end t[5] = 1 table.insert(t, 1, 1)", "the list is too long" },
        { "local t = {} for i = 1, 60000 do t[i] = i end for i = 1, 5 do table.insert(t, 1, 0) end", nil } },
    ["table.pack"] = { { "table.pack(table.unpack({}, 1, 30000))", nil }, { "while true do table.pack(table.unpack({}, 1, 60000)) end",
        "" } },
    ["table.remove"] = { { "table.remove({}, math.maxinteger)", "out of bounds" }, { "table.remove({ 1, 2 }, math.mininteger)",
        "out of bounds" }, { "table.remove(host)", "read-only" }, { "table.remove(math, 1)", "" },
        { "local t = {} for i = 0, 61 do t[1 << i] = 1 end t[5] = 1 table.remove(t, 1)", "the list is too long" } },
    ["table.sort"] = {
        { "local t = {} for i = 1, 5000 do t[i] = i end table.sort(t, function() return true end)", "invalid order function" },
        { "local t = {} for i = 1, 5000 do t[i] = i * 7919 % 5003 end table.sort(t, function(a, b) return (a ~ b) % 3 == 1 end)", false },
        { "local t = { 3, 2, 1, 5, 4 } table.sort(t, function(a, b) t[1], t[2], t[3] = nil return a < b end)", "" },
        { "local t = { 3, 2, 1 } table.sort(t, function(a, b) table.sort(t) t[#t + 1] = 1 return a < b end)", false },
        { "table.sort({ 1, 'x', {} })", "attempt to compare" }, { "table.sort({ 2, 1 }, function() while true do end end)", "longer than" },
        { "table.sort({ 2, 1, 3 }, error)", "" }, { "table.sort({ 2, 1 }, 5)", "function expected" },
        { "table.sort({ 2, 1, 3 }, pcall)", false }, { "table.sort(host)", nil },
        { "local function f() table.sort({ 2, 1 }, f) end f()", "" } },
    ["table.unpack"] = { { "table.unpack({}, 1, math.maxinteger)", "too many results" },
        { "table.unpack({}, math.mininteger, math.maxinteger)", "too many results" }, { "table.unpack({}, 1, 999999)", "" },
        { "table.unpack({}, math.maxinteger - 1, math.maxinteger)", nil }, { "table.unpack(host, 1, 100)", nil } },

    -- what hooks get, besides: policy, process, result, context
    ["policy:ro_bind"] = { { "policy:ro_bind(('/a'):rep(30000))", "" }, { "policy:ro_bind('/etc\0/x')", "NUL" },
        { "policy:ro_bind('/\27[2J')", [[\x1b[2J]] }, { "policy:ro_bind('/a/../..')", "" }, { "policy:ro_bind({})", "" },
        { "policy:ro_bind()", "not nil" }, { "policy:ro_bind(5, print)", "" }, { "policy:ro_bind(policy)", "" },
        { "policy.ro_bind(nil, '/x')", "" }, { "policy.ro_bind('/x', '/y')", "" },
        { "policy.ro_binds = {} for i = 0, 61 do policy.ro_binds[1 << i] = '/x' end policy:ro_bind('/y')", "" },
        { "policy.ro_binds = host policy:ro_bind('/x')", "has a metatable" }, { "policy.ro_binds = 'x' policy:ro_bind('/usr/share')", nil },
        { "for i = 1, 1e9 do policy:ro_bind('/usr/share') end", "" } },
    ["policy:rw_bind"] = { { "policy:rw_bind(('/a'):rep(30000), ('/b'):rep(30000))", "" }, { "policy:rw_bind('/proc')", "" },
        { "policy:rw_bind('relative')", "" }, { "policy:rw_bind(0 / 0)", "" }, { "policy:rw_bind('/x', '/y\\n')", "" } },
    ["policy:mask"] = { { "policy:mask('')", "" }, { "policy:mask('/\u{202e}\\r')", nil }, { "policy:mask(1e308)", "" },
        { "policy:mask(context)", "" }, { "policy:mask(context.nothing)", "not nil" } },
    ["policy:set_env"] = { { "policy:set_env()", "" }, { "policy:set_env(0 / 0, 'x')", "" }, { "policy:set_env('A', {})", "" },
        { "policy:set_env('A=B\27', 'x')", [[\x1b]] }, { "policy:set_env(('A'):rep(65536), ('x'):rep(65536))", "at most" },
        { "policy:set_env('A', 'x\0y')", "NUL" }, { "policy.env = string policy:set_env('A', 'x')", "has a metatable" },
        { "policy:set_env({}, 'x')", "" } },
    ["policy:pass_env"] = { { "policy:pass_env()", "" }, { "policy:pass_env('\0')", "NUL" }, { "policy:pass_env(('A'):rep(65536))", nil } },
    ["policy:limit"] = { { "policy:limit('memory', 0 / 0)", "" }, { "policy:limit('memory', ('9'):rep(65536) .. 'T')", "" },
        { "policy:limit('nothing', 1)", "" }, { "policy:limit(nil, 1)", "" }, { "policy:limit('pids', math.mininteger)", "" },
        { "policy:limit('timeout', 1 / 0)", "" }, { "policy:limit('memory', context.env.NOTHING)", "not nil" } },
    ["process:pid"] = { { "process.id = {} process:pid()", nil }, { "process.pid()", "" }, { "process.pid = nil process.id = nil", nil },
        { "process.pid(string)", nil } },
    ["context.host"] = { { "local _ = context.host[('x'):rep(65536)], context.host['\27[2J'], context.host[{}], context.host[0 / 0]", nil },
        { "for i = 1, 300 do local _ = context.host['x' .. i] end", "more than 256 questions" },
        { "context.host.kernel = 'x'", "read-only" }, { "context.host = string context.command = math", nil } },
}

-- Facts and texts: none can be changed, none drives anything.
for _, name in ipairs { "cwd", "home", "policy_dir", "project" } do
    attacks.names[name] = { { name .. " = 'x'", "assignment to global" }, { name .. ":rep(1e9 // 1 | 0)", "longer than 64 KiB" },
        { name .. ":split('')", "the separator is empty" } }
end
for _, name in ipairs { "kernel", "machine", "landlock", "memory", "uid", "gid" } do
    attacks.names["host." .. name] = { { ("host.%s = 1"):format(name), "read-only" }, { ("local _ = host.%s.x.y"):format(name), "" } }
end
for _, name in ipairs { "math.huge", "math.pi", "math.maxinteger", "math.mininteger", "utf8.charpattern" } do
    attacks.names[name] = { { name .. " = 1", "read-only" }, { ("local _ = %s .. {}"):format(name), "attempt to concatenate" } }
end

-- Functions of numbers and texts: each with what is at the edge of what they take, by itself and in pairs.
local edges = "{ 0, -0.0, 1, -1, 0.5, math.huge, -math.huge, 0 / 0, math.maxinteger, math.mininteger, 2^53, 1e308, 5e-324, '9', "
    .. "'', 'x', ('\xff'):rep(65536), {}, print, true, host }"
local sweep = "local edges = %s for _, a in ipairs(edges) do pcall(%s, a) for _, b in ipairs(edges) do pcall(%s, a, b) "
    .. "pcall(%s, a, b, a) end end"
for _, name in ipairs {
    "math.abs", "math.acos", "math.asin", "math.atan", "math.ceil", "math.cos", "math.deg", "math.exp", "math.floor", "math.fmod",
    "math.log", "math.max", "math.min", "math.modf", "math.rad", "math.sin", "math.sqrt", "math.tan", "math.tointeger", "math.type",
    "math.ult", "utf8.char", "utf8.codepoint", "utf8.codes", "utf8.len", "utf8.offset",
} do
    attacks.names[name] = { { sweep:format(edges, name, name, name), nil },
        { ("local t = {} for i = 1, 30000 do t[i] = i end %s(table.unpack(t))"):format(name), false } }
end
for _, case in ipairs {
    { "utf8.char", "utf8.char(-1)", "out of range" }, { "utf8.char", "utf8.char(1 << 31)", "out of range" },
    { "utf8.codepoint", "utf8.codepoint(('a'):rep(65536), 1, -1)", "" },
    { "utf8.codes", "for _ in utf8.codes('\xff') do end", "invalid UTF-8" },
    { "utf8.codes", "for _ in utf8.codes(('\x80'):rep(65536), true) do end", false },
    { "utf8.len", "utf8.len(('\u{7fffffff}'):rep(10000), 1, -1, true)", nil },
    { "utf8.offset", "utf8.offset(('\x80'):rep(65536), 1, 5)", "" },
    { "utf8.offset", "utf8.offset(('\x80'):rep(65536), math.maxinteger)", false },
    { "math.fmod", "math.fmod(1, 0)", "zero" }, { "math.max", "math.max()", "expected" },
    { "math.fmod", "math.fmod(math.mininteger, -1)", nil }, { "math.floor", "math.floor(('9'):rep(65536))", nil },
} do
    table.insert(attacks.names[case[1]], { case[2], case[3] })
end

-- Names that no policy has.
attacks.absent = {
    "coroutine", "xpcall", "setmetatable", "getmetatable", "rawset", "rawget", "debug", "os", "io", "package", "require", "load",
    "loadstring", "loadfile", "dofile", "collectgarbage", "warn", "_G", "table.move", "string.dump", "string.gsub", "string.gmatch",
    "string.match", "string.pack", "string.unpack", "math.random", "math.randomseed",
}

return attacks
