--- Base `none`: nothing. Where a policy does not list its environment, that which every Lua policy has.
local common = require "demilune.base.common"

local nothing = {}
local environment = { env_allowlist = common.passed, env = common.environment() }

---@param policy demilune.Fields
---@return table base
---@return boolean lasts it is the same table each time
return function(policy)
    return policy.env_allowlist ~= nil and nothing or environment, true
end
