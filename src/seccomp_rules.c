#include "seccomp_rules.h"

#include <asm-generic/fcntl.h>
#include <asm/ioctls.h>
#include <linux/sched.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>

const char *const dml_seccomp_option_names[DML_OPTION_COUNT] = {
    [DML_OPTION_DEBUG] = "debug",       [DML_OPTION_NESTED] = "nested",   [DML_OPTION_PERF] = "perf",
    [DML_OPTION_IO_URING] = "io_uring", [DML_OPTION_KEYRING] = "keyring", [DML_OPTION_NETLINK] = "netlink",
    [DML_OPTION_SET_ID] = "set_id",
};

enum {
    DEBUG = 1 << DML_OPTION_DEBUG,
    NESTED = 1 << DML_OPTION_NESTED,
    PERF = 1 << DML_OPTION_PERF,
    IO_URING = 1 << DML_OPTION_IO_URING,
    KEYRING = 1 << DML_OPTION_KEYRING,
    NETLINK = 1 << DML_OPTION_NETLINK,
    SET_ID_FILES = 1 << DML_OPTION_SET_ID,
    ROOT_NESTED = DML_SECCOMP_ROOT_NESTED,
};

/* Numbers: Linux 6.17, arch/x86/entry/syscalls/syscall_64.tbl and scripts/syscall.tbl (arm64). */
const struct dml_seccomp_rule dml_seccomp_rules[] = {
    /* other processes */
    {"ptrace", {101, 117}, DML_REFUSED, DEBUG, DML_ALLOWED},
    {"process_vm_readv", {310, 270}, DML_REFUSED, DEBUG, DML_ALLOWED},
    {"process_vm_writev", {311, 271}, DML_REFUSED, DEBUG, DML_ALLOWED},
    {"process_madvise", {440, 440}, DML_REFUSED, DEBUG, DML_ALLOWED},
    {"pidfd_getfd", {438, 438}, DML_REFUSED, DEBUG, DML_ALLOWED},
    {"kcmp", {312, 272}, DML_REFUSED, DEBUG, DML_ALLOWED},
    {"personality", {135, 92}, DML_CHECK_PERSONALITY, DEBUG, DML_ALLOWED},

    /* the limits of pid 1, which is ours and has the command's uid */
    {"prlimit64", {302, 261}, DML_CHECK_PRLIMIT, 0, DML_CHECK_PRLIMIT},

    /* Started by root, a command with namespaces of its own could give a file of the host capabilities. */
    {"setxattr", {188, 5}, DML_ALLOWED, ROOT_NESTED, DML_REFUSED},
    {"lsetxattr", {189, 6}, DML_ALLOWED, ROOT_NESTED, DML_REFUSED},
    {"fsetxattr", {190, 7}, DML_ALLOWED, ROOT_NESTED, DML_REFUSED},
    {"setxattrat", {463, 463}, DML_ALLOWED, ROOT_NESTED, DML_REFUSED},

    /* namespaces and mounts; clone3 has its flags where no filter can see them */
    {"clone", {56, 220}, DML_CHECK_CLONE, NESTED, DML_ALLOWED},
    {"clone3", {435, 435}, DML_ABSENT, NESTED, DML_ALLOWED},
    {"unshare", {272, 97}, DML_CHECK_UNSHARE, NESTED, DML_ALLOWED},
    {"setns", {308, 268}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"mount", {165, 40}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"umount2", {166, 39}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"pivot_root", {155, 41}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"chroot", {161, 51}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"open_tree", {428, 428}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"move_mount", {429, 429}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"fsopen", {430, 430}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"fsconfig", {431, 431}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"fsmount", {432, 432}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"fspick", {433, 433}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"mount_setattr", {442, 442}, DML_REFUSED, NESTED, DML_ALLOWED},
    {"open_tree_attr", {467, 467}, DML_REFUSED, NESTED, DML_ALLOWED},

    /* sockets: families that no namespace holds, or that few programs need and attackers like */
    {"socket", {41, 198}, DML_CHECK_SOCKET, NETLINK | NESTED, DML_CHECK_SOCKET_NETLINK},
    {"socketpair", {53, 199}, DML_CHECK_SOCKETPAIR, 0, DML_CHECK_SOCKETPAIR},

    /* the terminal's input queue */
    {"ioctl", {16, 29}, DML_CHECK_IOCTL, 0, DML_CHECK_IOCTL},

    /* set-id files, left for the host to execute; openat2 has its mode where no filter can see it, and mkdir
     * takes no such bits */
    {"chmod", {90, -1}, DML_CHECK_MODE_1, SET_ID_FILES, DML_ALLOWED},
    {"fchmod", {91, 52}, DML_CHECK_MODE_1, SET_ID_FILES, DML_ALLOWED},
    {"fchmodat", {268, 53}, DML_CHECK_MODE_2, SET_ID_FILES, DML_ALLOWED},
    {"fchmodat2", {452, 452}, DML_CHECK_MODE_2, SET_ID_FILES, DML_ALLOWED},
    {"creat", {85, -1}, DML_CHECK_MODE_1, SET_ID_FILES, DML_ALLOWED},
    {"mknod", {133, -1}, DML_CHECK_MODE_1, SET_ID_FILES, DML_ALLOWED},
    {"mknodat", {259, 33}, DML_CHECK_MODE_2, SET_ID_FILES, DML_ALLOWED},
    {"open", {2, -1}, DML_CHECK_OPEN, SET_ID_FILES, DML_ALLOWED},
    {"openat", {257, 56}, DML_CHECK_OPENAT, SET_ID_FILES, DML_ALLOWED},
    {"mq_open", {240, 180}, DML_CHECK_OPEN, SET_ID_FILES, DML_ALLOWED}, /* an overlay could carry it out */
    {"openat2", {437, 437}, DML_ABSENT, SET_ID_FILES, DML_ALLOWED},

    {"io_uring_setup", {425, 425}, DML_ABSENT, IO_URING, DML_ALLOWED},
    {"io_uring_enter", {426, 426}, DML_ABSENT, IO_URING, DML_ALLOWED},
    {"io_uring_register", {427, 427}, DML_ABSENT, IO_URING, DML_ALLOWED},

    {"add_key", {248, 217}, DML_REFUSED, KEYRING, DML_ALLOWED},
    {"request_key", {249, 218}, DML_REFUSED, KEYRING, DML_ALLOWED},
    {"keyctl", {250, 219}, DML_REFUSED, KEYRING, DML_ALLOWED},

    {"perf_event_open", {298, 241}, DML_REFUSED, PERF, DML_ALLOWED},
    {"get_mempolicy", {239, 236}, DML_REFUSED, PERF, DML_ALLOWED},
    {"set_mempolicy", {238, 237}, DML_REFUSED, PERF, DML_ALLOWED},
    {"set_mempolicy_home_node", {450, 450}, DML_REFUSED, PERF, DML_ALLOWED},
    {"mbind", {237, 235}, DML_REFUSED, PERF, DML_ALLOWED},
    {"move_pages", {279, 239}, DML_REFUSED, PERF, DML_ALLOWED},
    {"migrate_pages", {256, 238}, DML_REFUSED, PERF, DML_ALLOWED},

    /* parts of the kernel that only administrators and attackers use */
    {"bpf", {321, 280}, DML_REFUSED, 0, DML_REFUSED},
    {"userfaultfd", {323, 282}, DML_REFUSED, 0, DML_REFUSED},
    {"fanotify_init", {300, 262}, DML_REFUSED, 0, DML_REFUSED},
    {"name_to_handle_at", {303, 264}, DML_REFUSED, 0, DML_REFUSED},
    {"open_by_handle_at", {304, 265}, DML_REFUSED, 0, DML_REFUSED},
    {"lookup_dcookie", {212, 18}, DML_REFUSED, 0, DML_REFUSED},
    {"syslog", {103, 116}, DML_REFUSED, 0, DML_REFUSED},
    {"acct", {163, 89}, DML_REFUSED, 0, DML_REFUSED},
    {"quotactl", {179, 60}, DML_REFUSED, 0, DML_REFUSED},
    {"quotactl_fd", {443, 443}, DML_REFUSED, 0, DML_REFUSED},
    {"swapon", {167, 224}, DML_REFUSED, 0, DML_REFUSED},
    {"swapoff", {168, 225}, DML_REFUSED, 0, DML_REFUSED},
    {"reboot", {169, 142}, DML_REFUSED, 0, DML_REFUSED},
    {"kexec_load", {246, 104}, DML_REFUSED, 0, DML_REFUSED},
    {"kexec_file_load", {320, 294}, DML_REFUSED, 0, DML_REFUSED},
    {"create_module", {174, -1}, DML_REFUSED, 0, DML_REFUSED},
    {"init_module", {175, 105}, DML_REFUSED, 0, DML_REFUSED},
    {"delete_module", {176, 106}, DML_REFUSED, 0, DML_REFUSED},
    {"get_kernel_syms", {177, -1}, DML_REFUSED, 0, DML_REFUSED},
    {"query_module", {178, -1}, DML_REFUSED, 0, DML_REFUSED},
    {"finit_module", {313, 273}, DML_REFUSED, 0, DML_REFUSED},
    {"nfsservctl", {180, 42}, DML_REFUSED, 0, DML_REFUSED},
    {"iopl", {172, -1}, DML_REFUSED, 0, DML_REFUSED},
    {"ioperm", {173, -1}, DML_REFUSED, 0, DML_REFUSED},
    {"vhangup", {153, 58}, DML_REFUSED, 0, DML_REFUSED},
    {"uselib", {134, -1}, DML_REFUSED, 0, DML_REFUSED},
    {"vmsplice", {278, 75}, DML_REFUSED, 0, DML_REFUSED},
};
const size_t dml_seccomp_rule_count = sizeof dml_seccomp_rules / sizeof dml_seccomp_rules[0];

