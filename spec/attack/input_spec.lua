-- Bad input: a clear message within a moment, exit 125, and nothing has run.
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

describe("bad input:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    before_each(function()
        assert(os.execute("mkdir " .. scratch("out")))
    end)

    -- Runs a command that would leave a mark behind, with a policy file. Returns the message.
    local function refused(path, more)
        local words = { "run", "-p", path, "--rw", scratch("out"), "--", "touch", scratch("out/ran") }
        local started = os.time()
        local result = sandbox.demilune(words, more)
        assert.equal(125, result.code, result.err)
        assert.is_true(os.time() - started < 20)
        assert.is_false(sandbox.exists(scratch("out/ran")))
        assert.equal("", result.out)
        for line in result.err:gmatch("[^\n]+") do
            assert.matches("^demilune: ", line)
            assert.is_nil(line:find("internal error", 1, true), line)
        end
        assert.is_nil(result.err:find("stack traceback", 1, true), result.err)
        return result.err
    end

    local function policy(text)
        return sandbox.write(scratch("policy.lua"), text)
    end

    it("the mark would be there with a good policy", function()
        local result = sandbox.demilune { "run", "-p", policy "return {}", "--rw", scratch("out"), "--",
            "touch", scratch("out/ran") }
        assert.equal(0, result.code, result.err)
        assert.is_true(sandbox.exists(scratch("out/ran")))
    end)

    it("a policy that is not there", function()
        local missing = scratch("none.lua")
        assert.equal(('demilune: "%s": No such file or directory [policy.missing]\n'):format(missing),
            refused(missing))
        assert.matches('no policy is called "nosuch"', refused("nosuch"))
    end)

    it("a policy that cannot be read", function()
        local path = policy "return {}"
        assert(os.execute("chmod 0 " .. path))
        if not sandbox.is_root then
            assert.matches("Permission denied", refused(path))
        end
    end)

    it("a directory, a FIFO, a socket, devices", function()
        assert(os.execute(("mkdir %s; mkfifo %s"):format(scratch("d.lua"), scratch("f.lua"))))
        assert.matches("is a directory", refused(scratch("d.lua")))
        assert.matches("no regular file", refused(scratch("f.lua")))
        for _, path in ipairs { "/dev/zero", "/dev/null", "/dev/tty", "/dev/full" } do
            refused(path)
        end
    end)

    it("a policy that is too large, and one that just is not", function()
        assert.matches("too large", refused(policy("return {} --" .. ("x"):rep(256 * 1024))))
        assert.matches("too large", refused(policy(("\0"):rep(3 << 20))))
        local most = "return {} --"
        most = most .. ("x"):rep(256 * 1024 - #most)
        assert.equal(0, sandbox.demilune({ "run", "-p", policy(most), "true" }).code)
    end)

    it("a policy that is binary", function()
        assert.matches("binary chunk", refused(policy("\27Lua\x54\0\x19\x93\r\n\x1a\n")))
        assert.matches("binary chunk", refused(policy(string.dump(load "return {}"))))
        refused(policy("\x7fELF\2\1\1" .. ("\0"):rep(2000)))
        refused(policy("\xff\xfe\0r\0e\0t\0u\0r\0n"))
        refused(policy("return {}\0"))
    end)

    it("a policy that is no table, or has no end", function()
        for _, text in ipairs { "", "return 5", "return nil", "return 'x'", "return function() end",
            "return true, {}" } do
            assert.matches("returns", refused(policy(text)))
        end
        assert.matches("policy.lua:1: .*near", refused(policy("return {")))
        assert.matches("oh no", refused(policy("error 'oh no'")))
        refused(policy("error {}"))
        refused(policy("error(setmetatable({}, {}))"))
        refused(policy("return setmetatable({}, { __index = {} })"))
    end)

    it("a policy that never ends or wants all memory", function()
        for _, text in ipairs { "while true do end", "return ('x'):rep(1 << 40)",
            "local t = {} while true do t[#t + 1] = t end",
            "local s = 'x' while true do s = s .. s end", "local function f() return f() + 1 end f()",
            "return { name = ('a'):rep(200000):find(('a*'):rep(100) .. 'b') }" } do
            refused(policy(text))
        end
    end)

    it("a policy with wrong fields has every problem told", function()
        local message = refused(policy [[
return {
    ro_bind = { "/usr" },
    network = 1,
    rw_binds = { "relative" },
    hostname = "-",
}]])
        assert.matches('policy.lua:2: ro_bind: unknown field; did you mean "ro_binds"%? %[field.unknown%]',
            message)
        assert.matches("network: .*%[", message)
        assert.matches('policy.lua:4: rw_binds%[1%].host: "relative" .*%[path.relative%]', message)
        assert.matches("hostname: ", message)
    end)

    it("too many binds are told with their numbers", function()
        local text = [[
local binds = {}
for i = 1, 5000 do
    binds[i] = { "/usr/share", ("/b/%d"):format(i) }
end
return { ro_binds = binds }]]
        local message = refused(policy(text), { env = { "DEMILUNE_BACKEND=bwrap" } })
        assert.matches("too many binds for bwrap: %d+ mounts need %d+ arguments, and it takes 9000", message)
        assert.matches("%[plan.too_many_binds%]", message)
    end)

    it("as many binds as bwrap takes do run", function()
        local binds = {}
        for i = 1, 2500 do
            binds[i] = { "/usr/share", ("/b/%d"):format(i) }
        end
        local result = assert(assert(demilune.policy { ro_binds = binds }):run({ "sh", "-c",
            "ls /b | wc -l" },
            { capture = true, stdin = "null" }))
        assert.equal("2500\n", result.stdout, result.stderr)
    end)

    it("a command that is none", function()
        local function code_of(command)
            local result, _, code = assert(demilune.policy {}):run(command, {})
            assert.is_nil(result)
            return code
        end
        assert.equal("command.empty", code_of {})
        assert.equal("command.empty", code_of { "" })
        assert.equal("command.long", code_of { "true", ("x"):rep(200000) })
        local many = { "true" }
        for i = 2, 100 do
            many[i] = ("x"):rep(100000)
        end
        assert.equal("command.long", code_of(many))
        for _, command in ipairs { { 5 }, { "true", {} }, { "true", nil, "x" }, { "true", x = "y" },
            { true } } do
            assert.is_string(code_of(command))
        end
        for _, command in ipairs { "true", 5, true } do
            assert.has_error(function() demilune.policy({}):run(command) end)
        end
    end)

    it("a status file that cannot be written is told before anything runs", function()
        for _, place in ipairs { "/no/such/place", "/", "77" } do
            local result = sandbox.demilune { "run", "--status", place, "--rw", scratch("out"), "--",
                "touch", scratch("out/ran") }
            assert.equal(125, result.code)
            assert.matches("^demilune: run: %-%-status ", result.err)
            assert.is_false(sandbox.exists(scratch("out/ran")))
        end
    end)

    it("a status file that the command could write is refused", function()
        local result = sandbox.demilune { "run", "--status", scratch("out/status"), "--rw", scratch("out"),
            "--", "touch", scratch("out/ran") }
        assert.equal(125, result.code)
        assert.matches("the command could write there", result.err)
        assert.is_false(sandbox.exists(scratch("out/ran")))
    end)

    it("a full disk under the output is the command's to notice", function()
        assert.equal(1, sandbox.sh(sandbox.quote(sandbox.command) ..
            " run -- sh -c 'echo x 2>/dev/null || exit 1' >/dev/full").code)
    end)

    it("a machine without /proc", function()
        local result = sandbox.sh(("unshare -Urm sh -c 'mount -t tmpfs none /proc && exec %s run -- true'"):format(
            sandbox.command))
        assert.same({ 125, "demilune: /proc/self/exe cannot be read; is /proc mounted?\n" }, { result.code, result.err })
    end)
end)
