/* What the command may do is settled here, before the inner stage is executed. */
#include "steps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As many as this kernel knows. */
static bool empty_bounding_set(void)
{
    for (unsigned long capability = 0;; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return errno == EINVAL && capability > 0;
    }
}

bool dml_native_drop_privileges(struct dml_native *n)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    static const struct __user_cap_data_struct none[2];
    return (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && empty_bounding_set() &&
            syscall(SYS_capset, &header, none) == 0) ||
           dml_native_fail(n, DML_NATIVE_PRIVILEGES, NULL);
}

bool dml_native_set_filter(struct dml_native *n)
{
    return n->filter.len == 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &n->filter) == 0 ||
           dml_native_fail(n, DML_NATIVE_FILTER, NULL);
}
