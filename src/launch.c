#include "launch.h"
#include "memory_file.h"
#include "message.h"
#include "spawn.h"
#include "stage_image.h"
#include "stage_message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors for the child: the first DML_FD_COUNT in their fixed places, then the memory files. -1 is not
 * yet. */
struct descriptors {
    int *items;
    size_t count;
    bool *owned; /* to be closed by us */
};

static bool own(struct descriptors *d, size_t index, int fd)
{
    d->items[index] = fd;
    d->owned[index] = fd >= 0;
    return fd >= 0;
}

static void close_descriptors(struct descriptors *d)
{
    for (size_t i = 0; d->items && d->owned && i < d->count; i++) {
        if (d->owned[i])
            close(d->items[i]);
    }
    free(d->items);
    free(d->owned);
}

/* What each launch is given alike, and no command: what one does to an open file, such as its flags, the next
 * would find. Elsewhere than in a program of our own the host may close what is kept, or have another thread
 * change what it tells of. */
static struct {
    bool wanted;
    int runner, image;
    uint64_t foreign[DML_STAGE_NAMESPACES];
} kept = {.runner = -1, .image = -1};

void dml_launch_keep(void)
{
    kept.wanted = true;
}

/* Hands on what is `known`, or what was just made, for this launch or for all of them. */
static bool hand_on(struct descriptors *d, size_t index, int *known, int made)
{
    if (!kept.wanted)
        return own(d, index, made);
    *known = made;
    d->items[index] = made;
    return made >= 0;
}

static int open_runner(void)
{
    return kept.runner >= 0 ? kept.runner : dml_raised((int)syscall(SYS_pidfd_open, getpid(), 0));
}

static int open_image(struct dml_error *error)
{
    size_t size = (size_t)dml_stage_image_size;
    return kept.image >= 0 ? kept.image : dml_memory_file("demilune-stage", dml_stage_image, size, error);
}

static bool find_foreign(uint64_t foreign[DML_STAGE_NAMESPACES], struct dml_error *error)
{
    if (kept.foreign[0]) {
        memcpy(foreign, kept.foreign, sizeof kept.foreign);
        return true;
    }
    if (!dml_stage_foreign(foreign))
        return dml_fail(error, DML_ERROR_SYSTEM, errno, "/proc/thread-self/ns cannot be read");
    if (kept.wanted)
        memcpy(kept.foreign, foreign, sizeof kept.foreign);
    return true;
}

/* Raises both ends of a pipe or socket; on failure neither stays open. */
static bool raise_both(int ends[2])
{
    ends[0] = dml_raised(ends[0]);
    ends[1] = dml_raised(ends[1]);
    bool both = ends[0] >= 0 && ends[1] >= 0;
    for (int i = 0; i < 2; i++) {
        if (!both && ends[i] >= 0)
            close(ends[i]);
    }
    return both;
}

static bool make_pipe(int ends[2], struct dml_error *error)
{
    if (pipe2(ends, O_CLOEXEC) != 0 || !raise_both(ends))
        return dml_fail(error, DML_ERROR_SYSTEM, errno, "no pipe");
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return true;
}

/* A directory or an O_PATH descriptor leads out: what is next to it can be reached from inside through
 * /proc/self/fd. */
static bool leads_nowhere(int fd, int number, struct dml_error *error)
{
    static const char *const names[] = {"input", "output", "error output"};
    struct stat status;
    int flags = fcntl(fd, F_GETFL);
    if (fstat(fd, &status) != 0)
        return dml_fail(error, DML_ERROR_SYSTEM, errno, "the command's standard %s, descriptor %d",
                        names[number], fd);
    if (S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode) || flags < 0 || (flags & O_PATH))
        return dml_fail(
            error, DML_ERROR_SETUP, 0,
            "the command's standard %s is a %s, which leads out of the sandbox; give it a file, a pipe or a "
            "terminal",
            names[number], S_ISDIR(status.st_mode) ? "directory" : "device or path");
    return true;
}

static bool prepare_standard(struct dml_channels *channels, const struct dml_start *start,
                             struct descriptors *d, struct dml_error *error)
{
    for (int i = 0; i < 3; i++) {
        size_t slot = DML_FD_STDIN + (size_t)i;
        int ends[2];
        if (i > 0 && start->capture[i]) {
            if (!make_pipe(ends, error))
                return false;
            channels->captured[i] = ends[0];
            own(d, slot, ends[1]);
        } else if (i == 0 && start->input) {
            if (!own(d, slot, dml_memory_file("demilune-input", start->input, start->input_length, error)))
                return false;
        } else {
            int fd = start->standard[i];
            bool closed_by_host = fd == i && fcntl(fd, F_GETFD) < 0;
            bool given = fd >= 0 && !closed_by_host;
            d->items[slot] = given ? fd : d->items[0];
            if (given && !leads_nowhere(fd, i, error))
                return false;
        }
    }
    return true;
}

