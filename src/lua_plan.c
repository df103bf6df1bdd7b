/* Plans for Lua: built from a frozen policy, described, rendered. */
#include "lua_plan.h"
#include "bwrap.h"
#include "ceiling.h"
#include "digest.h"
#include "lint.h"
#include "lua_ceiling.h"
#include "lua_glue.h"
#include "lua_policy.h"
#include "mounts.h"
#include "native/native.h"
#include "seccomp_rules.h"
#include "validate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

static const char *const kind_names[] = {
    [DML_BIND_RO] = "ro_bind", [DML_BIND_RW] = "rw_bind", [DML_BIND_DEVICE] = "device",
    [DML_TMPFS] = "tmpfs",     [DML_SYMLINK] = "symlink", [DML_DATA] = "file",
    [DML_MASK] = "mask",       [DML_PROC] = "proc",       [DML_DEV] = "dev",
    [DML_COVER] = "cover",     [DML_PIN] = "pin",         [DML_SEAL] = "seal",
};

static struct dml_lua_plan *new_plan(lua_State *L)
{
    struct dml_lua_plan *held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = (struct dml_lua_plan){0};
    luaL_setmetatable(L, DML_LUA_PLAN);
    return held;
}

static int plan_gc(lua_State *L)
{
    struct dml_lua_plan *held = luaL_checkudata(L, 1, DML_LUA_PLAN);
    dml_plan_free(held->plan);
    dml_problems_clear(&held->problems);
    dml_problems_clear(&held->warnings);
    held->plan = NULL;
    return 0;
}

static struct dml_plan *check_plan(lua_State *L, int index)
{
    struct dml_lua_plan *held = luaL_checkudata(L, index, DML_LUA_PLAN);
    luaL_argcheck(L, held->plan, index, "not a plan");
    return held->plan;
}

/* The strings of the sequence at `index`, as an array that lives as long as the value pushed. A NUL or
 * another type is a problem; the array has what was fine. */
static const char **check_command(lua_State *L, int index, struct dml_problems *problems, size_t *count)
{
    *count = 0;
    if (!lua_istable(L, index))
        return lua_newuserdatauv(L, sizeof(const char *), 0);
    lua_Unsigned length = lua_rawlen(L, index), keys = 0;
    if (length > 1000000)
        luaL_error(L, "the command has more than 1000000 arguments");
    const char **items = lua_newuserdatauv(L, (size_t)(length + 1) * sizeof *items, 0);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        keys++;
    }
    if (keys != length)
        dml_problem_add(problems, "command.shape", "command", NULL, 0,
                        "has holes or names; a command is a list: { \"program\", \"argument\" }");
    for (lua_Unsigned i = 1; i <= length; i++) {
        char field[48];
        size_t bytes;
        lua_rawgeti(L, index, (lua_Integer)i);
        const char *argument = /* anchored by the table */
            lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &bytes) : NULL;
        if (argument && !memchr(argument, '\0', bytes)) {
            items[(*count)++] = argument;
            lua_pop(L, 1);
            continue;
        }
        snprintf(field, sizeof field, "command[%llu]", (unsigned long long)i);
        if (argument)
            dml_problem_add(problems, "string.nul", field, argument, bytes, "has a NUL byte; take it out");
        else
            dml_problem_add(problems, "type", field, NULL, 0, "%s where a string is needed",
                            luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    return items;
}

/* Pushes the frozen policy at `index` on the base behind it, as a copy to be validated: what was frozen may
 * be planned again. */
static struct dml_policy *push_whole(lua_State *L, int index)
{
    const struct dml_lua_frozen *own = luaL_checkudata(L, index, DML_LUA_FROZEN);
    const struct dml_lua_frozen *base = luaL_checkudata(L, index + 1, DML_LUA_FROZEN);
    struct dml_lua_frozen *whole = dml_new_frozen(L, 2);
    for (int i = 0; i < 2; i++) {
        lua_pushvalue(L, index + i);
        lua_setiuservalue(L, -2, i + 1);
    }
    whole->policy = dml_policy_on_base(own->policy, base->policy);
    if (!whole->policy)
        luaL_error(L, "not enough memory");
    return whole->policy;
}

/* validate(frozen, base) -> problems: what else is wrong with a policy whose shape already is */
static int core_validate(lua_State *L)
{
    lua_settop(L, 2);
    struct dml_policy *policy = push_whole(L, 1);
    struct dml_lua_plan *held = new_plan(L);
    struct dml_host host;
    dml_host_gather(&host, environ);
    dml_validate(policy, &host, &held->problems, &held->warnings);
    if (policy->failed)
        return luaL_error(L, "not enough memory");
    dml_push_problems(L, &held->problems);
    return 1;
}

