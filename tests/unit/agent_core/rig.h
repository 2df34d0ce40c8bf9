/* rig.h - an agent's core with a hand-driven world around it: disk, masters, launcher. */
#ifndef TESTS_UNIT_AGENT_CORE_RIG_H
#define TESTS_UNIT_AGENT_CORE_RIG_H

#include "agent/core/agent_core.h"
#include "wire/job.h"
#include "wire/message.h"

#define RIG_MASTERS 3

/* An action other than records, timers and logs, in order. */
struct rig_done {
    enum agent_action_kind kind;
    uint64_t attempt; /* runs */
    enum run_signal signal;
    uint32_t restarts;   /* START_RUN and CHECK */
    uint32_t index;      /* CHECK */
    uint64_t boot_ms;    /* RENEW */
    uint64_t session;    /* SEND and CLOSE */
    struct rpc rpc;      /* SEND; views into bytes */
    struct buffer bytes; /* SEND: the frame's value; DIAL: the address */
};

struct rig {
    uint64_t job; /* of the next launch */
    struct agent_core *core;
    struct agent_actions actions;
    uint64_t now_ms;
    uint64_t timer_ms;
    uint64_t last_session;
    uint64_t session[RIG_MASTERS + 1]; /* and of one that is not listed */
    struct rig_done *done;
    size_t done_count, done_capacity;

    /* The disk: what is durable, and what was handed out since, in order. */
    struct agent_record *kept;
    size_t kept_count, kept_capacity;
    struct agent_record *queued;
    size_t queued_count, queued_capacity;
    uint64_t sequence; /* of the last that was handed out */

    uint64_t renewed_ms; /* the lease file */
    uint32_t restarts;   /* of the last start */
    struct error fatal;  /* code 0: none */
    bool superseded;     /* what stops say */
    unsigned warnings;   /* logged */
    uint8_t entropy;     /* first byte of what the next start gets */
    struct buffer spec;  /* a job's, for launches */
};

extern const uint8_t rig_cluster[CLUSTER_ID_BYTES];

void rig_init(struct rig *rig); /* started, on an empty disk */
void rig_finish(struct rig *rig);

/* Kill the agent and start it on what is durable; sessions are gone. */
void rig_restart(struct rig *rig);

void rig_step(struct rig *rig, struct agent_event *event);
void rig_durable(struct rig *rig);              /* everything handed out until now */
void rig_advance(struct rig *rig, uint64_t ms); /* all ticks on the way */

/* A session with a master, greeted.  hello: NULL for a usual follower. */
void rig_open(struct rig *rig, unsigned master, const struct hello *hello);
void rig_close(struct rig *rig, unsigned master);
/* The master said why. */
void rig_close_because(struct rig *rig, unsigned master, enum error_code reason);
void rig_frame(struct rig *rig,
               unsigned master,
               struct buffer *frame); /* finishes it */

void rig_leading(struct rig *rig, unsigned master, uint64_t term);
/* Answer the last register of the agent. */
void rig_registered(struct rig *rig, unsigned master, bool send_runs);
void rig_refuse(struct rig *rig, unsigned master, enum error_code code);
/* The same, by a follower: it names the leader. */
void rig_hint(struct rig *rig, unsigned master, const char *leader);
/* All of the above: agent 7 follows the master in the term. */
void rig_follow(struct rig *rig, unsigned master, uint64_t term);

void rig_launch(struct rig *rig, unsigned master, uint64_t term, uint64_t attempt);
void rig_stop(struct rig *rig, unsigned master, uint64_t term, uint64_t attempt);
void rig_ack(struct rig *rig,
             unsigned master,
             uint64_t term,
             uint64_t attempt,
             enum task_state state);
void rig_lease(struct rig *rig, unsigned master, uint64_t term, uint64_t sequence);
/* The number in the last heartbeat to the master; 0: it asks for nothing. */
uint64_t rig_asked(const struct rig *rig, unsigned master);
uint32_t rig_flags(const struct rig *rig, unsigned master); /* in it */

/* Of the last start, which began now. */
void rig_started(struct rig *rig, uint64_t attempt);
void rig_ended(struct rig *rig, uint64_t attempt, enum run_end how, int code);
void rig_checked(struct rig *rig, uint64_t attempt, uint32_t index, bool passed);
void rig_disk(struct rig *rig, bool low);

/* Launches are of this job from now on; takes it over. */
void rig_set_spec(struct rig *rig, struct job_spec *spec);
void rig_get_spec(const struct rig *rig, struct job_spec *spec);

/* What was done since the last call of rig_forget(). */
void rig_forget(struct rig *rig);
/* The n-th (from 0) action of that kind, or NULL. */
const struct rig_done *
rig_done(const struct rig *rig, enum agent_action_kind kind, size_t n);
size_t rig_count(const struct rig *rig, enum agent_action_kind kind);
/* The n-th frame with that method sent to the master, or NULL. */
const struct rig_done *
rig_sent(const struct rig *rig, unsigned master, enum method method, size_t n);
size_t rig_sent_count(const struct rig *rig, unsigned master, enum method method);
/* The newest report about an attempt in updates and runs; false if there is none. */
bool rig_report(const struct rig *rig, uint64_t attempt, struct run_report *out);
struct agent_status rig_status(const struct rig *rig);

#endif
