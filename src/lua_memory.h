/* The memory of the command's own Lua state: it starts, allocates some thousand small blocks, launches and
 * ends, and malloc was a fifth of that. */
#ifndef DML_LUA_MEMORY_H
#define DML_LUA_MEMORY_H

#include <lua.h>

/* Blocks of up to 256 bytes are cut from large ones. */
enum { DML_MEMORY_UNIT = 16, DML_MEMORY_CLASSES = 16 };

/* A block that was given back. */
struct dml_free_block {
    struct dml_free_block *next;
};

/* A zeroed struct has none. */
struct dml_memory {
    char *next, *end;                                /* what is left of the last large block */
    struct dml_free_block *free[DML_MEMORY_CLASSES]; /* to be used again, by size */
};

/* A state whose small blocks come from `memory`, which must live as long: they are used again, but never
 * given back. NULL when there is not enough. */
lua_State *dml_memory_new_state(struct dml_memory *memory);

#endif
