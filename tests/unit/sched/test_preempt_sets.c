/* test_preempt_sets.c - preemption against docs/spec/15-preemption.md, written a second time.
 *
 * A small random cluster lives for a while.  Every so often a fresh leader, for whom nothing is kept,
 * looks for somebody to preempt: what it does first has to be the best of all sets of attempts on all
 * agents, and when it does nothing, none of them may be taken.  In between leaders preempt for all who
 * wait, with all that is kept. */
#include "base/limits.h"
#include "sched/internal.h"
#include "sched/turn.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

static struct cluster c;
static struct preemption found;

#define RUNS  60
#define STEPS 60

static struct rng rng;
static uint64_t seed;
static struct {
    unsigned victims, many, waits, nothing;
} seen;

static struct resources any_amounts(uint64_t most)
{
    return amounts(
        1000 * (1 + rng_below(&rng, most)), 256 * rng_below(&rng, most + 1), 0, 0);
}

#define ROLES 3

static const char *const ROLE_OF[ROLES] = {"batch", "prod", "short"};

static void set_role(const char *name, uint32_t given, struct role_spec spec)
{
    struct role_change change = {.name = (char *)name, .given = given, .spec = spec};

    cluster_set_role(&c, &change); /* what breaks a rule changes nothing */
}

static void change_role(void)
{
    static const uint64_t AGING[] = {ROLE_NEVER, 0, 1000, 60000};
    struct role_spec spec = {
        .order = (enum role_order)rng_below(&rng, ROLE_FAIR),
        .priority = (int32_t)rng_below(&rng, 3),
        .aging_ms = AGING[rng_below(&rng, 4)],
        .preempt = rng_percent(&rng, 80) ? 1000 : 0,
        .reserve_ms = ROLE_NEVER, /* claims are those of preemption alone */
        .min = {amounts(1000 * (1 + rng_below(&rng, 4)), 0, 0, 0),
                1u << RESOURCE_CPUS,
                {0}},
    };
    uint32_t given = ROLE_HAS_ORDER | ROLE_HAS_PRIORITY | ROLE_HAS_AGING |
                     ROLE_HAS_PREEMPT | ROLE_HAS_RESERVE;

    if (rng_percent(&rng, 50))
        given |= ROLE_HAS_MIN;
    set_role(ROLE_OF[rng_below(&rng, ROLES)], given, spec);
}

static void submit_any(void)
{
    struct job_spec like;

    job_spec_init(&like);
    like.role = (char *)ROLE_OF[rng_below(&rng, ROLES)];
    like.resources = any_amounts(4);
    like.instances = 1 + (uint32_t)rng_below(&rng, 3);
    like.priority = 10 * (int32_t)rng_below(&rng, 3);
    like.estimate_ms = 1000 * (1 + rng_below(&rng, 200));
    cluster_submit_like(&c, &like);
}

static void report_any(void)
{
    uint64_t from = rng_below(&rng, c.state->globals.last_attempt_id + 1);
    struct attempt *t = state_next_attempt(c.state, from);

    if (t != NULL)
        cluster_report(&c,
                       t->id,
                       attempt_is_to_end(t)    ? TASK_KILLED
                       : rng_percent(&rng, 50) ? TASK_FINISHED
                                               : TASK_RUNNING);
}

static void change_any(void)
{
    uint64_t job = rng_below(&rng, c.state->globals.last_job_id + 1);

    c.now_us += rng_below(&rng, 5000000);
    if (rng_percent(&rng, 10))
        change_role();
    else if (rng_percent(&rng, 50))
        submit_any();
    else if (rng_percent(&rng, 8) && job > 0)
        cluster_kill(&c, job);
    else
        report_any();
}

/* What is left of the role for its minimum when this set of the agent's attempts is gone. */
static bool slow_minimum_holds(const struct job *taker,
                               const struct attempt *v,
                               struct attempt *const *set,
                               int n)
{
    const struct role *r = v->job->owner->role;
    struct attempt *t;

    if (r == taker->owner->role)
        return true;
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t left = 0;

        for (t = state_next_attempt(c.state, 0); t != NULL;
             t = state_next_attempt(c.state, t->id + 1)) {
            bool goes = attempt_is_to_end(t);

            for (int i = 0; i < n; i++)
                goes |= set[i] == t;
            if (!goes && t->job->owner->role == r)
                left += t->job->resources.amount[k];
        }
        if ((r->spec.min.kinds >> k & 1) != 0 && v->job->resources.amount[k] > 0 &&
            left < r->spec.min.amount.amount[k])
            return false;
    }
    return true;
}

static bool slow_may(const struct job *taker, const struct attempt *v)
{
    const struct role *mine = taker->owner->role, *theirs = v->job->owner->role;
    const struct role_bound *min = &mine->spec.min;
    double elapsed = (double)(c.now_us - v->placed_us) / 1e6;
    double left = (double)v->job->expected_ms / 1e3 - elapsed;
    double work = (double)taker->expected_ms / 1e3 * job_unfinished(taker);

    if (v->job == taker || attempt_is_to_end(v))
        return false;
    if (mine != theirs)
        return mine->spec.priority > theirs->spec.priority ||
               (min->kinds != 0 &&
                mine->use.amount[RESOURCE_CPUS] < min->amount.amount[RESOURCE_CPUS]);
    if (job_rank(&mine->spec, taker).first > job_rank(&mine->spec, v->job).first ||
        (job_rank(&mine->spec, taker).first == job_rank(&mine->spec, v->job).first &&
         taker->id > v->job->id))
        return false;
    return (mine->spec.order == ROLE_PRIORITY &&
            taker->priority - v->job->priority >= 10) ||
           (mine->spec.order == ROLE_SRTF && left > 0 && left > work + elapsed);
}

