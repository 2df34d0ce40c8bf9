/* random_life.h - what happens to a cluster that lives for a while: agents come, change and go, jobs
 * of many kinds are submitted and killed, tasks report, roles change.
 */
#ifndef TESTS_UNIT_SCHED_RANDOM_LIFE_H
#define TESTS_UNIT_SCHED_RANDOM_LIFE_H

#include "base/rng.h"
#include "tests/lib/cluster.h"

/* All that there may be: agents, ports, custom resources, and who submits. */
#define LIFE_AGENTS     64
#define LIFE_FIRST_PORT 100
#define LIFE_PORTS      12
#define LIFE_NAMES      2
#define LIFE_OWNERS     4

extern const char *const life_names[LIFE_NAMES];
extern const char *const life_owners[LIFE_OWNERS];

struct life {
    struct cluster *c;
    struct rng rng;
    bool is_choosy; /* jobs do not take any agent */
    bool reserves;  /* roles keep room for who waits first */
    bool is_wide;   /* amounts from all over the range, not just some round ones */
};

/* So many changes, each of any kind. */
void life_go_on(struct life *l, unsigned changes);

#endif
