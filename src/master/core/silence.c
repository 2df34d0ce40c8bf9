/* silence.c - agents that are not heard any more (joint 10).
 *
 * Silence counts from the last frame of the agent, but never from before this leader began or
 * its own loop stood still.  Who has not come to this leader yet may be in a queue behind
 * others: as long as they come, it is not silent, though not for more than AGENTS_COMING_MS.
 * What lies in sockets counts as heard, as the shell says how far it has read.
 * Active agents are in a list, who was heard longest ago first, so that a look at it ends at
 * the first who came and was heard in time.
 *
 * At most UNREACHABLE_PERCENT of the registered agents are declared unreachable within
 * UNREACHABLE_WINDOW_MS: when more are silent, the fault is likely ours.
 */
#include "master/core/internal.h"

#include "base/assert.h"

/* ---- the brake ---- */

static uint64_t registered_agents(const struct master_core *m)
{
    return m->state->agents_by_state[AGENT_ACTIVE] +
           m->state->agents_by_state[AGENT_UNREACHABLE];
}

static void brake_count(struct master_core *m, uint64_t ms, uint64_t agents)
{
    struct leading *l = &m->leading;
    size_t last = (l->mark_first + l->mark_count - 1) % UNREACHABLE_MARKS;

    l->declared += agents;
    if (l->mark_count > 0 && l->marks[last].ms == ms) {
        l->marks[last].agents += agents;
        return;
    }
    ASSERT(l->mark_count < UNREACHABLE_MARKS);
    l->marks[(l->mark_first + l->mark_count++) % UNREACHABLE_MARKS] =
        (struct unreachable_mark){.ms = ms, .agents = agents};
}

static bool brake_allows(struct master_core *m)
{
    struct leading *l = &m->leading;
    uint64_t most = registered_agents(m) * UNREACHABLE_PERCENT / 100;

#ifdef MUTANT_NO_BRAKE
    return true;
#endif
    while (l->mark_count > 0 &&
           l->marks[l->mark_first].ms + UNREACHABLE_WINDOW_MS <= m->now_ms) {
        l->declared -= l->marks[l->mark_first].agents;
        l->mark_first = (l->mark_first + 1) % UNREACHABLE_MARKS;
        l->mark_count--;
    }
    return l->declared < (most > 1 ? most : 1);
}

/* What the leader before us declared counts as well: all of it as the last of it. */
static void brake_begin(struct master_core *m)
{
    uint64_t now_us = m->leading.time_us;
    uint64_t window_us = UNREACHABLE_WINDOW_MS * 1000ull;
    uint64_t last_us = 0;
    uint64_t count = 0;
    struct agent *agent;

    RB_FOREACH (agent, agent_tree, &m->state->agents) {
        if (agent->state != AGENT_UNREACHABLE || agent->since_us + window_us <= now_us)
            continue;
        count++;
        if (agent->since_us > last_us)
            last_us = agent->since_us;
    }
    if (count > 0)
        brake_count(m, m->now_ms - (now_us - last_us) / 1000, count);
}

/* ---- who is heard ---- */

void silence_heard(struct master_core *m, struct agent_view *v)
{
    v->heard_ms = m->now_ms;
    v->held = false;
    if (!v->active)
        return;
#ifdef MUTANT_HEARD_NOT_MOVED
    return;
#endif
    TAILQ_REMOVE(&m->heard, v, heard_link);
    TAILQ_INSERT_TAIL(&m->heard, v, heard_link);
}

void silence_coming(struct master_core *m)
{
    uint64_t latest = m->leading.began_ms + AGENTS_COMING_MS;

    m->leading.coming_ms = m->now_ms < latest ? m->now_ms : latest;
}

void silence_forget(struct master_core *m, struct agent_view *v)
{
    if (v->active)
        TAILQ_REMOVE(&m->heard, v, heard_link);
    v->active = false;
    v->declared = false;
}

void silence_agent(struct master_core *m, const struct agent *agent)
{
    struct agent_view *v = agents_view_of(m, agent->id);

    if (agent->state != AGENT_ACTIVE) {
        silence_forget(m, v);
    } else if (!v->active) {
        v->active = true;
        v->heard_ms = m->now_ms;
        TAILQ_INSERT_TAIL(&m->heard, v, heard_link);
    }
}

void silence_begin(struct master_core *m)
{
    struct agent *agent;

    brake_begin(m);
    RB_FOREACH (agent, agent_tree, &m->state->agents)
        if (agent->state != AGENT_GONE)
            silence_agent(m, agent);
}

/* ---- who is not ---- */

static void declare_unreachable(struct master_core *m, struct agent_view *v)
{
    struct command command = {.kind = COMMAND_AGENT_UNREACHABLE,
                              .agent_unreachable.agent = v->id};

    brake_count(m, m->now_ms, 1);
    v->declared = true;
    m->counters.agents_silent++;
    core_log(m,
             MASTER_LOG_WARNING,
             "agent %llu is silent for %u ms: unreachable",
             (unsigned long long)v->id,
             m->config.agent_silence_ms);
    propose(m, &command, &(struct origin){.kind = ORIGIN_NONE});
}

static void hold(struct master_core *m, struct agent_view *v)
{
    if (!v->held)
        m->counters.agents_held++;
    v->held = true;
    if (m->leading.brake_said)
        return;
    m->leading.brake_said = true;
    core_log(m,
             MASTER_LOG_WARNING,
             "more than %u %% of the agents went silent within %u s: holding, this "
             "looks like a "
             "fault of the network or of this master",
             UNREACHABLE_PERCENT,
             UNREACHABLE_WINDOW_MS / 1000);
}

static bool is_silent(const struct master_core *m, const struct agent_view *v)
{
    const struct leading *l = &m->leading;
    uint64_t since = l->since_ms;

    if (v->heard_ms > since)
        since = v->heard_ms;
#ifndef MUTANT_COMING_IS_SILENT
    if (!v->came && l->coming_ms > since)
        since = l->coming_ms;
#endif
#ifndef MUTANT_UNREAD_IS_SILENT
    since += m->behind_ms; /* it may have spoken, and lies in its socket */
#endif
    return m->now_ms >= since + m->config.agent_silence_ms;
}

void silence_tick(struct master_core *m)
{
    struct agent_view *v;
    bool any_held = false;

    TAILQ_FOREACH (v, &m->heard, heard_link) {
        bool silent = is_silent(m, v);

        if (!silent && v->came)
            break;
        if (!silent || v->declared || !propose_has_room(m))
            continue;
        if (brake_allows(m)) {
            declare_unreachable(m, v);
        } else {
            hold(m, v);
            any_held = true;
        }
    }
    if (!any_held)
        m->leading.brake_said = false;
}
