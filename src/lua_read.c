#include "lua_read.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ENTRIES = 10000,   /* in any list or map */
    MAX_TEXT = 128 * 1024, /* of any string but data */
};

const char *dml_read_path(struct dml_reader *r, const char *path)
{
    if (!path)
        r->policy->failed = true;
    return path ? path : "?";
}

const char *dml_read_type(lua_State *L, int index)
{
    int type = lua_type(L, index);
    return type == LUA_TNIL || type == LUA_TNONE ? "nothing" : lua_typename(L, type);
}

void dml_read_wrong_type(struct dml_reader *r, int index, const char *field, const char *expected)
{
    lua_State *L = r->L;
    char shown[64] = "";
    if (r->hidden) {
        dml_problem_add(r->problems, "type", field, NULL, 0, "%s where %s is needed", dml_read_type(L, index),
                        expected);
        return;
    }
    if (lua_isboolean(L, index))
        snprintf(shown, sizeof shown, "%s", lua_toboolean(L, index) ? "true" : "false");
    else if (lua_isinteger(L, index))
        snprintf(shown, sizeof shown, LUA_INTEGER_FMT, lua_tointeger(L, index));
    else if (lua_type(L, index) == LUA_TNUMBER)
        snprintf(shown, sizeof shown, LUA_NUMBER_FMT, lua_tonumber(L, index));
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *value = lua_tolstring(L, index, &length);
        dml_problem_add(r->problems, "type", field, value, length, "is a string; %s is needed", expected);
    } else if (shown[0]) {
        dml_problem_add(r->problems, "type", field, NULL, 0, "%s is a %s; %s is needed", shown,
                        dml_read_type(L, index), expected);
    } else {
        dml_problem_add(r->problems, "type", field, NULL, 0, "%s where %s is needed", dml_read_type(L, index),
                        expected);
    }
}

int dml_read_field(struct dml_reader *r, int index, const char *name)
{
    lua_pushstring(r->L, name);
    lua_rawget(r->L, index);
    return lua_gettop(r->L);
}

const char *dml_read_string(struct dml_reader *r, int index, const char *field, const char *expected)
{
    if (lua_type(r->L, index) != LUA_TSTRING) {
        dml_read_wrong_type(r, index, field, expected);
        return NULL;
    }
    size_t length;
    const char *value = lua_tolstring(r->L, index, &length), *shown = r->hidden ? NULL : value;
    if (memchr(value, '\0', length)) {
        dml_problem_add(r->problems, "string.nul", field, shown, length, "has a NUL byte; take it out");
        return NULL;
    }
    if (length > MAX_TEXT) {
        dml_problem_add(r->problems, "string.long", field, shown, length,
                        "has %zu bytes; at most %d are allowed", length, MAX_TEXT);
        return NULL;
    }
    const char *copy = dml_arena_copy(&r->policy->arena, value, length);
    if (!copy)
        r->policy->failed = true;
    return copy;
}

const char *dml_read_host_path(struct dml_reader *r, int index, const char *field, const char *expected)
{
    const char *path = dml_read_string(r, index, field, expected);
    if (!path || !r->home || path[0] != '~' || (path[1] != '/' && path[1] != '\0'))
        return path;
    const char *full = dml_arena_format(&r->policy->arena, "%s%s", r->home, path + 1);
    if (!full)
        r->policy->failed = true;
    return full;
}

/* --- tables --- */

bool dml_read_table(struct dml_reader *r, int index, const char *field, const char *expected)
{
    if (lua_type(r->L, index) != LUA_TTABLE) {
        dml_read_wrong_type(r, index, field, expected);
        return false;
    }
    if (lua_getmetatable(r->L, index)) {
        lua_pop(r->L, 1);
        dml_problem_add(r->problems, "table.metatable", field, NULL, 0,
                        "has a metatable, which could answer differently each time; write a plain table");
        return false;
    }
    return true;
}

/* The least of some names: the order of lua_next must not show in a problem. */
struct name {
    const char *text; /* NULL: none so far */
    size_t length;
};

