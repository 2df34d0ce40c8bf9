/* fake_cluster.c - masters and an agent's logs, without Raft and without tasks: for tests of
 * the command line.
 *
 *     fake_cluster N        prints the addresses of N masters and serves until TERM
 *
 * What a job does follows from its command and from the time since it was submitted:
 *     true    finishes soon        false   fails with status 3 and a hostile message
 *     sleep   runs until killed    huge    waits for ever, and says why
 *     mixed   like true, but instances 7, 5007, … fail
 *     again   like true, in its second attempt
 *     moves   runs for 6 s, from the second one on as another attempt
 * Its log has 200 lines; that of `cut` is cut off after 100 bytes, and 100 bytes later.  That of
 * `quiet` is first cut off after 100 bytes and 1.5 s of silence, and that of `moves` never
 * goes on after 100 bytes in its first attempt.  Whoever asks for that of `mute` gets no answer.
 *
 * USR1: the leader closes its sessions and another one leads.  USR2: the leader hangs, and
 * another one leads.  `purge` of a job named "slippery" loses its answer.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/listener.h"
#include "net/server.h"
#include "net/stream.h"
#include "wire/job.h"
#include "wire/message.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define MASTERS_MAX   5
#define JOBS_MAX      64
#define START_US      60000
#define RUN_US        250000
#define LOG_LINES     200
#define CUT_BYTES     100
#define QUIET_MS      1500
#define MOVE_US       1000000
#define MOVED_RUN_US  6000000
#define NEVER         UINT64_MAX
#define MOVED_ATTEMPT 50000 /* this much higher is the second one's id */
#define PAGE_ELEMENTS 1000

struct fake_job {
    char key[LIMIT_KEY_BYTES + 1];
    char *name;
    char *command;
    struct buffer spec; /* empty: it was never submitted */
    uint32_t instances;
    uint64_t submitted_us;
    bool killed;
    bool purged;
};

struct fake_master {
    unsigned number;
    struct server *server;
    struct conn *conns[64];
    bool hangs;
};

static struct loop *loop;
static struct fake_master masters[MASTERS_MAX];
static unsigned master_count;
static unsigned leader;
static uint64_t term = 1;
static struct fake_job jobs[JOBS_MAX]; /* id = place + 1 */
static unsigned job_count;
static struct listener *http;
static unsigned cuts;

/* ---- jobs ---- */

static bool is_command(const struct fake_job *j, const char *command)
{
    return strcmp(j->command, command) == 0;
}

static enum task_state final_state(const struct fake_job *j, uint32_t instance)
{
    if (is_command(j, "false") || (is_command(j, "mixed") && instance % 5000 == 7))
        return TASK_FAILED;
    return TASK_FINISHED;
}

static enum task_state state_of(const struct fake_job *j, uint32_t instance)
{
    uint64_t age_us = clock_wall_us() - j->submitted_us;

    if (j->killed)
        return TASK_KILLED;
    if (is_command(j, "huge") || age_us < START_US)
        return TASK_PENDING;
    if (is_command(j, "sleep") || age_us < RUN_US)
        return TASK_RUNNING;
    if (is_command(j, "moves") && age_us < MOVED_RUN_US)
        return TASK_RUNNING;
    return final_state(j, instance);
}

static bool has_moved(const struct fake_job *j)
{
    return is_command(j, "moves") && clock_wall_us() - j->submitted_us >= MOVE_US;
}

static struct task_info task_of(const struct fake_job *j, uint32_t instance)
{
    static char address[32];
    struct task_info t = {.instance = instance, .state = state_of(j, instance)};
    uint64_t id = (uint64_t)(j - jobs) + 1;

