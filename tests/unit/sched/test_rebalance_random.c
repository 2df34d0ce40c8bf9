/* test_rebalance_random.c - docs/spec/17-rebalance.md on random clusters: every move gains enough by
 * scores that are computed a second time (slow_match.h), budgets and jobs are kept, and in the end
 * nothing is left that would gain. */
#include "base/limits.h"
#include "raft_fsm/move.h"
#include "sched/internal.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"
#include "tests/unit/sched/slow_match.h"

#include <string.h>

#define AGENTS_MOST 24
#define JOBS_MOST   24
#define MOVES_MOST  2000
#define ENOUGH      100000 /* of a score, in thousandths of thousandths */
#define RUNS        48

static struct cluster c;
static struct rng rng;
static uint64_t seed;
static struct slow_place places[AGENTS_MOST];
static struct agent *agents[AGENTS_MOST];
static size_t place_count;
static uint64_t moved_at[MOVES_MOST];
static size_t move_count;
static uint32_t budget;

/* ---- a world ---- */

static void set_role(uint32_t given, struct role_spec spec)
{
    struct role_change change = {.name = "web", .given = given, .spec = spec};

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
}

static void add_agent(void)
{
    struct attribute list[SLOW_ATTRIBUTES];
    uint64_t size = 1 + rng_below(&rng, 8);
    struct agent_spec spec = {
        .resources = amounts(size * 1000, 1024 * (1 + rng_below(&rng, 16)), 0, 0),
        .features = AGENT_FEATURE_JOBS_2};

    any_attributes(&rng, &spec, list);
    cluster_add_agent_like(&c, &spec);
}

static void change_agent(uint64_t id)
{
    struct attribute list[SLOW_ATTRIBUTES];
    struct agent_spec spec = {.resources = state_agent(c.state, id)->capacity,
                              .features = AGENT_FEATURE_JOBS_2};

    any_attributes(&rng, &spec, list);
    cluster_resize_agent_like(&c, id, &spec);
}

static void submit(bool is_simple)
{
    struct job_spec like;

    job_spec_init(&like);
    like.name = any_job_name(&rng);
    like.kind = rng_percent(&rng, 90) ? JOB_SERVICE : JOB_BATCH;
    job_spec_complete(&like);
    like.role = "web";
    like.resources =
        amounts(250 * (1 + rng_below(&rng, 6)), 256 * rng_below(&rng, 6), 0, 0);
    like.instances = 1 + (uint32_t)rng_below(&rng, 5);
    like.match = any_match(&rng);
    if (is_simple)
        like.match.spread_count = like.match.apart_count = 0;
    cluster_submit_like(&c, &like);
}

static void run_all(void)
{
    struct attempt *t = NULL;

    cluster_settle(&c);
    while ((t = state_next_attempt(c.state, t == NULL ? 1 : t->id + 1)) != NULL)
        if (t->state != TASK_RUNNING)
            cluster_report(&c, t->id, TASK_RUNNING);
}

/* What fits nowhere would keep all as it is. */
static void kill_what_waits(void)
{
    struct job *j;

    STATE_FOREACH_JOB (j, c.state)
        if (job_pending(j) > 0)
            cluster_kill(&c, j->id);
}

/* Jobs end and agents change after all was placed. */
static void disturb(void)
{
    struct attempt *t = NULL, *next;

    for (uint64_t id = 1; id <= c.state->globals.last_agent_id; id++)
        if (rng_percent(&rng, 25))
            change_agent(id);
    for (uint64_t n = rng_below(&rng, 5); n > 0; n--)
        add_agent();
    for (uint64_t id = 1; id <= c.state->globals.last_job_id; id++)
        if (rng_percent(&rng, 30))
            cluster_kill(&c, id);
    for (t = state_next_attempt(c.state, 1); t != NULL; t = next) {
        next = state_next_attempt(c.state, t->id + 1);
        if (t->job->kill_index != 0)
            cluster_report(&c, t->id, TASK_KILLED);
    }
}

static void make_world(enum role_balance balance, bool is_simple)
{
    static const uint32_t ALPHAS[] = {0, 300, 500, 1000}, BUDGETS[] = {1, 4, 100000};

    budget = BUDGETS[rng_below(&rng, 3)];
    move_count = 0;
    set_role(ROLE_HAS_BALANCE | ROLE_HAS_ALPHA | ROLE_HAS_REBALANCE,
             (struct role_spec){.balance = balance,
                                .alpha = ALPHAS[rng_below(&rng, 4)],
                                .rebalance = budget});
    for (uint64_t n = 2 + rng_below(&rng, 10); n > 0; n--)
        add_agent();
    for (uint64_t n = 1 + rng_below(&rng, JOBS_MOST); n > 0; n--)
        submit(is_simple);
    run_all();
    disturb();
    run_all();
    kill_what_waits();
    run_all();
    c.now_us += 3600000000;
}

