-- JSON policies as the command takes them: from files and from standard input.
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

local LARGEST = 1024 * 1024

-- A policy's text with these fields beside a minimal rest.
local function with(text)
    return '{"ro_binds":[],"network":false,"env_allowlist":[]' .. text .. "}"
end

describe("a JSON policy", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function run(text, script, more)
        return sandbox.script({ "-p", sandbox.write(scratch "p.json", text) }, script, more)
    end

    it("that is blank is the default one, and what is wrong with that is told", function()
        local told = sandbox.exists("/nix/store") and '"/bin/sh": not found in the sandbox'
            or 'ro_binds[1].host: "/nix/store" does not exist'
        for _, blank in ipairs { "", " \n\t" } do
            assert.matches(told, run(blank, "true").err, 1, true)
        end
        local twice = sandbox.demilune({ "run", "-p", "-", "-p", "-", "--", "true" }, { input = with "" })
        assert.equal(125, twice.code)
        assert.matches("standard input can be read once", twice.err, 1, true)
    end)

    it("starts from base none, and from another that it names", function()
        local result = run(with "", "true")
        assert.equal(127, result.code)
        assert.matches("/bin/sh", result.err, 1, true)
        result = run(with ',"base":"host"', "echo $0")
        assert.same({ 0, "/bin/sh\n", "" }, { result.code, result.out, result.err })
        local binds = {}
        for _, path in ipairs { "/usr", "/bin", "/lib", "/lib64" } do
            binds[#binds + 1] = sandbox.exists(path) and ('{"host":"%s","sandbox":"%s"}'):format(path, path) or nil
        end
        result = run(('{"ro_binds":[%s],"network":false,"env_allowlist":["PASSED"]}'):format(table.concat(binds, ",")),
            "/usr/bin/env", { env = { "-i", "PASSED=x", "PATH=/usr/bin", "OTHER=y" } })
        local names = {}
        for name in result.out:gmatch "([%w_]+)=[^\n]*\n" do
            names[#names + 1] = name ~= "PWD" and name ~= "_" and name ~= "SHLVL" and name ~= "OLDPWD" and name or nil
        end
        table.sort(names)
        assert.same({ "HOME", "PASSED", "USER" }, names)
    end)

    it("binds, limits and hides what it says", function()
        sandbox.write(scratch "f", "content")
        local result = run(([=[{"base":"host","ro_binds":[["%s","/in"]],"network":false,"env_allowlist":[],"tmpfs":["/t"],
            "env":{"A":"b\u0009c"},"limits":{"open_files":64},"chdir":"/t"}]=]):format(scratch()),
            'cat /in/f; pwd; echo "$A"; ulimit -n; touch /in/f 2>/dev/null && echo written')
        assert.same({ 1, "content/t\nb\tc\n64\n" }, { result.code, result.out })
    end)

    it("comes from standard input too, and leaves nothing there", function()
        local result = sandbox.script({ "-p", "-" }, "wc -c", { input = with ',"base":"host"' .. "\n\n" })
        assert.same({ 0, "0\n", "" }, { result.code, result.out, result.err })
        result = sandbox.script({ "-p", "-" }, "true", { input = with ',"base":"host"' .. "x" })
        assert.same({ 125, "", "demilune: stdin:1: trailing characters at line 1 column 65 [json.syntax]\n" },
            { result.code, result.out, result.err })
        result = sandbox.demilune({ "run", "-p", "-", "--", "true" }, { prefix = "exec 0<" .. scratch() .. ";" })
        assert.same({ 125, 'demilune: "standard input": Is a directory [policy.unreadable]\n' }, { result.code, result.err })
        result = sandbox.demilune({ "run", "-p", "-", "--base", "host", "--", "echo", "layered" }, { input = with "" })
        assert.same({ 0, "layered\n" }, { result.code, result.out })
    end)

    it("has 1 MiB at most, from a file and from standard input", function()
        local text = with ',"base":"host"'
        local fits = text .. ("\n"):rep(LARGEST - #text)
        assert.equal(0, run(fits, "true").code)
        assert.equal(0, sandbox.script({ "-p", "-" }, "true", { input = fits }).code)
        local result = run(fits .. "\n", "touch /work/x; true")
        assert.same({ 125, ('demilune: "%s": is too large; a policy has at most 1048576 bytes [policy.unreadable]\n')
            :format(scratch "p.json") }, { result.code, result.err })
        result = sandbox.script({ "-p", "-" }, "true", { input = fits .. "\n" })
        assert.same({ 125, 'demilune: "standard input": is too large; a policy has at most 1048576 bytes '
            .. "[policy.unreadable]\n" }, { result.code, result.err })
        result = sandbox.script({ "-p", "-" }, "true", { input = (" "):rep(LARGEST + 1) })
        assert.equal(125, result.code)
    end)

    it("that is wrong runs nothing, and is said to be wrong at its file and line", function()
        for text, expected in pairs {
            ['{"ro_binds":[],\n"network":"false","env_allowlist":[]}'] =
                '2: network: invalid type: string "false", expected a boolean at line 2 column 17 [type]',
            [with ',\n\n"Network":true'] = '3: Network: unknown field; did you mean "network"? [field.unknown]',
            [with ',"base":"host",\n"masks":["x"]'] = '2: masks[1]: "x" is not absolute; a path inside starts with / [path.relative]',
            [with ',"base":"host",\n"hostname":"a\\u0000b"'] = '2: hostname: "a\\x00b" has a NUL byte; take it out [string.nul]',
            [with ',"base":"host",\n"work_host":"\\u0000"'] = '2: work_host: "\\x00" has a NUL byte; take it out [string.nul]',
            ['{"ro_binds":[],\n"network":true,"env_allowlist":[],"prepare":"x"}'] =
                "2: prepare: unknown field; JSON cannot have it, write the policy in Lua [field.unknown]",
            ["{\n// no comments\n}"] = "2: key must be a string at line 2 column 1 [json.syntax]",
            ["return {}"] = "1: expected value at line 1 column 1 [json.syntax]",
        } do
            sandbox.write(scratch "p.json", text)
            local line = ("demilune: %s:%s\n"):format(scratch "p.json", expected)
            for _, words in ipairs { { "run", "-p", scratch "p.json", "--", "touch", scratch "ran" }, { "check", scratch "p.json" } } do
                local result = sandbox.demilune(words)
                assert.same({ 125, "", line }, { result.code, result.out, result.err })
            end
        end
        assert.is_false(sandbox.exists(scratch "ran"))
    end)

    it("is checked and explained like any other", function()
        sandbox.write(scratch "p.json", with ',"base":"host","name":"of json"')
        local result = sandbox.demilune { "check", scratch "p.json" }
        assert.same({ 0, scratch "p.json" .. ": fine\n", "" }, { result.code, result.out, result.err })
        result = sandbox.demilune { "explain", "-p", scratch "p.json" }
        assert.matches("^policy   of json\n", result.out)
    end)

    it("that was decoded by a program runs as it was", function()
        local policy = assert(demilune.decode(with ',"base":"host","env":{"A":"\u{e9}"}'))
        local result = assert(policy:run({ "/bin/sh", "-c", "echo $A" }, { capture = true }))
        assert.equal("\u{e9}\n", result.stdout)
        result = assert(assert(demilune.decode(assert(policy:encode()))):run({ "/bin/sh", "-c", "echo $A" }, { capture = true }))
        assert.equal("\u{e9}\n", result.stdout)
    end)

    it("costs a launch with a Lua policy nothing", function()
        local program = sandbox.write(scratch "p.lua", [[
            local policy = assert(demilune.load(arg[1]))
            assert(policy:plan { "true" })
            for name in pairs(package.loaded) do
                if name:find "json" or name == "demilune.wire" then io.write(name, "\n") end
            end
        ]])
        sandbox.write(scratch "empty.lua", "return {}")
        sandbox.write(scratch "empty.json", with "")
        assert.equal("", sandbox.demilune({ "script", program, scratch "empty.lua" }).out)
        local loaded = sandbox.demilune({ "script", program, scratch "empty.json" })
        assert.matches("demilune.json_reader\n", loaded.out, 1, true)
        assert.is_nil(loaded.out:find("cjson", 1, true))
    end)
end)
