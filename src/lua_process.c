/* Processes for Lua: start, wait, result. */
#include "lua_glue.h"
#include "bare.h"
#include "forward.h"
#include "lua_plan.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DML_LUA_PROCESS "demilune.core.process"
#define DML_LUA_PROBE "demilune.probe" /* registry key: what is known of the bwrap binary */

struct held_process {
    struct dml_process *process;
    pid_t owner; /* a forked copy of the host must leave the sandbox alone */
    struct dml_forward forward;
};

static int process_gc(lua_State *L)
{
    struct held_process *held = luaL_checkudata(L, 1, DML_LUA_PROCESS);
    if (held->process && held->owner == getpid())
        dml_process_free(held->process);
    held->process = NULL;
    return 0;
}

static struct dml_process *check_process(lua_State *L, int index)
{
    struct held_process *held = luaL_checkudata(L, index, DML_LUA_PROCESS);
    luaL_argcheck(L, held->process, index, "closed process");
    return held->process;
}

static struct dml_probe *probe_of(lua_State *L)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, DML_LUA_PROBE) != LUA_TUSERDATA) {
        struct dml_probe *fresh = lua_newuserdatauv(L, sizeof *fresh, 0);
        *fresh = (struct dml_probe){0};
        lua_setfield(L, LUA_REGISTRYINDEX, DML_LUA_PROBE);
        lua_getfield(L, LUA_REGISTRYINDEX, DML_LUA_PROBE);
    }
    struct dml_probe *probe = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return probe;
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

/* start(plan, { bwrap=, stdin=fd, stdout=fd, stderr=fd, input=bytes, capture_stdout=, capture_stderr= })
 * -> process | nil, message, code. A descriptor of -1 is /dev/null. */
static int core_start(lua_State *L)
{
    struct dml_lua_plan *plan = luaL_checkudata(L, 1, DML_LUA_PLAN);
    luaL_argcheck(L, plan->plan && plan->plan->argc, 1, "a plan with a command expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct dml_error error;
    struct dml_start start = {.plan = plan->plan, .probe = probe_of(L)};
    lua_getfield(L, 2, "bwrap");
    start.bwrap_path = luaL_checkstring(L, -1); /* anchored on the stack, as the input below */
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
    held->process = dml_process_start(&start, &error);
    if (held->process)
        return 1;
    luaL_pushfail(L);
    lua_pushstring(L, error.message);
    lua_pushstring(L, error.kind == DML_ERROR_CHANGED ? "source.changed" : "setup.failed");
    return 3;
}

static int core_is_running(lua_State *L)
{
    lua_pushboolean(L, dml_process_is_running(check_process(L, 1)));
    return 1;
}

static int core_pid(lua_State *L)
{
    lua_pushinteger(L, dml_process_pid(check_process(L, 1)));
    return 1;
}

/* kill(process): ends the whole tree at once */
static int core_kill(lua_State *L)
{
    dml_process_kill(check_process(L, 1));
    return 0;
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

static void push_names(lua_State *L, const char *const names[DML_HARDENING], const char *field)
{
    lua_newtable(L);
    for (int i = 0; names[i]; i++) {
        lua_pushstring(L, names[i]);
        lua_rawseti(L, -2, i + 1);
    }
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
    if (executed) {
        lua_pushboolean(L, result->survivors);
        lua_setfield(L, -2, "survivors");
        lua_pushnumber(L, result->user);
        lua_setfield(L, -2, "user");
        lua_pushnumber(L, result->system);
        lua_setfield(L, -2, "system");
        lua_pushinteger(L, (lua_Integer)result->max_rss);
        lua_setfield(L, -2, "max_rss");
    } else {
        lua_pushstring(L, result->code);
        lua_setfield(L, -2, "code");
        lua_pushstring(L, result->message);
        lua_setfield(L, -2, "message");
    }
    push_names(L, result->applied, "applied");
    push_names(L, result->skipped, "skipped");
}

/* wait(process, options) -> result. Options as for start, and { signals = descriptor of forward_signals } */
static int core_wait(lua_State *L)
{
    struct held_process *held = luaL_checkudata(L, 1, DML_LUA_PROCESS);
    struct dml_process *process = check_process(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    while (!dml_process_continue(process, held->forward.fd))
        dml_forward_one(&held->forward, process);
    push_result(L, dml_process_result(process));
    if (boolean_field(L, 2, "capture_stdout"))
        push_capture(L, dml_process_capture(process, 1), "stdout");
    if (boolean_field(L, 2, "capture_stderr"))
        push_capture(L, dml_process_capture(process, 2), "stderr");
    held->process = NULL;
    dml_process_free(process);
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

void dml_open_process(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"start", core_start},
        {"is_running", core_is_running},
        {"pid", core_pid},
        {"kill", core_kill},
        {"wait", core_wait},
        {"forward_signals", core_forward_signals},
        {"ignore_broken_pipes", core_ignore_broken_pipes},
        {"execute", core_execute},
        {"run_bare", core_run_bare},
        {"is_open", core_is_open},
        {"output", core_output},
        {NULL, NULL},
    };
    luaL_newmetatable(L, DML_LUA_PROCESS);
    lua_pushcfunction(L, process_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
