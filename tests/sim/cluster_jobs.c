/* cluster_jobs.c - the jobs that clients submit, drawn from the seed.
 *
 * What a job is to be is drawn once, as a struct sim_job; its spec follows from that alone.
 */
#include "cluster.h"

#include "base/mem.h"

#include <stdio.h>

#define ENDLESS_MS   3600000 /* longer than any seed: ends only by its kill */
#define TOGETHER_MAX 4
#define NO_JOB       1000000000 /* an id that none has */

/* ---- its spec ---- */

static void add_check(struct rng *r, struct job_spec *spec)
{
    struct job_check *check = job_spec_add_check(spec);

    check->role = rng_percent(r, 50) ? CHECK_HEALTH : CHECK_READINESS;
    check->kind = CHECK_TCP;
    check->port = 80;
    check->interval_ms = 1000;
    check->timeout_ms = 1000;
    check->failures = (uint32_t)rng_between(r, 1, 3);
}

/* What few agents have, or many want: ports, licences, images. */
static void add_extras(struct job_spec *spec, struct rng *r)
{
    if (rng_percent(r, 30))
        spec->ports.count = (uint32_t)rng_between(r, 1, 2);
    if (rng_percent(r, 10)) {
        uint16_t port = (uint16_t)(SIM_FIRST_PORT + rng_below(r, 2));

        spec->ports.fixed[0] = (struct port_range){port, port};
        spec->ports.fixed_count = 1;
    }
    if (rng_percent(r, 10))
        custom_resources_add(&spec->custom, "licence", 500 * rng_between(r, 1, 2));
    if (rng_percent(r, 10))
        spec->image.source = mem_strdup("oci:/srv/image");
}

/* Exclusive, or ended without a leader; tried again by the masters.  Drift is what two clocks
 * of hosts may differ by (SIM_DRIFT_PPM). */
static void add_policy(struct job_spec *spec, struct rng *r, bool exclusive)
{
    if (exclusive) {
        spec->lease_ms = rng_between(r, 4000, 8000);
        spec->drift_permille = 42;
        spec->lease_grace_ms = 2 * spec->kill_grace_ms + rng_between(r, 0, 1000);
        if (spec->lease_grace_ms < LIMIT_LEASE_GRACE_MS)
            spec->lease_grace_ms = LIMIT_LEASE_GRACE_MS;
    } else if (rng_percent(r, 10)) {
        spec->stop_after_ms = rng_between(r, 2000, 6000);
    }
    if (rng_percent(r, 25))
        spec->reschedule = (struct job_retry){
            .attempts = (uint32_t)rng_between(r, 1, 3),
            .interval_ms = rng_percent(r, 50) ? 0 : 3600 * 1000,
            .delay_ms = rng_between(r, 1, 1000),
            .max_delay_ms = 2000,
        };
}

/* Many slots may be made up at once when masters come back, and what is made of them ends
 * in the time after the faults as other jobs do: it wants nothing that few have, and runs
 * once. */
static void be_template(const struct sim_job *j, struct job_spec *spec, struct rng *r)
{
    spec->schedule = (struct job_schedule){
        .missed = (enum job_missed)rng_below(r, JOB_MISSED_COUNT),
        .overlap = (enum job_overlap)rng_below(r, JOB_OVERLAP_COUNT)};
    sim_schedule(j, &spec->schedule);
    spec->ports.fixed_count = 0;
    custom_resources_finish(&spec->custom);
    spec->restart = spec->reschedule = (struct job_retry){0};
}

/* Nothing that could keep a task from ever being placed: each agent keeps the constraints.  Drawn
 * beside the rest, which stays as it is without it. */
static void add_match(struct job_spec *spec, struct rng beside, bool is_short)
{
    struct match *m = &spec->match;
    struct rng *r = &beside;

    static const char *const KEPT[] = {"host = sim",
                                       "host in sim, other",
                                       "host != other",
                                       "host regexp ^s.m$",
                                       "agent >= 1",
                                       "agent < 1000000",
                                       "zone is_not_set"};

    if (rng_percent(r, 15))
        affinity_parse(match_add_affinity(m), "agent <= 2:20", NULL);
    if (rng_percent(r, 15))
        spread_parse(match_add_spread(m), "agent", NULL);
    if (rng_percent(r, 10))
        apart_parse(match_add_apart(m), "other:30", NULL);
    if (is_short && rng_percent(r, 30))
        condition_parse(match_add_constraint(m), "agent distinct", NULL);
    if (rng_percent(r, 20))
        condition_parse(match_add_constraint(m),
                        KEPT[rng_below(r, sizeof(KEPT) / sizeof(*KEPT))],
                        NULL);
}

static void be_parameterised(struct job_spec *spec)
{
    job_spec_add_parameter(spec, "COLOUR", "red");
    job_spec_add_parameter(spec, "SIZE", NULL);
    spec->ports.fixed_count = 0;
    custom_resources_finish(&spec->custom);
    spec->restart = spec->reschedule = (struct job_retry){0};
}

