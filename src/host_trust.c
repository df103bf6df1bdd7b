#include "host_trust.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MOST_LINKS = 40, OTHERS = S_IWGRP | S_IWOTH };

struct walk {
    char at[PATH_MAX];   /* the directory that we are in, "" for the root */
    char left[PATH_MAX]; /* what is to be gone through from there */
    int links;
};

/* NULL, or why somebody else than root has a hand in what stands at `path`. */
static const char *not_roots(const struct stat *status)
{
    bool sticky = S_ISDIR(status->st_mode) && status->st_mode & S_ISVTX;
    if (status->st_uid != 0)
        return "does not belong to root";
    if (!S_ISLNK(status->st_mode) && status->st_mode & OTHERS && !sticky)
        return "can be written to by others than root";
    return NULL;
}

/* Replaces the last step of the walk, a link, by what it leads to. False with errno. */
static bool follow(struct walk *walk, const char *link)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0 || ++walk->links > MOST_LINKS) {
        errno = length < 0 ? errno : ELOOP;
        return false;
    }
    target[length] = '\0';
    memcpy(rest, walk->left, sizeof rest);
    if (target[0] == '/')
        walk->at[0] = '\0';
    errno = ENAMETOOLONG;
    return (size_t)snprintf(walk->left, sizeof walk->left, "%s/%s", target, rest) < sizeof walk->left;
}

/* Takes the next component off what is left; false when there is none. */
static bool next_step(struct walk *walk, char name[NAME_MAX + 1])
{
    char *start = walk->left + strspn(walk->left, "/");
    size_t length = strcspn(start, "/");
    if (length == 0 || length > NAME_MAX)
        return false;
    memcpy(name, start, length);
    name[length] = '\0';
    memmove(walk->left, start + length, strlen(start + length) + 1);
    return true;
}

static void go_up(struct walk *walk)
{
    char *slash = strrchr(walk->at, '/');
    if (slash)
        *slash = '\0';
}

/* Looks at the next thing on the way. NULL, or what is wrong with what now stands in `path`; `status` is of
 * the last thing that was no link. */
static const char *take_step(struct walk *walk, const char *name, char path[PATH_MAX], struct stat *status)
{
    if (strcmp(name, ".") == 0)
        return NULL;
    if (strcmp(name, "..") == 0) {
        go_up(walk);
        return NULL;
    }
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s", walk->at, name) >= PATH_MAX)
        return strerror(ENAMETOOLONG);
    if (lstat(path, status) != 0)
        return strerror(errno);
    const char *why = not_roots(status);
    if (why)
        return why;
    if (S_ISLNK(status->st_mode))
        return follow(walk, path) ? NULL : strerror(errno);
    memcpy(walk->at, path, PATH_MAX);
    return NULL;
}

/* Whether root alone has a hand in a file that is there, and in all that leads to it. */
static bool check_way(const char *path, struct dml_error *error)
{
    struct stat status;
    struct walk walk = {0};
    char name[NAME_MAX + 1], at[PATH_MAX] = "/";
    const char *why = stat("/", &status) == 0 ? not_roots(&status) : strerror(errno);
    snprintf(walk.left, sizeof walk.left, "%s", path);
    while (!why && next_step(&walk, name))
        why = take_step(&walk, name, at, &status);
    if (!why && !S_ISREG(status.st_mode))
        why = "is no regular file";
    return !why || dml_fail(error, DML_ERROR_SETUP, 0, "%s: %s", at, why);
}

bool dml_host_operators_file(const char *path, bool *exists, struct dml_error *error)
{
    struct stat status;
    *exists = lstat(path, &status) == 0;
    if (*exists)
        return check_way(path, error);
    return errno == ENOENT || errno == ENOTDIR ||
           dml_fail(error, DML_ERROR_SYSTEM, errno, "cannot be looked up");
}

/* With an access list the permissions of the group are the most that anybody of the list has. */
static bool others_listed(const char *path, const struct stat *status)
{
    if (!(status->st_mode & S_IWGRP) || S_ISLNK(status->st_mode))
        return false;
    ssize_t size = lgetxattr(path, "system.posix_acl_access", NULL, 0);
    return size >= 0 || (errno != ENODATA && errno != ENOTSUP);
}

bool dml_host_trusted_file(const char *path, uid_t *owner)
{
    struct stat status;
    *owner = lstat(path, &status) == 0 ? status.st_uid : (uid_t)-1;
    if ((*owner != 0 && *owner != geteuid()) || others_listed(path, &status))
        return false;
    bool own_group = status.st_gid == 0 || status.st_gid == getegid();
    return S_ISLNK(status.st_mode) || !(status.st_mode & (own_group ? S_IWOTH : OTHERS));
}

bool dml_host_account_home(char *buffer, size_t size)
{
    const struct passwd *own = getpwuid(geteuid());
    return own && own->pw_dir && own->pw_dir[0] == '/' &&
           (size_t)snprintf(buffer, size, "%s", own->pw_dir) < size;
}
