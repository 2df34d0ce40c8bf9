/* text.h - small questions about text from outside. */
#ifndef WIRE_TEXT_H
#define WIRE_TEXT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* Valid UTF-8: shortest forms only, no surrogates. */
bool text_is_utf8(struct bytes text);

/* UTF-8 that cannot disturb a terminal or a log line: no control characters, no line or
 * paragraph separators, nothing that changes the direction of what follows. */
bool text_is_printable(struct bytes text);

/* Read a decimal number of at most `max` at *at and step over it.  No sign, no space,
 * no needless leading zero; false leaves *at where it was. */
bool text_take_uint(const char **at, uint64_t max, uint64_t *out);

/* A printable, zero-ended copy of bytes that claim to be text: what is not printable
 * UTF-8 becomes U+FFFD.  The caller frees it. */
char *text_clean(struct bytes bytes);

/* A zero-ended copy; the caller frees it. */
char *text_copy(struct bytes text);

struct bytes text_view(const char *zero_ended); /* NULL gives an empty view */

#endif
