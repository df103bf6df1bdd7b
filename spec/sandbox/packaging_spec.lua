-- Installing: by make under any prefix, and as a rock. What is installed runs from where it is, with nothing around it.
local leaks = require "support.leaks"
local lfs = require "lfs"
local sandbox = require "support.sandbox"

-- Of the make that runs these specs nothing may go on to the ones that they run.
local MAKE = "env -u MAKEFLAGS -u MAKELEVEL make -s"

-- Runs a shell line that has to succeed. Returns its output.
local function sh(line, ...)
    local result = sandbox.sh(line:format(...))
    assert.equal(0, result.code, result.out .. result.err)
    return result.out
end

-- The files and links below a directory, with their modes: { ["usr/bin/demilune"] = "755" }.
local function files_in(directory)
    local found = {}
    for mode, path in sh("cd %s && find . ! -type d -printf '%%m %%P\n'", sandbox.quote(directory)):gmatch("(%d+) ([^\n]+)") do
        found[path] = mode
    end
    return found
end

-- Runs an installed command from elsewhere and without any variable, through all that it takes files for.
local function works(installed, scratch)
    local run = "cd / && env -i " .. sandbox.quote(installed)
    assert.equal("fine\n", sh(run .. " run -- echo fine"))
    sandbox.write(scratch("hook.lua"), "return { prepare = function(p) p:set_env('A', host.kernel) end }")
    assert.equal(sh("uname -r"), sh("%s run -p %s -- sh -c 'echo $A'", run, sandbox.quote(scratch("hook.lua"))))
    sh("%s run --status %s -- true", run, sandbox.quote(scratch("status")))
    assert.matches('"exit_code":0', sandbox.read(scratch("status")))
    assert.matches("\nok 1 %- denied: read /etc/shadow\n", sh("mkdir -p %s && cd %s && env -i %s test build",
        sandbox.quote(scratch("project")), sandbox.quote(scratch("project")), sandbox.quote(installed)))
    sandbox.write(scratch("script.lua"), "print(demilune.policy {}:run({ 'echo', 'in' }, { capture = true }).stdout)")
    assert.equal("in\n\n", sh("%s script %s", run, sandbox.quote(scratch("script.lua"))))
end

