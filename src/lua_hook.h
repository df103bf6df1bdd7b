/* Hooks: functions of the private state as the host program holds them, and how values cross with them. */
#ifndef DML_LUA_HOOK_H
#define DML_LUA_HOOK_H

#include "lua_border.h"

#include <lua.h>

/* The type of the userdata. */
#define DML_LUA_HOOK "demilune.hook"

/* Makes that type in H. */
void dml_open_hook(lua_State *H);

/* Whether the value at `index` is a hook. Cannot raise. */
bool dml_is_hook(lua_State *H, int index);

/* Push a copy of the value at `index` of one state on the other: out of L, where a function becomes a hook
 * that keeps the private state alive, or into L, where its own hooks become functions again. On failure push
 * nothing and fill `reason`, with `prefix` before it. */
bool dml_hook_copy_out(struct dml_private *private, int index, const char *prefix, struct dml_reason *reason);
bool dml_hook_copy_in(struct dml_private *private, int index, const char *prefix, struct dml_reason *reason);

#endif
