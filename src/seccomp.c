#include "seccomp.h"
#include "stage_message.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <string.h>

/* A launch pays for a filter twice: the kernel compiles each of its instructions, and runs it once for each
 * call of its tables. So the path through it is short, a search tree over groups of numbers, split where the
 * numbers are halved; and it is small: a number that differs from its neighbours is one test within its
 * group, and what a verdict comes to is there once.
 *
 * Jumps only go forward. The filter is written from its end, so that each knows where it leads. */

static const uint32_t audit_names[DML_MACHINE_COUNT] = {
    [DML_X86_64] = AUDIT_ARCH_X86_64, [DML_AARCH64] = AUDIT_ARCH_AARCH64};

/* The numbers from `first` up to that of the next range. */
struct range {
    uint32_t first;
    enum dml_verdict verdict;
};

struct writer {
    struct sock_filter *filter;      /* DML_FILTER_MAX of them, filled from the last */
    size_t first;                    /* where the program begins so far */
    size_t codes[DML_VERDICT_COUNT]; /* where what a verdict comes to begins; 0: it is not there yet */
};

static size_t put(struct writer *w, struct sock_filter instruction)
{
    assert(w->first > 0);
    w->filter[--w->first] = instruction;
    return w->first;
}

static size_t put_load(struct writer *w, size_t offset)
{
    return put(w, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static size_t put_jump(struct writer *w, unsigned test, uint32_t value, size_t yes, size_t no)
{
    assert(yes - w->first <= UINT8_MAX && no - w->first <= UINT8_MAX);
    return put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, (uint8_t)(yes - w->first),
                                               (uint8_t)(no - w->first)));
}

static size_t argument_offset(const struct dml_seccomp_test *test)
{
    bool second = test->high == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    return offsetof(struct seccomp_data, args) + test->argument * sizeof(uint64_t) +
           (second ? sizeof(uint32_t) : 0);
}

static size_t code(struct writer *w, enum dml_verdict verdict);

static size_t put_outcome(struct writer *w, enum dml_verdict outcome, size_t next)
{
    return outcome == DML_NEXT ? next : code(w, outcome);
}

/* Tests of one argument one after the other load it once. */
static size_t put_check(struct writer *w, enum dml_verdict verdict)
{
    size_t count, next = 0;
    const struct dml_seccomp_test *tests = dml_seccomp_tests(verdict, &count);
    for (size_t i = 0; i < count; i++) { /* what it leads to lies behind all of it */
        put_outcome(w, tests[i].yes, 0);
        put_outcome(w, tests[i].no, 0);
    }
    while (count-- > 0) {
        const struct dml_seccomp_test *test = &tests[count];
        size_t yes = put_outcome(w, test->yes, next), no = put_outcome(w, test->no, next);
        next = put_jump(w, test->bits ? BPF_JSET : BPF_JEQ, test->value, yes, no);
        if (count == 0 || argument_offset(test - 1) != argument_offset(test))
            next = put_load(w, argument_offset(test));
    }
    return next;
}

/* Where what a verdict comes to begins. All of it is shorter than a jump can be. */
static size_t code(struct writer *w, enum dml_verdict verdict)
{
    static const uint32_t actions[] = {[DML_ALLOWED] = SECCOMP_RET_ALLOW,
                                       [DML_REFUSED] = SECCOMP_RET_ERRNO | EPERM,
                                       [DML_ABSENT] = SECCOMP_RET_ERRNO | ENOSYS,
                                       [DML_WITNESS] = SECCOMP_RET_ERRNO | DML_WITNESS_ERROR};
    if (w->codes[verdict] == 0)
        w->codes[verdict] = verdict >= DML_CHECK_SOCKET
                                ? put_check(w, verdict)
                                : put(w, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, actions[verdict]));
    return w->codes[verdict];
}

/* --- the tree --- */

/* Neighbouring ranges with one verdict, but for a few single numbers. */
struct group {
    const struct range *ranges;
    size_t count;
    enum dml_verdict most;
};

