#include "path.h"

#include <string.h>

enum dml_path_flaw dml_path_check(const char *path)
{
    if (path[0] == '\0')
        return DML_PATH_EMPTY;
    if (path[0] != '/')
        return DML_PATH_RELATIVE;
    if (strlen(path) > DML_PATH_MAX)
        return DML_PATH_LONG;
    for (const char *at = path; *at;) {
        at += strspn(at, "/");
        size_t length = strcspn(at, "/");
        if (length == 1 && at[0] == '.')
            return DML_PATH_DOT;
        if (length == 2 && at[0] == '.' && at[1] == '.')
            return DML_PATH_DOT_DOT;
        if (length > DML_COMPONENT_MAX)
            return DML_PATH_COMPONENT_LONG;
        at += length;
    }
    return DML_PATH_FINE;
}

void dml_path_normalise(char *path)
{
    char *out = path;
    for (const char *in = path; *in; in++) {
        if (*in == '/' && out > path && out[-1] == '/')
            continue;
        *out++ = *in;
    }
    if (out > path + 1 && out[-1] == '/')
        out--;
    *out = '\0';
}

size_t dml_path_depth(const char *path)
{
    size_t depth = 0;
    for (const char *at = path; *at; at++)
        depth += at[0] == '/' && at[1] != '\0';
    return depth;
}

bool dml_path_within(const char *path, const char *tree)
{
    size_t length = strlen(tree);
    if (length == 1) /* "/" */
        return path[0] == '/';
    return strncmp(path, tree, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

const char *dml_path_below(const char *path, const char *tree)
{
    const char *rest = path + (strcmp(tree, "/") == 0 ? 0 : strlen(tree));
    return rest + strspn(rest, "/");
}

bool dml_path_ends_with(const char *path, const char *tail)
{
    size_t length = strlen(path), rest = strlen(tail);
    return length > rest && path[length - rest - 1] == '/' && strcmp(path + length - rest, tail) == 0;
}

const char *dml_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
