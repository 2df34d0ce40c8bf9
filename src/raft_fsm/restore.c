/* restore.c - a state from the bytes of a snapshot.
 *
 * Three steps, so that any bytes give a state that keeps every invariant, or an error:
 *   1. image.c decodes a record and refuses what is not canonical;
 *   2. here each object is put into its table: order, no key twice, references to what
 * came before, and all that linking it rests on;
 *   3. at the end state_verify() holds everything else, and the digest from scratch
 *      against the one that the snapshot names.
 */
#include "raft_fsm/fsm.h"

#include "base/mem.h"
#include "raft_fsm/snapshot.h"
#include "raft_fsm/state_edit.h"

#include <inttypes.h>
#include <string.h>

#define RECORD_BYTES_MAX (IMAGE_HEAD_MAX + LIMIT_SPEC_BYTES)

struct restore {
    struct state *state;
    struct buffer input;    /* what is not decoded yet */
    bool started;           /* the header was read */
    struct object_key last; /* of the last record; TABLE_END when complete */
};

static int corrupt(struct error *err, const char *what)
{
    return error_set(err, ERROR_CORRUPT, "snapshot: %s", what);
}

struct restore *restore_begin(void)
{
    struct restore *r = mem_zalloc(sizeof(*r));

    r->state = state_create();
    return r;
}

void restore_abandon(struct restore *r)
{
    if (r == NULL)
        return;
    state_destroy(r->state);
    buffer_finish(&r->input);
    mem_free(r);
}

static int read_header(struct restore *r, const uint8_t *at, struct error *err)
{
    if (load_u32(at) != SNAPSHOT_MAGIC)
        return corrupt(err, "it does not begin like one");
    if (at[4] != SNAPSHOT_VERSION)
        return error_set(err,
                         ERROR_VERSION,
                         "snapshot: format version %d, this version reads %d",
                         at[4],
                         SNAPSHOT_VERSION);
    r->state->index = load_u64(at + 5);
    r->state->term = load_u64(at + 13);
    r->started = true;
    return 0;
}

/* ---- one object of each table; NULL or what is wrong with it ---- */

static const char *take_globals(struct state *s, struct record *r)
{
    s->globals = r->globals;
    return NULL;
}

static const char *take_agent(struct state *s, struct record *r)
{
    struct agent *a;

    if (state_agent_by_key(s, r->agent.key) != NULL)
        return "two agents have one key";
    a = mem_alloc(sizeof(*a));
    *a = r->agent;
    r->agent.extras = (struct extra_capacity){0};
    a->spec = (struct bytes){0};
    bytes_assign(&a->spec, r->agent.spec);
    TAILQ_INIT(&a->attempts);
    state_link(s, object_agent(a));
    state_count(s, object_agent(a));
    return NULL;
}

static const char *take_role(struct state *s, struct record *r)
{
    char name[LIMIT_ROLE_BYTES + 1] = {0};
    struct role *role;
    bool is_default;

    memcpy(name, r->name.data, r->name.size);
    is_default = strcmp(name, ROLE_DEFAULT) == 0;
    if (r->role.id >= LIMIT_ROLES || is_default != (r->role.id == 0))
        return "a role has a number that it cannot have";
    role = role_get(&s->roles, name);
    if (role->is_set)
        return "two roles have one name";
    role->id = r->role.id;
    role->changed = r->role.changed;
    role_spec_finish(&role->spec);
    role->spec = r->role.spec;
    r->role.spec = (struct role_spec){0};
    state_link(s, object_role(role));
    state_count(s, object_role(role));
    return NULL;
}

/* The role of a job that has ended may be gone. */
static struct owner *owner_of(struct state *s, const struct record *r)
{
    char role[LIMIT_ROLE_BYTES + 1] = ROLE_DEFAULT, owner[LIMIT_OWNER_BYTES + 1] = {0};

    if (r->name.size > 0) {
        memcpy(role, r->name.data, r->name.size);
        role[r->name.size] = '\0';
    }
    if (r->owner.size > 0)
        memcpy(owner, r->owner.data, r->owner.size);
    return owner_join(role_get(&s->roles, role), owner);
}

static const char *take_links(struct state *s, struct record *r, struct job *j)
{
    if (r->job.links != NULL) {
        j->links = r->job.links;
        j->links->job = j;
        r->job.links = NULL;
    }
    for (unsigned i = 0; i < r->after_count; i++) {
        struct job *on_job = state_job(s, r->after[i].job);

        if (on_job == NULL || on_job->id >= j->id)
            return "a job waits for one that is not there";
        links_add(j, on_job, (enum job_on)r->after[i].on);
    }
    return NULL;
}

