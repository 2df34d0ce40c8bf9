/* reservation.c - the claim of who waits first, and when its places have room. */
#include "sched/reservation.h"

#include "base/mem.h"
#include "sched/internal.h"

#include <limits.h>

#define LATER_US 1000000u /* what is worth telling of a time that moves on */

/* ---- looking again ---- */

static struct reservation *entry(struct sched *s, int i)
{
    return &s->reserving.of[i];
}

void reservation_forget(struct sched *s, int i)
{
    for (size_t k = 0; k < claim_places(&s->claims.of[i]); k++)
        entry(s, i)->of[k].seen = 0;
}

bool reservation_is_known(const struct sched *s, int i)
{
    const struct claim *c = &s->claims.of[i];

    for (size_t k = 0; k < claim_places(c); k++) {
        const struct fleet_agent *a = fleet_agent(&s->fleet, claim_agent(c, k));

        if (claim_tasks(c, k) > 0 && a != NULL &&
            a->changes != s->reserving.of[i].of[k].seen)
            return false;
    }
    return true;
}

/* Places whose agents have changed, as far as looks last; one at least.  An agent that will never
 * have room is given up; false when it was the last. */
static bool
look_at_places(struct reserve_view *v, int i, struct seek *k, const struct job *j)
{
    struct sched *s = v->sched;
    const struct claim *c = &s->claims.of[i];
    uint64_t by_us = c->places == NULL ? 0 : entry(s, i)->from_us;
    bool is_first = true;

    for (size_t n = 0; n < claim_places(c) && (is_first || v->looks > 0); n++) {
        struct fleet_agent *a = fleet_agent(&s->fleet, claim_agent(c, n));
        struct reserved *r = &entry(s, i)->of[n];
        struct forecast f;

        if (claim_tasks(c, n) == 0 || a == NULL || a->changes == r->seen)
            continue;
        is_first = false;
        if (spot_forecast(v, k, j, a, claim_tasks(c, n), by_us, &f)) {
            *r = (struct reserved){a->changes, f.from_us, f.at_us, f.ends};
            claims_change_beyond(&s->claims, &s->fleet, i, n, &f.beyond);
        } else {
            claims_give_up(&s->claims, &s->fleet, i, n);
        }
        if ((s->claims.used & 1ull << i) == 0)
            return false;
    }
    return true;
}

struct reserved reservation_last(const struct sched *s, int i)
{
    const struct claim *c = &s->claims.of[i];
    struct reserved last = {0};

    for (size_t k = 0; k < claim_places(c); k++) {
        const struct reserved *r = &s->reserving.of[i].of[k];

        if (claim_tasks(c, k) == 0)
            continue;
        last.from_us = r->from_us > last.from_us ? r->from_us : last.from_us;
        last.at_us = r->at_us > last.at_us ? r->at_us : last.at_us;
        last.ends = r->ends > last.ends ? r->ends : last.ends;
    }
    return last;
}

/* A task that is late ends later at each look, and the claim lets more in then, which is a reason to
 * look: not without end. */
static bool is_little_later(const struct claim *c, uint64_t at_us)
{
    return at_us >= c->at_us && at_us - c->at_us < LATER_US && at_us != CLAIM_NEVER;
}

static void search_again(struct sched *s, int i)
{
    entry(s, i)->again_us = s->now_us;
    reserving_be_due(&s->reserving, s->now_us);
}

/* Places may have other times.  True if that is sooner than it was: then less is beyond others. */
static bool take_time(struct sched *s, int i)
{
    const struct claim *c = &s->claims.of[i];
    struct reserved last = reservation_last(s, i);
    bool is_sooner = last.from_us < entry(s, i)->from_us;

    entry(s, i)->from_us = last.from_us;
    if (last.at_us <= s->now_us && c->at_us <= s->now_us)
        last.at_us = c->at_us; /* at once is no later than at once */
    if (!is_little_later(c, last.at_us)) {
        if (last.at_us > c->at_us)
            search_again(s, i);
        claims_change_time(&s->claims, &s->fleet, i, last.at_us);
    }
    return is_sooner && c->places != NULL;
}

