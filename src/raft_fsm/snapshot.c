/* snapshot.c - the state as it was at one index, in slices, while applying goes on.
 *
 * The walk goes through the tables in the order of enum table and through each in order
 * of its keys; `last` is what it emitted last, and everything up to there is passed.
 *
 *   - An object that changes or goes away, and that the walk has not passed, leaves its
 *     old image in `saved`, once: at its first change since the walk began.
 *   - `changed` is therefore all that tells what to emit.  An object with changed <= the
 *     index of the walk is as it was and is emitted from its table.  Any other was
 *     changed, and has an image in `saved`, or did not exist, and has none.
 *
 * So no marks of creation are needed, and an object that was removed and made again under
 * the same key comes out as the old one.  The walk merges two ordered sequences, which
 * have no object in common.  Memory is bounded by the state: one image of each object.
 */
#include "raft_fsm/snapshot.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft_fsm/fsm.h"

/* Bytes that each step counts for besides what it emits, so that a slice that only
 * meets newer objects ends as well. */
#define STEP_COST 16

struct saved {
    RB_ENTRY(saved) link;
    struct object_key key;
    size_t size;
    uint8_t record[];
};

RB_HEAD(saved_tree, saved);
RB_PROTOTYPE(saved_tree, saved, link, )

struct snapshot_walk {
    uint64_t index;
    struct hash128 digest;
    struct buffer head; /* header and globals, until emitted */
    struct object_key last;
    struct saved_tree saved;
};

static int compare_saved(const struct saved *a, const struct saved *b)
{
    return object_key_compare(a->key, b->key);
}

RB_GENERATE(saved_tree, saved, link, compare_saved)

bool snapshot_wants(const struct snapshot_walk *walk, const struct object *o)
{
    return *object_changed(o) <= walk->index &&
           object_key_compare(object_key(o), walk->last) > 0;
}

void snapshot_save(struct snapshot_walk *walk,
                   const struct object *o,
                   const struct image *image)
{
    size_t size = image_record_size(image);
    struct saved *saved = mem_alloc(sizeof(*saved) + size);

    saved->key = object_key(o);
    saved->size = size;
    image_store(image, saved->record);
    ASSERT(RB_INSERT(saved_tree, &walk->saved, saved) == NULL);
}

static void saved_drop(struct snapshot_walk *walk, struct saved *saved)
{
    RB_REMOVE(saved_tree, &walk->saved, saved);
    mem_free(saved);
}

void snapshot_begin(struct state *s)
{
    struct snapshot_walk *walk = mem_zalloc(sizeof(*walk));
    struct object globals = object_globals(s);
    struct image image;

    ASSERT(s->walk == NULL);
    RB_INIT(&walk->saved);
    walk->index = s->index;
    walk->digest = s->digest;
    walk->last.table = TABLE_GLOBALS;
    buffer_append_u32(&walk->head, SNAPSHOT_MAGIC);
    buffer_append_u8(&walk->head, SNAPSHOT_VERSION);
    buffer_append_u64(&walk->head, s->index);
    buffer_append_u64(&walk->head, s->term);
    image_write(&image, &globals);
    image_append(&image, &walk->head);
    s->walk = walk;
}

void snapshot_end(struct state *s)
{
    struct snapshot_walk *walk = s->walk;
    struct saved *saved, *next;

    if (walk == NULL)
        return;
    RB_FOREACH_SAFE (saved, saved_tree, &walk->saved, next)
        saved_drop(walk, saved);
    buffer_finish(&walk->head);
    mem_free(walk);
    s->walk = NULL;
}

/* ---- the tables as one ordered sequence ----
 *
 * In the table of tasks a job without any is a place of its own, with task NULL: millions
 * of jobs may have none, and passing each of them has to count as a step. */

static struct object_key place_key(const struct object *o)
{
    if (o->table == TABLE_TASKS && o->task == NULL)
        return (struct object_key){TABLE_TASKS, o->job->id, UINT32_MAX};
    return object_key(o);
}

static void place_task(struct object *o, uint64_t instance)
{
    o->task = instance < o->job->touched ? job_task(o->job, (uint32_t)instance) : NULL;
}

/* The set role of the lowest id from this one on, or NULL. */
static struct role *next_role(struct state *s, uint64_t id)
{
    while (id < LIMIT_ROLES && s->roles_by_id[id] == NULL)
        id++;
    return id < LIMIT_ROLES ? s->roles_by_id[id] : NULL;
}

/* The first sum from this one on of a type of which there was one. */
static struct failure_sum *next_sum(struct state *s, uint64_t of_agent, uint64_t reason)
{
    for (; of_agent < 2; of_agent++, reason = 0)
        for (; reason < TASK_REASON_COUNT; reason++)
            if (s->failures.sums[of_agent][reason].count > 0)
                return &s->failures.sums[of_agent][reason];
    return NULL;
}

static struct failure *next_failure(struct state *s, uint64_t id)
{
    return state_failure(s, id > s->failures.first ? id : s->failures.first);
}

static struct history *next_history(struct state *s, uint64_t id)
{
    return id < s->history_count ? s->histories[id] : NULL;
}

