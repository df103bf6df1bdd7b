/* What the checks of binds ask of a bind and of a place. */
#include "danger_private.h"
#include "path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool dml_danger_is_own_bind(const struct dml_entry *entry)
{
    bool bind = entry->kind == DML_BIND_RO || entry->kind == DML_BIND_RW;
    return bind && entry->source.path && entry->rank != DML_RANK_BASE;
}

bool dml_danger_covered(const struct dml_danger_context *c, const struct dml_entry *bind,
                        const char *host_path, bool readonly_will_do)
{
    char inside[2 * DML_PATH_MAX];
    dml_bind_path_inside(inside, bind, host_path);
    const struct dml_entry *nearest = bind;
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *entry = &c->policy->entries[i];
        if (!dml_path_within(inside, entry->sandbox))
            continue; /* most are not, and that is said at a glance */
        if (dml_path_depth(entry->sandbox) > dml_path_depth(nearest->sandbox) ||
            (strcmp(entry->sandbox, nearest->sandbox) == 0 && entry->rank > nearest->rank))
            nearest = entry;
    }
    if (nearest == bind)
        return false;
    switch (nearest->kind) {
    case DML_MASK:
    case DML_TMPFS:
    case DML_DATA: return true;
    case DML_BIND_RO: return readonly_will_do;
    default: return true; /* another bind, checked for itself */
    }
}
