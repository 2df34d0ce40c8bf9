/* internal.h - what the files of the master's core share.  Nobody else includes it. */
#ifndef MASTER_CORE_INTERNAL_H
#define MASTER_CORE_INTERNAL_H

#include "master/core/core.h"
#include "raft_fsm/fsm.h"
#include "sched/preempt.h"
#include "sched/rebalance.h"
#include "sched/round.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

/* Who waits for the result of a command. */
enum origin_kind {
    ORIGIN_NONE,     /* nobody: housekeeping */
    ORIGIN_CLIENT,   /* a request of a client: answer it */
    ORIGIN_REGISTER, /* an agent's (re-)registration: answer it and attach the agent */
    ORIGIN_UPDATE,   /* states reported by an agent: acknowledge them */
    ORIGIN_ROUND,    /* the placements of a round: the next one may run */
    ORIGIN_REPEAT,   /* of a task or the end of a lease: likewise */
    ORIGIN_RELEASE,  /* of jobs that wait for others: likewise */
    ORIGIN_FIRE,     /* of a slot of a schedule: the next one may be decided */
    ORIGIN_PREEMPT,  /* of tasks that make room: the next ones may be told */
    ORIGIN_MOVE,     /* of a task to a better agent: likewise */
    ORIGIN_PURGE,    /* of an old job: more may be proposed when all are answered */
};

struct origin {
    enum origin_kind kind;
    enum method method; /* ORIGIN_CLIENT */
    uint32_t rpc;       /* id of the request to answer */
    uint64_t session;
    uint64_t agent;   /* ORIGIN_UPDATE; ORIGIN_FIRE: the job */
    struct ack *acks; /* ORIGIN_UPDATE: owned */
    uint32_t ack_count;
    /* ORIGIN_REGISTER: what the agent said of its runs */
    uint64_t runs_digest;
    uint32_t runs_count;
    uint32_t flags;
};

struct batch {
    STAILQ_ENTRY(batch) link;
    uint64_t index;
    uint64_t since_ms;
    struct origin *origins;
    size_t count;
};

struct proposals {
    struct buffer bytes; /* (u32 size, command)… not yet proposed, from `taken` on */
    size_t taken;
    struct origin *origins; /* of those, from `first` on */
    size_t first, count, capacity;
    STAILQ_HEAD(batch_list, batch) flying;
    unsigned flying_count;
    uint64_t last_stamp_us;
};

enum order_kind { ORDER_LAUNCH, ORDER_STOP };

struct order {
    enum order_kind kind;
    uint64_t attempt;
};

/* A usage report, in fewer bytes: memory is told in pages. */
struct kept_usage {
    uint64_t attempt;
    uint64_t cpu_us;
    uint64_t read_bytes, written_bytes;
    uint32_t memory_pages, memory_peak_pages; /* of USAGE_PAGE_BYTES, rounded up */
    uint32_t cpu_milli;
    uint32_t pids;
};

#define USAGE_PAGE_BYTES 4096u

/* What the leader knows of an agent beyond the state; forgotten when that is gone, or when we
 * stop leading. */
/* Agents on which tasks keep failing (damping.c). */
#define DAMPING_FAILURES     5u
#define DAMPING_JOBS         3u /* at least, that those are of */
#define DAMPING_WINDOW_US    (300ull * 1000000)
#define DAMPING_LEVELS       5u /* so often it is twice as long the next time */
#define DAMPING_FORGOTTEN_US (1800ull * 1000000) /* without another time */
#define DAMPING_PART         4u    /* of the active agents, at most, at one time */
#define DAMPING_SLICE        1024u /* failures that are read in one turn: 2 ms at most */

struct damping {
    struct damping_failure {
        uint64_t stamp_us, job;
    } last[DAMPING_FAILURES]; /* since it was damped, the oldest at count % */
    unsigned count;
    unsigned level;
    uint64_t until_us;
    bool is_on;
};

