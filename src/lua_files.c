/* Files for Lua that are read and written piece by piece, by descriptor: what `batch` reads, prints and
 * keeps. */
#include "lua_glue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(lua_State *L, const char *message)
{
    luaL_pushfail(L);
    lua_pushstring(L, message);
    return 2;
}

/* read(descriptor, most[, offset]) -> bytes, "" at the end | false: there is nothing yet | nil, message. With
 * an offset from there, and the place in the file stays. */
static int core_read(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    lua_Integer most = luaL_checkinteger(L, 2), offset = luaL_optinteger(L, 3, -1);
    luaL_argcheck(L, most > 0 && most <= 1 << 20, 2, "1 to 1048576 expected");
    luaL_Buffer buffer;
    char *room = luaL_buffinitsize(L, &buffer, (size_t)most);
    ssize_t length = offset < 0 ? read(fd, room, (size_t)most) : pread(fd, room, (size_t)most, (off_t)offset);
    int reason = errno;
    luaL_pushresultsize(&buffer, length > 0 ? (size_t)length : 0);
    if (length >= 0)
        return 1;
    if (reason != EINTR && reason != EAGAIN)
        return fail(L, strerror(reason));
    lua_pushboolean(L, false);
    return 1;
}

/* write(descriptor, bytes[, first[, most]]) -> how many went out | nil, message: one write, of at most `most`
 * bytes from `first` on */
static int core_write(lua_State *L)
{
    size_t length;
    int fd = (int)luaL_checkinteger(L, 1);
    const char *bytes = luaL_checklstring(L, 2, &length);
    lua_Integer first = luaL_optinteger(L, 3, 1);
    luaL_argcheck(L, first >= 1 && (size_t)first <= length + 1, 3, "out of bounds");
    size_t left = length - (size_t)(first - 1);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)left);
    luaL_argcheck(L, most >= 0, 4, "negative");
    ssize_t written = write(fd, bytes + first - 1, (size_t)most < left ? (size_t)most : left);
    if (written < 0 && errno != EINTR && errno != EAGAIN)
        return fail(L, strerror(errno));
    lua_pushinteger(L, written < 0 ? 0 : (lua_Integer)written);
    return 1;
}

/* sync(descriptor) -> true | nil, message: what was written is on the disk, where it is for a disk, and there
 * is a name to find it by */
static int core_sync(lua_State *L)
{
    struct stat status;
    int fd = (int)luaL_checkinteger(L, 1);
    if (fdatasync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        return fail(L, strerror(errno));
    if (fstat(fd, &status) == 0 && status.st_nlink == 0)
        return fail(L, "it was deleted meanwhile");
    lua_pushboolean(L, true);
    return 1;
}

/* truncate(descriptor, length) -> true | nil, message */
static int core_truncate(lua_State *L)
{
    if (ftruncate((int)luaL_checkinteger(L, 1), (off_t)luaL_checkinteger(L, 2)) != 0)
        return fail(L, strerror(errno));
    lua_pushboolean(L, true);
    return 1;
}

/* What `open_journal` says of an open file: NULL when it can be one. */
static const char *check_journal(int fd, bool *regular)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return strerror(errno);
    *regular = S_ISREG(status.st_mode);
    if (!*regular && !S_ISCHR(status.st_mode))
        return "is no regular file";
    if (*regular && status.st_nlink != 1)
        return "has another name too, by which a command may reach it; begin a journal of its own";
    for (int standard = 0; *regular && standard <= 2; standard++) {
        struct stat other;
        if (fstat(standard, &other) == 0 && other.st_dev == status.st_dev && other.st_ino == status.st_ino)
            return "is standard input, output or error too; they would write over each other";
    }
    if (*regular && flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? "another batch is writing to it" : strerror(errno);
    return NULL;
}

/* open_journal(path) -> descriptor, whether it is a regular file | nil, message: to read it from its
 * beginning, to write at its end, locked against a second one, made for the caller alone */
static int core_open_journal(lua_State *L)
{
    bool regular = false;
    int fd =
        open(luaL_checkstring(L, 1), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return fail(L, strerror(errno));
    const char *message = check_journal(fd, &regular);
    if (message) {
        close(fd);
        return fail(L, message);
    }
    lua_pushinteger(L, fd);
    lua_pushboolean(L, regular);
    return 2;
}

/* is_terminal(descriptor) -> boolean */
static int core_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* terminal_columns(descriptor) -> how wide a terminal is | nil: it does not say, or is none */
static int core_terminal_columns(lua_State *L)
{
    struct winsize size;
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        lua_pushinteger(L, size.ws_col);
    else
        luaL_pushfail(L);
    return 1;
}

/* is_writable(descriptor) -> whether it is open for writing */
static int core_is_writable(lua_State *L)
{
    int flags = fcntl((int)luaL_checkinteger(L, 1), F_GETFL);
    lua_pushboolean(L, flags >= 0 && (flags & O_ACCMODE) != O_RDONLY);
    return 1;
}

/* bytes_left(descriptor) -> from here to the end of a regular file | nil */
static int core_bytes_left(lua_State *L)
{
    struct stat status;
    int fd = (int)luaL_checkinteger(L, 1);
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < at)
        luaL_pushfail(L);
    else
        lua_pushinteger(L, (lua_Integer)(status.st_size - at));
    return 1;
}

void dml_open_files(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read", core_read},
        {"write", core_write},
        {"sync", core_sync},
        {"truncate", core_truncate},
        {"open_journal", core_open_journal},
        {"is_terminal", core_is_terminal},
        {"terminal_columns", core_terminal_columns},
        {"is_writable", core_is_writable},
        {"bytes_left", core_bytes_left},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
