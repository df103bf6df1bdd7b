#include "child.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t dml_child_start(int (*run)(void *argument), void *argument, int flags, int *pidfd)
{
    sigset_t all, before;
    int cancelling; /* a thread that is cancelled must not be so in the child, on its behalf */
    char *stack =
        mmap(NULL, DML_CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -1;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(run, stack + DML_CHILD_STACK, CLONE_VM | CLONE_VFORK | flags, argument, pidfd);
    int reason = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setcancelstate(cancelling, NULL);
    munmap(stack, DML_CHILD_STACK);
    errno = reason;
    return pid;
}

void dml_child_close(int fd)
{
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
}

void dml_child_reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int signal = 1; signal < NSIG; signal++)
        sigaction(signal, &action, NULL); /* fails for a few that cannot be set, which is fine */
}

/* Not glibc's, which would ask every thread of the host to do the same. */
void dml_child_drop_groups(void)
{
    syscall(SYS_setgroups, 0, NULL);
}

void dml_child_leave_keyring(void)
{
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

bool dml_child_join_cgroups(const int *cgroups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (write(cgroups[i], "0", 1) != 1)
            return false;
    }
    return true;
}

void dml_child_raise_descriptor_limit(size_t needed)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* First out of each other's way, then down. */
bool dml_child_place_descriptors(const int *descriptors, int *scratch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        scratch[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, (int)count);
        if (scratch[i] < 0)
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (dup2(scratch[i], (int)i) < 0)
            return false;
    }
    return syscall(SYS_close_range, (int)count, ~0u, 0) == 0;
}

int dml_child_open(const struct dml_object *object)
{
    struct stat status;
    int fd = dml_host_open_exact(object->path);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && !S_ISLNK(status.st_mode) && status.st_dev == object->device &&
        status.st_ino == object->inode && (status.st_mode & S_IFMT) == (object->mode & S_IFMT))
        return fd;
    close(fd);
    errno = ESTALE;
    return -1;
}
