/* Escaping, numbers with units and guesses, each held against what it promises. The first byte chooses sizes.
 */
#include "fuzz.h"
#include "text.h"

#include <ctype.h>
#include <math.h>

static bool is_invisible(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x200e && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/* The bytes of a character; the other way round than the decoder. */
static size_t encode(uint32_t code, char bytes[4])
{
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)((0xf00u >> length & 0xf0) | code);
    return length;
}

static void check_utf8(const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t code;
        char again[4];
        size_t taken = dml_utf8_decode(bytes + at, length - at, &code);
        must(taken <= length - at, "a character lies within its text");
        if (taken) {
            must(code <= 0x10ffff && (code < 0xd800 || code > 0xdfff), "a character is one of Unicode's");
            must(encode(code, again) == taken && memcmp(again, bytes + at, taken) == 0,
                 "a character is written in one way alone");
        }
        at += taken ? taken : 1;
    }
}

static void check_shown(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t taken = dml_utf8_decode(text + at, length - at, &code);
        must(taken > 0 && !is_invisible(code), "what is shown is visible UTF-8");
        at += taken;
    }
}

static void check_escape(const char *bytes, size_t length, size_t size)
{
    static char whole[4 * 65536 + 8], again[4 * 65536 + 8], pieces[4 * 65536 + 8];
    size_t used, written = dml_escape(whole, sizeof whole, bytes, length, &used);
    must(used == length && whole[written] == '\0', "with room, all of it is escaped");
    check_shown(whole, written);
    size_t twice = dml_escape(again, sizeof again, whole, written, NULL);
    must(twice == written && memcmp(again, whole, written) == 0, "escaped text is not changed again");

    char *piece = malloc(size); /* of its own, so that a byte too many is seen */
    size_t at = 0, total = 0;
    while (at < length) {
        size_t part = dml_escape(piece, size, bytes + at, length - at, &used);
        must(part < size && piece[part] == '\0' && used > 0 && used <= length - at,
             "a piece fits and gets on");
        memcpy(pieces + total, piece, part);
        total += part;
        at += used;
    }
    free(piece);
    must(total == written && memcmp(pieces, whole, total) == 0, "pieces make the whole");
}

/* Takes a quoted text apart again. */
static size_t unquote(const char *quoted, size_t length, char *out)
{
    size_t count = 0;
    for (size_t i = 1; i + 1 < length; i++) {
        char c = quoted[i];
        if (c == '\\') {
            char escaped = quoted[++i];
            char digits[3] = {quoted[i + 1], quoted[i + 1] ? quoted[i + 2] : '\0', '\0'};
            c = escaped == 'n'   ? '\n'
                : escaped == 'r' ? '\r'
                : escaped == 't' ? '\t'
                : escaped == 'x' ? (char)strtoul(digits, NULL, 16)
                                 : escaped;
            i += escaped == 'x' ? 2 : 0;
        }
        out[count++] = c;
    }
    return count;
}

static void check_quote(const char *bytes, size_t length, size_t size)
{
    static char whole[4 * 65536 + 16], back[4 * 65536 + 16];
    must(dml_quote(whole, sizeof whole, bytes, length) == whole, "the buffer comes back");
    size_t written = strlen(whole);
    must(written >= 2 && whole[0] == '"' && whole[written - 1] == '"', "quotes stand around it");
    check_shown(whole, written);
    must(unquote(whole, written, back) == length && memcmp(back, bytes, length) == 0,
         "quoted text says exactly what it quotes");

    char *cut = malloc(size);
    dml_quote(cut, size, bytes, length);
    size_t kept = strlen(cut);
    must(kept < size && kept >= 2 && cut[0] == '"' && cut[kept - 1] == '"', "cut text is quoted too");
    check_shown(cut, kept);
    if (strcmp(cut, whole) != 0)
        must(kept >= 5 && memcmp(cut + kept - 4, "...\"", 4) == 0 && memcmp(cut, whole, kept - 4) == 0,
             "cut text says so");
    free(cut);
}

