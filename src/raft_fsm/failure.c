/* failure.c - which failures are open, and where. */
#include "raft_fsm/failure.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft_fsm/state.h"
#include "raft_fsm/state_edit.h"

struct failure *state_failure(const struct state *s, uint64_t id)
{
    const struct failures *l = &s->failures;

    return id == 0 || id < l->first || id > l->last ? NULL
                                                    : l->ring[id % LIMIT_FAILURES];
}

enum failure_state state_failure_is(const struct state *s, const struct failure *f)
{
    const struct job *j;

    if (f->state != FAILURE_IS_OPEN || f->of_agent)
        return (enum failure_state)f->state;
    j = state_job(s, f->job);
    return j == NULL || j->kill_index != 0 ? FAILURE_IS_WITHDRAWN : FAILURE_IS_OPEN;
}

/* ---- of tasks ---- */

static void count(struct state *s, struct job *j, uint8_t reason, bool add)
{
    if (j->kill_index != 0)
        return;
    if (j->open_failures == NULL)
        j->open_failures = mem_zalloc(sizeof(*j->open_failures));
    j->open_failures->all += add ? 1 : UINT32_MAX;
    j->open_failures->of_reason[reason] += add ? 1 : UINT32_MAX;
    s->failures.open[0][reason] += add ? 1 : UINT64_MAX;
    if (j->open_failures->all > 0)
        return;
    mem_free(j->open_failures);
    j->open_failures = NULL;
}

static void attach_to_task(struct state *s, const struct failure *f)
{
    struct job *j = state_job(s, f->job);
    struct task *t = j == NULL ? NULL : job_task(j, f->instance);

    if (t == NULL)
        return;
    ASSERT(task_failure(t) == 0);
    task_extras(t)->failure = f->id;
    count(s, j, f->reason, true);
}

static void detach_from_task(struct state *s, const struct failure *f)
{
    struct job *j = state_job(s, f->job);
    struct task *t = j == NULL ? NULL : job_task(j, f->instance);

    if (t == NULL || task_failure(t) != f->id)
        return;
    t->extras->failure = 0;
    count(s, j, f->reason, false);
}

void failures_withdraw(struct state *s, struct job *j)
{
    if (j->open_failures == NULL)
        return;
    for (int r = 0; r < TASK_REASON_COUNT; r++)
        s->failures.open[0][r] -= j->open_failures->of_reason[r];
    mem_free(j->open_failures);
    j->open_failures = NULL;
}

/* ---- of both ---- */

void failure_attach(struct state *s, const struct failure *f)
{
    struct agent *agent;

    if (f->state != FAILURE_IS_OPEN)
        return;
    if (!f->of_agent) {
        attach_to_task(s, f);
        return;
    }
    agent = state_agent(s, f->agent);
    if (agent == NULL)
        return;
    ASSERT(agent->failure == 0);
    agent->failure = f->id;
    s->failures.open[1][f->reason]++;
}

void failure_detach(struct state *s, const struct failure *f)
{
    struct agent *agent;

    if (f->state != FAILURE_IS_OPEN)
        return;
    if (!f->of_agent) {
        detach_from_task(s, f);
        return;
    }
    agent = state_agent(s, f->agent);
    if (agent == NULL || agent->failure != f->id)
        return;
    agent->failure = 0;
    s->failures.open[1][f->reason]--;
}
