-- The rules of the fields as one table of cases: what is accepted, what is refused,
-- with which code and in which words.
local leaks = require "support.leaks"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

local accepted, refused = policies.accepted, policies.refused
local long_name = ("n"):rep(255)
local long_path = ("/" .. ("n"):rep(250)):rep(16) -- 4016 bytes

-- Spellings of an absolute path: the code and the words of those that are refused, and how the others are written.
local paths = {
    { "", "path.empty", '"" is empty; write an absolute path' },
    { "a", "path.relative", '"a" is not absolute; ' },
    { "a/b", "path.relative", '"a/b" is not absolute' },
    { "./a", "path.relative", '"./a" is not absolute' },
    { "../a", "path.relative", '"../a" is not absolute' },
    { ".", "path.relative", '"." is not absolute' },
    { " /a", "path.relative", '" /a" is not absolute' },
    { "\\a", "path.relative", [["\\a" is not absolute]] },
    { "~/a", "path.relative", '"~/a" is not absolute' },
    { "$HOME/a", "path.relative", '"$HOME/a" is not absolute' },
    { "/..", "path.dotdot", '"/.." has a ".." component; write the path that it leads to' },
    { "/a/..", "path.dotdot", '"/a/.."' },
    { "/a/../b", "path.dotdot", '"/a/../b"' },
    { "/../../etc", "path.dotdot", '"/../../etc"' },
    { "/a//..//b", "path.dotdot", '"/a//..//b"' },
    { "/.", "path.dot", '"/." has a "." component; leave it out' },
    { "/./a", "path.dot", '"/./a"' },
    { "/a/./b", "path.dot", '"/a/./b"' },
    { "/a/.", "path.dot", '"/a/."' },
    { "/a/./", "path.dot", '"/a/./"' },
    { "/" .. long_name .. "n", "path.long", "has a component of more than 255 bytes" },
    { long_path .. "/" .. ("n"):rep(79), "path.long", "has 4096 bytes; at most 4095 are allowed" },

    { "/a", at = "/a" },
    { "//a", at = "/a" },
    { "/a/", at = "/a" },
    { "///a///b///", at = "/a/b" },
    { "/...", at = "/..." },
    { "/..a", at = "/..a" },
    { "/a..", at = "/a.." },
    { "/.a", at = "/.a" },
    { "/a b", at = "/a b" },
    { "/a\"b'c", at = "/a\"b'c" },
    { "/a:b,c\\d", at = "/a:b,c\\d" },
    { "/ä€\u{1F600}", at = "/ä€\u{1F600}" },
    { "/\xff\xfe", at = "/\xff\xfe" },
    { "/~", at = "/~" },
    { "/-", at = "/-" },
    { "/procs", at = "/procs" },
    { "/device", at = "/device" },
    { "/" .. long_name, at = "/" .. long_name },
    { long_path .. "/" .. ("n"):rep(70), at = long_path .. "/" .. ("n"):rep(70) },
}

-- The sandbox's own places, for every kind of entry.
local reserved = { "/proc", "/proc/1", "/proc/sys/kernel", "//proc/", "/dev", "/dev/null", "/dev/shm", "/sys",
    "/sys/fs" }

