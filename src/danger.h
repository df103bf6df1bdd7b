/* What a policy may only reach when it says so on purpose (policy.md, "Validation"). */
#ifndef DML_DANGER_H
#define DML_DANGER_H

#include "host.h"
#include "policy.h"
#include "problem.h"

/* Adds a problem for every danger of the resolved `policy` that it does not acknowledge (a warning, if that
 * is what it says: `policy->warned` remembers), and a problem for what is never allowed. */
void dml_danger_check(struct dml_policy *policy, const struct dml_host *host, struct dml_problems *problems,
                      struct dml_problems *warnings);

/* The file or directory that programs of the host execute when they look at a directory, as ".git/hooks",
 * that `path` is; NULL when it is none. */
const char *dml_danger_executed_name(const char *path);

/* Whether a variable of this name changes what programs load: LD_*, GCONV_PATH, ... */
bool dml_danger_loader_name(const char *name);

#endif
