/* invariants.c - what must hold in every state (docs/spec/2 and 3), from scratch.
 *
 * Everything that is kept in steps is computed again from the objects: counters,
 * queues, what is allocated, the digest.  Restore believes a snapshot only after this,
 * so it must bear any state whose tables are linked, however wrong their contents are.
 */
#include "raft_fsm/verify.h"

#include "base/assert.h"
#include "base/limits.h"

#include <inttypes.h>
#include <string.h>

#define ID_MAX ((uint64_t)INT64_MAX)

static bool resources_in_limits(const struct resources *r)
{
    for (int i = 0; i < RESOURCE_KINDS; i++)
        if (r->amount[i] > LIMIT_RESOURCE)
            return false;
    return true;
}

static bool is_live(const struct task *t)
{
    return t->state >= TASK_STAGING && t->state <= TASK_RUNNING;
}

/* ---- agents ---- */

/* Extras of agents that have them or whose attempts do. */
static int check_extras(const struct agent *a, struct error *err)
{
    struct extra_use used = {0};
    struct attempt *t;
    bool right = true;

    TAILQ_FOREACH (t, &a->attempts, by_agent) {
        const uint16_t *ports = attempt_ports(t);

        right = right && extra_may_take(&used, t->job->extras, ports, t->port_count);
        if (right && t->job->extras != NULL)
            extra_take(&used, t->job->extras, ports, t->port_count);
    }
    right = right && extra_use_equal(&used, &a->extras_used);
    extra_use_finish(&used);
    RULE(right,
         "agent %" PRIu64
         ": ports or custom resources in use are not those of its "
         "attempts, or one has two owners",
         a->id);
    return 0;
}

static int check_allocated(const struct agent *a, struct error *err)
{
    struct resources sum = {0};
    uint32_t count = 0, superseded = 0, systems = 0;
    struct attempt *t;

    TAILQ_FOREACH (t, &a->attempts, by_agent) {
        resources_add(&sum, &t->job->resources);
        RULE(t->agent == a, "attempt %" PRIu64 " is on two agents", t->id);
        superseded += t->superseded;
        systems += t->job->system != NULL;
        count++;
        RULE(a->state != AGENT_UNREACHABLE || t->superseded || job_has_lease(t->job),
             "attempt %" PRIu64 " is live on an unreachable agent, without a lease",
             t->id);
        RULE(!a->drain_due || t->superseded || t->stop != TASK_REASON_NONE ||
                 (t->job->system != NULL && a->attempts_count > a->systems_count),
             "attempt %" PRIu64 " stays on an agent that is drained",
             t->id);
    }
    RULE(resources_equal(&sum, &a->allocated),
         "agent %" PRIu64 ": allocated is not the sum of its attempts",
         a->id);
    RULE(count == a->attempts_count && superseded == a->superseded_count &&
             systems == a->systems_count,
         "agent %" PRIu64 ": %u attempts, %u superseded; it counts %u and %u",
         a->id,
         count,
         superseded,
         a->attempts_count,
         a->superseded_count);
    RULE(a->state != AGENT_GONE || count == 0,
         "agent %" PRIu64 " is gone and has attempts",
         a->id);
    return check_extras(a, err);
}

static int check_agent(const struct state *s, struct agent *a, struct error *err)
{
    const struct globals *g = &s->globals;

    RULE(a->id > 0 && a->id <= g->last_agent_id,
         "agent %" PRIu64 ": id out of range",
         a->id);
    RULE(a->changed > 0 && a->changed <= g->changed,
         "agent %" PRIu64 ": changed in the future",
         a->id);
    RULE(state_agent_by_key(s, a->key) == a,
         "agent %" PRIu64 " is not found by its key",
         a->id);
    RULE(a->registered_us > 0 && a->registered_us <= a->since_us &&
             a->since_us <= g->last_stamp_us,
         "agent %" PRIu64 ": stamps out of order",
         a->id);
    RULE(a->spec.size > 0 && resources_in_limits(&a->capacity),
         "agent %" PRIu64 ": spec or capacity out of range",
         a->id);
    RULE((a->mode == AGENT_DRAINING) == (a->drain_us != 0) &&
             (!a->drain_due ||
              (a->mode == AGENT_DRAINING && a->drain_us <= g->last_stamp_us)),
         "agent %" PRIu64 ": drains without a deadline, or before it",
         a->id);
    return check_allocated(a, err);
}

