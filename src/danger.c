#include "danger.h"
#include "danger_private.h"
#include "path.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

static void report_never(struct dml_danger_context *c, const struct dml_entry *bind, const char *why)
{
    dml_problem_add(c->problems, "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
                    "%s", why);
}

static void find_homes(struct dml_danger_context *c, const struct dml_host *host)
{
    const char *home = dml_host_getenv(host, "HOME");
    c->homes[c->home_count++] = dml_danger_find_system_place(c, DML_DANGER_HOME, "/root");
    if (home && home[0] == '/' && strcmp(home, "/root") != 0)
        c->homes[c->home_count++] = dml_danger_find_place(c, DML_DANGER_HOME, home);
    const struct passwd *own = home ? NULL : getpwuid(host->uid);
    if (own && own->pw_dir && own->pw_dir[0] == '/')
        c->homes[c->home_count++] = dml_danger_find_place(c, DML_DANGER_HOME, own->pw_dir);
}

/* Homes of people live in /home; the caller's and root's may be anywhere. */
static void check_homes(struct dml_danger_context *c, const struct dml_entry *bind)
{
    const char *path = bind->source.path;
    bool whole = strcmp(path, "/home") == 0 ||
                 (dml_path_depth(path) == 2 && dml_path_within(path, "/home") && S_ISDIR(bind->source.mode));
    for (size_t i = 0; i < c->home_count && !whole; i++) {
        const struct dml_place *home = &c->homes[i];
        whole = home->exists && strcmp(home->path, "/") != 0 && dml_path_within(home->path, path);
    }
    if (whole)
        dml_danger_report_bind(c, bind->kind == DML_BIND_RW ? DML_DANGER_HOME_RW : DML_DANGER_HOME, bind,
                               NULL);
}

static void check_bind(struct dml_danger_context *c, const struct dml_entry *bind)
{
    const char *path = bind->source.path;
    bool writable = bind->kind == DML_BIND_RW;
    if (dml_path_within(path, "/proc")) {
        report_never(c, bind, "is the host's /proc; inside there is always a fresh one");
        return;
    }
    if (dml_path_within(path, "/dev")) {
        report_never(c, bind, "is a device or the host's /dev; inside there is always a fresh /dev");
        return;
    }
    if (dml_path_within(path, "/sys")) {
        if (writable)
            report_never(c, bind, "is never writable inside; put it under ro_binds");
        else
            dml_danger_report_bind(c, DML_DANGER_SYS, bind, NULL);
        return;
    }
    if (strcmp(path, "/") == 0) {
        dml_danger_report_bind(c, writable ? DML_DANGER_ROOT_RW : DML_DANGER_ROOT, bind, NULL);
        if (writable) /* everything else is in it, and accepted with it */
            dml_danger_check_own_files(c, bind);
        return;
    }
    dml_danger_check_sockets(c, bind);
    check_homes(c, bind);
    if (writable) {
        dml_danger_check_executed(c, bind);
        dml_danger_check_own_files(c, bind);
    }
}

bool dml_danger_loader_name(const char *name)
{
    static const char *const names[] = {"GCONV_PATH", "GLIBC_TUNABLES", "BASH_ENV"};
    return strncmp(name, "LD_", 3) == 0 || dml_name_index(name, names, 3) >= 0;
}

static void check_environment(struct dml_danger_context *c)
{
    for (size_t i = 0; i < c->policy->env_count; i++) {
        const struct dml_env_rule *rule = &c->policy->env[i];
        bool name = !strchr(rule->name, '='); /* else it is none, and told so */
        if (name && rule->action != DML_ENV_OMIT && dml_danger_loader_name(rule->name))
            dml_danger_report(c, DML_DANGER_LOADER_ENV, "env.dangerous", rule->field, rule->name, NULL);
    }
}

/* Through another mount of /proc or /sys the command would see, and started by root set, what its own hides.
 * Where they usually are, check_bind knows them. */
static bool check_kernel_mount(void *context, const char *where, const char *type)
{
    struct dml_danger_context *c = context;
    if (dml_path_within(where, "/proc") || dml_path_within(where, "/sys") || dml_path_within(where, "/dev"))
        return false;
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *bind = &c->policy->entries[i];
        if (!dml_danger_is_own_bind(bind))
            continue;
        bool shown =
            dml_path_within(bind->source.path, where) ||
            (dml_path_within(where, bind->source.path) && !dml_danger_covered(c, bind, where, false));
        if (!shown)
            continue;
        char inside[2 * DML_PATH_MAX] = "";
        if (dml_path_within(where, bind->source.path) && strcmp(where, bind->source.path) != 0)
            dml_bind_path_inside(inside, bind, where);
        dml_problem_add(c->problems, "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
                        "shows a mount of %s, at %s%s%s%s", type, where,
                        *inside ? "; mask it: masks = { \"" : "", inside, *inside ? "\" }" : "");
    }
    return true;
}

static void check_mount(void *context, const struct dml_mount *mount)
{
    if (mount->of_kernel)
        check_kernel_mount(context, mount->where, mount->type);
    dml_danger_check_own_mount(context, mount->where);
}

/* Where nothing of the policy's own can be written to, the other mounts say nothing. */
static bool check_mounts(struct dml_danger_context *c)
{
    return c->own_files ? dml_host_visit_mounts(check_mount, c)
                        : dml_host_visit_kernel_mounts(check_kernel_mount, c);
}

static void check_devices(struct dml_danger_context *c)
{
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *entry = &c->policy->entries[i];
        if (entry->kind == DML_BIND_DEVICE)
            dml_danger_report(c, DML_DANGER_DEVICE, "device.dangerous", entry->field, entry->source.path,
                              NULL);
    }
}

static void check_binds(struct dml_danger_context *c, const struct dml_host *host)
{
    bool any = false, writable = false;
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *entry = &c->policy->entries[i];
        any |= dml_danger_is_own_bind(entry);
        writable |= dml_danger_is_own_bind(entry) && entry->kind == DML_BIND_RW;
    }
    if (any) { /* each place costs system calls, so only what will be asked about is looked up */
        dml_danger_find_sockets(c, host);
        find_homes(c, host);
    }
    if (writable) {
        dml_danger_find_search_path(c, host);
        dml_danger_find_own_files(c);
    }
    dml_lookup_end(&c->lookup);
    if (any && !check_mounts(c))
        dml_danger_report_unknown(c, "/proc/self/mountinfo", errno);
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        if (dml_danger_is_own_bind(&c->policy->entries[i]))
            check_bind(c, &c->policy->entries[i]);
    }
}

void dml_danger_check(struct dml_policy *policy, const struct dml_host *host, struct dml_problems *problems,
                      struct dml_problems *warnings)
{
    struct dml_danger_context c = {
        .policy = policy, .problems = problems, .warnings = warnings, .now = dml_seconds_now()};
    check_binds(&c, host);
    check_devices(&c);
    check_environment(&c);
    if (policy->network)
        dml_danger_check_abstract_sockets(&c);
    if (policy->tty && policy->seccomp == DML_SECCOMP_OFF)
        dml_danger_report(&c, DML_DANGER_TTY_UNFILTERED, "tty.dangerous", "tty", NULL, NULL);
    dml_arena_clear(&c.arena);
}
