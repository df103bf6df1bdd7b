-- The table of rows in spec/README.md: each of its cases is there, each case that is named after a row is in it, and no row
-- is missing.
local lfs = require "lfs"
local sandbox = require "support.sandbox"

local last = { F = 15, N = 5, S = 16, P = 7, E = 5, R = 4, O = 1, C = 4 } -- how many rows there are of each topic

-- { row, file, case } of the table, and the rows that are said to have no case.
local function read_table()
    local list, without = {}, {}
    for line in sandbox.read("spec/README.md"):gmatch("[^\n]+") do
        local row, file, case = line:match("^| (%u%d+) | [^|]+ | `([^`]+)` | (.-) |$")
        list[#list + 1] = row and { row = row, file = file, case = case }
        without[line:match("^%- (%u%d+): .+") or ""] = true
    end
    without[""] = nil
    return list, without
end

-- The texts of a spec file that begin with a row: the names of its cases.
local function names_in(path, names)
    for text in sandbox.read(path):gmatch('"([^"\n]*)"') do
        if last[text:match("^(%u)%d+: ")] then
            names[#names + 1] = text
        end
    end
    return names
end

local function every_name()
    local names = {}
    for _, directory in ipairs { "spec", "spec/sandbox", "spec/attack" } do
        for name in lfs.dir(directory) do
            if name:find("_spec%.lua$") then
                for _, text in ipairs(names_in(directory .. "/" .. name, {})) do
                    names[(directory .. "/" .. name):gsub("^spec/", "") .. " " .. text] = true
                end
            end
        end
    end
    return names
end

describe("the table of rows", function()
    local list, without = read_table()

    it("has cases that there are, each once, and no others", function()
        local names, listed = every_name(), {}
        assert.is_true(#list > 50)
        for _, entry in ipairs(list) do
            local key = ("%s %s: %s"):format(entry.file, entry.row, entry.case)
            assert(names[key], "there is no case " .. key)
            assert(not listed[key], "twice: " .. key)
            listed[key] = true
        end
        for key in pairs(names) do
            assert(listed[key], "spec/README.md does not list " .. key)
        end
    end)

    it("has every row, or says why there is no case of it", function()
        local seen = {}
        for _, entry in ipairs(list) do
            seen[entry.row] = true
        end
        for topic, count in pairs(last) do
            for number = 1, count do
                local row = topic .. number
                assert((seen[row] or false) ~= (without[row] or false), row .. " has a case, or a reason to have none")
                seen[row] = nil
            end
        end
        assert.is_nil(next(seen))
    end)
end)
