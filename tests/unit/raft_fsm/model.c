/* model.c - docs/spec/2 and 3 written a second time, as simply as possible. */
#include "tests/unit/raft_fsm/model.h"

#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/effects.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define DAY_US (24ull * 3600 * 1000000)

struct m_task {
    enum task_state state; /* stored: PENDING, or that of the current attempt */
    uint32_t attempt;
    uint64_t attempt_id, agent_id, changed, started_us, ended_us;
    enum task_reason reason;
    int32_t exit_code;
    char message[LIMIT_MESSAGE_BYTES + 1];
    struct m_tries {
        uint64_t retry_us, first_us, lost_us;
        uint32_t retries, losses;
    } tries; /* stays when it is placed */
    enum task_health health;
    uint32_t restarts;
};

struct m_job {
    uint64_t id, submit_index, kill_index, changed, submitted_us, ended_us, purged_us;
    bool purged, forgotten; /* then the key is still known; then nothing is */
    struct bytes key, body;
    struct job_spec spec;
    struct m_task *tasks;
};

struct m_attempt {
    uint64_t id, job, agent, placed_us;
    uint32_t instance, number;
    enum task_state state;
    enum task_reason stop;
    uint16_t ports[LIMIT_TASK_PORTS];
    bool superseded, over;
};

struct m_agent {
    uint64_t id, changed, registered_us, since_us;
    enum agent_state state;
    enum agent_mode mode;
    uint64_t drain_us;
    bool drain_due;
    struct bytes spec_bytes;
    struct agent_spec spec;
};

struct model {
    bool founded;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    uint64_t index, stamp;
    struct m_job *jobs; /* id - 1; also those that are gone */
    size_t job_count, job_capacity;
    struct m_attempt *attempts;
    size_t attempt_count, attempt_capacity;
    struct m_agent *agents;
    size_t agent_count, agent_capacity;
    struct outcome *out;
};

struct model *model_create(void)
{
    return mem_zalloc(sizeof(struct model));
}

void model_destroy(struct model *m)
{
    for (size_t i = 0; i < m->job_count; i++) {
        mem_free((void *)m->jobs[i].key.data);
        mem_free((void *)m->jobs[i].body.data);
        mem_free(m->jobs[i].tasks);
        job_spec_finish(&m->jobs[i].spec);
    }
    for (size_t i = 0; i < m->agent_count; i++) {
        mem_free((void *)m->agents[i].spec_bytes.data);
        agent_spec_finish(&m->agents[i].spec);
    }
    mem_free(m->jobs);
    mem_free(m->attempts);
    mem_free(m->agents);
    mem_free(m);
}

/* ---- looking ---- */

static struct bytes copy(struct bytes b)
{
    return (struct bytes){mem_dup(b.data, b.size), b.size};
}

static bool equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static struct m_job *find_job(struct model *m, uint64_t id)
{
    if (id == 0 || id > m->job_count || m->jobs[id - 1].purged)
        return NULL;
    return &m->jobs[id - 1];
}

static struct m_agent *find_agent(struct model *m, uint64_t id)
{
    return id == 0 || id > m->agent_count ? NULL : &m->agents[id - 1];
}

static struct m_attempt *find_attempt(struct model *m, uint64_t id)
{
    if (id == 0 || id > m->attempt_count || m->attempts[id - 1].over)
        return NULL;
    return &m->attempts[id - 1];
}

static enum task_state shown(const struct m_job *j, uint32_t i)
{
    enum task_state state = j->tasks[i].state;

    if (j->kill_index == 0 || state >= TASK_FINISHED)
        return state;
    return state == TASK_PENDING ? TASK_KILLED : TASK_KILLING;
}

static bool can_be_placed(const struct m_job *j, uint32_t i)
{
    return shown(j, i) == TASK_PENDING && j->tasks[i].tries.retry_us == 0;
}

static uint32_t count_placeable(const struct m_job *j)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < j->spec.instances; i++)
        n += can_be_placed(j, i);
    return n;
}

