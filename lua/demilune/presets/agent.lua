-- An agent at work in a project: it may change the project, but not what the host executes there, cannot read what is
-- secret there, and has no network.
--
--     cd my-project && demilune run -p agent -- some-agent --task "..."
--
-- It can look at the history (git status, diff, log), and commits are yours to make. `demilune test agent` tries all of
-- this. What is not there cannot be protected, for nothing is ever created on the host: begin with git init, and look
-- at what is new before you use it, another .git or .envrc further down, a Makefile. With --net the agent can send away
-- what it reads.

-- Not for its eyes.
local secret = {
    ".env", ".env.local", ".env.development", ".env.development.local", ".env.test", ".env.test.local",
    ".env.production", ".env.production.local", ".netrc", ".pypirc", ".git-credentials", ".aws", ".ssh",
}

local masks, paths = {}, {}
for i, name in ipairs(secret) do
    masks[i] = { sandbox = project .. "/" .. name, optional = true }
    paths[i] = { path = "./" .. name, optional = true }
end
local unwritable = { "./.git", table.unpack(paths) } -- .git also where there is none, and it could be made

return {
    extends = "project",
    name = "agent",
    description = "an agent that may change a project, not what the host executes there; no secrets, no network",
    masks = masks,
    expect = { denied = { read = paths, write = unwritable }, allowed = { run = { { "git", "--version" } } } },
}
