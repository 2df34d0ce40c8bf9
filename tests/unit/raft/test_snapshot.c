/* test_snapshot.c - taking, installing, and what a start may find after a crash in between. */
#include "tests/lib/unit.h"
#include "tests/unit/raft/rig.h"

#include <string.h>

#define TRAILING 4

/* Three masters that take a snapshot (8 bytes for each index) after 9 entries (72 bytes each), in
 * chunks of two indexes. */
static void three_that_keep(struct rig *rig, uint64_t trailing_bytes)
{
    rig_init(rig, 3);
    for (uint64_t id = 1; id <= 3; id++) {
        rig->nodes[id].config.snapshot_bytes = 600;
        rig->nodes[id].config.snapshot_chunk_bytes = 16;
        rig->nodes[id].config.trailing_entries = TRAILING;
        rig->nodes[id].config.trailing_bytes = trailing_bytes;
    }
    rig_start_all(rig);
    rig_elect(rig, 1);
    rig_run(rig, 150);
}

static void three(struct rig *rig)
{
    three_that_keep(rig, LIMIT_TRAILING_BYTES);
}

static void submit(struct rig *rig, uint64_t id, unsigned count)
{
    while (count-- > 0)
        ck_assert_uint_gt(rig_submit(rig, id, 100 + rig->now_ms++), 0);
    rig_flow(rig);
}

static void all_equal(struct rig *rig)
{
    rig_run(rig, 300);
    for (uint64_t id = 1; id <= rig->voters; id++) {
        ck_assert_str_eq(rig->nodes[id].fatal, "");
        ck_assert_uint_eq(rig->nodes[id].applied, rig->nodes[1].applied);
        for (uint64_t i = 1; i <= rig->nodes[1].applied; i++)
            ck_assert_uint_eq(rig->nodes[id].values[i], rig->nodes[1].values[i]);
    }
}

/* ---- take ---- */

START_TEST(taken_when_enough_was_applied)
{
    struct rig rig;

    three(&rig);
    submit(&rig, 1, 5);
    rig_run(&rig, 150);
    ck_assert_uint_eq(rig_counters(&rig, 1)->snapshots_taken, 0);
    for (int i = 0; i < 4; i++) {
        submit(&rig, 1, 9);
        rig_run(&rig, 150);
    }
    for (uint64_t id = 1; id <= 3; id++) {
        const struct rig_node *n = &rig.nodes[id];

        ck_assert_uint_eq(rig_counters(&rig, id)->snapshots_taken, 4);
        ck_assert_uint_eq(replica_snapshot_index(n->replica), n->snapshot.meta.index);
        ck_assert_uint_eq(n->snapshot.bytes.size, 8 * n->snapshot.meta.index);
        ck_assert_uint_eq(n->snapshot.meta.configuration_index, 1);
    }
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

static uint64_t next_snapshot(struct rig *rig)
{
    uint64_t before = replica_snapshot_index(rig->nodes[1].replica);

    while (replica_snapshot_index(rig->nodes[1].replica) == before)
        submit(rig, 1, 1);
    return replica_snapshot_index(rig->nodes[1].replica);
}

/* A quarter of the last one is to be in the log: here entries count 72 bytes, states 8 for each. */
START_TEST(large_ones_are_taken_more_rarely)
{
    struct rig rig;
    uint64_t index, next;

    three(&rig);
    submit(&rig, 1, 400);
    index = next_snapshot(&rig);
    next = next_snapshot(&rig);
    ck_assert_uint_gt(8 * index / 4, 600);
    ck_assert_uint_ge((next - index) * 72, 8 * index / 4);
    ck_assert_uint_lt((next - index - 1) * 72, 8 * index / 4);
    rig_finish(&rig);
}
END_TEST

/* A large state: four chunks, then the walk waits for the store; applying goes on. */
START_TEST(walk_waits_for_the_store)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[1];
    uint64_t index;

    rig_init(&rig, 3);
    for (uint64_t id = 1; id <= 3; id++) {
        rig.nodes[id].config.snapshot_bytes = 72 * 100;
        rig.nodes[id].config.snapshot_chunk_bytes = 64;
    }
    rig_start_all(&rig);
    rig_elect(&rig, 1);
    n->snapshots_by_hand = true;
    submit(&rig, 1, 110);
    index = rig_said(&rig, 1, REPLICA_SNAPSHOT_BEGIN, 0)->a;
    ck_assert_uint_eq(n->chunks_unwritten, 4);
    ck_assert_uint_eq(n->draft.bytes.size, 4 * 64);
    submit(&rig, 1, 20);
    ck_assert_uint_eq(n->chunks_unwritten, 4);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_SNAPSHOT_COMMIT), 0);
    ck_assert_uint_gt(n->applied, index + 15);
    rig_snapshot_written(&rig, 1);
    ck_assert_uint_eq(n->chunks_unwritten, 4);
    ck_assert_uint_eq(n->draft.bytes.size, 5 * 64);
    n->snapshots_by_hand = false;
    rig_flow(&rig);
    ck_assert_uint_eq(n->snapshot.meta.index, index);
    ck_assert_uint_eq(n->snapshot.bytes.size, 8 * index); /* as it was then */
    rig_finish(&rig);
}
END_TEST

