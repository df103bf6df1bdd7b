#include "plan.h"
#include "environment.h"
#include "mounts.h"
#include "path.h"
#include "seccomp_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct builder {
    struct dml_plan *plan;
    const struct dml_policy *policy;
    const struct dml_host *host;
    struct dml_problems *problems;
};

enum { LONGEST_ARGUMENT = 131071 }; /* Linux: MAX_ARG_STRLEN less the NUL */

static bool build_command(struct builder *b, size_t argc, const char *const *argv)
{
    struct dml_plan *plan = b->plan;
    size_t total = 0;
    plan->argv = dml_arena_array(&plan->arena, argc + 1, sizeof *plan->argv);
    if (!plan->argv)
        return false;
    for (size_t i = 0; i < argc; i++) {
        char field[48];
        size_t length = strlen(argv[i]);
        snprintf(field, sizeof field, "command[%zu]", i + 1);
        if (i == 0 && length == 0)
            dml_problem_add(b->problems, "command.empty", field, "", 0, "the program's name is empty");
        if (length > LONGEST_ARGUMENT)
            dml_problem_add(b->problems, "command.long", field, argv[i], length,
                            "has %zu bytes; the kernel takes at most %d in one argument", length,
                            LONGEST_ARGUMENT);
        total += length + 1 + sizeof(char *);
        if (!(plan->argv[i] = dml_arena_string(&plan->arena, argv[i])))
            return false;
    }
    plan->argc = argc;
    for (size_t i = 0; i < plan->env_count; i++)
        total += strlen(plan->env[i]) + 1 + sizeof(char *);
    struct rlimit stack;
    size_t most = 6 * 1024 * 1024; /* the kernel's own bound, whatever the stack */
    if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur / 4 < most)
        most = stack.rlim_cur / 4 < LONGEST_ARGUMENT ? LONGEST_ARGUMENT : stack.rlim_cur / 4;
    if (total + 4096 > most)
        dml_problem_add(b->problems, "command.long", "command", NULL, 0,
                        "command and environment have %zu bytes; the kernel takes at most %zu", total,
                        most - 4096);
    return true;
}

/* Whether something in the plan lies below `path`, so that the directory is made for it. */
static bool is_on_the_way(const struct dml_plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        if (dml_path_within(plan->mounts[i].sandbox, path))
            return true;
    }
    return false;
}

/* Whether the working directory will be there. What a link inside a bound tree leads to is left to the
 * launch. */
static void check_directory(struct builder *b, const char *path)
{
    const struct dml_plan *plan = b->plan;
    const struct dml_entry *at = dml_plan_mount_at(plan, path, false);
    size_t length = strlen(path);
    mode_t mode = 0;
    bool here = at && strcmp(at->sandbox, path) == 0;
    if (at && at->kind == DML_MASK) {
        dml_problem_add(b->problems, "chdir.masked", "chdir", path, length, "is hidden by the mask %s",
                        at->field);
    } else if (at && dml_is_host_tree(at)) {
        if (!dml_host_inspect(at->source.path, dml_path_below(path, at->sandbox), &mode)) {
            if (errno == ENOENT || errno == ENOTDIR)
                dml_problem_add(b->problems, "chdir.missing", "chdir", path, length,
                                "is not there in what is bound at %s", at->sandbox);
        } else if (!S_ISDIR(mode) && !S_ISLNK(mode)) {
            dml_problem_add(b->problems, "chdir.missing", "chdir", path, length, "is no directory");
        }
    } else if (at && (at->kind == DML_DATA || at->kind == DML_BIND_DEVICE)) {
        dml_problem_add(b->problems, "chdir.missing", "chdir", path, length, "is no directory");
    } else if (!here && strcmp(path, "/") != 0 && (!at || at->kind == DML_TMPFS) &&
               !is_on_the_way(plan, path)) {
        dml_problem_add(b->problems, "chdir.missing", "chdir", path, length,
                        "will not be there; bind something at it, or put a tmpfs there");
    }
}

