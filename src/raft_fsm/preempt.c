/* preempt.c - whose place a task may take. */
#include "raft_fsm/preempt.h"

/* ---- rules ---- */

/* In microseconds; at most some hundred years of both sides fit. */
static bool
ends_later(const struct job *taker, const struct attempt *v, uint64_t now_us)
{
    typedef unsigned __int128 u128;
    u128 elapsed = now_us > v->placed_us ? now_us - v->placed_us : 0;
    u128 expected = (u128)job_expected_ms(v->job) * 1000;
    u128 work = (u128)job_expected_ms(taker) * 1000 * job_unfinished(taker);

    return expected > elapsed && expected - elapsed > work + elapsed;
}

static bool
may_within_role(const struct job *taker, const struct attempt *v, uint64_t now_us)
{
    switch (taker->owner->role->spec.order) {
    case ROLE_PRIORITY:
        return (int64_t)taker->priority - v->job->priority >= PREEMPT_GAP;
    case ROLE_SRTF:
        return ends_later(taker, v, now_us);
    case ROLE_FCFS:
    case ROLE_SJF:
    case ROLE_FAIR:
    case ROLE_ORDER_COUNT:
        break;
    }
    return false;
}

bool preempt_may(const struct job *taker,
                 const struct attempt *v,
                 const struct use *planned,
                 uint64_t now_us)
{
    static const struct use NO_USE;
    const struct role *mine = taker->owner->role, *theirs = v->job->owner->role;

    if (mine->spec.preempt == 0 || v->job == taker || attempt_is_to_end(v) ||
        v->job->system != NULL || v->job->is_gang || taker->system != NULL ||
        job_is_whole(taker))
        return false;
    if (mine == theirs)
        return may_within_role(taker, v, now_us);
    return mine->spec.priority > theirs->spec.priority ||
           role_is_owed(&mine->spec, &mine->use, planned == NULL ? &NO_USE : planned);
}

/* ---- minima ---- */

static unsigned __int128
taken_of_kind(const struct role *r, struct attempt *const *taken, size_t count, int k)
{
    unsigned __int128 sum = 0;

    for (size_t i = 0; i < count; i++)
        if (taken[i]->job->owner->role == r)
            sum += taken[i]->job->resources.amount[k];
    return sum;
}

static unsigned __int128 taken_of_custom(const struct role *r,
                                         struct attempt *const *taken,
                                         size_t count,
                                         const char *name)
{
    unsigned __int128 sum = 0;

    for (size_t i = 0; i < count; i++)
        if (taken[i]->job->owner->role == r)
            sum += custom_resources_amount(job_custom(taken[i]->job), name);
    return sum;
}

bool preempt_keeps_minimum(const struct job *taker,
                           const struct attempt *v,
                           struct attempt *const *before,
                           size_t count)
{
    const struct role *r = v->job->owner->role;
    const struct role_bound *min = &r->spec.min;

    if (r == taker->owner->role)
        return true; /* what it loses it gets */
#ifdef MUTANT_PREEMPT_BELOW_MINIMUM
    return true;
#endif
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t has = v->job->resources.amount[k];

        if ((min->kinds & 1u << k) != 0 && has > 0 &&
            r->use.amount[k] < r->ending.amount[k] +
                                   taken_of_kind(r, before, count, k) + has +
                                   min->amount.amount[k])
            return false;
    }
    for (size_t i = 0; i < min->custom.count; i++) {
        const char *name = min->custom.items[i].name;
        uint64_t has = custom_resources_amount(job_custom(v->job), name);

        if (has > 0 &&
            use_of(&r->use, name) < use_of(&r->ending, name) +
                                        taken_of_custom(r, before, count, name) + has +
                                        min->custom.items[i].amount)
            return false;
    }
    return true;
}

/* ---- room ---- */

static bool extras_suffice(const struct agent *a,
                           const struct job *taker,
                           struct attempt *const *victims,
                           size_t count)
{
    struct extra_use used = {0};
    struct attempt *t;
    bool suffices;

    extra_use_copy(&used, &a->extras_used);
    TAILQ_FOREACH (t, &a->attempts, by_agent)
        if (t->job->extras != NULL && attempt_is_to_end(t))
            extra_give(&used, t->job->extras, attempt_ports(t), t->port_count);
    for (size_t i = 0; i < count; i++)
        if (victims[i]->job->extras != NULL && !attempt_is_to_end(victims[i]))
            extra_give(&used,
                       victims[i]->job->extras,
                       attempt_ports(victims[i]),
                       victims[i]->port_count);
    suffices = extra_has_room(&a->extras, &used, taker->extras);
    extra_use_finish(&used);
    return suffices;
}

bool preempt_suffices(const struct agent *a,
                      const struct job *taker,
                      struct attempt *const *victims,
                      size_t count)
{
    struct resources stay = a->allocated;
    struct attempt *t;

    TAILQ_FOREACH (t, &a->attempts, by_agent)
        if (attempt_is_to_end(t))
            resources_subtract(&stay, &t->job->resources);
    for (size_t i = 0; i < count; i++)
        if (!attempt_is_to_end(victims[i]))
            resources_subtract(&stay, &victims[i]->job->resources);
    resources_add(&stay, &taker->resources);
    return resources_contain(&a->capacity, &stay) &&
           (taker->extras == NULL || extras_suffice(a, taker, victims, count));
}
