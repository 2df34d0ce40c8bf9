/* state_edit.c - the only way in which the state changes. */
#include "raft_fsm/state_edit.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft_fsm/snapshot.h"

#include <string.h>

/* ---- digest, walk and change index ---- */

static void digest_add(struct state *s, const struct object *o, struct hash128 hash)
{
    s->digest = hash128_add(s->digest, hash);
    if (o->table == TABLE_TASKS)
        o->job->task_digest = hash128_add(o->job->task_digest, hash);
}

/* The object as it is stops being part of the state. */
static void forget(struct state *s, const struct object *o)
{
    struct image image;
    struct hash128 hash;

    image_write(&image, o);
    if (s->walk != NULL && snapshot_wants(s->walk, o))
        snapshot_save(s->walk, o, &image);
    hash = image_hash(&image);
    s->digest = hash128_subtract(s->digest, hash);
    if (o->table == TABLE_TASKS)
        o->job->task_digest = hash128_subtract(o->job->task_digest, hash);
}

/* The object as it is now becomes part of the state. */
static void commit(struct state *s, const struct object *o)
{
    struct image image;

    *object_changed(o) = s->index;
    image_write(&image, o);
    digest_add(s, o, image_hash(&image));
}

/* ---- derived: counters and queues ---- */

static void queue_job(struct state *s, struct job *j)
{
    bool runnable = job_may_place(j);

    j->was_whole = job_is_whole(j);
    if (runnable == j->is_runnable)
        return;
    if (runnable)
        RB_INSERT(job_order_tree, &s->runnable, j);
    else
        RB_REMOVE(job_order_tree, &s->runnable, j);
    j->is_runnable = runnable;
}

static bool is_scheduled(const struct job *j)
{
    return j->made != NULL && !j->made->is_dispatched && j->kill_index == 0;
}

static bool is_system(const struct job *j)
{
    return j->system != NULL && j->kill_index == 0;
}

static bool is_retrying(const struct job *j)
{
    return job_waiting(j) > 0 && j->kill_index == 0;
}

/* Sums are mod 2^64, so that adding and taking away is one path. */
static void count_job(struct state *s, const struct job *j, uint64_t sign)
{
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        s->tasks_by_state[i] += sign * job_tasks_in(j, (enum task_state)i);
    s->jobs_by_state[job_state(j)] += sign;
    j->owner->role->open += job_has_role(j) ? sign : 0;
    if (sign == 1)
        role_ending_add(j->owner->role, j, job_ending(j));
    else
        role_ending_subtract(j->owner->role, j, job_ending(j));
}

/* Whatever becomes of its job. */
static bool is_stopped(const struct attempt *t)
{
    return t->superseded || t->stop != TASK_REASON_NONE;
}

static void count_retry(struct job *j, struct task_extras *x, bool add)
{
    if (j->retries == NULL) {
        j->retries = mem_zalloc(sizeof(*j->retries));
        j->retries->job = j;
    }
    if (add)
        RB_INSERT(task_retry_tree, &j->retries->tasks, x);
    else
        RB_REMOVE(task_retry_tree, &j->retries->tasks, x);
    j->retries->count += add ? 1 : UINT32_MAX;
}

static void count_task(struct job *j, const struct task *t, bool add)
{
    uint64_t bit = 1ull << (t->instance % TASK_CHUNK);
    struct task_chunk *chunk = &j->chunks[t->instance / TASK_CHUNK];

    j->tasks[t->state] += add ? 1 : UINT32_MAX;
    if (task_waits(t)) {
        t->extras->instance = t->instance;
        count_retry(j, t->extras, add);
    }
    if (add && t->state == TASK_PENDING && !task_waits(t))
        chunk->pending |= bit;
    else
        chunk->pending &= ~bit;
}

