-- The presets: what each says of itself in `expect`, a real piece of work in each, and what it keeps from happening.
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local lfs = require "lfs"
local sandbox = require "support.sandbox"

describe("the preset", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    before_each(function()
        assert(lfs.mkdir(scratch("project")))
    end)

    local function sh(line, ...)
        local result = sandbox.sh(("cd %s && " .. line):format(scratch("project"), ...))
        assert.equal(0, result.code, result.out .. result.err)
        return result.out
    end

    local function write(name, text, mode)
        return sandbox.write(scratch("project/" .. name), text, mode)
    end

    -- A command in the project under a preset.
    local function run(preset, command, more)
        local words = { "run", "-p", preset }
        for _, word in ipairs(more and more.options or {}) do
            words[#words + 1] = word
        end
        words[#words + 1] = "--"
        table.move(command, 1, #command, #words + 1, words)
        return sandbox.demilune(words, { prefix = ("cd %s && "):format(scratch("project")) .. (more and more.prefix or ""),
            env = more and more.env, input = more and more.input })
    end

    local function works(...)
        local result = run(...)
        assert.equal(0, result.code, result.out .. result.err)
        return result.out
    end

    -- Every case of a preset's own, of which some must have been tried.
    local function tests(preset, more)
        local result = sandbox.demilune({ "test", "--quiet", preset }, { prefix = ("cd %s && "):format(scratch("project")) ..
            (more or "") })
        assert.equal(0, result.code, result.out .. result.err)
        assert.is_true(select(2, result.out:gsub("\nok %d+ %- [^#\n]+\n", "")) >= 5, result.out)
        return result.out
    end

    local function git_project()
        sh "git init -q . && git -c user.name=a -c user.email=b commit -q --allow-empty -m first"
    end

    -- A network is there for the bare command, or else it would prove nothing.
    local CONNECT = [==[
import socket, sys
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
import subprocess
sys.exit(subprocess.run(sys.argv[1:] + ["/usr/bin/python3", "-c",
    "import socket; socket.create_connection(('127.0.0.1', %d), 5)" % listener.getsockname()[1]]).returncode)
]==]

    it("whatever it is, checks, explains and takes a project from --project", function()
        git_project()
        local guarded = 0
        for name in lfs.dir "lua/demilune/presets" do
            name = name:match("^(.*)%.lua$")
            if name then
                local checked = sandbox.demilune({ "check", name }, { prefix = ("cd %s && "):format(scratch("project")) })
                assert.equal(0, checked.code, checked.err)
                local text = sandbox.read("lua/demilune/presets/" .. name .. ".lua")
                local function explain(...)
                    local words = { "explain", "-q", "-p", name, "--project", scratch("project"), ... }
                    local explained = sandbox.demilune(table.move({ "--", "true" }, 1, 2, #words + 1, words))
                    assert.equal(0, explained.code, explained.err)
                    return explained.out
                end
                assert.matches("^policy +" .. name .. "\n", explain())
                assert.matches("starts in +" .. scratch("project") .. " ", explain())
                if name == "project" or text:find('extends = "project"', 1, true) then
                    assert.matches("can be read, not written", explain("--why", scratch("project/.git")))
                    guarded = guarded + 1
                end
            end
        end
        assert.equal(7, guarded)
    end)

    it("project keeps what the host executes from being changed, each file of it", function()
        local executed = { ".husky/pre-commit", ".pre-commit-config.yaml", ".envrc", ".mise.toml", ".vscode/tasks.json",
            ".idea/workspace.xml", ".devcontainer/devcontainer.json", ".npmrc", ".yarnrc.yml" }
        git_project()
        for _, name in ipairs(executed) do
            sh("mkdir -p $(dirname %s) && echo old >%s", name, name)
        end
        assert.is_nil(tests("project"):find("SKIP", 1, true))
        write("configure", "#!/bin/sh\ncp $0 copy && mkdir -p out && echo done >out/config.log\n", "755")
        works("project", { "./configure" })
        assert.equal("done\n", sandbox.read(scratch("project/out/config.log")))
        for _, name in ipairs(executed) do
            local top = name:match("^[^/]+")
            for _, attack in ipairs { "echo new >" .. name, "rm -rf " .. top, "mv " .. top .. " away", "echo x >x; mv x " .. name } do
                assert.are_not.equal(0, run("project", { "sh", "-c", attack }).code, attack)
                assert.equal("old\n", sandbox.read(scratch("project/" .. name)))
            end
            sh("echo new >%s", name) -- without the sandbox
            assert.equal("new\n", sandbox.read(scratch("project/" .. name)))
        end
    end)

    it("build builds a C project with make, and keeps its git and the network from it", function()
        git_project()
        write("hello.c", '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
        write("Makefile", "all: hello\nevil:\n\techo x >.git/hooks/pre-commit\n")
        tests "build"
        works("build", { "make" })
        assert.equal("hello\n", sh "./hello")
        assert.are_not.equal(0, run("build", { "make", "evil" }).code)
        assert.is_false(sandbox.exists(scratch("project/.git/hooks/pre-commit")))
        sh "make -s evil" -- without the sandbox
        assert.is_true(sandbox.exists(scratch("project/.git/hooks/pre-commit")))
        write("connect.py", CONNECT)
        sh "/usr/bin/python3 connect.py env"
        assert.are_not.equal(0, sandbox.sh(("cd %s && /usr/bin/python3 connect.py %s run -p build --"):format(scratch("project"),
            sandbox.command)).code)
    end)

    it("python makes a venv, and pip installs into it what is local", function()
        git_project()
        tests "python"
        works("python", { "/usr/bin/python3", "-m", "venv", ".venv" })
        sh "mkdir -p package/words"
        write("package/words/__init__.py", "def main():\n    print('words of a package')\n")
        write("package/setup.py", "from setuptools import setup\nsetup(name='words', version='1.0', packages=['words'],\n" ..
            "    entry_points={'console_scripts': ['say = words:main']})\n")
        works("python", { "pip", "install", "--no-build-isolation", "./package" })
        assert.equal("words of a package\n", works("python", { "say" }))
        assert.equal(scratch("project/.venv") .. "\n", works("python", { "python", "-c", "import sys; print(sys.prefix)" }))
        local result = run("python", { "pip", "install", "requests" })
        assert.equal(1, result.code)
        assert.matches("No matching distribution found", result.err)
        assert.equal("unset\n", works("python", { "sh", "-c", "echo ${PIP_NO_INDEX-unset}" }, { options = { "--net" } }))
    end)

    -- A package whose install script says whether it reached the network, and a registry that has it, on the loopback.
    local REGISTRY = [[
import base64, functools, hashlib, http.server, io, json, os, subprocess, sys, tarfile, threading
os.chdir(sys.argv[1])
script = ("const fs = require('fs'), net = require('net'), say = what => { fs.writeFileSync(process.env.INIT_CWD + '/ran', what); "
    "process.exit() }; const s = net.connect(%d, '127.0.0.1', () => say('with the network')); "
    "s.on('error', () => say('without the network'))")
class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = files.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"{}")
    def log_message(self, *rest):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
port = server.server_address[1]
package = {"name": "nosy", "version": "1.0.0", "main": "install.js", "scripts": {"install": "node install.js"}}
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w:gz") as tar:
    for name, text in ("package.json", json.dumps(package)), ("install.js", script % port):
        info = tarfile.TarInfo("package/" + name)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
tarball = out.getvalue()
url = "http://127.0.0.1:%d" % port
version = dict(package, hasInstallScript=True, dist={"tarball": url + "/nosy/-/nosy-1.0.0.tgz",
    "integrity": "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()})
files = {"/nosy": json.dumps({"name": "nosy", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}).encode(),
    "/nosy/-/nosy-1.0.0.tgz": tarball}
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.exit(subprocess.run(sys.argv[2:], env=dict(os.environ, npm_config_registry=url)).returncode)
]]

    it("node downloads without scripts, and runs scripts without the network", function()
        sandbox.write(scratch("registry.py"), REGISTRY)
        write("package.json", '{"name": "own", "version": "1.0.0", "private": true}')
        local function with_registry(words)
            return sandbox.sh(("/usr/bin/python3 %s %s %s"):format(scratch("registry.py"), scratch("project"), words))
        end
        local function said()
            local text = sandbox.read(scratch("project/ran"))
            os.remove(scratch("project/ran"))
            return text
        end
        git_project()
        tests "node"

        -- as npm does it by itself: a script runs, with the network
        local plain = "--project " .. scratch("project") .. " --net --env npm_config_registry"
        local result = with_registry(("%s run %s -- npm install nosy"):format(sandbox.command, plain))
        assert.equal(0, result.code, result.err)
        assert.equal("with the network", said())

        for _, npmrc in ipairs { "", "ignore-scripts=false\nscript-shell=/bin/sh\n" } do
            sh "rm -rf node_modules package-lock.json && git checkout -q . 2>/dev/null || true"
            write("package.json", '{"name": "own", "version": "1.0.0", "private": true}')
            write(".npmrc", npmrc)
            result = with_registry(sandbox.command .. " run -p node -- npm install --save nosy")
            assert.equal(0, result.code, result.err)
            assert.is_nil(said(), "no script has run")
            assert.is_true(sandbox.exists(scratch("project/node_modules/nosy/install.js")))
            result = with_registry(sandbox.command .. " run -p node -- npm rebuild")
            assert.equal(0, result.code, result.err)
            assert.equal("without the network", said())
        end
        for _, option in ipairs { "--ignore-scripts=false", "--no-ignore-scripts", "--script-shell=sh", "--ignore-s=false" } do
            result = with_registry(sandbox.command .. " run -p node -- npm install nosy " .. option)
            assert.equal(125, result.code)
            assert.matches("is no option for downloading", result.err)
        end
    end)

    it("node lets a project name no program that npm runs while it downloads", function()
        local dependency, ran = scratch("dependency"), scratch("project/ran")
        sh("mkdir %s && cd %s && git init -q . && echo '{\"name\": \"dep\", \"version\": \"1.0.0\"}' >package.json && git add . && " ..
            "git -c user.name=a -c user.email=b commit -q -m first", dependency, dependency)
        write("git.sh", '#!/bin/sh\ntouch ' .. ran .. '\nexec git "$@"\n', "755")
        write(".npmrc", "git=" .. scratch("project/git.sh") .. "\n")
        local install = { "npm", "install", "git+file://" .. dependency }
        local function installed_by(options)
            sh "rm -rf node_modules package-lock.json ran"
            write("package.json", '{"name": "own", "version": "1.0.0", "private": true}')
            local words = table.move(options, 1, #options, 2, { "run" })
            words = table.move(install, 1, #install, #words + 1, words)
            local result = sandbox.demilune(words, { prefix = ("cd %s && "):format(scratch("project")) })
            assert.equal(0, result.code, result.err)
            assert.is_true(sandbox.exists(scratch("project/node_modules/dep/package.json")))
            return sandbox.exists(ran)
        end
        assert.is_true(installed_by { "--project", scratch("project"), "--net", "--ro", dependency, "--env",
            "npm_config_ignore_scripts=true" })
        assert.is_false(installed_by { "-p", "node", "--ro", dependency })
    end)

    it("luarocks makes a rock with a C module into the project's own tree", function()
        git_project()
        write("words-1.0-1.rockspec", [[package = "words" version = "1.0-1" source = { url = "." }
            build = { type = "builtin", modules = { words = "words.c", ["words.more"] = "more.lua" } }]])
        write("words.c", "#include <lua.h>\n#include <lauxlib.h>\nint luaopen_words(lua_State *L)\n{\n" ..
            '    lua_pushliteral(L, "words from C");\n    return 1;\n}\n')
        write("more.lua", "return require 'words' .. ' and Lua'")
        tests "luarocks"
        works("luarocks", { "luarocks", "--lua-version", "5.4", "--tree", "lua_modules", "make" })
        assert.equal("words from C and Lua\n", sh [[LUA_PATH='lua_modules/share/lua/5.4/?.lua' LUA_CPATH='lua_modules/lib/lua/5.4/?.so' \
            lua5.4 -e 'print((require "words.more"))']])
        write("evil-1.0-1.rockspec", [[package = "evil" version = "1.0-1" source = { url = "." }
            build = { type = "command", build_command = "touch .git/hooks/pre-commit" }]])
        local evil = { "luarocks", "--lua-version", "5.4", "--tree", "lua_modules", "make", "evil-1.0-1.rockspec" }
        assert.are_not.equal(0, run("luarocks", evil).code)
        assert.is_false(sandbox.exists(scratch("project/.git/hooks/pre-commit")))
    end)

    -- A commit outside, where what an agent left may run.
    local function commit_outside()
        return sh "git -c user.name=a -c user.email=b commit -q --allow-empty -m outside 2>&1"
    end

    it("agent changes the project, but nothing that git runs outside, and reads no secret in it", function()
        git_project()
        write(".env", "PASSWORD=1")
        write(".envrc", "export A=1")
        write("file", "old")
        sh "mkdir .ssh && touch .ssh/key"
        local text = tests "agent"
        assert.matches("\nok %d+ %- denied: read %./%.env\n", text)
        assert.matches("\nok %d+ %- denied: write %./%.envrc\n", text)
        works("agent", { "sh", "-c", "echo new >file && mkdir -p src && echo x >src/x && git log --oneline && git status" })
        assert.equal("new\n", sandbox.read(scratch("project/file")))
        for _, attack in ipairs { "cat .env", "cat .ssh/key", "echo x >.envrc", "rm .envrc", "mv .git away", "rm -rf .git/hooks",
            "git commit --allow-empty -m x", "git config core.fsmonitor /tmp/x", "mv .env b && cat b",
            "cp -r .ssh /tmp && cat /tmp/.ssh/key" } do
            assert.are_not.equal(0, run("agent", { "sh", "-c", attack }).code, attack)
        end
        assert.same({ "PASSWORD=1", "export A=1" }, { sandbox.read(scratch("project/.env")), sandbox.read(scratch("project/.envrc")) })
    end)

    -- Protecting hooks and configuration alone would not do: git takes both from where .git/commondir points.
    it("agent keeps all of .git, since one new file in it makes git run a program outside", function()
        local attack = [[mkdir -p evil/hooks && cp -r .git/objects .git/refs .git/config evil &&
            printf '#!/bin/sh\necho a program ran\n' >evil/hooks/pre-commit && chmod +x evil/hooks/pre-commit &&
            echo ../evil >.git/commondir]]
        git_project()
        assert.are_not.equal(0, run("agent", { "sh", "-c", attack }).code)
        assert.equal("", commit_outside())
        sh "rm -rf evil"
        local options = { "run", "--project", scratch("project"), "--ro", scratch("project/.git/hooks"), "--ro",
            scratch("project/.git/config"), "--", "sh", "-c", attack }
        assert.equal(0, sandbox.demilune(options).code)
        assert.equal("a program ran\n", commit_outside())
    end)

    it("agent's own cases show where there is no .git to protect", function()
        local result = sandbox.demilune({ "test", "agent" }, { prefix = ("cd %s && "):format(scratch("project")) })
        assert.equal(1, result.code)
        assert.matches("\nnot ok %d+ %- denied: write %./%.git\n", result.out)
        assert.equal(1, select(2, result.out:gsub("\nnot ok ", "")))
        assert.is_false(sandbox.exists(scratch("project/.git")))
    end)

    it("judge runs a solution on its input, and ends what does not end", function()
        write("solution.py", "print(sum(map(int, input().split())))")
        write("loop.sh", "#!/bin/sh\nwhile :; do :; done\n", "755")
        write("flood.py", "open('/tmp/large', 'w').write('x' * (20 << 20))")
        write("hungry.py", "x = bytearray(400 << 20)")
        write("spy.py", "import os, socket; print(sorted(os.environ), socket.gethostname()); open('solution.py', 'a')")
        tests "judge"
        assert.equal("42\n", works("judge", { "python3", "solution.py" }, { input = "40 2\n" }))
        assert.equal(124, run("judge", { "./loop.sh" }, { options = { "--cpu-time", "1s" } }).code)
        for _, name in ipairs { "flood.py", "hungry.py" } do
            assert.are_not.equal(0, run("judge", { "python3", name }).code, name)
            assert.equal(0, sandbox.sh(("cd %s && python3 %s; rm -f /tmp/large"):format(scratch("project"), name)).code)
        end
        local spied = run("judge", { "python3", "spy.py" }, { env = { "LEAKED=1" } })
        assert.equal("['HOME', 'LANG', 'PATH', 'USER'] judge\n", spied.out)
        assert.matches("Read%-only file system", spied.err)
        local results = sandbox.demilune({ "batch", "-q", "-p", "judge" }, { prefix = ("cd %s && "):format(scratch("project")),
            input = '{"command": ["python3", "solution.py"], "stdin": "1 2"}\n' })
        assert.equal(0, results.code, results.err)
        assert.matches('"stdout":"3\\n"', results.out, 1, true)
    end)

    it("x11 shows one display, and nothing else of the session", function()
        tests("x11", "env -u DISPLAY ")
        local number
        for candidate = 60, 99 do
            number = not sandbox.exists("/tmp/.X11-unix/X" .. candidate) and candidate or number
        end
        -- A real server, with a key that its clients need; what it prints is the display once it is ready.
        local line = ([[cd %s && export XAUTHORITY=$PWD/key HOME=$PWD
            key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
            xauth -q -f key add :%d . $key 2>/dev/null && test -s key || exit 1
            mkfifo ready && { Xvfb :%d -auth key -nolisten tcp -nolisten local -listen unix -displayfd 3 3>ready 2>/dev/null & }
            server=$! && read display <ready && export DISPLAY=:$display
            "$1" run -q -p x11 -- xdpyinfo >shown; echo $? >>shown
            "$1" run -q -p x11 -- ls -A /tmp/.X11-unix >sockets
            "$1" run -q --env DISPLAY --ro key --env XAUTHORITY -- xdpyinfo >without 2>&1; echo $? >>without
            "$1" test -q x11 >tested; echo $? >>tested
            kill $server; wait]]):format(scratch("project"), number, number)
        local result = sandbox.sh("sh -c " .. sandbox.quote(line) .. " sh " .. sandbox.command)
        assert.equal(0, result.code, result.err)
        assert.matches("name of display: +:" .. number .. "\n.*\n0\n$", sandbox.read(scratch("project/shown")))
        assert.equal("X" .. number .. "\n", sandbox.read(scratch("project/sockets")))
        assert.matches("unable to open display.*\n1\n$", sandbox.read(scratch("project/without")))
        assert.matches("\n0\n$", sandbox.read(scratch("project/tested")))
    end)

    it("gpu gives the card's devices where they are, and no other", function()
        git_project()
        tests "gpu"
        assert.are_not.equal(0, run("gpu", { "ls", "/dev/dri" }).code)
        -- A /dev with a card, in mounts of its own; its node is another name of /dev/zero.
        local node = [[d=%s/dev && mkdir -p $d && mount -t tmpfs none $d && mkdir $d/dri $d/shm && ln -s /proc/self/fd $d/fd
            for n in null zero full random urandom tty; do touch $d/$n && mount --bind /dev/$n $d/$n; done
            for n in dri/renderD128 card; do touch $d/$n && mount --bind /dev/zero $d/$n; done
            mount --rbind $d /dev]]
        local card = { prefix = lacking.mounts(node:format(scratch())) .. " " }
        assert.equal("\0\0\0\0", works("gpu", { "head", "-c", "4", "/dev/dri/renderD128" }, card))
        assert.are_not.equal(0, run("gpu", { "head", "-c", "4", "/dev/card" }, card).code)
        assert.equal("renderD128\n", works("gpu", { "ls", "/dev/dri" }, card))
        local unaccepted = sandbox.demilune({ "run", "--device", "/dev/dri/renderD128", "--", "true" }, card)
        assert.equal(125, unaccepted.code)
        assert.matches('--acknowledge device', unaccepted.err, 1, true)
        local text = tests("gpu", card.prefix)
        assert.matches("\nok %d+ %- allowed: read /dev/dri\n", text)
    end)
end)
