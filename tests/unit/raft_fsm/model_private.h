/* model_private.h - what the model is, for its own files (model.c). */
#ifndef TESTS_UNIT_RAFT_FSM_MODEL_PRIVATE_H
#define TESTS_UNIT_RAFT_FSM_MODEL_PRIVATE_H

#include "tests/unit/raft_fsm/model.h"

#include "base/limits.h"
#include "raft_fsm/effects.h"
#include "wire/role.h"

struct m_task {
    enum task_state state; /* stored: PENDING, or that of the current attempt */
    uint32_t attempt;
    uint64_t attempt_id, agent_id, changed, started_us, ended_us;
    enum task_reason reason;
    int32_t exit_code;
    char message[LIMIT_MESSAGE_BYTES + 1];
    struct m_tries {
        uint64_t retry_us, first_us, lost_us;
        uint32_t retries, losses;
    } tries; /* stays when it is placed */
    enum task_health health;
    uint32_t restarts;
};

struct m_job {
    uint64_t id, submit_index, kill_index, changed, submitted_us, ended_us, purged_us;
    bool purged, forgotten; /* then the key is still known; then nothing is */
    struct bytes key;
    struct bytes said; /* with its key: the spec, or all of those that came with it */
    struct bytes body; /* the spec as it is kept */
    struct m_wait {
        uint64_t job;
        enum job_on on;
    } waits[LIMIT_AFTER];
    size_t wait_count; /* that are not met */
    uint64_t stopped_by;
    bool is_template;
    uint64_t parent, child, last_us, fired, missed, skipped;
    struct job_spec spec;
    struct m_task *tasks;
    uint64_t expected_ms;
    enum expectation expected_from;
};

struct m_attempt {
    uint64_t id, job, agent, placed_us;
    uint32_t instance, number;
    enum task_state state;
    enum task_reason stop;
    uint64_t stop_for;
    uint16_t ports[LIMIT_TASK_PORTS];
    bool superseded, over;
};

struct m_agent {
    uint64_t id, changed, registered_us, since_us;
    enum agent_state state;
    enum agent_mode mode;
    uint64_t drain_us;
    bool drain_due;
    struct bytes spec_bytes;
    struct agent_spec spec;
};

struct m_role {
    char name[LIMIT_ROLE_BYTES + 1];
    uint32_t id;
    uint64_t changed;
    bool is_set; /* else nobody said anything of it yet, or again */
    struct role_spec spec;
};

struct m_failure { /* its id is its place, from 1 */
    uint64_t stamp_us, down_us, retry_us, recovered_us, job, agent, next_agent;
    uint32_t instance, attempt, moved;
    int32_t exit_code;
    bool of_agent;
    enum task_reason reason;
    enum task_state task_state;
    enum failure_deed deed;
    enum failure_state state;
};

struct m_history {
    char role[LIMIT_ROLE_BYTES + 1], name[LIMIT_NAME_BYTES + 1];
    uint64_t used_us, lost_ms;
    struct m_run {
        uint64_t took_ms, lost_ms;
    } * runs; /* all that ever were */
    size_t run_count, run_capacity;
};

struct model {
    bool founded;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    uint64_t index, stamp;
    uint8_t version;    /* of the entry */
    uint64_t agents_changed;
    struct m_job *jobs; /* id - 1; also those that are gone */
    size_t job_count, job_capacity;
    struct m_attempt *attempts;
    size_t attempt_count, attempt_capacity;
    struct m_agent *agents;
    size_t agent_count, agent_capacity;
    struct m_role *roles; /* every name that ever was, `default` first */
    size_t role_count, role_capacity;
    struct m_failure *failures;
    size_t failure_count, failure_capacity;
    struct m_history *histories;
    size_t history_count, history_capacity;
    struct outcome *out;
};

/* ---- looking: model_look.c ---- */