describe("make install #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function make(target, prefix)
        sh("%s %s DESTDIR=%s PREFIX=%s", MAKE, target, sandbox.quote(scratch("a root")), sandbox.quote(prefix))
    end

    it("puts the command, the module and the manual below DESTDIR and PREFIX, and nothing else", function()
        local expected = {
            ["lib/lua/5.4/demilune/core.so"] = "755",
            ["share/man/man1/demilune.1"] = "644",
            ["share/man/man3/demilune.3"] = "644",
            ["share/man/man5/demilune-policy.5"] = "644",
        }
        for name, mode in pairs(files_in((os.getenv("BUILD") or "build") .. "/bin")) do -- the command, and links to it
            expected["bin/" .. name] = mode == "777" and mode or "755"
        end
        assert.equal("755", expected["bin/demilune"])
        for path in sh("cd lua && find . -name '*.lua' -printf '%%P\n'"):gmatch("[^\n]+") do
            expected["share/lua/5.4/" .. path] = "644"
        end
        make("install", "/usr")
        assert.same(expected, files_in(scratch("a root/usr")))
        make("install", "/opt/of others")
        assert.same(expected, files_in(scratch("a root/opt/of others")))
        assert.equal("opt\nusr\n", sh("ls -A %s", sandbox.quote(scratch("a root"))))
    end)

    it("takes no files that lie beside it where anybody may write", function()
        local place = scratch("place")
        sh("mkdir -p %s/bin %s/share/lua/5.4/demilune/presets", place, place)
        sh("cp %s %s/bin", sandbox.quote(sandbox.command), place)
        sandbox.write(place .. "/share/lua/5.4/demilune/presets/planted.lua", "return {}")
        for mode, code in pairs { ["755"] = 0, ["777"] = 125 } do
            sh("chmod %s %s", mode, place)
            assert.equal(code, sandbox.sh(place .. "/bin/demilune check planted").code, mode)
        end
    end)

    it("takes another place for each kind of file", function()
        sh("%s install INST_BINDIR=%s INST_LIBDIR=%s INST_LUADIR=%s INST_MANDIR=%s", MAKE, scratch("b"), scratch("so"),
            scratch("lua"), scratch("man"))
        local found = files_in(scratch())
        for _, path in ipairs { "b/demilune", "so/demilune/core.so", "lua/demilune.lua", "lua/demilune/cli/run.lua",
            "man/man1/demilune.1", "man/man3/demilune.3", "man/man5/demilune-policy.5" } do
            assert.truthy(found[path], path)
        end
        sh("%s uninstall INST_BINDIR=%s INST_LIBDIR=%s INST_LUADIR=%s INST_MANDIR=%s", MAKE, scratch("b"), scratch("so"),
            scratch("lua"), scratch("man"))
        assert.same({}, files_in(scratch()))
    end)

    it("makes a command that runs with nothing around it", function()
        make("install", "/usr")
        works(scratch("a root/usr/bin/demilune"), scratch)
        assert(lfs.link(scratch("a root/usr/bin/demilune"), scratch("link"), true))
        works(scratch("link"), scratch)
    end)

    it("makes a module and a manual that are found below another PREFIX, as README.md says", function()
        sh("%s install PREFIX=%s", MAKE, sandbox.quote(scratch("home/.local")))
        local words = assert(sandbox.read("README.md"):match("\n    (export LUA_PATH=[^\n]*)\n"))
        local manual = assert(sandbox.read("README.md"):match("\n    (man %-M [^\n]*)\n"))
        local use = [[lua5.4 -e 'print(package.searchpath("demilune", package.path), require("demilune")._NAME)']]
        assert.equal(scratch("home/.local/share/lua/5.4/demilune.lua") .. "\tdemilune\n", sh(
            "cd / && env -u LUA_PATH -u LUA_CPATH HOME=%s sh -c %s", scratch("home"), sandbox.quote(words .. "; " .. use)))
        assert.matches("DEMILUNE%(3%)", sh("HOME=%s; MANPAGER=cat; export HOME MANPAGER; %s", scratch("home"), manual))
    end)

    it("makes a module with one name for others to see", function()
        local core = package.searchpath("demilune.core", package.cpath)
        assert.equal("luaopen_demilune_core\n", sandbox.sh("nm -D --defined-only " .. core .. " | cut -d' ' -f3").out)
    end)

    it("makes a command that loads nothing from the current directory", function()
        make("install", "/usr")
        sandbox.write(scratch("script.lua"), "print(package.path) print(package.cpath)")
        for path in sh("cd / && env -i %s script %s", sandbox.quote(scratch("a root/usr/bin/demilune")),
            scratch("script.lua")):gmatch("[^;\n]+") do
            assert.equal("/", path:sub(1, 1))
        end
    end)

    it("is undone by make uninstall, which leaves what others put there", function()
        make("install", "/usr")
        local lua = scratch("a root/usr/share/lua/5.4/demilune/")
        sandbox.write(lua .. "notes", "of somebody else", "644")
        assert(lfs.mkdir(lua .. "cli/empty"))
        make("uninstall", "/usr")
        assert.same({ ["usr/share/lua/5.4/demilune/notes"] = "644" }, files_in(scratch("a root")))
        sh("rm %s && rmdir %s", sandbox.quote(lua .. "notes"), sandbox.quote(lua .. "cli/empty"))
        make("uninstall", "/usr")
        make("uninstall", "/usr")
        assert.equal("", sh("find %s ! -type d -o -name 'demilune*'", sandbox.quote(scratch("a root"))))
    end)
end)

