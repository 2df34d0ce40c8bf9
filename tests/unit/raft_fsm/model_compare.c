/* model_compare.c - the model against the state that was seen. */
#include "tests/unit/raft_fsm/model_private.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* ck_assert() writes to a pipe each time it holds: too slow for millions. */
#define HOLDS(condition)                            \
    do {                                            \
        if (!(condition))                           \
            ck_abort_msg("not so: %s", #condition); \
    } while (0)
#define SAME(a, b) HOLDS((a) == (b))

static void compare_task(const struct m_job *j, const struct job *seen, uint32_t i)
{
    const struct m_task *expected = &j->tasks[i];
    const struct task *t = job_task(seen, i);

    SAME(job_task_state(seen, i), m_shown(j, i));
    if (t == NULL)
        return;
    SAME(t->instance, i);
    SAME(t->state, expected->state);
    SAME(t->attempt, expected->attempt);
    SAME(t->attempt_id, expected->attempt_id);
    SAME(t->agent_id, expected->agent_id);
    SAME(t->reason, expected->reason);
    SAME(t->exit_code, expected->exit_code);
    SAME(strcmp(t->message == NULL ? "" : t->message, expected->message), 0);
    SAME(t->started_us, expected->started_us);
    SAME(t->ended_us, expected->ended_us);
    SAME(task_health(t), expected->health);
    SAME(task_restarts(t), expected->restarts);
    if (t->extras != NULL) {
        SAME(t->extras->retry_us, expected->tries.retry_us);
        SAME(t->extras->retries, expected->tries.retries);
        SAME(t->extras->losses, expected->tries.losses);
    } else {
        SAME(expected->tries.losses + expected->tries.retries, 0);
    }
    if (expected->attempt > 0)
        SAME(t->changed, expected->changed);
}

static void compare_job(const struct m_job *j, const struct job *seen)
{
    uint32_t instance, attempt, next = 0;

    SAME(seen->id, j->id);
    SAME(job_state(seen), m_state_of(j));
    SAME(seen->changed, j->changed);
    SAME(seen->submit_index, j->submit_index);
    SAME(seen->kill_index, j->kill_index);
    SAME(seen->submitted_us, j->submitted_us);
    SAME(seen->ended_us, j->ended_us);
    SAME(seen->touched, m_touched(j));
    SAME(seen->priority, j->spec.priority);
    SAME(seen->expected_ms, j->expected_ms);
    SAME(seen->expected_from, j->expected_from);
    HOLDS(m_equal(seen->key, j->key) && m_equal(seen->spec, j->body));
    HOLDS(resources_equal(&seen->resources, &j->spec.resources));
    SAME(job_is_blocked(seen), j->wait_count > 0);
    SAME(seen->links == NULL ? 0 : seen->links->stopped_by, j->stopped_by);
    SAME(seen->links == NULL ? 0 : seen->links->parent, j->parent);
    SAME(seen->made != NULL, j->is_template);
    if (j->is_template) {
        SAME(seen->made->last_us, j->last_us);
        SAME(seen->made->fired, j->fired);
        SAME(seen->made->missed, j->missed);
        SAME(seen->made->skipped, j->skipped);
        SAME(seen->made->child, j->child);
        SAME(seen->made->is_dispatched, j->spec.parameter_count > 0);
    }
    SAME(job_pending(seen), m_count_placeable(j));
    SAME(job_tasks_in(seen, TASK_PENDING), m_count_shown(j, TASK_PENDING));
    for (uint32_t i = 0; i < j->spec.instances; i++) {
        compare_task(j, seen, i);
        if (!m_can_be_placed(j, i))
            continue;
        HOLDS(job_next_pending(seen, next, &instance, &attempt));
        SAME(instance, i);
        SAME(attempt, j->tasks[i].attempt + 1);
        next = i + 1;
    }
    HOLDS(!job_next_pending(seen, next, &instance, &attempt));
}

static void compare_jobs(const struct model *m, const struct state *s)
{
    uint64_t tasks[TASK_STATE_COUNT] = {0}, jobs[JOB_STATE_COUNT] = {0};
    uint64_t tombstones = 0;
    struct job *seen = state_next_job(s, 0);

    for (size_t i = 0; i < m->job_count; i++) {
        const struct m_job *j = &m->jobs[i];
        const struct tombstone *t = state_tombstone(s, j->key);

        if (j->purged) {
            SAME(state_job(s, j->id), NULL);
            HOLDS((t != NULL && t->job_id == j->id) == !j->forgotten);
            tombstones += !j->forgotten;
            continue;
        }
        HOLDS(seen != NULL);
        SAME(state_job_by_key(s, j->key), seen);
        compare_job(j, seen);
        jobs[m_state_of(j)]++;
        for (uint32_t k = 0; k < j->spec.instances; k++)
            tasks[m_shown(j, k)]++;
        seen = state_next_job(s, seen->id + 1);
    }
    SAME(seen, NULL);
    SAME(s->tombstone_count, tombstones);
    SAME(memcmp(s->tasks_by_state, tasks, sizeof(tasks)), 0);
    SAME(memcmp(s->jobs_by_state, jobs, sizeof(jobs)), 0);
}

static void compare_attempts(const struct model *m, const struct state *s)
{
    struct attempt *seen = state_next_attempt(s, 0);

    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_attempt *t = &m->attempts[i];

        if (t->over)
            continue;
        HOLDS(seen != NULL);
        SAME(seen->id, t->id);
        SAME(seen->job->id, t->job);
        SAME(seen->agent->id, t->agent);
        SAME(seen->instance, t->instance);
        SAME(seen->number, t->number);
        SAME(seen->placed_us, t->placed_us);
        SAME(seen->state, t->state);
        SAME(seen->superseded, t->superseded);
        SAME(seen->stop, t->stop);
        SAME(seen->stop_for, t->stop_for);
        for (int p = 0; p < LIMIT_TASK_PORTS; p++)
            SAME(p < seen->port_count ? attempt_ports(seen)[p] : 0, t->ports[p]);
        seen = state_next_attempt(s, seen->id + 1);
    }
    SAME(seen, NULL);
    SAME(s->globals.last_attempt_id, m->attempt_count);
}

