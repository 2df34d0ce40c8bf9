/* match_value.h - values of attributes as numbers and as versions.
 *
 * A number is decimal: an optional '-', digits, and maybe a point and digits; it is compared
 * digit by digit, so of any length and exact.
 *
 * A version is that of semver.org 2.0.0 (items 2, 9, 10, 11), with what people write besides: a
 * 'v' before it, and one to three numbers, of which missing ones are 0.  "6.1.0-13-amd64" has the
 * pre-release "13-amd64", so it is before 6.1.0; what follows a '+' does not count.
 */
#ifndef WIRE_MATCH_VALUE_H
#define WIRE_MATCH_VALUE_H

#include <stdbool.h>

bool number_is_valid(const char *text);
/* Below, at or above 0 as strcmp(); both are valid. */
int number_compare(const char *a, const char *b);

bool version_is_valid(const char *text);
int version_compare(const char *a, const char *b);

/* Comparators, all of which are kept: ">= 5.10, < 7".  `=` (or none), `!=`, `<`, `<=`, `>`, `>=`, and
 * `~>`: at least that, and equal in all but the last number that stands there, "~> 1.2" is 1.x
 * from 1.2 on. */
bool version_range_is_valid(const char *range);
/* The range is valid; a text that is no version is in none. */
bool version_is_in(const char *text, const char *range);

#endif
