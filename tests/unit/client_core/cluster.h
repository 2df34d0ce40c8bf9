/* cluster.h - three masters as a client sees them, on virtual time, around a fixture.
 *
 * They know jobs by key, elect somebody else when the leader dies or hangs, and lose what
 * was under way.  Everything takes a millisecond or two; equal calls give equal runs.
 */
#ifndef TESTS_UNIT_CLIENT_CORE_CLUSTER_H
#define TESTS_UNIT_CLIENT_CORE_CLUSTER_H

#include "base/rng.h"
#include "fixture.h"

#define CLUSTER_MASTERS 3
#define CLUSTER_KEYS    256

#define LATENCY_MS  1 /* one way */
#define COMMIT_MS   2
#define ELECTION_MS 30

struct happening;

struct node {
    bool alive;
    bool hangs; /* SIGSTOP: takes connections and frames, does nothing */
    bool connected;
    uint64_t session; /* grows with each connection: older frames are lost */
};

struct cluster {
    struct fixture f;
    struct node nodes[CLUSTER_MASTERS];
    uint32_t leader; /* CLIENT_NOBODY during an election */
    uint64_t term;
    bool announces;        /* a new leader says so on its sessions */
    bool keeps;            /* what a dying leader had not committed survives it */
    unsigned lose_percent; /* of frames, each way */
    struct rng rng;
    struct happening *happenings; /* in no order */
    size_t count, capacity;
    uint64_t sequence;
    uint64_t job_of[CLUSTER_KEYS]; /* by number of the key */
    uint64_t jobs;
};

void cluster_start(struct cluster *c, uint64_t seed);
void cluster_finish(struct cluster *c);

/* Key "k<number>", ticket = number. */
void cluster_submit(struct cluster *c, unsigned number);

/* The next thing that happens, at the latest at end_ms; false when nothing is left. */
bool cluster_step(struct cluster *c, uint64_t end_ms);

/* Faults of the leader, or of any master; an election follows where it is due. */
void cluster_kill(struct cluster *c, uint32_t master);
void cluster_restart(struct cluster *c, uint32_t master);
void cluster_hang(struct cluster *c, uint32_t master);
void cluster_resume(struct cluster *c, uint32_t master);
/* Hands over to another master and says `unknown` or `not_leader` to what is under way. */
void cluster_transfer(struct cluster *c);

#endif
