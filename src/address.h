/* Addresses that a program can connect to, as text. */
#ifndef DML_ADDRESS_H
#define DML_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Reads "192.0.2.1:80", "[::1]:80", "/path/of/a/socket" or "@abstract": fills `address` and, in bytes, its
 * `length`. False when the text is none of them; names of hosts are not looked up. */
bool dml_parse_address(const char *text, struct sockaddr_storage *address, socklen_t *length);

#endif