/* Only what is durable here may replace the log here. */
START_TEST(not_taken_of_what_is_not_durable)
{
    struct rig rig;

    three(&rig);
    rig.nodes[1].disk_by_hand = true;
    submit(&rig, 1, 20);
    ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 1)), 22);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_SNAPSHOT_BEGIN), 0);
    rig_disk(&rig, 1);
    ck_assert_uint_eq(rig_said(&rig, 1, REPLICA_SNAPSHOT_BEGIN, 0)->a, 22);
    rig_finish(&rig);
}
END_TEST

/* The log is trimmed after the snapshot is safe, and `trailing` entries stay. */
START_TEST(log_is_trimmed_when_the_snapshot_is_saved)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[1];
    uint64_t index;

    three(&rig);
    n->snapshots_by_hand = true;
    submit(&rig, 1, 12);
    index = n->draft.meta.index;
    while (n->chunks_unwritten > 0) {
        rig_snapshot_written(&rig, 1);
        rig_flow(&rig);
    }
    ck_assert_uint_eq(n->log.first, 1);
    rig_snapshot_saved(&rig, 1);
    rig_flow(&rig);
    ck_assert_uint_eq(n->log.first, index - TRAILING + 1);
    ck_assert_uint_eq(replica_entry_term(rig_replica(&rig, 1), index - TRAILING - 1),
                      0);
    ck_assert_uint_ne(replica_entry_term(rig_replica(&rig, 1), index - TRAILING + 1),
                      0);
    submit(&rig, 1, 3);
    n->snapshots_by_hand = false;
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* Entries have 8 bytes here: fewer than `trailing` stay where they are large. */
START_TEST(few_large_entries_stay)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[1];

    three_that_keep(&rig, 2 * 8 + 7);
    submit(&rig, 1, 40);
    ck_assert_uint_gt(n->snapshot.meta.index, TRAILING);
    ck_assert_uint_eq(n->log.first, n->snapshot.meta.index - 2 + 1);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* ---- install ---- */

/* 3 was away while the others went on and trimmed: it needs a snapshot. */
static void lagging_third(struct rig *rig)
{
    three(rig);
    rig_isolate(rig, 3);
    submit(rig, 1, 30);
    ck_assert_uint_gt(rig->nodes[1].log.first, 3);
    rig->nodes[3].snapshots_by_hand = true;
    rig_forget(rig, 3);
    rig_connect(rig, 1, 3);
    rig_run(rig, 300);
    ck_assert(rig->nodes[3].promoting);
    rig->nodes[3].disk_by_hand = true;
}

