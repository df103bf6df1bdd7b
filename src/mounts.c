#include "mounts.h"
#include "devices.h"
#include "path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct builder {
    struct dml_plan *plan;
    const struct dml_policy *policy;
    const struct dml_host *host;
    struct dml_problems *problems, *warnings;
    struct dml_entry *entries; /* what becomes plan->mounts */
    size_t count, capacity;
    struct dml_entry *shadowed; /* what becomes plan->shadowed */
    size_t shadowed_count, shadowed_capacity;
    bool failed; /* out of memory */
};

static void append(struct builder *b, struct dml_entry **list, size_t *count, size_t *capacity,
                   const struct dml_entry *entry)
{
    if (*count == *capacity) {
        size_t larger = *capacity * 2 + 32;
        struct dml_entry *entries = reallocarray(*list, larger, sizeof *entries);
        if (!entries) {
            b->failed = true;
            return;
        }
        *list = entries;
        *capacity = larger;
    }
    (*list)[(*count)++] = *entry;
}

static void add(struct builder *b, struct dml_entry entry)
{
    entry.depth = dml_path_depth(entry.sandbox);
    append(b, &b->entries, &b->count, &b->capacity, &entry);
}

static void add_shadowed(struct builder *b, const struct dml_entry *entry)
{
    append(b, &b->shadowed, &b->shadowed_count, &b->shadowed_capacity, entry);
}

bool dml_is_host_tree(const struct dml_entry *entry)
{
    return entry->kind == DML_BIND_RO || entry->kind == DML_BIND_RW || entry->kind == DML_PIN;
}

bool dml_is_of_host(const struct dml_entry *entry)
{
    return dml_is_host_tree(entry) || entry->kind == DML_BIND_DEVICE;
}

static const struct dml_entry *deepest(const struct dml_entry *entries, size_t count, const char *path,
                                       bool strictly)
{
    const struct dml_entry *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct dml_entry *entry = &entries[i];
        if (dml_path_within(path, entry->sandbox) && !(strictly && strcmp(path, entry->sandbox) == 0) &&
            entry->kind != DML_SEAL && (!found || strlen(entry->sandbox) >= strlen(found->sandbox)))
            found = entry;
    }
    return found;
}

/* The entry at the first `length` bytes of `path`, which have `depth` components, among entries ordered
 * by_depth. */
static const struct dml_entry *exactly_at(const struct dml_entry *entries, size_t count, const char *path,
                                          size_t length, size_t depth)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = entries[middle].sandbox;
        size_t other_depth = entries[middle].depth;
        int order = depth != other_depth ? (depth < other_depth ? -1 : 1) : strncmp(path, other, length);
        if (order == 0 && other[length] == '\0')
            return &entries[middle];
        if (order <= 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Like deepest, for entries ordered by_depth: a look at each ancestor instead of at each entry. */
static const struct dml_entry *deepest_ordered(const struct dml_entry *entries, size_t count,
                                               const char *path, bool strictly)
{
    size_t length = strcmp(path, "/") == 0 ? 0 : strlen(path), depth = dml_path_depth(path);
    for (bool self = true;; self = false) {
        const struct dml_entry *found = NULL;
        if (!(self && strictly))
            found = depth ? exactly_at(entries, count, path, length, depth)
                          : exactly_at(entries, count, "/", 1, 0);
        if (found || depth == 0)
            return found;
        while (length && path[length - 1] != '/')
            length--;
        length -= length > 0; /* the slash itself */
        depth--;
    }
}

const struct dml_entry *dml_plan_mount_at(const struct dml_plan *plan, const char *path, bool strictly)
{
    return deepest(plan->mounts, plan->mount_count, path, strictly);
}

bool dml_plan_nests_in_writable(const struct dml_plan *plan)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct dml_entry *tree = &plan->mounts[i];
        for (size_t j = i + 1;
             tree->kind == DML_BIND_RW && S_ISDIR(tree->source.mode) && j < plan->mount_count; j++) {
            if (dml_path_within(plan->mounts[j].sandbox, tree->sandbox) && plan->mounts[j].kind != DML_SEAL)
                return true;
        }
    }
    return false;
}

/* --- what stands where --- */

