#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static bool parse_local(const char *text, struct sockaddr_storage *address, socklen_t *length)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    size_t size = strlen(text);
    if (size < 2 || size >= sizeof local.sun_path)
        return false;
    memcpy(local.sun_path, text, size + 1);
    bool is_abstract = text[0] == '@';
    if (is_abstract) /* its name begins with a NUL, and ends with its length */
        local.sun_path[0] = '\0';
    memcpy(address, &local, sizeof local);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + !is_abstract);
    return true;
}

static bool parse_port(const char *text, in_port_t *port)
{
    char *end;
    size_t digits = strspn(text, "0123456789");
    unsigned long number = strtoul(text, &end, 10);
    *port = htons((uint16_t)number);
    return digits > 0 && digits <= 5 && *end == '\0' && number > 0 && number <= 65535;
}

bool dml_parse_address(const char *text, struct sockaddr_storage *address, socklen_t *length)
{
    memset(address, 0, sizeof *address);
    if (text[0] == '/' || text[0] == '@')
        return parse_local(text, address, length);
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    bool brackets = size > 2 && text[0] == '[' && colon[-1] == ']';
    if (size == 0 || size >= sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? size - 2 : size), text + brackets);
    *length = brackets ? sizeof *six : sizeof *four;
    address->ss_family = brackets ? AF_INET6 : AF_INET;
    return inet_pton(address->ss_family, host,
                     brackets ? (void *)&six->sin6_addr : (void *)&four->sin_addr) == 1 &&
           parse_port(colon + 1, brackets ? &six->sin6_port : &four->sin_port);
}
