/* cluster_witness.c - who runs when, in true time: leases of runs.
 *
 * Clocks of hosts run up to SIM_DRIFT_PPM fast or slow; the jobs know it (their drift).
 */
#include "cluster.h"

/* ---- what leases are given for ---- */

/* Every frame of an agent leaves alone. */
void check_asks(struct sim_agent *a, struct bytes bytes)
{
    struct bytes frame;
    struct heartbeat h;
    struct rpc rpc;

    if (!next_frame(&bytes, &frame) || rpc_unpack(&rpc, frame, NULL) != 0 ||
        rpc.type != RPC_NOTIFY || rpc.method != METHOD_HEARTBEAT ||
        heartbeat_unpack(&h, rpc.params, NULL) != 0 || h.sequence == 0)
        return;
    a->asked[h.sequence % ASKED_KEPT].sequence = h.sequence;
    a->asked[h.sequence % ASKED_KEPT].us = a->cluster->world.now_us;
}

static bool is_lease(struct bytes bytes, uint64_t *term, uint64_t *sequence)
{
    struct bytes frame;
    struct rpc rpc;

    while (next_frame(&bytes, &frame))
        if (rpc_unpack(&rpc, frame, NULL) == 0 && rpc.type == RPC_NOTIFY &&
            rpc.method == METHOD_LEASE &&
            lease_unpack(term, sequence, rpc.params, NULL) == 0)
            return true;
    return false;
}

/* Whoever confirms a heartbeat heard most of the masters after it was sent, and nobody was
 * elected above it before that. */
void check_confirmed(struct sim_master *m, struct connection *to, struct bytes bytes)
{
    struct cluster *c = m->cluster;
    uint64_t term = 0, sequence = 0, sent_us;
    unsigned heard = 1;
    const struct sim_agent *a;

    if (to->node[0] < c->masters || to->node[0] >= c->masters + c->agents ||
        !is_lease(bytes, &term, &sequence))
        return;
    a = to->user[0];
    if (a->asked[sequence % ASKED_KEPT].sequence != sequence)
        return;
    sent_us = a->asked[sequence % ASKED_KEPT].us;
    for (unsigned i = 0; i < c->masters; i++)
        heard += i != m->number && m->heard_us[i] >= sent_us;
    if (heard <= c->masters / 2)
        world_fail(&c->world,
                   "master %u gives agent %u a lease and heard %u of %u masters since",
                   m->number + 1,
                   a->number,
                   heard,
                   c->masters);
    for (uint64_t later = term + 1; later <= c->last_term; later++)
        if (c->elected_us[later] != 0 && c->elected_us[later] < sent_us)
            world_fail(&c->world,
                       "agent %u gets a lease of term %llu, and asked for it after the "
                       "election of term %llu",
                       a->number,
                       (unsigned long long)term,
                       (unsigned long long)later);
}

/* It counts from when some heartbeat was sent. */
void check_renewed(struct sim_agent *a, uint64_t ms)
{
    for (unsigned i = 0; i < ASKED_KEPT; i++)
        if (a->asked[i].sequence != 0 && sim_clock_ms(&a->clock, a->asked[i].us) == ms)
            return;
    world_fail(&a->cluster->world,
               "agent %u counts a lease from %llu ms, when it sent no heartbeat",
               a->number,
               (unsigned long long)ms);
}

/* ---- who runs ---- */

/* By the slowest clock, and what shims and signals take. */
static uint64_t longest_us(uint64_t ms)
{
    return ms * MS * 1000000 / (1000000 - SIM_DRIFT_PPM) + 20 * MS;
}

/* A host that is frozen with its shims cannot end what runs, and what runs does nothing.
 * When it thaws, it ends what has no lease any more, with its grace: until then (spec 3) it is
 * excused.  What stands still when its lease ends is so, and nothing else. */
static bool is_excused(const struct cluster *c, const struct sim_task *t)
{
    const struct sim_agent *a = t->agent;
    uint64_t ends_us =
        a->renewed_ms == 0 ? 0 : sim_clock_us(&a->clock, a->renewed_ms + t->lease_ms);

    return a->frozen_until_us > ends_us &&
           c->world.now_us <= a->frozen_until_us + longest_us(t->grace_ms);
}

/* Whatever happens, an exclusive task runs once at a time. */
void check_alone(struct cluster *c, const struct sim_task *t)
{
    const struct sim_task *other;

    if (!t->exclusive)
        return;
    c->totals.exclusive++;
    for (unsigned i = 0; i < c->agents; i++)
        LIST_FOREACH (other, &c->agent[i].tasks, link) {
            if (other == t || other->job != t->job || other->instance != t->instance ||
                !other->started || other->ended)
                continue;
            if (is_excused(c, other))
                c->totals.excused++;
            else
                world_fail(&c->world,
                           "TWO RUNS of exclusive task %llu.%u: attempt %llu on agent "
                           "%u, and %llu on agent %u",
                           (unsigned long long)t->job,
                           t->instance,
                           (unsigned long long)other->attempt,
                           other->agent->number,
                           (unsigned long long)t->attempt,
                           t->agent->number);
        }
}

/* Without a word of any master it is gone after its lease and its grace. */
void check_leased(struct cluster *c, const struct sim_task *t)
{
    if (t->lease_ms == 0 || !t->started || t->ended || is_excused(c, t) ||
        c->world.now_us <= t->agent->heard_us + longest_us(t->lease_ms + t->grace_ms))
        return;
    world_fail(&c->world,
               "attempt %llu runs on agent %u, which heard nothing of a master for "
               "%llu ms",
               (unsigned long long)t->attempt,
               t->agent->number,
               (unsigned long long)((c->world.now_us - t->agent->heard_us) / MS));
}
