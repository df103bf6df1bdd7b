#include "validate.h"
#include "danger.h"
#include "devices.h"
#include "environment.h"
#include "host_cgroup.h"
#include "path.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum {
    MAX_ARG_STRLEN = 131072, /* Linux: the longest single argument or NAME=value, with its NUL */
};

struct context {
    struct dml_policy *policy;
    const struct dml_host *host;
    struct dml_problems *problems, *warnings;
    struct dml_lookup lookup;
};

bool dml_validate_path(char *path, const char *field, const char *advice, struct dml_problems *problems)
{
    size_t length = strlen(path);
    switch (dml_path_check(path)) {
    case DML_PATH_FINE: dml_path_normalise(path); return true;
    case DML_PATH_EMPTY:
        dml_problem_add(problems, "path.empty", field, path, length, "is empty; write an absolute path");
        break;
    case DML_PATH_RELATIVE:
        dml_problem_add(problems, "path.relative", field, path, length, "is not absolute; %s", advice);
        break;
    case DML_PATH_DOT:
        dml_problem_add(problems, "path.dot", field, path, length, "has a \".\" component; leave it out");
        break;
    case DML_PATH_DOT_DOT:
        dml_problem_add(problems, "path.dotdot", field, path, length,
                        "has a \"..\" component; write the path that it leads to");
        break;
    case DML_PATH_LONG:
        dml_problem_add(problems, "path.long", field, path, length, "has %zu bytes; at most %d are allowed",
                        length, DML_PATH_MAX);
        break;
    case DML_PATH_COMPONENT_LONG:
        dml_problem_add(problems, "path.long", field, path, length, "has a component of more than %d bytes",
                        DML_COMPONENT_MAX);
        break;
    }
    return false;
}

/* "field.part" when the entry is one of the policy's own. */
static const char *part(char buffer[512], const struct dml_entry *entry, const char *name)
{
    size_t field = strnlen(entry->field, 511), part = strnlen(name, 511 - field);
    memcpy(buffer, entry->field, field);
    memcpy(buffer + field, name, part);
    buffer[field + part] = '\0';
    return buffer;
}

/* Whether the field names one path for both sides (project, work_host, effects), so that it has no parts. */
static bool single_field(const struct dml_entry *entry)
{
    const char *field = entry->field;
    return strncmp(field, "ro_binds", 8) != 0 && strncmp(field, "rw_binds", 8) != 0 &&
           strncmp(field, "devices", 7) != 0;
}

static void warn_newline(struct context *c, const char *path, const char *field)
{
    size_t length = strlen(path);
    if (length && path[length - 1] == '\n')
        dml_problem_add(c->warnings, "path.newline", field, path, length,
                        "ends in a newline; is that meant?");
}

/* What to write for a relative path of the host: the names in the advice are those that policy files have. */
static const char *of_host(const struct context *c, const struct dml_entry *entry)
{
    if (c->policy->file_count == 0)
        return "write the whole path";
    return strcmp(entry->field, "project") == 0 ? "write project, cwd or the whole path"
                                                : "write policy_dir .. \"/...\" or the whole path";
}

static bool check_host_path(struct context *c, struct dml_entry *entry)
{
    char buffer[512];
    const char *field = part(buffer, entry, single_field(entry) ? "" : ".host");
    warn_newline(c, entry->host, field);
    return dml_validate_path((char *)entry->host, field, of_host(c, entry), c->problems);
}

/* Devices stand in /dev, beside those that are always there. */
static bool check_device_place(struct context *c, const struct dml_entry *entry, const char *field)
{
    size_t length = strlen(entry->sandbox);
    bool below = dml_path_within(entry->sandbox, "/dev") && strcmp(entry->sandbox, "/dev") != 0;
    if (below && !dml_devices_is_own(entry->sandbox))
        return true;
    dml_problem_add(c->problems, "device.place", field, entry->sandbox, length, "%s",
                    below ? "is the sandbox's own, and always there; leave it out, or choose another place"
                          : "is not below /dev, where devices are; write \"/dev/NAME\"");
    return false;
}

