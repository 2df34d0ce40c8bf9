/* test_intake.c - many streams on one loop: whose turn it is, and how long a turn may be.
 *
 * Whoever reads here takes longer than its rank has in a turn, so a turn reads one of each.
 */
#include "net_test.h"

#include "base/limits.h"
#include "net/listener.h"
#include "net/stream.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 300

struct end {
    struct stream *stream;
    int fd; /* the other side */
    unsigned reads;
    uint64_t turn; /* of the last one */
    unsigned nth;  /* of all reads */
    struct end *destroy;
};

static struct loop *loop;
static struct listener *listener;
static struct end ends[MANY + 1];
static unsigned accepted, reads;
static bool is_slow;

static void spend_a_turn(void)
{
    uint64_t until = uv_hrtime() + LIMIT_TURN_RANK_US * 1000ull;

    while (uv_hrtime() < until)
        continue;
}

static size_t on_received(void *user, struct bytes bytes)
{
    struct end *e = user;

    e->reads++;
    e->turn = loop_counters(loop)->turns;
    e->nth = ++reads;
    if (e->destroy != NULL) {
        stream_destroy(e->destroy->stream);
        e->destroy->stream = NULL;
        e->destroy = NULL;
    }
    if (is_slow)
        spend_a_turn();
    return bytes.size;
}

static void on_closed(void *user, const struct error *reason)
{
    (void)reason;
    ((struct end *)user)->stream = NULL;
}

static const struct stream_events EVENTS = {
    .received = on_received,
    .closed = on_closed,
};

static void on_accepted(void *user, int fd)
{
    struct stream_options options = {0};
    struct end *e = &ends[accepted++];

    (void)user;
    e->stream = stream_accept(loop, fd, &options, &EVENTS, e);
}

static const struct listener_events LISTENER_EVENTS = {.accepted = on_accepted};

static void setup(void)
{
    struct address any = local_address(0);

    loop = loop_create();
    listener = listener_create(loop, &any, &LISTENER_EVENTS, NULL, NULL);
    memset(ends, 0, sizeof(ends));
    accepted = reads = 0;
    is_slow = true;
}

static void teardown(void)
{
    listener_destroy(listener);
    for (unsigned i = 0; i < accepted; i++) {
        stream_destroy(ends[i].stream);
        close(ends[i].fd);
    }
    loop_destroy(loop);
}

static void connect_ends(unsigned count, enum rank rank)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned next = accepted;

        ends[next].fd = raw_connect(listener_port(listener));
        wait_until(loop, accepted > next);
        stream_set_rank(ends[next].stream, rank);
    }
}

static void say(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        raw_send(ends[i].fd, "word", 4);
}

static void turn(void)
{
    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
}

START_TEST(a_turn_reads_as_many_as_there_is_time_for)
{
    connect_ends(MANY, RANK_AGENT);
    say(0, MANY);
    for (unsigned i = 1; i <= 5; i++) {
        turn();
        ck_assert_uint_eq(reads, i);
    }
    is_slow = false;
    wait_until(loop, reads == MANY);
}
END_TEST

/* Two of them have always more to read. */
START_TEST(all_are_read_before_one_is_again)
{
    connect_ends(100, RANK_AGENT);
    say(0, 100);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned n = 0; n < 8; n++)
            raw_send(ends[i * 50].fd, (char[64 * KIB]){0}, 64 * KIB);
    for (unsigned i = 0; i < 100; i++)
        turn();
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(ends[i].reads, 1);
}
END_TEST

START_TEST(a_turn_reads_by_rank)
{
    connect_ends(10, RANK_AGENT);
    connect_ends(10, RANK_CLIENT);
    connect_ends(2, RANK_MASTER);
    say(0, 22);
    turn();
    ck_assert_uint_eq(reads, 3);
    ck_assert_uint_eq(ends[20].nth, 1);
    ck_assert_uint_eq(ends[10].nth, 2);
    ck_assert_uint_eq(ends[0].nth, 3);
}
END_TEST

/* What masters say to each other is not behind what thousands of others said before. */
START_TEST(a_master_is_heard_beside_a_crowd)
{
    connect_ends(MANY, RANK_AGENT);
    connect_ends(1, RANK_MASTER);
    say(0, MANY);
    turn();
    say(MANY, 1);
    turn();
    ck_assert_uint_eq(ends[MANY].reads, 1);
    ck_assert_uint_eq(reads, 3);
}
END_TEST