static const char *take_job(struct state *s, struct record *r)
{
    struct bytes key, spec, match;
    struct job *j;
    bool is_gang;

    /* Going over jobs asks for the next id, so one is behind the last. */
    if (r->job.id > s->globals.last_job_id || r->job.id == UINT64_MAX)
        return "a job has an id that was never given";
    if (state_job_by_key(s, r->job.key) != NULL)
        return "two jobs have one key";
    j = job_create(r->job.key, r->job.spec);
    key = j->key;
    spec = j->spec;
    match = j->match;
    is_gang = j->is_gang;
    *j = r->job;
    r->job.extras = NULL;
    r->job.policy = NULL;
    r->job.made = NULL;
    if (j->made != NULL)
        j->made->job = j;
    j->links = NULL;
    j->key = key;
    j->spec = spec;
    j->match = match;
    j->is_gang = is_gang;
    if (j->kind == JOB_SYSTEM)
        job_system_create(j);
    j->owner = owner_of(s, r);
    state_link(s, object_job(j));
    return take_links(s, r, j);
}

static const char *take_task(struct state *s, struct record *r)
{
    struct job *j = state_job(s, r->job_id);
    struct image image;
    struct object o;
    struct task *t;

    if (j == NULL)
        return "a task has no job";
    if (r->task.instance != j->touched || j->touched >= j->instances)
        return "the tasks of a job have a gap or are too many";
    t = job_extend(j);
    *t = r->task;
    r->task.extras = NULL;
    if (j->system != NULL && t->state != TASK_LOST) {
        if (system_task(j, t->agent_id) != NULL)
            return "two tasks of a system job belong to one agent";
        system_bind(j, t->agent_id, t->instance);
    }
    task_set_message(t, r->message);
    o = object_task(j, t);
    image_write(&image, &o);
    j->task_digest = hash128_add(j->task_digest, image_hash(&image));
    state_count(s, o);
    return NULL;
}

static const char *take_attempt(struct state *s, struct record *r)
{
    struct agent *agent = state_agent(s, r->agent_id);
    struct job *j = state_job(s, r->job_id);
    struct attempt *t;

    if (j == NULL || agent == NULL)
        return "an attempt has no job or no agent";
    for (int i = 0; i < RESOURCE_KINDS; i++)
        if (j->resources.amount[i] > LIMIT_RESOURCE - agent->allocated.amount[i])
            return "an agent has more allocated than the limit of a resource";
    if (!extra_may_take(
            &agent->extras_used, j->extras, r->ports, r->attempt.port_count))
        return "an attempt has not the ports that it needs, or those of another";
    t = attempt_create(r->attempt.port_count);
    *t = r->attempt;
    memcpy(attempt_ports(t), r->ports, t->port_count * sizeof(r->ports[0]));
    t->job = j;
    t->agent = agent;
    state_link(s, object_attempt(t));
    state_count(s, object_attempt(t));
    return NULL;
}

static const char *take_tombstone(struct state *s, struct record *r)
{
    struct tombstone *t;

    if (state_tombstone(s, r->tombstone.key) != NULL)
        return "two tombstones have one key";
    t = tombstone_create(r->tombstone.key);
    t->changed = r->tombstone.changed;
    t->body = r->tombstone.body;
    t->job_id = r->tombstone.job_id;
    t->submit_index = r->tombstone.submit_index;
    t->purged_us = r->tombstone.purged_us;
    state_link(s, object_tombstone(t));
    return NULL;
}

static const char *take_failure_sum(struct state *s, struct record *r)
{
    struct failure_sum *sum =
        &s->failures.sums[r->failure_sum.of_agent][r->failure_sum.reason];

    *sum = r->failure_sum;
    return sum->count == 0 ? "a sum of no failures" : NULL;
}

/* Its task and its agent are there already, if they still are at all. */
static const char *take_failure(struct state *s, struct record *r)
{
    const struct failure *f = &r->failure;
    const struct agent *agent = f->of_agent ? state_agent(s, f->agent) : NULL;
    const struct job *j = f->of_agent ? NULL : state_job(s, f->job);
    const struct task *t = j == NULL ? NULL : job_task(j, f->instance);

    if (f->id == 0 || (s->failures.last != 0 && f->id != s->failures.last + 1))
        return "failures have a gap";
    if (s->failures.last != 0 && f->id - s->failures.first >= LIMIT_FAILURES)
        return "there are more failures than may be";
    if (f->state == FAILURE_IS_OPEN &&
        ((t != NULL && task_failure(t) != 0) || (agent != NULL && agent->failure != 0)))
        return "two open failures are of one task or agent";
    state_link(s, object_failure(mem_dup(f, sizeof(*f))));
    failure_attach(s, f);
    return NULL;
}

