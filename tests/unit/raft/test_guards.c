/* test_guards.c - what ordinary and other traffic must not do to libraft (joint 5).
 *
 * Each test fails in a build with --enable-mutant=guard_bN, which takes that guard out; the
 * numbers are those of docs/spec/1-joints.md.
 */
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft/rig.h"

#include <raft.h>
#include <string.h>

/* Entries `first` … of these terms, each with a value that its index and term give. */
static void fill(struct log_entries *e, uint64_t first, uint32_t count, uint64_t term)
{
    e->first = first;
    e->count = count;
    e->entries = mem_zalloc(count * sizeof(*e->entries));
    for (uint32_t i = 0; i < count; i++) {
        e->entries[i] = (struct log_entry){
            .term = term, .kind = ENTRY_COMMANDS, .payload = blob_create(8)};
        store_u64(e->entries[i].payload->data, 1000 * term + first + i);
    }
}

/* AppendEntries out of nothing: entries prev + 1 … of one term. */
static void forge_append(struct rig *rig,
                         uint64_t from,
                         uint64_t to,
                         struct peer_message m,
                         uint32_t count,
                         uint64_t entries_term)
{
    m.kind = PEER_APPEND_ENTRIES;
    fill(&m.append.entries, m.append.prev_index + 1, count, entries_term);
    rig_forge(rig, from, to, &m);
    log_entries_finish(&m.append.entries);
}

/* ---- B1 ---- */

/* A sole voter that came back would write other entries under the same index and term: the rig
 * refuses two payloads of one (index, term). */
START_TEST(b1_sole_voter_writes_in_a_new_term)
{
    struct rig rig;

    rig_init(&rig, 1);
    rig.nodes[1].disk_by_hand = true;
    rig_start(&rig, 1);
    rig_disk(&rig, 1);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    ck_assert_uint_gt(rig_submit(&rig, 1, 111), 0);
    rig_crash(&rig, 1); /* 111 was written and is lost */

    rig_start(&rig, 1);
    rig_disk(&rig, 1);
    ck_assert_uint_gt(rig_submit(&rig, 1, 222), 0);
    rig_disk(&rig, 1);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 1)), 3);
    ck_assert_uint_eq(rig.nodes[1].values[replica_applied_index(rig_replica(&rig, 1))],
                      222);
    rig_finish(&rig);
}
END_TEST

START_TEST(b1_new_term_is_durable_before_it_is_used)
{
    struct rig rig;

    rig_init(&rig, 1);
    rig.nodes[1].disk_by_hand = true;
    rig_set_disk(&rig, 1, 4, 0);
    rig_set_log(&rig, 1, 1, 5, 4);
    rig_start(&rig, 1);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 1)), REPLICA_FOLLOWER);
    rig_time(&rig, 1, rig.now_ms + 5000);
    rig_read(&rig, 1, 1);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 1)), REPLICA_FOLLOWER);
    ck_assert_uint_eq(rig_submit(&rig, 1, 1), 0);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_FAILED), 1);
    rig_disk_one(&rig, 1);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 1)), REPLICA_LEADER);
    ck_assert_uint_eq(rig.nodes[1].term, 5);
    ck_assert_uint_eq(rig.nodes[1].vote, 1);
    rig_finish(&rig);
}
END_TEST

/* ---- B4, B5 ---- */

/* Master 2 with a snapshot at 20 and entries 18 to 23, all of term 5; ghosts around it. */
static void compacted_follower(struct rig *rig)
{
    rig_init(rig, 3);
    rig_set_disk(rig, 2, 5, 0);
    rig_set_snapshot(rig, 2, 20, 5);
    rig_set_log(rig, 2, 18, 6, 5);
    rig_start(rig, 2);
    rig_peer_up(rig, 2, 1, 1, true);
    rig_peer_up(rig, 2, 3, 1, false);
}

static const struct peer_message *answer_of(struct rig *rig, uint64_t from, uint64_t to)
{
    struct rig_mail *mail;

    rig_flow(rig);
    mail = rig_mail(rig, from, to, PEER_APPEND_ENTRIES_RESULT);
    ck_assert_ptr_nonnull(mail);
    return &mail->message;
}

