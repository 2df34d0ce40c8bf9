/* slow_match.c - constraints, affinities and scores, written a second time. */
#include "tests/unit/sched/slow_match.h"

#include "base/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 u128;

/* ---- places ---- */

static uint64_t worth_of(const struct resources *r)
{
    static const uint64_t PRICE[RESOURCE_KINDS] = {
        4294967296, 1024, 1, 16000 * 4294967296};
    uint64_t sum = 0;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        sum += PRICE[k] * r->amount[k];
    return sum;
}

void slow_place_read(struct slow_place *p, const struct agent *agent)
{
    *p = (struct slow_place){.id = agent->id, .is_gone = agent->state == AGENT_GONE};
    ck_assert_int_eq(agent_spec_unpack(&p->spec, agent->spec, NULL), 0);
    p->worth = worth_of(&agent->capacity);
}

void slow_place_finish(struct slow_place *p)
{
    agent_spec_finish(&p->spec);
    mem_free(p->jobs);
    *p = (struct slow_place){0};
}

void slow_place_add(struct slow_place *p, const struct job *j)
{
    MEM_GROW(p->jobs, p->job_room, p->job_count + 1);
    p->jobs[p->job_count++] = j;
}

static const char *
value_of(const struct slow_place *p, const char *name, char number[32])
{
    for (size_t i = 0; i < p->spec.attribute_count; i++)
        if (strcmp(p->spec.attributes[i].name, name) == 0)
            return p->spec.attributes[i].value;
    if (strcmp(name, "host") == 0)
        return p->spec.hostname;
    if (strcmp(name, "agent") != 0)
        return NULL;
    snprintf(number, 32, "%llu", (unsigned long long)p->id);
    return number;
}

/* ---- conditions ---- */

/* Those of REGEXPS below. */
static bool finds(const char *pattern, const char *value)
{
    if (strcmp(pattern, "^[ab]") == 0)
        return value[0] == 'a' || value[0] == 'b';
    if (strcmp(pattern, "c$") == 0)
        return value[0] != '\0' && value[strlen(value) - 1] == 'c';
    return strstr(value, "b") != NULL; /* "b+" */
}

/* Of VERSIONS and RANGES below: "1.2.3", and one comparator. */
static bool is_in_range(const char *range, const char *value)
{
    int a[3] = {0}, b[3] = {0}, order = 0;

    if (strchr(value, '.') == NULL)
        return false;
    ck_assert_int_ge(sscanf(value, "%d.%d.%d", &a[0], &a[1], &a[2]), 2);
    ck_assert_int_ge(
        sscanf(range + strspn(range, "<>= "), "%d.%d.%d", &b[0], &b[1], &b[2]), 2);
    for (int i = 0; i < 3 && order == 0; i++)
        order = a[i] - b[i];
    return range[0] == '>' ? order >= 0 : range[0] == '<' ? order < 0 : order == 0;
}

static bool is_number(const char *value)
{
    return value[0] != '\0' && value[strspn(value, "0123456789")] == '\0';
}

static bool slow_holds(const struct condition *c, const struct slow_place *p)
{
    char number[32];
    const char *value = value_of(p, c->attribute, number);
    bool listed = false, counts = false;
    int order = 0;

    for (size_t i = 0; i < c->count && value != NULL; i++)
        listed |= strcmp(c->values[i], value) == 0;
    if (value != NULL && c->count > 0) {
        counts = is_number(value);
        order = atoi(value) - atoi(c->values[0]);
    }
    switch (c->op) {
    case MATCH_EQUAL:
    case MATCH_IN:
        return listed;
    case MATCH_NOT_EQUAL:
    case MATCH_NOT_IN:
        return !listed;
    case MATCH_LESS:
        return counts && order < 0;
    case MATCH_AT_MOST:
        return counts && order <= 0;
    case MATCH_MORE:
        return counts && order > 0;
    case MATCH_AT_LEAST:
        return counts && order >= 0;
    case MATCH_REGEXP:
        return value != NULL && finds(c->values[0], value);
    case MATCH_VERSION:
        return value != NULL && is_in_range(c->values[0], value);
    case MATCH_IS_SET:
        return value != NULL;
    case MATCH_IS_NOT_SET:
        return value == NULL;
    case MATCH_DISTINCT:
    case MATCH_OP_END:
        break;
    }
    ck_abort_msg("no such condition");
}

/* ---- tasks ---- */

static uint32_t tasks_at(const struct slow_place *p, const struct job *j)
{
    uint32_t count = 0;

    for (size_t i = 0; i < p->job_count; i++)
        count += p->jobs[i] == j;
    return count;
}

