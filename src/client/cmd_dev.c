/* cmd_dev.c - triarch dev: a whole cluster on this machine, in the foreground.
 *
 *     START ──▶ WAITING ──▶ RUNNING ──▶ STOPPING ──▶ end
 *                  └────────────────────────▲
 *
 * WAITING until a leader leads and all agents are registered.  STOPPING on a signal, when
 * a process ends before the cluster runs, and when none is left: TERM, then KILL, then
 * whatever the tasks left behind.
 */
#include "client/dev_child.h"
#include "client/dev_ports.h"
#include "client/dev_task_ports.h"
#include "client/session.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS       50
#define READY_MS      30000
#define TERM_GRACE_MS 5000
#define CHILDREN_MAX  (LIMIT_MASTERS + DEV_AGENTS_MAX)

static const struct option_row rows[] = {
    {.name = "masters",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "3",
     .min = 1,
     .max = LIMIT_MASTERS,
     .help = "how many masters: 1, 3 or 5"},
    {.name = "agents",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "2",
     .max = DEV_AGENTS_MAX,
     .help = "how many agents"},
    {.name = "attributes",
     .kind = OPTION_LIST,
     .argument = "LIST",
     .help =
         "of its agents, as 'rack:a;disk:ssd': the first for agent 1, the second for "
         "agent 2, and so on around (default: rack:a and rack:b)"},
    {.name = "data",
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .help = "keep the cluster in DIR, and go on with one that is there (default: a "
             "temporary directory, removed at the end)"},
};

enum phase { DEV_WAITING, DEV_RUNNING, DEV_STOPPING };

struct dev {
    struct session *session;
    enum phase phase;
    struct dev_ports ports;
    struct task_ports task_ports[DEV_AGENTS_MAX];
    unsigned task_port_count;
    char directory[PATH_MAX];
    bool temporary;
    int lock;      /* the directory, held open; -1: not held */
    char *masters; /* "127.0.0.1:PORT,…" */
    char *cluster; /* "1=127.0.0.1:PORT,…" */
    struct dev_child children[CHILDREN_MAX];
    unsigned child_count;
    unsigned living;
    struct client_call call;
    struct loop_timer poll;
    struct loop_timer limit; /* of WAITING, then of the grace */
    struct error err;        /* why it stops, if that is a failure */
};

/* ---- the end ---- */

static void signal_all(const struct dev *d, int signum)
{
    for (unsigned i = 0; i < d->child_count; i++)
        dev_child_signal(&d->children[i], signum);
}

static void on_grace_over(void *user)
{
    signal_all(user, SIGKILL);
}

static void stop(struct dev *d)
{
    struct loop *l = d->session->loop;

    timer_stop(l, &d->poll);
    if (d->phase != DEV_STOPPING) {
        d->phase = DEV_STOPPING;
        signal_all(d, SIGTERM);
        timer_set_in(l, &d->limit, TERM_GRACE_MS, on_grace_over, d);
    }
    if (d->living == 0) {
        timer_stop(l, &d->limit);
        loop_stop(l);
    }
}

static void on_signal(void *user, int signum)
{
    struct dev *d = user;

    (void)signum;
    if (d->phase == DEV_STOPPING)
        signal_all(d, SIGKILL); /* asked twice */
    else
        session_note(d->session, "ending the cluster");
    stop(d);
}

static void tell_ended(struct dev *d, const struct dev_child *c)
{
    struct buffer text = {0};

    buffer_printf(&text, "%s ended: ", c->name);
    dev_append_status(&text, c->status);
    buffer_append_u8(&text, 0);
    if (d->phase == DEV_WAITING)
        error_set(&d->err,
                  ERROR_UNAVAILABLE,
                  "dev: %s; its last lines above say why",
                  (const char *)text.data);
    else if (d->phase == DEV_RUNNING)
        session_note(
            d->session, "%s; it is not started again", (const char *)text.data);
    buffer_finish(&text);
}

static void on_child(void *user, int signum)
{
    struct dev *d = user;
    int status;
    pid_t pid;

    (void)signum;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned i = 0; i < d->child_count; i++) {
            if (d->children[i].pid != pid)
                continue;
            dev_child_ended(&d->children[i], status);
            d->living--;
            tell_ended(d, &d->children[i]);
        }
    }
    if (d->living == 0 || d->err.code != ERROR_NONE || d->phase == DEV_STOPPING)
        stop(d);
}

