/* test_request.c - what a command inside a run is started with. */
#include "agent/request.h"

#include "agent/shim.h"
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "wire/job.h"

#include <stdlib.h>
#include <string.h>

#define WORK_DIR "/var/lib/triarch"

static struct buffer spec, out;
static struct users *users;

static void setup(void)
{
    const struct users_options options = {0};
    struct job_spec job;

    ck_assert_int_eq(users_create(&users, &options, NULL), 0);
    job_spec_init(&job);
    job.name = mem_strdup("test");
    job.instances = 1;
    job_spec_add_arg(&job, "server");
    job_spec_add_env(&job, "TERM=dumb");
    job_spec_add_env(&job, "COLOUR=blue");
    job_spec_pack(&job, &spec);
    job_spec_finish(&job);
}

static void teardown(void)
{
    users_destroy(users);
    buffer_finish(&spec);
    buffer_finish(&out);
}

static const struct shim_request *build(const struct exec_request *exec)
{
    const struct request_host host = {.work_dir = WORK_DIR, .users = users};
    struct run_start run = {.attempt = 5, .job = 3, .spec = buffer_view(&spec)};
    struct error err;

    buffer_clear(&out);
    ck_assert_msg(
        request_build_exec(&out, &run, exec, &host, &err) == 0, "%s", err.text);
    return (const struct shim_request *)(const void *)out.data;
}

/* How many of its variables begin so, and the last of them. */
static unsigned
count_variable(const struct shim_request *r, const char *name, const char **last)
{
    const char *at = shim_request_strings(r);
    unsigned count = 0;

    for (uint32_t i = 0; i < r->argc + r->envc; i++, at += strlen(at) + 1) {
        if (i >= r->argc && strncmp(at, name, strlen(name)) == 0) {
            *last = at;
            count++;
        }
    }
    return count;
}

static struct bytes view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

START_TEST(test_command)
{
    const struct bytes argv[] = {view("sh"), view("-c"), view("echo hi")};
    const struct exec_request exec = {
        .attempt = 5, .flags = EXEC_INPUT, .argv = argv, .argc = 3};
    const struct shim_request *r = build(&exec);
    static const char strings[] = "sh\0-c\0echo hi";

    ck_assert_uint_eq(r->kind, SHIM_EXEC);
    ck_assert_uint_eq(r->attempt, 5);
    ck_assert_uint_eq(r->argc, 3);
    ck_assert_mem_eq(shim_request_strings(r), strings, sizeof(strings));
    ck_assert_uint_eq(r->flags & (SHIM_FLAG_TERMINAL | SHIM_FLAG_INPUT),
                      SHIM_FLAG_INPUT);
}
END_TEST

START_TEST(test_terminal)
{
    const struct bytes argv[] = {view("sh")};
    const struct exec_request exec = {.attempt = 5,
                                      .flags = EXEC_TERMINAL,
                                      .size = {24, 80},
                                      .argv = argv,
                                      .argc = 1};
    const struct shim_request *r = build(&exec);

    ck_assert_uint_eq(r->flags & (SHIM_FLAG_TERMINAL | SHIM_FLAG_INPUT),
                      SHIM_FLAG_TERMINAL);
    ck_assert_uint_eq(r->rows, 24);
    ck_assert_uint_eq(r->columns, 80);
}
END_TEST

/* The run's, the client's in place of the job's, and never Triarch's own. */
START_TEST(test_variables)
{
    const struct bytes argv[] = {view("sh")};
    const struct bytes env[] = {
        view("TERM=xterm"), view("TRIARCH_SANDBOX=/"), view("NEW=1")};
    const struct exec_request exec = {
        .attempt = 5, .argv = argv, .argc = 1, .env = env, .envc = 3};
    const struct shim_request *r = build(&exec);
    const char *last;

    ck_assert_uint_eq(count_variable(r, "TERM=", &last), 1);
    ck_assert_str_eq(last, "TERM=xterm");
    ck_assert_uint_eq(count_variable(r, "NEW=", &last), 1);
    ck_assert_uint_eq(count_variable(r, "COLOUR=", &last), 1);
    ck_assert_str_eq(last, "COLOUR=blue");
    ck_assert_uint_eq(count_variable(r, "TRIARCH_SANDBOX=", &last), 1);
    ck_assert_str_eq(last, "TRIARCH_SANDBOX=" WORK_DIR "/runs/5");
    ck_assert_uint_eq(count_variable(r, "TRIARCH_TASK_ID=", &last), 1);
    ck_assert_str_eq(last, "TRIARCH_TASK_ID=3.0");
}
END_TEST

int main(void)
{
    TCase *t = unit_case("request", test_command, test_terminal, test_variables);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("request", &t, 1);
}
