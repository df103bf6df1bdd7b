/* The command's own Lua modules, compiled and carried along. */
#ifndef DML_LUA_MODULES_H
#define DML_LUA_MODULES_H

#include <lua.h>

/* Makes each of them available to `require`, before any file is looked for. */
void dml_add_modules(lua_State *L);

#endif
