/* main.c - triarch-agent: options and signals. */
#include "agent/agent.h"
#include "agent/host.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/standard_files.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE  2
#define EXIT_FAILED 1

static const struct option_row ROWS[] = {
    {.name = "masters",
     .kind = OPTION_TEXT,
     .argument = "HOST:PORT,...",
     .required = true,
     .help = "RPC addresses of all masters"},
    {.name = "work-dir",
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "checkpoint and sandboxes of tasks; made if it is not there"},
    {.name = "resources",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .help = "what tasks may use, 'cpus:4;mem:8192;disk:10240;ports:[31000-32000]' "
             "with mem "
             "and disk in MiB; what is not named is detected"},
    {.name = "attributes",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .help = "facts about this machine, as 'rack:a;zone:b': constraints and affinities "
             "of jobs choose agents by them, and `triarch agents --json` lists them"},
    {.name = "hostname",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "name of this machine in listings, and its attribute `host`; default: its "
             "host name"},
    {.name = "users",
     .kind = OPTION_TEXT,
     .argument = "NAME,...",
     .help = "users that a job may name, \"*\" for any; default: those with a uid of "
             "1000 or more, and without --default-user the agent's own; only root can "
             "run tasks as others"},
    {.name = "default-user",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "user of tasks whose job names none; default: the agent's own"},
    {.name = "image-root",
     .kind = OPTION_FLAG,
     .help = "tasks with an image may be root, or any other user, in their containers, "
             "also where --users and --default-user would not let them; of an agent of "
             "root that is root of this machine, with few of its rights"},
    {.name = "task-pids",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "4096",
     .min = 16,
     .max = 4194304,
     .help = "processes and threads that a task may have, where cgroups limit them"},
    {.name = "default-disk",
     .kind = OPTION_NUMBER,
     .argument = "MIB",
     .fallback = "10240",
     .min = 1,
     .max = LIMIT_RESOURCE / MIB,
     .help = "disk that the files of a task may take when its job asks for none"},
    {.name = "image-cache",
     .kind = OPTION_NUMBER,
     .argument = "MIB",
     .fallback = "10240",
     .max = LIMIT_RESOURCE / MIB,
     .help =
         "remove images that no task uses, those wanted longest ago first, while all "
         "take more than MIB"},
    {.name = "volumes",
     .kind = OPTION_TEXT,
     .argument = "DIR,...",
     .help =
         "directories of this machine that tasks with an image may have volumes in; "
         "default: none"},
    {.name = "http",
     .kind = OPTION_TEXT,
     .argument = "ADDR:PORT",
     .fallback = "127.0.0.1:5051",
     .help = "HTTP address for logs of tasks, /health and /metrics; port 0 for any "
             "free one, "
             "\"none\" for none"},
    {.name = "advertise",
     .kind = OPTION_TEXT,
     .argument = "HOST:PORT",
     .help = "where clients reach --http; port 0 for the port of --http; default: its "
             "address, or the host name if that is 0.0.0.0 or [::]"},
    {.name = "rpc",
     .kind = OPTION_TEXT,
     .argument = "ADDR:PORT",
     .fallback = "127.0.0.1:5052",
     .help = "address for `triarch exec`: whoever reaches it runs commands in tasks; "
             "port 0 for any free one, \"none\" for none"},
    {.name = "advertise-rpc",
     .kind = OPTION_TEXT,
     .argument = "HOST:PORT",
     .help = "where clients reach --rpc; as --advertise"},
    {.name = "sandbox-keep-for",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "7d",
     .max = 3650ull * 24 * 3600 * 1000,
     .help = "keep files and logs of a task for TIME after its end; 0 for as long as "
             "there is room"},
    {.name = "sandbox-keep-free",
     .kind = OPTION_NUMBER,
     .argument = "PERCENT",
     .fallback = "10",
     .max = 90,
     .help = "remove the oldest files of ended tasks while less of the disk is free"},
    {.name = "disk-reserve",
     .kind = OPTION_NUMBER,
     .argument = "MIB",
     .fallback = "1024",
     .max = LIMIT_RESOURCE / MIB,
     .help = "take no new work while less than MIB and less than 5 % of the disk of "
             "--work-dir are free; 0 to take it all the same"},
    {.name = "log-level",
     .kind = OPTION_TEXT,
     .argument = "LEVEL",
     .fallback = "info",
     .help = "error, warning, info or debug"},
};

