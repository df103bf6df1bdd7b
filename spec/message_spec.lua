-- Texts: quoting what comes from outside, the name that was meant, sizes and durations, the line of a problem.
local core = require "demilune.core"
local explain = require "demilune.explain"
local message = require "demilune.message"

it("The line of a problem drives no terminal, whatever path is in its message", function()
    assert.equal('f: "v" lies below /a\\x1b]52;\\xc2\\x9bx\\n, which is "a\\\\b" [c]', message.problem { field = "f", value = '"v"',
        code = "c", message = 'lies below /a\27]52;\xc2\x9bx\n, which is "a\\\\b"' })
end)

describe("quoting", function()
    local cases = {
        [""] = [[""]],
        ["plain text"] = [["plain text"]],
        ['say "hi"'] = [["say \"hi\""]],
        ["back\\slash"] = [["back\\slash"]],
        ["a\nb\rc\td"] = [["a\nb\rc\td"]],
        ["\0\1\31\127"] = [["\x00\x01\x1f\x7f"]],
        ["\27[31mred\27[0m"] = [["\x1b[31mred\x1b[0m"]],
        ["\27]0;title\7"] = [["\x1b]0;title\x07"]],
        ["\xc2\x9b31m"] = [["\xc2\x9b31m"]], -- CSI as one character
        ["\xc2\x80\xc2\x9f"] = [["\xc2\x80\xc2\x9f"]],
        ["\u{a0}é€\u{1F600}"] = "\"\u{a0}é€\u{1F600}\"",
        ["\u{10FFFF}"] = "\"\u{10FFFF}\"",
        ["a\u{202e}b"] = [["a\xe2\x80\xaeb"]], -- right to left
        ["\u{202a}\u{202d}\u{2066}\u{2069}"] = [["\xe2\x80\xaa\xe2\x80\xad\xe2\x81\xa6\xe2\x81\xa9"]],
        ["\u{200e}\u{200f}"] = [["\xe2\x80\x8e\xe2\x80\x8f"]],
        ["\u{2028}\u{2029}"] = [["\xe2\x80\xa8\xe2\x80\xa9"]], -- other ends of a line
        ["\u{feff}"] = [["\xef\xbb\xbf"]],
        ["\x80"] = [["\x80"]],
        ["\xff\xfe"] = [["\xff\xfe"]],
        ["\xc3"] = [["\xc3"]],
        ["\xc3("] = [["\xc3("]],
        ["\xe2\x82"] = [["\xe2\x82"]],
        ["\xc0\xaf"] = [["\xc0\xaf"]], -- overlong
        ["\xe0\x80\xaf"] = [["\xe0\x80\xaf"]],
        ["\xed\xa0\x80"] = [["\xed\xa0\x80"]], -- a surrogate
        ["\xf4\x90\x80\x80"] = [["\xf4\x90\x80\x80"]], -- above U+10FFFF
        ["\xf8\x88\x80\x80\x80"] = [["\xf8\x88\x80\x80\x80"]],
    }

    it("gives one line that cannot drive a terminal", function()
        for text, expected in pairs(cases) do
            assert.equal(expected, core.quote(text))
        end
        for byte = 0, 255 do
            local quoted = core.quote(string.char(byte))
            assert(not quoted:find "[%c\127-\255]", "byte " .. byte .. " is shown as it is")
        end
    end)

    it("cuts what is long, and never within an escape or a character", function()
        for _, piece in ipairs { "x", "\27", "\n", "é", "€", "\u{1F600}", '"' } do
            for before = 0, 4 do
                local quoted = core.quote(("y"):rep(before) .. piece:rep(1000))
                assert(#quoted <= 511 and #quoted > 490, #quoted)
                local inner = quoted:match '^"(.*)%.%.%."$'
                local escaped = core.quote(piece):sub(2, -2)
                local count = select(2, inner:gsub(escaped:gsub("%p", "%%%0"), ""))
                assert.equal(("y"):rep(before) .. escaped:rep(count), inner)
            end
        end
        assert.equal('"' .. ("x"):rep(500) .. '"', core.quote(("x"):rep(500)))
    end)

    it("without quotes is for texts of a policy", function()
        assert.equal([[say "hi"\n\x1b[0m c:\d]], message.plain 'say "hi"\n\27[0m c:\\d')
    end)
end)

describe("the line of a problem", function()
    local function line(problem)
        problem.code, problem.message = "some.code", "is wrong"
        return message.problem(problem)
    end

    it("has file, line, field, value, message and code", function()
        assert.equal('dir/p-1.lua:12: rw_binds[2].host: "data" is wrong [some.code]',
            line { file = "dir/p-1.lua", line = 12, field = "rw_binds[2].host", value = '"data"' })
        assert.equal("p.lua: is wrong [some.code]", line { file = "p.lua", field = "" })
        assert.equal("network: is wrong [some.code]", line { field = "network" })
        assert.equal('secrets["/a-b.c"]: is wrong [some.code]', line { field = 'secrets["/a-b.c"]' })
        assert.equal("is wrong [some.code]", line { field = "" })
    end)

    it("quotes a file or field that is not plain", function()
        assert.equal([=["a b.lua":3: "env.\x1b[31m": is wrong [some.code]]=],
            line { file = "a b.lua", line = 3, field = "env.\27[31m" })
        assert.equal([=["\nx.lua": is wrong [some.code]]=], line { file = "\nx.lua", field = "" })
        assert.equal([=["secrets[\"/a\nb\"]": is wrong [some.code]]=], line { field = 'secrets["/a\nb"]' })
    end)

    it("is one of several", function()
        local one = { field = "a", code = "x.y", message = "is wrong" }
        assert.equal("a: is wrong [x.y]\na: is wrong [x.y]", message.problems { one, one })
        assert.equal("", message.problems {})
    end)
end)

describe("the nearest name", function()
    it("is within a slip or two, whatever the case and the dashes", function()
        local names = { "network", "nested", "env", "env_allowlist", "ro_binds", "rw_binds", "tty", "tmpfs",
            "user" }
        for word, expected in pairs {
            network = "network", Network = "network", netwrok = "network", netwok = "network",
                nettwork = "network",
            ["ro-binds"] = "ro_binds", RO_BINDS = "ro_binds", ["Ro-Binds"] = "ro_binds", robinds = "ro_binds",
            rwbinds = "rw_binds", ENV = "env", evn = "env", envs = "env", enx = "env",
                env_allow_list = "env_allowlist",
            ttty = "tty", tyt = "tty", usr = "user", tmpf = "tmpfs", nestd = "nested",
            zebra = false, e = false, [""] = false, ["网络"] = false, netzwerk_an = false, ab = false,
        } do
            assert.equal(expected or nil, core.nearest(word, names), word)
        end
        assert.is_nil(core.nearest("x", {}))
        assert.is_nil(core.nearest(("x"):rep(300), names))
    end)

    it("of the same distance is the first", function()
        assert.equal("ab1x", core.nearest("ab3x", { "ab1x", "ab2x" }))
        assert.equal("cat", core.nearest("bat", { "cat", "rat" }))
        assert.equal("rat", core.nearest("bat", { "rat", "cat" }))
    end)
end)

describe("sizes", function()
    it("are digits and one letter, 1024-based", function()
        for text, bytes in pairs {
            ["0"] = 0, ["1"] = 1, ["007"] = 7, ["1K"] = 1024, ["64M"] = 64 << 20, ["2G"] = 2 << 30,
                ["3T"] = 3 << 40,
            ["9223372036854775807"] = math.maxinteger, ["8388607T"] = 8388607 << 40,
        } do
            assert.equal(bytes, core.parse_size(text), text)
        end
        for _, text in ipairs {
            "", "K", "1k", "1KB", "1KK", "1 K", " 1", "1 ", "-1", "+1", "1.5", "1e3", "0x10", "1P", "1\0", "1K\0",
            "9223372036854775808", "18446744073709551616", "99999999999999999999", "16777216T", "8388608T",
                "\u{0661}",
        } do
            assert.is_nil(core.parse_size(text), text)
        end
    end)
end)

describe("durations", function()
    it("are a decimal number and ms, s, m or h", function()
        for text, seconds in pairs {
            ["0"] = 0, ["1"] = 1, ["1.5"] = 1.5, ["30s"] = 30, ["250ms"] = 0.25, ["2m"] = 120, ["1h"] = 3600,
                ["0.5h"] = 1800,
            ["1.s"] = 1,
        } do
            assert.equal(seconds, core.parse_duration(text), text)
        end
        for _, text in ipairs {
            "", "s", ".5", "-1", "+1", "1 s", " 1", "1s ", "1S", "1d", "1ss", "1e3", "1e3s", "0x10", "inf", "nan",
                "1.2.3", "..",
            "1\0", "1s\0", ("9"):rep(40), "1,5",
        } do
            assert.is_nil(core.parse_duration(text), text)
        end
    end)
end)

describe("a word of a command line", function()
    it("is written as a shell would read it", function()
        for word, expected in pairs {
            ["/usr/bin/x-1.2_3=a:b@c%d,e+f"] = "/usr/bin/x-1.2_3=a:b@c%d,e+f", [""] = "''", ["a b"] = "'a b'",
            ["it's"] = [['it'\''s']], ["$HOME"] = "'$HOME'", ["a\nb"] = [[$'a\x0ab']], ["\27[0m"] = [[$'\x1b[0m']],
            ["\255'\\"] = [[$'\xff\x27\x5c']], ["*"] = "'*'", ["~"] = "'~'", ["a;b"] = "'a;b'", ["#"] = "'#'",
        } do
            assert.equal(expected, explain.shell_word(word))
        end
    end)
end)
