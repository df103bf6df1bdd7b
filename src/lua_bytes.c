/* Bytes for Lua: base64 and fingerprints. */
#include "lua_glue.h"
#include "text.h"

#include <sha2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* base64(bytes) -> text */
static int core_base64(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    luaL_Buffer buffer;
    dml_base64(luaL_buffinitsize(L, &buffer, dml_base64_length(length)), bytes, length);
    luaL_pushresultsize(&buffer, dml_base64_length(length));
    return 1;
}

/* The six bits of a letter, or -1. */
static int bits_of(char letter)
{
    const char *found = letter ? strchr(dml_base64_alphabet, letter) : NULL;
    return found ? (int)(found - dml_base64_alphabet) : -1;
}

/* from_base64(text) -> bytes | nil: with its padding, with nothing else in it, and no bits left over */
static int core_from_base64(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    size_t padding = 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, length / 4 * 3);
    size_t written = 0;
    bool right = length % 4 == 0;
    for (size_t at = 0; right && at < length; at += 4) {
        size_t letters = at + 4 < length ? 4 : 4 - padding;
        uint32_t group = 0;
        for (size_t i = 0; i < 4; i++) {
            int bits = i < letters ? bits_of(text[at + i]) : 0;
            right = right && bits >= 0;
            group = group << 6 | (uint32_t)(bits & 63);
        }
        for (size_t i = 0; i < letters - 1; i++)
            out[written++] = (char)(group >> (16 - 8 * i) & 255);
        right = right && (letters == 4 || (group & (letters == 3 ? 255u : 65535u)) == 0);
    }
    luaL_pushresultsize(&buffer, written);
    if (!right)
        luaL_pushfail(L);
    return 1;
}

/* fingerprint(bytes) -> an integer: the first 64 bits of their SHA-256 */
static int core_fingerprint(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint64_t number = 0;
    SHA2_CTX hash;
    SHA256Init(&hash);
    SHA256Update(&hash, (const uint8_t *)bytes, length);
    SHA256Final(digest, &hash);
    for (int i = 0; i < 8; i++)
        number = number << 8 | digest[i];
    lua_pushinteger(L, (lua_Integer)number);
    return 1;
}

void dml_open_bytes(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"base64", core_base64},
        {"from_base64", core_from_base64},
        {"fingerprint", core_fingerprint},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