START_TEST(b4_append_from_the_beginning_into_a_compacted_log)
{
    struct rig rig;

    compacted_follower(&rig);
    forge_append(
        &rig, 1, 2, (struct peer_message){.term = 6, .append = {.commit = 20}}, 4, 1);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 2)), 23);
    ck_assert_uint_eq(answer_of(&rig, 2, 1)->append_result.rejected, 0);
    ck_assert_uint_eq(answer_of(&rig, 2, 1)->append_result.last_index, 20);
    ck_assert_uint_eq(rig.nodes[2].log.count, 6);
    ck_assert_uint_eq(rig_counters(&rig, 2)->guard_prefix, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(b4_append_from_below_the_log_to_beyond_it)
{
    struct rig rig;

    compacted_follower(&rig);
    forge_append(
        &rig,
        1,
        2,
        (struct peer_message){
            .term = 6, .append = {.prev_index = 10, .prev_term = 5, .commit = 22}},
        16,
        5);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 2)), 26);
    ck_assert_uint_eq(answer_of(&rig, 2, 1)->append_result.rejected, 0);
    ck_assert_uint_eq(answer_of(&rig, 2, 1)->append_result.last_index, 26);
    ck_assert_uint_eq(rig.nodes[2].log.count, 9);
    ck_assert_uint_eq(load_u64(rig.nodes[2].log.entries[8].payload->data), 5026);
    ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 2)), 22);
    rig_finish(&rig);
}
END_TEST

/* The whole of the message is below what is committed, and it comes late. */
START_TEST(b5_commit_index_never_goes_back)
{
    struct rig rig;
    const struct peer_message heartbeat = {
        .kind = PEER_APPEND_ENTRIES,
        .term = 6,
        .append = {.prev_index = 20, .prev_term = 5, .commit = 15}};

    rig_init(&rig, 3);
    rig_set_disk(&rig, 2, 5, 0);
    rig_set_log(&rig, 2, 1, 20, 5);
    rig_start(&rig, 2);
    rig_peer_up(&rig, 2, 1, 1, true);
    rig_forge(&rig, 1, 2, &heartbeat);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 2)), 15);
    forge_append(
        &rig,
        1,
        2,
        (struct peer_message){
            .term = 6, .append = {.prev_index = 5, .prev_term = 5, .commit = 18}},
        2,
        5);
    ck_assert_uint_eq(rig_counters(&rig, 2)->commit_regressions, 0);
    ck_assert_uint_eq(rig_counters(&rig, 2)->guard_prefix, 1);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 2)), 15);
    rig_finish(&rig);
}
END_TEST

/* The same with entries that differ: the library would cut off what is committed. */
START_TEST(b5_what_is_committed_is_not_written_again)
{
    struct rig rig;

    rig_init(&rig, 3);
    rig_set_disk(&rig, 2, 5, 0);
    rig_set_log(&rig, 2, 1, 20, 5);
    rig_start(&rig, 2);
    rig_peer_up(&rig, 2, 1, 1, true);
    forge_append(
        &rig,
        1,
        2,
        (struct peer_message){
            .term = 6, .append = {.prev_index = 20, .prev_term = 5, .commit = 20}},
        0,
        6);
    forge_append(
        &rig,
        1,
        2,
        (struct peer_message){
            .term = 6, .append = {.prev_index = 5, .prev_term = 5, .commit = 30}},
        16,
        5);
    rig_flow(&rig);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 2)), 21);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 2)), 21);
    ck_assert_uint_eq(rig_counters(&rig, 2)->commit_regressions, 0);
    ck_assert_uint_eq(rig.nodes[2].log.count, 21);
    rig_finish(&rig);
}
END_TEST

/* ---- B6 ---- */

/* 3 refuses a probe, and the answer comes twice: again after 3 has caught up and was silent for
 * a tick.  Without the guard 3 gets only heartbeats from then on, and with 2 down nothing is
 * committed any more. */
START_TEST(b6_stale_rejection_does_not_starve_a_follower)
{
    struct rig rig;
    struct rig_mail *late;

    rig_three(&rig);
    rig_crash(&rig, 2);
    rig.nodes[1].disk_by_hand = true; /* so that its entries count only on 3 */
    rig_submit(&rig, 1, 31);
    rig_submit(&rig, 1, 41);
    rig_drop(&rig, 1, 3);

    rig.held[3][1] = true;
    rig_run(&rig, 100);
    late = rig_take(&rig, rig_mail(&rig, 3, 1, PEER_APPEND_ENTRIES_RESULT));
    ck_assert_uint_eq(late->message.append_result.rejected, 4);
    rig_deliver_copy(&rig, late);
    rig.held[3][1] = false;
    rig_flow(&rig);
    ck_assert_uint_eq(replica_match_index(rig_replica(&rig, 1), 3), 4);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 1)), 2);

    rig.held[3][1] = true;
    rig_run(&rig, 250); /* silent: the leader probes again */
    rig_drop(&rig, 3, 1);
    rig_deliver_copy(&rig, late);
    rig_mail_free(late);
    rig.held[3][1] = false;

    rig.nodes[1].disk_by_hand = false;
    rig_submit(&rig, 1, 51);
    rig_run(&rig, 400);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 1)), 5);
    ck_assert_uint_eq(rig.nodes[3].values[5], 51);
    ck_assert_uint_eq(rig_counters(&rig, 1)->guard_stale_reject, 1);
    rig_finish(&rig);
}
END_TEST

