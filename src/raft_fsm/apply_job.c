/* apply_job.c - submit, submit_all and kill. */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/retry.h"

#include <string.h>

/* Somebody used this key: the answer is that of the first time, or a conflict. */
static struct result answer_again(struct hash128 asked,
                                  struct hash128 had,
                                  uint64_t job_id,
                                  uint64_t submit_index)
{
    if (!hash128_equal(asked, had))
        return result_rejected(ERROR_CONFLICT);
    return (struct result){.id = job_id, .index = submit_index};
}

bool key_was_used(const struct state *s,
                  struct bytes key,
                  struct hash128 asked,
                  struct result *answer)
{
    const struct job *j = state_job_by_key(s, key);
    const struct tombstone *t;

    if (j != NULL) {
        *answer = answer_again(asked, job_said(j), j->id, j->submit_index);
        return true;
    }
    t = state_tombstone(s, key);
    if (t != NULL)
        *answer = answer_again(asked, t->body, t->job_id, t->submit_index);
    return t != NULL;
}

static bool
was_submitted(const struct state *s, const struct command *c, struct result *answer)
{
    return key_was_used(s, c->submit.key, hash128_of(c->submit.spec), answer);
}

static struct role *role_of(const struct state *s, const struct job_spec *spec)
{
    return state_role(s, spec->role == NULL ? ROLE_DEFAULT : spec->role);
}

/* Agents and jobs of the role are what they were at this index. */
static bool plan_holds(const struct state *s, const struct role *role, uint64_t index)
{
    uint64_t changed = role->is_set ? role->changed : s->globals.default_changed;

#ifdef MUTANT_PLAN_UNCHECKED
    return true;
#endif
    return s->globals.agents_changed <= index && changed <= index;
}

/* Of jobs that are submitted together: how many come before one, and how many of those are such. */
struct before {
    size_t jobs, schedules, systems;
};

/* By their positions it may wait for jobs that come before it alone.  `check`: a plan of that
 * index is to hold still; 0: none. */
static enum error_code may_submit(const struct state *s,
                                  const struct job_spec *spec,
                                  uint64_t check,
                                  const struct before *before)
{
    const struct role *role = role_of(s, spec);

    if (role == NULL)
        return ERROR_NOT_FOUND;
    if (check > 0 && !plan_holds(s, role, check))
        return ERROR_CHANGED;
    if (spec->schedule.cron != NULL &&
        s->template_count + before->schedules >= LIMIT_SCHEDULES)
        return ERROR_BUSY;
    if (spec->kind == JOB_SYSTEM &&
        s->system_count + before->systems >= LIMIT_SYSTEM_JOBS)
        return ERROR_BUSY;
    for (size_t i = 0; i < spec->after_count; i++) {
        int64_t job = spec->after[i].job;

        if (job < -(int64_t)before->jobs)
            return ERROR_INVALID;
        if (job > 0 && state_job(s, (uint64_t)job) == NULL)
            return ERROR_NOT_FOUND;
    }
    return ERROR_NONE;
}

/* Masters of older versions refused such a job, and their entries are applied as they did. */
static bool
is_known(const struct apply *a, struct bytes packed, const struct job_spec *spec)
{
    return a->version >= RULES_OF_CHECKS ||
           (spec->kind != JOB_SYSTEM && job_spec_match(packed).size == 0);
}

bool job_has_room(const struct state *s, size_t jobs, uint64_t tasks)
{
    return s->job_count + jobs <= LIMIT_JOBS && s->task_count + tasks <= LIMIT_TASKS;
}

static struct job_template *template_of(struct job *j, const struct job_spec *spec)
{
    struct job_template *t;

    if (!job_is_template(spec))
        return NULL;
    t = mem_zalloc(sizeof(*t));
    t->job = j;
    t->overlap = (uint8_t)spec->schedule.overlap;
    t->is_dispatched = spec->parameter_count > 0;
    t->last_us = j->submitted_us;
    return t;
}

struct job *job_add(struct apply *a,
                    struct bytes key,
                    struct bytes packed,
                    const struct job_spec *spec,
                    struct bytes owner)
{
    struct state *s = a->state;
    struct job *j = job_create(key, packed);
    char owner_name[LIMIT_OWNER_BYTES + 1] = {0};

    j->id = ++s->globals.last_job_id;
    j->submit_index = s->index;
    j->submitted_us = a->stamp_us;
    j->body = hash128_of(packed);
    j->made = template_of(j, spec);
    j->instances = j->made == NULL && spec->kind != JOB_SYSTEM ? spec->instances : 0;
    j->priority = spec->priority;
    j->resources = spec->resources;
    j->extras = extra_needs_of(spec);
    j->policy = job_policy_of(spec);
    if (owner.size > 0)
        memcpy(owner_name, owner.data, owner.size);
    j->owner = owner_join(role_of(s, spec), owner_name);
    job_expect(a, j, spec);
    j->kind = (uint8_t)spec->kind;
    if (spec->kind == JOB_SYSTEM)
        job_system_create(j);
    job_wait_for(a, j, spec);
    return j;
}

/* What was planned for jobs of its role may be wrong now. */
static void role_touched(struct apply *a, const struct job *j)
{
    struct role *role = j->owner->role;

    if (a->version < RULES_OF_CHECKS)
        return;
    if (!role->is_set) {
        a->state->globals.default_changed = a->state->index;
        return;
    }
    state_edit(a->state, object_role(role));
    state_edited(a->state, object_role(role));
}

void job_added(struct apply *a, struct job *j)
{
    role_touched(a, j);
    state_add(a->state, object_job(j));
    apply_effect(a, EFFECT_JOB, j->id, 0);
}

