/* test_outbox.c - what waits before it goes out: for a durable term and vote, and for payloads
 * that left memory (joint 3). */
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft/rig.h"

/* ---- held until the term and vote are durable ---- */

static void vote_request(struct rig *rig, uint64_t from, uint64_t to, uint64_t term)
{
    rig_forge(
        rig,
        from,
        to,
        &(struct peer_message){.kind = PEER_REQUEST_VOTE,
                               .term = term,
                               .vote = {.last_index = 100, .last_term = term - 1}});
}

/* Master 2 among ghosts, its disk moved by hand. */
static void alone(struct rig *rig)
{
    rig_init(rig, 3);
    rig->nodes[2].disk_by_hand = true;
    rig_start(rig, 2);
    rig_peer_up(rig, 2, 1, 1, false);
    rig_peer_up(rig, 2, 3, 1, false);
}

START_TEST(vote_waits_for_the_disk)
{
    struct rig rig;

    alone(&rig);
    vote_request(&rig, 1, 2, 5);
    ck_assert_uint_eq(rig_mails(&rig, 2, 0, 0), 0);
    ck_assert_uint_eq(rig_counters(&rig, 2)->messages_held, 1);
    rig_disk(&rig, 2);
    ck_assert_uint_eq(rig.nodes[2].term, 5);
    ck_assert_uint_eq(rig.nodes[2].vote, 1);
    ck_assert(
        rig_mail(&rig, 2, 1, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_finish(&rig);
}
END_TEST

/* Crashed before the vote was durable: it may vote for another, as nobody heard of the first. */
START_TEST(vote_that_was_not_durable_was_never_given)
{
    struct rig rig;

    alone(&rig);
    vote_request(&rig, 1, 2, 5);
    ck_assert_uint_eq(rig_mails(&rig, 2, 1, 0), 0);
    rig_crash(&rig, 2);
    rig_start(&rig, 2);
    rig_peer_up(&rig, 2, 3, 1, false);
    vote_request(&rig, 3, 2, 5);
    rig_disk(&rig, 2);
    ck_assert(
        rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_finish(&rig);
}
END_TEST

START_TEST(vote_that_was_given_is_remembered)
{
    struct rig rig;

    alone(&rig);
    vote_request(&rig, 1, 2, 5);
    rig_disk(&rig, 2);
    rig_drop(&rig, 2, 1);
    rig_crash(&rig, 2);
    rig_start(&rig, 2);
    rig_peer_up(&rig, 2, 3, 1, false);
    vote_request(&rig, 3, 2, 5);
    rig_disk(&rig, 2);
    ck_assert(
        !rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_finish(&rig);
}
END_TEST

/* A pre-vote changes no term: its requests go at once, those of the real vote wait. */
START_TEST(candidacy_waits_for_the_disk)
{
    struct rig rig;
    struct rig_mail *mail;

    alone(&rig);
    rig_time(&rig, 2, rig.nodes[2].deadline_ms);
    ck_assert_uint_eq(rig_mails(&rig, 2, 0, PEER_REQUEST_VOTE), 2);
    ck_assert(rig_mail(&rig, 2, 1, PEER_REQUEST_VOTE)->message.vote.pre_vote);
    rig_drop(&rig, 2, 0);

    rig_forge(
        &rig,
        1,
        2,
        &(struct peer_message){.kind = PEER_REQUEST_VOTE_RESULT,
                               .term = 2,
                               .vote_result = {.granted = true, .pre_vote = true}});
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 2)), 2);
    ck_assert_uint_eq(rig_mails(&rig, 2, 0, 0), 0);
    rig_disk(&rig, 2);
    ck_assert_uint_eq(rig.nodes[2].term, 2);
    ck_assert_uint_eq(rig.nodes[2].vote, 2);
    mail = rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE);
    ck_assert(!mail->message.vote.pre_vote);
    ck_assert_uint_eq(mail->message.term, 2);
    rig_finish(&rig);
}
END_TEST