static uint32_t count_shown(const struct m_job *j, enum task_state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < j->spec.instances; i++)
        n += shown(j, i) == state;
    return n;
}

static enum job_state state_of(const struct m_job *j)
{
    uint32_t finished = count_shown(j, TASK_FINISHED);
    uint32_t killed = count_shown(j, TASK_KILLED);
    uint32_t failed = count_shown(j, TASK_FAILED) + count_shown(j, TASK_ERROR);

    if (finished + killed + failed == j->spec.instances) {
        if (killed > 0 && j->kill_index != 0)
            return JOB_KILLED;
        return failed + killed > 0 ? JOB_FAILED : JOB_COMPLETE;
    }
    for (uint32_t i = 0; i < j->spec.instances; i++)
        if (j->tasks[i].attempt > 0)
            return JOB_RUNNING;
    return JOB_PENDING;
}

/* One more than the highest instance that was ever placed. */
static uint32_t touched(const struct m_job *j)
{
    uint32_t n = j->spec.instances;

    while (n > 0 && j->tasks[n - 1].attempt == 0)
        n--;
    return n;
}

static struct resources allocated(const struct model *m, uint64_t agent)
{
    struct resources sum = {0};

    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_attempt *t = &m->attempts[i];

        if (!t->over && t->agent == agent)
            resources_add(&sum, &m->jobs[t->job - 1].spec.resources);
    }
    return sum;
}

static uint64_t custom_used(const struct model *m, uint64_t agent, const char *name)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_attempt *t = &m->attempts[i];

        if (!t->over && t->agent == agent)
            sum += custom_resources_amount(&m->jobs[t->job - 1].spec.custom, name);
    }
    return sum;
}

static bool in_ranges(const struct port_range *ranges, size_t count, unsigned port)
{
    for (size_t i = 0; i < count; i++)
        if (port >= ranges[i].first && port <= ranges[i].last)
            return true;
    return false;
}

static bool is_free(const struct model *m, const struct m_agent *a, unsigned port)
{
    for (size_t i = 0; i < m->attempt_count; i++)
        for (int p = 0; p < LIMIT_TASK_PORTS; p++)
            if (!m->attempts[i].over && m->attempts[i].agent == a->id &&
                m->attempts[i].ports[p] == port)
                return false;
    return in_ranges(a->spec.ports, a->spec.port_count, port);
}

/* The ports of one more task on the agent; false when it has not got them. */
static bool choose_ports(const struct model *m,
                         const struct m_agent *a,
                         const struct job_spec *spec,
                         uint16_t *ports)
{
    uint32_t any = spec->ports.count;

    for (unsigned port = 1; port <= UINT16_MAX; port++) {
        if (!in_ranges(spec->ports.fixed, spec->ports.fixed_count, port))
            continue;
        if (!is_free(m, a, port))
            return false;
        *ports++ = (uint16_t)port;
    }
    for (unsigned port = 31000; port <= 31100 && any > 0; port++) {
        if (in_ranges(spec->ports.fixed, spec->ports.fixed_count, port) ||
            !is_free(m, a, port))
            continue;
        *ports++ = (uint16_t)port;
        any--;
    }
    return any == 0;
}

static bool has_extras(const struct model *m,
                       const struct m_agent *a,
                       const struct job_spec *spec,
                       uint16_t *ports)
{
    if (spec->image.source != NULL && (a->spec.features & AGENT_FEATURE_IMAGES) == 0)
        return false;
    if (!job_spec_is_plain(spec) && (a->spec.features & AGENT_FEATURE_JOBS_2) == 0)
        return false;
    for (size_t i = 0; i < spec->custom.count; i++)
        if (custom_used(m, a->id, spec->custom.items[i].name) +
                spec->custom.items[i].amount >
            custom_resources_amount(&a->spec.custom, spec->custom.items[i].name))
            return false;
    return choose_ports(m, a, spec, ports);
}

static bool has_superseded(const struct model *m, uint64_t agent)
{
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over && m->attempts[i].agent == agent &&
            m->attempts[i].superseded)
            return true;
    return false;
}

