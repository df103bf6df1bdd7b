/* The cgroup of one sandbox: limits on all of it together, of version 1 (a directory in each hierarchy) or of
 * version 2. */
#ifndef DML_CGROUP_H
#define DML_CGROUP_H

#include "host_cgroup.h"
#include "policy.h"
#include "problem.h"
#include "stage_message.h"

/* A zeroed one has no parts and does nothing. */
struct dml_cgroup {
    struct dml_cgroup_part {
        char *path;
        unsigned controllers; /* bits of enum dml_controller that it is used for */
        bool unified;
    } parts[DML_CONTROLLER_COUNT];
    size_t count;
    unsigned covers; /* bits of enum dml_limit that hold for the sandbox as a whole */
};

/* Makes a cgroup for these limits below our own: memory, processes and processor time, what there is; a limit
 * that `covers` lacks is for the caller to set otherwise, and that of memory for who runs in it: see
 * dml_cgroup_open_memory. `ours`: processes in it besides the command's. With
 * `required` each of them must be had, and a cgroup also where no limit asks for one. `swept`: whether what
 * dead runners left behind was taken away already; it is done and set when not. False with an error when
 * nothing may run; then nothing was made. */
bool dml_cgroup_make(struct dml_cgroup *cgroup, const struct dml_limits *limits, unsigned ours, bool required,
                     bool *swept, struct dml_error *error);

/* Opens cgroup.procs of each part, close-on-exec, into `fds` (of DML_CONTROLLER_COUNT): a process that writes
 * "0" to each is in it. Returns how many, -1 with an error. The caller closes them. */
int dml_cgroup_open(const struct dml_cgroup *cgroup, int *fds, struct dml_error *error);

/* The files by which the memory of a cgroup is limited and, where that is counted, with it what is swapped
 * out: close-on-exec, -1 where there is none; and what is to be written to each, in this order. */
struct dml_cgroup_memory {
    int files[2];
    char texts[2][DML_STAGE_NUMBER];
};

/* Opens them; the caller closes them, also after false with an error. Both are -1 when `covers` lacks memory.
 */
bool dml_cgroup_open_memory(const struct dml_cgroup *cgroup, uint64_t bytes, struct dml_cgroup_memory *memory,
                            struct dml_error *error);

/* Processor time of everything that was in it, milliseconds. */
uint64_t dml_cgroup_cpu_time(const struct dml_cgroup *cgroup);

/* How often a limit of it has hit: processes killed for want of memory, or not started. */
uint64_t dml_cgroup_hits(const struct dml_cgroup *cgroup, enum dml_controller controller);

/* Takes the cgroup away, waiting up to `milliseconds` for its last process to leave it. False when it is
 * still there; a later sweep takes it. Memory is given back by `dml_cgroup_clear`, in any case. */
bool dml_cgroup_remove(struct dml_cgroup *cgroup, int milliseconds);
void dml_cgroup_clear(struct dml_cgroup *cgroup);

/* Where a program that owns its process goes, so that its own cgroup of version 2 can hand controllers down:
 * a cgroup with processes of its own hands none down. A zeroed one is nowhere. */
struct dml_cgroup_leaf {
    char *home, *path;
};

/* Moves this process into a leaf of its own cgroup, when that is of version 2, ours to change, and has no
 * other process. Where that cannot be, everything stays as it is. */
void dml_cgroup_settle(struct dml_cgroup_leaf *leaf);

/* Goes home and takes the leaf away; no cgroup of a sandbox may be left. */
void dml_cgroup_return(struct dml_cgroup_leaf *leaf);

#endif
