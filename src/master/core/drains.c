/* drains.c - agents whose drain has reached its deadline, or needs it no more.
 *
 * The state holds the deadline as a stamp.  Stamps follow a wall clock that jumps ahead, so they
 * are not waited for: whoever leads measures what is left when the drain is committed, or when
 * it begins to lead, and waits for as long by its monotonic clock.  Then it proposes
 * `drain_due`, whose stamp is not below the deadline (spec 2); what is to be stopped follows
 * from the state (orders.c), so that the next leader goes on.
 *
 * Where nothing but tasks of system jobs is left, the deadline becomes now: by `agent_mode`, as if
 * somebody had asked for it, and not while anybody's word about modes is on its way, so that it
 * never comes behind one that it did not know.
 */
#include "master/core/internal.h"

void drains_forget(struct agent_view *v)
{
    if (v->drain_us != 0)
        LIST_REMOVE(v, drain_link);
    v->drain_us = 0;
}

/* A drain that we do not know yet has this long to go. */
static void wait_for(struct master_core *m, const struct agent *agent, uint64_t left_ms)
{
    struct agent_view *v = agents_view_of(m, agent->id);

    if (agent->mode != AGENT_DRAINING || agent->drain_due) {
        drains_forget(v);
        return;
    }
    if (v->drain_us == agent->drain_us)
        return;
    drains_forget(v);
    LIST_INSERT_HEAD(&m->draining, v, drain_link);
    v->drain_us = agent->drain_us;
    v->drain_hastened = false;
    v->drain_at_ms = m->now_ms + left_ms;
}

void drains_agent(struct master_core *m, const struct agent *agent)
{
    uint64_t stamp_us = m->state->globals.last_stamp_us;
    uint64_t left_us = agent->drain_us > stamp_us ? agent->drain_us - stamp_us : 0;

    wait_for(m, agent, (left_us + 999) / 1000);
}

void drains_begin(struct master_core *m)
{
    struct agent *agent;

#ifdef MUTANT_DRAIN_FORGOTTEN
    return;
#endif
    RB_FOREACH (agent, agent_tree, &m->state->agents)
        if (agent->state != AGENT_GONE)
            wait_for(m, agent, repeats_due_ms(m, agent->drain_us));
}

static bool is_over(const struct master_core *m, const struct agent_view *v)
{
#ifdef MUTANT_DRAIN_BY_STAMP
    return v->drain_us <= leader_now_us(m);
#endif
    return v->drain_at_ms <= m->now_ms;
}

/* They serve what runs beside them. */
static bool has_only_systems(const struct agent *agent)
{
    return agent->state == AGENT_ACTIVE && agent->attempts_count > 0 &&
           agent->attempts_count == agent->systems_count;
}

static void hasten(struct master_core *m, struct agent_view *v)
{
    struct command command = {.kind = COMMAND_AGENT_MODE,
                              .agent_mode = {.agent = v->id, .mode = AGENT_DRAINING}};

#ifndef MUTANT_DRAIN_HASTENED_BLINDLY
    if (m->leading.modes_flying > 0)
        return;
#endif
    v->drain_hastened = true;
    core_log(
        m,
        MASTER_LOG_INFO,
        "agent %llu: only tasks of system jobs are left; its drain waits no longer",
        (unsigned long long)v->id);
    propose(m, &command, &(struct origin){.kind = ORIGIN_NONE});
}

void drains_tick(struct master_core *m)
{
    struct agent_view *v;

    LIST_FOREACH (v, &m->draining, drain_link) {
        struct command command = {.kind = COMMAND_DRAIN_DUE, .drain_due.agent = v->id};

        if (!propose_has_room(m) || v->drain_at_ms == UINT64_MAX)
            continue;
        if (!is_over(m, v)) {
            if (!v->drain_hastened && has_only_systems(state_agent(m->state, v->id)))
                hasten(m, v);
            continue;
        }
        v->drain_at_ms = UINT64_MAX;
        core_log(m,
                 MASTER_LOG_INFO,
                 "agent %llu: the deadline of its drain has passed; %u tasks are moved",
                 (unsigned long long)v->id,
                 state_agent(m->state, v->id)->attempts_count);
        propose_not_before(m, v->drain_us);
        propose(m, &command, &(struct origin){.kind = ORIGIN_NONE});
    }
}
