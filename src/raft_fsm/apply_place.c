/* apply_place.c - placements (docs/spec/2-commands.md): of single tasks, and of gangs, which are
 * placed as a whole (docs/spec/14-kinds.md).
 *
 * Tasks of a gang are equal.  So whether all of them fit is a matter of how many go to each
 * agent, and is known before the first of them is placed. */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(LIMIT_GANG_TASKS <= LIMIT_PLACE_AHEAD &&
                   LIMIT_GANG_TASKS <= LIMIT_PLACEMENTS,
               "a gang is placed by one command");

/* ---- one ---- */

/* The task waits for this attempt. */
static bool is_next(const struct task *t, const struct placement *p)
{
    return t->state == TASK_PENDING && !task_waits(t) &&
           p->attempt == t->attempt + 1ull;
}

/* Its task on that agent is this one; 0.0 asks for one where it has none. */
static bool
is_due_there(const struct state *s, const struct job *j, const struct placement *p)
{
    const struct task *t = system_task(j, p->agent);

#ifndef MUTANT_SYSTEM_TWICE
    if (t != NULL)
        return p->instance == t->instance && is_next(t, p);
#endif
    return p->instance == 0 && p->attempt == 0 &&
           (j->tasks[TASK_LOST] > 0 || s->task_count < LIMIT_TASKS);
}

static bool
is_due(const struct state *s, const struct job *j, const struct placement *p)
{
    const struct task *t;

    if (j->system != NULL)
        return is_due_there(s, j, p);
    if (p->instance >= j->instances ||
        p->instance >= (uint64_t)j->touched + LIMIT_PLACE_AHEAD)
        return false;
    t = job_task(j, p->instance);
    return t == NULL ? p->attempt == 1 : is_next(t, p);
}

static bool may_place(const struct state *s,
                      const struct job *j,
                      const struct agent *agent,
                      const struct placement *p)
{
    if (j == NULL || agent == NULL || j->kill_index != 0)
        return false;
#ifndef MUTANT_BLOCKED_IS_PLACED
    if (job_is_blocked(j))
        return false;
#endif
    if (!agent_takes_work(agent))
        return false;
#if !defined(MUTANT_PLACE_UNCHECKED) && !defined(MUTANT_OVER_COMMIT)
    if (!agent_has_room(agent, j))
        return false;
#endif
#ifndef MUTANT_ROLE_MAX_UNCHECKED
    if (!bound_has_room(&j->owner->role->spec.max, &j->owner->role->use, j, 1))
        return false;
#endif
    return is_due(s, j, p);
}

/* The ports of an attempt: its own from now until it is removed. */
static void take_ports(struct attempt *t)
{
    uint16_t *ports = attempt_ports(t);

    if (t->port_count == 0)
        return;
    extra_choose(&t->agent->extras, &t->agent->extras_used, t->job->extras, ports);
#ifdef MUTANT_PORT_TWICE
    ports[t->port_count - 1] = t->agent->extras.ports[0].first;
#endif
}

static struct attempt *attempt_add(struct apply *a,
                                   struct job *j,
                                   struct agent *agent,
                                   const struct placement *p)
{
    uint32_t ports = j->extras == NULL ? 0 : extra_needs_ports(j->extras);
    struct attempt *t = attempt_create((uint8_t)ports);

    t->id = ++a->state->globals.last_attempt_id;
    t->placed_us = a->stamp_us;
    t->instance = p->instance;
    t->number = p->attempt;
    t->state = TASK_STAGING;
    t->job = j;
    t->agent = agent;
    take_ports(t);
    state_add(a->state, object_attempt(t));
    return t;
}

/* An agent gets its task of a system job, inside an edit of that: which one it is. */
static struct placement
choose_instance(struct apply *a, struct job *j, const struct placement *p)
{
    struct placement chosen = *p;

    chosen.instance = system_next(j);
    if (chosen.instance == j->instances)
        state_grow(a->state, j);
    state_touch(a->state, j, chosen.instance);
    chosen.attempt = job_task(j, chosen.instance)->attempt + 1;
    system_bind(j, p->agent, chosen.instance);
    return chosen;
}

