/* The bounds of the private Lua state: memory, and time for one call. */
#ifndef DML_LUA_BOUNDS_H
#define DML_LUA_BOUNDS_H

#include <lua.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds on the wall and of this thread on a processor; neither goes back. */
struct dml_times {
    int64_t wall, processor;
};

/* What a state may use, and has used. Set `memory_limit` and `time_ms`, zero the rest. It must not move, and
 * must outlive its state. */
struct dml_bounds {
    size_t memory_used, memory_limit; /* bytes */
    bool system_refused;              /* the last allocation that failed did so for want of real memory */
    int time_ms;                      /* for one call */
    struct dml_times deadline;        /* of this call: over when both are */
    int64_t steps_left;
    bool collecting; /* the state has grown so far that collecting pays */
    bool out_of_time;
    bool out_of_memory;               /* seen by a function that catches errors */
    char stopped_at[LUA_IDSIZE + 16]; /* "policy.lua:3: ", or empty */
};

/* A new state within `bounds`, to be closed by the caller; NULL when not even that fits. */
lua_State *dml_bounds_new_state(struct dml_bounds *bounds);

/* The bounds of a state that was made here. */
struct dml_bounds *dml_bounds_of(lua_State *L);

/* Starts the clock of a call, and stops it. */
void dml_bounds_start(struct dml_bounds *bounds, lua_State *L);
void dml_bounds_stop(lua_State *L);

/* The clocks now; and that what was spent since then does not count. */
struct dml_times dml_bounds_now(void);
void dml_bounds_excuse(struct dml_bounds *bounds, struct dml_times since);

/* Describe in `text` (`size` bytes) why there is no more memory, or, after where it was stopped, why a call
 * had to end: "policy.lua:3: the policy runs longer than 200 ms". */
void dml_bounds_describe_memory(const struct dml_bounds *bounds, char *text, size_t size);
void dml_bounds_describe_time(const struct dml_bounds *bounds, char *text, size_t size);

#endif
