/* Between clone and exec: starting a child that shares our memory, so that nothing of a large host is copied,
 * and what such a child does whatever it becomes. It allocates nothing, frees nothing, takes no lock, leaves
 * errno and all else of the thread that started it alone, which may end before it does, and makes only system
 * calls, on what was prepared before. What fails returns an errno negated.
 */
#ifndef DML_CHILD_H
#define DML_CHILD_H

#include "policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Runs `run` in a child, with every signal blocked, until it has executed something or ended; the thread that
 * calls waits. `flags` are those of clone besides CLONE_VM, with the signal for its end; `pidfd` is for
 * CLONE_PIDFD. Returns its pid, or -1 with errno. Safe in a program with threads. */
pid_t dml_child_start(int (*run)(void *argument), void *argument, int flags, int *pidfd);

/* The same without waiting: both run at the same time. Everything that the child uses must stay until it has
 * executed something or ended, and so must `stack`: it is to be given to dml_child_free_stack then. */
pid_t dml_child_start_beside(int (*run)(void *argument), void *argument, int flags, int *pidfd, void **stack);

/* Frees a stack; NULL: none. */
void dml_child_free_stack(void *stack);

/* Closes a descriptor, if there is one (below 0: none). */
void dml_child_close(int fd);

/* A signal to its default. */
void dml_child_reset_signal(int signal);

/* Gives supplementary groups up, which only root can. */
void dml_child_drop_groups(void);

/* An empty session keyring instead of the caller's. */
void dml_child_leave_keyring(void);

/* Goes into the cgroups whose cgroup.procs are open as these. Returns 0 or an error. */
int dml_child_join_cgroups(const int *cgroups, size_t count);

/* Room for `needed` descriptors, whatever the host's soft limit: it is the child's own. */
void dml_child_raise_descriptor_limit(size_t needed);

/* Makes descriptor i a copy of descriptors[i] and closes all others. `scratch` has room for `count` numbers.
 * Returns 0 or an error. */
int dml_child_place_descriptors(const int *descriptors, int *scratch, size_t count);

/* What an open descriptor is. Returns 0 or an error. */
struct stat;
int dml_child_inspect(int fd, struct stat *status);

/* Opens `path` (O_PATH, close-on-exec), in which no component may be a symbolic link, seen from an open
 * directory, which it may not leave when it has to stay `beneath`. Returns the descriptor or an error. */
int dml_child_open_path(int directory, const char *path, bool beneath);

/* Looks whether a host object is still there by its path. Returns 0 or an error, which is -ESTALE when
 * another one is there now. */
int dml_child_look(const struct dml_object *object);

/* Opens a host object (O_PATH, close-on-exec) as the one that it was when its path was resolved. Returns the
 * descriptor or an error, which is -ESTALE when another one is there now. */
int dml_child_open(const struct dml_object *object);

#endif
