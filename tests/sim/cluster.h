/* cluster.h - a whole cluster on virtual time: masters, agents with their tasks, clients.
 *
 * The cores are the production objects; what is simulated is the world around them: disks
 * (store.h), network (network.h), processes of tasks, clocks, crashes.  Nodes are numbered
 * masters first, then agents, then clients.
 */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "agent/core/agent_core.h"
#include "client/core/client_core.h"
#include "master/core/core.h"
#include "network.h"
#include "store.h"
#include "world.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define MASTERS_MAX       5
#define AGENTS_MAX        12
#define CLIENTS_MAX       4
#define SIM_FIRST_PORT    31000
#define ROLES_SEEN        2   /* `default` and `batch` */
#define BUDGETS_SEEN      8   /* of roles, in a minute: below that */
#define AGENT_IDS_MAX     256 /* ids that the checks look at */
#define AGENT_CHANGES_MAX 8192
#define JOBS_MAX          4096
#define INDEX_MAX         200000
#define TERMS_MAX         100000
#define SIM_DRAIN_MS      3000 /* the longest time that a drain is given */
#define ASKED_KEPT        64   /* of the last heartbeats of an agent */
#define FLOWS_MAX         1024 /* open sessions of one master */

struct cluster;

/* ---- clocks ---- */

/* Each host's own: a little fast or slow, from its boot on. */
struct sim_clock {
    int64_t ppm;
    uint64_t boot_us;
};

#define SIM_DRIFT_PPM 20000 /* at most, either way */

static inline uint64_t sim_clock_ms(const struct sim_clock *k, uint64_t now_us)
{
    int64_t us = (int64_t)(now_us - k->boot_us);

    return (uint64_t)(us + us * k->ppm / 1000000) / MS + CLOCK_BASE_MS;
}

/* When it says so, or just after. */
static inline uint64_t sim_clock_us(const struct sim_clock *k, uint64_t ms)
{
    int64_t us = ms > CLOCK_BASE_MS ? (int64_t)((ms - CLOCK_BASE_MS) * MS) : 0;

    return k->boot_us + (uint64_t)(us * 1000000 / (1000000 + k->ppm) + 2);
}

/* ---- masters ---- */

/* A session of an agent or client, as the RPC server keeps it. */
struct flow {
    struct connection *connection;
    uint64_t session;
    bool opened; /* its hello came and was accepted */
};

struct sim_master {
    struct cluster *cluster;
    unsigned number;
    bool alive;
    bool stepping;
    uint64_t incarnation;
    struct master_core *core;
    struct sim_store store;
    size_t chunk_bytes; /* the most in one chunk of a snapshot */
    bool empty;         /* nothing founded on this disk */
    bool has_cluster_id;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    int64_t wall_offset_us; /* clocks of hosts differ, and jump */
    struct sim_clock clock;
    struct connection *links[MASTERS_MAX];
    uint64_t heard_us[MASTERS_MAX]; /* bytes of that peer */
    struct flow flows[FLOWS_MAX];
    uint64_t timer;
    bool turn_due;
    uint64_t commit, applied;
    uint64_t looked_to; /* index: the checks looked at all that changed up to here */
    struct {
        uint64_t
            changed; /* index at which the agent took no work any more; 0: it does */
        uint64_t last_attempt; /* of all, when that was seen */
    } closed[AGENT_IDS_MAX];
    struct {
        uint64_t drain_us; /* the deadline in the state */
        uint64_t since_us; /* when this master saw it first */
    } drains[AGENT_IDS_MAX];
    struct { /* as it was when they looked */
        uint32_t attempts[ROLES_SEEN], ending[ROLES_SEEN];
        uint32_t on_agent[AGENT_IDS_MAX];
        uint64_t last_attempt;
    } seen;
    enum replica_role role;
};

/* ---- agents and their tasks ---- */

/* A process of a task on a host; outlives the agent's process. */
struct sim_task {
    LIST_ENTRY(sim_task) link;
    struct sim_agent *agent;
    uint64_t attempt, job;
    uint32_t instance;
    struct resources resources;
    uint16_t ports[LIMIT_TASK_PORTS];
    uint32_t port_count;
    bool has_image;
    uint64_t licences;
    uint64_t identity; /* events on the way name it */
    bool started;
    bool ended;
    bool deaf; /* ignores TERM */
    bool sick; /* its checks fail now and then */
    uint32_t restarts;
    uint64_t since_ms;           /* on the clock of its host */
    uint64_t lease_ms, grace_ms; /* lease_ms 0: none */
    bool lease_over;
    bool exclusive;
    enum run_end how;
    int code; /* exit status, or signal */
};

