#include "stage_parse.h"

size_t dml_stage_pointers(const void *bytes, size_t size)
{
    const struct dml_stage_message *message = bytes;
    if (size < sizeof *message || message->magic != DML_STAGE_MAGIC || message->size != size ||
        message->rlimit_count > DML_STAGE_RLIMITS || message->argc == 0 || message->argc > size ||
        message->envc > size ||
        message->object_count > (size - sizeof *message) / sizeof(struct dml_stage_object))
        return 0;
    return (size_t)message->argc + message->envc + message->object_count + 3;
}

/* The next string of the message, or NULL when the message ends before it does. */
static const char *next_string(const char **at, const char *end)
{
    const char *string = *at;
    while (*at < end && **at)
        (*at)++;
    if (*at >= end)
        return NULL;
    (*at)++;
    return string;
}

static bool take_strings(char **table, uint32_t count, const char **at, const char *end)
{
    for (uint32_t i = 0; i < count; i++) {
        table[i] = (char *)next_string(at, end);
        if (!table[i])
            return false;
    }
    return true;
}

bool dml_stage_parse(const void *bytes, char **table, struct dml_stage_command *command)
{
    const struct dml_stage_message *message = bytes;
    const struct dml_stage_object *objects = (const struct dml_stage_object *)(message + 1);
    const char *at = (const char *)(objects + message->object_count);
    const char *end = (const char *)message + message->size;
    char **env = table + (size_t)message->argc + 1;
    *command = (struct dml_stage_command){.message = message,
                                          .objects = objects,
                                          .argv = table,
                                          .env = env,
                                          .paths = env + (size_t)message->envc + 1};
    if (!take_strings(command->argv, message->argc, &at, end) ||
        !take_strings(command->env, message->envc, &at, end))
        return false;
    command->directory = next_string(&at, end);
    return command->directory && take_strings(command->paths, message->object_count, &at, end);
}