static bool check_inside_path(struct context *c, struct dml_entry *entry, const char *suffix)
{
    static const char *const reserved[] = {"/proc", "/dev", "/sys"};
    char buffer[512];
    const char *field = part(buffer, entry, suffix);
    if (!dml_validate_path((char *)entry->sandbox, field, DML_ABSOLUTE_INSIDE, c->problems))
        return false;
    if (entry->kind == DML_BIND_DEVICE)
        return check_device_place(c, entry, field);
    size_t length = strlen(entry->sandbox);
    for (size_t i = 0; i < 3; i++) {
        bool sys = strcmp(reserved[i], "/sys") == 0;
        if (!dml_path_within(entry->sandbox, reserved[i]) ||
            (sys && dml_is_bind(entry) && dml_path_within(entry->host, "/sys")))
            continue;
        dml_problem_add(c->problems, "path.reserved", field, entry->sandbox, length,
                        "is at or below %s, which is the sandbox's own; choose another place", reserved[i]);
        return false;
    }
    if (!dml_is_bind(entry) && strcmp(entry->sandbox, "/") == 0) {
        dml_problem_add(c->problems, "path.reserved", field, entry->sandbox, length,
                        "is the root of the sandbox; only a bind can stand there");
        return false;
    }
    return true;
}

/* Paths of the entry; false when they cannot be used further. */
static bool check_paths(struct context *c, struct dml_entry *entry)
{
    bool fine = true;
    if (dml_is_bind(entry)) {
        bool same = strcmp(entry->host, entry->sandbox) == 0;
        fine = check_host_path(c, entry);
        if (!fine && same) /* once is enough */
            return false;
        return check_inside_path(c, entry, single_field(entry) ? "" : ".sandbox") && fine;
    }
    if (entry->kind == DML_SYMLINK) {
        char buffer[512];
        size_t length = strlen(entry->host);
        if (length == 0 || length > DML_PATH_MAX) {
            dml_problem_add(c->problems, "symlink.target", part(buffer, entry, ".target"), entry->host,
                            length, "a symbolic link points to 1 to %d bytes", DML_PATH_MAX);
            fine = false;
        }
        return check_inside_path(c, entry, ".sandbox") && fine;
    }
    return check_inside_path(c, entry, entry->kind == DML_TMPFS ? ".sandbox" : "");
}

/* Why a directory is none of devices, or NULL. */
static const char *directory_flaw(struct context *c, const struct dml_entry *entry)
{
    struct dml_arena arena = {0};
    struct dml_devices found;
    bool looked = dml_devices_find(entry, &arena, &found);
    c->policy->failed |= !looked && errno == ENOMEM;
    dml_arena_clear(&arena);
    return !looked         ? "cannot be looked into, for want of descriptors"
           : !found.whole  ? "holds more than can be made usable at once; name those that are needed"
           : found.devices ? NULL
                           : "holds no device";
}

static bool check_device(struct context *c, const struct dml_entry *entry, const char *field)
{
    const char *source = entry->source.path, *flaw = NULL;
    mode_t mode = entry->source.mode;
    if (!dml_path_within(source, "/dev") || strcmp(source, "/dev") == 0)
        flaw = "is not below /dev; a device, or a directory that holds some, is";
    else if (S_ISDIR(mode))
        flaw = directory_flaw(c, entry);
    else if (!S_ISCHR(mode) && !S_ISBLK(mode))
        flaw = "is no device, and no directory that holds one";
    if (flaw)
        dml_problem_add(c->problems, "device.kind", field, source, strlen(source), "%s", flaw);
    return !flaw;
}

