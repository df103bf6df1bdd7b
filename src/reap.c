/* The end of a launch: its outermost process, and what it leaves. */
#include "process_private.h"
#include "host.h"
#include "spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LAST_MOMENT = 100 }; /* milliseconds to wait for bwrap, whose child is dead */

bool dml_process_ends_within(const struct dml_process *process, int milliseconds)
{
    struct pollfd polled = {.fd = process->pidfd, .events = POLLIN};
    return poll(&polled, 1, milliseconds) > 0;
}

/* The last resort. Killed between its clone and the first instruction of its child, bwrap would leave the
 * child waiting for it for ever: so it is stopped, and its child goes first, whose exit it then takes. The
 * inner stage as the outermost process takes everything with it. */
void dml_process_kill_outermost(struct dml_process *process)
{
    char path[64], line[256] = "";
    if (syscall(SYS_pidfd_send_signal, process->pidfd, SIGSTOP, NULL, 0) != 0)
        return; /* it is gone, and its number may be another's by now */
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)process->pid, (int)process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, line, sizeof line - 1) : 0;
    line[length > 0 ? length : 0] = '\0';
    bool orphans = false;
    for (char *at = line, *end; *at; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at)
            break;
        kill((pid_t)child, SIGKILL);
        orphans = !process->native;
    }
    if (fd >= 0)
        close(fd);
    if (orphans && syscall(SYS_pidfd_send_signal, process->pidfd, SIGCONT, NULL, 0) == 0)
        dml_process_ends_within(process, LAST_MOMENT);
    syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
}

/* Whether somebody takes the exits of processes that lose their parent. Init does; in another pid namespace
 * the first process may be any program, such as that of a container, and as a subreaper it is us. */
static bool orphans_are_reaped(void)
{
    int subreaper = 0;
    return dml_host_is_in_first_pid_namespace() && prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0 &&
           !subreaper;
}

static atomic_int living;

void dml_process_count(struct dml_process *process, bool lives)
{
    if (lives != process->counted)
        atomic_fetch_add(&living, lives ? 1 : -1);
    process->counted = lives;
}

/* Killed at once, a launch is over a little sooner. The stage, which is on its way out, is the outermost
 * process of a native one; under bwrap it loses its parent, and init may take its time to reap it: where many
 * end, what that holds costs more than is gained. With a cgroup the last inside is waited for in any case. */
bool dml_process_must_wait(const struct dml_process *process)
{
    bool alone = atomic_load(&living) <= 1;
    return !process->concluded || process->cgroup.count > 0 ||
           !(process->native || (alone && orphans_are_reaped()));
}

/* Ends what is left and takes the exit of the outermost process. Without its socket the stage ends, and with
 * it everything inside.
 */
void dml_process_reap(struct dml_process *process)
{
    dml_process_close(&process->control);
    if (process->pidfd < 0)
        return;
    if (!dml_process_must_wait(process)) /* else it ends after the last inside, by itself */
        syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
    else if (!dml_process_ends_within(process, DML_LAST_WORDS))
        dml_process_kill_outermost(process);
    /* By descriptor: a host that reaps everything may have reaped it, and its number be another's by now. */
    dml_spawn_reap(process->pidfd);
    process->pidfd = -1;
}

void dml_process_leave_cgroup(struct dml_process *process)
{
    dml_cgroup_remove(&process->cgroup, DML_LAST_WORDS);
    dml_cgroup_clear(&process->cgroup);
}
