#include "ceiling_files.h"
#include "path.h"
#include "reach.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
    bool writable = tree->access == DML_ACCESS_WRITE;
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

/* Says that a tree shows something denied, unless it does not. What is not there can still be made in what is
 * writable. */
static void check_denied(struct dml_ceiling_check *c, const struct dml_shown *tree, const char *denied,
                         const struct dml_object *object, bool exists)
{
    const char *path = object->path ? object->path : denied;
    char shown[256];
    dml_quote(shown, sizeof shown, denied, strlen(denied));
    if (dml_path_within(tree->path, path) || is_same(&tree->mount->source, object))
        dml_exceeds(c, "ceiling.deny", tree->mount->field, tree->path, "it denies %s", shown);
    else if (dml_shown_has(tree, path) && exists)
        dml_exceeds(c, "ceiling.deny", tree->mount->field, tree->path,
                    "it denies %s, which is in there; mask it, or bind less", shown);
    else if (dml_shown_has(tree, path) && tree->access == DML_ACCESS_WRITE)
        dml_exceeds(c, "ceiling.deny", tree->mount->field, tree->path,
                    "it denies %s, which is not there but could be made there; create it, or bind less",
                    shown);
}

static void check_trees(struct dml_ceiling_check *c, const struct dml_reach *reach, struct dml_arena *arena)
{
    for (size_t i = 0; i < reach->count; i++)
        check_allowed(c, &reach->trees[i]);
    for (size_t i = 0; i < c->ceiling->deny.count; i++) {
        const char *denied = c->ceiling->deny.items[i];
        struct dml_object object = {0};
        bool exists = dml_host_resolve(denied, arena, &object);
        int reason = exists ? 0 : errno;
        if (reason && reason != ENOENT && reason != ENOTDIR && reason != EACCES)
            dml_exceeds(c, "ceiling.deny", "", denied, "it denies what cannot be looked up: %s",
                        strerror(reason));
        exists |= reason == EACCES; /* for us nothing leads there; somebody else may have made it */
        for (size_t j = 0; j < reach->count; j++)
            check_denied(c, &reach->trees[j], denied, &object, exists);
    }
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
