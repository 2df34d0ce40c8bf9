/* state.c - tables of the replicated state and what everybody may read from them. */
#include "raft_fsm/state.h"

#include "base/mem.h"
#include "raft_fsm/fsm.h"
#include "raft_fsm/state_edit.h"

#include <string.h>

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_bytes(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

    return order != 0 ? order : compare_u64(a.size, b.size);
}

static int job_by_key(const struct job *a, const struct job *b)
{
    if (a->key_hash != b->key_hash)
        return a->key_hash < b->key_hash ? -1 : 1;
    return compare_bytes(a->key, b->key);
}

static int job_by_order(const struct job *a, const struct job *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return compare_u64(a->id, b->id);
}

static int retries_by_first(const struct job_retries *a, const struct job_retries *b)
{
    int order = compare_u64(job_first_retry(a->job)->retry_us,
                            job_first_retry(b->job)->retry_us);

    return order != 0 ? order : compare_u64(a->job->id, b->job->id);
}

static int task_by_retry(const struct task_extras *a, const struct task_extras *b)
{
    int order = compare_u64(a->retry_us, b->retry_us);

    return order != 0 ? order : compare_u64(a->instance, b->instance);
}

static int agent_by_id(const struct agent *a, const struct agent *b)
{
    return compare_u64(a->id, b->id);
}

static int agent_by_key(const struct agent *a, const struct agent *b)
{
    return memcmp(a->key, b->key, sizeof(a->key));
}

static int tombstone_by_key(const struct tombstone *a, const struct tombstone *b)
{
    if (a->key_hash != b->key_hash)
        return a->key_hash < b->key_hash ? -1 : 1;
    return compare_bytes(a->key, b->key);
}

static int tombstone_by_age(const struct tombstone *a, const struct tombstone *b)
{
    int order = compare_u64(a->purged_us, b->purged_us);

    return order != 0 ? order : compare_u64(a->job_id, b->job_id);
}

static int template_by_job(const struct job_template *a, const struct job_template *b)
{
    return compare_u64(a->job->id, b->job->id);
}

RB_GENERATE(template_tree, job_template, by_job, template_by_job)
RB_GENERATE(job_key_tree, job, by_key, job_by_key)
RB_GENERATE(job_order_tree, job, by_order, job_by_order)
RB_GENERATE(task_retry_tree, task_extras, by_retry, task_by_retry)
RB_GENERATE(job_retry_tree, job_retries, by_first, retries_by_first)
RB_GENERATE(agent_tree, agent, by_id, agent_by_id)
RB_GENERATE(agent_key_tree, agent, by_key, agent_by_key)
RB_GENERATE(tombstone_tree, tombstone, by_key, tombstone_by_key)
RB_GENERATE(tombstone_age_tree, tombstone, by_age, tombstone_by_age)

struct state *state_create(void)
{
    struct state *s = mem_zalloc(sizeof(*s));

    state_start(s);
    return s;
}

void state_destroy(struct state *s)
{
    if (s == NULL)
        return;
    snapshot_end(s);
    state_clear(s);
    mem_free(s);
}

struct job *state_job(const struct state *s, uint64_t id)
{
    return id_map_find(&s->jobs, id);
}

struct job *state_next_job(const struct state *s, uint64_t id)
{
    return id_map_next(&s->jobs, id);
}

struct job *state_job_by_key(const struct state *s, struct bytes key)
{
    struct job wanted = {.key = key, .key_hash = hash128_of(key).low};
    const struct job_key_tree *tree = &s->jobs_by_key[wanted.key_hash % KEY_TREES];

    return RB_FIND(job_key_tree, (struct job_key_tree *)tree, &wanted);
}

struct attempt *state_attempt(const struct state *s, uint64_t id)
{
    return id_map_find(&s->attempts, id);
}

struct attempt *state_next_attempt(const struct state *s, uint64_t id)
{
    return id_map_next(&s->attempts, id);
}

struct agent *state_agent(const struct state *s, uint64_t id)
{
    struct agent wanted = {.id = id};