/* Finds the source of a bind. False when the entry must go: it is optional and not there, or a problem. */
static bool check_source(struct context *c, struct dml_entry *entry)
{
    char buffer[512];
    const char *field = part(buffer, entry, single_field(entry) ? "" : ".host");
    size_t length = strlen(entry->host);
    if (!dml_host_resolve(entry->host, &c->lookup, &c->policy->arena, &entry->source)) {
        int reason = errno;
        if (reason == ENOMEM)
            c->policy->failed = true;
        else if (reason == ENOENT && !entry->optional)
            dml_problem_add(c->problems, "bind.missing", field, entry->host, length,
                            "does not exist; create it, or %s",
                            c->policy->wire                  ? "leave it out"
                            : entry->kind == DML_BIND_DEVICE ? "mark the device optional = true"
                                                             : "mark the bind optional = true");
        else if (reason != ENOENT)
            dml_problem_add(c->problems, "bind.unreadable", field, entry->host, length,
                            "cannot be looked up: %s", strerror(reason));
        return false;
    }
    if (entry->kind == DML_BIND_DEVICE)
        return check_device(c, entry, field);
    mode_t mode = entry->source.mode;
    if ((S_ISCHR(mode) || S_ISBLK(mode)) && !dml_path_within(entry->source.path, "/dev")) {
        dml_problem_add(c->problems, "bind.kind", field, entry->host, length,
                        "is a device; a bind shows files and directories");
        return false;
    }
    bool directory_needed = entry->rank == DML_RANK_WORK || strcmp(entry->field, "project") == 0;
    if (directory_needed && !S_ISDIR(mode)) {
        dml_problem_add(c->problems, "bind.kind", field, entry->host, length, "is no directory");
        return false;
    }
    if (S_ISFIFO(mode) || S_ISSOCK(mode))
        dml_problem_add(c->warnings, "bind.socket", field, entry->host, length,
                        "is a %s, which can be written to even when the bind is read-only",
                        S_ISFIFO(mode) ? "FIFO" : "socket");
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct dml_entry *x = *(struct dml_entry *const *)a, *y = *(struct dml_entry *const *)b;
    int order = strcmp(x->sandbox, y->sandbox);
    if (order == 0)
        order = (int)x->rank - (int)y->rank;
    return order ? order : (x < y ? -1 : x > y);
}

static bool same_entry(const struct dml_entry *a, const struct dml_entry *b)
{
    bool same_host = a->host && b->host ? strcmp(a->host, b->host) == 0 : a->host == b->host;
    bool same_data = a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
    return a->kind == b->kind && same_host && same_data && a->size == b->size && a->mode == b->mode &&
           a->optional == b->optional;
}

/* The same path twice in one list: equal entries collapse, others contradict each other. Entries to drop lose
 * their path inside. */
static void check_repeats(struct context *c)
{
    struct dml_policy *policy = c->policy;
    struct dml_entry **order = dml_arena_array(&policy->arena, policy->entry_count, sizeof *order);
    if (!order) {
        policy->failed = true;
        return;
    }
    for (size_t i = 0; i < policy->entry_count; i++)
        order[i] = &policy->entries[i];
    qsort(order, policy->entry_count, sizeof *order, by_place);
    const struct dml_entry *first = NULL;
    for (size_t i = 0; i < policy->entry_count; i++) {
        struct dml_entry *entry = order[i];
        bool repeated = first && first->rank == entry->rank && strcmp(first->sandbox, entry->sandbox) == 0;
        if (!repeated) {
            first = entry;
            continue;
        }
        if (!same_entry(first, entry))
            dml_problem_add(c->problems, "entry.duplicate", entry->field, entry->sandbox,
                            strlen(entry->sandbox),
                            "is already taken by %s; one path inside can show one thing", first->field);
        entry->rank = DML_RANK_ENGINE; /* marks it for dropping: no entry of a policy has this rank */
    }
    size_t kept = 0;
    for (size_t i = 0; i < policy->entry_count; i++) {
        if (policy->entries[i].rank != DML_RANK_ENGINE)
            policy->entries[kept++] = policy->entries[i];
    }
    policy->entry_count = kept;
}

