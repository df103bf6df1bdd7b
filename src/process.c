#include "process_private.h"
#include "probe.h"
#include "stage_message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

const char *const dml_result_names[] = {
    [DML_RESULT_EXIT] = "exit",
    [DML_RESULT_SIGNAL] = "signal",
    [DML_RESULT_TIMEOUT] = "timeout",
    [DML_RESULT_CPU_TIME] = "cpu_time",
    [DML_RESULT_MEMORY] = "memory",
    [DML_RESULT_CANCELLED] = "cancelled",
    [DML_RESULT_SETUP_FAILED] = "setup_failed",
    [DML_RESULT_NOT_EXECUTED] = "not_executed",
};

enum {
    LAST_CALL = 1000,   /* milliseconds between KILL and the end of bwrap itself */
    PATIENCE = 200,     /* milliseconds that a launch may still take when its command is asked to end */
    SHORTEST_LOOK = 20, /* milliseconds between two looks at the processor time */
    MOST_ROUNDS = 16,   /* of a look that does not wait: a command that writes for ever must not hold us */
};

static uint64_t now(void)
{
    return (uint64_t)(dml_seconds_now() * 1000);
}

void dml_process_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- one descriptor for a loop --- */

static bool watch(const struct dml_process *process, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return fd < 0 || epoll_ctl(process->poll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* What is closed later leaves the set by itself. */
static bool watch_all(const struct dml_process *process)
{
    return watch(process, process->control) && watch(process, process->messages) &&
           watch(process, process->pidfd) && watch(process, process->captures[1].fd) &&
           watch(process, process->captures[2].fd);
}

/* Of two times the earlier one; 0: never. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

static uint64_t time_to_give_up(const struct dml_process *process)
{
    return process->state == DML_PROCESS_STARTING ? process->give_up : 0;
}

/* When there is something to do whatever the descriptors say; 0: never. */
static uint64_t next_time(const struct dml_process *process)
{
    if (process->leaving)
        return process->leave_by;
    return earlier(earlier(process->deadline, process->next_look), time_to_give_up(process));
}

/* Makes the timer that is watched agree with it; an ended process is always readable. */
static void set_timer(const struct dml_process *process)
{
    struct itimerspec at = {0};
    uint64_t next = next_time(process);
    if (process->state == DML_PROCESS_ENDED) {
        at.it_value.tv_nsec = 1;
    } else if (next) {
        at.it_value.tv_sec = (time_t)(next / 1000);
        at.it_value.tv_nsec = (long)(next % 1000) * 1000000 + 1;
    }
    if (process->timer >= 0)
        timerfd_settime(process->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void set_deadline(struct dml_process *process, uint64_t deadline)
{
    process->deadline = deadline;
    set_timer(process);
}

int dml_process_pollfd(struct dml_process *process, struct dml_error *error)
{
    if (process->poll >= 0)
        return process->poll;
    process->poll = epoll_create1(EPOLL_CLOEXEC);
    process->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (process->poll < 0 || process->timer < 0 || !watch(process, process->timer) || !watch_all(process)) {
        dml_fail(error, DML_ERROR_SYSTEM, errno, "no descriptor to poll");
        dml_process_close(&process->poll);
        dml_process_close(&process->timer);
        return -1;
    }
    set_timer(process);
    return process->poll;
}

void dml_process_wait_for_outermost(struct dml_process *process)
{
    process->leaving = true;
    process->leave_by = now() + DML_LAST_WORDS;
    set_timer(process);
    if (process->poll >= 0) /* a forked copy of the host may have it still, and keep it in the set */
        epoll_ctl(process->poll, EPOLL_CTL_DEL, process->control, NULL);
    dml_process_close(&process->control);
}

/* --- the start --- */

bool dml_process_launch(struct dml_process *process, struct dml_error *error)
{
    struct dml_channels channels;
    bool launched =
        dml_launch(process->start, &process->features, &process->cgroup, process->deadline, &channels, error);
    process->pid = channels.pid;
    process->pidfd = channels.pidfd;
    process->control = channels.control;
    process->messages = channels.messages;
    process->controls = channels.controls;
    process->launch = channels.native;
    for (int i = 1; i < 3; i++) {
        process->captures[i].fd = channels.captured[i];
        process->captures[i].bounded = process->plan->limits.has[DML_LIMIT_OUTPUT];
        process->captures[i].limit = process->plan->limits.value[DML_LIMIT_OUTPUT];
    }
    dml_process_list_controls(process);
    dml_process_count(process, launched);
    if (launched && process->poll >= 0 && !watch_all(process))
        return dml_fail(error, DML_ERROR_SYSTEM, errno, "no descriptor to poll");
    return launched;
}

/* The first launch with a binary is waited for: should it refuse an option, bwrap is asked and launched once
 * more. When it has worked, later ones need not be. */
static void prove(struct dml_process *process)
{
    const struct dml_start *start = process->start;
    while (dml_process_advance(process, DML_PROCESS_RUNNING, -1, start->wake) == DML_PROCESS_STARTING)
        start->on_wake(start->context, process);
    if (process->reported && !process->asked)
        dml_probe_trust(start->probe, start->bwrap_path);
}

static void send_order(struct dml_process *process, int signal, uint32_t grace)
{
    struct dml_stage_order order = {.signal = (uint32_t)signal, .grace = grace};
    if (process->control >= 0)
        send(process->control, &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Asks with a signal, and has everything end after a grace time, whatever we do meanwhile. */
static void end_softly(struct dml_process *process, int signal, uint32_t grace)
{
    process->pressure = DML_PRESSURE_ASKED;
    set_deadline(process, now() + grace);
    send_order(process, signal, grace);
    send_order(process, SIGCONT, 0);
}

/* Everything inside counts, and several of it can run at once: the limit is not come to before what is left
 * of it, shared by all processors, is over. */
static void look_at_cpu_time(struct dml_process *process)
{
    uint64_t limit = process->plan->limits.value[DML_LIMIT_CPU_TIME], at = now();
    if (!process->next_look || at < process->next_look)
        return;
    uint64_t used = dml_cgroup_cpu_time(&process->cgroup);
    if (used >= limit) {
        process->next_look = 0;
        process->cpu_spent = true;
        end_softly(process, SIGXCPU, LAST_CALL);
        return;
    }
    uint64_t pause = (limit - used) / (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    process->next_look = at + (pause > SHORTEST_LOOK ? pause : SHORTEST_LOOK);
    set_timer(process);
}

static bool join_cgroup(struct dml_process *process, struct dml_error *error)
{
    const struct dml_plan *plan = process->plan;
    bool required = plan->requires & 1u << DML_CONTROL_CGROUP;
    unsigned ours = process->native ? 1 : 2; /* the inner stage, and bwrap */
    if (!dml_cgroup_make(&process->cgroup, &plan->limits, ours, required, process->start->swept, error))
        return false;
    if (process->cgroup.covers & 1u << DML_LIMIT_CPU_TIME)
        process->next_look = now() + SHORTEST_LOOK;
    return true;
}

struct dml_process *dml_process_start(const struct dml_start *start, struct dml_error *error)
{
    struct dml_process *process = calloc(1, sizeof *process);
    if (!process) {
        dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
        return NULL;
    }
    process->start = start;
    process->plan = start->plan;
    process->pidfd = process->control = process->messages = process->poll = process->timer = -1;
    for (int i = 0; i < 3; i++)
        process->captures[i].fd = -1;
    process->result.exit_code = -1;
    process->native = !start->bwrap_path;
    bool known = process->native || dml_probe_features(start->probe, start->bwrap_path, &process->features);
    process->started = dml_seconds_now();
    uint64_t timeout = start->plan->limits.value[DML_LIMIT_TIMEOUT];
    process->deadline =
        timeout ? now() + timeout + 1 : 0; /* never early, though the clock is cut to milliseconds */
    if (!join_cgroup(process, error) || !dml_process_launch(process, error)) {
        dml_process_free(process);
        return NULL;
    }
    if (!known)
        prove(process);
    process->start = NULL;
    return process;
}

/* --- while it runs --- */

/* The signals that ask a program to end. */
static bool asks_to_end(int signal)
{
    return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

void dml_process_signal(struct dml_process *process, int signal)
{
    send_order(process, signal, 0);
    if (process->state == DML_PROCESS_STARTING && asks_to_end(signal) && !process->give_up) {
        process->give_up = now() + PATIENCE;
        set_timer(process);
    }
}

/* Asks the command to end; then the stage to end everything, which it reports when nothing is left; then the
 * kernel. A launch that has not come so far finds the request waiting when it has, or, when its time is up,
 * its socket shut, and executes nothing. */
static void press(struct dml_process *process)
{
    process->next_look = 0; /* it is ending: its processor time no longer matters */
    if (process->pressure == DML_PRESSURE_FORCED) {
        set_deadline(process, 0);
        if (process->pidfd >= 0)
            dml_process_kill_outermost(process);
    } else if (process->pressure == DML_PRESSURE_NONE && process->cancelled) {
        end_softly(process, SIGTERM, DML_GRACE);
    } else {
        process->pressure = DML_PRESSURE_FORCED;
        set_deadline(process, now() + LAST_CALL);
        dml_process_signal(process, SIGKILL);
        if (process->state == DML_PROCESS_STARTING && process->control >= 0)
            shutdown(process->control, SHUT_WR);
    }
}

void dml_process_end(struct dml_process *process)
{
    if (process->state == DML_PROCESS_ENDED || process->leaving || process->pressure != DML_PRESSURE_NONE)
        return;
    process->cancelled = true;
    press(process);
}

void dml_process_kill(struct dml_process *process)
{
    if (process->state == DML_PROCESS_ENDED || process->leaving)
        return;
    process->cancelled = process->cancelled || !process->timed_out;
    if (process->pressure == DML_PRESSURE_NONE)
        process->pressure = DML_PRESSURE_ASKED; /* no more asking */
    press(process);
}

int dml_process_time_left(const struct dml_process *process)
{
    if (process->state == DML_PROCESS_ENDED)
        return 0;
    uint64_t next = next_time(process);
    if (!next)
        return -1;
    uint64_t at = now(), left = next > at ? next - at : 0;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

/* What runs is asked to end by the stage, which keeps the time itself; that everything does end is seen to
 * here as well. */
static void look_at_deadline(struct dml_process *process)
{
    if (!process->deadline || now() < process->deadline)
        return;
    process->timed_out = process->timed_out || !(process->cancelled || process->cpu_spent);
    if (process->pressure == DML_PRESSURE_NONE && process->state == DML_PROCESS_RUNNING) {
        process->pressure = DML_PRESSURE_ASKED;
        process->next_look = 0;
        set_deadline(process, process->deadline + DML_GRACE);
    } else {
        press(process);
    }
}

/* The command was asked to end, and is still not there to be told. */
static void look_at_patience(struct dml_process *process)
{
    uint64_t at = time_to_give_up(process);
    if (!at || now() < at)
        return;
    process->give_up = 0;
    dml_process_kill(process);
}

static void look_at_clock(struct dml_process *process)
{
    if (process->leaving) {
        if (process->leave_by && now() >= process->leave_by) {
            process->leave_by = 0;
            set_timer(process);
            dml_process_kill_outermost(process);
        }
        return;
    }
    look_at_patience(process);
    look_at_deadline(process);
    look_at_cpu_time(process);
}

/* Waits for at most `milliseconds` and acts on what has come. Returns whether there was anything; `woken`
 * says that `wake` is readable. */
static bool act(struct dml_process *process, int milliseconds, int wake, bool *woken)
{
    enum { CONTROL, MESSAGES, PROCESS, OUTPUT, ERRORS, WAKE, COUNT };
    struct pollfd polled[COUNT] = {
        [CONTROL] = {process->control, POLLIN, 0},       [MESSAGES] = {process->messages, POLLIN, 0},
        [PROCESS] = {process->pidfd, POLLIN, 0},         [OUTPUT] = {process->captures[1].fd, POLLIN, 0},
        [ERRORS] = {process->captures[2].fd, POLLIN, 0}, [WAKE] = {wake, POLLIN, 0},
    };
    int left = dml_process_time_left(process);
    bool sooner = left >= 0 && (milliseconds < 0 || left < milliseconds);
    int ready = poll(polled, COUNT, sooner ? left : milliseconds);
    if (ready <= 0) {
        look_at_clock(process);
        return false;
    }
    if (polled[MESSAGES].revents)
        dml_process_read_messages(process);
    for (int i = 1; i < 3; i++) {
        if (polled[OUTPUT + i - 1].revents)
            dml_capture_read(&process->captures[i]);
    }
    if (polled[CONTROL].revents || polled[PROCESS].revents)
        dml_process_take_report(process, polled[PROCESS].revents != 0);
    else
        look_at_clock(process); /* after the reports: what has ended was not ended by us */
    if (process->state == DML_PROCESS_ENDED)
        set_timer(process);
    *woken = polled[WAKE].revents != 0;
    return true;
}

enum dml_process_state dml_process_advance(struct dml_process *process, enum dml_process_state until,
                                           int milliseconds, int wake)
{
    uint64_t give_up = milliseconds > 0 ? now() + (uint64_t)milliseconds : 0;
    int rounds = 0;
    bool woken = false;
    while (process->state < until && !woken) {
        bool acted = act(process, milliseconds, wake, &woken);
        if (milliseconds == 0 && (!acted || ++rounds == MOST_ROUNDS))
            break;
        if (milliseconds > 0) {
            uint64_t at = now();
            if (at >= give_up)
                break;
            milliseconds = (int)(give_up - at);
        }
    }
    return process->state;
}

bool dml_process_look(struct dml_process *process)
{
    return dml_process_advance(process, DML_PROCESS_ENDED, 0, -1) == DML_PROCESS_ENDED || process->leaving;
}

pid_t dml_process_pid(const struct dml_process *process)
{
    return process->pid;
}

const struct dml_result *dml_process_result(const struct dml_process *process)
{
    return &process->result;
}

const struct dml_native_times *dml_process_times(const struct dml_process *process)
{
    return &process->times;
}

const struct dml_capture *dml_process_capture(const struct dml_process *process, int stream)
{
    return &process->captures[stream];
}

static void free_parts(struct dml_process *process)
{
    dml_process_count(process, false);
    dml_process_close(&process->control);
    dml_process_close(&process->messages);
    dml_process_close(&process->poll);
    dml_process_close(&process->timer);
    for (int i = 0; i < 3; i++)
        dml_capture_clear(&process->captures[i]);
}

void dml_process_free(struct dml_process *process)
{
    if (!process)
        return;
    if (process->state != DML_PROCESS_ENDED && process->pidfd >= 0) {
        dml_process_kill(process);
        dml_process_advance(process, DML_PROCESS_ENDED, -1, -1);
    }
    free_parts(process);
    dml_process_leave_cgroup(process);
    dml_process_forget_launch(process);
    free(process);
}

void dml_process_forget(struct dml_process *process)
{
    dml_process_close(&process->pidfd);
    free_parts(process);
    dml_cgroup_clear(&process->cgroup);
    dml_process_forget_launch(process);
    free(process);
}

void dml_process_abandon(struct dml_process *process)
{
    bool lives = process->state != DML_PROCESS_ENDED && process->pidfd >= 0;
    dml_process_close(&process->control); /* without which the inner stage ends, and bwrap after it */
    process->deadline = now() + LAST_CALL;
    if (lives && process->native)
        dml_process_kill_outermost(process);
    if (process->launch) /* it reads the plan until it is dead, which it is at once */
        dml_process_ends_within(process, LAST_CALL);
    free_parts(process);
    process->plan = NULL;
}

/* Whether the outermost process of an abandoned launch has ended. One that does not in time is killed. */
static bool has_ended(struct dml_process *process, bool wait)
{
    uint64_t at = now();
    int left = at < process->deadline ? (int)(process->deadline - at) : 0;
    if (dml_process_ends_within(process, wait ? left : 0))
        return true;
    if (left > 0 && !wait)
        return false;
    process->deadline = now() + LAST_CALL;
    dml_process_kill_outermost(process);
    return wait || dml_process_ends_within(process, 0);
}

bool dml_process_bury(struct dml_process *process, bool wait)
{
    if (process->pidfd >= 0 && !has_ended(process, wait))
        return false;
    dml_process_reap(process);
    if (!dml_cgroup_remove(&process->cgroup, wait ? LAST_CALL : 0) && !wait)
        return false;
    dml_cgroup_clear(&process->cgroup);
    dml_process_forget_launch(process);
    free(process);
    return true;
}

const char *dml_signal_name(int signal, char buffer[16])
{
    const char *name = sigabbrev_np(signal);
    if (name)
        snprintf(buffer, 16, "%s", name);
    else
        snprintf(buffer, 16, "%d", signal);
    return buffer;
}
