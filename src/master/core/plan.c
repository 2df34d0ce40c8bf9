/* plan.c - what would happen if jobs were submitted or agents were not there
 * (docs/spec/16-plans.md).
 *
 * It is done, in a copy of the process that the shell makes for it: commands are applied to the
 * copy's state, rounds of the copy's scheduler go on until nothing is left to place, and what is to
 * end ends at once.  So a plan knows each rule that the leader knows, and has none of its own;
 * afterwards the copy is of no use.
 *
 * Other work that waits is placed as well, in the order of turns.
 */
#include "master/core/internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/job_diff.h"
#include "wire/match.h"
#include "wire/message_plan.h"

#include <stdlib.h>
#include <string.h>

#define PLAN_PLACEMENTS  1024u /* in one round */
#define PLAN_PREEMPTIONS 4096u
#define PLAN_PASS_US     60000000u /* longer than passes of preemption rest */

/* A task that an agent which is removed has. */
struct moved {
    uint64_t job;
    uint64_t from;
    uint32_t instance;
};

/* Rows that differ in nothing but the count are one. */
struct flow {
    enum plan_row_kind kind;
    uint32_t job;
    uint32_t count;
    uint64_t other;
    uint64_t from, agent;
};

struct plan {
    struct master_core *m;
    struct outcome outcome;
    uint64_t stamp_us; /* of the next entry */
    uint64_t *ends;    /* attempts that are to end */
    size_t end_count, end_capacity;
    struct moved *moved;
    size_t moved_count, moved_capacity;
    struct flow *flows;
    size_t flow_count, flow_capacity;
    unsigned preemptions;
    bool makes_room; /* what ends now ends for the sake of others */
    bool has_submitted;
    uint64_t first_job; /* of the new ones */
    uint64_t last_job;  /* of all */
    struct list_writer w;
    uint64_t left_out; /* rows without a place */
};

/* ---- doing it ---- */

static void end_later(struct plan *p, uint64_t attempt)
{
    MEM_GROW(p->ends, p->end_capacity, p->end_count + 1);
    p->ends[p->end_count++] = attempt;
}

static struct result apply(struct plan *p, const struct command *c)
{
    struct master_core *m = p->m;
    struct buffer entry = {0}, packed = {0};

    command_pack(c, &packed);
    entry_begin(&entry, p->stamp_us++);
    entry_append(&entry, buffer_view(&packed));
    outcome_clear(&p->outcome);
    fsm_apply(m->state,
              m->state->index + 1,
              m->state->term,
              buffer_view(&entry),
              &p->outcome);
    buffer_finish(&entry);
    buffer_finish(&packed);
    for (size_t i = 0; i < p->outcome.effect_count; i++) {
        const struct effect *e = &p->outcome.effects[i];

        leader_tell_sched(m, e);
        if (e->kind == EFFECT_KILL)
            end_later(p, e->id);
    }
    return p->outcome.results[0];
}

static void add_flow(struct plan *p, struct flow f)
{
    MEM_GROW(p->flows, p->flow_capacity, p->flow_count + 1);
    p->flows[p->flow_count++] = f;
}

/* As if the agent had said so. */
static void end_attempt(struct plan *p, uint64_t id)
{
    struct attempt *t = state_attempt(p->m->state, id);
    struct task_update u = {.attempt = id, .state = TASK_KILLED};
    struct command c = {.kind = COMMAND_TASK_UPDATE};

    if (t == NULL)
        return;
    if (p->makes_room)
        add_flow(p,
                 (struct flow){.kind = PLAN_STOPPED,
                               .count = 1,
                               .other = t->job->id,
                               .agent = t->agent->id});
    c.task_update.agent = t->agent->id;
    c.task_update.updates = &u;
    c.task_update.count = 1;
    apply(p, &c);
}

static void end_all(struct plan *p)
{
    for (size_t i = 0; i < p->end_count; i++)
        end_attempt(p, p->ends[i]);
    p->end_count = 0;
}

