/* rig.c - the core of a master that is its whole cluster, with a hand-driven world. */
#include "tests/unit/master_core/rig.h"

#include "base/mem.h"
#include "raft_fsm/fsm.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define TURNS_MAX 10000

/* ---- what it sends ---- */

static void count_orders(struct rig *rig, const struct rpc *rpc)
{
    struct order_list list;
    struct command_cursor at = {0};
    struct launch launch;
    struct stop stop;

    ck_assert_int_eq(order_list_unpack(&list, rpc->method, rpc->params, NULL), 0);
    if (rpc->method == METHOD_LAUNCH)
        while (launch_next(&list, &at, &launch))
            rig->launches[launch.attempt]++;
    if (rpc->method == METHOD_STOP)
        while (stop_next(&list, &at, &stop))
            rig->stops[stop.attempt]++;
}

static void take_frame(struct rig *rig, uint64_t session, struct bytes frame)
{
    struct rpc rpc;

    ck_assert_int_eq(rpc_unpack(&rpc, frame, NULL), 0);
    if (rpc.type == RPC_RESPONSE) {
        rig->answers++;
        buffer_clear(&rig->answer_bytes);
        buffer_append(&rig->answer_bytes, frame.data, frame.size);
        ck_assert_int_eq(
            rpc_unpack(&rig->answer, buffer_view(&rig->answer_bytes), NULL), 0);
    } else if (rpc.method == METHOD_LEADING) {
        if (session < RIG_SESSIONS)
            rig->told[session]++;
    } else if (rpc.method == METHOD_LEASE) {
        uint64_t term;

        rig->leases++;
        rig->stops_before_lease = 0;
        for (size_t i = 0; i < RIG_ATTEMPTS; i++)
            rig->stops_before_lease += rig->stops[i];
        ck_assert_int_eq(lease_unpack(&term, &rig->lease, rpc.params, NULL), 0);
    } else if (rpc.method == METHOD_LAUNCH || rpc.method == METHOD_STOP) {
        rig->order_session = session;
        rig->order_bytes += frame.size;
        count_orders(rig, &rpc);
    }
}

static void take_bytes(struct rig *rig, uint64_t session, struct bytes bytes)
{
    while (bytes.size > 0) {
        size_t size = (size_t)rpc_frame_size(bytes, NULL);

        ck_assert_uint_gt(size, 4);
        take_frame(rig, session, (struct bytes){bytes.data + 4, size - 4});
        bytes.data += size;
        bytes.size -= size;
    }
}

/* ---- steps ---- */

static void durable(struct rig *rig, uint64_t sequence)
{
    struct replica_event event = {.kind = REPLICA_DURABLE,
                                  .durable.sequence = sequence};

    rig_step(rig, &(struct master_event){.kind = MASTER_REPLICA, .replica = &event});
}

void rig_step(struct rig *rig, struct master_event *event)
{
    struct master_actions actions = {0};
    uint64_t sequence = 0;
    bool founding = false;

    event->now_ms = rig->now_ms;
    event->wall_us = RIG_WALL_US + rig->now_ms * 1000;
    event->wall_us += (uint64_t)rig->wall_ahead_us;
    master_step(rig->core, event, &actions);
    rig->again = actions.again;
    rig->deadline_ms = actions.deadline_ms;
    if (actions.bytes.size > rig->largest_step)
        rig->largest_step = actions.bytes.size;
    for (size_t i = 0; i < actions.replica.count; i++)
        if (actions.replica.items[i].kind == REPLICA_PERSIST)
            sequence = actions.replica.items[i].op->sequence;
    for (size_t i = 0; i < actions.count; i++) {
        const struct master_action *a = &actions.items[i];

        if (a->kind == MASTER_SEND)
            take_bytes(
                rig,
                a->send.session,
                (struct bytes){actions.bytes.data + a->send.offset, a->send.size});
        if (a->kind == MASTER_CLOSE)
            rig->closed[a->close] = true;
        if (a->kind == MASTER_LOG && a->level == MASTER_LOG_WARNING) {
            memcpy(rig->warning, a->text, sizeof(rig->warning));
            rig->warnings++;
        }
        if (a->kind == MASTER_READ_ZONE) {
            snprintf(rig->zone, sizeof(rig->zone), "%s", a->text);
            rig->zones++;
        }
        if (a->kind == MASTER_PLAN) {
            ck_assert(!rig->plan.asked);
            rig->plan.asked = true;
            rig->plan.session = a->plan.session;
            rig->plan.rpc = a->plan.rpc;
            buffer_clear(&rig->plan.request);
            buffer_append(
                &rig->plan.request, actions.bytes.data + a->plan.offset, a->plan.size);
        }
        founding |= a->kind == MASTER_FOUND;
    }
    master_actions_finish(&actions);
    if (founding)
        rig_step(rig, &(struct master_event){.kind = MASTER_FOUNDED});
    if (sequence != 0)
        rig->written = sequence;
    if (!rig->slow_disk)
        rig_disk(rig);
}

