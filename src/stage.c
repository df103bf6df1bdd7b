/* The inner stage: a static program without libc that is pid 1 of the sandbox. It makes sure that it is one,
 * executes the command, forwards signals to it, reaps orphans and reports exactly what became of the command.
 * Being pid 1, nothing inside can kill or stop it, and when it ends, everything inside does. */
#include "freestanding.h"
#include "stage_parse.h"

#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/wait.h>

/* Constants of the kernel's interface whose headers clash without a libc. */
enum {
    E_INTR = 4,
    E_CHILD = 10,
    E_ACCES = 13,
    E_NOENT = 2,
    E_NOTDIR = 20,
    E_NAMETOOLONG = 36,
    E_SPIPE = 29,
    SIGNAL_KILL = 9,
    SIGNAL_TERM = 15,
    SIGNAL_CHILD = 17,
    SIGNAL_CONTINUE = 18,
    CLOCK_FORWARD = 1, /* CLOCK_MONOTONIC */
    POLL_IN = 1,
    POLL_GONE = 0x2000, /* POLLRDHUP */
    PROTECT_READ = 1,
    PROTECT_WRITE = 2,
    MAP_PRIVATE_FILE = 2,
    MAP_PRIVATE_MEMORY = 2 | 0x20,
    CURRENT_DIRECTORY = -100, /* AT_FDCWD */
    FOLLOW_NOTHING = 0x100,   /* AT_SYMLINK_NOFOLLOW */
    TYPE_OF_MODE = 0170000,   /* S_IFMT */
    READ_ONLY = 1,            /* ST_RDONLY */
    ONLY_PATH = 010000000,    /* O_PATH */
    SIGNAL_SET = 2,
    SIGNALFD_NONBLOCK = 04000, /* O_NONBLOCK */
    SEEK_TO_END = 2,
    LARGEST_SIGNAL = 64,
};

#if defined(__x86_64__)
__asm__("clone_on_stack:\n" /* rdi: flags, rsi: end of the stack, rdx: function, rcx: its argument */
        "\tsub $16, %rsi\n"
        "\tmov %rdx, (%rsi)\n"
        "\tmov %rcx, 8(%rsi)\n"
        "\txor %edx, %edx\n"
        "\txor %r10d, %r10d\n"
        "\txor %r8d, %r8d\n"
        "\tmov $56, %eax\n" /* clone */
        "\tsyscall\n"
        "\ttest %rax, %rax\n"
        "\tjz 1f\n"
        "\tret\n"
        "1:\txor %ebp, %ebp\n"
        "\tpop %rax\n"
        "\tpop %rdi\n"
        "\tcall *%rax\n"
        "\thlt\n");
#else
__asm__("clone_on_stack:\n" /* x0: flags, x1: end of the stack, x2: function, x3: its argument */
        "\tstp x2, x3, [x1, #-16]!\n"
        "\tmov x2, #0\n"
        "\tmov x3, #0\n"
        "\tmov x4, #0\n"
        "\tmov x8, #220\n" /* clone */
        "\tsvc 0\n"
        "\tcbz x0, 1f\n"
        "\tret\n"
        "1:\tmov x29, #0\n"
        "\tmov x30, #0\n"
        "\tldp x1, x0, [sp], #16\n"
        "\tblr x1\n"
        "\tbrk #1\n");
#endif

/* --- reports
 * ------------------------------------------------------------------------------------------------------- */

static void report(struct dml_stage_report *what)
{
    CALL3(__NR_write, DML_FD_CONTROL, what, sizeof *what);
}

static void fail(enum dml_stage_report_kind kind, uint32_t step, long value) __attribute__((noreturn));
static void fail(enum dml_stage_report_kind kind, uint32_t step, long value)
{
    struct dml_stage_report what = {.kind = kind, .step = step, .value = value};
    report(&what);
    leave(125);
}

/* --- the message
 * --------------------------------------------------------------------------------------------------- */

static void *map(size_t size, int protection, int flags, int fd)
{
    long address = CALL6(__NR_mmap, 0, size, protection, flags, fd, 0);
    if (address < 0 && address > -4096)
        fail(DML_STAGE_FAILED, DML_STEP_MESSAGE, -address);
    return (void *)address;
}

/* Reads as much as the message says that it has, whoever else may have the other end of the pipe. */
static long read_pipe(char *bytes, long room)
{
    const struct dml_stage_message *message = (const struct dml_stage_message *)bytes;
    long size = 0;
    while (size < (long)sizeof *message || size < (long)message->size) {
        long got = CALL3(__NR_read, DML_FD_MESSAGE, bytes + size, room - size);
        if (got == -E_INTR)
            continue;
        if (got <= 0)
            break;
        size += got;
    }
    return size;
}

