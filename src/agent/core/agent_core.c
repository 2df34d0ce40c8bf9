/* agent_core.c - events in: which part of the core they belong to. */
#include "agent/core/core_internal.h"
#include "base/assert.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct agent_core *agent_core_create(void)
{
    struct agent_core *core = mem_zalloc(sizeof(*core));

    core->leader.deadline_ms = NEVER;
    core->timer_ms = NEVER;
    runs_init(core);
    updates_init(core);
    return core;
}

void agent_core_destroy(struct agent_core *core)
{
    if (core == NULL)
        return;
    runs_finish(core);
    leading_finish(core);
    buffer_finish(&core->spec);
    mem_free(core);
}

void core_fatal(struct agent_core *core, enum error_code code, const char *format, ...)
{
    struct error *err = &core->out->fatal;
    char text[ERROR_TEXT_MAX];
    va_list args;

    if (core->stopped)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    error_set(err, code, "%s", text);
    agent_actions_add(core->out, AGENT_FATAL)->fatal.error = err;
    core->stopped = true;
}

static void start(struct agent_core *core, const struct agent_event *event)
{
    const uint8_t *entropy = event->start.entropy;
    struct agent_spec spec = *event->start.spec;
    struct error err;

    ASSERT(core->masters == 0);
    ASSERT(event->start.masters > 0 && event->start.masters <= LIMIT_MASTERS);
    core->listed = core->masters = event->start.masters;
    if (event->start.renewed_ms <= core->now_ms)
        core->renewed_ms = event->start.renewed_ms;
    core->incarnation = load_u64(entropy + sizeof(core->key));
    core->rng.state = load_u64(entropy + sizeof(core->key) + 8);
    if (records_load(core, event->start.records, event->start.record_count, &err) !=
        0) {
        core_fatal(core, err.code, "%s", err.text);
        return;
    }
    if (event->start.record_count == 0) {
        memcpy(core->key, entropy, sizeof(core->key));
        core->identity_changed = true;
        core->fence_changed = true;
    }
    memcpy(spec.key, core->key, sizeof(spec.key));
    if (agent_spec_check(&spec, &err) != 0) {
        core_fatal(core, err.code, "%s", err.text);
        return;
    }
    agent_spec_pack(&spec, &core->spec);
}

/* A process that slept must not act on an order before it has looked at its deadlines.
 * Only an end is heard first: it may be older than they are. */
static void dispatch(struct agent_core *core, const struct agent_event *event)
{
    if (event->kind != AGENT_RUN_ENDED)
        runs_tick(core);
    switch (event->kind) {
    case AGENT_START:
        start(core, event);
        break;
    case AGENT_TICK:
        leading_tick(core);
        finding_tick(core);
        updates_tick(core);
        break;
    case AGENT_SESSION_OPENED:
        leading_opened(core, event);
        break;
    case AGENT_SESSION_CLOSED:
        leading_closed(core, event->closed.session, event->closed.reason);
        break;
    case AGENT_FRAME:
        leading_frame(core, event->frame.session, event->frame.bytes);
        break;
    case AGENT_DURABLE:
        ASSERT(event->durable.sequence >= core->durable);
        core->durable = event->durable.sequence;
        runs_durable(core);
        leading_durable(core);
        break;
    case AGENT_RUN_STARTED:
        runs_started(core, event);
        break;
    case AGENT_RUN_ENDED:
        runs_ended(core, event);
        break;
    case AGENT_USAGE:
        usage_tell(core, event->usage.reports, event->usage.count);
        break;
    case AGENT_CHECKED:
        runs_checked(core, &event->checked);
        break;
    case AGENT_DISK:
        leading_disk(core, event->disk.low);
        break;
    }
}

/* An agent that is gone waits for its processes, then stops. */
static void stop_when_gone(struct agent_core *core)
{
    const uint32_t *n = core->phases;

    if (core->gone && n[RUN_RECORDED] + n[RUN_STARTING] + n[RUN_RUNNING] +
                              n[RUN_DOOMED] + n[RUN_STOPPING] + n[RUN_WAITING] ==
                          0)
        core_fatal(
            core,
            ERROR_NOT_FOUND,
            "this agent was declared gone and its runs have ended: start it with an "
            "empty --work-dir to join as a new agent");
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void set_timer(struct agent_core *core)
{
    uint64_t deadline = min(min(leading_deadline(core), finding_deadline(core)),
                            min(runs_deadline(core), updates_deadline(core)));

    if (deadline == core->timer_ms)
        return;
    core->timer_ms = deadline;
    agent_actions_add(core->out, AGENT_TIMER)->timer.deadline_ms = deadline;
}

void agent_step(struct agent_core *core,
                const struct agent_event *event,
                struct agent_actions *actions)
{
    agent_actions_clear(actions);
    if (core->stopped)
        return;
    ASSERT(event->now_ms >= core->now_ms);
    ASSERT(event->kind == AGENT_START || core->masters > 0);
    core->now_ms = event->now_ms;
    core->out = actions;
    if (event->kind == AGENT_TICK)
        core->timer_ms = NEVER; /* it is used up */
    dispatch(core, event);
    stop_when_gone(core);
    if (!core->stopped) {
        records_flush(core);
        finding_look(core);
        set_timer(core);
    }
    agent_actions_settle(actions);
    core->out = NULL;
}

void agent_core_status(const struct agent_core *core, struct agent_status *out)
{
    *out = (struct agent_status){
        .agent = core->agent,
        .term = core->term,
        .highest_attempt = core->highest,
        .registered = core->leader.phase == LEADER_REGISTERED,
        .leader = core->leader.phase == LEADER_REGISTERED
                      ? core->sessions[core->leader.master].address
                      : "",
        .recorded = core->phases[RUN_RECORDED],
        .starting = core->phases[RUN_STARTING],
        .running = core->phases[RUN_RUNNING],
        .stopping = core->phases[RUN_DOOMED] + core->phases[RUN_STOPPING],
        .waiting = core->phases[RUN_WAITING],
        .ended = core->phases[RUN_ENDED],
        .digest = core->digest,
        .launches_accepted = core->launches_accepted,
        .attempts_refused = core->attempts_refused,
        .orders_refused = core->orders_refused,
        .updates_sent = core->updates_sent,
        .has_cluster = core->has_cluster,
    };
    memcpy(out->cluster, core->cluster, sizeof(out->cluster));
}

bool agent_core_run_state(const struct agent_core *core,
                          uint64_t attempt,
                          enum task_state *out)
{
    const struct run *r = runs_find(core, attempt);

    if (r != NULL)
        *out = (enum task_state)r->state;
    return r != NULL;
}

bool agent_core_run_waits(const struct agent_core *core, uint64_t attempt)
{
    const struct run *r = runs_find(core, attempt);

    return r != NULL && r->phase == RUN_WAITING;
}

bool agent_core_run_start(const struct agent_core *core,
                          uint64_t attempt,
                          struct run_start *out)
{
    const struct run *r = runs_find(core, attempt);

    if (r != NULL)
        *out = run_start_of(core, r);
    return r != NULL && r->spec.size > 0;
}
