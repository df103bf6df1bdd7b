/* What Lua may ask about the host. */
#include "lua_glue.h"
#include "amount.h"
#include "bwrap.h"
#include "host.h"
#include "lua_policy.h"
#include "probe.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static int push_errno(lua_State *L, int reason)
{
    luaL_pushfail(L);
    lua_pushstring(L, strerror(reason));
    lua_pushinteger(L, reason);
    return 3;
}

/* facts() -> { kernel=, landlock=, memory=, uid=, gid= } */
static int core_facts(lua_State *L)
{
    struct dml_host host;
    struct utsname name;
    dml_host_gather(&host, environ);
    lua_createtable(L, 0, 6);
    if (uname(&name) == 0) {
        lua_pushstring(L, name.release);
        lua_setfield(L, -2, "kernel");
        lua_pushstring(L, name.machine);
        lua_setfield(L, -2, "machine");
    }
    lua_pushinteger(L, dml_host_landlock_abi());
    lua_setfield(L, -2, "landlock");
    lua_pushinteger(L, (lua_Integer)dml_host_memory());
    lua_setfield(L, -2, "memory");
    lua_pushinteger(L, (lua_Integer)host.uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, (lua_Integer)host.gid);
    lua_setfield(L, -2, "gid");
    return 1;
}

/* user_name() -> the name of a command that runs as the caller */
static int core_user_name(lua_State *L)
{
    struct dml_host host;
    dml_host_gather(&host, environ);
    lua_pushstring(L, dml_host_user_name(&host));
    return 1;
}

/* processors() -> how many of them we may run on */
static int core_processors(lua_State *L)
{
    cpu_set_t set;
    int count =
        sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    lua_pushinteger(L, count > 0 ? count : 1);
    return 1;
}

/* environ() -> { NAME = value }; of a name that stands twice the first, as getenv has it */
static int core_environ(lua_State *L)
{
    lua_newtable(L);
    for (char **at = environ; *at; at++) {
        const char *equals = strchr(*at, '=');
        if (!equals)
            continue;
        lua_pushlstring(L, *at, (size_t)(equals - *at));
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) != LUA_TNIL) {
            lua_pop(L, 2);
            continue;
        }
        lua_pop(L, 1);
        lua_pushstring(L, equals + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

/* cwd() -> path | nil, message, errno */
static int core_cwd(lua_State *L)
{
    char path[PATH_MAX];
    if (!getcwd(path, sizeof path))
        return push_errno(L, errno);
    lua_pushstring(L, path);
    return 1;
}

/* realpath(path) -> path with every link resolved | nil, message, errno */
static int core_realpath(lua_State *L)
{
    char resolved[PATH_MAX];
    if (!realpath(luaL_checkstring(L, 1), resolved))
        return push_errno(L, errno);
    lua_pushstring(L, resolved);
    return 1;
}

/* readlink(path) -> what a symbolic link leads to | nil: it is none */
static int core_readlink(lua_State *L)
{
    char target[PATH_MAX];
    ssize_t length = readlink(luaL_checkstring(L, 1), target, sizeof target);
    if (length < 0 || length == sizeof target)
        luaL_pushfail(L);
    else
        lua_pushlstring(L, target, (size_t)length);
    return 1;
}

static const char *type_name(mode_t mode)
{
    return S_ISREG(mode)    ? "file"
           : S_ISDIR(mode)  ? "directory"
           : S_ISLNK(mode)  ? "link"
           : S_ISFIFO(mode) ? "FIFO"
           : S_ISSOCK(mode) ? "socket"
                            : "device";
}

/* file_type(path) -> "file", "directory", "link", ... [, target of a link] | nil, message, errno */
static int core_file_type(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct stat status;
    char target[PATH_MAX];
    if (lstat(path, &status) != 0)
        return push_errno(L, errno);
    lua_pushstring(L, type_name(status.st_mode));
    if (!S_ISLNK(status.st_mode))
        return 1;
    ssize_t length = readlink(path, target, sizeof target);
    lua_pushlstring(L, target, length > 0 ? (size_t)length : 0);
    return 2;
}

/* A file to be read, of at most `most` bytes. */
struct reading {
    const char *path;
    size_t most;
    bool exact;   /* no symbolic link leads to it, and it is root's, ours or `owner`'s */
    uid_t owner;  /* then */
    uid_t found;  /* whose it was */
    char *buffer; /* of `size` + 1 bytes */
    size_t size;
    size_t length; /* read; above `size` when there is more */
};

/* What is wrong with an open file, or NULL. */
static const char *check_regular(int fd, struct reading *reading)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return strerror(errno);
    reading->found = status.st_uid;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode)   ? "is a directory, not a file"
               : S_ISLNK(status.st_mode) ? "is a symbolic link"
                                         : "is no regular file";
    if ((size_t)status.st_size > reading->most)
        return "is too large";
    if (!reading->exact)
        return NULL;
    if (status.st_uid != 0 && status.st_uid != geteuid() && status.st_uid != reading->owner)
        return "belongs to somebody else than the policy";
    return status.st_mode & S_IWOTH ? "can be written to by everybody" : NULL;
}

