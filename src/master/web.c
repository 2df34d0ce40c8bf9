/* web.c - HTTP of a master. */
#include "master/web.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "master/storage.h"
#include "net/http.h"

#include <stdio.h>

struct web {
    struct master *master;
    struct http *http;
};

/* ---- /health ---- */

static const char *role_name(enum replica_role role)
{
    switch (role) {
    case REPLICA_LEADER:
        return "leader";
    case REPLICA_CANDIDATE:
        return "candidate";
    case REPLICA_FOLLOWER:
        break;
    }
    return "follower";
}

/* 200 while this master knows a leader, so that a load balancer may send it requests. */
static void handle_health(void *user, struct http_request *r)
{
    struct web *w = user;
    const struct replica *replica = master_replica(w->master->core);
    bool well = replica != NULL && replica_leader(replica) != 0 &&
                master_state(w->master->core)->globals.founded;
    struct buffer body = {0};

    buffer_printf(
        &body,
        "{\"healthy\":%s,\"id\":%llu,\"role\":\"%s\",\"leader\":%llu,\"term\":%llu}\n",
        well ? "true" : "false",
        (unsigned long long)w->master->id,
        replica != NULL ? role_name(replica_role(replica)) : "founding",
        (unsigned long long)(replica != NULL ? replica_leader(replica) : 0),
        (unsigned long long)(replica != NULL ? replica_term(replica) : 0));
    http_answer(r, well ? 200 : 503, "application/json", &body);
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

static void replica_metrics(struct metrics *m, const struct replica *r)
{
    char name[80];

    for (int role = REPLICA_FOLLOWER; role <= REPLICA_LEADER; role++) {
        snprintf(name, sizeof(name), "role=\"%s\"", role_name((enum replica_role)role));
        metric_set(
            metrics_gauge(m, "triarch_raft_role", "1 for the role it has.", name),
            replica_role(r) == (enum replica_role)role ? 1 : 0);
    }
    gauge(m, "triarch_raft_term", "Current term.", (double)replica_term(r));
    gauge(m,
          "triarch_raft_is_leader",
          "1 while it leads, with an entry of its own term applied.",
          replica_leads(r) ? 1 : 0);
    gauge(
        m, "triarch_raft_last_index", "Last log entry.", (double)replica_last_index(r));
    gauge(m,
          "triarch_raft_commit_index",
          "Committed entries.",
          (double)replica_commit_index(r));
    gauge(m,
          "triarch_raft_applied_index",
          "Applied entries.",
          (double)replica_applied_index(r));
    gauge(m,
          "triarch_raft_durable_index",
          "Entries on disk.",
          (double)replica_durable_index(r));
    gauge(m,
          "triarch_raft_snapshot_index",
          "Entries in the snapshot.",
          (double)replica_snapshot_index(r));
#define X(member, help)                                             \
    snprintf(name, sizeof(name), "triarch_raft_%s_total", #member); \
    counter(m, name, help, replica_counters(r)->member);
    REPLICA_COUNTERS(X)
#undef X
}

static void state_metrics(struct metrics *m, const struct state *s)
{
    char labels[64];

    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        snprintf(labels,
                 sizeof(labels),
                 "state=\"%s\"",
                 task_state_name((enum task_state)i));
        metric_set(metrics_gauge(m, "triarch_tasks", "Tasks by state.", labels),
                   (double)s->tasks_by_state[i]);
    }
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        snprintf(
            labels, sizeof(labels), "state=\"%s\"", job_state_name((enum job_state)i));
        metric_set(metrics_gauge(m, "triarch_jobs", "Jobs by state.", labels),
                   (double)s->jobs_by_state[i]);
    }
    for (int i = 0; i < AGENT_STATE_COUNT; i++) {
        snprintf(labels,
                 sizeof(labels),
                 "state=\"%s\"",
                 agent_state_name((enum agent_state)i));
        metric_set(metrics_gauge(m, "triarch_agents", "Agents by state.", labels),
                   (double)s->agents_by_state[i]);
    }
    gauge(m,
          "triarch_keys_remembered",
          "Keys of purged jobs.",
          (double)s->tombstone_count);
}

