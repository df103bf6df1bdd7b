-- Words that look like options, variables that load code, and names that would break a line.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local words = { "--", "--args", "--bind", "--dev-bind", "--ro-bind\n/\n/", "-c", "--unshare-all", "a\nb",
    "a'b\"c", "$(id)",
    "; id", "%s%n", "\xff", "{}", "--seccomp" }

-- A library that writes the name of the program that loads it to the file that it was built for.
local LIBRARY = [[
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void)
{
    int fd = open("%s", O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (fd >= 0 && write(fd, program_invocation_short_name, strlen(program_invocation_short_name)) > 0)
        (void)!write(fd, "\n", 1);
    close(fd);
}
]]

describe("injection:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function run(fields, command, options)
        local policy, problem = demilune.policy(fields)
        local result, text = assert(policy, problem):run(command, options or { capture = true,
            stdin = "null" })
        return assert(result, text)
    end

    it("arguments and values that look like options stay what they are", function()
        for _, word in ipairs(words) do
            local result = run({ env = { WORD = word } }, { "sh", "-c", 'printf "%s|%s" "$WORD" "$1"', "sh",
                word })
            assert.equal(word .. "|" .. word, result.stdout)
        end
    end)

    it("paths that look like options stay what they are, as every kind of mount", function()
        sandbox.write(scratch("f"), "content\n")
        for _, word in ipairs(words) do
            local at = "/i/" .. word:gsub("/", "_")
            local result = run({ ro_binds = { { scratch("f"), at .. "/ro" } }, rw_binds = { { scratch("f"),
                at .. "/rw" } },
                tmpfs = { { sandbox = at .. "/tmpfs" } }, secrets = { [at .. "/secret"] = word },
                symlinks = { { target = word, sandbox = at .. "/link" } }, masks = { at .. "/mask" },
                    chdir = at .. "/tmpfs" },
                { "sh", "-c", 'cat "$1/ro" "$1/secret"; readlink -n "$1/link"; ls "$1" | wc -l', "sh", at })
            assert.equal("content\n" .. word .. word .. "6\n", result.stdout, result.stderr)
        end
    end)

    it("a host name that looks like an option is a problem", function()
        for _, name in ipairs { "--bind", "-x", "a b", "a\nb", "a;b" } do
            local policy = assert(demilune.policy { hostname = name })
            assert.same({ "hostname.invalid" }, sandbox.codes((policy:problems { "true" })), name)
        end
    end)

    it("a NUL anywhere is a problem, and nothing runs", function()
        local fields = { { ro_binds = { "/usr\0/x" } }, { rw_binds = { { "/usr", "/a\0b" } } },
            { env = { A = "b\0c" } },
            { env = { ["A\0B"] = "c" } }, { chdir = "/work\0x" }, { hostname = "a\0b" },
                { masks = { "/a\0b" } },
            { tmpfs = { { sandbox = "/a\0" } } }, { secrets = { ["/a\0b"] = "x" } }, { project = "/usr\0" },
            { symlinks = { { target = "a\0b", sandbox = "/l" } } }, { env_allowlist = { "A\0B" } },
                { name = "a\0b" } }
        for i, field in ipairs(fields) do
            local policy, _, code = demilune.policy(field)
            assert.same({ nil, "string.nul" }, { policy, code }, "case " .. i)
        end
        for _, command in ipairs { { "true\0x" }, { "sh", "-c", "exit 0\0--" } } do
            local result, _, code = assert(demilune.policy {}):run(command, {})
            assert.same({ nil, "string.nul" }, { result, code })
        end
    end)

    it("a NUL in a secret's content is content", function()
        assert.equal("a\0b", run({ secrets = { ["/s"] = "a\0b" } }, { "cat", "/s" }).stdout)
    end)

    it("names of variables that a shell would take apart are problems", function()
        for _, name in ipairs { "", "A=B", "A B", "1A", "A-B", "A\nB", "BASH_FUNC_x%%" } do
            local policy, _, code = demilune.policy { env = { [name] = "x" } }
            code = policy and sandbox.codes((policy:problems { "true" }))[1] or code
            assert.equal("env.name", code, name)
        end
    end)

    it("messages about hostile names are one line each and cannot drive a terminal", function()
        local evil = "/no\n\27]52;c;ZXZpbA==\7\27[2J\xff\u{202e}x"
        local result = sandbox.demilune { "run", "--ro", evil, "--chdir", evil, "--", "true" }
        assert.equal(125, result.code)
        local lines = 0
        for line in result.err:gmatch("[^\n]+") do
            lines = lines + 1
            assert.matches("^demilune: ", line)
            assert.is_nil(line:find("[\0-\31\127]"))
        end
        assert.is_true(lines >= 1)
        result = sandbox.demilune { "run", "--", "no\n\27[2J\7\xffsuch" }
        assert.equal('demilune: "no\\n\\x1b[2J\\x07\\xffsuch": not found in the sandbox\n', result.err)
    end)

    it("places inside, in whatever part of a message, drive no terminal", function()
        local path = sandbox.write(scratch("policy.lua"),
            ('return { rw_binds = { { %q, "/\\27]52;c;x\\7\\xff" } } }'):format(scratch()))
        local result = sandbox.demilune { "run", "-p", path, "--", "true" }
        assert.equal(125, result.code)
        assert.matches([[protect it: ro_binds = .*/\x1b%]52;c;x\x07\xff/policy%.lua"]], result.err)
        assert.is_nil(result.err:find("[\0-\9\11-\31\127]"))
        assert.truthy(utf8.len(result.err))
    end)

    describe("the caller's loader variables", function()
        local function built()
            sandbox.write(scratch("load.c"), LIBRARY:format(scratch("log")))
            assert(os.execute(("gcc -shared -fPIC -o %s %s"):format(scratch("load.so"), scratch("load.c"))))
            return "LD_PRELOAD=" .. scratch("load.so")
        end

        it("load code into bwrap by hand", function()
            assert(os.execute(built() .. " bwrap --ro-bind / / true"))
            assert.matches("bwrap", sandbox.read(scratch("log")))
        end)

        it("reach neither bwrap nor the command", function()
            local preload = built()
            local result = sandbox.demilune({ "run", "--rw", scratch(), "--", "sh", "-c",
                "true; echo \"[$LD_PRELOAD]\"" },
                { env = { preload, "LD_LIBRARY_PATH=/tmp", "GCONV_PATH=/tmp", "BASH_ENV=/tmp/x" } })
            assert.equal("[]\n", result.out, result.err)
            -- env and demilune are the caller's own programs
            for name in sandbox.read(scratch("log")):gmatch("[^\n]+") do
                assert.is_true(name == "demilune" or name == "env", name)
            end
        end)

        it("need to be acknowledged to be set inside", function()
            local policy = assert(demilune.policy { env = { LD_PRELOAD = "/x.so" } })
            assert.same({ "env.dangerous" }, sandbox.codes((policy:problems { "true" })))
            policy = assert(demilune.policy { env = { LD_PRELOAD = "/x.so" },
                acknowledge = { "loader_env" } })
            assert.same({}, (policy:problems { "true" }))
        end)
    end)

    it("the caller's Lua variables do not reach the command", function()
        sandbox.write(scratch("evil.lua"), ("io.open(%q, 'w'):close()"):format(scratch("ran")))
        assert(os.execute("mkdir -p " .. scratch("demilune")))
        sandbox.write(scratch("demilune/cli.lua"),
            ("io.open(%q, 'w'):close() return os.exit"):format(scratch("ran")))
        local result = sandbox.demilune({ "run", "echo", "fine" }, { env = { "LUA_INIT=@" ..
            scratch("evil.lua"),
            "LUA_INIT_5_4=@" .. scratch("evil.lua"), "LUA_PATH=" .. scratch() .. "/?.lua",
            "LUA_PATH_5_4=" .. scratch() .. "/?.lua", "LUA_CPATH=" .. scratch() .. "/?.so" } })
        assert.equal("fine\n", result.out, result.err)
        assert.is_false(sandbox.exists(scratch("ran")))
    end)

    it("a bwrap earlier in PATH is not taken", function()
        sandbox.write(scratch("bwrap"), "#!/bin/sh\n: >" .. scratch("ran") .. "\n", "755")
        local path = "PATH=" .. scratch() .. ":/usr/bin:/bin"
        assert.equal("fine\n", sandbox.demilune({ "run", "echo", "fine" }, { env = { path } }).out)
        assert.is_false(sandbox.exists(scratch("ran")))
        assert.matches("^/", (core.find_bwrap()))
        assert.equal(0, sandbox.sh(path .. " bwrap").code)
        assert.is_true(sandbox.exists(scratch("ran")))
    end)

    it("what the caller has open is not open inside", function()
        local code = [[
import os, sys
fd = os.open("/etc/shadow" if os.getuid() == 0 else "/etc/hostname", os.O_RDONLY)
os.dup2(fd, 7)
os.execv(sys.argv[1], sys.argv[1:])
]]
        local script = "cat <&7 >/dev/null && echo readable || echo closed"
        assert.equal("closed\n", probe.host(code, { sandbox.command, "run", "--", "bash", "-c", script }).out)
        local by_hand = { "bwrap", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink",
            "usr/lib64",
            "/lib64", "--dev", "/dev", "/usr/bin/bash", "-c", script }
        table.insert(by_hand, 1, "/usr/bin/env")
        assert.equal("readable\n", probe.host(code, by_hand).out)
    end)
end)