static bool choose_directory(struct builder *b)
{
    struct dml_plan *plan = b->plan;
    const char *wanted = b->policy->chdir ? b->policy->chdir : b->policy->project;
    if (!wanted)
        wanted = dml_plan_mount_at(plan, "/work", false) || is_on_the_way(plan, "/work") ? "/work" : "/";
    const struct dml_entry *root = dml_plan_mount_at(plan, "/", false);
    bool given = b->policy->chdir || b->policy->project;
    if (!given && root && dml_is_host_tree(root) && dml_plan_mount_at(plan, "/work", false) == root)
        wanted = "/"; /* the whole host is bound, and it has no /work */
    plan->chdir = dml_arena_string(&plan->arena, wanted);
    if (plan->chdir)
        check_directory(b, plan->chdir);
    return plan->chdir != NULL;
}

static bool copy_settings(struct builder *b)
{
    const struct dml_policy *policy = b->policy;
    struct dml_plan *plan = b->plan;
    plan->network = policy->network;
    plan->tty = policy->tty;
    plan->nested = policy->nested;
    plan->seccomp = policy->seccomp != DML_SECCOMP_OFF;
    plan->seccomp_named = policy->seccomp == DML_SECCOMP_ALLOW;
    plan->seccomp_options = policy->seccomp_options | (policy->nested ? 1u << DML_OPTION_NESTED : 0);
    if (b->host->uid == 0 && plan->seccomp_options & 1u << DML_OPTION_NESTED)
        plan->seccomp_options |= DML_SECCOMP_ROOT_NESTED;
    plan->by_root = dml_host_is_root_of_machine();
    plan->uid = policy->caller ? b->host->uid : DML_NOBODY;
    plan->gid = policy->caller ? b->host->gid : DML_NOBODY;
    plan->hostname = dml_arena_string(&plan->arena, policy->hostname);
    plan->name = dml_arena_string(&plan->arena, policy->name);
    plan->limits = policy->limits;
    plan->requires = policy->requires;
    double share = policy->limits.tmp_share > 0 ? policy->limits.tmp_share : 0.25;
    if (!policy->limits.has[DML_LIMIT_TMP] || policy->limits.tmp_share > 0)
        plan->limits.value[DML_LIMIT_TMP] = (uint64_t)((double)dml_host_memory() * share);
    plan->limits.value[DML_LIMIT_TMP] &= ~(uint64_t)4095;
    return !plan->hostname == !policy->hostname && !plan->name == !policy->name; /* a copy failed otherwise */
}

unsigned dml_plan_controls(const struct dml_plan *plan)
{
    return plan->requires | 1u << DML_CONTROL_BIND_FD | 1u << DML_CONTROL_TMPFS_SIZE |
           (plan->nested ? 0 : 1u << DML_CONTROL_DISABLE_USERNS) |
           (plan->seccomp ? 1u << DML_CONTROL_SECCOMP : 0) |
           (dml_limits_as_a_whole(&plan->limits) ? 1u << DML_CONTROL_CGROUP : 0);
}

bool dml_plan_is_lone_bind(const struct dml_entry *mount)
{
    return mount->lone && dml_is_bind(mount);
}

const struct dml_entry *dml_plan_next_seen(const struct dml_plan *plan, size_t *at)
{
    while (*at < plan->mount_count) {
        const struct dml_entry *mount = &plan->mounts[(*at)++];
        if (dml_plan_is_lone_bind(mount) || mount->kind == DML_COVER)
            return mount;
    }
    return NULL;
}

struct dml_plan *dml_plan_new(const struct dml_policy *policy, const struct dml_host *host, size_t argc,
                              const char *const *argv, struct dml_problems *problems,
                              struct dml_problems *warnings)
{
    struct dml_plan *plan = calloc(1, sizeof *plan);
    struct builder b = {.plan = plan, .policy = policy, .host = host, .problems = problems};
    size_t before = problems->count;
    bool built = plan != NULL;
    if (built) {
        built = copy_settings(&b) && dml_mounts_build(plan, policy, host, problems, warnings) &&
                dml_environment_build(plan, policy, host) && build_command(&b, argc, argv) &&
                choose_directory(&b);
    }
    if (!built || problems->count > before) {
        dml_plan_free(plan);
        return NULL;
    }
    return plan;
}

void dml_plan_free(struct dml_plan *plan)
{
    if (!plan)
        return;
    dml_arena_clear(&plan->arena);
    free(plan);
}
