/* What becomes of a launched plan: the reports of the inner stage, and their absence, as a result. */
#include "process_private.h"
#include "native/native.h"
#include "stage_message.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void dml_process_forget_launch(struct dml_process *process)
{
    if (process->launch)
        process->times = process->launch->times;
    dml_native_free(process->launch);
    process->launch = NULL;
}

/* Reads what bwrap says; once the stage has reported, only the end of it matters. */
void dml_process_read_messages(struct dml_process *process)
{
    char buffer[1024];
    ssize_t length = read(process->messages, buffer, sizeof buffer);
    if (length > 0 && !process->reported) {
        size_t room = DML_MESSAGES - process->said_length;
        size_t kept = (size_t)length < room ? (size_t)length : room;
        memcpy(process->said + process->said_length, buffer, kept);
        process->said_length += kept;
    } else if (length == 0) {
        dml_process_close(&process->messages);
    }
}

/* Hears bwrap and what is left of a set-up that failed to their end. */
static void hear_last_words(struct dml_process *process)
{
    double until = dml_seconds_now() + DML_LAST_WORDS / 1000.0;
    while (process->messages >= 0) {
        double left = until - dml_seconds_now();
        struct pollfd polled = {.fd = process->messages, .events = POLLIN};
        if (left <= 0 || poll(&polled, 1, (int)(left * 1000)) <= 0)
            break;
        dml_process_read_messages(process);
    }
    dml_process_close(&process->messages);
}

void dml_process_list_controls(struct dml_process *process)
{
    unsigned had = process->controls, as_a_whole = dml_limits_as_a_whole(&process->plan->limits);
    unsigned wanted = process->native ? dml_native_wanted(process->plan) : dml_plan_controls(process->plan);
    if (process->cgroup.count > 0 && !(as_a_whole & ~process->cgroup.covers))
        had |= 1u << DML_CONTROL_CGROUP;
    process->result.applied = wanted & had;
    process->result.skipped = wanted & ~had;
}

/* The limits of the cgroup that were come to; those that ended it are added when that is known. */
static void list_hits(struct dml_process *process)
{
    unsigned *hit = &process->result.hit;
    if (dml_cgroup_hits(&process->cgroup, DML_CONTROLLER_MEMORY))
        *hit |= 1u << DML_LIMIT_MEMORY;
    if (dml_cgroup_hits(&process->cgroup, DML_CONTROLLER_PIDS))
        *hit |= 1u << DML_LIMIT_PIDS;
    if (process->captures[1].dropped || process->captures[2].dropped)
        *hit |= 1u << DML_LIMIT_OUTPUT;
}

/* `wait_for_tree`: something may still live inside. */
static void end(struct dml_process *process, bool wait_for_tree)
{
    struct dml_result *result = &process->result;
    dml_process_reap(process);
    dml_process_forget_launch(process);
    if (wait_for_tree)
        hear_last_words(process);
    dml_process_close(&process->messages);
    for (int i = 1; i < 3; i++) {
        if (process->captures[i].fd >= 0)
            dml_capture_read(&process->captures[i]);
        dml_process_close(&process->captures[i].fd);
    }
    result->wall = dml_seconds_now() - process->started;
    list_hits(process);
    dml_process_leave_cgroup(process);
    dml_process_count(process, false);
    process->state = DML_PROCESS_ENDED;
}

/* A launch that we or its limits ended before the command ran: what bwrap or the stage says of it is not the
 * reason. */
