/* Looking through a tree of the host, no further than wanted. */
#ifndef DML_HOST_TREE_H
#define DML_HOST_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum dml_visited {
    DML_VISIT_ON,   /* and into it, if it is a directory */
    DML_VISIT_PAST, /* on, but not into it */
    DML_VISIT_ENOUGH,
};

struct dml_tree {
    size_t depth;   /* at most so many directories deep: 1 is what the directory itself holds */
    size_t entries; /* at most so many */
    /* `path` is absolute, and only good for the call */
    enum dml_visited (*visit)(void *context, const char *path, const struct stat *status);
    void *context;
};

/* Visits what is below the directory `root`, a path without links: what is near it first, and no link is
 * followed. `*whole` is false when not all was seen: it was too much, or could not be looked at; what we may
 * not read the command may not either, and is passed over. False with errno when we ran out of memory or
 * descriptors. */
bool dml_host_visit_tree(const char *root, const struct dml_tree *tree, bool *whole);

#endif
