/* runs.c - the runs of this agent, and what comes in about them: orders, notices, time.
 *
 * What each of these does to a run is in the table (run_table.c).  A run that has
 * something to be done later is in one tree, in order of when.
 */
#include "agent/core/core_internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>

static int compare_attempts(const struct run *a, const struct run *b)
{
    return (a->attempt > b->attempt) - (a->attempt < b->attempt);
}

static int compare_wakes(const struct run *a, const struct run *b)
{
    if (a->wake_ms != b->wake_ms)
        return a->wake_ms < b->wake_ms ? -1 : 1;
    return compare_attempts(a, b);
}

RB_GENERATE(run_tree, run, by_attempt, compare_attempts)
RB_GENERATE(wake_tree, run, by_wake, compare_wakes)

/* ---- the runs ---- */

void runs_init(struct agent_core *core)
{
    RB_INIT(&core->runs);
    RB_INIT(&core->wakes);
    TAILQ_INIT(&core->waiting);
    TAILQ_INIT(&core->held);
}

static void destroy(struct run *r)
{
    mem_free((void *)(uintptr_t)r->spec.data);
    mem_free(r->ports);
    mem_free(r->checks);
    mem_free(r->message);
    mem_free(r);
}

void runs_finish(struct agent_core *core)
{
    struct run *r, *next;

    RB_FOREACH_SAFE (r, run_tree, &core->runs, next) {
        RB_REMOVE(run_tree, &core->runs, r);
        destroy(r);
    }
}

struct run *runs_find(const struct agent_core *core, uint64_t attempt)
{
    struct run key = {.attempt = attempt};

    return RB_FIND(run_tree, (struct run_tree *)(uintptr_t)&core->runs, &key);
}

static struct run *add(struct agent_core *core, uint64_t attempt, enum run_phase phase)
{
    struct run *r = mem_zalloc(sizeof(*r));

    r->attempt = attempt;
    r->phase = (uint8_t)phase;
    r->state = TASK_STAGING;
    r->acked = TASK_STAGING;
    r->kill_ms = r->start_ms = r->overdue_ms = NEVER;
    r->check_ms = r->tell_ms = r->wake_ms = NEVER;
    ASSERT(RB_INSERT(run_tree, &core->runs, r) == NULL);
    core->run_count++;
    core->phases[phase]++;
    core->digest += run_digest(attempt, r->state);
    return r;
}

static void release(struct agent_core *core, struct run *r)
{
    if (r->is_held)
        TAILQ_REMOVE(&core->held, r, waiting);
    r->is_held = false;
}

void runs_remove(struct agent_core *core, struct run *r)
{
    release(core, r);
    if (r->is_waiting)
        TAILQ_REMOVE(&core->waiting, r, waiting);
    if (r->wake_ms != NEVER)
        RB_REMOVE(wake_tree, &core->wakes, r);
    updates_drop(core, r);
    RB_REMOVE(run_tree, &core->runs, r);
    core->digest -= run_digest(r->attempt, r->state);
    core->run_count--;
    core->phases[r->phase]--;
    destroy(r);
}

/* What its command waits for, until it runs or something else is to be said. */
static void say_steps(struct run *r, const struct job_spec *spec)
{
    char text[LIMIT_MESSAGE_BYTES + 1] = "", source[TEXT_SOURCE_MAX];
    size_t count = spec->artifact_count, n = 0;

    if (spec->image.source != NULL)
        n = (size_t)snprintf(text,
                             sizeof(text),
                             "preparing image %s%s",
                             text_source(source, spec->image.source),
                             count > 0 ? ", " : "");
    if (count == 1)
        snprintf(text + n,
                 sizeof(text) - n,
                 "fetching artifact %.60s",
                 spec->artifacts[0].path);
    else if (count > 1)
        snprintf(text + n, sizeof(text) - n, "fetching %zu artifacts", count);
    run_say(r, text);
}

/* A spec that does not decode has no grace; its launcher will say what is wrong with
 * it. */
void runs_set_spec(struct run *r, struct bytes spec)
{
    struct job_spec decoded;

    r->spec.size = spec.size;
    r->spec.data = spec.size == 0 ? NULL : mem_dup(spec.data, spec.size);
    if (job_spec_unpack(&decoded, spec, NULL) != 0)
        return;
    r->kill_grace_ms = decoded.kill_grace_ms;
    r->max_runtime_ms = decoded.max_runtime_ms;
    r->lease_ms = job_lease_ms(&decoded);
    r->restart = decoded.restart;
    checks_set(r, &decoded);
    say_steps(r, &decoded);
    job_spec_finish(&decoded);
}

