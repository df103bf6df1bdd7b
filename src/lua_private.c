/* The private Lua state of policies: a second lua_State with few functions, little memory and a clock.
 *
 * H is the state of the host program, L the private one. Nothing raised in one may travel through the other:
 * L is entered by lua_pcall alone, H is called back by lua_pcall alone, and between `enter` and `leave` the
 * glue uses no function that can raise in H. Messages cross in C buffers. */
#include "lua_copy.h"
#include "lua_glue.h"
#include "text.h"

#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATE_TYPE "demilune.private"
#define HOOK_TYPE "demilune.hook"

#define DEFAULT_TIME_MS 200
#define DEFAULT_MEMORY ((size_t)8 << 20)
#define MAX_SOURCE ((size_t)256 << 10)
#define MAX_TEXT ((size_t)64 << 10) /* for the string functions whose cost is a product */
#define MAX_LENGTH 100000           /* for the table functions that loop over `#t` */
#define MAX_INCLUDES 16
#define MAX_QUESTIONS 256 /* to the host, whose time is not counted */
#define MAX_NAMES 64      /* among which a hint is looked for */

/* One block of 1 MiB bounds what a single instruction can cost: a table of 2^17 chosen integer keys, which
 * fits in 8 MiB, keeps Lua rehashing for six seconds without ever calling the hook. */
#define MAX_BLOCK ((size_t)1 << 20)

/* Instructions between two looks at the clock. STEPS_PER_MS is more than a processor can do: it ends a policy
 * when the clock stands still. */
#define STEP 100
#define STEPS_PER_MS ((int64_t)1 << 15)

/* Keys in the registry of H and of L. */
static char hook_metatable, environment_key, kinds_key;

enum question { ASK_INCLUDE = 1, ASK_PRINT, ASK_HOST };

struct message {
    char text[1024];
};

struct private_state {
    lua_State *L; /* NULL once closed */
    size_t memory_used, memory_limit;
    bool system_refused; /* the last allocation that failed did so for want of real memory */
    int time_ms;
    int64_t deadline; /* ns */
    int64_t steps_left;
    bool out_of_time;
    bool out_of_memory;
    char stopped_at[LUA_IDSIZE + 16]; /* "policy.lua:3: ", or empty */
    int questions, includes;
    lua_State *H; /* the host's state that called; NULL while the private state is idle */
    int self;     /* index of the userdata in H's running function */
};

/* A function of the private state, as the host holds it. Its user value keeps `owner` alive. */
struct hook {
    struct private_state *owner;
    int reference; /* in the registry of L */
    int line;
    char source[LUA_IDSIZE];
};

/* ------------------------------------------------------------------------------------------------ text */

/* Length of the UTF-8 sequence at `text`; 0 when it is none, or one that changes what a terminal shows. */
static size_t printable_length(const unsigned char *text, size_t left)
{
    static const uint32_t smallest[] = {0, 0x20, 0xa0, 0x800, 0x10000};
    unsigned char first = text[0];
    size_t length = 1;
    if (first >= 0x80)
        length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
    if (length == 0 || length > left)
        return 0;
    uint32_t code = length == 1 ? first : first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    bool direction = (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                     (code >= 0x2066 && code <= 0x2069);
    return code < smallest[length] || code == 0x7f || code > 0x10ffff || surrogate || direction ? 0 : length;
}

/* Writes the next character of `text` so that a terminal may show it: at most 4 bytes, no NUL. Returns how
 * many, and in `taken` how many bytes of `text` they stand for. */
static size_t printable(const char *text, size_t left, char *out, size_t *taken)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = printable_length((const unsigned char *)text, left);
    *taken = length == 0 ? 1 : length;
    if (length != 0) {
        memcpy(out, text, length);
        return length;
    }
    unsigned char c = (unsigned char)text[0];
    out[0] = '\\';
    if (c == '\n' || c == '\t') {
        out[1] = c == '\n' ? 'n' : 't';
        return 2;
    }
    out[1] = 'x';
    out[2] = digits[c >> 4];
    out[3] = digits[c & 15];
    return 4;
}

/* Appends printable text, cut to what fits. */
static void message_add(struct message *message, const char *text, size_t length)
{
    size_t at = strlen(message->text);
    for (size_t i = 0, taken; i < length && at + 4 < sizeof message->text; i += taken)
        at += printable(text + i, length - i, message->text + at, &taken);
    message->text[at] = '\0';
}

/* "prefix: text". An empty prefix adds nothing. */
static void message_set(struct message *message, const char *prefix, const char *text, size_t length)
{
    message->text[0] = '\0';
    message_add(message, prefix, strlen(prefix));
    if (prefix[0] != '\0')
        message_add(message, ": ", 2);
    message_add(message, text, length);
}

static int fail(lua_State *H, const char *text)
{
    luaL_pushfail(H);
    lua_pushstring(H, text);
    return 2;
}

/* Whether an error text begins with "name:12: ". */
static bool has_position(const char *text)
{
    for (const char *colon = strchr(text, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        size_t digits = strspn(colon + 1, "0123456789");
        if (digits > 0 && colon[digits + 1] == ':')
            return true;
    }
    return false;
}

static bool starts_with_name(const char *text, const char *name)
{
    size_t length = strlen(name);
    return length > 0 && strncmp(text, name, length) == 0 && text[length] == ':';
}

/* ---------------------------------------------------------------------------------------------- limits */

static struct private_state *state_of(lua_State *L)
{
    void *state;
    lua_getallocf(L, &state);
    return state;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static bool may_allocate(const struct private_state *state, size_t held, size_t wanted)
{
    return wanted <= MAX_BLOCK && wanted - held <= state->memory_limit - state->memory_used;
}

/* The allocator of the private state (lua_Alloc). */
static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct private_state *state = context;
    size_t held = block == NULL ? 0 : old_size; /* without a block, `old_size` is a type */
    if (new_size == 0) {
        free(block);
        state->memory_used -= held;
        return NULL;
    }
    bool allowed = new_size <= held || may_allocate(state, held, new_size);
    void *moved = allowed ? realloc(block, new_size) : NULL;
    if (moved == NULL) {
        state->system_refused = allowed;
        return NULL;
    }
    state->memory_used = state->memory_used - held + new_size;
    return moved;
}

/* Where the innermost Lua function stands, as "policy.lua:3: ". */
static void record_position(lua_State *L, char *position, size_t size)
{
    lua_Debug frame;
    position[0] = '\0';
    for (int level = 0; lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline > 0) {
            snprintf(position, size, "%s:%d: ", frame.short_src, frame.currentline);
            return;
        }
    }
}

