/* cluster_checks.c - what must always hold, looked at from outside of every process. */
#include "cluster.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static int compare_attempts(const struct attempt_record *a,
                            const struct attempt_record *b)
{
    return a->attempt < b->attempt ? -1 : a->attempt > b->attempt;
}

static int compare_finals(const struct final_record *a, const struct final_record *b)
{
    if (a->job != b->job)
        return a->job < b->job ? -1 : 1;
    return a->instance < b->instance ? -1 : a->instance > b->instance;
}

RB_PROTOTYPE(attempt_records, attempt_record, link, )
RB_PROTOTYPE(final_tree, final_record, link, )
RB_GENERATE(attempt_records, attempt_record, link, compare_attempts)
RB_GENERATE(final_tree, final_record, link, compare_finals)

/* One leader in a term. */
void check_leader(struct cluster *c, struct sim_master *m, uint64_t term)
{
    ASSERT(term < TERMS_MAX);
    if (c->leaders[term] != 0 && c->leaders[term] != m->number + 1)
        world_fail(&c->world,
                   "TWO LEADERS in term %llu: masters %u and %u",
                   (unsigned long long)term,
                   c->leaders[term],
                   m->number + 1);
    c->leaders[term] = (uint8_t)(m->number + 1);
    c->elected_us[term] = c->world.now_us;
    if (term > c->last_term)
        c->last_term = term;
}

bool check_record(struct attempt_records *records, uint64_t attempt)
{
    struct attempt_record *record = mem_zalloc(sizeof(*record));

    record->attempt = attempt;
    if (RB_INSERT(attempt_records, records, record) == NULL)
        return true;
    mem_free(record);
    return false;
}

/* The agent was told that the end of this attempt is in the log. */
void check_forget(struct cluster *c, uint64_t attempt)
{
    check_record(&c->forgotten, attempt);
}

/* A leader begins with everything that was ever acknowledged to an agent. */
void check_leading(struct cluster *c, struct sim_master *m)
{
    struct state *s = (struct state *)(uintptr_t)master_state(m->core);
    struct attempt *a;

    if (!master_leads(m->core) || replica_term(master_replica(m->core)) != c->last_term)
        return;
    for (a = state_next_attempt(s, 0); a != NULL;
         a = state_next_attempt(s, a->id + 1)) {
        struct attempt_record key = {.attempt = a->id};

        if (RB_FIND(attempt_records, &c->forgotten, &key) != NULL)
            world_fail(&c->world,
                       "master %u leads, and does not know that attempt %llu is over, "
                       "which its "
                       "agent was told",
                       m->number + 1,
                       (unsigned long long)a->id);
    }
}

/* A commit is durable on a majority at that moment. */
static void
check_durable(struct cluster *c, struct sim_master *m, uint64_t from, uint64_t to)
{
    const struct replica *r = master_replica(m->core);

    for (uint64_t i = from; i <= to; i++) {
        uint64_t term = replica_entry_term(r, i);
        unsigned on = 0;

        for (unsigned j = 0; j < c->masters; j++) {
            uint64_t held = sim_store_holds(&c->master[j].store, i);

            on += held == UINT64_MAX || (held != 0 && held == term);
        }
        c->totals.commits++;
        if (on <= c->masters / 2)
            world_fail(&c->world,
                       "leader %u commits %llu while %u of %u disks hold it",
                       m->number + 1,
                       (unsigned long long)i,
                       on,
                       c->masters);
    }
}

/* Equal index, equal state. */
static void check_digest(struct cluster *c, struct sim_master *m)
{
    struct state *s = (struct state *)(uintptr_t)master_state(m->core);
    struct hash128 *known;

    ASSERT(s->index < INDEX_MAX);
    known = &c->digests[s->index];
    if (known->low == 0 && known->high == 0)
        *known = s->digest;
    else if (!hash128_equal(*known, s->digest))
        world_fail(&c->world,
                   "master %u: the digest at index %llu differs from another's",
                   m->number + 1,
                   (unsigned long long)s->index);
}

/* Failed tasks are tried again as often as their job says, and no more. */
static void
check_retries(struct cluster *c, const struct job *job, const struct task *t)
{
    const struct job_retry *policy =
        job->policy == NULL ? NULL : &job->policy->reschedule;
    uint32_t retries = t->extras == NULL ? 0 : t->extras->retries;
    uint32_t most = policy == NULL ? 0 : policy->attempts;

    c->totals.retried += task_waits(t) && retries > 0;
    if (most == JOB_UNLIMITED || job->kill_index != 0)
        return;
    if (retries > most || (t->state == TASK_FAILED && policy != NULL &&
                           policy->interval_ms == 0 && retries < most))
        world_fail(&c->world,
                   "task %llu.%u is %s after %u retries of %u",
                   (unsigned long long)job->id,
                   t->instance,
                   task_state_name((enum task_state)t->state),
                   retries,
                   most);
}

