/* image.c - objects of the state as canonical bytes.
 *
 * One list of fields for each table serves both directions, so writing and reading
 * cannot disagree.  `reading` is a constant in each caller and everything is inlined,
 * so what is left is straight stores or straight loads.
 */
#include "raft_fsm/image.h"

#include "base/assert.h"

#include <string.h>

_Static_assert(LIMIT_KEY_BYTES <= UINT8_MAX, "sizes of keys are one byte");
_Static_assert(LIMIT_MESSAGE_BYTES <= UINT8_MAX, "sizes of messages are one byte");

/* Writing: at moves through a head that is large enough.  Reading: at moves to end, and
 * the first fault sticks. */
struct coder {
    uint8_t *at;
    const uint8_t *end;
    bool fault;
};

#define INLINE static inline __attribute__((always_inline))

/* Where the next `size` bytes are; NULL after a fault. */
INLINE uint8_t *code_step(struct coder *c, bool reading, size_t size)
{
    uint8_t *at = c->at;

    if (reading && (c->fault || (size_t)(c->end - at) < size)) {
        c->fault = true;
        return NULL;
    }
    c->at += size;
    return at;
}

INLINE void code_u8(struct coder *c, bool reading, uint8_t *value)
{
    uint8_t *at = code_step(c, reading, 1);

    if (!reading)
        *at = *value;
    else if (at != NULL)
        *value = *at;
}

INLINE void code_u32(struct coder *c, bool reading, uint32_t *value)
{
    uint8_t *at = code_step(c, reading, 4);

    if (!reading)
        store_u32(at, *value);
    else if (at != NULL)
        *value = load_u32(at);
}

INLINE void code_u64(struct coder *c, bool reading, uint64_t *value)
{
    uint8_t *at = code_step(c, reading, 8);

    if (!reading)
        store_u64(at, *value);
    else if (at != NULL)
        *value = load_u64(at);
}

INLINE void code_i32(struct coder *c, bool reading, int32_t *value)
{
    uint32_t bits = (uint32_t)*value;

    code_u32(c, reading, &bits);
    *value = (int32_t)bits;
}

INLINE void code_bool(struct coder *c, bool reading, bool *value)
{
    uint8_t byte = *value;

    code_u8(c, reading, &byte);
    if (reading && byte > 1)
        c->fault = true;
    *value = byte == 1;
}

/* A number below `count`. */
INLINE void code_enum(struct coder *c, bool reading, uint8_t *value, uint8_t count)
{
    code_u8(c, reading, value);
    if (reading && *value >= count)
        c->fault = true;
}

INLINE void code_raw(struct coder *c, bool reading, uint8_t *value, size_t size)
{
    uint8_t *at = code_step(c, reading, size);

    if (!reading)
        memcpy(at, value, size);
    else if (at != NULL)
        memcpy(value, at, size);
}

INLINE void code_hash(struct coder *c, bool reading, struct hash128 *value)
{
    code_u64(c, reading, &value->low);
    code_u64(c, reading, &value->high);
}

INLINE void code_resources(struct coder *c, bool reading, struct resources *value)
{
    for (int i = 0; i < RESOURCE_KINDS; i++)
        code_u64(c, reading, &value->amount[i]);
}

/* At most 255 bytes, inside the head. */
INLINE void code_short(struct coder *c, bool reading, struct bytes *value, size_t max)
{
    uint8_t size = (uint8_t)value->size;
    uint8_t *at;

    ASSERT(reading || value->size <= max);
    code_u8(c, reading, &size);
    if (reading && size > max)
        c->fault = true;
    at = code_step(c, reading, size);
    if (reading)
        *value = (struct bytes){at, at == NULL ? 0 : size};
    else if (size > 0)
        memcpy(at, value->data, size);
}

/* The bytes of a spec: hash and size in the head, which goes on between them and the body.
 */
INLINE void
code_body_size(struct coder *c, bool reading, struct bytes *value, struct hash128 *hash)
{
    uint32_t size = (uint32_t)value->size;

    code_hash(c, reading, hash);
    code_u32(c, reading, &size);
    if (!reading)
        return;
    if (c->fault || (size_t)(c->end - c->at) < size) {
        c->fault = true;
        return;
    }
    c->end -= size;
    *value = (struct bytes){c->end, size};
    if (!hash128_equal(hash128_of(*value), *hash))
        c->fault = true;
}

/* Fields that came later stand at the end of the head, in groups: a byte with a bit for
 * each group, then those that have it.  A group with defaults is not there, nor is the byte
 * without any, so what an older version could say has the bytes that it had.  Returns the
 * groups that are there. */
INLINE uint8_t code_groups(struct coder *c,
                           bool reading,
                           uint8_t present,
                           uint8_t known)
{
    if (reading ? c->fault || c->at == c->end : present == 0)
        return 0;
    code_u8(c, reading, &present);
    if (reading && (present == 0 || (present & ~known) != 0))
        c->fault = true;
    return c->fault ? 0 : present;
}

#define AGENT_HAS_MODE   1 /* groups of an agent */
#define ATTEMPT_HAS_STOP 1 /* groups of an attempt */

