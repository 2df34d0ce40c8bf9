/* apply_task.c - reports: the life of attempts (docs/spec/3-task-states.md). */
#include "raft_fsm/apply.h"

#include "raft_fsm/retry.h"

#include <inttypes.h>

void task_begin_staging(struct task *t)
{
    t->state = TASK_STAGING;
    t->reason = TASK_REASON_NONE;
    t->exit_code = 0;
    task_set_message(t, (struct bytes){0});
    if (t->extras != NULL) {
        t->extras->restarts = 0;
        t->extras->health = HEALTH_UNKNOWN;
    }
}

/* It is over, and what it held is free. */
void attempt_end(struct apply *a, struct attempt *t)
{
    struct agent *agent = t->agent;
    bool is_system = t->job->system != NULL;

    apply_effect(a, EFFECT_FREED, t->job->id, agent->id);
    state_remove(a->state, object_attempt(t));
    if (!is_system)
        systems_drain(a, agent);
}

/* ---- reports ---- */

/* What ended because it was lost, or was told to end, is repeated unless its job is killed.
 * What failed is repeated as the job wants it; so is what ended well of a service.  A task that
 * belongs to an agent is over with it.  Inside an edit of the task. */
static enum task_state state_after(const struct apply *a,
                                   const struct attempt *attempt,
                                   struct task *t,
                                   const struct task_update *u)
{
    struct job *j = attempt->job;
    bool is_gone = attempt->agent->state == AGENT_GONE; /* whatever a report says */
    bool agent_lost = u->reason == TASK_REASON_AGENT_UNREACHABLE ||
                      u->reason == TASK_REASON_AGENT_GONE;

    switch (u->state) {
    case TASK_FINISHED:
        if (job_goes_on((enum job_kind)j->kind) && j->kill_index == 0 &&
            retry_failed(j, t, a->stamp_us))
            return TASK_PENDING;
        return u->state;
    case TASK_LOST:
        if (j->kill_index == 0 && !agent_lost)
            retry_lost(t, a->stamp_us);
        if (j->kill_index != 0)
            return TASK_KILLED;
        return j->system != NULL && is_gone ? TASK_LOST : TASK_PENDING;
    case TASK_KILLED:
        return j->kill_index != 0 ? TASK_KILLED : TASK_PENDING;
    case TASK_FAILED:
    case TASK_ERROR:
        if (j->kill_index == 0 && retry_failed(j, t, a->stamp_us))
            return TASK_PENDING;
        return u->state;
    default:
        return u->state;
    }
}

/* What the agent says of a run that goes on, or what it was at its end. */
static void take_restarts(struct task *t, const struct task_update *u)
{
    bool ended = task_state_is_final(u->state);

    if (t->extras == NULL && u->health == HEALTH_UNKNOWN && u->restarts == 0)
        return;
    task_extras(t)->restarts = u->restarts;
    t->extras->health = (uint8_t)(ended ? HEALTH_UNKNOWN : u->health);
}

static void take_reason(struct task *t, const struct task_update *u)
{
    t->reason = (uint8_t)u->reason;
    t->exit_code = u->exit_code;
#ifdef MUTANT_ADDRESS_IN_STATE
    t->exit_code = (int32_t)((uintptr_t)t >> 4);
#endif
    task_set_message(t, u->message);
}

/* It ended because we wanted that. */
static void take_stop(struct task *t, const struct attempt *attempt)
{
    struct buffer text = {0};

    t->reason = attempt->stop;
    if (attempt->stop_for == 0)
        return;
    if (attempt->stop == TASK_REASON_PREEMPTED)
        buffer_printf(&text, "preempted for job %" PRIu64, attempt->stop_for);
    else
        buffer_printf(&text,
                      "moved from agent %" PRIu64 " to agent %" PRIu64,
                      attempt->agent->id,
                      attempt->stop_for);
    task_set_message(t, buffer_view(&text));
    buffer_finish(&text);
}

