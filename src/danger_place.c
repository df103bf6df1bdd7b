/* Places of the host that a bind must not show without a word: where they are. */
#include "danger_private.h"
#include "path.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Where paths led a moment ago, for a program that launches often: each a path and what it resolved to, both
 * ended by a NUL, the second empty where that was the path itself or there was nothing. One thread at a time
 * uses it; the others do without, and so does a process that was forked then. */
static struct {
    atomic_flag taken;
    double when; /* seconds of dml_seconds_now */
    size_t length;
    char texts[4096];
} led = {.taken = ATOMIC_FLAG_INIT};

enum { FEW = 64 /* entries: with more, comparing costs as much as looking */ };

/* What is remembered of `path`, or NULL. */
static const char *recall(const char *path, double now)
{
    if (now - led.when >= 1 || now < led.when)
        led.length = 0;
    for (size_t at = 0; at < led.length;) {
        const char *known = led.texts + at, *target = known + strlen(known) + 1;
        if (strcmp(known, path) == 0)
            return *target ? target : known;
        at = (size_t)(target + strlen(target) + 1 - led.texts);
    }
    return NULL;
}

static void remember(const char *path, const char *target, double now)
{
    bool itself = strcmp(path, target) == 0;
    size_t length = strlen(path) + 1, more = itself ? 1 : strlen(target) + 1;
    if (recall(path, now) || length + more > sizeof led.texts - led.length)
        return;
    if (led.length == 0)
        led.when = now;
    memcpy(led.texts + led.length, path, length);
    memcpy(led.texts + led.length + length, itself ? "" : target, more);
    led.length += length + more;
}

/* Whether the policy binds something that holds `path`, or lies in it. */
static bool concerns(const struct dml_danger_context *c, const char *path)
{
    for (size_t i = 0; i < c->policy->entry_count; i++) {
        const struct dml_entry *bind = &c->policy->entries[i];
        if (dml_danger_is_own_bind(bind) &&
            (dml_path_within(path, bind->source.path) || dml_path_within(bind->source.path, path)))
            return true;
    }
    return false;
}

/* The place where the path led within the last second, when that is none that anything here is about: it need
 * not be there any more. NULL: somebody has to look. */
static const char *elsewhere(struct dml_danger_context *c, const char *path)
{
    if (c->policy->entry_count > FEW || atomic_flag_test_and_set(&led.taken))
        return NULL;
    const char *known = recall(path, c->now);
    if (known && (concerns(c, path) || concerns(c, known)))
        known = NULL;
    const char *copy = known ? dml_arena_string(&c->arena, known) : NULL;
    atomic_flag_clear(&led.taken);
    return copy;
}

static void note(const struct dml_danger_context *c, const char *path, const char *target)
{
    if (atomic_flag_test_and_set(&led.taken))
        return;
    remember(path, target, c->now);
    atomic_flag_clear(&led.taken);
}

/* `reason`: an errno, when there is nothing. */
static struct dml_place look(struct dml_danger_context *c, enum dml_danger danger, const char *path,
                             int *reason)
{
    struct dml_object object;
    const char *written = dml_arena_string(&c->arena, path); /* for as long as the lookup is used */
    bool exists = written && dml_host_resolve(written, &c->lookup, &c->arena, &object);
    *reason = exists ? 0 : written ? errno : ENOMEM;
    if (written && dml_host_is_exhausted(*reason))
        dml_danger_report_unknown(c, path, *reason);
    const char *found = exists ? object.path : written;
    c->problems->failed |= !found;
    return (struct dml_place){danger, found ? found : "?", exists};
}

struct dml_place dml_danger_find_place(struct dml_danger_context *c, enum dml_danger danger, const char *path)
{
    int reason;
    return look(c, danger, path, &reason);
}

struct dml_place dml_danger_find_system_place(struct dml_danger_context *c, enum dml_danger danger,
                                              const char *path)
{
    int reason;
    const char *known = elsewhere(c, path);
    if (known)
        return (struct dml_place){danger, known, false};
    struct dml_place place = look(c, danger, path, &reason);
    if (place.exists || reason == ENOENT || reason == ENOTDIR)
        note(c, path, place.path);
    return place;
}
