/* census.c - how many agents could have a task, for explanations. */
#include "sched/census.h"

#include "sched/seek.h"

static void take_larger(struct resources *largest, const struct resources *r)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (r->amount[k] > largest->amount[k])
            largest->amount[k] = r->amount[k];
}

/* One more may be looked at; *looks is 0 when they were not enough. */
static bool spend(unsigned *looks)
{
    *looks -= *looks > 0;
    return *looks > 0;
}

static bool is_offered(const struct fleet *f, uint16_t port, unsigned *looks)
{
    struct fleet_agent *a;

    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&f->agents) {
        if (!spend(looks))
            break;
        if (extra_port_is_offered(&fleet_extras_of(a)->offered, port))
            return true;
    }
    return false;
}

static void find_port_nowhere(struct census *c,
                              const struct fleet *f,
                              const struct extra_needs *n,
                              unsigned *looks)
{
    for (size_t i = 0; i < n->fixed_count; i++)
        for (uint32_t p = n->fixed[i].first; p <= n->fixed[i].last; p++)
            if (c->port_nowhere == 0 && !is_offered(f, (uint16_t)p, looks))
                c->port_nowhere = (uint16_t)p;
}

/* False when a constraint that does not depend on other tasks rejects it. */
static bool count_match(struct census *c, struct seek *k, struct fleet_agent *a)
{
    bool is_open = a->standing == STANDS_OPEN;
    size_t count;

    if (k->matcher == NULL)
        return true;
    count = matcher_constraints(k->matcher);
    c->open += is_open;
    c->shut += !is_open;
    for (size_t i = 0; is_open && i <= count; i++)
        c->rejected[i] += !seek_keeps(k, a, i);
    if (!matcher_holds(k->matcher, &a->attributes, &k->effort))
        return false;
    c->matching++;
    return true;
}

/* The first kind of which there is less than a task needs; RESOURCE_KINDS: none. */
static int too_little(const struct resources *has, const struct resources *need)
{
    int k = 0;

    while (k < RESOURCE_KINDS && has->amount[k] >= need->amount[k])
        k++;
    return k;
}

int fleet_short_of(const struct fleet_agent *a, const struct demand *d)
{
    int k = too_little(&a->fit.vector, &d->need);

    if (!a->fit.is_in || !resources_contain(&a->size->capacity, &d->need) ||
        (d->extras != NULL && !extra_is_able(&fleet_extras_of(a)->offered, d->extras)))
        return -1;
    return k < RESOURCE_KINDS || !fleet_has_extras(a, d->extras) ? k : -1;
}

/* So many tasks have room when it is empty. */
static uint64_t room_when_empty(const struct resources *capacity,
                                const struct resources *need)
{
    uint64_t room = LIMIT_GANG_TASKS;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (need->amount[k] > 0 && capacity->amount[k] / need->amount[k] < room)
            room = capacity->amount[k] / need->amount[k];
    return room;
}

/* The same of an agent that has what else they need, and may be not the only one with a value. */
static uint64_t room_of_agent(struct seek *k, const struct fleet_agent *a)
{
    static const struct extra_use NOTHING;
    const struct demand *d = k->demand;
    const struct job *j = state_job(k->state, d->job);
    uint64_t room = room_when_empty(&a->size->capacity, &d->need);
    struct crowding crowding;

#ifndef MUTANT_TOGETHER_IN_AMOUNTS
    if (d->extras != NULL)
        room = extra_room(
            &fleet_extras_of(a)->offered, &NOTHING, d->extras, (uint32_t)room);
#endif
    if (j == NULL || !seek_crowding(k, j, a, &crowding))
        return room;
    room = room < crowding.most ? room : crowding.most;
    return crowding.group == 0 || room < crowding.group_most ? room
                                                             : crowding.group_most;
}

/* Those that take no work now may take some later. */
static void
count_able(struct census *c, enum standing s, uint64_t agents, uint64_t room)
{
    c->able[s] += agents;
#ifdef MUTANT_TOGETHER_WITHOUT_SHUT
    if (s != STANDS_OPEN)
        return;
#endif
    c->together += agents * room;
}

/* Agents that share a value have no more together than one of them. */
static void bound_by_values(struct census *c, const struct seek *k)
{
    const struct matcher *m = k->matcher;

    for (size_t i = 0; m != NULL && i < m->distinct_count; i++) {
        const struct counter *counter = &m->distincts[i];
        uint64_t most = (uint64_t)counter->column->count * counter->limit;

        c->together = c->together < most ? c->together : most;
    }
}