/* Looks at the clock at every call and after every STEP instructions. Once the time is over it stops
 * everything: each further instruction raises again, so that nothing which catches errors can go on. */
static void check_limits(lua_State *L, lua_Debug *event)
{
    struct private_state *state = state_of(L);
    if (event->event == LUA_HOOKCOUNT)
        state->steps_left--;
    if (!state->out_of_time) {
        if (state->steps_left > 0 && now() < state->deadline)
            return;
        state->out_of_time = true;
        record_position(L, state->stopped_at, sizeof state->stopped_at);
        lua_sethook(L, check_limits, LUA_MASKCALL | LUA_MASKCOUNT, 1);
    }
    lua_pushliteral(L, "out of time");
    lua_error(L);
}

/* Gives the private state to a call from H, whose running function has the userdata at index `self`. */
static void enter(struct private_state *state, lua_State *H, int self)
{
    state->H = H;
    state->self = self;
    state->includes = state->questions = 0;
    state->out_of_time = state->out_of_memory = false;
    state->steps_left = state->time_ms * STEPS_PER_MS;
    state->deadline = now() + (int64_t)state->time_ms * 1000000;
    lua_sethook(state->L, check_limits, LUA_MASKCALL | LUA_MASKCOUNT, STEP);
}

static void leave(struct private_state *state)
{
    lua_sethook(state->L, NULL, 0, 0);
    lua_settop(state->L, 0);
    state->H = NULL;
}

static void describe_memory(const struct private_state *state, char *text, size_t size)
{
    size_t limit = state->memory_limit;
    bool even = limit % (1 << 20) == 0;
    if (state->system_refused)
        snprintf(text, size, "not enough memory");
    else
        snprintf(text, size, "the policy needs more than %zu %s, or more than 1 MiB in one piece",
                 even ? limit >> 20 : limit >> 10, even ? "MiB" : "KiB");
}

static void describe_value(lua_State *L, int index, const char *prefix, struct message *message)
{
    char text[64];
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *error = lua_tolstring(L, index, &length);
        bool placed = has_position(error) || starts_with_name(error, prefix);
        message_set(message, placed ? "" : prefix, error, length);
        return;
    }
    snprintf(text, sizeof text, "the policy raised a %s value", lua_typename(L, lua_type(L, index)));
    message_set(message, prefix, text, strlen(text));
}

/* Calls the function below `arguments` values on the stack of L. On failure leaves nothing and fills
 * `message`; a text without a position gets `prefix`. An error value that is no string is not looked into. */
static bool call_private(struct private_state *state, int arguments, int results, const char *prefix,
                         struct message *message)
{
    lua_State *L = state->L;
    int status = lua_pcall(L, arguments, results, 0);
    if (status == LUA_OK && !state->out_of_time)
        return true;
    char text[sizeof state->stopped_at + 96];
    if (state->out_of_time) {
        snprintf(text, sizeof text, "%sthe policy runs longer than %d ms", state->stopped_at, state->time_ms);
        message_set(message, state->stopped_at[0] == '\0' ? prefix : "", text, strlen(text));
    } else if (status == LUA_ERRMEM || state->out_of_memory) {
        describe_memory(state, text, sizeof text);
        message_set(message, prefix, text, strlen(text));
    } else {
        describe_value(L, -1, prefix, message);
    }
    lua_settop(L, 0);
    return false;
}

/* ------------------------------------------------------------------------------- asking the host program */

struct text {
    const char *data;
    size_t length;
};

/* Runs in H: a function, and a light userdata with the text to give to it. */
static int call_host_function(lua_State *H)
{
    const struct text *text = lua_touserdata(H, 2);
    lua_settop(H, 1);
    lua_pushlstring(H, text->data, text->length);
    lua_call(H, 1, 2);
    return 2;
}

/* Calls a function of the host with a string; its two results are then on top of the stack of H, where the
 * caller takes them off with lua_pop(H, 2). False without such a function. Raises in L when the function does
 * in H. */
static bool ask_host(lua_State *L, enum question question, const char *data, size_t length)
{
    struct private_state *state = state_of(L);
    struct text text = {data, length};
    lua_State *H = state->H;
    if (!lua_checkstack(H, 6))
        luaL_error(L, "not enough memory");
    lua_pushcfunction(H, call_host_function);
    lua_getiuservalue(H, state->self, 1);
    bool known = lua_rawgeti(H, -1, question) == LUA_TFUNCTION;
    lua_remove(H, -2);
    if (!known) {
        lua_pop(H, 2);
        return false;
    }
    lua_pushlightuserdata(H, &text);
    if (lua_pcall(H, 2, 2, 0) == LUA_OK)
        return true;
    struct message message;
    const char *error =
        lua_type(H, -1) == LUA_TSTRING ? lua_tostring(H, -1) : "the host program raised an error";
    message_set(&message, "", error, strlen(error));
    lua_pop(H, 1);
    luaL_error(L, "%s", message.text);
    return false;
}

/* As ask_host, for answers that take time: the policy does not pay for it, but may not ask for ever. */
static bool ask_host_slowly(lua_State *L, enum question question, const char *data, size_t length)
{
    struct private_state *state = state_of(L);
    if (++state->questions > MAX_QUESTIONS)
        luaL_error(L, "the policy asks more than %d questions of the host", MAX_QUESTIONS);
    int64_t start = now();
    bool answered = ask_host(L, question, data, length);
    state->deadline += now() - start;
    return answered;
}

/* --------------------------------------------------------------- the functions that a policy can call */

