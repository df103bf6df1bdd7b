/* Freezing: a raw deep copy of a Lua policy table into C. No metamethod is called, nothing is coerced, every part of
 * the wrong type is a problem with its field path. */
#include "lua_glue.h"
#include "lua_policy.h"
#include "path.h"
#include "policy.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ENTRIES = 10000,             /* in any list or map */
    MAX_TEXT = 128 * 1024,           /* of any string but data */
    MAX_DATA = 16 * 1024 * 1024,     /* of a secret or generated file */
};

struct reader {
    lua_State *L;
    struct dml_policy *policy;
    struct dml_problems *problems;
    const char *home; /* the caller's, for a leading "~/" */
    bool base;        /* reading a base, not the policy */
};

typedef void (*read_function)(struct reader *r, int index, const char *field);

/* A field path that lives as long as the policy. */
#define FIELD(r, ...) field_or_unknown(dml_arena_format(&(r)->policy->arena, __VA_ARGS__))

static const char *field_or_unknown(const char *field)
{
    return field ? field : "?";
}

static const char *kind_of(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TNIL || lua_type(L, index) == LUA_TNONE ? "nothing" : luaL_typename(L, index);
}

static void wrong_type(struct reader *r, int index, const char *field, const char *expected)
{
    lua_State *L = r->L;
    char shown[64] = "";
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
        dml_problem_add(r->problems, "type", field, NULL, 0, "%s is a %s; %s is needed", shown, kind_of(L, index),
                        expected);
    } else {
        dml_problem_add(r->problems, "type", field, NULL, 0, "%s where %s is needed", kind_of(L, index), expected);
    }
}

/* Reads a string without NUL into the policy's arena; NULL (and a problem) when it is none. */
static const char *read_string(struct reader *r, int index, const char *field, const char *expected)
{
    if (lua_type(r->L, index) != LUA_TSTRING) {
        wrong_type(r, index, field, expected);
        return NULL;
    }
    size_t length;
    const char *value = lua_tolstring(r->L, index, &length);
    if (memchr(value, '\0', length)) {
        dml_problem_add(r->problems, "string.nul", field, value, length, "has a NUL byte; take it out");
        return NULL;
    }
    if (length > MAX_TEXT) {
        dml_problem_add(r->problems, "string.long", field, value, length, "has %zu bytes; at most %d are allowed", length,
                        MAX_TEXT);
        return NULL;
    }
    const char *copy = dml_arena_copy(&r->policy->arena, value, length);
    if (!copy)
        r->policy->failed = true;
    return copy;
}

static bool plain_table(struct reader *r, int index, const char *field, const char *expected)
{
    if (lua_type(r->L, index) != LUA_TTABLE) {
        wrong_type(r, index, field, expected);
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

/* Whether the table at `index` is a sequence without holes or other keys; says what is wrong otherwise. */
static bool pure_sequence(struct reader *r, int index, const char *field, const char *expected)
{
    lua_State *L = r->L;
    if (!plain_table(r, index, field, expected))
        return false;
    size_t count = 0, other = 0;
    lua_Integer highest = 0;
    char key[96] = "";
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1) {
            count++;
            if (lua_tointeger(L, -1) > highest)
                highest = lua_tointeger(L, -1);
        } else if (other++ == 0 && lua_type(L, -1) == LUA_TSTRING) {
            size_t length;
            const char *name = lua_tolstring(L, -1, &length);
            dml_quote(key, sizeof key, name, length);
        }
        if (count + other > MAX_ENTRIES) {
            lua_pop(L, 1);
            dml_problem_add(r->problems, "list.long", field, NULL, 0, "has more than %d entries", MAX_ENTRIES);
            return false;
        }
    }
    if (other) {
        dml_problem_add(r->problems, "list.mixed", field, NULL, 0, "has the key %s; it is a list: { a, b, c }",
                        key[0] ? key : "of another type");
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
                        "has a hole: nothing at [%lld] but something at [%lld]; a nil in a list ends it early",
                        (long long)hole, (long long)highest);
        return false;
    }
    return true;
}

