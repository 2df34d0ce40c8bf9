/* model.c - docs/spec/2 and 3 written a second time, as simply as possible.
 *
 * Here is how an entry becomes commands; what a command does is in model_jobs.c, model_agents.c and
 * model_tasks.c, which look at the whole with model_look.c; model_compare.c compares. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#include <check.h>
#include <string.h>

struct model *model_create(void)
{
    return mem_zalloc(sizeof(struct model));
}

void model_destroy(struct model *m)
{
    for (size_t i = 0; i < m->job_count; i++) {
        mem_free((void *)m->jobs[i].key.data);
        mem_free((void *)m->jobs[i].body.data);
        mem_free((void *)m->jobs[i].said.data);
        mem_free(m->jobs[i].tasks);
        job_spec_finish(&m->jobs[i].spec);
    }
    for (size_t i = 0; i < m->agent_count; i++) {
        mem_free((void *)m->agents[i].spec_bytes.data);
        agent_spec_finish(&m->agents[i].spec);
    }
    mem_free(m->jobs);
    mem_free(m->attempts);
    for (size_t i = 0; i < m->role_count; i++)
        role_spec_finish(&m->roles[i].spec);
    mem_free(m->roles);
    for (size_t i = 0; i < m->history_count; i++)
        mem_free(m->histories[i].runs);
    mem_free(m->histories);
    mem_free(m->failures);
    mem_free(m->agents);
    mem_free(m);
}

struct result m_done(const struct model *m, uint64_t id)
{
    return (struct result){.id = id, .index = m->index};
}

struct result m_refused(int code)
{
    return (struct result){.code = (enum error_code)code};
}

void m_effect(struct model *m, enum effect_kind kind, uint64_t id, uint64_t agent)
{
    outcome_add_effect(m->out, (struct effect){kind, id, agent});
    if (kind == EFFECT_AGENT && m->version >= 3)
        m->agents_changed = m->index;
}

void m_end(struct model *m, struct m_attempt *t)
{
    t->over = true;
    m_effect(m, EFFECT_FREED, t->job, t->agent);
    if (!m_is_system(&m->jobs[t->job - 1]))
        m_drain_systems(m, t->agent);
}

/* ---- entries ---- */

static struct result m_found(struct model *m, const struct command *c)
{
    if (m->founded)
        return m_refused(ERROR_CONFLICT);
    m->founded = true;
    memcpy(m->cluster_id, c->found.cluster_id, CLUSTER_ID_BYTES);
    return m_done(m, 0);
}

static struct result run(struct model *m, const struct command *c)
{
    if (c->kind != COMMAND_FOUND && !m->founded)
        return m_refused(ERROR_UNAVAILABLE);
    switch (c->kind) {
    case COMMAND_FOUND:
        return m_found(m, c);
    case COMMAND_SUBMIT:
        return m_submit(m, c);
    case COMMAND_SUBMIT_ALL:
        return m_submit_all(m, c);
    case COMMAND_RELEASE:
        return m_done(m, 0);
    case COMMAND_FIRE:
        return m_fire(m, c);
    case COMMAND_DISPATCH:
        return m_dispatch(m, c);
    case COMMAND_PREEMPT:
        return m_preempt(m, c);
    case COMMAND_MOVE:
        return m_move(m, c);
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
    case COMMAND_ROLE_SET:
        return m_role_set(m, c);
    case COMMAND_ROLE_REMOVE:
        return m_role_remove(m, c);
    }
    ck_abort_msg("kind %d is not a command", (int)c->kind);
}

struct view {
    enum job_state state;
    bool to_place, whole;
};

static struct view view_of(const struct m_job *j)
{
    return (struct view){m_state_of(j), m_may_get_placed(j), m_is_whole(j)};
}

/* A command, and an effect for each job that it moved to another state or that has tasks
 * to place again, or none any more. */
static struct result run_and_watch(struct model *m, struct bytes bytes)
{
    size_t count = m->job_count;
    struct view *before = mem_alloc((count + 1) * sizeof(*before));
    struct command c;
    struct result result;
    int rc = command_unpack(&c, bytes, NULL);

    for (size_t i = 0; i < count; i++)
        before[i] = view_of(&m->jobs[i]);
    result = rc != 0 ? m_refused(-rc) : run(m, &c);
    for (size_t i = 0; i < count; i++) {
        struct m_job *j = &m->jobs[i];
        struct view now = view_of(j);

        if (now.state != before[i].state && job_state_is_final(now.state))
            j->ended_us = m->stamp;
        if (now.state != before[i].state || now.to_place != before[i].to_place ||
            now.whole != before[i].whole)
            m_effect(m, EFFECT_JOB, j->id, 0);
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
    m->version = reader.version;
    m->stamp = reader.stamp_us > m->stamp ? reader.stamp_us : m->stamp + 1;
    while (entry_next(&reader, &command))
        outcome_add_result(out, run_and_watch(m, command));
    m_release(m);
}
