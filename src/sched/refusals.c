/* refusals.c - jobs and agents for which a command was refused. */
#include "sched/refusals.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

struct refusal
refusal_of(const struct job *j, const struct agent *agent, uint64_t now_us)
{
    struct refusal r = {.job = j->id,
                        .agent = agent->id,
                        .job_changed = later(j->changed, j->owner->role->changed),
                        .agent_changed = agent->changed,
                        .attempts = agent->attempts_count,
                        .at_us = now_us};
    struct attempt *t;

    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        r.agent_changed = later(r.agent_changed, t->changed);
    return r;
}

void refusals_add(struct refusals *r, const struct refusal *refusal)
{
    r->of[r->next] = *refusal;
    r->next = (r->next + 1) % REFUSALS;
}

static bool is_as_it_was(const struct refusal *r,
                         const struct job *j,
                         const struct agent *agent,
                         uint64_t now_us)
{
    struct refusal now = refusal_of(j, agent, now_us);

    return now.job_changed == r->job_changed && now.agent_changed == r->agent_changed &&
           now.attempts == r->attempts && now_us < r->at_us + REFUSAL_US;
}

bool refusals_hold(const struct refusals *r,
                   const struct job *j,
                   const struct agent *agent,
                   uint64_t now_us)
{
    for (unsigned i = 0; i < REFUSALS; i++)
        if (r->of[i].job == j->id && r->of[i].agent == agent->id &&
            is_as_it_was(&r->of[i], j, agent, now_us))
            return true;
    return false;
}