struct agent_view {
    RB_ENTRY(agent_view) link;
    uint64_t id;
    uint64_t session;  /* 0: not attached */
    uint32_t request;  /* of it, by which it is */
    uint64_t heard_ms; /* last frame */
    uint32_t flags;    /* AGENT_FLAG_…, as it said last */
    bool came;         /* it was attached to this leader */
    bool active;       /* in the list of those that are to be heard */
    TAILQ_ENTRY(agent_view) heard_link;
    uint64_t unreachable_ms; /* since when we know that it is; 0: it is not */
    uint64_t lapse_ms;       /* no lease on it has run out before */
    bool lapses;             /* in the list of those with leases */
    LIST_ENTRY(agent_view) lapse_link;
    uint64_t lease_asked; /* sequence of its last heartbeat that asks for one, or 0 */
    bool synced;          /* its runs are known: orders may go out */
    bool held;            /* silent, but the brake holds it */
    bool declared;        /* unreachable is on its way to the log */
    uint64_t drain_us;    /* the deadline that we wait for, or 0 */
    uint64_t drain_at_ms; /* when it is reached; UINT64_MAX: `drain_due` is proposed */
    bool drain_hastened;  /* an earlier one is */
    LIST_ENTRY(agent_view) drain_link;
    struct damping damping;
    LIST_ENTRY(agent_view) damping_link; /* while that is on */
    uint32_t next_part;                  /* of `runs` */
    uint64_t reported_up_to; /* highest attempt in the parts so far: they ascend */
    uint64_t *reported;      /* those of them that are on it, in order */
    size_t reported_count, reported_capacity;
    struct order *orders; /* to send at the end of the turn, in order */
    size_t order_count, order_capacity;
    size_t launch_bytes; /* sent since it was last heard */
    struct ack *acks;
    size_t ack_count, ack_capacity;
    struct kept_usage *usages; /* of its runs, as told last, by attempt */
    size_t usage_count;        /* and no room for more */
    uint32_t usage_part;       /* the next one */
    bool dirty;                /* in the list of those with something to send */
    TAILQ_ENTRY(agent_view) dirty_link;
};

RB_HEAD(view_tree, agent_view);

/* A heartbeat that asks for a lease. */
struct lease_request {
    uint64_t agent;
    uint64_t session;
    uint64_t sequence; /* once it is asked */
};

struct renewals {
    struct lease_request *asked; /* for the next question */
    size_t asked_count, asked_capacity;
    struct lease_request *read; /* of the question that is on its way */
    size_t read_count, read_capacity;
    uint64_t ticket; /* of that; 0: none */
};

struct session {
    RB_ENTRY(session) link;
    uint64_t number;
    enum hello_role role;
    uint64_t agent; /* bound agent id, 0: none */
    bool told;      /* an agent: that we lead */
};

RB_HEAD(session_tree, session);

/* A page of a listing: wanted, then made a part at a time (listing.c). */
struct page {
    uint32_t rpc; /* id of the request to answer */
    enum method method;
    struct list_request q;
    uint64_t at;          /* comes next: behind this id; of tasks, this instance */
    uint32_t seen;        /* elements looked at */
    unsigned looks;       /* left for `why` */
    struct buffer bytes;  /* so far; empty: not begun */
    size_t counted;       /* of those, in struct listed */
    struct list_writer w; /* into them */
};

/* What was made of listings in this turn. */
struct listed {
    uint32_t elements; /* looked at */
    unsigned looks;    /* for `why` */
    size_t bytes;
};

/* A listing that waits until it may be answered (linearizably, unless it is stale). */
struct read_request {
    RB_ENTRY(read_request) link;
    STAILQ_ENTRY(read_request) ready_link;
    uint64_t ticket;
    uint64_t session; /* 0: it closed */
    struct page page;
    struct buffer plan; /* of a plan, or of jobs that name its index: what is asked */
};

RB_HEAD(read_tree, read_request);

enum founding_state { FOUND_EMPTY, FOUND_WRITING, FOUND_AGREED, FOUND_MEMBER };

#define FOUNDING_MESSAGE 0x80 /* first byte; the replica's messages are below */

