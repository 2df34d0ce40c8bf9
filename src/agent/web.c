/* web.c - HTTP of an agent. */
#include "agent/web.h"

#include "agent/task_logs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/text.h"
#include "net/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct web {
    struct agent *agent;
    struct http *http;
};

/* ---- /health ---- */

/* 200 while this agent follows a leader. */
static void handle_health(void *user, struct http_request *r)
{
    const struct web *w = user;
    struct agent_status s;
    struct buffer body = {0};

    agent_core_status(w->agent->core, &s);
    buffer_printf(&body,
                  "{\"healthy\":%s,\"id\":%llu,\"leader\":\"%s\",\"term\":%llu,"
                  "\"running\":%u,\"runs_digest\":\"%016llx\"}\n",
                  s.registered ? "true" : "false",
                  (unsigned long long)s.agent,
                  s.registered ? w->agent->config.masters[s.leader].text : "",
                  (unsigned long long)s.term,
                  s.running + s.stopping,
                  (unsigned long long)s.digest);
    http_answer(r, s.registered ? 200 : 503, "application/json", &body);
}

/* ---- /metrics ---- */

static void gauge(struct metrics *m, const char *name, const char *help, double value)
{
    metric_set(metrics_gauge(m, name, help, NULL), value);
}

static void
counter(struct metrics *m, const char *name, const char *help, uint64_t value)
{
    metric_add(metrics_counter(m, name, help, NULL), value);
}

static void run_metrics(struct metrics *m, const struct agent_status *s)
{
    const struct {
        const char *label;
        uint32_t count;
    } phases[] = {
        {"phase=\"recorded\"", s->recorded},
        {"phase=\"starting\"", s->starting},
        {"phase=\"running\"", s->running},
        {"phase=\"stopping\"", s->stopping},
        {"phase=\"ended\"", s->ended},
    };

    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
        metric_set(metrics_gauge(m,
                                 "triarch_agent_runs",
                                 "Runs by phase; ended ones wait for the leader.",
                                 phases[i].label),
                   phases[i].count);
    counter(m,
            "triarch_agent_launches_total",
            "Launches accepted since the start.",
            s->launches_accepted);
    counter(m,
            "triarch_agent_attempts_refused_total",
            "Orders about attempts that will never start.",
            s->attempts_refused);
    counter(m,
            "triarch_agent_orders_refused_total",
            "Orders of somebody who does not lead.",
            s->orders_refused);
    counter(m, "triarch_agent_updates_total", "States of runs told.", s->updates_sent);
}

static void handle_metrics(void *user, struct http_request *r)
{
    const struct web *w = user;
    struct metrics *m = metrics_create();
    struct agent_status s;
    struct buffer body = {0};

    agent_core_status(w->agent->core, &s);
    gauge(m,
          "triarch_agent_registered",
          "1 while this agent follows a leader.",
          s.registered ? 1 : 0);
    gauge(m, "triarch_agent_term", "The highest term seen.", (double)s.term);
    gauge(m,
          "triarch_agent_highest_attempt",
          "The highest attempt ever accepted.",
          (double)s.highest_attempt);
    gauge(m,
          "triarch_agent_http_connections",
          "HTTP connections.",
          http_connections(w->http));
    gauge(m,
          "triarch_agent_logs_watched",
          "Runs whose log files are kept below their limit.",
          (double)task_logs_count(w->agent->task_logs));
    run_metrics(m, &s);
    metrics_print(m, &body);
    metrics_destroy(m);
    http_answer(r, 200, METRICS_CONTENT_TYPE, &body);
}

/* ---- /tasks/ATTEMPT/stdout ---- */

struct followed {
    struct agent *agent;
    uint64_t attempt;
};

/* The end of a run is told when nothing of it is left that could write. */
static bool is_done(void *user)
{
    const struct followed *f = user;
    enum task_state state;

    return !agent_core_run_state(f->agent->core, f->attempt, &state) ||
           task_state_is_final(state);
}

