/* wire_values.c - values of src/wire for tests: fixed ones, and random ones from a
 * seed. */
#include "tests/lib/wire_values.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/role.h"

#include <stdio.h>
#include <string.h>

void sample_job_spec(struct job_spec *spec)
{
    job_spec_init(spec);
    spec->name = mem_strdup("hash headers ✓");
    spec->instances = 300;
    spec->priority = -7;
    spec->resources = (struct resources){{1500, 64ull << 20, 1ull << 30, 1}};
    spec->kill_grace_ms = 10000;
    job_spec_add_arg(spec, "/bin/sh");
    job_spec_add_arg(spec, "-c");
    job_spec_add_arg(spec, "sha256sum \"$FILE\"");
    job_spec_add_arg(spec, "");
    job_spec_add_env(spec, "PATH=/usr/bin:/bin");
    job_spec_add_env(spec, "EMPTY=");
    job_spec_add_env(spec, "LATIN=\xe9");
}

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void add_checks(struct job_spec *spec)
{
    struct job_check *c = job_spec_add_check(spec);

    *c = (struct job_check){.role = CHECK_HEALTH,
                            .kind = CHECK_COMMAND,
                            .interval_ms = 10000,
                            .timeout_ms = 5000,
                            .failures = 3};
    job_check_add_arg(c, "test");
    job_check_add_arg(c, "-f");
    job_check_add_arg(c, "alive");
    c = job_spec_add_check(spec);
    *c = (struct job_check){.role = CHECK_READINESS,
                            .kind = CHECK_HTTP,
                            .path = mem_strdup("/ready"),
                            .port_index = 1,
                            .interval_ms = 1000,
                            .timeout_ms = 500,
                            .start_delay_ms = 2000,
                            .failures = 1};
    c = job_spec_add_check(spec);
    *c = (struct job_check){.role = CHECK_HEALTH,
                            .kind = CHECK_TCP,
                            .port = 8080,
                            .interval_ms = 1000,
                            .timeout_ms = 500,
                            .failures = 1000};
}

void full_job_spec(struct job_spec *spec)
{
    sample_job_spec(spec);
    spec->image.source = mem_strdup("https://example.org/image.tar");
    spec->image.sha256 = mem_strdup(SUM);
    spec->user = mem_strdup("nobody");
    spec->ports = (struct job_ports){2, {{8080, 8080}, {9000, 9009}}, 2};
    custom_resources_add(&spec->custom, "licence", 1000);
    custom_resources_add(&spec->custom, "disc.slots", 500);
    spec->cpu_hard = true;
    *job_spec_add_artifact(spec) =
        (struct job_artifact){.source = mem_strdup("file:///srv/data.tar.xz"),
                              .sha256 = mem_strdup(SUM),
                              .path = mem_strdup("data/in"),
                              .unpack = true,
                              .max_bytes = LIMIT_ARTIFACT_BYTES,
                              .timeout_ms = 1};
    *job_spec_add_artifact(spec) =
        (struct job_artifact){.source = mem_strdup("http://example.org/tool"),
                              .sha256 = mem_strdup(SUM),
                              .path = mem_strdup("tool"),
                              .executable = true,
                              .max_bytes = 1,
                              .timeout_ms = LIMIT_JOB_TIME_MS};
    *job_spec_add_volume(spec) =
        (struct job_volume){mem_strdup("/srv/data"), mem_strdup("/data"), true};
    spec->max_runtime_ms = 3600000;
    spec->restart = (struct job_retry){3, 600000, 1000, 60000};
    spec->reschedule = (struct job_retry){JOB_UNLIMITED, 0, 5000, 5000};
    add_checks(spec);
    spec->lease_ms = 10000;
    spec->drift_permille = 20;
    spec->lease_grace_ms = 20000;
}

void newest_job_spec(struct job_spec *spec)
{
    full_job_spec(spec);
    spec->role = mem_strdup("batch.night");
    spec->estimate_ms = 90000;
    spec->schedule = (struct job_schedule){.cron = mem_strdup("30 2 * * mon-fri"),
                                           .timezone = mem_strdup("Europe/Berlin"),
                                           .missed = MISSED_RUN_ALL,
                                           .overlap = OVERLAP_REPLACE};
}

void choosy_job_spec(struct job_spec *spec)
{
    static const char *const CONSTRAINTS[] = {"rack in a, b",
                                              "gen >= 3",
                                              "os regexp ^deb",
                                              "kernel version >= 5.10, < 7",
                                              "ssd is_set",
                                              "rack distinct 2"};
    struct match *m = &spec->match;

    sample_job_spec(spec);
    for (size_t i = 0; i < sizeof(CONSTRAINTS) / sizeof(*CONSTRAINTS); i++)
        condition_parse(match_add_constraint(m), CONSTRAINTS[i], NULL);
    affinity_parse(match_add_affinity(m), "zone = b:-70", NULL);
    spread_parse(match_add_spread(m), "rack:20", NULL);
    apart_parse(match_add_apart(m), "database", NULL);
    apart_parse(match_add_apart(m), "cache:30", NULL);
}

