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

static struct hash128 hash_of(struct matchers *m, const struct condition *c)
{
    buffer_clear(&m->bytes);
    condition_pack(c, &m->bytes);
    return hash128_of(buffer_view(&m->bytes));
}

static void rule_drop(struct rule *r, struct values *v)
{
    if (r == NULL || --r->users > 0)
        return;
    answers_end(&r->answers);
    column_release(v, r->column);
    regexp_destroy(r->re);
    condition_finish(&r->condition);
    mem_free(r);
}

static struct rule *rule_create(const struct condition *c,
                                struct hash128 hash,
                                struct values *v,
                                struct effort *e)
{
    struct rule *r = mem_zalloc(sizeof(*r));

    r->of = hash;
    r->users = 1;
    condition_copy(&r->condition, c);
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
                             const struct condition *c,
                             struct values *v,
                             struct effort *e)
{
    struct hash128 hash = hash_of(m, c);
    struct rule **at = find_rule(m, hash);

    if (*at == NULL || !hash128_equal((*at)->of, hash)) {
        rule_drop(*at, v);
        *at = rule_create(c, hash, v, e);
    }
    (*at)->used = m->clock;
    (*at)->users++;
    return *at;
}

static struct counter count_by(struct values *v, const char *attribute, uint32_t limit)
{
    return (struct counter){.column = column_hold(v, attribute), .limit = limit};
}

/* Most have few of these, and counters are large. */
static void *zeroed(size_t count, size_t size)
{
    return count > 0 ? mem_zalloc(count * size) : NULL;
}

#define CONDITIONS_PER_PRICE 4
#define APART_PRICE          2u /* names are elsewhere in memory */

static void
compile(struct matchers *all, struct matcher *m, struct values *v, struct effort *e)
{
    const struct match *match = &m->match;

    m->constraints = zeroed(match->constraint_count, sizeof(*m->constraints));
    m->affinities = zeroed(match->affinity_count, sizeof(*m->affinities));
    m->distincts = zeroed(count_distincts(match), sizeof(*m->distincts));
    m->spreads = zeroed(match->spread_count, sizeof(*m->spreads));
    for (size_t i = 0; i < match->constraint_count; i++) {
        const struct condition *c = &match->constraints[i];

        if (c->op == MATCH_DISTINCT)
            m->distincts[m->distinct_count++] = count_by(v, c->attribute, c->most);
        else
            m->constraints[m->constraint_count++] = rule_get(all, c, v, e);
    }
    for (size_t i = 0; i < match->affinity_count; i++) {
        int32_t weight = match->affinities[i].weight;

        m->affinities[i] = rule_get(all, &match->affinities[i], v, e);
        m->weights += (uint64_t)(weight < 0 ? -(int64_t)weight : weight);
    }
    for (size_t i = 0; i < match->spread_count; i++) {
        m->spreads[i] = count_by(v, match->spreads[i].attribute, 0);
        m->weights += match->spreads[i].weight;
    }
    for (size_t i = 0; i < match->apart_count; i++)
        m->weights += match->aparts[i].weight;
    m->price = 1 + (match->apart_count > 0 ? APART_PRICE : 0u) +
               (unsigned)(match->constraint_count + match->affinity_count +
                          match->spread_count + match->apart_count) /
                   CONDITIONS_PER_PRICE;
}

static void matcher_finish(struct matcher *m, struct values *v)
{
    for (size_t i = 0; i < m->constraint_count; i++)
        rule_drop(m->constraints[i], v);
    for (size_t i = 0; i < m->match.affinity_count; i++)
        rule_drop(m->affinities[i], v);
    for (size_t i = 0; i < m->distinct_count; i++)
        column_release(v, m->distincts[i].column);
    for (size_t i = 0; i < m->match.spread_count; i++)
        column_release(v, m->spreads[i].column);
    mem_free(m->constraints);
    mem_free(m->affinities);
    mem_free(m->distincts);
    mem_free(m->spreads);
    match_finish(&m->match);
    *m = (struct matcher){0};
}

void matchers_finish(struct matchers *m, struct values *v)
{
    for (size_t i = 0; i < MATCHERS; i++)
        if (m->of[i].used > 0)
            matcher_finish(&m->of[i], v);
    for (size_t i = 0; i < RULES; i++)
        rule_drop(m->rules[i], v);
    buffer_finish(&m->bytes);
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
    struct unpack u;

    if (found->used == 0 || !hash128_equal(found->bytes, hash)) {
        if (found->used > 0)
            matcher_finish(found, v);
        found->bytes = hash;
        unpack_init(&u, packed);
        match_unpack(&found->match, &u);
        compile(m, found, v, e);
        e->spent += UNPACK_PRICE * CONDITIONS_PER_PRICE * found->price;
    }
    found->used = ++m->clock;
    for (size_t i = 0; i < found->constraint_count; i++)
        take_set(found->constraints[i], e);
    for (size_t i = 0; i < found->match.affinity_count; i++)
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

    for (size_t i = 0; i < m->match.affinity_count; i++) {
        int64_t weight = m->match.affinities[i].weight;
        bool holds = rule_holds(m->affinities[i], of, e);

        if (holds == (weight > 0))
            sum += 1000 * (uint64_t)(weight > 0 ? weight : -weight);
    }
    for (size_t i = 0; i < m->match.spread_count; i++)
        sum += m->match.spreads[i].weight * counter_score(&m->spreads[i], v, of);
    return sum;
}

uint64_t matcher_wishes_bound(const struct matcher *m, const struct fit_set *crowd)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->match.affinity_count; i++) {
        int64_t weight = m->match.affinities[i].weight;

        if (weight < 0 || fit_sets_meet(&m->affinities[i]->set, crowd))
            sum += 1000 * (uint64_t)(weight > 0 ? weight : -weight);
    }
    for (size_t i = 0; i < m->match.spread_count; i++)
        sum += m->match.spreads[i].weight * counter_bound(&m->spreads[i], crowd);
    return sum;
}