START_TEST(installed_in_order)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[3];
    uint64_t index;

    lagging_third(&rig);
    index = n->staged.meta.index;
    ck_assert_uint_eq(rig_said(&rig, 3, REPLICA_SNAPSHOT_PROMOTE, 0)->a, 1);
    ck_assert_uint_eq(rig_count(&rig, 3, REPLICA_SNAPSHOT_LOAD), 0);
    ck_assert_uint_eq(rig_writing(&rig, 3), 0); /* the old log stays until then */
    ck_assert_uint_eq(n->applied, 2);

    rig_snapshot_promoted(&rig, 3);
    ck_assert_uint_eq(rig_count(&rig, 3, REPLICA_SNAPSHOT_LOAD), 1);
    ck_assert_uint_eq(rig_writing(&rig, 3), 1);
    ck_assert_int_eq(STAILQ_FIRST(&n->writing)->kind, LOG_RESET);
    ck_assert_uint_eq(STAILQ_FIRST(&n->writing)->reset_to, index);
    rig_snapshot_loaded(&rig, 3);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 0);
    rig_disk(&rig, 3);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 3)), index);
    ck_assert_uint_eq(replica_durable_index(rig_replica(&rig, 3)), index);
    n->disk_by_hand = n->snapshots_by_hand = false;
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

START_TEST(reset_may_be_durable_before_it_is_loaded)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[3];

    lagging_third(&rig);
    rig_snapshot_promoted(&rig, 3);
    rig_disk(&rig, 3);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 0);
    rig_snapshot_loaded(&rig, 3);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    n->disk_by_hand = n->snapshots_by_hand = false;
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* It hears its leader, and neither votes nor stands; entries wait. */
START_TEST(while_installing)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[3];

    lagging_third(&rig);
    submit(&rig, 1, 2);
    rig_run(&rig, 2000);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 3)), 1);
    ck_assert_uint_eq(rig_writing(&rig, 3), 0);
    rig_peer_up(&rig, 3, 2, 1, false);
    rig.held[3][2] = true;
    rig_forge(&rig,
              2,
              3,
              &(struct peer_message){.kind = PEER_REQUEST_VOTE,
                                     .term = 3,
                                     .vote = {.last_index = 1000,
                                              .last_term = 2,
                                              .pre_vote = true,
                                              .disrupt = true}});
    ck_assert(
        !rig_mail(&rig, 3, 2, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_isolate(&rig, 3);
    rig_time(&rig, 3, rig.now_ms + 3000);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 3)), REPLICA_FOLLOWER);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 3)), 2);
    n->disk_by_hand = n->snapshots_by_hand = false;
    rig.held[3][2] = false;
    rig_flow(&rig);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    rig_rejoin(&rig, 3);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* The leader dies meanwhile: 3 is needed as soon as it is done, not after its timer. */
START_TEST(hint_while_installing)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[3];

    lagging_third(&rig);
    rig_snapshot_promoted(&rig, 3);
    rig_disk(&rig, 3);
    rig_peer_down(&rig, 3, 1);
    for (int i = 0; i < 5; i++)
        rig_time(&rig, 3, rig.now_ms + 10);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 3)), 1);
    rig_snapshot_loaded(&rig, 3);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 3)), 0);
    n->disk_by_hand = n->snapshots_by_hand = false;
    rig_finish(&rig);
}
END_TEST

/* 3 has begun a snapshot of its own when that of the leader comes. */
static void walking_third(struct rig *rig)
{
    three(rig);
    rig->nodes[3].snapshots_by_hand = true;
    submit(rig, 1, 12);
    rig_run(rig, 150);
    ck_assert_uint_eq(rig->nodes[3].chunks_unwritten, 4);
    rig_isolate(rig, 3);
    submit(rig, 1, 30);
}

START_TEST(own_snapshot_is_abandoned)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[3];

    walking_third(&rig);
    rig_connect(&rig, 1, 3);
    rig_run(&rig, 300);
    ck_assert(n->promoting);
    ck_assert_uint_eq(rig_count(&rig, 3, REPLICA_SNAPSHOT_ABANDON), 1);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_abandoned, 1);
    while (n->chunks_unwritten > 0) /* the store had them in hand */
        rig_snapshot_written(&rig, 3);
    ck_assert_uint_eq(n->draft.bytes.size, 0);
    n->snapshots_by_hand = false;
    rig_flow(&rig);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    all_equal(&rig);
    submit(&rig, 1, 20); /* and it takes its own again */
    rig_run(&rig, 150);
    ck_assert_uint_gt(rig_counters(&rig, 3)->snapshots_taken, 0);
    rig_finish(&rig);
}
END_TEST