/* One instruction for each exception, where a tree takes two. */
static size_t put_group(struct writer *w, const struct group *group)
{
    size_t next = code(w, group->most);
    for (size_t i = 0; i < group->count; i++) {
        const struct range *range = &group->ranges[i];
        if (range->verdict != group->most)
            next = put_jump(w, BPF_JEQ, range->first, code(w, range->verdict), next);
    }
    return next;
}

static size_t put_tree(struct writer *w, const struct group *groups, size_t count, uint32_t end)
{
    if (count == 1)
        return put_group(w, groups);
    size_t split = 1; /* nearest to the middle of the numbers */
    uint32_t sum = groups->ranges->first + end;
    while (split + 1 < count && groups[split].ranges->first + groups[split + 1].ranges->first <= sum)
        split++;
    uint32_t at = groups[split].ranges->first;
    size_t upper = put_tree(w, groups + split, count - split, end);
    size_t lower = put_tree(w, groups, split, at);
    return put_jump(w, BPF_JGE, at, upper, lower);
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

/* The longest group that begins the `count` ranges, the last of which ends before `end`. */
static struct group first_group(const struct range *ranges, size_t count, uint32_t end)
{
    enum { MOST_EXCEPTIONS = 4 }; /* the kernel runs through them for each number of the group */
    struct group group = {ranges, 0, ranges->verdict};
    bool decided = false; /* a range of several numbers says what `most` is */
    size_t exceptions = 0;
    for (; group.count < count; group.count++) {
        const struct range *range = &ranges[group.count];
        bool single = (group.count + 1 < count ? range[1].first : end) - range->first == 1;
        if (!single && !decided) {
            group.most = range->verdict;
            decided = true;
            exceptions = 0;
            for (size_t i = 0; i < group.count; i++)
                exceptions += ranges[i].verdict != group.most;
        } else if (!single && range->verdict != group.most) {
            break;
        }
        exceptions += range->verdict != group.most;
        if (exceptions > MOST_EXCEPTIONS)
            break;
    }
    return group;
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
    struct writer w = {.filter = filter, .first = DML_FILTER_MAX};
    struct group groups[KNOWN];
    size_t count = merge(machine, options, ranges), group_count = 0;
    for (size_t at = 0; at < count; at += groups[group_count++].count)
        groups[group_count] = first_group(ranges + at, count - at, KNOWN);
    size_t tree = put_tree(&w, groups, group_count, KNOWN);
    size_t ours = put_load(&w, offsetof(struct seccomp_data, nr));
    assert(tree == ours + 1);
    size_t foreign = put(&w, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    put_jump(&w, BPF_JEQ, audit_names[machine], ours, foreign);
    put_load(&w, offsetof(struct seccomp_data, arch));
    memmove(filter, filter + w.first, (DML_FILTER_MAX - w.first) * sizeof *filter);
    return DML_FILTER_MAX - w.first;
}

struct made {
    unsigned options;
    size_t length; /* 0: none yet */
    struct sock_filter filter[DML_FILTER_MAX];
};

/* The filter that was wanted last: a program that launches often mostly wants it again. One thread at a time
 * looks at it; the others make their own, and so does a process that was forked then. */
static struct made last;
static atomic_flag last_taken = ATOMIC_FLAG_INIT;

const struct sock_filter *dml_seccomp_own_filter(unsigned options, struct dml_arena *arena, size_t *length)
{
    struct made own;
    own.length = own.options = 0; /* the rest is filled in when it is used */
    struct made *made = atomic_flag_test_and_set(&last_taken) ? &own : &last;
    if (made->length == 0 || made->options != options) {
        made->length = dml_seccomp_filter(dml_seccomp_machine(), options, made->filter);
        made->options = options;
    }
    *length = made->length;
    const void *copy = dml_arena_copy(arena, made->filter, made->length * sizeof *made->filter);
    if (made == &last)
        atomic_flag_clear(&last_taken);
    return copy;
}
