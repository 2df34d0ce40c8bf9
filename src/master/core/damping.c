/* damping.c - an agent where tasks keep failing takes no new work for a while
 * (docs/spec/13-failures-and-estimates.md, "Damping").
 *
 * What fails is read from the failures in the state, in the order of their ids, so the next
 * leader finds out the same; it takes up what is not too old to matter, some in each turn, and
 * places nothing before.  Nothing of it is replicated: it only keeps work away, as what an agent
 * says of itself does.
 */
#include "master/core/internal.h"

#include "base/assert.h"

/* Something of the host, or of how it is set up, and not of the cluster or of users. */
static bool counts(const struct failure *f)
{
    if (f->of_agent)
        return false;
    switch ((enum task_reason)f->reason) {
    case TASK_REASON_EXITED:
    case TASK_REASON_SIGNALED:
    case TASK_REASON_NOT_STARTED:
    case TASK_REASON_SHIM_LOST:
    case TASK_REASON_HEALTH_CHECK:
    case TASK_REASON_FETCH_FAILED:
    case TASK_REASON_IMAGE_FAILED:
        return true;
    default:
        return false;
    }
}

static void remember(struct damping *d, const struct failure *f)
{
    d->last[d->count++ % DAMPING_FAILURES] =
        (struct damping_failure){f->stamp_us, f->job};
}

/* So many in so short a time, of so many jobs: else it is one of them that is wrong. */
static bool keeps_failing(const struct damping *d, uint64_t now_us)
{
    unsigned jobs = 0;

    if (d->count < DAMPING_FAILURES)
        return false;
    for (unsigned i = 0; i < DAMPING_FAILURES; i++) {
        unsigned k = 0;

        if (d->last[i].stamp_us + DAMPING_WINDOW_US < now_us)
            return false;
        while (k < i && d->last[k].job != d->last[i].job)
            k++;
        jobs += k == i;
    }
    return jobs >= DAMPING_JOBS;
}

/* Where everything fails, the hosts are not what is wrong. */
static bool may_damp(const struct master_core *m)
{
    uint64_t active = m->state->agents_by_state[AGENT_ACTIVE];

#ifdef MUTANT_ALL_ARE_DAMPED
    return true;
#endif
    return m->damped < (active + 1) / DAMPING_PART;
}

static void tell(struct master_core *m, struct agent_view *v)
{
    sched_agent_refuses(m->sched, m->state, v->id, agents_refuses(v));
    m->leading.round_due = true;
}

static void damp(struct master_core *m, struct agent_view *v, uint64_t stamp_us)
{
    struct damping *d = &v->damping;

    d->count = 0;
    if (stamp_us > d->until_us + DAMPING_FORGOTTEN_US)
        d->level = 0;
    d->until_us = stamp_us + (m->config.damping_us << d->level);
    if (d->level < DAMPING_LEVELS)
        d->level++;
    if (d->until_us <= leader_now_us(m))
        return; /* that was before us */
    d->is_on = true;
    m->damped++;
    LIST_INSERT_HEAD(&m->damping, v, damping_link);
    m->counters.agents_damped++;
    core_log(m,
             MASTER_LOG_WARNING,
             "agent %llu takes no new work for %llu s: tasks keep failing there",
             (unsigned long long)v->id,
             (unsigned long long)((d->until_us - stamp_us) / 1000000));
    tell(m, v);
}

static void note(struct master_core *m, const struct failure *f)
{
    struct agent_view *v = counts(f) ? agents_view(m, f->agent) : NULL;

    if (v == NULL || v->damping.is_on)
        return; /* what began there before goes on failing */
    remember(&v->damping, f);
    if (keeps_failing(&v->damping, f->stamp_us) && may_damp(m))
        damp(m, v, f->stamp_us);
}

void damping_begin(struct master_core *m)
{
    uint64_t first = m->state->failures.first;

    m->damped = 0;
    LIST_INIT(&m->damping);
    m->damping_seen = first > 0 ? first - 1 : 0;
}

void damping_forget(struct master_core *m, struct agent_view *v)
{
    if (!v->damping.is_on)
        return;
    v->damping.is_on = false;
    m->damped--;
    LIST_REMOVE(v, damping_link);
}

bool damping_turn(struct master_core *m)
{
    const uint64_t memory_us =
        DAMPING_FORGOTTEN_US + DAMPING_WINDOW_US + (m->config.damping_us << DAMPING_LEVELS);
    uint64_t now_us = leader_now_us(m);

    for (unsigned i = 0; m->damping_seen < m->state->failures.last; i++) {
        const struct failure *f;

        if (i == DAMPING_SLICE)
            return false;
        f = state_failure(m->state, ++m->damping_seen);
        if (f != NULL && f->stamp_us + memory_us > now_us)
            note(m, f);
    }
    return true;
}

void damping_tick(struct master_core *m)
{
    struct agent_view *v, *next;

    LIST_FOREACH_SAFE(v, &m->damping, damping_link, next)
    {
        if (v->damping.until_us > m->leading.time_us)
            continue;
        damping_forget(m, v);
        tell(m, v);
    }
}
