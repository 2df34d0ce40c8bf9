/* test_command.c - commands and entries. */
#include "wire/command.h"

#include "base/limits.h"
#include "tests/lib/wire_values.h"
#include "wire/pack.h"
#include "wire_test.h"

#include <signal.h>

static struct buffer out;
static struct error err;

static void teardown(void)
{
    buffer_finish(&out);
}

static int decode(struct bytes bytes, struct error *e)
{
    struct command c;

    return command_unpack(&c, bytes, e);
}

static const enum command_kind KINDS[] = {
#define X(number, name, text) COMMAND_##name,
    COMMAND_KINDS(X)
#undef X
};

START_TEST(test_names)
{
    ck_assert_str_eq(command_name(COMMAND_FOUND), "found");
    ck_assert_str_eq(command_name(COMMAND_EXPIRE_KEYS), "expire_keys");
    ck_assert_str_eq(command_name((enum command_kind)99), "unknown");
    ck_assert_int_eq(COMMAND_EXPIRE_KEYS, 11);
    ck_assert_int_eq(COMMAND_AGENT_MODE, 12);
    ck_assert_int_eq(COMMAND_DRAIN_DUE, 13);
    ck_assert_int_eq(COMMAND_RETRY, 14);
    ck_assert_int_eq(COMMAND_LAPSE, 15);
}
END_TEST

START_TEST(test_random_round_trip)
{
    enum command_kind kind = KINDS[_i];
    uint64_t seed = test_seed(_i);
    struct rng r = {seed};
    struct command_elements elements;
    struct buffer spec = {0};

    for (int n = 0; n < 50; n++) {
        struct command c, decoded;

        random_command(&r, kind, &c, &elements, &spec);
        buffer_clear(&out);
        command_pack(&c, &out);
        ck_assert_seed(command_unpack(&decoded, buffer_view(&out), &err) == 0, seed);
        ck_assert_seed(commands_equal(&c, &decoded), seed);
    }
    buffer_finish(&spec);
}
END_TEST

START_TEST(test_every_cut)
{
    struct rng r = {test_seed(_i)};
    struct command_elements elements;
    struct buffer spec = {0};
    struct command c;

    random_command(&r, KINDS[_i], &c, &elements, &spec);
    command_pack(&c, &out);
    check_every_cut(buffer_view(&out), decode);
    buffer_append_u8(&out, 0);
    ck_assert_error(
        decode(buffer_view(&out), &err), err, ERROR_INVALID, "command: bytes are left");
    buffer_finish(&spec);
}
END_TEST

START_TEST(test_unknown_kind)
{
    pack_array(&out, 2);
    pack_uint(&out, 99);
    pack_uint(&out, 1);
    ck_assert_error(
        decode(buffer_view(&out), &err), err, ERROR_VERSION, "kind 99 is not known");
    ck_assert_error(
        decode(LITERAL("\x90"), &err), err, ERROR_VERSION, "kind 0 is not known");
}
END_TEST

START_TEST(test_too_large)
{
    buffer_reserve(&out, LIMIT_COMMAND_BYTES + 1);
    memset(out.data, 0, LIMIT_COMMAND_BYTES + 1);
    out.size = LIMIT_COMMAND_BYTES + 1;
    ck_assert_error(
        decode(buffer_view(&out), &err), err, ERROR_TOO_LARGE, "command: 131073 bytes");
}
END_TEST

/* A field of a newer version at the end is skipped. */
START_TEST(test_newer_field)
{
    struct command c;

    pack_array(&out, 3);
    pack_uint(&out, COMMAND_KILL);
    pack_uint(&out, 7);
    pack_text(&out, "because");
    ck_assert_int_eq(command_unpack(&c, buffer_view(&out), &err), 0);
    ck_assert_uint_eq(c.kill.job, 7);
}
END_TEST