    if (t.state == TASK_PENDING)
        return t;
    snprintf(address, sizeof(address), "127.0.0.1:%u", listener_port(http));
    t.attempt = is_command(j, "again") || has_moved(j) ? 2 : 1;
    t.attempt_id = id * 100000 + instance + (has_moved(j) ? MOVED_ATTEMPT : 0);
    t.agent_id = 1;
    t.agent_http = text_view(address);
    t.started_us = j->submitted_us + START_US;
    t.ended_us = task_state_is_final(t.state) ? j->submitted_us + RUN_US : 0;
    if (t.state == TASK_FAILED) {
        t.reason = TASK_REASON_EXITED;
        t.exit_code = 3;
        t.message = text_view("exited with \033[31mred\ntape");
    }
    if (is_command(j, "serves")) {
        static const uint16_t PORTS[] = {80, 31000, 31001, 31002, 31005, 31006};

        t.ports = PORTS;
        t.port_count = sizeof(PORTS) / sizeof(PORTS[0]);
        t.health = HEALTH_FAILING;
        t.restarts = 4;
    }
    return t;
}

static struct job_summary summary_of(const struct fake_job *j)
{
    struct job_summary s = {
        .id = (uint64_t)(j - jobs) + 1,
        .name = text_view(j->name),
        .instances = j->instances,
        .submitted_us = j->submitted_us,
    };
    uint32_t bad;

    for (uint32_t i = 0; i < j->instances; i++)
        s.tasks[state_of(j, i)]++;
    bad = s.tasks[TASK_FAILED];
    if (s.tasks[TASK_PENDING] == j->instances)
        s.state = JOB_PENDING;
    else if (s.tasks[TASK_RUNNING] > 0)
        s.state = JOB_RUNNING;
    else
        s.state = j->killed ? JOB_KILLED : bad > 0 ? JOB_FAILED : JOB_COMPLETE;
    if (job_state_is_final(s.state))
        s.ended_us = j->submitted_us + RUN_US;
    if (is_command(j, "huge"))
        s.why = text_view("no agent has 64 cpus");
    return s;
}

static struct fake_job *job_of(uint64_t id)
{
    return id > 0 && id <= job_count && !jobs[id - 1].purged ? &jobs[id - 1] : NULL;
}

static uint64_t submit(struct bytes key, struct bytes packed)
{
    struct fake_job *j = &jobs[job_count];
    struct job_spec spec;

    for (unsigned i = 0; i < job_count; i++)
        if (strlen(jobs[i].key) == key.size &&
            memcmp(jobs[i].key, key.data, key.size) == 0)
            return i + 1;
    ASSERT(job_count < JOBS_MAX && job_spec_unpack(&spec, packed, NULL) == 0);
    memcpy(j->key, key.data, key.size);
    j->name = mem_strdup(spec.name);
    j->command = mem_strdup(spec.argv[0]);
    buffer_append(&j->spec, packed.data, packed.size);
    j->instances = spec.instances;
    j->submitted_us = clock_wall_us();
    job_spec_finish(&spec);
    return ++job_count;
}

/* A name that no client would submit. */
static void add_hostile_job(void)
{
    jobs[job_count++] = (struct fake_job){.key = "hostile",
                                          .name = mem_strdup("evil\033[2J\r\nname"),
                                          .command = mem_strdup("huge"),
                                          .instances = 1,
                                          .submitted_us = clock_wall_us()};
}

/* ---- answers ---- */

static void answer_id(struct conn *c, uint32_t id, uint64_t job)
{
    struct submit_result result = {job, job};

    submit_result_pack(&result, id, conn_begin(c));
    conn_end(c);
}

static void
answer_error(struct conn *c, uint32_t id, enum error_code code, const char *text)
{
    char hint[32];

    snprintf(hint, sizeof(hint), "127.0.0.1:%u", server_port(masters[leader].server));
    rpc_error(conn_begin(c), id, code, text, hint);
    conn_end(c);
}

static void list_jobs(struct list_writer *w, const struct list_request *q)
{
    for (unsigned i = 0; i < job_count; i++) {
        struct job_summary s = summary_of(&jobs[i]);

        if (!jobs[i].purged && (q->of == 0 || q->of == s.id))
            job_summary_pack(w, &s);
    }
    list_end(w, 0);
}

