/* seek.c - one search for an agent. */
#include "sched/seek.h"

#include "base/text.h"
#include "sched/claims.h"
#include "sched/worth.h"

#define FEW 32 /* agents that are asked one by one instead of a search */

/* What one of these costs (effort.h). */
#define TASK_PRICE    2  /* one that is counted, without counters */
#define TASKS_PER_ONE 16 /* that are looked at */
#define ATTEMPT_PRICE 2  /* whose name is read */
#define LISTED_PRICE  8  /* a value that is looked up */
#define RECOUNT_PRICE 16 /* a counter without one task */

typedef unsigned __int128 u128;

/* ---- beginning ---- */

static bool has_aparts(const struct seek *k)
{
    return k->matcher != NULL && k->matcher->apart_count > 0;
}

bool seek_counts_tasks(const struct seek *k)
{
    return k->matcher != NULL &&
           (k->matcher->distinct_count > 0 || k->matcher->spread_count > 0);
}

static void begin_aparts(struct seek *k)
{
    struct match_view view;

    match_view(&view, k->demand->match);
    for (size_t i = 0; i < view.apart_count; i++) {
        k->apart[i] = name_number(k->role, view.aparts[i].name);
        if (view.aparts[i].weight == 0)
            k->never_with |= 1u << i;
    }
}

/* True if at most a few agents have what it names. */
static bool names_few(struct seek *k, const struct rule *r)
{
    const struct condition *c = &r->condition;
    size_t agents = 0;

    if (c->op != MATCH_EQUAL && c->op != MATCH_IN)
        return false;
    for (size_t i = 0; i < c->count && agents <= FEW; i++) {
        const struct value *v = column_find(r->column, c->values[i]);

        agents += v == NULL ? 0 : v->agent_count;
        k->effort.spent += LISTED_PRICE;
    }
    return agents <= FEW;
}

static const struct rule *find_few(struct seek *k)
{
    for (size_t i = 0; i < k->matcher->constraint_count; i++)
        if (names_few(k, k->matcher->constraints[i]))
            return k->matcher->constraints[i];
    return NULL;
}

void seek_begin(struct seek *k,
                struct fleet *f,
                const struct state *s,
                const struct role *role,
                const struct demand *d,
                unsigned effort)
{
    *k = (struct seek){.fleet = f,
                       .state = s,
                       .role = role,
                       .demand = d,
                       .need = worth(&d->need),
                       .most = fleet_most(f),
                       .alpha = role->spec.alpha,
                       .from_end = role->spec.balance == BALANCE_SPREAD,
                       .effort = {.most = effort}};
    k->is_single = k->from_end;
    if (d->match.size == 0)
        return;
    k->number = ++f->seeks;
    k->matcher = matchers_get(&f->matchers, &f->values, d->match, &k->effort);
    k->has_wishes = k->matcher->weights > 0 && k->alpha > 0;
    k->is_single |= k->matcher->distinct_count > 0 ||
                    (k->has_wishes && k->matcher->spread_count > 0);
    k->few = find_few(k);
    if (has_aparts(k))
        begin_aparts(k);
}

void seek_refuse(struct seek *k, struct fleet_agent *a)
{
    if (k->number == 0)
        k->number = ++k->fleet->seeks;
    a->fit.refused = k->number;
}

void seek_pay(struct seek *k, unsigned *looks)
{
    unsigned spent = k->effort.spent;

    *looks -= spent < *looks ? spent : *looks;
    k->effort = (struct effort){.most = *looks};
}

bool seek_pay_for_agent(struct seek *k, unsigned *looks)
{
    bool is_known = !k->effort.is_cut;

    k->effort.spent++;
    seek_pay(k, looks);
    return is_known;
}

/* ---- anti-affinity ---- */

/* False when it is cut. */
static bool read_names(struct seek *k, struct fleet_agent *a)
{
    const struct agent *agent;

    if (a->names.are_known)
        return true;
    if (!effort_begin(&k->effort))
        return false;
    agent = state_agent(k->state, a->id);
    names_read(&a->names, agent);
    k->effort.spent += ATTEMPT_PRICE * (1 + agent->attempts_count);
    return true;
}

