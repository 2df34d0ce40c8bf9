/* fleet.c - the agents as the scheduler sees them. */
#include "sched/fleet.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "sched/worth.h"

static int size_compare(const struct size_class *a, const struct size_class *b)
{
    return resources_compare(&a->capacity, &b->capacity);
}

static int agent_by_id(const struct fleet_agent *a, const struct fleet_agent *b)
{
    return (a->id > b->id) - (a->id < b->id);
}

RB_GENERATE(size_tree, size_class, by_capacity, size_compare)
RB_GENERATE(fleet_tree, fleet_agent, by_id, agent_by_id)

void fleet_init(struct fleet *f)
{
    *f = (struct fleet){.sizes_version = 1, .version = 1};
    RB_INIT(&f->agents);
    RB_INIT(&f->sizes);
}

enum standing agent_standing(const struct agent *agent)
{
    if (agent->state != AGENT_ACTIVE)
        return STANDS_AWAY;
    return agent->mode == AGENT_NORMAL ? STANDS_OPEN : STANDS_CLOSED;
}

static enum standing standing_of(const struct fleet_agent *a, const struct agent *agent)
{
    enum standing standing = agent_standing(agent);

    return a->refuses && standing == STANDS_OPEN ? STANDS_REFUSING : standing;
}

/* ---- what there is in all ---- */

static void total_add(struct fleet *f, const struct fleet_agent *a)
{
    f->total_changed = true;
    use_add(&f->total, &a->size->capacity, &fleet_extras_of(a)->offered.custom);
}

static void total_subtract(struct fleet *f, const struct fleet_agent *a)
{
    f->total_changed = true;
    use_subtract(&f->total, &a->size->capacity, &fleet_extras_of(a)->offered.custom);
}

/* One that has a size and is not away. */
static bool is_counted(const struct fleet_agent *a)
{
    return a->size != NULL && a->standing != STANDS_AWAY;
}

/* ---- sizes ---- */

static void size_leave(struct fleet *f, struct fleet_agent *a)
{
    struct size_class *size = a->size;

    if (size == NULL)
        return;
    if (is_counted(a))
        total_subtract(f, a);
    f->sizes_version++;
    size->agents[a->standing]--;
    a->size = NULL;
    for (int s = 0; s < STANDINGS; s++)
        if (size->agents[s] > 0)
            return;
    RB_REMOVE(size_tree, &f->sizes, size);
    mem_free(size);
}

static void
size_enter(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    struct size_class wanted = {.capacity = agent->capacity};
    struct size_class *size = RB_FIND(size_tree, &f->sizes, &wanted);

    if (size == NULL) {
        size = mem_zalloc(sizeof(*size));
        size->capacity = agent->capacity;
        RB_INSERT(size_tree, &f->sizes, size);
    }
    f->sizes_version++;
    a->size = size;
    a->standing = standing_of(a, agent);
    size->agents[a->standing]++;
    if (is_counted(a))
        total_add(f, a);
}

static void
size_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    if (a->size != NULL && a->standing == standing_of(a, agent) &&
        resources_equal(&a->size->capacity, &agent->capacity))
        return;
    size_leave(f, a);
    size_enter(f, a, agent);
}

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

static void count_extras(struct census *c,
                         const struct fleet *f,
                         const struct demand *d,
                         unsigned *looks)
{
    const struct extra_needs *n = d->extras;
    struct fleet_agent *a;

    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&f->agents) {
        if (!spend(looks))
            return;
        const struct extra_capacity *offered = &fleet_extras_of(a)->offered;
        uint32_t ports = extra_ports_offered(offered);
        uint32_t missing = n->features & ~offered->features;

        if (resources_contain(&a->size->capacity, &d->need)) {
            if (extra_is_able(offered, n))
                c->able[a->standing]++;
            if (missing != 0 && a->standing == STANDS_OPEN && c->unable++ == 0)
                c->missing = missing;
        }
        c->most_ports = ports > c->most_ports ? ports : c->most_ports;
        c->features |= offered->features;
        for (size_t i = 0; i < n->custom.count; i++) {
            uint64_t amount =
                custom_resources_amount(&offered->custom, n->custom.items[i].name);

            c->most_custom[i] = amount > c->most_custom[i] ? amount : c->most_custom[i];
        }
    }
    find_port_nowhere(c, f, n, looks);
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

struct census
fleet_census(const struct fleet *f, const struct demand *d, unsigned *looks)
{
    struct census c = {0};
    struct size_class *size;

    RB_FOREACH (size, size_tree, (struct size_tree *)&f->sizes) {
        if (!spend(looks))
            return c;
        for (int s = 0; s < STANDINGS; s++)
            if (d->extras == NULL && resources_contain(&size->capacity, &d->need))
                c.able[s] += size->agents[s];
        take_larger(&c.largest, &size->capacity);
    }
    if (d->extras != NULL)
        count_extras(&c, f, d, looks);
    return c;
}

