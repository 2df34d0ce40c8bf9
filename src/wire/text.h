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

/* Read "1.25" as 1250: a number with at most three decimals, exact.  Steps over it; false
 * leaves *at where it was.  A fourth decimal is left standing at *at. */
bool text_take_thousandths(const char **at, uint64_t *out);

/* "5s", "1.5s", "500ms", "2m", "1h"; without a unit it is seconds. */
bool text_parse_duration_ms(const char *text, uint64_t *ms);

/* RFC 3339, UTC, microseconds: "2024-06-07T12:34:56.000001Z". */
#define TEXT_TIME_BYTES 40
void text_time(uint64_t stamp_us, char out[TEXT_TIME_BYTES]);

/* The name that `word` may be a slip of the fingers for, or NULL.  names is NULL-ended. */
const char *text_suggest(const char *word, const char *const *names);

/* A printable, zero-ended copy of bytes that claim to be text: what is not printable
 * UTF-8 becomes U+FFFD.  The caller frees it. */
char *text_clean(struct bytes bytes);

/* A zero-ended copy; the caller frees it. */
char *text_copy(struct bytes text);

struct bytes text_view(const char *zero_ended); /* NULL gives an empty view */

#endif