static void add_tmpfs(struct builder *b, const char *sandbox, unsigned mode)
{
    add(b,
        (struct dml_entry){
            .kind = DML_TMPFS, .rank = DML_RANK_ENGINE, .sandbox = sandbox, .mode = mode, .field = "engine"});
}

/* /proc, /dev, /tmp and the private /work. They are there unless the policy puts something else in their
 * place. */
static void add_engine_entries(struct builder *b)
{
    add(b,
        (struct dml_entry){.kind = DML_PROC, .rank = DML_RANK_ENGINE, .sandbox = "/proc", .field = "engine"});
    const char **covers = dml_host_proc_covers(b->host, &b->plan->arena);
    if (!covers && errno == ENOMEM)
        b->failed = true;
    else if (!covers)
        dml_problem_add(b->problems, "host.unknown", "", "/proc", 5, "cannot be looked up: %s",
                        errno == ENODATA ? "it shows nothing but processes (subset=pid), so what root could "
                                           "write to inside is not known"
                                         : strerror(errno));
    for (size_t i = 0; covers && covers[i]; i++)
        add(b, (struct dml_entry){.kind = DML_COVER,
                                  .rank = DML_RANK_ENGINE,
                                  .sandbox = covers[i],
                                  .host = covers[i],
                                  .field = "engine"});
    add(b,
        (struct dml_entry){.kind = DML_DEV, .rank = DML_RANK_ENGINE, .sandbox = "/dev", .field = "engine"});
    add_tmpfs(b, "/dev/shm", 01777);
    add_tmpfs(b, "/tmp", 01777);
    add_tmpfs(b, "/work", 0755);
}

/* What a directory of devices holds takes its place. */
static void add_devices(struct builder *b, const struct dml_entry *directory)
{
    struct dml_devices found;
    if (!dml_devices_find(directory, &b->plan->arena, &found)) {
        b->failed |= errno == ENOMEM;
        dml_problem_add(b->problems, "device.unreadable", directory->field, directory->source.path,
                        strlen(directory->source.path), "cannot be looked into: %s", strerror(errno));
        return;
    }
    for (size_t i = 0; i < found.count; i++)
        add(b, found.entries[i]);
}

static void add_policy_entries(struct builder *b)
{
    for (size_t i = 0; i < b->policy->entry_count; i++) {
        const struct dml_entry *entry = &b->policy->entries[i];
        if (entry->kind == DML_BIND_DEVICE && S_ISDIR(entry->source.mode))
            add_devices(b, entry);
        else
            add(b, *entry);
    }
}

static int by_depth(const void *a, const void *b)
{
    const struct dml_entry *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    int order = strcmp(x->sandbox, y->sandbox);
    return order ? order : (int)x->rank - (int)y->rank;
}

/* Parents first; on the same path the later kind of entry wins and the others go. */
static void order_entries(struct builder *b)
{
    qsort(b->entries, b->count, sizeof *b->entries, by_depth);
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        struct dml_entry *entry = &b->entries[i];
        const struct dml_entry *next = i + 1 < b->count ? entry + 1 : NULL;
        if (next && strcmp(entry->sandbox, next->sandbox) == 0) {
            if (!dml_is_default(entry))
                dml_problem_add(b->warnings, "entry.shadowed", entry->field, entry->sandbox,
                                strlen(entry->sandbox), "is hidden by %s, which stands at the same path",
                                next->field);
            if (next->kind == DML_MASK) { /* what is masked says whether a file or a directory */
                b->entries[i + 1].source = entry->source;
                b->entries[i + 1].hides = true;
                if (entry->kind == DML_DATA)
                    b->entries[i + 1].source.mode = S_IFREG;
            }
            add_shadowed(b, entry);
            continue;
        }
        b->entries[kept++] = *entry;
    }
    b->count = kept;
}

static bool wants_directory(const struct dml_entry *entry)
{
    switch (entry->kind) {
    case DML_BIND_RO:
    case DML_BIND_RW:
    case DML_BIND_DEVICE: return S_ISDIR(entry->source.mode);
    case DML_DATA:
    case DML_SYMLINK: return false;
    default: return true;
    }
}

__attribute__((format(printf, 4, 5))) static void misplaced(struct builder *b, const struct dml_entry *entry,
                                                            const char *code, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    dml_problem_add(b->problems, code, entry->field, entry->sandbox, strlen(entry->sandbox), "%s", message);
}