/* ---- answers ---- */

static struct result done(const struct model *m, uint64_t id)
{
    return (struct result){.id = id, .index = m->index};
}

static struct result refused(int code)
{
    return (struct result){.code = (enum error_code)code};
}

static void effect(struct model *m, enum effect_kind kind, uint64_t id, uint64_t agent)
{
    outcome_add_effect(m->out, (struct effect){kind, id, agent});
}

/* ---- commands about jobs ---- */

static struct result m_submit(struct model *m, const struct command *c)
{
    struct job_spec spec;
    struct m_job *j;
    int rc;

    for (size_t i = 0; i < m->job_count; i++) {
        j = &m->jobs[i];
        if (j->forgotten || !equal(j->key, c->submit.key))
            continue;
        if (!equal(j->body, c->submit.spec))
            return refused(ERROR_CONFLICT);
        return (struct result){.id = j->id, .index = j->submit_index};
    }
    rc = job_spec_unpack(&spec, c->submit.spec, NULL);
    if (rc != 0)
        return refused(-rc);
    MEM_GROW(m->jobs, m->job_capacity, m->job_count + 1);
    j = &m->jobs[m->job_count++];
    *j = (struct m_job){.id = m->job_count,
                        .submit_index = m->index,
                        .changed = m->index,
                        .submitted_us = m->stamp,
                        .key = copy(c->submit.key),
                        .body = copy(c->submit.spec),
                        .spec = spec};
    j->tasks = mem_zalloc(spec.instances * sizeof(struct m_task));
    effect(m, EFFECT_JOB, j->id, 0);
    return done(m, j->id);
}

static struct result m_kill(struct model *m, const struct command *c)
{
    struct m_job *j = find_job(m, c->kill.job);

    if (j == NULL)
        return refused(ERROR_NOT_FOUND);
    if (j->kill_index != 0)
        return (struct result){.id = j->id, .index = j->kill_index};
    if (job_state_is_final(state_of(j)))
        return (struct result){.id = j->id, .index = j->changed};
    j->kill_index = m->index;
    j->changed = m->index;
    if (!job_state_is_final(state_of(j)))
        effect(m, EFFECT_JOB, j->id, 0); /* else because its state changed */
    return done(m, j->id);
}

static struct result m_purge(struct model *m, const struct command *c)
{
    struct m_job *j = find_job(m, c->purge.job);

    if (j == NULL)
        return refused(ERROR_NOT_FOUND);
    if (!job_state_is_final(state_of(j)))
        return refused(ERROR_INVALID);
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over && m->attempts[i].job == j->id)
            return refused(ERROR_BUSY);
    j->purged = true;
    j->purged_us = m->stamp;
    return done(m, j->id);
}

static struct result m_expire(struct model *m, const struct command *c)
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
    return done(m, n);
}

/* ---- commands about agents ---- */

static void take_spec(struct m_agent *a, struct agent_spec *spec, struct bytes bytes)
{
    mem_free((void *)a->spec_bytes.data);
    agent_spec_finish(&a->spec);
    a->spec = *spec;
    a->spec_bytes = copy(bytes);
    *spec = (struct agent_spec){0};
}

/* Attempts whose task has no other one yet are the task's again. */
static void take_back(struct model *m, const struct m_agent *a)
{
    for (size_t i = 0; i < m->attempt_count; i++) {
        struct m_attempt *t = &m->attempts[i];
        struct m_job *j = &m->jobs[t->job - 1];
        struct m_task *task;

        if (t->over || !t->superseded || t->agent != a->id || a->drain_due ||
            t->stop != TASK_REASON_NONE || j->kill_index != 0 || j->spec.lease_ms != 0)
            continue;
        task = &j->tasks[t->instance];
        if (task->attempt_id != t->id || task->state != TASK_PENDING)
            continue;
        *task = (struct m_task){.state = TASK_STAGING,
                                .attempt = t->number,
                                .attempt_id = t->id,
                                .agent_id = a->id,
                                .tries = task->tries};
        t->state = TASK_STAGING;
        t->superseded = false;
        task->changed = j->changed = m->index;
    }
}

