#include "devices.h"
#include "host_tree.h"
#include "path.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool dml_devices_is_own(const char *sandbox)
{
    static const char *const names[] = {"/dev/console", "/dev/core",    "/dev/fd",    "/dev/full",
                                        "/dev/null",    "/dev/ptmx",    "/dev/pts",   "/dev/random",
                                        "/dev/shm",     "/dev/stderr",  "/dev/stdin", "/dev/stdout",
                                        "/dev/tty",     "/dev/urandom", "/dev/zero"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (dml_path_within(sandbox, names[i]))
            return true;
    }
    return false;
}

struct search {
    const struct dml_entry *directory;
    struct dml_arena *arena;
    struct dml_devices *found;
    bool failed; /* out of memory */
};

static struct dml_entry *add(struct search *s, const char *path)
{
    struct dml_entry *entry = &s->found->entries[s->found->count++];
    *entry = *s->directory;
    entry->sandbox = dml_arena_format(s->arena, "%s/%s", s->directory->sandbox,
                                      dml_path_below(path, s->directory->source.path));
    s->failed |= !entry->sandbox;
    return entry;
}

static void add_link(struct search *s, const char *path)
{
    char target[DML_PATH_MAX + 1];
    ssize_t length = readlink(path, target, sizeof target);
    if (length <= 0 || (size_t)length >= sizeof target)
        return; /* gone meanwhile */
    struct dml_entry *entry = add(s, path);
    entry->kind = DML_SYMLINK;
    entry->source = (struct dml_object){0};
    entry->host = dml_arena_copy(s->arena, target, (size_t)length);
    s->failed |= !entry->host;
}

static enum dml_visited look_at(void *context, const char *path, const struct stat *status)
{
    struct search *s = context;
    if (S_ISLNK(status->st_mode)) {
        add_link(s, path);
    } else if (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)) {
        struct dml_entry *entry = add(s, path);
        entry->host = dml_arena_string(s->arena, path);
        entry->source = (struct dml_object){
            .path = entry->host, .device = status->st_dev, .inode = status->st_ino, .mode = status->st_mode};
        s->failed |= !entry->host;
        s->found->devices++;
    }
    return s->failed ? DML_VISIT_ENOUGH : DML_VISIT_ON;
}

bool dml_devices_find(const struct dml_entry *directory, struct dml_arena *arena, struct dml_devices *found)
{
    *found =
        (struct dml_devices){.entries = dml_arena_array(arena, DML_DEVICES_MOST, sizeof *found->entries)};
    struct search s = {.directory = directory, .arena = arena, .found = found, .failed = !found->entries};
    struct dml_tree tree = {
        .depth = DML_DEVICES_DEPTH, .entries = DML_DEVICES_MOST, .visit = look_at, .context = &s};
    if (!s.failed && !dml_host_visit_tree(directory->source.path, &tree, &found->whole))
        return false;
    if (s.failed)
        errno = ENOMEM;
    return !s.failed;
}