/* It may be. */
static void place(struct apply *a, const struct placement *asked)
{
    struct job *j = state_job(a->state, asked->job);
    struct agent *agent = state_agent(a->state, asked->agent);
    enum job_state before = job_open(a, j);
    struct placement p = asked->attempt == 0 ? choose_instance(a, j, asked) : *asked;
    struct attempt *attempt = attempt_add(a, j, agent, &p);
    struct task *t;

    state_touch(a->state, j, p.instance);
    t = job_task(j, p.instance);
    state_edit(a->state, object_task(j, t));
    if (t->agent_id != agent->id && j->system != NULL)
        task_forget_tries(t);
    t->attempt_id = attempt->id;
    t->agent_id = agent->id;
    t->attempt = p.attempt;
    t->started_us = t->ended_us = 0;
    task_begin_staging(t);
    state_edited(a->state, object_task(j, t));
    job_close(a, j, before);
    apply_effect(a, EFFECT_LAUNCH, attempt->id, agent->id);
}

static bool place_one(struct apply *a, const struct placement *p)
{
    const struct state *s = a->state;

    if (!may_place(s, state_job(s, p->job), state_agent(s, p->agent), p))
        return false;
    place(a, p);
    return true;
}

/* ---- place a gang ---- */

struct gang {
    const struct job *job;
    struct placement of[LIMIT_GANG_TASKS];
    uint32_t count; /* more than there is room for in `of`, too */
};

/* All placements from the first one on that are of its job. */
static void take_gang(struct gang *g,
                      const struct command *c,
                      struct command_cursor *at,
                      const struct placement *first)
{
    struct placement p = *first;
    struct command_cursor behind;

    g->count = 0;
    do {
        if (g->count < LIMIT_GANG_TASKS)
            g->of[g->count] = p;
        g->count++;
        behind = *at;
    } while (command_next_placement(c, at, &p) && p.job == first->job);
    *at = behind;
}

static int by_agent(const void *a, const void *b)
{
    const struct placement *x = a, *y = b;

    if (x->agent != y->agent)
        return x->agent < y->agent ? -1 : 1;
    return (x->instance > y->instance) - (x->instance < y->instance);
}

/* Each of them by itself, and each agent has room for all that it is to have. */
static bool agents_have_room(const struct state *s, const struct gang *g)
{
    struct placement of[LIMIT_GANG_TASKS];
    uint32_t next;

    memcpy(of, g->of, g->count * sizeof(of[0]));
    qsort(of, g->count, sizeof(of[0]), by_agent);
    for (uint32_t i = 0; i < g->count; i = next) {
        const struct agent *agent = state_agent(s, of[i].agent);

        for (next = i; next < g->count && of[next].agent == of[i].agent; next++)
            if (!may_place(s, g->job, agent, &of[next]))
                return false;
        if (agent_room(agent, g->job, next - i) < next - i)
            return false;
    }
    return true;
}

static bool may_place_gang(const struct state *s, const struct gang *g)
{
    const struct role *role = g->job->owner->role;

    if (g->count != job_pending(g->job) || g->count > LIMIT_GANG_TASKS)
        return false;
    for (uint32_t i = 1; i < g->count; i++)
        if (g->of[i - 1].instance >= g->of[i].instance)
            return false;
    return bound_has_room(&role->spec.max, &role->use, g->job, g->count) &&
           agents_have_room(s, g);
}

static uint32_t place_gang(struct apply *a, const struct gang *g)
{
    uint32_t accepted = 0;

#ifdef MUTANT_GANG_IN_PARTS
    for (uint32_t i = 0; i < g->count && i < LIMIT_GANG_TASKS; i++)
        accepted += place_one(a, &g->of[i]);
    return accepted;
#endif
    if (!may_place_gang(a->state, g))
        return 0;
    for (; accepted < g->count; accepted++)
        place(a, &g->of[accepted]);
    return accepted;
}

struct result apply_place(struct apply *a, const struct command *c)
{
    struct command_cursor at = {0};
    struct placement p;
    uint64_t accepted = 0;
    struct gang g;

    a->work += c->place.count;
    while (command_next_placement(c, &at, &p)) {
        g.job = state_job(a->state, p.job);
        if (g.job == NULL || !job_is_whole(g.job)) {
            accepted += place_one(a, &p);
            continue;
        }
        take_gang(&g, c, &at, &p);
        accepted += place_gang(a, &g);
    }
    return result_done(a, accepted);
}
