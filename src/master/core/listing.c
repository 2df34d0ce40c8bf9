/* listing.c - pages of jobs, tasks, agents and masters, from the state as it is now.
 *
 * A page is bounded in elements looked at, so that a large listing never holds the loop: the
 * client continues after `next`.  Every answer carries the index it was read at.
 */
#include "master/core/internal.h"

#include <string.h>

#define PAGE_MAX 1000u /* elements of one page */

static uint32_t page(const struct list_request *q)
{
    return q->limit > 0 && q->limit < PAGE_MAX ? q->limit : PAGE_MAX;
}

static struct bytes text(const char *zero_ended)
{
    return (struct bytes){(const uint8_t *)zero_ended, strlen(zero_ended)};
}

/* ---- jobs ---- */

static void put_job(struct master_core *m,
                    struct list_writer *w,
                    const struct job *job,
                    unsigned *looks)
{
    char why[SCHED_WHY_BYTES] = "";
    struct job_summary s = {
        .id = job->id,
        .name = job_spec_name(job->spec),
        .state = job_state(job),
        .instances = job->instances,
        .priority = job->priority,
        .submitted_us = job->submitted_us,
        .ended_us = job->ended_us,
        .changed = job->changed,
    };

    for (int i = 0; i < TASK_STATE_COUNT; i++)
        s.tasks[i] = job_tasks_in(job, (enum task_state)i);
    if (m->leading.active && job_pending(job) > 0)
        sched_explain(m->sched, m->state, job, looks, why, sizeof(why));
    if (m->leading.active)
        waits_job(m, job, why, sizeof(why));
    s.why = text(why);
    job_summary_pack(w, &s);
}

static void
list_jobs(struct master_core *m, struct list_writer *w, const struct list_request *q)
{
    struct job key = {.id = q->after + 1};
    const struct job *job = RB_NFIND(job_tree, &m->state->jobs, &key);
    unsigned looks = SCHED_EXPLAIN_LOOKS;
    uint64_t next = 0;

    for (uint32_t n = 0; job != NULL; n++) {
        if (n == page(q) || !list_has_room(w)) {
            next = job->id - 1;
            break;
        }
        put_job(m, w, job, &looks);
        job = RB_NEXT(job_tree, &m->state->jobs, (struct job *)(uintptr_t)job);
    }
    list_end(w, next);
}

/* ---- tasks ---- */

struct agent_address {
    uint64_t agent; /* of the last one looked up: neighbours often share it */
    struct agent_spec spec;
};

static void put_addresses(struct master_core *m,
                          struct agent_address *cache,
                          uint64_t id,
                          struct task_info *info)
{
    const struct agent *agent = id != 0 ? state_agent(m->state, id) : NULL;

    if (agent == NULL)
        return;
    if (cache->agent != id) {
        agent_spec_finish(&cache->spec);
        cache->agent = agent_spec_unpack(&cache->spec, agent->spec, NULL) == 0 ? id : 0;
    }
    if (cache->agent != id)
        return;
    info->agent_http = text(cache->spec.http_address);
    info->agent_rpc = text(cache->spec.rpc_address);
}

/* What only a live attempt has. */
static void
put_attempt(struct master_core *m, const struct task *t, struct task_info *info)
{
    const struct attempt *a = state_attempt(m->state, t->attempt_id);

    if (a == NULL || a->superseded)
        return;
    info->placed_us = a->placed_us;
    info->ports = a->ports;
    info->port_count = a->port_count;
}

static void put_task(struct master_core *m,
                     struct list_writer *w,
                     const struct job *job,
                     uint32_t instance,
                     struct agent_address *cache)
{
    const struct task *t = job_task(job, instance);
    char why[SCHED_WHY_BYTES] = "";
    struct task_info info = {.instance = instance,
                             .state = job_task_state(job, instance)};

    if (t != NULL) {
        info.attempt = t->attempt;
        info.attempt_id = t->attempt_id;
        info.agent_id = t->agent_id;
        put_addresses(m, cache, t->agent_id, &info);
        info.reason = (enum task_reason)t->reason;
        info.exit_code = t->exit_code;
        info.message = text(t->message != NULL ? t->message : "");
        info.health = task_health(t);
        info.restarts = task_restarts(t);
        info.started_us = t->started_us;
        info.ended_us = t->ended_us;
        put_attempt(m, t, &info);
        if (m->leading.active)
            waits_task(m, job, t, why, sizeof(why));
    }
    info.why = text(why);
    task_info_pack(w, &info);
}

static void list_tasks(struct master_core *m,
                       struct list_writer *w,
                       const struct list_request *q,
                       const struct job *job)
{
    struct agent_address cache = {0};
    uint64_t instance = q->after;
    uint64_t next = 0;

    for (uint32_t n = 0; instance < job->instances; n++, instance++) {
        if (n == page(q) || !list_has_room(w)) {
            next = instance;
            break;
        }
        put_task(m, w, job, (uint32_t)instance, &cache);
    }
    agent_spec_finish(&cache.spec);
    list_end(w, next);
}

/* ---- agents, masters ---- */

static void put_used(const struct extra_use *used, struct agent_info *info)
{
    for (uint32_t i = 0; i < used->port_count; i++) {
        uint16_t port = used->ports[i];

        if (i > 0 && port == used->ports[i - 1] + 1)
            info->ports[info->range_count - 1].last = port;
        else if (info->range_count < LIMIT_LISTED_RANGES)
            info->ports[info->range_count++] = (struct port_range){port, port};
        else
            break;
    }
    for (size_t i = 0; i < used->custom.count && i < LIMIT_LISTED_CUSTOM; i++)
        info->custom[info->custom_count++] = (struct custom_view){
            text(used->custom.items[i].name), used->custom.items[i].amount};
}

