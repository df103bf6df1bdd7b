/* The plan: a validated policy joined with a command. Exactly what will be launched; every backend takes it
 * as it is. */
#ifndef DML_PLAN_H
#define DML_PLAN_H

#include "host.h"
#include "policy.h"
#include "problem.h"

struct dml_plan {
    struct dml_arena arena; /* owns everything below */

    struct dml_entry *mounts; /* in the order in which they are made */
    size_t mount_count;
    struct dml_entry *shadowed; /* entries that lost their path to a mount, or that have no place */
    size_t shadowed_count;

    char **argv; /* NULL-terminated; empty when the plan is only to be looked at */
    size_t argc;
    char **env;             /* "NAME=value", sorted by name, NULL-terminated */
    bool *env_passed;       /* whether each came from the caller */
    bool *env_secret;       /* whether the name of each says that it holds a secret */
    const char **env_field; /* where each was said: "env.CC", "env_allowlist[2]", "base", "engine" */
    size_t env_count;
    struct dml_env_rule *env_beaten; /* rules without effect, in their order: a later one beat them, or the
                                      * last one of a variable that is not there. Without values. */
    size_t env_beaten_count;

    const char *chdir;
    const char *hostname; /* NULL: the host's */
    const char *name;     /* of the policy, or NULL */
    uid_t uid;            /* inside */
    gid_t gid;
    bool by_root; /* started by the root of the machine, not of a container */
    bool network, tty, nested;
    bool seccomp;             /* the system call filter is applied */
    bool seccomp_named;       /* the policy names it: nothing runs without it */
    unsigned seccomp_options; /* bits of enum dml_seccomp_option: what the filter lets through */
    unsigned requires;        /* bits of enum dml_control */
    struct dml_limits limits; /* with `tmp` in bytes */
};

enum { DML_NOBODY = 65534 }; /* uid and gid of "nobody" */

/* The controls that a plan asks for, as bits of enum dml_control: by default, and by its limits. */
unsigned dml_plan_controls(const struct dml_plan *plan);

/* Whether a mount is a bind whose place nobody but the backend can change while it is made: so it can be
 * looked at afterwards, from inside. */
bool dml_plan_is_lone_bind(const struct dml_entry *mount);

/* The next mount, from number `*at` on, which it moves behind it, that the inner stage looks at when another
 * program made it: a bind that stands alone, or a cover of /proc. NULL when there is none left. */
const struct dml_entry *dml_plan_next_seen(const struct dml_plan *plan, size_t *at);

/* Joins a policy, validated without problems, with a command (`argc` 0: none). NULL when it cannot be
 * launched as it is; then `problems` says why, or memory is out if it says nothing. The plan copies what it
 * needs. */
struct dml_plan *dml_plan_new(const struct dml_policy *policy, const struct dml_host *host, size_t argc,
                              const char *const *argv, struct dml_problems *problems,
                              struct dml_problems *warnings);
void dml_plan_free(struct dml_plan *plan);

#endif