static void list_tasks(struct list_writer *w, const struct list_request *q)
{
    const struct fake_job *j = job_of(q->of);
    uint32_t i = (uint32_t)q->after;

    for (uint32_t n = 0; i < j->instances && n < q->limit && n < PAGE_ELEMENTS; n++) {
        struct task_info t = task_of(j, i++);

        task_info_pack(w, &t);
    }
    list_end(w, i < j->instances ? i : 0);
}

static void list_spec(struct list_writer *w, const struct list_request *q)
{
    spec_info_pack(w, &(struct spec_info){q->of, buffer_view(&job_of(q->of)->spec)});
    list_end(w, 0);
}

static void list_agents(struct list_writer *w)
{
    struct agent_spec spec = {.hostname = mem_strdup("node-1"),
                              .http_address = mem_strdup("127.0.0.1:5051")};
    struct agent_info agent = {.tasks = 3, .flags = AGENT_FLAG_LOW_DISK};
    struct buffer packed = {0};

    spec.resources.amount[RESOURCE_CPUS] = 4000;
    spec.resources.amount[RESOURCE_MEM] = 8192 * MIB;
    ASSERT(agent_spec_parse_attributes(&spec, "rack:a;zone:b", NULL) == 0);
    agent_spec_pack(&spec, &packed);
    agent.spec = buffer_view(&packed);
    agent.allocated.amount[RESOURCE_CPUS] = 1500;
    agent.allocated.amount[RESOURCE_MEM] = 128 * MIB;
    for (agent.id = 1; agent.id <= 2; agent.id++) {
        agent.state = agent.id == 1 ? AGENT_ACTIVE : AGENT_UNREACHABLE;
        agent_info_pack(w, &agent);
    }
    list_end(w, 0);
    buffer_finish(&packed);
    agent_spec_finish(&spec);
}

static void list_master(struct list_writer *w, const struct fake_master *m)
{
    struct master_info info = {
        .id = m->number + 1,
        .role = text_view(m->number == leader ? "leader" : "follower"),
        .leader = leader + 1,
        .term = term,
        .commit_index = 300,
        .applied_index = 300,
        .digest = text_view("0123456789abcdef"),
        .digest_index = 256,
    };

    master_info_pack(w, &info);
    list_end(w, 0);
}

static void answer_list(struct fake_master *m,
                        struct conn *c,
                        const struct rpc *rpc,
                        const struct list_request *q)
{
    struct list_writer w;

    if ((rpc->method == METHOD_TASKS || rpc->method == METHOD_SPEC ||
         (rpc->method == METHOD_JOBS && q->of != 0)) &&
        job_of(q->of) == NULL) {
        answer_error(c, rpc->id, ERROR_NOT_FOUND, "there is no such job");
        return;
    }
    list_begin(&w, conn_begin(c), rpc->id, job_count + 1);
    if (rpc->method == METHOD_JOBS)
        list_jobs(&w, q);
    else if (rpc->method == METHOD_SPEC)
        list_spec(&w, q);
    else if (rpc->method == METHOD_TASKS)
        list_tasks(&w, q);
    else if (rpc->method == METHOD_AGENTS)
        list_agents(&w);
    else
        list_master(&w, m);
    conn_end(c);
}

static void change(struct conn *c, const struct rpc *rpc)
{
    struct fake_job *j;
    uint64_t id;

    ASSERT(id_request_unpack(&id, rpc->params, NULL) == 0);
    j = job_of(id);
    if (j == NULL) {
        answer_error(c, rpc->id, ERROR_NOT_FOUND, "no job has this id");
        return;
    }
    if (rpc->method == METHOD_KILL)
        j->killed = j->killed || !task_state_is_final(state_of(j, 0));
    else
        j->purged = true;
    if (j->purged && strcmp(j->name, "slippery") == 0)
        conn_close(c, NULL);
    else
        answer_id(c, rpc->id, id);
}

