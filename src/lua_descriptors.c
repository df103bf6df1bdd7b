/* Descriptors for Lua: those that a process is started with, and files over them. */
#include "host.h"
#include "lua_glue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* is_open(descriptor) -> boolean */
static int core_is_open(lua_State *L)
{
    lua_pushboolean(L, fcntl((int)luaL_checkinteger(L, 1), F_GETFD) >= 0);
    return 1;
}

static int close_stream(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/* output(descriptor) -> file that writes to a copy of it | nil, message */
static int core_output(lua_State *L)
{
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    stream->closef = NULL; /* a closed one, should anything fail from here on */
    luaL_setmetatable(L, LUA_FILEHANDLE);
    int fd = fcntl((int)luaL_checkinteger(L, 1), F_DUPFD_CLOEXEC, 3);
    stream->f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!stream->f) {
        int reason = errno;
        if (fd >= 0)
            close(fd);
        errno = reason;
        return luaL_fileresult(L, 0, NULL);
    }
    stream->closef = close_stream;
    return 1;
}

/* open(path, "r"|"w") -> descriptor | nil, message; "w" makes it and empties it */
static int core_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    bool writing = *luaL_checkstring(L, 2) == 'w';
    int fd = open(path, (writing ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY) | O_CLOEXEC, 0666);
    if (fd < 0)
        return luaL_fileresult(L, 0, path);
    lua_pushinteger(L, fd);
    return 1;
}

/* duplicate(descriptor) -> another one for the same, close-on-exec */
static int core_duplicate(lua_State *L)
{
    int fd = fcntl((int)luaL_checkinteger(L, 1), F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return luaL_error(L, "%s", strerror(errno));
    lua_pushinteger(L, fd);
    return 1;
}

/* end_input(): standard input is at its end from here on. For a program that owns its process alone. */
static int core_end_input(lua_State *L)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return luaL_error(L, "/dev/null: %s", strerror(errno));
    close(null);
    return 0;
}

static int core_close_descriptor(lua_State *L)
{
    close((int)luaL_checkinteger(L, 1));
    return 0;
}

/* wait_readable(descriptors[, seconds[, writable]]) -> those of the list that are readable, as soon as one
 * is, or none; among them `writable`, when that one can be written to or nobody reads it any more */
static int core_wait_readable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Number seconds = luaL_optnumber(L, 2, -1);
    int writable = (int)luaL_optinteger(L, 3, -1);
    size_t count = lua_rawlen(L, 1);
    struct pollfd *polled = lua_newuserdatauv(L, (count + 1) * sizeof *polled, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        polled[i] = (struct pollfd){.fd = (int)luaL_checkinteger(L, -1), .events = POLLIN};
        lua_pop(L, 1);
    }
    polled[count++] = (struct pollfd){.fd = writable, .events = POLLOUT};
    int milliseconds = seconds < 0 ? -1 : seconds > 2000000 ? 2000000000 : (int)(seconds * 1000 + 0.999);
    int ready = poll(polled, count, milliseconds);
    lua_createtable(L, ready > 0 ? ready : 0, 0);
    for (size_t i = 0, k = 1; ready > 0 && i < count; i++) {
        if (!polled[i].revents)
            continue;
        lua_pushinteger(L, polled[i].fd);
        lua_rawseti(L, -2, (lua_Integer)k++);
    }
    return 1;
}

/* clock() -> seconds of a clock that only goes forward */
static int core_clock(lua_State *L)
{
    lua_pushnumber(L, dml_seconds_now());
    return 1;
}

void dml_open_descriptors(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"is_open", core_is_open},
        {"wait_readable", core_wait_readable},
        {"output", core_output},
        {"open", core_open},
        {"duplicate", core_duplicate},
        {"clock", core_clock},
        {"close_descriptor", core_close_descriptor},
        {"end_input", core_end_input},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
