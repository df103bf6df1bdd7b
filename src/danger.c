#include "danger.h"
#include "path.h"

#include <errno.h>
#include <fnmatch.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A place on the host, with its links resolved once for all binds. */
struct place {
    enum dml_danger danger;
    const char *path;
    bool exists;
};

enum { MOST_SOCKETS = 24, MOST_HOMES = 4, MOST_DIRECTORIES = 512 };

struct context {
    const struct dml_policy *policy;
    struct dml_problems *problems, *warnings;
    struct dml_arena arena; /* resolved paths of the host, for as long as the check takes */
    struct place sockets[MOST_SOCKETS], homes[MOST_HOMES], search_path[MOST_DIRECTORIES], *own_files;
    size_t socket_count, home_count, search_path_count;
    bool unknown; /* something of the host could not be looked up */
};

static const char *const explanations[DML_DANGER_COUNT] = {
    [DML_DANGER_ENGINE_SOCKET] = "gives control of a container or machine engine, and with it of the host",
    [DML_DANGER_SSH_AGENT] = "lets the command use the keys of your ssh agent",
    [DML_DANGER_GPG_AGENT] = "lets the command use the keys of your gpg agent",
    [DML_DANGER_X11] = "lets the command see and type into every window of the X display",
    [DML_DANGER_WAYLAND] = "lets the command talk to your Wayland display",
    [DML_DANGER_DBUS] = "lets the command talk to a D-Bus, and through it start programs outside",
    [DML_DANGER_USER_RUNTIME] = "holds the sockets of your session",
    [DML_DANGER_HOME_RW] =
        "is or holds a whole home directory, writable: keys, shell start-up files, everything",
    [DML_DANGER_HOME] = "is or holds a whole home directory: keys, tokens, histories",
    [DML_DANGER_ROOT_RW] = "is the whole host, writable",
    [DML_DANGER_ROOT] = "is the whole host",
    [DML_DANGER_SYS] = "shows the devices of the host",
    [DML_DANGER_PATH_RW] = "is or holds what the host executes",
    [DML_DANGER_LOADER_ENV] = "changes what every program inside loads or runs first",
    [DML_DANGER_TTY_UNFILTERED] = "lets the command type into your terminal (TIOCSTI)",
};

static void report(struct context *c, enum dml_danger danger, const char *code, const char *field,
                   const char *value, const char *because)
{
    const char *name = dml_danger_names[danger], *colon = because ? ": " : "";
    size_t length = value ? strlen(value) : 0;
    because = because ? because : "";
    if (c->policy->acknowledged[danger])
        return;
    if (c->policy->wire)
        dml_problem_add(c->warnings, code, field, value, length, "%s%s%s (%s)", explanations[danger], colon,
                        because, name);
    else
        dml_problem_add(c->problems, code, field, value, length,
                        "%s%s%s; leave it out, or accept it: acknowledge = { \"%s\" }", explanations[danger],
                        colon, because, name);
}

static void report_bind(struct context *c, enum dml_danger danger, const struct dml_entry *bind,
                        const char *because)
{
    char field[256];
    snprintf(field, sizeof field, "%s", bind->field);
    report(c, danger, "bind.dangerous", field, bind->source.path, because);
}

static void report_never(struct context *c, const struct dml_entry *bind, const char *why)
{
    dml_problem_add(c->problems, "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
                    "%s", why);
}

/* What cannot be looked up for want of something may be the danger that we look for. Said once. */
static void report_unknown(struct context *c, const char *path, int reason)
{
    if (c->unknown)
        return;
    c->unknown = true;
    dml_problem_add(c->problems, "host.unknown", "", path, strlen(path),
                    "cannot be looked up: %s; so it is not known what the policy shows", strerror(reason));
}

/* A place, with its links resolved, or as it is written when there is nothing. */
static struct place find_place(struct context *c, enum dml_danger danger, const char *path)
{
    struct dml_object object;
    bool exists = dml_host_resolve(path, &c->arena, &object);
    if (!exists && dml_host_is_exhausted(errno))
        report_unknown(c, path, errno);
    const char *found = exists ? object.path : dml_arena_string(&c->arena, path);
    c->problems->failed |= !found;
    return (struct place){danger, found ? found : "?", exists};
}

