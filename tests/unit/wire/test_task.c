/* test_task.c - names of tasks and states. */
#include "wire/task.h"

#include "wire_test.h"

START_TEST(test_names)
{
    ck_assert_str_eq(task_state_name(TASK_PENDING), "TASK_PENDING");
    ck_assert_str_eq(task_state_name(TASK_LOST), "TASK_LOST");
    ck_assert_str_eq(task_state_name((enum task_state)99), "UNKNOWN");
    ck_assert_str_eq(task_reason_name(TASK_REASON_NONE), "");
    ck_assert_str_eq(task_reason_name(TASK_REASON_SHIM_LOST), "REASON_SHIM_LOST");
    ck_assert_str_eq(task_reason_name((enum task_reason)99), "UNKNOWN");
    ck_assert_str_eq(job_state_name(JOB_COMPLETE), "COMPLETE");
    ck_assert_str_eq(job_state_name((enum job_state)99), "UNKNOWN");
}
END_TEST

/* The numbers are on disk. */
START_TEST(test_numbers)
{
    ck_assert_int_eq(TASK_FINISHED, 5);
    ck_assert_int_eq(TASK_LOST, 9);
    ck_assert_int_eq(TASK_REASON_SHIM_LOST, 9);
    ck_assert_int_eq(JOB_KILLED, 4);
    for (enum task_state s = 0; s < TASK_STATE_COUNT; s++)
        ck_assert_int_eq(task_state_is_final(s), s >= TASK_FINISHED);
    for (enum job_state s = 0; s < JOB_STATE_COUNT; s++)
        ck_assert_int_eq(job_state_is_final(s), s >= JOB_COMPLETE);
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    uint64_t job;
    uint32_t instance;
} TASK_NAMES[] = {
    {"17.3", true, 17, 3},
    {"17", true, 17, 0},
    {"18446744073709551615.999999", true, UINT64_MAX, 999999},
    {"17.1000000", false, 0, 0},
    {"18446744073709551616", false, 0, 0},
    {"0", false, 0, 0},
    {"0.1", false, 0, 0},
    {"17.", false, 0, 0},
    {".3", false, 0, 0},
    {"17.3.1", false, 0, 0},
    {"17.03", false, 0, 0},
    {"-1", false, 0, 0},
    {"17 ", false, 0, 0},
    {"", false, 0, 0},
    {"job", false, 0, 0},
};

START_TEST(test_parse)
{
    uint64_t job = 0;
    uint32_t instance = 0;

    ck_assert_int_eq(task_name_parse(TASK_NAMES[_i].text, &job, &instance),
                     TASK_NAMES[_i].ok);
    ck_assert_uint_eq(job, TASK_NAMES[_i].job);
    ck_assert_uint_eq(instance, TASK_NAMES[_i].instance);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("task");

    tcase_add_test(t, test_names);
    tcase_add_test(t, test_numbers);
    tcase_add_loop_test(t, test_parse, 0, COUNT(TASK_NAMES));
    return unit_run("task", &t, 1);
}
