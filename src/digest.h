/* The digest of a plan. */
#ifndef DML_DIGEST_H
#define DML_DIGEST_H

#include "plan.h"

enum { DML_DIGEST_LENGTH = 64 }; /* hexadecimal digits of a SHA-256 */

/* Writes the SHA-256 of everything in the plan but secret values, in hexadecimal (FIPS 180-4, by
 * libmd). */
void dml_digest_plan(const struct dml_plan *plan, char digest[DML_DIGEST_LENGTH + 1]);

#endif
