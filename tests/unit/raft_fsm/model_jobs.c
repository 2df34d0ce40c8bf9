/* model_jobs.c - commands about jobs and their keys. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#include <check.h>

#define DAY_US (24ull * 3600 * 1000000)

/* Somebody used the key already. */
static bool m_key_was_used(const struct model *m,
                           struct bytes key,
                           struct bytes said,
                           struct result *answer)
{
    for (size_t i = 0; i < m->job_count; i++) {
        const struct m_job *j = &m->jobs[i];

        if (j->forgotten || !m_equal(j->key, key))
            continue;
        *answer = m_equal(j->said, said)
                      ? (struct result){.id = j->id, .index = j->submit_index}
                      : m_refused(ERROR_CONFLICT);
        return true;
    }
    return false;
}

static bool
m_answer_again(const struct model *m, const struct command *c, struct result *answer)
{
    return m_key_was_used(m, c->submit.key, c->submit.spec, answer);
}

static struct m_role *m_role_for(struct model *m, const struct job_spec *spec)
{
    return m_find_role(m, spec->role == NULL ? ROLE_DEFAULT : spec->role);
}

/* One of its jobs came, or was killed. */
static void m_touch(struct model *m, const struct m_job *j)
{
    if (m->version >= 3)
        m_role_for(m, &j->spec)->changed = m->index;
}

/* A number below 0 is one of the `position` jobs before it. */
static int
m_check(struct model *m, const struct job_spec *spec, uint64_t plan, int64_t position)
{
    const struct m_role *role = m_role_for(m, spec);

    if (role == NULL)
        return ERROR_NOT_FOUND;
    if (plan > 0 && (m->agents_changed > plan || role->changed > plan))
        return ERROR_CHANGED;
    for (size_t i = 0; i < spec->after_count; i++) {
        int64_t job = spec->after[i].job;

        if (job < 0 && -job > position)
            return ERROR_INVALID;
        if (job > 0 && m_find_job(m, (uint64_t)job) == NULL)
            return ERROR_NOT_FOUND;
    }
    return ERROR_NONE;
}

/* What it waits for counts from now on. */
static void m_wait(struct model *m, struct m_job *j)
{
    for (size_t i = 0; i < j->spec.after_count && j->stopped_by == 0; i++) {
        struct m_wait w = {(uint64_t)j->spec.after[i].job, j->spec.after[i].on};
        enum job_state state = m_state_of(&m->jobs[w.job - 1]);
        bool well = state == JOB_COMPLETE;

        if (!job_state_is_final(state))
            j->waits[j->wait_count++] = w;
        else if ((w.on == JOB_ON_SUCCESS && !well) || (w.on == JOB_ON_FAILURE && well))
            j->stopped_by = w.job;
    }
    if (j->stopped_by == 0)
        return;
    j->wait_count = 0;
    j->kill_index = m->index;
    j->ended_us = m->stamp;
}

/* Takes the spec. */
static void m_add(struct model *m,
                  struct bytes key,
                  struct bytes said,
                  struct bytes body,
                  const struct job_spec *spec)
{
    struct m_job *j;

    MEM_GROW(m->jobs, m->job_capacity, m->job_count + 1);
    j = &m->jobs[m->job_count++];
    *j = (struct m_job){.id = m->job_count,
                        .submit_index = m->index,
                        .changed = m->index,
                        .submitted_us = m->stamp,
                        .key = m_copy(key),
                        .said = m_copy(said),
                        .body = m_copy(body),
                        .spec = *spec};
    j->is_template = spec->schedule.cron != NULL || spec->parameter_count > 0;
    j->last_us = m->stamp;
    if (j->is_template || m_is_system(j))
        j->spec.instances = 0; /* nothing of it runs, yet */
    j->tasks = mem_zalloc((j->spec.instances + 1) * sizeof(struct m_task));
    m_expect(m, j);
    m_wait(m, j);
    m_touch(m, j);
    m_effect(m, EFFECT_JOB, j->id, 0);
}

/* Of an older entry: what its masters did not know. */
static bool
m_is_unknown(const struct model *m, struct bytes packed, const struct job_spec *spec)
{
    return m->version < 3 &&
           (spec->kind == JOB_SYSTEM || job_spec_match(packed).size > 0);
}

struct result m_submit(struct model *m, const struct command *c)
{
    struct job_spec spec;
    struct result answer;
    int rc;

    if (m_answer_again(m, c, &answer))
        return answer;
    rc = -job_spec_unpack(&spec, c->submit.spec, NULL);
    if (rc != 0)
        return m_refused(rc);
    rc = m_is_unknown(m, c->submit.spec, &spec) ? (int)ERROR_VERSION
                                                : m_check(m, &spec, c->submit.check, 0);
    if (rc != 0) {
        job_spec_finish(&spec);
        return m_refused(rc);
    }
    m_add(m, c->submit.key, c->submit.spec, c->submit.spec, &spec);
    return m_done(m, m->job_count);
}