static struct result come_back(struct model *m,
                               struct m_agent *a,
                               struct agent_spec *spec,
                               struct bytes bytes)
{
    if (a->state == AGENT_GONE)
        return refused(ERROR_NOT_FOUND);
    if (memcmp(a->spec.key, spec->key, 16) != 0)
        return refused(ERROR_CONFLICT);
    if (a->state == AGENT_ACTIVE && equal(a->spec_bytes, bytes))
        return done(m, a->id);
    take_spec(a, spec, bytes);
    if (a->state == AGENT_UNREACHABLE)
        take_back(m, a);
    if (a->state != AGENT_ACTIVE)
        a->since_us = m->stamp;
    a->state = AGENT_ACTIVE;
    a->changed = m->index;
    effect(m, EFFECT_AGENT, a->id, a->id);
    return done(m, a->id);
}

static struct result m_register(struct model *m, const struct command *c)
{
    struct bytes bytes = c->agent_register.spec;
    struct agent_spec spec;
    struct result result;
    struct m_agent *a;
    int rc = agent_spec_unpack(&spec, bytes, NULL);

    if (rc != 0)
        return refused(-rc);
    for (size_t i = 0; i < m->agent_count; i++) {
        if (memcmp(m->agents[i].spec.key, spec.key, 16) != 0)
            continue;
        result = come_back(m, &m->agents[i], &spec, bytes);
        agent_spec_finish(&spec);
        return result;
    }
    MEM_GROW(m->agents, m->agent_capacity, m->agent_count + 1);
    a = &m->agents[m->agent_count++];
    *a = (struct m_agent){.id = m->agent_count,
                          .changed = m->index,
                          .registered_us = m->stamp,
                          .since_us = m->stamp};
    take_spec(a, &spec, bytes);
    effect(m, EFFECT_AGENT, a->id, a->id);
    return done(m, a->id);
}

static struct result m_reregister(struct model *m, const struct command *c)
{
    struct m_agent *a = find_agent(m, c->agent_reregister.agent);
    struct agent_spec spec;
    struct result result;
    int rc = agent_spec_unpack(&spec, c->agent_reregister.spec, NULL);

    if (rc != 0)
        return refused(-rc);
    result = a == NULL ? refused(ERROR_NOT_FOUND)
                       : come_back(m, a, &spec, c->agent_reregister.spec);
    agent_spec_finish(&spec);
    return result;
}

static uint64_t doubled(uint64_t ms, uint32_t times, uint64_t most)
{
    for (uint32_t i = 0; i < times; i++)
        ms = ms * 2 < most ? ms * 2 : most;
    return (ms < most ? ms : most) * 1000;
}

static void try_again(struct model *m,
                      const struct m_job *j,
                      struct m_task *t,
                      const struct task_update *u)
{
    const struct job_retry *r = &j->spec.reschedule;
    struct m_tries *n = &t->tries;

    if (u->state == TASK_LOST && u->reason != TASK_REASON_AGENT_UNREACHABLE &&
        u->reason != TASK_REASON_AGENT_GONE) {
        if (n->losses > 0 && m->stamp - n->lost_us >= 600000000)
            n->losses = 0;
        n->retry_us =
            n->losses == 0 ? 0 : m->stamp + doubled(1000, n->losses - 1, 60000);
        n->losses++;
        n->lost_us = m->stamp;
    }
    if (u->state != TASK_FAILED && u->state != TASK_ERROR)
        return;
    if (n->retries > 0 && r->interval_ms > 0 &&
        m->stamp >= n->first_us + r->interval_ms * 1000)
        n->retries = 0;
    if (n->retries == 0)
        n->first_us = r->attempts > 0 ? m->stamp : 0;
    if (n->retries >= r->attempts)
        return;
    n->retry_us = m->stamp + doubled(r->delay_ms, n->retries, r->max_delay_ms);
    n->retries++;
    t->state = TASK_PENDING;
    t->started_us = 0;
}

