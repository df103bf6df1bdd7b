/* Policies on their whole way: runs spec/fuzz/policy.lua over each input, and gives it what Lua has not. */
#include "script.h"
#include "bwrap.h"
#include "lua_plan.h"
#include "native/native.h"
#include "stage_message.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- what is rendered --- */

/* render(plan, features as bits) -> number of arguments, of files and of sources: as a launch does */
static int render(lua_State *L)
{
    const struct dml_lua_plan *held = luaL_checkudata(L, 1, DML_LUA_PLAN);
    unsigned bits = (unsigned)luaL_checkinteger(L, 2);
    const struct dml_bwrap_features features = {
        .bind_fd = bits & 1, .disable_userns = bits & 2, .seccomp = bits & 4, .size = bits & 8};
    struct dml_bwrap_arguments arguments = {0};
    struct dml_error error = {0};
    bool rendered = dml_bwrap_render(held->plan, &features, false, &arguments, &error);
    must(rendered || error.kind != DML_ERROR_NONE, "what is not rendered has an error");
    for (size_t i = 0; i < arguments.count; i++)
        must(arguments.items[i], "every argument is there");
    for (size_t i = 0; i < arguments.source_count; i++)
        must(arguments.sources[i]->source.path[0] == '/', "every source has a path");
    lua_pushinteger(L, rendered ? (lua_Integer)arguments.count : -1);
    lua_pushinteger(L, (lua_Integer)arguments.file_count);
    lua_pushinteger(L, (lua_Integer)arguments.source_count);
    dml_bwrap_arguments_clear(&arguments);
    return 3;
}

static void push_mount(lua_State *L, const struct dml_native_mount *mount)
{
    must(mount->at && mount->at[0] && mount->at[0] != '/', "every mount has a path below the root");
    must(mount->tree == -1, "nothing is opened by the parent");
    lua_createtable(L, 0, 5);
    lua_pushstring(L, mount->at);
    lua_setfield(L, -2, "at");
    lua_pushboolean(L, mount->make);
    lua_setfield(L, -2, "make");
    lua_pushstring(L, mount->size);
    lua_setfield(L, -2, "size");
    lua_pushstring(L, mount->mode);
    lua_setfield(L, -2, "mode");
    lua_newtable(L);
    for (lua_Integer i = 0; mount->directories && mount->directories[i]; i++) {
        lua_pushstring(L, mount->directories[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "directories");
}

/* prepare(plan) -> mounts, length of the filter: as the parent prepares a native launch */
static int prepare(lua_State *L)
{
    const struct dml_lua_plan *held = luaL_checkudata(L, 1, DML_LUA_PLAN);
    const int descriptors[DML_FD_COUNT] = {0};
    struct dml_native n = {.descriptors = descriptors, .descriptor_count = DML_FD_COUNT};
    must(dml_native_prepare(held->plan, &n), "everything is prepared");
    must(n.step == DML_NATIVE_NONE && n.pid == -1 && n.pidfd == -1, "and nothing is launched");
    must(n.mount_count == held->plan->mount_count, "every mount of the plan");
    must((n.filter.len > 0) == held->plan->seccomp, "a filter where the plan has one");
    lua_createtable(L, (int)n.mount_count, 0);
    for (size_t i = 0; i < n.mount_count; i++) {
        must(n.mounts[i].entry == &held->plan->mounts[i], "in its order");
        push_mount(L, &n.mounts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(L, n.filter.len);
    dml_native_clear(&n);
    return 2;
}

/* --- what the scratch tree is made of; some of it may be there from an earlier run --- */

static int make_directory(lua_State *L)
{
    mkdir(luaL_checkstring(L, 1), 0755);
    return 0;
}

static int make_link(lua_State *L)
{
    lua_pushboolean(L, symlink(luaL_checkstring(L, 1), luaL_checkstring(L, 2)) == 0);
    return 1;
}

static int make_fifo(lua_State *L)
{
    mkfifo(luaL_checkstring(L, 1), 0644);
    return 0;
}

static int make_socket(lua_State *L)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", luaL_checkstring(L, 1));
    bind(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return 0;
}

static int open_tools(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"render", render},  {"prepare", prepare}, {"directory", make_directory},
        {"link", make_link}, {"fifo", make_fifo},  {"socket", make_socket},
        {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static lua_State *L; /* kept: what one run leaves behind, the next would find */
    if (!L)
        L = open_script("spec/fuzz/policy.lua", open_tools);
    run_script(L, bytes, length);
    return 0;
}