/* Terminal is final; a task of a system job that is lost with its agent is for the next one. */
static void check_finals(struct cluster *c, const struct job *job)
{
    for (uint32_t i = 0; i < job->touched; i++) {
        const struct task *t = job_task(job, i);
        struct final_record *record, *known;

        check_retries(c, job, t);
        if (!task_state_is_final((enum task_state)t->state) || t->state == TASK_LOST)
            continue;
        record = mem_zalloc(sizeof(*record));
        *record = (struct final_record){
            .job = job->id, .instance = i, .state = t->state, .attempt = t->attempt};
        known = RB_INSERT(final_tree, &c->finals, record);
        if (known == NULL)
            continue;
        mem_free(record);
        if (known->state != t->state || known->attempt != t->attempt)
            world_fail(&c->world,
                       "task %llu.%u was final as %s and is now %s",
                       (unsigned long long)job->id,
                       i,
                       task_state_name((enum task_state)known->state),
                       task_state_name((enum task_state)t->state));
    }
}

/* No over-commit: what a simulated agent has never shrinks. */
static void
check_capacity(struct cluster *c, struct sim_master *m, const struct agent *a)
{
    if (!resources_contain(&a->capacity, &a->allocated))
        world_fail(&c->world,
                   "master %u: more of agent %llu is given than it has",
                   m->number + 1,
                   (unsigned long long)a->id);
}

/* As long as an agent is cordoned or drains nothing new is placed on it. */
static void check_closed(struct cluster *c, struct sim_master *m, const struct agent *a)
{
    const struct state *s = master_state(m->core);
    struct attempt *newest = TAILQ_LAST(&a->attempts, agent_attempts);

    if (a->id >= AGENT_IDS_MAX)
        return;
    if (a->mode == AGENT_NORMAL) {
        m->closed[a->id].changed = 0;
        return;
    }
    if (m->closed[a->id].changed != a->changed) {
        m->closed[a->id].changed = a->changed;
        m->closed[a->id].last_attempt = s->globals.last_attempt_id;
    }
    if (newest == NULL)
        return;
    c->totals.drained += newest->stop == TASK_REASON_AGENT_DRAINED;
    if (newest->id > m->closed[a->id].last_attempt)
        world_fail(
            &c->world,
            "master %u: attempt %llu is placed on agent %llu, which takes no work",
            m->number + 1,
            (unsigned long long)newest->id,
            (unsigned long long)a->id);
}

/* A drain that a leader knows for as long as it may last is due, but for faults. */
static void check_drain(struct cluster *c, struct sim_master *m, const struct agent *a)
{
    const uint64_t longest_us = (SIM_DRAIN_MS + 3500) * MS;
    uint64_t term = replica_term(master_replica(m->core));
    uint64_t since_us = c->healed_us + 2 * SECOND;
    bool drains = a->mode == AGENT_DRAINING && a->state != AGENT_GONE;

    if (a->id >= AGENT_IDS_MAX)
        return;
    if (!drains || m->drains[a->id].drain_us != a->drain_us) {
        m->drains[a->id].drain_us = drains ? a->drain_us : 0;
        m->drains[a->id].since_us = c->world.now_us;
    }
    if (!drains || !c->healing || !master_leads(m->core) || term != c->last_term)
        return;
    if (since_us < m->drains[a->id].since_us)
        since_us = m->drains[a->id].since_us;
    if (since_us < c->elected_us[term])
        since_us = c->elected_us[term];
    c->totals.drains += a->drain_due;
    if (!a->drain_due && c->world.now_us > since_us + longest_us)
        world_fail(&c->world,
                   "the drain of agent %llu does not end",
                   (unsigned long long)a->id);
}

/* All of its tasks begin with one entry. */
static void
check_gang(struct cluster *c, const struct sim_master *m, const struct job *job)
{
    c->totals.gangs += job->touched > 0;
    if (job->touched > 0 && job->touched < job->instances)
        world_fail(&c->world,
                   "master %u: %u of %u tasks of gang %llu began",
                   m->number + 1,
                   job->touched,
                   job->instances,
                   (unsigned long long)job->id);
}