/* Calls the standard function in the first upvalue as if it had been called itself: same arguments, same
 * position in its errors. */
static int call_standard(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* What is shown for a value: never an address. */
static void push_shown(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
        luaL_tolstring(L, index, NULL);
        break;
    default:
        lua_pushstring(L, luaL_typename(L, index));
        break;
    }
}

static int policy_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    push_shown(L, 1);
    return 1;
}

static int policy_assert(lua_State *L)
{
    luaL_checkany(L, 1);
    if (lua_toboolean(L, 1))
        return lua_gettop(L);
    if (lua_isnoneornil(L, 2))
        return luaL_error(L, "assertion failed!");
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TSTRING)
        return luaL_error(L, "%s", lua_tostring(L, 2));
    return lua_error(L);
}

/* A limit is no error that a policy could live with. */
static int policy_pcall(lua_State *L)
{
    struct private_state *state = state_of(L);
    int includes = state->includes;
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    if (status == LUA_ERRMEM)
        state->out_of_memory = true;
    if (state->out_of_memory || state->out_of_time)
        return lua_error(L);
    if (status == LUA_OK)
        return lua_gettop(L);
    state->includes = includes;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static void add_printable(luaL_Buffer *buffer, const char *text, size_t length)
{
    for (size_t i = 0, taken; i < length; i += taken) {
        char out[4];
        luaL_addlstring(buffer, out, printable(text + i, length - i, out, &taken));
    }
}

static int policy_print(lua_State *L)
{
    int count = lua_gettop(L);
    for (int i = 1; i <= count; i++) {
        push_shown(L, i);
        lua_replace(L, i);
    }
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (int i = 1; i <= count; i++) {
        size_t length;
        const char *text = lua_tolstring(L, i, &length);
        if (i > 1)
            luaL_addchar(&buffer, ' ');
        add_printable(&buffer, text, length);
    }
    luaL_pushresult(&buffer);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (ask_host(L, ASK_PRINT, text, length))
        lua_pop(state_of(L)->H, 2);
    return 0;
}

static int policy_rep(lua_State *L)
{
    size_t length, gap;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_Integer count = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &gap);
    if (count <= 0 || length + gap == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (length + gap > MAX_TEXT || (size_t)count > MAX_TEXT / (length + gap))
        return luaL_error(L, "the result of `string.rep` is longer than 64 KiB");
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (lua_Integer i = 1; i <= count; i++) {
        luaL_addlstring(&buffer, text, length);
        if (i < count)
            luaL_addlstring(&buffer, separator, gap);
    }
    luaL_pushresult(&buffer);
    return 1;
}

/* The subject of a search; raises when it is too long. */
static struct text check_subject(lua_State *L, int index)
{
    struct text text;
    text.data = luaL_checklstring(L, index, &text.length);
    if (text.length > MAX_TEXT)
        luaL_argerror(L, index, "longer than 64 KiB");
    return text;
}

/* Plain text only. What standard Lua would take for a pattern is refused rather than read in another way. */
static int policy_find(lua_State *L)
{
    struct text subject = check_subject(L, 1), needle = check_subject(L, 2);
    lua_Integer start = luaL_optinteger(L, 3, 1);
    bool plain = lua_toboolean(L, 4);
    if (!plain && strcspn(needle.data, "^$*+?.([%-") < needle.length)
        return luaL_argerror(L, 2,
                             "patterns are not to be had here; for plain text say find(text, start, true)");
    lua_Integer length = (lua_Integer)subject.length;
    if (start < 0)
        start = start < -length ? 1 : length + start + 1;
    else if (start == 0)
        start = 1;
    const char *found = NULL;
    if (start <= length + 1)
        found = memmem(subject.data + start - 1, (size_t)(length - start + 1), needle.data, needle.length);
    if (found == NULL) {
        luaL_pushfail(L);
        return 1;
    }
    lua_pushinteger(L, found - subject.data + 1);
    lua_pushinteger(L, found - subject.data + (lua_Integer)needle.length);
    return 2;
}

static int policy_starts_with(lua_State *L)
{
    size_t length, part;
    const char *text = luaL_checklstring(L, 1, &length), *start = luaL_checklstring(L, 2, &part);
    lua_pushboolean(L, part <= length && memcmp(text, start, part) == 0);
    return 1;
}

static int policy_ends_with(lua_State *L)
{
    size_t length, part;
    const char *text = luaL_checklstring(L, 1, &length), *end = luaL_checklstring(L, 2, &part);
    lua_pushboolean(L, part <= length && memcmp(text + (length - part), end, part) == 0);
    return 1;
}

static int policy_split(lua_State *L)
{
    struct text rest = check_subject(L, 1), separator = check_subject(L, 2);
    luaL_argcheck(L, separator.length > 0, 2, "the separator is empty");
    lua_newtable(L);
    for (lua_Integer i = 1;; i++) {
        const char *found = memmem(rest.data, rest.length, separator.data, separator.length);
        size_t part = found == NULL ? rest.length : (size_t)(found - rest.data);
        lua_pushlstring(L, rest.data, part);
        lua_rawseti(L, -2, i);
        if (found == NULL)
            return 1;
        rest.data += part + separator.length;
        rest.length -= part + separator.length;
    }
}

/* string.format without what would show an address: `%p`, and `%s` of a table or function. */
static int policy_format(lua_State *L)
{
    size_t length;
    const char *format = luaL_checklstring(L, 1, &length);
    const char *end = format + length;
    int argument = 1, count = lua_gettop(L);
    for (const char *at = format; at < end; at++) {
        if (*at != '%')
            continue;
        if (++at < end && *at == '%')
            continue;
        at += strspn(at, "-+ #0123456789.");
        argument++;
        if (at < end && *at == 'p')
            return luaL_argerror(L, 1, "`%p` is not to be had here");
        if (at < end && *at == 's' && argument <= count) {
            push_shown(L, argument);
            lua_replace(L, argument);
        }
    }
    return call_standard(L);
}

/* `#t` can be made to answer 2^61 with sixty entries, and these functions loop up to it. */
static void check_length(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_rawlen(L, 1) > MAX_LENGTH)
        luaL_argerror(L, 1, "the list is too long");
}