static void ended_by_us(struct dml_process *process)
{
    struct dml_result *result = &process->result;
    if (result->kind == DML_RESULT_SETUP_FAILED &&
        result->hit & (1u << DML_LIMIT_MEMORY | 1u << DML_LIMIT_PIDS)) {
        bool memory = result->hit & 1u << DML_LIMIT_MEMORY;
        result->code = memory ? "limit.memory" : "limit.pids";
        snprintf(result->message, sizeof result->message, "limits.%s is too small to start anything",
                 memory ? "memory" : "pids");
    }
    if (!process->cancelled && !process->timed_out)
        return;
    result->kind = process->cancelled ? DML_RESULT_CANCELLED : DML_RESULT_TIMEOUT;
    if (process->timed_out)
        result->hit |= 1u << DML_LIMIT_TIMEOUT;
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

/* Finds out, once, what this bwrap can do. False when that is no news: it would refuse again. */
static bool ask_bwrap(struct dml_process *process)
{
    const struct dml_bwrap_features assumed = process->features;
    const struct dml_start *start = process->start;
    if (!start || process->asked || !dml_probe_run(start->probe, start->bwrap_path, NULL))
        return false;
    process->asked = true;
    process->features = start->probe->features;
    process->said_length = 0;
    for (int i = 1; i < 3; i++)
        dml_capture_clear(&process->captures[i]);
    return memcmp(&process->features, &assumed, sizeof assumed) != 0;
}

static void end_for(struct dml_process *process, const struct dml_error *error)
{
    process->result.step = error->step;
    process->result.errnum = error->errnum;
    end_unexecuted(process, DML_RESULT_SETUP_FAILED, dml_launch_code(error), "%s", error->message);
}

static bool ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text), wanted = strlen(tail);
    return length >= wanted && strcmp(text + length - wanted, tail) == 0;
}

/* bwrap looks its sources up again, by path and more than once. What it may not look up, such as in a
 * directory that only its owner may enter when root starts it, has not changed. */
static bool tells_of_change(const char *text)
{
    static const char *const starts[] = {"Can't find source path ", "Can't get type of source ",
                                         "Can't bind mount /oldroot/"};
    static const char *const ends[] = {": No such file or directory", ": Not a directory",
                                       ": Too many levels of symbolic links"};
    bool of_source = false, gone = false;
    for (size_t i = 0; i < 3; i++) {
        of_source |= strncmp(text, starts[i], strlen(starts[i])) == 0;
        gone |= ends_with(text, ends[i]);
    }
    return (of_source && gone) || strncmp(text, "Race condition binding dirfd", 28) == 0;
}

/* The backend ended, or closed our socket, before the stage said anything. */
static void end_without_stage(struct dml_process *process)
{
    struct dml_error error;
    dml_process_reap(process);
    if (process->launch) {
        dml_native_explain(process->launch, &error);
        end_for(process, &error);
        return;
    }
    hear_last_words(process);
    char *said = process->said;
    said[process->said_length] = '\0';
    if (strstr(said, "nknown option") && ask_bwrap(process)) {
        if (!dml_process_launch(process, &error))
            end_for(process, &error);
        return;
    }
    process->result.kind = DML_RESULT_SETUP_FAILED;
    process->result.code = "setup.failed";
    end(process, false);
    said[strcspn(said, "\n")] = '\0';
    const char *text = strncmp(said, "bwrap: ", 7) == 0 ? said + 7 : said;
    const char *who = process->native ? "the native backend" : "bwrap";
    if (tells_of_change(text))
        process->result.code = "source.changed";
    char escaped[700];
    size_t used;
    dml_escape(escaped, sizeof escaped, text, strlen(text), &used);
    snprintf(process->result.message, sizeof process->result.message, "%s could not set the sandbox up: %s",
             who, *text ? escaped : "it ended without a word");
    ended_by_us(process);
}

static const char *describe_check(int64_t check)
{
    static const char *const namespaces[] = {"mount", "user", "ipc", "uts", "network"};
    switch (check) {
    case DML_CHECK_IDS: return "the command would not have the ids that it should";
    case DML_CHECK_CAPABILITIES: return "the command would have capabilities";
    case DML_CHECK_NO_NEW_PRIVS: return "the command could gain privileges";
    case DML_CHECK_INIT: return "the command would not be alone in its pid namespace";
    case DML_CHECK_FILTER: return "no system call filter would hold";
    case DML_CHECK_PROC: return "the command could write to parts of the machine's /proc";
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
                   "%s did not isolate what it was told to: %s%s%s%s",
                   process->native ? "the native backend" : "bwrap",
                   namespace ? "the command would share the host's " : "", describe_check(check),
                   namespace ? " namespace" : "", process->native ? "" : "; is it the real bwrap?");
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
        [DML_STEP_MEMORY] = "its memory cannot be limited",
    };
    bool known = report->step >= DML_STEP_MESSAGE && report->step <= DML_STEP_MEMORY;
    if (report->step == DML_STEP_MEMORY && report->value == EBUSY) /* more is in use already */
        process->result.hit |= 1u << DML_LIMIT_MEMORY;
    if (report->step == DML_STEP_CHDIR)
        end_unexecuted(process, DML_RESULT_SETUP_FAILED, "chdir.missing", "cannot start in %s: %s",
                       dml_quote(quoted, sizeof quoted, process->plan->chdir, strlen(process->plan->chdir)),
                       reason);
    else
        end_unexecuted(process, DML_RESULT_SETUP_FAILED, "setup.failed", "inner stage: %s: %s",
                       known ? steps[report->step] : "a step failed", reason);
}

