#include "amount.h"
#include "lua_entries.h"

#include <string.h>

enum { MAX_DATA = 16 * 1024 * 1024 }; /* of a secret or generated file */

static void read_bind(struct dml_reader *r, int index, const char *field, enum dml_rank rank)
{
    static const char *const keys[] = {"host", "sandbox", "optional"};
    const char *expected = "\"/path\", { \"/host\", \"/inside\" } or { host = , sandbox = }";
    lua_State *L = r->L;
    const char *host = NULL, *sandbox = NULL;
    bool optional = false;

    if (lua_type(L, index) == LUA_TSTRING) {
        host = sandbox = dml_read_host_path(r, index, field, expected);
    } else if (!dml_read_table(r, index, field, expected)) {
        return;
    } else if (lua_rawlen(L, index) > 0) {
        if (!dml_read_sequence(r, index, field, expected))
            return;
        if (lua_rawlen(L, index) != 2) {
            dml_problem_add(r->problems, "bind.shape", field, NULL, 0,
                            "has %d parts; write { \"/host\", \"/inside\" }", (int)lua_rawlen(L, index));
            return;
        }
        lua_rawgeti(L, index, 1);
        host = dml_read_host_path(r, lua_gettop(L), DML_FIELD(r, "%s.host", field), "a path");
        lua_rawgeti(L, index, 2);
        sandbox = dml_read_string(r, lua_gettop(L), DML_FIELD(r, "%s.sandbox", field), "a path");
        lua_pop(L, 2);
    } else {
        dml_read_known_keys(r, index, field, keys, 3);
        int at = dml_read_field(r, index, "host");
        host = dml_read_host_path(r, at, DML_FIELD(r, "%s.host", field), "a path");
        at = dml_read_field(r, index, "sandbox");
        sandbox = host;
        if (!lua_isnil(L, at))
            sandbox = dml_read_string(r, at, DML_FIELD(r, "%s.sandbox", field), "a path");
        lua_pop(L, 2);
        dml_read_optional(r, index, field, &optional);
    }
    if (host && sandbox)
        dml_policy_add_bind(r->policy, r->base ? DML_RANK_BASE : rank, host, sandbox, optional || r->base,
                            field);
}

static void read_ro_bind(struct dml_reader *r, int index, const char *field)
{
    read_bind(r, index, field, DML_RANK_RO);
}

static void read_rw_bind(struct dml_reader *r, int index, const char *field)
{
    read_bind(r, index, field, DML_RANK_RW);
}

static void read_device(struct dml_reader *r, int index, const char *field)
{
    read_bind(r, index, field, DML_RANK_DEVICE);
}

void dml_read_ro_binds(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of binds", read_ro_bind);
}

void dml_read_rw_binds(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of binds", read_rw_bind);
}

void dml_read_devices(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of devices", read_device);
}

void dml_read_work_host(struct dml_reader *r, int index, const char *field)
{
    const char *host = dml_read_host_path(r, index, field, "a directory of the host");
    r->policy->work_host = host;
    if (host)
        dml_policy_add_bind(r->policy, DML_RANK_WORK, host, "/work", false, field);
}

void dml_read_project(struct dml_reader *r, int index, const char *field)
{
    static const char *const keys[] = {"path", "write"};
    const char *expected = "\"/path\" or { \"/path\", write = false }";
    lua_State *L = r->L;
    const char *path = NULL;
    bool writable = true;
    if (lua_type(L, index) == LUA_TSTRING) {
        path = dml_read_host_path(r, index, field, expected);
    } else {
        if (!dml_read_table(r, index, field, expected))
            return;
        lua_rawgeti(L, index, 1);
        bool positional = !lua_isnil(L, -1);
        if (positional) {
            path = dml_read_host_path(r, lua_gettop(L), DML_FIELD(r, "%s[1]", field), "a path");
            lua_pushnil(L);
            while (lua_next(L, index)) {
                bool odd =
                    lua_type(L, -2) != LUA_TSTRING && !(lua_isinteger(L, -2) && lua_tointeger(L, -2) == 1);
                bool unknown = lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "write") != 0;
                if (odd || unknown)
                    dml_problem_add(r->problems, "field.unknown", field, NULL, 0,
                                    "has more than { \"/path\", write = }");
                lua_pop(L, 1);
            }
        } else {
            dml_read_known_keys(r, index, field, keys, 2);
            int at = dml_read_field(r, index, "path");
            path = dml_read_host_path(r, at, DML_FIELD(r, "%s.path", field), "a path");
            lua_pop(L, 1);
        }
        int at = dml_read_field(r, index, "write");
        if (!lua_isnil(L, at))
            dml_read_boolean(r, at, DML_FIELD(r, "%s.write", field), &writable);
        lua_pop(L, 2);
    }
    if (!path)
        return;
    dml_policy_add_bind(r->policy, writable ? DML_RANK_RW : DML_RANK_RO, path, path, false, field);
    r->policy->project = path;
}

