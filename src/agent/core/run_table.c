/* run_table.c - the life of a run as a table (docs/spec/6-agent.md).
 *
 * A row is what the agent knows of an attempt, a column what happens to it.  An empty
 * cell changes nothing: orders and notices may be late, doubled or about something long
 * over.
 */
#include "agent/core/core_internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* ---- one run ---- */

static void set_phase(struct agent_core *core, struct run *r, enum run_phase phase)
{
    core->phases[r->phase]--;
    core->phases[phase]++;
    r->phase = (uint8_t)phase;
}

/* The run is in a later state than before. */
void run_set_state(struct agent_core *core, struct run *r, enum task_state state)
{
    ASSERT(state > r->state);
    core->digest -= run_digest(r->attempt, r->state);
    core->digest += run_digest(r->attempt, state);
    r->state = (uint8_t)state;
    updates_changed(core, r);
}

void run_say(struct run *r, const char *message)
{
    mem_free(r->message);
    r->message = message[0] == 0 ? NULL : mem_strdup(message);
    if (r->message != NULL && strlen(r->message) > LIMIT_MESSAGE_BYTES)
        r->message[LIMIT_MESSAGE_BYTES] = 0;
}

static void note_verdict(struct run *r, const struct run_verdict *v)
{
    r->reason = (uint8_t)v->reason;
    r->exit_code = v->exit_code;
    run_say(r, v->message);
}

/* Its command does not run any more, or is about to end. */
static void leave_running(struct agent_core *core, struct run *r)
{
    r->overdue_ms = NEVER;
    checks_stop(core, r);
}

/* That it will not be started again must be durable before its end is told. */
static void keep_end(struct agent_core *core, struct run *r)
{
    r->over = true;
    updates_drop(core, r);
    records_put_run(core, r);
    runs_wait_durable(core, r);
}

static void set_end(struct agent_core *core, struct run *r, const struct run_verdict *v)
{
    note_verdict(r, v);
    r->started = false;
    r->kill_ms = NEVER;
    r->start_ms = NEVER;
    r->tell_ms = NEVER;
    leave_running(core, r);
    leases_drop(core, r);
    if (r->restart.attempts > 0 && (v->state == TASK_FAILED || v->state == TASK_KILLED))
        keep_end(core, r);
    run_set_state(core, r, v->state);
}

static void signal_run(struct agent_core *core, struct run *r, enum run_signal signal)
{
    struct agent_action *action = agent_actions_add(core->out, AGENT_SIGNAL_RUN);

    action->signal_run.attempt = r->attempt;
    action->signal_run.signal = signal;
}

/* ---- cells: orders ---- */

static void accept(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    core->highest = r->attempt;
    core->fence_changed = true;
    core->launches_accepted++;
    r->kept = true;
    records_put_run(core, r);
    runs_wait_durable(core, r);
    leases_add(core, r);
    run_set_state(core, r, TASK_STARTING);
}

/* The fence rises over it, so that a launch that comes late finds it refused. */
static void never_start(struct agent_core *core, struct run *r)
{
    core->highest = r->attempt;
    core->fence_changed = true;
    runs_wait_durable(core, r);
}

static void decline(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    struct run_verdict v = {TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0, ""};

    (void)e;
    strcpy(v.message,
           core->disk_low ? "the agent takes no new work: its disk is low"
                          : "the agent has too many runs");
    core->attempts_refused++;
    never_start(core, r);
    set_end(core, r, &v);
}

static void
stop_unheard(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    never_start(core, r);
    set_end(core,
            r,
            &(struct run_verdict){TASK_KILLED,
                                  TASK_REASON_KILLED_BY_USER,
                                  0,
                                  "stopped before it was launched"});
}

static void refuse(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    core->attempts_refused++;
    set_end(core,
            r,
            &(struct run_verdict){
                TASK_LOST,
                TASK_REASON_LAUNCH_REFUSED,
                0,
                "the agent does not know this attempt, and starts none twice"});
}

static void cancel(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    r->cause = CAUSE_ORDER;
    set_end(core,
            r,
            &(struct run_verdict){TASK_KILLED,
                                  TASK_REASON_KILLED_BY_USER,
                                  0,
                                  "stopped before it was started"});
}