/* What was bound by its path is not what was checked. */
static void end_changed(struct dml_process *process, const struct dml_stage_report *report)
{
    char quoted[256];
    size_t at = 0;
    const struct dml_entry *mount = dml_plan_next_seen(process->plan, &at);
    for (uint32_t i = 0; mount && i < report->step; i++)
        mount = dml_plan_next_seen(process->plan, &at);
    const char *path = mount ? mount->source.path : "a bind", *field = mount ? mount->field : "policy";
    end_unexecuted(process, DML_RESULT_SETUP_FAILED, "source.changed",
                   "%s: %s changed between check and launch%s%s", field,
                   dml_quote(quoted, sizeof quoted, path, strlen(path)), report->value ? ": " : "",
                   report->value ? strerror((int)report->value) : "");
}

/* What the name of a program that is not there may have been meant for. */
static void explain_missing(char *why, size_t size, const struct dml_plan *plan)
{
    const char *name = plan->argv[0];
    char quoted[256];
    if (plan->argc == 1 && strchr(name, ' '))
        snprintf(why, size, "; it is one word, with a space in it: write its words apart, or sh -c");
    else if (name[0] != '/' && strchr(name, '/'))
        snprintf(why, size, ", from %s, where it starts",
                 dml_quote(quoted, sizeof quoted, plan->chdir, strlen(plan->chdir)));
}

static void end_not_executed(struct dml_process *process, const struct dml_stage_report *report)
{
    int reason = (int)report->value;
    const char *why = strerror(reason), *code = "command.not_executable";
    char more[512] = "";
    if (reason == ENOENT && report->step)
        why = "its interpreter is not there; look at its first line, or at what it is linked with";
    else if (reason == ENOENT || reason == ENOTDIR) {
        why = "not found in the sandbox", code = "command.missing";
        explain_missing(more, sizeof more, process->plan);
    } else if (reason == ENOEXEC)
        why = "is no program; a script needs a first line such as #!/bin/sh";
    char quoted[256];
    const char *name = process->plan->argv[0];
    end_unexecuted(process, DML_RESULT_NOT_EXECUTED, code, "%s: %s%s",
                   dml_quote(quoted, sizeof quoted, name, strlen(name)), why, more);
}

