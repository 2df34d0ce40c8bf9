/* rebalances.c - running tasks go to better agents (docs/spec/17-rebalance.md).
 *
 * sched/rebalance.c says which, between rounds and one at a time; we propose it and tell it what
 * became of that.  What is to be stopped follows from the state (orders.c), as in a drain. */
#include "master/core/internal.h"

void rebalances_turn(struct master_core *m)
{
    struct move found;
    struct command command = {.kind = COMMAND_MOVE};
    bool more = false;

    if (m->leading.round_flying || m->leading.preempting || m->leading.moving ||
        !m->state->globals.founded || !propose_has_room(m))
        return;
    if (sched_rebalance(m->sched,
                        m->state,
                        &m->config.rebalance,
                        leader_now_us(m),
                        &found,
                        &more)) {
        command.move.attempt = found.attempt;
        command.move.agent = found.agent;
        m->leading.moving = true;
        propose(m, &command, &(struct origin){.kind = ORIGIN_MOVE});
    } else if (more) {
        m->actions->again = true;
    }
    m->leading.round_due |= sched_is_due(m->sched);
}

void rebalances_applied(struct master_core *m, const struct result *r)
{
    m->leading.moving = false;
    m->counters.moved += r->code == ERROR_NONE;
    sched_moved(m->sched, r->code == ERROR_NONE);
    m->leading.round_due = true;
}
