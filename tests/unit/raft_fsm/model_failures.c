/* model_failures.c - what went wrong, how long what went well took, and what is expected. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#include <string.h>

/* ---- failures ---- */

static struct m_failure *open_of(struct model *m, uint64_t job, uint32_t instance)
{
    for (size_t i = m->failure_count; i > 0; i--) {
        struct m_failure *f = &m->failures[i - 1];

        if (!f->of_agent && f->job == job && f->instance == instance &&
            f->state == FAILURE_IS_OPEN)
            return f;
    }
    return NULL;
}

static struct m_failure *open_of_agent(struct model *m, uint64_t agent)
{
    for (size_t i = m->failure_count; i > 0; i--) {
        struct m_failure *f = &m->failures[i - 1];

        if (f->of_agent && f->agent == agent && f->state == FAILURE_IS_OPEN)
            return f;
    }
    return NULL;
}

static void add(struct model *m, const struct m_failure *f)
{
    MEM_GROW(m->failures, m->failure_capacity, m->failure_count + 1);
    m->failures[m->failure_count++] = *f;
}

static void end(struct model *m, struct m_failure *f, enum failure_state state)
{
    f->state = state;
    if (state == FAILURE_IS_RECOVERED)
        f->recovered_us = m->stamp;
}

static void fails(struct model *m,
                  const struct m_attempt *at,
                  const struct m_task *t,
                  enum task_state how)
{
    struct m_failure *before = open_of(m, at->job, at->instance);
    struct m_failure f = {.stamp_us = m->stamp,
                          .down_us = before == NULL ? m->stamp : before->down_us,
                          .job = at->job,
                          .instance = at->instance,
                          .attempt = at->number,
                          .agent = at->agent,
                          .reason = t->reason,
                          .exit_code = t->exit_code,
                          .task_state = how,
                          .state = FAILURE_IS_OPEN};

    if (before != NULL)
        end(m, before, FAILURE_IS_AGAIN);
    if (m->version < 2)
        return;
    if (t->state == TASK_FAILED || t->state == TASK_ERROR || t->state == TASK_LOST) {
        f.deed = FAILURE_ENDED;
        f.state = FAILURE_IS_OVER;
    } else {
        f.deed = how == TASK_LOST || how == TASK_KILLED ? FAILURE_RESTARTED
                                                        : FAILURE_RETRIED;
        f.retry_us = t->tries.retry_us;
    }
    add(m, &f);
}

void m_task_is_over(struct model *m, uint64_t job, uint32_t instance)
{
    struct m_failure *f = open_of(m, job, instance);

    if (f != NULL)
        end(m, f, FAILURE_IS_OVER);
}

void m_reclaimed(struct model *m, const struct m_attempt *at)
{
    struct m_failure *f = open_of(m, at->job, at->instance);

    if (f != NULL)
        f->deed = FAILURE_RECLAIMED;
}

void m_agent_fails(struct model *m,
                   uint64_t agent,
                   enum task_reason reason,
                   uint32_t moved)
{
    struct m_failure *before = open_of_agent(m, agent);
    struct m_failure f = {.stamp_us = m->stamp,
                          .down_us = m->stamp,
                          .agent = agent,
                          .moved = moved,
                          .of_agent = true,
                          .reason = reason,
                          .task_state = TASK_LOST,
                          .deed = FAILURE_MOVED,
                          .state = reason == TASK_REASON_AGENT_GONE ? FAILURE_IS_OVER
                                                                    : FAILURE_IS_OPEN};

    if (before != NULL)
        end(m, before, FAILURE_IS_OVER);
    if (m->version > 1)
        add(m, &f);
}

void m_agent_moves(struct model *m, uint64_t agent)
{
    struct m_failure *f = open_of_agent(m, agent);

    if (f != NULL)
        f->moved++;
}

void m_agent_returns(struct model *m, uint64_t agent)
{
    struct m_failure *f = open_of_agent(m, agent);

    if (f != NULL)
        end(m, f, FAILURE_IS_RECOVERED);
}

bool m_is_open(const struct model *m, const struct m_failure *f)
{
    const struct m_job *j = f->of_agent ? NULL : &m->jobs[f->job - 1];

    return f->state == FAILURE_IS_OPEN &&
           (j == NULL || (j->kill_index == 0 && !j->purged));
}

/* ---- histories ---- */