/* Opens for reading without waiting for the other end of a FIFO; NULL or a message. */
static const char *open_regular(struct reading *reading, int *fd)
{
    char place[32];
    if (!reading->exact) {
        *fd = open(reading->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        return *fd < 0 ? strerror(errno) : check_regular(*fd, reading);
    }
    *fd = -1;
    int found = dml_host_open_exact(reading->path); /* only to look at: opening a device can do something */
    if (found < 0)
        return errno == ELOOP ? "is behind a symbolic link" : strerror(errno);
    const char *message = check_regular(found, reading);
    if (!message) {
        snprintf(place, sizeof place, "/proc/self/fd/%d", found);
        *fd = open(place, O_RDONLY | O_CLOEXEC); /* the same, whatever has the name by now */
        message = *fd < 0 ? strerror(errno) : NULL;
    }
    close(found);
    return message;
}

/* Fills the buffer; NULL or a message. */
static const char *read_regular(struct reading *reading)
{
    int fd;
    const char *message = open_regular(reading, &fd);
    reading->length = 0;
    while (!message && reading->length <= reading->size) {
        ssize_t got = read(fd, reading->buffer + reading->length, reading->size + 1 - reading->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            message = strerror(errno);
        if (got <= 0)
            break;
        reading->length += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    return message;
}

static void make_buffer(lua_State *L, struct reading *reading, size_t size)
{
    reading->size = size;
    reading->buffer = lua_newuserdatauv(L, size + 1, 0); /* while no file is open */
}

static int push_file(lua_State *L, struct reading *reading)
{
    struct stat status;
    bool known =
        stat(reading->path, &status) == 0 && status.st_size >= 0 && (size_t)status.st_size <= reading->most;
    make_buffer(L, reading, known ? (size_t)status.st_size : 0);
    const char *message = read_regular(reading);
    if (!message && reading->length > reading->size && reading->size < reading->most) {
        make_buffer(L, reading, reading->most); /* it grew, or lies in /proc, which tells no size */
        message = read_regular(reading);
    }
    if (!message && reading->length > reading->most)
        message = "is too large";
    if (message) {
        luaL_pushfail(L);
        lua_pushstring(L, message);
        return 2;
    }
    lua_pushlstring(L, reading->buffer, reading->length);
    lua_pushinteger(L, (lua_Integer)reading->found);
    return 2;
}

/* read_file(path, most) -> bytes, uid of the owner | nil, message. Regular files of at most `most` bytes
 * only. */
static int core_read_file(lua_State *L)
{
    struct reading reading = {.path = luaL_checkstring(L, 1), .most = (size_t)luaL_checkinteger(L, 2)};
    return push_file(L, &reading);
}

/* read_exact(path, most, owner) -> bytes, uid of the owner | nil, message. As read_file, of a file to which
 * no symbolic link leads, which belongs to `owner`, us or root, and which not everybody can write to. */
static int core_read_exact(lua_State *L)
{
    struct reading reading = {.path = luaL_checkstring(L, 1),
                              .most = (size_t)luaL_checkinteger(L, 2),
                              .exact = true,
                              .owner = (uid_t)luaL_checkinteger(L, 3)};
    return push_file(L, &reading);
}

/* fileno(file) -> descriptor of an open Lua file */
static int core_fileno(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    luaL_argcheck(L, stream->closef && stream->f, 1, "closed file");
    lua_pushinteger(L, fileno(stream->f));
    return 1;
}

/* quote(bytes) -> in double quotes, escaped, one line, cut when long */
static int core_quote(lua_State *L)
{
    size_t length;
    char buffer[512];
    const char *bytes = luaL_checklstring(L, 1, &length);
    lua_pushstring(L, dml_quote(buffer, sizeof buffer, bytes, length));
    return 1;
}

/* escape(bytes) -> in one line that cannot drive a terminal; quotes and backslashes stay */
static int core_escape(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    luaL_Buffer buffer;
    size_t room = 4 * length + 5; /* a byte becomes \x1b at most */
    char *out = luaL_buffinitsize(L, &buffer, room);
    luaL_pushresultsize(&buffer, dml_escape(out, room, bytes, length, NULL));
    return 1;
}

/* size(bytes) -> as a person writes it: "1G" */
static int core_size(lua_State *L)
{
    lua_pushstring(L, dml_size_amount((uint64_t)luaL_checkinteger(L, 1)).text);
    return 1;
}

/* is_secret_name(name) -> whether a variable of this name holds a secret */
static int core_is_secret_name(lua_State *L)
{
    lua_pushboolean(L, dml_is_secret_name(luaL_checkstring(L, 1)));
    return 1;
}

/* shown_name(name) -> what may be shown of what should be a name: of "API_TOKEN=value" not the value */
static int core_shown_name(lua_State *L)
{
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    size_t shown = dml_shown_length(name);
    if (shown < strlen(name))
        lua_pushlstring(L, name, shown);
    else
        lua_pushvalue(L, 1);
    return 1;
}

/* nearest(word, names) -> the name that was probably meant | nil */
static int core_nearest(lua_State *L)
{
    const char *word = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 2);
    const char *nearest = NULL;
    const char **names = lua_newuserdatauv(L, (size_t)(count + 1) * sizeof *names, 0);
    luaL_checkstack(L, (int)count + 4, "names");
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, i);
        names[i - 1] = luaL_checkstring(L, -1);
    }
    nearest = dml_nearest(word, names, (size_t)count);
    lua_pushstring(L, nearest);
    return 1;
}

