#include "plan.h"
#include "digest.h"
#include "path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct builder {
    struct dml_plan *plan;
    const struct dml_policy *policy;
    const struct dml_host *host;
    struct dml_problems *problems, *warnings;
    struct dml_entry *entries; /* what becomes plan->mounts */
    size_t count, capacity;
    bool failed; /* out of memory */
};

static void add(struct builder *b, struct dml_entry entry)
{
    if (b->count == b->capacity) {
        size_t capacity = b->capacity * 2 + 32;
        struct dml_entry *entries = reallocarray(b->entries, capacity, sizeof *entries);
        if (!entries) {
            b->failed = true;
            return;
        }
        b->entries = entries;
        b->capacity = capacity;
    }
    b->entries[b->count++] = entry;
}

static bool is_host_tree(const struct dml_entry *entry)
{
    return entry->kind == DML_BIND_RO || entry->kind == DML_BIND_RW || entry->kind == DML_PIN;
}

static bool is_default(const struct dml_entry *entry)
{
    return entry->rank == DML_RANK_ENGINE || entry->rank == DML_RANK_BASE;
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
        size_t other_depth = dml_path_depth(other);
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
    if (!covers)
        b->failed = true;
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

static int by_depth(const void *a, const void *b)
{
    const struct dml_entry *x = a, *y = b;
    size_t dx = dml_path_depth(x->sandbox), dy = dml_path_depth(y->sandbox);
    if (dx != dy)
        return dx < dy ? -1 : 1;
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
            if (!is_default(entry))
                dml_problem_add(b->warnings, "entry.shadowed", entry->field, entry->sandbox,
                                strlen(entry->sandbox), "is hidden by %s, which stands at the same path",
                                next->field);
            if (next->kind == DML_MASK) { /* what is masked says whether a file or a directory */
                b->entries[i + 1].source = entry->source;
                if (entry->kind == DML_DATA)
                    b->entries[i + 1].source.mode = S_IFREG;
            }
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
    case DML_BIND_RW: return S_ISDIR(entry->source.mode);
    case DML_DATA:
    case DML_SYMLINK: return false;
    default: return true;
    }
}