/* Those that came with the first one have its id and their position for a key. */
static void
m_add_at(struct model *m, const struct command *c, struct job_spec *spec, uint32_t at)
{
    int64_t first = (int64_t)m->job_count + 1 - at;
    struct buffer body = {0}, key = {0};

    for (size_t i = 0; i < spec->after_count; i++)
        if (spec->after[i].job < 0)
            spec->after[i].job = first + (-spec->after[i].job - 1);
    job_spec_sort_after(spec);
    job_spec_pack(spec, &body);
    buffer_append(&key, "\0triarch", 8);
    buffer_append_u64(&key, (uint64_t)first);
    buffer_append_u32(&key, at);
    m_add(m,
          at == 0 ? c->submit.key : buffer_view(&key),
          at == 0 ? c->submit.spec : buffer_view(&body),
          buffer_view(&body),
          spec);
    buffer_finish(&body);
    buffer_finish(&key);
}

struct result m_submit_all(struct model *m, const struct command *c)
{
    struct job_spec specs[8];
    struct job_specs_reader r;
    struct result answer;
    uint32_t count = 0;
    int rc = 0;

    if (m_answer_again(m, c, &answer))
        return answer;
    job_specs_open(&r, c->submit.spec);
    if (r.left == 0)
        return m_refused(ERROR_INVALID);
    while (rc == 0 && r.left > 0) {
        struct bytes packed = job_specs_next(&r);

        rc = -job_spec_unpack(&specs[count], packed, NULL);
        if (rc != 0)
            break;
        rc = m_is_unknown(m, packed, &specs[count])
                 ? (int)ERROR_VERSION
                 : m_check(m, &specs[count], c->submit.check, count);
        count++;
    }
    for (uint32_t i = 0; i < count; i++)
        if (rc != 0)
            job_spec_finish(&specs[i]);
        else
            m_add_at(m, c, &specs[i], i);
    return rc != 0 ? m_refused(rc) : m_done(m, m->job_count + 1 - count);
}

/* ---- schedules ---- */

static uint64_t m_make(struct model *m, const struct m_job *template, uint64_t slot_us)
{
    struct buffer body = {0}, key = {0};
    uint64_t parent = template->id;
    struct job_spec spec;

    job_spec_unpack(&spec, template->body, NULL);
    job_spec_at_slot(&spec, slot_us);
    ck_assert_int_eq(job_spec_check(&spec, NULL), 0);
    job_spec_pack(&spec, &body);
    buffer_append(&key, "\0triarch", 8);
    buffer_append_u64(&key, parent);
    buffer_append_u64(&key, slot_us);
    m_add(m, buffer_view(&key), buffer_view(&body), buffer_view(&body), &spec);
    m->jobs[m->job_count - 1].parent = parent;
    buffer_finish(&body);
    buffer_finish(&key);
    return m->job_count;
}

struct result m_fire(struct model *m, const struct command *c)
{
    struct m_job *j = m_find_job(m, c->fire.job);
    bool runs;

    if (j == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (j->spec.schedule.cron == NULL || j->kill_index != 0 ||
        c->fire.slot_us <= j->last_us)
        return m_refused(ERROR_INVALID);
    runs = j->child != 0 && m_find_job(m, j->child) != NULL &&
           !job_state_is_final(m_state_of(&m->jobs[j->child - 1]));
    j->last_us = c->fire.slot_us;
    j->missed += c->fire.missed;
    j->changed = m->index;
    if (c->fire.make && runs && j->spec.schedule.overlap == OVERLAP_FORBID) {
        j->skipped++;
    } else if (c->fire.make) {
        uint64_t last = j->child, id = m_make(m, j, c->fire.slot_us);

        j = &m->jobs[c->fire.job - 1]; /* jobs may have moved */
        if (runs && j->spec.schedule.overlap == OVERLAP_REPLACE)
            m_kill(m, &(struct command){.kind = COMMAND_KILL, .kill.job = last});
        j->fired++;
        j->child = id;
        m_effect(m, EFFECT_JOB, c->fire.job, 0);
        return m_done(m, id);
    }
    m_effect(m, EFFECT_JOB, c->fire.job, 0);
    return m_done(m, 0);
}

/* With these values; they begin with A=, B= or C= and are in that order. */
static bool m_fill_in(const struct m_job *j, struct bytes values, struct job_spec *spec)
{
    size_t count;
    char **texts = texts_unpack(values, &count);
    const char *a = NULL, *b = "B=1";
    bool right = texts != NULL && j->spec.parameter_count > 0 && j->kill_index == 0;

    for (size_t i = 0; i < count; i++) {
        a = texts[i][0] == 'A' ? "A=1" : a;
        b = texts[i][0] == 'B' ? "B=2" : b;
        right = right && texts[i][0] != 'C';
    }
    texts_free(texts, count);
    if (!right || a == NULL)
        return false;
    job_spec_unpack(spec, j->body, NULL);
    for (size_t i = 0; i < spec->parameter_count; i++) {
        mem_free(spec->parameters[i].name);
        mem_free(spec->parameters[i].value);
    }
    spec->parameter_count = 0;
    job_spec_add_env(spec, a);
    job_spec_add_env(spec, b);
    return true;
}

struct result m_dispatch(struct model *m, const struct command *c)
{
    struct m_job *j = m_find_job(m, c->dispatch.job);
    struct buffer said = {0}, body = {0};
    struct result answer = m_refused(ERROR_INVALID);
    struct job_spec spec;

