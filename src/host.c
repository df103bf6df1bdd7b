#include "host.h"

#include "child.h"
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset                                                                         \
    444 /* the same on every architecture: include/uapi/asm-generic/unistd.h */
#endif

const char *const dml_trusted_bwrap_paths[DML_TRUSTED_BWRAP_COUNT] = {
    "/run/current-system/sw/bin/bwrap",
    "/nix/var/nix/profiles/default/bin/bwrap",
    "/usr/bin/bwrap",
    "/usr/local/bin/bwrap",
};

void dml_host_gather(struct dml_host *host, char *const *environment)
{
    *host = (struct dml_host){.environment = environment, .uid = geteuid(), .gid = getegid()};
}

uint64_t dml_host_namespace(int directory, const char *path)
{
    char link[64] = ""; /* "kind:[number]" */
    if (readlinkat(directory, path, link, sizeof link - 1) < 0)
        return 0;
    return strtoull(link + strcspn(link, "0123456789"), NULL, 10);
}

bool dml_host_is_in_first_pid_namespace(void)
{
    static _Atomic pid_t asked, in_first; /* of whom, and who is: a process never leaves its own */
    pid_t own = getpid();
    if (asked != own) {
        bool first = dml_host_namespace(AT_FDCWD, "/proc/self/ns/pid") ==
                     0xEFFFFFFC; /* proc_ns.h, PROC_PID_INIT_INO */
        in_first = first ? own : 0;
        asked = own;
    }
    return in_first == own;
}

bool dml_host_is_root_of_machine(void)
{
    return getuid() == 0 && geteuid() == 0 && getgid() == 0 && getegid() == 0 &&
           dml_host_namespace(AT_FDCWD, "/proc/self/ns/user") == 0xEFFFFFFD; /* PROC_USER_INIT_INO */
}

uint64_t dml_host_memory(void)
{
    static _Atomic uint64_t known; /* the first answer stands */
    struct sysinfo info;
    if (known == 0 && sysinfo(&info) == 0)
        known = (uint64_t)info.totalram * info.mem_unit;
    return known;
}

double dml_seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

const char *dml_host_getenv(const struct dml_host *host, const char *name)
{
    size_t length = strlen(name);
    for (char *const *at = host->environment; at && *at; at++) {
        if (**at == *name && strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return *at + length + 1;
    }
    return NULL;
}

/* Whether it can be the name of a user who is not root or nobody. */
static bool is_user_name(const char *name)
{
    static const char other[] = "_-0123456789";
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++) {
        char letter = name[i] | 0x20;
        if (!(letter >= 'a' && letter <= 'z') && !(strchr(other, name[i]) && (i > 0 || name[i] == '_')))
            return false;
    }
    return length >= 1 && length <= 32 && strcmp(name, "root") != 0 && strcmp(name, "nobody") != 0;
}

const char *dml_host_user_name(const struct dml_host *host)
{
    const char *name = dml_host_getenv(host, "USER");
    return host->uid == 0               ? "root"
           : host->uid == 65534         ? "nobody"
           : name && is_user_name(name) ? name
                                        : "caller";
}

static int open_without_links(int directory, const char *path, bool beneath)
{
    int fd = dml_child_open_path(directory, path, beneath);
    if (fd >= 0)
        return fd;
    errno = -fd;
    return -1;
}

static bool fill_object(struct dml_object *object, struct dml_arena *arena, const char *path,
                        const struct stat *status)
{
    *object = (struct dml_object){
        .path = dml_arena_string(arena, path),
        .device = status->st_dev,
        .inode = status->st_ino,
        .mode = status->st_mode,
        .links = status->st_nlink,
    };
    if (!object->path)
        errno = ENOMEM;
    return object->path != NULL;
}

void dml_lookup_end(struct dml_lookup *lookup)
{
    if (lookup->open)
        close(lookup->directory);
    lookup->open = false;
}

