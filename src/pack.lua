-- Packs Lua modules, compiled and without their debug information, into one file that the command carries: parsing
-- them took a good part of a launch.
--
--     lua5.4 src/pack.lua OUT DIRECTORY FILE...
--
-- Each module is its name, a NUL, the length of its code as a little-endian 32-bit number, and the code.
local out, directory = arg[1], arg[2]

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    return text
end

local file = assert(io.open(out, "wb"))
for i = 3, #arg do
    local path = arg[i]
    local name = path:sub(#directory + 2):gsub("%.lua$", ""):gsub("/", ".")
    local code = string.dump(assert(load(read(path), "@" .. path:sub(#directory + 2), "t")), true)
    file:write(name, "\0", string.pack("<I4", #code), code)
end
assert(file:close())