static void core_metrics(struct metrics *m, const struct master_core *core)
{
    char name[80];

    gauge(m,
          "triarch_commands_waiting",
          "Commands that wait to be proposed.",
          (double)master_queue_length(core));
    gauge(m,
          "triarch_sessions",
          "Agents and clients connected.",
          (double)master_session_count(core));
#define X(member, help)                                        \
    snprintf(name, sizeof(name), "triarch_%s_total", #member); \
    counter(m, name, help, master_counters(core)->member);
    MASTER_COUNTERS(X)
#undef X
}

static void commit_metrics(struct metrics *m, const struct master_core *core)
{
    const struct master_commit_times *t = master_commit_times(core);
    double bounds[MASTER_COMMIT_BOUNDS];

    for (int i = 0; i < MASTER_COMMIT_BOUNDS; i++)
        bounds[i] = MASTER_COMMIT_BOUNDS_MS[i] / 1e3;
    metric_take(metrics_histogram(
                    m,
                    "triarch_commit_seconds",
                    "Entries, from proposed to committed on a majority and applied.",
                    NULL,
                    bounds,
                    MASTER_COMMIT_BOUNDS),
                t->counts,
                (double)t->sum_ms / 1e3);
}

static void peer_metrics(struct metrics *m, const struct peers *peers)
{
    counter(m,
            "triarch_peer_messages_dropped_total",
            "Messages to masters that were not connected, or did not read.",
            peers_dropped(peers));
}

static void storage_metrics(struct metrics *m, struct storage *storage)
{
    struct log_writer_stats s;
    double bounds[LOG_WRITER_BUCKETS - 1];

    storage_stats(storage, &s);
    counter(m, "triarch_log_entries_total", "Entries written.", s.entries);
    gauge(m, "triarch_log_queued", "Operations not durable yet.", (double)s.queued);
    gauge(m,
          "triarch_disk_free_bytes",
          "What the log can still grow.",
          (double)s.free_bytes);
    for (int i = 0; i < LOG_WRITER_BUCKETS - 1; i++)
        bounds[i] = (double)(1ull << i) / 1e6;
    metric_take(metrics_histogram(m,
                                  "triarch_log_commit_seconds",
                                  "Transactions of the log, to disk.",
                                  NULL,
                                  bounds,
                                  LOG_WRITER_BUCKETS - 1),
                s.commit_us_buckets,
                (double)s.commit_us_total / 1e6);
}

static void handle_metrics(void *user, struct http_request *r)
{
    struct web *w = user;
    struct metrics *m = metrics_create();
    struct buffer body = {0};

    if (master_replica(w->master->core) != NULL)
        replica_metrics(m, master_replica(w->master->core));
    state_metrics(m, master_state(w->master->core));
    core_metrics(m, w->master->core);
    commit_metrics(m, w->master->core);
    peer_metrics(m, w->master->peers);
    storage_metrics(m, w->master->storage);
    metrics_print(m, &body);
    metrics_destroy(m);
    http_answer(r, 200, METRICS_CONTENT_TYPE, &body);
}

static const struct http_route ROUTES[] = {
    {"GET", "/health", handle_health},
    {"GET", "/metrics", handle_metrics},
};

int web_start(struct web **out, struct master *m, struct error *err)
{
    struct web *w = mem_zalloc(sizeof(*w));
    struct http_options options = {.listen = &m->http,
                                   .listen_count = 1,
                                   .routes = ROUTES,
                                   .route_count = sizeof(ROUTES) / sizeof(*ROUTES),
                                   .connections_max = m->http_max};

    w->master = m;
    w->http = http_create(m->loop, &options, w, err);
    if (w->http == NULL) {
        mem_free(w);
        return -(int)err->code;
    }
    log_info("master", "HTTP on %s port=%u", m->http.host, http_port(w->http, 0));
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
