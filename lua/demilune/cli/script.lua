--- demilune script: run a trusted Lua program with the module at hand.
local common = require "demilune.cli.common"

-- Such a program is an ordinary one: it may have modules of its own.
local function extend_search_path()
    for field, name in pairs { path = "LUA_PATH", cpath = "LUA_CPATH" } do
        local own = os.getenv(name .. "_5_4") or os.getenv(name)
        if own then
            package[field] = package[field] .. ";" .. own:gsub(";;", ";")
        end
    end
end

---@param words string[]
---@return integer exit code
return function(words)
    local path = words[1]
    if path == "--help" or path == "-h" then
        io.stdout:write("usage: demilune script FILE.lua [ARG...]\n\n",
            "The program has all of Lua, and demilune as a global.\n")
        return 0
    elseif not path then
        return common.usage("script", "no file was given")
    end
    collectgarbage("restart")
    extend_search_path()
    _G.demilune = require "demilune"
    _G.arg = table.move(words, 2, #words, 1, { [0] = path })
    local chunk, problem = loadfile(path)
    if not chunk then
        common.complain(problem)
        return common.EXIT_REFUSED
    end
    local ok, result = xpcall(chunk, function(text)
        return debug.traceback(tostring(text), 2)
    end, table.unpack(_G.arg))
    if not ok then
        common.complain(result)
        return 1
    end
    return math.tointeger(result) or 0
end
