/* test_agent.c - a whole agent: its sessions, its tasks and its HTTP, with one master that is
 * played here. */
#include "agent/agent.h"
#include "agent/checkpoint.h"
#include "agent/exec.h"
#include "agent/web.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/server.h"
#include "tests/unit/agent/agent_test.h"
#include "tests/unit/net/net_test.h"
#include "wire/job.h"
#include "wire/message.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGENT_ID 7
#define TERM     3

static struct agent a;
static uint16_t master_port;
static struct server *master;
static struct conn *session; /* with the agent, or NULL */
static enum error_code refusal;
static unsigned registered;
static struct register_request last_register;
static struct agent_spec told; /* by the agent */
static enum task_state states[TEST_ATTEMPTS];
static struct buffer in; /* of HTTP */

static const uint8_t CLUSTER[CLUSTER_ID_BYTES] = "one cluster only";

/* ---- the master ---- */

static void answer_register(const struct rpc *rpc)
{
    struct register_result result = {.agent = AGENT_ID, .term = TERM};

    ck_assert_int_eq(register_unpack(&last_register, rpc->params, NULL), 0);
    agent_spec_finish(&told);
    ck_assert_int_eq(agent_spec_unpack(&told, last_register.spec, NULL), 0);
    memcpy(result.cluster_id, CLUSTER, sizeof(CLUSTER));
    register_result_pack(&result, rpc->id, conn_begin(session));
    conn_end(session);
    registered++;
}

static void take_updates(const struct rpc *rpc)
{
    struct command_cursor at = {0};
    struct run_report run;
    struct run_list list;

    ck_assert_int_eq(run_list_unpack(&list, rpc->params, NULL), 0);
    ck_assert_uint_eq(list.agent, AGENT_ID);
    while (run_list_next(&list, &at, &run)) {
        ck_assert_uint_lt(run.attempt, TEST_ATTEMPTS);
        states[run.attempt] = run.state;
    }
}

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    struct rpc rpc;

    (void)user;
    (void)c;
    ck_assert_int_eq(rpc_unpack(&rpc, frame, NULL), 0);
    if (rpc.method == METHOD_REGISTER)
        answer_register(&rpc);
    else if (rpc.method == METHOD_UPDATE)
        take_updates(&rpc);
    else
        ck_assert_int_eq(rpc.method, METHOD_HEARTBEAT);
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    static const uint8_t hash[CLUSTER_ID_BYTES] = "some hash";
    struct hello ours = {.protocol = PROTOCOL_VERSION,
                         .role = HELLO_MASTER,
                         .cluster = {CLUSTER, sizeof(CLUSTER)},
                         .id = 1,
                         .incarnation = 1,
                         .cluster_hash = {hash, sizeof(hash)},
                         .founding = FOUNDING_MEMBER,
                         .leads = true,
                         .term = TERM};
    struct error reason;

    (void)user;
    ck_assert_int_eq(hello->role, HELLO_AGENT);
    if (refusal != ERROR_NONE) {
        error_set(&reason, refusal, "go away");
        conn_refuse(c, &reason);
        return;
    }
    session = c;
    conn_hello(c, &ours);
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)reason;
    if (session == c)
        session = NULL;
}

static const struct conn_events MASTER_EVENTS = {
    .hello = on_hello,
    .frame = on_frame,
    .closed = on_closed,
};

static void launch(uint64_t attempt, const char *script)
{
    struct launch l = {.attempt = attempt, .job = 1, .instance = 0, .number = 1};
    struct buffer bytes = {0};
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("test");
    spec.instances = 1;
    job_spec_add_arg(&spec, "sh");
    job_spec_add_arg(&spec, "-c");
    job_spec_add_arg(&spec, script);
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    l.spec = buffer_view(&bytes);
    ck_assert_uint_eq(launch_pack(TERM, &l, 1, conn_begin(session)), 1);
    conn_end(session);
    buffer_finish(&bytes);
}

