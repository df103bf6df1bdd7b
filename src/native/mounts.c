/* The tree. A tmpfs, the shop, is mounted on top of "/": our root stays what it was, so that absolute paths
 * are still the host's, and everything inside is reached from the descriptor of the new root alone, through
 * no symbolic link. The shop is that root, unless the plan puts a host tree there; files are made in it and
 * leave it as mounts. */
#include "calls.h"
#include "child.h"
#include "kernel.h"
#include "mounts.h"
#include "path.h"
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const uint64_t PLAIN = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

static long move(int tree, int directory, const char *path)
{
    return CALL5(__NR_move_mount, tree, "", directory, path,
                 MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH));
}

bool dml_native_attach_here(struct dml_native *n, int tree, int directory, const char *name,
                            const struct dml_entry *entry)
{
    long failed = move(tree, directory, name);
    return !failed || dml_native_fail(n, DML_NATIVE_ATTACH, entry, failed);
}

/* Nothing in a file system of ours leads a single name astray; a longer path is opened without its links. */
static bool attach(struct dml_native *n, const struct dml_native_mount *mount)
{
    const struct dml_entry *entry = mount->entry;
    if (mount->make && !strchr(mount->at, '/'))
        return dml_native_attach_here(n, mount->tree, n->root, mount->at, entry);
    int place = dml_child_open_path(n->root, mount->at, true);
    if (place < 0)
        return dml_native_fail(n, DML_NATIVE_PLACE, entry, place);
    bool attached = dml_native_attach_here(n, mount->tree, place, "", entry);
    dml_child_close(place);
    return attached;
}

/* --- mount points --- */

static bool is_new_file(const struct dml_entry *entry)
{
    return entry->kind == DML_DATA || (entry->kind == DML_MASK && !entry->directory);
}

static bool is_file(const struct dml_entry *entry)
{
    return is_new_file(entry) || entry->kind == DML_BIND_DEVICE ||
           (dml_is_host_tree(entry) && !S_ISDIR(entry->source.mode));
}

static long make_directory(int root, const char *path)
{
    long failed = CALL3(__NR_mkdirat, root, path, 0755);
    return failed == -EEXIST ? 0 : failed;
}

int dml_native_make_file(int directory, const char *path)
{
    return (int)CALL4(__NR_mknodat, directory, path, S_IFREG | 0444, 0);
}

static long make_file_once(int root, const char *path)
{
    int failed = dml_native_make_file(root, path);
    return failed == -EEXIST ? 0 : failed;
}

/* In file systems of ours alone: below a host tree everything is there. */
static bool make_place(struct dml_native *n, const struct dml_native_mount *mount)
{
    const struct dml_entry *entry = mount->entry;
    long failed = 0;
    for (char *const *at = mount->directories; at && *at && !failed; at++)
        failed = make_directory(n->root, *at);
    if (!failed && mount->make && entry->kind != DML_SYMLINK)
        failed = is_file(entry) ? make_file_once(n->root, mount->at) : make_directory(n->root, mount->at);
    return !failed || dml_native_fail(n, DML_NATIVE_PLACE, entry, failed);
}

/* --- what is mounted --- */

static long write_all(int fd, const char *at, size_t left)
{
    while (left) {
        long written = CALL3(__NR_write, fd, at, left);
        if (written < 0)
            return written;
        at += written;
        left -= (size_t)written;
    }
    return 0;
}