-- { fields, code, field, words... }
local rejects = {
    { { tmpfs = { { sandbox = "/a", size = 0 } } }, "size.range", "tmpfs[1].size", "0 is too small; a tmpfs has at least 4K" },
    { { tmpfs = { { sandbox = "/a", size = 4095 } } }, "size.range", "tmpfs[1].size", "3.999K is too small" },
    { { tmpfs = { { sandbox = "/a", size = "1K" } } }, "size.range", "tmpfs[1].size", "1K is too small" },
    { { tmpfs = { { sandbox = "/a", size = -1 } } }, "type", "tmpfs[1].size",
        "-1 is a number; a size: bytes, or a string" },
    { { tmpfs = { { sandbox = "/a", size = 1.5 } } }, "type", "tmpfs[1].size", "1.5 is a number", '"64M"' },
    { { tmpfs = { { sandbox = "/a", size = true } } }, "type", "tmpfs[1].size", "true is a boolean" },
    { { tmpfs = { { sandbox = "/a", size = "9e9G" } } }, "size.invalid", "tmpfs[1].size",
        '"9e9G" is no size; write bytes' },
    { { tmpfs = { { sandbox = "/a", size = "1MM" } } }, "size.invalid", "tmpfs[1].size", '"1MM"', '"64M"' },
    { { tmpfs = { { sandbox = "/a", size = "1m" } } }, "size.invalid", "tmpfs[1].size", '"1m" is no size' },
    { { tmpfs = { { sandbox = "/a", size = "" } } }, "size.invalid", "tmpfs[1].size", '"" is no size' },
    { { tmpfs = { { sandbox = "/a", size = "M" } } }, "size.invalid", "tmpfs[1].size", '"M" is no size' },
    { { tmpfs = { { sandbox = "/a", size = " 64M" } } }, "size.invalid", "tmpfs[1].size", '" 64M" is no size' },
    { { tmpfs = { { sandbox = "/a", size = "-1M" } } }, "size.invalid", "tmpfs[1].size", '"-1M" is no size' },
    { { tmpfs = { { sandbox = "/a", size = "0x40M" } } }, "size.invalid", "tmpfs[1].size", '"0x40M" is no size' },
    { { tmpfs = { { sandbox = "/a", size = "16777216T" } } }, "size.invalid", "tmpfs[1].size",
        '"16777216T" is no size' },
    { { tmpfs = { { sandbox = "/a", size = "8388608T" } } }, "size.range", "tmpfs[1].size", "is too large" },
    { { tmpfs = { { sandbox = "/a", mode = 493 } } }, "type", "tmpfs[1].mode", "493 is a number",
        '"0755" is needed' },
    { { tmpfs = { { sandbox = "/a", mode = "2000" } } }, "mode.invalid", "tmpfs[1].mode", '"2000"',
        '"0000" to "1777"' },
    { { tmpfs = { { sandbox = "/a", mode = "4755" } } }, "mode.invalid", "tmpfs[1].mode", '"4755" is no mode' },
    { { tmpfs = { { sandbox = "/a", mode = "0888" } } }, "mode.invalid", "tmpfs[1].mode", '"0888" is no mode' },
    { { tmpfs = { { sandbox = "/a", mode = "75" } } }, "mode.invalid", "tmpfs[1].mode", '"75" is no mode' },
    { { tmpfs = { { sandbox = "/a", mode = "00755" } } }, "mode.invalid", "tmpfs[1].mode", '"00755" is no mode' },
    { { tmpfs = { { sandbox = "/a", mode = "rwx" } } }, "mode.invalid", "tmpfs[1].mode", '"rwx" is no mode' },
    { { tmpfs = { "/a", "/a/" }, masks = { "/" } }, "path.reserved", "masks[1]", '"/" is the root',
        "only a bind" },
    { { symlinks = { { target = "", sandbox = "/a" } } }, "symlink.target", "symlinks[1].target", '""',
        "1 to 4095 bytes" },
    { { symlinks = { { target = long_path .. ("/n"):rep(40), sandbox = "/a" } } }, "symlink.target",
        "symlinks[1].target",
        "1 to 4095 bytes" },

    { { env = { [""] = "x" } }, "env.name", "env.",
        '"" is no name of a variable; letters, digits and _ make one' },
    { { env = { ["A=B"] = "x" } }, "env.name", "env.A=B", '"A=B" is no name of a variable' },
    { { env = { ["1A"] = "x" } }, "env.name", "env.1A", '"1A" is no name of a variable', "no digit comes first" },
    { { env = { ["A-B"] = true } }, "env.name", "env.A-B", '"A-B" is no name of a variable' },
    { { env = { ["A B"] = false } }, "env.name", "env.A B", '"A B" is no name of a variable' },
    { { env = { ["LC_*"] = true } }, "env.name", "env.LC_*", '"LC_*" is no name of a variable' },
    { { env = { ["É"] = "x" } }, "env.name", "env.É", '"É" is no name of a variable' },
    { { env_allowlist = { "" } }, "env.name", "env_allowlist[1]", '"" is no name of a variable' },
    { { env_allowlist = { "A", "B=c" } }, "env.name", "env_allowlist[2]", '"B=c" is no name of a variable' },
    { { env_allowlist = { "LC_*" } }, "env.name", "env_allowlist[1]", '"LC_*" is no name of a variable' },
    { { env_allowlist = { "A", "B", "A" } }, "env.duplicate", "env_allowlist[3]",
        '"A" is already in env_allowlist[1]; name it once' },
    { { env = { HOME = true } }, "env.own", "env.HOME", '"HOME" is never passed through; give it a value' },
    { { env = { USER = true } }, "env.own", "env.USER", '"USER" is never passed through; give it a value' },
    { { env = { A = ("x"):rep(131070) } }, "env.long", "env.A",
        "has 131070 bytes; name and value have 131070 at most" },
    { { env = { [("N"):rep(70)] = ("x"):rep(131001) } }, "env.long", "env." .. ("N"):rep(70), "has 131001 bytes" },

    { { hostname = "" }, "hostname.invalid", "hostname",
        '"" is no host name; 1 to 64 of letters, digits, - and .' },
    { { hostname = ("h"):rep(65) }, "hostname.invalid", "hostname",
        ('"%s" is no host name'):format(("h"):rep(65)) },
    { { hostname = "-a" }, "hostname.invalid", "hostname", '"-a"', "with - and . inside only" },
    { { hostname = "a-" }, "hostname.invalid", "hostname", '"a-"' },
    { { hostname = ".a" }, "hostname.invalid", "hostname", '".a"' },
    { { hostname = "a." }, "hostname.invalid", "hostname", '"a."' },
    { { hostname = "a_b" }, "hostname.invalid", "hostname", '"a_b"' },
    { { hostname = "a b" }, "hostname.invalid", "hostname", '"a b"' },
    { { hostname = "ä" }, "hostname.invalid", "hostname", '"ä"' },
    { { hostname = "a\n" }, "hostname.invalid", "hostname", [["a\n"]] },

    { { limits = { timeout = 0 } }, "limit.range", "limits.timeout",
        "0 s is out of range; 0.001 to 2147483 s are allowed" },
    { { limits = { timeout = -1 } }, "limit.range", "limits.timeout", "-1 s is out of range" },
    { { limits = { timeout = 0.0001 } }, "limit.range", "limits.timeout", "0.0001 s is out of range" },
    { { limits = { timeout = 2147484 } }, "limit.range", "limits.timeout", "s is out of range" },
    { { limits = { timeout = "1000h" } }, "limit.range", "limits.timeout", "3.6e+06 s is out of range" },
    { { limits = { timeout = "" } }, "duration.invalid", "limits.timeout", '"" is no duration; write seconds' },
    { { limits = { timeout = "-1s" } }, "duration.invalid", "limits.timeout", '"-1s" is no duration' },
    { { limits = { timeout = "1 s" } }, "duration.invalid", "limits.timeout", '"1 s" is no duration', '"30s"' },
    { { limits = { timeout = "1e3" } }, "duration.invalid", "limits.timeout", '"1e3" is no duration' },
    { { limits = { timeout = "0x10" } }, "duration.invalid", "limits.timeout", '"0x10" is no duration' },
    { { limits = { timeout = "1.2.3s" } }, "duration.invalid", "limits.timeout", '"1.2.3s" is no duration' },
    { { limits = { timeout = "5d" } }, "duration.invalid", "limits.timeout", '"5d" is no duration',
        "ms, s, m or h" },
    { { limits = { timeout = "inf" } }, "duration.invalid", "limits.timeout", '"inf" is no duration' },
    { { limits = { timeout = "nan" } }, "duration.invalid", "limits.timeout", '"nan" is no duration' },
    { { limits = { timeout = true } }, "type", "limits.timeout",
        'true is a boolean; seconds, or a string such as "30s"' },
    { { limits = { cpu_time = "1S" } }, "duration.invalid", "limits.cpu_time", '"1S" is no duration' },
    { { limits = { memory = 1048575 } }, "limit.range", "limits.memory",
        "is too small; at least 1M is needed" },
    { { limits = { memory = "1023K" } }, "limit.range", "limits.memory", "1023K is too small; at least 1M is needed" },
    { { limits = { memory = "1GB" } }, "size.invalid", "limits.memory", '"1GB" is no size; write bytes', '"64M"' },
    { { limits = { memory = "1.5G" } }, "size.invalid", "limits.memory", '"1.5G" is no size' },
    { { limits = { memory = "50%" } }, "size.invalid", "limits.memory", '"50%" is no size' },
    { { limits = { pids = 0 } }, "limit.range", "limits.pids", "at least 1 is needed" },
    { { limits = { pids = "5" } }, "type", "limits.pids", '"5" is a string; a whole number is needed' },
    { { limits = { open_files = 3 } }, "limit.range", "limits.open_files", "at least 4 is needed" },
    { { limits = { open_files = 1 << 40 } }, "limit.range", "limits.open_files",
        "1099511627776 is more than the hard limit" },
    { { limits = { tmp = 4095 } }, "limit.range", "limits.tmp", "3.999K is too small; at least 4K is needed" },
    { { limits = { tmp = "0%" } }, "size.invalid", "limits.tmp", '"0%" is no share of the memory; write "1%" to "100%"' },
    { { limits = { tmp = "101%" } }, "size.invalid", "limits.tmp", '"101%" is no share of the memory; write "1%" to "100%"' },
    { { limits = { tmp = "%" } }, "size.invalid", "limits.tmp", '"%" is no size' },
    { { limits = { output = -1 } }, "type", "limits.output", "-1 is a number; a size" },
    { { limits = { Memory = "1G" } }, "field.unknown", "limits.Memory", 'did you mean "memory"?' },
    { { limits = { ["open-files"] = 9 } }, "field.unknown", "limits.open-files", 'did you mean "open_files"?' },

    { { chdir = "src" }, "path.relative", "chdir", '"src" is not absolute' },
    { { chdir = "/work/../x" }, "path.dotdot", "chdir", '"/work/../x"' },
    { { ro_binds = { { "/opt", "/a" }, { "/usr", "/a/" } } }, "entry.duplicate", "ro_binds[2]",
        '"/a" is already taken by ro_binds[1]; one path inside can show one thing' },
    { { rw_binds = { { "/opt", "/a" }, { host = "/opt", sandbox = "/a", optional = true } } }, "entry.duplicate",
        "rw_binds[2]" },
    { { tmpfs = { "/a", { sandbox = "/a", size = "1M" } } }, "entry.duplicate", "tmpfs[2]",
        '"/a" is already taken' },
    { { tmpfs = { "/a", { sandbox = "/a", mode = "0700" } } }, "entry.duplicate", "tmpfs[2]" },
    { { symlinks = { { target = "x", sandbox = "/a" }, { target = "y", sandbox = "/a" } } }, "entry.duplicate",
        "symlinks[2]" },
    { { secrets = { ["/a"] = "x", ["//a"] = "y" } }, "entry.duplicate", 'secrets["/a"]', '"/a" is already taken' },
    { { ro_binds = { "/nonexistent/a" } }, "bind.missing", "ro_binds[1].host",
        '"/nonexistent/a" does not exist; create it, or mark the bind optional = true' },
    { { work_host = "/etc/hostname" }, "bind.kind", "work_host", '"/etc/hostname" is no directory' },
    { { project = "/etc/hostname" }, "bind.kind", "project", '"/etc/hostname" is no directory' },
    { { effects = { { effect = "FsRead", path = "x" } } }, "path.relative", "effects[1].path",
        '"x" is not absolute' },
    { { work_host = "../x" }, "path.relative", "work_host", '"../x" is not absolute; write the whole path' },
    { { project = "." }, "path.relative", "project", '"." is not absolute; write the whole path' },
}

