#include "host_tree.h"
#include "arena.h"
#include "host.h"
#include "path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A directory that is still to be looked at. */
struct pending {
    const char *path;
    size_t depth; /* of what it holds */
    struct pending *next;
};

struct walk {
    const struct dml_tree *tree;
    struct dml_arena arena; /* what is pending */
    struct pending **last;  /* where the next one is added */
    size_t seen;
    bool whole, enough;
};

/* The directory at a path without links, to be read; NULL with errno. */
static DIR *open_directory(const char *path)
{
    int place = dml_host_open_exact(path);
    if (place < 0)
        return NULL;
    int fd = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int reason = errno;
    close(place);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !directory) {
        reason = errno;
        close(fd);
    }
    errno = reason;
    return directory;
}

static bool add_pending(struct walk *w, const char *path, size_t depth)
{
    struct pending *pending = dml_arena_alloc(&w->arena, sizeof *pending);
    const char *copy = dml_arena_string(&w->arena, path);
    if (!pending || !copy) {
        errno = ENOMEM;
        return false;
    }
    *pending = (struct pending){.path = copy, .depth = depth};
    *w->last = pending;
    w->last = &pending->next;
    return true;
}

static bool visit_entry(struct walk *w, const struct pending *parent, int fd, const char *name)
{
    struct stat status;
    if (w->seen++ == w->tree->entries) {
        w->whole = false;
        w->enough = true;
        return true;
    }
    if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        w->whole &= errno == ENOENT; /* gone meanwhile */
        return true;
    }
    char path[DML_PATH_MAX + 1];
    int length =
        snprintf(path, sizeof path, "%s/%s", strcmp(parent->path, "/") == 0 ? "" : parent->path, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        w->whole = false; /* nobody can name it */
        return true;
    }
    enum dml_visited then = w->tree->visit(w->tree->context, path, &status);
    w->enough = then == DML_VISIT_ENOUGH;
    if (then != DML_VISIT_ON || !S_ISDIR(status.st_mode))
        return true;
    if (parent->depth < w->tree->depth)
        return add_pending(w, path, parent->depth + 1);
    w->whole = false;
    return true;
}

static bool visit_directory(struct walk *w, const struct pending *pending)
{
    DIR *directory = open_directory(pending->path);
    if (!directory) {
        w->whole &= errno == EACCES || errno == ENOENT;
        return !dml_host_is_exhausted(errno);
    }
    const struct dirent *item;
    bool fine = true;
    while (fine && !w->enough && (errno = 0, item = readdir(directory))) {
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            fine = visit_entry(w, pending, dirfd(directory), item->d_name);
    }
    int reason = errno;
    if (fine && !w->enough && reason != 0) {
        w->whole = false;
        fine = !dml_host_is_exhausted(reason);
    }
    closedir(directory);
    errno = reason;
    return fine;
}

bool dml_host_visit_tree(const char *root, const struct dml_tree *tree, bool *whole)
{
    struct pending first = {.path = root, .depth = 1};
    struct walk w = {.tree = tree, .last = &first.next, .whole = true};
    bool fine = true;
    for (const struct pending *at = &first; at && fine && !w.enough; at = at->next)
        fine = visit_directory(&w, at);
    *whole = w.whole;
    int reason = errno;
    dml_arena_clear(&w.arena);
    errno = reason;
    return fine;
}
