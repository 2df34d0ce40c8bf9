/* counter.c - tasks of one job by the values of one attribute. */
#include "sched/counter.h"

#include <string.h>

/* Whether the bit of a value with so many tasks is in the set. */
static bool is_in_set(const struct counter *c, uint32_t tasks)
{
    return c->limit > 0 ? tasks < c->limit : tasks == c->sums.least;
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

/* By the counts of all values, if they have bits. */
static void read_set(struct counter *c, const struct values *v)
{
    struct value *value;

    if (!c->column->has_bits)
        return;
    c->set = (struct fit_set){{0}};
    memset(c->with_bit, 0, sizeof(c->with_bit));
    RB_FOREACH (value, value_tree, &c->column->values)
        if (is_in_set(c, value_tasks(v, value)))
            take_into_set(c, value);
}

/* The least is another one. */
static void rise(struct counter *c, const struct values *v)
{
    struct value *value;

    c->sums.least = UINT32_MAX;
    RB_FOREACH (value, value_tree, &c->column->values) {
        uint32_t tasks = value_tasks(v, value);

        c->sums.at_least =
            tasks < c->sums.least ? 1 : c->sums.at_least + (tasks == c->sums.least);
        c->sums.least = tasks < c->sums.least ? tasks : c->sums.least;
    }
    read_set(c, v);
}

/* Those of all values; they are few. */
static void read_bits(struct counter *c)
{
    struct value *value;

    c->version = c->column->version;
    c->all = fit_set_all();
    if (!c->column->has_bits)
        return;
    c->all = (struct fit_set){{0}};
    memset(c->behind, 0, sizeof(c->behind));
    RB_FOREACH (value, value_tree, &c->column->values) {
        c->behind[value->bit]++;
        fit_set_add(&c->all, value->bit);
    }
}

void counter_begin(struct counter *c)
{
    if (c->version != c->column->version)
        read_bits(c);
    c->sums = (struct counter_sums){.at_least = c->column->count,
                                    .at_most = c->column->count};
    c->set = c->all;
    if (c->column->has_bits)
        memcpy(c->with_bit, c->behind, sizeof(c->with_bit));
}

void counter_add(struct counter *c, const struct values *v, const struct attributes *of)
{
    struct value *value = attributes_find(of, c->column);
    uint32_t now, before;

    if (value == NULL)
        return;
    now = value_count(v, value);
    before = now - 1;
    c->sums.at_most = now > c->sums.most ? 1 : c->sums.at_most + (now == c->sums.most);
    c->sums.most = now > c->sums.most ? now : c->sums.most;
    if (c->limit == 0 && before == c->sums.least && --c->sums.at_least == 0)
        rise(c, v);
    else if (c->column->has_bits && is_in_set(c, before) && !is_in_set(c, now))
        take_out_of_set(c, value);
}

/* How many are at the new least or most nobody asks before it is taken back. */
void counter_leave_out(struct counter *c,
                       const struct values *v,
                       const struct attributes *of)
{
    struct value *value = attributes_find(of, c->column);
    uint32_t now;

    if (value == NULL)
        return;
    c->with_all = c->sums;
    now = value_uncount(v, value);
    if (now < c->sums.least)
        c->sums.least = now;
    if (now + 1 == c->sums.most && c->sums.at_most == 1)
        c->sums.most = now;
    read_set(c, v);
}

void counter_take_back(struct counter *c,
                       const struct values *v,
                       const struct attributes *of)
{
    struct value *value = attributes_find(of, c->column);

    if (value == NULL)
        return;
    value_count(v, value);
    c->sums = c->with_all;
    read_set(c, v);
}

bool counter_may_add(const struct counter *c,
                     const struct values *v,
                     const struct attributes *of)
{
    const struct value *value = attributes_find(of, c->column);

    return value != NULL && value_tasks(v, value) < c->limit;
}

static uint64_t score_of(const struct counter *c, uint32_t tasks)
{
    uint64_t range = c->sums.most - c->sums.least;

    return range == 0 ? 1000 : 1000 - 1000 * (uint64_t)(tasks - c->sums.least) / range;
}

uint64_t counter_score(const struct counter *c,
                       const struct values *v,
                       const struct attributes *of)
{
    const struct value *value = attributes_find(of, c->column);

    return value == NULL ? 0 : score_of(c, value_tasks(v, value));
}

uint64_t counter_bound(const struct counter *c, const struct fit_set *crowd)
{
    if (c->sums.most == c->sums.least || fit_sets_meet(&c->set, crowd))
        return 1000;
    return score_of(c, c->sums.least + 1);
}
