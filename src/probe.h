/* What a bwrap binary can do, found out by trying it. */
#ifndef DML_PROBE_H
#define DML_PROBE_H

#include "bwrap.h"

#include <time.h>

/* What was found out about one binary. Zeroed: nothing yet. Belongs to the caller. */
struct dml_probe {
    bool known;
    dev_t device;
    ino_t inode;
    struct timespec changed;
    struct dml_bwrap_features features;
};

/* What the binary at `path` can do. Returns whether that is known; otherwise everything is assumed. */
bool dml_probe_features(const struct dml_probe *probe, const char *path, struct dml_bwrap_features *features);

/* Remembers that the binary at `path` does everything: a launch that assumed so has worked. */
void dml_probe_trust(struct dml_probe *probe, const char *path);

/* Asks the binary at `path` what it can do and remembers the answer in `probe`. False when it cannot be run.
 */
bool dml_probe_run(struct dml_probe *probe, const char *path, struct dml_error *error);

/* Runs `path` with one argument and collects what it prints: at most `size` bytes with the terminator. False
 * with an error when it cannot be run or fails. */
bool dml_probe_output(const char *path, const char *argument, char *buffer, size_t size,
                      struct dml_error *error);

#endif