/* The task of a live attempt is told how it is. */
static void say(struct m_task *t, const struct task_update *u)
{
    t->reason = u->reason;
    t->exit_code = u->exit_code;
    memset(t->message, 0, sizeof(t->message));
    if (u->message.size > 0)
        strncpy(t->message, (const char *)u->message.data, u->message.size);
}

static void
tell_task(struct model *m, const struct m_attempt *at, const struct task_update *u)
{
    struct m_job *j = &m->jobs[at->job - 1];
    struct m_task *t = &j->tasks[at->instance];

    t->state = u->state;
    say(t, u);
    t->restarts = u->restarts;
    t->health = u->state >= TASK_FINISHED ? HEALTH_UNKNOWN : u->health;
    if (j->kill_index == 0)
        try_again(m, j, t, u);
    if (u->state == TASK_LOST && j->kill_index != 0)
        t->state = TASK_KILLED;
    if ((u->state == TASK_LOST || u->state == TASK_KILLED) && j->kill_index == 0) {
        t->state = TASK_PENDING;
        t->started_us = 0;
        if (u->state == TASK_KILLED && at->stop != TASK_REASON_NONE)
            t->reason = at->stop;
    }
    if (u->state == TASK_RUNNING)
        t->started_us = m->stamp;
    if (t->state >= TASK_FINISHED)
        t->ended_us = m->stamp;
    t->changed = j->changed = m->index;
}

static struct result m_unreachable(struct model *m, const struct command *c)
{
    struct task_update lost = {.state = TASK_LOST,
                               .reason = TASK_REASON_AGENT_UNREACHABLE};
    struct m_agent *a = find_agent(m, c->agent_unreachable.agent);

    if (a == NULL)
        return refused(ERROR_NOT_FOUND);
    if (a->state != AGENT_ACTIVE)
        return refused(ERROR_INVALID);
    a->state = AGENT_UNREACHABLE;
    a->since_us = m->stamp;
    a->changed = m->index;
    effect(m, EFFECT_AGENT, a->id, a->id);
    for (size_t i = 0; i < m->attempt_count; i++) {
        struct m_attempt *t = &m->attempts[i];

        if (t->over || t->superseded || t->agent != a->id ||
            m->jobs[t->job - 1].spec.lease_ms != 0)
            continue;
        tell_task(m, t, &lost);
        t->state = TASK_LOST;
        t->superseded = true;
        effect(m, EFFECT_KILL, t->id, a->id);
    }
    return done(m, a->id);
}

static struct result m_gone(struct model *m, const struct command *c)
{
    struct task_update lost = {.state = TASK_LOST, .reason = TASK_REASON_AGENT_GONE};
    struct m_agent *a = find_agent(m, c->agent_gone.agent);

    if (a == NULL || a->state == AGENT_GONE)
        return refused(ERROR_NOT_FOUND);
    a->state = AGENT_GONE;
    a->since_us = m->stamp;
    a->changed = m->index;
    effect(m, EFFECT_AGENT, a->id, a->id);
    for (size_t i = 0; i < m->attempt_count; i++) {
        struct m_attempt *t = &m->attempts[i];

        if (t->over || t->agent != a->id)
            continue;
        if (!t->superseded)
            tell_task(m, t, &lost);
        t->over = true;
    }
    return done(m, a->id);
}

static struct result m_mode(struct model *m, const struct command *c)
{
    struct m_agent *a = find_agent(m, c->agent_mode.agent);

    if (a == NULL || a->state == AGENT_GONE)
        return refused(ERROR_NOT_FOUND);
    if (a->mode == c->agent_mode.mode && a->mode != AGENT_DRAINING)
        return done(m, a->id);
    a->mode = c->agent_mode.mode;
    a->drain_due = false;
    a->drain_us =
        a->mode == AGENT_DRAINING ? m->stamp + 1000 * c->agent_mode.deadline_ms : 0;
    a->changed = m->index;
    effect(m, EFFECT_AGENT, a->id, a->id);
    return done(m, a->id);
}

