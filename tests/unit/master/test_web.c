/* test_web.c - /health and /metrics of a master, read as a monitoring system reads them. */
#include "master/web.h"

#include "base/mem.h"
#include "master/storage.h"
#include "tests/unit/master_core/rig.h"
#include "tests/unit/net/net_test.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static struct master m;
static struct buffer answer; /* of the last request, terminated by a zero */

/* ---- the rest of the master ---- */

void storage_stats(struct storage *s, struct log_writer_stats *out)
{
    (void)s;
    *out = (struct log_writer_stats){
        .entries = 12, .queued = 3, .free_bytes = 1 << 30, .commit_us_total = 5000};
    for (unsigned i = 0; i < LOG_WRITER_BUCKETS; i++)
        out->commit_us_buckets[i] = i;
}

/* ---- the fixture ---- */

static void setup(void)
{
    memset(&m, 0, sizeof(m));
    m.id = 1;
    m.loop = loop_create();
    m.http = local_address(unused_port());
    m.cluster.count = 1;
    m.cluster.members[0].id = 1;
    m.cluster.members[0].address = local_address(5049);
    m.peers = peers_create(m.loop, &m.cluster, 1, NULL, NULL);
}

static void start(struct master_core *core)
{
    struct error err;

    m.core = core;
    ck_assert_msg(web_start(&m.web, &m, &err) == 0, "%s", err.text);
}

static void teardown(void)
{
    web_stop(m.web);
    peers_destroy(m.peers);
    loop_destroy(m.loop);
    rig_finish(&rig);
    buffer_finish(&answer);
}