START_TEST(test_submit_rules)
{
    static const uint8_t LONG_KEY[LIMIT_KEY_BYTES + 1] = {1};
    struct command c = {.kind = COMMAND_SUBMIT,
                        .submit = {.key = {0}, .spec = LITERAL("s")}};

    command_pack(&c, &out);
    ck_assert_error(
        decode(buffer_view(&out), &err), err, ERROR_INVALID, "the key is missing");
    buffer_clear(&out);
    c.submit.key = (struct bytes){LONG_KEY, sizeof(LONG_KEY)};
    command_pack(&c, &out);
    ck_assert_error(
        decode(buffer_view(&out), &err), err, ERROR_INVALID, "longer than its limit");
    buffer_clear(&out);
    c.submit.key.size--;
    command_pack(&c, &out);
    ck_assert_int_eq(decode(buffer_view(&out), &err), 0);
    buffer_clear(&out);
    c.submit.spec.size = 0;
    command_pack(&c, &out);
    ck_assert_error(
        decode(buffer_view(&out), &err), err, ERROR_INVALID, "the spec is missing");
}
END_TEST

START_TEST(test_update_rules)
{
    struct task_update t = {
        .attempt = 1, .state = (enum task_state)_i, .exit_code = -1};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.agent = 1, .updates = &t, .count = 1}};
    bool right = _i == TASK_STARTING || _i == TASK_RUNNING ||
                 (_i >= TASK_FINISHED && _i < TASK_STATE_COUNT);

    command_pack(&c, &out);
    if (right)
        ck_assert_int_eq(decode(buffer_view(&out), &err), 0);
    else
        ck_assert_int_eq(decode(buffer_view(&out), &err), -ERROR_INVALID);
}
END_TEST

START_TEST(test_unknown_reason)
{
    struct task_update t = {.state = TASK_FAILED, .reason = TASK_REASON_COUNT};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.updates = &t, .count = 1}};

    command_pack(&c, &out);
    ck_assert_error(decode(buffer_view(&out), &err), err, ERROR_INVALID, "too large");
}
END_TEST

/* Commands at the limits of their lists fit a command; one more is refused. */
START_TEST(test_longest_lists)
{
    static struct placement placements[LIMIT_PLACEMENTS];
    static struct task_update updates[LIMIT_UPDATES];
    static const uint8_t TEXT[LIMIT_MESSAGE_BYTES + 50];
    struct command c = {.kind = COMMAND_PLACE,
                        .place = {.placements = placements, .count = LIMIT_PLACEMENTS}};
    struct command_cursor at = {0};
    struct task_update t;
    uint32_t n = 0;

    for (size_t i = 0; i < LIMIT_PLACEMENTS; i++)
        placements[i] = (struct placement){
            UINT64_MAX, LIMIT_TASKS_PER_JOB - 1, UINT32_MAX, UINT64_MAX};
    command_pack(&c, &out);
    ck_assert_int_eq(decode(buffer_view(&out), &err), 0);

    buffer_clear(&out);
    for (size_t i = 0; i < LIMIT_UPDATES; i++)
        updates[i] = (struct task_update){UINT64_MAX,
                                          TASK_LOST,
                                          TASK_REASON_SHIM_LOST,
                                          INT32_MIN,
                                          {TEXT, sizeof(TEXT)},
                                          HEALTH_FAILING,
                                          UINT32_MAX};
    c = (struct command){.kind = COMMAND_TASK_UPDATE,
                         .task_update = {.agent = UINT64_MAX,
                                         .updates = updates,
                                         .count = LIMIT_UPDATES}};
    command_pack(&c, &out);
    ck_assert_int_eq(command_unpack(&c, buffer_view(&out), &err), 0);
    for (; command_next_update(&c, &at, &t); n++)
        ck_assert_uint_eq(t.message.size, LIMIT_MESSAGE_BYTES); /* cut */
    ck_assert_uint_eq(n, LIMIT_UPDATES);
    ck_assert(!command_next_update(&c, &at, &t));
}
END_TEST

START_TEST(test_too_long_list)
{
    pack_array(&out, 2);
    pack_uint(&out, COMMAND_PLACE);
    pack_array(&out, LIMIT_PLACEMENTS + 1);
    for (int i = 0; i <= LIMIT_PLACEMENTS; i++)
        pack_array(&out, 0);
    ck_assert_error(
        decode(buffer_view(&out), &err), err, ERROR_INVALID, "longer than its limit");
}
END_TEST

START_TEST(test_walk_of_another_kind_is_a_bug)
{
    struct command c = {.kind = COMMAND_KILL};
    struct command_cursor at = {0};
    struct placement p;

    command_next_placement(&c, &at, &p);
}
END_TEST

