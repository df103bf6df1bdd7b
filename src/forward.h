/* Signals of the demilune command, handed on to the sandboxed one. Only the command uses this: it changes the
 * signal mask of its process, which a module must not. */
#ifndef DML_FORWARD_H
#define DML_FORWARD_H

#include "problem.h"
#include "process.h"

#include <signal.h>

/* The signals that are forwarded. What we were started ignoring (nohup, a job in the background of a script)
 * is not among them: a signal that is blocked would come all the same. */
void dml_forward_set(sigset_t *set);

/* Blocks the signals that are forwarded and returns a descriptor that is readable when one has come; -1 with
 * an error. */
int dml_forward_open(struct dml_error *error);

/* Takes one signal of the descriptor; 0 when none has come. */
int dml_forward_take(int fd);

struct dml_forward {
    int fd;
    bool keeps_terminal; /* the terminal signals the command itself */
    int interrupts;      /* INTs seen */
};

/* Takes one signal and hands it on. A second INT kills the tree; TSTP stops the command, then us. */
void dml_forward_one(struct dml_forward *forward, struct dml_process *process);

#endif
