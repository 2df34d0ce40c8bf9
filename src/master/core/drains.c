/* drains.c - agents whose drain has reached its deadline.
 *
 * The state holds the deadline as a stamp and decides when it has passed (spec 2).  Whoever
 * leads looks at the clock and proposes `drain_due`; what is to be stopped then follows from
 * the state (orders.c), so that the next leader goes on.
 */
#include "master/core/internal.h"

void drains_tick(struct master_core *m)
{
    uint64_t now_us = m->state->globals.last_stamp_us + 1; /* the least stamp to come */
    struct agent *agent;

    if (m->wall_us > now_us)
        now_us = m->wall_us;
    RB_FOREACH (agent, agent_tree, &m->state->agents) {
        struct command command = {.kind = COMMAND_DRAIN_DUE,
                                  .drain_due.agent = agent->id};
        struct agent_view *v;

        if (agent->state == AGENT_GONE || agent->mode != AGENT_DRAINING ||
            agent->drain_due || agent->drain_us > now_us || !propose_has_room(m))
            continue;
        v = agents_view_of(m, agent->id);
        if (v->drain_proposed_us == agent->drain_us)
            continue;
        v->drain_proposed_us = agent->drain_us;
        core_log(m,
                 MASTER_LOG_INFO,
                 "agent %llu: the deadline of its drain has passed; %u tasks are moved",
                 (unsigned long long)agent->id,
                 agent->attempts_count);
        propose(m, &command, &(struct origin){.kind = ORIGIN_NONE});
    }
}