/* Records of the checkpoint: durable, and on their way. */
struct sim_record {
    STAILQ_ENTRY(sim_record) link;
    uint64_t sequence;
    struct buffer key, value;
};

/* Of which masters are told as attributes (cluster_attributes.c). */
struct sim_traits {
    unsigned rack;   /* 0: none */
    unsigned gen;    /* 7: not known */
    unsigned kernel; /* as a number */
    bool ssd;
};

struct sim_agent {
    struct cluster *cluster;
    unsigned number; /* node */
    bool alive;
    bool stepping;
    uint64_t incarnation; /* of the process */
    uint64_t host;        /* grows with each reboot */
    struct agent_core *core;
    struct agent_spec spec;
    struct sim_traits traits;
    STAILQ_HEAD(, sim_record) disk;
    STAILQ_HEAD(, sim_record) writing;
    bool writing_any;
    struct connection *links[MASTERS_MAX];
    uint64_t sessions[MASTERS_MAX];
    uint64_t last_session;
    uint64_t timer;
    uint64_t highest_term; /* of any launch that it obeyed */
    uint64_t renewed_ms;   /* the file that shims read */
    struct sim_clock clock;
    uint64_t frozen_until_us; /* the host: its tasks and shims stand still */
    uint64_t heard_us;        /* the last bytes of any master */
    bool disk_low;
    uint64_t lost; /* the id that it had when its host was lost, or 0 … */
    bool off;      /* … which is not back yet */
    bool gone;     /* … and the masters know */
    struct {
        uint64_t sequence, us;
    } asked[ASKED_KEPT]; /* heartbeats that asked for a lease, and when */
    LIST_HEAD(, sim_task) tasks;
};

/* ---- clients ---- */

struct sim_client {
    struct cluster *cluster;
    unsigned number;
    struct client_core *core;
    struct connection *links[CLIENT_MASTERS_MAX];
    bool greeted[CLIENT_MASTERS_MAX]; /* the master's hello came */
    uint64_t timer;
    uint64_t connects[CLIENT_MASTERS_MAX]; /* the newest CLIENT_CONNECT counts */
};

/* What was asked of the cluster, and what it said. */
enum sim_wish_kind {
    WISH_NONE,
    WISH_RACK,
    WISH_OTHER_RACK,
    WISH_RACKS,
    WISH_OTHER_RACKS,
    WISH_RACKS_REGEXP,
    WISH_GEN_BELOW,
    WISH_GEN_FROM,
    WISH_KERNEL,
    WISH_SSD,
    WISH_COUNT
};

struct sim_wish {
    enum sim_wish_kind kind;
    unsigned rack, racks; /* racks: a bit of each */
    unsigned low, high;   /* from, and below */
    bool ssd;
};

struct sim_job {
    uint64_t key;
    uint32_t instances;
    bool endless;  /* runs until it is killed */
    bool in_batch; /* in the role of that name */
    bool exclusive;
    bool service;      /* the same, and what ends of it is repeated */
    uint64_t after;    /* id of a job that it waits for; 0: none */
    uint8_t on;        /* how that is to end: enum job_on */
    uint32_t together; /* so many are submitted at once, in the slots from here on … */
    uint32_t position;       /* … as this one; 0: the first, or it is alone */
    uint32_t before;         /* it waits for that one of them, from 1; 0: none */
    uint8_t before_on;       /* how that is to end */
    enum error_code refusal; /* of all of them: it cannot be */
    uint64_t check;          /* as of which index they were planned; 0: they were not */
    bool waited_for;
    bool system;      /* endless, with a task on each agent */
    bool wide;        /* as a gang it needs more than one agent */
    bool scheduled;   /* jobs are made of it, each minute */
    bool asked_for;   /* jobs are made of it when somebody asks for one … */
    uint64_t made_of; /* … as for this one of that id; 0: it was submitted */
    uint64_t asked_us;
    struct sim_wish wish;
    bool acknowledged;
    uint64_t id, index; /* as acknowledged */

    bool purge_asked;
    bool kill_asked;
    bool kill_acknowledged;
    uint64_t kill_attempts; /* no attempt above this id may be launched */
};

