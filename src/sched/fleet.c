/* fleet.c - the agents as the scheduler sees them. */
#include "sched/fleet.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "sched/worth.h"

#include <string.h>

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
    values_init(&f->values);
    for (int due = 0; due < DUE_KINDS; due++)
        TAILQ_INIT(&f->due[due]);
}

/* Rounded up to four bits, so that jobs with nearly the same time are of one shape. */
static uint64_t rounded_ms(uint64_t ms)
{
    int extra = ms < 16 ? 0 : 60 - __builtin_clzll(ms);
    uint64_t step = 1ull << extra;

    return ms > LIMIT_RESOURCE ? ms : (ms + step - 1) / step * step;
}

struct demand job_demand(const struct job *j)
{
    return (struct demand){
        .need = j->resources,
        .extras = j->extras,
        .match = j->match,
        .job = j->is_gang || match_bytes_distinct(j->match) ? j->id : 0,
        .lasts_ms = rounded_ms(j->expected_ms),
        .at_once = job_is_whole(j) ? job_pending(j) : 1,
    };
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
    if (worth(&size->capacity) == f->most)
        f->most_is_known = false;
    RB_REMOVE(size_tree, &f->sizes, size);
    mem_free(size);
}

uint64_t fleet_most(struct fleet *f)
{
    struct size_class *size;

    if (f->most_is_known)
        return f->most;
    f->most = 1;
    RB_FOREACH (size, size_tree, &f->sizes)
        if (worth(&size->capacity) > f->most)
            f->most = worth(&size->capacity);
    f->most_is_known = true;
    return f->most;
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
        if (worth(&size->capacity) > f->most)
            f->most = worth(&size->capacity);
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
    /* Who is away has no tasks that count. */
    f->regrouped |=
        (a->standing == STANDS_AWAY) != (standing_of(a, agent) == STANDS_AWAY);
    size_leave(f, a);
    size_enter(f, a, agent);
}

const struct fleet_extras fleet_no_extras;

bool fleet_has_extras(const struct fleet_agent *a, const struct extra_needs *n)
{
    const struct fleet_extras *e = fleet_extras_of(a);

    return n == NULL || extra_has_room(&e->offered, &e->used, n);
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
    if (n->is_in)
        fit_tree_remove(t, n);
}

static void enter(struct fit_tree *t,
                  struct fit_node *n,
                  struct fit_key key,
                  const struct resources *free,
                  struct fit_set set,
                  struct fleet_agent *owner)
{
    leave(t, n);
    n->key = key;
    n->vector = *free;
    n->bits = offered_bits(owner);
    n->set = set;
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
    enter(&f->open,
          &a->fit,
          (struct fit_key){worth(free), a->id},
          free,
          attributes_set(&a->attributes),
          a);
    if (grew || a->growth.is_in)
        enter(&f->grown,
              &a->growth,
              (struct fit_key){0, a->id},
              free,
              attributes_text_set(&a->attributes),
              a);
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

/* Agents are known by other bits: once for each attribute that gets many values. */
static void enter_anew(struct fleet *f)
{
    struct fleet_agent *a;

    f->values.dealt_anew = false;
    RB_FOREACH (a, fleet_tree, &f->agents) {
        struct resources free = a->fit.vector;

        if (a->fit.is_in)
            open_agent(f, a, &free, false);
    }
}

/* Likewise, of what its constraints are about: what it registered with. */
static bool
attributes_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    struct hash128 hash = hash128_of(agent->spec);
    bool is_new = a->attributes.count == 0, changed;
    struct agent_spec spec;

    if (hash128_equal(hash, a->spec))
        return false;
    a->spec = hash;
    if (agent_spec_unpack(&spec, agent->spec, NULL) != 0)
        return false;
    changed = values_set(&f->values, &a->attributes, &spec, a->id, a);
    if (f->values.dealt_anew)
        enter_anew(f);
    agent_spec_finish(&spec);
    if (changed)
        f->sizes_version++;
    f->regrouped |= changed && !is_new;
    return changed;
}

static bool
free_refresh(struct fleet *f, struct fleet_agent *a, const struct agent *agent)
{
    struct resources free = agent->capacity;
    bool was_open = a->fit.is_in;
    bool changed = attributes_refresh(f, a, agent), grew;

    changed |= extras_refresh(f, a, agent);
    changed |= a->is_relaxed;
    a->is_relaxed = false;
    a->runs = agent->attempts_count;
    if (a->refuses || !agent_takes_work(agent) ||
        !resources_contain(&agent->capacity, &agent->allocated)) {
        close_agent(f, a);
        return false;
    }
#ifndef MUTANT_OVER_COMMIT
    resources_subtract(&free, &agent->allocated);
#endif
    if (was_open && !changed && resources_equal(&a->fit.vector, &free))
        return false;
    grew = !was_open || changed || !resources_contain(&a->fit.vector, &free);
    open_agent(f, a, &free, grew);
    return grew;
}

