/* What is mounted on the host. */
#include "host.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* File systems through which the kernel is read or set, with their numbers (linux/magic.h). */
static const struct {
    const char *type;
    uint64_t magic;
} of_kernel[] = {
    {"proc", 0x9fa0},           {"sysfs", 0x62656572},   {"cgroup", 0x27e0eb},     {"cgroup2", 0x63677270},
    {"debugfs", 0x64626720},    {"tracefs", 0x74726163}, {"configfs", 0x62656570}, {"pstore", 0x6165676c},
    {"securityfs", 0x73636673}, {"bpf", 0xcafe4a11},     {"efivarfs", 0xde5e81e4},
};
enum { OF_KERNEL = sizeof of_kernel / sizeof of_kernel[0] };

static bool is_of_kernel(const char *type)
{
    for (size_t i = 0; i < OF_KERNEL; i++) {
        if (strcmp(of_kernel[i].type, type) == 0)
            return true;
    }
    return false;
}

/* --- the table of mounts, as text --- */

/* Octal escapes, as /proc/PID/mountinfo has them for spaces and the like, in place. */
static void unescape_octal(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (in[0] == '\\' && strspn(in + 1, "01234567") >= 3 && in[1] <= '3') {
            *out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
            in += 3;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

/* The next of a line's fields, which a space separates; "" when there is none. */
static char *next_field(char **line)
{
    char *field = *line;
    size_t length = strcspn(field, " \n");
    *line = field + length + (field[length] != '\0');
    field[length] = '\0';
    return field;
}

/* A line of /proc/PID/mountinfo: number, parent, MAJOR:MINOR, root, mount point, options, optional fields,
 * "-", type and more (filesystems/proc.rst of the kernel). False when it is none. */
static bool read_mount(char *line, struct dml_mount *mount)
{
    char *rest = strstr(line, " - ");
    if (!rest)
        return false;
    rest += 3;
    next_field(&line);
    next_field(&line);
    char *minor = line;
    mount->major = (unsigned)strtoul(next_field(&line), &minor, 10);
    if (*minor != ':')
        return false;
    mount->minor = (unsigned)strtoul(minor + 1, NULL, 10);
    char *root = next_field(&line), *where = next_field(&line);
    unescape_octal(root);
    unescape_octal(where);
    mount->root = root;
    mount->where = where;
    mount->type = next_field(&rest);
    mount->of_kernel = is_of_kernel(mount->type);
    return *root && *where && *mount->type;
}

bool dml_host_visit_mounts(void (*visit)(void *context, const struct dml_mount *mount), void *context)
{
    FILE *mounts = fopen("/proc/thread-self/mountinfo", "re"); /* other threads may be in other namespaces */
    char buffer[4096], *line = NULL;
    size_t size = 0;
    if (!mounts)
        return false;
    setvbuf(mounts, buffer, _IOFBF, sizeof buffer); /* as much as the kernel gives at once */
    while (getline(&line, &size, mounts) > 0) {
        struct dml_mount mount;
        if (read_mount(line, &mount))
            visit(context, &mount);
    }
    bool complete = feof(mounts);
    int saved = errno;
    free(line);
    fclose(mounts);
    errno = saved;
    return complete;
}

/* --- the kernel's mounts alone, by number: statmount(2) and listmount(2), Linux 6.8 --- */

#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif

enum { SB_BASIC = 1, MOUNT_POINT = 0x10 }; /* STATMOUNT_ of linux/mount.h */

struct mount_request { /* struct mnt_id_req, the first version of it */
    uint32_t size, unused;
    uint64_t id, parameter;
};

struct mount_status { /* struct statmount, whose strings begin at byte 512 */
    uint32_t size, options;
    uint64_t mask;
    uint32_t major, minor;
    uint64_t magic;
    uint64_t skipped[9];
    uint32_t root, point; /* offsets into strings */
    uint64_t unused[50];
    char strings[4096 + 64];
};
_Static_assert(offsetof(struct mount_status, strings) == 512, "as the kernel has it");

/* Numbers of mounts, each larger than the one before. A number is never given twice, and a mount's file
 * system never changes. */
struct numbers {
    size_t count;
    uint64_t items[256];
};

static void copy_numbers(struct numbers *to, const struct numbers *from)
{
    to->count = from->count;
    memcpy(to->items, from->items, from->count * sizeof *from->items);
}

static void add_number(struct numbers *numbers, uint64_t id)
{
    if (numbers->count < sizeof numbers->items / sizeof numbers->items[0])
        numbers->items[numbers->count++] = id;
}

/* What was found to be none of the kernel's, for a program that launches often. One thread at a time uses it;
 * the others do without, and so does a process that was forked then. */
static struct {
    atomic_flag taken;
    struct numbers numbers;
} others = {.taken = ATOMIC_FLAG_INIT};

/* A pass over all mounts. */
struct pass {
    dml_kernel_mount_visitor *visit;
    void *context;
    const struct numbers *known; /* or NULL */
    size_t at;                   /* in `known` */
    struct numbers found, hidden;
};

/* Not all of it is written to, which is much. */
static void begin_pass(struct pass *pass, dml_kernel_mount_visitor *visit, void *context)
{
    pass->visit = visit;
    pass->context = context;
    pass->known = NULL;
    pass->at = pass->found.count = pass->hidden.count = 0;
}

enum { AT_ONCE = 64 };

/* The mounts in mount `of`, on all levels, with numbers larger than `after`: how many, AT_ONCE when there may
 * be more, below 0 with errno. */
static long list_mounts(uint64_t of, uint64_t after, uint64_t ids[AT_ONCE])
{
    struct mount_request request = {.size = sizeof request, .id = of, .parameter = after};
    return syscall(SYS_listmount, &request, ids, AT_ONCE, 0);
}

static bool is_known(struct pass *pass, uint64_t id)
{
    while (pass->known && pass->at < pass->known->count && pass->known->items[pass->at] < id)
        pass->at++;
    return pass->known && pass->at < pass->known->count && pass->known->items[pass->at] == id;
}

static bool is_hidden(const struct pass *pass, uint64_t id)
{
    for (size_t i = 0; i < pass->hidden.count; i++) {
        if (pass->hidden.items[i] == id)
            return true;
    }
    return false;
}

/* What is mounted in this one need not be looked at. */
static void hide_below(struct pass *pass, uint64_t id)
{
    uint64_t ids[AT_ONCE], last = 0;
    long count;
    do {
        count = list_mounts(id, last, ids);
        for (long i = 0; i < count; i++)
            add_number(&pass->hidden, last = ids[i]);
    } while (count == AT_ONCE);
}

static const char *kernel_type(uint64_t magic)
{
    for (size_t i = 0; i < OF_KERNEL; i++) {
        if (of_kernel[i].magic == magic)
            return of_kernel[i].type;
    }
    return NULL;
}

/* What `wanted` says of a mount. False with errno. */
static bool ask(uint64_t id, uint64_t wanted, struct mount_status *status)
{
    struct mount_request request = {.size = sizeof request, .id = id, .parameter = wanted};
    return syscall(SYS_statmount, &request, status, sizeof *status, 0) == 0;
}

/* What it is and where. Only one of the kernel's has to say where it is: any user may have put another one
 * deeper than there is room for. False with errno. */
static bool ask_all(uint64_t id, struct mount_status *status)
{
    if (ask(id, SB_BASIC | MOUNT_POINT, status))
        return true;
    if (errno != EOVERFLOW || !ask(id, SB_BASIC, status))
        return false;
    errno = EOVERFLOW;
    return kernel_type(status->magic) == NULL;
}

/* False with errno. */
static bool look_at(struct pass *pass, uint64_t id)
{
    struct mount_status status;
    bool known = is_known(pass, id);
    if (!known && is_hidden(pass, id))
        return true;
    if (!known && !ask_all(id, &status))
        return errno == ENOENT; /* it is gone */
    const char *type = known ? NULL : kernel_type(status.magic);
    bool seen = type && status.mask & MOUNT_POINT; /* else it was moved out of our sight */
    if (!type)
        add_number(&pass->found, id);
    else if (seen && !pass->visit(pass->context, status.strings + status.point, type))
        hide_below(pass, id);
    return true;
}

/* `listed`: whether this kernel lists them. False with errno. */
static bool look_at_all(struct pass *pass, bool *listed)
{
    const uint64_t root = UINT64_MAX; /* LSMT_ROOT: of all that we see */
    uint64_t ids[AT_ONCE], last = 0;
    long count;
    do {
        count = list_mounts(root, last, ids);
        *listed |= count >= 0;
        for (long i = 0; i < count; i++) {
            if (!look_at(pass, last = ids[i]))
                return false;
        }
    } while (count == AT_ONCE);
    return count >= 0;
}

/* From the table, for kernels that do not list mounts. */
static void pass_on(void *context, const struct dml_mount *mount)
{
    struct pass *pass = context;
    if (mount->of_kernel)
        pass->visit(pass->context, mount->where, mount->type);
}

bool dml_host_visit_kernel_mounts(dml_kernel_mount_visitor *visit, void *context)
{
    struct pass pass;
    begin_pass(&pass, visit, context);
    bool listed = false, ours = !atomic_flag_test_and_set(&others.taken);
    pass.known = ours ? &others.numbers : NULL;
    bool complete = look_at_all(&pass, &listed);
    int saved = errno;
    if (ours && complete)
        copy_numbers(&others.numbers, &pass.found);
    if (ours)
        atomic_flag_clear(&others.taken);
    errno = saved;
    return listed ? complete : dml_host_visit_mounts(pass_on, &pass);
}
