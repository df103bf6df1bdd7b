-- npm in two phases, so that no package's scripts run with the network:
--
--     demilune run -p node -- npm install      downloads: with the network, without scripts
--     demilune run -p node -- npm rebuild      the packages' install scripts: without the network
--     demilune run -p node -- npm test         everything else: without the network, too
--
-- No home is there: neither ~/.npmrc nor the tokens in it. Another registry: npm_config_registry. The project is
-- writable, but for what the host executes there.

-- What is given the network, and with which options: others could turn scripts on again.
local downloads = { install = true, i = true, add = true, ci = true, update = true, outdated = true }
local harmless = {
    ["--save"] = true, ["--save-dev"] = true, ["-D"] = true, ["--save-exact"] = true, ["-E"] = true, ["--force"] = true,
    ["--omit=dev"] = true, ["--legacy-peer-deps"] = true, ["--prefer-offline"] = true, ["--ignore-scripts"] = true,
}

-- Beats what the project's own .npmrc says, which could name programs to run while downloading.
local no_programs = {
    npm_config_ignore_scripts = "true", npm_config_script_shell = "/bin/false", npm_config_git = "/usr/bin/git",
}

return {
    extends = "project",
    name = "node",
    description = "npm in a project: downloads without scripts, scripts without a network",
    env = {
        npm_config_registry = true,
        npm_config_nodedir = "/usr", -- node's headers, which could not be downloaded
        npm_config_update_notifier = "false", npm_config_audit = "false", npm_config_fund = "false",
    },
    prepare = function(policy, context)
        local command = context.command
        if command[1] ~= "npm" or not downloads[command[2]] then
            return
        end
        for i = 3, #command do
            if command[i]:sub(1, 1) == "-" and not harmless[command[i]] then
                return nil, command[i] .. " is no option for downloading; write it into .npmrc"
            end
        end
        policy.network = true
        for name, value in pairs(no_programs) do
            policy:set_env(name, value)
        end
    end,
    expect = {
        denied = {
            read = { "/root/.npmrc" },
            env = { "NPM_TOKEN", "NODE_AUTH_TOKEN" },
            run = { { "npm", "install", "--ignore-scripts=false" }, { "npm", "ci", "--no-ignore-scripts" } },
        },
        allowed = { run = { { "npm", "--version" }, { "node", "--version" } } },
    },
}
