/* Memory is bounded by the allocator, time by a hook of the private state. The host's own state has neither.
 */
#include "lua_bounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* One block of 1 MiB bounds what a single instruction can cost: a table of 2^17 chosen integer keys, which
 * fits in 8 MiB, keeps Lua rehashing for six seconds without ever calling the hook. */
#define MAX_BLOCK ((size_t)1 << 20)

/* Instructions between two looks at the clock. STEPS_PER_MS is more than a processor can do: it ends a policy
 * when the clock stands still. */
#define STEP 100
#define STEPS_PER_MS ((int64_t)1 << 15)

/* --- memory --- */

static bool may_allocate(const struct dml_bounds *bounds, size_t held, size_t wanted)
{
    return wanted <= MAX_BLOCK && wanted - held <= bounds->memory_limit - bounds->memory_used;
}

/* The allocator of the private state (lua_Alloc). */
static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct dml_bounds *bounds = context;
    size_t held = block == NULL ? 0 : old_size; /* without a block, `old_size` is a type */
    if (new_size == 0) {
        free(block);
        bounds->memory_used -= held;
        return NULL;
    }
    bool allowed = new_size <= held || may_allocate(bounds, held, new_size);
    void *moved = allowed ? realloc(block, new_size) : NULL;
    if (moved == NULL) {
        bounds->system_refused = allowed;
        return NULL;
    }
    bounds->memory_used = bounds->memory_used - held + new_size;
    return moved;
}

lua_State *dml_bounds_new_state(struct dml_bounds *bounds)
{
    lua_State *L = lua_newstate(allocate, bounds);
    if (L != NULL)
        lua_gc(L, LUA_GCSTOP); /* most policies are over before there is anything to collect */
    return L;
}

struct dml_bounds *dml_bounds_of(lua_State *L)
{
    void *bounds;
    lua_getallocf(L, &bounds);
    return bounds;
}

void dml_bounds_describe_memory(const struct dml_bounds *bounds, char *text, size_t size)
{
    size_t limit = bounds->memory_limit;
    bool even = limit % (1 << 20) == 0;
    if (bounds->system_refused)
        snprintf(text, size, "not enough memory");
    else
        snprintf(text, size, "the policy needs more than %zu %s, or more than 1 MiB in one piece",
                 even ? limit >> 20 : limit >> 10, even ? "MiB" : "KiB");
}

/* --- time --- */

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* What counts is the processor's time: a machine with more to do than it can must not make a policy fail.
 * That clock costs a system call, so it is asked when the time on the wall is over; for a policy never waits.
 */
static bool has_time(struct dml_bounds *bounds)
{
    int64_t wall = now(CLOCK_MONOTONIC);
    if (wall < bounds->deadline.wall)
        return true;
    int64_t left = bounds->deadline.processor - now(CLOCK_THREAD_CPUTIME_ID);
    bounds->deadline.wall = wall + left;
    return left > 0;
}

/* Where the innermost Lua function stands, as "policy.lua:3: ". */
static void record_position(lua_State *L, char *position, size_t size)
{
    lua_Debug frame;
    position[0] = '\0';
    for (int level = 0; lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline > 0) {
            snprintf(position, size, "%s:%d: ", frame.short_src, frame.currentline);
            return;
        }
    }
}

/* Looks at the clock at every call and after every STEP instructions. Once the time is over it stops
 * everything: each further instruction raises again, so that nothing which catches errors can go on. */
static void check_time(lua_State *L, lua_Debug *event)
{
    struct dml_bounds *bounds = dml_bounds_of(L);
    if (event->event == LUA_HOOKCOUNT)
        bounds->steps_left--;
    if (!bounds->collecting && bounds->memory_used > bounds->memory_limit / 16) {
        bounds->collecting = true;
        lua_gc(L, LUA_GCRESTART);
    }
    if (!bounds->out_of_time) {
        if (bounds->steps_left > 0 && has_time(bounds))
            return;
        bounds->out_of_time = true;
        record_position(L, bounds->stopped_at, sizeof bounds->stopped_at);
        lua_sethook(L, check_time, LUA_MASKCALL | LUA_MASKCOUNT, 1);
    }
    lua_pushliteral(L, "out of time");
    lua_error(L);
}

void dml_bounds_start(struct dml_bounds *bounds, lua_State *L)
{
    bounds->out_of_time = bounds->out_of_memory = false;
    bounds->steps_left = bounds->time_ms * STEPS_PER_MS;
    bounds->deadline = dml_bounds_now();
    bounds->deadline.wall += (int64_t)bounds->time_ms * 1000000;
    bounds->deadline.processor += (int64_t)bounds->time_ms * 1000000;
    lua_sethook(L, check_time, LUA_MASKCALL | LUA_MASKCOUNT, STEP);
}

void dml_bounds_stop(lua_State *L)
{
    lua_sethook(L, NULL, 0, 0);
}

struct dml_times dml_bounds_now(void)
{
    return (struct dml_times){.wall = now(CLOCK_MONOTONIC), .processor = now(CLOCK_THREAD_CPUTIME_ID)};
}

void dml_bounds_excuse(struct dml_bounds *bounds, struct dml_times since)
{
    struct dml_times times = dml_bounds_now();
    bounds->deadline.wall += times.wall - since.wall;
    bounds->deadline.processor += times.processor - since.processor;
}

void dml_bounds_describe_time(const struct dml_bounds *bounds, char *text, size_t size)
{
    snprintf(text, size, "%sthe policy runs longer than %d ms", bounds->stopped_at, bounds->time_ms);
}