static const char *role_of(const struct m_job *j)
{
    return j->spec.role == NULL ? ROLE_DEFAULT : j->spec.role;
}

static struct m_history *history_of(struct model *m, const struct m_job *j)
{
    for (size_t i = 0; i < m->history_count; i++)
        if (strcmp(m->histories[i].role, role_of(j)) == 0 &&
            strcmp(m->histories[i].name, j->spec.name) == 0)
            return &m->histories[i];
    return NULL;
}

static void use(struct model *m, struct m_history *h)
{
    if (m->stamp >= h->used_us + 60000000)
        h->used_us = m->stamp;
}

static struct m_history *make_history(struct model *m, const struct m_job *j)
{
    MEM_GROW(m->histories, m->history_capacity, m->history_count + 1);
    m->histories[m->history_count] = (struct m_history){.used_us = m->stamp};
    strcpy(m->histories[m->history_count].role, role_of(j));
    strcpy(m->histories[m->history_count].name, j->spec.name);
    return &m->histories[m->history_count++];
}

/* Kept times are known to a sixteenth. */
static uint64_t rounded(uint64_t ms)
{
    uint64_t step = 1;

    while (ms / step >= 16)
        step *= 2;
    return step == 1 ? ms : ms / step * step + step / 2;
}

static void finishes(struct model *m, struct m_job *j, uint64_t ms)
{
    struct m_history *h = history_of(m, j);

    if (m->version < 2)
        return;
    if (h == NULL)
        h = make_history(m, j);
    MEM_GROW(h->runs, h->run_capacity, h->run_count + 1);
    h->runs[h->run_count++] = (struct m_run){rounded(ms), rounded(h->lost_ms)};
    h->lost_ms = 0;
    use(m, h);
    if (m_find_role(m, role_of(j))->spec.order == ROLE_SRTF &&
        j->spec.estimate_ms == 0 && m_predicted(h) != 0) {
        j->expected_ms = m_predicted(h);
        j->expected_from = EXPECTED_OF_HISTORY;
    }
}

uint64_t m_predicted(const struct m_history *h)
{
    size_t n = h->run_count < 32 ? h->run_count : 32;
    const struct m_run *last = h->runs + h->run_count - n;
    uint64_t most = UINT64_MAX, lost = h->lost_ms;

    if (n < 3)
        return 0;
    for (size_t i = 0; i < n; i++) {
        size_t within = 0;

        for (size_t k = 0; k < n; k++)
            within += last[k].took_ms <= last[i].took_ms;
        if (within * 4 >= n * 3 && last[i].took_ms < most)
            most = last[i].took_ms;
        lost += last[i].lost_ms;
    }
    return most + lost / n == 0 ? 1 : most + lost / n;
}

void m_expect(struct model *m, struct m_job *j)
{
    struct m_history *h = history_of(m, j);
    uint64_t predicted = h == NULL ? 0 : m_predicted(h);

    if (j->spec.estimate_ms > 0) {
        j->expected_ms = j->spec.estimate_ms;
        j->expected_from = EXPECTED_OF_JOB;
    } else if (m->version > 1 && predicted > 0) {
        j->expected_ms = predicted;
        j->expected_from = EXPECTED_OF_HISTORY;
    } else if (m->version > 1 && j->spec.max_runtime_ms > 0) {
        j->expected_ms = j->spec.max_runtime_ms;
        j->expected_from = EXPECTED_OF_MAX_RUNTIME;
    }
}

/* ---- both ---- */

void m_keep_books(struct model *m,
                  const struct m_attempt *at,
                  const struct m_task *t,
                  enum task_state how,
                  uint64_t begin_us)
{
    struct m_job *j = &m->jobs[at->job - 1];
    uint64_t ms = (m->stamp - begin_us) / 1000;
    struct m_failure *open = open_of(m, at->job, at->instance);
    struct m_history *h = history_of(m, j);

    if ((how == TASK_RUNNING || how == TASK_FINISHED) && open != NULL &&
        j->kill_index == 0) {
        end(m, open, FAILURE_IS_RECOVERED);
        open->next_agent = at->agent;
    }
    if (how == TASK_FINISHED)
        finishes(m, j, ms);
    if (how <= TASK_FINISHED || j->kill_index != 0)
        return;
    fails(m, at, t, how);
    if (t->state == TASK_PENDING && h != NULL && m->version > 1) {
        h->lost_ms += ms;
        use(m, h);
    }
}
