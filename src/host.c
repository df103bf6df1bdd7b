#include "host.h"

#include "child.h"
#include "path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
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

/* A canonical path without links, which most are, resolves to itself: one look instead of one for each
 * component. False with ELOOP when that cannot be said, with another errno when there is nothing to resolve.
 */
static bool resolve_plain(const char *path, struct stat *status)
{
    errno = ELOOP;
    if (dml_path_check(path) != DML_PATH_FINE || strstr(path, "//") ||
        (path[1] && path[strlen(path) - 1] == '/'))
        return false;
    int fd = open_without_links(AT_FDCWD, path, false);
    if (fd < 0)
        return false;
    bool plain = fstat(fd, status) == 0 && !S_ISLNK(status->st_mode);
    close(fd);
    errno = ELOOP;
    return plain;
}

bool dml_host_resolve(const char *path, struct dml_arena *arena, struct dml_object *object)
{
    char resolved[PATH_MAX];
    struct stat status;
    if (resolve_plain(path, &status))
        return fill_object(object, arena, path, &status);
    if (errno != ELOOP && errno != ENOSYS)
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

struct directory_entry { /* as getdents64 gives it */
    uint64_t inode, offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* A directory read in small pieces, without memory of its own: a launch pays for each system call of it. */
struct listing {
    int fd;
    long length, at; /* of what is in the buffer; a length below 0: it could not be read */
    _Alignas(struct directory_entry) char buffer[1024];
};

static const struct directory_entry *next_entry(struct listing *listing)
{
    if (listing->at >= listing->length) {
        listing->length = syscall(SYS_getdents64, listing->fd, listing->buffer, sizeof listing->buffer);
        listing->at = 0;
    }
    if (listing->length <= 0)
        return NULL;
    const struct directory_entry *item = (const struct directory_entry *)(listing->buffer + listing->at);
    listing->at += item->length;
    return item;
}

static bool has_writable(int parent, const char *path, int depth, int *budget);

static bool is_writable(int parent, const struct directory_entry *item, int depth, int *budget)
{
    struct stat status;
    if (item->type == DT_DIR)
        return depth > 0 && has_writable(parent, item->name, depth - 1, budget);
    return item->type == DT_REG && fstatat(parent, item->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (status.st_mode & 0222);
}

/* Whether anything in the directory `path` has a write permission, looking `depth` levels down. What cannot
 * be looked at may have one. */
static bool has_writable(int parent, const char *path, int depth, int *budget)
{
    struct listing listing = {.fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (listing.fd < 0)
        return errno != ENOENT;
    bool found = false;
    const struct directory_entry *item;
    while (!found && (item = next_entry(&listing)))
        found = item->name[0] != '.' && (is_writable(listing.fd, item, depth, budget) || --*budget <= 0);
    found |= listing.length < 0;
    close(listing.fd);
    return found;
}

/* Entries of /proc that Linux makes read-only for everybody (fs/proc, kernel, mm, drivers of 5.13 to 6.18).
 * Looking at each costs a launch more than knowing them. In the order of strcmp. */
static const char *const read_only_entries[] = {
    "buddyinfo",    "cgroups",    "cmdline",   "config.gz",   "consoles",    "cpuinfo",     "crypto",
    "devices",      "diskstats",  "dma",       "execdomains", "filesystems", "interrupts",  "iomem",
    "ioports",      "kallsyms",   "kcore",     "key-users",   "keys",        "kmsg",        "kpagecgroup",
    "kpagecount",   "kpageflags", "loadavg",   "locks",       "meminfo",     "misc",        "modules",
    "pagetypeinfo", "partitions", "schedstat", "slabinfo",    "softirqs",    "stat",        "swaps",
    "sysvipc",      "timer_list", "tty",       "uptime",      "version",     "vmallocinfo", "vmstat",
    "zoneinfo",
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool is_read_only(const char *name)
{
    return bsearch(name, read_only_entries, sizeof read_only_entries / sizeof read_only_entries[0],
                   sizeof read_only_entries[0], compare_names) != NULL;
}

/* Adds "/proc/NAME" when it shows a write permission. False when memory is out. */
static bool add_if_writable(int proc, const struct directory_entry *item, const char **covers, size_t *count,
                            struct dml_arena *arena)
{
    int budget = 400;
    if (is_read_only(item->name) || !is_writable(proc, item, 4, &budget))
        return true;
    covers[*count] = dml_arena_format(arena, "/proc/%s", item->name);
    return covers[(*count)++] != NULL;
}

/* Looks at what is in /proc besides the processes. Those come last and cost the kernel most: the listing ends
 * at the first of them. False with errno when it cannot be had. */
static bool add_writable(const char **covers, size_t known, size_t most, struct dml_arena *arena)
{
    struct listing listing = {.fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (listing.fd < 0)
        return false;
    size_t count = known;
    bool stored = true;
    const struct directory_entry *item;
    while (stored && count < most && (item = next_entry(&listing)) &&
           !(item->name[0] >= '0' && item->name[0] <= '9')) {
        char path[300];
        snprintf(path, sizeof path, "/proc/%s", item->name);
        if (item->name[0] != '.' && dml_name_index(path, covers, (int)known) < 0)
            stored = add_if_writable(listing.fd, item, covers, &count, arena);
    }
    int saved = errno;
    close(listing.fd);
    errno = saved;
    return stored && listing.length >= 0;
}

/* An ordinary user owns the files of /proc/sys that belong to its own network namespace, and everybody may
 * write to those of /proc/pressure. Started by real root, whoever is "nobody" inside owns root's files:
 * there, more is certain, and whatever else shows a write permission is covered too. */
const char **dml_host_proc_covers(const struct dml_host *host, struct dml_arena *arena)
{
    static const char *const certain[] = {"/proc/sys", "/proc/pressure", "/proc/irq", "/proc/bus",
                                          "/proc/sysrq-trigger"};
    enum { FOR_ALL = 2, CERTAIN = sizeof certain / sizeof certain[0], MOST = 32 };
    const char **covers = dml_arena_array(arena, MOST + 1, sizeof *covers);
    size_t count = 0, wanted = host->uid == 0 ? CERTAIN : FOR_ALL;
    if (!covers)
        return NULL;
    for (size_t i = 0; i < wanted; i++) {
        if (access(certain[i], F_OK) == 0)
            covers[count++] = certain[i];
    }
    return host->uid != 0 || add_writable(covers, count, MOST, arena) ? covers : NULL;
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

/* Octal escapes, as /proc/self/mountinfo has them for spaces and the like, in place. */
static void unescape_octal(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] && in[3]) {
            *out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
            in += 3;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

bool dml_host_visit_mounts(void (*visit)(void *context, const struct dml_mount *mount), void *context)
{
    static const char *const types[] = {"proc",     "sysfs",  "cgroup",     "cgroup2", "debugfs", "tracefs",
                                        "configfs", "pstore", "securityfs", "bpf",     "efivarfs"};
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t size = 0;
    if (!mounts)
        return false;
    while (getline(&line, &size, mounts) > 0) {
        char root[PATH_MAX], where[PATH_MAX], type[64];
        struct dml_mount mount = {.where = where, .root = root, .type = type};
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(rest, " - %63s", type) != 1 ||
            sscanf(line, "%*s %*s %u:%u %4095s %4095s", &mount.major, &mount.minor, root, where) != 4)
            continue;
        unescape_octal(root);
        unescape_octal(where);
        mount.of_kernel = dml_name_index(type, types, sizeof types / sizeof types[0]) >= 0;
        visit(context, &mount);
    }
    bool complete = feof(mounts);
    int saved = errno;
    free(line);
    fclose(mounts);
    errno = saved;
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
