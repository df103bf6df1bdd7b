/* The inner stage, as built into this program. */
#ifndef DML_STAGE_IMAGE_H
#define DML_STAGE_IMAGE_H

#include <stdint.h>

extern const char dml_stage_image[];
extern const uint64_t dml_stage_image_size;

#endif
