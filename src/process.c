#include "process.h"
#include "stage_message.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *const dml_result_names[] = {
    [DML_RESULT_EXIT] = "exit",
    [DML_RESULT_SIGNAL] = "signal",
    [DML_RESULT_TIMEOUT] = "timeout",
    [DML_RESULT_CPU_TIME] = "cpu_time",
    [DML_RESULT_CANCELLED] = "cancelled",
    [DML_RESULT_SETUP_FAILED] = "setup_failed",
    [DML_RESULT_NOT_EXECUTED] = "not_executed",
};

enum {
    GRACE = 2000,        /* milliseconds between TERM and KILL */
    LAST_WORDS = 1000,   /* milliseconds to wait for a killed tree to be gone */
    MESSAGES = 4096 - 1, /* bytes kept of what bwrap says */
};

enum state { STATE_STARTING, STATE_RUNNING, STATE_ENDED };

struct dml_process {
    const struct dml_plan *plan;
    struct dml_bwrap_features features;
    enum state state;
    pid_t pid;
    int pidfd;    /* of bwrap */
    int control;  /* to the inner stage */
    int messages; /* what bwrap says */
    char said[MESSAGES + 1];
    size_t said_length;
    bool reported;  /* the stage has said something, so bwrap did its part */
    bool concluded; /* the stage has said its last: nothing is left inside but the stage itself, which is
                       ending */
    struct dml_capture captures[3];
    double started;
    uint64_t deadline; /* milliseconds of the same clock, when the next pressure is due; 0: none */
    enum { PRESSURE_NONE, PRESSURE_ASKED, PRESSURE_FORCED } pressure; /* to end */
    bool timed_out, cancelled;
    struct dml_result result;
};

static void advance(struct dml_process *process, bool until_executed, int wake);

static double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t now(void)
{
    return (uint64_t)(seconds_now() * 1000);
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static struct dml_process *new_process(const struct dml_start *start)
{
    struct dml_process *process = calloc(1, sizeof *process);
    if (!process)
        return NULL;
    process->plan = start->plan;
    process->pidfd = process->control = process->messages = -1;
    for (int i = 0; i < 3; i++)
        process->captures[i].fd = -1;
    process->result.exit_code = -1;
    return process;
}

static void adopt(struct dml_process *process, const struct dml_channels *channels)
{
    process->pid = channels->pid;
    process->pidfd = channels->pidfd;
    process->control = channels->control;
    process->messages = channels->messages;
    for (int i = 1; i < 3; i++) {
        process->captures[i].fd = channels->captured[i];
        process->captures[i].limit = process->plan->limits.value[DML_LIMIT_OUTPUT];
    }
}

static struct dml_process *start_with(const struct dml_start *start,
                                      const struct dml_bwrap_features *features, struct dml_error *error)
{
    struct dml_process *process = new_process(start);
    if (!process) {
        dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
        return NULL;
    }
    process->features = *features;
    process->started = seconds_now();
    uint64_t timeout = start->plan->limits.value[DML_LIMIT_TIMEOUT];
    process->deadline = timeout ? now() + timeout : 0;
    struct dml_channels channels;
    bool launched = dml_launch(start, features, &channels, error);
    adopt(process, &channels);
    if (!launched) {
        dml_process_free(process);
        return NULL;
    }
    while (process->state == STATE_STARTING) {
        advance(process, true, start->wake);
        if (process->state == STATE_STARTING)
            start->on_wake(start->context, process);
    }
    return process;
}

/* Whether bwrap refused the launch for an option that it does not have. */
static bool refused_option(const struct dml_process *process)
{
    return process->state == STATE_ENDED && !process->reported && strstr(process->said, "nknown option");
}

struct dml_process *dml_process_start(const struct dml_start *start, struct dml_error *error)
{
    struct dml_bwrap_features assumed = dml_probe_features(start->probe, start->bwrap_path);
    struct dml_process *process = start_with(start, &assumed, error);
    if (!process || !refused_option(process) || !dml_probe_run(start->probe, start->bwrap_path, NULL))
        return process;
    struct dml_bwrap_features features = start->probe->features;
    if (memcmp(&features, &assumed, sizeof features) == 0)
        return process;
    dml_process_free(process);
    return start_with(start, &features, error);
}

/* --- how it ends
 * --------------------------------------------------------------------------------------------------- */

static bool bwrap_ends_within(const struct dml_process *process, int milliseconds)
{
    struct pollfd polled = {.fd = process->pidfd, .events = POLLIN};
    return poll(&polled, 1, milliseconds) > 0;
}

/* The last resort. Killed between its clone and the first instruction of its child, bwrap would leave the
 * child waiting for it for ever: so it is stopped, and its child goes first. */
static void kill_bwrap(struct dml_process *process)
{
    char path[64], line[256] = "";
    syscall(SYS_pidfd_send_signal, process->pidfd, SIGSTOP, NULL, 0);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)process->pid, (int)process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, line, sizeof line - 1) : 0;
    line[length > 0 ? length : 0] = '\0';
    for (char *at = line, *end; *at; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at)
            break;
        kill((pid_t)child, SIGKILL);
    }
    if (fd >= 0)
        close(fd);
    syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
}

