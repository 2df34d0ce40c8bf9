/* clock.c - the clocks of the system, in microseconds. */
#include "base/clock.h"

#include "base/assert.h"

#include <time.h>

static uint64_t read_us(clockid_t id)
{
    struct timespec now;

    ASSERT(clock_gettime(id, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_boottime_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

uint64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}