/* A file with given content, made in the shop; its name goes once it is mounted elsewhere. */
static int new_file(struct dml_native *n, const struct dml_entry *entry)
{
    int fd = (int)CALL4(__NR_openat, n->shop, n->file_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fd;
    long failed = write_all(fd, entry->data, entry->length);
    if (!failed)
        failed = CALL2(__NR_fchmod, fd, entry->mode);
    dml_child_close(fd);
    return failed ? (int)failed : dml_native_clone_tree(n->shop, n->file_name, false);
}

/* A part of the new /proc, to be put on itself. Not every kernel has each. */
static int new_cover(struct dml_native *n, const struct dml_entry *entry)
{
    return dml_native_clone_tree(n->proc, dml_path_below(entry->host, "/proc"), false);
}

static bool seal(struct dml_native *n, const struct dml_native_mount *mount)
{
    int place = dml_child_open_path(n->root, mount->at, true);
    int failed = place < 0 ? place : dml_native_set_attributes(place, MOUNT_ATTR_RDONLY, false);
    dml_child_close(place);
    return !failed || dml_native_fail(n, DML_NATIVE_SEAL, mount->entry, failed);
}

/* What stands at this mount: a tree that is there already, or a new one. Below 0 with the failure noted. */
static int tree_of(struct dml_native *n, struct dml_native_mount *mount)
{
    const struct dml_entry *entry = mount->entry;
    enum dml_native_step step = DML_NATIVE_FILE_SYSTEM;
    switch (entry->kind) {
    case DML_PROC: mount->tree = n->proc; break;
    case DML_DEV:
        step = DML_NATIVE_DEVICE;
        mount->tree = dml_native_new_dev(n);
        break;
    case DML_TMPFS: mount->tree = dml_native_new_tmpfs(mount->size, mount->mode); break;
    case DML_MASK:
    case DML_DATA:
        step = entry->directory ? DML_NATIVE_FILE_SYSTEM : DML_NATIVE_FILE;
        mount->tree = entry->directory ? dml_native_new_tmpfs(mount->size, mount->mode) : new_file(n, entry);
        break;
    case DML_COVER:
        step = DML_NATIVE_CLONE_TREE;
        mount->tree = new_cover(n, entry);
        break;
    default: break; /* of the host: cloned before */
    }
    if (mount->tree < 0)
        dml_native_fail(n, step, entry, mount->tree);
    return mount->tree;
}

static bool make_link(struct dml_native *n, const struct dml_native_mount *mount)
{
    long failed = CALL3(__NR_symlinkat, mount->entry->host, n->root, mount->at);
    return !failed || dml_native_fail(n, DML_NATIVE_LINK, mount->entry, failed);
}

static bool build_mount(struct dml_native *n, struct dml_native_mount *mount)
{
    const struct dml_entry *entry = mount->entry;
    if (!make_place(n, mount))
        return false;
    if (entry->kind == DML_SYMLINK)
        return make_link(n, mount);
    int tree = tree_of(n, mount);
    if (tree == -ENOENT && entry->kind == DML_COVER)
        return dml_native_forgive(n);
    if (tree < 0)
        return false;
    bool covers = entry->kind == DML_COVER || is_new_file(entry);
    long failed = covers ? dml_native_set_attributes(tree, PLAIN | MOUNT_ATTR_RDONLY, false) : 0;
    if (failed)
        return dml_native_fail(n, DML_NATIVE_ATTRIBUTES, entry, failed);
    if (!attach(n, mount))
        return false;
    failed = is_new_file(entry) ? CALL3(__NR_unlinkat, n->shop, n->file_name, 0) : 0;
    if (failed)
        return dml_native_fail(n, DML_NATIVE_FILE, entry, failed);
    return entry->kind != DML_DEV || dml_native_fill_dev(n, mount);
}

/* --- the root --- */

static bool is_root(const struct dml_native_mount *mount)
{
    return mount->entry->kind != DML_SEAL && mount->entry->sandbox[1] == '\0';
}

/* A host tree as the root stands in the shop; paths are looked up from it. */
static bool make_root(struct dml_native *n)
{
    static const char name[] = "root";
    n->root = n->shop = dml_native_new_tmpfs(NULL, "0755");
    long failed = n->shop < 0 ? n->shop : move(n->shop, AT_FDCWD, "/");
    if (failed)
        return dml_native_fail(n, DML_NATIVE_ROOT, NULL, failed);
    if (n->mount_count == 0 || !is_root(&n->mounts[0]))
        return true;
    struct dml_native_mount *mount = &n->mounts[0];
    if (tree_of(n, mount) < 0)
        return false;
    n->root = mount->tree;
    failed = make_directory(n->shop, name);
    if (!failed)
        failed = move(mount->tree, n->shop, name);
    return !failed || dml_native_fail(n, DML_NATIVE_ROOT, mount->entry, failed);
}

bool dml_native_build_tree(struct dml_native *n)
{
    if (!make_root(n))
        return false;
    for (size_t i = n->root == n->shop ? 0 : 1; i < n->mount_count; i++) {
        struct dml_native_mount *mount = &n->mounts[i];
        if (!(mount->entry->kind == DML_SEAL ? seal(n, mount) : build_mount(n, mount)))
            return false;
    }
    return true;
}

/* The old root lands on top of the new one, and goes with everything that is mounted in it. Unless it is the
 * new root, the shop is still on top of the old one, and goes first. */
bool dml_native_enter_tree(struct dml_native *n)
{
    long failed = CALL1(__NR_fchdir, n->root);
    if (!failed)
        failed = CALL2(__NR_pivot_root, ".", ".");
    for (int on_top = n->root == n->shop ? 1 : 2; on_top && !failed; on_top--)
        failed = CALL2(__NR_umount2, ".", MNT_DETACH);
    if (!failed)
        failed = CALL1(__NR_chdir, "/");
    return !failed || dml_native_fail(n, DML_NATIVE_PIVOT, NULL, failed);
}