local accepts = {
    { "repeated equal entries", { ro_binds = { "/opt", "/opt/", { "/opt", "/opt" } }, masks = { "/a", "//a" },
        tmpfs = { "/b", "/b" }, symlinks = { { target = "x", sandbox = "/c" }, { target = "x",
            sandbox = "/c" } } } },
    { "a value as long as the kernel takes", { env = { A = ("x"):rep(131069) } } },
    { "every letter of a name", { env = { _ = "", aZ_09 = "", A = "", ["_1"] = true } } },
    { "HOME and USER with values, or left out", { env = { HOME = "/tmp", USER = "" } },
        { env = { HOME = false } } },
    { "host names", { hostname = "a" }, { hostname = ("h"):rep(64) }, { hostname = "a-b.c9" },
        { hostname = "9" } },
    { "the smallest limits", { limits = { timeout = 0.001, cpu_time = "1ms", memory = "1M", file_size = 0,
        open_files = 4,
        output = "0", tmp = "4K" } } },
    { "the largest limits", { limits = { timeout = 2147483, cpu_time = "596h", memory = "1T", tmp = "100%" } } },
    { "a tmpfs of exactly 4096 bytes", { tmpfs = { { sandbox = "/a", size = 4096 }, { sandbox = "/b",
        size = "4K" } } } },
    { "each mode", { tmpfs = { { sandbox = "/a", mode = "000" }, { sandbox = "/b", mode = "0777" },
        { sandbox = "/c", mode = "1777" } } } },
    { "a target of a link that is relative, or not there", { symlinks = { { target = "../x", sandbox = "/a" },
        { target = "/nonexistent", sandbox = "/b" } } } },
    { "a secret of 16 MiB less a bit", { secrets = { ["/a"] = ("x"):rep(7 << 20) } } },
}