static bool is_own_bind(const struct dml_entry *entry)
{
    bool bind = entry->kind == DML_BIND_RO || entry->kind == DML_BIND_RW;
    return bind && entry->source.path && entry->rank != DML_RANK_BASE;
}

/* Where a bind shows the host path `host_path`, which lies in its source. */
static void path_inside(char inside[2 * DML_PATH_MAX], const struct dml_entry *bind, const char *host_path)
{
    const char *below = dml_path_below(host_path, bind->source.path);
    snprintf(inside, 2 * DML_PATH_MAX, "%s%s%s", strcmp(bind->sandbox, "/") == 0 ? "" : bind->sandbox,
             *below ? "/" : "", below);
}

/* Whether another entry of the policy hides or, if `readonly_will_do`, write-protects what `bind` shows of
 * the host path `host_path`. */
static bool covered(const struct context *c, const struct dml_entry *bind, const char *host_path,
                    bool readonly_will_do)
{
    char inside[2 * DML_PATH_MAX];
    path_inside(inside, bind, host_path);
    const struct dml_entry *nearest = bind;
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *entry = &c->policy->entries[i];
        bool nearer = dml_path_depth(entry->sandbox) > dml_path_depth(nearest->sandbox) ||
                      (strcmp(entry->sandbox, nearest->sandbox) == 0 && entry->rank > nearest->rank);
        if (nearer && dml_path_within(inside, entry->sandbox))
            nearest = entry;
    }
    if (nearest == bind)
        return false;
    switch (nearest->kind) {
    case DML_MASK:
    case DML_TMPFS:
    case DML_DATA: return true;
    case DML_BIND_RO: return readonly_will_do;
    default: return true; /* another bind, checked for itself */
    }
}

/* Reports the danger of a place that the bind lies in or holds. Returns whether it lies in it. */
static bool check_place(struct context *c, const struct dml_entry *bind, const struct place *place)
{
    if (dml_path_within(bind->source.path, place->path)) {
        report_bind(c, place->danger, bind, NULL);
        return true;
    }
    if (place->exists && dml_path_within(place->path, bind->source.path) &&
        !covered(c, bind, place->path, false))
        report_bind(c, place->danger, bind, place->path);
    return false;
}

static bool check_pattern(struct context *c, const struct dml_entry *bind, enum dml_danger danger,
                          const char *pattern)
{
    if (fnmatch(pattern, bind->source.path, FNM_PERIOD) != 0)
        return false;
    report_bind(c, danger, bind, NULL);
    return true;
}

/* Places of sockets. The most specific come first: the first that the bind lies in is the one reported. */
static const struct {
    enum dml_danger danger;
    const char *place;
} socket_places[] = {
    {DML_DANGER_ENGINE_SOCKET, "/run/docker.sock"},
    {DML_DANGER_ENGINE_SOCKET, "/run/podman"},
    {DML_DANGER_ENGINE_SOCKET, "/run/containerd"},
    {DML_DANGER_ENGINE_SOCKET, "/run/libvirt"},
    {DML_DANGER_ENGINE_SOCKET, "/run/crio"},
    {DML_DANGER_ENGINE_SOCKET, "/run/buildkit"},
    {DML_DANGER_DBUS, "/run/dbus/system_bus_socket"},
    {DML_DANGER_X11, "/tmp/.X11-unix"},
    {DML_DANGER_X11, "/tmp/.ICE-unix"},
};

/* Names of sockets, wherever they are. The first that fits is the one reported. */
static const struct {
    enum dml_danger danger;
    const char *pattern;
} socket_patterns[] = {
    {DML_DANGER_ENGINE_SOCKET, "*/docker.sock"},     {DML_DANGER_ENGINE_SOCKET, "*/podman.sock"},
    {DML_DANGER_ENGINE_SOCKET, "*/containerd.sock"}, {DML_DANGER_ENGINE_SOCKET, "*/crio.sock"},
    {DML_DANGER_ENGINE_SOCKET, "*/buildkitd.sock"},  {DML_DANGER_ENGINE_SOCKET, "*/libvirt-sock*"},
    {DML_DANGER_ENGINE_SOCKET, "*/virtqemud-sock*"}, {DML_DANGER_SSH_AGENT, "*/S.gpg-agent.ssh"},
    {DML_DANGER_GPG_AGENT, "*/S.gpg-agent*"},        {DML_DANGER_SSH_AGENT, "*/ssh-*/agent.*"},
    {DML_DANGER_WAYLAND, "*/wayland-[0-9]*"},        {DML_DANGER_DBUS, "/run/user/*/bus"},
    {DML_DANGER_X11, "*/.X11-unix/X[0-9]*"},
};

