/* one_run.c - the rig of a test about run 1. */
#include "tests/unit/agent_core/one_run.h"

#include <check.h>

struct rig rig;

void bring_to(enum phase phase)
{
    rig_init(&rig);
    rig_follow(&rig, 0, 1);
    if (phase == NEW)
        return;
    if (phase == PAST) {
        rig_launch(&rig, 0, 1, 2);
        rig_durable(&rig);
        return;
    }
    rig_launch(&rig, 0, 1, 1);
    if (phase == RECORDED)
        return;
    rig_durable(&rig);
    if (phase == STARTING)
        return;
    if (phase == STOPPING_EARLY) {
        rig_stop(&rig, 0, 1, 1);
        rig_durable(&rig);
        return;
    }
    rig_started(&rig, 1);
    if (phase == STOPPING) {
        rig_stop(&rig, 0, 1, 1);
        rig_durable(&rig);
    }
    if (phase == ENDED)
        rig_ended(&rig, 1, RUN_END_EXITED, 0);
}

struct job_spec *changed(struct job_spec *spec)
{
    rig_init(&rig);
    rig_get_spec(&rig, spec);
    return spec;
}

void follow(struct job_spec *spec)
{
    rig_set_spec(&rig, spec);
    rig_follow(&rig, 0, 1);
}

void run_it(struct job_spec *spec)
{
    follow(spec);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_started(&rig, 1);
}

void run_restarting(void)
{
    struct job_spec spec;

    changed(&spec)->restart = (struct job_retry){
        .attempts = 3, .interval_ms = 60000, .delay_ms = 1000, .max_delay_ms = 3000};
    run_it(&spec);
}

void fail_and_wait(uint64_t delay_ms)
{
    size_t before = starts();

    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    ck_assert_uint_eq(rig_status(&rig).waiting, 1);
    rig_durable(&rig);
    rig_advance(&rig, delay_ms - 1);
    ck_assert_uint_eq(starts(), before);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(starts(), before + 1);
    rig_started(&rig, 1);
}

size_t starts(void)
{
    return rig_count(&rig, AGENT_START_RUN);
}

struct run_report report(void)
{
    struct run_report r = {0};

    rig_advance(&rig, 50);
    ck_assert(rig_report(&rig, 1, &r));
    return r;
}

void check_end(enum task_state state, enum task_reason reason, int exit_code)
{
    struct run_report r = report();

    ck_assert_int_eq(r.state, state);
    ck_assert_int_eq(r.reason, reason);
    ck_assert_int_eq(r.exit_code, exit_code);
    ck_assert_uint_eq(rig_status(&rig).ended, 1);
}

void check_durable_end(enum task_state state, enum task_reason reason, int exit_code)
{
    rig_durable(&rig);
    check_end(state, reason, exit_code);
}
