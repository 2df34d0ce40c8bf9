/* main.c - triarch-master: options, start, stop. */
#include "base/clock.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/standard_files.h"
#include "master/master.h"
#include "master/planner.h"
#include "master/storage.h"
#include "master/transfers.h"
#include "master/web.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define EXIT_USAGE 2
#define EXIT_START 1

#define OWN_DESCRIPTORS 64 /* of store, loop and log, and connections to others */

static const struct option_row ROWS[] = {
    {.name = "id",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .required = true,
     .min = 1,
     .max = UINT32_MAX,
     .help = "which member of --cluster this master is"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "log and snapshots; made if it is not there"},
    {.name = "cluster",
     .kind = OPTION_TEXT,
     .argument = "ID=HOST:PORT,...",
     .required = true,
     .help =
         "all 1, 3 or 5 masters with their RPC addresses, the same list everywhere"},
    {.name = "listen",
     .kind = OPTION_TEXT,
     .argument = "ADDR:PORT",
     .help = "RPC address to listen on; default: our own of --cluster"},
    {.name = "http",
     .kind = OPTION_TEXT,
     .argument = "ADDR:PORT",
     .fallback = "127.0.0.1:5050",
     .help = "HTTP address for /health and /metrics; \"none\" for none"},
    {.name = "election-timeout",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "500ms",
     .min = 50,
     .max = 60000,
     .help = "silence of the leader after which masters elect another"},
    {.name = "heartbeat",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "100ms",
     .min = 10,
     .max = 10000,
     .help = "how often an idle leader speaks"},
    {.name = "agent-silence",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "3s",
     .min = 1000,
     .max = 3600000,
     .help = "silence after which an agent is unreachable and its tasks run elsewhere"},
    {.name = "snapshot-bytes",
     .kind = OPTION_NUMBER,
     .argument = "BYTES",
     .fallback = "16777216",
     .min = 65536,
     .help =
         "log since the last snapshot that starts a new one; or a quarter of that, if "
         "that is more"},
    {.name = "log-level",
     .kind = OPTION_TEXT,
     .argument = "LEVEL",
     .fallback = "info",
     .help = "error, warning, info or debug"},
};

static const struct option_table TABLE = {
    .program = "triarch-master",
    .purpose = "one master of a Triarch cluster",
    .details =
        "Three or five masters keep the whole state of the cluster in one replicated "
        "log. "
        "The first start of all of them, with empty directories and the same "
        "--cluster, "
        "founds the cluster.\n\n"
        "On SIGTERM a leader hands leadership over before it ends. kill -9 loses "
        "nothing "
        "that was acknowledged.",
    .rows = ROWS,
    .row_count = sizeof(ROWS) / sizeof(*ROWS),
    .version = PACKAGE_VERSION,
    .environment = "TRIARCH_MASTER_",
    .has_config = true,
    .man_section = "8",
};

static int read_addresses(struct master *m, const struct options *o, struct error *err)
{
    const char *listen = options_text(o, "listen");
    const char *http = options_text(o, "http");
    const struct cluster_member *self;

    m->id = options_number(o, "id");
    if (cluster_parse(&m->cluster, options_text(o, "cluster"), err) != 0)
        return -(int)err->code;
    self = cluster_find(&m->cluster, m->id);
    if (self == NULL)
        return options_refuse(o,
                              "id",
                              err,
                              "master %llu is not in --cluster %s",
                              (unsigned long long)m->id,
                              options_text(o, "cluster"));
    m->rpc = self->address;
    if (listen != NULL && address_parse_listen(&m->rpc, listen, err) != 0)
        return error_wrap(err, "%s", options_origin(o, "listen"));
    m->has_http = strcmp(http, "none") != 0;
    if (m->has_http && address_parse_listen(&m->http, http, err) != 0)
        return error_wrap(err, "%s", options_origin(o, "http"));
    return 0;
}

static int read_options(struct master *m,
                        const struct options *o,
                        struct master_config *config,
                        struct error *err)
{
    enum log_level level;
    uint64_t election = options_duration_ms(o, "election-timeout");
    uint64_t heartbeat = options_duration_ms(o, "heartbeat");

