/* The border between two Lua states: H is the state of the host program, L the private one.
 *
 * Nothing raised in one may travel through the other: L is entered by dml_border_call alone, H is called back
 * by dml_border_ask alone, and between dml_border_enter and dml_border_leave no function is used that can
 * raise in H. Messages cross in C buffers. */
#ifndef DML_LUA_BORDER_H
#define DML_LUA_BORDER_H

#include "lua_bounds.h"

#include <lua.h>

/* What ends a process of our own when a private state does not come back to us at all. The command keeps one
 * in the registry of H, as a light userdata; a guest in somebody's process has none. */
#define DML_GUARD "demilune.guard"
struct dml_guard {
    bool (*prepare)(void); /* before the first start; false with errno */
    void (*start)(const char *place);
    void (*stop)(void);
};

/* The private state, as a userdata of H holds it. */
struct dml_private {
    struct dml_bounds bounds;      /* first: L finds the rest by it */
    const struct dml_guard *guard; /* or NULL */
    lua_State *L;                  /* NULL once closed */
    lua_State *H;                  /* the host's state that called; NULL while the private state is idle */
    int self;                /* index of the userdata in H's running function; its user value 1 is the list of
                              * functions that answer, by enum dml_question */
    int questions, includes; /* asked in this call; files being included now */
};

enum dml_question { DML_ASK_INCLUDE = 1, DML_ASK_PRINT, DML_ASK_HOST };

/* Why something failed: one line that a terminal may show. */
struct dml_reason {
    char text[1024];
};

/* Fills `reason` with "prefix: text", escaped, and cut to what fits. An empty prefix adds nothing. */
void dml_reason_set(struct dml_reason *reason, const char *prefix, const char *text, size_t length);

/* Pushes nil and `text`, and returns 2: what a function of the module returns when it fails. May raise in H.
 */
int dml_border_fail(lua_State *H, const char *text);

/* The private state that L is the state of. */
struct dml_private *dml_private_of(lua_State *L);

/* Why the private state cannot be used now, or NULL. */
const char *dml_private_unusable(const struct dml_private *private);

/* Gives the private state to a call from H, whose running function has the userdata at the absolute index
 * `self`, and starts its clock; `place` says what will run there. Leaving empties the stack of L. */
void dml_border_enter(struct dml_private *private, lua_State *H, int self, const char *place);
void dml_border_leave(struct dml_private *private);

/* Calls the function below `arguments` values on the stack of L. On failure empties that stack and fills
 * `reason`; a text without a position gets `prefix`. An error value that is no string is not looked into. */
bool dml_border_call(struct dml_private *private, int arguments, int results, const char *prefix,
                     struct dml_reason *reason);

/* Asks the host program: calls its function with a string. True: the two results are on top of the stack of
 * H, where the caller takes them off with lua_pop(H, 2). False: there is no such function. Raises in L when
 * the function does in H. */
bool dml_border_ask(lua_State *L, enum dml_question question, const char *data, size_t length);

/* As dml_border_ask, for answers that take time: the policy does not pay for it, but may not ask for ever. */
bool dml_border_ask_slowly(lua_State *L, enum dml_question question, const char *data, size_t length);

#endif