/* The ceilings of the list at `index`, as an array that lives as long as the value pushed. */
static const struct dml_ceiling **check_ceilings(lua_State *L, int index, size_t *count)
{
    *count = lua_isnoneornil(L, index) ? 0 : lua_rawlen(L, index);
    const struct dml_ceiling **ceilings = lua_newuserdatauv(L, (*count + 1) * sizeof(void *), 0);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        ceilings[i] = dml_check_ceiling(L, -1); /* anchored by the list */
        lua_pop(L, 1);
    }
    return ceilings;
}

/* plan(frozen, base, command|nil, ceilings|nil) -> plan, warnings, nil, the whole as it was validated | nil,
 * warnings, problems */
static int core_plan(lua_State *L)
{
    struct dml_lua_frozen *frozen = luaL_checkudata(L, 1, DML_LUA_FROZEN);
    luaL_argcheck(L, frozen->problems.count == 0, 1, "a policy with problems");
    bool with_command = !lua_isnoneornil(L, 3);
    if (with_command)
        luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 4);
    struct dml_policy *policy = push_whole(L, 1);
    struct dml_lua_plan *held = new_plan(L);
    size_t count, ceiling_count;
    const struct dml_ceiling *const *ceilings = check_ceilings(L, 4, &ceiling_count);
    const char **command = check_command(L, 3, &held->problems, &count);
    if (with_command && lua_rawlen(L, 3) == 0)
        dml_problem_add(&held->problems, "command.empty", "command", NULL, 0, "no command was given");

    struct dml_host host;
    dml_host_gather(&host, environ);
    dml_ceilings_give_limits(ceilings, ceiling_count, policy);
    dml_validate(policy, &host, &held->problems, &held->warnings);
    if (held->problems.count == 0)
        held->plan = dml_plan_new(policy, &host, count, command, &held->problems, &held->warnings);
    for (size_t i = 0; held->plan && i < ceiling_count; i++)
        dml_ceiling_check(ceilings[i], policy, held->plan, &held->problems);
    if (policy->failed || held->problems.failed || (!held->plan && held->problems.count == 0))
        return luaL_error(L, "not enough memory");

    if (held->problems.count)
        luaL_pushfail(L);
    else
        lua_pushvalue(L, 6);
    dml_push_problems(L, &held->warnings);
    if (held->problems.count) {
        dml_push_problems(L, &held->problems);
        return 3;
    }
    lua_pushnil(L);
    lua_pushvalue(L, 5);
    return 4;
}

enum { PLAIN_COMMAND = 16 * 1024 }; /* bytes of arguments that need no look at what the kernel takes */

/* Whether there is nothing to say about a command, on whatever host. */
static bool is_plain(const char *const *command, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count && total <= PLAIN_COMMAND; i++)
        total += strlen(command[i]) + 1 + sizeof(char *);
    return count > 0 && *command[0] && total <= PLAIN_COMMAND;
}

/* with_command(plan, command) -> the plan with another command | nil: that needs a plan of its own, which may
 * say what is wrong. The rest is the other plan's, down to what was known of the host. */
static int core_with_command(lua_State *L)
{
    const struct dml_plan *plan = check_plan(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct dml_lua_plan *held = lua_newuserdatauv(L, sizeof *held, 1);
    *held = (struct dml_lua_plan){0};
    luaL_setmetatable(L, DML_LUA_PLAN);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1); /* everything but the command stays in its arena */
    size_t count;
    const char **command = check_command(L, 2, &held->problems, &count);
    if (held->problems.count || !is_plain(command, count)) {
        luaL_pushfail(L);
        return 1;
    }
    struct dml_plan *copy = held->plan = calloc(1, sizeof *copy);
    if (copy) {
        *copy = *plan;
        copy->arena = (struct dml_arena){0};
        copy->argc = count;
        copy->argv = dml_arena_array(&copy->arena, count + 1, sizeof *copy->argv);
    }
    for (size_t i = 0; copy && copy->argv && i < count; i++) {
        if (!(copy->argv[i] = dml_arena_string(&copy->arena, command[i])))
            copy->argv = NULL;
    }
    if (!copy || !copy->argv)
        return luaL_error(L, "not enough memory");
    lua_pushvalue(L, 3);
    return 1;
}

/* lint(plan) -> what is worth a thought in it */
static int core_lint(lua_State *L)
{
    const struct dml_plan *plan = check_plan(L, 1);
    struct dml_lua_plan *held = new_plan(L);
    dml_lint(plan, &held->warnings);
    dml_push_problems(L, &held->warnings);
    return 1;
}