bool fleet_plan(struct fleet_agent *a, struct resources *left, const struct demand *d)
{
    uint16_t ports[LIMIT_TASK_PORTS];

    if (a->runs == LIMIT_AGENT_RUNS || !resources_contain(left, &d->need))
        return false;
    if (d->extras != NULL) {
        if (!fleet_has_extras(a, d->extras))
            return false;
        extra_choose(&a->extras->offered, &a->extras->used, d->extras, ports);
        extra_take(&a->extras->used, d->extras, ports, extra_needs_ports(d->extras));
    }
    resources_subtract(left, &d->need);
    a->runs++;
    return true;
}

static void read_later(struct fleet *f, struct fleet_agent *a)
{
    if (a->is_taken)
        return;
    a->is_taken = true;
    MEM_GROW(f->taken, f->taken_capacity, f->taken_count + 1);
    f->taken[f->taken_count++] = a->id;
}

void fleet_take(struct fleet *f, struct fleet_agent *a, const struct resources *left)
{
    f->version++;
    if (a->runs < LIMIT_AGENT_RUNS)
        open_agent(f, a, left, false);
    else
        close_agent(f, a);
    read_later(f, a);
}

void fleet_relax(struct fleet *f, struct fleet_agent *a)
{
    f->version++;
    f->has_relaxed = true;
    a->is_relaxed = true;
    read_later(f, a);
}

/* As it is in the state. */
static void reread(struct fleet *f, const struct state *s, struct fleet_agent *a)
{
    const struct agent *agent = state_agent(s, a->id);
    struct resources free = agent->capacity;

    if (a->is_reread)
        return;
    a->is_reread = true;
    a->runs = agent->attempts_count;
    if (a->extras != NULL)
        extra_use_copy(&a->extras->used, &agent->extras_used);
    resources_subtract(&free, &agent->allocated);
    open_agent(f, a, &free, false);
}

static void
plan_again(struct fleet *f, const struct state *s, const struct placement *p)
{
    struct fleet_agent *a = fleet_agent(f, p->agent);
    struct demand d = job_demand(state_job(s, p->job));
    struct resources left = a->fit.vector;
    bool fits;

    if (!a->is_reread)
        return;
    fits = fleet_plan(a, &left, &d);
    ASSERT(fits);
    fleet_take(f, a, &left);
}

void fleet_forget(struct fleet *f,
                  const struct state *s,
                  const struct placement *planned,
                  size_t kept,
                  size_t count)
{
    if (count == 0)
        return;
    f->version++;
    for (size_t i = 0; i < kept + count; i++)
        names_forget(&fleet_agent(f, planned[i].agent)->names);
    f->named = 0;
    for (size_t i = kept; i < kept + count; i++)
        reread(f, s, fleet_agent(f, planned[i].agent));
    for (size_t i = 0; i < kept; i++)
        plan_again(f, s, &planned[i]);
    for (size_t i = kept; i < kept + count; i++)
        fleet_agent(f, planned[i].agent)->is_reread = false;
}

/* ---- who is due ---- */

void fleet_not_due(struct fleet *f, struct fleet_agent *a)
{
    if (a->due != DUE_NOT)
        TAILQ_REMOVE(&f->due[a->due], a, next_due);
    a->due = DUE_NOT;
}

void fleet_make_due(struct fleet *f, struct fleet_agent *a, enum due due)
{
    if (a->due >= due)
        return;
    fleet_not_due(f, a);
    a->due = due;
    TAILQ_INSERT_TAIL(&f->due[due], a, next_due);
}

void fleet_due_last(struct fleet *f, struct fleet_agent *a)
{
    TAILQ_REMOVE(&f->due[a->due], a, next_due);
    TAILQ_INSERT_TAIL(&f->due[a->due], a, next_due);
}

void fleet_all_due(struct fleet *f)
{
    f->sweep_left = f->count;
}