static struct result m_drain_due(struct model *m, const struct command *c)
{
    struct m_agent *a = find_agent(m, c->drain_due.agent);

    if (a == NULL || a->state == AGENT_GONE)
        return refused(ERROR_NOT_FOUND);
    if (a->mode != AGENT_DRAINING || a->drain_due || m->stamp < a->drain_us)
        return refused(ERROR_INVALID);
    a->drain_due = true;
    a->changed = m->index;
    effect(m, EFFECT_AGENT, a->id, a->id);
    for (size_t i = 0; i < m->attempt_count; i++) {
        struct m_attempt *t = &m->attempts[i];

        if (t->over || t->superseded || t->agent != a->id ||
            t->stop != TASK_REASON_NONE)
            continue;
        t->stop = TASK_REASON_AGENT_DRAINED;
        m->jobs[t->job - 1].changed = m->index;
        effect(m, EFFECT_KILL, t->id, a->id);
    }
    return done(m, a->id);
}

static struct result m_lapse(struct model *m, const struct command *c)
{
    struct task_update lost = {.state = TASK_LOST,
                               .reason = TASK_REASON_AGENT_UNREACHABLE};
    struct m_attempt *t = find_attempt(m, c->lapse.attempt);

    if (t == NULL)
        return refused(ERROR_NOT_FOUND);
    if (t->superseded || find_agent(m, t->agent)->state != AGENT_UNREACHABLE)
        return refused(ERROR_INVALID);
    tell_task(m, t, &lost);
    t->state = TASK_LOST;
    t->superseded = true;
    effect(m, EFFECT_KILL, t->id, t->agent);
    return done(m, t->id);
}

/* ---- commands about tasks ---- */

static struct result m_retry(struct model *m, const struct command *c)
{
    struct m_job *j = find_job(m, c->retry.job);
    struct m_task *t;

    if (j == NULL)
        return refused(ERROR_NOT_FOUND);
    if (c->retry.instance >= j->spec.instances || j->kill_index != 0)
        return refused(ERROR_INVALID);
    t = &j->tasks[c->retry.instance];
    if (t->tries.retry_us == 0 || t->attempt != c->retry.attempt)
        return refused(ERROR_INVALID);
    t->tries.retry_us = 0;
    t->changed = j->changed = m->index;
    return done(m, j->id);
}

static bool m_place_one(struct model *m, const struct placement *p)
{
    struct m_job *j = find_job(m, p->job);
    struct m_agent *a = find_agent(m, p->agent);
    struct m_attempt *t;
    struct m_task *task;
    struct resources sum;
    uint16_t ports[LIMIT_TASK_PORTS] = {0};

    if (j == NULL || a == NULL || p->instance >= j->spec.instances ||
        p->instance >= touched(j) + LIMIT_PLACE_AHEAD)
        return false;
    task = &j->tasks[p->instance];
    if (!can_be_placed(j, p->instance) || p->attempt != task->attempt + 1)
        return false;
    if (a->state != AGENT_ACTIVE || a->mode != AGENT_NORMAL || has_superseded(m, a->id))
        return false;
    sum = allocated(m, a->id);
    resources_add(&sum, &j->spec.resources);
    if (!resources_contain(&a->spec.resources, &sum) ||
        !has_extras(m, a, &j->spec, ports))
        return false;
    MEM_GROW(m->attempts, m->attempt_capacity, m->attempt_count + 1);
    t = &m->attempts[m->attempt_count++];
    *t = (struct m_attempt){.id = m->attempt_count,
                            .job = j->id,
                            .agent = a->id,
                            .placed_us = m->stamp,
                            .instance = p->instance,
                            .number = p->attempt,
                            .state = TASK_STAGING};
    memcpy(t->ports, ports, sizeof(ports));
    *task = (struct m_task){.state = TASK_STAGING,
                            .attempt = p->attempt,
                            .attempt_id = t->id,
                            .agent_id = a->id,
                            .changed = m->index,
                            .tries = task->tries};
    j->changed = m->index;
    effect(m, EFFECT_LAUNCH, t->id, a->id);
    return true;
}

