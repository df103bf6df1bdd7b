#include "amount.h"
#include "lua_entries.h"
#include "lua_expect.h"
#include "lua_fields.h"
#include "lua_hook.h"
#include "seccomp_rules.h"
#include "text.h"

#include <string.h>

/* Adds the problem that `name` is not among `known`. */
static void unknown_name(struct dml_reader *r, const char *code, const char *field, const char *name,
                         const char *what, const char *const *known, size_t count)
{
    char advice[400];
    dml_problem_add(r->problems, code, field, name, strlen(name), "is no %s; %s", what,
                    dml_advise_name(advice, sizeof advice, name, known, count));
}

/* --- fields of one value --- */

static void read_name(struct dml_reader *r, int index, const char *field)
{
    r->policy->name = dml_read_string(r, index, field, "text");
}

static void read_description(struct dml_reader *r, int index, const char *field)
{
    r->policy->description = dml_read_string(r, index, field, "text");
}

static void read_base(struct dml_reader *r, int index, const char *field)
{
    const char *name = dml_read_string(r, index, field, "\"host\", \"nix\" or \"none\"");
    if (name && dml_name_index(name, dml_base_names, DML_BASE_COUNT) < 0)
        dml_problem_add(r->problems, "base.unknown", field, name, strlen(name),
                        "is no base; write \"host\", \"nix\" or \"none\"");
    r->policy->base = name;
}

static void read_network(struct dml_reader *r, int index, const char *field)
{
    bool network;
    if (dml_read_boolean(r, index, field, &network))
        r->policy->network |= network; /* an effect may have asked for it already */
}

static void read_tty(struct dml_reader *r, int index, const char *field)
{
    dml_read_boolean(r, index, field, &r->policy->tty);
}

static void read_nested(struct dml_reader *r, int index, const char *field)
{
    dml_read_boolean(r, index, field, &r->policy->nested);
}

static void read_chdir(struct dml_reader *r, int index, const char *field)
{
    r->policy->chdir = dml_read_string(r, index, field, "a path inside");
}

static void read_user(struct dml_reader *r, int index, const char *field)
{
    const char *user = dml_read_string(r, index, field, "\"nobody\" or \"caller\"");
    if (!user)
        return;
    r->policy->caller = strcmp(user, "caller") == 0;
    if (!r->policy->caller && strcmp(user, "nobody") != 0)
        dml_problem_add(r->problems, "user.unknown", field, user, strlen(user),
                        "is no user; write \"nobody\" or \"caller\"");
}

static void read_hostname(struct dml_reader *r, int index, const char *field)
{
    r->policy->hostname = dml_read_string(r, index, field, "a host name");
}

static void read_hook(struct dml_reader *r, int index, const char *field)
{
    if (!lua_isfunction(r->L, index) && !dml_is_hook(r->L, index))
        dml_read_wrong_type(r, index, field, "a function");
}

static void read_extends(struct dml_reader *r, int index, const char *field)
{
    (void)index;
    dml_problem_add(r->problems, "extends.late", field, NULL, 0,
                    "comes too late: a policy is built on others when it is read, before its hooks run");
}

/* --- the environment --- */

static void add_env(struct dml_reader *r, enum dml_env_action action, const char *name, const char *value,
                    const char *field)
{
    struct dml_env_rule rule = {.action = action, .name = name, .value = value, .field = field};
    dml_policy_add_env(r->policy, &rule);
}

/* Whether "API_TOKEN=value" stands where a name or a list of names should. */
static bool holds_secret(lua_State *L, int index)
{
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
    return dml_shown_length(text) < strlen(text);
}

static void read_allowed_name(struct dml_reader *r, int index, const char *field)
{
    r->hidden = holds_secret(r->L, index);
    const char *name = dml_read_string(r, index, field, "the name of a variable");
    r->hidden = false;
    if (name)
        add_env(r, DML_ENV_PASS, name, NULL, field);
}

static void read_env_allowlist(struct dml_reader *r, int index, const char *field)
{
    r->hidden = holds_secret(r->L, index);
    dml_read_list(r, index, field, "a list of names", read_allowed_name);
    r->hidden = false;
}

