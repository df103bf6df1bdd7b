#include "reach.h"
#include "path.h"

#include <string.h>

static enum dml_access access_of(const struct dml_entry *mount)
{
    switch (mount->kind) {
    case DML_BIND_RO: return DML_ACCESS_READ;
    case DML_BIND_RW: return DML_ACCESS_WRITE;
    case DML_BIND_DEVICE: return DML_ACCESS_DEVICE;
    default: return DML_ACCESS_NONE;
    }
}

/* Pins and seals show nothing else than what they stand on. */
static bool is_transparent(const struct dml_entry *mount)
{
    return mount->kind == DML_PIN || mount->kind == DML_SEAL;
}

/* The mount on which another one stands, or NULL. */
static const struct dml_entry *stands_on(const struct dml_plan *plan, const struct dml_entry *mount)
{
    const struct dml_entry *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *other = &plan->mounts[i];
        size_t length = strlen(other->sandbox);
        if (length > longest && !is_transparent(other) && strcmp(other->sandbox, mount->sandbox) != 0 &&
            dml_path_within(mount->sandbox, other->sandbox)) {
            found = other;
            longest = length;
        }
    }
    return found;
}

/* Gives each tree the holes that the mounts standing on it make. */
static bool find_holes(struct dml_reach *reach, const struct dml_plan *plan, struct dml_arena *arena,
                       const struct dml_entry **below)
{
    for (size_t i = 0; i < reach->count; i++) {
        struct dml_shown *tree = &reach->trees[i];
        size_t count = 0;
        for (size_t j = 0; j < plan->mount_count; j++)
            count += below[j] == tree->mount;
        tree->holes = dml_arena_array(arena, count, sizeof *tree->holes);
        if (!tree->holes)
            return false;
        for (size_t j = 0; j < plan->mount_count; j++) {
            if (below[j] != tree->mount)
                continue;
            const char *hole = dml_bind_path_outside(tree->mount, plan->mounts[j].sandbox, arena);
            if (!hole)
                return false;
            tree->holes[tree->hole_count++] = hole;
        }
    }
    return true;
}

bool dml_reach_build(struct dml_reach *reach, const struct dml_plan *plan, struct dml_arena *arena)
{
    const struct dml_entry **below = dml_arena_array(arena, plan->mount_count, sizeof *below);
    *reach = (struct dml_reach){.trees = dml_arena_array(arena, plan->mount_count, sizeof *reach->trees)};
    if (!below || !reach->trees)
        return false;
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *mount = &plan->mounts[i];
        below[i] = is_transparent(mount) ? NULL : stands_on(plan, mount);
        if (access_of(mount) != DML_ACCESS_NONE)
            reach->trees[reach->count++] =
                (struct dml_shown){.mount = mount, .path = mount->source.path, .access = access_of(mount)};
    }
    return find_holes(reach, plan, arena, below);
}

bool dml_shown_has(const struct dml_shown *tree, const char *path)
{
    if (!dml_path_within(path, tree->path))
        return false;
    for (size_t i = 0; i < tree->hole_count; i++) {
        if (dml_path_within(path, tree->holes[i]))
            return false;
    }
    return true;
}

enum dml_access dml_reach_at(const struct dml_reach *reach, const char *path,
                             const struct dml_shown **through)
{
    enum dml_access most = DML_ACCESS_NONE;
    for (size_t i = 0; i < reach->count; i++) {
        const struct dml_shown *tree = &reach->trees[i];
        if (tree->access > most && dml_shown_has(tree, path)) {
            most = tree->access;
            if (through)
                *through = tree;
        }
    }
    return most;
}
