/* listing.c - pages of jobs, tasks, agents and masters, from the state as it is now.
 *
 * A page is bounded in elements looked at: the client continues after `next`.  It is made a
 * part at a time, so that even one page never holds the loop (clients.c says when).  Its index
 * is that of its first part; what is in a later one may be newer, as in a later page.
 */
#include "master/core/internal.h"

#include "wire/message_role.h"

#include <string.h>

#define PAGE_MAX  1000u /* elements of one page */
#define LOOKS_MAX 1024u /* for `why` in one turn, and the rest of the last element's */

static uint32_t page_limit(const struct page *p)
{
    return p->q.limit > 0 && p->q.limit < PAGE_MAX ? p->q.limit : PAGE_MAX;
}

static bool is_full(const struct page *p)
{
    return p->seen == page_limit(p) || !list_has_room(&p->w);
}

bool listing_is_enough(const struct master_core *m)
{
    return m->listed.elements >= LIMIT_LISTED_ELEMENTS ||
           m->listed.bytes >= LIMIT_LISTED_BYTES || m->listed.looks >= LOOKS_MAX;
}

bool listing_pauses(const struct master_core *m, const struct page *p)
{
    return is_full(p) || listing_is_enough(m);
}

void listing_passed(struct master_core *m, struct page *p, uint64_t at)
{
    p->at = at;
    p->seen++;
    m->listed.elements++;
    m->listed.bytes += p->bytes.size - p->counted;
    p->counted = p->bytes.size;
}

static struct bytes text(const char *zero_ended)
{
    return (struct bytes){(const uint8_t *)zero_ended, strlen(zero_ended)};
}

/* ---- jobs ---- */

static void put_job(struct master_core *m, struct page *p, const struct job *job)
{
    unsigned looks = p->looks;
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
        .kind = job->kind,
    };

    for (int i = 0; i < TASK_STATE_COUNT; i++)
        s.tasks[i] = job_tasks_in(job, (enum task_state)i);
    if (m->leading.active && job_may_place(job))
        sched_explain(
            m->sched, m->state, leader_now_us(m), job, &p->looks, why, sizeof(why));
    if (m->leading.active)
        sched_reservation(
            m->sched, leader_now_us(m), job->id, &s.reserved_agent, &s.reserved_us);
    if (m->leading.active)
        waits_job(m, job, why, sizeof(why));
    s.why = text(why);
    s.expected_from = (enum expectation)job->expected_from;
    s.expected_ms = job->expected_from == EXPECTED_OF_ROLE
                        ? job->owner->role->spec.length_ms
                        : job->expected_ms;
    job_summary_pack(&p->w, &s);
    m->listed.looks += looks - p->looks;
    listing_passed(m, p, job->id);
}

/* Each of these goes on with a page, and says whether there is more behind it. */
static bool list_jobs(struct master_core *m, struct page *p)
{
    struct job *job = state_next_job(m->state, p->at + 1);

    for (; job != NULL && !listing_pauses(m, p);
         job = state_next_job(m->state, job->id + 1))
        put_job(m, p, job);
    return job != NULL;
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
    info->ports = attempt_ports(a);
    info->port_count = a->port_count;
}

static void put_task(struct master_core *m,
                     struct page *p,
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
    task_info_pack(&p->w, &info);
    listing_passed(m, p, instance + 1);
}

static bool list_tasks(struct master_core *m, struct page *p, const struct job *job)
{
    struct agent_address cache = {0};

    while (p->at < job->instances && !listing_pauses(m, p))
        put_task(m, p, job, (uint32_t)p->at, &cache);
    agent_spec_finish(&cache.spec);
    return p->at < job->instances;
}

/* ---- agents ---- */

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
/* What it says of itself, and what we see. */
static uint32_t flags_of(const struct agent_view *v)
{
    return v->flags | (v->damping.is_on ? AGENT_FLAG_DAMPED : 0);
}

static void put_agent(struct master_core *m, struct page *p, const struct agent *agent)
{
    const struct agent_view *v = agents_view(m, agent->id);
    struct agent_info info = {.id = agent->id,
                              .state = (enum agent_state)agent->state,
                              .allocated = agent->allocated,
                              .tasks = agent->attempts_count,
                              .superseded = agent->superseded_count,
                              .mode = (enum agent_mode)agent->mode,
                              .drain_us = agent->drain_us,
                              .flags = v != NULL ? flags_of(v) : 0};
    struct buffer spec = {0};

    buffer_append(&spec, agent->spec.data, agent->spec.size);
    agent_spec_hide_key(&spec);
    info.spec = buffer_view(&spec);
    put_used(&agent->extras_used, &info);
    agent_info_pack(&p->w, &info);
    listing_passed(m, p, agent->id);
    buffer_finish(&spec);
}

static bool list_agents(struct master_core *m, struct page *p)
{
    struct agent key = {.id = p->at + 1};
    struct agent *agent = RB_NFIND(agent_tree, &m->state->agents, &key);

    for (; agent != NULL && !listing_pauses(m, p);
         agent = RB_NEXT(agent_tree, &m->state->agents, agent))
        put_agent(m, p, agent);
    return agent != NULL;
}