/* ---- sessions ---- */

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    struct fake_master *m = user;
    struct submit_request s;
    struct list_request list = {0};
    struct rpc rpc;

    ASSERT(rpc_unpack(&rpc, frame, NULL) == 0 && rpc.type == RPC_REQUEST);
    if (m->hangs)
        return;
    if (rpc.method == METHOD_SUBMIT)
        ASSERT(submit_unpack(&s, rpc.params, NULL) == 0);
    else if (rpc.method != METHOD_KILL && rpc.method != METHOD_PURGE)
        ASSERT(list_unpack(&list, rpc.params, NULL) == 0);
    if (!list.stale && m->number != leader)
        answer_error(c, rpc.id, ERROR_NOT_LEADER, "not the leader");
    else if (rpc.method == METHOD_SUBMIT)
        answer_id(c, rpc.id, submit(s.key, s.spec));
    else if (rpc.method == METHOD_KILL || rpc.method == METHOD_PURGE)
        change(c, &rpc);
    else
        answer_list(m, c, &rpc, &list);
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct fake_master *m = user;
    struct hello own = {.protocol = PROTOCOL_VERSION,
                        .role = HELLO_MASTER,
                        .id = m->number + 1,
                        .founding = FOUNDING_MEMBER,
                        .leads = m->number == leader,
                        .term = term};

    ASSERT(hello->role == HELLO_CLIENT);
    for (unsigned i = 0; i < 64; i++) {
        if (m->conns[i] == NULL) {
            m->conns[i] = c;
            break;
        }
    }
    if (!m->hangs)
        conn_hello(c, &own);
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    struct fake_master *m = user;

    (void)reason;
    for (unsigned i = 0; i < 64; i++)
        if (m->conns[i] == c)
            m->conns[i] = NULL;
}

static void on_signal(void *user, int signum)
{
    struct fake_master *m = &masters[leader];

    (void)user;
    if (signum == SIGTERM) {
        loop_stop(loop);
        return;
    }
    m->hangs = signum == SIGUSR2;
    leader = (leader + 1) % master_count;
    term++;
    for (unsigned i = 0; i < 64; i++)
        if (m->conns[i] != NULL && signum == SIGUSR1)
            conn_close(m->conns[i], NULL);
}

/* ---- logs ---- */

struct reader {
    struct stream *stream;
    struct loop_timer hold; /* the connection, for so long */
};

static void append_log(struct buffer *out, uint64_t job)
{
    for (unsigned i = 1; i <= LOG_LINES; i++)
        buffer_printf(out, "job %llu says line %u\n", (unsigned long long)job, i);
}

static void append_chunks(struct buffer *out, struct bytes body)
{
    while (body.size > 0) {
        size_t size = body.size < 70 ? body.size : 70;

        buffer_printf(out, "%zx\r\n", size);
        buffer_append(out, body.data, size);
        buffer_append_text(out, "\r\n");
        body.data += size;
        body.size -= size;
    }
}

static void append_not_found(struct buffer *out)
{
    static const char body[] = "{\"error\":\"no such file\"}";

    buffer_printf(out,
                  "HTTP/1.1 404 Not Found\r\nContent-Length: %zu\r\n\r\n%s",
                  sizeof(body) - 1,
                  body);
}