static void set_flag(void *user)
{
    *(bool *)user = true;
}

START_TEST(time_goes_on_beside_a_crowd)
{
    struct loop_timer t = {0};
    bool expired = false;

    connect_ends(MANY, RANK_AGENT);
    say(0, MANY);
    turn();
    timer_set_in(loop, &t, 0, set_flag, &expired);
    turn(); /* at the end of it libuv is told */
    turn();
    ck_assert(expired);
    ck_assert_uint_eq(reads, 3);
}
END_TEST

/* They were taken from the kernel together. */
START_TEST(one_ends_before_its_turn)
{
    connect_ends(4, RANK_AGENT);
    say(0, 4);
    ends[0].destroy = &ends[1];
    turn();
    stream_pause(ends[2].stream);
    turn();
    ck_assert_uint_eq(ends[0].reads, 1);
    ck_assert_uint_eq(ends[1].reads, 0);
    ck_assert_uint_eq(ends[2].reads, 0);
    ck_assert_uint_eq(ends[3].reads, 1);
    stream_resume(ends[2].stream);
    wait_until(loop, ends[2].reads == 1);
}
END_TEST

START_TEST(a_rank_that_changes_loses_nothing)
{
    struct buffer in = {0};

    connect_ends(2, RANK_AGENT);
    say(0, 2);
    stream_send(ends[1].stream, (struct bytes){(const uint8_t *)"back", 4});
    turn();
    stream_set_rank(ends[1].stream, RANK_MASTER);
    wait_until(loop, reads == 2);
    raw_read_size(loop, ends[1].fd, &in, 4);
    buffer_finish(&in);
}
END_TEST

START_TEST(how_far_a_rank_is_behind)
{
    uint64_t now_ms;

    connect_ends(50, RANK_AGENT);
    connect_ends(1, RANK_CLIENT);
    say(0, 51);
    for (unsigned i = 0; i < 20; i++)
        turn();
    now_ms = loop_now_ms();
    ck_assert_uint_ge(loop_behind_ms(loop, RANK_AGENT), 19);
    ck_assert_uint_gt(loop_behind_ms(loop, RANK_AGENT),
                      loop_behind_ms(loop, RANK_CLIENT));
    is_slow = false;
    wait_until(loop, reads == 51);
    turn();
    ck_assert_uint_ge(loop_now_ms() - loop_behind_ms(loop, RANK_AGENT), now_ms);
}
END_TEST

/* ---- output ---- */

static struct deferred work[6];
static unsigned written[RANKS];

static void write_slowly(void *user)
{
    ++*(unsigned *)user;
    spend_a_turn();
}

START_TEST(a_turn_writes_as_many_as_there_is_time_for)
{
    memset(work, 0, sizeof(work));
    memset(written, 0, sizeof(written));
    for (unsigned i = 0; i < 4; i++)
        loop_defer_output(
            loop, RANK_AGENT, &work[i], write_slowly, &written[RANK_AGENT]);
    loop_defer_output(loop, RANK_MASTER, &work[4], write_slowly, &written[RANK_MASTER]);
    loop_defer_output(loop, RANK_AGENT, &work[5], set_flag, &(bool){false});
    deferred_cancel_output(loop, RANK_AGENT, &work[5]);
    turn();
    ck_assert_uint_eq(written[RANK_MASTER], 1);
    for (unsigned i = 1; i <= 4; i++) {
        ck_assert_uint_eq(written[RANK_AGENT], i);
        turn(); /* it does not sleep */
    }
    ck_assert_uint_eq(written[RANK_AGENT], 4);
}
END_TEST

int main(void)
{
    TCase *c = net_case("intake",
                        a_turn_reads_as_many_as_there_is_time_for,
                        all_are_read_before_one_is_again,
                        a_turn_reads_by_rank,
                        a_master_is_heard_beside_a_crowd,
                        time_goes_on_beside_a_crowd,
                        one_ends_before_its_turn,
                        a_rank_that_changes_loses_nothing,
                        how_far_a_rank_is_behind,
                        a_turn_writes_as_many_as_there_is_time_for);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("intake", &c, 1);
}
