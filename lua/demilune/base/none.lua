--- Base `none`: nothing but the environment that every Lua policy has.
local common = require "demilune.base.common"

return function()
    return { env_allowlist = common.passed, env = common.environment() }
end
