/* What the danger*.c share: one check of one policy from the inside. danger.c asks danger_sockets.c,
 * danger_executed.c and danger_own.c, each of which uses danger_place.c, danger_bind.c and danger_report.c.
 */
#ifndef DML_DANGER_PRIVATE_H
#define DML_DANGER_PRIVATE_H

#include "arena.h"
#include "host.h"
#include "path.h"
#include "policy.h"
#include "problem.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    DML_MOST_SOCKETS = 24,
    DML_MOST_HOMES = 4,
    DML_MOST_DIRECTORIES = 512 /* of PATH */
};

/* A place on the host, with its links resolved once for all binds. */
struct dml_place {
    enum dml_danger danger;
    const char *path;
    bool exists;
};

/* A zeroed one with `policy`, `problems`, `warnings` and `now` knows no places yet; dml_arena_clear of
 * `arena` frees what the check has found. */
struct dml_danger_context {
    struct dml_policy *policy;
    struct dml_problems *problems, *warnings;
    struct dml_arena arena;   /* resolved paths of the host, for as long as the check takes */
    struct dml_lookup lookup; /* of places, of which many are neighbours */
    double now;               /* seconds of dml_seconds_now */
    struct dml_place sockets[DML_MOST_SOCKETS], homes[DML_MOST_HOMES];
    struct dml_place *search_path; /* up to DML_MOST_DIRECTORIES; NULL: not looked up */
    struct dml_place *own_files;   /* one for each of the policy's files; NULL: not looked up */
    size_t socket_count, home_count, search_path_count;
    bool unknown; /* something of the host could not be looked up */
};

/* --- danger_report.c --- */

/* Adds a problem (a warning, for a policy in the ancestor's format) unless the policy acknowledges `danger`.
 * `value` and `because`, what exactly is dangerous, may be NULL. The texts are copied. */
void dml_danger_report(struct dml_danger_context *c, enum dml_danger danger, const char *code,
                       const char *field, const char *value, const char *because);

/* The same of a bind. */
void dml_danger_report_bind(struct dml_danger_context *c, enum dml_danger danger,
                            const struct dml_entry *bind, const char *because);

/* Adds a problem, once: what cannot be looked up for want of something (`reason` is an errno) may be the
 * danger that we look for. */
void dml_danger_report_unknown(struct dml_danger_context *c, const char *path, int reason);

/* --- danger_place.c --- */

/* The place at `path`, with its links resolved, or as it is written when there is nothing. Its path is in the
 * arena, "?" when memory is out, which the problems then say. */
struct dml_place dml_danger_find_place(struct dml_danger_context *c, enum dml_danger danger,
                                       const char *path);

/* The same of one that the system has where it is, for everybody. When no bind is about it, it is only known
 * where it was within the last second, and not that it exists. */
struct dml_place dml_danger_find_system_place(struct dml_danger_context *c, enum dml_danger danger,
                                              const char *path);

/* --- danger_bind.c --- */

/* Whether `entry` is a bind that is there and that the policy asks for, none of its base. */
bool dml_danger_is_own_bind(const struct dml_entry *entry);

/* Whether another entry of the policy hides or, if `readonly_will_do`, write-protects what `bind` shows of
 * the host path `host_path`. */
bool dml_danger_covered(const struct dml_danger_context *c, const struct dml_entry *bind,
                        const char *host_path, bool readonly_will_do);

/* --- danger_sockets.c --- */

/* Looks up the places of sockets. */
void dml_danger_find_sockets(struct dml_danger_context *c, const struct dml_host *host);

/* Reports a bind that is, lies in or shows one of them. */
void dml_danger_check_sockets(struct dml_danger_context *c, const struct dml_entry *bind);

/* Reports abstract sockets, which come with the host's network namespace. */
void dml_danger_check_abstract_sockets(struct dml_danger_context *c);

/* --- danger_executed.c --- */

/* Looks up the directories of the caller's PATH. */
void dml_danger_find_search_path(struct dml_danger_context *c, const struct dml_host *host);

/* Reports a writable bind that is or shows what the host executes. */
void dml_danger_check_executed(struct dml_danger_context *c, const struct dml_entry *bind);

/* --- danger_own.c --- */

/* Looks up the files of the policy. */
void dml_danger_find_own_files(struct dml_danger_context *c);

/* Adds a problem for each of them that the command could rewrite or replace through a writable bind. */
void dml_danger_check_own_files(struct dml_danger_context *c, const struct dml_entry *bind);

/* The same through the mount at `where` below a writable bind, which may show a policy's directory at a
 * second place. */
void dml_danger_check_own_mount(struct dml_danger_context *c, const char *where);

#endif
