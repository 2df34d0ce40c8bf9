/* leader.c - what begins and ends with leading; rounds and housekeeping.
 *
 * A leader begins when its own no-op is applied: then everything committed is in the state, and
 * what is to be done is derived from it (joint 9).  It ends at the first step in which the
 * replica is not that leader any more; nothing it knew beyond the state survives.
 *
 * Our time is what stamps are made of, and what is due by stamps: the wall clock, unless that
 * jumped back, or one was ahead that others made stamps of.  Then it goes on from there with
 * the monotonic clock, a little slower, until the wall clock has reached it: what lies between
 * two stamps stays true, and stamps get back to what users' clocks say.
 *
 * A scheduling round runs at the end of a turn when the state changed since the last one, one at
 * a time: its placements are applied before the next begins.
 */
#include "master/core/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define ROUND_PLACEMENTS 1024u /* in one batch */
#define PURGES_PER_TICK  256u
#define PURGE_LOOKS      4096u /* jobs looked at in one tick */
#define TIME_LAG         16u   /* our time loses one part of these while it is ahead */

_Static_assert(ROUND_PLACEMENTS >= LIMIT_GANG_TASKS, "a gang is placed by one round");

/* ---- our time ---- */

uint64_t leader_now_us(const struct master_core *m)
{
    const struct leading *l = &m->leading;
    uint64_t passed_us = (m->now_ms - l->time_ms) * 1000;
    uint64_t us = l->time_us + passed_us - passed_us / TIME_LAG;

    if (us < m->wall_us)
        us = m->wall_us;
    return us > m->state->globals.last_stamp_us ? us : m->state->globals.last_stamp_us;
}

static void move_time(struct master_core *m)
{
    m->leading.time_us = leader_now_us(m);
    m->leading.time_ms = m->now_ms;
}

/* ---- begin and end ---- */

void leader_begin(struct master_core *m, uint64_t term)
{
    ASSERT(!m->leading.active);
    m->leading = (struct leading){
        .active = true,
        .term = term,
        .began_ms = m->now_ms,
        .since_ms = m->now_ms,
        .next_tick_ms = m->now_ms + LEADER_TICK_MS,
        .round_due = true,
        .time_ms = m->now_ms,
    };
    move_time(m);
    core_log(m,
             MASTER_LOG_INFO,
             "leading in term %llu from index %llu",
             (unsigned long long)term,
             (unsigned long long)m->state->index);
    core_act(m, MASTER_ROLE);
    sched_reset(m->sched, m->state);
    agents_begin(m, term);
    repeats_begin(m);
    drains_begin(m);
    damping_begin(m);
    schedules_begin(m);
    m->found_proposed = false;
    founding_leading(m);
}

void leader_end(struct master_core *m)
{
    m->leading.active = false;
    core_log(m,
             MASTER_LOG_INFO,
             "no longer leading in term %llu",
             (unsigned long long)m->leading.term);
    propose_lost(m);
    agents_deposed(m);
    agents_end(m);
    renewals_end(m);
    schedules_end(m);
    m->jobs_to_stop_count = 0;
}

/* Joint 10: while our loop stood still nobody could be heard. */
void leader_gap(struct master_core *m, uint64_t now_ms)
{
    if (!m->leading.active)
        return;
    m->counters.loop_gaps++;
#ifdef MUTANT_SILENCE_IN_GAP
    return;
#endif
    m->leading.since_ms = now_ms;
}

/* ---- effects ---- */

static void agent_changed(struct master_core *m, uint64_t id)
{
    const struct agent *agent = state_agent(m->state, id);

    if (agent == NULL || agent->state == AGENT_GONE) {
        agents_gone(m, id); /* another one of the entry may have its place already */
        return;
    }
    silence_agent(m, agent);
    repeats_agent(m, agent);
    drains_agent(m, agent);
}

/* An agent that is unreachable hears it when it registers again, if it is still true then.  It
 * may be gone and forgotten by the same entry. */
static void attempt_to_end(struct master_core *m, const struct effect *effect)
{
    const struct agent *agent = state_agent(m->state, effect->agent);
    struct agent_view *v = agents_view(m, effect->agent);

    if (agent != NULL && agent->state == AGENT_ACTIVE && v != NULL && v->synced)
        orders_add(m, v, ORDER_STOP, effect->id);
}

