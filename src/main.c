/* The command: a protected call of its Lua part, as lua.c does it. */
#include "lua_guard.h"
#include "lua_memory.h"
#include "lua_modules.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <libgen.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int luaopen_demilune_core(lua_State *L);

enum { EXIT_REFUSED = 125 };

/* What we are installed under: PREFIX of PREFIX/bin/demilune. luarocks keeps a binary of its own in
 * TREE/lib/luarocks/rocks-5.4/demilune/VERSION/bin. Changes `path`. */
static const char *prefix_of(char *path)
{
    char *rock = strstr(path, "/lib/luarocks/rocks-5.4/demilune/");
    if (!rock)
        return dirname(dirname(path));
    *rock = '\0';
    return path;
}

/* Whether nobody but root and us can put files below `prefix`. */
static bool is_ours(const char *prefix)
{
    struct stat status;
    return stat(prefix, &status) == 0 && (status.st_uid == 0 || status.st_uid == geteuid()) &&
           (status.st_mode & S_IWOTH) == 0;
}

/* The Lua files of the module and of the presets lie beside us, in PREFIX/share/lua/5.4, whatever PREFIX is.
 * What the command itself needs of them it carries along. False when we cannot find out where we are. */
static bool set_search_path(lua_State *L)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0)
        return false;
    path[length] = '\0';
    const char *prefix = prefix_of(path);
    if (!is_ours(prefix))
        prefix = "/nonexistent"; /* what lies beside us there may be anybody's */
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua", prefix, prefix);
    lua_setfield(L, -2, "path");
    lua_getfield(L, -1, "cpath");
    const char *others = luaL_gsub(L, lua_tostring(L, -1), ";./?.so", ""); /* never the current directory */
    lua_pushfstring(L, "%s/lib/lua/5.4/?.so;%s", prefix, others);
    lua_setfield(L, -4, "cpath");
    lua_pop(L, 3);
    return true;
}

static void preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_demilune_core); /* the engine is linked in */
    lua_setfield(L, -2, "demilune.core");
    lua_pop(L, 1);
    dml_add_modules(L);
    dml_guard_install(L);
}

static int run(lua_State *L)
{
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    lua_pushboolean(L, 1); /* no LUA_PATH, LUA_CPATH: what runs is what was installed */
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    lua_gc(L, LUA_GCSTOP); /* it would cost a launch 100 us; what runs on, a script, starts it again */
    luaL_openlibs(L);
    if (!set_search_path(L)) {
        fputs("demilune: /proc/self/exe cannot be read; is /proc mounted?\n", stderr);
        lua_pushinteger(L, EXIT_REFUSED);
        return 1;
    }
    preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "demilune.cli");
    lua_call(L, 1, 1);
    lua_createtable(L, argc, 0);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 1, 1);
    return 1;
}

struct warnings {
    bool on, amid; /* `amid`: a part of one was written, and more of it comes */
};

/* lua_WarnFunction: as the interpreter has it, a script may turn warnings on and off. */
static void warn(void *context, const char *text, int more)
{
    struct warnings *warnings = context;
    if (!warnings->amid && !more && text[0] == '@') {
        warnings->on = strcmp(text, "@on") == 0 || (warnings->on && strcmp(text, "@off") != 0);
        return;
    }
    if (warnings->on)
        fprintf(stderr, "%s%s%s", warnings->amid ? "" : "Lua warning: ", text, more ? "" : "\n");
    warnings->amid = more;
}

/* An error that reaches us is a fault of demilune: the traceback is for its developers. */
static int add_traceback(lua_State *L)
{
    const char *message = lua_tostring(L, 1);
    luaL_traceback(L, L, message ? message : "(an error that is no string)", 1);
    return 1;
}

/* Descriptors that the caller closed: else the next file that we open would be the command's input or output.
 * Each is open the wrong way round, so that reading input and writing output fail, as they should. */
static bool open_standard(void)
{
    for (int fd = 0; fd < 3; fd++) {
        int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode) != fd)
            return false;
    }
    return true;
}

/* What we have printed is the answer: where it cannot be written, there is none. A command's own output does
 * not come through here. */
static int finish_output(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    int reason = errno; /* unknown when an earlier part was the one that could not be written */
    fprintf(stderr, "demilune: standard output cannot be written%s%s\n", reason ? ": " : "",
            reason ? strerror(reason) : "");
    return EXIT_REFUSED;
}

int main(int argc, char **argv)
{
    static struct dml_memory memory;
    static struct warnings warnings;
    lua_State *L = open_standard() ? dml_memory_new_state(&memory) : NULL;
    if (!L) {
        fputs("demilune: not enough memory, or no /dev/null\n", stderr);
        return EXIT_REFUSED;
    }
    lua_setwarnf(L, warn, &warnings);
    lua_pushcfunction(L, add_traceback);
    lua_pushcfunction(L, run);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    int code = EXIT_REFUSED;
    if (lua_pcall(L, 2, 1, 1) == LUA_OK)
        code = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "demilune: internal error: %s\n", lua_tostring(L, -1));
    exit(finish_output(code)); /* the kernel frees faster than lua_close; what must be released was */
}