static int policy_bounded(lua_State *L)
{
    check_length(L);
    return call_standard(L);
}

static int less_than(lua_State *L)
{
    lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
    return 1;
}

/* Sorting without a function would be one long instruction; every call of one looks at the clock. */
static int policy_sort(lua_State *L)
{
    check_length(L);
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_pushcfunction(L, less_than);
    }
    return call_standard(L);
}

/* ------------------------------------------------------------------------------------------- include */

struct chunk {
    struct text source;
    const char *name;
};

/* Pushes the function that the text of a policy makes. Raises what is wrong with the text. */
static void compile(lua_State *L, const struct chunk *chunk)
{
    if (chunk->source.length > MAX_SOURCE)
        luaL_error(L, "%s: larger than 256 KiB", chunk->name);
    const char *name = lua_pushfstring(L, "@%s", chunk->name);
    if (luaL_loadbufferx(L, chunk->source.data, chunk->source.length, name, "t") != LUA_OK)
        lua_error(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &environment_key);
    lua_setupvalue(L, -2, 1);
    lua_remove(L, -2);
}

/* The name of the file and its text, from what the host answered; both stay on the stack of L. */
static struct chunk take_source(lua_State *L, lua_State *H, const char *wanted)
{
    struct chunk chunk = {{NULL, 0}, NULL};
    if (lua_type(H, -2) != LUA_TSTRING) {
        struct message message;
        const char *reason = lua_type(H, -1) == LUA_TSTRING ? lua_tostring(H, -1) : "not found";
        message_set(&message, "", reason, strlen(reason));
        lua_pop(H, 2);
        luaL_error(L, "include \"%s\": %s", wanted, message.text);
    }
    chunk.source.data = lua_tolstring(H, -2, &chunk.source.length);
    lua_pushlstring(L, chunk.source.data, chunk.source.length);
    chunk.source.data = lua_tostring(L, -1);
    chunk.name = lua_pushstring(L, lua_type(H, -1) == LUA_TSTRING ? lua_tostring(H, -1) : wanted);
    lua_pop(H, 2);
    return chunk;
}

static int policy_include(lua_State *L)
{
    struct private_state *state = state_of(L);
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length == strlen(name) && length <= 255, 1, "not a name");
    lua_settop(L, 1);
    if (state->includes == MAX_INCLUDES)
        return luaL_error(L, "include \"%s\": files include each other more than %d deep", name,
                          MAX_INCLUDES);
    if (!ask_host_slowly(L, ASK_INCLUDE, name, length))
        return luaL_error(L, "include \"%s\": nothing can be included here", name);
    struct chunk chunk = take_source(L, state->H, name);
    compile(L, &chunk);
    state->includes++;
    lua_call(L, 0, 1);
    state->includes--;
    return 1;
}

/* ------------------------------------------------------------------------------ the names of a policy */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The key of the table at `table` that `name` most likely meant, or NULL; the order of keys does not show. */
static const char *nearest_key(lua_State *L, int table, const char *name)
{
    const char *names[MAX_NAMES];
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING && count < MAX_NAMES)
            names[count++] = lua_tostring(L, -1); /* stays valid: it is a key of the table */
    }
    qsort(names, count, sizeof names[0], compare_names);
    return dml_nearest(name, names, count);
}

/* Raises that a name is not defined. Upvalue 1: what stands before the name ("", "string."). Arguments: the
 * table of the names that are, and this one. */
static int undefined_name(lua_State *L)
{
    const char *before = lua_tostring(L, lua_upvalueindex(1));
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
        return 1;
    }
    size_t length;
    const char *name = lua_tolstring(L, 2, &length);
    const char *hint = nearest_key(L, 1, name);
    struct message shown;
    message_set(&shown, "", name, length < 60 ? length : 60);
    if (hint == NULL)
        return luaL_error(L, "`%s%s` is not defined", before, shown.text);
    return luaL_error(L, "`%s%s` is not defined; did you mean `%s%s`?", before, shown.text, before, hint);
}

static int refuse_global(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "assignment to a global");
    const char *name = lua_tostring(L, 2);
    return luaL_error(L, "assignment to global `%s`; use `local %s`", name, name);
}

/* Upvalue 1: the name of the table. */
static int refuse_change(lua_State *L)
{
    return luaL_error(L, "`%s` is read-only", lua_tostring(L, lua_upvalueindex(1)));
}

/* Upvalue 1: the values behind a read-only table. */
static int next_value(lua_State *L)
{
    lua_settop(L, 2);
    return lua_next(L, lua_upvalueindex(1)) ? 2 : 1;
}

static int pairs_of_values(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, next_value, 1);
    lua_pushnil(L);
    lua_pushnil(L);
    return 3;
}

static int length_of_values(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, lua_upvalueindex(1)));
    return 1;
}

/* A fact about the host: known, asked for before, or asked for now. Upvalues: the known ones, and those asked
 * for. */
static int host_fact(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL || lua_type(L, 2) != LUA_TSTRING)
        return 1;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        return 0;
    size_t length;
    const char *name = lua_tolstring(L, 2, &length);
    if (!ask_host_slowly(L, ASK_HOST, name, length))
        return 0;
    struct dml_copy copy = {0};
    lua_State *H = state_of(L)->H;
    bool plain = lua_type(H, -2) != LUA_TTABLE && dml_copy_value(H, -2, L, &copy);
    lua_pop(H, 2);
    if (!plain)
        return luaL_error(L, "the host program gave no plain value for a fact about the host");
    bool known = !lua_isnil(L, -1);
    lua_pushvalue(L, 2);
    if (known)
        lua_pushvalue(L, -2);
    else
        lua_pushboolean(L, 1);
    lua_rawset(L, lua_upvalueindex(known ? 1 : 2));
    return 1;
}

static void set_closure(lua_State *L, const char *field, lua_CFunction function, int upvalue)
{
    lua_pushvalue(L, upvalue);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, field);
}

