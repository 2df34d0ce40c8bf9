/* matcher.c - a struct match, ready to be asked about agents. */
#include "sched/matcher.h"

#include "base/mem.h"

#include <string.h>

/* ---- sets of bits ---- */

#define VALUES_MOST 256 /* of an attribute; with more the bits would tell nothing */

static struct fit_set set_by_list(const struct rule *r, const struct values *v)
{
    const struct condition *c = &r->condition;
    struct fit_set set = {{0}};

    for (size_t i = 0; i < c->count; i++) {
        const struct value *value = values_find(v, c->attribute, c->values[i]);

        if (value != NULL)
            fit_set_add(&set, value->bit);
    }
    return set;
}

static bool is_by_list(const struct condition *c)
{
    return (c->op == MATCH_EQUAL || c->op == MATCH_IN) &&
           values_have_bits(c->attribute);
}

/* An agent without the attribute keeps it never. */
static bool is_by_value(const struct condition *c)
{
    return c->op >= MATCH_LESS && c->op <= MATCH_VERSION && c->op != MATCH_NOT_IN &&
           values_have_bits(c->attribute);
}

static struct fit_set set_by_values(const struct rule *r, const struct values *v)
{
    struct fit_set set = {{0}};
    unsigned left = VALUES_MOST;

    for (struct value *value = values_first(v, r->condition.attribute); value != NULL;
         value = values_next(value)) {
        if (left-- == 0)
            return fit_set_all();
        if (condition_holds(&r->condition, value->text, r->re, NULL))
            fit_set_add(&set, value->bit);
    }
    return set;
}

static struct fit_set set_of(const struct rule *r, const struct values *v)
{
    if (is_by_list(&r->condition))
        return set_by_list(r, v);
    return is_by_value(&r->condition) ? set_by_values(r, v) : fit_set_all();
}

struct fit_set match_set(const struct match *m)
{
    const struct condition *best = NULL;
    struct fit_set set = {{0}};

    for (size_t i = 0; i < m->constraint_count; i++)
        if (is_by_list(&m->constraints[i]) &&
            (best == NULL || m->constraints[i].count < best->count))
            best = &m->constraints[i];
    if (best == NULL)
        return fit_set_all();
    for (size_t i = 0; i < best->count; i++)
        fit_set_add(&set, value_bit_of_text(best->attribute, best->values[i]));
    return set;
}

bool match_is_distinct(const struct match *m)
{
    for (size_t i = 0; i < m->constraint_count; i++)
        if (m->constraints[i].op == MATCH_DISTINCT)
            return true;
    return false;
}

/* ---- making ---- */

static struct hash128 hash_of(const struct condition *c)
{
    struct buffer bytes = {0};
    struct hash128 hash;

    condition_pack(c, &bytes);
    hash = hash128_of(buffer_view(&bytes));
    buffer_finish(&bytes);
    return hash;
}

static void rule_drop(struct rule *r)
{
    if (r == NULL || --r->users > 0)
        return;
    regexp_destroy(r->re);
    condition_finish(&r->condition);
    mem_free(r);
}

/* Ours, or a new one in place of another, which its users keep. */
static struct rule *rule_get(struct matchers *m, const struct condition *c)
{
    struct hash128 hash = hash_of(c);
    struct rule **at = &m->rules[hash.low % RULES];

    if (*at == NULL || !hash128_equal((*at)->of, hash)) {
        rule_drop(*at);
        *at = mem_zalloc(sizeof(**at));
        (*at)->of = hash;
        (*at)->users = 1;
        condition_copy(&(*at)->condition, c);
        if (c->op == MATCH_REGEXP)
            (*at)->re = regexp_compile(c->values[0], NULL);
    }
    (*at)->users++;
    return *at;
}