static void read_variable(struct dml_reader *r, int index, const char *name, const char *field)
{
    if (lua_isboolean(r->L, index)) {
        add_env(r, lua_toboolean(r->L, index) ? DML_ENV_PASS : DML_ENV_OMIT, name, NULL, field);
        return;
    }
    r->hidden = dml_is_secret_name(name);
    const char *value =
        dml_read_string(r, index, field, "a string, true (pass through) or false (leave out)");
    r->hidden = false;
    if (value)
        add_env(r, DML_ENV_SET, name, value, field);
}

static void read_env(struct dml_reader *r, int index, const char *field)
{
    r->hidden = true;
    bool is_map = dml_read_table(r, index, field, "a map: name = value");
    r->hidden = false;
    if (!is_map)
        return;
    size_t count;
    const char **names = dml_read_keys(r, index, field, &count);
    for (size_t i = 0; i < count; i++) {
        const char *path = r->base ? "base" : DML_FIELD(r, "%s.%s", field, names[i]);
        read_variable(r, dml_read_field(r, index, names[i]), names[i], path);
        lua_pop(r->L, 1);
    }
}

/* --- effects --- */

/* The vocabulary of effects, with the one parameter that some need. */
static const struct {
    const char *name, *parameter;
} effects[] = {
    {"Cost", "cents"}, {"Fallible", NULL},         {"FsRead", "path"}, {"FsWrite", "path"}, {"Llm", "model"},
    {"Network", NULL}, {"NonDeterministic", NULL}, {"Process", NULL},  {"Pure", NULL},      {"Unknown", NULL},
};
enum { EFFECT_COUNT = sizeof effects / sizeof effects[0] };

static int effect_index(struct dml_reader *r, const char *name, const char *field)
{
    const char *names[EFFECT_COUNT];
    for (int i = 0; i < EFFECT_COUNT; i++) {
        names[i] = effects[i].name;
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    unknown_name(r, "effect.unknown", field, name, "effect", names, EFFECT_COUNT);
    return -1;
}

static void read_effect_parameter(struct dml_reader *r, int index, const char *field, int effect)
{
    lua_State *L = r->L;
    const char *parameter = effects[effect].parameter;
    const char *path = DML_FIELD(r, "%s.%s", field, parameter);
    int at = dml_read_field(r, index, parameter);
    if (strcmp(parameter, "cents") == 0) {
        int exact = 0;
        lua_Integer cents = lua_type(L, at) == LUA_TNUMBER ? lua_tointegerx(L, at, &exact) : 0;
        if (!exact || cents < 0)
            dml_read_wrong_type(r, at, path, "a whole number of cents");
    } else if (strcmp(parameter, "model") == 0) {
        dml_read_string(r, at, path, "the name of a model");
    } else {
        const char *tree = dml_read_host_path(r, at, path, "a path");
        enum dml_rank rank = strcmp(effects[effect].name, "FsWrite") == 0 ? DML_RANK_RW : DML_RANK_RO;
        if (tree)
            dml_policy_add_bind(r->policy, rank, tree, tree, false, path);
    }
    lua_pop(L, 1);
}

static void read_effect(struct dml_reader *r, int index, const char *field)
{
    lua_State *L = r->L;
    int effect;
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *name = dml_read_string(r, index, field, "an effect");
        effect = name ? effect_index(r, name, field) : -1;
        if (effect >= 0 && effects[effect].parameter) {
            dml_problem_add(r->problems, "effect.parameter", field, name, strlen(name),
                            "needs its %s; write { effect = \"%s\", %s = ... }", effects[effect].parameter,
                            name, effects[effect].parameter);
            return;
        }
    } else {
        if (!dml_read_table(r, index, field, "\"Name\" or { effect = \"Name\", ... }"))
            return;
        const char *path = DML_FIELD(r, "%s.effect", field);
        const char *name = dml_read_string(r, dml_read_field(r, index, "effect"), path, "an effect");
        lua_pop(L, 1);
        effect = name ? effect_index(r, name, path) : -1;
        if (effect >= 0) {
            const char *keys[] = {"effect", effects[effect].parameter};
            dml_read_known_keys(r, index, field, keys, effects[effect].parameter ? 2 : 1);
            if (effects[effect].parameter)
                read_effect_parameter(r, index, field, effect);
        }
    }
    if (effect >= 0 && strcmp(effects[effect].name, "Network") == 0)
        r->policy->network = true;
}

