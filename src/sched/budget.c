/* budget.c - what a role may do within a minute, and did. */
#include "sched/budget.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define MINUTE_US 60000000ull

void budget_init(struct budget *b)
{
    LIST_INIT(&b->purses);
}

static void forget_first(struct purse *p)
{
    struct spending *s = STAILQ_FIRST(&p->spendings);

    STAILQ_REMOVE_HEAD(&p->spendings, next);
    p->spent -= s->count;
    mem_free(s);
}

static void forget_old(struct purse *p, uint64_t now_us)
{
    struct spending *s;

    while ((s = STAILQ_FIRST(&p->spendings)) != NULL && s->at_us + MINUTE_US <= now_us)
        forget_first(p);
}

static void drop(struct purse *p)
{
    while (!STAILQ_EMPTY(&p->spendings))
        forget_first(p);
    LIST_REMOVE(p, next);
    mem_free(p);
}

void budget_finish(struct budget *b)
{
    while (!LIST_EMPTY(&b->purses))
        drop(LIST_FIRST(&b->purses));
}

static struct purse *find(const struct budget *b, const struct role *role)
{
    struct purse *p;

    LIST_FOREACH (p, &b->purses, next)
        if (strcmp(p->role, role->name) == 0)
            return p;
    return NULL;
}

uint32_t budget_left(struct budget *b,
                     const struct role *role,
                     uint32_t per_minute,
                     uint64_t now_us)
{
    struct purse *p = find(b, role);

#ifdef MUTANT_BUDGET_IGNORED
    return UINT32_MAX;
#endif
    if (p == NULL)
        return per_minute;
    forget_old(p, now_us);
    return p->spent < per_minute ? per_minute - (uint32_t)p->spent : 0;
}

/* Those of roles that spend nothing any more go, too. */
void budget_spend(struct budget *b,
                  const struct role *role,
                  uint32_t count,
                  uint64_t now_us)
{
    struct spending *s = mem_zalloc(sizeof(*s));
    struct purse *p, *next;

    LIST_FOREACH_SAFE(p, &b->purses, next, next)
    {
        forget_old(p, now_us);
        if (p->spent == 0)
            drop(p);
    }
    p = find(b, role);
    if (p == NULL) {
        p = mem_zalloc(sizeof(*p));
        snprintf(p->role, sizeof(p->role), "%s", role->name);
        STAILQ_INIT(&p->spendings);
        LIST_INSERT_HEAD(&b->purses, p, next);
    }
    *s = (struct spending){.at_us = now_us, .count = count};
    STAILQ_INSERT_TAIL(&p->spendings, s, next);
    p->spent += count;
}
