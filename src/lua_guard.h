/* The guard of the command: ends the process when policy code does not come back, whatever it hangs in. */
#ifndef DML_LUA_GUARD_H
#define DML_LUA_GUARD_H

#include <lua.h>

/* Gives every private state that L makes from now on the guard, and L the module demilune.guard (preloaded).
 * For a process that is our own: it takes a signal. */
void dml_guard_install(lua_State *L);

#endif