/* A rejection of a higher term must get through: it ends the reign. */
START_TEST(b6_higher_term_is_not_stale)
{
    struct rig rig;

    rig_three(&rig);
    rig_forge(
        &rig,
        3,
        1,
        &(struct peer_message){.kind = PEER_APPEND_ENTRIES_RESULT,
                               .term = 9,
                               .append_result = {.rejected = 2, .last_index = 1}});
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 1)), 9);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 1)), REPLICA_FOLLOWER);
    rig_finish(&rig);
}
END_TEST

/* ---- B7 ---- */

/* rig_flow() that counts how often `from` refuses what `to` sent. */
static unsigned flow_counting_rejections(struct rig *rig, uint64_t from, uint64_t to)
{
    struct rig_mail *mail;
    unsigned rejections = 0;

    while ((mail = rig_mail(rig, 0, 0, 0)) != NULL) {
        if (mail->from == from && mail->to == to &&
            mail->message.kind == PEER_APPEND_ENTRIES_RESULT &&
            mail->message.append_result.rejected != 0)
            rejections++;
        rig_deliver(rig, mail);
        for (uint64_t id = 1; id <= rig->voters; id++)
            if (rig->nodes[id].replica != NULL)
                rig_disk(rig, id);
    }
    return rejections;
}

/* 1 has 40 entries of its own that nobody else has; 2 leads on with 40 others, and then 3, who
 * begins to probe behind them. */
START_TEST(b7_back_off_takes_round_trips_by_term_not_by_entry)
{
    struct rig rig;
    unsigned rejections;

    rig_three(&rig);
    rig_isolate(&rig, 1);
    for (uint64_t i = 0; i < 40; i++)
        ck_assert_uint_gt(rig_submit(&rig, 1, 100 + i), 0);
    rig_flow(&rig);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 1)), 42);
    rig_elect(&rig, 2);
    for (uint64_t i = 0; i < 40; i++)
        ck_assert_uint_gt(rig_submit(&rig, 2, 200 + i), 0);
    rig_flow(&rig);

    rig_transfer(&rig, 2, 3);
    rig_flow(&rig);
    ck_assert(replica_leads(rig_replica(&rig, 3)));

    rig_connect(&rig, 1, 3);
    rig_time(&rig, 3, rig.now_ms + 100);
    rejections = flow_counting_rejections(&rig, 1, 3);
    ck_assert_uint_le(rejections, 4);
    rig_run(&rig, 300);
    ck_assert_uint_eq(rig.nodes[1].values[43], 239);
    ck_assert_uint_gt(rig_counters(&rig, 1)->guard_hint_rewritten, 0);
    rig_finish(&rig);
}
END_TEST

/* The hint goes to the start of the term, and not below what is committed. */
START_TEST(b7_hint_is_not_below_the_commit_index)
{
    struct rig rig;
    const struct peer_message heartbeat = {
        .kind = PEER_APPEND_ENTRIES,
        .term = 6,
        .append = {.prev_index = 12, .prev_term = 5, .commit = 12}};
    struct peer_message probe = {
        .kind = PEER_APPEND_ENTRIES,
        .term = 7,
        .append = {.prev_index = 18, .prev_term = 6, .commit = 12}};

    rig_init(&rig, 3);
    rig_set_disk(&rig, 2, 5, 0);
    rig_set_log(&rig, 2, 1, 20, 5);
    rig_start(&rig, 2);
    rig_peer_up(&rig, 2, 1, 1, true);
    rig_peer_up(&rig, 2, 3, 1, true);
    rig_forge(&rig, 1, 2, &heartbeat);
    rig_forge(&rig, 3, 2, &probe);
    ck_assert_uint_eq(answer_of(&rig, 2, 3)->append_result.rejected, 18);
    ck_assert_uint_eq(answer_of(&rig, 2, 3)->append_result.last_index, 12);
    rig_finish(&rig);
}
END_TEST

