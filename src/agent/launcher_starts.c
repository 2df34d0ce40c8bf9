/* launcher_starts.c - how many runs are started at one time.
 *
 * More would not start sooner on the same processors, but stand in each other's way in the
 * kernel, and in that of everything else on the host.  A run has a place until its shim has said
 * something.  One with steps before its command (a container, artifacts) takes far longer: such
 * have places of their own, so that they hold up no others, until the command runs; but not
 * for longer than LIMIT_AGENT_PREPARE_MS, since then it waits for a network and not for us.
 */
#include "agent/launcher_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

void process_init_places(struct launcher_process *l)
{
    l->starting.limit = LIMIT_AGENT_STARTING;
    l->preparing.limit = LIMIT_AGENT_PREPARING;
    for (struct places *all[] = {&l->starting, &l->preparing}, **at = all; at < all + 2;
         at++) {
        STAILQ_INIT(&(*at)->waiting);
        TAILQ_INIT(&(*at)->taken);
    }
}

static void drop_start(struct places *places)
{
    struct start *s = STAILQ_FIRST(&places->waiting);

    STAILQ_REMOVE_HEAD(&places->waiting, link);
    buffer_finish(&s->request);
    mem_free(s);
}

void process_drop_starts(struct launcher_process *l)
{
    while (!STAILQ_EMPTY(&l->starting.waiting))
        drop_start(&l->starting);
    while (!STAILQ_EMPTY(&l->preparing.waiting))
        drop_start(&l->preparing);
}

/* While somebody waits for a place: when the oldest is to be given on. */
static void set_timer(const struct launcher_process *l)
{
    const struct process *oldest = TAILQ_FIRST(&l->preparing.taken);
    struct itimerspec time = {0};

    if (oldest != NULL && !STAILQ_EMPTY(&l->preparing.waiting)) {
        time.it_value.tv_sec = (time_t)(oldest->place_until_us / 1000000);
        time.it_value.tv_nsec = (long)(oldest->place_until_us % 1000000) * 1000 + 1;
    }
    timerfd_settime(l->place_timer, TFD_TIMER_ABSTIME, &time, NULL);
}

static void start_next(struct launcher_process *l, struct places *places)
{
    while (places->count < places->limit && !STAILQ_EMPTY(&places->waiting)) {
        struct start *s = STAILQ_FIRST(&places->waiting);
        struct process *p = s->process;

        p->places = places;
        p->place_until_us = clock_monotonic_us() + LIMIT_AGENT_PREPARE_MS * 1000ull;
        TAILQ_INSERT_TAIL(&places->taken, p, in_places);
        places->count++;
        process_watch_spawner(l, !spawning_send(&l->spawning, &s->request, -1));
        drop_start(places);
    }
    if (places == &l->preparing)
        set_timer(l);
}

void process_queue_start(struct launcher_process *l,
                         struct process *p,
                         struct buffer *request)
{
    const struct shim_request *r = (const void *)request->data;
    struct places *places = r->step_count > 0 ? &l->preparing : &l->starting;
    struct start *s = mem_zalloc(sizeof(*s));

    *s = (struct start){.process = p, .request = *request};
    *request = (struct buffer){0};
    STAILQ_INSERT_TAIL(&places->waiting, s, link);
    start_next(l, places);
}

void process_give_place(struct process *p)
{
    if (p->places == NULL)
        return;
    TAILQ_REMOVE(&p->places->taken, p, in_places);
    p->places->count--;
    p->places = NULL;
}

void process_heard_of(struct launcher_process *l,
                      struct process *p,
                      enum shim_notice_kind what)
{
    struct places *places = p->places;

    if (places == NULL || what == SHIM_PREPARING)
        return;
    process_give_place(p);
    start_next(l, places);
}

void process_give_late_places(struct launcher_process *l)
{
    uint64_t now_us = clock_monotonic_us();
    struct process *p;
    eventfd_t count;

    eventfd_read(l->place_timer, &count);
    while ((p = TAILQ_FIRST(&l->preparing.taken)) != NULL &&
           p->place_until_us <= now_us)
        process_give_place(p);
    start_next(l, &l->preparing);
}