/* `heard`: the report came from the stage. */
static void end_executed(struct dml_process *process, const struct dml_stage_report *report, bool heard)
{
    struct dml_result *result = &process->result;
    const struct dml_limits *limits = &process->plan->limits;
    int status = (int)report->value;
    bool counted = process->cgroup.covers & 1u << DML_LIMIT_CPU_TIME;
    uint64_t used = dml_cgroup_cpu_time(&process->cgroup);
    result->measured = heard;
    result->survivors = report->step & DML_END_SURVIVORS;
    end(process, !heard); /* the stage has seen everything inside end before it reports */
    if (report->ended_us) /* we may have looked long after */
        result->wall = (double)report->ended_us / 1e6 - process->started;
    result->user = (double)report->user_us / 1e6;
    result->system = (double)report->system_us / 1e6;
    result->max_rss = report->max_rss_kib * 1024;
    if (WIFSIGNALED(status)) {
        result->signal = WTERMSIG(status);
        result->core = WCOREDUMP(status);
    } else {
        result->exit_code = WEXITSTATUS(status);
    }
    bool killed = result->signal == SIGKILL, starved = result->hit & 1u << DML_LIMIT_MEMORY;
    /* The limit of a process counts ticks, the usage is measured: under load they differ. A cgroup's is
     * exact. */
    double spent = counted ? (double)used : (result->user + result->system) * 1000;
    double enough = counted && killed ? 1 : 0.5;
    bool cpu_spent = limits->has[DML_LIMIT_CPU_TIME] && (result->signal == SIGXCPU || killed) && !starved &&
                     spent >= enough * (double)limits->value[DML_LIMIT_CPU_TIME];
    process->timed_out = report->step & DML_END_TIMED_OUT ||
                         (process->timed_out && (!heard || process->pressure == DML_PRESSURE_FORCED));
    result->kind = process->cancelled                ? DML_RESULT_CANCELLED
                   : process->timed_out              ? DML_RESULT_TIMEOUT
                   : process->cpu_spent || cpu_spent ? DML_RESULT_CPU_TIME
                   : starved && killed               ? DML_RESULT_MEMORY
                   : result->signal                  ? DML_RESULT_SIGNAL
                                                     : DML_RESULT_EXIT;
    if (result->kind == DML_RESULT_TIMEOUT)
        result->hit |= 1u << DML_LIMIT_TIMEOUT;
    if (result->kind == DML_RESULT_CPU_TIME ||
        (counted && used >= limits->value[DML_LIMIT_CPU_TIME])) /* it may have ended before we looked */
        result->hit |= 1u << DML_LIMIT_CPU_TIME;
    if (result->signal == SIGXFSZ && limits->has[DML_LIMIT_FILE_SIZE])
        result->hit |= 1u << DML_LIMIT_FILE_SIZE;
}

/* The stage is gone without a last report: it or bwrap was killed, from outside or as our last resort. */
static void end_without_report(struct dml_process *process)
{
    struct dml_stage_report killed = {.kind = DML_STAGE_ENDED, .step = DML_END_SURVIVORS, .value = SIGKILL};
    if (process->state == DML_PROCESS_STARTING)
        end_without_stage(process);
    else
        end_executed(process, &killed, false);
}

/* A stage that ended before it read all our orders leaves an error, which comes before its last report. */
static ssize_t receive(const struct dml_process *process, struct dml_stage_report *report)
{
    ssize_t length = recv(process->control, report, sizeof *report, MSG_DONTWAIT);
    return length < 0 && errno == ECONNRESET ? recv(process->control, report, sizeof *report, MSG_DONTWAIT)
                                             : length;
}

/* The command and all that it left have ended. What made the sandbox may take a moment more, in which the
 * host has other things to do. */
static void leave(struct dml_process *process)
{
    if (!dml_process_must_wait(process)) {
        end_executed(process, &process->last, true);
        return;
    }
    dml_process_wait_for_outermost(process);
}

void dml_process_take_report(struct dml_process *process, bool gone)
{
    if (process->leaving) {
        if (gone)
            end_executed(process, &process->last, true);
        return;
    }
    struct dml_stage_report report;
    ssize_t length = receive(process, &report);
    if (length < 0 && (errno == EAGAIN || errno == EINTR) && !gone)
        return;
    if (length != sizeof report) {
        end_without_report(process);
        return;
    }
    process->reported = true;
    dml_process_forget_launch(process); /* whoever reports has been executed */
    process->concluded = report.kind != DML_STAGE_EXECUTED;
    switch (report.kind) {
    case DML_STAGE_UNSAFE: end_unsafe(process, report.value); break;
    case DML_STAGE_FAILED: end_failed_step(process, &report); break;
    case DML_STAGE_CHANGED: end_changed(process, &report); break;
    case DML_STAGE_NOT_EXECUTED: end_not_executed(process, &report); break;
    case DML_STAGE_EXECUTED: process->state = DML_PROCESS_RUNNING; break;
    case DML_STAGE_ENDED:
        process->last = report;
        leave(process);
        break;
    default: end_without_report(process); break;
    }
}