/* ---- scores, a second time ---- */

static void read_places(const struct attempt *but)
{
    struct agent *a;

    for (size_t i = 0; i < place_count; i++)
        slow_place_finish(&places[i]);
    place_count = 0;
    RB_FOREACH (a, agent_tree, &c.state->agents) {
        struct attempt *t;

        agents[place_count] = a;
        slow_place_read(&places[place_count], a);
        TAILQ_FOREACH (t, &a->attempts, by_agent)
            if (t != but)
                slow_place_add(&places[place_count], t->job);
        place_count++;
    }
}

static size_t number_of(const struct agent *a)
{
    for (size_t i = 0;; i++)
        if (agents[i] == a)
            return i;
}

static bool wishes_something(const struct match *m)
{
    bool found = m->affinity_count > 0 || m->spread_count > 0;

    for (size_t i = 0; i < m->apart_count; i++)
        found |= m->aparts[i].weight > 0;
    return found;
}

static uint64_t
score(const struct match *m, const struct job *j, size_t i, struct resources free)
{
    struct role_spec *role = &j->owner->role->spec;
    uint32_t alpha = role->alpha;
    uint64_t left, found;

    resources_subtract(&free, &j->resources);
    left = 4294967296ull * free.amount[RESOURCE_CPUS] +
           1024 * free.amount[RESOURCE_MEM] + free.amount[RESOURCE_DISK];
    if (!wishes_something(m))
        role->alpha = 0; /* all is balance */
    found = slow_score(m, j, places, place_count, i, left);
    role->alpha = alpha;
    return found;
}

static void read_match(const struct job *j, struct match *m)
{
    struct unpack u;

    *m = (struct match){0};
    if (j->match.size == 0)
        return;
    unpack_init(&u, j->match);
    match_unpack(m, &u);
}

/* A task there may not be near to one of the job. */
static bool is_unwelcome(const struct job *j, size_t there)
{
    struct slow_place alone = {.jobs = &j, .job_count = 1};
    bool found = false;

    for (size_t i = 0; i < places[there].job_count; i++) {
        const struct job *other = places[there].jobs[i];
        struct match m, aparts;

        read_match(other, &m);
        aparts = (struct match){.aparts = m.aparts, .apart_count = m.apart_count};
        found |= !slow_may_be(&aparts, other, &alone, 1, 0);
        match_finish(&m);
    }
    return found;
}

/* With and without wishes to be apart. */
static int64_t lesser_gain(const struct match *m,
                           const struct attempt *t,
                           size_t there,
                           struct resources free)
{
    struct resources own = t->agent->capacity;
    size_t home = number_of(t->agent);
    struct apart aparts[LIMIT_APARTS];
    struct match alone = *m;
    int64_t with, without;

    resources_subtract(&own, &t->agent->allocated);
    resources_add(&own, &t->job->resources);
    for (size_t i = 0; i < m->apart_count; i++) {
        aparts[i] = m->aparts[i];
        if (aparts[i].weight > 0)
            aparts[i].job = (char *)"nobody";
    }
    alone.aparts = aparts;
    with =
        (int64_t)score(m, t->job, there, free) - (int64_t)score(m, t->job, home, own);
    without = (int64_t)score(&alone, t->job, there, free) -
              (int64_t)score(&alone, t->job, home, own);
    return with < without ? with : without;
}

/* What moving it there gains; -1: it may not be there; more than any score: it may not stay.
 * places are without it. */
static int64_t gain(const struct attempt *t, size_t there)
{
    const struct job *j = t->job;
    size_t home = number_of(t->agent);
    struct resources free = agents[there]->capacity;
    int64_t found;
    struct match m;

    read_match(j, &m);
    resources_subtract(&free, &agents[there]->allocated);
    if (there == home || !resources_contain(&free, &j->resources) ||
        !slow_may_be(&m, j, places, place_count, there) || is_unwelcome(j, there))
        found = -1;
    else if (!slow_may_be(&m, j, places, place_count, home))
        found = 10 * ENOUGH + 1;
    else
        found = lesser_gain(&m, t, there, free);
    match_finish(&m);
    return found;
}