/* The answer says "my term is 6": a leader could count on it. */
START_TEST(answers_to_a_leader_wait_for_its_term)
{
    struct rig rig;
    const struct peer_message heartbeat = {
        .kind = PEER_APPEND_ENTRIES,
        .term = 6,
        .append = {.prev_index = 1, .prev_term = 1, .commit = 1}};

    alone(&rig);
    rig_forge(&rig, 1, 2, &heartbeat);
    rig_forge(&rig,
              1,
              2,
              &(struct peer_message){
                  .kind = PEER_CONFIRM, .term = 6, .confirm = {.round = 4}});
    ck_assert_uint_eq(rig_mails(&rig, 2, 0, 0), 0);
    rig_disk(&rig, 2);
    ck_assert_uint_eq(rig_mails(&rig, 2, 1, PEER_APPEND_ENTRIES_RESULT), 1);
    ck_assert_uint_eq(rig_mail(&rig, 2, 1, PEER_CONFIRMED)->message.term, 6);
    /* the same term again: nothing to wait for */
    rig_drop(&rig, 2, 0);
    rig_forge(&rig, 1, 2, &heartbeat);
    ck_assert_uint_eq(rig_mails(&rig, 2, 1, PEER_APPEND_ENTRIES_RESULT), 1);
    rig_finish(&rig);
}
END_TEST

/* What is said while others wait goes behind them, and each waits only for its own term. */
START_TEST(held_messages_keep_their_order)
{
    struct rig rig;

    alone(&rig);
    vote_request(&rig, 1, 2, 5);
    rig_forge(&rig, /* changes nothing */
              3,
              2,
              &(struct peer_message){
                  .kind = PEER_CONFIRM, .term = 5, .confirm = {.round = 4}});
    vote_request(&rig, 3, 2, 7);
    ck_assert_uint_eq(rig_mails(&rig, 2, 0, 0), 0);
    rig_disk_one(&rig, 2);
    while (rig.nodes[2].term < 5)
        rig_disk_one(&rig, 2);
    ck_assert_uint_eq(rig.nodes[2].term, 5);
    ck_assert_uint_eq(rig_mails(&rig, 2, 1, 0), 1);
    ck_assert_uint_eq(rig_mail(&rig, 2, 1, 0)->message.term, 5);
    ck_assert_uint_eq(rig_mails(&rig, 2, 3, 0), 1);
    ck_assert_int_eq(rig_mail(&rig, 2, 3, 0)->message.kind, PEER_CONFIRMED);
    rig_drop(&rig, 2, 0);
    rig_disk(&rig, 2);
    ck_assert_uint_eq(rig_mails(&rig, 2, 3, 0), 1);
    ck_assert_uint_eq(rig_mail(&rig, 2, 3, 0)->message.term, 7);
    rig_finish(&rig);
}
END_TEST

/* ---- AppendEntries and what left memory ---- */

/* 1 leads with `count` entries of `size` bytes behind index 2; it keeps no payload that is
 * durable and applied, and 3 was away all the time. */
static void leader_without_payloads(struct rig *rig, uint64_t count, size_t size)
{
    rig_init(rig, 3);
    rig->nodes[1].config.cache_bytes = 0;
    rig_start_all(rig);
    rig_elect(rig, 1);
    rig_run(rig, 150);
    rig_isolate(rig, 3);
    for (uint64_t i = 0; i < count; i++)
        ck_assert_uint_gt(rig_submit_sized(rig, 1, 100 + i, size), 0);
    rig_run(rig, 50);
    ck_assert_uint_eq(replica_applied_index(rig_replica(rig, 1)), 2 + count);
    rig_forget(rig, 1);
    rig->nodes[1].reads_by_hand = true;
}

/* Until 1 has answered the first rejection of 3. */
static void reconnect_third(struct rig *rig)
{
    rig_connect(rig, 1, 3);
    rig_time(rig, 1, rig->now_ms + 100);
    rig_flow(rig);
}

START_TEST(payloads_are_read_back)
{
    struct rig rig;
    const struct rig_said *read;

    leader_without_payloads(&rig, 10, 8);
    reconnect_third(&rig);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_ENTRIES), 1);
    read = rig_said(&rig, 1, REPLICA_READ_ENTRIES, 0);
    ck_assert_uint_eq(read->a, 3);
    ck_assert_uint_eq(read->b, 3);
    ck_assert_uint_eq(read->c, 10);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 2);
    rig_entries_read(&rig, 1);
    rig_flow(&rig);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 12);
    ck_assert_uint_eq(rig_counters(&rig, 1)->entries_read_back, 10);
    rig_run(&rig, 200);
    ck_assert_uint_eq(rig.nodes[3].values[12], 109);
    rig_finish(&rig);
}
END_TEST