void gang_job_spec(struct job_spec *spec)
{
    sample_job_spec(spec);
    spec->gang = true;
}

static void add_attribute(struct agent_spec *spec, const char *name, const char *value)
{
    size_t n = spec->attribute_count++;

    spec->attributes =
        mem_realloc(spec->attributes, (n + 1) * sizeof(*spec->attributes));
    spec->attributes[n] = (struct attribute){mem_strdup(name), mem_strdup(value)};
}

void sample_agent_spec(struct agent_spec *spec)
{
    *spec = (struct agent_spec){
        .hostname = mem_strdup("node7.example.org"),
        .http_address = mem_strdup("192.0.2.7:5051"),
        .rpc_address = mem_strdup(""),
        .resources = {{32000, 64ull << 30, 1ull << 40, 2}},
        .ports = {{31000, 32000}, {33000, 33010}},
        .port_count = 2,
    };
    for (uint8_t i = 0; i < sizeof(spec->key); i++)
        spec->key[i] = (uint8_t)(i * 17);
    add_attribute(spec, "rack", "a");
    add_attribute(spec, "zone", "");
}

void full_agent_spec(struct agent_spec *spec)
{
    sample_agent_spec(spec);
    mem_free(spec->rpc_address);
    spec->rpc_address = mem_strdup("192.0.2.7:5052");
    spec->features = AGENT_FEATURE_IMAGES | AGENT_FEATURE_JOBS_2 | AGENT_FEATURE_USERS |
                     AGENT_FEATURE_VOLUMES;
    custom_resources_add(&spec->custom, "licence", 1500);
    custom_resources_add(&spec->custom, "disc.slots", 4000);
}

static void sample_specs(struct command *c, struct buffer *out)
{
    struct job_spec job;
    struct agent_spec agent;

    if (c->kind == COMMAND_SUBMIT) {
        sample_job_spec(&job);
        job_spec_pack(&job, out);
        job_spec_finish(&job);
        c->submit.key = text_view("3fb2c1d0-key");
        c->submit.spec = buffer_view(out);
        return;
    }
    sample_agent_spec(&agent);
    agent_spec_pack(&agent, out);
    agent_spec_finish(&agent);
    if (c->kind == COMMAND_AGENT_REGISTER) {
        c->agent_register.spec = buffer_view(out);
        return;
    }
    c->agent_reregister.agent = 70000;
    c->agent_reregister.spec = buffer_view(out);
}

static void full_role_change(struct role_change *c)
{
    *c = (struct role_change){
        .name = mem_strdup("batch.night"),
        .given = ROLE_HAS_ALL &
                 ~(uint32_t)(ROLE_HAS_ALPHA | ROLE_HAS_BALANCE | ROLE_HAS_RESERVE |
                             ROLE_HAS_PREEMPT | ROLE_HAS_REBALANCE),
        .spec =
            {
                .order = ROLE_FAIR,
                .priority = -7,
                .weight = 2500,
                .aging_ms = ROLE_NEVER,
                .length_ms = 60000,
                .min = {{{8000, 1ull << 35, 0, 1}}, 11, {0}},
                .max = {{{64000, 1ull << 38, 0, 0}}, 3, {0}},
            },
    };
    custom_resources_add(&c->spec.min.custom, "licence", 1000);
    custom_resources_add(&c->spec.max.custom, "licence", 5000);
}

static void sample_role(struct command *c, struct buffer *out)
{
    struct role_change change;

    full_role_change(&change);
    role_change_pack(&change, out);
    role_change_finish(&change);
    c->role_set.change = buffer_view(out);
}

static void sample_lists(struct command *c, struct command_elements *e)
{
    e->placements[0] =
        (struct placement){.job = 1, .instance = 0, .attempt = 1, .agent = 2};
    e->placements[1] = (struct placement){
        .job = 1ull << 40, .instance = 999999, .attempt = 300, .agent = 65536};
    e->updates[0] = (struct task_update){.attempt = 7, .state = TASK_RUNNING};
    e->updates[1] = (struct task_update){.attempt = 1ull << 33,
                                         .state = TASK_FAILED,
                                         .reason = TASK_REASON_SIGNALED,
                                         .exit_code = 137,
                                         .message = text_view("killed by signal 9 ✗")};
    e->updates[2] = (struct task_update){.attempt = 8,
                                         .state = TASK_ERROR,
                                         .reason = TASK_REASON_NOT_STARTED,
                                         .exit_code = -1};
    if (c->kind == COMMAND_PLACE) {
        c->place.placements = e->placements;
        c->place.count = 2;
    } else {
        c->task_update.agent = 3;
        c->task_update.updates = e->updates;
        c->task_update.count = 3;
    }
}

