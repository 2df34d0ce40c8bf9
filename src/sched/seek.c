/* seek.c - one search for an agent. */
#include "sched/seek.h"

#include "base/assert.h"
#include "base/text.h"
#include "sched/worth.h"

#include <string.h>

#define FEW               32 /* agents that are asked one by one instead of a search */
#define COUNTED_PER_ASKED 8

typedef unsigned __int128 u128;

/* ---- beginning ---- */

void seek_begin(struct seek *k,
                struct fleet *f,
                const struct state *s,
                const struct role *role,
                const struct demand *d)
{
    *k = (struct seek){.fleet = f,
                       .state = s,
                       .role = role,
                       .demand = d,
                       .need = worth(&d->need),
                       .most = fleet_most(f),
                       .alpha = role->spec.alpha,
                       .from_end = role->spec.balance == BALANCE_SPREAD};
    k->is_single = k->from_end;
    if (d->match.size == 0)
        return;
    k->matcher = matchers_get(&f->matchers, &f->values, d->match);
    k->has_wishes = k->matcher->weights > 0 && k->alpha > 0;
    k->is_single |= k->matcher->distinct_count > 0 ||
                    (k->has_wishes && k->matcher->match.spread_count > 0);
}

static bool counts_tasks(const struct seek *k)
{
    return k->matcher != NULL &&
           (k->matcher->distinct_count > 0 || k->matcher->match.spread_count > 0);
}

/* ---- anti-affinity ---- */

static bool has_aparts(const struct seek *k)
{
    return k->matcher != NULL && k->matcher->match.apart_count > 0;
}

/* Bits of the names that this job has one of, in the same role. */
static uint32_t apart_bits(const struct seek *k, const struct job *j)
{
    const struct match *m = &k->matcher->match;
    struct bytes name;
    uint32_t bits = 0;

    if (j->owner->role != k->role)
        return 0;
    name = job_spec_name(j->spec);
    for (size_t i = 0; i < m->apart_count; i++)
        if (strlen(m->aparts[i].job) == name.size &&
            memcmp(m->aparts[i].job, name.data, name.size) == 0)
            bits |= 1u << i;
    return bits;
}

static bool names_itself(const struct seek *k, const struct job *j)
{
    return apart_bits(k, j) != 0;
}

static void plan_apart(struct seek *k, struct fleet_agent *a, const struct job *j)
{
    uint32_t bits = apart_bits(k, j);

    a->apart = (a->apart_count == k->fleet->values.count ? a->apart : 0) | bits;
    a->apart_count = k->fleet->values.count;
}

/* Of which names there is a task on an agent. */
static uint32_t aparts_on(const struct seek *k, const struct fleet_agent *a)
{
    struct agent *agent = state_agent(k->state, a->id);
    uint32_t bits = a->apart_count == k->fleet->values.count ? a->apart : 0;
    struct attempt *t;

    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        bits |= apart_bits(k, t->job);
    return bits;
}

/* ---- counting ---- */

static void count_task(struct seek *k, uint64_t agent)
{
    const struct fleet_agent *a = fleet_agent(k->fleet, agent);

    if (a != NULL)
        values_count_task(&k->fleet->values, &a->attributes);
}

static bool is_live(const struct task *t)
{
    return t->state != TASK_PENDING && !task_state_is_final((enum task_state)t->state);
}

static void count_own(struct seek *k,
                      const struct job *j,
                      const struct placement *planned,
                      size_t count)
{
    for (uint32_t i = 0; i < j->touched; i++) {
        const struct task *t = job_task(j, i);

        if (is_live(t))
            count_task(k, t->agent_id);
    }
    for (size_t i = 0; i < count; i++)
        if (planned[i].job == j->id)
            count_task(k, planned[i].agent);
    for (size_t i = 0; i < k->matcher->distinct_count; i++)
        counter_begin(&k->matcher->distincts[i], &k->fleet->values);
    for (size_t i = 0; i < k->matcher->match.spread_count; i++)
        counter_begin(&k->matcher->spreads[i], &k->fleet->values);
}

static void count_planned(struct seek *k, const struct placement *planned, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fleet_agent *a = fleet_agent(k->fleet, planned[i].agent);
        const struct job *j = state_job(k->state, planned[i].job);

        if (a != NULL && j != NULL)
            plan_apart(k, a, j);
    }
}

void seek_count(struct seek *k,
                const struct job *j,
                const struct placement *planned,
                size_t count,
                unsigned *asked)
{
    if (!counts_tasks(k) && !has_aparts(k))
        return;
    values_count(&k->fleet->values);
    if (has_aparts(k)) {
        count_planned(k, planned, count);
        k->is_single |= names_itself(k, j);
        *asked += (unsigned)count / COUNTED_PER_ASKED;
    }
    if (counts_tasks(k)) {
        count_own(k, j, planned, count);
        *asked += (j->touched + (unsigned)count) / COUNTED_PER_ASKED;
    }
}

