--- The options of run, explain and batch: one table drives the parser, the policy that they make, and --help.
local core = require "demilune.core"

local options = {}

local function absolute(path)
    if path == "" or path:sub(1, 1) == "/" then
        return path
    end
    return core.realpath(path) or (core.cwd() or "") .. "/" .. path
end

-- "PATH:/inside", split at the last ":/".
local function split_place(value)
    local path, at = value:match("^(.+):(/.-)$")
    while at and at:find(":/", 1, true) do
        local more, rest = at:match("^(.*):(/.*)$")
        path, at = path .. ":" .. more, rest
    end
    return path or value, at
end

local function append(list, item)
    return function(state, value)
        local fields = state.fields
        fields[list] = fields[list] or {}
        table.insert(fields[list], item and item(value) or value)
    end
end

-- What looks like other tools' words for a bind would be a part of a name here.
local function misread(path, at)
    local mode = at and at:match(":(r[ow])$")
    if mode then
        return (":%s would be a part of the place inside; --ro and --rw say what can be written"):format(mode)
    end
    local before, behind = path:match("^(.+):([^/]*)$")
    if at or not before or core.realpath(path) or not core.realpath(before) then
        return nil
    elseif behind == "ro" or behind == "rw" then
        return (":%s would be a part of the path; --ro and --rw say what can be written"):format(behind)
    end
    return "the place inside, after the colon, begins with a /"
end

local function bind(list, option)
    return function(state, value)
        local path, at = split_place(value)
        local why = misread(path, at)
        if why then
            return ("%s %s: %s"):format(option, core.quote(value), why)
        end
        path = absolute(path)
        append(list)(state, { host = path, sandbox = at or path })
    end
end

local function put(map, name, convert)
    return function(state, value)
        local fields = state.fields
        fields[map] = fields[map] or {}
        fields[map][name] = convert and convert(value) or value
    end
end

local function field(name, convert)
    return function(state, value)
        state.fields[name] = convert and convert(value) or value
    end
end

local function setting(name)
    return function(state, value)
        state[name] = value
    end
end

local function collect(name)
    return function(state, value)
        table.insert(state[name], value)
    end
end

local function number(value)
    return math.tointeger(tonumber(value)) or value
end

local function environment(state, value)
    local name, text = value:match("^([^=]*)=(.*)$")
    put("env", name or value)(state, text or true)
end

local function effect(value)
    local name, path = value:match("^([^=]*)=(.*)$")
    return name and { effect = name, path = absolute(path) } or value
end

local function project(value)
    local path, mode = value:match("^(.*):(r[ow])$")
    return { absolute(path or value), write = mode ~= "ro" }
end

