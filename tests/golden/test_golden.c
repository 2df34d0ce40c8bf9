/* test_golden.c - the bytes of old format versions, as they were when each was made.
 *
 * A log or a snapshot that was written by an older version must stay readable, and equal values
 * must have equal bytes in each version of a cluster that is being upgraded.  So for each sample
 * value of tests/lib/wire_values.c: its file decodes to it, and it encodes to its file.  What the
 * first version could not say stands in files of the second.
 *
 * A file here never changes.  GOLDEN_WRITE=1 writes the files that do not exist yet. */
#include "tests/lib/unit.h"
#include "tests/lib/wire_values.h"
#include "wire/role.h"

#include <stdio.h>
#include <string.h>

static const enum command_kind KINDS[] = {
#define X(number, name, text) COMMAND_##name,
    COMMAND_KINDS(X)
#undef X
};

#define KIND_COUNT (sizeof(KINDS) / sizeof(KINDS[0]))

static struct buffer packed, golden, spec;
static struct error err;

static void teardown(void)
{
    buffer_finish(&packed);
    buffer_finish(&golden);
    buffer_finish(&spec);
}

static FILE *open_file(const char *name, const char *mode)
{
    const char *srcdir = getenv("srcdir");
    char path[512];

    snprintf(
        path, sizeof(path), "%s/tests/golden/%s", srcdir != NULL ? srcdir : ".", name);
    return fopen(path, mode);
}

static void write_missing(const char *name)
{
    FILE *f = open_file(name, "wbx");

    if (f == NULL)
        return;
    ck_assert_uint_eq(fwrite(packed.data, 1, packed.size, f), packed.size);
    ck_assert_int_eq(fclose(f), 0);
}

/* The bytes just packed are those of the file, which are then in `golden`. */
static void check_file(const char *name)
{
    FILE *f;

    if (getenv("GOLDEN_WRITE") != NULL)
        write_missing(name);
    f = open_file(name, "rb");
    ck_assert_msg(f != NULL, "no file for %s: is srcdir set?", name);
    golden.size = fread(buffer_reserve(&golden, 65536), 1, 65536, f);
    fclose(f);
    ck_assert_uint_eq(golden.size, packed.size);
    ck_assert_mem_eq(golden.data, packed.data, packed.size);
}

static void check_job_spec(struct job_spec *sample, const char *name)
{
    struct job_spec decoded;

    job_spec_pack(sample, &packed);
    check_file(name);
    ck_assert_int_eq(job_spec_unpack(&decoded, buffer_view(&golden), &err), 0);
    ck_assert(job_specs_equal(sample, &decoded));
    job_spec_pack(&decoded, &spec);
    ck_assert_uint_eq(spec.size, golden.size);
    ck_assert_mem_eq(spec.data, golden.data, golden.size);
    job_spec_finish(&decoded);
    job_spec_finish(sample);
}

START_TEST(job_spec)
{
    struct job_spec sample;

    sample_job_spec(&sample);
    check_job_spec(&sample, "job_spec.v1");
}
END_TEST

START_TEST(job_spec_with_all)
{
    struct job_spec sample;

    full_job_spec(&sample);
    check_job_spec(&sample, "job_spec.v2");
}
END_TEST

START_TEST(job_spec_of_a_role)
{
    struct job_spec sample;

    newest_job_spec(&sample);
    check_job_spec(&sample, "job_spec.v3");
}
END_TEST

START_TEST(job_spec_that_is_choosy)
{
    struct job_spec sample;

    choosy_job_spec(&sample);
    check_job_spec(&sample, "job_spec_choosy.v3");
}
END_TEST

START_TEST(job_spec_of_a_gang)
{
    struct job_spec sample;

    gang_job_spec(&sample);
    check_job_spec(&sample, "job_spec_gang.v4");
}
END_TEST

/* What an exclusive job may not say. */
START_TEST(job_spec_that_stops)
{
    struct job_spec sample;

    sample_job_spec(&sample);
    sample.stop_after_ms = 30000;
    check_job_spec(&sample, "job_spec_stop_after.v2");
}
END_TEST

static void check_agent_spec(struct agent_spec *sample, const char *name)
{
    struct agent_spec decoded;

    agent_spec_pack(sample, &packed);
    check_file(name);
    ck_assert_int_eq(agent_spec_unpack(&decoded, buffer_view(&golden), &err), 0);
    ck_assert(agent_specs_equal(sample, &decoded));
    agent_spec_pack(&decoded, &spec);
    ck_assert_uint_eq(spec.size, golden.size);
    ck_assert_mem_eq(spec.data, golden.data, golden.size);
    agent_spec_finish(&decoded);
    agent_spec_finish(sample);
}

START_TEST(agent_spec)
{
    struct agent_spec sample;

    sample_agent_spec(&sample);
    check_agent_spec(&sample, "agent_spec.v1");
}
END_TEST

START_TEST(agent_spec_with_all)
{
    struct agent_spec sample;

    full_agent_spec(&sample);
    check_agent_spec(&sample, "agent_spec.v2");
}
END_TEST

