-- What is where: the base, binds over and under each other, masks, names that are hard to spell.
local demilune = require "demilune"
local leaks = require "support.leaks"
local lfs = require "lfs"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

describe("mounts:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function run(fields, script)
        local policy, problem = demilune.policy(fields)
        local result, text = assert(policy, problem):run({ "sh", "-c", script }, { capture = true,
            stdin = "null" })
        return assert(result, text)
    end

    local function make(...)
        for _, name in ipairs { ... } do
            assert(os.execute("mkdir -p " .. sandbox.quote(scratch(name))))
        end
    end

    it("names that an own file system might use for itself are free", function()
        local result = run({ secrets = { ["/.file0"] = "a", ["/.file1/b"] = "b", ["/root"] = "c", ["/dev2"] = "d" },
            symlinks = { { target = "/.file0", sandbox = "/.file2" } } }, "cat /.file0 /.file1/b /root /dev2 /.file2; ls -a /.file1")
        assert.equal("abcda.\n..\nb\n", result.stdout)
    end)

    it("the base host shows what it promises and nothing more", function()
        local roots = { "dev", "etc", "proc", "tmp", "usr", "work" }
        for _, name in ipairs { "bin", "lib", "lib32", "lib64", "sbin", "nix" } do
            if lfs.symlinkattributes("/" .. name) then
                roots[#roots + 1] = name
            end
        end
        local etc = { "group", "hosts", "nsswitch.conf", "passwd" }
        for _, name in ipairs { "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime" } do
            if lfs.symlinkattributes("/etc/" .. name) then
                etc[#etc + 1] = name
            end
        end
        table.sort(roots)
        table.sort(etc)
        assert.equal(table.concat(roots, "\n") .. "\n", sandbox.script({}, "LC_ALL=C ls -A /").out)
        assert.equal(table.concat(etc, "\n") .. "\n", sandbox.script({}, "LC_ALL=C ls -A /etc").out)
        assert.equal("", sandbox.script({}, "ls -A /work /tmp | grep -v :; ls -A /dev/shm").out:gsub("\n",
            ""))
    end)

    it("the base none has nothing but what the engine makes", function()
        assert.equal(127, sandbox.demilune({ "run", "--base", "none", "sh" }).code)
        make("root")
        local busy = run({ base = "none", ro_binds = { "/usr", { "/usr/bin", "/bin" }, { "/usr/lib", "/lib" },
            { "/usr/lib64", "/lib64" } } }, "ls -A /")
        assert.equal("bin\ndev\nlib\nlib64\nproc\ntmp\nusr\nwork\n", busy.stdout)
    end)

    it("the root cannot be written to, nor what lies in it", function()
        local result = sandbox.script({},
            [[for p in /x /usr/x /etc/x /dev/x /proc/x /etc/passwd /dev/pts/x; do
            (: >$p) 2>/dev/null && echo wrote $p; done; mkdir /y 2>/dev/null && echo made; echo done]])
        assert.equal("done\n", result.out)
    end)

    it("F9: no way out remains: no oldroot, no newroot", function()
        local result = sandbox.script({},
            "ls -d /oldroot /newroot /tmp/oldroot /tmp/newroot 2>/dev/null; readlink /proc/self/root; readlink /proc/1/root")
        assert.equal("/\n", result.out) -- pid 1 is not to be looked into
    end)

    it("F10: /dev has its few devices, which work", function()
        local result = sandbox.script({}, [[LC_ALL=C ls /dev | tr '\n' ' '; echo
            echo x >/dev/null && head -c 3 /dev/zero | od -An -tx1; (echo x >/dev/full) 2>/dev/null || echo full
            head -c 10 /dev/random | wc -c; head -c 10 /dev/urandom | wc -c; echo y >/dev/shm/f && cat /dev/shm/f
            : 2>/dev/null </dev/ptmx && echo pty; rm -f /dev/null 2>/dev/null || echo stays]])
        assert.equal("core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero \n 00 00 00\nfull\n10\n10\ny\n" ..
            "pty\nstays\n", result.out)
    end)

    it("read-only and read-write", function()
        make("ro", "rw")
        sandbox.write(scratch("ro/f"), "ro\n")
        local result = run({ ro_binds = { { scratch("ro"), "/ro" } }, rw_binds = { { scratch("rw"),
            "/rw" } } },
            "cat /ro/f; (echo x >/ro/f) 2>/dev/null || echo kept; (: >/ro/g) 2>/dev/null || echo kept; echo new >/rw/f")
        assert.equal("ro\nkept\nkept\n", result.stdout)
        assert.equal("ro\n", sandbox.read(scratch("ro/f")))
        assert.equal("new\n", sandbox.read(scratch("rw/f")))
    end)

    it("F4: a single file can be bound, either way", function()
        sandbox.write(scratch("a"), "a\n")
        sandbox.write(scratch("b"), "b\n")
        run({ ro_binds = { { scratch("a"), "/f/a" } }, rw_binds = { { scratch("b"), "/f/b" } } },
            "echo x >/f/a; echo y >/f/b; : >/f/c")
        assert.equal("a\n", sandbox.read(scratch("a")))
        assert.equal("y\n", sandbox.read(scratch("b")))
    end)

    it("F6: narrower wins, both ways, in whatever order it is written", function()
        make("data/out/keep", "data/in")
        local data = scratch("data")
        local result = run({ rw_binds = { data .. "/out" }, ro_binds = { data, data .. "/out/keep" } },
            ("cd %s; for d in . in out out/keep; do (: >$d/f) 2>/dev/null && echo wrote $d; done"):format(data))
        assert.equal("wrote out\n", result.stdout)
        result = run({ rw_binds = { data }, ro_binds = { data .. "/out" } },
            ("cd %s; for d in . in out out/keep; do (: >$d/f) 2>/dev/null && echo wrote $d; done"):format(data))
        assert.equal("wrote .\nwrote in\n", result.stdout)
        -- in the ancestor's order, read-write before read-only, the tree hides what lies in it
        local words = { "--bind", data .. "/out", data .. "/out", "--ro-bind", data, data }
        local by_hand = probe.reference(words, { "sh", "-c", (": >%s/out/f"):format(data) })
        assert.matches("Read%-only file system", sandbox.sh(by_hand).err)
    end)

    it("F6: a mask hides and protects a directory and a file; below it something can be allowed", function()
        make("tree/secret/open", "tree/plain")
        sandbox.write(scratch("tree/secret/key"), "key\n")
        sandbox.write(scratch("tree/secret/open/f"), "open\n")
        sandbox.write(scratch("tree/.env"), "TOKEN\n")
        local tree = scratch("tree")
        local script = ("cd %s; cat secret/key .env; cat secret/open/f; (: >secret/new) 2>/dev/null && echo wrote; " ..
            "(echo x >.env) 2>/dev/null && echo wrote; rm -rf secret/* .env 2>/dev/null; ls secret 2>/dev/null"):format(tree)
        local result = run({ rw_binds = { tree }, masks = { tree .. "/secret", tree .. "/.env" } }, script)
        assert.equal("", result.stdout)
        result = run({ rw_binds = { tree }, ro_binds = { tree .. "/secret/open" }, masks = { tree ..
            "/secret", tree .. "/.env" } },
            script)
        assert.equal("open\n", result.stdout)
        assert.equal("key\n", sandbox.read(scratch("tree/secret/key")))
        assert.equal("TOKEN\n", sandbox.read(scratch("tree/.env")))
        assert.equal("key\nTOKEN\nopen\n", run({ ro_binds = { tree } }, script:match("^[^(]*")).stdout)
    end)

    it("a project stands at its own path, and is where the command starts", function()
        make("project")
        local project = scratch("project")
        assert.equal(project .. "\n", run({ project = project }, "pwd; : >written").stdout)
        assert.is_true(sandbox.exists(project .. "/written"))
        assert.equal(project .. "\nkept\n", run({ project = { project, write = false } },
            "pwd; (: >again) 2>/dev/null || echo kept").stdout)
        assert.is_false(sandbox.exists(project .. "/again"))
    end)

    it("/work is private, or a directory of the host", function()
        make("work")
        assert.equal("/work\n", run({}, "pwd; echo x >/work/f").stdout)
        assert.equal("/work\n", run({ work_host = scratch("work") }, "pwd; echo x >/work/f").stdout)
        assert.equal("x\n", sandbox.read(scratch("work/f")))
    end)

    it("symbolic links are made, and lead where they say", function()
        make("data")
        sandbox.write(scratch("data/f"), "data\n")
        local result = run({ ro_binds = { { scratch("data"), "/data" } }, symlinks = { { target = "/data",
            sandbox = "/d" },
            { target = "../data/f", sandbox = "/links/f" } } }, "cat /d/f /links/f; readlink /d")
        assert.equal("data\ndata\n/data\n", result.stdout)
    end)

    it("a source that is a symbolic link is what it leads to", function()
        make("real")
        sandbox.write(scratch("real/f"), "real\n")
        assert(lfs.link(scratch("real"), scratch("link"), true))
        assert.equal("real\n", run({ ro_binds = { { scratch("link"), "/l" } } }, "cat /l/f").stdout)
    end)

    it("F14: names that are hard to spell", function()
        local names = { "a b", "new\nline", "quo'te\"s", "a:b", "a,b", "back\\slash", "\xc3\xa9t\xc3\xa9",
            "-dash", "--ro-bind",
            "\xff\xfe", "%s", "$(id)", ("n"):rep(255), "*", "\27[2J" }
        for _, name in ipairs(names) do
            make(name)
            sandbox.write(scratch(name .. "/in"), name)
            local inside = "/names/" .. name
            local policy = assert(demilune.policy { ro_binds = { { scratch(name .. "/in"), inside ..
                "/in" } },
                rw_binds = { { scratch(name), inside .. "/rw" } }, tmpfs = { { sandbox = inside .. "/t" } },
                secrets = { [inside .. "/secret"] = "s" } })
            local result = assert(policy:run({ "sh", "-c",
                [[cat "$1/in" "$1/secret"; echo x >"$1/rw/out" && : >"$1/t/f"]], "sh",
                inside }, { capture = true, stdin = "null", chdir = inside .. "/rw" }))
            assert.equal(name .. "s", result.stdout, result.stderr)
            assert.equal("x\n", sandbox.read(scratch(name .. "/out")))
        end
    end)

    it("nothing is left on the host", function()
        make("tree")
        run({ rw_binds = { { scratch("tree"), "/t" } }, tmpfs = { { sandbox = "/u/v" } },
            secrets = { ["/u/s"] = "x" } }, "true")
        assert.equal("", sandbox.sh("ls -A " .. scratch("tree")).out)
    end)
end)
