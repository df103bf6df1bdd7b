#include "stage_image.h"

/* The assembler copies the linked stage in; the Makefile puts build/gen on its path. */
__asm__(".pushsection .rodata\n"
        ".globl dml_stage_image, dml_stage_image_end\n"
        ".hidden dml_stage_image, dml_stage_image_end\n"
        "dml_stage_image:\n"
        ".incbin \"stage\"\n"
        "dml_stage_image_end:\n"
        ".popsection\n");