/* It was whole already: it may still become current, for a moment. */
START_TEST(own_snapshot_is_saved_too_late)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[3];

    walking_third(&rig);
    while (!n->sealing) {
        rig_snapshot_written(&rig, 3);
        rig_flow(&rig);
    }
    rig_connect(&rig, 1, 3);
    rig_run(&rig, 300);
    ck_assert(n->promoting);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_abandoned, 1);
    rig_snapshot_saved(&rig, 3);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_taken, 0);
    ck_assert_uint_eq(rig_writing(&rig, 3), 0); /* nothing is trimmed for it */
    n->snapshots_by_hand = false;
    n->chunks_unwritten = 0;
    rig_flow(&rig);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* What we have already, or what comes from somebody who does not lead, is not installed. */
START_TEST(snapshots_that_are_of_no_use)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[3];

    three(&rig);
    submit(&rig, 1, 30);
    rig_run(&rig, 200);
    rig_forget(&rig, 3);
    rig_snapshot_leaves(&rig.nodes[1], 3);
    rig_snapshot_arrives(&rig, 1, 3); /* behind our commit index */
    rig_set_snapshot(&rig, 2, 500, 2);
    rig_snapshot_leaves(&rig.nodes[2], 3);
    rig_snapshot_arrives(&rig, 2, 3); /* not our leader */
    ck_assert_uint_eq(rig_count(&rig, 3, REPLICA_SNAPSHOT_PROMOTE), 0);
    ck_assert(!n->promoting);
    rig_finish(&rig);
}
END_TEST

/* The library names the same transfer at every heartbeat; one runs. */
START_TEST(one_transfer_for_each_peer)
{
    struct rig rig;

    three(&rig);
    rig_isolate(&rig, 3);
    submit(&rig, 1, 30);
    rig_forget(&rig, 1);
    rig_connect(&rig, 1, 3);
    for (int i = 0; i < 10; i++) { /* the transfer does not arrive */
        rig_time(&rig, 1, rig.now_ms + 100);
        while (rig_mail(&rig, 0, 0, 0) != NULL)
            rig_deliver(&rig, rig_mail(&rig, 0, 0, 0));
    }
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_SNAPSHOT_SEND), 1);
    rig_step(&rig,
             1,
             &(struct replica_event){.kind = REPLICA_SNAPSHOT_SENT,
                                     .snapshot_sent.peer = 3});
    rig.nodes[1].transferring[3] = false; /* it failed */
    rig_run(&rig, 1500);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_SNAPSHOT_SEND), 2);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* Until 1 sends its snapshot to 3; what it sends is held, messages are delivered by hand. */
static void begin_transfer(struct rig *rig)
{
    while (!rig->nodes[1].transferring[3]) {
        rig_time(rig, 1, rig->now_ms + 50);
        rig_deliver_all(rig, 1, 3);
        rig_flow(rig);
    }
}

static void fail_transfer(struct rig *rig)
{
    rig->nodes[1].transferring[3] = false;
    rig_step(rig,
             1,
             &(struct replica_event){.kind = REPLICA_SNAPSHOT_SENT,
                                     .snapshot_sent.peer = 3});
}

/* The leader takes two more snapshots while one is on its way, and a refusal of the first comes
 * between them: the library waits for the second, the peer gets the first and refuses the third. */