void leader_tell_sched(struct master_core *m, const struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_LAUNCH:
    case EFFECT_AGENT:
    case EFFECT_UPDATED:
        sched_agent_changed(m->sched, m->state, effect->agent);
        break;
    case EFFECT_JOB:
        if (effect->agent != 0)
            sched_agent_due(m->sched, effect->agent);
        else
            sched_job_changed(m->sched, m->state, effect->id);
        break;
    case EFFECT_FREED:
        sched_freed(m->sched, m->state, effect->id);
        break;
    case EFFECT_ROLE:
        sched_role_changed(m->sched, m->state, effect->id);
        break;
    case EFFECT_KILL:
        break;
    }
}

/* Attempts of a killed job are to end. */
static void job_changed(struct master_core *m, uint64_t id)
{
    const struct job *job = state_job(m->state, id);

    schedules_changed(m, id);
    if (job == NULL || job->kill_index == 0 || job_live(job) == 0)
        return;
    MEM_GROW(m->jobs_to_stop, m->jobs_to_stop_capacity, m->jobs_to_stop_count + 1);
    m->jobs_to_stop[m->jobs_to_stop_count++] = (struct job_to_stop){.job = id};
}

void leader_effect(struct master_core *m, const struct effect *effect)
{
    struct agent_view *v;

    m->leading.round_due = true;
    leader_tell_sched(m, effect);
    switch (effect->kind) {
    case EFFECT_LAUNCH:
        v = agents_view(m, effect->agent);
        if (v != NULL && v->synced)
            orders_add(m, v, ORDER_LAUNCH, effect->id);
        break;
    case EFFECT_KILL:
        attempt_to_end(m, effect);
        break;
    case EFFECT_AGENT:
        agent_changed(m, effect->agent);
        break;
    case EFFECT_JOB:
        if (effect->agent == 0)
            job_changed(m, effect->id);
        break;
    case EFFECT_FREED:
    case EFFECT_ROLE:
    case EFFECT_UPDATED: /* the reports themselves are acknowledged: agents.c */
        break;
    }
}

static void stop_task(struct master_core *m, const struct task *task)
{
    struct agent_view *v;

    if (task->state == TASK_PENDING ||
        task_state_is_final((enum task_state)task->state))
        return;
    v = agents_view(m, task->agent_id);
    if (v != NULL && v->synced)
        orders_add(m, v, ORDER_STOP, task->attempt_id);
}

/* The attempts of killed jobs, some in each turn.  Each job has its own place: another one may
 * be killed while this one is walked. */
static void stop_killed_jobs(struct master_core *m)
{
    unsigned budget = m->config.stops_per_turn;

    while (m->jobs_to_stop_count > 0 && budget > 0) {
        struct job_to_stop *s = &m->jobs_to_stop[m->jobs_to_stop_count - 1];
        const struct job *job = state_job(m->state, s->job);

        for (; job != NULL && s->next < job->touched && budget > 0; budget--)
            stop_task(m, job_task(job, s->next++));
        if (job == NULL || s->next >= job->touched)
            m->jobs_to_stop_count--;
    }
    if (m->jobs_to_stop_count > 0)
        m->actions->again = true;
}

/* ---- rounds ---- */

static void round_begin(struct master_core *m)
{
    struct placement placements[ROUND_PLACEMENTS];
    struct command command = {.kind = COMMAND_PLACE,
                              .place = {.placements = placements}};
    bool more = false;

    if (!m->leading.round_due || m->leading.round_flying || !propose_has_room(m))
        return;
    command.place.count = (uint32_t)sched_round(
        m->sched, m->state, leader_now_us(m), placements, ROUND_PLACEMENTS, &more);
    m->counters.rounds++;
    m->counters.reservations = sched_reservations(m->sched);
    m->leading.round_due = more;
    if (command.place.count > 0) {
        m->leading.round_flying = true;
        propose(m, &command, &(struct origin){.kind = ORIGIN_ROUND});
    } else if (more) {
        m->actions->again = true;
    }
}

void leader_round_applied(struct master_core *m)
{
    m->leading.round_flying = false;
    m->leading.round_due = true; /* what was refused is still pending */
}

/* ---- housekeeping ---- */

/* True while one more job of the largest size has no room, or many small ones soon have
 * none. */
static bool is_crowded(uint64_t jobs, uint64_t tasks)
{
    return jobs > LIMIT_JOBS / 4 * 3 || tasks > LIMIT_TASKS - LIMIT_TASKS_PER_JOB;
}

/* When the job may be purged; UINT64_MAX: that is not known. */
static uint64_t old_us(const struct master_core *m, const struct job *job, bool crowded)
{
    uint64_t keep_us = m->config.job_retention_us;

    if (crowded && keep_us > JOB_RETENTION_CROWDED_US)
        keep_us = JOB_RETENTION_CROWDED_US;
    return job->ended_us != 0 && job->attempts == 0 ? job->ended_us + keep_us
                                                    : UINT64_MAX;
}

