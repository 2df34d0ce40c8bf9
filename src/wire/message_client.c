/* message_client.c - what clients ask and masters answer, as bytes. */
#include "wire/message_client.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/text.h"
#include "wire/list.h"
#include "wire/message_failure.h"
#include "wire/message_plan.h"
#include "wire/message_role.h"
#include "wire/message_usage.h"
#include "wire/pack.h"

/* ---- submit, dispatch, kill, purge, agent_gone ---- */

void submit_pack(const struct submit_request *r, uint32_t id, struct buffer *out)
{
    enum method method = r->is_set ? METHOD_SUBMIT_ALL : METHOD_SUBMIT;
    size_t begin = rpc_begin_request(out, id, method);

    pack_array(out, r->check > 0 ? 4 : 3);
    pack_bytes(out, r->key);
    pack_bytes(out, r->spec);
    pack_text_view(out, r->owner);
    if (r->check > 0)
        pack_uint(out, r->check);
    rpc_end(out, begin);
}

/* Who asks for a new job, and with which key. */
static void check_sender(struct unpack *u, struct bytes key, struct bytes owner)
{
    if (!text_is_printable(owner))
        unpack_fail(u, "the owner is no printable text");
    if (key.size == 0)
        unpack_fail(u, "the key is missing");
    else if (key_is_of_masters(key))
        unpack_fail(u, "the key is one of the masters'");
}

int submit_unpack(struct submit_request *out, struct bytes params, struct error *err)
{
    struct unpack u;

    *out = (struct submit_request){0};
    unpack_init(&u, params);
    unpack_enter(&u);
    out->key = unpack_bytes(&u, LIMIT_KEY_BYTES);
    out->spec = unpack_bytes(&u, LIMIT_SPEC_BYTES);
    out->owner = unpack_text(&u, LIMIT_OWNER_BYTES);
    out->check = unpack_uint(&u);
    check_sender(&u, out->key, out->owner);
    if (out->spec.size == 0)
        unpack_fail(&u, "the job is missing");
    unpack_leave(&u);
    return unpack_finish(&u, "submit", err);
}

void dispatch_pack(const struct dispatch_request *r, uint32_t id, struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, METHOD_DISPATCH);

    pack_array(out, 4);
    pack_bytes(out, r->key);
    pack_uint(out, r->job);
    pack_bytes(out, r->values);
    pack_text_view(out, r->owner);
    rpc_end(out, begin);
}

int dispatch_unpack(struct dispatch_request *out,
                    struct bytes params,
                    struct error *err)
{
    struct unpack u;

    *out = (struct dispatch_request){0};
    unpack_init(&u, params);
    unpack_enter(&u);
    out->key = unpack_bytes(&u, LIMIT_KEY_BYTES);
    out->job = unpack_uint(&u);
    out->values = unpack_bytes(&u, LIMIT_SPEC_BYTES);
    out->owner = unpack_text(&u, LIMIT_OWNER_BYTES);
    check_sender(&u, out->key, out->owner);
    if (out->values.size == 0)
        unpack_fail(&u, "the values are missing");
    unpack_leave(&u);
    return unpack_finish(&u, "dispatch", err);
}

void submit_result_pack(const struct submit_result *r, uint32_t id, struct buffer *out)
{
    size_t begin = rpc_begin_result(out, id);

    pack_array(out, 2);
    pack_uint(out, r->id);
    pack_uint(out, r->index);
    rpc_end(out, begin);
}

int submit_result_unpack(struct submit_result *out,
                         struct bytes result,
                         struct error *err)
{
    struct unpack u;

    unpack_init(&u, result);
    unpack_enter(&u);
    out->id = unpack_uint(&u);
    out->index = unpack_uint(&u);
    unpack_leave(&u);
    return unpack_finish(&u, "result", err);
}

void id_request_pack(enum method method,
                     uint64_t target,
                     uint32_t id,
                     struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, method);

    pack_array(out, 1);
    pack_uint(out, target);
    rpc_end(out, begin);
}

int id_request_unpack(uint64_t *target, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    *target = unpack_uint(&u);
    unpack_leave(&u);
    return unpack_finish(&u, "request", err);
}

void agent_mode_pack(const struct agent_mode_request *r,
                     uint32_t id,
                     struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, METHOD_AGENT_MODE);

    pack_array(out, 3);
    pack_uint(out, r->agent);
    pack_uint(out, r->mode);
    pack_uint(out, r->deadline_ms);
    rpc_end(out, begin);
}

int agent_mode_unpack(struct agent_mode_request *out,
                      struct bytes params,
                      struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->agent = unpack_uint(&u);
    out->mode = (enum agent_mode)unpack_uint_max(&u, AGENT_MODE_COUNT - 1);
    out->deadline_ms = unpack_uint_max(&u, LIMIT_DRAIN_MS);
    unpack_leave(&u);
    return unpack_finish(&u, "agent_mode", err);
}

