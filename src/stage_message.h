/* What the runner and the inner stage say to each other. Included by a program without libc: plain types
 * only. */
#ifndef DML_STAGE_MESSAGE_H
#define DML_STAGE_MESSAGE_H

#include <stdint.h>

/* Descriptors with which the backend and then the inner stage are started. */
enum {
    DML_FD_ARGUMENTS = 3, /* the backend's own arguments */
    DML_FD_STAGE = 4,     /* the stage's image */
    DML_FD_MESSAGE = 5,   /* struct dml_stage_message and its strings: a pipe, or a sealed memory file */
    DML_FD_CONTROL = 6,   /* socket: reports to the runner, signals from it */
    DML_FD_STDIN = 7,     /* the command's own */
    DML_FD_STDOUT = 8,
    DML_FD_STDERR = 9,
    DML_FD_RUNNER = 10, /* a pidfd: readable when the runner has ended */
    DML_FD_MEMORY = 11, /* where a cgroup's limit of memory is written, /dev/null without one */
    DML_FD_SWAP = 12,   /* the same of memory and swap */
    DML_FD_COUNT = 13,  /* more of the backend's follow */
};

/* A system call that no table has, and the error that our filter alone gives for it: so the stage knows it.
 */
enum { DML_WITNESS_CALL = 511, DML_WITNESS_ERROR = 3511 };

enum { DML_PIPE_ROOM = 64 * 1024 }; /* what a new pipe holds, but for a user who has very many (pipe(7)) */

enum { DML_GRACE = 2000 }; /* milliseconds between TERM and KILL */

enum { DML_STAGE_MAGIC = 0x31534d44, DML_STAGE_NAMESPACES = 5, DML_STAGE_RLIMITS = 8, DML_STAGE_NUMBER = 24 };

struct dml_stage_rlimit {
    uint64_t resource, soft, hard;
};

/* What must stand at a path, as stat has it; or a cover of /proc, which must be read-only. */
struct dml_stage_object {
    uint64_t device, inode;
    uint32_t type;  /* S_IFMT of its mode */
    uint32_t cover; /* 1: it is one, and nothing else counts */
};

/* Followed by `object_count` objects and the strings: `argc` arguments, `envc` variables, the working
 * directory, the path of each object, each ended by a NUL, `size` bytes in all with this header. */
struct dml_stage_message {
    uint32_t magic;
    uint32_t size;
    uint32_t argc, envc, object_count;
    uint32_t uid, gid;           /* who the command must be */
    uint32_t own_group;          /* the command leads a process group of its own */
    uint32_t no_user_namespaces; /* it must not be able to make user namespaces */
    uint32_t filtered;           /* a system call filter must hold */
    /* What the stage writes to DML_FD_MEMORY and DML_FD_SWAP before anything else; "": nothing. Until then
     * what makes the sandbox may share its memory with a host, which would not survive this limit. */
    char memory[2][DML_STAGE_NUMBER];
    uint64_t deadline; /* when the command is asked to end, milliseconds of CLOCK_MONOTONIC; 0: never */
    /* Inode numbers of the runner's namespaces, in the order mnt user ipc uts net. The stage must not be
     * in any of them; 0 where it may be. Whose pid namespace it is in it sees by its own number. */
    uint64_t foreign[DML_STAGE_NAMESPACES];
    uint32_t rlimit_count;
    struct dml_stage_rlimit rlimits[DML_STAGE_RLIMITS];
};

enum dml_stage_report_kind {
    DML_STAGE_UNSAFE = 1,   /* the sandbox is not what it should be: `value` is a dml_stage_check */
    DML_STAGE_FAILED,       /* a step failed: `step`, `value` is errno */
    DML_STAGE_CHANGED,      /* object number `step` is another than it was; `value`: errno, or 0 */
    DML_STAGE_NOT_EXECUTED, /* execve failed: `value` is errno, `step` 1 when the file is there */
    DML_STAGE_EXECUTED,     /* the command runs; `value` is its pid inside */
    DML_STAGE_ENDED,        /* `value` is the wait status, `step` bits of dml_stage_end */
};

enum dml_stage_end { DML_END_SURVIVORS = 1 /* it left something running */, DML_END_TIMED_OUT = 2 };

enum dml_stage_check {
    DML_CHECK_NAMESPACE = 1, /* + index in `foreign` */
    DML_CHECK_IDS = 10,
    DML_CHECK_CAPABILITIES,
    DML_CHECK_NO_NEW_PRIVS,
    DML_CHECK_USER_NAMESPACES,
    DML_CHECK_INIT, /* it is not pid 1 */
    DML_CHECK_FILTER,
    DML_CHECK_PROC, /* a part of /proc can be written to */
};

enum dml_stage_step {
    DML_STEP_MESSAGE = 1,
    DML_STEP_CHDIR,
    DML_STEP_RLIMIT,
    DML_STEP_DESCRIPTORS,
    DML_STEP_CLONE,
    DML_STEP_WAIT,
    DML_STEP_MEMORY,
};

struct dml_stage_report {
    uint32_t kind, step;
    int64_t value;
    uint64_t user_us, system_us, max_rss_kib; /* of DML_STAGE_ENDED */
    uint64_t ended_us;                        /* the same: when, microseconds of CLOCK_MONOTONIC */
};

/* From the runner: deliver `signal` to the command; SIGKILL ends everything inside. With `grace`
 * (milliseconds) everything ends when that time has passed. */
struct dml_stage_order {
    uint32_t signal, grace;
};

#endif