void seek_took(struct seek *k, struct fleet_agent *a, const struct job *j)
{
    if (has_aparts(k))
        plan_apart(k, a, j);
    if (!counts_tasks(k))
        return;
    values_count_task(&k->fleet->values, &a->attributes);
    for (size_t i = 0; i < k->matcher->distinct_count; i++)
        counter_add(&k->matcher->distincts[i], &k->fleet->values, &a->attributes);
    for (size_t i = 0; i < k->matcher->match.spread_count; i++)
        counter_add(&k->matcher->spreads[i], &k->fleet->values, &a->attributes);
}

struct fit_key
seek_after(const struct seek *k, struct fit_key was, const struct fleet_agent *a)
{
    if (k->has_wishes || k->from_end)
        return (struct fit_key){k->need, 0};
    return k->is_single && seek_matches(k, a) ? a->fit.key : was;
}

/* ---- one agent ---- */

static bool keeps_apart(const struct seek *k, const struct fleet_agent *a)
{
    const struct match *m = &k->matcher->match;
    uint32_t never = 0;

    for (size_t i = 0; i < m->apart_count; i++)
        if (m->aparts[i].weight == 0)
            never |= 1u << i;
    return never == 0 || (aparts_on(k, a) & never) == 0;
}

bool seek_keeps(const struct seek *k, const struct fleet_agent *a, size_t constraint)
{
    const struct match *m = &k->matcher->match;
    size_t distincts = 0;

    if (constraint == m->constraint_count)
        return keeps_apart(k, a);
    for (size_t i = 0; i < constraint; i++)
        distincts += m->constraints[i].op == MATCH_DISTINCT;
    if (m->constraints[constraint].op != MATCH_DISTINCT)
        return rule_holds(k->matcher->constraints[constraint - distincts],
                          &a->attributes);
    return counter_may_add(
        &k->matcher->distincts[distincts], &k->fleet->values, &a->attributes);
}

bool seek_depends_on_tasks(const struct seek *k)
{
    return has_aparts(k) || (k->matcher != NULL && k->matcher->distinct_count > 0);
}

bool seek_matches(const struct seek *k, const struct fleet_agent *a)
{
    const struct matcher *m = k->matcher;

    if (m == NULL)
        return true;
    for (size_t i = 0; i < m->distinct_count; i++)
        if (!counter_may_add(&m->distincts[i], &k->fleet->values, &a->attributes))
            return false;
    return matcher_holds(m, &a->attributes) && keeps_apart(k, a);
}

static bool holds(const void *owner, const void *context)
{
    const struct seek *k = context;
    const struct fleet_agent *a = owner;

    return (a->claims & k->refused) == 0 && fleet_has_extras(a, k->demand->extras) &&
           seek_matches(k, a);
}

/* ---- scores ---- */

static uint64_t balance_of(const struct seek *k, uint64_t worth_free)
{
    uint64_t left = worth_free > k->need ? worth_free - k->need : 0;
    uint64_t part = left >= k->most ? 1000
                    : left <= UINT64_MAX / 1000
                        ? left * 1000 / k->most
                        : (uint64_t)((u128)left * 1000 / k->most);

    return k->from_end ? part : 1000 - part;
}

/* In thousandths of thousandths, and above 0. */
static uint64_t total(const struct seek *k, uint64_t wishes, uint64_t balance)
{
    return 1 + k->alpha * (wishes / k->matcher->weights) + (1000 - k->alpha) * balance;
}

static uint64_t apart_wishes(const struct seek *k, const struct fleet_agent *a)
{
    const struct match *m = &k->matcher->match;
    uint32_t there = m->apart_count > 0 ? aparts_on(k, a) : 0;
    uint64_t sum = 0;

    for (size_t i = 0; i < m->apart_count; i++)
        if ((there >> i & 1) == 0)
            sum += 1000 * (uint64_t)m->aparts[i].weight;
    return sum;
}

static uint64_t score(const void *owner, uint64_t first, const void *context)
{
    const struct fleet_agent *a = owner;
    const struct seek *k = context;

    if (!k->has_wishes)
        return 1;
    return total(k,
                 matcher_wishes(k->matcher, &k->fleet->values, &a->attributes) +
                     apart_wishes(k, a),
                 balance_of(k, first));
}

static uint64_t
bound(const struct fit_signature *crowd, uint64_t first, const void *context)
{
    const struct seek *k = context;
    uint64_t wishes;

    if (!k->has_wishes)
        return 1;
    wishes = matcher_wishes_bound(k->matcher, &crowd->set);
    for (size_t i = 0; i < k->matcher->match.apart_count; i++)
        wishes += 1000 * (uint64_t)k->matcher->match.aparts[i].weight;
    return total(k, wishes, balance_of(k, first));
}