/* Replaces the table on top of the stack by a read-only view of it. On top stays the metatable, whose
 * `__index` is the table until the caller says otherwise; the view is below it. */
static void push_view(lua_State *L, const char *name)
{
    int values = lua_gettop(L);
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_createtable(L, 0, 5);
    lua_pushvalue(L, values);
    lua_setfield(L, -2, "__index");
    set_closure(L, "__newindex", refuse_change, values + 2);
    set_closure(L, "__pairs", pairs_of_values, values);
    set_closure(L, "__len", length_of_values, values);
    lua_pushvalue(L, -1);
    lua_setmetatable(L, values + 1);
    lua_remove(L, values + 2);
    lua_remove(L, values);
}

/* Makes read-only views of the tables in the table on top of the stack, at every depth. */
static void freeze_fields(lua_State *L)
{
    int table = lua_gettop(L);
    luaL_checkstack(L, 12, NULL);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (!lua_istable(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        freeze_fields(L);
        lua_pushvalue(L, -2);
        lua_insert(L, -2); /* key, key, values */
        push_view(L, lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "the table");
        lua_pop(L, 1);
        lua_rawset(L, table);
    }
}

/* -------------------------------------------------------------------------------- the environment */

struct library {
    const char *name;            /* "_G": its functions become globals */
    const char *const *standard; /* taken as they are */
    const luaL_Reg *own; /* each with the standard function of its name, if there is one, as upvalue */
};

static const char *const base_names[] = {"error",  "ipairs", "next",     "pairs", "rawequal",
                                         "rawlen", "select", "tonumber", "type",  NULL};
static const luaL_Reg base_own[] = {{"assert", policy_assert},     {"include", policy_include},
                                    {"pcall", policy_pcall},       {"print", policy_print},
                                    {"tostring", policy_tostring}, {NULL, NULL}};

static const char *const string_names[] = {"byte", "char", "len", "lower", "reverse", "sub", "upper", NULL};
static const luaL_Reg string_own[] = {{"ends_with", policy_ends_with},
                                      {"find", policy_find},
                                      {"format", policy_format},
                                      {"rep", policy_rep},
                                      {"starts_with", policy_starts_with},
                                      {"split", policy_split},
                                      {NULL, NULL}};

static const char *const table_names[] = {"concat", "insert", "pack", "remove", "sort", "unpack", NULL};

static const char *const math_names[] = {
    "abs",  "acos", "asin", "atan", "ceil",      "cos",        "deg",  "exp",        "floor",
    "fmod", "huge", "log",  "max",  "min",       "maxinteger", "modf", "mininteger", "pi",
    "rad",  "sin",  "sqrt", "tan",  "tointeger", "type",       "ult",  NULL};
static const char *const utf8_names[] = {"char", "charpattern", "codepoint", "codes", "len", "offset", NULL};
static const luaL_Reg nothing_own[] = {{NULL, NULL}};

static const struct library libraries[] = {
    {LUA_GNAME, base_names, base_own},          {LUA_STRLIBNAME, string_names, string_own},
    {LUA_TABLIBNAME, table_names, nothing_own}, {LUA_MATHLIBNAME, math_names, nothing_own},
    {LUA_UTF8LIBNAME, utf8_names, nothing_own},
};

static void open_standard_libraries(lua_State *L)
{
    static const luaL_Reg standard[] = {
        {LUA_GNAME, luaopen_base},       {LUA_STRLIBNAME, luaopen_string}, {LUA_TABLIBNAME, luaopen_table},
        {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8},
    };
    for (size_t i = 0; i < sizeof standard / sizeof standard[0]; i++) {
        luaL_requiref(L, standard[i].name, standard[i].func, 1);
        lua_pop(L, 1);
    }
}

/* The prelude gets lists of the policy, so its `table` library is bounded like that of the policy. */
static void bound_table_library(lua_State *L)
{
    static const luaL_Reg bounded[] = {
        {"insert", policy_bounded}, {"remove", policy_bounded}, {"sort", policy_sort}, {NULL, NULL}};
    lua_getglobal(L, LUA_TABLIBNAME);
    for (const luaL_Reg *function = bounded; function->name != NULL; function++) {
        lua_getfield(L, -1, function->name);
        lua_pushcclosure(L, function->func, 1);
        lua_setfield(L, -2, function->name);
    }
    lua_pop(L, 1);
}

/* Adds the functions of a library to the table at `target`. */
static void add_library(lua_State *L, const struct library *library, int target)
{
    lua_getglobal(L, library->name);
    for (const char *const *name = library->standard; *name != NULL; name++) {
        lua_getfield(L, -1, *name);
        lua_setfield(L, target, *name);
    }
    for (const luaL_Reg *own = library->own; own->name != NULL; own++) {
        lua_getfield(L, -1, own->name);
        lua_pushcclosure(L, own->func, 1);
        lua_setfield(L, target, own->name);
    }
    lua_pop(L, 1);
}

/* Methods of strings are the whitelist too; an unknown one is nil, as in `entry.host or entry` where either
 * may be a string. Pops the table of functions. */
static void set_string_metatable(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 2);
}

/* Sets the library as a read-only table in the table at `globals`. */
static void add_library_table(lua_State *L, const struct library *library, int globals)
{
    lua_newtable(L);
    int functions = lua_gettop(L);
    add_library(L, library, functions);
    if (strcmp(library->name, LUA_STRLIBNAME) == 0) {
        lua_newtable(L);
        add_library(L, library, functions + 1);
        set_string_metatable(L);
    }
    /* The functions, then an error for any other name. */
    lua_createtable(L, 0, 1);
    lua_pushfstring(L, "%s.", library->name);
    lua_pushcclosure(L, undefined_name, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, functions);
    push_view(L, library->name);
    lua_pop(L, 1);
    lua_setfield(L, globals, library->name);
}