START_TEST(transfer_that_is_too_old_when_it_arrives)
{
    struct rig rig;
    uint64_t first;

    three(&rig);
    rig_isolate(&rig, 3);
    submit(&rig, 1, 30);
    first = replica_snapshot_index(rig_replica(&rig, 1));
    rig.held[1][3] = true; /* the transfer does not arrive; messages do, by hand */
    rig_connect(&rig, 1, 3);
    begin_transfer(&rig);
    rig.held[3][1] = true;
    while (rig_mails(&rig, 3, 1, PEER_APPEND_ENTRIES_RESULT) == 0) {
        rig_time(&rig, 1, rig.now_ms + 50);
        rig_deliver_all(&rig, 1, 3);
    }
    submit(&rig, 1, 30);
    rig.held[3][1] = false;
    submit(&rig, 1, 30);
    ck_assert_uint_gt(replica_snapshot_index(rig_replica(&rig, 1)), first + 40);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_SNAPSHOT_SEND), 1);
    rig.held[1][3] = false;
    rig_run(&rig, 1000);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 2);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* The leader takes the next snapshot while one is on its way, and that one fails: what 3 refuses
 * from then on names another index than the library waits for. */
START_TEST(transfer_that_fails_behind_the_next_snapshot)
{
    struct rig rig;
    uint64_t first;

    three(&rig);
    rig_isolate(&rig, 3);
    submit(&rig, 1, 30);
    first = replica_snapshot_index(rig_replica(&rig, 1));
    rig.held[1][3] = true; /* no transfer arrives by itself, messages do by hand */
    rig_connect(&rig, 1, 3);
    for (int i = 0; i < 8; i++) {
        rig_time(&rig, 1, rig.now_ms + 50);
        rig_deliver_all(&rig, 1, 3);
        rig_flow(&rig);
    }
    ck_assert(rig.nodes[1].transferring[3]);
    submit(&rig, 1, 20);
    ck_assert_uint_gt(replica_snapshot_index(rig_replica(&rig, 1)), first);
    for (int i = 0; i < 8; i++) {
        rig_time(&rig, 1, rig.now_ms + 50);
        rig_deliver_all(&rig, 1, 3);
        rig_flow(&rig);
    }
    fail_transfer(&rig);
    rig.held[1][3] = false;
    rig_run(&rig, 1000);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* The peer was away for so long that the library waits for nothing any more, and what it wanted
 * to be sent is no longer in the log: then what the peer refuses is all that counts. */
START_TEST(transfer_that_failed_long_ago)
{
    struct rig rig;

    three(&rig);
    rig_isolate(&rig, 3);
    submit(&rig, 1, 30);
    rig.held[1][3] = true;
    rig_connect(&rig, 1, 3);
    begin_transfer(&rig);
    rig_isolate(&rig, 3);
    fail_transfer(&rig);
    rig_run(&rig, 2000);
    submit(&rig, 1, 40);
    rig_run(&rig, 2000);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    rig.held[1][3] = false;
    rig_rejoin(&rig, 3);
    rig_run(&rig, 1000);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* What was to be sent in an earlier reign says nothing in the next one. */
START_TEST(transfer_that_failed_before_another_led)
{
    struct rig rig;

    three(&rig);
    rig_isolate(&rig, 3);
    submit(&rig, 1, 30);
    rig.held[1][3] = true;
    rig_connect(&rig, 1, 3);
    begin_transfer(&rig);
    rig_isolate(&rig, 3);
    fail_transfer(&rig);
    rig_transfer(&rig, 1, 2);
    rig_run(&rig, 300);
    ck_assert(replica_leads(rig_replica(&rig, 2)));
    rig_transfer(&rig, 2, 1);
    rig_run(&rig, 300);
    submit(&rig, 1, 3);
    rig.held[1][3] = false;
    rig_rejoin(&rig, 3);
    rig_run(&rig, 1000);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* ---- crashes ---- */

START_TEST(crash_before_the_promotion_is_durable)
{
    struct rig rig;

    lagging_third(&rig);
    rig.nodes[3].disk_by_hand = rig.nodes[3].snapshots_by_hand = false;
    rig_crash(&rig, 3);
    ck_assert_uint_eq(rig.nodes[3].snapshot.meta.index, 0);
    ck_assert_uint_eq(rig.nodes[3].log.count, 2);
    rig_start(&rig, 3);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 2);
    rig_rejoin(&rig, 3);
    rig_run(&rig, 300);
    ck_assert_uint_eq(rig_counters(&rig, 3)->snapshots_installed, 1);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* Promoted, and the log still ends before it. */
START_TEST(crash_before_the_reset_is_durable)
{
    struct rig rig;
    uint64_t index;

    lagging_third(&rig);
    index = rig.nodes[3].staged.meta.index;
    rig_snapshot_promoted(&rig, 3);
    rig.nodes[3].disk_by_hand = rig.nodes[3].snapshots_by_hand = false;
    rig_crash(&rig, 3);
    ck_assert_uint_eq(rig.nodes[3].log.count, 2);
    rig_start(&rig, 3);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), index);
    ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 3)), index);
    ck_assert_int_eq(STAILQ_FIRST(&rig.nodes[3].writing)->kind, LOG_RESET);
    rig_rejoin(&rig, 3);
    all_equal(&rig);
    ck_assert_uint_gt(rig.nodes[3].log.first, index - TRAILING);
    rig_finish(&rig);
}
END_TEST