describe("a path inside", function()
    for _, case in ipairs(paths) do
        local path, code = case[1], case[2]
        it(("C1: %s: %q"):format(code and "refused" or "accepted", path:sub(1, 40)), function()
            if code then
                refused({ masks = { path } }, code, "masks[1]", case[3])
                refused({ ro_binds = { { "/opt", path } } }, code, "ro_binds[1].sandbox", case[3])
                refused({ tmpfs = { { sandbox = path } } }, code, "tmpfs[1].sandbox", case[3])
                refused({ chdir = path }, code, "chdir", case[3])
            else
                local description = policies.describe { tmpfs = { path }, chdir = path }
                assert.equal("tmpfs", policies.mount_at(description, case.at).kind)
                assert.equal(case.at, description.chdir)
            end
        end)
    end

    it("is not the sandbox's own", function()
        for _, path in ipairs(reserved) do
            local place = path:match("%a+")
            local words = ("is at or below /%s, which is the sandbox's own; choose another place"):format(place)
            refused({ ro_binds = { { "/opt", path } } }, "path.reserved", "ro_binds[1].sandbox", words)
            refused({ tmpfs = { path } }, "path.reserved", "tmpfs[1].sandbox", words)
            refused({ masks = { path } }, "path.reserved", "masks[1]", words)
            refused({ symlinks = { { target = "x", sandbox = path } } }, "path.reserved", "symlinks[1].sandbox",
                words)
            refused({ secrets = { [path] = "x" } }, "path.reserved", ('secrets["%s"]'):format(path), words)
        end
    end)

    it("is the root for a bind alone", function()
        for _, name in ipairs { "tmpfs", "masks" } do
            refused({ [name] = { "/" } }, "path.reserved", name .. (name == "tmpfs" and "[1].sandbox" or "[1]"),
                '"/"')
        end
        accepted { base = "none", ro_binds = { "/" }, acknowledge = { "root" } }
    end)
end)

