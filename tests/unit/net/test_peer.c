/* test_peer.c - the mesh of masters: up, down, messages, and who is no peer. */
#include "net_test.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/peer.h"
#include "net/server.h"
#include "wire/message_agent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NODES 4 /* three masters and an impostor */

struct node {
    uint64_t id;
    uint64_t incarnation;
    uint8_t cluster_id;
    struct address address;
    struct server *server;
    struct peers *peers;
    struct hello hello;

    unsigned up[NODES], down[NODES], refused;
    uint64_t incarnation_of[NODES];
    struct buffer bytes;
    struct error reason;
};

static struct loop *loop;
static struct cluster cluster;
static struct node nodes[NODES]; /* by id; [0] is the impostor */

/* ---- a master in small ---- */

static void greet(void *user, struct hello *hello)
{
    struct node *n = user;

    hello->role = HELLO_MASTER;
    hello->id = n->id;
    hello->incarnation = n->incarnation;
    hello->cluster = (struct bytes){&n->cluster_id, 0};
    hello->term = n->cluster_id; /* stands for the cluster here */
}

static int check(void *user, const struct hello *hello, struct error *err)
{
    struct node *n = user;

    if (hello->term != n->cluster_id)
        return error_set(err, ERROR_WRONG_CLUSTER, "another cluster");
    return 0;
}

static void on_up(void *user, uint64_t id, const struct hello *hello)
{
    struct node *n = user;

    ck_assert_uint_eq(n->up[id], n->down[id]);
    ck_assert(peers_connected(n->peers, id));
    n->up[id]++;
    n->incarnation_of[id] = hello->incarnation;
}

static void on_bytes(void *user, uint64_t id, struct bytes bytes)
{
    struct node *n = user;

    ck_assert(peers_connected(n->peers, id));
    buffer_append(&n->bytes, bytes.data, bytes.size);
}

static void on_down(void *user, uint64_t id, const struct error *reason)
{
    struct node *n = user;

    n->down[id]++;
    n->reason = *reason;
    ck_assert_uint_eq(n->up[id], n->down[id]);
    ck_assert(!peers_connected(n->peers, id));
}

static void on_refused(void *user, uint64_t id, const struct error *reason)
{
    struct node *n = user;

    ck_assert_uint_ne(id, 0);
    n->refused++;
    n->reason = *reason;
}

static const struct peers_events EVENTS = {
    .greet = greet,
    .check = check,
    .up = on_up,
    .bytes = on_bytes,
    .down = on_down,
    .refused = on_refused,
};

static void session_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct node *n = user;

    ck_assert_int_eq(hello->role, HELLO_MASTER);
    if (n->peers == NULL) /* listens, and has not been started */
        conn_destroy(c);
    else
        peers_adopt(n->peers, c, hello);
}

static void session_frame(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    (void)c;
    (void)frame;
    ck_abort_msg("a frame of a peer came to the server's owner");
}

static void session_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)c;
    (void)reason;
}

static const struct conn_events SESSION_EVENTS = {
    .hello = session_hello,
    .frame = session_frame,
    .closed = session_closed,
};

static void start_server(struct node *n)
{
    struct server_options options = {.listen = n->address};
    struct error err = {0};

    n->server = server_create(loop, &options, &SESSION_EVENTS, n, &err);
    ck_assert_msg(n->server != NULL, "%s", err.text);
    n->address = local_address(server_port(n->server));
}

static void start(struct node *n)
{
    static uint64_t incarnation;

    n->incarnation = ++incarnation;
    if (n->server == NULL)
        start_server(n);
    n->peers = peers_create(loop, &cluster, n->id, &EVENTS, n);
}

static void stop(struct node *n)
{
    peers_destroy(n->peers);
    server_destroy(n->server);
    n->peers = NULL;
    n->server = NULL;
}

static void setup(void)
{
    char text[CLUSTER_TEXT_MAX];

    loop = loop_create();
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i] = (struct node){.id = i, .cluster_id = 9, .address = local_address(0)};
        start_server(&nodes[i]);
    }
    snprintf(text,
             sizeof(text),
             "1=%s,2=%s,3=%s",
             nodes[1].address.text,
             nodes[2].address.text,
             nodes[3].address.text);
    ck_assert_int_eq(cluster_parse(&cluster, text, NULL), 0);
}

static void start_all(void)
{
    for (unsigned i = 1; i < NODES; i++)
        start(&nodes[i]);
}

static void teardown(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        stop(&nodes[i]);
        buffer_finish(&nodes[i].bytes);
    }
    loop_destroy(loop);
}

