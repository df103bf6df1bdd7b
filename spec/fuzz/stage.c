/* The inner stage's reading of its message: any bytes, and, when the first bit is set, a header that is
 * right. */
#include "fuzz.h"
#include "stage_parse.h"

static const char *strings_of(const struct dml_stage_message *message)
{
    return (const char *)((const struct dml_stage_object *)(message + 1) + message->object_count);
}

static void check_string(const char *string, const struct dml_stage_message *message)
{
    const char *start = strings_of(message), *end = (const char *)message + message->size;
    must(string >= start && string < end && memchr(string, '\0', (size_t)(end - string)),
         "a string lies within the message");
}

static void check_command(const struct dml_stage_command *command, const struct dml_stage_message *message)
{
    must(command->message == message && message->argc > 0, "a command has a name");
    for (uint32_t i = 0; i < message->argc; i++)
        check_string(command->argv[i], message);
    for (uint32_t i = 0; i < message->envc; i++)
        check_string(command->env[i], message);
    for (uint32_t i = 0; i < message->object_count; i++)
        check_string(command->paths[i], message);
    must(!command->argv[message->argc] && !command->env[message->envc] &&
             !command->paths[message->object_count],
         "NULL ends each list");
    must(command->env == command->argv + message->argc + 1, "the lists follow each other");
    must(command->paths == command->env + message->envc + 1, "the lists follow each other");
    check_string(command->directory, message);
    /* Strings follow each other in the order argv, env, directory, paths. */
    const char *expected = strings_of(message);
    for (uint32_t i = 0; i < message->argc; i++, expected += strlen(expected) + 1)
        must(command->argv[i] == expected, "arguments come first");
    for (uint32_t i = 0; i < message->envc; i++, expected += strlen(expected) + 1)
        must(command->env[i] == expected, "then the environment");
    must(command->directory == expected, "then the directory");
    expected += strlen(expected) + 1;
    for (uint32_t i = 0; i < message->object_count; i++, expected += strlen(expected) + 1)
        must(command->paths[i] == expected, "then the paths");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 1)
        return 0;
    size_t size = length - 1;
    struct dml_stage_message *message = malloc(size); /* of its own, so that a byte too many is seen */
    memcpy(message, bytes + 1, size);
    if ((bytes[0] & 1) && size >= sizeof *message) {
        message->magic = DML_STAGE_MAGIC;
        message->size = (uint32_t)size;
        message->argc %= 8;
        message->envc %= 8;
        message->object_count %= 8;
        message->rlimit_count %= DML_STAGE_RLIMITS + 2;
    }
    size_t pointers = dml_stage_pointers(message, size);
    must(pointers <= 2 * size + 2, "the table is bounded by the message");
    if (pointers) {
        char **table = calloc(pointers, sizeof *table);
        struct dml_stage_command command;
        must(message->rlimit_count <= DML_STAGE_RLIMITS, "there are no more limits than room for them");
        if (dml_stage_parse(message, table, &command))
            check_command(&command, message);
        free(table);
    }
    free(message);
    return 0;
}