/* ---- listings ---- */

void list_pack(enum method method,
               const struct list_request *r,
               uint32_t id,
               struct buffer *out)
{
    bool has_filter = r->agent != 0 || r->type != 0 || r->since_us != 0;
    size_t begin = rpc_begin_request(out, id, method);

    pack_array(out, has_filter ? 7 : 4);
    pack_uint(out, r->of);
    pack_uint(out, r->after);
    pack_uint(out, r->limit);
    pack_bool(out, r->stale);
    if (has_filter) {
        pack_uint(out, r->agent);
        pack_uint(out, r->type);
        pack_uint(out, r->since_us);
    }
    rpc_end(out, begin);
}

int list_unpack(struct list_request *out, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->of = unpack_uint(&u);
    out->after = unpack_uint(&u);
    out->limit = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    out->stale = unpack_bool(&u);
    out->agent = unpack_uint(&u);
    out->type = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    out->since_us = unpack_uint(&u);
    unpack_leave(&u);
    return unpack_finish(&u, "listing", err);
}

/* next and count are known at the end only, so they have their widest form and a fixed
 * place: uint64 0xcf and eight bytes, array32 0xdd and four bytes, big-endian. */
#define WIDE_UINT       0xcf
#define WIDE_ARRAY      0xdd
#define WIDE_UINT_SIZE  9
#define WIDE_ARRAY_SIZE 5

/* The longest element: an agent's spec, what is in use of it and some numbers. */
#define RANGE_BYTES_MAX  7
#define CUSTOM_BYTES_MAX (LIMIT_CUSTOM_BYTES + 16)
#define ELEMENT_BYTES_MAX                                          \
    (LIMIT_COMMAND_BYTES + LIMIT_LISTED_RANGES * RANGE_BYTES_MAX + \
     LIMIT_LISTED_CUSTOM * CUSTOM_BYTES_MAX)