static void check_size(const char *text, size_t length)
{
    uint64_t bytes = 0;
    size_t digits = 0;
    unsigned __int128 value = 0;
    static const char units[] = "KMGT";
    while (digits < length && digits < 30 && text[digits] >= '0' && text[digits] <= '9')
        value = value * 10 + (unsigned)(text[digits++] - '0');
    bool fine = digits > 0 && digits < 30 && length - digits <= 1;
    if (fine && digits < length) {
        const char *unit = memchr(units, text[digits], 4);
        fine = unit && value <= UINT64_MAX;
        value <<= fine ? 10 * (unit - units + 1) : 0;
    }
    fine = fine && value <= UINT64_MAX;
    if (digits < 30) /* leading zeros without end are beyond this check */
        must(dml_parse_size(text, length, &bytes) == fine && (!fine || bytes == value),
             "a size is what it says");
}

static void check_duration(const char *text, size_t length)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"h", 3600}};
    double seconds = -1;
    char copy[64];
    if (length >= sizeof copy)
        return;
    memcpy(copy, text, length);
    copy[length] = '\0';
    size_t whole = strspn(copy, "0123456789");
    size_t number = whole + (copy[whole] == '.' ? 1 + strspn(copy + whole + 1, "0123456789") : 0);
    double factor = -1;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        factor = strcmp(copy + number, units[i].name) == 0 ? units[i].seconds : factor;
    bool fine = whole > 0 && factor > 0 && strlen(copy) == length && length < 32;
    must(dml_parse_duration(text, length, &seconds) == fine, "a duration is a number and a unit");
    double expected = strtod(copy, NULL) * factor;
    if (fine)
        must(fabs(seconds - expected) <= 1e-9 * expected, "a duration is what it says");
}

/* Edit distance with transpositions, the whole matrix of it. */
static size_t distance(const char *a, const char *b)
{
    size_t d[40][40], la = strlen(a), lb = strlen(b);
#define SAME(i, j)                                                                                           \
    (tolower((unsigned char)(a[i] == '-' ? '_' : a[i])) == tolower((unsigned char)(b[j] == '-' ? '_' : b[j])))
    for (size_t i = 0; i <= la; i++) {
        for (size_t j = 0; j <= lb; j++) {
            d[i][j] = i ? j ? d[i - 1][j - 1] + !SAME(i - 1, j - 1) : i : j;
            if (i && d[i - 1][j] + 1 < d[i][j])
                d[i][j] = d[i - 1][j] + 1;
            if (j && d[i][j - 1] + 1 < d[i][j])
                d[i][j] = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && SAME(i - 1, j - 2) && SAME(i - 2, j - 1) && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
#undef SAME
    return d[la][lb];
}

static void check_nearest(const char *word)
{
    static const char *const names[] = {"ro_binds", "rw_binds", "env", "env_allowlist",
                                        "tty",      "network",  "a",   ""};
    enum { COUNT = sizeof names / sizeof names[0] };
    const char *nearest = dml_nearest(word, names, COUNT);
    size_t best = strlen(word) < 4 ? 2 : strlen(word) / 3 + 2;
    const char *expected = NULL;
    for (size_t i = 0; i < COUNT && strlen(word) < 32; i++) {
        size_t d = distance(word, names[i]);
        if (d < best) {
            best = d;
            expected = names[i];
        }
    }
    must(nearest == expected, "the nearest name is the nearest");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (length < 1 || length > 65536)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t count = length - 1;
    check_utf8(bytes, count);
    check_escape(bytes, count, 5 + data[0] % 64);
    check_quote(bytes, count, 8 + data[0]);
    check_size(bytes, count);
    check_duration(bytes, count);
    char *word = strndup(bytes, count);
    check_nearest(word);
    free(word);
    return 0;
}
