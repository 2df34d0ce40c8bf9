/* cluster_witness.c - who runs when, in true time: leases of runs.
 *
 * Clocks of hosts run up to SIM_DRIFT_PPM fast or slow; the jobs know it (their drift).
 */
#include "cluster.h"

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