/* First place of the key's table at or after the key. */
static bool seek(struct state *s, struct object_key key, struct object *o)
{
    bool tasks = key.table == TABLE_TASKS;
    uint64_t id = key.major + (key.minor > (tasks ? UINT32_MAX : 0));
    struct tombstone old = {.purged_us = key.major, .job_id = key.minor};
    struct agent agent = {.id = id};

    *o = (struct object){.table = key.table};
    switch (key.table) {
    case TABLE_AGENTS:
        o->agent = RB_NFIND(agent_tree, &s->agents, &agent);
        return o->agent != NULL;
    case TABLE_ROLES:
        o->role = next_role(s, id);
        return o->role != NULL;
    case TABLE_JOBS:
        o->job = state_next_job(s, id);
        return o->job != NULL;
    case TABLE_TASKS:
        o->job = state_next_job(s, id);
        if (o->job != NULL)
            place_task(o, o->job->id > key.major ? 0 : key.minor);
        return o->job != NULL;
    case TABLE_ATTEMPTS:
        o->attempt = state_next_attempt(s, id);
        return o->attempt != NULL;
    case TABLE_TOMBSTONES:
        o->tombstone = RB_NFIND(tombstone_age_tree, &s->tombstones_by_age, &old);
        return o->tombstone != NULL;
    case TABLE_FAILURE_SUMS:
        o->failure_sum = next_sum(s, key.major, key.minor);
        return o->failure_sum != NULL;
    case TABLE_FAILURES:
        o->failure = next_failure(s, id);
        return o->failure != NULL;
    case TABLE_HISTORIES:
        o->history = next_history(s, id);
        return o->history != NULL;
    case TABLE_NONE:
    case TABLE_GLOBALS:
    case TABLE_END:
        break;
    }
    return false;
}

static bool step_task(const struct state *s, struct object *o)
{
    if (o->task != NULL)
        place_task(o, o->task->instance + 1ull);
    if (o->task != NULL)
        return true;
    o->job = state_next_job(s, o->job->id + 1);
    if (o->job != NULL)
        place_task(o, 0);
    return o->job != NULL;
}

/* The next place of the same table. */
static bool step(struct state *s, struct object *o)
{
    switch (o->table) {
    case TABLE_AGENTS:
        o->agent = RB_NEXT(agent_tree, NULL, o->agent);
        return o->agent != NULL;
    case TABLE_ROLES:
        o->role = next_role(s, o->role->id + 1ull);
        return o->role != NULL;
    case TABLE_JOBS:
        o->job = state_next_job(s, o->job->id + 1);
        return o->job != NULL;
    case TABLE_TASKS:
        return step_task(s, o);
    case TABLE_ATTEMPTS:
        o->attempt = state_next_attempt(s, o->attempt->id + 1);
        return o->attempt != NULL;
    case TABLE_TOMBSTONES:
        o->tombstone = RB_NEXT(tombstone_age_tree, NULL, o->tombstone);
        return o->tombstone != NULL;
    case TABLE_FAILURE_SUMS:
        o->failure_sum =
            next_sum(s, o->failure_sum->of_agent, o->failure_sum->reason + 1ull);
        return o->failure_sum != NULL;
    case TABLE_FAILURES:
        o->failure = next_failure(s, o->failure->id + 1);
        return o->failure != NULL;
    case TABLE_HISTORIES:
        o->history = next_history(s, o->history->id + 1ull);
        return o->history != NULL;
    case TABLE_NONE:
    case TABLE_GLOBALS:
    case TABLE_END:
        break;
    }
    return false;
}

/* First place of any table at or after the key. */
static bool seek_on(struct state *s, struct object_key key, struct object *o)
{
    while (key.table < TABLE_END) {
        if (seek(s, key, o))
            return true;
        key = (struct object_key){.table = key.table + 1};
    }
    return false;
}

static bool step_on(struct state *s, struct object *o)
{
    struct object_key next = {.table = o->table + 1};

    return step(s, o) || seek_on(s, next, o);
}

/* ---- the walk ---- */

/* True if the object at this place is part of the snapshot. */
static bool is_part(const struct snapshot_walk *walk, const struct object *o)
{
    if (o->table == TABLE_TASKS && o->task == NULL)
        return false;
    return *object_changed(o) <= walk->index;
}

/* Emit the next object or pass a place without one; false when there is none left. */
static bool emit(struct state *s, struct object *o, bool *here, struct buffer *out)
{
    struct snapshot_walk *walk = s->walk;
    struct saved *saved = RB_MIN(saved_tree, &walk->saved);
    struct image image;

    if (saved != NULL &&
        (!*here || object_key_compare(saved->key, place_key(o)) <= 0)) {
        buffer_append(out, saved->record, saved->size);
        walk->last = saved->key;
        saved_drop(walk, saved);
        return true;
    }
    if (!*here)
        return false;
    if (is_part(walk, o)) {
        image_write(&image, o);
        image_append(&image, out);
    }
    walk->last = place_key(o);
    *here = step_on(s, o);
    return true;
}

bool snapshot_next(struct state *s, struct buffer *out, size_t budget)
{
    struct snapshot_walk *walk = s->walk;
    struct object_key from = walk->last;
    struct object o;
    size_t begin = out->size;
    size_t steps = 0;
    bool here;

    if (from.table == TABLE_END)
        return false;
    buffer_append(out, walk->head.data, walk->head.size);
    buffer_finish(&walk->head);
    from.minor++;
    here = seek_on(s, from, &o);
    do {
        if (!emit(s, &o, &here, out)) {
            record_append_end(walk->digest, out);
            walk->last.table = TABLE_END;
            return false;
        }
        steps++;
    } while (out->size - begin + steps * STEP_COST < budget);
    return true;
}
