/* For targets whose properties are written in Lua: a script that returns a function of the input, run in a
 * state of its own. Lines of Lua that were run are what libFuzzer looks for, besides the branches of C. */
#ifndef DML_FUZZ_SCRIPT_H
#define DML_FUZZ_SCRIPT_H

#include "fuzz.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

int luaopen_demilune_core(lua_State *L);

enum { COUNTERS = 1 << 14 };

/* libFuzzer counts these as it counts branches of C. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

/* One counter for each pair of lines that follow each other. */
static void count_line(lua_State *L, lua_Debug *event)
{
    static unsigned last;
    lua_getinfo(L, "S", event);
    unsigned here =
        (unsigned)event->currentline * 31 + (unsigned)event->srclen * 2579; /* quick, as it has to be */
    counters[(here ^ last) % COUNTERS]++;
    last = here >> 1;
}

/* A state with the engine and what the script returned; `open` (or NULL) makes globals for it. */
static lua_State *open_script(const char *path, lua_CFunction open)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "demilune.core", luaopen_demilune_core, 0);
    if (open)
        luaL_requiref(L, "_fuzz", open, 0);
    if (luaL_dostring(L, "package.path = 'lua/?.lua;lua/?/init.lua;spec/?.lua'") != LUA_OK ||
        luaL_dofile(L, path) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(EXIT_FAILURE);
    }
    lua_replace(L, 1);
    lua_settop(L, 1);
    return L;
}

static int with_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* Calls the function of the script with the input: it raises when a property does not hold. */
static void run_script(lua_State *L, const uint8_t *bytes, size_t length)
{
    lua_sethook(L, count_line, LUA_MASKLINE, 0);
    lua_pushcfunction(L, with_traceback);
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)bytes, length);
    if (lua_pcall(L, 1, 0, -3) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        must(false, "what the script says");
    }
    lua_settop(L, 1);
}

#endif
