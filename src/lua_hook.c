#include "lua_chunk.h"
#include "lua_copy.h"
#include "lua_glue.h"
#include "lua_hook.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAX_ARGUMENTS 8 /* LUA_MINSTACK leaves room above them for all that a call pushes */
#define MOST_RESULTS 2  /* an answer and a reason */

/* Its user value keeps `owner` alive. */
struct hook {
    struct dml_private *owner;
    int reference; /* in the registry of L */
    int line;
    char source[LUA_IDSIZE];
};

/* Key in the registry of H. */
static char hook_metatable;

/* --- crossing --- */

/* Runs in L: a function, and a light userdata to the place for its reference. */
static int keep_function(lua_State *L)
{
    int *reference = lua_touserdata(L, 2);
    lua_settop(L, 1);
    *reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void describe_function(lua_State *L, int index, struct hook *hook)
{
    lua_Debug function;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &function);
    hook->line = function.linedefined;
    snprintf(hook->source, sizeof hook->source, "%s", function.short_src);
}

/* Makes a hook in H for a function of L (`dml_copy.convert`). */
static bool function_to_hook(lua_State *L, int index, lua_State *H, void *context)
{
    if (lua_type(L, index) != LUA_TFUNCTION || !lua_checkstack(L, 4))
        return false;
    struct dml_private *owner = context;
    struct hook *hook = lua_newuserdatauv(H, sizeof *hook, 1);
    hook->owner = owner;
    hook->reference = LUA_NOREF;
    describe_function(L, index, hook);
    lua_rawgetp(H, LUA_REGISTRYINDEX, &hook_metatable);
    lua_setmetatable(H, -2);
    lua_pushvalue(H, DML_COPY_ANCHOR);
    lua_setiuservalue(H, -2, 1);

    lua_pushcfunction(L, keep_function);
    lua_pushvalue(L, index);
    lua_pushlightuserdata(L, &hook->reference);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        luaL_error(H, "the policy has no %s left for its hooks",
                   owner->bounds.out_of_time ? "time" : "memory");
    return true;
}

/* The hook at `index`, or NULL. Allocates nothing, so that it cannot raise. */
static struct hook *to_hook(lua_State *H, int index)
{
    if (lua_type(H, index) != LUA_TUSERDATA || !lua_checkstack(H, 3) || !lua_getmetatable(H, index))
        return NULL;
    lua_rawgetp(H, LUA_REGISTRYINDEX, &hook_metatable);
    bool is_hook = lua_rawequal(H, -1, -2);
    lua_pop(H, 2);
    return is_hook ? lua_touserdata(H, index) : NULL;
}

bool dml_is_hook(lua_State *H, int index)
{
    return to_hook(H, index) != NULL;
}

/* Gives the private state its own function back (`dml_copy.convert`). */
static bool hook_to_function(lua_State *H, int index, lua_State *L, void *context)
{
    struct hook *hook = to_hook(H, index);
    if (hook == NULL || hook->owner != context)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, hook->reference);
    return true;
}

bool dml_hook_copy_out(struct dml_private *private, int index, const char *prefix, struct dml_reason *reason)
{
    struct dml_copy copy = {.convert = function_to_hook, .context = private, .anchor = private->self};
    if (dml_copy_value(private->L, index, private->H, &copy))
        return true;
    dml_reason_set(reason, prefix, copy.message, strlen(copy.message));
    return false;
}

bool dml_hook_copy_in(struct dml_private *private, int index, const char *prefix, struct dml_reason *reason)
{
    struct dml_copy copy = {.convert = hook_to_function, .context = private};
    if (dml_copy_value(private->H, index, private->L, &copy))
        return true;
    dml_reason_set(reason, prefix, copy.message, strlen(copy.message));
    return false;
}

/* --- calling --- */

/* Replaces the table on top of the stack of L by the same table with the methods of its kind, which stands at
 * `kinds[number]` in H; without a kind it stays plain. */
static bool give_kind(struct dml_private *private, int kinds, int number, const char *prefix,
                      struct dml_reason *reason)
{
    lua_State *H = private->H, *L = private->L;
    bool given = true;
    if (lua_rawgeti(H, kinds, number) == LUA_TSTRING) {
        /* The name stays in its table for as long as it is used here. */
        const char *kind = lua_tostring(H, -1);
        lua_pushcfunction(L, dml_chunk_apply_kind);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, (void *)(uintptr_t)kind);
        given = dml_border_call(private, 2, 1, prefix, reason);
    }
    lua_pop(H, 1);
    return given;
}

