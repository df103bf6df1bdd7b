-- Specs that launch run once for each backend: the command reads DEMILUNE_BACKEND by itself, the module is told here,
-- once it is loaded. What asks for a backend by name gets that one.
local chosen = os.getenv("DEMILUNE_BACKEND")

package.preload["demilune.host"] = chosen and function(name)
    local path = assert(package.searchpath(name, package.path))
    local host = assert(loadfile(path))(name, path)
    local backend, problems = host.backend, host.backend_problems
    function host.backend(flag)
        return backend(flag or chosen)
    end
    function host.backend_problems(plan, flag)
        return problems(plan, flag or chosen)
    end
    return host
end or nil