/* ---- until it runs ---- */

/* "master-2, process 4711" */
static void append_leader(const struct dev *d, struct buffer *out)
{
    const char *leader = client_leader(d->session->client);
    const char *port = strrchr(leader, ':');

    for (unsigned i = 0; port != NULL && i < d->ports.masters; i++)
        if (atoi(port + 1) == d->ports.master_rpc[i])
            buffer_printf(
                out, "%s, process %d", d->children[i].name, (int)d->children[i].pid);
}

static void tell_ready(struct dev *d)
{
    struct buffer text = {0};

    buffer_printf(&text,
                  "A cluster of %u master%s and %u agent%s runs, led by ",
                  d->ports.masters,
                  d->ports.masters == 1 ? "" : "s",
                  d->ports.agents,
                  d->ports.agents == 1 ? "" : "s");
    append_leader(d, &text);
    buffer_printf(&text,
                  ".\n\n"
                  "    export TRIARCH_MASTERS=%s\n"
                  "    triarch run --wait -- echo hello\n\n"
                  "Ctrl-C ends it; ",
                  d->masters);
    if (d->temporary)
        buffer_append_text(&text, "its data is removed then.\n");
    else
        buffer_printf(&text, "its data stays in %s.\n", d->directory);
    screen_write(&d->session->out, &text);
    buffer_finish(&text);
}

static unsigned count_active(struct bytes result)
{
    struct command_cursor at = {0};
    struct list_result page;
    struct agent_info agent;
    unsigned active = 0;

    if (list_result_unpack(&page, METHOD_AGENTS, result, NULL) != 0)
        return 0;
    while (agent_info_next(&page, &at, &agent))
        active += agent.state == AGENT_ACTIVE;
    return active;
}

static void ask(void *user)
{
    struct dev *d = user;
    struct list_request request = {.limit = 2 * DEV_AGENTS_MAX};
    struct buffer frame = {0};

    list_pack(METHOD_AGENTS, &request, 0, &frame);
    client_request(d->session->client, &d->call, buffer_view(&frame), CLIENT_LEADER);
    buffer_finish(&frame);
}

static void on_answer(void *user, const struct client_answer *answer)
{
    struct dev *d = user;

    if (d->phase != DEV_WAITING)
        return;
    if (answer->code != ERROR_NONE || count_active(answer->result) < d->ports.agents) {
        timer_set_in(d->session->loop, &d->poll, POLL_MS, ask, d);
        return;
    }
    d->phase = DEV_RUNNING;
    timer_stop(d->session->loop, &d->limit);
    tell_ready(d);
}

static void on_not_ready(void *user)
{
    struct dev *d = user;
    char time[TEXT_SHORT_MAX];

    error_set(&d->err,
              ERROR_TIMEOUT,
              "dev: the cluster does not run after %s; the lines above may say why",
              text_duration(time, READY_MS));
    stop(d);
}

/* ---- processes ---- */

static int start_child(struct dev *d, const char *kind, unsigned n, char **argv)
{
    struct dev_child *c = &d->children[d->child_count];
    struct error err;

    *c = (struct dev_child){
        .screen = &d->session->err,
        .style = strcmp(kind, "master") == 0 ? STYLE_LIVE : STYLE_GOOD,
    };
    snprintf(c->name, sizeof(c->name), "%s-%u", kind, n);
    if (dev_child_start(c, d->session->loop, argv, &err) != 0) {
        d->err = err;
        return -(int)err.code;
    }
    d->child_count++;
    d->living++;
    return 0;
}

static int
make_directory(char *path, size_t size, struct dev *d, const char *kind, unsigned n)
{
    if ((size_t)snprintf(path, size, "%s/%s-%u", d->directory, kind, n) >= size)
        return error_set(&d->err, ERROR_TOO_LARGE, "%s: too long", d->directory);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set(&d->err, ERROR_IO, "create %s: %s", path, strerror(errno));
    return 0;
}

