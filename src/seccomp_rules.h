/* Which system calls the default filter refuses, for each machine that it knows. */
#ifndef DML_SECCOMP_RULES_H
#define DML_SECCOMP_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dml_machine { DML_X86_64, DML_AARCH64, DML_MACHINE_COUNT };

/* What a policy may take out of the filter (`seccomp.allow`). */
enum dml_seccomp_option {
    DML_OPTION_DEBUG,    /* looking into other processes: debuggers, strace */
    DML_OPTION_NESTED,   /* namespaces and mounts: sandboxes inside the sandbox */
    DML_OPTION_PERF,     /* performance counters, NUMA placement */
    DML_OPTION_IO_URING, /* io_uring, whose operations no filter sees */
    DML_OPTION_KEYRING,  /* the kernel's keyrings */
    DML_OPTION_NETLINK,  /* route sockets: the interfaces and addresses of the network */
    DML_OPTION_SET_ID,   /* set-user-id and set-group-id modes, of files and directories */
    DML_OPTION_COUNT,
};

extern const char *const dml_seccomp_option_names[DML_OPTION_COUNT];

/* Beside the options: `nested` in a sandbox that root started. */
enum { DML_SECCOMP_ROOT_NESTED = 1 << DML_OPTION_COUNT };

/* What becomes of a call. From DML_CHECK_SOCKET on its arguments decide. */
enum dml_verdict {
    DML_ALLOWED,
    DML_REFUSED, /* EPERM */
    DML_ABSENT,  /* ENOSYS: programs fall back to what they used before */
    DML_WITNESS, /* an error that no kernel gives: this filter holds */
    DML_CHECK_SOCKET,
    DML_CHECK_SOCKET_NETLINK,
    DML_CHECK_SOCKETPAIR,
    DML_CHECK_CLONE,
    DML_CHECK_UNSHARE,
    DML_CHECK_IOCTL,
    DML_CHECK_PERSONALITY,
    DML_CHECK_PRLIMIT,
    DML_CHECK_MODE_1, /* set-id bits in the argument of this index */
    DML_CHECK_MODE_2,
    DML_CHECK_MODE_3,
    DML_CHECK_OPEN, /* flags and mode in arguments 1 and 2 */
    DML_CHECK_OPENAT,
    DML_VERDICT_COUNT,
    DML_NEXT, /* of a test: the next one decides */
};

/* A system call that is not simply allowed. */
struct dml_seccomp_rule {
    const char *name;
    int16_t number[DML_MACHINE_COUNT]; /* -1: this machine has no such call */
    enum dml_verdict verdict;
    unsigned options;         /* bits of dml_seccomp_option: each of them turns it into ... */
    enum dml_verdict relaxed; /* ... this */
};

extern const struct dml_seccomp_rule dml_seccomp_rules[];
extern const size_t dml_seccomp_rule_count;

enum {
    DML_LAST_CALL = 469
}; /* the highest number that the rules were made with, on every machine: file_setattr */

/* One look at half of an argument: the kernel takes no more than its low 32 bits of an int, so neither do we.
 */
struct dml_seccomp_test {
    uint8_t argument;
    bool high; /* the upper half */
    bool bits; /* is any bit of `value` set? otherwise: is it equal? */
    uint32_t value;
    enum dml_verdict yes, no; /* DML_NEXT, or what it comes to */
};

enum { DML_MOST_TESTS = 5 };

/* The tests of a verdict from DML_CHECK_SOCKET on, in order; `count` says how many. */
const struct dml_seccomp_test *dml_seccomp_tests(enum dml_verdict verdict, size_t *count);

#endif
