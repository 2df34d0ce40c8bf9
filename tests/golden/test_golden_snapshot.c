/* test_golden_snapshot.c - the bytes of a snapshot of format version 1, and what they say.
 *
 * A state with something in every table is made by commands: its snapshot is the file, digest
 * and all, and the file restores to it.  The file never changes; GOLDEN_WRITE=1 writes it if
 * it does not exist yet. */
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include <stdio.h>

static struct fsm f;
static struct buffer snapshot, golden;

static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register_able(&f, 'a', 4, 0), 1);
    ck_done(fsm_register_able(&f, 'b', 4, 0), 2);
    ck_done(fsm_submit(&f, "key of the first", 70), 1);
    ck_done(fsm_submit(&f, "key of the second", 2), 2);
    ck_done(fsm_submit(&f, "key of the third", 1), 3);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 2, 0, 2), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_FAILED), 1);
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(fsm_unreachable(&f, 2), 2);
    ck_done(fsm_kill(&f, 3), 3);
    ck_done(fsm_purge(&f, 3), 3);
    fsm_snapshot(f.state, &snapshot);
}

static void teardown(void)
{
    buffer_finish(&snapshot);
    buffer_finish(&golden);
    fsm_teardown(&f);
}

static FILE *open_file(const char *mode)
{
    const char *srcdir = getenv("srcdir");
    char path[512];

    snprintf(path,
             sizeof(path),
             "%s/tests/golden/snapshot.v1",
             srcdir != NULL ? srcdir : ".");
    return fopen(path, mode);
}

static void write_missing(void)
{
    FILE *file = open_file("wbx");

    if (file == NULL)
        return;
    ck_assert_uint_eq(fwrite(snapshot.data, 1, snapshot.size, file), snapshot.size);
    ck_assert_int_eq(fclose(file), 0);
}

static void read_file(void)
{
    FILE *file;

    if (getenv("GOLDEN_WRITE") != NULL)
        write_missing();
    file = open_file("rb");
    ck_assert_msg(file != NULL, "no file: is srcdir set?");
    golden.size = fread(buffer_reserve(&golden, 65536), 1, 65536, file);
    fclose(file);
}

START_TEST(the_snapshot_is_the_file)
{
    read_file();
    ck_same_bytes(&golden, &snapshot);
}
END_TEST

START_TEST(the_file_restores_to_the_state)
{
    struct buffer again = {0};
    struct state *s;

    read_file();
    s = fsm_restored(buffer_view(&golden));
    ck_assert_uint_eq(s->index, f.state->index);
    ck_assert(hash128_equal(s->digest, f.state->digest));
    fsm_snapshot(s, &again);
    ck_same_bytes(&golden, &again);
    buffer_finish(&again);
    state_destroy(s);
}
END_TEST

int main(void)
{
    TCase *c =
        unit_case("snapshot", the_snapshot_is_the_file, the_file_restores_to_the_state);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("golden_snapshot", &c, 1);
}