static void keep_least(struct name *least, lua_State *L, int index)
{
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    size_t common = length < least->length ? length : least->length;
    int order = least->text ? memcmp(text, least->text, common) : -1;
    if (order < 0 || (order == 0 && length < least->length))
        *least = (struct name){text, length};
}

bool dml_read_sequence(struct dml_reader *r, int index, const char *field, const char *expected)
{
    lua_State *L = r->L;
    if (!dml_read_table(r, index, field, expected))
        return false;
    size_t count = 0, others = 0;
    lua_Integer highest = 0;
    struct name other = {0};
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1) {
            count++;
            if (lua_tointeger(L, -1) > highest)
                highest = lua_tointeger(L, -1);
        } else {
            others++;
            if (lua_type(L, -1) == LUA_TSTRING)
                keep_least(&other, L, -1);
        }
        if (count + others > MAX_ENTRIES) {
            lua_pop(L, 1);
            dml_problem_add(r->problems, "list.long", field, NULL, 0, "has more than %d entries",
                            MAX_ENTRIES);
            return false;
        }
    }
    if (others) {
        char key[96] = "of another type";
        if (other.text)
            dml_quote(key, sizeof key, other.text, other.length);
        dml_problem_add(r->problems, "list.mixed", field, NULL, 0,
                        "has the key %s; it is a list: { a, b, c }", key);
        return false;
    }
    if ((size_t)highest != count) {
        lua_Integer hole = 1;
        while (lua_rawgeti(L, index, hole) != LUA_TNIL) {
            lua_pop(L, 1);
            hole++;
        }
        lua_pop(L, 1);
        dml_problem_add(r->problems, "list.hole", field, NULL, 0,
                        "has a hole: nothing at [%lld] but something at [%lld]; "
                        "a nil in a list ends it early",
                        (long long)hole, (long long)highest);
        return false;
    }
    return true;
}

void dml_read_list(struct dml_reader *r, int index, const char *field, const char *expected,
                   dml_read_function read_item)
{
    if (!dml_read_sequence(r, index, field, expected))
        return;
    lua_Integer count = (lua_Integer)lua_rawlen(r->L, index);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(r->L, index, i);
        read_item(r, lua_gettop(r->L), r->base ? field : DML_FIELD(r, "%s[%lld]", field, (long long)i));
        lua_pop(r->L, 1);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **dml_read_keys(struct dml_reader *r, int index, const char *field, size_t *count)
{
    lua_State *L = r->L;
    size_t total = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        total++;
    }
    *count = 0;
    if (total > MAX_ENTRIES) {
        dml_problem_add(r->problems, "list.long", field, NULL, 0, "has more than %d entries", MAX_ENTRIES);
        return NULL;
    }
    const char **keys = dml_arena_array(&r->policy->arena, total, sizeof *keys);
    if (!keys) {
        r->policy->failed = true;
        return NULL;
    }
    bool odd_types[LUA_NUMTYPES] = {false};
    struct name with_nul = {0};
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) {
            odd_types[lua_type(L, -1)] = true;
            continue;
        }
        size_t length;
        const char *key = lua_tolstring(L, -1, &length);
        if (memchr(key, '\0', length)) {
            keep_least(&with_nul, L, -1);
            continue;
        }
        keys[*count] = dml_arena_copy(&r->policy->arena, key, length);
        if (!keys[*count]) {
            r->policy->failed = true;
            *count = 0;
            lua_pop(L, 1);
            return NULL;
        }
        (*count)++;
    }
    for (int type = 0; type < LUA_NUMTYPES; type++) {
        if (odd_types[type])
            dml_problem_add(r->problems, "map.key", field, NULL, 0,
                            "has a key that is a %s; keys here are names", lua_typename(L, type));
    }
    if (with_nul.text)
        dml_problem_add(r->problems, "string.nul", field, with_nul.text, with_nul.length,
                        "this key has a NUL byte; take it out");
    qsort(keys, *count, sizeof *keys, compare_names);
    return keys;
}

