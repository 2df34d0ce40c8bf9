/* systems.c - which agents get their task of a system job. */
#include "sched/systems.h"

#include "base/limits.h"
#include "base/mem.h"
#include "sched/caps.h"

#include <limits.h>
#include <string.h>

#define AT_A_TIME      64 /* agents that are asked for one job after the other */

void systems_finish(struct systems *s)
{
    mem_free(s->jobs);
    *s = (struct systems){0};
}

static size_t find(const struct systems *s, uint64_t job)
{
    size_t i = 0;

    while (i < s->count && s->jobs[i].id != job)
        i++;
    return i;
}

static bool is_before(const struct system_job *a, const struct job *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->id < b->id;
}

static void insert(struct systems *s, const struct job *j)
{
    size_t i = 0;

    while (i < s->count && is_before(&s->jobs[i], j))
        i++;
    MEM_GROW(s->jobs, s->capacity, s->count + 1);
    memmove(s->jobs + i + 1, s->jobs + i, (s->count - i) * sizeof(*s->jobs));
    s->jobs[i] = (struct system_job){.id = j->id, .priority = j->priority};
    s->count++;
}

bool systems_job_changed(struct systems *s,
                         struct fleet *f,
                         const struct state *state,
                         uint64_t job)
{
    const struct job *j = state_job(state, job);
    bool is_open = j != NULL && j->system != NULL && job_may_place(j);
    size_t i = find(s, job);
    bool was_open = i < s->count;

    if (is_open && !was_open) {
        insert(s, j);
        fleet_all_due(f);
    } else if (was_open && !is_open) {
        s->count--;
        memmove(s->jobs + i, s->jobs + i + 1, (s->count - i) * sizeof(*s->jobs));
    }
    f->is_watched = s->count > 0;
    return was_open || (j != NULL && j->system != NULL);
}

bool systems_wants(const struct job *j, uint64_t agent)
{
    const struct task *t = system_task(j, agent);

    return t == NULL || (t->state == TASK_PENDING && !task_waits(t));
}

/* With so many more than the state has. */
static bool
has_room_for_task(const struct state *state, const struct job *j, size_t planned)
{
    return j->tasks[TASK_LOST] > 0 || state->task_count + planned < LIMIT_TASKS;
}

bool systems_have_room(const struct state *state, const struct job *j)
{
    const struct role *role = j->owner->role;

    return bound_has_room(&role->spec.max, &role->use, j, 1) &&
           has_room_for_task(state, j, 0);
}

/* ---- a round ---- */

struct place {
    struct fleet *fleet;
    const struct state *state;
    struct placement *out;
    size_t count, max;
    unsigned asked;
};

/* The agent's task, if it has room for it. */
static void place_on(struct place *p,
                     struct system_job *of,
                     const struct job *j,
                     struct seek *k,
                     struct fleet_agent *a)
{
    const struct task *t = system_task(j, a->id);
    struct resources left = a->fit.vector;
    struct fit_signature cap;

    p->asked++;
    if (!a->fit.is_in || !systems_wants(j, a->id) || !seek_matches(k, a))
        return;
    if (cap_of(&of->first->room, &of->role->spec.max, k->demand, &cap) ||
        (t == NULL && !has_room_for_task(p->state, j, p->count))) {
        of->is_capped = true;
        return;
    }
    if (!fleet_plan(a, &left, k->demand))
        return;
    fleet_take(p->fleet, a, &left);
    seek_took(k, a, j);
    bound_room_take(&of->first->room, &of->role->spec.max, j);
    p->out[p->count++] = (struct placement){.job = j->id,
                                            .instance = t == NULL ? 0 : t->instance,
                                            .attempt = t == NULL ? 0 : t->attempt + 1,
                                            .agent = a->id};
}

static void place_job(struct place *p,
                      struct system_job *of,
                      struct fleet_agent *const *agents,
                      size_t count)
{
    const struct job *j = state_job(p->state, of->id);
    struct demand d = job_demand(j);
    struct seek k;

    seek_begin(&k, p->fleet, p->state, j->owner->role, &d, UINT_MAX);
    seek_count(&k, j, p->out, p->count);
    for (size_t i = 0; i < count && p->count < p->max; i++)
        place_on(p, of, j, &k, agents[i]);
    p->asked += k.effort.spent;
}

/* Who waits for its role waits no more. */
static void uncap(struct systems *s, struct fleet *f, const struct state *state)
{
    bool has_room = false;

    for (size_t i = 0; i < s->count; i++) {
        struct system_job *of = &s->jobs[i];

        if (!of->is_capped || !systems_have_room(state, state_job(state, of->id)))
            continue;
        of->is_capped = false;
        has_room = true;
    }
    if (has_room)
        fleet_all_due(f);
}

/* What each role may have more. */
static void read_roles(struct systems *s, const struct state *state)
{
    for (size_t i = 0; i < s->count; i++) {
        struct system_job *of = &s->jobs[i], *first = s->jobs;

        of->role = state_job(state, of->id)->owner->role;
        while (first->role != of->role)
            first++;
        of->first = first;
        if (first == of)
            of->room = bound_room(&of->role->spec.max, &of->role->use);
    }
}

/* Where there was no room for all placements, who got some is due behind those that got none. */
static void was_asked(struct place *p, struct fleet_agent *const *agents, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (p->count < p->max)
            fleet_not_due(p->fleet, agents[i]);
        else if (agents[i]->is_taken)
            fleet_due_last(p->fleet, agents[i]);
}

size_t systems_place(struct systems *s,
                     struct fleet *f,
                     const struct state *state,
                     enum due last,
                     struct placement *out,
                     size_t max,
                     unsigned *looks)
{
    struct place p = {.fleet = f, .state = state, .out = out, .max = max};
    struct fleet_agent *agents[AT_A_TIME];

    uncap(s, f, state);
    if (fleet_is_due(f, last))
        read_roles(s, state);
    while (fleet_is_due(f, last) && *looks > 0 && p.count < p.max) {
        size_t count = fleet_due(f, last, agents, AT_A_TIME);

        p.asked = 0;
        for (size_t i = 0; i < s->count; i++)
            place_job(&p, &s->jobs[i], agents, count);
        was_asked(&p, agents, count);
        *looks -= p.asked / ASKED_PER_LOOK < *looks ? p.asked / ASKED_PER_LOOK : *looks;
        *looks -= *looks > 0;
    }
    return p.count;
}