void sim_job_size(const struct sim_job *j, unsigned step, char out[SIM_SIZE_BYTES])
{
    snprintf(out, SIM_SIZE_BYTES, "SIZE=%u", (unsigned)(j->key % 1000) + step);
}

static bool is_gang(const struct sim_job *j)
{
    return j->key >> 32 & 1 && j->instances > 1 && j->instances <= 4 && !j->scheduled &&
           !j->asked_for && !j->system;
}

/* All of it fits on the smallest agent, if that is empty; or on two of them. */
static void be_gang(struct job_spec *spec, bool is_wide)
{
    spec->gang = true;
    spec->resources.amount[RESOURCE_CPUS] = is_wide ? 800 : 200;
    spec->resources.amount[RESOURCE_MEM] = 64 * MIB;
    spec->ports = (struct job_ports){0};
    custom_resources_finish(&spec->custom);
    if (is_wide) { /* on any two */
        mem_free(spec->image.source);
        spec->image.source = NULL;
    }
}

/* Small, so that all agents have room for it. */
static void be_system(struct job_spec *spec)
{
    spec->kind = JOB_SYSTEM;
    spec->priority = (int32_t)spec->instances; /* so that another body is another one */
    spec->instances = 1;
    spec->resources.amount[RESOURCE_CPUS] = 100;
    spec->resources.amount[RESOURCE_MEM] = 64 * MIB;
    spec->ports = (struct job_ports){0};
    custom_resources_finish(&spec->custom);
    match_finish(&spec->match);
}

/* First is the id of the first that it is submitted with; 0: not known yet. */
static void add_after(struct job_spec *spec, const struct sim_job *j, uint64_t first)
{
    int64_t before =
        first == 0 ? -(int64_t)j->before : (int64_t)(first + j->before - 1);

    if (j->before != 0)
        job_spec_add_after(spec, (struct job_after){before, (enum job_on)j->before_on});
    if (j->after != 0)
        job_spec_add_after(spec,
                           (struct job_after){(int64_t)j->after, (enum job_on)j->on});
}

void sim_job_spec(const struct sim_job *j, uint64_t first, struct job_spec *spec)
{
    struct rng r = {.state = j->key};
    char text[32];
    /* Long tasks come in small jobs, so that all can end after the faults. */
    uint64_t run_ms =
        rng_between(&r, 1, j->instances < 8 && rng_percent(&r, 10) ? 4000 : 300);

    if (j->endless)
        run_ms = j->service ? rng_between(&r, 1, j->key >> 34 & 1 ? 30000 : 2000)
                            : ENDLESS_MS;
    if (j->scheduled || j->asked_for)
        run_ms = rng_between(&r, 1, 300);

    job_spec_init(spec);
    /* Few names, so that some are predicted. */
    snprintf(text, sizeof(text), "job-%u", (unsigned)(j->key % 5));
    spec->name = mem_strdup(text);
    spec->instances = j->instances;
    spec->priority = 10 * (int32_t)rng_between(&r, 0, 2);
    spec->resources.amount[RESOURCE_CPUS] = 100 * rng_between(&r, 1, 10);
    spec->resources.amount[RESOURCE_MEM] = 64 * MIB * rng_between(&r, 1, 4);
    spec->kill_grace_ms = rng_between(&r, 50, 1000);
    add_policy(spec, &r, j->exclusive);
    if (job_lease_ms(spec) != 0 && j->instances < 4 && !j->endless)
        run_ms = rng_between(&r, 1, 9000);
    job_spec_add_arg(spec, "run");
    snprintf(text, sizeof(text), "%llu", (unsigned long long)run_ms);
    job_spec_add_arg(spec, text);
    job_spec_add_arg(spec, rng_percent(&r, 10) ? "3" : "0");
    job_spec_add_arg(spec, rng_percent(&r, 20) ? "deaf" : "polite");
    if (rng_percent(&r, 30))
        spec->restart = (struct job_retry){
            .attempts = (uint32_t)rng_between(&r, 1, 3),
            .interval_ms = rng_percent(&r, 50) ? 0 : 3600 * 1000,
            .delay_ms = rng_between(&r, 1, 500),
            .max_delay_ms = 1000,
        };
    if (rng_percent(&r, 20))
        add_check(&r, spec);
    add_extras(spec, &r);
    if (j->in_batch)
        job_spec_set_role(spec, "batch");
    add_match(spec, r, !j->endless && !is_gang(j) && j->instances < 4 && run_ms < 1000);
    if (rng_percent(&r, 30))
        spec->estimate_ms = rng_between(&r, 1, 10000);
    /* Tasks that come one after the other have no time for pauses. */
    if (spec->restart.attempts > 0 &&
        (spec->ports.fixed_count > 0 || spec->custom.count > 0))
        spec->restart.delay_ms = spec->restart.max_delay_ms = 20;
    if (spec->ports.fixed_count > 0 || spec->custom.count > 0 || j->instances > 8)
        spec->reschedule = (struct job_retry){0};
    if (run_ms > 1000 && spec->restart.attempts > 0)
        spec->reschedule = (struct job_retry){0};
    if (run_ms > 4000) {
        spec->restart = (struct job_retry){0};
        if (spec->reschedule.attempts > 0)
            spec->reschedule.attempts = 1;
    }
    add_after(spec, j, first);
    if (j->service) {
        spec->kind = JOB_SERVICE;
        spec->reschedule = (struct job_retry){JOB_UNLIMITED, 0, 1000, 2000};
    }
    if (j->system)
        be_system(spec);
    if (j->scheduled)
        be_template(j, spec, &r);
    if (j->asked_for)
        be_parameterised(spec);
    if (is_gang(j))
        be_gang(spec, j->wide);
    sim_wish_add(&j->wish, spec);
}