static int check_agents(const struct state *s, struct sums *sums, struct error *err)
{
    struct agent *a;
    int rc;

    RB_FOREACH (a, agent_tree, (struct agent_tree *)&s->agents) {
        rc = check_agent(s, a, err);
        if (rc != 0)
            return rc;
        sums->digest = hash128_add(sums->digest, hash_of(object_agent(a)));
        sums->agents++;
        sums->agents_attempts += a->attempts_count;
        sums->agents_by_state[a->state]++;
    }
    return 0;
}

/* ---- jobs and tasks ---- */

/* A task that waits or is over shows its last attempt, a live one has it. */
static int check_task_attempt(const struct state *s,
                              const struct job *j,
                              const struct task *t,
                              struct error *err)
{
    const struct attempt *attempt = state_attempt(s, t->attempt_id);

    RULE((t->attempt == 0) == (t->attempt_id == 0) &&
             (t->attempt == 0) == (t->agent_id == 0),
         "task %" PRIu64 ".%u: half of an attempt",
         j->id,
         t->instance);
    RULE(t->attempt_id <= s->globals.last_attempt_id &&
             t->agent_id <= s->globals.last_agent_id,
         "task %" PRIu64 ".%u: ids out of range",
         j->id,
         t->instance);
    if (!is_live(t)) {
        RULE(attempt == NULL || attempt->superseded,
             "task %" PRIu64 ".%u is not live and has an attempt",
             j->id,
             t->instance);
        return 0;
    }
    RULE(attempt != NULL && attempt->job == j && attempt->instance == t->instance &&
             attempt->number == t->attempt && attempt->state == t->state &&
             !attempt->superseded && attempt->agent->id == t->agent_id,
         "task %" PRIu64 ".%u is live without its attempt %" PRIu64,
         j->id,
         t->instance,
         t->attempt_id);
    return 0;
}

static int check_task(const struct state *s,
                      const struct job *j,
                      const struct task *t,
                      struct error *err)
{
    bool final = task_state_is_final(t->state);

    RULE(t->state != TASK_KILLING && (t->state != TASK_LOST || j->system != NULL),
         "task %" PRIu64 ".%u: a state that is not stored",
         j->id,
         t->instance);
    RULE(t->state == TASK_PENDING || t->attempt > 0,
         "task %" PRIu64 ".%u: was never placed and is not pending",
         j->id,
         t->instance);
    RULE(t->changed > 0 && t->changed <= j->changed,
         "task %" PRIu64 ".%u: changed after its job",
         j->id,
         t->instance);
    RULE((t->ended_us != 0) == final && t->started_us <= s->globals.last_stamp_us &&
             t->ended_us <= s->globals.last_stamp_us,
         "task %" PRIu64 ".%u: stamps out of order",
         j->id,
         t->instance);
    RULE((t->state != TASK_RUNNING || t->started_us > 0) &&
             (t->started_us == 0 || t->state >= TASK_RUNNING),
         "task %" PRIu64 ".%u: started without running",
         j->id,
         t->instance);
    RULE(t->message == NULL ||
             (t->message[0] != '\0' && strlen(t->message) <= LIMIT_MESSAGE_BYTES),
         "task %" PRIu64 ".%u: message out of range",
         j->id,
         t->instance);
    RULE(t->extras == NULL || t->extras->retry_us == 0 || task_waits(t),
         "task %" PRIu64 ".%u waits to be repeated and is not pending",
         j->id,
         t->instance);
    RULE(t->extras == NULL || (t->extras->since_us <= s->globals.last_stamp_us &&
                               t->extras->lost_us <= s->globals.last_stamp_us),
         "task %" PRIu64 ".%u: was repeated in the future",
         j->id,
         t->instance);
    return check_task_attempt(s, j, t, err);
}

