/* Sockets of the host, in its files and in its network. */
#include "danger_private.h"
#include "path.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Reports the danger of a place that the bind lies in or holds. Returns whether it lies in it. */
static bool check_place(struct dml_danger_context *c, const struct dml_entry *bind,
                        const struct dml_place *place)
{
    if (dml_path_within(bind->source.path, place->path)) {
        dml_danger_report_bind(c, place->danger, bind, NULL);
        return true;
    }
    if (place->exists && dml_path_within(place->path, bind->source.path) &&
        !dml_danger_covered(c, bind, place->path, false))
        dml_danger_report_bind(c, place->danger, bind, place->path);
    return false;
}

static bool check_pattern(struct dml_danger_context *c, const struct dml_entry *bind, enum dml_danger danger,
                          const char *pattern)
{
    if (fnmatch(pattern, bind->source.path, FNM_PERIOD) != 0)
        return false;
    dml_danger_report_bind(c, danger, bind, NULL);
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

static void add_place(struct dml_danger_context *c, struct dml_place place)
{
    if (c->socket_count < DML_MOST_SOCKETS)
        c->sockets[c->socket_count++] = place;
}

static void add_socket(struct dml_danger_context *c, enum dml_danger danger, const char *path)
{
    if (path[0] == '/')
        add_place(c, dml_danger_find_place(c, danger, path));
}

void dml_danger_find_sockets(struct dml_danger_context *c, const struct dml_host *host)
{
    const char *agent = dml_host_getenv(host, "SSH_AUTH_SOCK");
    const char *runtime = dml_host_getenv(host, "XDG_RUNTIME_DIR");
    const char *bus = dml_host_getenv(host, "DBUS_SESSION_BUS_ADDRESS");
    const char *home = dml_host_getenv(host, "HOME");
    char path[DML_PATH_MAX];
    /* looked up beside its neighbours, and the last to be asked about */
    struct dml_place runtimes = dml_danger_find_system_place(c, DML_DANGER_USER_RUNTIME, "/run/user");
    for (size_t i = 0; i < sizeof socket_places / sizeof socket_places[0]; i++)
        add_place(c, dml_danger_find_system_place(c, socket_places[i].danger, socket_places[i].place));
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
    add_place(c, runtimes);
}

void dml_danger_check_sockets(struct dml_danger_context *c, const struct dml_entry *bind)
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

void dml_danger_check_abstract_sockets(struct dml_danger_context *c)
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
            dml_danger_report_unknown(c, "/proc/net/unix", errno);
        else if (exists)
            dml_danger_report(c, sockets[i].danger, "network.dangerous", "network", NULL, because);
    }
}
