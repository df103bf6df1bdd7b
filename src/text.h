/* Text for messages: quoting what comes from outside, and guessing what was meant. */
#ifndef DML_TEXT_H
#define DML_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes `bytes` (any bytes, `length` of them) to `out` (`size` bytes, at least 8) in double quotes, with quotes,
 * backslashes, control characters and bytes that are not UTF-8 escaped as in C, so that it is one line and cannot
 * drive a terminal. Cut with "..." when it does not fit. Always terminated. Returns `out`. */
char *dml_quote(char *out, size_t size, const char *bytes, size_t length);

/* The name among `names` (`count` of them) that `word` most likely meant, ignoring case and `-` for `_`, or NULL. */
const char *dml_nearest(const char *word, const char *const *names, size_t count);

/* Reads a byte count: digits and an optional K, M, G or T (1024-based). False when it is not one or overflows. */
bool dml_parse_size(const char *text, size_t length, uint64_t *bytes);

/* Reads a duration: a decimal number and an optional ms, s, m or h (seconds without one). False as above. */
bool dml_parse_duration(const char *text, size_t length, double *seconds);

#endif