struct slow {
    uint64_t agent; /* 0: nowhere */
    struct attempt *set[16];
    int count;
};

/* All sets of one agent: the bits of `mask` are its attempts, the youngest first. */
static bool
slow_try(const struct job *taker, struct agent *a, unsigned mask, struct slow *out)
{
    struct resources stay = taker->resources;
    struct attempt *t;
    int bit = 0;

    out->count = 0;
    out->agent = a->id;
    TAILQ_FOREACH_REVERSE(t, &a->attempts, agent_attempts, by_agent)
    {
        bool taken = (mask >> bit++ & 1) != 0;

        if (taken)
            out->set[out->count++] = t;
        else if (!attempt_is_to_end(t))
            resources_add(&stay, &t->job->resources);
        if (taken && !slow_may(taker, t))
            return false;
    }
    for (int i = 0; i < out->count; i++)
        if (!slow_minimum_holds(taker, out->set[i], out->set, out->count))
            return false;
    return resources_contain(&a->capacity, &stay);
}

/* Fewer; else younger; else, on one agent, as they were placed. */
static bool slow_better(const struct slow *a, const struct slow *b)
{
    if (b->agent == 0 || a->count != b->count)
        return b->agent == 0 || a->count < b->count;
    for (int i = 0; i < a->count; i++)
        if (a->set[i]->placed_us != b->set[i]->placed_us)
            return a->set[i]->placed_us > b->set[i]->placed_us;
    for (int i = 0; i < a->count && a->agent == b->agent; i++)
        if (a->set[i]->id != b->set[i]->id)
            return a->set[i]->id > b->set[i]->id;
    return false;
}

static struct slow slow_best(const struct job *taker)
{
    struct slow best = {0}, one;
    struct agent *a;

    RB_FOREACH (a, agent_tree, &c.state->agents) {
        ck_assert_seed(a->attempts_count <= 16, seed);
        for (unsigned mask = 0; mask < 1u << a->attempts_count; mask++)
            if (slow_try(taker, a, mask, &one) && slow_better(&one, &best))
                best = one;
    }
    return best;
}

/* What a fresh leader does first is what all sets say. */
static void check_first(bool any)
{
    const struct claim *first =
        &c.sched->claims.of[0]; /* of a leader that has made no other */
    bool is_told = any && found.job == first->job && found.agent == first->agent;
    struct slow best = slow_best(state_job(c.state, first->job));

    ck_assert_seed(best.agent == first->agent, seed);
    ck_assert_seed((best.count > 0) == is_told, seed);
    if (best.count == 0) {
        seen.waits++;
        return;
    }
    ck_assert_seed(found.count == (uint32_t)best.count, seed);
    for (int i = 0; i < best.count; i++)
        ck_assert_seed(found.victims[best.count - 1 - i] == best.set[i]->id, seed);
    seen.victims++;
    seen.many += best.count > 1;
}

/* The first job of each role would take nobody's place. */
static void check_nothing(void)
{
    struct role *r;

    RB_FOREACH (r, role_tree, &c.state->roles) {
        const struct job *first = NULL;
        struct job *j;

        RB_FOREACH (j, job_order_tree, &c.state->runnable) {
            struct fit_key mine, other;

            if (j->owner->role != r)
                continue;
            mine = job_rank(&r->spec, j);
            if (first != NULL)
                other = job_rank(&r->spec, first);
            if (first == NULL || fit_key_compare(&mine, &other) < 0)
                first = j;
        }
        if (first != NULL && r->spec.preempt > 0)
            ck_assert_seed(slow_best(first).agent == 0, seed);
    }
    seen.nothing++;
}

/* For all who wait. */
static void pass(void)
{
    struct preemption some[8];

    cluster_preempt(&c, some, 8);
}

static void check_fresh_leader(void)
{
    bool more = true;
    bool any = false;

    sched_reset(c.sched, c.state);
    cluster_settle(&c);
    c.now_us += PREEMPT_PASS_MS * 1000ull;
    while (more && c.sched->claims.used == 0)
        any = sched_preempt(c.sched, c.state, c.now_us, &found, &more);
    if (c.sched->claims.used == 0)
        check_nothing();
    else
        check_first(any);
    if (any)
        sched_preempted(c.sched, false);
}

START_TEST(test_the_best_of_all_sets_is_taken)
{
    seed = test_seed(_i);
    rng = (struct rng){seed};
    cluster_init_with(&c, _i % 2 == 0 ? SCHED_LOOKS : 24);
    for (int i = 0; i < ROLES; i++)
        set_role(ROLE_OF[i],
                 ROLE_HAS_PREEMPT | ROLE_HAS_RESERVE,
                 (struct role_spec){.preempt = 1000, .reserve_ms = ROLE_NEVER});
    set_role("short", ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_SRTF});
    for (uint64_t i = 1 + rng_below(&rng, 5); i > 0; i--)
        cluster_add_agent(&c, any_amounts(8));
    for (int i = 0; i < STEPS; i++) {
        for (uint64_t n = rng_below(&rng, 6); n > 0; n--)
            change_any();
        check_fresh_leader();
        cluster_settle(&c);
        pass();
        cluster_settle(&c);
        sched_check(c.sched, c.state);
        state_check(c.state);
    }
    ck_assert_seed(seen.waits + seen.nothing > 0, seed);
    cluster_finish(&c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("preempt_sets");

    tcase_add_loop_test(t, test_the_best_of_all_sets_is_taken, 0, RUNS);
    return unit_run("preempt_sets", &t, 1);
}
