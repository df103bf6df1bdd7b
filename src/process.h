/* A launched plan: from the first system call to the result. */
#ifndef DML_PROCESS_H
#define DML_PROCESS_H

#include "bwrap.h"
#include "capture.h"
#include "launch.h"
#include "plan.h"

enum dml_result_kind {
    DML_RESULT_EXIT,
    DML_RESULT_SIGNAL,
    DML_RESULT_TIMEOUT,      /* our deadline ended it */
    DML_RESULT_CPU_TIME,     /* its limit of processor time ended it */
    DML_RESULT_MEMORY,       /* its limit of memory ended it */
    DML_RESULT_CANCELLED,    /* the caller killed it */
    DML_RESULT_SETUP_FAILED, /* the sandbox could not be set up: nothing was executed */
    DML_RESULT_NOT_EXECUTED, /* the command could not be executed */
};

extern const char *const dml_result_names[];

struct dml_result {
    enum dml_result_kind kind;
    int exit_code;             /* of DML_RESULT_EXIT, else -1 */
    int signal;                /* that ended it, or 0 */
    bool core;                 /* it left a core dump */
    bool measured;             /* the next and the times but `wall`, and `max_rss`, are known */
    bool survivors;            /* it left something running, which was killed */
    double wall, user, system; /* seconds */
    uint64_t max_rss;          /* bytes */
    const char *code;          /* for what was not executed: "setup.failed", "command.missing", ... */
    char message[768];         /* why it was not executed */
    const char *step;          /* of the backend that failed, a constant, or NULL */
    int errnum;                /* why it failed, or 0 */
    unsigned applied, skipped; /* bits of enum dml_control: of what the plan asks for */
    unsigned hit;              /* bits of enum dml_limit: the limits that it came to */
};

enum dml_process_state {
    DML_PROCESS_STARTING, /* the sandbox is being made */
    DML_PROCESS_RUNNING,  /* the command was executed */
    DML_PROCESS_ENDED,    /* it has ended, or was never executed: the result says which */
};

/* Starts the launch of a plan and returns at once; everything else is done by `dml_process_advance`. NULL
 * when nothing could be started. */
struct dml_process *dml_process_start(const struct dml_start *start, struct dml_error *error);

/* Does what there is to do, waiting for it, until the process has come to `until`, or for `milliseconds` (-1:
 * for ever, 0: without waiting), or until `wake` (a descriptor, -1: none) is readable. Returns where it has
 * come. */
enum dml_process_state dml_process_advance(struct dml_process *process, enum dml_process_state until,
                                           int milliseconds, int wake);

/* When each step of a native launch was over; none before the stage has reported, and none of bwrap's. */
const struct dml_native_times *dml_process_times(const struct dml_process *process);

/* A descriptor that is readable when `dml_process_advance` has something to do, and from the end on. It
 * belongs to the process. -1 with an error. */
int dml_process_pollfd(struct dml_process *process, struct dml_error *error);

/* Milliseconds until there is something to do whatever the descriptor says; -1: no such time. */
int dml_process_time_left(const struct dml_process *process);

/* Delivers a signal to the command's process group; quietly nothing when it has ended. One that asks it to
 * end ends a launch that has not come to the command within 200 ms. */
void dml_process_signal(struct dml_process *process, int signal);

/* Asks the command to end, and ends the whole tree when it has not done so in two seconds. */
void dml_process_end(struct dml_process *process);

/* Ends the whole tree at once. */
void dml_process_kill(struct dml_process *process);

/* Looks whether the command is over, without waiting: nothing that comes now changes its result. */
bool dml_process_look(struct dml_process *process);

/* The outermost process, for messages and tests. */
pid_t dml_process_pid(const struct dml_process *process);

/* How it ended; valid once it has, until the process is freed. `applied` and `skipped` are from the launch
 * on.
 */
const struct dml_result *dml_process_result(const struct dml_process *process);

/* Captured output, 1 or 2. */
const struct dml_capture *dml_process_capture(const struct dml_process *process, int stream);

/* Kills and reaps what is left, waiting for its end, and gives everything back. */
void dml_process_free(struct dml_process *process);

/* Gives back what a forked copy of the program has of it, and leaves the sandbox alone. */
void dml_process_forget(struct dml_process *process);

/* Has everything end without waiting for it, and gives the plan free. After it only `dml_process_bury`, which
 * sees to it that it has. */
void dml_process_abandon(struct dml_process *process);

/* Frees an abandoned process once nothing of it is left, and waits for that if it is told to; what has not
 * ended by itself within a second is killed. True when it is freed. */
bool dml_process_bury(struct dml_process *process, bool wait);

/* "TERM" for SIGTERM, the number for a signal without a name. Written to `buffer`, which is returned. */
const char *dml_signal_name(int signal, char buffer[16]);

#endif
