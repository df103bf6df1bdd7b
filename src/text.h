/* Text for messages: escaping what comes from outside, reading numbers with units, and guessing what was
 * meant. */
#ifndef DML_TEXT_H
#define DML_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 sequence at the start of `bytes` (`available` of them, at least 1), and in `code`
 * the character it stands for; 0 when it is none: overlong, a surrogate, too large, cut short. Then `code`
 * means nothing. */
size_t dml_utf8_decode(const char *bytes, size_t available, uint32_t *code);

/* Writes `bytes` (any bytes, `length` of them) to `out` (`size` bytes, at least 5) so that they are one line
 * and cannot drive a terminal: control characters, characters that turn the direction of text and bytes that
 * are not UTF-8 become \n, \r, \t or \x1b. Quotes and backslashes stay, so text that was escaped before is
 * not changed again. Stops before the first character that does not fit. Always terminated. Returns the
 * length written, and in `used` (may be NULL) how many of the bytes that stands for. */
size_t dml_escape(char *out, size_t size, const char *bytes, size_t length, size_t *used);

/* As dml_escape, in double quotes, with quotes and backslashes escaped too (`size` at least 8). Cut with
 * "..." when it does not fit. Returns `out`. */
char *dml_quote(char *out, size_t size, const char *bytes, size_t length);

/* The letters of base64 (RFC 4648, section 4), by their value, with a NUL. */
extern const char dml_base64_alphabet[65];

/* How many letters so many bytes take, with the padding. */
size_t dml_base64_length(size_t length);

/* Writes them, without a NUL. */
void dml_base64(char *out, const void *bytes, size_t length);

/* The name among `names` (`count` of them) that `word` most likely meant, ignoring case and `-` for `_`, or
 * NULL. */
const char *dml_nearest(const char *word, const char *const *names, size_t count);

/* What to write for `word`, which is none of `names`: the one that it most likely meant, or all of them, as
 * far as they fit. Returns `out`. */
const char *dml_advise_name(char *out, size_t size, const char *word, const char *const *names, size_t count);

/* Whether a variable of this name holds a secret: TOKEN, SECRET, KEY or PASSWORD stands in it, in any case.
 */
bool dml_is_secret_name(const char *name);

/* How many bytes of a name, or of a field that ends in one, may be shown: all of them, but of
 * "API_TOKEN=value", written for a name by mistake, not the value. */
size_t dml_shown_length(const char *name);

/* What is said of a text that is no byte count, and of one that is no duration. */
#define DML_NO_SIZE "is no size; write bytes, or a whole number with K, M, G or T: \"64M\""
#define DML_NO_DURATION "is no duration; write seconds, or a number with ms, s, m or h: \"30s\""

/* Reads a byte count: digits and an optional K, M, G or T (1024-based). False when it is not one or
 * overflows. */
bool dml_parse_size(const char *text, size_t length, uint64_t *bytes);

/* Reads a duration: a decimal number and an optional ms, s, m or h (seconds without one). False as above. */
bool dml_parse_duration(const char *text, size_t length, double *seconds);

#endif