static const struct option_table TABLE = {
    .program = "triarch-agent",
    .purpose = "runs tasks on this machine for a Triarch cluster",
    .details =
        "An agent keeps a session with every master and obeys the one that leads. Its "
        "tasks are processes that outlive it: when it is stopped, killed or upgraded "
        "they "
        "go on, and the next agent with the same --work-dir finds them and tells how "
        "they "
        "ended.\n\n"
        "On SIGTERM it ends, once what it accepted has started or 2 s have passed, and "
        "leaves its tasks running.",
    .rows = ROWS,
    .row_count = sizeof(ROWS) / sizeof(*ROWS),
    .version = PACKAGE_VERSION,
    .environment = "TRIARCH_AGENT_",
    .has_config = true,
    .man_section = "8",
};

/* ---- options ---- */

static int read_endpoint(struct agent_endpoint *e,
                         const struct options *o,
                         const char *listen,
                         const char *advertise,
                         struct error *err)
{
    const char *text = options_text(o, listen);
    const char *told = options_text(o, advertise);

    e->on = strcmp(text, "none") != 0;
    if (e->on && address_parse_listen(&e->listen, text, err) != 0)
        return error_wrap(err, "%s", options_origin(o, listen));
    e->has_advertise = told != NULL;
    if (e->has_advertise && !e->on)
        return options_refuse(
            o, advertise, err, "there is no address to tell of: --%s is none", listen);
    if (e->has_advertise && address_parse_listen(&e->advertise, told, err) != 0)
        return error_wrap(err, "%s", options_origin(o, advertise));
    return 0;
}

static int
read_addresses(struct agent_config *c, const struct options *o, struct error *err)
{
    int rc =
        address_parse_list(c->masters, LIMIT_MASTERS, options_text(o, "masters"), err);

    if (rc < 0)
        return error_wrap(err, "%s", options_origin(o, "masters"));
    c->master_count = (unsigned)rc;
    rc = read_endpoint(&c->http, o, "http", "advertise", err);
    return rc != 0 ? rc : read_endpoint(&c->rpc, o, "rpc", "advertise-rpc", err);
}

/* What is to be detected is taken as good. */
static int check_spec(const struct agent_spec *spec, struct error *err)
{
    struct agent_spec probe = *spec;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (probe.resources.amount[k] == RESOURCE_DETECT)
            probe.resources.amount[k] = 1;
    return agent_spec_check(&probe, err);
}

static int
read_spec(struct agent_spec *spec, const struct options *o, struct error *err)
{
    const char *resources = options_text(o, "resources");
    const char *attributes = options_text(o, "attributes");
    const char *hostname = options_text(o, "hostname");
    char host[LIMIT_NAME_BYTES + 1];

    if (hostname == NULL && host_name(host, err) != 0)
        return -(int)err->code;
    spec->hostname = mem_strdup(hostname != NULL ? hostname : host);
    for (int k = 0; k < RESOURCE_KINDS; k++)
        spec->resources.amount[k] = k == RESOURCE_GPUS ? 0 : RESOURCE_DETECT;
    if (check_spec(spec, err) != 0)
        return error_wrap(err, "%s", options_origin(o, "hostname"));
    if (resources != NULL && (resources_parse(&spec->resources,
                                              spec->ports,
                                              &spec->port_count,
                                              &spec->custom,
                                              resources,
                                              err) != 0 ||
                              check_spec(spec, err) != 0))
        return error_wrap(err, "%s", options_origin(o, "resources"));
    if (attributes != NULL && agent_spec_parse_attributes(spec, attributes, err) != 0)
        return error_wrap(err, "%s", options_origin(o, "attributes"));
    return 0;
}

/* Beside this program, as in the tree where it was built, or where it was installed. */
static int find_program(char out[PATH_MAX], const char *name, struct error *err)
{
    ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - 1 - strlen(name));
    char *slash;

    out[size > 0 ? size : 0] = 0;
    slash = strrchr(out, '/');
    if (slash != NULL) {
        strcpy(slash + 1, name);
        if (access(out, X_OK) == 0)
            return 0;
    }
    snprintf(out, PATH_MAX, "%s/%s", PKGLIBEXECDIR, name);
    if (access(out, X_OK) == 0)
        return 0;
    return error_set(err,
                     ERROR_IO,
                     "cannot run %s: %s; it is installed with this program",
                     out,
                     strerror(errno));
}