/* What is ending anyway has ended. */
static void end_what_stops(struct plan *p)
{
    struct attempt *t = NULL;

    while ((t = state_next_attempt(p->m->state, t == NULL ? 0 : t->id + 1)) != NULL)
        if (!t->superseded && t->agent->state == AGENT_ACTIVE &&
            (t->stop != TASK_REASON_NONE || t->job->kill_index != 0))
            end_later(p, t->id);
    end_all(p);
}

/* One task more gets the place of others.  Passes rest, so time goes on between two of them. */
static bool preempt(struct plan *p)
{
    struct master_core *m = p->m;
    struct command c = {.kind = COMMAND_PREEMPT};
    struct preemption found;
    bool more, is_found;

    if (p->preemptions == PLAN_PREEMPTIONS)
        return false;
    p->stamp_us += PLAN_PASS_US;
    do
        is_found = sched_preempt(m->sched, m->state, p->stamp_us, &found, &more);
    while (!is_found && more);
    if (!is_found)
        return false;
    p->preemptions++;
    c.preempt.job = found.job;
    c.preempt.agent = found.agent;
    c.preempt.victims = found.victims;
    c.preempt.count = found.count;
    sched_preempted(m->sched, apply(p, &c).code == ERROR_NONE);
    end_all(p);
    return true;
}

/* Until nothing more is placed. */
static void place(struct plan *p)
{
    struct placement placements[PLAN_PLACEMENTS];
    struct command c = {.kind = COMMAND_PLACE, .place.placements = placements};
    bool more;

    do {
        c.place.count = (uint32_t)sched_round(
            p->m->sched, p->m->state, p->stamp_us, placements, PLAN_PLACEMENTS, &more);
        if (c.place.count > 0)
            apply(p, &c);
        end_all(p);
    } while (c.place.count > 0 || more);
}

static void settle(struct plan *p)
{
    p->makes_room = true;
    do
        place(p);
    while (preempt(p));
}

/* ---- agents that are removed ---- */

static bool text_is(struct bytes wanted, const char *text)
{
    return wanted.size == strlen(text) && memcmp(wanted.data, text, wanted.size) == 0;
}

/* An attribute of its own before those that every agent has, as in constraints. */
static bool has_value(const struct agent *a,
                      const struct agent_spec *spec,
                      const struct plan_removal *r)
{
    char id[24];

    for (size_t i = 0; i < spec->attribute_count; i++)
        if (text_is(r->attribute, spec->attributes[i].name))
            return text_is(r->value, spec->attributes[i].value);
    snprintf(id, sizeof(id), "%llu", (unsigned long long)a->id);
    if (text_is(r->attribute, MATCH_AGENT))
        return text_is(r->value, id);
    return text_is(r->attribute, MATCH_HOST) && text_is(r->value, spec->hostname);
}

static void put_row(struct plan *p, const struct plan_row *row)
{
    if (list_has_room(&p->w))
        plan_row_pack(&p->w, row);
    else
        p->left_out++;
}

/* What it has is to go elsewhere. */
static void note_tasks(struct plan *p, struct agent *a, const struct agent_spec *spec)
{
    struct plan_row row = {
        .kind = PLAN_REMOVED, .agent = a->id, .host = text_view(spec->hostname)};
    struct attempt *t;

    TAILQ_FOREACH (t, &a->attempts, by_agent) {
        if (t->superseded || t->job->kill_index != 0)
            continue;
        MEM_GROW(p->moved, p->moved_capacity, p->moved_count + 1);
        p->moved[p->moved_count++] = (struct moved){t->job->id, a->id, t->instance};
        row.count++;
    }
    put_row(p, &row);
}

/* At once, whatever time it is given. */
static void remove_agent(struct plan *p, uint64_t id, bool is_drain)
{
    struct command c = {.kind = COMMAND_AGENT_GONE, .agent_gone.agent = id};

    if (is_drain) {
        c = (struct command){
            .kind = COMMAND_AGENT_MODE,
            .agent_mode = {.agent = id, .mode = AGENT_DRAINING, .deadline_ms = 0}};
        apply(p, &c);
        c = (struct command){.kind = COMMAND_DRAIN_DUE, .drain_due.agent = id};
    }
    apply(p, &c);
}