static void
cancel_restart(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    r->cause = CAUSE_ORDER;
    set_end(core,
            r,
            &(struct run_verdict){TASK_KILLED,
                                  TASK_REASON_KILLED_BY_USER,
                                  r->exit_code,
                                  "stopped while it waited to be started again"});
}

/* ---- cells: told to end ---- */

/* A restarted agent must know that, and why: else the end that it sees would be the
 * task's own.  So no signal is sent before it is durable. */
static void set_cause(struct agent_core *core, struct run *r, enum run_cause cause)
{
    r->cause = (uint8_t)cause;
    leave_running(core, r);
    records_put_run(core, r);
    runs_wait_durable(core, r);
#ifdef MUTANT_SIGNAL_BEFORE_RECORD
    if (r->phase == RUN_DOOMED)
        run_step(core, r, RUN_ON_READY, NULL);
#endif
}

static void
end_ordered(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    set_cause(core, r, CAUSE_ORDER);
}

static void
end_overdue(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    set_cause(core, r, CAUSE_MAX_RUNTIME);
}

static void
end_unhealthy(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    set_cause(core, r, CAUSE_HEALTH);
}

/* It ends already, for a reason after which it might be started again. */
static void
take_over(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    if (r->cause != CAUSE_ORDER)
        set_cause(core, r, CAUSE_ORDER);
}

static void signal_end(struct agent_core *core, struct run *r)
{
    bool patient = r->kill_grace_ms > 0;

    signal_run(core, r, patient ? RUN_SIGNAL_TERM : RUN_SIGNAL_KILL);
    r->kill_ms = core->now_ms + (patient ? r->kill_grace_ms : KILL_REPEAT_MS);
}

/* While it is starting TERM waits: terminate_late() */
static void
terminate(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    if (r->started)
        signal_end(core, r);
    else
        signal_run(core, r, RUN_SIGNAL_CANCEL);
}

static void
kill_run(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    signal_run(core, r, RUN_SIGNAL_KILL);
    r->kill_ms = core->now_ms + KILL_REPEAT_MS;
}

/* ---- cells: the command ---- */

struct run_start run_start_of(const struct agent_core *core, const struct run *r)
{
    return (struct run_start){
        .attempt = r->attempt,
        .job = r->job,
        .instance = r->instance,
        .number = r->number,
        .term = r->term,
        .agent = core->agent,
        .restarts = r->restarts,
        .ports = r->ports,
        .port_count = r->port_count,
        .spec = r->spec,
    };
}

static void start(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    agent_actions_add(core->out, AGENT_START_RUN)->start_run = run_start_of(core, r);
}

static void set_running(struct agent_core *core, struct run *r)
{
    if (r->state >= TASK_RUNNING)
        return;
    run_say(r, "");
    run_set_state(core, r, TASK_RUNNING);
}

static void
note_started(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    uint64_t since_ms = e->run_started.since_ms;

    r->started = true;
    set_running(core, r);
    if (r->max_runtime_ms > 0)
        r->overdue_ms = since_ms + r->max_runtime_ms;
    checks_start(core, r, since_ms);
}

static void
note_started_doomed(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    r->started = true;
    set_running(core, r);
}

static void
terminate_late(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    note_started_doomed(core, r, e);
    signal_end(core, r);
}

static void
note_ended(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    struct run_verdict v;

    ends_judge(&e->run_ended, r, &v);
    set_end(core, r, &v);
}

/* Beside why it failed: true while it waits and after it. */
static void say_restart(struct run *r, struct run_verdict *v)
{
    size_t used = strlen(v->message);
    char delay[TEXT_SHORT_MAX];

    snprintf(v->message + used,
             sizeof(v->message) - used,
             "; restart %u after %s",
             r->restarts,
             text_duration(delay, restarts_delay(r)));
    note_verdict(r, v);
}

/* The attempt goes on: after the delay it is started again.  The failure is durable
 * before that, so that it counts whatever happens to the agent; a restarted one sees the
 * end of an earlier start and knows that it has counted it. */
