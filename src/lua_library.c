#include "lua_border.h"
#include "lua_chunk.h"
#include "lua_library.h"
#include "text.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#define MAX_TEXT ((size_t)64 << 10) /* for the string functions whose cost is a product */
#define MAX_LENGTH 100000           /* for the table functions that loop over `#t` */
#define MAX_LINE 1024               /* that is printed */

/* --- base --- */

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
    case LUA_TSTRING: luaL_tolstring(L, index, NULL); break;
    default: lua_pushstring(L, luaL_typename(L, index)); break;
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
    struct dml_private *private = dml_private_of(L);
    int includes = private->includes;
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    if (status == LUA_ERRMEM)
    private->bounds.out_of_memory = true;
    if (private->bounds.out_of_memory || private->bounds.out_of_time)
        return lua_error(L);
    if (status == LUA_OK)
        return lua_gettop(L);
    private->includes = includes;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/* Adds what fits of the text to the line, whose `length` grows. */
static void add_printable(char line[MAX_LINE], size_t *length, const char *text, size_t bytes)
{
    *length += dml_escape(line + *length, MAX_LINE - *length, text, bytes, NULL);
}

/* One line of at most MAX_LINE bytes: what the host program does with it costs more the longer it is. */
static int policy_print(lua_State *L)
{
    char line[MAX_LINE];
    size_t length = 0;
    int count = lua_gettop(L);
    for (int i = 1; i <= count && length < MAX_LINE - 8; i++) {
        size_t bytes;
        push_shown(L, i);
        const char *text = lua_tolstring(L, -1, &bytes);
        if (i > 1)
            line[length++] = ' ';
        add_printable(line, &length, text, bytes);
        lua_pop(L, 1);
    }
    if (dml_border_ask(L, DML_ASK_PRINT, line, length))
        lua_pop(dml_private_of(L)->H, 2);
    return 0;
}

/* --- string --- */

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

struct text {
    const char *data;
    size_t length;
};

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

/* --- table --- */

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

/* --- the libraries --- */

struct library {
    const char *name;            /* "_G": its functions become globals */
    const char *const *standard; /* taken as they are */
    const luaL_Reg *own; /* each with the standard function of its name, if there is one, as upvalue */
};

static const char *const base_names[] = {"error",  "ipairs", "next",     "pairs", "rawequal",
                                         "rawlen", "select", "tonumber", "type",  NULL};
static const luaL_Reg base_own[] = {{"assert", policy_assert},     {"include", dml_chunk_include},
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

static void open_libraries(lua_State *L)
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

void dml_library_open(lua_State *L)
{
    open_libraries(L);
    bound_table_library(L);
}

static const struct library *find_library(const char *name)
{
    const struct library *library = libraries;
    while (strcmp(library->name, name) != 0)
        library++;
    return library;
}

void dml_library_add(lua_State *L, const char *name, int target)
{
    const struct library *library = find_library(name);
    lua_getglobal(L, library->name);
    for (const char *const *standard = library->standard; *standard != NULL; standard++) {
        lua_getfield(L, -1, *standard);
        lua_setfield(L, target, *standard);
    }
    for (const luaL_Reg *own = library->own; own->name != NULL; own++) {
        lua_getfield(L, -1, own->name);
        lua_pushcclosure(L, own->func, 1);
        lua_setfield(L, target, own->name);
    }
    lua_pop(L, 1);
}
