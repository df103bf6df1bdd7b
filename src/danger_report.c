/* How a danger is told. */
#include "danger_private.h"

#include <stdio.h>
#include <string.h>

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
    [DML_DANGER_DEVICE] = "lets the command use a device of the host",
    [DML_DANGER_PATH_RW] = "is or holds what the host executes",
    [DML_DANGER_LOADER_ENV] = "changes what every program inside loads or runs first",
    [DML_DANGER_TTY_UNFILTERED] = "lets the command type into your terminal (TIOCSTI)",
};

void dml_danger_report(struct dml_danger_context *c, enum dml_danger danger, const char *code,
                       const char *field, const char *value, const char *because)
{
    const char *name = dml_danger_names[danger], *colon = because ? ": " : "";
    size_t length = value ? strlen(value) : 0;
    because = because ? because : "";
    if (c->policy->acknowledged[danger])
        return;
    c->policy->warned[danger] = c->policy->wire;
    if (c->policy->wire)
        dml_problem_add(c->warnings, code, field, value, length, "%s%s%s (%s)", explanations[danger], colon,
                        because, name);
    else
        dml_problem_add(c->problems, code, field, value, length,
                        "%s%s%s; leave it out, or accept it: acknowledge = { \"%s\" }", explanations[danger],
                        colon, because, name);
}

void dml_danger_report_bind(struct dml_danger_context *c, enum dml_danger danger,
                            const struct dml_entry *bind, const char *because)
{
    char field[256];
    snprintf(field, sizeof field, "%s", bind->field);
    dml_danger_report(c, danger, "bind.dangerous", field, bind->source.path, because);
}

void dml_danger_report_unknown(struct dml_danger_context *c, const char *path, int reason)
{
    if (c->unknown)
        return;
    c->unknown = true;
    dml_problem_add(c->problems, "host.unknown", "", path, strlen(path),
                    "cannot be looked up: %s; so it is not known what the policy shows", strerror(reason));
}
