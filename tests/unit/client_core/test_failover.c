/* The leader is lost at every point of a few requests, in every way. */
#include "cluster.h"
#include "tests/lib/unit.h"

static struct cluster c;

static void end(void)
{
    cluster_finish(&c);
}

/* Every request that ended well names the job of its key, and no key made two. */
static void check_jobs(void)
{
    for (size_t i = 0; i < c.f.finished_count; i++) {
        const struct finished *done = &c.f.finished[i];

        if (done->code == ERROR_NONE)
            ck_assert_uint_eq(done->id, c.job_of[done->ticket]);
        for (size_t other = 0; other < i; other++)
            ck_assert_uint_ne(c.f.finished[other].ticket, done->ticket);
    }
}

enum fault { KILL, HANG, HANG_A_WHILE, TRANSFER, KILL_FOLLOWER, FAULTS };

static void make_fault(enum fault fault)
{
    uint32_t leader = c.leader;

    switch (fault) {
    case KILL:
        cluster_kill(&c, leader);
        break;
    case HANG:
    case HANG_A_WHILE:
        cluster_hang(&c, leader);
        break;
    case TRANSFER:
        cluster_transfer(&c);
        break;
    case KILL_FOLLOWER:
        cluster_kill(&c, (leader + 1) % CLUSTER_MASTERS);
        break;
    case FAULTS:
        break;
    }
}

static void run(uint64_t ms)
{
    uint64_t end_ms = c.f.now_ms + ms;

    while (cluster_step(&c, end_ms))
        ;
    c.f.now_ms = end_ms;
}

#define REQUESTS 6
#define POINTS   60

/* One fault after `point` steps of six requests, three of which come a little later. */
static void lose_leader_at(unsigned point, enum fault fault, bool keeps, bool announces)
{
    uint64_t fault_ms;

    cluster_start(&c, point);
    c.keeps = keeps;
    c.announces = announces;
    c.leader = 1;
    for (unsigned i = 0; i < REQUESTS / 2; i++)
        cluster_submit(&c, i);
    for (unsigned step = 0; step < point; step++)
        if (!cluster_step(&c, c.f.now_ms + 1))
            c.f.now_ms++;
    make_fault(fault);
    fault_ms = c.f.now_ms;
    for (unsigned i = REQUESTS / 2; i < REQUESTS; i++)
        cluster_submit(&c, i);
    if (fault == HANG_A_WHILE) {
        run(700);
        cluster_resume(&c, 1);
    }
    run(30000);
    ck_assert_uint_eq(c.f.finished_count, REQUESTS);
    for (size_t i = 0; i < REQUESTS; i++) {
        ck_assert_msg(c.f.finished[i].code == ERROR_NONE,
                      "point %u fault %d: %s",
                      point,
                      (int)fault,
                      c.f.finished[i].text);
        ck_assert_uint_le(c.f.finished[i].at_ms, fault_ms + 1000);
    }
    check_jobs();
    ck_assert_uint_eq(c.jobs, REQUESTS);
    ck_assert_uint_le(c.f.sent_count, REQUESTS * 4 + 30);
    cluster_finish(&c);
}

START_TEST(leader_is_lost_at_every_point)
{
    for (unsigned point = 0; point < POINTS; point++)
        for (unsigned way = 0; way < 4; way++)
            lose_leader_at(point, (enum fault)_i, (way & 1) != 0, (way & 2) != 0);
    cluster_start(&c, 0);
}
END_TEST

/* A killed leader must not cost the client more than the election and a few round trips. */
START_TEST(a_kill_costs_little_more_than_the_election)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        cluster_start(&c, seed);
        c.announces = true;
        c.leader = (uint32_t)(seed % CLUSTER_MASTERS);
        cluster_submit(&c, 0);
        run(100);
        cluster_submit(&c, 1);
        run(2);
        cluster_kill(&c, c.leader);
        run(ELECTION_MS + 8 * LATENCY_MS + COMMIT_MS);
        ck_assert_uint_eq(c.f.finished_count, 2);
        ck_assert_int_eq(c.f.finished[1].code, ERROR_NONE);
        cluster_finish(&c);
    }
    cluster_start(&c, 0);
}
END_TEST