/* The second waits for the first. */
static void sample_set(struct command *c, struct buffer *out)
{
    struct job_spec specs[2];

    sample_job_spec(&specs[0]);
    full_job_spec(&specs[1]);
    specs[1].kind = JOB_SERVICE;
    job_spec_add_after(&specs[1], (struct job_after){7, JOB_ON_ANY});
    job_spec_add_after(&specs[1], (struct job_after){-1, JOB_ON_FAILURE});
    job_specs_pack(specs, 2, out);
    job_spec_finish(&specs[0]);
    job_spec_finish(&specs[1]);
    c->submit.key = text_view("nightly-42");
    c->submit.spec = buffer_view(out);
    c->submit.owner = text_view("ann");
}

static const uint64_t VICTIMS[] = {11, 4000000000};

void sample_command(enum command_kind kind,
                    struct command *c,
                    struct command_elements *elements,
                    struct buffer *spec)
{
    memset(c, 0, sizeof(*c));
    c->kind = kind;
    buffer_clear(spec);
    switch (kind) {
    case COMMAND_FOUND:
        memcpy(c->found.cluster_id, "0123456789abcdef", CLUSTER_ID_BYTES);
        break;
    case COMMAND_SUBMIT_ALL:
        sample_set(c, spec);
        break;
    case COMMAND_RELEASE:
        break;
    case COMMAND_DISPATCH:
        texts_pack((const char *const[]){"FILE=/etc/hosts", "LEVEL="}, 2, spec);
        c->dispatch.key = text_view("nightly-42");
        c->dispatch.job = 134;
        c->dispatch.values = buffer_view(spec);
        c->dispatch.owner = text_view("ann");
        break;
    case COMMAND_FIRE:
        c->fire.job = 133;
        c->fire.slot_us = 1717763700000000;
        c->fire.missed = 3;
        c->fire.make = true;
        break;
    case COMMAND_PREEMPT:
        c->preempt.job = 7;
        c->preempt.agent = 3;
        c->preempt.victims = VICTIMS;
        c->preempt.count = 2;
        break;
    case COMMAND_MOVE:
        c->move.attempt = 42;
        c->move.agent = 3;
        break;
    case COMMAND_SUBMIT:
    case COMMAND_AGENT_REGISTER:
    case COMMAND_AGENT_REREGISTER:
        sample_specs(c, spec);
        break;
    case COMMAND_PLACE:
    case COMMAND_TASK_UPDATE:
        sample_lists(c, elements);
        break;
    case COMMAND_ROLE_SET:
        sample_role(c, spec);
        break;
    case COMMAND_ROLE_REMOVE:
        c->role_remove.name = text_view("batch.night");
        break;
    case COMMAND_KILL:
        c->kill.job = 23;
        break;
    case COMMAND_AGENT_UNREACHABLE:
        c->agent_unreachable.agent = 127;
        break;
    case COMMAND_AGENT_GONE:
        c->agent_gone.agent = 128;
        break;
    case COMMAND_PURGE:
        c->purge.job = UINT64_MAX;
        break;
    case COMMAND_EXPIRE_KEYS:
        c->expire_keys.before_us = 1717763696000001;
        break;
    case COMMAND_AGENT_MODE:
        c->agent_mode.agent = 129;
        c->agent_mode.mode = AGENT_DRAINING;
        c->agent_mode.deadline_ms = 3600000;
        break;
    case COMMAND_DRAIN_DUE:
        c->drain_due.agent = 130;
        break;
    case COMMAND_RETRY:
        c->retry.job = 131;
        c->retry.instance = 999999;
        c->retry.attempt = 7;
        break;
    case COMMAND_LAPSE:
        c->lapse.attempt = 132;
        break;
    }
}

/* ---- random ---- */

uint64_t random_number(struct rng *r)
{
    return rng_next(r) >> rng_below(r, 64);
}

struct bytes random_bytes(struct rng *r, size_t max)
{
    static uint8_t ring[16][4096];
    static unsigned next;
    uint8_t *bytes = ring[next++ % 16];
    size_t size = rng_below(r, (max < 4096 ? max : 4096) + 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)rng_between(r, 1, 255);
    return (struct bytes){bytes, size};
}

/* An owned text of min to max characters that are plain, or two bytes long when `wide`.
 */
