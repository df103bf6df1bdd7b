/* Devices of the host: what a policy names is one, or a directory that holds some. */
#ifndef DML_DEVICES_H
#define DML_DEVICES_H

#include "policy.h"

enum {
    DML_DEVICES_DEPTH = 4, /* directories below a named one are looked into */
    DML_DEVICES_MOST = 256 /* entries in such a directory; more are not meant */
};

/* What a directory of devices holds, as entries for a plan: a bind for each device, and links as they are, so
 * that the directories are the sandbox's own. */
struct dml_devices {
    struct dml_entry *entries;
    size_t count, devices;
    bool whole; /* false: it holds more than is looked at, or what cannot be */
};

/* Looks into `directory`, an entry of kind DML_BIND_DEVICE whose source is a directory. The entries are in
 * `arena`, in no order. False with errno when memory or descriptors ran out. */
bool dml_devices_find(const struct dml_entry *directory, struct dml_arena *arena, struct dml_devices *found);

/* Whether the path, below /dev, is one that every sandbox has for itself. */
bool dml_devices_is_own(const char *sandbox);

#endif
