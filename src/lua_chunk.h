/* Texts of Lua for the private state: policy files, the files that they include, and the prelude. */
#ifndef DML_LUA_CHUNK_H
#define DML_LUA_CHUNK_H

#include <lua.h>

#include <stddef.h>

/* A text and the name that its errors show. The bytes belong to the caller. */
struct dml_chunk {
    const char *source;
    size_t length;
    const char *name;
};

/* Pops a table from L: the globals of every policy file from now on. */
void dml_chunk_set_environment(lua_State *L);

/* Functions of L, to be called protected; each takes a light userdata to a struct dml_chunk. They raise what
 * is wrong with the text. The first runs a policy file and returns its table; the second runs trusted Lua,
 * which sees the whole of the standard libraries that are open, and keeps the table of metatables by kind
 * that it returns. */
int dml_chunk_run_policy(lua_State *L);
int dml_chunk_run_prelude(lua_State *L);

/* A function of L: a table, and a light userdata to the name of a kind (a C string). Returns the table with
 * the metatable that the prelude has for this kind. */
int dml_chunk_apply_kind(lua_State *L);

/* The function `include(name)` of policies: what the file returns that the host program has under this name.
 */
int dml_chunk_include(lua_State *L);

#endif
