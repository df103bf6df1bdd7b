/* Our programs for the inside, as built into this one. */
#ifndef DML_STAGE_IMAGE_H
#define DML_STAGE_IMAGE_H

#include <stdint.h>

/* The inner stage. */
extern const char dml_stage_image[];
extern const uint64_t dml_stage_image_size;

/* What tries the cases of a policy; see trial.c. */
extern const char dml_trial_image[];
extern const uint64_t dml_trial_image_size;

#endif