    buffer_append_u64(&said, c->dispatch.job);
    buffer_append(&said, c->dispatch.values.data, c->dispatch.values.size);
    if (m_key_was_used(m, c->dispatch.key, buffer_view(&said), &answer)) {
        buffer_finish(&said);
        return answer;
    }
    if (j == NULL) {
        answer = m_refused(ERROR_NOT_FOUND);
    } else if (m_fill_in(j, c->dispatch.values, &spec)) {
        job_spec_pack(&spec, &body);
        m_add(m, c->dispatch.key, buffer_view(&said), buffer_view(&body), &spec);
        m->jobs[m->job_count - 1].parent = c->dispatch.job;
        j = &m->jobs[c->dispatch.job - 1];
        j->fired++;
        j->child = m->job_count;
        j->changed = m->index;
        answer = m_done(m, m->job_count);
    }
    buffer_finish(&said);
    buffer_finish(&body);
    return answer;
}

/* ---- who waits for whom ---- */

bool m_is_waited_for(const struct model *m, uint64_t job)
{
    for (size_t i = 0; i < m->job_count; i++)
        for (size_t k = 0; k < m->jobs[i].wait_count; k++)
            if (m->jobs[i].waits[k].job == job)
                return true;
    return false;
}

static void m_tell(struct model *m, struct m_job *j, size_t wait)
{
    struct m_wait w = j->waits[wait];
    bool well = m_state_of(&m->jobs[w.job - 1]) == JOB_COMPLETE;

    for (size_t i = wait + 1; i < j->wait_count; i++)
        j->waits[i - 1] = j->waits[i];
    j->wait_count--;
    j->changed = m->index;
    if ((w.on == JOB_ON_SUCCESS && !well) || (w.on == JOB_ON_FAILURE && well)) {
        j->wait_count = 0;
        j->stopped_by = w.job;
        j->kill_index = m->index;
        j->ended_us = m->stamp;
        m_effect(m, EFFECT_JOB, j->id, 0);
    } else if (j->wait_count == 0) {
        m_effect(m, EFFECT_JOB, j->id, 0);
    }
}

/* Until nothing changes any more: of a few jobs the order is all one, but for who is named as
 * the reason, which is the oldest. */
void m_release(struct model *m)
{
    for (size_t ended = 0; ended < m->job_count; ended++) {
        if (!job_state_is_final(m_state_of(&m->jobs[ended])))
            continue;
        for (size_t i = 0; i < m->job_count; i++)
            for (size_t k = 0; k < m->jobs[i].wait_count; k++)
                if (m->jobs[i].waits[k].job == ended + 1) {
                    m_tell(m, &m->jobs[i], k);
                    k = SIZE_MAX; /* the list is another one */
                }
    }
}

struct result m_kill(struct model *m, const struct command *c)
{
    struct m_job *j = m_find_job(m, c->kill.job);
    bool is_to_place;

    if (j == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (j->kill_index != 0)
        return (struct result){.id = j->id, .index = j->kill_index};
    if (job_state_is_final(m_state_of(j)))
        return (struct result){.id = j->id, .index = j->changed};
    is_to_place = m_may_get_placed(j);
    j->kill_index = m->index;
    m_touch(m, j);
    j->changed = m->index;
    j->wait_count = 0;
    if (!job_state_is_final(m_state_of(j)) && !is_to_place)
        m_effect(m, EFFECT_JOB, j->id, 0); /* else because that changed */
    return m_done(m, j->id);
}

struct result m_purge(struct model *m, const struct command *c)
{
    struct m_job *j = m_find_job(m, c->purge.job);

    if (j == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (!job_state_is_final(m_state_of(j)))
        return m_refused(ERROR_INVALID);
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over && m->attempts[i].job == j->id)
            return m_refused(ERROR_BUSY);
    if (m_is_waited_for(m, j->id))
        return m_refused(ERROR_BUSY);
    j->purged = true;
    j->purged_us = m->stamp;
    j->forgotten = j->key.data[0] == '\0'; /* what no client can ask for again */
    return m_done(m, j->id);
}

struct result m_expire(struct model *m, const struct command *c)
{
    uint64_t n = 0;

    for (size_t i = 0; i < m->job_count; i++) {
        struct m_job *j = &m->jobs[i];

        if (!j->purged || j->forgotten || j->purged_us >= c->expire_keys.before_us ||
            j->purged_us + DAY_US > m->stamp)
            continue;
        j->forgotten = true;
        n++;
    }
    return m_done(m, n);
}