/* One of this name beside the one that is left out. */
static bool has_another(struct seek *k, uint64_t name)
{
    const struct attempt *t;

    k->effort.spent += ATTEMPT_PRICE * (1 + k->left_out->agent->attempts_count);
    TAILQ_FOREACH (t, &k->left_out->agent->attempts, by_agent)
        if (t != k->left_out &&
            (t->job == k->left_out->job || name_number_of(t->job) == name))
            return true;
    return false;
}

/* The agent has its name, unless it is the one that is left out that has it. */
static bool is_there(struct seek *k, struct fleet_agent *a, uint64_t name)
{
    if (!names_have(&a->names, name))
        return false;
    return k->left_out == NULL || k->left_out->agent->id != a->id ||
           name_number_of(k->left_out->job) != name || has_another(k, name);
}

/* Bits of the names of which there is a task on an agent. */
static uint32_t aparts_on(struct seek *k, struct fleet_agent *a)
{
    uint32_t bits = 0;

    if (!read_names(k, a))
        return 0;
    for (size_t i = 0; i < k->matcher->apart_count; i++)
        if (is_there(k, a, k->apart[i]))
            bits |= 1u << i;
    return bits;
}

static bool names_itself(const struct seek *k, const struct job *j)
{
    uint64_t own = name_number_of(j);

    for (size_t i = 0; i < k->matcher->apart_count; i++)
        if (k->apart[i] == own)
            return true;
    return false;
}

/* Agents know what the round planned on them up to here. */
static void name_planned(struct seek *k, const struct placement *planned, size_t count)
{
    size_t *done = &k->fleet->named;

    for (; *done < count; ++*done) {
        struct fleet_agent *a = fleet_agent(k->fleet, planned[*done].agent);
        const struct job *j = state_job(k->state, planned[*done].job);

        if (a == NULL || j == NULL)
            continue;
        if (!read_names(k, a))
            return;
        names_add(&a->names, name_number_of(j));
        k->effort.spent += TASK_PRICE;
    }
}

/* ---- counting ---- */

static void add_to_counters(struct seek *k, const struct attributes *of)
{
    struct matcher *m = k->matcher;

    values_next_task(&k->fleet->values);
    for (size_t i = 0; i < m->distinct_count; i++)
        counter_add(&m->distincts[i], &k->fleet->values, of);
    for (size_t i = 0; i < m->spread_count; i++)
        counter_add(&m->spreads[i], &k->fleet->values, of);
    k->effort.spent += (unsigned)(m->distinct_count + m->spread_count);
}

static void count_task(struct seek *k, uint64_t agent)
{
    const struct fleet_agent *a = fleet_agent(k->fleet, agent);

    if (a != NULL)
        add_to_counters(k, &a->attributes);
    k->effort.spent += TASK_PRICE;
}

static bool is_live(const struct task *t)
{
    return t->state != TASK_PENDING && !task_state_is_final((enum task_state)t->state);
}

static void begin_counters(struct seek *k)
{
    struct matcher *m = k->matcher;

    values_count(&k->fleet->values);
    for (size_t i = 0; i < m->distinct_count; i++)
        counter_begin(&m->distincts[i]);
    for (size_t i = 0; i < m->spread_count; i++)
        counter_begin(&m->spreads[i]);
    k->effort.spent += (unsigned)(m->distinct_count + m->spread_count);
}

static void count_own(struct seek *k,
                      const struct job *j,
                      const struct placement *planned,
                      size_t count)
{
    begin_counters(k);
    for (uint32_t i = 0; i < j->touched; i++) {
        const struct task *t = job_task(j, i);

        if (is_live(t))
            count_task(k, t->agent_id);
    }
    for (size_t i = 0; i < count; i++)
        if (planned[i].job == j->id)
            count_task(k, planned[i].agent);
    k->effort.spent += (j->touched + (unsigned)count) / TASKS_PER_ONE;
}

void seek_count(struct seek *k,
                const struct job *j,
                const struct placement *planned,
                size_t count)
{
    if (has_aparts(k)) {
        k->is_single |= names_itself(k, j);
        name_planned(k, planned, count);
    }
    if (seek_counts_tasks(k))
        count_own(k, j, planned, count);
}

