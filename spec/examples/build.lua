-- Builds and runs programs in one directory, with nothing else of the host writable and no network.
return {
    name = "build",
    rw_binds = { { host = cwd, sandbox = "/src" } },
    chdir = "/src",
    env = { MAKEFLAGS = "-j2" },
    limits = { timeout = "60s", open_files = 256 },

    -- Runs before every launch, on a copy of the policy: here it adjusts binds and environment to the command.
    prepare = function(policy, context)
        if context.command[1]:find("python", 1, true) then
            policy:ro_bind(policy_dir .. "/words.txt", "/data/words.txt")
            policy:ro_bind(policy_dir .. "/words.py", "/data/words.py")
        end
        policy:set_env("GREETING", "hello from " .. (context.user or "nobody"))
    end,
}
