/* Writing JSON for Lua: in one line, with its keys in order. */
#include "lua_glue.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 200, SLOTS = 8 /* of the stack, for a value without those in it */ };

/* The text so far, in a userdata that lies at `index` of the stack. */
struct writer {
    lua_State *L;
    int index;
    char *text;
    size_t length, capacity;
    bool shown;
};

static void grow(struct writer *w, size_t more)
{
    size_t capacity = w->capacity * 2 + more;
    char *text = lua_newuserdatauv(w->L, capacity, 0);
    if (w->length)
        memcpy(text, w->text, w->length);
    lua_replace(w->L, w->index);
    w->text = text;
    w->capacity = capacity;
}

/* Room for so many bytes, which are taken to be written. */
static char *take(struct writer *w, size_t length)
{
    if (length > w->capacity - w->length)
        grow(w, length);
    char *room = w->text + w->length;
    w->length += length;
    return room;
}

static void put(struct writer *w, const char *bytes, size_t length)
{
    memcpy(take(w, length), bytes, length);
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_escape(struct writer *w, uint32_t code)
{
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", (unsigned)code);
    put_text(w, text);
}

/* How long what stands here is, when people who look at it should not see it as it is: DEL, C1 controls,
 * controls of the direction of text. Else 0. */
static size_t hidden_character(const char *at, size_t left, uint32_t *code)
{
    size_t length = (unsigned char)*at < 0x7f ? 0 : dml_utf8_decode(at, left, code);
    bool hidden = length && ((*code >= 0x7f && *code <= 0x9f) || (*code >= 0x202a && *code <= 0x202e) ||
                             (*code >= 0x2066 && *code <= 0x2069));
    return hidden ? length : 0;
}

static void put_byte(struct writer *w, char byte)
{
    static const char names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *named = byte ? strchr(names, byte) : NULL;
    if (named)
        put(w, (char[]){'\\', letters[named - names]}, 2);
    else if ((unsigned char)byte < 0x20)
        put_escape(w, (unsigned char)byte);
    else
        *take(w, 1) = byte;
}

/* How many of the bytes are written as they are, and need no second look. */
static size_t plain_length(const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && bytes[at] >= ' ' && bytes[at] < 0x7f && bytes[at] != '"' && bytes[at] != '\\')
        at++;
    return at;
}

/* `suffix` is part of it, and needs no escapes. */
static void put_string(struct writer *w, const char *bytes, size_t length, const char *suffix)
{
    *take(w, 1) = '"';
    for (size_t at = 0; at < length;) {
        uint32_t code;
        size_t plain = plain_length(bytes + at, length - at);
        if (plain) {
            put(w, bytes + at, plain);
            at += plain;
            continue;
        }
        size_t hidden = w->shown ? hidden_character(bytes + at, length - at, &code) : 0;
        if (hidden)
            put_escape(w, code);
        else
            put_byte(w, bytes[at]);
        at += hidden ? hidden : 1;
    }
    put_text(w, suffix);
    *take(w, 1) = '"';
}

static bool is_utf8(const char *bytes, size_t length)
{
    for (size_t at = 0, step; at < length; at += step) {
        uint32_t code;
        step = (unsigned char)bytes[at] < 0x80 ? 1 : dml_utf8_decode(bytes + at, length - at, &code);
        if (step == 0)
            return false;
    }
    return true;
}

static void put_base64(struct writer *w, const char *bytes, size_t length)
{
    *take(w, 1) = '"';
    dml_base64(take(w, dml_base64_length(length)), bytes, length);
    *take(w, 1) = '"';
}

/* The shortest of two forms that is the same number again, with a point whatever the locale has. */
static void put_float(struct writer *w, lua_Number number)
{
    char text[40];
    snprintf(text, sizeof text, "%.14g", number);
    if (!(strtod(text, NULL) == number))
        snprintf(text, sizeof text, "%.17g", number);
    char *comma = strchr(text, ',');
    if (comma)
        *comma = '.';
    put_text(w, text);
}

static void put_value(struct writer *w, int index, int depth);

/* Whether the value at `index` is a string of bytes that are no text. */
static const char *bytes_at(lua_State *L, int index, size_t *length)
{
    const char *bytes = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, length) : NULL;
    return bytes && !is_utf8(bytes, *length) ? bytes : NULL;
}

