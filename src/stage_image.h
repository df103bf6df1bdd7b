/* The inner stage, as built into this program. */
#ifndef DML_STAGE_IMAGE_H
#define DML_STAGE_IMAGE_H

extern const char dml_stage_image[], dml_stage_image_end[];

#endif