static int
check_tasks(const struct state *s, struct job *j, struct sums *sums, struct error *err)
{
    uint32_t by_state[TASK_STATE_COUNT] = {0};
    struct hash128 digest = {0};
    uint32_t waiting = 0;
    int rc;

    for (uint32_t i = 0; i < j->touched; i++) {
        struct task *t = job_task(j, i);
        uint64_t bits = j->chunks[i / TASK_CHUNK].pending;

        RULE(t->instance == i, "job %" PRIu64 ": task %u is elsewhere", j->id, i);
        rc = check_task(s, j, t, err);
        if (rc != 0)
            return rc;
        RULE((bits >> (i % TASK_CHUNK) & 1) ==
                 (t->state == TASK_PENDING && !task_waits(t)),
             "task %" PRIu64 ".%u: its bit is wrong",
             j->id,
             i);
        RULE(!task_waits(t) ||
                 (j->retries != NULL &&
                  RB_FIND(task_retry_tree, &j->retries->tasks, t->extras) == t->extras),
             "task %" PRIu64 ".%u waits and is not in its job's queue",
             j->id,
             i);
        waiting += task_waits(t);
        by_state[t->state]++;
        digest = hash128_add(digest, hash_of(object_task(j, t)));
    }
    RULE(memcmp(by_state, j->tasks, sizeof(by_state)) == 0,
         "job %" PRIu64 ": its tasks are not in the states that it counts",
         j->id);
    RULE(waiting == job_waiting(j),
         "job %" PRIu64 ": %u tasks wait to be repeated, it counts %u",
         j->id,
         waiting,
         job_waiting(j));
    RULE(hash128_equal(digest, j->task_digest),
         "job %" PRIu64 ": the digest of its tasks is wrong",
         j->id);
    sums->digest = hash128_add(sums->digest, digest);
    return 0;
}

static int
check_job_ranges(const struct state *s, const struct job *j, struct error *err)
{
    const struct globals *g = &s->globals;

    RULE(j->id > 0 && j->id <= g->last_job_id,
         "job %" PRIu64 ": id out of range",
         j->id);
    RULE(j->key.size > 0 && j->key.size <= LIMIT_KEY_BYTES,
         "job %" PRIu64 ": key out of range",
         j->id);
    RULE(state_job_by_key(s, j->key) == j && state_tombstone(s, j->key) == NULL,
         "job %" PRIu64 " is not the only one with its key",
         j->id);
    RULE(j->spec.size > 0 && resources_in_limits(&j->resources),
         "job %" PRIu64 ": spec or resources out of range",
         j->id);
    RULE((j->instances > 0) == (j->made == NULL && j->system == NULL) ||
             (j->system != NULL && j->instances == j->touched),
         "job %" PRIu64 ": instances of no task",
         j->id);
    RULE(j->instances <= LIMIT_TASKS_PER_JOB && j->touched <= j->instances,
         "job %" PRIu64 ": instances out of range",
         j->id);
    RULE(!j->is_gang || j->touched == 0 || j->touched == j->instances,
         "job %" PRIu64 ": a part of a gang was placed",
         j->id);
    RULE(j->submit_index > 0 && j->submit_index <= j->changed &&
             j->changed <= g->changed,
         "job %" PRIu64 ": changed in the future",
         j->id);
    RULE(j->kill_index == 0 ||
             (j->kill_index >= j->submit_index && j->kill_index <= j->changed),
         "job %" PRIu64 ": killed in the future",
         j->id);
    RULE(j->submitted_us > 0 && j->submitted_us <= g->last_stamp_us &&
             j->ended_us <= g->last_stamp_us,
         "job %" PRIu64 ": stamps out of order",
         j->id);
    return 0;
}

static int
check_job(const struct state *s, struct job *j, struct sums *sums, struct error *err)
{
    uint64_t shown = 0;
    int rc = check_job_ranges(s, j, err);

    if (rc == 0)
        rc = check_tasks(s, j, sums, err);
    if (rc == 0)
        rc = verify_links(s, j, err);
    if (rc == 0)
        rc = verify_template(s, j, err);
    if (rc == 0)
        rc = verify_system(s, j, err);
    if (rc != 0)
        return rc;
    RULE(job_live(j) <= j->attempts,
         "job %" PRIu64 ": %u live tasks, %u attempts",
         j->id,
         job_live(j),
         j->attempts);
    RULE(job_state_is_final(job_state(j)) == (j->ended_us != 0),
         "job %" PRIu64 ": ended and is not final, or the other way",
         j->id);
    RULE(j->was_whole == job_is_whole(j) && j->is_runnable == job_may_place(j) &&
             j->is_runnable ==
                 (RB_FIND(job_order_tree, (struct job_order_tree *)&s->runnable, j) ==
                  j),
         "job %" PRIu64 ": wrong in the queue of runnable jobs",
         j->id);
    if (job_waiting(j) > 0 && j->kill_index == 0)
        RULE(RB_FIND(job_retry_tree,
                     (struct job_retry_tree *)&s->retrying,
                     j->retries) == j->retries,
             "job %" PRIu64 " is not among those with tasks that wait",
             j->id);
    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        shown += job_tasks_in(j, (enum task_state)i);
        sums->tasks_by_state[i] += job_tasks_in(j, (enum task_state)i);
    }
    RULE(shown == j->instances,
         "job %" PRIu64 ": its states have %" PRIu64 " tasks of %u",
         j->id,
         shown,
         j->instances);
    return 0;
}

