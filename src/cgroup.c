#include "cgroup.h"
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* "demilune-NAMESPACE-PID-": whose cgroup it is. A number of a process means something in its namespace
 * alone. */
static bool owner_prefix(char *buffer, size_t size)
{
    uint64_t namespace = dml_host_namespace(AT_FDCWD, "/proc/self/ns/pid");
    return namespace != 0 &&
           snprintf(buffer, size, "demilune-%" PRIu64 "-%d-", namespace, (int)getpid()) < (int)size;
}

/* What a runner that was killed has left: its processes ended with it. `own`: our prefix. */
static void sweep(const char *directory, const char *own)
{
    DIR *listing = opendir(directory);
    size_t shared = strlen("demilune-") + strcspn(own + strlen("demilune-"), "-"); /* with the namespace */
    struct dirent *item;
    while (listing && (item = readdir(listing))) {
        if (strncmp(item->d_name, own, shared + 1) != 0)
            continue;
        pid_t owner = (pid_t)strtol(item->d_name + shared + 1, NULL, 10);
        if (owner > 0 && kill(owner, 0) != 0 && errno == ESRCH)
            unlinkat(dirfd(listing), item->d_name, AT_REMOVEDIR);
    }
    if (listing)
        closedir(listing);
}

static bool write_text(const char *directory, const char *name, const char *text)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return false;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return written;
}

static bool write_number(const char *directory, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return write_text(directory, name, text);
}

static int open_in(const struct dml_cgroup_part *part, const char *name)
{
    char path[PATH_MAX];
    errno = ENAMETOOLONG;
    return snprintf(path, sizeof path, "%s/%s", part->path, name) < (int)sizeof path
               ? open(path, O_WRONLY | O_CLOEXEC)
               : -1;
}

/* Memory is memory: what does not fit is not swapped out either, where that is counted. False with errno. */
static bool open_memory(const struct dml_cgroup_part *part, int files[2])
{
    files[0] = open_in(part, part->unified ? "memory.max" : "memory.limit_in_bytes");
    files[1] = open_in(part, part->unified ? "memory.swap.max" : "memory.memsw.limit_in_bytes");
    return files[0] >= 0 && (files[1] >= 0 || errno == ENOENT);
}

static void close_memory(int files[2])
{
    int saved = errno;
    for (int i = 0; i < 2; i++) {
        if (files[i] >= 0)
            close(files[i]);
    }
    errno = saved;
}

/* Sets what this part is for. False with errno. */
static bool apply(struct dml_cgroup *cgroup, const struct dml_cgroup_part *part,
                  const struct dml_limits *limits, unsigned ours)
{
    if (part->controllers & 1u << DML_CONTROLLER_MEMORY && limits->has[DML_LIMIT_MEMORY]) {
        int files[2];
        bool opened = open_memory(part, files);
        close_memory(files);
        if (!opened)
            return false;
        cgroup->covers |= 1u << DML_LIMIT_MEMORY;
    }
    if (part->controllers & 1u << DML_CONTROLLER_PIDS && limits->has[DML_LIMIT_PIDS]) {
        if (!write_number(part->path, "pids.max", limits->value[DML_LIMIT_PIDS] + ours))
            return false;
        cgroup->covers |= 1u << DML_LIMIT_PIDS;
    }
    if (part->controllers & 1u << DML_CONTROLLER_CPU && limits->has[DML_LIMIT_CPU_TIME])
        cgroup->covers |= 1u << DML_LIMIT_CPU_TIME;
    return true;
}

/* Version 2: what a cgroup has its parent hands down. */
static bool hand_down(const char *directory, unsigned controllers)
{
    char text[512];
    bool memory = controllers & 1u << DML_CONTROLLER_MEMORY, pids = controllers & 1u << DML_CONTROLLER_PIDS;
    if (!dml_host_cgroup_read(directory, "cgroup.subtree_control", text, sizeof text))
        return false;
    return ((!memory || dml_host_has_word(text, "memory")) && (!pids || dml_host_has_word(text, "pids"))) ||
           write_text(directory, "cgroup.subtree_control",
                      memory && pids ? "+memory +pids"
                      : memory       ? "+memory"
                                     : "+pids");
}

/* Makes the part of a cgroup that lies in one place. False with errno; then there is nothing of it. */
static bool make_part(struct dml_cgroup *cgroup, const struct dml_cgroup_place *place, const char *name,
                      unsigned wanted, const struct dml_limits *limits, unsigned ours)
{
    struct dml_cgroup_part part = {.controllers = wanted & place->controllers, .unified = place->unified};
    if (place->unified && !hand_down(place->directory, part.controllers))
        part.controllers &= 1u << DML_CONTROLLER_CPU;
    if (!part.controllers)
        return false;
    if (asprintf(&part.path, "%s/%s", place->directory, name) < 0)
        return false;
    unsigned before = cgroup->covers;
    bool made = mkdir(part.path, 0755) == 0;
    if (!made || !apply(cgroup, &part, limits, ours)) {
        int saved = errno;
        if (made)
            rmdir(part.path);
        free(part.path);
        cgroup->covers = before;
        errno = saved;
        return false;
    }
    cgroup->parts[cgroup->count++] = part;
    return true;
}

