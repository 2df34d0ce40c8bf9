/* matcher.c - a struct match, ready to be asked about agents. */
#include "sched/matcher.h"

#include "base/mem.h"

#include <string.h>

/* ---- answers ---- */

/* Of what one look costs, in agents that are asked (effort.h). */
#define COMPILE_PRICE  64 /* a regular expression */
#define REGEXP_PRICE   8  /* searching for it, without its steps */
#define VALUE_PRICE    2
#define STEPS_PER_ONE  2
#define LISTED_PER_ONE 4

/* Unknown, and cut, when it may take long and there is no effort left. */
static enum answer ask(struct rule *r, const struct value *v, struct effort *e)
{
    enum answer answer;
    unsigned steps = 0;

    if (r->re != NULL && !effort_begin(e))
        return ANSWER_UNKNOWN;
    answer =
        condition_holds(&r->condition, v->text, r->re, &steps) ? ANSWER_YES : ANSWER_NO;
    e->spent += VALUE_PRICE + steps / STEPS_PER_ONE +
                (unsigned)r->condition.count / LISTED_PER_ONE +
                (r->re != NULL ? REGEXP_PRICE : 0);
    answers_set(&r->answers, v, answer);
    return answer;
}

static enum answer answer_of(struct rule *r, const struct value *v, struct effort *e)
{
    enum answer answer = answers_get(&r->answers, v);

    return answer != ANSWER_UNKNOWN ? answer : ask(r, v, e);
}

/* ---- sets of bits ---- */

static bool is_list(const struct condition *c)
{
    return c->op == MATCH_EQUAL || c->op == MATCH_IN;
}

static struct fit_set set_by_list(const struct rule *r)
{
    const struct condition *c = &r->condition;
    struct fit_set set = {{0}};

    for (size_t i = 0; i < c->count; i++) {
        const struct value *value = column_find(r->column, c->values[i]);

        if (value != NULL)
            fit_set_add(&set, value->bit);
    }
    return set;
}

/* A value that cannot be asked now may keep it.  True when all were. */
static bool set_by_values(struct rule *r, struct effort *e, struct fit_set *set)
{
    bool are_all = true;
    struct value *value;

    RB_FOREACH (value, value_tree, &r->column->values) {
        enum answer answer = answers_get(&r->answers, value);

        if (answer == ANSWER_UNKNOWN && (r->re == NULL || e->spent < e->most))
            answer = ask(r, value, e);
        are_all &= answer != ANSWER_UNKNOWN;
        if (answer != ANSWER_NO)
            fit_set_add(set, value->bit);
    }
    e->spent += r->column->count / LISTED_PER_ONE;
    return are_all;
}

/* An agent without the attribute keeps these never. */
static bool takes_value(const struct condition *c)
{
    return is_list(c) || c->op == MATCH_REGEXP || c->op == MATCH_VERSION ||
           (c->op >= MATCH_LESS && c->op <= MATCH_AT_LEAST);
}

static void take_set(struct rule *r, struct effort *e)
{
    bool is_whole = true;

    if (r->version == r->column->version)
        return;
    r->set = fit_set_all();
    if (takes_value(&r->condition) && r->column->has_bits) {
        r->set = (struct fit_set){{0}};
        if (is_list(&r->condition))
            r->set = set_by_list(r);
        else
            is_whole = set_by_values(r, e, &r->set);
    }
    r->version = is_whole ? r->column->version : 0;
}

struct fit_set match_set(const struct match *m)
{
    const struct condition *best = NULL;
    struct fit_set set = {{0}};

    for (size_t i = 0; i < m->constraint_count; i++)
        if (is_list(&m->constraints[i]) &&
            values_have_text_bits(m->constraints[i].attribute) &&
            (best == NULL || m->constraints[i].count < best->count))
            best = &m->constraints[i];
    if (best == NULL)
        return fit_set_all();
    for (size_t i = 0; i < best->count; i++)
        fit_set_add(&set, value_bit_of_text(best->attribute, best->values[i]));
    return set;
}

static size_t count_distincts(const struct match *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->constraint_count; i++)
        n += m->constraints[i].op == MATCH_DISTINCT;
    return n;
}

bool match_is_distinct(const struct match *m)
{
    return count_distincts(m) > 0;
}

/* ---- making ---- */

static void rule_drop(struct rule *r, struct values *v)
{
    if (r == NULL || --r->users > 0)
        return;
    answers_end(&r->answers);
    column_release(v, r->column);
    regexp_destroy(r->re);
    mem_free(r);
}

