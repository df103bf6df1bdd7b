-- The manual pages say what there is, all of it, and nothing else.
local core = require "demilune.core"
local demilune = require "demilune"
local options = require "demilune.cli.options"
local sandbox = require "support.sandbox"

-- The lines of each section of a page.
local function sections_of(path)
    local sections, lines = {}, nil
    for line in assert(sandbox.read(path), path):gmatch("[^\n]+") do
        local title = line:match("^%.Sh (.*)$")
        if title then
            lines = {}
            sections[title] = lines
        elseif lines then
            lines[#lines + 1] = line
        end
    end
    return sections
end

-- The arguments of a macro on a line: ".It Va uid , gid Ns Pa x" has the Va "uid" and "gid".
local function arguments(line, macro)
    local found, inside = {}, false
    for word in line:gmatch("%S+") do
        local name = word:match("^%.?(%u%l)$")
        if name then
            inside = name == macro
        elseif inside and word:find("%w") then
            found[#found + 1] = word
        end
    end
    return found
end

-- The arguments of a macro on the lines that begin with `start`, as a set of names.
local function documented(lines, start, macro)
    local names = {}
    for _, line in ipairs(assert(lines, "no such section")) do
        for _, word in ipairs(line:sub(1, #start) == start and arguments(line, macro) or {}) do
            names[word] = true
        end
    end
    return names
end

-- Every word of a section.
local function words_of(lines)
    local names = {}
    for _, line in ipairs(assert(lines, "no such section")) do
        for word in line:gmatch("[%w_]+") do
            names[word] = true
        end
    end
    return names
end

local function set(list)
    local names = {}
    for _, name in ipairs(list) do
        names[name] = true
    end
    return names
end

local function has_all(names, wanted)
    assert.truthy(next(wanted))
    for name in pairs(wanted) do
        assert.truthy(names[name], ("%s is not in the manual"):format(name))
    end
end

-- The strings in a table of the engine's source: what stands between `name[...] = {` and `};`.
local function strings_in(path, name)
    local text = assert(sandbox.read(path), path)
    local body = assert(text:match("%f[%w_]" .. name .. "%[[%w_]*%] = {(.-)};"), name .. " is not in " .. path)
    local names = {}
    for word in body:gmatch('"([^"]*)"') do
        names[word] = true
    end
    return names
end

local command = sections_of "src/demilune.1"
local policy = sections_of "src/demilune-policy.5"
local module = sections_of "src/demilune.3"

describe("demilune(1)", function()
    it("has the options that there are", function()
        local known = {}
        for _, group in ipairs(options.groups) do
            for i = 2, #group do
                known[group[i][1]] = true
                if group[i][2] then
                    known[group[i][2]] = true
                end
            end
        end
        local written = {}
        for name in pairs(documented(command.OPTIONS, ".It", "Fl")) do
            written["-" .. name] = true
        end
        assert.same(known, written)
    end)

    it("has every subcommand", function()
        local help, known = sandbox.demilune({ "--help" }).out, {}
        for name in help:gmatch("\n  demilune (%l+)  ") do
            known[name] = true
        end
        has_all(known, set { "run", "check", "explain", "script" })
        has_all(documented(command.COMMANDS, ".It", "Cm"), known)
        has_all(documented(command.SYNOPSIS, ".Cm", "Cm"), known)
    end)

    it("has the exit codes of the help text", function()
        local text = sandbox.demilune({ "run", "--help" }).out:match("exit codes:\n(.*)$")
        local known = {}
        for codes in text:gmatch("\n?  (%d[%d, n+-]*)  ") do
            known[codes:gsub(" +$", "")] = true
        end
        has_all(known, set { "0-255", "124", "125", "126, 127", "128+n" })
        local said = table.concat(command["EXIT STATUS"], "\n")
        for codes in pairs(known) do
            for code in codes:gmatch("[^, ]+") do
                assert.truthy(said:find("\n.It " .. code .. "\n", 1, true), code)
            end
        end
    end)

    it("has every variable that is asked for", function()
        local known = {}
        local files = sandbox.sh("find src lua -name '*.c' -o -name '*.lua'").out
        for path in files:gmatch("[^\n]+") do
            local text = sandbox.read(path)
            for name in text:gmatch('getenv%([^()"]*"([%u_]+)"') do
                known[name] = true
            end
        end
        has_all(known, set { "HOME", "PATH", "XDG_CONFIG_HOME", "DEMILUNE_BACKEND" })
        has_all(documented(command.ENVIRONMENT, ".It", "Ev"), known)
    end)
end)

describe("demilune-policy(5)", function()
    it("has the fields that there are", function()
        local known = strings_in("src/lua_fields.c", "policy_fields")
        assert.same(known, documented(policy.FIELDS, ".It", "Va"))
    end)

    it("has the fields of a ceiling that there are", function()
        assert.same(strings_in("src/lua_ceiling.c", "fields"), documented(policy.CEILINGS, ".It", "Va"))
    end)

    it("has the limits and the dangers that there are", function()
        assert.same(strings_in("src/policy.c", "dml_limit_names"), documented(policy.LIMITS, ".It", "Va"))
        assert.same(strings_in("src/policy.c", "dml_danger_names"), documented(policy.DANGERS, ".It", "Li"))
    end)

    it("has the bases and the effects that there are", function()
        local bases = {}
        for _, line in ipairs(policy.BASES) do
            bases[line:match('^%.It "?(%l+)"?$') or line:match('^%.It Qq (%l+)$') or 0] = true
        end
        bases[0] = nil
        assert.same(strings_in("src/policy.c", "dml_base_names"), bases)
        has_all(words_of(policy.EFFECTS), strings_in("src/lua_fields.c", "effects"))
    end)

    it("has the presets that there are, and what a policy can expect", function()
        local presets = {}
        for name in sandbox.sh("ls lua/demilune/presets").out:gmatch("(%l[%w]*)%.lua") do
            presets[name] = true
        end
        assert.same(presets, documented(policy.PRESETS, ".It", "Li"))
        local verbs = {}
        for name in assert(sandbox.read("src/lua_expect.c")):match("verbs%[%] = (%b{})"):gmatch('{"(%l+)"') do
            verbs[name] = true
        end
        assert.same(verbs, documented(policy.CASES, ".It", "Va"))
    end)

    it("has the options of the system call filter that there are", function()
        assert.same(strings_in("src/seccomp_rules.c", "dml_seccomp_option_names"),
            documented(policy["SYSTEM CALL FILTER"], ".It", "Li"))
    end)

    it("has the lints that there are", function()
        local known = {}
        for _, path in ipairs { "src/lint.c", "src/lint_tree.c" } do
            for code in sandbox.read(path):gmatch('"lint%.([%l_]+)",') do
                known["lint." .. code] = true
            end
        end
        assert.is_true(known["lint.useless"])
        assert.same(known, documented(policy.LINTS, ".It", "Li"))
        has_all(known, set { "lint.pinned", "lint.socket", "lint.executed", "lint.abstract_socket", "lint.mask_nothing" })
    end)

    it("has what hooks get", function()
        local words = words_of(policy.HOOKS)
        local methods = {}
        for name in pairs(require("demilune.hook").policy.__index) do
            methods[name] = true
        end
        has_all(words, methods)
        has_all(documented(policy.HOOKS, ".Fn", "Fn"), methods)
        local context
        assert(assert(demilune.policy { prepare = function(_, given) context = given end }):plan { "true" })
        context.home, context.user, context.policy_file = "", "", "" -- not there everywhere
        local known = {}
        for name in pairs(context) do
            known[name] = true
        end
        has_all(words, known)
    end)

    it("has the names of policy files that there are", function()
        local lines = policy["POLICY FILES"]
        local libraries, at = {}, nil
        for _, line in ipairs(lines) do
            at = line:match("^%.It Va (%l+%d?)$") or line:match("^%.It (basic)$") or not line:find("^%.It") and at
            for _, name in ipairs(at and line:find("^%.Li") and arguments(line, "Li") or {}) do
                libraries[at] = libraries[at] or {}
                libraries[at][name] = true
            end
        end
        has_all(libraries, set { "basic", "string", "table", "math", "utf8" })
        local include = documented(lines, ".It Fn", "Fn")
        local private = assert(core.private { globals = { cwd = "", home = "", policy_dir = "", host = {} } })
        for name, names in pairs(libraries) do
            local there = {}
            for _, table_name in ipairs(name == "basic" and { "base_names", "base_own" }
                or { name .. "_names", name == "string" and "string_own" or nil }) do
                for known in pairs(strings_in("src/lua_library.c", table_name)) do
                    there[known] = not include[known] and true or nil
                end
            end
            assert.same(there, names)
            for known in pairs(names) do
                local text = ("return { v = type(%s) }"):format(name == "basic" and known or name .. "." .. known)
                assert.are_not.equal("nil", assert(private:load(text, "p.lua")).v)
            end
        end
        local facts = { distribution = true, bwrap_version = true }
        for name in pairs(core.facts()) do
            facts[name] = true
        end
        has_all(words_of(lines), facts)
        has_all(words_of(lines), set { "include", "cwd", "home", "policy_dir", "host" })
        private:close()
    end)
end)

-- What a section of demilune(3) has of a class or the module, functions (Fn) or fields (Va), without their arguments.
local function entries(title, macro)
    local names = {}
    for name in pairs(documented(module[title], ".It", macro)) do
        names[name] = name:find("^%l+[.:][%w_]+$") and true or nil
    end
    return names
end

-- The fields that the annotations of a class tell of, but those of its own package.
local function annotated(path, class)
    local names, inside = {}, false
    for line in assert(sandbox.read(path), path):gmatch("[^\n]*") do
        local begun = line:match("^%-%-%-@class (.*)$")
        if begun then
            inside = (" " .. begun .. " "):find(" " .. class .. " ", 1, true) ~= nil
        end
        inside = inside and line:find("^%-%-%-") ~= nil
        local name = inside and line:match("^%-%-%-@field ([%w_]+)")
        if name and name ~= "package" then
            names[name] = true
        end
    end
    return names
end

describe("demilune(3)", function()
    local classes = {
        { title = "POLICIES", name = "policy", internal = set { "build", "has_hooks", "lint" } },
        { title = "PLANS", name = "plan", internal = set { "instead", "begin", "complete" } },
        { title = "PROCESSES", name = "process", internal = set { "launch" } },
        { title = "STREAMS", name = "stream", internal = {} },
    }

    -- The methods of a class that programs call.
    local function methods_of(class)
        local constructors, methods = { [require("demilune.stream").new] = true }, {}
        for _, value in pairs(demilune) do
            constructors[value] = true
        end
        for name, value in pairs(require("demilune." .. class.name)) do
            local public = type(value) == "function" and not name:find("^__") and not constructors[value]
            if public and not class.internal[name] then
                methods[name] = value
            end
        end
        assert.truthy(next(methods))
        return methods
    end

    it("has every function and constant of the module, and no other", function()
        local functions, constants = {}, {}
        for name, value in pairs(demilune) do
            (type(value) == "function" and functions or constants)["demilune." .. name] = true
        end
        assert.same(functions, entries("THE MODULE", "Fn"))
        assert.same(constants, entries("THE MODULE", "Va"))
    end)

    for _, class in ipairs(classes) do
        it("has every method and field, and no other: " .. class.name, function()
            local known, fields = {}, {}
            for name in pairs(methods_of(class)) do
                known[class.name .. ":" .. name] = true
            end
            assert.same(known, entries(class.title, "Fn"))
            local path = ("lua/demilune/%s.lua"):format(class.name)
            for name in pairs(annotated(path, "demilune." .. class.name:gsub("^%l", string.upper))) do
                if not known[class.name .. ":" .. name] then -- a method may be told of as a field
                    fields[class.name .. "." .. name] = true
                end
            end
            assert.same(fields, entries(class.title, "Va"))
        end)

        it("stands in for no annotation: each method has its own for editors: " .. class.name, function()
            local path = ("lua/demilune/%s.lua"):format(class.name)
            local text, methods, told = sandbox.read(path), methods_of(class), {}
            local fields = annotated(path, "demilune." .. class.name:gsub("^%l", string.upper))
            for name, value in pairs(methods) do
                local comment = ("\n%%-%%-%%-[^\n]*\nfunction %s[.:]%s%%("):format(class.name, name)
                told[value] = told[value] or fields[name] or text:find(comment) ~= nil
            end
            for name, value in pairs(methods) do -- another name of an annotated one needs none
                assert.is_true(told[value], name)
            end
        end)
    end

    it("has every option, and no other, as the annotations have", function()
        local known = {}
        for name in pairs(require("demilune.options").types) do
            known[name] = true
        end
        has_all(known, set { "stdin", "capture", "timeout" })
        assert.same(known, documented(module.OPTIONS, ".It", "Va"))
        assert.same(known, annotated("lua/demilune/meta.lua", "demilune.RunOptions"))
        for _, class in ipairs { "demilune.DecodeOptions", "demilune.EncodeOptions" } do
            local words = words_of(module[class:find("Decode") and "THE MODULE" or "POLICIES"])
            has_all(words, annotated("lua/demilune/meta.lua", class))
        end
        has_all(words_of(module["THE MODULE"]), annotated("lua/demilune/meta.lua", "demilune.LayerOptions"))
        has_all(words_of(module.OPTIONS), annotated("lua/demilune/meta.lua", "demilune.Narrowing"))
    end)

    it("has every field of a result, of a problem and of the host", function()
        assert.same(annotated("lua/demilune/meta.lua", "demilune.Result"), documented(module.RESULTS, ".It", "Va"))
        has_all(words_of(module["WHAT IS RAISED AND WHAT IS RETURNED"]), annotated("lua/demilune/meta.lua", "demilune.Problem"))
        has_all(words_of(module["THE MODULE"]), annotated("lua/demilune/meta.lua", "demilune.Host"))
    end)

    it("has every code of a launch", function()
        local known = set { "backend_unavailable", "unknown_backend", "ceiling.backend", "cancelled" }
        for _, path in ipairs { "src/outcome.c", "src/launch.c" } do
            for code in sandbox.read(path):gmatch('"(%l+%.[%l_]+)"') do
                known[code] = not code:find("%.h$") or nil
            end
        end
        has_all(known, set { "command.missing", "setup.failed", "source.changed" })
        assert.same(known, documented(module["WHAT IS RAISED AND WHAT IS RETURNED"], ".It", "Li"))
    end)
end)

it("The pages and the rockspecs have the version of the module", function()
    local version = demilune._VERSION
    for _, path in ipairs { "src/demilune.1", "src/demilune.3", "src/demilune-policy.5" } do
        assert.equal(version, sandbox.read(path):match('\n%.Os "([^"]*)"\n'))
    end
    local name = ("demilune-%s-1"):format(version:match("%S+$"))
    assert.truthy(sandbox.read("rockspec/" .. name .. ".rockspec"), name)
end)