static void acknowledge(uint64_t attempt)
{
    struct ack ack = {.attempt = attempt, .state = states[attempt]};

    ack_pack(TERM, &ack, 1, conn_begin(session));
    conn_end(session);
}

static void stop(uint64_t attempt)
{
    struct stop order = {.attempt = attempt};

    stop_pack(TERM, &order, 1, conn_begin(session));
    conn_end(session);
}

static bool is_known(uint64_t attempt)
{
    enum task_state state;

    return agent_core_run_state(a.core, attempt, &state);
}

/* ---- the fixture ---- */

static void configure(struct agent *agent)
{
    struct agent_config *c = &agent->config;

    c->masters[0] = local_address(master_port);
    c->master_count = 1;
    c->work_dir = t.work_dir;
    strcpy(c->shim, t.shim);
    c->http.on = c->rpc.on = true;
    c->http.listen = c->rpc.listen = local_address(0);
    c->spec.hostname = mem_strdup("host.example");
    c->spec.resources.amount[RESOURCE_CPUS] = 4000;
    c->spec.resources.amount[RESOURCE_MEM] = RESOURCE_DETECT;
    c->spec.resources.amount[RESOURCE_DISK] = RESOURCE_DETECT;
}

static void open_master(void)
{
    struct server_options options = {.listen = local_address(master_port)};
    struct error err = {0};

    master = server_create(a.loop, &options, &MASTER_EVENTS, NULL, &err);
    ck_assert_msg(master != NULL, "%s", err.text);
}

static void open_agent(void)
{
    struct error err = {0};

    configure(&a);
    ck_assert_msg(agent_start(&a, &err) == 0, "%s", err.text);
    open_master();
}

static void close_agent(void)
{
    server_destroy(master);
    master = NULL;
    session = NULL;
    registered = 0;
    agent_stop(&a);
    a = (struct agent){0};
}

static void open_registered(void)
{
    open_agent();
    wait_until(a.loop, registered > 0);
}

static void setup(void)
{
    log_init(LOG_LEVEL_ERROR);
    agent_test_setup();
    master_port = unused_port();
}

static void teardown(void)
{
    close_agent();
    agent_spec_finish(&told);
    buffer_finish(&in);
    agent_test_teardown();
}

/* ---- HTTP ---- */

