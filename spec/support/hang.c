/* LD_PRELOAD: a hole in the C library. Comparing strings, which a policy can do, hangs when the first is
 * "spin" or "sleep": in a loop, or waiting for what never comes. */
#include <string.h>
#include <unistd.h>

int strcoll(const char *a, const char *b);
int strcoll(const char *a, const char *b)
{
    for (volatile unsigned turns = 0; strcmp(a, "spin") == 0;)
        turns = turns + 1;
    while (strcmp(a, "sleep") == 0)
        pause();
    return strcmp(a, b);
}