/* ---- B8 ---- */

/* Nobody is broken and all are connected, but the better the log the lower the term: 1 and 2
 * are refused for their terms, 3 for its log. */
START_TEST(b8_better_logs_of_lower_terms_are_elected)
{
    struct rig rig;
    uint64_t leader;

    rig_init(&rig, 3);
    rig_set_log(&rig, 1, 1, 33, 7);
    rig_set_log(&rig, 2, 1, 29, 7);
    rig_set_log(&rig, 3, 1, 26, 7);
    rig_set_disk(&rig, 1, 7, 0);
    rig_set_disk(&rig, 2, 10, 0);
    rig_set_disk(&rig, 3, 12, 0);
    rig_start_all(&rig);
    rig_run(&rig, 10000);
    leader = replica_leader(rig_replica(&rig, 3));
    ck_assert(leader == 1 || leader == 2);
    ck_assert_uint_gt(rig_submit(&rig, leader, 99), 0);
    rig_run(&rig, 200);
    for (uint64_t id = 1; id <= 3; id++)
        ck_assert_uint_eq(rig.nodes[id].values[rig.nodes[id].applied], 99);
    rig_finish(&rig);
}
END_TEST

/* ---- B9 ---- */

/* Blocks whose addresses have a zero as second byte, as any heap gives them now and then: that
 * byte of a follower's state is what the library takes for "in pre-vote". */
static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    return aligned_alloc(65536, (size + 65535) / 65536 * 65536);
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    void *p = heap_malloc(data, n * size);

    memset(p, 0, n * size);
    return p;
}

static void *heap_realloc(void *data, void *p, size_t size)
{
    (void)data;
    return realloc(p, size);
}

static void heap_free(void *data, void *p)
{
    (void)data;
    free(p);
}

START_TEST(b9_late_vote_result_does_not_unseat_a_leader)
{
    struct raft_heap heap = {
        .malloc = heap_malloc,
        .calloc = heap_calloc,
        .realloc = heap_realloc,
        .free = heap_free,
    };
    struct rig rig;

    raft_heap_set(&heap);
    rig_three(&rig);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 1);
    rig_forge(&rig,
              3,
              2,
              &(struct peer_message){.kind = PEER_REQUEST_VOTE_RESULT,
                                     .term = 3,
                                     .vote_result = {.pre_vote = true}});
    rig_run(&rig, 2000);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 1)), 2);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    ck_assert_uint_eq(rig_counters(&rig, 2)->guard_vote_result, 1);
    rig_finish(&rig);
    raft_heap_set_default();
}
END_TEST

/* ---- B11 ---- */

START_TEST(b11_deadline_is_in_the_future)
{
    struct rig rig;

    rig_three(&rig);
    for (uint64_t id = 1; id <= 3; id++) {
        rig.now_ms += 5000; /* the loop was busy; not REPLICA_TIME comes first */
        rig_step(&rig, id, &(struct replica_event){.kind = REPLICA_CONTINUE});
        ck_assert_uint_gt(rig.nodes[id].deadline_ms, rig.now_ms);
        ck_assert_uint_le(rig.nodes[id].deadline_ms, rig.now_ms + 1);
    }
    rig_finish(&rig);
}
END_TEST

/* ---- B12 ---- */

/* 1 committed and acknowledged a value and died; 2 holds it and does not know that it is
 * committed.  Until its own no-op is applied, 2 answers nothing and takes nothing. */