static char *random_text(struct rng *r, size_t min, size_t max, bool wide)
{
    size_t size = rng_between(r, min, max), i = 0;
    char *text = mem_alloc(size + 1);

    while (i < size) {
        if (wide && i + 2 <= size && rng_percent(r, 20)) {
            text[i++] = '\xc3';
            text[i++] = (char)rng_between(r, 0xa0, 0xbf);
        } else {
            text[i++] = (char)rng_between(r, 'a', 'z');
        }
    }
    text[size] = '\0';
    return text;
}

static void random_match(struct rng *r, struct match *m)
{
    static const char *const CONDITIONS[] = {
        "a = b", "rack in x, y ✓", "n < -1.5", "v version ~> 1.2"};

    while (rng_percent(r, 60) && m->constraint_count < LIMIT_CONSTRAINTS)
        condition_parse(match_add_constraint(m), CONDITIONS[rng_below(r, 4)], NULL);
    while (rng_percent(r, 40) && m->affinity_count < LIMIT_AFFINITIES) {
        affinity_parse(match_add_affinity(m), CONDITIONS[rng_below(r, 4)], NULL);
        m->affinities[m->affinity_count - 1].weight = 1 + (int32_t)rng_below(r, 100);
    }
    while (rng_percent(r, 20) && m->spread_count < LIMIT_SPREADS)
        spread_parse(match_add_spread(m), "rack", NULL);
    while (rng_percent(r, 20) && m->apart_count < LIMIT_APARTS)
        apart_parse(match_add_apart(m), rng_percent(r, 50) ? "db" : "db:9", NULL);
}

void random_job_spec(struct rng *r, struct job_spec *spec)
{
    uint64_t args = rng_between(r, 1, rng_percent(r, 5) ? 500 : 8),
             env = rng_below(r, 8);

    job_spec_init(spec);
    spec->name = random_text(r, 1, rng_percent(r, 10) ? LIMIT_NAME_BYTES : 30, true);
    spec->instances = (uint32_t)rng_between(r, 1, LIMIT_TASKS_PER_JOB);
    spec->priority = (int32_t)rng_between(r, 0, 2000) + JOB_PRIORITY_MIN;
    spec->kill_grace_ms = rng_below(r, LIMIT_KILL_GRACE_MS + 1);
    for (int k = 0; k < RESOURCE_KINDS; k++)
        spec->resources.amount[k] = (random_number(r) & (LIMIT_RESOURCE - 1)) + 1;
    for (uint64_t i = 0; i < args; i++) {
        struct bytes b = random_bytes(r, 60);
        char arg[80];

        snprintf(arg,
                 sizeof(arg),
                 "%s%.*s",
                 i == 0 ? "x" : "",
                 (int)b.size,
                 (const char *)b.data);
        job_spec_add_arg(spec, arg);
    }
    for (uint64_t i = 0; i < env; i++) {
        struct bytes b = random_bytes(r, 60);
        char entry[80];

        snprintf(entry,
                 sizeof(entry),
                 "%c_%d=%.*s",
                 (char)rng_between(r, 'A', 'Z'),
                 (int)i,
                 (int)b.size,
                 (const char *)b.data);
        job_spec_add_env(spec, entry);
    }
    if (rng_percent(r, 30))
        spec->role = random_text(r, 1, LIMIT_ROLE_BYTES, false);
    if (rng_percent(r, 30))
        spec->estimate_ms = rng_below(r, LIMIT_JOB_TIME_MS + 1);
    if (rng_percent(r, 30))
        random_match(r, &spec->match);
    if (spec->match.spread_count > 0 && spec->instances > LIMIT_DISTINCT_TASKS)
        spec->instances = LIMIT_DISTINCT_TASKS;
    spec->gang = spec->instances <= LIMIT_GANG_TASKS && rng_percent(r, 50);
    if (rng_percent(r, 20)) {
        spec->schedule.cron = mem_strdup("*/5 2-4 * * mon");
        if (rng_percent(r, 50))
            spec->schedule.timezone = mem_strdup("Europe/Berlin");
        spec->schedule.missed = (enum job_missed)rng_below(r, JOB_MISSED_COUNT);
        spec->schedule.overlap = (enum job_overlap)rng_below(r, JOB_OVERLAP_COUNT);
        return;
    }
    if (rng_percent(r, 20)) {
        job_spec_add_parameter(spec, "FILE", NULL);
        job_spec_add_parameter(spec, "LEVEL", rng_percent(r, 50) ? "1" : NULL);
        return;
    }
    for (uint64_t n = rng_below(r, 4), job = 0; n > 0; n--) {
        job += rng_between(r, 1, 1000000);
        job_spec_add_after(
            spec,
            (struct job_after){(int64_t)job, (enum job_on)rng_below(r, JOB_ON_COUNT)});
    }
}