static void read_effects(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of effects", read_effect);
}

/* --- seccomp, limits, dangers --- */

static void read_seccomp_option(struct dml_reader *r, int index, const char *field)
{
    const char *name = dml_read_string(r, index, field, "the name of an option");
    int option = name ? dml_name_index(name, dml_seccomp_option_names, DML_OPTION_COUNT) : -1;
    if (option >= 0)
        r->policy->seccomp_options |= 1u << option;
    else if (name)
        unknown_name(r, "seccomp.option", field, name, "option", dml_seccomp_option_names, DML_OPTION_COUNT);
}

void dml_read_seccomp(struct dml_reader *r, int index, const char *field)
{
    static const char *const keys[] = {"allow"};
    const char *expected = "\"default\", \"off\" or { allow = { ... } }";
    if (lua_type(r->L, index) == LUA_TSTRING) {
        const char *value = dml_read_string(r, index, field, expected);
        if (!value)
            return;
        r->policy->seccomp = strcmp(value, "off") == 0 ? DML_SECCOMP_OFF : DML_SECCOMP_DEFAULT;
        if (strcmp(value, "off") != 0 && strcmp(value, "default") != 0)
            dml_problem_add(r->problems, "seccomp.unknown", field, value, strlen(value),
                            "is no filter; write %s", expected);
        return;
    }
    if (!dml_read_table(r, index, field, expected))
        return;
    dml_read_known_keys(r, index, field, keys, 1);
    dml_read_list(r, dml_read_field(r, index, "allow"), DML_FIELD(r, "%s.allow", field), "a list of options",
                  read_seccomp_option);
    lua_pop(r->L, 1);
    r->policy->seccomp = DML_SECCOMP_ALLOW;
}

/* `tmp` may also be a share of memory: "25%". */
static bool read_tmp(struct dml_reader *r, int index, const char *field, uint64_t *bytes)
{
    if (lua_type(r->L, index) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(r->L, index, &length);
        uint64_t percent;
        bool is_share = length > 1 && text[length - 1] == '%';
        if (is_share && dml_parse_size(text, length - 1, &percent) && percent >= 1 && percent <= 100) {
            r->policy->limits.tmp_share = (double)percent / 100;
            *bytes = UINT64_MAX;
            return true;
        } else if (is_share) {
            dml_problem_add(r->problems, "size.invalid", field, text, length,
                            "is no share of the memory; write \"1%%\" to \"100%%\"");
            return false;
        }
    }
    return dml_read_size(r, index, field, bytes);
}

static void read_limit(struct dml_reader *r, int index, const char *field, int limit)
{
    static const uint64_t least[DML_LIMIT_COUNT] = {
        [DML_LIMIT_MEMORY] = 1024 * 1024,
        [DML_LIMIT_PIDS] = 1,
        [DML_LIMIT_OPEN_FILES] = 4,
        [DML_LIMIT_TMP] = 4096,
    };
    uint64_t value = 0;
    bool read;
    switch (limit) {
    case DML_LIMIT_TIMEOUT:
    case DML_LIMIT_CPU_TIME: read = dml_read_seconds(r, index, field, &value); break;
    case DML_LIMIT_PIDS:
    case DML_LIMIT_OPEN_FILES: read = dml_read_count(r, index, field, &value); break;
    case DML_LIMIT_TMP: read = read_tmp(r, index, field, &value); break;
    default: read = dml_read_size(r, index, field, &value); break;
    }
    if (!read)
        return;
    if (value < least[limit]) {
        dml_problem_add(r->problems, "limit.range", field, NULL, 0, "%s is too small; at least %s is needed",
                        dml_limit_amount(limit, value).text, dml_limit_amount(limit, least[limit]).text);
        return;
    }
    r->policy->limits.has[limit] = true;
    r->policy->limits.value[limit] = value;
}

