/* Who can have written a file, and so who speaks in it. */
#ifndef DML_HOST_TRUST_H
#define DML_HOST_TRUST_H

#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whether only root can have put the file at `path` there: it is a regular file of root's that no one else
 * may write to, and so is every directory and link on the way to it (a directory where only owners take away
 * entries will do). True with `exists` false when nothing is there; false with an error when something is and
 * others have a hand in it, or that cannot be said. */
bool dml_host_operators_file(const char *path, bool *exists, struct dml_error *error);

/* Whether the file, or symbolic link, at `path` is ours or root's, and nobody else may write to it: a group
 * may that is our own first group or root's. False when that cannot be said. `owner` is whose it is,
 * (uid_t)-1 when there is nothing. */
bool dml_host_trusted_file(const char *path, uid_t *owner);

/* Copies the home directory of our account into `buffer`, whatever the environment says. False when the
 * account has none. */
bool dml_host_account_home(char *buffer, size_t size);

#endif
