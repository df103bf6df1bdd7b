#include "child.h"
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The second is part of our own: few threads have as little. */
enum { STACK = 64 * 1024, WAITED_STACK = 16 * 1024 };

static void *new_stack(void)
{
    void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    return stack == MAP_FAILED ? NULL : stack;
}

void dml_child_free_stack(void *stack)
{
    if (stack)
        munmap(stack, STACK);
}

static pid_t start_on(char *top, int (*run)(void *argument), void *argument, int flags, int *pidfd)
{
    sigset_t all, before;
    int cancelling; /* a thread that is cancelled must not be so in the child, on its behalf */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(run, top, CLONE_VM | flags, argument, pidfd);
    int reason = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setcancelstate(cancelling, NULL);
    errno = reason;
    return pid;
}

pid_t dml_child_start(int (*run)(void *argument), void *argument, int flags, int *pidfd)
{
    _Alignas(16) char stack[WAITED_STACK];
    return start_on(stack + sizeof stack, run, argument, CLONE_VFORK | flags, pidfd);
}

pid_t dml_child_start_beside(int (*run)(void *argument), void *argument, int flags, int *pidfd, void **stack)
{
    *stack = new_stack();
    return *stack ? start_on((char *)*stack + STACK, run, argument, flags, pidfd) : -1;
}

void dml_child_close(int fd)
{
    if (fd >= 0)
        CALL1(__NR_close, fd);
}

void dml_child_reset_signal(int signal)
{
    struct { /* as the kernel has it; without a handler the rest says nothing */
        void (*handler)(int);
        unsigned long rest[3];
    } action = {.handler = SIG_DFL};
    CALL4(__NR_rt_sigaction, signal, &action, NULL, _NSIG / 8);
}

/* Not glibc's, which would ask every thread of the host to do the same. */
void dml_child_drop_groups(void)
{
    CALL2(__NR_setgroups, 0, NULL);
}

void dml_child_leave_keyring(void)
{
    CALL2(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

int dml_child_join_cgroups(const int *cgroups, size_t count)
{
    long written = 1;
    for (size_t i = 0; i < count && written == 1; i++)
        written = CALL3(__NR_write, cgroups[i], "0", 1);
    return written == 1 ? 0 : written < 0 ? (int)written : -EIO;
}

void dml_child_raise_descriptor_limit(size_t needed)
{
    struct rlimit64 limit;
    if (CALL4(__NR_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0 || limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
    CALL4(__NR_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

/* First out of each other's way, then down. */
int dml_child_place_descriptors(const int *descriptors, int *scratch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        scratch[i] = (int)CALL3(__NR_fcntl, descriptors[i], F_DUPFD_CLOEXEC, count);
        if (scratch[i] < 0)
            return scratch[i];
    }
    for (size_t i = 0; i < count; i++) {
        long placed = CALL3(__NR_dup3, scratch[i], i, 0);
        if (placed < 0)
            return (int)placed;
    }
    return (int)CALL3(__NR_close_range, count, ~0u, 0);
}

/* On both machines the kernel's struct stat is that of libc. */
int dml_child_inspect(int fd, struct stat *status)
{
    return (int)CALL4(__NR_newfstatat, fd, "", status, AT_EMPTY_PATH);
}

int dml_child_open_path(int directory, const char *path, bool beneath)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | (beneath ? RESOLVE_BENEATH : 0),
    };
    return (int)CALL4(__NR_openat2, directory, path, &how, sizeof how);
}

static bool is_same(const struct stat *status, const struct dml_object *object)
{
    return !S_ISLNK(status->st_mode) && status->st_dev == object->device && status->st_ino == object->inode &&
           (status->st_mode & S_IFMT) == (object->mode & S_IFMT);
}

int dml_child_look(const struct dml_object *object)
{
    struct stat status;
    int failed = (int)CALL4(__NR_newfstatat, AT_FDCWD, object->path, &status, AT_SYMLINK_NOFOLLOW);
    return failed ? failed : is_same(&status, object) ? 0 : -ESTALE;
}

int dml_child_open(const struct dml_object *object)
{
    struct stat status;
    int fd = dml_child_open_path(AT_FDCWD, object->path, false);
    int failed = fd < 0 ? fd : dml_child_inspect(fd, &status);
    if (failed)
        return failed;
    if (is_same(&status, object))
        return fd;
    dml_child_close(fd);
    return -ESTALE;
}
