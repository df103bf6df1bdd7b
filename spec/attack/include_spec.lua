-- include: nothing but files of the policy's folder, and presets, whatever a hostile folder does.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local sandbox = require "support.sandbox"

describe("include #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    before_each(function()
        assert(lfs.mkdir(scratch "folder"))
        sandbox.write(scratch "secret.lua", "return { name = 'outside' }")
        sandbox.write(scratch "folder/policy.lua", "return include 'other'")
    end)

    local function loads()
        local policy, message = demilune.load(scratch "folder/policy.lua")
        return policy and policy.fields.name, message
    end

    local function refused(words)
        local name, message = loads()
        assert.is_nil(name)
        assert(message:find('include "other": ', 1, true), message)
        assert(message:find(words, 1, true), message)
    end

    it("reads a file beside the policy", function()
        sandbox.write(scratch "folder/other.lua", "return { name = 'beside' }")
        assert.equal("beside", loads())
    end)

    it("follows no link, to wherever it leads", function()
        for target, words in pairs {
            [scratch "secret.lua"] = "is a symbolic link", ["../secret.lua"] = "is a symbolic link",
            ["policy.lua"] = "is a symbolic link", ["/nowhere"] = "is a symbolic link",
        } do
            assert(lfs.link(target, scratch "folder/other.lua", true))
            refused(words)
            os.remove(scratch "folder/other.lua")
        end
        assert.equal("return { name = 'outside' }", sandbox.read(scratch "secret.lua"), "which a link would have shown")
    end)

    it("opens no FIFO, no device, no directory and no socket", function()
        for line, words in pairs {
            ["mkfifo other.lua"] = "is no regular file", ["mkdir other.lua"] = "is a directory",
            ["python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"other.lua\")'"] = "is no regular file",
            [sandbox.is_root and "mknod other.lua c 1 5" or "mkfifo other.lua"] = "is no regular file",
        } do
            assert.equal(0, sandbox.sh("cd " .. scratch "folder" .. " && " .. line).code)
            refused(words)
            sandbox.sh("rm -r " .. scratch "folder/other.lua")
        end
    end)

    it("takes nothing that is not the policy owner's, the caller's or root's, or that everybody can write to", function()
        sandbox.write(scratch "folder/other.lua", "return { name = 'beside' }", 666)
        refused "can be written to by everybody"
        sandbox.sh("chmod 644 " .. scratch "folder/other.lua")
        assert.equal("beside", loads())
        if sandbox.is_root then
            sandbox.sh("chown 12345 " .. scratch "folder/other.lua")
            refused "belongs to somebody else than the policy"
            sandbox.sh("chown 12345 " .. scratch "folder/policy.lua")
            assert.equal("beside", loads())
        end
    end)

    it("finds no preset in the current directory, though a host program has it in package.path", function()
        assert.equal(0, sandbox.sh(("mkdir -p %s && cp %s %s"):format(scratch "demilune/presets", scratch "secret.lua",
            scratch "demilune/presets/other.lua")).code)
        sandbox.write(scratch "program.lua", ([[
            local demilune = require "demilune"
            print(package.searchpath("demilune.presets.other", package.path))
            for _, name in ipairs { %q, "other" } do
                local policy, message = demilune.load(name)
                print(policy and policy.fields.name or message)
            end]]):format(scratch "folder/policy.lua"))
        local path = package.path:gsub("[^;]+", function(template)
            return template:sub(1, 1) == "/" and template or lfs.currentdir() .. "/" .. template:gsub("^%./", "")
        end)
        local cpath = lfs.currentdir() .. "/" .. (os.getenv("BUILD") or "build") .. "/lib/lua/5.4/?.so"
        local result = sandbox.sh(("cd %s && LUA_PATH='%s;./?.lua' LUA_CPATH='%s' lua5.4 program.lua"):format(scratch(),
            path, cpath))
        assert.equal(0, result.code, result.err)
        local found, by_include, by_name = result.out:match("^(.-)\n(.-)\n(.-)\n$")
        assert.equal("./demilune/presets/other.lua", found)
        assert.matches('"other" is neither beside the policy nor a preset', by_include, 1, true)
        assert.matches('no policy is called "other"', by_name, 1, true)
    end)

    it("reads what it has checked, though the name is swapped all the time", function()
        sandbox.write(scratch "folder/other.lua", "return { name = 'beside' }")
        assert(lfs.link("../secret.lua", scratch "folder/link", true))
        local swapper <close> = assert(io.popen(("exec /usr/bin/python3 -c %s"):format(sandbox.quote(([[
import ctypes, os, time
libc = ctypes.CDLL(None)
print("ready", flush=True)
end = time.time() + 120
while time.time() < end and not os.path.exists(%q):
    for _ in range(1000):
        libc.renameat2(-100, %q.encode(), -100, %q.encode(), 2)
]]):format(scratch "stop", scratch "folder/other.lua", scratch "folder/link")))))
        assert.equal("ready", swapper:read())
        local path, by_hand = scratch "folder/other.lua", 0
        local stop = os.time() + 60
        while by_hand == 0 and os.time() < stop do
            local text = core.file_type(path) == "file" and core.read_file(path, 1000)
            by_hand = text and text:find("outside", 1, true) and 1 or 0
        end
        local counts = { beside = 0, refused = 0 }
        for _ = 1, 3000 do
            local name = loads() or "refused"
            counts[name] = (counts[name] or 0) + 1
        end
        sandbox.write(scratch "stop", "")
        assert.equal(1, by_hand, "a look and then an opening can be led outside")
        assert.is_nil(counts.outside)
        assert.is_true(counts.beside > 0 and counts.refused > 0)
    end)
end)