static const char *take_history(struct state *s, struct record *r)
{
    char role[LIMIT_ROLE_BYTES + 1] = {0};
    struct history *h;

    if (r->history.id != s->history_count || s->history_count == LIMIT_HISTORIES)
        return "histories have a gap or are too many";
    if (r->name.size > 0)
        memcpy(role, r->name.data, r->name.size);
    if (state_history(s, role, r->job_name) != NULL)
        return "two histories are of one name";
    h = history_create(role, r->job_name);
    h->id = r->history.id;
    h->changed = r->history.changed;
    h->used_us = r->history.used_us;
    h->lost_ms = r->history.lost_ms;
    h->runs = r->history.runs;
    h->next = r->history.next;
    memcpy(h->took, r->history.took, sizeof(h->took));
    memcpy(h->lost, r->history.lost, sizeof(h->lost));
    state_link(s, object_history(h));
    state_count(s, object_history(h));
    return NULL;
}

static const char *take_end(struct state *s, struct record *r)
{
    s->digest = r->digest;
    return NULL;
}

static struct object_key record_key(struct record *r)
{
    struct job owner = {.id = r->job_id};
    struct object o = {.table = r->table, .job = &owner};

    if (r->table == TABLE_ROLES)
        o.role = &r->role;
    else if (r->table == TABLE_TASKS)
        o.task = &r->task;
    else if (r->table == TABLE_JOBS)
        o.job = &r->job;
    else if (r->table == TABLE_AGENTS)
        o.agent = &r->agent;
    else if (r->table == TABLE_ATTEMPTS)
        o.attempt = &r->attempt;
    else if (r->table == TABLE_TOMBSTONES)
        o.tombstone = &r->tombstone;
    else if (r->table == TABLE_FAILURE_SUMS)
        o.failure_sum = &r->failure_sum;
    else if (r->table == TABLE_FAILURES)
        o.failure = &r->failure;
    else if (r->table == TABLE_HISTORIES)
        o.history = &r->history;
    return object_key(&o);
}

static int take_record(struct restore *r, struct bytes bytes, struct error *err)
{
    static const char *(*const TAKE[])(struct state *, struct record *) = {
        [TABLE_GLOBALS] = take_globals,
        [TABLE_AGENTS] = take_agent,
        [TABLE_ROLES] = take_role,
        [TABLE_JOBS] = take_job,
        [TABLE_TASKS] = take_task,
        [TABLE_ATTEMPTS] = take_attempt,
        [TABLE_TOMBSTONES] = take_tombstone,
        [TABLE_FAILURE_SUMS] = take_failure_sum,
        [TABLE_FAILURES] = take_failure,
        [TABLE_HISTORIES] = take_history,
        [TABLE_END] = take_end,
    };
    struct record record;
    struct object_key key;
    const char *problem;

    if (!record_read(&record, bytes))
        return corrupt(err, "a record cannot be read");
    key = record_key(&record);
    if (r->last.table == 0 && record.table != TABLE_GLOBALS)
        problem = "it does not begin with the globals";
    else if (r->last.table == TABLE_END || object_key_compare(key, r->last) <= 0)
        problem = "its records are not in order";
    else
        problem = TAKE[record.table](r->state, &record);
    r->last = key;
    record_finish(&record);
    return problem == NULL ? 0 : corrupt(err, problem);
}

/* ---- the stream ---- */

/* Decode from `at`, at most `left` bytes.  Returns how many were used, 0 when more is
 * needed, or a negative error. */
static int64_t
take_some(struct restore *r, const uint8_t *at, size_t left, struct error *err)
{
    uint32_t size;
    int rc;

    if (!r->started) {
        if (left < SNAPSHOT_HEADER_BYTES)
            return 0;
        rc = read_header(r, at, err);
        return rc < 0 ? rc : SNAPSHOT_HEADER_BYTES;
    }
    if (left < 4)
        return 0;
    size = load_u32(at);
    if (size > RECORD_BYTES_MAX)
        return corrupt(err, "a record is longer than any can be");
    if (left - 4 < size)
        return 0;
    rc = take_record(r, (struct bytes){at + 4, size}, err);
    return rc < 0 ? rc : 4 + (int64_t)size;
}

int restore_feed(struct restore *r, struct bytes piece, struct error *err)
{
    size_t done = 0;
    int64_t n;

    if (piece.size == 0)
        return 0;
    buffer_append(&r->input, piece.data, piece.size);
    do {
        n = take_some(r, r->input.data + done, r->input.size - done, err);
        if (n < 0)
            return (int)n;
        done += (size_t)n;
    } while (n > 0);
    buffer_consume(&r->input, done);
    return 0;
}

int restore_end(struct restore *r, struct state **out, struct error *err)
{
    struct job *j;
    int rc;

    if (r->last.table != TABLE_END || r->input.size > 0) {
        restore_abandon(r);
        return corrupt(err, "it ends too early or goes on after its end");
    }
    STATE_FOREACH_JOB (j, r->state)
        state_count(r->state, object_job(j));
    rc = state_verify(r->state, err);
    if (rc == 0) {
        *out = r->state;
        r->state = NULL;
    }
    restore_abandon(r);
    return rc;
}