/* ---- usage ---- */

static bool runs(const struct attempt *a)
{
    return !a->superseded && (a->state == TASK_STARTING || a->state == TASK_RUNNING);
}

static void put_usage(struct master_core *m, struct page *p, const struct attempt *a)
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
    usage_info_pack(&p->w, &info);
}

static bool list_usage(struct master_core *m, struct page *p)
{
    struct attempt *a = state_next_attempt(m->state, p->at + 1);

    for (; a != NULL && !listing_pauses(m, p);
         a = state_next_attempt(m->state, p->at + 1)) {
        if (runs(a))
            put_usage(m, p, a);
        listing_passed(m, p, a->id);
    }
    return a != NULL;
}

/* ---- roles ---- */

static uint64_t listed_amount(unsigned __int128 amount)
{
    return amount < LIMIT_RESOURCE ? (uint64_t)amount : LIMIT_RESOURCE;
}

static struct resources listed_use(const struct use *used)
{
    struct resources r;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        r.amount[k] = listed_amount(used->amount[k]);
    return r;
}

static void put_role(struct master_core *m, struct page *p, const struct role *role)
{
    struct role_info info = {
        .number = role->id, .jobs = role->open, .used = listed_use(&role->use)};
    struct role_change all = {role->name, ROLE_HAS_ALL, role->spec};
    struct buffer spec = {0};
    struct use_custom *c;

    RB_FOREACH (c, use_tree, (struct use_tree *)&role->use.custom) {
        if (info.custom_count == LIMIT_LISTED_CUSTOM)
            break;
        info.custom[info.custom_count++] =
            (struct custom_view){text(c->name), listed_amount(c->amount)};
    }
    if (m->leading.active)
        info.share = sched_share(m->sched, role);
    role_change_pack(&all, &spec);
    info.spec = buffer_view(&spec);
    role_info_pack(&p->w, &info);
    listing_passed(m, p, role->id + 1);
    buffer_finish(&spec);
}

static const struct role *role_from(const struct state *s, uint64_t id)
{
    if (id == 0)
        return state_role(s, ROLE_DEFAULT);
    while (id < LIMIT_ROLES && s->roles_by_id[id] == NULL)
        id++;
    return id < LIMIT_ROLES ? s->roles_by_id[id] : NULL;
}

/* `default` is listed also when nobody set it; what a page begins at is the lowest number. */
static bool list_roles(struct master_core *m, struct page *p)
{
    const struct role *role = role_from(m->state, p->at);

    for (; role != NULL && !listing_pauses(m, p); role = role_from(m->state, p->at))
        put_role(m, p, role);
    return role != NULL;
}

/* ---- masters ---- */

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

static void put_master(struct master_core *m, struct page *p)
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
    master_info_pack(&p->w, &info);
}

/* ---- pages ---- */

static void page_begin(struct master_core *m, struct page *p)
{
    p->at = p->q.after;
    p->looks = SCHED_EXPLAIN_LOOKS;
    list_begin(&p->w, &p->bytes, p->rpc, m->state->index);
}

static bool go_on(struct master_core *m, struct page *p, const struct job *of)
{
    switch (p->method) {
    case METHOD_JOBS:
        if (of == NULL)
            return list_jobs(m, p);
        put_job(m, p, of);
        break;
    case METHOD_TASKS:
        return list_tasks(m, p, of);
    case METHOD_AGENTS:
        return list_agents(m, p);
    case METHOD_USAGE:
        return list_usage(m, p);
    case METHOD_SPEC:
        spec_info_pack(&p->w, &(struct spec_info){of->id, of->spec});
        listing_passed(m, p, of->id);
        break;
    case METHOD_ROLES:
        return list_roles(m, p);
    case METHOD_FAILURES:
        return list_failures(m, p);
    case METHOD_FAILURE_SUMS:
        list_failure_sums(m, p);
        break;
    default:
        put_master(m, p);
        break;
    }
    return false;
}

bool listing_go_on(struct master_core *m, uint64_t session, struct page *p)
{
    const struct job *of = p->q.of != 0 ? state_job(m->state, p->q.of) : NULL;
    size_t begin;
    bool more;

    if (of == NULL && (p->method == METHOD_TASKS || p->method == METHOD_SPEC ||
                       (p->method == METHOD_JOBS && p->q.of != 0))) {
        m->listed.elements++;
        core_refuse(m,
                    session,
                    p->rpc,
                    ERROR_NOT_FOUND,
                    "there is no job %llu",
                    (unsigned long long)p->q.of);
        return true;
    }
    if (p->bytes.size == 0)
        page_begin(m, p);
    more = go_on(m, p, of);
    if (more && !is_full(p))
        return false;
    list_end(&p->w, more ? p->at : 0);
    begin = core_begin(m);
    buffer_append(core_out(m), p->bytes.data, p->bytes.size);
    core_end(m, session, begin);
    return true;
}
