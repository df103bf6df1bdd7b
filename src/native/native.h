/* The native backend: a plan launched by system calls of our own, without any other program.
 *
 * The parent prepares everything, and a child in new namespaces does the steps, one file each in this
 * directory, while the parent goes on. It shares our memory (child.h): what it learns and where it fails it
 * leaves in the prepared launch, which therefore stays until the child has executed something or ended. */
#ifndef DML_NATIVE_H
#define DML_NATIVE_H

#include "plan.h"

#include <linux/filter.h>

/* What the child does, in its order; each can fail by itself. */
enum dml_native_step {
    DML_NATIVE_NONE,
    DML_NATIVE_CGROUP,
    DML_NATIVE_CLONE,
    DML_NATIVE_ID_MAP,
    DML_NATIVE_DESCRIPTORS,
    DML_NATIVE_SESSION,
    DML_NATIVE_HOSTNAME,
    DML_NATIVE_LOOPBACK,
    DML_NATIVE_SOURCE,
    DML_NATIVE_CLONE_TREE,
    DML_NATIVE_ATTRIBUTES,
    DML_NATIVE_ROOT,
    DML_NATIVE_PROC,
    DML_NATIVE_USER_NAMESPACES,
    DML_NATIVE_DEVICE,
    DML_NATIVE_FILE_SYSTEM,
    DML_NATIVE_FILE,
    DML_NATIVE_LINK,
    DML_NATIVE_PLACE,
    DML_NATIVE_ATTACH,
    DML_NATIVE_SEAL,
    DML_NATIVE_PIVOT,
    DML_NATIVE_PRIVILEGES,
    DML_NATIVE_LANDLOCK,
    DML_NATIVE_FILTER,
    DML_NATIVE_EXECUTE,
    DML_NATIVE_STEP_COUNT,
};

enum { DML_NATIVE_MOST_TIMES = 24 };

/* What a launch was at, and when that was over: what each step costs. */
struct dml_native_times {
    const char *names[DML_NATIVE_MOST_TIMES];
    double ended[DML_NATIVE_MOST_TIMES]; /* seconds of CLOCK_MONOTONIC */
    size_t count;
};

/* One mount of the plan, prepared. */
struct dml_native_mount {
    const struct dml_entry *entry;
    const char *at; /* the path inside without its leading slash; "." for the root */
    char *const
        *directories; /* on the way to it, to be made if they are not there; NULL-terminated, or NULL */
    bool make;        /* it stands in a file system of ours: its mount point has to be made */
    const char *size, *mode; /* of a tmpfs, as the kernel takes them; NULL: its own default */
    int tree;                /* what is mounted there, once the child has it; -1 */
};

/* A launch: what the child is given, and what it has. */
struct dml_native {
    struct dml_arena arena; /* owns what is prepared here */
    const struct dml_plan *plan;
    const int *descriptors; /* as struct dml_spawn has them */
    size_t descriptor_count;
    int *scratch;
    const int *cgroups;
    size_t cgroup_count;
    bool has_groups; /* supplementary ones, which have to be given up, as root can */

    const char *uid_map, *gid_map;
    struct dml_native_mount *mounts;
    size_t mount_count;
    struct sock_fprog filter;
    int landlock;          /* ABI that its rules are for; 0: none are set */
    const char *file_name; /* in the shop, where nothing else has it: files are made there */

    /* What the child has, descriptors of its own. */
    int shop; /* a tmpfs: the root when that is ours, and where files are made; see mounts.c */
    int root;
    int proc;
    struct dml_native_times times;
    uint32_t handed_over; /* a futex: 1 once the child holds no descriptor of the host that it is not given */

    /* The child. */
    void *stack;
    int pidfd; /* written by the kernel */
    pid_t pid;

    /* How it failed. */
    enum dml_native_step step;
    const struct dml_entry *object; /* at which mount, or NULL */
    int reason;                     /* errno */
};

/* The controls that this backend applies to `plan` on this kernel, as bits of enum dml_control; `error` says
 * why what the plan requires is not among them, and then false is returned. */
bool dml_native_controls(const struct dml_plan *plan, unsigned *controls, struct dml_error *error);

/* The controls that this backend is meant to apply to `plan`, wherever it runs. */
unsigned dml_native_wanted(const struct dml_plan *plan);

/* Adds a problem for what the plan requires and this backend does not apply here. */
void dml_native_check(const struct dml_plan *plan, struct dml_problems *problems);

/* Prepares the launch of a plan in `n`, where descriptors and cgroups stand already; they are copied, the
 * plan has to outlive it. False when there is not enough memory. Whatever it returns, dml_native_clear gives
 * back what it took. */
bool dml_native_prepare(const struct dml_plan *plan, struct dml_native *n);
void dml_native_clear(struct dml_native *n);

/* Begins to launch a plan whose descriptors and cgroups are ready: its child goes on beside us, and becomes
 * the inner stage. Its pid, and a pidfd (close-on-exec) that the caller closes, are in what is returned; the
 * caller reaps it. NULL with an error when there is no child. The plan must stay as long as what is returned.
 * Safe in a program with threads. */
struct dml_native *dml_native_start(const struct dml_plan *plan, const int *descriptors,
                                    size_t descriptor_count, const int *cgroups, size_t cgroup_count,
                                    struct dml_error *error);

/* Why a child ended without executing the inner stage. */
void dml_native_explain(const struct dml_native *native, struct dml_error *error);

/* Frees a launch, but neither child nor pidfd. Only once the child has executed the stage or ended; NULL does
 * nothing. */
void dml_native_free(struct dml_native *native);

#endif
