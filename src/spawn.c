#include "spawn.h"
#include "calls.h"
#include "child.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum step { STEP_NONE, STEP_CGROUP, STEP_DESCRIPTORS, STEP_SOURCE, STEP_PATH, STEP_EXECUTE };

/* What the child needs and where it leaves its failure. */
struct child {
    const struct dml_spawn *spawn;
    int *scratch; /* descriptor_count numbers */
    bool root;
    enum step step;
    int reason; /* errno */
    size_t index;
};

/* Notes an error, which is an errno negated. */
static int fail_child(struct child *child, enum step step, long failed, size_t index)
{
    child->step = step;
    child->reason = (int)-failed;
    child->index = index;
    return 127;
}

static bool open_source(struct child *child, size_t index)
{
    int fd = dml_child_open(&child->spawn->sources[index]->source);
    if (fd < 0)
        return fail_child(child, STEP_SOURCE, fd, index) == 0;
    int failed =
        fd != (int)(child->spawn->descriptor_count + index) ? -EBADF : (int)CALL3(__NR_fcntl, fd, F_SETFD, 0);
    return !failed || fail_child(child, STEP_DESCRIPTORS, failed, index) == 0;
}

static bool look_at_path(struct child *child, size_t index)
{
    int failed = dml_child_look(&child->spawn->paths[index]->source);
    return !failed || fail_child(child, STEP_PATH, failed, index) == 0;
}

/* AddressSanitizer would mark this frame in the memory that parent and child share, and execve leaves the
 * mark. */
__attribute__((no_sanitize_address)) static int run_child(void *argument)
{
    struct child *child = argument;
    const struct dml_spawn *spawn = child->spawn;
    static char *const no_environment[] = {NULL};
    dml_child_reset_signal(SIGCHLD); /* bwrap waits for it; the inner stage resets the others */
    if (child->root)
        dml_child_drop_groups();
    dml_child_leave_keyring();
    int failed = dml_child_join_cgroups(spawn->cgroups, spawn->cgroup_count);
    if (failed)
        return fail_child(child, STEP_CGROUP, failed, 0);
    dml_child_raise_descriptor_limit(2 * spawn->descriptor_count + spawn->source_count + 16);
    failed = dml_child_place_descriptors(spawn->descriptors, child->scratch, spawn->descriptor_count);
    if (failed)
        return fail_child(child, STEP_DESCRIPTORS, failed, 0);
    for (size_t i = 0; i < spawn->source_count; i++) {
        if (!open_source(child, i))
            return 127;
    }
    for (size_t i = 0; i < spawn->path_count; i++) {
        if (!look_at_path(child, i))
            return 127;
    }
    return fail_child(child, STEP_EXECUTE, CALL3(__NR_execve, spawn->path, spawn->argv, no_environment), 0);
}

static bool explain_source(const struct dml_entry *bind, int reason, struct dml_error *error)
{
    char quoted[256];
    dml_quote(quoted, sizeof quoted, bind->source.path, strlen(bind->source.path));
    if (reason == EMFILE || reason == ENFILE || reason == ENOSYS)
        return dml_fail(error, DML_ERROR_SYSTEM, reason, "%s: %s cannot be opened", bind->field, quoted);
    return dml_fail(error, DML_ERROR_CHANGED, reason == ESTALE ? 0 : reason,
                    "%s: %s changed between check and launch", bind->field, quoted);
}

static bool explain(const struct child *child, struct dml_error *error)
{
    char quoted[256];
    const struct dml_spawn *spawn = child->spawn;
    switch (child->step) {
    case STEP_SOURCE: return explain_source(spawn->sources[child->index], child->reason, error);
    case STEP_PATH: return explain_source(spawn->paths[child->index], child->reason, error);
    case STEP_CGROUP:
        return dml_fail(error, DML_ERROR_SYSTEM, child->reason, "the sandbox cannot be put into its cgroup");
    case STEP_EXECUTE:
        dml_quote(quoted, sizeof quoted, spawn->path, strlen(spawn->path));
        return dml_fail(error, DML_ERROR_SYSTEM, child->reason, "%s cannot be executed", quoted);
    default: return dml_fail(error, DML_ERROR_SYSTEM, child->reason, "descriptors cannot be handed over");
    }
}

int dml_spawn_reap(int pidfd)
{
    siginfo_t ended;
    int failed;
    do
        failed = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &ended, WEXITED | __WALL);
    while (failed && errno == EINTR);
    close(pidfd);
    return failed ? 0 : ended.si_code == CLD_EXITED ? ended.si_status : -1;
}

int dml_spawn(const struct dml_spawn *spawn, pid_t *pid, struct dml_error *error)
{
    int pidfd = -1;
    struct child child = {.spawn = spawn, .root = geteuid() == 0};
    child.scratch = calloc(spawn->descriptor_count, sizeof *child.scratch);
    if (!child.scratch) {
        dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
        return -1;
    }
    *pid = dml_child_start(run_child, &child, CLONE_PIDFD | SIGCHLD, &pidfd);
    int reason = errno;
    free(child.scratch);
    if (*pid < 0) {
        dml_fail(error, DML_ERROR_SYSTEM, reason, "no process can be started");
        return -1;
    }
    if (child.step != STEP_NONE) {
        dml_spawn_reap(pidfd);
        explain(&child, error);
        return -1;
    }
    return pidfd;
}