static void misplaced(struct builder *b, const struct dml_entry *entry, const char *code, const char *format,
                      const char *above)
{
    char message[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(message, sizeof message, format, above);
#pragma GCC diagnostic pop
    dml_problem_add(b->problems, code, entry->field, entry->sandbox, strlen(entry->sandbox), "%s", message);
}

/* Whether an entry may stand where it is. An entry below a host tree must find its place there, since making
 * it would change the host. What the policy did not ask for goes silently when it has no place. */
static bool find_place(struct builder *b, struct dml_entry *entry)
{
    const struct dml_entry *above = deepest_ordered(b->entries, b->count, entry->sandbox, true);
    bool file = above && (above->kind == DML_DATA || (above->kind == DML_MASK && !above->directory));
    if (!above || !(is_host_tree(above) || above->kind == DML_SYMLINK || file))
        return true;
    bool silent = is_default(entry);
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
        if (silent)
            return false;
        if (reason == ENOENT || reason == ENOTDIR)
            misplaced(b, entry, "entry.missing",
                      "is not there in what is bound at %s, and nothing is ever created on the host; create "
                      "it first",
                      above->sandbox);
        else if (reason == ELOOP || reason == EXDEV)
            misplaced(b, entry, "entry.symlink",
                      "has a symbolic link on its way below %s; write the path that it leads to",
                      above->sandbox);
        else
            misplaced(b, entry, "entry.unreadable", "cannot be looked up below %s", above->sandbox);
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

static bool is_protection(const struct dml_entry *entry)
{
    return entry->kind == DML_BIND_RO || entry->kind == DML_MASK || entry->kind == DML_DATA ||
           entry->kind == DML_TMPFS;
}

/* Binds the directory `path`, which lies in the writable tree `tree`, onto itself. */
static void add_pin(struct builder *b, const struct dml_entry *tree, const char *path, const char *because)
{
    struct dml_entry pin = {.kind = DML_PIN, .rank = DML_RANK_ENGINE, .sandbox = path, .field = because};
    const char *host = dml_arena_format(&b->plan->arena, "%s/%s",
                                        strcmp(tree->source.path, "/") == 0 ? "" : tree->source.path,
                                        dml_path_below(path, tree->sandbox));
    if (!host || !dml_host_resolve(host, &b->plan->arena, &pin.source)) {
        b->failed |= !host || errno == ENOMEM;
        misplaced(b, &pin, "entry.unreadable", "cannot be looked up below %s", tree->sandbox);
        return;
    }
    pin.host = host;
    add(b, pin);
}

/* The deepest of the first `ordered` entries and of the pins that stand behind them. */
static const struct dml_entry *pinned_or_ordered(const struct builder *b, size_t ordered, const char *path)
{
    const struct dml_entry *pin = deepest(b->entries + ordered, b->count - ordered, path, false);
    const struct dml_entry *entry = deepest_ordered(b->entries, ordered, path, false);
    return pin && (!entry || strlen(pin->sandbox) > strlen(entry->sandbox)) ? pin : entry;
}

/* A protection below a writable tree holds only while no directory on the way can be renamed: a directory
 * that is a mount point cannot. */
static void pin_ancestors(struct builder *b, size_t ordered, const struct dml_entry *protection)
{
    char *path = dml_arena_string(&b->plan->arena, protection->sandbox);
    for (char *slash = path ? strrchr(path, '/') : NULL; slash && slash > path; slash = strrchr(path, '/')) {
        *slash = '\0';
        const struct dml_entry *at = pinned_or_ordered(b, ordered, path);
        if (at && (at->kind == DML_BIND_RW || at->kind == DML_PIN) && strcmp(at->sandbox, path) != 0) {
            struct dml_entry tree = *at;
            const char *pinned = dml_arena_string(&b->plan->arena, path);
            if (pinned)
                add_pin(b, &tree, pinned, protection->field);
        }
    }
    b->failed |= !path;
}

static void add_pins(struct builder *b)
{
    size_t count = b->count;
    for (size_t i = 0; i < count; i++) {
        struct dml_entry protection = b->entries[i];
        if (is_protection(&protection))
            pin_ancestors(b, count, &protection);
    }
    if (b->count > count)
        qsort(b->entries, b->count, sizeof *b->entries, by_depth);
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

static bool copy_strings(struct builder *b)
{
    struct dml_arena *arena = &b->plan->arena;
    b->plan->mounts = dml_arena_array(arena, b->count, sizeof *b->plan->mounts);
    if (!b->plan->mounts)
        return false;
    for (size_t i = 0; i < b->count; i++) {
        struct dml_entry *mount = &b->plan->mounts[i];
        *mount = b->entries[i];
        mount->sandbox = dml_arena_string(arena, mount->sandbox);
        mount->host = dml_arena_string(arena, mount->host);
        mount->source.path = dml_arena_string(arena, mount->source.path);
        mount->field = dml_arena_string(arena, mount->field);
        mount->data = mount->data ? dml_arena_copy(arena, mount->data, mount->length) : NULL;
        if (mount->kind == DML_TMPFS && mount->size == 0)
            mount->size = b->plan->limits.value[DML_LIMIT_TMP];
        if (!mount->sandbox || !mount->field)
            return false;
    }
    b->plan->mount_count = b->count;
    return true;
}

static bool build_mounts(struct builder *b)
{
    add_engine_entries(b);
    for (size_t i = 0; i < b->policy->entry_count; i++)
        add(b, b->policy->entries[i]);
    if (b->failed)
        return false;
    order_entries(b);
    place_entries(b);
    add_pins(b);
    open_masks_on_the_way(b);
    arrange(b);
    return !b->failed && copy_strings(b);
}

/* --- environment, command, directory --- */

struct variable {
    const char *name, *value; /* value NULL: left out */
    bool passed;              /* from the caller */
};

struct environment {
    struct dml_arena *arena;
    struct variable *items;
    size_t count, capacity;
    bool failed;
};

static void set_variable(struct environment *env, const char *name, const char *value, bool passed)
{
    for (size_t i = 0; i < env->count; i++) {
        if (strcmp(env->items[i].name, name) == 0) {
            env->items[i].value = value;
            env->items[i].passed = passed;
            return;
        }
    }
    if (env->count == env->capacity) {
        size_t capacity = env->capacity * 2 + 16;
        struct variable *items = dml_arena_array(env->arena, capacity, sizeof *items);
        if (!items) {
            env->failed = true;
            return;
        }
        if (env->count)
            memcpy(items, env->items, env->count * sizeof *items);
        env->items = items;
        env->capacity = capacity;
    }
    env->items[env->count++] = (struct variable){name, value, passed};
}

/* Passes every variable of the caller through whose name starts with `prefix`. */
static void pass_pattern(struct environment *env, const struct dml_host *host, const char *prefix,
                         size_t length)
{
    for (char *const *at = host->environment; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        if (!equals || strncmp(*at, prefix, length) != 0)
            continue;
        const char *name = dml_arena_copy(env->arena, *at, (size_t)(equals - *at));
        if (name)
            set_variable(env, name, equals + 1, true);
        else
            env->failed = true;
    }
}

static void apply_rule(struct environment *env, const struct dml_host *host, const struct dml_env_rule *rule)
{
    size_t length = strlen(rule->name);
    bool own = strcmp(rule->name, "HOME") == 0 || strcmp(rule->name, "USER") == 0;
    switch (rule->action) {
    case DML_ENV_SET: set_variable(env, rule->name, rule->value, false); break;
    case DML_ENV_OMIT: set_variable(env, rule->name, NULL, false); break;
    case DML_ENV_PASS:
        if (length && rule->name[length - 1] == '*')
            pass_pattern(env, host, rule->name, length - 1);
        else if (!own)
            set_variable(env, rule->name, dml_host_getenv(host, rule->name), true);
        break;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct variable *)a)->name, ((const struct variable *)b)->name);
}

static const char *user_name(const struct builder *b)
{
    const char *name = b->policy->caller ? dml_host_getenv(b->host, "USER") : NULL;
    return name ? name : "nobody";
}

static bool build_environment(struct builder *b)
{
    struct environment env = {.arena = &b->plan->arena};
    set_variable(&env, "HOME", "/work", false);
    set_variable(&env, "USER", user_name(b), false);
    for (size_t i = 0; i < b->policy->env_count; i++)
        apply_rule(&env, b->host, &b->policy->env[i]);
    if (env.failed)
        return false;
    qsort(env.items, env.count, sizeof *env.items, by_name);
    b->plan->env = dml_arena_array(&b->plan->arena, env.count + 1, sizeof *b->plan->env);
    b->plan->env_passed = dml_arena_array(&b->plan->arena, env.count, sizeof *b->plan->env_passed);
    if (!b->plan->env || !b->plan->env_passed)
        return false;
    for (size_t i = 0; i < env.count; i++) {
        if (!env.items[i].value)
            continue;
        char *text = dml_arena_format(&b->plan->arena, "%s=%s", env.items[i].name, env.items[i].value);
        if (!text)
            return false;
        b->plan->env_passed[b->plan->env_count] = env.items[i].passed;
        b->plan->env[b->plan->env_count++] = text;
    }
    return true;
}

enum { LONGEST_ARGUMENT = 131071 }; /* Linux: MAX_ARG_STRLEN less the NUL */

static bool build_command(struct builder *b, size_t argc, const char *const *argv)
{
    struct dml_plan *plan = b->plan;
    size_t total = 0;
    plan->argv = dml_arena_array(&plan->arena, argc + 1, sizeof *plan->argv);
    if (!plan->argv)
        return false;
    for (size_t i = 0; i < argc; i++) {
        char field[48];
        size_t length = strlen(argv[i]);
        snprintf(field, sizeof field, "command[%zu]", i + 1);
        if (i == 0 && length == 0)
            dml_problem_add(b->problems, "command.empty", field, "", 0, "the program's name is empty");
        if (length > LONGEST_ARGUMENT)
            dml_problem_add(b->problems, "command.long", field, argv[i], length,
                            "has %zu bytes; the kernel takes at most %d in one argument", length,
                            LONGEST_ARGUMENT);
        total += length + 1 + sizeof(char *);
        if (!(plan->argv[i] = dml_arena_string(&plan->arena, argv[i])))
            return false;
    }
    plan->argc = argc;
    for (size_t i = 0; i < plan->env_count; i++)
        total += strlen(plan->env[i]) + 1 + sizeof(char *);
    struct rlimit stack;
    size_t most = 6 * 1024 * 1024; /* the kernel's own bound, whatever the stack */
    if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur / 4 < most)
        most = stack.rlim_cur / 4 < LONGEST_ARGUMENT ? LONGEST_ARGUMENT : stack.rlim_cur / 4;
    if (total + 4096 > most)
        dml_problem_add(b->problems, "command.long", "command", NULL, 0,
                        "command and environment have %zu bytes; the kernel takes at most %zu", total,
                        most - 4096);
    return true;
}

