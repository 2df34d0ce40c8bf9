/* test_gather.c - the places that have room first, against all of them in order. */
#include "sched/gather.h"

#include "base/rng.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

#include <stdlib.h>

#define RUNS   200
#define AGENTS 20
#define STEPS  8 /* of an agent */

static struct rng rng;
static uint64_t seed;

static struct step all[AGENTS * STEPS];
static size_t count;
static uint32_t groups, group_most; /* 0: none */

/* Times of one agent, later and later: mostly with others that have the same. */
static void add_agent(uint64_t agent, struct gathering *g)
{
    struct step s = {.agent = agent,
                     .group = groups == 0 ? 0 : 1 + (uint32_t)agent % groups};
    bool is_of_use = true;

    for (uint64_t n = rng_below(&rng, STEPS + 1); n > 0; n--) {
        s.from_us += rng_below(&rng, 5);
        s.at_us = s.from_us;
        s.ends += 1 + (uint32_t)rng_below(&rng, 3);
        s.tasks = 1 + (uint32_t)rng_below(&rng, 4);
        all[count++] = s;
        is_of_use = is_of_use && gathering_add(g, &s);
    }
}

static int in_order(const void *a, const void *b)
{
    return step_is_sooner(b, a) - step_is_sooner(a, b);
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Tasks on each agent, and the last step, as the whole list says; how many are missing. */
static uint32_t slow(uint32_t wanted, uint32_t tasks[AGENTS + 1], struct step *last)
{
    uint32_t in_group[AGENTS + 1] = {0};

    qsort(all, count, sizeof(*all), in_order);
    for (size_t i = 0; i < count && wanted > 0; i++) {
        uint32_t n = lesser(all[i].tasks, wanted);

        if (groups > 0)
            n = lesser(n, group_most - in_group[all[i].group]);
        tasks[all[i].agent] += n;
        in_group[all[i].group] += n;
        wanted -= n;
        if (n > 0)
            *last = all[i];
    }
    return wanted;
}

static void check(struct gathering *g)
{
    uint32_t tasks[AGENTS + 1] = {0};
    struct step last = {0};
    uint32_t missing = slow(g->wanted, tasks, &last);
    size_t i;

    ck_assert_seed(gathering_is_whole(g) == (missing == 0), seed);
    if (missing > 0)
        return;
    i = gathering_end(g);
    ck_assert_seed(g->of[i].agent == last.agent && g->of[i].from_us == last.from_us &&
                       g->of[i].ends == last.ends,
                   seed);
    for (size_t k = 0; k < g->count; k++) {
        ck_assert_seed(k == 0 || g->of[k - 1].agent < g->of[k].agent, seed);
        ck_assert_seed(g->of[k].tasks == tasks[g->of[k].agent], seed);
        tasks[g->of[k].agent] = 0;
    }
    for (size_t k = 0; k <= AGENTS; k++)
        ck_assert_seed(tasks[k] == 0, seed);
}

START_TEST(test_the_first_are_gathered)
{
    struct gathering g = {0};

    seed = test_seed(_i);
    rng = (struct rng){seed};
    gathering_begin(&g, 1 + (uint32_t)rng_below(&rng, 60));
    groups = (uint32_t)rng_below(&rng, 6);
    g.group_most = group_most = 1 + (uint32_t)rng_below(&rng, 20);
    for (uint64_t agent = 1; agent <= AGENTS; agent++) {
        add_agent(agent, &g);
        ck_assert_seed(g.count <= g.wanted, seed);
    }
    check(&g);
    gathering_finish(&g);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("gather");

    tcase_add_loop_test(t, test_the_first_are_gathered, 0, RUNS);
    return unit_run("gather", &t, 1);
}
