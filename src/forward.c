#include "forward.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <unistd.h>

static bool is_ignored(int signal)
{
    struct sigaction action;
    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void dml_forward_set(sigset_t *set)
{
    static const int forwarded[] = {SIGINT,  SIGTERM,  SIGHUP,  SIGQUIT, SIGUSR1,
                                    SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++) {
        if (!is_ignored(forwarded[i]))
            sigaddset(set, forwarded[i]);
    }
}

int dml_forward_open(struct dml_error *error)
{
    sigset_t set;
    dml_forward_set(&set);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        dml_fail(error, DML_ERROR_SYSTEM, errno, "no signal descriptor");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

int dml_forward_take(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

void dml_forward_one(struct dml_forward *forward, struct dml_process *process)
{
    struct signalfd_siginfo info;
    if (read(forward->fd, &info, sizeof info) != sizeof info)
        return;
    int signal = (int)info.ssi_signo;
    bool from_terminal = forward->keeps_terminal && info.ssi_code == SI_KERNEL;
    if (signal == SIGTSTP) {
        dml_process_signal(process, SIGSTOP);
        raise(SIGSTOP);
    } else if (from_terminal) {
        return; /* the terminal has sent it to the command too */
    } else if (signal == SIGINT && ++forward->interrupts > 1) {
        dml_process_kill(process);
    } else {
        dml_process_signal(process, signal);
    }
}
