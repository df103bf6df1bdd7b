/* What a hostile table can do to core.copy and core.freeze: a Lua value is built from the input, then copied
 * within its state, copied into another, frozen, validated and planned. The first byte says what runs out on
 * the way: nothing, memory at some allocation, or, with ALL, memory at each allocation in turn. The rest is
 * Lua when it begins so, otherwise bytes that stand for values. */
#include "fuzz.h"
#include "lua_copy.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

int luaopen_demilune_core(lua_State *L);

/* --- memory that runs out --- */

/* Of Lua, by its allocator, and of the engine: the linker leads its calls of the allocator here (--wrap).
 * What builds the value and looks at the outcome gets what it asks for: some of that runs unprotected. */
static struct {
    bool tested; /* the code under test runs, for which memory runs out */
    long left;   /* allocations before one is refused; -1: none is */
    bool refused;
} memory;

static bool may_allocate(void)
{
    if (!memory.tested)
        return true;
    if (memory.left == 0)
        memory.refused = true;
    else if (memory.left > 0)
        memory.left--;
    return !memory.refused;
}

static void *allocate(void *used, void *block, size_t old_size, size_t new_size)
{
    size_t held = block ? old_size : 0;
    if (new_size > held && !may_allocate())
        return NULL;
    *(size_t *)used += new_size - held;
    if (new_size > 0)
        return realloc(block, new_size);
    free(block);
    return NULL;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__real_reallocarray(void *block, size_t count, size_t size);
void *__wrap_reallocarray(void *block, size_t count, size_t size);
void *__wrap_reallocarray(void *block, size_t count, size_t size)
{
    return may_allocate() ? __real_reallocarray(block, count, size) : NULL;
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return may_allocate() ? __real_strdup(text) : NULL;
}

/* --- values from bytes --- */

static const char *const words[] = {
    "name",       "description", "base",      "ro_binds",      "rw_binds", "work_host",
    "project",    "effects",     "network",   "env_allowlist", "env",      "tmpfs",
    "symlinks",   "masks",       "secrets",   "devices",       "chdir",    "user",
    "hostname",   "tty",         "nested",    "seccomp",       "limits",   "acknowledge",
    "requires",   "extends",     "prepare",   "launched",      "finished", "host",
    "sandbox",    "optional",    "write",     "path",          "effect",   "cents",
    "model",      "target",      "size",      "mode",          "allow",    "timeout",
    "cpu_time",   "memory",      "pids",      "file_size",     "output",   "tmp",
    "FsRead",     "FsWrite",     "Network",   "Process",       "Cost",     "Llm",
    "Pure",       "nobody",      "caller",    "none",          "default",  "off",
    "debug",      "home",        "root",      "0755",          "64M",      "30s",
    "25%",        "/",           "/etc",      "/usr",          "/tmp",     "/work",
    "/proc/self", "/etc/../x",   "/dev/null", "/etc/hostname", "~/x",      "LANG",
    "LD_PRELOAD", "A",           "expect",    "denied",        "allowed",  "read",
    "run",        "connect",     "[::1]:80",  "./x",           "@name",
};
enum {
    WORD_COUNT = sizeof words / sizeof words[0],
    MOST_TABLES = 64,
    ROOM = 200 /* on the stacks, for what is checked */
};

static void push_value(lua_State *L, struct input *in, int depth);

static int unwanted(lua_State *L)
{
    return luaL_error(L, "a metamethod or function of the table was called");
}

/* Tables made so far, so that one can appear again: index 1 of the stack has them. */
static void remember(lua_State *L)
{
    lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
    if (count < MOST_TABLES) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, 1, count + 1);
    }
}

static void push_word(lua_State *L, struct input *in)
{
    lua_pushstring(L, words[take_byte(in) % WORD_COUNT]);
}

static void push_bytes(lua_State *L, struct input *in)
{
    char text[256];
    size_t length = take_byte(in);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)take_byte(in);
    lua_pushlstring(L, text, length);
}

static void push_double(lua_State *L, struct input *in)
{
    uint64_t bits = take_number(in, 8);
    double number;
    memcpy(&number, &bits, sizeof number);
    lua_pushnumber(L, number);
}

static void push_list(lua_State *L, struct input *in, int depth)
{
    int count = take_byte(in) % 6;
    lua_newtable(L);
    remember(L);
    for (int i = 1; i <= count; i++) {
        push_value(L, in, depth + 1);
        lua_rawseti(L, -2, i);
    }
}

static void push_map(lua_State *L, struct input *in, int depth, bool names)
{
    int count = take_byte(in) % 8;
    lua_newtable(L);
    remember(L);
    for (int i = 0; i < count; i++) {
        if (names)
            push_word(L, in);
        else
            push_value(L, in, depth + 1);
        bool unusable = lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && !lua_rawequal(L, -1, -1));
        if (unusable) { /* nil or NaN cannot be a key */
            lua_pop(L, 1);
            lua_pushinteger(L, i);
        }
        push_value(L, in, depth + 1);
        lua_rawset(L, -3);
    }
}

