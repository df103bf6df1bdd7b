/* The userdata that holds a ceiling, for the glue files that take one. */
#ifndef DML_LUA_CEILING_H
#define DML_LUA_CEILING_H

#include "ceiling.h"

#include <lua.h>

#define DML_LUA_CEILING "demilune.core.ceiling"

/* The ceiling at `index`; raises when it is none, or has problems. */
const struct dml_ceiling *dml_check_ceiling(lua_State *L, int index);

#endif
