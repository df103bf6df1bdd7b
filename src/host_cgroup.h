/* Where cgroups of ours can be made: below the cgroup that this process is in, of version 1 and version 2. */
#ifndef DML_HOST_CGROUP_H
#define DML_HOST_CGROUP_H

#include "arena.h"

#include <stdbool.h>
#include <stddef.h>

/* What a cgroup limits or counts. */
enum dml_controller { DML_CONTROLLER_MEMORY, DML_CONTROLLER_PIDS, DML_CONTROLLER_CPU, DML_CONTROLLER_COUNT };

/* A directory in which we may make cgroups. */
struct dml_cgroup_place {
    const char *directory;
    unsigned controllers; /* bits of enum dml_controller that a cgroup made there has */
    bool unified;         /* version 2 */
};

struct dml_cgroup_places {
    struct dml_arena arena; /* owns the paths */
    struct dml_cgroup_place items[DML_CONTROLLER_COUNT + 1];
    size_t count;
};

/* Finds the places; where there are none `places` is empty. False with errno when memory or descriptors ran
 * out over it, so that nothing is known. Of version 2, whose controllers are handed down by a parent that has
 * no processes, it is our own cgroup when it has handed some down or may, or the one above it when that is
 * marked as delegated. The caller clears it. */
bool dml_host_cgroup_places(struct dml_cgroup_places *places);
void dml_host_cgroup_places_clear(struct dml_cgroup_places *places);

/* The directory of our own cgroup of version 2, in `arena`; NULL when it cannot be seen. */
const char *dml_host_unified_cgroup(struct dml_arena *arena);

/* Whether a place has this controller, or may have: that is not known when something ran out. */
bool dml_host_can_limit(enum dml_controller controller);

/* Reads a small file of a cgroup into `buffer`, as text. False with errno. */
bool dml_host_cgroup_read(const char *directory, const char *name, char *buffer, size_t size);

/* Whether `word` stands in `text`, between spaces or the ends of lines. */
bool dml_host_has_word(const char *text, const char *word);

#endif