static void compile(struct matchers *all, struct matcher *m)
{
    const struct match *match = &m->match;

    m->constraints =
        mem_zalloc((match->constraint_count + 1) * sizeof(*m->constraints));
    m->affinities = mem_zalloc((match->affinity_count + 1) * sizeof(*m->affinities));
    m->distincts = mem_zalloc((match->constraint_count + 1) * sizeof(*m->distincts));
    m->spreads = mem_zalloc((match->spread_count + 1) * sizeof(*m->spreads));
    for (size_t i = 0; i < match->constraint_count; i++) {
        const struct condition *c = &match->constraints[i];

        if (c->op == MATCH_DISTINCT)
            m->distincts[m->distinct_count++] =
                (struct counter){.attribute = c->attribute, .limit = c->most};
        else
            m->constraints[m->constraint_count++] = rule_get(all, c);
    }
    for (size_t i = 0; i < match->affinity_count; i++) {
        int32_t weight = match->affinities[i].weight;

        m->affinities[i] = rule_get(all, &match->affinities[i]);
        m->weights += (uint64_t)(weight < 0 ? -(int64_t)weight : weight);
    }
    for (size_t i = 0; i < match->spread_count; i++) {
        m->spreads[i] = (struct counter){.attribute = match->spreads[i].attribute};
        m->weights += match->spreads[i].weight;
    }
    for (size_t i = 0; i < match->apart_count; i++)
        m->weights += match->aparts[i].weight;
}

static void matcher_finish(struct matcher *m)
{
    for (size_t i = 0; i < m->constraint_count; i++)
        rule_drop(m->constraints[i]);
    for (size_t i = 0; i < m->match.affinity_count; i++)
        rule_drop(m->affinities[i]);
    mem_free(m->constraints);
    mem_free(m->affinities);
    mem_free(m->distincts);
    mem_free(m->spreads);
    match_finish(&m->match);
    *m = (struct matcher){0};
}

static void take_set(struct rule *r, const struct values *v)
{
    if (r->version == v->version)
        return;
    r->set = set_of(r, v);
    r->version = v->version;
}

void matchers_finish(struct matchers *m)
{
    for (size_t i = 0; i < MATCHERS; i++)
        if (m->of[i].used > 0)
            matcher_finish(&m->of[i]);
    for (size_t i = 0; i < RULES; i++)
        rule_drop(m->rules[i]);
    *m = (struct matchers){0};
}

/* The one with these bytes; else the one of its place that was used longest ago. */
static struct matcher *find_way(struct matchers *m, struct hash128 hash)
{
    struct matcher *ways = &m->of[hash.low % (MATCHERS / WAYS) * WAYS];
    struct matcher *oldest = ways;

    for (size_t i = 0; i < WAYS; i++) {
        if (ways[i].used > 0 && hash128_equal(ways[i].bytes, hash))
            return &ways[i];
        if (ways[i].used < oldest->used)
            oldest = &ways[i];
    }
    return oldest;
}

struct matcher *
matchers_get(struct matchers *m, const struct values *v, struct bytes packed)
{
    struct hash128 hash = hash128_of(packed);
    struct matcher *found = find_way(m, hash);
    struct unpack u;

    if (found->used == 0 || !hash128_equal(found->bytes, hash)) {
        if (found->used > 0)
            matcher_finish(found);
        found->bytes = hash;
        unpack_init(&u, packed);
        match_unpack(&found->match, &u);
        compile(m, found);
    }
    found->used = ++m->clock;
    for (size_t i = 0; i < found->constraint_count; i++)
        take_set(found->constraints[i], v);
    for (size_t i = 0; i < found->match.affinity_count; i++)
        take_set(found->affinities[i], v);
    return found;
}

/* ---- questions ---- */

bool rule_holds(const struct rule *r, const struct attributes *of)
{
    const struct value *v = attributes_find(of, r->condition.attribute);

    return condition_holds(&r->condition, v == NULL ? NULL : v->text, r->re, NULL);
}

bool matcher_holds(const struct matcher *m, const struct attributes *of)
{
    for (size_t i = 0; i < m->constraint_count; i++)
        if (!rule_holds(m->constraints[i], of))
            return false;
    return true;
}

uint64_t matcher_wishes(const struct matcher *m,
                        const struct values *v,
                        const struct attributes *of)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->match.affinity_count; i++) {
        int64_t weight = m->match.affinities[i].weight;
        bool holds = rule_holds(m->affinities[i], of);

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
