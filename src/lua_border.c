#include "lua_border.h"
#include "text.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define MAX_QUESTIONS 256 /* to the host, whose time is not counted */

/* --- reasons --- */

static void add(struct dml_reason *reason, const char *text, size_t length)
{
    size_t at = strlen(reason->text);
    if (sizeof reason->text - at > 4) /* else full */
        dml_escape(reason->text + at, sizeof reason->text - at, text, length, NULL);
}

void dml_reason_set(struct dml_reason *reason, const char *prefix, const char *text, size_t length)
{
    reason->text[0] = '\0';
    add(reason, prefix, strlen(prefix));
    if (prefix[0] != '\0')
        add(reason, ": ", 2);
    add(reason, text, length);
}

int dml_border_fail(lua_State *H, const char *text)
{
    luaL_pushfail(H);
    lua_pushstring(H, text);
    return 2;
}

/* Whether an error text begins with "name:12: ". */
static bool has_position(const char *text)
{
    for (const char *colon = strchr(text, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        size_t digits = strspn(colon + 1, "0123456789");
        if (digits > 0 && colon[digits + 1] == ':')
            return true;
    }
    return false;
}

static bool starts_with_name(const char *text, const char *name)
{
    size_t length = strlen(name);
    return length > 0 && strncmp(text, name, length) == 0 && text[length] == ':';
}

static void describe_value(lua_State *L, int index, const char *prefix, struct dml_reason *reason)
{
    char text[64];
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *error = lua_tolstring(L, index, &length);
        bool placed = has_position(error) || starts_with_name(error, prefix);
        dml_reason_set(reason, placed ? "" : prefix, error, length);
        return;
    }
    snprintf(text, sizeof text, "the policy raised a %s value", lua_typename(L, lua_type(L, index)));
    dml_reason_set(reason, prefix, text, strlen(text));
}

/* --- from H into L --- */

struct dml_private *dml_private_of(lua_State *L)
{
    return (struct dml_private *)dml_bounds_of(L);
}

const char *dml_private_unusable(const struct dml_private *private)
{
    if (private->L == NULL)
        return "the policy state is closed";
    return private->H != NULL ? "the policy state is running" : NULL;
}

void dml_border_enter(struct dml_private *private, lua_State *H, int self, const char *place)
{
    private->H = H;
    private->self = self;
    private->includes = private->questions = 0;
    if (private->guard != NULL)
    private->guard->start(place);
    dml_bounds_start(&private->bounds, private->L);
}

void dml_border_leave(struct dml_private *private)
{
    dml_bounds_stop(private->L);
    lua_settop(private->L, 0);
    private->H = NULL;
    if (private->guard != NULL)
    private->guard->stop();
}

bool dml_border_call(struct dml_private *private, int arguments, int results, const char *prefix,
                     struct dml_reason *reason)
{
    lua_State *L = private->L;
    const struct dml_bounds *bounds = &private->bounds;
    int status = lua_pcall(L, arguments, results, 0);
    if (status == LUA_OK && !bounds->out_of_time)
        return true;
    char text[sizeof bounds->stopped_at + 96];
    if (bounds->out_of_time) {
        dml_bounds_describe_time(bounds, text, sizeof text);
        dml_reason_set(reason, bounds->stopped_at[0] == '\0' ? prefix : "", text, strlen(text));
    } else if (status == LUA_ERRMEM || bounds->out_of_memory) {
        dml_bounds_describe_memory(bounds, text, sizeof text);
        dml_reason_set(reason, prefix, text, strlen(text));
    } else {
        describe_value(L, -1, prefix, reason);
    }
    lua_settop(L, 0);
    return false;
}

/* --- from L into H --- */

struct text {
    const char *data;
    size_t length;
};

/* Runs in H: a function, and a light userdata with the text to give to it. */
static int call_host_function(lua_State *H)
{
    const struct text *text = lua_touserdata(H, 2);
    lua_settop(H, 1);
    lua_pushlstring(H, text->data, text->length);
    lua_call(H, 1, 2);
    return 2;
}

bool dml_border_ask(lua_State *L, enum dml_question question, const char *data, size_t length)
{
    struct dml_private *private = dml_private_of(L);
    struct text text = {data, length};
    lua_State *H = private->H;
    if (!lua_checkstack(H, 6))
        luaL_error(L, "not enough memory");
    lua_pushcfunction(H, call_host_function);
    lua_getiuservalue(H, private->self, 1);
    bool known = lua_rawgeti(H, -1, question) == LUA_TFUNCTION;
    lua_remove(H, -2);
    if (!known) {
        lua_pop(H, 2);
        return false;
    }
    lua_pushlightuserdata(H, &text);
    if (lua_pcall(H, 2, 2, 0) == LUA_OK)
        return true;
    struct dml_reason reason;
    const char *error =
        lua_type(H, -1) == LUA_TSTRING ? lua_tostring(H, -1) : "the host program raised an error";
    dml_reason_set(&reason, "", error, strlen(error));
    lua_pop(H, 1);
    luaL_error(L, "%s", reason.text);
    return false;
}

bool dml_border_ask_slowly(lua_State *L, enum dml_question question, const char *data, size_t length)
{
    struct dml_private *private = dml_private_of(L);
    if (++private->questions > MAX_QUESTIONS)
        luaL_error(L, "the policy asks more than %d questions of the host", MAX_QUESTIONS);
    struct dml_times start = dml_bounds_now();
    bool answered = dml_border_ask(L, question, data, length);
    dml_bounds_excuse(&private->bounds, start);
    return answered;
}