static int begin_get(const char *path)
{
    char head[512];
    int size = snprintf(head,
                        sizeof(head),
                        "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                        path);
    int fd = raw_connect(web_port(a.web));

    raw_send(fd, head, (size_t)size);
    buffer_clear(&in);
    return fd;
}

static void end_get(int fd)
{
    raw_read_all(a.loop, fd, &in);
    buffer_append_u8(&in, 0);
    close(fd);
}

static unsigned get(const char *path)
{
    unsigned status = 0;

    end_get(begin_get(path));
    ck_assert_int_eq(sscanf((char *)in.data, "HTTP/1.1 %u", &status), 1);
    return status;
}

static const char *body(void)
{
    const char *end = strstr((char *)in.data, "\r\n\r\n");

    ck_assert_ptr_nonnull(end);
    return end + 4;
}

static void check_contains(const char *part)
{
    ck_assert_msg(
        strstr((char *)in.data, part) != NULL, "%s\nin %s", part, (char *)in.data);
}

/* ---- tests ---- */

START_TEST(runs_a_task)
{
    open_registered();
    ck_assert_uint_eq(last_register.agent, 0);
    ck_assert_str_eq(told.hostname, "host.example");
    ck_assert_uint_eq(told.resources.amount[RESOURCE_CPUS], 4000);
    ck_assert_uint_gt(told.resources.amount[RESOURCE_MEM], 0);
    launch(1, "echo out; echo err >&2; exit 3");
    wait_until(a.loop, states[1] == TASK_FAILED);
    ck_assert_uint_eq(get("/tasks/1/stdout"), 200);
    ck_assert_str_eq(body(), "out\n");
    acknowledge(1);
    wait_until(a.loop, !is_known(1));
    ck_assert_uint_eq(get("/tasks/1/stderr"), 200);
    ck_assert_str_eq(body(), "err\n");
}
END_TEST

static bool has_metric(const char *line)
{
    ck_assert_uint_eq(get("/metrics"), 200);
    return strstr(body(), line) != NULL;
}

START_TEST(ended_runs_are_no_burden)
{
    open_registered();
    launch(1, "true");
    launch(2, "sleep 1000");
    wait_until(a.loop, states[1] == TASK_FINISHED && states[2] == TASK_RUNNING);
    wait_until(a.loop, has_metric("\ntriarch_agent_logs_watched 1\n"));
    stop(2);
    wait_until(a.loop, has_metric("\ntriarch_agent_logs_watched 0\n"));
}
END_TEST

#define DESCRIPTORS 240
#define READERS     70

/* Who reads logs takes no descriptor from the sessions with the masters. */
START_TEST(readers_leave_room_for_masters)
{
    static const char follow[] =
        "GET /tasks/1/stdout?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    const struct rlimit few = {DESCRIPTORS, DESCRIPTORS};
    int readers[READERS];

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    open_registered();
    launch(1, "sleep 1000");
    wait_until(a.loop, states[1] == TASK_RUNNING);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = raw_connect(web_port(a.web));
        raw_send(readers[i], follow, sizeof(follow) - 1);
    }
    raw_read_size(a.loop, readers[0], &in, 1);
    buffer_clear(&in);
    end_get(readers[READERS - 1]);
    check_contains("503 ");
    conn_close(session, NULL);
    wait_until(a.loop, registered == 2);
    for (size_t i = 0; i < READERS - 1; i++)
        close(readers[i]);
    stop(1);
    wait_until(a.loop, states[1] == TASK_KILLED);
}
END_TEST

START_TEST(says_how_it_is)
{
    open_agent();
    ck_assert_uint_eq(get("/health"), 503);
    check_contains("\"healthy\":false");
    wait_until(a.loop, registered > 0);
    launch(1, "sleep 1000");
    wait_until(a.loop, states[1] == TASK_RUNNING);
    ck_assert_uint_eq(get("/health"), 200);
    check_contains("\"healthy\":true,\"id\":7,\"leader\":\"127.0.0.1:");
    ck_assert_uint_eq(get("/metrics"), 200);
    check_contains("\ntriarch_agent_runs{phase=\"running\"} 1\n");
    check_contains("\ntriarch_agent_runs{phase=\"waiting\"} 0\n");
    check_contains("\ntriarch_agent_registered 1\n");
    check_contains("\ntriarch_agent_term 3\n");
    check_contains("\ntriarch_agent_launches_total 1\n");
    stop(1);
    wait_until(a.loop, states[1] == TASK_KILLED);
}
END_TEST

START_TEST(follows_a_log)
{
    struct stat st;
    char path[128];
    int fd;

    open_registered();
    launch(1, "echo one; until test -e go; do sleep 0.01; done; echo two");
    snprintf(path, sizeof(path), "%s/runs/1/stdout", t.work_dir);
    wait_until(a.loop, stat(path, &st) == 0 && st.st_size > 0);
    fd = begin_get("/tasks/1/stdout?follow=1");
    do
        raw_read_size(a.loop, fd, &in, in.size + 1);
    while (memmem(in.data, in.size, "one\n", 4) == NULL);
    ck_assert_ptr_null(memmem(in.data, in.size, "two\n", 4));
    snprintf(path, sizeof(path), "%s/runs/1/go", t.work_dir);
    close(open(path, O_WRONLY | O_CREAT, 0644));
    end_get(fd);
    check_contains("two\n");
    ck_assert_uint_eq(get("/tasks/1/stdout?tail=4&follow=1"), 200);
    check_contains("two\n");
    ck_assert_uint_eq(get("/tasks/1/stdout?offset=1"), 200);
    ck_assert_str_eq(body(), "ne\ntwo\n");
}
END_TEST