void rig_disk(struct rig *rig)
{
    uint64_t sequence = rig->written;

    rig->written = 0;
    if (sequence != 0)
        durable(rig, sequence);
}

void rig_turn(struct rig *rig)
{
    rig_step(rig, &(struct master_event){.kind = MASTER_TURN});
}

void rig_settle(struct rig *rig)
{
    unsigned turns = 0;
    uint64_t index;

    do {
        index = replica_last_index(master_replica(rig->core));
        rig_turn(rig);
        ck_assert_uint_lt(++turns, TURNS_MAX);
    } while (rig->again || replica_last_index(master_replica(rig->core)) != index);
}

void rig_pass(struct rig *rig, unsigned ms)
{
    for (; ms > 0; ms -= ms < 100 ? ms : 100) {
        rig->now_ms += ms < 100 ? ms : 100;
        rig_step(rig,
                 &(struct master_event){.kind = MASTER_TIME,
                                        .time.behind_ms = rig->behind_ms});
        rig_settle(rig);
    }
}

/* ---- life ---- */

void rig_init(struct rig *rig, unsigned stops_per_turn)
{
    *rig = (struct rig){.now_ms = 1000, .http_port = 5051};
    master_config_init(&rig->config);
    rig->config.id = 1;
    rig->config.member_count = 1;
    rig->config.members[0] =
        (struct master_member){.id = 1, .address = "127.0.0.1:5049"};
    memset(rig->config.cluster_hash, 0x5a, sizeof(rig->config.cluster_hash));
    rig->config.stops_per_turn = stops_per_turn;
    rig->core = master_create(&rig->config);
    rig_step(rig,
             &(struct master_event){.kind = MASTER_START,
                                    .start = {.empty = true, .entropy = {7, 9}}});
    rig_settle(rig);
    ck_assert(master_leads(rig->core));
    ck_assert(master_state(rig->core)->globals.founded);
}

void rig_restart(struct rig *rig)
{
    rig_restart_with(rig, 0);
    rig_settle(rig);
}

void rig_restart_with(struct rig *rig, unsigned n)
{
    struct state *state = (struct state *)(uintptr_t)master_state(rig->core);
    struct snapshot_meta meta = {.index = state->index,
                                 .term = state->term,
                                 .configuration_index = 1,
                                 .configuration = replica_founding_configuration(
                                     &rig->config.id, rig->config.member_count)};
    struct log_entries log = {.first = state->index + 1};
    struct master_core *core = master_create(&rig->config);
    struct buffer bytes = {0};
    struct error err;

    snapshot_begin(state);
    while (snapshot_next(state, &bytes, SIZE_MAX))
        ;
    meta.size = bytes.size;
    ck_assert_int_eq(master_restore(core, buffer_view(&bytes), &err), 0);
    ck_assert_int_eq(master_restore_end(core, &meta, &err), 0);
    buffer_finish(&bytes);
    master_destroy(rig->core);
    rig->core = core;
    memset(rig->told, 0, sizeof(rig->told));
    for (unsigned i = 1; i <= n; i++)
        rig_open(rig, i, HELLO_AGENT);
    rig_step(rig,
             &(struct master_event){.kind = MASTER_START,
                                    .start = {.term = meta.term,
                                              .vote = rig->config.id,
                                              .snapshot = &meta,
                                              .entries = &log,
                                              .entropy = {7, 9}}});
    snapshot_meta_finish(&meta);
    ck_assert(master_leads(rig->core));
}

