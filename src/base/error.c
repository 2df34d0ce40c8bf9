/* error.c - fill and name errors. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PREFIX_MAX 160
#define TEXT_KEPT  (ERROR_TEXT_MAX - PREFIX_MAX - 2)

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        err->code = code;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return -(int)code;
}

int error_wrap(struct error *err, const char *format, ...)
{
    char prefix[PREFIX_MAX];
    char text[ERROR_TEXT_MAX];
    va_list args;

    if (err == NULL)
        return -(int)ERROR_INTERNAL;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    memcpy(text, err->text, sizeof(text));
    /* A long text loses its end, never its prefix. */
    snprintf(err->text, sizeof(err->text), "%s: %.*s", prefix, TEXT_KEPT, text);
    return -(int)err->code;
}

const char *error_name(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return "ok";
#define X(number, name, text) \
    case ERROR_##name:        \
        return text;
        ERROR_CODES(X)
#undef X
    }
    return "internal";
}

enum error_code error_code_of(const char *name)
{
#define X(number, id, text)      \
    if (strcmp(name, text) == 0) \
        return ERROR_##id;
    ERROR_CODES(X)
#undef X
    return ERROR_INTERNAL;
}