/* Pushes copies of the arguments in H from index `first` on. */
static bool push_arguments(struct dml_private *private, int kinds, int first, int count, const char *place,
                           struct dml_reason *reason)
{
    for (int i = 1; i <= count; i++) {
        char prefix[LUA_IDSIZE + 64];
        snprintf(prefix, sizeof prefix, "%s: argument %d", place, i);
        if (!dml_hook_copy_in(private, first + i - 1, prefix, reason) ||
            !give_kind(private, kinds, i, prefix, reason))
            return false;
    }
    return true;
}

/* Pushes on H what the call made of its first argument, at index 1 of L, and the first two of the results
 * above it, or as many as there are. */
static bool push_results(struct dml_private *private, const char *place, struct dml_reason *reason)
{
    lua_State *L = private->L;
    if (lua_istable(L, 1)) {
        lua_pushnil(L);
        lua_setmetatable(L, 1);
    }
    if (!dml_hook_copy_out(private, 1, place, reason))
        return false;
    int argument = lua_gettop(private->H);
    int last = lua_gettop(L) < 1 + MOST_RESULTS ? lua_gettop(L) : 1 + MOST_RESULTS;
    for (int i = 2; i <= last; i++) {
        if (lua_istable(L, i) && lua_rawequal(L, 1, i))
            lua_pushvalue(private->H, argument);
        else if (!dml_hook_copy_out(private, i, place, reason))
            return false;
    }
    return true;
}

/* Calls the hook with copies of the arguments, which begin at index 3 of H, and pushes the first of them, as
 * it was left, and the results on H. */
static bool call_hook(struct dml_private *private, const struct hook *hook, int count, const char *place,
                      struct dml_reason *reason)
{
    lua_State *L = private->L;
    if (!lua_checkstack(L, 2 * count + 8)) {
        dml_reason_set(reason, place, "not enough memory", strlen("not enough memory"));
        return false;
    }
    lua_pushnil(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, hook->reference);
    if (!push_arguments(private, 2, 3, count, place, reason))
        return false;
    if (count > 0)
        lua_copy(L, 3, 1);
    return dml_border_call(private, count, LUA_MULTRET, place, reason) &&
           push_results(private, place, reason);
}

/* hook:call(kinds, ...) -> true, the first argument as the hook left it, its results, at most two | nil,
 * message. */
static int hook_call(lua_State *H)
{
    struct hook *hook = luaL_checkudata(H, 1, DML_LUA_HOOK);
    struct dml_private *private = hook->owner;
    luaL_checktype(H, 2, LUA_TTABLE);
    int count = lua_gettop(H) - 2;
    luaL_argcheck(H, count <= MAX_ARGUMENTS, MAX_ARGUMENTS + 3, "a hook takes at most 8 arguments");
    const char *obstacle = dml_private_unusable(private);
    if (obstacle != NULL)
        return dml_border_fail(H, obstacle);
    lua_getiuservalue(H, 1, 1);
    int self = lua_gettop(H);
    lua_pushboolean(H, 1);
    struct dml_reason reason;
    char place[LUA_IDSIZE + 16];
    snprintf(place, sizeof place, "%s:%d", hook->source, hook->line);
    dml_border_enter(private, H, self, place);
    int below = lua_gettop(H) - 1;
    bool called = call_hook(private, hook, count, place, &reason);
    dml_border_leave(private);
    return called ? lua_gettop(H) - below : dml_border_fail(H, reason.text);
}

static int hook_tostring(lua_State *H)
{
    const struct hook *hook = luaL_checkudata(H, 1, DML_LUA_HOOK);
    lua_pushfstring(H, "hook %s:%d", hook->source, hook->line);
    return 1;
}

/* May run at any allocation of H, so perhaps while L is copied from: it uses registry slots that exist. */
static int hook_gc(lua_State *H)
{
    struct hook *hook = luaL_checkudata(H, 1, DML_LUA_HOOK);
    lua_State *L = hook->owner->L;
    if (L != NULL && hook->reference != LUA_NOREF && lua_checkstack(L, 4))
        luaL_unref(L, LUA_REGISTRYINDEX, hook->reference);
    hook->reference = LUA_NOREF;
    return 0;
}

void dml_open_hook(lua_State *H)
{
    static const luaL_Reg metamethods[] = {{"__gc", hook_gc}, {"__tostring", hook_tostring}, {NULL, NULL}};
    luaL_newmetatable(H, DML_LUA_HOOK);
    luaL_setfuncs(H, metamethods, 0);
    lua_newtable(H);
    lua_pushcfunction(H, hook_call);
    lua_setfield(H, -2, "call");
    lua_setfield(H, -2, "__index");
    lua_rawsetp(H, LUA_REGISTRYINDEX, &hook_metatable);
}
