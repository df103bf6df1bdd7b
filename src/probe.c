#include "probe.h"
#include "spawn.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATIENCE = 5000 }; /* milliseconds */

static bool same_binary(const struct dml_probe *probe, const char *path, struct stat *status)
{
    return stat(path, status) == 0 && probe->known && probe->device == status->st_dev &&
           probe->inode == status->st_ino && probe->changed.tv_sec == status->st_ctim.tv_sec &&
           probe->changed.tv_nsec == status->st_ctim.tv_nsec;
}

bool dml_probe_features(const struct dml_probe *probe, const char *path, struct dml_bwrap_features *features)
{
    struct stat status;
    bool known = same_binary(probe, path, &status);
    *features = known ? probe->features : dml_bwrap_all_features;
    return known;
}

static void remember(struct dml_probe *probe, const struct stat *status, struct dml_bwrap_features features)
{
    *probe = (struct dml_probe){.known = true,
                                .device = status->st_dev,
                                .inode = status->st_ino,
                                .changed = status->st_ctim,
                                .features = features};
}

void dml_probe_trust(struct dml_probe *probe, const char *path)
{
    struct stat status;
    if (!same_binary(probe, path, &status) && stat(path, &status) == 0)
        remember(probe, &status, dml_bwrap_all_features);
}

/* Reads to the end of `fd`, or until patience is at its end. */
static size_t read_all(int fd, char *buffer, size_t size)
{
    size_t length = 0;
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    while (length + 1 < size && poll(&polled, 1, PATIENCE) > 0) {
        ssize_t got = read(fd, buffer + length, size - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    buffer[length] = '\0';
    return length;
}

bool dml_probe_output(const char *path, const char *argument, char *buffer, size_t size,
                      struct dml_error *error)
{
    int ends[2], status = -1;
    pid_t pid;
    char *argv[] = {(char *)path, (char *)argument, NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe2(ends, O_CLOEXEC) != 0) {
        int reason = errno;
        if (null >= 0)
            close(null);
        return dml_fail(error, DML_ERROR_SYSTEM, reason, "no pipe");
    }
    const int descriptors[] = {null, ends[1], ends[1]};
    struct dml_spawn spawn = {.path = path, .argv = argv, .descriptors = descriptors, .descriptor_count = 3};
    int pidfd = dml_spawn(&spawn, &pid, error);
    close(null);
    close(ends[1]);
    if (pidfd >= 0) {
        read_all(ends[0], buffer, size);
        close(ends[0]);
        struct pollfd polled = {.fd = pidfd, .events = POLLIN};
        if (poll(&polled, 1, PATIENCE) <= 0)
            syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        status = dml_spawn_reap(pidfd);
    } else {
        close(ends[0]);
        return false;
    }
    if (status != 0) {
        char quoted[256];
        return dml_fail(error, DML_ERROR_UNAVAILABLE, 0, "%s %s failed",
                        dml_quote(quoted, sizeof quoted, path, strlen(path)), argument);
    }
    return true;
}

/* Whether the help names `option`, as a whole word. */
static bool offers(const char *help, const char *option)
{
    size_t length = strlen(option);
    for (const char *at = strstr(help, option); at; at = strstr(at + 1, option)) {
        if (at[length] == ' ' || at[length] == '\n')
            return true;
    }
    return false;
}

bool dml_probe_run(struct dml_probe *probe, const char *path, struct dml_error *error)
{
    char help[16 * 1024];
    struct stat status;
    if (same_binary(probe, path, &status))
        return true;
    if (!dml_probe_output(path, "--help", help, sizeof help, error))
        return false;
    const struct dml_bwrap_features found = {
        .bind_fd = offers(help, "--bind-fd") && offers(help, "--ro-bind-fd"),
        .disable_userns = offers(help, "--disable-userns"),
        .seccomp = offers(help, "--add-seccomp-fd"),
        .size = offers(help, "--size"),
    };
    remember(probe, &status, found);
    return true;
}
