#include "bwrap.h"
#include "mounts.h"
#include "seccomp.h"
#include "stage_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct dml_bwrap_features dml_bwrap_all_features = {
    .bind_fd = true, .disable_userns = true, .seccomp = true, .size = true};

/* Whether an object of the host has to be handed over by descriptor to be the one that was checked. */
static bool needs_descriptors(const struct dml_plan *plan)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *mount = &plan->mounts[i];
        if (dml_is_of_host(mount) && !dml_plan_is_lone_bind(mount))
            return true;
    }
    return false;
}

unsigned dml_bwrap_controls(const struct dml_plan *plan, const struct dml_bwrap_features *features)
{
    return (features->bind_fd || !needs_descriptors(plan) ? 1u << DML_CONTROL_BIND_FD : 0) |
           (features->disable_userns ? 1u << DML_CONTROL_DISABLE_USERNS : 0) |
           (features->size ? 1u << DML_CONTROL_TMPFS_SIZE : 0) |
           (features->seccomp ? 1u << DML_CONTROL_SECCOMP : 0);
}

/* The first control that the plan requires and that a bwrap with these features does not apply, or NULL. */
static const char *missing_control(const struct dml_plan *plan, const struct dml_bwrap_features *features)
{
    unsigned missing = plan->requires & ~(dml_bwrap_controls(plan, features) | 1u << DML_CONTROL_CGROUP);
    for (int i = 0; i < DML_CONTROL_COUNT; i++) {
        if (missing & 1u << i)
            return dml_control_names[i];
    }
    return NULL;
}

/* What a policy requires of this bwrap. */
static bool provides(const struct dml_plan *plan, const struct dml_bwrap_features *features,
                     struct dml_error *error)
{
    const char *missing = missing_control(plan, features);
    return !missing ||
           dml_fail(error, DML_ERROR_UNAVAILABLE, 0,
                    "requires: %s is not to be had with this bwrap; install a newer one, or leave it out",
                    missing);
}

struct renderer {
    struct dml_bwrap_arguments *out;
    const struct dml_bwrap_features *features;
    size_t file_count;  /* files come first, so sources are numbered after all of them */
    const char *parent; /* the directory that the last mount stands in */
    bool covers_itself; /* bwrap does with some of /proc, see is_covered */
    bool shown, failed;
};

static void put(struct renderer *r, const char *item)
{
    struct dml_bwrap_arguments *out = r->out;
    if (out->count == out->capacity) {
        size_t capacity = out->capacity * 2 + 128;
        const char **items = reallocarray(out->items, capacity, sizeof *items);
        if (!items) {
            r->failed = true;
            return;
        }
        out->items = items;
        out->capacity = capacity;
    }
    if (item)
        out->items[out->count++] = item;
    else
        r->failed = true;
}

static void put_all(struct renderer *r, const char *const *items)
{
    for (; *items; items++)
        put(r, *items);
}

static void put_number(struct renderer *r, const char *format, unsigned long long number)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    put(r, dml_arena_format(&r->out->arena, format, number));
#pragma GCC diagnostic pop
}

/* bwrap looks for the path of a descriptor, which costs much: what stands alone goes by path, and the inner
 * stage sees what it came to be. */
static bool goes_by_path(const struct renderer *r, const struct dml_entry *mount)
{
    return r->shown || !r->features->bind_fd || dml_plan_is_lone_bind(mount);
}

/* What names a host object: its path, or its descriptor as `format` has it. */
static void put_source(struct renderer *r, const struct dml_entry *mount, const char *format)
{
    struct dml_bwrap_arguments *out = r->out;
    if (goes_by_path(r, mount)) {
        put(r, mount->source.path);
        out->paths[out->path_count++] = mount;
    } else {
        put_number(r, format, DML_FD_COUNT + r->file_count + out->source_count);
        out->sources[out->source_count++] = mount;
    }
}

/* A host object, by descriptor where this bwrap can. */
static void put_bind(struct renderer *r, const struct dml_entry *mount, bool writable)
{
    if (goes_by_path(r, mount))
        put(r, writable ? "--bind" : "--ro-bind");
    else
        put(r, writable ? "--bind-fd" : "--ro-bind-fd");
    put_source(r, mount, "%llu");
    put(r, mount->sandbox);
}

/* bwrap takes no descriptor of a device. It finds the path again from ours, which it must still have. */
static void put_device(struct renderer *r, const struct dml_entry *mount)
{
    put(r, "--dev-bind");
    put_source(r, mount, "/proc/self/fd/%llu");
    put(r, mount->sandbox);
}

static void put_file(struct renderer *r, const struct dml_entry *mount)
{
    put(r, "--perms");
    put_number(r, "%04llo", mount->mode);
    put(r, "--ro-bind-data");
    if (!r->shown)
        put_number(r, "%llu", DML_FD_COUNT + r->out->file_count);
    else if (mount->secret)
        put(r, "<secret>");
    else
        put_number(r, "<%llu bytes>", mount->length);
    r->out->files[r->out->file_count++] = (struct dml_bytes){mount->data, mount->length};
    put(r, mount->sandbox);
}