static void unreadable(struct builder *b, const struct dml_entry *entry, const struct dml_entry *above,
                       int reason)
{
    dml_problem_add(b->problems, "entry.unreadable", entry->field, entry->sandbox, strlen(entry->sandbox),
                    "cannot be looked up below %s: %s", above->sandbox, strerror(reason));
}

/* Whether an entry may stand where it is. An entry below a host tree must find its place there, since making
 * it would change the host. What the policy did not ask for goes silently when it has no place. */
static bool find_place(struct builder *b, struct dml_entry *entry)
{
    const struct dml_entry *above = deepest_ordered(b->entries, b->count, entry->sandbox, true);
    bool file = above && (above->kind == DML_DATA || (above->kind == DML_MASK && !above->directory));
    if (!above || !(dml_is_host_tree(above) || above->kind == DML_SYMLINK || file))
        return true;
    bool silent = dml_is_default(entry);
    if (above->kind == DML_SYMLINK || file) {
        if (!silent)
            misplaced(b, entry, "entry.misplaced",
                      above->kind == DML_SYMLINK
                          ? "lies below %s, which is a symbolic link; write the path it leads to"
                          : "lies below %s, which is a file",
                      above->sandbox);
        return false;
    }
    mode_t mode;
    if (!dml_host_inspect(above->source.path, dml_path_below(entry->sandbox, above->sandbox), &mode)) {
        int reason = errno;
        if (silent && !dml_host_is_exhausted(reason))
            return false;
        bool missing = reason == ENOENT || reason == ENOTDIR;
        if (missing && entry->kind == DML_MASK && entry->optional)
            return false;
        if (missing)
            misplaced(b, entry, "entry.missing",
                      "is not there in what is bound at %s, and nothing is ever created on the host; create "
                      "it first%s",
                      above->sandbox, entry->kind == DML_MASK ? ", or mark the mask optional = true" : "");
        else if (reason == ELOOP || reason == EXDEV)
            misplaced(b, entry, "entry.symlink",
                      "has a symbolic link on its way below %s; write the path that it leads to",
                      above->sandbox);
        else
            unreadable(b, entry, above, reason);
        return false;
    }
    if (S_ISLNK(mode) || entry->kind == DML_SYMLINK) {
        if (!silent)
            misplaced(b, entry, "entry.symlink",
                      S_ISLNK(mode)
                          ? "is a symbolic link in what is bound at %s; write the path that it leads to"
                          : "would have to be made in what is bound at %s, on the host",
                      above->sandbox);
        return false;
    }
    if (entry->kind == DML_MASK) {
        entry->source.mode = mode;
        entry->hides = true;
    } else if (S_ISDIR(mode) != wants_directory(entry)) {
        if (!silent)
            misplaced(b, entry, "entry.kind",
                      S_ISDIR(mode) ? "is a directory in what is bound at %s; a file cannot stand on it"
                                    : "is a file in what is bound at %s; a directory cannot stand on it",
                      above->sandbox);
        return false;
    }
    return true;
}

static void place_entries(struct builder *b)
{
    for (size_t i = 0; i < b->count;) {
        struct dml_entry *entry = &b->entries[i];
        if (!find_place(b, entry)) {
            add_shadowed(b, entry);
            memmove(entry, entry + 1, (b->count - i - 1) * sizeof *entry);
            b->count--;
            continue;
        }
        if (entry->kind == DML_MASK) /* over nothing it becomes an empty directory */
            entry->directory = entry->source.mode == 0 || S_ISDIR(entry->source.mode);
        i++;
    }
}

/* --- pins --- */

/* Whether the command must not get at what lies under an entry in a writable tree. Only where the entry shows
 * just that, writable too, there is nothing to protect. */
static bool is_protection(struct builder *b, const struct dml_entry *entry, const struct dml_entry *tree)
{
    if (entry->kind != DML_BIND_RW)
        return true;
    const char *place = dml_bind_path_outside(tree, entry->sandbox, &b->plan->arena);
    b->failed |= !place;
    return place && strcmp(place, entry->source.path) != 0;
}