void runs_set_ports(struct run *r, const uint16_t *ports, uint32_t count)
{
    r->port_count = count;
    r->ports = count == 0 ? NULL : mem_dup(ports, count * sizeof(*ports));
}

/* ---- time ---- */

static uint64_t least(const struct run *r)
{
    const uint64_t all[] = {
        r->kill_ms, r->start_ms, r->overdue_ms, r->check_ms, r->tell_ms};
    uint64_t min = NEVER;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        min = all[i] < min ? all[i] : min;
    return min;
}

void runs_schedule(struct agent_core *core, struct run *r)
{
    uint64_t wake_ms = least(r);

    if (wake_ms == r->wake_ms)
        return;
    if (r->wake_ms != NEVER)
        RB_REMOVE(wake_tree, &core->wakes, r);
    r->wake_ms = wake_ms;
    if (wake_ms != NEVER)
        RB_INSERT(wake_tree, &core->wakes, r);
}

void runs_wait_durable(struct agent_core *core, struct run *r)
{
    release(core, r);
    r->sequence = records_next(core);
    if (r->is_waiting)
        return;
    TAILQ_INSERT_TAIL(&core->waiting, r, waiting);
    r->is_waiting = true;
    r->shown = r->state;
}

/* Starts it once its record is durable, its delay is over and its lease is valid. */
static void start_if_ready(struct agent_core *core, struct run *r)
{
    if (r->is_waiting || r->start_ms != NEVER)
        return;
    if (leases_valid(core, r)) {
        release(core, r);
        run_step(core, r, RUN_ON_READY, NULL);
    } else if (!r->is_held) {
        TAILQ_INSERT_TAIL(&core->held, r, waiting);
        r->is_held = true;
    }
}

static void go_on(struct agent_core *core, struct run *r)
{
    if (r->phase == RUN_RECORDED || r->phase == RUN_WAITING)
        start_if_ready(core, r);
    else if (r->phase == RUN_DOOMED && !r->is_waiting)
        run_step(core, r, RUN_ON_READY, NULL);
}

static bool is_due(const struct agent_core *core, uint64_t *deadline_ms)
{
    if (*deadline_ms > core->now_ms)
        return false;
    *deadline_ms = NEVER;
    return true;
}

static void wake(struct agent_core *core, struct run *r)
{
    if (is_due(core, &r->kill_ms))
        run_step(core, r, RUN_ON_KILL_DUE, NULL);
    if (is_due(core, &r->overdue_ms))
        run_step(core, r, RUN_ON_OVERDUE, NULL);
    if (is_due(core, &r->start_ms))
        go_on(core, r);
    if (is_due(core, &r->check_ms))
        checks_due(core, r);
    if (is_due(core, &r->tell_ms))
        updates_due(core, r);
    runs_schedule(core, r);
}

void runs_tick(struct agent_core *core)
{
    struct run *r;

    while ((r = RB_MIN(wake_tree, &core->wakes)) != NULL && r->wake_ms <= core->now_ms)
        wake(core, r);
}

uint64_t runs_deadline(const struct agent_core *core)
{
    struct run *r = RB_MIN(wake_tree, (struct wake_tree *)(uintptr_t)&core->wakes);

    return r == NULL ? NEVER : r->wake_ms;
}

/* A run that waits already keeps its place with a later record: those behind it may wait
 * a little longer than they must. */
void runs_durable(struct agent_core *core)
{
    struct run *r;

    while ((r = TAILQ_FIRST(&core->waiting)) != NULL && r->sequence <= core->durable) {
        TAILQ_REMOVE(&core->waiting, r, waiting);
        r->is_waiting = false;
        if (r->acked < r->state)
            updates_changed(core, r); /* it was not told until now */
        else
            updates_touched(core, r);
        go_on(core, r);
        runs_schedule(core, r);
    }
}

void runs_renewed(struct agent_core *core)
{
    struct run *r, *next;

    TAILQ_FOREACH_SAFE (r, &core->held, waiting, next)
        go_on(core, r);
}

/* ---- after a restart of the agent ---- */

struct run *runs_restore(struct agent_core *core, uint64_t attempt)
{
    struct run *r = add(core, attempt, RUN_STARTING);

    r->kept = true;
    run_set_state(core, r, TASK_STARTING);
    agent_actions_add(core->out, AGENT_ADOPT_RUN)->adopt_run.attempt = attempt;
    return r;
}

