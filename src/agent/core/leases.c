/* leases.c - how long a run may go on without a leader (docs/spec/6-agent.md, "Leases").
 *
 * Each heartbeat to the leader has a number; the leader confirms the number once a
 * majority has confirmed that it leads.  The lease counts from when that heartbeat was
 * sent: whoever leads later begins after that.  The shims end what runs; here nothing is
 * started without a valid lease.
 */
#include "agent/core/core_internal.h"

void leases_add(struct agent_core *core, struct run *r)
{
    if (r->lease_ms == 0 || r->leased)
        return;
    r->leased = true;
    if (core->leased++ == 0)
        core->heartbeat_leader_ms = core->now_ms; /* ask at once */
}

void leases_drop(struct agent_core *core, struct run *r)
{
    if (r->leased)
        core->leased--;
    r->leased = false;
}

uint64_t leases_ask(struct agent_core *core)
{
    struct asked *slot;

    if (core->leased == 0)
        return 0;
    slot = &core->asked[++core->last_heartbeat % HEARTBEATS_KEPT];
    *slot = (struct asked){core->last_heartbeat, core->now_ms};
    return slot->sequence;
}

void leases_confirmed(struct agent_core *core, uint64_t sequence)
{
    const struct asked *slot = &core->asked[sequence % HEARTBEATS_KEPT];
    uint64_t sent_ms = slot->sent_ms;

    if (sequence == 0 || slot->sequence != sequence)
        return; /* never asked, or so long ago that it is worth nothing */
#ifdef MUTANT_LEASE_FROM_ANSWER
    sent_ms = core->now_ms;
#endif
    if (sent_ms <= core->renewed_ms)
        return;
    core->renewed_ms = sent_ms;
    agent_actions_add(core->out, AGENT_RENEW)->renew.boot_ms = sent_ms;
    runs_renewed(core);
}

bool leases_valid(const struct agent_core *core, const struct run *r)
{
#ifdef MUTANT_START_WITHOUT_LEASE
    return true;
#endif
    return r->lease_ms == 0 ||
           (core->renewed_ms != 0 && core->renewed_ms + r->lease_ms > core->now_ms);
}