START_TEST(b12_new_leader_waits_for_its_own_entry)
{
    struct rig rig;

    rig_three(&rig);
    rig_submit(&rig, 1, 31);
    rig.held[1][3] = true;
    rig_deliver_all(&rig, 1, 2);
    rig_disk(&rig, 2);
    rig_deliver_all(&rig, 2, 1);
    rig_disk(&rig, 1);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 1)), 3);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 2)), 2);
    rig_crash(&rig, 1);

    while (replica_role(rig_replica(&rig, 2)) != REPLICA_LEADER) {
        rig_time(&rig, 2, rig.nodes[2].deadline_ms);
        rig_deliver_all(&rig, 2, 3);
        rig_deliver_all(&rig, 3, 2);
        rig_disk(&rig, 2);
        rig_disk(&rig, 3);
        if (rig_mail(&rig, 3, 2, PEER_REQUEST_VOTE_RESULT) != NULL)
            rig_deliver_all(&rig, 3, 2);
    }
    rig_read(&rig, 2, 7);
    while (rig_mail(&rig, 2, 3, PEER_CONFIRM) != NULL) {
        rig_deliver(&rig, rig_mail(&rig, 2, 3, PEER_CONFIRM));
        rig_deliver(&rig, rig_mail(&rig, 3, 2, PEER_CONFIRMED));
    }
    if (rig_count(&rig, 2, REPLICA_READ_READY) > 0) /* it would not see 31 */
        ck_assert_uint_ge(replica_applied_index(rig_replica(&rig, 2)), 3);
    ck_assert_uint_eq(rig_count(&rig, 2, REPLICA_READ_FAILED), 1);
    ck_assert_uint_eq(rig_submit(&rig, 2, 99), 0);
    ck_assert_uint_eq(rig_count(&rig, 2, REPLICA_LEADING), 0);

    rig_flow(&rig);
    ck_assert_uint_eq(rig_said(&rig, 2, REPLICA_LEADING, 0)->a, 3);
    ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 2)), 4);
    ck_assert_uint_eq(rig.nodes[2].values[3], 31);
    rig_read(&rig, 2, 8);
    rig_flow(&rig);
    ck_assert_uint_eq(rig_said(&rig, 2, REPLICA_READ_READY, 0)->a, 8);
    ck_assert_uint_eq(rig_submit(&rig, 2, 51), 5);
    rig_finish(&rig);
}
END_TEST

/* The library adds a no-op only when something is uncommitted. */
START_TEST(b12_no_op_also_when_everything_is_committed)
{
    struct rig rig;

    rig_three(&rig);
    rig_crash(&rig, 1);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 3)), 2);
    rig_elect(&rig, 3);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 3)), 3);
    ck_assert_uint_eq(replica_entry_term(rig_replica(&rig, 3), 3), 3);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 3)), 3);
    rig_finish(&rig);
}
END_TEST

/* ---- B13 ---- */

static void send_snapshot(struct rig *rig, uint64_t from, uint64_t to, uint64_t index)
{
    rig_set_snapshot(rig, from, index, 5);
    rig_snapshot_leaves(&rig->nodes[from], to);
    rig_snapshot_arrives(rig, from, to);
}

START_TEST(b13_snapshot_while_one_is_being_installed)
{
    struct rig rig;
    const struct peer_message heartbeat = {
        .kind = PEER_APPEND_ENTRIES,
        .term = 6,
        .append = {.prev_index = 20, .prev_term = 5, .commit = 20}};

    rig_init(&rig, 3);
    rig_start(&rig, 1);
    rig_start(&rig, 2);
    rig.nodes[2].snapshots_by_hand = true;
    rig_peer_up(&rig, 2, 1, 1, true);
    rig_forge(&rig, 1, 2, &heartbeat);
    rig_disk(&rig, 2);
    send_snapshot(&rig, 1, 2, 20);
    ck_assert_uint_eq(rig_count(&rig, 2, REPLICA_SNAPSHOT_PROMOTE), 1);
    send_snapshot(&rig, 1, 2, 30);
    rig_snapshot_promoted(&rig, 2);
    send_snapshot(&rig, 1, 2, 30);
    rig_snapshot_loaded(&rig, 2);
    rig_disk(&rig, 2);
    ck_assert_str_eq(rig.nodes[2].fatal, "");
    ck_assert_uint_eq(replica_snapshot_index(rig_replica(&rig, 2)), 20);
    ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 2)), 20);
    ck_assert_uint_eq(rig_count(&rig, 2, REPLICA_SNAPSHOT_PROMOTE), 1);
    ck_assert_uint_eq(rig_counters(&rig, 2)->guard_installing, 2);
    rig_finish(&rig);
}
END_TEST

/* ---- what no correct master sends ---- */

/* The library would take it and write over its own state as a leader. */
START_TEST(second_leader_of_our_own_term)
{
    struct rig rig;

    rig_three(&rig);
    forge_append(
        &rig,
        2,
        1,
        (struct peer_message){.term = 2,
                              .append = {.prev_index = 2, .prev_term = 2, .commit = 2}},
        3,
        2);
    ck_assert_uint_eq(rig_counters(&rig, 1)->messages_malformed, 1);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 1)), 2);
    ck_assert_uint_eq(rig_submit(&rig, 1, 31), 3);
    rig_flow(&rig);
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 1)), 3);
    rig_finish(&rig);
}
END_TEST

