/* replica_group.h - a group of replicas alone: what the files of replica_sim share.
 *
 *   replica_machine.c   a rolling hash as the machine
 *   replica_master.c    one master: replica, store, links, life
 *   replica_faults.c    faults by state and by time
 *   replica_checks.c    what must hold
 *   replica_failover.c  how long a dead leader is missed
 *   replica_sim.c       seeds, one after the other
 */
#ifndef SIM_REPLICA_GROUP_H
#define SIM_REPLICA_GROUP_H

#include "network.h"
#include "raft/replica.h"
#include "store.h"
#include "world.h"

#define MASTERS_MAX 5
#define INDEX_MAX   400000
#define TERMS_MAX   100000

struct machine_state {
    uint64_t index;
    uint64_t hash;
    /* snapshot walk */
    uint64_t walk_index, walk_hash;
    size_t walk_at;
    bool walking;
    struct buffer restoring;
};

struct sim;

struct master {
    struct sim *sim;
    unsigned number; /* 0 based */
    bool alive;
    uint64_t incarnation;
    struct replica *replica;
    struct sim_store store;
    struct machine_state machine;
    struct connection *links[MASTERS_MAX];
    uint64_t timer; /* the newest one counts */
    bool continuing;
    uint64_t commit, applied;
    uint64_t transfer_generation[MASTERS_MAX];
};

struct options {
    bool lossy, crash, pause, snapshots, reads, transfers, false_hints;
};

struct stats {
    uint64_t elections, commits, crashes, pauses, cuts, reads, snapshots_sent, faults,
        submits;
    struct replica_counters replica;
};

struct sim {
    struct world world;
    struct network net;
    unsigned masters;
    struct options options;
    struct master master[MASTERS_MAX];
    bool healing; /* no more faults */
    uint64_t next_value;
    uint64_t highest_committed; /* by anybody */
    uint64_t leading_us;        /* when somebody led last, its own entry committed */
    uint64_t *terms;            /* term of each committed index, 0 unknown */
    uint64_t *hashes;           /* machine hash after each index */
    uint64_t *commit_terms;     /* term of the leader that committed it first */
    uint8_t *leaders;           /* of each term, + 1 */
    struct stats stats;
};

/* replica_machine.c */
struct machine replica_machine(struct master *m);

/* replica_master.c */
extern const struct sim_store_calls MASTER_STORE_CALLS;
void master_start(struct master *m);
void master_step(struct master *m, struct replica_event *event);
/* The index of what the event submitted, or 0. */
uint64_t master_step_index(struct master *m, struct replica_event *event);
void master_crash(struct master *m, uint64_t down_us);
void master_pause(struct master *m, uint64_t for_us);
bool master_paused(const struct master *m);
void master_add_counters(struct sim *s, const struct master *m);
void links_bytes(struct connection *c, int end, struct bytes bytes);
void links_closed(struct connection *c, int end);
void links_reconnect(struct world *w, void *context, uint64_t a, uint64_t b);

/* replica_faults.c */
void faults_elected(struct master *m);
void faults_appended(struct master *m);
void faults_voted(struct master *m, uint64_t vote);
void faults_crash_later(struct world *w, void *context, uint64_t a, uint64_t b);
void faults_nemesis(struct world *w, void *context, uint64_t a, uint64_t b);

/* replica_checks.c */
void check_applied(
    struct sim *s, unsigned number, uint64_t index, uint64_t term, uint64_t hash);
void check_new_leader(struct master *m, uint64_t term);
void check_commit(struct master *m);
void check_end(struct sim *s, uint64_t commits_before);

/* replica_failover.c */
int failovers(uint64_t seed, uint64_t kills);

/* replica_sim.c */
/* `plain`: so many masters and no faults; 0: as the seed says. */
void group_setup(struct sim *s, uint64_t seed, int trace, unsigned plain);
void group_teardown(struct sim *s);
void submit_one(struct master *m);

#endif
