/* fleet.c - the agents as the scheduler sees them. */
#include "sched/fleet.h"

#include "base/mem.h"

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

void fleet_init(struct fleet *f, const struct policy *policy)
{
    *f = (struct fleet){.policy = policy, .sizes_version = 1};
    RB_INIT(&f->agents);
    RB_INIT(&f->sizes);
}

/* ---- sizes ---- */

enum standing agent_standing(const struct agent *agent)
{
    if (agent->state != AGENT_ACTIVE)
        return STANDS_AWAY;
    return agent->mode == AGENT_NORMAL ? STANDS_OPEN : STANDS_CLOSED;
}

static void size_leave(struct fleet *f, struct fleet_agent *a)
{
    struct size_class *size = a->size;

    if (size == NULL)
        return;
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
    a->standing = agent_standing(agent);
    size->agents[a->standing]++;
}

static void
size_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    if (a->size != NULL && a->standing == agent_standing(agent) &&
        resources_equal(&a->size->capacity, &agent->capacity))
        return;
    size_leave(f, a);
    size_enter(f, a, agent);
}

struct census fleet_census(const struct fleet *f, const struct resources *need)
{
    struct census c = {0};
    struct size_class *size;

    RB_FOREACH (size, size_tree, (struct size_tree *)&f->sizes) {
        for (int s = 0; s < STANDINGS; s++)
            if (resources_contain(&size->capacity, need))
                c.able[s] += size->agents[s];
        for (int k = 0; k < RESOURCE_KINDS; k++)
            if (size->capacity.amount[k] > c.largest.amount[k])
                c.largest.amount[k] = size->capacity.amount[k];
    }
    return c;
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
    uint64_t worth = f->policy->worth(free);

    enter(&f->open, &a->fit, (struct fit_key){worth, a->id}, free, a);
    if (grew || a->growth.height > 0)
        enter(&f->grown, &a->growth, (struct fit_key){0, a->id}, free, a);
}

static bool
free_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    struct resources free = agent->capacity;
    bool was_open = a->fit.height > 0;
    bool grew;

    if (!agent_takes_work(agent) ||
        !resources_contain(&agent->capacity, &agent->allocated)) {
        close_agent(f, a);
        return false;
    }
#ifndef MUTANT_OVER_COMMIT
    resources_subtract(&free, &agent->allocated);
#endif
    if (was_open && resources_equal(&a->fit.vector, &free))
        return false;
    grew = !was_open || !resources_contain(&a->fit.vector, &free);
    open_agent(f, a, &free, grew);
    return grew;
}

void fleet_take(struct fleet *f, struct fleet_agent *a, const struct resources *left)
{
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
    close_agent(f, a);
    size_leave(f, a);
    RB_REMOVE(fleet_tree, &f->agents, a);
    mem_free(a);
}

void fleet_finish(struct fleet *f)
{
    struct fleet_agent *a, *next;

    RB_FOREACH_SAFE (a, fleet_tree, &f->agents, next)
        drop_agent(f, a);
    mem_free(f->taken);
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

bool fleet_refresh(struct fleet *f, const struct state *s, uint64_t id)
{
    const struct agent *agent = state_agent(s, id);
    struct fleet_agent *a = find(f, id);

    if (agent == NULL || agent->state == AGENT_GONE) {
        if (a != NULL)
            drop_agent(f, a);
        return false;
    }
    if (a == NULL)
        a = add(f, id);
    size_refresh(f, a, agent);
    return free_refresh(f, a, agent);
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

struct fleet_agent *fleet_best(const struct fleet *f,
                               const struct fit_key *from,
                               const struct resources *need)
{
    /* Too much for 64 bits is more of some kind than any agent has: nothing is found. */
    struct fit_key least = {f->policy->worth(need), 0};
    struct fit_node *n = fit_tree_find(&f->open, from == NULL ? least : *from, need);

    return n == NULL ? NULL : n->owner;
}
