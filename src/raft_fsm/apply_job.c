/* apply_job.c - submit and kill. */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "raft_fsm/retry.h"

#include <string.h>

/* Somebody used this key: the answer is that of the first time, or a conflict. */
static struct result answer_again(const struct hash128 *asked,
                                  const struct hash128 *had,
                                  uint64_t job_id,
                                  uint64_t submit_index)
{
    if (!hash128_equal(*asked, *had))
        return result_rejected(ERROR_CONFLICT);
    return (struct result){.id = job_id, .index = submit_index};
}

static struct role *role_of(const struct state *s, const struct job_spec *spec)
{
    return state_role(s, spec->role == NULL ? ROLE_DEFAULT : spec->role);
}

static struct job *job_of_spec(struct state *s,
                               const struct command *c,
                               const struct job_spec *spec,
                               struct hash128 body)
{
    struct job *j = job_create(c->submit.key, c->submit.spec);
    char owner[LIMIT_OWNER_BYTES + 1] = {0};

    j->body = body;
    j->instances = spec->instances;
    j->priority = spec->priority;
    j->resources = spec->resources;
    j->extras = extra_needs_of(spec);
    j->policy = job_policy_of(spec);
    if (c->submit.owner.size > 0)
        memcpy(owner, c->submit.owner.data, c->submit.owner.size);
    j->owner = owner_join(role_of(s, spec), owner);
    j->expected_ms = spec->estimate_ms;
    return j;
}

struct result apply_submit(struct apply *a, const struct command *c)
{
    struct state *s = a->state;
    struct hash128 body = hash128_of(c->submit.spec);
    struct job *j = state_job_by_key(s, c->submit.key);
    struct tombstone *t;
    struct job_spec spec;
    int rc;

    if (j != NULL)
        return answer_again(&body, &j->body, j->id, j->submit_index);
    t = state_tombstone(s, c->submit.key);
    if (t != NULL)
        return answer_again(&body, &t->body, t->job_id, t->submit_index);
    rc = job_spec_unpack(&spec, c->submit.spec, NULL);
    if (rc != 0)
        return result_rejected(-rc);
    if (s->job_count >= LIMIT_JOBS || s->task_count + spec.instances > LIMIT_TASKS) {
        job_spec_finish(&spec);
        return result_rejected(ERROR_BUSY);
    }
    if (role_of(s, &spec) == NULL) {
        job_spec_finish(&spec);
        return result_rejected(ERROR_NOT_FOUND);
    }
    j = job_of_spec(s, c, &spec, body);
    job_spec_finish(&spec);
    j->id = ++s->globals.last_job_id;
    j->submit_index = s->index;
    j->submitted_us = a->stamp_us;
    state_add(s, object_job(j));
    apply_effect(a, EFFECT_JOB, j->id, 0);
    return result_done(a, j->id);
}

struct result apply_kill(struct apply *a, const struct command *c)
{
    struct job *j = state_job(a->state, c->kill.job);
    enum job_state before;
    bool was_runnable;

    if (j == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (j->kill_index != 0)
        return (struct result){.id = j->id, .index = j->kill_index};
    if (job_state_is_final(job_state(j)))
        return (struct result){.id = j->id, .index = j->changed};
    was_runnable = j->is_runnable;
    before = job_open(a, j);
    j->kill_index = a->state->index;
    job_close(a, j, before);
    if (job_state(j) == before && !was_runnable) /* else the leader hears of it */
        apply_effect(a, EFFECT_JOB, j->id, 0);
    return result_done(a, j->id);
}