/* Runs in L: makes the environment of policies, without the globals of the host program. */
static int make_environment(lua_State *L)
{
    open_standard_libraries(L);
    bound_table_library(L);
    lua_newtable(L);
    int globals = lua_gettop(L);
    add_library(L, &libraries[0], globals);
    for (size_t i = 1; i < sizeof libraries / sizeof libraries[0]; i++)
        add_library_table(L, &libraries[i], globals);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "");
    lua_pushcclosure(L, undefined_name, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, globals);

    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, globals);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_global);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &environment_key);
    return 1;
}

/* Pushes `host` of the table on top of the stack: a view of the facts that the host gave or can give. */
static void add_host(lua_State *L)
{
    lua_pushliteral(L, "host");
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    freeze_fields(L);
    lua_pushvalue(L, -1);
    push_view(L, "host");
    lua_pushvalue(L, -3);
    lua_newtable(L);
    lua_pushcclosure(L, host_fact, 2);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_remove(L, -2);
}

/* Runs in L: the globals, and a copy of those of the host program. */
static int add_globals(lua_State *L)
{
    add_host(L);
    lua_pushliteral(L, "host");
    lua_pushnil(L);
    lua_rawset(L, 2);
    lua_pushvalue(L, 2);
    freeze_fields(L);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 1);
    }
    lua_pushliteral(L, "host");
    lua_pushvalue(L, 3);
    lua_rawset(L, 1);
    return 0;
}

/* Runs in L: a chunk of trusted Lua, which sees the whole of the five libraries. */
static int run_prelude(lua_State *L)
{
    const struct chunk *chunk = lua_touserdata(L, 1);
    const char *name = lua_pushfstring(L, "@%s", chunk->name);
    if (luaL_loadbufferx(L, chunk->source.data, chunk->source.length, name, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "a prelude returns a table of metatables");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &kinds_key);
    return 0;
}

/* ------------------------------------------------------------------------------- functions that cross */

/* Runs in L: a function, and a light userdata to the place for its reference. */
static int keep_function(lua_State *L)
{
    int *reference = lua_touserdata(L, 2);
    lua_settop(L, 1);
    *reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void describe_function(lua_State *L, int index, struct hook *hook)
{
    lua_Debug function;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &function);
    hook->line = function.linedefined;
    snprintf(hook->source, sizeof hook->source, "%s", function.short_src);
}

/* Makes a handle in H for a function of L (`dml_copy.convert`). */
static bool function_to_hook(lua_State *L, int index, lua_State *H, void *context)
{
    if (lua_type(L, index) != LUA_TFUNCTION || !lua_checkstack(L, 4))
        return false;
    struct hook *hook = lua_newuserdatauv(H, sizeof *hook, 1);
    hook->owner = context;
    hook->reference = LUA_NOREF;
    describe_function(L, index, hook);
    lua_rawgetp(H, LUA_REGISTRYINDEX, &hook_metatable);
    lua_setmetatable(H, -2);
    lua_pushvalue(H, DML_COPY_ANCHOR);
    lua_setiuservalue(H, -2, 1);

    lua_pushcfunction(L, keep_function);
    lua_pushvalue(L, index);
    lua_pushlightuserdata(L, &hook->reference);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        luaL_error(H, "the policy has no memory left for its hooks");
    return true;
}

/* The handle at `index`, or NULL. Allocates nothing, so that it cannot raise. */
static struct hook *to_hook(lua_State *H, int index)
{
    if (lua_type(H, index) != LUA_TUSERDATA || !lua_checkstack(H, 3) || !lua_getmetatable(H, index))
        return NULL;
    lua_rawgetp(H, LUA_REGISTRYINDEX, &hook_metatable);
    bool is_hook = lua_rawequal(H, -1, -2);
    lua_pop(H, 2);
    return is_hook ? lua_touserdata(H, index) : NULL;
}

/* Gives the private state its own function back (`dml_copy.convert`). */
static bool hook_to_function(lua_State *H, int index, lua_State *L, void *context)
{
    struct hook *hook = to_hook(H, index);
    if (hook == NULL || hook->owner != context)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, hook->reference);
    return true;
}

/* Keeps functions and handles as they are (`dml_copy.convert`, within H). */
static bool keep_callable(lua_State *from, int index, lua_State *to, void *context)
{
    (void)context;
    if (lua_type(from, index) != LUA_TFUNCTION && to_hook(from, index) == NULL)
        return false;
    lua_pushvalue(to, index);
    return true;
}

/* Pushes a copy of the value at `index` of L on H. */
static bool copy_out(struct private_state *state, int index, const char *prefix, struct message *message)
{
    struct dml_copy copy = {.convert = function_to_hook, .context = state, .anchor = state->self};
    if (dml_copy_value(state->L, index, state->H, &copy))
        return true;
    message_set(message, prefix, copy.message, strlen(copy.message));
    return false;
}

/* Pushes a copy of the value at `index` of H on L. */
static bool copy_in(struct private_state *state, int index, const char *prefix, struct message *message)
{
    struct dml_copy copy = {.convert = hook_to_function, .context = state};
    if (dml_copy_value(state->H, index, state->L, &copy))
        return true;
    message_set(message, prefix, copy.message, strlen(copy.message));
    return false;
}

/* Why a private state cannot be used now, or NULL. */
static const char *unusable(const struct private_state *state)
{
    if (state->L == NULL)
        return "the policy state is closed";
    return state->H != NULL ? "the policy state is running" : NULL;
}

/* ---------------------------------------------------------------------------------------------- load */

/* Runs in L. */
static int run_chunk(lua_State *L)
{
    const struct chunk *chunk = lua_touserdata(L, 1);
    compile(L, chunk);
    int below = lua_gettop(L) - 1;
    lua_call(L, 0, LUA_MULTRET);
    if (lua_gettop(L) == below)
        return luaL_error(L, "%s: a policy file returns a table, this one returns nothing", chunk->name);
    if (lua_type(L, below + 1) != LUA_TTABLE)
        return luaL_error(L, "%s: a policy file returns a table, this one returns a %s", chunk->name,
                          luaL_typename(L, below + 1));
    if (lua_gettop(L) > below + 1)
        return luaL_error(L, "%s: a policy file returns one table, this one returns more", chunk->name);
    return 1;
}

