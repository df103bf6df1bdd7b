#include "bare.h"
#include "forward.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

/* `mask` is what the command starts with. A broken pipe ends it, whatever we do about ours. */
static int start(char *const *argv, const sigset_t *mask, pid_t *pid)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, mask);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawn_file_actions_init(&actions);
    int reason = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (reason == 0)
        reason = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return reason;
}

/* What the terminal sends it sends to the command too. */
static void hand_on(const siginfo_t *info, pid_t pid)
{
    if (info->si_signo == SIGCHLD)
        return;
    if (info->si_code != SI_KERNEL)
        /* the kernel drops TSTP for a process group whose parents are all in other sessions */
        kill(pid, info->si_signo == SIGTSTP ? SIGSTOP : (int)info->si_signo);
    if (info->si_signo == SIGTSTP)
        raise(SIGSTOP);
}

bool dml_bare_run(char *const *argv, int *status, struct dml_error *error)
{
    sigset_t set, before;
    pid_t pid, ended;
    dml_forward_set(&set);
    sigaddset(&set, SIGCHLD);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take the child's end from us */
    sigprocmask(SIG_BLOCK, &set, &before);
    int reason = start(argv, &before, &pid);
    if (reason)
        return dml_fail(error, DML_ERROR_SYSTEM, reason, "cannot be executed");
    while ((ended = waitpid(pid, status, WNOHANG)) == 0) {
        siginfo_t info;
        if (sigwaitinfo(&set, &info) > 0)
            hand_on(&info, pid);
    }
    return ended == pid || dml_fail(error, DML_ERROR_SYSTEM, errno, "the command's end cannot be heard of");
}