static void add_socket(struct context *c, enum dml_danger danger, const char *path)
{
    if (path[0] == '/' && c->socket_count < MOST_SOCKETS)
        c->sockets[c->socket_count++] = find_place(c, danger, path);
}

static void find_sockets(struct context *c, const struct dml_host *host)
{
    const char *agent = dml_host_getenv(host, "SSH_AUTH_SOCK");
    const char *runtime = dml_host_getenv(host, "XDG_RUNTIME_DIR");
    const char *bus = dml_host_getenv(host, "DBUS_SESSION_BUS_ADDRESS");
    const char *home = dml_host_getenv(host, "HOME");
    char path[DML_PATH_MAX];
    for (size_t i = 0; i < sizeof socket_places / sizeof socket_places[0]; i++)
        add_socket(c, socket_places[i].danger, socket_places[i].place);
    if (agent)
        add_socket(c, DML_DANGER_SSH_AGENT, agent);
    if (bus && strncmp(bus, "unix:path=", 10) == 0) {
        snprintf(path, sizeof path, "%.*s", (int)strcspn(bus + 10, ",;"), bus + 10);
        add_socket(c, DML_DANGER_DBUS, path);
    }
    if (home) {
        snprintf(path, sizeof path, "%s/.gnupg/S.gpg-agent", home);
        add_socket(c, DML_DANGER_GPG_AGENT, path);
    }
    if (runtime) {
        snprintf(path, sizeof path, "%s/gnupg", runtime);
        add_socket(c, DML_DANGER_GPG_AGENT, path);
        add_socket(c, DML_DANGER_USER_RUNTIME, runtime);
    }
    add_socket(c, DML_DANGER_USER_RUNTIME, "/run/user");
}

static void find_homes(struct context *c, const struct dml_host *host)
{
    const char *home = dml_host_getenv(host, "HOME");
    c->homes[c->home_count++] = find_place(c, DML_DANGER_HOME, "/root");
    if (home && home[0] == '/')
        c->homes[c->home_count++] = find_place(c, DML_DANGER_HOME, home);
    const struct passwd *own = home ? NULL : getpwuid(host->uid);
    if (own && own->pw_dir && own->pw_dir[0] == '/')
        c->homes[c->home_count++] = find_place(c, DML_DANGER_HOME, own->pw_dir);
}

static void find_search_path(struct context *c, const struct dml_host *host)
{
    const char *path = dml_host_getenv(host, "PATH");
    while (path && c->search_path_count < MOST_DIRECTORIES) {
        char directory[DML_PATH_MAX];
        size_t length = strcspn(path, ":");
        snprintf(directory, sizeof directory, "%.*s", (int)length, path);
        path = path[length] ? path + length + 1 : NULL;
        if (directory[0] == '/')
            c->search_path[c->search_path_count++] = find_place(c, DML_DANGER_PATH_RW, directory);
    }
}

static void find_own_files(struct context *c)
{
    size_t count = c->policy->file_count;
    c->own_files = dml_arena_array(&c->arena, count, sizeof *c->own_files);
    for (size_t i = 0; c->own_files && i < count; i++) {
        struct stat
            status; /* of a link on the way to the policy itself: who replaces it chooses the policy */
        const char *path = c->policy->files[i];
        c->own_files[i] = (struct place){DML_DANGER_PATH_RW, path, lstat(path, &status) == 0};
    }
    c->problems->failed |= !c->own_files;
}

static void check_sockets(struct context *c, const struct dml_entry *bind)
{
    if (S_ISSOCK(bind->source.mode)) {
        for (size_t i = 0; i < sizeof socket_patterns / sizeof socket_patterns[0]; i++) {
            if (check_pattern(c, bind, socket_patterns[i].danger, socket_patterns[i].pattern))
                return;
        }
    }
    for (size_t i = 0; i < c->socket_count; i++) {
        if (check_place(c, bind, &c->sockets[i]))
            return;
    }
}

