/* rig.c - an agent's core with a hand-driven world around it. */
#include "tests/unit/agent_core/rig.h"

#include "base/mem.h"
#include "wire/job.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define TICKS_MAX 100000 /* more in one rig_advance() is a timer that does not move */

const uint8_t rig_cluster[CLUSTER_ID_BYTES] = "cluster of tests";

/* ---- the disk ---- */

static struct bytes copy(struct bytes b)
{
    return (struct bytes){mem_dup(b.data, b.size), b.size};
}

static void record_free(struct agent_record *r)
{
    mem_free((void *)(uintptr_t)r->key.data);
    mem_free((void *)(uintptr_t)r->value.data);
}

static void disk_queue(struct rig *rig, const struct agent_action *a)
{
    ck_assert_uint_eq(a->record.sequence, rig->sequence + 1);
    rig->sequence = a->record.sequence;
    for (size_t i = 0; i < a->record.count; i++) {
        MEM_GROW(rig->queued, rig->queued_capacity, rig->queued_count + 1);
        rig->queued[rig->queued_count++] = (struct agent_record){
            copy(a->record.records[i].key), copy(a->record.records[i].value)};
    }
}

static void disk_put(struct rig *rig, const struct agent_record *r)
{
    for (size_t i = 0; i < rig->kept_count; i++) {
        struct agent_record *k = &rig->kept[i];

        if (k->key.size == r->key.size &&
            memcmp(k->key.data, r->key.data, r->key.size) == 0) {
            record_free(k);
            *k = rig->kept[--rig->kept_count];
            break;
        }
    }
    if (r->value.size == 0)
        return;
    MEM_GROW(rig->kept, rig->kept_capacity, rig->kept_count + 1);
    rig->kept[rig->kept_count++] = (struct agent_record){copy(r->key), copy(r->value)};
}

static void disk_forget_queued(struct rig *rig)
{
    for (size_t i = 0; i < rig->queued_count; i++)
        record_free(&rig->queued[i]);
    rig->queued_count = 0;
}

/* ---- steps ---- */

static void note(struct rig *rig, const struct agent_action *a)
{
    struct rig_done *d;
    struct error err;

    MEM_GROW(rig->done, rig->done_capacity, rig->done_count + 1);
    d = &rig->done[rig->done_count++];
    *d = (struct rig_done){.kind = a->kind};
    switch (a->kind) {
    case AGENT_SEND:
        d->session = a->send.session;
        ck_assert_uint_eq(load_u32(a->send.bytes.data) + 4, a->send.bytes.size);
        buffer_append(&d->bytes, a->send.bytes.data + 4, a->send.bytes.size - 4);
        ck_assert_int_eq(rpc_unpack(&d->rpc, buffer_view(&d->bytes), &err), 0);
        break;
    case AGENT_CLOSE:
        d->session = a->close.session;
        break;
    case AGENT_DIAL:
        buffer_append_text(&d->bytes, a->dial.address);
        break;
    case AGENT_START_RUN:
        d->attempt = a->start_run.attempt;
        d->restarts = a->start_run.restarts;
        rig->restarts = a->start_run.restarts;
        break;
    case AGENT_CHECK:
        d->attempt = a->check.attempt;
        d->restarts = a->check.restarts;
        d->index = a->check.index;
        break;
    case AGENT_RENEW:
        d->boot_ms = a->renew.boot_ms;
        rig->renewed_ms = a->renew.boot_ms;
        break;
    case AGENT_SIGNAL_RUN:
        d->attempt = a->signal_run.attempt;
        d->signal = a->signal_run.signal;
        break;
    case AGENT_ADOPT_RUN:
    case AGENT_FORGET_RUN:
        d->attempt = a->adopt_run.attempt;
        break;
    default:
        ck_abort_msg("an action that is not noted");
    }
}

void rig_step(struct rig *rig, struct agent_event *event)
{
    event->now_ms = rig->now_ms;
    agent_step(rig->core, event, &rig->actions);
    for (size_t i = 0; i < rig->actions.count; i++) {
        const struct agent_action *a = &rig->actions.list[i];

        if (a->kind == AGENT_RECORD)
            disk_queue(rig, a);
        else if (a->kind == AGENT_TIMER)
            rig->timer_ms = a->timer.deadline_ms;
        else if (a->kind == AGENT_FATAL)
            rig->fatal = *a->fatal.error;
        else if (a->kind == AGENT_LOG)
            rig->warnings += a->log.level == LOG_LEVEL_WARNING ? 1 : 0;
        else
            note(rig, a);
    }
}

