#include "stage_image.h"

/* The assembler copies the linked stage in; the Makefile puts build/gen on its path. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        ".globl dml_stage_image, dml_stage_image_size\n"
        ".hidden dml_stage_image, dml_stage_image_size\n"
        "dml_stage_image_size: .quad 1f - dml_stage_image\n"
        "dml_stage_image: .incbin \"stage\"\n"
        "1:\n"
        ".popsection\n");
