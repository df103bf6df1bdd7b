/* What the native backend can do with a plan, and what the parent prepares of it for the child. */
#include "host.h"
#include "mounts.h"
#include "native.h"
#include "path.h"
#include "seccomp.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- what this backend can do --- */

/* What Landlock does here, from which ABI on. */
static const struct landlock_control {
    enum dml_control control;
    int abi;
    const char *since;
} landlock_controls[] = {
    {DML_CONTROL_LANDLOCK, 2, "5.19"}, /* the first by which files can be renamed between directories */
    {DML_CONTROL_SCOPES, 6, "6.12"},
};

enum { LANDLOCK_CONTROLS = sizeof landlock_controls / sizeof landlock_controls[0] };

static bool can_restrict(const struct dml_plan *plan, const struct landlock_control *wall, int abi)
{
    return abi >= wall->abi && !plan->nested; /* it would forbid the mounts that nested is for */
}

/* The first control of Landlock that the plan requires and that is not to be had, with the reason as a
 * sentence that begins with the control; NULL when there is none. */
static const char *missing_control(const struct dml_plan *plan, char *why, size_t size)
{
    int abi = dml_host_landlock_abi();
    for (int i = 0; i < LANDLOCK_CONTROLS; i++) {
        const struct landlock_control *wall = &landlock_controls[i];
        if (!(plan->requires & 1u << wall->control) || can_restrict(plan, wall, abi))
            continue;
        if (plan->nested)
            snprintf(why, size,
                     "is not to be had with nested, whose mounts it forbids; leave one of them out");
        else
            snprintf(why, size,
                     "is not to be had with this kernel: its Landlock is %s, and that of Linux %s (ABI %d) "
                     "is needed; "
                     "leave it out",
                     abi ? "too old" : "not there or switched off", wall->since, wall->abi);
        return dml_control_names[wall->control];
    }
    return NULL;
}

bool dml_native_controls(const struct dml_plan *plan, unsigned *controls, struct dml_error *error)
{
    char why[200];
    int abi = dml_host_landlock_abi();
    *controls = 1u << DML_CONTROL_BIND_FD | 1u << DML_CONTROL_TMPFS_SIZE | 1u << DML_CONTROL_DISABLE_USERNS |
                1u << DML_CONTROL_SECCOMP;
    for (int i = 0; i < LANDLOCK_CONTROLS; i++) {
        if (can_restrict(plan, &landlock_controls[i], abi))
            *controls |= 1u << landlock_controls[i].control;
    }
    const char *missing = missing_control(plan, why, sizeof why);
    return !missing || dml_fail(error, DML_ERROR_UNAVAILABLE, 0, "requires: %s %s", missing, why);
}

/* Without the host's network there are no abstract sockets of others, and no processes of others at all. */
unsigned dml_native_wanted(const struct dml_plan *plan)
{
    unsigned wanted = dml_plan_controls(plan);
    if (!plan->nested)
        wanted |= 1u << DML_CONTROL_LANDLOCK | (plan->network ? 1u << DML_CONTROL_SCOPES : 0);
    return wanted;
}

void dml_native_check(const struct dml_plan *plan, struct dml_problems *problems)
{
    char why[200];
    const char *missing = missing_control(plan, why, sizeof why);
    if (missing)
        dml_problem_add(problems, "requires.unavailable", "requires", missing, strlen(missing), "%s", why);
}

/* --- what is prepared --- */

/* The directories between `above` and `path`, outermost first, without their leading slash. */
static char *const *directories_between(struct dml_arena *arena, const char *above, const char *path)
{
    size_t count = dml_path_depth(path) - dml_path_depth(above), made = 0;
    char **list = dml_arena_array(arena, count, sizeof *list); /* one of them is `path` itself: the NULL */
    const char *slash = list ? strchr(dml_path_below(path, above), '/') : NULL;
    for (; slash; slash = strchr(slash + 1, '/')) {
        if (!(list[made++] = dml_arena_copy(arena, path + 1, (size_t)(slash - path - 1))))
            return NULL;
    }
    return list;
}

/* What has to be made for a mount to stand there. `before` is the mount before it: of two with the same
 * parent the second finds everything there. */