/* Whether something in the plan lies below `path`, so that the directory is made for it. */
static bool is_on_the_way(const struct dml_plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        if (dml_path_within(plan->mounts[i].sandbox, path))
            return true;
    }
    return false;
}

/* Whether the working directory will be there. What a link inside a bound tree leads to is left to the
 * launch. */
static void check_directory(struct builder *b, const char *path)
{
    const struct dml_plan *plan = b->plan;
    const struct dml_entry *at = dml_plan_mount_at(plan, path, false);
    size_t length = strlen(path);
    mode_t mode = 0;
    bool here = at && strcmp(at->sandbox, path) == 0;
    if (at && at->kind == DML_MASK) {
        dml_problem_add(b->problems, "chdir.masked", "chdir", path, length, "is hidden by the mask %s",
                        at->field);
    } else if (at && is_host_tree(at)) {
        if (!dml_host_inspect(at->source.path, dml_path_below(path, at->sandbox), &mode)) {
            if (errno == ENOENT || errno == ENOTDIR)
                dml_problem_add(b->problems, "chdir.missing", "chdir", path, length,
                                "is not there in what is bound at %s", at->sandbox);
        } else if (!S_ISDIR(mode) && !S_ISLNK(mode)) {
            dml_problem_add(b->problems, "chdir.missing", "chdir", path, length, "is no directory");
        }
    } else if (at && at->kind == DML_DATA) {
        dml_problem_add(b->problems, "chdir.missing", "chdir", path, length, "is no directory");
    } else if (!here && strcmp(path, "/") != 0 && (!at || at->kind == DML_TMPFS) &&
               !is_on_the_way(plan, path)) {
        dml_problem_add(b->problems, "chdir.missing", "chdir", path, length,
                        "will not be there; bind something at it, or put a tmpfs there");
    }
}

