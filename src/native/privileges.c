/* What the command may do is settled here, before the inner stage is executed. */
#include "calls.h"
#include "steps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static long control(int option, unsigned long a, unsigned long b)
{
    return CALL5(__NR_prctl, option, a, b, 0, 0);
}

/* As many as this kernel knows. */
static long empty_bounding_set(void)
{
    for (unsigned long capability = 0;; capability++) {
        long failed = control(PR_CAPBSET_DROP, capability, 0);
        if (failed)
            return failed == -EINVAL && capability > 0 ? 0 : failed;
    }
}

bool dml_native_drop_privileges(struct dml_native *n)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    static const struct __user_cap_data_struct none[2];
    long failed = control(PR_SET_NO_NEW_PRIVS, 1, 0);
    if (!failed)
        failed = empty_bounding_set();
    if (!failed)
        failed = CALL2(__NR_capset, &header, none);
    return !failed || dml_native_fail(n, DML_NATIVE_PRIVILEGES, NULL, failed);
}

bool dml_native_set_filter(struct dml_native *n)
{
    long failed =
        n->filter.len == 0 ? 0 : control(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (unsigned long)&n->filter);
    return !failed || dml_native_fail(n, DML_NATIVE_FILTER, NULL, failed);
}