static void push_with_metatable(lua_State *L, struct input *in, int depth)
{
    static const char *const names[] = {"__index", "__len",  "__pairs",   "__tostring",
                                        "__eq",    "__name", "__newindex"};
    push_map(L, in, depth, true);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        lua_pushcfunction(L, unwanted);
        lua_setfield(L, -2, names[i]);
    }
    lua_setmetatable(L, -2);
}

/* A table, or a text, at the bounds of what is taken. */
static void push_large(lua_State *L, struct input *in)
{
    static const int counts[] = {100, 9999, 10001, 19999, 20001, 30000};
    int count = counts[take_byte(in) % 6], kind = take_byte(in) % 3;
    lua_newtable(L);
    for (int i = 1; i <= count; i++) {
        lua_pushinteger(L, i);
        if (kind == 0)
            lua_pushvalue(L, -1);
        else
            lua_pushfstring(L, "/n/%d", i);
        if (kind == 2)
            lua_insert(L, -2);
        lua_rawset(L, -3);
    }
}

static void push_long_text(lua_State *L, struct input *in)
{
    static const size_t lengths[] = {100, 4096, 4097, 131072, 131073, (size_t)3 << 20};
    size_t length = lengths[take_byte(in) % 6];
    char *text = lua_newuserdatauv(L, length + 1, 0);
    memset(text, take_byte(in), length);
    lua_pushlstring(L, text, length);
    lua_remove(L, -2);
}

static void push_value(lua_State *L, struct input *in, int depth)
{
    luaL_checkstack(L, 10, NULL);
    if (depth > 24) {
        lua_pushboolean(L, 0);
        return;
    }
    switch (take_byte(in) % 24) {
    case 0: lua_pushnil(L); break;
    case 1: lua_pushboolean(L, take_byte(in) & 1); break;
    case 2: lua_pushinteger(L, (lua_Integer)take_byte(in) - 8); break;
    case 3: lua_pushinteger(L, (lua_Integer)take_number(in, 8)); break;
    case 4: push_double(L, in); break;
    case 5: lua_pushnumber(L, take_byte(in) / 2.0); break;
    case 6:
    case 7: push_bytes(L, in); break;
    case 8:
    case 9:
    case 10:
    case 11: push_word(L, in); break;
    case 12:
    case 13:
    case 14: push_list(L, in, depth); break;
    case 15: push_map(L, in, depth, false); break;
    case 16:
    case 17:
    case 18: push_map(L, in, depth, true); break;
    case 19: push_with_metatable(L, in, depth); break;
    case 20: /* one that is there already: a cycle, or the same twice */
        lua_rawgeti(L, 1, 1 + take_byte(in) % MOST_TABLES);
        break;
    case 21: lua_pushcfunction(L, unwanted); break;
    case 22:
        if (take_byte(in) & 1)
            lua_newthread(L);
        else
            lua_newuserdatauv(L, 8, 1);
        break;
    case 23:
        if (take_byte(in) % 8 == 0)
            push_large(L, in);
        else
            push_long_text(L, in);
        break;
    }
}

/* --- what must hold --- */

static void check_message(const char *text)
{
    must(text && *text, "a refusal says why");
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        must(*at >= 0x20 && *at != 0x7f, "a message is one line");
}

/* Whether the value at `b` of B says the same as that at `a` of A. Functions are compared by identity. */
static bool same(lua_State *A, int a, lua_State *B, int b)
{
    int type = lua_type(A, a);
    size_t length, other_length;
    if (lua_type(B, b) != type)
        return false;
    if (type == LUA_TSTRING) {
        const char *text = lua_tolstring(A, a, &length), *other = lua_tolstring(B, b, &other_length);
        return length == other_length && memcmp(text, other, length) == 0;
    }
    if (type == LUA_TNUMBER) {
        lua_Number x = lua_tonumber(A, a), y = lua_tonumber(B, b);
        return lua_isinteger(A, a) == lua_isinteger(B, b) && lua_tointeger(A, a) == lua_tointeger(B, b) &&
               memcmp(&x, &y, sizeof x) == 0;
    }
    if (type == LUA_TBOOLEAN)
        return lua_toboolean(A, a) == lua_toboolean(B, b);
    if (type != LUA_TTABLE)
        return type == LUA_TNIL || (A == B && lua_rawequal(A, a, b));
    if (lua_topointer(A, a) == lua_topointer(B, b) || lua_getmetatable(B, b))
        return false;
    size_t entries = 0;
    for (lua_pushnil(A); lua_next(A, a); lua_pop(A, 1), entries++) {
        int value = lua_gettop(A), key = value - 1;
        switch (lua_type(A, key)) {
        case LUA_TSTRING: lua_pushlstring(B, lua_tolstring(A, key, &length), lua_rawlen(A, key)); break;
        case LUA_TNUMBER:
            if (lua_isinteger(A, key))
                lua_pushinteger(B, lua_tointeger(A, key));
            else
                lua_pushnumber(B, lua_tonumber(A, key));
            break;
        default: lua_pushboolean(B, lua_toboolean(A, key)); break;
        }
        lua_rawget(B, b);
        bool equal = same(A, value, B, lua_gettop(B));
        lua_pop(B, 1);
        if (!equal)
            return false;
    }
    for (lua_pushnil(B); lua_next(B, b); lua_pop(B, 1))
        entries--;
    return entries == 0;
}