/* Homes of people live in /home; the caller's and root's may be anywhere. */
static void check_homes(struct context *c, const struct dml_entry *bind)
{
    const char *path = bind->source.path;
    bool whole = strcmp(path, "/home") == 0 ||
                 (dml_path_depth(path) == 2 && dml_path_within(path, "/home") && S_ISDIR(bind->source.mode));
    for (size_t i = 0; i < c->home_count && !whole; i++) {
        const struct place *home = &c->homes[i];
        whole = home->exists && strcmp(home->path, "/") != 0 && dml_path_within(home->path, path);
    }
    if (whole)
        report_bind(c, bind->kind == DML_BIND_RW ? DML_DANGER_HOME_RW : DML_DANGER_HOME, bind, NULL);
}

static void check_search_path(struct context *c, const struct dml_entry *bind)
{
    for (size_t i = 0; i < c->search_path_count; i++) {
        const struct place *directory = &c->search_path[i];
        bool inside = dml_path_within(bind->source.path, directory->path);
        bool holds =
            dml_path_within(directory->path, bind->source.path) && !covered(c, bind, directory->path, true);
        if (directory->exists && (inside || holds)) {
            char because[DML_PATH_MAX + 32];
            snprintf(because, sizeof because, "%s is in PATH", directory->path);
            report_bind(c, DML_DANGER_PATH_RW, bind, because);
            return;
        }
    }
}

/* Files that programs of the host execute when they merely look at a directory or start a shell. */
static const char *const executed_files[] = {
    ".git/hooks",      ".git/config", ".bashrc", ".bash_profile", ".bash_login",          ".profile",
    ".zshrc",          ".zshenv",     ".envrc",  ".zprofile",     ".ssh/authorized_keys", ".config/autostart",
    ".config/systemd",
};

/* Trees from which a system starts and runs without looking at PATH. */
static const char *const system_trees[] = {
    "/boot",
    "/usr/lib",
    "/usr/libexec",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/profile.d",
    "/etc/init.d",
    "/etc/systemd",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf.d",
    "/etc/profile",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/usr/local/lib",
    "/var/lib/dpkg",
    "/var/spool/cron",
    "/run/systemd",
    "/usr/local/share/lua",
};

static bool check_system_trees(struct context *c, const struct dml_entry *bind)
{
    for (size_t i = 0; i < sizeof system_trees / sizeof system_trees[0]; i++) {
        const char *tree = system_trees[i];
        bool holds = dml_path_within(tree, bind->source.path) && access(tree, F_OK) == 0 &&
                     !covered(c, bind, tree, true);
        if (holds || dml_path_within(bind->source.path, tree)) {
            char because[64];
            snprintf(because, sizeof because, "the system runs what is in %s", tree);
            report_bind(c, DML_DANGER_PATH_RW, bind, because);
            return true;
        }
    }
    return false;
}

static void check_executed_files(struct context *c, const struct dml_entry *bind)
{
    if (strcmp(bind->field, "project") == 0)
        return;
    for (size_t i = 0; i < sizeof executed_files / sizeof executed_files[0]; i++) {
        char place[2 * DML_PATH_MAX];
        const char *path = bind->source.path;
        size_t length = strlen(path), tail = strlen(executed_files[i]);
        bool is_one = length > tail && path[length - tail - 1] == '/' &&
                      strcmp(path + length - tail, executed_files[i]) == 0;
        snprintf(place, sizeof place, "%s/%s", path, executed_files[i]);
        if (is_one || (access(place, F_OK) == 0 && !covered(c, bind, place, true))) {
            report_bind(c, DML_DANGER_PATH_RW, bind, is_one ? NULL : executed_files[i]);
            return;
        }
    }
    if (strcmp(dml_path_name(bind->source.path), ".git") == 0 || strstr(bind->source.path, "/.git/hooks/"))
        report_bind(c, DML_DANGER_PATH_RW, bind, "hooks");
}

/* What is left of `file` below the one of its directories that is this object, wherever else that is mounted;
 * NULL when none is. */
static const char *tail_below(const char *file, dev_t device, ino_t inode)
{
    char path[DML_PATH_MAX];
    size_t length = strlen(file);
    struct stat status;
    while (length > 0 && length < sizeof path) {
        snprintf(path, sizeof path, "%.*s", (int)length, file);
        if (lstat(path, &status) == 0 && status.st_dev == device && status.st_ino == inode)
            return file + length + (file[length] == '/');
        if (length == 1)
            return NULL;
        while (length > 1 && file[length - 1] != '/')
            length--;
        length -= length > 1; /* the slash, but for the root's */
    }
    return NULL;
}

