/* Pipes for Lua: what its files lack for pipes to and from a process. */
#include "lua_glue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static luaL_Stream *check_open(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    luaL_argcheck(L, stream->closef && stream->f, 1, "closed file");
    return stream;
}

/* Bytes that stdio has read ahead: no poll shows them. */
static size_t read_ahead(const FILE *file)
{
    return file->_IO_read_end > file->_IO_read_ptr ? (size_t)(file->_IO_read_end - file->_IO_read_ptr) : 0;
}

/* is_dirty(file) -> whether something was read ahead */
static int core_is_dirty(lua_State *L)
{
    lua_pushboolean(L, read_ahead(check_open(L)->f) > 0);
    return 1;
}

/* read_some(file[, most]) -> what is there by now, "" when nothing is; nil at the end | nil, message */
static int core_read_some(lua_State *L)
{
    FILE *file = check_open(L)->f;
    lua_Integer most = luaL_optinteger(L, 2, 64 * 1024);
    if (fileno(file) < 0) { /* it is for writing */
        errno = EBADF;
        return luaL_fileresult(L, 0, NULL);
    }
    luaL_argcheck(L, most > 0 && most <= 1 << 30, 2, "not in range");
    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(L, &buffer, (size_t)most);
    size_t ahead = read_ahead(file);
    if (ahead) {
        ahead = ahead < (size_t)most ? ahead : (size_t)most;
        luaL_pushresultsize(&buffer, fread(bytes, 1, ahead, file));
        return 1;
    }
    struct pollfd polled = {.fd = fileno(file), .events = POLLIN};
    bool there = poll(&polled, 1, 0) > 0;
    ssize_t length = there ? read(polled.fd, bytes, (size_t)most) : 0;
    if (length < 0 && errno != EAGAIN && errno != EINTR)
        return luaL_fileresult(L, 0, NULL);
    luaL_pushresultsize(&buffer, length > 0 ? (size_t)length : 0);
    if (there && length == 0)
        luaL_pushfail(L);
    return 1;
}

/* Writing to a command that has ended must not end the host: SIGPIPE is kept from this thread meanwhile, and
 * taken back unless one had been there before. */
static ssize_t write_quietly(void *cookie, const char *bytes, size_t length)
{
    static const struct timespec at_once;
    sigset_t broken, before, pending;
    size_t done = 0;
    ssize_t written = 0;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken, &before);
    sigpending(&pending);
    while (done < length && (written >= 0 || errno == EINTR)) {
        written = write((int)(intptr_t)cookie, bytes + done, length - done);
        done += written > 0 ? (size_t)written : 0;
    }
    int reason = errno;
    if (written < 0 && reason == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&broken, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = reason;
    return (ssize_t)done;
}

static int close_cookie(void *cookie)
{
    return close((int)(intptr_t)cookie);
}

static int close_stream(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/* pipe("r"|"w") -> a Lua file that reads from it or writes to it, the descriptor of that, and the descriptor
 * of the other end, both close-on-exec | nil, message. To the one that writes a broken pipe is an error, not
 * a signal. */
static int core_pipe(lua_State *L)
{
    bool writes = *luaL_checkstring(L, 1) == 'w';
    int ends[2];
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    stream->closef = NULL; /* a closed one, should anything fail from here on */
    luaL_setmetatable(L, LUA_FILEHANDLE);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return luaL_fileresult(L, 0, "no pipe");
    stream->f = writes ? fopencookie((void *)(intptr_t)ends[1], "w",
                                     (cookie_io_functions_t){.write = write_quietly, .close = close_cookie})
                       : fdopen(ends[0], "r");
    if (!stream->f) {
        int reason = errno;
        close(ends[0]);
        close(ends[1]);
        errno = reason;
        return luaL_fileresult(L, 0, "no pipe");
    }
    stream->closef = close_stream;
    lua_pushinteger(L, ends[writes]);
    lua_pushinteger(L, ends[!writes]);
    return 3;
}

void dml_open_stream(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"is_dirty", core_is_dirty}, {"read_some", core_read_some}, {"pipe", core_pipe}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
