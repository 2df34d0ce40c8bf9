/* runs.c - the life of a run as a table (docs/spec/6-agent.md).
 *
 * A row is what the agent knows of an attempt, a column what happens to it.  An empty
 * cell changes nothing: orders and notices may be late, doubled or about something long
 * over.
 */
#include "agent/core/core_internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "wire/job.h"

#include <stdio.h>
#include <string.h>

static int compare_attempts(const struct run *a, const struct run *b)
{
    return (a->attempt > b->attempt) - (a->attempt < b->attempt);
}

static int compare_kills(const struct run *a, const struct run *b)
{
    if (a->kill_ms != b->kill_ms)
        return a->kill_ms < b->kill_ms ? -1 : 1;
    return compare_attempts(a, b);
}

RB_GENERATE(run_tree, run, by_attempt, compare_attempts)
RB_GENERATE(kill_tree, run, by_kill, compare_kills)

/* ---- one run ---- */

static void set_phase(struct agent_core *core, struct run *r, enum run_phase phase)
{
    core->phases[r->phase]--;
    core->phases[phase]++;
    r->phase = (uint8_t)phase;
}

static void set_kill(struct agent_core *core, struct run *r, uint64_t kill_ms)
{
    if (r->kill_ms != NEVER)
        RB_REMOVE(kill_tree, &core->kills, r);
    r->kill_ms = kill_ms;
    if (kill_ms != NEVER)
        RB_INSERT(kill_tree, &core->kills, r);
}

/* Nothing happens with the run until the record of this step is durable. */
static void wait_durable(struct agent_core *core, struct run *r)
{
    r->sequence = records_next(core);
    if (!r->is_waiting)
        TAILQ_INSERT_TAIL(&core->waiting, r, waiting);
    r->is_waiting = true;
}

static struct run *add(struct agent_core *core, uint64_t attempt, enum run_phase phase)
{
    struct run *r = mem_zalloc(sizeof(*r));

    r->attempt = attempt;
    r->phase = (uint8_t)phase;
    r->state = TASK_STAGING;
    r->acked = TASK_STAGING;
    r->kill_ms = NEVER;
    ASSERT(RB_INSERT(run_tree, &core->runs, r) == NULL);
    core->run_count++;
    core->phases[phase]++;
    core->digest += run_digest(attempt, r->state);
    return r;
}

static void destroy(struct run *r)
{
    mem_free((void *)(uintptr_t)r->spec.data);
    mem_free(r->message);
    mem_free(r);
}

/* The run is in a later state than before. */
static void set_state(struct agent_core *core, struct run *r, enum task_state state)
{
    ASSERT(state > r->state);
    core->digest -= run_digest(r->attempt, r->state);
    core->digest += run_digest(r->attempt, state);
    r->state = (uint8_t)state;
    updates_changed(core, r);
}

static void set_end(struct agent_core *core,
                    struct run *r,
                    enum task_state state,
                    enum task_reason reason,
                    int exit_code,
                    const char *message)
{
    r->reason = (uint8_t)reason;
    r->exit_code = exit_code;
    r->message = message[0] == 0 ? NULL : mem_strdup(message);
    r->started = false;
    set_kill(core, r, NEVER);
    set_state(core, r, state);
}

static void signal_run(struct agent_core *core, struct run *r, enum run_signal signal)
{
    struct agent_action *action = agent_actions_add(core->out, AGENT_SIGNAL_RUN);

    action->signal_run.attempt = r->attempt;
    action->signal_run.signal = signal;
}

/* ---- cells of the table ---- */

static void accept(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    core->highest = r->attempt;
    core->fence_changed = true;
    core->launches_accepted++;
    r->kept = true;
    records_put_run(core, r);
    wait_durable(core, r);
    set_state(core, r, TASK_STARTING);
}

/* The fence rises over it, so that a launch that comes late finds it refused. */
static void
never_start(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    core->highest = r->attempt;
    core->fence_changed = true;
    wait_durable(core, r);
    set_end(core,
            r,
            TASK_KILLED,
            TASK_REASON_KILLED_BY_USER,
            0,
            "stopped before it was launched");
}

static void refuse(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    const char *why =
        r->attempt > core->highest
            ? "the agent has too many runs"
            : "the agent does not know this attempt, and starts none twice";

    (void)e;
    core->attempts_refused++;
    set_end(core, r, TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0, why);
}

