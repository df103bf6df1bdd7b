#include "host_cgroup.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

bool dml_host_cgroup_read(const char *directory, const char *name, char *buffer, size_t size)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, buffer, size - 1) : -1;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    if (length < 0)
        return false;
    buffer[length] = '\0';
    return true;
}

/* Whether `word` is among the words of `text`, which any of `separators` divide. */
static bool has_word(const char *text, const char *word, const char *separators)
{
    size_t length = strlen(word);
    while (*text) {
        size_t here = strcspn(text, separators);
        if (here == length && memcmp(text, word, length) == 0)
            return true;
        text += here + (text[here] != '\0');
    }
    return false;
}

bool dml_host_has_word(const char *text, const char *word)
{
    return has_word(text, word, " \n");
}

/* Calls `visit` for each line of a file until it returns true. False with errno when it cannot be read, or
 * when `visit` set that. */
static bool visit_lines(const char *path, bool (*visit)(void *context, char *line), void *context)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    if (!file)
        return false;
    errno = 0;
    while (getline(&line, &size, file) > 0 && !visit(context, line))
        errno = 0;
    int saved = errno;
    free(line);
    fclose(file);
    errno = saved;
    return saved == 0;
}

/* The hierarchies that matter: that of each controller of version 1, and the one of version 2. */
enum { UNIFIED = DML_CONTROLLER_COUNT, HIERARCHIES };

static const char *const controllers_v1[] = {
    [DML_CONTROLLER_MEMORY] = "memory", [DML_CONTROLLER_PIDS] = "pids", [DML_CONTROLLER_CPU] = "cpuacct"};

/* Our own cgroup in each. */
struct search {
    struct dml_arena *arena;
    const char *paths[HIERARCHIES];       /* as /proc/self/cgroup has it: "4:memory:/path" */
    const char *directories[HIERARCHIES]; /* the same by where the hierarchy is mounted; NULL: nowhere */
};

static bool take_path(void *context, char *line)
{
    struct search *search = context;
    char *names = strchr(line, ':');
    char *path = names ? strchr(names + 1, ':') : NULL;
    if (!path)
        return false;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    for (unsigned i = 0; i < HIERARCHIES; i++) {
        bool ours = i == UNIFIED ? names[1] == '\0' : has_word(names + 1, controllers_v1[i], ",");
        if (ours && !(search->paths[i] = dml_arena_string(search->arena, path))) {
            errno = ENOMEM;
            return true;
        }
    }
    return false;
}

/* The directory of the cgroup `path` below a mount point that shows the hierarchy from `root` on. NULL when
 * it is not below it. */
static const char *below_mount(const char *mount, const char *root, const char *path, struct dml_arena *arena)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    const char *rest = strcmp(path + length, "/") == 0 ? "" : path + length;
    return dml_arena_format(arena, "%s%s", mount, rest);
}

static bool take_mount(void *context, char *line)
{
    struct search *search = context;
    char root[PATH_MAX], where[PATH_MAX], type[16], options[512];
    const char *rest = strstr(line, " - cgroup");
    if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", root, where) != 2 ||
        sscanf(rest, " - %15s %*s %511s", type, options) != 2)
        return false;
    for (unsigned i = 0; i < HIERARCHIES; i++) {
        bool fits = i == UNIFIED ? strcmp(type, "cgroup2") == 0
                                 : strcmp(type, "cgroup") == 0 && has_word(options, controllers_v1[i], ",");
        if (fits && search->paths[i] && !search->directories[i])
            search->directories[i] = below_mount(where, root, search->paths[i], search->arena);
    }
    return false;
}

/* Finds our own cgroups. False with errno when memory or descriptors ran out over it. */
static bool find_own(struct search *search)
{
    return (visit_lines("/proc/self/cgroup", take_path, search) &&
            visit_lines("/proc/self/mountinfo", take_mount, search)) ||
           !dml_host_is_exhausted(errno);
}

const char *dml_host_unified_cgroup(struct dml_arena *arena)
{
    struct search search = {.arena = arena};
    return find_own(&search) ? search.directories[UNIFIED] : NULL;
}

static bool may_make(const char *directory)
{
    return access(directory, W_OK | X_OK) == 0;
}

static void add_place(struct dml_cgroup_places *places, const char *directory, unsigned controllers,
                      bool unified)
{
    struct dml_cgroup_place *place = &places->items[places->count++];
    *place =
        (struct dml_cgroup_place){.directory = directory, .controllers = controllers, .unified = unified};
}

/* systemd marks what it has delegated: systemd.resource-control(5), Delegate=. */
static bool is_delegated(const char *directory)
{
    char value[2];
    return (getxattr(directory, "user.delegate", value, sizeof value) == 1 && value[0] == '1') ||
           (getxattr(directory, "trusted.delegate", value, sizeof value) == 1 && value[0] == '1');
}

/* A runner that lives in a leaf of a delegated subtree, as version 2 wants it, has its sandboxes beside it.
 */
static const char *delegated_parent(const char *own, struct dml_arena *arena)
{
    const char *slash = strrchr(own, '/');
    char *parent = slash && slash > own ? dml_arena_copy(arena, own, (size_t)(slash - own)) : NULL;
    bool ours = slash && strncmp(slash + 1, "demilune-", 9) == 0;
    return parent && may_make(parent) && (ours || is_delegated(parent)) ? parent : NULL;
}

/* False with errno when nothing is known of it. */
static bool add_unified(struct dml_cgroup_places *places, const char *own)
{
    char text[512];
    const char *parent = delegated_parent(own, &places->arena);
    const char *place = parent ? parent : own;
    if (!may_make(place))
        return true;
    unsigned controllers = 1u << DML_CONTROLLER_CPU; /* each cgroup counts its time */
    bool read = dml_host_cgroup_read(place, "cgroup.controllers", text, sizeof text);
    for (unsigned i = DML_CONTROLLER_MEMORY; read && i <= DML_CONTROLLER_PIDS; i++)
        controllers |= dml_host_has_word(text, controllers_v1[i]) ? 1u << i : 0; /* the names are the same */
    add_place(places, place, controllers, true);
    return read || !dml_host_is_exhausted(errno);
}

bool dml_host_cgroup_places(struct dml_cgroup_places *places)
{
    *places = (struct dml_cgroup_places){0};
    struct search search = {.arena = &places->arena};
    if (!find_own(&search))
        return false;
    for (unsigned i = 0; i < DML_CONTROLLER_COUNT; i++) {
        if (search.directories[i] && may_make(search.directories[i]))
            add_place(places, search.directories[i], 1u << i, false);
    }
    return !search.directories[UNIFIED] || add_unified(places, search.directories[UNIFIED]);
}

void dml_host_cgroup_places_clear(struct dml_cgroup_places *places)
{
    dml_arena_clear(&places->arena);
    *places = (struct dml_cgroup_places){0};
}

bool dml_host_can_limit(enum dml_controller controller)
{
    struct dml_cgroup_places places;
    bool can = !dml_host_cgroup_places(&places);
    for (size_t i = 0; i < places.count; i++)
        can = can || places.items[i].controllers & 1u << controller;
    dml_host_cgroup_places_clear(&places);
    return can;
}