static int core_digest(lua_State *L)
{
    char digest[DML_DIGEST_LENGTH + 1];
    dml_digest_plan(check_plan(L, 1), digest);
    lua_pushstring(L, digest);
    return 1;
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value); /* nil for NULL */
    lua_setfield(L, -2, name);
}

static void push_mount(lua_State *L, const struct dml_entry *mount)
{
    lua_createtable(L, 0, 8);
    set_string(L, "kind", kind_names[mount->kind]);
    set_string(L, "at", mount->sandbox);
    set_string(L, "source", mount->source.path ? mount->source.path : mount->host);
    set_string(L, "field", mount->field);
    if (mount->size) {
        lua_pushinteger(L, (lua_Integer)mount->size);
        lua_setfield(L, -2, "size");
    }
    if (mount->kind == DML_DATA && !mount->secret) {
        lua_pushinteger(L, (lua_Integer)mount->length);
        lua_setfield(L, -2, "length");
    }
    lua_pushboolean(L, mount->secret);
    lua_setfield(L, -2, "secret");
    lua_pushboolean(L, mount->directory || (mount->source.path && S_ISDIR(mount->source.mode)));
    lua_setfield(L, -2, "directory");
}

static void push_mounts(lua_State *L, const struct dml_entry *mounts, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_mount(L, &mounts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* The rules that have no effect: { { name=, field=, action= }, ... } */
static void push_beaten(lua_State *L, const struct dml_plan *plan)
{
    static const char *const actions[] = {
        [DML_ENV_SET] = "set", [DML_ENV_PASS] = "pass", [DML_ENV_OMIT] = "omit"};
    lua_createtable(L, (int)plan->env_beaten_count, 0);
    for (size_t i = 0; i < plan->env_beaten_count; i++) {
        lua_createtable(L, 0, 3);
        set_string(L, "name", plan->env_beaten[i].name);
        set_string(L, "field", plan->env_beaten[i].field);
        set_string(L, "action", actions[plan->env_beaten[i].action]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_strings(lua_State *L, const char *const *items, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, items[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_booleans(lua_State *L, const bool *items, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushboolean(L, items[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_limits(lua_State *L, const struct dml_limits *limits)
{
    lua_newtable(L);
    for (int i = 0; i < DML_LIMIT_COUNT; i++) {
        if (!limits->has[i] && i != DML_LIMIT_TMP)
            continue;
        if (i == DML_LIMIT_TIMEOUT || i == DML_LIMIT_CPU_TIME)
            lua_pushnumber(L, (lua_Number)limits->value[i] / 1000);
        else
            lua_pushinteger(L, (lua_Integer)limits->value[i]);
        lua_setfield(L, -2, dml_limit_names[i]);
    }
}

/* Of the limits that ceilings gave: which of them, from 1. */
static void push_ceilings_of(lua_State *L, const struct dml_limits *limits)
{
    lua_newtable(L);
    for (int i = 0; i < DML_LIMIT_COUNT; i++) {
        if (limits->ceiling[i] == 0)
            continue;
        lua_pushinteger(L, (lua_Integer)limits->ceiling[i]);
        lua_setfield(L, -2, dml_limit_names[i]);
    }
}

void dml_push_names(lua_State *L, unsigned bits, const char *const *names, int count)
{
    lua_Integer length = 0;
    lua_createtable(L, __builtin_popcount(bits), 0);
    for (int i = 0; i < count; i++) {
        if (bits & 1u << i) {
            lua_pushstring(L, names[i]);
            lua_rawseti(L, -2, ++length);
        }
    }
}

/* describe(plan) -> { mounts=, argv=, env=, chdir=, uid=, ... }: everything, for explain */
static int core_describe(lua_State *L)
{
    const struct dml_plan *plan = check_plan(L, 1);
    lua_createtable(L, 0, 16);
    push_mounts(L, plan->mounts, plan->mount_count);
    lua_setfield(L, -2, "mounts");
    push_mounts(L, plan->shadowed, plan->shadowed_count);
    lua_setfield(L, -2, "shadowed");
    push_strings(L, (const char *const *)plan->argv, plan->argc);
    lua_setfield(L, -2, "argv");
    push_strings(L, (const char *const *)plan->env, plan->env_count);
    lua_setfield(L, -2, "env");
    push_booleans(L, plan->env_passed, plan->env_count);
    lua_setfield(L, -2, "env_passed");
    push_booleans(L, plan->env_secret, plan->env_count);
    lua_setfield(L, -2, "env_secret");
    push_strings(L, plan->env_field, plan->env_count);
    lua_setfield(L, -2, "env_field");
    push_beaten(L, plan);
    lua_setfield(L, -2, "env_beaten");
    push_limits(L, &plan->limits);
    lua_setfield(L, -2, "limits");
    push_ceilings_of(L, &plan->limits);
    lua_setfield(L, -2, "limits_ceiling");
    dml_push_names(L, plan->seccomp_options, dml_seccomp_option_names, DML_OPTION_COUNT);
    lua_setfield(L, -2, "seccomp_allow");
    dml_push_names(L, plan->requires, dml_control_names, DML_CONTROL_COUNT);
    lua_setfield(L, -2, "requires");
    set_string(L, "chdir", plan->chdir);
    set_string(L, "hostname", plan->hostname);
    set_string(L, "name", plan->name);
    core_digest(L);
    lua_setfield(L, -2, "digest");
    lua_pushinteger(L, (lua_Integer)plan->uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, (lua_Integer)plan->gid);
    lua_setfield(L, -2, "gid");
    const struct {
        const char *name;
        bool value;
    } flags[] = {
        {"network", plan->network}, {"tty", plan->tty}, {"nested", plan->nested}, {"seccomp", plan->seccomp}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        lua_pushboolean(L, flags[i].value);
        lua_setfield(L, -2, flags[i].name);
    }
    return 1;
}

/* backend_problems(plan, "bwrap"|"native") -> what keeps that backend from launching it */
static int core_backend_problems(lua_State *L)
{
    static const char *const names[] = {"bwrap", "native", NULL};
    const struct dml_plan *plan = check_plan(L, 1);
    bool native = luaL_checkoption(L, 2, NULL, names) == 1;
    struct dml_lua_plan *held = new_plan(L);
    (native ? dml_native_check : dml_bwrap_check)(plan, &held->problems);
    if (held->problems.failed)
        return luaL_error(L, "not enough memory");
    dml_push_problems(L, &held->problems);
    return 1;
}

/* nests_in_writable(plan) -> whether something is mounted below a writable tree of the host */
static int core_nests_in_writable(lua_State *L)
{
    lua_pushboolean(L, dml_plan_nests_in_writable(check_plan(L, 1)));
    return 1;
}

/* mount_count(plan) -> how many mounts it takes */
static int core_mount_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_plan(L, 1)->mount_count);
    return 1;
}

/* wants_cgroup(plan) -> whether it asks for one */
static int core_wants_cgroup(lua_State *L)
{
    lua_pushboolean(L, dml_plan_controls(check_plan(L, 1)) >> DML_CONTROL_CGROUP & 1);
    return 1;
}

/* The arguments stay reachable from a userdata, whatever happens to Lua's memory meanwhile. */
static int arguments_gc(lua_State *L)
{
    dml_bwrap_arguments_clear(luaL_checkudata(L, 1, "demilune.core.arguments"));
    return 0;
}

static struct dml_bwrap_arguments *new_arguments(lua_State *L)
{
    struct dml_bwrap_arguments *arguments = lua_newuserdatauv(L, sizeof *arguments, 0);
    *arguments = (struct dml_bwrap_arguments){0};
    luaL_setmetatable(L, "demilune.core.arguments");
    return arguments;
}

/* arguments(plan) -> bwrap's arguments as a person would read them */
static int core_arguments(lua_State *L)
{
    const struct dml_plan *plan = check_plan(L, 1);
    struct dml_error error;
    struct dml_bwrap_arguments *arguments = new_arguments(L);
    if (!dml_bwrap_render(plan, &dml_bwrap_all_features, true, arguments, &error))
        return luaL_error(L, "%s", error.message);
    push_strings(L, arguments->items, arguments->count);
    return 1;
}

/* check_command(command) -> problems: what keeps a table from being a command */
static int core_check_command(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct dml_lua_plan *held = new_plan(L);
    size_t count;
    check_command(L, 1, &held->problems, &count);
    dml_push_problems(L, &held->problems);
    return 1;
}

void dml_open_plan(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"validate", core_validate},
        {"plan", core_plan},
        {"lint", core_lint},
        {"digest", core_digest},
        {"describe", core_describe},
        {"arguments", core_arguments},
        {"backend_problems", core_backend_problems},
        {"nests_in_writable", core_nests_in_writable},
        {"mount_count", core_mount_count},
        {"wants_cgroup", core_wants_cgroup},
        {"check_command", core_check_command},
        {"with_command", core_with_command},
        {NULL, NULL},
    };
    luaL_newmetatable(L, DML_LUA_PLAN);
    lua_pushcfunction(L, plan_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newmetatable(L, "demilune.core.arguments");
    lua_pushcfunction(L, arguments_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