static void read_message(struct dml_stage_command *command)
{
    static char room[DML_PIPE_ROOM] __attribute__((aligned(16)));
    const void *bytes = room;
    long size = CALL3(__NR_lseek, DML_FD_MESSAGE, 0, SEEK_TO_END);
    if (size == -E_SPIPE)
        size = read_pipe(room, sizeof room);
    else if (size > 0)
        bytes = map((size_t)size, PROTECT_READ, MAP_PRIVATE_FILE, DML_FD_MESSAGE);
    if (size < (long)sizeof(struct dml_stage_message))
        fail(DML_STAGE_FAILED, DML_STEP_MESSAGE, size < 0 ? -size : 0);
    size_t pointers = dml_stage_pointers(bytes, (size_t)size);
    if (pointers == 0)
        fail(DML_STAGE_FAILED, DML_STEP_MESSAGE, 0);
    char **table = map(pointers * sizeof *table, PROTECT_READ | PROTECT_WRITE, MAP_PRIVATE_MEMORY, -1);
    if (!dml_stage_parse(bytes, table, command))
        fail(DML_STAGE_FAILED, DML_STEP_MESSAGE, 0);
}

/* --- is this the sandbox that was asked for?
 * ----------------------------------------------------------------------- */

/* Inode number in "kind:[number]". */
static uint64_t namespace_inode(long directory, const char *kind)
{
    char link[64];
    long length = CALL4(__NR_readlinkat, directory, kind, link, sizeof link - 1);
    uint64_t inode = 0;
    for (long i = 0; i < length; i++) {
        if (link[i] >= '0' && link[i] <= '9')
            inode = inode * 10 + (uint64_t)(link[i] - '0');
    }
    return inode;
}

static void check_namespaces(const struct dml_stage_message *message)
{
    static const char kinds[DML_STAGE_NAMESPACES][8] = {"mnt", "user", "ipc", "uts", "net"};
    if (!message->foreign[0])
        return;
    long directory = CALL4(__NR_openat, CURRENT_DIRECTORY, "/proc/self/ns", ONLY_PATH, 0);
    for (uint32_t i = 0; i < DML_STAGE_NAMESPACES; i++) {
        if (!message->foreign[i])
            continue;
        uint64_t inode = namespace_inode(directory, kinds[i]);
        if (inode == 0 || inode == message->foreign[i])
            fail(DML_STAGE_UNSAFE, 0, DML_CHECK_NAMESPACE + (long)i);
    }
    CALL1(__NR_close, directory);
}

/* Some of them bwrap makes by itself. One that is not there any more needs none. */
static void check_cover(const char *path)
{
    struct statfs found;
    long failed = CALL2(__NR_statfs, path, &found);
    if (failed != -E_NOENT && (failed || !(found.f_flags & READ_ONLY)))
        fail(DML_STAGE_UNSAFE, 0, DML_CHECK_PROC);
}

/* What was bound by its path may have been exchanged since it was checked. Nobody else has been here yet. */
static void check_objects(const struct dml_stage_command *command)
{
    for (uint32_t i = 0; i < command->message->object_count; i++) {
        const struct dml_stage_object *expected = &command->objects[i];
        if (expected->cover) {
            check_cover(command->paths[i]);
            continue;
        }
        struct stat found;
        long failed = CALL4(__NR_newfstatat, CURRENT_DIRECTORY, command->paths[i], &found, FOLLOW_NOTHING);
        if (failed || found.st_dev != expected->device || found.st_ino != expected->inode ||
            (found.st_mode & TYPE_OF_MODE) != expected->type)
            fail(DML_STAGE_CHANGED, i, -failed);
    }
}

