--- Base `none`: nothing. Where a policy does not list its environment, that which every Lua policy has.
local common = require "demilune.base.common"

return function(policy)
    if policy.env_allowlist ~= nil then
        return {}
    end
    return { env_allowlist = common.passed, env = common.environment() }
end
