/* For `demilune test`: the program that tries cases inside, and what it is told and tells. */
#include "address.h"
#include "lua_glue.h"
#include "stage_image.h"

#include <string.h>

/* trial_image() -> the program, as bytes */
static int core_trial_image(lua_State *L)
{
    lua_pushlstring(L, dml_trial_image, (size_t)dml_trial_image_size);
    return 1;
}

/* socket_address(text) -> a struct sockaddr as bytes, "inet"|"path"|"abstract" */
static int core_socket_address(lua_State *L)
{
    struct sockaddr_storage address;
    socklen_t length;
    const char *text = luaL_checkstring(L, 1);
    luaL_argcheck(L, dml_parse_address(text, &address, &length), 1, "nothing to connect to");
    lua_pushlstring(L, (const char *)&address, length);
    lua_pushstring(L, text[0] == '/' ? "path" : text[0] == '@' ? "abstract" : "inet");
    return 2;
}

/* error_text(errno) -> "Permission denied" */
static int core_error_text(lua_State *L)
{
    lua_pushstring(L, strerror((int)luaL_checkinteger(L, 1)));
    return 1;
}

void dml_open_trial(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"trial_image", core_trial_image},
        {"socket_address", core_socket_address},
        {"error_text", core_error_text},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
