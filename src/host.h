/* Facts about this machine. No other engine file asks the file system or the kernel what is there. */
#ifndef DML_HOST_H
#define DML_HOST_H

#include "arena.h"
#include "policy.h"

#include <stdbool.h>
#include <stdint.h>

enum { DML_TRUSTED_BWRAP_COUNT = 4 };

/* Where bwrap is looked for before PATH: places that only root can write to. Same list and order as
 * noether-isolation 0.8.2, so that clients of it find the same binary. */
extern const char *const dml_trusted_bwrap_paths[DML_TRUSTED_BWRAP_COUNT];

struct dml_host {
    char *const *environment; /* borrowed from the caller */
    uid_t uid;                /* effective ids of this process */
    gid_t gid;
};

/* Fills `host` for a caller with `environment`, which must outlive it. Cannot fail. */
void dml_host_gather(struct dml_host *host, char *const *environment);

/* The inode number of the namespace that the link `path` names, from `directory`: one of /proc/PID/ns. The
 * link says it itself, which costs a third of following it. 0 with errno when it cannot be had. */
uint64_t dml_host_namespace(int directory, const char *path);

/* Whether our pid namespace is the one that the kernel made first, not that of a container. False when that
 * cannot be told. */
bool dml_host_is_in_first_pid_namespace(void);

/* Whether we are root of the machine, not of a container, and of root's group: otherwise root in a namespace
 * of our own has no power over root's files, whose group is not there. */
bool dml_host_is_root_of_machine(void);

/* The memory of this machine in bytes, 0 when it cannot be told. */
uint64_t dml_host_memory(void);

/* Seconds of a clock that only goes forward. */
double dml_seconds_now(void);

/* The value of a variable of the caller's environment, or NULL. */
const char *dml_host_getenv(const struct dml_host *host, const char *name);

/* The name of the user that we run as: "root" or "nobody" where the uid is theirs, $USER where that can be
 * another user's name, else "caller". */
const char *dml_host_user_name(const struct dml_host *host);

/* The directory in which something was looked up last: objects next to each other are found faster with it. A
 * zeroed struct is one; dml_lookup_end gives back what it holds. */
struct dml_lookup {
    bool open;
    int directory;
    const char *path; /* of the object that was looked up, borrowed */
    size_t length;    /* of the directory's part of it */
};

void dml_lookup_end(struct dml_lookup *lookup);

/* Resolves every symbolic link of `path` and says what is there. False with errno set; the path is copied
 * into `arena`. `lookup` may be NULL; then, or else until its end, `path` has to stay. */
bool dml_host_resolve(const char *path, struct dml_lookup *lookup, struct dml_arena *arena,
                      struct dml_object *object);

/* Where `path`, absolute, leads though nothing is there: its links are resolved as far as they are there, and
 * what is left is taken as it is written. NULL with errno; the result is in `arena`. */
const char *dml_host_resolve_missing(const char *path, struct dml_arena *arena);

/* Opens `path`, in which no component may be a symbolic link, without reading it (O_PATH, close-on-exec).
 * -1 with errno. */
int dml_host_open_exact(const char *path);

/* What is at `below` in the host directory `tree` (no symbolic link on the way, ELOOP). False with errno. */
bool dml_host_inspect(const char *tree, const char *below, mode_t *mode);

/* Whether an errno says that we ran out of something, so that nothing is known of what was looked at. */
bool dml_host_is_exhausted(int reason);

/* Directories and files of /proc that something inside a sandbox might write to, as absolute paths,
 * NULL-terminated, in `arena`; NULL with errno when they cannot be had (ENODATA: root sees nothing but
 * processes in /proc). */
const char **dml_host_proc_covers(const struct dml_host *host, struct dml_arena *arena);

/* Whether an abstract socket whose name starts with `prefix` exists in our network namespace. False with
 * errno when that cannot be said. */
bool dml_host_abstract_socket(const char *prefix, bool *exists);

/* Calls `visit` with the name of each abstract socket of our network namespace, possibly more than once;
 * `reachable`: it can be connected or sent to now. False with errno when they cannot be read to the end. */
bool dml_host_visit_abstract_sockets(void (*visit)(void *context, const char *name, bool reachable),
                                     void *context);

/* A mount, as this process sees it. */
struct dml_mount {
    const char *where, *root; /* its mount point, and what of its file system stands there */
    const char *type;
    unsigned major, minor; /* of its file system */
    bool of_kernel; /* through which the kernel is read or set: proc, sysfs, cgroup, debugfs and their like */
};

/* Calls `visit` for each mount, which is only good for the call. False with errno when they cannot be read to
 * the end. */
bool dml_host_visit_mounts(void (*visit)(void *context, const struct dml_mount *mount), void *context);

/* Told of a mount that is `of_kernel`: its mount point and type, which are only good for the call. False when
 * what is mounted in it needs no visit. */
typedef bool dml_kernel_mount_visitor(void *context, const char *where, const char *type);

/* Calls `visit` for each mount that is `of_kernel`: in less time than for all, where the kernel lists mounts
 * by number. False with errno when they cannot be read to the end. Safe in a program with threads. */
bool dml_host_visit_kernel_mounts(dml_kernel_mount_visitor *visit, void *context);

/* The Landlock ABI of this kernel, 0 without Landlock. */
int dml_host_landlock_abi(void);

/* Whether this process is its user's own to look into. */
bool dml_host_is_dumpable(void);

/* Finds a bwrap that we may execute where noether-isolation looks: the trusted paths, then PATH. The path is
 * copied into `buffer` of `size` bytes; `trusted` says which of the two it was. False when there is none. */
bool dml_host_find_bwrap(const struct dml_host *host, char *buffer, size_t size, bool *trusted);

/* Finds a bwrap there that we may not execute. False when there is none, or one that we may. */
bool dml_host_find_barred_bwrap(const struct dml_host *host, char *buffer, size_t size);

#endif
