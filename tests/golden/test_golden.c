/* test_golden.c - the bytes of format version 1, as they were when it was made.
 *
 * A log or a snapshot that was written by an older version must stay readable, and equal values
 * must have equal bytes in each version of a cluster that is being upgraded.  So for each sample
 * value of tests/lib/wire_values.c: its file decodes to it, and it encodes to its file.
 *
 * A file here never changes.  GOLDEN_WRITE=1 writes the files that do not exist yet. */
#include "tests/lib/unit.h"
#include "tests/lib/wire_values.h"

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

    snprintf(path,
             sizeof(path),
             "%s/tests/golden/%s.v1",
             srcdir != NULL ? srcdir : ".",
             name);
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

START_TEST(job_spec)
{
    struct job_spec sample, decoded;

    sample_job_spec(&sample);
    job_spec_pack(&sample, &packed);
    check_file("job_spec");
    ck_assert_int_eq(job_spec_unpack(&decoded, buffer_view(&golden), &err), 0);
    ck_assert(job_specs_equal(&sample, &decoded));
    job_spec_finish(&decoded);
    job_spec_finish(&sample);
}
END_TEST

START_TEST(agent_spec)
{
    struct agent_spec sample, decoded;

    sample_agent_spec(&sample);
    agent_spec_pack(&sample, &packed);
    check_file("agent_spec");
    ck_assert_int_eq(agent_spec_unpack(&decoded, buffer_view(&golden), &err), 0);
    ck_assert(agent_specs_equal(&sample, &decoded));
    agent_spec_finish(&decoded);
    agent_spec_finish(&sample);
}
END_TEST

START_TEST(command)
{
    enum command_kind kind = KINDS[_i];
    struct command sample, decoded;
    struct command_elements elements;
    char name[64];

    snprintf(name, sizeof(name), "command_%s", command_name(kind));
    sample_command(kind, &sample, &elements, &spec);
    command_pack(&sample, &packed);
    check_file(name);
    ck_assert_int_eq(command_unpack(&decoded, buffer_view(&golden), &err), 0);
    ck_assert(commands_equal(&sample, &decoded));
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
    for (size_t i = 0; i < ENTRY_KINDS; i++) {
        sample_command(KINDS[i], &sample, &elements, &spec);
        buffer_clear(&bytes);
        command_pack(&sample, &bytes);
        entry_append(&packed, buffer_view(&bytes));
    }
    check_file("entry");
    ck_assert_int_eq(entry_open(&reader, buffer_view(&golden), &err), 0);
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
    tcase_add_test(t, agent_spec);
    tcase_add_loop_test(t, command, 0, KIND_COUNT);
    tcase_add_test(t, entry);
    return unit_run("golden", &t, 1);
}
