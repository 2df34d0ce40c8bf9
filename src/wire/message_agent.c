/* message_agent.c - what agents and masters say to each other, as bytes. */
#include "wire/message_agent.h"

#include "base/assert.h"
#include "base/limits.h"
#include "wire/job.h"
#include "wire/list.h"
#include "wire/pack.h"
#include "wire/resources.h"

#include <string.h>

#define ENVELOPE_BYTES 64 /* more than any envelope, term and array head */

_Static_assert(LIMIT_UPDATES *(1 + 9 + 1 + 1 + 5 + 2 + LIMIT_MESSAGE_BYTES + 1 + 5) +
                       ENVELOPE_BYTES <=
                   LIMIT_FRAME_BYTES,
               "reports at their limit fit a frame");
_Static_assert(LIMIT_ORDERS *(1 + 9 + 1 + 1 + 5) + ENVELOPE_BYTES <= LIMIT_FRAME_BYTES,
               "orders at their limit fit a frame");

/* ---- register ---- */

void register_pack(const struct register_request *r, uint32_t id, struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, METHOD_REGISTER);

    pack_array(out, 6);
    pack_uint(out, r->agent);
    pack_bytes(out, r->spec);
    pack_uint(out, r->runs_digest);
    pack_uint(out, r->runs_count);
    pack_uint(out, r->highest_attempt);
    pack_uint(out, r->flags);
    rpc_end(out, begin);
}

int register_unpack(struct register_request *out,
                    struct bytes params,
                    struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->agent = unpack_uint(&u);
    out->spec = unpack_bytes(&u, LIMIT_SPEC_BYTES);
    out->runs_digest = unpack_uint(&u);
    out->runs_count = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    out->highest_attempt = unpack_uint(&u);
    out->flags = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    unpack_leave(&u);
    return unpack_finish(&u, "register", err);
}

void register_result_pack(const struct register_result *r,
                          uint32_t id,
                          struct buffer *out)
{
    size_t begin = rpc_begin_result(out, id);

    pack_array(out, 4);
    pack_uint(out, r->agent);
    pack_bytes(out, (struct bytes){r->cluster_id, CLUSTER_ID_BYTES});
    pack_uint(out, r->term);
    pack_bool(out, r->send_runs);
    rpc_end(out, begin);
}

int register_result_unpack(struct register_result *out,
                           struct bytes result,
                           struct error *err)
{
    struct unpack u;

    unpack_init(&u, result);
    unpack_enter(&u);
    out->agent = unpack_uint(&u);
    unpack_fixed(&u, out->cluster_id, CLUSTER_ID_BYTES);
    out->term = unpack_uint(&u);
    out->send_runs = unpack_bool(&u);
    unpack_leave(&u);
    return unpack_finish(&u, "result of register", err);
}

/* ---- runs and update ---- */

uint64_t run_digest(uint64_t attempt, enum task_state state)
{
    uint64_t z = attempt * 16 + (uint64_t)state + 1;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void pack_runs(uint64_t agent,
                      uint32_t part,
                      uint32_t parts,
                      const struct run_report *runs,
                      uint32_t count,
                      struct buffer *out)
{
    ASSERT(count <= LIMIT_UPDATES);
    pack_array(out, 4);
    pack_uint(out, agent);
    pack_uint(out, part);
    pack_uint(out, parts);
    pack_array(out, count);
    for (uint32_t i = 0; i < count; i++)
        task_update_pack(&(struct task_update){.attempt = runs[i].attempt,
                                               .state = runs[i].state,
                                               .reason = runs[i].reason,
                                               .exit_code = runs[i].exit_code,
                                               .message = runs[i].message,
                                               .health = runs[i].health,
                                               .restarts = runs[i].restarts},
                         out);
}

void update_pack(uint64_t agent,
                 const struct run_report *runs,
                 uint32_t count,
                 struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_UPDATE);

    pack_runs(agent, 0, 1, runs, count, out);
    rpc_end(out, begin);
}