static void store_big_endian(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

void list_begin(struct list_writer *w, struct buffer *out, uint32_t id, uint64_t index)
{
    *w = (struct list_writer){.out = out, .frame = rpc_begin_result(out, id)};
    pack_array(out, 3);
    pack_uint(out, index);
    w->count_at = out->size + WIDE_UINT_SIZE;
    buffer_reserve(out, WIDE_UINT_SIZE + WIDE_ARRAY_SIZE);
    out->size += WIDE_UINT_SIZE + WIDE_ARRAY_SIZE;
}

bool list_has_room(const struct list_writer *w)
{
    return w->out->size - w->frame + ELEMENT_BYTES_MAX <= LIMIT_FRAME_BYTES;
}

struct buffer *list_begin_element(struct list_writer *w, uint32_t fields)
{
    w->count++;
    pack_array(w->out, fields);
    return w->out;
}

void list_end(struct list_writer *w, uint64_t next)
{
    uint8_t *count_at = w->out->data + w->count_at;
    uint8_t *next_at = count_at - WIDE_UINT_SIZE;

    next_at[0] = WIDE_UINT;
    store_big_endian(next_at + 1, next, 8);
    count_at[0] = WIDE_ARRAY;
    store_big_endian(count_at + 1, w->count, 4);
    rpc_end(w->out, w->frame);
}

/* ---- elements ---- */

/* At most `max` bytes of a text for people. */
static struct bytes cut(struct bytes text, size_t max)
{
    if (text.size > max)
        text.size = max;
    return text;
}

void job_summary_pack(struct list_writer *w, const struct job_summary *j)
{
    struct buffer *out = list_begin_element(w, 15);

    pack_uint(out, j->id);
    pack_text_view(out, j->name);
    pack_uint(out, j->state);
    pack_uint(out, j->instances);
    pack_int(out, j->priority);
    pack_array(out, TASK_STATE_COUNT);
    for (int s = 0; s < TASK_STATE_COUNT; s++)
        pack_uint(out, j->tasks[s]);
    pack_uint(out, j->submitted_us);
    pack_uint(out, j->ended_us);
    pack_uint(out, j->changed);
    pack_text_view(out, cut(j->why, LIMIT_MESSAGE_BYTES));
    pack_uint(out, j->kind);
    pack_uint(out, j->expected_ms);
    pack_uint(out, j->expected_from);
    pack_uint(out, j->reserved_agent);
    pack_uint(out, j->reserved_us);
}

static void read_job_summary(struct unpack *u, void *out)
{
    struct job_summary *j = out;
    uint64_t kind;

    unpack_enter(u);
    j->id = unpack_uint(u);
    j->name = unpack_text(u, LIMIT_NAME_BYTES);
    j->state = (enum job_state)unpack_uint_max(u, JOB_STATE_COUNT - 1);
    j->instances = (uint32_t)unpack_uint_max(u, LIMIT_TASKS_PER_JOB);
    j->priority = (int32_t)unpack_int_range(u, INT32_MIN, INT32_MAX);
    unpack_enter(u);
    for (int s = 0; s < TASK_STATE_COUNT; s++)
        j->tasks[s] = (uint32_t)unpack_uint_max(u, LIMIT_TASKS_PER_JOB);
    unpack_leave(u);
    j->submitted_us = unpack_uint(u);
    j->ended_us = unpack_uint(u);
    j->changed = unpack_uint(u);
    j->why = unpack_bytes(u, LIMIT_MESSAGE_BYTES);
    kind = unpack_uint(u); /* of later masters maybe one that is not known here */
    j->kind = kind < JOB_KIND_COUNT ? (enum job_kind)kind : JOB_KIND_COUNT;
    j->expected_ms = unpack_uint(u);
    j->expected_from = (enum expectation)unpack_uint_max(u, EXPECTATION_COUNT - 1);
    j->reserved_agent = unpack_uint(u);
    j->reserved_us = unpack_uint(u);
    unpack_leave(u);
}

bool job_summary_next(const struct list_result *l,
                      struct command_cursor *at,
                      struct job_summary *out)
{
    return list_next(l->packed, l->count, at, read_job_summary, out);
}

void task_info_pack(struct list_writer *w, const struct task_info *t)
{
    struct buffer *out = list_begin_element(w, 17);

    pack_uint(out, t->instance);
    pack_uint(out, t->attempt);
    pack_uint(out, t->attempt_id);
    pack_uint(out, t->agent_id);
    pack_text_view(out, t->agent_http);
    pack_uint(out, t->state);
    pack_uint(out, t->reason);
    pack_int(out, t->exit_code);
    pack_text_view(out, cut(t->message, LIMIT_MESSAGE_BYTES));
    pack_uint(out, t->started_us);
    pack_uint(out, t->ended_us);
    pack_text_view(out, t->agent_rpc);
    pack_uint(out, t->placed_us);
    pack_uint(out, t->health);
    pack_uint(out, t->restarts);
    ports_pack(t->ports, t->port_count, out);
    pack_text_view(out, cut(t->why, LIMIT_MESSAGE_BYTES));
}

static void read_task_info(struct unpack *u, void *out)
{
    struct task_info *t = out;

    unpack_enter(u);
    t->instance = (uint32_t)unpack_uint_max(u, LIMIT_TASKS_PER_JOB - 1);
    t->attempt = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    t->attempt_id = unpack_uint(u);
    t->agent_id = unpack_uint(u);
    t->agent_http = unpack_text(u, LIMIT_NAME_BYTES);
    t->state = (enum task_state)unpack_uint_max(u, TASK_STATE_COUNT - 1);
    t->reason = (enum task_reason)unpack_uint_max(u, TASK_REASON_COUNT - 1);
    t->exit_code = (int32_t)unpack_int_range(u, INT32_MIN, INT32_MAX);
    t->message = unpack_bytes(u, LIMIT_MESSAGE_BYTES);
    t->started_us = unpack_uint(u);
    t->ended_us = unpack_uint(u);
    t->agent_rpc = unpack_text(u, LIMIT_NAME_BYTES);
    t->placed_us = unpack_uint(u);
    t->health = (enum task_health)unpack_uint_max(u, TASK_HEALTH_COUNT - 1);
    t->restarts = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    t->ports = t->unpacked;
    t->port_count = ports_unpack(t->unpacked, u);
    t->why = unpack_bytes(u, LIMIT_MESSAGE_BYTES);
    unpack_leave(u);
}

bool task_info_next(const struct list_result *l,
                    struct command_cursor *at,
                    struct task_info *out)
{
    return list_next(l->packed, l->count, at, read_task_info, out);
}

void agent_info_pack(struct list_writer *w, const struct agent_info *a)
{
    struct buffer *out = list_begin_element(w, 11);

    pack_uint(out, a->id);
    pack_uint(out, a->state);
    pack_bytes(out, a->spec);
    resources_pack(&a->allocated, out);
    pack_uint(out, a->tasks);
    pack_uint(out, a->superseded);
    pack_uint(out, a->mode);
    pack_uint(out, a->drain_us);
    pack_uint(out, a->flags);
    port_ranges_pack(a->ports, a->range_count, out);
    pack_array(out, (uint32_t)a->custom_count);
    for (size_t i = 0; i < a->custom_count; i++) {
        pack_array(out, 2);
        pack_text_view(out, a->custom[i].name);
        pack_uint(out, a->custom[i].amount);
    }
}

static void read_custom(struct agent_info *a, struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_LISTED_CUSTOM)
        unpack_fail(u, "more custom resources than the limit");
    for (a->custom_count = 0; a->custom_count < n && unpack_ok(u); a->custom_count++) {
        struct custom_view *c = &a->custom[a->custom_count];

        unpack_enter(u);
        c->name = unpack_text(u, LIMIT_CUSTOM_BYTES);
        c->amount = unpack_uint(u);
        unpack_leave(u);
    }
    unpack_leave(u);
}