describe("a rule refuses", function()
    for _, case in ipairs(rejects) do
        it(("C1: %s: %s [%s]"):format(case[3]:sub(1, 40), case[4] or "", case[2]), function()
            refused(case[1], case[2], case[3], table.unpack(case, 4))
        end)
    end
end)

describe("the rules accept", function()
    for _, case in ipairs(accepts) do
        it(case[1], function()
            for i = 2, #case do
                accepted(case[i])
            end
        end)
    end
end)

describe("a command", function()
    local function command_refused(command, code, field, words)
        local problem = policies.find(policies.problems({}, command), code, field)
        assert(problem.message:find(words, 1, true), problem.message)
    end

    it("is a list of strings with a name in front", function()
        command_refused({}, "command.empty", "command", "no command was given")
        command_refused({ "" }, "command.empty", "command[1]", "the program's name is empty")
        command_refused({ "a", 5 }, "type", "command[2]", "number where a string is needed")
        command_refused({ "a", {} }, "type", "command[2]", "table where a string is needed")
        command_refused({ "a", false }, "type", "command[2]", "boolean where a string is needed")
        command_refused({ "a", nil, "c" }, "command.shape", "command", 'write' and '{ "program", "argument" }')
        command_refused({ "a", x = "b" }, "command.shape", "command", "has holes or names")
        command_refused({ "a", [1.5] = "b" }, "command.shape", "command", "has holes or names")
        local many = {}
        for i = 1, 1000001 do
            many[i] = "x"
        end
        assert.error_matches(function() policies.problems({}, many) end, "the command has more than 1000000 arguments")
        command_refused({ "a\0b" }, "string.nul", "command[1]", "has a NUL byte")
        command_refused({ "a", "b\0" }, "string.nul", "command[2]", "has a NUL byte")
        accepted({}, { "a", "", "\n", "\xff", "--" })
    end)

    it("is as long as the kernel takes", function()
        command_refused({ "a", ("x"):rep(131072) }, "command.long", "command[2]",
            "has 131072 bytes; the kernel takes at most")
        accepted({}, { "a", ("x"):rep(131071) })
        local many = { "a" }
        for i = 2, 80 do
            many[i] = ("x"):rep(131000)
        end
        command_refused(many, "command.long", "command", "bytes; the kernel takes at most")
    end)
end)

