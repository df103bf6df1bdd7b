-- Packs Lua modules, compiled and without their debug information, into one file that the command carries: parsing
-- them took a good part of a launch.
--
--     lua5.4 src/pack.lua OUT DIRECTORY FILE...
--
-- First an index, so that looking for a module touches few pages: of each its name, a NUL, and as little-endian 32-bit
-- numbers where its code begins in the file and how long it is. An empty name ends it. Then the code of each.
local out, directory = arg[1], arg[2]

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    return text
end

local names, codes, start = {}, {}, 1
for i = 3, #arg do
    local path = arg[i]:sub(#directory + 2)
    names[#names + 1] = path:gsub("%.lua$", ""):gsub("/", ".")
    codes[#codes + 1] = string.dump(assert(load(read(arg[i]), "@" .. path, "t")), true)
    start = start + #names[#names] + 1 + 4 + 4
end

local file = assert(io.open(out, "wb"))
for i, name in ipairs(names) do
    file:write(name, "\0", string.pack("<I4I4", start, #codes[i]))
    start = start + #codes[i]
end
file:write("\0", table.concat(codes))
assert(file:close())