/* The agent with the highest score may be one that it does not go to. */
static bool may_stay_for_another(const struct attempt *t)
{
    bool found = false;
    struct match m;

    read_match(t->job, &m);
    for (size_t i = 0; i < m.apart_count; i++)
        found |= m.aparts[i].weight > 0;
    match_finish(&m);
    for (size_t i = 0; i < place_count; i++)
        found |= is_unwelcome(t->job, i);
    return found;
}

/* ---- what holds ---- */

static void check_move(const struct move *move)
{
    const struct attempt *t = state_attempt(c.state, move->attempt);

    read_places(t);
    ck_assert_seed(gain(t, number_of(state_agent(c.state, move->agent))) >= ENOUGH,
                   seed);
}

static void check_budget(void)
{
    size_t within = 0;

    moved_at[move_count++] = c.now_us;
    for (size_t i = 0; i < move_count; i++)
        within += moved_at[i] + 60000000 > c.now_us;
    ck_assert_seed(within <= budget, seed);
}

static void check_jobs(void)
{
    struct job *j;

    STATE_FOREACH_JOB (j, c.state)
        ck_assert_seed(
            j->kill_index != 0 || j->kind != JOB_SERVICE ||
                j->instances - j->tasks[TASK_RUNNING] + move_told_to_end(j) <= 1,
            seed);
}

/* Nothing that may be moved gains enough anywhere. */
static void check_rest(void)
{
    struct attempt *t = NULL;

    while ((t = state_next_attempt(c.state, t == NULL ? 1 : t->id + 1)) != NULL) {
        if (!move_may_job(t->job) || !move_may(t))
            continue;
        read_places(t);
        for (size_t i = 0; i < place_count && !may_stay_for_another(t); i++)
            ck_assert_seed(gain(t, i) < ENOUGH, seed);
    }
}

/* ---- lives ---- */

/* Some that are on their way end, and begin elsewhere. */
static void go_on(unsigned percent)
{
    struct attempt *t, *next;

    for (t = state_next_attempt(c.state, 1); t != NULL; t = next) {
        next = state_next_attempt(c.state, t->id + 1);
        if (t->stop == TASK_REASON_MOVED && rng_percent(&rng, percent))
            cluster_report(&c, t->id, TASK_KILLED);
    }
    check_jobs();
    run_all();
    sched_check(c.sched, c.state);
}

/* All that a pass moves; how many. */
static size_t pass(void)
{
    size_t before = move_count;
    bool more = true;
    struct move move;

    while (more) {
        struct command command = {.kind = COMMAND_MOVE};

        if (!sched_rebalance(c.sched, c.state, &REBALANCE_PACE, c.now_us, &move, &more))
            continue;
        check_move(&move);
        check_budget();
        command.move.attempt = move.attempt;
        command.move.agent = move.agent;
        ck_assert_int_eq(cluster_apply(&c, &command).code, ERROR_NONE);
        sched_moved(c.sched, true);
        check_jobs();
        sched_check(c.sched, c.state);
        more = true;
    }
    return move_count - before;
}

/* Until so long nothing was moved that all have settled and each budget is there again. */
static void rebalance(void)
{
    unsigned idle = 0;

    while (idle < 2 * REBALANCE_SETTLED_MS / REBALANCE_PASS_MS) {
        idle = pass() == 0 ? idle + 1 : 0;
        go_on(40);
        c.now_us += (REBALANCE_PASS_MS + rng_below(&rng, 1000)) * 1000;
        ck_assert_msg(move_count < MOVES_MOST - 100,
                      "no end; repeat with TEST_SEED=%llu",
                      (unsigned long long)seed);
    }
}

static void live(enum role_balance balance, int i)
{
    seed = test_seed(i);
    rng = (struct rng){seed};
    cluster_init_with(&c, rng_percent(&rng, 50) ? SCHED_LOOKS : 64);
    make_world(balance, false);
    rebalance();
    check_rest();
    read_places(NULL);
    for (size_t k = 0; k < place_count; k++)
        slow_place_finish(&places[k]);
    place_count = 0;
    cluster_finish(&c);
}

START_TEST(test_spread_comes_to_rest)
{
    live(BALANCE_SPREAD, _i);
}
END_TEST

START_TEST(test_binpack_comes_to_rest)
{
    live(BALANCE_BINPACK, _i);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("rebalance_random");

    tcase_add_loop_test(t, test_spread_comes_to_rest, 0, RUNS);
    tcase_add_loop_test(t, test_binpack_comes_to_rest, 0, RUNS);
    return unit_run("rebalance_random", &t, 1);
}