void rig_finish(struct rig *rig)
{
    master_destroy(rig->core);
    buffer_finish(&rig->answer_bytes);
    buffer_finish(&rig->plan.request);
}

/* ---- sessions ---- */

void rig_open(struct rig *rig, uint64_t session, enum hello_role role)
{
    ck_assert_uint_lt(session, RIG_SESSIONS);
    rig_step(rig,
             &(struct master_event){.kind = MASTER_SESSION_OPENED,
                                    .opened = {.session = session, .role = role}});
}

void rig_frame(struct rig *rig, uint64_t session, struct buffer *frame)
{
    struct bytes whole = buffer_view(frame);

    rig_step(
        rig,
        &(struct master_event){
            .kind = MASTER_SESSION_FRAME,
            .frame = {.session = session, .frame = {whole.data + 4, whole.size - 4}}});
    buffer_finish(frame);
}

void rig_close(struct rig *rig, uint64_t session)
{
    rig_step(rig,
             &(struct master_event){.kind = MASTER_SESSION_CLOSED, .closed = session});
}

void rig_send_register(struct rig *rig, uint64_t session, uint64_t agent, uint32_t key)
{
    char hostname[] = "host", address[32], rpc_address[] = "127.0.0.1:5052";
    char licence[] = "licence";
    struct agent_spec spec = {
        .hostname = hostname, .http_address = address, .rpc_address = rpc_address};
    struct register_request request = {.agent = agent, .flags = rig->flags};
    struct buffer bytes = {0}, frame = {0};

    snprintf(address, sizeof(address), "127.0.0.1:%u", rig->http_port);
    store_u32(spec.key, key);
    spec.resources.amount[RESOURCE_CPUS] = 1000000;
    spec.resources.amount[RESOURCE_MEM] = 1ull << 40;
    spec.resources.amount[RESOURCE_DISK] = 1ull << 40;
    spec.ports[0] = (struct port_range){31000, 31999};
    spec.port_count = 1;
    spec.features = AGENT_FEATURE_JOBS_2;
    spec.custom =
        (struct custom_resources){&(struct custom_resource){licence, 10000}, 1};
    agent_spec_pack(&spec, &bytes);
    request.spec = buffer_view(&bytes);
    register_pack(&request, ++rig->last_rpc, &frame);
    rig_frame(rig, session, &frame);
    buffer_finish(&bytes);
}

uint64_t rig_register(struct rig *rig, uint64_t session, uint64_t agent, uint32_t key)
{
    struct register_result result;

    rig_send_register(rig, session, agent, key);
    rig_settle(rig);
    ck_assert_uint_eq(rig->answer.id, rig->last_rpc);
    if (rig->answer.code != ERROR_NONE)
        return 0;
    ck_assert_int_eq(register_result_unpack(&result, rig->answer.params, NULL), 0);
    return result.agent;
}

void rig_heartbeat(struct rig *rig, uint64_t session, uint64_t agent)
{
    struct buffer frame = {0};

    heartbeat_pack(&(struct heartbeat){.agent = agent}, &frame);
    rig_frame(rig, session, &frame);
    rig_settle(rig);
}

void rig_send_heartbeat(struct rig *rig, uint64_t session, struct heartbeat heartbeat)
{
    struct buffer frame = {0};

    heartbeat_pack(&heartbeat, &frame);
    rig_frame(rig, session, &frame);
}

