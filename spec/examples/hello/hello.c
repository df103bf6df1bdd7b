#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    char directory[4096];
    const char *greeting = getenv("GREETING");
    printf("%s, built and run as uid %d in %s\n", greeting ? greeting : "hello", (int)getuid(),
           getcwd(directory, sizeof directory) ? directory : "?");
    return 0;
}
