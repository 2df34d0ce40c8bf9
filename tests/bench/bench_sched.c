/* bench_sched.c - what a round costs, by the number of agents.
 *
 *     bench_sched [--json] [--only MEASURE] [AGENTS…]     100, 1000 and 10000 when none is given
 *
 * Agents have nine sizes, with a few MiB of difference each, are in 4 zones of 25 racks and of 5
 * generations, and run four tasks each before anything is measured.  Only sched_round() is timed but for `attach`, in cpu time; everything that
 * it plans is applied by the state machine.  Medians of five.
 *
 *     array      jobs of 500 equal tasks
 *     distinct   jobs of one task, 432 shapes, five priorities
 *     unequal    the same, nearly each of a shape of its own
 *     choosy     as array, each job with one or two constraints
 *     mixed      as distinct, each with one or two constraints
 *     affine     as distinct, each with a constraint and an affinity
 *     spread     jobs of 50 tasks, each on a host of its own, spread over racks
 *     pinned     as distinct, each for one host
 *     empty      as array, in a role that takes empty agents first
 *     churn      unequal jobs wait, ten for each agent; a tenth of what runs ends, and what
 *                then fits is placed
 *     backfill   as churn, in a role that reserves at once, where half of the jobs say how long
 *                they take
 *     reserve    from the moment at which a large task is due, to its reservation
 *     gang       the same for a gang with a task for each agent, or the most that there may be
 *     idle       the round after a small agent came, while those wait: nothing is placed
 *     leading    from the state alone to the first placement, while those wait
 *     attach     an agent registers and gets its tasks of eight system jobs: with what applying
 *                that costs, for each of as many as there are at the end
 *     waiting    bytes of the scheduler for a job that waits, of needs that others have as well
 *     alone      the same, each of needs of its own
 *     rebalance  a pass over ten tasks for each agent, of services of ten in a role that spreads
 *     slice      the longest call of such a pass
 *     names      a round that places one task, while each agent has 16 custom resources of
 *                its own in use
 */
#include "base/mem.h"
#include "base/rng.h"
#include "tests/lib/cluster.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMES 5
#define BATCH 1024

static struct cluster c;
static struct rng rng;

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- what there is and what it runs ---- */

static struct resources any_agent(void)
{
    static const uint64_t SIZES[][RESOURCE_KINDS] = {
        {4, 16, 200, 0},
        {8, 16, 500, 0},
        {8, 32, 1000, 0},
        {16, 64, 1000, 0},
        {16, 64, 1000, 2},
        {32, 64, 500, 0},
        {32, 128, 2000, 0},
        {64, 512, 4000, 0},
        {96, 384, 4000, 8},
    };
    const uint64_t *size = SIZES[rng_below(&rng, sizeof(SIZES) / sizeof(*SIZES))];

    return amounts(
        size[0] * 1000, size[1] * 1024 - rng_below(&rng, 64), size[2] * 1024, size[3]);
}

static struct resources any_task(bool unequal)
{
    static const uint64_t MILLI[] = {
        250, 500, 1000, 1000, 1000, 2000, 2000, 4000, 8000};
    uint64_t milli = MILLI[rng_below(&rng, sizeof(MILLI) / sizeof(*MILLI))];
    uint64_t mem = milli * (256ull << rng_below(&rng, 6)) / 1000;

    return amounts(milli,
                   mem + (unequal ? rng_below(&rng, 1024) : 0),
                   rng_percent(&rng, 10) ? 10240 : 0,
                   rng_below(&rng, 40) == 0);
}

/* ---- which agents ---- */

#define ZONES       4
#define RACKS       100
#define GENERATIONS 5

static char words[64][32]; /* of the agent or job that is made */
static size_t word_count;

__attribute__((format(printf, 1, 2))) static char *word(const char *format, ...)
{
    char *at = words[word_count++ % 64];
    va_list args;

    va_start(args, format);
    vsnprintf(at, sizeof(words[0]), format, args);
    va_end(args);
    return at;
}

static void add_agent(uint64_t number)
{
    uint64_t rack = rng_below(&rng, RACKS);
    struct attribute attributes[] = {
        {"gen", word("%llu", 1 + (unsigned long long)rng_below(&rng, GENERATIONS))},
        {"os", word("6.%llu.0", (unsigned long long)rng_below(&rng, 12))},
        {"rack", word("r%llu", (unsigned long long)rack)},
        {"zone", word("z%llu", (unsigned long long)(rack % ZONES))},
    };
    struct agent_spec spec = {.resources = any_agent(),
                              .features = AGENT_FEATURE_JOBS_2,
                              .hostname = word("h%llu", (unsigned long long)number),
                              .attributes = attributes,
                              .attribute_count = 4};

    cluster_add_agent_like(&c, &spec);
}