static void check_entries(struct context *c)
{
    struct dml_policy *policy = c->policy;
    size_t kept = 0;
    for (size_t i = 0; i < policy->entry_count; i++) {
        struct dml_entry *entry = &policy->entries[i];
        if (check_paths(c, entry) && (!dml_is_bind(entry) || check_source(c, entry)))
            policy->entries[kept++] = *entry;
    }
    policy->entry_count = kept;
}

/* Another bind through which the sandbox may write to the source of `bind`, seen at another place; or NULL.
 * In place the pins hold what is protected. */
static const struct dml_entry *other_way_in(const struct dml_policy *policy, const struct dml_entry *bind)
{
    for (size_t i = 0; i < policy->entry_count; i++) {
        const struct dml_entry *tree = &policy->entries[i];
        if (tree->kind != DML_BIND_RW || strcmp(tree->source.path, bind->source.path) == 0 ||
            !dml_path_within(bind->source.path, tree->source.path))
            continue;
        bool in_place = dml_path_within(bind->sandbox, tree->sandbox) &&
                        strcmp(dml_path_below(bind->sandbox, tree->sandbox),
                               dml_path_below(bind->source.path, tree->source.path)) == 0;
        if (!in_place)
            return tree;
    }
    return NULL;
}

static void warn_swappable(struct context *c)
{
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *bind = &c->policy->entries[i];
        const struct dml_entry *tree =
            dml_is_bind(bind) && bind->rank != DML_RANK_BASE ? other_way_in(c->policy, bind) : NULL;
        char buffer[512];
        if (tree)
            dml_problem_add(c->warnings, "bind.swappable",
                            part(buffer, bind, single_field(bind) ? "" : ".host"), bind->source.path,
                            strlen(bind->source.path),
                            "can be written to, or exchanged for something else, through %s", tree->field);
    }
}

static bool valid_name(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return false;
    for (const char *at = name; *at; at++) {
        if (!isalnum((unsigned char)*at) && *at != '_')
            return false;
    }
    return true;
}

static int by_list_and_name(const void *a, const void *b)
{
    const struct dml_env_rule *x = *(struct dml_env_rule *const *)a, *y = *(struct dml_env_rule *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x < y ? -1 : x > y);
}

static void check_env_rule(struct context *c, const struct dml_env_rule *rule)
{
    size_t length = strlen(rule->name), shown = dml_shown_length(rule->name);
    bool pattern = dml_environment_pattern(rule) > 0;
    bool own = strcmp(rule->name, "HOME") == 0 || strcmp(rule->name, "USER") == 0;
    if (c->policy->wire && strchr(rule->name, '='))
        dml_problem_add(c->problems, "env.name", rule->field, rule->name, shown,
                        "has a =, and no name of a variable can have one");
    else if (!c->policy->wire && !pattern && !valid_name(rule->name))
        dml_problem_add(c->problems, "env.name", rule->field, rule->name, shown,
                        "is no name of a variable; letters, digits and _ make one, and no digit comes first");
    if (own && rule->action == DML_ENV_PASS && strncmp(rule->field, "env.", 4) == 0)
        dml_problem_add(c->problems, "env.own", rule->field, rule->name, length,
                        "is never passed through; give it a value");
    if (rule->action == DML_ENV_SET && length + strlen(rule->value) + 2 > MAX_ARG_STRLEN)
        dml_problem_add(c->problems, "env.long", rule->field, NULL, 0,
                        "has %zu bytes; name and value have %d at most", strlen(rule->value),
                        MAX_ARG_STRLEN - 2);
}

