/* values.h - which values attributes of agents have, and who has them.
 *
 * Each pair of an attribute's name and a value is there once, with the agents that have it.
 * `host` and `agent` are attributes of every agent (wire/match.h); each of the others has a bit,
 * which it shares with others only when there are more values than bits.  A value has a number of its
 * own for one who counts by values (seek.h): nothing is in it between two counts.
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

struct holding;
LIST_HEAD(holdings, holding);

struct value {
    char *name, *text;
    struct holdings agents; /* in no order */
    uint32_t agent_count;
    unsigned bit;     /* if it has one */
    uint32_t tasks;   /* counted … */
    uint64_t counted; /* … at this count; others are 0 */
    RB_ENTRY(value) by_text;
};

/* An agent has it. */
struct holding {
    struct value *value;
    void *agent;
    LIST_ENTRY(holding) next;
};

RB_HEAD(value_tree, value);
RB_PROTOTYPE(value_tree, value, by_text, )

struct values {
    struct value_tree tree;
    uint64_t version;              /* grows when there is another value, or one less */
    uint64_t count;                /* the one that goes on */
    uint32_t behind[FIT_SET_BITS]; /* values behind each bit */
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

/* A count begins: all values are 0.  A task more on an agent; and tasks that were counted on
 * agents with this value. */
void values_count(struct values *v);
void values_count_task(struct values *v, const struct attributes *of);
static inline uint32_t value_tasks(const struct values *v, const struct value *value)
{
    return value->counted == v->count ? value->tasks : 0;
}

/* NULL: it has no such attribute. */
struct value *attributes_find(const struct attributes *of, const char *name);
/* Bits of all of them; and those by their texts alone, which are the same whatever other values
 * there are (value_bit_of_text()). */
struct fit_set attributes_set(const struct attributes *of);
struct fit_set attributes_text_set(const struct attributes *of);

struct value *values_find(const struct values *v, const char *name, const char *text);
/* The first value of an attribute, and the next one; NULL at the end. */
struct value *values_first(const struct values *v, const char *name);
struct value *values_next(const struct value *v);

/* Values of this attribute have bits. */
bool values_have_bits(const char *name);
unsigned value_bit_of_text(const char *name, const char *text);

#endif