describe("the rock #unsanitized #once", function()
    local shared = sandbox.scratch(setup, teardown) -- made once: it is compiled with what luarocks says
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)
    local luarocks

    setup(function()
        sandbox.write(shared("config.lua"), 'rocks_provided = { ["lua-cjson"] = "2.1.0-1" }') -- the Debian package
        luarocks = ("env -u MAKELEVEL MAKEFLAGS=-j2 HOME=%s LUAROCKS_CONFIG=%s BUILD=%s luarocks --lua-version 5.4"):format(
            shared(), shared("config.lua"), shared("build"))
        sh("%s --tree %s make", luarocks, shared("tree"))
    end)

    local function in_rock(path)
        return shared("tree/lib/luarocks/rocks-5.4/demilune/dev-1/" .. path)
    end

    it("is described correctly, for each version alike", function()
        local function description(version)
            local path, fields = ("rockspec/demilune-%s.rockspec"):format(version), {}
            sh("%s lint %s", luarocks, path)
            assert(loadfile(path, "t", fields))()
            assert.equal(version, fields.version)
            fields.version, fields.source = nil, nil
            return fields
        end
        assert.same(description("dev-1"), description("0.1.0-1"))
    end)

    it("has the command, in the tree and in the rock, without a wrapper", function()
        for _, installed in ipairs { shared("tree/bin/demilune"), in_rock("bin/demilune") } do
            assert.equal("\127ELF", sandbox.read(installed):sub(1, 4))
            works(installed, scratch)
        end
    end)

    it("has the module, with what luarocks path sets", function()
        sandbox.write(scratch("host.lua"), [[
            local demilune = require "demilune"
            local policy = demilune.policy { prepare = function(p) p:set_env("A", "hooked") end }
            print(policy:run({ "sh", "-c", "echo $A" }, { capture = true }).stdout)
            print(package.searchpath("demilune", package.path))
            print(package.searchpath("demilune.core", package.cpath))]])
        local line = ('cd / && eval "$(%s --tree %s path)" && lua5.4 %s && command -v demilune'):format(luarocks,
            shared("tree"), scratch("host.lua"))
        assert.equal(("hooked\n\n%s\n%s\n%s\n"):format(shared("tree/share/lua/5.4/demilune.lua"),
            shared("tree/lib/lua/5.4/demilune/core.so"), shared("tree/bin/demilune")), sh("env -u LUA_PATH -u LUA_CPATH sh -c %s",
            sandbox.quote(line)))
    end)

    it("has the manual and the licence", function()
        for _, path in ipairs { "man/man1/demilune.1", "man/man3/demilune.3", "man/man5/demilune-policy.5", "doc/LICENSE",
            "doc/README.md" } do
            assert.equal("file", lfs.attributes(in_rock(path), "mode"), path)
        end
    end)

    it("of a release is made from its archive, and is removed without a trace", function()
        sh("tar -czf %s --transform 's,^,demilune-0.1.0/,' lua rockspec src Makefile README.md LICENSE CHANGELOG.md",
            scratch("demilune-0.1.0.tar.gz"))
        sh("cp rockspec/demilune-0.1.0-1.rockspec %s", scratch())
        sh("cd %s && %s --tree tree build demilune-0.1.0-1.rockspec", scratch(), luarocks)
        works(scratch("tree/bin/demilune"), scratch)
        sh("%s --tree %s remove demilune", luarocks, scratch("tree"))
        assert.equal("", sh("find %s -name '*demilune*'", scratch("tree")))
    end)

    it("says what is missing where libmd is", function()
        local result = sandbox.sh(("%s --tree %s make LIBMD_DIR=%s"):format(luarocks, scratch("tree"), scratch()))
        assert.are_not.equal(0, result.code)
        assert.matches("No file sha2.h in " .. scratch():gsub("%p", "%%%0"), result.err)
        assert.is_false(sandbox.exists(scratch("tree/bin/demilune")))
    end)
end)