static void read_list(struct reader *r, int index, const char *field, const char *expected, read_function read_item)
{
    if (!pure_sequence(r, index, field, expected))
        return;
    lua_Integer count = (lua_Integer)lua_rawlen(r->L, index);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(r->L, index, i);
        read_item(r, lua_gettop(r->L), r->base ? field : FIELD(r, "%s[%lld]", field, (long long)i));
        lua_pop(r->L, 1);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The string keys of a map, sorted, in the arena; other keys are problems. NULL when there are none. */
static const char **sorted_keys(struct reader *r, int index, const char *field, size_t *count)
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
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) {
            dml_problem_add(r->problems, "map.key", field, NULL, 0, "has a key that is a %s; keys here are names",
                            kind_of(L, -1));
            continue;
        }
        size_t length;
        const char *key = lua_tolstring(L, -1, &length);
        if (memchr(key, '\0', length)) {
            dml_problem_add(r->problems, "string.nul", field, key, length, "this key has a NUL byte; take it out");
            continue;
        }
        keys[*count] = dml_arena_copy(&r->policy->arena, key, length);
        if (!keys[*count]) {
            r->policy->failed = true;
            lua_pop(L, 1);
            return NULL;
        }
        (*count)++;
    }
    qsort(keys, *count, sizeof *keys, compare_names);
    return keys;
}

/* Complains about every key of the table at `index` that is not among `known`. */
static void check_keys(struct reader *r, int index, const char *field, const char *const *known, size_t known_count)
{
    size_t count;
    const char **keys = sorted_keys(r, index, field, &count);
    for (size_t i = 0; i < count; i++) {
        if (dml_name_index(keys[i], known, (int)known_count) >= 0)
            continue;
        const char *nearest = dml_nearest(keys[i], known, known_count);
        const char *path = field[0] ? FIELD(r, "%s.%s", field, keys[i]) : keys[i];
        if (nearest)
            dml_problem_add(r->problems, "field.unknown", path, NULL, 0, "unknown field; did you mean \"%s\"?", nearest);
        else
            dml_problem_add(r->problems, "field.unknown", path, NULL, 0, "unknown field");
    }
}

/* Like lua_getfield, raw; the value is at the returned index. */
static int raw_field(struct reader *r, int index, const char *name)
{
    lua_pushstring(r->L, name);
    lua_rawget(r->L, index);
    return lua_gettop(r->L);
}

static bool read_boolean(struct reader *r, int index, const char *field, bool *value)
{
    if (!lua_isboolean(r->L, index)) {
        wrong_type(r, index, field, "true or false");
        return false;
    }
    *value = lua_toboolean(r->L, index);
    return true;
}

/* Expands a leading "~/" of a host path; without a home it stays as it is and is refused as relative. */
static const char *expand_home(struct reader *r, const char *path)
{
    if (!path || !r->home || path[0] != '~' || (path[1] != '/' && path[1] != '\0'))
        return path;
    const char *full = dml_arena_format(&r->policy->arena, "%s%s", r->home, path + 1);
    if (!full)
        r->policy->failed = true;
    return full;
}

/* --- the fields ------------------------------------------------------------------------------------------------ */

static void read_bind(struct reader *r, int index, const char *field, enum dml_rank rank)
{
    static const char *const keys[] = {"host", "sandbox", "optional"};
    const char *expected = "\"/path\", { \"/host\", \"/inside\" } or { host = , sandbox = }";
    lua_State *L = r->L;
    const char *host = NULL, *sandbox = NULL;
    bool optional = false;

    if (lua_type(L, index) == LUA_TSTRING) {
        host = sandbox = expand_home(r, read_string(r, index, field, expected));
    } else if (!plain_table(r, index, field, expected)) {
        return;
    } else if (lua_rawlen(L, index) > 0) {
        if (!pure_sequence(r, index, field, expected))
            return;
        if (lua_rawlen(L, index) != 2) {
            dml_problem_add(r->problems, "bind.shape", field, NULL, 0, "has %d parts; write { \"/host\", \"/inside\" }",
                            (int)lua_rawlen(L, index));
            return;
        }
        lua_rawgeti(L, index, 1);
        host = expand_home(r, read_string(r, lua_gettop(L), FIELD(r, "%s.host", field), "a path"));
        lua_rawgeti(L, index, 2);
        sandbox = read_string(r, lua_gettop(L), FIELD(r, "%s.sandbox", field), "a path");
        lua_pop(L, 2);
    } else {
        check_keys(r, index, field, keys, 3);
        host = expand_home(r, read_string(r, raw_field(r, index, "host"), FIELD(r, "%s.host", field), "a path"));
        int at = raw_field(r, index, "sandbox");
        sandbox = lua_isnil(L, at) ? host : read_string(r, at, FIELD(r, "%s.sandbox", field), "a path");
        at = raw_field(r, index, "optional");
        if (!lua_isnil(L, at))
            read_boolean(r, at, FIELD(r, "%s.optional", field), &optional);
        lua_pop(L, 3);
    }
    if (host && sandbox)
        dml_policy_add_bind(r->policy, r->base ? DML_RANK_BASE : rank, host, sandbox, optional || r->base, field);
}

