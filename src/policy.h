/* The frozen policy: a deep copy of what a policy says, in C, that nothing outside can change. */
#ifndef DML_POLICY_H
#define DML_POLICY_H

#include "arena.h"
#include "path.h"
#include "problem.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What stands at a path inside the sandbox. The second group only appears in a plan. */
enum dml_entry_kind {
    DML_BIND_RO,     /* a host file or tree, read-only */
    DML_BIND_RW,     /* the same, writable */
    DML_BIND_DEVICE, /* a device of the host, usable; in a policy also a directory of them */
    DML_TMPFS,       /* an empty, sized file system */
    DML_SYMLINK,     /* a symbolic link */
    DML_DATA,        /* a read-only file with given content */
    DML_MASK,        /* made unreadable and unwritable */

    DML_PROC,  /* a fresh /proc */
    DML_DEV,   /* a fresh /dev */
    DML_COVER, /* a part of the fresh /proc, made read-only */
    DML_PIN,   /* a directory bound onto itself, so that it cannot be renamed away */
    DML_SEAL,  /* the file system mounted here becomes read-only */
};

/* Who said so; later ones win on the same path (policy.md, "Mount order"). */
enum dml_rank {
    DML_RANK_ENGINE,
    DML_RANK_BASE,
    DML_RANK_RW,
    DML_RANK_RO,
    DML_RANK_DEVICE,
    DML_RANK_WORK,
    DML_RANK_TMPFS,
    DML_RANK_SYMLINK,
    DML_RANK_SECRET,
    DML_RANK_MASK,
};

/* A host object as found when its path was resolved. */
struct dml_object {
    const char *path; /* with every symbolic link resolved; NULL: not resolved */
    dev_t device;
    ino_t inode;
    mode_t mode;
    nlink_t links; /* names of it */
};

struct dml_entry {
    enum dml_entry_kind kind;
    enum dml_rank rank;
    const char *sandbox;      /* path inside */
    size_t depth;             /* how many components it has; set where mounts are ordered */
    const char *host;         /* host path of a bind as the policy has it; target of a symlink */
    struct dml_object source; /* of binds and pins */
    const char *data;         /* content of a file */
    size_t length;            /* its length */
    uint64_t size;            /* of a tmpfs, bytes; 0: the policy's limit */
    unsigned mode;            /* permissions of a tmpfs, file or mask */
    bool optional;            /* a source, or something to mask, that is not there is no problem */
    bool secret;              /* its content is never shown */
    bool directory;           /* a mask over a directory */
    bool hides;               /* a mask with something under it */
    bool lone;                /* nothing else stands in it, nor it in anything of the host's; in a plan */
    const char *field;        /* where it was said: "rw_binds[2]", "base", "engine" */
};

enum dml_env_action { DML_ENV_SET, DML_ENV_PASS, DML_ENV_OMIT };

/* One rule for the environment. Later rules beat earlier ones for the same name. */
struct dml_env_rule {
    enum dml_env_action action;
    const char *name;  /* may end in `*` in a rule of a base */
    const char *value; /* for DML_ENV_SET */
    const char *field;
};

/* A limit that was not asked for is 0, except where 0 is a value: see `has`. */
enum dml_limit {
    DML_LIMIT_TIMEOUT,    /* milliseconds */
    DML_LIMIT_CPU_TIME,   /* milliseconds */
    DML_LIMIT_MEMORY,     /* bytes */
    DML_LIMIT_PIDS,       /* processes */
    DML_LIMIT_FILE_SIZE,  /* bytes */
    DML_LIMIT_OPEN_FILES, /* descriptors */
    DML_LIMIT_OUTPUT,     /* bytes kept of each captured stream */
    DML_LIMIT_TMP,        /* bytes of each private tmpfs */
    DML_LIMIT_COUNT,
};

struct dml_limits {
    bool has[DML_LIMIT_COUNT];
    uint64_t value[DML_LIMIT_COUNT];
    double tmp_share;                /* of memory, when `tmp` was given in percent; else 0 */
    size_t ceiling[DML_LIMIT_COUNT]; /* which of the ceilings gave it, from 1; 0: none */
};

enum dml_danger {
    DML_DANGER_ENGINE_SOCKET,
    DML_DANGER_SSH_AGENT,
    DML_DANGER_GPG_AGENT,
    DML_DANGER_X11,
    DML_DANGER_WAYLAND,
    DML_DANGER_DBUS,
    DML_DANGER_USER_RUNTIME,
    DML_DANGER_HOME_RW,
    DML_DANGER_HOME,
    DML_DANGER_ROOT_RW,
    DML_DANGER_ROOT,
    DML_DANGER_SYS,
    DML_DANGER_DEVICE,
    DML_DANGER_PATH_RW,
    DML_DANGER_LOADER_ENV,
    DML_DANGER_TTY_UNFILTERED,
    DML_DANGER_NO_SECCOMP,
    DML_DANGER_COUNT,
};

