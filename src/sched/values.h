/* values.h - which values attributes of agents have, and who has them.
 *
 * An attribute is a *column*: all its values, each once, with the agents that have it.  `host` and
 * `agent` are columns of every agent (wire/match.h).  Values have bits, which they share with others only
 * when there are more values than bits; a column with many values has none, since they would tell
 * nothing and spoil those of the others.
 *
 * A value has a number of its column, the lowest that is free, for tables of what is known of
 * each (struct answers).  And one for who counts by values (counter.h): nothing is in it between
 * two counts.
 */
#ifndef SCHED_VALUES_H
#define SCHED_VALUES_H

#include "sched/fit_tree.h"
#include "wire/agent.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COLUMN_BITS_MOST 256 /* values of a column that has bits */

struct column;
struct holding;
LIST_HEAD(holdings, holding);

struct value {
    struct column *column;
    char *text;
    uint32_t number;
    uint32_t tasks;   /* counted … */
    uint64_t counted; /* … at this count; others are 0 */
    uint64_t task;    /* the last one that was counted, by a number of its own */
    unsigned bit;     /* if its column has some */
    uint32_t agent_count;
    struct holdings agents; /* in no order */
    RB_ENTRY(value) by_text;
};

/* An agent has it. */
struct holding {
    struct column *column;
    struct value *value;
    void *agent;
    LIST_ENTRY(holding) next;
};

/* What is known of each value of a column, two bits for each. */
enum answer { ANSWER_UNKNOWN, ANSWER_NO, ANSWER_YES };

struct answers {
    uint8_t *of; /* by number, four in each; owned */
    size_t bytes;
    LIST_ENTRY(answers) next; /* of the column */
};

RB_HEAD(value_tree, value);
RB_HEAD(column_tree, column);
LIST_HEAD(answers_list, answers);

struct column {
    char *name;
    struct value_tree values;
    uint32_t count;
    bool has_bits;
    bool
        lost_bits; /* which agents are still known by; for who looks, and takes it back */
    uint64_t version; /* from 1; grows when there is another value, or one less */
    unsigned users;   /* who holds it though no agent may have it */
    uint32_t *unused; /* numbers below count + unused_count that no value has; owned */
    size_t unused_count, unused_capacity;
    struct answers_list answers;
    RB_ENTRY(column) by_name;
};

RB_PROTOTYPE(value_tree, value, by_text, )
RB_PROTOTYPE(column_tree, column, by_name, )

struct values {
    struct column_tree columns;
    uint64_t count;                /* the one that goes on */
    uint64_t task;                 /* that is counted */
    uint32_t behind[FIT_SET_BITS]; /* values behind each bit */
    bool
        dealt_anew; /* agents are known by other bits; for who looks, and takes it back */
};

/* All that an agent has, in order of the names. */
struct attributes {
    struct holding *items; /* owned */
    size_t count;
};

void values_init(struct values *v);
/* What the spec says of the agent with this id, in place of what it had; `agent` is the owner of
 * it.  True when that is something else. */
bool values_set(struct values *v,
                struct attributes *of,
                const struct agent_spec *spec,
                uint64_t id,
                void *agent);
void values_clear(struct values *v, struct attributes *of);

/* The column of this name, also if no agent has it; ours until it is released. */
struct column *column_hold(struct values *v, const char *name);
void column_release(struct values *v, struct column *c);
/* NULL: no agent has it. */
struct value *column_find(const struct column *c, const char *text);

/* A count begins: all values are 0; and the next task.  Tasks that were counted on agents with a
 * value; and with this one, which is counted once whoever counts it (value_count()). */
static inline void values_count(struct values *v)
{
    v->count++;
}

static inline void values_next_task(struct values *v)
{
    v->task++;
}

static inline uint32_t value_tasks(const struct values *v, const struct value *value)
{
    return value->counted == v->count ? value->tasks : 0;
}

static inline uint32_t value_count(const struct values *v, struct value *value)
{
    if (value->task != v->task)
        value->tasks = value_tasks(v, value) + 1;
    value->task = v->task;
    value->counted = v->count;
    return value->tasks;
}

/* The task was counted, and is not. */
static inline uint32_t value_uncount(const struct values *v, struct value *value)
{
    if (value->task != v->task)
        value->tasks--;
    value->task = v->task;
    return value->tasks;
}

/* NULL: it has no such attribute. */
static inline struct value *attributes_find(const struct attributes *of,
                                            const struct column *c)
{
    for (size_t i = 0; i < of->count; i++)
        if (of->items[i].column == c)
            return of->items[i].value;
    return NULL;
}

/* Bits of all of them; and those by their texts alone, which are the same whatever other values
 * there are (value_bit_of_text()). */
struct fit_set attributes_set(const struct attributes *of);
struct fit_set attributes_text_set(const struct attributes *of);

/* Values of this attribute have bits by their texts. */
bool values_have_text_bits(const char *name);
unsigned value_bit_of_text(const char *name, const char *text);

/* Nothing is known at first, nor of a value that is new. */
void answers_begin(struct answers *a, struct column *c);
void answers_end(struct answers *a);
void answers_set(struct answers *a, const struct value *v, enum answer answer);
static inline enum answer answers_get(const struct answers *a, const struct value *v)
{
    if (v->number / 4 >= a->bytes)
        return ANSWER_UNKNOWN;
    return (enum answer)(a->of[v->number / 4] >> v->number % 4 * 2 & 3);
}

#endif
