/* The default system call filter, as BPF for the kernel. Both backends use it. */
#ifndef DML_SECCOMP_H
#define DML_SECCOMP_H

#include "arena.h"
#include "seccomp_rules.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

enum { DML_FILTER_MAX = 512 }; /* instructions; the kernel would take 4096 */

/* The machine that this was built for; another one than those that the rules know does not build. */
enum dml_machine dml_seccomp_machine(void);

/* Writes the filter for `machine`, without what `options` (bits of dml_seccomp_option) take out of it. Calls
 * by another table of the kernel (32-bit programs, x32) and calls that the rules do not know yet give ENOSYS.
 * Returns the number of instructions. */
size_t dml_seccomp_filter(enum dml_machine machine, unsigned options,
                          struct sock_filter filter[DML_FILTER_MAX]);

/* The filter for the machine that this was built for, in the arena, and the number of its instructions; NULL
 * when memory is out. */
const struct sock_filter *dml_seccomp_own_filter(unsigned options, struct dml_arena *arena, size_t *length);

#endif
