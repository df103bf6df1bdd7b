/* Between clone and exec: starting a child that shares our memory, so that nothing of a large host is copied,
 * and what such a child does whatever it becomes. While it runs the thread that started it waits. It
 * allocates nothing, frees nothing, takes no lock and makes only system calls, on what was prepared before.
 */
#ifndef DML_CHILD_H
#define DML_CHILD_H

#include "policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { DML_CHILD_STACK = 64 * 1024 };

/* Runs `run` in a child, with every signal blocked, until it has executed something or ended. `flags` are
 * those of clone besides CLONE_VM and CLONE_VFORK, with the signal for its end; `pidfd` is for CLONE_PIDFD.
 * Returns its pid, or -1 with errno. Safe in a program with threads. */
pid_t dml_child_start(int (*run)(void *argument), void *argument, int flags, int *pidfd);

/* Closes a descriptor, if there is one (-1: none); errno stays. */
void dml_child_close(int fd);

/* Every signal to its default. */
void dml_child_reset_signals(void);

/* Gives supplementary groups up, which only root can. */
void dml_child_drop_groups(void);

/* An empty session keyring instead of the caller's. */
void dml_child_leave_keyring(void);

/* Goes into the cgroups whose cgroup.procs are open as these. False with errno. */
bool dml_child_join_cgroups(const int *cgroups, size_t count);

/* Room for `needed` descriptors, whatever the host's soft limit: it is the child's own. */
void dml_child_raise_descriptor_limit(size_t needed);

/* Makes descriptor i a copy of descriptors[i] and closes all others. `scratch` has room for `count` numbers.
 * False with errno. */
bool dml_child_place_descriptors(const int *descriptors, int *scratch, size_t count);

/* Opens a host object (O_PATH, close-on-exec) as the one that it was when its path was resolved. -1 with
 * errno, which is ESTALE when another one is there now. */
int dml_child_open(const struct dml_object *object);

#endif
