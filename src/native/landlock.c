/* The second wall: should a mount be other than it was meant, or a way around the mounts be found, nothing
 * can be written but below what the plan makes writable, and nothing be read that is not in the sandbox's own
 * tree. */
#include "calls.h"
#include "kernel.h"
#include "mounts.h"
#include "stage_message.h"
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define LOOK (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define FILE_RIGHTS                                                                                          \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | WRITE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

/* Every right that an ABI knows: each has added a bit. */
static uint64_t rights_of(int abi)
{
    uint64_t all = LANDLOCK_ACCESS_FS_IOCTL_DEV * 2 - 1;
    if (abi < 5)
        all &= ~LANDLOCK_ACCESS_FS_IOCTL_DEV;
    if (abi < 3)
        all &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
    return all;
}

static long allow(int rules, int fd, uint64_t rights)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = rights, .parent_fd = fd};
    return CALL4(__NR_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
}

/* What may be done below a mount besides looking; 0: nothing. */
static uint64_t rights_at(const struct dml_entry *entry, uint64_t all)
{
    switch (entry->kind) {
    case DML_BIND_RW: return S_ISDIR(entry->source.mode) ? all : all & FILE_RIGHTS;
    case DML_BIND_DEVICE: return all & FILE_RIGHTS;
    case DML_TMPFS: return all;
    case DML_PROC: return all & (LOOK | WRITE);
    case DML_DEV: return all & (LOOK | WRITE | LANDLOCK_ACCESS_FS_IOCTL_DEV);
    default: return 0;
    }
}

/* The command's own input and output can be opened again by name. Pipes and the like need no rule, and take
 * none. */
static long allow_standard(int rules, int fd, uint64_t all)
{
    long flags = CALL2(__NR_fcntl, fd, F_GETFL);
    if (flags < 0)
        return flags;
    uint64_t rights = (flags & O_ACCMODE) == O_WRONLY ? 0 : LANDLOCK_ACCESS_FS_READ_FILE;
    if ((flags & O_ACCMODE) != O_RDONLY)
        rights |= WRITE;
    long failed = allow(rules, fd, all & (rights | LANDLOCK_ACCESS_FS_IOCTL_DEV));
    return failed == -EBADFD ? 0 : failed;
}

static long add_rules(const struct dml_native *n, int rules, uint64_t all)
{
    long failed = allow(rules, n->root, LOOK);
    for (size_t i = 0; i < n->mount_count && !failed; i++) {
        const struct dml_native_mount *mount = &n->mounts[i];
        uint64_t rights = rights_at(mount->entry, all);
        failed = rights ? allow(rules, mount->tree, rights) : 0;
    }
    for (int i = 0; i < 3 && !failed; i++)
        failed = allow_standard(rules, DML_FD_STDIN + i, all);
    return failed;
}

bool dml_native_restrict_files(struct dml_native *n)
{
    if (!n->landlock)
        return true;
    struct dml_landlock_ruleset attributes = {.handled_access_fs = rights_of(n->landlock)};
    if (n->landlock >= 6)
        attributes.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
    /* An older kernel takes what it does not know as long as that is 0. */
    int rules = (int)CALL3(__NR_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    long failed = rules < 0 ? rules : add_rules(n, rules, attributes.handled_access_fs);
    if (!failed)
        failed = CALL2(__NR_landlock_restrict_self, rules, 0);
    return !failed || dml_native_fail(n, DML_NATIVE_LANDLOCK, NULL, failed);
}
