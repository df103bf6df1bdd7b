/* An arena: memory that is given back all at once. */
#ifndef DML_ARENA_H
#define DML_ARENA_H

#include <stddef.h>

struct dml_arena_block;

/* A zeroed struct is an empty arena. */
struct dml_arena {
    struct dml_arena_block *blocks;
    char *next, *end;
};

/* `size` zeroed bytes, aligned for any type, or NULL when memory is out. */
void *dml_arena_alloc(struct dml_arena *arena, size_t size);

/* `count` zeroed items of `size` bytes, or NULL (out of memory, or the product overflows). */
void *dml_arena_array(struct dml_arena *arena, size_t count, size_t size);

/* A copy of `length` bytes with a terminating NUL, or NULL. */
char *dml_arena_copy(struct dml_arena *arena, const void *bytes, size_t length);

/* A copy of a C string; NULL stays NULL. */
char *dml_arena_string(struct dml_arena *arena, const char *string);

/* A formatted string, or NULL. */
char *dml_arena_format(struct dml_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Gives all of it back; the arena is empty and usable again. */
void dml_arena_clear(struct dml_arena *arena);

#endif
