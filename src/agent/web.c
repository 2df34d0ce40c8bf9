/* web.c - HTTP of an agent. */
#include "agent/web.h"

#include "agent/exec.h"
#include "agent/sandboxes.h"
#include "agent/task_logs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <sys/resource.h>

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
                  s.leader,
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
        {"phase=\"waiting\"", s->waiting},
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
    gauge(m,
          "triarch_agent_sandboxes_stuck",
          "Sandboxes of which something could not be removed.",
          (double)sandboxes_stuck(w->agent->sandboxes));
    gauge(m,
          "triarch_agent_exec_sessions",
          "Commands of clients inside tasks.",
          w->agent->exec == NULL ? 0 : exec_sessions(w->agent->exec));
    run_metrics(m, &s);
    metrics_print(m, &body);
    metrics_destroy(m);
    http_answer(r, 200, METRICS_CONTENT_TYPE, &body);
}

/* ---- /tasks/…, /attempts/… and /usage ---- */

static void handle_task(void *user, struct http_request *r)
{
    const struct web *w = user;

    web_task(w->agent, r);
}

static void handle_attempts(void *user, struct http_request *r)
{
    const struct web *w = user;

    web_attempts(w->agent, r);
}

static void handle_usage(void *user, struct http_request *r)
{
    const struct web *w = user;

    web_usage(w->agent, r);
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
    {"GET", "/usage", handle_usage},
    {"GET", "/tasks/", handle_task},
    {"GET", "/attempts/", handle_attempts},
};

int web_start(struct web **out, struct agent *a, struct error *err)
{
    struct web *w = mem_zalloc(sizeof(*w));
    struct http_options options = {.listen = &a->config.http.listen,
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
    log_info("agent", "HTTP on %s port=%u", a->config.http.listen.host, web_port(w));
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
