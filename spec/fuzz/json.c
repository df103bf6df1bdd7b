/* The JSON of policies: runs spec/fuzz/json.lua, in a Lua state of its own, over each input. Lines of Lua
 * that were run are what libFuzzer looks for. */
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
    unsigned here = (unsigned)event->currentline * 31;
    for (const char *c = event->short_src; *c; c++)
        here = here * 33 + (unsigned char)*c;
    counters[(here ^ last) % COUNTERS]++;
    last = here >> 1;
}

static lua_State *open_state(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "demilune.core", luaopen_demilune_core, 0);
    if (luaL_dostring(L, "package.path = 'lua/?.lua;lua/?/init.lua'") != LUA_OK ||
        luaL_dofile(L, "spec/fuzz/json.lua") != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(EXIT_FAILURE);
    }
    lua_replace(L, 1);
    lua_settop(L, 1);
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static lua_State *L; /* kept, as a host program keeps its own */
    if (!L)
        L = open_state();
    lua_sethook(L, count_line, LUA_MASKLINE, 0);
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)bytes, length);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        must(false, "what json.lua says");
    }
    return 0;
}
