#include "ceiling_files.h"
#include "aliases.h"
#include "path.h"
#include "reach.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool within_one(const char *path, const struct dml_names *trees)
{
    for (size_t i = 0; i < trees->count; i++) {
        if (dml_path_within(path, trees->items[i]))
            return true;
    }
    return false;
}

static bool is_base(const struct dml_shown *tree)
{
    return tree->mount->rank == DML_RANK_BASE;
}

/* What a policy shows of the host, but for its base. One bound for files stands for both: where nothing is
 * said to be writable, nothing is. */
static void check_allowed(struct dml_ceiling_check *c, const struct dml_shown *tree)
{
    const struct dml_ceiling *ceiling = c->ceiling;
    bool bounded = dml_ceiling_says(ceiling, DML_BOUND_READ) || dml_ceiling_says(ceiling, DML_BOUND_WRITE);
    bool writable = tree->access >= DML_ACCESS_WRITE;
    char readable[256], changeable[256];
    if (!bounded || is_base(tree) || within_one(tree->path, &ceiling->write) ||
        (!writable && within_one(tree->path, &ceiling->read)))
        return;
    dml_exceeds(c, writable ? "ceiling.write" : "ceiling.read", tree->mount->field, tree->path,
                "it allows reading in %s, and writing in %s",
                dml_list_names(&ceiling->read, readable, sizeof readable),
                dml_list_names(&ceiling->write, changeable, sizeof changeable));
}

/* Whether both are one object under two names: a hard link, or a second mount. */
static bool is_same(const struct dml_object *a, const struct dml_object *b)
{
    return a->path && b->path && a->device == b->device && a->inode == b->inode;
}

/* Something denied. */
struct denied {
    struct dml_ceiling_check *c;
    const char *name;         /* as the ceiling has it */
    const char *path;         /* where that leads, though nothing may be there */
    const char **aliases;     /* other places of it */
    struct dml_object object; /* what is there */
    bool exists;
};

/* Says that a tree shows the denied at `place`, unless it does not, and returns whether it does. What is not
 * there can still be made in what is writable. */
static bool check_place(const struct denied *d, const struct dml_shown *tree, const char *place)
{
    char shown[256];
    const char *too = strcmp(place, d->path) == 0 ? "" : " under another mount";
    dml_quote(shown, sizeof shown, d->name, strlen(d->name));
    if (dml_path_within(tree->path, place))
        dml_exceeds(d->c, "ceiling.deny", tree->mount->field, tree->path, "it denies %s%s%s", shown,
                    *too ? ", which is this" : "", too);
    else if (dml_shown_has(tree, place) && d->exists)
        dml_exceeds(d->c, "ceiling.deny", tree->mount->field, tree->path,
                    "it denies %s, which is in there%s; mask it, or bind less", shown, too);
    else if (dml_shown_has(tree, place) && tree->access >= DML_ACCESS_WRITE)
        dml_exceeds(d->c, "ceiling.deny", tree->mount->field, tree->path,
                    "it denies %s, which is not there but could be made there%s; create it, or bind less",
                    shown, too);
    else
        return false;
    return true;
}

/* A second name of a file can be anywhere in its file system. What the bases show nobody else puts it into.
 */
static bool may_hold_link(const struct dml_shown *tree, const struct dml_object *object)
{
    return object->path && S_ISREG(object->mode) && object->links > 1 && !is_base(tree) &&
           S_ISDIR(tree->mount->source.mode) && tree->mount->source.device == object->device;
}

static void check_denied(const struct denied *d, const struct dml_shown *tree)
{
    char shown[256];
    if (check_place(d, tree, d->path))
        return;
    for (const char **alias = d->aliases; *alias; alias++) {
        if (check_place(d, tree, *alias))
            return;
    }
    dml_quote(shown, sizeof shown, d->name, strlen(d->name));
    if (is_same(&tree->mount->source, &d->object))
        dml_exceeds(d->c, "ceiling.deny", tree->mount->field, tree->path, "it denies %s, which is this",
                    shown);
    else if (may_hold_link(tree, &d->object))
        dml_exceeds(d->c, "ceiling.deny", tree->mount->field, tree->path,
                    "it denies %s, of which another hard link may be in there; make that file a copy of its "
                    "own, or bind less",
                    shown);
}

/* Looks up where a denied path leads. False with errno. */
static bool find_denied(struct denied *d, const struct dml_alias_mounts *mounts, struct dml_arena *arena)
{
    d->exists = dml_host_resolve(d->name, NULL, arena, &d->object);
    if (!d->exists && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
        return false;
    bool hidden =
        !d->exists && errno == EACCES; /* for us nothing leads there; somebody else may have made it */
    d->path = d->exists ? d->object.path : dml_host_resolve_missing(d->name, arena);
    d->exists |= hidden;
    if (!d->path)
        return false;
    d->aliases = dml_aliases_find(mounts, d->path, arena);
    errno = ENOMEM;
    return d->aliases != NULL;
}

static void check_all_denied(struct dml_ceiling_check *c, const struct dml_reach *reach,
                             struct dml_arena *arena)
{
    struct dml_alias_mounts mounts;
    if (c->ceiling->deny.count > 0 && !dml_alias_mounts_read(&mounts, arena)) {
        dml_exceeds(c, "ceiling.deny", "", "/proc/self/mountinfo", "the mounts cannot be looked up: %s",
                    strerror(errno));
        return;
    }
    for (size_t i = 0; i < c->ceiling->deny.count; i++) {
        struct denied d = {.c = c, .name = c->ceiling->deny.items[i]};
        if (!find_denied(&d, &mounts, arena)) {
            dml_exceeds(c, "ceiling.deny", "", d.name, "it denies what cannot be looked up: %s",
                        strerror(errno));
            continue;
        }
        for (size_t j = 0; j < reach->count; j++)
            check_denied(&d, &reach->trees[j]);
    }
}

static void check_trees(struct dml_ceiling_check *c, const struct dml_reach *reach, struct dml_arena *arena)
{
    for (size_t i = 0; i < reach->count; i++)
        check_allowed(c, &reach->trees[i]);
    check_all_denied(c, reach, arena);
}

/* The base of a policy with everything that it shows and passes through. */
static void check_base(struct dml_ceiling_check *c)
{
    const char *name = c->policy->base ? c->policy->base : dml_base_names[DML_BASE_HOST];
    int base = dml_name_index(name, dml_base_names, DML_BASE_COUNT);
    if (!dml_ceiling_says(c->ceiling, DML_BOUND_BASES) || base == DML_BASE_NONE ||
        (base >= 0 && c->ceiling->bases & 1u << base))
        return;
    char list[64] = "\"none\"";
    for (int i = 0; i < DML_BASE_NONE; i++) {
        if (c->ceiling->bases & 1u << i)
            snprintf(list + strlen(list), sizeof list - strlen(list), ", \"%s\"", dml_base_names[i]);
    }
    dml_exceeds(c, "ceiling.base", "base", name, "it allows %s", list);
}

void dml_ceiling_check_files(struct dml_ceiling_check *c)
{
    struct dml_arena arena = {0};
    struct dml_reach reach;
    check_base(c);
    if (dml_reach_build(&reach, c->plan, &arena))
        check_trees(c, &reach, &arena);
    else
        c->problems->failed = true;
    dml_arena_clear(&arena);
}
