#include "seccomp.h"
#include "stage_message.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

/* The kernel runs a new filter once for each call of its tables, so the length of the path through it is the
 * cost of a launch: a search tree over ranges of numbers with the same verdict, split where the numbers are
 * halved. */

static const uint32_t audit_names[DML_MACHINE_COUNT] = {
    [DML_X86_64] = AUDIT_ARCH_X86_64, [DML_AARCH64] = AUDIT_ARCH_AARCH64};

/* The numbers from `first` up to that of the next range. */
struct range {
    uint32_t first;
    enum dml_verdict verdict;
};

struct writer {
    struct sock_filter *filter;
    size_t length;
};

static size_t put(struct writer *w, struct sock_filter instruction)
{
    assert(w->length < DML_FILTER_MAX);
    w->filter[w->length] = instruction;
    return w->length++;
}

static void put_load(struct writer *w, size_t offset)
{
    put(w, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void put_simple(struct writer *w, enum dml_verdict verdict)
{
    static const uint32_t actions[] = {[DML_ALLOWED] = SECCOMP_RET_ALLOW,
                                       [DML_REFUSED] = SECCOMP_RET_ERRNO | EPERM,
                                       [DML_ABSENT] = SECCOMP_RET_ERRNO | ENOSYS,
                                       [DML_WITNESS] = SECCOMP_RET_ERRNO | DML_WITNESS_ERROR};
    put(w, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, actions[verdict]));
}

static size_t argument_offset(const struct dml_seccomp_test *test)
{
    bool second = test->high == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    return offsetof(struct seccomp_data, args) + test->argument * sizeof(uint64_t) +
           (second ? sizeof(uint32_t) : 0);
}

/* How far a test jumps, with `after` tests behind it: to the next one, or past all to the returns. */
static uint8_t distance(enum dml_verdict outcome, size_t after)
{
    return outcome == DML_NEXT ? 0 : (uint8_t)(2 * after + (outcome == DML_REFUSED));
}

static void put_check(struct writer *w, enum dml_verdict verdict)
{
    size_t count;
    const struct dml_seccomp_test *test = dml_seccomp_tests(verdict, &count);
    for (; count-- > 0; test++) {
        put_load(w, argument_offset(test));
        put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | (test->bits ? BPF_JSET : BPF_JEQ) | BPF_K, test->value,
                                            distance(test->yes, count), distance(test->no, count)));
    }
    put_simple(w, DML_ALLOWED);
    put_simple(w, DML_REFUSED);
}

/* The tree over `count` ranges, of which the last ends before `end`. */
static void put_tree(struct writer *w, const struct range *ranges, size_t count, uint32_t end)
{
    if (count == 1) {
        if (ranges->verdict < DML_CHECK_SOCKET)
            put_simple(w, ranges->verdict);
        else
            put_check(w, ranges->verdict);
        return;
    }
    size_t split = 1;
    uint32_t middle = ranges->first + (end - ranges->first) / 2;
    while (split + 1 < count && ranges[split].first < middle)
        split++;
    size_t branch =
        put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ranges[split].first, 0, 0));
    put_tree(w, ranges, split, ranges[split].first);
    size_t lower = w->length - branch - 1;
    assert(lower <= UINT8_MAX);
    w->filter[branch].jt = (uint8_t)lower;
    put_tree(w, ranges + split, count - split, end);
}

enum {
    KNOWN = DML_WITNESS_CALL + 2
}; /* numbers that are looked at one by one; the rest is as the last of them */

/* Neighbouring numbers with the same verdict as ranges. */
static size_t merge(enum dml_machine machine, unsigned options, struct range ranges[KNOWN])
{
    enum dml_verdict verdicts[KNOWN] = {DML_ALLOWED};
    for (uint32_t number = DML_LAST_CALL + 1; number < KNOWN; number++)
        verdicts[number] = number == DML_WITNESS_CALL ? DML_WITNESS : DML_ABSENT;
    for (size_t i = 0; i < dml_seccomp_rule_count; i++) {
        const struct dml_seccomp_rule *rule = &dml_seccomp_rules[i];
        if (rule->number[machine] >= 0)
            verdicts[rule->number[machine]] = rule->options & options ? rule->relaxed : rule->verdict;
    }
    size_t count = 0;
    enum dml_verdict last = DML_VERDICT_COUNT;
    for (uint32_t number = 0; number < KNOWN; number++) {
        if (verdicts[number] != last)
            ranges[count++] = (struct range){number, verdicts[number]};
        last = verdicts[number];
    }
    return count;
}

enum dml_machine dml_seccomp_machine(void)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    return DML_X86_64;
#elif defined(__aarch64__) && !defined(__ILP32__)
    return DML_AARCH64;
#else
#error "the system call filter knows x86-64 and aarch64"
#endif
}

size_t dml_seccomp_filter(enum dml_machine machine, unsigned options,
                          struct sock_filter filter[DML_FILTER_MAX])
{
    struct range ranges[KNOWN];
    struct writer w = {.filter = filter};
    size_t count = merge(machine, options, ranges);
    put_load(&w, offsetof(struct seccomp_data, arch));
    put(&w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit_names[machine], 1, 0));
    put_simple(&w, DML_ABSENT);
    put_load(&w, offsetof(struct seccomp_data, nr));
    put_tree(&w, ranges, count, KNOWN);
    return w.length;
}
