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
#include "sched/matcher.h"
#include "sched/names.h"
#include "sched/values.h"

#include <bsd/sys/queue.h>
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

/* What one task needs, of amounts and besides, and which agents it may have. */
struct demand {
    struct resources need;
    const struct extra_needs *extras; /* NULL: nothing */
    struct bytes match;               /* a packed struct match; empty: any agent */
    uint64_t job;      /* tasks of this one count for each other; 0: they do not */
    uint64_t lasts_ms; /* at most, as far as that is known; 0: it is not */
    uint32_t at_once; /* so many are placed, or none: 1, or all of a gang that begins */
};

struct demand job_demand(const struct job *j);

/* An agent that may have become able to hold something since system jobs were looked at. */
enum due {
    DUE_NOT,
    DUE,
    DUE_NEW, /* it takes work since then: nobody has anything of it yet */
    DUE_KINDS
};

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
    bool is_relaxed;  /* a claim lets more in: it counts as grown when it is read */
    uint64_t claims;  /* bits of those on it (claims.h) */
    uint64_t changes; /* grows when it is read, or has another claim */
    bool is_reread;   /* for fleet_forget() */
    uint32_t runs;    /* attempts on it, and what is planned */
    enum due due;     /* in which list it is */
    TAILQ_ENTRY(fleet_agent) next_due;
    struct fit_node growth;      /* in `grown`; the same vector */
    struct fleet_extras *extras; /* owned; NULL: it never had any */
    struct attributes attributes;
    struct hash128 spec; /* that they were read from */
    struct names names;  /* with what is planned, if they are known */
    RB_ENTRY(fleet_agent) by_id;
};

extern const struct fleet_extras fleet_no_extras;

static inline const struct fleet_extras *fleet_extras_of(const struct fleet_agent *a)
{
    return a->extras != NULL ? a->extras : &fleet_no_extras;
}

RB_HEAD(size_tree, size_class);
RB_HEAD(fleet_tree, fleet_agent);
TAILQ_HEAD(fleet_list, fleet_agent);

RB_PROTOTYPE(size_tree, size_class, by_capacity, )
RB_PROTOTYPE(fleet_tree, fleet_agent, by_id, )

struct fleet {
    struct fleet_tree agents;
    size_t count;
    struct fleet_agent **by_id; /* NULL where there is none; owned */
    size_t ids;
    struct fit_tree open;
    struct fit_tree grown; /* by id; attributes are there by their texts */
    struct size_tree sizes;
    struct use total;       /* of agents that are not away */
    bool total_changed;     /* for who looks, and takes it back */
    uint64_t sizes_version; /* from 1; grows when something in `sizes` changes */
    uint64_t version;       /* from 1; grows when something of an agent may change */
    struct values values;
    struct matchers matchers;
    uint64_t seeks;     /* that began */
    size_t named;       /* placements of the running round whose names agents have */
    uint64_t most;      /* worth of the largest agent … */
    bool most_is_known; /* … unless it left */
    bool regrouped;  /* an agent has other attributes, or went; for who takes it back */
    uint64_t *taken; /* ids of the agents that are to be read when a round begins */
    size_t taken_count, taken_capacity;
    bool has_relaxed;                 /* some of them were */
    struct fleet_list due[DUE_KINDS]; /* who is due for longest first … */
    bool is_watched;                  /* … none is added while nobody watches */
    size_t sweep_left; /* so many more are to be due, that is all of them once, … */
    uint64_t sweep_at; /* … from this id on, and behind the last from the first */
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
/* A claim on it lets more in than before. */
void fleet_relax(struct fleet *f, struct fleet_agent *a);
/* Read all that the last round placed on, or that was relaxed.  True when one grew. */
bool fleet_refresh_taken(struct fleet *f, const struct state *s);

/* An agent, or all, may be able to hold something that they were not; one that is new stays so.
 * All become due little by little, when somebody asks who is. */
void fleet_make_due(struct fleet *f, struct fleet_agent *a, enum due due);
void fleet_all_due(struct fleet *f);
/* Those that are new are first; `last`: DUE, or DUE_NEW for no others.  True if there are any. */
bool fleet_is_due(const struct fleet *f, enum due last);
/* The first of them, of one kind, at most `max`; how many. */
size_t
fleet_due(struct fleet *f, enum due last, struct fleet_agent **agents, size_t max);
void fleet_not_due(struct fleet *f, struct fleet_agent *a);
/* It is due: as the last one of its kind, from now on. */
void fleet_due_last(struct fleet *f, struct fleet_agent *a);

/* NULL: there is none, or it is gone. */
struct fleet_agent *fleet_agent(const struct fleet *f, uint64_t id);
/* The worth of the largest agent, empty; above 0. */
uint64_t fleet_most(struct fleet *f);
/* Whether it has all of these free; NULL: nothing is needed. */
bool fleet_has_extras(const struct fleet_agent *a, const struct extra_needs *n);

/* Plan one task more: what is left of *left, and of the agent's extras.  False when it does
 * not fit. */
bool fleet_plan(struct fleet_agent *a, struct resources *left, const struct demand *d);
/* The last `count` of these placements are not planned any more, the `kept` before them still
 * are: agents are as they were without them, and none has grown by that. */
void fleet_forget(struct fleet *f,
                  const struct state *s,
                  const struct placement *planned,
                  size_t kept,
                  size_t count);
/* All of them are planned, and leave it with this. */
void fleet_take(struct fleet *f, struct fleet_agent *a, const struct resources *left);

#endif
