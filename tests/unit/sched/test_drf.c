/* test_drf.c - docs/spec/12-roles.md: shares against max-min fairness, computed another way.
 *
 * Who is served knows nothing of turns here: the ideal is water that rises.  All that may
 * still grow have one level of dominant share / weight; a minimum is filled before, a maximum
 * and the end of the work hold some back, and where a kind is used up, those stop who need it
 * (Ghodsi et al., NSDI 2011, section 4.1: progressive filling, of tasks that can be divided).
 * What is placed, in whole tasks, has to be within one task of that.
 */
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

#include <math.h>
#include <stdio.h>

#define RUNS  120
#define MANY  6
#define KINDS 3 /* cpus, mem, disk */
#define STEPS 60 /* of a bisection */

#define TOTAL_LEAST 200000 /* of a kind; more than 100 tasks */

/* A role, or an owner of a fair one; amounts of tasks, which the ideal divides. */
struct sharer {
    double need[KINDS], weight, least, most;
    double ideal, placed;
    bool is_full; /* stopped for good */
    uint64_t job;
};

static struct cluster c;
static struct rng rng;
static uint64_t seed;
static struct sharer sharers[MANY];
static int count;
static double total[KINDS];

/* ---- the ideal ---- */

static double share_of_task(const struct sharer *s)
{
    double most = 0;

    for (int k = 0; k < KINDS; k++)
        if (s->need[k] / total[k] > most)
            most = s->need[k] / total[k];
    return most / s->weight;
}

static double tasks_at(const struct sharer *s, double level)
{
    double tasks = level / share_of_task(s);

    if (s->is_full)
        return s->ideal;
    if (tasks < s->least)
        tasks = s->least;
    return tasks > s->most ? s->most : tasks;
}

static double used_at(double level, int k)
{
    double used = 0;

    for (int i = 0; i < count; i++)
        used += tasks_at(&sharers[i], level) * sharers[i].need[k];
    return used;
}

static bool fits(double level)
{
    for (int k = 0; k < KINDS; k++)
        if (used_at(level, k) > total[k])
            return false;
    return true;
}

/* The highest that fits; 1,000 when nothing stops it, as no weight is below 0.5. */
static double highest_level(void)
{
    double low = 0, high = 1000;

    for (int i = 0; i < STEPS; i++) {
        double middle = (low + high) / 2;

        *(fits(middle) ? &low : &high) = middle;
    }
    return low;
}

static bool lacks(const struct sharer *s, double level)
{
    for (int k = 0; k < KINDS; k++)
        if (s->need[k] > 0 && used_at(level, k) > total[k] * (1 - 1e-9))
            return true;
    return tasks_at(s, level) >= s->most;
}

static void fill(void)
{
    for (int round = 0; round < KINDS + 1; round++) {
        double level = highest_level();
        bool stops[MANY];

        for (int i = 0; i < count; i++)
            stops[i] = lacks(&sharers[i], level);
        for (int i = 0; i < count; i++) {
            sharers[i].ideal = tasks_at(&sharers[i], level);
            sharers[i].is_full |= stops[i];
        }
    }
}

/* ---- what is placed ---- */

static void any_total(void)
{
    for (int k = 0; k < KINDS; k++)
        total[k] = (double)(TOTAL_LEAST + rng_below(&rng, TOTAL_LEAST));
    cluster_add_agent(
        &c, amounts((uint64_t)total[0], (uint64_t)total[1], (uint64_t)total[2], 0));
}

static void any_sharer(struct sharer *s)
{
    *s = (struct sharer){.weight = 1};
    s->need[0] = (double)(1000 + rng_below(&rng, 1000));
    for (int k = 1; k < KINDS; k++)
        if (rng_percent(&rng, 60))
            s->need[k] = (double)(1000 + rng_below(&rng, 1000));
    s->most = rng_percent(&rng, 30) ? (double)(1 + rng_below(&rng, 40)) : 1000;
}

static void submit_all_of(struct sharer *s, char *role, const char *owner)
{
    struct job_spec like;

    job_spec_init(&like);
    like.role = role;
    like.resources =
        amounts((uint64_t)s->need[0], (uint64_t)s->need[1], (uint64_t)s->need[2], 0);
    like.instances = (uint32_t)s->most;
    s->job = cluster_submit_of(&c, &like, owner);
}

/* Of one role a minimum of cpus, of which all agents have twice as much: so there is enough of the
 * other kinds for it as well. */
