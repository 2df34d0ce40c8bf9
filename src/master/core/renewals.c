/* renewals.c - answers to agents that ask whether we still lead (spec 3, exclusive tasks).
 *
 * A lease is confirmed as a read is: by a majority, after the heartbeat came (joint 12: there
 * are no leases of leaders).  All heartbeats that came since the last question share the next
 * one.  The agent counts from when it sent that heartbeat, so an answer that is late, even of a
 * leader that stood still meanwhile, gives nothing that it does not have.
 *
 * With a lease the agent starts what waits for one, so it must have heard before what it is to
 * stop: it gets none before its runs are known and all its orders are on their way.
 */
#include "master/core/internal.h"

#include "base/mem.h"

void renewals_ask(struct master_core *m, struct agent_view *v, uint64_t sequence)
{
    struct renewals *l = &m->renewals;

    if (v->lease_asked == 0) {
        MEM_GROW(l->asked, l->asked_capacity, l->asked_count + 1);
        l->asked[l->asked_count++] =
            (struct lease_request){.agent = v->id, .session = v->session};
    }
    v->lease_asked = sequence;
}

static void answer(struct master_core *m, const struct lease_request *q)
{
    const struct agent_view *v = agents_view(m, q->agent);
    const struct agent *agent = state_agent(m->state, q->agent);
    size_t begin;

    if (v == NULL || v->session != q->session || v->declared || agent == NULL ||
        agent->state != AGENT_ACTIVE || !v->synced || v->order_count > 0)
        return;
    m->counters.renewals_sent++;
    begin = core_begin(m);
    lease_pack(m->leading.term, q->sequence, core_out(m));
    core_end(m, q->session, begin);
}

static void answer_all(struct master_core *m)
{
    struct renewals *l = &m->renewals;

    orders_flush(m);
    for (size_t i = 0; i < l->read_count; i++)
        answer(m, &l->read[i]);
    l->read_count = 0;
}

bool renewals_read(struct master_core *m, uint64_t ticket, bool ready)
{
    struct renewals *l = &m->renewals;

    if (ticket != l->ticket)
        return false;
    l->ticket = 0;
    if (ready && m->leading.active)
        answer_all(m);
    l->read_count = 0;
    return true;
}

void renewals_turn(struct master_core *m)
{
    struct renewals *l = &m->renewals;
    struct replica_event event = {.kind = REPLICA_READ};

    if (l->asked_count == 0 || l->ticket != 0)
        return;
    MEM_GROW(l->read, l->read_capacity, l->asked_count);
    for (size_t i = 0; i < l->asked_count; i++) {
        struct agent_view *v = agents_view(m, l->asked[i].agent);

        if (v == NULL || v->session != l->asked[i].session)
            continue;
        l->read[l->read_count] = l->asked[i];
        l->read[l->read_count++].sequence = v->lease_asked;
        v->lease_asked = 0;
    }
    l->asked_count = 0;
#ifdef MUTANT_LEASE_NOT_CONFIRMED
    answer_all(m);
    return;
#endif
    l->ticket = ++m->last_ticket;
    event.read.ticket = l->ticket;
    core_replica(m, &event);
}

/* What was read before fails by itself, or its answer finds nobody who asked. */
void renewals_end(struct master_core *m)
{
    m->renewals.asked_count = 0;
    m->renewals.read_count = 0;
}

void renewals_finish(struct master_core *m)
{
    mem_free(m->renewals.asked);
    mem_free(m->renewals.read);
}