/* Reset, and not yet loaded: an empty log right behind the snapshot. */
START_TEST(crash_before_it_is_loaded)
{
    struct rig rig;
    uint64_t index;

    lagging_third(&rig);
    index = rig.nodes[3].staged.meta.index;
    rig_snapshot_promoted(&rig, 3);
    rig_disk(&rig, 3);
    rig.nodes[3].disk_by_hand = rig.nodes[3].snapshots_by_hand = false;
    rig_crash(&rig, 3);
    ck_assert_uint_eq(rig.nodes[3].log.count, 0);
    ck_assert_uint_eq(rig.nodes[3].log.first, index + 1);
    rig_start(&rig, 3);
    ck_assert_uint_eq(rig_writing(&rig, 3), 0);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), index);
    rig_rejoin(&rig, 3);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

START_TEST(crash_between_snapshot_and_trim)
{
    struct rig rig;
    struct rig_node *n = &rig.nodes[1];

    three(&rig);
    n->snapshots_by_hand = true;
    submit(&rig, 1, 12);
    while (!n->sealing) {
        rig_snapshot_written(&rig, 1);
        rig_flow(&rig);
    }
    n->disk_by_hand = true;
    rig_snapshot_saved(&rig, 1);
    ck_assert_int_eq(STAILQ_FIRST(&n->writing)->kind, LOG_TRIM);
    n->disk_by_hand = n->snapshots_by_hand = false;
    rig_crash(&rig, 1);
    ck_assert_uint_eq(n->log.first, 1);
    rig_start(&rig, 1);
    ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 1)),
                      n->snapshot.meta.index);
    rig_rejoin(&rig, 1);
    all_equal(&rig);
    rig_finish(&rig);
}
END_TEST

/* ---- what a start finds ---- */

static void
start_second(struct rig *rig, uint64_t snapshot, uint64_t first, uint32_t count)
{
    rig_init(rig, 3);
    rig_set_disk(rig, 2, 5, 0);
    if (snapshot > 0)
        rig_set_snapshot(rig, 2, snapshot, 5);
    rig_set_log(rig, 2, first, count, 5);
    rig_start(rig, 2);
}

/* The log is dropped, and what the leader sends next is appended behind the snapshot. */
static void begins_behind(struct rig *rig, uint64_t index)
{
    struct log_entry e = {.term = 6, .kind = ENTRY_NOOP};

    ck_assert_str_eq(rig->nodes[2].fatal, "");
    ck_assert_uint_eq(replica_last_index(rig_replica(rig, 2)), index);
    ck_assert_uint_eq(replica_commit_index(rig_replica(rig, 2)), index);
    ck_assert_int_eq(STAILQ_FIRST(&rig->nodes[2].writing)->kind, LOG_RESET);
    rig_peer_up(rig, 2, 1, 1, true);
    rig_forge(rig,
              1,
              2,
              &(struct peer_message){.kind = PEER_APPEND_ENTRIES,
                                     .term = 6,
                                     .append = {.prev_index = index,
                                                .prev_term = 5,
                                                .commit = index + 1,
                                                .entries = {index + 1, 1, &e}}});
    rig_flow(rig);
    ck_assert_uint_eq(replica_applied_index(rig_replica(rig, 2)), index + 1);
    ck_assert_uint_eq(rig->nodes[2].log.first, index + 1);
    ck_assert_uint_eq(rig->nodes[2].log.count, 1);
}

