/* restarts.c - how often the agent itself starts a run again, and how long it waits.
 *
 * Failures are counted from the first one on, for `interval_ms`; the next one after that
 * begins a new count.  The delay doubles with each failure of a count.  Count and begin
 * are in the run's record.
 */
#include "agent/core/core_internal.h"

static bool window_is_over(const struct run *r, uint64_t now_ms)
{
    uint64_t interval_ms = r->restart.interval_ms;

    if (r->window_count == 0)
        return true;
    /* A begin that lies ahead is of an earlier boot. */
    return interval_ms != 0 &&
           (now_ms < r->window_ms || now_ms - r->window_ms >= interval_ms);
}

bool restarts_left(const struct agent_core *core, const struct run *r)
{
    if (r->over || r->restart.attempts == 0)
        return false;
    return r->restart.attempts == JOB_UNLIMITED || window_is_over(r, core->now_ms) ||
           r->window_count < r->restart.attempts;
}

void restarts_count(const struct agent_core *core, struct run *r)
{
    if (window_is_over(r, core->now_ms)) {
        r->window_ms = core->now_ms;
        r->window_count = 0;
    }
    if (r->window_count < UINT32_MAX)
        r->window_count++;
    if (r->restarts < UINT32_MAX)
        r->restarts++;
}

uint64_t restarts_delay(const struct run *r)
{
    uint64_t delay_ms = r->restart.delay_ms;

    for (uint32_t n = 1; n < r->window_count && delay_ms < r->restart.max_delay_ms; n++)
        delay_ms *= 2;
    return delay_ms < r->restart.max_delay_ms ? delay_ms : r->restart.max_delay_ms;
}
