/* core.ceiling: a raw deep copy of an operator's table into C. What it makes belongs to a userdata from its
 * first byte, so that a Lua error on the way loses nothing. */
#include "lua_ceiling.h"
#include "host_trust.h"
#include "lua_fields.h"
#include "lua_glue.h"
#include "lua_policy.h"
#include "text.h"
#include "validate.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct held {
    struct dml_ceiling ceiling;
    struct dml_problems problems;
};

/* A reader that knows the ceiling which it fills, and the list of it that is being read. */
struct reader {
    struct dml_reader r;
    struct dml_ceiling *ceiling;
    struct dml_names *list;
};

static struct reader *whole(struct dml_reader *r)
{
    return (struct reader *)r; /* its first member */
}

static int ceiling_gc(lua_State *L)
{
    struct held *held = luaL_checkudata(L, 1, DML_LUA_CEILING);
    dml_problems_clear(&held->problems);
    dml_policy_free(held->ceiling.policy);
    held->ceiling.policy = NULL;
    return 0;
}

const struct dml_ceiling *dml_check_ceiling(lua_State *L, int index)
{
    const struct held *held = luaL_checkudata(L, index, DML_LUA_CEILING);
    luaL_argcheck(L, held->ceiling.policy && held->problems.count == 0, index, "a ceiling with problems");
    return &held->ceiling;
}

/* --- lists --- */

/* Reads a list of strings into `list`, each by `read_item`, which adds it. */
static void read_names(struct dml_reader *r, int index, const char *field, const char *expected,
                       struct dml_names *list, dml_read_function read_item)
{
    size_t most = lua_istable(r->L, index) ? lua_rawlen(r->L, index) : 0;
    list->items = dml_arena_array(&r->policy->arena, most, sizeof *list->items);
    r->policy->failed |= !list->items;
    whole(r)->list = list;
    if (list->items)
        dml_read_list(r, index, field, expected, read_item);
}

static void add_name(struct dml_reader *r, const char *name)
{
    struct dml_names *list = whole(r)->list;
    list->items[list->count++] = name;
}

static void read_tree(struct dml_reader *r, int index, const char *field)
{
    const char *path = dml_read_host_path(r, index, field, "a path of the host");
    if (path &&
        dml_validate_path((char *)path, field, "write policy_dir .. \"/...\" or the whole path", r->problems))
        add_name(r, path);
}

static void read_pattern(struct dml_reader *r, int index, const char *field)
{
    const char *name = dml_read_string(r, index, field, "the name of a variable");
    size_t length = name ? strlen(name) : 0, i = 0;
    while (i < length && (isalnum((unsigned char)name[i]) || name[i] == '_'))
        i++;
    if (name && length && (i == length || (i == length - 1 && name[i] == '*')))
        add_name(r, name);
    else if (name)
        dml_problem_add(r->problems, "env.name", field, name, dml_shown_length(name),
                        "is no name of a variable; only its end may be *");
}

static void read_base_name(struct dml_reader *r, int index, const char *field)
{
    const char *name = dml_read_string(r, index, field, "the name of a base");
    int base = name ? dml_name_index(name, dml_base_names, DML_BASE_COUNT) : -1;
    if (base >= 0)
        whole(r)->ceiling->bases |= 1u << base;
    else if (name)
        dml_problem_add(r->problems, "base.unknown", field, name, strlen(name),
                        "is no base; write \"host\", \"nix\" or \"none\"");
}

static void read_backend_name(struct dml_reader *r, int index, const char *field)
{
    static const char *const backends[] = {"bwrap", "native", "none"};
    const char *name = dml_read_string(r, index, field, "the name of a backend");
    if (name && dml_name_index(name, backends, 3) < 0)
        dml_problem_add(r->problems, "backend.unknown", field, name, strlen(name),
                        "is no backend; write \"bwrap\", \"native\" or \"none\"");
}

/* --- fields --- */

#define TREES "a list of paths of the host"

static void read_read(struct dml_reader *r, int index, const char *field)
{
    read_names(r, index, field, TREES, &whole(r)->ceiling->read, read_tree);
}

static void read_write(struct dml_reader *r, int index, const char *field)
{
    read_names(r, index, field, TREES, &whole(r)->ceiling->write, read_tree);
}

static void read_deny(struct dml_reader *r, int index, const char *field)
{
    read_names(r, index, field, TREES, &whole(r)->ceiling->deny, read_tree);
}

static void read_bases(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of bases", read_base_name);
}

static void read_env(struct dml_reader *r, int index, const char *field)
{
    read_names(r, index, field, "a list of names", &whole(r)->ceiling->env, read_pattern);
}

static void read_network(struct dml_reader *r, int index, const char *field)
{
    dml_read_boolean(r, index, field, &r->policy->network);
}

static void read_tty(struct dml_reader *r, int index, const char *field)
{
    dml_read_boolean(r, index, field, &r->policy->tty);
}