/* `spec` holds what the command points to. */
static void check_command(const struct command *sample, const char *name)
{
    struct command decoded;

    command_pack(sample, &packed);
    check_file(name);
    ck_assert_int_eq(command_unpack(&decoded, buffer_view(&golden), &err), 0);
    ck_assert(commands_equal(sample, &decoded));
}

START_TEST(command)
{
    enum command_kind kind = KINDS[_i];
    struct command_elements elements;
    struct command sample;
    char name[64];

    snprintf(name, sizeof(name), "command_%s.v1", command_name(kind));
    sample_command(kind, &sample, &elements, &spec);
    check_command(&sample, name);
}
END_TEST

START_TEST(update_with_health)
{
    struct task_update updates[] = {
        {.attempt = 7, .state = TASK_RUNNING, .health = HEALTH_PASSING},
        {.attempt = 8,
         .state = TASK_RUNNING,
         .health = HEALTH_FAILING,
         .restarts = 300}};
    struct command sample = {
        .kind = COMMAND_TASK_UPDATE,
        .task_update = {.agent = 3, .updates = updates, .count = 2}};

    check_command(&sample, "command_task_update.v2");
}
END_TEST

START_TEST(role_with_a_score)
{
    struct role_change change = {
        .name = "batch",
        .given = ROLE_HAS_WEIGHT | ROLE_HAS_ALPHA | ROLE_HAS_BALANCE,
        .spec = {.weight = 500, .alpha = 300, .balance = BALANCE_SPREAD}};
    struct command sample = {.kind = COMMAND_ROLE_SET};

    role_change_pack(&change, &spec);
    sample.role_set.change = buffer_view(&spec);
    check_command(&sample, "command_role_set_score.v2");
}
END_TEST

START_TEST(role_that_reserves)
{
    struct role_change change = {
        .name = "large", .given = ROLE_HAS_RESERVE, .spec = {.reserve_ms = 60000}};
    struct command sample = {.kind = COMMAND_ROLE_SET};

    role_change_pack(&change, &spec);
    sample.role_set.change = buffer_view(&spec);
    check_command(&sample, "command_role_set_reserve.v2");
}
END_TEST

START_TEST(role_that_preempts)
{
    struct role_change change = {.name = "batch",
                                 .given = ROLE_HAS_PRIORITY | ROLE_HAS_PREEMPT,
                                 .spec = {.priority = 10, .preempt = 60}};
    struct command sample = {.kind = COMMAND_ROLE_SET};

    role_change_pack(&change, &spec);
    sample.role_set.change = buffer_view(&spec);
    check_command(&sample, "command_role_set_preempt.v3");
}
END_TEST

START_TEST(role_that_rebalances)
{
    struct role_change change = {.name = "web",
                                 .given = ROLE_HAS_BALANCE | ROLE_HAS_REBALANCE,
                                 .spec = {.balance = BALANCE_SPREAD, .rebalance = 6}};
    struct command sample = {.kind = COMMAND_ROLE_SET};

    role_change_pack(&change, &spec);
    sample.role_set.change = buffer_view(&spec);
    check_command(&sample, "command_role_set_rebalance.v4");
}
END_TEST

#define ENTRY_KINDS 11 /* that there were when the file was made */

/* An entry with one command of each kind. */
START_TEST(entry)
{
    struct command_elements elements;
    struct command sample, decoded;
    struct buffer bytes = {0};
    struct entry_reader reader;
    struct bytes next;

    entry_begin(&packed, 1717763696000001);
    packed.data[0] = 1; /* the second version has other rules and the same bytes */
    for (size_t i = 0; i < ENTRY_KINDS; i++) {
        sample_command(KINDS[i], &sample, &elements, &spec);
        buffer_clear(&bytes);
        command_pack(&sample, &bytes);
        entry_append(&packed, buffer_view(&bytes));
    }
    check_file("entry.v1");
    ck_assert_int_eq(entry_open(&reader, buffer_view(&golden), &err), 0);
    ck_assert_uint_eq(reader.version, 1);
    ck_assert_uint_eq(reader.stamp_us, 1717763696000001);
    for (size_t i = 0; i < ENTRY_KINDS; i++) {
        ck_assert(entry_next(&reader, &next));
        ck_assert_int_eq(command_unpack(&decoded, next, &err), 0);
        sample_command(KINDS[i], &sample, &elements, &spec);
        ck_assert(commands_equal(&sample, &decoded));
    }
    ck_assert(!entry_next(&reader, &next));
    buffer_finish(&bytes);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("golden");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, job_spec);
    tcase_add_test(t, job_spec_with_all);
    tcase_add_test(t, job_spec_of_a_role);
    tcase_add_test(t, job_spec_that_is_choosy);
    tcase_add_test(t, job_spec_of_a_gang);
    tcase_add_test(t, job_spec_that_stops);
    tcase_add_test(t, role_with_a_score);
    tcase_add_test(t, role_that_reserves);
    tcase_add_test(t, role_that_preempts);
    tcase_add_test(t, role_that_rebalances);
    tcase_add_test(t, agent_spec);
    tcase_add_test(t, agent_spec_with_all);
    tcase_add_loop_test(t, command, 0, KIND_COUNT);
    tcase_add_test(t, update_with_health);
    tcase_add_test(t, entry);
    return unit_run("golden", &t, 1);
}
