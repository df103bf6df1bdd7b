/* For the fuzz targets: taking bytes apart, and properties that must hold. */
#ifndef DML_FUZZ_H
#define DML_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Stops libFuzzer, which keeps the input, unless `holds`. */
static inline void must(bool holds, const char *property)
{
    if (holds)
        return;
    fprintf(stderr, "property does not hold: %s\n", property);
    abort();
}

/* Bytes still to be used up; when there are none left, zeros. */
struct input {
    const uint8_t *at, *end;
};

static inline uint8_t take_byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static inline uint64_t take_number(struct input *in, int bytes)
{
    uint64_t number = 0;
    while (bytes-- > 0)
        number = number << 8 | take_byte(in);
    return number;
}

#endif
