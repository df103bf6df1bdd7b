/* What of /proc has to be covered. */
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_COVERS = 32 };

struct directory_entry { /* as getdents64 gives it */
    uint64_t inode, offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* A directory read in small pieces, without memory of its own: a launch pays for each system call of it, and
 * for what the kernel lists of the processes, which come last in /proc. */
struct listing {
    int fd;
    long length, at; /* of what is in the buffer; a length below 0: it could not be read */
    _Alignas(struct directory_entry) char buffer[320]; /* room for the longest name */
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

/* A look for write permissions. */
struct search {
    dev_t proc; /* which all of it is of */
    int budget; /* how many files and directories more */
};

static bool has_writable(int parent, const char *path, int depth, struct search *search);

/* Directories of /proc in which Linux makes everything read-only (fs/ext4, fs/jbd2, fs/xfs of 5.13
 * to 6.18): looking at all that they hold would cost more than the rest. */
static bool is_read_only_directory(const char *name)
{
    static const char *const names[] = {"ext4", "jbd2", "xfs"};
    return dml_name_index(name, names, sizeof names / sizeof names[0]) >= 0;
}

/* What is mounted over something of the host's /proc is not over that of the one inside, and hides here what
 * may be written to there. */
static bool is_writable(int parent, const struct directory_entry *item, int depth, struct search *search)
{
    struct stat status;
    bool directory = item->type == DT_DIR;
    if ((!directory && item->type != DT_REG) || (directory && is_read_only_directory(item->name)))
        return false;
    if (fstatat(parent, item->name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno != ENOENT;
    if (status.st_dev != search->proc)
        return true;
    return directory ? depth > 0 && has_writable(parent, item->name, depth - 1, search)
                     : (status.st_mode & 0222) != 0;
}

/* Whether anything in the directory `path` has a write permission, looking `depth` levels down. What cannot
 * be looked at may have one. */
static bool has_writable(int parent, const char *path, int depth, struct search *search)
{
    struct listing listing = {.fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (listing.fd < 0)
        return errno != ENOENT;
    bool found = false;
    const struct directory_entry *item;
    while (!found && (item = next_entry(&listing)))
        found =
            item->name[0] != '.' && (is_writable(listing.fd, item, depth, search) || --search->budget <= 0);
    found |= listing.length < 0;
    close(listing.fd);
    return found;
}

/* Entries of /proc that Linux makes read-only for everybody (fs/proc, kernel, mm, drivers of 5.13 to 6.18),
 * or for all who are not privileged on the host (mtrr: arch/x86/kernel/cpu/mtrr/if.c asks for CAP_SYS_ADMIN).
 * Looking at each costs a launch more than knowing them. In the order of strcmp. */
static const char *const read_only_entries[] = {
    "buddyinfo",  "cgroups",      "cmdline",    "config.gz",   "consoles",    "cpuinfo",    "crypto",
    "devices",    "diskstats",    "dma",        "execdomains", "filesystems", "interrupts", "iomem",
    "ioports",    "kallsyms",     "kcore",      "key-users",   "keys",        "kmsg",       "kpagecgroup",
    "kpagecount", "kpageflags",   "loadavg",    "locks",       "meminfo",     "misc",       "modules",
    "mtrr",       "pagetypeinfo", "partitions", "schedstat",   "slabinfo",    "softirqs",   "stat",
    "swaps",      "sysvipc",      "timer_list", "tty",         "uptime",      "version",    "vmallocinfo",
    "vmstat",     "zoneinfo",
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

/* A number alone: a driver may well have one in front. */
static bool is_process(const char *name)
{
    return name[strspn(name, "0123456789")] == '\0';
}

/* False with errno: memory is out, or they are `most` already. */
static bool add_cover(const char *name, const char **covers, size_t *count, size_t most,
                      struct dml_arena *arena)
{
    if (*count == most) { /* what is not covered can be written to */
        errno = EOVERFLOW;
        return false;
    }
    covers[*count] = dml_arena_format(arena, "/proc/%s", name);
    return covers[(*count)++] != NULL;
}

static bool is_certain(const char *name, const char *const *covers, size_t count)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s", name);
    return dml_name_index(path, covers, (int)count) >= 0;
}

/* Looks at what is in /proc besides the processes, and adds it to `*count` covers when it shows a write
 * permission. The processes come last and cost the kernel most: the listing ends at the first of them. False
 * with errno when it cannot be had. */
static bool add_writable(const char **covers, size_t *count, struct dml_arena *arena)
{
    struct listing listing = {.fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct stat own;
    if (listing.fd < 0)
        return false;
    size_t known = *count, most = known + MOST_COVERS;
    bool stored = fstat(listing.fd, &own) == 0;
    const struct directory_entry *item;
    while (stored && (item = next_entry(&listing)) && !is_process(item->name)) {
        struct search search = {.proc = own.st_dev, .budget = 400};
        if (item->name[0] != '.' && !is_read_only(item->name) && !is_certain(item->name, covers, known) &&
            is_writable(listing.fd, item, 4, &search))
            stored = add_cover(item->name, covers, count, most, arena);
    }
    int saved = errno;
    close(listing.fd);
    errno = saved;
    return stored && listing.length >= 0;
}

/* An ordinary user owns the files of /proc/sys that belong to its own network namespace, and everybody may
 * write to those of /proc/pressure. Started by real root, whoever is "nobody" inside owns root's files:
 * there, more is certain, and whatever else shows a write permission is covered too. */
static const char *const certain[] = {"/proc/sys", "/proc/pressure", "/proc/irq", "/proc/bus",
                                      "/proc/sysrq-trigger"};
enum { FOR_ALL = 2, CERTAIN = sizeof certain / sizeof certain[0], ROOM = CERTAIN + MOST_COVERS + 1 };

/* A /proc mounted with subset=pid says nothing of what the one inside, which is whole, may have. Where there
 * is none at all, nothing is launched. */
static bool look(bool root, const char *covers[ROOM], struct dml_arena *arena)
{
    size_t count = 0;
    bool whole = access("/proc/uptime", F_OK) == 0;
    if (root && !whole && access("/proc/self", F_OK) == 0) {
        errno = ENODATA;
        return false;
    }
    for (size_t i = 0; i < (root ? CERTAIN : FOR_ALL); i++) {
        if (!whole || access(certain[i], F_OK) == 0)
            covers[count++] = certain[i];
    }
    return !root || add_writable(covers, &count, arena);
}

/* What was found last, for a program that launches often: what a driver adds just after a launch is not
 * covered either. One thread at a time looks at it; the others do without, and so does a process that was
 * forked then. */
static struct {
    atomic_flag taken;
    double when; /* seconds of dml_seconds_now */
    dev_t proc;  /* whose entries these are; 0: nobody's */
    bool root;   /* for whom */
    char paths[ROOM][64];
} found = {.taken = ATOMIC_FLAG_INIT};

static void remember(const char *const covers[ROOM], double now, dev_t proc, bool root)
{
    found.proc = 0;
    size_t count = 0;
    for (; covers[count]; count++) {
        if (strlen(covers[count]) >= sizeof found.paths[count])
            return;
        strcpy(found.paths[count], covers[count]);
    }
    found.paths[count][0] = '\0';
    found.when = now;
    found.proc = proc;
    found.root = root;
}

static bool recall(const char *covers[ROOM], struct dml_arena *arena)
{
    for (size_t i = 0; found.paths[i][0]; i++) {
        covers[i] = dml_arena_string(arena, found.paths[i]);
        if (!covers[i])
            return false;
    }
    return true;
}

/* As it was within the last second. */
static bool look_or_recall(bool root, const char *covers[ROOM], struct dml_arena *arena)
{
    struct stat proc;
    if (stat("/proc", &proc) != 0 || atomic_flag_test_and_set(&found.taken))
        return look(root, covers, arena);
    double now = dml_seconds_now();
    bool fresh = found.proc == proc.st_dev && found.root == root && now - found.when < 1;
    bool known = fresh ? recall(covers, arena) : look(root, covers, arena);
    if (known && !fresh)
        remember(covers, now, proc.st_dev, root);
    int saved = errno;
    atomic_flag_clear(&found.taken);
    errno = saved;
    return known;
}

const char **dml_host_proc_covers(const struct dml_host *host, struct dml_arena *arena)
{
    const char **covers = dml_arena_array(arena, ROOM, sizeof *covers);
    return covers && look_or_recall(host->uid == 0, covers, arena) ? covers : NULL;
}