/* --- verdicts that look at arguments --- */

#define NEW_NAMESPACE                                                                                        \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |            \
     CLONE_NEWNET)

/* clone has its signal where unshare has this one */
#define NEW_TIME_NAMESPACE 0x80

#define SET_ID (S_ISUID | S_ISGID)

/* With neither of these the mode of an open means nothing, and may be anything. */
#define CREATES (O_CREAT | __O_TMPFILE)

#define QUERY 0xffffffff /* asks for the personality, and leaves it */

static const struct dml_seccomp_test checks[DML_VERDICT_COUNT][DML_MOST_TESTS] = {
    [DML_CHECK_SOCKET] = {{0, false, false, AF_UNIX, DML_ALLOWED, DML_NEXT},
                          {0, false, false, AF_INET, DML_ALLOWED, DML_NEXT},
                          {0, false, false, AF_INET6, DML_ALLOWED, DML_REFUSED}},
    /* protocol 0 is NETLINK_ROUTE */
    [DML_CHECK_SOCKET_NETLINK] = {{0, false, false, AF_UNIX, DML_ALLOWED, DML_NEXT},
                                  {0, false, false, AF_INET, DML_ALLOWED, DML_NEXT},
                                  {0, false, false, AF_INET6, DML_ALLOWED, DML_NEXT},
                                  {0, false, false, AF_NETLINK, DML_NEXT, DML_REFUSED},
                                  {2, false, false, 0, DML_ALLOWED, DML_REFUSED}},
    [DML_CHECK_SOCKETPAIR] = {{0, false, false, AF_UNIX, DML_ALLOWED, DML_REFUSED}},
    [DML_CHECK_CLONE] = {{0, false, true, NEW_NAMESPACE, DML_REFUSED, DML_ALLOWED}},
    [DML_CHECK_UNSHARE] = {{0, false, true, NEW_NAMESPACE | NEW_TIME_NAMESPACE, DML_REFUSED, DML_ALLOWED}},
    [DML_CHECK_IOCTL] = {{1, false, false, TIOCSTI, DML_REFUSED, DML_NEXT},
                         {1, false, false, TIOCLINUX, DML_REFUSED, DML_ALLOWED}},
    [DML_CHECK_PERSONALITY] = {{0, false, false, PER_LINUX, DML_ALLOWED, DML_NEXT},
                               {0, false, false, QUERY, DML_ALLOWED, DML_REFUSED}},
    [DML_CHECK_PRLIMIT] = {{0, false, false, 1, DML_REFUSED, DML_ALLOWED}},
    [DML_CHECK_MODE_1] = {{1, false, true, SET_ID, DML_REFUSED, DML_ALLOWED}},
    [DML_CHECK_MODE_2] = {{2, false, true, SET_ID, DML_REFUSED, DML_ALLOWED}},
    [DML_CHECK_MODE_3] = {{3, false, true, SET_ID, DML_REFUSED, DML_ALLOWED}},
    [DML_CHECK_OPEN] = {{1, false, true, CREATES, DML_CHECK_MODE_2, DML_ALLOWED}},
    [DML_CHECK_OPENAT] = {{2, false, true, CREATES, DML_CHECK_MODE_3, DML_ALLOWED}},
};

const struct dml_seccomp_test *dml_seccomp_tests(enum dml_verdict verdict, size_t *count)
{
    const struct dml_seccomp_test *tests = checks[verdict];
    *count = 1;
    while (tests[*count - 1].yes == DML_NEXT || tests[*count - 1].no == DML_NEXT)
        ++*count;
    return tests;
}