/* private:load(source, name) -> a copy of the table that the file returns | nil, message. */
static int private_load(lua_State *H)
{
    struct private_state *state = luaL_checkudata(H, 1, STATE_TYPE);
    struct chunk chunk;
    chunk.source.data = luaL_checklstring(H, 2, &chunk.source.length);
    chunk.name = luaL_checkstring(H, 3);
    const char *reason = unusable(state);
    if (reason != NULL)
        return fail(H, reason);
    struct message message;
    lua_settop(H, 3);
    enter(state, H, 1);
    lua_pushcfunction(state->L, run_chunk);
    lua_pushlightuserdata(state->L, &chunk);
    bool loaded = call_private(state, 1, 1, chunk.name, &message) && copy_out(state, 1, chunk.name, &message);
    leave(state);
    return loaded ? 1 : fail(H, message.text);
}

/* ---------------------------------------------------------------------------------------------- call */

/* Runs in L: a table, and a light userdata to the name of its kind. Returns the table as one of that kind. */
static int apply_kind(lua_State *L)
{
    const char *kind = lua_touserdata(L, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &kinds_key);
    if (!lua_istable(L, -1) || lua_getfield(L, -1, kind) != LUA_TTABLE)
        return luaL_error(L, "the prelude has no kind `%s`", kind);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* Replaces the table on top of the stack of L by the same table with the methods of its kind, which stands at
 * `kinds[number]` in H; without a kind it stays plain. */
static bool give_kind(struct private_state *state, int kinds, int number, const char *prefix,
                      struct message *message)
{
    lua_State *H = state->H, *L = state->L;
    bool given = true;
    if (lua_rawgeti(H, kinds, number) == LUA_TSTRING) {
        /* The name stays in its table for as long as it is used here. */
        const char *kind = lua_tostring(H, -1);
        lua_pushcfunction(L, apply_kind);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, (void *)(uintptr_t)kind);
        given = call_private(state, 2, 1, prefix, message);
    }
    lua_pop(H, 1);
    return given;
}

/* Pushes copies of the arguments in H from index `first` on. */
static bool push_arguments(struct private_state *state, int kinds, int first, int count, const char *place,
                           struct message *message)
{
    for (int i = 1; i <= count; i++) {
        char prefix[LUA_IDSIZE + 64];
        snprintf(prefix, sizeof prefix, "%s: argument %d", place, i);
        if (!copy_in(state, first + i - 1, prefix, message) || !give_kind(state, kinds, i, prefix, message))
            return false;
    }
    return true;
}

/* Pushes on H what the call made of its first argument, at index 1 of L, and the two results above it. */
static bool push_results(struct private_state *state, const char *place, struct message *message)
{
    lua_State *L = state->L;
    if (lua_istable(L, 1)) {
        lua_pushnil(L);
        lua_setmetatable(L, 1);
    }
    if (!copy_out(state, 1, place, message))
        return false;
    int argument = lua_gettop(state->H);
    for (int i = 2; i <= 3; i++) {
        if (lua_istable(L, i) && lua_rawequal(L, 1, i))
            lua_pushvalue(state->H, argument);
        else if (!copy_out(state, i, place, message))
            return false;
    }
    return true;
}

/* Calls the hook with copies of the arguments, which begin at index 3 of H, and pushes three values on H. */
static bool call_hook(struct private_state *state, const struct hook *hook, int count,
                      struct message *message)
{
    lua_State *L = state->L;
    char place[LUA_IDSIZE + 16];
    snprintf(place, sizeof place, "%s:%d", hook->source, hook->line);
    if (!lua_checkstack(L, 2 * count + 8)) {
        message_set(message, place, "not enough memory", strlen("not enough memory"));
        return false;
    }
    lua_pushnil(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, hook->reference);
    if (!push_arguments(state, 2, 3, count, place, message))
        return false;
    if (count > 0)
        lua_copy(L, 3, 1);
    return call_private(state, count, 2, place, message) && push_results(state, place, message);
}

/* hook:call(kinds, ...) -> true, the first argument as the hook left it, two results | nil, message. */
static int hook_call(lua_State *H)
{
    struct hook *hook = luaL_checkudata(H, 1, HOOK_TYPE);
    struct private_state *state = hook->owner;
    luaL_checktype(H, 2, LUA_TTABLE);
    int count = lua_gettop(H) - 2;
    luaL_argcheck(H, count <= 8, 11, "a hook takes at most 8 arguments");
    const char *reason = unusable(state);
    if (reason != NULL)
        return fail(H, reason);
    luaL_checkstack(H, 16, NULL);
    lua_getiuservalue(H, 1, 1);
    int self = lua_gettop(H);
    lua_pushboolean(H, 1);
    struct message message;
    enter(state, H, self);
    bool called = call_hook(state, hook, count, &message);
    leave(state);
    return called ? 4 : fail(H, message.text);
}

static int hook_tostring(lua_State *H)
{
    const struct hook *hook = luaL_checkudata(H, 1, HOOK_TYPE);
    lua_pushfstring(H, "hook %s:%d", hook->source, hook->line);
    return 1;
}

/* May run at any allocation of H, so perhaps while L is copied from: it uses registry slots that exist. */
static int hook_gc(lua_State *H)
{
    struct hook *hook = luaL_checkudata(H, 1, HOOK_TYPE);
    lua_State *L = hook->owner->L;
    if (L != NULL && hook->reference != LUA_NOREF && lua_checkstack(L, 4))
        luaL_unref(L, LUA_REGISTRYINDEX, hook->reference);
    hook->reference = LUA_NOREF;
    return 0;
}

/* ------------------------------------------------------------------------------------- open and close */

static void close_state(struct private_state *state)
{
    lua_State *L = state->L;
    state->L = NULL;
    if (L != NULL)
        lua_close(L);
}

static int private_close(lua_State *H)
{
    struct private_state *state = luaL_checkudata(H, 1, STATE_TYPE);
    if (state->H != NULL)
        return fail(H, "the policy state is running");
    close_state(state);
    lua_pushboolean(H, 1);
    return 1;
}

