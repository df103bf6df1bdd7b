#include "narrower.h"
#include "amount.h"
#include "environment.h"
#include "reach.h"
#include "seccomp_rules.h"

#include <stdio.h>
#include <string.h>

struct comparison {
    const struct dml_side *a, *b;
    struct dml_problems *excess;
};

/* Says what `a` has and `b` not, of `what` when that is not NULL; returns false, for the caller to return. */
static bool __attribute__((format(printf, 4, 5)))
wider(struct comparison *c, const char *field, const char *what, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dml_problem_add(c->excess, "policy.wider", field, what, what ? strlen(what) : 0, "%s", text);
    return false;
}

/* --- files --- */

static bool compare_at(struct comparison *c, const struct dml_reach *a, const struct dml_reach *b,
                       const char *path)
{
    const struct dml_shown *tree = NULL;
    enum dml_access ours = dml_reach_at(a, path, &tree), theirs = dml_reach_at(b, path, NULL);
    if (ours <= theirs)
        return true;
    static const char *const can[] = {"", "read", "written", "used as a device"};
    static const char *const lets[] = {"gives no access to it", "lets it be read alone",
                                       "does not let it be used as a device"};
    return wider(c, tree->mount->field, path, "can be %s; the other %s", can[ours], lets[theirs]);
}

/* Between the paths where a tree or a hole begins nothing changes: a look at each is a look everywhere. */
static bool compare_where_changes(struct comparison *c, const struct dml_reach *a, const struct dml_reach *b,
                                  const struct dml_reach *places)
{
    for (size_t i = 0; i < places->count; i++) {
        const struct dml_shown *tree = &places->trees[i];
        if (!compare_at(c, a, b, tree->path))
            return false;
        for (size_t j = 0; j < tree->hole_count; j++) {
            if (!compare_at(c, a, b, tree->holes[j]))
                return false;
        }
    }
    return true;
}

static bool compare_files(struct comparison *c)
{
    struct dml_arena arena = {0};
    struct dml_reach a, b;
    bool narrower = false;
    if (dml_reach_build(&a, c->a->plan, &arena) && dml_reach_build(&b, c->b->plan, &arena))
        narrower = compare_where_changes(c, &a, &b, &a) && compare_where_changes(c, &a, &b, &b);
    else
        c->excess->failed = true;
    dml_arena_clear(&arena);
    return narrower;
}

/* What `b` allows each private file system to hold: its limit, or what it gives one at the same place. */
static bool compare_memory_files(struct comparison *c)
{
    const struct dml_plan *a = c->a->plan, *b = c->b->plan;
    for (size_t i = 0; i < a->mount_count; i++) {
        const struct dml_entry *mount = &a->mounts[i];
        uint64_t most = b->limits.value[DML_LIMIT_TMP];
        if (mount->kind != DML_TMPFS)
            continue;
        for (size_t j = 0; j < b->mount_count; j++) {
            const struct dml_entry *other = &b->mounts[j];
            if (other->kind == DML_TMPFS && other->size > most && strcmp(other->sandbox, mount->sandbox) == 0)
                most = other->size;
        }
        if (mount->size > most)
            return wider(c, mount->field, mount->sandbox, "can hold %s; the other allows %s",
                         dml_limit_amount_beside(DML_LIMIT_TMP, mount->size, most).text,
                         dml_limit_amount_beside(DML_LIMIT_TMP, most, mount->size).text);
    }
    return true;
}

/* --- environment --- */

static bool same_value(const struct dml_env_rule *a, const struct dml_env_rule *b)
{
    return b && b->action == DML_ENV_SET && strcmp(a->value, b->value) == 0;
}

static bool compare_variable(struct comparison *c, const char *name)
{
    const struct dml_env_rule *ours = dml_environment_rule(c->a->policy, name);
    const struct dml_env_rule *theirs = dml_environment_rule(c->b->policy, name);
    if (!ours || ours->action == DML_ENV_OMIT)
        return true;
    if (ours->action == DML_ENV_SET)
        return same_value(ours, theirs) ||
               wider(c, ours->field, name, "is set to a value that the other does not give it");
    return (theirs && theirs->action == DML_ENV_PASS) ||
           wider(c, ours->field, name, "is passed through from the caller; the other does not do that");
}

