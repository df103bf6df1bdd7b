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

#endif
