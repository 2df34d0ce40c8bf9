/* cluster.h - a replicated state and its scheduler, driven by real commands.
 *
 * What a leader does, and nothing else: each call makes one entry, applies it and tells
 * the scheduler of the effects.  A round is planned and applied in two calls, so that a
 * test can put other commands between them.
 */
#ifndef TESTS_LIB_CLUSTER_H
#define TESTS_LIB_CLUSTER_H

#include "raft_fsm/fsm.h"
#include "sched/preempt.h"
#include "sched/rebalance.h"
#include "sched/round.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster {
    struct state *state;
    struct sched *sched;
    struct placement plan[LIMIT_PLACEMENTS]; /* of the last round */
    size_t planned;
    bool more;
    uint64_t keys;
    uint64_t now_us;
    struct outcome out; /* of the last entry */
    struct buffer entry, packed, spec;
};

void cluster_init(struct cluster *c); /* founded; leading, after a first round */
void cluster_init_with(struct cluster *c, unsigned looks); /* in each round */
void cluster_finish(struct cluster *c);

struct result cluster_apply(struct cluster *c, const struct command *command);
/* In one entry: effects are told when all of them are applied. */
void cluster_apply_all(struct cluster *c, const struct command *commands, size_t count);

/* Vectors in cpus (thousandths), MiB, MiB of disk, gpus. */
struct resources amounts(uint64_t milli, uint64_t mem, uint64_t disk, uint64_t gpus);

uint64_t cluster_add_agent(struct cluster *c, struct resources r); /* its id */
void cluster_resize_agent(struct cluster *c, uint64_t agent, struct resources r);
/* All of `like` but key and address; its host is called "host" when it has no name. */
uint64_t cluster_add_agent_like(struct cluster *c, const struct agent_spec *like);
void cluster_resize_agent_like(struct cluster *c,
                               uint64_t agent,
                               const struct agent_spec *like);
void cluster_agent_unreachable(struct cluster *c, uint64_t agent);
void cluster_agent_mode(struct cluster *c, uint64_t agent, enum agent_mode mode);
void cluster_agent_gone(struct cluster *c, uint64_t agent);

/* The id of the job. */
uint64_t cluster_submit(struct cluster *c,
                        struct resources need,
                        uint32_t instances,
                        int32_t priority);
/* All of `like` but its command; it is called "a job" when it has no name. */
uint64_t cluster_submit_like(struct cluster *c, const struct job_spec *like);
uint64_t
cluster_submit_of(struct cluster *c, const struct job_spec *like, const char *owner);
/* What is given of the change; what the state says to it. */
struct result cluster_set_role(struct cluster *c, const struct role_change *change);
struct result cluster_remove_role(struct cluster *c, const char *name);
void cluster_kill(struct cluster *c, uint64_t job);
/* A task that waits goes on. */
void cluster_retry(struct cluster *c, uint64_t job, uint32_t instance);
/* Report a state of an attempt, from its agent. */
void cluster_report(struct cluster *c, uint64_t attempt, enum task_state state);

/* A round: fills plan, planned and more. */
size_t cluster_plan(struct cluster *c, size_t max);
/* Propose the plan; how many of its placements were accepted. */
uint64_t cluster_place(struct cluster *c);
/* A pass of preemption, at most `max` of them: apply each; how many there were, all accepted. */
size_t cluster_preempt(struct cluster *c, struct preemption *out, size_t max);
/* The next move of a pass of rebalancing that goes on or may begin: it is applied.  False: none. */
bool cluster_rebalance(struct cluster *c, struct move *out);
/* Plan and place until a round says that there is no more; how many were accepted. */
uint64_t cluster_settle(struct cluster *c);

#endif
