/* The command's own Lua modules, compiled and carried along, so that starting it parses nothing. */
#include "lua_modules.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

/* build/gen/modules, written by src/pack.lua, which says what is in it. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "packed_modules: .incbin \"modules\"\n"
        ".popsection\n");
extern const char packed_modules[] __attribute__((visibility("hidden")));

static uint32_t read_number(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* searcher(name) -> the module's code as a function, a note on where it is from | nil: it is none of ours */
static int find_module(lua_State *L)
{
    size_t length;
    const char *wanted = luaL_checklstring(L, 1, &length);
    if (strlen(wanted) != length)
        return 0;
    for (const char *name = packed_modules; *name; name += strlen(name) + 1 + 8) {
        if (strcmp(name, wanted) != 0)
            continue;
        const char *numbers = name + strlen(name) + 1;
        const char *code = packed_modules + read_number(numbers);
        if (luaL_loadbufferx(L, code, read_number(numbers + 4), name, "b") != LUA_OK)
            return lua_error(L);
        lua_pushliteral(L, ":demilune:");
        return 2;
    }
    return 0;
}

void dml_add_modules(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    lua_Integer count = luaL_len(L, -1);
    for (lua_Integer i = count; i >= 2; i--) { /* after package.preload, before any file */
        lua_geti(L, -1, i);
        lua_seti(L, -2, i + 1);
    }
    lua_pushcfunction(L, find_module);
    lua_seti(L, -2, 2);
    lua_pop(L, 2);
}
