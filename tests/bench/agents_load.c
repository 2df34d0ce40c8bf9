/* agents_load.c - many agents in one process, for loading masters.
 *
 *     agents_load --masters A,B,C --agents N [--first F] [--seed S] [--resources TEXT]
 *                 [--start-rate AGENTS/S] [--start-ms MS] [--task-ms MS|never]
 *                 [--usage-ms MS] [--sources N] [--report-ms MS]
 *
 * --first: the number of its first agent among those of all processes; it chooses what the
 * agents are, and their source addresses.  On stdout: a line of JSON whenever counts changed
 * since the last report, with CLOCK_MONOTONIC in us.  On stdin, FIRST counted from 0 here:
 *
 *     silence FIRST COUNT      these hosts stop without a word
 *     disconnect FIRST COUNT   these lose their connections and come back
 *     end FIRST COUNT          all tasks there end now, with status 0
 *     tasks FIRST COUNT        say how many tasks run there
 *     quit                     also the end of stdin
 *
 * Each agent takes a descriptor and a port for each master.  10,000 agents with three masters
 * are 30,000 descriptors over all processes (ulimit -n), and 10,000 and some on each master; one
 * source address has about 28,000 ports for each master (net.ipv4.ip_local_port_range).
 */
#include "agents_load.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE_BYTES     128
#define START_EVERY_MS 5
#define OTHER_FILES    64u /* descriptors that are not sessions */

struct program {
    struct fleet fleet;
    struct load_agent *agents;
    uint32_t agent_count, started;
    uint64_t first, seed, start_rate, report_ms, sources;
    const char *resources;
    struct loop_timer start, report;
    struct watch *commands;
    char line[LINE_BYTES];
    size_t line_bytes;
    struct fleet_counts told;
};

/* ---- reports ---- */

static void print_counts(struct program *p)
{
    const struct fleet_counts *n = &p->fleet.counts;

    printf("{\"at_us\":%llu,\"agents\":%u",
           (unsigned long long)clock_monotonic_us(),
           p->started);
#define FIELD(name) printf(",\"" #name "\":%llu", (unsigned long long)n->name)
    FIELD(sessions);
    FIELD(registered);
    FIELD(silent);
    FIELD(running);
    FIELD(launches);
    FIELD(repeats);
    FIELD(started);
    FIELD(repeats_started);
    FIELD(ended);
    FIELD(signalled);
    FIELD(forgotten);
    FIELD(acknowledged);
    FIELD(updates);
    FIELD(fatal);
#undef FIELD
    printf("}\n");
    fflush(stdout);
    p->told = *n;
}

static void on_report(void *user)
{
    struct program *p = user;

    if (memcmp(&p->told, &p->fleet.counts, sizeof(p->told)) != 0)
        print_counts(p);
    timer_set_in(p->fleet.loop, &p->report, p->report_ms, on_report, p);
}

/* ---- commands ---- */

static void print_tasks(struct program *p, uint32_t number)
{
    struct agent_status status;

    agent_core_status(p->agents[number].core, &status);
    printf("{\"agent\":%u,\"id\":%llu,\"tasks\":%u}\n",
           number,
           (unsigned long long)status.agent,
           status.running);
    fflush(stdout);
}

static void obey(struct program *p, const char *line)
{
    unsigned first = 0, count = 1;
    char word[16] = "";

    if (sscanf(line, "%15s %u %u", word, &first, &count) < 1)
        return;
    if (strcmp(word, "quit") == 0)
        loop_stop(p->fleet.loop);
    for (unsigned i = first; i - first < count && i < p->started; i++) {
        if (strcmp(word, "silence") == 0)
            load_agent_silence(&p->agents[i]);
        else if (strcmp(word, "disconnect") == 0)
            load_agent_disconnect(&p->agents[i]);
        else if (strcmp(word, "end") == 0)
            tasks_end(&p->agents[i]);
        else if (strcmp(word, "tasks") == 0)
            print_tasks(p, i);
    }
}

static void obey_lines(struct program *p)
{
    char *end;

    while ((end = memchr(p->line, '\n', p->line_bytes)) != NULL) {
        size_t used = (size_t)(end - p->line) + 1;

        *end = '\0';
        obey(p, p->line);
        p->line_bytes -= used;
        memmove(p->line, end + 1, p->line_bytes);
    }
}

static void on_commands(void *user)
{
    struct program *p = user;
    size_t room = sizeof(p->line) - p->line_bytes;
    ssize_t n = room == 0 ? 0 : read(STDIN_FILENO, p->line + p->line_bytes, room);

    if (n <= 0) {
        loop_stop(p->fleet.loop);
        return;
    }
    p->line_bytes += (size_t)n;
    obey_lines(p);
}

static void on_signal(void *user, int signum)
{
    struct program *p = user;

    (void)signum;
    loop_stop(p->fleet.loop);
}

/* ---- start ---- */

/* As many as were due since the last time, so that the masters' backlogs hold them. */
static void on_start(void *user)
{
    struct program *p = user;
    uint64_t due = p->start_rate * START_EVERY_MS / 1000 + 1;

    for (; due > 0 && p->started < p->agent_count; due--, p->started++)
        load_agent_start(&p->agents[p->started], &p->fleet, p->started);
    if (p->started < p->agent_count)
        timer_set_in(p->fleet.loop, &p->start, START_EVERY_MS, on_start, p);
}

