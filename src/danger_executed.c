/* What the host executes: through PATH, by itself, or when it merely looks at a directory. */
#include "danger.h"
#include "danger_private.h"
#include "path.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void dml_danger_find_search_path(struct dml_danger_context *c, const struct dml_host *host)
{
    const char *path = dml_host_getenv(host, "PATH");
    c->search_path = dml_arena_array(&c->arena, DML_MOST_DIRECTORIES, sizeof *c->search_path);
    c->problems->failed |= !c->search_path;
    while (c->search_path && path && c->search_path_count < DML_MOST_DIRECTORIES) {
        char directory[DML_PATH_MAX];
        size_t length = strcspn(path, ":");
        snprintf(directory, sizeof directory, "%.*s", (int)length, path);
        path = path[length] ? path + length + 1 : NULL;
        if (directory[0] == '/')
            c->search_path[c->search_path_count++] = dml_danger_find_place(c, DML_DANGER_PATH_RW, directory);
    }
}

static void check_search_path(struct dml_danger_context *c, const struct dml_entry *bind)
{
    for (size_t i = 0; i < c->search_path_count; i++) {
        const struct dml_place *directory = &c->search_path[i];
        bool inside = dml_path_within(bind->source.path, directory->path);
        bool holds = dml_path_within(directory->path, bind->source.path) &&
                     !dml_danger_covered(c, bind, directory->path, true);
        if (directory->exists && (inside || holds)) {
            char because[DML_PATH_MAX + 32];
            snprintf(because, sizeof because, "%s is in PATH", directory->path);
            dml_danger_report_bind(c, DML_DANGER_PATH_RW, bind, because);
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

static bool check_system_trees(struct dml_danger_context *c, const struct dml_entry *bind)
{
    for (size_t i = 0; i < sizeof system_trees / sizeof system_trees[0]; i++) {
        const char *tree = system_trees[i];
        bool holds = dml_path_within(tree, bind->source.path) && access(tree, F_OK) == 0 &&
                     !dml_danger_covered(c, bind, tree, true);
        if (holds || dml_path_within(bind->source.path, tree)) {
            char because[64];
            snprintf(because, sizeof because, "the system runs what is in %s", tree);
            dml_danger_report_bind(c, DML_DANGER_PATH_RW, bind, because);
            return true;
        }
    }
    return false;
}

const char *dml_danger_executed_name(const char *path)
{
    for (size_t i = 0; i < sizeof executed_files / sizeof executed_files[0]; i++) {
        if (dml_path_ends_with(path, executed_files[i]))
            return executed_files[i];
    }
    return NULL;
}

static void check_executed_files(struct dml_danger_context *c, const struct dml_entry *bind)
{
    if (strcmp(bind->field, "project") == 0)
        return;
    if (dml_danger_executed_name(bind->source.path)) {
        dml_danger_report_bind(c, DML_DANGER_PATH_RW, bind, NULL);
        return;
    }
    for (size_t i = 0; i < sizeof executed_files / sizeof executed_files[0]; i++) {
        char place[2 * DML_PATH_MAX];
        snprintf(place, sizeof place, "%s/%s", bind->source.path, executed_files[i]);
        if (access(place, F_OK) == 0 && !dml_danger_covered(c, bind, place, true)) {
            dml_danger_report_bind(c, DML_DANGER_PATH_RW, bind, executed_files[i]);
            return;
        }
    }
    if (strcmp(dml_path_name(bind->source.path), ".git") == 0 || strstr(bind->source.path, "/.git/hooks/"))
        dml_danger_report_bind(c, DML_DANGER_PATH_RW, bind, "hooks");
}

void dml_danger_check_executed(struct dml_danger_context *c, const struct dml_entry *bind)
{
    if (!check_system_trees(c, bind))
        check_search_path(c, bind);
    check_executed_files(c, bind);
}
