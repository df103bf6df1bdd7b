/* New file systems, mounted nowhere yet. */
#include "calls.h"
#include "child.h"
#include "kernel.h"
#include "steps.h"

#include <stddef.h>

struct option {
    const char *name, *value; /* without a value: it is left to the kernel */
};

static long configure(long context, const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        long failed = options[i].value ? CALL5(__NR_fsconfig, context, FSCONFIG_SET_STRING, options[i].name,
                                               options[i].value, 0)
                                       : 0;
        if (failed)
            return failed;
    }
    return CALL5(__NR_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

static int new_filesystem(const char *type, const struct option *options, size_t count, unsigned attributes)
{
    long context = CALL2(__NR_fsopen, type, FSOPEN_CLOEXEC);
    if (context < 0)
        return (int)context;
    long mount = CALL5(__NR_fsconfig, context, FSCONFIG_SET_STRING, "source", type, 0);
    if (!mount)
        mount = configure(context, options, count);
    if (!mount)
        mount = CALL3(__NR_fsmount, context, FSMOUNT_CLOEXEC, attributes);
    dml_child_close((int)context);
    return (int)mount;
}

int dml_native_new_tmpfs(const char *size, const char *mode)
{
    const struct option options[] = {{"size", size}, {"mode", mode}};
    return new_filesystem("tmpfs", options, 2, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

int dml_native_new_devpts(void)
{
    static const struct option options[] = {{"ptmxmode", "0666"}, {"mode", "620"}};
    return new_filesystem("devpts", options, 2, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

/* While the host's is still mounted: the kernel gives none to who could see none before. */
bool dml_native_make_proc(struct dml_native *n)
{
    n->proc = new_filesystem("proc", NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return n->proc >= 0 || dml_native_fail(n, DML_NATIVE_PROC, NULL, n->proc);
}