static bool compare_variables(struct comparison *c, const struct dml_policy *names)
{
    for (size_t i = 0; i < names->env_count; i++) {
        if (!compare_variable(c, names->env[i].name))
            return false;
    }
    return true;
}

static bool compare_environment(struct comparison *c)
{
    return compare_variables(c, c->a->policy) && compare_variables(c, c->b->policy);
}

/* --- the rest --- */

static bool compare_flags(struct comparison *c)
{
    const struct dml_policy *a = c->a->policy, *b = c->b->policy;
    const struct {
        const char *field, *text;
        bool ours, theirs;
    } flags[] = {
        {"network", "the host's network is shared; the other gives none", a->network, b->network},
        {"tty", "the terminal is kept; the other takes it away", a->tty, b->tty},
        {"nested", "user namespaces can be made; the other allows none", a->nested, b->nested},
        {"user", "the command is the caller; for the other it is nobody", a->caller, b->caller},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (flags[i].ours && !flags[i].theirs)
            return wider(c, flags[i].field, NULL, "%s", flags[i].text);
    }
    return true;
}

static bool compare_filter(struct comparison *c)
{
    const struct dml_plan *a = c->a->plan, *b = c->b->plan;
    if (!b->seccomp)
        return true;
    if (!a->seccomp)
        return wider(c, "seccomp", NULL, "no system call is filtered; the other has the filter");
    for (unsigned i = 0; i < DML_OPTION_COUNT; i++) {
        if (a->seccomp_options & ~b->seccomp_options & 1u << i)
            return wider(c, "seccomp", dml_seccomp_option_names[i],
                         "is let through; the filter of the other refuses it");
    }
    return true;
}

static bool compare_limits(struct comparison *c)
{
    const struct dml_limits *a = &c->a->plan->limits, *b = &c->b->plan->limits;
    for (int i = 0; i < DML_LIMIT_COUNT; i++) {
        char field[32] = "limits.";
        bool always = i == DML_LIMIT_TMP; /* a plan has one in any case */
        strcat(field, dml_limit_names[i]);
        if (!always && !b->has[i])
            continue;
        uint64_t ours = a->value[i], theirs = b->value[i];
        if (!always && !a->has[i])
            return wider(c, field, NULL, "there is no such limit; the other has one of %s",
                         dml_limit_amount(i, theirs).text);
        if (ours > theirs)
            return wider(c, field, NULL, "%s is more than the %s of the other",
                         dml_limit_amount_beside(i, ours, theirs).text,
                         dml_limit_amount_beside(i, theirs, ours).text);
    }
    return true;
}

static bool compare_dangers(struct comparison *c)
{
    const struct dml_policy *a = c->a->policy, *b = c->b->policy;
    for (int i = 0; i < DML_DANGER_COUNT; i++) {
        if ((a->acknowledged[i] || a->wire) && !(b->acknowledged[i] || b->wire))
            return wider(c, "acknowledge", dml_danger_names[i], "is accepted; the other does not accept it");
    }
    return true;
}

static bool compare_requirements(struct comparison *c)
{
    for (int i = 0; i < DML_CONTROL_COUNT; i++) {
        if (c->b->policy->requires & ~c->a->policy->requires & 1u << i)
            return wider(c, "requires", dml_control_names[i],
                         "may be left out where this host cannot do it; the other requires it");
    }
    return true;
}

bool dml_narrower(const struct dml_side *a, const struct dml_side *b, struct dml_problems *excess)
{
    struct comparison c = {.a = a, .b = b, .excess = excess};
    return compare_flags(&c) && compare_filter(&c) && compare_files(&c) && compare_environment(&c) &&
           compare_limits(&c) && compare_memory_files(&c) && compare_dangers(&c) && compare_requirements(&c);
}