void runs_pack(uint64_t agent,
               uint32_t part,
               uint32_t parts,
               const struct run_report *runs,
               uint32_t count,
               uint32_t id,
               struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, METHOD_RUNS);

    ASSERT(part < parts);
    pack_runs(agent, part, parts, runs, count, out);
    rpc_end(out, begin);
}

static void read_run(struct unpack *u, void *out)
{
    struct run_report *run = out;
    struct task_update t;

    task_update_read(u, &t);
    if (t.state == TASK_PENDING || t.state == TASK_KILLING)
        unpack_fail(u, "a state that no run has");
    *run = (struct run_report){.attempt = t.attempt,
                               .state = t.state,
                               .reason = t.reason,
                               .exit_code = t.exit_code,
                               .message = t.message,
                               .health = t.health,
                               .restarts = t.restarts};
}

int run_list_unpack(struct run_list *out, struct bytes params, struct error *err)
{
    struct run_report run;
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->agent = unpack_uint(&u);
    out->part = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    out->parts = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    if (out->part >= out->parts)
        unpack_fail(&u, "a part beyond the last");
    out->packed = list_check(&u, LIMIT_UPDATES, read_run, &run, &out->count);
    unpack_leave(&u);
    return unpack_finish(&u, "runs", err);
}

bool run_list_next(const struct run_list *list,
                   struct command_cursor *at,
                   struct run_report *out)
{
    return list_next(list->packed, list->count, at, read_run, out);
}

/* ---- leading ---- */

void leading_pack(uint64_t term, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_LEADING);

    pack_array(out, 1);
    pack_uint(out, term);
    rpc_end(out, begin);
}

int leading_unpack(uint64_t *term, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    *term = unpack_uint(&u);
    unpack_leave(&u);
    return unpack_finish(&u, "leading", err);
}

/* ---- launch, stop, ack ---- */

static size_t
begin_orders(enum method method, uint64_t term, uint32_t count, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, method);

    pack_array(out, 2);
    pack_uint(out, term);
    pack_array(out, count);
    return begin;
}

#define LAUNCH_HEAD_BYTES (1 + 9 + 9 + 5 + 5 + 5) /* at most, without spec and ports */

static uint32_t count_fitting(const struct launch *launches, uint32_t count)
{
    size_t size = ENVELOPE_BYTES;
    uint32_t n;

    for (n = 0; n < count; n++) {
        ASSERT(launches[n].spec.size <= LIMIT_SPEC_BYTES);
        ASSERT(launches[n].port_count <= LIMIT_TASK_PORTS);
        size += LAUNCH_HEAD_BYTES + launches[n].spec.size +
                3 * (1 + launches[n].port_count);
        if (size > LIMIT_FRAME_BYTES)
            break;
    }
    return n;
}

uint32_t launch_pack(uint64_t term,
                     const struct launch *launches,
                     uint32_t count,
                     struct buffer *out)
{
    uint32_t n = count_fitting(launches, count);
    size_t begin = begin_orders(METHOD_LAUNCH, term, n, out);

    for (uint32_t i = 0; i < n; i++) {
        pack_array(out, launches[i].port_count > 0 ? 6 : 5);
        pack_uint(out, launches[i].attempt);
        pack_uint(out, launches[i].job);
        pack_uint(out, launches[i].instance);
        pack_uint(out, launches[i].number);
        job_spec_pack_agent_part(launches[i].spec, out);
        if (launches[i].port_count > 0)
            ports_pack(launches[i].ports, launches[i].port_count, out);
    }
    rpc_end(out, begin);
    return n;
}

static void read_launch(struct unpack *u, void *out)
{
    struct launch *l = out;

    unpack_enter(u);
    l->attempt = unpack_uint(u);
    l->job = unpack_uint(u);
    l->instance = (uint32_t)unpack_uint_max(u, LIMIT_TASKS_PER_JOB - 1);
    l->number = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    l->spec = unpack_bytes(u, LIMIT_SPEC_BYTES);
    l->ports = l->unpacked;
    l->port_count = ports_unpack(l->unpacked, u);
    unpack_leave(u);
}

void stop_pack(uint64_t term,
               const struct stop *stops,
               uint32_t count,
               struct buffer *out)
{
    size_t begin = begin_orders(METHOD_STOP, term, count, out);

