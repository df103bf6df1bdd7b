/* bubblewrap: a plan as its arguments, and what a given binary can do. */
#ifndef DML_BWRAP_H
#define DML_BWRAP_H

#include "plan.h"

/* What a bwrap binary can do. Versions lie (distributions patch), so it is found out by trying. */
struct dml_bwrap_features {
    bool bind_fd;        /* --bind-fd, --ro-bind-fd */
    bool disable_userns; /* --disable-userns */
    bool seccomp;        /* --add-seccomp-fd */
    bool size;           /* --size */
};

/* Every feature: what a launch assumes until a binary refuses. */
extern const struct dml_bwrap_features dml_bwrap_all_features;

/* The controls that a bwrap with these features applies to `plan`, as bits of enum dml_control. */
unsigned dml_bwrap_controls(const struct dml_plan *plan, const struct dml_bwrap_features *features);

enum {
    DML_BWRAP_MAX_ARGUMENTS = 9000
}; /* bubblewrap.c, MAX_ARGS: all arguments, those of --args among them */

/* The arguments of a launch, without the command. Descriptors that bwrap needs are numbered from DML_FD_COUNT
 * on: first one for each of `files`, then one for each of `sources`. */
struct dml_bytes {
    const void *data;
    size_t length;
};

struct dml_bwrap_arguments {
    struct dml_arena arena;
    const char **items;
    size_t count, capacity;
    struct dml_bytes *files; /* content that bwrap reads from a descriptor; the filter is the last */
    size_t file_count;
    const struct dml_entry **sources; /* whose host objects are to be opened and handed over */
    size_t source_count;
    const struct dml_entry **paths; /* whose host objects bwrap finds by their paths */
    size_t path_count;
};

/* Renders `plan`. With `shown` descriptors appear as the paths that they stand for, to be read by people.
 * False when memory is out or when there are too many arguments. The caller clears `arguments` in every case.
 */
bool dml_bwrap_render(const struct dml_plan *plan, const struct dml_bwrap_features *features, bool shown,
                      struct dml_bwrap_arguments *arguments, struct dml_error *error);
void dml_bwrap_arguments_clear(struct dml_bwrap_arguments *arguments);

/* Adds a problem when the plan has more mounts than bwrap takes arguments for. */
void dml_bwrap_check(const struct dml_plan *plan, struct dml_problems *problems);

#endif
