/* Runs commands in turn, many times, and prints the median time of each in microseconds.
 *
 *     driver ROUNDS < commands
 *
 * The input has one command after another: each word ends in a NUL, each command in an empty word.
 * Interleaving makes ratios comparable on a machine whose speed drifts. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum {
    MOST_COMMANDS = 32,
    WARM_UP = 5,
    SETTLE = 5000, /* microseconds between runs: the kernel still takes the last sandbox apart */
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static double run(char **argv)
{
    pid_t pid;
    int status;
    double start = now();
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) != 0 || waitpid(pid, &status, 0) != pid ||
        status != 0) {
        fprintf(stderr, "driver: %s failed\n", argv[0]);
        exit(1);
    }
    return now() - start;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static char *read_all(size_t *length)
{
    size_t capacity = 1 << 16;
    char *text = malloc(capacity);
    *length = 0;
    while (text) {
        size_t got = fread(text + *length, 1, capacity - *length, stdin);
        *length += got;
        if (got == 0)
            return text;
        if (*length == capacity)
            text = realloc(text, capacity *= 2);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t length, count = 0, words = 0;
    int rounds = argc == 2 ? atoi(argv[1]) : 0;
    char *text = read_all(&length), **commands[MOST_COMMANDS], **table = calloc(length + 1, sizeof *table);
    if (rounds < 1 || !text || !table)
        return 2;
    commands[0] = table;
    for (size_t at = 0; at < length && count < MOST_COMMANDS; at += strlen(text + at) + 1) {
        table[words++] = text[at] ? text + at : NULL;
        if (!text[at])
            commands[++count] = table + words;
    }
    double *times = calloc(count * (size_t)rounds, sizeof *times);
    for (int round = -WARM_UP; times && round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            usleep(SETTLE);
            double taken = run(commands[i]);
            if (round >= 0)
                times[i * (size_t)rounds + (size_t)round] = taken;
        }
    }
    for (size_t i = 0; times && i < count; i++) {
        qsort(times + i * (size_t)rounds, (size_t)rounds, sizeof *times, by_value);
        printf("%.1f\n", times[i * (size_t)rounds + (size_t)rounds / 2]);
    }
    return times ? 0 : 1;
}
