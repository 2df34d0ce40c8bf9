/* preempts.c - running tasks make room for what fits nowhere (docs/spec/15-preemption.md).
 *
 * sched/preempt.c says whose place is taken, between rounds and one at a time; we propose it and tell
 * it what became of that.  What is to be stopped follows from the state (orders.c), as in a drain. */
#include "master/core/internal.h"

void preempts_turn(struct master_core *m)
{
    struct preemption found;
    struct command command = {.kind = COMMAND_PREEMPT};
    bool more = false;

    if (m->leading.round_flying || m->leading.preempting ||
        !m->state->globals.founded || !propose_has_room(m))
        return;
    if (sched_preempt(m->sched, m->state, leader_now_us(m), &found, &more)) {
        command.preempt.job = found.job;
        command.preempt.agent = found.agent;
        command.preempt.victims = found.victims;
        command.preempt.count = found.count;
        m->leading.preempting = true;
        propose(m, &command, &(struct origin){.kind = ORIGIN_PREEMPT});
    } else if (more) {
        m->actions->again = true;
    }
    m->leading.round_due |= sched_is_due(m->sched);
}

void preempts_applied(struct master_core *m, const struct result *r)
{
    m->leading.preempting = false;
    m->counters.preempted += r->id;
    sched_preempted(m->sched, r->code == ERROR_NONE);
    m->leading.round_due = true;
}