static int check_jobs(const struct state *s, struct sums *sums, struct error *err)
{
    struct job *j;
    int rc;

    STATE_FOREACH_JOB (j, s) {
        rc = check_job(s, j, sums, err);
        if (rc != 0)
            return rc;
        sums->digest = hash128_add(sums->digest, hash_of(object_job(j)));
        sums->jobs++;
        sums->tasks += j->instances;
        sums->jobs_attempts += j->attempts;
        sums->jobs_stopped += j->stopped;
        sums->jobs_by_state[job_state(j)]++;
        sums->runnable += j->is_runnable;
        sums->systems += j->system != NULL && j->kill_index == 0;
    }
    return 0;
}

/* ---- attempts and tombstones ---- */

/* The job or agent for which it is to end, if there is one. */
static bool stop_is_known(const struct state *s, const struct attempt *t)
{
    uint64_t most = 0;

    if (t->stop == TASK_REASON_PREEMPTED)
        most = s->globals.last_job_id;
    if (t->stop == TASK_REASON_MOVED)
        most = s->globals.last_agent_id;
    return (t->stop_for != 0) == (most != 0) && t->stop_for <= most;
}

static int
check_attempt(const struct state *s, const struct attempt *t, struct error *err)
{
    const struct task *task = job_task(t->job, t->instance);

    RULE(t->id > 0 && t->id <= s->globals.last_attempt_id,
         "attempt %" PRIu64 ": id out of range",
         t->id);
    RULE(t->changed > 0 && t->changed <= s->globals.changed && t->placed_us > 0 &&
             t->placed_us <= s->globals.last_stamp_us,
         "attempt %" PRIu64 ": placed or changed in the future",
         t->id);
    RULE(stop_is_known(s, t), "attempt %" PRIu64 " is to end for nobody", t->id);
    RULE(task != NULL && t->number > 0 && t->number <= task->attempt,
         "attempt %" PRIu64 " is of no task",
         t->id);
    if (t->superseded)
        RULE(t->state == TASK_LOST &&
                 (task->attempt_id == t->id) == (task->attempt == t->number),
             "attempt %" PRIu64 " is superseded and in a wrong state",
             t->id);
    else
        RULE(task->attempt_id == t->id && is_live(task),
             "attempt %" PRIu64 " is live and its task does not have it",
             t->id);
    return 0;
}

static int check_attempts(const struct state *s, struct sums *sums, struct error *err)
{
    struct attempt *t;
    int rc;

    for (t = state_next_attempt(s, 0); t != NULL;
         t = state_next_attempt(s, t->id + 1)) {
        rc = check_attempt(s, t, err);
        if (rc != 0)
            return rc;
        sums->digest = hash128_add(sums->digest, hash_of(object_attempt(t)));
        sums->attempts++;
        sums->stopped += t->superseded || t->stop != TASK_REASON_NONE;
    }
    return 0;
}

static int check_tombstones(const struct state *s, struct sums *sums, struct error *err)
{
    struct tombstone *t;

    RB_FOREACH (
        t, tombstone_age_tree, (struct tombstone_age_tree *)&s->tombstones_by_age) {
        RULE(t->key.size > 0 && t->key.size <= LIMIT_KEY_BYTES &&
                 state_tombstone(s, t->key) == t,
             "the tombstone of job %" PRIu64 " is not found by its key",
             t->job_id);
        RULE(t->job_id > 0 && t->job_id <= s->globals.last_job_id &&
                 state_job(s, t->job_id) == NULL,
             "the tombstone of job %" PRIu64 ": id out of range",
             t->job_id);
        RULE(t->purged_us > 0 && t->purged_us <= s->globals.last_stamp_us &&
                 t->submit_index > 0 && t->submit_index <= t->changed &&
                 t->changed <= s->globals.changed,
             "the tombstone of job %" PRIu64 " is from the future",
             t->job_id);
        sums->digest = hash128_add(sums->digest, hash_of(object_tombstone(t)));
        sums->tombstones++;
    }
    return 0;
}