static void
back_off(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    struct run_verdict v;

    ends_judge(&e->run_ended, r, &v);
    r->started = false;
    r->kill_ms = NEVER;
    r->cause = CAUSE_NONE;
    leave_running(core, r);
    checks_reset(r);
    if (e->run_ended.restarts == r->restarts) {
        restarts_count(core, r);
        records_put_run(core, r);
        runs_wait_durable(core, r);
    }
    say_restart(r, &v);
    r->start_ms = core->now_ms + restarts_delay(r);
    set_running(core, r);
}

static void forget(struct agent_core *core, struct run *r, const struct agent_event *e)
{
    (void)e;
    if (r->kept) {
        records_erase_run(core, r);
        agent_actions_add(core->out, AGENT_FORGET_RUN)->forget_run.attempt = r->attempt;
    }
    runs_remove(core, r);
}

/* ---- the table ---- */

struct cell {
    void (*act)(struct agent_core *core, struct run *r, const struct agent_event *e);
    enum run_phase next;
};

static const struct cell table[RUN_PHASES][RUN_EVENTS] =
    {
        [RUN_NEW] =
            {
                [RUN_ON_LAUNCH] = {accept, RUN_RECORDED},
                [RUN_ON_DECLINED] = {decline, RUN_ENDED},
                [RUN_ON_STOP] = {stop_unheard, RUN_ENDED},
            },
        [RUN_PAST] =
            {
                [RUN_ON_LAUNCH] = {refuse, RUN_ENDED},
                [RUN_ON_DECLINED] = {refuse, RUN_ENDED},
                [RUN_ON_STOP] = {refuse, RUN_ENDED},
            },
        [RUN_RECORDED] =
            {
                [RUN_ON_READY] = {start, RUN_STARTING},
                [RUN_ON_STOP] = {cancel, RUN_ENDED},
            },
        [RUN_STARTING] =
            {
                [RUN_ON_STARTED] = {note_started, RUN_RUNNING},
                [RUN_ON_FAILED] = {back_off, RUN_WAITING},
                [RUN_ON_ENDED] = {note_ended, RUN_ENDED},
                [RUN_ON_STOP] = {end_ordered, RUN_DOOMED},
            },
        [RUN_RUNNING] =
            {
                [RUN_ON_FAILED] = {back_off, RUN_WAITING},
                [RUN_ON_ENDED] = {note_ended, RUN_ENDED},
                [RUN_ON_STOP] = {end_ordered, RUN_DOOMED},
                [RUN_ON_OVERDUE] = {end_overdue, RUN_DOOMED},
                [RUN_ON_UNHEALTHY] = {end_unhealthy, RUN_DOOMED},
            },
        [RUN_DOOMED] =
            {
                [RUN_ON_READY] = {terminate, RUN_STOPPING},
                [RUN_ON_STARTED] = {note_started_doomed, RUN_DOOMED},
                [RUN_ON_FAILED] = {back_off, RUN_WAITING},
                [RUN_ON_ENDED] = {note_ended, RUN_ENDED},
                [RUN_ON_STOP] = {take_over, RUN_DOOMED},
            },
        [RUN_STOPPING] =
            {
                [RUN_ON_STARTED] = {terminate_late, RUN_STOPPING},
                [RUN_ON_FAILED] = {back_off, RUN_WAITING},
                [RUN_ON_ENDED] = {note_ended, RUN_ENDED},
                [RUN_ON_STOP] = {take_over, RUN_STOPPING},
                [RUN_ON_KILL_DUE] = {kill_run, RUN_STOPPING},
            },
        [RUN_WAITING] =
            {
                [RUN_ON_READY] = {start, RUN_STARTING},
                [RUN_ON_STOP] = {cancel_restart, RUN_ENDED},
            },
        [RUN_ENDED] =
            {
                [RUN_ON_ACKED] = {forget, RUN_PAST},
            },
};

void run_step(struct agent_core *core,
              struct run *r,
              enum run_event event,
              const struct agent_event *e)
{
    const struct cell *cell = &table[r->phase][event];
    bool stays = cell->next != RUN_PAST;

    if (cell->act == NULL)
        return;
    if (stays)
        set_phase(core, r, cell->next);
    cell->act(core, r, e);
    if (stays)
        runs_schedule(core, r);
}
