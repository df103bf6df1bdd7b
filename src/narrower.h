/* Whether one policy gives no more than another. */
#ifndef DML_NARROWER_H
#define DML_NARROWER_H

#include "plan.h"

/* A validated policy without problems, with the plan that was made of it. */
struct dml_side {
    const struct dml_policy *policy;
    const struct dml_plan *plan;
};

/* Whether `a` gives its command nothing that `b` does not: of the host's files, the environment, the network,
 * limits, the filter and everything else that a policy says but where things stand inside. When not, the
 * first thing that it does is added to `excess`, as a problem `policy.wider` of `a`. False and nothing added
 * when memory is out; `excess->failed` is set then. */
bool dml_narrower(const struct dml_side *a, const struct dml_side *b, struct dml_problems *excess);

#endif
