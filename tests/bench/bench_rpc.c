/* bench_rpc.c - what frames cost: echoes a second between two processes over loopback.
 *
 *     make tests/bench/bench_rpc && tests/bench/bench_rpc [SECONDS]
 *
 * Each request has 256 bytes; a connection keeps 64 of them in flight.  Both sides
 * decode the envelope of every frame, as programs do. */
#include "base/assert.h"
#include "base/clock.h"
#include "net/conn.h"
#include "net/server.h"
#include "wire/pack.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAYLOAD_BYTES   256
#define PIPELINE        64
#define CONNECTIONS_MAX 16

static struct loop *loop;
static const struct hello HELLO = {.protocol = PROTOCOL_VERSION, .role = HELLO_CLIENT};

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    (void)user;
    (void)hello;
    conn_hello(c, &HELLO);
}

static struct rpc unpack_frame(struct bytes frame)
{
    struct rpc rpc;

    ASSERT(rpc_unpack(&rpc, frame, NULL) == 0);
    return rpc;
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)c;
    (void)reason;
}

/* ---- the server ---- */

static void serve(void *user, struct conn *c, struct bytes frame)
{
    struct rpc rpc = unpack_frame(frame);
    struct buffer *out = conn_begin(c);
    size_t begin = rpc_begin_result(out, rpc.id);

    (void)user;
    buffer_append(out, rpc.params.data, rpc.params.size);
    rpc_end(out, begin);
    conn_end(c);
}

static const struct conn_events SERVER_EVENTS = {
    .hello = on_hello,
    .frame = serve,
    .closed = on_closed,
};

static pid_t start_server(uint16_t *port)
{
    struct server_options options = {0};
    int fds[2];
    pid_t pid;

    ASSERT(address_parse_listen(&options.listen, "127.0.0.1:0", NULL) == 0);
    ASSERT(pipe(fds) == 0);
    pid = fork();
    if (pid == 0) {
        struct server *server;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        loop = loop_create();
        server = server_create(loop, &options, &SERVER_EVENTS, NULL, NULL);
        *port = server_port(server);
        ASSERT(write(fds[1], port, sizeof(*port)) == sizeof(*port));
        loop_run(loop);
    }
    ASSERT(read(fds[0], port, sizeof(*port)) == sizeof(*port));
    return pid;
}

/* ---- the client ---- */

static uint64_t answered;
static unsigned ready;

static void ask(struct conn *c, uint32_t id)
{
    static const uint8_t payload[PAYLOAD_BYTES];
    struct buffer *out = conn_begin(c);
    size_t begin = rpc_begin_request(out, id, METHOD_SUBMIT);

    pack_array(out, 1);
    pack_bytes(out, (struct bytes){payload, sizeof(payload)});
    rpc_end(out, begin);
    conn_end(c);
}

static void on_opened(void *user, struct conn *c)
{
    (void)user;
    conn_hello(c, &HELLO);
}

static void on_answering(void *user, struct conn *c, const struct hello *hello)
{
    (void)user;
    (void)hello;
    ready++;
    for (uint32_t id = 1; id <= PIPELINE; id++)
        ask(c, id);
}

static void on_answer(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    answered++;
    ask(c, unpack_frame(frame).id);
}

static const struct conn_events CLIENT_EVENTS = {
    .opened = on_opened,
    .hello = on_answering,
    .frame = on_answer,
    .closed = on_closed,
};

static void on_time(void *user)
{
    (void)user;
    loop_stop(loop);
}

static double cpu_s(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static void measure(unsigned connections, unsigned seconds)
{
    struct conn *conns[CONNECTIONS_MAX];
    struct conn_options options = {0};
    struct loop_timer timer = {0};
    struct loop_counters before;
    struct rusage server_use;
    struct address to;
    char text[32];
    uint16_t port;
    pid_t server = start_server(&port);
    double began, took;

    loop = loop_create();
    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    ASSERT(address_parse(&to, text, NULL) == 0);
    answered = ready = 0;
    for (unsigned i = 0; i < connections; i++)
        conns[i] = conn_dial(loop, &to, &options, &CLIENT_EVENTS, NULL);
    timer_set_in(loop, &timer, 300, on_time, NULL); /* warm up */
    loop_run(loop);
    ASSERT(ready == connections);
    answered = 0;
    before = *loop_counters(loop);
    began = (double)clock_monotonic_us();
    timer_set_in(loop, &timer, seconds * 1000ull, on_time, NULL);
    loop_run(loop);
    took = ((double)clock_monotonic_us() - began) / 1e6;
    for (unsigned i = 0; i < connections; i++)
        conn_destroy(conns[i]);
    kill(server, SIGKILL);
    wait4(server, NULL, 0, &server_use);
    printf(
        "%2u connection%s  %8.0f echoes/s   %5.1f frames a write   "
        "server %4.2f us cpu an echo\n",
        connections,
        connections == 1 ? " " : "s",
        (double)answered / took,
        (double)answered / (double)(loop_counters(loop)->writes - before.writes),
        cpu_s(&server_use) * 1e6 / ((double)answered * (1 + 0.3 / took)));
    loop_destroy(loop);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;

    measure(1, seconds);
    measure(CONNECTIONS_MAX, seconds);
    return 0;
}