void state_count(struct state *s, struct object o)
{
    switch (o.table) {
    case TABLE_AGENTS:
        s->agents_by_state[o.agent->state]++;
        if (o.agent->state != AGENT_GONE)
            use_add(&s->capacity, &o.agent->capacity, &o.agent->extras.custom);
        break;
    case TABLE_JOBS:
        count_job(s, o.job, 1);
        queue_job(s, o.job);
        if (is_retrying(o.job))
            RB_INSERT(job_retry_tree, &s->retrying, o.job->retries);
        links_count(s, o.job);
        if (is_system(o.job)) {
            RB_INSERT(system_tree, &s->systems, o.job->system);
            s->system_count++;
        }
        if (is_scheduled(o.job)) {
            RB_INSERT(template_tree, &s->templates, o.job->made);
            s->template_count++;
        }
        break;
    case TABLE_TASKS:
        count_task(o.job, o.task, true);
        break;
    case TABLE_ATTEMPTS:
        o.attempt->agent->superseded_count += o.attempt->superseded;
        o.attempt->job->stopped += is_stopped(o.attempt);
        break;
    case TABLE_HISTORIES:
        RB_INSERT(history_use_tree, &s->histories_by_use, o.history);
        s->young_histories += history_is_young(o.history);
        break;
    case TABLE_NONE:
    case TABLE_GLOBALS:
    case TABLE_ROLES:
    case TABLE_TOMBSTONES:
    case TABLE_FAILURE_SUMS:
    case TABLE_FAILURES:
    case TABLE_END:
        break;
    }
}

static void uncount(struct state *s, struct object o)
{
    switch (o.table) {
    case TABLE_AGENTS:
        s->agents_by_state[o.agent->state]--;
        if (o.agent->state != AGENT_GONE)
            use_subtract(&s->capacity, &o.agent->capacity, &o.agent->extras.custom);
        break;
    case TABLE_JOBS:
        count_job(s, o.job, UINT64_MAX);
        if (is_retrying(o.job))
            RB_REMOVE(job_retry_tree, &s->retrying, o.job->retries);
        links_uncount(s, o.job);
        if (is_system(o.job)) {
            RB_REMOVE(system_tree, &s->systems, o.job->system);
            s->system_count--;
        }
        if (is_scheduled(o.job)) {
            RB_REMOVE(template_tree, &s->templates, o.job->made);
            s->template_count--;
        }
        break;
    case TABLE_TASKS:
        count_task(o.job, o.task, false);
        break;
    case TABLE_ATTEMPTS:
        o.attempt->agent->superseded_count -= o.attempt->superseded;
        o.attempt->job->stopped -= is_stopped(o.attempt);
        break;
    case TABLE_HISTORIES:
        RB_REMOVE(history_use_tree, &s->histories_by_use, o.history);
        s->young_histories -= history_is_young(o.history);
        break;
    case TABLE_NONE:
    case TABLE_GLOBALS:
    case TABLE_ROLES:
    case TABLE_TOMBSTONES:
    case TABLE_FAILURE_SUMS:
    case TABLE_FAILURES:
    case TABLE_END:
        break;
    }
}

/* ---- derived: trees ---- */

/* The tree of an object with a key. */
#define KEY_TREE(trees, object) (&(trees)[(object)->key_hash % KEY_TREES])

static void link_attempt(struct state *s, struct attempt *t)
{
    struct attempt *last = TAILQ_LAST(&t->agent->attempts, agent_attempts);

    ASSERT(last == NULL || last->id < t->id);
    TAILQ_INSERT_TAIL(&t->agent->attempts, t, by_agent);
    id_map_add(&s->attempts, t->id, t);
    t->agent->attempts_count++;
    t->agent->systems_count += t->job->system != NULL;
    resources_add(&t->agent->allocated, &t->job->resources);
    if (t->job->extras != NULL)
        extra_take(
            &t->agent->extras_used, t->job->extras, attempt_ports(t), t->port_count);
    owner_take(t->job->owner, t->job);
    t->job->attempts++;
}

static void unlink_attempt(struct state *s, struct attempt *t)
{
    id_map_remove(&s->attempts, t->id);
    TAILQ_REMOVE(&t->agent->attempts, t, by_agent);
    t->agent->attempts_count--;
    t->agent->systems_count -= t->job->system != NULL;
    resources_subtract(&t->agent->allocated, &t->job->resources);
    if (t->job->extras != NULL)
        extra_give(
            &t->agent->extras_used, t->job->extras, attempt_ports(t), t->port_count);
    owner_give(t->job->owner, t->job);
    t->job->attempts--;
    if (!t->superseded)
        return;
    /* Outside of an edit of the job; it may have had its role for this one alone. */
    role_ending_subtract(t->job->owner->role, t->job, 1);
    if (!job_has_role(t->job))
        t->job->owner->role->open--;
}

