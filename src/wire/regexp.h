/* regexp.h - regular expressions of constraints: PCRE2 with limits.
 *
 * Found anywhere in the text; ^ and $ are its ends.  Patterns and texts have at most
 * LIMIT_ATTRIBUTE_BYTES, and one search takes at most LIMIT_REGEXP_STEPS of PCRE2's steps
 * (pcre2_set_match_limit(3)): what takes more is not found.
 */
#ifndef WIRE_REGEXP_H
#define WIRE_REGEXP_H

#include "base/error.h"

#include <stdbool.h>

struct regexp;

/* NULL with an error that says what is wrong and where. */
struct regexp *regexp_compile(const char *pattern, struct error *err);
void regexp_destroy(struct regexp *r); /* NULL is fine */
bool regexp_finds(const struct regexp *r, const char *text);

#endif