static const char *const controller_names[] = {
    [DML_CONTROLLER_MEMORY] = "memory", [DML_CONTROLLER_PIDS] = "pids", [DML_CONTROLLER_CPU] = "cpu_time"};

/* The limits that ask for a controller, as bits of enum dml_controller. */
static unsigned controllers_for(const struct dml_limits *limits)
{
    unsigned asked = dml_limits_as_a_whole(limits);
    return (asked & 1u << DML_LIMIT_MEMORY ? 1u << DML_CONTROLLER_MEMORY : 0) |
           (asked & 1u << DML_LIMIT_PIDS ? 1u << DML_CONTROLLER_PIDS : 0) |
           (asked & 1u << DML_LIMIT_CPU_TIME ? 1u << DML_CONTROLLER_CPU : 0);
}

static unsigned controllers_of(const struct dml_cgroup *cgroup)
{
    unsigned controllers = 0;
    for (size_t i = 0; i < cgroup->count; i++)
        controllers |= cgroup->parts[i].controllers;
    return controllers;
}

static bool refuse(unsigned missing, bool required, int reason, struct dml_error *error)
{
    char names[64] = "";
    for (unsigned i = 0; i < DML_CONTROLLER_COUNT; i++) {
        if (missing & 1u << i)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "",
                     controller_names[i]);
    }
    return dml_fail(error, DML_ERROR_UNAVAILABLE, reason,
                    "%sno cgroup can be made below our own%s%s; start as root, or in a delegated one "
                    "(systemd-run --user --scope -p Delegate=yes)",
                    required ? "requires: \"cgroup\" cannot be had: " : "", *names ? " to limit " : "",
                    names);
}

bool dml_cgroup_make(struct dml_cgroup *cgroup, const struct dml_limits *limits, unsigned ours, bool required,
                     bool *swept, struct dml_error *error)
{
    enum { ANY = (1u << DML_CONTROLLER_COUNT) - 1 };
    unsigned asked = controllers_for(limits), wanted = asked ? asked : required ? ANY : 0;
    struct dml_cgroup_places places;
    uint32_t random;
    char owner[64], name[80];
    int reason = 0;
    *cgroup = (struct dml_cgroup){0};
    if (!wanted)
        return true;
    if (!owner_prefix(owner, sizeof owner) || getrandom(&random, sizeof random, 0) != sizeof random)
        return dml_fail(error, DML_ERROR_SYSTEM, errno, "no name for a cgroup");
    snprintf(name, sizeof name, "%s%08x", owner, random);
    if (!dml_host_cgroup_places(&places))
        reason = errno;
    for (size_t i = 0; i < places.count && !dml_host_is_exhausted(reason); i++) {
        const struct dml_cgroup_place *place = &places.items[i];
        if (!*swept)
            sweep(place->directory, owner);
        unsigned missing = wanted & ~controllers_of(cgroup) & place->controllers;
        if (missing && !make_part(cgroup, place, name, missing, limits, ours))
            reason = errno;
    }
    *swept = true;
    dml_host_cgroup_places_clear(&places);
    unsigned missing = asked & ~controllers_of(cgroup);
    /* The kernel does not hold root to a number of processes. */
    bool uncounted = missing & 1u << DML_CONTROLLER_PIDS && geteuid() == 0;
    bool exhausted = dml_host_is_exhausted(reason); /* what could be had is not known */
    if (!(required && (missing || cgroup->count == 0)) && !uncounted && !exhausted)
        return true;
    dml_cgroup_remove(cgroup, 0);
    dml_cgroup_clear(cgroup);
    return exhausted ? dml_fail(error, DML_ERROR_SYSTEM, reason, "no cgroup")
                     : refuse(missing, required, reason, error);
}

int dml_cgroup_open(const struct dml_cgroup *cgroup, int *fds, struct dml_error *error)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        fds[i] = open_in(&cgroup->parts[i], "cgroup.procs");
        if (fds[i] < 0) {
            dml_fail(error, DML_ERROR_SYSTEM, errno, "%s/cgroup.procs", cgroup->parts[i].path);
            while (i > 0)
                close(fds[--i]);
            return -1;
        }
    }
    return (int)cgroup->count;
}

static const struct dml_cgroup_part *part_with(const struct dml_cgroup *cgroup,
                                               enum dml_controller controller)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        if (cgroup->parts[i].controllers & 1u << controller)
            return &cgroup->parts[i];
    }
    return NULL;
}

bool dml_cgroup_open_memory(const struct dml_cgroup *cgroup, uint64_t bytes, struct dml_cgroup_memory *memory,
                            struct dml_error *error)
{
    const struct dml_cgroup_part *part = part_with(cgroup, DML_CONTROLLER_MEMORY);
    *memory = (struct dml_cgroup_memory){.files = {-1, -1}};
    if (!part || !(cgroup->covers & 1u << DML_LIMIT_MEMORY))
        return true;
    for (int i = 0; i < 2; i++)
        snprintf(memory->texts[i], sizeof memory->texts[i], "%" PRIu64, i == 1 && part->unified ? 0 : bytes);
    return open_memory(part, memory->files) ||
           dml_fail(error, DML_ERROR_SYSTEM, errno, "the limit of memory in %s", part->path);
}

