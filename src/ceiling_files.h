/* What ceiling.c and ceiling_files.c share: one check of one policy, from the inside. */
#ifndef DML_CEILING_FILES_H
#define DML_CEILING_FILES_H

#include "ceiling.h"

struct dml_ceiling_check {
    const struct dml_ceiling *ceiling;
    const struct dml_policy *policy;
    const struct dml_plan *plan;
    struct dml_problems *problems;
};

/* Whether the ceiling bounds something. */
bool dml_ceiling_says(const struct dml_ceiling *ceiling, enum dml_bound bound);

/* Adds a problem: the ceiling is named, the format says what it allows. `value` may be NULL. */
void dml_exceeds(struct dml_ceiling_check *c, const char *code, const char *field, const char *value,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The names, quoted, in one line; "nothing" when there are none. Cut when they do not fit. Returns `buffer`.
 */
char *dml_list_names(const struct dml_names *names, char *buffer, size_t size);

/* Checks the bases, and every host path that the plan shows. */
void dml_ceiling_check_files(struct dml_ceiling_check *c);

#endif
