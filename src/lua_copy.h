/* Deep, raw copies of plain Lua data, within one Lua state or from one state to another. */
#ifndef DML_LUA_COPY_H
#define DML_LUA_COPY_H

#include <stdbool.h>
#include <lua.h>

/* Where `convert` finds the value of `dml_copy.anchor` in the state that it pushes to. */
#define DML_COPY_ANCHOR 2

/* How one copy is made, and, when it fails, why. A zeroed struct copies plain data only. */
struct dml_copy {
    /* Stands in for a function, userdata or thread at the absolute `index` of `from`: pushes one value on
     * `to` and returns true, or returns false to refuse. It may raise in `to`, and must not raise in `from`.
     * May be NULL. */
    bool (*convert)(lua_State *from, int index, lua_State *to, void *context);
    void *context;
    int anchor;        /* index in `to` of a value that `convert` needs, 0: none */
    char message[320]; /* filled on failure: "masks[2]: a thread cannot stand in a policy" */
};

/* Pushes a deep copy of the value at `index` of `from` on `to`, which may be the same state or one of another
 * world. No metamethod is called; a table with a metatable, a cycle, more than 16 levels, more than 20000
 * entries or (between two states) more than 8 MiB of strings are refused. A table that is reachable twice is
 * copied twice. Never raises in either state. On failure returns false with `copy->message` filled. The stack
 * of `from` is left as it was; that of `to` grows by the copy alone. */
bool dml_copy_value(lua_State *from, int index, lua_State *to, struct dml_copy *copy);

#endif
