/* launcher_held.c - what waits until the host's directory of users says who a user is.
 *
 * Directories of the network may be slow or silent (users.h), so starts and checks of their
 * users are held here, and nothing else waits for them.  Each is tried again when an answer
 * came, and given up when it is overdue: a start is then told as such, which is repeated
 * elsewhere, and a check as not asked, which says nothing of the run.
 */
#include "agent/launcher_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <sys/timerfd.h>

static void held_destroy(struct held *h)
{
    mem_free((void *)(uintptr_t)h->run.spec.data);
    mem_free((void *)(uintptr_t)h->run.ports);
    mem_free(h);
}

static void wake_at(struct launcher_process *l, uint64_t due_us)
{
    const struct itimerspec time = {
        .it_value = {.tv_sec = (time_t)(due_us / 1000000),
                     .tv_nsec = (long)(due_us % 1000000) * 1000}};

    timerfd_settime(l->overdue, TFD_TIMER_ABSTIME, &time, NULL);
}

void process_hold(struct launcher_process *l,
                  const struct run_start *run,
                  bool is_check,
                  uint32_t index)
{
    struct held *h = mem_zalloc(sizeof(*h));
    uint64_t wait_ms = is_check ? LIMIT_CHECK_LOOKUP_MS : LIMIT_USER_LOOKUP_MS;

    h->run = *run;
    h->run.spec.data = mem_dup(run->spec.data, run->spec.size);
    h->run.ports = run->port_count == 0
                       ? NULL
                       : mem_dup(run->ports, run->port_count * sizeof(*run->ports));
    h->is_check = is_check;
    h->index = index;
    h->due_us = clock_monotonic_us() + wait_ms * 1000;
    TAILQ_INSERT_TAIL(&l->held, h, link);
    if (l->overdue_us == 0 || h->due_us < l->overdue_us)
        wake_at(l, l->overdue_us = h->due_us);
}

static void give_up(struct launcher_process *l, const struct held *h)
{
    struct process *p = process_find(l, h->run.attempt);

    if (!h->is_check)
        process_tell_ended(l, p, RUN_END_NO_USER, 0, NULL);
    else
        l->base.listener.checked(l->base.listener.context,
                                 &(struct run_checked){.attempt = h->run.attempt,
                                                       .restarts = h->run.restarts,
                                                       .index = h->index,
                                                       .unasked = true});
}

/* False: it must wait on. */
static bool try_again(struct launcher_process *l, const struct held *h, uint64_t now_us)
{
    struct process *p = process_find(l, h->run.attempt);

    if (p == NULL || p->state != PROCESS_ALIVE || p->restarts != h->run.restarts)
        return true; /* it has ended */
    if (!h->is_check && p->cancelled) {
        process_tell_ended(l, p, RUN_END_NOT_STARTED, 0, NULL);
        return true;
    }
    if (h->is_check ? process_try_check(l, p, &h->run, h->index)
                    : process_try_start(l, p, &h->run))
        return true;
    if (now_us < h->due_us)
        return false;
    give_up(l, h);
    return true;
}

void process_try_held(struct launcher_process *l)
{
    uint64_t now_us = clock_monotonic_us();
    struct held *h, *next;

    if (TAILQ_EMPTY(&l->held))
        return;
    l->overdue_us = 0;
    TAILQ_FOREACH_SAFE (h, &l->held, link, next) {
        if (try_again(l, h, now_us)) {
            TAILQ_REMOVE(&l->held, h, link);
            held_destroy(h);
        } else if (l->overdue_us == 0 || h->due_us < l->overdue_us) {
            l->overdue_us = h->due_us;
        }
    }
    if (l->overdue_us != 0)
        wake_at(l, l->overdue_us);
}

void process_drop_held(struct launcher_process *l)
{
    struct held *h;

    while ((h = TAILQ_FIRST(&l->held)) != NULL) {
        TAILQ_REMOVE(&l->held, h, link);
        held_destroy(h);
    }
}