static int fail_to_parse(lua_State *L, const char *code, const char *message)
{
    luaL_pushfail(L);
    lua_pushstring(L, code);
    lua_pushstring(L, message);
    return 3;
}

/* parse_size(text) -> bytes;  parse_duration(text) -> seconds; each | nil, code, message */
static int core_parse_size(lua_State *L)
{
    size_t length;
    uint64_t bytes;
    const char *text = luaL_checklstring(L, 1, &length);
    if (dml_parse_size(text, length, &bytes) && bytes <= LUA_MAXINTEGER)
        lua_pushinteger(L, (lua_Integer)bytes);
    else
        return fail_to_parse(L, "size.invalid", DML_NO_SIZE);
    return 1;
}

static int core_parse_duration(lua_State *L)
{
    size_t length;
    double seconds;
    const char *text = luaL_checklstring(L, 1, &length);
    if (dml_parse_duration(text, length, &seconds))
        lua_pushnumber(L, seconds);
    else
        return fail_to_parse(L, "duration.invalid", DML_NO_DURATION);
    return 1;
}

/* is_dumpable() -> whether this process is its user's own to look into; else its /proc/self is root's */
static int core_is_dumpable(lua_State *L)
{
    lua_pushboolean(L, dml_host_is_dumpable());
    return 1;
}

/* find_bwrap() -> path, trusted | nil */
static int core_find_bwrap(lua_State *L)
{
    struct dml_host host;
    char path[PATH_MAX];
    bool trusted;
    dml_host_gather(&host, environ);
    if (!dml_host_find_bwrap(&host, path, sizeof path, &trusted)) {
        luaL_pushfail(L);
        return 1;
    }
    lua_pushstring(L, path);
    lua_pushboolean(L, trusted);
    return 2;
}

/* barred_bwrap() -> the path of a bwrap that is there and that we may not execute | nil where there is none,
 * or one that works */
static int core_barred_bwrap(lua_State *L)
{
    struct dml_host host;
    char path[PATH_MAX];
    dml_host_gather(&host, environ);
    if (dml_host_find_barred_bwrap(&host, path, sizeof path))
        lua_pushstring(L, path);
    else
        luaL_pushfail(L);
    return 1;
}

/* bwrap_version(path) -> "0.8.0" | nil, message. Runs it. */
static int core_bwrap_version(lua_State *L)
{
    struct dml_error error;
    char output[256];
    if (!dml_probe_output(luaL_checkstring(L, 1), "--version", output, sizeof output, &error)) {
        luaL_pushfail(L);
        lua_pushstring(L, error.message);
        return 2;
    }
    output[strcspn(output, "\n")] = '\0';
    lua_pushstring(L, strncmp(output, "bubblewrap ", 11) == 0 ? output + 11 : output);
    return 1;
}

void dml_open_host(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"facts", core_facts},
        {"user_name", core_user_name},
        {"processors", core_processors},
        {"environ", core_environ},
        {"cwd", core_cwd},
        {"realpath", core_realpath},
        {"readlink", core_readlink},
        {"file_type", core_file_type},
        {"read_file", core_read_file},
        {"read_exact", core_read_exact},
        {"fileno", core_fileno},
        {"quote", core_quote},
        {"size", core_size},
        {"escape", core_escape},
        {"is_secret_name", core_is_secret_name},
        {"shown_name", core_shown_name},
        {"nearest", core_nearest},
        {"parse_size", core_parse_size},
        {"parse_duration", core_parse_duration},
        {"is_dumpable", core_is_dumpable},
        {"find_bwrap", core_find_bwrap},
        {"barred_bwrap", core_barred_bwrap},
        {"bwrap_version", core_bwrap_version},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    lua_createtable(L, DML_TRUSTED_BWRAP_COUNT, 0);
    for (int i = 0; i < DML_TRUSTED_BWRAP_COUNT; i++) {
        lua_pushstring(L, dml_trusted_bwrap_paths[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "trusted_bwrap_paths");
}