/* What the inner stage and the command are given, whatever the backend. */
static bool prepare_common(struct dml_channels *channels, const struct dml_start *start,
                           const struct dml_cgroup *cgroup, uint64_t deadline, struct descriptors *d,
                           struct dml_error *error)
{
    int sockets[2];
    struct dml_cgroup_memory memory;
    d->items = calloc(d->count, sizeof *d->items);
    d->owned = calloc(d->count, sizeof *d->owned);
    if (!d->items || !d->owned)
        return dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
    if (!own(d, 0, dml_raised(open("/dev/null", O_RDWR | O_CLOEXEC))))
        return dml_fail(error, DML_ERROR_SYSTEM, errno, "/dev/null");
    d->items[1] = d->items[2] = d->items[DML_FD_ARGUMENTS] = d->items[0];
    bool limited =
        dml_cgroup_open_memory(cgroup, start->plan->limits.value[DML_LIMIT_MEMORY], &memory, error);
    for (size_t i = 0; i < 2; i++) {
        d->items[DML_FD_MEMORY + i] = d->items[0];
        if (memory.files[i] >= 0)
            limited = own(d, DML_FD_MEMORY + i, dml_raised(memory.files[i])) && limited;
    }
    if (!limited)
        return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0 || !raise_both(sockets))
        return dml_fail(error, DML_ERROR_SYSTEM, errno, "no socket");
    channels->control = sockets[0];
    own(d, DML_FD_CONTROL, sockets[1]);
    if (!hand_on(d, DML_FD_RUNNER, &kept.runner, open_runner()))
        return dml_fail(error, DML_ERROR_SYSTEM, errno, "no pidfd");
    uint64_t foreign[DML_STAGE_NAMESPACES];
    bool by_others = start->bwrap_path != NULL;
    return hand_on(d, DML_FD_STAGE, &kept.image, open_image(error)) &&
           (!by_others || find_foreign(foreign, error)) &&
           own(d, DML_FD_MESSAGE,
               dml_stage_message_file(start->plan, channels->controls, cgroup->covers, &memory, deadline,
                                      by_others ? foreign : NULL, error)) &&
           prepare_standard(channels, start, d, error);
}

/* What bwrap is given besides, and a pipe for what it says. */
static bool prepare_for_bwrap(struct dml_channels *channels, const struct dml_bwrap_arguments *arguments,
                              struct descriptors *d, struct dml_error *error)
{
    int ends[2];
    if (!make_pipe(ends, error))
        return false;
    channels->messages = ends[0];
    own(d, 2, ends[1]);
    if (!own(d, DML_FD_ARGUMENTS, dml_arguments_file(arguments, error)))
        return false;
    for (size_t i = 0; i < arguments->file_count; i++) {
        const struct dml_bytes *file = &arguments->files[i];
        if (!own(d, DML_FD_COUNT + i, dml_one_reading("demilune-file", file->data, file->length, error)))
            return false;
    }
    return true;
}

static int spawn_bwrap(const struct dml_start *start, const struct dml_bwrap_arguments *arguments,
                       const struct descriptors *d, const int *cgroups, size_t cgroup_count, pid_t *pid,
                       struct dml_error *error)
{
    char args_fd[8], stage_path[32];
    snprintf(args_fd, sizeof args_fd, "%d", DML_FD_ARGUMENTS);
    snprintf(stage_path, sizeof stage_path, "/proc/self/fd/%d", DML_FD_STAGE);
    char *argv[] = {(char *)"bwrap", (char *)"--args", args_fd, (char *)"--", stage_path, NULL};
    struct dml_spawn spawn = {
        .path = start->bwrap_path,
        .argv = argv,
        .descriptors = d->items,
        .descriptor_count = d->count,
        .sources = arguments->sources,
        .source_count = arguments->source_count,
        .paths = arguments->paths,
        .path_count = arguments->path_count,
        .cgroups = cgroups,
        .cgroup_count = cgroup_count,
    };
    return dml_spawn(&spawn, pid, error);
}

static void start_native(const struct dml_start *start, const struct descriptors *d, const int *cgroups,
                         size_t cgroup_count, struct dml_channels *channels, struct dml_error *error)
{
    channels->native = dml_native_start(start->plan, d->items, d->count, cgroups, cgroup_count, error);
    if (channels->native) {
        channels->pidfd = channels->native->pidfd;
        channels->pid = channels->native->pid;
    }
}

static bool choose_controls(const struct dml_start *start, const struct dml_bwrap_features *features,
                            struct dml_channels *channels, struct dml_error *error)
{
    if (!start->bwrap_path)
        return dml_native_controls(start->plan, &channels->controls, error);
    channels->controls = dml_bwrap_controls(start->plan, features);
    return true;
}

bool dml_launch(const struct dml_start *start, const struct dml_bwrap_features *features,
                const struct dml_cgroup *cgroup, uint64_t deadline, struct dml_channels *channels,
                struct dml_error *error)
{
    bool native = !start->bwrap_path;
    struct dml_bwrap_arguments arguments = {0};
    int cgroups[DML_CONTROLLER_COUNT], cgroup_count = 0;
    *channels = (struct dml_channels){.pidfd = -1, .control = -1, .messages = -1, .captured = {-1, -1, -1}};
    bool ready = choose_controls(start, features, channels, error) &&
                 (native || dml_bwrap_render(start->plan, features, false, &arguments, error));
    struct descriptors d = {.count = DML_FD_COUNT + arguments.file_count};
    ready = ready && prepare_common(channels, start, cgroup, deadline, &d, error) &&
            (native || prepare_for_bwrap(channels, &arguments, &d, error)) &&
            (cgroup_count = dml_cgroup_open(cgroup, cgroups, error)) >= 0;
    size_t joined = cgroup_count > 0 ? (size_t)cgroup_count : 0;
    if (ready && native)
        start_native(start, &d, cgroups, joined, channels, error);
    else if (ready)
        channels->pidfd = spawn_bwrap(start, &arguments, &d, cgroups, joined, &channels->pid, error);
    for (size_t i = 0; i < joined; i++)
        close(cgroups[i]);
    close_descriptors(&d);
    dml_bwrap_arguments_clear(&arguments);
    return channels->pidfd >= 0;
}

const char *dml_launch_code(const struct dml_error *error)
{
    return error->kind == DML_ERROR_CHANGED       ? "source.changed"
           : error->kind == DML_ERROR_UNAVAILABLE ? "control.unavailable"
                                                  : "setup.failed";
}