const struct fleet_extras fleet_no_extras;

static bool holds_extras(const void *owner, const void *context)
{
    const struct fleet_extras *e = fleet_extras_of(owner);

    return extra_has_room(&e->offered, &e->used, context);
}

/* ---- bits: what may hold what, besides amounts ----
 *
 * A bit for each power of two of free ports up to 2^7, one for each feature up to 2^7, and
 * one of 48 for the hash of the name of each custom resource of which some is free. */

#define PORT_BITS    8
#define FEATURE_BITS 8
#define NAME_BITS    48

static uint64_t port_bits(uint32_t ports)
{
    uint64_t bits = 0;

    for (int i = 0; i < PORT_BITS && ports >= 1u << i; i++)
        bits |= 1ull << i;
    return bits;
}

static uint64_t name_bit(const char *name)
{
    return 1ull << (PORT_BITS + FEATURE_BITS +
                    hash128_of(text_view(name)).low % NAME_BITS);
}

static uint64_t feature_bits(uint32_t features)
{
    return (uint64_t)(features & ((1u << FEATURE_BITS) - 1)) << PORT_BITS;
}

uint64_t demand_bits(const struct demand *d)
{
    uint64_t bits;

    if (d->extras == NULL)
        return 0;
    bits = port_bits(extra_needs_ports(d->extras)) | feature_bits(d->extras->features);
    for (size_t i = 0; i < d->extras->custom.count; i++)
        bits |= name_bit(d->extras->custom.items[i].name);
    return bits;
}

static uint64_t offered_bits(const struct fleet_agent *a)
{
    const struct fleet_extras *e = a->extras;
    uint64_t bits;

    if (e == NULL)
        return 0;
    bits = port_bits(extra_ports_free(&e->offered, &e->used)) |
           feature_bits(e->offered.features);
    for (size_t i = 0; i < e->offered.custom.count; i++) {
        const struct custom_resource *r = &e->offered.custom.items[i];

        if (custom_resources_amount(&e->used.custom, r->name) < r->amount)
            bits |= name_bit(r->name);
    }
    return bits;
}

/* ---- free resources ---- */

static void leave(struct fit_tree *t, struct fit_node *n)
{
    if (n->height > 0)
        fit_tree_remove(t, n);
}

static void enter(struct fit_tree *t,
                  struct fit_node *n,
                  struct fit_key key,
                  const struct resources *free,
                  struct fleet_agent *owner)
{
    leave(t, n);
    n->key = key;
    n->vector = *free;
    n->bits = offered_bits(owner);
    n->owner = owner;
    fit_tree_insert(t, n);
}

static void close_agent(struct fleet *f, struct fleet_agent *a)
{
    leave(&f->open, &a->fit);
    leave(&f->grown, &a->growth);
}

static void open_agent(struct fleet *f,
                       struct fleet_agent *a,
                       const struct resources *free,
                       bool grew)
{
    enter(&f->open, &a->fit, (struct fit_key){worth(free), a->id}, free, a);
    if (grew || a->growth.height > 0)
        enter(&f->grown, &a->growth, (struct fit_key){0, a->id}, free, a);
}

/* True when they changed; then the agent may have more of something than before. */
static bool
extras_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    const struct fleet_extras *e = fleet_extras_of(a);
    bool offers_same = extra_capacity_equal(&e->offered, &agent->extras);

    if (offers_same && extra_use_equal(&e->used, &agent->extras_used))
        return false;
    if (a->extras == NULL)
        a->extras = mem_zalloc(sizeof(*a->extras));
    if (!offers_same) {
        if (is_counted(a))
            total_subtract(f, a);
        extra_capacity_copy(&a->extras->offered, &agent->extras);
        if (is_counted(a))
            total_add(f, a);
        f->sizes_version++;
    }
    extra_use_copy(&a->extras->used, &agent->extras_used);
    return true;
}

static bool
free_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    struct resources free = agent->capacity;
    bool was_open = a->fit.height > 0;
    bool extras_changed = extras_refresh(f, a, agent);
    bool grew;

    if (a->refuses || !agent_takes_work(agent) ||
        !resources_contain(&agent->capacity, &agent->allocated)) {
        close_agent(f, a);
        return false;
    }
#ifndef MUTANT_OVER_COMMIT
    resources_subtract(&free, &agent->allocated);
#endif
    if (was_open && !extras_changed && resources_equal(&a->fit.vector, &free))
        return false;
    grew = !was_open || extras_changed || !resources_contain(&a->fit.vector, &free);
    open_agent(f, a, &free, grew);
    return grew;
}

