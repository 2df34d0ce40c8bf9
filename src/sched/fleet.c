/* fleet.c - the agents as the scheduler sees them. */
#include "sched/fleet.h"

#include "base/mem.h"

#include <string.h>

static int size_compare(const struct size_class *a, const struct size_class *b)
{
    return resources_compare(&a->capacity, &b->capacity);
}

static int agent_by_id(const struct fleet_agent *a, const struct fleet_agent *b)
{
    return (a->id > b->id) - (a->id < b->id);
}

static int agent_by_wakes(const struct fleet_agent *a, const struct fleet_agent *b)
{
    int order = fit_key_compare(&a->wakes, &b->wakes);

    return order != 0 ? order : agent_by_id(a, b);
}

RB_GENERATE(size_tree, size_class, by_capacity, size_compare)
RB_GENERATE(fleet_tree, fleet_agent, by_id, agent_by_id)
RB_GENERATE(grown_tree, fleet_agent, by_wakes, agent_by_wakes)

void fleet_init(struct fleet *f, const struct policy *policy)
{
    *f = (struct fleet){.policy = policy};
    RB_INIT(&f->agents);
    RB_INIT(&f->grown);
    RB_INIT(&f->sizes);
}

/* ---- sizes ---- */

static void size_leave(struct fleet *f, struct fleet_agent *a)
{
    struct size_class *size = a->size;

    if (size == NULL)
        return;
    if (a->is_away)
        size->away--;
    else
        size->active--;
    a->size = NULL;
    if (size->active + size->away > 0)
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
    a->size = size;
    a->is_away = agent->state != AGENT_ACTIVE;
    if (a->is_away)
        size->away++;
    else
        size->active++;
}

static void
size_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    if (a->size != NULL && a->is_away == (agent->state != AGENT_ACTIVE) &&
        resources_equal(&a->size->capacity, &agent->capacity))
        return;
    size_leave(f, a);
    size_enter(f, a, agent);
}

/* ---- free resources ---- */

static void close_agent(struct fleet *f, struct fleet_agent *a)
{
    if (a->fit.height > 0)
        fit_tree_remove(&f->open, &a->fit);
}

static void
open_agent(struct fleet *f, struct fleet_agent *a, const struct resources *free)
{
    close_agent(f, a);
    a->fit.key = (struct fit_key){f->policy->worth(free), a->id};
    a->fit.has = *free;
    a->fit.owner = a;
    fit_tree_insert(&f->open, &a->fit);
}

void fleet_grown_end(struct fleet *f, struct fleet_agent *a)
{
    if (a->is_grown)
        RB_REMOVE(grown_tree, &f->grown, a);
    a->is_grown = false;
}

void fleet_grown_until(struct fleet *f, struct fleet_agent *a, struct fit_key wakes)
{
    fleet_grown_end(f, a);
    a->wakes = wakes;
    a->is_grown = true;
    RB_INSERT(grown_tree, &f->grown, a);
}

static void
free_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    struct resources free = agent->capacity;
    bool was_open = a->fit.height > 0;

    if (!agent_takes_work(agent) ||
        !resources_contain(&agent->capacity, &agent->allocated)) {
        close_agent(f, a);
        fleet_grown_end(f, a);
        return;
    }
    resources_subtract(&free, &agent->allocated);
    if (was_open && resources_equal(&a->fit.has, &free))
        return;
    if (!was_open || !resources_contain(&a->fit.has, &free))
        fleet_grown_until(f, a, (struct fit_key){0});
    open_agent(f, a, &free);
}

void fleet_take(struct fleet *f, struct fleet_agent *a, const struct resources *left)
{
    open_agent(f, a, left);
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
    fleet_grown_end(f, a);
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

void fleet_refresh(struct fleet *f, const struct state *s, uint64_t id)
{
    const struct agent *agent = state_agent(s, id);
    struct fleet_agent *a = find(f, id);

    if (agent == NULL || agent->state == AGENT_GONE) {
        if (a != NULL)
            drop_agent(f, a);
        return;
    }
    if (a == NULL)
        a = add(f, id);
    size_refresh(f, a, agent);
    free_refresh(f, a, agent);
}

void fleet_refresh_taken(struct fleet *f, const struct state *s)
{
    for (size_t i = 0; i < f->taken_count; i++) {
        struct fleet_agent *a = find(f, f->taken[i]);

        if (a != NULL)
            a->is_taken = false;
        fleet_refresh(f, s, f->taken[i]);
    }
    f->taken_count = 0;
}

struct fleet_agent *fleet_best(const struct fleet *f,
                               const struct fit_key *from,
                               const struct resources *need)
{
    struct fit_key least = {f->policy->worth(need), 0};
    struct fit_node *n = fit_tree_find(&f->open, from == NULL ? least : *from, need);

    return n == NULL ? NULL : n->owner;
}
