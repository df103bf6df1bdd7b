/* What stands where inside: the mounts of a plan, in the order in which they are made. */
#ifndef DML_MOUNTS_H
#define DML_MOUNTS_H

#include "plan.h"

/* Joins the entries of a validated policy with the engine's own, finds each its place, pins what protects,
 * and fills `plan->mounts`; `plan->limits` is set already. What has no place is a problem. False when memory
 * is out. */
bool dml_mounts_build(struct dml_plan *plan, const struct dml_policy *policy, const struct dml_host *host,
                      struct dml_problems *problems, struct dml_problems *warnings);

/* The deepest mount at or above `path` (`strictly`: above), or NULL. */
const struct dml_entry *dml_plan_mount_at(const struct dml_plan *plan, const char *path, bool strictly);

/* Whether something is mounted below a tree that can be written to from the host while it is. */
bool dml_plan_nests_in_writable(const struct dml_plan *plan);

/* Whether what stands there is an object of the host: a tree or file of it, or a device. */
bool dml_is_of_host(const struct dml_entry *entry);

/* The same but for devices. */
bool dml_is_host_tree(const struct dml_entry *entry);

#endif