/* All that it names; how many those are. */
static size_t remove_some(struct plan *p, const struct plan_removal *r)
{
    struct agent *a, *next;
    size_t count = 0;

    RB_FOREACH_SAFE (a, agent_tree, &p->m->state->agents, next) {
        struct agent_spec spec;

        if (a->state == AGENT_GONE || agent_spec_unpack(&spec, a->spec, NULL) != 0)
            continue;
        if (has_value(a, &spec, r)) {
            count++;
            note_tasks(p, a, &spec);
            remove_agent(p, a->id, r->is_drain);
        }
        agent_spec_finish(&spec);
    }
    return count;
}

/* Tasks that were lost often wait before they go on: not in a plan. */
static void retry(struct plan *p, const struct moved *t)
{
    const struct job *j = state_job(p->m->state, t->job);
    const struct task *task = j == NULL ? NULL : job_task(j, t->instance);
    struct command c = {.kind = COMMAND_RETRY};

    if (task == NULL || !task_waits(task))
        return;
    c.retry.job = t->job;
    c.retry.instance = t->instance;
    c.retry.attempt = task->attempt;
    apply(p, &c);
}

static int
remove_agents(struct plan *p, const struct plan_request *q, struct error *err)
{
    struct command_cursor at = {0};
    struct plan_removal r;

    for (bool is_first = true; plan_removal_next(q, &at, &r); is_first = false)
        if (remove_some(p, &r) == 0)
            return error_set(err,
                             ERROR_NOT_FOUND,
                             "no agent%s has %.*s = %.*s (or all that have it are "
                             "gone); `triarch agents` lists them",
                             is_first ? "" : " beside those that were named before",
                             (int)r.attribute.size,
                             (const char *)r.attribute.data,
                             (int)r.value.size,
                             (const char *)r.value.data);
    end_all(p);
    for (size_t i = 0; i < p->moved_count; i++)
        retry(p, &p->moved[i]);
    return 0;
}

/* ---- jobs that are submitted ---- */

/* One that nobody used. */
static struct bytes free_key(const struct state *s, char text[32])
{
    struct bytes key;
    unsigned n = 0;

    do {
        snprintf(text, 32, "plan %u", n++);
        key = text_view(text);
    } while (state_job_by_key(s, key) != NULL || state_tombstone(s, key) != NULL);
    return key;
}

static int submit(struct plan *p, const struct plan_request *q, struct error *err)
{
    struct command c = {.kind = COMMAND_SUBMIT_ALL};
    struct result r;
    char key[32];

    if (q->specs.size == 0)
        return 0;
    c.submit.key = free_key(p->m->state, key);
    c.submit.spec = q->specs;
    c.submit.owner = q->owner;
    r = apply(p, &c);
    if (r.code != ERROR_NONE)
        return error_set(err, r.code, "%s", clients_explain(METHOD_SUBMIT_ALL, r.code));
    p->has_submitted = true;
    p->first_job = p->m->planned = r.id;
    p->last_job = p->m->state->globals.last_job_id;
    return 0;
}

/* ---- telling ---- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_flows(const void *x, const void *y)
{
    const struct flow *a = x, *b = y;
    int order = compare_u64(a->kind, b->kind);

    if (order == 0)
        order = compare_u64(a->job, b->job);
    if (order == 0)
        order = compare_u64(a->other, b->other);
    if (order == 0)
        order = compare_u64(a->from, b->from);
    return order != 0 ? order : compare_u64(a->agent, b->agent);
}

/* Why tasks of a job wait; `why` has SCHED_WHY_BYTES. */
static struct bytes explain_wait(struct plan *p, const struct job *j, char *why)
{
    unsigned looks = SCHED_EXPLAIN_LOOKS;

