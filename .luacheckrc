std = "lua54"
max_line_length = 120
files["spec"] = { std = "lua54+busted", max_line_length = 140 }
-- A policy file sees these names and no others (demilune-policy, "Policy files").
local policy_names = {
    read_globals = {
        "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawlen", "select", "tonumber",
        "tostring", "type", "string", "table", "math", "utf8", "include", "cwd", "home", "policy_dir", "project",
        "host", "print",
    },
}
files["spec/examples/*.lua"] = { std = policy_names }
files["lua/demilune/presets"] = { std = policy_names }
files["spec/examples/*_script.lua"] = { std = "lua54", globals = { "demilune" } }