static void start(struct rig *rig)
{
    struct agent_spec spec = {.hostname = "host", .http_address = "host:5051"};
    struct agent_event event = {
        .kind = AGENT_START,
        .start = {.spec = &spec,
                  .masters = RIG_MASTERS,
                  .records = rig->kept,
                  .record_count = rig->kept_count,
                  .renewed_ms = rig->renewed_ms},
    };

    spec.resources.amount[RESOURCE_CPUS] = 4000;
    spec.resources.amount[RESOURCE_MEM] = 1 << 30;
    memset(event.start.entropy, rig->entropy++, sizeof(event.start.entropy));
    rig->core = agent_core_create();
    rig->sequence = 0;
    rig->timer_ms = UINT64_MAX;
    rig_step(rig, &event);
}

void rig_init(struct rig *rig)
{
    struct job_spec spec;

    *rig = (struct rig){.now_ms = 1000, .entropy = 1, .job = 1};
    job_spec_init(&spec);
    spec.name = mem_strdup("job");
    spec.instances = 1;
    spec.kill_grace_ms = 3000;
    job_spec_add_arg(&spec, "true");
    job_spec_pack(&spec, &rig->spec);
    job_spec_finish(&spec);
    start(rig);
}

static void stop(struct rig *rig)
{
    agent_core_destroy(rig->core);
    disk_forget_queued(rig);
    rig_forget(rig);
    memset(rig->session, 0, sizeof(rig->session));
}

void rig_restart(struct rig *rig)
{
    stop(rig);
    start(rig);
}

void rig_finish(struct rig *rig)
{
    stop(rig);
    for (size_t i = 0; i < rig->kept_count; i++)
        record_free(&rig->kept[i]);
    mem_free(rig->kept);
    mem_free(rig->queued);
    mem_free(rig->done);
    buffer_finish(&rig->spec);
    agent_actions_finish(&rig->actions);
}

void rig_durable(struct rig *rig)
{
    struct agent_event event = {.kind = AGENT_DURABLE,
                                .durable.sequence = rig->sequence};

    for (size_t i = 0; i < rig->queued_count; i++)
        disk_put(rig, &rig->queued[i]);
    disk_forget_queued(rig);
    rig_step(rig, &event);
}

void rig_advance(struct rig *rig, uint64_t ms)
{
    uint64_t end = rig->now_ms + ms;
    int ticks = 0;

    while (rig->timer_ms <= end) {
        struct agent_event event = {.kind = AGENT_TICK};

        if (rig->timer_ms > rig->now_ms)
            rig->now_ms = rig->timer_ms;
        rig->timer_ms = UINT64_MAX;
        rig_step(rig, &event);
        ck_assert_int_lt(++ticks, TICKS_MAX);
    }
    rig->now_ms = end;
}

/* ---- masters ---- */

static const char *const ADDRESSES[RIG_MASTERS + 1] = {"m1:1", "m2:1", "m3:1", "m4:1"};

void rig_frame(struct rig *rig, unsigned master, struct buffer *frame)
{
    struct agent_event event = {
        .kind = AGENT_FRAME,
        .frame = {.session = rig->session[master],
                  .bytes = {frame->data + 4, frame->size - 4}},
    };

    rig_step(rig, &event);
    buffer_finish(frame);
}

void rig_open(struct rig *rig, unsigned master, const struct hello *hello)
{
    struct hello usual = {
        .protocol = PROTOCOL_VERSION,
        .role = HELLO_MASTER,
        .cluster = {rig_cluster, sizeof(rig_cluster)},
        .id = master + 1,
        .incarnation = 1,
        .founding = FOUNDING_MEMBER,
    };
    struct agent_event event = {
        .kind = AGENT_SESSION_OPENED,
        .opened = {.session = ++rig->last_session,
                   .master = master,
                   .address = ADDRESSES[master]},
    };
    struct buffer frame = {0};

    rig->session[master] = rig->last_session;
    rig_step(rig, &event);
    hello_pack(hello != NULL ? hello : &usual, &frame);
    rig_frame(rig, master, &frame);
}