/* Ends what is left and takes bwrap's exit. Without its socket the stage ends, and with it everything inside.
 */
static void reap(struct dml_process *process)
{
    int status;
    if (process->pidfd < 0)
        return;
    close_one(&process->control);
    if (process->concluded)
        syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
    else if (!bwrap_ends_within(process, LAST_WORDS))
        kill_bwrap(process);
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close_one(&process->pidfd);
}

/* Reads what bwrap says; once the stage has reported, only the end of it matters. */
static void read_messages(struct dml_process *process)
{
    char buffer[1024];
    ssize_t length = read(process->messages, buffer, sizeof buffer);
    if (length > 0 && !process->reported) {
        size_t room = MESSAGES - process->said_length;
        size_t kept = (size_t)length < room ? (size_t)length : room;
        memcpy(process->said + process->said_length, buffer, kept);
        process->said_length += kept;
    } else if (length == 0) {
        close_one(&process->messages);
    }
}

/* Hears bwrap and what is left of a set-up that failed to their end. */
static void hear_last_words(struct dml_process *process)
{
    uint64_t until = now() + LAST_WORDS;
    while (process->messages >= 0) {
        uint64_t at = now();
        struct pollfd polled = {.fd = process->messages, .events = POLLIN};
        if (at >= until || poll(&polled, 1, (int)(until - at)) <= 0)
            break;
        read_messages(process);
    }
    close_one(&process->messages);
}

/* What of the default hardening this bwrap could do. */
static void list_hardening(struct dml_process *process)
{
    const struct dml_plan *plan = process->plan;
    const struct {
        const char *name;
        bool wanted, applied;
    } parts[] = {
        {"bind_fd", true, process->features.bind_fd},
        {"disable_userns", !plan->nested, process->features.disable_userns},
        {"tmpfs_size", true, process->features.size},
        {"seccomp", plan->seccomp, process->features.seccomp},
    };
    size_t applied = 0, skipped = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].wanted && parts[i].applied)
            process->result.applied[applied++] = parts[i].name;
        else if (parts[i].wanted)
            process->result.skipped[skipped++] = parts[i].name;
    }
}

/* `wait_for_tree`: something may still live inside. */
static void end(struct dml_process *process, bool wait_for_tree)
{
    struct dml_result *result = &process->result;
    reap(process);
    if (wait_for_tree)
        hear_last_words(process);
    close_one(&process->messages);
    for (int i = 1; i < 3; i++) {
        if (process->captures[i].fd >= 0)
            dml_capture_read(&process->captures[i]);
        close_one(&process->captures[i].fd);
    }
    result->wall = seconds_now() - process->started;
    list_hardening(process);
    process->state = STATE_ENDED;
}