/* As root also beyond the hard limit. */
static int raise_descriptors(const struct program *p, struct error *err)
{
    rlim_t need = (rlim_t)p->agent_count * p->fleet.master_count + OTHER_FILES;
    struct rlimit limit = {0};

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= need)
        return 0;
    limit.rlim_cur = need;
    if (limit.rlim_max < need)
        limit.rlim_max = need;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return error_set(err,
                         ERROR_BUSY,
                         "%u agents take %llu descriptors, more than the hard limit "
                         "(ulimit -Hn): raise it, or use more processes",
                         p->agent_count,
                         (unsigned long long)need);
    return 0;
}

static int prepare(struct program *p, struct error *err)
{
    if (raise_descriptors(p, err) != 0)
        return -(int)err->code;
    p->agents = mem_zalloc(p->agent_count * sizeof(*p->agents));
    for (uint32_t i = 0; i < p->agent_count; i++)
        if (specs_fill(&p->agents[i].spec, p->seed, p->first + i, p->resources, err) !=
            0)
            return -(int)err->code;
    /* Processes that start together take addresses that do not meet. */
    sources_use((uint32_t)(p->first / 1000 * 16), (uint32_t)p->sources);
    return 0;
}

static void run(struct program *p)
{
    p->fleet.loop = loop_create();
    loop_on_signal(p->fleet.loop, SIGTERM, on_signal, p);
    loop_on_signal(p->fleet.loop, SIGINT, on_signal, p);
    p->commands = watch_create(p->fleet.loop, STDIN_FILENO, on_commands, p);
    on_start(p);
    on_report(p);
    loop_run(p->fleet.loop);
    print_counts(p);
    watch_destroy(p->commands);
    timer_stop(p->fleet.loop, &p->start);
    timer_stop(p->fleet.loop, &p->report);
    for (uint32_t i = 0; i < p->agent_count; i++)
        load_agent_stop(&p->agents[i]);
    agent_actions_finish(&p->fleet.actions);
    loop_destroy(p->fleet.loop);
}

/* ---- options ---- */

enum option_letter { O_MASTERS = 1, O_RESOURCES, O_TASK_MS, O_NUMBERS };

static int take(struct program *p,
                const struct option *options,
                uint64_t *const *numbers,
                int which,
                struct error *err)
{
    const char *name = options[which - 1].name;
    int count;

    switch (which) {
    case O_MASTERS:
        count = address_parse_list(p->fleet.masters, LIMIT_MASTERS, optarg, err);
        p->fleet.master_count = count < 0 ? 0 : (unsigned)count;
        return count < 0 ? count : 0;
    case O_RESOURCES:
        p->resources = optarg;
        return 0;
    case O_TASK_MS:
        if (strcmp(optarg, "never") == 0)
            return 0;
        return text_parse_u64(&p->fleet.end_ms, optarg)
                   ? 0
                   : error_set(err, ERROR_USAGE, "--%s: milliseconds, or never", name);
    default:
        return text_parse_u64(numbers[which - O_NUMBERS], optarg)
                   ? 0
                   : error_set(err, ERROR_USAGE, "--%s: a number", name);
    }
}

static int
read_options(struct program *p, int argc, char *const *argv, struct error *err)
{
    uint64_t agents = 0;
    uint64_t *const numbers[] = {&agents,
                                 &p->first,
                                 &p->seed,
                                 &p->start_rate,
                                 &p->fleet.start_ms,
                                 &p->fleet.usage_ms,
                                 &p->sources,
                                 &p->report_ms};
    static const struct option options[] = {
        {"masters", required_argument, NULL, O_MASTERS},
        {"resources", required_argument, NULL, O_RESOURCES},
        {"task-ms", required_argument, NULL, O_TASK_MS},
        {"agents", required_argument, NULL, O_NUMBERS},
        {"first", required_argument, NULL, O_NUMBERS + 1},
        {"seed", required_argument, NULL, O_NUMBERS + 2},
        {"start-rate", required_argument, NULL, O_NUMBERS + 3},
        {"start-ms", required_argument, NULL, O_NUMBERS + 4},
        {"usage-ms", required_argument, NULL, O_NUMBERS + 5},
        {"sources", required_argument, NULL, O_NUMBERS + 6},
        {"report-ms", required_argument, NULL, O_NUMBERS + 7},
        {0}};
    int which;

    while ((which = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (which == '?')
            return error_set(err, ERROR_USAGE, "the options are in agents_load.c");
        if (take(p, options, numbers, which, err) != 0)
            return -(int)err->code;
    }
    if (p->fleet.master_count == 0 || agents == 0 || agents > LIMIT_AGENTS ||
        p->report_ms == 0)
        return error_set(err,
                         ERROR_USAGE,
                         "--masters and --agents (1 to %u) are needed",
                         (unsigned)LIMIT_AGENTS);
    p->agent_count = (uint32_t)agents;
    return 0;
}

int main(int argc, char **argv)
{
    struct program p = {
        .fleet = {.start_ms = 2, .end_ms = NEVER_ENDS, .usage_ms = 2500},
        .seed = 1,
        .start_rate = 5000,
        .sources = 16,
        .report_ms = 50};
    struct error err;
    int failed;

    failed = read_options(&p, argc, argv, &err) != 0 || prepare(&p, &err) != 0;
    if (failed)
        fprintf(stderr, "agents_load: %s\n", err.text);
    else
        run(&p);
    mem_free(p.agents);
    return failed ? 2 : 0;
}