static void choose_directory(struct builder *b)
{
    struct dml_plan *plan = b->plan;
    const char *wanted = b->policy->chdir ? b->policy->chdir : b->policy->project;
    if (!wanted)
        wanted = dml_plan_mount_at(plan, "/work", false) || is_on_the_way(plan, "/work") ? "/work" : "/";
    const struct dml_entry *root = dml_plan_mount_at(plan, "/", false);
    bool given = b->policy->chdir || b->policy->project;
    if (!given && root && is_host_tree(root) && dml_plan_mount_at(plan, "/work", false) == root)
        wanted = "/"; /* the whole host is bound, and it has no /work */
    plan->chdir = dml_arena_string(&plan->arena, wanted);
    if (plan->chdir)
        check_directory(b, plan->chdir);
    else
        b->failed = true;
}

static void copy_settings(struct builder *b)
{
    const struct dml_policy *policy = b->policy;
    struct dml_plan *plan = b->plan;
    plan->network = policy->network;
    plan->tty = policy->tty;
    plan->nested = policy->nested;
    plan->seccomp = policy->seccomp != DML_SECCOMP_OFF;
    plan->uid = policy->caller ? b->host->uid : DML_NOBODY;
    plan->gid = policy->caller ? b->host->gid : DML_NOBODY;
    plan->hostname = dml_arena_string(&plan->arena, policy->hostname);
    plan->name = dml_arena_string(&plan->arena, policy->name);
    plan->limits = policy->limits;
    double share = policy->limits.tmp_share > 0 ? policy->limits.tmp_share : 0.25;
    if (!policy->limits.has[DML_LIMIT_TMP] || policy->limits.tmp_share > 0)
        plan->limits.value[DML_LIMIT_TMP] = (uint64_t)((double)b->host->memory * share);
    plan->limits.value[DML_LIMIT_TMP] &= ~(uint64_t)4095;
}

struct dml_plan *dml_plan_new(const struct dml_policy *policy, const struct dml_host *host, size_t argc,
                              const char *const *argv, struct dml_problems *problems,
                              struct dml_problems *warnings)
{
    struct dml_plan *plan = calloc(1, sizeof *plan);
    struct builder b = {
        .plan = plan, .policy = policy, .host = host, .problems = problems, .warnings = warnings};
    size_t before = problems->count;
    bool built = false;
    if (plan) {
        copy_settings(&b);
        built = build_mounts(&b) && build_environment(&b) && build_command(&b, argc, argv);
        if (built)
            choose_directory(&b);
    }
    free(b.entries);
    if (!built || b.failed || problems->count > before) {
        dml_plan_free(plan);
        return NULL;
    }
    dml_digest_plan(plan, plan->digest);
    return plan;
}

void dml_plan_free(struct dml_plan *plan)
{
    if (!plan)
        return;
    dml_arena_clear(&plan->arena);
    free(plan);
}
