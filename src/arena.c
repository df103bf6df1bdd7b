#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef DML_ARENA_BLOCK
#define DML_ARENA_BLOCK (16 * 1024) /* 0: each object has a block of its own */
#endif

/* Many arenas hold little: the first block is small. */
enum { BLOCK_SIZE = DML_ARENA_BLOCK, FIRST_SIZE = BLOCK_SIZE / 8 };

struct dml_arena_block {
    struct dml_arena_block *previous;
    max_align_t bytes[];
};

static char *new_block(struct dml_arena *arena, size_t size)
{
    struct dml_arena_block *block = malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->previous = arena->blocks;
    arena->blocks = block;
    return (char *)block->bytes;
}

/* Room for `size` bytes, whatever they are. */
static char *take(struct dml_arena *arena, size_t size)
{
    const size_t unit = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    if (size >= BLOCK_SIZE / 4) /* a large object gets a block of its own */
        return new_block(arena, size);
    size = size ? (size + unit - 1) / unit * unit : unit;
    if ((size_t)(arena->end - arena->next) < size) {
        size_t room = arena->blocks || size > FIRST_SIZE ? BLOCK_SIZE : FIRST_SIZE;
        char *start = new_block(arena, room);
        if (!start)
            return NULL;
        arena->next = start;
        arena->end = start + room;
    }
    char *result = arena->next;
    arena->next += size;
    return result;
}

/* What is handed out is zeroed, not all of a block: much of that is never used. */
void *dml_arena_alloc(struct dml_arena *arena, size_t size)
{
    char *result = take(arena, size);
    return result ? memset(result, 0, size) : NULL;
}

void *dml_arena_array(struct dml_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return dml_arena_alloc(arena, total);
}

char *dml_arena_copy(struct dml_arena *arena, const void *bytes, size_t length)
{
    char *copy = length < SIZE_MAX ? take(arena, length + 1) : NULL;
    if (copy) {
        if (length)
            memcpy(copy, bytes, length);
        copy[length] = '\0';
    }
    return copy;
}

char *dml_arena_string(struct dml_arena *arena, const char *string)
{
    return string ? dml_arena_copy(arena, string, strlen(string)) : NULL;
}

char *dml_arena_format(struct dml_arena *arena, const char *format, ...)
{
    char text[256]; /* most fit */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < sizeof text)
        return dml_arena_copy(arena, text, (size_t)length);
    char *result = length < 0 ? NULL : take(arena, (size_t)length + 1);
    if (result) {
        va_start(arguments, format);
        vsnprintf(result, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    return result;
}

void dml_arena_clear(struct dml_arena *arena)
{
    while (arena->blocks) {
        struct dml_arena_block *previous = arena->blocks->previous;
        free(arena->blocks);
        arena->blocks = previous;
    }
    *arena = (struct dml_arena){0};
}