static bool connected(unsigned a, unsigned b)
{
    return nodes[a].peers != NULL && peers_connected(nodes[a].peers, b);
}

static bool mesh(void)
{
    return connected(1, 2) && connected(1, 3) && connected(2, 1) && connected(2, 3) &&
           connected(3, 1) && connected(3, 2);
}

static bool send_text(unsigned from, unsigned to, const char *text)
{
    return peers_send(
        nodes[from].peers, to, (struct bytes){(const uint8_t *)text, strlen(text)});
}

/* ---- the mesh ---- */

START_TEST(each_pair_has_one_connection)
{
    start_all();
    wait_until(loop, mesh());
    ck_assert_uint_eq(server_sessions(nodes[1].server), 2);
    ck_assert_uint_eq(server_sessions(nodes[2].server), 1);
    ck_assert_uint_eq(server_sessions(nodes[3].server), 0);
    ck_assert_uint_eq(nodes[1].incarnation_of[3], nodes[3].incarnation);
    ck_assert_uint_eq(nodes[3].incarnation_of[1], nodes[1].incarnation);
}
END_TEST

START_TEST(messages_arrive_both_ways)
{
    start_all();
    wait_until(loop, mesh());
    ck_assert(send_text(1, 3, "down"));
    ck_assert(send_text(3, 1, "up"));
    ck_assert(send_text(3, 1, ""));
    ck_assert(send_text(3, 1, "per"));
    wait_until(loop, nodes[3].bytes.size == 4 && nodes[1].bytes.size == 5);
    ck_assert_mem_eq(nodes[3].bytes.data, "down", 4);
    ck_assert_mem_eq(nodes[1].bytes.data, "upper", 5);
}
END_TEST

START_TEST(a_peer_that_goes_comes_back)
{
    start_all();
    for (unsigned i = 1; i <= 3; i++) {
        struct node *n = &nodes[i];

        wait_until(loop, mesh());
        stop(n);
        wait_until(loop, nodes[i % 3 + 1].down[i] && nodes[(i + 1) % 3 + 1].down[i]);
        ck_assert(!send_text(i % 3 + 1, i, "lost"));
        ck_assert_uint_eq(peers_dropped(nodes[i % 3 + 1].peers), 1);
        memset(n->up, 0, sizeof(n->up));
        memset(n->down, 0, sizeof(n->down));
        for (unsigned j = 1; j <= 3; j++)
            nodes[j].up[i] = nodes[j].down[i] = 0;
        start(n);
    }
    wait_until(loop, mesh());
    ck_assert_uint_eq(nodes[1].incarnation_of[3], nodes[3].incarnation);
}
END_TEST

/* A link by itself would come back after up to a second: too long for an election. */
START_TEST(a_peer_that_was_away_for_long_is_found_soon)
{
    struct node *n = &nodes[1];

    start_all();
    wait_until(loop, mesh());
    stop(n);
    let_pass(loop, 3000);
    memset(n->up, 0, sizeof(n->up));
    memset(n->down, 0, sizeof(n->down));
    start(n);
    let_pass(loop, 400);
    ck_assert(mesh());
}
END_TEST

/* A newer connection of the same process: what the old one carried is over. */
START_TEST(a_newer_connection_replaces_the_older)
{
    struct hello hello = {.protocol = PROTOCOL_VERSION};
    struct buffer out = {0}, in = {0};
    int old, new;

    start(&nodes[1]);
    nodes[3].incarnation = 77;
    greet(&nodes[3], &hello);
    hello_pack(&hello, &out);
    old = raw_connect(nodes[1].address.port);
    raw_send(old, out.data, out.size);
    wait_until(loop, nodes[1].up[3] == 1);
    new = raw_connect(nodes[1].address.port);
    raw_send(new, out.data, out.size);
    wait_until(loop, nodes[1].up[3] == 2);
    ck_assert_uint_eq(nodes[1].down[3], 1);
    raw_read_all(loop, old, &in);
    ck_assert(send_text(1, 3, "new"));
    buffer_clear(&in);
    raw_read_size(loop, new, &in, 4);
    close(old);
    close(new);
    buffer_finish(&out);
    buffer_finish(&in);
}
END_TEST

