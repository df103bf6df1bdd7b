/* Problems and errors: how every other file says that something is wrong. */
#ifndef DML_PROBLEM_H
#define DML_PROBLEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Why an operation of the engine failed. A function that can fail takes one, fills it only on failure,
 * and returns false or NULL. */
enum dml_error_kind {
    DML_ERROR_NONE = 0,
    DML_ERROR_MEMORY,      /* out of memory */
    DML_ERROR_SYSTEM,      /* a system call failed; `errnum` says how */
    DML_ERROR_UNAVAILABLE, /* what was asked for is not to be had on this host */
    DML_ERROR_CHANGED,     /* an object is not the one that was checked */
    DML_ERROR_SETUP,       /* the backend could not set the sandbox up */
};

struct dml_error {
    enum dml_error_kind kind;
    int errnum;       /* errno value, or 0 */
    const char *step; /* name of the step of a launch that failed, a constant; NULL: none that has a name */
    char message[768];
};

/* Fills `error` with `kind`, `errnum` (0: none) and a formatted message; when `errnum` is not 0 its text is
 * appended. A NULL `error` is allowed. Always returns false, so that a caller can return it. */
bool dml_fail(struct dml_error *error, enum dml_error_kind kind, int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* One reason why a policy is refused, or, in a list of warnings, one thing worth saying. */
struct dml_problem {
    char *field;   /* "rw_binds[2].host"; "" for the policy as a whole */
    char *value;   /* the offending value, quoted and escaped; NULL when there is none to show */
    char *code;    /* stable: "path.relative" */
    char *message; /* what is wrong and what would be right */
};

/* A growing list. A zeroed struct is an empty list; `dml_problems_clear` frees what it owns. `failed` is set
 * when memory ran out while adding, so that a lost problem is never taken for none. */
struct dml_problems {
    struct dml_problem *items;
    size_t count, capacity;
    bool failed;
};

/* Adds a problem; copies every string, of the field what may be shown (dml_shown_length). `value` is raw
 * bytes of `length` and may be NULL. */
void dml_problem_add(struct dml_problems *list, const char *code, const char *field, const char *value,
                     size_t length, const char *format, ...) __attribute__((format(printf, 6, 7)));
void dml_problems_clear(struct dml_problems *list);

#endif