describe("the source of a bind", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function make(line)
        assert(os.execute("cd " .. scratch() .. " && { " .. line .. "; } >/dev/null"))
    end

    local function warned(fields, code, field, words)
        local problem = policies.find(policies.warnings(fields), code, field)
        assert(problem.message:find(words, 1, true), problem.message)
    end

    it("is resolved, with every link", function()
        make "mkdir d && echo x >d/f && ln -s d l && ln -s l/f m"
        for path, kind in pairs { l = "d", m = "d/f", ["l/f"] = "d/f", ["//d//f"] = "d/f" } do
            local description = policies.describe { ro_binds = { { scratch(path), "/x" } } }
            assert.equal(scratch(kind), policies.mount_at(description, "/x").source)
        end
    end)

    it("may be missing when it is optional, and only then", function()
        make "ln -s nowhere dangling && echo x >f"
        for _, name in ipairs { "missing", "dangling" } do
            refused({ ro_binds = { scratch(name) } }, "bind.missing", "ro_binds[1].host", scratch(name),
                "does not exist")
            accepted { ro_binds = { { host = scratch(name), optional = true } } }
        end
        make "ln -s loop loop"
        for _, optional in ipairs { true, false } do
            refused({ ro_binds = { { host = scratch "loop", optional = optional } } }, "bind.unreadable",
                "ro_binds[1].host", "cannot be looked up: Too many levels of symbolic links")
            refused({ ro_binds = { { host = scratch "f/x", optional = optional } } }, "bind.unreadable",
                "ro_binds[1].host", "cannot be looked up: Not a directory")
        end
    end)

    it("in a directory that cannot be searched is a problem, optional or not", function()
        make "mkdir -p locked/d && chmod 0 locked"
        local fields = { ro_binds = { { host = scratch "locked/d", sandbox = "/x", optional = true } } }
        if sandbox.is_root then
            accepted(fields)
        else
            refused(fields, "bind.unreadable", "ro_binds[1].host", "cannot be looked up: Permission denied")
        end
    end)

    it("is no device", function()
        if sandbox.is_root then
            make "mknod null c 1 3"
            refused({ ro_binds = { scratch "null" } }, "bind.kind", "ro_binds[1].host",
                "is a device; a bind shows files and directories")
        end
        refused({ ro_binds = { { "/dev/null", "/x" } } }, "bind.never", "ro_binds[1]",
            "is a device or the host's /dev")
    end)

    it("that is a FIFO or a socket gets a warning, since read-only does not hold there", function()
        make "mkfifo fifo && /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'"
        warned({ ro_binds = { { scratch "fifo", "/x" } } }, "bind.socket", "ro_binds[1].host",
            "is a FIFO, which can be written")
        warned({ ro_binds = { { scratch "socket", "/x" } } }, "bind.socket", "ro_binds[1].host",
            "is a socket, which can be")
    end)

    it("that ends in a newline gets a warning", function()
        make "mkdir 'd\n'"
        warned({ ro_binds = { { scratch "d\n", "/x" } } }, "path.newline", "ro_binds[1].host",
            "ends in a newline; is that meant?")
    end)

    it("that the sandbox can write to by another way gets a warning, but not in its place", function()
        make "mkdir -p w/a/b w2 && echo x >w/f"
        local tree = { scratch "w", "/w" }
        local words = "can be written to, or exchanged for something else, through rw_binds[1]"
        warned({ rw_binds = { tree }, ro_binds = { { scratch "w/a", "/a" } } }, "bind.swappable",
            "ro_binds[1].host", words)
        make "echo x >w/a/f"
        local moved = { scratch "w/f", "/w/a/f" }
        warned({ rw_binds = { tree }, ro_binds = { moved } }, "bind.swappable", "ro_binds[1].host", words)
        for _, fine in ipairs {
            { rw_binds = { tree }, ro_binds = { { scratch "w/a", "/w/a" } } },
            { rw_binds = { tree }, ro_binds = { { scratch "w2", "/a" } } },
            { ro_binds = { tree, { scratch "w/a", "/a" } } },
            { rw_binds = { tree }, ro_binds = { { scratch "w", "/again" } } },
        } do
            assert.same({}, policies.warnings(fine))
        end
    end)

    it("is a directory for work_host and project", function()
        make "echo x >f"
        refused({ work_host = scratch "f" }, "bind.kind", "work_host", scratch "f", "is no directory")
        refused({ project = { scratch "f", write = false } }, "bind.kind", "project", "is no directory")
    end)
end)
