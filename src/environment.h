/* The environment of a plan. */
#ifndef DML_ENVIRONMENT_H
#define DML_ENVIRONMENT_H

#include "plan.h"

/* Applies the rules of a policy to the caller's environment and fills `plan->env`, sorted by name. False when
 * memory is out. */
bool dml_environment_build(struct dml_plan *plan, const struct dml_policy *policy,
                           const struct dml_host *host);

/* Of the rules of a base, those whose name ends in `*` are patterns: the length before that; else 0. */
size_t dml_environment_pattern(const struct dml_env_rule *rule);

/* The rule of a policy that decides about a variable, or NULL when none does. `name` may also be the pattern
 * of a base, and stands then for all variables that only the pattern speaks of. */
const struct dml_env_rule *dml_environment_rule(const struct dml_policy *policy, const char *name);

#endif
