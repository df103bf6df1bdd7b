/* The userdata that holds a plan, for the glue files that take one. */
#ifndef DML_LUA_PLAN_H
#define DML_LUA_PLAN_H

#include "plan.h"

#include <lua.h>

#define DML_LUA_PLAN "demilune.core.plan"

struct dml_lua_plan {
    struct dml_plan *plan;
    struct dml_problems problems, warnings;
};

/* Pushes a list of those of the names whose bits are set. */
void dml_push_names(lua_State *L, unsigned bits, const char *const *names, int count);

#endif