/* ---- entries ---- */

static int open_entry(struct bytes bytes, struct error *e)
{
    struct entry_reader r;

    return entry_open(&r, bytes, e);
}

START_TEST(test_entry)
{
    struct entry_reader r;
    struct bytes command;

    entry_begin(&out, 0x0102030405060708);
    ck_assert_uint_eq(out.size, ENTRY_HEADER_BYTES);
    ck_assert_int_eq(entry_open(&r, buffer_view(&out), &err), 0);
    ck_assert(!entry_next(&r, &command));
    entry_append(&out, LITERAL("abc"));
    entry_append(&out, LITERAL("d"));
    ck_assert_bytes_eq(buffer_view(&out),
                       LITERAL("\x03\x08\x07\x06\x05\x04\x03\x02\x01\x03\0\0\0"
                               "abc\x01\0\0\0"
                               "d"));
    ck_assert_int_eq(entry_open(&r, buffer_view(&out), &err), 0);
    ck_assert_uint_eq(r.stamp_us, 0x0102030405060708);
    ck_assert(entry_next(&r, &command));
    ck_assert_bytes_eq(command, LITERAL("abc"));
    ck_assert(entry_next(&r, &command));
    ck_assert_bytes_eq(command, LITERAL("d"));
    ck_assert(!entry_next(&r, &command));
}
END_TEST

/* A cut is seen, unless it is between two commands: the log's checksum is for that. */
START_TEST(test_entry_cut)
{
    entry_begin(&out, 1);
    entry_append(&out, LITERAL("abcdef"));
    entry_append(&out, LITERAL("gh"));
    for (size_t size = 0; size < out.size; size++) {
        bool whole = size == ENTRY_HEADER_BYTES || size == ENTRY_HEADER_BYTES + 10;

        ck_assert_int_eq(open_entry((struct bytes){out.data, size}, &err) == 0, whole);
    }
}
END_TEST

START_TEST(test_entry_rules)
{
    entry_begin(&out, 1);
    out.data[0] = ENTRY_VERSION + 1;
    ck_assert_error(
        open_entry(buffer_view(&out), &err), err, ERROR_VERSION, "format version 4");
    out.data[0] = 0;
    ck_assert_error(
        open_entry(buffer_view(&out), &err), err, ERROR_VERSION, "format version 0");
    out.data[0] = 1;
    buffer_append_u32(&out, 0);
    ck_assert_error(open_entry(buffer_view(&out), &err), err, ERROR_INVALID, "sizes");
    store_u32(out.data + ENTRY_HEADER_BYTES, LIMIT_COMMAND_BYTES + 1);
    buffer_reserve(&out, LIMIT_COMMAND_BYTES + 1);
    memset(out.data + out.size, 0, LIMIT_COMMAND_BYTES + 1);
    out.size += LIMIT_COMMAND_BYTES + 1;
    ck_assert_error(open_entry(buffer_view(&out), &err), err, ERROR_INVALID, "sizes");
}
END_TEST

START_TEST(test_empty_command_is_a_bug)
{
    entry_begin(&out, 1);
    entry_append(&out, (struct bytes){0});
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("command");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, test_names);
    tcase_add_loop_test(t, test_random_round_trip, 0, COUNT(KINDS));
    tcase_add_loop_test(t, test_every_cut, 0, COUNT(KINDS));
    tcase_add_test(t, test_unknown_kind);
    tcase_add_test(t, test_too_large);
    tcase_add_test(t, test_newer_field);
    tcase_add_test(t, test_submit_rules);
    tcase_add_loop_test(t, test_update_rules, 0, TASK_STATE_COUNT + 1);
    tcase_add_test(t, test_unknown_reason);
    tcase_add_test(t, test_longest_lists);
    tcase_add_test(t, test_too_long_list);
    tcase_add_test_raise_signal(t, test_walk_of_another_kind_is_a_bug, SIGABRT);
    tcase_add_test(t, test_entry);
    tcase_add_test(t, test_entry_cut);
    tcase_add_test(t, test_entry_rules);
    tcase_add_test_raise_signal(t, test_empty_command_is_a_bug, SIGABRT);
    return unit_run("command", &t, 1);
}