struct run_start runs_start_of(const struct agent_core *core, const struct run *r)
{
    return (struct run_start){
        .attempt = r->attempt,
        .job = r->job,
        .instance = r->instance,
        .number = r->number,
        .term = r->term,
        .agent = core->agent,
        .spec = r->spec,
    };
}

static void start(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    struct agent_action *action = agent_actions_add(core->out, AGENT_START_RUN);

    (void)e;
    action->start_run = runs_start_of(core, r);
}

static void
note_started(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    r->started = true;
    set_state(core, r, TASK_RUNNING);
}

static void cancel(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    set_end(core,
            r,
            TASK_KILLED,
            TASK_REASON_KILLED_BY_USER,
            0,
            "stopped before it was started");
}

/* Kept in its record: an agent that restarts must know that its end was asked for. */
static void
terminate(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    bool patient = r->kill_grace_ms > 0;

    (void)e;
    if (!r->stopped) {
        r->stopped = true;
        records_put_run(core, r);
    }
    if (!r->started)
        return; /* as soon as it has: terminate_late() */
    signal_run(core, r, patient ? RUN_SIGNAL_TERM : RUN_SIGNAL_KILL);
    set_kill(core, r, core->now_ms + (patient ? r->kill_grace_ms : KILL_REPEAT_MS));
}

static void
terminate_late(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    note_started(core, r, e);
    terminate(core, r, e);
}

static void
kill_run(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    signal_run(core, r, RUN_SIGNAL_KILL);
    set_kill(core, r, core->now_ms + KILL_REPEAT_MS);
}

static void
note_ended(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    struct run_verdict v;

    ends_judge(&e->run_ended, r->stopped, &v);
    set_end(core, r, v.state, v.reason, v.exit_code, v.message);
}

static void forget(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    if (r->kept) {
        records_erase_run(core, r);
        agent_actions_add(core->out, AGENT_FORGET_RUN)->forget_run.attempt = r->attempt;
    }
    if (r->is_waiting)
        TAILQ_REMOVE(&core->waiting, r, waiting);
    updates_drop(core, r);
    RB_REMOVE(run_tree, &core->runs, r);
    core->digest -= run_digest(r->attempt, r->state);
    core->run_count--;
    core->phases[r->phase]--;
    destroy(r);
}

/* ---- the table ---- */

struct cell {
    void (*act)(struct agent_core *core, struct run *r, const struct agent_event *e);
    enum run_phase next;
};

static const struct cell table[RUN_PHASES][RUN_EVENTS] = {
    [RUN_NEW] =
        {
            [RUN_ON_LAUNCH] = {accept, RUN_RECORDED},
            [RUN_ON_STOP] = {never_start, RUN_ENDED},
        },
    [RUN_PAST] =
        {
            [RUN_ON_LAUNCH] = {refuse, RUN_ENDED},
            [RUN_ON_STOP] = {refuse, RUN_ENDED},
        },
    [RUN_RECORDED] =
        {
            [RUN_ON_DURABLE] = {start, RUN_STARTING},
            [RUN_ON_STOP] = {cancel, RUN_ENDED},
        },
    [RUN_STARTING] =
        {
            [RUN_ON_STARTED] = {note_started, RUN_RUNNING},
            [RUN_ON_ENDED] = {note_ended, RUN_ENDED},
            [RUN_ON_STOP] = {terminate, RUN_STOPPING},
        },
    [RUN_RUNNING] =
        {
            [RUN_ON_ENDED] = {note_ended, RUN_ENDED},
            [RUN_ON_STOP] = {terminate, RUN_STOPPING},
        },
    [RUN_STOPPING] =
        {
            [RUN_ON_STARTED] = {terminate_late, RUN_STOPPING},
            [RUN_ON_ENDED] = {note_ended, RUN_ENDED},
            [RUN_ON_KILL_DUE] = {kill_run, RUN_STOPPING},
        },
    [RUN_ENDED] =
        {
            [RUN_ON_ACKED] = {forget, RUN_PAST},
        },
};

static void run_step(struct agent_core *core,
                     struct run *r,
                     enum run_event event,
                     const struct agent_event *e)
{
    const struct cell *cell = &table[r->phase][event];

    if (cell->act == NULL)
        return;
    if (cell->next != RUN_PAST)
        set_phase(core, r, cell->next);
    cell->act(core, r, e);
}

