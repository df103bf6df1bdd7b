-- The environment of a command, and what the bases bring. The caller's environment is one of the case's own.
local core = require "demilune.core"
local leaks = require "support.leaks"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

local system_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
local caller = {
    "HOME=/home/me", "USER=me", "PATH=/evil:/bin", "LANG=de_DE.UTF-8", "LANGUAGE=de", "LC_ALL=C", "LC_TIME=fr",
        "LC_=x",
    "TERM=dumb", "COLORTERM=", "NO_COLOR=1", "TZ=UTC", "SECRET=s3cret", "LCX=1", "MY_LC_ALL=1", "MULTI=a\nb",
        "EQUALS=a=b",
    "LD_PRELOAD=", "NIX_PATH=n", "RUST_LOG=info",
}

-- { what it shows, the fields as Lua text, what is there besides HOME, USER and PATH (or false: not there) }
local defaults = {
    LANG = "de_DE.UTF-8", LANGUAGE = "de", LC_ALL = "C", LC_TIME = "fr", LC_ = "x", TERM = "dumb", COLORTERM = "",
    NO_COLOR = "1", TZ = "UTC", HOME = "/work", USER = "nobody", PATH = system_path,
}

local function with(changes)
    local result = {}
    for _, map in ipairs { defaults, changes } do
        for name, value in pairs(map) do
            result[name] = value or nil
        end
    end
    return result
end

local cases = {
    { "the default", "", with {} },
    { "the default of base none", 'base = "none"', with {} },
    { "a list of its own replaces the default", 'env_allowlist = { "SECRET", "UNSET", "LC_ALL" }',
        { SECRET = "s3cret", LC_ALL = "C", HOME = "/work", USER = "nobody", PATH = system_path } },
    { "an empty list", "env_allowlist = {}", { HOME = "/work", USER = "nobody", PATH = system_path } },
    { "the caller's PATH when it is listed", 'env_allowlist = { "PATH" }',
        { HOME = "/work", USER = "nobody", PATH = "/evil:/bin" } },
    { "HOME and USER are never passed", 'env_allowlist = { "HOME", "USER" }',
        { HOME = "/work", USER = "nobody", PATH = system_path } },
    { "values",
        'env = { A = "1", EMPTY = "", MULTI = "x\\ny", LANG = "C", PATH = "/only", HOME = "/tmp", USER = "u" }',
        with { A = "1", EMPTY = "", MULTI = "x\ny", LANG = "C", PATH = "/only", HOME = "/tmp", USER = "u" } },
    { "true passes through, false leaves out",
        "env = { SECRET = true, MULTI = true, EQUALS = true, NONE = true, TERM = false, LC_ALL = false, PATH = false }",
        with { SECRET = "s3cret", MULTI = "a\nb", EQUALS = "a=b", TERM = false, LC_ALL = false, PATH = false } },
    { "env beats the list",
        'env_allowlist = { "LANG", "TERM", "TZ" }, env = { LANG = "C", TERM = false, TZ = true }',
        { LANG = "C", TZ = "UTC", HOME = "/work", USER = "nobody", PATH = system_path } },
    { "HOME can be left out", "env = { HOME = false, USER = false }", with { HOME = false, USER = false } },
    { "a PATH that is asked for and not there is not replaced", "env = { PATH = true }", with { PATH = false },
        "PATH" },
}

