/* What a policy sees: its globals, read-only and complete, so that a name which is not among them is an error
 * with a hint and not a silent nil. */
#ifndef DML_LUA_ENVIRONMENT_H
#define DML_LUA_ENVIRONMENT_H

#include <lua.h>

/* Functions of L, to be called protected. The first makes the environment of policy files, without anything
 * of the host program, and returns the table of its globals. The second takes that table and a table of plain
 * data, which it uses up: it adds that data as globals, read-only at every depth, where `host` stands for the
 * facts about the host that are known; others are asked for when they are read. */
int dml_environment_make(lua_State *L);
int dml_environment_add_globals(lua_State *L);

#endif