/* Where it is told that the runner's own policy could be rewritten: a client of the ancestor hands one over
 * for each launch, and may keep it wherever it likes. */
static struct dml_problems *own_file_list(struct context *c)
{
    return c->policy->wire ? c->warnings : c->problems;
}

/* Checks the tree of the host at `where`, which `bind` shows: its source, or a mount below that. */
static void check_own_file(struct context *c, const struct dml_entry *bind, const char *where,
                           const struct stat *status, const char *file)
{
    const char *tail = tail_below(file, status->st_dev, status->st_ino);
    char shown[2 * DML_PATH_MAX], inside[2 * DML_PATH_MAX];
    if (!tail)
        return;
    snprintf(shown, sizeof shown, "%s%s%s", strcmp(where, "/") == 0 ? "" : where, *tail ? "/" : "", tail);
    if (covered(c, bind, shown, true))
        return;
    path_inside(inside, bind, shown);
    struct stat own;
    if (lstat(file, &own) == 0 && S_ISLNK(own.st_mode)) {
        dml_problem_add(
            c->problems, "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
            "would let the command replace the link \"%s\", which leads to its own policy; name the "
            "policy by the path behind it",
            file);
        return;
    }
    dml_problem_add(
        own_file_list(c), "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
        "would let the command rewrite its own policy; protect it: ro_binds = { { \"%s\", \"%s\" } }", file,
        inside);
}

static void check_own_files(struct context *c, const struct dml_entry *bind)
{
    const struct stat source = {.st_dev = bind->source.device, .st_ino = bind->source.inode};
    for (size_t i = 0; c->own_files && i < c->policy->file_count; i++) {
        const struct place *own = &c->own_files[i];
        struct stat status;
        if (!own->exists)
            continue;
        check_own_file(c, bind, bind->source.path, &source, own->path);
        if (lstat(own->path, &status) == 0 && status.st_nlink > 1 && status.st_dev == source.st_dev)
            dml_problem_add(
                own_file_list(c), "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
                "may hold another hard link of \"%s\", through which the command would rewrite its "
                "own policy; make that file a copy of its own",
                own->path);
    }
}

/* A mount below a writable bind may show a policy's directory at a second place. */
static void check_mount_for_own_files(struct context *c, const char *where)
{
    struct stat status;
    for (size_t i = 0; c->own_files && i < c->policy->entry_count; i++) {
        const struct dml_entry *bind = &c->policy->entries[i];
        bool below = bind->kind == DML_BIND_RW && is_own_bind(bind) &&
                     dml_path_within(where, bind->source.path) && strcmp(where, bind->source.path) != 0;
        for (size_t k = 0; below && k < c->policy->file_count && stat(where, &status) == 0; k++) {
            if (c->own_files[k].exists && !dml_path_within(c->own_files[k].path, where))
                check_own_file(c, bind, where, &status, c->own_files[k].path);
        }
    }
}

static void check_bind(struct context *c, const struct dml_entry *bind)
{
    const char *path = bind->source.path;
    bool writable = bind->kind == DML_BIND_RW;
    if (dml_path_within(path, "/proc")) {
        report_never(c, bind, "is the host's /proc; inside there is always a fresh one");
        return;
    }
    if (dml_path_within(path, "/dev")) {
        report_never(c, bind, "is a device or the host's /dev; inside there is always a fresh /dev");
        return;
    }
    if (dml_path_within(path, "/sys")) {
        if (writable)
            report_never(c, bind, "/sys is never writable inside; put it under ro_binds");
        else
            report_bind(c, DML_DANGER_SYS, bind, NULL);
        return;
    }
    if (strcmp(path, "/") == 0) {
        report_bind(c, writable ? DML_DANGER_ROOT_RW : DML_DANGER_ROOT, bind, NULL);
        if (writable) /* everything else is in it, and accepted with it */
            check_own_files(c, bind);
        return;
    }
    check_sockets(c, bind);
    check_homes(c, bind);
    if (writable) {
        if (!check_system_trees(c, bind))
            check_search_path(c, bind);
        check_executed_files(c, bind);
        check_own_files(c, bind);
    }
}

