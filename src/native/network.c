/* The network namespace: its loopback device, which is down when it is new. */
#include "child.h"
#include "steps.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

bool dml_native_raise_loopback(struct dml_native *n)
{
    if (n->plan->network)
        return true;
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* any family will do */
    bool raised = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    dml_child_close(fd);
    return raised || dml_native_fail(n, DML_NATIVE_LOOPBACK, NULL);
}
