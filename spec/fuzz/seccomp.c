/* The system call filter, run by an interpreter of BPF, against the rules read one after the other. The input
 * chooses machine, options, and calls. */
#include "fuzz.h"
#include "seccomp.h"
#include "stage_message.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/socket.h>

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define ABSENT (SECCOMP_RET_ERRNO | ENOSYS)
#define WITNESS (SECCOMP_RET_ERRNO | DML_WITNESS_ERROR)

static const uint32_t audit[DML_MACHINE_COUNT] = {
    [DML_X86_64] = AUDIT_ARCH_X86_64, [DML_AARCH64] = AUDIT_ARCH_AARCH64};

/* --- the machine --- */

/* That every path ends, within the filter, and that every instruction lies on one. */
static void check_structure(const struct sock_filter *filter, size_t length)
{
    bool reached[DML_FILTER_MAX] = {true};
    must(length > 0 && length <= DML_FILTER_MAX && length <= BPF_MAXINSNS,
         "the filter has a length that the kernel takes");
    for (size_t i = 0; i < length; i++) {
        const struct sock_filter *at = &filter[i];
        must(reached[i], "every instruction can be reached");
        switch (at->code) {
        case BPF_RET | BPF_K: break;
        case BPF_LD | BPF_W | BPF_ABS:
            must(at->k % 4 == 0 && at->k < sizeof(struct seccomp_data), "a load is within the call's data");
            must(i + 1 < length, "a load is followed by something");
            reached[i + 1] = true;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_K:
            must(i + 1 + at->jt < length && i + 1 + at->jf < length, "a jump stays within the filter");
            reached[i + 1 + at->jt] = reached[i + 1 + at->jf] = true;
            break;
        default: must(false, "an instruction is one of the few that are needed");
        }
    }
}

static uint32_t interpret(const struct sock_filter *filter, const struct seccomp_data *data)
{
    uint32_t a = 0;
    for (const struct sock_filter *at = filter;; at++) {
        switch (at->code) {
        case BPF_RET | BPF_K: return at->k;
        case BPF_LD | BPF_W | BPF_ABS: memcpy(&a, (const char *)data + at->k, sizeof a); break;
        case BPF_JMP | BPF_JEQ | BPF_K: at += a == at->k ? at->jt : at->jf; break;
        case BPF_JMP | BPF_JGE | BPF_K: at += a >= at->k ? at->jt : at->jf; break;
        case BPF_JMP | BPF_JSET | BPF_K: at += a & at->k ? at->jt : at->jf; break;
        }
    }
}

/* --- what it should say --- */

static bool has_set_id(uint64_t mode)
{
    return mode & 06000;
}

/* Whether a call that is looked into is refused, by what its arguments mean to the kernel. */
static bool is_refused(enum dml_verdict verdict, const __u64 args[6])
{
    const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                CLONE_NEWPID | CLONE_NEWNET;
    const uint64_t creates = 0100 | 020000000; /* O_CREAT, __O_TMPFILE */
    int family = (int)args[0];
    bool common = family == AF_UNIX || family == AF_INET || family == AF_INET6;
    switch (verdict) {
    case DML_CHECK_SOCKET: return !common;
    case DML_CHECK_SOCKET_NETLINK: return !common && !(family == AF_NETLINK && (int)args[2] == 0);
    case DML_CHECK_SOCKETPAIR: return family != AF_UNIX;
    case DML_CHECK_CLONE: return args[0] & namespaces;
    case DML_CHECK_UNSHARE: return args[0] & (namespaces | CLONE_NEWTIME);
    case DML_CHECK_IOCTL: return (uint32_t)args[1] == TIOCSTI || (uint32_t)args[1] == TIOCLINUX;
    case DML_CHECK_PERSONALITY: return (uint32_t)args[0] != 0 && (uint32_t)args[0] != UINT32_MAX;
    case DML_CHECK_PRLIMIT: return (int)args[0] == 1;
    case DML_CHECK_MODE_1: return has_set_id(args[1]);
    case DML_CHECK_MODE_2: return has_set_id(args[2]);
    case DML_CHECK_OPEN: return (args[1] & creates) && has_set_id(args[2]);
    case DML_CHECK_OPENAT: return (args[2] & creates) && has_set_id(args[3]);
    default: must(false, "every verdict that looks at arguments is known here"); return true;
    }
}

static uint32_t expected(enum dml_machine machine, unsigned options, const struct seccomp_data *data)
{
    enum dml_verdict verdict = DML_ALLOWED;
    if (data->arch != audit[machine] || (uint32_t)data->nr > DML_LAST_CALL)
        return data->arch == audit[machine] && data->nr == DML_WITNESS_CALL ? WITNESS : ABSENT;
    for (size_t i = 0; i < dml_seccomp_rule_count; i++) {
        const struct dml_seccomp_rule *rule = &dml_seccomp_rules[i];
        if (rule->number[machine] == data->nr)
            verdict = rule->options & options ? rule->relaxed : rule->verdict;
    }
    switch (verdict) {
    case DML_ALLOWED: return ALLOW;
    case DML_REFUSED: return REFUSE;
    case DML_ABSENT: return ABSENT;
    default: return is_refused(verdict, data->args) ? REFUSE : ALLOW;
    }
}

/* --- calls from bytes --- */

static uint64_t take_argument(struct input *in)
{
    static const uint64_t values[] = {
        0,
        1,
        2,
        10,
        16,
        06000,
        04000,
        02000,
        0777,
        0100,
        020200000,
        TIOCSTI,
        TIOCLINUX,
        UINT32_MAX,
        UINT64_MAX,
        CLONE_NEWNS,
        CLONE_NEWUSER,
        CLONE_NEWTIME,
        CLONE_NEWPID,
        CLONE_VM | 17,
        AF_NETLINK,
    };
    uint8_t choice = take_byte(in);
    if (choice >= 0xc0)
        return take_number(in, 8);
    uint64_t value = values[choice % (sizeof values / sizeof values[0])];
    return choice >= 0x80 ? value | (uint64_t)take_byte(in) << 32 : value;
}

static int take_call(struct input *in, enum dml_machine machine)
{
    uint8_t choice = take_byte(in);
    const struct dml_seccomp_rule *rule = &dml_seccomp_rules[take_byte(in) % dml_seccomp_rule_count];
    if (choice < 0x80)
        return rule->number[machine];
    if (choice < 0xa0)
        return rule->number[machine] + choice % 3 - 1;
    if (choice < 0xc0)
        return rule->number[machine] | 0x40000000;
    return choice < 0xe0 ? (int)take_number(in, 2) : (int)take_number(in, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct input in = {bytes, bytes + length};
    struct sock_filter *filter = malloc(DML_FILTER_MAX * sizeof *filter);
    enum dml_machine machine = (enum dml_machine)(take_byte(&in) % DML_MACHINE_COUNT);
    unsigned options = take_byte(&in) % (DML_SECCOMP_ROOT_NESTED << 1);
    size_t count = dml_seccomp_filter(machine, options, filter);
    check_structure(filter, count);
    while (in.at < in.end) {
        struct seccomp_data data = {.arch = audit[machine]};
        uint8_t foreign = take_byte(&in);
        if (foreign >= 0xf8)
            data.arch = foreign == 0xff ? audit[!machine] : (uint32_t)take_number(&in, 4);
        data.nr = take_call(&in, machine);
        for (int i = 0; i < 6; i++)
            data.args[i] = take_argument(&in);
        must(interpret(filter, &data) == expected(machine, options, &data),
             "the filter says what the rules say");
    }
    free(filter);
    return 0;
}
