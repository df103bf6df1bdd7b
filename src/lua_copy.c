/* Copies Lua data with raw access alone. The state that is read from is only ever asked for what cannot raise
 * there; the state that is written to works under a protected call, for any push may run out of memory. */
#include "lua_copy.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 16
#define MAX_ENTRIES 20000
#define MAX_TEXT ((size_t)8 << 20)
#define MAX_KEY_SHOWN 40

struct copier {
    lua_State *from, *to;
    struct dml_copy *copy;
    int source; /* index in `from`, as the protected function sees it */
    int depth;
    int entries;
    size_t text; /* bytes of strings so far */
    bool done;
    size_t path_length;
    char path[192];
    const void *ancestors[MAX_DEPTH];
};

static bool copy_any(struct copier *copier, int index);

/* Fills the message with the path of the present field and what is wrong with it. Always returns false. */
static bool refuse(struct copier *copier, const char *before, const char *what, const char *after)
{
    bool at_root = copier->path_length == 0;
    snprintf(copier->copy->message, sizeof copier->copy->message, "%s%s%s%s%s", copier->path,
             at_root ? "" : ": ", before, what, after);
    return false;
}

static bool refuse_type(struct copier *copier, int index, const char *after)
{
    const char *type = lua_typename(copier->from, lua_type(copier->from, index));
    return refuse(copier, "a ", type, after);
}

static void append_path(struct copier *copier, const char *text)
{
    int written =
        snprintf(copier->path + copier->path_length, sizeof copier->path - copier->path_length, "%s", text);
    if (written > 0)
        copier->path_length += (size_t)written;
    if (copier->path_length >= sizeof copier->path)
        copier->path_length = sizeof copier->path - 1;
}

static void cut_path(struct copier *copier, size_t length)
{
    copier->path_length = length;
    copier->path[length] = '\0';
}

static bool is_name(const char *text, size_t length)
{
    if (length == 0 || length > MAX_KEY_SHOWN || isdigit((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || (!isalnum(c) && c != '_'))
            return false;
    }
    return true;
}

/* `["text"]`, with everything but printable ASCII escaped, and cut when it is long. */
static void append_quoted(struct copier *copier, const char *text, size_t length)
{
    char quoted[4 * MAX_KEY_SHOWN + 16] = "[\"";
    size_t at = 2;
    for (size_t i = 0; i < length && i < MAX_KEY_SHOWN; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        at += (size_t)snprintf(quoted + at, sizeof quoted - at, plain ? "%c" : "\\x%02x", c);
    }
    snprintf(quoted + at, sizeof quoted - at, length > MAX_KEY_SHOWN ? "...\"]" : "\"]");
    append_path(copier, quoted);
}

/* Adds a key to the path. The key is never converted in place: that would break the traversal. */
static void append_key(struct copier *copier, int key)
{
    lua_State *from = copier->from;
    char text[64];
    size_t length;
    const char *string;
    switch (lua_type(from, key)) {
    case LUA_TSTRING:
        string = lua_tolstring(from, key, &length);
        if (!is_name(string, length)) {
            append_quoted(copier, string, length);
            return;
        }
        snprintf(text, sizeof text, "%s%s", copier->path_length == 0 ? "" : ".", string);
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(from, key))
            snprintf(text, sizeof text, "[" LUA_INTEGER_FMT "]", lua_tointeger(from, key));
        else
            snprintf(text, sizeof text, "[" LUA_NUMBER_FMT "]", lua_tonumber(from, key));
        break;
    default: snprintf(text, sizeof text, "[%s]", lua_typename(from, lua_type(from, key))); break;
    }
    append_path(copier, text);
}

static bool copy_string(struct copier *copier, int index)
{
    if (copier->from == copier->to) {
        lua_pushvalue(copier->to, index);
        return true;
    }
    size_t length;
    const char *text = lua_tolstring(copier->from, index, &length);
    if (length > MAX_TEXT - copier->text)
        return refuse(copier, "", "more than 8 MiB of strings", "");
    copier->text += length;
    lua_pushlstring(copier->to, text, length);
    return true;
}

static bool copy_key(struct copier *copier, int key)
{
    int type = lua_type(copier->from, key);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
        return refuse_type(copier, key, " cannot be a key in a policy");
    return copy_any(copier, key);
}

