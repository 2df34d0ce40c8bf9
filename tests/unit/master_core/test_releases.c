/* A job with many behind it: the leader goes on until all of them were told (spec 14). */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/state.h"

enum { CLIENT = 1, BEHIND = LIMIT_RELEASES + 5 };

static const struct state *state_of(const struct rig *rig)
{
    return master_state(rig->core);
}

static uint64_t submit_behind(struct rig *rig, uint64_t job)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("behind");
    job_spec_add_arg(&spec, "true");
    job_spec_add_after(&spec, (struct job_after){(int64_t)job, JOB_ON_ANY});
    return rig_submit_spec(rig, CLIENT, &spec);
}

static void submit_all(struct rig *rig)
{
    uint64_t first;

    rig_init(rig, STOPS_PER_TURN);
    rig_open(rig, CLIENT, HELLO_CLIENT);
    first = rig_submit(rig, CLIENT, 1);
    for (unsigned i = 0; i < BEHIND; i++)
        submit_behind(rig, first);
    rig_kill(rig, CLIENT, first);
}

static void check_all_told(const struct rig *rig)
{
    ck_assert(RB_EMPTY(&state_of(rig)->ending));
    for (uint64_t i = 0; i < BEHIND; i++)
        ck_assert_uint_eq(job_pending(state_job(state_of(rig), 2 + i)), 1);
}

START_TEST(test_all_are_told)
{
    struct rig rig;

    submit_all(&rig);
    rig_settle(&rig);
    check_all_told(&rig);
    rig_finish(&rig);
}
END_TEST

/* Another leader goes on with what it finds. */
START_TEST(test_another_leader_goes_on)
{
    struct rig rig;

    submit_all(&rig);
    while (job_pending(state_job(state_of(&rig), 2)) == 0)
        rig_turn(&rig);
    ck_assert(!RB_EMPTY(&state_of(&rig)->ending));
    rig_restart(&rig);
    rig_settle(&rig);
    check_all_told(&rig);
    rig_finish(&rig);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("releases", test_all_are_told, test_another_leader_goes_on);

    return unit_run("releases", &c, 1);
}