/* ---- what it is to be ---- */

/* One that is there, and stays until it was told how that ended. */
static void wait_for(struct cluster *c, struct sim_job *j)
{
    struct sim_job *on = &c->jobs[pick(&c->world, 0, c->job_count - 1)];

    if (!on->acknowledged || on->purge_asked)
        return;
    on->waited_for = true;
    j->after = on->id;
    j->on = (uint8_t)pick(&c->world, 0, JOB_ON_COUNT - 1);
}

/* Of one that can be asked for, if one that was picked is such a job. */
static void be_made_of_another(struct cluster *c, struct sim_job *j)
{
    const struct sim_job *of = &c->jobs[pick(&c->world, 0, c->job_count - 1)];

    if (of == j || !of->asked_for || !of->acknowledged || of->purge_asked)
        return;
    *j = (struct sim_job){.key = j->key,
                          .instances = of->instances,
                          .made_of = of->id,
                          .asked_us = j->asked_us};
}

/* Few of them, so that they do not leave the others without room until the end. */
static void may_be_endless(struct cluster *c, struct sim_job *j)
{
    struct world *w = &c->world;

    j->endless =
        c->agents > 1 && j->instances < 3 && chance(w, c->plan.rebalances ? 15 : 6);
    j->service = j->endless && chance(w, 50);
    j->system = j->service && j->key >> 33 & 1;
    if (c->plan.rebalances && !j->system)
        j->service = j->endless;
}

static struct sim_job *draw(struct cluster *c)
{
    struct world *w = &c->world;
    struct sim_job *j = &c->jobs[c->job_count++];

    *j = (struct sim_job){.key = rng_next(&w->rng),
                          .instances = (uint32_t)pick(w, 1, chance(w, 10) ? 40 : 4),
                          .exclusive = chance(w, c->plan.leases ? 50 : 12),
                          .asked_us = w->now_us};
    j->in_batch = c->has_batch && chance(w, 50);
    may_be_endless(c, j);
    j->wide = c->agents > 2 && j->key >> 34 & 1;
    if (!j->endless && chance(w, 8)) {
        j->scheduled = j->endless = true;
        j->instances = 1;
    }
    if (!j->endless && chance(w, 6)) {
        j->asked_for = j->endless = true;
        j->instances = 1;
    }
    if (chance(w, 20) && !j->scheduled && !j->asked_for)
        wait_for(c, j);
    if (j->instances <= 4 && !(is_gang(j) && j->wide) && chance(w, 20))
        sim_wish_draw(c, j);
    return j;
}

static void be_refused(struct sim_job *j, enum error_code refusal)
{
    j->scheduled = j->asked_for = j->endless = false;
    j->after = refusal == ERROR_NOT_FOUND ? NO_JOB : 0;
    j->before = refusal == ERROR_INVALID ? j->position + 1 : 0;
}

/* With it there are some that may wait for those before them; or one that cannot be, so that
 * none of them is. */
static void draw_together(struct cluster *c, struct sim_job *first)
{
    struct world *w = &c->world;

    first->together = (uint32_t)pick(w, 2, TOGETHER_MAX);
    if (chance(w, 15))
        first->refusal = chance(w, 50) ? ERROR_NOT_FOUND : ERROR_INVALID;
    for (uint32_t i = 1; i < first->together; i++) {
        struct sim_job *j = draw(c);

        j->position = i;
        if (!j->scheduled && !j->asked_for) {
            j->before = (uint32_t)pick(w, 0, i);
            j->before_on = (uint8_t)pick(w, 0, JOB_ON_COUNT - 1);
        }
        if (i == first->together - 1 && first->refusal != ERROR_NONE)
            be_refused(j, first->refusal);
    }
}

unsigned sim_job_draw(struct cluster *c)
{
    struct sim_job *j = draw(c);

    if (chance(&c->world, 50))
        be_made_of_another(c, j);
    else if (chance(&c->world, 20) && c->job_count + TOGETHER_MAX < JOBS_MAX)
        draw_together(c, j);
    if (j->made_of == 0 && j->refusal == ERROR_NONE && chance(&c->world, 20))
        sim_job_check(c, j);
    return (unsigned)(j - c->jobs);
}