static void read_ro_bind(struct reader *r, int index, const char *field)
{
    read_bind(r, index, field, DML_RANK_RO);
}

static void read_rw_bind(struct reader *r, int index, const char *field)
{
    read_bind(r, index, field, DML_RANK_RW);
}

static void read_ro_binds(struct reader *r, int index, const char *field)
{
    read_list(r, index, field, "a list of binds", read_ro_bind);
}

static void read_rw_binds(struct reader *r, int index, const char *field)
{
    read_list(r, index, field, "a list of binds", read_rw_bind);
}

static void read_work_host(struct reader *r, int index, const char *field)
{
    const char *host = expand_home(r, read_string(r, index, field, "a directory of the host"));
    r->policy->work_host = host;
    if (host)
        dml_policy_add_bind(r->policy, DML_RANK_WORK, host, "/work", false, field);
}

static void read_network(struct reader *r, int index, const char *field)
{
    bool network;
    if (read_boolean(r, index, field, &network))
        r->policy->network |= network; /* an effect may have asked for it already */
}

static void read_tty(struct reader *r, int index, const char *field)
{
    read_boolean(r, index, field, &r->policy->tty);
}

static void read_nested(struct reader *r, int index, const char *field)
{
    read_boolean(r, index, field, &r->policy->nested);
}

static void add_env(struct reader *r, enum dml_env_action action, const char *name, const char *value, const char *field)
{
    struct dml_env_rule rule = {.action = action, .name = name, .value = value, .field = field};
    dml_policy_add_env(r->policy, &rule);
}

static void read_allowed_name(struct reader *r, int index, const char *field)
{
    const char *name = read_string(r, index, field, "the name of a variable");
    if (name)
        add_env(r, DML_ENV_PASS, name, NULL, field);
}

static void read_env_allowlist(struct reader *r, int index, const char *field)
{
    read_list(r, index, field, "a list of names", read_allowed_name);
}

static void read_env(struct reader *r, int index, const char *field)
{
    lua_State *L = r->L;
    if (!plain_table(r, index, field, "a map: name = value"))
        return;
    size_t count;
    const char **names = sorted_keys(r, index, field, &count);
    for (size_t i = 0; i < count; i++) {
        const char *path = r->base ? "base" : FIELD(r, "%s.%s", field, names[i]);
        int at = raw_field(r, index, names[i]);
        if (lua_isboolean(L, at)) {
            add_env(r, lua_toboolean(L, at) ? DML_ENV_PASS : DML_ENV_OMIT, names[i], NULL, path);
        } else {
            const char *value = read_string(r, at, path, "a string, true (pass through) or false (leave out)");
            if (value)
                add_env(r, DML_ENV_SET, names[i], value, path);
        }
        lua_pop(L, 1);
    }
}

static void read_base(struct reader *r, int index, const char *field)
{
    static const char *const bases[] = {"host", "nix", "none"};
    const char *name = read_string(r, index, field, "\"host\", \"nix\" or \"none\"");
    if (name && dml_name_index(name, bases, 3) < 0)
        dml_problem_add(r->problems, "base.unknown", field, name, strlen(name),
                        "is no base; write \"host\", \"nix\" or \"none\"");
}

/* The vocabulary of effects, with the one parameter that some need. */
static const struct {
    const char *name, *parameter;
} effects[] = {
    {"Cost", "cents"}, {"Fallible", NULL},         {"FsRead", "path"}, {"FsWrite", "path"}, {"Llm", "model"},
    {"Network", NULL}, {"NonDeterministic", NULL}, {"Process", NULL},  {"Pure", NULL},      {"Unknown", NULL},
};
enum { EFFECT_COUNT = sizeof effects / sizeof effects[0] };

