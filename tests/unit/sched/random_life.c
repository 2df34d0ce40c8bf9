/* random_life.c - what happens to a cluster that lives for a while. */
#include "tests/unit/sched/random_life.h"

#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/slow_match.h"

#include <string.h>

const char *const life_names[LIFE_NAMES] = {"licence", "tape"};
const char *const life_owners[LIFE_OWNERS] = {"", "ann", "bob", "eve"};

static uint64_t any_amount(struct life *l, uint64_t unit, unsigned steps)
{
    if (l->is_wide)
        return rng_below(&l->rng, (unit * steps >> rng_below(&l->rng, 6)) + 1);
    return unit * rng_below(&l->rng, steps + 1);
}

static struct resources any_vector(struct life *l, unsigned scale)
{
    struct resources r = {{any_amount(l, 500, 4 * scale),
                           any_amount(l, 512 * MIB, 4 * scale),
                           any_amount(l, 1024 * MIB, 2 * scale),
                           rng_percent(&l->rng, 20) ? any_amount(l, 1, scale) : 0}};

    if (r.amount[RESOURCE_CPUS] == 0)
        r.amount[RESOURCE_CPUS] = 500;
    return r;
}

/* At most two ranges, of ports that few agents have in common. */
static size_t any_ranges(struct life *l, struct port_range ranges[2], unsigned most)
{
    uint64_t first = LIFE_FIRST_PORT + rng_below(&l->rng, LIFE_PORTS / 2 - 1);
    size_t count = rng_below(&l->rng, 3);

    for (size_t i = 0; i < count; i++) {
        uint64_t last = first + rng_below(&l->rng, most);
        uint64_t end = i == 0 ? LIFE_FIRST_PORT + LIFE_PORTS / 2 - 1
                              : LIFE_FIRST_PORT + LIFE_PORTS - 1;

        ranges[i] =
            (struct port_range){(uint16_t)first, (uint16_t)(last < end ? last : end)};
        first = LIFE_FIRST_PORT + LIFE_PORTS / 2 + rng_below(&l->rng, 3);
    }
    return count;
}

static struct custom_resources any_custom(struct life *l,
                                          struct custom_resource list[LIFE_NAMES])
{
    struct custom_resources custom = {list, 0};

    for (int n = 0; n < LIFE_NAMES; n++)
        if (rng_percent(&l->rng, 40))
            list[custom.count++] = (struct custom_resource){
                (char *)life_names[n], 500 * (1 + rng_below(&l->rng, 4))};
    return custom;
}

/* `list` holds its custom resources. */
static struct agent_spec any_agent_spec(struct life *l,
                                        struct custom_resource list[LIFE_NAMES])
{
    static struct attribute attributes[SLOW_ATTRIBUTES];
    struct agent_spec spec = {.resources = any_vector(l, 8)};

    any_attributes(&l->rng, &spec, attributes);

    if (rng_percent(&l->rng, 90))
        spec.features = AGENT_FEATURE_JOBS_2;
    if (rng_percent(&l->rng, 30))
        return spec;
    spec.port_count = any_ranges(l, spec.ports, 6);
    spec.custom = any_custom(l, list);
    spec.features |= rng_percent(&l->rng, 50) ? AGENT_FEATURE_IMAGES : 0;
    return spec;
}

static const char *const ROLE_OF[] = {ROLE_DEFAULT, "a", "b", "c"};

static char *any_role(struct life *l)
{
    return (char *)ROLE_OF[rng_below(&l->rng, 4)];
}

static struct job_spec any_job_spec(struct life *l,
                                    struct custom_resource list[LIFE_NAMES])
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.resources = any_vector(l, 2);
    spec.instances =
        1 + (uint32_t)rng_below(&l->rng, rng_percent(&l->rng, 10) ? 100 : 4);
    spec.priority = (int32_t)rng_below(&l->rng, 5) - 2;
    if (rng_percent(&l->rng, 30))
        spec.ports.count = (uint32_t)rng_below(&l->rng, 4);
    if (rng_percent(&l->rng, 20))
        spec.ports.fixed_count = any_ranges(l, spec.ports.fixed, 2);
    if (rng_percent(&l->rng, 20))
        spec.custom = any_custom(l, list);
    if (rng_percent(&l->rng, 20))
        spec.image.source = "oci:/srv/image";
    spec.role = any_role(l);
    if (state_role(l->c->state, spec.role) == NULL ||
        strcmp(spec.role, ROLE_DEFAULT) == 0)
        spec.role = NULL;
    if (rng_percent(&l->rng, 50))
        spec.estimate_ms = rng_below(&l->rng, 10000);
    spec.name = any_job_name(&l->rng);
    if (rng_percent(&l->rng, 20)) {
        spec.gang = true;
        spec.instances = 1 + (uint32_t)rng_below(&l->rng, 8);
    }
    if (rng_percent(&l->rng, 4)) {
        spec.kind = JOB_SYSTEM;
        spec.instances = 1;
        spec.gang = false;
        spec.resources = any_vector(l, 1);
    }
    if (rng_percent(&l->rng, 15) || spec.kind == JOB_SYSTEM)
        spec.reschedule =
            (struct job_retry){JOB_UNLIMITED, 600000, LIMIT_RESCHEDULE_MS, 60000};
    if (l->is_choosy && rng_percent(&l->rng, 70) && spec.kind != JOB_SYSTEM)
        spec.match = any_match(&l->rng);
    return spec;
}

