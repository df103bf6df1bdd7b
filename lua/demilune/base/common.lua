--- What the bases share.
return {
    --- The variables that the ancestor passes through (noether-isolation 0.8.2): a new list.
    ancestors = function()
        return {
            "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "NIX_PATH", "NIX_SSL_CERT_FILE", "SSL_CERT_FILE",
            "NOETHER_LOG_LEVEL", "RUST_LOG",
        }
    end,

    --- Passed through from the caller to a Lua policy.
    passed = { "LANG", "LANGUAGE", "LC_*", "TERM", "COLORTERM", "NO_COLOR", "TZ" },

    --- Set for one, whatever the caller has: its own PATH may name places that are not inside.
    environment = function()
        return { PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }
    end,
}
