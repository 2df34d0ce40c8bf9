/* test_easy.c - the promise of backfilling (docs/spec/7-scheduling.md, "Reservations"), on many
 * random lives of a small cluster in virtual time.
 *
 * Jobs come, run for exactly as long as they say, and end.  Whenever a task becomes the first of
 * the queue and waits, a slow model that knows nothing of claims works out when it would begin if
 * nothing behind it were ever started: of all agents the first at which it has room, when only
 * what runs at that moment runs to its end; of a gang, when all agents together have room for all
 * of it.  It must not begin later.
 */
#include "base/mem.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

#include <string.h>

#define RUNS      100
#define JOBS      80
#define AGENTS    5
#define SECOND_US 1000000ull
/* Entries have stamps of their own, a millisecond apart. */
#define SLACK_US (SECOND_US / 5)

static struct cluster c;
static struct rng rng;
static uint64_t seed;

static struct job_plan {
    uint64_t comes_us, lasts_us;
    struct resources need;
    uint32_t instances;
    bool is_gang;
} plans[JOBS + 1]; /* by the id of the job */

static uint64_t arrived; /* jobs */

/* The first task that waits, and when it has to begin. */
static struct {
    uint64_t job, by_us;
    uint32_t instance;
} head;

static struct {
    unsigned waited, passed, gangs;
} seen;

/* ---- the slow model ---- */

static uint64_t end_of(const struct attempt *t)
{
    return t->placed_us + plans[t->job->id].lasts_us;
}

/* How many tasks have room on an agent when all that ends by then has ended. */
static uint32_t
room_at(const struct agent *agent, const struct resources *need, uint64_t us)
{
    struct resources sum = *need;
    struct attempt *t;
    uint32_t room;

    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        if (end_of(t) > us)
            resources_add(&sum, &t->job->resources);
    for (room = 0; resources_contain(&agent->capacity, &sum); room++)
        resources_add(&sum, need);
    return room;
}

/* On all agents together. */
static uint32_t all_room_at(const struct resources *need, uint64_t us)
{
    struct agent *agent;
    uint32_t room = 0;

    RB_FOREACH (agent, agent_tree, &c.state->agents)
        room += room_at(agent, need, us);
    return room;
}

static uint64_t begins_by(const struct job_plan *p)
{
    uint64_t first = UINT64_MAX;
    struct attempt *t;

    for (t = state_next_attempt(c.state, 0); t != NULL;
         t = state_next_attempt(c.state, t->id + 1))
        if (end_of(t) < first &&
            all_room_at(&p->need, end_of(t)) >= (p->is_gang ? p->instances : 1))
            first = end_of(t);
    return first;
}

/* ---- the queue ---- */

/* Of all that wait, first come. */
static bool first_waiting(uint64_t *job, uint32_t *instance)
{
    uint32_t attempt;
    struct job *j;

    STATE_FOREACH_JOB (j, c.state)
        if (job_pending(j) > 0 && job_next_pending(j, 0, instance, &attempt)) {
            *job = j->id;
            return true;
        }
    return false;
}

/* Somebody behind the head runs since the last look. */
static void count_passing(uint64_t before)
{
    struct attempt *t;

    for (t = state_next_attempt(c.state, before + 1); t != NULL;
         t = state_next_attempt(c.state, t->id + 1))
        seen.passed += head.job != 0 && t->job->id > head.job;
}

static void look(uint64_t attempts_before)
{
    uint64_t job = 0;
    uint32_t instance = 0;
    bool waits = first_waiting(&job, &instance);

    if (head.job != 0 && waits && job == head.job && instance == head.instance) {
        ck_assert_seed(c.now_us <= head.by_us + SLACK_US, seed);
        count_passing(attempts_before);
        return;
    }
    if (head.job != 0)
        ck_assert_seed(c.now_us <= head.by_us + SLACK_US, seed);
    head.job = 0;
    if (!waits)
        return;
    head.job = job;
    head.instance = instance;
    head.by_us = begins_by(&plans[job]);
    ck_assert_seed(head.by_us != UINT64_MAX, seed);
    seen.waited++;
    seen.gangs += plans[job].is_gang;
}

/* ---- a life ---- */