void seek_heed(struct seek *k,
               const struct claims *c,
               const struct lanes *l,
               const struct job *j,
               uint64_t now_us)
{
    struct claimant who = {j, k->demand, now_us};

    k->claims = c;
    k->refused = c->used == 0 ? 0 : claims_against(c, k->fleet, l, k->state, &who);
}

bool seek_is_too_much(const struct seek *k, const struct fleet_agent *a, uint32_t tasks)
{
    return k->claims == NULL ||
           claims_refuse(k->claims, k->refused, a, k->demand, tasks);
}

uint32_t seek_let_in(const struct seek *k, const struct fleet_agent *a, uint32_t room)
{
    uint32_t refused = room + 1, together = seek_together(k);

    if (together > 1)
        return seek_is_refused(k, a, together) ? 0 : room;
    if (!seek_is_refused(k, a, room))
        return room;
    for (uint32_t in = 0; in + 1 < refused;) {
        uint32_t middle = in + (refused - in) / 2;

        if (seek_is_refused(k, a, middle))
            refused = middle;
        else
            in = middle;
    }
    return refused - 1;
}

void seek_took(struct seek *k, struct fleet_agent *a, const struct job *j)
{
    if (has_aparts(k) && read_names(k, a))
        names_add(&a->names, name_number_of(j));
    if (seek_counts_tasks(k))
        add_to_counters(k, &a->attributes);
}

/* Tasks of the job are counted without it, or with it again. */
static void recount(struct seek *k, const struct attempt *t, bool is_out)
{
    const struct fleet_agent *a = fleet_agent(k->fleet, t->agent->id);
    struct values *v = &k->fleet->values;
    struct matcher *m = k->matcher;
    void (*change)(struct counter *, const struct values *, const struct attributes *) =
        is_out ? counter_leave_out : counter_take_back;

#ifdef MUTANT_MOVE_COUNTS_ITSELF
    return;
#endif
    values_next_task(v);
    for (size_t i = 0; a != NULL && i < m->distinct_count; i++)
        change(&m->distincts[i], v, &a->attributes);
    for (size_t i = 0; a != NULL && i < m->spread_count; i++)
        change(&m->spreads[i], v, &a->attributes);
    k->effort.spent += RECOUNT_PRICE * (unsigned)(m->distinct_count + m->spread_count);
}

void seek_leave_out(struct seek *k, const struct attempt *t)
{
    if (seek_counts_tasks(k)) {
        if (k->left_out != NULL)
            recount(k, k->left_out, false);
        if (t != NULL)
            recount(k, t, true);
        k->number = ++k->fleet->seeks; /* who was refused may not be now */
    }
    k->left_out = t;
}

struct fit_key
seek_after(struct seek *k, struct fit_key was, const struct fleet_agent *a)
{
    if (k->has_wishes || k->from_end)
        return (struct fit_key){k->need, 0};
    return k->is_single && seek_matches(k, (struct fleet_agent *)a) ? a->fit.key : was;
}

/* ---- one agent ---- */

static bool keeps_apart(struct seek *k, struct fleet_agent *a)
{
    return k->never_with == 0 || (aparts_on(k, a) & k->never_with) == 0;
}

bool seek_keeps(struct seek *k, struct fleet_agent *a, size_t constraint)
{
    const struct matcher *m = k->matcher;
    uint32_t before = m->is_distinct & ((1u << constraint) - 1);
    size_t distincts = (size_t)__builtin_popcount(before);

    if (constraint == matcher_constraints(m))
        return keeps_apart(k, a);
    if ((m->is_distinct >> constraint & 1) == 0)
        return rule_holds(
            m->constraints[constraint - distincts], &a->attributes, &k->effort);
    return counter_may_add(&m->distincts[distincts], &k->fleet->values, &a->attributes);
}

bool seek_depends_on_tasks(const struct seek *k)
{
    return has_aparts(k) || (k->matcher != NULL && k->matcher->distinct_count > 0);
}

