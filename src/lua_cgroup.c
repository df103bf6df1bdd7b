/* The command's own place among cgroups, for Lua. */
#include "cgroup.h"
#include "lua_glue.h"

#define DML_LUA_LEAF "demilune.core.leaf"

static int leaf_close(lua_State *L)
{
    dml_cgroup_return(luaL_checkudata(L, 1, DML_LUA_LEAF));
    return 0;
}

/* settle_cgroup() -> a value to close at the end: makes room for cgroups of version 2, where that takes our
 * moving into a leaf. For a program that owns its process alone. */
static int core_settle_cgroup(lua_State *L)
{
    struct dml_cgroup_leaf *leaf = lua_newuserdatauv(L, sizeof *leaf, 0);
    *leaf = (struct dml_cgroup_leaf){0};
    luaL_setmetatable(L, DML_LUA_LEAF);
    dml_cgroup_settle(leaf);
    return 1;
}

void dml_open_cgroup(lua_State *L)
{
    static const luaL_Reg functions[] = {{"settle_cgroup", core_settle_cgroup}, {NULL, NULL}};
    luaL_newmetatable(L, DML_LUA_LEAF);
    lua_pushcfunction(L, leaf_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, leaf_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
