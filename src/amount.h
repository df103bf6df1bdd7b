/* The values of limits as a person writes them. */
#ifndef DML_AMOUNT_H
#define DML_AMOUNT_H

#include "policy.h"

struct dml_amount {
    char text[32];
};

/* A number of bytes with four digits at most: "1G", "5.885G", "12". */
struct dml_amount dml_size_amount(uint64_t bytes);

/* The value of a limit (of enum dml_limit, in its unit): "1G", "90 s", "20". */
struct dml_amount dml_limit_amount(int limit, uint64_t value);

/* The same of a value that is compared with `other`, another one: to the byte where both would look the same.
 */
struct dml_amount dml_limit_amount_beside(int limit, uint64_t value, uint64_t other);

#endif
