/* The ceiling: an operator's bound that no policy may exceed. */
#ifndef DML_CEILING_H
#define DML_CEILING_H

#include "plan.h"

struct dml_names {
    const char **items;
    size_t count;
};

/* What bounds nothing is absent: `says` has no bit for it. */
enum dml_bound {
    DML_BOUND_READ,
    DML_BOUND_WRITE,
    DML_BOUND_BASES,
    DML_BOUND_ENV,
    DML_BOUND_SECCOMP,
    DML_BOUND_ACKNOWLEDGE,
    DML_BOUND_NETWORK,
    DML_BOUND_TTY,
    DML_BOUND_NESTED,
};

struct dml_ceiling {
    struct dml_policy *policy; /* limits, filter, dangers and the rest of what a policy says too, each as the
                                * most that may be; owns all memory */
    const char *file;          /* where it was read from, or NULL */
    unsigned says;             /* bits of enum dml_bound */
    struct dml_names read, write, deny; /* canonical host paths: these trees */
    struct dml_names env;               /* names, which may end in `*` */
    unsigned bases;                     /* bits of enum dml_base */
};

/* Gives a frozen policy the limits that it does not have and the ceilings do. Before the validation. */
void dml_ceilings_give_limits(const struct dml_ceiling *const *ceilings, size_t count,
                              struct dml_policy *policy);

/* Adds a problem for everything in which a validated policy, of which `plan` was made, exceeds the ceiling.
 * Files are looked at as the plan shows them. Sets `problems->failed` when memory is out. */
void dml_ceiling_check(const struct dml_ceiling *ceiling, const struct dml_policy *policy,
                       const struct dml_plan *plan, struct dml_problems *problems);

#endif
