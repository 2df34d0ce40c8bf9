/* poll.c - clients that list everything, again and again.
 *
 *     poll --masters A,B,C --clients N [--job ID] [--stale] --seconds S
 *
 * Each client has connections of its own, as one `watch triarch status` has, and asks for the
 * next page as soon as it has one: all jobs, then all agents, then all tasks of --job.  Prints one
 * JSON line: listings, pages and bytes a second, and how long one listing took.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "client/client.h"
#include "wire/message.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ELEMENTS 4096 /* as the command line asks for */

struct poll;

struct poller {
    struct poll *poll;
    struct client *client;
    struct client_call call;
    enum method method;
    struct list_request request;
    uint64_t begin_us; /* of this listing */
};

struct poll {
    struct loop *loop;
    struct loop_timer end;
    struct poller *pollers;
    uint64_t clients, job, seconds;
    bool stale;
    uint64_t listings, pages, bytes, failed, longest_us, total_us;
};

static void ask(struct poller *p)
{
    struct buffer frame = {0};

    list_pack(p->method, &p->request, 0, &frame);
    client_request(p->client,
                   &p->call,
                   buffer_view(&frame),
                   p->poll->stale ? CLIENT_ANY : CLIENT_LEADER);
    buffer_finish(&frame);
}

static enum method method_after(const struct poller *p)
{
    switch (p->method) {
    case METHOD_JOBS:
        return METHOD_AGENTS;
    case METHOD_AGENTS:
        return p->poll->job != 0 ? METHOD_TASKS : METHOD_JOBS;
    default:
        return METHOD_JOBS;
    }
}

static void begin(struct poller *p, enum method method)
{
    p->method = method;
    p->request = (struct list_request){.of = method == METHOD_TASKS ? p->poll->job : 0,
                                       .limit = PAGE_ELEMENTS,
                                       .stale = p->poll->stale};
    p->begin_us = clock_monotonic_us();
}

static void end(struct poller *p)
{
    uint64_t took_us = clock_monotonic_us() - p->begin_us;

    p->poll->listings++;
    p->poll->total_us += took_us;
    if (took_us > p->poll->longest_us)
        p->poll->longest_us = took_us;
    begin(p, method_after(p));
}

static void answered(void *user, const struct client_answer *answer)
{
    struct poller *p = user;
    struct list_result page = {0};
    struct error err;

    if (answer->code != ERROR_NONE ||
        list_result_unpack(&page, p->method, answer->result, &err) != 0) {
        p->poll->failed++;
        begin(p, p->method);
    } else {
        p->poll->pages++;
        p->poll->bytes += answer->result.size;
        p->request.after = page.next;
        if (page.next == 0)
            end(p);
    }
    ask(p);
}

static void report(const struct poll *p)
{
    double seconds = (double)p->seconds;

    printf(
        "{\"listings_per_s\":%.1f,\"pages_per_s\":%.1f,\"mib_per_s\":%.1f,"
        "\"listing_ms\":%.1f,\"longest_ms\":%.1f,\"failed\":%llu}\n",
        (double)p->listings / seconds,
        (double)p->pages / seconds,
        (double)p->bytes / seconds / (double)MIB,
        p->listings == 0 ? 0 : (double)p->total_us / 1e3 / (double)p->listings,
        (double)p->longest_us / 1e3,
        (unsigned long long)p->failed);
}

static void on_end(void *user)
{
    loop_stop(user);
}

static void run(struct poll *p, const struct client_options *options)
{
    p->loop = loop_create();
    p->pollers = mem_zalloc(p->clients * sizeof(*p->pollers));
    for (uint64_t i = 0; i < p->clients; i++) {
        struct poller *one = &p->pollers[i];

        one->poll = p;
        one->call = (struct client_call){.done = answered, .user = one};
        one->client = client_create(p->loop, options);
        begin(one, i % 2 == 0 ? METHOD_JOBS : METHOD_AGENTS);
        ask(one);
    }
    timer_set_in(p->loop, &p->end, p->seconds * 1000, on_end, p->loop);
    loop_run(p->loop);
    report(p);
    for (uint64_t i = 0; i < p->clients; i++)
        client_destroy(p->pollers[i].client);
    loop_destroy(p->loop);
    mem_free(p->pollers);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"masters", required_argument, NULL, 'm'},
                                            {"clients", required_argument, NULL, 'n'},
                                            {"job", required_argument, NULL, 'j'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"stale", no_argument, NULL, 't'},
                                            {0}};
    struct poll p = {.clients = 20, .seconds = 10};
    struct address masters[CLIENT_LISTED_MAX];
    struct client_options options = {.masters = masters};
    const char *list = "127.0.0.1:5049";
    struct error err;
    int option, count;

    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'm':
            list = optarg;
            break;
        case 'n':
            p.clients = strtoull(optarg, NULL, 10);
            break;
        case 'j':
            p.job = strtoull(optarg, NULL, 10);
            break;
        case 's':
            p.seconds = strtoull(optarg, NULL, 10);
            break;
        case 't':
            p.stale = true;
            break;
        default:
            return 2;
        }
    }
    count = address_parse_list(masters, CLIENT_LISTED_MAX, list, &err);
    if (count < 0) {
        fprintf(stderr, "poll: %s\n", err.text);
        return 2;
    }
    options.master_count = (unsigned)count;
    run(&p, &options);
    return p.failed > 0;
}
