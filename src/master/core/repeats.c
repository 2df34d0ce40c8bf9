/* repeats.c - what goes on when its time has come: tasks that wait to be tried again, and
 * attempts whose lease has run out (spec 3).
 *
 * The state holds for what is waited.  Applying reads no clock, so whoever leads says when it
 * is time, by clocks of its own that only move forward:
 *   retries  are due at a stamp, by the time that stamps are made of (leader.c)
 *   leases   run from when we applied that the agent is unreachable, or began to lead
 */
#include "master/core/internal.h"

#include "raft_fsm/retry.h"

#define REPEATS_PER_TICK 4096u

/* ---- retries ---- */

uint64_t repeats_due_ms(const struct master_core *m, uint64_t retry_us)
{
    uint64_t now_us = leader_now_us(m);

    return retry_us > now_us ? (retry_us - now_us + 999) / 1000 : 0;
}

static bool may_propose(const struct master_core *m)
{
    return m->leading.repeats_flying < REPEATS_PER_TICK && propose_has_room(m);
}

static void propose_repeat(struct master_core *m, const struct command *command)
{
    m->leading.repeats_flying++;
    propose(m, command, &(struct origin){.kind = ORIGIN_REPEAT});
}

/* In order of time within each job; jobs in order of their first. */
static void retry_job(struct master_core *m, struct job *j)
{
    struct task_extras *x;

    RB_FOREACH (x, task_retry_tree, &j->retries->tasks) {
        struct command command = {.kind = COMMAND_RETRY,
                                  .retry = {.job = j->id, .instance = x->instance}};

        if (x->retry_us > m->leading.time_us || !may_propose(m))
            return;
        command.retry.attempt = job_task(j, x->instance)->attempt;
        propose_repeat(m, &command);
    }
}

static void retry_tasks(struct master_core *m)
{
    struct job_retries *r;

    RB_FOREACH (r, job_retry_tree, &m->state->retrying) {
        if (job_first_retry(r->job)->retry_us > m->leading.time_us || !may_propose(m))
            return;
        retry_job(m, r->job);
    }
}

/* ---- leases ---- */

/* A gap of our own loop may lie between what we heard and the time that we took for it. */
static uint64_t lapses_ms(const struct agent_view *v, const struct job *j)
{
#ifdef MUTANT_LAPSE_AT_ONCE
    return 0;
#endif
    return v->unreachable_ms + policy_lapse_ms(j->policy) + LOOP_GAP_MS;
}

static void lapse_attempts(struct master_core *m, struct agent_view *v)
{
    struct agent *agent = state_agent(m->state, v->id);
    uint64_t next_ms = UINT64_MAX;
    struct attempt *t;

    TAILQ_FOREACH (t, &agent->attempts, by_agent) {
        struct command command = {.kind = COMMAND_LAPSE, .lapse.attempt = t->id};
        uint64_t at_ms;

        if (t->superseded)
            continue;
        at_ms = lapses_ms(v, t->job);
        if (at_ms < next_ms)
            next_ms = at_ms;
        if (at_ms > m->now_ms)
            continue;
        if (!may_propose(m))
            return;
        propose_repeat(m, &command);
    }
    v->lapse_ms = next_ms;
}

static void lapse_leases(struct master_core *m)
{
    struct agent_view *v;

    LIST_FOREACH (v, &m->lapsing, lapse_link)
        if (v->lapse_ms <= m->now_ms)
            lapse_attempts(m, v);
}

void repeats_forget(struct agent_view *v)
{
    if (v->lapses)
        LIST_REMOVE(v, lapse_link);
    v->lapses = false;
    v->unreachable_ms = 0;
}

void repeats_agent(struct master_core *m, const struct agent *agent)
{
    struct agent_view *v = agents_view_of(m, agent->id);

    if (agent->state != AGENT_UNREACHABLE) {
        repeats_forget(v);
        return;
    }
    if (v->unreachable_ms != 0)
        return;
    v->unreachable_ms = m->now_ms;
    if (agent->attempts_count == agent->superseded_count)
        return;
    v->lapses = true;
    v->lapse_ms = m->now_ms;
    LIST_INSERT_HEAD(&m->lapsing, v, lapse_link);
}

uint64_t repeats_lease_left_ms(const struct master_core *m, const struct attempt *t)
{
    struct agent_view *v =
        agents_view((struct master_core *)(uintptr_t)m, t->agent->id);
    uint64_t at;

    if (v == NULL || v->unreachable_ms == 0 || t->superseded || !job_has_lease(t->job))
        return 0;
    at = lapses_ms(v, t->job);
    return at > m->now_ms ? at - m->now_ms : 1;
}

/* ---- the leader ---- */

void repeats_begin(struct master_core *m)
{
    struct agent *agent;

    RB_FOREACH (agent, agent_tree, &m->state->agents)
        if (agent->state != AGENT_GONE)
            repeats_agent(m, agent);
}

void repeats_tick(struct master_core *m)
{
    if (m->leading.repeats_flying > 0)
        return; /* else they were proposed twice */
    /* An end of a lease comes once; of retries there may always be more. */
    lapse_leases(m);
    retry_tasks(m);
}

void repeats_applied(struct master_core *m)
{
    m->leading.repeats_flying--;
}
