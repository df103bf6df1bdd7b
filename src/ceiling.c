#include "ceiling.h"
#include "amount.h"
#include "ceiling_files.h"
#include "environment.h"
#include "seccomp_rules.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

bool dml_ceiling_says(const struct dml_ceiling *ceiling, enum dml_bound bound)
{
    return ceiling->says & 1u << bound;
}

void dml_exceeds(struct dml_ceiling_check *c, const char *code, const char *field, const char *value,
                 const char *format, ...)
{
    char text[1024], file[256] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (c->ceiling->file)
        dml_quote(file, sizeof file, c->ceiling->file, strlen(c->ceiling->file));
    dml_problem_add(c->problems, code, field, value, value ? dml_shown_length(value) : 0,
                    "exceeds the ceiling%s%s: %s", *file ? " " : "", file, text);
}

char *dml_list_names(const struct dml_names *names, char *buffer, size_t size)
{
    size_t used = 0;
    snprintf(buffer, size, "nothing");
    for (size_t i = 0; i < names->count; i++) {
        char quoted[128];
        dml_quote(quoted, sizeof quoted, names->items[i], strlen(names->items[i]));
        if (used + strlen(quoted) + 8 > size) {
            snprintf(buffer + used, size - used, ", ...");
            break;
        }
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? ", " : "", quoted);
    }
    return buffer;
}

/* --- environment --- */

static bool matches(const struct dml_names *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const char *pattern = patterns->items[i];
        size_t length = strlen(pattern);
        if (length && pattern[length - 1] == '*' ? strncmp(name, pattern, length - 1) == 0
                                                 : strcmp(name, pattern) == 0)
            return true;
    }
    return false;
}

/* Whether a variable of the caller is in the plan: one that the caller has not passes nothing through. */
static bool is_passed(const struct dml_plan *plan, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < plan->env_count; i++) {
        if (plan->env_passed[i] && strncmp(plan->env[i], name, length) == 0 && plan->env[i][length] == '=')
            return true;
    }
    return false;
}

/* What passes through shows something of the caller; a value that the policy gives does not. */
static void check_environment(struct dml_ceiling_check *c)
{
    char list[512];
    const struct dml_policy *policy = c->policy;
    if (!dml_ceiling_says(c->ceiling, DML_BOUND_ENV))
        return;
    for (size_t i = 0; i < policy->env_count; i++) {
        const struct dml_env_rule *rule = &policy->env[i];
        if (rule->action == DML_ENV_PASS && strcmp(rule->field, "base") != 0 &&
            dml_environment_rule(policy, rule->name) == rule && is_passed(c->plan, rule->name) &&
            !matches(&c->ceiling->env, rule->name))
            dml_exceeds(c, "ceiling.env", rule->field, rule->name,
                        "of the caller's variables, %s may be passed through",
                        dml_list_names(&c->ceiling->env, list, sizeof list));
    }
    if (policy->caller && !matches(&c->ceiling->env, "USER") && !dml_environment_rule(policy, "USER"))
        dml_exceeds(c, "ceiling.env", "user", "caller",
                    "it passes USER through; of the caller's variables, %s may be",
                    dml_list_names(&c->ceiling->env, list, sizeof list));
}

/* --- flags, filter, dangers --- */

static void check_flags(struct dml_ceiling_check *c)
{
    const struct dml_policy *policy = c->policy, *most = c->ceiling->policy;
    const struct {
        enum dml_bound bound;
        const char *code, *field, *text;
        bool wanted, allowed;
    } flags[] = {
        {DML_BOUND_NETWORK, "ceiling.network", "network", "it allows no network", policy->network,
         most->network},
        {DML_BOUND_TTY, "ceiling.tty", "tty", "it allows nobody to keep the terminal", policy->tty,
         most->tty},
        {DML_BOUND_NESTED, "ceiling.nested", "nested", "it allows no user namespaces inside", policy->nested,
         most->nested},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (dml_ceiling_says(c->ceiling, flags[i].bound) && flags[i].wanted && !flags[i].allowed)
            dml_exceeds(c, flags[i].code, flags[i].field, NULL, "%s", flags[i].text);
    }
}

