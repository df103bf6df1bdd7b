/* The fields of a policy that say what stands at which path inside. Each adds entries to `r->policy`, and a
 * problem for each one that it cannot read. */
#ifndef DML_LUA_ENTRIES_H
#define DML_LUA_ENTRIES_H

#include "lua_read.h"

/* Lists of binds: "/path", { "/host", "/inside" } or { host = , sandbox = , optional = }. Those of a base are
 * optional. */
void dml_read_ro_binds(struct dml_reader *r, int index, const char *field);
void dml_read_rw_binds(struct dml_reader *r, int index, const char *field);

/* A list of devices and directories of devices, in the same forms. */
void dml_read_devices(struct dml_reader *r, int index, const char *field);

/* A host directory for /work. */
void dml_read_work_host(struct dml_reader *r, int index, const char *field);

/* A tree that has the same path inside: "/path" or { "/path", write = }. */
void dml_read_project(struct dml_reader *r, int index, const char *field);

/* A list of empty file systems: "/path" or { sandbox = , size = , mode = }. */
void dml_read_tmpfs(struct dml_reader *r, int index, const char *field);

/* A list of symbolic links: { target = , sandbox = }. */
void dml_read_symlinks(struct dml_reader *r, int index, const char *field);

/* A list of paths inside that are made unreadable: "/path" or { sandbox = , optional = }. */
void dml_read_masks(struct dml_reader *r, int index, const char *field);

/* A map from paths inside to the content of a file: the secrets of a policy, or the generated files of a
 * base. */
void dml_read_data(struct dml_reader *r, int index, const char *field);

#endif
