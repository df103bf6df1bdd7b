/* The program that tries the cases of a policy from inside its sandbox. It is static and without libc, and
 * comes as standard input, so that it needs nothing of what the sandbox has; the cases stand behind it in the
 * same file. Each is a letter, a text and a NUL. It answers each with a line: 0 when it could be done, else
 * the error's number, or "-" where a case is for what is there alone and nothing is. Nothing of what it tries
 * is left behind. */
#include "freestanding.h"

#include <linux/in6.h>
#include <linux/socket.h>
#include <linux/stat.h>
#include <linux/un.h>

/* Constants of the kernel's interface whose headers clash without a libc. */
enum {
    E_NOENT = 2,
    E_NXIO = 6,
    E_NOTDIR = 20,
    E_ISDIR = 21,
    E_AGAIN = 11,
    E_TIMEDOUT = 110,
    E_INPROGRESS = 115,
    CURRENT_DIRECTORY = -100, /* AT_FDCWD */
    OPEN_WRITE = 1,
    OPEN_CREATE = 0100,
    OPEN_EXCLUSIVELY = 0200,
    OPEN_NO_TERMINAL = 0400,
    OPEN_APPEND = 02000,
    OPEN_AT_ONCE = 04000, /* O_NONBLOCK */
    SOCKET_STREAM = 1 | 04000,
    LEVEL_SOCKET = 1,
    OPTION_ERROR = 4,
    POLL_OUT = 4,
    SEEK_TO_END = 2,
    PROTECT_READ = 1,
    MAP_PRIVATE_FILE = 2,
    LONGEST_PATH = 4096,
    PATIENCE = 3, /* seconds for a connection */
    SKIPPED = -1,
};

static struct statx status_of_path;

/* The kind of file at a path, or 0 and in `reason` why there is none. */
static unsigned kind_of(const char *path, int *reason)
{
    *reason = (int)-CALL5(__NR_statx, CURRENT_DIRECTORY, path, 0, STATX_TYPE, &status_of_path);
    return *reason ? 0 : status_of_path.stx_mode & S_IFMT;
}

static int close_again(long fd)
{
    if (fd < 0)
        return (int)-fd;
    CALL1(__NR_close, fd);
    return 0;
}

/* --- connecting --- */

static int connect_to(const void *address, size_t length)
{
    const unsigned short family = *(const unsigned short *)address;
    long fd = CALL3(__NR_socket, family, SOCKET_STREAM, 0);
    if (fd < 0)
        return (int)-fd;
    int reason = (int)-CALL3(__NR_connect, fd, address, length);
    if (reason == E_INPROGRESS) {
        struct {
            int fd;
            short events, revents;
        } polled = {(int)fd, POLL_OUT, 0};
        struct {
            long seconds, nanoseconds;
        } patience = {PATIENCE, 0};
        int size = sizeof reason;
        if (CALL5(__NR_ppoll, &polled, 1, &patience, 0, 0) == 1)
            CALL5(__NR_getsockopt, fd, LEVEL_SOCKET, OPTION_ERROR, &reason, &size);
        else
            reason = E_TIMEDOUT;
    }
    CALL1(__NR_close, fd);
    return reason;
}

static int connect_to_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = 1};
    size_t length = length_of(path);
    if (length >= sizeof address.sun_path)
        return E_NOENT; /* none can have such a name */
    memcpy(address.sun_path, path, length);
    return connect_to(&address, sizeof address.sun_family + length + 1);
}

static int digit(char letter)
{
    return letter <= '9' ? letter - '0' : letter - 'a' + 10;
}

/* The address comes as a struct sockaddr in hexadecimal digits. */
static int try_connect(const char *text)
{
    struct sockaddr_un room = {0}; /* the largest of them */
    unsigned char *bytes = (unsigned char *)&room;
    size_t length = length_of(text) / 2;
    for (size_t i = 0; i < length && i < sizeof room; i++)
        bytes[i] = (unsigned char)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    return connect_to(&room, length);
}

/* --- files --- */

static int try_read(const char *path)
{
    static char some[1024] __attribute__((aligned(8)));
    int unknown;
    long fd = CALL4(__NR_openat, CURRENT_DIRECTORY, path, OPEN_AT_ONCE | OPEN_NO_TERMINAL, 0);
    if (fd == -E_NXIO && kind_of(path, &unknown) == S_IFSOCK)
        return connect_to_path(path);
    if (fd < 0)
        return (int)-fd;
    long got = CALL3(__NR_read, fd, some, 1);
    if (got == -E_ISDIR)
        got = CALL3(__NR_getdents64, fd, some, sizeof some);
    CALL1(__NR_close, fd);
    return got >= 0 || got == -E_AGAIN ? 0 : (int)-got;
}

