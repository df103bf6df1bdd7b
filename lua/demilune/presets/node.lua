-- npm in two phases, so that no package's scripts run with the network:
--
--     demilune run -p node -- npm install      downloads: with the network, without scripts
--     demilune run -p node -- npm rebuild      the packages' install scripts: without the network
--     demilune run -p node -- npm test         everything else: without the network, too
--
-- No home is there: neither ~/.npmrc nor its tokens. The downloading phase is for the words below alone.
local downloads = { install = true, i = true, ci = true, add = true, update = true, audit = true, outdated = true }

-- What a project's own .npmrc could say to have programs of its choice run while downloading.
local without_programs = {
    npm_config_ignore_scripts = "true",
    npm_config_git = "/usr/bin/git",
    npm_config_node_options = "",
    npm_config_script_shell = "/bin/false",
}

return {
    name = "node",
    description = "npm in a project: downloads without scripts, scripts without a network",
    project = project,
    ro_binds = {
        { host = project .. "/.git", sandbox = project .. "/.git", optional = true }, -- its hooks run outside
    },
    env = {
        npm_config_registry = true,
        npm_config_nodedir = "/usr", -- headers for what is compiled; they could not be downloaded
        npm_config_update_notifier = "false",
        npm_config_audit = "false",
        npm_config_fund = "false",
    },
    prepare = function(policy, context)
        local command = context.command
        if command[1] ~= "npm" or not downloads[command[2]] then
            return
        end
        for i = 3, #command do
            if command[i]:sub(1, 2) == "--" and not command[i]:find("^%-%-save") and command[i]:find("[=]") then
                return nil, "options with a value could turn scripts on again; put them in .npmrc"
            end
        end
        policy.network = true
        for name, value in pairs(without_programs) do
            policy:set_env(name, value)
        end
    end,
}
