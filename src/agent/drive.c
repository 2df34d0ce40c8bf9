/* drive.c - events into the core, its actions into the world. */
#include "agent/agent.h"

#include "agent/checkpoint.h"
#include "agent/disk_quota.h"
#include "agent/launcher.h"
#include "agent/sandboxes.h"
#include "agent/task_logs.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#define FINISH_PATIENCE_MS 2000 /* for what was accepted to start */
#define TIMER_MAX_MS       5000 /* a deadline that passed while the host slept is seen */

/* ---- time ---- */

static void tick(void *user)
{
    drive(user, &(struct agent_event){.kind = AGENT_TICK});
}

/* The core's clock goes on while the host sleeps, that of the loop's timers does not. */
static uint64_t now_ms(void)
{
    return clock_boottime_us() / 1000;
}

/* Now means at the end of this turn: what else the turn brings goes into one message. */
static void set_timer(struct agent *a, uint64_t deadline_ms)
{
    uint64_t now = now_ms();

    timer_stop(a->loop, &a->timer);
    deferred_cancel(a->loop, &a->turn);
    if (deadline_ms <= now)
        loop_defer(a->loop, &a->turn, tick, a);
    else if (deadline_ms - now < TIMER_MAX_MS)
        timer_set_in(a->loop, &a->timer, deadline_ms - now, tick, a);
    else if (deadline_ms != UINT64_MAX)
        timer_set_in(a->loop, &a->timer, TIMER_MAX_MS, tick, a);
}

/* ---- the end ---- */

static void end_loop(void *user)
{
    struct agent *a = user;

    loop_stop(a->loop);
}

void drive_fail(struct agent *a, const struct error *reason)
{
    if (a->failure.code == ERROR_NONE)
        a->failure = *reason;
    loop_stop(a->loop);
}

static void end_if_finished(struct agent *a)
{
    struct agent_status status;

    agent_core_status(a->core, &status);
    if (status.recorded + status.starting == 0)
        loop_stop(a->loop);
}

void drive_finish(struct agent *a)
{
    if (a->finishing)
        return;
    a->finishing = true;
    links_stop(a);
    timer_set_in(a->loop, &a->patience, FINISH_PATIENCE_MS, end_loop, a);
    end_if_finished(a);
}

/* ---- actions ---- */

void drive_watch_disk(struct agent *a, uint64_t attempt)
{
    struct launcher *l = a->launcher;

    disk_quota_watch(
        a->disk_quota, attempt, launcher_disk(l, attempt), launcher_shim(l, attempt));
}

static void carry_out(struct agent *a, const struct agent_action *action)
{
    struct run_start run;
    struct error err;

    switch (action->kind) {
    case AGENT_SEND:
        links_send(a, action->send.session, action->send.bytes);
        break;
    case AGENT_CLOSE:
        links_close(a, action->close.session);
        break;
    case AGENT_DIAL:
        links_dial(a, action->dial.address);
        break;
    case AGENT_RECORD:
        checkpoint_write(a->checkpoint,
                         action->record.sequence,
                         action->record.records,
                         action->record.count);
        break;
    case AGENT_START_RUN:
        launcher_start(a->launcher, &action->start_run);
        task_logs_watch(a->task_logs, action->start_run.attempt);
        break;
    case AGENT_ADOPT_RUN:
        launcher_adopt(a->launcher, action->adopt_run.attempt);
        task_logs_watch(a->task_logs, action->adopt_run.attempt);
        break;
    case AGENT_SIGNAL_RUN:
        launcher_signal(
            a->launcher, action->signal_run.attempt, action->signal_run.signal);
        break;
    case AGENT_FORGET_RUN:
        launcher_forget(a->launcher, action->forget_run.attempt);
        sandboxes_add(a->sandboxes, action->forget_run.attempt);
        break;
    case AGENT_CHECK:
        if (agent_core_run_start(a->core, action->check.attempt, &run))
            launcher_check(a->launcher, &run, action->check.index);
        break;
    case AGENT_RENEW:
        if (lease_file_renew(&a->lease, action->renew.boot_ms, &err) != 0)
            log_error("agent", "%s", err.text);
        break;
    case AGENT_TIMER:
        set_timer(a, action->timer.deadline_ms);
        break;
    case AGENT_LOG:
        log_write(action->log.level, "agent", "%s", action->log.text);
        break;
    case AGENT_FATAL:
        drive_fail(a, action->fatal.error);
        break;
    }
}

/* ---- steps ---- */

/* No part calls back from inside an action, so the list stays as it is while it is read. */
void drive(struct agent *a, struct agent_event *event)
{
    ASSERT(!a->driving);
    a->driving = true;
    event->now_ms = now_ms();
    agent_step(a->core, event, &a->actions);
    for (size_t i = 0; i < a->actions.count; i++)
        carry_out(a, &a->actions.list[i]);
    a->driving = false;
    if (a->finishing)
        end_if_finished(a);
}

void drive_stop(struct agent *a)
{
    timer_stop(a->loop, &a->timer);
    timer_stop(a->loop, &a->patience);
    deferred_cancel(a->loop, &a->turn);
}
