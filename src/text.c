#include "text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of the UTF-8 sequence at `s`, or 0 when it is not one (overlong, surrogate, too large, cut short). */
static size_t utf8_length(const unsigned char *s, size_t available)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    if (length <= 1 || length > available)
        return length <= available ? length : 0;
    uint32_t code = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    /* C1 controls and the bidirectional overrides change what a terminal shows. */
    if (code < 0xa0 || code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
        (code >= 0x2066 && code <= 0x2069) || code == 0xfeff)
        return 0;
    return length;
}

/* Writes one character of `s` escaped into `piece`; returns how many bytes of `s` it used. */
static size_t escape_one(char piece[8], const unsigned char *s, size_t available)
{
    const char *simple = NULL;
    switch (s[0]) {
    case '"': simple = "\\\""; break;
    case '\\': simple = "\\\\"; break;
    case '\n': simple = "\\n"; break;
    case '\r': simple = "\\r"; break;
    case '\t': simple = "\\t"; break;
    default: break;
    }
    if (simple) {
        strcpy(piece, simple);
        return 1;
    }
    size_t length = utf8_length(s, available);
    if (length == 0 || s[0] < 0x20 || s[0] == 0x7f) {
        snprintf(piece, 8, "\\x%02x", s[0]);
        return 1;
    }
    memcpy(piece, s, length);
    piece[length] = '\0';
    return length;
}

char *dml_quote(char *out, size_t size, const char *bytes, size_t length)
{
    const unsigned char *s = (const unsigned char *)bytes;
    size_t at = 0, i = 0;
    out[at++] = '"';
    while (i < length) {
        char piece[8];
        size_t used = escape_one(piece, s + i, length - i);
        size_t width = strlen(piece);
        if (at + width + 6 > size) { /* room for ..." and the terminator */
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        memcpy(out + at, piece, width);
        at += width;
        i += used;
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

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
        return 99;
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
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]) &&
                before[j - 2] + 1 < best)
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
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, names[i]);
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
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
    char copy[32];
    if (length == 0 || length >= sizeof copy || !isdigit((unsigned char)text[0]))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (strspn(copy, "0123456789.") == 0 || strchr(copy, 'x'))
        return false;
    char *unit = NULL;
    double value = strtod(copy, &unit);
    size_t digits = strspn(copy, "0123456789.");
    if (unit != copy + digits || !isfinite(value)) /* strtod would take an exponent too */
        return false;
    if (strcmp(unit, "") == 0 || strcmp(unit, "s") == 0)
        *seconds = value;
    else if (strcmp(unit, "ms") == 0)
        *seconds = value / 1000;
    else if (strcmp(unit, "m") == 0)
        *seconds = value * 60;
    else if (strcmp(unit, "h") == 0)
        *seconds = value * 3600;
    else
        return false;
    return true;
}