START_TEST(nothing_is_read_while_it_is_in_memory)
{
    struct rig rig;

    rig_three(&rig);
    for (uint64_t i = 0; i < 50; i++)
        rig_submit(&rig, 1, i + 1);
    rig_flow(&rig);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 52);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_ENTRIES), 0);
    rig_finish(&rig);
}
END_TEST

/* 3 must not take silence for the leader's death while the leader's disk is slow. */
START_TEST(heartbeats_do_not_wait_for_a_read)
{
    struct rig rig;

    leader_without_payloads(&rig, 10, 8);
    reconnect_third(&rig);
    ck_assert_uint_eq(rig.nodes[1].read_count, 1);
    rig_run(&rig, 3000);
    ck_assert_uint_eq(rig.nodes[1].read_count, 1);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_ENTRIES), 1);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 3)), 1);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 3)), 2);
    rig_entries_read(&rig, 1);
    rig_run(&rig, 300);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 12);
    rig_finish(&rig);
}
END_TEST

/* … and not be disturbed by them: it lacks what the leader sent last. */
START_TEST(heartbeats_meanwhile_are_not_refused)
{
    struct rig rig;
    struct rig_mail *mail;

    leader_without_payloads(&rig, 10, 8);
    reconnect_third(&rig);
    rig.held[3][1] = true;
    for (uint64_t i = 0; i < 10; i++) {
        rig_submit(&rig, 1, 900 + i);
        rig_run(&rig, 60);
    }
    ck_assert_uint_gt(rig_mails(&rig, 3, 1, PEER_APPEND_ENTRIES_RESULT), 3);
    STAILQ_FOREACH (mail, &rig.post, link)
        ck_assert_uint_eq(mail->message.append_result.rejected, 0);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_ENTRIES), 1);
    rig_finish(&rig);
}
END_TEST

/* What is new does not overtake what is being read. */
START_TEST(heads_go_in_order)
{
    struct rig rig;
    struct rig_mail *mail;
    uint64_t next = 8;

    leader_without_payloads(&rig, 10, 200 * KIB);
    reconnect_third(&rig);
    rig_entries_read(&rig, 1); /* 1 MiB: 3 to 7 */
    rig_flow(&rig);
    ck_assert_uint_eq(replica_match_index(rig_replica(&rig, 1), 3), 7);
    ck_assert_uint_eq(rig.nodes[1].reads[0].b, 8);
    rig.held[1][3] = true;
    rig_submit(&rig, 1, 999);
    rig_flow(&rig);
    ck_assert_uint_eq(rig_mails(&rig, 1, 3, 0), 0);
    rig.nodes[1].reads_by_hand = false;
    rig_flow(&rig);
    STAILQ_FOREACH (mail, &rig.post, link) {
        ck_assert_uint_eq(mail->message.append.prev_index + 1, next);
        next += mail->message.append.entries.count;
    }
    ck_assert_uint_eq(next, 14);
    rig.held[1][3] = false;
    rig_run(&rig, 300);
    ck_assert_uint_eq(rig.nodes[3].values[13], 999);
    ck_assert_uint_eq(rig_counters(&rig, 1)->entries_read_back, 11); /* each once */
    rig_finish(&rig);
}
END_TEST

static unsigned count_appends(struct rig *rig, size_t *largest)
{
    struct rig_mail *mail;
    unsigned appends = 0;

    *largest = 0;
    STAILQ_FOREACH (mail, &rig->post, link) {
        if (mail->message.kind != PEER_APPEND_ENTRIES ||
            mail->message.append.entries.count == 0)
            continue;
        appends++;
        if (mail->bytes.size > *largest)
            *largest = mail->bytes.size;
    }
    return appends;
}

