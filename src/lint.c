#include "lint.h"
#include "host.h"
#include "mounts.h"
#include "path.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A path in a message. */
struct shown {
    char text[200];
};

static const char *show(struct shown *shown, const char *path)
{
    return dml_quote(shown->text, sizeof shown->text, path, strlen(path));
}

void dml_lint_unseen(struct dml_problems *warnings, const char *field, const char *path, int reason)
{
    dml_problem_add(warnings, "lint.unseen", field, path, strlen(path), "cannot be looked at: %s",
                    strerror(reason));
}

/* --- protections in writable trees --- */

/* The mount in which the parent directory of `mount` lies. */
static const struct dml_entry *mount_of_parent(const struct dml_plan *plan, const struct dml_entry *mount)
{
    char parent[DML_PATH_MAX + 1];
    size_t length = strlen(mount->sandbox) - strlen(dml_path_name(mount->sandbox));
    snprintf(parent, sizeof parent, "%.*s", (int)(length > 1 ? length - 1 : length), mount->sandbox);
    return dml_plan_mount_at(plan, parent, false);
}

static size_t count_pins(const struct dml_plan *plan, const struct dml_entry *protection,
                         const struct dml_entry **outermost)
{
    size_t count = 0;
    *outermost = NULL;
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *pin = &plan->mounts[i];
        if (pin->kind != DML_PIN || !dml_path_within(protection->sandbox, pin->sandbox))
            continue;
        count++;
        if (!*outermost || strlen(pin->sandbox) < strlen((*outermost)->sandbox))
            *outermost = pin;
    }
    return count;
}

/* What keeps a protection in its place also gets in the way of what programs do there. */
static void lint_pins(const struct dml_plan *plan, struct dml_problems *warnings)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *mount = &plan->mounts[i], *parent, *pin;
        bool read_only = mount->kind == DML_BIND_RO;
        bool stays = read_only || mount->kind == DML_BIND_RW || mount->kind == DML_MASK ||
                     mount->kind == DML_DATA || mount->kind == DML_TMPFS;
        if (!stays || dml_is_default(mount) || !(parent = mount_of_parent(plan, mount)))
            continue;
        size_t pins = count_pins(plan, mount, &pin);
        struct shown shown;
        const char *path = mount->sandbox;
        if (parent->kind == DML_PIN)
            dml_problem_add(
                warnings, "lint.pinned", mount->field, path, strlen(path),
                "is kept in its place in a writable tree: directories above it, %zu from %s on, cannot be "
                "renamed or removed (EBUSY), and nothing can be renamed or linked into or out of them "
                "(EXDEV)",
                pins, show(&shown, pin->sandbox));
        else if (parent->kind == DML_BIND_RW && read_only)
            dml_problem_add(
                warnings, "lint.pinned", mount->field, path, strlen(path),
                "is kept in its place in the writable %s: it cannot be renamed, removed or replaced by "
                "renaming, as programs do that save (EBUSY)",
                show(&shown, parent->sandbox));
    }
}

/* --- masks --- */

/* The first mount below `path`, or NULL. */
static const struct dml_entry *mount_below(const struct dml_plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *mount = &plan->mounts[i];
        if (mount->kind != DML_SEAL && strcmp(mount->sandbox, path) != 0 &&
            dml_path_within(mount->sandbox, path))
            return mount;
    }
    return NULL;
}

static void lint_masks(const struct dml_plan *plan, struct dml_problems *warnings)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *mask = &plan->mounts[i];
        if (mask->kind != DML_MASK || mask->hides)
            continue;
        const struct dml_entry *below = mount_below(plan, mask->sandbox);
        struct shown shown;
        if (below)
            dml_problem_add(warnings, "lint.mask_nothing", mask->field, mask->sandbox, strlen(mask->sandbox),
                            "masks nothing: what is there was put there for itself, as %s was by %s",
                            show(&shown, below->sandbox), below->field);
        else
            dml_problem_add(warnings, "lint.mask_nothing", mask->field, mask->sandbox, strlen(mask->sandbox),
                            "masks nothing: nothing is there; a mask names a path inside");
    }
}

/* --- the shared network --- */

struct names {
    size_t count;
    char first[128], last[128]; /* that one socket is listed twice in a row is usual */
};

static void add_name(void *context, const char *name, bool reachable)
{
    struct names *names = context;
    bool known = names->count && (strcmp(name, names->first) == 0 || strcmp(name, names->last) == 0);
    if (!reachable || known)
        return;
    snprintf(names->count ? names->last : names->first, sizeof names->first, "%s", name);
    names->count++;
}

static void lint_network(const struct dml_plan *plan, struct dml_problems *warnings)
{
    struct names names = {0};
    if (plan->network && !dml_host_visit_abstract_sockets(add_name, &names))
        dml_lint_unseen(warnings, "network", "/proc/net/unix", errno);
    if (names.count)
        dml_problem_add(
            warnings, "lint.abstract_socket", "network", names.first, strlen(names.first),
            "is an abstract socket of the host, which has no file that could be hidden: with the shared "
            "network the command reaches it%s",
            names.count > 1 ? ", and others" : "");
}

/* --- what cannot work at all --- */

static void lint_useless(const struct dml_plan *plan, struct dml_problems *warnings)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        if (dml_is_host_tree(&plan->mounts[i]))
            return;
    }
    dml_problem_add(warnings, "lint.useless", "base", NULL, 0,
                    "nothing of the host is shown, so there is no program inside that could be executed");
}

void dml_lint(const struct dml_plan *plan, struct dml_problems *warnings)
{
    lint_useless(plan, warnings);
    lint_pins(plan, warnings);
    lint_masks(plan, warnings);
    dml_lint_trees(plan, warnings);
    lint_network(plan, warnings);
}
