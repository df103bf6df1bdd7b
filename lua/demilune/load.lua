--- Policy files: where they are found, and how those in Lua are read into the private Lua state.
local core = require "demilune.core"
local host = require "demilune.host"

local load_policy = {}

local LARGEST = 256 * 1024 -- bytes of a policy file in Lua
local LARGEST_JSON = 1024 * 1024

local function directory_of(path)
    return path:match("^(.*)/[^/]*$") or "."
end

local function absolute(path)
    return path:sub(1, 1) == "/" and path or (core.cwd() or "") .. "/" .. path
end

--- The names of the presets.
load_policy.presets = { "agent", "build", "gpu", "judge", "luarocks", "node", "project", "python", "x11" }

-- The file of a preset. A host program may look for its modules in the current directory, too; policies are not.
local function preset(name)
    local templates = {}
    for template in package.path:gmatch("[^;]+") do
        templates[#templates + 1] = template:sub(1, 1) == "/" and template or nil
    end
    return (package.searchpath("demilune.presets." .. name, table.concat(templates, ";")))
end

--- Where a bare name is looked up: never in the current directory.
local function places(name)
    local config = os.getenv("XDG_CONFIG_HOME")
    local home = os.getenv("HOME")
    home = home and home:sub(1, 1) == "/" and home
    config = config and config:sub(1, 1) == "/" and config or home and home .. "/.config"
    local list = { "/etc/demilune/" .. name .. ".lua" }
    if config then
        table.insert(list, 1, config .. "/demilune/" .. name .. ".lua")
    end
    list[#list + 1] = preset(name)
    return list
end

-- That nothing has a name, where it was looked for, and what was perhaps meant.
local function no_such_name(name, list)
    local presets = load_policy.presets
    local directory, nearest = (preset(presets[1]) or ""):match("^(.*)/"), core.nearest(name, presets)
    if directory then
        list[#list + 1] = ("%s/%s.lua"):format(directory, name)
    end
    local meant = nearest and ("did you mean %s? "):format(nearest)
        or ("the presets are %s; "):format(table.concat(presets, ", "))
    return ("no policy is called %s; %slooked for %s; for a file write ./%s.lua"):format(core.quote(name), meant,
        table.concat(list, ", "), name)
end

-- The file that a name stands for. Of a bare name those that `own` has are passed over: they extend what stands behind
-- them under their own name.
local function find(name, own)
    if name:find("\0", 1, true) then
        return nil, ("%s has a NUL byte; take it out"):format(core.quote(name)), "policy.name"
    elseif name:find("/", 1, true) or name:find("%.lua$") or name:find("%.json$") then
        return name
    elseif not name:find("^[%w_][%w_%-]*$") then
        return nil, ("%s is neither a file (with a / or ending in .lua or .json) nor a name"):format(core.quote(name)),
            "policy.name"
    end
    local list, first = places(name), nil
    for _, path in ipairs(list) do
        if core.file_type(path) then
            first = first or path
            if not own or not own[core.realpath(path)] then
                return path
            end
        end
    end
    if first then
        return first -- built on itself, and refused for it
    end
    return nil, no_such_name(name, list), "policy.missing"
end

--- Whether a word is the bare name of a policy that is there.
---@param word string
---@return boolean
function load_policy.is_name(word)
    return word:find("^[%w_][%w_%-]*$") ~= nil and find(word) ~= nil
end

-- A file's text as Lua itself reads files: without a byte order mark, and with a first line that begins with # empty.
local function program_of(text)
    return text and (text:gsub("^\xef\xbb\xbf", ""):gsub("^#[^\n]*", ""))
end

-- Finds what `include "name"` means. A file of the policy's own directory has to be as trustworthy as the policy: no
-- link leads to it, and `owner` is the policy's. Otherwise it is a preset. Returns its path, the same with every link
-- resolved, and its source; or nothing, where there is none.
local function find_included(name, directory, owner)
    local beside = directory .. "/" .. name .. ".lua"
    if core.file_type(beside) then
        return beside, beside, core.read_exact(beside, LARGEST, owner)
    end
    local path = preset(name)
    if path then
        return path, core.realpath(path), core.read_file(path, LARGEST)
    end
end

-- Answers `include`; adds what it reads to `files`. `owner` is the policy's.
local function includer(directory, files, owner)
    return function(name)
        if not name:find("^[%w_][%w_%-%.]*$") or name:find("..", 1, true) then
            return nil, "include takes the name of a file beside the policy, without a path"
        end
        name = name:gsub("%.lua$", "")
        local path, resolved, source, problem = find_included(name, directory, owner)
        if not path then
            return nil, ("%s is neither beside the policy nor a preset"):format(core.quote(name))
        elseif not source then
            return nil, ("%s: %s"):format(core.quote(path), problem)
        end
        files[#files + 1] = resolved
        return program_of(source), path
    end
end

-- `known.fields` is what the policy said, once it was read. `from`: see load_policy.source.
local function new_private(directory, files, known, from)
    local cwd, owner = core.cwd(), from.owner or core.facts().uid
    return core.private {
        globals = { cwd = cwd, project = from.project or cwd, home = from.home or os.getenv("HOME"),
            policy_dir = directory, host = core.facts() },
        host_lookup = host.lookup,
        include = includer(directory, files, owner),
        print = function(text)
            io.stderr:write("demilune: policy: ", require("demilune.redact").text(text, known.fields), "\n")
        end,
    }
end

---@class demilune.PolicyFile
---@field path? string as it was named
---@field resolved? string the same with every link resolved
---@field owner? integer the uid whose file it is; without, it is our own text
---@field home? string the caller's home, when it is not to be what the environment says
---@field project? string for the global of that name; the current directory without it

-- What a table that is not returned was meant to be.
local function hint(source)
    local first = source:match("^%s*{%s*(.?)")
    return first and (first == '"' and "; JSON is read from a file whose name ends in .json"
        or "; a policy file returns its table: return { ... }") or ""
end

--- Runs a policy's source. Returns { fields=, path=, files=, source= } (`files`: all that were read, resolved) or nil,
--- message, code.
---@param source string
---@param name string as shown in messages
---@param directory string for policy_dir and include
---@param from? demilune.PolicyFile
function load_policy.source(source, name, directory, from)
    from = from or {}
    local files, known = { from.resolved }, {}
    local private, problem = new_private(directory, files, known, from)
    if not private then
        return nil, problem, "policy.script"
    end
    local fields
    fields, problem = private:load(source, name)
    known.fields = fields
    if fields and (fields.prepare or fields.launched or fields.finished) then
        local methods = assert(core.read_file(assert(package.searchpath("demilune.hook", package.path)), LARGEST))
        local ready, why = private:prelude(methods, "demilune.hook")
        if not ready then
            fields, problem = nil, name .. ": " .. why
        end
    end
    if not fields then
        return nil, require("demilune.redact").text(problem) .. hint(source), "policy.script"
    end
    return { fields = fields, path = from.path, files = files, source = source }
end

-- Why a text could not be read.
local function unreadable(name, problem, largest, code)
    return nil, ("%s: %s"):format(core.quote(name), problem == "is too large" and
        ("is too large; a policy has at most %d bytes"):format(largest) or problem), code
end

local input_is_read = false -- what is read a second time would be blank, and blank text is a policy

-- JSON from standard input, to its end: the command finds nothing more there.
local function read_input()
    if input_is_read then
        return unreadable("standard input", "was read already, and can be read once", LARGEST_JSON, "policy.unreadable")
    end
    input_is_read = true
    local source, problem = io.stdin:read(LARGEST_JSON + 1)
    if source and #source > LARGEST_JSON then
        problem = "is too large"
    end
    if problem then
        return unreadable("standard input", problem, LARGEST_JSON, "policy.unreadable")
    end
    core.end_input() -- through a file there the command could rewrite the policy
    return { is_json = true, source = source or "", path = "stdin", files = {} }
end

-- A file's text, whose it is, and where it really is; or nil, a message and its code.
local function read(path, largest)
    local source, owner = core.read_file(path, largest)
    if not source then
        return unreadable(path, owner, largest, core.file_type(path) and "policy.unreadable" or "policy.missing")
    end
    return source, owner, core.realpath(path) or absolute(path)
end

-- The symbolic links through which an absolute path leads, each with the directories before it resolved: who can
-- replace one of them chooses the policy.
local function links_on(path, links)
    local at = "/"
    for name in path:gmatch("[^/]+") do
        local one = (at == "/" and "" or at) .. "/" .. name
        local target = core.readlink(one)
        if target and #links < 40 then
            links[#links + 1] = one
            links_on(target:sub(1, 1) == "/" and target or at .. "/" .. target, links)
        end
        at = core.realpath(one) or one
    end
    return links
end

-- Whether a resolved path is that of a preset: part of the program, whoever installed it.
local function is_preset(resolved)
    local name = resolved:match("([^/]+)%.lua$")
    local path = name and preset(name)
    return path ~= nil and core.realpath(path) == resolved
end

--- The first file that somebody but the caller and root had a hand in, nil when there is none; and whose it is.
---@param loaded { files: string[] }
---@return string|nil path
---@return integer|nil uid
function load_policy.doubtful(loaded)
    for _, path in ipairs(loaded.files) do
        local trusted, owner = core.trusted_file(path)
        if not trusted and not is_preset(path) then
            return path, owner
        end
    end
end

--- Reads a ceiling: a file in Lua whose fields are those of a ceiling.
---@param path string
---@param home? string
---@return { fields: table, source: string, files: string[] }|nil
---@return string|nil message
---@return string|nil code
function load_policy.ceiling(path, home)
    local source, owner, resolved = read(path, LARGEST)
    if not source then
        return nil, owner, resolved
    end
    return load_policy.source(program_of(source), path, directory_of(resolved), {
        path = path, resolved = resolved, owner = owner, home = home,
    })
end

--- Reads a policy file, by path or by name; "-" is standard input. One in JSON is not decoded: `is_json` and `source`
--- tell. `resolved` is where the file really is.
---@param name string
---@param project? string for the global of that name; the current directory without it
---@param own? table<string, boolean> files, with every link resolved, that a bare name does not mean: they extend it
function load_policy.file(name, project, own)
    if name == "-" then
        return read_input()
    end
    local path, problem, code = find(name, own)
    if not path then
        return nil, problem, code
    end
    local is_json = path:find("%.json$") ~= nil
    local source, owner, resolved = read(path, is_json and LARGEST_JSON or LARGEST)
    if not source then
        return nil, owner, resolved
    end
    local links = links_on(absolute(path), {})
    if is_json then
        links[#links + 1] = resolved
        return { is_json = true, source = source, path = path, files = links, resolved = resolved }
    end
    local loaded
    loaded, problem, code = load_policy.source(program_of(source), path, directory_of(resolved), {
        path = path, resolved = resolved, owner = owner, project = project,
    })
    for _, link in ipairs(loaded and links or {}) do
        table.insert(loaded.files, link)
    end
    if loaded then
        loaded.resolved = resolved
    end
    return loaded, problem, code
end

return load_policy
