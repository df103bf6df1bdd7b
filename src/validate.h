/* The rules that a frozen policy must meet (policy.md, "Validation"). */
#ifndef DML_VALIDATE_H
#define DML_VALIDATE_H

#include "host.h"
#include "policy.h"
#include "problem.h"

/* Checks every rule and adds a problem for each one broken. On the way paths become canonical, sources are
 * resolved, and optional entries that are not there and repeated equal entries are dropped, so that a policy
 * without problems is ready for a plan. `warnings` gets what is worth saying but stops nothing. */
void dml_validate(struct dml_policy *policy, const struct dml_host *host, struct dml_problems *problems,
                  struct dml_problems *warnings);

/* Adds a problem unless `path` is an absolute path without `.` and `..`; makes it canonical. `advice`: what
 * to write for a relative one. */
#define DML_ABSOLUTE_INSIDE "a path inside starts with /"
bool dml_validate_path(char *path, const char *field, const char *advice, struct dml_problems *problems);

#endif
