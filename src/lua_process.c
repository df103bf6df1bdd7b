/* Processes for Lua: start, wait, result. */
#include "lua_glue.h"
#include "bare.h"
#include "forward.h"
#include "launch.h"
#include "lua_plan.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DML_LUA_PROCESS "demilune.core.process"
/* registry keys: what is known from earlier launches, and what is still to be buried */
#define DML_LUA_LESSONS "demilune.lessons"
#define DML_LUA_ABANDONED "demilune.abandoned"

struct held_process {
    struct dml_process *process;
    pid_t owner; /* a forked copy of the host must leave the sandbox alone */
    struct dml_forward forward;
};

/* What the collector ended and nobody could wait for then: buried when there is an occasion. */
struct abandoned {
    struct dml_process *items[64];
    size_t count;
    pid_t owner;
};

static void bury_abandoned(struct abandoned *abandoned, bool wait)
{
    size_t kept = 0;
    for (size_t i = 0; i < abandoned->count; i++) {
        if (abandoned->owner != getpid())
            dml_process_forget(abandoned->items[i]);
        else if (!dml_process_bury(abandoned->items[i], wait))
            abandoned->items[kept++] = abandoned->items[i];
    }
    abandoned->count = kept;
    abandoned->owner = getpid();
}

/* The state is closed. */
static int abandoned_gc(lua_State *L)
{
    bury_abandoned(lua_touserdata(L, 1), true);
    return 0;
}

static struct abandoned *abandoned_of(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, DML_LUA_ABANDONED);
    struct abandoned *abandoned = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return abandoned;
}

static int process_gc(lua_State *L)
{
    struct held_process *held = luaL_checkudata(L, 1, DML_LUA_PROCESS);
    struct abandoned *abandoned = abandoned_of(L);
    struct dml_process *process = held->process;
    held->process = NULL;
    if (process && held->owner != getpid())
        dml_process_forget(process);
    if (!process || held->owner != getpid())
        return 0;
    /* many at once: now it waits */
    bury_abandoned(abandoned, abandoned->count == sizeof abandoned->items / sizeof abandoned->items[0]);
    dml_process_abandon(process);
    if (!dml_process_bury(process, false))
        abandoned->items[abandoned->count++] = process;
    return 0;
}

static struct dml_process *check_process(lua_State *L, int index)
{
    struct held_process *held = luaL_checkudata(L, index, DML_LUA_PROCESS);
    luaL_argcheck(L, held->process, index, "closed process");
    return held->process;
}

/* What one launch teaches the next. */
struct lessons {
    struct dml_probe probe;
    bool swept;
    pid_t by; /* who has swept: a copy of the host that was forked may find what others of them have left */
};

static struct lessons *lessons_of(lua_State *L)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, DML_LUA_LESSONS) != LUA_TUSERDATA) {
        struct lessons *fresh = lua_newuserdatauv(L, sizeof *fresh, 0);
        *fresh = (struct lessons){0};
        lua_setfield(L, LUA_REGISTRYINDEX, DML_LUA_LESSONS);
        lua_getfield(L, LUA_REGISTRYINDEX, DML_LUA_LESSONS);
    }
    struct lessons *lessons = lua_touserdata(L, -1);
    lua_pop(L, 1);
    lessons->swept = lessons->swept && lessons->by == getpid();
    lessons->by = getpid();
    return lessons;
}