/* It fits on the agents when they are empty. */
static void be_gang(struct job_plan *p)
{
    uint32_t most = all_room_at(&p->need, UINT64_MAX);

    p->instances = p->instances < most ? p->instances : most;
    p->is_gang = p->instances > 1;
}

static void plan_jobs(void)
{
    uint64_t at_us = c.now_us;

    for (int i = 1; i <= JOBS; i++) {
        uint64_t agent = 1 + rng_below(&rng, AGENTS);
        struct resources most = state_agent(c.state, agent)->capacity;
        bool is_large = rng_percent(&rng, 30);
        uint64_t parts = is_large ? 1 : 2 + rng_below(&rng, 6);

        at_us += rng_below(&rng, 20) * SECOND_US;
        plans[i] = (struct job_plan){
            .comes_us = at_us,
            .lasts_us = (1 + rng_below(&rng, 120)) * SECOND_US,
            .need =
                amounts(most.amount[RESOURCE_CPUS] / parts,
                        most.amount[RESOURCE_MEM] / MIB / (1 + rng_below(&rng, parts)),
                        0,
                        0),
            .instances = rng_percent(&rng, 30) ? 2 + (uint32_t)rng_below(&rng, 6) : 1};
        if (plans[i].instances > 1 && rng_percent(&rng, 70))
            be_gang(&plans[i]);
    }
}

static void arrive(void)
{
    const struct job_plan *p = &plans[++arrived];
    struct job_spec like;

    job_spec_init(&like);
    like.resources = p->need;
    like.instances = p->instances;
    like.estimate_ms = p->lasts_us / 1000;
    like.gang = p->is_gang;
    ck_assert_uint_eq(cluster_submit_like(&c, &like), arrived);
}

static struct attempt *first_to_end(void)
{
    struct attempt *t, *first = NULL;

    for (t = state_next_attempt(c.state, 0); t != NULL; t = state_next_attempt(c.state, t->id + 1))
        if (first == NULL || end_of(t) < end_of(first))
            first = t;
    return first;
}

static void go_to(uint64_t us)
{
    c.now_us = us > c.now_us ? us : c.now_us;
}

/* False when all is done. */
static bool step(void)
{
    struct attempt *t = first_to_end();
    uint64_t end_us = t == NULL ? UINT64_MAX : end_of(t);
    uint64_t attempts = c.state->globals.last_attempt_id;

    if (t == NULL && arrived == JOBS)
        return false;
    if (arrived < JOBS && plans[arrived + 1].comes_us < end_us) {
        go_to(plans[arrived + 1].comes_us);
        arrive();
    } else {
        go_to(end_us);
        cluster_report(&c, t->id, TASK_FINISHED);
    }
    cluster_settle(&c);
    look(attempts);
    if (rng_percent(&rng, 10)) {
        do /* what was applied last is read, and claims may let more in */
            cluster_settle(&c);
        while (cluster_plan(&c, LIMIT_PLACEMENTS) > 0 || c.more);
        sched_check(c.sched, c.state);
    }
    if (rng_percent(&rng, 3))
        sched_reset(c.sched, c.state);
    return true;
}

START_TEST(test_the_first_begins_no_later_than_if_nothing_passed)
{
    struct role_change change = {
        "default", ROLE_HAS_ORDER | ROLE_HAS_RESERVE, {.order = ROLE_FCFS}};

    seed = test_seed(_i);
    rng = (struct rng){seed};
    cluster_init(&c);
    cluster_set_role(&c, &change);
    for (int i = 0; i < AGENTS; i++)
        cluster_add_agent(
            &c, amounts(2000ull << rng_below(&rng, 4), 4096ull << rng_below(&rng, 4), 0, 0));
    plan_jobs();
    while (step())
        ;
    ck_assert_seed(job_state(state_job(c.state, JOBS)) == JOB_COMPLETE, seed);
    ck_assert_seed(seen.waited > 0 && seen.passed > 0 && seen.gangs > 0, seed);
    cluster_finish(&c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("easy");

    tcase_add_loop_test(
        t, test_the_first_begins_no_later_than_if_nothing_passed, 0, RUNS);
    return unit_run("easy", &t, 1);
}