static void count_small(struct census *c,
                        const struct resources *capacity,
                        const struct demand *d,
                        uint64_t agents)
{
    int k = too_little(capacity, &d->need);

    if (k < RESOURCE_KINDS)
        c->small[k] += agents;
}

static void count_extras_of(struct census *c,
                            struct seek *k,
                            const struct fleet_agent *a,
                            bool matches)
{
    static const struct extra_needs NONE;
    const struct demand *d = k->demand;
    const struct extra_needs *n = d->extras == NULL ? &NONE : d->extras;
    const struct extra_capacity *offered = &fleet_extras_of(a)->offered;
    uint32_t ports = extra_ports_offered(offered);
    uint32_t missing = n->features & ~offered->features;

    if (matches && resources_contain(&a->size->capacity, &d->need)) {
        if (extra_is_able(offered, n)) {
            count_able(c, a->standing, 1, d->at_once > 1 ? room_of_agent(k, a) : 1);
        }
        if (missing != 0 && a->standing == STANDS_OPEN && c->unable++ == 0)
            c->missing = missing;
#ifdef MUTANT_SHUT_IS_SMALL
    } else if (matches) {
#else
    } else if (matches && a->standing == STANDS_OPEN) {
#endif
        count_small(c, &a->size->capacity, d, 1);
    }
    c->most_ports = ports > c->most_ports ? ports : c->most_ports;
    c->features |= offered->features;
    for (size_t i = 0; i < n->custom.count; i++) {
        uint64_t amount =
            custom_resources_amount(&offered->custom, n->custom.items[i].name);

        c->most_custom[i] = amount > c->most_custom[i] ? amount : c->most_custom[i];
    }
}

/* Who needs more than amounts has each agent asked. */
static void
count_each(struct census *c, const struct fleet *f, struct seek *k, unsigned *looks)
{
    struct fleet_agent *a;

    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&f->agents) {
        k->effort = (struct effort){.most = *looks};
        count_extras_of(c, k, a, count_match(c, k, a));
        k->effort.spent += k->matcher == NULL ? 1 : 2 * k->matcher->price;
        *looks -= k->effort.spent < *looks ? k->effort.spent : *looks;
        if (*looks == 0)
            return;
    }
    if (k->demand->extras != NULL)
        find_port_nowhere(c, f, k->demand->extras, looks);
}

/* How many agents that take work offer the port; 0 if it is free on one of them. */
static uint64_t taken_on(const struct fleet *f, uint16_t port, unsigned *looks)
{
    struct fleet_agent *a;
    uint64_t count = 0;

    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&f->agents) {
        if (!spend(looks))
            return 0;
        if (a->standing != STANDS_OPEN ||
            !extra_port_is_offered(&fleet_extras_of(a)->offered, port))
            continue;
        if (!extra_port_is_used(&fleet_extras_of(a)->used, port))
            return 0;
        count++;
    }
    return count;
}

uint16_t fleet_taken_port(const struct fleet *f,
                          const struct demand *d,
                          unsigned *looks,
                          uint64_t *agents)
{
    const struct extra_needs *n = d->extras;

    for (size_t i = 0; n != NULL && i < n->fixed_count; i++)
        for (uint32_t p = n->fixed[i].first; p <= n->fixed[i].last; p++) {
            *agents = taken_on(f, (uint16_t)p, looks);
            if (*agents > 0)
                return (uint16_t)p;
        }
    return 0;
}

struct census fleet_census(const struct fleet *f, struct seek *k, unsigned *looks)
{
    const struct demand *d = k->demand;
    bool is_plain = d->extras == NULL && k->matcher == NULL;
    struct census c = {0};
    struct size_class *size;

    RB_FOREACH (size, size_tree, (struct size_tree *)&f->sizes) {
        if (!spend(looks))
            return c;
        for (int s = 0; s < STANDINGS; s++)
            if (is_plain && resources_contain(&size->capacity, &d->need)) {
                uint64_t room = room_when_empty(&size->capacity, &d->need);

                count_able(&c, (enum standing)s, size->agents[s], room);
            }
        if (is_plain)
            count_small(&c, &size->capacity, d, size->agents[STANDS_OPEN]);
        take_larger(&c.largest, &size->capacity);
    }
    if (!is_plain)
        count_each(&c, f, k, looks);
    bound_by_values(&c, k);
    return c;
}