/* The number that follows `key` in a file of lines "key number"; the first one for an empty key. */
static uint64_t read_number(const char *directory, const char *name, const char *key)
{
    char text[1024];
    size_t length = strlen(key);
    if (!dml_host_cgroup_read(directory, name, text, sizeof text))
        return 0;
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, key, length) == 0 && (length == 0 || line[length] == ' '))
            return strtoull(line + length, NULL, 10);
    }
    return 0;
}

uint64_t dml_cgroup_cpu_time(const struct dml_cgroup *cgroup)
{
    const struct dml_cgroup_part *part = part_with(cgroup, DML_CONTROLLER_CPU);
    if (!part)
        return 0;
    return part->unified ? read_number(part->path, "cpu.stat", "usage_usec") / 1000
                         : read_number(part->path, "cpuacct.usage", "") / 1000000;
}

/* The kernel counts what was killed or refused here, also where a cgroup above had no more: our own limit was
 * come to when its own counter says so. */
static bool is_our_memory(const struct dml_cgroup_part *part)
{
    if (part->unified)
        return read_number(part->path, "memory.events", "max") > 0;
    const uint64_t batch =
        1024 * 1024; /* more than the kernel takes at a time; of late it keeps no failcnt */
    uint64_t most = read_number(part->path, "memory.max_usage_in_bytes", "");
    return most + batch >= read_number(part->path, "memory.limit_in_bytes", "");
}

/* Kernels without pids.peak do not tell. */
static bool is_our_pids(const struct dml_cgroup_part *part)
{
    uint64_t peak = read_number(part->path, "pids.peak", "");
    return peak == 0 || peak >= read_number(part->path, "pids.max", "");
}

uint64_t dml_cgroup_hits(const struct dml_cgroup *cgroup, enum dml_controller controller)
{
    const struct dml_cgroup_part *part = part_with(cgroup, controller);
    if (!part)
        return 0;
    if (controller == DML_CONTROLLER_PIDS)
        return is_our_pids(part) ? read_number(part->path, "pids.events", "max") : 0;
    return is_our_memory(part)
               ? read_number(part->path, part->unified ? "memory.events" : "memory.oom_control", "oom_kill")
               : 0;
}

bool dml_cgroup_remove(struct dml_cgroup *cgroup, int milliseconds)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    for (;;) {
        bool gone = true;
        for (size_t i = 0; i < cgroup->count; i++)
            gone = (rmdir(cgroup->parts[i].path) == 0 || errno == ENOENT) && gone;
        if (gone || milliseconds-- <= 0)
            return gone;
        nanosleep(&pause, NULL);
    }
}

void dml_cgroup_clear(struct dml_cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->count; i++)
        free(cgroup->parts[i].path);
    *cgroup = (struct dml_cgroup){0};
}

/* Whether this process is the only one in a cgroup. */
static bool is_alone(const char *directory)
{
    char text[64], own[16];
    snprintf(own, sizeof own, "%d\n", (int)getpid());
    return dml_host_cgroup_read(directory, "cgroup.procs", text, sizeof text) && strcmp(text, own) == 0;
}

/* Whether it has what we limit by, and does not hand it down yet. */
static bool keeps_controllers(const char *directory)
{
    char own[512], down[512];
    return dml_host_cgroup_read(directory, "cgroup.controllers", own, sizeof own) &&
           dml_host_cgroup_read(directory, "cgroup.subtree_control", down, sizeof down) &&
           ((dml_host_has_word(own, "memory") && !dml_host_has_word(down, "memory")) ||
            (dml_host_has_word(own, "pids") && !dml_host_has_word(down, "pids")));
}

void dml_cgroup_settle(struct dml_cgroup_leaf *leaf)
{
    struct dml_arena arena = {0};
    char owner[64];
    *leaf = (struct dml_cgroup_leaf){0};
    const char *home = dml_host_unified_cgroup(&arena);
    if (home && owner_prefix(owner, sizeof owner) && keeps_controllers(home) && is_alone(home)) {
        leaf->home = strdup(home);
        if (asprintf(&leaf->path, "%s/%srunner", home, owner) < 0)
            leaf->path = NULL;
        if (!leaf->home || !leaf->path || mkdir(leaf->path, 0755) != 0 ||
            !write_text(leaf->path, "cgroup.procs", "0"))
            dml_cgroup_return(leaf);
    }
    dml_arena_clear(&arena);
}

void dml_cgroup_return(struct dml_cgroup_leaf *leaf)
{
    if (leaf->home && leaf->path) {
        write_text(leaf->home, "cgroup.subtree_control", "-memory");
        write_text(leaf->home, "cgroup.subtree_control", "-pids");
        write_text(leaf->home, "cgroup.procs", "0");
        rmdir(leaf->path);
    }
    free(leaf->home);
    free(leaf->path);
    *leaf = (struct dml_cgroup_leaf){0};
}
