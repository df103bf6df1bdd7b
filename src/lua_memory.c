#include "lua_memory.h"

#include <stdlib.h>
#include <string.h>

enum { LARGE_BLOCK = 32 * 1024 };

static void *cut(struct dml_memory *memory, size_t size)
{
    if ((size_t)(memory->end - memory->next) < size) {
        char *block = malloc(LARGE_BLOCK);
        if (!block)
            return NULL;
        memory->next = block;
        memory->end = block + LARGE_BLOCK;
    }
    void *result = memory->next;
    memory->next += size;
    return result;
}

/* Which list a size belongs to; from DML_MEMORY_CLASSES on it is malloc's. */
static size_t class_of(size_t size)
{
    return (size - 1) / DML_MEMORY_UNIT;
}

static void *take(struct dml_memory *memory, size_t size)
{
    size_t class = class_of(size);
    if (class >= DML_MEMORY_CLASSES)
        return malloc(size);
    struct dml_free_block *block = memory->free[class];
    if (!block)
        return cut(memory, (class + 1) * DML_MEMORY_UNIT);
    memory->free[class] = block->next;
    return block;
}

static void give_back(struct dml_memory *memory, void *block, size_t size)
{
    size_t class = class_of(size);
    if (class >= DML_MEMORY_CLASSES) {
        free(block);
        return;
    }
    struct dml_free_block *first = block;
    first->next = memory->free[class];
    memory->free[class] = first;
}

/* lua_Alloc: Lua says how large a block is, and counts on it that less can always be had. */
static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct dml_memory *memory = context;
    if (!block) /* then `old_size` is a type */
        return new_size ? take(memory, new_size) : NULL;
    if (new_size == 0) {
        give_back(memory, block, old_size);
        return NULL;
    }
    size_t before = class_of(old_size), after = class_of(new_size);
    if (before == after && after < DML_MEMORY_CLASSES)
        return block;
    if (before >= DML_MEMORY_CLASSES && after >= DML_MEMORY_CLASSES)
        return realloc(block, new_size);
    void *moved = take(memory, new_size);
    if (!moved)
        return new_size < old_size ? block : NULL;
    memcpy(moved, block, old_size < new_size ? old_size : new_size);
    give_back(memory, block, old_size);
    return moved;
}

lua_State *dml_memory_new_state(struct dml_memory *memory)
{
    return lua_newstate(allocate, memory);
}
