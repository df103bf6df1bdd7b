/* What goes through descriptors into the sandbox: memory files, pipes, and the message for the inner stage.
 */
#ifndef DML_MESSAGE_H
#define DML_MESSAGE_H

#include "bwrap.h"
#include "cgroup.h"
#include "plan.h"

/* `fd` itself, or a copy (close-on-exec) in its place above the standard three, which the host may have
 * closed; -1 stays -1, with its errno. */
int dml_raised(int fd);

/* A memory file with these bytes, at its start, that nobody can change any more; -1 when it cannot be had.
 * Close-on-exec, to be closed by the caller. */
int dml_memory_file(const char *name, const void *bytes, size_t length, struct dml_error *error);

/* A descriptor that gives these bytes to one reader: a pipe, which is the quicker one, where that holds them,
 * or a memory file. Close-on-exec, to be closed by the caller; -1 when there is neither. */
int dml_one_reading(const char *name, const void *bytes, size_t length, struct dml_error *error);

/* The inner stage and its message: command, environment, directory, limits, and what it has to find.
 * `controls`: bits of enum dml_control that the backend applies; `covered`: bits of enum dml_limit that a
 * cgroup holds; `memory`: what the stage limits its cgroup by; `deadline`: when the command's time is up,
 * milliseconds of CLOCK_MONOTONIC, 0: never. `by_others`: another program makes the namespaces, so the stage
 * has to look that they are new. */
int dml_stage_file(const struct dml_plan *plan, unsigned controls, unsigned covered,
                   const struct dml_cgroup_memory *memory, uint64_t deadline, bool by_others,
                   struct dml_error *error);

/* bwrap's arguments, each ended by a NUL. */
int dml_arguments_file(const struct dml_bwrap_arguments *arguments, struct dml_error *error);

#endif
