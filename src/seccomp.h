/* System call filters, as BPF for the kernel. */
#ifndef DML_SECCOMP_H
#define DML_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

enum { DML_TTY_FILTER_LENGTH = 11 };

/* The filter that goes with a terminal that is kept: ioctl with TIOCSTI or TIOCLINUX (types into the
 * terminal) gives EPERM, and foreign system call tables, through which it could be reached, give ENOSYS.
 * False on an architecture that it does not know. */
bool dml_seccomp_tty_filter(struct sock_filter filter[DML_TTY_FILTER_LENGTH]);

#endif
