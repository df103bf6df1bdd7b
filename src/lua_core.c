/* The module demilune.core: every function that Lua may call in the engine. */
#include "lua_glue.h"

__attribute__((visibility("default"))) int luaopen_demilune_core(lua_State *L);

int luaopen_demilune_core(lua_State *L)
{
    luaL_checkversion(L);
    lua_newtable(L);
    dml_open_host(L);
    dml_open_policy(L);
    dml_open_plan(L);
    dml_open_ceiling(L);
    dml_open_narrower(L);
    dml_open_process(L);
    dml_open_descriptors(L);
    dml_open_stream(L);
    dml_open_files(L);
    dml_open_bytes(L);
    dml_open_json(L);
    dml_open_private(L);
    dml_open_seccomp(L);
    dml_open_cgroup(L);
    dml_open_explain(L);
    dml_open_trial(L);
    lua_pushliteral(L, DML_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}
