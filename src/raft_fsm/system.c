/* system.c - jobs with one task on each agent. */
#include "raft_fsm/system.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/search.h"
#include "raft_fsm/state.h"

#include <string.h>

static int by_job(const struct job_system *a, const struct job_system *b)
{
    return (a->job->id > b->job->id) - (a->job->id < b->job->id);
}

RB_GENERATE(system_tree, job_system, by_job, by_job)

void job_system_create(struct job *j)
{
    j->system = mem_zalloc(sizeof(*j->system));
    j->system->job = j;
}

void job_system_destroy(struct job *j)
{
    if (j->system == NULL)
        return;
    mem_free(j->system->of);
    mem_free(j->system);
}

#define NO_INSTANCE UINT32_MAX /* of an agent that is gone: no other ever has its id */

/* How many belong to agents below this one. */
static uint32_t find(const struct job_system *s, uint64_t agent)
{
    uint32_t i;

    SEARCH_END(i, 0, s->count, s->of[i].agent < agent);
    return i;
}

struct task *system_task(const struct job *j, uint64_t agent)
{
    const struct job_system *s = j->system;
    uint32_t i = find(s, agent);

    return i < s->count && s->of[i].agent == agent && s->of[i].instance != NO_INSTANCE
               ? job_task(j, s->of[i].instance)
               : NULL;
}

void system_bind(struct job *j, uint64_t agent, uint32_t instance)
{
    struct job_system *s = j->system;
    uint32_t i = find(s, agent);

    ASSERT(i == s->count || s->of[i].agent != agent);
    MEM_GROW(s->of, s->capacity, s->count + 1);
    memmove(s->of + i + 1, s->of + i, (s->count - i) * sizeof(*s->of));
    s->of[i] = (struct system_binding){agent, instance};
    s->count++;
}

/* When half of them are of nobody. */
static void close_up(struct job_system *s)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->count; i++)
        if (s->of[i].instance != NO_INSTANCE)
            s->of[count++] = s->of[i];
    s->count = count;
    s->unbound = 0;
}

void system_unbind(struct job *j, uint64_t agent)
{
    struct job_system *s = j->system;
    uint32_t i = find(s, agent);

    ASSERT(i < s->count && s->of[i].agent == agent);
    ASSERT(s->of[i].instance != NO_INSTANCE);
    if (s->of[i].instance < s->no_vacant_below)
        s->no_vacant_below = s->of[i].instance;
    s->of[i].instance = NO_INSTANCE;
    if (++s->unbound > s->count / 2)
        close_up(s);
}

uint32_t system_next(struct job *j)
{
    uint32_t *i = &j->system->no_vacant_below;

    if (j->tasks[TASK_LOST] == 0)
        return *i = j->touched;
    while (*i < j->touched && job_task(j, *i)->state != TASK_LOST)
        ++*i;
    return *i;
}
