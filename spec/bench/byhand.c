/* For the benchmarks: programs started as one would by hand, from the same Lua program that uses the module.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <lauxlib.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
int luaopen_byhand(lua_State *L);

/* start(argv[, path]) -> pid, a descriptor that is readable when it has ended. Its standard three are
 * /dev/null, its descriptor 9 is the file at `path`. */
static int byhand_start(lua_State *L)
{
    const char *path = luaL_optstring(L, 2, NULL);
    lua_Unsigned count = lua_rawlen(L, 1);
    char **argv = lua_newuserdatauv(L, (count + 1) * sizeof *argv, 0);
    luaL_checkstack(L, (int)count + 4, "argv");
    for (lua_Unsigned i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        argv[i] = (char *)luaL_checkstring(L, -1);
    }
    argv[count] = NULL;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    if (path)
        posix_spawn_file_actions_addopen(&actions, 9, path, O_RDONLY, 0);
    int reason = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (reason)
        return luaL_error(L, "%s: %s", argv[0], strerror(reason));
    lua_pushinteger(L, pid);
    lua_pushinteger(L, syscall(SYS_pidfd_open, pid, 0));
    return 2;
}

/* reap(pid, descriptor) -> how it ended, 0 for well */
static int byhand_reap(lua_State *L)
{
    int status = -1;
    waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
    close((int)luaL_checkinteger(L, 2));
    lua_pushinteger(L, status);
    return 1;
}

/* settle(seconds): the kernel still takes the last sandboxes apart */
static int byhand_settle(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    struct timespec time = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
    return 0;
}

/* ballast(bytes): so much more of this process is resident from here on */
static int byhand_ballast(lua_State *L)
{
    size_t size = (size_t)luaL_checkinteger(L, 1);
    static char *volatile bytes; /* so that the compiler leaves it there */
    bytes = malloc(size);
    if (!bytes)
        return luaL_error(L, "not enough memory");
    memset(bytes, 1, size);
    return 0;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Loads a filter and says how long that took. */
static void load_filter(const char *bytes, size_t length, int out)
{
    struct sock_fprog program = {.len = (unsigned short)(length / sizeof(struct sock_filter)),
                                 .filter = (struct sock_filter *)bytes};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    double start = now();
    long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    double took = now() - start;
    if (!failed && write(out, &took, sizeof took) == (ssize_t)sizeof took)
        _exit(0);
    _exit(1);
}

/* filter(bytes) -> seconds that the kernel takes to load it, in a process that ends then */
static int byhand_filter(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    int ends[2];
    double took = 0;
    if (pipe(ends) != 0)
        return luaL_error(L, "no pipe");
    pid_t pid = fork();
    if (pid == 0)
        load_filter(bytes, length, ends[1]);
    close(ends[1]);
    ssize_t got = pid > 0 ? read(ends[0], &took, sizeof took) : -1;
    close(ends[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    if (got != (ssize_t)sizeof took)
        return luaL_error(L, "the filter cannot be loaded");
    lua_pushnumber(L, took);
    return 1;
}

__attribute__((visibility("default"))) int luaopen_byhand(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", byhand_start},   {"reap", byhand_reap},
                                         {"settle", byhand_settle}, {"ballast", byhand_ballast},
                                         {"filter", byhand_filter}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