    if (!log_level_parse(options_text(o, "log-level"), &level))
        return options_refuse(
            o, "log-level", err, "write error, warning, info or debug");
    log_init(level);
    if (heartbeat * 2 > election)
        return options_refuse(o,
                              "heartbeat",
                              err,
                              "must be at most half of the election timeout (%llu ms)",
                              (unsigned long long)election);
    if (read_addresses(m, o, err) != 0)
        return -(int)err->code;
    master_config_init(config);
    config->id = m->id;
    config->member_count = m->cluster.count;
    for (unsigned i = 0; i < m->cluster.count; i++)
        config->members[i] =
            (struct master_member){.id = m->cluster.members[i].id,
                                   .address = m->cluster.members[i].address.text};
    hash128_store(config->cluster_hash, cluster_hash(&m->cluster));
    entropy_fill(&config->incarnation, sizeof(config->incarnation));
    config->replica.election_timeout_ms = (unsigned)election;
    config->replica.heartbeat_ms = (unsigned)heartbeat;
    config->replica.snapshot_bytes = options_number(o, "snapshot-bytes");
    config->agent_silence_ms = (unsigned)options_duration_ms(o, "agent-silence");
    return 0;
}

static uint64_t descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_cur != limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            log_warning("master", "cannot raise the limit of file descriptors");
    }
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

static unsigned least(uint64_t a, uint64_t b)
{
    return (unsigned)(a < b ? a : b);
}

/* Sessions are file descriptors; take as many as the system lets us, but for what the other
 * parts need. */
static void share_descriptors(struct master *m)
{
    uint64_t limit = descriptor_limit();
    uint64_t others;

    m->http_max = least(LIMIT_HTTP_CONNECTIONS, limit / 8 + 1);
    others = m->http_max + LIMIT_SESSIONS_SPARE + OWN_DESCRIPTORS;
    m->sessions_max = least(LIMIT_SESSIONS, limit > others ? limit - others : 1);
    if (m->sessions_max < LIMIT_SESSIONS)
        log_info("master",
                 "the limit of %llu file descriptors leaves %u sessions; raise it "
                 "for more",
                 (unsigned long long)limit,
                 m->sessions_max);
}

static void on_signal(void *user, int signum)
{
    log_info("master", "%s: stopping", signum == SIGTERM ? "SIGTERM" : "SIGINT");
    drive(user, &(struct master_event){.kind = MASTER_SHUTDOWN});
}

static int start(struct master *m,
                 const struct options *o,
                 const struct master_config *config,
                 struct error *err)
{
    m->loop = loop_create();
    m->core = master_create(config);
    m->transfers = transfers_create(m);
    m->planner = planner_create(m);
    if (storage_open(&m->storage, m, options_text(o, "data-dir"), err) != 0 ||
        sessions_start(m, err) != 0 ||
        (m->has_http && web_start(&m->web, m, err) != 0) ||
        storage_start(m->storage, err) != 0)
        return -(int)err->code;
    loop_on_signal(m->loop, SIGTERM, on_signal, m);
    loop_on_signal(m->loop, SIGINT, on_signal, m);
    log_info("master",
             "triarch-master %s id=%llu rpc=%s data-dir=%s",
             PACKAGE_VERSION,
             (unsigned long long)m->id,
             m->rpc.text,
             options_text(o, "data-dir"));
    return 0;
}

static void stop(struct master *m)
{
    if (m->loop == NULL)
        return;
    drive_stop(m);
    web_stop(m->web);
    if (m->server != NULL)
        sessions_stop(m);
    transfers_destroy(m->transfers);
    planner_destroy(m->planner);
    storage_close(m->storage);
    master_destroy(m->core);
    master_actions_finish(&m->actions);
    loop_destroy(m->loop);
}

static int run(const struct options *o)
{
    static struct master m;
    struct master_config config;
    struct error err;

    if (read_options(&m, o, &config, &err) != 0) {
        fprintf(stderr, "triarch-master: %s\n", err.text);
        return EXIT_USAGE;
    }
    share_descriptors(&m);
    if (start(&m, o, &config, &err) != 0) {
        fprintf(stderr, "triarch-master: %s\n", err.text);
        m.exit_status = EXIT_START;
    } else {
        loop_run(m.loop);
        log_info("master", "stopped");
    }
    stop(&m);
    return m.exit_status;
}

int main(int argc, char **argv)
{
    struct options *o = options_create(&TABLE);
    enum options_wish wish;
    struct error err;
    struct buffer text = {0};
    int status = 0;

    mem_merge_at_once();
    standard_files_reserve();
    if (options_parse(o, argc, argv, &wish, &err) != 0) {
        fprintf(stderr, "triarch-master: %s\n", err.text);
        status = EXIT_USAGE;
    } else if (wish == OPTIONS_RUN) {
        status = run(o);
    } else {
        options_print(o, wish, &text);
        fwrite(text.data, 1, text.size, stdout);
        buffer_finish(&text);
    }
    options_destroy(o);
    return status;
}
