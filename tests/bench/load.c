/* load.c - a client that submits, and says how fast it was acknowledged.
 *
 *     load --masters A,B,C --mode closed --outstanding N --seconds S
 *         N submits under way at any time; prints one JSON line: rate and latencies
 *     load --masters A,B,C --mode open --every-us U --seconds S --log FILE
 *         one submit every U microseconds whatever comes back; FILE gets a line for each
 *         acknowledgement: CLOCK_MONOTONIC in us when it was asked, and when it came
 *
 * Each submit is a job of its own with its own key, its spec about 256 bytes.  It is the ordinary
 * client: it finds the leader and repeats over a failover by itself.
 *
 *         --instances N    tasks of each job (1)
 *         --cpus MILLI     what each task takes (100); more than agents have: it waits
 *         --task TEXT      the argument of its command: how long simulated agents run it
 *         --distinct       no two jobs are alike: sizes are drawn, each with a name of its own
 *         --total N        stop after as many submits, measured from the first
 */
#include "base/clock.h"
#include "base/entropy.h"
#include "base/mem.h"
#include "base/rng.h"
#include "client/client.h"
#include "wire/job.h"
#include "wire/message.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_BYTES 256
#define CALLS_MAX  65536

struct load;

struct call {
    struct client_call call;
    struct load *load;
    uint64_t asked_us;
};

struct load {
    struct loop *loop;
    struct client *client;
    struct loop_timer timer;
    struct buffer spec;
    uint32_t instances;
    uint64_t cpus_milli;
    const char *task; /* NULL: none */
    bool distinct;
    uint64_t total; /* 0: until the time is over */
    struct rng rng; /* of distinct jobs */
    bool open;
    bool stopping;
    unsigned outstanding;
    uint64_t every_us, next_us;
    uint64_t begin_us, end_us;
    uint64_t warm_us; /* measured from here on */
    uint64_t last_us; /* the last answer */
    uint64_t run;     /* random: makes the keys of this run its own */
    uint64_t submitted, acknowledged, measured, failed, under_way;
    uint32_t *latencies;
    size_t latency_count, latency_capacity;
    FILE *log;
    struct call *free_calls[CALLS_MAX];
    unsigned free_count;
};

static void submit(struct load *l);

static bool is_over(const struct load *l, uint64_t now)
{
    return l->total > 0 ? l->submitted >= l->total : now >= l->end_us;
}

static void answered(void *user, const struct client_answer *answer)
{
    struct call *call = user;
    struct load *l = call->load;
    uint64_t now = clock_monotonic_us();

    l->under_way--;
    if (answer->code == ERROR_NONE) {
        l->acknowledged++;
        if (l->log != NULL)
            fprintf(l->log,
                    "%llu %llu\n",
                    (unsigned long long)call->asked_us,
                    (unsigned long long)now);
        if (now >= l->warm_us && (l->total > 0 || now < l->end_us)) {
            l->measured++;
            MEM_GROW(l->latencies, l->latency_capacity, l->latency_count + 1);
            l->latencies[l->latency_count++] = (uint32_t)(now - call->asked_us);
        }
    } else {
        l->failed++;
        fprintf(stderr, "load: %s: %s\n", error_name(answer->code), answer->text);
    }
    l->free_calls[l->free_count++] = call;
    if (is_over(l, now)) {
        l->stopping = true;
        if (l->under_way == 0) {
            l->last_us = now;
            loop_stop(l->loop);
        }
    } else if (!l->open) {
        submit(l);
    }
}

/* ---- jobs ---- */

/* Padded to SPEC_BYTES.  Distinct ones are of a few thousand sizes, as users' jobs are. */
static void pack_spec(struct load *l, size_t pad)
{
    struct job_spec spec;
    char name[32] = "load", padding[SPEC_BYTES + 8] = "PAD=";

    job_spec_init(&spec);
    spec.instances = l->instances;
    spec.resources.amount[RESOURCE_CPUS] = l->cpus_milli;
    if (l->distinct) {
        snprintf(name, sizeof(name), "load-%llu", (unsigned long long)l->submitted);
        spec.resources.amount[RESOURCE_CPUS] += 50 * rng_below(&l->rng, 40);
        spec.resources.amount[RESOURCE_MEM] = 16 * MIB * rng_between(&l->rng, 1, 128);
    }
    spec.name = mem_strdup(name);
    job_spec_add_arg(&spec, "/bin/true");
    if (l->task != NULL)
        job_spec_add_arg(&spec, l->task);
    memset(padding + 4, 'x', pad);
    job_spec_add_env(&spec, padding);
    buffer_clear(&l->spec);
    job_spec_pack(&spec, &l->spec);
    job_spec_finish(&spec);
}

static void make_spec(struct load *l)
{
    struct rng before = l->rng;
    size_t pad;

    pack_spec(l, 0);
    pad = l->spec.size < SPEC_BYTES ? SPEC_BYTES - l->spec.size : 0;
    l->rng = before;
    pack_spec(l, pad);
}