/* Of the job, where the attribute has this value. */
static uint32_t tasks_with(const char *attribute,
                           const char *value,
                           const struct job *j,
                           const struct slow_place *all,
                           size_t count)
{
    char number[32];
    uint32_t tasks = 0;

    for (size_t i = 0; i < count; i++) {
        const char *other = value_of(&all[i], attribute, number);

        if (!all[i].is_gone && other != NULL && strcmp(other, value) == 0)
            tasks += tasks_at(&all[i], j);
    }
    return tasks;
}

static bool is_near(const struct slow_place *p, const struct job *j, const char *name)
{
    for (size_t i = 0; i < p->job_count; i++) {
        struct bytes has = job_spec_name(p->jobs[i]->spec);

        if (p->jobs[i]->owner->role == j->owner->role && has.size == strlen(name) &&
            memcmp(has.data, name, has.size) == 0)
            return true;
    }
    return false;
}

bool slow_may_be(const struct match *m,
                 const struct job *j,
                 const struct slow_place *all,
                 size_t count,
                 size_t i)
{
    for (size_t k = 0; k < m->constraint_count; k++) {
        const struct condition *c = &m->constraints[k];
        char number[32];
        const char *value = value_of(&all[i], c->attribute, number);

        if (c->op != MATCH_DISTINCT && !slow_holds(c, &all[i]))
            return false;
        if (c->op == MATCH_DISTINCT &&
            (value == NULL ||
             tasks_with(c->attribute, value, j, all, count) >= c->most))
            return false;
    }
    for (size_t k = 0; k < m->apart_count; k++)
        if (m->aparts[k].weight == 0 && is_near(&all[i], j, m->aparts[k].job))
            return false;
    return true;
}

/* ---- scores ---- */

static uint64_t spread_there(const struct spread *s,
                             const struct job *j,
                             const struct slow_place *all,
                             size_t count,
                             size_t here)
{
    uint32_t least = UINT32_MAX, most = 0, own;
    char number[32], other[32];
    const char *value = value_of(&all[here], s->attribute, number);

    if (value == NULL)
        return 0;
    own = tasks_with(s->attribute, value, j, all, count);
    for (size_t i = 0; i < count; i++) {
        const char *of = value_of(&all[i], s->attribute, other);
        uint32_t tasks;

        if (all[i].is_gone || of == NULL)
            continue;
        tasks = tasks_with(s->attribute, of, j, all, count);
        least = tasks < least ? tasks : least;
        most = tasks > most ? tasks : most;
    }
    return most == least ? 1000 : 1000 - 1000 * (own - least) / (most - least);
}

static uint64_t affinity_there(const struct match *m,
                               const struct job *j,
                               const struct slow_place *all,
                               size_t count,
                               size_t here)
{
    uint64_t sum = 0, weights = 0;

    for (size_t i = 0; i < m->affinity_count; i++) {
        int32_t w = m->affinities[i].weight;

        weights += (uint64_t)abs(w);
        if (slow_holds(&m->affinities[i], &all[here]) == (w > 0))
            sum += 1000 * (uint64_t)abs(w);
    }
    for (size_t i = 0; i < m->spread_count; i++) {
        weights += m->spreads[i].weight;
        sum += m->spreads[i].weight * spread_there(&m->spreads[i], j, all, count, here);
    }
    for (size_t i = 0; i < m->apart_count; i++) {
        weights += m->aparts[i].weight;
        if (!is_near(&all[here], j, m->aparts[i].job))
            sum += 1000 * (uint64_t)m->aparts[i].weight;
    }
    return weights == 0 ? 0 : sum / weights;
}

uint64_t slow_score(const struct match *m,
                    const struct job *j,
                    const struct slow_place *all,
                    size_t count,
                    size_t i,
                    uint64_t left)
{
    const struct role_spec *role = &j->owner->role->spec;
    uint64_t most = 1, balance;

    for (size_t k = 0; k < count; k++)
        if (!all[k].is_gone && all[k].worth > most)
            most = all[k].worth;
    balance = (uint64_t)((u128)left * 1000 / most);
    if (role->balance == BALANCE_BINPACK)
        balance = 1000 - balance;
    return role->alpha * affinity_there(m, j, all, count, i) +
           (1000 - role->alpha) * balance;
}

/* ---- random ones ---- */

