/*
 * Looks up what err.def says of a code, and makes faults. It decides nothing: what a class leads to is the
 * business of worker/pipeline.c. Called by everybody.
 */
#include "common/err.h"

#include "common/text.h"

#include <stdio.h>

struct err_row {
    const char *name;
    const char *text;
    enum err_class class;
};

static const struct err_row err_rows[] = {
#define ERR(code, class_name, sentence) [code] = {#code, sentence, ERR_CLASS_##class_name},
#include "common/err.def"
#undef ERR
};

/* A code that is no row of the table is a bug of ours: shown, never followed. */
static const struct err_row *find_row(enum err code)
{
    static const struct err_row unknown = {"ERR_UNKNOWN", "unknown error", ERR_CLASS_HOLD};

    return (size_t)code < ARRAY_LEN(err_rows) ? &err_rows[code] : &unknown;
}

const char *err_name(enum err code)
{
    return find_row(code)->name;
}

const char *err_text(enum err code)
{
    return find_row(code)->text;
}

enum err_class err_class(enum err code)
{
    return find_row(code)->class;
}

struct fault fault_of(enum err code)
{
    struct fault fault = {.code = code};

    if (code != OK)
        (void)text_utf8_copy(fault.detail, sizeof(fault.detail), err_text(code), strlen(err_text(code)));
    return fault;
}

struct fault fault_make(enum err code, const char *format, ...)
{
    struct fault fault = {.code = code};
    char words[1024];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    if (length < 0)
        return fault_of(code);
    (void)text_utf8_copy(fault.detail, sizeof(fault.detail), words, strlen(words));
    return fault;
}