/* A list with commas.  `absolute`: of paths. */
static int
check_list(const struct options *o, const char *name, bool absolute, struct error *err)
{
    const char *at = options_text(o, name);

    for (bool more = at != NULL && *at != '\0'; more; at += *at == ',') {
        size_t size = strcspn(at, ",");

        if (size == 0)
            return options_refuse(o, name, err, "there is an empty item in the list");
        if (absolute && *at != '/')
            return options_refuse(
                o, name, err, "%.*s is not an absolute path", (int)size, at);
        at += size;
        more = *at == ',';
    }
    return 0;
}

static int
read_options(struct agent_config *c, const struct options *o, struct error *err)
{
    enum log_level level;

    if (!log_level_parse(options_text(o, "log-level"), &level))
        return options_refuse(
            o, "log-level", err, "write error, warning, info or debug");
    log_init(level);
    c->work_dir = options_text(o, "work-dir");
    c->sandbox_keep_for_ms = options_duration_ms(o, "sandbox-keep-for");
    c->sandbox_keep_free_percent = (unsigned)options_number(o, "sandbox-keep-free");
    c->disk_reserve_bytes = options_number(o, "disk-reserve") * MIB;
    if (c->work_dir[0] == 0)
        return options_refuse(o, "work-dir", err, "name a directory");
    c->users = options_text(o, "users");
    c->default_user = options_text(o, "default-user");
    c->image_root = options_flag(o, "image-root");
    c->default_disk = options_number(o, "default-disk") * MIB;
    c->task_pids = options_number(o, "task-pids");
    c->volumes = options_text(o, "volumes");
    c->image_cache = options_number(o, "image-cache") * MIB;
    if (check_list(o, "volumes", true, err) != 0 ||
        check_list(o, "users", false, err) != 0)
        return -(int)err->code;
    if (read_addresses(c, o, err) != 0 || read_spec(&c->spec, o, err) != 0)
        return -(int)err->code;
    return 0;
}

/* ---- life ---- */

static void on_signal(void *user, int signum)
{
    log_info(
        "agent", "%s: stopping, tasks go on", signum == SIGTERM ? "SIGTERM" : "SIGINT");
    drive_finish(user);
}

static int start(struct agent *a, struct error *err)
{
    if (find_program(a->config.shim, "triarch-shim", err) != 0 ||
        find_program(a->config.fetch, "triarch-fetch", err) != 0 ||
        find_program(a->config.contain, "triarch-contain", err) != 0 ||
        agent_start(a, err) != 0)
        return -(int)err->code;
    loop_on_signal(a->loop, SIGTERM, on_signal, a);
    loop_on_signal(a->loop, SIGINT, on_signal, a);
    log_info("agent",
             "triarch-agent %s work-dir=%s http=%s rpc=%s",
             PACKAGE_VERSION,
             a->work_dir,
             a->config.http.on ? a->config.spec.http_address : "none",
             a->config.rpc.on ? a->config.spec.rpc_address : "none");
    return 0;
}

static int run(const struct options *o)
{
    static struct agent a;
    struct error err;
    int status = 0;

    if (read_options(&a.config, o, &err) != 0) {
        fprintf(stderr, "triarch-agent: %s\n", err.text);
        agent_spec_finish(&a.config.spec);
        return EXIT_USAGE;
    }
    if (start(&a, &err) != 0) {
        fprintf(stderr, "triarch-agent: %s\n", err.text);
        status = err.code == ERROR_USAGE ? EXIT_USAGE : EXIT_FAILED;
    } else {
        loop_run(a.loop);
        if (a.failure.code != ERROR_NONE) {
            log_error("agent", "%s", a.failure.text);
            status = EXIT_FAILED;
        }
        log_info("agent", "stopped");
    }
    agent_stop(&a);
    return status;
}

int main(int argc, char **argv)
{
    struct options *o = options_create(&TABLE);
    enum options_wish wish;
    struct error err;
    struct buffer text = {0};
    int status = 0;

    standard_files_reserve();
    if (options_parse(o, argc, argv, &wish, &err) != 0) {
        fprintf(stderr, "triarch-agent: %s\n", err.text);
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
