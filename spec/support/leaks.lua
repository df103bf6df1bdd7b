-- What a case may not leave behind: descriptors, children, mounts, temporary files.
local lfs = require "lfs"

local leaks = {}

local function read(path)
    local file = io.open(path)
    local text = file and file:read("a") or ""
    if file then
        file:close()
    end
    return text
end

--- A part of the names of this run's own temporary files, so that another run does not disturb it.
leaks.run_name = "specrun" .. read("/proc/self/stat"):match("^%d+") .. "_"

local function descriptors()
    local found = {}
    for name in lfs.dir("/proc/self/fd") do
        local target = lfs.symlinkattributes("/proc/self/fd/" .. name, "target")
        if target and not target:find("^/proc/%d+/fd$") then -- but the directory that we are reading
            found[#found + 1] = name .. " " .. target
        end
    end
    table.sort(found)
    return table.concat(found, "\n")
end

local function children()
    local found = {}
    for task in lfs.dir("/proc/self/task") do
        if task:find("^%d") then
            found[#found + 1] = read("/proc/self/task/" .. task .. "/children")
        end
    end
    return table.concat(found, "\n")
end

-- What demilune or bwrap would leave, and what the case itself made: its names have the name of this run in them, those
-- of a run at the same time that of theirs.
local function temporary_files()
    local found = {}
    for name in lfs.dir("/tmp") do
        local nobodys = (name:find("^demilune") or name:find("^bwrap")) and not name:find("specrun", 1, true)
        if nobodys or name:find(leaks.run_name, 1, true) then
            found[#found + 1] = name
        end
    end
    table.sort(found)
    return table.concat(found, "\n")
end

-- Those whose runner is gone, where runners of ours are started; others make theirs elsewhere.
local function cgroups()
    local found = {}
    for names, path in read("/proc/self/cgroup"):gmatch("%d+:([^:\n]*):([^\n]*)") do
        local directory = ("/sys/fs/cgroup/%s%s"):format(names == "" and "" or names, path)
        local shown = lfs.attributes(directory, "mode") == "directory"
        for name in lfs.dir(shown and directory or "/dev/pts") do
            local pid = name:match("^demilune%-%d+%-(%d+)%-")
            if pid and not lfs.attributes("/proc/" .. pid, "mode") then
                found[#found + 1] = name
            end
        end
    end
    table.sort(found)
    return table.concat(found, "\n")
end

--- What is there now.
function leaks.snapshot()
    collectgarbage()
    collectgarbage()
    return {
        descriptors = descriptors(),
        children = children(),
        mounts = read("/proc/self/mountinfo"),
        files = temporary_files(),
        cgroups = cgroups(),
    }
end

--- Raises when something is there that was not before.
function leaks.compare(before)
    local after = leaks.snapshot()
    for name, value in pairs(before) do
        if after[name] ~= value then
            error(("this case leaves %s behind:\nbefore:\n%s\nafter:\n%s"):format(name, value, after[name]), 0)
        end
    end
end

--- Checks around every case of a spec file: leaks.watch(before_each, after_each).
function leaks.watch(before_each, after_each)
    local before
    before_each(function()
        before = leaks.snapshot()
    end)
    after_each(function()
        leaks.compare(before)
    end)
end

return leaks
