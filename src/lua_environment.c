#include "lua_border.h"
#include "lua_chunk.h"
#include "lua_copy.h"
#include "lua_environment.h"
#include "lua_library.h"
#include "text.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 64 /* among which a hint is looked for */

/* --- names that are not defined --- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The key of the table at `table` that `name` most likely meant, or NULL; the order of keys does not show. */
static const char *nearest_key(lua_State *L, int table, const char *name)
{
    const char *names[MAX_NAMES] = {NULL};
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING && count < MAX_NAMES)
            names[count++] = lua_tostring(L, -1); /* stays valid: it is a key of the table */
    }
    qsort(names, count, sizeof names[0], compare_names);
    return dml_nearest(name, names, count);
}

/* Raises that a name is not defined. Upvalue 1: what stands before the name ("", "string."). Arguments: the
 * table of the names that are, and this one. */
static int undefined_name(lua_State *L)
{
    const char *before = lua_tostring(L, lua_upvalueindex(1));
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
        return 1;
    }
    size_t length;
    const char *name = lua_tolstring(L, 2, &length);
    const char *hint = nearest_key(L, 1, name);
    struct dml_reason shown;
    dml_reason_set(&shown, "", name, length < 60 ? length : 60);
    if (hint == NULL)
        return luaL_error(L, "`%s%s` is not defined", before, shown.text);
    return luaL_error(L, "`%s%s` is not defined; did you mean `%s%s`?", before, shown.text, before, hint);
}

/* Makes every name an error that the table at `table` has not. Pops what stands before such a name. */
static void complete(lua_State *L, int table)
{
    lua_pushcclosure(L, undefined_name, 1);
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, table);
}

static int refuse_global(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "assignment to a global");
    const char *name = lua_tostring(L, 2);
    return luaL_error(L, "assignment to global `%s`; use `local %s`", name, name);
}

/* --- read-only views --- */

/* Upvalue 1: the name of the table. */
static int refuse_change(lua_State *L)
{
    return luaL_error(L, "`%s` is read-only", lua_tostring(L, lua_upvalueindex(1)));
}

/* Upvalue 1: the values behind a read-only table. */
static int next_value(lua_State *L)
{
    lua_settop(L, 2);
    return lua_next(L, lua_upvalueindex(1)) ? 2 : 1;
}

static int pairs_of_values(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, next_value, 1);
    lua_pushnil(L);
    lua_pushnil(L);
    return 3;
}

static int length_of_values(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, lua_upvalueindex(1)));
    return 1;
}

static void set_closure(lua_State *L, const char *field, lua_CFunction function, int upvalue)
{
    lua_pushvalue(L, upvalue);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, field);
}

/* Replaces the table on top of the stack by a read-only view of it. On top stays the metatable, whose
 * `__index` is the table until the caller says otherwise; the view is below it. */
static void push_view(lua_State *L, const char *name)
{
    int values = lua_gettop(L);
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_createtable(L, 0, 5);
    lua_pushvalue(L, values);
    lua_setfield(L, -2, "__index");
    set_closure(L, "__newindex", refuse_change, values + 2);
    set_closure(L, "__pairs", pairs_of_values, values);
    set_closure(L, "__len", length_of_values, values);
    lua_pushvalue(L, -1);
    lua_setmetatable(L, values + 1);
    lua_remove(L, values + 2);
    lua_remove(L, values);
}

/* Makes read-only views of the tables in the table on top of the stack, at every depth. */
static void freeze_fields(lua_State *L)
{
    int table = lua_gettop(L);
    luaL_checkstack(L, 12, NULL);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (!lua_istable(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        freeze_fields(L);
        lua_pushvalue(L, -2);
        lua_insert(L, -2); /* key, key, values */
        push_view(L, lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "the table");
        lua_pop(L, 1);
        lua_rawset(L, table);
    }
}

/* --- facts about the host --- */

/* A fact about the host: known, asked for before, or asked for now. Upvalues: the known ones, and those asked
 * for. */
static int host_fact(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL || lua_type(L, 2) != LUA_TSTRING)
        return 1;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        return 0;
    size_t length;
    const char *name = lua_tolstring(L, 2, &length);
    if (!dml_border_ask_slowly(L, DML_ASK_HOST, name, length))
        return 0;
    struct dml_copy copy = {0};
    lua_State *H = dml_private_of(L)->H;
    bool plain = lua_type(H, -2) != LUA_TTABLE && dml_copy_value(H, -2, L, &copy);
    lua_pop(H, 2);
    if (!plain)
        return luaL_error(L, "the host program gave no plain value for a fact about the host");
    bool known = !lua_isnil(L, -1);
    lua_pushvalue(L, 2);
    if (known)
        lua_pushvalue(L, -2);
    else
        lua_pushboolean(L, 1);
    lua_rawset(L, lua_upvalueindex(known ? 1 : 2));
    return 1;
}

/* Pushes `host` of the table on top of the stack: a view of the facts that the host gave or can give. */
static void add_host(lua_State *L)
{
    lua_pushliteral(L, "host");
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    freeze_fields(L);
    lua_pushvalue(L, -1);
    push_view(L, "host");
    lua_pushvalue(L, -3);
    lua_newtable(L);
    lua_pushcclosure(L, host_fact, 2);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_remove(L, -2);
}

/* --- the environment --- */

/* Methods of strings are the whitelist too; an unknown one is nil, as in `entry.host or entry` where either
 * may be a string. Pops the table of functions. */
static void set_string_metatable(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 2);
}

/* Sets the library as a read-only table in the table at `globals`. */
static void add_library_table(lua_State *L, const char *name, int globals)
{
    lua_newtable(L);
    int functions = lua_gettop(L);
    dml_library_add(L, name, functions);
    if (strcmp(name, LUA_STRLIBNAME) == 0) {
        lua_newtable(L);
        dml_library_add(L, name, functions + 1);
        set_string_metatable(L);
    }
    lua_pushfstring(L, "%s.", name);
    complete(L, functions);
    push_view(L, name);
    lua_pop(L, 1);
    lua_setfield(L, globals, name);
}

int dml_environment_make(lua_State *L)
{
    static const char *const tables[] = {LUA_STRLIBNAME, LUA_TABLIBNAME, LUA_MATHLIBNAME, LUA_UTF8LIBNAME};
    dml_library_open(L);
    lua_newtable(L);
    int globals = lua_gettop(L);
    dml_library_add(L, LUA_GNAME, globals);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        add_library_table(L, tables[i], globals);
    lua_pushliteral(L, "");
    complete(L, globals);

    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, globals);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_global);
    lua_setfield(L, -2, "__newindex");
    set_closure(L, "__pairs", pairs_of_values, globals);
    lua_setmetatable(L, -2);
    dml_chunk_set_environment(L);
    return 1;
}

int dml_environment_add_globals(lua_State *L)
{
    add_host(L);
    lua_pushliteral(L, "host");
    lua_pushnil(L);
    lua_rawset(L, 2);
    lua_pushvalue(L, 2);
    freeze_fields(L);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 1);
    }
    lua_pushliteral(L, "host");
    lua_pushvalue(L, 3);
    lua_rawset(L, 1);
    return 0;
}