static int try_create(const char *path)
{
    int reason = close_again(CALL4(__NR_openat, CURRENT_DIRECTORY, path,
                                   OPEN_WRITE | OPEN_CREATE | OPEN_EXCLUSIVELY | OPEN_NO_TERMINAL, 0600));
    if (reason == 0)
        CALL3(__NR_unlinkat, CURRENT_DIRECTORY, path, 0);
    return reason;
}

static int try_create_in(const char *directory)
{
    static const char name[] = "/.demilune-test-";
    char path[LONGEST_PATH];
    unsigned char random[8] = {0};
    size_t length = length_of(directory);
    if (length + sizeof name + 2 * sizeof random > sizeof path)
        return E_NOENT; /* longer than any path */
    CALL3(__NR_getrandom, random, sizeof random, 0);
    memcpy(path, directory, length);
    memcpy(path + length, name, sizeof name);
    char *end = path + length + sizeof name - 1;
    for (size_t i = 0; i < sizeof random; i++) {
        *end++ = (char)('a' + (random[i] & 15));
        *end++ = (char)('a' + (random[i] >> 4));
    }
    *end = '\0';
    return try_create(path);
}

/* Makes and removes what is not there; where its directory is not there either, a name in the nearest one
 * that is: who can write to that can make the rest. */
static int try_make(const char *path)
{
    char above[LONGEST_PATH];
    size_t length = length_of(path);
    int reason = try_create(path);
    if (length >= sizeof above)
        return reason;
    memcpy(above, path, length + 1);
    while (reason == E_NOENT && length > 0) {
        while (above[--length] != '/')
            ;
        above[length ? length : 1] = '\0';
        unsigned kind = kind_of(above, &reason);
        if (kind)
            return kind == S_IFDIR ? try_create_in(above) : E_NOTDIR;
    }
    return reason;
}

/* A file is opened without a byte being written; in a directory a name is made and removed, and where there
 * is nothing it is tried to make something. */
static int try_write(const char *path)
{
    int reason;
    unsigned kind = kind_of(path, &reason);
    if (reason == E_NOENT)
        return try_make(path);
    if (reason)
        return reason;
    if (kind == S_IFDIR)
        return try_create_in(path);
    if (kind == S_IFSOCK)
        return connect_to_path(path);
    reason = close_again(CALL4(__NR_openat, CURRENT_DIRECTORY, path,
                               OPEN_WRITE | OPEN_APPEND | OPEN_AT_ONCE | OPEN_NO_TERMINAL, 0));
    return reason == E_NXIO && kind == S_IFIFO ? 0 : reason; /* it could be opened, but that nobody reads */
}

/* --- the environment --- */

static int try_env(const char *name, char **env)
{
    for (; *env; env++) {
        size_t at = 0;
        while (name[at] && (*env)[at] == name[at])
            at++;
        if (name[at] == '\0' && (*env)[at] == '=')
            return 0;
    }
    return E_NOENT;
}

/* --- the cases --- */

/* An upper-case letter: only what is there. */
static int try_case(char letter, const char *text, char **env)
{
    int reason = 0;
    if (letter == 'R' || letter == 'W') {
        kind_of(text, &reason);
        if (reason == E_NOENT || reason == E_NOTDIR)
            return SKIPPED;
    }
    switch (letter) {
    case 'r':
    case 'R': return try_read(text);
    case 'w':
    case 'W': return try_write(text);
    case 'c': return try_connect(text);
    default: return try_env(text, env);
    }
}

static void answer(int what)
{
    char line[16], *at = line + sizeof line;
    *--at = '\n';
    if (what == SKIPPED) {
        *--at = '-';
    } else {
        do
            *--at = (char)('0' + what % 10);
        while ((what /= 10) > 0);
    }
    CALL3(__NR_write, 1, at, line + sizeof line - at);
}

/* The program is told by its argument where in standard input the cases begin. */
void program_main(long *stack)
{
    char **argv = (char **)(stack + 1), **env = argv + *stack + 1;
    long size = CALL3(__NR_lseek, 0, 0, SEEK_TO_END), at = 0;
    for (const char *digits = *stack == 2 ? argv[1] : ""; *digits; digits++)
        at = at * 10 + (*digits - '0');
    long bytes = CALL6(__NR_mmap, 0, size, PROTECT_READ, MAP_PRIVATE_FILE, 0, 0);
    if (bytes < 0 && bytes > -4096)
        leave(1);
    const char *all = (const char *)bytes;
    while (at < size) {
        const char *text = all + at + 1; /* ended by a NUL: the last byte of the file is one */
        answer(try_case(all[at], text, env));
        at += 2 + (long)length_of(text);
    }
    leave(0);
}
