/* What is worth a thought in a plan that can be launched: surprises, and ways out that were perhaps not
 * meant. Nothing of it stops a launch, and a launch does not look. */
#ifndef DML_LINT_H
#define DML_LINT_H

#include "plan.h"
#include "problem.h"

/* Adds a warning, with a code that starts with "lint.", for each. Looks through what is bound, as far as
 * lint_tree.c says; what cannot be looked at is a warning too. */
void dml_lint(const struct dml_plan *plan, struct dml_problems *warnings);

/* lint_tree.c: sockets and FIFOs in read-only binds, and what the host executes in writable ones. */
void dml_lint_trees(const struct dml_plan *plan, struct dml_problems *warnings);

/* Adds the warning that `path` could not be looked at; `reason` is an errno. */
void dml_lint_unseen(struct dml_problems *warnings, const char *field, const char *path, int reason);

#endif