/* No two live tasks of it are on one agent, and none moves while its agent is not gone. */
static void
check_system(struct cluster *c, const struct sim_master *m, const struct job *job)
{
    uint64_t seen[256] = {0};

    for (uint32_t i = 0; i < job->touched; i++) {
        const struct task *t = job_task(job, i);

        if (t->state < TASK_STAGING || t->state > TASK_RUNNING)
            continue;
        c->totals.systems++;
        ASSERT(t->agent_id < 256);
        if (seen[t->agent_id]++ > 0)
            world_fail(&c->world,
                       "master %u: system job %llu runs twice on agent %llu",
                       m->number + 1,
                       (unsigned long long)job->id,
                       (unsigned long long)t->agent_id);
    }
}

/* What the entries since the last look may have broken. */
static void check_applied(struct cluster *c, struct sim_master *m)
{
    struct state *s = (struct state *)(uintptr_t)master_state(m->core);
    struct job *job;
    struct agent *agent;

    check_digest(c, m);
    STATE_FOREACH_JOB (job, s)
        if (job->changed > m->looked_to) {
            check_finals(c, job);
            if (job->is_gang)
                check_gang(c, m, job);
            if (job->kind == JOB_SYSTEM)
                check_system(c, m, job);
        }
    RB_FOREACH (agent, agent_tree, &s->agents) {
        check_capacity(c, m, agent);
        check_closed(c, m, agent);
        check_drain(c, m, agent);
    }
    check_seen(c, m);
    check_preempts(c, m);
    check_moves(c, m);
    m->looked_to = s->index;
}

void check_step(struct cluster *c, struct sim_master *m)
{
    const struct replica *r = master_replica(m->core);
    uint64_t commit, applied;

    if (r == NULL || c->world.failed)
        return;
    commit = replica_commit_index(r);
    applied = replica_applied_index(r);
    if (commit < m->commit || applied < m->applied)
        world_fail(
            &c->world, "master %u: commit or applied index goes back", m->number + 1);
    if (replica_role(r) == REPLICA_LEADER)
        check_durable(c, m, m->commit + 1, commit);
    if (applied != m->applied)
        check_applied(c, m);
    m->commit = commit;
    m->applied = applied;
}

const struct sim_job *sim_job_of(const struct cluster *c, uint64_t id)
{
    for (unsigned i = 0; i < c->job_count; i++)
        if (c->jobs[i].acknowledged && c->jobs[i].id == id)
            return &c->jobs[i];
    return NULL;
}

/* No port of a host is given twice. */
static void check_ports_apart(struct cluster *c,
                              const struct sim_task *t,
                              const struct sim_task *other)
{
    for (uint32_t i = 0; i < t->port_count; i++)
        for (uint32_t k = 0; k < other->port_count; k++)
            if (t->ports[i] == other->ports[k])
                world_fail(&c->world,
                           "attempts %llu and %llu both have port %u of agent %u",
                           (unsigned long long)t->attempt,
                           (unsigned long long)other->attempt,
                           t->ports[i],
                           t->agent->number);
}

/* An attempt is launched at most once, and by nobody whom a later leader deposed; a host never
 * holds more than it has; a killed job stays killed. */
void check_launch(struct cluster *c,
                  struct sim_agent *a,
                  const struct sim_task *t,
                  uint64_t term)
{
    struct attempt_record *record = mem_zalloc(sizeof(*record));
    const struct sim_job *job = sim_job_of(c, t->job);
    struct resources sum = {0};
    const struct sim_task *other;
    uint64_t licences = 0;

    record->attempt = t->attempt;
    if (RB_INSERT(attempt_records, &c->launches, record) != NULL) {
        world_fail(&c->world,
                   "attempt %llu is launched twice, now on agent %u",
                   (unsigned long long)t->attempt,
                   a->number);
        mem_free(record);
    }
    /* What waited for a lease was ordered before, and each leader since knows of it. */
    if (term < a->highest_term && t->lease_ms == 0)
        world_fail(
            &c->world,
            "agent %u launches attempt %llu in term %llu after it obeyed term %llu",
            a->number,
            (unsigned long long)t->attempt,
            (unsigned long long)term,
            (unsigned long long)a->highest_term);
    if (term > a->highest_term)
        a->highest_term = term;
    LIST_FOREACH (other, &a->tasks, link)
        if (!other->ended) {
            resources_add(&sum, &other->resources);
            licences += other->licences;
            if (other != t)
                check_ports_apart(c, t, other);
        }
    if (licences > custom_resources_amount(&a->spec.custom, "licence") ||
        (t->has_image && (a->spec.features & AGENT_FEATURE_IMAGES) == 0))
        world_fail(&c->world,
                   "the host of agent %u has no licence or images for attempt %llu",
                   a->number,
                   (unsigned long long)t->attempt);
    if (!resources_contain(&a->spec.resources, &sum))
        world_fail(&c->world, "the host of agent %u holds more than it has", a->number);
    if (job != NULL && job->kill_acknowledged && t->attempt > job->kill_attempts)
        world_fail(&c->world,
                   "job %llu was killed, and attempt %llu of it is launched after",
                   (unsigned long long)t->job,
                   (unsigned long long)t->attempt);
}

