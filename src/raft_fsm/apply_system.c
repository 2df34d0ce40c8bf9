/* apply_system.c - what becomes of tasks that belong to an agent (docs/spec/14-kinds.md). */
#include "raft_fsm/apply.h"

/* Its task is over with it, whatever it was: the next agent that has none gets it. */
static void vacate(struct apply *a, struct job *j, struct task *t)
{
    enum job_state before = job_open(a, j);

    failure_over(a, t);
    state_edit(a->state, object_task(j, t));
    t->state = TASK_LOST;
    t->reason = TASK_REASON_AGENT_GONE;
    t->exit_code = 0;
    task_set_message(t, (struct bytes){0});
    t->ended_us = a->stamp_us;
    task_forget_tries(t);
    state_edited(a->state, object_task(j, t));
    job_close(a, j, before);
}

void systems_agent_gone(struct apply *a, const struct agent *agent)
{
    struct job_system *s;

    RB_FOREACH (s, system_tree, &a->state->systems) {
        struct task *t = system_task(s->job, agent->id);

        a->work++;
        if (t == NULL)
            continue;
        if (t->state != TASK_LOST)
            vacate(a, s->job, t);
        system_unbind(s->job, agent->id);
    }
}

/* They serve what runs beside them, so they are told to end last. */
void systems_drain(struct apply *a, struct agent *agent)
{
    struct attempt *t;

    if (!agent->drain_due || agent->state == AGENT_GONE ||
        agent->attempts_count > agent->systems_count)
        return;
    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        if (!t->superseded && t->stop == TASK_REASON_NONE)
            attempt_stop(a, t, TASK_REASON_AGENT_DRAINED, 0);
}
