/* The network namespace: its loopback device, which is down when it is new. */
#include "calls.h"
#include "child.h"
#include "steps.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

bool dml_native_raise_loopback(struct dml_native *n)
{
    if (n->plan->network)
        return true;
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    long fd = CALL3(__NR_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* any family will do */
    long failed = fd < 0 ? fd : CALL3(__NR_ioctl, fd, SIOCSIFFLAGS, &request);
    dml_child_close((int)fd);
    return !failed || dml_native_fail(n, DML_NATIVE_LOOPBACK, NULL, failed);
}
