#include "stage_image.h"
#include "stage_message.h"

#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number

/* The assembler copies each linked program in; the Makefile puts build/gen on its path. What a program is
 * given may stand behind it: its room ends there. */
#define IMAGE(name, room)                                                                                    \
    __asm__(".pushsection .rodata\n"                                                                         \
            ".balign 8\n"                                                                                    \
            ".globl dml_" name "_image, dml_" name "_image_size\n"                                           \
            ".hidden dml_" name "_image, dml_" name "_image_size\n"                                          \
            "dml_" name "_image_size: .quad 1f - dml_" name "_image\n"                                       \
            "dml_" name "_image: .incbin \"" name "\"\n"                                                     \
            "1:\n"                                                                                           \
            ".if 1b - dml_" name "_image > " room "\n"                                                       \
            ".error \"" name " is too large\"\n"                                                             \
            ".endif\n"                                                                                       \
            ".popsection\n")

IMAGE("stage", TEXT(DML_STAGE_MESSAGE_AT));
IMAGE("trial", "65536");