INLINE void code_globals(struct coder *c, bool reading, struct globals *g)
{
    code_u64(c, reading, &g->changed);
    code_bool(c, reading, &g->founded);
    code_raw(c, reading, g->cluster_id, CLUSTER_ID_BYTES);
    code_u64(c, reading, &g->last_job_id);
    code_u64(c, reading, &g->last_agent_id);
    code_u64(c, reading, &g->last_attempt_id);
    code_u64(c, reading, &g->last_stamp_us);
}

INLINE void code_agent_groups(struct coder *c, bool reading, struct agent *a)
{
    uint8_t present = a->mode != AGENT_NORMAL ? AGENT_HAS_MODE : 0;

    present = code_groups(c, reading, present, AGENT_HAS_MODE);
    if ((present & AGENT_HAS_MODE) == 0)
        return;
    code_enum(c, reading, &a->mode, AGENT_MODE_COUNT);
    code_bool(c, reading, &a->drain_due);
    code_u64(c, reading, &a->drain_us);
    if (a->mode == AGENT_NORMAL)
        c->fault = true;
}

INLINE void code_agent(struct coder *c, bool reading, struct agent *a)
{
    struct hash128 body = reading ? (struct hash128){0} : hash128_of(a->spec);

    code_u64(c, reading, &a->id);
    code_u64(c, reading, &a->changed);
    code_enum(c, reading, &a->state, AGENT_STATE_COUNT);
    code_raw(c, reading, a->key, sizeof(a->key));
    code_resources(c, reading, &a->capacity);
    code_u64(c, reading, &a->registered_us);
    code_u64(c, reading, &a->since_us);
    code_body_size(c, reading, &a->spec, &body);
    code_agent_groups(c, reading, a);
}

INLINE void code_job(struct coder *c, bool reading, struct job *j)
{
    struct bytes key = j->key;

#ifdef MUTANT_KEY_NOT_IN_SNAPSHOT
    uint8_t id[8];
    store_u64(id, j->id);
    key = (struct bytes){id, sizeof(id)};
#endif
    code_u64(c, reading, &j->id);
    code_u64(c, reading, &j->changed);
    code_u64(c, reading, &j->submit_index);
    code_u64(c, reading, &j->submitted_us);
    code_u64(c, reading, &j->ended_us);
    code_u64(c, reading, &j->kill_index);
    code_u32(c, reading, &j->instances);
    code_i32(c, reading, &j->priority);
    code_resources(c, reading, &j->resources);
    code_short(c, reading, &key, LIMIT_KEY_BYTES);
    code_body_size(c, reading, &j->spec, &j->body);
    if (reading)
        j->key = key;
}

INLINE void code_task(
    struct coder *c, bool reading, uint64_t job_id, struct task *t, struct record *r)
{
    struct bytes message = {0};

    if (!reading && t->message != NULL)
        message = (struct bytes){(uint8_t *)t->message, strlen(t->message)};
    code_u64(c, reading, reading ? &r->job_id : &job_id);
    code_u32(c, reading, &t->instance);
    code_u64(c, reading, &t->changed);
    code_u32(c, reading, &t->attempt);
    code_u64(c, reading, &t->attempt_id);
    code_u64(c, reading, &t->agent_id);
    code_enum(c, reading, &t->state, TASK_STATE_COUNT);
    code_enum(c, reading, &t->reason, TASK_REASON_COUNT);
    code_i32(c, reading, &t->exit_code);
    code_u64(c, reading, &t->started_us);
    code_u64(c, reading, &t->ended_us);
    code_short(c, reading, &message, LIMIT_MESSAGE_BYTES);
    if (!reading)
        return;
    r->message = message;
    if (message.size > 0 && memchr(message.data, 0, message.size) != NULL)
        c->fault = true;
}

INLINE void
code_attempt(struct coder *c, bool reading, struct attempt *t, struct record *r)
{
    uint64_t job_id = reading ? 0 : t->job->id;
    uint64_t agent_id = reading ? 0 : t->agent->id;
    uint8_t present;

    code_u64(c, reading, &t->id);
    code_u64(c, reading, &t->changed);
    code_u64(c, reading, &job_id);
    code_u32(c, reading, &t->instance);
    code_u32(c, reading, &t->number);
    code_u64(c, reading, &agent_id);
    code_u64(c, reading, &t->placed_us);
    code_enum(c, reading, &t->state, TASK_STATE_COUNT);
    code_bool(c, reading, &t->superseded);
    present = t->stop != TASK_REASON_NONE ? ATTEMPT_HAS_STOP : 0;
    present = code_groups(c, reading, present, ATTEMPT_HAS_STOP);
    if ((present & ATTEMPT_HAS_STOP) != 0) {
        code_enum(c, reading, &t->stop, TASK_REASON_COUNT);
        if (t->stop == TASK_REASON_NONE)
            c->fault = true;
    }
    if (reading) {
        r->job_id = job_id;
        r->agent_id = agent_id;
    }
}