struct founding_peer {
    uint64_t id;
    bool up;
    uint64_t incarnation;
    bool leads;
    enum founding said; /* 0: nothing yet */
    bool warned;
};

#define LEADER_TICK_MS 250u /* from one look at silence and age to the next */
/* One for each tick of the window, and what the leader before us did. */
#define UNREACHABLE_MARKS (UNREACHABLE_WINDOW_MS / LEADER_TICK_MS + 1)

struct unreachable_mark { /* agents declared unreachable in one tick */
    uint64_t ms;
    uint64_t agents;
};

struct leading {
    bool active;
    uint64_t term;
    uint64_t began_ms;
    uint64_t since_ms;  /* leading, or last gap of the loop: silence counts from here */
    uint64_t coming_ms; /* for who has not come yet: another one was told, or came */
    bool telling;       /* there may be agents to tell that we lead, … */
    uint64_t told_up_to; /* … in sessions with higher numbers */
    uint64_t next_tick_ms;
    bool round_due;    /* something changed, or the last round did not get to the end */
    bool round_flying; /* its placements are on their way through the log */
    bool preempting;   /* one that makes room is */
    bool moving;       /* one that moves a task is */
    struct unreachable_mark marks[UNREACHABLE_MARKS]; /* of the window: a ring */
    size_t mark_first, mark_count;
    uint64_t declared; /* agents of all marks */
    bool brake_said;
    uint64_t purge_cursor;
    uint64_t
        purge_next_us; /* when the next job may be purged, as far as the cursor is … */
    uint64_t purge_due_us; /* … and as its last pass found; 0: none waits for that */
    unsigned purges_flying;
    unsigned repeats_flying;
    unsigned modes_flying; /* of agents, as clients want them */
    bool releasing;        /* a command for it is on its way */
    uint64_t time_us;      /* our time (leader.c) at the last tick … */
    uint64_t time_ms;      /* … and when that was */
};

/* A killed job whose attempts are still to be told. */
struct job_to_stop {
    uint64_t job;
    uint32_t next; /* instance */
};

RB_HEAD(zone_view_tree, zone_view);
RB_HEAD(slot_job_tree, slot_view);
RB_HEAD(slot_time_tree, slot_view);
TAILQ_HEAD(zone_view_list, zone_view);
TAILQ_HEAD(slot_list, slot_view);

/* Schedules and their zones, while we lead (schedules.c). */
struct schedules {
    uint64_t taken_up; /* templates up to this id; UINT64_MAX: all of them */
    struct slot_job_tree by_job;
    struct slot_time_tree by_time; /* those that wait for their time */
    struct slot_list stale;        /* whose next slot is to be computed */
    struct slot_list no_room;      /* for their job: tried again, the first one first */
    uint64_t jobs_flying, tasks_flying; /* at most so many come of what was proposed */
    struct zone_view_tree zones;
    struct zone_view_list to_ask; /* of those that are read, the longest ago first */
    unsigned zones_read;
    bool zones_full_said;
    bool asking; /* the shell for a zone */
};

struct master_core {
    struct master_config config;
    struct state *state;
    struct restore *restoring;
    struct replica *replica;
    struct outcome outcome;
    struct sched *sched;

    uint64_t now_ms;
    uint64_t wall_us;
    uint64_t behind_ms; /* at the last MASTER_TIME */
    uint64_t replica_deadline_ms;
    bool replica_again; /* it has work left */
    bool started;
    bool shutting_down;
    uint64_t shutdown_until_ms;

    enum founding_state founding;
    struct founding_peer founding_peers[LIMIT_MASTERS];
    unsigned founding_peer_count;
    uint64_t entropy[2];
    bool found_proposed;
    bool cluster_id_known;
    uint8_t cluster_id[CLUSTER_ID_BYTES];