START_TEST(log_that_ends_before_the_snapshot)
{
    struct rig rig;

    start_second(&rig, 20, 1, 10);
    begins_behind(&rig, 20);
    rig_finish(&rig);
}
END_TEST

START_TEST(empty_log_with_a_base_older_than_the_snapshot)
{
    struct rig rig;

    start_second(&rig, 20, 15, 0);
    begins_behind(&rig, 20);
    rig_finish(&rig);
}
END_TEST

/* Entries of our own that the leader did not have: the snapshot came to replace them. */
START_TEST(log_that_differs_from_the_snapshot)
{
    struct rig rig;

    rig_init(&rig, 3);
    rig_set_disk(&rig, 2, 5, 0);
    rig_set_snapshot(&rig, 2, 20, 5);
    rig_set_log(&rig, 2, 10, 15, 4);
    rig_start(&rig, 2);
    begins_behind(&rig, 20);
    rig_finish(&rig);
}
END_TEST

START_TEST(empty_log_right_behind_the_snapshot)
{
    struct rig rig;

    start_second(&rig, 20, 21, 0);
    ck_assert_uint_eq(rig_writing(&rig, 2), 0);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 2)), 20);
    ck_assert_uint_eq(replica_entry_term(rig_replica(&rig, 2), 20), 5);
    rig_finish(&rig);
}
END_TEST

START_TEST(log_around_and_behind_the_snapshot)
{
    static const uint64_t firsts[] = {1, 15, 20, 21};

    for (size_t i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
        struct rig rig;

        start_second(&rig, 20, firsts[i], (uint32_t)(26 - firsts[i]));
        ck_assert_str_eq(rig.nodes[2].fatal, "");
        ck_assert_uint_eq(rig_writing(&rig, 2), 0);
        ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 2)), 25);
        ck_assert_uint_eq(replica_durable_index(rig_replica(&rig, 2)), 25);
        ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 2)), 20);
        rig_finish(&rig);
    }
}
END_TEST

/* Whoever lacks entries that it acknowledged must not vote. */
START_TEST(missing_entries_stop_the_master)
{
    struct rig rig;

    start_second(&rig, 20, 22, 4);
    ck_assert_ptr_nonnull(strstr(rig.nodes[2].fatal, "entries 21 to 21"));
    rig_time(&rig, 2, rig.now_ms + 5000);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 2)), REPLICA_FOLLOWER);
    rig_finish(&rig);
    start_second(&rig, 0, 5, 4);
    ck_assert_ptr_nonnull(strstr(rig.nodes[2].fatal, "entries 1 to 4"));
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("snapshot",
          unit_case("take",
                    taken_when_enough_was_applied,
                    large_ones_are_taken_more_rarely,
                    walk_waits_for_the_store,
                    not_taken_of_what_is_not_durable,
                    log_is_trimmed_when_the_snapshot_is_saved,
                    few_large_entries_stay),
          unit_case("install",
                    installed_in_order,
                    reset_may_be_durable_before_it_is_loaded,
                    while_installing,
                    hint_while_installing,
                    own_snapshot_is_abandoned,
                    own_snapshot_is_saved_too_late,
                    snapshots_that_are_of_no_use,
                    one_transfer_for_each_peer,
                    transfer_that_fails_behind_the_next_snapshot,
                    transfer_that_is_too_old_when_it_arrives,
                    transfer_that_failed_long_ago,
                    transfer_that_failed_before_another_led),
          unit_case("crash",
                    crash_before_the_promotion_is_durable,
                    crash_before_the_reset_is_durable,
                    crash_before_it_is_loaded,
                    crash_between_snapshot_and_trim),
          unit_case("start",
                    log_that_ends_before_the_snapshot,
                    empty_log_with_a_base_older_than_the_snapshot,
                    log_that_differs_from_the_snapshot,
                    empty_log_right_behind_the_snapshot,
                    log_around_and_behind_the_snapshot,
                    missing_entries_stop_the_master))
