/* What of the host a plan shows, in host paths: the question that ceilings and comparisons ask. */
#ifndef DML_REACH_H
#define DML_REACH_H

#include "plan.h"

/* In a tree device nodes cannot be opened; a device can, and then be read and written. */
enum dml_access { DML_ACCESS_NONE, DML_ACCESS_READ, DML_ACCESS_WRITE, DML_ACCESS_DEVICE };

/* One tree of the host, as one mount shows it. */
struct dml_shown {
    const struct dml_entry *mount;
    const char *path; /* on the host, with every link resolved */
    enum dml_access access;
    const char **holes; /* host paths below it where something else is mounted */
    size_t hole_count;
};

struct dml_reach {
    struct dml_shown *trees;
    size_t count;
};

/* Finds the trees of a plan. They live in `arena` and point into the plan. False when memory is out. */
bool dml_reach_build(struct dml_reach *reach, const struct dml_plan *plan, struct dml_arena *arena);

/* Whether a tree shows the host path, which is canonical and without links. */
bool dml_shown_has(const struct dml_shown *tree, const char *path);

/* The most that a plan allows at a host path, and in `through` (may be NULL) the tree that does. What holds
 * at a path holds for all below it, down to the next tree or hole. */
enum dml_access dml_reach_at(const struct dml_reach *reach, const char *path,
                             const struct dml_shown **through);

#endif