static void check_privileges(const struct dml_stage_message *message)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    memset(data, 0, sizeof data);
    long failed = CALL2(__NR_capget, &header, data);
    if (failed || data[0].effective || data[1].effective || data[0].permitted || data[1].permitted ||
        data[0].inheritable || data[1].inheritable)
        fail(DML_STAGE_UNSAFE, 0, DML_CHECK_CAPABILITIES);
    if (CALL0(__NR_geteuid) != (long)message->uid || CALL0(__NR_getuid) != (long)message->uid ||
        CALL0(__NR_getegid) != (long)message->gid || CALL0(__NR_getgid) != (long)message->gid)
        fail(DML_STAGE_UNSAFE, 0, DML_CHECK_IDS);
    if (CALL5(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        fail(DML_STAGE_UNSAFE, 0, DML_CHECK_NO_NEW_PRIVS);
    if (CALL0(__NR_getpid) != 1)
        fail(DML_STAGE_UNSAFE, 0, DML_CHECK_INIT);
    if (message->filtered && CALL0(DML_WITNESS_CALL) != -DML_WITNESS_ERROR)
        fail(DML_STAGE_UNSAFE, 0, DML_CHECK_FILTER);
    if (message->no_user_namespaces && CALL1(__NR_unshare, CLONE_NEWUSER) == 0)
        fail(DML_STAGE_UNSAFE, 0, DML_CHECK_USER_NAMESPACES);
}

/* --- the command
 * --------------------------------------------------------------------------------------------------- */

static void take_descriptors(void)
{
    for (int i = 0; i < 3; i++) {
        long failed = CALL3(__NR_dup3, DML_FD_STDIN + i, i, 0);
        if (failed < 0)
            fail(DML_STAGE_FAILED, DML_STEP_DESCRIPTORS, -failed);
    }
}

/* Shared with the child, which runs in our memory until it has executed the command. */
struct launch {
    struct dml_stage_command *command;
    int step;    /* that failed, a dml_stage_step; 0 for execve */
    int reason;  /* errno; 0 when the command was executed */
    int present; /* the file is there: its interpreter is missing, or it is no program */
};

static const char *search_path(char **env)
{
    for (; *env; env++) {
        const char *e = *env;
        if (e[0] == 'P' && e[1] == 'A' && e[2] == 'T' && e[3] == 'H' && e[4] == '=')
            return e + 5;
    }
    return "/usr/local/bin:/usr/bin:/bin";
}

static int has_slash(const char *name)
{
    for (; *name; name++) {
        if (*name == '/')
            return 1;
    }
    return 0;
}

static int execute_one(struct launch *launch, const char *path)
{
    int reason = (int)-CALL3(__NR_execve, path, launch->command->argv, launch->command->env);
    if (reason != E_NOENT || CALL3(__NR_faccessat, CURRENT_DIRECTORY, path, 0) == 0)
        launch->present = 1;
    return reason;
}

/* Looks the command up in the sandbox's own PATH, as execvp does. Returns only when nothing could be
 * executed. */
static int execute(struct launch *launch)
{
    const char *name = launch->command->argv[0], *path = search_path(launch->command->env);
    size_t name_length = length_of(name);
    char buffer[4096];
    int refused = 0;
    if (has_slash(name))
        return execute_one(launch, name);
    for (;;) {
        size_t length = 0;
        while (path[length] && path[length] != ':')
            length++;
        if (length + name_length + 2 <= sizeof buffer) {
            memcpy(buffer, path, length);
            if (length)
                buffer[length++] = '/';
            memcpy(buffer + length, name, name_length + 1);
            int reason = execute_one(launch, buffer);
            if (reason == E_ACCES)
                refused = reason;
            else if (reason != E_NOENT && reason != E_NOTDIR && reason != E_NAMETOOLONG)
                return reason;
        }
        while (*path && *path != ':')
            path++;
        if (!*path)
            return refused ? refused : E_NOENT;
        path++;
    }
}

static int set_rlimits(const struct dml_stage_message *message)
{
    for (uint32_t i = 0; i < message->rlimit_count; i++) {
        const struct dml_stage_rlimit *limit = &message->rlimits[i];
        struct rlimit64 value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
        long failed = CALL4(__NR_prlimit64, 0, limit->resource, &value, 0);
        if (failed)
            return (int)-failed;
    }
    return 0;
}

static void reset_signals(void)
{
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } action;
    memset(&action, 0, sizeof action);
    for (int signal = 1; signal <= LARGEST_SIGNAL; signal++)
        CALL4(__NR_rt_sigaction, signal, &action, 0, sizeof action.mask);
    uint64_t none = 0;
    CALL4(__NR_rt_sigprocmask, SIGNAL_SET, &none, 0, sizeof none);
}

static void run_child(void *argument)
{
    struct launch *launch = argument;
    const struct dml_stage_message *message = launch->command->message;
    if (message->own_group)
        CALL2(__NR_setpgid, 0, 0);
    CALL3(__NR_close_range, 3, ~0u, 0);
    reset_signals();
    launch->reason = set_rlimits(message); /* after this nothing may be done but execute */
    if (launch->reason)
        launch->step = DML_STEP_RLIMIT;
    else
        launch->reason = execute(launch);
    leave(127);
}

long clone_on_stack(unsigned long flags, void *end_of_stack, void (*run)(void *), void *argument);