static void compare_agents(const struct model *m, const struct state *s)
{
    SAME(s->agent_count, m->agent_count);
    for (size_t i = 0; i < m->agent_count; i++) {
        const struct m_agent *a = &m->agents[i];
        const struct agent *seen = state_agent(s, a->id);
        struct resources sum = m_allocated(m, a->id);

        HOLDS(seen != NULL);
        SAME(state_agent_by_key(s, a->spec.key), seen);
        SAME(seen->state, a->state);
        SAME(seen->changed, a->changed);
        SAME(seen->registered_us, a->registered_us);
        SAME(seen->since_us, a->since_us);
        HOLDS(m_equal(seen->spec, a->spec_bytes));
        HOLDS(resources_equal(&seen->capacity, &a->spec.resources));
        HOLDS(resources_equal(&seen->allocated, &sum));
        SAME(agent_takes_work(seen),
             a->state == AGENT_ACTIVE && a->mode == AGENT_NORMAL &&
                 !m_has_superseded(m, a->id));
        SAME(seen->mode, a->mode);
        SAME(seen->drain_us, a->drain_us);
        SAME(seen->drain_due, a->drain_due);
    }
}

static void compare_roles(const struct model *m, const struct state *s)
{
    uint64_t count = 0;

    for (size_t i = 0; i < m->role_count; i++) {
        const struct m_role *r = &m->roles[i];
        const struct role *seen = state_role(s, r->name);

        count += r->is_set;
        SAME(seen != NULL, r->is_set || i == 0);
        if (seen == NULL)
            continue;
        SAME(seen->is_set, r->is_set);
        HOLDS(role_spec_equal(&seen->spec, &r->spec));
        for (int k = 0; k < RESOURCE_KINDS; k++)
            SAME((uint64_t)seen->use.amount[k], m_role_used(m, r->name, k));
        SAME((uint64_t)use_of(&seen->use, "licence"),
             m_role_used_custom(m, r->name, "licence"));
        if (r->is_set) {
            SAME(seen->id, r->id);
            SAME(seen->changed, r->changed);
        }
    }
    SAME(s->role_count, count);
}

static void compare_failure(const struct m_failure *f, const struct failure *seen)
{
    HOLDS(seen != NULL);
    SAME(seen->stamp_us, f->stamp_us);
    SAME(seen->down_us, f->down_us);
    SAME(seen->retry_us, f->retry_us);
    SAME(seen->recovered_us, f->recovered_us);
    SAME(seen->job, f->job);
    SAME(seen->agent, f->agent);
    SAME(seen->next_agent, f->next_agent);
    SAME(seen->instance, f->instance);
    SAME(seen->attempt, f->attempt);
    SAME(seen->moved, f->moved);
    SAME(seen->exit_code, f->exit_code);
    SAME(seen->of_agent, f->of_agent);
    SAME(seen->reason, f->reason);
    SAME(seen->task_state, f->task_state);
    SAME(seen->deed, f->deed);
    SAME(seen->state, f->state);
}

