--- What the bases share: the environment of a Lua policy.
return {
    --- Passed through from the caller.
    passed = { "LANG", "LANGUAGE", "LC_*", "TERM", "COLORTERM", "NO_COLOR", "TZ" },

    --- Set, whatever the caller has: its own PATH may name places that are not inside.
    environment = function()
        return { PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }
    end,
}