void rig_report(struct rig *rig,
                uint64_t session,
                uint64_t agent,
                uint64_t attempt,
                enum task_state state)
{
    struct run_report run = {.attempt = attempt, .state = state};
    struct buffer frame = {0};

    update_pack(agent, &run, 1, &frame);
    rig_frame(rig, session, &frame);
    rig_settle(rig);
}

static void send_spec(struct rig *rig, uint64_t session, struct job_spec *spec)
{
    struct submit_request request;
    struct buffer bytes = {0}, frame = {0};

    job_spec_pack(spec, &bytes);
    job_spec_finish(spec);
    rig->last_rpc++;
    request = (struct submit_request){.key = {(const uint8_t *)&rig->last_rpc, 4},
                                      .spec = buffer_view(&bytes)};
    submit_pack(&request, rig->last_rpc, &frame);
    rig_frame(rig, session, &frame);
    buffer_finish(&bytes);
}

static uint64_t submitted(struct rig *rig)
{
    struct submit_result result;

    rig_settle(rig);
    ck_assert_uint_eq(rig->answer.id, rig->last_rpc);
    ck_assert_int_eq(rig->answer.code, ERROR_NONE);
    ck_assert_int_eq(submit_result_unpack(&result, rig->answer.params, NULL), 0);
    return result.id;
}

uint64_t rig_submit_spec(struct rig *rig, uint64_t session, struct job_spec *spec)
{
    send_spec(rig, session, spec);
    return submitted(rig);
}

uint64_t rig_submit(struct rig *rig, uint64_t session, uint32_t instances)
{
    return rig_submit_large(rig, session, instances, 4);
}

void rig_send_submit(struct rig *rig, uint64_t session, uint32_t instances, size_t size)
{
    char *argument = mem_zalloc(size + 1);
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("job");
    spec.instances = instances;
    spec.resources.amount[RESOURCE_CPUS] = 1;
    memset(argument, 'x', size);
    job_spec_add_arg(&spec, argument);
    mem_free(argument);
    send_spec(rig, session, &spec);
}

uint64_t
rig_submit_large(struct rig *rig, uint64_t session, uint32_t instances, size_t size)
{
    rig_send_submit(rig, session, instances, size);
    return submitted(rig);
}

void rig_list(struct rig *rig,
              uint64_t session,
              enum method method,
              struct list_request request)
{
    struct buffer frame = {0};

    list_pack(method, &request, ++rig->last_rpc, &frame);
    rig_frame(rig, session, &frame);
}

void rig_expect_why(struct rig *rig, uint64_t session, uint64_t job, const char *words)
{
    struct list_result list;
    struct command_cursor at = {0};
    struct job_summary summary;
    char why[256];

    rig_list(rig, session, METHOD_JOBS, (struct list_request){.of = job, .limit = 1});
    rig_settle(rig);
    ck_assert_int_eq(list_result_unpack(&list, METHOD_JOBS, rig->answer.params, NULL),
                     0);
    ck_assert(job_summary_next(&list, &at, &summary));
    snprintf(why,
             sizeof(why),
             "%.*s",
             (int)summary.why.size,
             (const char *)summary.why.data);
    ck_assert_msg(strstr(why, words) != NULL, "\"%s\" has no \"%s\"", why, words);
}

static void by_id(struct rig *rig, uint64_t session, enum method method, uint64_t job)
{
    struct buffer frame = {0};

    id_request_pack(method, job, ++rig->last_rpc, &frame);
    rig_frame(rig, session, &frame);
}

void rig_kill(struct rig *rig, uint64_t session, uint64_t job)
{
    by_id(rig, session, METHOD_KILL, job);
}

void rig_purge(struct rig *rig, uint64_t session, uint64_t job)
{
    by_id(rig, session, METHOD_PURGE, job);
}