    struct proposals proposals;
    struct leading leading;
    struct view_tree views;
    TAILQ_HEAD(heard_list, agent_view) heard; /* active, longest ago first */
    LIST_HEAD(, agent_view) lapsing;          /* unreachable, with leases (repeats.c) */
    LIST_HEAD(, agent_view) damping;          /* takes no new work (damping.c) */
    uint64_t damped;                          /* so many */
    uint64_t damping_seen;                    /* failures up to this one are noted */
    LIST_HEAD(, agent_view) draining;         /* not due yet (drains.c) */
    size_t usage_count;                       /* of all views */
    TAILQ_HEAD(, agent_view) dirty;
    struct session_tree sessions;
    size_t session_count;
    struct renewals renewals;
    struct schedules schedules;
    struct read_tree reads;
    STAILQ_HEAD(, read_request) ready_reads; /* of them, those to be answered now */
    uint64_t last_ticket;
    size_t read_count;
    struct listed listed;
    uint64_t listed_ms; /* when there was something the last time */
    bool planning;      /* MASTER_PLANNED is to come */
    uint64_t
        planned; /* in the copy for it: the first job that is not submitted; or 0 */
    struct job_to_stop *jobs_to_stop;
    size_t jobs_to_stop_count, jobs_to_stop_capacity;

    struct hash128 digest;
    uint64_t digest_index;

    struct master_counters counters;
    struct master_commit_times commit_times;
    struct master_actions *actions; /* of the current step */
};

RB_PROTOTYPE(view_tree, agent_view, link, )
RB_PROTOTYPE(session_tree, session, link, )
RB_PROTOTYPE(read_tree, read_request, link, )

/* core.c */
void core_log(struct master_core *m,
              enum master_log_level level,
              const char *format,
              ...) __attribute__((format(printf, 3, 4)));
