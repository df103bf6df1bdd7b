/* What a launch is told through descriptors: the message for the inner stage, and bwrap's arguments. */
#ifndef DML_MESSAGE_H
#define DML_MESSAGE_H

#include "bwrap.h"
#include "cgroup.h"
#include "plan.h"
#include "stage_message.h"

/* Inode numbers of our own namespaces, in which the stage must not find itself. False, with errno, when they
 * cannot be had. */
bool dml_stage_foreign(uint64_t foreign[DML_STAGE_NAMESPACES]);

/* The message for the inner stage: command, environment, directory, limits, and what it has to find.
 * `controls`: bits of enum dml_control that the backend applies; `covered`: bits of enum dml_limit that a
 * cgroup holds; `memory`: what the stage limits its cgroup by; `deadline`: when the command's time is up,
 * milliseconds of CLOCK_MONOTONIC, 0: never. `foreign`: where another program makes the namespaces, so that
 * the stage has to look whether they are new, what dml_stage_foreign found; else NULL. */
int dml_stage_message_file(const struct dml_plan *plan, unsigned controls, unsigned covered,
                           const struct dml_cgroup_memory *memory, uint64_t deadline, const uint64_t *foreign,
                           struct dml_error *error);

/* bwrap's arguments, each ended by a NUL. */
int dml_arguments_file(const struct dml_bwrap_arguments *arguments, struct dml_error *error);

#endif
