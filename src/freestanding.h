/* What our programs without libc stand on, besides system calls: the entry. Each is one file that includes
 * this and has `program_main`, which is given the stack as the kernel made it: argc, argv, NULL, the
 * environment, NULL. */
#ifndef DML_FREESTANDING_H
#define DML_FREESTANDING_H

#include "calls.h"

#include <stddef.h>

void program_main(long *stack) __attribute__((noreturn, used));

#if defined(__x86_64__)
__asm__(".globl _start\n"
        "_start:\n"
        "\txor %ebp, %ebp\n"
        "\tmov %rsp, %rdi\n"
        "\tand $-16, %rsp\n"
        "\tcall program_main\n"
        "\thlt\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
        "_start:\n"
        "\tmov x29, #0\n"
        "\tmov x30, #0\n"
        "\tmov x0, sp\n"
        "\tbl program_main\n"
        "\tbrk #1\n");
#endif

/* The compiler may call these two. */
void *memset(void *to, int byte, size_t length);
void *memcpy(void *to, const void *from, size_t length);

void *memset(void *to, int byte, size_t length)
{
    volatile unsigned char *at = to;
    while (length--)
        *at++ = (unsigned char)byte;
    return to;
}

void *memcpy(void *to, const void *from, size_t length)
{
    volatile unsigned char *out = to;
    const unsigned char *in = from;
    while (length--)
        *out++ = *in++;
    return to;
}

static inline size_t length_of(const char *string)
{
    size_t length = 0;
    while (string[length])
        length++;
    return length;
}

static inline void leave(int code) __attribute__((noreturn));
static inline void leave(int code)
{
    for (;;)
        CALL1(__NR_exit_group, code);
}

#endif