static bool prepare_place(struct dml_native *n, struct dml_native_mount *mount,
                          const struct dml_native_mount *before)
{
    const char *path = mount->entry->sandbox;
    size_t parent = (size_t)(strrchr(path, '/') - path);
    if (before && strncmp(before->entry->sandbox, path, parent + 1) == 0 &&
        !strchr(before->entry->sandbox + parent + 1, '/')) {
        mount->make = before->make;
        return true;
    }
    const struct dml_entry *above = dml_plan_mount_at(n->plan, path, true);
    mount->make = !above || !(dml_is_host_tree(above) || above->kind == DML_PROC);
    if (mount->make)
        mount->directories = directories_between(&n->arena, above ? above->sandbox : "/", path);
    return !mount->make || mount->directories;
}

static bool prepare_mount(struct dml_native *n, size_t index, const struct dml_native_mount **before)
{
    struct dml_native_mount *mount = &n->mounts[index];
    const struct dml_entry *entry = mount->entry = &n->plan->mounts[index];
    bool mask = entry->kind == DML_MASK, root = entry->sandbox[1] == '\0';
    mount->tree = -1;
    mount->at = root ? "." : entry->sandbox + 1;
    if (entry->kind == DML_TMPFS || mask) {
        unsigned long long size = mask ? 4096 : entry->size;
        mount->size = size ? dml_arena_format(&n->arena, "%llu", size) : NULL;
        mount->mode = dml_arena_format(&n->arena, "%04o", entry->mode);
        if (!mount->mode || (size && !mount->size))
            return false;
    }
    if (root || entry->kind == DML_SEAL)
        return true;
    bool placed = prepare_place(n, mount, *before);
    *before = mount;
    return placed;
}

static bool prepare_filter(struct dml_native *n)
{
    if (!n->plan->seccomp)
        return true;
    size_t length;
    n->filter.filter =
        (struct sock_filter *)dml_seccomp_own_filter(n->plan->seccomp_options, &n->arena, &length);
    n->filter.len = (unsigned short)length;
    return n->filter.filter != NULL;
}

/* A name that nothing of the plan has at its root. */
static const char *free_name(struct dml_native *n)
{
    for (size_t number = 0; number <= n->plan->mount_count; number++) {
        const char *name = dml_arena_format(&n->arena, "/.file%zu", number);
        bool taken = false;
        for (size_t i = 0; name && i < n->plan->mount_count && !taken; i++)
            taken = dml_path_within(n->plan->mounts[i].sandbox, name);
        if (!taken)
            return name ? name + 1 : NULL;
    }
    return NULL; /* there are more names than mounts */
}

/* Descriptors are placed from 0 on, those of the cgroups last: there the child finds them again. */
static bool prepare_descriptors(struct dml_native *n, const int *descriptors, const int *cgroups)
{
    size_t count = n->descriptor_count, all = count + n->cgroup_count;
    int *placed = dml_arena_array(&n->arena, all, sizeof *placed);
    int *joined = dml_arena_array(&n->arena, n->cgroup_count, sizeof *joined);
    n->scratch = dml_arena_array(&n->arena, all, sizeof *n->scratch);
    for (size_t i = 0; placed && i < count; i++)
        placed[i] = descriptors[i];
    for (size_t i = 0; placed && joined && i < n->cgroup_count; i++) {
        placed[count + i] = cgroups[i];
        joined[i] = (int)(count + i);
    }
    n->descriptors = placed;
    n->cgroups = joined;
    return placed && joined && n->scratch;
}

bool dml_native_prepare(const struct dml_plan *plan, struct dml_native *n)
{
    int abi = dml_host_landlock_abi();
    n->plan = plan;
    n->pid = -1;
    n->shop = n->root = n->proc = n->pidfd = -1;
    n->has_groups = geteuid() == 0 && getgroups(0, NULL) != 0;
    n->landlock = can_restrict(plan, &landlock_controls[0], abi) ? abi : 0;
    n->uid_map = dml_arena_format(&n->arena, "%u %u 1", plan->uid, geteuid());
    n->gid_map = dml_arena_format(&n->arena, "%u %u 1", plan->gid, getegid());
    bool placed = prepare_descriptors(n, n->descriptors, n->cgroups);
    n->mount_count = plan->mount_count;
    n->mounts = dml_arena_array(&n->arena, n->mount_count, sizeof *n->mounts);
    bool prepared =
        n->uid_map && n->gid_map && placed && n->mounts && (n->file_name = free_name(n)) && prepare_filter(n);
    const struct dml_native_mount *before = NULL;
    for (size_t i = 0; prepared && i < n->mount_count; i++)
        prepared = prepare_mount(n, i, &before);
    return prepared;
}

void dml_native_clear(struct dml_native *n)
{
    dml_arena_clear(&n->arena);
}