/* Binds the directory `path`, which lies in the writable tree `tree`, onto itself. */
static void add_pin(struct builder *b, const struct dml_entry *tree, const char *path, const char *because)
{
    struct dml_entry pin = {.kind = DML_PIN, .rank = DML_RANK_ENGINE, .sandbox = path, .field = because};
    const char *host = dml_bind_path_outside(tree, path, &b->plan->arena);
    if (!host || !dml_host_resolve(host, NULL, &b->plan->arena, &pin.source)) {
        b->failed |= !host || errno == ENOMEM;
        unreadable(b, &pin, tree, errno);
        return;
    }
    pin.host = host;
    add(b, pin);
}

static bool is_pinned(const struct builder *b, size_t ordered, const char *path)
{
    for (size_t i = b->count; i-- > ordered;) { /* the latest is the nearest */
        if (strcmp(b->entries[i].sandbox, path) == 0)
            return true;
    }
    return false;
}

/* Pins the directories between a writable tree and an entry in it, innermost first: above one that is pinned
 * all are. */
static void pin_between(struct builder *b, size_t ordered, const struct dml_entry *tree,
                        const struct dml_entry *entry, const char *because)
{
    char *path = dml_arena_string(&b->plan->arena, entry->sandbox);
    b->failed |= !path;
    for (size_t depth = entry->depth; path && depth > tree->depth + 1; depth--) {
        *strrchr(path, '/') = '\0';
        const char *pinned = is_pinned(b, ordered, path) ? NULL : dml_arena_string(&b->plan->arena, path);
        if (!pinned)
            return;
        add_pin(b, tree, pinned, because);
    }
}

/* In a mount namespace of its own a command can rename what is a mount point in ours. */
static void refuse_nested(struct builder *b, const struct dml_entry *tree, const struct dml_entry *protection)
{
    if (dml_is_default(protection))
        return;
    dml_problem_add(b->problems, "nested.protection", protection->field, protection->sandbox,
                    strlen(protection->sandbox),
                    "is not safe with nested: in a namespace of its own the command can rename it out of the "
                    "way, in what %s makes writable; take out one of the three",
                    tree->field);
}

/* What stands in a writable tree protects only while no directory on the way can be renamed: a directory that
 * is a mount point cannot. */
static void pin_ancestors(struct builder *b, size_t ordered, size_t index)
{
    const char *because = b->entries[index].field;
    struct dml_entry entry = b->entries[index]; /* copies: adding moves them */
    const struct dml_entry *above = deepest_ordered(b->entries, ordered, entry.sandbox, true);
    if (!above || above->kind != DML_BIND_RW || !is_protection(b, &entry, above))
        return;
    if (b->policy->nested)
        refuse_nested(b, above, &entry);
    for (; above; above = deepest_ordered(b->entries, ordered, entry.sandbox, true)) {
        struct dml_entry tree = *above;
        if (tree.kind == DML_BIND_RW)
            pin_between(b, ordered, &tree, &entry, because);
        entry = tree;
    }
}

static void add_pins(struct builder *b)
{
    size_t count = b->count;
    for (size_t i = 0; i < count; i++)
        pin_ancestors(b, count, i);
    if (b->count > count)
        qsort(b->entries, b->count, sizeof *b->entries, by_depth);
}

/* --- what stands alone --- */

/* The inner stage has to see what stands there, without privileges: the owner may give itself the permission
 * later. */
static bool is_passable(const struct dml_entry *entry)
{
    return entry->kind != DML_TMPFS || entry->mode & 0100;
}

static void find_lone(struct builder *b)
{
    bool *ours = calloc(b->count + 1, sizeof *ours); /* above it is nothing of the host's, nor a barrier */
    b->failed |= !ours;
    for (size_t i = 0; ours && i < b->count; i++) {
        const struct dml_entry *above = deepest_ordered(b->entries, b->count, b->entries[i].sandbox, true);
        size_t at = above ? (size_t)(above - b->entries) : 0;
        ours[i] = !above || (ours[at] && !dml_is_host_tree(above) && is_passable(above));
        b->entries[i].lone = ours[i];
        if (above) /* it comes before what stands in it */
            b->entries[at].lone = false;
    }
    free(ours);
}

/* --- what becomes read-only once everything is in place --- */

static void add_seal(struct builder *b, const char *sandbox)
{
    add(b,
        (struct dml_entry){.kind = DML_SEAL, .rank = DML_RANK_ENGINE, .sandbox = sandbox, .field = "engine"});
}

