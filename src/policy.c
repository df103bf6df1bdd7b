#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const dml_base_names[DML_BASE_COUNT] = {
    [DML_BASE_HOST] = "host",
    [DML_BASE_NIX] = "nix",
    [DML_BASE_NONE] = "none",
};

const char *const dml_danger_names[DML_DANGER_COUNT] = {
    [DML_DANGER_ENGINE_SOCKET] = "engine_socket",
    [DML_DANGER_SSH_AGENT] = "ssh_agent",
    [DML_DANGER_GPG_AGENT] = "gpg_agent",
    [DML_DANGER_X11] = "x11",
    [DML_DANGER_WAYLAND] = "wayland",
    [DML_DANGER_DBUS] = "dbus",
    [DML_DANGER_USER_RUNTIME] = "user_runtime",
    [DML_DANGER_HOME_RW] = "home_rw",
    [DML_DANGER_HOME] = "home",
    [DML_DANGER_ROOT_RW] = "root_rw",
    [DML_DANGER_ROOT] = "root",
    [DML_DANGER_SYS] = "sys",
    [DML_DANGER_DEVICE] = "device",
    [DML_DANGER_PATH_RW] = "path_rw",
    [DML_DANGER_LOADER_ENV] = "loader_env",
    [DML_DANGER_TTY_UNFILTERED] = "tty_unfiltered",
    [DML_DANGER_NO_SECCOMP] = "no_seccomp",
};

const char *const dml_control_names[DML_CONTROL_COUNT] = {
    [DML_CONTROL_BIND_FD] = "bind_fd",        [DML_CONTROL_DISABLE_USERNS] = "disable_userns",
    [DML_CONTROL_TMPFS_SIZE] = "tmpfs_size",  [DML_CONTROL_SECCOMP] = "seccomp",
    [DML_CONTROL_CGROUP] = "cgroup",          [DML_CONTROL_LANDLOCK] = "landlock",
    [DML_CONTROL_SCOPES] = "landlock_scopes",
};

const char *const dml_limit_names[DML_LIMIT_COUNT] = {
    [DML_LIMIT_TIMEOUT] = "timeout",     [DML_LIMIT_CPU_TIME] = "cpu_time",
    [DML_LIMIT_MEMORY] = "memory",       [DML_LIMIT_PIDS] = "pids",
    [DML_LIMIT_FILE_SIZE] = "file_size", [DML_LIMIT_OPEN_FILES] = "open_files",
    [DML_LIMIT_OUTPUT] = "output",       [DML_LIMIT_TMP] = "tmp",
};

struct dml_policy *dml_policy_new(void)
{
    return calloc(1, sizeof(struct dml_policy));
}

void dml_policy_free(struct dml_policy *policy)
{
    if (!policy)
        return;
    dml_arena_clear(&policy->arena);
    free(policy->entries);
    free(policy->env);
    free(policy);
}

/* The items of two arrays in a new one. NULL when memory is out. */
static void *joined(const void *first, size_t first_count, const void *second, size_t second_count,
                    size_t size)
{
    char *items = reallocarray(NULL, first_count + second_count + 1, size);
    if (items && first_count)
        memcpy(items, first, first_count * size);
    if (items && second_count)
        memcpy(items + first_count * size, second, second_count * size);
    return items;
}

struct dml_policy *dml_policy_on_base(const struct dml_policy *policy, const struct dml_policy *base)
{
    struct dml_policy *whole = malloc(sizeof *whole);
    if (!whole)
        return NULL;
    *whole = *policy;
    whole->arena = (struct dml_arena){0};
    whole->failed |= base->failed;
    whole->entries = joined(base->entries, base->entry_count, policy->entries, policy->entry_count,
                            sizeof *whole->entries);
    whole->env = joined(base->env, base->env_count, policy->env, policy->env_count, sizeof *whole->env);
    whole->entry_count += base->entry_count;
    whole->entry_capacity = whole->entry_count + 1;
    whole->env_count += base->env_count;
    whole->env_capacity = whole->env_count + 1;
    if (whole->entries && whole->env)
        return whole;
    dml_policy_free(whole);
    return NULL;
}

/* Makes room for one more item; returns the array or NULL. */
static void *grown(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    size_t wanted = *capacity ? *capacity * 2 : 32;
    void *larger = reallocarray(items, wanted, size);
    if (larger)
        *capacity = wanted;
    return larger;
}

struct dml_entry *dml_policy_add_entry(struct dml_policy *policy, const struct dml_entry *entry)
{
    struct dml_entry *entries =
        grown(policy->entries, policy->entry_count, &policy->entry_capacity, sizeof *entries);
    if (!entries) {
        policy->failed = true;
        return NULL;
    }
    policy->entries = entries;
    entries[policy->entry_count] = *entry;
    return &entries[policy->entry_count++];
}

bool dml_policy_add_env(struct dml_policy *policy, const struct dml_env_rule *rule)
{
    struct dml_env_rule *rules = grown(policy->env, policy->env_count, &policy->env_capacity, sizeof *rules);
    if (!rules) {
        policy->failed = true;
        return false;
    }
    policy->env = rules;
    rules[policy->env_count++] = *rule;
    return true;
}

bool dml_policy_add_bind(struct dml_policy *policy, enum dml_rank rank, const char *host, const char *sandbox,
                         bool optional, const char *field)
{
    bool writable = rank == DML_RANK_RW || rank == DML_RANK_WORK;
    struct dml_entry entry = {
        .kind = rank == DML_RANK_DEVICE ? DML_BIND_DEVICE
                : writable              ? DML_BIND_RW
                                        : DML_BIND_RO,
        .rank = rank,
        .host = dml_arena_string(&policy->arena, host),
        .sandbox = dml_arena_string(&policy->arena, sandbox),
        .optional = optional,
        .field = dml_arena_string(&policy->arena, field),
    };
    if (!entry.host || !entry.sandbox || !entry.field) {
        policy->failed = true;
        return false;
    }
    return dml_policy_add_entry(policy, &entry) != NULL;
}

unsigned dml_limits_as_a_whole(const struct dml_limits *limits)
{
    static const enum dml_limit shared[] = {DML_LIMIT_MEMORY, DML_LIMIT_PIDS, DML_LIMIT_CPU_TIME};
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++)
        bits |= limits->has[shared[i]] ? 1u << shared[i] : 0;
    return bits;
}

void dml_bind_path_inside(char inside[2 * DML_PATH_MAX], const struct dml_entry *bind, const char *host_path)
{
    const char *below = dml_path_below(host_path, bind->source.path);
    snprintf(inside, 2 * DML_PATH_MAX, "%s%s%s", strcmp(bind->sandbox, "/") == 0 ? "" : bind->sandbox,
             *below ? "/" : "", below);
}

const char *dml_bind_path_outside(const struct dml_entry *bind, const char *sandbox, struct dml_arena *arena)
{
    return dml_arena_format(arena, "%s/%s", strcmp(bind->source.path, "/") == 0 ? "" : bind->source.path,
                            dml_path_below(sandbox, bind->sandbox));
}

bool dml_is_bind(const struct dml_entry *entry)
{
    return entry->kind == DML_BIND_RO || entry->kind == DML_BIND_RW || entry->kind == DML_BIND_DEVICE;
}

bool dml_is_default(const struct dml_entry *entry)
{
    return entry->rank == DML_RANK_ENGINE || entry->rank == DML_RANK_BASE;
}

int dml_name_index(const char *name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    return -1;
}