/* A launch that we ended before the command ran: what bwrap or the stage says of it is not the reason. */
static void ended_by_us(struct dml_process *process)
{
    struct dml_result *result = &process->result;
    if (!process->cancelled && !process->timed_out)
        return;
    result->kind = process->cancelled ? DML_RESULT_CANCELLED : DML_RESULT_TIMEOUT;
    result->code = process->cancelled ? "cancelled" : "limit.timeout";
    snprintf(result->message, sizeof result->message, "%s before the command ran",
             process->cancelled ? "cancelled" : "the timeout ended it");
}

__attribute__((format(printf, 4, 5))) static void end_unexecuted(struct dml_process *process,
                                                                 enum dml_result_kind kind, const char *code,
                                                                 const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(process->result.message, sizeof process->result.message, format, arguments);
    va_end(arguments);
    process->result.kind = kind;
    process->result.code = code;
    end(process, true);
    ended_by_us(process);
}

/* bwrap ended, or closed our socket, before the stage said anything. */
static void end_without_stage(struct dml_process *process)
{
    process->result.kind = DML_RESULT_SETUP_FAILED;
    process->result.code = "setup.failed";
    end(process, true);
    char *said = process->said;
    said[process->said_length] = '\0';
    said[strcspn(said, "\n")] = '\0';
    const char *text = strncmp(said, "bwrap: ", 7) == 0 ? said + 7 : said;
    if (strncmp(text, "Race condition binding dirfd", 28) == 0) /* it looks its sources up once more */
        process->result.code = "source.changed";
    char escaped[700];
    size_t used;
    dml_escape(escaped, sizeof escaped, text, strlen(text), &used);
    snprintf(process->result.message, sizeof process->result.message,
             "bwrap could not set the sandbox up: %s", *text ? escaped : "it ended without a word");
    ended_by_us(process);
}

static const char *describe_check(int64_t check)
{
    static const char *const namespaces[] = {"mount", "pid", "user", "ipc", "uts", "network"};
    switch (check) {
    case DML_CHECK_IDS: return "the command would not have the ids that it should";
    case DML_CHECK_CAPABILITIES: return "the command would have capabilities";
    case DML_CHECK_NO_NEW_PRIVS: return "the command could gain privileges";
    case DML_CHECK_INIT: return "the command would not be alone in its pid namespace";
    case DML_CHECK_FILTER: return "no system call filter would hold";
    case DML_CHECK_USER_NAMESPACES: return "the command could make user namespaces";
    default:
        return check >= DML_CHECK_NAMESPACE && check < DML_CHECK_NAMESPACE + DML_STAGE_NAMESPACES
                   ? namespaces[check - DML_CHECK_NAMESPACE]
                   : "it is not what it should be";
    }
}

static void end_unsafe(struct dml_process *process, int64_t check)
{
    bool namespace = check < DML_CHECK_IDS;
    end_unexecuted(process, DML_RESULT_SETUP_FAILED, "setup.unsafe",
                   "bwrap did not isolate what it was told to: %s%s%s; is it the real bwrap?",
                   namespace ? "the command would share the host's " : "", describe_check(check),
                   namespace ? " namespace" : "");
}

static void end_failed_step(struct dml_process *process, const struct dml_stage_report *report)
{
    char quoted[256];
    const char *reason = report->value ? strerror((int)report->value) : "it makes no sense";
    static const char *const steps[] = {
        [DML_STEP_MESSAGE] = "its message cannot be read",
        [DML_STEP_CHDIR] = "chdir",
        [DML_STEP_RLIMIT] = "a resource limit cannot be set",
        [DML_STEP_DESCRIPTORS] = "descriptors cannot be taken over",
        [DML_STEP_CLONE] = "the command's process cannot be made",
        [DML_STEP_WAIT] = "the command cannot be waited for",
    };
    bool known = report->step >= DML_STEP_MESSAGE && report->step <= DML_STEP_WAIT;
    if (report->step == DML_STEP_CHDIR)
        end_unexecuted(process, DML_RESULT_SETUP_FAILED, "chdir.missing", "cannot start in %s: %s",
                       dml_quote(quoted, sizeof quoted, process->plan->chdir, strlen(process->plan->chdir)),
                       reason);
    else
        end_unexecuted(process, DML_RESULT_SETUP_FAILED, "setup.failed", "inner stage: %s: %s",
                       known ? steps[report->step] : "a step failed", reason);
}