void random_agent_spec(struct rng *r, struct agent_spec *spec)
{
    uint64_t attributes = rng_percent(r, 10) ? LIMIT_ATTRIBUTES : rng_below(r, 5);
    uint64_t port = 1;

    *spec = (struct agent_spec){0};
    for (size_t i = 0; i < sizeof(spec->key); i++)
        spec->key[i] = (uint8_t)rng_next(r);
    spec->hostname = random_text(r, 1, LIMIT_NAME_BYTES, true);
    spec->http_address = mem_strdup(rng_percent(r, 50) ? "" : "[2001:db8::7]:65535");
    spec->rpc_address = mem_strdup(rng_percent(r, 50) ? "" : "host.example:5052");
    spec->resources.amount[RESOURCE_CPUS] =
        rng_between(r, 1, LIMIT_AGENT_CPUS * 1000ull);
    spec->resources.amount[RESOURCE_MEM] = rng_below(r, LIMIT_RESOURCE + 1);
    spec->resources.amount[RESOURCE_DISK] = rng_below(r, LIMIT_RESOURCE + 1);
    spec->resources.amount[RESOURCE_GPUS] = rng_below(r, LIMIT_AGENT_GPUS + 1);
    for (spec->port_count = 0;
         rng_percent(r, 80) && spec->port_count < LIMIT_PORT_RANGES;) {
        struct port_range *range = &spec->ports[spec->port_count++];

        range->first = (uint16_t)rng_between(r, port, port + 1000);
        range->last = (uint16_t)rng_between(r, range->first, range->first + 1000u);
        port = range->last + 1u;
    }
    for (uint64_t i = 0; i < attributes; i++) {
        char name[16];
        char *value = random_text(r, 0, LIMIT_ATTRIBUTE_BYTES, true);

        snprintf(name, sizeof(name), "name%03d", (int)i);
        add_attribute(spec, name, value);
        mem_free(value);
    }
}

static void random_update(struct rng *r, struct task_update *t)
{
    static const enum task_state STATES[] = {TASK_STARTING,
                                             TASK_RUNNING,
                                             TASK_FINISHED,
                                             TASK_FAILED,
                                             TASK_KILLED,
                                             TASK_ERROR,
                                             TASK_LOST};

    t->attempt = random_number(r);
    t->health = (enum task_health)rng_below(r, TASK_HEALTH_COUNT);
    t->restarts = rng_below(r, 2) == 0 ? 0 : (uint32_t)rng_next(r);
    t->state = STATES[rng_below(r, sizeof(STATES) / sizeof(STATES[0]))];
    t->reason = (enum task_reason)rng_below(r, TASK_REASON_COUNT);
    t->exit_code = (int32_t)random_number(r);
    t->message =
        (struct bytes){(const uint8_t *)"exited with status 3", rng_below(r, 21)};
}

static void random_placement(struct rng *r, struct placement *p)
{
    p->job = random_number(r);
    p->instance = (uint32_t)rng_below(r, LIMIT_TASKS_PER_JOB);
    p->attempt = (uint32_t)random_number(r);
    p->agent = random_number(r);
}

static struct bytes pack_random_job(struct rng *r, struct buffer *out)
{
    struct job_spec spec;

    random_job_spec(r, &spec);
    job_spec_pack(&spec, out);
    job_spec_finish(&spec);
    return buffer_view(out);
}

static struct bytes pack_random_agent(struct rng *r, struct buffer *out)
{
    struct agent_spec spec;

    random_agent_spec(r, &spec);
    agent_spec_pack(&spec, out);
    agent_spec_finish(&spec);
    return buffer_view(out);
}

static void random_bound(struct rng *r, struct role_bound *b)
{
    b->kinds = (uint32_t)rng_below(r, 1u << RESOURCE_KINDS) | 1u << RESOURCE_CPUS;
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((b->kinds & 1u << k) != 0)
            b->amount.amount[k] = 1 + random_number(r) % LIMIT_RESOURCE;
    if (rng_below(r, 2) == 0)
        custom_resources_add(&b->custom, "licence", 1 + rng_below(r, 9000));
}

/* A minimum above its maximum is refused: one of them, or both without a maximum. */
static struct bytes pack_random_role(struct rng *r, struct buffer *out)
{
    struct role_change c = {
        .name = mem_strdup(rng_below(r, 2) == 0 ? "a" : "nightly-2.x_y"),
        .given = (uint32_t)rng_below(r, ROLE_HAS_ALL + 1),
    };
    struct role_spec *s = &c.spec;