/* One of those that people write. */
static struct condition any_condition(char **values)
{
    static const struct {
        const char *attribute;
        enum match_op op;
    } KINDS[] = {{"zone", MATCH_EQUAL},
                 {"gen", MATCH_AT_LEAST},
                 {"os", MATCH_VERSION},
                 {"rack", MATCH_REGEXP},
                 {"rack", MATCH_IN}};
    uint64_t kind = rng_below(&rng, 5);
    unsigned long long n = rng_below(&rng, RACKS);

    values[0] = kind == 0   ? word("z%llu", n % ZONES)
                : kind == 1 ? word("%llu", 1 + n % GENERATIONS)
                : kind == 2 ? word(">= 6.%llu", n % 12)
                : kind == 3 ? word("^r[%llu-9]", n % 10)
                            : word("r%llu", n);
    for (int i = 1; kind == 4 && i < 8; i++)
        values[i] = word("r%llu", (unsigned long long)rng_below(&rng, RACKS));
    return (struct condition){.attribute = (char *)KINDS[kind].attribute,
                              .op = KINDS[kind].op,
                              .values = values,
                              .count = kind == 4 ? 8 : 1};
}

static void submit_choosy(struct resources need,
                          uint32_t instances,
                          unsigned constraints,
                          unsigned affinities)
{
    char *values[4][8];
    struct condition conditions[4];
    struct job_spec spec;

    job_spec_init(&spec);
    spec.resources = need;
    spec.instances = instances;
    spec.priority = (int32_t)rng_below(&rng, 5);
    for (unsigned i = 0; i < constraints + affinities; i++) {
        conditions[i] = any_condition(values[i]);
        conditions[i].weight = i < constraints ? 0 : 50;
    }
    spec.match.constraints = conditions;
    spec.match.constraint_count = constraints;
    spec.match.affinities = conditions + constraints;
    spec.match.affinity_count = affinities;
    cluster_submit_like(&c, &spec);
}

static bool says_time; /* half of the jobs do */

static void submit(uint64_t jobs, uint32_t instances, bool unequal)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.instances = instances;
    for (uint64_t i = 0; i < jobs; i++) {
        spec.resources = any_task(unequal);
        spec.priority = (int32_t)rng_below(&rng, 5);
        spec.estimate_ms =
            says_time && i % 2 == 0 ? 1000 + rng_below(&rng, 3600000) : 0;
        cluster_submit_like(&c, &spec);
    }
}

struct spent {
    uint64_t ns;
    uint64_t placed;
};

/* Rounds until one says that there is no more. */
static struct spent place_all(void)
{
    struct spent spent = {0};

    do {
        uint64_t begin = cpu_ns();

        cluster_plan(&c, BATCH);
        spent.ns += cpu_ns() - begin;
        spent.placed += cluster_place(&c);
    } while (c.more);
    return spent;
}

static void start(uint64_t agents, uint64_t seed)
{
    rng = (struct rng){seed};
    cluster_init(&c);
    for (uint64_t i = 0; i < agents; i++)
        add_agent(i);
    submit(4 * agents, 1, true);
    place_all();
}

static void start_full(uint64_t agents, uint64_t seed)
{
    start(agents, seed);
    do
        submit(agents, 1, true);
    while (place_all().placed > agents / 2);
    submit(10 * agents, 1, true);
    place_all();
}

/* ---- what is measured ---- */

/* Nanoseconds for a placement. */
static double per_placement(struct spent spent)
{
    return (double)spent.ns / (double)(spent.placed > 0 ? spent.placed : 1);
}

static double measure_array(uint64_t agents, uint64_t seed)
{
    start(agents, seed);
    submit(agents / 100 + 1, 500, false);
    return per_placement(place_all());
}

static double measure_distinct(uint64_t agents, uint64_t seed)
{
    start(agents, seed);
    submit(4 * agents, 1, false);
    return per_placement(place_all());
}

static double measure_unequal(uint64_t agents, uint64_t seed)
{
    start(agents, seed);
    submit(4 * agents, 1, true);
    return per_placement(place_all());
}

static double measure_choosy(uint64_t agents, uint64_t seed)
{
    start(agents, seed);
    for (uint64_t i = 0; i < agents / 100 + 1; i++)
        submit_choosy(any_task(false), 500, 1 + (unsigned)(i % 2), 0);
    return per_placement(place_all());
}

