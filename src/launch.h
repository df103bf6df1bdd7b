/* The launch of a plan: everything that the backend needs, in the descriptors where it expects it, and the
 * start. */
#ifndef DML_LAUNCH_H
#define DML_LAUNCH_H

#include "bwrap.h"
#include "cgroup.h"
#include "native/native.h"
#include "plan.h"
#include "probe.h"

struct dml_process;

/* How a process is started: borrowed for the call of `dml_process_start`, but for the plan, which must stay
 * until the process is freed. */
struct dml_start {
    const struct dml_plan *plan;
    const char *bwrap_path;  /* NULL: the native backend */
    struct dml_probe *probe; /* what is known of that binary; a launch that it refuses makes us ask it */
    int standard[3];         /* the command's input, output, error; -1: /dev/null, or the capture below */
    const char *input;       /* bytes for its input instead, or NULL */
    size_t input_length;
    bool capture[3]; /* keep its output (1) or error (2) */
    bool *swept;     /* see dml_cgroup_make */
    int wake;        /* a descriptor, -1: none; when it is readable, `on_wake` is called with `context` */
    void (*on_wake)(void *context, struct dml_process *process);
    void *context;
};

/* What connects us with a launched backend. Every descriptor is ours to close; -1: there is none. */
struct dml_channels {
    pid_t pid;                 /* of bwrap, or of the inner stage itself, to be reaped */
    int pidfd;                 /* of the same */
    int control;               /* to the inner stage */
    int messages;              /* what bwrap says; non-blocking */
    int captured[3];           /* output (1) and error (2), when they are captured; non-blocking */
    struct dml_native *native; /* the native backend's part, to be freed; see native.h */
    unsigned controls;         /* bits of enum dml_control: what the backend applies */
};

/* Launches a plan by its backend, in a cgroup. `deadline`: when the command's time is up, milliseconds of
 * CLOCK_MONOTONIC, 0: never. False when it was not started; `channels` may hold descriptors
 * all the same. */
bool dml_launch(const struct dml_start *start, const struct dml_bwrap_features *features,
                const struct dml_cgroup *cgroup, uint64_t deadline, struct dml_channels *channels,
                struct dml_error *error);

/* From now on what each launch is given alike is made once and stays open until the program ends. For a
 * program that owns its process alone, has one thread and stays in its namespaces. */
void dml_launch_keep(void);

/* "source.changed", "control.unavailable" or "setup.failed": what a failed launch is called. */
const char *dml_launch_code(const struct dml_error *error);

#endif