static bool is_apart_from_itself(const struct seek *k, const struct job *j)
{
    uint64_t own = name_number_of(j);

    for (size_t i = 0; i < k->matcher->apart_count; i++)
        if (k->apart[i] == own && (k->never_with >> i & 1) != 0)
            return true;
    return false;
}

/* A value that no other agent has is a matter of this one. */
bool seek_crowding(const struct seek *k,
                   const struct job *j,
                   const struct fleet_agent *a,
                   struct crowding *out)
{
    const struct matcher *m = k->matcher;

    *out = (struct crowding){.most = UINT32_MAX};
    for (size_t i = 0; m != NULL && i < m->distinct_count; i++) {
        const struct counter *c = &m->distincts[i];
        const struct value *v = attributes_find(&a->attributes, c->column);

        if (v == NULL || (v->agent_count > 1 && out->group != 0))
            return false;
        if (v->agent_count > 1) {
            out->group = 1 + v->number;
            out->group_most = c->limit;
            out->kind = 1 + (uint32_t)i;
        }
        out->most = c->limit < out->most ? c->limit : out->most;
    }
    if (m != NULL && is_apart_from_itself(k, j))
        out->most = 1;
    return true;
}

bool seek_matches(struct seek *k, struct fleet_agent *a)
{
    struct matcher *m = k->matcher;

    if (m == NULL)
        return true;
    for (size_t i = 0; i < m->distinct_count; i++)
        if (!counter_may_add(&m->distincts[i], &k->fleet->values, &a->attributes))
            return false;
    return matcher_holds(m, &a->attributes, &k->effort) && keeps_apart(k, a);
}

/* What is refused for a claim may be free of it after the next task. */
static enum fit_answer holds(void *owner, void *context)
{
    struct fleet_agent *a = owner;
    struct seek *k = context;
    bool matches;

    if (k->effort.is_cut || (k->number != 0 && a->fit.refused == k->number) ||
        seek_is_refused(k, a, seek_together(k)) ||
        (k->left_out != NULL && k->left_out->agent->id == a->id))
        return FIT_NOT_NOW;
    matches = fleet_has_extras(a, k->demand->extras) && seek_matches(k, a);
    if (k->effort.is_cut)
        return FIT_NOT_NOW;
    return matches ? FIT_HOLDS : FIT_NEVER;
}

/* ---- scores ---- */

static uint64_t balance_of(const struct seek *k, uint64_t left)
{
    uint64_t part = left >= k->most ? 1000
                    : left <= UINT64_MAX / 1000
                        ? left * 1000 / k->most
                        : (uint64_t)((u128)left * 1000 / k->most);

    return k->from_end ? part : 1000 - part;
}

/* Of what is free, and more than a task. */
static uint64_t left_of(const struct seek *k, uint64_t worth_free)
{
    return worth_free > k->need ? worth_free - k->need : 0;
}

/* In thousandths of thousandths, and above 0. */
static uint64_t total(const struct seek *k, uint64_t wishes, uint64_t balance)
{
    return 1 + k->alpha * (wishes / k->matcher->weights) + (1000 - k->alpha) * balance;
}

static uint64_t apart_wishes(struct seek *k, struct fleet_agent *a)
{
    const struct matcher *m = k->matcher;
    uint32_t there = m->apart_count > 0 ? aparts_on(k, a) : 0;
    uint64_t sum = 0;

    for (size_t i = 0; i < m->apart_count; i++)
        if ((there >> i & 1) == 0)
            sum += 1000 * (uint64_t)m->apart_weights[i];
    return sum;
}

static uint64_t all_aparts(const struct matcher *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->apart_count; i++)
        sum += 1000 * (uint64_t)m->apart_weights[i];
    return sum;
}

static uint64_t wishes_of(struct seek *k, struct fleet_agent *a, bool alone)
{
    return matcher_wishes(k->matcher, &k->fleet->values, &a->attributes, &k->effort) +
           (alone ? all_aparts(k->matcher) : apart_wishes(k, a));
}

static uint64_t score(void *owner, uint64_t first, void *context)
{
    struct fleet_agent *a = owner;
    struct seek *k = context;

    if (!k->has_wishes)
        return 1;
    return total(k, wishes_of(k, a, false), balance_of(k, left_of(k, first)));
}