void dml_read_limits(struct dml_reader *r, int index, const char *field)
{
    if (!dml_read_table(r, index, field, "a map: timeout = \"30s\", memory = \"512M\", ..."))
        return;
    dml_read_known_keys(r, index, field, dml_limit_names, DML_LIMIT_COUNT);
    for (int i = 0; i < DML_LIMIT_COUNT; i++) {
        int at = dml_read_field(r, index, dml_limit_names[i]);
        if (!lua_isnil(r->L, at))
            read_limit(r, at, DML_FIELD(r, "%s.%s", field, dml_limit_names[i]), i);
        lua_pop(r->L, 1);
    }
}

static void read_danger(struct dml_reader *r, int index, const char *field)
{
    const char *name = dml_read_string(r, index, field, "the name of a danger");
    if (!name)
        return;
    int danger = dml_name_index(name, dml_danger_names, DML_DANGER_COUNT);
    if (danger >= 0)
        r->policy->acknowledged[danger] = true;
    else
        unknown_name(r, "acknowledge.unknown", field, name, "danger", dml_danger_names, DML_DANGER_COUNT);
}

void dml_read_acknowledge(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of dangers", read_danger);
}

static void read_control(struct dml_reader *r, int index, const char *field)
{
    const char *name = dml_read_string(r, index, field, "the name of a control");
    if (!name)
        return;
    int control = dml_name_index(name, dml_control_names, DML_CONTROL_COUNT);
    if (control >= 0)
    r->policy->requires |= 1u << control;
    else unknown_name(r, "requires.unknown", field, name, "control", dml_control_names, DML_CONTROL_COUNT);
}

static void read_requires(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of controls", read_control);
}

/* --- all of them --- */

/* In the order in which problems are reported. `effects` stands before `network`, which it may turn on. */
static const struct {
    const char *name;
    dml_read_function read;
} policy_fields[] = {
    {"name", read_name},
    {"description", read_description},
    {"base", read_base},
    {"ro_binds", dml_read_ro_binds},
    {"rw_binds", dml_read_rw_binds},
    {"work_host", dml_read_work_host},
    {"project", dml_read_project},
    {"effects", read_effects},
    {"network", read_network},
    {"env_allowlist", read_env_allowlist},
    {"env", read_env},
    {"tmpfs", dml_read_tmpfs},
    {"symlinks", dml_read_symlinks},
    {"masks", dml_read_masks},
    {"secrets", dml_read_data},
    {"devices", dml_read_devices},
    {"chdir", read_chdir},
    {"user", read_user},
    {"hostname", read_hostname},
    {"tty", read_tty},
    {"nested", read_nested},
    {"seccomp", dml_read_seccomp},
    {"limits", dml_read_limits},
    {"acknowledge", dml_read_acknowledge},
    {"requires", read_requires},
    {"extends", read_extends},
    {"expect", dml_read_expect},
    {"prepare", read_hook},
    {"launched", read_hook},
    {"finished", read_hook},
};
enum { POLICY_FIELD_COUNT = sizeof policy_fields / sizeof policy_fields[0] };

void dml_read_policy(struct dml_reader *r, int index)
{
    const char *names[POLICY_FIELD_COUNT];
    if (!dml_read_table(r, index, "", "a policy table"))
        return;
    for (int i = 0; i < POLICY_FIELD_COUNT; i++)
        names[i] = policy_fields[i].name;
    dml_read_known_keys(r, index, "", names, POLICY_FIELD_COUNT);
    for (int i = 0; i < POLICY_FIELD_COUNT; i++) {
        int at = dml_read_field(r, index, names[i]);
        if (!lua_isnil(r->L, at))
            policy_fields[i].read(r, at, names[i]);
        lua_pop(r->L, 1);
    }
}

void dml_read_base(struct dml_reader *r, int index)
{
    static const struct {
        const char *name;
        dml_read_function read;
    } fields[] = {
        {"ro_binds", dml_read_ro_binds},
        {"symlinks", dml_read_symlinks},
        {"files", dml_read_data},
        {"env_allowlist", read_env_allowlist},
        {"env", read_env},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        int at = dml_read_field(r, index, fields[i].name);
        if (!lua_isnil(r->L, at))
            fields[i].read(r, at, "base");
        lua_pop(r->L, 1);
    }
}