bool fleet_plan(struct fleet_agent *a, struct resources *left, const struct demand *d)
{
    uint16_t ports[LIMIT_TASK_PORTS];

    if (!resources_contain(left, &d->need))
        return false;
    if (d->extras != NULL) {
        if (!holds_extras(a, d->extras))
            return false;
        extra_choose(&a->extras->offered, &a->extras->used, d->extras, ports);
        extra_take(&a->extras->used, d->extras, ports, extra_needs_ports(d->extras));
    }
    resources_subtract(left, &d->need);
    return true;
}

void fleet_take(struct fleet *f, struct fleet_agent *a, const struct resources *left)
{
    f->version++;
    open_agent(f, a, left, false);
    if (a->is_taken)
        return;
    a->is_taken = true;
    MEM_GROW(f->taken, f->taken_capacity, f->taken_count + 1);
    f->taken[f->taken_count++] = a->id;
}

/* ---- agents ---- */

static void drop_agent(struct fleet *f, struct fleet_agent *a)
{
    f->version++;
    close_agent(f, a);
    size_leave(f, a);
    RB_REMOVE(fleet_tree, &f->agents, a);
    if (a->extras != NULL) {
        extra_capacity_finish(&a->extras->offered);
        extra_use_finish(&a->extras->used);
        mem_free(a->extras);
    }
    mem_free(a);
}

void fleet_finish(struct fleet *f)
{
    struct fleet_agent *a, *next;

    RB_FOREACH_SAFE (a, fleet_tree, &f->agents, next)
        drop_agent(f, a);
    mem_free(f->taken);
    use_finish(&f->total);
    *f = (struct fleet){0};
}

static struct fleet_agent *find(struct fleet *f, uint64_t id)
{
    struct fleet_agent wanted = {.id = id};

    return RB_FIND(fleet_tree, &f->agents, &wanted);
}

static struct fleet_agent *add(struct fleet *f, uint64_t id)
{
    struct fleet_agent *a = mem_zalloc(sizeof(*a));

    a->id = id;
    RB_INSERT(fleet_tree, &f->agents, a);
    return a;
}

/* Ours of this agent, made if it is new; NULL, and dropped, when there is none to follow. */
static struct fleet_agent *
follow(struct fleet *f, const struct agent *agent, uint64_t id)
{
    struct fleet_agent *a = find(f, id);

    if (agent != NULL && agent->state != AGENT_GONE)
        return a != NULL ? a : add(f, id);
    if (a != NULL)
        drop_agent(f, a);
    return NULL;
}

bool fleet_refresh(struct fleet *f, const struct state *s, uint64_t id)
{
    const struct agent *agent = state_agent(s, id);
    struct fleet_agent *a = follow(f, agent, id);

    if (a == NULL)
        return false;
    f->version++;
    size_refresh(f, a, agent);
    return free_refresh(f, a, agent);
}

/* Often the first word of it: what registers is answered before its effect is carried out. */
bool fleet_refuses(struct fleet *f, const struct state *s, uint64_t id, bool refuses)
{
#ifdef MUTANT_REFUSAL_OF_NEW_LOST
    struct fleet_agent *a = find(f, id);
#else
    struct fleet_agent *a = follow(f, state_agent(s, id), id);
#endif

    if (a == NULL)
        return false;
    a->refuses = refuses;
    return fleet_refresh(f, s, id);
}

bool fleet_refresh_taken(struct fleet *f, const struct state *s)
{
    bool grew = false;

    for (size_t i = 0; i < f->taken_count; i++) {
        struct fleet_agent *a = find(f, f->taken[i]);

        if (a != NULL)
            a->is_taken = false;
        grew |= fleet_refresh(f, s, f->taken[i]);
    }
    f->taken_count = 0;
    return grew;
}

static struct fit_need fit_need_of(const struct demand *d)
{
    return (struct fit_need){.vector = &d->need,
                             .bits = demand_bits(d),
                             .holds = d->extras == NULL ? NULL : holds_extras,
                             .context = d->extras};
}

struct fleet_agent *fleet_best(const struct fleet *f,
                               const struct fit_key *from,
                               const struct demand *d,
                               unsigned *asked)
{
    /* Too much for 64 bits is more of some kind than any agent has: nothing is found. */
    struct fit_key least = {worth(&d->need), 0};
    struct fit_need need = fit_need_of(d);
    struct fit_node *n =
        fit_tree_find(&f->open, from == NULL ? least : *from, &need, asked);

    return n == NULL ? NULL : n->owner;
}

bool fleet_grown_has_room(const struct fleet *f,
                          const struct demand *d,
                          unsigned *asked)
{
    struct fit_need need = fit_need_of(d);

    return fit_tree_find(&f->grown, (struct fit_key){0}, &need, asked) != NULL;
}
