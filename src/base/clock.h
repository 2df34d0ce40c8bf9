/* clock.h - the clocks of the system, in microseconds.  For shells: pure folders get
 * the time in events.
 *
 * Durations and deadlines are measured with the monotonic clock.  It stands still while
 * the machine sleeps; the boottime clock goes on.  The wall clock is for people and for
 * the stamps of log entries, and may jump.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_us(void);
uint64_t clock_boottime_us(void);
uint64_t clock_wall_us(void); /* since 1970-01-01 UTC */

#endif
