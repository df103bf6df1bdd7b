/* What explain asks of the host, beyond the plan. */
#include "bwrap.h"
#include "host_cgroup.h"
#include "lua_glue.h"
#include "lua_plan.h"
#include "native/native.h"
#include "probe.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { MOST_GROUPS = 1024 };

/* Whether a file's group is one of the caller's. A command started by root has none but root's own. */
static bool in_group(gid_t group)
{
    gid_t groups[MOST_GROUPS];
    int count = geteuid() != 0 ? getgroups(MOST_GROUPS, groups) : 0;
    for (int i = 0; i < count; i++) {
        if (groups[i] == group)
            return true;
    }
    return group == getegid();
}

static mode_t own_bits(const struct stat *status)
{
    mode_t mode = status->st_mode;
    return (status->st_uid == geteuid() ? mode >> 6 : in_group(status->st_gid) ? mode >> 3 : mode) & 07;
}

/* permits(path) -> what the permissions of a host file let a command do that has the caller's ids and no
 * capabilities, in letters: "rwx" and less, without "w" where the file system is read-only | nil, message */
static int core_permits(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct stat status;
    struct statvfs system;
    if (lstat(path, &status) != 0) {
        luaL_pushfail(L);
        lua_pushstring(L, strerror(errno));
        return 2;
    }
    mode_t bits = own_bits(&status);
    bool sealed = statvfs(path, &system) == 0 && system.f_flag & ST_RDONLY;
    lua_pushfstring(L, "%s%s%s", bits & 04 ? "r" : "", bits & 02 && !sealed ? "w" : "", bits & 01 ? "x" : "");
    return 1;
}

/* Whether the limits of a plan can hold for the sandbox as a whole, as far as can be said before a launch. */
static bool can_limit(const struct dml_plan *plan)
{
    unsigned meant = dml_limits_as_a_whole(&plan->limits);
    if (!meant) /* required for itself: any will do */
        return dml_host_can_limit(DML_CONTROLLER_MEMORY) || dml_host_can_limit(DML_CONTROLLER_PIDS) ||
               dml_host_can_limit(DML_CONTROLLER_CPU);
    return (!(meant & 1u << DML_LIMIT_MEMORY) || dml_host_can_limit(DML_CONTROLLER_MEMORY)) &&
           (!(meant & 1u << DML_LIMIT_PIDS) || dml_host_can_limit(DML_CONTROLLER_PIDS)) &&
           (!(meant & 1u << DML_LIMIT_CPU_TIME) || dml_host_can_limit(DML_CONTROLLER_CPU));
}

/* What a backend is meant to apply to a plan and what it can: that bwrap, or without a path native. */
static bool find_controls(const struct dml_plan *plan, const char *bwrap, unsigned *wanted, unsigned *had,
                          struct dml_error *error)
{
    struct dml_probe probe = {0};
    *wanted = bwrap ? dml_plan_controls(plan) : dml_native_wanted(plan);
    if (!bwrap)
        return dml_native_controls(plan, had, error);
    if (!dml_probe_run(&probe, bwrap, error))
        return false;
    *had = dml_bwrap_controls(plan, &probe.features);
    return true;
}

/* controls(plan, bwrap|nil) -> the controls that the backend is meant to apply, those of them that this host
 * or this bwrap lacks | nil, message: it cannot be asked, or lacks what is required */
static int core_controls(lua_State *L)
{
    struct dml_lua_plan *held = luaL_checkudata(L, 1, DML_LUA_PLAN);
    luaL_argcheck(L, held->plan, 1, "not a plan");
    struct dml_error error;
    unsigned wanted, had;
    if (!find_controls(held->plan, luaL_optstring(L, 2, NULL), &wanted, &had, &error)) {
        luaL_pushfail(L);
        lua_pushstring(L, error.message);
        return 2;
    }
    if (wanted & 1u << DML_CONTROL_CGROUP && can_limit(held->plan))
        had |= 1u << DML_CONTROL_CGROUP;
    dml_push_names(L, wanted, dml_control_names, DML_CONTROL_COUNT);
    dml_push_names(L, wanted & ~had, dml_control_names, DML_CONTROL_COUNT);
    return 2;
}

void dml_open_explain(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"permits", core_permits}, {"controls", core_controls}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