bool reservation_is_in_parts(const struct claim *c)
{
    uint32_t sum = 0;

    for (size_t k = 0; k < claim_places(c); k++)
        sum += claim_tasks(c, k);
    return sum < c->at_once;
}

/* False when it has ended. */
static bool look_at_changes(struct reserve_view *v,
                            int i,
                            const struct shape *shape,
                            const struct job *j)
{
    struct sched *s = v->sched;
    bool is_there;
    struct seek k;

    spots_begin(v, shape, j, UINT_MAX, &k);
    is_there = look_at_places(v, i, &k, j);
    if (is_there && take_time(s, i)) {
        reservation_forget(s, i);
        is_there = look_at_places(v, i, &k, j);
    }
    spots_pay(v, &k);
    return is_there;
}

void reservation_look(struct reserve_view *v, int i)
{
    struct sched *s = v->sched;
    const struct claim *c = &s->claims.of[i];
    const struct waiting *w = waiting_find(&s->lanes.jobs, c->job);
    const struct job *j = state_job(v->outlook.state, c->job);

    if (c->kind != CLAIM_RESERVATION || w == NULL || j == NULL)
        return;
    if (!reservation_is_known(s, i) && !look_at_changes(v, i, w->shape, j))
        return;
    if (reservation_is_in_parts(c))
        search_again(s, i);
}

uint32_t reservation_ends(const struct sched *s, int claim)
{
    const struct claim *c = &s->claims.of[claim];
    uint32_t sum = 0;

    for (size_t k = 0; k < claim_places(c); k++)
        sum += claim_tasks(c, k) == 0 ? 0 : s->reserving.of[claim].of[k].ends;
    return sum;
}

/* ---- making ---- */

/* Nothing is beyond before it was looked at. */
static void keep_places(const struct gathering *g, struct claim *c)
{
    c->places = mem_zalloc(g->count * sizeof(*c->places));
    c->place_count = g->count;
    for (size_t k = 0; k < g->count; k++) {
        c->places[k].agent = g->of[k].agent;
        c->places[k].tasks = g->of[k].tasks;
    }
}

static uint64_t latest(const struct gathering *g)
{
    uint64_t at_us = 0;

    for (size_t k = 0; k < g->count; k++)
        at_us = g->of[k].at_us > at_us ? g->of[k].at_us : at_us;
    return at_us;
}

static void note(struct reservation *r, const struct gathering *g, uint64_t now_us)
{
    r->again_us = now_us + RESERVE_AGAIN_US;
    MEM_GROW(r->of, r->capacity, g->count);
    for (size_t k = 0; k < g->count; k++)
        r->of[k] = (struct reserved){.from_us = g->of[k].from_us,
                                     .at_us = g->of[k].at_us,
                                     .ends = g->of[k].ends};
}

bool reservation_make(struct reserve_view *v,
                      const struct shape *shape,
                      const struct job *j,
                      const struct gathering *g,
                      const struct step *last,
                      const struct resources *beyond)
{
    struct sched *s = v->sched;
    struct claim claim = {.agent = last->agent,
                          .job = j->id,
                          .kind = CLAIM_RESERVATION,
                          .at_us = latest(g),
                          .beyond = *beyond};
    int i;

    if (shape->demand.at_once > 1)
        keep_places(g, &claim);
    i = claims_add(&s->claims, &s->fleet, &claim, &shape->demand);
    if (i < 0) {
        mem_free(claim.places);
        return false;
    }
    s->reserving.made++;
    note(entry(s, i), g, s->now_us);
    entry(s, i)->from_us = last->from_us;
    if (claim.places != NULL)
        reservation_look(v, i);
    else
        entry(s, i)->of[0].seen = fleet_agent(&s->fleet, last->agent)->changes;
    return true;
}