/* What a report means for failures and histories; it ran since `begin_us`. */
static void keep_books(struct apply *a,
                       const struct attempt *attempt,
                       const struct task *t,
                       enum task_state now,
                       uint64_t begin_us)
{
    struct job *j = attempt->job;

    if (now == TASK_RUNNING || now == TASK_FINISHED)
        failure_recovered(a, attempt, t);
    if (now == TASK_FINISHED)
        history_of_run(a, j, a->stamp_us - begin_us);
    if (!task_state_is_final(now) || now == TASK_FINISHED || j->kill_index != 0)
        return;
    failure_of_task(a, attempt, t, now);
    if (t->state == TASK_PENDING)
        history_of_loss(a, j, a->stamp_us - begin_us);
}

/* The task of a live attempt takes what was reported, inside an edit of the job. */
static void
task_take(struct apply *a, const struct attempt *attempt, const struct task_update *u)
{
    struct job *j = attempt->job;
    struct task *t = job_task(j, attempt->instance);
    uint64_t begin_us = t->started_us != 0 ? t->started_us : attempt->placed_us;

    state_edit(a->state, object_task(j, t));
    t->state = (uint8_t)state_after(a, attempt, t, u);
    take_restarts(t, u);
    take_reason(t, u);
    if (u->state == TASK_KILLED && t->state == TASK_PENDING && attempt->stop != 0)
        take_stop(t, attempt);
    if (t->state == TASK_RUNNING)
        t->started_us = a->stamp_us;
    if (task_state_is_final(t->state))
        t->ended_us = a->stamp_us;
    if (t->state == TASK_PENDING)
        t->started_us = 0;
    state_edited(a->state, object_task(j, t));
    keep_books(a, attempt, t, u->state, begin_us);
}

void attempt_lose(struct apply *a,
                  struct attempt *t,
                  enum task_reason reason,
                  bool superseded)
{
    struct task_update lost = {.state = TASK_LOST, .reason = reason};
    struct job *j = t->job;
    enum job_state before = job_open(a, j);

#ifdef MUTANT_KILL_FORGOTTEN
    if (superseded)
        j->kill_index = 0;
#endif
    task_take(a, t, &lost);
    if (superseded) {
        state_edit(a->state, object_attempt(t));
        t->state = TASK_LOST;
        t->superseded = true;
        state_edited(a->state, object_attempt(t));
    } else {
        attempt_end(a, t);
    }
    job_close(a, j, before);
}

/* An exclusive one lapsed: its agent has ended it, or is about to. */
void attempt_reclaim(struct apply *a, struct attempt *t)
{
    struct job *j = t->job;
    struct task *task = job_task(j, t->instance);
    enum job_state before;

#ifndef MUTANT_RECLAIM_REPLACED
    if (task->attempt_id != t->id)
        return;
#endif
    if (task->state != TASK_PENDING || j->kill_index != 0 ||
        t->stop != TASK_REASON_NONE || job_has_lease(j))
        return;
    before = job_open(a, j);
    state_edit(a->state, object_task(j, task));
    task_begin_staging(task);
    state_edited(a->state, object_task(j, task));
    failure_reclaimed(a, task);
    state_edit(a->state, object_attempt(t));
    t->state = TASK_STAGING;
    t->superseded = false;
    state_edited(a->state, object_attempt(t));
    job_close(a, j, before);
}

void attempt_stop(struct apply *a,
                  struct attempt *t,
                  enum task_reason reason,
                  uint64_t stop_for)
{
    struct job *j = t->job;
    enum job_state before = job_open(a, j);

    state_edit(a->state, object_attempt(t));
    t->stop = (uint8_t)reason;
    t->stop_for = stop_for;
    state_edited(a->state, object_attempt(t));
    job_close(a, j, before);
    apply_effect(a, EFFECT_KILL, t->id, t->agent->id);
}

/* The agent says that an attempt is over which its task does not have any more: nothing
 * is left of it but its resources. */