    why[0] = 0;
    if (j->made != NULL && j->id >= p->first_job && p->has_submitted) {
        schedules_say_planned(p->m, j, p->stamp_us, why, SCHED_WHY_BYTES);
        return text_view(why);
    }
    if (job_pending(j) > 0)
        sched_explain(
            p->m->sched, p->m->state, p->stamp_us, j, &looks, why, SCHED_WHY_BYTES);
    waits_job(p->m, j, why, SCHED_WHY_BYTES);
    return text_view(why);
}

static struct bytes host_of(const struct master_core *m, uint64_t agent, char *host)
{
    const struct agent *a = state_agent(m->state, agent);
    struct agent_spec spec;

    host[0] = 0;
    if (a == NULL || agent_spec_unpack(&spec, a->spec, NULL) != 0)
        return text_view(host);
    snprintf(host, LIMIT_NAME_BYTES + 1, "%s", spec.hostname);
    agent_spec_finish(&spec);
    return text_view(host);
}

static void put_flow(struct plan *p, const struct flow *f)
{
    char host[LIMIT_NAME_BYTES + 1], why[SCHED_WHY_BYTES];
    struct plan_row row = {.kind = f->kind,
                           .job = f->job,
                           .count = f->count,
                           .other = f->other,
                           .from = f->from,
                           .agent = f->agent};
    const struct job *j = state_job(p->m->state, f->other);

    row.host = host_of(p->m, f->agent, host);
    if (j != NULL)
        row.name = job_spec_name(j->spec);
    if (f->kind == PLAN_STRANDED && j != NULL && j->system != NULL)
        row.why =
            text_view("a system job has a task on each agent, and none elsewhere");
    else if (f->kind == PLAN_STRANDED && j != NULL)
        row.why = explain_wait(p, j, why);
    put_row(p, &row);
}

static void put_flows(struct plan *p)
{
    if (p->flow_count > 0)
        qsort(p->flows, p->flow_count, sizeof(*p->flows), compare_flows);
    for (size_t i = 0; i < p->flow_count; i++) {
        struct flow f = p->flows[i];

        while (i + 1 < p->flow_count && compare_flows(&f, &p->flows[i + 1]) == 0)
            f.count += p->flows[++i].count;
        put_flow(p, &f);
    }
    p->flow_count = 0;
}

/* Of each job that is made of it, where it has none itself. */
static uint32_t instances_of(const struct job *j)
{
    uint32_t instances = j->instances;
    struct job_spec spec;

    if (j->made == NULL || job_spec_unpack(&spec, j->spec, NULL) != 0)
        return instances;
    instances = spec.instances;
    job_spec_finish(&spec);
    return instances;
}

/* Where the tasks of a new job are, and what waits of it. */
static void tell_job(struct plan *p, uint32_t place, const struct job *j)
{
    char text[SCHED_WHY_BYTES];
    struct plan_row row = {.kind = PLAN_JOB,
                           .job = place,
                           .count = instances_of(j),
                           .name = job_spec_name(j->spec)};

    put_row(p, &row);
    for (uint32_t i = 0; i < j->touched; i++) {
        const struct task *t = job_task(j, i);

        if (t->state != TASK_PENDING && !task_state_is_final((enum task_state)t->state))
            add_flow(p,
                     (struct flow){.kind = PLAN_PLACED,
                                   .job = place,
                                   .count = 1,
                                   .agent = t->agent_id});
    }
    put_flows(p);
    row = (struct plan_row){
        .kind = PLAN_WAITS, .job = place, .count = job_unfinished(j) - job_live(j)};
    row.why = explain_wait(p, j, text);
    if (row.count > 0 || row.why.size > 0)
        put_row(p, &row);
}

/* Names of the new jobs, to look others up by. */
struct named {
    struct bytes name;
    const struct job *job;
    const struct job *same; /* the newest that runs, in the same role */
};