/* The sums of a type, by looking at all of its failures. */
static void compare_sum(const struct model *m,
                        const struct state *s,
                        bool of_agent,
                        enum task_reason reason)
{
    const struct failure_sum *seen = &s->failures.sums[of_agent][reason];
    uint64_t count = 0, recovered = 0, open = 0, us = 0, longest = 0;

    for (size_t i = 0; i < m->failure_count; i++) {
        const struct m_failure *f = &m->failures[i];
        uint64_t took = f->recovered_us == 0 ? 0 : f->recovered_us - f->down_us;

        if (f->of_agent != of_agent || f->reason != reason)
            continue;
        count++;
        open += m_is_open(m, f);
        recovered += f->recovered_us != 0;
        us += took;
        longest = took > longest ? took : longest;
    }
    SAME(seen->count, count);
    SAME(seen->recovered, recovered);
    SAME(seen->recovery_us, us);
    SAME(seen->longest_us, longest);
    SAME(s->failures.open[of_agent][reason], open);
}

static void compare_failures(const struct model *m, const struct state *s)
{
    SAME(s->failures.last, m->failure_count);
    for (size_t i = 0; i < m->failure_count; i++) {
        const struct m_failure *f = &m->failures[i];
        const struct failure *seen = state_failure(s, i + 1);

        compare_failure(f, seen);
        SAME(state_failure_is(s, seen) == FAILURE_IS_OPEN, m_is_open(m, f));
    }
    for (int r = 0; r < TASK_REASON_COUNT; r++) {
        compare_sum(m, s, false, (enum task_reason)r);
        compare_sum(m, s, true, (enum task_reason)r);
    }
}

static void compare_histories(const struct model *m, const struct state *s)
{
    SAME(s->history_count, m->history_count);
    for (size_t i = 0; i < m->history_count; i++) {
        const struct m_history *h = &m->histories[i];
        struct bytes name = {(const uint8_t *)h->name, strlen(h->name)};
        const struct history *seen = state_history(s, h->role, name);

        HOLDS(seen != NULL);
        SAME(seen->runs, h->run_count < 32 ? h->run_count : 32);
        SAME(seen->lost_ms, h->lost_ms);
        SAME(seen->used_us, h->used_us);
        SAME(history_predict_ms(seen), m_predicted(h));
    }
}

void model_compare(const struct model *m, const struct state *s)
{
    SAME(s->index, m->index);
    SAME(s->globals.last_stamp_us, m->stamp);
    SAME(s->globals.founded, m->founded);
    SAME(memcmp(s->globals.cluster_id, m->cluster_id, CLUSTER_ID_BYTES), 0);
    compare_jobs(m, s);
    compare_attempts(m, s);
    compare_agents(m, s);
    compare_roles(m, s);
    compare_failures(m, s);
    compare_histories(m, s);
}

static int compare_effects(const void *a, const void *b)
{
    const struct effect *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->agent > y->agent) - (x->agent < y->agent);
}

/* In order.  Placements of one command may change a job twice, to running and to nothing more to
 * place; the model looks at the whole command, so it counts once. */
static void sort_effects(struct outcome *o)
{
    size_t kept = 0;

    if (o->effect_count > 0)
        qsort(o->effects, o->effect_count, sizeof(*o->effects), compare_effects);
    for (size_t i = 0; i < o->effect_count; i++)
        if (kept == 0 || o->effects[i].kind != EFFECT_JOB ||
            compare_effects(&o->effects[kept - 1], &o->effects[i]) != 0)
            o->effects[kept++] = o->effects[i];
    o->effect_count = kept;
}

void model_compare_outcomes(struct outcome *expected, struct outcome *seen)
{
    SAME(seen->result_count, expected->result_count);
    for (size_t i = 0; i < expected->result_count; i++) {
        SAME(seen->results[i].code, expected->results[i].code);
        SAME(seen->results[i].id, expected->results[i].id);
        SAME(seen->results[i].index, expected->results[i].index);
    }
    sort_effects(expected);
    sort_effects(seen);
    SAME(seen->effect_count, expected->effect_count);
    for (size_t i = 0; i < expected->effect_count; i++)
        SAME(compare_effects(&seen->effects[i], &expected->effects[i]), 0);
}
