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

/* freeze(policy, base|nil, { home=, files=, wire= }) -> frozen, problems. With problems only
 * `validate` may be asked more. */
static int core_freeze(lua_State *L)
{
    luaL_checkany(L, 1);
    luaL_checkany(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (!lua_checkstack(L, 64)) /* more than the fields nest */
        return luaL_error(L, "not enough memory");
    lua_getfield(L, 3, "home");
    const char *home = luaL_optstring(L, 4, NULL);
    lua_getfield(L, 3, "files");

    struct dml_lua_frozen *frozen = lua_newuserdatauv(L, sizeof *frozen, 0);
    *frozen = (struct dml_lua_frozen){0};
    luaL_setmetatable(L, DML_LUA_FROZEN);
    frozen->policy = dml_policy_new();
    if (!frozen->policy)
        return luaL_error(L, "not enough memory");
    struct dml_reader r = {.L = L, .policy = frozen->policy, .problems = &frozen->problems, .home = home};
    take_files(L, 5, frozen->policy);
    lua_getfield(L, 3, "wire");
    frozen->policy->wire = lua_toboolean(L, -1);
    lua_pop(L, 1);

    if (lua_istable(L, 2)) {
        bool own_allowlist = false;
        if (lua_istable(L, 1)) {
            own_allowlist = !lua_isnil(L, dml_read_field(&r, 1, "env_allowlist"));
            lua_pop(L, 1);
        }
        r.base = true;
        dml_read_base(&r, 2, own_allowlist);
        r.base = false;
    }
    dml_read_policy(&r, 1);
    if (frozen->policy->failed || frozen->problems.failed)
        return luaL_error(L, "not enough memory");
    lua_pushvalue(L, 6);
    dml_push_problems(L, &frozen->problems);
    return 2;
}

void dml_open_policy(lua_State *L)
{
    luaL_newmetatable(L, DML_LUA_FROZEN);
    lua_pushcfunction(L, frozen_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_freeze);
    lua_setfield(L, -2, "freeze");
}
