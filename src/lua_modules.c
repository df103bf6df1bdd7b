/* The command's own Lua modules, compiled and carried along, so that starting it parses nothing. */
#include "lua_modules.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

/* build/gen/modules, written by src/pack.lua: name, NUL, length (little-endian), code; repeated. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "packed_size: .quad 1f - packed_modules\n"
        "packed_modules: .incbin \"modules\"\n"
        "1:\n"
        ".popsection\n");
extern const char packed_modules[] __attribute__((visibility("hidden")));
extern const uint64_t packed_size __attribute__((visibility("hidden")));

static uint32_t read_length(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* package.preload's function for a module: upvalue 1 is where its code is, upvalue 2 how long it is. */
static int load_module(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const char *code = lua_touserdata(L, lua_upvalueindex(1));
    size_t length = (size_t)lua_tointeger(L, lua_upvalueindex(2));
    if (luaL_loadbufferx(L, code, length, name, "b") != LUA_OK)
        return lua_error(L);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

void dml_preload_modules(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (size_t start = 0, next; start < packed_size; start = next) {
        const char *name = packed_modules + start;
        size_t code = start + strlen(name) + 1 + 4;
        uint32_t length = read_length(packed_modules + code - 4);
        lua_pushlightuserdata(L, (void *)(packed_modules + code));
        lua_pushinteger(L, length);
        lua_pushcclosure(L, load_module, 2);
        lua_setfield(L, -2, name);
        next = code + length;
    }
    lua_pop(L, 1);
}