static void read_agent_info(struct unpack *u, void *out)
{
    struct agent_info *a = out;

    unpack_enter(u);
    a->id = unpack_uint(u);
    a->state = (enum agent_state)unpack_uint_max(u, AGENT_STATE_COUNT - 1);
    a->spec = unpack_bytes(u, LIMIT_SPEC_BYTES);
    resources_unpack(&a->allocated, u);
    a->tasks = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    a->superseded = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    a->mode = (enum agent_mode)unpack_uint_max(u, AGENT_MODE_COUNT - 1);
    a->drain_us = unpack_uint(u);
    a->flags = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    a->range_count = 0;
    port_ranges_unpack(a->ports, &a->range_count, LIMIT_LISTED_RANGES, u);
    read_custom(a, u);
    unpack_leave(u);
}

bool agent_info_next(const struct list_result *l,
                     struct command_cursor *at,
                     struct agent_info *out)
{
    return list_next(l->packed, l->count, at, read_agent_info, out);
}

void spec_info_pack(struct list_writer *w, const struct spec_info *s)
{
    struct buffer *out = list_begin_element(w, 2);

    pack_uint(out, s->job);
    pack_bytes(out, s->spec);
}

static void read_spec_info(struct unpack *u, void *out)
{
    struct spec_info *s = out;

    unpack_enter(u);
    s->job = unpack_uint(u);
    s->spec = unpack_bytes(u, LIMIT_SPEC_BYTES);
    unpack_leave(u);
}

bool spec_info_next(const struct list_result *l,
                    struct command_cursor *at,
                    struct spec_info *out)
{
    return list_next(l->packed, l->count, at, read_spec_info, out);
}

void master_info_pack(struct list_writer *w, const struct master_info *m)
{
    struct buffer *out = list_begin_element(w, 9);

    pack_uint(out, m->id);
    pack_text_view(out, m->address);
    pack_text_view(out, m->role);
    pack_uint(out, m->leader);
    pack_uint(out, m->term);
    pack_uint(out, m->commit_index);
    pack_uint(out, m->applied_index);
    pack_bytes(out, m->digest);
    pack_uint(out, m->digest_index);
}

static void read_master_info(struct unpack *u, void *out)
{
    struct master_info *m = out;

    unpack_enter(u);
    m->id = unpack_uint(u);
    m->address = unpack_text(u, LIMIT_NAME_BYTES);
    m->role = unpack_text(u, LIMIT_NAME_BYTES);
    m->leader = unpack_uint(u);
    m->term = unpack_uint(u);
    m->commit_index = unpack_uint(u);
    m->applied_index = unpack_uint(u);
    m->digest = unpack_bytes(u, DIGEST_BYTES);
    m->digest_index = unpack_uint(u);
    unpack_leave(u);
}

bool master_info_next(const struct list_result *l,
                      struct command_cursor *at,
                      struct master_info *out)
{
    return list_next(l->packed, l->count, at, read_master_info, out);
}

/* ---- the result of a listing ---- */

static list_read *element_reader(enum method method)
{
    switch (method) {
    case METHOD_JOBS:
        return read_job_summary;
    case METHOD_TASKS:
        return read_task_info;
    case METHOD_AGENTS:
        return read_agent_info;
    case METHOD_MASTERS:
        return read_master_info;
    case METHOD_USAGE:
        return usage_info_read;
    case METHOD_SPEC:
        return read_spec_info;
    case METHOD_ROLES:
        return role_info_read;
    case METHOD_FAILURES:
        return failure_info_read;
    case METHOD_FAILURE_SUMS:
        return failure_sum_info_read;
    case METHOD_PLAN:
        return plan_row_read;
    default:
        return NULL;
    }
}

int list_result_unpack(struct list_result *out,
                       enum method method,
                       struct bytes result,
                       struct error *err)
{
    list_read *read = element_reader(method);
    union {
        struct job_summary job;
        struct task_info task;
        struct agent_info agent;
        struct master_info master;
        struct usage_info usage;
        struct spec_info spec;
        struct role_info role;
        struct failure_info failure;
        struct failure_sum_info failure_sum;
        struct plan_row plan_row;
    } scratch;
    struct unpack u;

    ASSERT(read != NULL);
    unpack_init(&u, result);
    unpack_enter(&u);
    out->index = unpack_uint(&u);
    out->next = unpack_uint(&u);
    out->packed = list_check(&u, UINT32_MAX, read, &scratch, &out->count);
    unpack_leave(&u);
    return unpack_finish(&u, method_name(method), err);
}
