/* census.h - how many agents could have a task, for explanations.
 */
#ifndef SCHED_CENSUS_H
#define SCHED_CENSUS_H

#include "sched/fleet.h"

struct seek;

/* How many agents are large enough for a task, and the most there is of each kind; with
 * extras also of each of those. */
struct census {
    uint64_t able[STANDINGS]; /* large enough when empty */
    uint64_t together;        /* tasks of a gang that these may have, at most */
    uint64_t
        small[RESOURCE_KINDS]; /* agents that take work and are not, by the first kind
                                     * of which they have too little */
    struct resources largest;
    uint32_t most_ports;
    uint64_t most_custom[LIMIT_CUSTOM]; /* in the order of the needs */
    uint16_t port_nowhere;              /* fixed, and offered by no agent; 0: none */
    uint32_t features;                  /* that one agent at least has */
    uint64_t
        unable; /* agents that take work and are large enough, but without these: */
    uint32_t missing; /* features; those of the first such agent */
    /* Of a task that does not take any agent: */
    uint64_t matching; /* agents that keep what does not depend on other tasks */
    uint64_t shut;     /* agents that take no work, … */
    uint64_t open;     /* … and that do, and how many of those … */
    uint64_t
        rejected[LIMIT_CONSTRAINTS + 1]; /* … each constraint rejects; anti-affinities
                                                 * are behind the last */
};

/* Whether a task has room at this moment; if not, a fixed port may be the reason. */
struct room {
    bool is_there;
    uint16_t taken_port; /* on each of the agents that take work and offer it; or 0 */
    uint64_t taken_on;   /* so many */
};

/* Agents that take work and are large enough, by the first kind of which they have too little left
 * now; behind the last stand extras. */
struct shortage {
    uint64_t full[RESOURCE_KINDS + 1];
};

/* O(sizes), of which there are up to as many as agents; with extras or constraints O(agents),
 * for each fixed port.  *looks is taken down by what each of them costs, and what is returned is
 * nothing when it is 0 at the end. */
struct census fleet_census(const struct fleet *f, struct seek *k, unsigned *looks);
/* What an agent is short of for a task: the place in `full`; -1: nothing, or it does not count. */
int fleet_short_of(const struct fleet_agent *a, const struct demand *d);
/* A fixed port that is in use on each of the agents that take work and offer it, of which
 * there are *agents > 0; 0: none is.  O(agents) for each port; *looks as above. */
uint16_t fleet_taken_port(const struct fleet *f,
                          const struct demand *d,
                          unsigned *looks,
                          uint64_t *agents);

#endif
