/* rig.h - the core of a master that is its whole cluster, with a hand-driven world.
 *
 * The disk is instant; turns of the loop are given by hand, so that a test can put
 * events between two of them.  Orders to agents are counted by attempt.
 */
#ifndef TESTS_UNIT_MASTER_CORE_RIG_H
#define TESTS_UNIT_MASTER_CORE_RIG_H

#include "master/core/core.h"
#include "wire/job.h"

#define RIG_ATTEMPTS 16384
#define RIG_SESSIONS 32
#define RIG_WALL_US  1700000000000000ull /* when now_ms is 0 */

struct rig {
    struct master_core *core;
    struct master_config config;
    uint64_t now_ms;
    int64_t wall_ahead_us; /* of the clock that goes with now_ms: jumps */
    bool again;
    uint64_t behind_ms;   /* of all that sessions sent */
    uint64_t deadline_ms; /* of the last step */
    uint32_t last_rpc;
    unsigned http_port; /* of agents that register */
    uint32_t flags;     /* that they say then */
    struct rpc answer;  /* the last response, views into answer_bytes */
    struct buffer answer_bytes;
    unsigned launches[RIG_ATTEMPTS]; /* orders sent, by attempt */
    unsigned stops[RIG_ATTEMPTS];
    uint64_t order_session; /* of the last order */
    size_t order_bytes;     /* of all frames with orders; tests set it to 0 */
    unsigned answers;
    unsigned told[RIG_SESSIONS]; /* that we lead */
    unsigned leases;             /* answers to heartbeats */
    uint64_t lease;              /* sequence of the last one */
    unsigned stops_before_lease;
    size_t largest_step; /* bytes sent in one step */
    bool slow_disk;      /* what is written is durable when rig_disk() says so */
    uint64_t written;    /* sequence of that, or 0 */
    bool closed[RIG_SESSIONS];
    unsigned warnings;
    char warning[200]; /* the last one */
    char zone[200];    /* that was asked for last */
    unsigned zones;    /* that were asked for */
    struct {
        bool asked; /* and not told */
        uint64_t session;
        uint32_t rpc;
        struct buffer request;
    } plan;
};

/* Founded and leading. */
void rig_init(struct rig *rig, unsigned stops_per_turn);
void rig_finish(struct rig *rig);

void rig_step(struct rig *rig, struct master_event *event);
void rig_turn(struct rig *rig);
void rig_settle(struct rig *rig); /* turns until there is nothing left to do */
void rig_disk(struct rig *rig);   /* all that was written is durable */
/* In steps that are no gap of the loop. */
void rig_pass(struct rig *rig, unsigned ms);
/* Another leader, in the next term: it has the state and nothing else. */
void rig_restart(struct rig *rig);
/* It has sessions with agents, 1 to n, and was not given another turn yet. */
void rig_restart_with(struct rig *rig, unsigned n);

void rig_open(struct rig *rig, uint64_t session, enum hello_role role);
void rig_close(struct rig *rig, uint64_t session);
/* A whole frame, with its size word; finished here. */
void rig_frame(struct rig *rig, uint64_t session, struct buffer *frame);

/* An agent with room for any number of tiny tasks, 1000 ports and 10 licences; key tells agents apart.  `agent` is 0
 * at first; returns the id it has, 0 if refused. */
uint64_t rig_register(struct rig *rig, uint64_t session, uint64_t agent, uint32_t key);
/* Proposed and not committed before the next turn. */
void rig_send_register(struct rig *rig, uint64_t session, uint64_t agent, uint32_t key);
uint64_t rig_submit(struct rig *rig, uint64_t session, uint32_t instances);
/* With an argument of this size. */
uint64_t
rig_submit_large(struct rig *rig, uint64_t session, uint32_t instances, size_t bytes);
/* Proposed and not committed before the next turn. */
void rig_send_submit(struct rig *rig,
                     uint64_t session,
                     uint32_t instances,
                     size_t bytes);
void rig_list(struct rig *rig,
              uint64_t session,
              enum method method,
              struct list_request request);
/* A listing says it of the job, among other things. */
void rig_expect_why(struct rig *rig, uint64_t session, uint64_t job, const char *words);
void rig_heartbeat(struct rig *rig, uint64_t session, uint64_t agent);
/* One that says more; nothing is settled. */
void rig_send_heartbeat(struct rig *rig, uint64_t session, struct heartbeat heartbeat);
/* The end of a run, or what it is now. */
void rig_report(struct rig *rig,
                uint64_t session,
                uint64_t agent,
                uint64_t attempt,
                enum task_state state);
uint64_t rig_submit_spec(struct rig *rig, uint64_t session, struct job_spec *spec);
/* Proposed and not committed before the next turn. */
void rig_kill(struct rig *rig, uint64_t session, uint64_t job);
void rig_purge(struct rig *rig, uint64_t session, uint64_t job);

#endif
