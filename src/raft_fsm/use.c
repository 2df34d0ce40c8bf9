/* use.c - amounts of many tasks or agents together. */
#include "raft_fsm/use.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft_fsm/state.h"

#include <string.h>

static int by_name(const struct use_custom *a, const struct use_custom *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE(use_tree, use_custom, by_name, by_name)

/* ---- custom resources ---- */

static struct use_custom *find(const struct use *u, const char *name)
{
    struct use_custom wanted = {.name = (char *)name};

    return RB_FIND(use_tree, (struct use_tree *)&u->custom, &wanted);
}

static void drop(struct use *u, struct use_custom *c)
{
    RB_REMOVE(use_tree, &u->custom, c);
    mem_free(c->name);
    mem_free(c);
}

static void add(struct use *u, const char *name, unsigned __int128 amount)
{
    struct use_custom *c = find(u, name);

    if (c == NULL) {
        c = mem_zalloc(sizeof(*c));
        c->name = mem_strdup(name);
        RB_INSERT(use_tree, &u->custom, c);
    }
    c->amount += amount;
}

static void subtract(struct use *u, const char *name, unsigned __int128 amount)
{
    struct use_custom *c = find(u, name);

    ASSERT(c != NULL && c->amount >= amount);
    c->amount -= amount;
    if (c->amount == 0)
        drop(u, c);
}

unsigned __int128 use_of(const struct use *u, const char *name)
{
    const struct use_custom *c = find(u, name);

    return c == NULL ? 0 : c->amount;
}

/* ---- all of it ---- */

void use_finish(struct use *u)
{
    struct use_custom *c;

    while ((c = RB_ROOT(&u->custom)) != NULL)
        drop(u, c);
    *u = (struct use){0};
}

void use_add(struct use *u,
             const struct resources *r,
             const struct custom_resources *custom)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        u->amount[k] += r->amount[k];
    for (size_t i = 0; i < custom->count; i++)
        add(u, custom->items[i].name, custom->items[i].amount);
}

void use_subtract(struct use *u,
                  const struct resources *r,
                  const struct custom_resources *custom)
{
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        ASSERT(u->amount[k] >= r->amount[k]);
        u->amount[k] -= r->amount[k];
    }
    for (size_t i = 0; i < custom->count; i++)
        subtract(u, custom->items[i].name, custom->items[i].amount);
}

void use_take(struct use *u, const struct job *j)
{
    use_add(u, &j->resources, job_custom(j));
}

void use_give(struct use *u, const struct job *j)
{
    use_subtract(u, &j->resources, job_custom(j));
}

void use_take_many(struct use *u, const struct job *j, uint32_t tasks)
{
    const struct custom_resources *custom = job_custom(j);

    for (int k = 0; k < RESOURCE_KINDS; k++)
        u->amount[k] += (unsigned __int128)j->resources.amount[k] * tasks;
    for (size_t i = 0; i < custom->count && tasks > 0; i++)
        add(u,
            custom->items[i].name,
            (unsigned __int128)custom->items[i].amount * tasks);
}

void use_give_many(struct use *u, const struct job *j, uint32_t tasks)
{
    const struct custom_resources *custom = job_custom(j);

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        unsigned __int128 amount = (unsigned __int128)j->resources.amount[k] * tasks;

        ASSERT(u->amount[k] >= amount);
        u->amount[k] -= amount;
    }
    for (size_t i = 0; i < custom->count && tasks > 0; i++)
        subtract(u,
                 custom->items[i].name,
                 (unsigned __int128)custom->items[i].amount * tasks);
}

void use_add_all(struct use *u, const struct use *other)
{
    struct use_custom *c;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        u->amount[k] += other->amount[k];
    RB_FOREACH (c, use_tree, (struct use_tree *)&other->custom)
        add(u, c->name, c->amount);
}

bool use_equal(const struct use *a, const struct use *b)
{
    struct use_custom *x = RB_MIN(use_tree, (struct use_tree *)&a->custom);
    struct use_custom *y = RB_MIN(use_tree, (struct use_tree *)&b->custom);

    if (memcmp(a->amount, b->amount, sizeof(a->amount)) != 0)
        return false;
    while (x != NULL && y != NULL && strcmp(x->name, y->name) == 0 &&
           x->amount == y->amount) {
        x = RB_NEXT(use_tree, &a->custom, x);
        y = RB_NEXT(use_tree, &b->custom, y);
    }
    return x == NULL && y == NULL;
}