static void check_env(struct context *c)
{
    struct dml_policy *policy = c->policy;
    struct dml_env_rule **order = dml_arena_array(&policy->arena, policy->env_count, sizeof *order);
    if (!order) {
        policy->failed = true;
        return;
    }
    for (size_t i = 0; i < policy->env_count; i++) {
        check_env_rule(c, &policy->env[i]);
        order[i] = &policy->env[i];
    }
    qsort(order, policy->env_count, sizeof *order, by_list_and_name);
    for (size_t i = 1; i < policy->env_count; i++) {
        bool lists = strncmp(order[i]->field, "env_allowlist", 13) == 0 &&
                     strncmp(order[i - 1]->field, "env_allowlist", 13) == 0;
        if (lists && strcmp(order[i]->name, order[i - 1]->name) == 0)
            dml_problem_add(c->problems, "env.duplicate", order[i]->field, order[i]->name,
                            dml_shown_length(order[i]->name), "is already in %s; name it once",
                            order[i - 1]->field);
    }
}

static void check_hostname(struct context *c)
{
    const char *name = c->policy->hostname;
    if (!name)
        return;
    size_t length = strlen(name);
    bool fine = length >= 1 && length <= 64;
    for (size_t i = 0; i < length && fine; i++)
        fine = (isascii(name[i]) && isalnum((unsigned char)name[i])) ||
               ((name[i] == '-' || name[i] == '.') && i > 0 && i + 1 < length);
    if (!fine)
        dml_problem_add(
            c->problems, "hostname.invalid", "hostname", name, length,
            "is no host name; 1 to 64 of letters, digits, - and . make one, with - and . inside only");
}

static void check_limits(struct context *c)
{
    const struct dml_limits *limits = &c->policy->limits;
    struct rlimit files;
    uint64_t wanted = limits->value[DML_LIMIT_OPEN_FILES];
    if (limits->has[DML_LIMIT_OPEN_FILES] && getrlimit(RLIMIT_NOFILE, &files) == 0 && wanted > files.rlim_max)
        dml_problem_add(c->problems, "limit.range", "limits.open_files", NULL, 0,
                        "%llu is more than the hard limit of this process, %llu", (unsigned long long)wanted,
                        (unsigned long long)files.rlim_max);
    if (limits->has[DML_LIMIT_PIDS] && c->host->uid == 0 && !dml_host_can_limit(DML_CONTROLLER_PIDS))
        dml_problem_add(
            c->problems, "limit.unavailable", "limits.pids", NULL, 0,
            "root's processes are counted in a cgroup alone, and none can be made below ours; start "
            "as an ordinary user");
}

/* What a policy switches off it cannot require. */
static void check_requires(struct context *c)
{
    const struct dml_policy *policy = c->policy;
    const struct {
        enum dml_control control;
        bool off;
        const char *by;
    } off[] = {
        {DML_CONTROL_SECCOMP, policy->seccomp == DML_SECCOMP_OFF, "seccomp = \"off\""},
        {DML_CONTROL_DISABLE_USERNS, policy->nested, "nested"},
    };
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        const char *name = dml_control_names[off[i].control];
        if (off[i].off && policy->requires & 1u << off[i].control)
            dml_problem_add(c->problems, "requires.off", "requires", name, strlen(name),
                            "is switched off by the policy, with %s; leave out one of them", off[i].by);
    }
}

void dml_validate(struct dml_policy *policy, const struct dml_host *host, struct dml_problems *problems,
                  struct dml_problems *warnings)
{
    struct context c = {.policy = policy, .host = host, .problems = problems, .warnings = warnings};
    check_entries(&c);
    dml_lookup_end(&c.lookup);
    check_repeats(&c);
    warn_swappable(&c);
    check_env(&c);
    if (policy->project &&
        dml_path_check(policy->project) == DML_PATH_FINE) /* reported as a bind otherwise */
        dml_path_normalise((char *)policy->project);
    if (policy->chdir)
        dml_validate_path((char *)policy->chdir, "chdir", DML_ABSOLUTE_INSIDE, problems);
    check_hostname(&c);
    check_limits(&c);
    check_requires(&c);
    dml_danger_check(policy, host, problems, warnings);
}
