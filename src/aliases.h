/* Where else of the host the same files are: what is mounted twice has several places. */
#ifndef DML_ALIASES_H
#define DML_ALIASES_H

#include "arena.h"

#include <stdbool.h>
#include <stddef.h>

/* A mount of the host. */
struct dml_alias_mount {
    const char *where, *root; /* its mount point, and what of its file system stands there */
    unsigned major, minor;    /* its file system */
};

struct dml_alias_mounts {
    struct dml_alias_mount *items;
    size_t count;
};

/* Reads all mounts that we see, into `arena`. False with errno. */
bool dml_alias_mounts_read(struct dml_alias_mounts *mounts, struct dml_arena *arena);

/* The other places of `path`, which is canonical and without links, or of a part of it; NULL-terminated, in
 * `arena`, NULL when memory is out. Nothing has to be there. */
const char **dml_aliases_find(const struct dml_alias_mounts *mounts, const char *path,
                              struct dml_arena *arena);

#endif