/* Nobody reads the other end: the limit is kept by dropping, not by closing. */
START_TEST(a_slow_peer_loses_messages_and_stays)
{
    struct hello hello = {.protocol = PROTOCOL_VERSION};
    struct buffer out = {0};
    struct buffer heartbeat = {0};
    uint8_t *big = mem_zalloc(512 * KIB);
    unsigned sent = 0;
    int fd;

    heartbeat_pack(&(struct heartbeat){0}, &heartbeat);
    start(&nodes[1]);
    greet(&nodes[3], &hello);
    hello_pack(&hello, &out);
    fd = raw_connect(nodes[1].address.port);
    raw_send(fd, out.data, out.size);
    wait_until(loop, nodes[1].up[3] == 1);
    while (peers_send(nodes[1].peers, 3, (struct bytes){big, 512 * KIB})) {
        ck_assert_uint_lt(++sent, 1000);
        raw_send(fd, heartbeat.data, heartbeat.size); /* it speaks */
        loop_turn(loop);
    }
    ck_assert_uint_ge(sent, LIMIT_PEER_OUT_BYTES / (512 * KIB));
    ck_assert(connected(1, 3));
    ck_assert_uint_eq(peers_dropped(nodes[1].peers), 1);
    close(fd);
    mem_free(big);
    buffer_finish(&heartbeat);
    buffer_finish(&out);
}
END_TEST

/* A connection that leads nowhere looks as one of a master that has nothing to say, but for
 * the heartbeats. */
START_TEST(a_silent_connection_is_cut)
{
    struct hello hello = {.protocol = PROTOCOL_VERSION};
    struct buffer out = {0}, in = {0};
    int fd;

    start(&nodes[1]);
    start(&nodes[2]);
    greet(&nodes[3], &hello);
    hello_pack(&hello, &out);
    fd = raw_connect(nodes[1].address.port);
    raw_send(fd, out.data, out.size);
    raw_read_all(loop, fd, &in);
    wait_until(loop, nodes[1].down[3] == 1);
    ck_assert_int_eq(nodes[1].reason.code, ERROR_TIMEOUT);
    ck_assert(connected(1, 2) && connected(2, 1));
    ck_assert_uint_eq(nodes[1].down[2] + nodes[2].down[1], 0);
    close(fd);
    buffer_finish(&out);
    buffer_finish(&in);
}
END_TEST

START_TEST(a_malformed_message_ends_the_connection)
{
    static const uint8_t no_array[] = {
        8, 0, 0, 0, 0x93, 2, 0xa4, 'r', 'a', 'f', 't', 0xc0};
    struct hello hello = {.protocol = PROTOCOL_VERSION};
    struct buffer out = {0};
    int fd;

    start(&nodes[1]);
    greet(&nodes[3], &hello);
    hello_pack(&hello, &out);
    buffer_append(&out, no_array, sizeof(no_array));
    fd = raw_connect(nodes[1].address.port);
    raw_send(fd, out.data, out.size);
    wait_until(loop, nodes[1].down[3] == 1);
    ck_assert_int_eq(nodes[1].reason.code, ERROR_INVALID);
    ck_assert_uint_eq(nodes[1].bytes.size, 0);
    close(fd);
    buffer_finish(&out);
}
END_TEST

/* ---- who is no peer ---- */

START_TEST(another_cluster_is_refused_on_both_sides)
{
    nodes[3].cluster_id = 8;
    start(&nodes[1]);
    start(&nodes[3]);
    wait_until(loop, nodes[1].refused && nodes[3].refused);
    ck_assert_int_eq(nodes[1].reason.code, ERROR_WRONG_CLUSTER);
    ck_assert_int_eq(nodes[3].reason.code, ERROR_WRONG_CLUSTER);
    ck_assert(strstr(nodes[3].reason.text, "says: another cluster") != NULL);
    ck_assert_uint_eq(nodes[1].up[3] + nodes[3].up[1], 0);
    nodes[3].cluster_id = 9; /* somebody corrected it */
    wait_until(loop, connected(1, 3) && connected(3, 1));
}
END_TEST

START_TEST(two_masters_with_one_id)
{
    struct node *twin = &nodes[0];

    start_all();
    wait_until(loop, mesh());
    twin->id = 3;
    start(twin);
    ck_assert(send_text(3, 1, "alive") && send_text(3, 2, "alive"));
    wait_until(loop, twin->refused >= 2);
    ck_assert_int_eq(twin->reason.code, ERROR_CONFLICT);
    ck_assert_msg(strstr(twin->reason.text, "another process runs as master 3") != NULL,
                  "%s",
                  twin->reason.text);
    ck_assert_int_eq(nodes[1].reason.code, ERROR_CONFLICT);
    ck_assert(mesh());
    ck_assert_uint_eq(nodes[1].down[3], 0);
}
END_TEST

