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

/* Calls `visit` for each line of a file until it returns true. False with errno when it cannot be read. */
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

/* A search for our directory in one hierarchy; `controller` "" is version 2. */
struct search {
    const char *controller;
    struct dml_arena *arena;
    char *path;            /* ours, as /proc/self/cgroup has it: "4:memory:/path" */
    const char *directory; /* the same by where the hierarchy is mounted */
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
    bool ours = *search->controller ? has_word(names + 1, search->controller, ",") : names[1] == '\0';
    if (ours && !(search->path = dml_arena_string(search->arena, path)))
        errno = ENOMEM;
    return ours;
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
    bool fits = *search->controller
                    ? strcmp(type, "cgroup") == 0 && has_word(options, search->controller, ",")
                    : strcmp(type, "cgroup2") == 0;
    if (fits)
        search->directory = below_mount(where, root, search->path, search->arena);
    return search->directory != NULL;
}

/* Our directory in the hierarchy of `controller`. NULL with errno; ENOENT when there is none. */
static const char *own_directory(const char *controller, struct dml_arena *arena)
{
    struct search search = {.controller = controller, .arena = arena};
    if (!visit_lines("/proc/self/cgroup", take_path, &search))
        return NULL;
    if (search.path && !visit_lines("/proc/self/mountinfo", take_mount, &search) && !search.directory)
        return NULL;
    if (!search.directory)
        errno = ENOENT;
    return search.directory;
}

const char *dml_host_unified_cgroup(struct dml_arena *arena)
{
    return own_directory("", arena);
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
static bool add_unified(struct dml_cgroup_places *places)
{
    static const char *const names[] = {[DML_CONTROLLER_MEMORY] = "memory", [DML_CONTROLLER_PIDS] = "pids"};
    char text[512];
    const char *own = own_directory("", &places->arena);
    if (!own)
        return !dml_host_is_exhausted(errno);
    const char *parent = delegated_parent(own, &places->arena);
    const char *place = parent ? parent : own;
    if (!may_make(place))
        return true;
    unsigned controllers = 1u << DML_CONTROLLER_CPU; /* each cgroup counts its time */
    bool read = dml_host_cgroup_read(place, "cgroup.controllers", text, sizeof text);
    for (unsigned i = DML_CONTROLLER_MEMORY; read && i <= DML_CONTROLLER_PIDS; i++)
        controllers |= dml_host_has_word(text, names[i]) ? 1u << i : 0;
    add_place(places, place, controllers, true);
    return read || !dml_host_is_exhausted(errno);
}

bool dml_host_cgroup_places(struct dml_cgroup_places *places)
{
    static const char *const names[] = {
        [DML_CONTROLLER_MEMORY] = "memory", [DML_CONTROLLER_PIDS] = "pids", [DML_CONTROLLER_CPU] = "cpuacct"};
    *places = (struct dml_cgroup_places){0};
    for (unsigned i = 0; i < DML_CONTROLLER_COUNT; i++) {
        const char *directory = own_directory(names[i], &places->arena);
        if (!directory && dml_host_is_exhausted(errno))
            return false;
        if (directory && may_make(directory))
            add_place(places, directory, 1u << i, false);
    }
    return add_unified(places);
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
