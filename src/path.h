/* Lexical rules for paths. No file system is asked. */
#ifndef DML_PATH_H
#define DML_PATH_H

#include <stdbool.h>
#include <stddef.h>

enum {
    DML_PATH_MAX = 4095,     /* PATH_MAX less its NUL */
    DML_COMPONENT_MAX = 255, /* NAME_MAX */
};

enum dml_path_flaw {
    DML_PATH_FINE = 0,
    DML_PATH_EMPTY,
    DML_PATH_RELATIVE,
    DML_PATH_DOT,     /* has a `.` component */
    DML_PATH_DOT_DOT, /* has a `..` component */
    DML_PATH_LONG,
    DML_PATH_COMPONENT_LONG,
};

/* What is wrong with an absolute path, if anything. */
enum dml_path_flaw dml_path_check(const char *path);

/* Drops repeated and trailing slashes, in place. The path must be fine. */
void dml_path_normalise(char *path);

/* Number of components of a canonical path: 0 for "/". */
size_t dml_path_depth(const char *path);

/* Whether the canonical `path` is `tree` or lies in it. */
bool dml_path_within(const char *path, const char *tree);

/* The part of `path` below `tree` without a leading slash ("" when they are equal); `path` must be within it.
 */
const char *dml_path_below(const char *path, const char *tree);

/* Whether the last components of `path`, and not all of them, are those of `tail`, which has no leading
 * slash. */
bool dml_path_ends_with(const char *path, const char *tail);

/* The last component ("" for "/"). */
const char *dml_path_name(const char *path);

#endif