/* Followers have nothing to say to each other, and yet each sees that the other is alive. */
START_TEST(a_quiet_master_keeps_its_id)
{
    struct node *twin = &nodes[0];

    start_all();
    wait_until(loop, mesh());
    twin->id = 3;
    start(twin);
    let_pass(loop, 2500);
    ck_assert_uint_ge(twin->refused, 4);
    ck_assert_uint_eq(twin->up[1] + twin->up[2], 0);
    ck_assert_uint_eq(nodes[1].down[3] + nodes[2].down[3], 0);
}
END_TEST

/* Its old connection says nothing any more: the machine died without closing it. */
START_TEST(a_silent_connection_gives_way_to_another_process)
{
    struct hello hello = {.protocol = PROTOCOL_VERSION};
    struct buffer out = {0};
    int fd;

    start(&nodes[1]);
    nodes[3].incarnation = 12345;
    greet(&nodes[3], &hello);
    hello_pack(&hello, &out);
    fd = raw_connect(nodes[1].address.port);
    raw_send(fd, out.data, out.size);
    wait_until(loop, nodes[1].up[3] == 1);
    start(&nodes[3]);
    wait_until(loop, nodes[1].refused > 0);
    wait_until(loop, nodes[1].up[3] == 2);
    ck_assert_uint_eq(nodes[1].down[3], 1);
    ck_assert_uint_eq(nodes[1].incarnation_of[3], nodes[3].incarnation);
    close(fd);
    buffer_finish(&out);
}
END_TEST

START_TEST(our_own_id_is_refused)
{
    struct hello hello = {.protocol = PROTOCOL_VERSION};
    struct buffer out = {0};
    int fd;

    start(&nodes[1]);
    greet(&nodes[1], &hello);
    hello.incarnation++;
    hello_pack(&hello, &out);
    fd = raw_connect(nodes[1].address.port);
    raw_send(fd, out.data, out.size);
    wait_until(loop, nodes[1].refused);
    ck_assert_int_eq(nodes[1].reason.code, ERROR_CONFLICT);
    close(fd);
    buffer_finish(&out);
}
END_TEST

/* The list of master 3 names an address where another master listens. */
START_TEST(the_wrong_master_at_an_address_is_refused)
{
    struct cluster right = cluster;

    cluster.members[0].address = nodes[2].address;
    cluster.members[1].address = nodes[1].address;
    start(&nodes[3]);
    cluster = right;
    start(&nodes[1]);
    start(&nodes[2]);
    wait_until(loop, nodes[3].refused >= 2);
    ck_assert_int_eq(nodes[3].reason.code, ERROR_INVALID);
    ck_assert(strstr(nodes[3].reason.text, "compare --id and --cluster") != NULL);
    ck_assert_uint_eq(nodes[3].up[1] + nodes[3].up[2], 0);
    wait_until(loop, nodes[1].refused > 0); /* they are told */
    wait_until(loop, nodes[1].down[3] == nodes[1].up[3]);
}
END_TEST

START_TEST(an_unknown_master_is_refused)
{
    static const struct {
        uint64_t at, id;
    } cases[] = {{1, 7}, {3, 2}}; /* not in the list; the lower id is dialled by us */

    start(&nodes[1]);
    start(&nodes[3]);
    for (unsigned i = 0; i < 2; i++) {
        struct hello hello = {.protocol = PROTOCOL_VERSION};
        struct node *n = &nodes[cases[i].at];
        struct buffer out = {0};
        int fd = raw_connect(n->address.port);

        greet(&nodes[2], &hello);
        hello.id = cases[i].id;
        hello_pack(&hello, &out);
        raw_send(fd, out.data, out.size);
        wait_until(loop, n->refused > 0);
        ck_assert_int_eq(n->reason.code, ERROR_INVALID);
        close(fd);
        buffer_finish(&out);
    }
}
END_TEST

int main(void)
{
    TCase *cases[] = {net_case("mesh",
                               each_pair_has_one_connection,
                               messages_arrive_both_ways,
                               a_peer_that_goes_comes_back,
                               a_peer_that_was_away_for_long_is_found_soon,
                               a_newer_connection_replaces_the_older,
                               a_slow_peer_loses_messages_and_stays,
                               a_silent_connection_is_cut,
                               a_malformed_message_ends_the_connection),
                      net_case("refused",
                               another_cluster_is_refused_on_both_sides,
                               two_masters_with_one_id,
                               a_quiet_master_keeps_its_id,
                               a_silent_connection_gives_way_to_another_process,
                               our_own_id_is_refused,
                               the_wrong_master_at_an_address_is_refused,
                               an_unknown_master_is_refused)};

    for (size_t i = 0; i < 2; i++)
        tcase_add_checked_fixture(cases[i], setup, teardown);
    return unit_run("peer", cases, 2);
}
