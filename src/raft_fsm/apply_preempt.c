/* apply_preempt.c - running tasks make room for another one (docs/spec/15-preemption.md). */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "raft_fsm/preempt.h"

/* The attempts that are named, in order; false when one is not there, or not on this agent. */
static bool find_victims(const struct state *s,
                         const struct command *c,
                         struct attempt *victims[LIMIT_VICTIMS])
{
    struct command_cursor at = {0};
    uint64_t id, last = 0;

    for (uint32_t i = 0; command_next_victim(c, &at, &id); i++) {
        victims[i] = state_attempt(s, id);
        if (id <= last || victims[i] == NULL ||
            victims[i]->agent->id != c->preempt.agent)
            return false;
        last = id;
    }
    return true;
}

static bool may_take_all(const struct apply *a,
                         const struct job *j,
                         struct attempt *const *victims,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!preempt_may(j, victims[i], NULL, a->stamp_us) ||
            !preempt_keeps_minimum(j, victims[i], victims, i))
            return false;
    return true;
}

/* They are enough, and none of them too many. */
static bool are_needed(const struct agent *agent,
                       const struct job *j,
                       struct attempt *const *victims,
                       uint32_t count)
{
#ifdef MUTANT_PREEMPT_WITHOUT_NEED
    return true;
#endif
    if (agent_has_room(agent, j) || !preempt_suffices(agent, j, victims, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct attempt *others[LIMIT_VICTIMS];
        uint32_t n = 0;

        for (uint32_t k = 0; k < count; k++)
            if (k != i)
                others[n++] = victims[k];
        if (preempt_suffices(agent, j, others, n))
            return false;
    }
    return true;
}

struct result apply_preempt(struct apply *a, const struct command *c)
{
    struct job *j = state_job(a->state, c->preempt.job);
    struct agent *agent = state_agent(a->state, c->preempt.agent);
    struct attempt *victims[LIMIT_VICTIMS];
    uint32_t count = c->preempt.count;

    if (j == NULL || agent == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (job_pending(j) == 0 || agent->state != AGENT_ACTIVE ||
        agent->mode != AGENT_NORMAL)
        return result_rejected(ERROR_INVALID);
    a->work += (uint64_t)agent->attempts_count * (count + 1) / LIMIT_VICTIMS;
    if (agent->superseded_count > 0 ||
        !bound_has_room(&j->owner->role->spec.max, &j->owner->role->use, j, 1))
        return result_rejected(ERROR_CONFLICT);
    if (!find_victims(a->state, c, victims) || !may_take_all(a, j, victims, count) ||
        !are_needed(agent, j, victims, count))
        return result_rejected(ERROR_CONFLICT);
    for (uint32_t i = 0; i < count; i++)
        attempt_stop(a, victims[i], TASK_REASON_PREEMPTED, j->id);
    return result_done(a, count);
}