static double measure_mixed(uint64_t agents, uint64_t seed)
{
    start(agents, seed);
    for (uint64_t i = 0; i < 4 * agents; i++)
        submit_choosy(any_task(false), 1, 1 + (unsigned)(i % 2), 0);
    return per_placement(place_all());
}

static double measure_affine(uint64_t agents, uint64_t seed)
{
    start(agents, seed);
    for (uint64_t i = 0; i < 4 * agents; i++)
        submit_choosy(any_task(false), 1, 1, 1);
    return per_placement(place_all());
}

static double measure_spread(uint64_t agents, uint64_t seed)
{
    struct spread over = {"rack", 50};
    struct condition apart = {.attribute = "host", .op = MATCH_DISTINCT, .most = 1};
    struct job_spec spec;

    start(agents, seed);
    job_spec_init(&spec);
    spec.instances = 50;
    spec.match = (struct match){&apart, 1, NULL, 0, &over, 1, NULL, 0};
    for (uint64_t i = 0; i < agents / 25 + 1; i++) {
        spec.resources = any_task(false);
        cluster_submit_like(&c, &spec);
    }
    return per_placement(place_all());
}

static double measure_pinned(uint64_t agents, uint64_t seed)
{
    char *value;
    struct condition here = {
        .attribute = "host", .op = MATCH_EQUAL, .values = &value, .count = 1};
    struct job_spec spec;

    start(agents, seed);
    job_spec_init(&spec);
    spec.match = (struct match){&here, 1, NULL, 0, NULL, 0, NULL, 0};
    for (uint64_t i = 0; i < agents; i++) {
        value = word("h%llu", (unsigned long long)rng_below(&rng, agents));
        spec.resources = any_task(false);
        cluster_submit_like(&c, &spec);
    }
    return per_placement(place_all());
}

static double measure_empty(uint64_t agents, uint64_t seed)
{
    struct role_change change = {.name = ROLE_DEFAULT,
                                 .given = ROLE_HAS_BALANCE,
                                 .spec.balance = BALANCE_SPREAD};

    start(agents, seed);
    cluster_set_role(&c, &change);
    submit(agents / 100 + 1, 500, false);
    return per_placement(place_all());
}

static void end_some(uint64_t attempts)
{
    uint64_t last = c.state->globals.last_attempt_id;

    for (uint64_t i = 0; i < attempts; i++) {
        const struct attempt *t =
            state_next_attempt(c.state, 1 + rng_below(&rng, last));

        if (t != NULL)
            cluster_report(&c, t->id, TASK_FINISHED);
    }
}

static double measure_churn(uint64_t agents, uint64_t seed)
{
    struct spent sum = {0};

    start_full(agents, seed);
    for (int i = 0; i < 10; i++) {
        struct spent spent;

        end_some(agents / 10);
        spent = place_all();
        sum.ns += spent.ns;
        sum.placed += spent.placed;
    }
    return per_placement(sum);
}

static void set_reserve(uint64_t ms)
{
    cluster_set_role(&c,
                     &(struct role_change){.name = "default",
                                           .given = ROLE_HAS_RESERVE,
                                           .spec.reserve_ms = ms});
}

static double measure_backfill(uint64_t agents, uint64_t seed)
{
    struct spent sum = {0};

    says_time = true;
    start_full(agents, seed);
    set_reserve(0);
    for (int i = 0; i < 10; i++) {
        struct spent spent;

        end_some(agents / 10);
        spent = place_all();
        sum.ns += spent.ns;
        sum.placed += spent.placed;
    }
    says_time = false;
    return per_placement(sum);
}

static double measure_reserve(uint64_t agents, uint64_t seed)
{
    double ns;

    start_full(agents, seed);
    cluster_submit(&c, amounts(60000, 1024, 0, 0), 1, 9);
    place_all();
    set_reserve(0);
    ns = (double)place_all().ns;
    return ns;
}

static double measure_gang(uint64_t agents, uint64_t seed)
{
    struct job_spec gang;

    start_full(agents, seed);
    job_spec_init(&gang);
    gang.resources = amounts(1000, 1024, 0, 0);
    gang.instances = agents < LIMIT_GANG_TASKS ? (uint32_t)agents : LIMIT_GANG_TASKS;
    gang.priority = 9;
    gang.gang = true;
    cluster_submit_like(&c, &gang);
    place_all();
    set_reserve(0);
    return (double)place_all().ns;
}