static struct result m_place(struct model *m, const struct command *c)
{
    struct command_cursor at = {0};
    struct placement p;
    uint64_t n = 0;

    while (command_next_placement(c, &at, &p))
        n += m_place_one(m, &p);
    return done(m, n);
}

static bool m_update_one(struct model *m, uint64_t agent, const struct task_update *u)
{
    struct m_attempt *t = find_attempt(m, u->attempt);

    if (t == NULL || t->agent != agent)
        return false;
    if (t->superseded) {
        t->over = u->state >= TASK_FINISHED;
        return t->over;
    }
    if (u->state == t->state) {
        struct m_task *task = &m->jobs[t->job - 1].tasks[t->instance];

        if (task->health == u->health && task->restarts == u->restarts)
            return false;
        task->health = u->health;
        task->restarts = u->restarts;
        say(task, u);
        task->changed = m->jobs[t->job - 1].changed = m->index;
        return true;
    }
    if (u->state < t->state)
        return false;
    tell_task(m, t, u);
    t->state = u->state;
    t->over = u->state >= TASK_FINISHED;
    return true;
}

static struct result m_update(struct model *m, const struct command *c)
{
    struct command_cursor at = {0};
    struct task_update u;
    uint64_t n = 0;

    while (command_next_update(c, &at, &u)) {
        n += m_update_one(m, c->task_update.agent, &u);
        effect(m, EFFECT_UPDATED, u.attempt, c->task_update.agent);
    }
    return done(m, n);
}

/* ---- entries ---- */

static struct result m_found(struct model *m, const struct command *c)
{
    if (m->founded)
        return refused(ERROR_CONFLICT);
    m->founded = true;
    memcpy(m->cluster_id, c->found.cluster_id, CLUSTER_ID_BYTES);
    return done(m, 0);
}

static struct result run(struct model *m, const struct command *c)
{
    if (c->kind != COMMAND_FOUND && !m->founded)
        return refused(ERROR_UNAVAILABLE);
    switch (c->kind) {
    case COMMAND_FOUND:
        return m_found(m, c);
    case COMMAND_SUBMIT:
        return m_submit(m, c);
    case COMMAND_KILL:
        return m_kill(m, c);
    case COMMAND_AGENT_REGISTER:
        return m_register(m, c);
    case COMMAND_AGENT_REREGISTER:
        return m_reregister(m, c);
    case COMMAND_AGENT_UNREACHABLE:
        return m_unreachable(m, c);
    case COMMAND_AGENT_GONE:
        return m_gone(m, c);
    case COMMAND_PLACE:
        return m_place(m, c);
    case COMMAND_TASK_UPDATE:
        return m_update(m, c);
    case COMMAND_PURGE:
        return m_purge(m, c);
    case COMMAND_EXPIRE_KEYS:
        return m_expire(m, c);
    case COMMAND_AGENT_MODE:
        return m_mode(m, c);
    case COMMAND_DRAIN_DUE:
        return m_drain_due(m, c);
    case COMMAND_RETRY:
        return m_retry(m, c);
    case COMMAND_LAPSE:
        return m_lapse(m, c);
    }
    ck_abort_msg("kind %d is not a command", (int)c->kind);
}

struct view {
    enum job_state state;
    bool to_place;
};

static struct view view_of(const struct m_job *j)
{
    return (struct view){state_of(j), count_placeable(j) > 0};
}

/* A command, and an effect for each job that it moved to another state or that has tasks
 * to place again. */
static struct result run_and_watch(struct model *m, struct bytes bytes)
{
    size_t count = m->job_count;
    struct view *before = mem_alloc((count + 1) * sizeof(*before));
    struct command c;
    struct result result;
    int rc = command_unpack(&c, bytes, NULL);