    return RB_FIND(agent_tree, (struct agent_tree *)&s->agents, &wanted);
}

struct agent *state_agent_by_key(const struct state *s, const uint8_t key[16])
{
    struct agent wanted;

    memcpy(wanted.key, key, sizeof(wanted.key));
    return RB_FIND(agent_key_tree, (struct agent_key_tree *)&s->agents_by_key, &wanted);
}

struct tombstone *state_tombstone(const struct state *s, struct bytes key)
{
    struct tombstone wanted = {.key = key, .key_hash = hash128_of(key).low};
    const struct tombstone_tree *tree =
        &s->tombstones_by_key[wanted.key_hash % KEY_TREES];

    return RB_FIND(tombstone_tree, (struct tombstone_tree *)tree, &wanted);
}

struct role *state_role(const struct state *s, const char *name)
{
    return role_find(&s->roles, name);
}

bool job_has_role(const struct job *j)
{
    return j->attempts > 0 || !job_state_is_final(job_state(j));
}

uint16_t *attempt_ports(const struct attempt *t)
{
    return (uint16_t *)(uintptr_t)(t + 1);
}

uint64_t job_expected_ms(const struct job *j)
{
    return j->expected_ms != 0 ? j->expected_ms : j->owner->role->spec.length_ms;
}

uint32_t job_ending(const struct job *j)
{
    return j->kill_index != 0 ? j->attempts : j->stopped;
}

bool attempt_is_to_end(const struct attempt *t)
{
    return t->superseded || t->job->kill_index != 0 || t->stop != TASK_REASON_NONE;
}

struct task *job_task(const struct job *j, uint32_t instance)
{
    if (instance >= j->touched)
        return NULL;
    return &j->chunks[instance / TASK_CHUNK].tasks[instance % TASK_CHUNK];
}

enum task_state job_task_state(const struct job *j, uint32_t instance)
{
    const struct task *t = job_task(j, instance);
    enum task_state state = t == NULL ? TASK_PENDING : (enum task_state)t->state;

    if (j->kill_index == 0 || task_state_is_final(state))
        return state;
    return state == TASK_PENDING ? TASK_KILLED : TASK_KILLING;
}

enum task_health task_health(const struct task *t)
{
    return t->extras == NULL ? HEALTH_UNKNOWN : (enum task_health)t->extras->health;
}

uint32_t task_restarts(const struct task *t)
{
    return t->extras == NULL ? 0 : t->extras->restarts;
}

uint64_t task_failure(const struct task *t)
{
    return t->extras == NULL ? 0 : t->extras->failure;
}

/* Tasks whose stored state is PENDING, touched or not. */
static uint32_t job_unplaced(const struct job *j)
{
    return j->instances - j->touched + j->tasks[TASK_PENDING];
}

uint32_t job_live(const struct job *j)
{
    return j->tasks[TASK_STAGING] + j->tasks[TASK_STARTING] + j->tasks[TASK_RUNNING];
}

uint32_t job_unfinished(const struct job *j)
{
    return j->kill_index != 0 ? job_live(j) : job_unplaced(j) + job_live(j);
}

const struct custom_resources *job_custom(const struct job *j)
{
    static const struct custom_resources NONE;

    return j->extras == NULL ? &NONE : &j->extras->custom;
}

uint32_t job_pending(const struct job *j)
{
    if (j->kill_index != 0 || job_is_blocked(j) || (job_is_whole(j) && job_waiting(j) > 0))
        return 0;
    return job_unplaced(j) - job_waiting(j);
}

uint32_t job_waiting(const struct job *j)
{
    return j->retries == NULL ? 0 : j->retries->count;
}

struct task_extras *job_first_retry(const struct job *j)
{
    return j->retries == NULL ? NULL : RB_MIN(task_retry_tree, &j->retries->tasks);
}

bool job_may_place(const struct job *j)
{
    return job_pending(j) > 0 ||
           (j->system != NULL && j->kill_index == 0 && !job_is_blocked(j));
}

