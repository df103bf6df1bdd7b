#include "lua_border.h"
#include "lua_chunk.h"

#include <lauxlib.h>
#include <string.h>

#define MAX_SOURCE ((size_t)256 << 10)
#define MAX_INCLUDES 16

/* Keys in the registry of L. */
static char environment_key, kinds_key;

/* Pushes the function that a text makes. Raises what is wrong with the text. */
static void load(lua_State *L, const struct dml_chunk *chunk)
{
    const char *name = lua_pushfstring(L, "@%s", chunk->name);
    if (luaL_loadbufferx(L, chunk->source, chunk->length, name, "t") != LUA_OK)
        lua_error(L);
    lua_remove(L, -2);
}

void dml_chunk_set_environment(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &environment_key);
}

/* As `load`, for a text that sees only what a policy may see. */
static void load_policy(lua_State *L, const struct dml_chunk *chunk)
{
    if (chunk->length > MAX_SOURCE)
        luaL_error(L, "%s: larger than 256 KiB", chunk->name);
    load(L, chunk);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &environment_key);
    lua_setupvalue(L, -2, 1);
}

int dml_chunk_run_policy(lua_State *L)
{
    const struct dml_chunk *chunk = lua_touserdata(L, 1);
    load_policy(L, chunk);
    int below = lua_gettop(L) - 1;
    lua_call(L, 0, LUA_MULTRET);
    if (lua_gettop(L) == below)
        return luaL_error(L, "%s: a policy file returns a table, this one returns nothing", chunk->name);
    if (lua_type(L, below + 1) != LUA_TTABLE)
        return luaL_error(L, "%s: a policy file returns a table, this one returns a %s", chunk->name,
                          luaL_typename(L, below + 1));
    if (lua_gettop(L) > below + 1)
        return luaL_error(L, "%s: a policy file returns one table, this one returns more", chunk->name);
    return 1;
}

int dml_chunk_run_prelude(lua_State *L)
{
    load(L, lua_touserdata(L, 1));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &environment_key);
    lua_getfield(L, -1, "host");
    lua_remove(L, -2);
    lua_call(L, 1, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "a prelude returns a table of metatables");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &kinds_key);
    return 0;
}

int dml_chunk_apply_kind(lua_State *L)
{
    const char *kind = lua_touserdata(L, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &kinds_key);
    if (!lua_istable(L, -1) || lua_getfield(L, -1, kind) != LUA_TTABLE)
        return luaL_error(L, "the prelude has no kind `%s`", kind);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* The text of the file and its name, from the host's answer on top of the stack of H, which it takes off.
 * Both stay on the stack of L. */
static struct dml_chunk take_answer(lua_State *L, lua_State *H, const char *wanted)
{
    struct dml_chunk chunk;
    if (lua_type(H, -2) != LUA_TSTRING) {
        struct dml_reason reason;
        const char *text = lua_type(H, -1) == LUA_TSTRING ? lua_tostring(H, -1) : "not found";
        dml_reason_set(&reason, "", text, strlen(text));
        lua_pop(H, 2);
        luaL_error(L, "include \"%s\": %s", wanted, reason.text);
    }
    const char *source = lua_tolstring(H, -2, &chunk.length);
    chunk.source = lua_pushlstring(L, source, chunk.length);
    chunk.name = lua_pushstring(L, lua_type(H, -1) == LUA_TSTRING ? lua_tostring(H, -1) : wanted);
    lua_pop(H, 2);
    return chunk;
}

int dml_chunk_include(lua_State *L)
{
    struct dml_private *private = dml_private_of(L);
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length == strlen(name) && length <= 255, 1, "not a name");
    lua_settop(L, 1);
    if (private->includes == MAX_INCLUDES)
        return luaL_error(L, "include \"%s\": files include each other more than %d deep", name,
                          MAX_INCLUDES);
    if (!dml_border_ask_slowly(L, DML_ASK_INCLUDE, name, length))
        return luaL_error(L, "include \"%s\": nothing can be included here", name);
    struct dml_chunk chunk = take_answer(L, private->H, name);
    load_policy(L, &chunk);
    private->includes++;
    lua_call(L, 0, 1);
    private->includes--;
    return 1;
}
