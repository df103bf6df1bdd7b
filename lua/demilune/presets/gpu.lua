-- A program that computes or draws on the graphics card:
--
--     cd my-project && demilune run -p gpu -- ./train --epochs 3
--     demilune run -p gpu -p x11 -- glxgears
--
-- A driver is a large part of the kernel, and whoever may use the card may be able to see what others have on it. Two
-- dangers are accepted for it: the devices, and the parts of /sys that describe the hardware. What is not there is left
-- out. There is no network.
local function optional(paths)
    local binds = {}
    for i, path in ipairs(paths) do
        binds[i] = { host = path, sandbox = path, optional = true }
    end
    return binds
end

return {
    extends = "project",
    name = "gpu",
    description = "a program on the graphics card, in a project, without a network",
    acknowledge = { "device", "sys" },
    devices = optional { -- Mesa, AMD, NVIDIA, WSL
        "/dev/dri", "/dev/kfd", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset",
        "/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia2", "/dev/nvidia3", "/dev/dxg",
    },
    ro_binds = optional {
        "/sys/dev/char", "/sys/devices", "/sys/class/drm", "/sys/class/kfd", "/sys/bus/pci",
        "/etc/vulkan", "/etc/OpenCL", "/etc/glvnd",
    },
    env = { CUDA_VISIBLE_DEVICES = true, ROCR_VISIBLE_DEVICES = true, LIBGL_ALWAYS_SOFTWARE = true },
    expect = {
        denied = {
            read = { "/dev/mem", "/dev/sda", "/dev/input", "/dev/snd", "/sys/kernel", "/sys/fs" },
            write = { "/dev", "/sys", "/sys/devices" },
        },
        allowed = { read = { { path = "/dev/dri", optional = true }, { path = "/sys/class/drm", optional = true } } },
    },
}
