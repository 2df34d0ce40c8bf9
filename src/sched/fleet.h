/* fleet.h - the agents as the scheduler sees them.
 *
 * Those that take work are in `open`, ordered by the worth of what they have free and then
 * by id: the first one that can hold a task is the best for it.  Free resources are those
 * of the state less what the running round has placed, until they are read again.
 *
 * An agent has *grown* when it has more of something than when the sleeping shapes
 * (queue.h) were compared with it.  Only such an agent can wake one.
 */
#ifndef SCHED_FLEET_H
#define SCHED_FLEET_H

#include "raft_fsm/extras.h"
#include "raft_fsm/role.h"
#include "raft_fsm/state.h"
#include "sched/fit_tree.h"

#include <bsd/sys/tree.h>

/* How an agent stands, whatever it has: explanations count each apart. */
enum standing {
    STANDS_OPEN,
    STANDS_REFUSING /* its disk is low */,
    STANDS_CLOSED /* cordoned or draining */,
    STANDS_AWAY,
    STANDINGS
};

/* Agents of one size, which is what explanations count. */
struct size_class {
    struct resources capacity;
    uint32_t agents[STANDINGS];
    RB_ENTRY(size_class) by_capacity;
};

/* How many agents are large enough for a task, and the most there is of each kind; with
 * extras also of each of those. */
struct census {
    uint64_t able[STANDINGS]; /* large enough when empty */
    struct resources largest;
    uint32_t most_ports;
    uint64_t most_custom[LIMIT_CUSTOM]; /* in the order of the needs */
    uint16_t port_nowhere;              /* fixed, and offered by no agent; 0: none */
    uint32_t features;                  /* that one agent at least has */
    uint64_t
        unable; /* agents that take work and are large enough, but without these: */
    uint32_t missing; /* features; those of the first such agent */
};

/* Whether a task has room at this moment; if not, a fixed port may be the reason. */
struct room {
    bool is_there;
    uint16_t taken_port; /* on each of the agents that take work and offer it; or 0 */
    uint64_t taken_on;   /* so many */
};

/* What one task needs, of amounts and besides. */
struct demand {
    struct resources need;
    const struct extra_needs *extras; /* NULL: nothing */
};

static inline struct demand job_demand(const struct job *j)
{
    return (struct demand){j->resources, j->extras};
}

/* Extras of an agent, as the state has them and the running round planned. */
struct fleet_extras {
    struct extra_capacity offered;
    struct extra_use used;
};

struct fleet_agent {
    uint64_t id;
    struct fit_node fit;     /* in `open` while it takes work; vector = what is free */
    struct size_class *size; /* where it is counted; NULL before the first refresh */
    enum standing standing;  /* how it is counted there */
    bool refuses;            /* it said so itself: the state does not know */
    bool is_taken;           /* its id is in `taken` */
    struct fit_node growth;  /* in `grown`; the same vector */
    struct fleet_extras *extras; /* owned; NULL: it never had any */
    RB_ENTRY(fleet_agent) by_id;
};

extern const struct fleet_extras fleet_no_extras;

static inline const struct fleet_extras *fleet_extras_of(const struct fleet_agent *a)
{
    return a->extras != NULL ? a->extras : &fleet_no_extras;
}

RB_HEAD(size_tree, size_class);
RB_HEAD(fleet_tree, fleet_agent);

RB_PROTOTYPE(size_tree, size_class, by_capacity, )
RB_PROTOTYPE(fleet_tree, fleet_agent, by_id, )

struct fleet {
    struct fleet_tree agents;
    struct fit_tree open;
    struct fit_tree grown; /* by id */
    struct size_tree sizes;
    struct use total;       /* of agents that are not away */
    bool total_changed;     /* for who looks, and takes it back */
    uint64_t sizes_version; /* from 1; grows when something in `sizes` changes */
    uint64_t version;       /* from 1; grows when something of an agent may change */
    uint64_t *taken;        /* ids of the agents that the last round placed on */
    size_t taken_count, taken_capacity;
};

/* The bits of fit_need: 0 for most. */
uint64_t demand_bits(const struct demand *d);
enum standing agent_standing(const struct agent *agent);

void fleet_init(struct fleet *f);
void fleet_finish(struct fleet *f);

/* Read an agent from the state; one that is gone is forgotten.  True when it grew. */
bool fleet_refresh(struct fleet *f, const struct state *s, uint64_t id);
/* An agent takes no new work, or does again.  True when it grew. */
bool fleet_refuses(struct fleet *f, const struct state *s, uint64_t id, bool refuses);
/* Read all that the last round placed on.  True when one grew. */
bool fleet_refresh_taken(struct fleet *f, const struct state *s);

/* The best agent for a task: of those with a key of at least `from` (NULL: of all) that
 * have room, the one that is worth least.  NULL when there is none.  *asked as in
 * fit_tree_find(). */
struct fleet_agent *fleet_best(const struct fleet *f,
                               const struct fit_key *from,
                               const struct demand *d,
                               unsigned *asked);
/* True if an agent that has grown has room. */
bool fleet_grown_has_room(const struct fleet *f,
                          const struct demand *d,
                          unsigned *asked);

/* O(sizes), of which there are up to as many as agents; with extras O(agents), for each fixed
 * port.  *looks is taken down by one for each of them, and what is returned is nothing when
 * it is 0 at the end. */
struct census
fleet_census(const struct fleet *f, const struct demand *d, unsigned *looks);
/* A fixed port that is in use on each of the agents that take work and offer it, of which
 * there are *agents > 0; 0: none is.  O(agents) for each port; *looks as above. */
uint16_t fleet_taken_port(const struct fleet *f,
                          const struct demand *d,
                          unsigned *looks,
                          uint64_t *agents);

/* Plan one task more: what is left of *left, and of the agent's extras.  False when it does
 * not fit. */
bool fleet_plan(struct fleet_agent *a, struct resources *left, const struct demand *d);
/* All of them are planned, and leave it with this. */
void fleet_take(struct fleet *f, struct fleet_agent *a, const struct resources *left);

#endif
