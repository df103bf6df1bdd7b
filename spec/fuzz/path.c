/* Lexical rules for paths, held against a second, plainer reading of them. The input is two paths, parted by
 * a newline. */
#include "fuzz.h"
#include "path.h"

enum { MOST_PARTS = 4096 };

struct parts {
    size_t count;
    struct {
        const char *text;
        size_t length;
    } items[MOST_PARTS];
};

static void split(const char *path, struct parts *parts)
{
    parts->count = 0;
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length && parts->count < MOST_PARTS) {
            parts->items[parts->count].text = path;
            parts->items[parts->count++].length = length;
        }
        path += length + (path[length] == '/');
    }
}

static bool same_part(const struct parts *a, const struct parts *b, size_t i)
{
    return a->items[i].length == b->items[i].length &&
           memcmp(a->items[i].text, b->items[i].text, a->items[i].length) == 0;
}

/* Whether the first `count` parts are the same. */
static bool same_parts(const struct parts *a, const struct parts *b, size_t count)
{
    bool same = a->count >= count && b->count >= count;
    for (size_t i = 0; same && i < count; i++)
        same = same_part(a, b, i);
    return same;
}

static enum dml_path_flaw expected_flaw(const char *path, const struct parts *parts)
{
    if (!*path)
        return DML_PATH_EMPTY;
    if (*path != '/')
        return DML_PATH_RELATIVE;
    if (strlen(path) > DML_PATH_MAX)
        return DML_PATH_LONG;
    for (size_t i = 0; i < parts->count; i++) {
        const char *text = parts->items[i].text;
        size_t length = parts->items[i].length;
        if (length == 1 && *text == '.')
            return DML_PATH_DOT;
        if (length == 2 && memcmp(text, "..", 2) == 0)
            return DML_PATH_DOT_DOT;
        if (length > DML_COMPONENT_MAX)
            return DML_PATH_COMPONENT_LONG;
    }
    return DML_PATH_FINE;
}

/* Checks one path, and makes it canonical; false when it is not fine. */
static bool check_path(char *path, struct parts *parts)
{
    static struct parts before;
    char original[2 * DML_PATH_MAX], again[2 * DML_PATH_MAX];
    strcpy(original, path);
    split(original, &before);
    must(dml_path_check(path) == expected_flaw(path, &before), "a path has the flaw that it seems to have");
    if (dml_path_check(path) != DML_PATH_FINE)
        return false;
    dml_path_normalise(path);
    split(path, parts);
    must(dml_path_check(path) == DML_PATH_FINE, "a path made canonical is fine");
    must(parts->count == before.count && same_parts(parts, &before, before.count), "its components stay");
    must(!strstr(path, "//"), "a canonical path has no repeated slash");
    must(path[0] == '/' && (!path[1] || path[strlen(path) - 1] != '/'), "nor a trailing one");
    strcpy(again, path);
    dml_path_normalise(again);
    must(strcmp(again, path) == 0, "made canonical twice, it is the same");
    must(dml_path_depth(path) == parts->count, "its depth is the number of its components");
    const char *name = dml_path_name(path);
    must(!strchr(name, '/') && (parts->count == 0) == !*name, "its name is its last component");
    return true;
}

static void check_pair(const char *path, const struct parts *parts, const char *tree,
                       const struct parts *of_tree)
{
    bool within = dml_path_within(path, tree);
    must(within == same_parts(parts, of_tree, of_tree->count),
         "within a tree is what begins with its components");
    if (!within)
        return;
    const char *below = dml_path_below(path, tree);
    char joined[2 * DML_PATH_MAX];
    snprintf(joined, sizeof joined, "%s/%s", tree, below);
    dml_path_normalise(joined);
    must(*below != '/' && strcmp(joined, path) == 0, "tree and what is below it make the path");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct parts parts[2];
    char text[2 * DML_PATH_MAX], other[2 * DML_PATH_MAX] = "/";
    if (length >= sizeof text)
        return 0;
    memcpy(text, bytes, length);
    text[length] = '\0';
    char *newline = strchr(text, '\n');
    if (newline) {
        *newline = '\0';
        strcpy(other, newline + 1);
    }
    bool fine = check_path(text, &parts[0]), other_fine = check_path(other, &parts[1]);
    if (fine && other_fine) {
        check_pair(text, &parts[0], other, &parts[1]);
        check_pair(other, &parts[1], text, &parts[0]);
        check_pair(text, &parts[0], text, &parts[0]);
    }
    return 0;
}