    if ((c.given & ROLE_HAS_MIN) != 0)
        c.given &= ~(uint32_t)ROLE_HAS_MAX;
#define SET(bit, field, value)      \
    do {                            \
        if ((c.given & (bit)) != 0) \
            s->field = value;       \
    } while (0)
    SET(ROLE_HAS_ORDER, order, (enum role_order)rng_below(r, ROLE_ORDER_COUNT));
    SET(ROLE_HAS_PRIORITY, priority, (int32_t)rng_below(r, 2001) - 1000);
    SET(ROLE_HAS_WEIGHT, weight, 1 + (uint32_t)rng_below(r, 1000000));
    SET(ROLE_HAS_AGING, aging_ms, rng_below(r, LIMIT_JOB_TIME_MS + 1));
    SET(ROLE_HAS_LENGTH, length_ms, 1 + rng_below(r, LIMIT_JOB_TIME_MS));
    SET(ROLE_HAS_ALPHA, alpha, (uint32_t)rng_below(r, ROLE_ALPHA_MAX + 1));
    SET(ROLE_HAS_BALANCE, balance, (enum role_balance)rng_below(r, ROLE_BALANCE_COUNT));
    SET(ROLE_HAS_RESERVE, reserve_ms, rng_below(r, LIMIT_JOB_TIME_MS + 1));
    SET(ROLE_HAS_PREEMPT, preempt, (uint32_t)rng_below(r, ROLE_PREEMPT_MAX + 1));
    SET(ROLE_HAS_REBALANCE, rebalance, (uint32_t)rng_below(r, ROLE_REBALANCE_MAX + 1));
#undef SET
    if ((c.given & ROLE_HAS_MIN) != 0)
        random_bound(r, &s->min);
    if ((c.given & ROLE_HAS_MAX) != 0)
        random_bound(r, &s->max);
    role_change_pack(&c, out);
    role_change_finish(&c);
    return buffer_view(out);
}

static const char *const OWNERS[] = {"", "", "ann", "b\u00f6b"};

void random_command(struct rng *r,
                    enum command_kind kind,
                    struct command *c,
                    struct command_elements *elements,
                    struct buffer *spec)
{
    memset(c, 0, sizeof(*c));
    c->kind = kind;
    buffer_clear(spec);
    switch (kind) {
    case COMMAND_FOUND:
        for (int i = 0; i < CLUSTER_ID_BYTES; i++)
            c->found.cluster_id[i] = (uint8_t)rng_next(r);
        break;
    case COMMAND_RELEASE:
        break;
    case COMMAND_DISPATCH:
        buffer_append(spec, "values", 6);
        c->dispatch.key = text_view("k");
        c->dispatch.job = random_number(r);
        c->dispatch.values = buffer_view(spec);
        c->dispatch.owner = text_view(OWNERS[rng_below(r, 4)]);
        break;
    case COMMAND_FIRE:
        c->fire.job = random_number(r);
        c->fire.slot_us = random_number(r) & INT64_MAX;
        c->fire.missed = rng_below(r, UINT32_MAX);
        c->fire.make = rng_percent(r, 50);
        break;
    case COMMAND_PREEMPT:
        c->preempt.job = random_number(r);
        c->preempt.agent = random_number(r);
        c->preempt.victims = VICTIMS;
        c->preempt.count = 1 + (uint32_t)rng_below(r, 2);
        break;
    case COMMAND_MOVE:
        c->move.attempt = random_number(r);
        c->move.agent = random_number(r);
        break;
    case COMMAND_SUBMIT:
    case COMMAND_SUBMIT_ALL:
        c->submit.key = random_bytes(r, LIMIT_KEY_BYTES - 1);
        if (c->submit.key.size == 0)
            c->submit.key = (struct bytes){(const uint8_t *)"k", 1};
        c->submit.spec = pack_random_job(r, spec);
        c->submit.owner =
            text_view(OWNERS[rng_below(r, sizeof(OWNERS) / sizeof(OWNERS[0]))]);
        if (rng_percent(r, 30))
            c->submit.check = rng_next(r) >> rng_below(r, 64);
        break;
    case COMMAND_AGENT_REGISTER:
        c->agent_register.spec = pack_random_agent(r, spec);
        break;
    case COMMAND_AGENT_REREGISTER:
        c->agent_reregister.agent = random_number(r);
        c->agent_reregister.spec = pack_random_agent(r, spec);
        break;
    case COMMAND_PLACE:
        c->place.count = (uint32_t)rng_below(r, 65);
        c->place.placements = elements->placements;
        for (uint32_t i = 0; i < c->place.count; i++)
            random_placement(r, &elements->placements[i]);
        break;
    case COMMAND_TASK_UPDATE:
        c->task_update.agent = random_number(r);
        c->task_update.count = (uint32_t)rng_below(r, 65);
        c->task_update.updates = elements->updates;
        for (uint32_t i = 0; i < c->task_update.count; i++)
            random_update(r, &elements->updates[i]);
        break;
    case COMMAND_KILL:
    case COMMAND_AGENT_UNREACHABLE:
    case COMMAND_AGENT_GONE:
    case COMMAND_PURGE:
    case COMMAND_EXPIRE_KEYS:
    case COMMAND_DRAIN_DUE:
    case COMMAND_LAPSE:
        c->kill.job = random_number(r); /* each has one number */
        break;
    case COMMAND_RETRY:
        c->retry.job = random_number(r);
        c->retry.instance = (uint32_t)rng_below(r, LIMIT_TASKS_PER_JOB);
        c->retry.attempt = (uint32_t)rng_below(r, UINT32_MAX);
        break;
    case COMMAND_AGENT_MODE:
        c->agent_mode.agent = random_number(r);
        c->agent_mode.mode = (enum agent_mode)rng_below(r, AGENT_MODE_COUNT);
        c->agent_mode.deadline_ms = rng_below(r, LIMIT_DRAIN_MS + 1);
        break;
    case COMMAND_ROLE_SET:
        c->role_set.change = pack_random_role(r, spec);
        break;
    case COMMAND_ROLE_REMOVE:
        c->role_remove.name = text_view(rng_below(r, 2) == 0 ? "0" : "ab.c");
        break;
    }
}

