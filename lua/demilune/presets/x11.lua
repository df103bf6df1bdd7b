-- A program with a window on the local X display:
--
--     demilune run -p x11 -- xclock
--     demilune run -p gpu -p x11 --project . -- blender scene.blend
--
-- X keeps no program from another: this one can see your screen, read your keys and type for you. Give it a display of
-- its own (Xephyr, Xvfb: DISPLAY=:1) where that matters. No network is there: only this display is in reach.
return {
    name = "x11",
    description = "a program with a window on the local X display, which it can see and control",
    acknowledge = { "x11" },
    ro_binds = { { host = "/etc/fonts", sandbox = "/etc/fonts", optional = true } },
    env = { DISPLAY = true },
    prepare = function(policy, context)
        local display = context.env.DISPLAY or ""
        if not display:starts_with(":") then
            return -- none of this host: the program will say that it has no display
        end
        local socket = "/tmp/.X11-unix/X" .. display:sub(2):split(".")[1]
        table.insert(policy.ro_binds, { host = socket, sandbox = socket, optional = true })
        local authority = context.env.XAUTHORITY or context.home and context.home .. "/.Xauthority"
        if authority then
            table.insert(policy.ro_binds, { host = authority, sandbox = "/work/.Xauthority", optional = true })
            policy:set_env("XAUTHORITY", "/work/.Xauthority")
        end
    end,
    expect = {
        denied = {
            read = { "/etc/shadow", "/root/.ssh" },
            write = { "/usr", "/etc" },
            connect = { "1.1.1.1:53", "@/tmp/.X11-unix/X0", "127.0.0.1:6000", "/run/dbus/system_bus_socket" },
            env = { "DBUS_SESSION_BUS_ADDRESS", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR" },
        },
        allowed = { write = { "/tmp", "/work" } },
    },
}