    for (size_t i = 0; i < count; i++)
        before[i] = view_of(&m->jobs[i]);
    result = rc != 0 ? refused(-rc) : run(m, &c);
    for (size_t i = 0; i < count; i++) {
        struct m_job *j = &m->jobs[i];
        struct view now = view_of(j);

        if (now.state != before[i].state && job_state_is_final(now.state))
            j->ended_us = m->stamp;
        if (now.state != before[i].state || (now.to_place && !before[i].to_place))
            effect(m, EFFECT_JOB, j->id, 0);
    }
    mem_free(before);
    return result;
}

void model_apply(struct model *m,
                 uint64_t index,
                 struct bytes entry,
                 struct outcome *out)
{
    struct entry_reader reader;
    struct bytes command;

    outcome_clear(out);
    m->out = out;
    m->index = index;
    if (entry_open(&reader, entry, NULL) != 0)
        return;
    m->stamp = reader.stamp_us > m->stamp ? reader.stamp_us : m->stamp + 1;
    while (entry_next(&reader, &command))
        outcome_add_result(out, run_and_watch(m, command));
}

/* ---- comparing ---- */

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

    SAME(job_task_state(seen, i), shown(j, i));
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
    SAME(job_state(seen), state_of(j));
    SAME(seen->changed, j->changed);
    SAME(seen->submit_index, j->submit_index);
    SAME(seen->kill_index, j->kill_index);
    SAME(seen->submitted_us, j->submitted_us);
    SAME(seen->ended_us, j->ended_us);
    SAME(seen->touched, touched(j));
    SAME(seen->priority, j->spec.priority);
    HOLDS(equal(seen->key, j->key) && equal(seen->spec, j->body));
    HOLDS(resources_equal(&seen->resources, &j->spec.resources));
    SAME(job_pending(seen), count_placeable(j));
    SAME(job_tasks_in(seen, TASK_PENDING), count_shown(j, TASK_PENDING));
    for (uint32_t i = 0; i < j->spec.instances; i++) {
        compare_task(j, seen, i);
        if (!can_be_placed(j, i))
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
    struct job *seen = RB_MIN(job_tree, (struct job_tree *)&s->jobs);

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
        jobs[state_of(j)]++;
        for (uint32_t k = 0; k < j->spec.instances; k++)
            tasks[shown(j, k)]++;
        seen = RB_NEXT(job_tree, &s->jobs, seen);
    }
    SAME(seen, NULL);
    SAME(s->tombstone_count, tombstones);
    SAME(memcmp(s->tasks_by_state, tasks, sizeof(tasks)), 0);
    SAME(memcmp(s->jobs_by_state, jobs, sizeof(jobs)), 0);
}

static void compare_attempts(const struct model *m, const struct state *s)
{
    struct attempt *seen = RB_MIN(attempt_tree, (struct attempt_tree *)&s->attempts);

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
        for (int p = 0; p < LIMIT_TASK_PORTS; p++)
            SAME(p < seen->port_count ? seen->ports[p] : 0, t->ports[p]);
        seen = RB_NEXT(attempt_tree, &s->attempts, seen);
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
        struct resources sum = allocated(m, a->id);

        HOLDS(seen != NULL);
        SAME(state_agent_by_key(s, a->spec.key), seen);
        SAME(seen->state, a->state);
        SAME(seen->changed, a->changed);
        SAME(seen->registered_us, a->registered_us);
        SAME(seen->since_us, a->since_us);
        HOLDS(equal(seen->spec, a->spec_bytes));
        HOLDS(resources_equal(&seen->capacity, &a->spec.resources));
        HOLDS(resources_equal(&seen->allocated, &sum));
        SAME(agent_takes_work(seen),
             a->state == AGENT_ACTIVE && a->mode == AGENT_NORMAL &&
                 !has_superseded(m, a->id));
        SAME(seen->mode, a->mode);
        SAME(seen->drain_us, a->drain_us);
        SAME(seen->drain_due, a->drain_due);
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

static void sort_effects(const struct outcome *o)
{
    if (o->effect_count > 0)
        qsort(o->effects, o->effect_count, sizeof(*o->effects), compare_effects);
}

void model_compare_outcomes(const struct outcome *expected, struct outcome *seen)
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