void dml_read_known_keys(struct dml_reader *r, int index, const char *field, const char *const *known,
                         size_t known_count)
{
    size_t count;
    const char **keys = dml_read_keys(r, index, field, &count);
    for (size_t i = 0; i < count; i++) {
        if (dml_name_index(keys[i], known, (int)known_count) >= 0)
            continue;
        char advice[400];
        bool told = field[0] || dml_nearest(keys[i], known, known_count); /* a policy has too many to list */
        const char *path = field[0] ? DML_FIELD(r, "%s.%s", field, keys[i]) : keys[i];
        dml_problem_add(r->problems, "field.unknown", path, NULL, 0, "unknown field%s%s", told ? "; " : "",
                        told ? dml_advise_name(advice, sizeof advice, keys[i], known, known_count) : "");
    }
}

/* --- numbers and the like --- */

bool dml_read_boolean(struct dml_reader *r, int index, const char *field, bool *value)
{
    if (!lua_isboolean(r->L, index)) {
        dml_read_wrong_type(r, index, field, "true or false");
        return false;
    }
    *value = lua_toboolean(r->L, index);
    return true;
}

void dml_read_optional(struct dml_reader *r, int index, const char *field, bool *optional)
{
    int at = dml_read_field(r, index, "optional");
    if (!lua_isnil(r->L, at))
        dml_read_boolean(r, at, DML_FIELD(r, "%s.optional", field), optional);
    lua_pop(r->L, 1);
}

bool dml_read_count(struct dml_reader *r, int index, const char *field, uint64_t *count)
{
    int exact = 0;
    lua_Integer value = lua_type(r->L, index) == LUA_TNUMBER ? lua_tointegerx(r->L, index, &exact) : 0;
    if (!exact || value < 0) {
        dml_read_wrong_type(r, index, field, "a whole number");
        return false;
    }
    *count = (uint64_t)value;
    return true;
}

bool dml_read_size(struct dml_reader *r, int index, const char *field, uint64_t *bytes)
{
    lua_State *L = r->L;
    const char *expected = "a size: bytes, or a string such as \"512K\", \"64M\", \"2G\"";
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        if (dml_parse_size(text, length, bytes))
            return true;
        dml_problem_add(r->problems, "size.invalid", field, text, length, DML_NO_SIZE);
        return false;
    }
    int exact = 0;
    lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &exact) : 0;
    if (!exact || value < 0) {
        dml_read_wrong_type(r, index, field, expected);
        return false;
    }
    *bytes = (uint64_t)value;
    return true;
}

bool dml_read_seconds(struct dml_reader *r, int index, const char *field, uint64_t *milliseconds)
{
    lua_State *L = r->L;
    double seconds = 0;
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        if (!dml_parse_duration(text, length, &seconds)) {
            dml_problem_add(r->problems, "duration.invalid", field, text, length, DML_NO_DURATION);
            return false;
        }
    } else if (lua_type(L, index) == LUA_TNUMBER) {
        seconds = lua_tonumber(L, index);
    } else {
        dml_read_wrong_type(r, index, field, "seconds, or a string such as \"30s\"");
        return false;
    }
    if (!(seconds >= 0.001 && seconds <= 2147483.0)) {
        dml_problem_add(r->problems, "limit.range", field, NULL, 0,
                        "%g s is out of range; 0.001 to 2147483 s are allowed",
                        isnan(seconds) ? NAN : seconds);
        return false;
    }
    *milliseconds = (uint64_t)(seconds * 1000 + 0.5);
    return true;
}

bool dml_read_mode(struct dml_reader *r, int index, const char *field, unsigned *mode)
{
    const char *text = dml_read_string(r, index, field, "permissions as a string of octal digits: \"0755\"");
    if (!text)
        return false;
    size_t digits = strspn(text, "01234567");
    if (digits < 3 || digits > 4 || text[digits] != '\0' || strtoul(text, NULL, 8) > 01777) {
        dml_problem_add(r->problems, "mode.invalid", field, text, strlen(text),
                        "is no mode; write octal digits from \"0000\" to \"1777\"");
        return false;
    }
    *mode = (unsigned)strtoul(text, NULL, 8);
    return true;
}
