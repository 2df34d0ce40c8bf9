/* text.h - small things about text that people write and read. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digits only, up to 2^64 - 1: no sign, no space, no other base. */
bool text_parse_u64(uint64_t *out, const char *text);

/* Read a decimal number of at most `max` at *at and step over it.  No sign, no space, no
 * needless leading zero; false leaves *at where it was. */
bool text_take_uint(const char **at, uint64_t max, uint64_t *out);

/* Read "1.25" as 1250: a number with at most three decimals, exact.  Steps over it; false
 * leaves *at where it was.  A fourth decimal is left standing at *at. */
bool text_take_thousandths(const char **at, uint64_t *out);

/* "500ms", "3s", "1.5s", "2m", "1h", "7d".  A number without a unit is refused, except
 * 0. */
int text_parse_duration_ms(uint64_t *out, const char *text, struct error *err);

/* For people: "340ms", "2.5s", "3m 05s", "4h 02m", "2d 03h", or "0s", "5m", "1h" when that is
 * all of it; "512 B", "1.5 MiB".  The two greatest parts, rounded down.  They write into out
 * and return it. */
#define TEXT_SHORT_MAX 32
const char *text_duration(char out[TEXT_SHORT_MAX], uint64_t ms);
const char *text_size(char out[TEXT_SHORT_MAX], uint64_t bytes);
/* 1250 as "1.25", as text_take_thousandths() reads it. */
const char *text_thousandths(char out[TEXT_SHORT_MAX], uint64_t value);

/* Where something is fetched from, for people: of a URL (http, https) what may be secret, the
 * name before an '@' and the query, is left out.  At most TEXT_SOURCE_BYTES of it. */
#define TEXT_SOURCE_BYTES 100
#define TEXT_SOURCE_MAX   (TEXT_SOURCE_BYTES + 4)
const char *text_source(char out[TEXT_SOURCE_MAX], const char *source);

/* RFC 3339, UTC, microseconds: "2024-06-07T12:34:56.000001Z". */
#define TEXT_TIME_MAX 40
void text_time(char out[TEXT_TIME_MAX], uint64_t stamp_us);
/* The same, from 1970 on, also without a fraction of the second and with an offset as +02:00. */
int text_parse_time(uint64_t *stamp_us, const char *text, struct error *err);

/* Well-formed UTF-8 (no overlong forms, surrogates or numbers above U+10FFFF). */
bool text_is_utf8(struct bytes bytes);
/* The same without control characters (C0, DEL, C1), line and paragraph separators and what
 * changes the direction of the text behind it: may be shown on a terminal as it is. */
bool text_is_printable(struct bytes bytes);
/* A copy, zero-ended and owned by the caller, in which each thing that is not printable
 * became U+FFFD. */
char *text_clean(struct bytes bytes);

/* A zero-ended copy, owned by the caller; and a view, empty for NULL. */
char *text_copy(struct bytes text);
struct bytes text_view(const char *zero_ended);

/* Edits from a to b: insert, drop or replace a byte, or swap two neighbours.  Texts
 * that are longer than TEXT_DISTANCE_MAX have the distance SIZE_MAX unless they are
 * equal. */
#define TEXT_DISTANCE_MAX 64
size_t text_distance(const char *a, const char *b);

/* "Did you mean": offer all candidates, then read `best`: NULL when none is near.
 *     struct text_nearest n = {.word = typed};
 *     for (…) text_nearest_offer(&n, names[i]);
 */
struct text_nearest {
    const char *word;
    const char *best;
    size_t distance; /* of best */
};
void text_nearest_offer(struct text_nearest *n, const char *candidate);

#endif