static void on_closed(void *user)
{
    mem_free(user);
}

/* "ATTEMPT/stdout": nothing else is a path here, so none leads out of the sandbox. */
static bool parse_log(const char *rest, uint64_t *attempt, const char **name)
{
    if (!text_take_uint(&rest, UINT64_MAX, attempt) || *rest++ != '/')
        return false;
    *name = rest;
    return strcmp(rest, "stdout") == 0 || strcmp(rest, "stderr") == 0;
}

/* The task owns its sandbox: what it puts in the place of the file is not followed, and a pipe
 * is not waited for. */
static int open_log(const struct agent *a, uint64_t attempt, const char *name)
{
    char path[PATH_MAX];
    int sandbox, fd, reason;

    snprintf(
        path, sizeof(path), "%s/runs/%llu", a->work_dir, (unsigned long long)attempt);
    sandbox = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sandbox < 0)
        return -1;
    fd = openat(sandbox, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    reason = errno;
    close(sandbox);
    errno = reason;
    return fd;
}

static void answer_no_log(struct http_request *r, uint64_t attempt, const char *name)
{
    int reason = errno;
    struct error err;

    if (reason == ENOENT || reason == ENOTDIR || reason == ELOOP)
        error_set(
            &err,
            ERROR_NOT_FOUND,
            "attempt %llu has no %s here: it did not start yet, or its files were "
            "removed",
            (unsigned long long)attempt,
            name);
    else
        error_set(&err,
                  ERROR_IO,
                  "cannot open %s of attempt %llu: %s",
                  name,
                  (unsigned long long)attempt,
                  strerror(reason));
    http_answer_error(r, &err);
}

static void handle_log(void *user, struct http_request *r)
{
    const struct web *w = user;
    struct http_file file = {
        .content_type = "text/plain; charset=utf-8",
        .done = is_done,
        .closed = on_closed,
    };
    struct followed followed = {.agent = w->agent};
    struct error err;
    const char *name;

    if (!parse_log(http_path_rest(r), &followed.attempt, &name)) {
        error_set(&err, ERROR_NOT_FOUND, "ask for /tasks/ATTEMPT/stdout or stderr");
        http_answer_error(r, &err);
        return;
    }
    file.fd = open_log(w->agent, followed.attempt, name);
    if (file.fd < 0) {
        answer_no_log(r, followed.attempt, name);
        return;
    }
    file.user = mem_dup(&followed, sizeof(followed));
    http_answer_file(r, &file);
}

/* ---- life ---- */

/* A reader of a log takes two descriptors: half of them stay for masters and runs. */
static unsigned connections_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_max / 4 >= LIMIT_HTTP_CONNECTIONS)
        return LIMIT_HTTP_CONNECTIONS;
    return (unsigned)limit.rlim_max / 4;
}

static const struct http_route ROUTES[] = {
    {"GET", "/health", handle_health},
    {"GET", "/metrics", handle_metrics},
    {"GET", "/tasks/", handle_log},
};

int web_start(struct web **out, struct agent *a, struct error *err)
{
    struct web *w = mem_zalloc(sizeof(*w));
    struct http_options options = {.listen = &a->config.http,
                                   .listen_count = 1,
                                   .connections_max = connections_max(),
                                   .routes = ROUTES,
                                   .route_count = sizeof(ROUTES) / sizeof(*ROUTES)};

    w->agent = a;
    w->http = http_create(a->loop, &options, w, err);
    if (w->http == NULL) {
        mem_free(w);
        return -(int)err->code;
    }
    log_info("agent", "HTTP on %s port=%u", a->config.http.text, web_port(w));
    *out = w;
    return 0;
}

void web_stop(struct web *w)
{
    if (w == NULL)
        return;
    http_destroy(w->http);
    mem_free(w);
}

uint16_t web_port(const struct web *w)
{
    return http_port(w->http, 0);
}