/* The newest. */
static void link_failure(struct state *s, struct failure *f)
{
    ASSERT(s->failures.last == 0 || f->id == s->failures.last + 1);
    if (s->failures.last == 0)
        s->failures.first = f->id;
    s->failures.last = f->id;
    s->failures.ring[f->id % LIMIT_FAILURES] = f;
}

/* In a new place behind the others, or in one that was just left. */
static void link_history(struct state *s, struct history *h)
{
    ASSERT(h->id <= s->history_count && s->histories[h->id] == NULL);
    s->histories[h->id] = h;
    if (h->id == s->history_count)
        s->history_count++;
    RB_INSERT(history_tree, history_tree_of(s, h->hash), h);
}

/* Another one takes its place at once. */
static void unlink_history(struct state *s, struct history *h)
{
    s->histories[h->id] = NULL;
    RB_REMOVE(history_tree, history_tree_of(s, h->hash), h);
}

void state_link(struct state *s, struct object o)
{
    switch (o.table) {
    case TABLE_AGENTS:
        RB_INSERT(agent_tree, &s->agents, o.agent);
        RB_INSERT(agent_key_tree, &s->agents_by_key, o.agent);
        s->agent_count++;
        break;
    case TABLE_ROLES:
        o.role->is_set = true;
        s->roles_by_id[o.role->id] = o.role;
        s->role_count++;
        break;
    case TABLE_JOBS:
        id_map_add(&s->jobs, o.job->id, o.job);
        o.job->key_hash = hash128_of(o.job->key).low;
        RB_INSERT(job_key_tree, KEY_TREE(s->jobs_by_key, o.job), o.job);
        s->job_count++;
        s->task_count += o.job->instances;
        break;
    case TABLE_ATTEMPTS:
        link_attempt(s, o.attempt);
        break;
    case TABLE_TOMBSTONES:
        RB_INSERT(tombstone_age_tree, &s->tombstones_by_age, o.tombstone);
        o.tombstone->key_hash = hash128_of(o.tombstone->key).low;
        RB_INSERT(
            tombstone_tree, KEY_TREE(s->tombstones_by_key, o.tombstone), o.tombstone);
        s->tombstone_count++;
        break;
    case TABLE_FAILURES:
        link_failure(s, o.failure);
        break;
    case TABLE_HISTORIES:
        link_history(s, o.history);
        break;
    case TABLE_NONE:
    case TABLE_GLOBALS:
    case TABLE_TASKS:
    case TABLE_FAILURE_SUMS:
    case TABLE_END:
        break;
    }
}

static void state_unlink(struct state *s, struct object o)
{
    switch (o.table) {
    case TABLE_AGENTS:
        RB_REMOVE(agent_tree, &s->agents, o.agent);
        RB_REMOVE(agent_key_tree, &s->agents_by_key, o.agent);
        s->agent_count--;
        break;
    case TABLE_ROLES:
        o.role->is_set = false;
        role_spec_finish(&o.role->spec);
        role_spec_init(&o.role->spec);
        s->roles_by_id[o.role->id] = NULL;
        s->role_count--;
        break;
    case TABLE_JOBS:
        if (o.job->is_runnable)
            RB_REMOVE(job_order_tree, &s->runnable, o.job);
        id_map_remove(&s->jobs, o.job->id);
        RB_REMOVE(job_key_tree, KEY_TREE(s->jobs_by_key, o.job), o.job);
        s->job_count--;
        s->task_count -= o.job->instances;
        break;
    case TABLE_ATTEMPTS:
        unlink_attempt(s, o.attempt);
        break;
    case TABLE_TOMBSTONES:
        RB_REMOVE(tombstone_age_tree, &s->tombstones_by_age, o.tombstone);
        RB_REMOVE(
            tombstone_tree, KEY_TREE(s->tombstones_by_key, o.tombstone), o.tombstone);
        s->tombstone_count--;
        break;
    case TABLE_FAILURES:
        ASSERT(o.failure->id == s->failures.first);
        s->failures.ring[o.failure->id % LIMIT_FAILURES] = NULL;
        s->failures.first++;
        break;
    case TABLE_HISTORIES:
        unlink_history(s, o.history);
        break;
    case TABLE_NONE:
    case TABLE_GLOBALS:
    case TABLE_TASKS:
    case TABLE_FAILURE_SUMS:
    case TABLE_END:
        break;
    }
}