#define CLUSTER_COUNTERS(X)                                                      \
    X(founded)                                                                   \
    X(elections)                                                                 \
    X(commits)                                                                   \
    X(faults)                                                                    \
    X(crashes)                                                                   \
    X(agent_crashes)                                                             \
    X(reboots)                                                                   \
    X(pauses)                                                                    \
    X(cuts)                                                                      \
    X(batches_lost) /* in a crash: on their way to the disk, and gone … */     \
    X(batches_kept) /* … or there, and never told */                           \
    X(packets_stalled)                                                           \
    X(packets_lost)                                                              \
    X(packets_repeated)                                                          \
    X(packets_late) /* of a connection that its other end had closed already */  \
    X(submits)                                                                   \
    X(acknowledged)                                                              \
    X(repeated)                                                                  \
    X(conflicts)                                                                 \
    X(kills)                                                                     \
    X(reads)                                                                     \
    X(wishes) /* starts of tasks that not every agent may have */                \
    X(launches)                                                                  \
    X(restarts)    /* by agents */                                               \
    X(unhealthy)   /* answers of checks */                                       \
    X(no_user)     /* starts that nobody told the user of */                     \
    X(leases_over) /* tasks that a shim ended for it */                          \
    X(frozen)      /* hosts, with their tasks */                                 \
    X(exclusive)   /* runs of exclusive tasks … */                             \
    X(excused)     /* … that met another one on a host that had been frozen */ \
    X(retried)     /* failed tasks that get another attempt */                   \
    X(lapsed_seen)                                                               \
    X(superseded_seen)                                                           \
    X(modes)                                                                     \
    X(drained)    /* attempts that a drain told to end */                        \
    X(drains)     /* that were seen to reach their deadline after the faults */  \
    X(low_disks)  /* of running agents … */                                    \
    X(low_starts) /* … and of agents as they start */                          \
    X(sets)       /* of jobs, that were acknowledged together */                 \
    X(refused_sets)                                                              \
    X(together_seen)                                                             \
    X(checks_held)    /* of jobs that were planned before … */                 \
    X(checks_changed) /* … and refused, since it was not so any more */        \
    X(checks_ahead)                                                              \
    X(dispatches)                                                                \
    X(dispatched) /* that were acknowledged */                                   \
    X(dispatched_seen)                                                           \
    X(refused_dispatches)                                                        \
    X(roles)       /* that were set */                                           \
    X(preempted)   /* attempts that were told to make room */                    \
    X(moved)       /* … and to go to better agents */                          \
    X(lost)        /* hosts, whose agents are declared gone */                   \
    X(reinstalled) /* agents that came back and heard so */                      \
    X(ports)       /* that attempts had */                                       \
    X(blocked)     /* jobs that were seen to wait for others */                  \
    X(stopped)     /* those that never began */                                  \
    X(other_slots) /* of schedules that are not of each minute */                \
    X(slots)       /* of schedules that were seen to be decided */               \
    X(systems)     /* live tasks of system jobs that were seen */                \
    X(gangs)       /* changes of some that had begun */                          \
    X(purges)                                                                    \
    X(purged_seen)

struct totals {
#define X(name) uint64_t name;
    CLUSTER_COUNTERS(X)
#undef X
    struct replica_counters replica;
    struct master_counters master;
};

struct plan { /* drawn from the seed */
    bool crash, pause, snapshots, agent_crash, reboot, clock_jumps, false_hints,
        one_way;
    bool founding_faults, purge, lossy, drains;
    bool calm_masters; /* leaders last, so that agents are given up */
    bool leases; /* many exclusive jobs, and cuts that last as long as their leases */
    bool low_disks, losses;
    bool roles;      /* are set all the time … */
    bool rebalances; /* … and often rebalance */
    bool slow_users; /* directories of users that do not answer */
};

struct attempt_record {
    RB_ENTRY(attempt_record) link;
    uint64_t attempt;
};

RB_HEAD(attempt_records, attempt_record);

struct final_record { /* a task that was seen with a final state */
    RB_ENTRY(final_record) link;
    uint64_t job;
    uint32_t instance;
    uint8_t state;
    uint32_t attempt;
};

RB_HEAD(final_tree, final_record);

/* Of one kind of what roles do so often in a minute (cluster_budgets.c). */
struct sim_budget {
    const char *what;
    uint32_t known[MASTERS_MAX][ROLES_SEEN]; /* budgets, as each master knows them … */
    uint64_t known_us[ROLES_SEEN][BUDGETS_SEEN]; /* … and when any last knew this one */
    uint64_t term;                               /* the last one that did it */
    uint32_t spent[ROLES_SEEN];
    uint64_t since_us[ROLES_SEEN];
    bool one_is_late;    /* what comes next may be from before a clock was set … */
    uint64_t late_index; /* … as what came with this entry */
};

