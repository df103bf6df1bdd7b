/* The files of the policy itself: who can rewrite one chooses the next sandbox. */
#include "danger_private.h"
#include "path.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void dml_danger_find_own_files(struct dml_danger_context *c)
{
    size_t count = c->policy->file_count;
    c->own_files = dml_arena_array(&c->arena, count, sizeof *c->own_files);
    for (size_t i = 0; c->own_files && i < count; i++) {
        struct stat status; /* of a link itself: who replaces one on the way chooses the policy */
        const char *path = c->policy->files[i];
        c->own_files[i] = (struct dml_place){DML_DANGER_PATH_RW, path, lstat(path, &status) == 0};
    }
    c->problems->failed |= !c->own_files;
}

/* What is left of `file` below the one of its directories that is this object, wherever else that is mounted;
 * NULL when none is. */
static const char *tail_below(const char *file, dev_t device, ino_t inode)
{
    char path[DML_PATH_MAX];
    size_t length = strlen(file);
    struct stat status;
    while (length > 0 && length < sizeof path) {
        snprintf(path, sizeof path, "%.*s", (int)length, file);
        if (lstat(path, &status) == 0 && status.st_dev == device && status.st_ino == inode)
            return file + length + (file[length] == '/');
        if (length == 1)
            return NULL;
        while (length > 1 && file[length - 1] != '/')
            length--;
        length -= length > 1; /* the slash, but for the root's */
    }
    return NULL;
}

/* Where it is told that the runner's own policy could be rewritten: a client of the ancestor hands one over
 * for each launch, and may keep it wherever it likes. */
static struct dml_problems *own_file_list(struct dml_danger_context *c)
{
    return c->policy->wire ? c->warnings : c->problems;
}

/* Checks the tree of the host at `where`, which `bind` shows: its source, or a mount below that. */
static void check_own_file(struct dml_danger_context *c, const struct dml_entry *bind, const char *where,
                           const struct stat *status, const char *file)
{
    const char *tail = tail_below(file, status->st_dev, status->st_ino);
    char shown[2 * DML_PATH_MAX], inside[2 * DML_PATH_MAX];
    if (!tail)
        return;
    snprintf(shown, sizeof shown, "%s%s%s", strcmp(where, "/") == 0 ? "" : where, *tail ? "/" : "", tail);
    if (dml_danger_covered(c, bind, shown, true))
        return;
    dml_bind_path_inside(inside, bind, shown);
    struct stat own;
    if (lstat(file, &own) == 0 && S_ISLNK(own.st_mode)) {
        dml_problem_add(
            c->problems, "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
            "would let the command replace the link \"%s\", which leads to its own policy; name the "
            "policy by the path behind it",
            file);
        return;
    }
    dml_problem_add(
        own_file_list(c), "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
        "would let the command rewrite its own policy; protect it: ro_binds = { { \"%s\", \"%s\" } }", file,
        inside);
}

void dml_danger_check_own_files(struct dml_danger_context *c, const struct dml_entry *bind)
{
    const struct stat source = {.st_dev = bind->source.device, .st_ino = bind->source.inode};
    for (size_t i = 0; c->own_files && i < c->policy->file_count; i++) {
        const struct dml_place *own = &c->own_files[i];
        struct stat status;
        if (!own->exists)
            continue;
        check_own_file(c, bind, bind->source.path, &source, own->path);
        if (lstat(own->path, &status) == 0 && status.st_nlink > 1 && status.st_dev == source.st_dev)
            dml_problem_add(
                own_file_list(c), "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
                "may hold another hard link of \"%s\", through which the command would rewrite its "
                "own policy; make that file a copy of its own",
                own->path);
    }
}

void dml_danger_check_own_mount(struct dml_danger_context *c, const char *where)
{
    struct stat status;
    for (size_t i = 0; c->own_files && i < c->policy->entry_count; i++) {
        const struct dml_entry *bind = &c->policy->entries[i];
        bool below = bind->kind == DML_BIND_RW && dml_danger_is_own_bind(bind) &&
                     dml_path_within(where, bind->source.path) && strcmp(where, bind->source.path) != 0;
        for (size_t k = 0; below && k < c->policy->file_count && stat(where, &status) == 0; k++) {
            if (c->own_files[k].exists && !dml_path_within(c->own_files[k].path, where))
                check_own_file(c, bind, where, &status, c->own_files[k].path);
        }
    }
}