/* It goes on where it was also when all are due once more, so it gets to everybody. */
static void sweep(struct fleet *f, size_t max)
{
    struct fleet_agent from = {.id = f->sweep_at};
    struct fleet_agent *a = RB_NFIND(fleet_tree, &f->agents, &from);

    for (; f->sweep_left > 0 && max > 0; f->sweep_left--, max--) {
        if (a == NULL)
            a = RB_MIN(fleet_tree, &f->agents);
        fleet_make_due(f, a, DUE);
        f->sweep_at = a->id + 1;
        a = RB_NEXT(fleet_tree, &f->agents, a);
    }
}

static const struct fleet_list *first_due(const struct fleet *f, enum due last)
{
    return &f->due[TAILQ_EMPTY(&f->due[DUE_NEW]) ? last : DUE_NEW];
}

bool fleet_is_due(const struct fleet *f, enum due last)
{
    return !TAILQ_EMPTY(first_due(f, last)) || (last == DUE && f->sweep_left > 0);
}

size_t
fleet_due(struct fleet *f, enum due last, struct fleet_agent **agents, size_t max)
{
    struct fleet_agent *a;
    size_t count = 0;

    if (last == DUE)
        sweep(f, max);
    TAILQ_FOREACH (a, first_due(f, last), next_due) {
        if (count == max)
            break;
        agents[count++] = a;
    }
    return count;
}

/* ---- agents ---- */

static void drop_agent(struct fleet *f, struct fleet_agent *a)
{
    f->version++;
    close_agent(f, a);
    fleet_not_due(f, a);
    size_leave(f, a);
    RB_REMOVE(fleet_tree, &f->agents, a);
    f->by_id[a->id] = NULL;
    f->count--;
    if (f->sweep_left > f->count)
        f->sweep_left = f->count;
    values_clear(&f->values, &a->attributes);
    names_forget(&a->names);
    f->regrouped = true;
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

    fit_tree_clear(&f->open);
    fit_tree_clear(&f->grown);
    RB_FOREACH_SAFE (a, fleet_tree, &f->agents, next)
        drop_agent(f, a);
    mem_free(f->taken);
    mem_free(f->by_id);
    matchers_finish(&f->matchers, &f->values);
    use_finish(&f->total);
    *f = (struct fleet){0};
}

struct fleet_agent *fleet_agent(const struct fleet *f, uint64_t id)
{
    return id < f->ids ? f->by_id[id] : NULL;
}

static struct fleet_agent *add(struct fleet *f, uint64_t id)
{
    struct fleet_agent *a = mem_zalloc(sizeof(*a));
    size_t ids = f->ids;

    a->id = id;
    MEM_GROW(f->by_id, f->ids, id + 1);
    memset(f->by_id + ids, 0, (f->ids - ids) * sizeof(struct fleet_agent *));
    f->by_id[id] = a;
    RB_INSERT(fleet_tree, &f->agents, a);
    f->count++;
    f->sweep_left += f->sweep_left > 0; /* those that were left still are */
    return a;
}

/* Ours of this agent, made if it is new; NULL, and dropped, when there is none to follow. */
static struct fleet_agent *
follow(struct fleet *f, const struct agent *agent, uint64_t id)
{
    struct fleet_agent *a = fleet_agent(f, id);

    if (agent != NULL && agent->state != AGENT_GONE)
        return a != NULL ? a : add(f, id);
    if (a != NULL)
        drop_agent(f, a);
    return NULL;
}

/* ---- reading ---- */

bool fleet_refresh(struct fleet *f, const struct state *s, uint64_t id)
{
    const struct agent *agent = state_agent(s, id);
    struct fleet_agent *a = follow(f, agent, id);
    bool was_open, grew;

    if (a == NULL)
        return false;
    f->version++;
    names_forget(&a->names);
    a->changes++;
    size_refresh(f, a, agent);
    was_open = a->fit.is_in;
#ifdef MUTANT_NEW_AGENT_WAITS_FOR_TURN
    was_open = true;
#endif
    grew = free_refresh(f, a, agent);
    if (grew && f->is_watched)
        fleet_make_due(f, a, was_open ? DUE : DUE_NEW);
    return grew;
}

/* Often the first word of it: what registers is answered before its effect is carried out. */
bool fleet_refuses(struct fleet *f, const struct state *s, uint64_t id, bool refuses)
{
#ifdef MUTANT_REFUSAL_OF_NEW_LOST
    struct fleet_agent *a = fleet_agent(f, id);
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
        struct fleet_agent *a = fleet_agent(f, f->taken[i]);

        if (a != NULL)
            a->is_taken = false;
        grew |= fleet_refresh(f, s, f->taken[i]);
    }
    f->taken_count = 0;
    f->named = 0;
    f->has_relaxed = false;
    return grew;
}
