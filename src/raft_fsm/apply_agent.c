/* apply_agent.c - register, re-register, unreachable, gone, modes. */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

static void agent_move(struct apply *a, struct agent *agent, enum agent_state state)
{
    if (agent->state != state)
        agent->since_us = a->stamp_us;
    agent->state = (uint8_t)state;
}

static void
agent_take_spec(struct agent *agent, const struct agent_spec *spec, struct bytes bytes)
{
    bytes_assign(&agent->spec, bytes);
    agent->capacity = spec->resources;
    extra_capacity_take(&agent->extras, spec);
}

/* What was planned for the agents as they were may be wrong now. */
static void agent_changed(struct apply *a, const struct agent *agent)
{
    if (a->version >= RULES_OF_CHECKS)
        a->state->globals.agents_changed = a->state->index;
    apply_effect(a, EFFECT_AGENT, agent->id, agent->id);
}

/* Those that are gone are kept to be seen, as long as there is room. */
static bool agent_make_room(struct state *s)
{
    struct agent *agent;

    if (s->agent_count < LIMIT_AGENTS)
        return true;
    RB_FOREACH (agent, agent_tree, &s->agents) {
        if (agent->state == AGENT_GONE) {
            state_remove(s, object_agent(agent));
            return true;
        }
    }
    return false;
}

static struct result
agent_add(struct apply *a, const struct agent_spec *spec, struct bytes bytes)
{
    struct agent *agent;

    if (!agent_make_room(a->state))
        return result_rejected(ERROR_BUSY);
    agent = mem_zalloc(sizeof(*agent));
    agent->id = ++a->state->globals.last_agent_id;
    agent->state = AGENT_ACTIVE;
    agent->registered_us = a->stamp_us;
    agent->since_us = a->stamp_us;
    memcpy(agent->key, spec->key, sizeof(agent->key));
    agent_take_spec(agent, spec, bytes);
    TAILQ_INIT(&agent->attempts);
    state_add(a->state, object_agent(agent));
    agent_changed(a, agent);
    return result_done(a, agent->id);
}

/* What nobody replaced meanwhile goes on where it is. */
static void reclaim_all(struct apply *a, struct agent *agent)
{
    struct attempt *t;

    if (agent->drain_due)
        return;
    a->work += agent->attempts_count;
    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        if (t->superseded)
            attempt_reclaim(a, t);
}

static struct result agent_return(struct apply *a,
                                  struct agent *agent,
                                  const struct agent_spec *spec,
                                  struct bytes bytes)
{
    bool same = agent->spec.size == bytes.size &&
                memcmp(agent->spec.data, bytes.data, bytes.size) == 0;

    if (agent->state == AGENT_GONE)
        return result_rejected(ERROR_NOT_FOUND);
    if (memcmp(agent->key, spec->key, sizeof(agent->key)) != 0)
        return result_rejected(ERROR_CONFLICT);
    if (same && agent->state == AGENT_ACTIVE)
        return result_done(a, agent->id);
    if (agent->state == AGENT_UNREACHABLE) {
        reclaim_all(a, agent);
        failure_agent_returned(a, agent);
    }
    state_edit(a->state, object_agent(agent));
    agent_take_spec(agent, spec, bytes);
    agent_move(a, agent, AGENT_ACTIVE);
    state_edited(a->state, object_agent(agent));
    agent_changed(a, agent);
    return result_done(a, agent->id);
}

struct result apply_agent_register(struct apply *a, const struct command *c)
{
    struct bytes bytes = c->agent_register.spec;
    struct agent_spec spec;
    struct agent *agent;
    struct result result;
    int rc = agent_spec_unpack(&spec, bytes, NULL);

    if (rc != 0)
        return result_rejected(-rc);
    agent = state_agent_by_key(a->state, spec.key);
    result = agent == NULL ? agent_add(a, &spec, bytes)
                           : agent_return(a, agent, &spec, bytes);
    agent_spec_finish(&spec);
    return result;
}

struct result apply_agent_reregister(struct apply *a, const struct command *c)
{
    struct agent *agent = state_agent(a->state, c->agent_reregister.agent);
    struct bytes bytes = c->agent_reregister.spec;
    struct agent_spec spec;
    struct result result;
    int rc = agent_spec_unpack(&spec, bytes, NULL);

