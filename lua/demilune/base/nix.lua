--- Base `nix`: the Nix store, read-only, and the ancestor's environment. The same two tables each time.
local common = require "demilune.base.common"

local store = { ro_binds = { "/nix/store" } }
local with_environment = { ro_binds = store.ro_binds, env_allowlist = common.ancestors() }

---@param policy? demilune.Fields
---@return table base
---@return boolean lasts it is the same table each time
return function(policy)
    return policy and policy.env_allowlist ~= nil and store or with_environment, true
end