static void submit(struct load *l)
{
    struct call *call =
        l->free_count > 0 ? l->free_calls[--l->free_count] : mem_zalloc(sizeof(*call));
    uint64_t key[2] = {l->run, ++l->submitted};
    struct submit_request q = {.key = {(const uint8_t *)key, sizeof(key)},
                               .spec = buffer_view(&l->spec)};
    struct buffer frame = {0};

    call->load = l;
    call->call.done = answered;
    call->call.user = call;
    call->asked_us = clock_monotonic_us();
    l->under_way++;
    if (l->distinct) {
        make_spec(l);
        q.spec = buffer_view(&l->spec);
    }
    submit_pack(&q, 0, &frame);
    client_request(l->client, &call->call, buffer_view(&frame), CLIENT_LEADER);
    buffer_finish(&frame);
}

static void tick(void *user)
{
    struct load *l = user;
    uint64_t now = clock_monotonic_us();

    if (is_over(l, now)) {
        if (l->under_way == 0)
            loop_stop(l->loop);
        l->stopping = true;
    }
    while (l->open && !l->stopping && !is_over(l, now) && l->next_us <= now &&
           l->under_way < CALLS_MAX) {
        submit(l);
        l->next_us += l->every_us;
    }
    timer_set_in(l->loop, &l->timer, 1, tick, l);
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double percentile(const struct load *l, double p)
{
    size_t i = (size_t)(p * (double)l->latency_count);

    if (l->latency_count == 0)
        return 0;
    return l->latencies[i < l->latency_count ? i : l->latency_count - 1] / 1000.0;
}

static void report(struct load *l)
{
    uint64_t until_us = l->total > 0 ? l->last_us : l->end_us;
    double seconds = (double)(until_us - l->warm_us) / 1e6;

    qsort(l->latencies, l->latency_count, sizeof(*l->latencies), compare);
    printf(
        "{\"acknowledged\":%llu,\"failed\":%llu,\"rate\":%.1f,\"p50_ms\":%.3f,\"p99_"
        "ms\":%.3f,"
        "\"max_ms\":%.3f,\"spec_bytes\":%zu}\n",
        (unsigned long long)l->acknowledged,
        (unsigned long long)l->failed,
        (double)l->measured / seconds,
        percentile(l, 0.5),
        percentile(l, 0.99),
        percentile(l, 1.0),
        l->spec.size);
}

int main(int argc, char **argv)
{
    static struct load l;
    struct address masters[CLIENT_LISTED_MAX];
    struct client_options options = {.masters = masters};
    struct error err;
    const char *list = "127.0.0.1:5049", *log = NULL;
    uint64_t seconds = 10, instances = 1;
    int option, count;
    static const struct option OPTIONS[] = {
        {"masters", required_argument, NULL, 'm'},
        {"mode", required_argument, NULL, 'o'},
        {"outstanding", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},
        {"every-us", required_argument, NULL, 'u'},
        {"log", required_argument, NULL, 'l'},
        {"instances", required_argument, NULL, 'i'},
        {"cpus", required_argument, NULL, 'p'},
        {"task", required_argument, NULL, 't'},
        {"total", required_argument, NULL, 'c'},
        {"distinct", no_argument, NULL, 'd'},
        {0}};

    l.outstanding = 1;
    l.every_us = 1000;
    l.cpus_milli = 100;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'm':
            list = optarg;
            break;
        case 'o':
            l.open = strcmp(optarg, "open") == 0;
            break;
        case 'n':
            l.outstanding = (unsigned)atoi(optarg);
            break;
        case 's':
            seconds = strtoull(optarg, NULL, 10);
            break;
        case 'u':
            l.every_us = strtoull(optarg, NULL, 10);
            break;
        case 'l':
            log = optarg;
            break;
        case 'i':
            instances = strtoull(optarg, NULL, 10);
            break;
        case 'p':
            l.cpus_milli = strtoull(optarg, NULL, 10);
            break;
        case 't':
            l.task = optarg;
            break;
        case 'c':
            l.total = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            l.distinct = true;
            break;
        default:
            return 2;
        }
    }
    count = address_parse_list(masters, CLIENT_LISTED_MAX, list, &err);
    if (count < 0 || l.outstanding > CALLS_MAX) {
        fprintf(stderr, "load: %s\n", count < 0 ? err.text : "too many outstanding");
        return 2;
    }
    if (log != NULL && (l.log = fopen(log, "w")) == NULL)
        return 1;
    options.master_count = (unsigned)count;
    l.run = entropy_u64();
    l.instances = (uint32_t)instances;
    make_spec(&l);
    l.loop = loop_create();
    l.client = client_create(l.loop, &options);
    l.begin_us = l.next_us = clock_monotonic_us();
    l.warm_us = l.begin_us + (l.total > 0 ? 0 : 1000000);
    l.end_us = l.warm_us + seconds * 1000000;
    for (unsigned i = 0; !l.open && i < l.outstanding && !is_over(&l, 0); i++)
        submit(&l);
    timer_set_in(l.loop, &l.timer, 1, tick, &l);
    loop_run(l.loop);
    report(&l);
    if (l.log != NULL)
        fclose(l.log);
    timer_stop(l.loop, &l.timer);
    client_destroy(l.client);
    loop_destroy(l.loop);
    return l.failed > 0;
}
