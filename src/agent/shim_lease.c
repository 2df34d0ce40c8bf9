/* shim_lease.c - a run ends when nobody renews its lease, whether or not its agent lives. */
#include "agent/shim_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define AGAIN_MS 1000 /* a kill after the lease that had no effect */

/* A lease that cannot be read is one that was never renewed.  It is read until it is the same
 * twice: nobody promises that eight bytes are written as one. */
static uint64_t lease_ends(const struct shim *s)
{
    uint64_t renewed = 0, before;
    int fd = open(SHIM_LEASE, O_RDONLY | O_CLOEXEC);

    do {
        before = renewed;
        if (fd < 0 || pread(fd, &renewed, sizeof(renewed), 0) != sizeof(renewed))
            renewed = 0;
    } while (renewed != before);
    if (fd >= 0)
        close(fd);
    return renewed + s->request->lease_ms;
}

/* By a clock that counts while the host sleeps. */
static void wake_at(const struct shim *s, uint64_t ms)
{
    const struct itimerspec time = {
        .it_value = {.tv_sec = (time_t)(ms / 1000),
                     .tv_nsec = (long)(ms % 1000) * 1000000 + 1},
    };

    timerfd_settime(s->lease, TFD_TIMER_ABSTIME, &time, NULL);
}

/* It waited for a lease, and then for its turn here. */
void shim_check_lease(struct shim *s)
{
    struct slot_end end = {.how = SLOT_LEASE};

    if (s->request->lease_ms == 0 || boottime_ms() < lease_ends(s))
        return;
    shim_end_rest(s);
    shim_finish(s, &end);
}

void shim_start_lease(struct shim *s)
{
    s->lease = -1;
    if (s->request->lease_ms == 0)
        return;
    s->lease = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->lease < 0)
        shim_not_started(s, "cannot watch its lease: %s", strerror(errno));
    wake_at(s, lease_ends(s));
}

void shim_on_lease(struct shim *s)
{
    uint64_t now = boottime_ms(), ends = lease_ends(s);
    eventfd_t count;

    eventfd_read(s->lease, &count);
    if (s->lease_over) {
        shim_kill_all(s);
        wake_at(s, now + AGAIN_MS);
    } else if (now < ends) {
        wake_at(s, ends);
    } else {
        s->lease_over = true;
        s->reason = SLOT_LEASE;
        if (s->phase == PHASE_RUNS)
            shim_ask_to_end(s);
        else
            shim_kill_all(s);
        wake_at(s, now + s->request->grace_ms);
    }
}