/* ---- whole states ---- */

/* Who has the state of a founded cluster knows its id, however the state came here. */
static void check_identity(struct cluster *c, struct sim_master *m)
{
    const struct globals *g = &master_state(m->core)->globals;
    struct hello hello;

    master_hello(m->core, &hello);
    if (g->founded &&
        (hello.founding != FOUNDING_MEMBER || hello.cluster.size != CLUSTER_ID_BYTES ||
         memcmp(hello.cluster.data, g->cluster_id, CLUSTER_ID_BYTES) != 0))
        world_fail(
            &c->world,
            "master %u has the state of a founded cluster and does not know its id",
            m->number + 1);
}

/* Its job is there or, when it may have been purged, its key (of several that were submitted
 * together, that of the first) with what was answered. */
static void
check_kept(struct cluster *c, const struct sim_master *m, const struct sim_job *j)
{
    struct bytes key = {(const uint8_t *)&j->key, sizeof(j->key)};
    const struct state *s = master_state(m->core);
    const struct tombstone *t = state_tombstone(s, key);
    const struct job *job = state_job(s, j->id);

    if (job != NULL && j->made_of != 0)
        check_made(c, m, j, job);
    if (job != NULL || ((c->plan.purge || j->purge_asked) &&
                        (j->position > 0 || (t != NULL && t->job_id == j->id &&
                                             t->submit_index == j->index))))
        return;
    world_fail(&c->world,
               "master %u at index %llu: job %llu was acknowledged at %llu and is gone",
               m->number + 1,
               (unsigned long long)s->index,
               (unsigned long long)j->id,
               (unsigned long long)j->index);
}

static void check_state(struct cluster *c, struct sim_master *m)
{
    struct state *s = (struct state *)(uintptr_t)master_state(m->core);
    struct error err;
    struct agent *agent;
    struct job *job;

    if (state_verify(s, &err) != 0) {
        world_fail(&c->world, "master %u: %s", m->number + 1, err.text);
        return;
    }
    master_verify(m->core);
    check_identity(c, m);
    check_jobs(c, m);
    RB_FOREACH (agent, agent_tree, &s->agents) {
        struct attempt *a;

        check_drain(c, m, agent);
        c->totals.superseded_seen += agent->superseded_count;
        TAILQ_FOREACH (a, &agent->attempts, by_agent)
            c->totals.lapsed_seen += a->superseded && job_has_lease(a->job);
    }
    STATE_FOREACH_JOB (job, s) {
        if (job->made != NULL && job->made->is_dispatched)
            check_dispatches(c, m, job);
        else if (job->made != NULL)
            check_slots(c, m, job);
        c->totals.blocked += job_is_blocked(job);
        c->totals.stopped += job->links != NULL && job->links->stopped_by != 0;
    }
    for (unsigned i = 0; i < c->job_count; i++) {
        const struct sim_job *j = &c->jobs[i];

        if (j->acknowledged && j->index <= s->index)
            check_kept(c, m, j);
    }
}

void check_sweep(struct cluster *c)
{
    for (unsigned i = 0; i < c->masters && !c->world.failed; i++)
        if (c->master[i].alive)
            check_state(c, &c->master[i]);
    for (unsigned i = 0; i < c->agents; i++) {
        const struct sim_task *t;

        LIST_FOREACH (t, &c->agent[i].tasks, link)
            check_leased(c, t);
    }
}

/* For whoever replays a seed that got stuck. */
static void describe(const struct cluster *c)
{
    for (unsigned i = 0; i < c->masters; i++) {
        struct state *s = (struct state *)(uintptr_t)master_state(c->master[i].core);
        struct agent *a;

        printf("master %u leads=%d index=%llu queue=%zu runnable=%d\n",
               i + 1,
               master_leads(c->master[i].core),
               (unsigned long long)s->index,
               master_queue_length(c->master[i].core),
               !RB_EMPTY(&s->runnable));
        RB_FOREACH (a, agent_tree, &s->agents)
            printf(
                "  agent %llu state=%d mode=%d attempts=%u superseded=%u cpus %llu of "
                "%llu, "
                "mem %llu of "
                "%llu MiB\n",
                (unsigned long long)a->id,
                a->state,
                a->mode,
                a->attempts_count,
                a->superseded_count,
                (unsigned long long)a->allocated.amount[RESOURCE_CPUS],
                (unsigned long long)a->capacity.amount[RESOURCE_CPUS],
                (unsigned long long)(a->allocated.amount[RESOURCE_MEM] / MIB),
                (unsigned long long)(a->capacity.amount[RESOURCE_MEM] / MIB));
    }
}

