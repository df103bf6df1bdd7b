#include "spawn.h"
#include "host.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_SIZE = 64 * 1024 };

enum step { STEP_NONE, STEP_CGROUP, STEP_DESCRIPTORS, STEP_SOURCE_OPEN, STEP_SOURCE_CHANGED, STEP_EXECUTE };

/* What the child needs and where it leaves its failure. It shares our memory: nothing here is allocated or
 * freed by it, and it makes only system calls. */
struct child {
    const struct dml_spawn *spawn;
    int *scratch; /* descriptor_count numbers */
    bool root;
    enum step step;
    int reason;
    size_t index;
};

static int fail_child(struct child *child, enum step step, int reason, size_t index)
{
    child->step = step;
    child->reason = reason;
    child->index = index;
    return 127;
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int signal = 1; signal < NSIG; signal++)
        sigaction(signal, &action, NULL); /* fails for a few that cannot be set, which is fine */
}

/* Room for every source, whatever the host's soft limit: it is the child's own. */
static void raise_descriptor_limit(size_t needed)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Puts the descriptors in their places: first out of each other's way, then down. */
static bool place_descriptors(struct child *child)
{
    const struct dml_spawn *spawn = child->spawn;
    int count = (int)spawn->descriptor_count;
    for (int i = 0; i < count; i++) {
        child->scratch[i] = fcntl(spawn->descriptors[i], F_DUPFD_CLOEXEC, count);
        if (child->scratch[i] < 0)
            return false;
    }
    for (int i = 0; i < count; i++) {
        if (dup2(child->scratch[i], i) < 0)
            return false;
    }
    return syscall(SYS_close_range, count, ~0u, 0) == 0;
}

static bool open_source(struct child *child, size_t index)
{
    const struct dml_object *source = child->spawn->sources[index];
    struct stat status;
    int fd = dml_host_open_exact(source->path);
    if (fd < 0)
        return fail_child(child, STEP_SOURCE_OPEN, errno, index) == 0;
    if (fstat(fd, &status) != 0 || status.st_dev != source->device || status.st_ino != source->inode ||
        (status.st_mode & S_IFMT) != (source->mode & S_IFMT))
        return fail_child(child, STEP_SOURCE_CHANGED, 0, index) == 0;
    if (!child->spawn->keep_sources)
        close(fd);
    else if (fd != (int)(child->spawn->descriptor_count + index) || fcntl(fd, F_SETFD, 0) != 0)
        return fail_child(child, STEP_DESCRIPTORS, errno, index) == 0;
    return true;
}

/* AddressSanitizer would mark this frame in the memory that parent and child share, and execve leaves the
 * mark. */
__attribute__((no_sanitize_address)) static int run_child(void *argument)
{
    struct child *child = argument;
    const struct dml_spawn *spawn = child->spawn;
    static char *const no_environment[] = {NULL};
    reset_signals();
    if (child->root)
        syscall(SYS_setgroups, 0,
                NULL); /* not glibc's, which would ask every thread of the host to do the same */
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL); /* an empty one instead of the caller's */
    for (size_t i = 0; i < spawn->cgroup_count; i++) {
        if (write(spawn->cgroups[i], "0", 1) != 1)
            return fail_child(child, STEP_CGROUP, errno, 0);
    }
    raise_descriptor_limit(2 * spawn->descriptor_count + spawn->source_count + 16);
    if (!place_descriptors(child))
        return fail_child(child, STEP_DESCRIPTORS, errno, 0);
    for (size_t i = 0; i < spawn->source_count; i++) {
        if (!open_source(child, i))
            return 127;
    }
    execve(spawn->path, spawn->argv, no_environment);
    return fail_child(child, STEP_EXECUTE, errno, 0);
}

static bool explain(const struct child *child, struct dml_error *error)
{
    char quoted[256];
    const struct dml_spawn *spawn = child->spawn;
    const char *path = child->step == STEP_EXECUTE ? spawn->path
                       : spawn->source_count       ? spawn->sources[child->index]->path
                                                   : "";
    dml_quote(quoted, sizeof quoted, path, strlen(path));
    switch (child->step) {
    case STEP_SOURCE_CHANGED:
        return dml_fail(error, DML_ERROR_CHANGED, 0, "%s changed between check and launch", quoted);
    case STEP_SOURCE_OPEN:
        if (child->reason == EMFILE || child->reason == ENFILE || child->reason == ENOSYS)
            return dml_fail(error, DML_ERROR_SYSTEM, child->reason, "%s cannot be opened", quoted);
        return dml_fail(error, DML_ERROR_CHANGED, child->reason, "%s changed between check and launch",
                        quoted);
    case STEP_CGROUP:
        return dml_fail(error, DML_ERROR_SYSTEM, child->reason, "the sandbox cannot be put into its cgroup");
    case STEP_EXECUTE:
        return dml_fail(error, DML_ERROR_SYSTEM, child->reason, "%s cannot be executed", quoted);
    default: return dml_fail(error, DML_ERROR_SYSTEM, child->reason, "descriptors cannot be handed over");
    }
}

int dml_spawn_reap(int pidfd)
{
    siginfo_t ended;
    int failed;
    do
        failed = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &ended, WEXITED);
    while (failed && errno == EINTR);
    close(pidfd);
    return failed ? 0 : ended.si_code == CLD_EXITED ? ended.si_status : -1;
}

int dml_spawn(const struct dml_spawn *spawn, pid_t *pid, struct dml_error *error)
{
    int pidfd = -1;
    sigset_t all, before;
    struct child child = {.spawn = spawn, .root = geteuid() == 0};
    child.scratch = calloc(spawn->descriptor_count, sizeof *child.scratch);
    char *stack =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (!child.scratch || stack == MAP_FAILED) {
        if (stack != MAP_FAILED)
            munmap(stack, STACK_SIZE);
        free(child.scratch);
        dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
        return -1;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *pid =
        clone(run_child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &child, &pidfd);
    int reason = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, STACK_SIZE);
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
