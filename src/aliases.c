#include "aliases.h"
#include "host.h"
#include "path.h"

#include <errno.h>
#include <string.h>

/* Counts the mounts, or takes them where there is room for them. */
struct reading {
    struct dml_alias_mounts *mounts;
    struct dml_arena *arena;
    size_t room, seen;
    bool failed;
};

static void take_mount(void *context, const struct dml_mount *mount)
{
    struct reading *r = context;
    if (r->seen++ >= r->room)
        return;
    struct dml_alias_mount *taken = &r->mounts->items[r->mounts->count++];
    *taken = (struct dml_alias_mount){.where = dml_arena_string(r->arena, mount->where),
                                      .root = dml_arena_string(r->arena, mount->root),
                                      .major = mount->major,
                                      .minor = mount->minor};
    r->failed |= !taken->where || !taken->root;
}

bool dml_alias_mounts_read(struct dml_alias_mounts *mounts, struct dml_arena *arena)
{
    struct reading r = {.mounts = mounts, .arena = arena};
    do { /* again when there are more by now */
        *mounts = (struct dml_alias_mounts){0};
        r.room = r.seen;
        r.seen = 0;
        mounts->items = dml_arena_array(arena, r.room, sizeof *mounts->items);
        r.failed = !mounts->items;
        errno = ENOMEM;
        if (r.failed || !dml_host_visit_mounts(take_mount, &r))
            return false;
    } while (r.seen > r.room);
    errno = ENOMEM;
    return !r.failed;
}

/* The mount that shows `path`: the innermost, and of several at one place the last, which hides the others.
 */
static const struct dml_alias_mount *mount_of(const struct dml_alias_mounts *mounts, const char *path)
{
    const struct dml_alias_mount *found = NULL;
    for (size_t i = 0; i < mounts->count; i++) {
        const struct dml_alias_mount *mount = &mounts->items[i];
        if (dml_path_within(path, mount->where) && (!found || strlen(mount->where) >= strlen(found->where)))
            found = mount;
    }
    return found;
}

static const char *join(struct dml_arena *arena, const char *directory, const char *below)
{
    bool plain = *below && strcmp(directory, "/") != 0;
    return *below ? dml_arena_format(arena, "%s/%s", plain ? directory : "", below) : directory;
}

const char **dml_aliases_find(const struct dml_alias_mounts *mounts, const char *path,
                              struct dml_arena *arena)
{
    const char **places = dml_arena_array(arena, mounts->count + 1, sizeof *places);
    const struct dml_alias_mount *own = mount_of(mounts, path);
    const char *inner = own ? join(arena, own->root, dml_path_below(path, own->where)) : "";
    size_t count = 0;
    for (size_t i = 0; own && places && inner && i < mounts->count; i++) {
        const struct dml_alias_mount *mount = &mounts->items[i];
        const char *place = NULL;
        if (mount->major != own->major || mount->minor != own->minor)
            continue;
        if (dml_path_within(mount->root, inner))
            place = mount->where;
        else if (dml_path_within(inner, mount->root))
            place = join(arena, mount->where, dml_path_below(inner, mount->root));
        else
            continue;
        if (!place)
            return NULL;
        if (!dml_path_within(place, path))
            places[count++] = place;
    }
    return inner ? places : NULL;
}
