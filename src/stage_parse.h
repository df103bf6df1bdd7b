/* Reading the message in the inner stage: a pure function over its bytes, without libc. */
#ifndef DML_STAGE_PARSE_H
#define DML_STAGE_PARSE_H

#include "stage_message.h"

#include <stdbool.h>
#include <stddef.h>

/* A message taken apart. Everything points into it, or into the table. */
struct dml_stage_command {
    const struct dml_stage_message *message;
    const struct dml_stage_object *objects;
    char **argv, **env, **paths; /* each ended by NULL; a path for each object */
    const char *directory;
};

/* How many pointers dml_stage_parse needs room for; 0 when the header of these `size` bytes, aligned as the
 * struct is, makes no sense. */
size_t dml_stage_pointers(const void *bytes, size_t size);

/* Fills `command` from a message whose header does make sense; `table` is zeroed and has that room. False
 * when the message ends before its strings do. */
bool dml_stage_parse(const void *bytes, char **table, struct dml_stage_command *command);

#endif
