/* The launch: the child that does the steps in their order, and what a failed one means. */
#include "calls.h"
#include "child.h"
#include "stage_message.h"
#include "steps.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OWN_DESCRIPTORS = 64 }; /* at most, besides those of mounts */

/* --- the children --- */

static void note_time(struct dml_native_times *times, const char *name)
{
    struct timespec time;
    if (times->count == DML_NATIVE_MOST_TIMES || CALL2(__NR_clock_gettime, CLOCK_MONOTONIC, &time) != 0)
        return;
    times->names[times->count] = name;
    times->ended[times->count++] = (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

bool dml_native_fail(struct dml_native *n, enum dml_native_step step, const struct dml_entry *object,
                     long failed)
{
    n->reason = (int)-failed;
    n->step = step;
    n->object = object;
    return false;
}

bool dml_native_forgive(struct dml_native *n)
{
    n->step = DML_NATIVE_NONE;
    n->object = NULL;
    n->reason = 0;
    return true;
}

static bool leave_caller(struct dml_native *n)
{
    (void)n;
    /* All are blocked until the stage has a mask of its own, and it resets those of the command; but it waits
     * for children. */
    dml_child_reset_signal(SIGCHLD);
    dml_child_leave_keyring();
    CALL1(__NR_umask, 0); /* what it makes gets the permissions that it says */
    return true;
}

/* The cgroup that it is in becomes the root of those that are seen inside. The helper outside is none of its
 * processes. */
static bool join_cgroups(struct dml_native *n)
{
    long failed = dml_child_join_cgroups(n->cgroups, n->cgroup_count);
    for (size_t i = 0; i < n->cgroup_count; i++)
        dml_child_close(n->cgroups[i]);
    if (failed)
        return dml_native_fail(n, DML_NATIVE_CGROUP, NULL, failed);
    failed = CALL1(__NR_unshare, CLONE_NEWCGROUP);
    return !failed || dml_native_fail(n, DML_NATIVE_CLONE, NULL, failed);
}

static bool place_descriptors(struct dml_native *n)
{
    dml_child_raise_descriptor_limit(2 * (n->descriptor_count + n->cgroup_count) + n->mount_count +
                                     OWN_DESCRIPTORS);
    int failed =
        dml_child_place_descriptors(n->descriptors, n->scratch, n->descriptor_count + n->cgroup_count);
    __atomic_store_n(&n->handed_over, 1, __ATOMIC_RELEASE);
    CALL3(__NR_futex, &n->handed_over, FUTEX_WAKE_PRIVATE, 1);
    return !failed || dml_native_fail(n, DML_NATIVE_DESCRIPTORS, NULL, failed);
}

static bool leave_session(struct dml_native *n)
{
    long session = n->plan->tty ? 0 : CALL0(__NR_setsid);
    return session >= 0 || dml_native_fail(n, DML_NATIVE_SESSION, NULL, session);
}

static bool set_hostname(struct dml_native *n)
{
    const char *name = n->plan->hostname;
    long failed = name ? CALL2(__NR_sethostname, name, strlen(name)) : 0;
    return !failed || dml_native_fail(n, DML_NATIVE_HOSTNAME, NULL, failed);
}

/* AddressSanitizer would mark the frames of these two in the memory that parent and child share, and execve
 * leaves the mark. */
__attribute__((no_sanitize_address)) static bool execute_stage(struct dml_native *n)
{
    static char *const argv[] = {(char *)"demilune", NULL}, *const no_environment[] = {NULL};
    long failed = CALL5(__NR_execveat, DML_FD_STAGE, "", argv, no_environment, AT_EMPTY_PATH);
    return dml_native_fail(n, DML_NATIVE_EXECUTE, NULL, failed);
}

/* In the new namespaces: what becomes pid 1 of the sandbox. */
__attribute__((no_sanitize_address)) static int run_inside(void *argument)
{
    static const struct {
        const char *name;
        bool (*take)(struct dml_native *);
    } steps_inside[] = {
        {"caller", leave_caller},
        {"descriptors", place_descriptors},
        {"cgroup", join_cgroups},
        {"id_map", dml_native_map_ids},
        {"session", leave_session},
        {"hostname", set_hostname},
        {"loopback", dml_native_raise_loopback},
        {"sources", dml_native_clone_sources},
        {"proc", dml_native_make_proc},
        {"user_namespaces", dml_native_forbid_user_namespaces},
        {"tree", dml_native_build_tree},
        {"pivot", dml_native_enter_tree},
        {"privileges", dml_native_drop_privileges},
        {"landlock", dml_native_restrict_files},
        {"filter", dml_native_set_filter},
        {"execute", execute_stage},
    };
    struct dml_native *n = argument;
    note_time(&n->times, "namespaces");
    for (size_t i = 0; i < sizeof steps_inside / sizeof steps_inside[0]; i++) {
        if (!steps_inside[i].take(n))
            return 127;
        note_time(&n->times, steps_inside[i].name);
    }
    return 127;
}

static void start_inside(struct dml_native *n, int flags)
{
    flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
             (n->plan->network ? 0 : CLONE_NEWNET);
    n->pid = dml_child_start_beside(run_inside, n, flags | CLONE_PIDFD, &n->pidfd, &n->stack);
    if (n->pid < 0)
        dml_native_fail(n, DML_NATIVE_CLONE, NULL, -errno);
}

/* Still outside, where root can give its groups up. Its child becomes ours; it shares our descriptors, so
 * that the pidfd is ours too. */
static int run_outside(void *argument)
{
    dml_child_drop_groups();
    start_inside(argument, CLONE_PARENT);
    return 0;
}

static void start(struct dml_native *n)
{
    if (!n->has_groups) {
        start_inside(n, SIGCHLD);
        return;
    }
    /* Without a signal for its end it is no child that a host which waits for all of its own would come upon.
     */
    pid_t helper = dml_child_start(run_outside, n, CLONE_FILES, NULL);
    if (helper < 0)
        dml_native_fail(n, DML_NATIVE_CLONE, NULL, -errno);
    while (helper > 0 && waitid(P_PID, (id_t)helper, &(siginfo_t){0}, WEXITED | (int)__WCLONE) != 0 &&
           errno == EINTR)
        ;
}

/* --- what went wrong --- */

/* What may not be looked up has not changed: it may lie in a directory of another user's. */
static bool is_change(const struct dml_native *n)
{
    return n->step == DML_NATIVE_SOURCE && n->reason != EACCES && n->reason != EMFILE &&
           n->reason != ENFILE && n->reason != ENOMEM && n->reason != ENOSYS;
}

static const struct {
    const char *name, *text;
} steps[DML_NATIVE_STEP_COUNT] = {
    [DML_NATIVE_NONE] = {"process", "it ended without a word"},
    [DML_NATIVE_CGROUP] = {"cgroup", "the sandbox cannot be put into its cgroup"},
    [DML_NATIVE_CLONE] = {"namespaces", "no new namespaces"},
    [DML_NATIVE_ID_MAP] = {"id_map", "ids cannot be mapped"},
    [DML_NATIVE_DESCRIPTORS] = {"descriptors", "descriptors cannot be handed over"},
    [DML_NATIVE_SESSION] = {"session", "no new session"},
    [DML_NATIVE_HOSTNAME] = {"hostname", "the host name cannot be set"},
    [DML_NATIVE_LOOPBACK] = {"loopback", "the loopback device cannot be raised"},
    [DML_NATIVE_SOURCE] = {"source", "cannot be opened"},
    [DML_NATIVE_CLONE_TREE] = {"clone", "cannot be cloned"},
    [DML_NATIVE_ATTRIBUTES] = {"attributes", "cannot be closed down"},
    [DML_NATIVE_ROOT] = {"root", "no new root"},
    [DML_NATIVE_PROC] = {"proc", "no new /proc"},
    [DML_NATIVE_USER_NAMESPACES] = {"user_namespaces", "user namespaces cannot be forbidden"},
    [DML_NATIVE_DEVICE] = {"device", "a device is not to be had"},
    [DML_NATIVE_FILE_SYSTEM] = {"file_system", "no new file system"},
    [DML_NATIVE_FILE] = {"file", "the file cannot be made"},
    [DML_NATIVE_LINK] = {"link", "the link cannot be made"},
    [DML_NATIVE_PLACE] = {"place", "there is no place for it"},
    [DML_NATIVE_ATTACH] = {"attach", "cannot be mounted"},
    [DML_NATIVE_SEAL] = {"seal", "cannot be sealed"},
    [DML_NATIVE_PIVOT] = {"pivot", "the new root cannot be entered"},
    [DML_NATIVE_PRIVILEGES] = {"privileges", "privileges cannot be given up"},
    [DML_NATIVE_LANDLOCK] = {"landlock", "Landlock refuses its rules"},
    [DML_NATIVE_FILTER] = {"filter", "the system call filter (seccomp) cannot be set"},
    [DML_NATIVE_EXECUTE] = {"execute", "the inner stage cannot be executed"},
};

void dml_native_explain(const struct dml_native *n, struct dml_error *error)
{
    const struct dml_entry *object = n->object;
    char quoted[256];
    if (!object) {
        dml_fail(error, DML_ERROR_SYSTEM, n->reason, "native backend: %s", steps[n->step].text);
    } else {
        const char *path = n->step == DML_NATIVE_SOURCE ? object->source.path : object->sandbox;
        dml_quote(quoted, sizeof quoted, path, strlen(path));
        if (is_change(n))
            dml_fail(error, DML_ERROR_CHANGED, n->reason == ESTALE ? 0 : n->reason,
                     "%s: %s changed between check and launch", object->field, quoted);
        else
            dml_fail(error, DML_ERROR_SYSTEM, n->reason, "native backend: %s: %s: %s", object->field, quoted,
                     steps[n->step].text);
    }
    error->step = steps[n->step].name;
}

/* What the host closes from here on is closed: the child has its own descriptors alone, or is dead. */
static void wait_for_descriptors(struct dml_native *n)
{
    static const struct timespec a_while = {.tv_nsec = 10 * 1000 * 1000};
    struct pollfd child = {.fd = n->pidfd, .events = POLLIN};
    while (!__atomic_load_n(&n->handed_over, __ATOMIC_ACQUIRE) && poll(&child, 1, 0) == 0)
        CALL4(__NR_futex, &n->handed_over, FUTEX_WAIT_PRIVATE, 0, &a_while);
}

void dml_native_free(struct dml_native *n)
{
    if (!n)
        return;
    dml_child_free_stack(n->stack);
    dml_native_clear(n);
    free(n);
}

struct dml_native *dml_native_start(const struct dml_plan *plan, const int *descriptors,
                                    size_t descriptor_count, const int *cgroups, size_t cgroup_count,
                                    struct dml_error *error)
{
    struct dml_native *n = malloc(sizeof *n);
    if (n)
        *n = (struct dml_native){.descriptors = descriptors,
                                 .descriptor_count = descriptor_count,
                                 .cgroups = cgroups,
                                 .cgroup_count = cgroup_count};
    if (!n || !dml_native_prepare(plan, n)) {
        dml_native_free(n);
        dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
        return NULL;
    }
    note_time(&n->times, "preparing");
    start(n);
    if (n->pid >= 0) {
        wait_for_descriptors(n);
        return n;
    }
    dml_native_explain(n, error);
    dml_native_free(n);
    return NULL;
}