static int effect_index(struct reader *r, const char *name, const char *field)
{
    const char *names[EFFECT_COUNT];
    for (int i = 0; i < EFFECT_COUNT; i++) {
        names[i] = effects[i].name;
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    const char *nearest = dml_nearest(name, names, EFFECT_COUNT);
    dml_problem_add(r->problems, "effect.unknown", field, name, strlen(name), "is no effect%s%s%s",
                    nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return -1;
}

static void read_effect_parameter(struct reader *r, int index, const char *field, int effect)
{
    lua_State *L = r->L;
    const char *parameter = effects[effect].parameter;
    const char *path = FIELD(r, "%s.%s", field, parameter);
    int at = raw_field(r, index, parameter);
    if (strcmp(parameter, "cents") == 0) {
        lua_Integer cents;
        int exact = 0;
        cents = lua_type(L, at) == LUA_TNUMBER ? lua_tointegerx(L, at, &exact) : 0;
        if (!exact || cents < 0)
            wrong_type(r, at, path, "a whole number of cents");
    } else if (strcmp(parameter, "model") == 0) {
        read_string(r, at, path, "the name of a model");
    } else {
        const char *tree = expand_home(r, read_string(r, at, path, "a path"));
        enum dml_rank rank = strcmp(effects[effect].name, "FsWrite") == 0 ? DML_RANK_RW : DML_RANK_RO;
        if (tree)
            dml_policy_add_bind(r->policy, rank, tree, tree, false, path);
    }
    lua_pop(L, 1);
}

static void read_effect(struct reader *r, int index, const char *field)
{
    lua_State *L = r->L;
    int effect;
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *name = read_string(r, index, field, "an effect");
        effect = name ? effect_index(r, name, field) : -1;
        if (effect >= 0 && effects[effect].parameter) {
            dml_problem_add(r->problems, "effect.parameter", field, name, strlen(name),
                            "needs its %s; write { effect = \"%s\", %s = ... }", effects[effect].parameter, name,
                            effects[effect].parameter);
            return;
        }
    } else {
        if (!plain_table(r, index, field, "\"Name\" or { effect = \"Name\", ... }"))
            return;
        const char *name = read_string(r, raw_field(r, index, "effect"), FIELD(r, "%s.effect", field), "an effect");
        lua_pop(L, 1);
        effect = name ? effect_index(r, name, FIELD(r, "%s.effect", field)) : -1;
        if (effect >= 0) {
            const char *keys[] = {"effect", effects[effect].parameter};
            check_keys(r, index, field, keys, effects[effect].parameter ? 2 : 1);
            if (effects[effect].parameter)
                read_effect_parameter(r, index, field, effect);
        }
    }
    if (effect >= 0 && strcmp(effects[effect].name, "Network") == 0)
        r->policy->network = true;
}

static void read_effects(struct reader *r, int index, const char *field)
{
    read_list(r, index, field, "a list of effects", read_effect);
}

static void read_project(struct reader *r, int index, const char *field)
{
    static const char *const keys[] = {"path", "write"};
    const char *expected = "\"/path\" or { \"/path\", write = false }";
    lua_State *L = r->L;
    const char *path = NULL;
    bool writable = true;
    if (lua_type(L, index) == LUA_TSTRING) {
        path = read_string(r, index, field, expected);
    } else {
        if (!plain_table(r, index, field, expected))
            return;
        lua_rawgeti(L, index, 1);
        bool positional = !lua_isnil(L, -1);
        if (positional) {
            path = read_string(r, lua_gettop(L), FIELD(r, "%s[1]", field), "a path");
            lua_pushnil(L); /* so that the key check below sees names alone */
            while (lua_next(L, index)) {
                bool odd = lua_type(L, -2) != LUA_TSTRING && !(lua_isinteger(L, -2) && lua_tointeger(L, -2) == 1);
                bool unknown = lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "write") != 0;
                if (odd || unknown)
                    dml_problem_add(r->problems, "field.unknown", field, NULL, 0, "has more than { \"/path\", write = }");
                lua_pop(L, 1);
            }
        } else {
            check_keys(r, index, field, keys, 2);
            path = read_string(r, raw_field(r, index, "path"), FIELD(r, "%s.path", field), "a path");
            lua_pop(L, 1);
        }
        int at = raw_field(r, index, "write");
        if (!lua_isnil(L, at))
            read_boolean(r, at, FIELD(r, "%s.write", field), &writable);
        lua_pop(L, 2);
    }
    path = expand_home(r, path);
    if (!path)
        return;
    dml_policy_add_bind(r->policy, writable ? DML_RANK_RW : DML_RANK_RO, path, path, false, field);
    r->policy->project = path;
}

/* A byte count: an integer, a float with an exact integer value, or a string such as "64M". */
static bool read_size(struct reader *r, int index, const char *field, uint64_t *bytes)
{
    lua_State *L = r->L;
    const char *expected = "a size: bytes, or a string such as \"512K\", \"64M\", \"2G\"";
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        if (dml_parse_size(text, length, bytes))
            return true;
        dml_problem_add(r->problems, "size.invalid", field, text, length,
                        "is no size; write bytes, or a whole number with K, M, G or T: \"64M\"");
        return false;
    }
    int exact = 0;
    lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &exact) : 0;
    if (!exact || value < 0) {
        wrong_type(r, index, field, expected);
        return false;
    }
    *bytes = (uint64_t)value;
    return true;
}