/* Ends with the milliseconds for which the connection is held then; NEVER: for ever. */
static uint64_t append_answer(struct buffer *out, const char *request)
{
    uint64_t hold_ms = 0;
    unsigned long long attempt, offset;
    struct buffer text = {0};
    const struct fake_job *j;
    struct bytes rest;
    char file[16];

    ASSERT(
        sscanf(
            request, "GET /tasks/%llu/%15[a-z]?offset=%llu", &attempt, file, &offset) ==
        3);
    j = job_of(attempt / 100000);
    if (j == NULL || strcmp(file, "stdout") != 0) {
        append_not_found(out);
        return 0;
    }
    if (is_command(j, "mute"))
        return NEVER;
    append_log(&text, attempt / 100000);
    ASSERT(offset <= text.size);
    rest = (struct bytes){text.data + offset, text.size - offset};
    buffer_append_text(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (is_command(j, "quiet") && offset == 0)
        hold_ms = QUIET_MS;
    if (is_command(j, "moves") && attempt % 100000 < MOVED_ATTEMPT)
        hold_ms = NEVER;
    if ((is_command(j, "cut") && cuts++ < 2) || hold_ms > 0) {
        rest.size = rest.size < CUT_BYTES ? rest.size : CUT_BYTES;
        append_chunks(out, rest);
    } else {
        append_chunks(out, rest);
        buffer_append_text(out, "0\r\n\r\n");
    }
    buffer_finish(&text);
    return hold_ms;
}

static void on_held(void *user)
{
    struct reader *r = user;

    stream_finish(r->stream, NULL);
}

static size_t on_received(void *user, struct bytes bytes)
{
    struct reader *r = user;
    struct buffer request = {0}, answer = {0};
    uint64_t hold_ms;

    buffer_append(&request, bytes.data, bytes.size);
    buffer_append_u8(&request, 0);
    if (strstr((const char *)request.data, "\r\n\r\n") == NULL) {
        buffer_finish(&request);
        return 0;
    }
    hold_ms = append_answer(&answer, (const char *)request.data);
    stream_send(r->stream, buffer_view(&answer));
    if (hold_ms == 0)
        stream_finish(r->stream, NULL);
    else if (hold_ms != NEVER)
        timer_set_in(loop, &r->hold, hold_ms, on_held, r);
    buffer_finish(&request);
    buffer_finish(&answer);
    return bytes.size;
}

static void on_reader_closed(void *user, const struct error *reason)
{
    struct reader *r = user;

    (void)reason;
    timer_stop(loop, &r->hold);
    mem_free(user);
}

static void on_accepted(void *user, int fd)
{
    static const struct stream_options options = {0};
    static const struct stream_events events = {.received = on_received,
                                                .closed = on_reader_closed};
    struct reader *r = mem_zalloc(sizeof(*r));

    (void)user;
    r->stream = stream_accept(loop, fd, &options, &events, r);
}

/* ---- begin ---- */

static void start_http(void)
{
    static const struct listener_events events = {.accepted = on_accepted};
    struct address any;
    struct error err;

    ASSERT(address_parse_listen(&any, "127.0.0.1:0", &err) == 0);
    http = listener_create(loop, &any, &events, NULL, &err);
    ASSERT(http != NULL);
}

static void start_master(unsigned number)
{
    static const struct conn_events events = {
        .hello = on_hello, .frame = on_frame, .closed = on_closed};
    struct server_options options = {0};
    struct fake_master *m = &masters[number];
    struct error err;

    ASSERT(address_parse_listen(&options.listen, "127.0.0.1:0", &err) == 0);
    m->number = number;
    m->server = server_create(loop, &options, &events, m, &err);
    ASSERT(m->server != NULL);
    printf("%s127.0.0.1:%u", number == 0 ? "" : ",", server_port(m->server));
}

int main(int argc, char **argv)
{
    ASSERT(argc == 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    master_count = (unsigned)atoi(argv[1]);
    ASSERT(master_count > 0 && master_count <= MASTERS_MAX);
    loop = loop_create();
    loop_on_signal(loop, SIGTERM, on_signal, NULL);
    loop_on_signal(loop, SIGUSR1, on_signal, NULL);
    loop_on_signal(loop, SIGUSR2, on_signal, NULL);
    add_hostile_job();
    start_http();
    for (unsigned i = 0; i < master_count; i++)
        start_master(i);
    printf("\n");
    fflush(stdout);
    loop_run(loop);
    listener_destroy(http);
    for (unsigned i = 0; i < master_count; i++)
        server_destroy(masters[i].server);
    for (unsigned i = 0; i < job_count; i++) {
        mem_free(jobs[i].name);
        mem_free(jobs[i].command);
    }
    loop_destroy(loop);
    return EXIT_SUCCESS;
}