void core_close(struct master_core *m, uint64_t session, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct master_action *core_act(struct master_core *m, enum master_action_kind kind);
void core_replica(struct master_core *m, struct replica_event *event);
/* Frames for a session are packed into core_out() between begin and end. */
struct buffer *core_out(struct master_core *m);
size_t core_begin(struct master_core *m);
void core_end(struct master_core *m, uint64_t session, size_t begin);
void core_refuse(struct master_core *m,
                 uint64_t session,
                 uint32_t rpc,
                 enum error_code code,
                 const char *format,
                 ...) __attribute__((format(printf, 5, 6)));
/* Busy: asking again is of no use before that; 0: when it is, is not known. */
void core_busy(struct master_core *m,
               uint64_t session,
               uint32_t rpc,
               uint64_t retry_after_ms,
               const char *format,
               ...) __attribute__((format(printf, 5, 6)));
/* not_leader with the leader's address if it is known. */
void core_not_leader(struct master_core *m, uint64_t session, uint32_t rpc);
const char *core_leader_hint(const struct master_core *m);

/* machine.c */
struct machine machine_of(struct master_core *m);

/* founding.c */
void founding_start(struct master_core *m, bool empty);
void founding_peer_up(struct master_core *m,
                      uint64_t peer,
                      uint64_t incarnation,
                      bool leads);
void founding_peer_down(struct master_core *m, uint64_t peer);
void founding_message(struct master_core *m, uint64_t peer, struct bytes bytes);
void founding_written(struct master_core *m);
void founding_leading(struct master_core *m);
/* The state may be that of a founded cluster now: by an entry, or by a snapshot. */
void founding_applied(struct master_core *m);

/* propose.c */
bool propose_has_room(
    const struct master_core *m); /* for agents and the leader itself */
bool propose_takes_requests(const struct master_core *m); /* of clients as well */
bool propose_takes_jobs(const struct master_core *m);     /* new ones, too */
/* Queue a command; the origin's parts are taken over. */
void propose(struct master_core *m,
             const struct command *command,
             const struct origin *origin);
/* What is proposed from now on has this stamp or a later one. */
void propose_not_before(struct master_core *m, uint64_t stamp_us);
void propose_flush(struct master_core *m);
/* Results of the entry at index, of `outcome`. */
void propose_applied(struct master_core *m, uint64_t index);
void propose_lost(struct master_core *m); /* leadership is over */
void propose_finish(struct master_core *m);

/* leader.c */
void leader_begin(struct master_core *m, uint64_t term);
void leader_end(struct master_core *m);
/* What stamps are made of and compared with; never behind one that was applied. */
uint64_t leader_now_us(const struct master_core *m);
void leader_gap(struct master_core *m, uint64_t now_ms); /* our loop stood still */
void leader_time(struct master_core *m);
void leader_turn(struct master_core *m);
void leader_round_applied(struct master_core *m);
void leader_purge_applied(struct master_core *m, const struct result *r);
void leader_effect(struct master_core *m, const struct effect *effect);
/* The part of it that concerns the scheduler. */
void leader_tell_sched(struct master_core *m, const struct effect *effect);
uint64_t leader_deadline(const struct master_core *m);

/* schedules.c */
void schedules_begin(struct master_core *m);
void schedules_end(struct master_core *m);
/* If it has a schedule: it is new, its last slot is another one, or it is killed. */
void schedules_changed(struct master_core *m, uint64_t job);
void schedules_zone(struct master_core *m, const char *name, struct bytes file);
void schedules_turn(struct master_core *m);
void schedules_fired(struct master_core *m, uint64_t job, const struct result *r);
/* Of a job of which others are made: when, and how many so far. */
void schedules_say(struct master_core *m, const struct job *j, char *why, size_t size);
/* Of one that is not submitted: what would become of it, from that time on. */
void schedules_say_planned(struct master_core *m,
                           const struct job *j,
                           uint64_t now_us,
                           char *why,
                           size_t size);

/* agents.c */
void agents_opened(struct master_core *m, struct session *session);
void agents_frame(struct master_core *m,
                  struct session *session,
                  const struct rpc *rpc);
void agents_closed(struct master_core *m, struct session *session);
void agents_registered(struct master_core *m,
                       const struct origin *origin,
                       const struct result *r);
void agents_updated(struct master_core *m,
                    const struct origin *origin,
                    const struct result *r);
struct agent_view *agents_view(struct master_core *m, uint64_t agent); /* or NULL */
/* It takes no new work, whatever the state says. */
bool agents_refuses(const struct agent_view *v);
struct agent_view *agents_view_of(struct master_core *m,
                                  uint64_t agent); /* made if new */
/* NULL: the state has none of this number on that agent. */
const struct attempt *agents_attempt(const struct master_core *m,
                                     const struct agent_view *v,
                                     uint64_t attempt);
void agents_gone(struct master_core *m, uint64_t agent); /* or forgotten */
void agents_verify(const struct master_core *m);
void agents_begin(struct master_core *m, uint64_t term);
void agents_tell(struct master_core *m);    /* some of them, that we lead */
void agents_deposed(struct master_core *m); /* before agents_end() */
void agents_end(struct master_core *m);

/* silence.c */
void silence_begin(struct master_core *m);
void silence_coming(struct master_core *m); /* agents come to this leader */
void silence_tick(struct master_core *m);
void silence_heard(struct master_core *m, struct agent_view *v);
void silence_agent(struct master_core *m, const struct agent *agent); /* it changed */
void silence_forget(struct master_core *m, struct agent_view *v);

/* drains.c */
void drains_begin(struct master_core *m); /* after repeats_begin() */
void drains_agent(struct master_core *m, const struct agent *agent); /* it changed */
void drains_tick(struct master_core *m);
void drains_forget(struct agent_view *v);

/* damping.c */
void damping_begin(struct master_core *m); /* behind agents_begin() */
void damping_forget(struct master_core *m, struct agent_view *v);
/* Read failures; false when that goes on in the next turn. */
bool damping_turn(struct master_core *m);
void damping_tick(struct master_core *m);

/* preempts.c */
void preempts_turn(struct master_core *m);
void preempts_applied(struct master_core *m, const struct result *r);

/* rebalances.c */
void rebalances_turn(struct master_core *m);
void rebalances_applied(struct master_core *m, const struct result *r);

/* usages.c */
void usages_frame(struct master_core *m, struct agent_view *v, const struct rpc *rpc);
void usages_forget(struct master_core *m, struct agent_view *v);
bool usages_find(const struct agent_view *v, /* NULL is fine */
                 uint64_t attempt,
                 struct usage_report *out);

/* repeats.c */
void repeats_begin(struct master_core *m);
void repeats_tick(struct master_core *m);
void repeats_agent(struct master_core *m, const struct agent *agent); /* it changed */
void repeats_applied(struct master_core *m);
void repeats_forget(struct agent_view *v);
/* Until this stamp is reached by the clock that says when retries are due. */
uint64_t repeats_due_ms(const struct master_core *m, uint64_t retry_us);
/* Until the lease of an attempt on an unreachable agent has run out; 0: there is none. */
uint64_t repeats_lease_left_ms(const struct master_core *m, const struct attempt *t);

/* waits.c: what time is waited for, in words added to `why`; nothing if none is. */
void waits_job(struct master_core *m, const struct job *job, char *why, size_t size);
void waits_task(struct master_core *m,
                const struct job *job,
                const struct task *t,
                char *why,
                size_t size);

/* renewals.c */
void renewals_ask(struct master_core *m, struct agent_view *v, uint64_t sequence);
void renewals_turn(struct master_core *m);
/* False when the ticket is not one of ours. */
bool renewals_read(struct master_core *m, uint64_t ticket, bool ready);
void renewals_end(struct master_core *m);
void renewals_finish(struct master_core *m);

/* orders.c */
void orders_add(struct master_core *m,
                struct agent_view *v,
                enum order_kind kind,
                uint64_t attempt);
void orders_ack(struct master_core *m, struct agent_view *v, const struct ack *ack);
/* Its runs are known (knows_all: it has them all, else those in v->reported): derive everything
 * it is to do from the state, in order of attempts. */
void orders_derive(struct master_core *m, struct agent_view *v, bool knows_all);
void orders_flush(struct master_core *m);
void orders_forget(struct master_core *m, struct agent_view *v);
void orders_heard(struct master_core *m,
                  struct agent_view *v); /* it reads what we send */

/* clients.c */
void clients_frame(struct master_core *m,
                   struct session *session,
                   const struct rpc *rpc);
void clients_result(struct master_core *m,
                    const struct origin *origin,
                    const struct result *r);
void clients_read(struct master_core *m, uint64_t ticket, bool ready);
/* Answer reads that are ready, a part of them in each turn. */
void clients_turn(struct master_core *m);
uint64_t clients_deadline(const struct master_core *m); /* of the next part */
void clients_session_closed(struct master_core *m, uint64_t session);
void clients_finish(struct master_core *m);
/* What a rejected command means to the one who sent it. */
const char *clients_explain(enum method method, enum error_code code);

#define TOMBSTONE_US (LIMIT_TOMBSTONE_HOURS * 3600ull * 1000000) /* a key is kept */

/* busy.c: times that a client rests at least before it asks again. */
#define BUSY_QUEUE_MS   100   /* requests that wait for others */
#define BUSY_PLAN_MS    1000  /* a plan is being made */
#define BUSY_STATE_MS   2000  /* the state is full */
#define BUSY_UNKNOWN_MS 60000 /* and there is room when somebody makes some */

struct busy {
    const char *why;
    uint64_t retry_after_ms;
};

/* The state has no room for such a command. */
struct busy busy_because(const struct master_core *m, enum method method);
void clients_planned(struct master_core *m,
                     uint64_t session,
                     uint32_t rpc,
                     struct bytes answer);

/* listing.c */
bool listing_is_enough(const struct master_core *m); /* for this turn */
/* Makes the next part of a page; true when that was the last one, and it is sent. */
bool listing_go_on(struct master_core *m, uint64_t session, struct page *p);
/* True when no more elements go into it for now; and one was looked at, the page goes on behind
 * it. */
bool listing_pauses(const struct master_core *m, const struct page *p);
void listing_passed(struct master_core *m, struct page *p, uint64_t at);

/* listing_failures.c: goes on with a page, and says whether there is more behind it; the sums
 * are one part. */
bool list_failures(struct master_core *m, struct page *p);
void list_failure_sums(struct master_core *m, struct page *p);

#endif