/* Jobs that ended long ago make room; their keys stay as tombstones (joint 8). */
static void purge_old_jobs(struct master_core *m)
{
    const struct state *s = m->state;
    struct job *job = state_next_job(s, m->leading.purge_cursor + 1);
    uint64_t jobs = s->job_count, tasks = s->task_count;
    uint64_t room = s->tombstone_count < LIMIT_TOMBSTONES
                        ? LIMIT_TOMBSTONES - s->tombstone_count
                        : 0;
    unsigned looks = 0;

    if (m->leading.purges_flying > 0)
        return;
    if (m->leading.purge_cursor == 0)
        m->leading.purge_next_us = UINT64_MAX;
    for (; job != NULL && looks < PURGE_LOOKS && room > 0 &&
           m->leading.purges_flying < PURGES_PER_TICK && propose_has_room(m);
         job = state_next_job(s, job->id + 1)) {
        struct command command = {.kind = COMMAND_PURGE, .purge.job = job->id};
        uint64_t due_us = old_us(m, job, is_crowded(jobs, tasks));

        looks++;
        m->leading.purge_cursor = job->id;
        if (due_us > m->leading.time_us) {
            if (due_us < m->leading.purge_next_us)
                m->leading.purge_next_us = due_us;
            continue;
        }
        jobs--;
        tasks -= job->instances;
        room--;
        m->leading.purges_flying++;
        propose(m, &command, &(struct origin){.kind = ORIGIN_PURGE});
    }
    if (job != NULL)
        return;
    m->leading.purge_cursor = 0;
    m->leading.purge_due_us =
        m->leading.purge_next_us == UINT64_MAX ? 0 : m->leading.purge_next_us;
}

void leader_purge_applied(struct master_core *m, const struct result *r)
{
    m->leading.purges_flying--;
    m->counters.jobs_purged += r->code == ERROR_NONE;
}

static void expire_keys(struct master_core *m)
{
    struct tombstone *oldest = RB_MIN(tombstone_age_tree, &m->state->tombstones_by_age);
    struct command command = {.kind = COMMAND_EXPIRE_KEYS};

    if (oldest == NULL || oldest->purged_us + TOMBSTONE_US >= m->leading.time_us ||
        !propose_has_room(m))
        return;
    command.expire_keys.before_us = m->leading.time_us - TOMBSTONE_US;
    propose(m, &command, &(struct origin){.kind = ORIGIN_NONE});
}

/* Jobs that ended tell those that wait for them with each entry: one that does nothing else,
 * if there is no other. */
static void release_jobs(struct master_core *m)
{
    struct command command = {.kind = COMMAND_RELEASE};

    if (RB_EMPTY(&m->state->ending) || m->leading.releasing || !propose_has_room(m))
        return;
#ifdef MUTANT_RELEASE_FORGOTTEN
    return;
#endif
    m->leading.releasing = true;
    propose(m, &command, &(struct origin){.kind = ORIGIN_RELEASE});
}

/* ---- time ---- */

void leader_time(struct master_core *m)
{
    if (!m->leading.active || m->now_ms < m->leading.next_tick_ms)
        return;
    m->leading.next_tick_ms = m->now_ms + LEADER_TICK_MS;
    move_time(m);
    founding_leading(m);
    if (!m->state->globals.founded)
        return;
    if (sched_due_us(m->sched) <= leader_now_us(m))
        m->leading.round_due = true;
    silence_tick(m);
    drains_tick(m);
    damping_tick(m);
    repeats_tick(m);
    purge_old_jobs(m);
    expire_keys(m);
}

void leader_turn(struct master_core *m)
{
    if (!m->leading.active)
        return;
    agents_tell(m);
    stop_killed_jobs(m);
    release_jobs(m);
    schedules_turn(m);
    if (!damping_turn(m)) {
        m->actions->again = true; /* and nothing is placed before */
        return;
    }
    preempts_turn(m); /* before the next round is on its way */
    rebalances_turn(m);
    round_begin(m);
}

uint64_t leader_deadline(const struct master_core *m)
{
    return m->leading.active ? m->leading.next_tick_ms : UINT64_MAX;
}

/* A scheduler with nothing left to do agrees with the state. */
void master_verify(const struct master_core *m)
{
    if (m->leading.active)
        agents_verify(m);
    if (m->leading.active && !m->leading.round_flying && !m->leading.round_due)
        sched_check(m->sched, m->state);
}
