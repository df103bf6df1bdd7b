-- Python in a project, with the project's own .venv where it has one, and without a network. pip takes what is local:
--
--     demilune run -p python -- python3 -m venv .venv
--     demilune run -p python -- pip install --no-build-isolation ./package
--     demilune run -p python -- python -m pytest
--
-- The interpreter has to be the system's: one below a home is not there. `--net` lets pip download, and what it
-- installs run with the network. The project is writable, but for what the host executes there.
return {
    extends = "project",
    name = "python",
    description = "Python in a project, without a network",
    env = {
        PATH = project .. "/.venv/bin:/usr/local/bin:/usr/bin:/bin",
        PIP_DISABLE_PIP_VERSION_CHECK = "1",
    },
    prepare = function(policy)
        if not policy.network then
            policy:set_env("PIP_NO_INDEX", "1") -- an error at once instead of five tries
        end
    end,
    expect = {
        denied = {
            env = { "PYPI_TOKEN", "TWINE_PASSWORD" },
            run = { { "python3", "-c", "import socket; socket.create_connection(('1.1.1.1', 53), 3)" } },
        },
        allowed = { run = { { "python3", "-c", "import ssl, venv" } }, env = { "PIP_NO_INDEX" } },
    },
}