/* 10 entries of 200 KiB are one AppendEntries to the library and five frames on the wire. */
START_TEST(large_appends_are_split)
{
    struct rig rig;
    size_t largest;

    rig_three(&rig);
    rig_isolate(&rig, 3);
    for (uint64_t i = 0; i < 10; i++)
        rig_submit_sized(&rig, 1, 100 + i, 200 * KIB);
    rig_run(&rig, 50);
    reconnect_third(&rig);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 12);

    rig_isolate(&rig, 3);
    for (uint64_t i = 0; i < 10; i++)
        rig_submit_sized(&rig, 1, 200 + i, 200 * KIB);
    rig_run(&rig, 50);
    rig_connect(&rig, 1, 3);
    rig_time(&rig, 1, rig.now_ms + 100);
    rig_deliver_all(&rig, 1, 3);
    rig_deliver_all(&rig, 3, 1);
    ck_assert_uint_eq(count_appends(&rig, &largest), 5);
    ck_assert_uint_le(largest, LIMIT_FRAME_BYTES);
    rig_finish(&rig);
}
END_TEST

/* The store answers with up to 1 MiB; the frames are as small as those from memory. */
START_TEST(what_is_read_back_is_split_too)
{
    struct rig rig;
    size_t largest;

    leader_without_payloads(&rig, 5, 200 * KIB);
    rig.held[1][3] = true;
    rig_connect(&rig, 1, 3);
    rig_time(&rig, 1, rig.now_ms + 100);
    rig_deliver_all(&rig, 1, 3);
    rig_deliver_all(&rig, 3, 1);
    rig_entries_read(&rig, 1);
    ck_assert_uint_eq(count_appends(&rig, &largest), 3);
    ck_assert_uint_le(largest, LIMIT_FRAME_BYTES);
    rig.held[1][3] = false;
    rig_run(&rig, 300);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 7);
    rig_finish(&rig);
}
END_TEST

/* An entry above LIMIT_APPEND_BYTES alone would never get through. */
START_TEST(at_least_one_entry_goes)
{
    struct rig rig;

    rig_three(&rig);
    ck_assert_uint_gt(rig_submit_sized(&rig, 1, 7, LIMIT_ENTRY_BYTES), 0);
    rig_run(&rig, 200);
    ck_assert_uint_eq(rig.nodes[3].values[3], 7);
    rig_finish(&rig);
}
END_TEST

/* ---- reads that come too late ---- */

START_TEST(read_for_a_peer_that_went_away)
{
    struct rig rig;
    struct log_entries late;

    leader_without_payloads(&rig, 10, 8);
    reconnect_third(&rig);
    late = rig_disk_entries(&rig, 1, rig_take_read(&rig, 1));
    ck_assert_uint_eq(late.count, 10);
    rig_close(&rig, 1, 3);
    rig_give_entries(&rig, 1, 3, &late);
    ck_assert_uint_eq(rig_mails(&rig, 1, 3, 0), 0);
    ck_assert_uint_eq(late.count, 0); /* taken all the same */
    rig_finish(&rig);
}
END_TEST

/* 1 had entries of its own, lost the leadership, had them overwritten, and leads again when the
 * store answers with what it saw before: the old payloads must not go out under new terms. */
START_TEST(entries_rewritten_since_are_not_sent)
{
    struct rig rig;
    struct log_entries late;
    struct rig_mail *mail;
    uint64_t last = 0;

    leader_without_payloads(&rig, 4, 8);
    rig_isolate(&rig, 1);
    for (uint64_t i = 0; i < 4; i++)
        rig_submit(&rig, 1, 500 + i); /* 7 to 10, nowhere else */
    rig_flow(&rig);
    late = rig_disk_entries(&rig, 1, (struct rig_said){.b = 2, .c = 9});
    rig_connect(&rig, 2, 3);
    rig_elect(&rig, 2);
    for (uint64_t i = 0; i < 8; i++)
        rig_submit(&rig, 2, 600 + i);
    rig_flow(&rig);
    rig_close(&rig, 2, 3);
    rig_connect(&rig, 1, 2);
    rig_run(&rig, 300);
    ck_assert_uint_eq(rig.nodes[1].values[8], 600);
    rig_transfer(&rig, 2, 1);
    rig_run(&rig, 300);
    ck_assert(replica_leads(rig_replica(&rig, 1)));

    rig_crash(&rig, 3); /* and comes back with entry 1 alone */
    rig_set_log(&rig, 3, 1, 1, 1);
    rig_set_disk(&rig, 3, 1, 0);
    rig_start(&rig, 3);
    reconnect_third(&rig);
    ck_assert_uint_eq(rig_take_read(&rig, 1).b, late.first);
    rig_drop(&rig, 1, 3);
    rig_give_entries(&rig, 1, 3, &late);
    STAILQ_FOREACH (mail, &rig.post, link)
        for (uint32_t i = 0; i < mail->message.append.entries.count; i++) {
            last = mail->message.append.entries.first + i;
            ck_assert_uint_eq(mail->message.append.entries.entries[i].term,
                              replica_entry_term(rig_replica(&rig, 1), last));
        }
    ck_assert_uint_eq(last, 6);
    rig_finish(&rig);
}
END_TEST

