#include "lua_expect.h"
#include "address.h"
#include "validate.h"

#include <string.h>

/* --- what each list has --- */

/* An absolute path inside, or one that starts where the command does: "." and "./..." */
static void read_place(struct dml_reader *r, int index, const char *field)
{
    char *path = (char *)dml_read_host_path(r, index, field, "a path inside");
    if (!path || strcmp(path, ".") == 0)
        return;
    dml_validate_path(strncmp(path, "./", 2) == 0 ? path + 1 : path, field, DML_ABSOLUTE_INSIDE, r->problems);
}

static void read_path(struct dml_reader *r, int index, const char *field)
{
    static const char *const keys[] = {"path", "optional"};
    bool optional;
    const char *expected = "\"/path\", \"./path\" or { path = , optional = true }";
    if (lua_type(r->L, index) == LUA_TSTRING) {
        read_place(r, index, field);
        return;
    }
    if (!dml_read_table(r, index, field, expected))
        return;
    dml_read_known_keys(r, index, field, keys, 2);
    read_place(r, dml_read_field(r, index, "path"), DML_FIELD(r, "%s.path", field));
    lua_pop(r->L, 1);
    dml_read_optional(r, index, field, &optional);
}

static void read_word(struct dml_reader *r, int index, const char *field)
{
    dml_read_string(r, index, field, "a word of a command");
}

static void read_words(struct dml_reader *r, int index, const char *field)
{
    const char *expected = "a command: { \"program\", \"argument\" }";
    dml_read_list(r, index, field, expected, read_word);
    if (lua_istable(r->L, index) && lua_rawlen(r->L, index) == 0)
        dml_problem_add(r->problems, "command.empty", field, NULL, 0, "is empty; write %s", expected);
}

/* Whether the value is a table without items that has something else. */
static bool is_map(lua_State *L, int index)
{
    if (!lua_istable(L, index) || lua_rawlen(L, index) > 0)
        return false;
    lua_pushnil(L);
    if (!lua_next(L, index))
        return false;
    lua_pop(L, 2);
    return true;
}

/* The words of a command, or a map that has them. */
static void read_command(struct dml_reader *r, int index, const char *field)
{
    static const char *const keys[] = {"command", "optional"};
    bool optional;
    if (!is_map(r->L, index)) {
        read_words(r, index, field);
        return;
    }
    if (!dml_read_table(r, index, field, "{ command = { ... }, optional = true }"))
        return;
    dml_read_known_keys(r, index, field, keys, 2);
    read_words(r, dml_read_field(r, index, "command"), DML_FIELD(r, "%s.command", field));
    lua_pop(r->L, 1);
    dml_read_optional(r, index, field, &optional);
}

static void read_address(struct dml_reader *r, int index, const char *field)
{
    const char *expected = "\"ADDRESS:PORT\", \"[ADDRESS]:PORT\", \"/socket\" or \"@abstract\"";
    struct sockaddr_storage address;
    socklen_t length;
    const char *text = dml_read_string(r, index, field, expected);
    if (text && !dml_parse_address(text, &address, &length))
        dml_problem_add(r->problems, "expect.address", field, text, strlen(text),
                        "is nothing to connect to; write %s", expected);
}

static void read_variable(struct dml_reader *r, int index, const char *field)
{
    const char *name = dml_read_string(r, index, field, "the name of a variable");
    if (name && (!*name || strchr(name, '=')))
        dml_problem_add(r->problems, "env.name", field, name, strlen(name), "is no name of a variable");
}

/* --- all of it --- */

static const struct {
    const char *name, *expected;
    dml_read_function read;
} verbs[] = {
    {"read", "a list of paths inside", read_path}, {"write", "a list of paths inside", read_path},
    {"run", "a list of commands", read_command},   {"connect", "a list of addresses", read_address},
    {"env", "a list of names", read_variable},
};
enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static void read_verbs(struct dml_reader *r, int index, const char *field)
{
    const char *names[VERB_COUNT];
    if (!dml_read_table(r, index, field, "a map: { read = { ... }, write = { ... } }"))
        return;
    for (int i = 0; i < VERB_COUNT; i++)
        names[i] = verbs[i].name;
    dml_read_known_keys(r, index, field, names, VERB_COUNT);
    for (int i = 0; i < VERB_COUNT; i++) {
        int at = dml_read_field(r, index, names[i]);
        if (!lua_isnil(r->L, at))
            dml_read_list(r, at, DML_FIELD(r, "%s.%s", field, names[i]), verbs[i].expected, verbs[i].read);
        lua_pop(r->L, 1);
    }
}

void dml_read_expect(struct dml_reader *r, int index, const char *field)
{
    static const char *const verdicts[] = {"denied", "allowed"};
    if (!dml_read_table(r, index, field, "a map: { denied = { ... }, allowed = { ... } }"))
        return;
    dml_read_known_keys(r, index, field, verdicts, 2);
    for (int i = 0; i < 2; i++) {
        int at = dml_read_field(r, index, verdicts[i]);
        if (!lua_isnil(r->L, at))
            read_verbs(r, at, DML_FIELD(r, "%s.%s", field, verdicts[i]));
        lua_pop(r->L, 1);
    }
}