static void end_not_executed(struct dml_process *process, const struct dml_stage_report *report)
{
    int reason = (int)report->value;
    const char *why = strerror(reason), *code = "command.not_executable";
    if (reason == ENOENT && report->step)
        why = "its interpreter is not there; look at its first line, or at what it is linked with";
    else if (reason == ENOENT || reason == ENOTDIR)
        why = "not found in the sandbox", code = "command.missing";
    else if (reason == ENOEXEC)
        why = "is no program; a script needs a first line such as #!/bin/sh";
    char quoted[256];
    const char *name = process->plan->argv[0];
    end_unexecuted(process, DML_RESULT_NOT_EXECUTED, code, "%s: %s",
                   dml_quote(quoted, sizeof quoted, name, strlen(name)), why);
}

/* `heard`: the report came from the stage. */
static void end_executed(struct dml_process *process, const struct dml_stage_report *report, bool heard)
{
    struct dml_result *result = &process->result;
    const struct dml_limits *limits = &process->plan->limits;
    int status = (int)report->value;
    result->survivors = report->step;
    end(process, !heard); /* the stage has seen everything inside end before it reports */
    result->user = (double)report->user_us / 1e6;
    result->system = (double)report->system_us / 1e6;
    result->max_rss = report->max_rss_kib * 1024;
    if (WIFSIGNALED(status)) {
        result->signal = WTERMSIG(status);
        result->core = WCOREDUMP(status);
    } else {
        result->exit_code = WEXITSTATUS(status);
    }
    /* The limit counts ticks, the usage is measured: under load they differ. */
    bool cpu_spent =
        limits->has[DML_LIMIT_CPU_TIME] && (result->signal == SIGXCPU || result->signal == SIGKILL) &&
        (result->user + result->system) * 1000 >= 0.75 * (double)limits->value[DML_LIMIT_CPU_TIME];
    result->kind = process->cancelled   ? DML_RESULT_CANCELLED
                   : process->timed_out ? DML_RESULT_TIMEOUT
                   : cpu_spent          ? DML_RESULT_CPU_TIME
                   : result->signal     ? DML_RESULT_SIGNAL
                                        : DML_RESULT_EXIT;
}

/* The stage is gone without a last report: it or bwrap was killed, from outside or as our last resort. */
static void end_without_report(struct dml_process *process)
{
    struct dml_stage_report killed = {.kind = DML_STAGE_ENDED, .step = 1, .value = SIGKILL};
    if (process->state == STATE_STARTING)
        end_without_stage(process);
    else
        end_executed(process, &killed, false);
}

static void take_report(struct dml_process *process)
{
    struct dml_stage_report report;
    ssize_t length = recv(process->control, &report, sizeof report, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length != sizeof report) {
        end_without_report(process);
        return;
    }
    process->reported = true;
    process->concluded = report.kind != DML_STAGE_EXECUTED;
    switch (report.kind) {
    case DML_STAGE_UNSAFE: end_unsafe(process, report.value); break;
    case DML_STAGE_FAILED: end_failed_step(process, &report); break;
    case DML_STAGE_NOT_EXECUTED: end_not_executed(process, &report); break;
    case DML_STAGE_EXECUTED: process->state = STATE_RUNNING; break;
    case DML_STAGE_ENDED: end_executed(process, &report, true); break;
    default: end_without_report(process); break;
    }
}

/* --- while it runs
 * ------------------------------------------------------------------------------------------------- */

