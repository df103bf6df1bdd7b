/* The steps of the child, in the order in which launch.c takes them. Each makes only system calls, leaves
 * errno alone, which is the host's, and leaves in `n` where it failed. */
#ifndef DML_NATIVE_STEPS_H
#define DML_NATIVE_STEPS_H

#include "native.h"

/* Notes an error, an errno negated, as the reason why `step` failed, at `object` (NULL: at none). Always
 * false. */
bool dml_native_fail(struct dml_native *n, enum dml_native_step step, const struct dml_entry *object,
                     long failed);

/* Takes such a note back. Always true. */
bool dml_native_forgive(struct dml_native *n);

/* userns.c: our ids inside, and that nobody inside makes more user namespaces. */
bool dml_native_map_ids(struct dml_native *n);
bool dml_native_forbid_user_namespaces(struct dml_native *n);

/* network.c: the loopback device. */
bool dml_native_raise_loopback(struct dml_native *n);

/* sources.c: what is bound, opened as what was checked and cloned as mounts of our own, attached nowhere yet.
 * Before anything is mounted, so that paths are still the host's. */
bool dml_native_clone_sources(struct dml_native *n);

/* A mount of what `path` is below `directory` (the directory or file itself for ""), or an error.
 * `recursive`: with what is mounted below. */
int dml_native_clone_tree(int directory, const char *path, bool recursive);

/* Sets attributes (MOUNT_ATTR_*) of a mount, `recursive` of those below it too, where it comes from the host
 * with an end to what is mounted there later. 0 or an error. */
int dml_native_set_attributes(int tree, uint64_t attributes, bool recursive);

/* filesystems.c: a new file system that is mounted nowhere yet, or an error. */
int dml_native_new_tmpfs(const char *size, const char *mode);
int dml_native_new_devpts(void);
bool dml_native_make_proc(struct dml_native *n);

/* mounts.c: the tree, from the root to the seals; then it becomes the root. */
bool dml_native_build_tree(struct dml_native *n);
bool dml_native_enter_tree(struct dml_native *n);

/* Attaches a mount at a name in `directory`, or at it for "". False with the failure noted. */
bool dml_native_attach_here(struct dml_native *n, int tree, int directory, const char *name,
                            const struct dml_entry *entry);

/* Makes an empty file, for something to be mounted on. 0 or an error, -EEXIST too. */
int dml_native_make_file(int directory, const char *path);

/* dev.c: a mount of /dev without what stands below it, and that. */
int dml_native_new_dev(struct dml_native *n);
bool dml_native_fill_dev(struct dml_native *n, const struct dml_native_mount *mount);

/* privileges.c: no capability, no way to gain one; then the filter, after which little can be done. */
bool dml_native_drop_privileges(struct dml_native *n);
bool dml_native_set_filter(struct dml_native *n);

/* landlock.c: the second wall over the files. */
bool dml_native_restrict_files(struct dml_native *n);

#endif