static bool is_engine_tree(const struct dml_entry *entry)
{
    return dml_path_within(entry->sandbox, "/proc") || dml_path_within(entry->sandbox, "/dev");
}

/* The order of the launch: the root, our own /proc and /dev, the rest by depth, and at the end what becomes
 * read-only then. bwrap's work for each mount grows with the mounts before it, so what is always there comes
 * first. */
static void arrange(struct builder *b)
{
    struct dml_entry *ordered = b->entries;
    size_t count = b->count;
    bool root_is_ours = count == 0 || strcmp(ordered[0].sandbox, "/") != 0;
    b->entries = NULL;
    b->count = b->capacity = 0;
    if (!root_is_ours)
        add(b, ordered[0]);
    bool dev = false; /* a bound root may have no place for it */
    for (size_t i = 0; i < count; i++) {
        dev |= ordered[i].kind == DML_DEV;
        if (is_engine_tree(&ordered[i]))
            add(b, ordered[i]);
    }
    if (dev)
        add_seal(b, "/dev");
    for (size_t i = root_is_ours ? 0 : 1; i < count; i++) {
        if (!is_engine_tree(&ordered[i]))
            add(b, ordered[i]);
    }
    for (size_t i = count; i-- > 0;) { /* deepest first, so that none hides another */
        if (ordered[i].kind == DML_MASK && ordered[i].directory)
            add_seal(b, ordered[i].sandbox);
    }
    if (root_is_ours)
        add_seal(b, "/");
    free(ordered);
}

/* A masked directory with something below it must be passable. */
static void open_masks_on_the_way(struct builder *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct dml_entry *mask = &b->entries[i];
        for (size_t j = i + 1; mask->kind == DML_MASK && mask->directory && j < b->count; j++) {
            if (dml_path_within(b->entries[j].sandbox, mask->sandbox))
                mask->mode = 0111;
        }
    }
}

/* The entries with all that they point to in the plan's arena, or NULL. */
static struct dml_entry *copy_entries(struct builder *b, const struct dml_entry *entries, size_t count)
{
    struct dml_arena *arena = &b->plan->arena;
    struct dml_entry *copies = dml_arena_array(arena, count, sizeof *copies);
    for (size_t i = 0; copies && i < count; i++) {
        struct dml_entry *copy = &copies[i];
        *copy = entries[i];
        copy->sandbox = dml_arena_string(arena, copy->sandbox);
        copy->host = dml_arena_string(arena, copy->host);
        copy->source.path = dml_arena_string(arena, copy->source.path);
        copy->field = dml_arena_string(arena, copy->field);
        copy->data = copy->data ? dml_arena_copy(arena, copy->data, copy->length) : NULL;
        if (copy->kind == DML_TMPFS && copy->size == 0)
            copy->size = b->plan->limits.value[DML_LIMIT_TMP];
        if (!copy->sandbox || !copy->field)
            return NULL;
    }
    return copies;
}

static bool copy_to_plan(struct builder *b)
{
    struct dml_plan *plan = b->plan;
    plan->mounts = copy_entries(b, b->entries, b->count);
    plan->mount_count = b->count;
    for (size_t i = 0; i < b->shadowed_count; i++) /* what they hold is of no use any more */
        b->shadowed[i].data = NULL;
    plan->shadowed = copy_entries(b, b->shadowed, b->shadowed_count);
    plan->shadowed_count = b->shadowed_count;
    return plan->mounts && plan->shadowed;
}

static bool build(struct builder *b)
{
    add_engine_entries(b);
    add_policy_entries(b);
    if (b->failed)
        return false;
    order_entries(b);
    place_entries(b);
    add_pins(b);
    open_masks_on_the_way(b);
    find_lone(b);
    arrange(b);
    return !b->failed && copy_to_plan(b);
}

bool dml_mounts_build(struct dml_plan *plan, const struct dml_policy *policy, const struct dml_host *host,
                      struct dml_problems *problems, struct dml_problems *warnings)
{
    struct builder b = {
        .plan = plan, .policy = policy, .host = host, .problems = problems, .warnings = warnings};
    bool built = build(&b);
    free(b.entries);
    free(b.shadowed);
    return built;
}
