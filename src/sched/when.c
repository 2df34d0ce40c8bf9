/* when.c - what is kept for who waits, and when it may begin. */
#include "sched/when.h"

#include "base/text.h"

bool sched_reservation(const struct sched *s,
                       uint64_t now_us,
                       uint64_t job,
                       uint64_t *agent,
                       uint64_t *at_us)
{
    uint64_t set = claims_of(&s->claims, job);
    const struct claim *c;

    if (set == 0)
        return false;
    c = &s->claims.of[claim_next(&set)];
    *agent = c->agent;
    *at_us = c->at_us == CLAIM_NEVER || c->at_us < now_us ? 0 : c->at_us;
    return true;
}

/* " in 12m", " in 40s": rounded up, from two minutes on to minutes. */
static void say_in(struct text *t, uint64_t us)
{
    uint64_t s = (us + 999999) / 1000000;
    char time[TEXT_SHORT_MAX];

    if (s > 120)
        s = (s + 59) / 60 * 60;
    say(t, " in %s", text_duration(time, s * 1000));
}

static uint32_t agents_of(const struct claim *c)
{
    uint32_t n = 0;

    for (size_t k = 0; k < claim_places(c); k++)
        n += claim_tasks(c, k) > 0;
    return n;
}

static void say_reserved(struct text *t, const struct sched *s, int i, uint64_t now_us)
{
    const struct claim *c = &s->claims.of[i];
    uint32_t agents, ends;

    if (c->kind == CLAIM_MOVE) {
        say(t, "; it moves to agent %llu", (unsigned long long)c->agent);
        return;
    }
    if (c->kind == CLAIM_PREEMPTION) { /* somebody ends for it, or soon does anyway */
        say(t, "; room is made for it on agent %llu", (unsigned long long)c->agent);
        return;
    }
    agents = agents_of(c);
    if (agents == 1)
        say(t, "; agent %llu is reserved for it", (unsigned long long)c->agent);
    else
        say(t, "; %u agents are reserved for it", agents);
    ends = reservation_ends(s, i);
    if (c->at_us != CLAIM_NEVER && c->at_us >= now_us)
        say_in(t, c->at_us - now_us);
    else if (ends == 1)
        say(t, ", when 1 task ends");
    else if (ends > 1)
        say(t, ", when %u tasks end", ends);
    if (c->at_us < now_us)
        say(t, " that should have");
}

/* The first agent of a claim that has room for it, as far as that is known; NULL: there is none. */
static struct fleet_agent *
find_kept(const struct sched *s, const struct claim *c, struct seek *k, unsigned *looks)
{
    for (size_t n = 0; n < claim_places(c) && *looks > 0; n++) {
        struct fleet_agent *a = fleet_agent(&s->fleet, claim_agent(c, n));
        bool has_room = a != NULL && seek_is_refused(k, a, seek_together(k)) &&
                        resources_contain(&a->fit.vector, &k->demand->need) &&
                        fleet_has_extras(a, k->demand->extras) && seek_matches(k, a);

        if (seek_pay_for_agent(k, looks) && has_room)
            return a;
    }
    return NULL;
}

/* The first agent that has room for it and is kept for somebody else. */
static void
say_kept(struct text *t, const struct sched *s, struct seek *k, unsigned *looks)
{
    uint64_t set = k->refused;

    while (set != 0 && *looks > 0) {
        const struct claim *c = &s->claims.of[claim_next(&set)];
        const struct fleet_agent *a = find_kept(s, c, k, looks);

        if (a == NULL)
            continue;
        say(t,
            "; agent %llu has room and is reserved for job %llu",
            (unsigned long long)a->id,
            (unsigned long long)c->job);
        return;
    }
}

/* Of those that nothing is kept for, if it is known and a quarter of the looks are enough. */
static void say_soonest(struct text *t,
                        const struct sched *s,
                        const struct state *state,
                        uint64_t now_us,
                        struct shape *shape,
                        unsigned *looks)
{
    unsigned some = *looks / 4, left = some;
    struct told *told = shape_told(shape);
    const struct soonest *f = &told->soonest;

    if (told->soonest_version != s->fleet.version) {
        if (!reserve_soonest(
                (struct sched *)s, state, now_us, shape, &left, &told->soonest))
            told->soonest.agent = 0;
        told->soonest_version = s->fleet.version;
        *looks -= some - left;
    }
    if (f->agent == 0 || f->at_us == FORECAST_NEVER || f->at_us < now_us)
        return;
    if (f->agents == 1)
        say(t, "; agent %llu may have room", (unsigned long long)f->agent);
    else
        say(t, "; %u agents may have room", f->agents);
    say_in(t, f->at_us - now_us);
}

static bool is_shared(const struct column *column, unsigned *looks)
{
    struct value *v;

    RB_FOREACH (v, value_tree, (struct value_tree *)&column->values) {
        if (*looks == 0 || v->agent_count > 1)
            return *looks > 0;
        --*looks;
    }
    return false;
}

/* For a gang whose agents are in groups of two kinds (seek_crowding()) nothing is reserved. */
static void say_not_reserved(struct text *t,
                             const struct job *job,
                             const struct seek *k,
                             unsigned *looks)
{
    const struct matcher *m = k->matcher;
    const char *first = NULL;

    if (m == NULL || job->owner->role->spec.reserve_ms == ROLE_NEVER)
        return;
    for (size_t i = 0; i < m->distinct_count; i++) {
        const struct column *column = m->distincts[i].column;

        if (!is_shared(column, looks))
            continue;
        if (first != NULL) {
            say(t,
                "; nothing is reserved for a gang with %s and %s distinct",
                first,
                column->name);
            return;
        }
        first = column->name;
    }
}

/* What begins when, as far as that is known. */
void say_when(struct text *t,
              const struct sched *s,
              const struct state *state,
              uint64_t now_us,
              const struct job *job,
              struct seek *k,
              unsigned *looks)
{
    const struct waiting *w = waiting_find(&s->lanes.jobs, job->id);
    uint64_t set = claims_of(&s->claims, job->id);

    if (set != 0) {
        say_reserved(t, s, claim_next(&set), now_us);
        return;
    }
    say_kept(t, s, k, looks);
    if (k->demand->at_once > 1)
        say_not_reserved(t, job, k, looks);
    if (w != NULL)
        say_soonest(t, s, state, now_us, w->shape, looks);
}