    if (rc != 0)
        return result_rejected(-rc);
    result = agent == NULL ? result_rejected(ERROR_NOT_FOUND)
                           : agent_return(a, agent, &spec, bytes);
    agent_spec_finish(&spec);
    return result;
}

static void agent_leave(struct apply *a, struct agent *agent, enum agent_state state)
{
    state_edit(a->state, object_agent(agent));
    agent_move(a, agent, state);
    state_edited(a->state, object_agent(agent));
    agent_changed(a, agent);
}

struct result apply_agent_unreachable(struct apply *a, const struct command *c)
{
    struct agent *agent = state_agent(a->state, c->agent_unreachable.agent);
    uint32_t moved = 0;
    struct attempt *t;

    if (agent == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (agent->state != AGENT_ACTIVE)
        return result_rejected(ERROR_INVALID);
    a->work += agent->attempts_count;
    agent_leave(a, agent, AGENT_UNREACHABLE);
    TAILQ_FOREACH (t, &agent->attempts, by_agent) {
        if (t->superseded)
            continue;
#ifndef MUTANT_LEASE_IGNORED
        if (job_has_lease(t->job))
            continue; /* until `lapse` */
#endif
        attempt_lose(a, t, TASK_REASON_AGENT_UNREACHABLE, true);
        apply_effect(a, EFFECT_KILL, t->id, agent->id);
        moved++;
    }
    failure_of_agent(a, agent, TASK_REASON_AGENT_UNREACHABLE, moved);
    return result_done(a, agent->id);
}

struct result apply_agent_gone(struct apply *a, const struct command *c)
{
    struct agent *agent = state_agent(a->state, c->agent_gone.agent);
    struct attempt *t, *next;
    uint32_t moved = 0;

    if (agent == NULL || agent->state == AGENT_GONE)
        return result_rejected(ERROR_NOT_FOUND);
    a->work += agent->attempts_count;
    agent_leave(a, agent, AGENT_GONE);
    TAILQ_FOREACH_SAFE (t, &agent->attempts, by_agent, next) {
        if (t->superseded) {
            attempt_end(a, t);
        } else {
            attempt_lose(a, t, TASK_REASON_AGENT_GONE, false);
            moved++;
        }
    }
    systems_agent_gone(a, agent);
    failure_of_agent(a, agent, TASK_REASON_AGENT_GONE, moved);
    return result_done(a, agent->id);
}

/* ---- modes ---- */

struct result apply_agent_mode(struct apply *a, const struct command *c)
{
    struct agent *agent = state_agent(a->state, c->agent_mode.agent);
    enum agent_mode mode = c->agent_mode.mode;

    if (agent == NULL || agent->state == AGENT_GONE)
        return result_rejected(ERROR_NOT_FOUND);
    if (mode == (enum agent_mode)agent->mode && mode != AGENT_DRAINING)
        return result_done(a, agent->id);
    state_edit(a->state, object_agent(agent));
    agent->mode = (uint8_t)mode;
    agent->drain_due = false;
    agent->drain_us = 0;
    if (mode == AGENT_DRAINING)
        agent->drain_us = a->stamp_us + c->agent_mode.deadline_ms * 1000;
    state_edited(a->state, object_agent(agent));
    agent_changed(a, agent);
    return result_done(a, agent->id);
}

/* Whatever the leader's clock said, it is the stamp that must have reached the deadline. */
struct result apply_drain_due(struct apply *a, const struct command *c)
{
    struct agent *agent = state_agent(a->state, c->drain_due.agent);
    struct attempt *t;

    if (agent == NULL || agent->state == AGENT_GONE)
        return result_rejected(ERROR_NOT_FOUND);
    if (agent->mode != AGENT_DRAINING || agent->drain_due ||
        a->stamp_us < agent->drain_us)
        return result_rejected(ERROR_INVALID);
    a->work += agent->attempts_count;
    state_edit(a->state, object_agent(agent));
    agent->drain_due = true;
    state_edited(a->state, object_agent(agent));
    agent_changed(a, agent);
    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        if (!t->superseded && t->stop == TASK_REASON_NONE && t->job->system == NULL)
            attempt_stop(a, t, TASK_REASON_AGENT_DRAINED, 0);
    systems_drain(a, agent);
    return result_done(a, agent->id);
}
