/* A command without a sandbox, for when none is wanted. Only the command uses this: it changes the signal
 * mask of its process and waits for signals. */
#ifndef DML_BARE_H
#define DML_BARE_H

#include "problem.h"

/* Runs `argv` (NULL-terminated, looked up in PATH) as a child with our environment, standard streams, signal
 * mask and ignored signals, but without our other descriptors; hands signals on to it and waits for its end.
 * `status` is that of wait(2). False when it could not be executed. */
bool dml_bare_run(char *const *argv, int *status, struct dml_error *error);

#endif