static bool release(struct apply *a, struct attempt *t, const struct task_update *u)
{
    if (!task_state_is_final(u->state))
        return false;
#ifdef MUTANT_DOUBLE_RELEASE
    struct agent *agent = t->agent;
    struct resources twice = t->job->resources;
#endif
#ifdef MUTANT_SUCCESSOR_TWICE
    attempt_lose(a, t, TASK_REASON_AGENT_UNREACHABLE, true);
#endif
#ifdef MUTANT_LATE_RESULT_COUNTS
    enum job_state before = job_open(a, t->job);
    if (task_state_is_final(job_task(t->job, t->instance)->state))
        task_take(a, t, u);
    job_close(a, t->job, before);
#endif
    attempt_end(a, t);
#ifdef MUTANT_DOUBLE_RELEASE
    if (resources_contain(&agent->allocated, &twice))
        resources_subtract(&agent->allocated, &twice);
#endif
    return true;
}

/* A run goes on: its checks may have another result, and its agent may have restarted it; the
 * report says why. */
static bool update_health(struct apply *a,
                          const struct attempt *attempt,
                          const struct task_update *u)
{
    struct job *j = attempt->job;
    struct task *t = job_task(j, attempt->instance);
    enum job_state before;

    if (task_health(t) == u->health && task_restarts(t) == u->restarts)
        return false;
    before = job_open(a, j);
    state_edit(a->state, object_task(j, t));
    take_restarts(t, u);
    take_reason(t, u);
    state_edited(a->state, object_task(j, t));
    job_close(a, j, before);
    return true;
}

static bool update(struct apply *a, uint64_t reporter, const struct task_update *u)
{
    struct attempt *t = state_attempt(a->state, u->attempt);
    enum job_state before;
    struct job *j;

    if (t == NULL || t->agent->id != reporter)
        return false;
    if (t->superseded)
        return release(a, t, u);
    if (u->state == t->state)
        return update_health(a, t, u);
    if (u->state < t->state)
        return false;
    j = t->job;
    before = job_open(a, j);
    task_take(a, t, u);
    if (task_state_is_final(u->state)) {
        attempt_end(a, t);
    } else {
        state_edit(a->state, object_attempt(t));
        t->state = (uint8_t)u->state;
        state_edited(a->state, object_attempt(t));
    }
    job_close(a, j, before);
    return true;
}

struct result apply_task_update(struct apply *a, const struct command *c)
{
    struct command_cursor at = {0};
    struct task_update u;
    uint64_t changed = 0;

    a->work += c->task_update.count;
    while (command_next_update(c, &at, &u)) {
        changed += update(a, c->task_update.agent, &u);
        apply_effect(a, EFFECT_UPDATED, u.attempt, c->task_update.agent);
    }
    return result_done(a, changed);
}

/* ---- what the leader's clock brings ---- */

struct result apply_retry(struct apply *a, const struct command *c)
{
    struct job *j = state_job(a->state, c->retry.job);
    struct task *t = j == NULL ? NULL : job_task(j, c->retry.instance);
    enum job_state before;

    if (j == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (t == NULL || j->kill_index != 0 || !task_waits(t) ||
        t->attempt != c->retry.attempt)
        return result_rejected(ERROR_INVALID);
    before = job_open(a, j);
    state_edit(a->state, object_task(j, t));
    t->extras->retry_us = 0;
    state_edited(a->state, object_task(j, t));
    job_close(a, j, before);
    if (j->system != NULL)
        apply_effect(a, EFFECT_JOB, j->id, t->agent_id); /* where it is to be placed */
    return result_done(a, j->id);
}

struct result apply_lapse(struct apply *a, const struct command *c)
{
    struct attempt *t = state_attempt(a->state, c->lapse.attempt);

    if (t == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (t->superseded || t->agent->state != AGENT_UNREACHABLE)
        return result_rejected(ERROR_INVALID);
    attempt_lose(a, t, TASK_REASON_AGENT_UNREACHABLE, true);
    failure_agent_moves(a, t->agent);
    /* Of what it held only its place: where tasks of a job are counted (`distinct`). */
    apply_effect(a, EFFECT_FREED, t->job->id, t->agent->id);
    apply_effect(a, EFFECT_KILL, t->id, t->agent->id);
    return result_done(a, t->id);
}
