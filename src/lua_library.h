/* The standard libraries as a policy sees them: only what computes, and nothing whose cost or size has no
 * bound. */
#ifndef DML_LUA_LIBRARY_H
#define DML_LUA_LIBRARY_H

#include <lua.h>

/* Opens base, string, table, math and utf8 in L, whole but for a bounded `table`. Trusted Lua sees these: it
 * gets lists of the policy, so its `table` functions are bounded too. May raise. */
void dml_library_open(lua_State *L);

/* Adds what a policy may use of the opened library `name` (LUA_GNAME: the base library) to the table at the
 * absolute index `target`. May raise. */
void dml_library_add(lua_State *L, const char *name, int target);

#endif
