/* deadline.h - how long a step may take: then the program says so and ends.
 *
 * A signal, because name servers, disks and decoders have no other way to be interrupted.
 * What is left half done has a temporary name.
 */
#ifndef FETCH_DEADLINE_H
#define FETCH_DEADLINE_H

#include <stdint.h>

#define DEADLINE_EXIT 1

/* what: named in the message, copied. */
void deadline_begin(uint64_t ms, const char *what);
void deadline_end(void);

#endif