/* The status of the answer; its body in *body. */
static int get(const char *path, const char **body)
{
    char request[128];
    int fd = raw_connect(m.http.port), status;
    const char *head;

    snprintf(request,
             sizeof(request),
             "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             path);
    raw_send(fd, request, strlen(request));
    buffer_clear(&answer);
    raw_read_all(m.loop, fd, &answer);
    close(fd);
    buffer_append(&answer, "", 1);
    head = (const char *)answer.data;
    ck_assert_int_eq(sscanf(head, "HTTP/1.1 %d", &status), 1);
    *body = strstr(head, "\r\n\r\n");
    ck_assert_ptr_nonnull(*body);
    *body += 4;
    return status;
}

/* ---- the text format 0.0.4, as strict as its description ---- */

#define SAMPLES_MAX 512

struct sample {
    char name[200]; /* with its labels, as printed */
    double value;
};

static struct {
    struct sample samples[SAMPLES_MAX];
    unsigned count;
    char families[SAMPLES_MAX][96];
    unsigned family_count;
    char family[96], type[16];
    unsigned in_family;
    double last_bound, last_bucket;
} page;

static const struct sample *find(const char *name)
{
    for (unsigned i = 0; i < page.count; i++)
        if (strcmp(page.samples[i].name, name) == 0)
            return &page.samples[i];
    return NULL;
}

static void check_name(const char *name, size_t size)
{
    ck_assert_uint_gt(size, 0);
    for (size_t i = 0; i < size; i++)
        ck_assert_msg(isalpha((unsigned char)name[i]) || name[i] == '_' ||
                          name[i] == ':' || (i > 0 && isdigit((unsigned char)name[i])),
                      "%s",
                      name);
}

static void end_family(void)
{
    char name[128];

    if (page.family[0] == '\0')
        return;
    ck_assert_msg(page.in_family > 0, "%s has no sample", page.family);
    if (strcmp(page.type, "histogram") != 0)
        return;
    snprintf(name, sizeof(name), "%s_count", page.family);
    ck_assert_ptr_nonnull(find(name));
    ck_assert_msg(find(name)->value == page.last_bucket, "%s", name);
    snprintf(name, sizeof(name), "%s_bucket{le=\"+Inf\"}", page.family);
    ck_assert_ptr_nonnull(find(name));
}

static void take_help(const char *line)
{
    size_t size = strcspn(line, " ");

    end_family();
    check_name(line, size);
    ck_assert_uint_lt(size, sizeof(page.family));
    snprintf(page.family, sizeof(page.family), "%.*s", (int)size, line);
    for (unsigned i = 0; i < page.family_count; i++)
        ck_assert_msg(strcmp(page.families[i], page.family) != 0, "%s twice", line);
    ck_assert_uint_lt(page.family_count, SAMPLES_MAX);
    strcpy(page.families[page.family_count++], page.family);
    ck_assert_msg(line[size] == ' ' && strlen(line + size) > 4 &&
                      strstr(line, "docs/") == NULL && line[strlen(line) - 1] == '.',
                  "this says nothing: %s",
                  line);
    page.type[0] = '\0';
    page.in_family = 0;
    page.last_bound = page.last_bucket = 0;
}

static void take_type(const char *line)
{
    char name[96];
    size_t size;

    ck_assert_int_eq(sscanf(line, "%95s %15s", name, page.type), 2);
    ck_assert_str_eq(name, page.family);
    ck_assert_uint_eq(page.in_family, 0);
    ck_assert_msg(strcmp(page.type, "counter") == 0 ||
                      strcmp(page.type, "gauge") == 0 ||
                      strcmp(page.type, "histogram") == 0,
                  "%s",
                  line);
    size = strlen(name);
    ck_assert_msg((strcmp(page.type, "counter") == 0) ==
                      (size > 6 && strcmp(name + size - 6, "_total") == 0),
                  "%s is no name of a %s",
                  name,
                  page.type);
}

static void check_labels(const char *labels, size_t size)
{
    while (size > 0) {
        size_t name = strcspn(labels, "="), value;

        check_name(labels, name);
        ck_assert_uint_lt(name + 2, size);
        ck_assert_int_eq(labels[name + 1], '"');
        value = strcspn(labels + name + 2, "\"\\");
        ck_assert_uint_lt(name + 2 + value, size);
        ck_assert_int_eq(labels[name + 2 + value], '"');
        labels += name + value + 3;
        size -= name + value + 3;
        if (size > 0) {
            ck_assert_int_eq(*labels, ',');
            labels++;
            size--;
        }
    }
}

static void take_bucket(const struct sample *s)
{
    const char *le = strstr(s->name, "le=\"");
    double bound;

    ck_assert_ptr_nonnull(le);
    bound = strtod(le + 4, NULL);
    ck_assert_msg(bound > page.last_bound, "%s", s->name);
    ck_assert_msg(s->value >= page.last_bucket, "%s", s->name);
    page.last_bound = bound;
    page.last_bucket = s->value;
}

static void take_sample(const char *line)
{
    struct sample *s = &page.samples[page.count];
    size_t name = strcspn(line, "{ "), all = name, family = strlen(page.family);
    char *end;

    ck_assert_uint_lt(page.count, SAMPLES_MAX);
    ck_assert_msg(page.type[0] != '\0', "no HELP and TYPE before %s", line);
    check_name(line, name);
    if (line[name] == '{') {
        all = (size_t)(strchr(line, '}') + 1 - line);
        check_labels(line + name + 1, all - name - 2);
    }
    ck_assert_int_eq(line[all], ' ');
    ck_assert_uint_lt(all, sizeof(s->name));
    snprintf(s->name, sizeof(s->name), "%.*s", (int)all, line);
    ck_assert_msg(find(s->name) == NULL, "%s twice", s->name);
    s->value = strtod(line + all + 1, &end);
    ck_assert_msg(end > line + all + 1 && *end == '\0', "%s", line);
    page.count++;
    page.in_family++;
    ck_assert_msg(strncmp(line, page.family, family) == 0, "%s", line);
    if (strcmp(page.type, "histogram") != 0)
        ck_assert_uint_eq(name, family);
    else if (strncmp(line + family, "_bucket{", 8) == 0)
        take_bucket(s);
    else
        ck_assert_msg(strncmp(line + family, "_sum ", 5) == 0 ||
                          strncmp(line + family, "_count ", 7) == 0,
                      "%s",
                      line);
}

static void read_page(void)
{
    const char *body, *end;
    char line[512];

    ck_assert_int_eq(get("/metrics", &body), 200);
    ck_assert_ptr_nonnull(
        strstr((const char *)answer.data, "text/plain; version=0.0.4"));
    memset(&page, 0, sizeof(page));
    for (; (end = strchr(body, '\n')) != NULL; body = end + 1) {
        ck_assert_uint_lt((size_t)(end - body), sizeof(line));
        snprintf(line, sizeof(line), "%.*s", (int)(end - body), body);
        if (strncmp(line, "# HELP ", 7) == 0)
            take_help(line + 7);
        else if (strncmp(line, "# TYPE ", 7) == 0)
            take_type(line + 7);
        else
            take_sample(line);
    }
    ck_assert_str_eq(body, ""); /* it ends with a newline */
    end_family();
}

static double value_of(const char *name)
{
    ck_assert_msg(find(name) != NULL, "%s is not there", name);
    return find(name)->value;
}

/* ---- tests ---- */

START_TEST(shows_what_is_to_be_watched)
{
    char name[96];

    rig_init(&rig, 100);
    rig_open(&rig, 1, HELLO_AGENT);
    rig_open(&rig, 2, HELLO_CLIENT);
    ck_assert_uint_ne(rig_register(&rig, 1, 0, 1), 0);
    rig_submit(&rig, 2, 5);
    start(rig.core);
    read_page();
    ck_assert(value_of("triarch_raft_role{role=\"leader\"}") == 1);
    ck_assert(value_of("triarch_raft_role{role=\"follower\"}") == 0);
    ck_assert(value_of("triarch_raft_role{role=\"candidate\"}") == 0);
    ck_assert(value_of("triarch_raft_is_leader") == 1);
    ck_assert(value_of("triarch_raft_term") ==
              (double)replica_term(master_replica(rig.core)));
    ck_assert(value_of("triarch_raft_last_index") >= 4);
    ck_assert(value_of("triarch_raft_commit_index") ==
              value_of("triarch_raft_last_index"));
    ck_assert(value_of("triarch_raft_applied_index") ==
              value_of("triarch_raft_last_index"));
    ck_assert(value_of("triarch_raft_durable_index") ==
              value_of("triarch_raft_last_index"));
    ck_assert(value_of("triarch_raft_snapshot_index") == 0);
    ck_assert(value_of("triarch_commands_waiting") == 0);
    ck_assert(value_of("triarch_log_queued") == 3);
    ck_assert(value_of("triarch_sessions") == 2);
    ck_assert(value_of("triarch_disk_free_bytes") == 1 << 30);
    ck_assert(value_of("triarch_commit_seconds_count") ==
              value_of("triarch_entries_proposed_total"));
    ck_assert(value_of("triarch_entries_proposed_total") > 0);
    ck_assert(value_of("triarch_log_commit_seconds_count") ==
              LOG_WRITER_BUCKETS * (LOG_WRITER_BUCKETS - 1) / 2);
    ck_assert(value_of("triarch_log_commit_seconds_sum") == 0.005);
    ck_assert(value_of("triarch_tasks{state=\"TASK_STAGING\"}") == 5);
    ck_assert(value_of("triarch_jobs{state=\"RUNNING\"}") == 1);
    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        snprintf(name,
                 sizeof(name),
                 "triarch_tasks{state=\"%s\"}",
                 task_state_name((enum task_state)i));
        value_of(name);
    }
    for (int i = 0; i < AGENT_STATE_COUNT; i++) {
        snprintf(name,
                 sizeof(name),
                 "triarch_agents{state=\"%s\"}",
                 agent_state_name((enum agent_state)i));
        ck_assert(value_of(name) == (i == AGENT_ACTIVE ? 1 : 0));
    }
}
END_TEST