static void check_filter(struct dml_ceiling_check *c)
{
    const struct dml_policy *policy = c->policy, *most = c->ceiling->policy;
    if (policy->seccomp == DML_SECCOMP_OFF && !policy->acknowledged[DML_DANGER_NO_SECCOMP])
        dml_exceeds(c, "ceiling.seccomp", "seccomp", "off",
                    "under a ceiling this is to be accepted: acknowledge = { \"no_seccomp\" }");
    if (!dml_ceiling_says(c->ceiling, DML_BOUND_SECCOMP) || most->seccomp == DML_SECCOMP_OFF)
        return;
    if (policy->seccomp == DML_SECCOMP_OFF)
        dml_exceeds(c, "ceiling.seccomp", "seccomp", "off", "it requires the filter of system calls");
    for (int i = 0; i < DML_OPTION_COUNT; i++) {
        if (policy->seccomp_options & ~most->seccomp_options & 1u << i)
            dml_exceeds(c, "ceiling.seccomp", "seccomp", dml_seccomp_option_names[i],
                        "its filter does not let this through");
    }
}

static void check_dangers(struct dml_ceiling_check *c)
{
    for (int i = 0; dml_ceiling_says(c->ceiling, DML_BOUND_ACKNOWLEDGE) && i < DML_DANGER_COUNT; i++) {
        bool accepted = c->policy->acknowledged[i] || c->policy->warned[i];
        if (accepted && !c->ceiling->policy->acknowledged[i])
            dml_exceeds(c, "ceiling.acknowledge", "acknowledge", dml_danger_names[i],
                        "it does not allow this danger to be accepted");
    }
}

/* --- limits --- */

static uint64_t most_of(const struct dml_limits *limits, int limit)
{
    if (limit == DML_LIMIT_TMP && limits->tmp_share > 0)
        return (uint64_t)((double)dml_host_memory() * limits->tmp_share);
    return limits->value[limit];
}

static void too_much(struct dml_ceiling_check *c, int limit, const char *field, uint64_t value)
{
    uint64_t most = most_of(&c->ceiling->policy->limits, limit);
    dml_exceeds(c, "ceiling.limit", field, NULL, "%s is more than the %s that it allows",
                dml_limit_amount_beside(limit, value, most).text,
                dml_limit_amount_beside(limit, most, value).text);
}

static void check_limits(struct dml_ceiling_check *c)
{
    const struct dml_limits *most = &c->ceiling->policy->limits;
    for (int i = 0; i < DML_LIMIT_COUNT; i++) {
        char field[32];
        snprintf(field, sizeof field, "limits.%s", dml_limit_names[i]);
        if (most->has[i] && c->plan->limits.value[i] > most_of(most, i))
            too_much(c, i, field, c->plan->limits.value[i]);
    }
    uint64_t most_tmp = most->has[DML_LIMIT_TMP] ? most_of(most, DML_LIMIT_TMP) : UINT64_MAX;
    for (size_t i = 0; i < c->plan->mount_count; i++) {
        const struct dml_entry *mount = &c->plan->mounts[i];
        if (mount->kind == DML_TMPFS && mount->rank != DML_RANK_ENGINE && mount->size > most_tmp)
            too_much(c, DML_LIMIT_TMP, mount->field, mount->size);
    }
}

void dml_ceilings_give_limits(const struct dml_ceiling *const *ceilings, size_t count,
                              struct dml_policy *policy)
{
    if (count == 0)
        return;
    for (int limit = 0; limit < DML_LIMIT_COUNT; limit++) {
        bool given = policy->limits.has[limit];
        uint64_t least =
            limit == DML_LIMIT_TMP ? dml_host_memory() / 4 : UINT64_MAX; /* `tmp` has a default */
        for (size_t i = 0; i < count && !given; i++) {
            const struct dml_limits *most = &ceilings[i]->policy->limits;
            uint64_t value = most_of(most, limit);
            if (!most->has[limit])
                continue;
            if (value < least || !policy->limits.has[limit])
                policy->limits.ceiling[limit] = value <= least ? i + 1 : 0;
            least = value < least ? value : least;
            policy->limits.has[limit] = true;
            policy->limits.value[limit] = least;
        }
    }
}

void dml_ceiling_check(const struct dml_ceiling *ceiling, const struct dml_policy *policy,
                       const struct dml_plan *plan, struct dml_problems *problems)
{
    struct dml_ceiling_check c = {.ceiling = ceiling, .policy = policy, .plan = plan, .problems = problems};
    dml_ceiling_check_files(&c);
    check_environment(&c);
    check_flags(&c);
    check_filter(&c);
    check_dangers(&c);
    check_limits(&c);
}