struct result apply_submit(struct apply *a, const struct command *c)
{
    struct job_spec spec;
    struct result answer;
    enum error_code code;
    struct job *j;
    int rc;

    if (was_submitted(a->state, c, &answer))
        return answer;
    rc = job_spec_unpack(&spec, c->submit.spec, NULL);
    if (rc != 0)
        return result_rejected(-rc);
    if (!is_known(a, c->submit.spec, &spec)) {
        job_spec_finish(&spec);
        return result_rejected(ERROR_VERSION);
    }
    code = job_has_room(a->state, 1, spec.instances)
               ? may_submit(a->state, &spec, c->submit.check, &(struct before){0})
               : ERROR_BUSY;
    if (code != ERROR_NONE) {
        job_spec_finish(&spec);
        return result_rejected((int)code);
    }
    j = job_add(a, c->submit.key, c->submit.spec, &spec, c->submit.owner);
    job_spec_finish(&spec);
    job_added(a, j);
    return result_done(a, j->id);
}

/* ---- several ---- */

struct submission {
    struct job_spec *specs;
    size_t count;
};

static void submission_finish(struct submission *s)
{
    for (size_t i = 0; i < s->count; i++)
        job_spec_finish(&s->specs[i]);
    mem_free(s->specs);
}

/* All of them keep the rules, or why one does not. */
static enum error_code
read_submission(const struct apply *a, const struct command *c, struct submission *out)
{
    const struct state *s = a->state;
    struct job_specs_reader r;
    struct before before = {0};
    uint64_t tasks = 0;
    struct bytes spec;

    job_specs_open(&r, c->submit.spec);
    if (r.left == 0)
        return ERROR_INVALID;
    if (r.left > LIMIT_SET_JOBS)
        return ERROR_TOO_LARGE;
    out->specs = mem_zalloc(r.left * sizeof(*out->specs));
    while (r.left > 0) {
        struct job_spec *one = &out->specs[out->count];
        enum error_code code;
        int rc;

        spec = job_specs_next(&r);
        rc = job_spec_unpack(one, spec, NULL);
        if (rc != 0)
            return (enum error_code) - rc;
        out->count++;
        if (!is_known(a, spec, one))
            return ERROR_VERSION;
        tasks += one->instances;
        code = may_submit(s, one, c->submit.check, &before);
        if (code != ERROR_NONE)
            return code;
        before.jobs++;
        before.schedules += one->schedule.cron != NULL;
        before.systems += one->kind == JOB_SYSTEM;
    }
    return job_has_room(s, out->count, tasks) ? ERROR_NONE : ERROR_BUSY;
}

#define POSITION_KEY_BYTES (MASTERS_KEY_BYTES + 8 + 4)

/* No client may send it. */
static struct bytes
position_key(uint64_t first, uint32_t position, uint8_t key[POSITION_KEY_BYTES])
{
    memcpy(key, MASTERS_KEY, MASTERS_KEY_BYTES);
    store_u64(key + MASTERS_KEY_BYTES, first);
    store_u32(key + MASTERS_KEY_BYTES + 8, position);
    return (struct bytes){key, POSITION_KEY_BYTES};
}

/* Positions become ids: as it would have been submitted alone. */
static void use_ids(struct job_spec *spec, uint64_t first, struct buffer *packed)
{
    for (size_t i = 0; i < spec->after_count; i++)
        if (spec->after[i].job < 0)
            spec->after[i].job = (int64_t)first - 1 - spec->after[i].job;
    job_spec_sort_after(spec);
    buffer_clear(packed);
    job_spec_pack(spec, packed);
}

static void add_all(struct apply *a, const struct command *c, struct submission *s)
{
    uint64_t first = a->state->globals.last_job_id + 1;
    struct buffer packed = {0};

    for (size_t i = 0; i < s->count; i++) {
        uint8_t own[POSITION_KEY_BYTES];
        struct bytes key =
            i == 0 ? c->submit.key : position_key(first, (uint32_t)i, own);
        struct job *j;

        use_ids(&s->specs[i], first, &packed);
        j = job_add(a, key, buffer_view(&packed), &s->specs[i], c->submit.owner);
        if (i == 0)
            job_links(j)->set = hash128_of(c->submit.spec);
        job_added(a, j);
    }
    buffer_finish(&packed);
}

struct result apply_submit_all(struct apply *a, const struct command *c)
{
    struct submission s = {0};
    uint64_t first = a->state->globals.last_job_id + 1;
    struct result answer;
    enum error_code code;

    if (was_submitted(a->state, c, &answer))
        return answer;
    code = read_submission(a, c, &s);
    if (code == ERROR_NONE)
        add_all(a, c, &s);
    a->work += s.count;
    submission_finish(&s);
    return code == ERROR_NONE ? result_done(a, first) : result_rejected((int)code);
}

void job_kill(struct apply *a, struct job *j)
{
    bool was_runnable = j->is_runnable;
    enum job_state before = job_open(a, j);

    role_touched(a, j);
    j->kill_index = a->state->index;
    links_clear(a->state, j);
    failures_withdraw(a->state, j);
    job_close(a, j, before);
    if (job_state(j) == before && !was_runnable) /* else the leader hears of it */
        apply_effect(a, EFFECT_JOB, j->id, 0);
}

struct result apply_kill(struct apply *a, const struct command *c)
{
    struct job *j = state_job(a->state, c->kill.job);

    if (j == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (j->kill_index != 0)
        return (struct result){.id = j->id, .index = j->kill_index};
    if (job_state_is_final(job_state(j)))
        return (struct result){.id = j->id, .index = j->changed};
    job_kill(a, j);
    return result_done(a, j->id);
}