START_TEST(is_healthy_while_there_is_a_leader)
{
    const char *body;

    rig_init(&rig, 100);
    start(rig.core);
    ck_assert_int_eq(get("/health", &body), 200);
    ck_assert_str_eq(
        body,
        "{\"healthy\":true,\"id\":1,\"role\":\"leader\",\"leader\":1,\"term\":2}\n");
}
END_TEST

/* Before the founding there is no replica, and the page is well formed all the same. */
START_TEST(answers_before_it_is_founded)
{
    const char *body;

    master_config_init(&rig.config);
    rig.config.id = 1;
    rig.config.member_count = 3;
    for (unsigned i = 0; i < 3; i++)
        rig.config.members[i] = (struct master_member){i + 1, "127.0.0.1:1"};
    rig.core = master_create(&rig.config);
    rig_step(&rig,
             &(struct master_event){.kind = MASTER_START, .start = {.empty = true}});
    start(rig.core);
    ck_assert_int_eq(get("/health", &body), 503);
    ck_assert_str_eq(
        body,
        "{\"healthy\":false,\"id\":1,\"role\":\"founding\",\"leader\":0,\"term\":0}\n");
    read_page();
    ck_assert_ptr_null(find("triarch_raft_term"));
    ck_assert(value_of("triarch_tasks{state=\"TASK_RUNNING\"}") == 0);
}
END_TEST

int main(void)
{
    TCase *c = net_case("web",
                        shows_what_is_to_be_watched,
                        is_healthy_while_there_is_a_leader,
                        answers_before_it_is_founded);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("web", &c, 1);
}