/* The log was trimmed while the store read: the library turns to the snapshot by itself. */
START_TEST(entries_trimmed_since_are_given_up)
{
    struct rig rig;
    struct log_entries nothing = {.first = 3};

    leader_without_payloads(&rig, 10, 8);
    reconnect_third(&rig);
    rig_take_read(&rig, 1);
    rig_give_entries(&rig, 1, 3, &nothing);
    ck_assert_uint_eq(rig_mails(&rig, 1, 3, 0), 0);
    ck_assert_uint_eq(rig.nodes[1].read_count, 0);
    rig.nodes[1].reads_by_hand = false;
    rig_run(&rig, 500); /* the probe is repeated, and asks again */
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 12);
    rig_finish(&rig);
}
END_TEST

/* Before the first entry is nothing, and it has no term: that is no reason to read for ever. */
START_TEST(whole_log_from_its_first_entry)
{
    struct rig rig;
    uint64_t last;

    rig_init(&rig, 3);
    rig.nodes[1].config.cache_bytes = 0;
    rig_start(&rig, 1);
    rig_start(&rig, 2);
    rig_connect(&rig, 1, 2);
    rig_elect(&rig, 1);
    rig_run(&rig, 150);
    rig_peer_up(&rig, 1, 3, 1, false);
    rig_time(&rig, 1, rig.now_ms + 100);
    last = rig_mail(&rig, 1, 3, PEER_APPEND_ENTRIES)->message.append.prev_index;
    rig_drop(&rig, 1, 3);
    rig_forge(&rig,
              3,
              1,
              &(struct peer_message){.kind = PEER_APPEND_ENTRIES_RESULT,
                                     .term = 2,
                                     .append_result = {.rejected = last}});
    ck_assert_uint_eq(rig.nodes[1].read_count, 1);
    ck_assert_uint_eq(rig.nodes[1].reads[0].b, 1);
    rig_drop(&rig, 1, 3);
    rig_entries_read(&rig, 1);
    ck_assert_uint_eq(rig.nodes[1].read_count, 0);
    ck_assert_uint_eq(rig_mail(&rig, 1, 3, 0)->message.append.prev_index, 0);
    ck_assert_uint_eq(rig_mail(&rig, 1, 3, 0)->message.append.entries.count, 2);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("outbox",
          unit_case("held",
                    vote_waits_for_the_disk,
                    vote_that_was_not_durable_was_never_given,
                    vote_that_was_given_is_remembered,
                    candidacy_waits_for_the_disk,
                    answers_to_a_leader_wait_for_its_term,
                    held_messages_keep_their_order),
          unit_case("entries",
                    payloads_are_read_back,
                    nothing_is_read_while_it_is_in_memory,
                    heartbeats_do_not_wait_for_a_read,
                    heartbeats_meanwhile_are_not_refused,
                    heads_go_in_order,
                    large_appends_are_split,
                    what_is_read_back_is_split_too,
                    at_least_one_entry_goes),
          unit_case("late reads",
                    read_for_a_peer_that_went_away,
                    entries_rewritten_since_are_not_sent,
                    entries_trimmed_since_are_given_up,
                    whole_log_from_its_first_entry))