/* Agents as of the first master that applied an entry (cluster_indexes.c). */
struct sim_agent_seen {
    uint64_t id, changed;
    uint8_t state, mode;
};

struct agent_change {
    uint64_t from, to; /* after the one entry, and with the other at the latest */
    bool is_worse;     /* what was planned for the agents may be wrong */
};

struct cluster {
    struct world world;
    struct network net;
    unsigned masters, agents, clients;
    struct plan plan;
    struct rng plans; /* for what would happen, which changes nothing */
    bool healing;
    uint64_t healed_us;
    struct sim_master master[MASTERS_MAX];
    struct sim_agent agent[AGENTS_MAX];
    struct sim_client client[CLIENTS_MAX];
    char addresses[MASTERS_MAX][32];
    uint64_t last_session, last_identity;
    struct sim_job jobs[JOBS_MAX];
    unsigned job_count;
    bool has_batch; /* the role of that name was set */
    uint64_t
        known_index; /* the highest that an answer of any master to a client told */
    struct attempt_records launches;
    struct attempt_records forgotten; /* by their agent: their end was acknowledged */
    struct attempt_records preempted;
    struct attempt_records moved;
    struct sim_budget preempts, moves;
    uint64_t last_term; /* of any leader */
    struct sim_agent_seen agents_seen[AGENT_IDS_MAX];
    uint64_t seen_index;
    uint64_t jobs_changed[ROLES_SEEN], jobs_purged;
    struct agent_change agent_changes[AGENT_CHANGES_MAX];
    unsigned agent_change_count;
    struct final_tree finals;
    struct hash128 *digests; /* state digest after each index */
    uint64_t *commit_terms;
    uint8_t *leaders;
    uint64_t *elected_us; /* by term */
    struct totals totals;
};

/* cluster_master.c */
void sim_master_init(struct cluster *c, unsigned number);
void sim_master_start(struct sim_master *m);
void sim_master_crash(struct sim_master *m, uint64_t down_us);
void sim_master_pause(struct sim_master *m, uint64_t for_us);
void sim_master_bytes(struct sim_master *m, struct connection *c, struct bytes bytes);
void sim_master_closed(struct sim_master *m, struct connection *c);
void sim_master_accept(struct sim_master *m,
                       struct connection *c); /* agent or client */
void sim_masters_connect(struct cluster *c);
void sim_master_count(struct sim_master *m); /* add its counters to the totals */
void sim_master_finish(struct sim_master *m);
void sim_master_shutdown(struct sim_master *m);

/* cluster_agent.c */
void sim_agent_init(struct cluster *c, unsigned number);
void sim_agent_start(struct sim_agent *a);
void sim_agent_crash(struct sim_agent *a, bool reboot, uint64_t down_us);
void sim_agent_bytes(struct sim_agent *a, struct connection *c, struct bytes bytes);
void sim_agent_closed(struct sim_agent *a, struct connection *c);
void sim_agents_connect(struct cluster *c);
void sim_agent_disk(struct sim_agent *a, bool low);
/* Its host is off, and comes back with an agent that was not there before. */
void sim_agent_lose(struct sim_agent *a, uint64_t down_us);
void sim_agent_finish(struct sim_agent *a);

/* cluster_client.c */
void sim_client_init(struct cluster *c, unsigned number);
void sim_client_bytes(struct sim_client *x, struct connection *c, struct bytes bytes);
void sim_client_closed(struct sim_client *x, struct connection *c);
void sim_client_finish(struct sim_client *x);
void sim_clients_end_endless(struct cluster *c);
/* An operator cordons, drains or frees an agent. */
void sim_client_mode(struct cluster *c,
                     uint64_t agent,
                     enum agent_mode mode,
                     uint64_t ms);
void sim_clients_uncordon(struct cluster *c);
/* Somebody sets a role; or all of them to have no maximum any more. */
void sim_client_role(struct cluster *c);
void sim_clients_free_roles(struct cluster *c);
/* He says that what the agent was runs no more, until it is heard. */
void sim_clients_gone(struct cluster *c, struct sim_agent *a);
/* The highest id of an agent that any master knows. */
uint64_t sim_last_agent(const struct cluster *c);

/* cluster_jobs.c */
unsigned sim_job_draw(struct cluster *c); /* a new one: its slot */
/* The same each time, so that a repeat has the same body.  Of what is submitted together: with the
 * id of the first, or 0. */
