/* lua5.4 with the sanitizers linked in: a stock interpreter cannot load a sanitized module. Takes -e CHUNK, a
 * script and its arguments, as the stock one does. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct words {
    int count;
    char **items;
};

static int add_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void set_arguments(lua_State *L, const struct words *words, int script)
{
    lua_newtable(L);
    for (int i = 0; i < words->count; i++) {
        lua_pushstring(L, words->items[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
}

static int run(lua_State *L)
{
    const struct words *words = lua_touserdata(L, 1);
    int at = 1;
    luaL_openlibs(L);
    for (; at + 1 < words->count && strcmp(words->items[at], "-e") == 0; at += 2) {
        const char *chunk = words->items[at + 1];
        if (luaL_loadbuffer(L, chunk, strlen(chunk), "=(command line)") != LUA_OK)
            return lua_error(L);
        lua_call(L, 0, 0);
    }
    if (at == words->count)
        return 0;
    set_arguments(L, words, at);
    if (luaL_loadfile(L, words->items[at]) != LUA_OK)
        return lua_error(L);
    int arguments = words->count - at - 1;
    luaL_checkstack(L, arguments + 1, "arguments");
    for (int i = 0; i < arguments; i++)
        lua_pushstring(L, words->items[at + 1 + i]);
    lua_call(L, arguments, 0);
    return 0;
}

int main(int argc, char **argv)
{
    struct words words = {argc, argv};
    lua_State *L = luaL_newstate();
    if (!L)
        return EXIT_FAILURE;
    lua_pushcfunction(L, add_traceback);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &words);
    int status = lua_pcall(L, 1, 0, 1);
    if (status != LUA_OK)
        fprintf(stderr, "lua5.4: %s\n", lua_tostring(L, -1));
    lua_close(L); /* so that what a module has not released by then is a leak */
    return status == LUA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