void dml_process_signal(struct dml_process *process, int signal)
{
    struct dml_stage_order order = {.signal = (uint32_t)signal};
    if (process->control >= 0)
        send(process->control, &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Asks the command to end; then the stage to end everything, which it reports when nothing is left; then the
 * kernel. A launch that has not come so far finds its socket shut, and executes nothing. */
static void press(struct dml_process *process)
{
    if (process->pressure == PRESSURE_FORCED) {
        process->deadline = 0;
        if (process->pidfd >= 0)
            kill_bwrap(process);
    } else if (process->state == STATE_RUNNING && process->pressure == PRESSURE_NONE) {
        process->pressure = PRESSURE_ASKED;
        process->deadline = now() + GRACE;
        dml_process_signal(process, SIGTERM);
        dml_process_signal(process, SIGCONT);
    } else {
        process->pressure = PRESSURE_FORCED;
        process->deadline = now() + LAST_WORDS;
        dml_process_signal(process, SIGKILL);
        if (process->state == STATE_STARTING && process->control >= 0)
            shutdown(process->control, SHUT_WR);
    }
}

void dml_process_kill(struct dml_process *process)
{
    process->cancelled = true;
    if (process->pressure == PRESSURE_NONE)
        process->pressure = PRESSURE_ASKED; /* no more asking */
    press(process);
}

static int time_left(const struct dml_process *process)
{
    if (!process->deadline)
        return -1;
    uint64_t at = now();
    uint64_t left = process->deadline > at ? process->deadline - at : 0;
    return left > 60000 ? 60000 : (int)left;
}

/* Waits and acts until the command runs, if that is enough, or has ended, or `wake` is readable. */
static void advance(struct dml_process *process, bool until_executed, int wake)
{
    enum { CONTROL, MESSAGES_PIPE, PROCESS, OUTPUT, ERRORS, WAKE, COUNT };
    while (process->state != STATE_ENDED && !(until_executed && process->state == STATE_RUNNING)) {
        struct pollfd polled[COUNT] = {
            [CONTROL] = {process->control, POLLIN, 0},       [MESSAGES_PIPE] = {process->messages, POLLIN, 0},
            [PROCESS] = {process->pidfd, POLLIN, 0},         [OUTPUT] = {process->captures[1].fd, POLLIN, 0},
            [ERRORS] = {process->captures[2].fd, POLLIN, 0}, [WAKE] = {wake, POLLIN, 0},
        };
        int ready = poll(polled, COUNT, time_left(process));
        /* Looked at also when there is always something to read. */
        if (process->deadline && now() >= process->deadline) {
            process->timed_out = true;
            press(process);
        }
        if (ready <= 0)
            continue;
        if (polled[MESSAGES_PIPE].revents)
            read_messages(process);
        for (int i = 1; i < 3; i++) {
            if (polled[OUTPUT + i - 1].revents)
                dml_capture_read(&process->captures[i]);
        }
        if (polled[CONTROL].revents)
            take_report(process);
        else if (polled[PROCESS].revents) /* bwrap is gone, and everything the stage said has been heard */
            end_without_report(process);
        if (process->state != STATE_ENDED && polled[WAKE].revents)
            return;
    }
}

bool dml_process_continue(struct dml_process *process, int wake)
{
    advance(process, false, wake);
    return process->state == STATE_ENDED;
}

bool dml_process_is_running(const struct dml_process *process)
{
    return process->state == STATE_RUNNING;
}

pid_t dml_process_pid(const struct dml_process *process)
{
    return process->pid;
}

const struct dml_result *dml_process_result(const struct dml_process *process)
{
    return &process->result;
}

const struct dml_capture *dml_process_capture(const struct dml_process *process, int stream)
{
    return &process->captures[stream];
}

void dml_process_free(struct dml_process *process)
{
    if (!process)
        return;
    reap(process);
    hear_last_words(process);
    close_one(&process->control);
    for (int i = 0; i < 3; i++)
        dml_capture_clear(&process->captures[i]);
    free(process);
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
