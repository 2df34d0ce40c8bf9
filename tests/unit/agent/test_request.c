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
    const struct request_host host = {
        .work_dir = WORK_DIR, .contain = "/lib/contain", .users = users};
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

/* ---- with an image ---- */

/* The job again, with an image, a user of it, and a check of a port. */
static void give_image(void)
{
    static const struct job_check timing = {
        .interval_ms = 1000, .timeout_ms = 1000, .failures = 1};
    struct job_spec job;
    struct job_check *check;

    job_spec_init(&job);
    job.name = mem_strdup("test");
    job.instances = 1;
    job.image.source = mem_strdup("oci:/image");
    job.user = mem_strdup("only-of-the-image");
    job_spec_add_arg(&job, "server");
    job_spec_add_env(&job, "COLOUR=blue");
    check = job_spec_add_check(&job);
    *check = timing;
    check->role = CHECK_READINESS;
    check->kind = CHECK_TCP;
    check->port = 80;
    check = job_spec_add_check(&job);
    *check = timing;
    check->role = CHECK_HEALTH;
    check->kind = CHECK_COMMAND;
    job_check_add_arg(check, "ask");
    buffer_clear(&spec);
    job_spec_pack(&job, &spec);
    job_spec_finish(&job);
}

static void check_strings(const struct shim_request *r, const char *wanted, size_t size)
{
    ck_assert_uint_ge(r->size, size);
    ck_assert_mem_eq(shim_request_strings(r), wanted, size);
}

/* The bundle has the job's variables; the client's come on top. */
START_TEST(test_inside)
{
    const struct bytes argv[] = {view("sh"), view("-i")};
    const struct bytes env[] = {view("TERM=xterm"), view("TRIARCH_SANDBOX=/")};
    const struct exec_request exec = {.attempt = 5,
                                      .flags = EXEC_TERMINAL,
                                      .argv = argv,
                                      .argc = 2,
                                      .env = env,
                                      .envc = 2};
    static const char strings[] =
        "/lib/contain\0exec\0" WORK_DIR "\0005\0TERM=xterm\0--\0sh\0-i";
    const struct shim_request *r;
    const char *last;

    give_image();
    r = build(&exec);
    ck_assert_uint_eq(r->argc, 8);
    check_strings(r, strings, sizeof(strings));
    ck_assert_uint_eq(r->flags, SHIM_FLAG_TERMINAL | SHIM_FLAG_CONTAINER);
    ck_assert_uint_eq(r->envc, 2);
    ck_assert_uint_eq(count_variable(r, "PATH=", &last), 1);
    ck_assert_uint_eq(count_variable(r, "TRIARCH_SANDBOX=", &last), 1);
    ck_assert_str_eq(last, "TRIARCH_SANDBOX=" WORK_DIR "/runs/5");
    ck_assert_uint_eq(r->step_count, 0);
}
END_TEST

/* A port is asked from outside, where the image's user need not be known. */
START_TEST(test_checks_of_an_image)
{
    static const char command[] = "/lib/contain\0exec\0" WORK_DIR "\0005\0--\0ask";
    const struct request_host host = {
        .work_dir = WORK_DIR, .contain = "/lib/contain", .users = users};
    struct run_start run = {.attempt = 5, .job = 3};
    const struct shim_request *r;
    struct error err;

    give_image();
    run.spec = buffer_view(&spec);
    ck_assert_msg(request_build_check(&out, &run, 0, &host, &err) == 0, "%s", err.text);
    r = (const struct shim_request *)(const void *)out.data;
    ck_assert_uint_eq(r->flags & (SHIM_FLAG_CONTAINER | SHIM_FLAG_USER), 0);
    buffer_clear(&out);
    ck_assert_msg(request_build_check(&out, &run, 1, &host, &err) == 0, "%s", err.text);
    r = (const struct shim_request *)(const void *)out.data;
    ck_assert_uint_eq(r->flags & (SHIM_FLAG_CONTAINER | SHIM_FLAG_USER),
                      SHIM_FLAG_CONTAINER);
    check_strings(r, command, sizeof(command));
}
END_TEST

int main(void)
{
    TCase *t = unit_case("request",
                         test_command,
                         test_terminal,
                         test_variables,
                         test_inside,
                         test_checks_of_an_image);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("request", &t, 1);
}