static double measure_idle(uint64_t agents, uint64_t seed)
{
    struct spent spent = {0};

    start_full(agents, seed);
    for (int i = 0; i < 100; i++) {
        cluster_add_agent(&c, amounts(1, 1, 0, 0));
        spent.ns += place_all().ns;
    }
    return (double)spent.ns / 100;
}

static double measure_leading(uint64_t agents, uint64_t seed)
{
    uint64_t begin, ns;

    start_full(agents, seed);
    end_some(agents);
    begin = cpu_ns();
    sched_reset(c.sched, c.state);
    do
        cluster_plan(&c, BATCH);
    while (c.planned == 0);
    ns = cpu_ns() - begin;
    return (double)ns;
}

static double measure_attach(uint64_t agents, uint64_t seed)
{
    struct job_spec spec;
    uint64_t begin;

    rng = (struct rng){seed};
    cluster_init(&c);
    job_spec_init(&spec);
    spec.kind = JOB_SYSTEM;
    spec.resources = amounts(100, 16, 0, 0);
    job_spec_complete(&spec);
    for (int i = 0; i < 8; i++)
        cluster_submit_like(&c, &spec);
    begin = cpu_ns();
    for (uint64_t i = 0; i < agents; i++) {
        add_agent(i);
        cluster_settle(&c);
    }
    return (double)(cpu_ns() - begin) / (double)agents;
}

static double bytes_waiting(uint64_t agents, bool are_alone)
{
    uint64_t jobs = 10 * agents;
    size_t before;

    cluster_init(&c);
    cluster_add_agent(&c, amounts(1, 1, 1, 0));
    for (uint64_t i = 0; i < jobs; i++)
        cluster_submit(&c, amounts(1000, are_alone ? i : 1, 0, 0), 1, 0);
    place_all();
    before = mallinfo2().uordblks;
    sched_destroy(c.sched);
    c.sched = NULL;
    return (double)(before - mallinfo2().uordblks) / (double)jobs;
}

static double measure_waiting(uint64_t agents, uint64_t seed)
{
    (void)seed;
    return bytes_waiting(agents, false);
}

static double measure_alone(uint64_t agents, uint64_t seed)
{
    (void)seed;
    return bytes_waiting(agents, true);
}

/* A task on each agent has all of its custom resources, whose names no other agent has. */
static void start_names(uint64_t agents)
{
    struct custom_resource list[LIMIT_CUSTOM];
    char names[LIMIT_CUSTOM][32];
    struct agent_spec agent = {.resources = amounts(64000, 64000, 0, 0),
                               .custom = {list, LIMIT_CUSTOM},
                               .features = AGENT_FEATURE_JOBS_2};
    struct job_spec job;

    cluster_init(&c);
    job_spec_init(&job);
    job.resources = amounts(1000, 1, 0, 0);
    job.custom = agent.custom;
    for (uint64_t i = 0; i < agents; i++) {
        for (int k = 0; k < LIMIT_CUSTOM; k++) {
            snprintf(
                names[k], sizeof(names[k]), "x%02d-%llu", k, (unsigned long long)i);
            list[k] = (struct custom_resource){names[k], 1000};
        }
        cluster_add_agent_like(&c, &agent);
        cluster_submit_like(&c, &job);
    }
    place_all();
    place_all(); /* reads what the last round planned */
}

/* Services as people write them: each task rather on an agent of its own. */
static void start_services(uint64_t agents, uint64_t seed)
{
    struct attempt *t = NULL;
    struct job_spec spec;

    rng = (struct rng){seed};
    cluster_init(&c);
    cluster_set_role(
        &c,
        &(struct role_change){
            .name = "default",
            .given = ROLE_HAS_BALANCE | ROLE_HAS_REBALANCE,
            .spec = {.balance = BALANCE_SPREAD, .rebalance = ROLE_REBALANCE_MAX}});
    for (uint64_t i = 0; i < agents; i++)
        add_agent(i);
    job_spec_init(&spec);
    spec.kind = JOB_SERVICE;
    spec.instances = 10;
    job_spec_complete(&spec);
    for (uint64_t i = 0; i < agents; i++) {
        spec.resources =
            amounts(250ull << rng_below(&rng, 3), 512ull << rng_below(&rng, 3), 0, 0);
        cluster_submit_like(&c, &spec);
    }
    match_finish(&spec.match);
    place_all();
    while ((t = state_next_attempt(c.state, t == NULL ? 1 : t->id + 1)) != NULL)
        cluster_report(&c, t->id, TASK_RUNNING);
    place_all();
    c.now_us += REBALANCE_SETTLED_MS * 1000ull;
}