/* Like vfork: returns once the child has executed the command or ended. */
static long start_child(struct launch *launch)
{
    static char stack[16 * 1024] __attribute__((aligned(16)));
    return clone_on_stack(CLONE_VM | CLONE_VFORK | SIGNAL_CHILD, stack + sizeof stack, run_child, launch);
}

/* --- while it runs --- */

struct usage {
    long user[2], system[2], max_rss, rest[13];
};

struct pollfd {
    int fd;
    short events, revents;
};

struct time {
    long seconds, nanoseconds;
};

/* The runner may have ended, or changed its mind, while the backend set us up. */
static int runner_is_gone(void)
{
    struct time at_once = {0, 0};
    struct pollfd polled[2] = {{DML_FD_CONTROL, POLL_GONE, 0}, {DML_FD_RUNNER, POLL_IN, 0}};
    CALL5(__NR_ppoll, polled, 2, &at_once, 0, 0);
    return polled[0].revents || polled[1].revents;
}

/* Reaps whoever has ended: everybody inside whose parent is gone is our child. Returns the pid of the command
 * when it was among them, 0 when it was not, and -E_CHILD when there is nobody left; `wait` is 0 or WNOHANG.
 */
static long reap(long pid, int *status, struct usage *usage, int wait)
{
    for (;;) {
        int other_status;
        struct usage other_usage;
        memset(&other_usage, 0, sizeof other_usage);
        long ended = CALL4(__NR_wait4, -1, &other_status, wait, &other_usage);
        if (ended == pid) {
            *status = other_status;
            *usage = other_usage;
            return pid;
        }
        if (ended <= 0 && ended != -E_INTR)
            return ended;
    }
}

/* What the command left behind ends before its end is reported, so that nothing works on once the runner has
 * heard of it. True when there was something. */
static int end_survivors(void)
{
    int status, found = 0;
    struct usage usage;
    while (reap(-1, &status, &usage, WNOHANG) != -E_CHILD) {
        found = 1;
        CALL2(__NR_kill, -1, SIGNAL_KILL);
        CALL4(__NR_wait4, -1, 0, 0, 0); /* one at least ends; its children become ours */
    }
    return found;
}

static void signal_command(long pid, int own_group, uint32_t signal)
{
    if (!own_group || CALL2(__NR_kill, -pid, signal) != 0)
        CALL2(__NR_kill, pid, signal);
}

static void block_signals(void)
{
    uint64_t all = ~0ull;
    CALL4(__NR_rt_sigprocmask, SIGNAL_SET, &all, 0, sizeof all);
}

/* A descriptor that is readable when a child has ended. Made before the command is executed: after that it
 * could see to it that nothing can be made here. */
static long watch_children(void)
{
    uint64_t children = 1ull << (SIGNAL_CHILD - 1);
    long ended = CALL4(__NR_signalfd4, -1, &children, sizeof children, SIGNALFD_NONBLOCK);
    if (ended < 0)
        fail(DML_STAGE_FAILED, DML_STEP_WAIT, -ended);
    return ended;
}

/* The time that the command has, kept here: the runner may be busy with something else. */
struct deadline {
    uint64_t at;       /* milliseconds; 0: none */
    int asked, passed; /* it has been asked to end; because its time was up */
};

static uint64_t microseconds_now(void)
{
    struct time time;
    CALL2(__NR_clock_gettime, CLOCK_FORWARD, &time);
    return (uint64_t)time.seconds * 1000000 + (uint64_t)time.nanoseconds / 1000;
}

static uint64_t now(void)
{
    return microseconds_now() / 1000;
}

