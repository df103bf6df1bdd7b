/* Reading Lua values into C: raw, without metamethods and without coercion. What is wrong with a value
 * becomes a problem with its field path, and reading goes on, so that one look shows everything.
 *
 * An `index` is absolute. Every string that is returned is a copy in the policy's arena. A function that is
 * out of memory sets `policy->failed`. Only dml_read_field allocates in Lua and so can raise; nothing is lost
 * then, for policy and problems belong to a userdata. */
#ifndef DML_LUA_READ_H
#define DML_LUA_READ_H

#include "policy.h"

#include <lua.h>

struct dml_reader {
    lua_State *L;
    struct dml_policy *policy;
    struct dml_problems *problems;
    const char *home; /* the caller's, for a leading "~/"; may be NULL */
    bool base;        /* reading a base, not the policy */
    bool hidden;      /* the value may be a secret: no problem shows it */
};

/* Reads the value at `index`, which stands at the path `field`. */
typedef void (*dml_read_function)(struct dml_reader *r, int index, const char *field);

/* A field path made by a format, in the arena; never NULL. */
#define DML_FIELD(r, ...) dml_read_path(r, dml_arena_format(&(r)->policy->arena, __VA_ARGS__))
const char *dml_read_path(struct dml_reader *r, const char *path);

/* The name of a value's type for messages: "nothing" for nil. */
const char *dml_read_type(lua_State *L, int index);

/* Adds the problem that the value is not `expected`. */
void dml_read_wrong_type(struct dml_reader *r, int index, const char *field, const char *expected);

/* Pushes the field `name` of the table at `index`, raw; returns its index. */
int dml_read_field(struct dml_reader *r, int index, const char *name);

/* A string without NUL, or NULL and a problem. */
const char *dml_read_string(struct dml_reader *r, int index, const char *field, const char *expected);

/* The same for a path of the host: expands a leading "~/". Without a home that stays, to be refused as
 * relative. */
const char *dml_read_host_path(struct dml_reader *r, int index, const char *field, const char *expected);

/* Whether the value is a table without metatable. Adds a problem when not. */
bool dml_read_table(struct dml_reader *r, int index, const char *field, const char *expected);

/* Whether the value is a table with the keys 1 to n and no other. Adds a problem when not. */
bool dml_read_sequence(struct dml_reader *r, int index, const char *field, const char *expected);

/* Reads every item of such a sequence, in order, as "field[1]"; those of a base all stand at the base. */
void dml_read_list(struct dml_reader *r, int index, const char *field, const char *expected,
                   dml_read_function read_item);

/* The string keys of the table at `index`, sorted, and in `count` how many; other keys are problems. NULL,
 * with a count of 0, when there are too many or no memory. */
const char **dml_read_keys(struct dml_reader *r, int index, const char *field, size_t *count);

/* Adds a problem for every key of the table that is not among `known`. */
void dml_read_known_keys(struct dml_reader *r, int index, const char *field, const char *const *known,
                         size_t known_count);

/* Reads the key `optional` of the table at `index`; where it is not there `optional` stays as it is. */
void dml_read_optional(struct dml_reader *r, int index, const char *field, bool *optional);

/* Each stores a value and returns true, or adds a problem and returns false.
 * boolean: true or false alone, for nothing else is meant by either.
 * count: a whole number, as an integer or a float; a negative one becomes 0.
 * size: bytes, as such a number or a string such as "64M".
 * seconds: a number, or a string such as "30s"; stored in milliseconds.
 * mode: permissions, as a string of octal digits. */
bool dml_read_boolean(struct dml_reader *r, int index, const char *field, bool *value);
bool dml_read_count(struct dml_reader *r, int index, const char *field, uint64_t *count);
bool dml_read_size(struct dml_reader *r, int index, const char *field, uint64_t *bytes);
bool dml_read_seconds(struct dml_reader *r, int index, const char *field, uint64_t *milliseconds);
bool dml_read_mode(struct dml_reader *r, int index, const char *field, unsigned *mode);

#endif
