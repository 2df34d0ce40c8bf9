/* test_easy.c - the promise of backfilling (docs/spec/7-scheduling.md, "Reservations"), on many
 * random lives of a small cluster in virtual time.
 *
 * Jobs come, run for exactly as long as they say, and end.  Whenever a task becomes the first of
 * the queue and waits, a slow model that knows nothing of claims works out when it would begin if
 * nothing behind it were ever started: of all agents the first at which it has room, when only
 * what runs at that moment runs to its end.  It must not begin later.
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
} plans[JOBS + 1]; /* by the id of the job */

static uint64_t arrived; /* jobs */

/* The first task that waits, and when it has to begin. */
static struct {
    uint64_t job, by_us;
    uint32_t instance;
} head;

static struct {
    unsigned waited, passed;
} seen;

/* ---- the slow model ---- */

static uint64_t end_of(const struct attempt *t)
{
    return t->placed_us + plans[t->job->id].lasts_us;
}

static bool
has_room_at(const struct agent *agent, const struct resources *need, uint64_t us)
{
    struct resources sum = *need;
    struct attempt *t;

    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        if (end_of(t) > us)
            resources_add(&sum, &t->job->resources);
    return resources_contain(&agent->capacity, &sum);
}

static uint64_t room_from(const struct agent *agent, const struct resources *need)
{
    uint64_t first = UINT64_MAX;
    struct attempt *t;

    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        if (end_of(t) < first && has_room_at(agent, need, end_of(t)))
            first = end_of(t);
    return first;
}

static uint64_t begins_by(const struct resources *need)
{
    uint64_t first = UINT64_MAX;
    struct agent *agent;

    RB_FOREACH (agent, agent_tree, &c.state->agents) {
        uint64_t from = room_from(agent, need);

        first = from < first ? from : first;
    }
    return first;
}

/* ---- the queue ---- */

/* Of all that wait, first come. */
static bool first_waiting(uint64_t *job, uint32_t *instance)
{
    uint32_t attempt;
    struct job *j;

    RB_FOREACH (j, job_tree, &c.state->jobs)
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
    head.by_us = begins_by(&plans[job].need);
    ck_assert_seed(head.by_us != UINT64_MAX, seed);
    seen.waited++;
}

/* ---- a life ---- */

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
            .instances = rng_percent(&rng, 20) ? 2 + (uint32_t)rng_below(&rng, 6) : 1};
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
        cluster_plan(&c, LIMIT_PLACEMENTS); /* what was applied last is read */
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
    ck_assert_seed(seen.waited > 0 && seen.passed > 0, seed);
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
