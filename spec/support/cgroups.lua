-- A cgroup of a case's own to start demilune in, of version 1 or 2: what it makes there can be looked at, and the cgroup
-- can be given to an ordinary user. For root.
local leaks = require "support.leaks"
local lfs = require "lfs"
local sandbox = require "support.sandbox"

local cgroups = {}
cgroups.__index = cgroups

-- Where this process is, in each hierarchy that has one of these controllers; for version 2 under the name "".
local function own_directories()
    local mounts, found = {}, {}
    for line in sandbox.read("/proc/self/mountinfo"):gmatch("[^\n]+") do
        local where, kind, options = line:match("^%S+ %S+ %S+ %S+ (%S+) .* %- (cgroup2?) %S+ (%S+)$")
        for option in (kind == "cgroup" and options or kind and "cgroup2" or ""):gmatch("[^,]+") do
            mounts[option] = where
        end
    end
    for names, path in sandbox.read("/proc/self/cgroup"):gmatch("%d+:([^:\n]*):([^\n]*)") do
        for _, name in ipairs { "memory", "pids", "cpuacct" } do
            if ("," .. names .. ","):find("," .. name .. ",", 1, true) and mounts[name] then
                found[name] = mounts[name] .. path
            end
        end
        if names == "" and mounts.cgroup2 then
            found.unified = mounts.cgroup2 .. path
        end
    end
    return found
end

local count = 0

--- A new one, of the user `owner` (a number).
function cgroups.new(owner)
    local own = own_directories()
    local self = setmetatable({ tops = {}, leaves = {} }, cgroups)
    count = count + 1
    local name = leaks.run_name .. count
    for _, kind in ipairs(own.memory and { "memory", "pids", "cpuacct" } or { "unified" }) do
        local top = own[kind]:gsub("/$", "") .. "/" .. name
        assert(lfs.mkdir(top), top)
        self.tops[#self.tops + 1] = top
        local leaf = top
        if kind == "unified" then -- processes live in leaves, controllers are handed down
            leaf = top .. "/demilune-leaf"
            assert(os.execute(("echo '+memory +pids' >%s/cgroup.subtree_control"):format(own[kind])))
            assert(os.execute(("echo '+memory +pids' >%s/cgroup.subtree_control"):format(top)))
            assert(lfs.mkdir(leaf))
        end
        self.leaves[#self.leaves + 1] = leaf
    end
    assert(os.execute(("chown -R %d %s"):format(owner, table.concat(self.tops, " "))))
    return self
end

--- Shell text that puts the shell, and so what it starts, into it.
function cgroups:enter()
    local lines = {}
    for _, leaf in ipairs(self.leaves) do
        lines[#lines + 1] = ("echo $$ >%s/cgroup.procs;"):format(leaf)
    end
    return table.concat(lines, " ")
end

--- Its directory that limits this, "memory" or "pids".
function cgroups:top(controller)
    for _, top in ipairs(self.tops) do
        if #self.tops == 1 or top:find("/" .. controller .. "/", 1, true) then
            return top
        end
    end
    error("no " .. controller)
end

--- The directories that demilune has made in it.
function cgroups:made()
    local found = {}
    for _, top in ipairs(self.tops) do
        for name in lfs.dir(top) do
            if name:find("^demilune%-%d") then
                found[#found + 1] = top .. "/" .. name
            end
        end
    end
    return found
end

--- Takes it away. What demilune left in it is an error.
function cgroups:remove()
    local made = self:made()
    for i = #self.leaves, 1, -1 do
        -- whoever was in it may not be quite gone
        assert(os.execute(("i=0; while [ $i -lt 100 ]; do rmdir %s %s 2>/dev/null; [ -d %s ] || exit 0; sleep 0.05; "
            .. "i=$((i + 1)); done; exit 1"):format(self.leaves[i], self.tops[i], self.tops[i])), self.tops[i])
    end
    if #made > 0 then
        error("left behind: " .. table.concat(made, " "), 0)
    end
end

return cgroups
