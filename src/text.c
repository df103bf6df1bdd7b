#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

size_t dml_utf8_decode(const char *bytes, size_t available, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)bytes;
    size_t length = s[0] < 0x80   ? 1
                    : s[0] < 0xc0 ? 0
                    : s[0] < 0xe0 ? 2
                    : s[0] < 0xf0 ? 3
                    : s[0] < 0xf8 ? 4
                                  : 0;
    if (length == 0 || length > available)
        return 0;
    *code = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (s[i] & 0x3fu);
    }
    bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
    return *code < smallest[length] || *code > 0x10ffff || surrogate ? 0 : length;
}

/* Whether a character changes what a terminal shows: controls, directions, line separators, a byte order
 * mark. */
static bool is_invisible(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/* Writes the first character of `bytes` escaped, without a terminator; returns how many bytes it wrote and in
 * `used` how many it read. */
static size_t escape_one(char piece[4], const char *bytes, size_t available, size_t *used)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t code;
    size_t length = dml_utf8_decode(bytes, available, &code);
    if (length > 0 && !is_invisible(code)) {
        memcpy(piece, bytes, length);
        return *used = length;
    }
    unsigned char c = (unsigned char)bytes[0];
    *used = 1;
    piece[0] = '\\';
    if (c == '\n' || c == '\r' || c == '\t') {
        piece[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
        return 2;
    }
    piece[1] = 'x';
    piece[2] = digits[c >> 4];
    piece[3] = digits[c & 15];
    return 4;
}

size_t dml_escape(char *out, size_t size, const char *bytes, size_t length, size_t *used)
{
    size_t at = 0, i = 0;
    while (i < length) {
        char piece[4];
        size_t taken, width = escape_one(piece, bytes + i, length - i, &taken);
        if (at + width >= size)
            break;
        memcpy(out + at, piece, width);
        at += width;
        i += taken;
    }
    out[at] = '\0';
    if (used)
        *used = i;
    return at;
}

char *dml_quote(char *out, size_t size, const char *bytes, size_t length)
{
    size_t at = 0, i = 0;
    out[at++] = '"';
    while (i < length) {
        char piece[4] = {'\\', bytes[i]};
        size_t taken = 1, width = 2;
        if (bytes[i] != '"' && bytes[i] != '\\')
            width = escape_one(piece, bytes + i, length - i, &taken);
        if (at + width + 6 > size) { /* room for ..." and the terminator */
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        memcpy(out + at, piece, width);
        at += width;
        i += taken;
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

enum { TOO_FAR = 99 }; /* more than any distance between two words that are compared */

static char folded(char c)
{
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

/* Edit distance with transpositions (optimal string alignment), for words of up to 31 characters. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][32];
    size_t la = strlen(a), lb = strlen(b);
    if (la > 31 || lb > 31)
        return TOO_FAR;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = above[j - 1] + (folded(a[i - 1]) != folded(b[j - 1]));
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                folded(a[i - 2]) == folded(b[j - 1]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[la % 3][lb];
}

const char *dml_nearest(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t best = strlen(word) < 4 ? 2 : strlen(word) / 3 + 2; /* a distance below this is a likely slip */
    for (size_t i = 0; i < count && best < TOO_FAR; i++) {
        size_t d = distance(word, names[i]);
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

static bool has_mark(const char *text, size_t length)
{
    static const char *const marks[] = {"TOKEN", "SECRET", "KEY", "PASSWORD"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        size_t width = strlen(marks[i]);
        for (size_t at = 0; at + width <= length; at++) {
            if (strncasecmp(text + at, marks[i], width) == 0)
                return true;
        }
    }
    return false;
}

bool dml_is_secret_name(const char *name)
{
    return has_mark(name, strlen(name));
}

size_t dml_shown_length(const char *name)
{
    for (const char *equals = strchr(name, '='); equals; equals = strchr(equals + 1, '=')) {
        const char *end = equals;
        while (end > name && isspace((unsigned char)end[-1]))
            end--;
        const char *start = end;
        while (start > name && (isalnum((unsigned char)start[-1]) || strchr("_-", start[-1])))
            start--;
        if (has_mark(start, (size_t)(end - start)))
            return (size_t)(equals + 1 - name);
    }
    return strlen(name);
}

bool dml_parse_size(const char *text, size_t length, uint64_t *bytes)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < length && isdigit((unsigned char)text[i]); i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return false;
    }
    if (i == 0 || length - i > 1)
        return false;
    unsigned shift = 0;
    if (i < length) {
        switch (text[i]) {
        case 'K': shift = 10; break;
        case 'M': shift = 20; break;
        case 'G': shift = 30; break;
        case 'T': shift = 40; break;
        default: return false;
        }
    }
    if (value > (UINT64_MAX >> shift))
        return false;
    *bytes = value << shift;
    return true;
}

bool dml_parse_duration(const char *text, size_t length, double *seconds)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"h", 3600}};
    double value = 0, scale = 1;
    size_t i = 0;
    if (length >= 32) /* more digits than mean anything */
        return false;
    /* By hand: for strtod the host program's locale says what a decimal point is. */
    for (; i < length && isdigit((unsigned char)text[i]); i++)
        value = value * 10 + (text[i] - '0');
    if (i == 0)
        return false;
    if (i < length && text[i] == '.') {
        for (i++; i < length && isdigit((unsigned char)text[i]); i++, scale *= 10)
            value = value * 10 + (text[i] - '0');
    }
    for (size_t unit = 0; unit < sizeof units / sizeof units[0]; unit++) {
        if (strlen(units[unit].name) == length - i && memcmp(units[unit].name, text + i, length - i) == 0) {
            *seconds = value / scale * units[unit].seconds;
            return true;
        }
    }
    return false;
}

const char *dml_advise_name(char *out, size_t size, const char *word, const char *const *names, size_t count)
{
    const char *nearest = dml_nearest(word, names, count);
    if (nearest) {
        snprintf(out, size, "did you mean \"%s\"?", nearest);
        return out;
    }
    size_t used = (size_t)snprintf(out, size, "there are");
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, " %s", names[i]);
    return out;
}

const char dml_base64_alphabet[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t dml_base64_length(size_t length)
{
    return (length + 2) / 3 * 4;
}

void dml_base64(char *out, const void *bytes, size_t length)
{
    const unsigned char *from = bytes;
    for (size_t at = 0; at < length; at += 3) {
        size_t left = length - at;
        uint32_t group = (uint32_t)from[at] << 16 | (left > 1 ? (uint32_t)from[at + 1] << 8 : 0) |
                         (left > 2 ? (uint32_t)from[at + 2] : 0);
        *out++ = dml_base64_alphabet[group >> 18];
        *out++ = dml_base64_alphabet[group >> 12 & 63];
        *out++ = left > 1 ? dml_base64_alphabet[group >> 6 & 63] : '=';
        *out++ = left > 2 ? dml_base64_alphabet[group & 63] : '=';
    }
}
