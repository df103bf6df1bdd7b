/* The environment of a plan, and which of its values are never shown. */
#ifndef DML_ENVIRONMENT_H
#define DML_ENVIRONMENT_H

#include "plan.h"

/* Applies the rules of a policy to the caller's environment and fills `plan->env`, sorted by name. False when
 * memory is out. */
bool dml_environment_build(struct dml_plan *plan, const struct dml_policy *policy,
                           const struct dml_host *host);

/* Whether a variable of this name holds a secret: TOKEN, SECRET, KEY or PASSWORD stands in it, in any case.
 */
bool dml_environment_is_secret(const char *name);

/* How many bytes of a name may be shown: all of them, but of "API_TOKEN=value", written for a name by
 * mistake, not the value. */
size_t dml_environment_shown_length(const char *name);

#endif
