/* values.c - which values attributes of agents have, and who has them. */
#include "sched/values.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/match.h"

#include <stdio.h>
#include <string.h>

static int value_compare(const struct value *a, const struct value *b)
{
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : strcmp(a->text, b->text);
}

RB_GENERATE(value_tree, value, by_text, value_compare)

void values_init(struct values *v)
{
    *v = (struct values){.version = 1};
    RB_INIT(&v->tree);
}

struct value *values_find(const struct values *v, const char *name, const char *text)
{
    struct value wanted = {.name = (char *)name, .text = (char *)text};

    return RB_FIND(value_tree, (struct value_tree *)&v->tree, &wanted);
}

struct value *values_first(const struct values *v, const char *name)
{
    struct value wanted = {.name = (char *)name, .text = (char *)""};
    struct value *first = RB_NFIND(value_tree, (struct value_tree *)&v->tree, &wanted);

    return first != NULL && strcmp(first->name, name) == 0 ? first : NULL;
}

struct value *values_next(const struct value *v)
{
    struct value *next = RB_NEXT(value_tree, NULL, (struct value *)v);

    return next != NULL && strcmp(next->name, v->name) == 0 ? next : NULL;
}

/* ---- bits ---- */

bool values_have_bits(const char *name)
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

    for (size_t i = 0; i < of->count; i++) {
        const struct value *v = of->items[i].value;

        if (values_have_bits(v->name))
            fit_set_add(&set, v->bit);
    }
    return set;
}

struct fit_set attributes_text_set(const struct attributes *of)
{
    struct fit_set set = {{0}};

    for (size_t i = 0; i < of->count; i++) {
        const struct value *v = of->items[i].value;

        if (values_have_bits(v->name))
            fit_set_add(&set, value_bit_of_text(v->name, v->text));
    }
    return set;
}

/* The one that the fewest have. */
static void take_bit(struct values *v, struct value *value)
{
    if (!values_have_bits(value->name))
        return;
    for (unsigned bit = 1; bit < FIT_SET_BITS; bit++)
        if (v->behind[bit] < v->behind[value->bit])
            value->bit = bit;
    v->behind[value->bit]++;
}

static void give_bit(struct values *v, struct value *value)
{
    if (values_have_bits(value->name))
        v->behind[value->bit]--;
}

/* ---- what an agent has ---- */

struct value *attributes_find(const struct attributes *of, const char *name)
{
    size_t from = 0, to = of->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(of->items[middle].value->name, name);

        if (order == 0)
            return of->items[middle].value;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static struct value *value_get(struct values *v, const char *name, const char *text)
{
    struct value *value = values_find(v, name, text);

    if (value != NULL)
        return value;
    value = mem_zalloc(sizeof(*value));
    value->name = mem_strdup(name);
    value->text = mem_strdup(text);
    LIST_INIT(&value->agents);
    take_bit(v, value);
    RB_INSERT(value_tree, &v->tree, value);
    v->version++;
    return value;
}

static void hold(struct holding *h, struct value *value, void *agent)
{
    *h = (struct holding){.value = value, .agent = agent};
    LIST_INSERT_HEAD(&value->agents, h, next);
    value->agent_count++;
}

static void let_go(struct values *v, struct holding *h)
{
    struct value *value = h->value;

    LIST_REMOVE(h, next);
    if (--value->agent_count > 0)
        return;
    give_bit(v, value);
    RB_REMOVE(value_tree, &v->tree, value);
    mem_free(value->name);
    mem_free(value->text);
    mem_free(value);
    v->version++;
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
        const struct attribute *a = &spec->attributes[i];
        int order = i == spec->attribute_count ? 1
                    : k == 2                   ? -1
                                               : strcmp(a->name, own[k].name);

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
        same = strcmp(of->items[i].value->name, all[i].name) == 0 &&
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
        hold(&of->items[i], value_get(v, all[i].name, all[i].text), agent);
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

/* ---- counts ---- */

void values_count(struct values *v)
{
    v->count++;
}

void values_count_task(struct values *v, const struct attributes *of)
{
    for (size_t i = 0; i < of->count; i++) {
        struct value *value = of->items[i].value;

        value->tasks = value_tasks(v, value) + 1;
        value->counted = v->count;
    }
}