void sim_job_spec(const struct sim_job *j, uint64_t first, struct job_spec *spec);
/* What it is asked for with; with another step it is another job. */
#define SIM_SIZE_BYTES 16
void sim_job_size(const struct sim_job *j, unsigned step, char out[SIM_SIZE_BYTES]);

/* cluster_checks.c */
void check_leader(struct cluster *c, struct sim_master *m, uint64_t term);
void check_step(struct cluster *c, struct sim_master *m);
void check_launch(struct cluster *c,
                  struct sim_agent *a,
                  const struct sim_task *t,
                  uint64_t term);
/* What was acknowledged with that id, or NULL. */
const struct sim_job *sim_job_of(const struct cluster *c, uint64_t id);
void check_leading(struct cluster *c, struct sim_master *m);
void check_forget(struct cluster *c, uint64_t attempt);
const struct sim_master *sim_leader(const struct cluster *c); /* any, or NULL */
/* Now and then, of a leader. */
void sim_plan(struct cluster *c);
void check_sweep(struct cluster *c);      /* now and then: whole states */
bool check_busy(const struct cluster *c); /* some job is not over */
void check_end(struct cluster *c);
void checks_finish(struct cluster *c);

/* cluster_witness.c */
void check_asks(struct sim_agent *a, struct bytes frame); /* the agent sends */
void check_confirmed(struct sim_master *m, struct connection *to, struct bytes bytes);
void check_renewed(struct sim_agent *a, uint64_t ms);           /* the shims get */
void check_alone(struct cluster *c, const struct sim_task *t);  /* it begins */
void check_leased(struct cluster *c, const struct sim_task *t); /* runs, or ends now */

/* cluster_preempts.c */
void check_preempts(struct cluster *c, struct sim_master *m); /* since it looked */
int role_number(const struct role *r);                        /* below ROLES_SEEN */
uint64_t term_of(const struct sim_master *m, uint64_t index); /* of an entry */

/* cluster_attributes.c */
void sim_traits_draw(struct sim_agent *a, bool is_first);
void sim_wish_draw(struct cluster *c, struct sim_job *j);
void sim_wish_add(const struct sim_wish *wish, struct job_spec *spec);
void check_wish(struct cluster *c, const struct sim_agent *a, uint64_t job);

/* cluster_sets.c */
/* Whatever made the job of that id, as far as a master can tell; or NULL. */
const struct sim_job *sim_job_behind(const struct cluster *c, uint64_t id);
void check_jobs(struct cluster *c, const struct sim_master *m); /* all of them */

/* cluster_indexes.c */
void sim_job_check(struct cluster *c, struct sim_job *j); /* draw which index it has */
void check_seen(struct cluster *c,
                const struct sim_master *m); /* since anybody looked */
void check_index_held(struct cluster *c, const struct sim_job *j);
bool may_refuse_check(struct cluster *c, struct sim_job *j, enum error_code code);

/* cluster_schedules.c */
void sim_schedule(const struct sim_job *j, struct job_schedule *out); /* when */
unsigned sim_zone_of(const char *name);
const char *sim_zone_file(unsigned zone, struct buffer *out); /* its name */
void check_slots(struct cluster *c, const struct sim_master *m, const struct job *job);

/* cluster_dispatches.c */
void check_dispatches(struct cluster *c,
                      const struct sim_master *m,
                      const struct job *template);
void check_made(struct cluster *c,
                const struct sim_master *m,
                const struct sim_job *j,
                const struct job *job);
void check_parameters(struct cluster *c,
                      const struct sim_job *j,
                      const struct job_spec *spec);
bool may_refuse_dispatch(const struct cluster *c,
                         const struct sim_job *j,
                         enum error_code code);

/* cluster_budgets.c */
void budget_is(const struct sim_master *m,
               struct sim_budget *b,
               const struct role *r,
               uint32_t per_minute);
/* The role did it once more, in an entry of that term. */
void check_budget(struct cluster *c,
                  struct sim_budget *b,
                  uint64_t term,
                  uint64_t index,
                  const struct role *r);
/* Somebody sets the clock of the host. */
void sim_clock_set(struct sim_master *m, int64_t offset_us);

/* cluster_moves.c */
void check_moves(struct cluster *c, const struct sim_master *m); /* since it looked */

/* The tree of records of attempts (cluster_checks.c).  False when it was there. */
bool check_record(struct attempt_records *records, uint64_t attempt);

/* Split a run of bytes into frames (without their size words). */
bool next_frame(struct bytes *rest, struct bytes *frame);

#endif
