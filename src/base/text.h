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

/* "500ms", "3s", "1.5s", "2m", "1h", "7d".  A number without a unit is refused, except
 * 0. */
int text_parse_duration_ms(uint64_t *out, const char *text, struct error *err);

/* For people: "340ms", "2.5s", "3m 05s", "4h 02m", "2d 03h"; "512 B", "1.5 MiB".  The
 * two greatest parts, rounded down.  They write into out and return it. */
#define TEXT_SHORT_MAX 32
const char *text_duration(char out[TEXT_SHORT_MAX], uint64_t ms);
const char *text_size(char out[TEXT_SHORT_MAX], uint64_t bytes);

/* Well-formed UTF-8 (no overlong forms, surrogates or numbers above U+10FFFF). */
bool text_is_utf8(struct bytes bytes);
/* The same without control characters (C0, DEL, C1): may be shown on a terminal as it
 * is. */
bool text_is_printable(struct bytes bytes);

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
