/* values.c - which values attributes of agents have, and who has them. */
#include "sched/values.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/match.h"

#include <stdio.h>
#include <string.h>

static int value_by_text(const struct value *a, const struct value *b)
{
    return strcmp(a->text, b->text);
}

static int column_by_name(const struct column *a, const struct column *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE(value_tree, value, by_text, value_by_text)
RB_GENERATE(column_tree, column, by_name, column_by_name)

void values_init(struct values *v)
{
    *v = (struct values){0};
    RB_INIT(&v->columns);
}

/* ---- bits ---- */

bool values_have_text_bits(const char *name)
{
    return strcmp(name, MATCH_HOST) != 0 && strcmp(name, MATCH_AGENT) != 0;
}

unsigned value_bit_of_text(const char *name, const char *text)
{
    uint64_t low = hash128_of(text_view(name)).low;

    return (unsigned)((low * 31 + hash128_of(text_view(text)).low) % FIT_SET_BITS);
}

struct fit_set attributes_set(const struct attributes *of)
{
    struct fit_set set = {{0}};

    for (size_t i = 0; i < of->count; i++)
        if (of->items[i].column->has_bits)
            fit_set_add(&set, of->items[i].value->bit);
    return set;
}

struct fit_set attributes_text_set(const struct attributes *of)
{
    struct fit_set set = {{0}};

    for (size_t i = 0; i < of->count; i++) {
        const char *name = of->items[i].column->name;

        if (values_have_text_bits(name))
            fit_set_add(&set, value_bit_of_text(name, of->items[i].value->text));
    }
    return set;
}

/* The one that the fewest have. */
static void take_bit(struct values *v, struct value *value)
{
    for (unsigned bit = 1; bit < FIT_SET_BITS; bit++)
        if (v->behind[bit] < v->behind[value->bit])
            value->bit = bit;
    v->behind[value->bit]++;
}

/* Without those of this column: what it took is better used by the others. */
static void deal_anew(struct values *v, struct column *without)
{
    struct column *c;
    struct value *value;

    without->has_bits = false;
    v->dealt_anew = true;
    memset(v->behind, 0, sizeof(v->behind));
    RB_FOREACH (c, column_tree, &v->columns) {
        c->version += c->has_bits;
        RB_FOREACH (value, value_tree, &c->values)
            if (c->has_bits)
                take_bit(v, value);
    }
}

/* ---- columns ---- */

static struct column *column_get(struct values *v, const char *name)
{
    struct column wanted = {.name = (char *)name};
    struct column *c = RB_FIND(column_tree, &v->columns, &wanted);

    if (c != NULL)
        return c;
    c = mem_zalloc(sizeof(*c));
    c->name = mem_strdup(name);
    c->version = 1;
    c->has_bits = values_have_text_bits(name);
    RB_INIT(&c->values);
    LIST_INIT(&c->answers);
    RB_INSERT(column_tree, &v->columns, c);
    return c;
}

static void drop_unused(struct values *v, struct column *c)
{
    if (c->count > 0 || c->users > 0)
        return;
    RB_REMOVE(column_tree, &v->columns, c);
    mem_free(c->unused);
    mem_free(c->name);
    mem_free(c);
}

struct column *column_hold(struct values *v, const char *name)
{
    struct column *c = column_get(v, name);

    c->users++;
    return c;
}

void column_release(struct values *v, struct column *c)
{
    c->users--;
    drop_unused(v, c);
}

struct value *column_find(const struct column *c, const char *text)
{
    struct value wanted = {.text = (char *)text};

    return RB_FIND(value_tree, (struct value_tree *)&c->values, &wanted);
}

static struct value *value_get(struct values *v, struct column *c, const char *text)
{
    struct value *value = column_find(c, text);

    if (value != NULL)
        return value;
    value = mem_zalloc(sizeof(*value));
    value->column = c;
    value->text = mem_strdup(text);
    value->number = c->unused_count > 0 ? c->unused[--c->unused_count] : c->count;
    LIST_INIT(&value->agents);
    if (c->has_bits && c->count == COLUMN_BITS_MOST)
        deal_anew(v, c);
    if (c->has_bits)
        take_bit(v, value);
    RB_INSERT(value_tree, &c->values, value);
    c->count++;
    c->version++;
    return value;
}

static void value_drop(struct values *v, struct value *value)
{
    struct column *c = value->column;
    struct answers *a;

    LIST_FOREACH (a, &c->answers, next)
        answers_set(a, value, ANSWER_UNKNOWN);
    MEM_GROW(c->unused, c->unused_capacity, c->unused_count + 1);
    c->unused[c->unused_count++] = value->number;
    if (c->has_bits)
        v->behind[value->bit]--;
    RB_REMOVE(value_tree, &c->values, value);
    c->count--;
    c->version++;
    mem_free(value->text);
    mem_free(value);
    drop_unused(v, c);
}

/* ---- what is known of values ---- */

void answers_begin(struct answers *a, struct column *c)
{
    *a = (struct answers){0};
    LIST_INSERT_HEAD(&c->answers, a, next);
}

void answers_end(struct answers *a)
{
    LIST_REMOVE(a, next);
    mem_free(a->of);
}

void answers_set(struct answers *a, const struct value *v, enum answer answer)
{
    size_t at = v->number / 4, bytes = a->bytes;
    unsigned shift = v->number % 4 * 2;

    if (at >= bytes && answer == ANSWER_UNKNOWN)
        return;
    if (at >= bytes) {
        MEM_GROW(a->of, a->bytes, at + 1);
        memset(a->of + bytes, 0, a->bytes - bytes);
    }
    a->of[at] = (uint8_t)((a->of[at] & ~(3u << shift)) | (unsigned)answer << shift);
}

/* ---- what an agent has ---- */

static void hold(struct holding *h, struct value *value, void *agent)
{
    *h = (struct holding){.column = value->column, .value = value, .agent = agent};
    LIST_INSERT_HEAD(&value->agents, h, next);
    value->agent_count++;
}

static void let_go(struct values *v, struct holding *h)
{
    struct value *value = h->value;

    LIST_REMOVE(h, next);
    if (--value->agent_count == 0)
        value_drop(v, value);
}

/* Those of the spec, and the two that every agent has, in order of the names. */
struct named {
    const char *name, *text;
};

static size_t list_all(const struct agent_spec *spec,
                       const char *id,
                       struct named all[LIMIT_ATTRIBUTES + 2])
{
    struct named own[] = {{MATCH_AGENT, id}, {MATCH_HOST, spec->hostname}};
    size_t count = 0, i = 0, k = 0;

    while (i < spec->attribute_count || k < 2) {
        const struct attribute *a =
            i < spec->attribute_count ? &spec->attributes[i] : NULL;
        int order = a == NULL ? 1 : k == 2 ? -1 : strcmp(a->name, own[k].name);

        all[count++] = order <= 0 ? (struct named){a->name, a->value} : own[k];
        i += order <= 0;
        k += order >= 0;
    }
    return count;
}

static bool is_same(const struct attributes *of, const struct named *all, size_t count)
{
    bool same = of->count == count;

    for (size_t i = 0; i < count && same; i++)
        same = strcmp(of->items[i].column->name, all[i].name) == 0 &&
               strcmp(of->items[i].value->text, all[i].text) == 0;
    return same;
}

bool values_set(struct values *v,
                struct attributes *of,
                const struct agent_spec *spec,
                uint64_t id,
                void *agent)
{
    struct named all[LIMIT_ATTRIBUTES + 2];
    struct attributes had = *of;
    char number[24];
    size_t count;

    snprintf(number, sizeof(number), "%llu", (unsigned long long)id);
    count = list_all(spec, number, all);
    if (is_same(of, all, count))
        return false;
    *of = (struct attributes){mem_alloc(count * sizeof(*of->items)), count};
    for (size_t i = 0; i < count; i++)
        hold(&of->items[i],
             value_get(v, column_get(v, all[i].name), all[i].text),
             agent);
    values_clear(v, &had);
    return true;
}

void values_clear(struct values *v, struct attributes *of)
{
    for (size_t i = 0; i < of->count; i++)
        let_go(v, &of->items[i]);
    mem_free(of->items);
    *of = (struct attributes){0};
}
