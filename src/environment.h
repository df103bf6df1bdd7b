/* The environment of a plan. */
#ifndef DML_ENVIRONMENT_H
#define DML_ENVIRONMENT_H

#include "plan.h"

/* Applies the rules of a policy to the caller's environment and fills `plan->env`, sorted by name. False when
 * memory is out. */
bool dml_environment_build(struct dml_plan *plan, const struct dml_policy *policy,
                           const struct dml_host *host);

#endif
