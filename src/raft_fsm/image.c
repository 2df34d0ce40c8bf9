/* image.c - objects of the state as canonical bytes.
 *
 * One list of fields for each table serves both directions, so writing and reading
 * cannot disagree.  `reading` is a constant in each caller and everything is inlined,
 * so what is left is straight stores or straight loads.
 */
#include "raft_fsm/image.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"

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

INLINE void code_u16(struct coder *c, bool reading, uint16_t *value)
{
    uint8_t *at = code_step(c, reading, 2);

    if (!reading)
        memcpy(at, (uint8_t[]){(uint8_t)*value, (uint8_t)(*value >> 8)}, 2);
    else if (at != NULL)
        *value = (uint16_t)(at[0] | at[1] << 8);
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

#define GLOBALS_HAVE_CHECKS 1 /* groups of the globals */
#define AGENT_HAS_MODE   1 /* groups of an agent */
#define AGENT_HAS_EXTRAS 2
#define JOB_HAS_EXTRAS   1 /* groups of a job */
#define JOB_HAS_POLICY   2
#define JOB_HAS_ROLE     4
#define JOB_HAS_EXPECTED 8
#define JOB_HAS_KIND     16
#define JOB_HAS_LINKS    32
#define JOB_IS_TEMPLATE  64
#define JOB_GROUPS                                                       \
    (JOB_HAS_EXTRAS | JOB_HAS_POLICY | JOB_HAS_ROLE | JOB_HAS_EXPECTED | \
     JOB_HAS_KIND | JOB_HAS_LINKS | JOB_IS_TEMPLATE)
#define ROLE_HAS_SCORE    1 /* groups of a role */
#define ROLE_RESERVES     2
#define ROLE_PREEMPTS     4
#define ROLE_REBALANCES   8
#define ROLE_GROUPS \
    (ROLE_HAS_SCORE | ROLE_RESERVES | ROLE_PREEMPTS | ROLE_REBALANCES)
#define TASK_HAS_TRIES    1 /* groups of a task */
#define TASK_HAS_RESTARTS 2
#define ATTEMPT_HAS_STOP  1 /* groups of an attempt */
#define ATTEMPT_HAS_PORTS 2
#define ATTEMPT_STOPS_FOR 4

/* ---- extras: rare, so not inlined; reading allocates what record_finish() frees ---- */

static void
code_ranges(struct coder *c, bool reading, struct port_range *ranges, size_t *count)
{
    uint8_t n = (uint8_t)*count;

    code_u8(c, reading, &n);
    if (reading && n > LIMIT_PORT_RANGES) {
        c->fault = true;
        return;
    }
    *count = n;
    for (size_t i = 0; i < n; i++) {
        code_u16(c, reading, &ranges[i].first);
        code_u16(c, reading, &ranges[i].last);
    }
    if (reading && port_ranges_check(ranges, n, NULL) != 0)
        c->fault = true;
}

/* A text without a zero byte. */
static void code_name(struct coder *c, bool reading, struct bytes *name, size_t max)
{
    code_short(c, reading, name, max);
    if (reading && name->size > 0 && memchr(name->data, 0, name->size) != NULL)
        c->fault = true;
}

static void
code_custom_resource(struct coder *c, bool reading, struct custom_resource *r)
{
    struct bytes name = {0};

    if (!reading)
        name = text_view(r->name);
    code_name(c, reading, &name, LIMIT_CUSTOM_BYTES);
    code_u64(c, reading, &r->amount);
    if (!reading)
        return;
    if (name.size == 0 || r->amount == 0 || r->amount > LIMIT_RESOURCE)
        c->fault = true;
    r->name = text_copy(name);
}

/* In order of the names. */
static void code_custom(struct coder *c, bool reading, struct custom_resources *l)
{
    uint8_t n = (uint8_t)l->count;

    code_u8(c, reading, &n);
    if (reading && n > LIMIT_CUSTOM)
        c->fault = true;
    if (c->fault || n == 0)
        return;
    if (reading)
        *l = (struct custom_resources){mem_zalloc(n * sizeof(*l->items)), n};
    for (size_t i = 0; i < n; i++) {
        code_custom_resource(c, reading, &l->items[i]);
        if (i > 0 && strcmp(l->items[i - 1].name, l->items[i].name) >= 0)
            c->fault = true;
    }
}

static void
code_capacity_extras(struct coder *c, bool reading, struct extra_capacity *e)
{
    code_ranges(c, reading, e->ports, &e->range_count);
    code_custom(c, reading, &e->custom);
    code_u32(c, reading, &e->features);
    if (extra_capacity_is_empty(e))
        c->fault = true;
}

static void code_job_extras(struct coder *c, bool reading, struct extra_needs **extras)
{
    struct extra_needs *n = reading ? mem_zalloc(sizeof(*n)) : *extras;

    *extras = n;
    code_u32(c, reading, &n->port_count);
    code_ranges(c, reading, n->fixed, &n->fixed_count);
    code_custom(c, reading, &n->custom);
    code_u32(c, reading, &n->features);
    if (extra_needs_are_empty(n) || n->port_count > LIMIT_TASK_PORTS ||
        extra_needs_ports(n) > LIMIT_TASK_PORTS)
        c->fault = true;
}

static void code_bound(struct coder *c, bool reading, struct role_bound *b)
{
    code_resources(c, reading, &b->amount);
    code_u32(c, reading, &b->kinds);
    code_custom(c, reading, &b->custom);
}

/* Numbers of enums as bytes. */
#define CODE_ENUM(field, count)                         \
    do {                                                \
        uint8_t number = (uint8_t)(field);              \
        code_enum(c, reading, &number, (uint8_t)count); \
        if (reading && !c->fault)                       \
            (field) = number;                           \
    } while (0)

/* What a role could not say at first, if it is not as it is where nobody said it. */
static void code_later(struct coder *c, bool reading, struct role_spec *s)
{
    uint8_t has = s->alpha != ROLE_ALPHA_DEFAULT || s->balance != ROLE_BALANCE_DEFAULT
                      ? ROLE_HAS_SCORE
                      : 0;

    has |= s->reserve_ms != ROLE_RESERVE_MS ? ROLE_RESERVES : 0;
    has |= s->preempt != 0 ? ROLE_PREEMPTS : 0;
    has |= s->rebalance != 0 ? ROLE_REBALANCES : 0;
    has = code_groups(c, reading, has, ROLE_GROUPS);
    if (has & ROLE_HAS_SCORE) {
        code_u32(c, reading, &s->alpha);
        CODE_ENUM(s->balance, ROLE_BALANCE_COUNT);
    } else if (reading) {
        s->alpha = ROLE_ALPHA_DEFAULT;
        s->balance = ROLE_BALANCE_DEFAULT;
    }
    if (has & ROLE_RESERVES)
        code_u64(c, reading, &s->reserve_ms);
    else if (reading)
        s->reserve_ms = ROLE_RESERVE_MS;
    if (has & ROLE_PREEMPTS)
        code_u32(c, reading, &s->preempt);
    if (has & ROLE_REBALANCES)
        code_u32(c, reading, &s->rebalance);
}

static void
code_role(struct coder *c, bool reading, struct role *role, struct record *r)
{
    struct role_spec *s = &role->spec;
    struct bytes name = {0};

    if (!reading)
        name = text_view(role->name);
    code_u32(c, reading, &role->id);
    code_u64(c, reading, &role->changed);
    code_name(c, reading, &name, LIMIT_ROLE_BYTES);
    CODE_ENUM(s->order, ROLE_ORDER_COUNT);
    code_i32(c, reading, &s->priority);
    code_u32(c, reading, &s->weight);
    code_u64(c, reading, &s->aging_ms);
    code_u64(c, reading, &s->length_ms);
    code_bound(c, reading, &s->min);
    code_bound(c, reading, &s->max);
    code_later(c, reading, s);
    if (!reading)
        return;
    r->name = name;
    if (c->fault || !role_name_valid(name) || role_spec_check(s, NULL) != 0)
        c->fault = true;
}

/* A job that does not say more than the first version could. */
static bool needs_role(struct bytes role, struct bytes owner, uint64_t expected_ms)
{
    bool is_default = role.size == strlen(ROLE_DEFAULT) &&
                      memcmp(role.data, ROLE_DEFAULT, role.size) == 0;

    return !is_default || owner.size > 0 || expected_ms != 0;
}

static bool policy_is_empty(const struct job_policy *p)
{
    return p->reschedule.attempts == 0 && p->lease_ms == 0;
}

static void code_policy(struct coder *c, bool reading, struct job_policy **policy)
{
    struct job_policy *p = reading ? mem_zalloc(sizeof(*p)) : *policy;

    *policy = p;
    code_u32(c, reading, &p->reschedule.attempts);
    code_u64(c, reading, &p->reschedule.interval_ms);
    code_u64(c, reading, &p->reschedule.delay_ms);
    code_u64(c, reading, &p->reschedule.max_delay_ms);
    code_u64(c, reading, &p->lease_ms);
    code_u32(c, reading, &p->drift_permille);
    code_u64(c, reading, &p->grace_ms);
    if (policy_is_empty(p))
        c->fault = true;
}

static uint8_t task_groups(const struct task_extras *x)
{
    if (x == NULL)
        return 0;
    return (x->retry_us != 0 || x->retries != 0 || x->losses != 0 ? TASK_HAS_TRIES
                                                                  : 0) |
           (x->restarts != 0 || x->health != HEALTH_UNKNOWN ? TASK_HAS_RESTARTS : 0);
}

static void code_task_extras(struct coder *c, bool reading, struct task_extras **extras)
{
    uint8_t known = TASK_HAS_TRIES | TASK_HAS_RESTARTS;
    uint8_t present = code_groups(c, reading, task_groups(*extras), known);
    struct task_extras *x;

    if (present == 0)
        return;
    x = reading ? mem_zalloc(sizeof(*x)) : *extras;
    *extras = x;
    if ((present & TASK_HAS_TRIES) != 0) {
#ifdef MUTANT_RETRIES_NOT_IN_SNAPSHOT
        uint32_t none = 1;
        code_u32(c, reading, &none);
#else
        code_u32(c, reading, &x->retries);
#endif
        code_u32(c, reading, &x->losses);
        code_u64(c, reading, &x->retry_us);
        code_u64(c, reading, &x->since_us);
        code_u64(c, reading, &x->lost_us);
    }
    if ((present & TASK_HAS_RESTARTS) != 0) {
        code_u32(c, reading, &x->restarts);
        code_enum(c, reading, &x->health, TASK_HEALTH_COUNT);
    }
    if (task_groups(x) != present)
        c->fault = true;
}

static void code_ports(struct coder *c, bool reading, uint8_t *count, uint16_t *ports)
{
    code_u8(c, reading, count);
    if (*count == 0 || *count > LIMIT_TASK_PORTS)
        c->fault = true;
    if (c->fault)
        return;
    for (uint8_t i = 0; i < *count; i++)
        code_u16(c, reading, &ports[i]);
}

/* ---- the tables ---- */

INLINE void code_globals(struct coder *c, bool reading, struct globals *g)
{
    uint8_t groups =
        g->agents_changed > 0 || g->default_changed > 0 ? GLOBALS_HAVE_CHECKS : 0;

    code_u64(c, reading, &g->changed);
    code_bool(c, reading, &g->founded);
    code_raw(c, reading, g->cluster_id, CLUSTER_ID_BYTES);
    code_u64(c, reading, &g->last_job_id);
    code_u64(c, reading, &g->last_agent_id);
    code_u64(c, reading, &g->last_attempt_id);
    code_u64(c, reading, &g->last_stamp_us);
    groups = code_groups(c, reading, groups, GLOBALS_HAVE_CHECKS);
    if (groups & GLOBALS_HAVE_CHECKS) {
        code_u64(c, reading, &g->agents_changed);
        code_u64(c, reading, &g->default_changed);
    }
}

INLINE void code_agent_groups(struct coder *c, bool reading, struct agent *a)
{
    uint8_t present = (a->mode != AGENT_NORMAL ? AGENT_HAS_MODE : 0) |
                      (extra_capacity_is_empty(&a->extras) ? 0 : AGENT_HAS_EXTRAS);

    present = code_groups(c, reading, present, AGENT_HAS_MODE | AGENT_HAS_EXTRAS);
    if ((present & AGENT_HAS_MODE) != 0) {
        code_enum(c, reading, &a->mode, AGENT_MODE_COUNT);
        code_bool(c, reading, &a->drain_due);
        code_u64(c, reading, &a->drain_us);
        if (a->mode == AGENT_NORMAL)
            c->fault = true;
    }
    if ((present & AGENT_HAS_EXTRAS) != 0)
        code_capacity_extras(c, reading, &a->extras);
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

/* Role, owner and estimate of a job. */
static void
code_job_role(struct coder *c, bool reading, struct job *j, struct record *r)
{
    struct bytes role = {0}, owner = {0};

    if (!reading) {
        role = text_view(j->owner->role->name);
        owner = text_view(j->owner->name);
    }
    code_name(c, reading, &role, LIMIT_ROLE_BYTES);
    code_name(c, reading, &owner, LIMIT_OWNER_BYTES);
    code_u64(c, reading, &j->expected_ms);
    if (!reading)
        return;
    r->name = role;
    r->owner = owner;
    if (!role_name_valid(role) || !needs_role(role, owner, j->expected_ms))
        c->fault = true;
}

/* Else it is known from the time itself. */
static bool is_learned(uint8_t from)
{
    return from != EXPECTED_OF_ROLE && from != EXPECTED_OF_JOB;
}

INLINE void code_expected(struct coder *c, bool reading, struct job *j, bool given)
{
    if (given)
        code_enum(c, reading, &j->expected_from, EXPECTATION_COUNT);
    else if (reading)
        j->expected_from = j->expected_ms != 0 ? EXPECTED_OF_JOB : EXPECTED_OF_ROLE;
    if (reading && given && (!is_learned(j->expected_from) || j->expected_ms == 0))
        c->fault = true;
}

static bool has_links(const struct job *j)
{
    const struct hash128 none = {0};

    return j->links != NULL &&
           (!TAILQ_EMPTY(&j->links->after) || j->links->stopped_by != 0 ||
            j->links->parent != 0 || !hash128_equal(j->links->set, none));
}

static void code_after(struct coder *c, bool reading, struct record_after *after)
{
    code_u64(c, reading, &after->job);
    code_enum(c, reading, &after->on, JOB_ON_COUNT);
}

static void write_after(struct coder *c, const struct job_links *links)
{
    struct dependency *d;
    uint8_t count = 0;

    TAILQ_FOREACH (d, &links->after, in_job)
        count++;
    code_u8(c, false, &count);
    TAILQ_FOREACH (d, &links->after, in_job)
        code_after(c, false, &(struct record_after){d->on_job->id, d->on});
}

static void read_after(struct coder *c, struct record *r)
{
    code_u8(c, true, &r->after_count);
    if (r->after_count > LIMIT_AFTER)
        c->fault = true;
    for (unsigned i = 0; i < r->after_count && !c->fault; i++) {
        code_after(c, true, &r->after[i]);
        if (i > 0 && r->after[i - 1].job >= r->after[i].job)
            c->fault = true;
    }
}

static void code_links(struct coder *c, bool reading, struct job *j, struct record *r)
{
    struct job_links *l = reading ? job_links(j) : j->links;

    if (reading)
        read_after(c, r);
    else
        write_after(c, l);
    code_u64(c, reading, &l->stopped_by);
    code_hash(c, reading, &l->set);
    code_u64(c, reading, &l->parent);
    if (reading && r->after_count == 0 && !has_links(j))
        c->fault = true;
}

static void code_template(struct coder *c, bool reading, struct job *j)
{
    struct job_template *t = reading ? mem_zalloc(sizeof(*t)) : j->made;

    j->made = t;
    code_u64(c, reading, &t->last_us);
    code_u64(c, reading, &t->fired);
    code_u64(c, reading, &t->missed);
    code_u64(c, reading, &t->skipped);
    code_u64(c, reading, &t->child);
    code_enum(c, reading, &t->overlap, JOB_OVERLAP_COUNT);
    code_bool(c, reading, &t->is_dispatched);
}

INLINE void code_job(struct coder *c, bool reading, struct job *j, struct record *r)
{
    struct bytes key = j->key;
    uint8_t present;

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
    present = (j->extras != NULL ? JOB_HAS_EXTRAS : 0) |
              (j->policy != NULL ? JOB_HAS_POLICY : 0) |
              (j->kind != JOB_BATCH ? JOB_HAS_KIND : 0) |
              (has_links(j) ? JOB_HAS_LINKS : 0) |
              (j->made != NULL ? JOB_IS_TEMPLATE : 0);
    if (!reading && needs_role(text_view(j->owner->role->name),
                               text_view(j->owner->name),
                               j->expected_ms))
        present |= JOB_HAS_ROLE;
    if (!reading && is_learned(j->expected_from))
        present |= JOB_HAS_EXPECTED;
    present = code_groups(c, reading, present, JOB_GROUPS);
    if ((present & JOB_HAS_EXTRAS) != 0)
        code_job_extras(c, reading, &j->extras);
    if ((present & JOB_HAS_POLICY) != 0)
        code_policy(c, reading, &j->policy);
    if ((present & JOB_HAS_ROLE) != 0)
        code_job_role(c, reading, j, r);
    code_expected(c, reading, j, (present & JOB_HAS_EXPECTED) != 0);
    if ((present & JOB_HAS_KIND) != 0) {
        code_enum(c, reading, &j->kind, JOB_KIND_COUNT);
        if (j->kind == JOB_BATCH)
            c->fault = true;
    }
    if ((present & JOB_HAS_LINKS) != 0)
        code_links(c, reading, j, r);
    if ((present & JOB_IS_TEMPLATE) != 0)
        code_template(c, reading, j);
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
    code_task_extras(c, reading, &t->extras);
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
    present = (t->stop != TASK_REASON_NONE ? ATTEMPT_HAS_STOP : 0) |
              (t->port_count > 0 ? ATTEMPT_HAS_PORTS : 0) |
              (t->stop_for != 0 ? ATTEMPT_STOPS_FOR : 0);
    present = code_groups(c,
                          reading,
                          present,
                          ATTEMPT_HAS_STOP | ATTEMPT_HAS_PORTS | ATTEMPT_STOPS_FOR);
    if ((present & ATTEMPT_HAS_STOP) != 0) {
        code_enum(c, reading, &t->stop, TASK_REASON_COUNT);
        if (t->stop == TASK_REASON_NONE)
            c->fault = true;
    }
    if ((present & ATTEMPT_HAS_PORTS) != 0)
        code_ports(c, reading, &t->port_count, reading ? r->ports : attempt_ports(t));
    if ((present & ATTEMPT_STOPS_FOR) != 0)
        code_u64(c, reading, &t->stop_for);
    if ((t->stop == TASK_REASON_PREEMPTED || t->stop == TASK_REASON_MOVED) !=
        (t->stop_for != 0))
        c->fault = true;
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

INLINE void code_failure_sum(struct coder *c, bool reading, struct failure_sum *f)
{
    code_bool(c, reading, &f->of_agent);
    code_enum(c, reading, &f->reason, TASK_REASON_COUNT);
    code_u64(c, reading, &f->changed);
    code_u64(c, reading, &f->count);
    code_u64(c, reading, &f->recovered);
    code_u64(c, reading, &f->recovery_us);
    code_u64(c, reading, &f->longest_us);
}

INLINE void code_failure(struct coder *c, bool reading, struct failure *f)
{
    code_u64(c, reading, &f->id);
    code_u64(c, reading, &f->changed);
    code_u64(c, reading, &f->stamp_us);
    code_u64(c, reading, &f->down_us);
    code_u64(c, reading, &f->retry_us);
    code_u64(c, reading, &f->recovered_us);
    code_u64(c, reading, &f->job);
    code_u64(c, reading, &f->agent);
    code_u64(c, reading, &f->next_agent);
    code_u32(c, reading, &f->instance);
    code_u32(c, reading, &f->attempt);
    code_u32(c, reading, &f->moved);
    code_i32(c, reading, &f->exit_code);
    code_bool(c, reading, &f->of_agent);
    code_enum(c, reading, &f->reason, TASK_REASON_COUNT);
    code_enum(c, reading, &f->task_state, TASK_STATE_COUNT);
    code_enum(c, reading, &f->deed, FAILURE_DEED_COUNT);
    code_enum(c, reading, &f->state, FAILURE_STORED_STATES);
}

INLINE void
code_history(struct coder *c, bool reading, struct history *h, struct record *r)
{
    struct bytes role = {0}, name = {0};

    if (!reading) {
        role = text_view(h->role);
        name = text_view(h->name);
    }
    code_u32(c, reading, &h->id);
    code_u64(c, reading, &h->changed);
    code_name(c, reading, &role, LIMIT_ROLE_BYTES);
    code_name(c, reading, &name, LIMIT_NAME_BYTES);
    code_u64(c, reading, &h->used_us);
    code_u64(c, reading, &h->lost_ms);
    code_u8(c, reading, &h->runs);
    code_u8(c, reading, &h->next);
    code_raw(c, reading, h->took, HISTORY_RUNS);
    code_raw(c, reading, h->lost, HISTORY_RUNS);
    if (!reading)
        return;
    r->name = role;
    r->job_name = name;
}

struct object_key object_key(const struct object *o)
{
    struct object_key key = {.table = o->table};

    switch (o->table) {
    case TABLE_AGENTS:
        key.major = o->agent->id;
        break;
    case TABLE_ROLES:
        key.major = o->role->id;
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
    case TABLE_FAILURE_SUMS:
        key.major = o->failure_sum->of_agent;
        key.minor = o->failure_sum->reason;
        break;
    case TABLE_FAILURES:
        key.major = o->failure->id;
        break;
    case TABLE_HISTORIES:
        key.major = o->history->id;
        break;
    case TABLE_NONE:
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
    case TABLE_ROLES:
        return &o->role->changed;
    case TABLE_JOBS:
        return &o->job->changed;
    case TABLE_TASKS:
        return &o->task->changed;
    case TABLE_ATTEMPTS:
        return &o->attempt->changed;
    case TABLE_TOMBSTONES:
        return &o->tombstone->changed;
    case TABLE_FAILURE_SUMS:
        return &o->failure_sum->changed;
    case TABLE_FAILURES:
        return &o->failure->changed;
    case TABLE_HISTORIES:
        return &o->history->changed;
    case TABLE_NONE:
    case TABLE_END:
        break;
    }
    return NULL;
}

static const uint8_t BYTE_OF_TABLE[] = {
#define X(name, byte) [TABLE_##name] = (byte),
    TABLES(X)
#undef X
};

static enum table table_of_byte(uint8_t byte)
{
    for (size_t i = TABLE_GLOBALS; i < sizeof(BYTE_OF_TABLE); i++)
        if (BYTE_OF_TABLE[i] == byte)
            return (enum table)i;
    return TABLE_NONE;
}

void image_write(struct image *image, const struct object *o)
{
    struct coder c = {.at = image->head};
    uint8_t table = BYTE_OF_TABLE[o->table];

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
    case TABLE_ROLES:
        code_role(&c, false, o->role, NULL);
        break;
    case TABLE_JOBS:
        code_job(&c, false, o->job, NULL);
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
    case TABLE_FAILURE_SUMS:
        code_failure_sum(&c, false, o->failure_sum);
        break;
    case TABLE_FAILURES:
        code_failure(&c, false, o->failure);
        break;
    case TABLE_HISTORIES:
        code_history(&c, false, o->history, NULL);
        break;
    case TABLE_NONE:
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
    r->table = table_of_byte(table);
    switch (r->table) {
    case TABLE_GLOBALS:
        code_globals(&c, true, &r->globals);
        break;
    case TABLE_AGENTS:
        code_agent(&c, true, &r->agent);
        break;
    case TABLE_ROLES:
        code_role(&c, true, &r->role, r);
        break;
    case TABLE_JOBS:
        code_job(&c, true, &r->job, r);
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
    case TABLE_FAILURE_SUMS:
        code_failure_sum(&c, true, &r->failure_sum);
        break;
    case TABLE_FAILURES:
        code_failure(&c, true, &r->failure);
        break;
    case TABLE_HISTORIES:
        code_history(&c, true, &r->history, r);
        break;
    case TABLE_END:
        code_hash(&c, true, &r->digest);
        break;
    case TABLE_NONE:
        return false;
    }
    if (!c.fault && c.at == c.end)
        return true;
    record_finish(r);
    return false;
}

void record_finish(struct record *r)
{
    if (r->table == TABLE_ROLES)
        role_spec_finish(&r->role.spec);
    else if (r->table == TABLE_AGENTS)
        extra_capacity_finish(&r->agent.extras);
    else if (r->table == TABLE_TASKS)
        mem_free(r->task.extras);
    else if (r->table == TABLE_JOBS) {
        extra_needs_destroy(r->job.extras);
        mem_free(r->job.policy);
        job_links_destroy(&r->job);
        mem_free(r->job.made);
    }
    *r = (struct record){0};
}

void record_append_end(struct hash128 digest, struct buffer *out)
{
    buffer_append_u32(out, 1 + HASH128_BYTES);
    buffer_append_u8(out, BYTE_OF_TABLE[TABLE_END]);
    buffer_append_u64(out, digest.low);
    buffer_append_u64(out, digest.high);
}