static void put_tmpfs(struct renderer *r, const struct dml_entry *mount, uint64_t size)
{
    if (r->features->size && size) {
        put(r, "--size");
        put_number(r, "%llu", size);
    }
    put(r, "--perms");
    put_number(r, "%04llo", mount->mode);
    put(r, "--tmpfs");
    put(r, mount->sandbox);
}

/* Directories on the way that are not there are made here, for everybody to pass: those that bwrap makes for
 * a mount have permissions that depend on the mount and on bwrap's version. Below a tree of the host none is
 * missing. */
static void put_parent(struct renderer *r, const struct dml_plan *plan, const struct dml_entry *mount)
{
    size_t length = (size_t)(strrchr(mount->sandbox, '/') - mount->sandbox);
    if (length == 0 ||
        (r->parent && strlen(r->parent) == length && memcmp(r->parent, mount->sandbox, length) == 0))
        return;
    r->parent = dml_arena_copy(&r->out->arena, mount->sandbox, length);
    const struct dml_entry *at = r->parent ? dml_plan_mount_at(plan, r->parent, false) : NULL;
    bool made = at && (strcmp(at->sandbox, r->parent) == 0 ||
                       (at->kind != DML_TMPFS && at->kind != DML_MASK && at->kind != DML_DEV));
    if (!made)
        put_all(r, (const char *[]){"--dir", r->parent, NULL});
    r->failed |= !r->parent;
}

/* What bwrap covers by itself of a /proc that it makes for root, where it makes /dev as well: it is root in
 * its own namespace then (bubblewrap.c, SETUP_MOUNT_PROC and ns_uid). The inner stage sees that it did. */
static bool is_covered(const struct renderer *r, const struct dml_entry *cover)
{
    static const char *const names[] = {"/proc/sysrq-trigger", "/proc/irq", "/proc/bus"};
    return r->covers_itself && dml_name_index(cover->host, names, sizeof names / sizeof names[0]) >= 0;
}

static void put_cover(struct renderer *r, const struct dml_entry *mount)
{
    if (!is_covered(r, mount))
        put_all(r, (const char *[]){"--ro-bind-try", mount->host, mount->sandbox, NULL});
}

static bool needs_file(const struct dml_entry *mount)
{
    return mount->kind == DML_DATA || (mount->kind == DML_MASK && !mount->directory);
}

static void put_mount(struct renderer *r, const struct dml_entry *mount)
{
    switch (mount->kind) {
    case DML_BIND_RO: put_bind(r, mount, false); break;
    case DML_BIND_RW:
    case DML_PIN: put_bind(r, mount, true); break;
    case DML_BIND_DEVICE: put_device(r, mount); break;
    case DML_TMPFS: put_tmpfs(r, mount, mount->size); break;
    case DML_DATA: put_file(r, mount); break;
    case DML_MASK:
        if (mount->directory)
            put_tmpfs(r, mount, 4096);
        else
            put_file(r, mount);
        break;
    case DML_SYMLINK: put_all(r, (const char *[]){"--symlink", mount->host, mount->sandbox, NULL}); break;
    case DML_PROC: put_all(r, (const char *[]){"--proc", mount->sandbox, NULL}); break;
    case DML_COVER: put_cover(r, mount); break;
    case DML_DEV: put_all(r, (const char *[]){"--dev", mount->sandbox, NULL}); break;
    case DML_SEAL: put_all(r, (const char *[]){"--remount-ro", mount->sandbox, NULL}); break;
    }
}

static void put_settings(struct renderer *r, const struct dml_plan *plan)
{
    static const char *const namespaces[] = {"--unshare-user", "--unshare-ipc",        "--unshare-pid",
                                             "--unshare-uts",  "--unshare-cgroup-try", NULL};
    put_all(r, namespaces);
    if (!plan->network)
        put(r, "--unshare-net");
    if (!plan->nested && r->features->disable_userns)
        put(r, "--disable-userns");
    put(r, "--as-pid-1"); /* the inner stage is the init; it ends with the runner, however that ends */
    if (!plan->tty)
        put(r, "--new-session");
    put(r, "--uid");
    put_number(r, "%llu", plan->uid);
    put(r, "--gid");
    put_number(r, "%llu", plan->gid);
    put_all(r, (const char *[]){"--cap-drop", "ALL", NULL});
    if (plan->hostname)
        put_all(r, (const char *[]){"--hostname", plan->hostname, NULL});
}

static void put_filter(struct renderer *r, unsigned options)
{
    size_t length;
    const struct sock_filter *filter = dml_seccomp_own_filter(options, &r->out->arena, &length);
    r->failed |= !filter;
    put(r, "--add-seccomp-fd");
    if (r->shown)
        put_number(r, "<filter of %llu instructions>", length);
    else
        put_number(r, "%llu", DML_FD_COUNT + r->out->file_count);
    r->out->files[r->out->file_count++] = (struct dml_bytes){filter, length * sizeof *filter};
}

