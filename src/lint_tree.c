/* Lints that look through what is bound. */
#include "danger.h"
#include "host_tree.h"
#include "lint.h"
#include "path.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    DEPTH = 16,      /* directories deep */
    ENTRIES = 50000, /* of all binds together */
    NAMED = 3,       /* finds of a bind that a warning names */
    QUOTED = 200,    /* bytes of a name that are shown */
};

struct search {
    const struct dml_plan *plan;
    const struct dml_entry *bind;
    size_t found, seen;
    char named[NAMED * (QUOTED + 2)];
};

/* Whether another mount stands where the bind shows `path`: then that is what is inside. */
static bool is_elsewhere(const struct search *s, const char *path)
{
    char inside[2 * DML_PATH_MAX];
    dml_bind_path_inside(inside, s->bind, path);
    for (size_t i = 0; i < s->plan->mount_count; i++) {
        const struct dml_entry *mount = &s->plan->mounts[i];
        bool pinned = mount->kind == DML_PIN || mount->kind == DML_SEAL;
        if (mount != s->bind && !pinned && strcmp(mount->sandbox, inside) == 0)
            return true;
    }
    return false;
}

static void add_find(struct search *s, const char *path)
{
    if (s->found++ >= NAMED)
        return;
    char name[QUOTED];
    const char *below = dml_path_below(path, s->bind->source.path);
    size_t length = strlen(s->named);
    snprintf(s->named + length, sizeof s->named - length, "%s%s", length ? ", " : "",
             dml_quote(name, sizeof name, below, strlen(below)));
}

static enum dml_visited find_sockets(void *context, const char *path, const struct stat *status)
{
    struct search *s = context;
    bool through = S_ISSOCK(status->st_mode) || S_ISFIFO(status->st_mode);
    s->seen++;
    if (S_ISDIR(status->st_mode))
        return is_elsewhere(s, path) ? DML_VISIT_PAST : DML_VISIT_ON;
    if (through && !is_elsewhere(s, path))
        add_find(s, path);
    return DML_VISIT_ON;
}

/* What programs of the host execute in a project, besides what is dangerous everywhere. */
static const char *executed_in_project(const char *path, mode_t mode)
{
    if (S_ISREG(mode) && strcmp(dml_path_name(path), ".git") == 0)
        return ".git"; /* it names the directory whose hooks and configuration count */
    static const char *const names[] = {"node_modules/.bin", ".husky", ".vscode/tasks.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (dml_path_ends_with(path, names[i]))
            return names[i];
    }
    return dml_danger_executed_name(path);
}

/* What lies in the bound directory itself, outside a project, is a danger that the policy had to accept. */
static bool is_accepted(const struct search *s, const char *path, const char *name)
{
    return strcmp(s->bind->field, "project") != 0 && dml_danger_executed_name(path) &&
           strcmp(dml_path_below(path, s->bind->source.path), name) == 0;
}

/* Large, and nothing for the host to execute by itself: what packages hold, and git's objects. */
static bool is_stuffing(const char *path)
{
    char parent[DML_PATH_MAX + 1];
    const char *name = dml_path_name(path);
    snprintf(parent, sizeof parent, "%.*s", (int)(name - path - 1), path);
    const char *holder = dml_path_name(parent);
    return strcmp(holder, "node_modules") == 0 ||
           (strcmp(holder, ".git") == 0 && strcmp(name, "objects") == 0);
}

static enum dml_visited find_executed(void *context, const char *path, const struct stat *status)
{
    struct search *s = context;
    s->seen++;
    if (S_ISLNK(status->st_mode) || is_elsewhere(s, path))
        return DML_VISIT_PAST;
    const char *name = executed_in_project(path, status->st_mode);
    if (!name)
        return is_stuffing(path) ? DML_VISIT_PAST : DML_VISIT_ON;
    if (!is_accepted(s, path, name))
        add_find(s, path);
    return DML_VISIT_PAST;
}

static void report(const struct search *s, bool whole, const char *code, const char *what,
                   struct dml_problems *warnings)
{
    char more[32] = "";
    if (s->found > NAMED)
        snprintf(more, sizeof more, ", and %zu more", s->found - NAMED);
    const char *path = s->bind->source.path, *unseen = whole ? "" : "; it was not all looked at";
    if (s->found)
        dml_problem_add(warnings, code, s->bind->field, path, strlen(path), "%s: %s%s%s", what, s->named,
                        more, unseen);
    else if (!whole)
        dml_problem_add(warnings, "lint.unseen", s->bind->field, path, strlen(path),
                        "was not all looked at: it holds too much, or what cannot be read");
}

/* Looks through what `bind` shows of `tree_path`, which is its source or lies in that. */
static void lint_bind(const struct dml_plan *plan, const struct dml_entry *bind, const char *tree_path,
                      size_t *left, struct dml_problems *warnings)
{
    bool writable = bind->kind == DML_BIND_RW, whole;
    struct search s = {.plan = plan, .bind = bind};
    struct dml_tree tree = {
        .depth = DEPTH, .entries = *left, .visit = writable ? find_executed : find_sockets, .context = &s};
    if (!dml_host_visit_tree(tree_path, &tree, &whole)) {
        dml_lint_unseen(warnings, bind->field, tree_path, errno);
        return;
    }
    *left -= s.seen < *left ? s.seen : *left;
    if (writable)
        report(
            &s, whole, "lint.executed",
            "is writable with what programs of the host execute in it; protect that with ro_binds or masks",
            warnings);
    else
        report(&s, whole, "lint.socket",
               "is read-only, but sockets and FIFOs in it can be written to all the same; mask them",
               warnings);
}

/* What of a bind is looked through, or NULL. The system's own is large and not looked through: what the bases
 * show, and read-only binds of what packages bring, which is not what somebody puts into /usr/local. */
static const char *what_to_see(const struct dml_entry *mount)
{
    const char *path = mount->source.path, *local = "/usr/local";
    bool bind = mount->kind == DML_BIND_RO || mount->kind == DML_BIND_RW;
    if (!bind || mount->rank == DML_RANK_BASE || !S_ISDIR(mount->source.mode))
        return NULL;
    if (mount->kind == DML_BIND_RW || dml_path_within(path, local))
        return path;
    if (strcmp(path, "/usr") == 0)
        return local;
    return dml_path_within(path, "/usr") || dml_path_within(path, "/nix/store") ? NULL : path;
}

void dml_lint_trees(const struct dml_plan *plan, struct dml_problems *warnings)
{
    size_t left = ENTRIES;
    for (size_t i = 0; i < plan->mount_count; i++) {
        const char *path = what_to_see(&plan->mounts[i]);
        if (path)
            lint_bind(plan, &plan->mounts[i], path, &left, warnings);
    }
}