static int start_master(struct dev *d, char *program, unsigned n)
{
    char id[16], http[32], data[PATH_MAX];
    char *argv[] = {program,
                    (char[]){"--id"},
                    id,
                    (char[]){"--data-dir"},
                    data,
                    (char[]){"--cluster"},
                    d->cluster,
                    (char[]){"--http"},
                    http,
                    NULL};

    snprintf(id, sizeof(id), "%u", n);
    snprintf(http, sizeof(http), "127.0.0.1:%u", d->ports.master_http[n - 1]);
    if (make_directory(data, sizeof(data), d, "master", n) != 0)
        return -1;
    return start_child(d, "master", n, argv);
}

/* Two racks, so that constraints and plans can be tried. */
static const char *attributes_of(const struct dev *d, unsigned n)
{
    const struct options *o = d->session->options;
    size_t count = options_list_count(o, "attributes");

    if (count > 0)
        return options_list_at(o, "attributes", (n - 1) % count);
    return n % 2 == 1 ? "rack:a" : "rack:b";
}

static int start_agent(struct dev *d, char *program, unsigned n)
{
    char http[32], ports[32], work[PATH_MAX];
    char *attributes = mem_strdup(attributes_of(d, n));
    char *argv[] = {program,
                    (char[]){"--masters"},
                    d->masters,
                    (char[]){"--work-dir"},
                    work,
                    (char[]){"--resources"},
                    ports,
                    (char[]){"--attributes"},
                    attributes,
                    (char[]){"--http"},
                    http,
                    (char[]){"--rpc"},
                    (char[]){"127.0.0.1:0"},
                    NULL};
    struct task_ports *own = &d->task_ports[d->task_port_count];
    int rc = task_ports_take(own, &d->err);

    if (rc != 0)
        goto out;
    d->task_port_count++;
    snprintf(ports, sizeof(ports), "ports:[%u-%u]", own->first, own->last);
    snprintf(http, sizeof(http), "127.0.0.1:%u", d->ports.agent_http[n - 1]);
    rc = make_directory(work, sizeof(work), d, "agent", n);
    if (rc == 0)
        rc = start_child(d, "agent", n, argv);
out:
    mem_free(attributes);
    return rc;
}

static int start_all(struct dev *d)
{
    char master[PATH_MAX], agent[PATH_MAX];
    int rc = dev_find_program(master, sizeof(master), "triarch-master", &d->err);

    if (rc == 0)
        rc = dev_find_program(agent, sizeof(agent), "triarch-agent", &d->err);
    for (unsigned n = 1; rc == 0 && n <= d->ports.masters; n++)
        rc = start_master(d, master, n);
    for (unsigned n = 1; rc == 0 && n <= d->ports.agents; n++)
        rc = start_agent(d, agent, n);
    return rc;
}

/* ---- the beginning ---- */