static int compare_named(const void *x, const void *y)
{
    const struct named *a = x, *b = y;
    size_t size = a->name.size < b->name.size ? a->name.size : b->name.size;
    int order = memcmp(a->name.data, b->name.data, size);

    if (order == 0)
        order = compare_u64(a->name.size, b->name.size);
    return order != 0 ? order
                      : compare_u64(a->job->owner->role->id, b->job->owner->role->id);
}

static void tell_same(struct plan *p, const struct named *n)
{
    struct plan_row row = {.kind = PLAN_SAME,
                           .job = (uint32_t)(n->job->id - p->first_job),
                           .other = n->same->id,
                           .name = n->name};
    struct job_spec from, to;
    struct buffer why = {0};

    if (job_spec_unpack(&from, n->same->spec, NULL) == 0) {
        if (job_spec_unpack(&to, n->job->spec, NULL) == 0) {
            job_spec_differences(&from, &to, &why);
            job_spec_finish(&to);
        }
        job_spec_finish(&from);
    }
    row.why = buffer_view(&why);
    put_row(p, &row);
    buffer_finish(&why);
}

static void tell_others(struct plan *p)
{
    uint32_t count = (uint32_t)(p->last_job - p->first_job + 1);
    struct named *all = mem_zalloc(count * sizeof(*all));
    struct job *j;

    for (uint32_t i = 0; i < count; i++) {
        all[i].job = state_job(p->m->state, p->first_job + i);
        all[i].name = job_spec_name(all[i].job->spec);
    }
    qsort(all, count, sizeof(*all), compare_named);
    STATE_FOREACH_JOB (j, p->m->state) {
        struct named like = {job_spec_name(j->spec), j, NULL}, *found;

        if (j->id >= p->first_job)
            break;
        if (job_state_is_final(job_state(j)) || j->kill_index != 0)
            continue;
        found = bsearch(&like, all, count, sizeof(*all), compare_named);
        if (found != NULL)
            found->same = j;
    }
    for (uint32_t i = 0; i < count; i++)
        if (all[i].same != NULL)
            tell_same(p, &all[i]);
    mem_free(all);
}

static void tell_moved(struct plan *p)
{
    for (size_t i = 0; i < p->moved_count; i++) {
        const struct moved *t = &p->moved[i];
        const struct job *j = state_job(p->m->state, t->job);
        const struct task *task = j == NULL ? NULL : job_task(j, t->instance);
        bool runs = task != NULL && task->state != TASK_PENDING &&
                    !task_state_is_final((enum task_state)task->state);

        add_flow(p,
                 (struct flow){.kind = runs ? PLAN_MOVED : PLAN_STRANDED,
                               .count = 1,
                               .other = t->job,
                               .from = t->from,
                               .agent = runs ? task->agent_id : 0});
    }
    put_flows(p);
}

static void tell(struct plan *p)
{
    put_flows(p); /* what was stopped */
    for (uint64_t id = p->first_job; p->has_submitted && id <= p->last_job; id++)
        tell_job(p, (uint32_t)(id - p->first_job), state_job(p->m->state, id));
    if (p->has_submitted)
        tell_others(p);
    tell_moved(p);
}

void master_plan(struct master_core *m,
                 uint32_t rpc,
                 struct bytes request,
                 struct buffer *answer)
{
    struct plan p = {.m = m, .stamp_us = leader_now_us(m) + 1};
    struct plan_request q;
    struct error err;
    int rc = plan_unpack(&q, request, &err);

    list_begin(&p.w, answer, rpc, m->state->index);
    end_what_stops(&p);
    if (rc == 0)
        rc = remove_agents(&p, &q, &err);
    if (rc == 0)
        rc = submit(&p, &q, &err);
    if (rc == 0) {
        settle(&p);
        tell(&p);
        list_end(&p.w, p.left_out);
    } else {
        buffer_clear(answer);
        rpc_error(answer, rpc, err.code, err.text, "");
    }
    outcome_finish(&p.outcome);
    mem_free(p.ends);
    mem_free(p.moved);
    mem_free(p.flows);
}