/* What it was told before is told again. */
void runs_restored(struct agent_core *core, struct run *r)
{
    leases_add(core, r);
    if (r->cause == CAUSE_NONE)
        return;
    core->phases[r->phase]--;
    core->phases[RUN_STOPPING]++;
    r->phase = RUN_STOPPING;
}

/* ---- orders ---- */

/* The run of an order, made for it if the attempt has none. */
static struct run *ordered(struct agent_core *core, uint64_t attempt)
{
    struct run *r = runs_find(core, attempt);

    return r != NULL ? r
                     : add(core, attempt, attempt > core->highest ? RUN_NEW : RUN_PAST);
}

void runs_launch(struct agent_core *core, uint64_t term, const struct launch *l)
{
    bool takes = core->run_count < LIMIT_AGENT_RUNS && !core->disk_low;
    struct run *r = ordered(core, l->attempt);

    if (r->phase == RUN_NEW && takes) {
        r->job = l->job;
        r->instance = l->instance;
        r->number = l->number;
        r->term = term;
        runs_set_spec(r, l->spec);
        runs_set_ports(r, l->ports, l->port_count);
    }
    run_step(core, r, takes ? RUN_ON_LAUNCH : RUN_ON_DECLINED, NULL);
#ifdef MUTANT_START_BEFORE_RECORD
    if (r->phase == RUN_RECORDED)
        run_step(core, r, RUN_ON_READY, NULL);
#endif
}

/* Work that is thrown away: who looks at it here wants to know why. */
static void log_superseded(struct agent_core *core, const struct run *r)
{
    if (r->cause == CAUSE_ORDER || r->phase < RUN_RECORDED || r->phase == RUN_ENDED)
        return;
    agent_actions_log(
        core->out,
        LOG_LEVEL_WARNING,
        "ending task %llu.%u (attempt %llu): it was replaced while this agent "
        "was out of reach",
        (unsigned long long)r->job,
        r->instance,
        (unsigned long long)r->attempt);
}

void runs_stop(struct agent_core *core, const struct stop *order)
{
    struct run *r = ordered(core, order->attempt);

    if (order->superseded)
        log_superseded(core, r);
    release(core, r);
    run_step(core, r, RUN_ON_STOP, NULL);
}

void runs_stop_all(struct agent_core *core)
{
    struct run *r;

    RB_FOREACH (r, run_tree, &core->runs) {
        release(core, r);
        run_step(core, r, RUN_ON_STOP, NULL);
    }
}

void runs_ack(struct agent_core *core, const struct ack *ack)
{
    struct run *r = runs_find(core, ack->attempt);

    if (r == NULL)
        return;
    if (task_state_is_final(ack->state)) {
        run_step(core, r, RUN_ON_ACKED, NULL);
        return;
    }
    if (ack->state > r->acked)
        r->acked = (uint8_t)ack->state;
    if (r->acked >= r->state && ack->health == r->health &&
        ack->restarts == r->restarts) {
        updates_drop(core, r);
        runs_schedule(core, r);
    }
}

/* ---- notices of the launcher ---- */

void runs_started(struct agent_core *core, const struct agent_event *event)
{
    struct run *r = runs_find(core, event->run_started.attempt);

    if (r != NULL)
        run_step(core, r, RUN_ON_STARTED, event);
}

/* Not what could not be made ready or ran too long: that would be the same again. */
static bool is_worth_a_restart(enum task_reason reason)
{
    return reason == TASK_REASON_EXITED || reason == TASK_REASON_SIGNALED ||
           reason == TASK_REASON_MEMORY_LIMIT || reason == TASK_REASON_DISK_LIMIT ||
           reason == TASK_REASON_HEALTH_CHECK;
}

void runs_ended(struct agent_core *core, const struct agent_event *event)
{
    struct run *r = runs_find(core, event->run_ended.attempt);
    struct run_verdict v;
    bool again;

    if (r == NULL)
        return;
    ends_judge(&event->run_ended, r, &v);
    again = v.state == TASK_FAILED && is_worth_a_restart(v.reason) &&
            (event->run_ended.restarts < r->restarts || restarts_left(core, r));
    run_step(core, r, again ? RUN_ON_FAILED : RUN_ON_ENDED, event);
}

void runs_checked(struct agent_core *core, const struct run_checked *answer)
{
    struct run *r = runs_find(core, answer->attempt);

    if (r == NULL)
        return;
    checks_answered(core, r, answer);
    runs_schedule(core, r);
}