static void read_tmpfs(struct dml_reader *r, int index, const char *field)
{
    static const char *const keys[] = {"sandbox", "size", "mode"};
    lua_State *L = r->L;
    struct dml_entry entry = {.kind = DML_TMPFS, .rank = DML_RANK_TMPFS, .mode = 0755, .field = field};
    if (lua_type(L, index) == LUA_TSTRING) {
        entry.sandbox = dml_read_string(r, index, field, "a path");
    } else {
        if (!dml_read_table(r, index, field, "{ sandbox = \"/path\", size = \"64M\", mode = \"0755\" }"))
            return;
        dml_read_known_keys(r, index, field, keys, 3);
        int at = dml_read_field(r, index, "sandbox");
        entry.sandbox = dml_read_string(r, at, DML_FIELD(r, "%s.sandbox", field), "a path");
        at = dml_read_field(r, index, "size");
        const char *size_field = DML_FIELD(r, "%s.size", field);
        if (!lua_isnil(L, at) && dml_read_size(r, at, size_field, &entry.size) &&
            (entry.size < 4096 || entry.size > INT64_MAX))
            dml_problem_add(r->problems, "size.range", size_field, NULL, 0,
                            "%s is %s; a tmpfs has at least 4K", dml_size_amount(entry.size).text,
                            entry.size < 4096 ? "too small" : "too large");
        at = dml_read_field(r, index, "mode");
        if (!lua_isnil(L, at))
            dml_read_mode(r, at, DML_FIELD(r, "%s.mode", field), &entry.mode);
        lua_pop(L, 3);
    }
    if (entry.sandbox)
        dml_policy_add_entry(r->policy, &entry);
}

void dml_read_tmpfs(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of { sandbox = , size = , mode = }", read_tmpfs);
}

static void read_symlink(struct dml_reader *r, int index, const char *field)
{
    static const char *const keys[] = {"target", "sandbox"};
    struct dml_entry entry = {
        .kind = DML_SYMLINK, .rank = r->base ? DML_RANK_BASE : DML_RANK_SYMLINK, .field = field};
    if (!dml_read_table(r, index, field, "{ target = \"there\", sandbox = \"/path\" }"))
        return;
    dml_read_known_keys(r, index, field, keys, 2);
    int at = dml_read_field(r, index, "target");
    entry.host = dml_read_string(r, at, DML_FIELD(r, "%s.target", field), "what it points to");
    at = dml_read_field(r, index, "sandbox");
    entry.sandbox = dml_read_string(r, at, DML_FIELD(r, "%s.sandbox", field), "a path");
    lua_pop(r->L, 2);
    if (entry.host && entry.sandbox)
        dml_policy_add_entry(r->policy, &entry);
}

void dml_read_symlinks(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of { target = , sandbox = }", read_symlink);
}

static void read_mask(struct dml_reader *r, int index, const char *field)
{
    static const char *const keys[] = {"sandbox", "optional"};
    const char *expected = "\"/path\" or { sandbox = \"/path\", optional = true }";
    struct dml_entry entry = {.kind = DML_MASK, .rank = DML_RANK_MASK, .field = field};
    if (lua_type(r->L, index) == LUA_TSTRING) {
        entry.sandbox = dml_read_string(r, index, field, expected);
    } else {
        if (!dml_read_table(r, index, field, expected))
            return;
        dml_read_known_keys(r, index, field, keys, 2);
        int at = dml_read_field(r, index, "sandbox");
        entry.sandbox = dml_read_string(r, at, DML_FIELD(r, "%s.sandbox", field), "a path inside");
        lua_pop(r->L, 1);
        dml_read_optional(r, index, field, &entry.optional);
    }
    if (entry.sandbox)
        dml_policy_add_entry(r->policy, &entry);
}

void dml_read_masks(struct dml_reader *r, int index, const char *field)
{
    dml_read_list(r, index, field, "a list of paths inside", read_mask);
}

/* Adds `entry` with the string at `index` as its content. */
static void read_content(struct dml_reader *r, int index, struct dml_entry *entry)
{
    const char *data = lua_tolstring(r->L, index, &entry->length);
    if (entry->length > MAX_DATA) {
        dml_problem_add(r->problems, "secret.long", entry->field, NULL, 0,
                        "has %zu bytes; at most %d are allowed", entry->length, MAX_DATA);
        return;
    }
    entry->data = dml_arena_copy(&r->policy->arena, data, entry->length);
    if (entry->data)
        dml_policy_add_entry(r->policy, entry);
    else
        r->policy->failed = true;
}

void dml_read_data(struct dml_reader *r, int index, const char *field)
{
    lua_State *L = r->L;
    r->hidden = true;
    bool is_map = dml_read_table(r, index, field, "a map: [\"/path/inside\"] = content");
    r->hidden = false;
    if (!is_map)
        return;
    size_t count;
    const char **paths = dml_read_keys(r, index, field, &count);
    for (size_t i = 0; i < count; i++) {
        struct dml_entry entry = {
            .kind = DML_DATA,
            .rank = r->base ? DML_RANK_BASE : DML_RANK_SECRET,
            .sandbox = paths[i],
            .mode = r->base ? 0444 : 0400,
            .secret = !r->base,
            .field = r->base ? "base" : DML_FIELD(r, "%s[\"%s\"]", field, paths[i]),
        };
        int at = dml_read_field(r, index, paths[i]);
        if (lua_type(L, at) == LUA_TSTRING)
            read_content(r, at, &entry);
        else /* the value is never shown */
            dml_problem_add(r->problems, "type", entry.field, NULL, 0, "%s where a string is needed",
                            dml_read_type(L, at));
        lua_pop(L, 1);
    }
}