START_TEST(all_masters_die_and_come_back)
{
    cluster_start(&c, 7);
    c.leader = 2;
    for (unsigned i = 0; i < 100; i++)
        cluster_submit(&c, i);
    run(5);
    for (uint32_t m = 0; m < CLUSTER_MASTERS; m++)
        cluster_kill(&c, m);
    run(10000);
    for (uint32_t m = 0; m < CLUSTER_MASTERS; m++)
        cluster_restart(&c, m);
    run(3000);
    ck_assert_uint_eq(c.f.finished_count, 100);
    check_jobs();
    ck_assert_uint_eq(c.jobs, 100);
}
END_TEST

/* Ten times more requests must not mean ten times more questions while nobody leads. */
START_TEST(a_long_election_is_not_stormed)
{
    size_t before;

    cluster_start(&c, 3);
    c.leader = 0;
    for (unsigned i = 0; i < 200; i++)
        cluster_submit(&c, i);
    run(4);
    cluster_kill(&c, 0); /* one of three is left */
    cluster_kill(&c, 1);
    before = c.f.sent_count;
    run(5000);
    ck_assert_uint_le(c.f.sent_count - before, 5000 / 125 + 10);
    ck_assert_uint_eq(client_core_requests(c.f.core), 200 - c.f.finished_count);
}
END_TEST

/* ---- anything at any time ---- */

static void random_fault(void)
{
    uint32_t m = (uint32_t)rng_below(&c.rng, CLUSTER_MASTERS);

    switch (rng_below(&c.rng, 6)) {
    case 0:
        cluster_kill(&c, m);
        break;
    case 1:
        cluster_restart(&c, m);
        break;
    case 2:
        cluster_hang(&c, m);
        break;
    case 3:
        cluster_resume(&c, m);
        break;
    case 4:
        cluster_transfer(&c);
        break;
    default:
        c.keeps = !c.keeps;
        break;
    }
}

START_TEST(any_faults_at_any_time)
{
    cluster_start(&c, (uint64_t)_i);
    c.announces = rng_percent(&c.rng, 50);
    c.lose_percent = rng_percent(&c.rng, 30) ? 5 : 0;
    c.leader = 0;
    for (unsigned i = 0; i < 100; i++) {
        cluster_submit(&c, i);
        run(rng_below(&c.rng, 200));
        if (rng_percent(&c.rng, 40))
            random_fault();
    }
    c.lose_percent = 0;
    for (uint32_t m = 0; m < CLUSTER_MASTERS; m++) {
        cluster_restart(&c, m);
        cluster_resume(&c, m);
    }
    run(12000);
    ck_assert_uint_eq(c.f.finished_count, 100);
    ck_assert_uint_eq(client_core_requests(c.f.core), 0);
    check_jobs();
    for (size_t i = 0; i < 100; i++)
        ck_assert_msg(c.f.finished[i].code == ERROR_NONE,
                      "seed %d, request %u: %s",
                      _i,
                      (unsigned)c.f.finished[i].ticket,
                      c.f.finished[i].text);
}
END_TEST

int main(void)
{
    TCase *failover = tcase_create("failover");

    tcase_set_timeout(failover, 60);
    tcase_add_checked_fixture(failover, NULL, end);
    tcase_add_loop_test(failover, leader_is_lost_at_every_point, 0, FAULTS);
    tcase_add_test(failover, a_kill_costs_little_more_than_the_election);
    tcase_add_test(failover, all_masters_die_and_come_back);
    tcase_add_test(failover, a_long_election_is_not_stormed);
    tcase_add_loop_test(failover, any_faults_at_any_time, 0, 100);
    return unit_run("client_core failover", &failover, 1);
}
