-- Problems of options: they name the option, and say what would be right as a command line does.
local flags = require "demilune.cli.flags"
local options = require "demilune.cli.options"
local sandbox = require "support.sandbox"

-- What an option takes, where it makes a field.
local values = {
    ["--limit"] = "tmp=1M", ["--secret"] = "/etc/passwd:/x", ["--jobs"] = "1",
    ["--effect"] = "FsRead=/usr", ["--env"] = "A=b", ["--pids"] = "5",
}

describe("a problem of an option", function()
    local scratch = sandbox.scratch(before_each, after_each)

    it("names it, whatever field it makes", function()
        local count = 0
        for _, group in ipairs(options.groups) do
            for i = 2, #group do
                local option, _, takes = table.unpack(group[i])
                local state = { fields = {}, policies = {}, untrusted = {}, hooks = {}, ceilings = {} }
                assert.is_nil(group[i][5](state, takes and (values[option] or "/usr")))
                local field, value = next(state.fields)
                if field then
                    count = count + 1
                    local expected = option == "--limit" and "--limit tmp" or option
                    if type(value) == "table" and field ~= "project" and type(next(value)) == "string" then
                        field = field .. "." .. next(value)
                    end
                    assert.equal(expected, flags.option(field))
                    assert.equal(expected, flags.option(field .. (type(value) == "table" and field:find "%." and "" or "[1].host")))
                end
            end
        end
        assert.equal(25, count)
        assert.is_nil(flags.option "prepare")
        assert.equal("--limit", flags.option "limits.\27[31m")
    end)

    local function refused(arguments)
        local result = sandbox.demilune(arguments)
        assert.equal(125, result.code, result.out)
        return result.err
    end

    for line, message in pairs {
        ["--ro S/none"] = '--ro: "S/none" does not exist; create it, or leave it out [bind.missing]',
        ["--ro S/none -e policy.name='x'"] = '--ro: "S/none" does not exist; create it, or leave it out [bind.missing]',
        ["--rw S:/src:ro"] = 'run: --rw "S:/src:ro": :ro would be a part of the place inside; --ro and --rw say what can be '
            .. "written; see demilune run --help",
        ["--ro S/sub:rw"] = 'run: --ro "S/sub:rw": :rw would be a part of the path; --ro and --rw say what can be written; '
            .. "see demilune run --help",
        ["--ro S/p.lua:data"] = 'run: --ro "S/p.lua:data": the place inside, after the colon, begins with a /; see demilune '
            .. "run --help",
        ["--ro S/no:data"] = '--ro: "S/no:data" does not exist; create it, or leave it out [bind.missing]',
        ["--device /dev/none"] = '--device: "/dev/none" does not exist; create it, or leave it out [bind.missing]',
        ["--ro /usr:/a --ro S:/a"] = '--ro: "/a" is already taken by --ro; one path inside can show one thing [entry.duplicate]',
        ["--rw /"] = '--rw: "/" is the whole host, writable; leave it out, or accept it: --acknowledge root_rw [bind.dangerous]',
        ["--rw /sys"] = '--rw: "/sys" is never writable inside; use --ro [bind.never]',
        ["--env LD_PRELOAD=x"] = '--env: "LD_PRELOAD" changes what every program inside loads or runs first; leave it out, '
            .. "or accept it: --acknowledge loader_env [env.dangerous]",
        ["--pids many"] = '--pids: "many" is no whole number [type]',
        ["--limit memry=1G"] = '--limit memry: unknown field; did you mean "memory"? [field.unknown]',
        ["--memory 1M --memory 10"] = "--memory: 10 is too small; at least 1M is needed [limit.range]",
        ["--effect FsRead"] = '--effect: "FsRead" needs its path; write FsRead=PATH [effect.parameter]',
        ["--acknowledge hom"] = '--acknowledge: "hom" is no danger; did you mean "home"? [acknowledge.unknown]',
        ["--nested --rw S:/w --mask /w/sub"] = '--mask: "/w/sub" is not safe with nested: in a namespace of its own the command '
            .. "can rename it out of the way, in what --rw makes writable; take out one of the three [nested.protection]",
        ["--net --ceiling S/c.lua"] = '--net: exceeds the ceiling "S/c.lua": it allows no network [ceiling.network]',
        ["-p S/p.lua --rw S"] = '--rw: "S" would let the command rewrite its own policy; protect it: --ro S/p.lua [bind.never]',
        -- what a file or a hook says is told as that, beside options too
        ["-p S/p.lua --ro /usr --rw S/sub"] = false,
        ["-p S/bad.lua --ro /usr"] = 'S/bad.lua:2: ro_binds[1].host: "S/none" does not exist; create it, or mark the bind '
            .. "optional = true [bind.missing]",
        ["--ro /usr -e policy.ro_binds[1]='none'"] = '-e:1: ro_binds[1].host: "none" is not absolute; write the whole '
            .. "path; a prepare hook left it so [path.relative]",
    } do
        it("is told in its words: " .. line, function()
            os.execute("mkdir " .. scratch "sub")
            sandbox.write(scratch "p.lua", "return {}")
            sandbox.write(scratch "c.lua", "return { network = false }")
            sandbox.write(scratch "bad.lua", ('return {\n  ro_binds = { "%s/none" } }'):format(scratch()))
            local words = {}
            for word in line:gsub("S", scratch()):gmatch("%S+") do
                words[#words + 1] = word
            end
            table.move({ "--", "true" }, 1, 2, #words + 1, words)
            table.insert(words, 1, "run")
            if message then
                assert.equal("demilune: " .. message:gsub("S(/?)", scratch() .. "%1") .. "\n", refused(words))
            else
                assert.equal(0, sandbox.demilune(words).code)
            end
        end)
    end
end)
