/* Starting a program of the host: a clone that shares our memory until it has executed, so that nothing is
 * copied. */
#ifndef DML_SPAWN_H
#define DML_SPAWN_H

#include "policy.h"
#include "problem.h"

#include <sys/types.h>

struct dml_spawn {
    const char *path;  /* of the program, absolute; its environment is empty */
    char *const *argv; /* NULL-terminated */
    const int
        *descriptors; /* descriptor i of the program is a copy of ours; it gets no others but the sources */
    size_t descriptor_count;
    /* Binds. The source of each must be what it was when it was resolved. Those of `sources` are open
     * (O_PATH) as the descriptors that follow, those of `paths` are only looked at. */
    const struct dml_entry *const *sources, *const *paths;
    size_t source_count, path_count;
    const int *cgroups; /* cgroup.procs of each that it is to be in, open for writing */
    size_t cgroup_count;
};

/* Starts it, with every signal blocked; supplementary groups are dropped when we are root. Returns a
 * descriptor for the process (close-on-exec, to be closed by the caller) and its pid, to be reaped by the
 * caller; -1 when it was not started. Safe in a program with threads. */
int dml_spawn(const struct dml_spawn *spawn, pid_t *pid, struct dml_error *error);

/* Waits for its end and closes its descriptor. Returns its exit code, -1 after a signal, and 0 when a host
 * that reaps everything was first: by number we might take another's child then. */
int dml_spawn_reap(int pidfd);

#endif