static struct rule *rule_create(const struct condition_view *view,
                                struct hash128 hash,
                                struct values *v,
                                struct effort *e)
{
    struct rule *r = mem_alloc(sizeof(*r) + condition_room(view));
    const struct condition *c = &r->condition;

    *r = (struct rule){.of = hash, .users = 1};
    condition_lay(&r->condition, view, r + 1);
    r->column = column_hold(v, c->attribute);
    answers_begin(&r->answers, r->column);
    r->without = condition_holds(c, NULL, NULL, NULL);
    if (c->op != MATCH_REGEXP)
        return r;
    r->re = regexp_compile(c->values[0], NULL);
    e->spent += COMPILE_PRICE;
    return r;
}

/* The one with this hash; else where the one is of its place that was used longest ago. */
static struct rule **find_rule(struct matchers *m, struct hash128 hash)
{
    struct rule **ways = &m->rules[hash.low % (RULES / WAYS) * WAYS], **oldest = ways;

    for (struct rule **way = ways; way < ways + WAYS; way++) {
        if (*way != NULL && hash128_equal((*way)->of, hash))
            return way;
        if (*oldest != NULL && (*way == NULL || (*way)->used < (*oldest)->used))
            oldest = way;
    }
    return oldest;
}

/* Ours, or a new one in place of another, which its users keep. */
static struct rule *rule_get(struct matchers *m,
                             const struct condition_view *view,
                             struct values *v,
                             struct effort *e)
{
    struct hash128 hash = hash128_of(view->of);
    struct rule **at = find_rule(m, hash);

    if (*at == NULL || !hash128_equal((*at)->of, hash)) {
        rule_drop(*at, v);
        *at = rule_create(view, hash, v, e);
    }
    (*at)->used = m->clock;
    (*at)->users++;
    return *at;
}

static void
count_by(struct counter *c, struct values *v, struct bytes attribute, uint32_t limit)
{
    char name[LIMIT_ATTRIBUTE_BYTES + 1];

    memcpy(name, attribute.data, attribute.size);
    name[attribute.size] = '\0';
    *c = (struct counter){.column = column_hold(v, name), .limit = limit};
}

/* Most have few of these, and counters are large. */
static struct counter *counters(size_t count)
{
    return count > 0 ? mem_alloc(count * sizeof(struct counter)) : NULL;
}

static void take_constraints(struct matchers *all,
                             struct matcher *m,
                             const struct match_view *view,
                             struct values *v,
                             struct effort *e)
{
    size_t distincts = 0;

    for (size_t i = 0; i < view->constraint_count; i++)
        distincts += view->constraints[i].op == MATCH_DISTINCT;
    m->distincts = counters(distincts);
    for (size_t i = 0; i < view->constraint_count; i++) {
        const struct condition_view *c = &view->constraints[i];

        if (c->op == MATCH_DISTINCT) {
            m->is_distinct |= 1u << i;
            count_by(&m->distincts[m->distinct_count++],
                     v,
                     c->attribute,
                     (uint32_t)c->number);
        } else {
            m->constraints[m->constraint_count++] = rule_get(all, c, v, e);
        }
    }
}

static void take_wishes(struct matchers *all,
                        struct matcher *m,
                        const struct match_view *view,
                        struct values *v,
                        struct effort *e)
{
    m->affinity_count = view->affinity_count;
    m->spread_count = view->spread_count;
    m->apart_count = view->apart_count;
    m->spreads = counters(m->spread_count);
    for (size_t i = 0; i < m->affinity_count; i++) {
        int64_t weight = view->affinities[i].number;

        m->affinities[i] = rule_get(all, &view->affinities[i], v, e);
        m->affinity_weights[i] = (int32_t)weight;
        m->weights += (uint64_t)(weight < 0 ? -weight : weight);
    }
    for (size_t i = 0; i < m->spread_count; i++) {
        count_by(&m->spreads[i], v, view->spreads[i].name, 0);
        m->spread_weights[i] = view->spreads[i].weight;
        m->weights += view->spreads[i].weight;
    }
    for (size_t i = 0; i < m->apart_count; i++) {
        m->apart_weights[i] = view->aparts[i].weight;
        m->weights += view->aparts[i].weight;
    }
}

#define CONDITIONS_PER_PRICE 4
#define APART_PRICE          2u /* names are elsewhere in memory */

static void compile(struct matchers *all,
                    struct matcher *m,
                    struct bytes packed,
                    struct values *v,
                    struct effort *e)
{
    struct match_view view;