static void any_minimum(struct sharer *s, struct role_change *change)
{
    uint64_t min = 1 + rng_below(&rng, TOTAL_LEAST / 2);

    if (s != sharers || rng_percent(&rng, 50))
        return;
    change->given |= ROLE_HAS_MIN;
    change->spec.min = (struct role_bound){{{min}}, 1u << RESOURCE_CPUS, {0}};
    s->least = (double)min / s->need[0];
}

static void
any_maximum(const struct sharer *s, struct role_change *change, double most[KINDS])
{
    int k = (int)rng_below(&rng, KINDS);
    uint64_t max = (uint64_t)total[k] / 10 + rng_below(&rng, (uint64_t)total[k] / 3);

    if (s->least > 0 || rng_percent(&rng, 60))
        return;
    change->given |= ROLE_HAS_MAX;
    change->spec.max.kinds = 1u << k;
    change->spec.max.amount =
        amounts(k == 0 ? max : 0, k == 1 ? max : 0, k == 2 ? max : 0, 0);
    most[k] = (double)max;
}

static void keep_within(struct sharer *s, const double most[KINDS])
{
    for (int k = 0; k < KINDS; k++)
        if (s->need[k] > 0 && most[k] < s->most * s->need[k])
            s->most = most[k] / s->need[k];
}

static void any_role(struct sharer *s, char *name)
{
    struct role_change change = {name, ROLE_HAS_WEIGHT, {.weight = 0}};
    double most[KINDS] = {INFINITY, INFINITY, INFINITY};

    any_sharer(s);
    s->weight = 0.5 * (double)(1 + rng_below(&rng, 6));
    change.spec.weight = (uint32_t)(s->weight * 1000);
    any_minimum(s, &change);
    any_maximum(s, &change, most);
    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
    submit_all_of(s, name, "");
    keep_within(s, most);
}

static void settle(void)
{
    cluster_settle(&c);
    for (int i = 0; i < count; i++) {
        const struct job *j = state_job(c.state, sharers[i].job);

        sharers[i].placed = (double)(j->instances - job_pending(j));
    }
}

/* One task, in tasks of this one: its own, and that of whoever is the largest.  Who has a larger one
 * has the higher level while it is placed; and where it does not fit any more, others take what
 * is left of a kind. */
static double one_task(const struct sharer *s)
{
    double most = 0;

    for (int i = 0; i < count; i++) {
        if (share_of_task(&sharers[i]) / share_of_task(s) > most)
            most = share_of_task(&sharers[i]) / share_of_task(s);
        for (int k = 0; k < KINDS; k++)
            if (s->need[k] > 0 && sharers[i].need[k] / s->need[k] > most)
                most = sharers[i].need[k] / s->need[k];
    }
    return 1 + most;
}

static void check(void)
{
    for (int i = 0; i < count; i++) {
        const struct sharer *s = &sharers[i];

        ck_assert_seed(s->placed <= s->ideal + one_task(s), seed);
        ck_assert_seed(s->placed >= s->ideal - one_task(s), seed);
    }
}

static void begin(int i)
{
    seed = test_seed(i);
    rng = (struct rng){seed};
    cluster_init(&c);
    any_total();
    count = 2 + (int)rng_below(&rng, MANY - 1);
}

START_TEST(test_roles_are_within_one_task_of_the_ideal)
{
    char name[MANY][2];

    begin(_i);
    for (int i = 0; i < count; i++) {
        snprintf(name[i], sizeof(name[i]), "%c", 'a' + i);
        any_role(&sharers[i], name[i]);
    }
    settle();
    fill();
    check();
    cluster_finish(&c);
}
END_TEST

START_TEST(test_owners_are_within_one_task_of_the_ideal)
{
    static char name[] = ROLE_DEFAULT;
    struct role_change change = {name, ROLE_HAS_ORDER, {.order = ROLE_FAIR}};
    char owner[2] = "a";

    begin(_i);
    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
    for (int i = 0; i < count; i++, owner[0]++) {
        any_sharer(&sharers[i]);
        submit_all_of(&sharers[i], NULL, owner);
    }
    settle();
    fill();
    check();
    cluster_finish(&c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("drf");

    tcase_add_loop_test(
        t, test_roles_are_within_one_task_of_the_ideal, 0, unit_seeds(RUNS));
    tcase_add_loop_test(
        t, test_owners_are_within_one_task_of_the_ideal, 0, unit_seeds(RUNS));
    return unit_run("drf", &t, 1);
}
