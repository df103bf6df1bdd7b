-- Plans: what stands where and in which order, what is pinned, where the command starts, its environment, the digest.
-- What is asked of the base `host` holds for the root of this machine; a /usr that is not merged is only there on a
-- machine that has one, and then the same case looks at it.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local policies = require "support.policies"
local sandbox = require "support.sandbox"

local accepted, refused, describe_plan = policies.accepted, policies.refused, policies.describe

local function with_base_none(fields)
    local copy = { base = "none" }
    for name, value in pairs(fields) do
        copy[name] = value
    end
    return copy
end

local function mounts(fields)
    return policies.mounts(describe_plan(with_base_none(fields)))
end

local function pins(fields)
    local list = {}
    for _, mount in ipairs(describe_plan(with_base_none(fields)).mounts) do
        if mount.kind == "pin" then
            list[#list + 1] = mount.at .. " for " .. mount.field
        end
    end
    return list
end

local function warned(fields, code, field, words)
    local problem = policies.find(policies.warnings(with_base_none(fields)), code, field)
    assert(problem.message:find(words, 1, true), problem.message)
end

describe("the order of mounts", function()
    it("is by depth, over every kind of entry", function()
        assert.same({
            "tmpfs /a", "mask /m", "rw_bind /z", "symlink /a/b", "rw_bind /a/c", "ro_bind /a/c2", "tmpfs /b/d",
            "file /b/e", "ro_bind /a/b2/c", "mask /a/b2/d", "tmpfs /c/c/c/c",
        }, mounts {
            masks = { "/m", "/a/b2/d" }, tmpfs = { "/c/c/c/c", "/b/d", "/a" }, secrets = { ["/b/e"] = "x" },
            symlinks = { { target = "x", sandbox = "/a/b" } }, rw_binds = { { "/opt", "/z" }, { "/opt", "/a/c" } },
            ro_binds = { { "/opt", "/a/b2/c" }, { "/opt", "/a/c2" } },
        })
    end)

    it("has what every sandbox has", function()
        local list = policies.mounts(describe_plan { base = "none" }, true)
        local first, covers = {}, 0
        for _, line in ipairs(list) do
            if line:find("^cover /proc/") then
                covers = covers + 1
            else
                first[#first + 1] = line
            end
        end
        assert.same({ "dev /dev", "proc /proc", "tmpfs /dev/shm", "seal /dev", "tmpfs /tmp", "tmpfs /work", "seal /" },
            first)
        assert(covers >= 1 and table.concat(list, ","):find("cover /proc/sys,", 1, true))
    end)

    it("on the same path lets the later kind win, with a warning", function()
        local kinds = {
            { "rw_bind", { rw_binds = { { "/opt", "/x" } } }, "rw_binds[1]" },
            { "ro_bind", { ro_binds = { { "/opt", "/x" } } }, "ro_binds[1]" },
            { "tmpfs", { tmpfs = { "/x" } }, "tmpfs[1]" },
            { "symlink", { symlinks = { { target = "y", sandbox = "/x" } } }, "symlinks[1]" },
            { "file", { secrets = { ["/x"] = "y" } }, 'secrets["/x"]' },
            { "mask", { masks = { "/x" } }, "masks[1]" },
        }
        for i = 1, #kinds do
            for j = i + 1, #kinds do
                local fields = {}
                for _, kind in ipairs { kinds[i], kinds[j] } do
                    for name, value in pairs(kind[2]) do
                        fields[name] = value
                    end
                end
                assert.same({ kinds[j][1] .. " /x" }, mounts(fields))
                warned(fields, "entry.shadowed", kinds[i][3], "is hidden by " .. kinds[j][3])
            end
        end
    end)

    it("puts work_host over other binds at /work, and every entry over what is there by itself", function()
        local fields = { work_host = "/opt", ro_binds = { { "/usr", "/work" } } }
        assert.same({ "rw_bind /work" }, mounts(fields))
        warned(fields, "entry.shadowed", "ro_binds[1]", "is hidden by work_host")
        for _, path in ipairs { "/tmp", "/work" } do
            local quiet = { ro_binds = { { "/opt", path } } }
            assert.same({ "ro_bind " .. path }, mounts(quiet))
            assert.same({}, policies.warnings(with_base_none(quiet)))
        end
        local over_base = { ro_binds = { { "/etc/hostname", "/etc/passwd" } }, tmpfs = { "/usr" } }
        assert.same({}, policies.warnings(over_base))
        assert.equal("/etc/hostname", policies.mount_at(describe_plan(over_base), "/etc/passwd").source)
    end)
end)

describe("entries below a bound tree", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    before_each(function()
        local made = sandbox.sh("cd " .. scratch() .. " && mkdir -p t/a/b/c/d/e t/out && echo x >t/f && echo x >t/a/b/f"
            .. " && ln -s a t/link && ln -s f t/flink && ln -s nowhere t/dangling && mkfifo t/fifo")
        assert(made.code == 0, made.err)
    end)

    local function tree(writable, more)
        local fields = with_base_none(more)
        local name = writable and "rw_binds" or "ro_binds"
        local list = { { scratch "t", "/t" } }
        for _, bind in ipairs(fields[name] or {}) do
            list[#list + 1] = bind
        end
        fields[name] = list
        return fields
    end

    it("have to find their place there", function()
        for _, writable in ipairs { true, false } do
            local wrong = {
                { { masks = { "/t/missing" } }, "entry.missing", "masks[1]",
                    '"/t/missing" is not there in what is bound at /t' },
                { { tmpfs = { "/t/a/x/y" } }, "entry.missing", "tmpfs[1]", "nothing is ever created on the host" },
                { { masks = { "/t/f/x" } }, "entry.missing", "masks[1]", '"/t/f/x" is not there' },
                { { secrets = { ["/t/key"] = "x" } }, "entry.missing", 'secrets["/t/key"]', "create it first" },
                { { masks = { "/t/link" } }, "entry.symlink", "masks[1]", "write the path that it leads to" },
                { { masks = { "/t/link/b" } }, "entry.symlink", "masks[1]", '"/t/link/b"', "symbolic link" },
                { { tmpfs = { "/t/link/b" } }, "entry.symlink", "tmpfs[1]", "symbolic link" },
                { { secrets = { ["/t/flink"] = "x" } }, "entry.symlink", 'secrets["/t/flink"]', "symbolic link" },
                { { masks = { "/t/dangling" } }, "entry.symlink", "masks[1]", "symbolic link" },
                { { tmpfs = { "/t/f" } }, "entry.kind", "tmpfs[1]",
                    "is a file in what is bound at /t; a directory cannot" },
                { { secrets = { ["/t/a"] = "x" } }, "entry.kind", 'secrets["/t/a"]', "a file cannot stand on it" },
                { { symlinks = { { target = "x", sandbox = "/t/a" } } }, "entry.symlink", "symlinks[1]",
                    "would have to be made" },
                { { symlinks = { { target = "x", sandbox = "/t/new" } } }, "entry.missing", "symlinks[1]",
                    "create it first" },
            }
            for _, case in ipairs(wrong) do
                refused(tree(writable, case[1]), case[2], case[3], table.unpack(case, 4))
            end
            local other = writable and "ro_binds" or "rw_binds"
            refused(tree(writable, { [other] = { { "/opt", "/t/f" } } }), "entry.kind", other .. "[1]", '"/t/f"')
            refused(tree(writable, { [other] = { { "/etc/hostname", "/t/a" } } }), "entry.kind", other .. "[1]",
                '"/t/a"')
            accepted(tree(writable, { masks = { "/t/f", "/t/a/b/c", "/t/fifo" }, tmpfs = { "/t/a/b/c/d/e",
                "/t/out" },
                secrets = { ["/t/a/b/f"] = "x" } }))
        end
    end)

    it("stand on nothing but directories", function()
        refused(tree(true, { masks = { "/t/f" }, ro_binds = { { "/opt", "/t/f/x" } } }), "entry.misplaced",
            "ro_binds[1]",
            '"/t/f/x" lies below /t/f, which is a file')
        refused({ secrets = { ["/s"] = "x" }, tmpfs = { "/s/a" } }, "entry.misplaced", "tmpfs[1]",
            "below /s, which is a file")
        refused({ symlinks = { { target = "y", sandbox = "/s" } }, tmpfs = { "/s/a" } }, "entry.misplaced",
            "tmpfs[1]",
            "below /s, which is a symbolic link; write the path it leads to")
        refused({ ro_binds = { { "/etc/hostname", "/n" }, { "/opt", "/n/x" } } }, "entry.missing", "ro_binds[2]",
            '"/n/x"')
    end)

    it("that every sandbox has go silently when the bound root has no place for them", function()
        os.execute("mkdir -p " .. scratch "root/tmp" .. " " .. scratch "root/proc")
        local fields = { base = "none", ro_binds = { { scratch "root", "/" } } }
        local list = {}
        for _, line in ipairs(policies.mounts(describe_plan(fields), true)) do
            list[#list + 1] = line:match("^[%l_]+ /%l*$")
        end
        assert.same({ "ro_bind /", "proc /proc", "tmpfs /tmp" }, list)
        assert.equal("/", describe_plan(fields).chdir)
    end)

    it("pin every directory between a protection and a writable tree", function()
        assert.same({}, pins(tree(true, { masks = { "/t/f" } })))
        assert.same({}, pins(tree(true, { masks = { "/t/a" } })))
        assert.same({ "/t/a for masks[1]" }, pins(tree(true, { masks = { "/t/a/b" } })))
        assert.same({ "/t/a for ro_binds[1]", "/t/a/b for ro_binds[1]" },
            pins(tree(true, { ro_binds = { { scratch "t/a/b/c", "/t/a/b/c" } } })))
        assert.same({ "/t/a for tmpfs[1]", "/t/a/b for tmpfs[1]", "/t/a/b/c for tmpfs[1]" },
            pins(tree(true, { tmpfs = { "/t/a/b/c/d" } })))
        assert.same({ "/t/a for secrets[\"/t/a/b/f\"]", "/t/a/b for secrets[\"/t/a/b/f\"]" },
            pins(tree(true, { secrets = { ["/t/a/b/f"] = "x" } })))
    end)

    it("pin once, and only where a rename could happen", function()
        assert.same({ "/t/a for masks[2]", "/t/a/b for masks[2]", "/t/a/b/c for masks[1]" },
            pins(tree(true, { masks = { "/t/a/b/c/d", "/t/a/b/f" } })))
        assert.same({}, pins(tree(false, { masks = { "/t/a/b/c" } })))
        assert.same({ "/t/a for rw_binds[2]" }, pins(tree(true, { rw_binds = { { "/opt", "/t/a/b" } } })))
        assert.same({}, pins(tree(true, { rw_binds = { { scratch "t/a/b", "/t/a/b" } } })))
        assert.same({}, pins { tmpfs = { "/x" }, ro_binds = { { "/opt", "/x/a/b/c" } } })
        local read_only_between = tree(true, { ro_binds = { { scratch "t/a", "/t/a" } },
            masks = { "/t/a/b/c/d" } })
        assert.same({}, pins(read_only_between))
        local writable_again = tree(true, { masks = { "/t/a/b/c/d/e" }, rw_binds = { { scratch "t/a/b",
            "/t/a/b" } },
            ro_binds = { { scratch "t/a", "/t/a" } } })
        assert.same({ "/t/a/b/c for masks[1]", "/t/a/b/c/d for masks[1]" }, pins(writable_again))
    end)

    it("pin the source of the tree that they lie in", function()
        local fields = tree(true, { rw_binds = { { scratch "t/a/b", "/t/out" } }, masks = { "/t/out/c/d" } })
        local pin = policies.mount_at(describe_plan(fields), "/t/out/c")
        assert.equal("pin", pin.kind)
        assert.equal(scratch "t/a/b/c", pin.source)
    end)

    it("narrow each other both ways", function()
        local fields = tree(false, { rw_binds = { { scratch "t/a", "/t/a" } }, ro_binds = { { scratch "t/a/b",
            "/t/a/b" } } })
        assert.same({ "ro_bind /t", "rw_bind /t/a", "ro_bind /t/a/b" }, policies.mounts(describe_plan(fields)))
    end)

    it("are masked as what they are: files as files, directories as directories", function()
        local description = describe_plan(tree(true, { masks = { "/t/f", "/t/a", "/t/fifo", "/nothing",
            "/etc/passwd" },
            base = "host" }))
        local kinds = {}
        for _, mount in ipairs(description.mounts) do
            if mount.kind == "mask" then
                kinds[mount.at] = mount.directory and "directory" or "file"
            end
        end
        assert.same({ ["/t/f"] = "file", ["/t/a"] = "directory", ["/t/fifo"] = "file", ["/nothing"] = "directory",
            ["/etc/passwd"] = "file" }, kinds)
        local over_binds = describe_plan { base = "none", ro_binds = { { "/etc/hostname", "/f" }, { "/opt",
            "/d" } },
            masks = { "/f", "/d" } }
        assert.is_false(policies.mount_at(over_binds, "/f").directory)
        assert.is_true(policies.mount_at(over_binds, "/d").directory)
    end)

    it("can be allowed again below a mask", function()
        local fields = tree(true, { masks = { "/t/a" }, rw_binds = { { scratch "t/a/b", "/t/a/b" } } })
        assert.same({ "rw_bind /t", "mask /t/a", "rw_bind /t/a/b" }, mounts(fields))
        local all = table.concat(policies.mounts(describe_plan(fields), true), ",")
        assert(all:find("seal /t/a,seal /$"), all)
        local arguments = table.concat(core.arguments(policies.plan(fields).core), " ")
        assert(arguments:find("--perms 0111 --tmpfs /t/a", 1, true), arguments)
        fields.rw_binds[2] = nil
        arguments = table.concat(core.arguments(policies.plan(fields).core), " ")
        assert(arguments:find("--perms 0000 --tmpfs /t/a", 1, true), arguments)
    end)

    it("are listed in explain, with what pins are for", function()
        local text = policies.plan(tree(true, { masks = { "/t/a/b" } })):explain()
        assert.matches("\n    a/ +pinned +stays where it is +for the program\n +b/ +masked", text)
    end)
end)

describe("where the command starts", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("is /work, the project, or what chdir says", function()
        for expected, fields in pairs {
            ["/work"] = {}, ["/opt"] = { project = "/opt/" }, ["/usr"] = { project = "/opt", chdir = "/usr" },
            ["/tmp"] = { chdir = "//tmp/" }, ["/"] = { chdir = "/" }, ["/a/b"] = { tmpfs = { "/a/b/c" },
                chdir = "/a/b" },
            ["/x"] = { ro_binds = { { "/opt", "/x" } }, chdir = "/x" }, ["/dev/shm"] = { chdir = "/dev/shm" },
            ["/usr/share"] = { chdir = "/usr/share" }, ["/proc/self"] = { chdir = "/proc/self" },
            ["/bin"] = { chdir = "/bin" },
        } do
            assert.equal(expected, describe_plan(fields).chdir)
        end
    end)

    it("has to be there", function()
        os.execute("mkdir " .. scratch "d" .. " && touch " .. scratch "f" .. " && ln -s d " .. scratch "l")
        local t = { ro_binds = { { scratch(), "/t" } }, secrets = { ["/key"] = "x" }, masks = { "/m" } }
        for path, case in pairs {
            ["/nowhere"] = { "chdir.missing", "will not be there; bind something at it, or put a tmpfs there" },
            ["/tmp/x"] = { "chdir.missing", "will not be there" },
            ["/t/x"] = { "chdir.missing", "is not there in what is bound at /t" },
            ["/t/f"] = { "chdir.missing", "is no directory" },
            ["/t/f/x"] = { "chdir.missing", "is not there in what is bound at /t" },
            ["/key"] = { "chdir.missing", "is no directory" },
            ["/m"] = { "chdir.masked", "is hidden by the mask masks[1]" },
            ["/m/x"] = { "chdir.masked", "is hidden by the mask masks[1]" },
        } do
            t.chdir = path
            refused(t, case[1], "chdir", ('"%s"'):format(path), case[2])
        end
        for _, path in ipairs { "/t", "/t/d", "/t/l" } do
            t.chdir = path
            accepted(t)
        end
    end)
end)

describe("the private places", function()
    it("have the size that limits.tmp says, a quarter of memory without it", function()
        local memory = core.facts().memory
        for value, expected in pairs {
            [false] = memory // 4, ["50%"] = memory // 2, ["1M"] = 1 << 20, [5000] = 4096, ["100%"] = memory,
        } do
            local description = describe_plan { limits = { tmp = value or nil }, tmpfs = { "/a" } }
            for _, path in ipairs { "/tmp", "/work", "/dev/shm", "/a" } do
                local size = policies.mount_at(description, path).size
                assert(size <= expected and size > expected - 8192 and size % 4096 == 0, path .. " has " .. size)
            end
        end
        local own = describe_plan { tmpfs = { { sandbox = "/a", size = "2M" } }, limits = { tmp = "1M" } }
        assert.equal(2 << 20, policies.mount_at(own, "/a").size)
    end)
end)

describe("too many binds", function()
    it("are a problem of the plan, with the counts", function()
        local fields = { base = "none", ro_binds = {} }
        for i = 1, 3100 do
            fields.ro_binds[i] = { "/opt", "/many/" .. i }
        end
        local policy = assert(demilune.policy(fields))
        local plan, text, code = policy:plan({ "true" }, { backend = "bwrap" })
        assert.same({ nil, "plan.too_many_binds" }, { plan, code })
        assert.matches("too many binds for bwrap: 31%d%d mounts need 9%d%d%d arguments, and it takes 9000", text)
        assert.is_nil(policy:run({ "true" }, { backend = "bwrap" }))
        assert.is_truthy(policy:plan({ "true" }, { backend = "native" }), "no problem of a backend without that limit")
    end)
end)

describe("a root without a directory for /proc", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    for what, make in pairs { nothing = "true", ["a file"] = "touch proc", ["a link"] = "mkdir -p p/self/fd; ln -s p proc" } do
        it(("but %s is none of bwrap's, which would execute what is there as the inner stage"):format(what), function()
            sandbox.sh(("cd %s && %s"):format(scratch(), make))
            local policy = assert(demilune.policy { base = "none", ro_binds = { { scratch(), "/" } } })
            local plan, text, code = policy:plan({ "true" }, { backend = "bwrap" })
            assert.same({ nil, "plan.no_proc" }, { plan, code })
            assert.matches(('ro_binds[1]: "%s" has no directory "proc", which bwrap needs'):format(scratch()), text, 1, true)
            assert.is_truthy(policy:plan({ "true" }, { backend = "native" }))
            sandbox.sh(("cd %s && rm -rf proc && mkdir proc"):format(scratch()))
            assert.is_truthy(policy:plan({ "true" }, { backend = "bwrap" }))
        end)
    end
end)

describe("the digest", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function shuffled(list)
        local copy = table.move(list, 1, #list, 1, {})
        for i = #copy, 2, -1 do
            local j = math.random(i)
            copy[i], copy[j] = copy[j], copy[i]
        end
        return copy
    end

    -- A table with the same content, its keys inserted in another order.
    local function rebuilt(value)
        if type(value) ~= "table" then
            return value
        end
        local keys, result = {}, {}
        for key in pairs(value) do
            keys[#keys + 1] = key
        end
        local junk = math.random(0, 9)
        for i = 1, junk do -- leaves another history of collisions behind
            result["junk" .. i] = true
        end
        for i = 1, junk do
            result["junk" .. i] = nil
        end
        for _, key in ipairs(shuffled(keys)) do
            result[key] = rebuilt(value[key])
        end
        return result
    end

    local function policy_fields()
        return {
            ro_binds = { "/opt", { "/opt", "/b" }, { "/opt", "/a" }, { host = "/opt", sandbox = "/c/d" } },
            rw_binds = { { scratch(), "/w" }, { "/usr/share", "/r" } }, masks = { "/m1", "/m2", "/w/a/b",
                "/w/a/c/d" },
            tmpfs = { "/t1", "/t2/t3", "/t2" }, env = { A = "1", B = "2", C = "3", D = false, E = true },
            secrets = { ["/s1"] = "x", ["/s2"] = "y", ["/s3/s4"] = "z" }, limits = { memory = "1G", output = 5,
                tmp = "1M" },
            env_allowlist = { "LANG", "TERM", "TZ" }, acknowledge = { "home", "root", "path_rw", "home_rw" },
        }
    end

    local function digest(fields, command)
        return policies.plan(fields, command):digest()
    end

    before_each(function()
        os.execute("mkdir -p " .. scratch "a/b" .. " " .. scratch "a/c/d")
    end)

    it("and explain do not depend on how the tables came to be", function()
        math.randomseed(7)
        local plan = policies.plan(policy_fields(), { "a", "b" })
        for _ = 1, 30 do
            local other = policies.plan(rebuilt(policy_fields()), { "a", "b" })
            assert.equal(plan:digest(), other:digest())
            assert.equal(plan:explain(), other:explain())
        end
    end)

    it("and explain do not depend on the order of lists, but for the numbers of their entries", function()
        math.randomseed(8)
        local function numberless(text)
            return (text:gsub("%[%d+%]", "[]"))
        end
        local plan = policies.plan(policy_fields())
        for _ = 1, 30 do
            local fields = rebuilt(policy_fields())
            for name, value in pairs(fields) do
                fields[name] = #value > 0 and shuffled(value) or value
            end
            local other = policies.plan(fields)
            assert.equal(plan:digest(), other:digest())
            assert.equal(numberless(plan:explain()), numberless(other:explain()))
        end
    end)

    it("changes with everything but the value of a secret and the texts for people", function()
        local function changed(change)
            local fields = policy_fields()
            change(fields)
            return digest(fields)
        end
        local seen = { [digest(policy_fields())] = "nothing" }
        local changes = {
            ro_bind = function(f) f.ro_binds[2][1] = "/srv" end,
            ro_place = function(f) f.ro_binds[2][2] = "/b2" end,
            more_binds = function(f) f.ro_binds[5] = { "/opt", "/e" } end,
            fewer_binds = function(f) f.ro_binds[4] = nil end,
            writable = function(f) f.rw_binds[3], f.ro_binds[4] = { "/opt", "/c/d" }, nil end,
            work = function(f) f.work_host = "/opt" end,
            project = function(f) f.project = "/srv" end,
            network = function(f) f.network = true end,
            base = function(f) f.base = "none" end,
            env_value = function(f) f.env.A = "2" end,
            env_name = function(f) f.env.A2, f.env.A = f.env.A, nil end,
            env_more = function(f) f.env.Z = "" end,
            tmpfs = function(f) f.tmpfs[4] = "/t4" end,
            tmpfs_size = function(f) f.tmpfs[1] = { sandbox = "/t1", size = "64K" } end,
            tmpfs_mode = function(f) f.tmpfs[1] = { sandbox = "/t1", mode = "0700" } end,
            symlink = function(f) f.symlinks = { { target = "x", sandbox = "/l" } } end,
            symlink_target = function(f) f.symlinks = { { target = "y", sandbox = "/l" } } end,
            mask = function(f) f.masks[5] = "/m3" end,
            secret_place = function(f) f.secrets["/s5"], f.secrets["/s2"] = f.secrets["/s2"], nil end,
            chdir = function(f) f.chdir = "/tmp" end,
            user = function(f) f.user = "caller" end,
            hostname = function(f) f.hostname = "h" end,
            hostname_other = function(f) f.hostname = "i" end,
            tty = function(f) f.tty = true end,
            nested = function(f) f.nested, f.masks, f.secrets = true, {}, {} end,
            seccomp = function(f) f.seccomp = "off" end,
        }
        for _, name in ipairs { "timeout", "cpu_time", "memory", "file_size", "open_files", "output", "tmp" } do
            changes["limits." .. name] = function(f)
                f.limits[name] = name == "open_files" and 32 or 2 << 20
            end
        end
        for name, change in pairs(changes) do
            local value = changed(change)
            assert(not seen[value], ("%s has the digest of %s"):format(name, seen[value]))
            assert.matches("^%x+$", value)
            assert.equal(64, #value)
            seen[value] = name
        end
        for name, change in pairs {
            secret_value = function(f) f.secrets["/s1"] = "another, longer value" end,
            name = function(f) f.name = "x" end,
            description = function(f) f.description = "x" end,
            acknowledge = function(f) f.acknowledge = { "home" } end,
            optional = function(f) f.ro_binds[5] = { host = "/nonexistent/x", optional = true } end,
            hook = function(f) f.prepare = function() end end,
        } do
            assert.equal("nothing", seen[changed(change)], name)
        end
    end)

    it("changes with the command, and where its words end", function()
        local seen = {}
        for _, command in ipairs { { "a" }, { "a", "" }, { "a", "b" }, { "ab" }, { "a b" }, { "a", "b", "" },
            { "b", "a" } } do
            local value = digest({}, command)
            assert.is_nil(seen[value])
            seen[value] = true
        end
    end)
end)

it("Paths of many directories take no longer than others", function()
    local deep = {}
    for i = 1, 300 do
        deep[i] = ("/x%d"):format(i) .. ("/a"):rep(900)
    end
    local started = os.clock()
    assert(assert(demilune.policy { tmpfs = deep }):plan { "true" })
    assert.is_true(os.clock() - started < 5) -- half a minute, were each looked for at each ancestor of each
end)

it("A plan with another command is the plan of that command", function()
    local policy = assert(demilune.policy { base = "none", ro_binds = { "/usr" }, limits = { timeout = 5 } })
    local other = assert(policy:plan { "/usr/bin/true" }):with_command { "/usr/bin/echo", "", "a b" }
    collectgarbage() -- what it has of the other plan stays
    collectgarbage()
    local same = assert(policy:plan { "/usr/bin/echo", "", "a b" })
    assert.equal(same:digest(), other:digest())
    assert.same(core.describe(same.core), core.describe(other.core))
    for _, command in ipairs { {}, { "" }, { "a\0b" }, { "a", ("x"):rep(20000) }, { 1 }, { "a", [3] = "c" } } do
        assert.is_nil(other:with_command(command))
    end
    local hooked = assert(demilune.policy { prepare = function() end }):plan { "true" }
    assert.is_nil(hooked:with_command { "false" })
    local unasked = assert(demilune.policy { prepare = function() return nil, "never" end }):plan()
    assert.is_nil(unasked:with_command { "false" })
end)
