-- What an operator says in /etc/demilune holds for everybody: the ceiling for every way to run a command, the policy of
-- the machine for command lines.
local cjson = require("cjson").new()
local leaks = require "support.leaks"
local lfs = require "lfs"
local machine = require "support.machine"
local sandbox = require "support.sandbox"

local build = lfs.currentdir() .. "/" .. (os.getenv("BUILD") or "build")

describe("/etc/demilune", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    before_each(function()
        for _, name in ipairs { "open", "closed" } do
            assert(lfs.mkdir(scratch(name)))
            sandbox.write(scratch(name .. "/f"), name .. "\n")
        end
    end)

    local function on(files, line, more)
        return machine.run(scratch, files, line, more)
    end

    local function ceiling(fields)
        return { ["ceiling.lua"] = "return " .. fields:gsub("@", scratch()) }
    end

    local function quoted(...)
        local words = {}
        for i, word in ipairs { ... } do
            words[i] = sandbox.quote(word)
        end
        return table.concat(words, " ")
    end

    local function demilune(...)
        return quoted(sandbox.command, ...)
    end

    -- A line that runs a program with the module.
    local function program(text)
        local path = sandbox.write(scratch "program.lua", text)
        return ("env LUA_PATH=%s LUA_CPATH=%s lua5.4 %s"):format(sandbox.quote(build .. "/share/lua/5.4/?.lua"),
            sandbox.quote(build .. "/lib/lua/5.4/?.so"), path)
    end

    local function refused(result, code, status)
        assert.equal(status or 125, result.code, result.err)
        assert.equal("", result.out)
        assert(result.err:find(code, 1, true), result.err)
    end

    -- A policy of the ancestor's with what programs need and this bind.
    local function wire(host, at)
        local binds = {}
        for _, path in ipairs { "/usr", "/bin", "/lib", "/lib64" } do
            binds[#binds + 1] = lfs.attributes(path) and { host = path, sandbox = path } or nil
        end
        binds[#binds + 1] = host and { host = host, sandbox = at } or nil
        return cjson.encode { ro_binds = binds, network = false, env_allowlist = { "LANG" } }
    end

    -- Every way to run a command that reads the closed directory.
    local function ways()
        local read = { "/bin/cat", scratch "closed/f" }
        return {
            run = { demilune("run", "--ro", scratch "closed", "--", table.unpack(read)) },
            dry = { demilune("run", "-n", "--ro", scratch "closed", "--", table.unpack(read)) .. " >/dev/null && echo closed" },
            explain = { demilune("explain", "--ro", scratch "closed") .. " >/dev/null && echo closed" },
            check = { demilune("check", sandbox.write(scratch "p.lua", ("return { ro_binds = { %q } }"):format(scratch "closed")))
                .. " >/dev/null && echo closed" },
            sandbox = { demilune("sandbox", "--", "/usr/bin/cat", "/closed/f"), input = wire(scratch "closed", "/closed"), status = 2 },
            batch = { demilune("batch", "-q", "--ro", scratch "closed") .. " | grep -o closed | tail -n 1",
                input = ('{"command":["/bin/cat","%s"]}\n'):format(scratch "closed/f") },
            script = { demilune("script", sandbox.write(scratch "s.lua", ([[
                local result, text = demilune.policy { ro_binds = { %q } }:run({ "/bin/cat", %q }, { capture = true })
                io.write(result and result.stdout or "")
                io.stderr:write(text or "")
                return result and 0 or 125]]):format(scratch "closed", scratch "closed/f"))) },
            module = { program(([[
                local demilune = require "demilune"
                local result, text = demilune.policy { ro_binds = { %q } }:run({ "/bin/cat", %q }, { capture = true })
                io.write(result and result.stdout or "")
                io.stderr:write(text or "")
                os.exit(result and 0 or 125)]]):format(scratch "closed", scratch "closed/f")) },
        }
    end

    for _, name in ipairs { "run", "dry", "explain", "check", "sandbox", "batch", "script", "module" } do
        it("a ceiling holds for everybody: " .. name, function()
            local way = ways()[name]
            local without = on({}, way[1], way)
            assert.equal("closed\n", without.out, without.err)
            local under = on(ceiling '{ read = { "@/open", "/usr" } }', way[1], way)
            if name == "batch" then -- the pipe's status is that of its end
                assert.equal("", under.out)
                assert(under.err:find("ceiling.read", 1, true), under.err)
            else
                refused(under, "ceiling.read", way.status)
            end
            assert(under.err:find('"/etc/demilune/ceiling.lua"', 1, true), under.err)
            local allowed = on(ceiling '{ read = { "@/closed", "/usr" } }', way[1], way)
            assert.equal("closed\n", allowed.out, allowed.err)
        end)
    end

    it("a ceiling's limits are given and kept, really", function()
        local files = ceiling '{ limits = { open_files = 40, file_size = "8K" } }'
        local line = "ulimit -n; head -c 20000 /dev/zero > /tmp/x; wc -c < /tmp/x"
        assert.equal("40\n8192\n", on(files, demilune("run", "-q", "--", "/bin/sh", "-c", line)).out)
        assert.equal("30\n", on(files, demilune("run", "--limit", "open_files=30", "--", "/bin/sh", "-c", "ulimit -n")).out)
        refused(on(files, demilune("run", "--limit", "open_files=41", "--", "/bin/true")), "ceiling.limit")
    end)

    it("what a hook adds is under the ceiling, and so is what a job of a batch says", function()
        local hook = ("policy:ro_bind(%q)"):format(scratch "closed")
        refused(on(ceiling '{ read = {} }', demilune("run", "-e", hook, "--", "/bin/true")), "ceiling.read")
        local result = on(ceiling '{ limits = { timeout = 5 } }', demilune("batch", "-q"),
            { input = '{"command":["/bin/true"],"timeout":4}\n{"command":["/bin/true"],"timeout":6}\n' })
        local ok = {}
        for line in result.out:gmatch("[^\n]+") do
            local answer = cjson.decode(line)
            ok[answer.line] = answer.kind .. " " .. tostring(answer.code)
        end
        assert.same({ "exit nil", "refused narrow.wider" }, { ok[1], (ok[2]:gsub("ceiling.limit", "narrow.wider")) })
    end)

    it("no isolation is no way around it", function()
        local bare = demilune("run", "--backend", "none", "--unsafe-no-isolation", "--", "/bin/echo", "bare")
        local result = on({}, bare)
        assert.equal("bare\n", result.out, result.err)
        refused(on(ceiling "{}", bare), "the backend \"none\" exceeds the ceiling")
        refused(on(ceiling '{ backends = { "bwrap" } }', bare), "exceeds the ceiling")
        assert.equal("bare\n", on(ceiling '{ backends = { "bwrap", "none" } }', bare).out)
        local wired = demilune("sandbox", "--isolate", "none", "--", "/bin/echo", "bare")
        result = on({}, wired)
        assert.equal("bare\n", result.out, result.err)
        refused(on(ceiling "{}", wired), "exceeds the ceiling", 2)
        refused(on(ceiling '{ backends = {} }', demilune("run", "--", "/bin/echo", "x")),
            ("the backend %q exceeds"):format(sandbox.backend))
        local falls_back = "unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"' sh " ..
            demilune("sandbox", "--isolate", "auto", "--", "/bin/echo", "bare")
        local without_bwrap = { setup = 'mount --bind /dev/null "$R$(command -v bwrap)"\n' }
        result = on({}, falls_back, without_bwrap)
        assert.equal("bare\n", result.out, result.err)
        refused(on(ceiling "{}", falls_back, without_bwrap), "exceeds the ceiling", 2)
    end)

    it("dangers of which a client of the ancestor is only warned count as accepted", function()
        local policy = wire(scratch "open", "/host")
        local line = ("HOME=%s "):format(scratch "open") .. demilune("sandbox", "--", "/usr/bin/true")
        local result = on({}, line, { input = policy })
        assert.equal(0, result.code, result.err)
        refused(on(ceiling '{ acknowledge = {} }', line, { input = policy }), "ceiling.acknowledge", 2)
        assert.equal(0, on(ceiling '{ acknowledge = { "home" } }', line, { input = policy }).code)
    end)

    it("--ceiling and the option add another", function()
        local own = sandbox.write(scratch "own.lua", ("return { read = { %q } }"):format(scratch "closed"))
        local line = demilune("run", "--ceiling", own, "--ro", scratch "closed", "--", "/bin/true")
        assert.equal(0, on({}, line).code)
        assert.equal(0, on(ceiling '{ read = { "@" } }', line).code)
        refused(on(ceiling '{ read = { "@/open" } }', line), "/etc/demilune/ceiling.lua")
        line = demilune("run", "--ceiling", own, "--ro", scratch "open", "--", "/bin/true")
        refused(on(ceiling '{ read = { "@" } }', line), "own.lua")
        refused(on({}, line), "own.lua")
        local policy = sandbox.write(scratch "p.lua", ("return { ro_binds = { %q } }"):format(scratch "open"))
        refused(on({}, demilune("check", "--ceiling", own, policy)), "own.lua")
        assert.equal(0, on({}, demilune("check", policy)).code)
        refused(on({}, demilune("check", "--ceiling", scratch "nothing", policy)), "No such file")
        refused(on({}, demilune("run", "--ceiling", scratch "nothing", "--", "/bin/true")), "No such file")
        refused(on({}, demilune("run", "--ceiling", sandbox.write(scratch "bad.lua", "return {\n  reed = {} }"), "--",
            "/bin/true")), "bad.lua:2: reed: ")
    end)

    it("a ceiling cannot be rewritten by what it bounds", function()
        local own = sandbox.write(scratch "open/own.lua", "return {}")
        local result = on({}, demilune("run", "--ceiling", own, "--rw", scratch "open", "--", "/bin/true"))
        refused(result, "bind.never")
        assert.equal(0, on({}, demilune("run", "--ceiling", own, "--ro", scratch "open", "--", "/bin/true")).code)
        result = on(ceiling "{}", demilune("run", "--rw", "/etc/demilune", "--", "/bin/true"))
        refused(result, "bind.never")
        assert(result.err:find("/etc/demilune/ceiling.lua", 1, true), result.err)
        assert.equal(0, on({}, demilune("run", "--rw", "/etc/demilune", "--", "/bin/true")).code)
    end)

    describe("is believed only where it is root's alone to write:", function()
        -- { what is done to it, what the message says } ; `fine`: it is believed.
        local cases = {
            { "chmod 644 ceiling.lua", fine = true },
            { "chmod 1777 . && chmod 644 ceiling.lua", fine = true },
            { "chmod 664 ceiling.lua", "can be written to by others than root" },
            { "chmod 646 ceiling.lua", "can be written to by others than root" },
            { "chmod 777 .", '/etc/demilune: can be written to by others' },
            { "chmod 775 \"$R/etc\"", '/etc: can be written to by others' },
            { "mv ceiling.lua x; mkdir ceiling.lua", "is no regular file" },
            { "mv ceiling.lua x; mkfifo ceiling.lua", "is no regular file" },
            { "mv ceiling.lua x; ln -s x ceiling.lua", fine = true },
            { "mv ceiling.lua x; ln -s nothing ceiling.lua", "No such file" },
            { "mv ceiling.lua x; ln -s ceiling.lua ceiling.lua", "Too many levels" },
            { "mkdir open; chmod 777 open; mv ceiling.lua open; ln -s open/ceiling.lua ceiling.lua",
                "/etc/demilune/open: can be written to by others" },
            { "mkdir shut; mv ceiling.lua shut; ln -s ./shut/../shut/ceiling.lua ceiling.lua", fine = true },
            { "chown 1000 ceiling.lua", "does not belong to root", root = true },
            { "chown 1000 .", "/etc/demilune: does not belong to root", root = true },
            { "mv ceiling.lua x; ln -s x ceiling.lua; chown -h 1000 ceiling.lua", "does not belong to root", root = true },
        }
        for _, case in ipairs(cases) do
            it(case[1], function()
                if case.root and not sandbox.is_root then -- only root can give files away; its namespace has one user
                    case = { "chmod 666 ceiling.lua", "can be written to by others" }
                end
                local line = demilune("run", "--net", "--acknowledge", "x11", "--acknowledge", "dbus", "--", "/bin/true")
                local result = on(ceiling "{ network = false }", line, { setup = case[1] .. "\n" })
                refused(result, case.fine and "ceiling.network" or "cannot be relied on")
                assert(case.fine or result.err:find(case[2], 1, true), result.err)
                if not case.fine then -- nothing at all runs
                    refused(on(ceiling "{}", demilune("run", "--", "/bin/true"), { setup = case[1] .. "\n" }),
                        "cannot be relied on")
                    refused(on(ceiling "{}", demilune("sandbox", "--isolate", "none", "--", "/bin/true"),
                        { setup = case[1] .. "\n" }), "cannot be relied on", 2)
                end
            end)
        end

        it("what it includes, too", function()
            local files = { ["ceiling.lua"] = "return include 'more'", ["more.lua"] = "return { network = false }" }
            local line = demilune("run", "--net", "--acknowledge", "x11", "--acknowledge", "dbus", "--", "/bin/true")
            refused(on(files, line), "ceiling.network")
            refused(on(files, line, { setup = "chmod 664 more.lua\n" }), 'reads "/etc/demilune/more.lua"')
        end)
    end)

    it("a ceiling that is broken keeps everything from running", function()
        for text, message in pairs {
            ["return { reed = {} }"] = 'ceiling.lua:1: reed: unknown field',
            ["return {"] = "ceiling.lua:1:",
            ["while true do end"] = "ceiling.lua",
            ["error 'no'"] = "ceiling.lua",
            ["return 1"] = "ceiling.lua",
            [""] = "ceiling.lua",
        } do
            local result = on({ ["ceiling.lua"] = text }, demilune("run", "--", "/bin/echo", "ran"))
            assert.equal(125, result.code, text)
            assert.equal("", result.out)
            assert(result.err:find(message, 1, true), result.err)
        end
    end)

    it("~ in a ceiling is the home of the account, not what the environment says", function()
        local files = ceiling '{ read = { "~/" } }'
        local home = sandbox.sh("getent passwd $(id -u) | cut -d: -f6").out:match("[^\n]+")
        home = sandbox.is_root and "/root" or home or "/root"
        local line = ("HOME=%s %s"):format(scratch(), demilune("run", "--ro", scratch "closed", "--", "/bin/true"))
        local result = on(files, line)
        refused(result, "ceiling.read")
        assert(result.err:find(("reading in %q"):format(sandbox.is_root and home or "/root"), 1, true), result.err)
    end)

    it("an ordinary user is under it", function()
        if not sandbox.is_root then
            return -- all of the above was
        end
        local tree = scratch "tree"
        sandbox.sh(("mkdir -p %s/share/lua; cp -r %s/bin %s; cp -rL %s/share/lua/5.4 %s/share/lua; chmod -R a+rX %s")
            :format(tree, build, tree, build, tree, scratch()))
        local line = quoted(tree .. "/bin/demilune", "run", "--ro", scratch "closed", "--", "/bin/cat", scratch "closed/f")
        assert.equal("closed\n", on({}, line, { as = 1000 }).out)
        refused(on(ceiling '{ read = { "@/open" } }', line, { as = 1000 }), "ceiling.read")
        refused(on(ceiling '{}', line, { as = 1000, setup = "chown 1000 ceiling.lua\n" }), "cannot be relied on")
        refused(on(ceiling '{}', line, { as = 1000, setup = "chmod 700 .\n" }), "cannot be relied on")
        -- a policy of another user's is not trusted, one of root's is
        local policy = sandbox.write(scratch "p.lua", ("return { ro_binds = { %q } }"):format(scratch "closed"), "644")
        line = quoted(tree .. "/bin/demilune", "run", "-p", policy, "--", "/bin/cat", scratch "closed/f")
        assert.equal("closed\n", on({}, line, { as = 1000 }).out)
        sandbox.sh("chown 1001 " .. policy)
        refused(on({}, line, { as = 1000 }), "layer.wider")
    end)

    describe("the policy of the machine", function()
        local site = { ["site.lua"] = 'return { env = { SITE = "here", WHO = "site" }, limits = { open_files = 50 }, ' ..
            'prepare = function(policy) policy:set_env("HOOK", policy.env.WHO) end }' }
        local show = { "/bin/sh", "-c", "echo $SITE $WHO $HOOK $(ulimit -n)" }

        it("stands outside of all others of run, batch and explain", function()
            assert.equal("here site site 50\n", on(site, demilune("run", "--", table.unpack(show))).out)
            assert.equal("here flag flag 50\n", on(site, demilune("run", "--env", "WHO=flag", "--", table.unpack(show))).out)
            local policy = sandbox.write(scratch "p.lua", 'return { env = { WHO = "file" }, limits = { open_files = 40 } }')
            assert.equal("here file file 40\n", on(site, demilune("run", "-p", policy, "--", table.unpack(show))).out)
            local result = on(site, demilune("batch", "-q"), { input = '{"command":["/bin/sh","-c","echo $SITE"]}\n' })
            assert.equal("here\n", cjson.decode(result.out).stdout)
            assert(on(site, demilune("explain")).out:find("SITE", 1, true))
        end)

        it("is checked with each policy, and its problems are its own", function()
            local broken = { ["site.lua"] = 'return {\n  ro_binds = { "/nothing/here" } }' }
            local policy = sandbox.write(scratch "p.lua", "return {}")
            assert.equal(0, on(site, demilune("check", policy)).code)
            refused(on(broken, demilune("check", policy)), "/etc/demilune/site.lua:2: ro_binds[1].host")
            refused(on(broken, demilune("run", "--", "/bin/true")), "/etc/demilune/site.lua:2: ro_binds[1].host")
        end)

        it("that is broken is told like any policy, by all who read it", function()
            local fine = sandbox.write(scratch "fine.lua", "return { expect = { allowed = { env = { 'PATH' } } } }", "644")
            local lines = {
                { demilune("run", "--", "/bin/echo", "ran") }, { demilune("explain") }, { demilune("test", fine) },
                { demilune("check", fine) }, { demilune("batch", "-q"), input = '{"command":["/bin/echo","ran"]}\n' },
            }
            for text, message in pairs {
                ["return {\n  reed = {} }"] = "/etc/demilune/site.lua:2: reed: unknown field",
                ["return {\n  masks = { '/a'"] = "/etc/demilune/site.lua:2: ",
                ["\nerror 'x'"] = "/etc/demilune/site.lua:2: x",
                ["return {\n  extends = 'nope' }"] = "/etc/demilune/site.lua:2: extends: ",
                [""] = "/etc/demilune/site.lua",
            } do
                for _, way in ipairs(lines) do
                    local result = on({ ["site.lua"] = text }, way[1], way)
                    assert.equal(125, result.code, result.err)
                    assert.is_nil(result.out:find("ran", 1, true) or result.out:find("fine", 1, true))
                    assert(result.err:find("demilune: " .. message, 1, true), result.err)
                    assert.is_nil(result.err:find("internal error", 1, true))
                end
            end
            if sandbox.is_root then -- an ordinary user is root there
                local tree = scratch "tree"
                sandbox.sh(("mkdir -p %s/share/lua; cp -r %s/bin %s; cp -rL %s/share/lua/5.4 %s/share/lua; chmod -R a+rX %s")
                    :format(tree, build, tree, build, tree, scratch()))
                for _, words in ipairs { { "run", "--", "/bin/true" }, { "explain" }, { "check", fine } } do
                    refused(on(site, quoted(tree .. "/bin/demilune", table.unpack(words)), { as = 1000,
                        setup = "chmod 600 site.lua\n" }), '"/etc/demilune/site.lua": Permission denied')
                end
            end
        end)

        it("holds neither for demilune sandbox nor for the module, which can name it", function()
            local result = on(site, demilune("sandbox", "--", "/usr/bin/env"), { input = wire() })
            assert.equal(0, result.code, result.err)
            assert.is_nil(result.out:find("SITE", 1, true))
            local text = [[local demilune = require "demilune"
                local policy = %s
                io.write(policy:run({ "/bin/sh", "-c", "echo $SITE" }, { capture = true }).stdout)]]
            assert.equal("\n", on(site, program(text:format("demilune.policy {}"))).out)
            assert.equal("here\n", on(site, program(text:format("assert(demilune.load 'site')"))).out)
            assert.equal("here\n", on(site, program(text:format("assert(demilune.policy { extends = 'site' })"))).out)
        end)

        it("is believed only where it is root's alone to write", function()
            for _, setup in ipairs { "chmod 666 site.lua\n", "chmod 777 .\n", "mv site.lua x; ln -s nothing site.lua\n" } do
                for _, line in ipairs { demilune("run", "--", "/bin/true"), demilune("explain"),
                        demilune("check", sandbox.write(scratch "p.lua", "return {}")) } do
                    refused(on(site, line, { setup = setup }), "/etc/demilune/site.lua, cannot be relied on")
                end
            end
        end)

        it("bounds what is not trusted", function()
            local open = { ["site.lua"] = ("return { rw_binds = { %q } }"):format(scratch "open") }
            local function try(text)
                return on(open, demilune("run", "--untrusted", sandbox.write(scratch "p.lua", text), "--", "/bin/true"))
            end
            assert.equal(0, try("return { masks = { '/srv' }, network = false }").code)
            assert.equal(0, try(("return { ro_binds = { { %q, '/again' } } }"):format(scratch "open")).code)
            refused(try(("return { ro_binds = { %q } }"):format(scratch "closed")), "layer.wider")
        end)
    end)
end)