    ASSERT(count <= LIMIT_ORDERS);
    for (uint32_t i = 0; i < count; i++) {
        pack_array(out, 2);
        pack_uint(out, stops[i].attempt);
        pack_bool(out, stops[i].superseded);
    }
    rpc_end(out, begin);
}

static void read_stop(struct unpack *u, void *out)
{
    struct stop *s = out;

    unpack_enter(u);
    s->attempt = unpack_uint(u);
    s->superseded = unpack_bool(u);
    unpack_leave(u);
}

void ack_pack(uint64_t term, const struct ack *acks, uint32_t count, struct buffer *out)
{
    size_t begin = begin_orders(METHOD_ACK, term, count, out);

    ASSERT(count <= LIMIT_ORDERS);
    for (uint32_t i = 0; i < count; i++) {
        bool is_short = acks[i].health == HEALTH_UNKNOWN && acks[i].restarts == 0;

        pack_array(out, is_short ? 2 : 4);
        pack_uint(out, acks[i].attempt);
        pack_uint(out, acks[i].state);
        if (is_short)
            continue;
        pack_uint(out, acks[i].health);
        pack_uint(out, acks[i].restarts);
    }
    rpc_end(out, begin);
}

static void read_ack(struct unpack *u, void *out)
{
    struct ack *a = out;

    unpack_enter(u);
    a->attempt = unpack_uint(u);
    a->state = (enum task_state)unpack_uint_max(u, TASK_STATE_COUNT - 1);
    a->health = (enum task_health)unpack_uint_max(u, TASK_HEALTH_COUNT - 1);
    a->restarts = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    unpack_leave(u);
}

static list_read *order_reader(enum method method)
{
    switch (method) {
    case METHOD_LAUNCH:
        return read_launch;
    case METHOD_STOP:
        return read_stop;
    case METHOD_ACK:
        return read_ack;
    default:
        return NULL;
    }
}

int order_list_unpack(struct order_list *out,
                      enum method method,
                      struct bytes params,
                      struct error *err)
{
    list_read *read = order_reader(method);
    union {
        struct launch launch;
        struct stop stop;
        struct ack ack;
    } scratch;
    struct unpack u;

    ASSERT(read != NULL);
    unpack_init(&u, params);
    unpack_enter(&u);
    out->term = unpack_uint(&u);
    out->packed = list_check(&u, LIMIT_ORDERS, read, &scratch, &out->count);
    unpack_leave(&u);
    return unpack_finish(&u, method_name(method), err);
}

bool launch_next(const struct order_list *list,
                 struct command_cursor *at,
                 struct launch *out)
{
    return list_next(list->packed, list->count, at, read_launch, out);
}

bool stop_next(const struct order_list *list,
               struct command_cursor *at,
               struct stop *out)
{
    return list_next(list->packed, list->count, at, read_stop, out);
}

bool ack_next(const struct order_list *list, struct command_cursor *at, struct ack *out)
{
    return list_next(list->packed, list->count, at, read_ack, out);
}

/* ---- heartbeat ---- */

void heartbeat_pack(const struct heartbeat *h, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_HEARTBEAT);

    pack_array(out, 4);
    pack_uint(out, h->agent);
    pack_uint(out, h->term);
    pack_uint(out, h->flags);
    pack_uint(out, h->sequence);
    rpc_end(out, begin);
}

int heartbeat_unpack(struct heartbeat *out, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->agent = unpack_uint(&u);
    out->term = unpack_uint(&u);
    out->flags = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    out->sequence = unpack_uint(&u);
    unpack_leave(&u);
    return unpack_finish(&u, "heartbeat", err);
}

/* ---- lease ---- */

void lease_pack(uint64_t term, uint64_t sequence, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_LEASE);

    pack_array(out, 2);
    pack_uint(out, term);
    pack_uint(out, sequence);
    rpc_end(out, begin);
}

int lease_unpack(uint64_t *term,
                 uint64_t *sequence,
                 struct bytes params,
                 struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    *term = unpack_uint(&u);
    *sequence = unpack_uint(&u);
    unpack_leave(&u);
    return unpack_finish(&u, "lease", err);
}
