/* cluster_preempts.c - what must hold of tasks that make room for others (spec 15).
 *
 * A master is looked at after each of its steps.  When just one entry was applied since, and nothing
 * else came or went where it counts, what was true for the command that preempted is true still. */
#include "cluster.h"

#include <string.h>

int role_number(const struct role *r)
{
    return strcmp(r->name, ROLE_DEFAULT) == 0 ? 0 : 1;
}

struct tally {
    uint32_t attempts[ROLES_SEEN], ending[ROLES_SEEN], new[ROLES_SEEN];
};

static bool is_new(const struct sim_master *m, const struct attempt *t)
{
    return t->stop == TASK_REASON_PREEMPTED && !t->superseded &&
           t->changed > m->looked_to;
}

static struct tally tally(const struct sim_master *m, const struct state *s)
{
    struct tally n = {{0}, {0}, {0}};
    struct attempt *t;

    for (t = state_next_attempt(s, 0); t != NULL;
         t = state_next_attempt(s, t->id + 1)) {
        int role = role_number(t->job->owner->role);

        n.attempts[role]++;
        n.ending[role] += attempt_is_to_end(t);
        n.new[role] += is_new(m, t);
    }
    return n;
}

/* Never of a role that is at its minimum, or below. */
static void check_minimum(struct cluster *c,
                          const struct sim_master *m,
                          const struct attempt *t,
                          const struct tally *now)
{
    const struct role *r = t->job->owner->role;
    const int k = RESOURCE_CPUS;
    int role = role_number(r);

    if (now->attempts[role] != m->seen.attempts[role] ||
        now->ending[role] - now->new[role] != m->seen.ending[role])
        return;
    if (r->use.amount[k] < r->ending.amount[k] + r->spec.min.amount.amount[k])
        world_fail(
            &c->world,
            "master %u: attempt %llu is preempted, and role %s is below its minimum",
            m->number + 1,
            (unsigned long long)t->id,
            r->name);
}

/* Never while there is room.  An entry may be of several commands: nothing else came there or went,
 * and the agent is what it was. */
static void check_need(struct cluster *c,
                       const struct sim_master *m,
                       const struct state *s,
                       const struct attempt *t,
                       const struct job *taker)
{
    const struct agent *a = t->agent;

    if (a->id < AGENT_IDS_MAX && a->attempts_count == m->seen.on_agent[a->id] &&
        s->globals.last_attempt_id == m->seen.last_attempt && a->changed < s->index &&
        agent_has_room(a, taker))
        world_fail(
            &c->world,
            "master %u: attempt %llu is preempted for job %llu, which has room on "
            "agent %llu",
            m->number + 1,
            (unsigned long long)t->id,
            (unsigned long long)taker->id,
            (unsigned long long)a->id);
}

/* What the last leader left in the log may be applied together with what the next one wrote. */
uint64_t term_of(const struct sim_master *m, uint64_t index)
{
    uint64_t term = replica_entry_term(master_replica(m->core), index);

    return term != 0 ? term : master_state(m->core)->term;
}

static void
remember(struct sim_master *m, const struct state *s, const struct tally *now)
{
    struct agent *a;

    memcpy(m->seen.attempts, now->attempts, sizeof(now->attempts));
    memcpy(m->seen.ending, now->ending, sizeof(now->ending));
    m->seen.last_attempt = s->globals.last_attempt_id;
    RB_FOREACH (a, agent_tree, (struct agent_tree *)(uintptr_t)&s->agents)
        if (a->id < AGENT_IDS_MAX)
            m->seen.on_agent[a->id] = a->attempts_count;
}

static void check_one(struct cluster *c,
                      struct sim_master *m,
                      const struct state *s,
                      const struct attempt *t,
                      const struct tally *now)
{
    const struct job *taker = state_job(s, t->stop_for);
    bool is_first = check_record(&c->preempted, t->id);

    c->totals.preempted += is_first;
    if (taker == NULL)
        return;
    if (is_first)
        check_budget(
            c, &c->preempts, term_of(m, t->changed), t->changed, taker->owner->role);
    if (!is_first || s->index != m->looked_to + 1)
        return; /* later it may be another change of the attempt */
    check_need(c, m, s, t, taker);
    if (taker->owner->role != t->job->owner->role)
        check_minimum(c, m, t, now);
}

void check_preempts(struct cluster *c, struct sim_master *m)
{
    const struct state *s = master_state(m->core);
    struct tally now = tally(m, s);
    struct role *r;
    struct attempt *t;

    RB_FOREACH (r, role_tree, (struct role_tree *)(uintptr_t)&s->roles)
        budget_is(m, &c->preempts, r, r->spec.preempt);
    for (t = state_next_attempt(s, 0); t != NULL; t = state_next_attempt(s, t->id + 1))
        if (is_new(m, t))
            check_one(c, m, s, t, &now);
    remember(m, s, &now);
}
