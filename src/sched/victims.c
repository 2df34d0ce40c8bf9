/* victims.c - whom a task would have to preempt on one agent. */
#include "sched/victims.h"

#include "raft_fsm/preempt.h"
#include "sched/turn.h"

#define ATTEMPTS_PER_STEP 16 /* that are looked at for extras */

/* What is asked of one agent. */
struct question {
    const struct agent *agent;
    const struct job *taker;
    struct attempt *may[PREEMPT_YOUNG]; /* be taken; the youngest first */
    struct resources
        most[PREEMPT_YOUNG + 1]; /* that any from here on has, of each kind */
    uint32_t count;
    struct resources missing; /* when what is to end there has ended */
    struct victims *chosen;
    unsigned steps; /* left */
};

static void lower(struct resources *missing, const struct resources *by)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        missing->amount[k] -=
            by->amount[k] < missing->amount[k] ? by->amount[k] : missing->amount[k];
}

static bool is_nothing(const struct resources *missing)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (missing->amount[k] > 0)
            return false;
    return true;
}

/* Within a role those before it in rank stay. */
static bool is_before(const struct job *taker, const struct job *other)
{
    const struct role *role = taker->owner->role;
    struct fit_key mine, theirs;

    if (other->owner->role != role)
        return true;
    mine = job_rank(&role->spec, taker);
    theirs = job_rank(&role->spec, other);
    return fit_key_compare(&mine, &theirs) < 0;
}

static void find_missing(struct question *q)
{
    struct resources stay = q->taker->resources;
    struct attempt *t;

    TAILQ_FOREACH (t, &q->agent->attempts, by_agent)
#ifndef MUTANT_PREEMPT_WITHOUT_NEED
        if (!attempt_is_to_end(t))
#endif
            resources_add(&stay, &t->job->resources);
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t capacity = q->agent->capacity.amount[k];

        if (stay.amount[k] > capacity)
            q->missing.amount[k] = stay.amount[k] - capacity;
    }
}

/* It has some of what is missing. */
static bool helps(const struct question *q, const struct job *j)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (q->missing.amount[k] > 0 && j->resources.amount[k] > 0)
            return true;
    return q->taker->extras != NULL && j->extras != NULL;
}

static void find_who_may(struct question *q, const struct use *planned, uint64_t now_us)
{
    struct attempt *t;

    TAILQ_FOREACH_REVERSE(t, &q->agent->attempts, agent_attempts, by_agent)
    if (q->count < PREEMPT_YOUNG && helps(q, t->job) &&
        preempt_may(q->taker, t, planned, now_us) && is_before(q->taker, t->job) &&
        preempt_keeps_minimum(q->taker, t, NULL, 0))
        q->may[q->count++] = t;
    for (uint32_t i = q->count; i-- > 0;) {
        const struct resources *has = &q->may[i]->job->resources;

        q->most[i] = q->most[i + 1];
        for (int k = 0; k < RESOURCE_KINDS; k++)
            if (has->amount[k] > q->most[i].amount[k])
                q->most[i].amount[k] = has->amount[k];
    }
}

/* Not even if each of so many had the most of each kind. */
static bool cannot_suffice(const struct resources *missing,
                           const struct resources *most,
                           uint32_t more)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((unsigned __int128)most->amount[k] * more < missing->amount[k])
            return true;
    return false;
}

/* With extras each attempt of the agent is looked at. */
static bool suffices(struct question *q, const struct resources *missing)
{
    const struct victims *v = q->chosen;
    uint32_t price = 1 + q->agent->attempts_count / ATTEMPTS_PER_STEP;

    if (!is_nothing(missing) || q->taker->extras == NULL)
        return is_nothing(missing);
    q->steps -= price < q->steps ? price : q->steps;
    return preempt_suffices(q->agent, q->taker, v->of, v->count);
}

/* So many more of those from `from` on. */
static bool
try(struct question *q, uint32_t from, struct resources missing, uint32_t more)
{
    struct victims *v = q->chosen;

    if (more == 0)
        return suffices(q, &missing);
    for (uint32_t i = from; i + more <= q->count && q->steps > 0; i++) {
        struct resources left = missing;

        q->steps--;
        if (cannot_suffice(&missing, &q->most[i], more))
            return false;
        if (!preempt_keeps_minimum(q->taker, q->may[i], v->of, v->count))
            continue;
        v->of[v->count++] = q->may[i];
        lower(&left, &q->may[i]->job->resources);
        if (try(q, i + 1, left, more - 1))
            return true;
        v->count--;
    }
    return false;
}

/* The youngest until they suffice. */
static bool take_young(struct question *q)
{
    struct resources missing = q->missing;
    struct victims *v = q->chosen;

    for (uint32_t i = 0; i < q->count && v->count < LIMIT_VICTIMS; i++) {
        if (!preempt_keeps_minimum(q->taker, q->may[i], v->of, v->count))
            continue;
        v->of[v->count++] = q->may[i];
        lower(&missing, &q->may[i]->job->resources);
        if (suffices(q, &missing))
            return true;
    }
    return false;
}

/* The oldest first. */
static void leave_out(struct question *q)
{
    struct victims *v = q->chosen;

    for (uint32_t i = v->count; i-- > 0;) {
        struct victims less = {.count = 0};

        for (uint32_t k = 0; k < v->count; k++)
            if (k != i)
                less.of[less.count++] = v->of[k];
        if (preempt_suffices(q->agent, q->taker, less.of, less.count))
            *v = less;
    }
}

bool victims_choose(struct victims *v,
                    const struct agent *agent,
                    const struct job *taker,
                    const struct use *planned,
                    uint64_t now_us,
                    unsigned *steps)
{
    struct question q = {
        .agent = agent, .taker = taker, .chosen = v, .steps = PREEMPT_STEPS};

    bool is_found = false;

    v->count = 0;
    find_missing(&q);
    find_who_may(&q, planned, now_us);
    for (uint32_t n = 0; n <= q.count && n <= LIMIT_VICTIMS && q.steps > 0; n++)
        if ((is_found = try(&q, 0, q.missing, n)))
            break;
    *steps += agent->attempts_count + PREEMPT_STEPS - q.steps;
    if (is_found || q.steps > 0)
        return is_found;
    v->count = 0;
    if (!take_young(&q))
        return false;
    leave_out(&q);
    return true;
}
