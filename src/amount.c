#include "amount.h"

#include <stdio.h>
#include <string.h>

struct dml_amount dml_size_amount(uint64_t bytes)
{
    static const char units[] = "TGMK";
    struct dml_amount amount;
    for (unsigned i = 0, bits = 40; units[i]; i++, bits -= 10) {
        if (bytes >> bits) {
            snprintf(amount.text, sizeof amount.text, "%.4g%c", (double)bytes / (double)(UINT64_C(1) << bits),
                     units[i]);
            return amount;
        }
    }
    snprintf(amount.text, sizeof amount.text, "%llu", (unsigned long long)bytes);
    return amount;
}

struct dml_amount dml_limit_amount(int limit, uint64_t value)
{
    struct dml_amount amount;
    switch (limit) {
    case DML_LIMIT_TIMEOUT:
    case DML_LIMIT_CPU_TIME:
        snprintf(amount.text, sizeof amount.text, "%.10g s", (double)value / 1000);
        return amount;
    case DML_LIMIT_PIDS:
    case DML_LIMIT_OPEN_FILES:
        snprintf(amount.text, sizeof amount.text, "%llu", (unsigned long long)value);
        return amount;
    default: return dml_size_amount(value);
    }
}

struct dml_amount dml_limit_amount_beside(int limit, uint64_t value, uint64_t other)
{
    struct dml_amount amount = dml_limit_amount(limit, value), beside = dml_limit_amount(limit, other);
    if (strcmp(amount.text, beside.text) == 0)
        snprintf(amount.text, sizeof amount.text, "%llu bytes", (unsigned long long)value);
    return amount;
}