void rig_close_because(struct rig *rig, unsigned master, enum error_code reason)
{
    struct agent_event event = {
        .kind = AGENT_SESSION_CLOSED,
        .closed = {.session = rig->session[master], .reason = reason}};

    rig_step(rig, &event);
}

void rig_close(struct rig *rig, unsigned master)
{
    rig_close_because(rig, master, ERROR_NONE);
}

void rig_leading(struct rig *rig, unsigned master, uint64_t term)
{
    struct buffer frame = {0};

    leading_pack(term, &frame);
    rig_frame(rig, master, &frame);
}

static uint32_t register_id(const struct rig *rig, unsigned master)
{
    size_t n = rig_sent_count(rig, master, METHOD_REGISTER);

    ck_assert_uint_gt(n, 0);
    return rig_sent(rig, master, METHOD_REGISTER, n - 1)->rpc.id;
}

void rig_registered(struct rig *rig, unsigned master, bool send_runs)
{
    struct register_result result = {
        .agent = 7,
        .term = rig_status(rig).term,
        .send_runs = send_runs,
    };
    struct buffer frame = {0};

    memcpy(result.cluster_id, rig_cluster, sizeof(rig_cluster));
    register_result_pack(&result, register_id(rig, master), &frame);
    rig_frame(rig, master, &frame);
}

void rig_refuse(struct rig *rig, unsigned master, enum error_code code)
{
    struct buffer frame = {0};

    rpc_error(&frame, register_id(rig, master), code, "no", "");
    rig_frame(rig, master, &frame);
}

void rig_hint(struct rig *rig, unsigned master, const char *leader)
{
    struct buffer frame = {0};

    rpc_error(&frame, register_id(rig, master), ERROR_NOT_LEADER, "no", leader);
    rig_frame(rig, master, &frame);
}

void rig_follow(struct rig *rig, unsigned master, uint64_t term)
{
    if (rig->session[master] == 0)
        rig_open(rig, master, NULL);
    rig_leading(rig, master, term);
    rig_durable(rig);
    rig_registered(rig, master, false);
    rig_durable(rig);
    ck_assert(rig_status(rig).registered);
}

void rig_launch(struct rig *rig, unsigned master, uint64_t term, uint64_t attempt)
{
    struct launch l = {
        .attempt = attempt,
        .job = rig->job,
        .number = 1,
        .spec = buffer_view(&rig->spec),
    };
    struct buffer frame = {0};

    ck_assert_uint_eq(launch_pack(term, &l, 1, &frame), 1);
    rig_frame(rig, master, &frame);
}

void rig_stop(struct rig *rig, unsigned master, uint64_t term, uint64_t attempt)
{
    struct stop s = {.attempt = attempt, .superseded = rig->superseded};
    struct buffer frame = {0};

    stop_pack(term, &s, 1, &frame);
    rig_frame(rig, master, &frame);
}

/* As the master does it: with the health and the restarts that it was told. */
void rig_ack(struct rig *rig,
             unsigned master,
             uint64_t term,
             uint64_t attempt,
             enum task_state state)
{
    struct ack a = {.attempt = attempt, .state = state};
    struct run_report report;
    struct buffer frame = {0};

    if (rig_report(rig, attempt, &report)) {
        a.health = report.health;
        a.restarts = report.restarts;
    }
    ack_pack(term, &a, 1, &frame);
    rig_frame(rig, master, &frame);
}

void rig_lease(struct rig *rig, unsigned master, uint64_t term, uint64_t sequence)
{
    struct buffer frame = {0};

    lease_pack(term, sequence, &frame);
    rig_frame(rig, master, &frame);
}

static struct heartbeat last_heartbeat(const struct rig *rig, unsigned master)
{
    size_t n = rig_sent_count(rig, master, METHOD_HEARTBEAT);
    struct heartbeat h;
    struct error err;

    ck_assert_uint_gt(n, 0);
    ck_assert_int_eq(
        heartbeat_unpack(
            &h, rig_sent(rig, master, METHOD_HEARTBEAT, n - 1)->rpc.params, &err),
        0);
    return h;
}

