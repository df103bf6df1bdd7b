-- Which backend launches: what the host has, what the plan asks for and what ceilings allow decide; and run, explain,
-- check, dry run and doctor all say the same.
local cjson = require("cjson").new()
local host = require "demilune.host"
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local machine = require "support.machine"
local noether = require "support.noether"
local sandbox = require "support.sandbox"

local NATIVE_FAILS = lacking.call { "mount_setattr", errno = 38 }

describe("the backend that auto is #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function within(line)
        return ("unshare --user --map-root-user --mount sh -c %s sh"):format(sandbox.quote(line .. ' && exec "$@"'))
    end

    local function ceiling(backends)
        return sandbox.write(scratch "ceiling.lua", ("return { backends = { %s } }"):format(backends))
    end

    -- A policy whose entries lie below a writable tree, for which native is the better one.
    local function nested()
        assert(os.execute("mkdir -p " .. scratch "tree/kept"))
        return { "--rw", scratch "tree" .. ":/t", "--ro", scratch "tree/kept" .. ":/t/kept", "--acknowledge", "path_rw" }
    end

    local function demilune(name, options, more)
        local words = { name, "--backend", "auto" }
        table.move(options, 1, #options, #words + 1, words)
        table.move({ "--", "/bin/true" }, 1, 2, #words + 1, words)
        return sandbox.demilune(words, more)
    end

    -- The backend by which it was launched, and what was said; nil when it was not.
    local function launched(options, more)
        local record = scratch "status.json"
        os.remove(record)
        local words = table.move(options, 1, #options, 3, { "--status", record })
        local result = demilune("run", words, more)
        return cjson.decode(sandbox.read(record)).backend, result.err, result.code
    end

    -- What explain and the dry run say that it would be, which must be the same.
    local function foretold(options, more)
        local told = demilune("explain", options, more)
        local dry = demilune("run", table.move(options, 1, #options, 2, { "--dry-run" }), more)
        assert.same({ 0, 0 }, { told.code, dry.code }, told.err .. dry.err)
        local name = told.out:match("\n  launched by +(%l+)")
        local line = dry.out:match("^native") or dry.out:match("^/[^ ]*/(bwrap) ")
        assert.equal(name, line)
        assert.equal(name == "bwrap", dry.out:find("--unshare-pid", 1, true) ~= nil)
        return name, dry.out
    end

    local function both(options, more)
        local by, said = launched(options, more)
        assert.equal(by, (foretold(options, more)), said)
        return by, said
    end

    it("is bwrap, and native for what bwrap cannot do: everybody says so", function()
        assert.equal("bwrap", (both {}))
        assert.equal("native", (both { "--require", "landlock" }))
        assert.equal("native", (both(nested())))
    end)

    it("is native for a policy of more mounts than bwrap makes in a second, bwrap where it has to be", function()
        local function with(binds)
            local file = sandbox.write(scratch "many.lua", ([[local binds = {}
for i = 1, %d do
    binds[i] = { "/usr/share", "/many/" .. i }
end
return { base = "host", ro_binds = binds }]]):format(binds))
            return "-p", file
        end
        assert.equal("bwrap", (both { with(400) }))
        assert.equal("native", (both { with(520) }))
        assert.matches("natively: its 5%d%d mounts would take bwrap long", demilune("run", { "-v", with(520) }).err)
        assert.same({ "bwrap", "" }, { both { "--ceiling", ceiling '"bwrap"', with(520) } })
    end)

    it("natively has no command line: the dry run tells the digest and the files, and runs nothing", function()
        assert(os.execute("mkdir " .. scratch "w"))
        local result = sandbox.demilune { "run", "-n", "--backend", "native", "--rw", scratch "w" .. ":/w", "--", "touch",
            "/w/ran" }
        local digest = result.out:match("^native backend, plan digest (%x+)\n")
        assert.equal(64, #(digest or ""))
        assert.matches("\ncommand +touch /w/ran\n", result.out)
        assert.matches("\n  w/ +read%-write +" .. scratch "w":gsub("%p", "%%%0"), result.out)
        assert.matches("\ndigest +" .. digest, result.out)
        assert.is_nil(result.out:find("bwrap", 1, true))
        assert.is_false(sandbox.exists(scratch "w/ran"))
        assert.equal("echo 'a b'\n", sandbox.demilune({ "run", "-n", "--backend", "none", "--", "echo", "a b" }).out)
    end)

    it("names itself with -v", function()
        assert.matches("launching by the native backend, system calls of our own, digest %x+\n[^\n]*natively: requires",
            demilune("run", { "-v", "--require", "landlock" }).err)
        assert.matches("launching by /[^\n]*bwrap, digest %x+\n$", demilune("run", { "-v" }).err)
    end)

    describe("under a ceiling", function()
        it("that allows bwrap alone is bwrap, also for a plan that would rather be native, and says what that means", function()
            local entries = nested()
            local options = table.move(entries, 1, #entries, 3, { "--ceiling", ceiling '"bwrap"' })
            local by, said = both(options)
            assert.equal("bwrap", by)
            if host.bwrap_follows_links() then
                assert.matches("warning: entries lie in writable trees.*cannot be native: the backend \"native\" exceeds the ceiling",
                    said)
                assert.matches("\n  warning +entries lie in writable trees", demilune("explain", options).out)
            end
            assert.equal("", select(2, launched { "--ceiling", ceiling '"bwrap"' }))
        end)

        it("that allows bwrap alone, what bwrap cannot do is refused with the reason", function()
            local options = { "--ceiling", ceiling '"bwrap"', "--require", "landlock" }
            for _, name in ipairs { "run", "explain" } do
                local result = demilune(name, options)
                assert.equal(125, result.code)
                assert.matches('%-%-require: "landlock" is no control of bwrap.s; leave it out, or launch natively', result.err)
            end
        end)

        it("that allows native alone is native: run, explain, check and what check warns of", function()
            local bound = ceiling '"native"'
            assert.equal("native", (both { "--ceiling", bound }))
            local policy = sandbox.write(scratch "p.lua", "return {}")
            local result = sandbox.demilune { "check", "--strict", "--ceiling", bound, policy }
            assert.same({ 0, "" }, { result.code, result.err })
        end)

        it("that allows native alone, where native does not work, is none, with the reason", function()
            local more = { prefix = NATIVE_FAILS }
            local by, said, code = launched({ "--ceiling", ceiling '"native"' }, more)
            assert.same({ nil, 125 }, { by, code })
            assert.matches("the native backend does not work here", said)
            assert.is_nil(said:find("exceeds", 1, true))
        end)

        it("that allows none is refused by all", function()
            local bound = ceiling ""
            local policy = sandbox.write(scratch "p.lua", "return {}")
            for _, result in ipairs { demilune("run", { "--ceiling", bound }), demilune("run", { "-n", "--ceiling", bound }),
                sandbox.demilune { "check", "--ceiling", bound, policy } } do
                assert.equal(125, result.code)
                assert.matches("exceeds the ceiling.*: it allows none", result.err)
            end
            local data = cjson.decode(sandbox.demilune({ "check", "--json", "--ceiling", bound, policy }).out)
            assert.same({ false, "ceiling.backend" }, { data[1].ok, data[1].problems[1].code })
        end)
    end)

    it("is bwrap where native does not work, and says what that means", function()
        local by, said = both(nested(), { prefix = NATIVE_FAILS })
        assert.equal("bwrap", by)
        assert.equal(host.bwrap_follows_links(), said:find("cannot be native", 1, true) ~= nil)
    end)

    it("is native where bwrap is there but cannot be executed: run and doctor agree, and say so", function()
        sandbox.sh("cp /usr/bin/bwrap " .. scratch "bwrap" .. " && chmod 644 " .. scratch "bwrap")
        local more = { prefix = within("mount --bind " .. scratch "bwrap" .. " /usr/bin/bwrap"), env = { "PATH=/nowhere" } }
        assert.equal("native", (both({}, more)))
        local named = sandbox.demilune({ "run", "--backend", "bwrap", "--", "/bin/true" }, more)
        assert.equal(125, named.code)
        assert.matches('bwrap is there, at "/usr/bin/bwrap", but cannot be executed', named.err)
        local result = sandbox.demilune({ "doctor" }, more)
        assert.equal(0, result.code)
        assert.matches("\nbwrap %(/usr/bin/bwrap%): does not work here\n  reason: it is there, but cannot be executed\n" ..
            "  remedy: as root: chmod 755 /usr/bin/bwrap\n", result.out)
        assert.matches("\nauto: native\n", result.out)
    end)

    describe("is found out by the launch itself:", function()
        -- How many processes a run of a policy makes, the runner and the command among them.
        local function processes(name, options, before)
            local words = { "run", "-q", "--backend", name }
            table.move(options, 1, #options, #words + 1, words)
            table.move({ "--", "/bin/true" }, 1, 2, #words + 1, words)
            for i, word in ipairs(words) do
                words[i] = sandbox.quote(word)
            end
            local line = ("%s && exec 3</proc/loadavg && read -r a b c d before <&3 && exec 3<&- && %s %s && "
                .. "read -r a b c d after </proc/loadavg && echo $((after - before))"):format(before, sandbox.command,
                table.concat(words, " "))
            local result = sandbox.sh("unshare --user --map-root-user --mount --pid --fork --mount-proc sh -c "
                .. sandbox.quote(line))
            assert.equal(0, result.code, result.err)
            return math.tointeger(tonumber(result.out))
        end

        it("auto makes no process more than native by name, neither a trial nor a bwrap that says its version", function()
            local by_name = processes("native", nested(), "true")
            assert.is_true(by_name >= 3)
            assert.equal(by_name, processes("auto", nested(), "true"))
            local barred = "mount --bind /dev/null /usr/bin/bwrap && export PATH=/nowhere"
            assert.equal(by_name, processes("auto", {}, barred))
        end)

        it("with bwrap after all, everything is as if nothing had been before: input, output, once executed", function()
            sandbox.sh("mkfifo " .. scratch "input")
            local options = nested()
            local words = table.move(options, 1, #options, 2, { "run" })
            table.move({ "--", "/bin/sh", "-c", "cat; echo ran >>/t/count" }, 1, 4, #words + 1, words)
            local result = sandbox.demilune(words, { env = { "DEMILUNE_BACKEND=auto" },
                prefix = ("printf whole >%s & %s"):format(scratch "input", NATIVE_FAILS), suffix = "<" .. scratch "input" })
            assert.same({ 0, "whole" }, { result.code, result.out }, result.err)
            assert.equal("ran\n", sandbox.read(scratch "tree/count"))
            assert.equal(host.bwrap_follows_links() and 1 or 0,
                select(2, result.err:gsub("warning: entries lie in writable trees", "")))
        end)

        it("a bwrap that says it is newer takes over without a warning", function()
            sandbox.sh("cp /usr/bin/bwrap " .. scratch "real")
            sandbox.write(scratch "bwrap", ('#!/bin/sh\n[ "$1" = --version ] && exec echo bubblewrap 0.12.0\nexec %s "$@"\n')
                :format(scratch "real"), "755")
            local newer = within("mount --bind " .. scratch "bwrap" .. " /usr/bin/bwrap")
            assert.same({ "bwrap", "", 0 }, { launched(nested(), { prefix = newer .. " " .. NATIVE_FAILS }) })
            assert.same({ "native", "", 0 }, { launched(nested(), { prefix = newer }) })
        end)

        it("a bwrap that does not work gives way to native, with the reason; asked for by name it is an error", function()
            local broken = { prefix = within("mount --bind /bin/false /usr/bin/bwrap") }
            assert.same({ "native", "", 0 }, { launched({}, broken) })
            local said = demilune("run", { "-v" }, broken).err
            assert.matches("natively: bwrap does not work here: .*it ended without a word", said)
            local by, why, code = launched({ "--backend", "bwrap" }, broken)
            assert.same({ "bwrap", 125 }, { by, code })
            assert.matches("bwrap could not set the sandbox up", why, 1, true)
            assert.equal("native", sandbox.demilune({ "doctor" }, broken).out:match("\nauto: (%l+)"))
        end)

        it("a launch that executed nothing proves nothing", function()
            local program = sandbox.write(scratch "program.lua", [[
local demilune, host = require "demilune", require "demilune.host"
local policy = assert(demilune.policy { chdir = "/nowhere" })
local _, _, code = policy:run({ "true" }, { backend = "native" })
io.write(code, " ", tostring(host.is_proven("native")))
assert(assert(demilune.policy {}):run({ "true" }, { backend = "native" }))
io.write(" ", tostring(host.is_proven("native")))]])
            assert.equal("chdir.missing false true", require("support.probe").lua(program, sandbox.read(program)).out)
        end)

        it("what fails because of the policy is a failure, and no reason for bwrap", function()
            local options = nested()
            table.move({ "--hostname", "other" }, 1, 2, #options + 1, options)
            local more = { prefix = lacking.call { "sethostname", errno = 1 } }
            local by, said, code = launched(options, more)
            assert.same({ "native", 125 }, { by, code })
            assert.matches("^demilune: native backend: the host name cannot be set: Operation not permitted\n$", said)
            assert.equal("native", (launched(nested(), more)))
        end)

        it("in the module, too: run and spawn, the first time and from then on", function()
            local program = sandbox.write(scratch "program.lua", [[
local tree = arg[1]
local policy = assert(demilune.policy { rw_binds = { { tree, "/t" } }, ro_binds = { { tree .. "/kept", "/t/kept" } },
    acknowledge = { "path_rw" } })
for _, input in ipairs { { path = arg[2] }, "text" } do -- a FIFO can be opened once
    local result = assert(policy:run({ "/bin/cat" }, { stdin = input, capture = true }))
    io.write(result.backend, " ", result.stdout, " ")
end
local process <close> = assert(policy:spawn({ "/bin/cat" }, { stdin = "pipe", stdout = "pipe" }))
process.stdin:write("piped")
process.stdin:close()
io.write(process.stdout:read("a"), " ", process:wait().backend, "\n")]])
            nested()
            local function run(prefix)
                local result = sandbox.demilune({ "script", program, scratch "tree", scratch "fifo" }, {
                    prefix = ("mkfifo %s; printf fifo >%s & %s"):format(scratch "fifo", scratch "fifo", prefix or "") })
                os.remove(scratch "fifo")
                assert.equal("", result.err)
                return result.out
            end
            assert.equal("native fifo native text piped native\n", run())
            assert.equal("bwrap fifo bwrap text piped bwrap\n", run(NATIVE_FAILS))
        end)

        it("a shortage is an error and no reason for bwrap, and is forgotten when it is over", function()
            nested()
            local program = sandbox.write(scratch "program.lua", [[
local tree = arg[1]
local policy = assert(demilune.policy { rw_binds = { { tree, "/t" } }, ro_binds = { { tree .. "/kept", "/t/kept" } },
    acknowledge = { "path_rw" } })
local only = assert(policy:spawn({ "/bin/sleep", "60" }, { stdin = "null" })) -- there may be one user namespace
local result, text, code = policy:run({ "/bin/true" }, { stdin = "null" })
print(result, text, code)
only:close()
for _ = 1, 200 do
    result = policy:run({ "/bin/true" }, { stdin = "null" })
    if result then
        break
    end
    os.execute("sleep 0.05")
end
print(result and result.backend)]])
            local result = sandbox.demilune({ "script", program, scratch "tree" },
                { prefix = within("echo 1 >/proc/sys/user/max_user_namespaces") })
            assert.equal("nil\tnative backend: no new namespaces: No space left on device\tsetup.failed\nnative\n",
                result.out, result.err)
        end)

        it("a shortage makes no client of noether-sandbox run its command bare", function()
            local short = within("mount --bind /dev/null /usr/bin/bwrap && echo 1 >/proc/sys/user/max_user_namespaces && "
                .. "exec unshare --user --map-root-user \"$@\" #")
            local result = noether.script("echo ran", { prefix = short, env = { "PATH=/nowhere" } }, { "--isolate", "auto" })
            assert.same({ 1, "" }, { result.code, result.out }, result.err)
            assert.matches("native backend: no new namespaces: No space left on device\n$", result.err)
        end)

        it("a batch says it once, and not with -q; with -v what launches", function()
            local jobs = ('{"command": ["/bin/true"]}\n'):rep(3)
            local function batch(more, prefix)
                local options = nested()
                local words = table.move(options, 1, #options, #more + 1, more)
                local result = sandbox.demilune({ "batch", table.unpack(words) }, { input = jobs, prefix = prefix,
                    env = { "DEMILUNE_BACKEND=auto" } })
                assert.equal(0, result.code, result.err)
                local by, count = {}, 0
                for line in result.out:gmatch("[^\n]+") do
                    by[cjson.decode(line).backend], count = true, count + 1
                end
                assert.equal(3, count)
                return result.err, next(by)
            end
            local flawed = host.bwrap_follows_links()
            local said, by = batch({}, NATIVE_FAILS)
            assert.equal("bwrap", by)
            assert.matches(flawed and "^demilune: warning: entries lie in writable trees[^\n]*cannot be native: [^\n]*\n$" or "^$",
                said)
            assert.equal("", (batch({ "-q" }, NATIVE_FAILS)))
            said, by = batch({ "-v" })
            assert.equal("native", by)
            assert.matches("^demilune: launching by the native backend, system calls of our own\n"
                .. "demilune: natively: entries lie in writable trees[^\n]*\n$", said)
            assert.equal("", (batch {}))
        end)

        it("so do the clients of noether-sandbox hear of it", function()
            nested()
            local policy = noether.policy { rw = { { scratch "tree", "/t" } }, ro = { { scratch "tree/kept", "/t/kept" } } }
            local function client(prefix)
                return noether.script("true", { policy = policy, prefix = prefix }, { "--isolate", "auto" })
            end
            local result = client(NATIVE_FAILS)
            local told = result.err:find("warning: entries lie in writable trees.*cannot be native: ") ~= nil
            assert.equal(host.bwrap_follows_links(), told, result.err)
            assert.is_nil(client().err:find("entries lie", 1, true))
        end)
    end)

    describe("as doctor tells it", function()
        local function doctor(files, more)
            local line = sandbox.quote(sandbox.command)
            return machine.run(scratch, files, ("set +e; %s doctor; echo code $?; %s doctor --json; %s run -- /bin/true; exit $?")
                :format(line, line, line), more)
        end

        local function told(result)
            local text, json = result.out:match("^(.*\n)(%b{})\n")
            return text, cjson.decode(json)
        end

        it("is the one that the ceiling of the machine allows", function()
            local text, report = told(doctor { ["ceiling.lua"] = 'return { backends = { "native" } }' })
            assert.matches("\nbwrap [^\n]*: works\n", text)
            assert.matches("\nceiling: /etc/demilune/ceiling.lua, allows native\nauto: native\ncode 0\n", text)
            assert.same({ "native", { "native" } }, { report.auto, report.ceiling.backends })
        end)

        it("is nothing when it allows none", function()
            local result = doctor { ["ceiling.lua"] = "return { backends = {} }" }
            assert.matches("allows no backend\nauto: nothing; no command can be run\ncode 125\n", (told(result)))
            assert.matches("exceeds the ceiling", result.err)
        end)

        for what, case in pairs {
            ["has a mistake"] = { { ["ceiling.lua"] = 'return {\n reed = { "/usr" } }' }, "ceiling.lua:2: .*reed" },
            ["is no Lua"] = { { ["ceiling.lua"] = "return {" }, "ceiling.lua:1: " },
            ["is not root's alone"] = { { ["ceiling.lua"] = "return {}" }, "ceiling.lua cannot be relied on",
                { setup = "chmod 666 ceiling.lua\n" } },
        } do
            it("is nothing when it " .. what .. ": no traceback, but where, why and what to do", function()
                local result = doctor(case[1], case[3])
                local text, report = told(result)
                assert.matches("\nproblem: [^\n]*" .. case[2] .. "[^\n]*\n  remedy: as root, mend", text)
                assert.matches("\nauto: nothing; no command can be run\ncode 125\n", text)
                assert.matches("\nbwrap [^\n]*: works\nnative: works\n", text)
                assert.same({ nil, 1 }, { report.auto, #report.problems })
                assert.is_nil((result.out .. result.err):find("traceback", 1, true))
            end)
        end

        it("is nothing when the policy of the machine has a mistake", function()
            local result = doctor { ["site.lua"] = "return {" }
            assert.matches("\nproblem: [^\n]*site.lua:1: .*\nauto: nothing", (told(result)))
            assert.matches("\ndemilune: [^\n]*site.lua:1: [^\n]*\n$", "\n" .. result.err)
            assert.equal(125, result.code)
        end)

        it("is what works under a ceiling that allows no base of ours: that a backend works is a fact of the host", function()
            local text = told(doctor { ["ceiling.lua"] = 'return { bases = { "host" }, backends = { "native" } }' })
            assert.matches("\nbwrap [^\n]*: works\nnative: works\n", text)
        end)
    end)
end)