/* Its checks fail now and then (cluster_task.c). */
static bool may_be_unhealthy(const struct job_spec *spec)
{
    for (size_t i = 0; i < spec->check_count; i++)
        if (spec->checks[i].role == CHECK_HEALTH)
            return true;
    return false;
}

/* It ended, and as its processes did. */
static void check_ended(struct cluster *c, const struct job *job)
{
    struct job_spec spec;
    enum job_state wanted;

    if (!job_state_is_final(job_state(job))) {
        world_fail(&c->world,
                   "job %llu is still %s at the end: %u pending, %u live",
                   (unsigned long long)job->id,
                   job_state_name(job_state(job)),
                   job_pending(job),
                   job_live(job));
        return;
    }
    if (job->kill_index != 0 || job_spec_unpack(&spec, job->spec, NULL) != 0)
        return;
    wanted = strcmp(spec.argv[2], "0") == 0 ? JOB_COMPLETE : JOB_FAILED;
    if (may_be_unhealthy(&spec) && job_state(job) == JOB_FAILED)
        wanted = JOB_FAILED;
    job_spec_finish(&spec);
    if (job_state(job) != wanted)
        world_fail(&c->world,
                   "job %llu ended as %s, its tasks as %s",
                   (unsigned long long)job->id,
                   job_state_name(job_state(job)),
                   job_state_name(wanted));
}

bool check_busy(const struct cluster *c)
{
    for (unsigned i = 0; i < c->masters && !c->world.failed; i++) {
        struct state *s = (struct state *)(uintptr_t)master_state(c->master[i].core);
        struct job *job;

        STATE_FOREACH_JOB (job, s)
            if (!job_state_is_final(job_state(job)))
                return true;
    }
    return false;
}

/* All tasks have ended, so nothing that failed waits for them to run again. */
static void check_failures_closed(struct cluster *c, const struct state *s)
{
    for (int r = 0; r < TASK_REASON_COUNT; r++)
        if (s->failures.open[0][r] > 0)
            world_fail(&c->world,
                       "%llu failures of tasks (%s) are open at the end",
                       (unsigned long long)s->failures.open[0][r],
                       task_reason_name((enum task_reason)r));
}

/* After the faults: everything runnable has finished, everybody agrees, nothing is left. */
void check_end(struct cluster *c)
{
    uint64_t index = 0, highest = 0;

    check_sweep(c);
    if (c->world.trace > 0)
        describe(c);
    for (unsigned i = 0; i < c->masters && !c->world.failed; i++) {
        struct state *s = (struct state *)(uintptr_t)master_state(c->master[i].core);
        struct job *job;

        if (index == 0)
            index = s->index;
        if (s->index > highest)
            highest = s->index;
        if (s->index + 50 < index || s->index > index + 50)
            world_fail(&c->world, "master %u is not at the index of the others", i + 1);
        STATE_FOREACH_JOB (job, s)
            check_ended(c, job);
        if (state_next_attempt(s, 0) != NULL)
            world_fail(&c->world, "an attempt is left at the end");
        check_failures_closed(c, s);
    }
    if (highest < c->known_index)
        world_fail(&c->world,
                   "the masters are at index %llu, and clients were told of index %llu",
                   (unsigned long long)highest,
                   (unsigned long long)c->known_index);
    for (unsigned i = 0; i < c->agents && !c->world.failed; i++) {
        const struct sim_task *t;

        LIST_FOREACH (t, &c->agent[i].tasks, link)
            if (!t->ended)
                world_fail(&c->world,
                           "attempt %llu still runs on agent %u and nobody knows",
                           (unsigned long long)t->attempt,
                           c->agent[i].number);
    }
}

static void records_finish(struct attempt_records *records)
{
    struct attempt_record *r, *next;

    RB_FOREACH_SAFE (r, attempt_records, records, next) {
        RB_REMOVE(attempt_records, records, r);
        mem_free(r);
    }
}

void checks_finish(struct cluster *c)
{
    struct final_record *f, *next_f;

    records_finish(&c->launches);
    records_finish(&c->forgotten);
    records_finish(&c->preempted);
    records_finish(&c->moved);
    RB_FOREACH_SAFE (f, final_tree, &c->finals, next_f) {
        RB_REMOVE(final_tree, &c->finals, f);
        mem_free(f);
    }
}
