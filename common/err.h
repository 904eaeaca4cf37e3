/*
 * Errors by value: a code from err.def and the words of whoever noticed. No thread-local last error,
 * no errno above the adapters.
 */
#ifndef FULFILLD_COMMON_ERR_H
#define FULFILLD_COMMON_ERR_H

#include "common/scope.h"

#include <stdarg.h>

enum err {
#define ERR(code, class, text) code,
#include "common/err.def"
#undef ERR
};

enum err_class { ERR_CLASS_NONE, ERR_CLASS_HOLD, ERR_CLASS_REJECT, ERR_CLASS_VOID };

/* What went wrong, travelling by value or by const pointer. */
struct fault {
    enum err code;
    char detail[240]; /* NUL-terminated UTF-8 for an operator; no secrets, no learners' data */
};

/* The name ("ERR_TIMEOUT"), the sentence and the class of a code. Never NULL. */
const char *err_name(enum err code);
const char *err_text(enum err code);
enum err_class err_class(enum err code);

/** A fault without detail beyond the code's own sentence. */
struct fault fault_of(enum err code);

/** A fault with formatted detail, cut at the field's size on a UTF-8 boundary. */
struct fault fault_make(enum err code, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
