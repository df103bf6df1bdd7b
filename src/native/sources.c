/* Host objects as mounts of our own. A descriptor that was opened outside the new namespaces cannot be cloned
 * as a mount: so each is opened here once more, must be what was checked, and is cloned and closed down
 * before anybody sees it. */
#include "calls.h"
#include "child.h"
#include "kernel.h"
#include "mounts.h"
#include "steps.h"

#include <fcntl.h>
#include <sys/mount.h>

int dml_native_clone_tree(int directory, const char *path, bool recursive)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    return (int)CALL3(__NR_open_tree, directory, path, flags | (recursive ? AT_RECURSIVE : 0));
}

int dml_native_set_attributes(int tree, uint64_t attributes, bool recursive)
{
    struct mount_attr set = {.attr_set = attributes, .propagation = MS_PRIVATE};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return (int)CALL5(__NR_mount_setattr, tree, "", flags, &set, sizeof set);
}

static bool clone_source(struct dml_native *n, struct dml_native_mount *mount)
{
    const struct dml_entry *entry = mount->entry;
    uint64_t attributes = MOUNT_ATTR_NOSUID | (entry->kind == DML_BIND_DEVICE ? 0 : MOUNT_ATTR_NODEV) |
                          (entry->kind == DML_BIND_RO ? MOUNT_ATTR_RDONLY : 0);
    int fd = dml_child_open(&entry->source);
    if (fd < 0)
        return dml_native_fail(n, DML_NATIVE_SOURCE, entry, fd);
    mount->tree = dml_native_clone_tree(fd, "", true);
    dml_child_close(fd);
    if (mount->tree < 0)
        return dml_native_fail(n, DML_NATIVE_CLONE_TREE, entry, mount->tree);
    int failed = dml_native_set_attributes(mount->tree, attributes, true);
    return !failed || dml_native_fail(n, DML_NATIVE_ATTRIBUTES, entry, failed);
}

bool dml_native_clone_sources(struct dml_native *n)
{
    for (size_t i = 0; i < n->mount_count; i++) {
        const struct dml_entry *entry = n->mounts[i].entry;
        if (dml_is_of_host(entry) && !clone_source(n, &n->mounts[i]))
            return false;
    }
    return true;
}
