--- What a backend adds to a plan by itself, and what of it this host cannot honour.
local core = require "demilune.core"
local message = require "demilune.message"

local backend = {}

local meanings = {
    bind_fd = "sources that others stand in are named by path, not handed over as the objects that were checked",
    disable_userns = "the command can make user namespaces",
    tmpfs_size = "private file systems have no limit",
    seccomp = "no system call filter",
    cgroup = "limits of memory, pids and cpu_time hold for each process, not for all together",
    landlock = "no Landlock rules",
    landlock_scopes = "Landlock of this kernel is older than Linux 6.12",
}

-- What differs between the backends by nature: the table of the manual, as far as one cannot see it in the policy.
-- `control`: what native's row needs; where that is not applied, bwrap's is true of native, too.
local differences = {
    { "abstract", network = true, control = "landlock_scopes",
        bwrap = "with network, abstract sockets of the host are within reach",
        native = "abstract sockets of the host are out of reach with network, too (Landlock, Linux 6.12)" },
    { "FIFOs", control = "landlock",
        bwrap = "those in read-only binds can be written to",
        native = "those in read-only binds cannot be written to (Landlock)" },
    { "mounts",
        bwrap = "what the host mounts later below a bind appears, writable",
        native = "what the host mounts later below a bind does not appear" },
    { "standard", control = "landlock",
        bwrap = "the command can open its own input and output again by name, for any access",
        native = "the command can open its own input and output again by name, as they were opened (Landlock)" },
    { "most",
        bwrap = "about 3000 mounts, and paths of 4087 bytes",
        native = "as many mounts as there is memory for, and paths of 4095 bytes" },
}

-- For each kind of backend: its name for people, and the controls that the plan asks for and that it lacks here.
local kinds = {
    bwrap = function(plan, found)
        local wanted, skipped = core.controls(plan.core, found.bwrap_path)
        return { path = found.bwrap_path, wanted = wanted or {}, skipped = skipped, problem = not wanted and skipped }
    end,
    native = function(plan)
        local wanted, skipped = core.controls(plan.core)
        return { wanted = wanted or {}, skipped = skipped, problem = not wanted and skipped }
    end,
    none = function()
        return { wanted = {}, skipped = {}, problem = "the command is not isolated: nothing of this holds" }
    end,
}

-- The controls that a plan gets, as a set.
local function applied_of(about)
    local applied = {}
    for _, name in ipairs(about.wanted) do
        applied[name] = true
    end
    for _, name in ipairs(about.skipped) do
        applied[name] = nil
    end
    return applied
end

local function differences_of(about, network)
    local list, applied = {}, applied_of(about)
    for _, row in ipairs(about.kind == "none" and {} or differences) do
        local native = about.kind == "native" and (not row.control or applied[row.control])
        if network or not row.network then
            list[#list + 1] = { name = row[1], text = native and row.native or row.bwrap }
        end
    end
    return list
end

--- What the backend of that name makes of a plan: `kind`, `path`, the controls `wanted` and `skipped`, or a `problem`;
--- nil and a message when there is none of that name.
---@param plan demilune.Plan
---@param name? string
---@return table|nil
---@return string|nil message
function backend.of(plan, name)
    local found, text, code, _, why = plan:backend(name)
    if not found and code == "unknown_backend" then
        return nil, text
    elseif not found then
        return { wanted = {}, skipped = {}, problem = text }
    end
    local about = kinds[found.kind] and kinds[found.kind](plan, found) or { wanted = {}, skipped = {} }
    about.kind, about.because = found.kind, why
    about.warning = found.kind ~= "none" and text or nil
    about.differs = differences_of(about, core.describe(plan.core).network)
    if about.problem then
        about.skipped = {}
    end
    return about
end

--- The rows about a backend.
---@param about table
---@param requires string[] controls without which nothing runs
---@return demilune.Row[]
function backend.rows(about, requires)
    local rows, required = {}, {}
    for _, name in ipairs(requires) do
        required[name] = "; it is required, so nothing will run"
    end
    local function add(name, text)
        rows[#rows + 1] = { depth = 1, name = name, text, prose = true }
    end
    if about.kind then
        add("launched by", about.kind .. (about.path and " " .. message.plain(about.path) or ""))
    end
    if about.because then
        add("because", about.because)
    end
    if about.warning then
        add("warning", message.plain(about.warning))
    end
    if about.problem then
        add("problem", message.plain(about.problem))
    end
    local skipped = {}
    for _, name in ipairs(about.skipped) do
        skipped[name] = true
    end
    local applied = {}
    for _, name in ipairs(about.wanted) do
        applied[#applied + 1] = not skipped[name] and name or nil
    end
    if #applied > 0 then
        add("applies", table.concat(applied, " "))
    end
    for _, name in ipairs(about.skipped) do
        add("cannot", name .. ": " .. (meanings[name] or "not here") .. (required[name] or ""))
    end
    for _, difference in ipairs(about.differs or {}) do
        add(difference.name, difference.text)
    end
    return rows
end

return backend