static struct role_bound
any_bound(struct life *l, struct custom_resource list[LIFE_NAMES], unsigned scale)
{
    struct role_bound b = {.amount = any_vector(l, scale)};

    b.kinds = 1u << RESOURCE_CPUS | (uint32_t)rng_below(&l->rng, 1u << RESOURCE_KINDS);
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((b.kinds >> k & 1) == 0)
            b.amount.amount[k] = 0;
    if (rng_percent(&l->rng, 20))
        b.custom = any_custom(l, list);
    return b;
}

/* What breaks a rule changes nothing, which is as good. */
static void change_role(struct life *l)
{
    static const uint64_t AGING[] = {ROLE_NEVER, 0, 1, 3, 1000, ROLE_AGING_MS};
    struct custom_resource least[LIFE_NAMES], most[LIFE_NAMES];
    struct role_change change = {.name = any_role(l)};

    if (rng_percent(&l->rng, 10)) {
        cluster_remove_role(l->c, change.name);
        return;
    }
    change.given = (uint32_t)rng_below(&l->rng, ROLE_HAS_REBALANCE); /* all but that */
    change.spec = (struct role_spec){
        .order = (enum role_order)rng_below(&l->rng, ROLE_ORDER_COUNT),
        .priority = (int32_t)rng_below(&l->rng, 3) - 1,
        .weight = 500 * (1 + (uint32_t)rng_below(&l->rng, 4)),
        .aging_ms = AGING[rng_below(&l->rng, 6)],
        .length_ms = 1 + rng_below(&l->rng, 5000),
        .alpha = (uint32_t)rng_below(&l->rng, 5) * 250,
        .balance = (enum role_balance)rng_below(&l->rng, ROLE_BALANCE_COUNT),
        .reserve_ms = l->reserves ? rng_below(&l->rng, 3) * 2000 : ROLE_NEVER,
        .min = any_bound(l, least, 1),
        .max = any_bound(l, most, 8),
    };
    cluster_set_role(l->c, &change);
}

static uint64_t any_agent(struct life *l, enum agent_state below)
{
    uint64_t from = rng_below(&l->rng, l->c->state->globals.last_agent_id + 1);
    struct agent wanted = {.id = from};
    const struct agent *a = RB_NFIND(agent_tree, &l->c->state->agents, &wanted);

    return a != NULL && a->state < below ? a->id : 0;
}

/* As it was. */
static void come_back(struct life *l, uint64_t id)
{
    struct agent_spec spec;

    ck_assert_int_eq(agent_spec_unpack(&spec, state_agent(l->c->state, id)->spec, NULL),
                     0);
    cluster_resize_agent_like(l->c, id, &spec);
    agent_spec_finish(&spec);
}

static void change_agents(struct life *l)
{
    struct custom_resource list[LIFE_NAMES];
    struct agent_spec spec = any_agent_spec(l, list);
    uint64_t id;

    if (l->c->state->agent_count < 3 ||
        (l->c->state->agent_count < LIFE_AGENTS && rng_percent(&l->rng, 25))) {
        cluster_add_agent_like(l->c, &spec);
        return;
    }
    id = any_agent(l, AGENT_GONE);
    if (id == 0)
        return;
    if (rng_percent(&l->rng, 5))
        cluster_agent_gone(l->c, id);
    else if (rng_percent(&l->rng, 30))
        cluster_agent_mode(
            l->c, id, (enum agent_mode)rng_below(&l->rng, AGENT_MODE_COUNT));
    else if (rng_percent(&l->rng, 50) &&
             state_agent(l->c->state, id)->state == AGENT_ACTIVE)
        cluster_agent_unreachable(l->c, id);
    else if (rng_percent(&l->rng, 50))
        cluster_resize_agent_like(l->c, id, &spec);
    else
        come_back(l, id);
}

static void change_jobs(struct life *l)
{
    struct custom_resource list[LIFE_NAMES];
    struct job_spec spec = any_job_spec(l, list);
    uint64_t job;

    if (rng_percent(&l->rng, 80)) {
        cluster_submit_of(l->c, &spec, life_owners[rng_below(&l->rng, LIFE_OWNERS)]);
        return;
    }
    job = rng_below(&l->rng, l->c->state->globals.last_job_id + 1);
    if (job > 0)
        cluster_kill(l->c, job);
}

static void report_any(struct life *l)
{
    static const enum task_state STATES[] = {TASK_STARTING,
                                             TASK_RUNNING,
                                             TASK_FINISHED,
                                             TASK_FINISHED,
                                             TASK_FAILED,
                                             TASK_KILLED,
                                             TASK_LOST};
    const struct attempt *t = state_next_attempt(
        l->c->state, rng_below(&l->rng, l->c->state->globals.last_attempt_id + 1));

    if (t != NULL)
        cluster_report(l->c, t->id, STATES[rng_below(&l->rng, 7)]);
}

static void retry_first(struct life *l)
{
    struct job_retries *r = RB_MIN(job_retry_tree, &l->c->state->retrying);

    if (r != NULL)
        cluster_retry(l->c, r->job->id, job_first_retry(r->job)->instance);
}

void life_go_on(struct life *l, unsigned changes)
{
    for (unsigned i = 0; i < changes; i++) {
        if (rng_percent(&l->rng, 3))
            change_role(l);
        else if (rng_percent(&l->rng, 10))
            change_agents(l);
        else if (rng_percent(&l->rng, 35))
            change_jobs(l);
        else if (rng_percent(&l->rng, 20))
            retry_first(l);
        else
            report_any(l);
    }
}
