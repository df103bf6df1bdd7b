/* core.private: the private Lua state of policies, a second lua_State with few functions, little memory and a
 * clock. */
#include "lua_chunk.h"
#include "lua_copy.h"
#include "lua_environment.h"
#include "lua_glue.h"
#include "lua_hook.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define STATE_TYPE "demilune.private"

#define DEFAULT_TIME_MS 200
#define DEFAULT_MEMORY ((size_t)8 << 20)

static void close_state(struct dml_private *private)
{
    lua_State *L = private->L;
    private->L = NULL;
    if (L != NULL)
        lua_close(L);
}

static int private_close(lua_State *H)
{
    struct dml_private *private = luaL_checkudata(H, 1, STATE_TYPE);
    if (private->H != NULL)
        return dml_border_fail(H, "the policy state is running");
    close_state(private);
    lua_pushboolean(H, 1);
    return 1;
}

static lua_Integer option_integer(lua_State *H, const char *name, lua_Integer fallback, lua_Integer most)
{
    lua_Integer value = fallback;
    if (lua_getfield(H, 1, name) != LUA_TNIL) {
        int exact;
        value = lua_tointegerx(H, -1, &exact);
        if (!exact || value < 1 || value > most)
            luaL_error(H, "private: `%s` is an integer from 1 to %I", name, most);
    }
    lua_pop(H, 1);
    return value;
}

/* Stores the function `options[name]` in the table on top of the stack. */
static void keep_callback(lua_State *H, const char *name, enum dml_question question)
{
    int type = lua_getfield(H, 1, name);
    if (type != LUA_TNIL && type != LUA_TFUNCTION)
        luaL_error(H, "private: `%s` is a function", name);
    lua_rawseti(H, -2, question);
}

static void keep_callbacks(lua_State *H, int self)
{
    lua_createtable(H, 3, 0);
    keep_callback(H, "include", DML_ASK_INCLUDE);
    keep_callback(H, "print", DML_ASK_PRINT);
    keep_callback(H, "host_lookup", DML_ASK_HOST);
    lua_setiuservalue(H, self, 1);
}

/* Fills the new state: the environment, and the globals at index `globals` of H. */
static bool set_up(struct dml_private *private, int globals, struct dml_reason *reason)
{
    lua_State *L = private->L;
    lua_pushcfunction(L, dml_environment_make);
    if (!dml_border_call(private, 0, 1, "", reason))
        return false;
    lua_pushcfunction(L, dml_environment_add_globals);
    lua_insert(L, 1);
    return dml_hook_copy_in(private, globals, "private: globals", reason) &&
           dml_border_call(private, 2, 0, "", reason);
}

/* core.private(options) -> userdata | nil, message. Options: `globals` (plain data), `include(name)` ->
 * source, file name | nil, message; `print(text)`; `host_lookup(name)` -> plain value or nil; `time_ms`,
 * `memory` in bytes. */
static int core_private(lua_State *H)
{
    luaL_checktype(H, 1, LUA_TTABLE);
    lua_settop(H, 1);
    if (lua_getfield(H, 1, "globals") == LUA_TNIL) {
        lua_newtable(H);
        lua_replace(H, 2);
    }
    if (!lua_istable(H, 2))
        return luaL_error(H, "private: `globals` is a table");

    struct dml_private *private = lua_newuserdatauv(H, sizeof *private, 1);
    int self = lua_gettop(H);
    memset(private, 0, sizeof *private);
    luaL_setmetatable(H, STATE_TYPE);
    private->bounds.time_ms = (int)option_integer(H, "time_ms", DEFAULT_TIME_MS, 3600000);
    private->bounds.memory_limit = (size_t)option_integer(H, "memory", DEFAULT_MEMORY, (lua_Integer)1 << 40);
    keep_callbacks(H, self);
    lua_getfield(H, LUA_REGISTRYINDEX, DML_GUARD);
    private->guard = lua_touserdata(H, -1);

    struct dml_reason reason;
    if (private->guard != NULL && !private->guard->prepare()) {
        snprintf(reason.text, sizeof reason.text, "no timer can be had: %s", strerror(errno));
        return dml_border_fail(H, reason.text);
    }
    private->L = dml_bounds_new_state(&private->bounds);
    if (private->L == NULL) {
        dml_bounds_describe_memory(&private->bounds, reason.text, sizeof reason.text);
        return dml_border_fail(H, reason.text);
    }
    dml_border_enter(private, H, self, "private");
    bool ready = set_up(private, 2, &reason);
    dml_border_leave(private);
    if (!ready) {
        close_state(private);
        return dml_border_fail(H, reason.text);
    }
    lua_pushvalue(H, self);
    return 1;
}

/* The text and the name that a method got as its second and third argument. */
static struct dml_chunk check_chunk(lua_State *H)
{
    struct dml_chunk chunk;
    chunk.source = luaL_checklstring(H, 2, &chunk.length);
    chunk.name = luaL_checkstring(H, 3);
    lua_settop(H, 3);
    return chunk;
}

/* Runs `run` in the private state, protected, with the text that the method got. Its results: a copy of the
 * table that it gives, or true when it gives none; nil and a message otherwise. */
static int run_chunk(lua_State *H, lua_CFunction run, bool gives_table)
{
    struct dml_private *private = luaL_checkudata(H, 1, STATE_TYPE);
    struct dml_chunk chunk = check_chunk(H);
    struct dml_reason reason;
    const char *obstacle = dml_private_unusable(private);
    if (obstacle != NULL)
        return dml_border_fail(H, obstacle);
    dml_border_enter(private, H, 1, chunk.name);
    lua_pushcfunction(private->L, run);
    lua_pushlightuserdata(private->L, &chunk);
    bool done = dml_border_call(private, 1, gives_table, chunk.name, &reason) &&
                (!gives_table || dml_hook_copy_out(private, 1, chunk.name, &reason));
    dml_border_leave(private);
    if (!done)
        return dml_border_fail(H, reason.text);
    if (!gives_table)
        lua_pushboolean(H, 1);
    return 1;
}

/* private:prelude(source, name) -> true | nil, message. Trusted Lua that returns a table of metatables by
 * kind, for the arguments of hooks. */
static int private_prelude(lua_State *H)
{
    return run_chunk(H, dml_chunk_run_prelude, false);
}

/* private:load(source, name) -> a copy of the table that the file returns | nil, message. */
static int private_load(lua_State *H)
{
    return run_chunk(H, dml_chunk_run_policy, true);
}

/* Keeps functions and hooks as they are (`dml_copy.convert`, within H). */
static bool keep_callable(lua_State *from, int index, lua_State *to, void *context)
{
    (void)context;
    if (lua_type(from, index) != LUA_TFUNCTION && !dml_is_hook(from, index))
        return false;
    lua_pushvalue(to, index);
    return true;
}

/* core.copy(value [, allow_functions]) -> a deep raw copy | nil, message. Hooks count as functions. */
static int core_copy(lua_State *H)
{
    luaL_checkany(H, 1);
    struct dml_copy copy = {.convert = lua_toboolean(H, 2) ? keep_callable : NULL};
    return dml_copy_value(H, 1, H, &copy) ? 1 : dml_border_fail(H, copy.message);
}

void dml_open_private(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"load", private_load}, {"prelude", private_prelude}, {"close", private_close}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", private_close}, {"__close", private_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"private", core_private}, {"copy", core_copy}, {NULL, NULL}};
    luaL_newmetatable(L, STATE_TYPE);
    luaL_setfuncs(L, metamethods, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    dml_open_hook(L);
    luaL_setfuncs(L, functions, 0);
}
