-- Specs that launch run once for each backend: the command reads DEMILUNE_BACKEND by itself, the module is told here,
-- once it is loaded. What asks for a backend by name gets that one.
local chosen = os.getenv("DEMILUNE_BACKEND")

local function load_real(name)
    local path = assert(package.searchpath(name, package.path))
    return assert(loadfile(path))(name, path)
end

package.preload["demilune.host"] = chosen and function(name)
    local host = load_real(name)
    local backend = host.backend
    function host.backend(flag)
        return backend(flag or chosen)
    end
    return host
end or nil

package.preload["demilune.choice"] = chosen and function(name)
    local choice = load_real(name)
    local of = choice.of
    function choice.of(asked, flag)
        return of(asked, flag or chosen)
    end
    return choice
end or nil