static bool keep_function(lua_State *from, int index, lua_State *to, void *context)
{
    (void)context;
    if (from != to || lua_type(from, index) != LUA_TFUNCTION)
        return false;
    lua_pushvalue(to, index);
    return true;
}

/* What a copy may be made of, counted on the way. */
struct bounds {
    bool functions; /* may stand in it */
    size_t entries, text;
    int depth;
    const void *above[20]; /* the tables around */
};

static bool may_be_copied(lua_State *L, int index, struct bounds *bounds, bool key)
{
    const void *table = lua_topointer(L, index);
    switch (lua_type(L, index)) {
    case LUA_TSTRING: bounds->text += lua_rawlen(L, index); return true;
    case LUA_TNUMBER:
    case LUA_TBOOLEAN: return true;
    case LUA_TNIL: return !key;
    case LUA_TFUNCTION: return bounds->functions && !key;
    case LUA_TTABLE: break;
    default: return false;
    }
    bool fine = !key && bounds->depth < 16;
    for (int i = 0; i < bounds->depth; i++)
        fine = fine && bounds->above[i] != table;
    if (!fine || lua_getmetatable(L, index))
        return false;
    bounds->above[bounds->depth++] = table;
    for (lua_pushnil(L); lua_next(L, index); lua_settop(L, -2)) {
        int value = lua_gettop(L);
        if (!may_be_copied(L, value - 1, bounds, true) || !may_be_copied(L, value, bounds, false)) {
            lua_settop(L, value - 2);
            return false;
        }
        bounds->entries++;
    }
    bounds->depth--;
    return true;
}

static void check_copy(lua_State *from, int index, lua_State *to, bool functions)
{
    struct dml_copy copy = {.convert = functions ? keep_function : NULL};
    struct bounds bounds = {.functions = functions};
    int from_top = lua_gettop(from), to_top = lua_gettop(to);
    bool fine = may_be_copied(from, index, &bounds, false) && bounds.entries <= 20000 &&
                (from == to || bounds.text <= (size_t)8 << 20);
    lua_settop(from, from_top);
    memory.tested = true;
    bool copied = dml_copy_value(from, index, to, &copy);
    memory.tested = false;
    must(lua_gettop(to) == to_top + copied, "a copy pushes itself alone");
    must(from == to || lua_gettop(from) == from_top, "the state that is read from stays as it was");
    must(copied == fine || strstr(copy.message, "not enough memory"),
         "plain data is copied, and nothing else");
    if (copied)
        must(same(from, index, to, lua_gettop(to)), "a copy says the same, and shares nothing");
    else
        check_message(copy.message);
    lua_settop(to, to_top);
}

