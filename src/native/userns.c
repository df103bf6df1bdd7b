/* The user namespace: who we are inside, and that it stays the only one. */
#include "calls.h"
#include "child.h"
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static long write_text(int directory, const char *path, const char *text)
{
    long length = (long)strlen(text);
    int fd = (int)CALL3(__NR_openat, directory, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fd;
    long written = CALL3(__NR_write, fd, text, length);
    dml_child_close(fd);
    return written == length ? 0 : written < 0 ? written : -EIO;
}

/* A map of one's own id alone needs no privilege, once groups cannot be set any more. */
bool dml_native_map_ids(struct dml_native *n)
{
    long failed = write_text(AT_FDCWD, "/proc/self/setgroups", "deny");
    if (!failed)
        failed = write_text(AT_FDCWD, "/proc/self/uid_map", n->uid_map);
    if (!failed)
        failed = write_text(AT_FDCWD, "/proc/self/gid_map", n->gid_map);
    return !failed || dml_native_fail(n, DML_NATIVE_ID_MAP, NULL, failed);
}

/* In a fresh /proc, for the host's may be read-only. Without capabilities nobody inside can raise it again.
 */
bool dml_native_forbid_user_namespaces(struct dml_native *n)
{
    long failed = n->plan->nested ? 0 : write_text(n->proc, "sys/user/max_user_namespaces", "0");
    return !failed || dml_native_fail(n, DML_NATIVE_USER_NAMESPACES, NULL, failed);
}