/* What may be missing on a host: `requires` names what must not, a result lists what was applied and what
 * not. */
enum dml_control {
    DML_CONTROL_BIND_FD,        /* sources are the objects that were checked */
    DML_CONTROL_DISABLE_USERNS, /* no user namespaces inside */
    DML_CONTROL_TMPFS_SIZE,     /* private file systems have a limit */
    DML_CONTROL_SECCOMP,        /* the system call filter */
    DML_CONTROL_CGROUP,         /* limits hold for the sandbox as a whole */
    DML_CONTROL_LANDLOCK,       /* a second wall over the files */
    DML_CONTROL_SCOPES,         /* Landlock keeps abstract sockets of a shared network out of reach */
    DML_CONTROL_COUNT,
};

/* What is there before a policy adds anything. */
enum dml_base { DML_BASE_HOST, DML_BASE_NIX, DML_BASE_NONE, DML_BASE_COUNT };

/* DML_SECCOMP_ALLOW: the default filter without the options named. */
enum dml_seccomp { DML_SECCOMP_DEFAULT, DML_SECCOMP_OFF, DML_SECCOMP_ALLOW };

struct dml_policy {
    struct dml_arena arena;
    bool failed; /* memory ran out while it was built: it must not be used */

    struct dml_entry *entries;
    size_t entry_count, entry_capacity;
    struct dml_env_rule *env;
    size_t env_count, env_capacity;

    bool network, tty, nested, caller;
    const char *base;      /* as the policy has it; NULL: the default */
    const char *work_host; /* NULL: private */
    const char *project;   /* path inside of the project, or NULL */
    const char *chdir;     /* NULL: the default */
    const char *hostname;  /* NULL: the host's */
    const char *name, *description;
    const char **files; /* the files that it was read from, on the host: never writable inside */
    size_t file_count;
    enum dml_seccomp seccomp;
    unsigned seccomp_options; /* bits of enum dml_seccomp_option, of DML_SECCOMP_ALLOW */
    struct dml_limits limits;
    unsigned requires; /* bits of enum dml_control: without one of these nothing runs */
    bool acknowledged[DML_DANGER_COUNT];
    bool wire; /* from a client of the ancestor, who cannot acknowledge: dangers are warnings */
    bool warned[DML_DANGER_COUNT]; /* which of them the validation warned of */
};

extern const char *const dml_base_names[DML_BASE_COUNT];
extern const char *const dml_danger_names[DML_DANGER_COUNT];
extern const char *const dml_control_names[DML_CONTROL_COUNT];
extern const char *const dml_limit_names[DML_LIMIT_COUNT];

/* An empty policy, or NULL when memory is out. The caller frees it with `dml_policy_free`. */
struct dml_policy *dml_policy_new(void);
void dml_policy_free(struct dml_policy *policy);

/* What `policy` says on what `base` has, or NULL when memory is out. Strings stay theirs, so both must live
 * longer. The caller frees it with `dml_policy_free`. */
struct dml_policy *dml_policy_on_base(const struct dml_policy *policy, const struct dml_policy *base);

/* Adds a copy of `entry`; its strings must belong to the policy's arena. Returns the stored entry, valid
 * until the next call, or NULL (then `failed` is set). */
struct dml_entry *dml_policy_add_entry(struct dml_policy *policy, const struct dml_entry *entry);

/* Adds a rule for the environment, in the same way. */
bool dml_policy_add_env(struct dml_policy *policy, const struct dml_env_rule *rule);

/* Adds a bind of `host` at `sandbox`. Copies its strings. */
bool dml_policy_add_bind(struct dml_policy *policy, enum dml_rank rank, const char *host, const char *sandbox,
                         bool optional, const char *field);

/* The limits that are meant for all processes together, as bits of enum dml_limit: with a cgroup they hold
 * so. */
unsigned dml_limits_as_a_whole(const struct dml_limits *limits);

/* Where a bind shows the host path `host_path`, which lies in its source. */
void dml_bind_path_inside(char inside[2 * DML_PATH_MAX], const struct dml_entry *bind, const char *host_path);

/* The other way: the host path that a bind shows at `sandbox`, which lies in it. In `arena`; NULL when memory
 * is out. */
const char *dml_bind_path_outside(const struct dml_entry *bind, const char *sandbox, struct dml_arena *arena);

/* Whether an entry binds something of the host that the policy or a base names, a device among it. */
bool dml_is_bind(const struct dml_entry *entry);

/* Whether an entry is the engine's own or a base's, and not what the policy says. */
bool dml_is_default(const struct dml_entry *entry);

/* Index of `name` in `names`, or -1. */
int dml_name_index(const char *name, const char *const *names, int count);

#endif