static bool read_mode(struct reader *r, int index, const char *field, unsigned *mode)
{
    const char *text = read_string(r, index, field, "permissions as a string of octal digits: \"0755\"");
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

static void add_entry(struct reader *r, const struct dml_entry *entry)
{
    dml_policy_add_entry(r->policy, entry);
}

static void read_tmpfs(struct reader *r, int index, const char *field)
{
    static const char *const keys[] = {"sandbox", "size", "mode"};
    lua_State *L = r->L;
    struct dml_entry entry = {.kind = DML_TMPFS, .rank = DML_RANK_TMPFS, .mode = 0755, .field = field};
    if (lua_type(L, index) == LUA_TSTRING) {
        entry.sandbox = read_string(r, index, field, "a path");
    } else {
        if (!plain_table(r, index, field, "{ sandbox = \"/path\", size = \"64M\", mode = \"0755\" }"))
            return;
        check_keys(r, index, field, keys, 3);
        entry.sandbox = read_string(r, raw_field(r, index, "sandbox"), FIELD(r, "%s.sandbox", field), "a path");
        int at = raw_field(r, index, "size");
        const char *size_field = FIELD(r, "%s.size", field);
        if (!lua_isnil(L, at) && read_size(r, at, size_field, &entry.size) &&
            (entry.size < 4096 || entry.size > INT64_MAX))
            dml_problem_add(r->problems, "size.range", size_field, NULL, 0,
                            "%llu bytes is %s; a tmpfs has at least 4096", (unsigned long long)entry.size,
                            entry.size < 4096 ? "too small" : "too large");
        at = raw_field(r, index, "mode");
        if (!lua_isnil(L, at))
            read_mode(r, at, FIELD(r, "%s.mode", field), &entry.mode);
        lua_pop(L, 3);
    }
    if (entry.sandbox)
        add_entry(r, &entry);
}

static void read_tmpfs_list(struct reader *r, int index, const char *field)
{
    read_list(r, index, field, "a list of { sandbox = , size = , mode = }", read_tmpfs);
}

static void read_symlink(struct reader *r, int index, const char *field)
{
    static const char *const keys[] = {"target", "sandbox"};
    struct dml_entry entry = {.kind = DML_SYMLINK, .rank = r->base ? DML_RANK_BASE : DML_RANK_SYMLINK, .field = field};
    if (!plain_table(r, index, field, "{ target = \"there\", sandbox = \"/path\" }"))
        return;
    check_keys(r, index, field, keys, 2);
    entry.host = read_string(r, raw_field(r, index, "target"), FIELD(r, "%s.target", field), "what it points to");
    entry.sandbox = read_string(r, raw_field(r, index, "sandbox"), FIELD(r, "%s.sandbox", field), "a path");
    lua_pop(r->L, 2);
    if (entry.host && entry.sandbox)
        add_entry(r, &entry);
}

static void read_symlinks(struct reader *r, int index, const char *field)
{
    read_list(r, index, field, "a list of { target = , sandbox = }", read_symlink);
}

static void read_mask(struct reader *r, int index, const char *field)
{
    struct dml_entry entry = {.kind = DML_MASK, .rank = DML_RANK_MASK, .field = field};
    entry.sandbox = read_string(r, index, field, "a path inside");
    if (entry.sandbox)
        add_entry(r, &entry);
}

static void read_masks(struct reader *r, int index, const char *field)
{
    read_list(r, index, field, "a list of paths inside", read_mask);
}

/* Files from memory: secrets, and the generated files of a base. */
static void read_data(struct reader *r, int index, const char *field)
{
    lua_State *L = r->L;
    if (!plain_table(r, index, field, "a map: [\"/path/inside\"] = content"))
        return;
    size_t count;
    const char **paths = sorted_keys(r, index, field, &count);
    for (size_t i = 0; i < count; i++) {
        struct dml_entry entry = {
            .kind = DML_DATA,
            .rank = r->base ? DML_RANK_BASE : DML_RANK_SECRET,
            .sandbox = paths[i],
            .mode = r->base ? 0444 : 0400,
            .secret = !r->base,
            .field = r->base ? "base" : FIELD(r, "%s[\"%s\"]", field, paths[i]),
        };
        int at = raw_field(r, index, paths[i]);
        if (lua_type(L, at) != LUA_TSTRING) { /* the value is never shown */
            dml_problem_add(r->problems, "type", entry.field, NULL, 0, "%s where a string is needed", kind_of(L, at));
        } else {
            const char *data = lua_tolstring(L, at, &entry.length);
            if (entry.length > MAX_DATA) {
                dml_problem_add(r->problems, "secret.long", entry.field, NULL, 0, "has %zu bytes; at most %d are allowed",
                                entry.length, MAX_DATA);
            } else {
                entry.data = dml_arena_copy(&r->policy->arena, data, entry.length);
                if (entry.data)
                    add_entry(r, &entry);
                else
                    r->policy->failed = true;
            }
        }
        lua_pop(L, 1);
    }
}

static void read_chdir(struct reader *r, int index, const char *field)
{
    r->policy->chdir = read_string(r, index, field, "a path inside");
}

static void read_user(struct reader *r, int index, const char *field)
{
    const char *user = read_string(r, index, field, "\"nobody\" or \"caller\"");
    if (!user)
        return;
    r->policy->caller = strcmp(user, "caller") == 0;
    if (!r->policy->caller && strcmp(user, "nobody") != 0)
        dml_problem_add(r->problems, "user.unknown", field, user, strlen(user), "write \"nobody\" or \"caller\"");
}

static void read_hostname(struct reader *r, int index, const char *field)
{
    r->policy->hostname = read_string(r, index, field, "a host name");
}

static void read_seccomp_option(struct reader *r, int index, const char *field)
{
    static const char *const options[] = {"debug", "nested", "perf", "io_uring", "keyring"};
    const char *name = read_string(r, index, field, "the name of an option");
    if (!name || dml_name_index(name, options, 5) >= 0)
        return;
    const char *nearest = dml_nearest(name, options, 5);
    dml_problem_add(r->problems, "seccomp.option", field, name, strlen(name), "is no option; %s%s%s",
                    nearest ? "did you mean \"" : "the options are debug nested perf io_uring keyring",
                    nearest ? nearest : "", nearest ? "\"?" : "");
}

static void read_seccomp(struct reader *r, int index, const char *field)
{
    static const char *const keys[] = {"allow"};
    const char *expected = "\"default\", \"off\" or { allow = { ... } }";
    if (lua_type(r->L, index) == LUA_TSTRING) {
        const char *value = read_string(r, index, field, expected);
        if (!value)
            return;
        r->policy->seccomp = strcmp(value, "off") == 0 ? DML_SECCOMP_OFF : DML_SECCOMP_DEFAULT;
        if (strcmp(value, "off") != 0 && strcmp(value, "default") != 0)
            dml_problem_add(r->problems, "seccomp.unknown", field, value, strlen(value), "write %s", expected);
        return;
    }
    if (!plain_table(r, index, field, expected))
        return;
    check_keys(r, index, field, keys, 1);
    read_list(r, raw_field(r, index, "allow"), FIELD(r, "%s.allow", field), "a list of options", read_seccomp_option);
    lua_pop(r->L, 1);
    r->policy->seccomp = DML_SECCOMP_ALLOW;
}

static bool read_seconds(struct reader *r, int index, const char *field, uint64_t *milliseconds)
{
    lua_State *L = r->L;
    double seconds = 0;
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        if (!dml_parse_duration(text, length, &seconds)) {
            dml_problem_add(r->problems, "duration.invalid", field, text, length,
                            "is no duration; write seconds, or a number with ms, s, m or h: \"30s\"");
            return false;
        }
    } else if (lua_type(L, index) == LUA_TNUMBER) {
        seconds = lua_tonumber(L, index);
    } else {
        wrong_type(r, index, field, "seconds, or a string such as \"30s\"");
        return false;
    }
    if (!(seconds >= 0.001 && seconds <= 2147483.0)) {
        dml_problem_add(r->problems, "limit.range", field, NULL, 0, "%g s is out of range; 0.001 to 2147483 s are allowed",
                        seconds);
        return false;
    }
    *milliseconds = (uint64_t)(seconds * 1000 + 0.5);
    return true;
}

