-- Random policies on both backends: what is seen and can be done inside is the same, and so is what comes back.
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

local SEED = tonumber(os.getenv("SEED")) or os.time() % 1000000
local COUNT = tonumber(os.getenv("POLICIES")) or 16

local look = sandbox.read("spec/support/look.py")

describe("the backends #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function chance(share)
        return math.random() < share
    end

    -- One of a list.
    local function one(list)
        return list[math.random(#list)]
    end

    -- A tree of the host: what a project has, with a file, a protected directory, a link and a secret.
    local function plant()
        assert(os.execute(("rm -rf %s/*; cd %s && mkdir -p tree/.git/hooks tree/a/b/c other/in data && echo text >tree/a/file " ..
            "&& echo hook >tree/.git/hooks/one && ln -s a tree/link && echo alone >single && echo deep >tree/a/b/c/deep " ..
            "&& chmod 640 single && chmod 711 other"):format(scratch(), scratch())))
    end

    local function listing()
        return sandbox.sh(("cd %s && find . -printf '%%P %%y %%m %%u %%l\\n' | sort; cat single tree/a/file tree/.git/hooks/one")
            :format(scratch())).out
    end

    -- A policy, and the paths inside that are of interest.
    local function random_policy()
        local tree, paths = scratch("tree"), { "/t", "/single", "/deep/er/data", "/new", "/links/to", "/run/secret" }
        local root = chance(0.2) and one { "ro_binds", "ro_binds", "rw_binds" } -- the host, all of it
        local fields = { ro_binds = {}, rw_binds = {}, masks = {}, tmpfs = {}, symlinks = {}, secrets = {}, env = {},
            limits = {}, acknowledge = { "device", "path_rw", "root", "root_rw", "user_runtime" } }
        if root then
            fields[root][1] = "/"
            fields.base = "none"
            return fields, { scratch("tree"), scratch("single") }
        end
        if chance(0.7) then
            table.insert(one { fields.rw_binds, fields.rw_binds, fields.ro_binds }, { tree, "/t" })
            if chance(0.5) then
                table.insert(one { fields.ro_binds, fields.rw_binds }, { tree .. "/.git/hooks", "/t/.git/hooks" })
            end
            if chance(0.4) then
                table.insert(fields.masks, one { "/t/a/file", "/t/a/b", "/t/.git" })
            end
            if chance(0.3) then
                table.insert(fields.tmpfs, { sandbox = "/t/a/b/c", size = "1M", mode = one { "0700", "0755", "1777" } })
            end
            for _, path in ipairs { "/t/.git", "/t/.git/hooks", "/t/.git/hooks/one", "/t/a", "/t/a/file", "/t/a/b", "/t/a/b/c",
                "/t/link" } do
                table.insert(paths, path)
            end
        end
        if chance(0.5) then
            table.insert(one { fields.ro_binds, fields.rw_binds }, { scratch("single"), "/single" })
        end
        if chance(0.4) then
            table.insert(one { fields.ro_binds, fields.rw_binds }, { scratch("data"), "/deep/er/data" })
        end
        if chance(0.4) then
            table.insert(fields.tmpfs, { sandbox = "/new", size = one { "64K", "2M" } })
        end
        if chance(0.4) then
            table.insert(fields.symlinks, { target = one { "/t/a", "nowhere", "../tmp" }, sandbox = "/links/to" })
        end
        if chance(0.4) then
            fields.secrets["/run/secret"] = "a secret\n"
        end
        if chance(0.3) then
            fields.devices = { { "/dev/zero", "/dev/spare" } }
        end
        if chance(0.2) then
            fields.work_host = scratch("other")
        end
        if chance(0.2) then
            fields.masks[#fields.masks + 1] = one { "/etc/passwd", "/usr/share", "/nothing/there" }
        end
        fields.chdir = chance(0.3) and one { "/tmp", "/", "/usr" } or nil
        fields.network = chance(0.3)
        fields.nested = #fields.masks == 0 and #fields.rw_binds == 0 and chance(0.4)
        fields.user = one { "nobody", "nobody", "caller" }
        fields.hostname = chance(0.5) and "box" or nil
        fields.seccomp = one { "default", "default", "off", { allow = { "debug", "perf" } } }
        if fields.nested and fields.seccomp == "off" then
            fields.seccomp = "default"
        end
        fields.env.GIVEN = chance(0.5) and "a value" or nil
        fields.limits.open_files = chance(0.3) and 100 or nil
        fields.limits.file_size = chance(0.3) and "1M" or nil
        fields.limits.tmp = one { "3M", "5%" }
        return fields, paths
    end

    local function run(fields, paths, backend)
        plant()
        local command = table.move(paths, 1, #paths, 4, { "/usr/bin/python3", "-c", look })
        local policy = assert(demilune.policy(fields))
        local result, message, code = policy:run(command, { backend = backend, capture = true, stdin = "null" })
        if not result then
            return ("refused: %s %s"):format(code, message)
        end
        return ("%s %s\n%s%s\nthe host:\n%s"):format(result.kind, result.exit_code, result.stdout, result.stderr, listing())
    end

    local function lines(text)
        local list, seen = {}, {}
        for line in text:gmatch("[^\n]+") do
            list[#list + 1] = line
            seen[line] = true
        end
        return list, seen
    end

    -- The lines that only one of the two has.
    local function difference(one_text, other_text)
        local list, found = {}, {}
        local first, in_first = lines(one_text)
        local second, in_second = lines(other_text)
        for _, line in ipairs(first) do
            list[#list + 1] = not in_second[line] and "bwrap:  " .. line or nil
        end
        for _, line in ipairs(second) do
            list[#list + 1] = not in_first[line] and "native: " .. line or nil
        end
        for i, line in ipairs(list) do
            found[i] = line
        end
        return table.concat(found, "\n")
    end

    math.randomseed(SEED)
    for number = 1, COUNT do
        local state = math.random(1 << 30)
        it(("give the same sandbox for a random policy: %d of seed %d"):format(number, SEED), function()
            math.randomseed(state)
            local fields, paths = random_policy()
            local by_bwrap, by_native = run(fields, paths, "bwrap"), run(fields, paths, "native")
            assert.equal("", difference(by_bwrap, by_native), require("demilune.json").encode(
                { ro = fields.ro_binds, rw = fields.rw_binds, masks = fields.masks, nested = fields.nested,
                    seccomp = tostring(fields.seccomp), user = fields.user, network = fields.network }))
            assert.matches("^exit 0\nmount ", by_native)
        end)
    end
end)
