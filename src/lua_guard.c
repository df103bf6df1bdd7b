/* A private state stops what its hook sees. What hangs where no hook looks, in one call of a C function, is
 * ended here with the whole process: a timer, and a handler that says so and leaves. */
#include "lua_guard.h"
#include "lua_border.h"
#include "text.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 2 /* seconds */, EXIT_REFUSED = 125 };

/* What the handler needs is here before the timer runs; a handler has no other way to it than a global. */
static struct {
    bool has_timer;
    timer_t timer;
    int depth; /* private states that run: one may be asked for by another */
    sigset_t mask;
    struct sigaction action; /* both as they were */
    char place[1024];        /* of what runs: "policy.lua:3" */

    /* The last words: how to leave. */
    int code;
    char outcome[128]; /* what becomes of all: "nothing was run" */
    int fd;            /* for `text`; -1: none */
    char *text;
    size_t length;
} guard = {.code = EXIT_REFUSED, .outcome = "demilune ends here", .fd = -1};

/* Writes what can be written without waiting: nobody may read there. */
static void put(int fd, const char *text, size_t length)
{
    while (length > 0) {
        struct pollfd polled = {.fd = fd, .events = POLLOUT};
        if (poll(&polled, 1, 0) <= 0 || !(polled.revents & POLLOUT))
            return;
        ssize_t written = write(fd, text, length < PIPE_BUF ? length : PIPE_BUF);
        if (written <= 0 && errno != EINTR)
            return;
        text += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
}

static void say(const char *text)
{
    put(STDERR_FILENO, text, strlen(text));
}

/* The handler. Only functions that are safe in one. */
static void leave(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &guard)
        return;
    say("demilune: ");
    say(guard.place);
    say(": the policy did not come back within 2 s, and cannot be stopped; ");
    say(guard.outcome);
    say(" [policy.hung]\n");
    if (guard.fd >= 0)
        put(guard.fd, guard.text, guard.length);
    _exit(guard.code);
}

static void set_timer(time_t seconds)
{
    const struct itimerspec time = {.it_value.tv_sec = seconds};
    timer_settime(guard.timer, 0, &time, NULL);
}

static bool prepare(void)
{
    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_ptr = &guard};
    guard.has_timer = guard.has_timer || timer_create(CLOCK_MONOTONIC, &event, &guard.timer) == 0;
    return guard.has_timer;
}

static void start(const char *place)
{
    if (guard.depth++ > 0)
        return;
    sigset_t ours;
    struct sigaction action = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO | SA_RESTART};
    dml_escape(guard.place, sizeof guard.place, place, strlen(place), NULL);
    sigemptyset(&ours);
    sigaddset(&ours, SIGRTMIN);
    sigaction(SIGRTMIN, &action, &guard.action);
    sigprocmask(SIG_UNBLOCK, &ours, &guard.mask);
    set_timer(PATIENCE);
}

static void stop(void)
{
    if (--guard.depth > 0)
        return;
    set_timer(0);
    if (sigismember(&guard.mask, SIGRTMIN))
        sigprocmask(SIG_SETMASK, &guard.mask, NULL);
    sigaction(SIGRTMIN, &guard.action, NULL);
}

/* last_words(code, outcome[, descriptor, text]): from now on the process ends so when a policy hangs, and the
 * text goes to the descriptor. */
static int guard_last_words(lua_State *L)
{
    size_t length = 0;
    int code = (int)luaL_checkinteger(L, 1);
    const char *outcome = luaL_checkstring(L, 2);
    int fd = (int)luaL_optinteger(L, 3, -1);
    const char *text = fd < 0 ? "" : luaL_checklstring(L, 4, &length);
    char *copy = malloc(length + 1);
    if (copy == NULL)
        return luaL_error(L, "not enough memory");
    free(guard.text);
    memcpy(copy, text, length + 1);
    guard.text = copy;
    guard.length = length;
    guard.code = code;
    guard.fd = fd;
    snprintf(guard.outcome, sizeof guard.outcome, "%s", outcome);
    return 0;
}

static int open_guard(lua_State *L)
{
    static const luaL_Reg functions[] = {{"last_words", guard_last_words}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

void dml_guard_install(lua_State *L)
{
    static const struct dml_guard hooks = {prepare, start, stop};
    lua_pushlightuserdata(L, (void *)&hooks);
    lua_setfield(L, LUA_REGISTRYINDEX, DML_GUARD);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_guard);
    lua_setfield(L, -2, "demilune.guard");
    lua_pop(L, 1);
}