/* The list of problems at the top: each has a field, a code and a message. Returns how many. */
static size_t check_problems(lua_State *L)
{
    static const char *const fields[] = {"field", "code", "message"};
    size_t count = lua_rawlen(L, -1);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        for (int j = 0; j < 3; j++) {
            lua_getfield(L, -1, fields[j]);
            must(lua_type(L, -1) == LUA_TSTRING, "a problem has a field, a code and a message");
            if (j > 0)
                must(*lua_tostring(L, -1), "the code and the message of a problem say something");
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    return count;
}

/* Calls core[name]; the arguments are on top. Leaves `results`. */
static void call_core(lua_State *L, const char *name, int arguments, int results)
{
    lua_getfield(L, 2, name);
    lua_insert(L, -1 - arguments);
    memory.tested = true;
    lua_call(L, arguments, results);
    memory.tested = false;
}

/* Pushes plan, warnings and problems. */
static void plan_it(lua_State *L, int frozen, int base)
{
    lua_pushvalue(L, frozen);
    lua_pushvalue(L, base);
    lua_createtable(L, 1, 0);
    lua_pushliteral(L, "true");
    lua_rawseti(L, -2, 1);
    call_core(L, "plan", 3, 3);
}

/* Asks for a plan, and for what it says; its digest goes to `digest`. */
static void check_plan(lua_State *L, int frozen, int base, char digest[80])
{
    static const char *const questions[] = {"digest", "describe", "arguments"};
    plan_it(L, frozen, base);
    if (lua_isnil(L, -3)) {
        must(check_problems(L) > 0, "what is not planned has a problem");
        return;
    }
    for (int i = 0; i < 3; i++) {
        lua_pushvalue(L, -3);
        call_core(L, questions[i], 1, 1);
        if (i == 0)
            snprintf(digest, 80, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    plan_it(L, frozen, base);
    must(!lua_isnil(L, -3), "what was planned can be planned again");
    lua_pushvalue(L, -3);
    call_core(L, "digest", 1, 1);
    must(strcmp(digest, lua_tostring(L, -1)) == 0, "and gives the same plan");
}

static bool is_lua(const struct input *in)
{
    return in->end - in->at > 6 && memcmp(in->at, "return", 6) == 0;
}

static int push_lua(lua_State *L, const struct input *in)
{
    const char *text = (const char *)in->at;
    if (luaL_loadbufferx(L, text, (size_t)(in->end - in->at), "=input", "t") != LUA_OK)
        return lua_error(L);
    lua_newtable(L); /* no globals, and so no functions: only time could be used up */
    lua_setupvalue(L, -2, 1);
    lua_call(L, 0, 1);
    return 1;
}

static void stop(lua_State *L, lua_Debug *event)
{
    (void)event;
    luaL_error(L, "too long");
}

struct job {
    struct input in;
    lua_State *other;
    bool built;      /* the value is there: from then on nothing is raised but that memory is out */
    char digest[80]; /* of the plan; "" when there is none */
};

/* Runs protected: the job. */
static int try_value(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);
    luaL_checkstack(L, ROOM, NULL);
    lua_newtable(L);
    lua_replace(L, 1);
    memory.tested = true;
    luaL_requiref(L, "demilune.core", luaopen_demilune_core, 0);
    memory.tested = false;
    if (is_lua(&job->in)) {
        lua_sethook(L, stop, LUA_MASKCOUNT, 10000);
        push_lua(L, &job->in);
        lua_sethook(L, NULL, 0, 0);
    } else {
        push_value(L, &job->in, 0);
    }
    job->built = true;
    check_copy(L, 3, L, false);
    check_copy(L, 3, L, true);
    check_copy(L, 3, job->other, false);
    if (lua_isnil(L, 3))
        return 0;
    lua_pushnil(L);
    call_core(L, "freeze_base", 1, 1); /* 4: base */
    lua_pushvalue(L, 3);
    lua_newtable(L);
    lua_pushliteral(L, "/root");
    lua_setfield(L, -2, "home");
    call_core(L, "freeze", 2, 2); /* 5: frozen, 6: problems */
    size_t problems = check_problems(L);
    lua_pushvalue(L, 5);
    lua_pushvalue(L, 4);
    call_core(L, "validate", 2, 1);
    check_problems(L);
    lua_pop(L, 1);
    if (problems == 0)
        check_plan(L, 5, 4, job->digest);
    return 0;
}

/* Does a job with so many allocations. Whether memory was out before its end. */
static bool run(struct job *job, struct input in, long allocations)
{
    *job = (struct job){.in = in};
    size_t used = 0, other_used = 0;
    memory.tested = memory.refused = false;
    memory.left = allocations;
    lua_State *L = lua_newstate(allocate, &used);
    job->other = lua_newstate(allocate, &other_used);
    lua_checkstack(job->other, ROOM);
    if (allocations >= 0)
        lua_gc(L, LUA_GCSTOP); /* Lua gives up an object when there is no memory to call its finalizer */
    lua_pushcfunction(L, try_value);
    lua_pushlightuserdata(L, job);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK && job->built && !memory.refused) {
        const char *error = lua_tostring(L, -1);
        fprintf(stderr, "%s\n", error ? error : "(no message)");
        must(false, "nothing is raised but that memory is out");
    }
    memory.tested = true; /* by what is collected */
    lua_close(L);
    lua_close(job->other);
    memory.tested = false;
    must(used == 0 && other_used == 0, "a closed state has given everything back");
    return memory.refused;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    enum { ALL = '*' };
    struct input in = {bytes, bytes + length};
    uint8_t what = take_byte(&in);
    struct job whole, job;
    if (what == ALL && is_lua(&in)) { /* what bytes stand for can be too large for so many runs */
        run(&whole, in, -1);
        for (long allocations = 0; run(&job, in, allocations); allocations++)
            must(!*job.digest || strcmp(job.digest, whole.digest) == 0,
                 "what is planned all the same is the same");
    } else {
        run(&job, in, what % 2 ? -1 : (long)take_number(&in, 2) % 4096);
    }
    return 0;
}
