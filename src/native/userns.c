/* The user namespace: who we are inside, and that it stays the only one. */
#include "child.h"
#include "steps.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool write_text(int directory, const char *path, const char *text)
{
    int fd = openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    dml_child_close(fd);
    return written;
}

/* A map of one's own id alone needs no privilege, once groups cannot be set any more. */
bool dml_native_map_ids(struct dml_native *n)
{
    return (write_text(AT_FDCWD, "/proc/self/setgroups", "deny") &&
            write_text(AT_FDCWD, "/proc/self/uid_map", n->uid_map) &&
            write_text(AT_FDCWD, "/proc/self/gid_map", n->gid_map)) ||
           dml_native_fail(n, DML_NATIVE_ID_MAP, NULL);
}

/* In a fresh /proc, for the host's may be read-only. Without capabilities nobody inside can raise it again.
 */
bool dml_native_forbid_user_namespaces(struct dml_native *n)
{
    return n->plan->nested || write_text(n->proc, "sys/user/max_user_namespaces", "0") ||
           dml_native_fail(n, DML_NATIVE_USER_NAMESPACES, NULL);
}
