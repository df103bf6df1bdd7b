/* Comparing policies for Lua. */
#include "lua_glue.h"
#include "lua_plan.h"
#include "lua_policy.h"
#include "narrower.h"

struct finding {
    struct dml_problems problems;
};

static int finding_gc(lua_State *L)
{
    struct finding *finding = luaL_checkudata(L, 1, "demilune.core.finding");
    dml_problems_clear(&finding->problems);
    return 0;
}

static struct dml_side check_side(lua_State *L, int index)
{
    const struct dml_lua_frozen *frozen = luaL_checkudata(L, index, DML_LUA_FROZEN);
    const struct dml_lua_plan *held = luaL_checkudata(L, index + 1, DML_LUA_PLAN);
    luaL_argcheck(L, held->plan, index + 1, "not a plan");
    return (struct dml_side){.policy = frozen->policy, .plan = held->plan};
}

/* narrower(frozen a, plan a, frozen b, plan b) -> true | false, problem: whether a gives no more than b, or
 * the first thing that it does */
static int core_narrower(lua_State *L)
{
    struct dml_side a = check_side(L, 1), b = check_side(L, 3);
    struct finding *finding = lua_newuserdatauv(L, sizeof *finding, 0);
    *finding = (struct finding){0};
    luaL_setmetatable(L, "demilune.core.finding");
    lua_pushboolean(L, dml_narrower(&a, &b, &finding->problems));
    dml_push_problems(L, &finding->problems);
    lua_rawgeti(L, -1, 1); /* nil when there is none */
    lua_remove(L, -2);
    return 2;
}

void dml_open_narrower(lua_State *L)
{
    luaL_newmetatable(L, "demilune.core.finding");
    lua_pushcfunction(L, finding_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_narrower);
    lua_setfield(L, -2, "narrower");
}