static void put_list(struct writer *w, int index, int depth)
{
    lua_Unsigned count = lua_rawlen(w->L, index);
    *take(w, 1) = '[';
    for (lua_Unsigned i = 1; i <= count; i++) {
        size_t length;
        if (lua_rawgeti(w->L, index, (lua_Integer)i) == LUA_TNIL) {
            lua_pop(w->L, 1);
            break;
        }
        if (i > 1)
            *take(w, 1) = ',';
        const char *bytes = bytes_at(w->L, -1, &length);
        if (bytes) {
            put_text(w, "{\"base64\":");
            put_base64(w, bytes, length);
            *take(w, 1) = '}';
        } else {
            put_value(w, lua_gettop(w->L), depth);
        }
        lua_pop(w->L, 1);
    }
    *take(w, 1) = ']';
}

struct key {
    const char *name;
    size_t length;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = memcmp(x->name, y->name, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static size_t count_keys(lua_State *L, int index)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        count++;
    return count;
}

/* Pushes the keys of the table at `index`, in order, as an array that holds its strings: whatever takes
 * memory may run finalizers, which may change the table. */
static struct key *push_keys(lua_State *L, int index, size_t *count)
{
    size_t room = count_keys(L, index), at = 0;
    struct key *keys = lua_newuserdatauv(L, (room + 1) * sizeof *keys, 1);
    lua_createtable(L, (int)room, 0);
    int held = lua_gettop(L);
    lua_pushnil(L);
    while (at < room && lua_next(L, index)) { /* which takes none */
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "no JSON: a table with other keys than strings");
        keys[at].name = lua_tolstring(L, -2, &keys[at].length);
        at++;
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, held, (lua_Integer)at);
    }
    lua_settop(L, held);
    lua_setiuservalue(L, held - 1, 1);
    qsort(keys, at, sizeof *keys, compare_keys);
    *count = at;
    return keys;
}

static void put_object(struct writer *w, int index, int depth)
{
    size_t count, length;
    const struct key *keys = push_keys(w->L, index, &count);
    *take(w, 1) = '{';
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(w->L, keys[i].name, keys[i].length);
        lua_rawget(w->L, index);
        const char *bytes = bytes_at(w->L, -1, &length);
        if (i > 0)
            *take(w, 1) = ',';
        put_string(w, keys[i].name, keys[i].length, bytes ? "_base64" : "");
        *take(w, 1) = ':';
        if (bytes)
            put_base64(w, bytes, length);
        else
            put_value(w, lua_gettop(w->L), depth);
        lua_pop(w->L, 1);
    }
    *take(w, 1) = '}';
    lua_pop(w->L, 1);
}

/* Whether the table at `index` is empty. */
static bool is_empty(lua_State *L, int index)
{
    lua_pushnil(L);
    if (!lua_next(L, index))
        return true;
    lua_pop(L, 2);
    return false;
}

static void put_other(struct writer *w, int index)
{
    size_t length;
    const char *text = luaL_tolstring(w->L, index, &length);
    put(w, text, length);
    lua_pop(w->L, 1);
}

static void put_value(struct writer *w, int index, int depth)
{
    lua_State *L = w->L;
    size_t length;
    if (depth == DEEPEST || !lua_checkstack(L, SLOTS))
        luaL_error(L, "no JSON: tables lie too deep in each other");
    switch (lua_type(L, index)) {
    case LUA_TTABLE:
        if (lua_rawlen(L, index) > 0 || is_empty(L, index))
            put_list(w, index, depth + 1);
        else
            put_object(w, index, depth + 1);
        break;
    case LUA_TSTRING: {
        const char *bytes = lua_tolstring(L, index, &length);
        put_string(w, bytes, length, "");
        break;
    }
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            put_other(w, index);
        else
            put_float(w, lua_tonumber(L, index));
        break;
    case LUA_TNIL: put_text(w, "null"); break;
    default: put_other(w, index); break;
    }
}

/* encode_json(value, shown) -> text: see json.encode and json.shown */
static int core_encode_json(lua_State *L)
{
    luaL_checkany(L, 1);
    struct writer w = {.L = L, .index = 3, .shown = lua_toboolean(L, 2)};
    lua_settop(L, 3);
    grow(&w, 512);
    put_value(&w, 1, 0);
    lua_pushlstring(L, w.text, w.length);
    return 1;
}

void dml_open_json(lua_State *L)
{
    lua_pushcfunction(L, core_encode_json);
    lua_setfield(L, -2, "encode_json");
}
