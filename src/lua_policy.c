/* core.freeze: a raw deep copy of a Lua policy table into C. What it makes belongs to a userdata from its
 * first byte, so that a Lua error on the way loses nothing. */
#include "lua_fields.h"
#include "lua_glue.h"
#include "lua_policy.h"

static int frozen_gc(lua_State *L)
{
    struct dml_lua_frozen *frozen = luaL_checkudata(L, 1, DML_LUA_FROZEN);
    dml_problems_clear(&frozen->problems);
    dml_policy_free(frozen->policy);
    frozen->policy = NULL;
    return 0;
}

void dml_push_problems(lua_State *L, const struct dml_problems *list)
{
    if (list->failed)
        luaL_error(L, "not enough memory");
    lua_createtable(L, (int)list->count, 0);
    for (size_t i = 0; i < list->count; i++) {
        const struct dml_problem *problem = &list->items[i];
        lua_createtable(L, 0, 4);
        lua_pushstring(L, problem->field);
        lua_setfield(L, -2, "field");
        lua_pushstring(L, problem->code);
        lua_setfield(L, -2, "code");
        lua_pushstring(L, problem->message);
        lua_setfield(L, -2, "message");
        lua_pushstring(L, problem->value); /* nil when there is none */
        lua_setfield(L, -2, "value");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

struct dml_lua_frozen *dml_new_frozen(lua_State *L, int kept)
{
    struct dml_lua_frozen *frozen = lua_newuserdatauv(L, sizeof *frozen, kept);
    *frozen = (struct dml_lua_frozen){0};
    luaL_setmetatable(L, DML_LUA_FROZEN);
    return frozen;
}

/* Pushes one with an empty policy. */
static struct dml_lua_frozen *new_frozen(lua_State *L)
{
    struct dml_lua_frozen *frozen = dml_new_frozen(L, 0);
    frozen->policy = dml_policy_new();
    if (!frozen->policy)
        luaL_error(L, "not enough memory");
    return frozen;
}

static void check_memory(lua_State *L, const struct dml_lua_frozen *frozen)
{
    if (frozen->policy->failed || frozen->problems.failed)
        luaL_error(L, "not enough memory");
}

/* Copies the list of paths at `index`, one of our own, into the policy. */
static void take_files(lua_State *L, int index, struct dml_policy *policy)
{
    size_t count = lua_istable(L, index) ? lua_rawlen(L, index) : 0;
    policy->files = dml_arena_array(&policy->arena, count, sizeof *policy->files);
    for (size_t i = 0; policy->files && i < count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        policy->files[i] = dml_arena_string(&policy->arena, luaL_checkstring(L, -1));
        policy->failed |= !policy->files[i];
        lua_pop(L, 1);
    }
    policy->failed |= !policy->files;
    policy->file_count = policy->failed ? 0 : count;
}

enum { NESTED = 64 }; /* more values than the fields nest */

/* freeze(policy, { home=, files=, wire= }) -> frozen, problems: the policy without its base. With problems
 * only `validate` may be asked more. */
static int core_freeze(lua_State *L)
{
    luaL_checkany(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    if (!lua_checkstack(L, NESTED))
        return luaL_error(L, "not enough memory");
    lua_getfield(L, 2, "home");
    const char *home = luaL_optstring(L, 3, NULL);
    lua_getfield(L, 2, "files");
    struct dml_lua_frozen *frozen = new_frozen(L);
    struct dml_reader r = {.L = L, .policy = frozen->policy, .problems = &frozen->problems, .home = home};
    take_files(L, 4, frozen->policy);
    lua_getfield(L, 2, "wire");
    frozen->policy->wire = lua_toboolean(L, -1);
    lua_pop(L, 1);
    dml_read_policy(&r, 1);
    check_memory(L, frozen);
    dml_push_problems(L, &frozen->problems);
    return 2;
}

/* freeze_base(base|nil) -> frozen: what is there before a policy says anything; nil: nothing */
static int core_freeze_base(lua_State *L)
{
    lua_settop(L, 1);
    if (!lua_checkstack(L, NESTED))
        return luaL_error(L, "not enough memory");
    struct dml_lua_frozen *frozen = new_frozen(L);
    struct dml_reader r = {.L = L, .policy = frozen->policy, .problems = &frozen->problems, .base = true};
    if (!lua_isnil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        dml_read_base(&r, 1);
    }
    check_memory(L, frozen);
    return 1;
}

void dml_open_policy(lua_State *L)
{
    luaL_newmetatable(L, DML_LUA_FROZEN);
    lua_pushcfunction(L, frozen_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_freeze);
    lua_setfield(L, -2, "freeze");
    lua_pushcfunction(L, core_freeze_base);
    lua_setfield(L, -2, "freeze_base");
}
