/* What process.c and outcome.c share: a launched plan from the inside. */
#ifndef DML_PROCESS_PRIVATE_H
#define DML_PROCESS_PRIVATE_H

#include "process.h"
#include "stage_message.h"

#include <stdint.h>

enum {
    DML_MESSAGES = 4096 - 1, /* bytes kept of what bwrap says */
    DML_LAST_WORDS = 1000,   /* milliseconds that a tree may take to be gone, once it is ending */
};

enum dml_pressure { DML_PRESSURE_NONE, DML_PRESSURE_ASKED, DML_PRESSURE_FORCED };

struct dml_process {
    const struct dml_start *start; /* while it is being started, else NULL */
    const struct dml_plan *plan;
    bool native;                        /* launched without bwrap: the outermost process is the stage */
    struct dml_native *launch;          /* while its child shares our memory, else NULL */
    struct dml_native_times times;      /* of the native launch, once that is over */
    struct dml_bwrap_features features; /* of bwrap */
    unsigned controls;                  /* that the backend applies */
    enum dml_process_state state;
    bool asked; /* bwrap was asked what it can do */
    pid_t pid;
    int pidfd;    /* of the outermost process: bwrap, or the stage itself */
    int control;  /* to the inner stage */
    int messages; /* what bwrap says */
    char said[DML_MESSAGES + 1];
    size_t said_length;
    bool reported;  /* the stage has said something, so the backend did its part */
    bool concluded; /* the stage has said its last: nothing is left inside but the stage itself, which is
                       ending */
    bool leaving;   /* and the outermost process is waited for, until `leave_by` */
    uint64_t leave_by;
    struct dml_stage_report last; /* what the stage has said then */
    bool counted;                 /* among those that live */
    struct dml_cgroup cgroup;
    struct dml_capture captures[3];
    double started;
    uint64_t deadline;          /* milliseconds of the same clock, when the next pressure is due; 0: none */
    enum dml_pressure pressure; /* to end */
    uint64_t give_up;           /* when a launch that should end is not waited for longer; 0: never */
    uint64_t next_look;         /* when its processor time is looked at, the same clock; 0: never */
    bool timed_out, cancelled, cpu_spent;
    int poll,
        timer; /* for loops that watch one descriptor: an epoll over all of the above, and the deadline */
    struct dml_result result;
};

/* Closes a descriptor that is open, and makes it -1. */
void dml_process_close(int *fd);

/* Launches with the features that are assumed. False with an error when nothing was started. */
bool dml_process_launch(struct dml_process *process, struct dml_error *error);

/* Notes what of the plan's controls this host has, once it is launched. */
void dml_process_list_controls(struct dml_process *process);

/* The child of a native launch no longer shares our memory. */
void dml_process_forget_launch(struct dml_process *process);

/* Whether the outermost process has ended, or does so within `milliseconds`. */
bool dml_process_ends_within(const struct dml_process *process, int milliseconds);

/* Stops the outermost process, ends its children, then itself. */
void dml_process_kill_outermost(struct dml_process *process);

/* Counts it among the launches of this program that live, or no longer. */
void dml_process_count(struct dml_process *process, bool lives);

/* Whether the outermost process has to be waited for, rather than killed, once the stage has said its last.
 */
bool dml_process_must_wait(const struct dml_process *process);

/* From now on it is only waited for: until it has ended by itself, or is ended when that takes too long. */
void dml_process_wait_for_outermost(struct dml_process *process);

/* Ends what is left, takes the exit of the outermost process and closes what connects us, but for the
 * captured output. */
void dml_process_reap(struct dml_process *process);

/* Takes the cgroup away once everything has left it. */
void dml_process_leave_cgroup(struct dml_process *process);

/* Reads what bwrap says. */
void dml_process_read_messages(struct dml_process *process);

/* Takes one report of the inner stage, which may end the process. `gone`: the outermost process has ended, so
 * that a report that is not there now will not come. */
void dml_process_take_report(struct dml_process *process, bool gone);

#endif
