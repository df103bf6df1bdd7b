#include "stage_image.h"

/* The assembler copies each linked program in; the Makefile puts build/gen on its path. */
#define IMAGE(name)                                                                                          \
    __asm__(".pushsection .rodata\n"                                                                         \
            ".balign 8\n"                                                                                    \
            ".globl dml_" name "_image, dml_" name "_image_size\n"                                           \
            ".hidden dml_" name "_image, dml_" name "_image_size\n"                                          \
            "dml_" name "_image_size: .quad 1f - dml_" name "_image\n"                                       \
            "dml_" name "_image: .incbin \"" name "\"\n"                                                     \
            "1:\n"                                                                                           \
            ".popsection\n")

IMAGE("stage");
IMAGE("trial");
