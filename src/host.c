#include "host.h"

#include "path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444 /* the same on every architecture: include/uapi/asm-generic/unistd.h */
#endif

const char *const dml_trusted_bwrap_paths[DML_TRUSTED_BWRAP_COUNT] = {
    "/run/current-system/sw/bin/bwrap",
    "/nix/var/nix/profiles/default/bin/bwrap",
    "/usr/bin/bwrap",
    "/usr/local/bin/bwrap",
};

void dml_host_gather(struct dml_host *host, char *const *environment)
{
    struct sysinfo info;
    *host = (struct dml_host){.environment = environment, .uid = geteuid(), .gid = getegid()};
    if (sysinfo(&info) == 0)
        host->memory = (uint64_t)info.totalram * info.mem_unit;
}

const char *dml_host_getenv(const struct dml_host *host, const char *name)
{
    size_t length = strlen(name);
    for (char *const *at = host->environment; at && *at; at++) {
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return *at + length + 1;
    }
    return NULL;
}

bool dml_host_resolve(const char *path, struct dml_arena *arena, struct dml_object *object)
{
    char resolved[PATH_MAX];
    struct stat status;
    if (!realpath(path, resolved) || lstat(resolved, &status) != 0)
        return false;
    *object = (struct dml_object){
        .path = dml_arena_string(arena, resolved),
        .device = status.st_dev,
        .inode = status.st_ino,
        .mode = status.st_mode,
    };
    if (!object->path)
        errno = ENOMEM;
    return object->path != NULL;
}

static int open_without_links(int directory, const char *path, uint64_t resolve)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | resolve,
    };
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int dml_host_open_exact(const char *path)
{
    return open_without_links(AT_FDCWD, path, 0);
}

bool dml_host_inspect(const char *tree, const char *below, mode_t *mode)
{
    struct stat status;
    int directory = open_without_links(AT_FDCWD, tree, 0);
    if (directory < 0)
        return false;
    int found = open_without_links(directory, *below ? below : ".", RESOLVE_BENEATH);
    int saved = errno;
    close(directory);
    if (found < 0) {
        errno = saved;
        return false;
    }
    bool known = fstat(found, &status) == 0;
    saved = errno;
    close(found);
    errno = saved;
    if (known)
        *mode = status.st_mode;
    return known;
}

/* Whether anything in the directory `path` has a write permission, looking `depth` levels down. */
static bool has_writable(int parent, const char *path, int depth, int *budget)
{
    int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool found = false;
    struct dirent *item;
    while (!found && (item = readdir(directory)) && (*budget)-- > 0) {
        struct stat status;
        if (item->d_name[0] == '.' || fstatat(fd, item->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(status.st_mode))
            found = depth > 0 && has_writable(fd, item->d_name, depth - 1, budget);
        else
            found = S_ISREG(status.st_mode) && (status.st_mode & 0222);
    }
    closedir(directory);
    return found;
}

/* Started by real root, whoever is "nobody" inside owns root's files of /proc; everybody may write to the files of
 * /proc/pressure. What is certain is listed; root also covers whatever else shows a write permission. */
const char **dml_host_proc_covers(const struct dml_host *host, struct dml_arena *arena)
{
    static const char *const always[] = {"/proc/sys", "/proc/irq", "/proc/bus", "/proc/pressure", "/proc/sysrq-trigger"};
    enum { ALWAYS = sizeof always / sizeof always[0], MOST = 32 };
    const char **covers = dml_arena_array(arena, MOST + 1, sizeof *covers);
    size_t count = 0;
    if (!covers)
        return NULL;
    for (size_t i = 0; i < ALWAYS; i++) {
        if (access(always[i], F_OK) == 0)
            covers[count++] = always[i];
    }
    DIR *proc = host->uid == 0 ? opendir("/proc") : NULL;
    struct dirent *item;
    while (proc && count < MOST && (item = readdir(proc))) {
        struct stat status;
        char path[300];
        int budget = 400;
        if (item->d_name[0] == '.' || (item->d_name[0] >= '0' && item->d_name[0] <= '9'))
            continue;
        snprintf(path, sizeof path, "/proc/%s", item->d_name);
        if (dml_name_index(path, always, ALWAYS) >= 0 ||
            fstatat(dirfd(proc), item->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        bool writable = S_ISREG(status.st_mode)   ? (status.st_mode & 0222) != 0
                        : S_ISDIR(status.st_mode) ? has_writable(dirfd(proc), item->d_name, 3, &budget)
                                                  : false;
        if (writable && !(covers[count++] = dml_arena_string(arena, path))) {
            covers = NULL;
            break;
        }
    }
    if (proc)
        closedir(proc);
    return covers;
}

bool dml_host_abstract_socket(const char *prefix)
{
    FILE *sockets = fopen("/proc/net/unix", "re");
    char line[512];
    bool found = false;
    while (sockets && !found && fgets(line, sizeof line, sockets)) {
        const char *name = strchr(line, '@');
        found = name && strncmp(name + 1, prefix, strlen(prefix)) == 0;
    }
    if (sockets)
        fclose(sockets);
    return found;
}

int dml_host_landlock_abi(void)
{
    const unsigned version_query = 1; /* LANDLOCK_CREATE_RULESET_VERSION */
    long abi = syscall(__NR_landlock_create_ruleset, NULL, 0, version_query);
    return abi > 0 ? (int)abi : 0;
}

static bool is_regular(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

bool dml_host_find_bwrap(const struct dml_host *host, char *buffer, size_t size, bool *trusted)
{
    for (size_t i = 0; i < DML_TRUSTED_BWRAP_COUNT; i++) {
        if (is_regular(dml_trusted_bwrap_paths[i])) {
            *trusted = true;
            return snprintf(buffer, size, "%s", dml_trusted_bwrap_paths[i]) < (int)size;
        }
    }
    *trusted = false;
    const char *path = dml_host_getenv(host, "PATH");
    while (path) {
        size_t length = strcspn(path, ":");
        int written = snprintf(buffer, size, "%.*s%sbwrap", (int)length, path, length ? "/" : "");
        if (written > 0 && (size_t)written < size && is_regular(buffer))
            return true;
        path = path[length] ? path + length + 1 : NULL;
    }
    return false;
}
