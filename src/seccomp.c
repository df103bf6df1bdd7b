#include "seccomp.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

enum { X32_BIT = 0x40000000 }; /* set in the numbers of x86's third table */

bool dml_seccomp_tty_filter(struct sock_filter filter[DML_TTY_FILTER_LENGTH])
{
#ifdef NATIVE_ARCH
    const unsigned allow = SECCOMP_RET_ALLOW, absent = SECCOMP_RET_ERRNO | ENOSYS,
                   refused = SECCOMP_RET_ERRNO | EPERM;
    const struct sock_filter code[DML_TTY_FILTER_LENGTH] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0, 7),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
        /* The low half alone: the kernel looks at no more of the request. */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX, 2, 0),
        BPF_STMT(BPF_RET | BPF_K, allow),
        BPF_STMT(BPF_RET | BPF_K, absent),
        BPF_STMT(BPF_RET | BPF_K, refused),
    };
    memcpy(filter, code, sizeof code);
    return true;
#else
    (void)filter;
    return false;
#endif
}
