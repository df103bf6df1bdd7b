/* The field `expect` of a policy: its own cases. */
#ifndef DML_LUA_EXPECT_H
#define DML_LUA_EXPECT_H

#include "lua_read.h"

/* Looks at { denied = { read = , write = , run = , connect = , env = }, allowed = { ... } }. What is said
 * there goes into no frozen policy: `demilune test` reads it from the table. */
void dml_read_expect(struct dml_reader *r, int index, const char *field);

#endif
