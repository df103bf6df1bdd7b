/* Glue between Lua and the engine. Every `dml_open_*` adds its functions to the module table at the top of
 * the stack. In these files a Lua error jumps: whatever must be released belongs to a userdata that exists
 * first. */
#ifndef DML_LUA_GLUE_H
#define DML_LUA_GLUE_H

#include <lua.h>
#include <lauxlib.h>

void dml_open_private(lua_State *L);
void dml_open_policy(lua_State *L);
void dml_open_plan(lua_State *L);
void dml_open_ceiling(lua_State *L);
void dml_open_narrower(lua_State *L);
void dml_open_host(lua_State *L);
void dml_open_process(lua_State *L);
void dml_open_descriptors(lua_State *L);
void dml_open_stream(lua_State *L);
void dml_open_files(lua_State *L);
void dml_open_bytes(lua_State *L);
void dml_open_json(lua_State *L);
void dml_open_seccomp(lua_State *L);
void dml_open_cgroup(lua_State *L);
void dml_open_explain(lua_State *L);
void dml_open_trial(lua_State *L);

#endif