static int choose_directory(struct dev *d)
{
    const char *data = options_text(d->session->options, "data");
    const char *temporary = getenv("TMPDIR");

    d->temporary = data == NULL;
    if (d->temporary) {
        snprintf(d->directory,
                 sizeof(d->directory),
                 "%s/triarch-dev.XXXXXX",
                 temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp");
        if (mkdtemp(d->directory) != NULL)
            return 0;
        d->temporary = false;
    } else {
        snprintf(d->directory, sizeof(d->directory), "%s", data);
        if (mkdir(d->directory, 0700) == 0 || errno == EEXIST)
            return 0;
    }
    return error_set(&d->err, ERROR_IO, "create %s: %s", d->directory, strerror(errno));
}

/* Another one there has the same ports: its cluster would be taken for ours. */
static int lock_directory(struct dev *d)
{
    d->lock = open(d->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->lock < 0)
        return error_set(
            &d->err, ERROR_IO, "open %s: %s", d->directory, strerror(errno));
    if (flock(d->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return error_set(
            &d->err, ERROR_IO, "cannot lock %s: %s", d->directory, strerror(errno));
    return error_set(&d->err,
                     ERROR_CONFLICT,
                     "%s is in use by another `triarch dev`: end it, or give another "
                     "--data DIR",
                     d->directory);
}

static char *text_of(struct buffer *text)
{
    buffer_append_u8(text, 0);
    return (char *)text->data;
}

static void name_masters(struct dev *d)
{
    struct buffer masters = {0}, cluster = {0};

    for (unsigned i = 0; i < d->ports.masters; i++) {
        const char *comma = i == 0 ? "" : ",";
        unsigned port = d->ports.master_rpc[i];

        buffer_printf(&masters, "%s127.0.0.1:%u", comma, port);
        buffer_printf(&cluster, "%s%u=127.0.0.1:%u", comma, i + 1, port);
    }
    d->masters = text_of(&masters);
    d->cluster = text_of(&cluster);
}

static int open_client(struct dev *d)
{
    struct address masters[LIMIT_MASTERS];
    struct client_options options = {.masters = masters};
    int count = address_parse_list(masters, LIMIT_MASTERS, d->masters, &d->err);

    if (count < 0)
        return count;
    options.master_count = (unsigned)count;
    d->session->client = client_create(d->session->loop, &options);
    d->call = (struct client_call){.done = on_answer, .user = d};
    return 0;
}

static int begin(struct dev *d)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    int rc = choose_directory(d);

    if (rc == 0)
        rc = lock_directory(d);
    if (rc == 0)
        rc = dev_ports_choose(&d->ports, d->directory, &d->err);
    if (rc != 0)
        return rc;
    name_masters(d);
    d->session->loop = loop_create();
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        loop_on_signal(d->session->loop, signals[i], on_signal, d);
    loop_on_signal(d->session->loop, SIGCHLD, on_child, d);
    dev_adopt_orphans();
    rc = open_client(d);
    return rc == 0 ? start_all(d) : rc;
}

static void end(struct dev *d)
{
    dev_end_orphans();
    if (d->temporary)
        tree_remove(d->directory);
    while (d->task_port_count > 0)
        task_ports_release(&d->task_ports[--d->task_port_count]);
    if (d->lock >= 0)
        close(d->lock);
    mem_free(d->masters);
    mem_free(d->cluster);
}

static int check_count(const struct session *s, struct error *err)
{
    uint64_t masters = options_number(s->options, "masters");

    if (masters % 2 == 1)
        return 0;
    return options_refuse(s->options,
                          "masters",
                          err,
                          "%" PRIu64 " masters survive no more than %" PRIu64
                          " do: give 1, 3 or 5",
                          masters,
                          masters - 1);
}

static int check_attributes(const struct session *s, struct error *err)
{
    for (size_t i = 0; i < options_list_count(s->options, "attributes"); i++) {
        const char *text = options_list_at(s->options, "attributes", i);
        struct agent_spec spec = {0};
        struct error why;
        int rc = agent_spec_parse_attributes(&spec, text, &why);

        agent_spec_finish(&spec);
        if (rc != 0)
            return options_refuse(s->options, "attributes", err, "%s", why.text);
    }
    return 0;
}

static int run(struct session *s, struct error *err)
{
    struct dev d = {.session = s, .lock = -1};
    int rc = check_count(s, err);

    if (rc == 0)
        rc = check_attributes(s, err);
    if (rc != 0)
        return rc;
    /* `dev 2>&1 | tee log`: at Ctrl-C tee ends first, and the cluster is still to be ended. */
    s->out.lasting = s->err.lasting = true;
    d.ports.masters = (unsigned)options_number(s->options, "masters");
    d.ports.agents = (unsigned)options_number(s->options, "agents");
    if (begin(&d) == 0) {
        timer_set_in(s->loop, &d.limit, READY_MS, on_not_ready, &d);
        ask(&d);
        loop_run(s->loop);
    } else if (d.living > 0) {
        stop(&d);
        loop_run(s->loop);
    }
    end(&d);
    if (d.err.code == ERROR_NONE)
        return EXIT_SUCCESS;
    *err = d.err;
    return -(int)err->code;
}

const struct subcommand subcommand_dev = {
    .table =
        {
            .program = "dev",
            .purpose = "run a whole cluster on this machine, in the foreground",
            .details =
                "For trying things out: masters and agents on free ports of the "
                "loopback interface. Agents are in racks a and b by turns, for "
                "constraints (`run --constraint 'rack = a'`) and plans (`plan "
                "--without "
                "rack=a`). Each agent gives ten ports between 31000 and "
                "32759 to tasks, which no other cluster that was started so on this "
                "host "
                "has. Their log lines go to standard error. "
                "Everything ends, tasks too, with Ctrl-C or when the program "
                "that started this one dies.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
        },
    .run = run,
};
