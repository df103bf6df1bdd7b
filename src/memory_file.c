#include "memory_file.h"
#include "stage_message.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* include/uapi/linux/memfd.h, Linux 6.3 */
#endif

/* The signal that a limit of file sizes sends is the host's affair, and none of it: without it writing fails.
 */
static bool write_quietly(int fd, const char *bytes, size_t length)
{
    size_t done = 0;
    static const struct timespec at_once;
    sigset_t signal, before, pending;
    sigemptyset(&signal);
    sigaddset(&signal, SIGXFSZ);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &signal, &before);
    while (done < length) { /* the descriptor stays at its start */
        ssize_t written = pwrite(fd, bytes + done, length - done, (off_t)done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            break;
        done += (size_t)written;
    }
    int reason = errno;
    if (done < length && reason == EFBIG && !sigismember(&pending, SIGXFSZ))
        sigtimedwait(&signal, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = reason;
    return done == length;
}

int dml_raised(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int saved = errno;
    close(fd);
    errno = saved;
    return higher;
}

int dml_memory_file(const char *name, const void *bytes, size_t length, struct dml_error *error)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    int raw = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (raw < 0 && errno == EINVAL) /* a kernel that does not know the flag makes it executable anyway */
        raw = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int fd = dml_raised(raw);
    bool written = fd >= 0 && write_quietly(fd, bytes, length);
    if (!written || fcntl(fd, F_ADD_SEALS, seals) != 0) {
        dml_fail(error, DML_ERROR_SYSTEM, errno, "no memory file");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* A pipe that holds all of the bytes, its reading end; -1 when it does not. */
static int filled_pipe(const void *bytes, size_t length)
{
    int ends[2];
    if (length > DML_PIPE_ROOM || pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    bool sure = length <= PIPE_BUF || fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0;
    bool held = sure && write(ends[1], bytes, length) == (ssize_t)length;
    close(ends[1]);
    if (held)
        return dml_raised(ends[0]);
    close(ends[0]);
    return -1;
}

/* A child that another thread forks meanwhile would have the writing end, too, and the reader wait for it. */
int dml_one_reading(const char *name, const void *bytes, size_t length, struct dml_error *error)
{
    int fd = __libc_single_threaded ? filled_pipe(bytes, length) : -1;
    return fd >= 0 ? fd : dml_memory_file(name, bytes, length, error);
}