/* ---- memory ---- */

void bytes_assign(struct bytes *to, struct bytes from)
{
    mem_free((void *)to->data);
    to->data = mem_dup(from.data, from.size);
    to->size = from.size;
}

void task_set_message(struct task *t, struct bytes message)
{
    size_t size = 0;

    while (size < message.size && message.data[size] != '\0')
        size++;
    mem_free(t->message);
    t->message = NULL;
    if (size == 0)
        return;
    t->message = mem_alloc(size + 1);
    memcpy(t->message, message.data, size);
    t->message[size] = '\0';
}

struct task_extras *task_extras(struct task *t)
{
    if (t->extras == NULL)
        t->extras = mem_zalloc(sizeof(*t->extras));
    return t->extras;
}

void task_forget_tries(struct task *t)
{
    if (t->extras == NULL)
        return;
    t->extras->retry_us = t->extras->since_us = t->extras->lost_us = 0;
    t->extras->retries = t->extras->losses = t->extras->restarts = 0;
    t->extras->health = HEALTH_UNKNOWN;
}

struct job *job_create(struct bytes key, struct bytes spec)
{
    struct job *j = mem_zalloc(sizeof(*j));
    uint8_t *block = mem_alloc(key.size + spec.size); /* one for both */

    memcpy(block, key.data, key.size);
    memcpy(block + key.size, spec.data, spec.size);
    j->key = (struct bytes){block, key.size};
    j->spec = (struct bytes){block + key.size, spec.size};
    j->match = job_spec_match(j->spec);
    j->is_gang = job_spec_gang(j->spec);
    return j;
}

struct tombstone *tombstone_create(struct bytes key)
{
    struct tombstone *t = mem_zalloc(sizeof(*t));

    bytes_assign(&t->key, key);
    return t;
}

struct attempt *attempt_create(uint8_t port_count)
{
    struct attempt *t = mem_zalloc(sizeof(*t) + port_count * sizeof(uint16_t));

    t->port_count = port_count;
    return t;
}

static uint32_t chunk_count(uint32_t tasks)
{
    return (tasks + TASK_CHUNK - 1) / TASK_CHUNK;
}

static void job_destroy(struct state *s, struct job *j)
{
    for (uint32_t i = 0; i < j->touched; i++) {
        mem_free(job_task(j, i)->message);
        mem_free(job_task(j, i)->extras);
    }
    for (uint32_t i = 0; i < chunk_count(j->touched); i++)
        mem_free(j->chunks[i].tasks);
    mem_free(j->chunks);
    extra_needs_destroy(j->extras);
    mem_free(j->policy);
    job_links_destroy(j);
    job_system_destroy(j);
    mem_free(j->made);
    mem_free(j->open_failures);
    mem_free(j->retries);
    owner_leave(&s->roles, j->owner);
    mem_free((void *)j->key.data);
    mem_free(j);
}

static void object_destroy(struct state *s, struct object o)
{
    switch (o.table) {
    case TABLE_AGENTS:
        extra_capacity_finish(&o.agent->extras);
        extra_use_finish(&o.agent->extras_used);
        mem_free((void *)o.agent->spec.data);
        mem_free(o.agent);
        break;
    case TABLE_ROLES:
        role_release(&s->roles, o.role);
        break;
    case TABLE_JOBS:
        job_destroy(s, o.job);
        break;
    case TABLE_ATTEMPTS:
        mem_free(o.attempt);
        break;
    case TABLE_TOMBSTONES:
        mem_free((void *)o.tombstone->key.data);
        mem_free(o.tombstone);
        break;
    case TABLE_FAILURES:
        mem_free(o.failure);
        break;
    case TABLE_HISTORIES:
        history_destroy(o.history);
        break;
    case TABLE_NONE:
    case TABLE_GLOBALS:
    case TABLE_TASKS:
    case TABLE_FAILURE_SUMS:
    case TABLE_END:
        break; /* memory of something else */
    }
}

/* The chunk that the next task goes into.  The array doubles when it is full, which is
 * at powers of two, so its capacity need not be kept. */
static struct task_chunk *extend_chunks(struct job *j)
{
    uint32_t n = chunk_count(j->touched);
    uint32_t left = j->system != NULL ? TASK_CHUNK : j->instances - j->touched;