/* The directory of `path`, whose name is its last component, as a descriptor. False with errno. */
static bool open_parent(struct dml_lookup *lookup, const char *path, const char *name)
{
    char parent[PATH_MAX];
    size_t length = (size_t)(name - path);
    if (lookup->open && lookup->length == length && memcmp(lookup->path, path, length) == 0)
        return true;
    dml_lookup_end(lookup);
    memcpy(parent, path, length);
    parent[length] = '\0';
    int directory = open_without_links(AT_FDCWD, parent, false);
    if (directory < 0)
        return false;
    *lookup = (struct dml_lookup){.open = true, .directory = directory, .path = path, .length = length};
    return true;
}

/* A canonical path without links, which most are, resolves to itself: one look instead of one for each
 * component. False with ELOOP when that cannot be said, with another errno when there is nothing to resolve.
 */
static bool resolve_plain(const char *path, struct dml_lookup *lookup, struct stat *status)
{
    errno = ELOOP;
    if (dml_path_check(path) != DML_PATH_FINE || strstr(path, "//"))
        return false;
    const char *name = strrchr(path, '/') + 1;
    if (!*name && path[1]) /* a slash at the end */
        return false;
    if (!open_parent(lookup, path, name) ||
        fstatat(lookup->directory, *name ? name : ".", status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
        return false;
    errno = ELOOP;
    return !S_ISLNK(status->st_mode);
}

bool dml_host_resolve(const char *path, struct dml_lookup *lookup, struct dml_arena *arena,
                      struct dml_object *object)
{
    char resolved[PATH_MAX];
    struct stat status;
    struct dml_lookup once = {0};
    bool plain = resolve_plain(path, lookup ? lookup : &once, &status);
    int reason = errno;
    dml_lookup_end(&once);
    if (plain)
        return fill_object(object, arena, path, &status);
    errno = reason;
    if (reason != ELOOP && reason != ENOSYS)
        return false;
    if (!realpath(path, resolved) || lstat(resolved, &status) != 0)
        return false;
    if (S_ISLNK(status.st_mode)) { /* it has become one meanwhile */
        errno = ELOOP;
        return false;
    }
    return fill_object(object, arena, resolved, &status);
}

/* Resolves as much of `path` as is there, and returns the rest of it: "" or with a slash in front. */
static const char *resolve_there(const char *path, char resolved[PATH_MAX])
{
    size_t length = strlen(path);
    char part[PATH_MAX];
    do {
        snprintf(part, sizeof part, "%.*s", (int)length, path);
        if (realpath(part, resolved))
            return path + length;
        while (length > 0 && path[--length] != '/')
            ;
    } while (length > 0);
    strcpy(resolved, "");
    return path;
}

const char *dml_host_resolve_missing(const char *path, struct dml_arena *arena)
{
    enum { MOST_LINKS = 40 };
    char at[PATH_MAX], resolved[PATH_MAX], link[2 * PATH_MAX], target[PATH_MAX];
    int length = snprintf(at, sizeof at, "%s", path);
    for (int links = 0; links < MOST_LINKS && length >= 0 && (size_t)length < sizeof at; links++) {
        const char *rest = resolve_there(at, resolved);
        const char *base = strcmp(resolved, "/") == 0 ? "" : resolved;
        if (strstr(rest, "/../") || strstr(rest, "/./"))
            break; /* behind a link to nothing: nobody can say where that will lead */
        int first = *rest ? 1 + (int)strcspn(rest + 1, "/") : 0;
        snprintf(link, sizeof link, "%s%.*s", base, first, rest);
        ssize_t got = readlink(link, target, sizeof target - 1);
        if (got < 0)
            return dml_arena_format(arena, "%s%s", *rest ? base : resolved, rest);
        target[got] = '\0';
        snprintf(link, sizeof link, "%s", rest + first); /* `rest` is in `at` */
        length = target[0] == '/' ? snprintf(at, sizeof at, "%s%s", target, link)
                                  : snprintf(at, sizeof at, "%s/%s%s", base, target, link);
    }
    errno = ELOOP;
    return NULL;
}

int dml_host_open_exact(const char *path)
{
    return open_without_links(AT_FDCWD, path, false);
}

bool dml_host_inspect(const char *tree, const char *below, mode_t *mode)
{
    struct stat status;
    int directory = open_without_links(AT_FDCWD, tree, false);
    if (directory < 0)
        return false;
    int found = open_without_links(directory, *below ? below : ".", true);
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

bool dml_host_is_exhausted(int reason)
{
    return reason == ENOMEM || reason == EMFILE || reason == ENFILE;
}

bool dml_host_visit_abstract_sockets(void (*visit)(void *context, const char *name, bool reachable),
                                     void *context)
{
    enum { LISTENS = 0x10000, DATAGRAM = 2 }; /* __SO_ACCEPTCON, SOCK_DGRAM */
    FILE *sockets = fopen("/proc/net/unix", "re");
    char line[512];
    if (!sockets)
        return false;
    while (fgets(line, sizeof line, sockets)) {
        unsigned flags, type;
        int name = 0; /* where the path starts: after seven columns */
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%*s %*s %*s %x %x %*s %*s %n", &flags, &type, &name) == 2 && name > 0 &&
            line[name] == '@')
            visit(context, line + name + 1, flags & LISTENS || type == DATAGRAM);
    }
    bool complete = feof(sockets);
    int saved = errno;
    fclose(sockets);
    errno = saved;
    return complete;
}

struct prefix_search {
    const char *prefix;
    bool found;
};

static void compare_prefix(void *context, const char *name, bool reachable)
{
    (void)reachable; /* it may be the next moment */
    struct prefix_search *search = context;
    search->found |= strncmp(name, search->prefix, strlen(search->prefix)) == 0;
}

bool dml_host_abstract_socket(const char *prefix, bool *exists)
{
    struct prefix_search search = {.prefix = prefix};
    bool complete = dml_host_visit_abstract_sockets(compare_prefix, &search);
    *exists = search.found;
    return complete;
}

int dml_host_landlock_abi(void)
{
    const unsigned version_query = 1; /* LANDLOCK_CREATE_RULESET_VERSION */
    long abi = syscall(__NR_landlock_create_ruleset, NULL, 0, version_query);
    return abi > 0 ? (int)abi : 0;
}

bool dml_host_is_dumpable(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1;
}

static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static bool is_program(const char *path)
{
    return is_file(path) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* The first of the places of bwrap that `fits`. */
static bool find_bwrap(const struct dml_host *host, bool (*fits)(const char *path), char *buffer, size_t size,
                       bool *trusted)
{
    for (size_t i = 0; i < DML_TRUSTED_BWRAP_COUNT; i++) {
        if (fits(dml_trusted_bwrap_paths[i])) {
            *trusted = true;
            return snprintf(buffer, size, "%s", dml_trusted_bwrap_paths[i]) < (int)size;
        }
    }
    *trusted = false;
    const char *path = dml_host_getenv(host, "PATH");
    while (path) {
        size_t length = strcspn(path, ":");
        int written = snprintf(buffer, size, "%.*s%sbwrap", (int)length, path, length ? "/" : "");
        if (written > 0 && (size_t)written < size && fits(buffer))
            return true;
        path = path[length] ? path + length + 1 : NULL;
    }
    return false;
}

bool dml_host_find_bwrap(const struct dml_host *host, char *buffer, size_t size, bool *trusted)
{
    return find_bwrap(host, is_program, buffer, size, trusted);
}

bool dml_host_find_barred_bwrap(const struct dml_host *host, char *buffer, size_t size)
{
    bool trusted;
    return !find_bwrap(host, is_program, buffer, size, &trusted) &&
           find_bwrap(host, is_file, buffer, size, &trusted);
}