/* What is found is refused: nothing changes. */
static double measure_pass(uint64_t agents, uint64_t seed, bool longest)
{
    uint64_t sum = 0, most = 0;
    struct move move;
    bool more = true;

    start_services(agents, seed);
    while (more) {
        uint64_t begin = cpu_ns(), ns;
        bool found =
            sched_rebalance(c.sched, c.state, &REBALANCE_PACE, c.now_us, &move, &more);

        ns = cpu_ns() - begin;
        sum += ns;
        most = ns > most ? ns : most;
        if (found)
            sched_moved(c.sched, false);
    }
    return (double)(longest ? most : sum);
}

static double measure_rebalance(uint64_t agents, uint64_t seed)
{
    return measure_pass(agents, seed, false);
}

static double measure_slice(uint64_t agents, uint64_t seed)
{
    return measure_pass(agents, seed, true);
}

static double measure_names(uint64_t agents, uint64_t seed)
{
    struct spent spent = {0};

    (void)seed;
    start_names(agents);
    for (int i = 0; i < 100; i++) {
        cluster_submit(&c, amounts(1000, 1, 0, 0), 1, 0);
        spent.ns += place_all().ns;
    }
    return (double)spent.ns / 100;
}

static const struct measure {
    const char *name;
    const char *unit;
    double (*run)(uint64_t agents, uint64_t seed);
    double scale;    /* of the nanoseconds, or what it is, that run() gives */
    bool per_second; /* show how many in a second as well */
} MEASURES[] = {
    {"array", "ns per placement", measure_array, 1, true},
    {"distinct", "ns per placement", measure_distinct, 1, true},
    {"unequal", "ns per placement", measure_unequal, 1, true},
    {"choosy", "ns per placement", measure_choosy, 1, true},
    {"mixed", "ns per placement", measure_mixed, 1, true},
    {"affine", "ns per placement", measure_affine, 1, true},
    {"spread", "ns per placement", measure_spread, 1, true},
    {"pinned", "ns per placement", measure_pinned, 1, true},
    {"empty", "ns per placement", measure_empty, 1, true},
    {"churn", "ns per placement", measure_churn, 1, true},
    {"backfill", "ns per placement", measure_backfill, 1, true},
    {"reserve", "ms", measure_reserve, 1e-6, false},
    {"gang", "ms", measure_gang, 1e-6, false},
    {"idle", "us per round", measure_idle, 1e-3, false},
    {"leading", "ms until it places", measure_leading, 1e-6, false},
    {"attach", "us per agent", measure_attach, 1e-3, false},
    {"waiting", "bytes per job", measure_waiting, 1, false},
    {"alone", "bytes per job", measure_alone, 1, false},
    {"rebalance", "ms per pass", measure_rebalance, 1e-6, false},
    {"slice", "ms at most", measure_slice, 1e-6, false},
    {"names", "us per round", measure_names, 1e-3, false},
};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_of(const struct measure *m, uint64_t agents)
{
    double ns[TIMES];

    for (uint64_t i = 0; i < TIMES; i++) {
        ns[i] = m->run(agents, 1 + i);
        cluster_finish(&c);
    }
    qsort(ns, TIMES, sizeof(*ns), compare_doubles);
    return ns[TIMES / 2];
}

static void report(const struct measure *m, uint64_t agents, bool json)
{
    double ns = median_of(m, agents);

    if (json)
        printf(
            "{\"bench\": \"sched\", \"measure\": \"%s\", \"agents\": %llu, "
            "\"value\": %.1f, \"unit\": \"%s\"}\n",
            m->name,
            (unsigned long long)agents,
            ns * m->scale,
            m->unit);
    else
        printf("%-9s %6llu agents %9.1f %s",
               m->name,
               (unsigned long long)agents,
               ns * m->scale,
               m->unit);
    if (!json)
        printf(m->per_second ? " %12.0f/s\n" : "\n", 1e9 / ns);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static char *sizes[] = {"100", "1000", "10000", NULL};
    char **at = argc > 0 ? argv + 1 : argv;
    const char *only = NULL;
    bool json = *at != NULL && strcmp(*at, "--json") == 0;

    at += json;
    if (*at != NULL && strcmp(*at, "--only") == 0 && at[1] != NULL) {
        only = at[1];
        at += 2;
    }
    if (*at == NULL)
        at = sizes;
    for (; *at != NULL; at++)
        for (size_t i = 0; i < sizeof(MEASURES) / sizeof(*MEASURES); i++)
            if (only == NULL || strcmp(only, MEASURES[i].name) == 0)
                report(&MEASURES[i], strtoull(*at, NULL, 10), json);
    return 0;
}
