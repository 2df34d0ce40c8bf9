/* counter.c - tasks of one job by the values of one attribute. */
#include "sched/counter.h"

#include <string.h>

/* Whether the bit of a value with so many tasks is in the set. */
static bool is_in_set(const struct counter *c, uint32_t tasks)
{
    return c->limit > 0 ? tasks < c->limit : tasks == c->least;
}

static void take_into_set(struct counter *c, const struct value *v)
{
    c->with_bit[v->bit]++;
    fit_set_add(&c->set, v->bit);
}

static void take_out_of_set(struct counter *c, const struct value *v)
{
    if (--c->with_bit[v->bit] == 0)
        c->set.word[v->bit / 64] &= ~(1ull << v->bit % 64);
}

static void find_bounds(struct counter *c, const struct values *v)
{
    c->least = UINT32_MAX;
    c->most = 0;
    for (struct value *value = values_first(v, c->attribute); value != NULL;
         value = values_next(value)) {
        uint32_t tasks = value_tasks(v, value);

        c->at_least = tasks < c->least ? 1 : c->at_least + (tasks == c->least);
        c->least = tasks < c->least ? tasks : c->least;
        c->most = tasks > c->most ? tasks : c->most;
    }
}

void counter_begin(struct counter *c, const struct values *v)
{
    bool has_bits = values_have_bits(c->attribute);
    struct value *value;

    if (c->limit == 0)
        find_bounds(c, v);
    c->set = has_bits ? (struct fit_set){{0}} : fit_set_all();
    if (!has_bits)
        return;
    memset(c->with_bit, 0, sizeof(c->with_bit));
    for (value = values_first(v, c->attribute); value != NULL;
         value = values_next(value))
        if (is_in_set(c, value_tasks(v, value)))
            take_into_set(c, value);
}

void counter_add(struct counter *c, const struct values *v, const struct attributes *of)
{
    const struct value *value = attributes_find(of, c->attribute);
    uint32_t now, before;

    if (value == NULL)
        return;
    now = value_tasks(v, value);
    before = now - 1;
    c->most = now > c->most ? now : c->most;
    if (c->limit == 0 && before == c->least && --c->at_least == 0) {
        counter_begin(c, v);
        return;
    }
    if (values_have_bits(c->attribute) && is_in_set(c, before) && !is_in_set(c, now))
        take_out_of_set(c, value);
}

bool counter_may_add(const struct counter *c,
                     const struct values *v,
                     const struct attributes *of)
{
    const struct value *value = attributes_find(of, c->attribute);

    return value != NULL && value_tasks(v, value) < c->limit;
}

static uint64_t score_of(const struct counter *c, uint32_t tasks)
{
    uint64_t range = c->most - c->least;

    return range == 0 ? 1000 : 1000 - 1000 * (uint64_t)(tasks - c->least) / range;
}

uint64_t counter_score(const struct counter *c,
                       const struct values *v,
                       const struct attributes *of)
{
    const struct value *value = attributes_find(of, c->attribute);

    return value == NULL ? 0 : score_of(c, value_tasks(v, value));
}

uint64_t counter_bound(const struct counter *c, const struct fit_set *crowd)
{
    if (c->most == c->least || fit_sets_meet(&c->set, crowd))
        return 1000;
    return score_of(c, c->least + 1);
}
