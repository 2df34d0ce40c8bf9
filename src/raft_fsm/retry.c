/* retry.c - when a task gets a new attempt after one that ended. */
#include "raft_fsm/retry.h"

#include "base/mem.h"
#include "raft_fsm/state_edit.h"

struct job_policy *job_policy_of(const struct job_spec *spec)
{
    struct job_policy p = {
        .reschedule = spec->reschedule,
        .lease_ms = spec->lease_ms,
        .drift_permille = spec->drift_permille,
        .grace_ms = spec->lease_grace_ms,
    };

    if (p.reschedule.attempts == 0 && p.lease_ms == 0)
        return NULL;
    return mem_dup(&p, sizeof(p));
}

/* Before the repetition that `done` others came before. */
static uint64_t delay_us(uint32_t done, uint64_t first_ms, uint64_t longest_ms)
{
    uint64_t ms = first_ms;

    for (; done > 0 && ms < longest_ms && ms > 0; done--)
        ms *= 2;
    return (ms < longest_ms ? ms : longest_ms) * 1000;
}

bool retry_failed(const struct job *j, struct task *t, uint64_t stamp_us)
{
    const struct job_retry *policy;
    struct task_extras *x;

    if (j->policy == NULL || j->policy->reschedule.attempts == 0)
        return false;
    policy = &j->policy->reschedule;
    x = task_extras(t);
    if (x->retries == 0 || (policy->interval_ms != 0 &&
                            stamp_us - x->since_us >= policy->interval_ms * 1000)) {
        x->retries = 0;
        x->since_us = stamp_us;
    }
    if (policy->attempts != JOB_UNLIMITED && x->retries >= policy->attempts)
        return false;
    x->retry_us =
        stamp_us + delay_us(x->retries, policy->delay_ms, policy->max_delay_ms);
    if (x->retries < UINT32_MAX)
        x->retries++;
    return true;
}

void retry_lost(struct task *t, uint64_t stamp_us)
{
    struct task_extras *x = task_extras(t);

    if (x->losses == 0 || stamp_us - x->lost_us >= LOST_APART_MS * 1000ull)
        x->losses = 0;
    else
        x->retry_us =
            stamp_us + delay_us(x->losses - 1, LOST_DELAY_MS, LOST_MAX_DELAY_MS);
    x->lost_us = stamp_us;
    if (x->losses < UINT32_MAX)
        x->losses++;
}

bool retry_is_after_loss(const struct task_extras *x)
{
    return x->losses > 1 &&
           x->retry_us ==
               x->lost_us + delay_us(x->losses - 2, LOST_DELAY_MS, LOST_MAX_DELAY_MS);
}

uint64_t policy_lapse_ms(const struct job_policy *p)
{
    return p->lease_ms + p->lease_ms * p->drift_permille / 1000 + 1 + p->grace_ms;
}
