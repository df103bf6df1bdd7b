/* /dev: a few devices of the host, terminals of its own, and the usual links. */
#include "child.h"
#include "kernel.h"
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Documentation/admin-guide/devices.txt of the kernel. */
static const struct {
    const char *host, *name;
    unsigned major, minor;
} devices[] = {
    {"/dev/null", "null", 1, 3},     {"/dev/zero", "zero", 1, 5},       {"/dev/full", "full", 1, 7},
    {"/dev/random", "random", 1, 8}, {"/dev/urandom", "urandom", 1, 9}, {"/dev/tty", "tty", 5, 0},
};

static const struct {
    const char *name, *target;
} links[] = {
    {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
    {"fd", "/proc/self/fd"},      {"core", "/proc/kcore"},       {"ptmx", "pts/ptmx"},
};

/* A directory of the shop, mounted: it needs no file system of its own. */
int dml_native_new_dev(struct dml_native *n)
{
    static const char name[] = "dev";
    if (mkdirat(n->shop, name, 0755) != 0 && errno != EEXIST)
        return -1;
    int tree = dml_native_clone_tree(n->shop, name, false);
    if (tree >= 0 && !dml_native_set_attributes(tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false)) {
        dml_child_close(tree);
        return -1;
    }
    return tree;
}

/* A mount of the host's device, which must be the one that is meant. */
static int clone_device(const char *path, dev_t number)
{
    struct stat status;
    int tree = dml_native_clone_tree(AT_FDCWD, path, false);
    if (tree < 0)
        return -1;
    if (fstat(tree, &status) == 0) {
        if (S_ISCHR(status.st_mode) && status.st_rdev == number)
            return tree;
        errno = ENODEV;
    }
    dml_child_close(tree);
    return -1;
}

static bool add_device(struct dml_native *n, const struct dml_native_mount *mount, size_t i)
{
    dev_t number = makedev(devices[i].major, devices[i].minor);
    bool made = dml_native_make_file(mount->tree, devices[i].name);
    int tree = made ? clone_device(devices[i].host, number) : -1;
    if (tree < 0 || !dml_native_set_attributes(tree, MOUNT_ATTR_NOSUID, false))
        return dml_native_fail(n, DML_NATIVE_DEVICE, mount->entry);
    bool attached = dml_native_attach_here(n, tree, mount->tree, devices[i].name, mount->entry);
    close(tree);
    return attached;
}

static bool add_terminals(struct dml_native *n, const struct dml_native_mount *mount)
{
    int tree = mkdirat(mount->tree, "pts", 0755) == 0 ? dml_native_new_devpts() : -1;
    if (tree < 0)
        return dml_native_fail(n, DML_NATIVE_DEVICE, mount->entry);
    bool attached = dml_native_attach_here(n, tree, mount->tree, "pts", mount->entry);
    close(tree);
    return attached;
}

bool dml_native_fill_dev(struct dml_native *n, const struct dml_native_mount *mount)
{
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (!add_device(n, mount, i))
            return false;
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        if (symlinkat(links[i].target, mount->tree, links[i].name) != 0)
            return dml_native_fail(n, DML_NATIVE_DEVICE, mount->entry);
    }
    if (mkdirat(mount->tree, "shm", 0755) != 0)
        return dml_native_fail(n, DML_NATIVE_DEVICE, mount->entry);
    return add_terminals(n, mount);
}
