/* cluster_indexes.c - what must hold of jobs that were submitted with the index of a plan: they are
 * taken only while nothing of what was planned for has changed, and refused only then (spec 16).
 *
 * What changed is seen from outside: agents when the first master applies it, as one entry or a
 * run of them, and jobs by when they came and were killed.
 */
#include "cluster.h"

#include "base/assert.h"

#define NEVER  1000000 /* an index that no log comes to */
#define LONG   40      /* entries: since then something changed, most likely */
#define RECENT 3

/* ---- agents ---- */

static bool is_worse(const struct sim_agent_seen *before, const struct agent *a)
{
    return before->id == 0 || before->mode != a->mode ||
           (before->state == AGENT_ACTIVE && a->state != AGENT_ACTIVE) ||
           (before->state != AGENT_GONE && a->state == AGENT_GONE);
}

static void see_agents(struct cluster *c, const struct state *s)
{
    struct agent_change change = {c->seen_index, s->index, false};
    bool is_any = false;
    struct agent *a;

    RB_FOREACH (a, agent_tree, (struct agent_tree *)(uintptr_t)&s->agents) {
        struct sim_agent_seen *seen;

        ASSERT(a->id < AGENT_IDS_MAX);
        seen = &c->agents_seen[a->id];
        is_any |= seen->changed != a->changed;
        change.is_worse |= is_worse(seen, a);
        *seen = (struct sim_agent_seen){a->id, a->changed, a->state, a->mode};
    }
    if (!is_any)
        return;
    ASSERT(c->agent_change_count < AGENT_CHANGES_MAX);
    c->agent_changes[c->agent_change_count++] = change;
}

/* Surely after the entry at `from`, and before the one at `to`. */
static bool agents_got_worse(const struct cluster *c, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < c->agent_change_count; i++) {
        const struct agent_change *a = &c->agent_changes[i];

        if (a->is_worse && a->from >= from && a->to < to)
            return true;
    }
    return false;
}

static bool agents_may_have_changed(const struct cluster *c, uint64_t from)
{
    return c->agent_change_count > 0 &&
           c->agent_changes[c->agent_change_count - 1].to > from;
}

/* ---- jobs ---- */

static bool is_between(uint64_t index, uint64_t from, uint64_t to)
{
    return index > from && index < to;
}

static bool is_of_role(const struct job *job, const struct sim_job *j)
{
    for (uint32_t i = 0; i == 0 || i < j->together; i++)
        if (role_number(job->owner->role) == j[i].in_batch)
            return true;
    return false;
}

/* One of its role came, or was killed by somebody. */
static bool jobs_changed(const struct sim_master *m,
                         const struct sim_job *j,
                         uint64_t from,
                         uint64_t to)
{
    const struct state *s = master_state(m->core);
    struct job *job;

    STATE_FOREACH_JOB (job, s) {
        bool is_stopped = job->links != NULL && job->links->stopped_by != 0;

        if (is_of_role(job, j) &&
            (is_between(job->submit_index, from, to) ||
             (!is_stopped && is_between(job->kill_index, from, to))))
            return true;
    }
    return false;
}

/* The last entry in which something of the jobs of the role may have changed. */
static void see_jobs(struct cluster *c, const struct state *s)
{
    uint64_t purged = s->globals.last_job_id - s->job_count;
    struct job *job;

    STATE_FOREACH_JOB (job, s) {
        uint64_t *last = &c->jobs_changed[role_number(job->owner->role)];

        if (job->submit_index > *last)
            *last = job->submit_index;
        if (job->kill_index > *last)
            *last = job->kill_index;
    }
    if (purged != c->jobs_purged) /* perhaps one that was just killed */
        for (int i = 0; i < ROLES_SEEN; i++)
            c->jobs_changed[i] = s->index;
    c->jobs_purged = purged;
}

static bool jobs_may_have_changed(const struct cluster *c, const struct sim_job *j)
{
    for (uint32_t i = 0; i == 0 || i < j->together; i++)
        if (c->jobs_changed[j[i].in_batch] > j->check)
            return true;
    return false;
}

void check_seen(struct cluster *c, const struct sim_master *m)
{
    const struct state *s = master_state(m->core);

    if (s->index <= c->seen_index)
        return;
    see_agents(c, s);
    see_jobs(c, s);
    c->seen_index = s->index;
}

/* ---- answers ---- */

static const struct sim_master *furthest(const struct cluster *c)
{
    const struct sim_master *best = NULL;

    for (unsigned i = 0; i < c->masters; i++) {
        const struct sim_master *m = &c->master[i];

        if (m->alive && (best == NULL || master_state(m->core)->index >
                                             master_state(best->core)->index))
            best = m;
    }
    return best;
}

/* It was taken at its index. */
void check_index_held(struct cluster *c, const struct sim_job *j)
{
    const struct sim_master *m = furthest(c);

    if (j->check == 0 || m == NULL)
        return;
    c->totals.checks_held++;
    if (agents_got_worse(c, j->check, j->index) ||
        jobs_changed(m, j, j->check, j->index))
        world_fail(&c->world,
                   "job %llu, planned as of %llu, was taken at %llu, and something "
                   "had changed",
                   (unsigned long long)j->id,
                   (unsigned long long)j->check,
                   (unsigned long long)j->index);
}

/* What changed stays so: it can never be taken any more. */
bool may_refuse_check(struct cluster *c, struct sim_job *j, enum error_code code)
{
    if (j->check != 0 && code == ERROR_INVALID) {
        c->totals.checks_ahead++;
        return j->check == NEVER;
    }
    if (code != ERROR_CHANGED || j->check == 0)
        return false;
    j->refusal = ERROR_CHANGED;
    c->totals.checks_changed++;
    if (c->plan.roles || agents_may_have_changed(c, j->check) ||
        jobs_may_have_changed(c, j))
        return true;
    world_fail(&c->world,
               "what was planned as of %llu is refused, and nothing has changed",
               (unsigned long long)j->check);
    return true;
}

/* ---- what they are submitted with ---- */

void sim_job_check(struct cluster *c, struct sim_job *j)
{
    const struct sim_master *m = sim_leader(c);
    struct world *w = &c->world;
    uint64_t index, ago;

    if (m == NULL || !master_state(m->core)->globals.founded)
        return;
    index = master_state(m->core)->index;
    ago = pick(w, 0, chance(w, 30) ? LONG : RECENT);
    if (ago < index)
        j->check = index - ago;
    if (chance(w, 10)) {
        j->check = NEVER;
        j->refusal = ERROR_INVALID;
    }
}
