/* Bytes as descriptors, for who is to read them. */
#ifndef DML_MEMORY_FILE_H
#define DML_MEMORY_FILE_H

#include "problem.h"

#include <stddef.h>

/* `fd` itself, or a copy (close-on-exec) in its place above the standard three, which the host may have
 * closed; -1 stays -1, with its errno. */
int dml_raised(int fd);

/* A memory file with these bytes, at its start, that nobody can change any more; -1 when it cannot be had.
 * Close-on-exec, to be closed by the caller. */
int dml_memory_file(const char *name, const void *bytes, size_t length, struct dml_error *error);

/* A descriptor that gives these bytes to one reader: a pipe, which is the quicker one, where that holds them,
 * or, and in a program that has several threads, a memory file. Close-on-exec, to be closed by the caller; -1
 * when there is neither. */
int dml_one_reading(const char *name, const void *bytes, size_t length, struct dml_error *error);

#endif