local function filter(value)
    if value == "default" or value == "off" then
        return value
    end
    local allow = {}
    for name in value:gmatch("[^,]+") do
        allow[#allow + 1] = name
    end
    return #allow > 0 and { allow = allow } or value
end

local function limit(state, value)
    local name, amount = value:match("^([^=]+)=(.+)$")
    if not name then
        return ("--limit %s: write NAME=VALUE"):format(core.quote(value))
    end
    put("limits", name)(state, number(amount))
end

local function secret(state, value)
    local path, at = split_place(value)
    if not at then
        return "--secret: write FILE:/path/inside" -- the word may be the secret itself
    end
    local content, problem = core.read_file(path, 16 * 1024 * 1024)
    if not content then
        return ("--secret %s: %s"):format(core.quote(path), problem)
    end
    put("secrets", at)(state, content)
end

-- As --policy, in the same order.
local function untrusted(state, value)
    table.insert(state.policies, value)
    state.untrusted[#state.policies] = true
end

local function flag(name)
    return function(state)
        state[name] = true
    end
end

local function jobs(state, value)
    state.jobs = value:find("^%d+$") and math.tointeger(tonumber(value)) or 0
    if state.jobs < 1 then
        return ("--jobs %s: write a number from 1 on"):format(core.quote(value))
    end
end

local one_command, many_jobs = { run = true, explain = true }, { batch = true }
local only_explain = { explain = true }

-- name, short, what it takes (nil: nothing), help, what it does with (state, value): a text is a usage error. `of`: the
-- subcommands that have it, when not all do.
options.groups = {
    { "what the policy is",
        { "--policy", "-p", "NAME|FILE|-", "a policy; .json and - are JSON; more are layers", collect("policies") },
        { "--untrusted", nil, "NAME|FILE", "a policy that may only narrow what stands outside of it", untrusted },
        { "--prepare", "-e", "LUA", "the body of a prepare hook: policy and context are there", collect("hooks") },
        { "--base", nil, "host|nix|none", "what is there at all", field("base") },
        { "--effect", nil, "NAME[=PATH]", "Network, FsRead=/etc, ...", append("effects", effect) },
        { "--acknowledge", nil, "NAME", "accept a danger", append("acknowledge") },
        { "--require", nil, "NAME", "a control that must be applied: cgroup, seccomp, ...", append("requires") },
        { "--ceiling", nil, "FILE", "a bound that no policy may exceed, besides that of this machine",
            collect("ceilings") },
    },
    { "files",
        { "--ro", nil, "PATH[:AT]", "show a host path read-only", bind("ro_binds", "--ro") },
        { "--rw", nil, "PATH[:AT]", "show a host path writable", bind("rw_binds", "--rw") },
        { "--project", nil, "DIR[:ro]", "show a directory at its own path and start there", field("project", project) },
        { "--work", nil, "DIR", "the directory at /work", field("work_host", absolute) },
        { "--mask", nil, "AT", "make a path inside unreadable", append("masks") },
        { "--tmpfs", nil, "AT", "an empty directory in memory", append("tmpfs", function(at)
            return { sandbox = at }
        end) },
        { "--secret", nil, "FILE:AT", "a file's content, readable by the command alone", secret },
        { "--device", nil, "PATH[:AT]", "make a device, or a directory of them, usable", bind("devices", "--device") },
        { "--chdir", "-C", "AT", "the directory to start in", field("chdir") },
    },
    { "the world",
        { "--net", nil, nil, "share the host's network", function(state) state.fields.network = true end },
        { "--env", nil, "NAME[=VALUE]", "set a variable, or pass it through", environment },
        { "--user", nil, "nobody|caller", "who the command is", field("user") },
        { "--hostname", nil, "NAME", "the host name inside", field("hostname") },
        { "--tty", nil, nil, "keep the terminal", function(state) state.fields.tty = true end, of = one_command },
        { "--nested", nil, nil, "allow user namespaces inside", function(state) state.fields.nested = true end },
        { "--seccomp", nil, "default|off|NAMES", "system call filter, or what it lets through: debug,perf",
            field("seccomp", filter) },
    },
    { "limits",
        { "--timeout", nil, "TIME", "30s, 5m, ...", put("limits", "timeout") },
        { "--cpu-time", nil, "TIME", "processor time", put("limits", "cpu_time") },
        { "--memory", nil, "SIZE", "512M, ...", put("limits", "memory") },
        { "--pids", nil, "N", "processes", put("limits", "pids", number) },
        { "--limit", nil, "NAME=VALUE", "any limit: file_size, open_files, output, tmp, ...", limit },
    },
    { "how the jobs run",
        { "--jobs", "-j", "N", "at the same time; as many as there are processors", jobs, of = many_jobs },
        { "--keep-going", nil, nil, "a job that fails does not keep others from being started",
            flag("keep_going"), of = many_jobs },
        { "--journal", nil, "FILE", "record each result there first; a later batch goes on from it",
            setting("journal"), of = many_jobs },
        { "--replay", nil, nil, "print the results that the journal has already, too", flag("replay"), of = many_jobs },
    },
    { "what explain tells",
        { "--why", nil, "PATH|NAME", "can a path inside be read or written, and who said so; also env.NAME, ...",
            setting("why"), of = only_explain },
        { "--diff", nil, "NAME|FILE|-", "what another policy adds, takes away and changes", setting("diff"),
            of = only_explain },
    },
    { "how it runs",
        { "--backend", nil, "NAME", "auto (bwrap or native), bwrap, native or none (DEMILUNE_BACKEND)",
            setting("backend") },
        { "--unsafe-no-isolation", nil, nil, "with --backend none: it is meant", flag("unsafe"), of = one_command },
        { "--status", nil, "FILE|FD", "write the result there, as one line of JSON", setting("status"),
            of = one_command },
        { "--dry-run", "-n", nil, "print what would be launched; run nothing", flag("dry_run"), of = one_command },
        { "--show-values", nil, nil, "show values that are hidden otherwise", flag("show_values"), of = one_command },
        { "--json", nil, nil, "as JSON", flag("json"), of = { explain = true } },
        { "--quiet", "-q", nil, "no warnings", flag("quiet") },
        { "--verbose", "-v", nil, "say what is launched; with explain: a line for each entry", flag("verbose"),
            of = { run = true, explain = true, batch = true } },
        { "--help", "-h", nil, "this text", flag("help") },
    },
}

local by_name = {}
for _, group in ipairs(options.groups) do
    for i = 2, #group do
        local entry = group[i]
        by_name[entry[1]] = entry
        if entry[2] then
            by_name[entry[2]] = entry
        end
    end
end

local function has(command, entry)
    return not entry.of or entry.of[command] == true
end

local function unknown(command, name, entry)
    if entry then
        return ("%s is no option of %s"):format(name, command)
    end
    local names = {}
    for known, one in pairs(by_name) do
        names[#names + 1] = has(command, one) and #known > 2 and known or nil
    end
    table.sort(names)
    local nearest = core.nearest(name, names)
    return ("unknown option %s%s"):format(core.quote(name), nearest and ("; did you mean %s?"):format(nearest) or "")
end

local function find(word)
    local long, value = word:match("^(%-%-[^=]+)=(.*)$")
    if long then
        return by_name[long], long, value
    end
    if by_name[word] then
        return by_name[word], word
    end
    local short = word:match("^%-[^%-]") -- -pFILE
    local entry = short and by_name[short]
    if entry and entry[3] then
        return entry, short, word:sub(3)
    end
    return nil, long or word
end

--- Parses the words of a command line up to the first that is no option.
---@param words string[]
---@param command "run"|"explain"|"batch"
---@return table|nil state fields, policies, hooks, settings, and `command`
---@return string|nil message what is wrong with the usage
function options.parse(words, command)
    local state = { fields = {}, policies = {}, untrusted = {}, hooks = {}, ceilings = {} }
    local at = 1
    while words[at] and words[at]:sub(1, 1) == "-" and words[at] ~= "--" do
        local entry, name, value = find(words[at])
        if not entry or not has(command, entry) then
            return nil, unknown(command, name, entry)
        elseif entry[3] and not value then
            at = at + 1
            value = words[at]
            if not value or value == "--" then
                return nil, ("%s needs a value: %s"):format(name, entry[3])
            end
        elseif not entry[3] and value then
            return nil, ("%s takes no value"):format(name)
        end
        local problem = entry[5](state, value)
        if problem then
            return nil, problem
        end
        at = at + 1
    end
    if words[at] == "--" then
        at = at + 1
    end
    local from_input = state.diff == "-" and 1 or 0
    for _, name in ipairs(state.policies) do
        from_input = from_input + (name == "-" and 1 or 0)
    end
    if from_input > 1 then
        return nil, (state.diff == "-" and "--diff -" or "--policy -") .. ": standard input can be read once"
    end
    state.command = table.move(words, at, #words, 1, {})
    return state
end

local function help_line(entry)
    local head = (entry[2] and entry[2] .. ", " or "    ") .. entry[1] .. (entry[3] and " " .. entry[3] or "")
    return ("  %-32s  %s"):format(head, entry[4])
end

--- The options as help text.
---@param command "run"|"explain"|"batch"
---@return string
function options.help(command)
    local lines = {}
    for _, group in ipairs(options.groups) do
        local before = #lines
        for i = 2, #group do
            lines[#lines + 1] = has(command, group[i]) and help_line(group[i]) or nil
        end
        if #lines > before then
            table.insert(lines, before + 1, "\n" .. group[1] .. ":")
        end
    end
    lines[#lines + 1] = "\npresets, policies that are there: " ..
        table.concat(require("demilune.load").presets, " ")
    return table.concat(lines, "\n") .. "\n"
end

return options