static lua_Integer option_integer(lua_State *H, const char *name, lua_Integer fallback, lua_Integer most)
{
    lua_Integer value = fallback;
    if (lua_getfield(H, 1, name) != LUA_TNIL) {
        int exact;
        value = lua_tointegerx(H, -1, &exact);
        if (!exact || value < 1 || value > most)
            luaL_error(H, "private: `%s` is an integer from 1 to %I", name, most);
    }
    lua_pop(H, 1);
    return value;
}

/* Stores the function `options[name]` in the table on top of the stack. */
static void keep_callback(lua_State *H, const char *name, enum question question)
{
    int type = lua_getfield(H, 1, name);
    if (type != LUA_TNIL && type != LUA_TFUNCTION)
        luaL_error(H, "private: `%s` is a function", name);
    lua_rawseti(H, -2, question);
}

static void keep_callbacks(lua_State *H, int self)
{
    lua_createtable(H, 3, 0);
    keep_callback(H, "include", ASK_INCLUDE);
    keep_callback(H, "print", ASK_PRINT);
    keep_callback(H, "host_lookup", ASK_HOST);
    lua_setiuservalue(H, self, 1);
}

/* The trusted source at index `prelude` of H: a list of its text and its name. */
static struct chunk check_prelude(lua_State *H, int prelude)
{
    struct chunk chunk = {{NULL, 0}, NULL};
    if (lua_isnil(H, prelude))
        return chunk;
    if (!lua_istable(H, prelude) || lua_rawgeti(H, prelude, 1) != LUA_TSTRING ||
        lua_rawgeti(H, prelude, 2) != LUA_TSTRING)
        luaL_error(H, "private: `prelude` is a list of a source text and its name");
    chunk.source.data = lua_tolstring(H, -2, &chunk.source.length);
    chunk.name = lua_tostring(H, -1);
    return chunk;
}

/* Fills the new state: the environment, the globals at index `globals` of H, the prelude. */
static bool set_up(struct private_state *state, int globals, const struct chunk *prelude,
                   struct message *message)
{
    lua_State *L = state->L;
    lua_pushcfunction(L, make_environment);
    if (!call_private(state, 0, 1, "", message))
        return false;
    lua_pushcfunction(L, add_globals);
    lua_insert(L, 1);
    if (!copy_in(state, globals, "private: globals", message) || !call_private(state, 2, 0, "", message))
        return false;
    if (prelude->name == NULL)
        return true;
    lua_pushcfunction(L, run_prelude);
    lua_pushlightuserdata(L, (void *)(uintptr_t)prelude);
    return call_private(state, 1, 0, prelude->name, message);
}

/* core.private(options) -> userdata | nil, message. Options: `globals` (plain data), `include(name)` ->
 * source, file name | nil, message; `print(text)`; `host_lookup(name)` -> plain value or nil; `time_ms`,
 * `memory` in bytes; `prelude` = {source, name}, trusted Lua that returns a table of metatables by kind. */
static int core_private(lua_State *H)
{
    luaL_checktype(H, 1, LUA_TTABLE);
    lua_settop(H, 1);
    if (lua_getfield(H, 1, "globals") == LUA_TNIL) {
        lua_newtable(H);
        lua_replace(H, 2);
    }
    if (!lua_istable(H, 2))
        return luaL_error(H, "private: `globals` is a table");
    lua_getfield(H, 1, "prelude");
    struct chunk prelude = check_prelude(H, 3);

    struct private_state *state = lua_newuserdatauv(H, sizeof *state, 1);
    int self = lua_gettop(H);
    memset(state, 0, sizeof *state);
    luaL_setmetatable(H, STATE_TYPE);
    state->time_ms = (int)option_integer(H, "time_ms", DEFAULT_TIME_MS, 3600000);
    state->memory_limit = (size_t)option_integer(H, "memory", DEFAULT_MEMORY, (lua_Integer)1 << 40);
    keep_callbacks(H, self);
    luaL_checkstack(H, 8, NULL);

    struct message message;
    state->L = lua_newstate(allocate, state);
    if (state->L == NULL) {
        describe_memory(state, message.text, sizeof message.text);
        return fail(H, message.text);
    }
    enter(state, H, self);
    bool ready = set_up(state, 2, &prelude, &message);
    leave(state);
    if (!ready) {
        close_state(state);
        return fail(H, message.text);
    }
    lua_pushvalue(H, self);
    return 1;
}

/* core.copy(value [, allow_functions]) -> a deep raw copy | nil, message. Hooks count as functions. */
static int core_copy(lua_State *H)
{
    luaL_checkany(H, 1);
    struct dml_copy copy = {.convert = lua_toboolean(H, 2) ? keep_callable : NULL};
    return dml_copy_value(H, 1, H, &copy) ? 1 : fail(H, copy.message);
}

static void new_type(lua_State *H, const char *name, const luaL_Reg *methods, const luaL_Reg *metamethods)
{
    luaL_newmetatable(H, name);
    luaL_setfuncs(H, metamethods, 0);
    lua_newtable(H);
    luaL_setfuncs(H, methods, 0);
    lua_setfield(H, -2, "__index");
}

void dml_open_private(lua_State *L)
{
    static const luaL_Reg state_methods[] = {{"load", private_load}, {"close", private_close}, {NULL, NULL}};
    static const luaL_Reg state_metamethods[] = {
        {"__gc", private_close}, {"__close", private_close}, {NULL, NULL}};
    static const luaL_Reg hook_methods[] = {{"call", hook_call}, {NULL, NULL}};
    static const luaL_Reg hook_metamethods[] = {
        {"__gc", hook_gc}, {"__tostring", hook_tostring}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"private", core_private}, {"copy", core_copy}, {NULL, NULL}};
    new_type(L, STATE_TYPE, state_methods, state_metamethods);
    lua_pop(L, 1);
    new_type(L, HOOK_TYPE, hook_methods, hook_metamethods);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hook_metatable);
    luaL_setfuncs(L, functions, 0);
}