uint64_t seek_score(struct seek *k, struct fleet_agent *a, uint64_t left, bool alone)
{
    uint64_t balance = balance_of(k, left);

    if (!k->has_wishes)
        return 1000 * balance;
    return total(k, wishes_of(k, a, alone), balance) - 1;
}

static uint64_t bound(const struct fit_set *crowd, uint64_t first, void *context)
{
    const struct seek *k = context;
    uint64_t wishes;

    if (!k->has_wishes)
        return 1;
    wishes = matcher_wishes_bound(k->matcher, crowd) + all_aparts(k->matcher);
    return total(k, wishes, balance_of(k, left_of(k, first)));
}

/* ---- a few ---- */

static bool has_room(struct seek *k, struct fleet_agent *a)
{
    return a->fit.is_in && resources_contain(&a->fit.vector, &k->demand->need) &&
           holds(a, k) == FIT_HOLDS;
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

static struct fleet_agent *best_of_few(struct seek *k)
{
    const struct condition *c = &k->few->condition;
    struct fleet_agent *best = NULL;
    uint64_t best_score = 0;

    for (size_t i = 0; i < c->count; i++) {
        const struct value *v = column_find(k->few->column, c->values[i]);
        struct holding *h;

        k->effort.spent += LISTED_PRICE;
        if (v == NULL)
            continue;
        LIST_FOREACH (h, &v->agents, next) {
            struct fleet_agent *a = h->agent;
            uint64_t now;

            k->effort.spent += k->matcher->price;
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

static struct fit_need need_of(struct seek *k, struct fit_set sets[SETS_MOST])
{
    const struct matcher *m = k->matcher;
    struct fit_need need = {.vector = &k->demand->need,
                            .bits = demand_bits(k->demand),
                            .sets = sets,
                            .holds = holds,
                            .context = k,
                            .number = k->number};

    if (m == NULL && k->demand->extras == NULL && k->refused == 0 &&
        k->left_out == NULL)
        need.holds = NULL;
    if (m == NULL)
        return need;
    for (size_t i = 0; i < m->constraint_count; i++)
        if (~(m->constraints[i]->set.word[0] & m->constraints[i]->set.word[1]) != 0)
            sets[need.set_count++] = m->constraints[i]->set;
    for (size_t i = 0; i < m->distinct_count; i++)
        if (m->distincts[i].column->has_bits)
            sets[need.set_count++] = m->distincts[i].set;
    return need;
}

static struct fleet_agent *search(struct seek *k, const struct fit_key *from)
{
    /* Too much for 64 bits is more of some kind than any agent has: nothing is found. */
    struct fit_key least = {k->need, 0};
    struct fit_set sets[SETS_MOST];
    struct fit_need need = need_of(k, sets);
    struct fit_wish wish = {k->from_end, score, bound, k};
    unsigned asked = 0;
    struct fit_node *n;

    if (k->has_wishes || k->from_end)
        n = fit_tree_best(&k->fleet->open, least, &need, &wish, &asked);
    else
        n = fit_tree_find(&k->fleet->open, from == NULL ? least : *from, &need, &asked);
    k->effort.spent += asked * (k->matcher == NULL ? 1 : k->matcher->price);
    return n == NULL ? NULL : n->owner;
}

struct fleet_agent *seek_best(struct seek *k, const struct fit_key *from)
{
    struct fleet_agent *best = k->few != NULL ? best_of_few(k) : search(k, from);

    return k->effort.is_cut ? NULL : best;
}

bool seek_grown(struct seek *k)
{
    struct fit_set sets[SETS_MOST];
    struct fit_need need = need_of(k, sets);
    struct fit_node *n;
    unsigned asked = 0;

    need.set_count = 0; /* there are other bits there, and few agents */
    n = fit_tree_find(&k->fleet->grown, (struct fit_key){0}, &need, &asked);
    k->effort.spent += asked * (k->matcher == NULL ? 1 : k->matcher->price);
    return n != NULL && !k->effort.is_cut;
}