/* Its prefix is cut at our commit index, and what is left begins with an older term. */
START_TEST(terms_that_fall_behind_the_commit_index)
{
    struct rig rig;

    compacted_follower(&rig);
    forge_append(
        &rig,
        1,
        2,
        (struct peer_message){
            .term = 6, .append = {.prev_index = 10, .prev_term = 2, .commit = 26}},
        20,
        3);
    ck_assert_uint_eq(rig_counters(&rig, 2)->messages_malformed, 1);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 2)), 23);
    rig_finish(&rig);
}
END_TEST

/* Membership is static. */
START_TEST(configuration_behind_the_commit_index)
{
    struct rig rig;
    struct log_entry entry = {.term = 6, .kind = ENTRY_CONFIGURATION};
    struct peer_message m = {.kind = PEER_APPEND_ENTRIES,
                             .term = 6,
                             .append = {.prev_index = 23,
                                        .prev_term = 5,
                                        .commit = 24,
                                        .entries = {24, 1, &entry}}};

    compacted_follower(&rig);
    entry.payload = rig.configuration;
    rig_forge(&rig, 1, 2, &m);
    ck_assert_uint_eq(rig_counters(&rig, 2)->messages_malformed, 1);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 2)), 23);
    rig_finish(&rig);
}
END_TEST

START_TEST(messages_of_strangers_and_damaged_ones)
{
    struct rig rig;
    const uint8_t noise[] = "not a message";

    rig_three(&rig);
    rig_forge(&rig, 9, 1, &(struct peer_message){.kind = PEER_RESIGN, .term = 90});
    rig_step(&rig,
             1,
             &(struct replica_event){
                 .kind = REPLICA_MESSAGE,
                 .message = {.from = 2, .bytes = {noise, sizeof(noise)}}});
    ck_assert_uint_eq(rig_counters(&rig, 1)->messages_malformed, 2);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 1)), 2);
    rig_finish(&rig);
}
END_TEST

/* The library's own answer to an old term names an index that it never set; whoever leads the
 * answered term by then must find it stale. */
START_TEST(answer_to_an_old_term_claims_nothing)
{
    struct rig rig;
    const struct peer_message *answer;

    compacted_follower(&rig);
    forge_append(&rig, 1, 2, (struct peer_message){.term = 3}, 2, 1);
    answer = answer_of(&rig, 2, 1);
    ck_assert_uint_eq(answer->term, 5);
    ck_assert_uint_eq(answer->append_result.rejected, UINT64_MAX);
    ck_assert_uint_eq(answer->append_result.last_index, 0);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(such_an_answer_is_stale_to_a_leader_of_its_term)
{
    struct rig rig;

    rig_three(&rig);
    rig_forge(&rig,
              3,
              1,
              &(struct peer_message){.kind = PEER_APPEND_ENTRIES_RESULT,
                                     .term = 2,
                                     .append_result = {.rejected = UINT64_MAX}});
    ck_assert_uint_eq(replica_match_index(rig_replica(&rig, 1), 3), 2);
    rig_submit(&rig, 1, 31);
    rig_flow(&rig);
    ck_assert_uint_eq(replica_match_index(rig_replica(&rig, 1), 3), 3);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("guards",
          unit_case("B1",
                    b1_sole_voter_writes_in_a_new_term,
                    b1_new_term_is_durable_before_it_is_used),
          unit_case("B4 and B5",
                    b4_append_from_the_beginning_into_a_compacted_log,
                    b4_append_from_below_the_log_to_beyond_it,
                    b5_commit_index_never_goes_back,
                    b5_what_is_committed_is_not_written_again),
          unit_case("B6",
                    b6_stale_rejection_does_not_starve_a_follower,
                    b6_higher_term_is_not_stale),
          unit_case("B7",
                    b7_back_off_takes_round_trips_by_term_not_by_entry,
                    b7_hint_is_not_below_the_commit_index),
          unit_case("B8", b8_better_logs_of_lower_terms_are_elected),
          unit_case("B9", b9_late_vote_result_does_not_unseat_a_leader),
          unit_case("B11", b11_deadline_is_in_the_future),
          unit_case("B12",
                    b12_new_leader_waits_for_its_own_entry,
                    b12_no_op_also_when_everything_is_committed),
          unit_case("B13", b13_snapshot_while_one_is_being_installed),
          unit_case("hostile",
                    second_leader_of_our_own_term,
                    terms_that_fall_behind_the_commit_index,
                    configuration_behind_the_commit_index,
                    messages_of_strangers_and_damaged_ones,
                    answer_to_an_old_term_claims_nothing,
                    such_an_answer_is_stale_to_a_leader_of_its_term))
