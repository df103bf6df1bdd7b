-- An agent at work in a project: it may change the project, but not what the host executes there, cannot read what is
-- secret there, and has no network.
--
--     cd my-project && demilune run -p agent -- some-agent --task "..."
--
-- It can look at the history (git status, diff, log), and commits are yours to make: whoever can write to .git, to any
-- file of it, can have the next git outside run a program. `demilune test agent` tries all of this.
--
-- What is not there cannot be protected, for nothing is ever created on the host: begin with git init, and look at
-- what is new before you use it, another .git or .envrc below, a Makefile. With --net the agent can send away what it
-- reads.

-- Executed outside, by git, shells, editors and package managers.
local executed = {
    ".git", ".husky", ".pre-commit-config.yaml", ".envrc", ".mise.toml", ".vscode", ".idea", ".devcontainer", ".npmrc",
    ".yarnrc.yml",
}

-- Not for its eyes.
local secret = {
    ".env", ".env.local", ".env.development", ".env.development.local", ".env.test", ".env.test.local",
    ".env.production", ".env.production.local", ".netrc", ".pypirc", ".git-credentials", ".aws", ".ssh",
}

local read_only, masks, unreadable, unwritable = {}, {}, {}, {}
for i, name in ipairs(executed) do
    local path = project .. "/" .. name
    read_only[i] = { host = path, sandbox = path, optional = true }
    unwritable[i] = { path = "./" .. name, optional = name ~= ".git" }
end
for i, name in ipairs(secret) do
    masks[i] = { sandbox = project .. "/" .. name, optional = true }
    unreadable[i] = { path = "./" .. name, optional = true }
    unwritable[#unwritable + 1] = unreadable[i]
end

return {
    name = "agent",
    description = "an agent that may change a project, not what the host executes there; no secrets, no network",
    project = project,
    ro_binds = read_only,
    masks = masks,
    expect = {
        denied = {
            read = unreadable,
            write = unwritable,
            connect = { "1.1.1.1:53", "/run/dbus/system_bus_socket" },
            env = { "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK" },
        },
        allowed = { read = { "." }, write = { ".", "/tmp", "/work" }, run = { { "git", "--version" } } },
    },
}