bool job_is_whole(const struct job *j)
{
    return j->is_gang && job_live(j) == 0;
}

bool job_has_lease(const struct job *j)
{
    return j->policy != NULL && j->policy->lease_ms != 0;
}

bool task_waits(const struct task *t)
{
    return t->state == TASK_PENDING && t->extras != NULL && t->extras->retry_us != 0;
}

uint32_t job_tasks_in(const struct job *j, enum task_state state)
{
    bool killed = j->kill_index != 0;

    switch (state) {
    case TASK_PENDING:
        return killed ? 0 : job_unplaced(j);
    case TASK_STAGING:
    case TASK_STARTING:
    case TASK_RUNNING:
        return killed ? 0 : j->tasks[state];
    case TASK_KILLING:
        return killed ? job_live(j) : 0;
    case TASK_KILLED:
        return j->tasks[TASK_KILLED] + (killed ? job_unplaced(j) : 0);
    default:
        return j->tasks[state];
    }
}

enum job_state job_state(const struct job *j)
{
    uint32_t killed = job_tasks_in(j, TASK_KILLED);

    if (j->made != NULL)
        return j->kill_index != 0 ? JOB_KILLED : JOB_PENDING;
    if (j->system != NULL && j->kill_index != 0)
        return job_live(j) > 0 ? JOB_RUNNING : JOB_KILLED;
    if (job_live(j) > 0 || job_tasks_in(j, TASK_PENDING) > 0 || j->system != NULL)
        return j->touched == 0 ? JOB_PENDING : JOB_RUNNING;
    if (j->kill_index != 0 && killed > 0)
        return JOB_KILLED;
    if (j->tasks[TASK_FAILED] + j->tasks[TASK_ERROR] + killed > 0)
        return JOB_FAILED;
    return JOB_COMPLETE;
}

bool job_next_pending(const struct job *j,
                      uint32_t from,
                      uint32_t *instance,
                      uint32_t *attempt)
{
    uint32_t at = from;

    if (job_pending(j) == 0)
        return false;
    if (j->tasks[TASK_PENDING] == 0)
        at = j->touched;
    for (; at < j->touched; at = (at / TASK_CHUNK + 1) * TASK_CHUNK) {
        uint64_t bits = j->chunks[at / TASK_CHUNK].pending >> (at % TASK_CHUNK);

        if (bits != 0) {
            *instance = at + (uint32_t)__builtin_ctzll(bits);
            *attempt = job_task(j, *instance)->attempt + 1;
            return true;
        }
    }
    at = from > j->touched ? from : j->touched;
    if (at >= j->instances)
        return false;
    *instance = at;
    *attempt = 1;
    return true;
}

bool agent_takes_work(const struct agent *a)
{
    return a->state == AGENT_ACTIVE && a->superseded_count == 0 &&
#ifndef MUTANT_DRAINED_TAKES_WORK
           a->mode == AGENT_NORMAL &&
#endif
           a->attempts_count < LIMIT_AGENT_RUNS;
}

bool agent_has_room(const struct agent *a, const struct job *j)
{
    for (int i = 0; i < RESOURCE_KINDS; i++)
        if (a->allocated.amount[i] + j->resources.amount[i] > a->capacity.amount[i])
            return false;
    return j->extras == NULL || extra_has_room(&a->extras, &a->extras_used, j->extras);
}

uint32_t agent_room(const struct agent *a, const struct job *j, uint32_t most)
{
    uint32_t runs = LIMIT_AGENT_RUNS - a->attempts_count;

    if (!agent_has_room(a, j))
        return 0;
    most = most < runs ? most : runs;
    for (int i = 0; i < RESOURCE_KINDS; i++) {
        uint64_t free = a->capacity.amount[i] - a->allocated.amount[i];

        if (j->resources.amount[i] > 0 && free / j->resources.amount[i] < most)
            most = (uint32_t)(free / j->resources.amount[i]);
    }
    return j->extras == NULL ? most
                             : extra_room(&a->extras, &a->extras_used, j->extras, most);
}
