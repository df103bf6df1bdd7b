/* What of the kernel's interface the headers of Debian 12 lack (glibc 2.36, Linux 6.1), each with where it
 * stands in the kernel's sources and since when. The floor is Linux 5.13; what is younger than that is probed
 * before it is used. */
#ifndef DML_NATIVE_KERNEL_H
#define DML_NATIVE_KERNEL_H

#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdint.h>

/* include/uapi/linux/landlock.h. The numbers of the ABI: 1 Linux 5.13, 2 5.19, 3 6.2, 4 6.7, 5 6.10, 6 6.12.
 */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* ABI 6 */
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1)               /* ABI 6 */
#endif

/* struct landlock_ruleset_attr, include/uapi/linux/landlock.h, as of ABI 6; a kernel takes as much of it as
 * it knows. */
struct dml_landlock_ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

#endif