static int integer_field(lua_State *L, int index, const char *name, int otherwise)
{
    lua_getfield(L, index, name);
    int value = (int)luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static bool boolean_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static void forward_signal(void *forward, struct dml_process *process)
{
    dml_forward_one(forward, process);
}

/* start(plan, { bwrap=path, stdin=fd, stdout=fd, stderr=fd, input=bytes, capture_stdout=, capture_stderr=,
 * signals= })
 * -> process | nil, message, code, step, errno. It is only begun: advance() does the rest. Without bwrap the
 * native backend launches. A descriptor of -1 is /dev/null; `signals` is that of forward_signals. */
static int core_start(lua_State *L)
{
    struct dml_lua_plan *plan = luaL_checkudata(L, 1, DML_LUA_PLAN);
    luaL_argcheck(L, plan->plan && plan->plan->argc, 1, "a plan with a command expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct dml_error error;
    struct lessons *lessons = lessons_of(L);
    struct dml_start start = {.plan = plan->plan, .probe = &lessons->probe, .swept = &lessons->swept};
    lua_getfield(L, 2, "bwrap");
    start.bwrap_path = luaL_optstring(L, -1, NULL); /* anchored on the stack, as the input below */
    lua_getfield(L, 2, "input");
    start.input = luaL_optlstring(L, -1, NULL, &start.input_length);
    start.standard[0] = integer_field(L, 2, "stdin", 0);
    start.standard[1] = integer_field(L, 2, "stdout", 1);
    start.standard[2] = integer_field(L, 2, "stderr", 2);
    start.capture[1] = boolean_field(L, 2, "capture_stdout");
    start.capture[2] = boolean_field(L, 2, "capture_stderr");

    struct held_process *held = lua_newuserdatauv(L, sizeof *held, 1);
    *held = (struct held_process){
        .owner = getpid(),
        .forward = {.fd = integer_field(L, 2, "signals", -1), .keeps_terminal = plan->plan->tty},
    };
    start.wake = held->forward.fd;
    start.on_wake = forward_signal;
    start.context = &held->forward;
    luaL_setmetatable(L, DML_LUA_PROCESS);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1); /* the plan stays as long as the process */
    bury_abandoned(abandoned_of(L), false);
    held->process = dml_process_start(&start, &error);
    if (held->process)
        return 1;
    luaL_pushfail(L);
    lua_pushstring(L, error.message);
    lua_pushstring(L, dml_launch_code(&error));
    lua_pushstring(L, error.step);
    lua_pushinteger(L, error.errnum);
    return 5;
}

/* advance(process, "running"|"ended"[, seconds]) -> "starting" | "running" | "ended": does what there is to
 * do until the process has come so far, for ever or for `seconds` */
static int core_advance(lua_State *L)
{
    static const char *const states[] = {[DML_PROCESS_STARTING] = "starting",
                                         [DML_PROCESS_RUNNING] = "running",
                                         [DML_PROCESS_ENDED] = "ended",
                                         NULL};
    struct held_process *held = luaL_checkudata(L, 1, DML_LUA_PROCESS);
    struct dml_process *process = check_process(L, 1);
    enum dml_process_state until = (enum dml_process_state)luaL_checkoption(L, 2, NULL, states), state;
    lua_Number seconds = luaL_optnumber(L, 3, -1);
    int milliseconds = seconds < 0 ? -1 : seconds > 2000000 ? 2000000000 : (int)(seconds * 1000 + 0.999);
    do {
        state = dml_process_advance(process, until, milliseconds, held->forward.fd);
        if (held->forward.fd >= 0)
            dml_forward_one(&held->forward, process);
    } while (state < until && milliseconds < 0);
    lua_pushstring(L, states[state]);
    return 1;
}

/* was_executed(process) -> whether the command has been */
static int core_was_executed(lua_State *L)
{
    struct dml_process *process = check_process(L, 1);
    enum dml_process_state state = dml_process_advance(process, DML_PROCESS_STARTING, 0, -1);
    lua_pushboolean(L, state == DML_PROCESS_RUNNING ||
                           (state == DML_PROCESS_ENDED && !dml_process_result(process)->code));
    return 1;
}

/* pollfd(process) -> a descriptor that is readable when advance() has something to do, and from the end on */
static int core_pollfd(lua_State *L)
{
    struct dml_error error;
    int fd = dml_process_pollfd(check_process(L, 1), &error);
    if (fd < 0)
        return luaL_error(L, "%s", error.message);
    lua_pushinteger(L, fd);
    return 1;
}

/* time_left(process) -> seconds until there is something to do whatever the descriptor says | nil */
static int core_time_left(lua_State *L)
{
    int milliseconds = dml_process_time_left(check_process(L, 1));
    if (milliseconds < 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, milliseconds / 1000.0);
    return 1;
}

/* Pushes whether the command still runs, and so is told. */
static bool push_runs(lua_State *L, struct dml_process *process)
{
    bool runs = !dml_process_look(process);
    lua_pushboolean(L, runs);
    return runs;
}

/* signal(process, number) -> whether it was delivered to the command, which is not over */
static int core_signal(lua_State *L)
{
    struct dml_process *process = check_process(L, 1);
    int number = (int)luaL_checkinteger(L, 2);
    if (push_runs(L, process))
        dml_process_signal(process, number);
    return 1;
}

/* stop(process) -> whether the command, which is not over, is asked to end; the tree is ended when it has not
 * after two seconds */
static int core_stop(lua_State *L)
{
    struct dml_process *process = check_process(L, 1);
    if (push_runs(L, process))
        dml_process_end(process);
    return 1;
}

static int core_pid(lua_State *L)
{
    lua_pushinteger(L, dml_process_pid(check_process(L, 1)));
    return 1;
}

/* skipped(process) -> the names of the controls that the plan asks for and this host has not */
static int core_skipped(lua_State *L)
{
    dml_push_names(L, dml_process_result(check_process(L, 1))->skipped, dml_control_names, DML_CONTROL_COUNT);
    return 1;
}

/* kill(process) -> whether the whole tree is ended at once, for it is not over */
static int core_kill(lua_State *L)
{
    struct dml_process *process = check_process(L, 1);
    if (push_runs(L, process))
        dml_process_kill(process);
    return 1;
}

static void push_capture(lua_State *L, const struct dml_capture *capture, const char *name)
{
    char field[32];
    const char *head = capture->head ? capture->head : "";
    if (capture->tail_length == 0) { /* most often: without the buffer's second copy */
        lua_pushlstring(L, head, capture->head_length);
    } else {
        luaL_Buffer buffer;
        luaL_buffinit(L, &buffer);
        luaL_addlstring(&buffer, head, capture->head_length);
        for (size_t i = 0; i < capture->tail_length; i++)
            luaL_addchar(&buffer, capture->tail[(capture->tail_start + i) % capture->tail_capacity]);
        luaL_pushresult(&buffer);
    }
    lua_setfield(L, -2, name);
    lua_pushinteger(L, (lua_Integer)capture->dropped);
    snprintf(field, sizeof field, "%s_dropped", name);
    lua_setfield(L, -2, field);
}

static void push_result(lua_State *L, const struct dml_result *result)
{
    char name[16];
    bool executed = !result->code;
    lua_createtable(L, 0, 20);
    lua_pushstring(L, dml_result_names[result->kind]);
    lua_setfield(L, -2, "kind");
    lua_pushboolean(L, result->kind == DML_RESULT_EXIT && result->exit_code == 0);
    lua_setfield(L, -2, "ok");
    if (result->exit_code >= 0) {
        lua_pushinteger(L, result->exit_code);
        lua_setfield(L, -2, "exit_code");
    }
    if (result->signal) {
        lua_pushinteger(L, result->signal);
        lua_setfield(L, -2, "signal");
        lua_pushstring(L, dml_signal_name(result->signal, name));
        lua_setfield(L, -2, "signal_name");
        lua_pushboolean(L, result->core);
        lua_setfield(L, -2, "core");
    }
    lua_pushnumber(L, result->wall);
    lua_setfield(L, -2, "wall");
    if (executed && result->measured) {
        lua_pushboolean(L, result->survivors);
        lua_setfield(L, -2, "survivors");
        lua_pushnumber(L, result->user);
        lua_setfield(L, -2, "user");
        lua_pushnumber(L, result->system);
        lua_setfield(L, -2, "system");
        lua_pushinteger(L, (lua_Integer)result->max_rss);
        lua_setfield(L, -2, "max_rss");
    } else if (!executed) {
        lua_pushstring(L, result->code);
        lua_setfield(L, -2, "code");
        lua_pushstring(L, result->message);
        lua_setfield(L, -2, "message");
        lua_pushstring(L, result->step);
        lua_setfield(L, -2, "step");
        if (result->errnum)
            lua_pushinteger(L, result->errnum);
        else
            lua_pushnil(L);
        lua_setfield(L, -2, "errno");
    }
    dml_push_names(L, result->applied, dml_control_names, DML_CONTROL_COUNT);
    lua_setfield(L, -2, "applied");
    dml_push_names(L, result->skipped, dml_control_names, DML_CONTROL_COUNT);
    lua_setfield(L, -2, "skipped");
    dml_push_names(L, result->hit, dml_limit_names, DML_LIMIT_COUNT);
    lua_setfield(L, -2, "limits_hit");
}

/* result(process, { capture_stdout=, capture_stderr= }) -> how it ended; it has to have */
static int core_result(lua_State *L)
{
    struct dml_process *process = check_process(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    push_result(L, dml_process_result(process));
    if (boolean_field(L, 2, "capture_stdout"))
        push_capture(L, dml_process_capture(process, 1), "stdout");
    if (boolean_field(L, 2, "capture_stderr"))
        push_capture(L, dml_process_capture(process, 2), "stderr");
    return 1;
}

/* times(process) -> { { step, when it was over, by core.clock }, ... } of a native launch whose stage has
 * reported */
static int core_times(lua_State *L)
{
    const struct dml_native_times *times = dml_process_times(check_process(L, 1));
    lua_createtable(L, (int)times->count, 0);
    for (size_t i = 0; i < times->count; i++) {
        lua_createtable(L, 2, 0);
        lua_pushstring(L, times->names[i]);
        lua_rawseti(L, -2, 1);
        lua_pushnumber(L, times->ended[i]);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* close(process): ends what is left of it, waits for that and gives everything back */
static int core_close(lua_State *L)
{
    struct held_process *held = luaL_checkudata(L, 1, DML_LUA_PROCESS);
    struct dml_process *process = held->process;
    held->process = NULL;
    if (process && held->owner == getpid())
        dml_process_free(process);
    else if (process)
        dml_process_forget(process);
    return 0;
}

/* is_owner(process) -> false in a forked copy of the program that started it */
static int core_is_owner(lua_State *L)
{
    struct held_process *held = luaL_checkudata(L, 1, DML_LUA_PROCESS);
    lua_pushboolean(L, held->owner == getpid());
    return 1;
}

/* The list of strings at `index` as an argument vector, which lives as long as what is pushed. */
static char **push_argv(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    char **argv = lua_newuserdatauv(L, (size_t)(count + 1) * sizeof *argv, 0);
    luaL_checkstack(L, (int)count + 4, "command");
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        argv[i - 1] = (char *)luaL_checkstring(L, -1);
    }
    argv[count] = NULL;
    return argv;
}

/* execute(command) -> message, missing: takes our place, without any isolation, and only returns when it
 * cannot */
static int core_execute(lua_State *L)
{
    char **argv = push_argv(L, 1);
    execvp(argv[0], argv);
    int reason = errno;
    lua_pushstring(L, strerror(reason));
    lua_pushboolean(L, reason == ENOENT);
    return 2;
}

/* run_bare(command) -> { kind=, exit_code= | signal= } | nil, message: runs it as a child without any
 * isolation. For a program that owns its process alone. */
static int core_run_bare(lua_State *L)
{
    int status;
    struct dml_error error;
    char **argv = push_argv(L, 1);
    if (!dml_bare_run(argv, &status, &error)) {
        luaL_pushfail(L);
        lua_pushstring(L, error.message);
        return 2;
    }
    bool signalled = WIFSIGNALED(status);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, dml_result_names[signalled ? DML_RESULT_SIGNAL : DML_RESULT_EXIT]);
    lua_setfield(L, -2, "kind");
    lua_pushinteger(L, signalled ? WTERMSIG(status) : WEXITSTATUS(status));
    lua_setfield(L, -2, signalled ? "signal" : "exit_code");
    return 1;
}

/* ignore_broken_pipes(): writing where nobody reads becomes an error; of the commands that we run it stays
 * the end */
static int core_ignore_broken_pipes(lua_State *L)
{
    (void)L;
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

/* forward_signals() -> descriptor for wait. For a program that owns its process alone. */
static int core_forward_signals(lua_State *L)
{
    struct dml_error error;
    int fd = dml_forward_open(&error);
    if (fd < 0)
        return luaL_error(L, "%s", error.message);
    lua_pushinteger(L, fd);
    return 1;
}

/* keep(): what each launch is given alike is made once. For a program that owns its process alone. */
static int core_keep(lua_State *L)
{
    (void)L;
    dml_launch_keep();
    return 0;
}

/* take_signal(descriptor) -> the number of one that has come | nil */
static int core_take_signal(lua_State *L)
{
    int signal = dml_forward_take((int)luaL_checkinteger(L, 1));
    if (signal)
        lua_pushinteger(L, signal);
    else
        luaL_pushfail(L);
    return 1;
}

/* suspend(): stops us, as TSTP would, until CONT comes */
static int core_suspend(lua_State *L)
{
    (void)L;
    raise(SIGSTOP);
    return 0;
}

void dml_open_process(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"start", core_start},
        {"advance", core_advance},
        {"was_executed", core_was_executed},
        {"pollfd", core_pollfd},
        {"time_left", core_time_left},
        {"pid", core_pid},
        {"skipped", core_skipped},
        {"signal", core_signal},
        {"stop", core_stop},
        {"kill", core_kill},
        {"result", core_result},
        {"times", core_times},
        {"close", core_close},
        {"is_owner", core_is_owner},
        {"forward_signals", core_forward_signals},
        {"keep", core_keep},
        {"take_signal", core_take_signal},
        {"suspend", core_suspend},
        {"ignore_broken_pipes", core_ignore_broken_pipes},
        {"execute", core_execute},
        {"run_bare", core_run_bare},
        {NULL, NULL},
    };
    struct abandoned *abandoned = lua_newuserdatauv(L, sizeof *abandoned, 0);
    *abandoned = (struct abandoned){.owner = getpid()};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, abandoned_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, DML_LUA_ABANDONED);
    luaL_newmetatable(L, DML_LUA_PROCESS);
    lua_pushcfunction(L, process_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
