#include "message.h"
#include "host.h"
#include "memory_file.h"
#include "stage_message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NETWORK = DML_STAGE_NAMESPACES - 1 };

bool dml_stage_foreign(uint64_t foreign[DML_STAGE_NAMESPACES])
{
    static const char *const names[] = {"mnt", "user", "ipc", "uts", [NETWORK] = "net"};
    bool known = true;
    int directory = open("/proc/thread-self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < DML_STAGE_NAMESPACES && known; i++) {
        foreign[i] = directory >= 0 ? dml_host_namespace(directory, names[i]) : 0;
        known = foreign[i] != 0;
    }
    if (directory >= 0)
        close(directory);
    return known;
}

/* Where our own limit is lower already, it stays: the command can have no more. */
static void add_rlimit(struct dml_stage_message *message, int resource, uint64_t soft, uint64_t hard)
{
    struct rlimit own;
    if (getrlimit((__rlimit_resource_t)resource, &own) == 0 && own.rlim_max < hard)
        hard = own.rlim_max;
    if (soft > hard)
        soft = hard;
    message->rlimits[message->rlimit_count++] =
        (struct dml_stage_rlimit){.resource = (uint64_t)resource, .soft = soft, .hard = hard};
}

/* Processor time is limited here too: the kernel does so to the tick. */
static void fill_rlimits(struct dml_stage_message *message, const struct dml_limits *limits, unsigned covered)
{
    struct rlimit files;
    uint64_t cpu_seconds = (limits->value[DML_LIMIT_CPU_TIME] + 999) / 1000;
    add_rlimit(message, RLIMIT_CORE, 0, 0);
    if (limits->has[DML_LIMIT_OPEN_FILES])
        add_rlimit(message, RLIMIT_NOFILE, limits->value[DML_LIMIT_OPEN_FILES],
                   limits->value[DML_LIMIT_OPEN_FILES]);
    else if (getrlimit(RLIMIT_NOFILE, &files) == 0) /* back to ours: it was raised for the launch */
        add_rlimit(message, RLIMIT_NOFILE, files.rlim_cur, files.rlim_max);
    if (limits->has[DML_LIMIT_CPU_TIME])
        add_rlimit(message, RLIMIT_CPU, cpu_seconds, cpu_seconds + 1);
    if (limits->has[DML_LIMIT_MEMORY] && !(covered & 1u << DML_LIMIT_MEMORY))
        add_rlimit(message, RLIMIT_AS, limits->value[DML_LIMIT_MEMORY], limits->value[DML_LIMIT_MEMORY]);
    if (limits->has[DML_LIMIT_PIDS] && !(covered & 1u << DML_LIMIT_PIDS))
        add_rlimit(message, RLIMIT_NPROC, limits->value[DML_LIMIT_PIDS], limits->value[DML_LIMIT_PIDS]);
    if (limits->has[DML_LIMIT_FILE_SIZE])
        add_rlimit(message, RLIMIT_FSIZE, limits->value[DML_LIMIT_FILE_SIZE],
                   limits->value[DML_LIMIT_FILE_SIZE]);
}

static char *append_string(char *at, const char *string)
{
    return stpcpy(at, string) + 1;
}

/* The mounts that the stage looks at; adds what they take in the message to `size`. */
static size_t count_objects(const struct dml_plan *plan, size_t *size)
{
    size_t count = 0, at = 0;
    for (const struct dml_entry *mount; (mount = dml_plan_next_seen(plan, &at)); count++)
        *size += sizeof(struct dml_stage_object) + strlen(mount->sandbox) + 1;
    return count;
}

/* Returns where the strings begin. */
static char *fill_objects(struct dml_stage_message *message, const struct dml_plan *plan)
{
    struct dml_stage_object *objects = (struct dml_stage_object *)(message + 1);
    size_t at = 0;
    for (uint32_t i = 0; i < message->object_count; i++) {
        const struct dml_entry *mount = dml_plan_next_seen(plan, &at);
        const struct dml_object *source = &mount->source;
        objects[i] = (struct dml_stage_object){.device = source->device,
                                               .inode = source->inode,
                                               .type = source->mode & S_IFMT,
                                               .cover = mount->kind == DML_COVER};
    }
    return (char *)(objects + message->object_count);
}

static void append_paths(char *to, const struct dml_plan *plan, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++)
        to = append_string(to, dml_plan_next_seen(plan, &at)->sandbox);
}

int dml_stage_message_file(const struct dml_plan *plan, unsigned controls, unsigned covered,
                           const struct dml_cgroup_memory *memory, uint64_t deadline, const uint64_t *foreign,
                           struct dml_error *error)
{
    size_t size = sizeof(struct dml_stage_message) + strlen(plan->chdir) + 1;
    for (size_t i = 0; i < plan->argc; i++)
        size += strlen(plan->argv[i]) + 1;
    for (size_t i = 0; i < plan->env_count; i++)
        size += strlen(plan->env[i]) + 1;
    size_t object_count = foreign ? count_objects(plan, &size) : 0;
    struct dml_stage_message *message = size <= UINT32_MAX ? calloc(1, size) : NULL;
    if (!message) {
        dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
        return -1;
    }
    *message = (struct dml_stage_message){
        .magic = DML_STAGE_MAGIC,
        .size = (uint32_t)size,
        .argc = (uint32_t)plan->argc,
        .envc = (uint32_t)plan->env_count,
        .object_count = (uint32_t)object_count,
        .uid = plan->uid,
        .gid = plan->gid,
        .own_group = !plan->tty,
        .no_user_namespaces = !plan->nested && controls & 1u << DML_CONTROL_DISABLE_USERNS,
        .filtered = plan->seccomp && controls & 1u << DML_CONTROL_SECCOMP,
        .deadline = deadline,
    };
    for (int i = 0; foreign && i < DML_STAGE_NAMESPACES; i++)
        message->foreign[i] = i == NETWORK && plan->network ? 0 : foreign[i];
    for (int i = 0; i < 2; i++)
        memcpy(message->memory[i], memory->texts[i], sizeof message->memory[i]);
    fill_rlimits(message, &plan->limits, covered);
    char *at = fill_objects(message, plan);
    for (size_t i = 0; i < plan->argc; i++)
        at = append_string(at, plan->argv[i]);
    for (size_t i = 0; i < plan->env_count; i++)
        at = append_string(at, plan->env[i]);
    at = append_string(at, plan->chdir);
    append_paths(at, plan, object_count);
    int fd = dml_one_reading("demilune-message", message, size, error);
    free(message);
    return fd;
}

int dml_arguments_file(const struct dml_bwrap_arguments *arguments, struct dml_error *error)
{
    size_t size = 0;
    for (size_t i = 0; i < arguments->count; i++)
        size += strlen(arguments->items[i]) + 1;
    char *text = malloc(size ? size : 1), *at = text;
    if (!text) {
        dml_fail(error, DML_ERROR_MEMORY, 0, "not enough memory");
        return -1;
    }
    for (size_t i = 0; i < arguments->count; i++)
        at = append_string(at, arguments->items[i]);
    int fd = dml_one_reading("demilune-arguments", text, size, error);
    free(text);
    return fd;
}