static bool read_count(struct reader *r, int index, const char *field, uint64_t *count)
{
    int exact = 0;
    lua_Integer value = lua_type(r->L, index) == LUA_TNUMBER ? lua_tointegerx(r->L, index, &exact) : 0;
    if (!exact) {
        wrong_type(r, index, field, "a whole number");
        return false;
    }
    *count = value < 0 ? 0 : (uint64_t)value;
    return true;
}

/* `tmp` may also be a share of memory: "25%". */
static bool read_tmp(struct reader *r, int index, const char *field, uint64_t *bytes)
{
    if (lua_type(r->L, index) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(r->L, index, &length);
        uint64_t percent;
        if (length > 1 && text[length - 1] == '%' && dml_parse_size(text, length - 1, &percent) && percent >= 1 &&
            percent <= 100) {
            r->policy->limits.tmp_share = (double)percent / 100;
            *bytes = UINT64_MAX;
            return true;
        }
    }
    return read_size(r, index, field, bytes);
}

static void read_limit(struct reader *r, int index, const char *field, int limit)
{
    static const uint64_t least[DML_LIMIT_COUNT] = {
        [DML_LIMIT_MEMORY] = 1024 * 1024, [DML_LIMIT_PIDS] = 1, [DML_LIMIT_OPEN_FILES] = 4, [DML_LIMIT_TMP] = 4096,
    };
    uint64_t value = 0;
    bool read;
    switch (limit) {
    case DML_LIMIT_TIMEOUT:
    case DML_LIMIT_CPU_TIME: read = read_seconds(r, index, field, &value); break;
    case DML_LIMIT_PIDS:
    case DML_LIMIT_OPEN_FILES: read = read_count(r, index, field, &value); break;
    case DML_LIMIT_TMP: read = read_tmp(r, index, field, &value); break;
    default: read = read_size(r, index, field, &value); break;
    }
    if (!read)
        return;
    if (value < least[limit]) {
        dml_problem_add(r->problems, "limit.range", field, NULL, 0, "is too small; at least %llu is needed",
                        (unsigned long long)least[limit]);
        return;
    }
    r->policy->limits.has[limit] = true;
    r->policy->limits.value[limit] = value;
}