    match_view(&view, packed);
    take_constraints(all, m, &view, v, e);
    take_wishes(all, m, &view, v, e);
    m->price = 1 + (m->apart_count > 0 ? APART_PRICE : 0u) +
               (unsigned)(view.constraint_count + m->affinity_count + m->spread_count +
                          m->apart_count) /
                   CONDITIONS_PER_PRICE;
}

static void counters_finish(struct counter *of, size_t count, struct values *v)
{
    for (size_t i = 0; i < count; i++)
        column_release(v, of[i].column);
    mem_free(of);
}

static void matcher_finish(struct matcher *m, struct values *v)
{
    for (size_t i = 0; i < m->constraint_count; i++)
        rule_drop(m->constraints[i], v);
    for (size_t i = 0; i < m->affinity_count; i++)
        rule_drop(m->affinities[i], v);
    counters_finish(m->distincts, m->distinct_count, v);
    counters_finish(m->spreads, m->spread_count, v);
    *m = (struct matcher){0};
}

void matchers_finish(struct matchers *m, struct values *v)
{
    for (size_t i = 0; i < MATCHERS; i++)
        if (m->of[i].used > 0)
            matcher_finish(&m->of[i], v);
    for (size_t i = 0; i < RULES; i++)
        rule_drop(m->rules[i], v);
    *m = (struct matchers){0};
}

void matchers_keep(struct matchers *m, struct matcher *of)
{
    m->kept = of;
}

/* The one with these bytes; else the one of its place that was used longest ago. */
static struct matcher *find_way(struct matchers *m, struct hash128 hash)
{
    struct matcher *ways = &m->of[hash.low % (MATCHERS / WAYS) * WAYS];
    struct matcher *oldest = NULL;

    for (struct matcher *way = ways; way < ways + WAYS; way++) {
        if (way->used > 0 && hash128_equal(way->bytes, hash))
            return way;
        if (way != m->kept && (oldest == NULL || way->used < oldest->used))
            oldest = way;
    }
    return oldest;
}

#define UNPACK_PRICE 8 /* for each condition */

struct matcher *matchers_get(struct matchers *m,
                             struct values *v,
                             struct bytes packed,
                             struct effort *e)
{
    struct hash128 hash = hash128_of(packed);
    struct matcher *found = find_way(m, hash);

    if (found->used == 0 || !hash128_equal(found->bytes, hash)) {
        if (found->used > 0)
            matcher_finish(found, v);
        found->bytes = hash;
        compile(m, found, packed, v, e);
        e->spent += UNPACK_PRICE * CONDITIONS_PER_PRICE * found->price;
    }
    found->used = ++m->clock;
    for (size_t i = 0; i < found->constraint_count; i++)
        take_set(found->constraints[i], e);
    for (size_t i = 0; i < found->affinity_count; i++)
        take_set(found->affinities[i], e);
    return found;
}

/* ---- questions ---- */

bool rule_holds(struct rule *r, const struct attributes *of, struct effort *e)
{
    const struct value *v = attributes_find(of, r->column);

    return v == NULL ? r->without : answer_of(r, v, e) == ANSWER_YES;
}

bool matcher_holds(struct matcher *m, const struct attributes *of, struct effort *e)
{
    for (size_t i = 0; i < m->constraint_count; i++)
        if (!rule_holds(m->constraints[i], of, e))
            return false;
    return true;
}

uint64_t matcher_wishes(struct matcher *m,
                        const struct values *v,
                        const struct attributes *of,
                        struct effort *e)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->affinity_count; i++) {
        int64_t weight = m->affinity_weights[i];
        bool holds = rule_holds(m->affinities[i], of, e);

        if (holds == (weight > 0))
            sum += 1000 * (uint64_t)(weight > 0 ? weight : -weight);
    }
    for (size_t i = 0; i < m->spread_count; i++)
        sum += m->spread_weights[i] * counter_score(&m->spreads[i], v, of);
    return sum;
}

uint64_t matcher_wishes_bound(const struct matcher *m, const struct fit_set *crowd)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->affinity_count; i++) {
        int64_t weight = m->affinity_weights[i];

        if (weight < 0 || fit_sets_meet(&m->affinities[i]->set, crowd))
            sum += 1000 * (uint64_t)(weight > 0 ? weight : -weight);
    }
    for (size_t i = 0; i < m->spread_count; i++)
        sum += m->spread_weights[i] * counter_bound(&m->spreads[i], crowd);
    return sum;
}