static const char *const RACKS[] = {"a", "b", "c", "abc", "bc"};
static const char *const NUMBERS[] = {"1", "2", "3", "10", "x"};
static const char *const VERSIONS[] = {"1.2.3", "1.10.0", "2.0.0", "6.1.7", "none"};
static const char *const REGEXPS[] = {"^[ab]", "c$", "b+"};
static const char *const RANGES[] = {">= 1.3", "< 2.0.0", "= 1.2.3", ">=1.10.0"};
static const char *const HOSTS[] = {"h1", "h2", "h3", "h4"};
static const char *const AGENTS[] = {"1", "2", "5"};
static const char *const JOBS[] = {"web", "db", "a job"};

#define ANY(list) ((char *)(list)[rng_below(rng, sizeof(list) / sizeof(*(list)))])

void any_attributes(struct rng *rng, struct agent_spec *spec, struct attribute *list)
{
    static const struct {
        const char *name;
        const char *const *values;
    } ALL[SLOW_ATTRIBUTES] = {
        {"gen", NUMBERS}, {"rack", RACKS}, {"ver", VERSIONS}, {"zone", RACKS}};

    spec->hostname = ANY(HOSTS);
    spec->attributes = list;
    spec->attribute_count = 0;
    for (size_t i = 0; i < SLOW_ATTRIBUTES; i++)
        if (rng_percent(rng, 75))
            list[spec->attribute_count++] = (struct attribute){
                (char *)ALL[i].name, (char *)ALL[i].values[rng_below(rng, 5)]};
}

static const char *const ATTRIBUTES[] = {
    "rack", "rack", "zone", "gen", "ver", "host", "agent", "none"};

static struct condition any_condition(struct rng *rng, char **values)
{
    struct condition c = {.attribute = ANY(ATTRIBUTES),
                          .op = (enum match_op)(1 + rng_below(rng, MATCH_DISTINCT - 1)),
                          .values = values,
                          .count = 1};

    if (c.op >= MATCH_IS_SET)
        c.count = 0;
    else if (c.op == MATCH_IN || c.op == MATCH_NOT_IN)
        c.count = 1 + rng_below(rng, 3);
    for (size_t i = 0; i < c.count; i++)
        values[i] = strcmp(c.attribute, "gen") == 0     ? ANY(NUMBERS)
                    : strcmp(c.attribute, "ver") == 0   ? ANY(VERSIONS)
                    : strcmp(c.attribute, "host") == 0  ? ANY(HOSTS)
                    : strcmp(c.attribute, "agent") == 0 ? ANY(AGENTS)
                                                        : ANY(RACKS);
    if (c.op >= MATCH_LESS && c.op <= MATCH_AT_LEAST)
        values[0] = (char *)NUMBERS[rng_below(rng, 4)];
    if (c.op == MATCH_REGEXP)
        values[0] = ANY(REGEXPS);
    if (c.op == MATCH_VERSION)
        values[0] = ANY(RANGES);
    if (c.op == MATCH_VERSION)
        c.attribute = (char *)"ver";
    return c;
}

char *any_job_name(struct rng *rng)
{
    return ANY(JOBS);
}

struct match any_match(struct rng *rng)
{
    static struct condition constraints[3], affinities[3];
    static char *values[6][3];
    static struct spread spreads[2];
    static struct apart aparts[2];
    struct match m = {constraints, 0, affinities, 0, spreads, 0, aparts, 0};

    while (m.constraint_count < 2 && rng_percent(rng, 35)) {
        constraints[m.constraint_count] =
            any_condition(rng, values[m.constraint_count]);
        m.constraint_count++;
    }
    if (rng_percent(rng, 20))
        constraints[m.constraint_count++] =
            (struct condition){.attribute = ANY(ATTRIBUTES),
                               .op = MATCH_DISTINCT,
                               .most = 1 + (uint32_t)rng_below(rng, 3)};
    while (m.affinity_count < 3 && rng_percent(rng, 25)) {
        affinities[m.affinity_count] = any_condition(rng, values[3 + m.affinity_count]);
        affinities[m.affinity_count++].weight = rng_percent(rng, 70)
                                                    ? 1 + (int32_t)rng_below(rng, 100)
                                                    : -1 - (int32_t)rng_below(rng, 100);
    }
    while (m.spread_count < 2 && rng_percent(rng, 15))
        spreads[m.spread_count++] =
            (struct spread){ANY(ATTRIBUTES), 1 + (uint32_t)rng_below(rng, 100)};
    while (m.apart_count < 2 && rng_percent(rng, 10))
        aparts[m.apart_count++] = (struct apart){
            ANY(JOBS), rng_percent(rng, 50) ? 0 : 1 + (uint32_t)rng_below(rng, 100)};
    return m;
}