    if ((n & (n - 1)) == 0)
        j->chunks = mem_realloc(j->chunks, (n == 0 ? 1 : 2 * n) * sizeof(*j->chunks));
    j->chunks[n].pending = 0;
    j->chunks[n].tasks =
        mem_zalloc((left < TASK_CHUNK ? left : TASK_CHUNK) * sizeof(struct task));
    return &j->chunks[n];
}

struct task *job_extend(struct job *j)
{
    struct task *t;

    ASSERT(j->touched < j->instances);
    if (j->touched % TASK_CHUNK == 0)
        extend_chunks(j);
    j->touched++;
    t = job_task(j, j->touched - 1);
    t->instance = j->touched - 1;
    return t;
}

/* ---- changes ---- */

void state_edit(struct state *s, struct object o)
{
    forget(s, &o);
    uncount(s, o);
}

void state_edited(struct state *s, struct object o)
{
    commit(s, &o);
    state_count(s, o);
}

void state_add(struct state *s, struct object o)
{
    state_link(s, o);
    commit(s, &o);
    state_count(s, o);
}

void state_touch(struct state *s, struct job *j, uint32_t instance)
{
    while (j->touched <= instance)
        state_add(s, object_task(j, job_extend(j)));
}

/* The tasks of a job go at once: a job of a million must not hold up the loop.  Only a
 * walk that still needs them has to be told of each. */
static void forget_tasks(struct state *s, struct job *j)
{
    struct image image;

    s->digest = hash128_subtract(s->digest, j->task_digest);
    if (s->walk == NULL)
        return;
    for (uint32_t i = 0; i < j->touched; i++) {
        struct object o = object_task(j, job_task(j, i));

        if (!snapshot_wants(s->walk, &o))
            continue;
        image_write(&image, &o);
        snapshot_save(s->walk, &o, &image);
    }
}

void state_remove(struct state *s, struct object o)
{
    if (o.table == TABLE_JOBS)
        forget_tasks(s, o.job);
    forget(s, &o);
    uncount(s, o);
    state_unlink(s, o);
    object_destroy(s, o);
}

void state_grow(struct state *s, struct job *j)
{
    j->instances++;
    s->task_count++;
}

/* ---- begin and end ---- */

void state_start(struct state *s)
{
    RB_INIT(&s->agents);
    RB_INIT(&s->roles);
    RB_INIT(&s->tombstones_by_age);
    RB_INIT(&s->runnable);
    RB_INIT(&s->ending);
    RB_INIT(&s->templates);
    RB_INIT(&s->systems);
    RB_INIT(&s->retrying);
    RB_INIT(&s->agents_by_key);
    RB_INIT(&s->histories_by_use);
    role_get(&s->roles, ROLE_DEFAULT);
    commit(s, &(struct object){.table = TABLE_GLOBALS, .globals = &s->globals});
}

void state_clear(struct state *s)
{
    struct attempt *attempt;
    struct tombstone *tombstone, *next_tombstone;
    struct agent *agent, *next_agent;
    struct job *job;
    struct role *role, *next_role;

    while ((attempt = state_next_attempt(s, 0)) != NULL) {
        id_map_remove(&s->attempts, attempt->id);
        object_destroy(s, object_attempt(attempt));
    }
    RB_FOREACH_SAFE (
        tombstone, tombstone_age_tree, &s->tombstones_by_age, next_tombstone) {
        RB_REMOVE(tombstone_age_tree, &s->tombstones_by_age, tombstone);
        object_destroy(s, object_tombstone(tombstone));
    }
    RB_FOREACH_SAFE (agent, agent_tree, &s->agents, next_agent) {
        RB_REMOVE(agent_tree, &s->agents, agent);
        object_destroy(s, object_agent(agent));
    }
    while ((job = id_map_last(&s->jobs)) != NULL) { /* what waits first */
        id_map_remove(&s->jobs, job->id);
        object_destroy(s, object_job(job));
    }
    RB_FOREACH_SAFE (role, role_tree, &s->roles, next_role) {
        RB_REMOVE(role_tree, &s->roles, role);
        role_destroy(role);
    }
    for (uint64_t id = s->failures.first; id != 0 && id <= s->failures.last; id++)
        object_destroy(s, object_failure(state_failure(s, id)));
    for (uint64_t id = 0; id < s->history_count; id++)
        object_destroy(s, object_history(s->histories[id]));
    use_finish(&s->capacity);
}