/* ---- what comes in ---- */

void runs_init(struct agent_core *core)
{
    RB_INIT(&core->runs);
    RB_INIT(&core->kills);
    TAILQ_INIT(&core->waiting);
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

/* A spec that does not decode has no grace; its launcher will say what is wrong with
 * it. */
void runs_set_spec(struct run *r, struct bytes spec)
{
    struct job_spec decoded;

    r->spec.size = spec.size;
    r->spec.data = spec.size == 0 ? NULL : mem_dup(spec.data, spec.size);
    if (job_spec_unpack(&decoded, spec, NULL) == 0) {
        r->kill_grace_ms = decoded.kill_grace_ms;
        job_spec_finish(&decoded);
    }
}

struct run *runs_restore(struct agent_core *core, uint64_t attempt)
{
    struct run *r = add(core, attempt, RUN_STARTING);

    r->kept = true;
    set_state(core, r, TASK_STARTING);
    agent_actions_add(core->out, AGENT_ADOPT_RUN)->adopt_run.attempt = attempt;
    return r;
}

void runs_set_stopped(struct agent_core *core, struct run *r)
{
    r->stopped = true;
    set_phase(core, r, RUN_STOPPING);
}

/* The run of an order, made for it if the attempt has none. */
static struct run *ordered(struct agent_core *core, uint64_t attempt)
{
    struct run *r = runs_find(core, attempt);
    bool is_new = attempt > core->highest && core->run_count < LIMIT_AGENT_RUNS;

    return r != NULL ? r : add(core, attempt, is_new ? RUN_NEW : RUN_PAST);
}

void runs_launch(struct agent_core *core, uint64_t term, const struct launch *l)
{
    struct run *r = ordered(core, l->attempt);

    if (r->phase == RUN_NEW) {
        r->job = l->job;
        r->instance = l->instance;
        r->number = l->number;
        r->term = term;
        runs_set_spec(r, l->spec);
    }
    run_step(core, r, RUN_ON_LAUNCH, NULL);
#ifdef MUTANT_START_BEFORE_RECORD
    if (r->phase == RUN_RECORDED)
        run_step(core, r, RUN_ON_DURABLE, NULL);
#endif
}

void runs_stop(struct agent_core *core, uint64_t attempt)
{
    run_step(core, ordered(core, attempt), RUN_ON_STOP, NULL);
}

void runs_stop_all(struct agent_core *core)
{
    struct run *r;

    RB_FOREACH (r, run_tree, &core->runs)
        run_step(core, r, RUN_ON_STOP, NULL);
}

void runs_ack(struct agent_core *core, uint64_t attempt, enum task_state state)
{
    struct run *r = runs_find(core, attempt);

    if (r == NULL)
        return;
    if (task_state_is_final(state)) {
        run_step(core, r, RUN_ON_ACKED, NULL);
    } else if (state > r->acked) {
        r->acked = (uint8_t)state;
        if (r->acked >= r->state)
            updates_drop(core, r);
    }
}

void runs_started(struct agent_core *core, uint64_t attempt)
{
    struct run *r = runs_find(core, attempt);

    if (r != NULL)
        run_step(core, r, RUN_ON_STARTED, NULL);
}

void runs_ended(struct agent_core *core, const struct agent_event *event)
{
    struct run *r = runs_find(core, event->run_ended.attempt);

    if (r != NULL)
        run_step(core, r, RUN_ON_ENDED, event);
}

void runs_durable(struct agent_core *core)
{
    struct run *r;

    while ((r = TAILQ_FIRST(&core->waiting)) != NULL && r->sequence <= core->durable) {
        TAILQ_REMOVE(&core->waiting, r, waiting);
        r->is_waiting = false;
        updates_changed(core, r); /* it was not told until now */
        run_step(core, r, RUN_ON_DURABLE, NULL);
    }
}

void runs_tick(struct agent_core *core)
{
    struct run *r;

    while ((r = RB_MIN(kill_tree, &core->kills)) != NULL && r->kill_ms <= core->now_ms)
        run_step(core, r, RUN_ON_KILL_DUE, NULL);
}

uint64_t runs_deadline(const struct agent_core *core)
{
    struct run *r = RB_MIN(kill_tree, (struct kill_tree *)(uintptr_t)&core->kills);

    return r == NULL ? NEVER : r->kill_ms;
}