static bool copy_entry(struct copier *copier, int key, int value, int target)
{
    size_t path_length = copier->path_length;
    append_key(copier, key);
    if (++copier->entries > MAX_ENTRIES)
        return refuse(
            copier, "",
            "more than 20000 entries, with those of the tables in it; bind a directory that holds them", "");
    if (!copy_key(copier, key) || !copy_any(copier, value))
        return false;
    lua_rawset(copier->to, target);
    cut_path(copier, path_length);
    return true;
}

static bool copy_entries(struct copier *copier, int index)
{
    lua_State *from = copier->from, *to = copier->to;
    size_t length =
        lua_rawlen(from, index); /* a border, which a table of our own choosing can put anywhere */
    lua_createtable(to, length <= MAX_ENTRIES ? (int)length : 0, 0);
    int target = lua_gettop(to);
    lua_pushnil(from);
    while (lua_next(from, index)) {
        int value = lua_gettop(from);
        if (!copy_entry(copier, value - 1, value, target))
            return false;
        lua_settop(from, value - 1);
    }
    return true;
}

static bool copy_table(struct copier *copier, int index)
{
    lua_State *from = copier->from;
    const void *table = lua_topointer(from, index);
    for (int i = 0; i < copier->depth; i++) {
        if (copier->ancestors[i] == table)
            return refuse(copier, "", "a cycle: the table contains itself", "");
    }
    if (copier->depth == MAX_DEPTH)
        return refuse(copier, "", "tables nest deeper than 16 levels", "");
    if (!lua_checkstack(from, 4) || !lua_checkstack(copier->to, 8))
        return refuse(copier, "", "not enough memory", "");
    if (lua_getmetatable(from, index))
        return refuse(copier, "", "a table with a metatable cannot stand in a policy", "");
    copier->ancestors[copier->depth++] = table;
    bool copied = copy_entries(copier, index);
    copier->depth--;
    return copied;
}

/* Pushes the copy of the value at the absolute `index`; false leaves rubbish on both stacks for the caller's
 * caller. */
static bool copy_any(struct copier *copier, int index)
{
    lua_State *from = copier->from, *to = copier->to;
    struct dml_copy *copy = copier->copy;
    switch (lua_type(from, index)) {
    case LUA_TNIL: lua_pushnil(to); return true;
    case LUA_TBOOLEAN: lua_pushboolean(to, lua_toboolean(from, index)); return true;
    case LUA_TNUMBER:
        if (lua_isinteger(from, index))
            lua_pushinteger(to, lua_tointeger(from, index));
        else
            lua_pushnumber(to, lua_tonumber(from, index));
        return true;
    case LUA_TSTRING: return copy_string(copier, index);
    case LUA_TTABLE: return copy_table(copier, index);
    default:
        if (copy->convert != NULL && copy->convert(from, index, to, copy->context))
            return true;
        return refuse_type(copier, index, " cannot stand in a policy");
    }
}

/* Runs in `to`: the copier, the anchor, and, when both states are one, the value itself. */
static int copy_protected(lua_State *to)
{
    struct copier *copier = lua_touserdata(to, 1);
    copier->done = copy_any(copier, copier->source);
    return copier->done ? 1 : 0;
}

static int call_copier(struct copier *copier, int anchor)
{
    lua_State *to = copier->to;
    lua_pushcfunction(to, copy_protected);
    lua_pushlightuserdata(to, copier);
    if (anchor != 0)
        lua_pushvalue(to, anchor);
    else
        lua_pushnil(to);
    if (copier->from == to) {
        lua_pushvalue(to, copier->source);
        copier->source = 3;
        return lua_pcall(to, 3, 1, 0);
    }
    return lua_pcall(to, 2, 1, 0);
}

bool dml_copy_value(lua_State *from, int index, lua_State *to, struct dml_copy *copy)
{
    struct copier copier = {.from = from, .to = to, .copy = copy, .source = lua_absindex(from, index)};
    int from_top = lua_gettop(from);
    int anchor = copy->anchor == 0 ? 0 : lua_absindex(to, copy->anchor);
    if (!lua_checkstack(to, 5) || !lua_checkstack(from, 5))
        return refuse(&copier, "", "not enough memory", "");
    int status = call_copier(&copier, anchor);
    if (from != to)
        lua_settop(from, from_top);
    if (status == LUA_OK && copier.done)
        return true;
    if (status != LUA_OK) {
        bool readable = lua_type(to, -1) == LUA_TSTRING;
        refuse(&copier, "", readable ? lua_tostring(to, -1) : "the copy failed", "");
    }
    lua_pop(to, 1);
    return false;
}
