/* /dev: a few devices of the host, terminals of its own, and the usual links. */
#include "calls.h"
#include "child.h"
#include "kernel.h"
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

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
    long made = CALL3(__NR_mkdirat, n->shop, name, 0755);
    if (made && made != -EEXIST)
        return (int)made;
    int tree = dml_native_clone_tree(n->shop, name, false);
    int failed =
        tree < 0 ? tree : dml_native_set_attributes(tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false);
    return failed ? failed : tree;
}

/* A mount of the host's device, which must be the one that is meant. */
static int clone_device(const char *path, dev_t number)
{
    struct stat status;
    int tree = dml_native_clone_tree(AT_FDCWD, path, false);
    int failed = tree < 0 ? tree : dml_child_inspect(tree, &status);
    if (failed)
        return failed;
    return S_ISCHR(status.st_mode) && status.st_rdev == number ? tree : -ENODEV;
}

static bool add_device(struct dml_native *n, const struct dml_native_mount *mount, size_t i)
{
    dev_t number = makedev(devices[i].major, devices[i].minor);
    int made = dml_native_make_file(mount->tree, devices[i].name);
    int tree = made ? made : clone_device(devices[i].host, number);
    int failed = tree < 0 ? tree : dml_native_set_attributes(tree, MOUNT_ATTR_NOSUID, false);
    if (failed)
        return dml_native_fail(n, DML_NATIVE_DEVICE, mount->entry, failed);
    bool attached = dml_native_attach_here(n, tree, mount->tree, devices[i].name, mount->entry);
    dml_child_close(tree);
    return attached;
}

static bool add_terminals(struct dml_native *n, const struct dml_native_mount *mount)
{
    long made = CALL3(__NR_mkdirat, mount->tree, "pts", 0755);
    int tree = made ? (int)made : dml_native_new_devpts();
    if (tree < 0)
        return dml_native_fail(n, DML_NATIVE_DEVICE, mount->entry, tree);
    bool attached = dml_native_attach_here(n, tree, mount->tree, "pts", mount->entry);
    dml_child_close(tree);
    return attached;
}

bool dml_native_fill_dev(struct dml_native *n, const struct dml_native_mount *mount)
{
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (!add_device(n, mount, i))
            return false;
    }
    long failed = CALL3(__NR_mkdirat, mount->tree, "shm", 0755);
    for (size_t i = 0; i < sizeof links / sizeof links[0] && !failed; i++)
        failed = CALL3(__NR_symlinkat, links[i].target, mount->tree, links[i].name);
    if (failed)
        return dml_native_fail(n, DML_NATIVE_DEVICE, mount->entry, failed);
    return add_terminals(n, mount);
}