START_TEST(serves_only_what_tasks_wrote)
{
    static const char *const paths[] = {
        "/tasks/1/secret",
        "/tasks/1/stdout/",
        "/tasks/1/../1/stdout",
        "/tasks/1/../../lock",
        "/tasks/../lock",
        "/tasks/1%2f..%2f..%2flock",
        "/tasks/1/%2e%2e/%2e%2e/lock",
        "/tasks/%2e/stdout",
        "/tasks//stdout",
        "/tasks/01/stdout",
        "/tasks/+1/stdout",
        "/tasks/-1/stdout",
        "/tasks/18446744073709551617/stdout",
        "/tasks/1",
        "/tasks/2/stdout",
        "/tasks/1/stderr", /* a link to a secret */
        "/tasks/3/stdout", /* the sandbox is a link */
        "/tasks/1/filesystem",
        "/tasks/2/files/",
        "/tasks/3/files/stdout",
        "/tasks/1/files/nothing",
    };
    static const char *const mistakes[] = {
        "/tasks/1/stdout%00",
        "/tasks/1/files/secret%00",
        "/tasks/1/files/../../../lock",
        "/tasks/1/files/..%2f..%2f..%2flock",
        "/tasks/1/files/%2e%2e/%2e%2e/lock",
        "/tasks/1/files//etc/passwd",
        "/tasks/1/files/stdout", /* a pipe */
        "/tasks/1/files/?as=bytes",
        "/tasks/1/files/?cursor=x",
        "/tasks/1/files/secret?offset=x",
        "/attempts/1.0",
        "/attempts/1.0?to=0",
        "/attempts/1.0?to=4294967296",
        "/attempts/x?to=1",
    };
    char path[128];

    open_agent();
    snprintf(path, sizeof(path), "%s/runs/1", t.work_dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/runs/3", t.work_dir);
    ck_assert_int_eq(symlink("1", path), 0);
    snprintf(path, sizeof(path), "%s/runs/1/stderr", t.work_dir);
    ck_assert_int_eq(symlink("secret", path), 0);
    snprintf(path, sizeof(path), "%s/runs/1/stdout", t.work_dir);
    ck_assert_int_eq(mkfifo(path, 0644), 0);
    snprintf(path, sizeof(path), "%s/runs/1/secret", t.work_dir);
    close(open(path, O_WRONLY | O_CREAT, 0644));
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        ck_assert_msg(get(paths[i]) == 404, "%s: %s", paths[i], (char *)in.data);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        ck_assert_msg(get(mistakes[i]) == 400, "%s: %s", mistakes[i], (char *)in.data);
    ck_assert_uint_eq(get("/tasks/1/stdout"), 404);
    check_contains("not a file");
}
END_TEST

START_TEST(serves_files_of_tasks)
{
    open_registered();
    launch(1, "mkdir 'a b'; echo hello >'a b/\303\244'; echo out");
    wait_until(a.loop, states[1] == TASK_FINISHED);
    ck_assert_uint_eq(get("/tasks/1/files/a%20b/%C3%A4"), 200);
    check_contains("application/octet-stream");
    check_contains("hello\n");
    ck_assert_uint_eq(get("/tasks/1/files/a%20b/%C3%A4?offset=1&length=3"), 200);
    check_contains("\r\n\r\nell");
    ck_assert_uint_eq(get("/tasks/1/files/a%20b/%C3%A4?as=list"), 200);
    check_contains("\"size\":6");
    ck_assert_uint_eq(get("/tasks/1/files"), 200);
    check_contains("\"url\":\"a%20b\"");
    check_contains("\"name\":\"stdout\"");
    ck_assert_uint_eq(get("/tasks/1/files/stdout"), 200);
    check_contains("out\n");
    ck_assert_uint_eq(get("/tasks/1/files/a%20b/"), 200);
    check_contains("\"url\":\"%C3%A4\"");
}
END_TEST

START_TEST(tells_which_attempts_it_has)
{
    open_registered();
    launch(1, "true");
    wait_until(a.loop, states[1] == TASK_FINISHED);
    ck_assert_uint_eq(get("/attempts/1.0?to=4294967295"), 200);
    check_contains("{\"attempts\":[]}"); /* it looks among the newest */
    ck_assert_uint_eq(get("/attempts/1.1?to=1"), 200);
    check_contains("{\"attempts\":[]}");
    ck_assert_uint_eq(get("/attempts/1.0?to=7"), 200);
    check_contains("{\"attempts\":[{\"number\":1,\"id\":1}]}");
}
END_TEST

START_TEST(serves_what_tasks_use)
{
    open_registered();
    launch(1, "exec sleep 1000");
    wait_until(a.loop, states[1] == TASK_RUNNING);
    ck_assert_uint_eq(get("/tasks/1/usage"), 200);
    check_contains("\"attempt\":1,");
    check_contains("\"ended\":null");
    ck_assert_uint_eq(get("/usage"), 200);
    check_contains("\"next\":null");
    ck_assert_uint_eq(get("/usage?after=x"), 400);
    ck_assert_uint_eq(get("/tasks/2/usage"), 404);
    check_contains("nothing is known");
}
END_TEST

/* What was accepted starts, goes on without an agent, and is found again. */
START_TEST(is_upgraded_in_place)
{
    char text[32];

    open_registered();
    launch(1, "echo yes >ready; until test -e go; do sleep 0.01; done; exit 5");
    wait_until(a.loop, is_known(1));
    drive_finish(&a);
    loop_run(a.loop);
    ck_assert_int_eq(a.failure.code, ERROR_NONE);
    close_agent();
    test_read(1, "ready", text, sizeof(text));
    open_registered();
    ck_assert_uint_eq(last_register.agent, AGENT_ID);
    ck_assert_uint_eq(last_register.highest_attempt, 1);
    wait_until(a.loop, states[1] == TASK_RUNNING);
    snprintf(text, sizeof(text), "runs/1/go");
    ck_assert_int_eq(chdir(t.work_dir), 0);
    close(open(text, O_WRONLY | O_CREAT, 0644));
    wait_until(a.loop, states[1] == TASK_FAILED);
}
END_TEST

START_TEST(foreign_masters_stop_it)
{
    open_registered();
    refusal = ERROR_WRONG_CLUSTER;
    conn_close(session, NULL);
    loop_run(a.loop);
    ck_assert_int_eq(a.failure.code, ERROR_WRONG_CLUSTER);
    ck_assert_ptr_nonnull(strstr(a.failure.text, "--masters"));
}
END_TEST

START_TEST(a_busy_master_does_not_stop_it)
{
    open_registered();
    refusal = ERROR_BUSY;
    conn_close(session, NULL);
    wait_until(a.loop, session == NULL);
    refusal = ERROR_NONE;
    wait_until(a.loop, registered == 2);
}
END_TEST

START_TEST(one_agent_has_the_directory)
{
    static struct agent second;
    struct error err = {0};

    open_agent();
    configure(&second);
    ck_assert_int_eq(agent_start(&second, &err), -ERROR_BUSY);
    ck_assert_ptr_nonnull(strstr(err.text, "is in use by process"));
    agent_stop(&second);
}
END_TEST

static void on_written(void *arg)
{
    (void)arg;
}

START_TEST(no_spawner_is_an_end)
{
    struct error err = {0};

    configure(&a);
    strcpy(a.config.shim, "/nowhere/triarch-shim");
    ck_assert_int_eq(agent_start(&a, &err), -ERROR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/triarch-shim"));
}
END_TEST

/* What stops an agent while it starts is an error, and its end is orderly. */
START_TEST(damaged_checkpoint_is_an_end)
{
    const struct store_hooks hooks = {.notify = on_written};
    struct agent_record nonsense = {.key = {(const uint8_t *)"?", 1},
                                    .value = {(const uint8_t *)"!", 1}};
    struct checkpoint *c;
    struct error err = {0};

    ck_assert_int_eq(checkpoint_open(&c, t.work_dir, &hooks, &err), 0);
    checkpoint_write(c, 1, &nonsense, 1);
    checkpoint_close(c);
    configure(&a);
    ck_assert_int_eq(agent_start(&a, &err), -ERROR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, "checkpoint"));
}
END_TEST

/* ---- the addresses that clients use ---- */

static const struct {
    const char *listen, *advertise;
    const char *told; /* a number sign for the port */
} ADDRESSES[] = {
    {"127.0.0.1:0", NULL, "127.0.0.1:#"},
    {"0.0.0.0:0", NULL, "host.example:#"},
    {"localhost:0", NULL, "localhost:#"},
    {"127.0.0.1:0", "proxy.example:80", "proxy.example:80"},
    {"127.0.0.1:0", "[2001:db8::1]:0", "[2001:db8::1]:#"},
    {NULL, NULL, ""},
};

#define ADDRESS_COUNT (int)(sizeof(ADDRESSES) / sizeof(ADDRESSES[0]))

static void set_endpoint(struct agent_endpoint *e, const char *listen, const char *host)
{
    *e = (struct agent_endpoint){.on = listen != NULL, .has_advertise = host != NULL};
    if (e->on)
        ck_assert_int_eq(address_parse_listen(&e->listen, listen, NULL), 0);
    if (e->has_advertise)
        ck_assert_int_eq(address_parse_listen(&e->advertise, host, NULL), 0);
}

static void check_address(const char *got, const char *wanted, uint16_t port)
{
    char text[64];

    snprintf(text, sizeof(text), "%s", wanted);
    if (strchr(text, '#') != NULL)
        sprintf(strchr(text, '#'), "%u", port);
    ck_assert_str_eq(got, text);
}

/* The HTTP address is that of the case, the RPC address that of the next one. */
START_TEST(tells_its_addresses)
{
    struct error err = {0};
    int i = _i, k = (_i + 1) % ADDRESS_COUNT;

    configure(&a);
    set_endpoint(&a.config.http, ADDRESSES[i].listen, ADDRESSES[i].advertise);
    set_endpoint(&a.config.rpc, ADDRESSES[k].listen, ADDRESSES[k].advertise);
    ck_assert_msg(agent_start(&a, &err) == 0, "%s", err.text);
    check_address(a.config.spec.http_address,
                  ADDRESSES[i].told,
                  a.web == NULL ? 0 : web_port(a.web));
    check_address(a.config.spec.rpc_address,
                  ADDRESSES[k].told,
                  a.exec == NULL ? 0 : exec_port(a.exec));
}
END_TEST

static TCase *agent_case(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

static TCase *address_case(void)
{
    TCase *c = tcase_create("address");

    tcase_add_loop_test(c, tells_its_addresses, 0, ADDRESS_COUNT);
    return c;
}

UNIT_MAIN("agent",
          agent_case(net_case(
              "tasks", runs_a_task, ended_runs_are_no_burden, is_upgraded_in_place)),
          agent_case(net_case("http",
                              says_how_it_is,
                              follows_a_log,
                              serves_only_what_tasks_wrote,
                              serves_files_of_tasks,
                              tells_which_attempts_it_has,
                              serves_what_tasks_use,
                              readers_leave_room_for_masters)),
          agent_case(net_case("sessions",
                              foreign_masters_stop_it,
                              a_busy_master_does_not_stop_it)),
          agent_case(net_case("start",
                              one_agent_has_the_directory,
                              no_spawner_is_an_end,
                              damaged_checkpoint_is_an_end)),
          agent_case(patient(address_case())))
