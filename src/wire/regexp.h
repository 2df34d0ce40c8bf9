/* regexp.h - regular expressions of constraints: PCRE2 with limits.
 *
 * Found anywhere in the text; ^ and $ are its ends.  Patterns and texts have at most
 * LIMIT_ATTRIBUTE_BYTES.  A search takes at most LIMIT_REGEXP_STEPS steps, wherever it begins in
 * the text: what takes more is not found.  A step is an item of the pattern that is tried
 * (PCRE2_AUTO_CALLOUT, pcre2callout(3)), so it costs at most one way through the text.  PCRE2's
 * own match limit counts from 0 again at each character.
 */
#ifndef WIRE_REGEXP_H
#define WIRE_REGEXP_H

#include "base/error.h"

#include <stdbool.h>

struct regexp;

/* NULL with an error that says what is wrong and where. */
struct regexp *regexp_compile(const char *pattern, struct error *err);
void regexp_destroy(struct regexp *r); /* NULL is fine */
/* *steps (NULL: not wanted) grows by those that it took, and by one. */
bool regexp_finds(const struct regexp *r, const char *text, unsigned *steps);

#endif