describe("the environment:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function run(program, without)
        local words = { "-i" }
        for _, assignment in ipairs(caller) do
            if not without or assignment:sub(1, #without + 1) ~= without .. "=" then
                words[#words + 1] = assignment
            end
        end
        local result = sandbox.demilune({ "script", sandbox.write(scratch "p.lua", program) }, { env = words })
        assert.equal("", result.err)
        return result.out
    end

    for _, case in ipairs(cases) do
        it(case[1], function()
            local out = run(([[
                local core = require "demilune.core"
                local plan = assert(assert(demilune.policy { %s }):plan { "x" })
                for _, text in ipairs(core.describe(plan.core).env) do
                    io.write(("%%q,\n"):format(text))
                end
            ]]):format(case[2]), case[4])
            local list = assert(load("return { " .. out .. " }"))()
            local found, last = {}, ""
            for _, text in ipairs(list) do
                local name, value = text:match("^([^=]*)=(.*)$")
                assert(last < name, "in the order of names")
                found[name], last = value, name
            end
            assert.same(case[3], found)
        end)
    end

    it("explain hides what was passed through and what looks secret, unless told to show it", function()
        local fields = 'env = { SECRET = true, API_TOKEN = "t0ken", db_password = "pw", PLAIN = "plain", A = "a\\nb" }'
        local hidden = run(("io.write(demilune.policy { %s }:plan():explain())"):format(fields))
        for _, line in ipairs {
            "SECRET=<passed through>", "API_TOKEN=<hidden>", "db_password=<hidden>", "PLAIN=plain", [[A=a\nb]],
            "LANG=<passed through>",
        } do
            assert(hidden:find("\n  " .. line .. " ", 1, true), line .. " is not in " .. hidden)
        end
        local shown = run(("io.write(demilune.policy { %s }:plan():explain { show_values = true })"):format(fields))
        for _, line in ipairs { "SECRET=s3cret", "API_TOKEN=t0ken", "db_password=pw", "LANG=de_DE.UTF-8" } do
            assert(shown:find("\n  " .. line .. " ", 1, true), line .. " is not in " .. shown)
        end
    end)
end)

describe("base host", function()
    local function entries(fields)
        local found = {}
        for _, mount in ipairs(policies.describe(fields).mounts) do
            if mount.field == "base" then
                found[mount.at] = mount
            end
        end
        return found
    end

    it("has /usr and the roots as they are here: links of a merged /usr, directories otherwise", function()
        local found = entries {}
        assert.equal("ro_bind", found["/usr"].kind)
        for _, path in ipairs { "/bin", "/sbin", "/lib", "/lib32", "/lib64" } do
            local kind, target = core.file_type(path)
            if kind == "link" then
                assert.same({ "symlink", target }, { found[path].kind, found[path].source })
            elseif kind == "directory" then
                assert.same({ "ro_bind", path }, { found[path].kind, found[path].source })
            else
                assert.is_nil(found[path])
            end
        end
        assert.equal(core.file_type("/nix/store") ~= nil, found["/nix/store"] ~= nil)
    end)

    it("has little of /etc, and nothing of /var or a home", function()
        local allowed = {}
        for _, name in ipairs {
            "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "passwd", "group", "hosts",
            "nsswitch.conf",
        } do
            allowed["/etc/" .. name] = true
        end
        for path, mount in pairs(entries {}) do
            assert(not path:find("^/etc") or allowed[path], path)
            for _, place in ipairs { "/var", "/home", "/root", "/run", "/srv", "/opt", "/mnt" } do
                assert(path:sub(1, #place) ~= place, path)
            end
            assert(mount.kind == "ro_bind" or mount.kind == "symlink" or mount.kind == "file", mount.kind)
        end
    end)

    it("shares with the network what finds names, and no private keys", function()
        local found = entries { network = true, acknowledge = { "x11", "dbus", "engine_socket" } }
        for _, path in ipairs { "/etc/resolv.conf", "/etc/hosts", "/etc/services", "/etc/ssl/certs" } do
            if core.realpath(path) then
                assert.equal("ro_bind", found[path].kind, path)
            end
        end
        assert.is_nil(found["/etc/ssl"])
        assert.is_nil(found["/etc/ssl/private"])
        assert.is_nil(entries({})["/etc/resolv.conf"])
        assert.equal("file", entries({})["/etc/hosts"].kind)
        local by_effect = entries { effects = { "Network" }, acknowledge = { "x11", "dbus", "engine_socket" } }
        assert.same({ #by_effect, by_effect["/etc/hosts"].kind }, { #found, found["/etc/hosts"].kind })
    end)

    it("knows the users root and nobody, and the caller when the command is the caller", function()
        local base = require "demilune.base.host"
        local files = base({}).files
        assert.equal("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/work:/bin/sh\n",
            files["/etc/passwd"])
        assert.equal("root:x:0:\nnogroup:x:65534:\n", files["/etc/group"])
        assert.matches("127.0.0.1 localhost", files["/etc/hosts"], 1, true)
        files = base({ user = "caller" }).files
        local facts = core.facts()
        if facts.uid == 0 then
            assert.equal("root:x:0:0:root:/work:/bin/sh\nnobody:x:65534:65534:nobody:/work:/bin/sh\n",
                files["/etc/passwd"])
        else
            local line = ("%s:x:%d:%d::/work:/bin/sh"):format(os.getenv("USER") or "caller", facts.uid, facts.gid)
            assert(files["/etc/passwd"]:find("\n" .. line .. "\n", 1, true), files["/etc/passwd"])
        end
        local description = policies.describe { user = "caller" }
        assert.same({ facts.uid, facts.gid }, { description.uid, description.gid })
        description = policies.describe {}
        assert.same({ 65534, 65534 }, { description.uid, description.gid })
    end)
end)

describe("the other bases", function()
    it("none has nothing", function()
        for _, mount in ipairs(policies.describe({ base = "none" }).mounts) do
            assert.equal("engine", mount.field)
        end
    end)

    it("nix has the store and the ancestor's eleven names", function()
        local base = require("demilune.base.nix")()
        assert.same({ "/nix/store" }, base.ro_binds)
        assert.same({ "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "NIX_PATH", "NIX_SSL_CERT_FILE",
            "SSL_CERT_FILE",
            "NOETHER_LOG_LEVEL", "RUST_LOG" }, base.env_allowlist)
        assert.is_nil(base.env)
    end)
end)