static void read_nested(struct dml_reader *r, int index, const char *field)
{
    dml_read_boolean(r, index, field, &r->policy->nested);
}

static void read_backends(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of backends", read_backend_name);
}

static void read_text(struct dml_reader *r, int index, const char *field)
{
    dml_read_string(r, index, field, "text");
}

enum { NO_BOUND = -1 }; /* limits bound one by one; denials and backends hold without being said */

static const struct {
    const char *name;
    dml_read_function read;
    int bound;
} fields[] = {
    {"name", read_text, NO_BOUND},
    {"description", read_text, NO_BOUND},
    {"read", read_read, DML_BOUND_READ},
    {"write", read_write, DML_BOUND_WRITE},
    {"deny", read_deny, NO_BOUND},
    {"bases", read_bases, DML_BOUND_BASES},
    {"env", read_env, DML_BOUND_ENV},
    {"network", read_network, DML_BOUND_NETWORK},
    {"tty", read_tty, DML_BOUND_TTY},
    {"nested", read_nested, DML_BOUND_NESTED},
    {"seccomp", dml_read_seccomp, DML_BOUND_SECCOMP},
    {"limits", dml_read_limits, NO_BOUND},
    {"acknowledge", dml_read_acknowledge, DML_BOUND_ACKNOWLEDGE},
    {"backends", read_backends, NO_BOUND},
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static void read_ceiling(struct reader *reader, int index)
{
    struct dml_reader *r = &reader->r;
    const char *names[FIELD_COUNT];
    if (!dml_read_table(r, index, "", "a table"))
        return;
    for (int i = 0; i < FIELD_COUNT; i++)
        names[i] = fields[i].name;
    dml_read_known_keys(r, index, "", names, FIELD_COUNT);
    for (int i = 0; i < FIELD_COUNT; i++) {
        int at = dml_read_field(r, index, names[i]);
        if (!lua_isnil(r->L, at)) {
            fields[i].read(r, at, names[i]);
            if (fields[i].bound != NO_BOUND)
                reader->ceiling->says |= 1u << fields[i].bound;
        }
        lua_pop(r->L, 1);
    }
}

/* ceiling(table, home|nil, file|nil) -> ceiling, problems. One with problems bounds nothing: it is refused
 * where one is wanted. */
static int core_ceiling(lua_State *L)
{
    luaL_checkany(L, 1);
    const char *home = luaL_optstring(L, 2, NULL), *file = luaL_optstring(L, 3, NULL);
    lua_settop(L, 3);
    if (!lua_checkstack(L, 64)) /* more than the fields nest */
        return luaL_error(L, "not enough memory");
    struct held *held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = (struct held){0};
    luaL_setmetatable(L, DML_LUA_CEILING);
    struct dml_policy *policy = held->ceiling.policy = dml_policy_new();
    if (!policy)
        return luaL_error(L, "not enough memory");
    held->ceiling.file = dml_arena_string(&policy->arena, file);
    policy->failed |= file && !held->ceiling.file;
    struct reader reader = {.r = {.L = L, .policy = policy, .problems = &held->problems, .home = home},
                            .ceiling = &held->ceiling};
    read_ceiling(&reader, 1);
    if (policy->failed || held->problems.failed)
        return luaL_error(L, "not enough memory");
    dml_push_problems(L, &held->problems);
    return 2;
}

/* operators_file(path) -> true: only root can have written it | false: there is none | nil, message */
static int core_operators_file(lua_State *L)
{
    struct dml_error error;
    bool exists;
    if (!dml_host_operators_file(luaL_checkstring(L, 1), &exists, &error)) {
        luaL_pushfail(L);
        lua_pushstring(L, error.message);
        return 2;
    }
    lua_pushboolean(L, exists);
    return 1;
}

/* trusted_file(path) -> whether only we and root can have written what stands there, the uid of its owner |
 * nil */
static int core_trusted_file(lua_State *L)
{
    uid_t owner;
    lua_pushboolean(L, dml_host_trusted_file(luaL_checkstring(L, 1), &owner));
    if (owner == (uid_t)-1)
        luaL_pushfail(L);
    else
        lua_pushinteger(L, owner);
    return 2;
}

/* account_home() -> the home directory of our account, whatever HOME says | nil */
static int core_account_home(lua_State *L)
{
    char home[4096];
    if (dml_host_account_home(home, sizeof home))
        lua_pushstring(L, home);
    else
        luaL_pushfail(L);
    return 1;
}

void dml_open_ceiling(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"ceiling", core_ceiling},
        {"operators_file", core_operators_file},
        {"trusted_file", core_trusted_file},
        {"account_home", core_account_home},
        {NULL, NULL},
    };
    luaL_newmetatable(L, DML_LUA_CEILING);
    lua_pushcfunction(L, ceiling_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
    lua_pushliteral(L, "/etc/demilune/ceiling.lua"); /* that of the machine */
    lua_setfield(L, -2, "ceiling_path");
}