/* Until the deadline; NULL when there is none. */
static struct time *time_left(const struct deadline *deadline, struct time *left)
{
    if (!deadline->at)
        return 0;
    uint64_t at = now(), milliseconds = deadline->at > at ? deadline->at - at : 0;
    *left = (struct time){(long)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    return left;
}

/* Asks the command to end when its time is up, and ends everything after a grace time. */
static void keep_deadline(struct deadline *deadline, long pid, int own_group)
{
    if (!deadline->at || now() < deadline->at)
        return;
    if (deadline->asked) {
        CALL2(__NR_kill, -1, SIGNAL_KILL);
        deadline->at = 0;
        return;
    }
    deadline->asked = deadline->passed = 1;
    deadline->at += DML_GRACE;
    signal_command(pid, own_group, SIGNAL_TERM);
    signal_command(pid, own_group, SIGNAL_CONTINUE);
}

static void take_order(struct deadline *deadline, long pid, int own_group)
{
    struct dml_stage_order order;
    long length = CALL3(__NR_read, DML_FD_CONTROL, &order, sizeof order);
    if (length != (long)sizeof order) {
        if (length != -E_INTR)
            leave(125); /* the runner has closed its end: it wants nobody to go on */
        return;
    }
    if (order.grace && !deadline->asked) {
        deadline->asked = 1;
        deadline->at = now() + order.grace;
    }
    if (order.signal == SIGNAL_KILL)
        CALL2(__NR_kill, -1, SIGNAL_KILL); /* the whole tree */
    else if (order.signal >= 1 && order.signal <= LARGEST_SIGNAL)
        signal_command(pid, own_group, order.signal);
}

/* Waits for the command's end, forwarding signals and reaping orphans meanwhile. */
static void supervise(long pid, const struct dml_stage_message *message, long ended)
{
    int status = 0, own_group = (int)message->own_group;
    struct usage usage;
    struct deadline deadline = {.at = message->deadline};
    struct pollfd polled[3] = {
        {(int)ended, POLL_IN, 0}, {DML_FD_CONTROL, POLL_IN, 0}, {DML_FD_RUNNER, POLL_IN, 0}};
    while (reap(pid, &status, &usage, WNOHANG) != pid) {
        char information[128]; /* struct signalfd_siginfo */
        struct time left;
        keep_deadline(&deadline, pid, own_group); /* only now: what has ended in time may wait for us */
        CALL5(__NR_ppoll, polled, 3, time_left(&deadline, &left), 0, 0);
        CALL3(__NR_read, ended, information, sizeof information);
        if (polled[2].revents)
            leave(125); /* the runner is gone: the kernel ends everybody with us */
        if (polled[1].revents)
            take_order(&deadline, pid, own_group);
    }
    uint64_t ended_us = microseconds_now();
    int survivors = end_survivors();
    struct dml_stage_report what = {
        .kind = DML_STAGE_ENDED,
        .step = (survivors ? DML_END_SURVIVORS : 0u) | (deadline.passed ? DML_END_TIMED_OUT : 0u),
        .value = status,
        .user_us = (uint64_t)usage.user[0] * 1000000 + (uint64_t)usage.user[1],
        .system_us = (uint64_t)usage.system[0] * 1000000 + (uint64_t)usage.system[1],
        .max_rss_kib = (uint64_t)usage.max_rss,
        .ended_us = ended_us,
    };
    report(&what);
}

/* We are in the cgroup already, alone but for who launched us. */
static void limit_memory(const struct dml_stage_message *message)
{
    for (int i = 0; i < 2; i++) {
        long length = (long)length_of(message->memory[i]);
        long written = length ? CALL3(__NR_write, DML_FD_MEMORY + i, message->memory[i], length) : 0;
        if (written != length)
            fail(DML_STAGE_FAILED, DML_STEP_MEMORY, -written);
        CALL1(__NR_close, DML_FD_MEMORY + i);
    }
}

void program_main(long *stack)
{
    (void)stack;
    struct dml_stage_command command;
    block_signals();
    CALL3(__NR_close_range, DML_FD_COUNT, ~0u, 0);
    read_message(&command);
    const struct dml_stage_message *message = command.message;

    limit_memory(message);
    check_namespaces(message);
    check_privileges(message);
    check_objects(&command);
    /* The command has our uid: without this it could write our memory and take our descriptors. */
    CALL5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    CALL5(__NR_prctl, PR_SET_NAME, "demilune", 0, 0, 0);
    CALL1(__NR_umask, 022);
    take_descriptors();
    long failed = CALL1(__NR_chdir, command.directory);
    if (failed)
        fail(DML_STAGE_FAILED, DML_STEP_CHDIR, -failed);

    if (runner_is_gone())
        leave(125);
    struct launch launch = {.command = &command};
    long ended = watch_children();
    long pid = start_child(&launch);
    if (pid < 0)
        fail(DML_STAGE_FAILED, DML_STEP_CLONE, -pid);
    if (launch.reason)
        fail(launch.step ? DML_STAGE_FAILED : DML_STAGE_NOT_EXECUTED,
             (uint32_t)(launch.step ? launch.step : launch.present), launch.reason);
    struct dml_stage_report executed = {.kind = DML_STAGE_EXECUTED, .value = pid};
    report(&executed);
    /* Our copies of the command's output would keep a reader waiting. */
    for (int fd = 0; fd < DML_FD_COUNT; fd++) {
        if (fd != DML_FD_CONTROL && fd != DML_FD_RUNNER && fd != ended)
            CALL1(__NR_close, fd);
    }
    supervise(pid, message, ended);
    leave(0);
}
