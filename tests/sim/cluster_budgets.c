/* cluster_budgets.c - what roles do within a minute, and may (spec 15 and 17).
 *
 * A leader counts on its own clock, and the next leader begins anew.  We see what it did when the
 * first master applies it, which is some time later: what we hold against a budget is what a term
 * did within less than a minute, and since the clock of its leader was set forward.
 */
#include "cluster.h"

#include "base/assert.h"

#define LATENCY_US (10 * SECOND) /* from when it decides until that is seen, at most */
#define WINDOW_US  (60 * SECOND - LATENCY_US)

void budget_is(const struct sim_master *m,
               struct sim_budget *b,
               const struct role *r,
               uint32_t per_minute)
{
    int role = role_number(r);
    uint32_t *known = &b->known[m->number][role];

    ASSERT(per_minute < BUDGETS_SEEN);
    b->known_us[role][*known] = m->cluster->world.now_us;
    *known = per_minute;
    b->known_us[role][*known] = m->cluster->world.now_us;
}

/* What a leader may have known of the budget when it decided on what is seen now. */
static uint32_t most(const struct cluster *c, const struct sim_budget *b, int role)
{
    uint32_t n = BUDGETS_SEEN - 1;

    while (n > 0 && b->known_us[role][n] + LATENCY_US < c->world.now_us)
        n--;
    return n;
}

static void begin(struct sim_budget *b, uint64_t term)
{
    b->term = term;
    b->late_index = 0;
    b->one_is_late = false;
    for (int i = 0; i < ROLES_SEEN; i++)
        b->spent[i] = 0;
}

/* A leader proposes one command of a kind at a time: of those that it decided on before the
 * clock was set one is not seen yet. */
static bool is_late(struct sim_budget *b, uint64_t index)
{
    if (b->one_is_late)
        b->late_index = index;
    b->one_is_late = false;
    return index == b->late_index;
}

void check_budget(struct cluster *c,
                  struct sim_budget *b,
                  uint64_t term,
                  uint64_t index,
                  const struct role *r)
{
    int role = role_number(r);

    if (term > b->term)
        begin(b, term);
    if (term < b->term || is_late(b, index))
        return;
    if (b->spent[role] == 0 || b->since_us[role] + WINDOW_US < c->world.now_us) {
        b->spent[role] = 0;
        b->since_us[role] = c->world.now_us;
    }
    if (++b->spent[role] > most(c, b, role))
        world_fail(&c->world,
                   "%s: %u for role %s in term %llu, of at most %u in a minute",
                   b->what,
                   b->spent[role],
                   r->name,
                   (unsigned long long)term,
                   most(c, b, role));
}

static void clock_set(struct sim_budget *b, uint64_t term)
{
    if (term < b->term)
        return;
    begin(b, term);
    b->one_is_late = true;
}

void sim_clock_set(struct sim_master *m, int64_t offset_us)
{
    bool is_forward = offset_us > m->wall_offset_us;

    m->wall_offset_us = offset_us;
    if (!is_forward || !m->alive || !master_leads(m->core))
        return;
    clock_set(&m->cluster->preempts, replica_term(master_replica(m->core)));
    clock_set(&m->cluster->moves, replica_term(master_replica(m->core)));
}