/* ---- a few ---- */

/* Agents that have what this condition names; SIZE_MAX when it names nothing. */
static size_t named_agents(const struct seek *k, const struct condition *c)
{
    size_t count = 0;

    if (c->op != MATCH_EQUAL && c->op != MATCH_IN)
        return SIZE_MAX;
    for (size_t i = 0; i < c->count; i++) {
        const struct value *v =
            values_find(&k->fleet->values, c->attribute, c->values[i]);

        count += v == NULL ? 0 : v->agent_count;
    }
    return count;
}

/* The condition that leaves a few; NULL: none does. */
static const struct condition *find_few(const struct seek *k)
{
    for (size_t i = 0; k->matcher != NULL && i < k->matcher->constraint_count; i++)
        if (named_agents(k, &k->matcher->constraints[i]->condition) <= FEW)
            return &k->matcher->constraints[i]->condition;
    return NULL;
}

static bool has_room(const struct seek *k, const struct fleet_agent *a)
{
    return a->fit.height > 0 && resources_contain(&a->fit.vector, &k->demand->need) &&
           holds(a, k);
}

static bool is_better(const struct seek *k,
                      const struct fleet_agent *a,
                      uint64_t score_of_a,
                      const struct fleet_agent *b,
                      uint64_t score_of_b)
{
    struct fit_key x = a->fit.key, y = b->fit.key;

    if (score_of_a != score_of_b)
        return score_of_a > score_of_b;
    if (x.first != y.first)
        return (x.first < y.first) != k->from_end;
    return x.second < y.second;
}

static struct fleet_agent *
best_of_few(const struct seek *k, const struct condition *c, unsigned *asked)
{
    struct fleet_agent *best = NULL;
    uint64_t best_score = 0;

    for (size_t i = 0; i < c->count; i++) {
        const struct value *v =
            values_find(&k->fleet->values, c->attribute, c->values[i]);
        struct holding *h;

        if (v == NULL)
            continue;
        LIST_FOREACH (h, &v->agents, next) {
            struct fleet_agent *a = h->agent;
            uint64_t now;

            ++*asked;
            if (!has_room(k, a))
                continue;
            now = score(a, a->fit.key.first, k);
            if (best != NULL && !is_better(k, a, now, best, best_score))
                continue;
            best = a;
            best_score = now;
        }
    }
    return best;
}

/* ---- searches ---- */

/* Sets that each agent meets which keeps the constraints. */
#define SETS_MOST (2 * LIMIT_CONSTRAINTS)

static struct fit_need need_of(const struct seek *k, struct fit_set sets[SETS_MOST])
{
    const struct matcher *m = k->matcher;
    struct fit_need need = {.vector = &k->demand->need,
                            .bits = demand_bits(k->demand),
                            .sets = sets,
                            .holds = holds,
                            .context = k};

    if (m == NULL && k->demand->extras == NULL && k->refused == 0)
        need.holds = NULL;
    if (m == NULL)
        return need;
    for (size_t i = 0; i < m->constraint_count; i++)
        if (~(m->constraints[i]->set.word[0] & m->constraints[i]->set.word[1]) != 0)
            sets[need.set_count++] = m->constraints[i]->set;
    for (size_t i = 0; i < m->distinct_count; i++)
        if (values_have_bits(m->distincts[i].attribute))
            sets[need.set_count++] = m->distincts[i].set;
    return need;
}

struct fleet_agent *
seek_best(const struct seek *k, const struct fit_key *from, unsigned *asked)
{
    /* Too much for 64 bits is more of some kind than any agent has: nothing is found. */
    struct fit_key least = {k->need, 0};
    struct fit_set sets[SETS_MOST];
    struct fit_need need = need_of(k, sets);
    const struct condition *few = find_few(k);
    struct fit_wish wish = {k->from_end, score, bound, k};
    struct fit_node *n;

    if (few != NULL)
        return best_of_few(k, few, asked);
    if (k->has_wishes || k->from_end)
        n = fit_tree_best(&k->fleet->open, least, &need, &wish, asked);
    else
        n = fit_tree_find(&k->fleet->open, from == NULL ? least : *from, &need, asked);
    return n == NULL ? NULL : n->owner;
}

bool seek_grown(const struct seek *k, unsigned *asked)
{
    struct fit_set sets[SETS_MOST];
    struct fit_need need = need_of(k, sets);

    need.set_count = 0; /* there are other bits there, and few agents */

    return fit_tree_find(&k->fleet->grown, (struct fit_key){0}, &need, asked) != NULL;
}
