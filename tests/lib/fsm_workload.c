/* fsm_workload.c - random entries of commands. */
#include "tests/lib/fsm_workload.h"

#include "base/mem.h"
#include "base/text.h"
#include "raft_fsm/preempt.h"
#include "wire/command.h"
#include "wire/role.h"

#include <stdio.h>
#include <string.h>

#define START_US     1700000000000000ull
#define HOUR_US      (3600ull * 1000000)
#define KEYS         24 /* of jobs */
#define BODIES       3  /* for each key */
#define AGENT_KEYS   10
#define FIRST_PORT   31000
#define SET_MAX      4 /* jobs submitted together */
#define ELEMENTS_MAX 8 /* placements or updates in a command */
#define GANG_MAX     5

static const uint32_t INSTANCES[] = {1, 1, 2, 3, 5, 17, 64, 65, 130, 1500};

/* Few, so that roles are set again, and removed while they have jobs. */
static const char *const NAMES[] = {"random", "nightly", "once"};
static const char *const OWNERS[] = {"", "ann", "bob"};
static const char *const ROLES[] = {ROLE_DEFAULT, "a", "b", "c"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Weights before a seed changes them. */
static const unsigned WEIGHTS[WORKLOAD_KINDS] = {
    [0] = 2,
    [COMMAND_FOUND] = 1,
    [COMMAND_SUBMIT] = 12,
    [COMMAND_KILL] = 3,
    [COMMAND_AGENT_REGISTER] = 6,
    [COMMAND_AGENT_REREGISTER] = 5,
    [COMMAND_AGENT_UNREACHABLE] = 3,
    [COMMAND_AGENT_GONE] = 1,
    [COMMAND_PLACE] = 30,
    [COMMAND_TASK_UPDATE] = 40,
    [COMMAND_PURGE] = 8,
    [COMMAND_EXPIRE_KEYS] = 2,
    [COMMAND_AGENT_MODE] = 3,
    [COMMAND_DRAIN_DUE] = 4,
    [COMMAND_RETRY] = 6,
    [COMMAND_LAPSE] = 3,
    [COMMAND_ROLE_SET] = 4,
    [COMMAND_ROLE_REMOVE] = 2,
    [COMMAND_SUBMIT_ALL] = 4,
    [COMMAND_RELEASE] = 1,
    [COMMAND_FIRE] = 5,
    [COMMAND_DISPATCH] = 3,
    [COMMAND_PREEMPT] = 10,
    [COMMAND_MOVE] = 10,
};

void workload_init(struct workload *w, uint64_t seed)
{
    *w = (struct workload){.rng = {seed}, .now_us = START_US};
    for (int i = 0; i < WORKLOAD_KINDS; i++) {
        static const unsigned FACTORS[] = {0, 1, 1, 1, 2, 4};

        w->weights[i] = WEIGHTS[i] * FACTORS[workload_choose(w, COUNT(FACTORS))];
    }
    w->weights[COMMAND_SUBMIT] += 2;
    w->weights[COMMAND_AGENT_REGISTER] += 2;
    w->weights[COMMAND_PLACE] += 2;
}

void workload_init_fuzzed(struct workload *w, struct bytes data)
{
    *w = (struct workload){.data = data, .fuzzed = true, .now_us = START_US};
    for (int i = 0; i < WORKLOAD_KINDS; i++)
        w->weights[i] = WEIGHTS[i];
}

void workload_finish(struct workload *w)
{
    buffer_finish(&w->packed);
}

bool workload_is_over(const struct workload *w)
{
    return w->fuzzed && w->data.size == 0;
}

uint64_t workload_choose(struct workload *w, uint64_t n)
{
    uint64_t value;

    if (!w->fuzzed)
        return rng_below(&w->rng, n);
    if (w->data.size == 0)
        return 0;
    value = w->data.data[0];
    w->data.data++;
    w->data.size--;
    return value * n / 256;
}

static bool percent(struct workload *w, unsigned p)
{
    return workload_choose(w, 100) < p;
}

/* ---- parts ---- */

static struct bytes job_key(struct workload *w, char text[16])
{
    int n = snprintf(text, 16, "key-%d", (int)workload_choose(w, KEYS));

    return (struct bytes){(const uint8_t *)text, (size_t)n};
}

/* Ports, custom resources and an image of some kinds of jobs. */
static void job_extras(struct job_spec *spec, uint64_t kind)
{
    if (kind % 4 == 1)
        spec->ports.count = 1 + (uint32_t)(kind % 3);
    if (kind % 5 == 2) {
        uint16_t first = (uint16_t)(FIRST_PORT + kind % 4);

        spec->ports.fixed[0] = (struct port_range){first, (uint16_t)(first + kind % 2)};
        spec->ports.fixed_count = 1;
    }
    if (kind % 4 == 3)
        custom_resources_add(&spec->custom, "licence", 500 + 500 * (kind % 3));
    if (kind % 6 == 5)
        spec->image.source = mem_strdup("oci:/srv/image");
}

static void job_policies(struct job_spec *spec, uint64_t kind)
{
    if (kind % 3 == 0)
        spec->reschedule = (struct job_retry){
            .attempts = kind % 2 == 0 ? JOB_UNLIMITED : 1 + (uint32_t)(kind % 4),
            .interval_ms = kind % 5 == 0 ? 0 : 200 * (kind % 5),
            .delay_ms = LIMIT_RESCHEDULE_MS + kind % 7,
            .max_delay_ms = LIMIT_RESCHEDULE_MS + 20,
        };
    if (kind % 4 == 1) {
        spec->lease_ms = JOB_LEASE_MS;
        spec->drift_permille = JOB_DRIFT_PERMILLE;
        spec->lease_grace_ms = JOB_LEASE_GRACE_MS;
    }
}

/* One of the newest, sometimes one that is not there yet. */
static uint64_t recent_id(struct workload *w, uint64_t last)
{
    uint64_t back = workload_choose(w, 16);

    return last + 1 > back ? last + 1 - back : last;
}

/* Mostly of jobs that are there; negative ones are those before `position`, or wrong. */
static void job_after(struct workload *w,
                      const struct state *s,
                      struct job_spec *spec,
                      int position)
{
    for (uint64_t n = workload_choose(w, 3); n > 0; n--) {
        enum job_on on = (enum job_on)workload_choose(w, JOB_ON_COUNT);
        int64_t job = (int64_t)recent_id(w, s->globals.last_job_id);

        if (position > 0 && percent(w, 80))
            job = -1 - (int64_t)workload_choose(w, (uint64_t)position);
        if (percent(w, 2))
            job = -1 - position;
        job_spec_add_after(spec, (struct job_after){job, on});
    }
}

/* One on each agent: without what would choose among them. */
static void be_system(struct job_spec *spec)
{
    spec->kind = JOB_SYSTEM;
    spec->instances = 1;
    spec->gang = false;
    match_finish(&spec->match);
    if (spec->reschedule.attempts == 0)
        spec->reschedule = (struct job_retry){2, 0, LIMIT_RESCHEDULE_MS, 60000};
}

static void random_job(struct workload *w, uint64_t kind, struct job_spec *spec)
{
    job_spec_init(spec);
    spec->name = mem_strdup(NAMES[kind % COUNT(NAMES)]);
    spec->instances = INSTANCES[kind % COUNT(INSTANCES)];
    spec->priority = ((int32_t)(kind % 3) - 1) * PREEMPT_GAP;
    spec->resources = (struct resources){{500 + 500 * (kind % 4), (kind % 5) << 26}};
    job_spec_add_arg(spec, "/bin/true");
    job_extras(spec, kind);
    job_policies(spec, kind);
    if (kind % 5 == 1)
        spec->max_runtime_ms = 60000 * (kind % 7 + 1);
    if (kind % 7 == 1)
        spec->estimate_ms = 1000 * kind;
    if (kind % 3 == 1)
        spec->role = mem_strdup(ROLES[kind % COUNT(ROLES)]);
    if (kind % 3 == 0 && kind % 7 < 5) { /* small, so that all of it runs at times */
        spec->kind = JOB_SERVICE;
        spec->instances = 1 + kind % 2;
    }
    spec->gang = kind % 4 == 2 && spec->instances <= GANG_MAX;
    if (kind % 5 == 2)
        condition_parse(match_add_constraint(&spec->match), "rack distinct", NULL);
    if (kind % 7 == 3)
        affinity_parse(match_add_affinity(&spec->match), "zone = b:-9", NULL);
    if (kind % 5 == 4 && kind % 6 != 4) {
        spec->schedule.cron = mem_strdup("@hourly");
        spec->schedule.overlap = (enum job_overlap)((kind / 5 + 1) % JOB_OVERLAP_COUNT);
    } else if (kind % 5 == 3 && kind % 6 != 4) {
        job_spec_add_parameter(spec, "A", NULL);
        job_spec_add_parameter(spec, "B", "1");
    }
    if (kind % 6 == 4)
        be_system(spec);
    if (percent(w, 3))
        spec->instances = 0; /* against the rules */
}

static uint64_t job_kind(struct workload *w, struct bytes key)
{
    return key.data[key.size - 1] + (percent(w, 75) ? 0 : workload_choose(w, BODIES));
}

/* The same key has one of a few bodies, so that repeats and conflicts both happen: of those
 * without `after`. */
static void job_spec(struct workload *w,
                     const struct state *s,
                     struct bytes key,
                     struct buffer *out)
{
    struct job_spec spec;

    random_job(w, job_kind(w, key), &spec);
    if (percent(w, 30))
        job_after(w, s, &spec, 0);
    job_spec_pack(&spec, out);
    job_spec_finish(&spec);
}

static void
job_set(struct workload *w, const struct state *s, struct bytes key, struct buffer *out)
{
    struct job_spec specs[SET_MAX];
    uint64_t kind = job_kind(w, key);
    int count = 1 + (int)(kind % SET_MAX);

    for (int i = 0; i < count; i++) {
        random_job(w, kind + (uint64_t)i, &specs[i]);
        if (percent(w, 70))
            job_after(w, s, &specs[i], i);
        if (i > 0 && specs[i].after_count == 0)
            job_spec_add_after(&specs[i],
                               (struct job_after){-1, (enum job_on)(kind % 3)});
    }
    job_specs_pack(specs, percent(w, 2) ? 0 : (size_t)count, out);
    for (int i = 0; i < count; i++)
        job_spec_finish(&specs[i]);
}

/* With the key of `known` if there is one, else with any. */
static void
agent_spec(struct workload *w, const struct agent *known, struct buffer *out)
{
    struct agent_spec spec = {.hostname = mem_strdup("host"),
                              .http_address = mem_strdup("")};

    memset(spec.key, (int)workload_choose(w, AGENT_KEYS), sizeof(spec.key));
    if (known != NULL)
        memcpy(spec.key, known->key, sizeof(spec.key));
    spec.resources = (struct resources){
        {1000 * (1 + workload_choose(w, percent(w, 50) ? 2 : 16)), 1ull << 30}};
    if (percent(w, 70)) {
        uint16_t first = (uint16_t)(FIRST_PORT + workload_choose(w, 4));

        spec.ports[0] =
            (struct port_range){first, (uint16_t)(first + workload_choose(w, 8))};
        spec.port_count = 1;
        custom_resources_add(
            &spec.custom, "licence", 500 * (1 + workload_choose(w, 6)));
        spec.features = workload_choose(w, 2) != 0 ? AGENT_FEATURE_IMAGES : 0;
        if (percent(w, 90))
            spec.features |= AGENT_FEATURE_JOBS_2;
    }
    agent_spec_pack(&spec, out);
    agent_spec_finish(&spec);
}

static uint64_t agent_id(struct workload *w, const struct state *s)
{
    return recent_id(w, s->globals.last_agent_id);
}

/* One of the newest, or the last that a template made: so that some of those run, or still
 * end when they were killed, at the next slot. */
static uint64_t job_or_child(struct workload *w, const struct state *s)
{
    struct job_template *t;
    uint64_t job = recent_id(w, s->globals.last_job_id);

    if (!percent(w, 30))
        return job;
    RB_FOREACH (t, template_tree, (struct template_tree *)&s->templates)
        if (t->child != 0 && percent(w, 50))
            job = t->child;
    return job;
}

/* That of the agent, or its first. */
static void system_placement(const struct job *j, struct placement *p)
{
    const struct task *t = system_task(j, p->agent);

    p->instance = t == NULL ? 0 : t->instance;
    p->attempt = t == NULL ? 0 : t->attempt + 1;
}

static void placement(struct workload *w, const struct state *s, struct placement *p)
{
    struct job *j = state_job(s, job_or_child(w, s));
    uint32_t from = 0;

    if (percent(w, 60))
        j = RB_MIN(job_order_tree, (struct job_order_tree *)&s->runnable);
    *p = (struct placement){.job = j == NULL ? 1 : j->id, .agent = agent_id(w, s)};
    if (j != NULL && j->instances > 0 && percent(w, 40))
        from = (uint32_t)workload_choose(w, j->instances);
    if (j == NULL || percent(w, 10) ||
        !job_next_pending(j, from, &p->instance, &p->attempt)) {
        p->instance = (uint32_t)workload_choose(w, 3);
        p->attempt = (uint32_t)workload_choose(w, 4);
    }
    if (j != NULL && j->instances > 0 && percent(w, 5)) /* leave tasks out */
        p->instance = (uint32_t)workload_choose(w, j->instances);
    if (j != NULL && j->system != NULL && percent(w, 90))
        system_placement(j, p);
}

/* All of a gang that may begin, in order, mostly on two agents; 0 when there is none. */
static uint32_t
gang(struct workload *w, const struct state *s, struct placement of[ELEMENTS_MAX])
{
    uint64_t agents[2] = {agent_id(w, s), agent_id(w, s)};
    struct job *j = NULL, *other;
    uint32_t n = 0, from = 0;

    RB_FOREACH (other, job_order_tree, (struct job_order_tree *)&s->runnable)
        if (job_is_whole(other) && (j == NULL || percent(w, 30)))
            j = other;
    while (j != NULL && n < ELEMENTS_MAX &&
           job_next_pending(j, from, &of[n].instance, &of[n].attempt)) {
        from = of[n].instance + 1;
        of[n].job = j->id;
        of[n].agent = percent(w, 90) ? agents[n % 2] : agent_id(w, s);
        n++;
    }
    if (n > 1 && percent(w, 10)) /* not all, or not in order */
        of[n - 1] = of[n - 2];
    return n > 1 && percent(w, 10) ? n - 1 : n;
}

static void update(struct workload *w,
                   const struct agent *agent,
                   const struct state *s,
                   struct task_update *u)
{
    static const enum task_state STATES[] = {TASK_STARTING,
                                             TASK_RUNNING,
                                             TASK_RUNNING,
                                             TASK_FINISHED,
                                             TASK_FINISHED,
                                             TASK_FAILED,
                                             TASK_KILLED,
                                             TASK_ERROR,
                                             TASK_LOST};
    static const char *const MESSAGES[] = {"", "", "exited", "no such file", "\xff"};
    const char *message = MESSAGES[workload_choose(w, COUNT(MESSAGES))];
    struct attempt *t = NULL;
    uint64_t n;

    *u = (struct task_update){.attempt = recent_id(w, s->globals.last_attempt_id)};
    if (agent != NULL && agent->attempts_count > 0 && percent(w, 85)) {
        n = workload_choose(w, agent->attempts_count);
        TAILQ_FOREACH (t, &agent->attempts, by_agent)
            if (n-- == 0)
                break;
        u->attempt = t->id;
    }
    u->state = STATES[workload_choose(w, COUNT(STATES))];
    u->reason = (enum task_reason)workload_choose(w, TASK_REASON_COUNT);
    u->exit_code = (int32_t)workload_choose(w, 5) - 1;
    u->message = (struct bytes){(const uint8_t *)message, strlen(message)};
}

/* ---- commands ---- */

static void pack(const struct command *c, struct buffer *entry, struct buffer *packed)
{
    buffer_clear(packed);
    command_pack(c, packed);
    entry_append(entry, buffer_view(packed));
}

static void append_with_spec(struct workload *w,
                             const struct state *s,
                             struct command *c,
                             struct buffer *entry)
{
    const struct agent *known;
    struct buffer spec = {0};
    char text[16];

    if (c->kind == COMMAND_SUBMIT || c->kind == COMMAND_SUBMIT_ALL) {
        c->submit.key = job_key(w, text);
        (c->kind == COMMAND_SUBMIT ? job_spec : job_set)(w, s, c->submit.key, &spec);
        c->submit.spec = buffer_view(&spec);
        c->submit.owner = text_view(OWNERS[workload_choose(w, COUNT(OWNERS))]);
        if (percent(w, 10))
            c->submit.check = s->index - workload_choose(w, s->index < 8 ? s->index : 8);
    } else if (c->kind == COMMAND_AGENT_REGISTER) {
        agent_spec(w, NULL, &spec);
        c->agent_register.spec = buffer_view(&spec);
    } else {
        c->agent_reregister.agent = agent_id(w, s);
        known = percent(w, 90) ? state_agent(s, c->agent_reregister.agent) : NULL;
        agent_spec(w, known, &spec);
        c->agent_reregister.spec = buffer_view(&spec);
    }
    pack(c, entry, &w->packed);
    buffer_finish(&spec);
}

static void append_list(struct workload *w,
                        const struct state *s,
                        struct command *c,
                        struct buffer *entry)
{
    uint32_t count = 1 + (uint32_t)workload_choose(w, ELEMENTS_MAX);
    struct placement placements[ELEMENTS_MAX];
    struct task_update updates[ELEMENTS_MAX];

    if (c->kind == COMMAND_PLACE) {
        uint32_t first = percent(w, 25) ? gang(w, s, placements) : 0;

        count = first > count ? first : count;
        for (uint32_t i = first; i < count; i++)
            placement(w, s, &placements[i]);
        c->place.placements = placements;
        c->place.count = count;
    } else {
        c->task_update.agent = agent_id(w, s);
        for (uint32_t i = 0; i < count; i++)
            update(w, state_agent(s, c->task_update.agent), s, &updates[i]);
        c->task_update.updates = updates;
        c->task_update.count = count;
    }
    pack(c, entry, &w->packed);
}

static void append_junk(struct workload *w, struct buffer *entry)
{
    uint8_t junk[12];
    size_t size = 1 + workload_choose(w, sizeof(junk));

    for (size_t i = 0; i < size; i++)
        junk[i] = (uint8_t)workload_choose(w, 256);
    entry_append(entry, (struct bytes){junk, size});
}

static unsigned choose_kind(struct workload *w)
{
    unsigned sum = 0, at;

    for (int i = 0; i < WORKLOAD_KINDS; i++)
        sum += w->weights[i];
    at = (unsigned)workload_choose(w, sum);
    for (unsigned i = 0;; i++) {
        if (at < w->weights[i])
            return i;
        at -= w->weights[i];
    }
}

/* Mostly the next one that waits. */
static void choose_retry(struct workload *w, const struct state *s, struct command *c)
{
    struct job_retries *first =
        RB_MIN(job_retry_tree, (struct job_retry_tree *)&s->retrying);
    const struct task *t;

    c->retry.job =
        first != NULL ? first->job->id : recent_id(w, s->globals.last_job_id);
    if (first == NULL)
        return;
    c->retry.instance = job_first_retry(first->job)->instance;
    t = job_task(first->job, c->retry.instance);
    c->retry.attempt = t->attempt + percent(w, 10);
}

/* Mostly one of a template, and the next; sometimes again, or before that. */
static void choose_slot(struct workload *w, const struct state *s, struct command *c)
{
    struct job_template *t =
        RB_MIN(template_tree, (struct template_tree *)&s->templates);

    for (uint64_t n = workload_choose(w, 4); n > 0 && t != NULL; n--)
        t = RB_NEXT(template_tree, &s->templates, t);
    c->fire.job = t != NULL ? t->job->id : recent_id(w, s->globals.last_job_id);
    c->fire.slot_us = (t != NULL ? t->last_us : w->now_us) + workload_choose(w, 5) - 1;
    c->fire.missed = workload_choose(w, 3);
    c->fire.make = percent(w, 80);
}

/* Of one of the newest jobs, which may have other parameters or none. */
static void append_dispatch(struct workload *w,
                            const struct state *s,
                            struct command *c,
                            struct buffer *entry)
{
    static const char *const VALUES[] = {"A=1", "B=2", "C=3"};
    struct buffer values = {0};
    char text[16];

    c->dispatch.key = job_key(w, text);
    c->dispatch.job = recent_id(w, s->globals.last_job_id);
    texts_pack(VALUES + (percent(w, 10) ? 1 : 0), workload_choose(w, 3), &values);
    c->dispatch.values = buffer_view(&values);
    c->dispatch.owner = text_view(OWNERS[workload_choose(w, COUNT(OWNERS))]);
    pack(c, entry, &w->packed);
    buffer_finish(&values);
}

/* Those on the agent that may be taken, until they suffice, less those that are not needed. */
static uint32_t choose_victims(struct workload *w,
                               const struct state *s,
                               const struct command *c,
                               uint64_t *ids)
{
    const struct agent *agent = state_agent(s, c->preempt.agent);
    const struct job *j = state_job(s, c->preempt.job);
    struct attempt *victims[ELEMENTS_MAX], *t;
    uint32_t n = 0;

    TAILQ_FOREACH (t, &agent->attempts, by_agent) {
        if (n == ELEMENTS_MAX || preempt_suffices(agent, j, victims, n))
            break;
        if (percent(w, preempt_may(j, t, NULL, w->now_us) ? 95 : 5))
            victims[n++] = t;
    }
    for (uint32_t i = 0; i < n; i++)
        ids[i] = victims[i]->id;
    if (n > 1 && percent(w, 90) && preempt_suffices(agent, j, victims + 1, n - 1))
        memmove(ids, ids + 1, --n * sizeof(*ids));
    return n;
}

/* Mostly a job that may preempt, and an agent without room for it. */
static void append_preemption(struct workload *w,
                              const struct state *s,
                              struct command *c,
                              struct buffer *entry)
{
    uint64_t ids[ELEMENTS_MAX] = {recent_id(w, s->globals.last_attempt_id)};
    struct job *j = RB_MIN(job_order_tree, (struct job_order_tree *)&s->runnable);

    c->preempt.victims = ids;
    c->preempt.job = recent_id(w, s->globals.last_job_id);
    for (int tries = 0; tries < 32 && c->preempt.count == 0 && j != NULL; tries++) {
        const struct agent *agent;

        c->preempt.agent = agent_id(w, s);
        c->preempt.job = j->id;
        agent = state_agent(s, c->preempt.agent);
        if (agent != NULL && (percent(w, 10) || (j->owner->role->spec.preempt > 0 &&
                                                 !agent_has_room(agent, j))))
            c->preempt.count = choose_victims(w, s, c, ids);
        if (tries % 4 == 3)
            j = RB_NEXT(job_order_tree, &s->runnable, j);
    }
    if (c->preempt.count == 0)
        c->preempt.count = 1;
    pack(c, entry, &w->packed);
}

/* A live attempt of a service, if there is one among some of them. */
static const struct attempt *of_a_service(struct workload *w, const struct state *s)
{
    const struct attempt *t = NULL, *found = NULL;

    for (int tries = 0; tries < 64; tries++) {
        t = state_next_attempt(s, t == NULL ? 1 : t->id + 1);
        if (t == NULL)
            break;
        if (t->job->kind != JOB_SERVICE || attempt_is_to_end(t) || job_has_lease(t->job))
            continue;
        found = t;
        if (percent(w, 30))
            break;
    }
    return found;
}

static void pack_role(struct workload *w,
                      const struct role_change *change,
                      struct command *c,
                      struct buffer *entry)
{
    struct buffer packed = {0};

    role_change_pack(change, &packed);
    c->kind = COMMAND_ROLE_SET;
    c->role_set.change = buffer_view(&packed);
    pack(c, entry, &w->packed);
    buffer_finish(&packed);
}

/* Mostly one that has room for it. */
static uint64_t
other_agent(struct workload *w, const struct state *s, const struct attempt *t)
{
    struct agent *a;

    RB_FOREACH (a, agent_tree, (struct agent_tree *)&s->agents)
        if (a != t->agent && agent_takes_work(a) && agent_has_room(a, t->job) &&
            percent(w, 80))
            return a->id;
    return agent_id(w, s);
}

/* Mostly of a service, or else what is missing before it may be moved. */
static void append_move(struct workload *w,
                        const struct state *s,
                        struct command *c,
                        struct buffer *entry)
{
    const struct attempt *t = percent(w, 80) ? of_a_service(w, s) : NULL;
    struct task_update running = {.state = TASK_RUNNING};

    c->move.agent = t != NULL ? other_agent(w, s, t) : agent_id(w, s);
    c->move.attempt = t != NULL ? t->id : recent_id(w, s->globals.last_attempt_id);
    if (t != NULL && t->job->owner->role->spec.rebalance == 0) {
        pack_role(w,
                  &(struct role_change){t->job->owner->role->name,
                                        ROLE_HAS_REBALANCE,
                                        {.rebalance = 1}},
                  c,
                  entry);
        return;
    }
    if (t != NULL && t->state != TASK_RUNNING) {
        running.attempt = t->id;
        c->kind = COMMAND_TASK_UPDATE;
        c->task_update.agent = t->agent->id;
        c->task_update.updates = &running;
        c->task_update.count = 1;
    }
    pack(c, entry, &w->packed);
}

static void append_role(struct workload *w, struct command *c, struct buffer *entry)
{
    struct role_change change = {
        .name = mem_strdup(ROLES[workload_choose(w, COUNT(ROLES))])};
    struct role_spec *spec = &change.spec;

    change.given = (uint32_t)workload_choose(w, ROLE_HAS_ALL + 1);
    spec->order = (enum role_order)workload_choose(w, ROLE_ORDER_COUNT);
    spec->priority = (int32_t)workload_choose(w, 3) - 1;
    spec->weight = (uint32_t)workload_choose(w, 3) * 500;
    spec->length_ms = 1;
    spec->alpha = (uint32_t)workload_choose(w, 3) * 600; /* 1200 is too much */
    spec->balance = (enum role_balance)workload_choose(w, ROLE_BALANCE_COUNT);
    spec->reserve_ms = workload_choose(w, 3) * LIMIT_JOB_TIME_MS; /* likewise */
    spec->preempt = (uint32_t)workload_choose(w, 8);
    spec->rebalance = (uint32_t)workload_choose(w, 4);
    spec->min.kinds = spec->max.kinds = 1u << RESOURCE_CPUS;
    spec->min.amount.amount[RESOURCE_CPUS] = workload_choose(w, 3) * 1000;
    spec->max.amount.amount[RESOURCE_CPUS] = workload_choose(w, 8) * 1000;
    if (percent(w, 30))
        custom_resources_add(&spec->max.custom, "licence", 1000);
    pack_role(w, &change, c, entry);
    role_change_finish(&change);
}

static void
append_command(struct workload *w, const struct state *s, struct buffer *entry)
{
    struct command c = {.kind = (enum command_kind)choose_kind(w)};

    switch (c.kind) {
    case COMMAND_FOUND:
        memset(c.found.cluster_id, (int)workload_choose(w, 256), CLUSTER_ID_BYTES);
        break;
    case COMMAND_SUBMIT:
    case COMMAND_SUBMIT_ALL:
    case COMMAND_AGENT_REGISTER:
    case COMMAND_AGENT_REREGISTER:
        append_with_spec(w, s, &c, entry);
        return;
    case COMMAND_PLACE:
    case COMMAND_TASK_UPDATE:
        append_list(w, s, &c, entry);
        return;
    case COMMAND_KILL:
        c.kill.job = job_or_child(w, s);
        break;
    case COMMAND_AGENT_UNREACHABLE:
        c.agent_unreachable.agent = agent_id(w, s);
        break;
    case COMMAND_AGENT_GONE:
        c.agent_gone.agent = agent_id(w, s);
        break;
    case COMMAND_AGENT_MODE:
        c.agent_mode.agent = agent_id(w, s);
        c.agent_mode.mode = (enum agent_mode)workload_choose(w, AGENT_MODE_COUNT);
        c.agent_mode.deadline_ms = workload_choose(w, 2) * workload_choose(w, 1000);
        break;
    case COMMAND_DRAIN_DUE:
        c.drain_due.agent = agent_id(w, s);
        break;
    case COMMAND_RETRY:
        choose_retry(w, s, &c);
        break;
    case COMMAND_LAPSE:
        c.lapse.attempt = recent_id(w, s->globals.last_attempt_id);
        break;
    case COMMAND_ROLE_SET:
        append_role(w, &c, entry);
        return;
    case COMMAND_ROLE_REMOVE:
        c.role_remove.name = text_view(ROLES[workload_choose(w, COUNT(ROLES))]);
        break;
    case COMMAND_PURGE:
        c.purge.job = recent_id(w, s->globals.last_job_id);
        break;
    case COMMAND_RELEASE:
        break;
    case COMMAND_DISPATCH:
        append_dispatch(w, s, &c, entry);
        return;
    case COMMAND_FIRE:
        choose_slot(w, s, &c);
        break;
    case COMMAND_PREEMPT:
        append_preemption(w, s, &c, entry);
        return;
    case COMMAND_MOVE:
        append_move(w, s, &c, entry);
        return;
    case COMMAND_EXPIRE_KEYS:
        c.expire_keys.before_us = w->now_us - workload_choose(w, 30) * HOUR_US;
        break;
    default:
        append_junk(w, entry);
        return;
    }
    pack(&c, entry, &w->packed);
}

void workload_entry(struct workload *w, const struct state *s, struct buffer *entry)
{
    uint64_t count = 1 + workload_choose(w, 4);

    if (percent(w, 3))
        w->now_us += HOUR_US * (1 + workload_choose(w, 10));
    else
        w->now_us += workload_choose(w, 100000);
    buffer_clear(entry);
    if (percent(w, 1)) { /* no entry at all */
        buffer_append(entry, "\x07 not an entry", workload_choose(w, 14));
        return;
    }
    /* Sometimes the clock of a new leader is behind. */
    entry_begin(entry, percent(w, 5) ? w->now_us - HOUR_US : w->now_us);
    if (percent(w, 5)) /* of the first version */
        entry->data[0] = 1;
    if (!s->globals.founded && percent(w, 80))
        pack(&(struct command){.kind = COMMAND_FOUND}, entry, &w->packed);
    for (uint64_t i = 0; i < count; i++)
        append_command(w, s, entry);
}