uint64_t rig_asked(const struct rig *rig, unsigned master)
{
    return last_heartbeat(rig, master).sequence;
}

uint32_t rig_flags(const struct rig *rig, unsigned master)
{
    return last_heartbeat(rig, master).flags;
}

/* ---- jobs ---- */

void rig_get_spec(const struct rig *rig, struct job_spec *spec)
{
    struct error err;

    ck_assert_int_eq(job_spec_unpack(spec, buffer_view(&rig->spec), &err), 0);
}

void rig_set_spec(struct rig *rig, struct job_spec *spec)
{
    buffer_clear(&rig->spec);
    job_spec_pack(spec, &rig->spec);
    job_spec_finish(spec);
}

/* ---- the launcher ---- */

void rig_started(struct rig *rig, uint64_t attempt)
{
    struct agent_event event = {.kind = AGENT_RUN_STARTED,
                                .run_started = {.attempt = attempt,
                                                .restarts = rig->restarts,
                                                .since_ms = rig->now_ms}};

    rig_step(rig, &event);
}

void rig_ended(struct rig *rig, uint64_t attempt, enum run_end how, int code)
{
    struct agent_event event = {
        .kind = AGENT_RUN_ENDED,
        .run_ended = {.attempt = attempt,
                      .restarts = rig->restarts,
                      .how = how,
                      .code = code},
    };

    rig_step(rig, &event);
}

void rig_checked(struct rig *rig, uint64_t attempt, uint32_t index, bool passed)
{
    struct agent_event event = {
        .kind = AGENT_CHECKED,
        .checked = {.attempt = attempt,
                    .restarts = rig->restarts,
                    .index = index,
                    .passed = passed,
                    .message = passed ? NULL : "refused"},
    };

    rig_step(rig, &event);
}

void rig_disk(struct rig *rig, bool low)
{
    struct agent_event event = {.kind = AGENT_DISK, .disk.low = low};

    rig_step(rig, &event);
}

/* ---- what was done ---- */

void rig_forget(struct rig *rig)
{
    for (size_t i = 0; i < rig->done_count; i++)
        buffer_finish(&rig->done[i].bytes);
    rig->done_count = 0;
}

const struct rig_done *
rig_done(const struct rig *rig, enum agent_action_kind kind, size_t n)
{
    for (size_t i = 0; i < rig->done_count; i++) {
        if (rig->done[i].kind == kind && n-- == 0)
            return &rig->done[i];
    }
    return NULL;
}

size_t rig_count(const struct rig *rig, enum agent_action_kind kind)
{
    size_t n = 0;

    while (rig_done(rig, kind, n) != NULL)
        n++;
    return n;
}

const struct rig_done *
rig_sent(const struct rig *rig, unsigned master, enum method method, size_t n)
{
    for (size_t i = 0; i < rig->done_count; i++) {
        const struct rig_done *d = &rig->done[i];

        if (d->kind == AGENT_SEND && d->session == rig->session[master] &&
            d->rpc.type != RPC_RESPONSE && d->rpc.method == method && n-- == 0)
            return d;
    }
    return NULL;
}

size_t rig_sent_count(const struct rig *rig, unsigned master, enum method method)
{
    size_t n = 0;

    while (rig_sent(rig, master, method, n) != NULL)
        n++;
    return n;
}

bool rig_report(const struct rig *rig, uint64_t attempt, struct run_report *out)
{
    bool found = false;

    for (size_t i = 0; i < rig->done_count; i++) {
        const struct rig_done *d = &rig->done[i];
        struct command_cursor at = {0};
        struct run_report report;
        struct run_list list;
        struct error err;

        if (d->kind != AGENT_SEND ||
            (d->rpc.method != METHOD_UPDATE && d->rpc.method != METHOD_RUNS))
            continue;
        ck_assert_int_eq(run_list_unpack(&list, d->rpc.params, &err), 0);
        while (run_list_next(&list, &at, &report)) {
            if (report.attempt == attempt) {
                *out = report;
                found = true;
            }
        }
    }
    return found;
}

struct agent_status rig_status(const struct rig *rig)
{
    struct agent_status status;

    agent_core_status(rig->core, &status);
    return status;
}