static void read_limits(struct reader *r, int index, const char *field)
{
    if (!plain_table(r, index, field, "a map: timeout = \"30s\", memory = \"512M\", ..."))
        return;
    check_keys(r, index, field, dml_limit_names, DML_LIMIT_COUNT);
    for (int i = 0; i < DML_LIMIT_COUNT; i++) {
        int at = raw_field(r, index, dml_limit_names[i]);
        if (!lua_isnil(r->L, at))
            read_limit(r, at, FIELD(r, "%s.%s", field, dml_limit_names[i]), i);
        lua_pop(r->L, 1);
    }
}

static void read_danger(struct reader *r, int index, const char *field)
{
    const char *name = read_string(r, index, field, "the name of a danger");
    if (!name)
        return;
    int danger = dml_name_index(name, dml_danger_names, DML_DANGER_COUNT);
    if (danger >= 0) {
        r->policy->acknowledged[danger] = true;
        return;
    }
    const char *nearest = dml_nearest(name, dml_danger_names, DML_DANGER_COUNT);
    dml_problem_add(r->problems, "acknowledge.unknown", field, name, strlen(name), "is no danger%s%s%s",
                    nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static void read_acknowledge(struct reader *r, int index, const char *field)
{
    read_list(r, index, field, "a list of dangers", read_danger);
}

static void read_name(struct reader *r, int index, const char *field)
{
    r->policy->name = read_string(r, index, field, "text");
}

static void read_description(struct reader *r, int index, const char *field)
{
    r->policy->description = read_string(r, index, field, "text");
}

static void read_hook(struct reader *r, int index, const char *field)
{
    if (!lua_isfunction(r->L, index) && !luaL_testudata(r->L, index, "demilune.hook"))
        wrong_type(r, index, field, "a function");
}

static void read_unsupported(struct reader *r, int index, const char *field)
{
    (void)index;
    dml_problem_add(r->problems, "field.unsupported", field, NULL, 0, "is not supported yet; take it out");
}

/* In the order in which problems are reported. `effects` stands before `network`, which it may turn on. */
static const struct {
    const char *name;
    read_function read;
} policy_fields[] = {
    {"name", read_name},
    {"description", read_description},
    {"base", read_base},
    {"ro_binds", read_ro_binds},
    {"rw_binds", read_rw_binds},
    {"work_host", read_work_host},
    {"project", read_project},
    {"effects", read_effects},
    {"network", read_network},
    {"env_allowlist", read_env_allowlist},
    {"env", read_env},
    {"tmpfs", read_tmpfs_list},
    {"symlinks", read_symlinks},
    {"masks", read_masks},
    {"secrets", read_data},
    {"devices", read_unsupported},
    {"chdir", read_chdir},
    {"user", read_user},
    {"hostname", read_hostname},
    {"tty", read_tty},
    {"nested", read_nested},
    {"seccomp", read_seccomp},
    {"limits", read_limits},
    {"acknowledge", read_acknowledge},
    {"requires", read_unsupported},
    {"extends", read_unsupported},
    {"prepare", read_hook},
    {"launched", read_hook},
    {"finished", read_hook},
};
enum { POLICY_FIELD_COUNT = sizeof policy_fields / sizeof policy_fields[0] };

static void read_policy(struct reader *r, int index)
{
    const char *names[POLICY_FIELD_COUNT];
    if (!plain_table(r, index, "", "a policy table"))
        return;
    for (int i = 0; i < POLICY_FIELD_COUNT; i++)
        names[i] = policy_fields[i].name;
    check_keys(r, index, "", names, POLICY_FIELD_COUNT);
    for (int i = 0; i < POLICY_FIELD_COUNT; i++) {
        int at = raw_field(r, index, names[i]);
        if (!lua_isnil(r->L, at))
            policy_fields[i].read(r, at, names[i]);
        lua_pop(r->L, 1);
    }
}

/* A base is one of our own tables: binds, links, generated files and defaults for the environment. */
static void read_base_table(struct reader *r, int index, bool own_allowlist)
{
    static const struct {
        const char *name;
        read_function read;
    } fields[] = {
        {"ro_binds", read_ro_binds},           {"symlinks", read_symlinks}, {"files", read_data},
        {"env_allowlist", read_env_allowlist}, {"env", read_env},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        int at = raw_field(r, index, fields[i].name);
        bool replaced = own_allowlist && fields[i].read == read_env_allowlist;
        if (!lua_isnil(r->L, at) && !replaced)
            fields[i].read(r, at, "base");
        lua_pop(r->L, 1);
    }
}

/* --- the userdata ---------------------------------------------------------------------------------------------- */

static int frozen_gc(lua_State *L)
{
    struct dml_lua_frozen *frozen = luaL_checkudata(L, 1, DML_LUA_FROZEN);
    dml_problems_clear(&frozen->problems);
    dml_policy_free(frozen->policy);
    frozen->policy = NULL;
    return 0;
}

void dml_push_problems(lua_State *L, const struct dml_problems *list)
{
    if (list->failed)
        luaL_error(L, "not enough memory");
    lua_createtable(L, (int)list->count, 0);
    for (size_t i = 0; i < list->count; i++) {
        const struct dml_problem *problem = &list->items[i];
        lua_createtable(L, 0, 4);
        lua_pushstring(L, problem->field);
        lua_setfield(L, -2, "field");
        lua_pushstring(L, problem->code);
        lua_setfield(L, -2, "code");
        lua_pushstring(L, problem->message);
        lua_setfield(L, -2, "message");
        lua_pushstring(L, problem->value); /* nil when there is none */
        lua_setfield(L, -2, "value");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* freeze(policy, base|nil, { home=, file= }) -> frozen, problems. With problems only `validate` may be asked more. */
static int core_freeze(lua_State *L)
{
    luaL_checkany(L, 1);
    luaL_checkany(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    luaL_checkstack(L, 64, "policy");
    lua_getfield(L, 3, "home");
    const char *home = luaL_optstring(L, 4, NULL);
    lua_getfield(L, 3, "file");
    const char *file = luaL_optstring(L, 5, NULL);

    struct dml_lua_frozen *frozen = lua_newuserdatauv(L, sizeof *frozen, 0);
    *frozen = (struct dml_lua_frozen){0};
    luaL_setmetatable(L, DML_LUA_FROZEN);
    frozen->policy = dml_policy_new();
    if (!frozen->policy)
        return luaL_error(L, "not enough memory");
    struct reader r = {.L = L, .policy = frozen->policy, .problems = &frozen->problems, .home = home};
    frozen->policy->file = dml_arena_string(&frozen->policy->arena, file);

    if (lua_istable(L, 2)) {
        bool own_allowlist = false;
        if (lua_istable(L, 1)) {
            own_allowlist = !lua_isnil(L, raw_field(&r, 1, "env_allowlist"));
            lua_pop(L, 1);
        }
        r.base = true;
        read_base_table(&r, 2, own_allowlist);
        r.base = false;
    }
    read_policy(&r, 1);
    if (frozen->policy->failed || frozen->problems.failed)
        return luaL_error(L, "not enough memory");
    lua_pushvalue(L, 6);
    dml_push_problems(L, &frozen->problems);
    return 2;
}

void dml_open_policy(lua_State *L)
{
    luaL_newmetatable(L, DML_LUA_FROZEN);
    lua_pushcfunction(L, frozen_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_freeze);
    lua_setfield(L, -2, "freeze");
}
