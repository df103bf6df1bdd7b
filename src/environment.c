#include "environment.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct variable {
    const char *name, *value; /* value NULL: left out */
    bool passed;              /* from the caller */
    const char *field;        /* where that was said */
};

struct environment {
    struct dml_arena *arena;
    struct variable *items;
    size_t count, capacity;
    struct variable *beaten; /* what items were before */
    size_t beaten_count, beaten_capacity;
    bool failed;
};

static void append(struct environment *env, struct variable **list, size_t *count, size_t *capacity,
                   const struct variable *variable)
{
    if (*count == *capacity) {
        size_t larger = *capacity * 2 + 16;
        struct variable *items = dml_arena_array(env->arena, larger, sizeof *items);
        if (!items) {
            env->failed = true;
            return;
        }
        if (*count)
            memcpy(items, *list, *count * sizeof *items);
        *list = items;
        *capacity = larger;
    }
    (*list)[(*count)++] = *variable;
}

static void set_variable(struct environment *env, struct variable variable)
{
    for (size_t i = 0; i < env->count; i++) {
        if (strcmp(env->items[i].name, variable.name) == 0) {
            append(env, &env->beaten, &env->beaten_count, &env->beaten_capacity, &env->items[i]);
            env->items[i] = variable;
            return;
        }
    }
    append(env, &env->items, &env->count, &env->capacity, &variable);
}

/* Passes every variable of the caller through whose name starts with `prefix`. */
static void pass_pattern(struct environment *env, const struct dml_host *host, const char *prefix,
                         size_t length)
{
    for (char *const *at = host->environment; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        if (!equals || strncmp(*at, prefix, length) != 0)
            continue;
        const char *name = dml_arena_copy(env->arena, *at, (size_t)(equals - *at));
        if (name)
            set_variable(env, (struct variable){name, equals + 1, true, "base"});
        else
            env->failed = true;
    }
}

size_t dml_environment_pattern(const struct dml_env_rule *rule)
{
    size_t length = strlen(rule->name);
    bool pattern = length && rule->name[length - 1] == '*' && strcmp(rule->field, "base") == 0;
    return pattern ? length - 1 : 0;
}

/* HOME and USER are never passed through. */
static bool is_own(const char *name)
{
    return strcmp(name, "HOME") == 0 || strcmp(name, "USER") == 0;
}

static void apply_rule(struct environment *env, const struct dml_host *host, const struct dml_env_rule *rule)
{
    switch (rule->action) {
    case DML_ENV_SET:
        set_variable(env, (struct variable){rule->name, rule->value, false, rule->field});
        break;
    case DML_ENV_OMIT: set_variable(env, (struct variable){rule->name, NULL, false, rule->field}); break;
    case DML_ENV_PASS:
        if (dml_environment_pattern(rule))
            pass_pattern(env, host, rule->name, dml_environment_pattern(rule));
        else if (!is_own(rule->name))
            set_variable(env,
                         (struct variable){rule->name, dml_host_getenv(host, rule->name), true, rule->field});
        break;
    }
}

const struct dml_env_rule *dml_environment_rule(const struct dml_policy *policy, const char *name)
{
    for (size_t i = policy->env_count; i-- > 0;) {
        const struct dml_env_rule *rule = &policy->env[i];
        size_t length = dml_environment_pattern(rule);
        bool speaks = length ? strncmp(rule->name, name, length) == 0 : strcmp(rule->name, name) == 0;
        if (speaks && !(rule->action == DML_ENV_PASS && is_own(name)))
            return rule;
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct variable *)a)->name, ((const struct variable *)b)->name);
}

static void set_user(struct environment *env, const struct dml_policy *policy, const struct dml_host *host)
{
    const char *name = policy->caller ? dml_host_user_name(host) : "nobody";
    bool passed = name == dml_host_getenv(host, "USER");
    set_variable(env, (struct variable){"USER", name, passed, policy->caller ? "user" : "engine"});
}

/* What has no effect: rules that were beaten, and the last ones of variables that are not there. */
static bool copy_beaten(struct environment *env, struct dml_plan *plan)
{
    for (size_t i = 0; i < env->count; i++) {
        if (!env->items[i].value)
            append(env, &env->beaten, &env->beaten_count, &env->beaten_capacity, &env->items[i]);
    }
    plan->env_beaten = dml_arena_array(env->arena, env->beaten_count, sizeof *plan->env_beaten);
    if (env->failed || !plan->env_beaten)
        return false;
    for (size_t i = 0; i < env->beaten_count; i++) {
        const struct variable *variable = &env->beaten[i];
        struct dml_env_rule *rule = &plan->env_beaten[plan->env_beaten_count++];
        *rule = (struct dml_env_rule){
            .action = variable->passed  ? DML_ENV_PASS
                      : variable->value ? DML_ENV_SET
                                        : DML_ENV_OMIT,
            .name = dml_arena_string(env->arena, variable->name),
            .field = dml_arena_string(env->arena, variable->field),
        };
        if (!rule->name || !rule->field)
            return false;
    }
    return true;
}

bool dml_environment_build(struct dml_plan *plan, const struct dml_policy *policy,
                           const struct dml_host *host)
{
    struct environment env = {.arena = &plan->arena};
    set_variable(&env, (struct variable){"HOME", "/work", false, "engine"});
    set_user(&env, policy, host);
    for (size_t i = 0; i < policy->env_count; i++)
        apply_rule(&env, host, &policy->env[i]);
    if (env.failed)
        return false;
    qsort(env.items, env.count, sizeof *env.items, by_name);
    plan->env = dml_arena_array(&plan->arena, env.count + 1, sizeof *plan->env);
    plan->env_passed = dml_arena_array(&plan->arena, env.count, sizeof *plan->env_passed);
    plan->env_secret = dml_arena_array(&plan->arena, env.count, sizeof *plan->env_secret);
    plan->env_field = dml_arena_array(&plan->arena, env.count, sizeof *plan->env_field);
    if (!plan->env || !plan->env_passed || !plan->env_secret || !plan->env_field)
        return false;
    for (size_t i = 0; i < env.count; i++) {
        if (!env.items[i].value)
            continue;
        char *text = dml_arena_format(&plan->arena, "%s=%s", env.items[i].name, env.items[i].value);
        if (!text)
            return false;
        plan->env_passed[plan->env_count] = env.items[i].passed;
        plan->env_secret[plan->env_count] = dml_is_secret_name(env.items[i].name);
        if (!(plan->env_field[plan->env_count] = dml_arena_string(&plan->arena, env.items[i].field)))
            return false;
        plan->env[plan->env_count++] = text;
    }
    return copy_beaten(&env, plan);
}
