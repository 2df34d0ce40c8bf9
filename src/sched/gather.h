/* gather.h - the places that have room first for so many tasks
 * (docs/spec/7-scheduling.md, "Reservations").
 *
 * Each agent tells the times at which one task more, or several, have room there.  Of all of them
 * those are kept that are first until enough tasks have room; the last of them is when.  A
 * heap with the last one on top: there are never more than `wanted` in it, and a step costs
 * O(log wanted).  One task wants one step.
 *
 * Steps are in order of time; of equal ones where fewer have to end; of those of the older agent.
 * Where agents are in groups (racks of `distinct`), of which each may have so many tasks at most, the
 * last ones of a group give way to sooner ones of it: what is left out once is never wanted
 * again, since groups and the number wanted are a matroid (Edmonds 1971).
 */
#ifndef SCHED_GATHER_H
#define SCHED_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From then on so many tasks more have room on this agent (forecast.h has the times). */
struct step {
    uint64_t agent;
    uint64_t from_us;
    uint64_t at_us;
    uint32_t ends; /* tasks that have to end there first */
    uint32_t tasks;
    uint32_t group; /* of its agent; 0: none */
};

struct gathering {
    struct step *of; /* owned */
    size_t count, capacity;
    uint32_t tasks; /* that have room together */
    uint32_t wanted;
    uint32_t group_kind; /* set by who has groups … */
    uint32_t group_most; /* … with the tasks that one may have */
};

bool step_is_sooner(const struct step *a, const struct step *b);

void gathering_begin(struct gathering *g, uint32_t wanted);
void gathering_finish(struct gathering *g);
/* False when enough tasks have room before; those of the same agent that are later need not be
 * told, either. */
bool gathering_add(struct gathering *g, const struct step *s);
static inline bool gathering_is_whole(const struct gathering *g)
{
    return g->tasks >= g->wanted;
}

/* No more are told, and it is whole: from now on there is one step for each agent, with all its
 * tasks and its last time, by agent.  Returns the number of the last one. */
size_t gathering_end(struct gathering *g);

#endif