struct bytes m_copy(struct bytes b);
bool m_equal(struct bytes a, struct bytes b);
struct m_job *m_find_job(struct model *m, uint64_t id);
struct m_agent *m_find_agent(struct model *m, uint64_t id);
struct m_attempt *m_find_attempt(struct model *m, uint64_t id);
enum task_state m_shown(const struct m_job *j, uint32_t i);
bool m_is_system(const struct m_job *j);
/* The task that it has for an agent; NULL: none. */
struct m_task *m_of_agent(const struct m_job *j, uint64_t agent);
/* It has such tasks, or may get one with each agent. */
bool m_may_get_placed(const struct m_job *j);
/* A gang of which nothing runs: it is placed as a whole. */
bool m_is_whole(const struct m_job *j);
bool m_can_be_placed(const struct m_job *j, uint32_t i);
uint32_t m_count_placeable(const struct m_job *j);
uint32_t m_count_shown(const struct m_job *j, enum task_state state);
enum job_state m_state_of(const struct m_job *j);
uint32_t m_touched(const struct m_job *j);
struct resources m_allocated(const struct model *m, uint64_t agent);
bool m_has_extras(const struct model *m,
                  const struct m_agent *a,
                  const struct job_spec *spec,
                  uint16_t *ports);
struct m_role *m_find_role(struct model *m, const char *name);
/* What its attempts hold of a kind, or of a custom resource. */
uint64_t m_role_used(const struct model *m, const char *role, int kind);
uint64_t m_role_used_custom(const struct model *m, const char *role, const char *name);
/* The name of a job's role. */
const char *m_role_of(const struct m_job *j);
bool m_role_has_room(struct model *m, const struct m_job *j);
bool m_has_superseded(const struct model *m, uint64_t agent);

/* ---- answers: model.c ---- */

struct result m_done(const struct model *m, uint64_t id);
struct result m_refused(int code);
void m_effect(struct model *m, enum effect_kind kind, uint64_t id, uint64_t agent);

/* ---- failures and histories: model_failures.c ---- */

/* An attempt says how it is, and its task knows it; it ran since then. */
void m_keep_books(struct model *m,
                  const struct m_attempt *at,
                  const struct m_task *t,
                  enum task_state how,
                  uint64_t begin_us);
/* Without another attempt. */
void m_task_is_over(struct model *m, uint64_t job, uint32_t instance);
void m_reclaimed(struct model *m, const struct m_attempt *at);
void m_agent_fails(struct model *m,
                   uint64_t agent,
                   enum task_reason reason,
                   uint32_t moved);
void m_agent_moves(struct model *m, uint64_t agent);
void m_agent_returns(struct model *m, uint64_t agent);
bool m_is_open(const struct model *m, const struct m_failure *f);
uint64_t m_predicted(const struct m_history *h);
/* Of a new job. */
void m_expect(struct model *m, struct m_job *j);

/* ---- commands ---- */

struct result m_submit(struct model *m, const struct command *c);
struct result m_submit_all(struct model *m, const struct command *c);
struct result m_fire(struct model *m, const struct command *c);
struct result m_dispatch(struct model *m, const struct command *c);
/* Whether others wait for it. */
bool m_is_waited_for(const struct model *m, uint64_t job);
/* Everybody who waits for a job that has ended hears it. */
void m_release(struct model *m);
struct result m_kill(struct model *m, const struct command *c);
struct result m_purge(struct model *m, const struct command *c);
struct result m_expire(struct model *m, const struct command *c);
/* An attempt is over. */
void m_end(struct model *m, struct m_attempt *t);
struct result m_role_set(struct model *m, const struct command *c);
struct result m_role_remove(struct model *m, const struct command *c);
struct result m_register(struct model *m, const struct command *c);
struct result m_reregister(struct model *m, const struct command *c);
struct result m_unreachable(struct model *m, const struct command *c);
struct result m_gone(struct model *m, const struct command *c);
struct result m_mode(struct model *m, const struct command *c);
struct result m_drain_due(struct model *m, const struct command *c);
struct result m_lapse(struct model *m, const struct command *c);
/* The agent is drained, and nothing but system jobs is left there. */
void m_drain_systems(struct model *m, uint64_t agent);
void m_tell_task(struct model *m,
                 const struct m_attempt *at,
                 const struct task_update *u);
struct result m_preempt(struct model *m, const struct command *c);
struct result m_move(struct model *m, const struct command *c);
struct result m_retry(struct model *m, const struct command *c);
struct result m_place(struct model *m, const struct command *c);
struct result m_update(struct model *m, const struct command *c);

#endif
