/* The fields of a policy, and of a base. */
#ifndef DML_LUA_FIELDS_H
#define DML_LUA_FIELDS_H

#include "lua_read.h"

/* Reads the policy at `index` into `r->policy`; adds a problem for whatever is no policy, field by field. */
void dml_read_policy(struct dml_reader *r, int index);

/* Reads the base at `index`, one of our own tables: binds, links, generated files and defaults for the
 * environment. */
void dml_read_base(struct dml_reader *r, int index);

/* One field each, which a ceiling has too. */
void dml_read_seccomp(struct dml_reader *r, int index, const char *field);
void dml_read_limits(struct dml_reader *r, int index, const char *field);
void dml_read_acknowledge(struct dml_reader *r, int index, const char *field);

#endif