/* Without the key that the agent is known by. */
static void
put_agent(struct master_core *m, struct list_writer *w, const struct agent *agent)
{
    const struct agent_view *v = agents_view(m, agent->id);
    struct agent_info info = {.id = agent->id,
                              .state = (enum agent_state)agent->state,
                              .allocated = agent->allocated,
                              .tasks = agent->attempts_count,
                              .superseded = agent->superseded_count,
                              .mode = (enum agent_mode)agent->mode,
                              .drain_us = agent->drain_us,
                              .flags = v != NULL ? v->flags : 0};
    struct buffer spec = {0};

    buffer_append(&spec, agent->spec.data, agent->spec.size);
    agent_spec_hide_key(&spec);
    info.spec = buffer_view(&spec);
    put_used(&agent->extras_used, &info);
    agent_info_pack(w, &info);
    buffer_finish(&spec);
}

static void
list_agents(struct master_core *m, struct list_writer *w, const struct list_request *q)
{
    struct agent key = {.id = q->after + 1};
    const struct agent *agent = RB_NFIND(agent_tree, &m->state->agents, &key);
    uint64_t next = 0;

    for (uint32_t n = 0; agent != NULL; n++) {
        if (n == page(q) || !list_has_room(w)) {
            next = agent->id - 1;
            break;
        }
        put_agent(m, w, agent);
        agent =
            RB_NEXT(agent_tree, &m->state->agents, (struct agent *)(uintptr_t)agent);
    }
    list_end(w, next);
}

/* ---- usage ---- */

static bool runs(const struct attempt *a)
{
    return !a->superseded && (a->state == TASK_STARTING || a->state == TASK_RUNNING);
}

static void
put_usage(struct master_core *m, struct list_writer *w, const struct attempt *a)
{
    const struct resources *given = &a->job->resources;
    struct usage_info info = {
        .job = a->job->id,
        .instance = a->instance,
        .agent = a->agent->id,
        .name = job_spec_name(a->job->spec),
        .placed_us = a->placed_us,
        .cpus_milli = (uint32_t)given->amount[RESOURCE_CPUS],
        .limit_bytes = given->amount[RESOURCE_MEM],
    };

    info.known = usages_find(agents_view(m, a->agent->id), a->id, &info.report);
    info.report.attempt = a->id;
    usage_info_pack(w, &info);
}

static void
list_usage(struct master_core *m, struct list_writer *w, const struct list_request *q)
{
    struct attempt key = {.id = q->after + 1};
    struct attempt *a = RB_NFIND(attempt_tree, &m->state->attempts, &key);
    uint64_t next = 0;

    for (uint32_t n = 0; a != NULL; n++) {
        if (n == page(q) || !list_has_room(w)) {
            next = a->id - 1;
            break;
        }
        if (runs(a))
            put_usage(m, w, a);
        a = RB_NEXT(attempt_tree, &m->state->attempts, a);
    }
    list_end(w, next);
}

static const char *role_name(enum replica_role role)
{
    switch (role) {
    case REPLICA_LEADER:
        return "leader";
    case REPLICA_CANDIDATE:
        return "candidate";
    case REPLICA_FOLLOWER:
        break;
    }
    return "follower";
}

static void list_masters(struct master_core *m, struct list_writer *w)
{
    struct master_info info = {.id = m->config.id, .role = text("candidate")};
    uint8_t digest[DIGEST_BYTES];

    for (unsigned i = 0; i < m->config.member_count; i++)
        if (m->config.members[i].id == m->config.id)
            info.address = text(m->config.members[i].address);
    if (m->replica != NULL) {
        info.role = text(role_name(replica_role(m->replica)));
        info.leader = replica_leader(m->replica);
        info.term = replica_term(m->replica);
        info.commit_index = replica_commit_index(m->replica);
        info.applied_index = replica_applied_index(m->replica);
    }
    if (m->digest_index != 0) {
        hash128_store(digest, m->digest);
        info.digest = (struct bytes){digest, sizeof(digest)};
        info.digest_index = m->digest_index;
    }
    master_info_pack(w, &info);
    list_end(w, 0);
}

void listing_answer(struct master_core *m,
                    uint64_t session,
                    uint32_t rpc,
                    enum method method,
                    const struct list_request *q)
{
    const struct job *job = q->of != 0 ? state_job(m->state, q->of) : NULL;
    struct list_writer w;
    size_t begin;

    if (job == NULL && (method == METHOD_TASKS || method == METHOD_SPEC ||
                        (method == METHOD_JOBS && q->of != 0))) {
        core_refuse(m,
                    session,
                    rpc,
                    ERROR_NOT_FOUND,
                    "there is no job %llu",
                    (unsigned long long)q->of);
        return;
    }
    begin = core_begin(m);
    list_begin(&w, core_out(m), rpc, m->state->index);
    switch (method) {
    case METHOD_JOBS:
        if (job != NULL) {
            unsigned looks = SCHED_EXPLAIN_LOOKS;

            put_job(m, &w, job, &looks);
            list_end(&w, 0);
        } else {
            list_jobs(m, &w, q);
        }
        break;
    case METHOD_TASKS:
        list_tasks(m, &w, q, job);
        break;
    case METHOD_SPEC:
        spec_info_pack(&w, &(struct spec_info){job->id, job->spec});
        list_end(&w, 0);
        break;
    case METHOD_AGENTS:
        list_agents(m, &w, q);
        break;
    case METHOD_USAGE:
        list_usage(m, &w, q);
        break;
    default:
        list_masters(m, &w);
        break;
    }
    core_end(m, session, begin);
}