bool dml_bwrap_render(const struct dml_plan *plan, const struct dml_bwrap_features *features, bool shown,
                      struct dml_bwrap_arguments *arguments, struct dml_error *error)
{
    *arguments = (struct dml_bwrap_arguments){0};
    struct renderer r = {.out = arguments, .features = features, .shown = shown};
    bool filtered = plan->seccomp && features->seccomp;
    if (plan->seccomp && !filtered && (plan->tty || plan->seccomp_named))
        return dml_fail(error, DML_ERROR_UNAVAILABLE, 0, "this bwrap has no --add-seccomp-fd; leave out %s",
                        plan->tty ? "tty" : "seccomp");
    if (!shown && !provides(plan, features, error))
        return false;
    r.file_count = filtered;
    for (size_t i = 0; i < plan->mount_count; i++) {
        r.file_count += needs_file(&plan->mounts[i]);
        r.covers_itself |= plan->by_root && plan->mounts[i].kind == DML_DEV;
    }
    arguments->files = dml_arena_array(&arguments->arena, r.file_count, sizeof *arguments->files);
    arguments->sources = dml_arena_array(&arguments->arena, plan->mount_count, sizeof *arguments->sources);
    arguments->paths = dml_arena_array(&arguments->arena, plan->mount_count, sizeof *arguments->paths);
    if (!arguments->files || !arguments->sources || !arguments->paths)
        return dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
    put_settings(&r, plan);
    for (size_t i = 0; i < plan->mount_count; i++) {
        put_parent(&r, plan, &plan->mounts[i]);
        put_mount(&r, &plan->mounts[i]);
    }
    if (filtered)
        put_filter(&r, plan->seccomp_options);
    if (r.failed)
        return dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
    return true;
}

void dml_bwrap_arguments_clear(struct dml_bwrap_arguments *arguments)
{
    dml_arena_clear(&arguments->arena);
    free(arguments->items);
    *arguments = (struct dml_bwrap_arguments){0};
}

static void check_length(const struct dml_entry *mount, const char *path, struct dml_problems *problems)
{
    enum { LONGEST = 4087 }; /* PATH_MAX less what bwrap puts in front: "/newroot/" */
    size_t length = strlen(path);
    if (length > LONGEST)
        dml_problem_add(problems, "path.long", mount->field, path, length,
                        "has %zu bytes; bwrap takes at most %d", length, LONGEST);
}

/* bwrap starts the inner stage by its name in /proc. Where a root of the host has no place for our /proc,
 * that would be whatever stands there instead. */
static void check_proc(const struct dml_plan *plan, struct dml_problems *problems)
{
    const struct dml_entry *at = dml_plan_mount_at(plan, "/proc", false);
    if (at && at->kind != DML_PROC)
        dml_problem_add(problems, "plan.no_proc", at->field, at->source.path, strlen(at->source.path),
                        "has no directory \"proc\", which bwrap needs at the root; make one, or launch "
                        "natively");
}

/* More than that many mounts may need more arguments than bwrap takes. */
static bool may_be_too_many(const struct dml_plan *plan)
{
    enum { SETTINGS = 64, MOST_EACH = 8 };
    return plan->mount_count > (DML_BWRAP_MAX_ARGUMENTS - SETTINGS) / MOST_EACH;
}

void dml_bwrap_check(const struct dml_plan *plan, struct dml_problems *problems)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *mount = &plan->mounts[i];
        check_length(mount, mount->sandbox, problems);
        if (mount->source.path && strcmp(mount->source.path, mount->sandbox) != 0)
            check_length(mount, mount->source.path, problems);
    }
    check_proc(plan, problems);
    const char *foreign = missing_control(plan, &dml_bwrap_all_features);
    if (foreign) {
        dml_problem_add(problems, "requires.unavailable", "requires", foreign, strlen(foreign),
                        "is no control of bwrap's; leave it out, or launch natively");
        return;
    }
    if (!may_be_too_many(plan))
        return;
    struct dml_bwrap_arguments arguments;
    enum { OWN = 4 }; /* --args, its descriptor, "--" and the stage */
    if (!dml_bwrap_render(plan, &dml_bwrap_all_features, false, &arguments, NULL))
        problems->failed = true;
    else if (arguments.count + OWN > DML_BWRAP_MAX_ARGUMENTS)
        dml_problem_add(
            problems, "plan.too_many_binds", "", NULL, 0,
            "too many binds for bwrap: %zu mounts need %zu arguments, and it takes %d; bind a directory that "
            "holds them",
            plan->mount_count, arguments.count + OWN, DML_BWRAP_MAX_ARGUMENTS);
    dml_bwrap_arguments_clear(&arguments);
}
