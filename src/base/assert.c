/* assert.c - say where an invariant broke, then abort. */
#include "base/assert.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAMES_MAX 32

void assert_failed(const char *condition,
                   const char *file,
                   int line,
                   const char *function)
{
    void *frames[FRAMES_MAX];
    char text[512];
    int n = snprintf(text,
                     sizeof(text),
                     "FATAL %s:%d %s: assertion failed: %s\n",
                     file,
                     line,
                     function,
                     condition);

    size_t size = n > 0 && (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;

    if (write(STDERR_FILENO, text, size) < 0)
        _exit(134); /* no stderr left to speak on */
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    abort();
}