INLINE void code_tombstone(struct coder *c, bool reading, struct tombstone *t)
{
    code_u64(c, reading, &t->purged_us);
    code_u64(c, reading, &t->job_id);
    code_u64(c, reading, &t->changed);
    code_u64(c, reading, &t->submit_index);
    code_hash(c, reading, &t->body);
    code_short(c, reading, &t->key, LIMIT_KEY_BYTES);
}

struct object_key object_key(const struct object *o)
{
    struct object_key key = {.table = o->table};

    switch (o->table) {
    case TABLE_AGENTS:
        key.major = o->agent->id;
        break;
    case TABLE_JOBS:
        key.major = o->job->id;
        break;
    case TABLE_TASKS:
        key.major = o->job->id;
        key.minor = o->task->instance;
        break;
    case TABLE_ATTEMPTS:
        key.major = o->attempt->id;
        break;
    case TABLE_TOMBSTONES:
        key.major = o->tombstone->purged_us;
        key.minor = o->tombstone->job_id;
        break;
    case TABLE_GLOBALS:
    case TABLE_END:
        break;
    }
    return key;
}

int object_key_compare(struct object_key a, struct object_key b)
{
    if (a.table != b.table)
        return a.table < b.table ? -1 : 1;
    if (a.major != b.major)
        return a.major < b.major ? -1 : 1;
    return (a.minor > b.minor) - (a.minor < b.minor);
}

uint64_t *object_changed(const struct object *o)
{
    ASSERT(o->table != TABLE_END);
    switch (o->table) {
    case TABLE_GLOBALS:
        return &o->globals->changed;
    case TABLE_AGENTS:
        return &o->agent->changed;
    case TABLE_JOBS:
        return &o->job->changed;
    case TABLE_TASKS:
        return &o->task->changed;
    case TABLE_ATTEMPTS:
        return &o->attempt->changed;
    case TABLE_TOMBSTONES:
        return &o->tombstone->changed;
    case TABLE_END:
        break;
    }
    return NULL;
}

void image_write(struct image *image, const struct object *o)
{
    struct coder c = {.at = image->head};
    uint8_t table = (uint8_t)o->table;

    ASSERT(o->table != TABLE_END);
    image->body = (struct bytes){0};
    code_u8(&c, false, &table);
    switch (o->table) {
    case TABLE_GLOBALS:
        code_globals(&c, false, o->globals);
        break;
    case TABLE_AGENTS:
        code_agent(&c, false, o->agent);
        image->body = o->agent->spec;
        break;
    case TABLE_JOBS:
        code_job(&c, false, o->job);
        image->body = o->job->spec;
        break;
    case TABLE_TASKS:
        code_task(&c, false, o->job->id, o->task, NULL);
        break;
    case TABLE_ATTEMPTS:
        code_attempt(&c, false, o->attempt, NULL);
        break;
    case TABLE_TOMBSTONES:
        code_tombstone(&c, false, o->tombstone);
        break;
    case TABLE_END:
        break;
    }
    image->size = (size_t)(c.at - image->head);
    ASSERT(image->size <= IMAGE_HEAD_MAX);
}

struct hash128 image_hash(const struct image *image)
{
    return hash128_of((struct bytes){image->head, image->size});
}

size_t image_record_size(const struct image *image)
{
    return 4 + image->size + image->body.size;
}

void image_store(const struct image *image, uint8_t *to)
{
    store_u32(to, (uint32_t)(image->size + image->body.size));
    memcpy(to + 4, image->head, image->size);
    if (image->body.size > 0)
        memcpy(to + 4 + image->size, image->body.data, image->body.size);
}

void image_append(const struct image *image, struct buffer *out)
{
    size_t size = image_record_size(image);

    image_store(image, buffer_reserve(out, size));
    out->size += size;
}

bool record_read(struct record *r, struct bytes bytes)
{
    struct coder c = {.at = (uint8_t *)bytes.data, .end = bytes.data + bytes.size};
    uint8_t table = 0;

    *r = (struct record){0};
    code_u8(&c, true, &table);
    r->table = table;
    switch (r->table) {
    case TABLE_GLOBALS:
        code_globals(&c, true, &r->globals);
        break;
    case TABLE_AGENTS:
        code_agent(&c, true, &r->agent);
        break;
    case TABLE_JOBS:
        code_job(&c, true, &r->job);
        break;
    case TABLE_TASKS:
        code_task(&c, true, 0, &r->task, r);
        break;
    case TABLE_ATTEMPTS:
        code_attempt(&c, true, &r->attempt, r);
        break;
    case TABLE_TOMBSTONES:
        code_tombstone(&c, true, &r->tombstone);
        break;
    case TABLE_END:
        code_hash(&c, true, &r->digest);
        break;
    default:
        return false;
    }
    return !c.fault && c.at == c.end;
}

void record_append_end(struct hash128 digest, struct buffer *out)
{
    buffer_append_u32(out, 1 + HASH128_BYTES);
    buffer_append_u8(out, TABLE_END);
    buffer_append_u64(out, digest.low);
    buffer_append_u64(out, digest.high);
}
