/* The system call filter for Lua, so that it can be looked at. */
#include "lua_glue.h"
#include "policy.h"
#include "seccomp.h"

/* seccomp_filter(machine, options) -> the filter for "x86_64" or "aarch64" without what the options, a list
 * of names, take out of it: 8 bytes an instruction, as the kernel has them */
static int core_seccomp_filter(lua_State *L)
{
    static const char *const machines[] = {[DML_X86_64] = "x86_64", [DML_AARCH64] = "aarch64", NULL};
    struct sock_filter filter[DML_FILTER_MAX];
    enum dml_machine machine = (enum dml_machine)luaL_checkoption(L, 1, NULL, machines);
    unsigned options = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_Unsigned i = 1; i <= lua_rawlen(L, 2); i++) {
        lua_rawgeti(L, 2, (lua_Integer)i);
        int option = dml_name_index(luaL_checkstring(L, -1), dml_seccomp_option_names, DML_OPTION_COUNT);
        luaL_argcheck(L, option >= 0, 2, "no option");
        options |= 1u << option;
        lua_pop(L, 1);
    }
    size_t length = dml_seccomp_filter(machine, options, filter);
    lua_pushlstring(L, (const char *)filter, length * sizeof *filter);
    return 1;
}

void dml_open_seccomp(lua_State *L)
{
    static const luaL_Reg functions[] = {{"seccomp_filter", core_seccomp_filter}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
