/* The userdata that holds a frozen policy, for the glue files that take one. */
#ifndef DML_LUA_POLICY_H
#define DML_LUA_POLICY_H

#include "policy.h"

#include <lua.h>

#define DML_LUA_FROZEN "demilune.frozen"

struct dml_lua_frozen {
    struct dml_policy *policy;
    struct dml_problems problems; /* of its shape; a policy that has some is never planned */
};

/* Pushes a frozen policy with nothing in it, to be filled; `kept` values stay with it. */
struct dml_lua_frozen *dml_new_frozen(lua_State *L, int kept);

/* Pushes a list of { field=, value=, code=, message= }. Raises when a problem was lost for want of memory. */
void dml_push_problems(lua_State *L, const struct dml_problems *list);

#endif