/* ---- equality ---- */

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool
strings_equal(char *const *a, size_t count_a, char *const *b, size_t count_b)
{
    if (count_a != count_b)
        return false;
    for (size_t i = 0; i < count_a; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return count_a == 0 || b[count_b] == NULL;
}

static bool texts_equal(const char *a, const char *b)
{
    return bytes_equal(text_view(a), text_view(b));
}

static bool parameters_equal(const struct job_spec *a, const struct job_spec *b)
{
    if (a->parameter_count != b->parameter_count)
        return false;
    for (size_t i = 0; i < a->parameter_count; i++) {
        const struct job_parameter *x = &a->parameters[i], *y = &b->parameters[i];

        if (strcmp(x->name, y->name) != 0 || (x->value == NULL) != (y->value == NULL) ||
            !texts_equal(x->value, y->value))
            return false;
    }
    return true;
}

static bool afters_equal(const struct job_spec *a, const struct job_spec *b)
{
    if (a->after_count != b->after_count)
        return false;
    for (size_t i = 0; i < a->after_count; i++)
        if (a->after[i].job != b->after[i].job || a->after[i].on != b->after[i].on)
            return false;
    return true;
}

static bool matches_equal(const struct match *a, const struct match *b)
{
    struct buffer x = {0}, y = {0};
    bool equal;

    match_pack(a, &x);
    match_pack(b, &y);
    equal = x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
    buffer_finish(&x);
    buffer_finish(&y);
    return equal;
}

bool job_specs_equal(const struct job_spec *a, const struct job_spec *b)
{
    return strcmp(a->name, b->name) == 0 && a->instances == b->instances &&
           a->priority == b->priority &&
           resources_equal(&a->resources, &b->resources) &&
           a->kill_grace_ms == b->kill_grace_ms &&
           strings_equal(a->argv, a->argc, b->argv, b->argc) &&
           strings_equal(a->env, a->env_count, b->env, b->env_count) &&
           texts_equal(a->role, b->role) && a->estimate_ms == b->estimate_ms &&
           a->kind == b->kind && a->gang == b->gang && afters_equal(a, b) &&
           parameters_equal(a, b) && texts_equal(a->schedule.cron, b->schedule.cron) &&
           texts_equal(a->schedule.timezone, b->schedule.timezone) &&
           a->schedule.missed == b->schedule.missed &&
           a->schedule.overlap == b->schedule.overlap &&
           matches_equal(&a->match, &b->match);
}

static bool attributes_equal(const struct agent_spec *a, const struct agent_spec *b)
{
    if (a->attribute_count != b->attribute_count)
        return false;
    for (size_t i = 0; i < a->attribute_count; i++)
        if (strcmp(a->attributes[i].name, b->attributes[i].name) != 0 ||
            strcmp(a->attributes[i].value, b->attributes[i].value) != 0)
            return false;
    return true;
}

bool agent_specs_equal(const struct agent_spec *a, const struct agent_spec *b)
{
    return memcmp(a->key, b->key, sizeof(a->key)) == 0 &&
           strcmp(a->hostname, b->hostname) == 0 &&
           strcmp(a->http_address, b->http_address) == 0 &&
           strcmp(a->rpc_address, b->rpc_address) == 0 &&
           resources_equal(&a->resources, &b->resources) &&
           a->port_count == b->port_count &&
           memcmp(a->ports, b->ports, a->port_count * sizeof(a->ports[0])) == 0 &&
           attributes_equal(a, b);
}

static bool placements_equal(const struct command *c, const struct command *decoded)
{
    struct command_cursor at = {0};
    struct placement p;
    uint32_t n = 0;

    while (command_next_placement(decoded, &at, &p)) {
        const struct placement *q = &c->place.placements[n++];

        if (p.job != q->job || p.instance != q->instance || p.attempt != q->attempt ||
            p.agent != q->agent)
            return false;
    }
    return n == c->place.count && n == decoded->place.count;
}

static bool updates_equal(const struct command *c, const struct command *decoded)
{
    struct command_cursor at = {0};
    struct task_update t;
    uint32_t n = 0;

    while (command_next_update(decoded, &at, &t)) {
        const struct task_update *q = &c->task_update.updates[n++];

        if (t.attempt != q->attempt || t.state != q->state || t.reason != q->reason ||
            t.exit_code != q->exit_code || !bytes_equal(t.message, q->message) ||
            t.health != q->health || t.restarts != q->restarts)
            return false;
    }
    return n == c->task_update.count && n == decoded->task_update.count;
}

static bool victims_equal(const struct command *c, const struct command *decoded)
{
    struct command_cursor at = {0};
    uint64_t victim;
    uint32_t n = 0;

    for (; command_next_victim(decoded, &at, &victim); n++)
        if (n >= c->preempt.count || victim != c->preempt.victims[n])
            return false;
    return n == c->preempt.count && c->preempt.job == decoded->preempt.job &&
           c->preempt.agent == decoded->preempt.agent;
}

bool commands_equal(const struct command *c, const struct command *decoded)
{
    if (c->kind != decoded->kind)
        return false;
    switch (c->kind) {
    case COMMAND_FOUND:
        return memcmp(c->found.cluster_id,
                      decoded->found.cluster_id,
                      CLUSTER_ID_BYTES) == 0;
    case COMMAND_RELEASE:
        return true;
    case COMMAND_DISPATCH:
        return bytes_equal(c->dispatch.key, decoded->dispatch.key) &&
               c->dispatch.job == decoded->dispatch.job &&
               bytes_equal(c->dispatch.values, decoded->dispatch.values) &&
               bytes_equal(c->dispatch.owner, decoded->dispatch.owner);
    case COMMAND_FIRE:
        return c->fire.job == decoded->fire.job &&
               c->fire.slot_us == decoded->fire.slot_us &&
               c->fire.missed == decoded->fire.missed &&
               c->fire.make == decoded->fire.make;
    case COMMAND_PREEMPT:
        return victims_equal(c, decoded);
    case COMMAND_MOVE:
        return c->move.attempt == decoded->move.attempt &&
               c->move.agent == decoded->move.agent;
    case COMMAND_SUBMIT:
    case COMMAND_SUBMIT_ALL:
        return bytes_equal(c->submit.key, decoded->submit.key) &&
               bytes_equal(c->submit.spec, decoded->submit.spec) &&
               bytes_equal(c->submit.owner, decoded->submit.owner) &&
               c->submit.check == decoded->submit.check;
    case COMMAND_AGENT_REGISTER:
        return bytes_equal(c->agent_register.spec, decoded->agent_register.spec);
    case COMMAND_AGENT_REREGISTER:
        return c->agent_reregister.agent == decoded->agent_reregister.agent &&
               bytes_equal(c->agent_reregister.spec, decoded->agent_reregister.spec);
    case COMMAND_PLACE:
        return placements_equal(c, decoded);
    case COMMAND_TASK_UPDATE:
        return c->task_update.agent == decoded->task_update.agent &&
               updates_equal(c, decoded);
    case COMMAND_KILL:
    case COMMAND_AGENT_UNREACHABLE:
    case COMMAND_AGENT_GONE:
    case COMMAND_PURGE:
    case COMMAND_EXPIRE_KEYS:
    case COMMAND_DRAIN_DUE:
    case COMMAND_LAPSE:
        return c->kill.job == decoded->kill.job;
    case COMMAND_RETRY:
        return c->retry.job == decoded->retry.job &&
               c->retry.instance == decoded->retry.instance &&
               c->retry.attempt == decoded->retry.attempt;
    case COMMAND_AGENT_MODE:
        return c->agent_mode.agent == decoded->agent_mode.agent &&
               c->agent_mode.mode == decoded->agent_mode.mode &&
               c->agent_mode.deadline_ms == decoded->agent_mode.deadline_ms;
    case COMMAND_ROLE_SET:
        return bytes_equal(c->role_set.change, decoded->role_set.change);
    case COMMAND_ROLE_REMOVE:
        return bytes_equal(c->role_remove.name, decoded->role_remove.name);
    }
    return false;
}
