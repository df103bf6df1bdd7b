--- Base `nix`: the Nix store, read-only, and the ancestor's environment (noether-isolation 0.8.2).
return function()
    return {
        ro_binds = { "/nix/store" },
        env_allowlist = {
            "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "NIX_PATH", "NIX_SSL_CERT_FILE", "SSL_CERT_FILE",
            "NOETHER_LOG_LEVEL", "RUST_LOG",
        },
    }
end
