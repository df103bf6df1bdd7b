#include "problem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool dml_fail(struct dml_error *error, enum dml_error_kind kind, int errnum, const char *format, ...)
{
    if (!error)
        return false;
    error->kind = kind;
    error->errnum = errnum;
    error->step = NULL;
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (errnum && used >= 0 && (size_t)used < sizeof error->message)
        snprintf(error->message + used, sizeof error->message - (size_t)used, ": %s", strerror(errnum));
    return false;
}

static bool grow(struct dml_problems *list)
{
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity ? list->capacity * 2 : 8;
    struct dml_problem *items = reallocarray(list->items, capacity, sizeof *items);
    if (!items)
        return false;
    list->items = items;
    list->capacity = capacity;
    return true;
}

static void problem_clear(struct dml_problem *problem)
{
    free(problem->field);
    free(problem->value);
    free(problem->code);
    free(problem->message);
}

/* The text as one line that cannot drive a terminal, for paths may stand in it as they are; NULL when memory
 * is out. Takes the text. */
static char *escaped(char *text)
{
    size_t length = text ? strlen(text) : 0;
    char *safe =
        text ? calloc(length + 2, 4) : NULL; /* \x1b for one byte, and room for the least that is taken */
    if (safe)
        dml_escape(safe, 4 * (length + 2), text, length, NULL);
    free(text);
    return safe;
}

void dml_problem_add(struct dml_problems *list, const char *code, const char *field, const char *value,
                     size_t length, const char *format, ...)
{
    struct dml_problem problem = {0};
    char quoted[256];
    va_list arguments;
    va_start(arguments, format);
    int written = vasprintf(&problem.message, format, arguments);
    va_end(arguments);
    problem.message = escaped(written < 0 ? NULL : problem.message);
    problem.code = strdup(code);
    problem.field = field ? strndup(field, dml_shown_length(field)) : strdup("");
    problem.value = value ? strdup(dml_quote(quoted, sizeof quoted, value, length)) : NULL;
    if (!problem.message || !problem.code || !problem.field || (value && !problem.value) || !grow(list)) {
        problem_clear(&problem);
        list->failed = true;
        return;
    }
    list->items[list->count++] = problem;
}

void dml_problems_clear(struct dml_problems *list)
{
    for (size_t i = 0; i < list->count; i++)
        problem_clear(&list->items[i]);
    free(list->items);
    *list = (struct dml_problems){0};
}