bool dml_danger_loader_name(const char *name)
{
    static const char *const names[] = {"GCONV_PATH", "GLIBC_TUNABLES", "BASH_ENV"};
    return strncmp(name, "LD_", 3) == 0 || dml_name_index(name, names, 3) >= 0;
}

static void check_environment(struct context *c)
{
    for (size_t i = 0; i < c->policy->env_count; i++) {
        const struct dml_env_rule *rule = &c->policy->env[i];
        bool name = !strchr(rule->name, '='); /* else it is none, and told so */
        if (name && rule->action != DML_ENV_OMIT && dml_danger_loader_name(rule->name))
            report(c, DML_DANGER_LOADER_ENV, "env.dangerous", rule->field, rule->name, NULL);
    }
}

/* The host's network namespace comes with the host's abstract sockets. */
static void check_abstract_sockets(struct context *c)
{
    static const struct {
        enum dml_danger danger;
        const char *prefix;
    } sockets[] = {
        {DML_DANGER_X11, "/tmp/.X11-unix/"},
        {DML_DANGER_DBUS, "/tmp/dbus-"},
        {DML_DANGER_DBUS, "/dbus-"},
        {DML_DANGER_ENGINE_SOCKET, "/containerd-shim/"},
    };
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
        char because[128];
        bool exists;
        snprintf(because, sizeof because, "the abstract socket @%s* is in the shared network",
                 sockets[i].prefix);
        if (!dml_host_abstract_socket(sockets[i].prefix, &exists))
            report_unknown(c, "/proc/net/unix", errno);
        else if (exists)
            report(c, sockets[i].danger, "network.dangerous", "network", NULL, because);
    }
}

/* Through another mount of /proc or /sys the command would see, and started by root set, what its own hides.
 */
static void check_kernel_mount(struct context *c, const char *where, const char *type)
{
    bool usual =
        dml_path_within(where, "/proc") || dml_path_within(where, "/sys") || dml_path_within(where, "/dev");
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *bind = &c->policy->entries[i];
        if (usual || !is_own_bind(bind))
            continue; /* known by their places: see check_bind */
        bool shown = dml_path_within(bind->source.path, where) ||
                     (dml_path_within(where, bind->source.path) && !covered(c, bind, where, false));
        if (!shown)
            continue;
        char inside[2 * DML_PATH_MAX] = "";
        if (dml_path_within(where, bind->source.path) && strcmp(where, bind->source.path) != 0)
            path_inside(inside, bind, where);
        dml_problem_add(c->problems, "bind.never", bind->field, bind->source.path, strlen(bind->source.path),
                        "shows a mount of %s, at %s%s%s%s", type, where,
                        *inside ? "; mask it: masks = { \"" : "", inside, *inside ? "\" }" : "");
    }
}

static void check_mount(void *context, const char *where, const char *type, bool of_kernel)
{
    if (of_kernel)
        check_kernel_mount(context, where, type);
    check_mount_for_own_files(context, where);
}

static void check_binds(struct context *c, const struct dml_host *host)
{
    bool any = false, writable = false;
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *entry = &c->policy->entries[i];
        any |= is_own_bind(entry);
        writable |= is_own_bind(entry) && entry->kind == DML_BIND_RW;
    }
    if (any) { /* each place costs system calls, so only what will be asked about is looked up */
        find_sockets(c, host);
        find_homes(c, host);
    }
    if (writable) {
        find_search_path(c, host);
        find_own_files(c);
    }
    if (any && !dml_host_visit_mounts(check_mount, c))
        report_unknown(c, "/proc/self/mountinfo", errno);
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        if (is_own_bind(&c->policy->entries[i]))
            check_bind(c, &c->policy->entries[i]);
    }
}

void dml_danger_check(const struct dml_policy *policy, const struct dml_host *host,
                      struct dml_problems *problems, struct dml_problems *warnings)
{
    struct context c = {.policy = policy, .problems = problems, .warnings = warnings};
    check_binds(&c, host);
    check_environment(&c);
    if (policy->network)
        check_abstract_sockets(&c);
    if (policy->tty && policy->seccomp == DML_SECCOMP_OFF)
        report(&c, DML_DANGER_TTY_UNFILTERED, "tty.dangerous", "tty", NULL, NULL);
    dml_arena_clear(&c.arena);
}