/* ---- all ---- */

static int check_globals(const struct state *s, struct error *err)
{
    const struct globals *g = &s->globals;
    bool empty = s->job_count + s->agent_count + s->tombstone_count + s->failures.last +
                     s->history_count ==
                 0;

    RULE(g->changed <= s->index && g->last_stamp_us <= ID_MAX,
         "globals: from the future");
    RULE(g->last_job_id <= ID_MAX && g->last_agent_id <= ID_MAX &&
             g->last_attempt_id <= ID_MAX,
         "globals: ids out of range");
    RULE(g->founded || empty, "globals: not founded and not empty");
    RULE(s->job_count <= LIMIT_JOBS && s->task_count <= LIMIT_TASKS &&
             s->agent_count <= LIMIT_AGENTS && s->tombstone_count <= LIMIT_TOMBSTONES,
         "globals: more objects than the limits");
    return 0;
}

static int check_sums(const struct state *s, const struct sums *sums, struct error *err)
{
    struct job *j;
    uint64_t runnable = 0;

    RB_FOREACH (j, job_order_tree, (struct job_order_tree *)&s->runnable)
        runnable++;
    RULE(s->template_count <= LIMIT_SCHEDULES, "more schedules than the limit");
    RULE(s->system_count == sums->systems && s->system_count <= LIMIT_SYSTEM_JOBS,
         "system jobs are more than the limit, or not as counted");
    RULE(sums->jobs == s->job_count && sums->tasks == s->task_count &&
             sums->agents == s->agent_count && sums->roles == s->role_count &&
             sums->tombstones == s->tombstone_count && sums->runnable == runnable,
         "counters: not as many objects as are counted");
    RULE(sums->attempts == sums->agents_attempts &&
             sums->attempts == sums->jobs_attempts,
         "counters: %" PRIu64 " attempts; agents have %" PRIu64 ", jobs %" PRIu64,
         sums->attempts,
         sums->agents_attempts,
         sums->jobs_attempts);
    RULE(sums->stopped == sums->jobs_stopped,
         "counters: %" PRIu64 " attempts are stopped, jobs have %" PRIu64,
         sums->stopped,
         sums->jobs_stopped);
    RULE(memcmp(sums->tasks_by_state, s->tasks_by_state, sizeof(s->tasks_by_state)) ==
                 0 &&
             memcmp(sums->jobs_by_state, s->jobs_by_state, sizeof(s->jobs_by_state)) ==
                 0 &&
             memcmp(sums->agents_by_state,
                    s->agents_by_state,
                    sizeof(s->agents_by_state)) == 0,
         "counters: objects by state are not as counted");
    RULE(hash128_equal(sums->digest, s->digest),
         "the digest is not that of the objects");
    return 0;
}

int state_verify(const struct state *s, struct error *err)
{
    struct object globals = {.table = TABLE_GLOBALS,
                             .globals = (struct globals *)&s->globals};
    struct sums sums = {.digest = hash_of(globals)};
    int rc = check_globals(s, err);

    if (rc == 0)
        rc = check_agents(s, &sums, err);
    if (rc == 0)
        rc = check_jobs(s, &sums, err);
    if (rc == 0)
        rc = check_attempts(s, &sums, err);
    if (rc == 0)
        rc = verify_roles(s, &sums, err);
    if (rc == 0)
        rc = check_tombstones(s, &sums, err);
    if (rc == 0)
        rc = verify_failures(s, &sums, err);
    if (rc == 0)
        rc = verify_histories(s, &sums, err);
    if (rc == 0)
        rc = check_sums(s, &sums, err);
    return rc != 0 ? rc : verify_use(s, err);
}

void state_check(const struct state *s)
{
    struct error err;

    if (state_verify(s, &err) != 0)
        assert_failed(err.text, __FILE__, __LINE__, __func__);
}
